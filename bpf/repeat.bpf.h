/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * On a kept connection of HTTP/1 most of a head comes again: all but the start line, and of answers what
 * changes each second. So of each direction a hash of the last head's fields is kept, from behind the start
 * line to the empty line, with what was made of them: fields with the same hash say the same, and are
 * not read. Fields that differ cost the hash, and after a few in a row nothing.
 */
#ifndef TT_REPEAT_BPF_H
#define TT_REPEAT_BPF_H

#include "again.bpf.h"

#define REPEAT_MIN 64

struct repeat_key {
	__u64 conn;
	__u32 dir;
	__u32 epoch;		/* known_epoch: what was kept under older tables is gone */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct repeat_key);
	__type(value, struct repeat);
} repeats __weak SEC(".maps");

static __always_inline void repeat_key_of(const struct scratch *s, struct repeat_key *key)
{
	key->conn = s->partial.conn;
	key->dir = s->dir;
	key->epoch = known_epoch;
}

static __always_inline __u64 repeat_check(const struct repeat *r, __u64 conn)
{
	return compare_sum((const __u64 *)r, __builtin_offsetof(struct repeat, check) / 8, conn);
}
_Static_assert(__builtin_offsetof(struct repeat, check) % 8 == 0, "repeat_check() goes by words");

/* ---- keeping ---- */

static __always_inline void repeat_take(struct scratch *s, struct repeat *r)
{
	struct h1_head *h = &s->w.h;

	r->hash[0] = s->repeat.hash[0];
	r->hash[1] = s->repeat.hash[1];
	r->length = h->length;
	r->flags = h->flags;
	r->use_flags = h->use_flags;
	r->whole = 1;
	if (s->w.d.kind == H1_RESPONSES)
		return;
	r->creds = h->creds;
	r->host_len = h->host_len;
	__builtin_memcpy(r->host, h->host, TT_HOST_LEN);
	__builtin_memcpy(r->cred, h->cred, sizeof(r->cred));
}

/* A head is over that was read. */
__weak __noinline int repeat_keep(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct repeat_key key = {};
	struct repeat *r, *old;
	__u32 len;

	if (!s)
		return RUN_ON;
	r = &s->repeat.row;
	len = s->w.pos - s->repeat.from;
	s->repeat.from = 0;
	if (len < REPEAT_MIN || len > COMPARE_MAX || !compare_fits(s))
		return RUN_ON;
	again_fields_fit(s);
	repeat_key_of(s, &key);
	old = bpf_map_lookup_elem(&repeats, &key);
	__builtin_memset(r, 0, sizeof(*r));
	r->len = len;
	if (old)
		r->misses = old->misses + 1;
	if (s->repeat.len == len && r->misses < COMPARE_MISSES)
		repeat_take(s, r);
	r->check = repeat_check(r, key.conn);
	/* Without it the next head is read: no loss. */
	bpf_map_update_elem(&repeats, &key, r, BPF_ANY);
	return RUN_ON;
}

/* ---- recognising ---- */

/* A start line was read. Are the fields behind it perhaps those of the last head? */
__weak __noinline int repeat_ask(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct h1_head *h;
	struct repeat_key key = {};
	struct repeat *r;

	if (!s)
		return RUN_ON;
	h = &s->w.h;
	s->repeat.from = 0;
	s->repeat.len = 0;
	if (h->creds || h->public_len || (s->w.d.kind == H1_REQUESTS && h->host_len))
		return RUN_ON;
	repeat_key_of(s, &key);
	r = bpf_map_lookup_elem(&repeats, &key);
	if (r && compare_pauses(&r->misses, COMPARE_MISSES))
		return RUN_ON;
	s->repeat.from = s->w.pos;
	if (!r)
		return RUN_ON;
	s->repeat.row = *r;
	r = &s->repeat.row;
	if (s->w.pos + r->len > s->w.total || r->len < REPEAT_MIN || r->len > COMPARE_MAX ||
	    r->check != repeat_check(r, key.conn))
		return RUN_ON;
	s->repeat.len = r->len;
	/* What the fields are taken for depends on this, too. */
	compare_begin(s, r->len, h->flags | h->use_flags << 8 | s->w.d.kind << 16 | !!s->w.heads << 24);
	s->reader = READ_REPEAT;
	return RUN_ON;
}

/* Takes what the fields say from the row. */
static __always_inline int repeat_give(struct scratch *s)
{
	const struct repeat *r = &s->repeat.row;
	struct h1_head *h = &s->w.h;

	s->reader = READ_H1;
	s->repeat.from = 0;
	again_fields_fit(s);
	h->length = r->length;
	h->flags = r->flags;
	h->use_flags = r->use_flags;
	s->w.d.state = H1_S_HEAD_END;
	if (s->w.d.kind == H1_RESPONSES)
		return 1;
	h->creds = r->creds;
	h->host_len = r->host_len;
	__builtin_memcpy(h->host, r->host, TT_HOST_LEN);
	__builtin_memcpy(h->cred, r->cred, sizeof(r->cred));
	return 1;
}

/* All was hashed. */
__weak __noinline int repeat_same(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct repeat_key key = {};
	struct repeat *r;

	if (!s)
		return 0;
	nh_final(&s->nh, s->repeat.hash);
	r = &s->repeat.row;
	if (!r->whole || r->hash[0] != s->repeat.hash[0] || r->hash[1] != s->repeat.hash[1])
		return 0;
	if (r->misses) {
		repeat_key_of(s, &key);
		r = bpf_map_lookup_elem(&repeats, &key);
		if (r)
			r->misses = 0;
	}
	return repeat_give(s);
}

__weak __noinline int repeat_one(__u32 slot)
{
	struct scratch *s = scratch_get(slot);

	if (!s)
		return RUN_STOP;
	if (compare_step(slot) != RUN_ON)
		return compare_back(s, s->repeat.from);
	if (s->nh_left)
		return RUN_ON;
	return repeat_same(slot) ? http_head(slot) : compare_back(s, s->repeat.from);
}

#endif
