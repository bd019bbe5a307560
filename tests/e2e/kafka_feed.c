/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Feeds numbered uses to the Kafka sink, for tests/e2e/kafka.sh. Killed and started again with the
 * same spool it goes on with the first use that is not in the spool yet, so that every number up
 * to --count is fed exactly once. Use i has process.pid i and count 1.
 *
 *   kafka_feed --brokers B --spool DIR --count N [--prefix P] [--set NAME=VALUE]... [--rate PER_S]
 *              [--finish MS] [--big I]
 *   kafka_feed --brokers B --topic NAME [--partitions N] [--set NAME=VALUE]...   makes a topic
 *
 * Prints a line of counts five times a second. Exit 0: all acknowledged or refused for good;
 * 4: some wait in the spool.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

#include "base/log.h"
#include "sinks/kafka.h"
#include "sinks/sinks.h"

#define SETTINGS_MAX 32

struct options {
	struct config config;
	const char *spool, *topic;
	uint64_t count, rate, finish_ms, big;
	int partitions;
};

static char *names[SETTINGS_MAX], *values[SETTINGS_MAX];

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static int add_setting(struct text_map *m, char *pair)
{
	char *eq = strchr(pair, '=');

	if (!eq || m->count == SETTINGS_MAX)
		return -1;
	*eq = 0;
	m->names[m->count] = pair;
	m->values[m->count++] = eq + 1;
	return 0;
}

static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"brokers", 1, NULL, 'b'},    {"spool", 1, NULL, 's'}, {"count", 1, NULL, 'n'},
		{"prefix", 1, NULL, 'p'},     {"set", 1, NULL, 'X'},   {"rate", 1, NULL, 'r'},
		{"finish", 1, NULL, 'f'},     {"big", 1, NULL, 'B'},   {"topic", 1, NULL, 't'},
		{"partitions", 1, NULL, 'P'}, {NULL, 0, NULL, 0},
	};
	int c;

	*o = (struct options){.rate = 1000000, .finish_ms = 30000, .partitions = 3};
	o->config.kafka = true;
	o->config.kafka_prefix = "tokentrail.";
	o->config.spool_max_bytes = 64 << 20;
	o->config.kafka_settings = (struct text_map){.names = names, .values = values};
	while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0) {
		switch (c) {
		case 'b':
			o->config.kafka_brokers = optarg;
			break;
		case 's':
			o->spool = optarg;
			break;
		case 'n':
			o->count = strtoull(optarg, NULL, 10);
			break;
		case 'p':
			o->config.kafka_prefix = optarg;
			break;
		case 'r':
			o->rate = strtoull(optarg, NULL, 10);
			break;
		case 'f':
			o->finish_ms = strtoull(optarg, NULL, 10);
			break;
		case 'B':
			o->big = strtoull(optarg, NULL, 10);
			break;
		case 't':
			o->topic = optarg;
			break;
		case 'P':
			o->partitions = atoi(optarg);
			break;
		case 'X':
			if (add_setting(&o->config.kafka_settings, optarg) < 0)
				return -1;
			break;
		default:
			return -1;
		}
	}
	return o->config.kafka_brokers && (o->topic || o->spool) ? 0 : -1;
}

/* ---- a topic ---- */

static int make_topic(const struct options *o)
{
	const struct text_map *m = &o->config.kafka_settings;
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	const rd_kafka_topic_result_t **results;
	rd_kafka_NewTopic_t *topic;
	rd_kafka_event_t *event;
	rd_kafka_queue_t *q;
	char why[256] = "";
	rd_kafka_t *rk;
	size_t i, n;
	int bad = 1;

	rd_kafka_conf_set(conf, "bootstrap.servers", o->config.kafka_brokers, why, sizeof(why));
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
	if (!rk)
		return 1;
	q = rd_kafka_queue_new(rk);
	topic = rd_kafka_NewTopic_new(o->topic, o->partitions, 1, why, sizeof(why));
	for (i = 0; i < m->count; i++)
		rd_kafka_NewTopic_set_config(topic, m->names[i], m->values[i]);
	rd_kafka_CreateTopics(rk, &topic, 1, NULL, q);
	event = rd_kafka_queue_poll(q, 20000);
	if (event && !rd_kafka_event_error(event)) {
		results = rd_kafka_CreateTopics_result_topics(
			rd_kafka_event_CreateTopics_result(event), &n);
		bad = n != 1 || rd_kafka_topic_result_error(results[0]);
	}
	if (bad)
		fprintf(stderr, "topic %s: %s\n", o->topic,
			event ? rd_kafka_event_error_string(event) : "no answer");
	rd_kafka_NewTopic_destroy(topic);
	rd_kafka_event_destroy(event);
	rd_kafka_queue_destroy(q);
	rd_kafka_destroy(rk);
	return bad;
}

/* ---- uses ---- */

static void make_use(uint64_t i, bool big, struct use *ret_use)
{
	struct use u = {
		.key_id = "0123456789abcdef",
		.class_name = "github_pat",
		.kind = "api_key",
		.scheme = "bearer",
		.carrier = "authorization",
		.length = 40,
		.dir = TT_DIR_EGRESS,
		.count = 1,
		.method = "GET",
		.path = "/v1/items/{id}",
		.version = 11,
		.status = 200,
		.pid = (uint32_t)i,
		.process_name = "curl",
		.uid = 1000,
		.tls = TT_TLS_OPENSSL,
	};
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	u.first_ns = u.last_ns = (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
	snprintf(u.token_id, sizeof(u.token_id), "tt1_%032" PRIu64, i % 100);
	if (big) {
		memset(u.path, 'p', sizeof(u.path) - 1);
		memset(u.executable, 'e', sizeof(u.executable) - 1);
		memset(u.server_address, 's', sizeof(u.server_address) - 1);
	}
	*ret_use = u;
}

static void report(const struct sink *s, const char *what)
{
	struct kafka_status st;

	kafka_sink_status(s, &st);
	printf("%s made=%" PRIu64 " waiting=%" PRIu64 " acked=%" PRIu64 " found=%" PRIu64
	       " refused=%" PRIu64 " unsure=%" PRIu64 " lost=%" PRIu64 " error=\"%s\"\n",
	       what, st.made, st.waiting, st.acked, st.found, st.refused, st.unsure,
	       st.dropped + st.corrupt, st.error);
	fflush(stdout);
}

static int feed(const struct options *o, const struct sink *s)
{
	uint64_t start = now_ns(), last = 0, now, fed = 0, i;
	struct kafka_status st;
	struct use u;

	kafka_sink_status(s, &st);
	for (i = st.made + 1; i <= o->count;) {
		for (now = now_ns(); i <= o->count && fed * 1000000000 / o->rate <= now - start;
		     fed++, i++) {
			make_use(i, i == o->big, &u);
			if (s->ops->use(s->self, &u) < 0)
				return -1;
		}
		if (s->ops->tick(s->self, now) < 0)
			return -1;
		if (now - last > 200000000) {
			report(s, "feeding");
			last = now;
		}
		usleep(10000);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct config_error error = {""};
	struct kafka_status st;
	struct options o;
	struct sink s;
	uint64_t until;

	log_init("feed", LOG_LEVEL_INFO);
	if (parse(argc, argv, &o) < 0) {
		fprintf(stderr, "usage: see the head of kafka_feed.c\n");
		return 2;
	}
	if (o.topic)
		return make_topic(&o);
	if (kafka_sink_new(&o.config, o.spool, "feed-node", &s, &error) < 0) {
		fprintf(stderr, "%s\n", error.text);
		return 2;
	}
	if (feed(&o, &s) < 0) {
		fprintf(stderr, "the sink took no use\n");
		return 1;
	}
	until = now_ns() + o.finish_ms * 1000000;
	do {
		s.ops->tick(s.self, 0);
		kafka_sink_status(&s, &st);
		usleep(20000);
	} while (st.waiting && now_ns() < until);
	s.ops->finish(s.self, 500);
	report(&s, "end");
	kafka_sink_status(&s, &st);
	s.ops->free(s.self);
	return st.waiting ? 4 : 0;
}
