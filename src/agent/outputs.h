/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's sinks as one: opens those that the settings ask for and hands each record to all. A
 * sink that fails keeps or counts its record itself (sinks/sink.h); here it is logged.
 */
#ifndef TT_AGENT_OUTPUTS_H
#define TT_AGENT_OUTPUTS_H

#include <stddef.h>
#include <stdint.h>

#include "sinks/metrics.h"
#include "sinks/sinks.h"

#define OUTPUTS_MAX 4	/* standard output, store, Kafka, metrics */

struct outputs {
	struct sink sinks[OUTPUTS_MAX];
	size_t count;
	struct sink *table, *kafka, *metrics;	/* among them; NULL = none */
};

/* Logs what could not be opened; then nothing is open. metrics_fd: a listening socket, taken in any
 * case; negative: no metrics. */
int outputs_open(struct outputs *o, const struct config *c, const char *node, int metrics_fd);
void outputs_done(struct outputs *o);

void outputs_use(struct outputs *o, const struct use *u);
void outputs_token(struct outputs *o, const struct token *t);
void outputs_mint(struct outputs *o, const struct mint *m);
void outputs_coverage(struct outputs *o, const struct coverage *c);
void outputs_loss(struct outputs *o, const struct loss *l);
bool outputs_recall(struct outputs *o, struct token *t, struct facts *ret_facts);	/* sinks/sink.h */
uint64_t outputs_unwritten(const struct outputs *o);	/* of the sink that is the furthest behind */
void outputs_tick(struct outputs *o, uint64_t now_ns);	/* CLOCK_MONOTONIC */
/* Below the live table, if there is one. */
void outputs_status(struct outputs *o, const char *line);
/* What metrics show beside records, if there are metrics. */
void outputs_watch(struct outputs *o, const struct coverage_totals *totals);
void outputs_memory(struct outputs *o, uint64_t limit, const struct budget *budget);
void outputs_counters(struct outputs *o, const struct metrics_counters *c);
/* Of the metrics' server: to be polled for reading, negative = none; and what to do then. */
int outputs_fd(const struct outputs *o);
void outputs_serve(struct outputs *o);

/* Writes out everything that can be within the time; the first error, after trying all. */
int outputs_finish(struct outputs *o, uint64_t limit_ms);

#endif
