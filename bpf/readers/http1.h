/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reads HTTP/1.x messages (RFC 9112) of one direction of a connection, cut anywhere, over any
 * number of calls, and turns the credentials in request heads into fingerprints on the way.
 *
 * Plain C for two worlds: clang compiles it for the kernel, the tests, the fuzzer and the tools
 * compile it for user space. It calls nobody and knows no table. It trusts no byte it reads.
 *
 *   h1_step() takes one step and says what it needs:
 *
 *     H1_NEXT    nothing; call again
 *     H1_FILL    the window is used up: load the next bytes at w->pos (or stop: no more input)
 *     H1_ASK     a name or a prefix has to be looked up: put the answer into w->answer
 *     H1_NOTE    something was not reported, the reason is in w->reason; call again
 *     H1_FIELDS  what counts of a start line was read; at w->pos begin the fields, or a reason phrase before
 *                them. Call again
 *     H1_HEAD    a head is complete: take it, then call h1_body()
 *     H1_CLAIMS  w->c.ev.token looks like a JWT: if its claims are not known yet, claims_step() until
 *                that has an answer (claims.h); call again
 *     H1_SAID    call said_step() (said.h), which answers as this does
 *     H1_SPAN    w->span_len bytes of the body lie at w->span_at (only if d.spans); with H1_S_START
 *                the body is over. Call again
 *     H1_H2      the direction goes on as HTTP/2: readers/http2.h has to take over at w->pos;
 *                w->d.digits says how (enum h2_beginning)
 *     H1_BAD     not HTTP/1, or a head that can't be followed; the reason is in w->reason.
 *                The direction is H1_S_LOST until h1_resume()
 *
 * Why a state machine with all state in memory: as a step of a BPF program (a global function with
 * a scalar argument) it is verified once, whatever the input's length, on kernels from 5.10 on.
 * Long stretches (lines of no interest, token bodies) take up to 64 bytes a step.
 *
 *   struct h1_work = window of the input + struct http1 (kept per direction) + struct h1_head
 *   (exists from the first to the last byte of a head; parked between calls if a head is split)
 */
#ifndef TT_READERS_HTTP1_H
#define TT_READERS_HTTP1_H

#include "http1_fields.h"

/* ---- bodies ---- */

/* So many bytes of the body are passed over. */
static __always_inline int h1_span(struct h1_work *w, __u32 take)
{
	w->span_at = w->pos;
	w->span_len = take;
	w->pos += take;
	if (w->d.spans && take)
		return H1_SPAN;
	return w->pos < w->total ? H1_NEXT : H1_FILL;
}

/* Skips what is left of a body or chunk without looking at it. */
static __always_inline int h1_skip_left(struct h1_work *w)
{
	__u64 have = w->total - w->pos;
	__u64 take = w->d.left < have ? w->d.left : have;

	w->d.left -= take;
	if (!w->d.left)
		w->d.state = w->d.state == H1_S_BODY ? H1_S_START : H1_S_CHUNK_END;
	return h1_span(w, take);
}

static __always_inline int h1_chunk_size(struct h1_work *w, __u8 c)
{
	int digit = h1_hex(c);

	if (digit >= 0) {
		w->pos++;
		if (++w->d.digits > 15)
			return h1_bad(w, TT_DROP_bad_chunk);
		w->d.left = w->d.left << 4 | digit;
		return H1_NEXT;
	}
	if (!w->d.digits || (c != '\r' && c != '\n' && c != ';' && c != ' ' && c != '\t'))
		return h1_bad(w, TT_DROP_bad_chunk);
	w->d.state = H1_S_CHUNK_EXT;
	return H1_NEXT;
}

static __always_inline int h1_chunk_ext(struct h1_work *w, __u8 c)
{
	w->pos++;
	if (c == '\n')
		w->d.state = w->d.left ? H1_S_CHUNK_DATA : H1_S_TRAILER;
	return H1_NEXT;
}

static __always_inline void h1_chunk_start(struct http1 *d)
{
	d->left = 0;
	d->digits = 0;
	d->state = H1_S_CHUNK_SIZE;
}

static __always_inline int h1_chunk_end(struct h1_work *w, __u8 c)
{
	w->pos++;
	if (c == '\n')
		h1_chunk_start(&w->d);
	else if (c != '\r')
		return h1_bad(w, TT_DROP_bad_chunk);
	return H1_NEXT;
}

static __always_inline int h1_trailer(struct h1_work *w, __u8 c)
{
	w->pos++;
	if (c == '\n')
		w->d.state = H1_S_START;
	else if (c != '\r')
		w->d.state = H1_S_TRAILER_LINE;
	w->span_len = 0;
	return c == '\n' && w->d.spans ? H1_SPAN : H1_NEXT;
}

static __always_inline int h1_trailer_line(struct h1_work *w, __u8 c)
{
	w->pos++;
	if (c == '\n')
		w->d.state = H1_S_TRAILER;
	return H1_NEXT;
}

/*
 * After H1_HEAD was taken: what follows it (RFC 9112, 6.3)? no_body: a response to HEAD, or one
 * with status 1xx, 204 or 304, or a 2xx one to CONNECT.
 */
static __always_inline void h1_body(struct h1_work *w, int no_body)
{
	struct h1_head *h = &w->h;

	w->d.state = H1_S_START;
	if (no_body || (h->flags & H1_F_CONNECT))
		return;
	if (h->flags & H1_F_CHUNKED) {
		h1_chunk_start(&w->d);
	} else if (h->flags & H1_F_CODING) {
		w->d.state = H1_S_UNTIL_CLOSE;
	} else if (h->flags & H1_F_LENGTH) {
		w->d.left = h->length;
		if (h->length)
			w->d.state = H1_S_BODY;
	} else if (w->d.kind == H1_RESPONSES) {
		w->d.state = H1_S_UNTIL_CLOSE;
	}
}

/* Is a head being read, so that struct h1_head has to be kept to the next call? */
static __always_inline int h1_in_head(const struct http1 *d)
{
	return d->state > H1_S_START && d->state < H1_S_HEAD_END;
}

/*
 * May these first bytes of a call begin a message? Cheap, and wrong only in saying yes. `word` has
 * the first bytes, first byte lowest, zero beyond `len`.
 */
static __always_inline int h1_may_begin(__u64 word, __u64 len)
{
	__u8 a = word, b = word >> 8, c = word >> 16;

	if (a < 'A' || a > 'Z')
		return 0;
	if (len > 1 && (b < 'A' || b > 'Z'))
		return 0;
	return len <= 2 || (c >= 'A' && c <= 'Z') || c == ' ' || c == '-';
}

/* A direction that is out of step and sees the start of a call that may be a head. */
static __always_inline void h1_resume(struct http1 *d)
{
	d->resumed = d->state == H1_S_LOST;
	d->state = H1_S_START;
	d->left = 0;
	d->spans = 0;
	d->split = 0;
}

/* ---- the step ---- */

static __always_inline int h1_step_start_line(struct h1_work *w, __u8 c, __u64 word, __u32 have)
{
	switch (w->d.state) {
	case H1_S_START:
		return h1_start(w, c, word, have);
	case H1_S_METHOD:
		return h1_method(w, c);
	case H1_S_TARGET:
		return h1_target(w, c);
	case H1_S_TARGET_END:
		return h1_target_end(w, c);
	case H1_S_ABSOLUTE:
		return h1_absolute(w, c);
	case H1_S_AUTHORITY:
		return h1_authority(w, c);
	case H1_S_PATH:
		return h1_path(w, c);
	case H1_S_ROUTE_ASKED:
		return h1_route_asked(w);
	case H1_S_SEGMENT_ASKED:
		return h1_segment_asked(w, c);
	case H1_S_SEGMENT_HASH:
		return h1_segment_hash(w);
	case H1_S_SEGMENT_CRED:
		return h1_segment_cred(w, c);
	case H1_S_QNAME:
		return h1_qname(w, c);
	case H1_S_QNAME_ASKED:
		return h1_qname_asked(w);
	case H1_S_QSKIP:
		return h1_qskip(w, c);
	case H1_S_QVALUE:
		return h1_qvalue(w, c);
	case H1_S_QVALUE_ASKED:
		return h1_qvalue_asked(w, c);
	case H1_S_VERSION:
		return h1_version(w, c, word, have);
	case H1_S_RVERSION:
		return h1_rversion(w, c);
	case H1_S_RSTATUS:
		return h1_rstatus(w, c);
	default:
		return h1_line_end(w, c);
	}
}

static __always_inline int h1_step_field(struct h1_work *w, __u8 c, __u64 word, __u32 have)
{
	switch (w->d.state) {
	case H1_S_LINE:
		return h1_line(w, c);
	case H1_S_NAME:
		if (have >= 8 && !(w->h.name_len & 7) && w->h.name_len < 128 && h1_name_word(w, word))
			return H1_NEXT;
		return h1_name(w, c);
	case H1_S_NAME_ASKED:
		return h1_name_asked(w);
	case H1_S_SKIP:
		return h1_skip(w, c, have);
	case H1_S_HOST:
		return h1_host(w, c, word, have);
	case H1_S_LENGTH:
		return h1_length(w, c);
	case H1_S_CODING:
	case H1_S_UPGRADE:
		return h1_coding(w, c);
	case H1_S_TEXT:
		return h1_text(w, c);
	case H1_S_SAID:
	case H1_S_SAID_ASKED:
	case H1_S_SAID_END:
		return H1_SAID;
	case H1_S_LNAME:
		return h1_list_name(w, c, word, have);
	case H1_S_LNAME_ASKED:
		return h1_list_name_asked(w);
	case H1_S_LSKIP:
		return h1_list_skip(w, c, have);
	case H1_S_LVALUE_ASKED:
		return h1_list_value_asked(w);
	case H1_S_PNAME:
		return h1_pname(w, c);
	case H1_S_PNAME_ASKED:
		return h1_pname_asked(w);
	case H1_S_PSKIP:
		return h1_pskip(w, c, word, have);
	case H1_S_PVALUE:
		return h1_pvalue(w, c);
	case H1_S_PVALUE_ASKED:
		return h1_pvalue_asked(w);
	case H1_S_PAIR:
		return h1_pair(w);
	case H1_S_SNAME:
		return h1_sname(w, c);
	case H1_S_SNAME_ASKED:
		return h1_sname_asked(w, c);
	case H1_S_SVALUE:
		return h1_svalue(w, c);
	case H1_S_SVALUE_ASKED:
		return h1_svalue_asked(w);
	case H1_S_SCHEME_ASKED:
		return h1_scheme_asked(w);
	case H1_S_USER_ASKED:
		return h1_user_asked(w);
	case H1_S_WORD_ASKED:
		return h1_word_asked(w);
	case H1_S_CRED_ASKED:
		return h1_cred_asked(w);
	default:
		if (h1_cred_words(w, have))
			return H1_NEXT;
		return h1_cred(w, c);
	}
}

static __always_inline int h1_step_body(struct h1_work *w, __u8 c)
{
	switch (w->d.state) {
	case H1_S_CHUNK_SIZE:
		return h1_chunk_size(w, c);
	case H1_S_CHUNK_EXT:
		return h1_chunk_ext(w, c);
	case H1_S_CHUNK_END:
		return h1_chunk_end(w, c);
	case H1_S_TRAILER:
		return h1_trailer(w, c);
	default:
		return h1_trailer_line(w, c);
	}
}

static __always_inline int h1_step(struct h1_work *w)
{
	__u32 off = w->pos - w->base, have = w->fill - off;
	__u64 word;

	if (w->d.state == H1_S_BODY || w->d.state == H1_S_CHUNK_DATA)
		return h1_skip_left(w);
	if (w->d.state == H1_S_UNTIL_CLOSE)
		return h1_span(w, w->total - w->pos);
	if (w->d.state >= H1_S_OPAQUE) {
		w->pos = w->total;
		return H1_FILL;
	}
	if (off >= w->fill)
		return H1_FILL;
	word = h1_word(w, 0);
	if (w->d.state == H1_S_UPGRADED) {
		w->d.state = H1_S_H2;
		w->d.digits = H2_FROM_UPGRADE;
		return H1_H2;
	}
	if (w->d.state < H1_S_LINE)
		return h1_step_start_line(w, word, word, have);
	if (w->d.state < H1_S_HEAD_END)
		return h1_step_field(w, word, word, have);
	return h1_step_body(w, word);
}

#endif
