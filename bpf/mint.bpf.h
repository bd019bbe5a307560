/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Requests for tokens, on the HTTP reader's side: told by their head; where their bodies and their answers'
 * lie in this call is noted in the slot, for the program that reads bodies (body.bpf.h).
 */
#ifndef TT_MINT_BPF_H
#define TT_MINT_BPF_H

#include "head.bpf.h"
#include "readers/mint_route.h"

/* What a request was, for its answer, by connection and number (struct tt_ev_hdr.seq). */
struct minting {
	__u32 rule;
	__u32 pad_;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct stream_key);
	__type(value, struct minting);
} mintings __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TT_MINT_RULES_MAX);
	__type(key, __u32);
	__type(value, struct tt_mint_rule);
} mint_rules __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * TT_MINT_RULES_MAX);
	__type(key, __u64);
	__type(value, struct tt_mint_key_val);
} mint_keys __weak SEC(".maps");

/* ---- heads ---- */

__weak __noinline int mint_try(__u32 slot, __u32 rule)
{
	struct tt_mint_rule *r = bpf_map_lookup_elem(&mint_rules, &rule);
	struct scratch *s = scratch_get(slot);

	return r && s && mint_rule_fits(&s->w.h, r);
}

static __always_inline int mint_try_key(__u32 slot, __u64 key)
{
	struct tt_mint_key_val *val = bpf_map_lookup_elem(&mint_keys, &key);

	if (!val)
		return 0;
	for (int i = 0; i < TT_MINT_KEY_RULES; i++) {
		if (val->rule[i] && mint_try(slot, val->rule[i]))
			return val->rule[i];
	}
	return 0;
}

/* The rule that the head in the slot fits, or 0. */
__weak __noinline int mint_match(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	int rule;

	if (!s)
		return 0;
	rule = mint_try_key(slot, mint_key_begin(&s->w.h));
	return rule ? rule : mint_try_key(slot, mint_key_end(&s->w.h));
}

/* ---- bodies ---- */

static __always_inline void span_add(struct scratch *s, __u32 seq, __u32 at, __u32 len, __u8 flags)
{
	__u64 i = s->spans;
	struct span *p;

	if (i >= SPANS_MAX) {
		s->span[SPANS_MAX - 1].flags |= SPAN_LOST;
		drop(TT_DROP_mint_spans);
		return;
	}
	H1_MASK(i, SPANS_MAX - 1);
	p = &s->span[i];
	p->addr = s->addr + at;
	p->len = len;
	p->seq = seq;
	p->rule = s->mint_rule;
	p->status = s->mint_status;
	p->flags = flags;
	s->spans++;
}

/* A request or an answer begins whose body is to be read; ended: it has none. */
static __always_inline void span_begin(struct scratch *s, const struct conn *c, __u32 seq, __u32 rule,
				       __u32 status, int ended)
{
	s->mint_rule = rule;
	s->mint_status = status;
	span_add(s, seq, 0, 0, SPAN_BEGIN | (status ? SPAN_ANSWER : 0) | (ended ? SPAN_END : 0));
}

static __always_inline void mint_asked_for(const struct conn *c, __u32 seq, __u32 rule)
{
	struct stream_key key = { .conn = c->id, .stream = seq };
	struct minting m = { .rule = rule };

	bpf_map_update_elem(&mintings, &key, &m, BPF_ANY);
}

static __always_inline __u32 mint_rule_of(const struct conn *c, __u32 seq)
{
	struct stream_key key = { .conn = c->id, .stream = seq };
	struct minting *m = bpf_map_lookup_elem(&mintings, &key);

	return m ? m->rule : 0;
}

/* HTTP/1: bytes of a body, or its end. */
__weak __noinline int http_span(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct conn *c;
	__u32 answer, flags, seq;

	if (!s)
		return RUN_STOP;
	c = bpf_map_lookup_elem(&conns, &s->key);
	if (!c)
		return RUN_STOP;
	answer = s->w.d.kind == H1_RESPONSES;
	seq = answer ? c->answered - 1 : c->sent - 1;
	flags = answer ? SPAN_ANSWER : 0;
	if (s->w.d.state == H1_S_START) {
		flags |= SPAN_END;
		s->w.d.spans = 0;
	}
	span_add(s, seq, s->w.span_at, s->w.span_len, flags);
	return RUN_ON;
}

/* HTTP/2: of a DATA frame; `part` 0: it begins. */
__weak __noinline int h2_body(__u32 slot, __u32 begins)
{
	struct scratch *s = scratch_get(slot);
	__u32 seq, flags;
	struct conn *c;

	if (!s)
		return RUN_STOP;
	seq = TT_SEQ_STREAM | s->x.f.stream;
	flags = s->x.f.kind == H1_RESPONSES ? SPAN_ANSWER : 0;
	if (begins) {
		c = bpf_map_lookup_elem(&conns, &s->key);
		if (!c || !mint_rule_of(c, seq))
			return RUN_ON;
		if (s->x.span_len)
			s->x.f.spans = 1;
		else if (s->x.f.flags & H2_FLAG_END_STREAM)
			span_add(s, seq, 0, 0, flags | SPAN_END);
		return RUN_ON;
	}
	if (s->x.span_end)
		flags |= SPAN_END;
	span_add(s, seq, s->x.span_at, s->x.span_len, flags);
	return RUN_ON;
}

#endif
