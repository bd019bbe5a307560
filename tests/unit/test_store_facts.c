/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sinks/store_facts.c: facts.def and schemas/store.sql agree; rows are made, kept and merged; what
 * was read is what was written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#include "sinks/sink.h"
#include "sinks/store_facts.h"
#include "sinks/store_schema.h"

static sqlite3 *db;
static struct store_facts *store;

static int setup(void **state)
{
	struct config_error error;

	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	assert_int_equal(store_schema_set(db, "", &error), SQLITE_OK);
	assert_int_equal(store_facts_new(&store), 0);
	assert_int_equal(store_facts_prepare(store, db), SQLITE_OK);
	return 0;
}

static int teardown(void **state)
{
	store_facts_free(store);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return 0;
}

static int64_t number(const char *sql)
{
	int64_t n = -1;

	assert_int_equal(store_get_number(db, sql, &n), SQLITE_OK);
	return n;
}

static void add(const struct facts *f, const char *class_name)
{
	struct token t = { .token_id = "tt1_a", .key_id = "k", .class_name = class_name, .kind = "api_key",
			   .length = 40, .facts = f };

	assert_int_equal(store_facts_add(store, &t), 0);
}

static void flush(void)
{
	assert_int_equal(store_facts_write(store), SQLITE_OK);
	store_facts_clear(store);
	assert_int_equal(store_facts_waiting(store), 0);
}

static void read_back(struct facts *ret_facts)
{
	sqlite3_stmt *st = NULL;

	assert_int_equal(store_facts_select(db, "fact", &st), SQLITE_OK);
	assert_int_equal(sqlite3_bind_text(st, 1, "tt1_a", -1, SQLITE_STATIC), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	assert_int_equal(store_facts_read(st, ret_facts), 0);
	sqlite3_finalize(st);
}

static void every_fact_comes_back(void **state)
{
	struct facts f = { 0 }, g = { 0 };
	bool changed;

	for (int i = 0; i < FACTS; i++) {
		if (fact_infos[i].kind == FACT_KIND_TEXT) {
			assert_int_equal(facts_set_text(&f, i, fact_infos[i].column, 5), 0);
		} else if (fact_infos[i].kind == FACT_KIND_LIST) {
			assert_int_equal(facts_add(&f, i, "one", 3), 0);
			assert_int_equal(facts_add(&f, i, "two", 3), 0);
		} else {
			facts_set_number(&f, i, 100 + i);
		}
	}
	add(&f, "jwt");
	flush();
	read_back(&g);
	for (int i = 0; i < FACTS; i++) {
		if (fact_infos[i].kind == FACT_KIND_TEXT || fact_infos[i].kind == FACT_KIND_LIST)
			assert_string_equal(facts_text(&g, i), facts_text(&f, i));
		else
			assert_int_equal(facts_number(&g, i), 100 + i);
	}
	assert_int_equal(facts_merge(&g, &f, &changed), 0);
	assert_false(changed);
	assert_int_equal(number("SELECT count(*) FROM tokens WHERE uses = 0 AND first IS NULL AND "
				"class = 'jwt' AND owner IS NOT NULL"), 1);
	facts_done(&f);
	facts_done(&g);
}

static void what_is_not_known_stays(void **state)
{
	struct facts f = { 0 }, g = { 0 };

	assert_int_equal(facts_set_text(&f, FACT_token_issuer, "i", 1), 0);
	facts_set_number(&f, FACT_token_expires, 7);
	add(&f, "");
	facts_done(&f);
	assert_int_equal(facts_set_text(&f, FACT_jwt_kid, "k", 1), 0);	/* waits beside the first */
	add(&f, "");
	assert_int_equal(store_facts_waiting(store), 1);
	flush();
	facts_done(&f);
	assert_int_equal(facts_set_text(&f, FACT_token_subject, "s", 1), 0);	/* after a start, say */
	add(&f, "k8s_sa_bound");
	flush();
	read_back(&g);
	assert_string_equal(facts_text(&g, FACT_token_issuer), "i");
	assert_string_equal(facts_text(&g, FACT_token_subject), "s");
	assert_string_equal(facts_text(&g, FACT_jwt_kid), "k");
	assert_int_equal(facts_number(&g, FACT_token_expires), 7);
	assert_int_equal(number("SELECT count(*) FROM token WHERE class = 'k8s_sa_bound'"), 1);
	facts_done(&f);
	facts_done(&g);
}

static void giving_up_is_counted(void **state)
{
	uint64_t before = agent_drops[TT_DROP_store_failed];
	struct facts f = { 0 };
	struct token t = { .facts = &f };
	int r = 0, n = 0;

	facts_set_number(&f, FACT_token_expires, 7);
	for (; r == 0 && n < 100000; n++) {
		snprintf(t.token_id, sizeof(t.token_id), "tt1_%d", n);
		r = store_facts_add(store, &t);
	}
	assert_true(r < 0);
	assert_int_equal(agent_drops[TT_DROP_store_failed], before + 1);
	store_facts_give_up(store);
	assert_int_equal(agent_drops[TT_DROP_store_failed], before + n);
	assert_int_equal(store_facts_waiting(store), 0);
}

int main(void)
{
#define WITH_DB(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_DB(every_fact_comes_back),
		WITH_DB(what_is_not_known_stays),
		WITH_DB(giving_up_is_counted),
	};

	return cmocka_run_group_tests_name("store_facts", tests, NULL, NULL);
}
