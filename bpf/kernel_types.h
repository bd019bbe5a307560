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

struct file {
	struct inode *f_inode;
	void *private_data;
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

struct task_struct {
	struct task_struct *group_leader;
	unsigned int flags;
	__u64 start_boottime;	/* real_start_time before 5.5 (kernel commit cf25e24db61c) */
	char comm[16];
	struct files_struct *files;
} TT_CORE;

#endif
