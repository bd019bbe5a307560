/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store's version: a new file and an upgraded one are alike, an upgrade loses nothing, needs no
 * room and happens whole or not at all, and files that are not ours stay as they are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "sinks/store_schema.h"
#include "store_v1.h"
#include "store_v2.h"
#include "store_v3.h"
#include "store_v4.h"

static char path[64];
static sqlite3 *db;

static void run_sql(const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

static void open_db(void)
{
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	run_sql("PRAGMA page_size = 4096; PRAGMA trusted_schema = OFF");
}

static int setup(void **state)
{
	int fd;

	snprintf(path, sizeof(path), "/tmp/tokentrail-schema-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	open_db();
	return 0;
}

static int teardown(void **state)
{
	sqlite3_close(db);
	return unlink(path);
}

static int64_t number(const char *sql)
{
	int64_t n = -1;

	assert_int_equal(store_get_number(db, sql, &n), SQLITE_OK);
	return n;
}

static char *text(const char *sql)
{
	sqlite3_stmt *st = NULL;
	char *copy;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	copy = strdup((const char *)sqlite3_column_text(st, 0));
	assert_non_null(copy);
	sqlite3_finalize(st);
	return copy;
}

static void assert_set(void)
{
	struct config_error error = { "" };
	int r = store_schema_set(db, path, &error);

	if (r != SQLITE_OK)
		fail_msg("%d %s", r, sqlite3_errmsg(db));
	assert_string_equal(error.text, "");
	assert_int_equal(number("PRAGMA user_version"), STORE_SCHEMA);
	assert_true(sqlite3_get_autocommit(db));
}

static void make_v1(void)
{
	run_sql(store_v1);
	run_sql("INSERT INTO meta VALUES ('node', 'n1');"
		"INSERT INTO loss VALUES ('ring_full', 5, 1, 2);"
		"INSERT INTO token VALUES ('tt1_a', 'k', 'jwt', 'jwt', 40, 1, 2, 7, 7, 0);"
		"INSERT INTO use VALUES ('tt1_a', 'egress', 'curl', '/usr/bin/curl', 0, '', "
		"'authorization', 'bearer', 'GET', '/', 200, 'a.example', 443, '192.0.2.1', 443, 1, "
		"7, 1, 2, 100, '', 11)");
}

/* With rows that only schema 2 can have. */
static void make_v2(void)
{
	run_sql(store_v2);
	run_sql("INSERT INTO meta VALUES ('node', 'n1');"
		"INSERT INTO loss VALUES ('ring_full', 5, 1, 2);"
		"INSERT INTO token VALUES ('tt1_a', 'k', 'jwt', 'jwt', 40, 1, 2, 7, 7, 0, 1, 0);"
		"INSERT INTO use VALUES ('tt1_a', 'egress', 'curl', '/usr/bin/curl', 0, '', "
		"'authorization', 'bearer', 'GET', '/', 200, 'a.example', 443, '192.0.2.1', 443, 1, "
		"7, 1, 2, 100, '', 11);"
		"INSERT INTO call VALUES ('tt1_a', 'egress', 'grpcurl', '', 0, '', 'authorization', "
		"'bearer', 'POST', '/s/M', 200, 'a.example', 443, '192.0.2.1', 443, 8, 5, '', '', 3, "
		"1, 2, 100, '', 20)");
}

static void assert_v1_rows(void)
{
	assert_int_equal(number("SELECT count(*) FROM use"), 1);
	assert_int_equal(number("SELECT count FROM uses WHERE class = 'jwt' AND process = 'curl'"), 7);
	assert_int_equal(number("SELECT uses FROM tokens WHERE token = 'tt1_a'"), 7);
	assert_int_equal(number("SELECT count FROM losses"), 5);
	assert_int_equal(number("SELECT count(*) FROM meta WHERE value = 'n1'"), 1);
}

static void upgrade_from_2_keeps_everything(void **state)
{
	char *library;

	make_v2();
	for (int i = 0; i < 2; i++) {
		assert_set();
		assert_v1_rows();
		assert_int_equal(number("SELECT count FROM uses WHERE grpc_status = 5"), 3);
	}
	/* Views are made anew: the one of the old store may not know all libraries. */
	library = text("SELECT tls_library FROM uses WHERE grpc_status = 5");
	assert_string_equal(library, "go");
	free(library);
	assert_int_equal(number("SELECT count(*) FROM coverage"), 0);
}

static void new_file(void **state)
{
	assert_set();
	assert_int_equal(number("SELECT value FROM meta WHERE name = 'schema'"), STORE_SCHEMA);
	assert_set();	/* there is nothing left to do */
}

static void upgrade_keeps_everything(void **state)
{
	char *check;

	make_v1();
	for (int i = 0; i < 2; i++) {
		assert_set();
		assert_v1_rows();
	}
	assert_int_equal(number("SELECT value FROM meta WHERE name = 'schema'"), STORE_SCHEMA);
	assert_int_equal(number("SELECT readable FROM tokens"), 1);
	assert_int_equal(number("SELECT count(*) FROM uses WHERE grpc_status IS NULL AND mcp_method IS "
				"NULL AND mcp_name IS NULL AND entry IS NULL AND readable"), 1);
	check = text("PRAGMA integrity_check");
	assert_string_equal(check, "ok");
	free(check);
}

/* Tables by their columns (the upgrade's ALTER TABLE leaves another text), the rest by its SQL. */
static void upgraded_is_as_new(void **state)
{
	static const char *const shapes[] = {
		"SELECT group_concat(line, char(10)) FROM (SELECT m.name || '.' || c.name || ' ' || "
		"c.type || c.\"notnull\" || c.pk || coalesce(c.dflt_value, '') AS line FROM "
		"sqlite_master m, pragma_table_info(m.name) c ORDER BY m.name, c.cid)",
		"SELECT group_concat(name || sql, char(10)) FROM (SELECT name, sql FROM sqlite_master "
		"WHERE type <> 'table' ORDER BY name)",
	};
	char *texts[5][2];

	for (int i = 0; i < 5; i++) {
		if (i == 1)
			make_v1();
		if (i == 2)
			make_v2();
		if (i == 3)
			run_sql(store_v3);
		if (i == 4)
			run_sql(store_v4);
		assert_set();
		for (int k = 0; k < 2; k++)
			texts[i][k] = text(shapes[k]);
		sqlite3_close(db);
		assert_int_equal(truncate(path, 0), 0);
		open_db();
	}
	for (int k = 0; k < 2; k++) {
		assert_non_null(strstr(texts[0][k], "every_use"));
		assert_string_equal(texts[0][k], texts[1][k]);
		assert_string_equal(texts[0][k], texts[2][k]);
		assert_string_equal(texts[0][k], texts[3][k]);
		assert_string_equal(texts[0][k], texts[4][k]);
		for (int i = 0; i < 5; i++)
			free(texts[i][k]);
	}
}

/* A store that has reached its limit of pages has to go on as well. */
static void upgrade_when_full(void **state)
{
	struct config_error error;
	char sql[64];

	make_v1();
	snprintf(sql, sizeof(sql), "PRAGMA max_page_count = %d", (int)number("PRAGMA page_count"));
	run_sql(sql);
	assert_int_equal(sqlite3_exec(db, "CREATE TABLE more (x)", NULL, NULL, NULL), SQLITE_FULL);
	assert_set();
	assert_v1_rows();
	/* A new file keeps to its limit. */
	sqlite3_close(db);
	assert_int_equal(truncate(path, 0), 0);
	open_db();
	run_sql("PRAGMA max_page_count = 2");
	assert_int_equal(store_schema_set(db, path, &error), SQLITE_FULL);
	assert_int_equal(number("PRAGMA user_version"), 0);
}

static void upgrade_that_fails_changes_nothing(void **state)
{
	struct config_error error = { "" };

	make_v1();
	run_sql("CREATE TABLE call (x)");	/* so that one in the middle of it can't be made */
	assert_int_equal(store_schema_set(db, path, &error), SQLITE_ERROR);
	assert_true(sqlite3_get_autocommit(db));
	assert_int_equal(number("PRAGMA user_version"), 1);
	assert_int_equal(number("SELECT count(*) FROM pragma_table_info('token')"), 10);
	assert_v1_rows();
	run_sql("DROP TABLE call");
	assert_set();
}

static void assert_refused(const char *why)
{
	struct config_error error = { "" };

	assert_int_equal(store_schema_set(db, path, &error), SQLITE_MISMATCH);
	if (!strstr(error.text, why) || !strstr(error.text, path))
		fail_msg("%s", error.text);
	assert_int_equal(number("SELECT count(*) FROM sqlite_master"), 1);
}

static void not_ours(void **state)
{
	run_sql("CREATE TABLE mine (x)");
	assert_refused("another program");
	run_sql("PRAGMA user_version = -1");
	assert_refused("another program");
	run_sql("PRAGMA user_version = 6");
	assert_refused("newer tokentrail (schema 6, this one knows 5)");
	assert_int_equal(number("PRAGMA user_version"), 6);
}

static void numbers(void **state)
{
	int64_t n = 5;

	assert_int_equal(store_get_number(db, "SELECT 7", &n), SQLITE_OK);
	assert_int_equal(n, 7);
	assert_int_equal(store_get_number(db, "SELECT nothing", &n), SQLITE_ERROR);
	assert_int_equal(store_get_number(db, "SELECT 1 WHERE 0", &n), SQLITE_ERROR);
	assert_int_equal(n, 7);
}

int main(void)
{
#define WITH_DB(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_DB(new_file),
		WITH_DB(upgrade_keeps_everything),
		WITH_DB(upgrade_from_2_keeps_everything),
		WITH_DB(upgraded_is_as_new),
		WITH_DB(upgrade_when_full),
		WITH_DB(upgrade_that_fails_changes_nothing),
		WITH_DB(not_ours),
		WITH_DB(numbers),
	};

	return cmocka_run_group_tests_name("store_schema", tests, NULL, NULL);
}
