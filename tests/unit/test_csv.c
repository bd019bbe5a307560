/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RFC 4180 and what spreadsheets make of it; errors with line and column; no byte beyond the text.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/csv.h"

/* Rows as "a|b;c", or the error as "!line:column why". */
static void assert_rows(const char *text, size_t len, const char *want)
{
	char *bytes = malloc(len + 1), seen[1024] = "";
	struct csv c;
	size_t n = 0;
	int r;

	memcpy(bytes, text, len);	/* of exactly its size: a sanitizer sees what goes beyond */
	csv_init(&c, bytes, len);
	while ((r = csv_read(&c)) > 0) {
		for (size_t i = 0; i < c.cells; i++)
			n += (size_t)snprintf(seen + n, sizeof(seen) - n, "%s%s", i ? "|" : "", c.cell[i]);
		n += (size_t)snprintf(seen + n, sizeof(seen) - n, ";");
	}
	if (r < 0) {
		assert_int_equal(r, -EBADMSG);
		snprintf(seen + n, sizeof(seen) - n, "!%lu:%u %s", c.line, c.why_column, c.why);
	}
	assert_string_equal(seen, want);
	free(bytes);
}
#define ROWS(text, want) assert_rows(text, sizeof(text) - 1, want)

static void rows_and_cells(void **state)
{
	ROWS("", "");
	ROWS("\n\r\n\n", "");
	ROWS("a", "a;");
	ROWS("a,b\nc,d\n", "a|b;c|d;");
	ROWS("a,b\r\nc,d", "a|b;c|d;");
	ROWS("a\r", "a;");
	ROWS(",\n,,", "|;||;");
	ROWS("\xef\xbb\xbfid,name\n", "id|name;");
	ROWS(" a , b ", " a | b ;");
	ROWS("a\n\n\nb", "a;b;");
	ROWS("caf\xc3\xa9,\xff\n", "caf\xc3\xa9|\xff;");
}

static void quotes(void **state)
{
	ROWS("\"a\",\"b\"\n", "a|b;");
	ROWS("\"a,b\",c", "a,b|c;");
	ROWS("\"a \"\"b\"\" c\"", "a \"b\" c;");
	ROWS("\"a\nb\",c\nd", "a\nb|c;d;");
	ROWS("\"\",\"\"", "|;");
	ROWS("\"\"\"\"", "\";");
}

static void errors(void **state)
{
	ROWS("a\nb,\"c", "a;!2:3 a quote is opened and not closed");
	ROWS("\"a\"b", "!1:1 text after a closing quote");
	ROWS("ab\"c", "!1:1 a quote inside of a cell that has none around it");
	ROWS("x,\"a\nb\"\ny,\"", "x|a\nb;!3:3 a quote is opened and not closed");
	ROWS("a\rb", "!1:1 a carriage return that ends no line");
	ROWS("\rb", "!1:1 a carriage return that ends no line");
	assert_rows("a\0b", 3, "!1:1 a NUL byte");
	assert_rows("\"a\0b\"", 5, "!1:1 a NUL byte");
}

static void too_many_cells(void **state)
{
	char text[CSV_CELLS_MAX + 1];
	struct csv c;

	memset(text, ',', sizeof(text));
	csv_init(&c, text, CSV_CELLS_MAX - 1);	/* one cell more than commas */
	assert_int_equal(csv_read(&c), 1);
	assert_int_equal(c.cells, CSV_CELLS_MAX);
	memset(text, ',', sizeof(text));
	csv_init(&c, text, CSV_CELLS_MAX);
	assert_int_equal(csv_read(&c), -EBADMSG);
	assert_string_equal(c.why, "too many cells");
}

static void places(void **state)
{
	char text[] = "a,bb,\"c\"\n\n\"x\ny\",z\n";
	struct csv c;

	csv_init(&c, text, sizeof(text) - 1);
	assert_int_equal(csv_read(&c), 1);
	assert_int_equal(c.line, 1);
	assert_int_equal(c.column[1], 3);
	assert_int_equal(c.column[2], 6);
	assert_int_equal(csv_read(&c), 1);
	assert_int_equal(c.line, 3);
	assert_int_equal(csv_read(&c), 0);
}

static void assert_written(const char *cell, const char *want)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	csv_write(f, cell, ',');
	fclose(f);
	assert_string_equal(text, want);
	free(text);
}

static void writing(void **state)
{
	assert_written("", ",");
	assert_written("plain", "plain,");
	assert_written("a,b", "\"a,b\",");
	assert_written("a\"b", "\"a\"\"b\",");
	assert_written("a\nb", "\"a\nb\",");
	assert_written("=1+1", "\"'=1+1\",");
	assert_written("+1", "\"'+1\",");
	assert_written("-1", "\"'-1\",");
	assert_written("@SUM(A1)", "\"'@SUM(A1)\",");
	assert_written("\tx", "\"'\tx\",");
	assert_written("=HYPERLINK(\"x\")", "\"'=HYPERLINK(\"\"x\"\")\",");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_and_cells), cmocka_unit_test(quotes), cmocka_unit_test(errors),
		cmocka_unit_test(too_many_cells), cmocka_unit_test(places), cmocka_unit_test(writing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
