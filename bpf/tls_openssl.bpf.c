/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * OpenSSL 1.1 and 3.x: SSL_write, SSL_read and their _ex forms (SSL_write_ex2 has the arguments of
 * SSL_write_ex in the same places). Hooked by exported names only; no struct of the library is read.
 *
 * Bytes are taken when the call returns: a call may be repeated until it succeeds (Node offers the
 * same request up to three times), and what a read left in its buffer is valid only then.
 */
#include "conn.bpf.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define CALL_DEPTH_MAX 65536	/* bytes of stack between a call and one inside it */
#define CALLS_INSIDE_MAX 64

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
 * many calls inside, tells of a call whose return was missed.
 */
static __always_inline int call_inside(struct pt_regs *ctx, struct thread *t)
{
	__u64 sp = PT_REGS_SP(ctx);

	if (!t->in_call || sp > t->sp || t->sp - sp > CALL_DEPTH_MAX)
		return 0;
	if (t->ip == PT_REGS_IP(ctx) && t->object == PT_REGS_PARM1(ctx))
		return 0;
	return ++t->ignored < CALLS_INSIDE_MAX;
}

/* A call's return was missed, and the bytes it moved with it. */
static __always_inline void call_missed(const struct thread *t)
{
	struct conn_key key = { .object = t->object, .tls = TT_TLS_OPENSSL };
	struct conn *c;

	key.tgid = bpf_get_current_pid_tgid() >> 32;
	c = bpf_map_lookup_elem(&conns, &key);
	if (c)
		http_gap(t->dir == OUT ? &c->dir[OUT] : &c->dir[IN]);
}

static __always_inline int call_begin(struct pt_regs *ctx, __u8 dir, __u8 ex)
{
	struct thread *t;

	if (!watched())
		return 0;
	t = thread_get(bpf_get_current_pid_tgid());
	if (!t)
		return drop(TT_DROP_call_lost);
	if (call_inside(ctx, t))
		return 0;
	if (t->in_call)
		call_missed(t);
	t->object = PT_REGS_PARM1(ctx);
	t->buf = PT_REGS_PARM2(ctx);
	t->num = PT_REGS_PARM3(ctx);
	t->size_out = ex ? PT_REGS_PARM4(ctx) : 0;
	t->sp = PT_REGS_SP(ctx);
	t->ip = PT_REGS_IP(ctx);
	t->sock = 0;
	t->sent = 0;
	t->received = 0;
	t->mixed = 0;
	t->ignored = 0;
	t->dir = dir;
	t->ex = ex;
	t->in_call = 1;
	return 0;
}

SEC("uprobe")
int ossl_write_in(struct pt_regs *ctx)
{
	OWN_STACK(ctx);
	return call_begin(ctx, OUT, 0);
}

SEC("uprobe")
int ossl_writex_in(struct pt_regs *ctx)
{
	OWN_STACK(ctx);
	return call_begin(ctx, OUT, 1);
}

SEC("uprobe")
int ossl_read_in(struct pt_regs *ctx)
{
	OWN_STACK(ctx);
	return call_begin(ctx, IN, 0);
}

SEC("uprobe")
int ossl_readx_in(struct pt_regs *ctx)
{
	OWN_STACK(ctx);
	return call_begin(ctx, IN, 1);
}

/* Bytes that the call moved; 0 if it failed. */
static __always_inline __u64 call_bytes(struct pt_regs *ctx, struct thread *t)
{
	int ret = PT_REGS_RC(ctx);
	__u64 bytes = 0;

	if (ret <= 0)
		return 0;
	if (!t->ex)
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
	}
	if (t->dir == IN && !t->received && t->received_sock &&
	    wire_fits(0, t->received_bytes) && bytes + TLS_OVERHEAD_MIN <= t->received_bytes)
		conn_candidate(key, t->received_sock, &t->received_tuple);
}

static __always_inline int call_read(const struct conn_key *key, struct conn *c, struct thread *t,
				     __u64 bytes)
{
	struct scratch *s;
	int slot = scratch_claim();

	if (slot < 0) {
		http_gap(t->dir == OUT ? &c->dir[OUT] : &c->dir[IN]);
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

SEC("uretprobe")
int ossl_out(struct pt_regs *ctx)
{
	__u64 id = bpf_get_current_pid_tgid(), bytes;
	struct thread *t = bpf_map_lookup_elem(&threads, &id);
	struct conn_key key = {};
	struct conn *c;

	OWN_STACK(ctx);
	/* At a return the stack is one word shorter than it was on entry: this tells the outer call's
	 * return from those of calls inside it. */
	if (!t || !t->in_call || PT_REGS_SP(ctx) != t->sp + sizeof(long))
		return 0;
	t->in_call = 0;
	bytes = call_bytes(ctx, t);
	if (!bytes || bytes > 0x7fffffff)
		return 0;
	key.object = t->object;
	key.tgid = id >> 32;
	key.tls = TT_TLS_OPENSSL;
	c = bpf_map_lookup_elem(&conns, &key);
	if (!c) {
		if (!http_may_begin(t->buf, bytes))
			return 0;
		c = conn_new(&key);
		if (!c)
			return 0;
	}
	c = call_nested(&key, c, t, bytes);
	if (!c)
		return 0;
	if (!c->sock)
		call_adjacent(&key, t, bytes);
	if (http_idle(t->dir == OUT ? &c->dir[OUT] : &c->dir[IN], t->buf, bytes))
		return 0;
	return call_read(&key, c, t, bytes);
}

/* The object's memory may be the next one's. */
SEC("uprobe")
int ossl_free_in(struct pt_regs *ctx)
{
	struct conn_key key = {};

	OWN_STACK(ctx);
	key.object = PT_REGS_PARM1(ctx);
	key.tgid = bpf_get_current_pid_tgid() >> 32;
	key.tls = TT_TLS_OPENSSL;
	conn_end(&key);
	return 0;
}
