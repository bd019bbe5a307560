/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of known tokens in a store: beside a writer, again, under both kinds of ids; never half.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "sinks/sinks.h"
#include "sinks/store_list.h"

#define ID "tt1_aaaabbbbccccddddeeeeffffgggghhhh"

struct place {
	char dir[64], path[96];
	struct sink sink;
};

static int setup(void **state)
{
	static struct place p;
	struct config_error error;

	snprintf(p.dir, sizeof(p.dir), "/tmp/tokentrail-list-XXXXXX");
	assert_non_null(mkdtemp(p.dir));
	snprintf(p.path, sizeof(p.path), "%s/store.db", p.dir);
	assert_int_equal(store_sink_new(p.path, 64 << 20, "n1", &p.sink, &error), 0);
	*state = &p;
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = { "", "-wal", "-shm" };
	struct place *p = *state;
	char name[128];

	p->sink.ops->free(p->sink.self);
	for (size_t i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "%s%s", p->path, names[i]);
		unlink(name);
	}
	return rmdir(p->dir);
}

static int64_t number(struct place *p, const char *sql)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;
	int64_t n;

	assert_int_equal(sqlite3_open(p->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	n = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return n;
}

static struct listed_token make_row(const char *id, bool is_public, const char *owner)
{
	return (struct listed_token){ .id = id, .is_public = is_public, .name = "n", .owner = owner,
				      .class_name = "github_pat", .kind = "api_key", .scopes = "a\nb",
				      .created = 5, .expires = 6 };
}

static void rows_of_both_kinds(void **state)
{
	struct place *p = *state;
	struct listed_token rows[] = { make_row(ID, false, "ann"), make_row("abc123", true, "bob") };
	struct config_error error;
	struct use u = { .token_id = ID, .class_name = "", .kind = "", .scheme = "", .count = 2,
			 .first_ns = 100, .last_ns = 200, .dir = TT_DIR_EGRESS };

	assert_int_equal(store_list_write(p->path, "vault", 7, rows, 2, &error), 0);
	assert_int_equal(number(p, "SELECT count(*) FROM listed"), 2);
	assert_int_equal(number(p, "SELECT count(*) FROM token WHERE uses = 0 AND first = 0 AND class = 'github_pat'"), 1);
	assert_int_equal(number(p, "SELECT count(*) FROM fact WHERE listed_owner = 'ann' AND listed_time = 7"), 1);
	/* It is used after all: the same row. */
	assert_int_equal(p->sink.ops->use(p->sink.self, &u), 0);
	assert_int_equal(p->sink.ops->finish(p->sink.self, 1000), 0);
	assert_int_equal(number(p, "SELECT count(*) FROM token"), 1);
	assert_int_equal(number(p, "SELECT first FROM token WHERE uses = 2 AND class = 'github_pat'"), 100);
	/* Again, with another owner. */
	rows[0].owner = "carol";
	assert_int_equal(store_list_write(p->path, "vault", 8, rows, 2, &error), 0);
	assert_int_equal(number(p, "SELECT count(*) FROM listed"), 2);
	assert_int_equal(number(p, "SELECT uses FROM token"), 2);
	assert_int_equal(number(p, "SELECT count(*) FROM fact WHERE listed_owner = 'carol'"), 1);
}

static void never_half(void **state)
{
	struct place *p = *state;
	struct listed_token rows[] = { make_row(ID, false, "ann"), make_row(NULL, true, "bob") };
	struct config_error error = { "" };

	assert_int_equal(store_list_write(p->path, "vault", 7, rows, 2, &error), -EIO);
	assert_string_not_equal(error.text, "");
	assert_int_equal(number(p, "SELECT count(*) FROM listed"), 0);
	assert_int_equal(number(p, "SELECT count(*) FROM token"), 0);
}

static void no_store(void **state)
{
	struct place *p = *state;
	struct listed_token row = make_row(ID, false, "ann");
	struct config_error error;
	sqlite3 *db = NULL;

	assert_int_equal(store_list_write("/proc/no/store.db", "x", 7, &row, 1, &error), -ENOENT);
	assert_int_equal(sqlite3_open(p->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 3", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(store_list_write(p->path, "x", 7, &row, 1, &error), -EPROTONOSUPPORT);
}

int main(void)
{
#define WITH_PLACE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = { WITH_PLACE(rows_of_both_kinds), WITH_PLACE(never_half),
					    WITH_PLACE(no_store) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
