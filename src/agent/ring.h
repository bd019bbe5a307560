/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only reader of the kernel's ring buffer. Checks every record before anybody else sees it:
 * version, type, sizes, inner lengths, ranges. What fails is counted as TT_DROP_bad_record.
 */
#ifndef TT_AGENT_RING_H
#define TT_AGENT_RING_H

#include <stdbool.h>
#include <stddef.h>

#include <tokentrail/abi.h>

struct ring_ops {
	void (*use)(void *ctx, const struct tt_ev_use *ev);
	void (*status)(void *ctx, const struct tt_ev_status *ev);	/* with its text behind it: said.h */
	void (*close)(void *ctx, const struct tt_ev_status *ev);
	void (*claims)(void *ctx, const struct tt_ev_claims *ev);	/* as long as its text */
	void (*mint)(void *ctx, const struct tt_ev_mint *ev);
	void (*row)(void *ctx, const struct tt_ev_row *ev);
};

/* One record, from the ring or from a test. The bytes need no alignment beyond 8. */
void ring_record(const struct ring_ops *ops, void *ctx, const void *bytes, size_t len);

/* Do the members of a use make sense? Of one that did not come by the ring: rows.h. */
bool ring_use_ok(const struct tt_ev_use *ev);

struct ring;

/* Where the parts of a ring are: what the kernel maps, or a test's. The data stand in the file twice, one behind the
 * other. */
struct ring_memory {
	int fd;
	size_t data_at, size;	/* in the file; a power of two, 256 KiB or more */
	unsigned long *taken;	/* up to where it was read */
	const unsigned long *given;	/* up to where there is something */
};

/* File and places stay the caller's. -EINVAL: too small. */
int ring_new(const struct ring_memory *memory, const struct ring_ops *ops, void *ctx, struct ring **ret_ring);

/* Maps the ring; needs bpf(2), so before the sandbox. The descriptor stays the caller's and open. */
int ring_open(int map_fd, const struct ring_ops *ops, void *ctx, struct ring **ret_ring);
void ring_free(struct ring *r);
int ring_poll_fd(const struct ring *r);	/* readable when the kernel asks for a drain at once */

/* Handles what is there, at most `limit` records. Returns how many, or a negative errno. */
int ring_drain(struct ring *r, int limit);

#endif
