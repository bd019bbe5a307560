/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Calls of TLS libraries: noted when they begin, their bytes taken when they return, since a call may
 * be repeated until it succeeds (Node offers the same request up to three times), and what a read left
 * in its buffer is valid only then. No struct of a library is read.
 */
#ifndef TT_TLS_BPF_H
#define TT_TLS_BPF_H

#include "unsent.bpf.h"
#include <bpf/bpf_tracing.h>

#define CALL_DEPTH_MAX 65536	/* bytes of stack between a call and one inside it */
#define CALLS_INSIDE_MAX 64

/* What a call returns: <tokentrail/hooks.def>. */
enum { RESULT_INT, RESULT_LONG, RESULT_COUNT, RESULT_NONE };

static __always_inline struct thread *thread_get(__u64 id)
{
	struct thread *t = bpf_map_lookup_elem(&threads, &id);
	static const struct thread empty;

	if (t)
		return t;
	bpf_map_update_elem(&threads, &id, &empty, BPF_NOEXIST);
	return bpf_map_lookup_elem(&threads, &id);
}

/*
 * Is this call made from within the one under way: TLS inside TLS, or a wrapper's inner call? The
 * outer one counts. What is no deeper on the stack, or is the very same call again, or has had too
 * many calls inside, tells of a call whose return was missed. A wrapper may end in a jump, which
 * leaves the stack and the arguments as they were.
 */
static __always_inline int call_inside(struct pt_regs *ctx, struct thread *t)
{
	__u64 sp = PT_REGS_SP(ctx);

	if (!t->in_call || sp > t->sp || t->sp - sp > CALL_DEPTH_MAX)
		return 0;
	if (t->ip == PT_REGS_IP(ctx) && t->object == PT_REGS_PARM1(ctx))
		return 0;
	if (t->sp == sp && (t->object != PT_REGS_PARM1(ctx) || t->buf != PT_REGS_PARM2(ctx)))
		return 0;
	return ++t->ignored < CALLS_INSIDE_MAX;
}

/* The one call inside another that is the program's own: a write on the object that is read. */
static __always_inline int call_back(struct pt_regs *ctx, struct thread *t, __u8 tls, __u8 dir)
{
	if (t->dir != IN || dir != OUT || t->tls != tls || t->object != PT_REGS_PARM1(ctx))
		return 0;
	t->outer.object = t->object;
	t->outer.buf = t->buf;
	t->outer.size_out = t->size_out;
	t->outer.sp = t->sp;
	t->outer.ip = t->ip;
	t->outer.num = t->num;
	t->outer.result = t->result;
	t->outer.tls = t->tls;
	t->in_call = 0;
	return 1;
}

/* The outer read returns. What it did on sockets is not known any more. */
static __always_inline void call_resume(struct pt_regs *ctx, struct thread *t)
{
	if (t->in_call || !t->outer.sp || PT_REGS_SP(ctx) != t->outer.sp + sizeof(long))
		return;
	t->object = t->outer.object;
	t->buf = t->outer.buf;
	t->size_out = t->outer.size_out;
	t->sp = t->outer.sp;
	t->ip = t->outer.ip;
	t->num = t->outer.num;
	t->result = t->outer.result;
	t->tls = t->outer.tls;
	t->dir = IN;
	t->sock = 0;
	t->sent = 0;
	t->received = 0;
	t->mixed = 1;
	t->fed_bytes = 0;
	t->outer.sp = 0;
	t->in_call = 1;
}

static __always_inline void call_key(const struct thread *t, struct conn_key *key)
{
	key->object = t->object;
	key->tgid = bpf_get_current_pid_tgid() >> 32;
	key->tls = t->tls;
}

/* A call's return was missed, and the bytes it moved with it. */
static __always_inline void call_missed(const struct thread *t)
{
	struct conn_key key;
	struct conn *c;

	call_key(t, &key);
	c = bpf_map_lookup_elem(&conns, &key);
	if (c)
		http_gap(conn_dir(c, t->dir));
}

static __always_inline int call_begin(struct pt_regs *ctx, __u8 tls, __u8 dir, __u8 result)
{
	struct thread *t;

	if (!watched())
		return 0;
	t = thread_get(bpf_get_current_pid_tgid());
	if (!t)
		return drop(TT_DROP_call_lost);
	if (PT_REGS_SP(ctx) >= t->outer.sp)
		t->outer.sp = 0;
	if (call_inside(ctx, t) && !call_back(ctx, t, tls, dir))
		return 0;
	if (t->in_call)
		call_missed(t);
	t->object = PT_REGS_PARM1(ctx);
	t->buf = PT_REGS_PARM2(ctx);
	t->num = PT_REGS_PARM3(ctx);
	t->size_out = result == RESULT_COUNT ? PT_REGS_PARM4(ctx) : 0;
	t->sp = PT_REGS_SP(ctx);
	t->ip = PT_REGS_IP(ctx);
	t->sock = 0;
	t->sent = 0;
	t->received = 0;
	t->mixed = 0;
	t->ignored = 0;
	t->dir = dir;
	t->result = result;
	t->tls = tls;
	if (dir == IN) {
		t->fed_bytes = t->unread ? t->received_bytes : 0;
		t->unread = 0;
	}
	t->in_call = 1;
	return 0;
}

/* The object's memory may be the next one's. */
static __always_inline int object_end(struct pt_regs *ctx, __u8 tls)
{
	struct conn_key key = { .object = PT_REGS_PARM1(ctx), .tls = tls };

	key.tgid = bpf_get_current_pid_tgid() >> 32;
	conn_end(&key);
	return 0;
}

/* Bytes that the call moved; 0 if it failed. */
static __always_inline __u64 call_bytes(struct pt_regs *ctx, struct thread *t)
{
	__s64 ret = PT_REGS_RC(ctx);
	__u64 bytes = 0;

	if (t->result == RESULT_NONE)
		return 0;
	if (t->result != RESULT_LONG)
		ret = (int)ret;	/* the upper half is anything */
	if (ret <= 0)
		return 0;
	if (t->result != RESULT_COUNT)
		return ret;
	if (bpf_probe_read_user(&bytes, sizeof(bytes), (void *)t->size_out))
		drop(TT_DROP_user_fault);
	return bytes;
}

/* The nested rule. */
static __always_inline struct conn *call_nested(const struct conn_key *key, struct conn *c,
						struct thread *t, __u64 bytes)
{
	if (!t->sock || t->mixed)
		return c;
	if (t->dir == OUT && t->sent < bytes + TLS_OVERHEAD_MIN)
		return c;
	if (t->dir == IN && !t->received)
		return c;
	return conn_link(key, c, t->sock, &t->tuple);
}

/* The adjacent rule's first half; sock_io() has the second. */
static __always_inline void call_adjacent(const struct conn_key *key, struct thread *t, __u64 bytes)
{
	if (t->dir == OUT && !t->sent) {
		t->wrote = *key;
		t->wrote_bytes = bytes;
		t->unsent = 1;
		unsent_add(key, bpf_get_current_pid_tgid(), bytes);
	}
	if (t->dir == IN && !t->received && bytes + TLS_OVERHEAD_MIN <= t->fed_bytes &&
	    wire_fits(0, t->fed_bytes) && bpf_ktime_get_boot_ns() - t->mixed_ns > UNSENT_NS)
		conn_candidate(key, t->received_sock, &t->received_tuple, IN);
}

static __always_inline int call_read(const struct conn_key *key, struct conn *c, struct thread *t,
				     __u64 bytes)
{
	struct scratch *s;
	int slot = scratch_claim();

	if (slot < 0) {
		http_gap(conn_dir(c, t->dir));
		return 0;
	}
	s = scratch_get(slot);
	if (!s)
		return 0;
	s->key = *key;
	s->dir = t->dir;
	s->pieces = 1;
	s->piece[0].addr = t->buf;
	s->piece[0].len = bytes;
	http_run(slot);
	return 0;
}

#endif
