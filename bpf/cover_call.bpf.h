/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Coverage on the side of probed calls: which socket their plaintext went over. */
#ifndef TT_COVER_CALL_BPF_H
#define TT_COVER_CALL_BPF_H

#include "cover.bpf.h"

int cover_sealed(__u64 sock, __u64 len);

/* What a call moved on its socket. */
static __always_inline void cover_wired(struct thread *t, struct cover_sock *k, const struct tt_cover_key *key,
					struct tt_cover_row *row)
{
	struct sock *sk = (void *)t->wire_sock;

	if (!cover_same(&k->owner, key))
		cover_own(k, key, row);
	if (t->wire[OUT])
		cover_wire_add(k, row, cover_tcp_bytes(k, sk, t->wire_next[OUT], t->wire[OUT], OUT), OUT);
	if (t->wire[IN])
		cover_wire_add(k, row, cover_tcp_bytes(k, sk, t->wire_next[IN], t->wire[IN], IN), IN);
}

static __always_inline struct cover_sock *cover_wire_sock(const struct thread *t)
{
	__u64 sock = t->wire_sock;
	struct cover_sock *k = bpf_map_lookup_elem(&cover_socks, &sock);

	return k && k->tls && !k->inode ? k : 0;
}

static __always_inline void cover_wire_none(struct thread *t)
{
	t->wire_sock = 0;
	t->wire[OUT] = 0;
	t->wire[IN] = 0;
}

/* A call is over that moved no plaintext, or is given up. */
static __noinline void cover_ended(struct thread *t)
{
	struct cover_sock *k = cover_wire_sock(t);
	struct tt_cover_key key;
	struct tt_cover_row *row;

	if (k && cover_key(&key)) {
		row = cover_row(&key);
		if (row)
			cover_wired(t, k, &key, row);
	}
	cover_wire_none(t);
}

/* The socket of a call: the one it did its I/O on, the one its object is linked to, the one that this
 * thread's last call of the same object used, or the one whose bytes this thread received last. */
static __always_inline int cover_place(struct thread *t, __u64 linked, __u64 bytes, struct tt_cover_row *row,
				       const struct tt_cover_key *key)
{
	__u32 dir = t->dir;
	struct cover_sock *k;
	__u64 sock = t->sock;

	if (t->mixed || !(dir == OUT ? t->sent : t->received))
		sock = 0;
	if (!sock)
		sock = linked;
	if (!sock && t->cover_object == t->object)
		sock = t->cover_sock;
	k = sock ? bpf_map_lookup_elem(&cover_socks, &sock) : 0;
	if (k && cover_plain_at(k, row, bytes, dir, key)) {
		k->linked = sock == linked && t->recorded;
		t->cover_object = t->object;
		t->cover_sock = sock;
		return 1;
	}
	if (sock && sock != t->cover_sock)
		return 0;
	if (dir == OUT || !t->received_sock || bytes + TLS_OVERHEAD_MIN > t->received_bytes ||
	    !cover_plain(t->received_sock, bytes, dir, key))
		return 0;
	t->cover_object = t->object;
	t->cover_sock = t->received_sock;
	return 1;
}

/*
 * A probed call moved so many bytes. `linked`: the socket that its object is linked to, or 0. Where no
 * socket is found they are kept with the process; those of a write wait for the send that follows.
 */
static __noinline void cover_called(struct thread *t, __u64 linked, __u64 bytes)
{
	struct cover_sock *k = 0;
	struct tt_cover_key key;
	struct tt_cover_row *row;

	if (!cover_key(&key))
		return;
	row = cover_row(&key);
	if (!row)
		return;
	if (t->wire_sock) {
		k = cover_wire_sock(t);
		if (k)
			cover_wired(t, k, &key, row);
	}
	cover_row_called(row, t->tls);
	if (t->dir == OUT)
		__sync_fetch_and_add(&row->plain[OUT], bytes);
	else
		__sync_fetch_and_add(&row->plain[IN], bytes);
	if (k && !t->mixed && t->wire[t->dir & 1] && cover_plain_at(k, row, bytes, t->dir, &key)) {
		t->cover_object = t->object;
		t->cover_sock = t->wire_sock;
		cover_wire_none(t);
		return;
	}
	cover_wire_none(t);
	if (cover_place(t, linked, bytes, row, &key))
		return;
	if (t->dir == IN) {
		__sync_fetch_and_add(&row->loose[IN], bytes);
		return;
	}
	__sync_fetch_and_add(&row->loose[OUT], bytes);
	if (t->cover_object != t->object)
		t->cover_wrote = 0;
	t->cover_object = t->object;
	t->cover_sock = 0;
	t->cover_wrote += bytes;
}

/* The object is another connection's from here on. Global: verified once. */
__weak __noinline int cover_unlink(__u64 object, __u32 tgid, __u32 tls)
{
	struct conn_key key = { .object = object, .tgid = tgid, .tls = tls };
	struct conn *c = bpf_map_lookup_elem(&conns, &key);
	struct object_sock *met = c ? 0 : bpf_map_lookup_elem(&object_socks, &key);
	__u64 sock = c ? c->sock : met ? met->sock : 0;
	struct cover_sock *k = sock ? bpf_map_lookup_elem(&cover_socks, &sock) : 0;

	if (k)
		k->linked = 0;
	return 0;
}

#endif
