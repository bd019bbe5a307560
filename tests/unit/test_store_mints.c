/* SPDX-License-Identifier: Apache-2.0 */
/* sinks/store_mints.c: rows, their tokens and the sums; the oldest rows go, the sums stay. */
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

#include "sinks/sink.h"
#include "sinks/store_mints.h"
#include "sinks/json.h"
#include "sinks/store_query.h"
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

/* ---- read back ---- */

static struct mint got[8];
static char got_lines[8][2048];
static size_t gots;

static int take(void *arg, const struct mint *m)
{
	char *line;

	assert_true(gots < 8);
	assert_int_equal(json_mint(store_query_node(arg), m, &line), 0);
	snprintf(got_lines[gots], sizeof(got_lines[0]), "%s", line);
	free(line);
	got[gots++] = *m;	/* what it points to is gone by then */
	return 0;
}

static size_t ask(struct store_query *q, struct store_filter f)
{
	gots = 0;
	assert_int_equal(store_query_mints(q, &f, take, q), 0);
	return gots;
}

static void read_back(void **state)
{
	struct mint m = { .time_ns = 1700000000000000000, .action = MINT_KIND_MINT, .method = "oauth", .issuer = "idp/token",
			  .grant = "client_credentials", .note = "", .scopes = "a b", .client_id = "cart", .tokens = 2,
			  .expires_ns = 1700000600000000000,
			  .request = { .dir = TT_DIR_EGRESS, .key_id = "k", .status = 200, .method = "POST", .path = "/token",
				       .executable = "/app", .process_name = "app", .pid = 7, .uid = 5, .version = 11 },
			  .token = { { .id = "tt1_aaaa", .class_name = "jwt", .kind = "oauth_access", .length = 9, .role = "access" },
				     { .id = "tt1_bbbb", .class_name = "", .kind = "", .part = MINT_PART_PARENT,
				       .role = "authorization" } } };
	char path[] = "/tmp/tokentrail-mints-XXXXXX";
	struct config_error error;
	struct store_query *q;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	store_mints_finalize(store);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(store_schema_set(db, path, &error), SQLITE_OK);
	assert_int_equal(store_mints_prepare(store, db), SQLITE_OK);
	assert_int_equal(store_mints_add(store, &m), 0);
	m.time_ns += 1;
	m.action = MINT_KIND_REVOKE;
	m.request.status = 400;
	m.tokens = 1;
	m.token[0] = m.token[1];
	m.token[0].part = MINT_PART_REVOKED;
	snprintf(m.error, sizeof(m.error), "invalid_request");
	snprintf(m.request.executable, sizeof(m.request.executable), "/other");
	assert_int_equal(store_mints_add(store, &m), 0);
	assert_int_equal(store_mints_write(store), SQLITE_OK);

	assert_int_equal(store_query_open(path, &q, &error), 0);
	assert_int_equal(ask(q, (struct store_filter){ 0 }), 2);
	assert_non_null(strstr(got_lines[0], "\"action\":\"revoke\""));	/* the newest first */
	assert_non_null(strstr(got_lines[0], "\"outcome\":\"failed\""));
	assert_non_null(strstr(got_lines[0], "\"error\":\"invalid_request\""));
	assert_non_null(strstr(got_lines[0], "\"part\":\"revoked\""));
	assert_int_equal(got[1].tokens, 2);
	assert_string_equal(got[1].token[0].id, "tt1_aaaa");
	assert_non_null(strstr(got_lines[1], "\"class\":\"jwt\""));
	assert_non_null(strstr(got_lines[1], "\"outcome\":\"ok\""));
	assert_non_null(strstr(got_lines[1], "\"grant\":\"client_credentials\""));
	assert_non_null(strstr(got_lines[1], "\"scopes\":[\"a\",\"b\"]"));
	assert_non_null(strstr(got_lines[1], "2023-11-14T22:23:20"));
	assert_int_equal(ask(q, (struct store_filter){ .token = "tt1_a" }), 1);
	assert_int_equal(ask(q, (struct store_filter){ .token = "tt1_bbbb" }), 2);
	assert_int_equal(ask(q, (struct store_filter){ .token = "tt1_c" }), 0);
	assert_int_equal(ask(q, (struct store_filter){ .process = "/other" }), 1);
	assert_int_equal(ask(q, (struct store_filter){ .process = "app" }), 2);
	assert_int_equal(ask(q, (struct store_filter){ .class_name = "jwt" }), 1);
	assert_int_equal(ask(q, (struct store_filter){ .since_ns = 1700000000000000001 }), 1);
	assert_int_equal(ask(q, (struct store_filter){ .limit = 1 }), 1);
	store_query_free(q);
	unlink(path);
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
		cmocka_unit_test_setup_teardown(read_back, setup, teardown),
		cmocka_unit_test_setup_teardown(too_many_wait, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
