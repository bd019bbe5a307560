/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Header lines (RFC 9112, 5): which field it is, and the values the reader needs for itself. */
#ifndef TT_READERS_HTTP1_FIELDS_H
#define TT_READERS_HTTP1_FIELDS_H

#include "said.h"
#include "http1_list.h"
#include "http1_params.h"
#include "http1_subprotocol.h"

/* A field is over once the next line does not begin with a blank (obs-fold, RFC 9112, 5.2). */
static __always_inline int h1_field_end(struct h1_work *w)
{
	struct h1_head *h = &w->h;
	__u8 state = h->value_state;

	h->value_state = H1_S_SKIP;
	if (state == H1_S_LENGTH && (h->blanks == 1 || !h->name_len))
		return h1_bad(w, TT_DROP_bad_length);
	if (state == H1_S_CODING) {
		/* "chunked", lower case, first byte lowest */
		if (h->name_len == 7 && h->name_word == 0x64656b6e756863ULL)
			h->flags = (h->flags | H1_F_CHUNKED) & ~H1_F_CODING;
		else
			h->flags = (h->flags | H1_F_CODING) & ~H1_F_CHUNKED;
	}
	if (state == H1_S_UPGRADE && h->name_len == 3 && h->name_word == 0x633268ULL)	/* "h2c" */
		h->flags |= H1_F_H2C;
	if (state == H1_S_SAID)
		w->d.state = H1_S_SAID_END;
	if (state >= H1_S_PNAME && state <= H1_S_PVALUE)
		return h1_params_end(w, state);
	if (state == H1_S_SVALUE)
		return h1_cred_end(w, H1_S_CRED_ASKED);
	if (state != H1_S_CRED)
		return H1_NEXT;
	if ((h->value & H1_V_SCHEME) && !h->words && h->name_len <= H1_SCHEME_MAX &&
	    !(h->value & H1_V_QUOTED)) {
		h1_name_end(h);	/* one word: a credential, or a scheme with nothing behind? */
		return h1_ask(w, H1_ASK_SCHEME, H1_S_WORD_ASKED);
	}
	return h1_pair_is(h) ? h1_pair_begin(w) : h1_cred_end(w, H1_S_CRED_ASKED);
}

static __always_inline int h1_line(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;

	if (c == ' ' || c == '\t') {
		w->d.state = h->value_state;
		return H1_NEXT;	/* the blank is the value's own */
	}
	if (h->value_state != H1_S_SKIP)
		return h1_field_end(w);
	if (c == '\r') {
		w->pos++;
		return H1_NEXT;
	}
	if (c == '\n') {
		w->pos++;
		w->d.state = H1_S_HEAD_END;
		return H1_HEAD;
	}
	h1_name_start(h);
	w->d.state = H1_S_NAME;
	return H1_NEXT;
}

/* Up to eight bytes of a name at once, to its colon; whether there was one to take. */
static __always_inline int h1_name_word(struct h1_work *w, __u64 word)
{
	struct h1_head *h = &w->h;
	__u64 colon = h1_zero_bytes(word ^ 0x3a3a3a3a3a3a3a3aULL);
	/* Blanks, controls and bytes above 127 are left to the slow way, which tells the reason. */
	__u64 odd = ((word - 0x2121212121212121ULL) | word) & 0x8080808080808080ULL;
	__u32 n;

	if (!colon && !odd) {
		h->name_prev = word | TT_NAME_LOWER;
		h->name_hash = tt_name_mix(h->name_hash, h->name_prev);
		h->name_len += 8;
		w->pos += 8;
		return 1;
	}
	n = h1_first_mark(colon | odd) & 7;
	if (!n || !(colon & -colon) || ((colon | odd) & -(colon | odd)) != (colon & -colon))
		return 0;
	h->name_word = (word | TT_NAME_LOWER) & ((1ULL << (8 * n)) - 1);
	h->name_len += n;
	w->pos += n;
	return 1;
}

/* Lengths of names of a response that matter: those that what follows it depends on, ... */
#define H1_LENGTHS (1ULL << 14 | 1ULL << 17 | 1ULL << 7)
/* ... and those of what said.h reads. */
#define H1_LENGTHS_SAID (1ULL << 8 | 1ULL << 10 | 1ULL << 14 | 1ULL << 16 | 1ULL << 17 | 1ULL << 19 | \
			 1ULL << 23 | 1ULL << 38)

static __always_inline int h1_name_matters(const struct h1_work *w)
{
	__u64 lengths = w->heads ? H1_LENGTHS | H1_LENGTHS_SAID : H1_LENGTHS;

	return w->h.name_len < 64 && (lengths >> (w->h.name_len & 63) & 1);
}

static __always_inline int h1_name(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;

	/* Not all of these are tchar (RFC 9110, 5.6.2), but the fast way doesn't tell them apart. */
	if (c <= ' ' || c >= 128)
		return h1_bad(w, TT_DROP_bad_header);
	if (c != ':') {
		w->pos++;
		if (h->name_len < 255)
			h1_name_put(h, c);
		return H1_NEXT;
	}
	if (!h->name_len)
		return h1_bad(w, TT_DROP_bad_header);
	if (w->d.kind == H1_RESPONSES && !h1_name_matters(w)) {
		w->pos++;
		h1_value_start(w, H1_S_SKIP);
		return H1_NEXT;
	}
	h1_name_end(h);
	/* The colon is left for the next step: an answer must not have to outlive a call. */
	return h1_ask(w, H1_ASK_HEADER, H1_S_NAME_ASKED);
}

/* ---- values that are reported as they are ---- */

#define H1_TEXT_RUN_MAX 20	/* so many letters and digits in a row are taken for a secret */

static __always_inline void h1_text_start(struct h1_head *h, __u8 control)
{
	h->idx = control;
	h->segment = 0;
	h->segment_run = 0;
	if (control == TT_CONTROL_MCP_METHOD)
		h->mcp_method_len = 0;
	else
		h->mcp_name_len = 0;
}

static __always_inline void h1_text_put(struct h1_head *h, __u8 c)
{
	__u64 i;

	if (h->idx == TT_CONTROL_MCP_METHOD) {
		i = h->mcp_method_len;
		if (i >= TT_MCP_METHOD_LEN)
			return;
		H1_MASK(i, TT_MCP_METHOD_LEN - 1);
		h->mcp_method[i] = c;
		h->mcp_method_len++;
		return;
	}
	i = h->mcp_name_len;
	if (i >= TT_MCP_NAME_LEN)
		return;
	H1_MASK(i, TT_MCP_NAME_LEN - 1);
	h->mcp_name[i] = c;
	h->mcp_name_len++;
}

/* Nothing of it may stay: the name of a resource can have a secret in it. */
static __always_inline void h1_text_hide(struct h1_head *h)
{
	if (h->idx == TT_CONTROL_MCP_METHOD)
		h->mcp_method_len = 0;
	else
		h->mcp_name_len = 0;
	h1_text_put(h, '{');
	h1_text_put(h, '.');
	h1_text_put(h, '.');
	h1_text_put(h, '.');
	h1_text_put(h, '}');
}

static __always_inline int h1_text(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;
	__u8 lower = c | 0x20;

	w->pos++;
	if (c == '\n') {
		w->d.state = H1_S_LINE;
		return H1_NEXT;
	}
	if (c <= ' ' || c >= 127 || (h->segment & H1_P_SECRET))
		return H1_NEXT;	/* blanks lie around it: the names in use have none */
	if (c != '=' && !h1_digit(c) && (lower < 'a' || lower > 'z')) {
		h->segment_run = 0;
	} else if (++h->segment_run >= H1_TEXT_RUN_MAX) {
		h->segment |= H1_P_SECRET;
		h1_text_hide(h);
		return H1_NEXT;
	}
	h1_text_put(h, c);
	return H1_NEXT;
}

/* Endings of names, first byte lowest. */
#define H1_SUFFIX_TOKEN 0x6e656b6f742dULL	/* "-token" */
#define H1_SUFFIX_SECRET 0x7465726365732dULL	/* "-secret" */
#define H1_SUFFIX_APIKEY 0x79656b6970612dULL	/* "-apikey" */
#define H1_SUFFIX_API_KEY 0x79656b2d6970612dULL	/* "-api-key" */
#define H1_SUFFIX_NAME_MAX 64
#define H1_WORD_RF 0x6672	/* in front of "-token": csrf, xsrf, which are no credentials */

/* A name that is in no table: does it end like those of credentials? Then that takes its place, to be asked for.
 * Only the last word and what follows it are looked at: whatever the name is, it costs no step more. */
static __always_inline int h1_suffix(struct h1_head *h)
{
	__u32 bits = 8 * (h->name_len & 7), len = 8;
	__u64 tail = h->name_prev;

	if (bits)
		tail = tail >> bits | h->name_word << (64 - bits);
	if (tail >> 16 == H1_SUFFIX_TOKEN) {
		if (h->name_len >= 8 && (tail & 0xffff) == H1_WORD_RF)
			return 0;
		len = 6;
	} else if (tail >> 8 == H1_SUFFIX_SECRET || tail >> 8 == H1_SUFFIX_APIKEY) {
		len = 7;
	} else if (tail != H1_SUFFIX_API_KEY) {
		return 0;
	}
	if (h->name_len <= len || h->name_len > H1_SUFFIX_NAME_MAX)
		return 0;
	h->name_hash = tt_name_mix(TT_NAME_SEED, tail >> (64 - 8 * len));
	h->name_len = len;
	return 1;
}

static __always_inline int h1_name_asked(struct h1_work *w)
{
	struct h1_head *h = &w->h;
	__u8 unwrap = w->answer.unwrap;

	if (!unwrap && w->d.kind == H1_REQUESTS && w->ask == H1_ASK_HEADER && h1_suffix(h))
		return h1_ask(w, H1_ASK_SUFFIX, H1_S_NAME_ASKED);
	w->pos++;
	if (unwrap == TT_CONTROL_LENGTH) {
		/* Twice may be an attack on whoever frames differently (RFC 9112, 6.3). */
		if (h->flags & H1_F_LENGTH)
			return h1_bad(w, TT_DROP_bad_length);
		h->flags |= H1_F_LENGTH;
		h1_value_start(w, H1_S_LENGTH);
	} else if (unwrap == TT_CONTROL_CODING) {
		h1_value_start(w, H1_S_CODING);
	} else if (unwrap == TT_CONTROL_UPGRADE) {
		h1_value_start(w, H1_S_UPGRADE);
	} else if ((unwrap == TT_CONTROL_MCP_METHOD || unwrap == TT_CONTROL_MCP_NAME) &&
		   w->d.kind == H1_REQUESTS) {
		h1_value_start(w, H1_S_TEXT);
		h1_text_start(&w->h, unwrap);
	} else if (unwrap == TT_CONTROL_COOKIE && w->d.kind == H1_REQUESTS) {
		h1_value_start(w, H1_S_LNAME);
	} else if (unwrap == TT_CONTROL_HOST && w->d.kind == H1_REQUESTS && !h->host_len) {
		h1_value_start(w, H1_S_HOST);
	} else if ((unwrap == TT_UNWRAP_WHOLE || unwrap == TT_UNWRAP_SCHEME) &&
		   w->d.kind == H1_REQUESTS) {
		h1_value_start(w, H1_S_CRED);
		h1_cred_start(w, H1_V_LEAD | (unwrap == TT_UNWRAP_SCHEME ? H1_V_SCHEME : 0));
		h->carrier = w->answer.id;
	} else if (unwrap == TT_UNWRAP_SUBPROTOCOL && w->d.kind == H1_REQUESTS) {
		h1_subprotocol_start(w, w->answer.id);
	} else if (unwrap == TT_CONTROL_SAID && w->d.kind == H1_RESPONSES && w->heads) {
		said_field(w, w->answer.id);
	} else {
		h1_value_start(w, H1_S_SKIP);
	}
	return H1_NEXT;
}

/* To the end of the line, up to H1_WORDS times eight bytes a step. */
static __always_inline int h1_skip(struct h1_work *w, __u8 c, __u32 have)
{
	__u32 i;

	for (i = 0; i < H1_WORDS && have >= 8; i++, have -= 8) {
		__u64 marks = h1_zero_bytes(h1_word(w, i) ^ 0x0a0a0a0a0a0a0a0aULL);

		if (marks) {
			w->pos += 8 * i + h1_first_mark(marks) + 1;
			w->d.state = H1_S_LINE;
			return H1_NEXT;
		}
	}
	w->pos += i ? 8 * i : 1;
	if (!i && c == '\n')
		w->d.state = H1_S_LINE;
	return H1_NEXT;
}

static __always_inline int h1_host(struct h1_work *w, __u8 c, __u64 word, __u32 have)
{
	struct h1_head *h = &w->h;
	__u64 i = h->host_len;
	/* a byte up to ' ' or above 127, or '@' */
	__u64 odd = (((word - 0x2121212121212121ULL) | word) & 0x8080808080808080ULL) |
		    h1_zero_bytes(word ^ 0x4040404040404040ULL);

	if (have >= 8 && !odd && i + 8 <= TT_HOST_LEN) {
		H1_MASK(i, H1_HOST_BUF - 1);
		store_word(h->host + i, word);
		h->host_len += 8;
		w->pos += 8;
		return H1_NEXT;
	}
	w->pos++;
	if (c == '\n')
		w->d.state = H1_S_LINE;
	else if (c > ' ')	/* a host has no blanks (RFC 9110, 7.2): all there are lie around it */
		h1_host_put(&w->h, c);
	return H1_NEXT;
}

static __always_inline int h1_length(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;

	/* blanks: 1 = not a number, h1_field_end() will refuse it; 2 = the number is over */
	w->pos++;
	if (c == '\n') {
		w->d.state = H1_S_LINE;
	} else if (h1_digit(c) && !h->blanks && h->name_len < 18) {
		h->length = h->length * 10 + (c - '0');
		h->name_len++;	/* digits */
	} else if (c != ' ' && c != '\t' && c != '\r') {
		h->blanks = 1;
	} else if (h->name_len && !h->blanks) {
		h->blanks = 2;
	}
	return H1_NEXT;
}

static __always_inline int h1_coding(struct h1_work *w, __u8 c)
{
	w->pos++;
	if (c == '\n')
		w->d.state = H1_S_LINE;
	else if (c == ',')
		h1_name_start(&w->h);	/* the last one counts (RFC 9112, 6.3) */
	else if (c > ' ' && w->h.name_len < 255)
		h1_name_put(&w->h, c);
	return H1_NEXT;
}

#endif
