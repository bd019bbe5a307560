/* SPDX-License-Identifier: Apache-2.0 */
/* limits.memory: shares add up to no more than it, given limits stay, what does not fit is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "config/budget.h"

#define MIB (UINT64_C(1) << 20)

static const struct budget_kernel kernel = {.connection = 2500, .process = 400, .fixed = 8 * MIB};

static struct config c;
static struct budget b;
static struct config_error error;

static int setup(void **state)
{
	return config_init(&c);
}

static int teardown(void **state)
{
	config_done(&c);
	return 0;
}

static uint64_t sum(void)
{
	uint64_t total = 0;

	for (size_t i = 0; i < BUDGET_MAX; i++)
		total += b.bytes[i];
	return total;
}

static void check_shares(uint64_t memory)
{
	c.memory_bytes = memory;
	assert_int_equal(config_budget(&c, &kernel, &b, &error), 0);
	assert_int_equal(b.total, sum());
	assert_true(b.total <= memory);
	/* All of it is used, but for what a limit's upper bound leaves. */
	assert_true(b.total > memory * 9 / 10 || c.connections == 1048576);
	assert_int_equal(b.bytes[BUDGET_CONNECTIONS], c.connections * kernel.connection);
	assert_int_equal(b.bytes[BUDGET_RING], c.ring_bytes);
	assert_int_equal(c.ring_bytes & (c.ring_bytes - 1), 0);
	assert_true(c.tokens && c.pending && c.fold_rows && c.coverage);
}

static void test_shares(void **state)
{
	uint64_t connections = 0;

	for (uint64_t memory = 64 * MIB; memory <= UINT64_C(1) << 40; memory *= 2) {
		check_shares(memory);
		assert_true(c.connections > connections || c.connections == 1048576);
		connections = c.connections;
		config_done(&c);
		assert_int_equal(config_init(&c), 0);
	}
}

static void test_given(void **state)
{
	uint64_t connections;

	check_shares(128 * MIB);
	connections = c.connections;
	config_done(&c);
	assert_int_equal(config_init(&c), 0);
	c.tokens = 30000;
	c.ring_bytes = MIB;
	check_shares(128 * MIB);
	assert_int_equal(c.tokens, 30000);
	assert_int_equal(c.ring_bytes, MIB);
	assert_true(c.connections < connections);
}

/* Computing it twice changes nothing: what was computed is given then. */
static void test_again(void **state)
{
	struct budget first;

	check_shares(128 * MIB);
	first = b;
	check_shares(128 * MIB);
	assert_memory_equal(&first, &b, sizeof(b));
}

static void test_too_much(void **state)
{
	c.tokens = 200000;
	assert_int_equal(config_budget(&c, &kernel, &b, &error), -EINVAL);
	assert_non_null(strstr(error.text, "'limits.memory' is 128MiB, but the other limits need 2"));
	assert_true(b.total > 128 * MIB);
	/* With what it asks for it is right. */
	c.memory_bytes = (b.total + MIB - 1) / MIB * MIB;
	c.connections = c.coverage = c.pending = c.fold_rows = c.ring_bytes = 0;
	assert_int_equal(config_budget(&c, &kernel, &b, &error), 0);
}

static void test_names(void **state)
{
	for (size_t i = 0; i < BUDGET_MAX; i++)
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(budget_part_name((enum budget_part)i), budget_part_name((enum budget_part)j));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_shares), TEST(test_given), TEST(test_again), TEST(test_too_much), TEST(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
