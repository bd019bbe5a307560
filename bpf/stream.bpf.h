/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Streams of HTTP/2: which requests wait for their responses, whether they were read or recognised (block.bpf.h). */
#ifndef TT_STREAM_BPF_H
#define TT_STREAM_BPF_H

#include "fold.bpf.h"

/* The connection of the head in this slot, and its stream. */
static __always_inline struct conn *h2_stream_of(const struct scratch *s, struct stream_key *key)
{
	struct conn *c = bpf_map_lookup_elem(&conns, &s->key);

	if (c)
		key->conn = c->id;
	key->stream = s->x.f.stream;
	return c;
}

/* ---- which wait ---- */

/*
 * A few of a connection's streams wait in its row, where they cost no table's insertion and deletion: the requests fill
 * a free place, the responses free it. A place whose tag is another one's, or is not whole yet for who reads it on
 * another CPU, is not this stream's; all that find none wait in `streams`, and whatever comes once responses have
 * overtaken their requests: there one of both is first.
 */
static __always_inline __u32 stream_tag(__u64 stream, const struct stream *row)
{
	__u64 h = tt_name_mix(stream, row->row.row | (__u64)row->row.gen << 32);

	return (__u32)(tt_name_mix(h, row->token) >> 32) | 1;
}

static __always_inline struct stream *stream_place(struct conn *c, __u64 stream)
{
	__u64 i = stream >> 1;	/* a client's have odd numbers */

	H1_MASK(i, STREAMS_HELD - 1);
	return &c->stream[i];
}

static __always_inline int stream_is_held(struct conn *c, __u64 stream)
{
	const struct stream *row = stream_place(c, stream);

	return (c->asking & CONN_HOLDS) && row->seq && row->seq == stream_tag(stream, row);
}

static __always_inline struct stream *stream_find(struct conn *c, const struct stream_key *key)
{
	if (stream_is_held(c, key->stream))
		return stream_place(c, key->stream);
	return (c->asking & CONN_SPILLED) || (c->answering & CONN_EARLY) ? bpf_map_lookup_elem(&streams, key) : 0;
}

static __always_inline void stream_forget(struct conn *c, const struct stream_key *key)
{
	if (stream_is_held(c, key->stream))
		stream_place(c, key->stream)->seq = 0;
	else
		bpf_map_delete_elem(&streams, key);
}

/* As struct tt_ev_hdr has it. After an upgrade the first stream's is that of HTTP/1's request. */
static __always_inline __u32 stream_seq(const struct conn *c, const struct stream_key *key, const struct stream *row)
{
	return c->asking & CONN_HOLDS ? TT_SEQ_STREAM | (__u32)key->stream : row->seq;
}

/* Whether there was a free place. */
static __always_inline int stream_hold(struct conn *c, __u64 stream, const struct stream *first)
{
	struct stream *row = stream_place(c, stream);

	/* `sent` counts HTTP/1's requests, too. */
	if (!c->sent && !(c->asking & CONN_HOLDS)) {
		__builtin_memset(c->stream, 0, sizeof(c->stream));
		c->asking |= CONN_HOLDS;
	}
	if (!(c->asking & CONN_HOLDS) || (c->answering & CONN_EARLY) || row->seq)
		return 0;
	row->status = 0;
	row->grpc = 0;
	row->flags = first->flags;
	row->token = first->token;
	row->row = first->row;
	asm volatile("" ::: "memory");
	row->seq = stream_tag(stream, first);
	return 1;
}

/* ---- what becomes of them ---- */

static __always_inline void h2_answer(struct scratch *s, struct conn *c, const struct stream_key *key,
				      struct stream *row, __u32 status, __u32 grpc)
{
	if (row->row.row)
		fold_answer(row->row.row, row->row.gen, status, grpc);
	else
		emit_answer(&s->status, c, stream_seq(c, key, row), status, grpc);
	c->answered++;
	stream_forget(c, key);
}

/* A use was reported, or added to a row: its response is awaited, or was here first. */
static __always_inline void h2_await(struct scratch *s, struct conn *c, const struct stream_key *key,
				     __u64 token)
{
	struct stream first = { .seq = TT_SEQ_STREAM | key->stream, .token = token, .row = s->row }, *row;
	int held;

	if (s->x.b.flags & H2_B_GRPC)
		first.flags = STREAM_GRPC;
	held = stream_hold(c, key->stream, &first);
	c->sent++;
	if (held)
		return;
	c->asking |= CONN_SPILLED;
	if (!bpf_map_update_elem(&streams, key, &first, BPF_NOEXIST))
		return;
	row = bpf_map_lookup_elem(&streams, key);
	if (!row || !(row->flags & STREAM_EARLY))
		return;
	row->row = s->row;
	if (row->flags & STREAM_DONE)
		h2_answer(s, c, key, row, row->status, row->grpc);
	else
		row->flags = STREAM_GRPC;	/* its trailers are still to come */
}

/* The request has been seen to, after all else, for who reads the responses meanwhile: so have those below it. */
static __always_inline void h2_asked(struct conn *c, const struct stream_key *key)
{
	if (key->stream > c->last_stream)
		c->last_stream = key->stream;
}

#endif
