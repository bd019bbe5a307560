/* SPDX-License-Identifier: Apache-2.0 */
/* agent/told.c: what a use tells of its token, and that it is told once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "agent/told.h"

static struct told told;

static void once(void **state)
{
	struct use u = {.token_id = "tt1_a", .confidence = "medium", .checksum = "", .scheme = "bearer"};

	assert_false(told_already(&told, &u));
	assert_true(told_already(&told, &u));
	u.confidence = "high";
	assert_false(told_already(&told, &u));
	strcpy(u.token_id, "tt1_b");
	assert_false(told_already(&told, &u));
	assert_true(told_already(&told, &u));
}

static void facts(void **state)
{
	struct use u = {.confidence = "high", .checksum = "ok", .public_id = "id", .account = "0123", .scheme = "dpop"};
	struct facts f = {0};

	assert_int_equal(told_facts(&u, &f), 0);
	assert_string_equal(facts_text(&f, FACT_token_confidence), "high");
	assert_string_equal(facts_text(&f, FACT_token_checksum), "ok");
	assert_string_equal(facts_text(&f, FACT_token_public_id), "id");
	assert_string_equal(facts_text(&f, FACT_token_account), "0123");
	assert_string_equal(facts_text(&f, FACT_token_bound), "dpop");
	facts_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(once), cmocka_unit_test(facts)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
