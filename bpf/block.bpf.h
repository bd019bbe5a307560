/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Header blocks of HTTP/2 that come again: the counterpart of repeat.bpf.h. A block whose bytes have the hash of
 * one that was read says the same, if it refers to no entry of the dynamic table, or the table is the one of then;
 * it is not read. Of each direction one block of each length is kept, so that a few that take turns have their rows.
 *
 * A block that enters something into a table that is kept, or from which something had to be told, is read each time.
 *
 * As in again.bpf.h, a request whose use was a repeat is counted in the same row at once, and of one without a
 * credential nothing is left to do: neither has its head looked at.
 */
#ifndef TT_BLOCK_BPF_H
#define TT_BLOCK_BPF_H

#include "repeat.bpf.h"
#include "stream.bpf.h"

#define BLOCK_MIN 24		/* shorter ones are read as quickly; of an answer that has a status and a date there are 40 */

struct block_key {
	__u64 conn;
	__u32 dir;
	__u32 len;
	__u32 epoch;		/* known_epoch */
	__u32 pad_;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct block_key);
	__type(value, struct block);
} block_repeats __weak SEC(".maps");

static __always_inline void block_key_of(const struct scratch *s, __u32 len, struct block_key *key)
{
	key->conn = s->partial.conn;
	key->dir = s->dir;
	key->len = len;
	key->epoch = known_epoch;
}

static __always_inline __u64 block_check(const struct block *r, __u64 conn)
{
	return compare_sum((const __u64 *)r, __builtin_offsetof(struct block, check) / 8, conn);
}

static __always_inline __u64 block_head_check(const struct block *r, __u64 conn)
{
	return compare_sum((const __u64 *)&r->head, __builtin_offsetof(struct block_head, check) / 8, conn ^ r->hash[0]);
}
_Static_assert(__builtin_offsetof(struct block, check) % 8 == 0 && __builtin_offsetof(struct block, head) % 8 == 0 &&
	       __builtin_offsetof(struct block_head, check) % 8 == 0, "block_check() goes by words");

/* ---- keeping ---- */

/* Does all that the block told stand in a row, and did it change no table but by numbers? */
static __always_inline int block_fits(const struct scratch *s)
{
	const struct h2_block *b = &s->x.b;
	const struct h1_head *h = &s->w.h;

	if (b->unknown || b->before || (b->flags & H2_B_BAD) || b->dynamic == HP_RESIZED)
		return 0;
	if (s->x.f.kind == H1_RESPONSES)
		return !h->saying && !h->creds;
	return s->x.f.table.inserted == s->block.inserted && !h->public_len && !h->mcp_method_len &&
	       !h->mcp_name_len && h->host_len <= TT_HOST_LEN && h->path_len <= TT_PATH_LEN;
}

static __always_inline void block_take_head(const struct h1_head *h, struct block_head *r)
{
	r->flags = h->flags;
	r->use_flags = h->use_flags;
	r->creds = h->creds;
	r->method_len = h->method_len;
	r->path_len = h->path_len;
	r->host_len = h->host_len;
	__builtin_memcpy(r->method, h->method, TT_METHOD_LEN);
	__builtin_memcpy(r->host, h->host, TT_HOST_LEN);
	__builtin_memcpy(r->cred, h->cred, sizeof(r->cred));
	/* Only the valid bytes: behind them may lie those of a hidden segment. */
	bpf_probe_read_kernel(r->path, h->path_len < TT_PATH_LEN ? h->path_len : TT_PATH_LEN, h->path);
}

static __always_inline void block_take(struct scratch *s, struct block *r)
{
	const struct h2_block *b = &s->x.b;

	r->hash[0] = s->block.hash[0];
	r->hash[1] = s->block.hash[1];
	r->epoch = s->x.f.table.epoch;
	r->inserted = s->block.inserted;
	r->inserts = s->x.f.table.inserted - s->block.inserted;
	r->dynamic = b->dynamic;
	r->status = b->status;
	r->seen = b->seen;
	r->grpc = b->grpc;
	r->block_flags = b->flags;
	r->whole = 1;
	if (s->x.f.kind == H1_RESPONSES)
		return;
	block_take_head(&s->w.h, &r->head);
	r->head.check = block_head_check(r, s->partial.conn);
}

/* A block is over that was read. */
__weak __noinline int block_keep(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct block_key key = {};
	struct block *r, *old;

	if (!s)
		return RUN_ON;
	s->block.from = 0;
	if (!block_fits(s))
		return RUN_ON;
	block_key_of(s, s->block.size, &key);
	old = bpf_map_lookup_elem(&block_repeats, &key);
	r = &s->block.row;
	__builtin_memset(r, 0, sizeof(*r));
	if (old)
		r->misses = old->misses + 1;
	if (s->block.hashed && r->misses < COMPARE_MISSES)
		block_take(s, r);
	r->check = block_check(r, key.conn);
	/* Without it the next block is read: no loss. */
	bpf_map_update_elem(&block_repeats, &key, r, BPF_ANY);
	return RUN_ON;
}

/* A request whose block was recognised came to this. */
__weak __noinline int block_came_to(__u32 slot, __u32 what)
{
	struct scratch *s = scratch_get(slot);
	struct block_key key = {};
	struct block *r, *kept;
	struct conn *c;

	if (!s)
		return 0;
	block_key_of(s, s->block.size, &key);
	c = bpf_map_lookup_elem(&conns, &s->key);
	kept = bpf_map_lookup_elem(&block_repeats, &key);
	if (!c || !kept)
		return 0;
	r = &s->block.row;
	r->came_to = what;
	if (what == BLOCK_ROW) {
		again_who(c, &r->who);
		r->token = said_token(&s->use);
		r->row = s->row;
	}
	r->check = block_check(r, key.conn);
	/* In its place: if it is another one's by now, the check tells him. */
	kept->came_to = r->came_to;
	kept->who = r->who;
	kept->token = r->token;
	kept->row = r->row;
	kept->check = r->check;
	return 0;
}

/* ---- recognising ---- */

/* A header block lies whole in front of the reader. Is it perhaps one that was read? */
__weak __noinline int block_ask(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct block_key key = {};
	struct block *r;

	if (!s)
		return RUN_ON;
	s->block.from = 0;
	s->block.hashed = 0;
	s->block.size = s->x.f.left;
	if (s->block.size < BLOCK_MIN || s->block.size > COMPARE_MAX)
		return RUN_ON;
	block_key_of(s, s->block.size, &key);
	r = bpf_map_lookup_elem(&block_repeats, &key);
	if (r && compare_pauses(&r->misses, COMPARE_MISSES))
		return RUN_ON;
	s->block.from = s->x.pos;
	s->block.inserted = s->x.f.table.inserted;
	if (!r)
		return RUN_ON;
	__builtin_memcpy(&s->block.row, r, __builtin_offsetof(struct block, head));
	if (s->block.row.check != block_check(&s->block.row, key.conn))
		return RUN_ON;
	/* What a response's fields are taken for depends on this, too. */
	compare_begin(s, s->block.size, s->x.f.kind | (s->x.f.kind == H1_RESPONSES && s->w.heads) << 8);
	s->reader = READ_BLOCK;
	return RUN_ON;
}

/* It is to be read after all. */
static __always_inline int block_miss(struct scratch *s)
{
	s->block.hashed = 1;
	s->x.pos = s->block.from;
	if (s->x.pos < s->x.base) {
		s->x.base = s->x.pos;
		s->x.fill = 0;
	}
	s->reader = READ_H2;
	return RUN_ON;
}

/* Counts the request where the last one was. 0: its head is needed. */
static __always_inline int block_count(struct scratch *s)
{
	const struct block *r = &s->block.row;
	struct stream_key key = {};
	struct conn *c;

	if (s->x.f.kind == H1_RESPONSES || r->came_to == BLOCK_HEAD)
		return 0;
	c = h2_stream_of(s, &key);
	if (!c)
		return 0;
	if (r->came_to == BLOCK_ROW) {
		if (!again_count(c, s->dir, &r->row, &r->who))
			return 0;
		s->row = r->row;
		s->x.b.flags = r->block_flags;
		h2_await(s, c, &key, r->token);
	}
	h2_asked(c, &key);
	return 1;
}

/* What the head of a request said. 0: that is not known any more. */
static __always_inline int block_give_head(struct scratch *s, const struct block *kept)
{
	struct block_head *r = &s->block.row.head;
	struct h1_head *h = &s->w.h;

	*r = kept->head;
	if (r->check != block_head_check(&s->block.row, s->partial.conn))
		return 0;
	h->flags = r->flags;
	h->use_flags = r->use_flags;
	h->creds = r->creds;
	h->method_len = r->method_len;
	h->path_len = r->path_len;
	h->host_len = r->host_len;
	__builtin_memcpy(h->method, r->method, TT_METHOD_LEN);
	__builtin_memcpy(h->path, r->path, TT_PATH_LEN);
	__builtin_memcpy(h->host, r->host, TT_HOST_LEN);
	__builtin_memcpy(h->cred, r->cred, sizeof(r->cred));
	s->block.known = 1;
	return 1;
}

/* The reader goes on behind the block, of which the row says all. `told`: nothing is left to do for it. */
static __always_inline int block_over(struct scratch *s, int told)
{
	const struct block *r = &s->block.row;

	s->reader = READ_H2;
	s->block.from = 0;
	s->x.f.left = 0;
	s->x.f.table.inserted += r->inserts;
	s->x.b.status = r->status;
	s->x.b.seen = r->seen;
	s->x.b.grpc = r->grpc;
	s->x.b.flags = r->block_flags;
	h2_block_end(&s->w, &s->x);
	if (told)
		h2_skip(&s->x);
	return RUN_ON;
}

/* All was hashed. */
__weak __noinline int block_same(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct block_key key = {};
	struct block *r, *kept;
	int told, wants_head;

	if (!s)
		return RUN_STOP;
	nh_final(&s->nh, s->block.hash);
	r = &s->block.row;
	if (!r->whole || r->hash[0] != s->block.hash[0] || r->hash[1] != s->block.hash[1] ||
	    (r->dynamic && (r->inserted != s->block.inserted || r->epoch != s->x.f.table.epoch)))
		return block_miss(s);
	told = block_count(s);
	wants_head = !told && s->x.f.kind != H1_RESPONSES;
	if (wants_head || r->misses) {
		block_key_of(s, s->block.size, &key);
		kept = bpf_map_lookup_elem(&block_repeats, &key);
		if (kept)
			kept->misses = 0;
		if (wants_head && (!kept || !block_give_head(s, kept)))
			return block_miss(s);
	}
	return block_over(s, told);
}

/* A step of the hash. */
__weak __noinline int block_hash(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	__u32 have;

	if (!s)
		return RUN_STOP;
	have = h2_have(&s->x);
	if (have < s->nh_left && have < 8) {
		if (h2_fill(slot) != RUN_ON)
			return RUN_STOP;
		have = s->x.fill;
	}
	s->x.pos += compare_window(s, s->x.in, H2_WINDOW, s->x.pos - s->x.base, have);
	return RUN_ON;
}

__weak __noinline int block_one(__u32 slot)
{
	struct scratch *s = scratch_get(slot);

	if (!s || block_hash(slot) != RUN_ON)
		return RUN_STOP;
	return s->nh_left ? RUN_ON : block_same(slot);
}

#endif
