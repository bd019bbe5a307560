/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reads the bodies of requests for tokens and of their answers, where the HTTP reader noted that they lie
 * (mint.bpf.h), and tells the agent what was in them. A program of its own, which the HTTP reader
 * tail-calls: most calls have nothing for it.
 *
 * Decoded bytes of a compressed body would come in at body_fill(); until there is a decoder, such a body
 * is counted (mint_compressed) and told of without a token.
 */
#ifndef TT_BODY_BPF_H
#define TT_BODY_BPF_H

#include "http.bpf.h"
#include "readers/mint.h"

#define BODY_PARTIAL 2		/* partial_key.dir: from here on, with the message's number above */

/* Bodies that are split over calls, masked as heads are; the credential under way is in `partials`. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct partial_key);
	__type(value, struct mint_body);
} bodies __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct tt_mint_member_key);
	__type(value, struct tt_mint_member_val);
} mint_members __weak SEC(".maps");

/* ---- the loop ---- */

static __always_inline int body_fill(struct scratch *s)
{
	int r = http_load(s);

	if (r != RUN_FAULT)
		return r;
	mint_over(&s->m, TT_MINT_INCOMPLETE);
	return RUN_STOP;
}

static __always_inline int body_member(struct scratch *s)
{
	struct tt_mint_member_key key = {};
	struct tt_mint_member_val *val;

	key.hash = s->m.member_hash;
	key.set = s->mint_set;
	val = bpf_map_lookup_elem(&mint_members, &key);
	s->w.answer.id = val ? val->id : 0;
	s->w.answer.unwrap = val ? val->what : 0;
	return RUN_ON;
}

__weak __noinline int body_step(__u32 slot)
{
	struct scratch *s = scratch_get(slot);

	if (!s)
		return RUN_STOP;
	switch (mint_step(&s->w, &s->m)) {
	case M_NEXT:
		return RUN_ON;
	case M_FILL:
		return body_fill(s);
	case M_MEMBER:
		return body_member(s);
	case M_CLASS:
		return http_ask_class(slot);
	default:
		return RUN_STOP;
	}
}

__weak __noinline int body_pump(__u32 slot)
{
	for (int i = 0; i < PUMP_STEPS; i++) {
		if (body_step(slot) != RUN_ON)
			return RUN_STOP;
	}
	return RUN_ON;
}

/* ---- from call to call ---- */

static __always_inline void body_key(const struct scratch *s, const struct span *p, struct partial_key *key)
{
	key->conn = s->partial.conn;
	key->dir = (__u64)p->seq << 32 | (BODY_PARTIAL + (p->flags & SPAN_ANSWER ? 1 : 0));
}

/* Hides unfinished texts, as http_mask() hides an unfinished credential. */
__weak __noinline int body_mask(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	__u64 *words;

	if (!s)
		return 0;
	words = (__u64 *)s->m.text;
	for (int i = 0; i < TT_MINT_TEXT_LEN / 8; i++)
		words[i] ^= http_mask_word(s, MASKED_WORDS + BLOCK_WORDS + i);
	s->reader = READ_H1;
	http_mask(slot);
	return 0;
}
_Static_assert(__builtin_offsetof(struct mint_body, text) % 8 == 0, "body_mask() goes by words");

/* Whether there is a body to go on with. */
__weak __noinline int body_unpark(__u32 slot, __u32 i)
{
	struct scratch *s = scratch_get(slot);
	struct partial_key key = {};
	struct mint_body *m;
	struct h1_head *h;
	__u64 at = i;

	if (!s)
		return 0;
	H1_MASK(at, SPANS_MAX - 1);
	body_key(s, &s->span[at], &key);
	m = bpf_map_lookup_elem(&bodies, &key);
	if (!m)
		return 0;	/* it was read to its end before, or had to make room: the agent counts that */
	h = bpf_map_lookup_elem(&partials, &key);
	bpf_probe_read_kernel(&s->m, sizeof(s->m), m);
	bpf_map_delete_elem(&bodies, &key);
	if (!h)
		return 0;
	bpf_probe_read_kernel(&s->w.h, sizeof(s->w.h), h);
	bpf_map_delete_elem(&partials, &key);
	body_mask(slot);
	return 1;
}

__weak __noinline int body_park(__u32 slot, __u32 i)
{
	struct scratch *s = scratch_get(slot);
	struct partial_key key = {};
	__u64 at = i;

	if (!s)
		return 0;
	H1_MASK(at, SPANS_MAX - 1);
	body_key(s, &s->span[at], &key);
	body_mask(slot);
	if (bpf_map_update_elem(&bodies, &key, &s->m, BPF_ANY) ||
	    bpf_map_update_elem(&partials, &key, &s->w.h, BPF_ANY))
		drop(TT_DROP_partial_lost);
	return 0;
}

/* ---- the record ---- */

static __always_inline void body_texts(struct tt_ev_mint *e, const struct mint_body *m)
{
	__u64 n = mint_texts_len(m);

	H1_MASK(n, 2 * TT_MINT_TEXT_LEN - 1);
	if (n > TT_MINT_TEXT_LEN)
		return;
	e->text_len = n;
	bpf_probe_read_kernel(e->text, n, m->text);
}

static __always_inline void body_creds(struct tt_ev_mint *e, const struct mint_body *m)
{
	for (int i = 0; i < TT_MINT_CREDS_MAX; i++) {
		if (i < m->creds)
			e->cred[i] = m->cred[i];
	}
	e->creds = m->creds;
}

__weak __noinline int body_tell(__u32 slot, __u32 i)
{
	struct scratch *s = scratch_get(slot);
	struct stream_key answered = {};
	struct tt_ev_mint *e;
	struct conn *c;
	__u64 at = i;
	int ours;

	if (!s)
		return 0;
	c = bpf_map_lookup_elem(&conns, &s->key);
	if (!c)
		return 0;
	H1_MASK(at, SPANS_MAX - 1);
	if (s->m.flags & TT_MINT_COMPRESSED)
		drop(TT_DROP_mint_compressed);
	e = &s->mint;
	__builtin_memset(e, 0, sizeof(*e) - sizeof(e->text));
	asm volatile("" ::: "memory");	/* joined, the two would be too large for clang */
	__builtin_memset(e->text, 0, sizeof(e->text));
	emit_header(&e->h, TT_EV_MINT, sizeof(*e));
	emit_conn(&e->h, c, s->span[at].seq);
	e->part = s->m.part;
	e->rule = s->m.rule;
	e->flags = s->m.flags;
	e->status = s->m.status;
	e->bytes = s->m.bytes;
	ours = (s->dir == OUT) == (e->part == TT_MINT_REQUEST);
	e->dir = ours ? TT_DIR_EGRESS : TT_DIR_INGRESS;
	body_creds(e, &s->m);
	body_texts(e, &s->m);
	if (e->part == TT_MINT_ANSWER) {
		answered.conn = c->id;
		answered.stream = e->h.seq;
		bpf_map_delete_elem(&mintings, &answered);
	}
	/* A request's body that told nothing is no news. */
	if (e->part == TT_MINT_ANSWER || e->creds || e->text_len || (e->flags & ~TT_MINT_WHOLE))
		emit(e, sizeof(*e));
	return 0;
}

/* ---- a stretch ---- */

/* What is read of the body of this span, and with which table. Whether anything is. */
static __always_inline int body_open(struct scratch *s, __u32 slot, __u32 i, const struct span *p)
{
	__u8 part = p->flags & SPAN_ANSWER ? TT_MINT_ANSWER : TT_MINT_REQUEST;
	struct tt_mint_rule *r;
	__u32 rule;

	if (!(p->flags & SPAN_BEGIN) && !body_unpark(slot, i))
		return 0;
	rule = p->flags & SPAN_BEGIN ? p->rule : s->m.rule;
	r = bpf_map_lookup_elem(&mint_rules, &rule);
	if (!r)
		return 0;
	if (p->flags & SPAN_BEGIN)
		mint_begin(&s->m, part, rule, part == TT_MINT_ANSWER ? r->plain : 0, p->status);
	s->mint_set = part == TT_MINT_ANSWER ? r->answer_set : r->request_set;
	return 1;
}

__weak __noinline int body_span(__u32 slot, __u32 i)
{
	struct scratch *s = scratch_get(slot);
	struct span *p;
	__u64 at = i;
	int on = 1;

	if (!s)
		return 0;
	H1_MASK(at, SPANS_MAX - 1);
	p = &s->span[at];
	if (!body_open(s, slot, i, p))
		return 0;
	s->addr = p->addr;
	s->w.total = p->len;
	s->w.base = 0;
	s->w.fill = 0;
	s->w.pos = 0;
	s->m.bytes += p->len;
	s->m.ended = (p->flags & SPAN_END) != 0;
	if (s->m.bytes > MINT_BODY_MAX)
		mint_over(&s->m, TT_MINT_INCOMPLETE);
	for (int n = 0; n < PUMPS_MAX && on; n++)
		on = body_pump(slot) == RUN_ON;
	if (on)
		mint_over(&s->m, TT_MINT_INCOMPLETE);
	if (s->m.state == M_OVER)
		body_tell(slot, i);
	else
		body_park(slot, i);
	return 0;
}

__weak __noinline int body_run(__u32 slot)
{
	struct scratch *s = scratch_get(slot);

	if (!s)
		return 0;
	for (__u32 i = 0; i < SPANS_MAX; i++) {
		if (i >= s->spans)
			break;
		body_span(slot, i);
	}
	return 0;
}

#endif
