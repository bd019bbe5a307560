/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the parts of the decompressor share: its memory, its bits, codes. */
#ifndef TT_READERS_INFLATE_WORK_H
#define TT_READERS_INFLATE_WORK_H

#include <linux/types.h>
#include "http1_work.h"

#define INFLATE_INPUT 1024	/* power of two: an index is masked to it */
#define INFLATE_WINDOW 32768	/* as far as a distance reaches (RFC 1951, 3.2.5) */
#define INFLATE_CHUNK 1024	/* bytes given away at once; H1_WINDOW, and a power of two */
#define INFLATE_SYMBOLS 512	/* >= 288, power of two */
#define INFLATE_SYMBOLS_2 32	/* of distances, and of codes of lengths */

/* Short loops in straight lines: see bpf/README.md. */
#ifdef __clang__
#define INFLATE_UNROLL _Pragma("unroll")
#else
#define INFLATE_UNROLL
#endif

enum inflate_result {
	INFLATE_NEXT,	/* call again */
	INFLATE_FILL,	/* the input is used up: load the next bytes, or flush and come back with them */
	INFLATE_OUT,	/* bytes from z->given to z->out are to be taken: INFLATE_CHUNK at most, in a row */
	INFLATE_END,	/* all was given away, and its checksum is right */
	INFLATE_BAD,	/* no such stream; what was given away is not to be trusted */
	INFLATE_MORE,	/* within the reader only */
};

enum inflate_state {
	INFLATE_S_FIRST,	/* the first byte tells the format */
	INFLATE_S_ZLIB,
	INFLATE_S_GZIP,		/* ten bytes */
	INFLATE_S_EXTRA_LEN,
	INFLATE_S_EXTRA,
	INFLATE_S_NAME,
	INFLATE_S_COMMENT,
	INFLATE_S_HEADER_SUM,
	INFLATE_S_TRAILER,
	INFLATE_S_CHECK,	/* what is behind the blocks, once all bytes are given away */
	INFLATE_S_END,
	INFLATE_S_BAD,
	INFLATE_S_SUM,		/* the checksum of what is given away next */
	INFLATE_S_BLOCK,
	INFLATE_S_STORED_LEN,
	INFLATE_S_STORED,
	INFLATE_S_SYMBOL,
	INFLATE_S_LENGTH,
	INFLATE_S_DISTANCE_CODE,
	INFLATE_S_DISTANCE,
	INFLATE_S_COPY,
	INFLATE_S_FIXED,	/* from here on: making the codes of a block */
	INFLATE_S_COUNTS,
	INFLATE_S_CODE_LENGTHS,
	INFLATE_S_LENGTHS,
	INFLATE_S_REPEAT,
	INFLATE_S_COUNT,
	INFLATE_S_LIMITS,
	INFLATE_S_SORT,
};

enum { INFLATE_LITERALS, INFLATE_DISTANCES };

/* A canonical code, by lengths 1 to 15. */
struct inflate_code {
	__u16 limit[16];	/* behind the last code of this length, as the first of 15 bits */
	__u16 base[16];		/* from a code of this length to its place among the symbols */
	__u16 next[16];		/* sorting: where the next symbol of this length goes */
};

/* Everything but the input is needed from call to call, and has plaintext, or what can be made from it. */
struct inflate {
	__u8 in[INFLATE_INPUT + 8];	/* a word may be loaded anywhere */
	__u32 at, fill;			/* in `in` */
	__u64 acc;			/* the next `bits` bits, the first one lowest */
	__u32 bits;
	__u32 out;			/* bytes so far */
	__u32 given;			/* of them given away */
	__u32 summed;			/* of them in the checksum */
	__u32 crc;			/* RFC 1952, 8, not complemented yet */
	__u32 a, b;			/* Adler-32 (RFC 1950, 9), a less 1 */
	__u32 left;			/* bytes to copy, or of a part of the header */
	__u32 distance;
	__u16 symbol;
	__u16 done, want;		/* of lengths, while codes are made */
	__u16 literals, distances;	/* how many lengths of them */
	__u16 first;			/* of the lengths that the code under way is made of */
	__u8 state;			/* enum inflate_state */
	__u8 then;			/* behind INFLATE_S_SUM */
	__u8 last;			/* the block is the last one */
	__u8 zlib;
	__u8 flags;			/* of a gzip header */
	__u8 code;			/* INFLATE_LITERALS, INFLATE_DISTANCES: which one is made */
	__u8 of_lengths;		/* it is that of the lengths themselves */
	__u8 previous;			/* length, to be repeated */
	__u16 count[16];
	struct inflate_code codes[2];
	__u16 symbols[INFLATE_SYMBOLS];
	__u16 symbols2[INFLATE_SYMBOLS_2];
	__u8 lengths[INFLATE_SYMBOLS];
	__u8 window[INFLATE_WINDOW + INFLATE_CHUNK];	/* as a ring; a chunk may be taken anywhere */
};

/* ---- bits ---- */

/* As many whole bytes as there is room for, and input. */
static __always_inline void inflate_refill(struct inflate *z)
{
	__u64 at = z->at, word;
	__u32 n = (63 - (z->bits & 63)) >> 3, have = z->fill - z->at;

	if (n > have)
		n = have;
	H1_MASK(at, INFLATE_INPUT - 1);
	word = load_word(z->in + at);
	word &= (1ULL << (8 * (n & 7))) - 1;
	z->acc |= word << (z->bits & 63);
	z->bits += 8 * n;
	z->at += n;
}

/* There are not enough bits. */
static __always_inline int inflate_wait(const struct inflate *z)
{
	return z->at < z->fill ? INFLATE_NEXT : INFLATE_FILL;
}

static __always_inline int inflate_bad(struct inflate *z)
{
	z->state = INFLATE_S_BAD;
	return INFLATE_BAD;
}

static __always_inline __u32 inflate_peek(const struct inflate *z, __u32 n)
{
	return z->acc & ((1U << (n & 31)) - 1);
}

static __always_inline void inflate_drop(struct inflate *z, __u32 n)
{
	z->acc >>= n & 63;
	z->bits -= n;
}

/* What is left of a byte that was begun. */
static __always_inline void inflate_align(struct inflate *z)
{
	inflate_drop(z, z->bits & 7);
}

/* ---- codes ---- */

/* The next 15 bits, the first one highest: codes are written so. */
static __always_inline __u32 inflate_reversed(const struct inflate *z)
{
	__u32 v = z->acc & 0xffff;

	v = (v & 0x5555) << 1 | (v >> 1 & 0x5555);
	v = (v & 0x3333) << 2 | (v >> 2 & 0x3333);
	v = (v & 0x0f0f) << 4 | (v >> 4 & 0x0f0f);
	v = (v & 0x00ff) << 8 | v >> 8;
	return v >> 1;
}

/* 1 if v >= limit; without a branch, of which there would be 15 for each code. */
static __always_inline __u32 inflate_behind(__u32 v, __u64 limit)
{
	__u64 less = v - limit;

#ifdef __bpf__
	asm volatile("" : "+r"(less));
#endif
	return 1 - (less >> 63);
}

/*
 * INFLATE_MORE, and the symbol of the next code, which is ret_len bits long: not dropped yet. Where bits are missing they
 * count as zeros: a code that is found within those that are there is right all the same.
 */
static __always_inline int inflate_decode(struct inflate *z, int which, __u16 *ret_symbol, __u32 *ret_len)
{
	const struct inflate_code *code = &z->codes[which];
	__u32 v = inflate_reversed(z);
	__u64 i, len = 1;

	INFLATE_UNROLL
	for (int l = 1; l <= 15; l++)
		len += inflate_behind(v, code->limit[l]);
	if (len > 15 && z->bits >= 15)
		return inflate_bad(z);
	if (len > z->bits || len > 15)
		return inflate_wait(z);
	H1_MASK(len, 15);
	i = (__u16)((v >> (15 - len)) + code->base[len]);
	*ret_len = len;
	if (which == INFLATE_LITERALS) {
		H1_MASK(i, INFLATE_SYMBOLS - 1);
		*ret_symbol = z->symbols[i];
	} else {
		H1_MASK(i, INFLATE_SYMBOLS_2 - 1);
		*ret_symbol = z->symbols2[i];
	}
	return INFLATE_MORE;
}

#endif
