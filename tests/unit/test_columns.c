/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Display widths, and that nothing in a cell can move the cursor.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "sinks/columns.h"

static void assert_cell(const char *text, size_t width, bool right, const char *want)
{
	char *got = NULL;
	size_t len;
	FILE *f = open_memstream(&got, &len);

	assert_non_null(f);
	columns_cell(f, text, width, right);
	fclose(f);
	assert_string_equal(got, want);
	free(got);
}

static void cuts_and_fills(void **state)
{
	assert_cell("abc", 5, false, "abc  ");
	assert_cell("abc", 5, true, "  abc");
	assert_cell("abc", 3, true, "abc");
	assert_cell("abcdef", 4, false, "abc~");
	assert_cell("abcdef", 4, true, "abc~");
	assert_cell("ab", 1, false, "~");
	assert_cell("ab", 0, false, "");
	assert_cell("", 2, false, "  ");
}

static void wide_and_combining(void **state)
{
	assert_int_equal(columns_width("\u00e4\u00f6"), 2);
	assert_int_equal(columns_width("\u65e5\u672c"), 4);
	assert_int_equal(columns_width("e\u0301"), 1);
	assert_int_equal(columns_width("\U0001f600"), 2);
	assert_cell("\u65e5\u672c\u8a9e", 4, false, "\u65e5~ ");	/* half a character has no room */
	assert_cell("\u65e5\u672c\u8a9e", 5, false, "\u65e5\u672c~");
	assert_cell("e\u0301xy", 2, false, "e\u0301~");
}

static void hostile_text(void **state)
{
	assert_cell("a\033[2Jb", 8, false, "a?[2Jb  ");
	assert_cell("a\nb\rc\td", 7, false, "a?b?c?d");
	assert_cell("\u202egpj", 4, false, "?gpj");
	assert_cell("\xc2\x90q", 2, false, "?q");	/* C1: DCS */
	assert_cell("\xff\xc3", 3, false, "?? ");
	assert_cell("\xe6\x97", 3, false, "?? ");	/* ends in the middle of a character */
	assert_cell("\xc0\xaf", 2, false, "??");	/* overlong */
	assert_cell("\xed\xa0\x80", 1, false, "?");	/* surrogate */
}

static void locale_by_environment(void **state)
{
	setenv("LC_ALL", "", 1);
	setenv("LC_CTYPE", "de_DE.UTF-8", 1);
	setenv("LANG", "C", 1);
	assert_true(columns_utf8());
	setenv("LC_ALL", "C", 1);
	assert_false(columns_utf8());
	unsetenv("LC_ALL");
	unsetenv("LC_CTYPE");
	unsetenv("LANG");
	assert_false(columns_utf8());
}

static void aligned_table(void **state)
{
	static const char *const cells[] = { "NAME", "COUNT", "PATH", "\u00e4", "1", "/", "", "100000",
					     "/very/long" };
	struct columns *c = columns_new("<><");
	char *got = NULL;
	size_t len;
	FILE *f = open_memstream(&got, &len);

	assert_non_null(c);
	assert_non_null(f);
	for (size_t i = 0; i < 9; i++)
		assert_int_equal(columns_add(c, "%s", cells[i]), 0);
	columns_print(c, f);
	fclose(f);
	assert_string_equal(got, "NAME   COUNT  PATH\n"
				 "\u00e4          1  /\n"
				 "-     100000  /very/long\n");
	free(got);
	columns_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cuts_and_fills),
		cmocka_unit_test(wide_and_combining),
		cmocka_unit_test(hostile_text),
		cmocka_unit_test(locale_by_environment),
		cmocka_unit_test(aligned_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
