/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From the value of a credential field to the credential: scheme dropped, Basic decoded to its
 * password, base64(id:key) to the key, quotes and blanks trimmed; then its fingerprint. So one secret
 * has one fingerprint in whatever field it stands.
 */
#ifndef TT_READERS_UNWRAP_H
#define TT_READERS_UNWRAP_H

#include "base64.h"
#include "shape.h"

/* ---- codings ---- */

/* Six more bits of base64. Whether they make a byte whole. */
static __always_inline int h1_base64_put(struct h1_head *h, int bits, __u8 *ret_byte)
{
	h->base64_bits = h->base64_bits << 6 | bits;
	h->nbits += 6;
	if (h->nbits < 8)
		return 0;
	h->nbits -= 8;
	*ret_byte = h->base64_bits >> (h->nbits & 7);
	return 1;
}

/* A digit behind '%'; with the last one, escape is 0 and base64_bits is the byte. Whether it is a digit. */
static __always_inline int h1_percent_put(struct h1_head *h, __u8 c)
{
	int digit = h1_hex(c);

	h->base64_bits = h->base64_bits << 4 | (digit & 15);
	h->escape--;
	return digit >= 0;
}

/* ---- credentials ---- */

/* What was read so far was none of it. */
static __always_inline void h1_cred_restart(struct h1_work *w)
{
	siphash_init(&w->h.sip, w->key[0], w->key[1]);
	claims_restart(&w->c);
	w->h.dots = 0;
	w->h.cut = 0;
}

static __always_inline void h1_cred_start(struct h1_work *w, __u8 value)
{
	struct h1_head *h = &w->h;

	h1_cred_restart(w);
	h->value = value;
	h->scheme = 0;
	h->scheme_hash = 0;
	h->words = 0;
	h->blanks = 0;
	h->escape = 0;
	h->nbits = 0;
	h->base64_bits = 0;
	h->user_len = 0;
	h->cred_flags = 0;
	h->list = 0;
	h->until = 0;
	h->unsure = 0;
	h->unwrap = 0;
	h->pair = 0;
	h1_name_start(h);
}

/* Two dots, and it begins as JSON in base64 does. */
static __always_inline int h1_jwt_like(const struct h1_head *h)
{
	return h->dots == 2 && claims_may_begin(load_word(h->carry));
}

/* An SD-JWT (RFC 9901) is the JWT in front of its first '~': of what follows its holder shows what they like,
 * and all of that are uses of one token. */
static __always_inline int h1_sd_cut(struct h1_work *w, __u8 c)
{
	if (c != '~' || !h1_jwt_like(&w->h))
		return 0;
	w->h.cut = 1;
	w->c.discloses = 1;
	return 1;
}

/* One byte of the credential proper. */
static __always_inline void h1_cred_byte(struct h1_head *h, __u8 c)
{
	__u64 i = h->sip.len;

	if (i < TT_CARRY_LEN) {
		H1_MASK(i, H1_CARRY_BUF - 1);
		h->carry[i] = c;
	}
	h->dots += c == '.';
	siphash_put(&h->sip, c);
}

static __always_inline void h1_cred_put(struct h1_work *w, __u8 c)
{
	if (w->h.cut || h1_sd_cut(w, c))
		return;
	claims_keep(&w->c, w->h.sip.len, c);
	h1_cred_byte(&w->h, c);
}

/* Its end: what class is it? The answer is awaited in H1_S_*CRED_ASKED. */
static __always_inline int h1_cred_end(struct h1_work *w, __u8 then)
{
	struct h1_head *h = &w->h;

	w->ask_len = h->sip.len;
	if ((h->value & H1_V_COLON) && !h->sip.len && h->user_len) {
		w->answer.id = h->user_class;	/* "key:" with nothing behind: the key is the user */
		w->answer.flags = 0;
		w->answer.cred_flags = 0;
		w->d.state = then;
		return H1_NEXT;
	}
	return h1_ask(w, H1_ASK_CLASS, then);
}

/* What is no secret by its class may be told, the first of a head. */
static __always_inline void h1_public(struct h1_work *w, __u8 which)
{
	struct h1_head *h = &w->h;
	__u32 len = h->made.length;

	if (!(w->answer.flags & TT_CLASS_PUBLIC) || h->public_len || len > TT_PUBLIC_LEN ||
	    h->unwrap == TT_UNWRAP_USER)
		return;
	__builtin_memcpy(h->public_id, h->carry, TT_PUBLIC_LEN);
	h->public_len = len;
	h->public_cred = which;
}

/* Of these a head may have any number, and most are no more than a session's: in a start line, or in a list. */
static __always_inline int h1_cred_is_many(const struct h1_work *w)
{
	return w->h.list || w->d.state < H1_S_LINE;
}

/* Enters the credential that was made into the head's list, whose last place is for a field of its own. */
static __always_inline int h1_cred_add(struct h1_work *w)
{
	struct h1_head *h = &w->h;
	__u64 i = h->creds;

	if (i >= TT_CREDS_MAX || (i == TT_CREDS_MAX - 1 && h1_cred_is_many(w))) {
		h->use_flags |= TT_USE_MORE_CREDS;
		return h1_note(w, TT_DROP_more_creds);
	}
	H1_MASK(i, TT_CREDS_MAX - 1);
	h->cred[i] = h->made;
	h->creds++;
	h1_public(w, i);
	return H1_NEXT;
}

static __always_inline void h1_cred_make(struct h1_work *w, const __u64 id[2], __u32 len)
{
	struct h1_head *h = &w->h;
	struct tt_cred *c = &h->made;

	c->token[0] = id[0];
	c->token[1] = id[1];
	c->length = len;
	c->class_id = w->answer.id;
	c->carrier = h->carrier;
	c->scheme = h->scheme;
	c->flags = h->cred_flags | w->answer.cred_flags;
	c->entry = 0;
}

/* Makes the finished credential and enters it. */
static __always_inline int h1_cred_done(struct h1_work *w)
{
	struct h1_head *h = &w->h;
	__u64 id[2];
	__u32 len = h->sip.len;

	if (h->value & H1_V_BAD)
		return h1_note(w, h->value & H1_V_BASIC ? TT_DROP_bad_base64 : TT_DROP_bad_percent);
	/* Six bits left over: one character too many, or the value was cut. */
	if ((h->value & H1_V_BASIC) && (!(h->value & H1_V_COLON) || h->nbits == 6))
		return h1_note(w, TT_DROP_bad_base64);
	siphash_final(&h->sip, id);
	if (!len && h->user_len) {
		id[0] = h->user[0];
		id[1] = h->user[1];
		len = h->user_len;
	}
	if (!len)
		return h1_note(w, TT_DROP_empty_cred);
	h1_cred_make(w, id, len);
	h->items++;
	if (h1_cred_add(w) == H1_NOTE)
		return H1_NOTE;
	return !h->unsure && claims_begin(&w->c, &h->made, w->key) ? H1_CLAIMS : H1_NEXT;
}

/* ---- the value of a credential field ---- */

/* Is it base64(id:key)? Decoded on the side, and for sure only if both parts are visible characters. */
static __always_inline void h1_pair_check(struct h1_head *h, __u8 c)
{
	int bits = base64_value(c);

	if (h->sip.len >= TT_CARRY_LEN || (bits < 0 && c != '=') || (bits >= 0 && (h->pair & H1_PAIR_PADDED))) {
		h->pair |= H1_PAIR_NOT;
		return;
	}
	if (c == '=') {
		h->pair |= H1_PAIR_PADDED;
		return;
	}
	if (!h1_base64_put(h, bits, &c))
		return;
	if (c <= ' ' || c >= 127)
		h->pair |= H1_PAIR_NOT;
	else if (h->pair & H1_PAIR_COLON)
		h->pair |= H1_PAIR_KEY;
	else
		h->pair |= c == ':' ? H1_PAIR_COLON : H1_PAIR_ID;
}

static __always_inline int h1_pair_is(const struct h1_head *h)
{
	return h->unwrap == TT_UNWRAP_PAIR && h->nbits != 6 &&
	       (h->pair & ~H1_PAIR_PADDED) == (H1_PAIR_ID | H1_PAIR_COLON | H1_PAIR_KEY);
}

/* It is one: its text lies in `carry`, where the key takes its place, which is shorter. */
static __always_inline int h1_pair_begin(struct h1_work *w)
{
	struct h1_head *h = &w->h;

	h->pair_len = h->sip.len;
	h->pair = 0;
	h->idx = 0;
	h->nbits = 0;
	h->base64_bits = 0;
	h1_cred_restart(w);
	w->d.state = H1_S_PAIR;
	return H1_NEXT;
}

static __always_inline int h1_pair(struct h1_work *w)
{
	struct h1_head *h = &w->h;
	__u64 i = h->idx;
	__u8 c;

	H1_MASK(i, H1_CARRY_BUF - 1);
	c = h->carry[i];
	if (h->idx >= h->pair_len || c == '=')
		return h1_cred_end(w, H1_S_CRED_ASKED);
	h->idx++;
	if (!h1_base64_put(h, base64_value(c) & 63, &c))
		return H1_NEXT;
	if (h->pair)
		h1_cred_put(w, c);
	else if (c == ':')
		h->pair = H1_PAIR_COLON;
	return H1_NEXT;
}

/* One byte of the value after blanks and quotes were told apart. */
static __always_inline int h1_value_put(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;
	int bits;

	if (!(h->value & H1_V_BASIC)) {
		if (h->unwrap == TT_UNWRAP_PAIR)
			h1_pair_check(h, c);
		if (h->words < 2 && h->name_len <= H1_SCHEME_MAX)
			h1_name_put(h, c);
		h1_cred_put(w, c);
		return H1_NEXT;
	}
	if (c == '=') {
		h->value |= H1_V_PADDED;
		return H1_NEXT;
	}
	bits = base64_value(c);
	if (bits < 0 || (h->value & H1_V_PADDED)) {
		h->value |= H1_V_BAD;
		return H1_NEXT;
	}
	if (!h1_base64_put(h, bits, &c))
		return H1_NEXT;
	if (c != ':' || (h->value & H1_V_COLON)) {
		h1_cred_put(w, c);
		return H1_NEXT;
	}
	h->value |= H1_V_COLON;
	w->pos--;	/* left for the next step, as in h1_name() */
	return h1_cred_end(w, H1_S_USER_ASKED);
}

/* The user part of Basic is kept only as a fingerprint, for "key:" with an empty password. */
static __always_inline int h1_user_asked(struct h1_work *w)
{
	struct h1_head *h = &w->h;

	w->pos++;
	h->user_class = w->answer.id;
	h->user_len = h->sip.len;
	siphash_final(&h->sip, h->user);
	h1_cred_restart(w);
	w->d.state = H1_S_CRED;
	return H1_NEXT;
}

/* Something follows a word and a blank: was the word a scheme? */
static __always_inline int h1_word_end(struct h1_work *w)
{
	struct h1_head *h = &w->h;

	h1_name_end(h);
	if (h->words == 0 && h->name_len <= H1_SCHEME_MAX)
		return h1_ask(w, H1_ASK_SCHEME, H1_S_SCHEME_ASKED);
	if (h->words == 1 && h->scheme_hash && h->name_hash == h->scheme_hash) {
		h->cred_flags |= TT_CRED_DUP_SCHEME;	/* "Bearer Bearer x" */
		h1_cred_restart(w);
		h->value |= H1_V_LEAD;	/* quotes around the rest */
		h->blanks = 0;
	}
	h->words = 2;
	return H1_NEXT;
}

static __always_inline int h1_scheme_asked(struct h1_work *w)
{
	struct h1_head *h = &w->h;

	w->d.state = H1_S_CRED;
	h->words = 1;
	h->blanks = 0;
	h->scheme = w->answer.id ? w->answer.id : TT_SCHEME_OTHER;
	h->scheme_hash = h->name_hash;
	h->value |= H1_V_LEAD;
	h1_cred_restart(w);
	h1_name_start(h);
	h->unwrap = w->answer.unwrap;
	if (h->unwrap == TT_UNWRAP_BASIC)
		h->value |= H1_V_BASIC;
	else if (h->unwrap == TT_UNWRAP_ACCOUNT)
		h1_value_start(w, H1_S_PVALUE);
	else if (h->unwrap == TT_UNWRAP_KEY || h->unwrap == TT_UNWRAP_USER || h->unwrap == TT_UNWRAP_PARAM)
		h1_value_start(w, H1_S_PNAME);
	return H1_NEXT;
}

/* The value was one word: a scheme alone ("Bearer") is no credential. */
static __always_inline int h1_word_asked(struct h1_work *w)
{
	w->d.state = H1_S_LINE;
	if (w->answer.id)
		return h1_note(w, TT_DROP_empty_cred);
	return h1_cred_end(w, H1_S_CRED_ASKED);
}

/* How many dots there are in eight bytes. */
static __always_inline __u32 h1_dots(__u64 word)
{
	__u64 x = word ^ 0x2e2e2e2e2e2e2e2eULL, low7 = 0x7f7f7f7f7f7f7f7fULL;

	return (~(((x & low7) + low7) | x | low7) >> 7) * H1_ONES >> 56;
}

/* Eight bytes of the credential proper, none of which h1_sd_cut() would stop at. */
static __always_inline void h1_cred_word(struct h1_head *h, __u64 word)
{
	__u64 i = h->sip.len;

	if (i < TT_CARRY_LEN) {
		H1_MASK(i, H1_CARRY_BUF - 1);
		store_word(h->carry + i, word);
	}
	h->dots += h1_dots(word);
	siphash_put8(&h->sip, word);
}

/* May a '~' in these bytes be where an SD-JWT's disclosures begin? */
static __always_inline int h1_may_disclose(const struct h1_head *h, __u64 word)
{
	return h1_zero_bytes(word ^ 0x7e7e7e7e7e7e7e7eULL) && claims_may_begin(load_word(h->carry));
}

/* A word of the beginning of a value also goes into the name in case it is a scheme. Whether that is at a
 * word's border. */
static __always_inline int h1_cred_first(struct h1_head *h, __u64 word)
{
	if (h->words >= 2 || h->name_len > H1_SCHEME_MAX)
		return 1;
	if (h->name_len & 7)
		return 0;
	h->name_hash = tt_name_mix(h->name_hash, word | TT_NAME_LOWER);
	h->name_len += 8;
	return 1;
}

/* Up to H1_WORDS times eight bytes of a credential, where no blank or quote is to be told apart.
 * Whether any could be taken. */
static __always_inline int h1_cred_words(struct h1_work *w, __u32 have)
{
	struct h1_head *h = &w->h;
	/* What ends an item of a list; else the quote, where a stretch ends anyway. */
	__u64 end = h->list ? 0x3b3b3b3b3b3b3b3bULL : 0x2222222222222222ULL;
	__u32 i;

	if (h->blanks || (h->value & (H1_V_BASIC | H1_V_QUOTE_HELD)) ||
	    (h->unwrap == TT_UNWRAP_PAIR && !(h->pair & H1_PAIR_NOT)))
		return 0;
	for (i = 0; i < H1_WORDS && have >= 8; i++, have -= 8) {
		__u64 word = h1_word(w, i);

		/* a byte below '#': blank, line end, quote */
		if (((word - 0x2323232323232323ULL) & ~word & 0x8080808080808080ULL) |
		    h1_zero_bytes(word ^ end))
			break;
		if (h->cut)
			continue;
		if (h1_may_disclose(h, word) || !h1_cred_first(h, word))
			break;
		claims_keep_word(&w->c, h->sip.len, word);
		h1_cred_word(h, word);
		h->value &= ~H1_V_LEAD;
	}
	w->pos += 8 * i;
	return i != 0;
}

static __always_inline int h1_cred(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;

	if (c == ';' && h->list)
		return h1_cred_end(w, H1_S_LVALUE_ASKED);	/* left for the next step */
	if (c == '\n' || c == '\r' || c == ' ' || c == '\t') {
		w->pos++;
		if (c == '\n')
			w->d.state = H1_S_LINE;
		else if (c != '\r' && !(h->value & H1_V_LEAD) && h->blanks < 255)
			h->blanks++;
		return H1_NEXT;
	}
	if (h->blanks) {
		if ((h->value & H1_V_SCHEME) && !(h->value & H1_V_QUOTED) && h->words < 2)
			return h1_word_end(w);	/* comes back for this byte */
		h->words = 2;
		h->blanks--;
		if (h->value & H1_V_QUOTE_HELD) {	/* it stood inside after all */
			h->value &= ~H1_V_QUOTE_HELD;
			h->blanks++;
			return h1_value_put(w, '"');
		}
		return h1_value_put(w, ' ');
	}
	if (h->value & H1_V_QUOTE_HELD) {
		h->value &= ~H1_V_QUOTE_HELD;
		return h1_value_put(w, '"');
	}
	w->pos++;
	if (c == '"' && (h->value & H1_V_LEAD)) {
		h->value = (h->value | H1_V_QUOTED) & ~H1_V_LEAD;
		return H1_NEXT;
	}
	h->value &= ~H1_V_LEAD;
	if (c == '"' && (h->value & H1_V_QUOTED)) {
		h->value |= H1_V_QUOTE_HELD;
		return H1_NEXT;
	}
	return h1_value_put(w, c);
}

static __always_inline int h1_cred_asked(struct h1_work *w)
{
	w->d.state = H1_S_LINE;
	return h1_cred_done(w);
}

#endif
