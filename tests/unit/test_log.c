/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/log.c: the form of a line, levels, forged lines, the rate limit. Standard error is a pipe
 * while a test runs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

static int saved_fd, read_fd;
static char got[8192];

static int setup(void **state)
{
	int fds[2];

	if (pipe(fds) < 0)
		return -1;
	saved_fd = dup(STDERR_FILENO);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	read_fd = fds[0];
	return fcntl(read_fd, F_SETFL, O_NONBLOCK);
}

static int teardown(void **state)
{
	dup2(saved_fd, STDERR_FILENO);
	close(saved_fd);
	close(read_fd);
	return 0;
}

static const char *take(void)
{
	ssize_t n = read(read_fd, got, sizeof(got) - 1);

	got[n > 0 ? n : 0] = '\0';
	return got;
}

static void test_form(void **state)
{
	log_init("agent", LOG_LEVEL_INFO);
	log_warning("store is full, skipping rows=%d", 3);
	assert_string_equal(take(), "tokentrail[agent]: warning: store is full, skipping rows=3\n");
	log_init("", LOG_LEVEL_INFO);
	log_error("no");
	assert_string_equal(take(), "tokentrail: error: no\n");
	errno = ENOENT;
	log_info("%m");
	assert_string_equal(take(), "tokentrail: info: No such file or directory\n");
	assert_int_equal(errno, ENOENT);
}

static void test_levels(void **state)
{
	enum log_level level = LOG_LEVEL_INFO;

	log_init("m", LOG_LEVEL_WARNING);
	log_info("hidden");
	assert_string_equal(take(), "");
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("shown");
	assert_string_equal(take(), "tokentrail[m]: debug: shown\n");
	assert_int_equal(log_level_parse("error", &level), 0);
	assert_int_equal(level, LOG_LEVEL_ERROR);
	assert_int_equal(log_level_parse("debug", &level), 0);
	assert_int_equal(level, LOG_LEVEL_DEBUG);
	assert_int_equal(log_level_parse("Debug", &level), -EINVAL);
	assert_int_equal(log_level_parse("", &level), -EINVAL);
}

static void test_forged(void **state)
{
	log_init("m", LOG_LEVEL_INFO);
	log_info("name=%s", "x\ntokentrail[m]: error: \x1b[2Jfake\r");
	assert_string_equal(take(),
			    "tokentrail[m]: info: name=x?tokentrail[m]: error: ?[2Jfake?\n");
}

static void test_long(void **state)
{
	char text[5000];

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_init("m", LOG_LEVEL_INFO);
	log_info("%s", text);
	take();
	assert_in_range(strlen(got), 1500, 2048);
	assert_ptr_equal(strchr(got, '\n'), got + strlen(got) - 1);
}

static void test_rate(void **state)
{
	struct log_rate rate = {0};
	int passed = 0;

	log_init("m", LOG_LEVEL_INFO);
	for (int i = 0; i < 12; i++)
		passed += log_rate_ok(&rate, 5);
	assert_int_equal(passed, 5);
	assert_int_equal(rate.left_out, 7);
	assert_string_equal(take(), "");
	rate.since_ns -= 11ull * 1000000000; /* as if 11 s had gone by */
	if (rate.since_ns == 0)
		rate.since_ns = 1;
	assert_true(log_rate_ok(&rate, 5));
	assert_string_equal(take(),
			    "tokentrail[m]: warning: 7 lines like the next one were left out\n");
	assert_int_equal(rate.left_out, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_form, setup, teardown),
		cmocka_unit_test_setup_teardown(test_levels, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rate, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
