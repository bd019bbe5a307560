/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* HTTP/1 heads: pairs responses with requests by their order, and reports. */
#ifndef TT_HTTP1_BPF_H
#define TT_HTTP1_BPF_H

#include "mint.bpf.h"
#include "said.bpf.h"

/* The bytes of a body, or of a direction nobody reads any more, cost no byte read. Whether these are no more than
 * that. */
static __always_inline int http_passes(struct http1 *d, __u64 len)
{
	if (d->spans)
		return 0;
	if (d->state == H1_S_UNTIL_CLOSE || d->state == H1_S_OPAQUE)
		return 1;
	if ((d->state != H1_S_BODY && d->state != H1_S_CHUNK_DATA && d->state != H1_S_H2) || d->left < len)
		return 0;
	if (d->left == len) {
		if (d->state == H1_S_H2)
			return 0;	/* its frame may end the stream */
		d->state = d->state == H1_S_BODY ? H1_S_START : H1_S_CHUNK_END;
	}
	d->left -= len;
	return 1;
}

/* Is the use in the slot a repeat that a row can count? A response must lead to it. */
static __always_inline int http_fold(struct scratch *s, struct conn *c, __u32 slot, __u32 seq)
{
	__u64 i = seq & (ROWS_PENDING - 1);

	if (c->unpaired || (c->asking & CONN_HOLDS) || (__s32)(seq - c->answered) >= ROWS_PENDING || !fold_use(slot))
		return 0;
	c->row[i] = s->row;
	return 1;
}

/* The row of a request that waits; none if it was reported. */
static __always_inline struct row_ref http_row(const struct conn *c, __u32 seq, __u8 pending)
{
	struct row_ref none = {};
	__u64 i = seq & (ROWS_PENDING - 1);

	return pending & PENDING_ROW ? c->row[i] : none;
}

#define LATE_NS 5000000		/* a request so soon after a response that began a row may be its own */

/* Does it send a request before the last one is answered? Where responses are missed, any bytes may have been one. */
static __always_inline void http_piped(const struct scratch *s, struct conn *c)
{
	struct http1 *responses = conn_other_dir(c, s->dir);

	if (c->sent != c->answered && !c->early_status && !(responses->state == H1_S_LOST && responses->moved))
		c->asking |= CONN_PIPES;
	if (responses->moved)
		responses->moved = 0;
}

/* Requests may have been missed before this one. What seemed to be an answer to it is then one of theirs. */
static __always_inline void http_requests_missed(struct scratch *s, struct conn *c)
{
	s->w.d.resumed = 0;
	if (c->asking & CONN_PIPES)
		c->unpaired = 1;
	if (!c->early_status)
		return;
	c->early_status = 0;
	c->pending[c->sent & (PIPELINE_MAX - 1)] = 0;
	c->sent++;
}

static __always_inline void http_request(struct scratch *s, struct conn *c, __u32 slot, __u32 rule)
{
	struct h1_head *h = &s->w.h;
	__u8 pending = 0;
	__u32 seq;
	__u64 i;

	if (s->w.d.resumed)
		http_requests_missed(s, c);
	http_piped(s, c);
	seq = c->sent;
	i = seq & (PIPELINE_MAX - 1);
	if (c->late_ns && bpf_ktime_get_boot_ns() - c->late_ns < LATE_NS && !seq && !c->unpaired) {
		/* The response seen first may belong to this request or to one never seen. */
		c->unpaired = 1;
		drop(TT_DROP_joined_late);
	}
	if ((__s32)(seq - c->answered) >= PIPELINE_MAX && !c->unpaired) {
		c->unpaired = 1;
		drop(TT_DROP_pipeline_full);
	}
	if (h->flags & H1_F_METHOD_HEAD)
		pending |= PENDING_HEAD;
	if (h->flags & H1_F_CONNECT)
		pending |= PENDING_CONNECT;
	if (rule) {
		pending |= PENDING_MINT;
		mint_asked_for(c, seq, rule);
	}
	if (h->creds || rule) {
		http_fill_use(s, c, seq);
		s->use.mint = rule;
		c->token = said_token(&s->use);
		if (!rule && http_fold(s, c, slot, seq))
			pending |= PENDING_CRED | PENDING_ROW;
		else if (!emit(&s->use, sizeof(s->use)))
			pending |= PENDING_CRED;
	}
	c->pending[i] = pending;
	c->sent = seq + 1;
	if (!c->early_status)
		return;
	if (pending & PENDING_ROW)
		fold_answer(s->row.row, s->row.gen, c->early_status, 0);
	else if ((pending & PENDING_CRED) && !c->unpaired)
		emit_status(&s->status, c, seq, c->early_status);
	c->early_status = 0;
}

/* A response before any request of its own: it overtook the request on another CPU, or the request
 * was never seen. */
static __always_inline void http_response_first(struct conn *c, __u32 status)
{
	if (!c->sent) {
		c->late_ns = bpf_ktime_get_boot_ns();
		return;
	}
	if (c->early_status)
		c->unpaired = 1;
	c->early_status = status;
	c->answered++;
}

/* HTTP/2 by Upgrade: the request is answered on stream 1 (RFC 7540, 3.2). What the client's
 * HTTP2-Settings field offers is not read. */
static __always_inline void http_to_h2(struct scratch *s, struct conn *c, __u32 seq, __u8 pending)
{
	struct stream_key key = { .conn = c->id, .stream = 1 };
	struct stream row = { .seq = seq, .row = http_row(c, seq, pending) };

	if ((pending & PENDING_CRED) && !c->unpaired) {
		c->asking |= CONN_SPILLED;	/* the client waits for this response before it goes on */
		bpf_map_update_elem(&streams, &key, &row, BPF_ANY);
	}
	c->last_stream = 1;
	c->limit[OUT] = HPACK_KEEP_MAX + 1;
	c->limit[IN] = HPACK_KEEP_MAX + 1;
	c->dir[OUT].state = H1_S_UPGRADED;
	c->dir[IN].state = H1_S_UPGRADED;
	s->w.d.state = H1_S_UPGRADED;
}

/* Is the body that follows this head to be read? rule: it is said already, of a request. */
static __always_inline void http_mint(struct scratch *s, const struct conn *c, __u32 rule)
{
	__u32 answer = s->w.d.kind == H1_RESPONSES, seq = answer ? c->answered - 1 : c->sent - 1;
	__u64 i = seq & (PIPELINE_MAX - 1);

	s->w.d.spans = 0;
	if (answer && !s->unasked && (c->pending[i] & PENDING_MINT) && !c->unpaired && s->w.h.status >= 200)
		rule = mint_rule_of(c, seq);
	if (!rule || s->w.d.state >= H1_S_UPGRADED)
		return;
	s->w.d.spans = s->w.d.state != H1_S_START;
	span_begin(s, c, seq, rule, answer ? s->w.h.status : 0, !s->w.d.spans);
}

/* May the next response's head tell of a credential? */
static __always_inline __u32 http_heads(const struct conn *c)
{
	__u64 i = c->answered & (PIPELINE_MAX - 1);

	return c->answered != c->sent && !c->unpaired && (c->pending[i] & PENDING_CRED);
}

/* The next response goes by unseen, or has. */
__weak __noinline int http_unanswered(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct row_ref row;
	struct conn *c;
	__u8 pending;
	__u32 seq;

	if (!s)
		return 0;
	c = bpf_map_lookup_elem(&conns, &s->key);
	if (!c)
		return 0;
	seq = c->answered;
	pending = c->pending[seq & (PIPELINE_MAX - 1)];
	row = http_row(c, seq, pending);
	c->answered = seq + 1;
	if (row.row)
		fold_answer(row.row, row.gen, 0, 0);
	else if (pending & PENDING_CRED)
		emit_status(&s->status, c, seq, 0);
	return 0;
}

/*
 * Responses have gone by unseen, and their number is not known. But who waits for each response before it asks again
 * has had all but the last request's by now, and that one's too if a request may have been missed as well.
 */
static __always_inline void http_missed(struct scratch *s, struct conn *c, __u32 slot)
{
	__u32 stay = conn_other_dir(c, s->dir)->state != H1_S_LOST, open = c->sent - c->answered;

	s->w.d.resumed = 0;
	if (c->unpaired || open <= stay)
		return;
	if (c->asking & CONN_PIPES) {
		c->unpaired = 1;
		return;
	}
#pragma nounroll
	for (__u32 i = 0; i < PIPELINE_MAX && open > stay; i++, open--)
		http_unanswered(slot);
}

/* Whether the response has no body whatever its fields say. */
static __always_inline int http_response(struct scratch *s, struct conn *c, __u32 slot)
{
	__u32 status = s->w.h.status, seq;
	__u8 pending;
	__u64 i;

	if (status < 200 && status != 101)
		return 1;	/* interim: the final one is still to come (RFC 9110, 15.2) */
	if (s->w.d.resumed)
		http_missed(s, c, slot);
	seq = c->answered;
	i = seq & (PIPELINE_MAX - 1);
	s->unasked = seq && seq == c->sent && conn_other_dir(c, s->dir)->state == H1_S_LOST;
	if (seq == c->sent) {
		if (!s->unasked)
			http_response_first(c, status);
		return status == 101 || status == 204 || status == 304;
	}
	pending = c->pending[i];
	if (status == 101 && (s->w.h.flags & H1_F_H2C)) {
		http_to_h2(s, c, seq, pending);
		return 1;
	}
	s->row = http_row(c, seq, pending);
	c->answered = seq + 1;	/* last: the next but three requests' row has its place from now on */
	if ((pending & PENDING_CRED) && !c->unpaired) {
		s->said_token = seq + 1 == c->sent ? c->token : 0;
		if (s->w.h.saying)
			said_answer(slot, seq, status, 0);
		else if (s->row.row)
			fold_answer(s->row.row, s->row.gen, status, 0);
		else
			emit_status(&s->status, c, seq, status);
	}
	s->w.heads = http_heads(c);
	if (status == 101 || ((pending & PENDING_CONNECT) && status < 300)) {
		c->dir[OUT].state = H1_S_OPAQUE;
		c->dir[IN].state = H1_S_OPAQUE;
		s->w.d.state = H1_S_OPAQUE;
	}
	return (pending & PENDING_HEAD) || status == 204 || status == 304;
}

int again_keep(__u32 slot, __u32 rule);	/* again.bpf.h */

__weak __noinline int http_head(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct conn *c;
	int no_body = 0, rule = 0;

	if (!s)
		return RUN_STOP;
	c = bpf_map_lookup_elem(&conns, &s->key);
	if (!c)
		return RUN_STOP;
	if (s->w.d.kind == H1_REQUESTS) {
		rule = mint_match(slot);
		http_request(s, c, slot, rule);
	} else {
		no_body = http_response(s, c, slot);
	}
	if (s->w.d.state < H1_S_UPGRADED)
		h1_body(&s->w, no_body);
	http_mint(s, c, rule);
	if (s->again.keep)
		again_keep(slot, rule);
	return RUN_ON;
}

#endif
