/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Coverage on the socket's side: recognising TLS connections and counting their bytes. */
#ifndef TT_COVER_SOCK_BPF_H
#define TT_COVER_SOCK_BPF_H

#include "cover.bpf.h"
#include "sock.bpf.h"

#define PROTOCOL_TCP 6
#define PF_IO_WORKER_BIT 0x10	/* PF_IO_WORKER, linux/sched.h */

/* ---- rows ---- */

static __always_inline __u64 cover_inode(struct sock *sk)
{
	if (BPF_CORE_READ(sk, __sk_common.skc_family) != TT_AF_UNIX)
		return 0;
	return BPF_CORE_READ(sk, sk_socket, file, f_inode, i_ino);
}

/* The socket's row as it is, or NULL. A function of its own, so that sock_io() has less on its stack (5.10). */
static __noinline struct cover_sock *cover_at(struct sock *sk)
{
	__u64 sock = (__u64)sk;

	return bpf_map_lookup_elem(&cover_socks, &sock);
}

/* The row of a socket, TLS or not yet: most have none. */
static __always_inline struct cover_sock *cover_find(struct sock *sk)
{
	__u64 sock = (__u64)sk;
	struct cover_sock *k = bpf_map_lookup_elem(&cover_socks, &sock);

	if (k && k->inode && k->inode != cover_inode(sk)) {
		bpf_map_delete_elem(&cover_socks, &sock);
		return 0;
	}
	return k;
}

/* ---- counting ---- */

/* Bytes of a socket that speaks TLS. */
static __always_inline void cover_count_by(const struct tt_cover_key *key, struct tt_cover_row *row,
					   struct cover_sock *k, struct sock *sk, __u64 len, __u32 dir)
{
	if (!cover_same(&k->owner, key))
		cover_own(k, key, row);
	if (k->tcp)
		len = cover_tcp_bytes(k, sk, sock_tcp_next(sk, dir), len, dir);
	if (dir == OUT)
		cover_given(k, row, key);
	cover_wire_add(k, row, len, dir);
}

static __noinline void cover_count(struct cover_sock *k, struct sock *sk, __u64 len, __u32 dir)
{
	struct tt_cover_key key;
	struct tt_cover_row *row;

	if (!cover_key(&key))
		return;
	row = cover_row(&key);
	if (row)
		cover_count_by(&key, row, k, sk, len, dir);
}

/* I/O on a socket that cover_waits(). Of a record's header by itself TCP's count has what follows it, too. */
static __always_inline void cover_linked(struct cover_sock *k, struct sock *sk, __u64 len, __u32 dir)
{
	if (dir == IN && len == TLS_HEADER)
		return;
	if (dir == OUT || k->got) {
		cover_count(k, sk, len, dir);
		if (dir == IN && ++k->alone >= COVER_ALONE) {
			k->alone = 0;
			k->linked = 0;	/* whose it is has to be told anew */
		}
		return;
	}
	k->got_next = sock_tcp_next(sk, IN);
	k->got_len = len;
	k->got = 1;
}

/* The socket ends: what waits is counted. */
static __noinline void cover_end(struct sock *sk)
{
	struct cover_sock *k = cover_at(sk);
	struct tt_cover_key key;
	struct tt_cover_row *row;

	if (!k || (!k->got && !k->givens))
		return;
	key = k->owner;
	row = bpf_map_lookup_elem(&cover_procs, &key);
	if (!row)
		return;
	cover_given(k, row, &key);
	cover_taken(k, sk, row);
	cover_fold(&k->flow[IN], row, IN);
}

/* More bytes of a call for whose end they wait. */
static __always_inline void cover_wait(struct thread *t, struct sock *sk, __u64 len, __u32 dir)
{
	__u32 next = sock_tcp_next(sk, dir);

	if (dir == OUT) {
		t->wire[OUT] += len;
		t->wire_next[OUT] = next;
	} else {
		t->wire[IN] += len;
		t->wire_next[IN] = next;
	}
}

/* ---- recognising ---- */

/* The socket speaks TLS from here on. */
static __noinline void cover_begin(struct cover_sock *k, struct sock *sk, __u64 len, __u32 dir, __u32 flag)
{
	struct tt_cover_key key;
	struct tt_cover_row *row;

	if (!cover_key(&key))
		return;
	row = cover_row(&key);
	if (!row)
		return;
	sock_tuple(sk, &k->tuple);
	k->tls = 1;
	row->flags |= flag;
	if (!row->first_tls_ns)
		row->first_tls_ns = bpf_ktime_get_boot_ns();
	if (flag == TT_COVER_MIDDLE && key.start_ns > conf_started_ns)
		drop(TT_DROP_cover_late);
	cover_count_by(&key, row, k, sk, len, dir);
}

static __noinline struct cover_sock *cover_new(struct sock *sk)
{
	static const struct cover_sock empty;
	__u64 sock = (__u64)sk;
	struct cover_sock *k;

	/* The end of a closed socket has been announced already: nobody would end its row. */
	if (!foreign() || BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_CLOSE_STATE)
		return 0;
	bpf_map_update_elem(&cover_socks, &sock, &empty, BPF_NOEXIST);
	k = bpf_map_lookup_elem(&cover_socks, &sock);
	if (!k)
		return 0;
	k->inode = cover_inode(sk);
	k->tcp = !k->inode && BPF_CORE_READ(sk, sk_protocol) == PROTOCOL_TCP;
	return k;
}

#define COVER_NESTED 2		/* or'ed to a direction: I/O inside a probed TLS call */

/* The first bytes of a call on a socket that is not known to speak TLS. Global, as what follows: it is
 * verified once, not for each way that leads here. */
__weak __noinline int cover_meet(__u64 sock, __u64 first, __u64 second, __u64 len, __u32 how)
{
	__u64 word[2] = { first, second };
	struct sock *sk = (void *)sock;
	__u32 dir = how & 1, ahead = 0;
	struct cover_sock *k = bpf_map_lookup_elem(&cover_socks, &sock);
	struct cover_look *look;
	int is;

	if (!k && !cover_may_begin(word[0]) && !((how & COVER_NESTED) && cover_is_record(word, len)))
		return 0;
	if (!k)
		k = cover_new(sk);
	if (!k)
		return 0;
	look = dir == OUT ? &k->look[OUT] : &k->look[IN];
	if (look->hello)
		ahead = TLS_HEADER;
	is = cover_step(look, word, len);
	if ((how & COVER_NESTED) && is != COVER_IS_HELLO && cover_is_record(word, len) &&
	    cover_byte(word, 0) != TLS_HANDSHAKE)
		is = COVER_IS_MIDDLE;
	if (is == COVER_IS_HELLO)
		cover_begin(k, sk, cover_is_hello(word, len) ? len : len + ahead, dir,
			    dir == OUT ? TT_COVER_CLIENT : TT_COVER_SERVER);
	else if (is == COVER_IS_MIDDLE)
		cover_begin(k, sk, len, dir, TT_COVER_MIDDLE);
	else if (is == COVER_IS_NOT && !k->look[OUT].hello && !k->look[IN].hello && !k->look[OUT].signs &&
		 !k->look[IN].signs)
		bpf_map_delete_elem(&cover_socks, &sock);
	return 0;
}

/* A record came out of what was received there (sealed.bpf.h): it speaks TLS. */
__weak __noinline int cover_sealed(__u64 sock, __u64 len)
{
	struct cover_sock *k = bpf_map_lookup_elem(&cover_socks, &sock);
	struct sock *sk = (void *)sock;

	if (k && k->tls)
		return 0;
	if (!k)
		k = cover_new(sk);
	if (k)
		cover_begin(k, sk, len, IN, TT_COVER_MIDDLE);
	return 0;
}

/* Marks a process that is known already as one that does its socket I/O through io_uring. */
__weak __noinline int cover_uring(__u64 inside_enter)
{
	struct tt_cover_key key;
	struct tt_cover_row *row;

	if (!inside_enter && !(task_flags() & PF_IO_WORKER_BIT))
		return 0;
	if (!cover_key(&key))
		return 0;
	row = bpf_map_lookup_elem(&cover_procs, &key);
	if (row)
		row->flags |= TT_COVER_IO_URING;
	return 0;
}

/* The first bytes of a call on its socket: may they be counted with all the others when it ends? k: of the socket, or NULL. */
static __noinline int cover_defer(struct thread *t, const struct cover_sock *k, struct sock *sk, __u64 len, __u32 dir)
{
	__u64 sock = (__u64)sk;

	if (t->wire_sock || t->mixed)
		return 0;
	if (!k || !k->tls || !k->tcp)
		return 0;
	t->sock = sock;
	t->tuple = k->tuple;
	t->wire_sock = sock;
	cover_wait(t, sk, len, dir);
	return 1;
}

/* What is known of a socket. */
enum { COVER_NO_ROW, COVER_UNSURE, COVER_TLS };

/* Counts the bytes of a socket that speaks TLS. */
__weak __noinline int cover_io(__u64 sock, __u64 len, __u32 dir, __u32 peeks)
{
	struct sock *sk = (void *)sock;
	struct cover_sock *k = cover_find(sk);

	if (!k)
		return COVER_NO_ROW;
	if (!k->tls)
		return COVER_UNSURE;
	/* TCP's count tells by itself. */
	if (!k->inode || !peeks)
		cover_count(k, sk, len, dir);
	return COVER_TLS;
}

/* ---- plaintext that waits for a send ---- */

/* The send after writes that did no I/O of their own. One of exactly their size proves TLS. */
__weak __noinline int cover_sent(__u64 sock, __u64 len)
{
	struct cover_sock *k = bpf_map_lookup_elem(&cover_socks, &sock);
	struct caller who = { .id = bpf_get_current_pid_tgid() };
	struct thread *t = bpf_map_lookup_elem(&threads, &who);
	__u64 bytes;
	struct sock *sk = (void *)sock;
	struct tt_cover_key key;
	struct tt_cover_row *row;

	if (!t)
		return 0;
	bytes = t->cover_wrote;
	t->cover_wrote = 0;
	if (!wire_fits(bytes, len) || !cover_key(&key))
		return 0;
	if ((!k || !k->tls) && wire_exact(bytes, len)) {
		k = k ? k : cover_new(sk);
		if (k)
			cover_begin(k, sk, len, OUT, TT_COVER_MIDDLE);
	}
	row = bpf_map_lookup_elem(&cover_procs, &key);
	if (!row || !cover_plain(sock, bytes, OUT, &key))
		return 0;
	__sync_fetch_and_add(&row->loose[OUT], -bytes);
	t->cover_sock = sock;
	return 0;
}

#endif
