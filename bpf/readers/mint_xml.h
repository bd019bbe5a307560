/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * XML bodies, as AWS STS sends them: the text of elements whose local name has a row. No comments, CDATA
 * or DOCTYPE: such an answer is not read further.
 */
#ifndef TT_READERS_MINT_XML_H
#define TT_READERS_MINT_XML_H

#include "mint_work.h"

#define MINT_ENTITY_MAX 7	/* "&#x10FFFF;" and shorter, without '&' and ';' */

static __always_inline int mint_xml_tag(struct h1_work *w, struct mint_body *m, __u8 c)
{
	w->pos++;
	if (c == '!')
		return mint_over(m, TT_MINT_BAD);
	if (c == '?') {
		m->state = M_X_PROLOG;
		return M_NEXT;
	}
	if (c == '/') {
		m->state = M_X_CLOSING;
		return M_NEXT;
	}
	w->pos--;
	if (m->depth >= MINT_DEPTH_MAX)
		return mint_over(m, TT_MINT_BAD);
	h1_name_start(&w->h);
	m->state = M_X_NAME;
	return M_NEXT;
}

static __always_inline int mint_xml_name(struct h1_work *w, struct mint_body *m, __u8 c)
{
	if (c == '>' || c == '/' || mint_blank(c)) {	/* left for M_X_ATTRIBUTES */
		if (!w->h.name_len)
			return mint_over(m, TT_MINT_BAD);
		m->depth++;
		m->quote = 0;
		m->hold = 0;
		h1_name_end(&w->h);
		return mint_ask_member(m, TT_NAME_SEED, w->h.name_hash, M_X_NAMED);
	}
	w->pos++;
	if (c < ' ' || c == '<')
		return mint_over(m, TT_MINT_BAD);
	if (c == ':')
		h1_name_start(&w->h);
	else if (w->h.name_len < 255)
		h1_name_put(&w->h, c);
	return M_NEXT;
}

static __always_inline int mint_xml_close(struct mint_body *m)
{
	if (!m->depth)
		return mint_over(m, TT_MINT_BAD);
	m->state = M_X_TEXT;
	return --m->depth ? M_NEXT : mint_over(m, TT_MINT_WHOLE);
}

static __always_inline int mint_xml_attributes(struct h1_work *w, struct mint_body *m, __u8 c)
{
	w->pos++;
	if (m->quote) {
		if (c == m->quote)
			m->quote = 0;
	} else if (c == '"' || c == '\'') {
		m->quote = c;
	} else if (c == '>') {
		if (m->hold) {	/* "/>": the element is empty */
			m->what = 0;
			return mint_xml_close(m);
		}
		mint_value_start(w, m);
		m->state = M_X_TEXT;
		return M_NEXT;
	}
	m->hold = c == '/';
	return M_NEXT;
}

static __always_inline int mint_xml_entity(struct h1_work *w, struct mint_body *m, __u8 c)
{
	__u8 known = 0;

	w->pos++;
	if (c != ';') {
		if (w->h.name_len >= MINT_ENTITY_MAX || c <= ' ' || c >= 127)
			return mint_over(m, TT_MINT_BAD);
		h1_name_put(&w->h, c);
		return M_NEXT;
	}
	switch (w->h.name_word) {	/* as letters in lower case, first byte lowest */
	case 0x706d61:	/* amp */
		known = '&';
		break;
	case 0x746c:	/* lt */
		known = '<';
		break;
	case 0x7467:	/* gt */
		known = '>';
		break;
	case 0x746f7571:	/* quot */
		known = '"';
		break;
	case 0x736f7061:	/* apos */
		known = '\'';
		break;
	}
	m->bad |= !known;	/* a character by its number: no credential has one */
	m->state = M_X_TEXT;
	if (known)
		mint_value_trimmed(w, m, known);
	return M_NEXT;
}

static __always_inline int mint_xml_text(struct h1_work *w, struct mint_body *m, __u8 c)
{
	w->pos++;
	if (c == '<') {
		m->state = M_X_TAG;
		return M_NEXT;
	}
	if (!m->what)
		return M_NEXT;
	if (c == '&') {
		h1_name_start(&w->h);
		m->state = M_X_ENTITY;
		return M_NEXT;
	}
	mint_value_trimmed(w, m, c);
	return M_NEXT;
}

static __always_inline int mint_xml_until(struct h1_work *w, struct mint_body *m, __u8 c)
{
	w->pos++;
	if (c != '>')
		return M_NEXT;
	if (m->state == M_X_CLOSING)
		return mint_xml_close(m);
	m->state = M_X_TEXT;
	return M_NEXT;
}

static __always_inline int mint_xml(struct h1_work *w, struct mint_body *m, __u8 c)
{
	switch (m->state) {
	case M_X_TEXT:
		return mint_xml_text(w, m, c);
	case M_X_TAG:
		/* A value ends with the element's end; one with elements inside is none. */
		if (m->what && c == '/')
			return mint_value_end(w, m, M_X_TAG);
		if (m->what) {
			m->bad = 1;
			return mint_value_end(w, m, M_X_TAG);
		}
		return mint_xml_tag(w, m, c);
	case M_X_NAME:
		return mint_xml_name(w, m, c);
	case M_X_ATTRIBUTES:
		return mint_xml_attributes(w, m, c);
	case M_X_ENTITY:
		return mint_xml_entity(w, m, c);
	default:
		return mint_xml_until(w, m, c);
	}
}

#endif
