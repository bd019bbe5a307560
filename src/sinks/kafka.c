/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Kafka sink. Every record goes into a spool on disk first and leaves it when Kafka has
 * acknowledged it. Three lanes (losses, tokens, uses), each with its own topic and spool, so that a
 * topic that is refused holds up nobody else:
 *
 *   use() -> spool -> at most WINDOW records with librdkafka -> delivery report -> spool_ack()
 *                       | refused for now: hand over again from the oldest, after a pause
 *                       | perhaps delivered (crash, lost connection): read the topic back first
 *                       ` refused for good: refused file
 *
 * kafka.c, kafka_conf.c and kafka_readback.c are the door to librdkafka; nobody else knows it.
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
#include "sinks/kafka_readback.h"
#include "sinks/record.h"
#include "sinks/refused.h"
#include "sinks/sinks.h"
#include "sinks/spool.h"

#define WINDOW 1000			/* records of a lane that are with librdkafka at a time */
#define REFUSED_MAX (1U << 20)		/* bytes of each refused file */
#define PAUSE_MIN_MS 500
#define PAUSE_MAX_MS 30000
#define AWAY_MS 2000			/* records unacknowledged for so long without a broker: say so */
#define REPEAT_MS 60000			/* the same trouble is said again after so long */
#define MS 1000000ULL

struct lane;

struct flight {
	struct lane *lane;
	uint64_t seq, since_ms;		/* since_ms: when handed over, Unix time; 0: free */
	size_t len;
	bool solo;			/* is alone in its batch: an error is its own */
};

struct lane {
	struct kafka *kafka;
	const char *message;		/* its protobuf type */
	char topic[READBACK_TOPIC_LEN];
	char dir[512];
	struct spool *spool;
	char spool_id[17];
	struct flight flights[WINDOW];
	unsigned int free[WINDOW], free_count;
	size_t bytes, max_bytes;	/* in flight */
	uint64_t next;			/* hand over from here on */
	uint64_t acked_max;		/* the highest that Kafka has, as far as we know */
	uint64_t solo_upto;		/* up to here each record is sent alone */
	bool solo_flies;
	bool rewind;			/* once nothing is in flight, begin again with the oldest */
	bool doubt;			/* something not acknowledged may be in Kafka all the same */
	uint64_t pause_until_ns;
	uint64_t pause_ms;
	struct readback *readback;
	uint64_t dropped, corrupt;	/* of the spool's counts: already in agent_drops */
	int write_error;		/* already said */
};

enum { LANE_LOSS, LANE_TOKENS, LANE_USES, LANES };

/* Its name under the prefix, message and share of the disk, in percent. */
static const struct {
	const char *name, *message;
	unsigned int share;
} kinds[LANES] = {
	[LANE_LOSS] = { "loss", "tokentrail.v1.Loss", 5 },
	[LANE_TOKENS] = { "tokens", "tokentrail.v1.Token", 15 },
	[LANE_USES] = { "uses", "tokentrail.v1.Use", 80 },
};

struct kafka {
	rd_kafka_t *rk;
	rd_kafka_conf_t *producer, *consumer;
	char node[256];
	struct lane lanes[LANES];
	bool fatal;			/* this producer is done for; a new one follows */
	uint64_t renew_at_ns;
	pthread_t reaper;
	bool reaping;
	bool away, away_said;
	int said;			/* the error that was logged last, and when */
	uint64_t said_ns;
	char error[256];
	uint64_t acked, found, refused, unsure;
};

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static uint64_t unix_ms(void)
{
	return clock_ns(CLOCK_REALTIME) / MS;
}

/* True once per kind of trouble and minute, so that a day's outage is not a day's log. */
static bool say_now(struct kafka *k, int err)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);

	if (k->said == err && now - k->said_ns < REPEAT_MS * MS)
		return false;
	k->said = err;
	k->said_ns = now;
	return true;
}

static void note_error(struct kafka *k, const char *reason)
{
	snprintf(k->error, sizeof(k->error), "%s", reason);
}

/* ---- flights ---- */

static unsigned int in_flight(const struct lane *l)
{
	return WINDOW - l->free_count;
}

static struct flight *take_off(struct lane *l, const struct spool_record *rec)
{
	struct flight *f = &l->flights[l->free[--l->free_count]];

	*f = (struct flight){
		.lane = l,
		.seq = rec->seq,
		.since_ms = unix_ms(),
		.len = rec->payload_len,
		.solo = rec->seq <= l->solo_upto,
	};
	l->bytes += f->len;
	l->solo_flies = f->solo;
	return f;
}

static void land(struct flight *f)
{
	struct lane *l = f->lane;

	f->since_ms = 0;
	l->bytes -= f->len;
	l->solo_flies = false;
	l->free[l->free_count++] = (unsigned int)(f - l->flights);
}

static uint64_t oldest_flight_ms(const struct lane *l)
{
	uint64_t oldest = unix_ms();
	unsigned int i;

	for (i = 0; i < WINDOW; i++)
		if (l->flights[i].since_ms && l->flights[i].since_ms < oldest)
			oldest = l->flights[i].since_ms;
	return oldest;
}

/* ---- what comes of them ---- */

/* Errors that the record itself causes: trying again changes nothing. */
static bool is_for_good(rd_kafka_resp_err_t err)
{
	switch (err) {
	case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
	case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
	case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
	case RD_KAFKA_RESP_ERR_INVALID_RECORD:
	case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
	case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
		return true;
	default:
		return false;
	}
}

static void refuse(struct lane *l, uint64_t seq, const struct refused *r)
{
	struct kafka *k = l->kafka;
	int e;

	e = refused_add(l->dir, r, REFUSED_MAX);
	if (e < 0)
		log_limited(LOG_LEVEL_ERROR,
			    "Kafka refused a record for good and it could not be kept either: %s topic=%s reason=\"%s\"",
			    strerror(-e), r->topic, r->reason);
	else
		log_limited(LOG_LEVEL_WARNING,
			    "Kafka refused a record for good; it is kept in %s/refused topic=%s bytes=%zu reason=\"%s\"",
			    l->dir, r->topic, r->payload_len, r->reason);
	note_error(k, r->reason);
	k->refused++;
	agent_drops[TT_DROP_kafka_refused]++;
	spool_ack(l->spool, seq);
}

/* Kafka, or librdkafka, does not take records of this lane now: hand over again after a pause. */
static void pause_lane(struct lane *l, rd_kafka_resp_err_t err)
{
	struct kafka *k = l->kafka;

	l->pause_ms = l->pause_ms ? l->pause_ms * 2 : PAUSE_MIN_MS;
	if (l->pause_ms > PAUSE_MAX_MS)
		l->pause_ms = PAUSE_MAX_MS;
	l->pause_until_ns = clock_ns(CLOCK_MONOTONIC) + l->pause_ms * MS;
	l->rewind = true;
	note_error(k, rd_kafka_err2str(err));
	if (say_now(k, err))
		log_warning("Kafka does not take records of %s; they wait in the spool and are tried again reason=\"%s\"",
			    l->topic, rd_kafka_err2str(err));
}

static void take_ack(struct lane *l, uint64_t seq)
{
	struct kafka *k = l->kafka;

	spool_ack(l->spool, seq);
	if (l->acked_max < seq)
		l->acked_max = seq;
	l->pause_ms = 0;
	k->acked++;
	if (k->away_said)
		log_info("Kafka takes records again");
	k->away = k->away_said = false;
}

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	struct flight *f = m->_private;
	struct lane *l = f->lane;
	const struct refused r = {
		.topic = rd_kafka_topic_name(m->rkt),
		.reason = rd_kafka_err2str(m->err),
		.key = m->key,
		.key_len = m->key_len,
		.payload = m->payload,
		.payload_len = m->len,
		.time_ns = clock_ns(CLOCK_REALTIME),
	};

	land(f);
	if (!m->err) {
		take_ack(l, f->seq);
		return;
	}
	if (rd_kafka_message_status(m) != RD_KAFKA_MSG_STATUS_NOT_PERSISTED)
		l->doubt = true;
	if (is_for_good(m->err) && f->solo) {
		refuse(l, f->seq, &r);
	} else if (is_for_good(m->err)) {
		/* The whole batch got the error; the record that caused it shows when sent alone. */
		if (l->solo_upto < f->seq)
			l->solo_upto = f->seq;
		l->rewind = true;
	} else if (m->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
		   m->err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT || l->rewind) {
		l->rewind = true;
	} else {
		pause_lane(l, m->err);
	}
}

static void troubled(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	struct kafka *k = opaque;
	char why[256];

	if (rk != k->rk)
		return;
	if (err == RD_KAFKA_RESP_ERR__FATAL) {
		err = rd_kafka_fatal_error(rk, why, sizeof(why));
		k->fatal = true;
		reason = why;
	}
	if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
		k->away = true;		/* say_away() looks whether it matters */
		return;
	}
	note_error(k, reason);
	if (err != RD_KAFKA_RESP_ERR__TRANSPORT && say_now(k, err))
		log_warning("Kafka refuses to talk to us; records wait in the spool reason=\"%s\"", reason);
}

/* ---- handing over ---- */

static rd_kafka_resp_err_t produce(struct lane *l, const struct spool_record *rec, struct flight *f)
{
	struct kafka *k = l->kafka;
	char seq[21], type[96];

	snprintf(seq, sizeof(seq), "%" PRIu64, rec->seq);
	snprintf(type, sizeof(type), "application/x-protobuf; messageType=%s", l->message);
	return rd_kafka_producev(
		k->rk, RD_KAFKA_V_TOPIC(rec->topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
		RD_KAFKA_V_KEY((void *)rec->key, rec->key_len),
		RD_KAFKA_V_VALUE((void *)rec->payload, rec->payload_len),
		RD_KAFKA_V_HEADER("tt-node", k->node, -1), RD_KAFKA_V_HEADER("tt-spool", l->spool_id, -1),
		RD_KAFKA_V_HEADER("tt-seq", seq, -1), RD_KAFKA_V_HEADER("tt-schema", RECORD_SCHEMA, -1),
		RD_KAFKA_V_HEADER("content-type", type, -1), RD_KAFKA_V_OPAQUE(f), RD_KAFKA_V_END);
}

/* Hands one record over. 0, or -EAGAIN: not now. */
static int hand_over_one(struct lane *l, const struct spool_record *rec)
{
	struct flight *f = take_off(l, rec);
	rd_kafka_resp_err_t err;

	err = produce(l, rec, f);
	if (!err)
		return 0;
	land(f);
	if (err == RD_KAFKA_RESP_ERR__QUEUE_FULL)
		return -EAGAIN;
	if (err == RD_KAFKA_RESP_ERR__FATAL) {
		l->kafka->fatal = true;
		return -EAGAIN;
	}
	if (!is_for_good(err)) {
		pause_lane(l, err);
		return -EAGAIN;
	}
	refuse(l, rec->seq, &(struct refused){
		.topic = rec->topic, .reason = rd_kafka_err2str(err), .key = rec->key,
		.key_len = rec->key_len, .payload = rec->payload, .payload_len = rec->payload_len,
		.time_ns = clock_ns(CLOCK_REALTIME) });
	return 0;
}

static unsigned int room(const struct lane *l)
{
	if (l->bytes >= l->max_bytes || l->solo_flies)
		return 0;
	if (l->next <= l->solo_upto)
		return in_flight(l) ? 0 : 1;
	return l->free_count;
}

static int hand_over(struct lane *l)
{
	struct spool_record rec;
	struct spool_stat st;
	unsigned int n = room(l);
	uint64_t upto;
	int r;

	if (!n)
		return 0;
	r = spool_next(l->spool, l->next, &rec);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	spool_stat(l->spool, &st);
	upto = rec.seq + n - 1;
	if (upto >= st.next)
		upto = st.next - 1;
	/* Written down before it happens: after a crash these are the ones to look for. */
	if (upto > st.handed) {
		r = spool_hand(l->spool, upto, oldest_flight_ms(l));
		if (r < 0)
			return r;
	}
	for (; n > 0 && l->bytes < l->max_bytes; n--) {
		r = spool_next(l->spool, l->next, &rec);
		if (r < 0 || rec.seq > upto)
			return r == -ENOENT ? 0 : r;
		r = hand_over_one(l, &rec);
		if (r < 0)
			return r == -EAGAIN ? 0 : r;
		l->next = rec.seq + 1;
		if (l->solo_flies)
			break;
	}
	return 0;
}

/* ---- beginning again, with or without reading back ---- */

static void add_topic(struct readback_want *w, const char *topic)
{
	size_t i;

	for (i = 0; i < w->topic_count; i++)
		if (strcmp(w->topics[i], topic) == 0)
			return;
	if (w->topic_count < READBACK_TOPICS)
		snprintf(w->topics[w->topic_count++], READBACK_TOPIC_LEN, "%s", topic);
}

static int begin_readback(struct lane *l, const struct spool_stat *st)
{
	struct readback_want want = {
		.spool_id = st->id, .first = st->low, .last = st->handed, .since_ms = st->since_ms,
	};
	struct spool_record rec;
	rd_kafka_conf_t *conf;
	uint64_t from;
	int r;

	for (from = st->low; spool_next(l->spool, from, &rec) == 0 && rec.seq <= st->handed;
	     from = rec.seq + 1) {
		add_topic(&want, rec.topic);
		want.count++;
	}
	if (!want.count) {
		l->doubt = false;
		return 0;
	}
	conf = rd_kafka_conf_dup(l->kafka->consumer);
	r = readback_start(conf, &want, &l->readback);
	if (r < 0) {
		rd_kafka_conf_destroy(conf);
		return r;
	}
	log_info("%" PRIu64 " records may be in Kafka already; reading %s back before they are sent again",
		 want.count, want.topics[0]);
	return 0;
}

/* Without an answer there is a choice: lose them or perhaps double them. */
static void send_unsure(struct lane *l, const char *why)
{
	struct kafka *k = l->kafka;

	k->unsure++;
	note_error(k, why);
	log_warning("Kafka does not let us read %s back, so records that were on their way when the sender ended may be doubled; allow Read on the topic to avoid that reason=\"%s\"",
		    l->topic, why);
	l->doubt = false;
}

static void take_found(struct lane *l)
{
	const uint64_t *found;
	size_t i, count;

	found = readback_found(l->readback, &count);
	l->acked_max = 0;	/* what was not found is certain not to be there */
	for (i = 0; i < count; i++)
		take_ack(l, found[i]);
	l->kafka->found += count;
	l->doubt = false;
	log_info("Read %s back: %zu records were there already", l->topic, count);
}

static void poll_readback(struct lane *l)
{
	const char *why = "";
	int r;

	r = readback_poll(l->readback, &why);
	if (r == -EAGAIN)
		return;
	if (r == 0) {
		take_found(l);
	} else if (r == -EACCES) {
		send_unsure(l, why);
	} else {
		log_limited(LOG_LEVEL_WARNING, "Reading %s back failed, trying again: %s reason=\"%s\"",
			    l->topic, strerror(-r), why);
		l->pause_until_ns = clock_ns(CLOCK_MONOTONIC) + PAUSE_MIN_MS * MS;
	}
	readback_free(l->readback);
	l->readback = NULL;
}

static int begin_again(struct lane *l)
{
	struct spool_stat st;
	uint64_t sure;
	int r;

	spool_stat(l->spool, &st);
	if (l->doubt && st.low <= st.handed) {
		r = begin_readback(l, &st);
		if (r < 0 || l->readback)
			return r;
	}
	/* Nothing is in flight and nothing in doubt: the mark may go back to what Kafka has. */
	sure = st.low - 1 > l->acked_max ? st.low - 1 : l->acked_max;
	if (sure < st.handed) {
		r = spool_hand(l->spool, sure, st.since_ms);
		if (r < 0)
			return r;
	}
	l->doubt = false;
	l->rewind = false;
	l->next = st.low;
	return 0;
}

/* ---- the loop ---- */

static void watch_spool(struct lane *l)
{
	struct spool_stat st;

	spool_stat(l->spool, &st);
	agent_drops[TT_DROP_spool_full] += st.dropped - l->dropped;
	agent_drops[TT_DROP_spool_corrupt] += st.corrupt - l->corrupt;
	if (st.dropped > l->dropped)
		log_limited(LOG_LEVEL_WARNING,
			    "The spool is full; the oldest records for %s were dropped records=%" PRIu64,
			    l->topic, st.dropped - l->dropped);
	if (st.corrupt > l->corrupt)
		log_limited(LOG_LEVEL_WARNING, "Damaged records in %s were skipped records=%" PRIu64,
			    l->dir, st.corrupt - l->corrupt);
	l->dropped = st.dropped;
	l->corrupt = st.corrupt;
	if (st.write_error && !l->write_error)
		log_warning("The spool %s takes no writes: %s; new records are kept in memory up to %u KiB, then dropped",
			    l->dir, strerror(st.write_error), SPOOL_HELD_MAX >> 10);
	else if (!st.write_error && l->write_error)
		log_info("The spool %s takes writes again", l->dir);
	l->write_error = st.write_error;
}

static int step_lane(struct lane *l)
{
	int r;

	r = spool_retry(l->spool);
	watch_spool(l);
	if (r < 0 && r != -ENOSPC && r != -EDQUOT && r != -EIO && r != -EROFS)
		return r;
	if (l->readback)
		poll_readback(l);
	if (l->readback || clock_ns(CLOCK_MONOTONIC) < l->pause_until_ns)
		return 0;
	if (l->rewind) {
		if (in_flight(l))
			return 0;
		r = begin_again(l);
		if (r < 0 || l->rewind)
			return r;
	}
	return hand_over(l);
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

	if (k->rk) {
		rd_kafka_purge(k->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
		rd_kafka_poll(k->rk, 0);
		for (i = 0; i < LANES; i++)
			if (in_flight(&k->lanes[i]))
				return;
		reap_done(k);
		/* Destroying waits for librdkafka's threads, which may sit in a connect. */
		if (pthread_create(&k->reaper, NULL, reap, k->rk) == 0)
			k->reaping = true;
		else
			rd_kafka_destroy(k->rk);
		k->rk = NULL;
		k->renew_at_ns = now + PAUSE_MIN_MS * 4 * MS;
		for (i = 0; i < LANES; i++)
			k->lanes[i].rewind = true;
	}
	if (now < k->renew_at_ns)
		return;
	conf = rd_kafka_conf_dup(k->producer);
	k->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
	if (!k->rk) {
		rd_kafka_conf_destroy(conf);
		k->renew_at_ns = now + PAUSE_MAX_MS * MS;
		log_warning("No new Kafka producer could be made, trying again: %s", why);
		return;
	}
	k->fatal = false;
	log_info("The Kafka producer was made anew");
}

/* Brokers close idle connections, too: away is who leaves records waiting. Once per outage. */
static void say_away(struct kafka *k)
{
	const struct lane *l;
	bool matters = false;

	if (!k->away || k->away_said)
		return;
	for (l = k->lanes; l < k->lanes + LANES; l++)
		matters |= l->readback || oldest_flight_ms(l) + AWAY_MS < unix_ms();
	if (!matters)
		return;
	k->away_said = true;
	log_warning("Kafka is away; records wait in the spool reason=\"%s\"", k->error);
}

static int kafka_tick(void *sink, uint64_t now_ns)
{
	struct kafka *k = sink;
	int i, r, worst = 0;

	if (k->rk)
		rd_kafka_poll(k->rk, 0);
	if (k->fatal) {
		renew_producer(k);
		return 0;
	}
	say_away(k);
	for (i = 0; i < LANES; i++) {
		r = step_lane(&k->lanes[i]);
		if (r == 0)
			r = spool_save(k->lanes[i].spool);
		/* A disk that takes no writes was said by watch_spool(). */
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

	rd_kafka_purge(k->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	do {
		rd_kafka_poll(k->rk, 10);
		for (flying = 0, i = 0; i < LANES; i++)
			flying += in_flight(&k->lanes[i]);
	} while (flying && clock_ns(CLOCK_MONOTONIC) < until);
	for (i = 0; i < LANES; i++)
		if (k->lanes[i].rewind && !k->lanes[i].doubt && !in_flight(&k->lanes[i]))
			(void)begin_again(&k->lanes[i]);
}

static int kafka_finish(void *sink, uint64_t limit_ms)
{
	struct kafka *k = sink;
	uint64_t until = clock_ns(CLOCK_MONOTONIC) + limit_ms * MS, left;
	int i, r = 0, e;

	while (waiting(k) && clock_ns(CLOCK_MONOTONIC) < until) {
		r = kafka_tick(k, 0);
		if (k->rk)
			rd_kafka_flush(k->rk, 20);	/* also ends the linger */
	}
	if (k->rk)
		take_back(k);
	for (i = 0; i < LANES; i++) {
		e = spool_retry(k->lanes[i].spool);
		if (e == 0)
			e = spool_save(k->lanes[i].spool);
		if (e < 0)
			r = e;
		watch_spool(&k->lanes[i]);
	}
	left = waiting(k);
	if (left)
		log_info("%" PRIu64 " records stay in the spool for the next start", left);
	return r;
}

/* ---- what comes in ---- */

static int append(struct lane *l, const char *key, const uint8_t *payload, int len)
{
	int r;

	if (len < 0)
		return len;
	r = spool_append(l->spool, l->topic, key, strlen(key), payload, (size_t)len,
			 clock_ns(CLOCK_REALTIME));
	watch_spool(l);
	return r;
}

static int kafka_use(void *sink, const struct use *u)
{
	struct kafka *k = sink;
	uint8_t bytes[RECORD_MAX];

	return append(&k->lanes[LANE_USES], u->token_id, bytes,
		      record_use(u, k->node, bytes, sizeof(bytes)));
}

static int kafka_token(void *sink, const struct token *t)
{
	struct kafka *k = sink;
	uint8_t bytes[RECORD_MAX];
	char key[TOKEN_ID_LEN + sizeof(k->node) + 1];

	/* With the node: the topic is compacted, and nodes must not overwrite each other. */
	snprintf(key, sizeof(key), "%s/%s", t->token_id, k->node);
	return append(&k->lanes[LANE_TOKENS], key, bytes,
		      record_token(t, k->node, bytes, sizeof(bytes)));
}

static int kafka_loss(void *sink, const struct loss *loss)
{
	struct kafka *k = sink;
	uint8_t bytes[RECORD_MAX];

	return append(&k->lanes[LANE_LOSS], k->node, bytes,
		      record_loss(loss, k->node, bytes, sizeof(bytes)));
}

/* ---- making and ending ---- */

static void kafka_free(void *sink)
{
	struct kafka *k = sink;
	int i;

	if (!k)
		return;
	for (i = 0; i < LANES; i++)
		readback_free(k->lanes[i].readback);
	if (k->rk)
		rd_kafka_destroy(k->rk);
	reap_done(k);
	for (i = 0; i < LANES; i++)
		spool_close(k->lanes[i].spool);
	if (k->producer)
		rd_kafka_conf_destroy(k->producer);
	if (k->consumer)
		rd_kafka_conf_destroy(k->consumer);
	free(k);
}

static void kafka_freep(struct kafka **k)
{
	kafka_free(*k);
}

static int open_lane(struct kafka *k, int i, const struct config *c, const char *spool_dir,
		     struct config_error *ret_error)
{
	struct lane *l = &k->lanes[i];
	struct spool_stat st;
	int r, n;

	l->kafka = k;
	l->message = kinds[i].message;
	for (l->free_count = 0; l->free_count < WINDOW; l->free_count++)
		l->free[l->free_count] = l->free_count;
	n = snprintf(l->topic, sizeof(l->topic), "%s%s", c->kafka_prefix, kinds[i].name);
	if (n >= (int)sizeof(l->topic) || l->topic[strspn(l->topic, "abcdefghijklmnopqrstuvwxyz"
				"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")]) {
		snprintf(ret_error->text, sizeof(ret_error->text),
			 "kafka.topic_prefix: '%.200s' makes no topic name: letters, digits, '.', '_' and '-', 249 in all",
			 c->kafka_prefix);
		return -EINVAL;
	}
	n = snprintf(l->dir, sizeof(l->dir), "%s/%s", spool_dir, kinds[i].name);
	r = n >= (int)sizeof(l->dir) ? -ENAMETOOLONG :
				       spool_open(l->dir, c->spool_max_bytes / 100 * kinds[i].share, &l->spool);
	if (r < 0) {
		snprintf(ret_error->text, sizeof(ret_error->text), "The spool %.300s can't be opened: %s",
			 l->dir, r == -EBUSY ? "another tokentrail uses it" : strerror(-r));
		return r;
	}
	spool_stat(l->spool, &st);
	snprintf(l->spool_id, sizeof(l->spool_id), "%016" PRIx64, st.id);
	l->max_bytes = c->spool_max_bytes / 100 * kinds[i].share / 4;
	l->rewind = true;
	l->doubt = st.low <= st.handed;
	l->acked_max = st.handed;
	return 0;
}

static int open_producer(struct kafka *k, const struct config *c, struct config_error *ret_error)
{
	rd_kafka_conf_t *conf;
	char why[256] = "";
	int r;

	r = kafka_conf_producer(c, &k->producer, ret_error);
	if (r == 0)
		r = kafka_conf_consumer(c, &k->consumer, ret_error);
	if (r < 0)
		return r;
	rd_kafka_conf_set_dr_msg_cb(k->producer, delivered);
	rd_kafka_conf_set_error_cb(k->producer, troubled);
	rd_kafka_conf_set_opaque(k->producer, k);
	conf = rd_kafka_conf_dup(k->producer);
	k->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
	if (k->rk)
		return 0;
	rd_kafka_conf_destroy(conf);
	snprintf(ret_error->text, sizeof(ret_error->text), "kafka.settings: librdkafka refuses them: %s", why);
	return -EINVAL;
}

static const struct sink_ops kafka_ops = {
	.name = "kafka",
	.use = kafka_use,
	.token = kafka_token,
	.loss = kafka_loss,
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
	snprintf(k->node, sizeof(k->node), "%s", node);
	if (mkdir(spool_dir, 0700) < 0 && errno != EEXIST) {
		r = -errno;
		snprintf(ret_error->text, sizeof(ret_error->text), "The spool %.300s can't be made: %s",
			 spool_dir, strerror(-r));
		return r;
	}
	for (i = 0; i < LANES; i++) {
		r = open_lane(k, i, c, spool_dir, ret_error);
		if (r < 0)
			return r;
	}
	r = open_producer(k, c, ret_error);
	if (r < 0)
		return r;
	*ret_sink = (struct sink){ .ops = &kafka_ops, .self = TAKE_PTR(k) };
	return 0;
}

void kafka_sink_status(const struct sink *s, struct kafka_status *ret_status)
{
	const struct kafka *k = s->self;
	struct kafka_status to = {
		.acked = k->acked, .found = k->found, .refused = k->refused, .unsure = k->unsure,
		.away = k->away,
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
	snprintf(to.error, sizeof(to.error), "%s", k->error);
	*ret_status = to;
}
