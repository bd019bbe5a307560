/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folds equal uses. A use whose like was not seen before goes out at once; its repeats are added up
 * and go out an interval after the first of them. The sum of the counts that come out is the sum of
 * those that went in, always. Times are the caller's, of any clock that only grows.
 *
 * Equal: everything but count, times and the client's port. Where ports differ the folded use has
 * none. (Of an ingress use the peer is the client, so its peer port is treated alike.)
 */
#ifndef TT_AGENT_FOLD_H
#define TT_AGENT_FOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tokens/use.h"

struct fold;

typedef void (*fold_emit)(void *ctx, const struct use *u);

int fold_new(size_t limit, uint64_t interval_ns, fold_emit emit, void *ctx, struct fold **ret_fold);
void fold_free(struct fold *f);		/* what was not written out is lost: fold_flush() before */

/* interval 0: no folding, every use goes out as it comes. */
void fold_set_interval(struct fold *f, uint64_t interval_ns);

void fold_use(struct fold *f, const struct use *u, uint64_t now_ns);
void fold_tick(struct fold *f, uint64_t now_ns);
void fold_flush(struct fold *f);
size_t fold_count(const struct fold *f);	/* rows in memory */

#endif
