/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * NSS: its calls are NSPR's, which serve plain files and clear sockets too, and nothing tells them
 * apart by its type. So a PRFileDesc is TLS only when the socket says so: inside a call on it that
 * moved n bytes, more than n went through one socket, and the first of them were the header of a TLS
 * record. A file has no socket I/O inside, a clear socket has exactly n. SSL_ImportFD() is not asked:
 * accepted connections don't go through it, nor did those that were open before the sensor came.
 *
 * A call on what isn't proved to be TLS hides nothing: the socket I/O inside it is looked at as any
 * other, and so is a TLS call inside it.
 */
#ifndef TT_NSPR_BPF_H
#define TT_NSPR_BPF_H

#include "conn.bpf.h"

#define PR_MSG_PEEK 2		/* prio.h */
#define NSPR_IOVS_MAX 16	/* PR_MAX_IOVECTOR_SIZE, prio.h */

struct nspr_iovec {		/* PRIOVec, prio.h */
	__u64 base;
	__s32 len, pad_;
};

/* The first bytes of a TLS record: type, version (RFC 8446, 5.1). */
static __always_inline int record_begins(__u64 addr)
{
	__u8 head[3];

	return addr && !bpf_probe_read_user(head, sizeof(head), (void *)addr) && head[0] >= 20 &&
	       head[0] <= 23 && head[1] == 3 && head[2] <= 4;
}

/* Notes what a call proves, also one that failed: much of a handshake happens in such calls. */
static __always_inline void nspr_note(const struct conn_key *key, const struct thread *t, __u64 bytes)
{
	struct object_sock now = { t->sock, t->tuple }, *before;

	if (!t->record || t->mixed)
		return;
	if (bytes ? (t->dir == OUT ? t->sent : t->received) < bytes + TLS_OVERHEAD_MIN :
		    t->dir == OUT && record_begins(t->buf))
		return;
	before = bpf_map_lookup_elem(&object_socks, key);
	if (before && before->sock == now.sock && tuple_same(&before->tuple, &now.tuple))
		return;
	bpf_map_update_elem(&object_socks, key, &now, BPF_ANY);
	bpf_map_update_elem(&links, &now.sock, key, BPF_ANY);	/* sock_state() ends it */
}

/* The row of a TLS connection that begins with this call; if the call used a socket, then that one. It
 * need not: its bytes may have been received in a call before, as when they were peeked at. */
static __always_inline struct conn *nspr_conn(const struct conn_key *key, const struct thread *t)
{
	struct object_sock *known = bpf_map_lookup_elem(&object_socks, key);
	struct conn *c;

	if (!known || t->mixed || (t->sock && t->sock != known->sock))
		return 0;
	c = conn_new(key);
	if (!c)
		return 0;
	conn_on(c, known->sock, &known->tuple);
	return c;
}

/* Are these the first bytes of a message? PR_Writev() has them in several buffers. */
static __noinline __attribute__((unused)) int nspr_may_begin(const struct thread *t, __u64 bytes)
{
	struct nspr_iovec v = {};

	if (t->result != RESULT_VECTOR)
		return http_may_begin(t->buf, bytes);
	for (int i = 0; i < 4 && i < t->num; i++) {
		if (bpf_probe_read_user(&v, sizeof(v), (void *)(t->buf + i * sizeof(v))))
			return 0;
		if (v.len > 0)
			return http_may_begin(v.base, v.len < bytes ? v.len : bytes);
	}
	return 0;
}

/* The next piece of so many bytes that are left, of which it takes some; whether it could be read. Global: verified
 * once, not for each of them. */
__weak __noinline int nspr_piece(__u32 slot, __u64 buf, __u64 left)
{
	struct scratch *s = scratch_get(slot);
	struct nspr_iovec v;
	__u64 n;

	if (!s)
		return 0;
	n = s->pieces;
	if (bpf_probe_read_user(&v, sizeof(v), (void *)(buf + n * sizeof(v))) || v.len < 0)
		return 0;
	H1_MASK(n, PIECES_MAX - 1);
	s->piece[n].addr = v.base;
	s->piece[n].len = v.len < left ? v.len : left;
	s->pieces++;
	return 1;
}

/* The pieces of PR_Writev(), which takes no more than these. */
static __noinline __attribute__((unused)) void
nspr_pieces(const struct thread *t, struct scratch *s, __u32 slot)
{
	__u64 left = s->piece[0].len, n;

	s->pieces = 0;
	for (int i = 0; i < NSPR_IOVS_MAX && left && i < t->num; i++) {
		if (!nspr_piece(slot, t->buf, left))
			break;
		left -= s->piece[i].len;
	}
	if (!left)
		return;
	drop(TT_DROP_user_fault);
	n = s->pieces;
	H1_MASK(n, PIECES_MAX - 1);
	s->piece[n].addr = 0;
	s->piece[n].len = left;
	s->pieces++;
}

#endif
