/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What may be told of a JWT (RFC 7519): its header and its payload, never its signature, and nothing
 * of one that has none, since there the payload is the token. A credential that begins like one is
 * kept while it is hashed; when it is over, and only if its claims are not known yet,
 *
 *   claims_step() until CLAIMS_NEXT is no longer its answer:
 *
 *     CLAIMS_TELL  send the first claims_size() bytes of c->ev, whose header is the caller's
 *     CLAIMS_NONE  it is no JWT
 *
 * Whether it is signed has to be known before anything leaves. So its header is decoded here, and
 * whatever is not plainly signed counts as unsigned: JSON need not be understood for that, "none"
 * in any case and any escape that could spell it are enough.
 *
 * Plain C for two worlds, as http1.h. Bytes come from the caller's memory, never again from the program's.
 */
#ifndef TT_READERS_CLAIMS_H
#define TT_READERS_CLAIMS_H

#include <linux/types.h>
#include <tokentrail/abi.h>
#include "siphash.h"

enum claims_result { CLAIMS_NEXT, CLAIMS_TELL, CLAIMS_NONE };

/* What was found in a decoded header. */
#define CLAIMS_SAW_ALG 1	/* "alg":" */
#define CLAIMS_SAW_ALG_NONE 2	/* "alg":"none" */
#define CLAIMS_SAW_NONE 4
#define CLAIMS_SAW_ODD 8	/* escapes and control characters */

struct claims {
	__u32 len;		/* bytes of it, all from the first one on; TT_CLAIMS_TEXT_MAX are kept */
	__u32 used;		/* to be wiped */
	__u32 at, end;
	__u32 dot[2];		/* where the first two are */
	__u32 dots;
	__u8 bad;		/* a character that base64url does not have */
	__u8 header_bad;
	__u8 seen;		/* CLAIMS_SAW_* */
	__u8 scanned;		/* its segments are known */
	__u8 tail;		/* last byte of one that is too long */
	__u8 untold;		/* the record found no room: what remembers the token's bytes must not */
	__u8 discloses;		/* disclosures followed, which are no part of it */
	__u8 pad_[5];
	__u64 older, last;	/* the last 16 bytes of the header, decoded, without blanks, in lower case */
	struct siphash sip;
	struct tt_ev_claims ev;	/* the credential is kept in its text */
	__u8 beyond[8];		/* a word may be stored and loaded anywhere in it */
};

/* ---- keeping ---- */

static __always_inline void claims_restart(struct claims *c)
{
	if (c->len > c->used)
		c->used = c->len;
	c->len = 0;
	c->untold = 0;
	c->discloses = 0;
}

#define CLAIMS_EYJ 0x4a7965	/* `{"` in base64, first byte lowest */
#define CLAIMS_EWO 0x6f7765	/* `{` LF */
#define CLAIMS_EYA 0x417965	/* `{` SP */

static __always_inline int claims_may_begin(__u64 three)
{
	three &= 0xffffff;
	return three == CLAIMS_EYJ || three == CLAIMS_EWO || three == CLAIMS_EYA;
}

static __always_inline void claims_store(struct claims *c, __u64 at, __u64 word)
{
	if (at > TT_CLAIMS_TEXT_MAX)
		at = TT_CLAIMS_TEXT_MAX;
	SIP_MASK(at, 2 * TT_CLAIMS_TEXT_MAX - 1);
	if (at <= TT_CLAIMS_TEXT_MAX)
		store_word(c->ev.text + at, word);
}

/* Eight bytes of a credential, of which `at` were there before. What is not kept from its first byte
 * on (as when a head is split over calls) is not kept at all: its next use can tell. */
static __always_inline void claims_keep_word(struct claims *c, __u32 at, __u64 word)
{
	if (c->len != at || (!at && !claims_may_begin(word)))
		return;
	claims_store(c, at, word);
	c->len = at + 8;
	if (at > TT_CLAIMS_TEXT_MAX - 8)
		c->tail = word >> 56;
}

static __always_inline void claims_keep(struct claims *c, __u32 at, __u8 byte)
{
	__u64 word = byte;

	if (c->len != at || (!at && byte != 'e'))
		return;
	if (at == 2) {
		word = c->ev.text[0] | c->ev.text[1] << 8 | (__u64)byte << 16;
		if (!claims_may_begin(word))
			return;
		word = byte;
	}
	claims_store(c, at, word);
	c->len = at + 1;
	c->tail = byte;
}

/* The credential is over. Does it look like a JWT? */
static __always_inline int claims_begin(struct claims *c, const struct tt_cred *cred, const __u64 key[2])
{
	struct tt_ev_claims *e = &c->ev;

	if (c->len < 3 || c->len != cred->length)
		return 0;
	e->token[0] = cred->token[0];
	e->token[1] = cred->token[1];
	e->signed_part[0] = 0;
	e->signed_part[1] = 0;
	e->length = cred->length;
	e->class_id = cred->class_id;
	e->header_len = 0;
	e->payload_len = 0;
	e->flags = c->discloses ? TT_CLAIMS_SD : 0;
	__builtin_memset(e->pad_, 0, sizeof(e->pad_));
	siphash_init(&c->sip, key[0], key[1]);
	c->end = c->len < TT_CLAIMS_TEXT_MAX ? c->len : TT_CLAIMS_TEXT_MAX;
	c->at = 0;
	c->dots = 0;
	c->dot[0] = 0;
	c->dot[1] = 0;
	c->bad = 0;
	c->header_bad = 0;
	c->scanned = 0;
	c->seen = 0;
	c->older = 0;
	c->last = 0;
	return 1;
}

/* ---- its segments ---- */

/* The six bits of a character of base64url, or CLAIMS_CHAR_BAD; '.' is told apart. */
#define CLAIMS_CHAR_BAD 64
#define CLAIMS_CHAR_DOT 128

#define CLAIMS_4(n) (n), (n) + 1, (n) + 2, (n) + 3
#define CLAIMS_12(n) CLAIMS_4(n), CLAIMS_4((n) + 4), CLAIMS_4((n) + 8)
#define CLAIMS_BAD_4 64, 64, 64, 64
#define CLAIMS_BAD_16 CLAIMS_BAD_4, CLAIMS_BAD_4, CLAIMS_BAD_4, CLAIMS_BAD_4
#ifdef __bpf__
const volatile __u8 claims_chars[256] __weak = {
#else
static const __u8 claims_chars[256] = {
#endif
	CLAIMS_BAD_16, CLAIMS_BAD_16,
	CLAIMS_BAD_4, CLAIMS_BAD_4, CLAIMS_BAD_4, 64, 62, 128, 64,	/* - . */
	CLAIMS_4(52), CLAIMS_4(56), 60, 61, 64, 64, CLAIMS_BAD_4,	/* 0 to 9 */
	64, CLAIMS_12(0), CLAIMS_12(12), 24, 25,		/* A to Z */
	64, 64, 64, 64, 63,					/* _ */
	64, CLAIMS_12(26), CLAIMS_12(38), 50, 51,		/* a to z */
	64, 64, 64, 64, 64,
	CLAIMS_BAD_16, CLAIMS_BAD_16, CLAIMS_BAD_16, CLAIMS_BAD_16,
	CLAIMS_BAD_16, CLAIMS_BAD_16, CLAIMS_BAD_16, CLAIMS_BAD_16,
};

static __always_inline __u64 claims_char(__u64 byte)
{
	SIP_MASK(byte, 255);
	return claims_chars[byte];
}

static __always_inline __u64 claims_text(const struct claims *c)
{
	__u64 at = c->at;

	SIP_MASK(at, TT_CLAIMS_TEXT_MAX - 1);
	return load_word(c->ev.text + at);
}

/* Anything else than six bits in the eight bytes? */
static __always_inline __u64 claims_odd(__u64 word)
{
	return (claims_char(word) | claims_char(word >> 8) | claims_char(word >> 16) |
		claims_char(word >> 24) | claims_char(word >> 32) | claims_char(word >> 40) |
		claims_char(word >> 48) | claims_char(word >> 56)) & (CLAIMS_CHAR_BAD | CLAIMS_CHAR_DOT);
}

static __always_inline void claims_dot(struct claims *c)
{
	if (c->dots == 0) {
		c->dot[0] = c->at;
		c->header_bad = c->bad;
		siphash_put(&c->sip, '.');
	} else if (c->dots == 1) {
		c->dot[1] = c->at;
		siphash_final(&c->sip, c->ev.signed_part);
	}
	if (c->dots < 255)
		c->dots++;
}

/* Goes to the end, by eight bytes where nothing is to be told apart. */
static __always_inline void claims_scan(struct claims *c)
{
	__u64 word = claims_text(c);
	__u8 byte = word;

	if (c->end - c->at >= 8 && !claims_odd(word)) {
		if (c->dots < 2)
			siphash_put8(&c->sip, word);
		c->at += 8;
		return;
	}
	if (byte == '.') {
		claims_dot(c);
	} else {
		c->bad |= claims_char(byte) >= CLAIMS_CHAR_BAD;
		if (c->dots < 2)
			siphash_put(&c->sip, byte);
	}
	c->at++;
}

/* ---- its header ---- */

#define CLAIMS_NONE_4 0x6e6f6e65	/* none */
#define CLAIMS_ALG_7 0x22616c67223a22ULL	/* "alg":" */
#define CLAIMS_ALG_4 0x22616c67		/* "alg */
#define CLAIMS_NONE_8 0x223a226e6f6e6522ULL	/* ":"none" */

static __always_inline void claims_header_byte(struct claims *c, __u8 byte)
{
	if (byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r')
		return;
	if (byte < ' ' || byte == '\\')
		c->seen |= CLAIMS_SAW_ODD;
	c->older = c->older << 8 | c->last >> 56;
	c->last = c->last << 8 | byte | 0x20;
	if ((__u32)c->last == CLAIMS_NONE_4)
		c->seen |= CLAIMS_SAW_NONE;
	if ((c->last & 0xffffffffffffffULL) == CLAIMS_ALG_7)
		c->seen |= CLAIMS_SAW_ALG;
	if (c->last == CLAIMS_NONE_8 && (__u32)c->older == CLAIMS_ALG_4)
		c->seen |= CLAIMS_SAW_ALG_NONE;
}

/* Four characters are three bytes. */
static __always_inline void claims_header(struct claims *c)
{
	__u64 word = claims_text(c);
	__u32 left = c->dot[0] - c->at, bits;

	bits = claims_char(word) << 18 | (claims_char(word >> 8) & 63) << 12 |
	       (claims_char(word >> 16) & 63) << 6 | (claims_char(word >> 24) & 63);
	claims_header_byte(c, bits >> 16);
	if (left > 2)
		claims_header_byte(c, bits >> 8);
	if (left > 3)
		claims_header_byte(c, bits);
	c->at += left < 4 ? left : 4;
}

/* ---- the answer ---- */

static __always_inline __u32 claims_size(const struct claims *c)
{
	__u32 payload = c->ev.payload_len;

	return __builtin_offsetof(struct tt_ev_claims, text) + c->ev.header_len +
	       (payload ? payload + 1 : 0);
}

static __always_inline int claims_unsigned(const struct claims *c)
{
	if (c->len > TT_CLAIMS_TEXT_MAX)
		return c->tail == '.';
	return c->dots == 2 && c->dot[1] + 1 == c->end;
}

static __always_inline int claims_verdict(struct claims *c)
{
	struct tt_ev_claims *e = &c->ev;
	__u32 payload = c->dot[1] - c->dot[0] - 1;

	if (!(c->seen & CLAIMS_SAW_ALG))
		return CLAIMS_NONE;
	if (c->dots != 2) {
		e->signed_part[0] = 0;
		e->signed_part[1] = 0;
	}
	if (c->len > TT_CLAIMS_TEXT_MAX)
		e->flags |= TT_CLAIMS_LONG;
	else if (c->dots == 4)
		e->flags |= TT_CLAIMS_JWE;
	if (c->seen & CLAIMS_SAW_ALG_NONE)
		e->flags |= TT_CLAIMS_UNSIGNED | TT_CLAIMS_ALG_NONE;
	else if (claims_unsigned(c))
		e->flags |= TT_CLAIMS_UNSIGNED;
	else if (c->seen & (CLAIMS_SAW_NONE | CLAIMS_SAW_ODD))
		e->flags |= TT_CLAIMS_UNSURE;
	if (c->bad || (c->dots == 2 && (payload & 3) == 1))
		e->flags |= TT_CLAIMS_BAD;
	if (e->flags & (TT_CLAIMS_UNSIGNED | TT_CLAIMS_UNSURE | TT_CLAIMS_BAD))
		return CLAIMS_TELL;
	e->header_len = c->dot[0];
	if (!(e->flags & (TT_CLAIMS_LONG | TT_CLAIMS_JWE)))
		e->payload_len = payload;
	return CLAIMS_TELL;
}

/* Has it the shape of one? Of what is too long the rest of the dots is not known. */
static __always_inline int claims_shape(const struct claims *c)
{
	if (!c->dots || c->header_bad || (c->dot[0] & 3) == 1)
		return 0;
	return c->dots == 2 || c->dots == 4 || c->len > TT_CLAIMS_TEXT_MAX;
}

static __always_inline int claims_step(struct claims *c)
{
	if (!c->scanned && c->at < c->end) {
		claims_scan(c);
		return CLAIMS_NEXT;
	}
	if (!c->scanned) {
		c->scanned = 1;
		c->at = 0;
		return claims_shape(c) ? CLAIMS_NEXT : CLAIMS_NONE;
	}
	if (c->at < c->dot[0]) {
		claims_header(c);
		return CLAIMS_NEXT;
	}
	return claims_verdict(c);
}

#endif
