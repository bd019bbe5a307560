/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Runs the HTTP/2 reader: gives it input and the tables' entries, pairs responses with requests by
 * their streams, and reports. Steps are global functions, as in http.bpf.h.
 */
#ifndef TT_HTTP2_BPF_H
#define TT_HTTP2_BPF_H

#include "block.bpf.h"

/* ---- entries of the dynamic tables ---- */

static __always_inline void h2_key(const struct scratch *s, struct hpack_key *key)
{
	key->conn = s->partial.conn;
	key->seq = s->x.seq;
	key->dir = s->dir;
	key->part = s->x.part;
}

/* What stands at `field` in a head. */
static __always_inline __u8 *h2_text(struct h1_head *h, __u8 field, __u32 *max)
{
	switch (field) {
	case TT_CONTROL_METHOD:
		*max = TT_METHOD_LEN;
		return h->method;
	case TT_CONTROL_PATH:
		*max = TT_PATH_LEN;
		return h->path;
	case TT_CONTROL_MCP_METHOD:
		*max = TT_MCP_METHOD_LEN;
		return h->mcp_method;
	case TT_CONTROL_MCP_NAME:
		*max = TT_MCP_NAME_LEN;
		return h->mcp_name;
	case TT_CONTROL_SAID:
		*max = TT_PATH_LEN;
		return h->said.text + (h->said.field_at & 1023);
	default:
		*max = TT_HOST_LEN;
		return h->host;
	}
}

static __always_inline void h2_text_load(struct scratch *s, const struct hpack_key *key)
{
	struct hpack_text *t = bpf_map_lookup_elem(&texts, key);
	struct h1_head *h = &s->w.h;

	if (!t) {
		s->x.entry.text_len = 0;
		return;
	}
	/* Each with its own fixed size: the verifier has nothing to prove. */
	switch (s->x.entry.field) {
	case TT_CONTROL_METHOD:
		__builtin_memcpy(h->method, t->text, TT_METHOD_LEN);
		break;
	case TT_CONTROL_PATH:
		__builtin_memcpy(h->path, t->text, TT_PATH_LEN);
		break;
	case TT_CONTROL_MCP_METHOD:
		__builtin_memcpy(h->mcp_method, t->text, TT_MCP_METHOD_LEN);
		break;
	case TT_CONTROL_MCP_NAME:
		__builtin_memcpy(h->mcp_name, t->text, TT_MCP_NAME_LEN);
		break;
	case TT_CONTROL_HOST:
	case TT_CONTROL_AUTHORITY:
		if (!h->host_len)
			__builtin_memcpy(h->host, t->text, TT_HOST_LEN);
		break;
	case TT_CONTROL_SAID:
		if (s->w.heads && s->x.f.kind == H1_RESPONSES)
			said_load(h, s->x.entry.carrier, t->text, s->x.entry.text_len);
		break;
	}
}

__weak __noinline int h2_get(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct hpack_key key = {};
	struct hpack_entry *e;

	if (!s)
		return RUN_STOP;
	h2_key(s, &key);
	e = bpf_map_lookup_elem(&entries, &key);
	s->x.found = !!e;
	if (!e)
		return RUN_ON;
	s->x.entry = *e;
	if (s->x.b.how == HP_INDEXED && !key.part && s->x.entry.text_len)
		h2_text_load(s, &key);
	return RUN_ON;
}

__weak __noinline int h2_put(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct hpack_key key = {};
	__u32 max = 0;
	__u8 *text;
	__u64 n;

	if (!s)
		return RUN_STOP;
	s->block.from = 0;
	h2_key(s, &key);
	/* One of an earlier life of this row may have the same number. */
	if (bpf_map_update_elem(&entries, &key, &s->x.entry, BPF_ANY))
		bpf_map_delete_elem(&entries, &key);
	n = s->x.entry.text_len;
	if (!n)
		return RUN_ON;
	text = h2_text(&s->w.h, s->x.entry.field, &max);
	__builtin_memset(&s->text, 0, sizeof(s->text));
	if (n > max)
		n = max;
	/* Only the valid bytes: behind them may lie those of a hidden path segment. */
	H1_MASK(n, 255);
	if (n > TT_PATH_LEN)
		return RUN_ON;
	bpf_probe_read_kernel(s->text.text, n, text);
	if (bpf_map_update_elem(&texts, &key, &s->text, BPF_ANY))
		bpf_map_delete_elem(&texts, &key);
	return RUN_ON;
}

__weak __noinline int h2_oldest(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct hpack_key key = {};
	struct hpack_entry *e;
	__u32 parts;

	if (!s)
		return RUN_STOP;
	s->x.part = 0;
	h2_key(s, &key);
	e = bpf_map_lookup_elem(&entries, &key);
	s->x.found = !!e;
	if (!e)
		return RUN_ON;
	s->x.gone = e->size;
	parts = e->creds;
	if (e->text_len)
		bpf_map_delete_elem(&texts, &key);
	bpf_map_delete_elem(&entries, &key);
	for (int i = 0; i < TT_CREDS_MAX && i < parts; i++) {
		key.part = i + 1;
		bpf_map_delete_elem(&entries, &key);
	}
	return RUN_ON;
}

static __always_inline int h2_memo_get(struct scratch *s)
{
	struct hpack_entry *e = bpf_map_lookup_elem(&memos, &s->x.memo);

	s->x.found = !!e;
	if (e)
		s->x.entry = *e;
	return RUN_ON;
}

static __always_inline int h2_memo_put(struct scratch *s)
{
	/* Without it the string is decoded again: slower, and no loss. */
	bpf_map_update_elem(&memos, &s->x.memo, &s->x.entry, BPF_ANY);
	return RUN_ON;
}

/* ---- streams ---- */

/* h2_answer() with what the head in the slot says. */
static __always_inline void h2_answer_head(struct scratch *s, struct conn *c, const struct stream_key *key,
					   struct stream *row, __u32 slot, __u32 status)
{
	s->said_token = row->token;
	s->row = row->row;
	said_answer(slot, stream_seq(c, key, row), status, s->x.b.grpc);
	c->answered++;
	stream_forget(c, key);
}

/* A request for a token, or the answer to one (rule 0: to be found). */
static __always_inline void h2_mint(struct scratch *s, struct conn *c, __u32 rule)
{
	__u32 seq = TT_SEQ_STREAM | s->x.f.stream, status = 0;

	if (rule) {
		c->minting = 1;
		s->x.bodies = 1;
		mint_asked_for(c, seq, rule);
	} else {
		rule = mint_rule_of(c, seq);
		status = s->x.b.status;
	}
	if (rule)
		span_begin(s, c, seq, rule, status, s->x.f.end_stream);
}

__weak __noinline int h2_request(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct stream_key key = {};
	struct conn *c;
	int rule, known;

	if (!s)
		return RUN_STOP;
	known = s->block.known;
	s->block.known = 0;
	c = h2_stream_of(s, &key);
	if (!c)
		return RUN_STOP;
	if (!s->x.b.seen)
		return RUN_ON;	/* trailers */
	s->w.h.version = 20;
	rule = mint_match(slot);
	if (rule)
		h2_mint(s, c, rule);
	if (s->w.h.creds || rule) {
		http_fill_use(s, c, TT_SEQ_STREAM | key.stream);
		s->use.mint = rule;
		s->row.row = 0;
		if ((!rule && fold_use(slot)) || !emit(&s->use, sizeof(s->use)))
			h2_await(s, c, &key, said_token(&s->use));
	}
	h2_asked(c, &key);
	if (known && !s->w.h.creds && !rule)
		block_came_to(slot, BLOCK_NONE);
	else if (known && !rule && s->row.row)
		block_came_to(slot, BLOCK_ROW);
	return RUN_ON;
}

/* A response whose request has not been seen, or had no credential. */
static __always_inline void h2_response_first(struct scratch *s, struct conn *c,
					      const struct stream_key *key, int done)
{
	struct stream early = { .seq = TT_SEQ_STREAM | key->stream, .flags = STREAM_EARLY };

	if (key->stream <= c->last_stream || !s->x.b.status)
		return;
	early.status = s->x.b.status;
	early.grpc = s->x.b.grpc;
	if (done)
		early.flags |= STREAM_DONE;
	c->answering |= done ? CONN_EARLY : CONN_EARLY | CONN_OPEN;
	bpf_map_update_elem(&streams, key, &early, BPF_NOEXIST);
}

/* Is this the end of the response, as far as its status goes? That of a gRPC call is in the trailers,
 * unless there is no message at all. */
static __always_inline int h2_is_done(const struct scratch *s, const struct stream *row)
{
	const struct h2_block *b = &s->x.b;

	return s->x.f.end_stream || b->grpc ||
	       !((b->flags & H2_B_GRPC) || (row && (row->flags & STREAM_GRPC)));
}

__weak __noinline int h2_response(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct stream_key key = {};
	struct stream *row;
	struct h2_block *b;
	struct conn *c;
	int done;

	if (!s)
		return RUN_STOP;
	b = &s->x.b;
	c = h2_stream_of(s, &key);
	if (!c)
		return RUN_STOP;
	if (b->status && b->status < 200)
		return RUN_ON;	/* interim (RFC 9110, 15.2) */
	if (c->minting && b->status)
		h2_mint(s, c, 0);
	row = stream_find(c, &key);
	done = h2_is_done(s, row);
	if (!row) {
		h2_response_first(s, c, &key, done);
	} else if (row->flags & STREAM_EARLY) {
		row->grpc = b->grpc;
		row->flags |= done ? STREAM_DONE : 0;
	} else if (done && s->w.h.saying && b->status) {
		h2_answer_head(s, c, &key, row, slot, b->status);
	} else if (done) {
		/* Without a status it is trailers, or an unseen entry was its status. */
		h2_answer(s, c, &key, row, b->status ? b->status : row->status, b->grpc);
	} else {
		row->status = b->status;
		row->flags |= STREAM_GRPC;
		c->answering |= CONN_OPEN;
	}
	return RUN_ON;
}

/* RST_STREAM, or DATA that ends its stream. */
__weak __noinline int h2_end(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct stream_key key = {};
	struct stream *row;
	struct conn *c;

	if (!s)
		return RUN_STOP;
	if (s->x.f.type == H2_DATA && s->x.f.kind != H1_RESPONSES)
		return RUN_ON;
	c = h2_stream_of(s, &key);
	if (!c)
		return RUN_STOP;
	/* Where all is seen, most responses are over with their head. */
	if (s->x.f.type == H2_DATA && s->x.f.whole && !(c->answering & CONN_OPEN))
		return RUN_ON;
	row = stream_find(c, &key);
	if (!row)
		return RUN_ON;
	if (row->flags & STREAM_EARLY)
		row->flags |= STREAM_DONE;
	else
		h2_answer(s, c, &key, row, row->status, 0);
	return RUN_ON;
}

/* A stream above the one that GOAWAY names is not processed (RFC 9113, 6.8). */
__weak __noinline int h2_gone_one(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct stream_key key = {};
	struct stream *row;
	struct conn *c;

	if (!s)
		return RUN_STOP;
	c = h2_stream_of(s, &key);
	if (!c)
		return RUN_STOP;
	s->x.found = c->last_stream > s->x.setting + 2 * s->x.part;
	if (!s->x.found)
		return RUN_ON;
	key.stream = c->last_stream - 2 * s->x.part;
	row = stream_find(c, &key);
	if (row && !(row->flags & STREAM_EARLY))
		h2_answer(s, c, &key, row, 0, 0);
	return RUN_ON;
}

/* ---- settings ---- */

__weak __noinline int h2_settings(__u32 slot, __u32 acknowledged)
{
	struct scratch *s = scratch_get(slot);
	struct conn *c;

	if (!s)
		return RUN_STOP;
	c = bpf_map_lookup_elem(&conns, &s->key);
	if (!c)
		return RUN_STOP;
	if (!acknowledged) {
		if (s->dir == OUT)
			c->offer[IN] = s->x.setting + 1;
		else
			c->offer[OUT] = s->x.setting + 1;
	} else if (s->dir == OUT && c->offer[OUT]) {
		c->limit[OUT] = c->offer[OUT];
		c->offer[OUT] = 0;
	} else if (s->dir == IN && c->offer[IN]) {
		c->limit[IN] = c->offer[IN];
		c->offer[IN] = 0;
	}
	return RUN_ON;
}

/* What this direction's encoder may use; an offer counts before it is acknowledged, since the
 * acknowledgement may be seen late. */
static __always_inline __u32 h2_limit(const struct conn *c, __u32 dir)
{
	__u32 limit = dir == OUT ? c->limit[OUT] : c->limit[IN];
	__u32 offer = dir == OUT ? c->offer[OUT] : c->offer[IN];

	limit = limit ? limit - 1 : HPACK_TABLE_DEFAULT;
	offer = offer ? offer - 1 : 0;
	return limit > offer ? limit : offer;
}

/* ---- the step ---- */

/* No HTTP/2, or none that can be followed: not a word about what never was any. */
static __always_inline int h2_lost(struct scratch *s)
{
	if (s->x.f.sure)
		drop(s->x.reason);
	s->w.d.state = s->x.f.upgraded && !s->x.f.sure ? H1_S_OPAQUE : H1_S_LOST;
	return RUN_STOP;
}

__weak __noinline int h2_memo(__u32 slot, __u32 put)
{
	struct scratch *s = scratch_get(slot);

	if (!s)
		return RUN_STOP;
	return put ? h2_memo_put(s) : h2_memo_get(s);
}

__weak __noinline int h2_one(__u32 slot)
{
	struct scratch *s = scratch_get(slot);

	if (!s)
		return RUN_STOP;
	switch (h2_step(&s->w, &s->x)) {
	case H2_NEXT:
		return RUN_ON;
	case H2_FILL:
		return h2_fill(slot);
	case H2_INNER:
		s->reader = READ_INNER;
		return RUN_ON;
	case H2_ASK:
		return http_ask_name(slot);
	case H2_GET:
		return h2_get(slot);
	case H2_PUT:
		return h2_put(slot);
	case H2_OLDEST:
		return h2_oldest(slot);
	case H2_GET_MEMO:
		return h2_memo(slot, 0);
	case H2_PUT_MEMO:
		return h2_memo(slot, 1);
	case H2_NOTE:
		s->block.from = 0;
		return drop(s->x.reason);
	case H2_BLOCK:
		return block_ask(slot);
	case H2_HEAD:
		if (s->block.from)
			block_keep(slot);
		return s->x.f.kind == H1_RESPONSES ? h2_response(slot) : h2_request(slot);
	case H2_SETTINGS:
		return h2_settings(slot, 0);
	case H2_ACK:
		return h2_settings(slot, 1);
	case H2_END:
		return h2_end(slot);
	case H2_BODY:
		h2_body(slot, 1);
		return s->x.f.flags & H2_FLAG_END_STREAM ? h2_end(slot) : RUN_ON;
	case H2_SPAN:
		return h2_body(slot, 0);
	case H2_GONE:
		return h2_gone_one(slot);
	default:
		return h2_lost(s);
	}
}

#endif
