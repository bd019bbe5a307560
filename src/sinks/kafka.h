/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What metrics and the table may ask the Kafka sink. Its constructor is in sinks/sinks.h; headers,
 * keys and guarantees are in schemas/README.md.
 */
#ifndef TT_SINKS_KAFKA_H
#define TT_SINKS_KAFKA_H

#include <stdbool.h>
#include <stdint.h>

#include "sinks/sink.h"

struct kafka_status {
	uint64_t made;	      /* records since the spool was made, not since this start */
	uint64_t waiting;     /* records in the spool that Kafka has not acknowledged */
	uint64_t acked;	      /* acknowledged since this start */
	uint64_t found;	      /* of them: read back, sent by a run before this one */
	uint64_t refused;     /* refused for good since this start; in the refused files */
	uint64_t dropped;     /* lost because the spool was full */
	uint64_t corrupt;     /* lost because the spool was damaged */
	uint64_t spool_bytes; /* on disk */
	uint64_t
		unsure; /* times that records were sent again without being able to look for them */
	bool away;	/* the last broker was lost and nothing acknowledged since */
	bool reading_back; /* looking for records that an earlier run may have delivered */
	char error[256];   /* the last one, a sentence of librdkafka; "" = none yet */
};

/* Sums over uses, tokens, coverage and losses; `made` counts uses only. */
void kafka_sink_status(const struct sink *s, struct kafka_status *ret_status);

#endif
