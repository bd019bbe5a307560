/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokens/facts.c: setting, lists, bounds, hostile text, merging.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tokens/facts.h"
#include "tokens/use.h"

static void set(struct facts *f, enum fact which, const char *text)
{
	assert_int_equal(facts_set_text(f, which, text, strlen(text)), 0);
}

static void add(struct facts *f, enum fact which, const char *text)
{
	assert_int_equal(facts_add(f, which, text, strlen(text)), 0);
}

static void nothing(void **state)
{
	struct facts f = { 0 };

	assert_true(facts_empty(&f));
	for (int i = 0; i < FACTS; i++) {
		if (fact_infos[i].kind == FACT_KIND_TEXT || fact_infos[i].kind == FACT_KIND_LIST)
			assert_string_equal(facts_text(&f, i), "");
		else
			assert_int_equal(facts_number(&f, i), 0);
	}
	facts_done(&f);
}

static void names(void **state)
{
	char column[128];

	for (int i = 0; i < FACTS; i++) {
		snprintf(column, sizeof(column), "%s_%s", fact_infos[i].group, fact_infos[i].name);
		assert_string_equal(fact_infos[i].column, column);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(fact_infos[i].column, fact_infos[k].column);
	}
}

static void texts(void **state)
{
	char longest[2 * FACTS_TEXT_MAX];
	struct facts f = { 0 };

	set(&f, FACT_token_issuer, "https://issuer.example");
	assert_string_equal(facts_text(&f, FACT_token_issuer), "https://issuer.example");
	assert_false(facts_empty(&f));
	set(&f, FACT_token_issuer, "a\nb\x1b[2J\xff");	/* no separator, no terminal code, no bad UTF-8 */
	assert_string_equal(facts_text(&f, FACT_token_issuer), "a?b?[2J?");
	memset(longest, 'x', sizeof(longest));
	assert_int_equal(facts_set_text(&f, FACT_token_issuer, longest, sizeof(longest)), 0);
	assert_int_equal(strlen(facts_text(&f, FACT_token_issuer)), FACTS_TEXT_MAX);
	set(&f, FACT_token_issuer, "");
	assert_true(facts_empty(&f));
	facts_done(&f);
}

static void lists(void **state)
{
	struct facts f = { 0 };
	char element[16];

	add(&f, FACT_token_scopes, "read");
	add(&f, FACT_token_scopes, "read:all");
	add(&f, FACT_token_scopes, "read");
	add(&f, FACT_token_scopes, "");
	add(&f, FACT_token_scopes, "all");
	add(&f, FACT_token_scopes, "wr\nite");
	assert_string_equal(facts_text(&f, FACT_token_scopes), "read\nread:all\nall\nwr?ite");
	for (int i = 0; i < 1000; i++) {
		snprintf(element, sizeof(element), "scope-%d", i);
		add(&f, FACT_token_scopes, element);
	}
	assert_in_range(strlen(facts_text(&f, FACT_token_scopes)), FACTS_LIST_MAX - 16, FACTS_LIST_MAX);
	assert_null(strstr(facts_text(&f, FACT_token_scopes), "scope-999"));
	assert_string_equal(facts_text(&f, FACT_token_notes), "cut_scopes");
	for (int i = 0; i < 1000; i++) {
		snprintf(element, sizeof(element), "note-%d", i);
		add(&f, FACT_token_notes, element);
	}
	assert_in_range(strlen(facts_text(&f, FACT_token_notes)), FACTS_LIST_MAX - 16, FACTS_LIST_MAX);
	facts_done(&f);
}

static void merging(void **state)
{
	struct facts a = { 0 }, b = { 0 };
	bool changed;

	set(&a, FACT_token_issuer, "one");
	set(&a, FACT_jwt_kid, "k1");
	facts_set_number(&a, FACT_token_expires, 5);
	set(&b, FACT_token_issuer, "two");
	add(&b, FACT_token_audience, "x");
	facts_set_number(&b, FACT_token_issued, 3);
	assert_int_equal(facts_merge(&a, &b, &changed), 0);
	assert_true(changed);
	assert_string_equal(facts_text(&a, FACT_token_issuer), "two");
	assert_string_equal(facts_text(&a, FACT_jwt_kid), "k1");
	assert_string_equal(facts_text(&a, FACT_token_audience), "x");
	assert_int_equal(facts_number(&a, FACT_token_expires), 5);
	assert_int_equal(facts_number(&a, FACT_token_issued), 3);
	assert_int_equal(facts_merge(&a, &b, &changed), 0);
	assert_false(changed);
	assert_in_range(facts_size(&a), sizeof(a) + 4 + 3 + 2, sizeof(a) + 64);
	facts_done(&a);
	facts_done(&b);
}

/* What responses say of the scopes that requests need comes one by one; what is granted is the last word. */
static void adding_up(void **state)
{
	struct facts a = { 0 }, b = { 0 };
	bool changed;

	add(&a, FACT_token_needed_scopes, "repo");
	add(&a, FACT_token_scopes, "repo");
	add(&a, FACT_token_scopes, "user");
	add(&b, FACT_token_needed_scopes, "user");
	add(&b, FACT_token_needed_scopes, "repo");
	add(&b, FACT_token_scopes, "user");
	add(&b, FACT_token_answers, "error=e");
	assert_int_equal(facts_merge(&a, &b, &changed), 0);
	assert_true(changed);
	assert_string_equal(facts_text(&a, FACT_token_needed_scopes), "repo\nuser");
	assert_string_equal(facts_text(&a, FACT_token_scopes), "user");
	assert_string_equal(facts_text(&a, FACT_token_answers), "error=e");
	assert_int_equal(facts_merge(&a, &b, &changed), 0);
	assert_false(changed);
	facts_done(&a);
	facts_done(&b);
}

static void times(void **state)
{
	struct facts f = { 0 };
	struct token t = { .last_ns = 10 };

	assert_int_equal(token_time(&t), 10);
	t.facts = &f;
	facts_set_number(&f, FACT_minted_time, 9);
	assert_int_equal(token_time(&t), 10);
	facts_set_number(&f, FACT_revoked_time, 11);
	assert_int_equal(token_time(&t), 11);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing), cmocka_unit_test(names), cmocka_unit_test(texts),
		cmocka_unit_test(lists), cmocka_unit_test(merging), cmocka_unit_test(adding_up), cmocka_unit_test(times),
	};

	return cmocka_run_group_tests_name("facts", tests, NULL, NULL);
}
