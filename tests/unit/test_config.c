/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.c and settings.c: defaults, the environment, flags, what has to hang together.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tokentrail/abi.h>

#include "config/settings.h"

static struct config c;
static struct config_error error;

static int setup(void **state)
{
	error.text[0] = '\0';
	return config_init(&c);
}

static int teardown(void **state)
{
	config_done(&c);
	return 0;
}

static void test_defaults(void **state)
{
	assert_string_equal(c.agent_user, "tokentrail");
	assert_int_equal(c.memory_bytes, 128 << 20);
	assert_int_equal(c.ring_bytes, 0);
	assert_int_equal(c.fold_ms, 1000);
	assert_true(c.plain);
	assert_false(c.kafka);
	assert_int_equal(c.output, OUTPUT_AUTO);
	assert_int_equal(c.log_level, 2); /* LOG_LEVEL_INFO */
	assert_int_equal(c.headers.count, 0);
	assert_int_equal(config_check(&c, &error), 0);
}

/* What config.c, print.c and the environment take for granted about config.def. */
static void test_table(void **state)
{
	for (size_t i = 0; i < settings_count; i++) {
		const struct setting *s = &settings[i];
		const char *start;

		assert_non_null(strchr(s->path, '.'));
		assert_ptr_equal(strchr(s->path, '.'), strrchr(s->path, '.'));
		assert_true(strlen(s->help) > 8 && strlen(s->path) < 60);
		if (s->type == SETTING_U64)
			assert_true((s->min <= s->number || s->number == 0) && s->number <= s->max);
		if (s->type == SETTING_ENUM)
			assert_true(choice_find(s->unit, s->text) >= 0 &&
				    choice_get(s->unit, 0, &start));
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(s->path, settings[j].path);
	}
}

static void test_env(void **state)
{
	char *const good[] = {(char *)"PATH=/bin",
			      (char *)"TOKENTRAIL_KAFKA_TOPIC_PREFIX=x.",
			      (char *)"TOKENTRAIL_LIMITS_RING=1MiB",
			      (char *)"TOKENTRAIL_KAFKA_ENABLED=on",
			      (char *)"TOKENTRAIL_CREDENTIALS_HEADERS=a, b",
			      (char *)"TOKENTRAIL_KAFKA_SETTINGS=acks=1,linger.ms=5",
			      (char *)"TOKENTRAIL_PORT_9090_TCP_ADDR=10.0.0.1",
			      NULL};
	char *const slip[] = {(char *)"TOKENTRAIL_KAFKA_BROKER=x", NULL};
	char *const bad[] = {(char *)"TOKENTRAIL_LIMITS_RING=1", NULL};

	assert_int_equal(config_load_env(&c, good, &error), 0);
	assert_string_equal(c.kafka_prefix, "x.");
	assert_int_equal(c.ring_bytes, 1 << 20);
	assert_true(c.kafka);
	assert_int_equal(c.headers.count, 2);
	assert_string_equal(c.headers.items[1], "b");
	assert_string_equal(c.kafka_settings.values[1], "5");
	assert_int_equal(config_load_env(&c, slip, &error), -EINVAL);
	assert_string_equal(error.text,
			    "environment: unknown variable TOKENTRAIL_KAFKA_BROKER; did you "
			    "mean TOKENTRAIL_KAFKA_BROKERS?");
	assert_int_equal(config_load_env(&c, bad, &error), -EINVAL);
	assert_string_equal(
		error.text,
		"environment: TOKENTRAIL_LIMITS_RING: 'limits.ring' is '1', out of "
		"range; it must be a size from 256KiB to 256MiB (bytes, KiB, MiB or GiB), or 0");
}

static void test_set(void **state)
{
	assert_int_equal(config_set(&c, "log.level", "debug", &error), 0);
	assert_int_equal(c.log_level, 3);
	assert_int_equal(config_set(&c, "kafka.settings.ssl.ca.pem", "a,b=c", &error), 0);
	assert_int_equal(config_set(&c, "kafka.settings.ssl.ca.pem", "d", &error), 0);
	assert_int_equal(c.kafka_settings.count, 1);
	assert_string_equal(c.kafka_settings.names[0], "ssl.ca.pem");
	assert_string_equal(c.kafka_settings.values[0], "d");
	assert_int_equal(config_set(&c, "kafka.settings", "novalue", &error), -EINVAL);
	assert_non_null(strstr(error.text, "NAME=TEXT"));
	assert_int_equal(c.kafka_settings.count, 1);
	assert_int_equal(config_set(&c, "kafka.settings", "", &error), 0);
	assert_int_equal(c.kafka_settings.count, 0);
	assert_int_equal(config_set(&c, "credentials.headers", "", &error), 0);
	assert_int_equal(config_set(&c, "log.levle", "debug", &error), -EINVAL);
	assert_string_equal(error.text, "unknown setting 'log.levle'; did you mean 'log.level'?");
	assert_int_equal(config_set(&c, "", "x", &error), -EINVAL);
}

static void check_refuses(const char *setting, const char *value, const char *names)
{
	struct config_error why = {""};

	assert_int_equal(config_set(&c, setting, value, &error), 0);
	assert_int_equal(config_check(&c, &why), -EINVAL);
	assert_non_null(strstr(why.text, names));
	config_done(&c);
	assert_int_equal(config_init(&c), 0);
}

static void test_check(void **state)
{
	check_refuses("kafka.enabled", "true", "kafka.brokers");
	check_refuses("limits.ring", "300000", "power of two");
	check_refuses("state.directory", "state", "state.directory");
	check_refuses("key.file", "", "key.file");
	check_refuses("agent.user", "root", "agent.user");
	check_refuses("credentials.headers", "a b", "credentials.headers");
	check_refuses("credentials.headers", "Mcp-Name", "credentials.headers");
	check_refuses("credentials.headers", "content-type", "credentials.headers");
	check_refuses("credentials.headers", "Content-Length", "credentials.headers");
	check_refuses("credentials.parameters", "a:b", "credentials.parameters");
	check_refuses("sources.preattach", "lib*.so", "sources.preattach");
	check_refuses("metrics.listen", "localhost:9465", "metrics.listen");
	assert_int_equal(config_set(&c, "sources.plain", "false", &error), 0);
#define TT_TLS(number, name, NAME, file) \
	if (TT_TLS_##NAME != TT_TLS_LIBRESSL) \
		assert_int_equal(config_set(&c, "sources." #name, "false", &error), 0);
#include <tokentrail/tls.def>
#undef TT_TLS
	assert_int_equal(config_libraries(&c), 1u << TT_TLS_LIBRESSL);
	check_refuses("sources.libressl", "false", "sources.plain");
	assert_int_equal(config_set(&c, "kafka.enabled", "true", &error), 0);
	assert_int_equal(config_set(&c, "kafka.brokers", "h:1", &error), 0);
	check_refuses("kafka.settings.sasl.password", "file:secret", "sasl.password");
	assert_int_equal(config_set(&c, "kafka.enabled", "true", &error), 0);
	assert_int_equal(config_set(&c, "kafka.brokers", "h:1", &error), 0);
	check_refuses("kafka.settings.bootstrap.servers", "h:1", "kafka.brokers");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_defaults),
		TEST(test_table),
		TEST(test_env),
		TEST(test_set),
		TEST(test_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
