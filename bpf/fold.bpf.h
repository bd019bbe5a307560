/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Repeats are added up here: a use whose like has a row costs additions and no record (struct tt_row). The agent
 * maps the rows and reads them on its timer.
 *
 * No count may be lost or counted twice while programs on other CPUs add, and 5.10 has no atomic operation that
 * returns what was there. So whoever adds counts itself among the row's users and then looks whether the row is
 * still of the generation that it saw; who gives the row to another use first makes its generation odd and then
 * looks whether it has users. Each writes before it reads, so at least one of the two sees the other, and
 * whoever does goes back: the use is then a record, as if there were no rows. (Counts and generations are changed
 * by locked instructions, which x86 orders with all others.) Those who want to change a row exclude each other
 * like those who claim scratch slots do: by counting themselves, and only who is alone goes on.
 *
 * What a row held when it was given away goes out as one record; without room for that it stays.
 */
#ifndef TT_FOLD_BPF_H
#define TT_FOLD_BPF_H

#include "head.bpf.h"

#define ROW_PROBES 4			/* places where a row may lie */
#define ROW_IDLE_NS 1000000000ULL	/* one that was used so lately keeps its place: rows must not chase each other */
#define ROW_WAIT_NS 60000000000ULL	/* the same of one whose requests wait for their responses */
#define FOLD_WORDS 8			/* of a step */

volatile __u8 fold_off __weak = 0;	/* one record a call is wanted */

/* ---- what makes a use distinct ---- */

/* Words of the record in the slot, from one byte up to another. */
__weak __noinline int fold_step(__u32 slot, __u32 from, __u32 to)
{
	struct scratch *s = scratch_get(slot);
	__u64 at = from, word;

	if (!s)
		return 0;
#pragma nounroll
	for (int i = 0; i < FOLD_WORDS; i++) {
		if (at >= to || at + 8 > sizeof(s->use))
			break;
		__builtin_memcpy(&word, (__u8 *)&s->use + at, 8);
		lanes_mix(&s->fold, word);
		at += 8;
	}
	return 0;
}

#define FOLD_SPAN(member, len) fold_span(slot, __builtin_offsetof(struct tt_ev_use, member), len, \
					 sizeof(((struct tt_ev_use *)0)->member))

/* Behind its length a text is zero. Inlined: below a reader's steps there is room for two calls. */
static __always_inline void fold_span(__u32 slot, __u32 from, __u32 len, __u32 max)
{
	const __u32 to = from + len;

#pragma nounroll
	for (__u32 i = 0; i < (max + 8 * FOLD_WORDS - 1) / (8 * FOLD_WORDS); i++, from += 8 * FOLD_WORDS) {
		if (from >= to)
			break;
		fold_step(slot, from, to);
	}
}

static __always_inline __u16 tuple_client_port(const struct tt_tuple *t, int egress)
{
	return egress ? t->local_port : t->remote_port;
}

/* The client's port is not what makes a use another one. */
static __always_inline __u16 fold_port(const struct tt_ev_use *e)
{
	return tuple_client_port(&e->h.tuple, e->dir == TT_DIR_EGRESS);
}

/* All that the agent tells uses by (src/agent/fold.c), as the record has it. */
static __always_inline void fold_hash(struct scratch *s, __u32 slot)
{
	struct tt_ev_use *e = &s->use;
	__u16 port = e->dir == TT_DIR_EGRESS ? e->h.tuple.remote_port : e->h.tuple.local_port;

	s->fold.lane[0] = conf_mask[3] ^ e->h.start_ns;
	s->fold.lane[1] = conf_mask[0];
	lanes_mix(&s->fold, e->h.cgroup);
	lanes_mix(&s->fold, e->h.tgid | (__u64)e->h.uid << 32);
	lanes_mix(&s->fold, port | (__u64)e->h.tuple.family << 16 | (__u64)e->mcp_method_len << 32 |
			    (__u64)e->mcp_name_len << 40 | (__u64)e->public_len << 48 | (__u64)e->public_cred << 56);
	FOLD_SPAN(h.comm, TT_COMM_LEN);
	FOLD_SPAN(h.tuple.local, 32);
	FOLD_SPAN(dir, 8 + TT_METHOD_LEN);
	FOLD_SPAN(path, e->path_len);
	FOLD_SPAN(host, e->host_len);
	FOLD_SPAN(mcp_method, e->mcp_method_len);
	FOLD_SPAN(mcp_name, e->mcp_name_len);
	FOLD_SPAN(public_id, e->public_len);
	FOLD_SPAN(cred, e->creds * sizeof(struct tt_cred));
}

/* ---- adding ---- */

static __always_inline struct tt_row *row_get(__u32 row)
{
	return bpf_map_lookup_elem(&use_rows, &row);
}

#define ROW_GEN(r) (*(volatile __u32 *)&(r)->gen)

/* From here to row_leave() it stays what it is. 0: it is another one by now. */
static __always_inline int row_enter(struct tt_row *r, __u32 gen)
{
	__sync_fetch_and_add(&r->users, 1);
	if (ROW_GEN(r) == gen)
		return 1;
	__sync_fetch_and_add(&r->users, -1);
	return 0;
}

static __always_inline void row_leave(struct tt_row *r)
{
	__sync_fetch_and_add(&r->users, -1);
}

/* Nobody else changes it meanwhile. 0: somebody does. */
static __always_inline int row_lock(struct tt_row *r)
{
	__sync_fetch_and_add(&r->takers, 1);
	if (*(volatile __u32 *)&r->takers == 1)
		return 1;
	__sync_fetch_and_add(&r->takers, -1);
	return 0;
}

static __always_inline void row_unlock(struct tt_row *r)
{
	asm volatile("" ::: "memory");
	__sync_fetch_and_add(&r->takers, -1);
}

/* One more use, of whoever is in the row. */
static __always_inline void row_more(struct tt_row *r, __u16 port, __u64 now)
{
	/* The agent reads them the other way round: it may find a change of which it has no use yet, not a use
	 * whose change it missed. */
	if (r->port != port) {
		r->ports++;
		asm volatile("" ::: "memory");
		r->port = port;
	}
	r->last_ns = now;
	__sync_fetch_and_add(&r->uses, 1);
	row_leave(r);
}

/* Adds the use in the slot. */
static __always_inline int row_add(struct scratch *s, struct tt_row *r)
{
	__u32 gen = ROW_GEN(r);

	if (!gen || (gen & 1) || r->key[0] != s->fold.lane[0] || !row_enter(r, gen))
		return 0;
	if (r->key[0] != s->fold.lane[0] || r->key[1] != s->fold.lane[1]) {
		row_leave(r);
		return 0;
	}
	row_more(r, fold_port(&s->use), s->use.h.time_ns);
	s->row.gen = gen;
	return 1;
}

/* ---- a row for another use ---- */

static __always_inline __u64 row_waiting(const struct tt_row *r)
{
	__u64 n = r->uses - r->unsent;

	for (int i = 0; i < TT_ROW_STATUSES; i++)
		n -= r->status[i].count;
	return n;
}

/* How long nobody has used it; 0: it is not to be had. */
static __always_inline __u64 row_idle(const struct tt_row *r, __u64 now)
{
	__u64 idle;

	if (!r->gen)
		return ~0ULL;
	if ((r->gen & 1) || r->last_ns > now)
		return 0;
	idle = now - r->last_ns;
	return idle < ROW_IDLE_NS || (idle < ROW_WAIT_NS && row_waiting(r)) ? 0 : idle;
}

/* What the row counted goes out; nobody adds to it any more. 0: there is no room for that. */
static __always_inline int row_tell(struct tt_row *r, __u32 row)
{
	struct tt_ev_row *e;

	if (!r->uses)
		return 1;
	e = bpf_ringbuf_reserve(&rb_data, sizeof(*e), 0);
	if (!e)
		return 0;
	__builtin_memset(&e->h, 0, sizeof(e->h));
	e->h.type = TT_EV_ROW;
	e->h.abi = TT_ABI;
	e->h.len = sizeof(*e);
	e->h.time_ns = bpf_ktime_get_boot_ns();
	e->row = row;
	e->pad_ = 0;
	bpf_probe_read_kernel(&e->was, sizeof(e->was), r);
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	return 1;
}

static __always_inline void row_set(struct scratch *s, struct tt_row *r)
{
	r->port = fold_port(&s->use);
	r->pad_ = 0;
	r->ports = 0;
	r->key[0] = s->fold.lane[0];
	r->key[1] = s->fold.lane[1];
	r->last_ns = s->use.h.time_ns;
	r->uses = 0;
	r->unsent = 0;
	__builtin_memset(r->status, 0, sizeof(r->status));
	bpf_probe_read_kernel(&r->use, sizeof(r->use), &s->use);
}

/* It stands for the use in the slot from now on, of which the next one will be the first that it counts. */
__weak __noinline int row_take(__u32 slot, __u32 row)
{
	struct scratch *s = scratch_get(slot);
	struct tt_row *r = row_get(row);

	if (!s || !r || !row_lock(r))
		return 0;
	if (row_idle(r, s->use.h.time_ns)) {
		__sync_fetch_and_add(&r->gen, 1);
		if (*(volatile __u32 *)&r->users || !row_tell(r, row)) {
			__sync_fetch_and_add(&r->gen, -1);
		} else {
			row_set(s, r);
			asm volatile("" ::: "memory");
			__sync_fetch_and_add(&r->gen, 1);
		}
	}
	row_unlock(r);
	return 0;
}

/*
 * Is the use in the slot a repeat? Then it is counted, and s->row says where. Else it is to be reported, and has a
 * row for its repeats if there was one to be had. A use that may be lost on its way to the agent has it too: its
 * repeats are not.
 */
__weak __noinline int fold_use(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	__u64 longest = 0, idle, now;
	__u32 first, victim = 0;
	struct tt_row *r;

	if (!s)
		return 0;
	s->row.row = 0;
	if (fold_off || !conf_rows_mask)
		return 0;
	fold_hash(s, slot);
	first = s->fold.lane[0] & conf_rows_mask;
	now = s->use.h.time_ns;
#pragma nounroll
	for (__u32 i = 0; i < ROW_PROBES; i++) {
		__u32 row = (first + i) & conf_rows_mask;

		r = row_get(row);
		if (!r)
			break;
		if (row_add(s, r)) {
			s->row.row = row + 1;
			return 1;
		}
		idle = row_idle(r, now);
		if (idle > longest) {
			longest = idle;
			victim = row;
		}
	}
	if (longest)
		row_take(slot, victim);
	return 0;
}

/* ---- the end of a request ---- */

/* Its row has this status for the first time, or (TT_STATUS_ALONE) can't count it. */
static __always_inline void row_status(__u32 row, __u32 gen, __u32 status, __u32 grpc, __u8 flags)
{
	struct tt_ev_status *e = bpf_ringbuf_reserve(&rb_data, sizeof(*e), 0);

	if (!e) {
		if (flags & TT_STATUS_ALONE)
			drop(TT_DROP_ring_full);
		return;	/* else the agent finds it when it looks */
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->h.type = TT_EV_STATUS;
	e->h.abi = TT_ABI;
	e->h.len = sizeof(*e);
	e->h.time_ns = bpf_ktime_get_boot_ns();
	e->h.conn = gen;
	e->h.seq = row;
	e->status = status;
	if (grpc)
		e->grpc = grpc == 255 ? 255 : grpc - 1;
	e->flags = flags | (grpc ? TT_STATUS_GRPC : 0);
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
}

static __always_inline void row_first(struct tt_row *r, struct tt_row_status *st, __u32 status, __u32 grpc)
{
	st->status = status;
	st->grpc = grpc;
	st->last_ns = r->last_ns;
	st->count = 1;
	asm volatile("" ::: "memory");
	st->used = 1;
}

/* Adds a status to the row. TT_STATUS_ROW: its first; TT_STATUS_ALONE too: there is no room. */
static __always_inline __u8 row_count(struct tt_row *r, __u32 status, __u32 grpc)
{
	struct tt_row_status *st;
	__u8 said = TT_STATUS_ROW | TT_STATUS_ALONE;

	for (int i = 0; i < TT_ROW_STATUSES; i++) {
		st = &r->status[i];
		if (!*(volatile __u8 *)&st->used)
			break;
		if (st->status == status && st->grpc == grpc) {
			__sync_fetch_and_add(&st->count, 1);
			st->last_ns = r->last_ns;
			return 0;
		}
	}
	if (!row_lock(r))
		return said;
	for (int i = 0; i < TT_ROW_STATUSES; i++) {
		st = &r->status[i];
		if (st->used && (st->status != status || st->grpc != grpc))
			continue;
		if (st->used) {	/* another CPU was first */
			__sync_fetch_and_add(&st->count, 1);
			said = 0;
		} else {
			row_first(r, st, status, grpc);
			said = TT_STATUS_ROW;
		}
		break;
	}
	row_unlock(r);
	return said;
}

#define ROW_UNSENT 0xffff	/* no status: the request was never sent */

/* A repeat's response, for gRPC its status plus 1 too; status 0: it ended without one. What belongs to a row that
 * stands for another use by now is not counted: it was handed on without a status when that happened. */
__weak __noinline int fold_answer(__u32 row, __u32 gen, __u32 status, __u32 grpc)
{
	struct tt_row *r = row_get(row - 1);
	__u8 said = 0;

	if (!row || !r || !row_enter(r, gen))
		return 0;
	if (grpc > GRPC_STATUS_MAX + 1)
		grpc = 255;	/* one that gRPC does not define */
	if (status == ROW_UNSENT)
		__sync_fetch_and_add(&r->unsent, 1);
	else
		said = row_count(r, status, grpc);
	row_leave(r);
	if (said)
		row_status(row - 1, gen, status, grpc, said);
	return 0;
}

#endif
