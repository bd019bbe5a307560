/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The C libraries: OpenSSL 1.1 and 3.x, LibreSSL, GnuTLS, wolfSSL, mbedTLS, s2n. Their calls have one
 * shape, so each function has an entry program of a line (kernels before 5.15 can't tell a program
 * where it is attached), and one return program serves all. Hooked by name only.
 */
#include "tls.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define TT_HOOK_CALL(number, hook, library, direction, result)                                     \
	SEC("uprobe")                                                                              \
	int hook##_in(struct pt_regs *ctx)                                                         \
	{                                                                                          \
		OWN_STACK(ctx);                                                                    \
		return call_begin(ctx, TT_TLS_##library, direction, RESULT_##result);              \
	}
#define TT_HOOK_END(number, hook, library)                                                         \
	SEC("uprobe")                                                                              \
	int hook##_in(struct pt_regs *ctx)                                                         \
	{                                                                                          \
		OWN_STACK(ctx);                                                                    \
		return object_end(ctx, TT_TLS_##library);                                          \
	}
#include <tokentrail/hooks.def>

/* gnutls/gnutls.h */
#define GNUTLS_E_AGAIN (-28)
#define GNUTLS_E_INTERRUPTED (-52)

/*
 * A write of GnuTLS that can't be sent at once fails, but its bytes are encrypted already and stay in
 * the library. The next call sends them whatever it is given, often nothing, and returns their number.
 * They are taken when they are given: later they may be gone. How many, up to one record.
 */
static __always_inline __u64 call_held(struct pt_regs *ctx, const struct thread *t)
{
	__s64 ret = PT_REGS_RC(ctx);

	if (t->tls != TT_TLS_GNUTLS || t->dir != OUT || t->result == RESULT_NONE)
		return 0;
	if (ret != GNUTLS_E_AGAIN && ret != GNUTLS_E_INTERRUPTED)
		return 0;
	return t->num < TLS_RECORD ? t->num : TLS_RECORD;
}

/* Whether these bytes were taken before. A record that is shorter than was thought has bytes after it
 * that were read too early. */
static __always_inline int held_before(struct conn *c, __u64 bytes, __u64 held)
{
	__u32 before = c->held;

	if (held) {
		if (!before)
			c->held = held;
		return before != 0;
	}
	if (!before)
		return 0;
	c->held = 0;
	if (bytes != before)
		http_gap(&c->dir[OUT]);
	return 1;
}

/* gnutls_record_uncork() sends what gnutls_record_send() took. */
static __always_inline int call_flushed(const struct conn_key *key, struct conn *c, struct thread *t)
{
	if (t->sent && t->wrote_bytes && t->wrote.object == key->object && t->wrote.tls == key->tls)
		call_nested(key, c, t, t->wrote_bytes);
	t->wrote_bytes = 0;
	return 0;
}

SEC("uretprobe")
int tls_out(struct pt_regs *ctx)
{
	__u64 id = bpf_get_current_pid_tgid(), bytes, held;
	struct thread *t = bpf_map_lookup_elem(&threads, &id);
	struct conn_key key;
	struct conn *c;

	OWN_STACK(ctx);
	/* At a return the stack is as long as it was on entry, without the return address: this tells the
	 * outer call's return from those of calls inside it. */
	if (!t || !t->in_call || PT_REGS_SP(ctx) != t->sp + RETURN_ADDRESS)
		return 0;
	t->in_call = 0;
	held = call_held(ctx, t);
	bytes = held ? held : call_bytes(ctx, t);
	if (bytes > 0x7fffffff || (!bytes && t->result != RESULT_NONE))
		return 0;
	call_key(t, &key);
	c = bpf_map_lookup_elem(&conns, &key);
	if (t->result == RESULT_NONE) {
		if (t->sock && !t->mixed && t->cover_wrote)
			cover_flushed(t);
		return c ? call_flushed(&key, c, t) : 0;
	}
	if (!held)	/* else they are counted when a later call returns their number */
		cover_called(t, c ? c->sock : 0, bytes);
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
	if (t->dir == OUT && t->sent)
		t->wrote_bytes = 0;	/* the next send is not this one's */
	if (t->dir == OUT && held_before(c, bytes, held))
		return 0;
	if (!c->sock && !held)
		call_adjacent(&key, t, bytes);
	if (http_idle(conn_dir(c, t->dir), t->buf, bytes))
		return 0;
	return call_read(&key, c, t, bytes);
}
