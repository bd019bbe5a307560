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

static __always_inline void h2_answer(struct scratch *s, struct conn *c, const struct stream_key *key,
				      struct stream *row, __u32 status, __u32 grpc)
{
	if (row->row.row)
		fold_answer(row->row.row, row->row.gen, status, grpc);
	else
		emit_answer(&s->status, c, row->seq, status, grpc);
	c->answered++;
	bpf_map_delete_elem(&streams, key);
}

/* A use was reported, or added to a row: its response is awaited, or was here first. */
static __always_inline void h2_await(struct scratch *s, struct conn *c, const struct stream_key *key,
				     __u64 token)
{
	struct stream first = { .seq = TT_SEQ_STREAM | key->stream, .token = token, .row = s->row }, *row;

	c->sent++;
	if (s->x.b.flags & H2_B_GRPC)
		first.flags = STREAM_GRPC;
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
