/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A client that asks for the same thing again sends the same head, byte for byte, and is often answered with the
 * same one. So each direction of an HTTP/1 connection keeps a hash of its last head, and what it came to: the row
 * that its use was counted in (fold.bpf.h), or a response's status. A head with the same hash costs no more than that.
 *
 * Kept is a head whose fields say nothing that a row of theirs could not keep (repeat.bpf.h), of which nothing had to
 * be told, whose use was a repeat already, and that asks for no token.
 *
 * A server may have room for a beginning of the head only (nginx: 1 KiB) and take what is behind it with its next call.
 * Both are recognised, each by a hash of its own. When the beginning comes, nobody knows yet what will follow: so what the
 * reader makes of one is kept, as it is parked, and a beginning with the same hash is left at that.
 */
#ifndef TT_AGAIN_BPF_H
#define TT_AGAIN_BPF_H

#include "compare.bpf.h"
#include "http1.bpf.h"

#define AGAIN_MIN 64
#define AGAIN_MISSES 8		/* it takes a few heads until one is kept */
#define AGAIN_STEPS (COMPARE_MAX / H1_WINDOW + 2)

/* What a head that came in two calls had come to behind the first. The rest of it is in `partials`. */
struct begin {
	__u64 hash[2];
	struct http1 d;		/* the direction */
	__u64 check;		/* of what is before it, as in struct again */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct partial_key);
	__type(value, struct begin);
} begins __weak SEC(".maps");

static __always_inline __u64 begin_check(const struct begin *b, __u64 conn)
{
	return compare_sum((const __u64 *)b, __builtin_offsetof(struct begin, check) / 8, conn);
}
_Static_assert(__builtin_offsetof(struct begin, check) % 8 == 0, "begin_check() goes by words");

static __always_inline __u64 again_check(const struct again *a, __u64 conn)
{
	return compare_sum((const __u64 *)a, __builtin_offsetof(struct again, check) / 8, conn);
}
_Static_assert(__builtin_offsetof(struct again, check) % 8 == 0, "again_check() goes by words");

/* What tells uses apart and is not in their heads: the rest of fold_hash(). */
static __always_inline void again_who(const struct conn *c, struct lanes *who)
{
	const __u64 *tuple = (const __u64 *)&c->tuple;
	__u64 comm[TT_COMM_LEN / 8];

	who->lane[0] = conf_mask[3] ^ task_start_ns();
	who->lane[1] = conf_mask[0];
	task_comm((__u8 *)comm);
	lanes_mix(who, task_cgroup());
	lanes_mix(who, bpf_get_current_pid_tgid() >> 32 | (__u64)task_uid() << 32);
	for (int i = 0; i < TT_COMM_LEN / 8; i++)
		lanes_mix(who, comm[i]);
	for (int i = 0; i < sizeof(c->tuple) / 8; i++)
		lanes_mix(who, tuple[i]);
}
_Static_assert(sizeof(struct tt_tuple) % 8 == 0 && TT_COMM_LEN % 8 == 0, "again_who() goes by words");

/* Counts a request whose like was counted there, by whoever that was. 0: there it can't be. */
static __always_inline int again_count(const struct conn *c, __u32 dir, const struct row_ref *ref,
				       const struct lanes *by)
{
	struct tt_row *r = row_get(ref->row - 1);
	struct lanes who;

	again_who(c, &who);
	if (!r || fold_off || !lanes_same(&who, by) || !row_enter(r, ref->gen))
		return 0;
	row_more(r, tuple_client_port(&c->tuple, dir == OUT), bpf_ktime_get_boot_ns());
	return 1;
}

/* ---- keeping ---- */

/* Is the beginning that is parked to be found there again? */
static __always_inline int again_stays(const struct scratch *s)
{
	struct conn *c = bpf_map_lookup_elem(&conns, &s->key);

	return c && !(c->asking & CONN_HOLDS) && conn_again_of(c, s->dir)->begun_kept;
}

/* What is parked of a beginning has bytes of the message in it, masked, and goes with it. */
static __always_inline void again_unpark(struct again *a, const struct partial_key *key)
{
	if (!a->begun_kept)
		return;
	a->begun_kept = 0;
	bpf_map_delete_elem(&begins, key);
	bpf_map_delete_elem(&partials, key);
}

/* A head goes on in the next call. If all of this one is its beginning, it may come again. */
__weak __noinline int again_parked(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct begin b = {};
	struct again *a;
	struct conn *c;

	if (!s)
		return 0;
	c = bpf_map_lookup_elem(&conns, &s->key);
	if (!c || (c->asking & CONN_HOLDS))
		return 0;
	a = conn_again_of(c, s->dir);
	a->begun = 0;
	a->begun_kept = 0;
	if (a->whole) {		/* what came behind another beginning */
		a->whole = 0;
		a->check = again_check(a, c->id);
	}
	if (!s->w.d.split || s->asked != ASKED_HEAD || s->again.keep != AGAIN_KEEP ||
	    s->w.total < AGAIN_MIN || s->w.total > COMPARE_MAX)
		return 0;
	a->begun = s->w.total;
	if (s->again.begun != s->w.total)
		return 0;
	b.hash[0] = s->again.hash[0];
	b.hash[1] = s->again.hash[1];
	b.d = s->w.d;
	b.check = begin_check(&b, c->id);
	a->begun_kept = !bpf_map_update_elem(&begins, &s->partial, &b, BPF_ANY);
	return 0;
}

static __always_inline void again_fields_fit(struct scratch *s)
{
	s->again.keep |= s->again.keep ? AGAIN_FIELDS : 0;
}

/* Is all that this head came to in the row that it is given? Of a request: where it was counted, if it was. */
static __always_inline int again_take(struct scratch *s, struct conn *c, struct again *a)
{
	struct h1_head *h = &s->w.h;
	__u8 pending = c->pending[(c->sent - 1) & (PIPELINE_MAX - 1)];

	a->hash[0] = s->again.hash[0];
	a->hash[1] = s->again.hash[1];
	a->length = h->length;
	a->flags = h->flags;
	if (s->w.d.kind == H1_RESPONSES) {
		a->status = h->status;
		return a->status >= 200;
	}
	if (!h->creds)
		return 1;
	a->row = s->row;
	a->token = c->token;
	again_who(c, &a->who);
	return (pending & PENDING_ROW) != 0;
}

/* A head is over that was read. `rule`: its body is. */
__weak __noinline int again_keep(__u32 slot, __u32 rule)
{
	struct scratch *s = scratch_get(slot);
	struct again *a, *kept;
	__u32 keep, len;
	struct conn *c;

	if (!s)
		return 0;
	keep = s->again.keep;
	s->again.keep = 0;
	c = bpf_map_lookup_elem(&conns, &s->key);
	if (!c || (c->asking & CONN_HOLDS))	/* streams are where heads would be */
		return 0;
	kept = conn_again_of(c, s->dir);
	a = &s->again.row;
	__builtin_memset(a, 0, sizeof(*a));
	if (s->asked == ASKED_REST) {
		a->begun = kept->begun;
		a->begun_kept = kept->begun_kept;
		keep |= compare_fits(s) ? AGAIN_FIELDS : 0;
	} else {
		again_unpark(kept, &s->partial);
	}
	len = s->w.pos;
	a->len = len;
	a->misses = kept->misses + 1;
	if ((keep & AGAIN_FIELDS) && s->again.len == len && !rule && s->w.d.state < H1_S_UPGRADED)
		a->whole = again_take(s, c, a);
	a->check = again_check(a, s->partial.conn);
	*kept = *a;
	return 0;
}

/* ---- recognising ---- */

/* Is the head that begins or goes on with this piece perhaps the last one? Then its hash has begun, or the piece's. */
static __always_inline int again_ask(struct scratch *s, struct conn *c)
{
	struct again *a = conn_again_of(c, s->dir);
	__u32 len, begins;

	if (s->asked == ASKED_REST ? !a->begun : compare_pauses(&a->misses, AGAIN_MISSES))
		return 0;
	s->again.keep = AGAIN_KEEP;
	s->again.row = *a;
	a = &s->again.row;
	begins = s->asked == ASKED_HEAD && a->begun;
	len = begins ? a->begun : a->len;
	if (len < AGAIN_MIN || len > COMPARE_MAX || (begins ? len != s->w.total : len > s->w.total) ||
	    a->check != again_check(a, c->id))
		return 0;
	if (begins)
		s->again.begun = len;
	else
		s->again.len = len;
	s->w.base = 0;
	s->w.fill = 0;
	s->w.pos = 0;
	/* What the head is taken for depends on this, too. */
	compare_begin(s, len, conn_dir(c, s->dir)->kind | !!http_heads(c) << 8 | (__u32)known_epoch << 16);
	return 1;
}

/* It is hashed. 1: it was the last one's, and what the reader would come to is in its place. */
static __always_inline int again_begun(struct scratch *s, struct conn *c)
{
	struct partial_key key = { .conn = c->id, .dir = s->dir };
	struct begin *b;

	if (!s->again.row.begun_kept)
		return 0;
	b = bpf_map_lookup_elem(&begins, &key);
	if (!b || b->hash[0] != s->again.hash[0] || b->hash[1] != s->again.hash[1] || b->check != begin_check(b, c->id) ||
	    !bpf_map_lookup_elem(&partials, &key))
		return 0;
	*conn_dir(c, s->dir) = b->d;
	s->w.total = 0;
	s->again.keep = 0;
	return 1;
}

/* Counts the request where the last one was. 0: it has to be read. */
static __always_inline int again_request(struct scratch *s, struct conn *c)
{
	const struct again *a = &s->again.row;
	__u32 seq = c->sent;
	__u64 i = seq & (ROWS_PENDING - 1);
	__u8 pending = a->flags & H1_F_METHOD_HEAD ? PENDING_HEAD : 0;

	if (c->unpaired || c->early_status || (__s32)(seq - c->answered) >= ROWS_PENDING ||
	    (a->flags & H1_F_CONNECT))
		return 0;
	if (a->row.row) {
		if (!again_count(c, s->dir, &a->row, &a->who))
			return 0;
		c->row[i] = a->row;
		c->token = a->token;
		pending |= PENDING_CRED | PENDING_ROW;
	}
	c->pending[seq & (PIPELINE_MAX - 1)] = pending;
	http_piped(s, c);
	c->sent = seq + 1;
	return 1;
}

/* It is the last head. 0: it has to be read all the same. */
static __always_inline int again_give(struct scratch *s, struct conn *c, __u32 slot)
{
	const struct again *a = &s->again.row;
	struct h1_head *h = &s->w.h;
	int no_body = 0;

	s->w.d = *conn_dir(c, s->dir);
	s->w.d.split = 0;
	if (s->w.d.kind == H1_REQUESTS && !again_request(s, c))
		return 0;
	h->flags = a->flags;
	h->length = a->length;
	h->status = a->status;
	h->saying = 0;
	if (s->w.d.kind == H1_RESPONSES)
		no_body = http_response(s, c, slot);
	h1_body(&s->w, no_body);
	http_mint(s, c, 0);
	s->addr += a->len;
	s->w.total -= a->len;
	if (s->w.total && http_passes(&s->w.d, s->w.total))
		s->w.total = 0;
	*conn_dir(c, s->dir) = s->w.d;
	if (a->misses)
		conn_again_of(c, s->dir)->misses = 0;
	s->again.keep = 0;
	return 1;
}

/* A head begins or goes on with this piece. 1: it was the last one again, and what is left of the piece lies behind it. */
__weak __noinline int again_piece(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	const struct again *a;
	struct conn *c;

	if (!s)
		return 0;
	c = bpf_map_lookup_elem(&conns, &s->key);
	if (!c || (c->asking & CONN_HOLDS) || !again_ask(s, c))
		return 0;
#pragma nounroll
	for (int i = 0; i < AGAIN_STEPS && s->nh_left; i++) {
		if (compare_step(slot) != RUN_ON)
			break;
	}
	if (s->nh_left) {
		s->again.len = 0;
		s->again.begun = 0;
		return 0;
	}
	nh_final(&s->nh, s->again.hash);
	if (s->again.begun)
		return again_begun(s, c);
	a = &s->again.row;
	if (!a->whole || a->hash[0] != s->again.hash[0] || a->hash[1] != s->again.hash[1])
		return 0;
	return again_give(s, c, slot);
}

#endif
