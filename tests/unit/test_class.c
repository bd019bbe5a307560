/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokens/class.c and its tables: look-ups, longest prefix, the user's carriers. Credentials are
 * put together here at run time: no file holds one of full length.
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

#include "readers/fields.h"
#include "tokens/class.h"

static const char *class_name(const char *prefix, size_t len)
{
	char *token = malloc(len);
	const struct token_class *c;

	assert_non_null(token);
	memset(token, 'F', len);
	memcpy(token, prefix, strlen(prefix) < len ? strlen(prefix) : len);
	c = class_get(class_of(token, len));
	free(token);
	return c ? c->name : "";
}

static void test_prefixes(void **state)
{
	assert_string_equal(class_name("ghp_", 40), "github_pat_classic");
	assert_string_equal(class_name("ghp_", 39), "");
	assert_string_equal(class_name("ghp_", 41), "");
	assert_string_equal(class_name("github_pat_", 93), "github_pat_fine");
	assert_string_equal(class_name("glpat-", 26), "gitlab_pat");
	assert_string_equal(class_name("pypi-AgEIcHlwaS5vcmc", 180), "pypi");
	assert_string_equal(class_name("AKIA", 20), "aws_key_long");
	assert_string_equal(class_name("akia", 20), ""); /* case matters */
	assert_string_equal(class_name("eyJ", 20), "jwt");
	assert_string_equal(class_name("eyJ", 65535), "jwt");
	assert_string_equal(class_name("eyJ", 19), "");
	assert_string_equal(class_name("opaque", 40), "");
	assert_string_equal(class_name("gh", 2), "");
	assert_string_equal(class_name("", 0), "");
}

/* Traps of the domain: too little to tell a class. */
static void test_traps(void **state)
{
	static const char *const bare[] = {"s.",   "b.", "r.",	"pat",	"sk_", "sk-",
					   "api-", "00", "v1.", "key-", "SK",  "t1."};

	for (size_t i = 0; i < sizeof(bare) / sizeof(bare[0]); i++) {
		for (size_t len = 20; len < 80; len++)
			assert_string_equal(class_name(bare[i], len), "");
	}
}

static void test_longest(void **state)
{
	assert_string_equal(class_name("xoxe-", 153), "slack_refresh");
	assert_string_equal(class_name("xoxe.xoxb-", 175), "slack_rotating");
	assert_string_equal(class_name("eyJrIjoi", 100), "grafana_legacy");
	/* The trie is asked once: the wrong length of a long prefix is no jwt either. */
	assert_string_equal(class_name("eyJrIjoi", 1000), "");
	assert_string_equal(class_name("sk-ant-api03-", 108), "anthropic_key");
}

static void test_table(void **state)
{
	size_t names = 0;

	assert_null(class_get(0));
	assert_null(class_get(class_count() + 1));
	for (size_t id = 1; id <= class_count(); id++) {
		const struct token_class *c = class_get(id);

		assert_in_range(strlen(c->prefix), 3, TT_PREFIX_LEN);
		assert_in_range(c->min_len, strlen(c->prefix), c->max_len);
		assert_in_range(c->max_len, c->min_len, 65535);
		if (id == 1 || strcmp(c->name, class_get(id - 1)->name) != 0)
			names++;
		for (size_t other = 1; other < id; other++)
			assert_string_not_equal(c->prefix, class_get(other)->prefix);
	}
	assert_true(names >= 30);
}

static const struct carrier *find(enum tt_name_space space, const char *name)
{
	for (size_t id = 1; id <= carrier_count(); id++) {
		if (carrier_get(id)->space == space && strcmp(carrier_get(id)->name, name) == 0)
			return carrier_get(id);
	}
	return NULL;
}

static void test_carriers(void **state)
{
	assert_null(carrier_get(0));
	assert_null(carrier_get(carrier_count() + 1));
	assert_int_equal(find(TT_NAME_HEADER, "authorization")->unwrap, TT_UNWRAP_SCHEME);
	assert_int_equal(find(TT_NAME_HEADER, "proxy-authorization")->unwrap, TT_UNWRAP_SCHEME);
	assert_int_equal(find(TT_NAME_HEADER, "private-token")->unwrap, TT_UNWRAP_WHOLE);
	assert_int_equal(find(TT_NAME_HEADER, "x-api-key")->unwrap, TT_UNWRAP_WHOLE);
	assert_int_equal(find(TT_NAME_PARAM, "access_token")->unwrap, TT_UNWRAP_PERCENT);
	assert_null(find(TT_NAME_PARAM, "authorization"));
	assert_null(find(TT_NAME_HEADER, "x-csrf-token")); /* no credential by itself */
}

static enum tt_unwrap scheme_unwrap(const char *name)
{
	for (size_t id = 1; id <= scheme_count(); id++) {
		if (strcmp(scheme_get(id)->name, name) == 0)
			return scheme_get(id)->unwrap;
	}
	return 0;
}

static void test_schemes(void **state)
{
	assert_null(scheme_get(0));
	assert_true(scheme_count() < 255);
	assert_null(scheme_get(scheme_count() + 1));
	assert_int_equal(scheme_unwrap("bearer"), TT_UNWRAP_WHOLE);
	assert_int_equal(scheme_unwrap("basic"), TT_UNWRAP_BASIC);
	assert_int_equal(scheme_unwrap("aws4-hmac-sha256"), TT_UNWRAP_NONE);
	assert_int_equal(scheme_unwrap("digest"), TT_UNWRAP_NONE);
}

/* One row of the kernel's table for each name: no two of a space may share hash and length. */
static void test_hashes(void **state)
{
	for (size_t a = 2; a <= carrier_count(); a++) {
		const struct carrier *x = carrier_get(a);
		size_t len = strlen(x->name);

		for (size_t b = 1; b < a; b++) {
			const struct carrier *y = carrier_get(b);

			if (x->space == y->space && len == strlen(y->name))
				assert_true(tt_name_hash(x->name, len) !=
					    tt_name_hash(y->name, len));
		}
	}
}

/* Last: what is added stays for the life of the process. */
static void test_add(void **state)
{
	size_t before = carrier_count();
	char name[64];

	assert_int_equal(carrier_add(TT_NAME_HEADER, "X-Acme-Key"), 0);
	assert_int_equal(carrier_count(), before + 1);
	assert_string_equal(carrier_get(before + 1)->name, "x-acme-key");
	assert_int_equal(carrier_get(before + 1)->unwrap, TT_UNWRAP_WHOLE);
	assert_int_equal(carrier_add(TT_NAME_HEADER, "x-acme-KEY"), -EEXIST);
	assert_int_equal(carrier_add(TT_NAME_HEADER, "Authorization"), -EEXIST);
	assert_int_equal(carrier_add(TT_NAME_PARAM, "acmeKey"), 0);
	assert_string_equal(carrier_get(before + 2)->name, "acmeKey");
	assert_int_equal(carrier_get(before + 2)->unwrap, TT_UNWRAP_PERCENT);
	assert_int_equal(carrier_add(TT_NAME_PARAM, "ACCESS_TOKEN"), -EEXIST);
	assert_int_equal(carrier_add(TT_NAME_SCHEME, "x"), -EINVAL);
	assert_int_equal(carrier_add(TT_NAME_HEADER, ""), -EINVAL);
	assert_int_equal(carrier_add(TT_NAME_HEADER, "with blank"), -EINVAL);
	assert_int_equal(carrier_add(TT_NAME_HEADER, "colon:"), -EINVAL);
	assert_int_equal(carrier_add(TT_NAME_HEADER, "content-length"), -EINVAL);
	memset(name, 'a', 49);
	name[49] = '\0';
	assert_int_equal(carrier_add(TT_NAME_HEADER, name), -EINVAL);
	name[48] = '\0';
	assert_int_equal(carrier_add(TT_NAME_HEADER, name), 0);
	for (int i = 3; i < 64; i++) {
		snprintf(name, sizeof(name), "x-%d", i);
		assert_int_equal(carrier_add(TT_NAME_HEADER, name), 0);
	}
	assert_int_equal(carrier_add(TT_NAME_HEADER, "one-too-many"), -ENOSPC);
	assert_int_equal(carrier_count(), before + 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prefixes), cmocka_unit_test(test_traps),
		cmocka_unit_test(test_longest),	 cmocka_unit_test(test_table),
		cmocka_unit_test(test_carriers), cmocka_unit_test(test_schemes),
		cmocka_unit_test(test_hashes),	 cmocka_unit_test(test_add),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
