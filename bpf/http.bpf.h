/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Runs the readers over what a program wrote or read on a connection. The steps are global functions
 * with scalar arguments: the verifier checks each once, by itself, whatever the loops around it.
 */
#ifndef TT_HTTP_BPF_H
#define TT_HTTP_BPF_H

#include "claims.bpf.h"
#include "http1.bpf.h"
#include "http2.bpf.h"
#include "known.bpf.h"

/* Each loop is verified by itself, so that three of them cost little. */
#define PUMP_STEPS 64
#define PUMP_ROUNDS 64		/* of so many steps */
#define PUMPS_MAX 64		/* of so many rounds: for one piece of input */

/* ---- the loop ---- */

static __always_inline int http_fill(struct scratch *s)
{
	int r = http_load(s);

	if (r != RUN_FAULT)
		return r;
	s->w.d.state = H1_S_LOST;
	return RUN_STOP;
}

/* What was no HTTP from its first line on is another protocol, not a fault. */
static __always_inline int http_bad(struct scratch *s)
{
	if (s->w.d.kind != H1_UNKNOWN || (s->w.h.flags & H1_F_STARTED))
		drop(s->w.reason);
	return RUN_STOP;
}

/* A value is read, as far as it goes. */
static __always_inline int http_inner_done(struct scratch *s, int failed)
{
	h2_inner_done(&s->w, &s->x, failed);
	s->reader = READ_H2;
	return RUN_ON;
}

static __always_inline __u64 http_epoch(const struct scratch *s)
{
	return tt_name_mix(s->partial.conn, bpf_ktime_get_boot_ns() ^ s->dir);
}

/* HTTP/2 goes on where HTTP/1 has stopped. */
__weak __noinline int http_to_reader2(__u32 slot)
{
	struct scratch *s = scratch_get(slot);

	if (!s)
		return RUN_STOP;
	s->x.pos = s->w.pos;
	s->x.base = 0;
	s->x.fill = 0;
	h2_begin(&s->x, s->w.d.digits, http_epoch(s));
	s->w.fill = 0;
	s->reader = READ_H2;
	return RUN_ON;
}

__weak __noinline int http_used_up(__u32 slot)
{
	struct scratch *s = scratch_get(slot);

	if (!s)
		return RUN_STOP;
	return s->reader == READ_INNER ? http_inner_done(s, 0) : http_fill(s);
}

__weak __noinline int http_no_more(__u32 slot)
{
	struct scratch *s = scratch_get(slot);

	if (!s)
		return RUN_STOP;
	return s->reader == READ_INNER ? http_inner_done(s, 1) : http_bad(s);
}

/* H1_SAID: what that answers is H1_NEXT or H1_ASK. */
__weak __noinline int http_said(__u32 slot)
{
	struct scratch *s = scratch_get(slot);

	if (!s)
		return RUN_STOP;
	return said_step(&s->w) == H1_ASK ? http_ask_name(slot) : RUN_ON;
}

__weak __noinline int http_step(__u32 slot)
{
	struct scratch *s = scratch_get(slot);

	if (!s)
		return RUN_STOP;
	s->stepped = 1;
	if (s->reader == READ_INNER && h2_inner_over(&s->w, &s->x))
		return http_used_up(slot);
	switch (h1_step(&s->w)) {
	case H1_NEXT:
		return RUN_ON;
	case H1_FILL:
		return http_used_up(slot);
	case H1_H2:
		return http_to_reader2(slot);
	case H1_ASK:
		if (s->w.ask == H1_ASK_CLASS || s->w.ask == H1_ASK_SEGMENT)
			return http_ask_class(slot);
		if (s->w.ask == H1_ASK_ROUTE)
			return http_ask_route(slot);
		http_ask_name(slot);
		return s->w.ask == H1_ASK_HEADER ? known_ask(slot) : RUN_ON;
	case H1_NOTE:
		s->repeat.from = 0;
		s->block.from = 0;
		s->again.keep = 0;
		return drop(s->w.reason);
	case H1_FIELDS:
		return repeat_ask(slot);
	case H1_CLAIMS:
		return claims_ask(slot);
	case H1_HEAD:
		if (s->known.from)
			known_keep(slot, 4);
		if (s->repeat.from)
			repeat_keep(slot);
		return http_head(slot);
	case H1_SPAN:
		return http_span(slot);
	case H1_SAID:
		return http_said(slot);
	default:
		return http_no_more(slot);
	}
}

__weak __noinline int http_pump(__u32 slot)
{
	struct scratch *s = scratch_get(slot);

	if (!s)
		return RUN_STOP;
	for (int i = 0; i < PUMP_STEPS; i++) {
		int r;

		if (s->reader == READ_H2)
			r = h2_one(slot);
		else if (s->reader == READ_H1)
			r = http_step(slot);
		else if (s->reader == READ_REPEAT)
			r = repeat_one(slot);
		else if (s->reader == READ_BLOCK)
			r = block_one(slot);
		else if (s->reader == READ_CLASS)
			r = http_class_one(slot);
		else if (s->reader == READ_KNOWN)
			r = known_one(slot);
		else
			r = s->reader == READ_CLAIMS ? claims_one(slot) : http_step(slot);
		if (r != RUN_ON)
			return RUN_STOP;
	}
	return RUN_ON;
}

__weak __noinline int http_pumps(__u32 slot)
{
	for (int i = 0; i < PUMP_ROUNDS; i++) {
		if (http_pump(slot) != RUN_ON)
			return RUN_STOP;
	}
	return RUN_ON;
}

/* ---- parking a split head ---- */

/* Hides the message's bytes in what is parked from whoever dumps the tables: at most 64 bytes of an
 * unfinished credential or path segment are among them. Its own inverse. */
static __always_inline __u64 http_mask_word(const struct scratch *s, __u32 i)
{
	__u64 x = (s->partial.conn ^ conf_mask[i & 3]) + (__u64)(i + 1) * TT_NAME_SEED;

	x = tt_name_mix(x, conf_mask[(i + 1) & 3]);
	return tt_name_mix(x, conf_mask[(i + 2) & 3]);
}

#define MASKED_FROM __builtin_offsetof(struct h1_head, carry)
#define MASKED_WORDS ((sizeof(struct h1_head) - MASKED_FROM) / 8)
#define BLOCK_WORDS (sizeof(struct h2_block) / 8)

__weak __noinline int http_mask(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	__u64 *words;

	if (!s)
		return 0;
	words = (__u64 *)s->w.h.carry;
	for (int i = 0; i < MASKED_WORDS; i++)
		words[i] ^= http_mask_word(s, i);
	if (s->reader == READ_H1)
		return 0;
	words = (__u64 *)&s->x.b;
	for (int i = 0; i < BLOCK_WORDS; i++)
		words[i] ^= http_mask_word(s, MASKED_WORDS + i);
	return 0;
}
_Static_assert(MASKED_FROM % 8 == 0 && sizeof(struct h1_head) % 8 == 0 && sizeof(struct h2_block) % 8 == 0,
	       "http_mask() goes by words");

static __always_inline int http_parked(struct scratch *s, int failed)
{
	if (!failed) {
		if (s->reader == READ_H1)
			s->w.d.split = 1;
		else
			s->x.f.split = 1;
		return 0;
	}
	s->w.d.state = H1_S_LOST;
	return drop(TT_DROP_partial_lost);
}

__weak __noinline int http_park(__u32 slot)
{
	struct scratch *s = scratch_get(slot);

	if (!s)
		return 0;
	s->w.h.head_len += s->w.total - s->w.head_at;
	if (s->w.h.head_len > H1_HEAD_MAX) {
		s->w.d.state = H1_S_LOST;
		return drop(TT_DROP_head_too_long);
	}
	http_mask(slot);
	return http_parked(s, bpf_map_update_elem(&partials, &s->partial, &s->w.h, BPF_ANY));
}

__weak __noinline int http_park_block(__u32 slot)
{
	struct scratch *s = scratch_get(slot);

	if (!s)
		return 0;
	s->x.b.inner = s->w.d.state;
	http_mask(slot);
	return http_parked(s, bpf_map_update_elem(&partials, &s->partial, &s->w.h, BPF_ANY) ||
				      bpf_map_update_elem(&blocks, &s->partial, &s->x.b, BPF_ANY));
}

__weak __noinline int http_unpark(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct h2_block *b = 0;
	struct h1_head *h;

	if (!s)
		return 0;
	s->stepped = 1;
	s->w.d.split = 0;
	s->x.f.split = 0;
	h = bpf_map_lookup_elem(&partials, &s->partial);
	if (h && s->reader != READ_H1)
		b = bpf_map_lookup_elem(&blocks, &s->partial);
	if (!h || (!b && s->reader != READ_H1)) {
		s->w.d.state = H1_S_LOST;
		return drop(TT_DROP_partial_lost);
	}
	bpf_probe_read_kernel(&s->w.h, sizeof(s->w.h), h);
	if (b || !again_stays(s))
		bpf_map_delete_elem(&partials, &s->partial);
	if (b) {
		bpf_probe_read_kernel(&s->x.b, sizeof(s->x.b), b);
		bpf_map_delete_elem(&blocks, &s->partial);
	}
	http_mask(slot);
	return 0;
}

/* ---- a call ---- */

/* May these first bytes of a call begin a message? What can't be read might have. */
static __always_inline int http_may_begin(__u64 addr, __u64 len)
{
	__u64 word[4] = {}, n = len < 16 ? len : 16;

	if (!addr || !len)
		return 0;
	H1_MASK(n, 31);		/* 31 bytes fit too, which is what the mask can prove */
	if (bpf_probe_read_user(word, n, (void *)addr))
		return drop(TT_DROP_user_fault);
	return h1_may_begin(word[0], len) || h2_may_begin(word, len);
}

/* Something of this direction went by that nobody can tell. */
static __always_inline void http_lose(struct http1 *d)
{
	d->state = H1_S_LOST;
	d->moved = 1;
}

/* Nothing in this call has to be read. */
static __always_inline int http_idle(struct http1 *d, __u64 addr, __u64 len)
{
	if (http_passes(d, len))
		return 1;
	if (d->state != H1_S_LOST || http_may_begin(addr, len))
		return 0;
	http_lose(d);
	return 1;
}

/* For who has found that it is not idle: what can be said of its bytes (ASKED_*) without http_wanted()? */
static __always_inline __u32 http_asked(const struct http1 *d)
{
	if (d->state == H1_S_LOST || d->kind == H1_UNKNOWN)
		return ASKED_NOT;
	if (d->split)
		return ASKED_REST;
	return d->state == H1_S_START ? ASKED_HEAD : ASKED_READ;
}

/* Bytes that nobody can read are no loss if they are all body. */
static __always_inline int http_is_body(struct http1 *d, __u64 len)
{
	if (http_passes(d, len))
		return 1;
	if (d->state != H1_S_H2 || d->left != len)
		return 0;
	d->left = 0;
	return 1;
}

/* Is it HTTP for sure? Other protocols have bytes that look like a beginning of it. */
static __always_inline int http_proved(const struct http1 *d)
{
	if (d->state == H1_S_H2)
		return d->digits != H2_FROM_FRAME;
	return d->kind != H1_UNKNOWN && d->state != H1_S_LOST;
}

/* Bytes that were moved without passing through the program. */
static __always_inline void http_unreachable(struct http1 *d, const struct http1 *other, __u64 len)
{
	d->spans = 0;
	if (http_is_body(d, len))
		return;
	if (http_proved(d) || (d->state == H1_S_START && http_proved(other)))
		drop(TT_DROP_sock_unreadable);
	http_lose(d);
}

/* Bytes of a connection were missed: what comes next can't be told. */
static __always_inline void http_gap(struct http1 *d)
{
	if (d->state == H1_S_OPAQUE || d->state == H1_S_UNTIL_CLOSE)
		return;
	if (d->state != H1_S_LOST && (d->state != H1_S_H2 || http_proved(d)))
		drop(TT_DROP_gap);
	http_lose(d);
	d->split = 0;
	d->spans = 0;
}

/* Has this direction to be HTTP/2, since the other one began with the preface and this one begins now? */
static __always_inline int http_prefaced(const struct http1 *d, const struct http1 *other)
{
	return d->state == H1_S_START && d->kind == H1_UNKNOWN && other->state == H1_S_H2 &&
	       other->digits == H2_FROM_PREFACE;
}

/* HTTP/2 begins in front of a frame; so many entries had been inserted when it was last followed. */
static __always_inline void http_begin_frames(struct scratch *s, __u32 inserted)
{
	s->x.f.table.inserted = inserted;
	h2_begin(&s->x, H2_FROM_FRAME, http_epoch(s));
	s->w.d.state = H1_S_H2;
	s->w.d.digits = H2_FROM_FRAME;
	s->reader = READ_H2;
}

/* Where a direction that nobody follows begins anew: HTTP/1 if it looks like that, else HTTP/2. */
static __always_inline void http_resume(struct scratch *s, struct conn *c)
{
	__u64 word[2] = {};

	s->reader = READ_H1;
	h1_resume(&s->w.d);
	if (s->w.total < H2_FRAME_HEADER || bpf_probe_read_user(word, 9, (void *)s->addr) ||
	    !h2_may_begin(word, s->w.total))
		return;
	http_begin_frames(s, conn_h2_of(c, s->dir)->table.inserted);
}

/* HTTP/2 goes on. */
static __always_inline void http_continue(struct scratch *s, struct conn *c)
{
	s->reader = READ_H2;
	s->x.f = *conn_h2_of(c, s->dir);
	if (s->x.f.state == H2_S_SKIP) {
		s->x.f.left = s->w.d.left;
		h2_skip(&s->x);
	}
}

/* The state of a direction for this piece. Whether there is anything to read. */
__weak __noinline int http_open(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct conn *c;

	if (!s)
		return RUN_STOP;
	c = bpf_map_lookup_elem(&conns, &s->key);
	if (!c)
		return RUN_STOP;
	s->w.d = *conn_dir(c, s->dir);
	s->w.base = 0;
	s->w.fill = 0;
	s->w.pos = 0;
	s->w.head_at = 0;
	s->w.key[0] = conf_kernel_key[0];
	s->w.key[1] = conf_kernel_key[1];
	s->w.routes = conf_path_routes;
	s->x.base = 0;
	s->x.fill = 0;
	s->x.pos = 0;
	s->x.total = s->w.total;
	s->x.dir = s->dir;
	s->x.limit = h2_limit(c, s->dir);
	s->x.f.split = 0;
	s->x.remember = 0;	/* this slot's last user may have left it */
	s->x.skim = 1;
	claims_restart(&s->w.c);
	s->x.bodies = c->minting;
	s->known.from = 0;
	s->repeat.from = 0;
	s->block.from = 0;
	s->block.known = 0;
	s->partial.conn = c->id;
	s->partial.dir = s->dir;
	s->reader = READ_H1;
	if (http_prefaced(&s->w.d, conn_other_dir(c, s->dir))) {
		http_begin_frames(s, 0);
		h2_begin_answers(&s->x.f);
	} else if (s->w.d.state == H1_S_LOST || (s->w.d.state == H1_S_START && s->w.d.kind == H1_UNKNOWN)) {
		http_resume(s, c);
	} else if (s->w.d.state == H1_S_H2) {
		http_continue(s, c);
	}
	/* HTTP/2 counts requests with a credential only. */
	s->w.heads = s->reader == READ_H2 ? c->sent != c->answered : http_heads(c);
	if (s->w.d.split || s->x.f.split) {
		http_unpark(slot);
		if (s->reader == READ_H2 && s->w.d.state != H1_S_LOST) {
			s->w.d.kind = H1_REQUESTS;
			s->w.d.state = s->x.b.inner;
		}
	}
	return s->w.d.state == H1_S_LOST ? RUN_STOP : RUN_ON;
}

/* Keeps what the next piece needs. */
__weak __noinline int http_close(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct conn *c;

	if (!s)
		return 0;
	if (s->reader == READ_H1) {
		if (h1_in_head(&s->w.d)) {
			http_park(slot);
			again_parked(slot);
		}
	} else if (s->w.d.state != H1_S_LOST && s->w.d.state != H1_S_OPAQUE) {
		if (h2_in_block(&s->x.f))
			http_park_block(slot);
		if (s->w.d.state != H1_S_LOST)
			s->w.d.state = H1_S_H2;
		if (s->x.f.sure && s->w.d.digits == H2_FROM_FRAME)
			s->w.d.digits = H2_PROVED;
	}
	c = bpf_map_lookup_elem(&conns, &s->key);
	if (!c)
		return 0;
	if (s->w.d.state == H1_S_LOST)
		s->w.d.moved = 1;
	if (s->reader != READ_H1) {
		s->w.d.split = 0;
		s->w.d.spans = s->x.f.spans;
		s->w.d.left = s->x.f.state == H2_S_SKIP ? s->x.f.left : 0;
		*conn_h2_of(c, s->dir) = s->x.f;
	}
	*conn_dir(c, s->dir) = s->w.d;
	return 0;
}

/* Is this piece to be read at all? A function of its own, so that its stack is gone before the pump. */
__weak __noinline int http_wanted(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct http1 *d;
	struct conn *c;

	if (!s)
		return 0;
	c = bpf_map_lookup_elem(&conns, &s->key);
	if (!c)
		return 0;
	d = conn_dir(c, s->dir);
	if (!s->addr) {
		http_unreachable(d, conn_other_dir(c, s->dir), s->w.total);
		return 0;
	}
	if (http_passes(d, s->w.total))
		return 0;
	if (d->state != H1_S_LOST && !(d->state == H1_S_START && d->kind == H1_UNKNOWN))
		return 1;
	if (http_prefaced(d, conn_other_dir(c, s->dir)) ||
	    http_may_begin(s->addr, s->w.total))
		return 1;
	http_lose(d);
	return 0;
}

/* One piece of what was written or read in a call. */
__weak __noinline int http_piece(__u32 slot, __u32 i)
{
	struct scratch *s = scratch_get(slot);
	__u32 ended = 0;
	__u64 at = i;

	if (!s)
		return 0;
	H1_MASK(at, PIECES_MAX - 1);
	s->addr = s->piece[at].addr;
	s->w.total = s->piece[at].len;
	s->again.keep = 0;
	s->again.len = 0;
	s->again.begun = 0;
	if (s->asked >= ASKED_HEAD && again_piece(slot)) {
		if (!s->w.total)
			return 0;
		s->asked = ASKED_NOT;
	}
	if (!s->asked && !http_wanted(slot))
		return 0;
	if (http_open(slot) != RUN_ON)
		ended = 1;
	for (int n = 0; n < PUMPS_MAX && !ended; n++)
		ended = http_pumps(slot) != RUN_ON;
	if (s->reader == READ_CLASS)
		s->reader = s->asker;
	if (s->reader == READ_CLAIMS)
		s->reader = s->after;
	/* What steps are missing for can't be kept for the next piece: not even the last bytes. */
	if ((s->reader == READ_H1 ? s->w.pos : s->x.pos) < s->x.total)
		ended = 0;
	if (!ended && s->w.d.state < H1_S_OPAQUE) {
		s->w.d.state = H1_S_LOST;
		drop(TT_DROP_head_too_long);
	}
	http_close(slot);
	return 0;
}

/*
 * Reads all pieces of a call, which the caller has put into the slot with key and dir. The connection has
 * to exist. Returns how many stretches of bodies are to be read, too. Inlined: calls can't nest deeper.
 */
static __always_inline __u32 http_run(__u32 slot)
{
	struct scratch *s = scratch_get(slot);

	if (!s)
		return 0;
	s->spans = 0;
	for (__u32 i = 0; i < PIECES_MAX; i++) {
		if (i >= s->pieces)
			break;
		http_piece(slot, i);
	}
	return s->spans;
}

#endif
