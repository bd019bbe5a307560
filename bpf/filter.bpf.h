/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which processes the configuration leaves alone (include, exclude), before a byte of theirs is read.
 *
 * Patterns are matched by the monitor, once for each executable and each cgroup; here their verdicts are
 * looked up. An executable is known by a hash over its place in the kernel's tree of names, which tells one
 * path from another and is the same for all that run it: a program of a path that ran before is decided when
 * it begins. What has no verdict yet is asked for (`filter_asks`, which wakes the monitor) and not read.
 *
 * Each verdict is there twice, for this configuration and the next: the monitor writes all of the next one's
 * and then changes over to it by one word, so that no process is undecided for a moment.
 */
#ifndef TT_FILTER_BPF_H
#define TT_FILTER_BPF_H

#include "procs.bpf.h"
#include "readers/fields.h"

#define FILTER_TICKS_NS 30000000	/* what a start that the monitor read may differ by: /proc counts ticks */
#define FILTER_AGAIN_NS 1000000000ULL	/* an unanswered question is asked again after this */

/* What a process runs. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, struct tt_filter_proc);
} filter_procs __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, TT_FILTER_EXES);
	__type(key, __u64);
	__type(value, struct tt_filter_row);
} filter_exes __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, TT_FILTER_CGROUPS);
	__type(key, __u64);
	__type(value, struct tt_filter_row);
} filter_cgroups __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, TT_FILTER_ASKS_BYTES);
} filter_asks __weak SEC(".maps");

/* Calls of processes that are left alone. No loss: they are not wanted. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} filter_left __weak SEC(".maps");

/* ---- the path of what a process runs ---- */

/* A place in the tree of names: struct vfsmount *, struct dentry *. */
struct place {
	__u64 mnt, dentry;
};

/* The mount of what is one step above a place, over a name or from a mount to where it is mounted; 0: this is the
 * top. Global, as what follows: verified once, not for each step. */
__weak __noinline __u64 place_mnt_up(__u64 mnt, __u64 dentry)
{
	struct mount *m = (void *)mnt - bpf_core_field_offset(struct mount, mnt), *below;

	if (dentry != (__u64)BPF_CORE_READ((struct vfsmount *)mnt, mnt_root))
		return mnt;
	below = BPF_CORE_READ(m, mnt_parent);
	return below == m ? 0 : (__u64)below + bpf_core_field_offset(struct mount, mnt);
}

/* The name of that; up is its mount, or 0. 0: there is none, or the place isn't under its mount's root. */
__weak __noinline __u64 place_name_up(__u64 mnt, __u64 dentry, __u64 up)
{
	__u64 parent;

	if (!up)
		return 0;
	if (mnt != up)
		return (__u64)BPF_CORE_READ((struct mount *)(mnt - bpf_core_field_offset(struct mount, mnt)),
					    mnt_mountpoint);
	parent = (__u64)BPF_CORE_READ((struct dentry *)dentry, d_parent);
	return parent == dentry ? 0 : parent;
}

/* 0: there is none. */
static __always_inline int place_up(const struct place *p, struct place *ret_up)
{
	ret_up->mnt = place_mnt_up(p->mnt, p->dentry);
	ret_up->dentry = place_name_up(p->mnt, p->dentry, ret_up->mnt);
	return ret_up->dentry != 0;
}

static __always_inline int place_of_exe(struct place *p)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct file *exe = BPF_CORE_READ(task, mm, exe_file);

	if (!exe)
		return 0;
	p->mnt = (__u64)BPF_CORE_READ(exe, f_path.mnt);
	p->dentry = (__u64)BPF_CORE_READ(exe, f_path.dentry);
	return p->mnt && p->dentry;
}

/* With the name that is left, if it is one. */
__weak __noinline __u64 filter_key_name(__u64 key, __u64 mnt, __u64 dentry, __u64 mnt_up)
{
	if (mnt != mnt_up)
		return key;
	key = tt_name_mix(key, dentry);
	return tt_name_mix(key, BPF_CORE_READ((struct dentry *)dentry, d_name.hash_len));
}

/* By where its names are in memory and what they are: neither alone would do, since memory is used again and
 * a name's hash is not of much use without its parent. 0: the path is too long, or there is none. */
__weak __noinline __u64 filter_exe_key(void)
{
	struct place p, up;
	__u64 key = 1;

	if (!place_of_exe(&p))
		return 0;
	for (int i = 0; i < TT_FILTER_PARTS; i++) {
		if (!place_up(&p, &up))
			return (key & ~TT_FILTER_TOLD) | 1;
		key = filter_key_name(key, p.mnt, p.dentry, up.mnt);
		p = up;
	}
	return 0;
}

/* The text of the name that is left, or 0. */
__weak __noinline __u64 filter_name_text(__u64 mnt, __u64 dentry, __u64 mnt_up)
{
	return mnt == mnt_up ? (__u64)BPF_CORE_READ((struct dentry *)dentry, d_name.name) : 0;
}

/* The names of that path, from the last to the first; an empty one stands for a mount. 0: one is too long, or
 * there are too many. */
static __noinline int filter_names(struct tt_filter_ask *ask)
{
	struct place p, up;
	__u64 text;

	if (!place_of_exe(&p))
		return 0;
	for (int i = 0; i < TT_FILTER_PARTS; i++) {
		if (!place_up(&p, &up)) {
			ask->parts = i;
			return 1;
		}
		text = filter_name_text(p.mnt, p.dentry, up.mnt);
		p = up;
		ask->part[i][0] = 0;
		if (text && bpf_probe_read_kernel_str(ask->part[i], TT_FILTER_NAME_LEN, (void *)text) ==
			    TT_FILTER_NAME_LEN)
			return 0;
	}
	return 0;
}

/* ---- questions ---- */

static __always_inline void filter_ask(__u32 kind, __u64 id, struct tt_filter_row *row)
{
	__u64 now = bpf_ktime_get_boot_ns();
	struct tt_filter_ask *ask;

	if (row->asked_ns && now - row->asked_ns < FILTER_AGAIN_NS)
		return;
	ask = bpf_ringbuf_reserve(&filter_asks, sizeof(*ask), 0);
	if (!ask)
		return;		/* the next call asks */
	row->asked_ns = now;
	ask->id = id;
	ask->tgid = bpf_get_current_pid_tgid() >> 32;
	ask->kind = kind;
	ask->parts = 0;
	ask->cut = 0;
	if (kind == TT_FILTER_ASK_EXE)
		ask->cut = !filter_names(ask);
	bpf_ringbuf_submit(ask, 0);
}

/* The verdict of a table's row; a row that is not there yet is made, and asked for. */
static __always_inline __u32 filter_look(void *table, __u32 kind, __u64 id, __u32 now)
{
	static const struct tt_filter_row empty;
	struct tt_filter_row *row = bpf_map_lookup_elem(table, &id);
	__u32 verdict;

	if (!row) {
		bpf_map_update_elem(table, &id, &empty, BPF_NOEXIST);
		row = bpf_map_lookup_elem(table, &id);
		if (!row)
			return TT_FILTER_UNKNOWN;
	}
	verdict = now & TT_FILTER_SIDE ? row->verdict[1] : row->verdict[0];
	if (verdict == TT_FILTER_UNKNOWN)
		filter_ask(kind, id, row);
	return verdict;
}

/* ---- verdicts ---- */

static __always_inline struct tt_filter_proc *filter_enter(__u32 tgid, __u64 start_ns)
{
	struct tt_filter_proc p = { .start_ns = start_ns, .exe = filter_exe_key() };

	if (!p.exe)
		return 0;
	bpf_map_update_elem(&filter_procs, &tgid, &p, BPF_ANY);
	return bpf_map_lookup_elem(&filter_procs, &tgid);
}

static __always_inline int filter_same(const struct tt_filter_proc *p, __u64 start_ns)
{
	if (p->exe & TT_FILTER_TOLD)
		return start_ns - p->start_ns + FILTER_TICKS_NS <= 2 * FILTER_TICKS_NS;
	return p->start_ns == start_ns;
}

/* By what the process runs. Its verdict is kept with it, together with the configuration that it is of: one
 * word, since several threads may write it. */
static __always_inline __u32 filter_exe(__u32 now)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32, verdict;
	struct tt_filter_proc *p = bpf_map_lookup_elem(&filter_procs, &tgid);
	__u64 start_ns = task_start_ns(), known;

	if (!p || !filter_same(p, start_ns))
		p = filter_enter(tgid, start_ns);
	if (!p)		/* a thread of the kernel runs nothing, and has no buffers that could be read */
		return task_is_kernel() ? TT_FILTER_WATCH : TT_FILTER_UNKNOWN;
	known = *(volatile __u64 *)&p->known;
	if (known >> 32 == now)
		return (__u32)known;
	verdict = filter_look(&filter_exes, TT_FILTER_ASK_EXE, p->exe, now);
	if (verdict != TT_FILTER_UNKNOWN)
		*(volatile __u64 *)&p->known = (__u64)now << 32 | verdict;
	return verdict;
}

static __always_inline __u32 filter_verdict(__u32 now)
{
	__u32 verdict = TT_FILTER_WATCH, more = TT_FILTER_WATCH;

	if (now & TT_FILTER_BY_EXE)
		verdict = filter_exe(now);
	if (verdict != TT_FILTER_LEAVE && (now & TT_FILTER_BY_CGROUP))
		more = filter_look(&filter_cgroups, TT_FILTER_ASK_CGROUP, task_cgroup(), now);
	if (verdict == TT_FILTER_LEAVE || more == TT_FILTER_LEAVE)
		return TT_FILTER_LEAVE;
	return verdict == TT_FILTER_WATCH ? more : verdict;
}

/* Whether a call of this process is looked at. `counts`: it is told if not. Global: verified once. */
__weak __noinline int filter_takes(__u32 counts)
{
	__u32 verdict = filter_verdict(filter_now), zero = 0;
	__u64 *left;

	if (verdict == TT_FILTER_WATCH)
		return 1;
	if (!counts)
		return 0;
	if (verdict == TT_FILTER_UNKNOWN)
		return drop(TT_DROP_filter_undecided);
	left = bpf_map_lookup_elem(&filter_left, &zero);
	if (left)
		*left += 1;
	return 0;
}

/* The process runs another program from here on. Asked for now, it has its verdict before it makes a call. */
__weak __noinline int filter_exec(void)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32, now = filter_now;

	if (now & (TT_FILTER_BY_EXE | TT_FILTER_LEARN)) {
		bpf_map_delete_elem(&filter_procs, &tgid);
		filter_exe(now);
	}
	if (now & TT_FILTER_BY_CGROUP)
		filter_look(&filter_cgroups, TT_FILTER_ASK_CGROUP, task_cgroup(), now);
	return 0;
}

#endif
