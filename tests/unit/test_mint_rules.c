/* SPDX-License-Identifier: Apache-2.0 */
/* tokens/mint_rules.c with bpf/readers/mint_route.h: which heads are requests for tokens. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <readers/mint_route.h>

#include "tokens/mint_rules.h"

static struct {
	struct tt_mint_rule rules[TT_MINT_RULES_MAX];
	uint64_t keys[64];
	struct tt_mint_key_val vals[64];
	size_t keys_len;
} tables;

static int put_rule(uint32_t id, const struct tt_mint_rule *rule, void *data)
{
	assert_true(id < TT_MINT_RULES_MAX);
	tables.rules[id] = *rule;
	return 0;
}

static int put_key(uint64_t key, const struct tt_mint_key_val *val, void *data)
{
	for (size_t i = 0; i < tables.keys_len; i++)
		assert_true(tables.keys[i] != key);
	assert_true(tables.keys_len < 64);
	tables.keys[tables.keys_len] = key;
	tables.vals[tables.keys_len++] = *val;
	return 0;
}

static int put_member(const struct tt_mint_member_key *key, const struct tt_mint_member_val *val, void *data)
{
	return 0;
}

static void fill(void)
{
	const struct mint_tables to = { put_rule, put_key, put_member, NULL };

	memset(&tables, 0, sizeof(tables));
	assert_int_equal(mint_tables_each(&to), 0);
}

static uint8_t try_key(const struct h1_head *h, uint64_t key)
{
	for (size_t i = 0; i < tables.keys_len; i++) {
		if (tables.keys[i] != key)
			continue;
		for (size_t k = 0; k < TT_MINT_KEY_RULES && tables.vals[i].rule[k]; k++)
			if (mint_rule_fits(h, &tables.rules[tables.vals[i].rule[k]]))
				return tables.vals[i].rule[k];
	}
	return 0;
}

/* The name of the rule that fits, "" = none. What lies behind texts in a head is anything. */
static const char *route(const char *method, const char *host, const char *path)
{
	struct h1_head h;
	uint8_t id;

	memset(&h, '/', sizeof(h));
	h.method_len = strlen(method);
	h.path_len = strlen(path);
	h.host_len = strlen(host);
	memcpy(h.method, method, h.method_len);
	memcpy(h.path, path, h.path_len);
	memcpy(h.host, host, h.host_len);
	id = try_key(&h, mint_key_begin(&h));
	if (!id)
		id = try_key(&h, mint_key_end(&h));
	return id ? mint_rule_get(id)->name : "";
}

static void test_routes(void **state)
{
	static const struct {
		const char *method, *host, *path, *rule;
	} heads[] = {
		{ "POST", "idp.example.com", "/token", "oauth" },
		{ "POST", "idp.example.com", "/oauth2/v2.0/token", "oauth" },
		{ "POST", "idp.example.com", "/realms/R/protocol/openid-connect/token", "oauth" },
		{ "POST", "github.com", "/login/oauth/access_token", "oauth" },
		{ "GET", "auth.docker.io", "/token", "registry" },
		{ "PUT", "idp.example.com", "/token", "" },
		{ "POST", "idp.example.com", "/mytoken", "" },
		{ "POST", "idp.example.com", "/token/x", "" },
		{ "POST", "idp.example.com", "token", "" },
		{ "POST", "idp.example.com", "/oken", "" },
		{ "POST", "idp.example.com", "", "" },
		{ "PUT", "169.254.169.254", "/latest/api/token", "aws_imds_token" },
		{ "GET", "169.254.169.254", "/latest/meta-data/iam/{...}/reader", "aws_imds_role" },
		{ "GET", "169.254.169.254", "/latest/meta-data/instance-id", "" },
		{ "GET", "169.254.170.2", "/v2/credentials/{...}", "aws_ecs" },
		{ "GET", "169.254.170.23", "/v1/credentials", "aws_eks_pod" },
		{ "GET", "metadata.google.internal", "/computeMetadata/v1/instance/service-accounts/default/token",
		  "gcp_metadata_token" },
		{ "GET", "metadata.google.internal", "/computeMetadata/v1/instance/service-accounts/{...}/identity",
		  "gcp_metadata_identity" },
		{ "POST", "metadata.google.internal", "/computeMetadata/v1/instance/service-accounts/default/token",
		  "gcp_metadata_token" },
		{ "POST", "metadata.google.internal", "/computeMetadata/v1/instance/service-accounts/{...}/identity",
		  "gcp_metadata_identity" },
		{ "GET", "metadata.google.internal", "/computeMetadata/v1/instance/service-accounts/default/email", "" },
		{ "GET", "169.254.169.254", "/metadata/identity/oauth2/token", "azure_imds" },
		{ "POST", "sts.us-east-1.amazonaws.com", "/", "aws_sts" },
		{ "POST", "STS.amazonaws.com:443", "/", "aws_sts" },
		{ "POST", "st", "/", "" },
		{ "POST", "ec2.amazonaws.com", "/", "" },
		{ "POST", "k", "/api/v1/namespaces/n/serviceaccounts/s/token", "kubernetes_token" },
		{ "POST", "k", "/apis/{...}/v1/tokenreviews", "kubernetes_review" },
		{ "POST", "api.github.com", "/app/installations/{...}/access_tokens", "github_app" },
		{ "DELETE", "api.github.com", "/installation/token", "github_installation" },
		{ "POST", "v", "/v1/auth/kubernetes/login", "vault_auth" },
		{ "PUT", "v", "/v1/auth/userpass/login/someone", "vault_auth" },
		{ "POST", "v", "/v1/auth/token/revoke-self", "vault_revoke" },
		{ "POST", "i", "/oauth2/v1/revoke", "oauth_revoke" },
		{ "POST", "i", "/token/revocation", "oauth_revoke" },
		{ "POST", "i", "/token/introspection", "oauth_introspect" },
		{ "POST", "iamcredentials.googleapis.com", "/v1/projects/-/serviceAccounts/{...}", "google_iam" },
		{ "GET", "i", "/v1/items/17", "" },
	};

	fill();
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		if (strcmp(route(heads[i].method, heads[i].host, heads[i].path), heads[i].rule) != 0)
			fail_msg("%s %s%s: '%s'", heads[i].method, heads[i].host, heads[i].path,
				 route(heads[i].method, heads[i].host, heads[i].path));
}

static void test_added(void **state)
{
	fill();
	assert_string_equal(route("POST", "h", "/api/v3/very/long/path/to/the/endpoint/getToken"), "");
	assert_int_equal(mint_rule_add("/api/v3/very/long/path/to/the/endpoint/getToken"), 0);
	assert_int_equal(mint_rule_add("/api/v3/very/long/path/to/the/endpoint/getToken"), -EEXIST);
	assert_int_equal(mint_rule_add("*/sign-in"), 0);
	assert_int_equal(mint_rule_add("/t"), 0);
	assert_int_equal(mint_rule_add("sign-in"), -EINVAL);
	assert_int_equal(mint_rule_add("*/x"), -EINVAL);
	assert_int_equal(mint_rule_add("/a*b*/x"), -EINVAL);
	assert_int_equal(mint_rule_add("/a?b"), -EINVAL);
	fill();
	assert_string_equal(route("POST", "h", "/api/v3/very/long/path/to/the/endpoint/getToken"), "oauth");
	assert_string_equal(route("POST", "h", "/api/v3/very/long/path/to/the/endpoint/xgetToken"), "");
	assert_string_equal(route("POST", "h", "/api/v3/very/long/path/to/the/endpoint/getTokens"), "");
	assert_string_equal(route("POST", "h", "/v1/sign-in"), "oauth");
	assert_string_equal(route("POST", "h", "/t"), "oauth");
	assert_string_equal(route("POST", "h", "/tt"), "");
	assert_null(mint_rule_get(0));
	assert_null(mint_member_get(0));
	/* Others in their place; a rule that a request waits with stays what it was, and so do ids. */
	mint_rules_begin();
	assert_int_equal(mint_rule_add("/other/token/of/ours"), 0);
	fill();
	assert_string_equal(route("POST", "h", "/t"), "");
	assert_string_equal(route("POST", "h", "/v1/sign-in"), "");
	assert_string_equal(route("POST", "h", "/other/token/of/ours"), "oauth");
	assert_string_equal(mint_rule_get(mint_rules_count + 3)->path, "/t");
	mint_rules_undo();
	fill();
	assert_string_equal(route("POST", "h", "/t"), "oauth");
	assert_string_equal(route("POST", "h", "/other/token/of/ours"), "");
	assert_null(mint_rule_get(mint_rules_count + 4));
}

static void test_room(void **state)
{
	char path[64];

	mint_rules_begin();
	for (int i = 0; i < 16; i++) {
		snprintf(path, sizeof(path), "/%d/our-own/token", i);
		assert_int_equal(mint_rule_add(path), 0);
	}
	assert_int_equal(mint_rule_add("/one-more/token"), -ENOSPC);
	fill();	/* put_rule() knows how many fit */
	mint_rules_begin();
	for (int i = 0; i < 5; i++) {
		snprintf(path, sizeof(path), "/second/%d", i);
		assert_int_equal(mint_rule_add(path), 0);
	}
	assert_int_equal(mint_rule_add("/second/9"), -ENOSPC);	/* the 25th since the start */
	assert_int_equal(mint_rule_add("/0/our-own/token"), 0);
	fill();
	mint_rules_begin();
	fill();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_added),
		cmocka_unit_test(test_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
