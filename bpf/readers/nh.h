/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A keyed hash of long texts, for recognising one that came before: NH over 1,024 bytes at a time (Black et al.,
 * "UMAC: Fast and Secure Message Authentication", 1999; RFC 4418, 5.2), under two keys, whose sums go through
 * SipHash-2-4. Words of a text don't wait for each other, as they do in SipHash alone: half the time.
 *
 * Two texts of one length have the same hash with a probability of 2^-60 at most, whoever chose them, as long as he
 * does not know the keys. Who knows them learns of the text no more than SipHash tells: only its output is kept.
 */
#ifndef TT_READERS_NH_H
#define TT_READERS_NH_H

#include "siphash.h"

#define NH_WORDS 128		/* power of two: of a block, all of it under another part of the key */
#define NH_KEYS (2 * NH_WORDS)
#define NH_STRIDE 4

#ifdef __clang__
#define NH_ROLLED _Pragma("clang loop unroll(disable)")
#define NH_UNROLLED _Pragma("clang loop unroll(full)")
#else
#define NH_ROLLED
#define NH_UNROLLED
#endif

struct nh {
	struct siphash sip;
	__u64 sum[2];		/* of the block so far */
	__u32 at;		/* words in it */
	__u32 pad_;
};

static __always_inline void nh_init(struct nh *h, __u64 k0, __u64 k1)
{
	siphash_init(&h->sip, k0, k1);
	h->sum[0] = 0;
	h->sum[1] = 0;
	h->at = 0;
	h->pad_ = 0;
}

/* As in UMAC, but for the carry from the lower to the upper half, which costs one bit of the 64. */
static __always_inline __u64 nh_product(__u64 word, __u64 key)
{
	__u64 sum = word + key;

	return (sum & 0xffffffff) * (sum >> 32);
}

static __always_inline void nh_block(struct nh *h)
{
	siphash_word(&h->sip, h->sum[0]);
	siphash_word(&h->sip, h->sum[1]);
	h->sum[0] = 0;
	h->sum[1] = 0;
	h->at = 0;
}

/* One word. key: NH_KEYS words of this run's. */
static __always_inline void nh_word(struct nh *h, const volatile __u64 *key, __u64 word)
{
	__u64 i = h->at;

	SIP_MASK(i, NH_WORDS - 1);
	h->sum[0] += nh_product(word, key[i]);
	h->sum[1] += nh_product(word, key[NH_WORDS + i]);
	h->at++;
	if (h->at == NH_WORDS)
		nh_block(h);
}

/*
 * Up to n words that lie one behind the other from window[at] on, of which what begins below `size` (a power of two)
 * and 32 bytes more can be read. Returns how many were taken: no more than the block has room for.
 */
static __always_inline __u32 nh_words(struct nh *h, const volatile __u64 *key, const __u8 *window, __u32 size, __u64 at,
				      __u32 n)
{
	__u64 sum0 = h->sum[0], sum1 = h->sum[1], i = h->at;
	__u32 take = n < NH_WORDS - h->at ? n : NH_WORDS - h->at, left = take;

	NH_ROLLED
	for (int step = 0; step < NH_WORDS / NH_STRIDE && left >= NH_STRIDE; step++) {
		SIP_MASK(at, size - 1);
		SIP_MASK(i, NH_WORDS - 1);
		NH_UNROLLED
		for (int j = 0; j < NH_STRIDE; j++) {
			__u64 word = load_word(window + at + 8 * j);

			sum0 += nh_product(word, key[i + j]);
			sum1 += nh_product(word, key[NH_WORDS + i + j]);
		}
		at += 8 * NH_STRIDE;
		i += NH_STRIDE;
		left -= NH_STRIDE;
	}
	NH_ROLLED
	for (int step = 0; step < NH_STRIDE - 1 && left; step++, left--) {
		__u64 word;

		SIP_MASK(at, size - 1);
		SIP_MASK(i, NH_WORDS - 1);
		word = load_word(window + at);
		sum0 += nh_product(word, key[i]);
		sum1 += nh_product(word, key[NH_WORDS + i]);
		at += 8;
		i++;
	}
	h->sum[0] = sum0;
	h->sum[1] = sum1;
	h->at += take;
	if (h->at >= NH_WORDS)
		nh_block(h);
	return take;
}

/* Ends the text; the state is of no further use. Its length has to be told by who compares. */
static __always_inline void nh_final(struct nh *h, __u64 out[2])
{
	if (h->at)
		nh_block(h);
	siphash_final(&h->sip, out);
}

#endif
