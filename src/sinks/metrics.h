/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prometheus metrics (include/tokentrail/metrics.def) as a sink: it counts uses itself; of the rest it
 * is told where it stands. Its constructor is here because it has more to it than a sink's.
 */
#ifndef TT_SINKS_METRICS_H
#define TT_SINKS_METRICS_H

#include "config/budget.h"
#include "sinks/sink.h"

struct metrics_counters {
	uint64_t drops[TT_DROP_MAX];	/* totals, all sides */
	uint32_t files_probed, probes;
	uint64_t left;	/* calls of processes that include and exclude leave alone */
	bool ready;
};

/* Serves on fd, of http_listen(), and takes it in any case. */
int metrics_sink_new(int fd, struct sink *ret_sink);

/* What is shown is read when somebody asks: both outlive the sink. */
void metrics_sink_watch(struct sink *s, const struct coverage_totals *totals,
			const struct sink *kafka);	/* either may be NULL */
void metrics_sink_memory(struct sink *s, uint64_t limit, const struct budget *budget);
void metrics_sink_counters(struct sink *s, const struct metrics_counters *c);

int metrics_sink_fd(const struct sink *s);	/* readable: call metrics_sink_run() */
void metrics_sink_run(struct sink *s);

/* The page, malloc'd; the tests read it without a server. 0 or -ENOMEM. */
int metrics_sink_page(void *sink, char **ret_text, size_t *ret_len);

#endif
