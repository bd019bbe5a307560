/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/text.c: edit distance, numbers with units both ways.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/text.h"

static void test_distance(void **state)
{
	char word[200];

	assert_int_equal(text_distance("", ""), 0);
	assert_int_equal(text_distance("", "abc"), 3);
	assert_int_equal(text_distance("kafka.brokrs", "kafka.brokers"), 1);
	assert_int_equal(text_distance("tarce", "trace"), 1); /* swapped */
	assert_int_equal(text_distance("kitten", "sitting"), 3);
	assert_int_equal(text_distance("abc", "xyz"), 3);
	memset(word, 'a', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	assert_true(text_distance(word, "a") == SIZE_MAX);
	word[127] = '\0';
	assert_int_equal(text_distance(word, "a"), 126);
	assert_false(text_is_slip(SIZE_MAX, 200));
	assert_true(text_is_slip(2, 3));
	assert_false(text_is_slip(3, 8));
}

static void test_bytes(void **state)
{
	uint64_t v = 7;

	assert_int_equal(text_parse_bytes("4MiB", &v), 0);
	assert_int_equal(v, 4 << 20);
	assert_int_equal(text_parse_bytes("3 KiB", &v), 0);
	assert_int_equal(v, 3072);
	assert_int_equal(text_parse_bytes("1GiB", &v), 0);
	assert_int_equal(v, 1 << 30);
	assert_int_equal(text_parse_bytes("18446744073709551615", &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(text_parse_bytes("18446744073709551616", &v), -ERANGE);
	assert_int_equal(text_parse_bytes("17179869184GiB", &v), -ERANGE);
	assert_int_equal(text_parse_bytes("4MB", &v), -EINVAL);
	assert_int_equal(text_parse_bytes("", &v), -EINVAL);
	assert_int_equal(text_parse_bytes("-1", &v), -EINVAL);
	assert_int_equal(text_parse_bytes("MiB", &v), -EINVAL);
	assert_int_equal(text_parse_bytes("4MiB ", &v), -EINVAL);
	assert_true(v == UINT64_MAX); /* a failure writes nothing */
}

static void test_durations(void **state)
{
	uint64_t v = 0;

	assert_int_equal(text_parse_ms("250ms", &v), 0);
	assert_int_equal(v, 250);
	assert_int_equal(text_parse_ms("30s", &v), 0);
	assert_int_equal(v, 30000);
	assert_int_equal(text_parse_ms("5min", &v), 0);
	assert_int_equal(v, 300000);
	assert_int_equal(text_parse_ms("1h", &v), 0);
	assert_int_equal(v, 3600000);
	assert_int_equal(text_parse_ms("17", &v), 0);
	assert_int_equal(v, 17);
	assert_int_equal(text_parse_ms("5m", &v), -EINVAL);
	assert_int_equal(text_parse_u64("12", &v), 0);
	assert_int_equal(v, 12);
	assert_int_equal(text_parse_u64("12 ", &v), -EINVAL);
	assert_int_equal(text_parse_u64("0x10", &v), -EINVAL);
}

static void test_print(void **state)
{
	char text[32];

	text_print_bytes(4 << 20, text, sizeof(text));
	assert_string_equal(text, "4MiB");
	text_print_bytes(1025, text, sizeof(text));
	assert_string_equal(text, "1025");
	text_print_bytes(0, text, sizeof(text));
	assert_string_equal(text, "0");
	text_print_ms(90000, text, sizeof(text));
	assert_string_equal(text, "90s");
	text_print_ms(3600000, text, sizeof(text));
	assert_string_equal(text, "1h");
	text_print_ms(1, text, sizeof(text));
	assert_string_equal(text, "1ms");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_distance),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_print),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
