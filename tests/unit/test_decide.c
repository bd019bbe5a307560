/* SPDX-License-Identifier: Apache-2.0 */
/* tokens/decide.c: what host, carrier and scheme add to what the kernel said; tokens/public.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tokens/decide.h"
#include "tokens/public.h"

static uint16_t row(const char *name, uint32_t len)
{
	for (uint16_t id = 1; id <= class_count(); id++) {
		const struct token_class *c = class_get(id);

		if (!c->told_of && strcmp(c->name, name) == 0 && len >= c->min_len && len <= c->max_len)
			return id;
	}
	fail_msg("no class %s of %u bytes", name, len);
	return 0;
}

static const struct carrier *header(const char *name)
{
	for (uint16_t id = 1; name && id <= carrier_count(); id++)
		if (strcmp(carrier_get(id)->name, name) == 0)
			return carrier_get(id);
	return NULL;
}

static const struct scheme *scheme(const char *name)
{
	for (uint8_t id = 1; name && id <= scheme_count(); id++)
		if (strcmp(scheme_get(id)->name, name) == 0)
			return scheme_get(id);
	return NULL;
}

static void decisions(void **state)
{
	static const struct {
		const char *said;
		uint32_t len;
		const char *carrier, *scheme, *host, *name, *kind, *confidence;
	} cases[] = {
		{"github_pat_fine", 93, "authorization", "bearer", "api.github.com", "github_pat_fine", "api_key",
		 "high"},
		{"github_pat_fine", 93, "authorization", "bearer", "xgithub.com", "github_pat_fine", "api_key",
		 "medium"},
		{"gcp_auth_key", 52, "x-goog-api-key", NULL, "a.googleapis.com", "gcp_auth_key", "api_key", "high"},
		{"gcp_auth_key", 52, "x-goog-api-key", NULL, "googleapis.com", "gcp_auth_key", "api_key", "medium"},
		{"hex32", 32, "dd-api-key", NULL, "", "datadog_api", "api_key", "low"},
		{"hex32", 32, "x-api-key", NULL, "", "hex32", "api_key", "low"},
		{"deepseek", 35, "authorization", "bearer", "api.deepseek.com", "deepseek", "api_key", "high"},
		{"deepseek", 35, "authorization", "bearer", "example.com", "generic_sk", "api_key", "low"},
		/* openai_legacy has that prefix and length too, and marks that this one has not. */
		{"braintrust", 51, "authorization", "bearer", "api.braintrust.dev", "braintrust", "api_key", "high"},
		{"braintrust", 51, "authorization", "bearer", "example.com", "generic_sk", "api_key", "low"},
		{NULL, 88, "x-api-key", NULL, "a.blob.core.windows.net", "azure_storage_key", "client_secret", "low"},
		{NULL, 88, "x-api-key", NULL, "example.com", "opaque", "", "low"},
		{"okta_ssws", 42, "authorization", "ssws", "acme.okta.com", "okta_ssws", "api_key", "high"},
		{"okta_ssws", 42, "authorization", "bearer", "example.com", "opaque", "", "low"},
		{"uuid", 36, "x-consul-token", NULL, "", "consul_token", "service_account", "low"},
		{"uuid", 36, "authorization", "bearer", "", "uuid", "api_key", "low"},
		{NULL, 400, "x-amz-security-token", NULL, "", "aws_session_token", "cloud_sts", "low"},
		{"jwt", 400, "x-amz-security-token", NULL, "", "jwt", "oauth_access", "medium"},
		{NULL, 30, "authorization", "bearer", "", "opaque", "", "low"},
		{NULL, 30, "mcp-session-id", NULL, "", "mcp_session", "session", "low"},
		{"hex64", 64, "x-amz-signature", NULL, "minio.local", "aws_presigned", "signed_url", "low"},
		{NULL, 28, "signature", NULL, "b.s3.amazonaws.com", "aws_presigned", "signed_url", "low"},
		{NULL, 344, "signature", NULL, "d1.cloudfront.net", "cloudfront_signed_url", "signed_url", "low"},
		{NULL, 14, "key-pair-id", NULL, "cdn.example.com", "cloudfront_key_pair", "key_id", "low"},
		{"aws_key_long", 20, "x-amz-credential", NULL, "b.s3.amazonaws.com", "aws_key_long", "key_id", "high"},
		{NULL, 10, "x-amz-credential", NULL, "minio.local", "opaque", "key_id", "low"},
		{NULL, 512, "x-goog-signature", NULL, "storage.googleapis.com", "gcp_signed_url", "signed_url", "low"},
		{NULL, 44, "sig", NULL, "a.blob.core.windows.net", "azure_sas", "signed_url", "low"},
		{NULL, 43, "sig", NULL, "p.westeurope.logic.azure.com", "azure_sas", "signed_url", "low"},
		{NULL, 56, "code", NULL, "f.azurewebsites.net", "azure_functions_key", "api_key", "low"},
		{"gcp_api_key", 39, "key", NULL, "maps.googleapis.com", "gcp_api_key", "api_key", "high"},
		/* told by its bytes, wherever it stands */
		{"gcp_api_key", 39, "key", NULL, "example.com", "gcp_api_key", "api_key", "medium"},
		{"jwt", 400, "auth", NULL, "a.firebaseio.com", "jwt", "oauth_access", "high"},
		{"hex40", 40, "auth", NULL, "a.firebaseio.com", "firebase_secret", "client_secret", "low"},
		{"jwt", 400, "assertion", NULL, "", "jwt", "oauth_access", "high"},
		{NULL, 600, "samlresponse", NULL, "", "saml", "session", "low"},
		{"salesforce_session", 112, "sid", NULL, "a.my.salesforce.com", "salesforce_session", "session", "high"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tt_cred cred = {.length = cases[i].len};
		struct verdict v;

		cred.class_id = cases[i].said ? row(cases[i].said, cases[i].len) : 0;
		class_decide(&cred, header(cases[i].carrier), scheme(cases[i].scheme), cases[i].host, &v);
		if (strcmp(v.class_name, cases[i].name) != 0 || strcmp(v.kind, cases[i].kind) != 0 ||
		    strcmp(confidence_name(v.confidence), cases[i].confidence) != 0)
			fail_msg("%zu: %s %s %s", i, v.class_name, v.kind, confidence_name(v.confidence));
		assert_false(v.placeholder || v.none);
	}
}

/* A name that only ends like those of credentials: what has no class is generic, and a word is none at all. */
static void suffixes(void **state)
{
	struct tt_cred cred = {.length = 30};
	const struct carrier *c = header("-api-key");
	struct verdict v;

	assert_non_null(c);
	class_decide(&cred, c, NULL, "example.com", &v);
	assert_string_equal(v.class_name, "generic_header");
	assert_string_equal(v.kind, "api_key");
	assert_int_equal(v.confidence, CONFIDENCE_LOW);
	assert_false(v.none);
	cred.length = 7;
	class_decide(&cred, c, NULL, "example.com", &v);
	assert_true(v.none);
	cred = (struct tt_cred){.length = 93, .class_id = row("github_pat_fine", 93)};
	class_decide(&cred, header("-token"), NULL, "example.com", &v);
	assert_string_equal(v.class_name, "github_pat_fine");
	assert_false(v.none);
	cred = (struct tt_cred){.length = 9, .class_id = row("placeholder", 9)};
	class_decide(&cred, header("-token"), NULL, "example.com", &v);
	assert_true(v.placeholder);
}

/* Whoever signs with it: a class of key ids, or no more than that it is one; a secret's class never. */
static void key_ids(void **state)
{
	size_t signing = 0;

	for (uint8_t id = 1; id <= scheme_count(); id++) {
		const struct scheme *s = scheme_get(id);
		struct tt_cred cred = {.length = 20, .class_id = row("aws_key_long", 20)};
		struct verdict v;

		if (!scheme_is_signed(s))
			continue;
		signing++;
		class_decide(&cred, header("authorization"), s, "s3.amazonaws.com", &v);
		assert_string_equal(v.class_name, "aws_key_long");
		assert_string_equal(v.kind, "key_id");
		for (int i = 0; i < 3; i++) {
			cred.length = i == 0 ? 36 : i == 1 ? 400 : 88;
			cred.class_id = i == 0 ? row("uuid", 36) : i == 1 ? row("jwt", 400) : 0;
			class_decide(&cred, header("authorization"), s, "a.core.windows.net", &v);
			if (strcmp(v.class_name, "signing_key_id") != 0 || strcmp(v.kind, "key_id") != 0)
				fail_msg("%s: %s, %s", s->name, v.class_name, v.kind);
		}
		cred = (struct tt_cred){.length = 9, .class_id = row("placeholder", 9)};
		class_decide(&cred, header("authorization"), s, "", &v);
		assert_true(v.placeholder);
	}
	assert_in_range(signing, 10, 255);
}

static void checksum_and_placeholder(void **state)
{
	struct tt_cred cred = {.length = 40, .flags = TT_CRED_CHECKSUM_OK};
	struct verdict v;

	cred.class_id = row("github_pat_classic", 40);
	class_decide(&cred, header("authorization"), NULL, "", &v);
	assert_int_equal(v.confidence, CONFIDENCE_HIGH);
	cred.flags = TT_CRED_CHECKSUM_BAD;
	class_decide(&cred, header("authorization"), NULL, "", &v);
	assert_int_equal(v.confidence, CONFIDENCE_MEDIUM);
	cred = (struct tt_cred){.length = 9, .class_id = row("placeholder", 9)};
	class_decide(&cred, header("authorization"), NULL, "", &v);
	assert_true(v.placeholder);
	cred = (struct tt_cred){.flags = TT_CRED_UNREADABLE};
	class_decide(&cred, NULL, NULL, "", &v);
	assert_string_equal(v.class_name, "");
	assert_int_equal(v.confidence, CONFIDENCE_NONE);
}

/* A name like "key" or "code" alone says nothing. */
static void parameters_that_are_none(void **state)
{
	static const struct {
		const char *said;
		uint32_t len;
		const char *carrier, *host;
	} cases[] = {
		{NULL, 30, "key", "maps.googleapis.com"},
		{NULL, 39, "key", "example.com"},
		{"uuid", 36, "key", "maps.googleapis.com"},
		{"hex32", 32, "key", "example.com"},
		{"jwt", 400, "key", "example.com"},
		{NULL, 20, "code", "example.com"},
		{NULL, 56, "code", "example.com"},
		{"jwe", 900, "code", "f.azurewebsites.net"},
		{NULL, 700, "code", "f.azurewebsites.net"},
		{NULL, 44, "sig", "example.com"},
		{NULL, 4, "sig", "a.blob.core.windows.net"},
		{NULL, 28, "signature", "example.com"},
		{NULL, 28, "signature", ""},
		{NULL, 5, "auth", "a.firebaseio.com"},
		{"jwt", 400, "auth", "example.com"},
		{NULL, 4, "assertion", "example.com"},
		{NULL, 8, "samlresponse", "example.com"},
		{NULL, 32, "sid", "example.com"},
		{NULL, 4, "key-pair-id", "example.com"},
		{NULL, 20, "idx", "example.com"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tt_cred cred = {.length = cases[i].len};
		struct verdict v;

		cred.class_id = cases[i].said ? row(cases[i].said, cases[i].len) : 0;
		class_decide(&cred, header(cases[i].carrier), NULL, cases[i].host, &v);
		if (!v.none)
			fail_msg("%s at %s: %s", cases[i].carrier, cases[i].host, v.class_name);
	}
}

/* In a path only what stands in its place, or what its bytes tell. */
static void paths(void **state)
{
	static const struct {
		const char *class, *place, *host, *kind, *confidence;	/* confidence NULL: it is none */
	} cases[] = {
		{"slack_webhook", "/services/*/*/{}", "hooks.slack.com", "webhook", "high"},
		{"slack_webhook", "/services/*/*/{}", "example.com", "", NULL},
		{"slack_webhook", "/services/*/*/{}", "", "", NULL},
		{"discord_webhook", "/api/webhooks/*/{}", "discord.com", "webhook", "high"},
		{"teams_webhook", "/webhookb2/*/IncomingWebhook/{}", "acme.webhook.office.com", "webhook", "high"},
		{"tines_webhook", "/webhook/*/{}", "example.com", "", NULL},
		{"telegram_bot", "/bot{}", "api.telegram.org", "api_key", "high"},
		{"telegram_bot", "/bot{}", "bots.local", "api_key", "medium"},
		{"vault_in_path", "/v1/auth/token/renew/{}", "vault.local", "service_account", "medium"},
		{"github_pat_classic", "{}", "example.com", "api_key", "medium"},
		{"jwt", "{}", "example.com", "oauth_access", "medium"},
		{NULL, "{}", "api.cloudflare.com", "", NULL},
		{NULL, "/services/*/*/{}", "hooks.slack.com", "", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tt_cred cred = {.length = 40};
		struct verdict v;

		for (uint16_t id = 1; cases[i].class && !cred.class_id && id <= class_count(); id++)
			if (strcmp(class_get(id)->name, cases[i].class) == 0 &&
			    (strcmp(cases[i].place, "{}") == 0 || class_is_at(id, cases[i].place)))
				cred.class_id = id;
		if (cred.class_id)
			cred.length = class_get(cred.class_id)->min_len;
		class_decide(&cred, header(cases[i].place), NULL, cases[i].host, &v);
		if (v.none != !cases[i].confidence)
			fail_msg("%s at %s: %d", cases[i].place, cases[i].host, v.none);
		if (v.none)
			continue;
		assert_string_equal(v.class_name, cases[i].class);
		assert_string_equal(v.kind, cases[i].kind);
		assert_string_equal(confidence_name(v.confidence), cases[i].confidence);
	}
}

/* The id is put together here from an account's number, the other way round. */
static void account_of_a_key(void **state)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	char id[21] = "AKIA", account[13];
	uint64_t bits = (123456789012ULL << 7 | 1) << 2;

	for (int i = 13; i >= 4; i--, bits >>= 5)
		id[i] = digits[bits & 31];
	memset(id + 14, 'Q', 6);
	public_aws_account(id, account);
	assert_string_equal(account, "123456789012");
	id[0] = 'B';
	public_aws_account(id, account);
	assert_string_equal(account, "");
	id[0] = 'A';
	id[9] = '1';	/* not base 32 */
	public_aws_account(id, account);
	assert_string_equal(account, "");
}

/* ---- each row at each row's places ---- */

struct place {
	const struct carrier *carrier;
	const struct scheme *scheme;
	char host[96];
};

static const struct carrier *carrier_named(const char *name)
{
	char whole[64];

	for (uint16_t id = 1; id <= carrier_count(); id++) {
		const struct carrier *c = carrier_get(id);

		snprintf(whole, sizeof(whole), "%s%s", carrier_prefix(c->space), c->name);
		if (strcmp(whole, name) == 0)
			return c;
	}
	return NULL;
}

/* The n'th place of "!a,@b,$c,*.d"; false: there are not so many, or this one can't be made here. */
static bool place_of(const char *where, int n, struct place *ret)
{
	char text[512], *save = NULL, *part;

	*ret = (struct place){.carrier = header("authorization"), .scheme = scheme("bearer")};
	snprintf(text, sizeof(text), "%s", where[0] == '!' ? where + 1 : where);
	for (part = strtok_r(text, ",", &save); part && n; n--)
		part = strtok_r(NULL, ",", &save);
	if (!part)
		return n == 0 && !*where;
	if (*part == '@')
		ret->carrier = carrier_named(part + 1);
	else if (*part == '$')
		ret->scheme = scheme(part + 1);
	else
		snprintf(ret->host, sizeof(ret->host), "%s%s", *part == '*' ? "x" : "", part + (*part == '*'));
	return ret->carrier && ret->scheme;
}

/* What the kernel says of such a credential. */
static uint16_t said_of(uint16_t id)
{
	const struct token_class *c = class_get(id);

	if (!c->told_of)
		return id;
	for (uint16_t i = 1; i <= class_count(); i++)
		if (strcmp(class_get(i)->name, c->told_of) == 0)
			return i;
	return 0;
}

static const char *verdict(uint16_t id, uint32_t len, const struct place *p)
{
	struct tt_cred cred = {.length = len, .class_id = said_of(id)};
	struct verdict v;

	class_decide(&cred, p->carrier, p->scheme, p->host, &v);
	return v.class_name;
}

/* Is the row told by its own bytes, wherever it is? */
static bool is_plain(const struct token_class *c)
{
	return !c->told_of && c->prefix[0] && c->where[0] != '!' && strcmp(c->provider, "any") != 0;
}

/* A class of this name that has to be at such a place. */
static bool at_home(const char *name, const struct place *p)
{
	for (uint16_t id = 1; id <= class_count(); id++) {
		const struct token_class *c = class_get(id);
		struct place own;

		if (strcmp(c->name, name) != 0 || c->where[0] != '!')
			continue;
		for (int n = 0; n < 20; n++)
			if (place_of(c->where, n, &own) && (own.carrier == p->carrier || own.scheme == p->scheme ||
							    strcmp(own.host, p->host) == 0))
				return true;
	}
	return false;
}

#define PLACES 20	/* more than any row has */

static int own_places(uint16_t id)
{
	const struct token_class *c = class_get(id);
	struct place p;
	int tried = 0;

	for (int n = 0; n < PLACES; n++) {
		if (!place_of(c->where, n, &p))
			continue;
		tried++;
		if (strcmp(verdict(id, c->min_len, &p), c->name) != 0)
			fail_msg("%s at place %d of %s: %s", c->name, n, c->where, verdict(id, c->min_len, &p));
	}
	return tried;
}

static int others_places(uint16_t id, uint16_t other)
{
	const struct token_class *c = class_get(id), *said = class_get(said_of(id));
	const char *where = class_get(other)->where;
	struct place p;
	int tried = 0;

	for (int n = 0; n < PLACES; n++) {
		const char *name;

		if (!place_of(where, n, &p))
			continue;
		tried++;
		if (scheme_is_signed(p.scheme))	/* no credential's place, but a key's: key_ids() */
			continue;
		name = verdict(id, c->min_len, &p);
		if (strcmp(name, c->name) == 0)
			continue;
		if (is_plain(c) || (strcmp(name, "opaque") != 0 && strcmp(name, "generic_sk") != 0 &&
				    strcmp(name, "generic_param") != 0 &&
				    (!said || strcmp(name, said->name) != 0) && !at_home(name, &p)))
			fail_msg("%s at %s: %s", c->name, where, name);
	}
	return tried;
}

/* Each row at each of its own places is its class; one told by its bytes alone is that at the places of all
 * others, and one that needs its place is of no provider elsewhere, or of the one whose place it is. */
static void all_pairs(void **state)
{
	int own = 0, pairs = 0;

	for (uint16_t id = 1; id <= class_count(); id++) {
		own += own_places(id);
		for (uint16_t other = 1; other <= class_count(); other++)
			pairs += others_places(id, other);
	}
	assert_true(own > 300 && pairs > 100 * own);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decisions), cmocka_unit_test(key_ids), cmocka_unit_test(suffixes),
		cmocka_unit_test(checksum_and_placeholder),
		cmocka_unit_test(account_of_a_key),
		cmocka_unit_test(parameters_that_are_none),
		cmocka_unit_test(paths),
		cmocka_unit_test(all_pairs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
