/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * openssl_record: a record's data is about to be copied to the reader (agent/elf_record.c). It is there to be read where
 * OpenSSL has it, once, and nothing has to be noted before or after; what the thread does on sockets
 * meanwhile is not known to be inside a call, and does not have to be (sealed.bpf.h).
 */
#ifndef TT_RECORD_BPF_H
#define TT_RECORD_BPF_H

#include <tokentrail/cookie.h>

#include "sealed.bpf.h"
#include "tls.bpf.h"

/* The place that the cookie is about. */
struct record_place {
	__u64 reg[COOKIE_REGISTERS];
	__u32 window[COOKIE_WORDS];
};

#if defined(__TARGET_ARCH_x86)
static __always_inline void record_registers(const struct pt_regs *ctx, __u64 *reg)
{
	reg[0] = ctx->bx;
	reg[1] = ctx->bp;
	reg[2] = ctx->r12;
	reg[3] = ctx->r13;
	reg[4] = ctx->r14;
	reg[5] = ctx->r15;
}
#else
static __always_inline void record_registers(const struct pt_regs *ctx, __u64 *reg)
{
	__builtin_memset(reg, 0, COOKIE_REGISTERS * sizeof(*reg));
}
#endif

static __always_inline __u32 record_word(const struct record_place *p, __u64 at)
{
	H1_MASK(at, COOKIE_PLACE_WORDS - 1);
	return ((const volatile __u32 *)p)[at];
}

/* Whoever shakes hands will read: what this thread receives is noted from now on. */
static __always_inline void record_handshake(void)
{
	struct thread *t = thread_own();

	if (t)
		t->records = 1;
	else
		drop(TT_DROP_call_lost);
}

/* The object, if its data is what the program reads with SSL_read(), and goes with it; else 0. */
static __always_inline __u64 record_object(const struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie((void *)ctx);
	struct record_place p;
	__u32 type;

	record_registers(ctx, p.reg);
	if (bpf_probe_read_user(p.window, sizeof(p.window), (void *)(PT_REGS_SP(ctx) + 4 * COOKIE_WINDOW(cookie)))) {
		drop(TT_DROP_user_fault);
		return 0;
	}
	type = record_word(&p, COOKIE_TYPE(cookie));
	if (type == RECORD_HANDSHAKE)
		record_handshake();
	if (type != RECORD_DATA || record_word(&p, COOKIE_PEEK(cookie)))
		return 0;
	return record_word(&p, COOKIE_OBJECT(cookie)) | (__u64)record_word(&p, COOKIE_OBJECT(cookie) + 1) << 32;
}

/* The caller's row with this read in it, which is over as it begins; or NULL if it does not count. */
static __always_inline struct thread *record_note(const struct call *call)
{
	struct caller who = { .id = bpf_get_current_pid_tgid() };
	struct thread *t = call_note(&who, call, TT_TLS_OPENSSL, IN, RESULT_INT);

	if (!t)
		return 0;
	t->in_call = 0;
	t->records = 1;
	return t;
}

/* The sealed rule. */
static __always_inline struct conn *record_linked(const struct conn_key *key, struct conn *c, struct thread *t)
{
	int is;

	if (!t->fed_bytes || c->sock == t->received_sock)
		return c;
	is = record_received(t, t->buf, t->num);
	if (is == RECORD_OTHER) {	/* whose record may come yet */
		t->fed_bytes = 0;
		t->unread = 1;
	}
	if (is != RECORD_RECEIVED)
		return c;
	cover_sealed(t->received_sock, t->received_bytes);
	return conn_link(key, c, t->received_sock, &t->received_tuple);
}

/* Returns the slot that has the bytes to be read, or NO_SLOT. */
static __always_inline int record_read(const struct call *call)
{
	struct thread *t = record_note(call);
	struct conn_key key;
	struct conn *c;

	if (!t)
		return NO_SLOT;
	if (filter_now && !watched()) {
		call_left(t->object, t->tls);
		return NO_SLOT;
	}
	call_key(t, &key);
	c = call_conn(&key, bpf_map_lookup_elem(&conns, &key), t, t->num);
	if (c)
		c = record_linked(&key, c, t);
	cover_called(t, c ? c->sock : 0, t->num);
	if (!c)
		return NO_SLOT;
	if (!c->sock)
		call_adjacent(&key, t, t->num);
	if (http_idle(conn_dir(c, IN), t->buf, t->num))
		return NO_SLOT;
	return call_slot(&key, c, t, t->num);
}

#endif
