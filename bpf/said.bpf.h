/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The end of a request, with what its response's head says of the credential: readers/said.h. What is granted
 * and needed is told when it is news; the server's name for the request with each response.
 */
#ifndef TT_SAID_BPF_H
#define TT_SAID_BPF_H

#include "fold.bpf.h"

/* rest 0: what was granted, last told of this token. Else, of what else was said: the same of when that was
 * told. */
struct said_key {
	__u64 token;	/* of the request's credentials: said_token() */
	__u64 rest;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct said_key);
	__type(value, __u64);
} said_told __weak SEC(".maps");

/* Of the use in the slot: stands for its credentials. */
static __always_inline __u64 said_token(const struct tt_ev_use *e)
{
	return e->cred[0].token[0] ^ e->cred[1].token[0] ^ e->cred[2].token[0] ^ e->cred[3].token[0];
}

#define SAID_WORDS_A_STEP 4

/* Adds four words of the texts to the hash, up to `to`. */
__weak __noinline int said_hash_step(__u32 slot, __u32 from, __u32 to)
{
	struct scratch *s = scratch_get(slot);
	__u64 hash, at = from;

	if (!s)
		return 0;
	hash = s->said_hash;
	for (int i = 0; i < SAID_WORDS_A_STEP && at < to; i++, at += 8) {
		__u64 word, n = at;

		H1_MASK(n, 1023);
		word = load_word(s->w.h.said.text + n);
		if (at + 8 > to)
			word &= (1ULL << (8 * (to - at) & 63)) - 1;
		hash = tt_name_mix(hash, word);
	}
	s->said_hash = hash;
	return 0;
}

/* Hash of a stretch of the texts. Inlined: below the steps of a reader there is room for two calls. */
static __always_inline __u64 said_hash(struct scratch *s, __u32 slot, __u32 from, __u32 to)
{
	s->said_hash = TT_NAME_SEED;
#pragma nounroll
	for (int i = 0; i < SAID_LEN / (8 * SAID_WORDS_A_STEP) + 1; i++, from += 8 * SAID_WORDS_A_STEP) {
		if (from >= to)
			break;
		said_hash_step(slot, from, to);
	}
	return s->said_hash;
}

static __always_inline int said_same(const struct said_key *key, __u64 granted)
{
	__u64 *told = bpf_map_lookup_elem(&said_told, key);

	return told && *told == granted;
}

/* Is what was granted and needed news of this token? It is told with this. */
static __always_inline int said_is_news(struct scratch *s, __u32 slot, struct said_key *last,
					struct said_key *rest, __u64 *granted)
{
	struct h1_said *said = &s->w.h.said;

	if (said->granted_end == SAID_GRANTED && said->gathered_end == SAID_GATHERED)
		return 0;
	*granted = said_hash(s, slot, SAID_GRANTED, said->granted_end);
	rest->rest = said_hash(s, slot, SAID_GATHERED, said->gathered_end) | 1;
	return !said_same(last, *granted) || !said_same(rest, *granted);
}

/* A stretch of the texts goes behind the `at` bytes that the record has. Returns how many it has then. */
static __always_inline __u32 said_copy(struct scratch *s, __u64 at, __u64 from, __u64 to)
{
	__u64 n = to - from;

	if (to <= from || n > SAID_LEN || at + n > SAID_LEN)
		return at;
	H1_MASK(at, 1023);
	H1_MASK(from, 1023);
	H1_MASK(n, 1023);
	bpf_probe_read_kernel(s->said.text + at, n, s->w.h.said.text + from);
	return at + n;
}

/* seq's status, and what the head in the slot says. token 0: whose it is can't be told: all is news. Of a repeat
 * (s->row) only news is told: its row counts the status, and the server's name for the request goes untold. */
__weak __noinline int said_answer(__u32 slot, __u32 seq, __u32 status, __u32 grpc)
{
	struct scratch *s = scratch_get(slot);
	struct said_key last = {}, rest = {};
	struct tt_ev_status *e;
	struct h1_said *said;
	__u64 granted = 0, len;
	struct conn *c;
	__u32 at;
	int news;

	if (!s)
		return 0;
	c = bpf_map_lookup_elem(&conns, &s->key);
	if (!c)
		return 0;
	said = &s->w.h.said;
	last.token = rest.token = s->said_token;
	news = said_is_news(s, slot, &last, &rest, &granted);
	if (s->row.row)
		fold_answer(s->row.row, s->row.gen, status, grpc);
	if (s->row.row && !news)
		return 0;
	at = said_copy(s, 0, 0, said->ids_end);
	if (news) {
		at = said_copy(s, at, SAID_GRANTED, said->granted_end);
		at = said_copy(s, at, SAID_GATHERED, said->gathered_end);
	}
	e = &s->said.s;
	fill_answer(e, c, seq, status, grpc);
	if (s->row.row) {
		e->h.conn = s->row.gen;
		e->h.seq = s->row.row - 1;
		e->flags |= TT_STATUS_ROW;
	}
	if (said->cut) {
		e->flags |= TT_STATUS_SAID_CUT;
		drop(TT_DROP_said_cut);
	}
	e->text_len = at;
	len = sizeof(*e) + at;
	e->h.len = len;
	H1_MASK(len, 1023);
	if (len > sizeof(s->said) || emit(e, len) || !news || !s->said_token)
		return 0;
	/* Without it the same is told again: no loss. */
	bpf_map_update_elem(&said_told, &last, &granted, BPF_ANY);
	bpf_map_update_elem(&said_told, &rest, &granted, BPF_ANY);
	return 0;
}

#endif
