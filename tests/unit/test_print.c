/* SPDX-License-Identifier: Apache-2.0 */
/*
 * print.c: what it writes, yaml.c reads back as the same; deploy/tokentrail.yaml is its output.
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

	snprintf(path, sizeof(path), "/tmp/tt-test-print.XXXXXX");
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

static void test_print(void **state)
{
	for (int with_help = 0; with_help < 2; with_help++) {
		char *text = NULL, *again = NULL;

		fill();
		assert_int_equal(config_print(&c, with_help, &text), 0);
		config_done(&c);
		assert_int_equal(config_init(&c), 0);
		assert_int_equal(load(text), 0);
		assert_string_equal(c.node_name, "a \"b\" \\ # c");
		assert_string_equal(c.preattach.items[1], "- z");
		assert_string_equal(c.kafka_settings.values[0], "l1\nl2\n");
		assert_string_equal(c.kafka_settings.names[1], "a: b");
		assert_int_equal(c.ring_bytes, 1000001);
		assert_int_equal(config_print(&c, with_help, &again), 0);
		assert_string_equal(text, again);
		assert_true((strstr(text, settings[0].help) != NULL) == with_help);
		free(text);
		free(again);
	}
}

/* deploy/tokentrail.yaml is config_print() of the defaults; tests run at the top of the tree.
 * TT_UPDATE=1 writes the file anew. */
static void test_example(void **state)
{
	static const char example[] = "deploy/tokentrail.yaml";
	char *text, *found;
	size_t len;
	FILE *f;

	assert_int_equal(config_print(&c, true, &text), 0);
	if (getenv("TT_UPDATE")) {
		f = fopen(example, "w");
		assert_non_null(f);
		assert_true(fputs(text, f) >= 0);
		assert_int_equal(fclose(f), 0);
	}
	f = fopen(example, "r");
	assert_non_null(f);
	found = calloc(1, strlen(text) + 2);
	assert_non_null(found);
	len = fread(found, 1, strlen(text) + 1, f);
	fclose(f);
	assert_string_equal(found, text);
	assert_int_equal(len, strlen(text));
	assert_int_equal(config_load_file(&c, example, &error), 0);
	assert_int_equal(config_check(&c, &error), 0);
	free(found);
	free(text);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_print),
		TEST(test_example),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
