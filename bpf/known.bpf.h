/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A client that keeps its connection sends the same credential again and again, and reading one is the
 * dearest part of a head. So of each credential field of a connection (HTTP/1) a hash of its last value is
 * kept, with what it became: a value with the same hash is that credential, at a tenth of the price. One
 * that differs costs the hash, and after a few in a row nothing.
 *
 * The hash is 128 bits, keyed, and made of 64 bytes at least: nothing of them can be computed from it.
 */
#ifndef TT_KNOWN_BPF_H
#define TT_KNOWN_BPF_H

#include "repeat.bpf.h"

#define KNOWN_MIN 64		/* shorter values are read as quickly */
#define KNOWN_MAX 16384
#define KNOWN_MISSES 4		/* in a row: this field changes all the time */
#define KNOWN_WORDS 16		/* of a step */
#define KNOWN_ENDS 3		/* CR, LF, and a byte that doesn't continue the line */

struct known_key {
	__u64 conn;
	__u32 dir;
	__u16 carrier;
	__u16 epoch;		/* what was kept under older tables of classes, or told to an earlier agent, is gone */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct known_key);
	__type(value, struct known);
} knowns __weak SEC(".maps");

static __always_inline __u64 known_check(const struct known *k, __u64 conn)
{
	struct lanes h = { .lane = { conn, conf_mask[2] } };

	lanes_mix(&h, k->hash.lane[0]);
	lanes_mix(&h, k->hash.lane[1]);
	lanes_mix(&h, k->cred.token[0]);
	lanes_mix(&h, k->cred.token[1]);
	lanes_mix(&h, k->cred.length | (__u64)k->len << 32);
	lanes_mix(&h, k->cred.class_id | (__u64)k->cred.carrier << 16 | (__u64)k->cred.scheme << 32 |
			      (__u64)k->cred.flags << 40);
	return h.lane[0] ^ h.lane[1];
}

static __always_inline void known_key_of(const struct scratch *s, __u16 carrier, struct known_key *key)
{
	key->conn = s->partial.conn;
	key->dir = s->dir;
	key->carrier = carrier;
	key->epoch = known_epoch;
}

/* ---- keeping ---- */

/* The line of a credential field is over; its value ended `ends` bytes in front of the reader. */
__weak __noinline int known_keep(__u32 slot, __u32 ends)
{
	struct scratch *s = scratch_get(slot);
	struct known_key key = {};
	struct known *k;
	__u32 len;
	__u64 i;

	if (!s)
		return RUN_ON;
	i = s->known.creds;
	len = s->w.pos - ends - s->known.from;
	s->known.from = 0;
	/* One credential came of it, no more and no less, and all that is to be told of it was told. */
	if (s->w.h.creds != i + 1 || len < KNOWN_MIN || len > KNOWN_MAX || s->w.c.untold || s->w.h.public_len)
		return RUN_ON;
	H1_MASK(i, TT_CREDS_MAX - 1);
	known_key_of(s, s->known.carrier, &key);
	k = bpf_map_lookup_elem(&knowns, &key);
	s->known.row.misses = 0;
	if (k && (k->cred.length || k->misses)) {
		s->known.row.misses = k->misses + 1;
		if (s->known.row.misses > KNOWN_MISSES)
			return RUN_ON;
	}
	s->known.row.len = len;
	if (s->known.len == len) {
		s->known.row.hash = s->known.hash;
		s->known.row.cred = s->w.h.cred[i];
	} else {
		__builtin_memset(&s->known.row.cred, 0, sizeof(s->known.row.cred));
		__builtin_memset(&s->known.row.hash, 0, sizeof(s->known.row.hash));
	}
	s->known.row.check = known_check(&s->known.row, key.conn);
	/* Without it the next value is read: no loss. */
	bpf_map_update_elem(&knowns, &key, &s->known.row, BPF_ANY);
	return RUN_ON;
}

/* ---- recognising ---- */

/* A name was looked up. Is it that of a credential field whose value may be the last one again? */
__weak __noinline int known_ask(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct known_key key = {};
	struct known *k;

	if (!s || s->w.d.kind != H1_REQUESTS)
		return RUN_ON;
	if (s->known.from)
		known_keep(slot, s->w.h.name_len + 2);
	if (s->w.answer.unwrap != TT_UNWRAP_WHOLE && s->w.answer.unwrap != TT_UNWRAP_SCHEME)
		return RUN_ON;
	s->known.from = s->w.pos + 1;	/* the colon is not read yet */
	s->known.carrier = s->w.answer.id;
	s->known.creds = s->w.h.creds;
	s->known.len = 0;
	known_key_of(s, s->known.carrier, &key);
	k = bpf_map_lookup_elem(&knowns, &key);
	if (!k || k->misses >= KNOWN_MISSES)
		return RUN_ON;
	s->known.row = *k;
	if (s->known.row.check != known_check(&s->known.row, key.conn) ||
	    s->known.from + s->known.row.len + KNOWN_ENDS > s->w.total)
		return RUN_ON;
	s->known.len = s->known.row.len;
	s->known.at = 0;
	s->known.hash.lane[0] = conf_mask[0] ^ s->known.len;
	s->known.hash.lane[1] = conf_mask[1];
	s->reader = READ_KNOWN;
	return RUN_ON;
}

/* It is to be read after all. */
static __always_inline int known_miss(struct scratch *s)
{
	return compare_back(s, s->known.from - 1);
}

/* The last bytes of the value, and what follows: the line's end, and no continuation of it. */
static __always_inline int known_same(struct scratch *s, __u64 tail, __u64 behind)
{
	const struct known *k = &s->known.row;
	__u8 next = behind >> 16;

	lanes_mix(&s->known.hash, tail);
	return k->cred.length && (behind & 0xffff) == 0x0a0d && next != ' ' && next != '\t' &&
	       lanes_same(&s->known.hash, &k->hash);
}

__weak __noinline int known_hit(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct known_key key = {};
	struct known *k;

	if (!s)
		return RUN_STOP;
	if (s->known.row.misses) {
		known_key_of(s, s->known.carrier, &key);
		k = bpf_map_lookup_elem(&knowns, &key);
		if (k)
			k->misses = 0;
	}
	s->w.pos = s->known.from + s->known.len;
	s->known.from = 0;
	s->reader = READ_H1;
	h1_value_start(&s->w, H1_S_SKIP);
	s->w.h.made = s->known.row.cred;
	s->w.h.list = 0;
	s->w.answer.flags = 0;
	if (h1_cred_add(&s->w) != H1_NOTE)
		return RUN_ON;
	s->repeat.from = 0;
	return drop(s->w.reason);
}

/* A step of the hash. */
__weak __noinline int known_one(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	__u32 left, at, i;
	__u64 tail;

	if (!s)
		return RUN_STOP;
	left = s->known.len - s->known.at;
	s->w.pos = s->known.from + s->known.at;
	at = s->w.pos - s->w.base;
	if (at + 8 + KNOWN_ENDS > s->w.fill && s->w.base + s->w.fill < s->w.total) {
		if (http_load(s) != RUN_ON)
			return known_miss(s);
		at = 0;
	}
	at = s->w.fill - at;
	for (i = 0; i < KNOWN_WORDS && left >= 8 && at >= 8; i++, left -= 8, at -= 8)
		lanes_mix(&s->known.hash, h1_word(&s->w, i));
	s->known.at += 8 * i;
	if (i)
		return RUN_ON;
	if (left >= 8 || at < left + KNOWN_ENDS)	/* the window was full, so this can't be */
		return known_miss(s);
	tail = h1_word(&s->w, 0);
	s->w.pos += left;
	return known_same(s, left ? tail & ~0ULL >> (64 - 8 * left) : 0, h1_word(&s->w, 0)) ?
		       known_hit(slot) : known_miss(s);
}

#endif
