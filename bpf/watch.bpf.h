/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who is observed, and counting what is not reported. */
#ifndef TT_WATCH_BPF_H
#define TT_WATCH_BPF_H

#include "maps.bpf.h"

static __always_inline int watched(void)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;

	return !bpf_map_lookup_elem(&skip, &tgid);
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
