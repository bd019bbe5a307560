/* SPDX-License-Identifier: Apache-2.0 */
/* agent/minting.c: records of head, bodies and status become one mint, and facts of its tokens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "agent/minting.h"
#include "sinks/sink.h"
#include "tokens/facts.h"

#define S UINT64_C(1000000000)
#define REAL (1700000000 * S)

static const uint8_t publish[PUBLISH_KEY_LEN] = { 1, 2, 3 };
static struct convert *convert;
static struct process_cache *processes;
static struct minting *minting;
static struct mint last;
static size_t mints;

static void on_mint(void *ctx, const struct mint *m)
{
	last = *m;
	mints++;
}

static int nobody_answers(void *ctx, const struct tt_ipc_ask *ask)
{
	return -1;
}

static void no_use(void *ctx, const struct tt_ev_use *ev, struct outcome outcome, const struct process_info *info)
{
}

static int setup(void **state)
{
	static const struct process_ops ops = { nobody_answers, no_use, NULL };

	mints = 0;
	assert_int_equal(convert_new(publish, "00112233aabbccdd", &convert), 0);
	convert_set_clock(convert, 0, REAL);
	assert_int_equal(process_new(8, 8, &ops, NULL, &processes), 0);
	return minting_new(4, 30 * S, convert, processes, on_mint, NULL, &minting);
}

static int teardown(void **state)
{
	minting_free(minting);
	process_free(processes);
	convert_free(convert);
	return 0;
}

static uint8_t rule_id(const char *name)
{
	for (uint8_t id = 1; mint_rule_get(id); id++)
		if (strcmp(mint_rule_get(id)->name, name) == 0)
			return id;
	fail_msg("no rule %s", name);
	return 0;
}

static uint8_t member(uint8_t set, const char *path)
{
	for (uint8_t id = 1; mint_member_get(id); id++)
		if (mint_member_get(id)->set == set && strcmp(mint_member_get(id)->path, path) == 0)
			return id;
	fail_msg("no member %s", path);
	return 0;
}

static struct tt_ev_use head(const char *rule, const char *path)
{
	struct tt_ev_use ev = { .h = { .conn = 7, .seq = 1, .time_ns = S, .tgid = 5, .tuple.family = TT_AF_INET,
				       .tuple.remote_port = 8443 },
				.dir = TT_DIR_EGRESS, .version = 11, .mint = rule_id(rule) };

	ev.method_len = 4;
	memcpy(ev.method, "POST", 4);
	ev.path_len = strlen(path);
	memcpy(ev.path, path, ev.path_len);
	ev.host_len = 3;
	memcpy(ev.host, "idp", 3);
	return ev;
}

static struct tt_ev_mint body(const char *rule, uint8_t part, uint16_t status)
{
	struct tt_ev_mint ev = { .h = { .conn = 7, .seq = 1, .time_ns = 2 * S }, .part = part, .rule = rule_id(rule),
				 .status = status, .flags = TT_MINT_WHOLE };

	return ev;
}

static uint8_t set_of(const struct tt_ev_mint *ev)
{
	const struct mint_rule *r = mint_rule_get(ev->rule);

	return ev->part == TT_MINT_ANSWER ? r->answer_set : r->request_set;
}

static void text(struct tt_ev_mint *ev, const char *path, const char *value)
{
	ev->text[ev->text_len] = member(set_of(ev), path);
	ev->text[ev->text_len + 1] = strlen(value);
	memcpy(ev->text + ev->text_len + 2, value, strlen(value));
	ev->text_len += 2 + strlen(value);
}

static void cred(struct tt_ev_mint *ev, const char *path, uint64_t token)
{
	ev->cred[ev->creds++] = (struct tt_mint_cred){ .token = { token, 1 }, .length = 20,
						       .member = member(set_of(ev), path) };
}

static const char *id(uint64_t token)
{
	static char ids[4][TOKEN_ID_LEN];
	static int next;
	const uint64_t words[2] = { token, 1 };

	next = (next + 1) % 4;
	assert_int_equal(convert_id(convert, words, 20, ids[next]), 0);
	return ids[next];
}

static int take(void *ctx, const struct token *about, const struct facts *f)
{
	int *n = ctx;

	(*n)++;
	if (strcmp(about->token_id, id(10)) == 0) {
		assert_string_equal(about->kind, "oauth_access");
		assert_int_equal(facts_number(f, FACT_token_expires), REAL + 602 * S);
		assert_string_equal(facts_text(f, FACT_token_expiry_rule), "expires_in");
		assert_string_equal(facts_text(f, FACT_token_scopes), "a\nb");
		assert_string_equal(facts_text(f, FACT_minted_parent), id(12));
		assert_string_equal(facts_text(f, FACT_minted_previous), "");
		assert_string_equal(facts_text(f, FACT_minted_issuer), "idp:8443/token");
	} else if (strcmp(about->token_id, id(14)) == 0) {
		/* What the answer says is of the access token, but for where it is from. */
		assert_string_equal(about->kind, "id_token");
		assert_int_equal(facts_number(f, FACT_token_expires), 0);
		assert_string_equal(facts_text(f, FACT_token_scopes), "");
		assert_string_equal(facts_text(f, FACT_minted_parent), id(12));
	} else {
		assert_string_equal(about->token_id, id(11));
		assert_string_equal(about->kind, "oauth_refresh");
		assert_int_equal(facts_number(f, FACT_token_expires), 0);
		assert_string_equal(facts_text(f, FACT_minted_previous), id(12));
	}
	return 0;
}

static void a_refresh(void **state)
{
	struct tt_ev_use ev = head("oauth", "/token");
	struct tt_ev_mint asked = body("oauth", TT_MINT_REQUEST, 0), answer = body("oauth", TT_MINT_ANSWER, 200);
	int facts = 0;

	text(&asked, "grant_type", "refresh_token");
	text(&asked, "scope", "a b");
	cred(&asked, "client_secret", 13);
	cred(&asked, "refresh_token", 12);
	cred(&answer, "access_token", 10);
	cred(&answer, "refresh_token", 11);
	cred(&answer, "id_token", 14);
	text(&answer, "expires_in", "600");
	minting_use(minting, &ev, 0);
	minting_body(minting, &asked, 0);
	assert_int_equal(mints, 0);
	minting_body(minting, &answer, 0);
	assert_int_equal(mints, 1);
	assert_int_equal(minting_count(minting), 0);
	assert_true(last.succeeded);
	assert_string_equal(last.grant, "refresh_token");
	assert_string_equal(last.requested_scopes, "a b");
	assert_int_equal(last.tokens, 5);
	assert_string_equal(mint_token_of(&last, MINT_PART_PARENT, "body:client_secret")->id, id(13));
	assert_int_equal(mint_facts(&last, take, &facts), 0);
	assert_int_equal(facts, 3);
}

/* A refused one is told of, and nothing in it is a token; a path alone is not believed. */
static void refused(void **state)
{
	struct tt_ev_use ev = head("oauth", "/token");
	struct tt_ev_mint answer = body("oauth", TT_MINT_ANSWER, 400);
	int facts = 0;

	text(&answer, "error", "invalid_grant");
	cred(&answer, "access_token", 10);
	minting_use(minting, &ev, 0);
	minting_body(minting, &answer, 0);
	assert_int_equal(mints, 1);
	assert_string_equal(mint_outcome(&last), "failed");
	assert_string_equal(last.error, "invalid_grant");
	assert_int_equal(last.tokens, 0);
	assert_int_equal(mint_facts(&last, take, &facts), 0);
	assert_int_equal(facts, 0);
	answer = body("oauth", TT_MINT_ANSWER, 200);
	minting_use(minting, &ev, 0);
	minting_body(minting, &answer, 0);
	assert_int_equal(mints, 1);
}

static int dated(void *ctx, const struct token *about, const struct facts *f)
{
	assert_int_equal(facts_number(f, FACT_token_expires), UINT64_C(1900000000) * S);
	assert_string_equal(facts_text(f, FACT_token_expiry_rule), "expires_at");
	++*(int *)ctx;
	return 0;
}

/* When a token ends may be given as a date. */
static void a_date(void **state)
{
	struct tt_ev_use ev = head("kubernetes_token", "/api/v1/namespaces/a/serviceaccounts/b/token");
	struct tt_ev_mint answer = body("kubernetes_token", TT_MINT_ANSWER, 201);
	int facts = 0;

	cred(&answer, "status.token", 10);
	text(&answer, "status.expirationTimestamp", "2030-03-17T17:46:40Z");
	minting_use(minting, &ev, 0);
	minting_body(minting, &answer, 0);
	assert_int_equal(mint_facts(&last, dated, &facts), 0);
	assert_int_equal(facts, 1);
}

/* One host, one path: only the Action tells a mint from a question. */
static void actions(void **state)
{
	static const struct {
		const char *action;
		size_t mints;
	} list[] = {
		{ "AssumeRole", 1 }, { "AssumeRoleWithWebIdentity", 1 }, { "GetSessionToken", 1 },
		{ "GetWebIdentityToken", 1 }, { "GetCallerIdentity", 0 }, { "GetAccessKeyInfo", 0 },
		{ "DecodeAuthorizationMessage", 0 }, { "GetToke", 0 }, { "Token", 0 },
	};
	struct tt_ev_use ev = head("aws_sts", "/");
	size_t before;

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		struct tt_ev_mint asked = body("aws_sts", TT_MINT_REQUEST, 0);
		struct tt_ev_mint answer = body("aws_sts", TT_MINT_ANSWER, 200);

		before = mints;
		text(&asked, "Action", list[i].action);
		text(&answer, "Arn", "arn:aws:sts::123456789012:x");
		minting_use(minting, &ev, 0);
		minting_body(minting, &asked, 0);
		minting_body(minting, &answer, 0);
		if (mints - before != list[i].mints)
			fail_msg("%s: %zu", list[i].action, mints - before);
	}
}

static int revoked(void *ctx, const struct token *about, const struct facts *f)
{
	int *n = ctx;

	(*n)++;
	assert_string_equal(about->token_id, id(20));
	assert_int_equal(facts_number(f, FACT_revoked_time), REAL + 2 * S);
	assert_string_equal(facts_text(f, FACT_revoked_method), "oauth_revoke");
	return 0;
}

static void a_revocation(void **state)
{
	struct tt_ev_use ev = head("oauth_revoke", "/revoke");
	struct tt_ev_mint asked = body("oauth_revoke", TT_MINT_REQUEST, 0);
	struct tt_ev_mint answer = body("oauth_revoke", TT_MINT_ANSWER, 200);
	int facts = 0;

	cred(&asked, "token", 20);
	minting_use(minting, &ev, 0);
	minting_body(minting, &asked, 0);
	minting_body(minting, &answer, 0);
	assert_int_equal(mints, 1);
	assert_int_equal(last.action, MINT_KIND_REVOKE);
	assert_int_equal(mint_facts(&last, revoked, &facts), 0);
	assert_int_equal(facts, 1);
}

/* Compressed; and none at all, which is counted. */
static void no_answer(void **state)
{
	struct tt_ev_use ev = head("azure_imds", "/metadata/identity/oauth2/token");
	struct tt_ev_mint answer = body("azure_imds", TT_MINT_ANSWER, 200);
	struct tt_ev_status status = { .h = { .conn = 7, .seq = 1 }, .status = 200 };
	uint64_t lost = agent_drops[TT_DROP_mint_lost];

	answer.flags = TT_MINT_COMPRESSED;
	minting_use(minting, &ev, 0);
	minting_body(minting, &answer, 0);
	assert_string_equal(last.note, "compressed");
	minting_use(minting, &ev, 0);
	minting_status(minting, &status, S);
	minting_tick(minting, 2 * S);
	assert_int_equal(mints, 1);
	minting_tick(minting, 4 * S);
	assert_int_equal(mints, 2);
	assert_string_equal(last.note, "answer_not_seen");
	assert_int_equal(agent_drops[TT_DROP_mint_lost], lost + 1);
	minting_use(minting, &ev, 0);
	minting_close(minting, &status, 0);
	assert_int_equal(mints, 3);
	assert_string_equal(mint_outcome(&last), "unknown");
}

/* The table's limit lets the oldest go on as it is; what never left is forgotten. */
static void limits(void **state)
{
	struct tt_ev_use ev = head("azure_imds", "/metadata/identity/oauth2/token");
	struct tt_ev_status unsent = { .h = { .conn = 7, .seq = 4 }, .flags = TT_STATUS_UNSENT };

	for (ev.h.seq = 0; ev.h.seq < 5; ev.h.seq++)
		minting_use(minting, &ev, 0);
	assert_int_equal(mints, 1);
	minting_status(minting, &unsent, 0);
	assert_int_equal(minting_count(minting), 3);
	minting_flush(minting, 0);
	assert_int_equal(mints, 4);
	assert_int_equal(minting_count(minting), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_refresh, setup, teardown),
		cmocka_unit_test_setup_teardown(refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_date, setup, teardown),
		cmocka_unit_test_setup_teardown(actions, setup, teardown),
		cmocka_unit_test_setup_teardown(a_revocation, setup, teardown),
		cmocka_unit_test_setup_teardown(no_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(limits, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
