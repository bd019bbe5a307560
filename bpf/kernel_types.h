/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The few kernel structs that are read, with only the members that are read. Their real offsets
 * come from the running kernel's BTF when the programs are loaded (CO-RE).
 */
#ifndef TT_KERNEL_TYPES_H
#define TT_KERNEL_TYPES_H

#define __VMLINUX_H__ /* what libbpf's bpf_tracing.h asks for before it uses struct pt_regs */

#include <linux/types.h>
#include <linux/bpf.h>

#define TT_CORE __attribute__((preserve_access_index))

/* ---- what differs between machines: registers and the numbers of system calls ---- */

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip,
		cs, flags, sp, ss;
};

/* What Go has where, from 1.17 on (src/cmd/compile/abi-internal.md). */
#define GO_G r14
#define GO_ARG1 ax
#define GO_ARG2 bx
#define GO_ARG3 cx
#define GO_RESULT1 ax

#define RETURN_ADDRESS 8	/* bytes of stack that a call takes for it */

/* arch/x86/entry/syscalls/syscall_64.tbl */
enum {
	NR_READ = 0,
	NR_WRITE = 1,
	NR_READV = 19,
	NR_WRITEV = 20,
	NR_SENDFILE = 40,
	NR_SENDTO = 44,
	NR_RECVFROM = 45,
	NR_SENDMSG = 46,
	NR_RECVMSG = 47,
	NR_RECVMMSG = 299,
	NR_SENDMMSG = 307,
	NR_IO_URING_ENTER = 426,
};
#elif defined(__TARGET_ARCH_arm64)
/* arch/arm64/include/uapi/asm/ptrace.h; the second one begins with the first */
struct user_pt_regs {
	__u64 regs[31], sp, pc, pstate;
};
struct pt_regs {
	struct user_pt_regs user;
	__u64 orig_x0;
	__s32 syscallno;
};
#define GO_G user.regs[28]
#define GO_ARG1 user.regs[0]
#define GO_ARG2 user.regs[1]
#define GO_ARG3 user.regs[2]
#define GO_RESULT1 user.regs[0]
#define RETURN_ADDRESS 0	/* it is in a register */

/* include/uapi/asm-generic/unistd.h */
enum {
	NR_READ = 63,
	NR_WRITE = 64,
	NR_READV = 65,
	NR_WRITEV = 66,
	NR_SENDFILE = 71,
	NR_SENDTO = 206,
	NR_RECVFROM = 207,
	NR_SENDMSG = 211,
	NR_RECVMSG = 212,
	NR_RECVMMSG = 243,
	NR_SENDMMSG = 269,
	NR_IO_URING_ENTER = 426,
};
#else
#error "no register layout for this architecture yet"
#endif

struct in6_addr {
	__u8 bytes[16];
};

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	unsigned char skc_state;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
} TT_CORE;

struct inode {
	unsigned short i_mode;
	unsigned long i_ino;
} TT_CORE;

/* A name in the tree of names, which it is in as long as somebody uses it. */
struct qstr {
	__u64 hash_len;		/* of the name, salted with its parent's address */
	const unsigned char *name;
} TT_CORE;

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
} TT_CORE;

struct vfsmount {
	struct dentry *mnt_root;
} TT_CORE;

/* fs/mount.h */
struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
} TT_CORE;

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
} TT_CORE;

struct file {
	struct inode *f_inode;
	struct path f_path;
	void *private_data;
} TT_CORE;

struct mm_struct {
	struct file *exe_file;
} TT_CORE;

struct sock;

struct socket {
	struct file *file;
	struct sock *sk;
} TT_CORE;

struct sock {
	struct sock_common __sk_common;
	struct socket *sk_socket;
	__u16 sk_type;
	__u16 sk_protocol;
	__u8 sk_shutdown;
} TT_CORE;

struct tcp_sock {
	__u32 copied_seq;	/* of the next byte that the program will read */
	__u32 write_seq;	/* of the next one that it will write */
} TT_CORE;

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
} TT_CORE;

struct files_struct {
	struct fdtable *fdt;
} TT_CORE;

typedef struct {
	__u32 val;
} kuid_t;

struct cred {
	kuid_t uid;
} TT_CORE;

struct kernfs_node {
	__u64 id;		/* a union before 5.5 (kernel commit 67c0496e87d1), of the same size */
} TT_CORE;

struct cgroup {
	struct kernfs_node *kn;
} TT_CORE;

struct css_set {
	struct cgroup *dfl_cgrp;
} TT_CORE;

struct task_struct {
	struct task_struct *group_leader;
	const struct cred *cred;
	struct css_set *cgroups;
	unsigned int flags;
	__u64 start_boottime;	/* real_start_time before 5.5 (kernel commit cf25e24db61c) */
	char comm[16];
	struct mm_struct *mm;
	struct files_struct *files;
} TT_CORE;

#endif
