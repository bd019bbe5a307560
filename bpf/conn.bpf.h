/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Connections: thread <-> TLS object <-> socket.
 *
 * A TLS call says which object and which bytes; the socket behind it is known from the socket I/O of
 * the same thread, by three rules:
 *   nested    the socket I/O happened inside the TLS call, all of it on one stream socket, and the
 *             sizes fit (a TLS record is longer than what it carries)
 *   adjacent  a TLS write without socket I/O inside is followed by a send of the same thread with
 *             exactly the size of its records, which no other write that waits has (unsent.bpf.h); or
 *             a send and a receive that merely fit agree on one socket, and nothing else can be meant
 *   sealed    a record that is handed out ends in the same bytes as the last receive (sealed.bpf.h)
 * What no rule settles stays unknown: the address is then absent.
 */
#ifndef TT_CONN_BPF_H
#define TT_CONN_BPF_H

#include "http.bpf.h"

#define TLS_RECORD 16384	/* plaintext of one TLS record at most (RFC 8446, 5.1) */
#define TLS_OVERHEAD_MIN 17	/* 5 header, 12 or more of tag and padding */
#define TLS_OVERHEAD_MAX 1024	/* a Finished or session tickets may ride in front */
enum { TCP_SYN_SENT_STATE = 2, TCP_SYN_RECV_STATE = 3, TCP_CLOSE_STATE = 7 };	/* net/tcp_states.h */

static __always_inline int tuple_same(const struct tt_tuple *a, const struct tt_tuple *b)
{
	const __u64 *x = (const __u64 *)a, *y = (const __u64 *)b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2] && x[3] == y[3] && x[4] == y[4];
}

/* ---- rows ---- */

/* Enters a connection. Its first value is built in the claimed slot: too large for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct conn);
} conn_empty __weak SEC(".maps");

#define CONN_LOOKS 64

/* Another CPU may have entered it just now, for the other direction: both ends of HTTP/2 begin at once. Whether
 * it has. Global: verified once. */
__weak __noinline int conn_entered(__u64 object, __u32 tgid, __u32 tls)
{
	struct conn_key key = { .object = object, .tgid = tgid, .tls = tls };
	struct conn *c = bpf_map_lookup_elem(&conns, &key);

#pragma nounroll
	for (int i = 0; c && i < CONN_LOOKS; i++) {
		if (*(volatile __u64 *)&c->id)
			return 1;
	}
	return 0;
}

static __always_inline struct conn *conn_new(const struct conn_key *key)
{
	struct conn *c, *empty;
	__u32 zero = 0;
	int entered;

	empty = bpf_map_lookup_elem(&conn_empty, &zero);
	if (!empty)
		goto full;
	entered = bpf_map_update_elem(&conns, key, empty, BPF_NOEXIST) == 0;
	if (!entered && !conn_entered(key->object, key->tgid, key->tls))
		goto full;
	c = bpf_map_lookup_elem(&conns, key);
	if (!c)
		goto full;
	if (!entered)
		return c;
	c->tls = key->tls;
	c->id = tt_name_mix(tt_name_mix(bpf_ktime_get_boot_ns(), key->object), key->tgid);
	return c;
full:
	drop(TT_DROP_conn_table_full);
	return 0;
}

#define STREAMS_ENDED 64	/* streams that are looked at when their connection ends: its last ones */

/* Repeats that wait for a response that will not come: of HTTP/2, in the row: how many requests wait there. */
static __always_inline __u32 conn_end_held(struct conn *c)
{
	__u32 open = 0;

#pragma nounroll
	for (__u32 i = 0; i < STREAMS_HELD; i++) {
		__u64 at = i;
		struct stream *row;

		H1_MASK(at, STREAMS_HELD - 1);
		row = &c->stream[at];
		if (!row->seq)
			continue;
		if (row->row.row)
			fold_answer(row->row.row, row->row.gen, 0, 0);
		open++;
	}
	return open;
}

/* Whether a response was waited for. Global, as its like: verified once, not for each step of their loops. */
__weak __noinline int conn_end_stream(__u64 conn, __u32 stream)
{
	struct stream_key key = { .conn = conn, .stream = stream };
	struct stream *row = bpf_map_lookup_elem(&streams, &key);

	if (!row || (row->flags & STREAM_EARLY))
		return 0;
	if (row->row.row)
		fold_answer(row->row.row, row->row.gen, 0, 0);
	bpf_map_delete_elem(&streams, &key);
	return 1;
}

/* and beside it, */
__weak __noinline int conn_end_streams(__u64 conn, __u32 last, __u32 open)
{
#pragma nounroll
	for (__u32 i = 0; i < STREAMS_ENDED && open; i++, last -= 2)
		open -= conn_end_stream(conn, last);
	return 0;
}

/* and those of HTTP/1. There may have been a response that nobody asked for. */
static __always_inline void conn_end_rows(const struct conn *c)
{
#pragma nounroll
	for (__u32 i = 0; i < ROWS_PENDING; i++) {
		__u64 seq = c->answered + i, at = seq & (PIPELINE_MAX - 1), row = seq & (ROWS_PENDING - 1);

		if ((__s32)(c->sent - (__u32)seq) <= 0)
			break;
		if (c->pending[at] & PENDING_ROW)
			fold_answer(c->row[row].row, c->row[row].gen, 0, 0);
	}
}

/* What is parked of heads that began like the last ones. */
static __always_inline void conn_end_begun(struct conn *c)
{
	struct partial_key key = { .conn = c->id };

	again_unpark(&c->again[OUT], &key);
	key.dir = IN;
	again_unpark(&c->again[IN], &key);
}

__weak __noinline int conn_end_of(__u64 object, __u32 tgid, __u32 tls)
{
	struct conn_key key = { .object = object, .tgid = tgid, .tls = tls };
	struct conn *c = bpf_map_lookup_elem(&conns, &key);
	__u32 open;

	if (!c)
		return 0;
	open = c->sent - c->answered;
	if (open || c->unpaired)
		emit_close(c, c->sent);
	if (!(c->asking & CONN_HOLDS))
		conn_end_begun(c);
	else if (open)
		open -= conn_end_held(c);
	if (c->asking & CONN_SPILLED)
		conn_end_streams(c->id, c->last_stream, open);
	else if (!c->last_stream)
		conn_end_rows(c);
	bpf_map_delete_elem(&conns, &key);
	return 0;
}

/* Ends a connection: whoever waits for a status need not wait longer. */
static __always_inline void conn_end(const struct conn_key *key)
{
	conn_end_of(key->object, key->tgid, key->tls);
}

/* The object or socket now stands for another connection. */
static __always_inline struct conn *conn_again(const struct conn_key *key)
{
	conn_end(key);
	return conn_new(key);
}

/* ---- threads ---- */

static __always_inline struct thread *thread_get(const struct caller *who)
{
	struct thread *t = bpf_map_lookup_elem(&threads, who);
	static const struct thread empty;

	if (t)
		return t;
	bpf_map_update_elem(&threads, who, &empty, BPF_NOEXIST);
	return bpf_map_lookup_elem(&threads, who);
}

/* The row of the thread that is here: also that of its calls, but in Go. */
static __always_inline struct thread *thread_own(void)
{
	struct caller who = { .id = bpf_get_current_pid_tgid() };

	return thread_get(&who);
}

/* ---- TLS object <-> socket ---- */

struct object_sock {
	__u64 sock;
	struct tt_tuple tuple;
};

/* Objects that have no connection yet, and the socket that their records are known to be on: of NSS from any call, so that
 * a PRFileDesc in it is TLS (nspr.bpf.h), of OpenSSL from the handshake (record.bpf.h). A row ends with its object or its socket. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct conn_key);
	__type(value, struct object_sock);
} object_socks __weak SEC(".maps");

/* Who finds the socket on another CPU finds its addresses, too. */
static __always_inline void conn_on(struct conn *c, __u64 sock, const struct tt_tuple *tuple)
{
	c->tuple = *tuple;
	asm volatile("" ::: "memory");
	c->sock = sock;
}

/* The connection's socket is now known for sure. A different one than before means that the object
 * is used for a new connection. Two calls that return at once may both tell it: it is looked at once. */
static __always_inline struct conn *conn_link(const struct conn_key *key, struct conn *c, __u64 sock,
					      const struct tt_tuple *tuple)
{
	const __u64 known = *(volatile __u64 *)&c->sock;

	asm volatile("" ::: "memory");
	if (known == sock && tuple_same(&c->tuple, tuple))
		return c;
	if (known) {
		c = conn_again(key);
		if (!c)
			return 0;
	}
	conn_on(c, sock, tuple);
	bpf_map_update_elem(&links, &sock, key, BPF_ANY);
	return c;
}

static __always_inline int conn_key_same(const struct conn_key *a, const struct conn_key *b)
{
	return a->object == b->object && a->tgid == b->tgid && a->tls == b->tls;
}

/* Whether it is known for sure which TLS connection a socket has. */
static __noinline int sock_is_taken(__u64 sock)
{
	struct conn_key *key = bpf_map_lookup_elem(&links, &sock);
	struct conn *c = key ? bpf_map_lookup_elem(&conns, key) : 0;

	return c && c->sock == sock;
}

/* A socket that fits: a sign of each direction that agree prove it. */
static __noinline void conn_candidate(const struct conn_key *key, __u64 sock,
				      const struct tt_tuple *tuple, __u32 dir)
{
	struct conn *c = bpf_map_lookup_elem(&conns, key);

	if (!c || c->sock || sock_is_taken(sock))
		return;
	if (c->candidate != sock)
		c->signs = 0;
	c->candidate = sock;
	c->signs |= dir == OUT ? 1 : 2;
	if (c->signs == 3)
		conn_link(key, c, sock, tuple);
}

/* Bytes on the wire for a write of n bytes in TLS 1.3, and in TLS 1.2 with AES-GCM or ChaCha20. */
static __always_inline int wire_exact(__u64 n, __u64 sent)
{
	__u64 records = (n + TLS_RECORD - 1) / TLS_RECORD;

	return sent == n + 22 * records || sent == n + 29 * records || sent == n + 21 * records;
}

static __always_inline int wire_fits(__u64 n, __u64 sent)
{
	return sent >= n + TLS_OVERHEAD_MIN && sent <= n + n / 16 + TLS_OVERHEAD_MAX;
}

#endif
