/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The codes of a DEFLATE block (RFC 1951, 3.2.2, 3.2.6, 3.2.7), made from their lengths: counted, turned
 * into limits, and the symbols sorted, some of them each step. What zlib refuses is refused.
 */
#ifndef TT_READERS_INFLATE_TABLES_H
#define TT_READERS_INFLATE_TABLES_H

#include "inflate_work.h"

#define INFLATE_ORDER 19	/* codes of lengths */
#define INFLATE_LENGTHS_STEP 16

static __always_inline void inflate_set_length(struct inflate *z, __u32 i, __u8 len)
{
	__u64 at = i;

	H1_MASK(at, INFLATE_SYMBOLS - 1);
	z->lengths[at] = len;
}

/* A code is made of so many lengths, from `first` on. */
static __always_inline int inflate_make(struct inflate *z, __u8 code, __u16 first, __u16 want)
{
	__builtin_memset(z->count, 0, sizeof(z->count));
	z->code = code;
	z->first = first;
	z->want = want;
	z->done = 0;
	z->state = INFLATE_S_COUNT;
	return INFLATE_NEXT;
}

static __always_inline int inflate_fixed(struct inflate *z)
{
	__u32 i = z->done;

	INFLATE_UNROLL
	for (int k = 0; k < INFLATE_LENGTHS_STEP; k++, i++)
		inflate_set_length(z, i, i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : i < 288 ? 8 : 5);
	z->done = i;
	if (i < 288 + 32)
		return INFLATE_NEXT;
	z->literals = 288;
	z->distances = 32;
	z->of_lengths = 0;
	return inflate_make(z, INFLATE_LITERALS, 0, 288);
}

static __always_inline int inflate_counts(struct inflate *z)
{
	if (z->bits < 14)
		return inflate_wait(z);
	z->literals = 257 + (z->acc & 31);
	z->distances = 1 + (z->acc >> 5 & 31);
	z->want = 4 + (z->acc >> 10 & 15);
	inflate_drop(z, 14);
	if (z->literals > 286 || z->distances > 30)
		return inflate_bad(z);
	__builtin_memset(z->lengths, 0, 32);
	z->state = INFLATE_S_CODE_LENGTHS;
	return INFLATE_NEXT;
}

/* They come in the order 16 17 18 0 8 7 9 6 10 5 11 4 12 3 13 2 14 1 15. */
static __always_inline __u32 inflate_order(__u32 i)
{
	if (i < 3)
		return 16 + i;
	if (i == 3)
		return 0;
	return i & 1 ? 8 - ((i - 3) >> 1) : 8 + ((i - 4) >> 1);
}

static __always_inline int inflate_code_lengths(struct inflate *z)
{
	if (z->bits < 3)
		return inflate_wait(z);
	inflate_set_length(z, inflate_order(z->done), z->acc & 7);
	inflate_drop(z, 3);
	if (++z->done < z->want)
		return INFLATE_NEXT;
	z->of_lengths = 1;
	return inflate_make(z, INFLATE_DISTANCES, 0, INFLATE_ORDER);
}

/* All lengths are known. */
static __always_inline int inflate_lengths_end(struct inflate *z)
{
	if (!z->lengths[256])	/* a block could never end */
		return inflate_bad(z);
	z->of_lengths = 0;
	return inflate_make(z, INFLATE_LITERALS, 0, z->literals);
}

/* 16: the previous one 3 to 6 times; 17: zero 3 to 10 times; 18: zero 11 to 138 times. */
static __always_inline int inflate_lengths(struct inflate *z)
{
	__u32 len, extra, least;
	__u16 symbol;
	int r = inflate_decode(z, INFLATE_DISTANCES, &symbol, &len);

	if (r != INFLATE_MORE)
		return r;
	extra = symbol < 16 ? 0 : symbol == 16 ? 2 : symbol == 17 ? 3 : 7;
	least = symbol < 16 ? 1 : symbol == 18 ? 11 : 3;
	if (z->bits < len + extra)
		return inflate_wait(z);
	inflate_drop(z, len);
	z->left = least + inflate_peek(z, extra);
	inflate_drop(z, extra);
	if ((symbol == 16 && !z->done) || z->done + z->left > z->want)
		return inflate_bad(z);
	if (symbol != 16)
		z->previous = symbol < 16 ? symbol : 0;
	z->state = INFLATE_S_REPEAT;
	return INFLATE_NEXT;
}

static __always_inline int inflate_repeat(struct inflate *z)
{
	inflate_set_length(z, z->done, z->previous);
	z->done++;
	z->left--;
	if (z->left)
		return INFLATE_NEXT;
	z->state = INFLATE_S_LENGTHS;
	return z->done < z->want ? INFLATE_NEXT : inflate_lengths_end(z);
}

static __always_inline int inflate_count(struct inflate *z)
{
	__u32 i = z->done;

	INFLATE_UNROLL
	for (int k = 0; k < INFLATE_LENGTHS_STEP; k++) {
		__u64 at = z->first + i, len;

		if (i >= z->want)
			break;
		H1_MASK(at, INFLATE_SYMBOLS - 1);
		len = z->lengths[at];
		H1_MASK(len, 15);
		z->count[len]++;
		i++;
	}
	z->done = i;
	if (i >= z->want)
		z->state = INFLATE_S_LIMITS;
	return INFLATE_NEXT;
}

/* May a code have gaps? Only one that is a single bit, or none. */
static __always_inline int inflate_gaps_fit(const struct inflate *z, __u32 used)
{
	return !z->of_lengths && (!used || (used == 1 && z->count[1] == 1));
}

static __always_inline int inflate_limits(struct inflate *z)
{
	struct inflate_code *c = z->code == INFLATE_LITERALS ? &z->codes[INFLATE_LITERALS] : &z->codes[INFLATE_DISTANCES];
	__u32 code = 0, used = 0, over = 0;

	z->count[0] = 0;
	INFLATE_UNROLL
	for (int len = 1; len <= 15; len++) {
		code = (code + z->count[len - 1]) << 1;
		c->base[len] = used - code;
		c->next[len] = used;
		used += z->count[len];
		over |= code + z->count[len] > 1U << len;
		c->limit[len] = (code + z->count[len]) << (15 - len);
	}
	if (over || (c->limit[15] != 1U << 15 && !inflate_gaps_fit(z, used)))
		return inflate_bad(z);
	z->done = 0;
	z->state = INFLATE_S_SORT;
	return INFLATE_NEXT;
}

/* Whichever code comes next, or the first symbol. */
static __always_inline int inflate_made(struct inflate *z)
{
	if (z->of_lengths) {
		z->done = 0;
		z->want = z->literals + z->distances;
		z->state = INFLATE_S_LENGTHS;
		return INFLATE_NEXT;
	}
	if (z->code == INFLATE_LITERALS)
		return inflate_make(z, INFLATE_DISTANCES, z->literals, z->distances);
	z->state = INFLATE_S_SYMBOL;
	return INFLATE_NEXT;
}

static __always_inline void inflate_place(struct inflate *z, __u32 i, __u64 len)
{
	__u64 to;

	H1_MASK(len, 15);
	if (z->code == INFLATE_LITERALS) {
		to = z->codes[INFLATE_LITERALS].next[len]++;
		H1_MASK(to, INFLATE_SYMBOLS - 1);
		z->symbols[to] = i;
	} else {
		to = z->codes[INFLATE_DISTANCES].next[len]++;
		H1_MASK(to, INFLATE_SYMBOLS_2 - 1);
		z->symbols2[to] = i;
	}
}

static __always_inline int inflate_sort(struct inflate *z)
{
	__u32 i = z->done;

	INFLATE_UNROLL
	for (int k = 0; k < 8; k++) {
		__u64 at = z->first + i;

		if (i >= z->want)
			break;
		H1_MASK(at, INFLATE_SYMBOLS - 1);
		if (z->lengths[at])
			inflate_place(z, i, z->lengths[at]);
		i++;
	}
	z->done = i;
	return i < z->want ? INFLATE_NEXT : inflate_made(z);
}

#endif
