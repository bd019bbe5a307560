/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Kubernetes' protobuf (Content-Type: application/vnd.kubernetes.protobuf), which kubelets, kubectl and Go's
 * controllers speak: "k8s", NUL, then a runtime.Unknown whose typeMeta says the kind and whose raw member
 * holds an object of that kind. Members have rows by the kind's name and the fields' numbers
 * ("TokenRequest.3.1" is status.token); only what a row calls a message is looked into. Numbers become decimal
 * digits, since texts are all that travels. Wire format: protobuf.dev/programming-guides/encoding.
 */
#ifndef TT_READERS_MINT_PROTO_H
#define TT_READERS_MINT_PROTO_H

#include "mint_work.h"

enum { WIRE_VARINT, WIRE_I64, WIRE_LEN, WIRE_I32 = 5 };	/* mint_body.hold */

/* runtime.Unknown (k8s.io/apimachinery, generated.proto) */
#define K8S_TYPE_META 1		/* holds apiVersion = 1, kind = 2 */
#define K8S_KIND 2
#define K8S_RAW 2

#define PROTO_DIGITS 12		/* of a number; larger ones are no time of ours */
#define PROTO_TOP 100000000000ULL	/* what its first digit counts */
#define PROTO_FIELD_MAX 99

static __always_inline int mint_proto_begin(struct mint_body *m)
{
	m->format = M_PROTO;
	m->state = M_P_TAG;
	m->left[0] = ~0U;
	m->escape = 0;
	m->kinds = 0;
	return M_NEXT;
}

static __always_inline __u32 *mint_proto_left(struct mint_body *m)
{
	__u64 i = m->depth;

	H1_MASK(i, 7);
	return &m->left[i];
}

static __always_inline __u64 *mint_proto_path(struct mint_body *m)
{
	__u64 i = m->depth;

	H1_MASK(i, 7);
	return &m->path[i];
}

/* One more byte of this message. */
static __always_inline int mint_proto_take(struct h1_work *w, struct mint_body *m)
{
	__u32 *left = mint_proto_left(m);

	if (!*left)
		return 0;
	--*left;
	w->pos++;
	return 1;
}

/* 1 = whole, 0 = goes on, -1 = too long, or longer than its message */
static __always_inline int mint_proto_varint(struct h1_work *w, struct mint_body *m, __u8 c)
{
	if (m->escape >= 10 || !mint_proto_take(w, m))
		return -1;
	m->kinds |= (__u64)(c & 127) << (7 * (m->escape & 15));
	m->escape++;
	return !(c & 128);
}

static __always_inline void mint_proto_number(struct mint_body *m, __u8 state)
{
	m->kinds = 0;
	m->escape = 0;
	m->state = state;
}

/* The row of this field, by its number as text. */
static __always_inline int mint_proto_ask(struct h1_work *w, struct mint_body *m)
{
	__u64 path = *mint_proto_path(m);
	__u8 number = m->quote;

	m->what = 0;
	m->member = 0;
	m->member_hash = 0;
	mint_proto_number(m, m->hold == WIRE_VARINT ? M_P_NUMBER : M_P_LEN);
	if (!m->depth || !path || !number)
		return M_NEXT;
	h1_name_start(&w->h);
	if (number > 9)
		h1_name_put(&w->h, '0' + number / 10);
	h1_name_put(&w->h, '0' + number % 10);
	h1_name_end(&w->h);
	return mint_ask_member(m, path, w->h.name_hash, M_P_ASKED);
}

static __always_inline int mint_proto_asked(struct h1_work *w, struct mint_body *m)
{
	mint_take_member(w, m);
	m->state = m->hold == WIRE_VARINT ? M_P_NUMBER : M_P_LEN;
	return M_NEXT;
}

static __always_inline int mint_proto_skip(struct mint_body *m, __u32 len)
{
	__u32 *left = mint_proto_left(m);

	if (len > *left)
		return mint_over(m, TT_MINT_BAD);
	*left -= len;
	m->bits = len;
	mint_proto_number(m, len ? M_P_SKIP : M_P_TAG);
	return M_NEXT;
}

static __always_inline int mint_proto_tag(struct h1_work *w, struct mint_body *m, __u8 c)
{
	__u64 number;
	int r;

	if (!m->escape && !*mint_proto_left(m)) {	/* the message's end; that of the outermost is the body's */
		m->depth--;
		return M_NEXT;
	}
	r = mint_proto_varint(w, m, c);
	if (r <= 0)
		return r ? mint_over(m, TT_MINT_BAD) : M_NEXT;
	number = m->kinds >> 3;
	m->hold = m->kinds & 7;
	m->quote = number <= PROTO_FIELD_MAX ? number : 0;
	if (!number)
		return mint_over(m, TT_MINT_BAD);
	switch (m->hold) {
	case WIRE_VARINT:
	case WIRE_LEN:
		return mint_proto_ask(w, m);
	case WIRE_I64:
		return mint_proto_skip(m, 8);
	case WIRE_I32:
		return mint_proto_skip(m, 4);
	default:	/* groups: Kubernetes has none */
		return mint_over(m, TT_MINT_BAD);
	}
}

static __always_inline int mint_proto_open(struct mint_body *m, __u64 path)
{
	if (m->depth >= 7)
		return mint_over(m, TT_MINT_BAD);
	m->depth++;
	*mint_proto_path(m) = path;
	*mint_proto_left(m) = m->bits;
	mint_proto_number(m, M_P_TAG);
	return M_NEXT;
}

static __always_inline int mint_proto_value_end(struct h1_work *w, struct mint_body *m)
{
	mint_proto_number(m, M_P_TAG);
	return mint_value_end(w, m, M_P_TAG);
}

/* A repeated text is one, as a list is in JSON. */
static __always_inline void mint_proto_value_start(struct h1_work *w, struct mint_body *m)
{
	__u8 again = m->what == TT_MINT_TEXT && m->list == m->member && m->text_len > m->text_at;

	m->list = m->what == TT_MINT_TEXT ? m->member : 0;
	if (again) {
		m->bad = 0;
		mint_text_put(m, ' ');
	} else {
		mint_value_start(w, m);
	}
}

/* Of the envelope, and of its typeMeta, whose path is 0. */
static __always_inline int mint_proto_envelope(struct h1_work *w, struct mint_body *m)
{
	if (m->depth) {
		if (m->quote != K8S_KIND || !m->bits)
			return M_NEXT;
		h1_name_start(&w->h);
		m->state = M_P_KIND;
		return M_NEXT;
	}
	if (m->quote == K8S_TYPE_META)
		return mint_proto_open(m, 0);
	if (m->quote != K8S_RAW)
		return M_NEXT;
	return m->path[0] ? mint_proto_open(m, m->path[0]) : mint_over(m, TT_MINT_BAD);	/* of no kind */
}

static __always_inline int mint_proto_len(struct h1_work *w, struct mint_body *m, __u8 c)
{
	int r = mint_proto_varint(w, m, c);

	if (r <= 0)
		return r ? mint_over(m, TT_MINT_BAD) : M_NEXT;
	if (m->kinds > MINT_BODY_MAX)
		return mint_over(m, TT_MINT_BAD);
	if (mint_proto_skip(m, m->kinds) == M_STOP)
		return M_STOP;
	if (!m->depth || !*mint_proto_path(m))
		return mint_proto_envelope(w, m);
	if (m->what == TT_MINT_MESSAGE)
		return mint_proto_open(m, m->member_hash);
	if (!m->what)
		return M_NEXT;
	mint_proto_value_start(w, m);
	m->state = M_P_VALUE;
	return m->bits ? M_NEXT : mint_proto_value_end(w, m);
}

static __always_inline int mint_proto_varint_value(struct h1_work *w, struct mint_body *m, __u8 c)
{
	int r = mint_proto_varint(w, m, c);

	if (r <= 0)
		return r ? mint_over(m, TT_MINT_BAD) : M_NEXT;
	if (m->what != TT_MINT_TEXT || m->kinds / 10 >= PROTO_TOP) {
		mint_proto_number(m, M_P_TAG);
		return M_NEXT;
	}
	mint_value_start(w, m);
	m->list = 0;
	m->escape = PROTO_DIGITS;
	m->state = M_P_DIGITS;
	return M_NEXT;
}

/* The first of the digits that are left. */
static __always_inline int mint_proto_digit(struct h1_work *w, struct mint_body *m)
{
	__u8 digit = m->kinds / PROTO_TOP;

	m->kinds = m->kinds % PROTO_TOP * 10;
	m->escape--;
	if (digit || m->hold || !m->escape) {
		m->hold = 1;
		mint_text_put(m, '0' + digit);
	}
	return m->escape ? M_NEXT : mint_proto_value_end(w, m);
}

/* Up to eight bytes at a time of a token; whether there were any. */
static __always_inline int mint_proto_words(struct h1_work *w, struct mint_body *m, __u32 have)
{
	struct h1_head *h = &w->h;
	__u32 i;

	if (m->what != TT_MINT_TOKEN)
		return 0;
	for (i = 0; i < H1_WORDS && have >= 8 && m->bits >= 8; i++, have -= 8) {
		__u64 word = h1_word(w, i);

		/* none below '!', none from DEL on */
		if (((word - 0x2121212121212121ULL) | (word + 0x0101010101010101ULL) | word) & 0x8080808080808080ULL)
			break;
		if (!h->cut && h1_may_disclose(h, word))
			break;
		if (!h->cut)
			h1_cred_word(h, word);
		m->bits -= 8;
	}
	w->pos += 8 * i;
	return i != 0;
}

static __always_inline int mint_proto_value(struct h1_work *w, struct mint_body *m, __u8 c, __u32 have)
{
	if (!mint_proto_words(w, m, have)) {
		w->pos++;
		m->bits--;
		m->bad |= m->what == TT_MINT_TOKEN && (c <= ' ' || c >= 127);
		mint_value_put(w, m, c);
	}
	return m->bits ? M_NEXT : mint_proto_value_end(w, m);
}

static __always_inline int mint_proto_kind(struct h1_work *w, struct mint_body *m, __u8 c)
{
	w->pos++;
	if (w->h.name_len < 255)
		h1_name_put(&w->h, c);
	if (--m->bits)
		return M_NEXT;
	h1_name_end(&w->h);
	m->path[0] = tt_name_mix(TT_NAME_SEED, w->h.name_hash);
	mint_proto_number(m, M_P_TAG);
	return M_NEXT;
}

static __always_inline int mint_proto(struct h1_work *w, struct mint_body *m, __u8 c, __u32 have)
{
	switch (m->state) {
	case M_P_TAG:
		return mint_proto_tag(w, m, c);
	case M_P_LEN:
		return mint_proto_len(w, m, c);
	case M_P_NUMBER:
		return mint_proto_varint_value(w, m, c);
	case M_P_KIND:
		return mint_proto_kind(w, m, c);
	case M_P_VALUE:
		return mint_proto_value(w, m, c, have);
	default:	/* M_P_SKIP */
		if (have > m->bits)
			have = m->bits;
		w->pos += have;
		m->bits -= have;
		if (!m->bits)
			mint_proto_number(m, M_P_TAG);
		return M_NEXT;
	}
}

/* No more bytes will come. */
static __always_inline int mint_proto_end(struct mint_body *m)
{
	if (m->state != M_P_TAG || m->escape || (m->depth && *mint_proto_left(m)))
		return mint_over(m, TT_MINT_INCOMPLETE);
	if (!m->depth)
		return mint_over(m, TT_MINT_WHOLE);
	m->depth--;
	return M_NEXT;
}

#endif
