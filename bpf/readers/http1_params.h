/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Schemes whose value is parameters (RFC 9110, 11.2), or "account:MAC": most sign this one request with a
 * key that is not there, so who uses it is told by the key's id. Only the one parameter that the scheme
 * names is looked at; where it is missing, or cut, nothing is reported.
 */
#ifndef TT_READERS_HTTP1_PARAMS_H
#define TT_READERS_HTTP1_PARAMS_H

#include "unwrap.h"

/* What ends a parameter that is not quoted: commas, or '&' in those that look like a query. */
static __always_inline int h1_param_ends(__u8 c)
{
	return c == ',' || c == '&';
}

static __always_inline void h1_param_next(struct h1_work *w)
{
	h1_value_start(w, H1_S_PNAME);
}

static __always_inline int h1_pname(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;

	if (c == '=') {
		h1_name_end(h);
		h->name_hash = tt_name_mix(h->name_hash, h->scheme_hash);
		return h1_ask(w, H1_ASK_AUTH_PARAM, H1_S_PNAME_ASKED);	/* '=' is left, as in h1_name() */
	}
	w->pos++;
	if (c == '\n')
		w->d.state = H1_S_LINE;
	else if (h1_param_ends(c))
		h1_param_next(w);
	else if (c > ' ' && h->name_len < 255)
		h1_name_put(h, c);
	return H1_NEXT;
}

static __always_inline int h1_pname_asked(struct h1_work *w)
{
	struct h1_head *h = &w->h;

	w->pos++;
	h->escape = 0;
	h->value = H1_V_LEAD;
	h1_value_start(w, w->answer.id ? H1_S_PVALUE : H1_S_PSKIP);
	return H1_NEXT;
}

/* To the end of the parameter, which may be quoted: eight bytes a step where none of them matters. */
static __always_inline int h1_pskip(struct h1_work *w, __u8 c, __u64 word, __u32 have)
{
	struct h1_head *h = &w->h;
	/* a byte below '-': quote, comma, '&', line end */
	__u64 odd = ((word - 0x2d2d2d2d2d2d2d2dULL) & ~word & 0x8080808080808080ULL) |
		    h1_zero_bytes(word ^ 0x5c5c5c5c5c5c5c5cULL);

	if (have >= 8 && !odd && !h->escape) {
		w->pos += 8;
		return H1_NEXT;
	}
	w->pos++;
	if (c == '\n') {
		w->d.state = H1_S_LINE;
	} else if (h->escape) {
		h->escape = 0;
	} else if (c == '"') {
		h->value ^= H1_V_QUOTED;
	} else if (h->value & H1_V_QUOTED) {
		h->escape = c == '\\';	/* quoted-pair (RFC 9110, 5.6.4) */
	} else if (h1_param_ends(c)) {
		h1_param_next(w);
	}
	return H1_NEXT;
}

/* A byte of a percent escape (SharedAccessSignature). */
static __always_inline void h1_pvalue_escape(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;

	if (!h1_percent_put(h, c))
		h->value |= H1_V_BAD;
	if (!h->escape)
		h1_cred_put(w, h->base64_bits);
}

static __always_inline int h1_pvalue_quoted(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;

	if (c == '"' && !h->escape)
		return h1_cred_end(w, H1_S_PVALUE_ASKED);	/* left for the next step, which skips the line */
	w->pos++;
	if (c == '\n') {
		w->d.state = H1_S_LINE;
	} else if (c == '\\' && !h->escape) {
		h->escape = 1;
	} else if (c != '\r') {
		h->escape = 0;
		h1_cred_byte(h, c);
	}
	return H1_NEXT;
}

/* Does this byte end the value? Behind AWS' key id there is its scope: "AKID/date/region/...". */
static __always_inline int h1_pvalue_ends(const struct h1_head *h, __u8 c)
{
	if (h->unwrap == TT_UNWRAP_ACCOUNT)
		return c == ':';
	return h1_param_ends(c) || c == ' ' || c == '\t' || c == '\r' ||
	       (c == '/' && h->unwrap != TT_UNWRAP_PARAM);
}

static __always_inline int h1_pvalue(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;
	int percent = h->unwrap == TT_UNWRAP_PARAM;

	if (h->value & H1_V_QUOTED)
		return h1_pvalue_quoted(w, c);
	if (c != '\n' && (c > ' ' || !(h->value & H1_V_LEAD)) && h1_pvalue_ends(h, c)) {
		if (percent && h->escape)
			h->value |= H1_V_BAD;
		return h1_cred_end(w, H1_S_PVALUE_ASKED);
	}
	w->pos++;
	if (c == '\n') {
		w->d.state = H1_S_LINE;
		return H1_NEXT;
	}
	if (c <= ' ' && ((h->value & H1_V_LEAD) || c == '\r'))
		return H1_NEXT;
	if (c == '"' && (h->value & H1_V_LEAD) && h->unwrap != TT_UNWRAP_ACCOUNT) {
		h->value = (h->value | H1_V_QUOTED) & ~H1_V_LEAD;
		return H1_NEXT;
	}
	h->value &= ~H1_V_LEAD;
	if (percent && h->escape)
		h1_pvalue_escape(w, c);
	else if (percent && c == '%')
		h->escape = 2;
	else if (percent)
		h1_cred_put(w, c);
	else
		h1_cred_byte(h, c);	/* an id that looks like a JWT is none: no claims */
	return H1_NEXT;
}

static __always_inline int h1_pvalue_asked(struct h1_work *w)
{
	h1_value_start(w, H1_S_SKIP);
	return h1_cred_done(w);
}

/* The field is over. What it ended in is whole only if nothing had to follow. */
static __always_inline int h1_params_end(struct h1_work *w, __u8 state)
{
	struct h1_head *h = &w->h;

	if (state != H1_S_PVALUE || h->unwrap == TT_UNWRAP_ACCOUNT || (h->value & H1_V_QUOTED))
		return h1_note(w, TT_DROP_empty_cred);
	if (h->unwrap == TT_UNWRAP_PARAM && h->escape)
		h->value |= H1_V_BAD;
	return h1_cred_end(w, H1_S_CRED_ASKED);
}

#endif
