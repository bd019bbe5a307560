/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The C libraries: OpenSSL 1.0 to 4.x, BoringSSL, LibreSSL, GnuTLS, wolfSSL, mbedTLS, s2n, NSS. Their
 * calls have one shape, so each function has an entry program of a line (kernels before 5.15 can't tell
 * a program where it is attached), and one return program serves all.
 */
#include "record.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline int call_begin(struct pt_regs *ctx, __u8 tls, __u8 dir, __u8 result)
{
	struct caller who = { .id = bpf_get_current_pid_tgid() };
	struct call call = {
		.object = PT_REGS_PARM1(ctx),
		.buf = PT_REGS_PARM2(ctx),
		.num = PT_REGS_PARM3(ctx),
		.size_out = result == RESULT_COUNT  ? PT_REGS_PARM4(ctx) :
			    result == RESULT_COUNT5 ? PT_REGS_PARM5(ctx) :
						      0,
		.sp = PT_REGS_SP(ctx),
		.ip = PT_REGS_IP(ctx),
	};

	/* Looking ahead moves nothing. */
	if (result == RESULT_FLAGS && (PT_REGS_PARM4(ctx) & PR_MSG_PEEK))
		result = RESULT_NONE;
	/* Filters are asked when the call ends, before a byte is read: there are many entry programs, and each would
	 * have to be verified with them. */
	if (foreign())
		call_note(&who, &call, tls, dir, result);
	return 0;
}

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
		return object_end(PT_REGS_PARM1(ctx), TT_TLS_##library);                           \
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

/* Bytes that were given to the library before went over the socket of this call. */
static __noinline void cover_flushed(struct thread *t)
{
	__u64 bytes = t->cover_wrote;
	struct tt_cover_key key;
	struct tt_cover_row *row;

	t->cover_wrote = 0;
	if (!cover_key(&key) || t->cover_object != t->object)
		return;
	row = bpf_map_lookup_elem(&cover_procs, &key);
	if (row && cover_plain(t->sock, bytes, OUT, &key))
		__sync_fetch_and_add(&row->loose[OUT], -bytes);
}

/* memcpy(the reader's buffer, data, bytes) */
SEC("uprobe")
int openssl_record_in(struct pt_regs *ctx)
{
	struct call call = {
		.buf = PT_REGS_PARM2(ctx),
		.num = PT_REGS_PARM3(ctx),
		.sp = PT_REGS_SP(ctx),
		.ip = PT_REGS_IP(ctx),
	};
	struct record_at at;

	OWN_STACK(ctx);
	if (!foreign() || !call.num || call.num > TLS_RECORD || !record_at(ctx, &at))
		return 0;
	if (at.type == RECORD_HANDSHAKE)
		return record_handshake(at.object, call.buf, call.num);
	/* What the program reads with SSL_read(), and goes with it. */
	if (at.type != RECORD_DATA || at.peek)
		return 0;
	call.object = at.object;
	return read_call(ctx, &tls_reader, record_read(&call));
}

/* do_ssl3_write(object, type, data, lengths, their number, ...) */
SEC("uprobe")
int openssl_seal_in(struct pt_regs *ctx)
{
	struct call call = {
		.object = PT_REGS_PARM1(ctx),
		.buf = PT_REGS_PARM3(ctx),
		.sp = PT_REGS_SP(ctx),
		.ip = PT_REGS_IP(ctx),
	};

	OWN_STACK(ctx);
	if ((__u32)PT_REGS_PARM2(ctx) != RECORD_DATA || !foreign())
		return 0;
	call.num = record_bytes(PT_REGS_PARM4(ctx), PT_REGS_PARM5(ctx));
	return call.num ? read_call(ctx, &tls_reader, record_write(&call)) : 0;
}

SEC("uretprobe")
int tls_out(struct pt_regs *ctx)
{
	struct caller who = { .id = bpf_get_current_pid_tgid() };
	struct thread *t = bpf_map_lookup_elem(&threads, &who);
	struct conn_key key;
	__u64 bytes, held;
	struct conn *c;

	OWN_STACK(ctx);
	if (t)
		call_resume(ctx, t);
	/* At a return the stack is as long as it was on entry, without the return address: this tells the
	 * outer call's return from those of calls inside it. */
	if (!t || !t->in_call || PT_REGS_SP(ctx) != t->sp + RETURN_ADDRESS)
		return 0;
	t->in_call = 0;
	if (filter_now && !watched())
		return call_left(t->object, t->tls);
	if (t->result == RESULT_OBJECT)
		return object_end(PT_REGS_RC(ctx), t->tls);
	held = call_held(ctx, t);
	bytes = held ? held : call_bytes(ctx, t);
	call_key(t, &key);
	if (t->tls == TT_TLS_NSS)
		nspr_note(&key, t, bytes);
	/* Before anything counts plaintext on the socket. */
	if (t->wire_sock && (!bytes || held))
		cover_ended(t);
	if (bytes > 0x7fffffff || (!bytes && t->result != RESULT_NONE))
		return 0;
	c = bpf_map_lookup_elem(&conns, &key);
	if (t->result == RESULT_NONE) {
		if (t->sock && !t->mixed && t->cover_wrote)
			cover_flushed(t);
		return c ? call_flushed(&key, c, t) : 0;
	}
	/* What is held is counted when a later call returns its number. */
	if (!held && (t->tls != TT_TLS_NSS || bpf_map_lookup_elem(&object_socks, &key)))
		cover_called(t, c ? c->sock : 0, bytes);
	if (!c && t->tls == TT_TLS_NSS) {
		c = nspr_may_begin(t, bytes) ? nspr_conn(&key, t) : 0;
		if (!c)
			return 0;
	}
	c = call_conn(&key, c, t, bytes);
	if (!c)
		return 0;
	if (t->dir == OUT && t->sent)
		t->wrote_bytes = 0;	/* the next send is not this one's */
	if (t->dir == OUT && held_before(c, bytes, held))
		return 0;
	if (!c->sock && !held)
		call_adjacent(&key, t, bytes);
	if (t->result == RESULT_VECTOR ? http_passes(conn_dir(c, t->dir), bytes) :
					 http_idle(conn_dir(c, t->dir), t->buf, bytes))
		return 0;
	return read_call(ctx, &tls_reader, call_slot(&key, c, t, bytes));
}
