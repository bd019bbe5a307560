/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Coverage: what each process's TLS sockets carried, and how much of it went through probed calls.
 *
 * A socket is entered when a connection on it is recognised as TLS (readers/cover.h), a process with
 * its first such socket or its first probed call. Both are counted as the bytes move, so that nothing
 * has to be told when a socket or a process ends; the monitor reads the rows of processes each second.
 */
#ifndef TT_COVER_BPF_H
#define TT_COVER_BPF_H

#include "conn.bpf.h"
#include "filter.bpf.h"
#include "readers/cover.h"

/* A socket that speaks TLS, or may do so. Counts are those of its owner: the process that used it
 * last. One that takes it over begins with nothing. */
struct cover_sock {
	struct tt_cover_key owner;
	struct cover_flow flow[2];
	struct cover_look look[2];
	__u64 inode;		/* of a UNIX socket, whose end is not announced; else 0 */
	struct tt_tuple tuple;	/* since it is TLS */
	__u32 next[2];		/* TCP's sequence number behind what was counted */
	__u8 known[2];		/* next[] is */
	__u8 tcp;
	__u8 tls;		/* it is TLS for sure */
	__u8 called;		/* bytes of a probed call went over it */
	__u8 linked;		/* so did records of the connection that is known to be on it (record.bpf.h) */
	__u8 got;		/* then: something was received, and waits for its record */
	__u8 alone;		/* receives in a row that none came for */
	__u32 got_next, got_len;	/* TCP's number behind it, and its length */
	__u64 given;		/* and so many bytes were given to be encrypted, and wait for their send */
	__u32 givens;		/* in so many records */
	__u32 pad2_;
};

/* By struct sock *. What had to make room is met again in the middle. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct cover_sock);
} cover_socks __weak SEC(".maps");

/* ---- processes ---- */

/* Global: verified once, not for each way to it. */
__weak __noinline int cover_enter(__u64 start_ns, __u32 tgid)
{
	struct tt_cover_key key = { .start_ns = start_ns, .tgid = tgid };
	static const struct tt_cover_row empty;
	struct tt_cover_row *row;
	struct tt_exec *exec;

	if (!foreign())
		return 0;
	bpf_map_update_elem(&cover_procs, &key, &empty, BPF_NOEXIST);
	row = bpf_map_lookup_elem(&cover_procs, &key);
	if (!row)
		return drop(TT_DROP_cover_full);
	row->cgroup = task_cgroup();
	row->uid = task_uid();
	task_comm(row->comm);
	exec = bpf_map_lookup_elem(&execs, &tgid);
	if (exec && exec->start_ns == start_ns)
		row->exec_ns = exec->exec_ns;
	return 1;
}

static __always_inline struct tt_cover_row *cover_row(const struct tt_cover_key *key)
{
	struct tt_cover_row *row = bpf_map_lookup_elem(&cover_procs, key);

	if (row || !cover_enter(key->start_ns, key->tgid))
		return row;
	return bpf_map_lookup_elem(&cover_procs, key);
}

static __always_inline int cover_same(const struct tt_cover_key *a, const struct tt_cover_key *b)
{
	return a->start_ns == b->start_ns && a->tgid == b->tgid;
}

/* ---- sockets ---- */

#define RCV_SHUTDOWN_BIT 1	/* RCV_SHUTDOWN, net/sock.h */

static __always_inline struct cover_flow *cover_flow(struct cover_sock *k, __u32 dir)
{
	return dir == OUT ? &k->flow[OUT] : &k->flow[IN];
}

/* What is covered of a direction now, in place of what was so far. */
static __always_inline void cover_fold(struct cover_flow *f, struct tt_cover_row *row, __u32 dir)
{
	__u64 now = cover_of(f);
	__s64 more = now - f->covered;

	f->covered = now;
	if (!more)
		return;
	if (dir == OUT)
		__sync_fetch_and_add(&row->covered[OUT], more);
	else
		__sync_fetch_and_add(&row->covered[IN], more);
}

static __always_inline void cover_own(struct cover_sock *k, const struct tt_cover_key *key,
				      struct tt_cover_row *row)
{
	k->owner = *key;
	k->called = 0;
	k->linked = 0;
	k->given = 0;
	k->givens = 0;
	__builtin_memset(k->flow, 0, sizeof(k->flow));
	__sync_fetch_and_add(&row->sockets, 1);
	__sync_fetch_and_add(&row->blind_sockets, 1);
}

/* ---- what was sent and received ---- */

/* How many of TCP's bytes are new: its own count has those that no event told of, and doesn't have
 * those that are only looked at. The peer's FIN has a number too, and may be taken along, also where a
 * record's header is in TCP's count only (received_known()). */
static __always_inline __u64 cover_tcp_bytes(struct cover_sock *k, struct sock *sk, __u32 now, __u64 len, __u32 dir)
{
	__u32 before, known, more;

	if (dir == OUT) {
		before = k->next[OUT];
		known = k->known[OUT];
		k->next[OUT] = now;
		k->known[OUT] = 1;
	} else {
		before = k->next[IN];
		known = k->known[IN];
		k->next[IN] = now;
		k->known[IN] = 1;
		k->got = 0;
	}
	more = now - before;
	if (!known || more >> 31)
		return len;
	if (dir == IN && (more == (__u32)len + 1 || more == (__u32)len + TLS_HEADER + 1) &&
	    (BPF_CORE_READ(sk, sk_shutdown) & RCV_SHUTDOWN_BIT))
		return more - 1;
	return more;
}

static __always_inline void cover_wire_add(struct cover_sock *k, struct tt_cover_row *row, __u64 bytes, __u32 dir)
{
	struct cover_flow *f = cover_flow(k, dir);

	f->wire += bytes;
	if (dir == OUT)
		__sync_fetch_and_add(&row->wire[OUT], bytes);
	else
		__sync_fetch_and_add(&row->wire[IN], bytes);
	cover_fold(f, row, dir);
}

/* ---- plaintext ---- */

static __always_inline int cover_plain_of(struct cover_sock *k, struct tt_cover_row *row, __u64 bytes, __u32 calls,
					  __u32 dir, const struct tt_cover_key *key)
{
	struct cover_flow *f;

	if (!k->tls || !cover_same(&k->owner, key))
		return 0;
	f = cover_flow(k, dir);
	if (!k->called) {
		k->called = 1;
		__sync_fetch_and_add(&row->blind_sockets, -1);
		k->flow[OUT].handshake = k->flow[OUT].wire;
		k->flow[IN].handshake = k->flow[IN].wire;
		f->handshake -= bytes < f->handshake ? bytes : f->handshake;
	}
	f->plain += bytes;
	f->calls += calls;
	cover_fold(f, row, dir);
	return 1;
}

static __always_inline int cover_plain_at(struct cover_sock *k, struct tt_cover_row *row, __u64 bytes, __u32 dir,
					  const struct tt_cover_key *key)
{
	return cover_plain_of(k, row, bytes, 1, dir, key);
}

/* Plaintext that went over this socket; 0 if it isn't known to speak TLS, or another's by now. */
static __noinline int cover_plain(__u64 sock, __u64 bytes, __u32 dir, const struct tt_cover_key *key)
{
	struct cover_sock *k = bpf_map_lookup_elem(&cover_socks, &sock);
	struct tt_cover_row *row = bpf_map_lookup_elem(&cover_procs, key);

	return k && row ? cover_plain_at(k, row, bytes, dir, key) : 0;
}

/* A probed call of this library has moved bytes. */
static __always_inline void cover_row_called(struct tt_cover_row *row, __u32 tls)
{
	__u32 library = 1u << (tls & 31);

	/* A bit that two threads set at once may get lost; the next call sets it. */
	if (!(row->called & library))
		row->called |= library;
	if (!row->first_call_ns)
		row->first_call_ns = bpf_ktime_get_boot_ns();
}

#define COVER_ALONE 8	/* receives without a record: another connection may be on the socket, or its row was evicted */

/*
 * Nearly all I/O is that of a record whose connection is known to be on that socket. Then a process's row is looked up once
 * for both: what is received waits for its record, a record that is written for its send. No more than one
 * receive waits: the next one is counted with it, if no record comes in between (the probes are out).
 */
static __always_inline int cover_waits(const struct cover_sock *k)
{
	return k->linked && k->tls && k->tcp && k->called && !filter_now &&
	       k->owner.tgid == bpf_get_current_pid_tgid() >> 32;
}

/* What was given to be encrypted goes out. */
static __always_inline void cover_given(struct cover_sock *k, struct tt_cover_row *row, const struct tt_cover_key *key)
{
	__u64 bytes = k->given;
	__u32 calls = k->givens;

	if (!calls)
		return;
	k->given = 0;
	k->givens = 0;
	cover_row_called(row, TT_TLS_OPENSSL);
	__sync_fetch_and_add(&row->plain[OUT], bytes);
	if (!cover_plain_of(k, row, bytes, calls, OUT, key))
		__sync_fetch_and_add(&row->loose[OUT], bytes);
}

/* What was received has its record, or will have none. */
static __always_inline void cover_taken(struct cover_sock *k, struct sock *sk, struct tt_cover_row *row)
{
	__u64 bytes;

	if (!k->got)
		return;
	k->alone = 0;
	bytes = cover_tcp_bytes(k, sk, k->got_next, k->got_len, IN);
	k->flow[IN].wire += bytes;
	__sync_fetch_and_add(&row->wire[IN], bytes);
}

#endif
