/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the head of a response says of the credential that its request carried: scopes, expiry, why it was
 * refused, and the server's name for the request. Read only where h1_work.heads says so. Its texts are
 * public; a word that could be a secret is replaced all the same (words.h).
 *
 * They become items: row (enum tt_said), length, words with a blank between them. Three stretches of
 * h1_said.text hold them: names of this request; what is granted, where the last word counts; and the rest,
 * which adds up. A list that is long goes on in another item.
 */
#ifndef TT_READERS_SAID_H
#define TT_READERS_SAID_H

#include "http1_start.h"
#include "words.h"

#define SAID_ITEM_FULL 128	/* from here on a list goes on in another item */
#define SAID_VALUE_MAX 2048	/* bytes of one field that are looked at */

enum said_part {
	SAID_WORDS,	/* the value is the text */
	SAID_NAME,	/* of a challenge (RFC 9110, 11.6.1): a scheme or a parameter's name */
	SAID_VALUE,	/* of a parameter that is told */
	SAID_OTHER,	/* of one that is not */
	SAID_COOKIE,	/* a cookie's name */
};

/* ---- items ---- */

static __always_inline int said_is_list(__u8 row)
{
	return row == TT_SAID_SCOPES || row == TT_SAID_NEEDED || row == TT_SAID_SCOPE;
}

/* Where the stretch of this row's items ends that are there already, and where it ends at all. */
static __always_inline __u16 *said_stretch(struct h1_said *s, __u8 row, __u16 *ret_limit)
{
	if (row >= TT_SAID_IDS) {
		*ret_limit = SAID_GRANTED;
		return &s->ids_end;
	}
	*ret_limit = row <= TT_SAID_EXPIRES ? SAID_GATHERED : SAID_LEN;
	return row <= TT_SAID_EXPIRES ? &s->granted_end : &s->gathered_end;
}

static __always_inline void said_byte(struct h1_said *s, __u8 c)
{
	__u64 i = s->at;

	if (i >= s->limit || i - s->item_at >= 257) {
		s->over = 1;
		return;
	}
	H1_MASK(i, 1023);
	s->text[i] = c;
	s->at++;
}

static __always_inline void said_word_begin(struct h1_said *s)
{
	s->word_at = s->at;
	s->hidden = 0;
	word_start(&s->word);
}

static __always_inline void said_item_begin(struct h1_said *s, __u8 row)
{
	s->at = *said_stretch(s, row, &s->limit);
	s->row = row;
	s->item_at = s->at;
	s->open = 1;
	s->gap = 0;
	s->over = 0;
	said_byte(s, row);
	said_byte(s, 0);
	said_word_begin(s);
}

/* Of what has no room the whole words of a list stay. */
static __always_inline void said_item_end(struct h1_said *s)
{
	__u64 i = s->item_at + 1;
	__u16 limit;

	if (!s->open)
		return;
	s->open = 0;
	if (s->over) {
		s->cut = 1;
		s->at = said_is_list(s->row) ? s->word_at : s->item_at;
		if (s->at > s->item_at + 2)
			s->at--;	/* the blank before the word */
	}
	if (s->at <= s->item_at + 2 && (s->over || s->row != TT_SAID_NONCE))
		return;
	H1_MASK(i, 1023);
	s->text[i] = s->at - s->item_at - 2;
	*said_stretch(s, s->row, &limit) = s->at;
}

/* What a byte does, in this order. */
#define SAID_DISCARD 1	/* the item that is open is none */
#define SAID_END 2
#define SAID_BEGIN 4	/* one of the row in `next` */
#define SAID_PUT 8

static __always_inline void said_word(struct h1_said *s, __u8 c)
{
	int suspect;

	if (c >= 127 || c == '"' || c == '\\')
		c = '?';
	suspect = s->row == TT_SAID_AMZ_ID ? !word_is_key(c, s->at - s->word_at) :
					     word_suspect(&s->word, c);
	if (!suspect) {
		said_byte(s, c);
		return;
	}
	s->at = s->word_at;
	s->hidden = 1;
	s->dots = 5;
}

/* Has the byte to wait for the blank before it, or for another item of its list? */
static __always_inline __u32 said_gap(struct h1_said *s)
{
	s->gap = 0;
	if (!said_is_list(s->row) || s->at - s->item_at <= SAID_ITEM_FULL) {
		said_byte(s, ' ');
		said_word_begin(s);
		return 0;
	}
	s->next = s->row;
	return SAID_END | SAID_BEGIN;
}

/* ---- challenges ---- */

/* Hashes of names: the unit test compares them with tt_name_hash(). */
#define SAID_NAME_ERROR 0x89da8c8596224335ULL
#define SAID_NAME_SCOPE 0xdb116b8f93d28721ULL
#define SAID_NAME_RESOURCE 0xfc4efff16e3e737aULL
#define SAID_NAME_REQUIREMENT 0xdfe6fd3ac101cbb5ULL

static __always_inline __u8 said_parameter(const struct h1_said *s, __u64 name)
{
	if (s->requires)
		return name == SAID_NAME_REQUIREMENT ? TT_SAID_REQUIREMENT : 0;
	return name == SAID_NAME_ERROR	  ? TT_SAID_ERROR :
	       name == SAID_NAME_SCOPE	  ? TT_SAID_SCOPE :
	       name == SAID_NAME_RESOURCE ? TT_SAID_RESOURCE : 0;
}

/* A word is over that is no parameter's name: a scheme if it may be one; else what follows a scheme, which
 * may be a secret and was not kept. */
static __always_inline __u32 said_scheme_end(struct h1_head *h)
{
	__u32 todo = h->name_len > H1_SCHEME_MAX ? SAID_DISCARD : SAID_END;

	h1_name_start(h);
	return todo;
}

static __always_inline __u32 said_name(struct h1_head *h, struct h1_said *s, __u8 c)
{
	__u32 todo = SAID_PUT;
	__u8 row;

	if (c == ' ' || c == ',' || c == ';') {
		if (h->name_len)
			s->scheme_next = 0;
		if (c == ',')
			s->scheme_next = !s->requires;
		return said_scheme_end(h);
	}
	if (c == '=') {
		h1_name_end(h);
		row = said_parameter(s, h->name_hash);
		h1_name_start(h);
		s->part = row ? SAID_VALUE : SAID_OTHER;
		s->quote = 0;
		s->next = row;
		return row ? SAID_DISCARD | SAID_BEGIN : SAID_DISCARD;
	}
	if (!h->name_len && s->scheme_next) {
		s->next = TT_SAID_SCHEME;
		todo |= SAID_BEGIN;
	}
	if (h->name_len < 255)
		h1_name_put(h, c);
	return todo;
}

static __always_inline __u32 said_value_end(struct h1_said *s, __u8 c)
{
	s->part = SAID_NAME;
	s->scheme_next = c == ',' && !s->requires;
	return SAID_END;
}

/* quote: 1 = within quotes, 2 = behind a backslash there (RFC 9110, 5.6.4) */
static __always_inline __u32 said_value(struct h1_said *s, __u8 c)
{
	if (s->quote == 2) {
		s->quote = 1;
	} else if (s->quote && c == '\\') {
		s->quote = 2;
		return 0;
	} else if (c == '"') {
		s->quote = !s->quote;
		return s->quote ? 0 : said_value_end(s, c);
	} else if (!s->quote && (c == ' ' || c == ',' || c == ';')) {
		return said_value_end(s, c);
	}
	if (s->part == SAID_VALUE && s->row == TT_SAID_RESOURCE && (c == '?' || c == '#')) {
		s->part = SAID_OTHER;	/* a query may have anything in it */
		return SAID_END;
	}
	return SAID_PUT;
}

/* ---- fields ---- */

static __always_inline void said_init(struct h1_head *h)
{
	struct h1_said *s = &h->said;

	if (h->saying)
		return;
	h->saying = 1;
	s->ids_end = 0;
	s->granted_end = SAID_GRANTED;
	s->gathered_end = SAID_GATHERED;
	s->cut = 0;
}

/* A field's value begins. */
static __always_inline void said_field(struct h1_work *w, __u16 row)
{
	struct h1_said *s = &w->h.said;

	h1_value_start(w, H1_S_SAID);
	said_init(&w->h);
	s->field = row;
	s->field_at = *said_stretch(s, row, &s->limit);
	s->bytes = 0;
	s->dots = 0;
	s->open = 0;
	s->quote = 0;
	s->requires = row == TT_SAID_REQUIREMENT;
	s->scheme_next = row == TT_SAID_SCHEME;
	s->part = row == TT_SAID_SCHEME || row == TT_SAID_REQUIREMENT ? SAID_NAME :
		  row == TT_SAID_COOKIE ? SAID_COOKIE : SAID_WORDS;
	if (s->part == SAID_WORDS)
		said_item_begin(s, row);
	if (row != TT_SAID_NONCE)
		return;
	said_item_end(s);	/* only that it is there */
	h1_value_start(w, H1_S_SKIP);
}

/* Bytes that the field has added; for the table of HTTP/2. */
static __always_inline __u32 said_field_len(struct h1_said *s)
{
	__u16 limit;

	return *said_stretch(s, s->field, &limit) - s->field_at;
}

/* The field does not count after all. */
static __always_inline void said_undo(struct h1_said *s)
{
	__u16 limit;

	*said_stretch(s, s->field, &limit) = s->field_at;
}

/* To the line's end nothing more is of interest. */
static __always_inline int said_enough(struct h1_work *w)
{
	w->h.value_state = H1_S_SKIP;
	w->d.state = H1_S_SKIP;
	return H1_NEXT;
}

static __always_inline int said_cookie(struct h1_work *w, __u8 c)
{
	if (c == '=') {
		h1_name_end(&w->h);
		return h1_ask(w, H1_ASK_SET_COOKIE, H1_S_SAID_ASKED);	/* '=' is left, as in h1_name() */
	}
	w->pos++;
	if (c == ';')
		return said_enough(w);
	if (c != ' ' && w->h.name_len < 255)
		h1_name_put(&w->h, c);
	return H1_NEXT;
}

static __always_inline int said_asked(struct h1_work *w)
{
	struct h1_said *s = &w->h.said;

	w->pos++;
	if (w->answer.id) {
		said_item_begin(s, TT_SAID_COOKIE);
		said_byte(s, w->answer.id);
		said_byte(s, w->answer.id >> 8);
		said_item_end(s);
	}
	return said_enough(w);
}

static __always_inline __u32 said_todo(struct h1_work *w, __u8 c)
{
	struct h1_said *s = &w->h.said;
	__u32 todo = SAID_PUT;

	if (s->part == SAID_NAME)
		todo = said_name(&w->h, s, c);
	else if (s->part != SAID_WORDS)
		todo = said_value(s, c);
	if (!(todo & SAID_PUT) || (!s->open && !(todo & SAID_BEGIN)))
		return todo & ~SAID_PUT;
	if (c == ' ' || (c == ',' && said_is_list(s->row))) {
		s->gap = s->at > s->item_at + 2;
		return 0;
	}
	if (s->gap && !s->over && !(todo & SAID_BEGIN))
		todo |= said_gap(s);
	return todo;
}

static __always_inline void said_do(struct h1_said *s, __u32 todo, __u8 c)
{
	if (todo & SAID_DISCARD)
		s->open = 0;
	if (todo & SAID_END)
		said_item_end(s);
	if (todo & SAID_BEGIN)
		said_item_begin(s, s->next);
	if ((todo & SAID_PUT) && !s->hidden && !s->over)
		said_word(s, c);
}

/* A byte of the value. */
static __always_inline int said_take(struct h1_work *w, __u8 c)
{
	struct h1_said *s = &w->h.said;

	if (c < ' ' || c == 127)
		c = ' ';	/* CR before LF, TAB, a line that goes on */
	if (s->part == SAID_COOKIE)
		return said_cookie(w, c);
	w->pos++;
	said_do(s, said_todo(w, c), c);
	return H1_NEXT;
}

/* After H1_SAID. */
static __always_inline int said_step(struct h1_work *w)
{
	struct h1_said *s = &w->h.said;
	__u64 i = w->pos - w->base;
	int over;

	if (w->d.state == H1_S_SAID_ASKED)
		return said_asked(w);
	if (s->dots) {	/* of a word that is replaced */
		said_byte(s, s->dots == 5 ? '{' : s->dots == 1 ? '}' : '.');
		s->dots--;
		return H1_NEXT;
	}
	if (w->d.state == H1_S_SAID_END) {
		said_do(s, s->part == SAID_NAME ? said_scheme_end(&w->h) : SAID_END, 0);
		w->d.state = H1_S_LINE;
		return H1_NEXT;
	}
	H1_MASK(i, H1_WINDOW - 1);
	over = ++s->bytes > SAID_VALUE_MAX;
	if (w->buf[i] == '\n') {
		w->pos++;
		w->d.state = H1_S_LINE;
		return H1_NEXT;
	}
	if (!over)
		return said_take(w, w->buf[i]);
	s->cut = 1;
	s->part = SAID_OTHER;	/* what it was reading is dropped */
	s->open = 0;
	return said_enough(w);
}

/* Items of a field that came before, by its entry in HTTP/2's table. */
static __always_inline void said_load(struct h1_head *h, __u8 row, const void *from, __u64 len)
{
	struct h1_said *s = &h->said;
	__u16 limit, *end;
	__u64 at;

	said_init(h);
	end = said_stretch(s, row, &limit);
	at = *end;
	H1_MASK(len, 255);
	if (at + len > limit) {
		s->cut = 1;
		return;
	}
	*end = at + len;
	H1_MASK(at, 1023);
	H2_COPY(s->text + at, from, len);
}

#endif
