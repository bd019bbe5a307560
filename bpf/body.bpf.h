/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reads the bodies of requests for tokens and of their answers, where the HTTP reader noted that they lie
 * (mint.bpf.h), and tells the agent what was in them. A program of its own, which the HTTP reader
 * tail-calls: most calls have nothing for it.
 *
 * The bytes of a compressed body go through the decompressor first (inflate.bpf.h), a chunk at a time. What
 * is read of them is told once the end has come and its checksum was right, else not.
 */
#ifndef TT_BODY_BPF_H
#define TT_BODY_BPF_H

#include "http.bpf.h"
#include "inflate.bpf.h"
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

/* ---- compressed ones ---- */

/* Nothing can be told of the body. */
static __always_inline int body_failed(struct scratch *s, __u8 flags, enum tt_drop reason)
{
	mint_failed(&s->m, flags);
	s->inflating = 0;
	drop(reason);
	return RUN_STOP;
}

/* What was read stands, unless it is to be proved by what can't be read. */
static __always_inline void body_cut(struct scratch *s)
{
	if (s->m.packed == M_DEFLATED)
		body_failed(s, TT_MINT_INCOMPLETE, TT_DROP_mint_damaged);
	else
		mint_over(&s->m, TT_MINT_INCOMPLETE);
}

/* This stretch is to be decompressed, from `at` on. */
static __always_inline void body_inflate_from(struct scratch *s, __u32 at)
{
	s->packed_at = at;
	s->packed_len = s->w.total;
	s->packed_ended = s->m.ended;
	s->m.ended = 0;
	s->w.total = 0;
	s->w.base = 0;
	s->w.fill = 0;
	s->w.pos = 0;
	s->inflating = 1;
}

__weak __noinline int body_packed(__u32 slot)
{
	struct scratch *s = scratch_get(slot);

	if (!s)
		return RUN_STOP;
	s->packs = 0;
	if (inflate_still(slot) || inflate_find(slot))	/* left from an answer that did not end */
		inflate_leave(slot, 1);
	if (!inflate_take(slot))
		return body_failed(s, TT_MINT_INCOMPLETE, TT_DROP_mint_no_room);
	body_inflate_from(s, s->w.pos);
	return RUN_ON;
}

/* More of the stretch. */
static __always_inline int body_load(struct scratch *s, struct inflate *z)
{
	__u32 n = s->packed_len - s->packed_at;

	if (s->packed_at >= s->packed_len) {
		if (inflate_flush(z))
			return RUN_ON;
		return s->packed_ended ? body_failed(s, TT_MINT_INCOMPLETE, TT_DROP_mint_damaged) : RUN_STOP;
	}
	if (n > INFLATE_INPUT)
		n = INFLATE_INPUT;
	z->at = 0;
	z->fill = n;
	H1_MASK(n, 2 * INFLATE_INPUT - 1);
	if (n > INFLATE_INPUT)
		return RUN_STOP;
	if (bpf_probe_read_user(z->in, n, (void *)(s->addr + s->packed_at)))
		return body_failed(s, TT_MINT_INCOMPLETE, TT_DROP_user_fault);
	s->packed_at += n;
	return RUN_ON;
}

/* A chunk for the reader of bodies. When that has seen enough, only the checksum is still of interest. */
static __always_inline int body_take(struct scratch *s, struct inflate *z)
{
	__u64 at = z->given;
	__u32 n = z->out - z->given;

	if (z->out > MINT_BODY_MAX)
		return body_failed(s, TT_MINT_INCOMPLETE, TT_DROP_mint_damaged);
	z->given = z->out;
	if (s->m.state == M_OVER)
		return RUN_ON;
	s->inflating = 0;
	s->w.base = s->w.pos;
	s->w.fill = n;
	s->w.used = H1_WINDOW;
	s->w.total = s->w.pos + n;
	H1_MASK(n, 2 * H1_WINDOW - 1);
	H1_MASK(at, INFLATE_WINDOW - 1);
	if (n > H1_WINDOW)
		return RUN_STOP;
	bpf_probe_read_kernel(s->w.buf, n, z->window + at);
	return RUN_ON;
}

static __always_inline int body_inflated(struct scratch *s)
{
	s->m.packed = M_UNPACKED;
	s->m.ended = 1;
	s->inflating = 0;
	return RUN_ON;
}

__weak __noinline int body_inflate(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct inflate_row *r = s ? inflate_held(s) : 0;

	if (!r)
		return RUN_STOP;
	switch (inflate_step(&r->z)) {
	case INFLATE_NEXT:
		return RUN_ON;
	case INFLATE_FILL:
		return body_load(s, &r->z);
	case INFLATE_OUT:
		return body_take(s, &r->z);
	case INFLATE_END:
		return body_inflated(s);
	default:
		return body_failed(s, TT_MINT_BAD, TT_DROP_mint_damaged);
	}
}

/* ---- the loop ---- */

static __always_inline int body_fill(struct scratch *s)
{
	int r;

	if (s->m.packed == M_DEFLATED) {
		s->inflating = 1;
		return RUN_ON;
	}
	r = http_load(s);
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
	if (s->inflating)
		return body_inflate(slot);
	switch (mint_step(&s->w, &s->m)) {
	case M_NEXT:
		return RUN_ON;
	case M_FILL:
		return body_fill(s);
	case M_MEMBER:
		return body_member(s);
	case M_CLASS:
		return http_ask_class(slot);
	case M_PACKED:
		s->packs = 1;	/* body_packed(), but from further up: calls can't nest deeper */
		return RUN_STOP;
	default:
		if (s->m.packed != M_DEFLATED)
			return RUN_STOP;
		s->inflating = 1;
		return RUN_ON;
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

static __always_inline void body_key(struct scratch *s, const struct span *p)
{
	s->body.conn = s->partial.conn;
	s->body.dir = (__u64)p->seq << 32 | (BODY_PARTIAL + (p->flags & SPAN_ANSWER ? 1 : 0));
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
__weak __noinline int body_unpark(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct mint_body *m;
	struct h1_head *h;

	if (!s)
		return 0;
	m = bpf_map_lookup_elem(&bodies, &s->body);
	if (!m)
		return 0;	/* it was read to its end before, or had to make room: the agent counts that */
	h = bpf_map_lookup_elem(&partials, &s->body);
	bpf_probe_read_kernel(&s->m, sizeof(s->m), m);
	bpf_map_delete_elem(&bodies, &s->body);
	if (!h)
		return 0;
	bpf_probe_read_kernel(&s->w.h, sizeof(s->w.h), h);
	bpf_map_delete_elem(&partials, &s->body);
	body_mask(slot);
	return 1;
}

__weak __noinline int body_park(__u32 slot)
{
	struct scratch *s = scratch_get(slot);

	if (!s)
		return 0;
	body_mask(slot);
	if (bpf_map_update_elem(&bodies, &s->body, &s->m, BPF_ANY) ||
	    bpf_map_update_elem(&partials, &s->body, &s->w.h, BPF_ANY))
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
static __always_inline int body_open(struct scratch *s, __u32 slot, const struct span *p)
{
	__u8 part = p->flags & SPAN_ANSWER ? TT_MINT_ANSWER : TT_MINT_REQUEST;
	struct tt_mint_rule *r;
	__u32 rule;

	body_key(s, p);
	if (!(p->flags & SPAN_BEGIN) && !body_unpark(slot))
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

/* The stretch is read; what was compressed has a row. */
static __always_inline void body_start(struct scratch *s, __u32 slot, const struct span *p)
{
	s->addr = p->addr;
	s->w.total = p->len;
	s->w.base = 0;
	s->w.fill = 0;
	s->w.pos = 0;
	s->m.bytes += p->len;
	s->m.ended = (p->flags & SPAN_END) != 0;
	s->inflating = 0;
	s->packs = 0;
	if (s->m.bytes > MINT_BODY_MAX)
		body_cut(s);
	if (s->m.packed != M_DEFLATED)
		return;
	if (inflate_still(slot) || inflate_find(slot))
		body_inflate_from(s, 0);
	else
		body_failed(s, TT_MINT_INCOMPLETE, TT_DROP_mint_no_room);
}

__weak __noinline int body_pump_round(__u32 slot)
{
	for (int i = 0; i < PUMP_ROUNDS; i++) {
		if (body_pump(slot) != RUN_ON)
			return RUN_STOP;
	}
	return RUN_ON;
}

/* As far as the stretch goes. Whether more steps than there may be were needed. */
__weak __noinline int body_pumps(__u32 slot)
{
	for (int i = 0; i < PUMPS_MAX; i++) {
		if (body_pump_round(slot) != RUN_ON)
			return 0;
	}
	return 1;
}

__weak __noinline int body_span(__u32 slot, __u32 i)
{
	struct scratch *s = scratch_get(slot);
	struct span *p;
	__u64 at = i;
	int on;

	if (!s)
		return 0;
	H1_MASK(at, SPANS_MAX - 1);
	p = &s->span[at];
	if (!body_open(s, slot, p))
		return 0;
	body_start(s, slot, p);
	on = body_pumps(slot);
	if (s->packs && body_packed(slot) == RUN_ON)
		on = body_pumps(slot);
	if (s->m.state == M_OVER && s->m.packed != M_DEFLATED)
		on = 0;
	else if (p->flags & SPAN_LOST)	/* nothing is read across a gap */
		on = 1;
	if (on)
		body_cut(s);
	if (s->m.state != M_OVER || s->m.packed == M_DEFLATED) {
		body_park(slot);
		return 0;
	}
	if (s->m.packed)
		inflate_leave(slot, 1);
	body_tell(slot, i);
	return 0;
}

/* Inlined: calls can't nest deeper. */
static __always_inline void body_run(__u32 slot)
{
	struct scratch *s = scratch_get(slot);

	if (!s)
		return;
	s->unpacks = 0;
	for (__u32 i = 0; i < SPANS_MAX; i++) {
		if (i >= s->spans)
			break;
		body_span(slot, i);
	}
	inflate_leave(slot, 0);
}

#endif
