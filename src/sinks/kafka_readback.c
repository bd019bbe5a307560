/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An agent that died may have had requests on the wire, and nobody but the log knows which of them
 * arrived. So all partitions are read from shortly before those records were handed over to the
 * end, and our own headers are looked at; payloads are not.
 */
#include "sinks/kafka_readback.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STEP_MS 500	 /* of each blocking call, so that readback_free() need not wait long */
#define MARGIN_MS 120000 /* broker's clock (LogAppendTime) and ours may differ */
#define TAIL 1000	 /* where no record is that young: records that arrive meanwhile */
#define UNKNOWN_TRIES 20 /* a broker that just started may not know its topics yet */
/* A request that was on its way when its sender died may be appended after we came to the end. */
#define SETTLE_NS 2000000000ULL

struct readback {
	pthread_t thread;
	atomic_bool stop, done;
	rd_kafka_conf_t *conf;
	rd_kafka_t *rk;
	rd_kafka_queue_t *queue;
	rd_kafka_topic_t *topics[READBACK_TOPICS];
	bool *ended[READBACK_TOPICS]; /* per partition: its end was reached */
	int partitions[READBACK_TOPICS];
	size_t not_ended;
	struct readback_want want;
	char spool[17];
	uint64_t *found;
	size_t count, room;
	int result;
	char error[256];
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void nap(void)
{
	const struct timespec ts = {.tv_nsec = 100000000};

	nanosleep(&ts, NULL);
}

static int fail(struct readback *rb, int r, rd_kafka_resp_err_t err)
{
	snprintf(rb->error, sizeof(rb->error), "%s", rd_kafka_err2str(err));
	return r;
}

static bool forbidden(rd_kafka_resp_err_t err)
{
	return err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
	       err == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
}

/* How many partitions a topic has; 0: there is no such topic. -EAGAIN: ask again. */
static int partition_count(struct readback *rb, rd_kafka_topic_t *topic)
{
	const struct rd_kafka_metadata *md;
	rd_kafka_resp_err_t err;
	int n;

	err = rd_kafka_metadata(rb->rk, 0, topic, &md, STEP_MS);
	if (err)
		return forbidden(err) ? fail(rb, -EACCES, err) : fail(rb, -EAGAIN, err);
	err = md->topic_cnt == 1 ? md->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN;
	n = md->topic_cnt == 1 ? md->topics[0].partition_cnt : 0;
	rd_kafka_metadata_destroy(md);
	if (err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
		return 0;
	if (forbidden(err))
		return fail(rb, -EACCES, err);
	if (err || n == 0)
		return fail(rb, -EAGAIN, err);
	return n;
}

/* Offsets of the wanted time in all partitions. -EAGAIN: ask again. */
static int find_offsets(struct readback *rb, rd_kafka_topic_partition_list_t *list)
{
	uint64_t since = rb->want.since_ms > MARGIN_MS ? rb->want.since_ms - MARGIN_MS : 0;
	rd_kafka_resp_err_t err;
	int i;

	for (i = 0; i < list->cnt; i++)
		list->elems[i].offset = (int64_t)since;
	err = rd_kafka_offsets_for_times(rb->rk, list, STEP_MS);
	for (i = 0; i < list->cnt && !err; i++)
		err = list->elems[i].err;
	if (err)
		return fail(rb, forbidden(err) ? -EACCES : -EAGAIN, err);
	return 0;
}

static int begin_partitions(struct readback *rb, size_t i, int n)
{
	rd_kafka_topic_partition_list_t *list;
	int64_t offset;
	int p, r;

	list = rd_kafka_topic_partition_list_new(n);
	rd_kafka_topic_partition_list_add_range(list, rb->want.topics[i], 0, n - 1);
	r = find_offsets(rb, list);
	for (p = 0; p < list->cnt && r == 0; p++) {
		offset = list->elems[p].offset;
		if (offset < 0)
			offset = RD_KAFKA_OFFSET_TAIL(TAIL);
		if (rd_kafka_consume_start_queue(rb->topics[i], list->elems[p].partition, offset,
						 rb->queue) < 0)
			r = fail(rb, -EIO, rd_kafka_last_error());
	}
	rd_kafka_topic_partition_list_destroy(list);
	return r;
}

static int begin_topic(struct readback *rb, size_t i)
{
	int n, r, tries = 0;

	rb->topics[i] = rd_kafka_topic_new(rb->rk, rb->want.topics[i], NULL);
	if (!rb->topics[i])
		return fail(rb, -EIO, rd_kafka_last_error());
	for (; !rb->stop; nap()) {
		n = partition_count(rb, rb->topics[i]);
		if (n == 0 && ++tries >= UNKNOWN_TRIES)
			return 0;
		if (n < 0 && n != -EAGAIN)
			return n;
		if (n <= 0)
			continue;
		r = begin_partitions(rb, i, n);
		if (r == -EAGAIN)
			continue;
		if (r < 0)
			return r;
		rb->ended[i] = calloc((size_t)n, sizeof(bool));
		if (!rb->ended[i])
			return -ENOMEM;
		rb->partitions[i] = n;
		rb->not_ended += (size_t)n;
		return 0;
	}
	return -ECANCELED;
}

static int add_found(struct readback *rb, uint64_t seq)
{
	size_t room = rb->room ? rb->room * 2 : 1024;
	uint64_t *more;

	if (rb->count == rb->room) {
		more = reallocarray(rb->found, room, sizeof(*more));
		if (!more)
			return -ENOMEM;
		rb->found = more;
		rb->room = room;
	}
	rb->found[rb->count++] = seq;
	return 0;
}

/* Header values come from whoever may write to the topic: compare, parse, believe nothing else. */
static int look_at(struct readback *rb, const rd_kafka_message_t *m)
{
	rd_kafka_headers_t *headers;
	const void *value;
	char text[21];
	uint64_t seq;
	size_t len;

	if (rd_kafka_message_headers(m, &headers) ||
	    rd_kafka_header_get_last(headers, "tt-spool", &value, &len) ||
	    len != sizeof(rb->spool) - 1 || memcmp(value, rb->spool, len) != 0)
		return 0;
	if (rd_kafka_header_get_last(headers, "tt-seq", &value, &len) || !len ||
	    len >= sizeof(text))
		return 0;
	memcpy(text, value, len);
	text[len] = 0;
	seq = strtoull(text, NULL, 10);
	if (seq < rb->want.first || seq > rb->want.last)
		return 0;
	return add_found(rb, seq);
}

static void note_end(struct readback *rb, const rd_kafka_message_t *m)
{
	size_t i;

	for (i = 0; i < rb->want.topic_count; i++) {
		if (rb->topics[i] != m->rkt || m->partition < 0 ||
		    m->partition >= rb->partitions[i])
			continue;
		rb->not_ended -= !rb->ended[i][m->partition];
		rb->ended[i][m->partition] = true;
	}
}

static int take(struct readback *rb, const rd_kafka_message_t *m)
{
	if (!m->err)
		return look_at(rb, m);
	if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
		note_end(rb, m);
	else if (forbidden(m->err))
		return fail(rb, -EACCES, m->err);
	else
		(void)fail(rb, 0, m->err); /* passing ones: librdkafka goes on by itself */
	return 0;
}

static int read_on(struct readback *rb)
{
	rd_kafka_message_t *m;
	uint64_t until = 0;
	int r = 0;

	while (!rb->stop && r == 0 && rb->count < rb->want.count) {
		if (!rb->not_ended && !until)
			until = now_ns() + SETTLE_NS;
		if (until && now_ns() >= until)
			break;
		m = rd_kafka_consume_queue(rb->queue, 100);
		if (!m)
			continue;
		r = take(rb, m);
		rd_kafka_message_destroy(m);
	}
	return rb->stop ? -ECANCELED : r;
}

static int read_back(struct readback *rb)
{
	size_t i;
	int r;

	rb->rk = rd_kafka_new(RD_KAFKA_CONSUMER, rb->conf, rb->error, sizeof(rb->error));
	if (!rb->rk)
		return -EIO;
	rb->conf = NULL;
	rb->queue = rd_kafka_queue_new(rb->rk);
	for (i = 0; i < rb->want.topic_count; i++) {
		r = begin_topic(rb, i);
		if (r < 0)
			return r;
	}
	return read_on(rb);
}

static void wind_up(struct readback *rb)
{
	size_t i;
	int p;

	for (i = 0; i < READBACK_TOPICS; i++) {
		for (p = 0; p < rb->partitions[i]; p++)
			rd_kafka_consume_stop(rb->topics[i], p);
		if (rb->topics[i])
			rd_kafka_topic_destroy(rb->topics[i]);
		free(rb->ended[i]);
	}
	if (rb->queue)
		rd_kafka_queue_destroy(rb->queue);
	if (rb->rk)
		rd_kafka_destroy(rb->rk);
}

static void *run(void *arg)
{
	struct readback *rb = arg;

	rb->result = read_back(rb);
	wind_up(rb);
	rb->done = true;
	return NULL;
}

int readback_start(rd_kafka_conf_t *conf, const struct readback_want *want,
		   struct readback **ret_rb)
{
	struct readback *rb;
	sigset_t all, before;
	int r;

	rb = calloc(1, sizeof(*rb));
	if (!rb)
		return -ENOMEM;
	rb->want = *want;
	rb->conf = conf;
	snprintf(rb->spool, sizeof(rb->spool), "%016" PRIx64, want->spool_id);
	/* Signals are the main thread's business. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = -pthread_create(&rb->thread, NULL, run, rb);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r < 0) {
		free(rb);
		return r;
	}
	*ret_rb = rb;
	return 0;
}

int readback_poll(struct readback *rb, const char **ret_error)
{
	if (!rb->done)
		return -EAGAIN;
	*ret_error = rb->error;
	return rb->result == -EAGAIN ? -EIO : rb->result;
}

const uint64_t *readback_found(const struct readback *rb, size_t *ret_count)
{
	*ret_count = rb->count;
	return rb->found;
}

void readback_free(struct readback *rb)
{
	if (!rb)
		return;
	rb->stop = true;
	pthread_join(rb->thread, NULL);
	if (rb->conf)
		rd_kafka_conf_destroy(rb->conf);
	free(rb->found);
	free(rb);
}
