/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Start lines of requests and responses (RFC 9112, 3 and 4). Path segments that may be a secret or an
 * identity are replaced here; the query is dropped, but for the fingerprint of a credential in it.
 */
#ifndef TT_READERS_HTTP1_START_H
#define TT_READERS_HTTP1_START_H

#include "route.h"
#include "unwrap.h"

/* ---- method, target, path ---- */

static __always_inline void h1_head_init(struct h1_head *h)
{
	/* Byte buffers are not cleared: only their first *_len bytes are ever used. */
	h->name_len = 0;
	h->method_word = 0;
	h->length = 0;
	h->head_len = 0;
	h->status = 0;
	h->creds = 0;
	h->flags = 0;
	h->use_flags = 0;
	h->version = 0;
	h->method_len = 0;
	h->path_len = 0;
	h->host_len = 0;
	h->mcp_method_len = 0;
	h->mcp_name_len = 0;
	h->public_len = 0;
	h->public_cred = 0;
	h->saying = 0;
	h->value_state = H1_S_SKIP;
	h->idx = 0;
}

#define H1_WORD_HTTP 0x50545448ULL		/* "HTTP", first byte lowest */
#define H1_WORD_HEAD 0x44414548ULL		/* "HEAD" */
#define H1_WORD_PRI 0x495250ULL			/* "PRI": begins the preface of HTTP/2 (RFC 9113, 3.4) */
#define H1_WORD_CONNECT 0x5443454e4e4f43ULL	/* "CONNECT" */

/* The first word is not what this direction's messages begin with. */
static __always_inline int h1_bad_start(struct h1_work *w)
{
	return h1_bad(w, w->d.kind == H1_RESPONSES ? TT_DROP_bad_status_line :
						     TT_DROP_bad_request_line);
}

static __always_inline int h1_method_end(struct h1_work *w)
{
	struct h1_head *h = &w->h;

	if (!h->method_len || w->d.kind == H1_RESPONSES)
		return h1_bad_start(w);
	if (h->method_word == H1_WORD_PRI && h->method_len == 3 && w->d.kind == H1_UNKNOWN) {
		w->d.state = H1_S_H2;
		w->d.digits = H2_FROM_PREFACE;
		return H1_H2;
	}
	if (h->method_word == H1_WORD_HEAD && h->method_len == 4)
		h->flags |= H1_F_METHOD_HEAD;
	if (h->method_word == H1_WORD_CONNECT && h->method_len == 7)
		h->flags |= H1_F_CONNECT;
	w->d.state = h->flags & H1_F_CONNECT ? H1_S_AUTHORITY : H1_S_TARGET;
	return H1_NEXT;
}

static __always_inline int h1_method(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;
	__u64 i = h->method_len;

	w->pos++;
	if (c == ' ')
		return h1_method_end(w);
	if (c == '/' && h->method_word == H1_WORD_HTTP && i == 4) {
		if (w->d.kind == H1_REQUESTS)
			return h1_bad(w, TT_DROP_bad_request_line);
		h->idx = 5;
		w->d.state = H1_S_RVERSION;
		return H1_NEXT;
	}
	/* Methods in use are upper case (RFC 9110, 9.1); anything else is another protocol. */
	if (i >= TT_METHOD_LEN || !((c >= 'A' && c <= 'Z') || c == '-' || c == '_'))
		return h1_bad_start(w);
	if (i < 8)
		h->method_word |= (__u64)c << (8 * i);
	H1_MASK(i, TT_METHOD_LEN - 1);
	h->method[i] = c;
	h->method_len++;
	return H1_NEXT;
}

/* A method of up to seven letters and its blank at once; whether there is one. */
static __always_inline int h1_method_word(struct h1_work *w, __u64 word)
{
	__u64 mark = h1_zero_bytes(word ^ 0x2020202020202020ULL), below, letters;
	__u32 n = h1_first_mark(mark) & 7;

	if (!mark || !n)
		return 0;
	below = (1ULL << (8 * n)) - 1;
	letters = (word & below) | (0x4141414141414141ULL & ~below);
	if ((letters | (letters + 0x2525252525252525ULL) | ~(letters + 0x3f3f3f3f3f3f3f3fULL)) &
	    0x8080808080808080ULL)
		return 0;
	w->h.method_word = word & below;
	w->h.method_len = n;
	store_word(w->h.method, word & below);
	w->pos += n + 1;
	return 1;
}

static __always_inline void h1_segment_start(struct h1_head *h)
{
	h->segment_start = h->path_len;
	h->segment_len = 0;
	h->segment_run = 0;
	h->segment_hex = 0;
	h->segment = 0;
	h->dots = 0;
	h->escape = 0;
}

static __always_inline void h1_path_put(struct h1_head *h, __u8 c)
{
	__u64 i = h->path_len;

	if (i >= TT_PATH_LEN) {
		h->use_flags |= TT_USE_PATH_CUT;
		return;
	}
	H1_MASK(i, H1_PATH_BUF - 1);
	h->path[i] = c;
	h->path_len++;
}

static __always_inline int h1_target(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;

	if (c == '/') {
		h->flags |= H1_F_STARTED;
		h->depth = 0;
		h1_segment_start(h);
		w->d.state = H1_S_PATH;
		return H1_NEXT;
	}
	w->pos++;
	if (c == '*') {
		w->d.state = H1_S_TARGET_END;
		return H1_NEXT;
	}
	if ((c | 0x20) != 'h')	/* http:// or https://, the only absolute forms in use */
		return h1_bad(w, TT_DROP_bad_request_line);
	h->idx = 0;
	w->d.state = H1_S_ABSOLUTE;
	return H1_NEXT;
}

static __always_inline int h1_target_end(struct h1_work *w, __u8 c)
{
	w->pos++;
	if (c != ' ')
		return h1_bad(w, TT_DROP_bad_request_line);
	w->h.idx = 0;
	w->d.state = H1_S_VERSION;
	return H1_NEXT;
}

static __always_inline int h1_absolute(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;
	__u8 lower = c | 0x20;

	/* idx: 0 in the scheme, 1 behind its colon, 2 behind a slash. Anything looser could take a
	 * segment of a path without its first slash for the host. */
	w->pos++;
	if (h->idx == 0 && lower >= 'a' && lower <= 'z')
		return H1_NEXT;
	if (c != (h->idx ? '/' : ':'))
		return h1_bad(w, TT_DROP_bad_request_line);
	if (++h->idx == 3) {
		h->flags |= H1_F_STARTED;
		w->d.state = H1_S_AUTHORITY;
	}
	return H1_NEXT;
}

static __always_inline void h1_host_put(struct h1_head *h, __u8 c)
{
	__u64 i = h->host_len;

	if (c == '@') {	/* userinfo may be a secret; it never leaves */
		h->host_len = 0;
		h->use_flags &= ~TT_USE_HOST_CUT;
		return;
	}
	if (i >= TT_HOST_LEN) {
		h->use_flags |= TT_USE_HOST_CUT;
		return;
	}
	H1_MASK(i, H1_HOST_BUF - 1);
	h->host[i] = c;
	h->host_len++;
}

static __always_inline int h1_authority(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;

	if (c == '/' || c == '?' || c == '#') {
		if (h->flags & H1_F_CONNECT)
			return h1_bad(w, TT_DROP_bad_request_line);
		h->depth = 0;
		h1_segment_start(h);
		w->d.state = H1_S_PATH;
		return H1_NEXT;
	}
	w->pos++;
	if (c == ' ') {
		if (!h->host_len)
			return h1_bad(w, TT_DROP_bad_request_line);
		h->idx = 0;
		w->d.state = H1_S_VERSION;
		return H1_NEXT;
	}
	if (c < ' ' || c >= 127)
		return h1_bad(w, TT_DROP_bad_request_line);
	h1_host_put(h, c);
	return H1_NEXT;
}

/* ---- segments of a path ---- */

/* The byte that ended a segment: what follows? */
static __always_inline int h1_segment_next(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;

	w->pos++;
	if (c == '/') {
		if (h->depth < 255)
			h->depth++;
		h1_path_put(h, c);
		h1_segment_start(h);
		w->d.state = H1_S_PATH;
	} else if (c == ' ') {
		h->idx = 0;
		w->d.state = H1_S_VERSION;
	} else {	/* '?' or '#': what follows is dropped, but for credentials in the query */
		h1_name_start(h);
		w->d.state = H1_S_QNAME;
	}
	return H1_NEXT;
}

static __always_inline __u32 h1_segment_kept(const struct h1_head *h)
{
	return h->segment_len < TT_CARRY_LEN ? h->segment_len : TT_CARRY_LEN;
}

/* Is it of a class that is a credential wherever it stands, or that may stand here? Of numbers, hex and UUIDs
 * only the place could tell; the shortest class is longer than 8. */
static __always_inline int h1_segment_class(struct h1_work *w)
{
	struct h1_head *h = &w->h;

	w->answer.id = 0;
	w->answer.flags = 0;
	w->d.state = H1_S_SEGMENT_ASKED;
	w->ask_len = h->segment & H1_P_HASHED ? h->sip.len : h->segment_len;
	if (!h->route && (w->ask_len < 8 || !(h->segment & H1_P_WORD)))
		return H1_NEXT;
	return h1_ask(w, H1_ASK_SEGMENT, H1_S_SEGMENT_ASKED);
}

/* The segment's last byte was read: is it one that has to be hidden, or told? */
static __always_inline int h1_segment_end(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;
	__u64 key;

	if (!h->segment_len && !h->escape)
		return h1_segment_next(w, c);
	if (!(h->segment & H1_P_OTHER))
		h->segment |= H1_P_SECRET;	/* a number */
	if (h->escape)
		h->segment |= H1_P_BAD;
	h->route = 0;
	key = h1_route_key(h);
	if (!key || !(w->routes & h1_route_bit(key)))
		return h1_segment_class(w);
	h->name_hash = key;
	h->name_len = 0;
	return h1_ask(w, H1_ASK_ROUTE, H1_S_ROUTE_ASKED);
}

/* A place where a secret stands; what is in front of it in its segment goes. */
static __always_inline int h1_route_asked(struct h1_work *w)
{
	struct h1_head *h = &w->h;
	__u64 lead = w->answer.length;

	h->route = w->answer.id;
	if (h->route && lead && h->segment_len <= TT_CARRY_LEN) {
		H1_MASK(lead, 7);
		for (__u64 i = 0; i < TT_CARRY_LEN; i += 8)
			store_word(h->carry + i, load_word(h->carry + i + lead));
		h->segment_len -= lead;
	} else if (lead) {
		h->route = 0;	/* too long for any */
	}
	return h1_segment_class(w);
}

static __always_inline int h1_segment_asked(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;
	int placed = h->route && w->answer.id;

	if ((w->answer.flags & (TT_CLASS_SURE | TT_CLASS_ALIKE)) || placed || (h->segment & H1_P_SECRET)) {
		h->path_len = h->segment_start;
		if (h->path_len < TT_PATH_LEN)	/* it was this segment that did not fit */
			h->use_flags &= ~TT_USE_PATH_CUT;
		h1_path_put(h, '{');
		h1_path_put(h, '.');
		h1_path_put(h, '.');
		h1_path_put(h, '.');
		h1_path_put(h, '}');
	}
	if (!((w->answer.flags & TT_CLASS_SURE) || placed) || (h->segment & H1_P_BAD))
		return h1_segment_next(w, c);
	/* The byte that ended it is left until it is entered: so the answer need not outlive a call. */
	w->d.state = h->segment & H1_P_HASHED ? H1_S_SEGMENT_CRED : H1_S_SEGMENT_HASH;
	h->segment |= H1_P_CRED;
	return H1_NEXT;
}

/* Hashes what is kept of the segment, which most segments never need. */
static __always_inline int h1_segment_hash(struct h1_work *w)
{
	struct h1_head *h = &w->h;
	__u32 left, dots = h->dots;
	__u64 at, word;

	if (!(h->segment & H1_P_HASHED)) {
		h1_cred_start(w, 0);
		h->dots = dots;
		h->segment |= H1_P_HASHED;
	}
	left = h1_segment_kept(h) - h->sip.len;
	for (int i = 0; i < H1_WORDS && left >= 8; i++, left -= 8) {
		at = h->sip.len;
		H1_MASK(at, H1_CARRY_BUF - 1);
		word = load_word(h->carry + at);
		claims_keep_word(&w->c, at, word);
		siphash_put8(&h->sip, word);
	}
	if (left) {
		at = h->sip.len;
		H1_MASK(at, H1_CARRY_BUF - 1);
		claims_keep(&w->c, at, h->carry[at]);
		siphash_put(&h->sip, h->carry[at]);
		left--;
	}
	if (!left)
		w->d.state = h->segment & H1_P_CRED ? H1_S_SEGMENT_CRED : H1_S_PATH;
	return H1_NEXT;
}

static __always_inline int h1_segment_cred(struct h1_work *w, __u8 c)
{
	int r = h1_cred_done(w);

	h1_segment_next(w, c);
	return r;
}

/* Characters that secrets in paths are made of. */
static __always_inline int h1_token_char(__u8 c)
{
	__u8 lower = c | 0x20;

	return h1_digit(c) || (lower >= 'a' && lower <= 'z') || c == '-' || c == '_' || c == '.' ||
	       c == '~' || c == '%' || c == '=' || c == '+';
}

/* A decoded byte of a segment. */
static __always_inline void h1_segment_put(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;
	__u64 i = h->segment_len;

	if (h->segment & H1_P_HASHED) {
		h1_cred_put(w, c);
	} else {
		H1_MASK(i, H1_CARRY_BUF - 1);
		h->carry[i] = c;
		h->dots += c == '.';
	}
	if (h->segment_len < H1_HEAD_MAX)
		h->segment_len++;
	if (c == '@' && h->segment_len > 1)	/* an address of somebody; "@scope" is none */
		h->segment |= H1_P_SECRET;
}

static __always_inline void h1_segment_decode(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;

	if (h->escape) {
		if (!h1_percent_put(h, c))
			h->segment |= H1_P_BAD;
		if (!h->escape)
			h1_segment_put(w, h->base64_bits);
	} else if (c == '%') {
		h->escape = 2;
	} else {
		h1_segment_put(w, c);
	}
}

static __always_inline int h1_path(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;

	if (c == '/' || c == '?' || c == ' ' || c == '#')
		return h1_segment_end(w, c);
	if (c < ' ' || c == 127)
		return h1_bad(w, TT_DROP_bad_request_line);
	if (h->segment_len >= TT_CARRY_LEN && !(h->segment & H1_P_HASHED)) {
		w->d.state = H1_S_SEGMENT_HASH;
		return H1_NEXT;
	}
	w->pos++;
	h1_segment_decode(w, c);
	if (!h1_digit(c))
		h->segment |= H1_P_OTHER;
	if (!h1_token_char(c))
		h->segment_run = 0;
	else if (++h->segment_run >= H1_RUN_MAX)
		h->segment |= H1_P_SECRET;
	if (h1_hex(c) < 0) {
		h->segment_hex = 0;
		if (c != '-')
			h->segment |= H1_P_WORD;
	} else if (++h->segment_hex >= H1_HEX_MAX) {
		h->segment |= H1_P_SECRET;
	}
	if (h->segment & H1_P_SECRET) {		/* also stops the counters from wrapping */
		h->segment_run = 0;
		h->segment_hex = 0;
	} else {
		h1_path_put(h, c);
	}
	return H1_NEXT;
}

/* ---- query ---- */

static __always_inline int h1_query_end(struct h1_work *w, __u8 c)
{
	w->pos++;
	if (c == ' ') {
		w->h.idx = 0;
		w->d.state = H1_S_VERSION;
	} else {
		h1_name_start(&w->h);
		w->d.state = H1_S_QNAME;
	}
	return H1_NEXT;
}

static __always_inline int h1_query_bad(__u8 c)
{
	return c < ' ' || c == 127;
}

static __always_inline int h1_qname(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;

	if (h1_query_bad(c))
		return h1_bad(w, TT_DROP_bad_request_line);
	if (c == '&' || c == ';' || c == ' ')
		return h1_query_end(w, c);
	if (c != '=') {
		w->pos++;
		if (h->name_len < 255)
			h1_name_put(h, c);
		return H1_NEXT;
	}
	h1_name_end(h);
	return h1_ask(w, H1_ASK_PARAM, H1_S_QNAME_ASKED);	/* '=' is left, as in h1_name() */
}

static __always_inline int h1_qname_asked(struct h1_work *w)
{
	w->pos++;
	w->d.state = H1_S_QSKIP;
	if (w->answer.id) {
		h1_cred_start(w, 0);
		w->h.carrier = w->answer.id;
		w->h.unsure = w->answer.length;
		/* KEY/DATE/REGION/SERVICE/aws4_request */
		w->h.until = w->answer.unwrap == TT_UNWRAP_KEY_ID ? '/' : 0;
		w->d.state = H1_S_QVALUE;
	}
	return H1_NEXT;
}

static __always_inline int h1_qskip(struct h1_work *w, __u8 c)
{
	if (h1_query_bad(c))
		return h1_bad(w, TT_DROP_bad_request_line);
	if (c == '&' || c == ';' || c == ' ')
		return h1_query_end(w, c);
	w->pos++;
	return H1_NEXT;
}

/* A decoded byte. */
static __always_inline void h1_qvalue_put(struct h1_work *w, __u8 c)
{
	if (c == w->h.until && c)
		w->h.cut = 1;
	h1_cred_put(w, c);
}

static __always_inline int h1_qvalue(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;

	if (h1_query_bad(c))
		return h1_bad(w, TT_DROP_bad_request_line);
	if (c == '&' || c == ';' || c == ' ' || c == '#') {
		if (h->escape)
			h->value |= H1_V_BAD;
		return h1_cred_end(w, H1_S_QVALUE_ASKED);
	}
	w->pos++;
	if (h->escape) {
		if (!h1_percent_put(h, c))
			h->value |= H1_V_BAD;
		if (!h->escape)
			h1_qvalue_put(w, h->base64_bits);
	} else if (c == '%') {
		h->escape = 2;
	} else {
		h1_qvalue_put(w, c);
	}
	return H1_NEXT;
}

static __always_inline int h1_qvalue_asked(struct h1_work *w, __u8 c)
{
	int r = h1_cred_done(w);

	h1_query_end(w, c);
	return r;
}

/* ---- version, status ---- */

#define H1_WORD_VERSION 0x2e312f50545448ULL	/* "HTTP/1.", first byte lowest */

static __always_inline __u8 h1_version_char(__u32 i)
{
	return H1_WORD_VERSION >> (8 * (i & 7));
}

/* A version to its last digit? */
static __always_inline int h1_is_version(__u64 word)
{
	return (word & 0xffffffffffffffULL) == H1_WORD_VERSION && h1_digit(word >> 56);
}

/* The start line tells nothing more: fields follow, or a reason phrase before them. */
static __always_inline int h1_fields(struct h1_work *w, __u8 state)
{
	w->h.value_state = H1_S_SKIP;
	w->d.state = state;
	return H1_FIELDS;
}

static __always_inline int h1_line_end(struct h1_work *w, __u8 c)
{
	w->pos++;
	if (c == '\n')
		return h1_fields(w, H1_S_LINE);
	return c == '\r' || c == ' ' ? H1_NEXT : h1_bad(w, TT_DROP_bad_request_line);
}

/* The rest of a request's start line as nearly all have it: the version, CR, LF. */
static __always_inline int h1_version_line(struct h1_work *w, __u64 word)
{
	struct h1_head *h = &w->h;

	w->pos += 10;
	h->version = 10 + ((word >> 56) - '0');
	h->flags |= H1_F_STARTED;
	w->d.kind = H1_REQUESTS;
	return h1_fields(w, H1_S_LINE);
}

static __always_inline int h1_version(struct h1_work *w, __u8 c, __u64 word, __u32 have)
{
	struct h1_head *h = &w->h;

	if (have >= 10 && !h->idx && h1_is_version(word) && (h1_word(w, 1) & 0xffff) == 0x0a0d)
		return h1_version_line(w, word);
	if (have >= 8 && !h->idx && (word & 0xffffffffffffffULL) == H1_WORD_VERSION) {
		h->idx = 7;
		w->pos += 7;
		return H1_NEXT;
	}
	w->pos++;
	if (h->idx < 7)
		return c == h1_version_char(h->idx++) ? H1_NEXT : h1_bad(w, TT_DROP_bad_request_line);
	if (!h1_digit(c))
		return h1_bad(w, TT_DROP_bad_request_line);
	h->version = 10 + (c - '0');
	h->flags |= H1_F_STARTED;
	w->d.kind = H1_REQUESTS;
	w->d.state = H1_S_LINE_END;
	return H1_NEXT;
}

static __always_inline int h1_rversion(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;
	__u32 i = h->idx++;

	w->pos++;
	if (i < 7)
		return c == h1_version_char(i) ? H1_NEXT : h1_bad(w, TT_DROP_bad_status_line);
	if (i == 7 && h1_digit(c)) {
		h->version = 10 + (c - '0');
		return H1_NEXT;
	}
	if (i != 8 || c != ' ')
		return h1_bad(w, TT_DROP_bad_status_line);
	h->idx = 0;
	h->flags |= H1_F_STARTED;
	w->d.state = H1_S_RSTATUS;
	return H1_NEXT;
}

static __always_inline int h1_status_end(struct h1_work *w)
{
	if (w->h.status < 100)
		return h1_bad(w, TT_DROP_bad_status_line);
	w->d.kind = H1_RESPONSES;
	return h1_fields(w, H1_S_SKIP);	/* the reason phrase */
}

static __always_inline int h1_rstatus(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;

	w->pos++;
	if (!h1_digit(c))
		return h1_bad(w, TT_DROP_bad_status_line);
	h->status = h->status * 10 + (c - '0');
	return ++h->idx < 3 ? H1_NEXT : h1_status_end(w);
}

/* A version, a blank, three digits: `after` has what follows the version. */
static __always_inline int h1_is_status(__u64 word, __u64 after)
{
	return h1_is_version(word) && (__u8)after == ' ' && h1_digit(after >> 8) && h1_digit(after >> 16) &&
	       h1_digit(after >> 24);
}

/* A status line to its reason phrase, at once. */
static __always_inline int h1_status_line(struct h1_work *w, __u64 word, __u64 after)
{
	struct h1_head *h = &w->h;

	w->pos += 12;
	h->version = 10 + ((word >> 56) - '0');
	h->flags |= H1_F_STARTED;
	h->status = 100 * ((__u8)(after >> 8) - '0') + 10 * ((__u8)(after >> 16) - '0') +
		    ((__u8)(after >> 24) - '0');
	h->idx = 3;
	return h1_status_end(w);
}

/* ---- the beginning ---- */

static __always_inline int h1_start(struct h1_work *w, __u8 c, __u64 word, __u32 have)
{
	if (c == '\r' || c == '\n') {
		w->pos++;
		return H1_NEXT;
	}
	h1_head_init(&w->h);
	w->head_at = w->pos;
	w->d.state = H1_S_METHOD;
	if (have >= 12 && w->d.kind != H1_REQUESTS && h1_is_status(word, h1_word(w, 1)))
		return h1_status_line(w, word, h1_word(w, 1));
	if (have >= 8 && w->d.kind != H1_RESPONSES && h1_method_word(w, word))
		return h1_method_end(w);
	return H1_NEXT;
}

#endif
