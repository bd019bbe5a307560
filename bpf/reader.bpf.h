/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Handing a call's bytes over to the HTTP reader. It is dear to load, so there is one program of it for
 * each type of program (reader.bpf.c), and those that find bytes end in a tail call to that, from their
 * main function. Nothing is handed over but the claimed slot, which knows whose it is.
 */
#ifndef TT_READER_BPF_H
#define TT_READER_BPF_H

#include "body.bpf.h"

enum { READ_HTTP, READ_BODIES, READERS };	/* which of its programs */

/* A program array takes programs of one type. The monitor fills them. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, READERS);
	__type(key, __u32);
	__type(value, __u32);
} tls_reader __weak SEC(".maps"), sock_reader __weak SEC(".maps");

/* A slot for this connection's bytes, whose pieces the caller enters. Without one they are missed. */
static __always_inline struct scratch *read_slot(const struct conn_key *key, struct conn *c, __u32 dir,
						 int *ret_slot)
{
	int slot = scratch_claim();
	struct scratch *s = slot < 0 ? 0 : scratch_get(slot);

	if (!s) {
		if (c)
			http_gap(conn_dir(c, dir));
		return 0;
	}
	s->key = *key;
	s->dir = dir;
	s->asked = ASKED_NOT;
	*ret_slot = slot;
	return s;
}

/* The reader did not run. */
static __noinline int read_failed(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct conn *c;

	if (!s)
		return 0;
	c = bpf_map_lookup_elem(&conns, &s->key);
	if (c)
		http_gap(conn_dir(c, s->dir));
	scratch_release(s, slot);
	return drop(TT_DROP_call_lost);
}

/* The last thing that a program does. Inlined, since the map has to be a constant. */
static __always_inline int read_call(void *ctx, void *reader, int slot)
{
	if (slot < 0)
		return 0;
	bpf_tail_call(ctx, reader, READ_HTTP);
	return read_failed(slot);
}

#endif
