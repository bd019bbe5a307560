/* SPDX-License-Identifier: Apache-2.0 */
/* tokens/mint.c: times as issuers write them, and the names of things. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tokens/mint.h"

#define S UINT64_C(1000000000)

static void test_times(void **state)
{
	assert_int_equal(mint_time("1506484173"), 1506484173 * S);
	assert_int_equal(mint_time("2026-01-01T00:00:00Z"), 1767225600 * S);
	assert_int_equal(mint_time("2026-01-01 01:30:00.123456+01:30"), 1767225600 * S);
	assert_int_equal(mint_time("2025-12-31T22:00:00-02:00"), 1767225600 * S);
	assert_int_equal(mint_time(""), 0);
	assert_int_equal(mint_time("never"), 0);
	assert_int_equal(mint_time("2026-01-01"), 0);
	assert_int_equal(mint_time("2026-01-01T00:00:00"), 0);
	assert_int_equal(mint_time("99999999999999999999"), 0);
}

static void test_names(void **state)
{
	struct mint m = { .tokens = 2, .token = { { .part = MINT_PART_PARENT, .role = "authorization" },
						  { .part = MINT_PART_MINTED, .role = "access" } } };

	assert_ptr_equal(mint_token_of(&m, MINT_PART_MINTED, NULL), &m.token[1]);
	assert_ptr_equal(mint_token_of(&m, MINT_PART_PARENT, "authorization"), &m.token[0]);
	assert_null(mint_token_of(&m, MINT_PART_MINTED, "refresh"));
	assert_string_equal(mint_outcome(&m), "unknown");
	m.request.status = 400;
	assert_string_equal(mint_outcome(&m), "failed");
	m.succeeded = true;
	assert_string_equal(mint_outcome(&m), "ok");
	assert_string_equal(mint_action(MINT_KIND_REVOKE), "revoke");
	assert_string_equal(mint_part(MINT_PART_CHECKED), "checked");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_times), cmocka_unit_test(test_names) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
