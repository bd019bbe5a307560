/* SPDX-License-Identifier: Apache-2.0 */
/* The inventory: records when they are due, sums that are right, a limit that is kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "sinks/sink.h"
#include "tokens/inventory.h"
#include "tokens/workload.h"

#define LIMIT 3
#define INTERVAL 60

static struct token out[64];
static size_t outs;
static struct inventory *inv;
static uint64_t full_before;

static void take(void *ctx, const struct token *t)
{
	assert_ptr_equal(ctx, &outs);
	assert_true(outs < 64);
	out[outs++] = *t;
}

static int setup(void **state)
{
	outs = 0;
	full_before = agent_drops[TT_DROP_tokens_full];
	return inventory_new(LIMIT, INTERVAL, take, &outs, &inv);
}

static int teardown(void **state)
{
	inventory_free(inv);
	return 0;
}

static void use(int token, enum tt_dir dir, uint64_t count, uint64_t at)
{
	struct use u = { .key_id = "00112233aabbccdd", .class_name = "github_pat", .kind = "api_key",
			 .scheme = "", .length = 40, .dir = dir, .count = count,
			 .first_ns = 1000 + at, .last_ns = 1000 + at };

	snprintf(u.token_id, sizeof(u.token_id), "tt1_%d", token);
	inventory_use(inv, &u, at);
}

static void new_token_gives_a_record_at_once(void **state)
{
	use(1, TT_DIR_EGRESS, 1, 5);
	assert_int_equal(outs, 1);
	assert_string_equal(out[0].token_id, "tt1_1");
	assert_string_equal(out[0].key_id, "00112233aabbccdd");
	assert_string_equal(out[0].class_name, "github_pat");
	assert_string_equal(out[0].kind, "api_key");
	assert_int_equal(out[0].length, 40);
	assert_int_equal(out[0].uses, 1);
	assert_int_equal(out[0].egress, 1);
	assert_int_equal(out[0].ingress, 0);
	assert_int_equal(out[0].first_ns, 1005);
	assert_int_equal(out[0].last_ns, 1005);
}

static void unreadable_is_marked(void **state)
{
	struct use u = { .token_id = "tt1_x", .class_name = "", .kind = "", .dir = TT_DIR_EGRESS,
			 .count = 2, .unreadable = true, .entry = 7 };

	inventory_use(inv, &u, 0);
	assert_true(out[0].unreadable);
	assert_int_equal(out[0].entry, 7);
	assert_int_equal(out[0].uses, 2);
	use(1, TT_DIR_EGRESS, 1, 5);
	assert_false(out[1].unreadable);
	inventory_use(inv, &u, 10);
	inventory_flush(inv);
	assert_string_equal(out[2].token_id, "tt1_x");
	assert_true(out[2].unreadable);
	assert_int_equal(out[2].uses, 4);
}

static void facts_go_out_at_once(void **state)
{
	struct token about = { .token_id = "tt1_1", .key_id = "00112233aabbccdd",
			       .class_name = "jwt", .kind = "oauth_access", .length = 900 };
	struct facts f = { 0 };

	assert_int_equal(inventory_facts(inv, &about, &f), 0);	/* nothing is no news */
	assert_int_equal(inventory_count(inv), 0);
	assert_int_equal(facts_set_text(&f, FACT_token_issuer, "i", 1), 0);
	assert_int_equal(inventory_facts(inv, &about, &f), 0);	/* minted, say, and not used yet */
	assert_int_equal(outs, 1);
	assert_string_equal(out[0].class_name, "jwt");
	assert_int_equal(out[0].length, 900);
	assert_int_equal(out[0].uses, 0);
	assert_int_equal(out[0].first_ns, 0);
	assert_string_equal(facts_text(out[0].facts, FACT_token_issuer), "i");
	assert_int_equal(inventory_facts(inv, &about, &f), 0);	/* known */
	assert_int_equal(outs, 1);
	use(1, TT_DIR_EGRESS, 1, 5);	/* the first use is news, the second waits */
	assert_int_equal(outs, 2);
	assert_int_equal(out[1].first_ns, 1005);
	assert_string_equal(out[1].class_name, "jwt");
	assert_string_equal(facts_text(out[1].facts, FACT_token_issuer), "i");
	use(1, TT_DIR_EGRESS, 1, 6);
	assert_int_equal(outs, 2);
	facts_set_number(&f, FACT_token_expires, 99);
	about.class_name = "k8s_sa_bound";
	assert_int_equal(inventory_facts(inv, &about, &f), 0);
	assert_int_equal(outs, 3);	/* with the use that waited */
	assert_int_equal(out[2].uses, 2);
	assert_string_equal(out[2].class_name, "k8s_sa_bound");
	inventory_flush(inv);
	assert_int_equal(outs, 3);
	use(2, TT_DIR_EGRESS, 1, 7);
	assert_null(out[3].facts);
	facts_done(&f);
}

/* Uses are of the class that is known; "jwt" takes the place of none that says more. */
/* A server that says something else with each response makes no record each time. */
static void news_without_end_waits(void **state)
{
	struct token about = { .token_id = "tt1_1", .class_name = "", .kind = "", .length = 40 };
	struct facts f = { 0 };
	size_t before;

	inventory_tick(inv, 100);
	for (uint64_t i = 1; i <= 40; i++) {
		facts_set_number(&f, FACT_token_expires, i);
		assert_int_equal(inventory_facts(inv, &about, &f), 0);
	}
	assert_int_equal(outs, 16);
	inventory_tick(inv, 100 + INTERVAL - 1);
	assert_int_equal(outs, 16);
	inventory_tick(inv, 100 + INTERVAL);	/* one record with the last word; then as before */
	assert_int_equal(outs, 17);
	before = outs;
	facts_set_number(&f, FACT_token_expires, 41);
	assert_int_equal(inventory_facts(inv, &about, &f), 0);
	assert_int_equal(outs, before + 1);
	facts_done(&f);
}

static void class_is_refined(void **state)
{
	struct token about = { .token_id = "tt1_1", .class_name = "spiffe_jwt", .kind = "service_account" };
	struct use u = { .token_id = "tt1_1", .class_name = "jwt", .kind = "oauth_access", .count = 1 };
	struct facts f = { 0 };

	inventory_class(inv, &u);
	assert_string_equal(u.class_name, "jwt");
	facts_set_number(&f, FACT_token_expires, 99);
	assert_int_equal(inventory_facts(inv, &about, &f), 0);
	inventory_class(inv, &u);
	assert_string_equal(u.class_name, "spiffe_jwt");
	assert_string_equal(u.kind, "service_account");
	about.class_name = "jwt";
	about.kind = "oauth_access";
	facts_set_number(&f, FACT_token_expires, 100);
	assert_int_equal(inventory_facts(inv, &about, &f), 0);
	assert_string_equal(out[1].class_name, "spiffe_jwt");
	about.token_id[4] = '2';
	about.class_name = "";
	assert_int_equal(inventory_facts(inv, &about, &f), 0);
	u.token_id[4] = '2';
	u.class_name = "jwt";
	inventory_class(inv, &u);
	assert_string_equal(u.class_name, "jwt");
	facts_done(&f);
}

static void changes_wait_for_the_interval(void **state)
{
	use(1, TT_DIR_EGRESS, 1, 0);
	use(1, TT_DIR_INGRESS, 2, 10);
	use(1, TT_DIR_EGRESS, 3, 20);
	inventory_tick(inv, 10 + INTERVAL - 1);
	assert_int_equal(outs, 1);
	inventory_tick(inv, 10 + INTERVAL);
	assert_int_equal(outs, 2);
	assert_int_equal(out[1].uses, 6);
	assert_int_equal(out[1].egress, 4);
	assert_int_equal(out[1].ingress, 2);
	assert_int_equal(out[1].first_ns, 1000);
	assert_int_equal(out[1].last_ns, 1020);
	inventory_tick(inv, 10000);
	inventory_flush(inv);
	assert_int_equal(outs, 2);
}

static void flush_writes_the_changed_only(void **state)
{
	use(1, TT_DIR_EGRESS, 1, 0);
	use(2, TT_DIR_EGRESS, 1, 0);
	use(2, TT_DIR_EGRESS, 1, 1);
	inventory_flush(inv);
	assert_int_equal(outs, 3);
	assert_string_equal(out[2].token_id, "tt1_2");
	assert_int_equal(out[2].uses, 2);
}

static void earlier_use_moves_the_first(void **state)
{
	use(1, TT_DIR_EGRESS, 1, 50);
	use(1, TT_DIR_EGRESS, 1, 20);
	inventory_flush(inv);
	assert_int_equal(out[1].first_ns, 1020);
	assert_int_equal(out[1].last_ns, 1050);
}

static void full_forgets_the_longest_unused(void **state)
{
	use(1, TT_DIR_EGRESS, 1, 0);
	use(2, TT_DIR_EGRESS, 1, 1);
	use(3, TT_DIR_EGRESS, 1, 2);
	use(1, TT_DIR_EGRESS, 1, 3);
	use(2, TT_DIR_EGRESS, 1, 4);
	assert_int_equal(inventory_count(inv), LIMIT);
	/* 3 is the oldest and has nothing new to say, then 1, which has. */
	use(4, TT_DIR_EGRESS, 1, 5);
	assert_int_equal(outs, 4);
	assert_string_equal(out[3].token_id, "tt1_4");
	use(5, TT_DIR_EGRESS, 1, 6);
	assert_int_equal(outs, 6);
	assert_string_equal(out[4].token_id, "tt1_1");
	assert_int_equal(out[4].uses, 2);
	assert_string_equal(out[5].token_id, "tt1_5");
	assert_int_equal(agent_drops[TT_DROP_tokens_full] - full_before, 2);
	assert_int_equal(inventory_count(inv), LIMIT);
}

static struct workload nginx = { .holders = 1, .kind = "unit", .name = "nginx.service", .user = -1,
				 .confidence = CONFIDENCE_HIGH };
static struct workload apache = { .holders = 1, .kind = "unit", .name = "apache2.service", .user = -1,
				  .confidence = CONFIDENCE_HIGH };
static char owner[128], evidence[512];

static void take_owner(void *ctx, const struct token *t)
{
	outs++;
	out[0] = *t;
	snprintf(owner, sizeof(owner), "%s", t->facts ? facts_text(t->facts, FACT_owner_name) : "");
	snprintf(evidence, sizeof(evidence), "%s", t->facts ? facts_text(t->facts, FACT_owner_evidence) : "");
}

static void use_by(struct workload *w, enum tt_dir dir, uint64_t at)
{
	struct use u = { .token_id = "tt1_1", .class_name = "", .kind = "", .dir = dir, .count = 1,
			 .first_ns = 1000 + at, .last_ns = 1000 + at, .work = w };

	inventory_use(inv, &u, at);
}

static int setup_owner(void **state)
{
	outs = 0;
	owner[0] = 0;
	return inventory_new(LIMIT, INTERVAL, take_owner, NULL, &inv);
}

static void who_sends_it_owns_it_until_another_does(void **state)
{
	use_by(&apache, TT_DIR_INGRESS, 1);	/* who is sent one has not got it */
	assert_string_equal(owner, "");
	use_by(&nginx, TT_DIR_EGRESS, 2);
	assert_int_equal(outs, 2);
	assert_string_equal(owner, "nginx.service");
	use_by(&nginx, TT_DIR_EGRESS, 3);
	assert_int_equal(outs, 2);
	use_by(&apache, TT_DIR_EGRESS, 4);
	assert_int_equal(outs, 3);
	assert_string_equal(owner, "");
	assert_int_equal(nginx.holders, 2);
}

static void a_token_ends_by_itself(void **state)
{
	struct token about = { .token_id = "tt1_1", .class_name = "", .kind = "" };
	struct facts f = { 0 };

	inventory_set_clock(inv, 1500);
	inventory_set_idle(inv, 100);
	facts_set_number(&f, FACT_minted_time, 1400);
	facts_set_number(&f, FACT_token_expires, 5000);
	assert_int_equal(inventory_facts(inv, &about, &f), 0);
	assert_int_equal(out[0].state, TOKEN_MINTED);
	use_by(NULL, TT_DIR_EGRESS, 500);
	assert_int_equal(out[0].state, TOKEN_USED);
	assert_int_equal(outs, 2);
	inventory_set_clock(inv, 1600);
	inventory_tick(inv, INTERVAL);
	assert_int_equal(outs, 2);
	inventory_set_clock(inv, 1601);
	inventory_tick(inv, 2 * INTERVAL);
	assert_int_equal(outs, 3);
	assert_int_equal(out[0].state, TOKEN_IDLE);
	inventory_set_clock(inv, 5000);
	inventory_tick(inv, 3 * INTERVAL);
	inventory_tick(inv, 4 * INTERVAL);
	assert_int_equal(outs, 4);
	assert_int_equal(out[0].state, TOKEN_EXPIRED);
	facts_done(&f);
}

static int recalls;

static bool recall(void *ctx, struct token *t, struct facts *ret_facts)
{
	recalls++;
	if (strcmp(t->token_id, "tt1_1"))
		return false;
	t->first_ns = 7;
	t->last_ns = 9;
	t->uses = t->egress = 5;
	facts_set_text(ret_facts, FACT_token_issuer, "me", 2);
	facts_add(ret_facts, FACT_owner_evidence, "the only one that sends it: unit apache2.service", 48);
	return true;
}

static void a_story_goes_on_where_it_was(void **state)
{
	recalls = 0;
	inventory_set_recall(inv, recall);
	use_by(&nginx, TT_DIR_EGRESS, 1);
	assert_int_equal(out[0].first_ns, 7);
	assert_int_equal(out[0].uses, 6);
	assert_int_equal(out[0].last_ns, 1001);
	assert_string_equal(owner, "");		/* another one had it before */
	use(2, TT_DIR_EGRESS, 1, 2);
	assert_int_equal(out[0].uses, 1);
	use(2, TT_DIR_EGRESS, 1, 3);
	assert_int_equal(recalls, 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(new_token_gives_a_record_at_once),
		TEST(unreadable_is_marked),
		TEST(facts_go_out_at_once), TEST(news_without_end_waits), TEST(class_is_refined),
		TEST(changes_wait_for_the_interval),
		TEST(flush_writes_the_changed_only),
		TEST(earlier_use_moves_the_first),
		TEST(full_forgets_the_longest_unused),
		cmocka_unit_test_setup_teardown(who_sends_it_owns_it_until_another_does, setup_owner, teardown),
		cmocka_unit_test_setup_teardown(a_token_ends_by_itself, setup_owner, teardown),
		cmocka_unit_test_setup_teardown(a_story_goes_on_where_it_was, setup_owner, teardown),
	};

	return cmocka_run_group_tests_name("inventory", tests, NULL, NULL);
}
