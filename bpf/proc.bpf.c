/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Processes: when each last began to run a program, which is what its first TLS is measured from. */
#include "filter.bpf.h"

SEC("raw_tp/sched_process_exec")
int proc_exec(struct bpf_raw_tracepoint_args *ctx)
{
	struct tt_cover_key key;
	struct tt_cover_row *row;
	struct tt_exec exec;
	__u32 tgid;

	if (!cover_key(&key))
		return 0;
	tgid = key.tgid;
	exec.start_ns = key.start_ns;
	exec.exec_ns = bpf_ktime_get_boot_ns();
	bpf_map_update_elem(&execs, &tgid, &exec, BPF_ANY);
	if (filter_now)
		filter_exec();
	row = bpf_map_lookup_elem(&cover_procs, &key);
	if (!row)
		return 0;
	/* The bytes are the process's, the times and the name its new program's. */
	row->exec_ns = exec.exec_ns;
	row->first_tls_ns = 0;
	row->first_call_ns = 0;
	row->called = 0;
	task_comm(row->comm);
	return 0;
}
