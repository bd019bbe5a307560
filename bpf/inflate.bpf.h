/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The memory in which compressed bodies are decompressed: its window is too large for a slot or a table of
 * parked bodies. A row is one body's from its first byte to its end, or until another one needs it; the
 * program at work holds it, as slots are held (scratch.bpf.h). When it lets go of it, all of it is masked
 * but whose it is; at the body's end it is wiped.
 */
#ifndef TT_INFLATE_BPF_H
#define TT_INFLATE_BPF_H

#include "scratch.bpf.h"
#include "readers/inflate.h"

#define INFLATE_ROWS 32		/* power of two */
#define INFLATE_WAYS 4		/* rows that a body may have */
#define INFLATE_WORDS_STEP 16

struct inflate_row {
	__u32 users;
	__u32 words;		/* masked ones */
	__u64 used_ns;		/* 0 = free */
	struct partial_key key;
	struct inflate z;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, INFLATE_ROWS);
	__type(key, __u32);
	__type(value, struct inflate_row);
} inflates __weak SEC(".maps");

/* What is kept from call to call: everything behind the input. */
#define INFLATE_KEPT_FROM __builtin_offsetof(struct inflate, at)
#define INFLATE_KEPT_WORDS ((sizeof(struct inflate) - INFLATE_KEPT_FROM) / 8)
#define INFLATE_STATE_WORDS ((__builtin_offsetof(struct inflate, window) - INFLATE_KEPT_FROM) / 8)
_Static_assert(INFLATE_KEPT_FROM % 8 == 0 && __builtin_offsetof(struct inflate, window) % 8 == 0 &&
	       sizeof(struct inflate) % 8 == 0, "rows are masked by words");

static __always_inline struct inflate_row *inflate_row_get(__u32 row)
{
	return bpf_map_lookup_elem(&inflates, &row);
}

/* The row that this program holds. */
static __always_inline struct inflate_row *inflate_held(const struct scratch *s)
{
	return inflate_row_get(s->unpacks - 1);
}

static __always_inline int inflate_hold(struct scratch *s, __u32 row, struct inflate_row *r)
{
	__sync_fetch_and_add(&r->users, 1);
	if (*(volatile __u32 *)&r->users == 1) {
		s->unpacks = row + 1;
		return 1;
	}
	__sync_fetch_and_add(&r->users, -1);
	return 0;
}

static __always_inline int inflate_is_of(const struct inflate_row *r, const struct scratch *s)
{
	return r->key.conn == s->body.conn && r->key.dir == s->body.dir;
}

static __always_inline __u32 inflate_way(const struct scratch *s, __u32 way)
{
	return (tt_name_mix(s->body.conn, s->body.dir) + way) & (INFLATE_ROWS - 1);
}

/* ---- masking and wiping ---- */

static __always_inline __u64 inflate_mask_word(const struct inflate_row *r, __u64 i)
{
	__u64 x = tt_name_mix(r->key.conn ^ conf_mask[i & 3], r->key.dir + (i + 1) * TT_NAME_SEED);

	x = tt_name_mix(x, conf_mask[(i + 1) & 3]);
	return tt_name_mix(x, conf_mask[(i + 2) & 3]);
}

/* Some words of the held row: masked, its own inverse, or wiped. */
__weak __noinline int inflate_words(__u32 slot, __u32 from, __u32 wipe)
{
	struct scratch *s = scratch_get(slot);
	struct inflate_row *r = s ? inflate_held(s) : 0;
	__u64 at = from, *words;

	if (!r || at > INFLATE_KEPT_WORDS - INFLATE_WORDS_STEP)
		return 0;
	words = (__u64 *)&r->z.at + at;
	INFLATE_UNROLL
	for (int i = 0; i < INFLATE_WORDS_STEP; i++)
		words[i] = wipe ? 0 : words[i] ^ inflate_mask_word(r, at + i);
	return 0;
}

__weak __noinline int inflate_all_words(__u32 slot, __u32 count, __u32 wipe)
{
	for (__u32 at = 0; at < INFLATE_KEPT_WORDS; at += INFLATE_WORDS_STEP) {
		if (at >= count)
			break;
		inflate_words(slot, at, wipe);
	}
	return 0;
}

/* ---- holding a row ---- */

/* Lets go of the row that is held: of its body more may come, or nothing. */
__weak __noinline int inflate_leave(__u32 slot, __u32 over)
{
	struct scratch *s = scratch_get(slot);
	struct inflate_row *r;
	__u32 words;

	if (!s || !s->unpacks)
		return 0;
	r = inflate_held(s);
	if (!r)
		return 0;
	words = r->z.out < INFLATE_WINDOW ? r->z.out : INFLATE_WINDOW;
	words = INFLATE_STATE_WORDS + (words + 7) / 8;
	__builtin_memset(r->z.in, 0, INFLATE_INPUT / 2);
	asm volatile("" ::: "memory");	/* joined, the two would be too large for clang */
	__builtin_memset(r->z.in + INFLATE_INPUT / 2, 0, INFLATE_INPUT / 2);
	inflate_all_words(slot, words, over);
	r->words = words;
	r->used_ns = over ? 0 : bpf_ktime_get_boot_ns();
	if (over)
		r->key.conn = 0;
	s->unpacks = 0;
	asm volatile("" ::: "memory");
	__sync_fetch_and_add(&r->users, -1);
	return 0;
}

/* Holds the row of a body that goes on. Whether there is one. */
__weak __noinline int inflate_find(__u32 slot)
{
	struct scratch *s = scratch_get(slot);

	if (!s)
		return 0;
	for (__u32 way = 0; way < INFLATE_WAYS; way++) {
		__u32 row = inflate_way(s, way);
		struct inflate_row *r = inflate_row_get(row);

		if (!r || !inflate_is_of(r, s) || !inflate_hold(s, row, r))
			continue;
		if (inflate_is_of(r, s)) {
			inflate_all_words(slot, r->words, 0);
			return 1;
		}
		s->unpacks = 0;
		__sync_fetch_and_add(&r->users, -1);
	}
	return 0;
}

/* The row that is free, or was used longest ago. */
static __always_inline __u32 inflate_oldest(struct scratch *s)
{
	__u64 oldest = ~0ULL;
	__u32 best = INFLATE_ROWS;

	for (__u32 way = 0; way < INFLATE_WAYS; way++) {
		__u32 row = inflate_way(s, way);
		struct inflate_row *r = inflate_row_get(row);

		if (!r || r->users || r->used_ns >= oldest)
			continue;
		oldest = r->used_ns;
		best = row;
	}
	return best;
}

/* Holds a row for a body that begins. Whether there is one. */
__weak __noinline int inflate_take(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct inflate_row *r;
	__u32 row;

	if (!s)
		return 0;
	row = inflate_oldest(s);
	r = inflate_row_get(row);
	if (!r || !inflate_hold(s, row, r))
		return 0;
	r->key = s->body;
	inflate_begin(&r->z, s->m.bits, 1);
	return 1;
}

/* Is the row of this body held already, from the stretch before? Else it is let go of. */
__weak __noinline int inflate_still(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct inflate_row *r;

	if (!s || !s->unpacks)
		return 0;
	r = inflate_held(s);
	if (r && inflate_is_of(r, s))
		return 1;
	inflate_leave(slot, 0);
	return 0;
}

#endif
