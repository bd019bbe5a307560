/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TLS over memory buffers: what was written into a TLS object and is not known to have been sent. A
 * program may write to several objects before it sends any of it, in any order; a send is a write's
 * only if no other write that waits has its size. Writes wait for a second at most: programs join what
 * they wrote, so that no send ever has its size.
 */
#ifndef TT_UNSENT_BPF_H
#define TT_UNSENT_BPF_H

#include "conn.bpf.h"

#define UNSENT_MAX 8
#define UNSENT_NS 1000000000ULL

struct unsent_write {
	struct conn_key key;
	__u64 time_ns;
	__u32 bytes;		/* 0 = no write */
	__u32 unsure;		/* another write of this size may have been what was sent already */
	__u64 sends;		/* of the thread, when this was written */
};

struct unsent {
	struct unsent_write write[UNSENT_MAX];
	__u64 dropped_ns;	/* when one was given up that still waited */
	__u64 sends;		/* by this thread, since there is this row */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);	/* thread */
	__type(value, struct unsent);
} unsents __weak SEC(".maps");

static __always_inline int unsent_waits(const struct unsent_write *w, __u64 now)
{
	return w->bytes && now - w->time_ns < UNSENT_NS;
}

/* The one to give up for a new write: one that does not wait, else the oldest. */
static __always_inline __u32 unsent_room(struct unsent *u, __u64 now)
{
	__u64 oldest = -1;
	__u32 at = 0;

	for (__u32 i = 0; i < UNSENT_MAX; i++) {
		__u64 time = unsent_waits(&u->write[i], now) ? u->write[i].time_ns : 0;

		if (time < oldest) {
			oldest = time;
			at = i;
		}
	}
	if (oldest)
		u->dropped_ns = now;
	return at & (UNSENT_MAX - 1);
}

static __noinline __attribute__((unused)) void
unsent_add(const struct conn_key *key, __u64 thread, __u32 bytes)
{
	struct unsent *u = bpf_map_lookup_elem(&unsents, &thread);
	static const struct unsent empty;
	struct unsent_write *w;
	__u64 now = bpf_ktime_get_boot_ns();

	if (!u) {
		bpf_map_update_elem(&unsents, &thread, &empty, BPF_NOEXIST);
		u = bpf_map_lookup_elem(&unsents, &thread);
	}
	if (!u)
		return;
	w = &u->write[unsent_room(u, now)];
	w->key = *key;
	w->time_ns = now;
	w->bytes = bytes;
	w->unsure = 0;
	w->sends = u->sends;
}

/* For libraries whose records of one connection go out together, the same as one write. What was
 * written before the last send is not waited for any more. */
static __noinline __attribute__((unused)) void
unsent_grow(const struct conn_key *key, __u64 thread, __u32 bytes)
{
	struct unsent *u = bpf_map_lookup_elem(&unsents, &thread);
	__u64 now = bpf_ktime_get_boot_ns();

	for (__u32 i = 0; u && i < UNSENT_MAX; i++) {
		struct unsent_write *w = &u->write[i];

		if (!unsent_waits(w, now) || !conn_key_same(&w->key, key))
			continue;
		w->bytes = w->sends == u->sends ? w->bytes + bytes : bytes;
		w->sends = u->sends;
		return;
	}
	unsent_add(key, thread, bytes);
}

/* What a send may have been. */
struct unsent_match {
	struct conn_key exact;	/* of a write of its size */
	struct conn_key only;	/* of all that wait, if there is only one */
	__u32 count;		/* that wait */
	__u32 found, unsure, several;
	__u32 bytes;		/* of the last of `only` */
};

static __always_inline void unsent_find(struct unsent *u, __u64 len, __u64 now, struct unsent_match *m)
{
	for (__u32 i = 0; i < UNSENT_MAX; i++) {
		struct unsent_write *w = &u->write[i];

		if (!unsent_waits(w, now))
			continue;
		if (m->count && !conn_key_same(&w->key, &m->only))
			m->several = 1;
		m->only = w->key;
		m->bytes = w->bytes;
		m->count++;
		if (!wire_exact(w->bytes, len))
			continue;
		if (w->unsure || (m->found && !conn_key_same(&w->key, &m->exact)))
			m->unsure = 1;
		m->exact = w->key;
		m->found = 1;
	}
}

/* One write of this size is gone; if it may be any of several, none of them is sure any more. */
static __always_inline void unsent_settle(struct unsent *u, __u64 len, __u64 now, __u32 unsure)
{
	__u32 gone = 0;

	for (__u32 i = 0; i < UNSENT_MAX; i++) {
		struct unsent_write *w = &u->write[i];

		if (!unsent_waits(w, now) || !wire_exact(w->bytes, len))
			continue;
		if (gone)
			w->unsure |= unsure;
		else
			w->bytes = 0;
		gone = 1;
	}
}

#endif
