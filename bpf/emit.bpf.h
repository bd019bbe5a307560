/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Records for the agent: fill the header, write, or count a drop. Nothing else touches the ring. */
#ifndef TT_EMIT_BPF_H
#define TT_EMIT_BPF_H

#include "conf.bpf.h"
#include "scratch.bpf.h"

static __always_inline void emit_header(struct tt_ev_hdr *h, __u32 type, __u32 len)
{
	__u64 id = bpf_get_current_pid_tgid();

	h->type = type;
	h->abi = TT_ABI;
	h->len = len;
	h->time_ns = bpf_ktime_get_boot_ns();
	h->start_ns = task_start_ns();
	h->cgroup = task_cgroup();
	h->tgid = id >> 32;
	h->tid = id;
	h->uid = task_uid();
	task_comm(h->comm);
}

static __always_inline void emit_conn(struct tt_ev_hdr *h, const struct conn *c, __u32 seq)
{
	h->conn = c->id;
	h->seq = seq;
	h->tuple = c->tuple;
}

/* The agent looks at the ring on a timer; it is woken only when much has piled up: a wake-up for
 * each record costs the probed program more than all the rest. */
static __always_inline int emit(void *record, __u32 len)
{
	__u64 wake = bpf_ringbuf_query(&rb_data, BPF_RB_AVAIL_DATA) >= conf_wake_bytes ?
			     BPF_RB_FORCE_WAKEUP :
			     BPF_RB_NO_WAKEUP;
	long r = bpf_ringbuf_output(&rb_data, record, len, wake);

	if (r)
		drop(TT_DROP_ring_full);
	return r;
}

static __always_inline void emit_status(struct tt_ev_status *e, const struct conn *c, __u32 seq,
					__u32 status)
{
	__builtin_memset(e, 0, sizeof(*e));
	emit_header(&e->h, TT_EV_STATUS, sizeof(*e));
	emit_conn(&e->h, c, seq);
	e->status = status;
	emit(e, sizeof(*e));
}

/* The end of a connection. Made in the ring: who sees it has no stack left. */
static __always_inline void emit_close(const struct conn *c, __u32 seq)
{
	struct tt_ev_status *e = bpf_ringbuf_reserve(&rb_data, sizeof(*e), 0);

	if (!e) {
		drop(TT_DROP_ring_full);
		return;
	}
	__builtin_memset(e, 0, sizeof(*e));
	emit_header(&e->h, TT_EV_CLOSE, sizeof(*e));
	emit_conn(&e->h, c, seq);
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
}

#define GRPC_STATUS_MAX 16	/* gRPC, "Status codes and their use" */

/* A request's end: its status, for gRPC that of the call plus 1 too; 0 = there was none. */
static __always_inline void fill_answer(struct tt_ev_status *e, const struct conn *c, __u32 seq,
					__u32 status, __u32 grpc)
{
	__builtin_memset(e, 0, sizeof(*e));
	emit_header(&e->h, TT_EV_STATUS, sizeof(*e));
	emit_conn(&e->h, c, seq);
	e->status = status;
	if (grpc)
		e->grpc = grpc - 1 <= GRPC_STATUS_MAX ? grpc - 1 : 255;
	e->flags = grpc ? TT_STATUS_GRPC : 0;
}

static __always_inline void emit_answer(struct tt_ev_status *e, const struct conn *c, __u32 seq,
					__u32 status, __u32 grpc)
{
	fill_answer(e, c, seq, status, grpc);
	emit(e, sizeof(*e));
}

#endif
