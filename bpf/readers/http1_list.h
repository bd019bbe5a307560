/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Values that are lists of names and values: cookies (RFC 6265, 4.2.1). What an item's value is, its
 * name tells; only those of listed names are looked at, by the machine for credentials.
 */
#ifndef TT_READERS_HTTP1_LIST_H
#define TT_READERS_HTTP1_LIST_H

#include "http1_start.h"

/* The item is over, another one may follow, in a line of its own too. */
static __always_inline int h1_list_next(struct h1_work *w)
{
	w->pos++;
	h1_name_start(&w->h);
	w->h.value_state = H1_S_LNAME;
	w->d.state = H1_S_LNAME;
	return H1_NEXT;
}

/* Up to eight bytes of a name, or all that there are in front of what ends it. */
static __always_inline int h1_list_name_word(struct h1_work *w, __u64 word)
{
	struct h1_head *h = &w->h;
	__u64 ends = h1_zero_bytes(word ^ 0x3d3d3d3d3d3d3d3dULL) |
		     h1_zero_bytes(word ^ 0x3b3b3b3b3b3b3b3bULL) |
		     (((word - 0x2121212121212121ULL) | word) & 0x8080808080808080ULL);
	__u32 n;

	if (!ends) {
		h->name_hash = tt_name_mix(h->name_hash, word | TT_NAME_LOWER);
		h->name_len += 8;
		w->pos += 8;
		return 1;
	}
	n = h1_first_mark(ends) & 7;
	if (!n)
		return 0;
	h->name_word = (word | TT_NAME_LOWER) & ((1ULL << (8 * n)) - 1);
	h->name_len += n;
	w->pos += n;
	return 1;
}

static __always_inline int h1_list_name(struct h1_work *w, __u8 c, __u64 word, __u32 have)
{
	struct h1_head *h = &w->h;

	if (have >= 8 && !(h->name_len & 7) && h->name_len < 128 && h1_list_name_word(w, word))
		return H1_NEXT;
	if (c == ';')
		return h1_list_next(w);
	if (c == '=') {
		h1_name_end(h);
		return h1_ask(w, H1_ASK_COOKIE, H1_S_LNAME_ASKED);	/* '=' is left, as in h1_name() */
	}
	w->pos++;
	if (c == '\n')
		w->d.state = H1_S_LINE;
	else if (c > ' ' && h->name_len < 255)
		h1_name_put(h, c);
	return H1_NEXT;
}

static __always_inline int h1_list_name_asked(struct h1_work *w)
{
	struct h1_head *h = &w->h;

	w->pos++;
	h->value_state = H1_S_LSKIP;
	if (w->answer.id) {
		h1_cred_start(w, H1_V_LEAD);
		h->carrier = w->answer.id;
		h->list = 1;
		h->unsure = w->answer.length;
		h->value_state = H1_S_CRED;
	}
	w->d.state = h->value_state;
	return H1_NEXT;
}

/* To the end of the item, up to H1_WORDS times eight bytes a step. */
static __always_inline int h1_list_skip(struct h1_work *w, __u8 c, __u32 have)
{
	__u32 i;

	for (i = 0; i < H1_WORDS && have >= 8; i++, have -= 8) {
		__u64 word = h1_word(w, i);
		__u64 marks = h1_zero_bytes(word ^ 0x0a0a0a0a0a0a0a0aULL) |
			      h1_zero_bytes(word ^ 0x3b3b3b3b3b3b3b3bULL);

		if (marks) {
			w->pos += 8 * i + h1_first_mark(marks);
			if (i || h1_first_mark(marks))
				return H1_NEXT;
			break;
		}
	}
	if (i) {
		w->pos += 8 * i;
		return H1_NEXT;
	}
	if (c == ';')
		return h1_list_next(w);
	w->pos++;
	if (c == '\n')
		w->d.state = H1_S_LINE;
	return H1_NEXT;
}

static __always_inline int h1_list_value_asked(struct h1_work *w)
{
	int r = h1_cred_done(w);

	h1_list_next(w);
	return r;
}

#endif
