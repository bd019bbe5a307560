/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a socket says of itself: a call of a helper for each member. bpf_rdonly_cast() (6.2) would save it, but for a
 * kernel function libbpf holds all of the kernel's types while it loads: 6 MiB more resident (src/README.md).
 */
#ifndef TT_SOCK_BPF_H
#define TT_SOCK_BPF_H

#include "maps.bpf.h"

#define SOCK_STREAM_TYPE 1	/* SOCK_STREAM, linux/net.h */

static __always_inline int sock_is_stream(struct sock *sk)
{
	return BPF_CORE_READ(sk, sk_type) == SOCK_STREAM_TYPE;
}

static __always_inline int sock_is_known(struct sock *sk)
{
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	return family == TT_AF_INET || family == TT_AF_INET6 || family == TT_AF_UNIX;
}

static __always_inline void sock_tuple(struct sock *sk, struct tt_tuple *t)
{
	__builtin_memset(t, 0, sizeof(*t));
	t->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (t->family == TT_AF_UNIX) {
		/* No address; the inode tells this socket from a later one at the same place. */
		*(__u64 *)t->local = BPF_CORE_READ(sk, sk_socket, file, f_inode, i_ino);
		return;
	}
	t->remote_port = __builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport));
	t->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	if (t->family == TT_AF_INET) {
		*(__be32 *)t->local = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
		*(__be32 *)t->remote = BPF_CORE_READ(sk, __sk_common.skc_daddr);
	} else {
		BPF_CORE_READ_INTO((struct in6_addr *)t->local, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO((struct in6_addr *)t->remote, sk, __sk_common.skc_v6_daddr);
	}
}

/* TCP's number of the byte behind all that the socket's programs have written or read. */
static __always_inline __u32 sock_tcp_next(struct sock *sk, __u32 dir)
{
	return dir == OUT ? BPF_CORE_READ((struct tcp_sock *)sk, write_seq) : BPF_CORE_READ((struct tcp_sock *)sk, copied_seq);
}

#endif
