/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests wait here for the status of their response. Each request handed in comes out exactly
 * once: with its status, or without one when it or its connection ended without a response, when
 * it waited too long, when the table is full, or at the end; but one that was never sent does not
 * come out. (Connection, seq) names a request: <tokentrail/abi.h>. Times are the caller's, of any clock that only grows.
 */
#ifndef TT_AGENT_PAIR_H
#define TT_AGENT_PAIR_H

#include <stddef.h>
#include <stdint.h>

#include <tokentrail/abi.h>

#include "tokens/use.h"

struct pair;

/* The event is valid during the call only. */
typedef void (*pair_done)(void *ctx, const struct tt_ev_use *ev, struct outcome outcome);

int pair_new(size_t limit, uint64_t wait_ns, pair_done done, void *ctx, struct pair **ret_pair);
void pair_free(struct pair *p);		/* what still waits is lost: call pair_flush() before */
void pair_set_wait(struct pair *p, uint64_t wait_ns);

void pair_use(struct pair *p, const struct tt_ev_use *ev, uint64_t now_ns);
/* The request that waits for this status; NULL: none. Valid until the next call. */
const struct tt_ev_use *pair_waiting(const struct pair *p, const struct tt_ev_hdr *h);
void pair_status(struct pair *p, const struct tt_ev_status *ev);
void pair_close(struct pair *p, const struct tt_ev_status *ev);
void pair_tick(struct pair *p, uint64_t now_ns);	/* completes those that waited too long */
void pair_flush(struct pair *p);			/* completes all */
size_t pair_count(const struct pair *p);
uint64_t pair_withdrawn(const struct pair *p);	/* credentials of requests that were never sent */

#endif
