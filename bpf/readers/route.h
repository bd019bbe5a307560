/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which segment of a path is a secret, because such paths have one there (a webhook's address). Most paths are
 * told to be no such by their first bytes and a filter of 64 bits; for the others the caller has rules.
 */
#ifndef TT_READERS_ROUTE_H
#define TT_READERS_ROUTE_H

#include "http1_work.h"

static __always_inline __u64 h1_route_bit(__u64 key)
{
	return 1ULL << (key * TT_NAME_SEED >> 58);
}

static __always_inline __u64 h1_route_word(const __u8 *bytes, __u64 at)
{
	H1_MASK(at, H1_PATH_BUF - 1);
	return load_word(bytes + at);
}

/* The first bytes of the path up to here, four if this is its first segment; 0: too short for any rule. */
static __always_inline __u64 h1_route_key(const struct h1_head *h)
{
	__u64 word = h1_route_word(h->path, 0);

	if (h->segment_start == 1)
		return h->path_len >= 4 ? (__u32)word : 0;
	return h->path_len >= 8 ? word : 0;
}

/* Is the segment that has ended the one that the rule is about? */
static __always_inline int h1_route_fits(const struct h1_head *h, const struct tt_path_rule *r)
{
	__u64 at = h->segment_start - r->suffix_len, odd = 0;

	if (h->depth != r->depth || h->segment_start < r->prefix_len + r->suffix_len ||
	    h->segment_len <= r->lead_len)
		return 0;
	for (int i = 0; i < TT_PATH_WORDS; i++) {
		odd |= (h1_route_word(h->path, 8 * i) ^ r->prefix[i]) & r->prefix_mask[i];
		odd |= (h1_route_word(h->path, at + 8 * i) ^ r->suffix[i]) & r->suffix_mask[i];
	}
	return !odd && !((h1_route_word(h->carry, 0) ^ r->lead) & r->lead_mask);
}

#endif
