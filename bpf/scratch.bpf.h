/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Working memory for one run of a program: too large for the stack, and not simply per CPU, since a
 * uprobe program can be preempted by another one on the same CPU. A slot is claimed by entering its
 * number in a hash table (the one atomic test-and-set that BPF has on 5.10), wiped, and given back.
 */
#ifndef TT_SCRATCH_BPF_H
#define TT_SCRATCH_BPF_H

#include "watch.bpf.h"

#define SLOTS_PER_CPU 4
#define SLOTS 512
#define PIECES_MAX 32		/* power of two */
#define IOVS_MAX (PIECES_MAX - 1)	/* the last piece stands for all that are not followed */

struct piece {
	__u64 addr;		/* in the program's memory; 0 = bytes that can't be reached */
	__u64 len;
};

/* Which machine goes on. */
enum { READ_H1, READ_H2, READ_INNER };	/* INNER: HTTP/1's, on a value that HTTP/2's decoded */

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
	__u32 used_h2;		/* x has bytes of a message in it */
	struct piece piece[PIECES_MAX];
	struct tt_class_key prefix;
	__u32 pad_;
	struct tt_ev_use use;
	struct tt_ev_status status;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, struct scratch);
} scratch __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, __u8);
} claims __weak SEC(".maps");

/* A slot's number, or -1. */
static __always_inline int scratch_claim(void)
{
	__u32 slot = (bpf_get_smp_processor_id() * SLOTS_PER_CPU) & (SLOTS - 1);
	__u8 one = 1;

	for (int i = 0; i < SLOTS_PER_CPU; i++, slot++) {
		if (!bpf_map_update_elem(&claims, &slot, &one, BPF_NOEXIST))
			return slot;
	}
	drop(TT_DROP_scratch_busy);
	return -1;
}

static __always_inline struct scratch *scratch_get(__u32 slot)
{
	return bpf_map_lookup_elem(&scratch, &slot);
}

/* Nothing of a message stays behind. */
static __always_inline void scratch_release(__u32 slot, struct scratch *s)
{
	__builtin_memset(s->w.buf, 0, H1_WINDOW / 2);
	asm volatile("" ::: "memory");	/* joined, the two would be too large for clang */
	__builtin_memset(s->w.buf + H1_WINDOW / 2, 0, H1_WINDOW / 2 + 8);
	asm volatile("" ::: "memory");
	__builtin_memset(s->w.h.carry, 0, sizeof(struct h1_head) - __builtin_offsetof(struct h1_head, carry));
	__builtin_memset(&s->prefix, 0, sizeof(s->prefix));
	if (s->used_h2) {
		asm volatile("" ::: "memory");
		__builtin_memset(s->x.in, 0, H2_WINDOW / 2);
		asm volatile("" ::: "memory");
		__builtin_memset(s->x.in + H2_WINDOW / 2, 0, H2_WINDOW / 2 + 8);
		asm volatile("" ::: "memory");
		__builtin_memset(&s->x.sip, 0, sizeof(s->x.sip));
		__builtin_memset(&s->x.b, 0, sizeof(s->x.b));
		s->used_h2 = 0;
	}
	bpf_map_delete_elem(&claims, &slot);
}

#endif
