/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The task that runs. Since 5.11 (kernel commit 3ca1032ab7ab) a program may follow the pointer to it, which costs a
 * load; before, a call of a helper for each step. Which of both is settled when the programs are loaded.
 */
#ifndef TT_KERNEL_BPF_H
#define TT_KERNEL_BPF_H

#include "kernel_types.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <tokentrail/abi.h>

#define TASK_DIRECT bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_current_task_btf)

static __always_inline __u32 task_flags(void)
{
	if (TASK_DIRECT)
		return ((struct task_struct *)bpf_get_current_task_btf())->flags;
	return BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), flags);
}

#define PF_KTHREAD_BIT 0x200000	/* PF_KTHREAD, linux/sched.h */

/* A thread of the kernel's own. */
static __always_inline int task_is_kernel(void)
{
	return (task_flags() & PF_KTHREAD_BIT) != 0;
}

#if defined(__TARGET_ARCH_x86)
#define USER_SP(regs) ((regs)->sp)
#elif defined(__TARGET_ARCH_arm64)
#define USER_SP(regs) ((regs)->user.sp)
#endif

/* Its stack where it entered the kernel; 0 before 5.15, which has no cookies either (record.bpf.h). */
static __always_inline __u64 task_user_sp(void)
{
	if (!bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs))
		return 0;
	return USER_SP((struct pt_regs *)bpf_task_pt_regs((void *)bpf_get_current_task_btf()));
}

/* When its process began, CLOCK_BOOTTIME. */
static __always_inline __u64 task_start_ns(void)
{
	if (TASK_DIRECT)
		return ((struct task_struct *)bpf_get_current_task_btf())->group_leader->start_boottime;
	return BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), group_leader, start_boottime);
}

/* Its process's name: that of the first thread. */
static __always_inline void task_comm(__u8 to[static TT_COMM_LEN])
{
	struct task_struct *leader;
	const __u64 *word;

	if (TASK_DIRECT) {
		leader = ((struct task_struct *)bpf_get_current_task_btf())->group_leader;
		word = (const __u64 *)__builtin_preserve_access_index(&leader->comm);
		((__u64 *)to)[0] = word[0];
		((__u64 *)to)[1] = word[1];
		return;
	}
	leader = BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), group_leader);
	bpf_probe_read_kernel(to, TT_COMM_LEN, __builtin_preserve_access_index(&leader->comm));
}
_Static_assert(TT_COMM_LEN == 16, "task_comm() takes two words");

/* Its cgroup's id in the second hierarchy: what bpf_get_current_cgroup_id() returns, without the call. */
static __always_inline __u64 task_cgroup(void)
{
	if (TASK_DIRECT)
		return ((struct task_struct *)bpf_get_current_task_btf())->cgroups->dfl_cgrp->kn->id;
	return bpf_get_current_cgroup_id();
}

/* Its user, as the initial user namespace has it: so too. */
static __always_inline __u32 task_uid(void)
{
	if (TASK_DIRECT)
		return ((struct task_struct *)bpf_get_current_task_btf())->cred->uid.val;
	return bpf_get_current_uid_gid();
}

#endif
