/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The tables that more than one program family uses. All are weak: each object brings them, the
 * linker keeps one.
 */
#ifndef TT_MAPS_BPF_H
#define TT_MAPS_BPF_H

#include "kernel.bpf.h"
#include "readers/http2.h"
#include "readers/mint_work.h"
#include "readers/nh.h"

#define PIPELINE_MAX 64		/* requests outstanding on a connection; power of two */

/* Which connection: the TLS object of a process, or a plain socket. */
struct conn_key {
	__u64 object;		/* SSL * or the like, or struct sock * */
	__u32 tgid;		/* 0 for a socket */
	__u32 tls;		/* enum tt_tls */
};

enum { OUT, IN };		/* index of conn.dir: bytes written, bytes read by this process */

/* conn.pending[] */
#define PENDING_CRED 1		/* a use was reported: its status is wanted */
#define PENDING_HEAD 2
#define PENDING_CONNECT 4
#define PENDING_MINT 8		/* a request for a token: `mintings` */
#define PENDING_ROW 16		/* with PENDING_CRED: the use was added to a row, conn.row[] */

#define ROWS_PENDING 4		/* requests outstanding on an HTTP/1 connection that rows are kept for; power of two */

/* A row of `use_rows` and its generation then. */
struct row_ref {
	__u32 row;		/* its number plus 1; 0 = none */
	__u32 gen;
};

/* A keyed hash of a few words. */
struct lanes {
	__u64 lane[2];
};

static __always_inline void lanes_mix(struct lanes *h, __u64 word)
{
	h->lane[0] = tt_name_mix(h->lane[0], word);
	h->lane[1] = (h->lane[1] ^ word ^ h->lane[0] >> 29) * 0x9e3779b97f4a7c15ULL;
	h->lane[1] ^= h->lane[1] >> 31;
}

static __always_inline int lanes_same(const struct lanes *a, const struct lanes *b)
{
	return a->lane[0] == b->lane[0] && a->lane[1] == b->lane[1];
}

/* again.bpf.h: the last head of a direction of HTTP/1, and what it came to. */
struct again {
	__u64 hash[2];
	struct lanes who;	/* of a use: what makes it distinct and is not in the head */
	__u64 token;		/* conn.token */
	__u64 length;		/* struct h1_head's members of the same names */
	struct row_ref row;	/* where the use was counted; none: there was no credential */
	__u32 len;		/* bytes; 0 = nothing is known */
	__u16 status;
	__u8 flags;
	__u8 whole;		/* 0: only len is known */
	__u64 check;		/* of what is before it: rows of connections may be read while they are given to another */
	__u64 misses;		/* heads in a row that were others */
	__u32 begun;		/* bytes of the call that it began in, if all behind them came in the next; then len is of that */
	__u32 begun_kept;	/* `begins` and `partials` have what those came to */
};

/* A request with a credential that waits for its response, or a response that overtook its request. */
struct stream {
	__u32 seq;		/* in conn.stream[]: its tag (stream.bpf.h); 0 = free */
	__u16 status;		/* of a response that is not complete; 0 = none yet */
	__u8 grpc;		/* grpc-status + 1 */
	__u8 flags;		/* STREAM_* */
	__u64 token;		/* said_token() */
	struct row_ref row;	/* of a use that was added to one */
};

#define STREAM_GRPC 1		/* the status is in the trailers */
#define STREAM_EARLY 2		/* the response came first */
#define STREAM_DONE 4		/* and is complete */

#define STREAMS_HELD 8		/* of a connection, in its row; power of two */

/* conn.asking */
#define CONN_HOLDS 1		/* HTTP/2 from the first request on: conn.stream[] is in use */
#define CONN_SPILLED 2		/* `streams` has had requests of it */
#define CONN_PIPES 4		/* HTTP/1: a request came before the last one's response */
/* conn.answering */
#define CONN_EARLY 1		/* responses have overtaken their requests: `streams` has both */
#define CONN_OPEN 2		/* there were responses whose status is not settled by their head */

/* A member is written by one direction only, since two threads may write and read at once: sent
 * and pending[] by the requests, answered by the responses. */
struct conn {
	__u64 id;
	__u64 sock;		/* struct sock *, never followed; 0 = not known */
	__u64 candidate;	/* socket that fits, not proven yet */
	__u64 late_ns;		/* when this row began with a response */
	__u64 epoch;		/* rustls: of what encrypts its records; 0 = not known yet */
	__u64 token;		/* HTTP/1: said_token() of the last request that had a credential */
	struct http1 dir[2];
	struct tt_tuple tuple;
	__u32 sent, answered;	/* requests and final responses so far */
	__u16 early_status;	/* of a response that overtook its request */
	__u8 unpaired;		/* statuses can't be told apart any more */
	__u8 tls;
	__u32 held;		/* bytes that a failed write left in the library, read already */
	__u32 last_stream;	/* HTTP/2: of the requests so far */
	__u8 tcp_known[2];	/* tcp_next is */
	__u8 open[2];		/* Go: calls that were begun and not seen to end */
	__u8 signs;		/* for candidate: 1 sent, 2 received */
	__u8 minting;		/* HTTP/2: there was a request for a token */
	__u8 asking;		/* written by the requests: HTTP/2's CONN_HOLDS, CONN_SPILLED, HTTP/1's CONN_PIPES */
	__u8 answering;		/* and by the responses: CONN_EARLY, CONN_OPEN */
	__u32 tcp_next[2];	/* TCP's sequence number of the next byte of a plain socket */
	__u32 limit[2];		/* SETTINGS_HEADER_TABLE_SIZE for this direction's table, plus 1; 0 = default */
	__u32 offer[2];		/* the same, not acknowledged yet */
	__u8 pending[PIPELINE_MAX];
	union {
		struct {	/* HTTP/1 */
			struct row_ref row[ROWS_PENDING];
			struct again again[2];
		};
		struct stream stream[STREAMS_HELD];	/* CONN_HOLDS */
	};
	struct h2 h2[2];	/* of a direction that speaks HTTP/2, or did */
};
_Static_assert(sizeof(struct stream) * STREAMS_HELD <= sizeof(struct row_ref) * ROWS_PENDING + 2 * sizeof(struct again),
	       "streams make no row larger");

static __always_inline struct http1 *conn_dir(struct conn *c, __u32 dir)
{
	return dir == OUT ? &c->dir[OUT] : &c->dir[IN];
}

static __always_inline struct again *conn_again_of(struct conn *c, __u32 dir)
{
	return dir == OUT ? &c->again[OUT] : &c->again[IN];
}

static __always_inline struct h2 *conn_h2_of(struct conn *c, __u32 dir)
{
	return dir == OUT ? &c->h2[OUT] : &c->h2[IN];
}

static __always_inline struct http1 *conn_other_dir(struct conn *c, __u32 dir)
{
	return dir == OUT ? &c->dir[IN] : &c->dir[OUT];
}

struct stream_key {
	__u64 conn;
	__u64 stream;
};

struct hpack_key {
	__u64 conn;
	__u32 seq;
	__u16 dir;
	__u16 part;
};

struct hpack_text {
	__u8 text[TT_PATH_LEN];
};

/* Who makes calls: a thread, or a goroutine, which may go on in any thread of its process. */
struct caller {
	__u64 id;		/* pid_tgid; of a goroutine the tgid only, which is no thread's */
	__u64 g;		/* struct g *, never followed in a lookup; 0 = a thread */
};

/* What a call returns: <tokentrail/hooks.def>. */
enum {
	RESULT_INT, RESULT_LONG, RESULT_COUNT, RESULT_COUNT5, RESULT_NONE, RESULT_OBJECT, RESULT_FLAGS,
	RESULT_VECTOR,
};

/* A read that called back into its program, which writes on the same object (Node's fetch does when the
 * handshake is done). */
struct outer_read {
	__u64 object, buf, size_out, sp, ip;	/* sp 0 = none */
	__u32 num;
	__u8 result, tls;
	__u8 pad_[2];
};

/* A thread or goroutine that has called a TLS library. */
struct thread {
	/* the call it is in; sp identifies it */
	__u64 object, buf, size_out, sp, ip;
	__u64 sock;		/* nested socket I/O went here */
	__u64 sent, received;	/* nested bytes */
	struct tt_tuple tuple;	/* of sock */
	__u32 num;
	__u8 in_call;
	__u8 mixed;		/* nested I/O on more than one socket */
	__u8 dir;
	__u8 result;		/* RESULT_* */
	__u8 tls;		/* enum tt_tls */
	__u8 on_stack;		/* Go: buf is on the stack whose end was at size_out */
	__u8 taken;		/* Go: the bytes were read when the call began */
	__u8 unproved;		/* NSPR: not known to be TLS */
	__u8 record;		/* NSPR: the nested bytes began with a TLS record */
	__u8 filter;		/* Go: filter_number() when the call began */
	__u8 late;		/* OpenSSL's record: what was written can't be read before its send; size_out: what do_ssl3_write() returns to */
	__u8 pad_;
	__u32 ignored;		/* calls inside this one */
	__u32 first;		/* Go: the first request that was taken from it */
	/* for TLS over memory buffers: the send that follows a write, the receive before a read */
	struct conn_key wrote;
	__u64 received_sock;
	__u64 received_at;	/* to one buffer: its address; else 0 */
	__u64 received_seal;	/* what it ended in: sealed.bpf.h; 0 = not known */
	struct tt_tuple received_tuple;
	__u32 wrote_bytes;	/* 0 = nothing awaits a send */
	__u32 received_bytes;
	__u32 fed_bytes;	/* received just before the call that it is in */
	__u8 unread;		/* received_bytes, no TLS call has had the chance to read them */
	__u8 unsent;		/* writes wait for their sends: unsent.bpf.h */
	__u8 records;		/* it is told of records, not of calls */
	__u8 recorded;		/* so it was of the last call */
	struct outer_read outer;
	__u64 mixed_ns;		/* when it had received from several sockets before reading */
	/* coverage: the object called last, the socket its bytes went over, what awaits a send */
	__u64 cover_object, cover_sock, cover_wrote;
	/* what the call moved on its socket is counted when it ends; 0 = nothing waits for that */
	__u64 wire_sock;
	__u64 wire[2];
	__u32 wire_next[2];	/* as in struct cover_sock */
	/* rustls: what is left of the bytes offered last (tls_rustls.bpf.c) */
	__u64 offered;		/* to this object; 0 = none are */
	__u64 offer[4], offer_sp;
	__u32 offer_slice;	/* up to 0.22: records have one slice */
	__u32 pad3_;
};

struct partial_key {
	__u64 conn;
	__u64 dir;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 22);
} rb_data __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TT_DROP_MAX);
	__type(key, __u32);
	__type(value, __u64);
} drops __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct conn_key);
	__type(value, struct conn);
} conns __weak SEC(".maps");

/* Socket -> TLS connection on it, to end the connection with its socket. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, __u64);
	__type(value, struct conn_key);
} links __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct caller);
	__type(value, struct thread);
} threads __weak SEC(".maps");

volatile __u8 threads_go __weak = 0;	/* it has had rows of goroutines */

/* Heads that are split over calls, masked. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct partial_key);
	__type(value, struct h1_head);
} partials __weak SEC(".maps");

/* Header blocks that are split over calls, masked; what they share with HTTP/1 is in `partials`. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct partial_key);
	__type(value, struct h2_block);
} blocks __weak SEC(".maps");

/* Entries of all dynamic tables: memory is used by the entry, not by the connection. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct hpack_key);
	__type(value, struct hpack_entry);
} entries __weak SEC(".maps");

/* Methods, redacted paths, hosts and MCP fields in them. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct hpack_key);
	__type(value, struct hpack_text);
} texts __weak SEC(".maps");

/* Huffman-coded credentials that were decoded before. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct hpack_memo);
	__type(value, struct hpack_entry);
} memos __weak SEC(".maps");

/* Fingerprints of JWTs whose claims the agent has, and of what only looked like one. */
struct told_key {
	__u64 token[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct told_key);
	__type(value, __u8);
} told __weak SEC(".maps");

/* Those that a connection's row has no room for: stream.bpf.h */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct stream_key);
	__type(value, struct stream);
} streams __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct tt_name_key);
	__type(value, struct tt_name_val);
} names __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, TT_CLASSES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tt_class_key);
	__type(value, struct tt_class_val);
} classes __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TT_CLASSES_MAX);
	__type(key, __u32);
	__type(value, struct tt_class_row);
} class_rows __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TT_PATH_RULES_MAX);
	__type(key, __u32);
	__type(value, struct tt_path_rule);
} path_rules __weak SEC(".maps");

/* Uses that come again: fold.bpf.h. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 64);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct tt_row);
} use_rows __weak SEC(".maps");

/* The agent's, for it and the one after it; one more than rows. No program reads it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 64);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct tt_row_mark);
} row_marks __weak SEC(".maps");

#endif
