/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sockets: which one a TLS call used, and the plaintext of those without TLS.
 *
 * Where the kernel has the raw tracepoints sock_send_length and sock_recv_length (since 6.3, kernel
 * commit 6e6eda44b939), they alone serve: they hand over the struct sock after successful socket I/O
 * of any kind, and never run for files and pipes; the program's buffer is found through the registers
 * it entered the kernel with. Elsewhere the exit of every system call is looked at and the socket
 * found through the table of open files.
 *
 * Connections are known by their struct sock: duplicated, inherited and passed descriptors are the
 * same connection without further ado, and its end is a state change of the socket.
 */
#include "cover_sock.bpf.h"
#include "nspr.bpf.h"
#include "reader.bpf.h"
#include "sealed.bpf.h"
#include "unsent.bpf.h"

#define MMSGHDR_SIZE 64		/* struct mmsghdr: msghdr and a 4-byte length, padded */
#define MESSAGES_MAX 4		/* messages of one sendmmsg call that are followed */
#define USER_CS 0x33		/* x86's __USER_CS: 64-bit code; 32-bit callers have other numbers */
#define PSTATE_MODE 0x1f	/* PSR_MODE_MASK, arm64's asm/ptrace.h; 0 = 64-bit user */
#define PSTATE_32BIT 0x10	/* PSR_MODE32_BIT */
#define MSG_PEEK_FLAG 2		/* MSG_PEEK, linux/socket.h */
#define NR_MESSAGES (1 << 16)	/* no number of a call: sendmmsg, its a2 messages looked at together */
#define S_IFMT_MASK 0170000
#define S_IFSOCK_TYPE 0140000

/* The registers of a system call that matter here. */
struct call_regs {
	__u64 nr, a0, a1, a2, a3;
	__u64 cs;		/* USER_CS; another value for a 32-bit caller, 0 for a thread of the kernel */
	__u64 g;		/* of a goroutine; else anything */
};

struct user_iovec {
	__u64 base, len;
};

/* struct user_msghdr, include/linux/socket.h */
struct user_msghdr {
	__u64 name;
	__u32 namelen, pad_;
	struct user_iovec *iov;
	__u64 iovlen;
	__u64 control, controllen;
	__u32 flags, pad2_;
};

/* Where a thread is in a sendmmsg call: the tracepoint does not say which message was sent. */
struct mmsg {
	__u64 vector;
	__u64 next;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct mmsg);
} mmsgs SEC(".maps");

/* READ(to, from) for each of these in a struct pt_regs; cs as it is there. */
#if defined(__TARGET_ARCH_x86)
#define REGS_READ(to, regs, READ)                                                                  \
	do {                                                                                       \
		READ((to)->nr, (regs)->orig_ax);                                                   \
		READ((to)->a0, (regs)->di);                                                        \
		READ((to)->a1, (regs)->si);                                                        \
		READ((to)->a2, (regs)->dx);                                                        \
		READ((to)->a3, (regs)->r10);                                                       \
		READ((to)->cs, (regs)->cs);                                                        \
		READ((to)->g, (regs)->GO_G);                                                       \
	} while (0)
#define REGS_CS(cs) (cs)
#elif defined(__TARGET_ARCH_arm64)
#define REGS_READ(to, regs, READ)                                                                  \
	do {                                                                                       \
		READ((to)->nr, (regs)->syscallno);                                                 \
		READ((to)->a0, (regs)->orig_x0);                                                   \
		READ((to)->a1, (regs)->user.regs[1]);                                              \
		READ((to)->a2, (regs)->user.regs[2]);                                              \
		READ((to)->a3, (regs)->user.regs[3]);                                              \
		READ((to)->cs, (regs)->user.pstate);                                               \
		READ((to)->g, (regs)->GO_G);                                                       \
	} while (0)
#define REGS_CS(cs) (!((cs) & PSTATE_MODE) ? USER_CS : (cs) & PSTATE_32BIT ? 1 : 0)
#endif

#define REG_TAKE(to, from) ((to) = (from))
#define REG_COPY(to, from)                                                                         \
	do {                                                                                       \
		if (sizeof(from) < sizeof(to))                                                     \
			(to) = 0;                                                                  \
		bpf_probe_read_kernel(&(to), sizeof(from), &(from));                               \
	} while (0)

/* Of a pointer that the verifier knows: wherever there are sock_send and sock_recv. */
static __always_inline void regs_take(struct call_regs *to, const struct pt_regs *regs)
{
	REGS_READ(to, regs, REG_TAKE);
	to->cs = REGS_CS(to->cs);
}

static __always_inline void regs_copy(struct call_regs *to, const struct pt_regs *regs)
{
	REGS_READ(to, regs, REG_COPY);
	to->cs = REGS_CS(to->cs);
}

/* ---- the buffers of a call ---- */

struct buffers {
	__u64 addr, len;	/* one buffer, or */
	struct user_iovec *iov;	/* several, or */
	__u64 iovs;
	__u64 vector, messages;	/* those of several messages, of which iov are the first one's */
};

static __always_inline int buffers_msghdr(__u64 addr, struct buffers *b)
{
	struct user_msghdr m;

	if (bpf_probe_read_user(&m, sizeof(m), (void *)addr)) {
		drop(TT_DROP_user_fault);
		return 1;	/* not reachable */
	}
	b->iov = m.iov;
	b->iovs = m.iovlen;
	return 1;
}

/* So many bytes are in these buffers. Global: verified once, not for each way to go on. */
__weak __noinline __u64 iovs_bytes(__u64 iov, __u64 iovs)
{
	struct user_iovec v;
	__u64 total = 0;

	for (int i = 0; i < IOVS_MAX; i++) {
		if (i >= iovs || bpf_probe_read_user(&v, sizeof(v), (struct user_iovec *)iov + i))
			break;
		total += v.len;
	}
	return total;
}

/* The message of a sendmmsg call: counted along, and believed only if its size is what was sent. */
static __always_inline int buffers_mmsg(__u64 vector, __u64 messages, __u64 sent, struct buffers *b)
{
	__u64 id = bpf_get_current_pid_tgid(), index;
	struct mmsg *m = bpf_map_lookup_elem(&mmsgs, &id), first = { .vector = vector, .next = 1 };

	index = m && m->vector == vector && m->next < messages ? m->next : 0;
	first.next = index + 1;
	bpf_map_update_elem(&mmsgs, &id, &first, BPF_ANY);
	buffers_msghdr(vector + index * MMSGHDR_SIZE, b);
	if (iovs_bytes((__u64)b->iov, b->iovs) != sent) {
		drop(TT_DROP_sendmmsg_unsure);
		b->iov = 0;
	}
	return 1;
}

/* The bytes stay where they are, and come again. */
static __always_inline int call_peeks(const struct call_regs *r)
{
	if (r->nr == NR_RECVFROM || r->nr == NR_RECVMMSG)
		return r->a3 & MSG_PEEK_FLAG;
	return r->nr == NR_RECVMSG && (r->a2 & MSG_PEEK_FLAG);
}

/* 1: b is filled; 0: nothing to read. */
static __noinline int buffers_find(const struct call_regs *r, __u64 len, struct buffers *b)
{
	b->addr = 0;
	b->len = len;
	b->iov = 0;
	b->iovs = 0;
	b->messages = 0;
	if (r->cs != USER_CS)
		return 1;	/* not reachable */
	if (r->nr == NR_WRITE || r->nr == NR_SENDTO || r->nr == NR_READ || r->nr == NR_RECVFROM) {
		b->addr = r->a1;
		return !call_peeks(r);
	}
	if (r->nr == NR_WRITEV || r->nr == NR_READV) {
		b->iov = (void *)r->a1;
		b->iovs = r->a2;
		return 1;
	}
	if (r->nr == NR_SENDMSG || r->nr == NR_RECVMSG) {
		if (call_peeks(r))
			return 0;
		return buffers_msghdr(r->a1, b);
	}
	if (r->nr == NR_MESSAGES) {
		b->vector = r->a1;
		b->messages = r->a2;
		return buffers_msghdr(r->a1, b);
	}
	if (r->nr == NR_SENDMMSG)
		return buffers_mmsg(r->a1, r->a2, len, b);
	return 1;		/* sendfile, splice, io_uring */
}

/* The first 16 bytes of a call, wherever they lie: how many can be read, up to that. */
static __noinline int buffers_first(const struct buffers *b, __u64 word[2])
{
	__u64 addr = b->addr, n = b->len;
	struct user_iovec v;

	word[0] = 0;
	word[1] = 0;
	for (int i = 0; i < 4 && !addr && b->iov; i++) {
		if (i >= b->iovs)
			return 0;
		if (bpf_probe_read_user(&v, sizeof(v), b->iov + i))
			return drop(TT_DROP_user_fault);
		if (!v.len)
			continue;
		addr = v.base;
		n = v.len < n ? v.len : n;
	}
	if (!addr)
		return 0;
	n = n < 16 ? n : 16;
	H1_MASK(n, 31);
	if (n > 16)
		return 0;
	if (bpf_probe_read_user(word, n, (void *)addr))
		return drop(TT_DROP_user_fault);
	return n;
}

/* Bytes that no piece is left for, or that can't be found. */
static __always_inline void piece_unknown(struct scratch *s, __u64 len)
{
	__u64 n = s->pieces;

	drop(TT_DROP_iov_too_many);
	if (n >= PIECES_MAX) {
		s->piece[PIECES_MAX - 1].len += len;
		return;
	}
	H1_MASK(n, PIECES_MAX - 1);
	s->piece[n].addr = 0;
	s->piece[n].len = len;
	s->pieces++;
}

/* Adds the buffers that hold so many bytes to the pieces. Global: verified once, not for each message. */
__weak __noinline int sock_pieces(__u32 slot, __u64 iov, __u64 iovs, __u64 left)
{
	struct scratch *s = scratch_get(slot);
	struct user_iovec v;
	__u64 n;

	if (!s)
		return 0;
	for (int i = 0; i < IOVS_MAX; i++) {
		n = s->pieces;
		if (!left || i >= iovs || n >= IOVS_MAX ||
		    bpf_probe_read_user(&v, sizeof(v), (struct user_iovec *)iov + i))
			break;
		if (v.len > left)
			v.len = left;
		H1_MASK(n, PIECES_MAX - 1);
		s->piece[n].addr = v.base;
		s->piece[n].len = v.len;
		s->pieces++;
		left -= v.len;
	}
	if (left)
		piece_unknown(s, left);	/* what is in the others is not known */
	return 0;
}

/* What of a message was sent stands behind it. */
static __always_inline __u64 message_bytes(__u64 vector, __u32 i)
{
	__u32 bytes;

	vector += i * MMSGHDR_SIZE + sizeof(struct user_msghdr);
	return bpf_probe_read_user(&bytes, sizeof(bytes), (void *)vector) ? drop(TT_DROP_user_fault) : bytes;
}

/* All that a sendmmsg call sent, as one piece of the stream. */
__weak __noinline int sock_messages(__u32 slot, __u64 vector, __u32 messages)
{
	struct { __u64 iov, iovs; } m;

	for (int i = 0; i < MESSAGES_MAX; i++) {
		if (i >= messages)
			break;
		if (bpf_probe_read_user(&m, sizeof(m), (void *)(vector + i * MMSGHDR_SIZE +
								__builtin_offsetof(struct user_msghdr, iov))))
			m.iovs = 0;
		sock_pieces(slot, m.iov, m.iovs, message_bytes(vector, i));
	}
	return 0;
}

static __always_inline void buffers_to_pieces(const struct buffers *b, struct scratch *s, __u32 slot)
{
	s->pieces = 0;
	if (b->messages) {
		sock_messages(slot, b->vector, b->messages);
	} else if (b->iov) {
		sock_pieces(slot, (__u64)b->iov, b->iovs, b->len);
	} else {
		s->pieces = 1;
		s->piece[0].addr = b->addr;
		s->piece[0].len = b->len;
	}
}

/* ---- what was sent or received ---- */

/* The row of a plain socket, if there is one. The end of a UNIX socket is not announced: a row of a
 * socket that was here before is ended now. */
static __noinline struct conn *plain_conn(const struct conn_key *key, struct sock *sk)
{
	struct conn *c = bpf_map_lookup_elem(&conns, key);
	struct tt_tuple now;

	if (!c || c->tuple.family != TT_AF_UNIX)
		return c;
	sock_tuple(sk, &now);
	if (tuple_same(&c->tuple, &now))
		return c;
	conn_end(key);
	return 0;
}

static __always_inline void bytes_missed(struct http1 *d, __u32 len)
{
	if (len >> 31 || !http_is_body(d, len))
		http_gap(d);
}

/*
 * TCP's own count of bytes tells whether some went by unseen (io_uring, splice, a run that the kernel
 * skipped because this program was preempted), and that bytes which were only peeked at are still to
 * come. Whether these are new ones.
 */
static __noinline int tcp_in_step(struct conn *c, struct sock *sk, __u64 len, __u32 dir)
{
	__u32 now = sock_tcp_next(sk, dir), before, known, missed;

	if (c->tuple.family == TT_AF_UNIX || BPF_CORE_READ(sk, sk_protocol) != PROTOCOL_TCP)
		return 1;
	if (dir == OUT) {
		before = c->tcp_next[OUT];
		known = c->tcp_known[OUT];
		c->tcp_next[OUT] = now;
		c->tcp_known[OUT] = 1;
	} else {
		before = c->tcp_next[IN];
		known = c->tcp_known[IN];
		c->tcp_next[IN] = now;
		c->tcp_known[IN] = 1;
	}
	if (!known)
		return 1;
	if (now == before)
		return 0;
	missed = now - before - (__u32)len;
	/* The peer's FIN has a number too, and may be taken along with data. */
	if (missed == 1 && dir == IN && (BPF_CORE_READ(sk, sk_shutdown) & RCV_SHUTDOWN_BIT))
		return 1;
	if (missed)
		bytes_missed(conn_dir(c, dir), missed);
	return 1;
}

/* What a thread has received outside of TLS calls, to one buffer there or (0) somewhere. */
static __always_inline void received(struct thread *t, __u64 sock, __u64 len, __u64 at)
{
	if (t->unread && t->received_sock != sock)
		t->mixed_ns = bpf_ktime_get_boot_ns();
	t->received_sock = sock;
	t->received_bytes = len;
	t->received_at = at;
	t->received_seal = at && len >= SEAL_BYTES ? seal_at(at + len) : 0;
	t->unread = 1;
}

/* A thread that has called no TLS library yet receives a record in the middle of a connection: what it reads of it
 * is to be known as this socket's. */
static __noinline void received_middle(struct sock *sk, const struct buffers *b)
{
	struct thread *t = foreign() ? thread_own() : 0;

	if (!t || t->received_sock)
		return;
	received(t, (__u64)sk, b->len, b->addr);
	sock_tuple(sk, &t->received_tuple);
}

/* Looks at the first bytes of a call, once: may they begin an HTTP message, or TLS (cover: COVER_*)? */
static __noinline int plain_begins(struct sock *sk, const struct buffers *b, __u32 how, __u32 cover)
{
	__u64 word[2], n;

	n = buffers_first(b, word);
	if (!n)
		return 0;
	/* Most sockets have no row, and get none. */
	if (cover == COVER_UNSURE || (cover == COVER_NO_ROW && ((how & COVER_NESTED) || cover_may_begin(word[0]))))
		cover_meet((__u64)sk, word[0], word[1], b->len, how);
	if (how == IN && (word[0] & 0xffff) == RECORD_BEGINS)
		received_middle(sk, b);
	return h1_may_begin(word[0], n) || h2_may_begin(word, n);
}

/* For a socket whose plaintext isn't looked at. */
static __noinline void cover_first(struct sock *sk, __u64 len, __u32 how, const struct call_regs *regs)
{
	struct buffers b;

	if (buffers_find(regs, len, &b))
		plain_begins(sk, &b, how, COVER_UNSURE);
}

/* Where a connection may become TLS: what is HTTP for sure has a message to end first. */
static __always_inline int plain_open(const struct http1 *d)
{
	return d->state == H1_S_LOST || d->state == H1_S_OPAQUE ||
	       (d->state == H1_S_START && d->kind == H1_UNKNOWN);
}

/* cover: COVER_*, whether the socket speaks TLS as far as coverage is concerned. Returns the slot that has the bytes
 * to be read, or NO_SLOT. */
static __noinline int plain_io(struct sock *sk, __u64 len, __u32 dir, const struct call_regs *regs,
			       __u32 cover)
{
	struct conn_key key = { .object = (__u64)sk, .tls = TT_TLS_NONE };
	struct buffers b;
	struct scratch *s;
	struct conn *c;
	int slot, open, begins = 0, known = cover == COVER_TLS;

	c = plain_conn(&key, sk);
	if (!c && known)
		return NO_SLOT;
	if (c && !tcp_in_step(c, sk, len, dir))
		return NO_SLOT;
	open = !c || plain_open(conn_dir(c, dir));
	if (c && http_passes(conn_dir(c, dir), len) && (known || !open))
		return NO_SLOT;
	if (!buffers_find(regs, len, &b))
		return NO_SLOT;
	if (open)
		begins = plain_begins(sk, &b, dir, cover);
	if (c && conn_dir(c, dir)->state == H1_S_OPAQUE)
		return NO_SLOT;
	if (c && b.addr && conn_dir(c, dir)->state == H1_S_LOST && !begins) {
		http_lose(conn_dir(c, dir));
		return NO_SLOT;
	}
	if (!c) {
		/* The end of a closed socket has been announced already: nobody would end its row. */
		if (!begins || !foreign() ||
		    BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_CLOSE_STATE)
			return NO_SLOT;
		c = conn_new(&key);
		if (!c)
			return NO_SLOT;
		sock_tuple(sk, &c->tuple);
		tcp_in_step(c, sk, len, dir);
	}
	s = read_slot(&key, c, dir, &slot);
	if (!s)
		return NO_SLOT;
	buffers_to_pieces(&b, s, slot);
	s->asked = b.addr ? http_asked(conn_dir(c, dir)) : ASKED_NOT;
	return slot;
}

static __always_inline void nested_bytes(struct thread *t, __u64 len, __u32 dir)
{
	if (dir == OUT)
		t->sent += len;
	else
		t->received += len;
}

/* The bytes are taken, and by the thread itself. */
static __always_inline int call_simple(const struct call_regs *regs)
{
	return regs->nr != NR_IO_URING_ENTER && regs->cs && !call_peeks(regs);
}

/*
 * Socket I/O of a TLS call on a socket that is known to speak TLS, as nearly all is: counted when the call ends, and
 * of the socket nothing is read but TCP's count. 0: more has to be looked at.
 */
static __noinline int nested_known(struct thread *t, const struct cover_sock *k, struct sock *sk, __u64 len, __u32 dir)
{
	if (t->wire_sock == (__u64)sk)
		cover_wait(t, sk, len, dir);
	else if (t->sock || t->tls == TT_TLS_NSS || filter_now || !cover_defer(t, k, sk, len, dir))
		return 0;
	nested_bytes(t, len, dir);
	return 1;
}

static __always_inline void nested_sock(struct thread *t, struct sock *sk, __u64 len, __u32 dir,
					const struct call_regs *regs)
{
	if (t->sock && t->sock != (__u64)sk) {
		t->mixed = 1;
		return;
	}
	if (!t->sock) {
		t->sock = (__u64)sk;
		sock_tuple(sk, &t->tuple);
		/* NSS sends and receives single buffers. */
		if (t->tls == TT_TLS_NSS && regs->cs == USER_CS)
			t->record = record_begins(regs->a1);
	}
	nested_bytes(t, len, dir);
}

/* Socket I/O inside a TLS call. 0: it is not known to be one, so its bytes may be plaintext. */
static __noinline int nested_io(struct thread *t, struct sock *sk, __u64 len, __u32 dir,
				const struct call_regs *regs)
{
	nested_sock(t, sk, len, dir, regs);
	if (t->unproved)
		return 0;
	if (call_simple(regs) && cover_defer(t, cover_at(sk), sk, len, dir))
		return 1;
	if (cover_io((__u64)sk, len, dir, call_peeks(regs) != 0) != COVER_TLS)
		cover_first(sk, len, dir | COVER_NESTED, regs);
	return 1;
}

/* Something was sent outside of TLS calls. Whether any write still waits. Global, as what is sent may be any of
 * several writes: what is verified behind this is then not verified for each. */
__weak __noinline int unsent_sent(__u64 sock, __u64 len)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct unsent *u = bpf_map_lookup_elem(&unsents, &thread);
	__u64 now = bpf_ktime_get_boot_ns();
	struct unsent_match m = {};
	struct tt_tuple tuple;
	struct conn *c;

	if (!u)
		return 0;
	u->sends++;
	if (sock_is_taken(sock))
		return 1;	/* its connection is known: the writes of those do not wait here */
	unsent_find(u, len, now, &m);
	if (m.found)
		unsent_settle(u, len, now, m.unsure);
	if (!m.count || m.unsure || now - u->dropped_ns < UNSENT_NS)
		return m.count;
	c = bpf_map_lookup_elem(&conns, m.found ? &m.exact : &m.only);
	if (!c || c->sock)
		return 1;
	if (m.found) {
		sock_tuple((struct sock *)sock, &tuple);
		conn_link(&m.exact, c, sock, &tuple);
	} else if (!m.several && wire_fits(m.bytes, len)) {
		sock_tuple((struct sock *)sock, &tuple);
		conn_candidate(&m.only, sock, &tuple, OUT);
	}
	return 1;
}

static __always_inline __u64 received_at(const struct call_regs *regs)
{
	return regs->cs == USER_CS && (regs->nr == NR_READ || regs->nr == NR_RECVFROM) ? regs->a1 : 0;
}

/* Socket I/O of a thread that calls TLS libraries, outside such a call. */
static __always_inline void adjacent_io(struct thread *t, struct sock *sk, __u64 len, __u32 dir,
					const struct call_regs *regs)
{
	t->offered = 0;
	if (dir == IN) {
		received(t, (__u64)sk, len, received_at(regs));
		sock_tuple(sk, &t->received_tuple);
		return;
	}
	if (t->cover_wrote)
		cover_sent((__u64)sk, len);
	if (t->unsent)
		t->unsent = unsent_sent((__u64)sk, len);
}

/*
 * What a thread sends or receives that is told of records (record.bpf.h), on a socket that is known to carry such: it is
 * counted, and what it has received is noted. Headers that come by themselves TCP's count has with what follows.
 * moved: negative if it was sent, since a function takes five arguments. 0: more has to be looked at.
 */
static __noinline int record_io(struct thread *t, struct cover_sock *k, struct sock *sk, __s64 moved,
				const struct call_regs *regs)
{
	__u32 dir = moved < 0 ? OUT : IN;
	__u64 len = moved < 0 ? -moved : moved;

	if (!k || !k->tls || !k->tcp || !k->called || filter_now || (dir == OUT && (t->unsent || t->cover_wrote)))
		return 0;
	t->offered = 0;
	if (dir == IN && len == TLS_HEADER && (regs->nr == NR_READ || regs->nr == NR_RECVFROM) &&
	    record_header_at(regs->a1))
		return 1;
	cover_count(k, sk, len, dir);
	if (dir == IN) {
		received(t, (__u64)sk, len, received_at(regs));
		t->received_tuple = k->tuple;
	}
	return 1;
}

static __always_inline struct thread *thread_here(void)
{
	struct caller who = { .id = bpf_get_current_pid_tgid() };

	return bpf_map_lookup_elem(&threads, &who);
}

/* The row of a goroutine that is in a TLS call. Go code has a pointer to its goroutine in a register, in system calls
 * too; no other process has such a row. */
static __always_inline struct thread *goroutine_here(__u64 g)
{
	struct caller who = { .id = bpf_get_current_pid_tgid() >> 32 << 32, .g = g };
	struct thread *t = g && threads_go ? bpf_map_lookup_elem(&threads, &who) : 0;

	return t && t->in_call ? t : 0;
}

/* A process that is left alone, or not decided about, uses this socket: of what is known of it so far nothing
 * is right any more. */
static __noinline void sock_left(struct sock *sk)
{
	struct conn_key key = { .object = (__u64)sk, .tls = TT_TLS_NONE };

	conn_end(&key);
	if (bpf_map_lookup_elem(&cover_socks, &key.object))
		bpf_map_delete_elem(&cover_socks, &key.object);
}

/* record.bpf.h */
int record_late(__u32 dir);

/* Returns the slot that has the bytes to be read, or NO_SLOT. */
static __noinline int sock_io(struct sock *sk, __s64 len, __u32 dir, const struct call_regs *regs)
{
	struct thread *t, *of_g;
	struct cover_sock *k;
	int slot = NO_SLOT;
	__u32 cover;

	if (len <= 0 || len > 0x7fffffff)
		return NO_SLOT;
	k = cover_at(sk);
	if (k && cover_waits(k) && call_simple(regs)) {
		cover_linked(k, sk, len, dir);
		return NO_SLOT;
	}
	t = thread_here();
	if (t && t->in_call && call_simple(regs) && nested_known(t, k, sk, len, dir))
		return NO_SLOT;
	if (t && t->records && !t->in_call && call_simple(regs) && record_io(t, k, sk, dir == OUT ? -len : len, regs))
		return t->late ? record_late(dir) : NO_SLOT;
	if (!sock_is_stream(sk) || !sock_is_known(sk))
		return NO_SLOT;
	of_g = t && t->in_call ? 0 : goroutine_here(regs->g);
	if (of_g) {
		t = of_g;
		if (call_simple(regs) && nested_known(t, k, sk, len, dir))
			return NO_SLOT;
	}
	if (filter_now && !watched()) {
		sock_left(sk);
		return NO_SLOT;
	}
	if (regs->nr == NR_IO_URING_ENTER || !regs->cs)
		cover_uring(regs->nr == NR_IO_URING_ENTER);
	if (t && t->in_call && nested_io(t, sk, len, dir, regs))
		return NO_SLOT;
	cover = k ? cover_io((__u64)sk, len, dir, call_peeks(regs) != 0) : COVER_NO_ROW;
	if (t && !t->in_call) {
		slot = t->late ? record_late(dir) : NO_SLOT;	/* its connection is there for what follows */
		adjacent_io(t, sk, len, dir, regs);
	}
	if (conf_plain && slot == NO_SLOT)
		return plain_io(sk, len, dir, regs, cover);
	if (cover != COVER_TLS)
		cover_first(sk, len, dir, regs);
	return slot;
}

static __always_inline int sock_length(struct bpf_raw_tracepoint_args *ctx, __u32 dir)
{
	struct call_regs regs;

	regs_take(&regs, (void *)bpf_task_pt_regs((void *)bpf_get_current_task_btf()));
	return read_call(ctx, &sock_reader, sock_io((void *)ctx->args[0], (int)ctx->args[1], dir, &regs));
}

SEC("raw_tp/sock_send_length")
int sock_send(struct bpf_raw_tracepoint_args *ctx)
{
	return sock_length(ctx, OUT);
}

SEC("raw_tp/sock_recv_length")
int sock_recv(struct bpf_raw_tracepoint_args *ctx)
{
	return sock_length(ctx, IN);
}

/* The socket behind a descriptor of the current process, or NULL. */
static __always_inline struct sock *sock_of(__u32 fd)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct fdtable *fdt = BPF_CORE_READ(task, files, fdt);
	struct file **table, *file = 0;
	struct socket *socket;

	if (!fdt || fd >= BPF_CORE_READ(fdt, max_fds))
		return 0;
	table = BPF_CORE_READ(fdt, fd);
	bpf_probe_read_kernel(&file, sizeof(file), table + fd);
	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT_MASK) != S_IFSOCK_TYPE)
		return 0;
	socket = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(socket, sk);
}

/* sendmmsg returns a number of messages. How many bytes they are, as far as they are looked at. */
static __always_inline __u64 sent_messages(__u64 messages, struct call_regs *regs)
{
	__u64 bytes = 0;

	if (messages > MESSAGES_MAX) {
		drop(TT_DROP_iov_too_many);
		messages = MESSAGES_MAX;
	}
	for (int i = 0; i < MESSAGES_MAX; i++) {
		if (i < messages)
			bytes += message_bytes(regs->a1, i);
	}
	regs->nr = NR_MESSAGES;
	regs->a2 = messages;
	return bytes;
}

/* For kernels without the tracepoints above. */
SEC("raw_tp/sys_exit")
int sys_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct call_regs regs;
	struct sock *sk;
	__s64 ret = ctx->args[1];
	__u32 dir;

	if (ret <= 0)
		return 0;
	regs_copy(&regs, (void *)ctx->args[0]);
	if (regs.nr == NR_WRITE || regs.nr == NR_SENDTO || regs.nr == NR_SENDMSG ||
	    regs.nr == NR_WRITEV || regs.nr == NR_SENDMMSG || regs.nr == NR_SENDFILE)
		dir = OUT;
	else if (regs.nr == NR_READ || regs.nr == NR_RECVFROM || regs.nr == NR_RECVMSG ||
		 regs.nr == NR_READV)
		dir = IN;
	else
		return 0;
	if (regs.cs != USER_CS)
		return 0;
	sk = sock_of(regs.a0);
	if (!sk)
		return 0;
	if (regs.nr == NR_SENDMMSG)
		ret = sent_messages(ret, &regs);
	return read_call(ctx, &sock_reader, sock_io(sk, ret, dir, &regs));
}

/* struct sock *, int old state, int new state; kernel commit 563e0bb0dc74 (4.16) */
SEC("raw_tp/inet_sock_set_state")
int sock_state(struct bpf_raw_tracepoint_args *ctx)
{
	struct conn_key key = {}, *tls;
	__u64 sock = ctx->args[0];
	int state = ctx->args[2];
	struct object_sock *met;
	struct conn *c;

	/* An end, or the beginning of another life of this struct sock, should the end have been missed. */
	if (state != TCP_CLOSE_STATE && state != TCP_SYN_SENT_STATE && state != TCP_SYN_RECV_STATE)
		return 0;
	key.object = sock;
	conn_end(&key);
	cover_end((struct sock *)sock);
	/* A socket may be read after it is closed, until the program lets it go. */
	if (state != TCP_CLOSE_STATE || !BPF_CORE_READ((struct sock *)sock, sk_socket))
		bpf_map_delete_elem(&cover_socks, &sock);
	tls = bpf_map_lookup_elem(&links, &sock);
	if (!tls)
		return 0;
	key = *tls;
	bpf_map_delete_elem(&links, &sock);
	/* The object may be another connection's by now. */
	met = bpf_map_lookup_elem(&object_socks, &key);
	if (met && met->sock == sock)
		bpf_map_delete_elem(&object_socks, &key);
	c = bpf_map_lookup_elem(&conns, &key);
	if (c && c->sock == sock)
		conn_end(&key);
	return 0;
}
