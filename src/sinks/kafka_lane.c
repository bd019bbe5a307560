/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handing over and what comes of it. The rule: a record leaves the spool when Kafka has it or
 * refuses it for good; a record that may be in Kafka is looked for before it is sent again.
 */
#include "sinks/kafka_lane.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "sinks/record.h"
#include "sinks/refused.h"
#include "sinks/sink.h"

#define REFUSED_MAX (1U << 20) /* bytes of each refused file */
#define PAUSE_MIN_MS 500
#define PAUSE_MAX_MS 30000
#define REPEAT_MS 60000 /* the same trouble is said again after so long */
#define MS 1000000ULL

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

bool kafka_say_now(struct kafka_link *k, int err)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);

	if (k->said == err && now - k->said_ns < REPEAT_MS * MS)
		return false;
	k->said = err;
	k->said_ns = now;
	return true;
}

void kafka_note_error(struct kafka_link *k, const char *reason)
{
	snprintf(k->error, sizeof(k->error), "%s", reason);
}

/* ---- flights ---- */

unsigned int kafka_lane_flying(const struct kafka_lane *l)
{
	return KAFKA_WINDOW - l->free_count;
}

static struct kafka_flight *take_off(struct kafka_lane *l, const struct spool_record *rec)
{
	struct kafka_flight *f = &l->flights[l->free[--l->free_count]];

	*f = (struct kafka_flight){
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

static void land(struct kafka_flight *f)
{
	struct kafka_lane *l = f->lane;

	f->since_ms = 0;
	l->bytes -= f->len;
	l->solo_flies = false;
	l->free[l->free_count++] = (unsigned int)(f - l->flights);
}

uint64_t kafka_lane_oldest_ms(const struct kafka_lane *l)
{
	uint64_t oldest = unix_ms();
	unsigned int i;

	for (i = 0; i < KAFKA_WINDOW; i++)
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

static void refuse(struct kafka_lane *l, uint64_t seq, const struct refused *r)
{
	struct kafka_link *k = l->link;
	int e;

	e = refused_add(l->dir, r, REFUSED_MAX);
	if (e < 0)
		log_limited(LOG_LEVEL_ERROR,
			    "Kafka refused a record for good and it could not be kept either: %s "
			    "topic=%s reason=\"%s\"",
			    strerror(-e), r->topic, r->reason);
	else
		log_limited(LOG_LEVEL_WARNING,
			    "Kafka refused a record for good; it is kept in %s/refused topic=%s "
			    "bytes=%zu reason=\"%s\"",
			    l->dir, r->topic, r->payload_len, r->reason);
	kafka_note_error(k, r->reason);
	k->refused++;
	agent_drops[TT_DROP_kafka_refused]++;
	spool_ack(l->spool, seq);
}

/* Kafka, or librdkafka, does not take records of this lane now: hand over again after a pause. */
static void pause_lane(struct kafka_lane *l, rd_kafka_resp_err_t err)
{
	struct kafka_link *k = l->link;

	l->pause_ms = l->pause_ms ? l->pause_ms * 2 : PAUSE_MIN_MS;
	if (l->pause_ms > PAUSE_MAX_MS)
		l->pause_ms = PAUSE_MAX_MS;
	l->pause_until_ns = clock_ns(CLOCK_MONOTONIC) + l->pause_ms * MS;
	l->rewind = true;
	kafka_note_error(k, rd_kafka_err2str(err));
	if (kafka_say_now(k, err))
		log_warning("Kafka does not take records of %s; they wait in the spool and are "
			    "tried again reason=\"%s\"",
			    l->topic, rd_kafka_err2str(err));
}

static void take_ack(struct kafka_lane *l, uint64_t seq)
{
	struct kafka_link *k = l->link;

	spool_ack(l->spool, seq);
	if (l->acked_max < seq)
		l->acked_max = seq;
	l->pause_ms = 0;
	k->acked++;
	if (k->away_said)
		log_info("Kafka takes records again");
	k->away = k->away_said = false;
}

void kafka_lane_delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	struct kafka_flight *f = m->_private;
	struct kafka_lane *l = f->lane;
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
		/* The whole batch got the error; the record that caused it shows when sent alone.
		 */
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

/* ---- handing over ---- */

static rd_kafka_resp_err_t produce(struct kafka_lane *l, const struct spool_record *rec,
				   struct kafka_flight *f)
{
	struct kafka_link *k = l->link;
	char seq[21], type[96];

	snprintf(seq, sizeof(seq), "%" PRIu64, rec->seq);
	snprintf(type, sizeof(type), "application/x-protobuf; messageType=%s", l->message);
	return rd_kafka_producev(
		k->rk, RD_KAFKA_V_TOPIC(rec->topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
		RD_KAFKA_V_KEY((void *)rec->key, rec->key_len),
		RD_KAFKA_V_VALUE((void *)rec->payload, rec->payload_len),
		RD_KAFKA_V_HEADER("tt-node", k->node, -1),
		RD_KAFKA_V_HEADER("tt-spool", l->spool_id, -1),
		RD_KAFKA_V_HEADER("tt-seq", seq, -1),
		RD_KAFKA_V_HEADER("tt-schema", RECORD_SCHEMA, -1),
		RD_KAFKA_V_HEADER("content-type", type, -1), RD_KAFKA_V_OPAQUE(f), RD_KAFKA_V_END);
}

/* Hands one record over. 0, or -EAGAIN: not now. */
static int hand_over_one(struct kafka_lane *l, const struct spool_record *rec)
{
	struct kafka_flight *f = take_off(l, rec);
	rd_kafka_resp_err_t err;

	err = produce(l, rec, f);
	if (!err)
		return 0;
	land(f);
	if (err == RD_KAFKA_RESP_ERR__QUEUE_FULL)
		return -EAGAIN;
	if (err == RD_KAFKA_RESP_ERR__FATAL) {
		l->link->fatal = true;
		return -EAGAIN;
	}
	if (!is_for_good(err)) {
		pause_lane(l, err);
		return -EAGAIN;
	}
	refuse(l, rec->seq,
	       &(struct refused){.topic = rec->topic,
				 .reason = rd_kafka_err2str(err),
				 .key = rec->key,
				 .key_len = rec->key_len,
				 .payload = rec->payload,
				 .payload_len = rec->payload_len,
				 .time_ns = clock_ns(CLOCK_REALTIME)});
	return 0;
}

static unsigned int room(const struct kafka_lane *l)
{
	if (l->bytes >= l->max_bytes || l->solo_flies)
		return 0;
	if (l->next <= l->solo_upto)
		return kafka_lane_flying(l) ? 0 : 1;
	return l->free_count;
}

static int hand_over(struct kafka_lane *l)
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
		r = spool_hand(l->spool, upto, kafka_lane_oldest_ms(l));
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

static int begin_readback(struct kafka_lane *l, const struct spool_stat *st)
{
	struct readback_want want = {
		.spool_id = st->id,
		.first = st->low,
		.last = st->handed,
		.since_ms = st->since_ms,
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
	conf = rd_kafka_conf_dup(l->link->consumer);
	r = readback_start(conf, &want, &l->readback);
	if (r < 0) {
		rd_kafka_conf_destroy(conf);
		return r;
	}
	log_info("%" PRIu64
		 " records may be in Kafka already; reading %s back before they are sent again",
		 want.count, want.topics[0]);
	return 0;
}

/* Without an answer there is a choice: lose them or perhaps double them. */
static void send_unsure(struct kafka_lane *l, const char *why)
{
	struct kafka_link *k = l->link;

	k->unsure++;
	kafka_note_error(k, why);
	log_warning(
		"Kafka does not let us read %s back, so records that were on their way when the "
		"sender ended may be doubled; allow Read on the topic to avoid that reason=\"%s\"",
		l->topic, why);
	l->doubt = false;
}

static void take_found(struct kafka_lane *l)
{
	const uint64_t *found;
	size_t i, count;

	found = readback_found(l->readback, &count);
	l->acked_max = 0; /* what was not found is certain not to be there */
	for (i = 0; i < count; i++)
		take_ack(l, found[i]);
	l->link->found += count;
	l->doubt = false;
	log_info("Read %s back: %zu records were there already", l->topic, count);
}

static void poll_readback(struct kafka_lane *l)
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
		log_limited(LOG_LEVEL_WARNING,
			    "Reading %s back failed, trying again: %s reason=\"%s\"", l->topic,
			    strerror(-r), why);
		l->pause_until_ns = clock_ns(CLOCK_MONOTONIC) + PAUSE_MIN_MS * MS;
	}
	readback_free(l->readback);
	l->readback = NULL;
}

static int begin_again(struct kafka_lane *l)
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

/* ---- a round ---- */

void kafka_lane_watch(struct kafka_lane *l)
{
	struct spool_stat st;

	spool_stat(l->spool, &st);
	agent_drops[TT_DROP_spool_full] += st.dropped - l->dropped;
	agent_drops[TT_DROP_spool_corrupt] += st.corrupt - l->corrupt;
	if (st.dropped > l->dropped)
		log_limited(LOG_LEVEL_WARNING,
			    "The spool is full; the oldest records for %s were dropped "
			    "records=%" PRIu64,
			    l->topic, st.dropped - l->dropped);
	if (st.corrupt > l->corrupt)
		log_limited(LOG_LEVEL_WARNING,
			    "Damaged records in %s were skipped records=%" PRIu64, l->dir,
			    st.corrupt - l->corrupt);
	l->dropped = st.dropped;
	l->corrupt = st.corrupt;
	if (st.write_error && !l->write_error)
		log_warning("The spool %s takes no writes: %s; new records are kept in memory up "
			    "to %u KiB, then dropped",
			    l->dir, strerror(st.write_error), SPOOL_HELD_MAX >> 10);
	else if (!st.write_error && l->write_error)
		log_info("The spool %s takes writes again", l->dir);
	l->write_error = st.write_error;
}

int kafka_lane_step(struct kafka_lane *l)
{
	int r;

	r = spool_retry(l->spool);
	kafka_lane_watch(l);
	if (r < 0 && r != -ENOSPC && r != -EDQUOT && r != -EIO && r != -EROFS)
		return r;
	if (l->readback)
		poll_readback(l);
	if (l->readback || clock_ns(CLOCK_MONOTONIC) < l->pause_until_ns)
		return 0;
	if (l->rewind) {
		if (kafka_lane_flying(l))
			return 0;
		r = begin_again(l);
		if (r < 0 || l->rewind)
			return r;
	}
	return hand_over(l);
}

int kafka_lane_append(struct kafka_lane *l, const char *key, const uint8_t *payload, int len)
{
	int r;

	if (len < 0)
		return len;
	r = spool_append(l->spool, l->topic, key, strlen(key), payload, (size_t)len,
			 clock_ns(CLOCK_REALTIME));
	kafka_lane_watch(l);
	return r;
}

int kafka_lane_settle(struct kafka_lane *l)
{
	if (!l->rewind || l->doubt || kafka_lane_flying(l))
		return 0;
	return begin_again(l);
}

/* ---- making and ending ---- */

static bool is_topic(const char *name)
{
	return !name[strspn(name,
			    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")];
}

int kafka_lane_open(struct kafka_lane *l, struct kafka_link *link, const char *prefix,
		    const char *name, const char *spool_dir, uint64_t spool_bytes,
		    struct config_error *ret_error)
{
	struct spool_stat st;
	int r = 0, n;

	l->link = link;
	for (l->free_count = 0; l->free_count < KAFKA_WINDOW; l->free_count++)
		l->free[l->free_count] = l->free_count;
	n = snprintf(l->topic, sizeof(l->topic), "%s%s", prefix, name);
	if (n >= (int)sizeof(l->topic) || !is_topic(l->topic)) {
		snprintf(ret_error->text, sizeof(ret_error->text),
			 "kafka.topic_prefix: '%.200s' makes no topic name: letters, digits, '.', "
			 "'_' "
			 "and '-', 249 in all",
			 prefix);
		return -EINVAL;
	}
	n = snprintf(l->dir, sizeof(l->dir), "%s/%s", spool_dir, name);
	if (n >= (int)sizeof(l->dir))
		r = -ENAMETOOLONG;
	if (r == 0)
		r = spool_open(l->dir, spool_bytes, &l->spool);
	if (r < 0) {
		snprintf(ret_error->text, sizeof(ret_error->text),
			 "The spool %.300s can't be opened: %s", l->dir,
			 r == -EBUSY ? "another tokentrail uses it" : strerror(-r));
		return r;
	}
	spool_stat(l->spool, &st);
	snprintf(l->spool_id, sizeof(l->spool_id), "%016" PRIx64, st.id);
	l->max_bytes = spool_bytes / 4;
	l->rewind = true;
	l->doubt = st.low <= st.handed;
	l->acked_max = st.handed;
	return 0;
}

void kafka_lane_done(struct kafka_lane *l)
{
	readback_free(l->readback);
	spool_close(l->spool);
}
