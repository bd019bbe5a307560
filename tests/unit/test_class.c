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

#include "../lib/fake_class.h"
#include "readers/fields.h"
#include "tokens/class.h"

static const char *name_of(const char *token, size_t len)
{
	const struct token_class *c = class_get(class_of(token, len, NULL));

	return c ? c->name : "";
}

static const char *class_name(const char *prefix, size_t len)
{
	char *token = malloc(len + 1);
	const char *name;

	assert_non_null(token);
	memset(token, 'F', len);
	memcpy(token, prefix, strlen(prefix) < len ? strlen(prefix) : len);
	name = name_of(token, len);
	free(token);
	return name;
}

static bool has_row(uint16_t id)
{
	struct tt_class_row row;

	return class_row(id, &row) && class_get(id)->prefix[0] != CLASS_PATH;
}

/* Does another row of the same class take this one? */
static bool same_class_elsewhere(uint16_t id, size_t len)
{
	for (uint16_t other = 1; other <= class_count(); other++) {
		const struct token_class *a = class_get(id), *b = class_get(other);

		if (other != id && strcmp(a->name, b->name) == 0 && len >= b->min_len && len <= b->max_len)
			return true;
	}
	return false;
}

/* The list of those that user space tells has them all, in the order of their rows. */
static void test_told(void **state)
{
	size_t i = 0;

	for (uint16_t id = 1; id <= class_count(); id++)
		if (class_get(id)->told_of)
			assert_ptr_equal(class_told(i++), class_get(id));
	assert_true(i > 0);
	assert_null(class_told(i));
}

/* Each row has a fake that is told to be of its class, at its shortest and longest. */
static void test_every_row(void **state)
{
	static char token[65536];

	for (uint16_t id = 1; id <= class_count(); id++) {
		const struct token_class *c = class_get(id);

		if (!has_row(id))
			continue;
		fake_of(id, c->min_len, token);
		if (strcmp(name_of(token, c->min_len), c->name) != 0)
			fail_msg("%s, prefix %s, shortest: %s", c->name, c->prefix, name_of(token, c->min_len));
		fake_of(id, c->max_len, token);
		if (strcmp(name_of(token, c->max_len), c->name) != 0)
			fail_msg("%s, prefix %s, longest: %s", c->name, c->prefix, name_of(token, c->max_len));
	}
}

static void expect_not(uint16_t id, const char *token, size_t len, const char *what)
{
	const struct token_class *c = class_get(id);

	if (!same_class_elsewhere(id, len) && strcmp(name_of(token, len), c->name) == 0)
		fail_msg("%s, prefix %s: taken with %s", c->name, c->prefix, what);
}

/* What nearly is one is none: too short, too long, a wrong character, a mark that is missing. */
static void test_near_misses(void **state)
{
	static char token[65537];

	for (uint16_t id = 1; id <= class_count(); id++) {
		const struct token_class *c = class_get(id);
		size_t last = (c->min_len < TT_CARRY_LEN ? c->min_len : TT_CARRY_LEN) - 1;

		if (!has_row(id))
			continue;
		if (c->min_len > strlen(c->prefix)) {
			fake_of(id, c->min_len, token);
			expect_not(id, token, c->min_len - 1, "a byte less");
		}
		if (c->max_len < 65535) {
			fake_of(id, c->max_len, token);
			token[c->max_len] = token[c->max_len - 1];
			expect_not(id, token, c->max_len + 1, "a byte more");
		}
		fake_of(id, c->min_len, token);
		token[last] = '\x80';
		if (c->min_len > strlen(c->prefix))
			expect_not(id, token, c->min_len, "a byte above 127");
		for (int i = 0; i < TT_CLASS_MARKS; i++) {
			if (!c->at[i])
				continue;
			fake_of(id, c->min_len, token);
			token[c->at[i]] = c->is[i] == '0' ? '1' : '0';
			expect_not(id, token, c->min_len, "another character at a mark");
		}
	}
}

static void test_prefixes(void **state)
{
	assert_string_equal(class_name("ghp_", 40), "github_pat_classic");
	assert_string_equal(class_name("ghp_", 39), "");
	assert_string_equal(class_name("ghp_", 41), "");
	assert_string_equal(class_name("GHP_", 40), ""); /* case matters */
	assert_string_equal(class_name("github_pat_", 93), "github_pat_fine");
	assert_string_equal(class_name("AKIA", 20), "aws_key_long");
	assert_string_equal(class_name("akia", 20), "");
	assert_string_equal(class_name("opaque", 41), "");
	assert_string_equal(class_name("gh", 2), "");
	assert_string_equal(class_name("", 0), "");
	assert_string_equal(class_name("AQ.Ab", 52), "gcp_auth_key"); /* Gemini's, since 2026 */
}

/* An installation token may have a JWT inside, with its dots: it is no JWT. */
static void test_github_installation(void **state)
{
	static char token[600];
	size_t len = sprintf(token, "ghs_12345_eyJ");

	memset(token + len, 'a', 500);
	token[80] = token[200] = '.';
	token[300] = '-';
	assert_string_equal(name_of(token, 520), "github_app_installation");
	assert_string_equal(name_of(token + 10, 510), "jwt");
}

/* Traps of the domain: too little to tell a class. */
static void test_traps(void **state)
{
	static const char *const bare[] = {"s.", "b.", "r.", "pat", "sk_", "api-", "v1.", "key-", "t1."};
	char token[128];

	for (size_t i = 0; i < sizeof(bare) / sizeof(bare[0]); i++) {
		for (size_t len = 20; len < 80; len++) {
			uint16_t id;

			memset(token, '!', len);	/* no class has this */
			memcpy(token, bare[i], strlen(bare[i]));
			id = class_of(token, len, NULL);
			if (id)
				fail_msg("%s at %zu: %s", bare[i], len, class_get(id)->name);
		}
	}
}

/* A longer prefix is asked first; what is not it may still be what a shorter one says, or a shape. */
static void test_order(void **state)
{
	static char token[1200];

	assert_string_equal(class_name("xoxe-", 153), "slack_refresh");
	assert_string_equal(class_name("xoxe.xoxb-", 175), "slack_rotating");
	assert_string_equal(class_name("eyJrIjoi", 100), "grafana_legacy");
	memset(token, 'F', sizeof(token));
	memcpy(token, "eyJrIjoi", 8);
	token[100] = token[500] = '.';
	assert_string_equal(name_of(token, 1000), "jwt");
	token[600] = token[700] = '.';
	assert_string_equal(name_of(token, 1000), "jwe");
	token[800] = '.';
	assert_string_equal(name_of(token, 1000), "");
	memcpy(token, "0123456789abcdef0123456789abcdef", 32);
	assert_string_equal(name_of(token, 32), "hex32");
	memcpy(token, "00000000-0000-4000-8000-000000000001", 36);
	assert_string_equal(name_of(token, 36), "uuid");
}

static void test_checksum(void **state)
{
	static char token[64];
	uint8_t flags;

	for (uint16_t id = 1; id <= class_count(); id++) {
		if (class_get(id)->checksum != TT_CHECKSUM_CRC32B62)
			continue;
		fake_of(id, 40, token);
		assert_int_equal(class_of(token, 40, &flags), id);
		assert_int_equal(flags, TT_CRED_CHECKSUM_OK);
		token[12] = token[12] == 'a' ? 'b' : 'a';
		assert_int_equal(class_of(token, 40, &flags), id);	/* never refused */
		assert_int_equal(flags, TT_CRED_CHECKSUM_BAD);
	}
	fake_of(1, 40, token);
	memcpy(token, "xoxb-", 5);
	class_of(token, 40, &flags);
	assert_int_equal(flags, 0);
}

static void test_placeholders(void **state)
{
	static const char *const texts[] = {
		"undefined", "null", "None", "changeme", "CHANGE_ME", "xxxx", "XXXXXXXXXXXXXXXXXXXXXXXX", "********",
		"${TOKEN}", "{{ token }}", "$(cat token)", "<your-token>", "[REDACTED]", "your_api_key_here",
		"YOUR-API-KEY", "Bearer", "[object Object]",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strcmp(name_of(texts[i], strlen(texts[i])), "placeholder") != 0)
			fail_msg("%s: %s", texts[i], name_of(texts[i], strlen(texts[i])));
	assert_string_equal(name_of("undefinedx", 10), "");
	assert_string_equal(name_of("xxxxy", 5), "");
}

static void test_table(void **state)
{
	size_t names = 0;

	assert_null(class_get(0));
	assert_null(class_get(class_count() + 1));
	assert_true(class_count() + 2 * CLASSES_ADDED_MAX < TT_CLASSES_MAX);
	for (uint16_t id = 1; id <= class_count(); id++) {
		const struct token_class *c = class_get(id);

		if (c->prefix[0] != CLASS_PATH)
			assert_in_range(strlen(c->prefix), 0, TT_PREFIX_LEN);
		assert_in_range(c->max_len, c->min_len, 65535);
		if (id == 1 || strcmp(c->name, class_get(id - 1)->name) != 0)
			names++;
	}
	assert_true(names >= 140);
}

static int count_rows(const struct tt_class_key *key, const struct tt_class_val *val, void *data)
{
	size_t *most = data;

	if (val->rows > *most)
		*most = val->rows;
	return 0;
}

/* With those that the configuration may add, no prefix has more rows than are tried. */
static void test_room(void **state)
{
	size_t most = 0;

	assert_int_equal(classes_each(count_rows, &most), 0);
	assert_in_range(most, 10, TT_CLASS_TRIES - 8);
}

static const struct carrier *find(enum tt_name_space space, const char *name)
{
	for (uint16_t id = carrier_next(0); id; id = carrier_next(id)) {
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
	assert_int_equal(find(TT_NAME_HEADER, "lock-token")->unwrap, TT_UNWRAP_NONE);
	assert_string_equal(find(TT_NAME_SUFFIX, "-token")->kind, "");
	assert_string_equal(carrier_prefix(TT_NAME_SUFFIX), "*");
}

/* The net of suffixes can be taken in. */
static void test_suffixes(void **state)
{
	class_begin();
	assert_non_null(find(TT_NAME_SUFFIX, "-api-key"));
	carrier_suffixes(false);
	assert_null(find(TT_NAME_SUFFIX, "-api-key"));
	class_begin();	/* on, unless it is said again */
	assert_non_null(find(TT_NAME_SUFFIX, "-api-key"));
	class_undo();
	assert_null(find(TT_NAME_SUFFIX, "-api-key"));
	class_begin();
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
	assert_int_equal(scheme_unwrap("aws4-hmac-sha256"), TT_UNWRAP_KEY);
	assert_int_equal(scheme_unwrap("digest"), TT_UNWRAP_USER);
	for (uint8_t id = 1; id <= scheme_count(); id++) {
		const struct scheme *s = scheme_get(id);

		assert_int_equal(*s->param != '\0', s->unwrap == TT_UNWRAP_KEY || s->unwrap == TT_UNWRAP_USER ||
							   s->unwrap == TT_UNWRAP_PARAM);
		if (strcmp(s->name, "hawk") == 0)
			assert_string_equal(s->param, "id");
	}
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

static uint16_t last_carrier(void)
{
	uint16_t last = 0;

	for (uint16_t id = carrier_next(0); id; id = carrier_next(id))
		last = id;
	return last;
}

static void test_add(void **state)
{
	uint16_t before, id;
	char name[64];

	class_begin();
	before = last_carrier();
	assert_int_equal(before, carrier_count());
	assert_int_equal(carrier_add(TT_NAME_HEADER, "X-Acme-Key"), 0);
	id = last_carrier();
	assert_int_equal(id, before + 1);
	assert_string_equal(carrier_get(id)->name, "x-acme-key");
	assert_int_equal(carrier_get(id)->unwrap, TT_UNWRAP_WHOLE);
	assert_int_equal(carrier_add(TT_NAME_HEADER, "x-acme-KEY"), -EEXIST);
	assert_int_equal(carrier_add(TT_NAME_HEADER, "Authorization"), -EEXIST);
	assert_int_equal(carrier_add(TT_NAME_PARAM, "acmeKey"), 0);
	assert_string_equal(carrier_get(id + 1)->name, "acmeKey");
	assert_int_equal(carrier_get(id + 1)->unwrap, TT_UNWRAP_PERCENT);
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
	for (int i = 3; i < CARRIERS_ADDED_MAX; i++) {
		snprintf(name, sizeof(name), "x-%d", i);
		assert_int_equal(carrier_add(TT_NAME_HEADER, name), 0);
	}
	assert_int_equal(carrier_add(TT_NAME_HEADER, "one-too-many"), -ENOSPC);
	/* The next ones begin anew, these keep their ids and their meaning, and what comes again its id. */
	class_begin();
	assert_int_equal(last_carrier(), before);
	assert_int_equal(carrier_add(TT_NAME_HEADER, "x-other"), 0);
	assert_int_equal(carrier_next(before), before + CARRIERS_ADDED_MAX + 1);
	assert_int_equal(carrier_add(TT_NAME_HEADER, "X-Acme-Key"), 0);
	assert_int_equal(carrier_next(before), id);
	assert_int_equal(carrier_next(id), before + CARRIERS_ADDED_MAX + 1);
	assert_string_equal(carrier_get(id)->name, "x-acme-key");
	class_undo();
	assert_int_equal(carrier_next(before), id);
	assert_int_equal(last_carrier(), before + CARRIERS_ADDED_MAX);
	assert_null(carrier_own(CARRIERS_ADDED_MAX));
	class_begin();
	/* Twice as many in a life, then a restart is due. */
	for (int i = 0; i < CARRIERS_ADDED_MAX; i++) {
		snprintf(name, sizeof(name), "x-more-%d", i);
		assert_int_equal(carrier_add(TT_NAME_HEADER, name), 0);
	}
	class_begin();
	assert_int_equal(carrier_add(TT_NAME_HEADER, "x-once-more"), -ENOSPC);
	assert_int_equal(carrier_add(TT_NAME_HEADER, "x-more-0"), 0);
	class_begin();
}

static void test_own_classes(void **state)
{
	static const struct {
		const char *name, *spec, *why;
	} wrong[] = {
		{"Acme", "prefix=acme_ length=40", "its name"},
		{"acme", "", "no prefix"},
		{"acme", "prefix=acme_", "no length"},
		{"acme", "length=40", "no prefix"},
		{"acme", "prefix=a length=40", "2 to 24"},
		{"acme", "prefix=acme_ length=0", "8-65535"},
		{"acme", "prefix=acme_ length=40-20", "8-65535"},
		{"acme", "prefix=acme_ length=4o", "a number"},
		{"acme", "prefix=acme_ length=40 kind=secret", "unknown kind"},
		{"acme", "prefix=acme_ length=40 color=red", "unknown part"},
		{"acme", "prefix=acme_ length", "must be parts"},
		{"acme", "prefix=acme_\nlength=40", "one line"},
		{"acme", "prefix=acme_acme_acme length=9", "longer than the prefix"},
	};
	const char *why = "";
	uint16_t id;
	char name[32];

	class_begin();
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(class_add(wrong[i].name, wrong[i].spec, &why), -EINVAL);
		assert_non_null(strstr(why, wrong[i].why));
		assert_int_equal(class_check(wrong[i].name, wrong[i].spec, &why), -EINVAL);
	}
	assert_string_equal(class_name("acme_", 40), "");
	assert_int_equal(class_add("acme", "prefix=acme_ length=40 chars=Hex kind=service_account", &why), 0);
	assert_int_equal(class_add("acme", "prefix=acme2_ length=40", &why), -EEXIST);
	assert_int_equal(class_add("jwt", "prefix=acme2_ length=40", &why), -EEXIST);
	assert_string_equal(class_name("acme_", 40), "acme");
	assert_string_equal(class_name("acme_", 41), "");
	assert_string_equal(class_name("acme_G", 40), "");
	/* It goes before a class of ours with the same prefix, which is still there for the rest. */
	assert_int_equal(class_add("ghp_of_ours", "prefix=ghp_ length=50-60", &why), 0);
	assert_string_equal(class_name("ghp_", 50), "ghp_of_ours");
	assert_string_equal(class_name("ghp_", 40), "github_pat_classic");
	id = class_of("acme_FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF", 40, NULL);
	/* A wrong configuration leaves no trace. */
	class_begin();
	assert_int_equal(class_add("never", "prefix=acme_ length=40", &why), 0);
	assert_string_equal(class_name("acme_", 40), "never");
	class_undo();
	assert_string_equal(class_name("acme_", 40), "acme");
	assert_false(class_own(2, &why, &why));
	class_begin();
	assert_string_equal(class_name("acme_", 40), "");
	assert_string_equal(class_get(id)->name, "acme");
	assert_int_equal(class_add("acme", "prefix=acme_ length=40 chars=Hex kind=service_account", &why), 0);
	assert_int_equal(class_of("acme_FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF", 40, NULL), id);
	class_begin();
	for (int i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "own%d", i);
		assert_int_equal(class_add(name, "prefix=own_ length=20", &why), 0);
	}
	assert_int_equal(class_add("own8", "prefix=own_ length=20", &why), -ENOSPC);
	class_begin();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_told),
		cmocka_unit_test(test_every_row),    cmocka_unit_test(test_near_misses),
		cmocka_unit_test(test_prefixes),     cmocka_unit_test(test_github_installation),
		cmocka_unit_test(test_traps),	     cmocka_unit_test(test_order),
		cmocka_unit_test(test_checksum),     cmocka_unit_test(test_placeholders),
		cmocka_unit_test(test_table),	     cmocka_unit_test(test_room),
		cmocka_unit_test(test_carriers),
		cmocka_unit_test(test_suffixes),     cmocka_unit_test(test_schemes),
		cmocka_unit_test(test_hashes),	     cmocka_unit_test(test_add),
		cmocka_unit_test(test_own_classes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
