/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings in three layers: ours that a user may change, the user's, ours that nobody may change.
 */
#include "sinks/kafka_conf.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

struct pair {
	const char *name, *value;
};

static const struct pair producer_defaults[] = {
	{"client.id", "tokentrail"},
	{"linger.ms", "50"},
	{"compression.codec", "lz4"},
	/* A topic's max.message.bytes bounds batches, not records: stay well below usual ones. */
	{"batch.size", "65536"},
	{"queue.buffering.max.kbytes", "16384"},
	/* So that a topic that came into being, or a right that was given, is noticed soon. */
	{"topic.metadata.refresh.interval.ms", "10000"},
	{"topic.metadata.propagation.max.ms", "10000"},
	{"socket.keepalive.enable", "true"},
};

static const struct pair producer_fixed[] = {
	{"enable.idempotence", "true"},
	{"acks", "all"},
	/* Records are in the spool for as long as it takes; librdkafka must not give up on them. */
	{"message.timeout.ms", "0"},
	{"statistics.interval.ms", "0"},
};

static const struct pair consumer_fixed[] = {
	{"enable.partition.eof", "true"},	 {"auto.offset.reset", "earliest"},
	{"isolation.level", "read_uncommitted"}, {"enable.auto.commit", "false"},
	{"statistics.interval.ms", "0"},
};

/* What a user can't set, beside the fixed ones: it has a setting of its own, or breaks a promise.
 */
static const char *const reserved[] = {
	"bootstrap.servers",
	"metadata.broker.list",
	"request.required.acks",
	"delivery.timeout.ms",
	"transactional.id",
	"retries",
	"message.send.max.retries",
	"enable.gapless.guarantee",
	"max.in.flight",
	"max.in.flight.requests.per.connection",
	"dr_cb",
	"dr_msg_cb",
	"error_cb",
	"log_cb",
	"opaque",
	"queuing.strategy",
	"group.id",
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static bool is_reserved(const char *name)
{
	size_t i;

	for (i = 0; i < COUNT(producer_fixed); i++)
		if (strcmp(name, producer_fixed[i].name) == 0)
			return true;
	for (i = 0; i < COUNT(reserved); i++)
		if (strcmp(name, reserved[i]) == 0)
			return true;
	return false;
}

/* librdkafka's reason may repeat the value, which for these is nobody's business. */
static bool is_secret(const char *name)
{
	return strstr(name, "password") || strstr(name, "secret") || strstr(name, ".key") ||
	       strstr(name, "jaas") || strstr(name, "oauthbearer.config") || strstr(name, ".pem");
}

static int set(rd_kafka_conf_t *conf, const char *name, const char *value,
	       struct config_error *ret_error)
{
	char why[256] = "";

	if (rd_kafka_conf_set(conf, name, value, why, sizeof(why)) == RD_KAFKA_CONF_OK)
		return 0;
	snprintf(ret_error->text, sizeof(ret_error->text), "kafka.settings: '%s' is refused: %s",
		 name, is_secret(name) ? "its value can't be used" : why);
	return -EINVAL;
}

static int set_all(rd_kafka_conf_t *conf, const struct pair *pairs, size_t count,
		   struct config_error *ret_error)
{
	size_t i;
	int r;

	for (i = 0; i < count; i++) {
		r = set(conf, pairs[i].name, pairs[i].value, ret_error);
		if (r < 0)
			return r;
	}
	return 0;
}

static int set_users(rd_kafka_conf_t *conf, const struct config *c, struct config_error *ret_error)
{
	const struct text_map *m = &c->kafka_settings;
	size_t i;
	int r;

	for (i = 0; i < m->count; i++) {
		if (is_reserved(m->names[i])) {
			snprintf(ret_error->text, sizeof(ret_error->text),
				 "kafka.settings: '%s' can't be set: %s", m->names[i],
				 strstr(m->names[i], "bro") || strstr(m->names[i], "boot")
					 ? "use kafka.brokers"
					 : "tokentrail needs its own value so that no record is "
					   "lost or doubled");
			return -EINVAL;
		}
		r = set(conf, m->names[i], m->values[i], ret_error);
		if (r < 0)
			return r;
	}
	return 0;
}

/* librdkafka's own lines repeat what comes as errors; they are for whoever debugs. */
static void log_line(const rd_kafka_t *rk, int level, const char *facility, const char *line)
{
	log_debug("librdkafka: %s: %s", facility, line);
}

static int make(const struct config *c, const struct pair *defaults, size_t default_count,
		const struct pair *fixed, size_t fixed_count, rd_kafka_conf_t **ret_conf,
		struct config_error *ret_error)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	int r;

	rd_kafka_conf_set_log_cb(conf, log_line);
	r = set_all(conf, defaults, default_count, ret_error);
	if (r == 0)
		r = set_users(conf, c, ret_error);
	if (r == 0)
		r = set_all(conf, fixed, fixed_count, ret_error);
	if (r == 0 && set(conf, "bootstrap.servers", c->kafka_brokers, ret_error) < 0) {
		snprintf(ret_error->text, sizeof(ret_error->text),
			 "kafka.brokers: refused by librdkafka");
		r = -EINVAL;
	}
	if (r < 0) {
		rd_kafka_conf_destroy(conf);
		return r;
	}
	*ret_conf = conf;
	return 0;
}

int kafka_conf_producer(const struct config *c, rd_kafka_conf_t **ret_conf,
			struct config_error *ret_error)
{
	return make(c, producer_defaults, COUNT(producer_defaults), producer_fixed,
		    COUNT(producer_fixed), ret_conf, ret_error);
}

int kafka_conf_consumer(const struct config *c, rd_kafka_conf_t **ret_conf,
			struct config_error *ret_error)
{
	/* It reads to the end of each partition, and waits there for what may still come. */
	static const struct pair defaults[] = {{"client.id", "tokentrail"},
					       {"fetch.wait.max.ms", "100"}};

	return make(c, defaults, COUNT(defaults), consumer_fixed, COUNT(consumer_fixed), ret_conf,
		    ret_error);
}
