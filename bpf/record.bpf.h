/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * openssl_record: a record's data is about to be copied to the reader. openssl_seal: a record's data is about to be
 * encrypted (agent/elf_record.c finds both). It is there to be read, once, and nothing has to be noted before or after;
 * what the thread does on sockets meanwhile is not known to be inside a call, and does not have to be: whose socket
 * it is the handshake's records tell, as those that come later do (sealed.bpf.h), or the size of what is sent.
 *
 * What was encrypted counts as sent: OpenSSL sends it with the next call if it can't now, or never.
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

/* A record at the place that the cookie is about. */
struct record_at {
	__u64 object;
	__u32 type, peek;
};

static __always_inline int record_at(const struct pt_regs *ctx, struct record_at *at)
{
	__u64 cookie = bpf_get_attach_cookie((void *)ctx);
	struct record_place p;

	record_registers(ctx, p.reg);
	if (bpf_probe_read_user(p.window, sizeof(p.window), (void *)(PT_REGS_SP(ctx) + 4 * COOKIE_WINDOW(cookie)))) {
		drop(TT_DROP_user_fault);
		return 0;
	}
	at->type = record_word(&p, COOKIE_TYPE(cookie));
	at->peek = record_word(&p, COOKIE_PEEK(cookie));
	at->object = record_word(&p, COOKIE_OBJECT(cookie)) | (__u64)record_word(&p, COOKIE_OBJECT(cookie) + 1) << 32;
	return 1;
}

/* The object's records are on this socket. */
static __noinline int record_met(const struct conn_key *key, __u64 sock, const struct tt_tuple *tuple)
{
	struct conn *c = bpf_map_lookup_elem(&conns, key);
	struct object_sock *before, now = { sock, *tuple };

	if (c)
		return conn_link(key, c, sock, tuple) != 0;
	before = bpf_map_lookup_elem(&object_socks, key);
	if (before && before->sock == sock && tuple_same(&before->tuple, tuple))
		return 1;
	bpf_map_update_elem(&object_socks, key, &now, BPF_ANY);
	bpf_map_update_elem(&links, &sock, key, BPF_ANY);	/* sock_state() ends it */
	return 1;
}

/*
 * A record of a handshake. Whoever shakes hands will read: what this thread receives is noted from now on. And on which
 * socket the object's records are is known before its first request.
 */
static __always_inline int record_handshake(__u64 object, __u64 data, __u64 bytes)
{
	struct thread *t = thread_own();
	struct conn_key key = { .object = object, .tls = TT_TLS_OPENSSL };

	if (!t)
		return drop(TT_DROP_call_lost);
	t->records = 1;
	if (!t->unread || (filter_now && !watched()) ||
	    record_received(t, data, bytes, RECORD_HANDSHAKE) != RECORD_RECEIVED)
		return 0;
	t->unread = 0;
	key.tgid = bpf_get_current_pid_tgid() >> 32;
	return record_met(&key, t->received_sock, &t->received_tuple);
}

/* The caller's row with this record in it, which is over as it begins; or NULL if it does not count. */
static __always_inline struct thread *record_note(struct thread *t, const struct call *call, __u8 dir)
{
	t = call_note_in(t, call, TT_TLS_OPENSSL, dir, RESULT_INT);
	if (!t)
		return 0;
	t->in_call = 0;
	t->records = 1;
	t->recorded = 1;
	return t;
}

/* Is it of a process that is left alone? */
static __always_inline int record_left(const struct thread *t)
{
	if (!filter_now || watched())
		return 0;
	call_left(t->object, t->tls);
	return 1;
}

/* The object's connection, c if it has one, or one that begins with this record; *ret_sock: its socket, 0 if it is not known. */
static __always_inline struct conn *record_conn(const struct conn_key *key, struct conn *c, struct thread *t,
						__u64 *ret_sock)
{
	struct object_sock *met;

	*ret_sock = c ? c->sock : 0;
	if (*ret_sock)
		return c;
	if (!t->late)
		c = call_conn(key, c, t, t->num);
	met = bpf_map_lookup_elem(&object_socks, key);
	if (!met)
		return c;
	*ret_sock = met->sock;
	if (!c)
		return 0;
	c = conn_link(key, c, met->sock, &met->tuple);
	bpf_map_delete_elem(&object_socks, key);
	return c;
}

/* The sealed rule. */
static __always_inline struct conn *record_linked(const struct conn_key *key, struct conn *c, struct thread *t)
{
	int is;

	if (!t->fed_bytes || c->sock == t->received_sock)
		return c;
	is = record_received(t, t->buf, t->num, RECORD_DATA);
	if (is == RECORD_OTHER) {	/* whose record may come yet */
		t->fed_bytes = 0;
		t->unread = 1;
	}
	if (is != RECORD_RECEIVED)
		return c;
	cover_sealed(t->received_sock, t->received_bytes);
	return conn_link(key, c, t->received_sock, &t->received_tuple);
}

/* A record's data is given to be encrypted, of the connection on this socket (0: not known): it is counted with its send (cover_waits()).
 * 0: it has to be counted now. Global, as what follows: verified once, not for each way to go on. */
__weak __noinline int cover_give(__u64 sock, __u64 bytes)
{
	struct cover_sock *k = sock ? bpf_map_lookup_elem(&cover_socks, &sock) : 0;

	if (!k || !cover_waits(k))
		return 0;
	k->given += bytes;
	k->givens++;
	return 1;
}

/* A record that was received is read. 0: there is no receive on its socket that it may have come with. */
__weak __noinline int cover_record(__u64 sock, __u64 bytes)
{
	struct cover_sock *k = sock ? bpf_map_lookup_elem(&cover_socks, &sock) : 0;
	struct tt_cover_key key;
	struct tt_cover_row *row;

	if (!k || !k->got || !cover_waits(k) || !cover_key(&key) || !cover_same(&k->owner, &key))
		return 0;
	row = cover_row(&key);
	if (!row)
		return 0;
	cover_taken(k, (struct sock *)sock, row);
	cover_row_called(row, TT_TLS_OPENSSL);
	__sync_fetch_and_add(&row->plain[IN], bytes);
	return cover_plain_at(k, row, bytes, IN, &key);
}

/* A record of a connection whose socket is not known, or has nothing that waits for one. Global: see above. */
__weak __noinline int record_count(__u64 object, __u32 tgid, __u64 sock, __u64 bytes)
{
	struct conn_key key = { .object = object, .tgid = tgid, .tls = TT_TLS_OPENSSL };
	struct thread *t = thread_own();
	struct conn *c;

	if (!t)
		return 0;
	c = t->dir == IN ? bpf_map_lookup_elem(&conns, &key) : 0;
	if (c) {
		c = record_linked(&key, c, t);
		sock = c ? c->sock : 0;
	}
	cover_called(t, sock, bytes);
	return 0;
}

/* Returns the slot that has the bytes to be read, or NO_SLOT. */
static __always_inline int record_slot(const struct conn_key *key, struct conn *c, struct thread *t)
{
	return http_idle(conn_dir(c, t->dir), t->buf, t->num) ? NO_SLOT : call_slot(key, c, t, t->num);
}

/* So too. */
static __always_inline int record_read(const struct call *call)
{
	struct thread *t = record_note(thread_own(), call, IN);
	struct conn_key key;
	struct conn *c;
	__u64 sock;

	if (!t)
		return NO_SLOT;
	if (record_left(t))
		return NO_SLOT;
	call_key(t, &key);
	c = record_conn(&key, bpf_map_lookup_elem(&conns, &key), t, &sock);
	if (!cover_record(sock, t->num)) {
		record_count(key.object, key.tgid, sock, t->num);
		c = bpf_map_lookup_elem(&conns, &key);
	}
	if (!c)
		return NO_SLOT;
	if (!c->sock)
		call_adjacent(&key, t, t->num);
	return record_slot(&key, c, t);
}

#define PIPES_MAX 32	/* SSL_MAX_PIPELINES, openssl/ssl.h */

/* What is encrypted with one call: a record, or several if the cipher takes them side by side. One behind the other. */
static __always_inline __u64 record_bytes(__u64 lengths, __u64 count)
{
	__u64 len, bytes = 0;

	for (int i = 0; i < PIPES_MAX && i < count; i++) {
		if (bpf_probe_read_user(&len, sizeof(len), (__u64 *)lengths + i))
			return drop(TT_DROP_user_fault);
		bytes += len;
	}
	/* Else it is another function. */
	return count <= PIPES_MAX && bytes <= count * TLS_RECORD ? bytes : drop(TT_DROP_call_lost);
}

/* Does this record go on with what the thread gave to the same write? Then they go out together over memory buffers. */
static __always_inline int record_goes_on(const struct thread *t, const struct call *call)
{
	return !t->in_call && t->dir == OUT && t->tls == TT_TLS_OPENSSL && t->object == call->object && t->num &&
	       !(t->num % TLS_RECORD) && t->buf + t->num == call->buf && t->sp == call->sp;
}

#define PAGE_MIN 4096
#define RECORD_PAGES (4 * TLS_RECORD / PAGE_MIN)

/*
 * Can all of it be read? Nobody has touched it yet, and a program can't wait for a page: that of a constant, the first
 * time in each process, or one that was taken back.
 */
static __noinline int record_here(__u64 addr, __u64 bytes)
{
	const __u64 end = addr + bytes;
	__u8 byte;

#pragma nounroll
	for (int i = 0; i < RECORD_PAGES && addr < end; i++) {
		if (bpf_probe_read_user(&byte, sizeof(byte), (void *)addr))
			return 0;
		addr = (addr | (PAGE_MIN - 1)) + 1;
	}
	return addr >= end;
}

/* The adjacent rule's first half; sock_io() has the second. */
static __always_inline void record_unsent(const struct conn_key *key, __u64 bytes, struct thread *t, int goes_on)
{
	t->unsent = 1;
	if (goes_on)
		unsent_grow(key, bpf_get_current_pid_tgid(), bytes);
	else
		unsent_add(key, bpf_get_current_pid_tgid(), bytes);
}

static __always_inline int record_write(const struct call *call)
{
	struct thread *t = thread_own();
	int goes_on = t && record_goes_on(t, call), passes;
	__u32 late = goes_on && t->late ? t->num : 0;
	struct conn_key key;
	struct conn *c;
	__u64 sock;

	if (late)
		t->late = 0;
	t = record_note(t, call, OUT);
	if (!t)
		return NO_SLOT;
	if (record_left(t))
		return NO_SLOT;
	t->buf -= late;
	t->num += late;
	call_key(t, &key);
	c = bpf_map_lookup_elem(&conns, &key);
	passes = c && http_passes(conn_dir(c, OUT), t->num);
	if (!passes && !record_here(t->buf, t->num)) {
		t->late = 1;
		bpf_probe_read_user(&t->size_out, sizeof(t->size_out), (void *)t->sp);
	}
	c = record_conn(&key, c, t, &sock);
	if (t->late || !cover_give(sock, call->num))
		record_count(key.object, key.tgid, sock, call->num);
	if (t->late)	/* or its send would not be looked at: sock_io() */
		cover_unlink(key.object, key.tgid, key.tls);
	if (c ? !c->sock : t->late)
		record_unsent(&key, call->num, t, goes_on);
	return !c || passes || t->late ? NO_SLOT : record_slot(&key, c, t);
}

#define SEND_DEPTH_MAX 16384	/* bytes of stack from do_ssl3_write(), which has 4 KiB, to the send; one from further up is far more, unsigned */

/*
 * The thread uses a socket, and what it gave to be encrypted last could not be read. OpenSSL has read it since; if this
 * is the send inside the same call, which has not returned, it is there as it was. Else nobody knows what is there now. Returns the
 * slot that has the bytes to be read, or NO_SLOT.
 */
__weak __noinline int record_late(__u32 dir)
{
	struct thread *t = thread_own();
	__u64 back = 0, sock;
	struct conn_key key;
	struct conn *c;

	if (!t || !t->late)
		return NO_SLOT;
	t->late = 0;
	if (record_left(t))
		return NO_SLOT;
	if (dir != OUT || t->sp - task_user_sp() > SEND_DEPTH_MAX ||
	    bpf_probe_read_user(&back, sizeof(back), (void *)t->sp) || back != t->size_out) {
		call_missed(t);
		drop(TT_DROP_user_fault);
		return NO_SLOT;
	}
	call_key(t, &key);
	c = record_conn(&key, bpf_map_lookup_elem(&conns, &key), t, &sock);
	return c ? record_slot(&key, c, t) : NO_SLOT;
}

#endif
