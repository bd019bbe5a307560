/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Kafka sink. Every record goes into a spool on disk first and leaves it when Kafka has
 * acknowledged it. Five lanes (losses, coverage, mints, tokens, uses), each with its own topic and spool, so that a
 * topic that is refused holds up nobody else:
 *
 *   use() -> spool -> at most WINDOW records with librdkafka -> delivery report -> spool_ack()
 *                       | refused for now: hand over again from the oldest, after a pause
 *                       | perhaps delivered (crash, lost connection): read the topic back first
 *                       ` refused for good: refused file
 *
 * kafka_lane.c does that; here are the producer and the sink. The files kafka*.c are the door to
 * librdkafka; nobody else knows it.
 */
#include "sinks/kafka.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <librdkafka/rdkafka.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "sinks/kafka_conf.h"
#include "sinks/kafka_lane.h"
#include "sinks/record.h"
#include "sinks/sinks.h"

#define RENEW_MS 2000 /* before a new producer takes the place of a dead one */
#define RENEW_AGAIN_MS 30000
#define AWAY_MS 2000 /* records unacknowledged for so long without a broker: say so */
#define MS 1000000ULL

enum { LANE_LOSS, LANE_COVERAGE, LANE_MINTS, LANE_TOKENS, LANE_USES, LANES };

/* Its name under the prefix, message and share of the disk, in percent. */
static const struct {
	const char *name, *message;
	unsigned int share;
} kinds[LANES] = {
	[LANE_LOSS] = {"loss", "tokentrail.v1.Loss", 5},
	[LANE_COVERAGE] = {"coverage", "tokentrail.v1.Coverage", 5},
	[LANE_TOKENS] = {"tokens", "tokentrail.v1.Token", 15},
	[LANE_MINTS] = {"mints", "tokentrail.v1.Mint", 10},
	[LANE_USES] = {"uses", "tokentrail.v1.Use", 65},
};

struct kafka {
	struct kafka_link link;
	rd_kafka_conf_t *producer;
	struct kafka_lane lanes[LANES];
	uint64_t renew_at_ns;
	pthread_t reaper;
	bool reaping;
};

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void troubled(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	struct kafka *k = opaque;
	char why[256];

	if (rk != k->link.rk)
		return;
	if (err == RD_KAFKA_RESP_ERR__FATAL) {
		err = rd_kafka_fatal_error(rk, why, sizeof(why));
		k->link.fatal = true;
		reason = why;
	}
	if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
		k->link.away = true; /* say_away() looks whether it matters */
		return;
	}
	kafka_note_error(&k->link, reason);
	if (err != RD_KAFKA_RESP_ERR__TRANSPORT && kafka_say_now(&k->link, err))
		log_warning("Kafka refuses to talk to us; records wait in the spool reason=\"%s\"",
			    reason);
}

static void *reap(void *rk)
{
	rd_kafka_destroy(rk);
	return NULL;
}

static void reap_done(struct kafka *k)
{
	if (k->reaping)
		pthread_join(k->reaper, NULL);
	k->reaping = false;
}

/* A producer that lost its sequence can't go on; what it had in flight is read back afterwards. */
static void renew_producer(struct kafka *k)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	rd_kafka_conf_t *conf;
	char why[256];
	size_t i;

	if (k->link.rk) {
		rd_kafka_purge(k->link.rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
		rd_kafka_poll(k->link.rk, 0);
		for (i = 0; i < LANES; i++)
			if (kafka_lane_flying(&k->lanes[i]))
				return;
		reap_done(k);
		/* Destroying waits for librdkafka's threads, which may sit in a connect. */
		if (pthread_create(&k->reaper, NULL, reap, k->link.rk) == 0)
			k->reaping = true;
		else
			rd_kafka_destroy(k->link.rk);
		k->link.rk = NULL;
		k->renew_at_ns = now + RENEW_MS * MS;
		for (i = 0; i < LANES; i++)
			k->lanes[i].rewind = true;
	}
	if (now < k->renew_at_ns)
		return;
	conf = rd_kafka_conf_dup(k->producer);
	k->link.rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
	if (!k->link.rk) {
		rd_kafka_conf_destroy(conf);
		k->renew_at_ns = now + RENEW_AGAIN_MS * MS;
		log_warning("No new Kafka producer could be made, trying again: %s", why);
		return;
	}
	k->link.fatal = false;
	log_info("The Kafka producer was made anew");
}

/* Brokers close idle connections, too: away is who leaves records waiting. Once per outage. */
static void say_away(struct kafka *k)
{
	const struct kafka_lane *l;
	bool matters = false;

	if (!k->link.away || k->link.away_said)
		return;
	for (l = k->lanes; l < k->lanes + LANES; l++)
		matters |= l->readback ||
			   kafka_lane_oldest_ms(l) + AWAY_MS < clock_ns(CLOCK_REALTIME) / MS;
	if (!matters)
		return;
	k->link.away_said = true;
	log_warning("Kafka is away; records wait in the spool reason=\"%s\"", k->link.error);
}

static int kafka_tick(void *sink, uint64_t now_ns)
{
	struct kafka *k = sink;
	int i, r, worst = 0;

	if (k->link.rk)
		rd_kafka_poll(k->link.rk, 0);
	if (k->link.fatal) {
		renew_producer(k);
		return 0;
	}
	say_away(k);
	for (i = 0; i < LANES; i++) {
		r = kafka_lane_step(&k->lanes[i]);
		if (r == 0)
			r = spool_save(k->lanes[i].spool);
		/* A disk that takes no writes was said by kafka_lane_watch(). */
		if (r < 0 && !k->lanes[i].write_error)
			worst = r;
	}
	return worst;
}

static uint64_t waiting(const struct kafka *k)
{
	struct spool_stat st;
	uint64_t sum = 0;
	int i;

	for (i = 0; i < LANES; i++) {
		spool_stat(k->lanes[i].spool, &st);
		sum += st.waiting;
	}
	return sum;
}

/* Takes back what librdkafka did not send, so that the next start need not look for it. */
static void take_back(struct kafka *k)
{
	uint64_t until = clock_ns(CLOCK_MONOTONIC) + 200 * MS;
	unsigned int flying;
	int i;

	rd_kafka_purge(k->link.rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	do {
		rd_kafka_poll(k->link.rk, 10);
		for (flying = 0, i = 0; i < LANES; i++)
			flying += kafka_lane_flying(&k->lanes[i]);
	} while (flying && clock_ns(CLOCK_MONOTONIC) < until);
	for (i = 0; i < LANES; i++)
		(void)kafka_lane_settle(&k->lanes[i]);
}

static int kafka_finish(void *sink, uint64_t limit_ms)
{
	struct kafka *k = sink;
	uint64_t until = clock_ns(CLOCK_MONOTONIC) + limit_ms * MS, left;
	int i, r = 0, e;

	while (waiting(k) && clock_ns(CLOCK_MONOTONIC) < until) {
		r = kafka_tick(k, 0);
		if (k->link.rk)
			rd_kafka_flush(k->link.rk, 20); /* also ends the linger */
	}
	if (k->link.rk)
		take_back(k);
	for (i = 0; i < LANES; i++) {
		e = spool_retry(k->lanes[i].spool);
		if (e == 0)
			e = spool_save(k->lanes[i].spool);
		if (e < 0)
			r = e;
		kafka_lane_watch(&k->lanes[i]);
	}
	left = waiting(k);
	if (left)
		log_info("%" PRIu64 " records stay in the spool for the next start", left);
	return r;
}

/* ---- what comes in ---- */

static int kafka_use(void *sink, const struct use *u)
{
	struct kafka *k = sink;
	uint8_t bytes[RECORD_MAX];

	return kafka_lane_append(&k->lanes[LANE_USES], u->token_id, bytes,
				 record_use(u, k->link.node, bytes, sizeof(bytes)));
}

static int kafka_token(void *sink, const struct token *t)
{
	struct kafka *k = sink;
	uint8_t bytes[RECORD_MAX];
	char key[TOKEN_ID_LEN + sizeof(k->link.node) + 1];

	/* With the node: the topic is compacted, and nodes must not overwrite each other. */
	snprintf(key, sizeof(key), "%s/%s", t->token_id, k->link.node);
	return kafka_lane_append(&k->lanes[LANE_TOKENS], key, bytes,
				 record_token(t, k->link.node, bytes, sizeof(bytes)));
}

static int kafka_mint(void *sink, const struct mint *m)
{
	const struct mint_token *parent = mint_token_of(m, MINT_PART_PARENT, NULL);
	char key[MINT_ISSUER_LEN + TOKEN_ID_LEN];
	struct kafka *k = sink;
	uint8_t bytes[RECORD_MAX];

	snprintf(key, sizeof(key), "%s/%s", m->issuer, parent ? parent->id : "");
	return kafka_lane_append(&k->lanes[LANE_MINTS], key, bytes,
				 record_mint(m, k->link.node, bytes, sizeof(bytes)));
}

static int kafka_loss(void *sink, const struct loss *loss)
{
	struct kafka *k = sink;
	uint8_t bytes[RECORD_MAX];

	return kafka_lane_append(&k->lanes[LANE_LOSS], k->link.node, bytes,
				 record_loss(loss, k->link.node, bytes, sizeof(bytes)));
}

static int kafka_coverage(void *sink, const struct coverage *c)
{
	struct kafka *k = sink;
	uint8_t bytes[RECORD_MAX];
	char key[sizeof(k->link.node) + 48];

	snprintf(key, sizeof(key), "%s/%" PRIu32 "/%" PRIu64, k->link.node, c->pid, c->start_ns);
	return kafka_lane_append(&k->lanes[LANE_COVERAGE], key, bytes,
				 record_coverage(c, k->link.node, bytes, sizeof(bytes)));
}

/* ---- making and ending ---- */

static void kafka_free(void *sink)
{
	struct kafka *k = sink;
	int i;

	if (!k)
		return;
	if (k->link.rk)
		rd_kafka_destroy(k->link.rk);
	reap_done(k);
	for (i = 0; i < LANES; i++)
		kafka_lane_done(&k->lanes[i]);
	if (k->producer)
		rd_kafka_conf_destroy(k->producer);
	if (k->link.consumer)
		rd_kafka_conf_destroy(k->link.consumer);
	free(k);
}

static void kafka_freep(struct kafka **k)
{
	kafka_free(*k);
}

static int open_producer(struct kafka *k, const struct config *c, struct config_error *ret_error)
{
	rd_kafka_conf_t *conf;
	char why[256] = "";
	int r;

	r = kafka_conf_producer(c, &k->producer, ret_error);
	if (r == 0)
		r = kafka_conf_consumer(c, &k->link.consumer, ret_error);
	if (r < 0)
		return r;
	rd_kafka_conf_set_dr_msg_cb(k->producer, kafka_lane_delivered);
	rd_kafka_conf_set_error_cb(k->producer, troubled);
	rd_kafka_conf_set_opaque(k->producer, k);
	conf = rd_kafka_conf_dup(k->producer);
	k->link.rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
	if (k->link.rk)
		return 0;
	rd_kafka_conf_destroy(conf);
	snprintf(ret_error->text, sizeof(ret_error->text),
		 "kafka.settings: librdkafka refuses them: %s", why);
	return -EINVAL;
}

static const struct sink_ops kafka_ops = {
	.name = "kafka",
	.use = kafka_use,
	.token = kafka_token,
	.mint = kafka_mint,
	.loss = kafka_loss,
	.coverage = kafka_coverage,
	.tick = kafka_tick,
	.finish = kafka_finish,
	.free = kafka_free,
};

int kafka_sink_new(const struct config *c, const char *spool_dir, const char *node,
		   struct sink *ret_sink, struct config_error *ret_error)
{
	_cleanup_(kafka_freep) struct kafka *k = NULL;
	int i, r;

	k = calloc(1, sizeof(*k));
	if (!k) {
		snprintf(ret_error->text, sizeof(ret_error->text), "No memory for the Kafka sink");
		return -ENOMEM;
	}
	snprintf(k->link.node, sizeof(k->link.node), "%s", node);
	if (mkdir(spool_dir, 0700) < 0 && errno != EEXIST) {
		r = -errno;
		snprintf(ret_error->text, sizeof(ret_error->text),
			 "The spool %.300s can't be made: %s", spool_dir, strerror(-r));
		return r;
	}
	for (i = 0; i < LANES; i++) {
		r = kafka_lane_open(&k->lanes[i], &k->link, c->kafka_prefix, kinds[i].name,
				    spool_dir, c->spool_max_bytes / 100 * kinds[i].share,
				    ret_error);
		if (r < 0)
			return r;
		k->lanes[i].message = kinds[i].message;
	}
	r = open_producer(k, c, ret_error);
	if (r < 0)
		return r;
	*ret_sink = (struct sink){.ops = &kafka_ops, .self = TAKE_PTR(k)};
	return 0;
}

void kafka_sink_status(const struct sink *s, struct kafka_status *ret_status)
{
	const struct kafka *k = s->self;
	struct kafka_status to = {
		.acked = k->link.acked,
		.found = k->link.found,
		.refused = k->link.refused,
		.unsure = k->link.unsure,
		.away = k->link.away,
	};
	struct spool_stat st;
	int i;

	for (i = 0; i < LANES; i++) {
		spool_stat(k->lanes[i].spool, &st);
		to.waiting += st.waiting;
		to.dropped += st.dropped;
		to.corrupt += st.corrupt;
		to.spool_bytes += st.bytes;
		to.reading_back |= k->lanes[i].readback != NULL;
		if (i == LANE_USES)
			to.made = st.next - 1;
	}
	snprintf(to.error, sizeof(to.error), "%s", k->link.error);
	*ret_status = to;
}
