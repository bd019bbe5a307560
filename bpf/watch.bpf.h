/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who is observed, on which stack a program runs, and counting what is not reported. */
#ifndef TT_WATCH_BPF_H
#define TT_WATCH_BPF_H

#include "maps.bpf.h"

/*
 * From 6.13 on the kernel may give a tracing program one stack for each CPU (private stack), relying on
 * the program not being entered twice on a CPU. Uprobe programs are: preempted, two runs shared a
 * stack, and uses got each other's socket and wrong ids (seen on 7.2). A program that can make a tail
 * call has no private stack; this one stands behind a constant that is never true, and costs nothing.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} nowhere __weak SEC(".maps");

const volatile __u8 conf_never __weak = 0;

/* array: which takes programs of this type; one takes one type only. */
#define OWN_STACK_BY(ctx, array)                                                                   \
	do {                                                                                       \
		if (conf_never)                                                                    \
			bpf_tail_call(ctx, array, 0);                                              \
	} while (0)
#define OWN_STACK(ctx) OWN_STACK_BY(ctx, &nowhere)

/* Which configuration's filters are in force, and by what they decide (TT_FILTER_*); 0 = there are none. */
volatile __u32 filter_now __weak = 0;

int filter_takes(__u32 counts);

volatile __u32 own_tgids[TT_OWN_MAX] __weak = {};	/* tokentrail's processes; 0 = none */

/* Is it none of tokentrail's own? Asked at each call, so no table is looked up. */
static __always_inline int foreign(void)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;

#pragma clang loop unroll(full)
	for (int i = 0; i < TT_OWN_MAX; i++)
		if (own_tgids[i] == tgid)
			return 0;
	return 1;
}

/* A number of the configuration: whoever was let in under it need not ask again. */
static __always_inline __u8 filter_number(void)
{
	return filter_now >> 8;
}

/* Where bytes would be taken. Elsewhere foreign() will do. */
static __always_inline int watched(void)
{
	return foreign() && (!filter_now || filter_takes(1));
}

/* Every way of losing something ends in this. */
static __always_inline int drop(__u32 reason)
{
	__u64 *count = bpf_map_lookup_elem(&drops, &reason);

	if (count)
		*count += 1;
	return 0;
}

#endif
