/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reads HTTP/2 (RFC 9113) of one direction of a connection, cut anywhere, over any number of calls.
 * Like http1.h, which it uses for the values of fields: plain C for two worlds, calls nobody, knows no
 * table, trusts no byte. h2_step() takes one step and says what it needs (enum h2_result).
 *
 *   struct h2        stays with the direction
 *   struct h2_block  and struct h1_head exist from the first to the last byte of a header block
 *
 * A direction begins with its preface, or somewhere in the middle: then it is only believed
 * (struct h2.sure) once a whole header block makes a valid message and a frame may follow it.
 */
#ifndef TT_READERS_HTTP2_H
#define TT_READERS_HTTP2_H

#include "hpack.h"

enum h2_type {
	H2_DATA,
	H2_HEADERS,
	H2_PRIORITY,
	H2_RST_STREAM,
	H2_SETTINGS_FRAME,
	H2_PUSH_PROMISE,
	H2_PING,
	H2_GOAWAY,
	H2_WINDOW_UPDATE,
	H2_CONTINUATION,
};

#define H2_FLAG_END_STREAM 1	/* and ACK, of SETTINGS and PING */
#define H2_FLAG_END_HEADERS 4
#define H2_FLAG_PADDED 8
#define H2_FLAG_PRIORITY 32
#define H2_FRAME_HEADER 9
#define H2_FRAME_DEFAULT 16384	/* SETTINGS_MAX_FRAME_SIZE (RFC 9113, 6.5.2) */
#define H2_SETTINGS_TABLE 1	/* SETTINGS_HEADER_TABLE_SIZE */
#define H2_PREFACE_LEN 24
#define H2_PREFACE_0 0x5448202a20495250ULL	/* "PRI * HTTP/2.0", CR LF CR LF "SM" CR LF CR LF */
#define H2_PREFACE_1 0x0a0d302e322f5054ULL
#define H2_PREFACE_2 0x0a0d0a0d4d530a0dULL

/* ---- beginning ---- */

/* Can there be such a frame (RFC 9113, 6)? Types that are not known are to be ignored. */
static __always_inline int h2_frame_ok(__u32 len, __u8 type, __u32 stream, __u8 flags)
{
	switch (type) {
	case H2_DATA:
	case H2_HEADERS:
	case H2_CONTINUATION:
		return stream != 0;
	case H2_PUSH_PROMISE:
		return stream != 0 && len >= 4;
	case H2_PRIORITY:
		return stream != 0 && len == 5;
	case H2_RST_STREAM:
		return stream != 0 && len == 4;
	case H2_SETTINGS_FRAME:
		return !stream && (flags & H2_FLAG_END_STREAM ? !len : len % 6 == 0);
	case H2_PING:
		return !stream && len == 8;
	case H2_GOAWAY:
		return !stream && len >= 8;
	case H2_WINDOW_UPDATE:
		return len == 4;
	default:
		return 1;
	}
}

/* Flags that frames have in practice; random bytes mostly have others. */
static __always_inline __u8 h2_flags_of(__u8 type)
{
	if (type == H2_HEADERS)
		return H2_FLAG_END_STREAM | H2_FLAG_END_HEADERS | H2_FLAG_PADDED | H2_FLAG_PRIORITY;
	if (type == H2_DATA)
		return H2_FLAG_END_STREAM | H2_FLAG_PADDED;
	return type == H2_SETTINGS_FRAME || type == H2_PING ? H2_FLAG_END_STREAM : 0;
}

/* The last four of a frame header's nine bytes. */
static __always_inline __u32 h2_stream(__u64 word, __u8 last)
{
	return __builtin_bswap32((__u32)(word >> 40) | (__u32)last << 24);
}

/* A frame header as anyone would send it: word = its first eight bytes, first byte lowest. */
static __always_inline int h2_frame_usual(__u64 word, __u8 last)
{
	__u32 len = (word & 0xff) << 16 | (word & 0xff00) | (word >> 16 & 0xff);
	__u8 type = word >> 24, flags = word >> 32;
	__u32 stream = h2_stream(word, last);

	if (type > H2_WINDOW_UPDATE || len > H2_FRAME_DEFAULT || stream >> 31)
		return 0;
	return !(flags & ~h2_flags_of(type)) && h2_frame_ok(len, type, stream, flags);
}

/* May these first bytes of a call begin an HTTP/2 frame? word[] has 16 bytes, first byte lowest. DATA is
 * not taken for a beginning: nothing in it can be checked. */
static __always_inline int h2_may_begin(const __u64 word[2], __u64 len)
{
	__u8 type = word[0] >> 24;

	return len >= H2_FRAME_HEADER && type != H2_DATA && h2_frame_usual(word[0], word[1]);
}

static __always_inline void h2_want(struct h2_work *x, __u8 state, __u8 want)
{
	x->f.state = state;
	x->f.got = 0;
	x->f.want = want;
}

/* The table is empty, or not known, from here on; `now` tells it from all others. */
static __always_inline void h2_table_new(struct h2 *f, __u64 now)
{
	struct hpack *t = &f->table;

	if (t->inserted < HPACK_FIRST)
		t->inserted = HPACK_FIRST;
	t->epoch = now;
	t->oldest = t->inserted;
	t->base = t->inserted;
	t->size = 0;
	t->max = HPACK_TABLE_DEFAULT;
	t->pad_ = 0;
}

/* A direction begins. Entries of the table from before are kept out of the way by their numbers. */
static __always_inline void h2_begin(struct h2_work *x, enum h2_beginning how, __u64 now)
{
	struct h2 *f = &x->f;

	h2_table_new(f, now);
	f->left = 0;
	f->pad = 0;
	f->stream = 0;
	f->block = 0;
	f->kind = H1_UNKNOWN;
	f->sure = 0;
	f->whole = 0;
	f->split = 0;
	f->promise = 0;
	f->spans = 0;
	f->upgraded = how == H2_FROM_UPGRADE;
	if (how == H2_FROM_FRAME) {
		f->table.max = HPACK_KEEP_MAX;	/* how large the encoder's is nobody says here */
		h2_want(x, H2_S_HEADER, H2_FRAME_HEADER);
	} else if (how == H2_FROM_PREFACE) {
		h2_want(x, H2_S_PREFACE, H2_PREFACE_LEN);
		f->got = 4;
	} else {
		f->state = H2_S_UPGRADED;
	}
}

/* After H2_FROM_FRAME: it is the first byte of the server's direction, and the client sent the preface. */
static __always_inline void h2_begin_answers(struct h2 *f)
{
	f->sure = 1;
	f->whole = 1;
	f->kind = H1_RESPONSES;
	f->table.max = HPACK_TABLE_DEFAULT;
}

static __always_inline __u8 h2_preface_byte(__u32 i)
{
	__u64 word = i < 8 ? H2_PREFACE_0 : i < 16 ? H2_PREFACE_1 : H2_PREFACE_2;

	return word >> (8 * (i & 7));
}

static __always_inline int h2_preface(struct h2_work *x)
{
	if (!h2_have(x))
		return H2_FILL;
	if ((__u8)h2_word(x, 0) != h2_preface_byte(x->f.got++))
		return h2_bad(x, TT_DROP_bad_frame);
	x->pos++;
	if (x->f.got < H2_PREFACE_LEN)
		return H2_NEXT;
	x->f.sure = 1;
	x->f.whole = 1;
	x->f.kind = H1_REQUESTS;
	h2_want(x, H2_S_HEADER, H2_FRAME_HEADER);
	return H2_NEXT;
}

/* After a 101 the client sends the preface and the server frames. */
static __always_inline int h2_upgraded(struct h2_work *x)
{
	if (!h2_have(x))
		return H2_FILL;
	h2_want(x, H2_S_HEADER, H2_FRAME_HEADER);
	if ((__u8)h2_word(x, 0) == 'P')
		h2_want(x, H2_S_PREFACE, H2_PREFACE_LEN);
	return H2_NEXT;
}

/* ---- frames ---- */

static __always_inline void h2_skip(struct h2_work *x)
{
	if (x->f.left)
		x->f.state = H2_S_SKIP;
	else
		h2_want(x, H2_S_HEADER, H2_FRAME_HEADER);
}

static __always_inline int h2_skipping(struct h2_work *x)
{
	__u32 have = x->total - x->pos;
	__u8 spans;

	if (!have)
		return H2_FILL;
	x->span_end = 0;
	x->span_at = x->pos;
	x->span_len = have < x->f.left ? have : x->f.left;
	h2_take(x, x->span_len);
	spans = x->f.spans;
	if (!x->f.left) {
		x->span_end = x->f.flags & H2_FLAG_END_STREAM;
		x->f.spans = 0;
		if (x->f.type == H2_DATA) {
			x->f.left = x->f.pad;
			x->f.pad = 0;
		}
	}
	h2_skip(x);
	return spans ? H2_SPAN : H2_NEXT;
}

/* The header block, or its first part, is next. */
static __always_inline int h2_block_next(struct h2_work *x)
{
	struct h2 *f = &x->f;

	f->state = H2_S_BLOCK;
	return f->sure && f->type == H2_HEADERS && (f->flags & H2_FLAG_END_HEADERS) && f->left <= x->total - x->pos ?
		       H2_BLOCK : H2_NEXT;
}

/* A header block begins. */
static __always_inline void h2_block_begin(struct h1_work *w, struct h2_work *x)
{
	struct h2_block *b = &x->b;

	__builtin_memset(b, 0, sizeof(*b));
	h1_head_init(&w->h);
	w->fill = 0;
	x->f.promise = x->f.type == H2_PUSH_PROMISE;
	x->f.end_stream = x->f.type == H2_HEADERS && (x->f.flags & H2_FLAG_END_STREAM);
}

static __always_inline int h2_headers(struct h1_work *w, struct h2_work *x)
{
	struct h2 *f = &x->f;
	__u8 want = 0;

	f->block = f->stream;
	h2_block_begin(w, x);
	x->b.size = f->left;
	if (f->flags & H2_FLAG_PADDED)
		want = 1;
	if (f->type == H2_PUSH_PROMISE)
		want += 4;
	else if (f->flags & H2_FLAG_PRIORITY)
		want += 5;
	if (want > f->left)
		return h2_bad(x, TT_DROP_bad_frame);
	if (f->left > H2_BLOCK_MAX)
		return h2_bad(x, TT_DROP_head_too_long);
	if (!want)
		return h2_block_next(x);
	h2_want(x, H2_S_PREFIX, want);
	return H2_NEXT;
}

/* The payload of a DATA frame begins, on a connection where it may be of interest. */
static __always_inline int h2_data(struct h2_work *x)
{
	x->span_len = x->f.left;
	if (!x->f.left) {
		x->f.left = x->f.pad;
		x->f.pad = 0;
	}
	h2_skip(x);
	return H2_BODY;
}

static __always_inline int h2_prefix(struct h2_work *x)
{
	struct h2 *f = &x->f;

	f->pad = f->flags & H2_FLAG_PADDED ? f->bytes[0] : 0;
	if (f->pad > f->left)
		return h2_bad(x, TT_DROP_bad_frame);
	f->left -= f->pad;
	if (f->type == H2_DATA)
		return h2_data(x);
	return h2_block_next(x);
}

static __always_inline int h2_setting(struct h2_work *x)
{
	struct h2 *f = &x->f;
	__u32 id = f->bytes[0] << 8 | f->bytes[1];

	x->setting = (__u32)f->bytes[2] << 24 | f->bytes[3] << 16 | f->bytes[4] << 8 | f->bytes[5];
	if (f->left)
		h2_want(x, H2_S_SETTING, 6);
	else
		h2_want(x, H2_S_HEADER, H2_FRAME_HEADER);
	return id == H2_SETTINGS_TABLE ? H2_SETTINGS : H2_NEXT;
}

#define H2_GONE_MAX 128		/* streams that one GOAWAY ends; servers allow about 100 at a time */

static __always_inline int h2_goaway(struct h2_work *x)
{
	struct h2 *f = &x->f;

	x->setting = (__u32)(f->bytes[0] & 0x7f) << 24 | f->bytes[1] << 16 | f->bytes[2] << 8 | f->bytes[3];
	x->part = 0;
	if (f->kind != H1_RESPONSES) {
		h2_skip(x);
		return H2_NEXT;
	}
	f->state = H2_S_GONE;
	return H2_GONE;
}

static __always_inline int h2_gone(struct h2_work *x)
{
	if (x->found && ++x->part < H2_GONE_MAX)
		return H2_GONE;
	h2_skip(x);
	return H2_NEXT;
}

static __always_inline int h2_other_frame(struct h2_work *x)
{
	struct h2 *f = &x->f;

	if (f->type == H2_SETTINGS_FRAME && f->left) {
		h2_want(x, H2_S_SETTING, 6);
		return H2_NEXT;
	}
	if (f->type == H2_GOAWAY) {
		h2_want(x, H2_S_GOAWAY, 4);
		return H2_NEXT;
	}
	if (f->type == H2_DATA && x->bodies) {
		if (!(f->flags & H2_FLAG_PADDED))
			return h2_data(x);
		h2_want(x, H2_S_PREFIX, 1);
		return f->left ? H2_NEXT : h2_bad(x, TT_DROP_bad_frame);
	}
	h2_skip(x);
	if (f->type == H2_SETTINGS_FRAME)
		return f->flags & H2_FLAG_END_STREAM ? H2_ACK : H2_NEXT;
	if (f->type == H2_RST_STREAM)
		return H2_END;
	return f->type == H2_DATA && (f->flags & H2_FLAG_END_STREAM) ? H2_END : H2_NEXT;
}

/* The nine bytes of a frame header are there. */
static __always_inline int h2_header(struct h1_work *w, struct h2_work *x)
{
	struct h2 *f = &x->f;
	__u64 word;

	word = load_word(f->bytes);
	if (!f->sure && !h2_frame_usual(word, f->bytes[8]) && f->bytes[3] != H2_CONTINUATION)
		return h2_bad(x, TT_DROP_bad_frame);
	f->left = f->bytes[0] << 16 | f->bytes[1] << 8 | f->bytes[2];
	f->type = f->bytes[3];
	f->flags = f->bytes[4];
	f->stream = h2_stream(word, f->bytes[8]) & 0x7fffffff;
	f->pad = 0;
	if (!h2_frame_ok(f->left, f->type, f->stream, f->flags))
		return h2_bad(x, TT_DROP_bad_frame);
	/* Nothing may stand between the frames of a header block (RFC 9113, 4.3). */
	if (f->block ? f->type != H2_CONTINUATION || f->stream != f->block : f->type == H2_CONTINUATION)
		return h2_bad(x, TT_DROP_bad_frame);
	if (f->type == H2_CONTINUATION) {
		x->b.size += f->left;
		f->state = H2_S_BLOCK;
		return x->b.size <= H2_BLOCK_MAX ? H2_NEXT : h2_bad(x, TT_DROP_head_too_long);
	}
	if (f->type == H2_HEADERS || f->type == H2_PUSH_PROMISE)
		return h2_headers(w, x);
	return h2_other_frame(x);
}

static __always_inline int h2_collect(struct h1_work *w, struct h2_work *x)
{
	struct h2 *f = &x->f;
	__u32 have = h2_have(x);
	__u64 i = f->got, word;

	if (!have)
		return H2_FILL;
	word = h2_word(x, 0);
	if (f->state == H2_S_HEADER && !f->got && have >= H2_FRAME_HEADER) {
		store_word(f->bytes, word);
		f->bytes[8] = h2_word(x, 8);
		x->pos += H2_FRAME_HEADER;
		return h2_header(w, x);
	}
	H1_MASK(i, 7);		/* the ninth byte is the last one */
	if (f->got == 8)
		f->bytes[8] = word;
	else
		f->bytes[i] = word;
	x->pos++;
	if (f->state != H2_S_HEADER)
		f->left--;
	if (++f->got < f->want)
		return H2_NEXT;
	if (f->state == H2_S_HEADER)
		return h2_header(w, x);
	if (f->state == H2_S_PREFIX)
		return h2_prefix(x);
	return f->state == H2_S_GOAWAY ? h2_goaway(x) : h2_setting(x);
}

/* ---- the end of a header block ---- */

#define H2_SEEN(control) (1 << ((control) - TT_CONTROL_METHOD))

/* What begins in the middle has to prove itself: by this message, and by what follows the frame. */
static __always_inline int h2_proven(const struct h2_work *x)
{
	__u32 rest = x->total - x->pos;

	if (x->f.sure)
		return 1;
	if (!x->b.seen || (x->b.flags & H2_B_BAD) || (x->f.stream & 1) == 0)
		return 0;
	if (rest < x->f.pad)
		return 1;
	if (rest - x->f.pad < H2_FRAME_HEADER || h2_have(x) < x->f.pad + H2_FRAME_HEADER)
		return 1;
	return h2_frame_usual(h2_word(x, x->f.pad), h2_word(x, x->f.pad + 8));
}

/* How many of the unseen entries must be pseudo-header fields: those stand first, and a request has
 * three of them (RFC 9113, 8.3.1). */
static __always_inline __u8 h2_pseudo_unseen(const struct h1_work *w, const struct h2_work *x)
{
	const struct h2_block *b = &x->b;
	__u8 missing = !(b->seen & H2_SEEN(TT_CONTROL_METHOD));

	/* CONNECT has only its method, unless it is the extended one (RFC 8441) */
	if (w->h.method_len == 7 && w->h.method[0] == 'C' && !(b->seen & H2_SEEN(TT_CONTROL_PROTOCOL)))
		return 0;
	missing += !(b->seen & H2_SEEN(TT_CONTROL_PATH));
	missing += !(b->seen & H2_SEEN(TT_CONTROL_URI_SCHEME));
	return missing > b->before ? missing - b->before : 0;
}

static __always_inline int h2_block_end(struct h1_work *w, struct h2_work *x)
{
	struct h2 *f = &x->f;
	struct h2_block *b = &x->b;

	if (b->state != HP_START)
		return h2_bad(x, TT_DROP_bad_hpack);
	if (!h2_proven(x))
		return h2_bad(x, TT_DROP_bad_frame);
	if (!f->sure)
		f->kind = b->seen & H2_SEEN(TT_CONTROL_STATUS) ? H1_RESPONSES : H1_REQUESTS;
	f->sure = 1;
	f->block = 0;
	f->left = f->pad;
	if (f->promise) {
		h2_skip(x);
		return H2_NEXT;
	}
	b->part = f->kind == H1_REQUESTS ? h2_pseudo_unseen(w, x) : b->unknown;
	b->creds = w->h.creds;
	f->state = H2_S_UNKNOWN;
	return H2_NEXT;
}

/* Makes an unreadable credential of an unseen entry. */
static __always_inline void h2_unreadable(struct h1_work *w, struct h2_work *x, __u32 seq)
{
	struct hpack *t = &x->f.table;
	struct tt_cred *c = &w->h.made;

	siphash_init(&x->sip, w->key[0], w->key[1]);
	siphash_put8(&x->sip, t->epoch);
	siphash_put8(&x->sip, (__u64)x->dir << 32 | seq);
	__builtin_memset(c, 0, sizeof(*c));
	siphash_final(&x->sip, c->token);
	c->flags = TT_CRED_UNREADABLE;
	c->entry = seq < t->base ? t->base - seq : 0;
}

/*
 * A use's fields that nobody can read, one by one; then the message is complete. All are counted, but
 * reported only if no credential was read, and of too many the last ones: clients put theirs late.
 */
static __always_inline int h2_unknown(struct h1_work *w, struct h2_work *x)
{
	struct h2_block *b = &x->b;
	__u64 i = b->part;
	__u32 seq;

	if (b->part >= b->unknown) {
		h2_skip(x);
		if (!(b->flags & H2_B_BAD))
			return H2_HEAD;
		return h2_note(x, TT_DROP_bad_message);
	}
	b->part++;
	H1_MASK(i, H2_UNKNOWN_MAX - 1);
	seq = b->unseen[i];
	if (!b->creds && b->unknown - b->part < TT_CREDS_MAX) {
		h2_unreadable(w, x, seq);
		w->h.list = 0;
		w->d.state = H1_S_LINE;		/* as in hp_cred_add() */
		h1_cred_add(w);
	} else if (!b->creds) {
		w->h.use_flags |= TT_USE_MORE_CREDS;
	}
	return h2_note(x, seq < x->f.table.base ? TT_DROP_hpack_unknown : TT_DROP_hpack_evicted);
}

/* ---- the step ---- */

static __always_inline int h2_block(struct h1_work *w, struct h2_work *x)
{
	struct h2 *f = &x->f;

	if (hp_hungry(w, &x->b)) {
		if (!f->left && (f->flags & H2_FLAG_END_HEADERS)) {
			f->state = H2_S_BLOCK_END;
			return H2_NEXT;
		}
		if (!f->left) {
			f->left = f->pad;
			f->pad = 0;
			h2_skip(x);
			return H2_NEXT;
		}
		if (!h2_have(x) && x->b.state != HP_SKIP)
			return H2_FILL;
	}
	return hp_step(w, x);
}

/* Is a header block being read, so that it has to be kept to the next call? */
static __always_inline int h2_in_block(const struct h2 *f)
{
	return f->block != 0;
}

static __always_inline int h2_step(struct h1_work *w, struct h2_work *x)
{
	switch (x->f.state) {
	case H2_S_PREFACE:
		return h2_preface(x);
	case H2_S_UPGRADED:
		return h2_upgraded(x);
	case H2_S_HEADER:
	case H2_S_PREFIX:
	case H2_S_SETTING:
	case H2_S_GOAWAY:
		return h2_collect(w, x);
	case H2_S_GONE:
		return h2_gone(x);
	case H2_S_BLOCK:
		return h2_block(w, x);
	case H2_S_BLOCK_END:
		return h2_block_end(w, x);
	case H2_S_UNKNOWN:
		return h2_unknown(w, x);
	default:
		return h2_skipping(x);
	}
}

#endif
