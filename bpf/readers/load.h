/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Eight bytes at once from wherever they lie. Of an address that it does not know to be aligned clang makes
 * eight loads of a byte for BPF, 22 instructions in all; the kernel allows one load of eight on the
 * machines that tokentrail is for, and the readers look at every byte that way.
 */
#ifndef TT_READERS_LOAD_H
#define TT_READERS_LOAD_H

#include <linux/types.h>

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

struct load_bytes {
	__u8 byte[8];
} __attribute__((may_alias));

static __always_inline __u64 load_word(const void *from)
{
	__u64 word;

#ifdef __bpf__
	asm("%0 = *(u64 *)(%1 + 0)" : "=r"(word) : "r"(from), "m"(*(const struct load_bytes *)from));
#else
	__builtin_memcpy(&word, from, 8);
#endif
	return word;
}

static __always_inline void store_word(void *to, __u64 word)
{
#ifdef __bpf__
	asm("*(u64 *)(%1 + 0) = %2" : "=m"(*(struct load_bytes *)to) : "r"(to), "r"(word));
#else
	__builtin_memcpy(to, &word, 8);
#endif
}

#endif
