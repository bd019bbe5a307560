/* SPDX-License-Identifier: Apache-2.0 */
/* Texts out of JSON: the right ones, and nothing else anywhere; all documents that are none are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "enrich/members.h"

static char got[4096];

static int want(void *arg, const char *const *path, size_t depth)
{
	return depth == 2 && !strcmp(path[0], "annotations");
}

static void take(void *arg, const char *const *path, size_t depth, const char *text)
{
	size_t len = strlen(got);

	snprintf(got + len, sizeof(got) - len, "%s=%s;", path[depth - 1], text);
}

static const struct members_ops ops = { want, take };

static int read_text(const char *json)
{
	got[0] = 0;
	return members_read_text(json, strlen(json), &ops, NULL);
}

static void what_is_asked_for_comes(void **state)
{
	assert_int_equal(read_text("{\"a\":1,\"annotations\":{\"x\":\"1\",\"y\\n\":\"\\\"\\u0041\\u00e9\",\"n\":7,"
				   "\"o\":{\"x\":\"no\"}},\"env\":[\"SECRET=s\"],\"t\":[[],{}],\"annotations2\":{\"x\":\"no\"}} "), 0);
	assert_string_equal(got, "x=1;y\n=\"A?;");
	assert_int_equal(read_text("[{\"annotations\":{\"x\":\"no\"}}]"), 0);
	assert_string_equal(got, "");
	assert_int_equal(read_text("{\"annotations\":[\"e\",\"f\"]}"), 0);
	assert_string_equal(got, "=e;=f;");
	assert_int_equal(read_text("\"x\""), 0);
}

static void what_is_no_json_is_refused(void **state)
{
	static const char *const bad[] = { "", "{", "{\"a\"}", "{\"a\":}", "{\"a\":\"", "[1,]x", "{,}", "[\"\\x\"]",
					   "{\"a\":\"\\u00g0\"}", "{1:2}", "{\"a\":1]", "[1}" };
	char deep[80];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(read_text(bad[i]), -EBADMSG);
	memset(deep, '[', sizeof(deep));
	deep[MEMBERS_DEPTH + 1] = 0;
	assert_int_equal(read_text(deep), -EBADMSG);
}

static void long_names_and_texts_are_left_out(void **state)
{
	static char json[MEMBERS_TEXT_MAX + 300];
	char name[MEMBERS_NAME_MAX + 2];

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	snprintf(json, sizeof(json), "{\"annotations\":{\"%s\":\"x\"}}", name);
	assert_int_equal(read_text(json), 0);
	assert_string_equal(got, "=x;");
	snprintf(json, sizeof(json), "{\"annotations\":{\"k\":\"%0*d\",\"l\":\"1\"}}", MEMBERS_TEXT_MAX + 1, 0);
	assert_int_equal(read_text(json), 0);
	assert_string_equal(got, "l=1;");
}

/* Wherever the window's edge falls. */
static void a_file_is_read_as_a_text_is(void **state)
{
	for (int before = 4060; before < 4100; before++) {
		int fd = memfd_create("members", 0);
		FILE *file = fdopen(dup(fd), "w");

		fprintf(file, "{\"a\":\"%0*d\",\"annotations\":{\"key\":\"v\\u0061l\"}}", before, 0);
		assert_int_equal(fclose(file), 0);
		got[0] = 0;
		assert_int_equal(members_read(fd, &ops, NULL), 0);
		assert_string_equal(got, "key=val;");
		close(fd);
	}
}

static void too_much_is_refused(void **state)
{
	int fd = memfd_create("members", 0);
	FILE *file = fdopen(dup(fd), "w");

	fprintf(file, "{\"a\":\"%0*d\",\"annotations\":{\"key\":\"x\"}}", MEMBERS_BYTES, 0);
	assert_int_equal(fclose(file), 0);
	got[0] = 0;
	assert_int_equal(members_read(fd, &ops, NULL), -EBADMSG);
	assert_string_equal(got, "");
	close(fd);
	assert_int_equal(members_read(fd, &ops, NULL), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_asked_for_comes),
		cmocka_unit_test(what_is_no_json_is_refused),
		cmocka_unit_test(long_names_and_texts_are_left_out),
		cmocka_unit_test(a_file_is_read_as_a_text_is),
		cmocka_unit_test(too_much_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
