/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Does a request's head say that the answer may hold a new token? Rules are found by the path's first
 * eight or last six bytes, so that most heads cost two lookups that find nothing. */
#ifndef TT_READERS_MINT_ROUTE_H
#define TT_READERS_MINT_ROUTE_H

#include "http1_work.h"

static __always_inline __u64 mint_word_at(const __u8 *bytes, __u64 at)
{
	H1_MASK(at, 255);
	return load_word(bytes + at);
}

/* The first n of a word's bytes. */
static __always_inline __u64 mint_low(__u64 word, __u32 n)
{
	return n >= 8 ? word : word & ((1ULL << (8 * (n & 7))) - 1);
}

static __always_inline __u64 mint_key_begin(const struct h1_head *h)
{
	return mint_low(mint_word_at(h->path, 0), h->path_len);
}

static __always_inline __u64 mint_key_end(const struct h1_head *h)
{
	__u64 n = h->path_len;

	if (n < 8)
		return TT_MINT_KEY_END | mint_low(mint_word_at(h->path, 0), n) >> (n > 6 ? 8 : 0);
	return TT_MINT_KEY_END | mint_word_at(h->path, n - 8) >> 16;
}

static __always_inline __u8 mint_method(const struct h1_head *h)
{
	switch (mint_low(mint_word_at(h->method, 0), h->method_len)) {
	case 0x544547ULL:
		return TT_MINT_GET;
	case 0x54534f50ULL:
		return TT_MINT_POST;
	case 0x545550ULL:
		return TT_MINT_PUT;
	case 0x4554454c4544ULL:
		return TT_MINT_DELETE;
	default:
		return 0;
	}
}

/* The host's first bytes, letters in lower case (RFC 9110, 4.2.3). */
static __always_inline int mint_host_fits(const struct h1_head *h, const struct tt_mint_rule *r)
{
	__u64 a = mint_word_at(h->host, 0) | TT_NAME_LOWER, b = mint_word_at(h->host, 8) | TT_NAME_LOWER;

	return h->host_len >= r->host_len && !((a ^ r->host[0]) & r->host_mask[0]) &&
	       !((b ^ r->host[1]) & r->host_mask[1]);
}

static __always_inline int mint_rule_fits(const struct h1_head *h, const struct tt_mint_rule *r)
{
	__u64 at = h->path_len - r->suffix_len, odd = 0;

	if (!(r->methods & mint_method(h)) || h->path_len < r->prefix_len + r->suffix_len)
		return 0;
	if (r->exact && h->path_len != r->prefix_len + r->suffix_len)
		return 0;
	odd |= (mint_word_at(h->path, 0) ^ r->prefix[0]) & r->prefix_mask[0];
	odd |= (mint_word_at(h->path, 8) ^ r->prefix[1]) & r->prefix_mask[1];
	odd |= (mint_word_at(h->path, 16) ^ r->prefix[2]) & r->prefix_mask[2];
	odd |= (mint_word_at(h->path, 24) ^ r->prefix[3]) & r->prefix_mask[3];
	if (odd || at > TT_PATH_LEN)
		return 0;
	odd |= (mint_word_at(h->path, at) ^ r->suffix[0]) & r->suffix_mask[0];
	odd |= (mint_word_at(h->path, at + 8) ^ r->suffix[1]) & r->suffix_mask[1];
	odd |= (mint_word_at(h->path, at + 16) ^ r->suffix[2]) & r->suffix_mask[2];
	odd |= (mint_word_at(h->path, at + 24) ^ r->suffix[3]) & r->suffix_mask[3];
	return !odd && (!r->host_len || mint_host_fits(h, r));
}

#endif
