/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pack.c: the way to bytes and back, hurt bytes, secrets from files.
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

#include "config/settings.h"

static char path[64];
static struct config c;
static struct config_error error;

static int setup(void **state)
{
	int fd;

	snprintf(path, sizeof(path), "/tmp/tt-test-pack.XXXXXX");
	fd = mkstemp(path);
	if (fd < 0)
		return -1;
	close(fd);
	error.text[0] = '\0';
	return config_init(&c);
}

static int teardown(void **state)
{
	config_done(&c);
	return unlink(path);
}

static int load(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	return config_load_file(&c, path, &error);
}

static void fill(void)
{
	assert_int_equal(
		load("node: {name: \"a \\\"b\\\" \\\\ # c\"}\n"
		     "log: {level: error}\noutput: {fold_interval: 1500ms}\n"
		     "sources: {preattach: [\"x y\", \"- z\"]}\nlimits: {ring: 1000001}\n"
		     "kafka: {settings: {ssl.ca.pem: \"l1\\nl2\\n\", \"a: b\": \"~\"}}\n"),
		0);
}

static void test_pack(void **state)
{
	struct config other = {0};
	char *text, *again;
	void *bytes;
	size_t len;

	fill();
	assert_int_equal(config_pack(&c, &bytes, &len), 0);
	assert_int_equal(config_init(&other), 0);
	assert_int_equal(config_unpack(&other, bytes, len), 0);
	assert_int_equal(config_print(&c, false, &text), 0);
	assert_int_equal(config_print(&other, false, &again), 0);
	assert_string_equal(text, again);
	free(again);

	/* Cut anywhere, or one byte more: refused, and what was there stays. */
	for (size_t cut = 0; cut < len; cut++) {
		void *part = malloc(cut ? cut : 1);

		assert_non_null(part);
		memcpy(part, bytes, cut);
		assert_int_equal(config_unpack(&other, part, cut), -EINVAL);
		free(part);
	}
	bytes = realloc(bytes, len + 1);
	assert_non_null(bytes);
	((char *)bytes)[len] = 0;
	assert_int_equal(config_unpack(&other, bytes, len + 1), -EINVAL);
	assert_int_equal(config_print(&other, false, &again), 0);
	assert_string_equal(text, again);

	/* Any byte changed: refused or read, never a crash, and numbers stay in their range. */
	for (size_t i = 0; i < len; i++) {
		((uint8_t *)bytes)[i] ^= 0xff;
		if (config_unpack(&other, bytes, len) == 0)
			assert_true(!other.connections || (other.connections >= 1024 && other.connections <= 1048576));
		((uint8_t *)bytes)[i] ^= 0xff;
	}
	config_done(&other);
	free(bytes);
	free(text);
	free(again);
}

static void test_pack_secret(void **state)
{
	char value[128];
	struct config other = {0};
	void *bytes;
	size_t len;

	assert_int_equal(load("s3cret word\n"), -EINVAL); /* only for its content on disk */
	snprintf(value, sizeof(value), "file:%s", path);
	assert_int_equal(config_set(&c, "kafka.settings.sasl.password", value, &error), 0);
	assert_int_equal(config_pack(&c, &bytes, &len), 0);
	assert_int_equal(config_unpack(&other, bytes, len), 0);
	assert_string_equal(other.kafka_settings.values[0], value); /* kafka is off */
	free(bytes);
	c.kafka = true;
	assert_int_equal(config_pack(&c, &bytes, &len), 0);
	assert_int_equal(config_unpack(&other, bytes, len), 0);
	assert_string_equal(other.kafka_settings.values[0], "s3cret word");
	free(bytes);
	config_done(&other);
	assert_int_equal(
		config_set(&c, "kafka.settings.sasl.password", "file:/nonexistent", &error), 0);
	assert_int_equal(config_pack(&c, &bytes, &len), -ENOENT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_pack),
		TEST(test_pack_secret),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
