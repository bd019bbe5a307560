/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/pool.h"

static void equal_texts_have_one_address(void **state)
{
	struct pool *p = pool_new();
	char a[] = "text", b[] = "text";
	const char *x = pool_text(p, a);

	assert_ptr_not_equal(x, a);
	assert_ptr_equal(pool_text(p, b), x);
	assert_ptr_not_equal(pool_text(p, "texT"), x);
	assert_ptr_equal(pool_text(p, ""), pool_text(p, ""));
	assert_int_equal(pool_count(p), 3);
	pool_free(p);
	pool_free(NULL);
}

static void many_stay_where_they_are(void **state)
{
	static const char *kept[20000];
	struct pool *p = pool_new();
	char text[32];

	for (int i = 0; i < 20000; i++) {
		snprintf(text, sizeof(text), "text %d", i);
		kept[i] = pool_text(p, text);
	}
	for (int i = 0; i < 20000; i++) {
		snprintf(text, sizeof(text), "text %d", i);
		assert_string_equal(kept[i], text);
		assert_ptr_equal(pool_text(p, text), kept[i]);
	}
	assert_int_equal(pool_count(p), 20000);
	pool_free(p);
}

static void longer_than_a_block(void **state)
{
	struct pool *p = pool_new();
	char *text = malloc(200001);

	memset(text, 'x', 200000);
	text[200000] = '\0';
	assert_string_equal(pool_text(p, text), text);
	assert_string_equal(pool_text(p, "after"), "after");
	assert_ptr_equal(pool_text(p, text), pool_text(p, text));
	free(text);
	pool_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_texts_have_one_address), cmocka_unit_test(many_stay_where_they_are),
		cmocka_unit_test(longer_than_a_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
