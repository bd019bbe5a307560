/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * JSON bodies (RFC 8259): the values of members that have a row, by their path of up to MINT_PATH_MAX
 * names. Strings are unescaped; a list of texts is one text. What is no JSON ends the reading.
 */
#ifndef TT_READERS_MINT_JSON_H
#define TT_READERS_MINT_JSON_H

#include "mint_work.h"

static __always_inline int mint_in_object(const struct mint_body *m)
{
	return m->kinds >> (m->depth & 63) & 1;
}

static __always_inline __u64 mint_path(const struct mint_body *m)
{
	__u64 i = m->depth;

	if (i > MINT_PATH_MAX)
		return 0;
	H1_MASK(i, 7);
	return m->path[i];
}

static __always_inline int mint_open(struct mint_body *m, int object)
{
	__u64 i, path = object ? m->depth ? m->member_hash : TT_NAME_SEED : 0;

	if (m->depth >= MINT_DEPTH_MAX)
		return mint_over(m, TT_MINT_BAD);
	if (!object && m->what && m->what != TT_MINT_TOKEN && !m->list) {
		m->list = m->depth + 1;
		m->bad = 0;
		mint_text_start(m);
	} else if (m->list) {	/* a list of other things */
		m->list = 0;
		m->bad = 1;
		mint_text_end(m);
		m->what = 0;
	} else {
		m->what = 0;
	}
	i = ++m->depth;
	m->kinds = (m->kinds & ~(1ULL << (i & 63))) | (__u64)object << (i & 63);
	H1_MASK(i, 7);
	if (m->depth <= MINT_PATH_MAX)
		m->path[i] = path;
	m->member_hash = 0;
	m->state = object ? M_J_NAME_WAIT : M_J_VALUE;
	return M_NEXT;
}

static __always_inline int mint_close(struct mint_body *m, int object)
{
	if (!m->depth || mint_in_object(m) != object)
		return mint_over(m, TT_MINT_BAD);
	if (m->list == m->depth) {
		m->list = 0;
		mint_text_end(m);
		m->what = 0;
	}
	m->depth--;
	m->state = M_J_AFTER;
	return m->depth ? M_NEXT : mint_over(m, TT_MINT_WHOLE);
}

static __always_inline int mint_json_value(struct h1_work *w, struct mint_body *m, __u8 c)
{
	if (c == '{' || c == '[') {
		w->pos++;
		return mint_open(m, c == '{');
	}
	if (c == ']') {
		w->pos++;
		return mint_close(m, 0);
	}
	if (!m->list)
		mint_value_start(w, m);
	else
		mint_text_put(m, ' ');
	if (c != '"') {	/* no token is a number, no text is null */
		if (m->what == TT_MINT_TOKEN)
			m->what = 0;
		m->bad |= c == 'n';
		m->state = M_J_WORD;
		return M_NEXT;
	}
	w->pos++;
	m->state = m->what == TT_MINT_TOKEN ? M_J_TOKEN : m->what ? M_J_TEXT : M_J_SKIP;
	return M_NEXT;
}

/* A value of a list goes on to the next one, with the list's member. */
static __always_inline int mint_json_end(struct h1_work *w, struct mint_body *m)
{
	if (!m->list)
		return mint_value_end(w, m, M_J_AFTER);
	m->state = M_J_AFTER;
	return M_NEXT;
}

static __always_inline int mint_json_word(struct h1_work *w, struct mint_body *m, __u8 c)
{
	if (c == ',' || c == '}' || c == ']' || mint_blank(c))
		return mint_json_end(w, m);
	if (c <= ' ' || c == '"' || c == '{' || c == '[' || c == ':' || c >= 127)
		return mint_over(m, TT_MINT_BAD);
	w->pos++;
	mint_value_put(w, m, c);
	return M_NEXT;
}

/* What a backslash and this letter stand for; 0 = no such escape. */
static __always_inline __u8 mint_escaped(__u8 c)
{
	switch (c) {
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	case '"':
	case '\\':
	case '/':
		return c;
	default:
		return 0;
	}
}

/* escape: 5 = behind the backslash, 4 to 1 = hexadecimal digits still to come */
static __always_inline int mint_json_escape(struct h1_work *w, struct mint_body *m, __u8 c)
{
	int digit;

	w->pos++;
	if (m->escape == 5) {
		m->bits = 0;
		m->escape = c == 'u' ? 4 : 0;
		if (c == 'u')
			return M_NEXT;
		c = mint_escaped(c);
		if (!c)
			return mint_over(m, TT_MINT_BAD);
	} else {
		digit = h1_hex(c);
		if (digit < 0)
			return mint_over(m, TT_MINT_BAD);
		m->bits = m->bits << 4 | (digit & 15);
		if (--m->escape)
			return M_NEXT;
		c = m->bits;
		if (!m->bits || m->bits >= 128) {	/* no credential has such a character */
			m->bad = 1;
			return M_NEXT;
		}
	}
	if (m->state == M_J_NAME) {
		if (w->h.name_len < 255)
			h1_name_put(&w->h, c);
	} else {
		mint_value_put(w, m, c);
	}
	return M_NEXT;
}

static __always_inline int mint_json_name_end(struct h1_work *w, struct mint_body *m)
{
	__u64 path = mint_path(m);

	m->member = 0;
	m->what = 0;
	m->member_hash = 0;
	m->state = M_J_COLON;
	if (!path || m->bad || w->h.name_len >= 255)
		return M_NEXT;
	h1_name_end(&w->h);
	return mint_ask_member(m, path, w->h.name_hash, M_J_NAMED);
}

/* Up to eight bytes of a string that are neither its end nor an escape; whether there was one. */
static __always_inline int mint_json_words(struct h1_work *w, struct mint_body *m, __u32 have)
{
	struct h1_head *h = &w->h;
	__u32 i;

	for (i = 0; i < H1_WORDS && have >= 8; i++, have -= 8) {
		__u64 word = h1_word(w, i);

		if (h1_zero_bytes(word ^ 0x2222222222222222ULL) | h1_zero_bytes(word ^ 0x5c5c5c5c5c5c5c5cULL) |
		    ((word - 0x2020202020202020ULL) & ~word & 0x8080808080808080ULL))
			break;
		if (m->state != M_J_TOKEN || h->cut)
			continue;
		if (h1_may_disclose(h, word))
			break;
		h1_cred_word(h, word);
	}
	w->pos += 8 * i;
	return i != 0;
}

static __always_inline int mint_json_string(struct h1_work *w, struct mint_body *m, __u8 c)
{
	if (m->escape)
		return mint_json_escape(w, m, c);
	if (c < ' ')	/* RFC 8259, 7 */
		return mint_over(m, TT_MINT_BAD);
	w->pos++;
	if (c == '\\') {
		m->escape = 5;
	} else if (c == '"') {
		if (m->state == M_J_NAME)
			return mint_json_name_end(w, m);
		return mint_json_end(w, m);
	} else if (m->state != M_J_NAME) {
		mint_value_put(w, m, c);
	} else if (w->h.name_len < 255) {
		h1_name_put(&w->h, c);
	}
	return M_NEXT;
}

static __always_inline int mint_json_name_wait(struct h1_work *w, struct mint_body *m, __u8 c)
{
	w->pos++;
	if (c == '}')
		return mint_close(m, 1);
	if (c != '"')
		return mint_over(m, TT_MINT_BAD);
	h1_name_start(&w->h);
	m->bad = 0;
	m->escape = 0;
	m->state = M_J_NAME;
	return M_NEXT;
}

static __always_inline int mint_json_after(struct h1_work *w, struct mint_body *m, __u8 c)
{
	w->pos++;
	if (c == '}' || c == ']')
		return mint_close(m, c == '}');
	if (c != ',')
		return mint_over(m, TT_MINT_BAD);
	m->state = mint_in_object(m) ? M_J_NAME_WAIT : M_J_VALUE;
	return M_NEXT;
}

static __always_inline int mint_json(struct h1_work *w, struct mint_body *m, __u8 c, __u32 have)
{
	switch (m->state) {
	case M_J_SKIP:
	case M_J_TOKEN:
		if (!m->escape && mint_json_words(w, m, have))
			return M_NEXT;
		return mint_json_string(w, m, c);
	case M_J_NAME:
	case M_J_TEXT:
		return mint_json_string(w, m, c);
	case M_J_WORD:
		return mint_json_word(w, m, c);
	}
	if (mint_blank(c)) {
		w->pos++;
		return M_NEXT;
	}
	switch (m->state) {
	case M_J_VALUE:
		return mint_json_value(w, m, c);
	case M_J_NAME_WAIT:
		return mint_json_name_wait(w, m, c);
	case M_J_COLON:
		w->pos++;
		m->state = M_J_VALUE;
		return c == ':' ? M_NEXT : mint_over(m, TT_MINT_BAD);
	default:
		return mint_json_after(w, m, c);
	}
}

#endif
