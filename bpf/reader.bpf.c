/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The HTTP reader as programs that others tail-call: reader.bpf.h. Attached to nothing themselves.
 */
#include "reader.bpf.h"

static __always_inline int read_mine(void)
{
	int slot = scratch_mine();

	return slot < 0 ? drop(TT_DROP_call_lost) : http_run(slot);
}

SEC("uprobe")
int tls_read(struct pt_regs *ctx)
{
	OWN_STACK(ctx);
	return read_mine();
}

/* The kernel keeps the program of a raw tracepoint from being entered twice on a CPU, but not what several
 * of them call. */
SEC("raw_tp")
int sock_read(struct bpf_raw_tracepoint_args *ctx)
{
	OWN_STACK_BY(ctx, &sock_reader);
	return read_mine();
}
