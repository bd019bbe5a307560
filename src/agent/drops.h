/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was not reported, by reason: the agent's own counters (agent_drops[] of sinks/sink.h) and
 * the totals the monitor sends, joined, and turned into `loss` records when they grew.
 */
#ifndef TT_AGENT_DROPS_H
#define TT_AGENT_DROPS_H

#include <stddef.h>
#include <stdint.h>

#include "sinks/sink.h"

struct drops {
	uint64_t others[TT_DROP_MAX];	/* kernel and monitor: the last TT_IPC_COUNTERS */
	uint64_t reported[TT_DROP_MAX];	/* totals of the last loss records */
	uint64_t report_ns[TT_DROP_MAX];	/* when they went out; 0 = never */
};

/* Name in drops.def; NULL: there is no such reason. */
const char *drops_name(enum tt_drop reason);

/* `reported`: what an earlier agent already reported of the others' totals. */
void drops_init(struct drops *d, const uint64_t reported[static TT_DROP_MAX]);
void drops_update(struct drops *d, const __u64 others[static TT_DROP_MAX]);

/* Sum over all reasons; for the table's status line. */
uint64_t drops_total(const struct drops *d);

/* Calls emit for each reason that grew and was not reported within the last second of now_ns (any
 * clock that only grows); `force` ignores the second. Returns the first error of emit; the reason
 * stays due then. */
typedef int (*drops_emit)(void *ctx, const struct loss *l);
int drops_report(struct drops *d, uint64_t now_ns, uint64_t real_ns, int force, drops_emit emit,
		 void *ctx);

#endif
