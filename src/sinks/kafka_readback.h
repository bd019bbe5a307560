/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads topics back to learn which of our records are in them already. librdkafka's calls for this
 * block, so they have a thread of their own; it touches nothing but its struct readback.
 */
#ifndef TT_SINKS_KAFKA_READBACK_H
#define TT_SINKS_KAFKA_READBACK_H

#include <stddef.h>
#include <stdint.h>

#include <librdkafka/rdkafka.h>

#include "base/cleanup.h"

#define READBACK_TOPICS 4
#define READBACK_TOPIC_LEN 250 /* Kafka's limit is 249 characters */

struct readback;

struct readback_want {
	char topics[READBACK_TOPICS][READBACK_TOPIC_LEN];
	size_t topic_count;
	uint64_t spool_id;    /* header tt-spool */
	uint64_t first, last; /* of the header tt-seq */
	uint64_t count;	      /* records looked for; once all are found it ends */
	uint64_t since_ms;    /* none of them is older, Unix time */
};

/* Consumes conf on success. */
int readback_start(rd_kafka_conf_t *conf, const struct readback_want *want,
		   struct readback **ret_rb);

/* -EAGAIN: still reading. 0: done. -EACCES: Kafka forbids reading. Other: try again later. In the
 * last two cases *ret_error is why. */
int readback_poll(struct readback *rb, const char **ret_error);

const uint64_t *readback_found(const struct readback *rb, size_t *ret_count); /* once done */

void readback_free(struct readback *rb); /* ends it, waits for its thread; NULL is fine */
DEFINE_CLEANUP(struct readback *, readback_free)

#endif
