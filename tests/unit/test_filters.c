/* SPDX-License-Identifier: Apache-2.0 */
/* include and exclude: patterns, what wins, what is not known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <limits.h>

#include "config/filters.h"

static struct config c;

static int setup(void **state)
{
	return config_init(&c);
}

static int teardown(void **state)
{
	config_done(&c);
	return 0;
}

static void set(const char *path, const char *value)
{
	struct config_error error;

	assert_int_equal(config_set(&c, path, value, &error), 0);
}

static void patterns(void **state)
{
	static const struct { const char *pattern, *path; bool matches; } cases[] = {
		{ "/usr/bin/curl", "/usr/bin/curl", true },
		{ "/usr/bin/curl", "/usr/bin/curl2", false },
		{ "/usr/bin/curl", "/opt/usr/bin/curl", false },
		{ "/usr/bin", "/usr/bin/curl", true },	/* and all below */
		{ "/usr/bi", "/usr/bin/curl", false },
		{ "/usr/*/curl", "/usr/bin/curl", true },
		{ "/usr/*/curl", "/usr/local/bin/curl", false },
		{ "/usr/*/curl", "/usr/bin/curl/below", true },
		{ "/*", "/usr/bin/curl", true },
		{ "/usr/bin/python3.??", "/usr/bin/python3.11", true },
		{ "/usr/bin/python3.??", "/usr/bin/python3.1", false },
		{ "/usr/bin/[a-c]url", "/usr/bin/curl", true },
		{ "/system.slice/a\\x2db.service", "/system.slice/a\\x2db.service", true },	/* systemd's names */
		{ "/system.slice/a\\x2db.service", "/system.slice/ax2db.service", false },
		{ "/", "/", true },
		{ "/", "/a/b", true },
		{ "/a", "/", false },
		{ "/a", "", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (filters_path_matches(cases[i].pattern, cases[i].path) != cases[i].matches)
			fail_msg("%s on %s", cases[i].pattern, cases[i].path);
}

static void long_paths(void **state)
{
	char path[2 * PATH_MAX];

	memset(path, 'a', sizeof(path));
	for (size_t i = 0; i < sizeof(path); i += 100)
		path[i] = '/';
	path[sizeof(path) - 1] = '\0';
	assert_true(filters_path_matches("/*", path));
	assert_false(filters_path_matches("/b", path));
}

static void nothing_given(void **state)
{
	assert_int_equal(filters_by(&c), 0);
	assert_false(filters_by_namespace(&c));
	assert_int_equal(filters_executable(&c, NULL), TT_FILTER_WATCH);
	assert_int_equal(filters_cgroup(&c, NULL, NULL), TT_FILTER_WATCH);
}

static void what_is_decided_by(void **state)
{
	set("exclude.executables", "/a");
	assert_int_equal(filters_by(&c), TT_FILTER_BY_EXE);
	set("include.namespaces", "shop");
	assert_int_equal(filters_by(&c), TT_FILTER_BY_EXE | TT_FILTER_BY_CGROUP);
	assert_true(filters_by_namespace(&c));
}

static void executables(void **state)
{
	set("exclude.executables", "/opt/left,/usr/bin/c*");
	assert_int_equal(filters_executable(&c, "/opt/left/x"), TT_FILTER_LEAVE);
	assert_int_equal(filters_executable(&c, "/usr/bin/curl"), TT_FILTER_LEAVE);
	assert_int_equal(filters_executable(&c, "/usr/bin/wget"), TT_FILTER_WATCH);
	assert_int_equal(filters_executable(&c, NULL), TT_FILTER_UNKNOWN);
	set("include.executables", "/usr/bin");
	assert_int_equal(filters_executable(&c, "/usr/bin/wget"), TT_FILTER_WATCH);
	assert_int_equal(filters_executable(&c, "/usr/bin/curl"), TT_FILTER_LEAVE);	/* exclude wins */
	assert_int_equal(filters_executable(&c, "/bin/wget"), TT_FILTER_LEAVE);
}

static void cgroups_and_namespaces(void **state)
{
	set("exclude.namespaces", "kube-*,secret");
	assert_int_equal(filters_cgroup(&c, "/x", ""), TT_FILTER_WATCH);	/* in no pod */
	assert_int_equal(filters_cgroup(&c, "/x", "shop"), TT_FILTER_WATCH);
	assert_int_equal(filters_cgroup(&c, "/x", "kube-system"), TT_FILTER_LEAVE);
	assert_int_equal(filters_cgroup(&c, "/x", "secrets"), TT_FILTER_WATCH);
	assert_int_equal(filters_cgroup(&c, "/x", NULL), TT_FILTER_UNKNOWN);
	set("include.cgroups", "/kubepods.slice");
	assert_int_equal(filters_cgroup(&c, "/kubepods.slice/a", NULL), TT_FILTER_UNKNOWN);
	assert_int_equal(filters_cgroup(&c, "/system.slice/a", NULL), TT_FILTER_LEAVE);	/* that is known */
	assert_int_equal(filters_cgroup(&c, NULL, "secret"), TT_FILTER_LEAVE);
	assert_int_equal(filters_cgroup(&c, NULL, "shop"), TT_FILTER_UNKNOWN);
	set("exclude.namespaces", "");
	set("include.namespaces", "shop");
	assert_int_equal(filters_cgroup(&c, "/kubepods.slice/a", "shop"), TT_FILTER_WATCH);
	assert_int_equal(filters_cgroup(&c, "/kubepods.slice/a", ""), TT_FILTER_LEAVE);
	assert_int_equal(filters_cgroup(&c, "/system.slice/a", "shop"), TT_FILTER_LEAVE);	/* both have to agree */
}

static void wrong_patterns(void **state)
{
	static const char *const cases[][2] = {
		{ "include.cgroups", "system.slice" }, { "exclude.cgroups", "/system.slice/" },
		{ "exclude.cgroups", "/a//b" }, { "include.executables", "curl" }, { "exclude.executables", "/opt/**" },
		{ "include.namespaces", "Shop" }, { "exclude.namespaces", "a/b" },
		{ "exclude.namespaces", "0123456789012345678901234567890123456789012345678901234567890123" },
	};
	struct config_error error;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		setup(state);
		assert_int_equal(config_set(&c, cases[i][0], cases[i][1], &error), 0);
		assert_int_equal(config_check(&c, &error), -EINVAL);
		assert_non_null(strstr(error.text, cases[i][0]));
		teardown(state);
	}
	setup(state);
	set("exclude.namespaces", "kube-*");
	set("include.cgroups", "/");
	assert_int_equal(config_check(&c, &error), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(patterns), TEST(long_paths), TEST(nothing_given), TEST(what_is_decided_by), TEST(executables),
		TEST(cgroups_and_namespaces), cmocka_unit_test(wrong_patterns),
	};

	return cmocka_run_group_tests_name("filters", tests, NULL, NULL);
}
