/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Working memory for one run of a program: too large for the stack, and not simply per CPU, since a
 * uprobe program can be preempted by another one on the same CPU. A slot is claimed by counting oneself
 * among its users (5.10 has an atomic addition, but none that returns what was there): whoever is alone
 * then has it, the others go on to the next. It is wiped and given back by the program that read it.
 */
#ifndef TT_SCRATCH_BPF_H
#define TT_SCRATCH_BPF_H

#include "conf.bpf.h"
#include "watch.bpf.h"

#define SLOTS_PER_CPU 4		/* power of two */
#define PIECES_MAX 32		/* power of two */
#define IOVS_MAX (PIECES_MAX - 1)	/* the last piece stands for all that are not followed */

struct piece {
	__u64 addr;		/* in the program's memory; 0 = bytes that can't be reached */
	__u64 len;
};

/* Bytes of a body that is to be read, in the program's memory. */
struct span {
	__u64 addr;
	__u32 len;
	__u32 seq;		/* of its request */
	__u16 status;
	__u8 rule;
	__u8 flags;		/* SPAN_* */
	__u32 pad_;
};
#define SPANS_MAX 64		/* power of two */
#define SPAN_BEGIN 1		/* rule and status are known from here on */
#define SPAN_END 2
#define SPAN_ANSWER 4
#define SPAN_LOST 8		/* there was no room for what comes behind it */

/* Which machine goes on. */
enum {
	READ_H1, READ_H2,
	READ_INNER,	/* HTTP/1's, on a value that HTTP/2's decoded */
	READ_CLAIMS,	/* on a JWT that one of them has met */
	READ_CLASS,		/* none: what class is it? */
	READ_KNOWN,		/* none: is it the last value again? */
	READ_REPEAT,		/* none: are the fields those of the last head? */
	READ_BLOCK,		/* none: is the header block one that was read? */
};

/* What the caller has seen of the only piece: */
enum {
	ASKED_NOT,
	ASKED_READ,		/* it is to be read */
	ASKED_HEAD,		/* and begins with a head of HTTP/1 */
	ASKED_REST,		/* and begins where the last call left off, in such a head */
};

/* known.bpf.h: what a value with this hash is. */
struct known {
	struct lanes hash;
	struct tt_cred cred;	/* length 0: only the value's length is known */
	__u32 len;
	__u32 misses;
	__u64 check;		/* of what is before it: LRU rows may be read while they are given to another */
};

/* The credential field being read. */
struct known_work {
	__u32 from;		/* where its value begins in the input; 0 = none */
	__u32 len, at;		/* of what is compared: 0 = nothing */
	__u16 carrier;
	__u16 creds;		/* in the head before it */
	struct lanes hash;
	struct known row;
};

/* again.bpf.h: the head being read. */
struct again_work {
	__u32 keep;		/* AGAIN_*; 0 = it is not to be kept */
	__u32 len;		/* of what was compared: 0 = nothing, ... */
	__u32 begun;		/* ... or no more than the head's beginning, of so many bytes */
	__u32 pad_;
	__u64 hash[2];
	struct again row;
};

#define AGAIN_KEEP 1		/* a call begins where it does, and nothing had to be told of it */
#define AGAIN_FIELDS 2		/* and its fields say nothing else than who they are of and where it ends */

/* repeat.bpf.h: the fields of a direction's last head, and what they said. */
struct repeat {
	__u64 hash[2];
	__u64 length;		/* struct h1_head's members of the same names */
	__u32 len;		/* bytes */
	__u8 whole;		/* 0: only len is known */
	__u8 flags, use_flags, creds, host_len;
	__u8 pad_[7];
	struct tt_cred cred[TT_CREDS_MAX];
	__u8 host[TT_HOST_LEN];
	__u64 check;		/* of what is before it, as in struct known */
	__u64 misses;
};

/* The fields being read. */
struct repeat_work {
	__u32 from;		/* where they begin in the input; 0 = not to be kept */
	__u32 len;		/* of what is compared: 0 = nothing */
	__u64 hash[2];
	struct repeat row;
};

/* What the header block of a request said: struct h1_head's members of the same names. */
struct block_head {
	__u8 flags, use_flags, creds;
	__u8 method_len, path_len, host_len;
	__u8 pad_[2];
	struct tt_cred cred[TT_CREDS_MAX];
	__u8 method[TT_METHOD_LEN];
	__u8 path[TT_PATH_LEN];
	__u8 host[TT_HOST_LEN];
	__u64 check;		/* of what is before it, and whose it is */
};

/* block.bpf.h: a header block, and what it came to. */
struct block {
	__u64 hash[2];
	__u64 epoch;		/* of the dynamic table ... */
	__u32 inserted;		/* ... and its next entry's number, when the block began */
	__u32 inserts;		/* so many entries that nobody keeps */
	__u16 status;		/* struct h2_block's members of the same names */
	__u16 seen;
	__u8 dynamic, grpc, block_flags;
	__u8 whole;		/* 0: only that there was one */
	__u8 came_to;		/* BLOCK_*: for a request */
	__u8 pad_[7];
	struct lanes who;	/* BLOCK_ROW: as in struct again */
	__u64 token;
	struct row_ref row;
	__u64 check;		/* of what is before it, as in struct known */
	__u64 misses;
	struct block_head head;
};

enum {
	BLOCK_HEAD,		/* a use, if its head says so */
	BLOCK_NONE,		/* nothing: there was no credential */
	BLOCK_ROW,		/* one use more in a row */
};

/* The header block being read. */
struct block_work {
	__u32 from;		/* where it begins in the input; 0 = not to be kept */
	__u32 size;		/* bytes */
	__u32 hashed;		/* hash is its hash */
	__u32 inserted;		/* the table's next entry when it began */
	__u32 known;		/* a request's head was given: what it comes to is of interest */
	__u32 pad_;
	__u64 hash[2];
	struct block row;
};

struct scratch {
	struct h1_work w;
	struct h2_work x;
	struct hpack_text text;
	struct conn_key key;
	struct partial_key partial;
	__u64 addr;		/* of the piece being read */
	__u32 dir;		/* OUT, IN */
	__u32 pieces;
	__u32 reader;		/* READ_* */
	__u32 after;		/* READ_CLAIMS: who goes on then */
	__u32 used_h2;		/* so many bytes of a message are in x.in, and others in x; 0 = none */
	__u32 asked;		/* ASKED_* */
	__u32 stepped;		/* HTTP/1: a message's bytes may be in w.h, too */
	__u32 users;		/* 0: free */
	__u64 owner;		/* struct task_struct *, never followed; 0 = none yet */
	struct piece piece[PIECES_MAX];
	struct tt_class_key prefix;
	__u32 tried;		/* rows of `tries` */
	struct tt_class_val tries;
	__u32 asker;		/* READ_* that goes on when the class is known */
	struct nh nh;		/* of what is compared with what came before ... */
	__u32 nh_left;		/* ... and how many bytes of that are not in it yet */
	struct again_work again;
	struct known_work known;
	struct repeat_work repeat;
	struct block_work block;
	struct tt_ev_use use;
	struct tt_ev_status status;
	struct tt_ev_said said;
	__u64 said_token, said_hash;	/* of said.bpf.h */
	struct row_ref row;	/* of the request at hand: fold.bpf.h */
	struct lanes fold;
	__u32 unasked;		/* HTTP/1: the request of the response at hand was missed */
	__u32 spans;
	__u32 mint_rule, mint_status;	/* for span_add() */
	__u32 mint_set;
	struct span span[SPANS_MAX];
	struct mint_body m;
	struct partial_key body;	/* whose body is read */
	__u32 unpacks;		/* row of `inflates` that is held, plus 1 */
	__u32 inflating;	/* the decompressor goes on, not the reader of bodies */
	__u32 packed_at, packed_len;	/* of this stretch of a compressed body */
	__u32 packed_ended;
	__u32 packs;		/* the body has turned out to be compressed */
	struct tt_ev_mint mint;
};

/* The monitor makes it larger: so many for each CPU that there may be (conf_scratch_mask). */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLOTS_PER_CPU);
	__type(key, __u32);
	__type(value, struct scratch);
} scratch __weak SEC(".maps");

#define NO_SLOT (-1)

static __always_inline struct scratch *scratch_get(__u32 slot)
{
	return bpf_map_lookup_elem(&scratch, &slot);
}

static __always_inline __u32 scratch_first(void)
{
	return (bpf_get_smp_processor_id() * SLOTS_PER_CPU) & conf_scratch_mask;
}

/* A slot's number, or NO_SLOT. */
static __always_inline int scratch_claim(void)
{
	__u32 slot = scratch_first();
	struct scratch *s;

	for (int i = 0; i < SLOTS_PER_CPU; i++, slot++) {
		s = scratch_get(slot);
		if (!s)
			break;
		__sync_fetch_and_add(&s->users, 1);
		if (*(volatile __u32 *)&s->users == 1) {
			s->owner = bpf_get_current_task();
			return slot;
		}
		__sync_fetch_and_add(&s->users, -1);
	}
	drop(TT_DROP_scratch_busy);
	return NO_SLOT;
}

/* The slot that the program before this one claimed, in the same run: for the same task, which can't be
 * in two programs at once, and on the same CPU, which a run doesn't leave. */
static __always_inline int scratch_mine(void)
{
	__u64 task = bpf_get_current_task();
	__u32 slot = scratch_first();
	struct scratch *s;

	for (int i = 0; i < SLOTS_PER_CPU; i++, slot++) {
		s = scratch_get(slot);
		if (s && s->owner == task)
			return slot;
	}
	return NO_SLOT;
}

#define WIPE_STEP 1024

/* A step of what was kept of JWTs: one memset of it all would be too large for clang. Global: verified once. */
__weak __noinline int scratch_wipe_step(__u32 slot, __u32 step)
{
	struct scratch *s = scratch_get(slot);
	__u64 at = step * WIPE_STEP;

	H1_MASK(at, TT_CLAIMS_TEXT_MAX - WIPE_STEP);
	if (s)
		__builtin_memset((__u64 *)(s->w.c.ev.text + at), 0, WIPE_STEP);
	return 0;
}

static __noinline int scratch_wipe_claims(struct claims *c, __u32 slot)
{
	__u32 used;

	claims_restart(c);
	used = c->used;
	if (!used)
		return 0;
	__builtin_memset(c, 0, __builtin_offsetof(struct claims, ev.text));
	asm volatile("" ::: "memory");
	__builtin_memset(c->beyond, 0, sizeof(c->beyond));
#pragma nounroll
	for (__u32 step = 0; step < TT_CLAIMS_TEXT_MAX / WIPE_STEP && step * WIPE_STEP < used; step++)
		scratch_wipe_step(slot, step);
	return 0;
}

#define WIPE_BLOCK 128		/* divides both windows */

/* A window of which so many bytes were written. By words: clang wipes what it does not know to be aligned byte by byte. */
static __always_inline void scratch_wipe_window(__u64 *window, __u32 size, __u32 used)
{
#pragma nounroll
	for (__u32 at = 0; at < size; at += WIPE_BLOCK, window += WIPE_BLOCK / 8) {
		if (at >= used)
			break;
		__builtin_memset(window, 0, WIPE_BLOCK);
	}
}
_Static_assert(H1_WINDOW % WIPE_BLOCK == 0 && H2_WINDOW % WIPE_BLOCK == 0, "scratch_wipe_window() goes by blocks");
_Static_assert(__builtin_offsetof(struct scratch, w.buf) % 8 == 0 && __builtin_offsetof(struct scratch, x.in) % 8 == 0,
	       "and by words");

/* Nothing of a message stays behind; what lies behind a window is none of it. */
static __always_inline void scratch_release(struct scratch *s, __u32 slot)
{
	scratch_wipe_window((__u64 *)s->w.buf, H1_WINDOW, s->w.used);
	s->w.used = 0;
	asm volatile("" ::: "memory");
	__builtin_memset(&s->nh, 0, sizeof(s->nh));
	if (s->stepped || s->used_h2) {
		asm volatile("" ::: "memory");
		__builtin_memset(s->w.h.carry, 0, sizeof(struct h1_head) - __builtin_offsetof(struct h1_head, carry));
		__builtin_memset(&s->prefix, 0, sizeof(s->prefix));
		scratch_wipe_claims(&s->w.c, slot);
		s->stepped = 0;
	}
	if (s->used_h2) {
		scratch_wipe_window((__u64 *)s->x.in, H2_WINDOW, s->used_h2);
		asm volatile("" ::: "memory");
		__builtin_memset(&s->x.sip, 0, sizeof(s->x.sip));
		__builtin_memset(&s->x.b, 0, sizeof(s->x.b));
		s->used_h2 = 0;
	}
	if (s->spans) {
		asm volatile("" ::: "memory");
		__builtin_memset(s->m.text, 0, sizeof(s->m.text));
	}
	s->owner = 0;
	asm volatile("" ::: "memory");
	__sync_fetch_and_add(&s->users, -1);
}

#endif
