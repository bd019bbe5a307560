/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The probes in one file. Every probe is a descriptor of this process and nothing else: closing it,
 * or the end of the process in any way, takes the probe out.
 *
 * The offsets come from the agent and are not trusted beyond lying inside the file.
 */
#ifndef TT_MONITOR_ATTACH_H
#define TT_MONITOR_ATTACH_H

#include <stdbool.h>
#include <stdint.h>

#include <tokentrail/ipc.h>

#include "monitor/bpf.h"
#include "monitor/readback.h"

#define ATTACH_HOOKS_MAX 64 /* functions per file; a library has up to eight, a bundle a few copies */

struct attach;

struct attach_count {
	uint32_t hooks;	 /* functions with all their probes in place */
	uint32_t failed; /* functions the kernel refused to probe */
	uint32_t probes; /* probes in place */
	uint32_t placed; /* functions whose probes are where they cost less */
};

int attach_new(struct attach **ret_attach);
void attach_free(struct attach *attach); /* takes the probes out; NULL is fine */
/* The kernel waits for a while at each probe that goes: many go side by side. */
void attach_free_many(struct attach *const *attaches, size_t count);

/* A function to probe, and where else that may be done at less cost (src/agent/elf_cheap.h). */
struct attach_function {
	uint32_t hook, placed_as;
	uint64_t offset;
	uint64_t placed; /* 0 = nowhere */
	uint32_t cookie; /* what the program there is told; 0 = nothing */
	uint32_t spare_as;
	uint64_t spare;	 /* where it may be if it can't be there; 0 = nowhere */
};

/* Notes a function. -EBADMSG: no such hook; -E2BIG: too many. */
int attach_add(struct attach *attach, const struct attach_function *function);

/* What the file open as fd has at the noted functions, for readback(). Those that the kernel refused,
 * once the probes are set, are not among them but in a list of their own. */
struct attach_sites {
	uint32_t count, refused;
	struct readback_site site[ATTACH_HOOKS_MAX];
	enum tt_hook hook[ATTACH_HOOKS_MAX];
	enum tt_hook refused_hook[ATTACH_HOOKS_MAX];
};
void attach_sites(const struct attach *attach, int fd, struct attach_sites *ret_sites);
bool attach_has(const struct attach *attach, uint64_t offset); /* a probe, in place */

/* Sets the probes of all noted functions in the file open as fd; where the cheaper place is refused, at the spare one, and
 * where that is, at the function's beginning. Partly done is done: the counts tell. -ERANGE: an offset beyond the end of the file; nothing was set. */
int attach_place(struct attach *attach, struct bpf_sensor *sensor, int fd, uint64_t file_size,
		 struct attach_count *ret_count);

#endif
