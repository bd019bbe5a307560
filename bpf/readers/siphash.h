/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SipHash-2-4 with 128 bits of output, fed a byte or eight at a time (Aumasson and Bernstein,
 * "SipHash: a fast short-input PRF", 2012, and its 128-bit variant). At most seven bytes of the
 * message are in the state at any time; the rest has gone through the rounds.
 */
#ifndef TT_READERS_SIPHASH_H
#define TT_READERS_SIPHASH_H

#include "load.h"

/* Index masks that the compiler can't prove away and older verifiers can't do without. */
#ifdef __bpf__
#define SIP_MASK(i, m) asm volatile("%0 &= %1" : "+r"(i) : "i"(m))
#else
#define SIP_MASK(i, m) ((i) &= (m))
#endif

struct siphash {
	__u64 v0, v1, v2, v3;
	__u64 tail;	/* len % 8 bytes that have not gone through the rounds */
	__u32 len;
	__u32 pad_;
};

#define SIP_ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

static __always_inline void siphash_round(struct siphash *s)
{
	__u64 v0 = s->v0, v1 = s->v1, v2 = s->v2, v3 = s->v3;

	v0 += v1;
	v1 = SIP_ROTL(v1, 13) ^ v0;
	v0 = SIP_ROTL(v0, 32);
	v2 += v3;
	v3 = SIP_ROTL(v3, 16) ^ v2;
	v0 += v3;
	v3 = SIP_ROTL(v3, 21) ^ v0;
	v2 += v1;
	v1 = SIP_ROTL(v1, 17) ^ v2;
	v2 = SIP_ROTL(v2, 32);
	s->v0 = v0;
	s->v1 = v1;
	s->v2 = v2;
	s->v3 = v3;
}

static __always_inline void siphash_init(struct siphash *s, __u64 k0, __u64 k1)
{
	s->v0 = 0x736f6d6570736575ULL ^ k0;
	s->v1 = 0x646f72616e646f6dULL ^ k1 ^ 0xee;
	s->v2 = 0x6c7967656e657261ULL ^ k0;
	s->v3 = 0x7465646279746573ULL ^ k1;
	s->tail = 0;
	s->len = 0;
	s->pad_ = 0;
}

static __always_inline void siphash_word(struct siphash *s, __u64 m)
{
	s->v3 ^= m;
	siphash_round(s);
	siphash_round(s);
	s->v0 ^= m;
}

static __always_inline void siphash_put(struct siphash *s, __u8 byte)
{
	__u64 tail = s->tail | (__u64)byte << (8 * (s->len & 7));

	s->len++;
	if (s->len & 7) {
		s->tail = tail;
		return;
	}
	s->tail = 0;
	siphash_word(s, tail);
}

/* Eight bytes at once, first byte lowest, at whatever alignment the message has reached. */
static __always_inline void siphash_put8(struct siphash *s, __u64 w)
{
	__u32 shift = 8 * (s->len & 7);
	__u64 m = s->tail | w << shift;

	s->tail = (w >> 1) >> (63 - shift);	/* in two steps: a shift by 64 is undefined */
	s->len += 8;
	siphash_word(s, m);
}

/* n bytes (1 to 7) at once, first byte lowest; those above them are zero. */
static __always_inline void siphash_put_some(struct siphash *s, __u64 w, __u32 n)
{
	__u32 have = s->len & 7;
	__u64 m = s->tail | w << (8 * have);

	s->len += n;
	if (have + n < 8) {
		s->tail = m;
		return;
	}
	s->tail = (w >> 1) >> (63 - 8 * have);
	siphash_word(s, m);
}

/* Ends the message; the state is of no further use. */
static __always_inline void siphash_final(struct siphash *s, __u64 out[2])
{
	siphash_word(s, s->tail | (__u64)s->len << 56);
	s->v2 ^= 0xee;
	siphash_round(s);
	siphash_round(s);
	siphash_round(s);
	siphash_round(s);
	out[0] = s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
	s->v1 ^= 0xdd;
	siphash_round(s);
	siphash_round(s);
	siphash_round(s);
	siphash_round(s);
	out[1] = s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

#endif
