/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * rustls, whose functions have Rust's calling convention: the agent finds them by their names
 * (agent/elf_rustls.c), and has seen to it that their arguments are what is read here.
 *
 * Written bytes are offered to CommonState, which may take fewer of them (its buffers have a limit),
 * and go from there, a record at a time, to the object that encrypts them. Only the first call tells the
 * connection, and only the second one what was taken: a record counts if it goes on exactly where the
 * offer of the same thread stands. So no return is probed (Rust unwinds its stack, which return probes
 * break), no byte counts twice, and a layout that is not what was thought makes no record count at all.
 *
 * Received plaintext is given to CommonState a record at a time.
 *
 * Where names are missing, or CommonState's functions have become parts of others, two methods are left
 * that are called through tables (agent/elf_rustls_tables.h): the one that encrypts tells by itself what
 * kind of record it makes, and the one that decrypts has the plaintext when it returns, which is probed at
 * its own instructions. Its caller goes on with the RecordLayer, which names both objects and the record's
 * number; it is taken for that only if all three are as they have to be.
 *
 * CommonState is part of larger structs and is moved with them: between the handshake and the first
 * request, and again when a server has seen which version of HTTP comes. What encrypts is a heap object
 * of its own, which stays where it is, so connections are known by that. Where CommonState has its
 * address is learned when a record is seen that both take part in, once in each process.
 */
#include "tls.bpf.h"

#define NICHE (1ULL << 63)	/* no capacity can have it: borrowed bytes, not a vector */
#define ADDRESS_MIN 65536	/* vm.mmap_min_addr; more than any record */

/* OutboundChunks, 0.23: { 0, pointer, length }, or { slices, their number, from, to } in bytes. */
struct chunks {
	__u64 slices, at, from, to;
};

struct slice {
	__u64 at, len;
};

/* Bytes of plaintext that are received: { capacity or NICHE, pointer, length }. Older compilers have the
 * pointer of a vector in front of its capacity. */
struct payload {
	__u64 capacity, at, len;
};

/* What encrypts the records of one direction under one key. A new key, or another connection in the
 * same memory, begins at record 0. */
struct encrypter {
	__u64 epoch;	/* when it was first met */
	__u64 next;	/* number of its next record, or */
};
#define NUMBER_UNKNOWN (~0ULL)

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct conn_key);
	__type(value, struct encrypter);
} encrypters SEC(".maps");

/* Process -> where in CommonState the address of what encrypts lies, plus 1. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, __u32);
} layouts SEC(".maps");

#define COMMON_WORDS 128	/* of CommonState that are looked at; it has some 105 */

/* ---- offers ---- */

static __always_inline int offer(struct pt_regs *ctx, const struct chunks *c, __u8 slice)
{
	struct thread *t;

	if (!watched())
		return 0;
	t = thread_own();
	if (!t)
		return drop(TT_DROP_call_lost);
	t->offered = PT_REGS_PARM1(ctx);
	t->offer_sp = PT_REGS_SP(ctx);
	t->offer[0] = c->slices;
	t->offer[1] = c->at;
	t->offer[2] = c->from;
	t->offer[3] = c->to;
	t->offer_slice = slice;
	return 0;
}

/* CommonState::buffer_plaintext(&mut self, payload: OutboundChunks, ...) */
SEC("uprobe")
int rustls_write_in(struct pt_regs *ctx)
{
	struct chunks c;

	OWN_STACK(ctx);
	if (bpf_probe_read_user(&c, sizeof(c), (void *)PT_REGS_PARM2(ctx)))
		return drop(TT_DROP_user_fault);
	return offer(ctx, &c, 0);
}

/* CommonState::send_some_plaintext(&mut self, data: &[u8]), up to 0.22 */
SEC("uprobe")
int rustls_slice_in(struct pt_regs *ctx)
{
	struct chunks c = { .at = PT_REGS_PARM2(ctx), .from = PT_REGS_PARM3(ctx) };

	OWN_STACK(ctx);
	return offer(ctx, &c, 1);
}

/* CommonState::send_msg(&mut self, ...): messages of the handshake, from which the layout is learned. */
SEC("uprobe")
int rustls_message_in(struct pt_regs *ctx)
{
	struct chunks nothing = {};

	OWN_STACK(ctx);
	return offer(ctx, &nothing, 0);
}

/* ---- what encrypts, and where it is named ---- */

static __always_inline void encrypter_key(__u64 object, struct conn_key *key)
{
	key->object = object;
	key->tgid = bpf_get_current_pid_tgid() >> 32;
	key->tls = TT_TLS_RUSTLS;
}

static __noinline __u64 encrypter_of(__u64 common)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	__u32 *word = bpf_map_lookup_elem(&layouts, &tgid);
	__u64 object = 0;

	if (word && *word)
		bpf_probe_read_user(&object, sizeof(object), (__u64 *)common + (*word - 1));
	return object;
}

/* The one word of CommonState that is this address, plus 1; 0: none is, or more than one. */
__weak __noinline int rustls_find(__u64 common, __u64 object)
{
	__u64 found = 0, times = 0, word, same;

	for (__u32 i = 0; i < COMMON_WORDS; i++) {
		if (bpf_probe_read_user(&word, sizeof(word), (__u64 *)common + i))
			break;
		/* Without branches, each of which would double what the verifier has to follow. */
		word ^= object;
		same = word | -word;
		asm volatile("" : "+r"(same));	/* or clang puts them back */
		same = (same >> 63) ^ 1;
		asm volatile("" : "+r"(same));
		times += same;
		found += same * i;
	}
	return times == 1 ? found + 1 : 0;
}

/* A program that was replaced by execve(2), or has two versions in it, is learned anew. */
__weak __noinline int rustls_learn(__u64 common, __u64 object)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32, word;

	if (encrypter_of(common) == object)
		return 0;
	word = rustls_find(common, object);
	if (word)
		bpf_map_update_elem(&layouts, &tgid, &word, BPF_ANY);
	else
		bpf_map_delete_elem(&layouts, &tgid);
	return 0;
}

/* ---- records ---- */

/* Notes the record. Returns the epoch; *missed: records before it went by unseen. */
static __noinline __u64 encrypter_next(const struct conn_key *key, __u64 number, __u32 *missed)
{
	struct encrypter *e, first = { .epoch = bpf_ktime_get_boot_ns(), .next = number + 1 };
	__u64 before;

	e = bpf_map_lookup_elem(&encrypters, key);
	if (!e) {
		bpf_map_update_elem(&encrypters, key, &first, BPF_ANY);
		return first.epoch;
	}
	before = e->next;
	e->next = number + 1;
	if (before == NUMBER_UNKNOWN)
		return e->epoch;
	if (number < before)
		e->epoch = first.epoch;
	else
		*missed = number > before;
	return e->epoch;
}

static __always_inline int offer_inside(struct pt_regs *ctx, const struct thread *t)
{
	__u64 sp = PT_REGS_SP(ctx);

	return t->offered && sp < t->offer_sp && t->offer_sp - sp <= CALL_DEPTH_MAX;
}

/* Is this record what comes next of the offer? Then the offer stands behind it. */
static __always_inline int offer_goes_on(struct pt_regs *ctx, struct thread *t, const struct chunks *c)
{
	if (!offer_inside(ctx, t))
		return 0;
	if (c->slices != t->offer[0] || c->at != t->offer[1])
		return 0;
	if (!c->slices) {
		if (!c->from || c->from > t->offer[2])
			return 0;
		t->offer[1] += c->from;
		t->offer[2] -= c->from;
		return 1;
	}
	if (c->from != t->offer[2] || c->to <= c->from || c->to > t->offer[3])
		return 0;
	t->offer[2] = c->to;
	return 1;
}

/* Plaintext that was written before the handshake's end is encrypted later, with nothing that tells the
 * connection; so is what is written through the interface without buffers. */
static __noinline int record_outside(const struct chunks *c)
{
	__u64 at = c->slices ? c->slices : c->at, len = c->slices ? c->at : c->from;

	return http_may_begin(at, len < TLS_RECORD ? len : TLS_RECORD) ? drop(TT_DROP_call_lost) : 0;
}

/* A record whose bytes are collected from slices, for the slot of the same number; as many as `scratch`. */
struct cut {
	__u64 slices, count;
	__u64 skip, left;	/* bytes in front of the record's, and of the record */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLOTS_PER_CPU);
	__type(key, __u32);
	__type(value, struct cut);
} cuts SEC(".maps");

/* Where the next bytes of the record are; 0: nobody knows. */
static __always_inline void cut_piece(struct scratch *s, struct cut *cut, __u64 at, __u64 len)
{
	__u64 n = s->pieces;

	H1_MASK(n, PIECES_MAX - 1);
	s->piece[n].addr = at;
	s->piece[n].len = len;
	s->pieces++;
	cut->left -= len;
}

/* Takes what slice number i has of the record. Whether there may be more. */
__weak __noinline int rustls_slice_step(__u32 slot, __u32 i)
{
	struct scratch *s = scratch_get(slot);
	struct cut *cut = bpf_map_lookup_elem(&cuts, &slot);
	struct slice v;

	if (!s || !cut || !cut->left || i >= cut->count ||
	    bpf_probe_read_user(&v, sizeof(v), (struct slice *)cut->slices + i))
		return 0;
	if (v.len <= cut->skip) {
		cut->skip -= v.len;
		return 1;
	}
	v.at += cut->skip;
	v.len -= cut->skip;
	cut->skip = 0;
	cut_piece(s, cut, v.at, v.len < cut->left ? v.len : cut->left);
	return 1;
}

/* What of the record is in slices beyond those that were looked at is not known. */
__weak __noinline int rustls_slices(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct cut *cut = bpf_map_lookup_elem(&cuts, &slot);

	if (!s || !cut)
		return 0;
	s->pieces = 0;
	for (__u32 i = 0; i < IOVS_MAX; i++) {
		if (!rustls_slice_step(slot, i))
			break;
	}
	if (cut->left) {
		drop(TT_DROP_iov_too_many);
		cut_piece(s, cut, 0, cut->left);
	}
	return 0;
}

static __always_inline void chunks_to_pieces(const struct chunks *c, struct scratch *s, __u32 slot)
{
	struct cut *cut = bpf_map_lookup_elem(&cuts, &slot);

	s->pieces = 1;
	s->piece[0].addr = c->at;
	s->piece[0].len = c->from;
	if (!c->slices || !cut)
		return;
	cut->slices = c->slices;
	cut->count = c->at;
	cut->skip = c->from;
	cut->left = c->to - c->from;
	rustls_slices(slot);
}

/* The connection of a record. Another epoch than before: another connection, in the same memory. (Or a
 * new key, which TLS 1.3 may agree on after millions of records: the connection is then met anew.) */
static __noinline struct conn *record_conn(const struct conn_key *key, __u64 epoch)
{
	struct conn *c = bpf_map_lookup_elem(&conns, key);

	if (!c || !c->epoch || c->epoch == epoch)
		return c;
	conn_end(key);
	return 0;
}

/* The adjacent rule's first half for a connection that writes: its records go out together. */
static __always_inline void record_adjacent(const struct conn_key *key, const struct conn *c,
					    struct thread *t, __u64 bytes)
{
	if (c->sock)
		return;
	t->unsent = 1;
	unsent_grow(key, bpf_get_current_pid_tgid(), bytes);
}

/* These calls are over as soon as they begin: no socket I/O is inside. */
static __always_inline void covered(struct thread *t, const struct conn_key *key, const struct conn *c,
				    __u8 dir, __u64 bytes)
{
	if (t->in_call)
		return;
	t->object = key->object;
	t->dir = dir;
	t->sent = t->received = 0;
	cover_called(t, c ? c->sock : 0, bytes);
}

/* Returns the slot that has the bytes to be read, or NO_SLOT. */
static __always_inline int record(const struct conn_key *key, struct thread *t,
				  const struct chunks *chunks, __u64 epoch, __u32 missed)
{
	__u64 bytes = chunks->slices ? chunks->to - chunks->from : chunks->from;
	struct scratch *s;
	struct conn *c;
	int slot;

	c = record_conn(key, epoch);
	covered(t, key, c, OUT, bytes);
	if (c && missed)
		http_gap(&c->dir[OUT]);
	if (c && http_passes(&c->dir[OUT], bytes)) {
		record_adjacent(key, c, t, bytes);
		return NO_SLOT;
	}
	s = read_slot(key, c, OUT, &slot);
	if (!s)
		return NO_SLOT;
	chunks_to_pieces(chunks, s, slot);
	if (!c && http_may_begin(s->piece[0].addr, s->piece[0].len)) {
		if (t->offered)
			rustls_learn(t->offered, key->object);
		c = conn_new(key);
	}
	if (!c) {
		s->pieces = 0;	/* the slot is only given back */
		return slot;
	}
	c->epoch = epoch;
	record_adjacent(key, c, t, bytes);
	return slot;
}

/* MessageEncrypter::encrypt(&mut self, msg: OutboundPlainMessage, seq: u64) -> Result<...>; the result's
 * place comes first, the message's first part is its payload (up to 0.22 a slice). */
SEC("uprobe")
int rustls_record_in(struct pt_regs *ctx)
{
	struct conn_key key;
	struct chunks c = {};
	struct thread *t;
	__u32 missed = 0;
	__u64 epoch;

	OWN_STACK(ctx);
	if (!watched())
		return call_left(PT_REGS_PARM2(ctx), TT_TLS_RUSTLS);
	/* Even a handshake's: what the thread receives next is then known. */
	t = thread_own();
	if (!t)
		return drop(TT_DROP_call_lost);
	t->unread = 0;	/* what was received before has been read, or this would not be written now */
	encrypter_key(PT_REGS_PARM2(ctx), &key);
	epoch = encrypter_next(&key, PT_REGS_PARM4(ctx), &missed);
	if (t->offered && t->offer_slice) {
		if (bpf_probe_read_user(&c.at, 2 * sizeof(__u64), (void *)PT_REGS_PARM3(ctx)))
			return drop(TT_DROP_user_fault);
	} else if (bpf_probe_read_user(&c, sizeof(c), (void *)PT_REGS_PARM3(ctx))) {
		return drop(TT_DROP_user_fault);
	}
	if (!offer_goes_on(ctx, t, &c)) {
		if (offer_inside(ctx, t))
			rustls_learn(t->offered, key.object);
		return record_outside(&c);
	}
	return read_call(ctx, &tls_reader, record(&key, t, &c, epoch, missed));
}

/* ---- reading ---- */

/* The epoch of what will encrypt the answers: nothing may have been encrypted so far. */
static __noinline __u64 encrypter_now(const struct conn_key *key)
{
	struct encrypter *e = bpf_map_lookup_elem(&encrypters, key);
	struct encrypter first = { .epoch = bpf_ktime_get_boot_ns(), .next = NUMBER_UNKNOWN };

	if (e)
		return e->epoch;
	bpf_map_update_elem(&encrypters, key, &first, BPF_ANY);
	return first.epoch;
}

/* A read that follows another socket's receive is another connection's too, in the same memory. */
static __noinline int read_other(const struct conn *c, const struct thread *t, __u64 epoch)
{
	if (c->sock && t->received_sock && t->received_sock != c->sock)
		return 1;
	return c->epoch && c->epoch != epoch;
}

static __always_inline struct conn *read_conn(const struct conn_key *key, const struct thread *t,
					      const struct payload *p)
{
	struct conn *c = bpf_map_lookup_elem(&conns, key);
	__u64 epoch = encrypter_now(key);

	if (c && read_other(c, t, epoch)) {
		conn_end(key);
		c = 0;
	}
	if (!c && http_may_begin(p->at, p->len))
		c = conn_new(key);
	if (c)
		c->epoch = epoch;
	return c;
}

/* A capacity is no address that anything can have, so the two can't be taken for each other. Whether it
 * is what it should be: nothing else is followed. */
static __always_inline int payload_of(__u64 addr, struct payload *p)
{
	__u64 at;

	if (bpf_probe_read_user(p, sizeof(*p), (void *)addr))
		return 0;
	if (p->at < ADDRESS_MIN) {
		at = p->capacity;
		p->capacity = p->at;
		p->at = at;
	}
	if (p->len > TLS_RECORD || p->at < ADDRESS_MIN)
		return 0;
	return p->capacity == NICHE || (p->capacity >= p->len && p->capacity < ADDRESS_MIN);
}

/* A record's plaintext, of the connection whose answers `key` encrypts. Returns the slot that has it, or
 * NO_SLOT. */
static __always_inline int received(struct thread *t, const struct conn_key *key, const struct payload *p)
{
	struct scratch *s;
	struct conn *c;
	__u8 fed = t->unread;
	int slot;

	t->unread = 0;
	c = read_conn(key, t, p);
	covered(t, key, c, IN, p->len);
	if (!c)
		return NO_SLOT;
	if (!c->sock && fed && p->len + TLS_OVERHEAD_MIN <= t->received_bytes &&
	    bpf_ktime_get_boot_ns() - t->mixed_ns > UNSENT_NS)
		conn_candidate(key, t->received_sock, &t->received_tuple, IN);
	if (http_idle(&c->dir[IN], p->at, p->len))
		return NO_SLOT;
	s = read_slot(key, c, IN, &slot);
	if (!s)
		return NO_SLOT;
	s->pieces = 1;
	s->piece[0].addr = p->at;
	s->piece[0].len = p->len;
	return slot;
}

/* CommonState::take_received_plaintext(&mut self, bytes: Payload) */
SEC("uprobe")
int rustls_read_in(struct pt_regs *ctx)
{
	struct conn_key key;
	struct payload p;
	struct thread *t;
	__u64 object;

	OWN_STACK(ctx);
	if (!watched()) {
		object = filter_now ? encrypter_of(PT_REGS_PARM1(ctx)) : 0;
		return call_left(object ? object : PT_REGS_PARM1(ctx), TT_TLS_RUSTLS);
	}
	t = thread_own();
	if (!t)
		return drop(TT_DROP_call_lost);
	if (!payload_of(PT_REGS_PARM2(ctx), &p))
		return drop(TT_DROP_user_fault);
	if (!p.len)
		return 0;
	/* Not learned yet: what is read is seen, but not what answers it. */
	object = encrypter_of(PT_REGS_PARM1(ctx));
	encrypter_key(object ? object : PT_REGS_PARM1(ctx), &key);
	return read_call(ctx, &tls_reader, received(t, &key, &p));
}

/* drop_in_place::<CommonState>(...) */
SEC("uprobe")
int rustls_end_in(struct pt_regs *ctx)
{
	__u64 object = encrypter_of(PT_REGS_PARM1(ctx));
	struct conn_key key;

	OWN_STACK(ctx);
	encrypter_key(object ? object : PT_REGS_PARM1(ctx), &key);
	conn_end(&key);
	bpf_map_delete_elem(&encrypters, &key);
	return 0;
}

/* ---- by tables ---- */

/* ContentType and ProtocolVersion, enumerations: the number of the variant, and in front of or behind it
 * what only a variant for other numbers uses. */
struct kind {
	__u8 type, type_other;
	__u16 version, version_other;
};
#define APPLICATION_DATA 3
#define TLS_1_2 4	/* stands in the records of 1.3 too */
#define TLS_1_3 5

/* OutboundPlainMessage, InboundOpaqueMessage, and Result<InboundPlainMessage, Error> */
struct plain_message {
	struct chunks payload;
	struct kind kind;
	__u16 pad_;
};

struct opaque_message {
	__u64 at, len;
};

struct opened {
	__u64 tag, at, len;
	struct kind kind;
	__u16 pad_;
};

/* A call that decrypts, until it returns. */
struct opening {
	__u64 result, sp;
	struct opaque_message message;
	__u64 encrypter;	/* of the same connection; 0 = not known */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);	/* thread */
	__type(value, struct opening);
} openings SEC(".maps");

/* RecordLayer, 0.23; up to 0.23.11 without the first of the numbers. */
struct record_layer {
	__u64 trial[2];
	__u64 encrypter, encrypter_table;
	__u64 decrypter, decrypter_table;
	__u64 number[3];	/* most and next to be written, next to be read */
};

static __always_inline int is_data(const struct kind *kind)
{
	return kind->type == APPLICATION_DATA && (kind->version == TLS_1_2 || kind->version == TLS_1_3);
}

static __always_inline int is_record(const struct chunks *c)
{
	if (!c->slices)
		return c->at >= ADDRESS_MIN && c->from <= TLS_RECORD;
	return c->slices >= ADDRESS_MIN && c->from <= c->to && c->to - c->from <= TLS_RECORD;
}

/* MessageEncrypter::encrypt, as rustls_record_in(). */
SEC("uprobe")
int rustls_encrypt_in(struct pt_regs *ctx)
{
	struct plain_message m;
	struct conn_key key;
	struct thread *t;
	__u32 missed = 0;
	__u64 epoch;

	OWN_STACK(ctx);
	if (!watched())
		return call_left(PT_REGS_PARM2(ctx), TT_TLS_RUSTLS);
	t = thread_own();
	if (!t)
		return drop(TT_DROP_call_lost);
	t->unread = 0;
	encrypter_key(PT_REGS_PARM2(ctx), &key);
	epoch = encrypter_next(&key, PT_REGS_PARM4(ctx), &missed);
	if (bpf_probe_read_user(&m, sizeof(m), (void *)PT_REGS_PARM3(ctx)))
		return drop(TT_DROP_user_fault);
	if (!is_data(&m.kind))
		return 0;
	if (!is_record(&m.payload))
		return drop(TT_DROP_call_lost);
	return read_call(ctx, &tls_reader, record(&key, t, &m.payload, epoch, missed));
}

#if defined(__TARGET_ARCH_x86)

/* Does encrypted_payload_len(), the table's fifth word, begin with lea BYTES(%rsi),%rax (behind push %rbp;
 * mov %rsp,%rbp)? */
static __noinline int encrypts(__u64 table)
{
	__u64 method = 0, code = 0;

	bpf_probe_read_user(&method, sizeof(method), (__u64 *)table + 4);
	bpf_probe_read_user(&code, sizeof(code), (void *)method);
	if ((__u32)code == 0xe5894855)
		code >>= 32;
	code = (__u32)code ^ 0x468d48;
	return code == 16U << 24 || code == 17U << 24 || code == 24U << 24;
}

/* What encrypts where `at` is the RecordLayer of what decrypts record `number` now; 0: it is not. */
static __noinline __u64 layer_encrypter(__u64 at, __u64 decrypter, __u64 number)
{
	struct record_layer l;

	if (at < ADDRESS_MIN || bpf_probe_read_user(&l, sizeof(l), (void *)at))
		return 0;
	if (l.decrypter != decrypter || (l.number[2] != number && l.number[1] != number))
		return 0;
	return l.encrypter >= ADDRESS_MIN && encrypts(l.encrypter_table) ? l.encrypter : 0;
}

/* The caller keeps it over the call, so it is in a register that the callee has to keep. */
static __always_inline __u64 caller_encrypter(struct pt_regs *ctx)
{
	__u64 me = PT_REGS_PARM2(ctx), number = PT_REGS_PARM4(ctx), found;
	volatile __u64 kept[] = { ctx->bx, ctx->bp, ctx->r12, ctx->r13, ctx->r14, ctx->r15 };

	if ((found = layer_encrypter(kept[0], me, number)) ||
	    (found = layer_encrypter(kept[1], me, number)) ||
	    (found = layer_encrypter(kept[2], me, number)) ||
	    (found = layer_encrypter(kept[3], me, number)) ||
	    (found = layer_encrypter(kept[4], me, number)))
		return found;
	return layer_encrypter(kept[5], me, number);
}

#else

/* agent/elf_rustls.c finds nothing there. */
static __always_inline __u64 caller_encrypter(struct pt_regs *ctx)
{
	return 0;
}

#endif


/* What an earlier call decrypted is not known: it did not return where it was expected to. */
static __always_inline int opening_missed(const struct opening *o)
{
	struct conn_key key;
	struct conn *c;

	encrypter_key(o->encrypter, &key);
	c = bpf_map_lookup_elem(&conns, &key);
	if (c)
		http_gap(&c->dir[IN]);
	return drop(TT_DROP_call_lost);
}

/* MessageDecrypter::decrypt(&mut self, msg: InboundOpaqueMessage, seq: u64) -> Result<...> */
SEC("uprobe")
int rustls_decrypt_in(struct pt_regs *ctx)
{
	struct opening o = { .result = PT_REGS_PARM1(ctx), .sp = PT_REGS_SP(ctx) }, *before;
	__u64 thread = bpf_get_current_pid_tgid();
	int takes;

	OWN_STACK(ctx);
	takes = watched();
	if (!takes && !filter_now)
		return 0;
	o.encrypter = caller_encrypter(ctx);
	if (!takes)
		return call_left(o.encrypter, TT_TLS_RUSTLS);
	before = bpf_map_lookup_elem(&openings, &thread);
	if (before)
		opening_missed(before);
	if (bpf_probe_read_user(&o.message, sizeof(o.message), (void *)PT_REGS_PARM3(ctx)))
		return drop(TT_DROP_user_fault);
	if (bpf_map_update_elem(&openings, &thread, &o, BPF_ANY))
		return drop(TT_DROP_call_lost);
	return 0;
}

/* Is this what that call made of its message? It is decrypted in place; TLS 1.2 has a nonce in front. */
static __always_inline int is_opened(const struct opening *o, const struct opened *r)
{
	if (r->at != o->message.at && r->at != o->message.at + 8)
		return 0;
	return r->len < o->message.len && r->len <= TLS_RECORD && is_data(&r->kind);
}

/* Each return instruction of decrypt() */
SEC("uprobe")
int rustls_return_in(struct pt_regs *ctx)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct opening *row, o;
	struct conn_key key;
	struct opened r;
	struct payload p = {};
	struct thread *t;

	OWN_STACK(ctx);
	row = bpf_map_lookup_elem(&openings, &thread);
	if (!row || row->sp != PT_REGS_SP(ctx) || row->result != PT_REGS_RC(ctx))
		return 0;
	o = *row;
	bpf_map_delete_elem(&openings, &thread);
	if (bpf_probe_read_user(&r, sizeof(r), (void *)o.result))
		return drop(TT_DROP_user_fault);
	if (!is_opened(&o, &r) || !r.len)
		return 0;
	if (!o.encrypter)
		return http_may_begin(r.at, r.len) ? drop(TT_DROP_call_lost) : 0;
	t = thread_own();
	if (!t)
		return drop(TT_DROP_call_lost);
	p.at = r.at;
	p.len = r.len;
	encrypter_key(o.encrypter, &key);
	return read_call(ctx, &tls_reader, received(t, &key, &p));
}
