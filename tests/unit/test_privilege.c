/* SPDX-License-Identifier: Apache-2.0 */
/* The privilege score: each term for what it should catch and not for its neighbours, sums, rights in use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tokens/privilege.h"

#define DAY (86400ULL * 1000000000)

static struct facts f;
static struct token t;

static int setup(void **state)
{
	facts_done(&f);
	t = (struct token){ .class_name = "", .kind = "" };
	return 0;
}

static void add(enum fact list, const char *text)
{
	assert_int_equal(facts_add(&f, list, text, strlen(text)), 0);
}

static unsigned int score(uint64_t now)
{
	assert_int_equal(privilege_judge(&t, &f, now), 0);
	return (unsigned int)facts_number(&f, FACT_privilege_score);
}

static const char *terms(void)
{
	return facts_text(&f, FACT_privilege_terms);
}

static unsigned int score_of(const char *scope)
{
	facts_done(&f);
	add(FACT_token_scopes, scope);
	return score(0);
}

static void nothing_granted_is_no_score(void **state)
{
	assert_int_equal(score(0), 0);
	assert_string_equal(terms(), "");
	assert_int_equal(score_of("read:items"), 0);
	assert_int_equal(score_of("repo"), 0);	/* GitHub's word, of whose token this is not */
}

static void wildcards(void **state)
{
	static const char *const wild[] = { "*", "*:*", "*.*", "*/*", "s3:*", "mail.*", "pods/*", "all",
					    "full_access", "root", "superuser" };
	static const char *const tame[] = { "a:b:*", "s3:Get*", "*:", "overall", "rooted", "read:*:x" };

	for (size_t i = 0; i < sizeof(wild) / sizeof(wild[0]); i++)
		assert_int_equal(score_of(wild[i]), 60);
	for (size_t i = 0; i < sizeof(tame) / sizeof(tame[0]); i++)
		assert_int_equal(score_of(tame[i]), 0);
	score_of("s3:*");
	assert_string_equal(terms(), "wildcard:s3:*=60");
}

static void admin_is_a_word(void **state)
{
	assert_int_equal(score_of("org:admin"), 40);
	assert_int_equal(score_of("Admin.read"), 40);
	assert_int_equal(score_of("administer"), 0);
	assert_int_equal(score_of("badminton"), 0);
	assert_int_equal(score_of("write:org"), 40 + 20);
}

static void platforms_have_words_of_their_own(void **state)
{
	t.class_name = "github_pat_classic";
	assert_int_equal(score_of("repo"), 60 + 20);
	assert_string_equal(terms(), "tier0:repo=60\nbroad:repo=20");
	t.class_name = "gitlab_pat";
	assert_int_equal(score_of("repo"), 0);
	assert_int_equal(score_of("api"), 80);
	t.class_name = "jwt";
	assert_int_equal(score_of("api"), 0);
	facts_set_text(&f, FACT_token_issuer, "https://gitlab.example.com", 26);
	assert_int_equal(score(0), 80);
	t.class_name = "";
	assert_int_equal(score_of("https://www.googleapis.com/auth/admin.directory.user"), 60 + 40);
	assert_int_equal(score_of("okta.users.manage"), 60 + 40);
	assert_int_equal(score_of("okta.users.read"), 0);
}

static void roles_and_groups_count_too_and_a_term_once(void **state)
{
	add(FACT_token_roles, "Directory.ReadWrite.All");
	add(FACT_token_roles, "Files.ReadWrite.All");
	assert_int_equal(score(0), 60 + 20);
	add(FACT_token_groups, "system:masters");
	assert_int_equal(score(0), 100);	/* 60 + 40 + 20 */
}

static void life(void **state)
{
	facts_set_number(&f, FACT_token_issued, DAY);
	facts_set_number(&f, FACT_token_expires, 2 * DAY);
	assert_int_equal(score(0), 0);
	facts_set_number(&f, FACT_token_expires, 3 * DAY);
	assert_int_equal(score(0), 10);
	t.kind = "api_key";
	assert_int_equal(score(0), 0);
	facts_set_number(&f, FACT_token_expires, 400 * DAY);
	assert_int_equal(score(0), 20);
	facts_set_number(&f, FACT_token_expires, 0);
	assert_int_equal(score(0), 0);	/* of an opaque one nobody knows */
	facts_set_text(&f, FACT_token_expiry_rule, "never", 5);
	assert_int_equal(score(0), 30);
	facts_set_text(&f, FACT_token_expiry_rule, "", 0);
	facts_set_text(&f, FACT_jwt_alg, "RS256", 5);
	assert_int_equal(score(0), 30);
}

static void audience_and_offline(void **state)
{
	add(FACT_token_audience, "https://graph.microsoft.com/");
	assert_int_equal(score(0), 10);
	facts_set_text(&f, FACT_token_bound, "dpop", 4);
	assert_int_equal(score(0), 0);
	add(FACT_token_audience, "https://api.example.com");
	assert_int_equal(score(0), 10);
	add(FACT_token_claims, "typ=Offline");
	assert_int_equal(score(0), 25);
	add(FACT_token_scopes, "offline_access");
	assert_int_equal(score(0), 25);
}

static void unused_needs_time_and_uses(void **state)
{
	add(FACT_token_scopes, "a:read");
	add(FACT_token_scopes, "b:read");
	add(FACT_token_scopes, "c:read");
	add(FACT_token_needed_scopes, "a:read");
	t.first_ns = DAY;
	t.uses = 100;
	assert_int_equal(score(15 * DAY), 20);
	assert_string_equal(facts_text(&f, FACT_privilege_unused), "b:read\nc:read");
	assert_int_equal(score(15 * DAY - 1), 0);
	assert_string_equal(facts_text(&f, FACT_privilege_unused), "");
	t.uses = 99;
	assert_int_equal(score(15 * DAY), 0);
}

/* What servers said was more than was kept: then nothing is called unused. */
static void unused_needs_all_that_is_needed(void **state)
{
	add(FACT_token_scopes, "a:read");
	add(FACT_token_scopes, "b:read");
	add(FACT_token_needed_scopes, "a:read");
	t.first_ns = DAY;
	t.uses = 100;
	assert_int_equal(score(15 * DAY), 15);
	add(FACT_token_answers, "cut");
	assert_int_equal(score(15 * DAY), 0);
	assert_string_equal(facts_text(&f, FACT_privilege_unused), "");
}

static void judged_again_says_the_same(void **state)
{
	add(FACT_token_scopes, "*");
	assert_int_equal(score(0), 60);
	assert_int_equal(score(0), 60);
	assert_string_equal(terms(), "wildcard:*=60");
}

static void kubernetes_rights(void **state)
{
	static const char *const cases[][3] = {
		{ "GET", "/api/v1/namespaces/shop/secrets", "list secrets" },
		{ "GET", "/api/v1/namespaces/shop/secrets/db", "get secrets" },
		{ "GET", "/api/v1/namespaces/shop", "get namespaces" },
		{ "GET", "/api/v1/nodes/n1/proxy", "get nodes/proxy" },
		{ "POST", "/api/v1/namespaces/shop/serviceaccounts/cart/token", "create serviceaccounts/token" },
		{ "PUT", "/apis/apps/v1/namespaces/shop/deployments/cart", "update deployments.apps" },
		{ "PATCH", "/apis/apps/v1/namespaces/shop/deployments/cart/scale", "patch deployments/scale.apps" },
		{ "DELETE", "/api/v1/namespaces/shop/pods", "deletecollection pods" },
		{ "DELETE", "/api/v1/namespaces/shop/pods/{...}", "delete pods" },
		{ "GET", "/apis", NULL }, { "GET", "/api/v1", NULL }, { "GET", "/healthz", NULL },
		{ "GET", "/api/v1/{...}", NULL }, { "TRACE", "/api/v1/pods", NULL }, { "GET", "", NULL },
		{ "GET", "/api/users/pods", NULL },
	};
	char right[PRIVILEGE_RIGHT_LEN];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool is = privilege_kubernetes(cases[i][0], cases[i][1], right);

		assert_int_equal(is, cases[i][2] != NULL);
		if (is)
			assert_string_equal(right, cases[i][2]);
	}
}

static bool use(const char *method, const char *path, uint16_t status)
{
	struct use u = { .status = status };
	bool changed;

	strncpy(u.method, method, sizeof(u.method) - 1);
	strncpy(u.path, path, sizeof(u.path) - 1);
	assert_int_equal(privilege_use(&u, &f, &changed), 0);
	return changed;
}

static void what_is_used_is_known_once_and_counts(void **state)
{
	assert_false(use("GET", "/api/v1/pods", 200));	/* whose API that is, nobody knows */
	facts_set_text(&f, FACT_k8s_service_account, "cart", 4);
	assert_true(use("GET", "/api/v1/pods", 200));
	assert_false(use("GET", "/api/v1/pods", 200));
	assert_false(use("GET", "/api/v1/secrets", 403));
	assert_int_equal(score(0), 0);
	assert_true(use("GET", "/api/v1/secrets", 200));
	assert_string_equal(facts_text(&f, FACT_privilege_used), "list pods\nlist secrets");
	assert_int_equal(score(0), 60);
	assert_string_equal(terms(), "used:list secrets=60");
	facts_set_text(&f, FACT_privilege_used, "", 0);
	assert_true(use("POST", "/apis/apps/v1/namespaces/x/deployments", 201));
	assert_int_equal(score(0), 60);
}

static void a_full_list_is_no_news(void **state)
{
	char path[64] = "/api/v1/namespaces/x/";
	int changes = 0;

	facts_set_text(&f, FACT_k8s_service_account, "cart", 4);
	for (int i = 0; i < 2000; i++) {
		path[21] = (char)('a' + i / 676 % 26);
		path[22] = (char)('a' + i / 26 % 26);
		path[23] = (char)('a' + i % 26);
		memset(path + 24, 'z', 20);
		changes += use("GET", path, 200);
	}
	assert_true(changes > 20 && changes < 60);
}

static int done(void **state)
{
	facts_done(&f);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nothing_granted_is_no_score, setup),
		cmocka_unit_test_setup(wildcards, setup),
		cmocka_unit_test_setup(admin_is_a_word, setup),
		cmocka_unit_test_setup(platforms_have_words_of_their_own, setup),
		cmocka_unit_test_setup(roles_and_groups_count_too_and_a_term_once, setup),
		cmocka_unit_test_setup(life, setup),
		cmocka_unit_test_setup(audience_and_offline, setup),
		cmocka_unit_test_setup(unused_needs_time_and_uses, setup),
		cmocka_unit_test_setup(unused_needs_all_that_is_needed, setup),
		cmocka_unit_test_setup(judged_again_says_the_same, setup),
		cmocka_unit_test_setup(kubernetes_rights, setup),
		cmocka_unit_test_setup(what_is_used_is_known_once_and_counts, setup),
		cmocka_unit_test_setup(a_full_list_is_no_news, setup),
	};

	return cmocka_run_group_tests(tests, NULL, done);
}
