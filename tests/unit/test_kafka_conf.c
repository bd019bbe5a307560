/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka.settings: passed through, refused with name and reason, never with a secret; and what the
 * sink's promises rest on can't be set.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sinks/kafka_conf.h"

static char *names[4], *values[4];
static struct config conf;

static int setup(void **state)
{
	memset(&conf, 0, sizeof(conf));
	conf.kafka_brokers = "127.0.0.1:1,[::1]:2";
	conf.kafka_settings = (struct text_map){.names = names, .values = values};
	return 0;
}

static void with(char *name, char *value)
{
	names[0] = name;
	values[0] = value;
	conf.kafka_settings.count = 1;
}

static void refused(char *name, char *value, const char *text)
{
	struct config_error error = {""};
	rd_kafka_conf_t *c = NULL;

	with(name, value);
	assert_int_equal(kafka_conf_producer(&conf, &c, &error), -EINVAL);
	assert_null(c);
	if (!strstr(error.text, text))
		fail_msg("'%s' is not in '%s'", text, error.text);
	assert_int_equal(kafka_conf_consumer(&conf, &c, &error), -EINVAL);
}

static void has(const rd_kafka_conf_t *c, const char *name, const char *value)
{
	char now[128] = "";
	size_t len = sizeof(now);

	assert_int_equal(rd_kafka_conf_get(c, name, now, &len), RD_KAFKA_CONF_OK);
	assert_string_equal(now, value);
}

static void promises_are_set(void **state)
{
	struct config_error error = {""};
	rd_kafka_conf_t *c;

	with("linger.ms", "7");
	assert_int_equal(kafka_conf_producer(&conf, &c, &error), 0);
	has(c, "enable.idempotence", "true");
	has(c, "acks", "-1");
	has(c, "message.timeout.ms", "0");
	has(c, "statistics.interval.ms", "0");
	has(c, "client.id", "tokentrail");
	has(c, "bootstrap.servers", "127.0.0.1:1,[::1]:2");
	has(c, "linger.ms", "7"); /* the user's, over ours */
	rd_kafka_conf_destroy(c);
	assert_int_equal(kafka_conf_consumer(&conf, &c, &error), 0);
	has(c, "enable.partition.eof", "true");
	has(c, "enable.auto.commit", "false");
	has(c, "isolation.level", "read_uncommitted");
	rd_kafka_conf_destroy(c);
}

static void promises_cannot_be_taken_back(void **state)
{
	refused("enable.idempotence", "false", "'enable.idempotence' can't be set");
	refused("acks", "1", "'acks'");
	refused("request.required.acks", "1", "'request.required.acks'");
	refused("message.timeout.ms", "5000", "'message.timeout.ms'");
	refused("delivery.timeout.ms", "5000", "'delivery.timeout.ms'");
	refused("transactional.id", "x", "'transactional.id'");
	refused("bootstrap.servers", "x:1", "use kafka.brokers");
	refused("metadata.broker.list", "x:1", "use kafka.brokers");
}

static void wrong_ones_are_named_with_the_reason(void **state)
{
	refused("linger.mss", "5", "'linger.mss' is refused: No such configuration property");
	refused("linger.ms", "soon", "'linger.ms' is refused: Invalid value");
	refused("compression.codec", "rar", "compression.codec");
}

static void secrets_are_not_repeated(void **state)
{
	struct config_error error = {""};
	rd_kafka_conf_t *c;

	with("ssl.key.password", "hunter2");
	assert_int_equal(kafka_conf_producer(&conf, &c, &error), 0);
	assert_null(strstr(error.text, "hunter2"));
	rd_kafka_conf_destroy(c);
	with("ssl.keystore.passwordd", "hunter2");
	assert_int_equal(kafka_conf_producer(&conf, &c, &error), -EINVAL);
	assert_null(strstr(error.text, "hunter2"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, setup)
	const struct CMUnitTest tests[] = {
		T(promises_are_set),
		T(promises_cannot_be_taken_back),
		T(wrong_ones_are_named_with_the_reason),
		T(secrets_are_not_repeated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
