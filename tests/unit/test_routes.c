/* SPDX-License-Identifier: Apache-2.0 */
/* tokens/routes.c: a rule for each place in paths, found by how its paths begin, and by none else. */
#include "h1_expect.h"
#include "tokens/routes.h"

static size_t rules, places[TT_PATH_RULES_MAX];

static int count_rule(uint32_t id, const struct tt_path_rule *rule, void *data)
{
	assert_int_equal(id, rules++);
	assert_int_equal(carrier_get(rule->carrier)->space, TT_NAME_PATH);
	assert_true(id == 0 ? !rule->class_id[0] : rule->class_id[0] != 0);
	for (int i = 0; i < TT_PATH_CLASSES && rule->class_id[i]; i++)
		assert_true(class_is_at(rule->class_id[i], carrier_get(rule->carrier)->name));
	return 0;
}

static int count_key(uint64_t key, uint32_t first, uint32_t count, void *data)
{
	uint64_t *filter = data;

	assert_true(key && count);
	assert_true(*filter & h1_route_bit(key));
	for (uint32_t i = first; i < first + count; i++)
		places[i]++;
	return 0;
}

/* Each rule is under one key, and each place and each class of one is a rule. */
static void rules_and_keys(void **state)
{
	uint64_t filter = routes_filter();
	size_t carriers = 0, classes = 0;

	assert_int_equal(routes_each(count_rule, NULL), 0);
	assert_int_equal(routes_keys(count_key, &filter), 0);
	for (size_t i = 0; i < rules; i++)
		assert_int_equal(places[i], i != 0);
	for (uint16_t id = 1; id <= carrier_count(); id++)
		carriers += carrier_get(id)->space == TT_NAME_PATH;
	assert_int_equal(rules, carriers);
	for (uint16_t id = 1; id <= class_count(); id++)
		classes += class_get(id)->prefix[0] == CLASS_PATH;
	assert_true(classes >= carriers - 1);
	assert_true(__builtin_popcountll(filter) < 16);	/* most paths do without a look-up */
}

static int stop(uint32_t id, const struct tt_path_rule *rule, void *data)
{
	return id == 3 ? -EIO : 0;
}

static void a_failure_is_told(void **state)
{
	assert_int_equal(routes_each(stop, NULL), -EIO);
}

/* A path of this place whose segment is made up for the class. */
static void path_of(const char *place, uint16_t class_id, char *to)
{
	for (const char *p = place; *p; p++) {
		if (*p == '*')
			to = stpcpy(to, "T01ABC");
		else if (*p == '{')
			break;
		else
			*to++ = *p;
	}
	fake_of(class_id, class_get(class_id)->min_len, to);
}

/* All of a place: told as what it is, and its segment hidden. */
static void every_place(void **state)
{
	static char path[512], text[600];
	char place[64];

	for (uint16_t id = 1; id <= class_count(); id++) {
		const struct token_class *c = class_get(id);
		size_t len;

		if (c->prefix[0] != CLASS_PATH)
			continue;
		path_of(c->prefix + 1, id, path);
		snprintf(text, sizeof(text), "GET %s/end HTTP/1.1\r\nHost: h\r\n\r\n", path);
		h1_setup(state);
		client(text);
		expect_counts(1, 0);
		assert_int_equal(head_at(0)->creds, 1);
		len = c->min_len;
		snprintf(place, sizeof(place), "path:%s", c->prefix + 1);
		expect_cred_placed(0, 0, path + strlen(path) - len, place);
		if (strcmp(class_name(head_at(0)->cred[0].class_id), c->name) != 0)
			fail_msg("%s: %s, not %s", path, class_name(head_at(0)->cred[0].class_id), c->name);
		assert_null(strstr(head_at(0)->path, path + strlen(path) - len));
		assert_non_null(strstr(head_at(0)->path, "{...}/end"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_and_keys),
		cmocka_unit_test(a_failure_is_told),
		H1_TEST(every_place),
	};

	return cmocka_run_group_tests(tests, h1_group_setup, NULL);
}
