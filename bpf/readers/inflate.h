/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Decompresses gzip (RFC 1952) and zlib (RFC 1950) streams, that is DEFLATE (RFC 1951), cut anywhere, over
 * any number of calls. Like http1.h: plain C for two worlds, one step at a time, calls nobody, knows no
 * table, trusts no byte. inflate_step() says what it needs (enum inflate_result).
 *
 * Codes are canonical, so a code is decoded by comparing the next 15 bits with where each length's codes
 * end: no table to be filled, no branch per bit. inflate_tables.h makes them, inflate_frame.h reads what is
 * around the blocks. The checksum is that of RFC 1952 or 1950, made before anything is handed out.
 */
#ifndef TT_READERS_INFLATE_H
#define TT_READERS_INFLATE_H

#include "inflate_frame.h"
#include "inflate_tables.h"

/* `n` first bytes, one at most, have been read already. */
static __always_inline void inflate_begin(struct inflate *z, __u8 first, __u32 n)
{
	/* Of the rest nothing is read that was not written before. */
	__builtin_memset(&z->at, 0, __builtin_offsetof(struct inflate, count) - __builtin_offsetof(struct inflate, at));
	z->acc = n ? first : 0;
	z->bits = n ? 8 : 0;
	z->crc = ~0U;
	z->state = INFLATE_S_FIRST;
}

/* ---- blocks ---- */

/* Bytes are given away at the latest at the end of each INFLATE_CHUNK, so that none wraps. */
static __always_inline int inflate_put(struct inflate *z)
{
	z->out++;
	if (z->out & (INFLATE_CHUNK - 1))
		return INFLATE_NEXT;
	z->then = z->state;
	z->state = INFLATE_S_SUM;
	return INFLATE_MORE;
}

static __always_inline int inflate_symbol_one(struct inflate *z)
{
	__u32 len;
	__u64 at = z->out;
	__u16 symbol;
	int r = inflate_decode(z, INFLATE_LITERALS, &symbol, &len);

	if (r != INFLATE_MORE)
		return r;
	inflate_drop(z, len);
	if (symbol < 256) {
		H1_MASK(at, INFLATE_WINDOW - 1);
		z->window[at] = symbol;
		return inflate_put(z);
	}
	z->symbol = symbol - 257;
	z->state = symbol == 256 ? z->last ? INFLATE_S_TRAILER : INFLATE_S_BLOCK : INFLATE_S_LENGTH;
	return INFLATE_MORE;
}

/* Up to four of them; INFLATE_MORE stands for "another state". */
static __always_inline int inflate_symbol(struct inflate *z)
{
	int r = inflate_symbol_one(z);

	if (r == INFLATE_NEXT)
		r = inflate_symbol_one(z);
	if (r == INFLATE_NEXT)
		r = inflate_symbol_one(z);
	if (r == INFLATE_NEXT)
		r = inflate_symbol_one(z);
	return r == INFLATE_MORE ? INFLATE_NEXT : r;
}

/* RFC 1951, 3.2.5: lengths 3 to 258 by codes 257 to 285, here 0 to 28, and up to five more bits. */
static __always_inline int inflate_length(struct inflate *z)
{
	__u32 code = z->symbol, extra = code < 8 || code == 28 ? 0 : (code - 4) >> 2;

	if (code > 28)
		return inflate_bad(z);
	if (z->bits < extra)
		return inflate_wait(z);
	if (code == 28)
		z->left = 258;
	else if (code < 8)
		z->left = 3 + code;
	else
		z->left = 3 + ((4 + (code & 3)) << (extra & 7)) + inflate_peek(z, extra);
	inflate_drop(z, extra);
	z->state = INFLATE_S_DISTANCE_CODE;
	return INFLATE_NEXT;
}

static __always_inline int inflate_distance_code(struct inflate *z)
{
	__u32 len;
	__u16 symbol;
	int r = inflate_decode(z, INFLATE_DISTANCES, &symbol, &len);

	if (r != INFLATE_MORE)
		return r;
	if (symbol > 29)
		return inflate_bad(z);
	inflate_drop(z, len);
	z->symbol = symbol;
	z->state = INFLATE_S_DISTANCE;
	return INFLATE_NEXT;
}

static __always_inline int inflate_distance(struct inflate *z)
{
	__u32 code = z->symbol, extra = code < 4 ? 0 : (code - 2) >> 1;

	if (z->bits < extra)
		return inflate_wait(z);
	if (code < 4)
		z->distance = 1 + code;
	else
		z->distance = 1 + ((2 + (code & 1)) << (extra & 15)) + inflate_peek(z, extra);
	inflate_drop(z, extra);
	if (z->distance > z->out)
		return inflate_bad(z);
	z->state = INFLATE_S_COPY;
	return INFLATE_NEXT;
}

/* Puts n bytes, 8 at most and all within the chunk; those behind them stand: they may be wanted yet. */
static __always_inline void inflate_put_word(struct inflate *z, __u64 word, __u32 n)
{
	__u64 at = z->out, old, keep;

	H1_MASK(at, INFLATE_WINDOW - 1);
	keep = n >= 8 ? 0 : ~0ULL << (8 * (n & 7));
	old = load_word(z->window + at);
	word = (old & keep) | (word & ~keep);
	store_word(z->window + at, word);
	z->out += n;
	z->left -= n;
}

/* So many bytes may be put at once. */
static __always_inline __u32 inflate_room(const struct inflate *z)
{
	__u32 room = INFLATE_CHUNK - (z->out & (INFLATE_CHUNK - 1)), n = z->left < 8 ? z->left : 8;

	return n < room ? n : room;
}

/* After bytes were put: is it time to give them away, or are they all? */
static __always_inline int inflate_were_put(struct inflate *z, __u8 over)
{
	__u8 then = z->left ? z->state : over;

	z->state = then;
	if (z->out & (INFLATE_CHUNK - 1))
		return then == over;
	z->then = then;
	z->state = INFLATE_S_SUM;
	return 1;
}

/* Bytes from further up, which may be those that are put right now. */
static __always_inline int inflate_copy(struct inflate *z)
{
	INFLATE_UNROLL
	for (int i = 0; i < 4; i++) {
		__u64 from = z->out - z->distance, word;
		__u32 n = inflate_room(z);

		H1_MASK(from, INFLATE_WINDOW - 1);
		if (n > z->distance)
			n = z->distance;
		if (n > INFLATE_WINDOW - from)
			n = INFLATE_WINDOW - from;
		word = load_word(z->window + from);
		inflate_put_word(z, word, n);
		if (inflate_were_put(z, INFLATE_S_SYMBOL))
			break;
	}
	return INFLATE_NEXT;
}

static __always_inline int inflate_stored(struct inflate *z)
{
	__u32 n = inflate_room(z), have = z->bits >> 3;

	if (!have && z->left)
		return inflate_wait(z);
	if (n > have)
		n = have;
	if (n > 7)
		n = 7;
	if (z->left) {
		inflate_put_word(z, z->acc, n);
		inflate_drop(z, 8 * n);
	}
	inflate_were_put(z, z->last ? INFLATE_S_TRAILER : INFLATE_S_BLOCK);
	return INFLATE_NEXT;
}

/* RFC 1951, 3.2.4: two bytes and their complement. */
static __always_inline int inflate_stored_len(struct inflate *z)
{
	__u32 both;

	if (z->bits < 32)
		return inflate_wait(z);
	both = z->acc;
	inflate_drop(z, 32);
	if (((both ^ both >> 16) & 0xffff) != 0xffff)
		return inflate_bad(z);
	z->left = both & 0xffff;
	z->state = z->left ? INFLATE_S_STORED : z->last ? INFLATE_S_TRAILER : INFLATE_S_BLOCK;
	return INFLATE_NEXT;
}

static __always_inline int inflate_block(struct inflate *z)
{
	__u32 type;

	if (z->bits < 3)
		return inflate_wait(z);
	z->last = z->acc & 1;
	type = z->acc >> 1 & 3;
	inflate_drop(z, 3);
	z->done = 0;
	switch (type) {
	case 0:
		inflate_align(z);
		z->state = INFLATE_S_STORED_LEN;
		return INFLATE_NEXT;
	case 1:
		z->state = INFLATE_S_FIXED;
		return INFLATE_NEXT;
	case 2:
		z->state = INFLATE_S_COUNTS;
		return INFLATE_NEXT;
	default:
		return inflate_bad(z);
	}
}

/* ---- the step ---- */

static __always_inline int inflate_step_block(struct inflate *z)
{
	switch (z->state) {
	case INFLATE_S_SYMBOL:
		return inflate_symbol(z);
	case INFLATE_S_LENGTH:
		return inflate_length(z);
	case INFLATE_S_DISTANCE_CODE:
		return inflate_distance_code(z);
	case INFLATE_S_DISTANCE:
		return inflate_distance(z);
	case INFLATE_S_COPY:
		return inflate_copy(z);
	case INFLATE_S_BLOCK:
		return inflate_block(z);
	case INFLATE_S_STORED_LEN:
		return inflate_stored_len(z);
	default:
		return inflate_stored(z);
	}
}

static __always_inline int inflate_step_tables(struct inflate *z)
{
	switch (z->state) {
	case INFLATE_S_FIXED:
		return inflate_fixed(z);
	case INFLATE_S_COUNTS:
		return inflate_counts(z);
	case INFLATE_S_CODE_LENGTHS:
		return inflate_code_lengths(z);
	case INFLATE_S_LENGTHS:
		return inflate_lengths(z);
	case INFLATE_S_REPEAT:
		return inflate_repeat(z);
	case INFLATE_S_COUNT:
		return inflate_count(z);
	case INFLATE_S_LIMITS:
		return inflate_limits(z);
	default:
		return inflate_sort(z);
	}
}

static __always_inline int inflate_step(struct inflate *z)
{
	if (z->state == INFLATE_S_SUM)
		return inflate_sum(z);
	inflate_refill(z);
	if (z->state < INFLATE_S_BLOCK)
		return inflate_step_frame(z);
	return z->state < INFLATE_S_FIXED ? inflate_step_block(z) : inflate_step_tables(z);
}

/* The input is used up for now: bytes that are ready are given away (INFLATE_OUT when they are). */
static __always_inline int inflate_flush(struct inflate *z)
{
	if (z->out == z->given || z->state == INFLATE_S_SUM || z->state == INFLATE_S_BAD)
		return 0;
	z->then = z->state;
	z->state = INFLATE_S_SUM;
	return 1;
}

#endif
