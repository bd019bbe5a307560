/* SPDX-License-Identifier: Apache-2.0 */
/* bpf/readers/base64.h: all 256 bytes, against the alphabets written out (RFC 4648, 4 and 5). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <readers/base64.h>

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void both_alphabets(void **state)
{
	for (int i = 0; i < 64; i++) {
		assert_int_equal(base64_value(standard[i]), i);
		assert_int_equal(base64_value(url[i]), i);
	}
}

static void nothing_else(void **state)
{
	int known = 0;

	for (int c = 0; c < 256; c++) {
		if (c && (strchr(standard, c) || strchr(url, c)))
			known++;
		else
			assert_int_equal(base64_value(c), -1);
	}
	assert_int_equal(known, 66);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_alphabets),
		cmocka_unit_test(nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
