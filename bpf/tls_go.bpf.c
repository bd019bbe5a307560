/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Go's crypto/tls, from 1.17 on: (*Conn).Write, .Read and .Close. A call belongs to a goroutine, which
 * may go on in another thread at any time; a third of the returns do. Its stack may be moved to a
 * larger place, so places on it count from its upper end, which stays the end.
 *
 * The entry probes stand behind the check for stack space, after which a function begins only once;
 * returns are seen by probes on the return instructions.
 *
 * What is written is taken when Write begins: the answer is read by another goroutine, often before
 * that Write has returned, and the connection may be closed by then. But a server's answer is taken
 * when Write returns if it is what tells the socket: the request may have been read from that along
 * with the handshake.
 */
#include "tls.bpf.h"

/* The first member of runtime.g */
struct go_stack {
	__u64 lo, hi;
};

static __always_inline int go_stack_of(__u64 g, struct go_stack *stack)
{
	return bpf_probe_read_user(stack, sizeof(*stack), (void *)g);
}

static __always_inline void go_caller(struct pt_regs *ctx, struct caller *who)
{
	who->id = bpf_get_current_pid_tgid() >> 32 << 32;
	who->g = ctx->GO_G;
}

/*
 * A call on this connection in this direction was begun before and did not end: its row had to make
 * room for another's, or two goroutines call at once and nobody can tell whose bytes come first.
 */
static __always_inline void go_open(struct conn *c, __u32 dir)
{
	__u8 *open = dir == OUT ? &c->open[OUT] : &c->open[IN];

	if (*open)
		http_gap(conn_dir(c, dir));
	*open = 1;
}

/* The caller's row with the call in it, or NULL if the call does not count. */
static __noinline struct thread *go_begin(struct pt_regs *ctx, __u32 dir)
{
	struct call call = {
		.object = ctx->GO_ARG1,
		.buf = ctx->GO_ARG2,
		.num = ctx->GO_ARG3,
		.ip = PT_REGS_IP(ctx),
	};
	struct go_stack stack;
	struct caller who;
	struct thread *t;

	if (!watched()) {
		call_left(call.object, TT_TLS_GO);
		return 0;
	}
	go_caller(ctx, &who);
	if (go_stack_of(who.g, &stack)) {
		drop(TT_DROP_call_lost);
		return 0;
	}
	call.size_out = stack.hi;
	call.sp = PT_REGS_SP(ctx) - stack.hi;
	if (!threads_go)
		threads_go = 1;
	t = call_note(&who, &call, TT_TLS_GO, dir, RESULT_LONG);
	if (t) {
		t->on_stack = call.buf >= stack.lo && call.buf < stack.hi;
		t->filter = filter_number();
	}
	return t;
}

SEC("uprobe")
int go_read_in(struct pt_regs *ctx)
{
	struct thread *t;
	struct conn_key key;
	struct conn *c;

	OWN_STACK(ctx);
	t = go_begin(ctx, IN);
	if (!t)
		return 0;
	call_key(t, &key);
	c = bpf_map_lookup_elem(&conns, &key);
	if (c)
		go_open(c, IN);
	return 0;
}

/* Of the next request, as struct tt_ev_hdr has it; of HTTP/2 no later one has a smaller number. */
static __always_inline __u32 go_next_seq(const struct conn *c)
{
	return c->dir[OUT].state == H1_S_H2 ? TT_SEQ_STREAM | (c->last_stream + 1) : c->sent;
}

/* Does this process answer on this connection, for sure? */
static __always_inline int go_answers(const struct conn *c)
{
	if (c->dir[IN].state == H1_S_H2)
		return c->dir[IN].digits == H2_FROM_PREFACE;
	return c->dir[IN].kind == H1_REQUESTS;
}

SEC("uprobe")
int go_write_in(struct pt_regs *ctx)
{
	struct thread *t;
	struct conn_key key;
	struct conn *c;

	OWN_STACK(ctx);
	t = go_begin(ctx, OUT);
	if (!t)
		return 0;
	call_key(t, &key);
	c = bpf_map_lookup_elem(&conns, &key);
	if (!c && http_may_begin(t->buf, t->num))
		c = conn_new(&key);
	if (!c)
		return 0;
	go_open(c, OUT);
	if (!c->sock && go_answers(c))
		return 0;
	t->taken = 1;
	t->first = go_next_seq(c);
	if (http_idle(&c->dir[OUT], t->buf, t->num))
		return 0;
	return read_call(ctx, &tls_reader, call_slot(&key, c, t, t->num));
}

SEC("uprobe")
int go_close_in(struct pt_regs *ctx)
{
	OWN_STACK(ctx);
	return object_end(ctx->GO_ARG1, TT_TLS_GO);
}

/* The call that ends here, if it is one that counts. */
static __noinline struct thread *go_ending(struct pt_regs *ctx)
{
	struct go_stack stack;
	struct caller who;
	struct thread *t;

	go_caller(ctx, &who);
	t = bpf_map_lookup_elem(&threads, &who);
	if (!t) {
		/* What is left alone was counted when it began. */
		if (ctx->GO_RESULT1 && foreign() && (!filter_now || filter_takes(0)))
			drop(TT_DROP_call_lost);
		return 0;
	}
	if (!t->in_call || go_stack_of(who.g, &stack) || PT_REGS_SP(ctx) - stack.hi != t->sp)
		return 0;
	t->in_call = 0;
	if (t->on_stack)
		t->buf += stack.hi - t->size_out;
	return t;
}

#define GO_UNSENT_MAX PIPELINE_MAX

/* Repeats among them: of HTTP/1. Global, as the next: verified once, not for each of them. */
__weak __noinline int go_unsent_row(__u64 object, __u32 seq)
{
	struct conn_key key = { .object = object, .tgid = bpf_get_current_pid_tgid() >> 32, .tls = TT_TLS_GO };
	__u64 at = seq & (PIPELINE_MAX - 1), row = seq & (ROWS_PENDING - 1);
	struct conn *c = bpf_map_lookup_elem(&conns, &key);

	if (!c || !(c->pending[at] & PENDING_ROW))
		return 0;
	fold_answer(c->row[row].row, c->row[row].gen, ROW_UNSENT, 0);
	c->pending[at] = 0;
	return 0;
}

/* and of HTTP/2. */
__weak __noinline int go_unsent_stream(__u64 object, __u32 number)
{
	struct conn_key key = { .object = object, .tgid = bpf_get_current_pid_tgid() >> 32, .tls = TT_TLS_GO };
	struct conn *c = bpf_map_lookup_elem(&conns, &key);
	struct stream_key at = { .stream = number };
	struct stream *row;

	if (!c)
		return 0;
	at.conn = c->id;
	row = stream_find(c, &at);
	if (!row || !row->row.row)
		return 0;
	fold_answer(row->row.row, row->row.gen, ROW_UNSENT, 0);
	stream_forget(c, &at);
	return 0;
}

static __noinline void go_unsent_rows(__u64 object, __u32 first, __u32 end)
{
#pragma nounroll
	for (__u32 i = 0; i < GO_UNSENT_MAX; i++, first++) {
		if (first == end)
			break;
		if (first & TT_SEQ_STREAM)
			go_unsent_stream(object, first & ~TT_SEQ_STREAM);
		else
			go_unsent_row(object, first);
	}
}

/* The requests of a Write that failed before any byte left are no uses. */
static __noinline void go_unsent(const struct conn *c, __u64 object, __u32 first)
{
	struct tt_ev_status e = {};

	if (go_next_seq(c) == first)
		return;
	go_unsent_rows(object, first, go_next_seq(c));
	emit_header(&e.h, TT_EV_STATUS, sizeof(e));
	emit_conn(&e.h, c, first);
	e.flags = TT_STATUS_UNSENT;
	emit(&e, sizeof(e));
}

/* The return of Write or Read: a count of bytes and an error, both at once possibly. */
SEC("uprobe")
int go_return_in(struct pt_regs *ctx)
{
	__u64 bytes = ctx->GO_RESULT1;
	struct thread *t;
	struct conn_key key;
	struct conn *c;

	OWN_STACK(ctx);
	t = go_ending(ctx);
	if (!t)
		return 0;
	if (t->filter != filter_number() && !watched())
		return call_left(t->object, TT_TLS_GO);
	call_key(t, &key);
	c = bpf_map_lookup_elem(&conns, &key);
	if (c)
		*(t->dir == OUT ? &c->open[OUT] : &c->open[IN]) = 0;
	if (c && t->taken && !bytes)
		go_unsent(c, t->object, t->first);
	if (!bytes || bytes > t->num) {
		if (t->wire_sock)
			cover_ended(t);
		return 0;
	}
	cover_called(t, c ? c->sock : 0, bytes);
	if (t->taken) {
		if (c)
			call_nested(&key, c, t, bytes);
		return 0;
	}
	c = call_conn(&key, c, t, bytes);
	if (!c || http_idle(conn_dir(c, t->dir), t->buf, bytes))
		return 0;
	return read_call(ctx, &tls_reader, call_slot(&key, c, t, bytes));
}
