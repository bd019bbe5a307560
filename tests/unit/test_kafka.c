/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Kafka sink against librdkafka's mock cluster: what each kind of failure leaves in the log,
 * the spool and the counters (kafka.c, kafka_lane.c and kafka_readback.c together).
 * tests/e2e/kafka.sh does it with a real broker.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "base/log.h"
#include "sinks/kafka.h"
#include "sinks/kafka_lane.h"
#include "sinks/kafka_readback.h"
#include "sinks/record.h"
#include "sinks/sinks.h"
#include "tokentrail/v1/use.pb-c.h"

#define PRODUCE 0 /* ApiKey, Kafka protocol */
#define LIST_OFFSETS 2
#define INIT_PRODUCER_ID 22
#define SEEN_MAX 20000

static char dir[64];
static rd_kafka_t *mock_rk;
static rd_kafka_mock_cluster_t *mock;
static struct config conf;
static char *names[8], *values[8];

static void with(char *name, char *value)
{
	names[conf.kafka_settings.count] = name;
	values[conf.kafka_settings.count++] = value;
}

static int setup(void **state)
{
	rd_kafka_conf_t *c = rd_kafka_conf_new();
	char why[256];

	log_init("test", getenv("VERBOSE") ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR);
	memset(agent_drops, 0, sizeof(agent_drops));
	strcpy(dir, "/tmp/tt-kafka-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	rd_kafka_conf_set(c, "log_level", "2", why, sizeof(why));
	mock_rk = rd_kafka_new(RD_KAFKA_PRODUCER, c, why, sizeof(why));
	if (!mock_rk)
		return -1;
	mock = rd_kafka_mock_cluster_new(mock_rk, 1);
	memset(&conf, 0, sizeof(conf));
	conf.kafka = true;
	conf.kafka_brokers = (char *)rd_kafka_mock_cluster_bootstraps(mock);
	conf.kafka_prefix = "tt.";
	conf.spool_max_bytes = 16 << 20;
	conf.kafka_settings = (struct text_map){.names = names, .values = values};
	/* For the test's speed. */
	with("reconnect.backoff.max.ms", "100");
	with("retry.backoff.ms", "20");
	with("topic.metadata.refresh.fast.interval.ms", "20");
	return 0;
}

/* $d in the command is the spool's directory. */
static int shell(const char *command)
{
	setenv("d", dir, 1);
	return system(command);
}

static int teardown(void **state)
{
	rd_kafka_mock_cluster_destroy(mock);
	rd_kafka_destroy(mock_rk);
	return shell("rm -rf \"$d\" \"$d.crash\"");
}

static struct sink open_in(const char *path)
{
	struct config_error error = {""};
	struct sink s;
	int r;

	r = kafka_sink_new(&conf, path, "worker-17", &s, &error);
	if (r < 0)
		fail_msg("%s", error.text);
	return s;
}

static struct kafka_status status(const struct sink *s)
{
	struct kafka_status st;

	kafka_sink_status(s, &st);
	return st;
}

static void feed(const struct sink *s, unsigned int from, unsigned int to)
{
	struct use u = {.class_name = "c",
			.kind = "k",
			.scheme = "bearer",
			.dir = TT_DIR_EGRESS,
			.count = 1,
			.version = 11,
			.length = 40,
			.first_ns = 1,
			.last_ns = 2};

	for (; from <= to; from++) {
		snprintf(u.token_id, sizeof(u.token_id), "tt1_%u", from % 7);
		u.pid = from;
		assert_int_equal(s->ops->use(s->self, &u), 0);
	}
}

static void tick(const struct sink *s, unsigned int ms)
{
	for (; ms >= 10; ms -= 10) {
		s->ops->tick(s->self, 0);
		usleep(10000);
	}
}

static void tick_until_empty(const struct sink *s)
{
	unsigned int i;

	for (i = 0; i < 300 && status(s).waiting; i++)
		tick(s, 100);
	assert_int_equal(status(s).waiting, 0);
}

static void tick_until_error(const struct sink *s, const char *text)
{
	unsigned int i;

	for (i = 0; i < 1000 && !strstr(status(s).error, text); i++)
		tick(s, 10);
	assert_non_null(strstr(status(s).error, text));
}

static void end(struct sink *s)
{
	assert_int_equal(s->ops->finish(s->self, 10000), 0);
	s->ops->free(s->self);
}

/* How often each pid is in tt.uses; fails on a record that is not whole. */
static unsigned int seen[SEEN_MAX];

static void look_at(const rd_kafka_message_t *m)
{
	Tokentrail__V1__Use *u = tokentrail__v1__use__unpack(NULL, m->len, m->payload);
	rd_kafka_headers_t *headers;
	const void *value;
	size_t len;

	assert_non_null(u);
	assert_int_equal(m->key_len, strlen(u->token->id));
	assert_memory_equal(m->key, u->token->id, m->key_len);
	assert_int_equal(rd_kafka_message_headers(m, &headers), 0);
	assert_int_equal(rd_kafka_header_get_last(headers, "tt-node", &value, &len), 0);
	assert_string_equal(value, "worker-17");
	assert_int_equal(rd_kafka_header_get_last(headers, "tt-schema", &value, &len), 0);
	assert_string_equal(value, RECORD_SCHEMA);
	assert_int_equal(rd_kafka_header_get_last(headers, "tt-seq", &value, &len), 0);
	assert_int_equal(atoi(value), u->process->pid);
	assert_true(u->process->pid < SEEN_MAX);
	seen[u->process->pid]++;
	tokentrail__v1__use__free_unpacked(u, NULL);
}

static unsigned int read_log(void)
{
	rd_kafka_conf_t *c = rd_kafka_conf_new();
	unsigned int n = 0, ends = 0, quiet = 0;
	rd_kafka_message_t *m;
	rd_kafka_topic_t *topic;
	rd_kafka_queue_t *q;
	rd_kafka_t *rk;
	char why[200];
	int p;

	memset(seen, 0, sizeof(seen));
	rd_kafka_conf_set(c, "bootstrap.servers", conf.kafka_brokers, why, sizeof(why));
	rd_kafka_conf_set(c, "enable.partition.eof", "true", why, sizeof(why));
	rd_kafka_conf_set(c, "fetch.wait.max.ms", "10", why, sizeof(why));
	rk = rd_kafka_new(RD_KAFKA_CONSUMER, c, why, sizeof(why));
	assert_non_null(rk);
	q = rd_kafka_queue_new(rk);
	topic = rd_kafka_topic_new(rk, "tt.uses", NULL);
	for (p = 0; p < 4; p++) /* the mock's default */
		assert_int_equal(
			rd_kafka_consume_start_queue(topic, p, RD_KAFKA_OFFSET_BEGINNING, q), 0);
	while (ends < 4 && quiet < 100) {
		m = rd_kafka_consume_queue(q, 100);
		quiet = m ? 0 : quiet + 1;
		if (!m)
			continue;
		if (!m->err) {
			look_at(m);
			n++;
		}
		ends += m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
		rd_kafka_message_destroy(m);
	}
	assert_int_equal(ends, 4);
	for (p = 0; p < 4; p++)
		rd_kafka_consume_stop(topic, p);
	rd_kafka_topic_destroy(topic);
	rd_kafka_queue_destroy(q);
	rd_kafka_destroy(rk);
	return n;
}

static void log_has_each_once(unsigned int upto)
{
	unsigned int i, n = read_log();

	for (i = 1; i <= upto; i++)
		if (seen[i] != 1)
			fail_msg("record %u is in the log %u times", i, seen[i]);
	assert_int_equal(n, upto);
}

static void says_what_is_wrong(void **state)
{
	struct config_error error;
	struct sink s;

	with("acks", "1");
	assert_int_equal(kafka_sink_new(&conf, dir, "n", &s, &error), -EINVAL);
	assert_non_null(strstr(error.text, "'acks'"));
	conf.kafka_settings.count = 0;
	with("ssl.key.pem", "hunter2");
	with("security.protocol", "SSL");
	assert_int_equal(kafka_sink_new(&conf, dir, "n", &s, &error), -EINVAL);
	assert_non_null(strstr(error.text, "kafka.settings"));
	assert_null(strstr(error.text, "hunter2"));
	conf.kafka_settings.count = 0;
	conf.kafka_prefix = "with blank ";
	assert_int_equal(kafka_sink_new(&conf, dir, "n", &s, &error), -EINVAL);
	assert_non_null(strstr(error.text, "kafka.topic_prefix"));
}

static void delivers_all_kinds(void **state)
{
	const struct token t = {.token_id = "tt1_a", .class_name = "c", .kind = "k", .uses = 1};
	const struct loss l = {.reason = "ring_full", .count = 3, .added = 3, .time_ns = 1};
	const struct coverage c = {.pid = 1, .process_name = "x", .sockets = 1};
	struct sink s = open_in(dir), other;
	struct config_error error;

	assert_int_equal(kafka_sink_new(&conf, dir, "n", &other, &error), -EBUSY);
	feed(&s, 1, 5000);
	assert_int_equal(s.ops->token(s.self, &t), 0);
	assert_int_equal(s.ops->loss(s.self, &l), 0);
	assert_int_equal(s.ops->coverage(s.self, &c), 0);
	assert_int_equal(status(&s).waiting, 5003);
	tick_until_empty(&s);
	assert_int_equal(status(&s).acked, 5003);
	assert_int_equal(status(&s).made, 5000);
	end(&s);
	log_has_each_once(5000);
}

static void waits_for_a_broker(void **state)
{
	struct sink s;

	rd_kafka_mock_broker_set_down(mock, 1);
	s = open_in(dir);
	feed(&s, 1, 100);
	tick(&s, 1000);
	assert_int_equal(status(&s).waiting, 100);
	assert_int_equal(status(&s).acked, 0);
	rd_kafka_mock_broker_set_up(mock, 1);
	tick_until_empty(&s);
	rd_kafka_mock_broker_set_down(mock, 1);
	feed(&s, 101, 200);
	tick(&s, 500);
	rd_kafka_mock_broker_set_up(mock, 1);
	tick_until_empty(&s);
	end(&s);
	log_has_each_once(200);
}

static void passing_errors_are_survived(void **state)
{
	struct sink s = open_in(dir);

	rd_kafka_mock_push_request_errors(
		mock, PRODUCE, 4, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
		RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
		RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE);
	feed(&s, 1, 300);
	tick_until_empty(&s);
	end(&s);
	log_has_each_once(300);
}

/* Nothing of it is lost, and it goes on by itself once it is allowed. */
static void forbidden_topic_waits(void **state)
{
	struct sink s = open_in(dir);

	rd_kafka_mock_push_request_errors(mock, PRODUCE, 3,
					  RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
					  RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
					  RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
	feed(&s, 1, 50);
	tick_until_error(&s, "authorization");
	assert_true(status(&s).waiting > 0);
	tick_until_empty(&s);
	assert_int_equal(status(&s).refused, 0);
	end(&s);
	log_has_each_once(50);
}

static void one_forbidden_topic_does_not_hold_up_the_others(void **state)
{
	const struct token t = {.token_id = "tt1_a", .class_name = "c", .kind = "k", .uses = 1};
	struct sink s;

	rd_kafka_mock_topic_set_error(mock, "tt.tokens",
				      RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
	s = open_in(dir);
	assert_int_equal(s.ops->token(s.self, &t), 0);
	feed(&s, 1, 50);
	tick(&s, 2000);
	assert_int_equal(status(&s).acked, 50);
	assert_int_equal(status(&s).waiting, 1);
	assert_int_equal(s.ops->finish(s.self, 100), 0);
	s.ops->free(s.self);
	log_has_each_once(50);
}

/* The batch that a bad record is in fails whole; only that record is refused. */
static void refused_for_good_is_kept(void **state)
{
	struct sink s = open_in(dir);
	unsigned int n;

	rd_kafka_mock_push_request_errors(mock, PRODUCE, 2, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
					  RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
	feed(&s, 1, 1);
	tick_until_empty(&s);
	assert_int_equal(status(&s).refused, 1);
	assert_int_equal(agent_drops[TT_DROP_kafka_refused], 1);
	assert_int_equal(
		shell("grep -q '\"topic\":\"tt.uses\",\"key\":\"tt1_1\",\"reason\":\"Broker: "
		      "Message size"
		      " too large\",\"payload\":\"[0-9a-f]*\"}' $d/uses/refused"),
		0);
	assert_int_equal(shell("test $(stat -c %a $d/uses/refused) = 600"), 0);

	rd_kafka_mock_push_request_errors(mock, PRODUCE, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
	feed(&s, 2, 20);
	tick_until_empty(&s);
	assert_int_equal(status(&s).refused, 1);
	end(&s);
	n = read_log();
	assert_int_equal(n, 19);
	assert_int_equal(seen[1], 0);
}

/* The spool as a crash leaves it: copied while records are on their way. */
static void crash_after_delivery_doubles_nothing(void **state)
{
	char crashed[80];
	struct sink s;

	snprintf(crashed, sizeof(crashed), "%s.crash", dir);
	s = open_in(dir);
	feed(&s, 1, 10);
	tick_until_empty(&s);
	rd_kafka_mock_broker_set_rtt(mock, 1, 1500);
	feed(&s, 11, 400);
	tick(&s, 200);
	assert_int_equal(status(&s).waiting, 390);
	assert_int_equal(shell("cp -r $d $d.crash"), 0);
	rd_kafka_mock_broker_set_rtt(mock, 1, 0);
	tick_until_empty(&s);
	end(&s);

	s = open_in(crashed);
	feed(&s, 401, 500);
	assert_int_equal(status(&s).waiting, 490);
	tick_until_empty(&s);
	assert_int_equal(status(&s).found, 390);
	assert_int_equal(status(&s).unsure, 0);
	end(&s);
	log_has_each_once(500);
}

static void crash_before_delivery_loses_nothing(void **state)
{
	char crashed[80];
	struct sink s;

	snprintf(crashed, sizeof(crashed), "%s.crash", dir);
	s = open_in(dir);
	feed(&s, 1, 10);
	tick_until_empty(&s);
	rd_kafka_mock_broker_set_down(mock, 1);
	tick(&s, 300);
	feed(&s, 11, 200);
	tick(&s, 300);
	assert_int_equal(shell("cp -r $d $d.crash"), 0);
	s.ops->free(s.self);

	s = open_in(crashed);
	tick(&s, 1500);
	assert_int_equal(status(&s).waiting, 190);
	assert_true(status(&s).reading_back);
	rd_kafka_mock_broker_set_up(mock, 1);
	tick_until_empty(&s);
	assert_int_equal(status(&s).found, 0);
	end(&s);
	log_has_each_once(200);
}

/* Kafka forbids reading: said, counted, and sent at the risk of doubles. */
static void forbidden_readback_is_said(void **state)
{
	char crashed[80];
	struct sink s;

	snprintf(crashed, sizeof(crashed), "%s.crash", dir);
	s = open_in(dir);
	feed(&s, 1, 10);
	tick_until_empty(&s);
	rd_kafka_mock_broker_set_down(mock, 1);
	tick(&s, 300);
	feed(&s, 11, 20);
	tick(&s, 300);
	assert_int_equal(shell("cp -r $d $d.crash"), 0);
	s.ops->free(s.self);
	rd_kafka_mock_broker_set_up(mock, 1);
	rd_kafka_mock_push_request_errors(mock, LIST_OFFSETS, 1,
					  RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
	s = open_in(crashed);
	tick_until_empty(&s);
	assert_int_equal(status(&s).unsure, 1);
	assert_int_equal(status(&s).found, 0);
	end(&s);
	log_has_each_once(20);
}

/* An orderly end while the broker is away: nothing was sent, so the next start need not look. */
static void orderly_end_without_broker(void **state)
{
	struct sink s;

	rd_kafka_mock_broker_set_down(mock, 1);
	s = open_in(dir);
	feed(&s, 1, 50);
	tick(&s, 300);
	assert_int_equal(s.ops->finish(s.self, 300), 0);
	assert_int_equal(status(&s).waiting, 50);
	s.ops->free(s.self);
	s = open_in(dir);
	tick(&s, 100);
	assert_false(status(&s).reading_back);
	rd_kafka_mock_broker_set_up(mock, 1);
	tick_until_empty(&s);
	end(&s);
	log_has_each_once(50);
}

/* A producer that librdkafka declares dead is replaced; what it had is looked for, then sent. */
static void fatal_error_makes_a_new_producer(void **state)
{
	struct sink s;

	rd_kafka_mock_push_request_errors(mock, INIT_PRODUCER_ID, 1,
					  RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED);
	s = open_in(dir);
	feed(&s, 1, 100);
	tick_until_error(&s, "authorization");
	assert_int_equal(status(&s).acked, 0);
	feed(&s, 101, 200);
	tick_until_empty(&s);
	end(&s);
	log_has_each_once(200);
}

static void full_spool_is_counted(void **state)
{
	struct sink s;
	struct kafka_status st;

	rd_kafka_mock_broker_set_down(mock, 1);
	conf.spool_max_bytes = 1 << 20;
	s = open_in(dir);
	feed(&s, 1, 15000);
	st = status(&s);
	assert_true(st.dropped > 0);
	assert_int_equal(agent_drops[TT_DROP_spool_full], st.dropped);
	assert_int_equal(st.waiting + st.dropped, 15000);
	assert_true(st.spool_bytes <= conf.spool_max_bytes);
	assert_int_equal(s.ops->finish(s.self, 100), 0);
	s.ops->free(s.self);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(says_what_is_wrong),
		T(delivers_all_kinds),
		T(waits_for_a_broker),
		T(passing_errors_are_survived),
		T(forbidden_topic_waits),
		T(one_forbidden_topic_does_not_hold_up_the_others),
		T(refused_for_good_is_kept),
		T(crash_after_delivery_doubles_nothing),
		T(crash_before_delivery_loses_nothing),
		T(forbidden_readback_is_said),
		T(orderly_end_without_broker),
		T(fatal_error_makes_a_new_producer),
		T(full_spool_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
