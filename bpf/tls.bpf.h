/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Calls of TLS libraries: noted when they begin, their bytes taken when they return, since a call may
 * be repeated until it succeeds (Node offers the same request up to three times), and what a read left
 * in its buffer is valid only then. No struct of a library is read.
 */
#ifndef TT_TLS_BPF_H
#define TT_TLS_BPF_H

#include "cover_call.bpf.h"
#include "nspr.bpf.h"
#include "reader.bpf.h"
#include "unsent.bpf.h"
#include <bpf/bpf_tracing.h>

#define CALL_DEPTH_MAX 65536	/* bytes of stack between a call and one inside it */
#define CALLS_INSIDE_MAX 64

/* A call as its function's entry shows it. */
struct call {
	__u64 object, buf, num, size_out;
	__u64 sp;		/* grows with the stack's free end; the same at the return, but for SysV's word */
	__u64 ip;
};

/*
 * Is this call made from within the one under way: TLS inside TLS, or a wrapper's inner call? The
 * outer one counts. What is no deeper on the stack, or is the very same call again, or has had too
 * many calls inside, tells of a call whose return was missed. A wrapper may end in a jump, which
 * leaves the stack and the arguments as they were.
 */
static __always_inline int call_inside(const struct call *call, struct thread *t, __u8 tls)
{
	if (!t->in_call || call->sp > t->sp || t->sp - call->sp > CALL_DEPTH_MAX)
		return 0;
	if (t->unproved && tls != TT_TLS_NSS)
		return 0;
	if (t->ip == call->ip && t->object == call->object)
		return 0;
	if (t->sp == call->sp && (t->object != call->object || t->buf != call->buf))
		return 0;
	return ++t->ignored < CALLS_INSIDE_MAX;
}

/* The one call inside another that is the program's own: a write on the object that is read. */
static __always_inline int call_back(const struct call *call, struct thread *t, __u8 tls, __u8 dir)
{
	if (t->dir != IN || dir != OUT || t->tls != tls || t->object != call->object)
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
	if (t->in_call || !t->outer.sp || PT_REGS_SP(ctx) != t->outer.sp + RETURN_ADDRESS)
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

static __always_inline void nspr_begin(struct thread *t)
{
	struct conn_key key;

	call_key(t, &key);
	t->unproved = !bpf_map_lookup_elem(&conns, &key) && !bpf_map_lookup_elem(&object_socks, &key);
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

/* The caller's row with the call in it, or NULL if the call does not count, or there is no row. */
static __always_inline struct thread *call_note_in(struct thread *t, const struct call *call, __u8 tls, __u8 dir,
						   __u8 result)
{
	if (!t) {
		drop(TT_DROP_call_lost);
		return 0;
	}
	if (call->sp >= t->outer.sp)
		t->outer.sp = 0;
	if (call_inside(call, t, tls) && !call_back(call, t, tls, dir))
		return 0;
	if (t->wire_sock)
		cover_ended(t);
	if (t->in_call || t->late)
		call_missed(t);
	t->object = call->object;
	t->buf = call->buf;
	t->num = call->num;
	t->size_out = call->size_out;
	t->sp = call->sp;
	t->ip = call->ip;
	t->sock = 0;
	t->sent = 0;
	t->received = 0;
	t->mixed = 0;
	t->ignored = 0;
	t->dir = dir;
	t->result = result;
	t->tls = tls;
	t->on_stack = 0;
	t->taken = 0;
	t->unproved = 0;
	t->record = 0;
	t->recorded = 0;
	t->late = 0;
	if (tls == TT_TLS_NSS)
		nspr_begin(t);
	if (dir == IN) {
		t->fed_bytes = t->unread ? t->received_bytes : 0;
		t->unread = 0;
	}
	t->in_call = 1;
	return t;
}

static __always_inline struct thread *call_note(const struct caller *who, const struct call *call, __u8 tls, __u8 dir,
						__u8 result)
{
	return call_note_in(thread_get(who), call, tls, dir, result);
}

/* The object's memory may be the next one's, or was the last one's. */
static __always_inline int object_end(__u64 object, __u8 tls)
{
	struct conn_key key = { .object = object, .tls = tls };

	key.tgid = bpf_get_current_pid_tgid() >> 32;
	if (tls == TT_TLS_OPENSSL)
		cover_unlink(key.object, key.tgid, key.tls);
	conn_end(&key);
	if (tls == TT_TLS_NSS || tls == TT_TLS_OPENSSL)
		bpf_map_delete_elem(&object_socks, &key);
	return 0;
}

/* A call that is not looked at: what is known of its object's connection is not right any more. */
static __always_inline int call_left(__u64 object, __u8 tls)
{
	return filter_now ? object_end(object, tls) : 0;
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
	if (t->result != RESULT_COUNT && t->result != RESULT_COUNT5)
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

/* The connection of a call that has succeeded. */
static __always_inline struct conn *call_conn(const struct conn_key *key, struct conn *c,
					      struct thread *t, __u64 bytes)
{
	if (!c) {
		if (!http_may_begin(t->buf, bytes))
			return 0;
		c = conn_new(key);
		if (!c)
			return 0;
	}
	return call_nested(key, c, t, bytes);
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

/* Returns the slot that has the bytes to be read, or NO_SLOT. */
static __always_inline int call_slot(const struct conn_key *key, struct conn *c, struct thread *t,
				     __u64 bytes)
{
	int slot;
	struct scratch *s = read_slot(key, c, t->dir, &slot);

	if (!s)
		return NO_SLOT;
	s->pieces = 1;
	s->piece[0].addr = t->buf;
	s->piece[0].len = bytes;
	if (t->result == RESULT_VECTOR)
		nspr_pieces(t, s, slot);
	else
		s->asked = http_asked(conn_dir(c, t->dir));
	return slot;
}

#endif
