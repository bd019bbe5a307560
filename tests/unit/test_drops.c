/* SPDX-License-Identifier: Apache-2.0 */
/* Loss records: complete, at most one a second for a reason, and their sums are the totals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "agent/drops.h"

#define SECOND 1000000000ULL

static struct loss out[TT_DROP_MAX];
static size_t outs;
static int answer;

static int take(void *ctx, const struct loss *l)
{
	assert_true(outs < TT_DROP_MAX);
	out[outs++] = *l;
	return answer;
}

static int setup(void **state)
{
	memset(agent_drops, 0, sizeof(agent_drops));
	outs = 0;
	answer = 0;
	return 0;
}

static void names_are_those_of_the_list(void **state)
{
	assert_string_equal(drops_name(TT_DROP_ring_full), "ring_full");
	assert_string_equal(drops_name(TT_DROP_ipc_full), "ipc_full");
	assert_null(drops_name(TT_DROP_NONE));
	assert_null(drops_name(TT_DROP_MAX));
}

static void growth_is_reported_once_a_second(void **state)
{
	__u64 others[TT_DROP_MAX] = { [TT_DROP_ring_full] = 5 };
	const uint64_t none[TT_DROP_MAX] = { 0 };
	struct drops d;

	drops_init(&d, none);
	assert_int_equal(drops_report(&d, 1, 100, 0, take, NULL), 0);
	assert_int_equal(outs, 0);

	drops_update(&d, others);
	agent_drops[TT_DROP_bad_record] = 2;
	drops_report(&d, SECOND, 100, 0, take, NULL);
	assert_int_equal(outs, 2);
	assert_string_equal(out[0].reason, "ring_full");
	assert_int_equal(out[0].count, 5);
	assert_int_equal(out[0].added, 5);
	assert_int_equal(out[0].time_ns, 100);
	assert_string_equal(out[1].reason, "bad_record");
	assert_int_equal(out[1].count, 2);

	agent_drops[TT_DROP_bad_record] = 3;
	drops_report(&d, 2 * SECOND - 1, 100, 0, take, NULL);
	assert_int_equal(outs, 2);
	agent_drops[TT_DROP_bad_record] = 7;
	drops_report(&d, 2 * SECOND, 200, 0, take, NULL);
	assert_int_equal(outs, 3);
	assert_int_equal(out[2].count, 7);
	assert_int_equal(out[2].added, 5);
	assert_int_equal(drops_total(&d), 12);

	agent_drops[TT_DROP_bad_record] = 8;
	drops_report(&d, 2 * SECOND + 1, 200, 1, take, NULL);
	assert_int_equal(outs, 4);
	assert_int_equal(out[3].added, 1);
}

static void both_sides_of_a_reason_are_added(void **state)
{
	__u64 others[TT_DROP_MAX] = { [TT_DROP_ipc_full] = 5 };
	const uint64_t none[TT_DROP_MAX] = { 0 };
	struct drops d;

	drops_init(&d, none);
	drops_update(&d, others);
	agent_drops[TT_DROP_ipc_full] = 3;
	drops_report(&d, 1, 1, 0, take, NULL);
	assert_int_equal(outs, 1);
	assert_int_equal(out[0].count, 8);
	/* An older message takes nothing back. */
	others[TT_DROP_ipc_full] = 4;
	drops_update(&d, others);
	assert_int_equal(drops_total(&d), 8);
}

static void what_an_earlier_agent_reported_is_not_added_again(void **state)
{
	const uint64_t reported[TT_DROP_MAX] = { [TT_DROP_ring_full] = 5 };
	__u64 others[TT_DROP_MAX] = { [TT_DROP_ring_full] = 6 };
	struct drops d;

	drops_init(&d, reported);
	drops_report(&d, 1, 1, 1, take, NULL);
	assert_int_equal(outs, 0);
	drops_update(&d, others);
	drops_report(&d, 1, 1, 1, take, NULL);
	assert_int_equal(outs, 1);
	assert_int_equal(out[0].count, 6);
	assert_int_equal(out[0].added, 1);
}

static void failed_record_stays_due(void **state)
{
	const uint64_t none[TT_DROP_MAX] = { 0 };
	struct drops d;

	drops_init(&d, none);
	agent_drops[TT_DROP_fold_full] = 4;
	answer = -EIO;
	assert_int_equal(drops_report(&d, SECOND, 1, 0, take, NULL), -EIO);
	answer = 0;
	assert_int_equal(drops_report(&d, 2 * SECOND, 1, 0, take, NULL), 0);
	assert_int_equal(outs, 2);
	assert_int_equal(out[1].added, 4);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, NULL)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names_are_those_of_the_list),
		TEST(growth_is_reported_once_a_second),
		TEST(both_sides_of_a_reason_are_added),
		TEST(what_an_earlier_agent_reported_is_not_added_again),
		TEST(failed_record_stays_due),
	};

	return cmocka_run_group_tests_name("drops", tests, NULL, NULL);
}
