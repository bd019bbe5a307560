/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sensor sees of each process's TLS: joins what the monitor tells of files
 * (TT_IPC_ATTACHED) and of processes (TT_IPC_COVER) with who the process is, and makes `coverage`
 * records of it: when a verdict or a library changes, when the process has ended, and otherwise
 * once per interval if its counts grew. A verdict waits a moment for what is still being found out;
 * a process that has a library and no TLS is told of with the interval only, so that a program
 * which never talks leaves no record.
 *
 * Times are the caller's, of a clock that only grows; those in messages are CLOCK_BOOTTIME.
 */
#ifndef TT_AGENT_COVER_H
#define TT_AGENT_COVER_H

#include <stddef.h>
#include <stdint.h>

#include <tokentrail/ipc.h>

#include "enrich/process.h"
#include "tokens/coverage.h"

struct cover;

struct cover_limits {
	size_t processes, files;	/* remembered; the one without news for the longest time goes */
	size_t workloads;		/* with sums of their own */
};

/* `who` answers for executable and container, and outlives this. */
int cover_new(const struct cover_limits *limits, struct process_cache *who,
	      void (*emit)(void *ctx, const struct coverage *c), void *ctx,
	      struct cover **ret_cover);
void cover_free(struct cover *c);	/* cover_flush() before */

void cover_set_interval(struct cover *c, uint64_t interval_ns);
/* Both clocks read at one moment; again now and then. */
void cover_set_clock(struct cover *c, uint64_t boot_ns, uint64_t real_ns);

void cover_file(struct cover *c, const struct tt_ipc_attached *m);
void cover_process(struct cover *c, const struct tt_ipc_cover *m, uint64_t now_ns);

void cover_tick(struct cover *c, uint64_t now_ns);
void cover_flush(struct cover *c, uint64_t now_ns);	/* at the end: all that has not been told */

const struct coverage_totals *cover_totals(const struct cover *c);

#endif
