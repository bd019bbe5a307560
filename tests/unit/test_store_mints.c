/* SPDX-License-Identifier: Apache-2.0 */
/* sinks/store_mints.c: rows, their tokens and the sums; the oldest rows go, the sums stay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#include "sinks/sink.h"
#include "sinks/store_mints.h"
#include "sinks/store_schema.h"

static sqlite3 *db;
static struct store_mints *store;

static int setup(void **state)
{
	struct config_error error;

	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	assert_int_equal(store_schema_set(db, "", &error), SQLITE_OK);
	assert_int_equal(store_mints_new(8 * 10 * 1024, &store), 0);	/* ten rows */
	assert_int_equal(store_mints_prepare(store, db), SQLITE_OK);
	return 0;
}

static int teardown(void **state)
{
	store_mints_free(store);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return 0;
}

static int64_t number(const char *sql)
{
	int64_t n = -1;

	assert_int_equal(store_get_number(db, sql, &n), SQLITE_OK);
	return n;
}

static void rows_and_sums(void **state)
{
	struct mint m = { .method = "oauth", .issuer = "idp/token", .note = "", .tokens = 2, .succeeded = true,
			  .request = { .dir = TT_DIR_EGRESS, .key_id = "k" },
			  .token = { { .id = "tt1_a", .class_name = "jwt", .kind = "", .role = "access" },
				     { .id = "tt1_b", .class_name = "", .kind = "", .part = MINT_PART_PARENT,
				       .role = "body:code" } } };

	for (int i = 0; i < 15; i++) {
		m.time_ns = 1000 + i;
		m.succeeded = i != 0;
		assert_int_equal(store_mints_add(store, &m), 0);
	}
	assert_int_equal(store_mints_waiting(store), 15);
	assert_int_equal(store_mints_write(store), SQLITE_OK);
	store_mints_clear(store);
	assert_int_equal(store_mints_waiting(store), 0);
	assert_int_equal(number("SELECT count(*) FROM mint"), 10);
	assert_int_equal(number("SELECT min(time) FROM mint"), 1005);
	assert_int_equal(number("SELECT count(*) FROM mint_token"), 20);
	assert_int_equal(number("SELECT count(*) FROM mints WHERE minted = 'tt1_a' AND parents = 'tt1_b'"), 10);
	assert_int_equal(number("SELECT mints * 100 + failed FROM mint_rate"), 1401);
	assert_int_equal(number("SELECT mints * 100 + failed_mints FROM hour"), 1401);
	m.request.dir = TT_DIR_INGRESS;	/* the issuer's end of one */
	m.time_ns = 2000;
	assert_int_equal(store_mints_add(store, &m), 0);
	assert_int_equal(store_mints_write(store), SQLITE_OK);
	store_mints_clear(store);
	assert_int_equal(number("SELECT count(*) FROM mint WHERE time = 2000"), 1);
	assert_int_equal(number("SELECT mints * 100 + failed FROM mint_rate"), 1401);
	assert_int_equal(number("SELECT mints * 100 + failed_mints FROM hour"), 1401);
	assert_int_equal(number("SELECT count(*) FROM token WHERE uses = 0 AND first = 0"), 2);
	assert_int_equal(number("SELECT count(*) FROM token WHERE class = 'jwt'"), 1);
}

static void too_many_wait(void **state)
{
	struct mint m = { .method = "oauth", .note = "" };
	uint64_t failed = agent_drops[TT_DROP_store_failed];
	int added = 0;

	while (store_mints_add(store, &m) == 0)
		added++;
	assert_int_equal(agent_drops[TT_DROP_store_failed], failed + 1);
	store_mints_give_up(store);
	assert_int_equal(agent_drops[TT_DROP_store_failed], failed + 1 + added);
	assert_int_equal(store_mints_waiting(store), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(rows_and_sums, setup, teardown),
		cmocka_unit_test_setup_teardown(too_many_wait, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
