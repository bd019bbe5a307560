/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The Huffman code of HPACK (RFC 7541, 5.2 and appendix B), decoded eight bits at a time through 16
 * tables of 256 rows, which huffman.awk prints from the code's lengths. No branch per bit, all state
 * in memory between steps: so it loads on every kernel.
 */
#ifndef TT_READERS_HUFFMAN_H
#define TT_READERS_HUFFMAN_H

#include <linux/types.h>

#define HUFFMAN_JUMP 0x8000
#define HUFFMAN_BAD 0x4000
#define HUFFMAN_SYMBOLS 8	/* decoded by one step at most */

#ifdef __bpf__
const volatile __u16 huffman_table[16 * 256] __weak = {
#else
static const __u16 huffman_table[16 * 256] = {
#endif
#include "huffman_table.inc"
};

struct huffman {
	__u64 acc;	/* the lowest `bits` bits are still to be decoded */
	__u32 bits;
	__u32 table;	/* a code longer than eight bits goes on here */
};

enum huffman_end { HUFFMAN_SYMBOL, HUFFMAN_DONE, HUFFMAN_BROKEN };

static __always_inline __u16 huffman_row(__u32 table, __u64 byte)
{
	__u64 i = table << 8 | (byte & 0xff);

#ifdef __bpf__
	asm volatile("%0 &= 4095" : "+r"(i));
#else
	i &= 4095;
#endif
	return huffman_table[i];
}

/*
 * All input is in, and less than eight bits of it are left: one more symbol, or the padding, which is
 * the beginning of EOS (all ones) and shorter than eight bits.
 */
static __always_inline int huffman_end(struct huffman *h, __u8 *symbol)
{
	__u64 left = h->acc & ((1ULL << (h->bits & 7)) - 1), ones = 0xff >> (h->bits & 7);
	__u16 row = huffman_row(h->table, left << ((8 - h->bits) & 7) | ones);

	if (h->bits && !(row & (HUFFMAN_JUMP | HUFFMAN_BAD)) && (row >> 8) <= h->bits) {
		*symbol = row;
		h->bits -= row >> 8;
		h->table = 0;
		return HUFFMAN_SYMBOL;
	}
	return !h->table && left == (1ULL << (h->bits & 7)) - 1 ? HUFFMAN_DONE : HUFFMAN_BROKEN;
}

#endif
