/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What class is it? A credential's first TT_CARRY_LEN bytes, its length and its number of dots against
 * rows of the class table: length, number of dots, characters at some places, characters that occur. The
 * caller has found the rows by prefix and gives them in their order; the first that fits counts.
 */
#ifndef TT_READERS_SHAPE_H
#define TT_READERS_SHAPE_H

#include "http1_work.h"

#ifdef __bpf__
#define H1_UNROLL _Pragma("unroll")
#else
#define H1_UNROLL
#endif
#define H1_ONES 0x0101010101010101ULL

/* Which characters occur behind the first `start` bytes, as far as they are kept: a bit each. */
static __always_inline void h1_shape_scan(struct h1_work *w, __u32 start)
{
	__u32 len = w->ask_len < TT_CARRY_LEN ? w->ask_len : TT_CARRY_LEN;
	__u64 low = 0, high = 0;

H1_UNROLL
	for (int i = 0; i < TT_CARRY_LEN / 8; i++) {
		__u64 at = start + 8 * i, word, beyond;

		if (at >= len)
			break;
		H1_MASK(at, TT_CARRY_LEN - 1);
		word = load_word(w->h.carry + at);
		/* Bytes behind the end count as the first one of the word. */
		beyond = len - at < 8 ? ~0ULL << (8 * (len - at) & 63) : 0;
		word = (word & ~beyond) | ((word & 0xff) * H1_ONES & beyond);
H1_UNROLL
		for (int k = 0; k < 8; k++, word >>= 8) {
			__u64 bit = 1ULL << (word & 63), upper = -(word >> 6 & 1);

			high |= bit & upper;
			low |= bit & ~upper;
			low |= word >> 7 & 1;	/* above 127: as NUL, which no class has */
		}
	}
	w->seen[0] = low;
	w->seen[1] = high;
	w->seen_from = start + 1;
}

static __always_inline int h1_shape_marks(const struct h1_head *h, const struct tt_class_row *row)
{
H1_UNROLL
	for (int i = 0; i < TT_CLASS_MARKS; i++) {
		__u64 at = row->at[i];

		H1_MASK(at, TT_CARRY_LEN - 1);
		if (row->at[i] && h->carry[at] != row->is[i])
			return 0;
	}
	return 1;
}

/* Length, dots and marks: what is cheap to look at. */
static __always_inline int h1_shape_may_fit(const struct h1_work *w, const struct tt_class_row *row)
{
	return w->ask_len >= row->min_len && w->ask_len <= row->max_len &&
	       (!row->dots || w->h.dots + 1 == row->dots) && h1_shape_marks(&w->h, row);
}

/* Characters; after h1_shape_scan() from row->prefix_len. */
static __always_inline int h1_shape_fits(struct h1_work *w, const struct tt_class_row *row)
{
	if (!(w->seen[0] & ~row->allow[0]) && !(w->seen[1] & ~row->allow[1]))
		return 1;
	if (row->flags & TT_CLASS_SURE)
		w->answer.flags = TT_CLASS_ALIKE;	/* better hidden, in a path */
	return 0;
}

/* ---- checksums ---- */

/* CRC-32 (IEEE 802.3), a byte more. */
static __always_inline __u32 h1_crc_byte(__u32 crc, __u8 c)
{
	crc ^= c;
H1_UNROLL
	for (int k = 0; k < 8; k++)
		crc = (crc >> 1) ^ (crc & 1) * 0xedb88320;	/* a mask would fork the verifier's states */
	return crc;
}

static __always_inline __u32 h1_base62(__u8 c)
{
	/* Without branches: seven characters lie between '9' and 'A', six between 'Z' and 'a'. */
	__u32 letter = (__u32)('9' - c) >> 29, lower = (__u32)('Z' - c) >> 29;

	return c - '0' - letter - (lower & 6);
}

#define H1_CRC_BODY 30	/* characters that GitHub and npm have in front of the six */

/* Is the tail of a token of prefix_len + 36 characters right? Big-endian base 62, padded with '0'. */
static __always_inline int h1_crc32b62(const struct h1_head *h, __u32 prefix_len)
{
	__u32 crc = ~0U;
	__u64 said = 0;

H1_UNROLL
	for (int i = 0; i < H1_CRC_BODY; i++) {
		__u64 at = prefix_len + i;

		H1_MASK(at, TT_CARRY_LEN - 1);
		crc = h1_crc_byte(crc, h->carry[at]);
	}
H1_UNROLL
	for (int i = 0; i < 6; i++) {
		__u64 at = prefix_len + H1_CRC_BODY + i;

		H1_MASK(at, TT_CARRY_LEN - 1);
		said = said * 62 + h1_base62(h->carry[at]);
	}
	return said == (__u32)~crc;
}

/* The row fits: that is the answer. */
static __always_inline void h1_shape_take(struct h1_work *w, __u16 id, const struct tt_class_row *row)
{
	w->answer.id = id;
	w->answer.flags = row->flags;
	w->answer.checksum = row->checksum;
	w->answer.length = row->prefix_len;
}

#endif
