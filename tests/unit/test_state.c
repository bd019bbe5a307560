/* SPDX-License-Identifier: Apache-2.0 */
/* A token's life: each state with what makes it, and which goes before which. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tokens/facts.h"
#include "tokens/state.h"

static struct facts facts;
static struct token t;

static int setup(void **state)
{
	facts = (struct facts){ 0 };
	t = (struct token){ .facts = &facts };
	return 0;
}

static const char *at(uint64_t now)
{
	return token_state_name(token_state(&t, now, 100));
}

static void nothing_known_is_no_state(void **state)
{
	assert_string_equal(at(1000), "");
	t.facts = NULL;
	assert_string_equal(at(1000), "");
}

static void minted_used_idle(void **state)
{
	facts_set_number(&facts, FACT_minted_time, 500);
	assert_string_equal(at(1000), "minted");
	t.last_ns = 900;
	assert_string_equal(at(1000), "used");
	assert_string_equal(at(1001), "idle");
	assert_string_equal(token_state_name(token_state(&t, 1 << 30, 0)), "used");
	/* A clock that was set back. */
	assert_string_equal(at(10), "used");
}

static void an_end_goes_before_use(void **state)
{
	t.last_ns = 900;
	facts_set_number(&facts, FACT_token_expires, 1000);
	assert_string_equal(at(999), "used");
	assert_string_equal(at(1000), "expired");
	facts_set_number(&facts, FACT_revoked_time, 1500);
	assert_string_equal(at(1400), "expired");
	assert_string_equal(at(1500), "revoked");
}

static void what_was_not_read_has_none(void **state)
{
	t.unreadable = true;
	t.last_ns = 900;
	assert_string_equal(at(1000), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nothing_known_is_no_state, setup),
		cmocka_unit_test_setup(minted_used_idle, setup),
		cmocka_unit_test_setup(an_end_goes_before_use, setup),
		cmocka_unit_test_setup(what_was_not_read_has_none, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
