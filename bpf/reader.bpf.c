/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The HTTP reader, and that of bodies, as programs that others tail-call: reader.bpf.h. Attached to nothing
 * themselves.
 */
#include "reader.bpf.h"

static __always_inline int read_over(int slot, int missed)
{
	struct scratch *s = scratch_get(slot);

	if (s)
		scratch_release(s, slot);
	return missed ? drop(TT_DROP_call_lost) : 0;
}

/* In most calls there is no body to be read. */
static __always_inline int read_mine(void *ctx, void *reader)
{
	int slot = scratch_mine();
	__u32 spans;

	if (slot < 0)
		return drop(TT_DROP_call_lost);
	spans = http_run(slot);
	if (spans)
		bpf_tail_call(ctx, reader, READ_BODIES);
	return read_over(slot, spans);
}

static __always_inline int read_bodies(void)
{
	int slot = scratch_mine();

	if (slot < 0)
		return drop(TT_DROP_call_lost);
	body_run(slot);
	return read_over(slot, 0);
}

SEC("uprobe")
int tls_read(struct pt_regs *ctx)
{
	OWN_STACK(ctx);
	return read_mine(ctx, &tls_reader);
}

SEC("uprobe")
int tls_bodies(struct pt_regs *ctx)
{
	OWN_STACK(ctx);
	return read_bodies();
}

/* The kernel keeps the program of a raw tracepoint from being entered twice on a CPU, but not what several
 * of them call. */
SEC("raw_tp")
int sock_read(struct bpf_raw_tracepoint_args *ctx)
{
	OWN_STACK_BY(ctx, &sock_reader);
	return read_mine(ctx, &sock_reader);
}

SEC("raw_tp")
int sock_bodies(struct bpf_raw_tracepoint_args *ctx)
{
	OWN_STACK_BY(ctx, &sock_reader);
	return read_bodies();
}
