/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the monitor reads of each process: its row of coverage, and when its program began to run. */
#ifndef TT_PROCS_BPF_H
#define TT_PROCS_BPF_H

#include "watch.bpf.h"


/* No LRU table: what the monitor has not read yet must not go. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct tt_cover_key);
	__type(value, struct tt_cover_row);
} cover_procs __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, __u32);
	__type(value, struct tt_exec);
} execs __weak SEC(".maps");

/* 0: a kernel thread, which is nobody's. */
static __always_inline int cover_key(struct tt_cover_key *key)
{
	key->start_ns = task_start_ns();
	key->tgid = bpf_get_current_pid_tgid() >> 32;
	key->pad_ = 0;
	return !task_is_kernel();
}

#endif
