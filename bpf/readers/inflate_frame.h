/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is around DEFLATE's blocks: the headers of gzip and zlib, and the checksums behind. What comes
 * behind these, be it another member (RFC 1952, 2.2), is not read.
 */
#ifndef TT_READERS_INFLATE_FRAME_H
#define TT_READERS_INFLATE_FRAME_H

#include "inflate_work.h"

/* inflate.flags (RFC 1952, 2.3.1) */
#define INFLATE_F_HEADER_SUM 2
#define INFLATE_F_EXTRA 4
#define INFLATE_F_NAME 8
#define INFLATE_F_COMMENT 16
#define INFLATE_F_RESERVED 0xe0

/* CRC-32 of four bits: the polynomial's remainders (RFC 1952, 8). */
#ifdef __bpf__
const volatile __u32 inflate_crc[16] __weak = {
#else
static const __u32 inflate_crc[16] = {
#endif
	0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
	0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
};

static __always_inline __u32 inflate_crc_half(__u32 crc)
{
	__u64 i = crc;

	H1_MASK(i, 15);
	return crc >> 4 ^ inflate_crc[i];
}

static __always_inline __u32 inflate_crc_byte(__u32 crc, __u8 c)
{
	return inflate_crc_half(inflate_crc_half(crc ^ c));
}

/* A byte of the header. */
static __always_inline __u8 inflate_header_byte(struct inflate *z)
{
	__u8 c = z->acc;

	inflate_drop(z, 8);
	z->crc = inflate_crc_byte(z->crc, c);
	return c;
}

/* Behind a part of the gzip header: the next one that its flags promise. */
static __always_inline int inflate_next_part(struct inflate *z)
{
	__u8 flags = z->flags;

	z->left = 0;
	if (flags & INFLATE_F_EXTRA) {
		z->state = INFLATE_S_EXTRA_LEN;
		z->flags = flags & ~INFLATE_F_EXTRA;
	} else if (flags & INFLATE_F_NAME) {
		z->state = INFLATE_S_NAME;
		z->flags = flags & ~INFLATE_F_NAME;
	} else if (flags & INFLATE_F_COMMENT) {
		z->state = INFLATE_S_COMMENT;
		z->flags = flags & ~INFLATE_F_COMMENT;
	} else if (flags & INFLATE_F_HEADER_SUM) {
		z->state = INFLATE_S_HEADER_SUM;
	} else {
		z->state = INFLATE_S_BLOCK;
		z->crc = ~0U;
	}
	return INFLATE_NEXT;
}

/* The first two bytes; zlib's are (RFC 1950, 2.2) method, window, check, and no preset dictionary. */
static __always_inline int inflate_first(struct inflate *z)
{
	__u8 first, second;

	if (z->bits < 16)
		return inflate_wait(z);
	first = inflate_header_byte(z);
	second = inflate_header_byte(z);
	if (first == 0x1f && second == 0x8b) {
		z->left = 2;
		z->state = INFLATE_S_GZIP;
		return INFLATE_NEXT;
	}
	if ((first & 15) != 8 || first >> 4 > 7 || (first << 8 | second) % 31 || (second & 0x20))
		return inflate_bad(z);
	z->zlib = 1;
	z->state = INFLATE_S_BLOCK;
	return INFLATE_NEXT;
}

/* Method, flags, time, extra flags, system. */
static __always_inline int inflate_gzip(struct inflate *z)
{
	__u8 c;

	if (z->bits < 8)
		return inflate_wait(z);
	c = inflate_header_byte(z);
	z->left++;
	if (z->left == 3 && c != 8)
		return inflate_bad(z);
	if (z->left == 4)
		z->flags = c;
	if (z->left == 4 && (c & INFLATE_F_RESERVED))
		return inflate_bad(z);
	return z->left < 10 ? INFLATE_NEXT : inflate_next_part(z);
}

static __always_inline int inflate_part(struct inflate *z)
{
	__u16 sum = ~z->crc;
	__u8 c;

	if (z->bits < (z->state == INFLATE_S_EXTRA_LEN || z->state == INFLATE_S_HEADER_SUM ? 16 : 8))
		return inflate_wait(z);
	c = inflate_header_byte(z);
	switch (z->state) {
	case INFLATE_S_EXTRA_LEN:
		z->left = c;
		z->left |= (__u32)inflate_header_byte(z) << 8;
		z->state = INFLATE_S_EXTRA;
		return z->left ? INFLATE_NEXT : inflate_next_part(z);
	case INFLATE_S_EXTRA:
		return --z->left ? INFLATE_NEXT : inflate_next_part(z);
	case INFLATE_S_HEADER_SUM:
		if ((c | inflate_header_byte(z) << 8) != sum)
			return inflate_bad(z);
		z->flags = 0;
		return inflate_next_part(z);
	default:	/* a text that ends with a zero */
		return c ? INFLATE_NEXT : inflate_next_part(z);
	}
}

/* Of all bytes that are to be given away next, eight a step. */
static __always_inline int inflate_sum(struct inflate *z)
{
	__u32 n = z->out - z->summed, a = z->a, b = z->b, crc = z->crc;
	__u64 at = z->summed;

	H1_MASK(at, INFLATE_WINDOW - 1);
	if (!n) {
		z->state = z->then;
		return INFLATE_OUT;
	}
	if (n >= 8 && at <= INFLATE_WINDOW - 8) {
		n = 8;
	INFLATE_UNROLL
		for (int i = 0; i < 8; i++) {
			__u8 c = z->window[at + i];

			crc = inflate_crc_byte(crc, c);
			a += c;
			b += a + 1;
		}
	} else {
		n = 1;
		crc = inflate_crc_byte(crc, z->window[at]);
		a += z->window[at];
		b += a + 1;
	}
	z->crc = crc;
	z->a = a % 65521;
	z->b = b % 65521;
	z->summed += n;
	return INFLATE_NEXT;
}

/* The blocks are over. What was not given away comes first. */
static __always_inline int inflate_trailer(struct inflate *z)
{
	inflate_align(z);
	z->left = 0;
	z->then = INFLATE_S_CHECK;
	z->state = z->out == z->given ? INFLATE_S_CHECK : INFLATE_S_SUM;
	return INFLATE_NEXT;
}

static __always_inline int inflate_check_zlib(struct inflate *z)
{
	__u32 sum = z->b << 16 | (z->a + 1) % 65521;

	if (z->bits < 32)
		return inflate_wait(z);
	if (__builtin_bswap32((__u32)z->acc) != sum)
		return inflate_bad(z);
	z->state = INFLATE_S_END;
	return INFLATE_END;
}

/* CRC-32, then how many bytes there were. */
static __always_inline int inflate_check(struct inflate *z)
{
	__u32 want = z->left ? z->out : ~z->crc;

	if (z->zlib)
		return inflate_check_zlib(z);
	if (z->bits < 32)
		return inflate_wait(z);
	if ((__u32)z->acc != want)
		return inflate_bad(z);
	inflate_drop(z, 32);
	if (!z->left) {
		z->left = 1;
		return INFLATE_NEXT;
	}
	z->state = INFLATE_S_END;
	return INFLATE_END;
}

static __always_inline int inflate_step_frame(struct inflate *z)
{
	switch (z->state) {
	case INFLATE_S_FIRST:
		return inflate_first(z);
	case INFLATE_S_GZIP:
		return inflate_gzip(z);
	case INFLATE_S_TRAILER:
		return inflate_trailer(z);
	case INFLATE_S_CHECK:
		return inflate_check(z);
	case INFLATE_S_END:
		return INFLATE_END;
	case INFLATE_S_BAD:
		return INFLATE_BAD;
	default:
		return inflate_part(z);
	}
}

#endif
