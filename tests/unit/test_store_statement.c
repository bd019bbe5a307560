/* SPDX-License-Identifier: Apache-2.0 */
/* sinks/store_statement.c: what is bound is what is written; a statement is ready again after a failure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sqlite3.h>

#include "sinks/store_schema.h"
#include "sinks/store_statement.h"

static sqlite3 *db;
static sqlite3_stmt *st;

static int setup(void **state)
{
	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "CREATE TABLE t (a TEXT UNIQUE, b INTEGER, c INTEGER)", NULL, NULL, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "INSERT INTO t VALUES (?1, ?2, ?3)", -1, &st, NULL), SQLITE_OK);
	return 0;
}

static int teardown(void **state)
{
	sqlite3_finalize(st);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return 0;
}

static int insert(const char *a, uint64_t b, uint32_t c)
{
	int r;

	r = statement_text(st, 1, a);
	r |= statement_number(st, 2, b);
	r |= statement_user(st, 3, c);
	return statement_run(st, r);
}

static int64_t number(const char *sql)
{
	int64_t n = -7;

	assert_int_equal(store_get_number(db, sql, &n), SQLITE_OK);
	return n;
}

static void values(void **state)
{
	assert_int_equal(insert("x", 5, 0), SQLITE_OK);
	assert_int_equal(insert(NULL, UINT64_MAX, UINT32_MAX), SQLITE_OK);
	assert_int_equal(number("SELECT b FROM t WHERE a = 'x' AND c = 0"), 5);
	assert_int_equal(number("SELECT c FROM t WHERE a = ''"), -1);
	assert_true(number("SELECT b FROM t WHERE a = ''") == INT64_MAX);
}

static void failures(void **state)
{
	assert_int_equal(statement_text(st, 4, "x"), SQLITE_RANGE);
	assert_int_equal(statement_run(st, SQLITE_RANGE), SQLITE_NOMEM);
	assert_int_equal(number("SELECT count(*) FROM t"), 0);
	assert_int_equal(insert("x", 1, 1), SQLITE_OK);
	assert_int_equal(insert("x", 2, 2), SQLITE_CONSTRAINT);
	assert_int_equal(insert("y", 3, 3), SQLITE_OK);
	/* Nothing of the last row stays bound. */
	assert_int_equal(statement_run(st, SQLITE_OK), SQLITE_OK);
	assert_int_equal(number("SELECT count(*) FROM t WHERE a IS NULL AND b IS NULL AND c IS NULL"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(values, setup, teardown),
		cmocka_unit_test_setup_teardown(failures, setup, teardown),
	};

	return cmocka_run_group_tests_name("store_statement", tests, NULL, NULL);
}
