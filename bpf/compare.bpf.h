/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Is it what came before? What again.bpf.h, repeat.bpf.h and block.bpf.h share: the hash of a stretch of the input,
 * and when to ask.
 *
 * The hash (readers/nh.h) is under a key of this run, over so many bytes that nobody can try them all. Nobody who
 * sends messages can make two with one hash; who reads the tables, and so has the key, learns of the bytes no more
 * than a fingerprint would tell.
 */
#ifndef TT_COMPARE_BPF_H
#define TT_COMPARE_BPF_H

#include "head.bpf.h"

#define COMPARE_MAX 16384
#define COMPARE_MISSES 4	/* in a row: it changes all the time, ... */
#define COMPARE_PAUSE 64	/* ... and is looked at again after so many */
#define COMPARE_LANES 4		/* of the check, side by side: one would wait for its own products */

volatile __u16 known_epoch __weak = 0;

/* LRU rows may be read while they are given to another. */
static __always_inline __u64 compare_sum(const __u64 *word, int words, __u64 conn)
{
	__u64 sum[COMPARE_LANES] = { conn ^ conf_mask[3], conf_mask[0], conf_mask[1], conf_mask[2] };

#pragma clang loop unroll(full)
	for (int i = 0; i < words; i++) {
		__u64 lane = sum[i % COMPARE_LANES];

		sum[i % COMPARE_LANES] = (lane ^ word[i]) * 0x9e3779b97f4a7c15ULL + (lane >> 32);
	}
	return sum[0] ^ (sum[1] << 16 | sum[1] >> 48) ^ (sum[2] << 32 | sum[2] >> 32) ^ (sum[3] << 48 | sum[3] >> 16);
}

/* Is it in vain to compare? */
static __always_inline int compare_pauses(__u64 *misses, __u64 most)
{
	if (*misses < most)
		return 0;
	*misses = *misses < most + COMPARE_PAUSE ? *misses + 1 : 0;
	return 1;
}

/* Does all that the fields told of this head of HTTP/1 stand in a row that is kept of them? */
static __always_inline int compare_fits(const struct scratch *s)
{
	const struct h1_head *h = &s->w.h;

	if (s->w.d.kind == H1_RESPONSES)
		return !h->saying && !h->creds;
	return !h->public_len && !h->mcp_method_len && !h->mcp_name_len && h->host_len <= TT_HOST_LEN;
}

/* ---- hashing ---- */

/* So many bytes from the reader on. `how`: what they mean depends on it. */
static __always_inline void compare_begin(struct scratch *s, __u32 len, __u32 how)
{
	nh_init(&s->nh, conf_mask[0], conf_mask[1]);
	siphash_word(&s->nh.sip, how | (__u64)len << 32);
	s->nh_left = len;
}

/* What there is of them in a window, of which `have` bytes from `at` on are not read yet. Returns how many were taken. */
static __always_inline __u32 compare_window(struct scratch *s, const __u8 *window, __u32 size, __u64 at, __u32 have)
{
	__u32 left = s->nh_left, n = 8 * nh_words(&s->nh, conf_nh, window, size, at, (left < have ? left : have) / 8);

	at += n;
	left -= n;
	have -= n;
	if (left && left < 8 && have >= left) {
		H1_MASK(at, size - 1);
		nh_word(&s->nh, conf_nh, load_word(window + at) & ~0ULL >> (64 - 8 * left));
		n += left;
		left = 0;
	}
	s->nh_left = left;
	return n;
}

/* A step over HTTP/1's window. */
__weak __noinline int compare_step(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	__u32 have;

	if (!s)
		return RUN_STOP;
	have = s->w.fill - (s->w.pos - s->w.base);
	if (have < s->nh_left && have < 8) {
		if (http_load(s) != RUN_ON)
			return RUN_STOP;
		have = s->w.fill;
	}
	s->w.pos += compare_window(s, s->w.buf, H1_WINDOW, s->w.pos - s->w.base, have);
	return RUN_ON;
}

/* The reader goes on there: what was hashed is to be read after all. */
static __always_inline int compare_back(struct scratch *s, __u32 pos)
{
	s->w.pos = pos;
	if (pos < s->w.base || pos >= s->w.base + s->w.fill) {
		s->w.base = pos;
		s->w.fill = 0;
	}
	s->reader = READ_H1;
	return RUN_ON;
}

#endif
