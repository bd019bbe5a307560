/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reads the body of a request for a token, or of its answer: a form (as URLs have it), JSON, XML, Kubernetes'
 * protobuf or a token alone, cut anywhere, over any number of calls. Like http1.h: plain C for two worlds, one step
 * at a time, calls nobody, knows no table, trusts no byte. mint_step() says what it needs (enum
 * mint_result). Bytes lie in the window of struct h1_work, whose machine for credentials is used.
 *
 * A compressed body is told by its first bytes, since the head's reader does not keep how it is coded: gzip,
 * zlib. Others (brotli, zstd) are no text, and are told of as compressed.
 */
#ifndef TT_READERS_MINT_H
#define TT_READERS_MINT_H

#include "mint_json.h"
#include "mint_proto.h"
#include "mint_xml.h"

static __always_inline void mint_begin(struct mint_body *m, __u8 part, __u8 rule, __u8 plain, __u16 status)
{
	__builtin_memset(m, 0, sizeof(*m) - TT_MINT_TEXT_LEN);
	m->part = part;
	m->rule = rule;
	m->plain = plain;
	m->status = status;
	m->state = M_START;
}

/* ---- forms ---- */

static __always_inline int mint_form_name(struct h1_work *w, struct mint_body *m, __u8 c)
{
	if (!c && !m->member_hash && w->h.name_len == 3 && w->h.name_word == 0x73386b) {	/* "k8s" */
		w->pos++;
		return mint_proto_begin(m);
	}
	if (c < ' ' || c >= 127)	/* in the very first name: compressed in another way */
		return mint_over(m, m->member_hash ? TT_MINT_BAD : TT_MINT_COMPRESSED);
	w->pos++;
	if (c == '&') {	/* a name without a value */
		h1_name_start(&w->h);
		return M_NEXT;
	}
	if (c != '=') {
		if (w->h.name_len < 255)
			h1_name_put(&w->h, c);
		return M_NEXT;
	}
	h1_name_end(&w->h);
	return mint_ask_member(m, TT_NAME_SEED, w->h.name_hash, M_F_NAMED);
}

static __always_inline int mint_form_end(struct h1_work *w, struct mint_body *m)
{
	m->bad |= m->escape != 0;
	h1_name_start(&w->h);
	return mint_value_end(w, m, M_F_NAME);
}

static __always_inline int mint_form_value(struct h1_work *w, struct mint_body *m, __u8 c)
{
	int digit;

	w->pos++;
	if (c == '&')
		return mint_form_end(w, m);
	if (!m->what)
		return M_NEXT;
	if (m->escape) {
		digit = h1_hex(c);
		m->bad |= digit < 0;
		m->bits = m->bits << 4 | (digit & 15);
		if (--m->escape)
			return M_NEXT;
		c = m->bits;
	} else if (c == '%') {
		m->escape = 2;
		m->bits = 0;
		return M_NEXT;
	} else if (c == '+') {
		c = ' ';
	}
	mint_value_put(w, m, c);
	return M_NEXT;
}

/* ---- the step ---- */

static __always_inline int mint_first_text(struct h1_work *w, struct mint_body *m, __u8 c)
{
	if (c == '{' || c == '[') {
		m->format = M_JSON;
		m->state = M_J_VALUE;
	} else if (c == '<') {
		m->format = M_XML;
		m->state = M_X_TEXT;
	} else if (m->plain) {
		m->format = M_TOKEN;
		m->what = TT_MINT_TOKEN;
		m->member = m->plain;
		mint_value_start(w, m);
		m->state = M_PLAIN;
	} else {
		m->format = M_FORM;
		h1_name_start(&w->h);
		m->state = M_F_NAME;
	}
	return M_NEXT;
}

static __always_inline int mint_unpack(struct mint_body *m, __u8 first)
{
	m->packed = M_DEFLATED;
	m->bits = first;
	m->state = M_START;
	return M_PACKED;
}

static __always_inline int mint_first(struct h1_work *w, struct mint_body *m, __u8 c)
{
	if (mint_blank(c)) {
		w->pos++;
		m->gap = 1;
		return M_NEXT;
	}
	if (m->packed || m->gap || (c != 0x1f && c != 'x'))
		return c < ' ' || c >= 127 ? mint_over(m, TT_MINT_COMPRESSED) : mint_first_text(w, m, c);
	w->pos++;
	if (c == 0x1f)	/* gzip: RFC 1952, 2.3.1 */
		return mint_unpack(m, c);
	m->state = M_START_X;
	return M_NEXT;
}

/* zlib's second byte (RFC 1950, 2.2) is no text, but for '^', which its levels 2 to 5 have. */
static __always_inline int mint_first_x(struct h1_work *w, struct mint_body *m, __u8 c, int ended)
{
	if (!ended && (c == 0x01 || c == 0x9c || c == 0xda))
		return mint_unpack(m, 'x');
	mint_first_text(w, m, 'x');
	if (m->format == M_TOKEN)
		mint_value_trimmed(w, m, 'x');
	else
		h1_name_put(&w->h, 'x');
	return M_NEXT;
}

/* No more bytes will come. */
static __always_inline int mint_end(struct h1_work *w, struct mint_body *m)
{
	if (m->state == M_F_VALUE)
		return mint_form_end(w, m);
	if (m->state == M_PLAIN)
		return mint_value_end(w, m, M_OVER);
	if (m->format == M_PROTO)
		return mint_proto_end(m);
	if (m->state == M_F_NAME || m->state == M_START || m->format == M_TOKEN)
		return mint_over(m, TT_MINT_WHOLE);
	return mint_over(m, m->state == M_OVER ? 0 : TT_MINT_INCOMPLETE);
}

static __always_inline int mint_asked(struct h1_work *w, struct mint_body *m)
{
	switch (m->state) {
	case M_CRED_ASKED:
		return mint_cred_asked(w, m);
	case M_P_ASKED:
		return mint_proto_asked(w, m);
	case M_P_DIGITS:
		return mint_proto_digit(w, m);
	case M_J_NAMED:
		mint_take_member(w, m);
		m->state = M_J_COLON;
		return M_NEXT;
	case M_X_NAMED:
		mint_take_member(w, m);
		m->state = M_X_ATTRIBUTES;
		return M_NEXT;
	default:
		mint_take_member(w, m);
		mint_value_start(w, m);
		m->state = M_F_VALUE;
		return M_NEXT;
	}
}

static __always_inline int mint_step(struct h1_work *w, struct mint_body *m)
{
	__u32 off = w->pos - w->base, have = w->fill - off;
	__u8 c;

	if (m->state == M_CRED_ASKED || m->state == M_J_NAMED || m->state == M_X_NAMED || m->state == M_F_NAMED ||
	    m->state == M_P_ASKED || m->state == M_P_DIGITS)
		return mint_asked(w, m);
	if (m->ended && w->pos >= w->total)
		return m->state == M_START_X ? mint_first_x(w, m, 0, 1) : mint_end(w, m);
	if (m->state == M_OVER)
		return M_STOP;
	if (off >= w->fill)
		return M_FILL;
	c = h1_word(w, 0);
	if (m->state == M_START)
		return mint_first(w, m, c);
	if (m->state == M_START_X)
		return mint_first_x(w, m, c, 0);
	if (m->format == M_JSON)
		return mint_json(w, m, c, have);
	if (m->format == M_XML)
		return mint_xml(w, m, c);
	if (m->format == M_PROTO)
		return mint_proto(w, m, c, have);
	if (m->state == M_F_NAME)
		return mint_form_name(w, m, c);
	if (m->state == M_F_VALUE)
		return mint_form_value(w, m, c);
	w->pos++;
	mint_value_trimmed(w, m, c);
	return M_NEXT;
}

#endif
