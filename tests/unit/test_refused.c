/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file of refused records: each line is JSON whatever is in the key, the file is private and
 * bounded, and what can't be written is said.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "sinks/refused.h"

static char dir[64], path[128];

static const char *in_dir(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static int setup(void **state)
{
	strcpy(dir, "/tmp/tt-refused-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	unlink(in_dir("refused"));
	unlink(in_dir("refused.1"));
	return rmdir(dir);
}

static const struct refused record = {
	.topic = "tokentrail.uses",
	.reason = "Broker: \"too\\large\"\n",
	.key = "a\"\\\n\x01\xff/node",
	.key_len = 11,
	.payload = "\x00\x7f\xff",
	.payload_len = 3,
	.time_ns = 1767225600123456789,
};

static void line_is_json(void **state)
{
	const char *time, *topic, *reason, *payload, *key;
	struct stat st;
	json_t *j;

	assert_int_equal(refused_add(dir, &record, 1 << 20), 0);
	j = json_load_file(in_dir("refused"), JSON_DISABLE_EOF_CHECK, NULL);
	assert_non_null(j);
	assert_int_equal(json_unpack(j, "{s:s, s:s, s:s, s:s, s:s !}", "time", &time, "topic",
				     &topic, "key", &key, "reason", &reason, "payload", &payload),
			 0);
	assert_string_equal(time, "2026-01-01T00:00:00Z");
	assert_string_equal(topic, "tokentrail.uses");
	assert_string_equal(key, "a\"\\\n\x01\xc3\xbf/node");
	assert_string_equal(reason, record.reason);
	assert_string_equal(payload, "007fff");
	json_decref(j);
	assert_int_equal(stat(in_dir("refused"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void size_is_bounded(void **state)
{
	struct stat st;
	int i;

	for (i = 0; i < 100; i++)
		assert_int_equal(refused_add(dir, &record, 1000), 0);
	assert_int_equal(stat(in_dir("refused"), &st), 0);
	assert_in_range(st.st_size, 1, 1000);
	assert_int_equal(stat(in_dir("refused.1"), &st), 0);
	assert_in_range(st.st_size, 500, 1000);
}

static void failure_is_said(void **state)
{
	assert_int_equal(refused_add("/nonexistent", &record, 1000), -ENOENT);
	assert_int_equal(symlink("/dev/full", in_dir("refused")), 0);
	assert_int_equal(refused_add(dir, &record, 1000), -ELOOP);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {T(line_is_json), T(size_is_bounded), T(failure_is_said)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
