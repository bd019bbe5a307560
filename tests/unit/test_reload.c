/* SPDX-License-Identifier: Apache-2.0 */
/* Which settings differ between two configurations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "monitor/reload.h"

static void note(const char *path, void *arg)
{
	char *all = arg;
	size_t len = strlen(all);

	snprintf(all + len, 256 - len, "%s ", path);
}

static void set(struct config *c, const char *path, const char *value)
{
	struct config_error error;

	assert_int_equal(config_set(c, path, value, &error), 0);
}

static void differences_are_named(void **state)
{
	char all[256] = "";
	struct config a, b;

	assert_int_equal(config_init(&a), 0);
	assert_int_equal(config_init(&b), 0);
	reload_compare(&a, &b, note, all);
	assert_string_equal(all, "");
	set(&b, "node.name", "other");
	set(&b, "log.level", "debug");
	set(&b, "output.per_call", "true");
	set(&b, "limits.tokens", "500");
	set(&b, "credentials.headers", "x-mine");
	reload_compare(&a, &b, note, all);
	assert_string_equal(
		all, "node.name log.level output.per_call credentials.headers limits.tokens ");
	config_done(&a);
	config_done(&b);
}

static void filters_are_the_same(void **state)
{
	static const char *const settings[] = {
		"include.cgroups", "include.namespaces", "include.executables",
		"exclude.cgroups", "exclude.namespaces", "exclude.executables",
	};
	struct config a, b;

	assert_int_equal(config_init(&a), 0);
	assert_int_equal(config_init(&b), 0);
	set(&b, "log.level", "debug");
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		assert_true(reload_same_filters(&a, &b));
		set(&b, settings[i], "/a,/b");
		assert_false(reload_same_filters(&a, &b));
		set(&a, settings[i], "/b,/a");
		assert_false(reload_same_filters(&a, &b));
		set(&a, settings[i], "/a,/b");
	}
	config_done(&a);
	config_done(&b);
}

static void tables_are_the_same(void **state)
{
	static const char *const settings[][2] = {
		{"credentials.headers", "x-mine"}, {"credentials.parameters", "mine"},
		{"credentials.classes.acme", "prefix=acme_ length=40"}, {"mints.endpoints", "/mine/token"}, {"credentials.suffixes", "false"},
	};
	struct config a, b;

	assert_int_equal(config_init(&a), 0);
	assert_int_equal(config_init(&b), 0);
	set(&b, "log.level", "debug");
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		assert_true(reload_same_tables(&a, &b));
		set(&b, settings[i][0], settings[i][1]);
		assert_false(reload_same_tables(&a, &b));
		set(&a, settings[i][0], settings[i][1]);
	}
	set(&b, "credentials.classes.acme", "prefix=acme_ length=41");
	assert_false(reload_same_tables(&a, &b));
	config_done(&a);
	config_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(differences_are_named),
		cmocka_unit_test(tables_are_the_same),
		cmocka_unit_test(filters_are_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
