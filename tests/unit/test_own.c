/* SPDX-License-Identifier: Apache-2.0 */
/* config/own.c: what the settings add to the tables, and what they may not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"
#include "tokens/class.h"
#include "tokens/mint_rules.h"

static void set(struct config *c, const char *path, const char *value)
{
	struct config_error error;

	assert_int_equal(config_set(c, path, value, &error), 0);
}

static struct config settings(void)
{
	struct config c;

	assert_int_equal(config_init(&c), 0);
	return c;
}

static size_t carriers(void)
{
	size_t n = 0;

	for (uint16_t id = carrier_next(0); id; id = carrier_next(id))
		n++;
	return n;
}

static const char *class_now(const char *prefix, size_t len)
{
	const struct token_class *c;
	char token[64];

	memset(token, 'a', sizeof(token));
	memcpy(token, prefix, strlen(prefix));
	c = class_get(class_of(token, len, NULL));
	return c ? c->name : "";
}

static void entered_and_taken_back(void **state)
{
	struct config a = settings(), b = settings();
	struct config_error error;
	size_t before = carriers();

	set(&a, "credentials.headers", "X-Acme,authorization,x-acme");	/* known ones are no fault */
	set(&a, "credentials.parameters", "acmeKey");
	set(&a, "credentials.classes.acme", "prefix=acme_ length=40 chars=hex");
	set(&a, "mints.endpoints", "/acme/token,*/token");
	assert_int_equal(config_check(&a, &error), 0);
	assert_int_equal(config_tables(&a, &error), 0);
	assert_int_equal(carriers(), before + 2);
	assert_string_equal(class_now("acme_", 40), "acme");
	assert_string_equal(mint_rule_own(0), "/acme/token");
	assert_null(mint_rule_own(1));

	/* Right entry by entry, wrong together: nothing changes. */
	set(&b, "credentials.headers", "X-Other");
	set(&b, "credentials.classes.jwt", "prefix=acme_ length=40 chars=hex");
	assert_int_equal(config_check(&b, &error), 0);
	assert_true(config_tables(&b, &error) < 0);
	assert_string_equal(error.text, "'credentials.classes': class 'jwt': there is a class of this name already");
	assert_int_equal(carriers(), before + 2);
	assert_string_equal(class_now("acme_", 40), "acme");

	config_done(&b);
	b = settings();
	assert_int_equal(config_tables(&b, &error), 0);
	assert_int_equal(carriers(), before);
	assert_string_equal(class_now("acme_", 40), "");
	config_tables_undo();
	assert_int_equal(carriers(), before + 2);
	config_done(&a);
	config_done(&b);
}

/* Names that only end like those of credentials: not at all; or one that is known for being none, all the same. */
static void endings(void **state)
{
	struct config a = settings(), b = settings();
	struct config_error error;
	size_t before;

	assert_int_equal(config_tables(&a, &error), 0);
	before = carriers();
	set(&b, "credentials.suffixes", "false");
	assert_int_equal(config_tables(&b, &error), 0);
	assert_int_equal(carriers(), before - 4);
	set(&b, "credentials.headers", "X-Sync-Token");
	assert_int_equal(config_tables(&b, &error), 0);
	assert_int_equal(carriers(), before - 4);	/* it takes the place of the other row of its name */
	config_tables_undo();
	assert_int_equal(config_tables(&a, &error), 0);
	assert_int_equal(carriers(), before);
	config_done(&a);
	config_done(&b);
}

static void refused(const char *path, const char *value, const char *why)
{
	struct config c = settings();
	struct config_error error = {""};

	set(&c, path, value);
	assert_true(config_check(&c, &error) < 0);
	if (!strstr(error.text, path) || !strstr(error.text, why))
		fail_msg("%s=%s: %s", path, value, error.text);
	config_done(&c);
}

static void faults(void **state)
{
	char many[1024] = "";
	struct config c = settings();
	struct config_error error;

	refused("credentials.headers", "a b", "'a b' is no name");
	refused("credentials.headers", "Host", "is no name");
	refused("credentials.parameters", "a=b", "is no name");
	refused("mints.endpoints", "token", "'token' is no path");
	refused("mints.endpoints", "/a?b", "is no path");
	refused("mints.endpoints", "*/x", "is no path");
	for (int i = 0; i < 65; i++)
		snprintf(many + strlen(many), sizeof(many) - strlen(many), "x-%d,", i);
	refused("credentials.headers", many, "has 65 entries; at most 64 fit");
	for (int i = 0; i < 9; i++) {
		char path[64];

		snprintf(path, sizeof(path), "credentials.classes.many%d", i);
		set(&c, path, "prefix=many_ length=20");
	}
	assert_int_equal(config_check(&c, &error), 0);
	assert_true(config_tables(&c, &error) < 0);
	assert_non_null(strstr(error.text, "class 'many8': more than 8 classes have this prefix"));
	config_done(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entered_and_taken_back),
		cmocka_unit_test(endings),
		cmocka_unit_test(faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
