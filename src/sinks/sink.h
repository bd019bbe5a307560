/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every sink offers the agent's loop. A sink keeps no pointer into what it is given. Calls
 * return 0 or a negative errno and never block longer than a disk write; what could not be
 * delivered is kept for a later try or counted by the sink in *drops (enum tt_drop), never lost in
 * silence. The agent logs.
 */
#ifndef TT_SINKS_SINK_H
#define TT_SINKS_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "tokens/coverage.h"
#include "tokens/mint.h"
#include "tokens/use.h"

struct sink_ops {
	const char *name;
	int (*use)(void *sink, const struct use *u);		/* one (folded) use */
	int (*token)(void *sink, const struct token *t);	/* a new or changed inventory row */
	int (*mint)(void *sink, const struct mint *m);		/* a request for a token, or about one */
	int (*loss)(void *sink, const struct loss *l);
	int (*coverage)(void *sink, const struct coverage *c);
	/* What it keeps of the token with t->token_id: first_ns, last_ns, uses, egress, ingress, facts. False:
	 * nothing. NULL: it keeps nothing that could be asked for. */
	bool (*recall)(void *sink, struct token *t, struct facts *ret_facts);
	/* Uses that would be lost if the agent died now. NULL: it keeps none. */
	uint64_t (*unwritten)(const void *sink);
	int (*tick)(void *sink, uint64_t now_ns);		/* about ten times a second: flush, poll, redraw */
	int (*finish)(void *sink, uint64_t limit_ms);		/* write out everything that can be, at the end */
	void (*free)(void *sink);
};

struct sink {
	const struct sink_ops *ops;
	void *self;
};

/* Counters of the agent, indexed by enum tt_drop; sinks add to them. One thread only, except
 * kafka's delivery reports, which run inside its tick(). */
extern uint64_t agent_drops[TT_DROP_MAX];

#endif
