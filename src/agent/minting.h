/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests for tokens until they are whole: head, what was read of the body, status, what was read of the
 * answer. Then, once it is known who asked, a struct mint. Times are CLOCK_MONOTONIC but for those in
 * records.
 */
#ifndef TT_AGENT_MINTING_H
#define TT_AGENT_MINTING_H

#include <stddef.h>
#include <stdint.h>

#include <tokentrail/abi.h>

#include "agent/convert.h"
#include "enrich/process.h"
#include "tokens/mint.h"

struct minting;

typedef void (*minting_done)(void *ctx, const struct mint *m);

/* limit: requests that wait; the oldest then goes on as it is. Both are the caller's and outlive it. */
int minting_new(size_t limit, uint64_t wait_ns, struct convert *convert, struct process_cache *processes,
		minting_done done, void *ctx, struct minting **ret_minting);
void minting_free(struct minting *m);	/* minting_flush() before */

void minting_use(struct minting *m, const struct tt_ev_use *ev, uint64_t now_ns);	/* with ev->mint */
void minting_body(struct minting *m, const struct tt_ev_mint *ev, uint64_t now_ns);
void minting_status(struct minting *m, const struct tt_ev_status *ev, uint64_t now_ns);
void minting_close(struct minting *m, const struct tt_ev_status *ev, uint64_t now_ns);
void minting_tick(struct minting *m, uint64_t now_ns);
void minting_flush(struct minting *m, uint64_t now_ns);
size_t minting_count(const struct minting *m);

/* What is known of the tokens of a request: each minted one, and what was revoked, as facts. Calls take()
 * for each token that something is known of. -ENOMEM: not all was told. */
int mint_facts(const struct mint *m, int (*take)(void *ctx, const struct token *about, const struct facts *f),
	       void *ctx);

#endif
