/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Runs the HTTP/1 reader over what a program wrote or read on a connection, looks up what it asks
 * for, pairs responses with requests, and reports. The steps are global functions with scalar
 * arguments: the verifier checks each once, by itself, whatever the loops around it.
 */
#ifndef TT_HTTP_BPF_H
#define TT_HTTP_BPF_H

#include "emit.bpf.h"

#define PUMP_STEPS 64
#define PUMPS_MAX 1024		/* times PUMP_STEPS: steps for one piece of input */
#define LATE_NS 5000000		/* a request so soon after a response that began a row may be its own */

enum { RUN_ON, RUN_STOP };

/* ---- looking up ---- */

__weak __noinline int http_ask_name(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct tt_name_key key = {};
	struct tt_name_val *val;

	if (!s)
		return 0;
	key.hash = s->w.h.name_hash;
	key.length = s->w.h.name_len;
	key.space = s->w.ask;	/* the two enums agree */
	val = bpf_map_lookup_elem(&names, &key);
	s->w.answer.id = val ? val->id : 0;
	s->w.answer.unwrap = val ? val->unwrap : 0;
	return 0;
}
_Static_assert((int)H1_ASK_HEADER == TT_NAME_HEADER && (int)H1_ASK_PARAM == TT_NAME_PARAM &&
		       (int)H1_ASK_SCHEME == TT_NAME_SCHEME,
	       "http_ask_name() takes one for the other");

__weak __noinline int http_ask_class(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct tt_class_val *val;
	__u32 len;

	if (!s)
		return 0;
	len = s->w.ask_len;
	s->prefix.prefix_bits = 8 * (len < TT_PREFIX_LEN ? len : TT_PREFIX_LEN);
	__builtin_memcpy(s->prefix.prefix, s->w.h.carry, TT_PREFIX_LEN);
	val = bpf_map_lookup_elem(&classes, &s->prefix);
	s->w.answer.id = val && len >= val->min_len && len <= val->max_len ? val->class_id : 0;
	return 0;
}

/* ---- heads ---- */

static __always_inline void http_fill_use(struct scratch *s, struct conn *c, __u32 seq)
{
	struct tt_ev_use *e = &s->use;
	struct h1_head *h = &s->w.h;
	__u32 n;

	__builtin_memset(e, 0, sizeof(*e) - sizeof(e->cred));
	emit_header(&e->h, TT_EV_USE, sizeof(*e));
	emit_conn(&e->h, c, seq);
	e->dir = s->dir == OUT ? TT_DIR_EGRESS : TT_DIR_INGRESS;
	e->tls = c->tls;
	e->version = h->version;
	e->flags = h->use_flags;
	e->creds = h->creds;
	e->method_len = h->method_len;
	e->path_len = h->path_len;
	e->host_len = h->host_len;
	/* Only the valid bytes are copied: behind them may lie those of a hidden segment. */
	n = h->method_len;
	bpf_probe_read_kernel(e->method, n < TT_METHOD_LEN ? n : TT_METHOD_LEN, h->method);
	n = h->path_len;
	bpf_probe_read_kernel(e->path, n < TT_PATH_LEN ? n : TT_PATH_LEN, h->path);
	n = h->host_len;
	bpf_probe_read_kernel(e->host, n < TT_HOST_LEN ? n : TT_HOST_LEN, h->host);
	__builtin_memcpy(e->cred, h->cred, sizeof(e->cred));
	for (int i = 0; i < TT_CREDS_MAX; i++) {
		if (i >= h->creds)
			__builtin_memset(&e->cred[i], 0, sizeof(e->cred[i]));
	}
}

static __always_inline void http_request(struct scratch *s, struct conn *c)
{
	struct h1_head *h = &s->w.h;
	__u32 seq = c->sent;
	__u64 i = seq & (PIPELINE_MAX - 1);
	__u8 pending = 0;

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
	if (h->creds) {
		http_fill_use(s, c, seq);
		if (!emit(&s->use, sizeof(s->use)))
			pending |= PENDING_CRED;
	}
	c->pending[i] = pending;
	c->sent = seq + 1;
	if (!c->early_status)
		return;
	if ((pending & PENDING_CRED) && !c->unpaired)
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

/* Whether the response has no body whatever its fields say. */
static __always_inline int http_response(struct scratch *s, struct conn *c)
{
	__u32 status = s->w.h.status, seq = c->answered;
	__u64 i = seq & (PIPELINE_MAX - 1);
	__u8 pending;

	if (status < 200 && status != 101)
		return 1;	/* interim: the final one is still to come (RFC 9110, 15.2) */
	if (seq == c->sent) {
		http_response_first(c, status);
		return status == 101 || status == 204 || status == 304;
	}
	pending = c->pending[i];
	c->answered = seq + 1;
	if ((pending & PENDING_CRED) && !c->unpaired)
		emit_status(&s->status, c, seq, status);
	if (status == 101 || ((pending & PENDING_CONNECT) && status < 300)) {
		c->dir[OUT].state = H1_S_OPAQUE;
		c->dir[IN].state = H1_S_OPAQUE;
		s->w.d.state = H1_S_OPAQUE;
	}
	return (pending & PENDING_HEAD) || status == 204 || status == 304;
}

__weak __noinline int http_head(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct conn *c;
	int no_body = 0;

	if (!s)
		return RUN_STOP;
	c = bpf_map_lookup_elem(&conns, &s->key);
	if (!c)
		return RUN_STOP;
	if (s->w.d.kind == H1_REQUESTS)
		http_request(s, c);
	else
		no_body = http_response(s, c);
	if (s->w.d.state != H1_S_OPAQUE)
		h1_body(&s->w, no_body);
	return RUN_ON;
}

/* ---- the loop ---- */

/* Loads the next window. */
__weak __noinline int http_fill(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	__u32 n;

	if (!s || s->w.pos >= s->w.total)
		return RUN_STOP;
	n = s->w.total - s->w.pos;
	if (n > H1_WINDOW)
		n = H1_WINDOW;
	s->w.base = s->w.pos;
	s->w.fill = n;
	H1_MASK(n, 2 * H1_WINDOW - 1);
	if (n > H1_WINDOW)
		return RUN_STOP;
	if (!bpf_probe_read_user(s->w.buf, n, (void *)(s->addr + s->w.pos)))
		return RUN_ON;
	s->w.d.state = H1_S_LOST;
	drop(TT_DROP_user_fault);
	return RUN_STOP;
}

/* What was no HTTP from its first line on is another protocol, not a fault. */
static __always_inline int http_bad(struct scratch *s)
{
	if (s->w.d.kind != H1_UNKNOWN || (s->w.h.flags & H1_F_STARTED))
		drop(s->w.reason);
	return RUN_STOP;
}

__weak __noinline int http_step(__u32 slot)
{
	struct scratch *s = scratch_get(slot);

	if (!s)
		return RUN_STOP;
	switch (h1_step(&s->w)) {
	case H1_NEXT:
		return RUN_ON;
	case H1_FILL:
		return http_fill(slot);
	case H1_ASK:
		return s->w.ask == H1_ASK_CLASS ? http_ask_class(slot) : http_ask_name(slot);
	case H1_NOTE:
		return drop(s->w.reason);
	case H1_HEAD:
		return http_head(slot);
	default:
		return http_bad(s);
	}
}

__weak __noinline int http_pump(__u32 slot)
{
	for (int i = 0; i < PUMP_STEPS; i++) {
		if (http_step(slot) != RUN_ON)
			return RUN_STOP;
	}
	return RUN_ON;
}

/* ---- parking a split head ---- */

/* Hides the message's bytes in a parked head from whoever dumps the table: at most 24 bytes of an
 * unfinished credential or path segment are among them. Its own inverse. */
__weak __noinline int http_mask(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	__u64 *words, x;

	if (!s)
		return 0;
	words = (__u64 *)s->w.h.carry;
	for (int i = 0; i < (sizeof(struct h1_head) - __builtin_offsetof(struct h1_head, carry)) / 8; i++) {
		x = (s->partial.conn ^ conf_mask[i & 3]) + (__u64)(i + 1) * TT_NAME_SEED;
		x = tt_name_mix(x, conf_mask[(i + 1) & 3]);
		words[i] ^= tt_name_mix(x, conf_mask[(i + 2) & 3]);
	}
	return 0;
}
_Static_assert(__builtin_offsetof(struct h1_head, carry) % 8 == 0 && sizeof(struct h1_head) % 8 == 0,
	       "http_mask() goes by words");

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
	if (bpf_map_update_elem(&partials, &s->partial, &s->w.h, BPF_ANY)) {
		s->w.d.state = H1_S_LOST;
		return drop(TT_DROP_partial_lost);
	}
	s->w.d.split = 1;
	return 0;
}

__weak __noinline int http_unpark(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct h1_head *h;

	if (!s)
		return 0;
	s->w.d.split = 0;
	h = bpf_map_lookup_elem(&partials, &s->partial);
	if (!h) {
		s->w.d.state = H1_S_LOST;
		return drop(TT_DROP_partial_lost);
	}
	bpf_probe_read_kernel(&s->w.h, sizeof(s->w.h), h);
	bpf_map_delete_elem(&partials, &s->partial);
	http_mask(slot);
	return 0;
}

/* ---- a call ---- */

/* A body that goes on, or a direction nobody reads any more, costs no byte read. Whether that was
 * all of the call. */
static __always_inline int http_passes(struct http1 *d, __u64 len)
{
	if (d->state == H1_S_UNTIL_CLOSE || d->state == H1_S_OPAQUE)
		return 1;
	if ((d->state != H1_S_BODY && d->state != H1_S_CHUNK_DATA) || d->left <= len)
		return 0;
	d->left -= len;
	return 1;
}

/* May these first bytes of a call begin a message? */
static __always_inline int http_may_begin(__u64 addr, __u64 len)
{
	__u64 word[2] = {}, n = len < 8 ? len : 8;

	if (!addr || !len)
		return 0;
	H1_MASK(n, 15);		/* 15 bytes fit too, which is what the mask can prove */
	return !bpf_probe_read_user(word, n, (void *)addr) && h1_may_begin(word[0], len);
}

/* Nothing in this call has to be read. */
static __always_inline int http_idle(struct http1 *d, __u64 addr, __u64 len)
{
	return http_passes(d, len) || (d->state == H1_S_LOST && !http_may_begin(addr, len));
}

/* Bytes that were moved without passing through the program: only as a body. */
static __always_inline void http_unreachable(struct http1 *d, __u64 len)
{
	if (http_passes(d, len))
		return;
	if ((d->state == H1_S_BODY || d->state == H1_S_CHUNK_DATA) && d->left == len) {
		d->left = 0;
		d->state = d->state == H1_S_BODY ? H1_S_START : H1_S_CHUNK_END;
		return;
	}
	d->state = H1_S_LOST;
	drop(TT_DROP_sock_unreadable);
}

/* One piece of what was written or read in a call. */
__weak __noinline int http_piece(__u32 slot, __u32 i)
{
	struct scratch *s = scratch_get(slot);
	struct http1 *d;
	struct conn *c;
	__u64 at = i;
	int first;

	if (!s)
		return 0;
	H1_MASK(at, PIECES_MAX - 1);
	s->addr = s->piece[at].addr;
	s->w.total = s->piece[at].len;
	c = bpf_map_lookup_elem(&conns, &s->key);
	if (!c)
		return 0;
	d = s->dir == OUT ? &c->dir[OUT] : &c->dir[IN];
	if (!s->addr) {
		http_unreachable(d, s->w.total);
		return 0;
	}
	if (http_passes(d, s->w.total))
		return 0;
	first = d->state == H1_S_START && d->kind == H1_UNKNOWN;
	if (first || d->state == H1_S_LOST) {
		if (!http_may_begin(s->addr, s->w.total)) {
			d->state = H1_S_LOST;
			return 0;
		}
		h1_resume(d);
	}
	s->w.d = *d;
	s->w.base = 0;
	s->w.fill = 0;
	s->w.pos = 0;
	s->w.head_at = 0;
	s->w.key[0] = conf_kernel_key[0];
	s->w.key[1] = conf_kernel_key[1];
	s->partial.conn = c->id;
	s->partial.dir = s->dir;
	if (s->w.d.split)
		http_unpark(slot);
	for (int n = 0; n < PUMPS_MAX; n++) {
		if (http_pump(slot) != RUN_ON)
			break;
	}
	if (s->w.pos < s->w.total && s->w.d.state != H1_S_LOST) {
		s->w.d.state = H1_S_LOST;
		drop(TT_DROP_head_too_long);
	}
	if (h1_in_head(&s->w.d))
		http_park(slot);
	*d = s->w.d;
	return 0;
}

/*
 * Reads all pieces of a call, which the caller has put into the slot with key and dir, and gives
 * the slot back. The connection has to exist.
 */
__weak __noinline int http_run(__u32 slot)
{
	struct scratch *s = scratch_get(slot);

	if (!s)
		return 0;
	for (__u32 i = 0; i < PIECES_MAX; i++) {
		if (i >= s->pieces)
			break;
		http_piece(slot, i);
	}
	scratch_release(slot, s);
	return 0;
}

#endif
