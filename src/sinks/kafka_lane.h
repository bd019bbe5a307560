/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lane of the Kafka sink: one topic, its spool, and what of it is with librdkafka. It decides
 * what a delivery report means for a record: done, again, look first, or refused for good.
 */
#ifndef TT_SINKS_KAFKA_LANE_H
#define TT_SINKS_KAFKA_LANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <librdkafka/rdkafka.h>

#include "config/config.h"
#include "sinks/kafka_readback.h"
#include "sinks/spool.h"

#define KAFKA_WINDOW 1000 /* records of a lane that are with librdkafka at a time */

/* What the lanes share: the producer and what is known of Kafka. */
struct kafka_link {
	rd_kafka_t *rk;
	rd_kafka_conf_t *consumer; /* for reading back */
	char node[256];
	bool fatal; /* this producer is done for; kafka.c makes a new one */
	bool away, away_said;
	int said; /* the error that was logged last, and when */
	uint64_t said_ns;
	char error[256];
	uint64_t acked, found, refused, unsure;
};

struct kafka_flight {
	struct kafka_lane *lane;
	uint64_t seq, since_ms; /* since_ms: when handed over, Unix time; 0: free */
	size_t len;
	bool solo; /* is alone in its batch: an error is its own */
};

struct kafka_lane {
	struct kafka_link *link;
	const char *message; /* its protobuf type */
	char topic[READBACK_TOPIC_LEN];
	char dir[512];
	struct spool *spool;
	char spool_id[17];
	struct kafka_flight flights[KAFKA_WINDOW];
	unsigned int free[KAFKA_WINDOW], free_count;
	size_t bytes, max_bytes; /* in flight */
	uint64_t next;		 /* hand over from here on */
	uint64_t acked_max;	 /* the highest that Kafka has, as far as we know */
	uint64_t solo_upto;	 /* up to here each record is sent alone */
	bool solo_flies;
	bool rewind; /* once nothing is in flight, begin again with the oldest */
	bool doubt;  /* something not acknowledged may be in Kafka all the same */
	uint64_t pause_until_ns;
	uint64_t pause_ms;
	struct readback *readback;
	uint64_t dropped, corrupt; /* of the spool's counts: already in agent_drops */
	int write_error;	   /* already said */
};

/* Its spool is spool_dir/name, its topic prefix + name; it gets so many bytes of disk. */
int kafka_lane_open(struct kafka_lane *l, struct kafka_link *link, const char *prefix,
		    const char *name, const char *spool_dir, uint64_t spool_bytes,
		    struct config_error *ret_error);
void kafka_lane_done(struct kafka_lane *l);

int kafka_lane_append(struct kafka_lane *l, const char *key, const uint8_t *payload, int len);

/* One round: write out, read back, begin again or hand over, whatever is due. Never waits. */
int kafka_lane_step(struct kafka_lane *l);
void kafka_lane_watch(struct kafka_lane *l); /* counts and says what befell the spool */

/* Nothing is in flight any more and no tick follows: the next start need not look for what is
 * certain not to have been sent. */
int kafka_lane_settle(struct kafka_lane *l);

unsigned int kafka_lane_flying(const struct kafka_lane *l);
uint64_t kafka_lane_oldest_ms(const struct kafka_lane *l); /* of them; Unix time, now if none */

/* librdkafka's delivery reports, from rd_kafka_poll(). */
void kafka_lane_delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque);

/* True once per kind of trouble and minute, so that a day's outage is not a day's log. */
bool kafka_say_now(struct kafka_link *k, int err);
void kafka_note_error(struct kafka_link *k, const char *reason);

#endif
