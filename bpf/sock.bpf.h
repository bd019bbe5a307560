/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a socket says of itself. Since 6.2 (kernel commit a35b9af4ec2c) a program may follow a pointer that it was
 * given as a number, which costs a load; before, a call of a helper for each member. Which of both is settled when the
 * programs are loaded.
 */
#ifndef TT_SOCK_BPF_H
#define TT_SOCK_BPF_H

#include "maps.bpf.h"

#define SOCK_STREAM_TYPE 1	/* SOCK_STREAM, linux/net.h */

/* Declared where it is used only: libbpf before 1.2 does not link two objects that both have it. */
extern void *bpf_rdonly_cast(const void *pointer, __u32 type) __ksym __weak;

#define AS(type, pointer) ((type *)bpf_rdonly_cast(pointer, bpf_core_type_id_kernel(type)))
#define READ_OF(type, pointer, member)                                                             \
	(bpf_rdonly_cast ? AS(type, pointer)->member : BPF_CORE_READ((type *)(pointer), member))
#define SOCK_READ(sk, member) READ_OF(struct sock, sk, member)

static __always_inline int sock_is_stream(struct sock *sk)
{
	return SOCK_READ(sk, sk_type) == SOCK_STREAM_TYPE;
}

static __always_inline int sock_is_known(struct sock *sk)
{
	__u16 family = SOCK_READ(sk, __sk_common.skc_family);

	return family == TT_AF_INET || family == TT_AF_INET6 || family == TT_AF_UNIX;
}

static __always_inline void sock_tuple(struct sock *sk, struct tt_tuple *t)
{
	__builtin_memset(t, 0, sizeof(*t));
	t->family = SOCK_READ(sk, __sk_common.skc_family);
	if (t->family == TT_AF_UNIX) {
		/* No address; the inode tells this socket from a later one at the same place. */
		*(__u64 *)t->local = BPF_CORE_READ(sk, sk_socket, file, f_inode, i_ino);
		return;
	}
	t->remote_port = __builtin_bswap16(SOCK_READ(sk, __sk_common.skc_dport));
	t->local_port = SOCK_READ(sk, __sk_common.skc_num);
	if (t->family == TT_AF_INET) {
		*(__be32 *)t->local = SOCK_READ(sk, __sk_common.skc_rcv_saddr);
		*(__be32 *)t->remote = SOCK_READ(sk, __sk_common.skc_daddr);
	} else {
		BPF_CORE_READ_INTO((struct in6_addr *)t->local, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO((struct in6_addr *)t->remote, sk, __sk_common.skc_v6_daddr);
	}
}

/* TCP's number of the byte behind all that the socket's programs have written or read. */
static __always_inline __u32 sock_tcp_next(struct sock *sk, __u32 dir)
{
	return dir == OUT ? READ_OF(struct tcp_sock, sk, write_seq) : READ_OF(struct tcp_sock, sk, copied_seq);
}

#endif
