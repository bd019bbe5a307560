/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf/readers/http1_subprotocol.h, and in http1_fields.h names that are known by their ending: the credential has
 * the id that it has as a bearer token, wherever the head is cut, and what only looks like one is passed over.
 */
#include "h1_expect.h"

#define TOKEN "ghp" "_0123456789abcdefghijABCDEFGHIJ012345"
#define K8S "base64url.bearer.authorization.k8s.io."
#define TOKEN64 "Z2hwXzAxMjM0NTY3ODlhYmNkZWZnaGlqQUJDREVGR0hJSjAxMjM0NQ"

static const char *request(const char *lines)
{
	static char text[8192];
	int len = snprintf(text, sizeof(text), "GET /ws HTTP/1.1\r\nHost: h\r\n%s\r\n", lines);

	assert_in_range(len, 1, sizeof(text) - 1);
	return text;
}

static void subprotocols(void **state)
{
	static const char *const cases[] = {
		K8S TOKEN64 ", v4.channel.k8s.io", "v4.channel.k8s.io, " K8S TOKEN64, K8S TOKEN64 "==,x",
		"v5.channel.k8s.io,\r\n\t" K8S TOKEN64 " , x", "Base64URL.bearer.authorization.k8s.io." TOKEN64,
		"realtime, openai-insecure-api-key." TOKEN ", openai-beta.realtime-v1",
		"access_token, " TOKEN, "graphql-ws,access_token ,\t" TOKEN " , x", "Bearer," TOKEN,
		"a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z.0.1.2.3.4.5.6, access_token, " TOKEN,
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char lines[1024];

		snprintf(lines, sizeof(lines), "Sec-WebSocket-Protocol: %s\r\nSec-WebSocket-Key: " TOKEN64 "\r\n",
			 cases[i]);
		feed_all_ways(request(lines), TOKEN);
		if (head_at(0)->creds != 1 || drive.notes_len)
			fail_msg("%s: %d credentials", cases[i], head_at(0)->creds);
		expect_cred(0, 0, TOKEN, "sec-websocket-protocol", NULL);
		assert_string_equal(class_name(head_at(0)->cred[0].class_id), "github_pat_classic");
	}
}

static void no_subprotocols(void **state)
{
	static const struct {
		const char *value;
		enum tt_drop reason;
	} cases[] = {
		{ "chat, superchat", 0 },
		{ "v4.channel.k8s.io", 0 },
		{ "access_tokens, " TOKEN, 0 },
		{ "xaccess_token, " TOKEN, 0 },
		{ "access_token", 0 },
		{ "access_token,", 0 },
		{ "x.base64url.bearer.authorization.k8s.io." TOKEN64, 0 },
		{ K8S, TT_DROP_empty_cred },
		{ K8S ", v4.channel.k8s.io", TT_DROP_empty_cred },
		{ K8S TOKEN64 "A", 0 }, /* below */
		{ K8S "a", TT_DROP_bad_base64 },
		{ K8S "Z2hw!XzA", TT_DROP_bad_base64 },
		{ K8S "Z2hw=XzA", TT_DROP_bad_base64 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool other = strcmp(cases[i].value, K8S TOKEN64 "A") == 0;	/* 3 characters of a last group */
		char lines[1024];

		snprintf(lines, sizeof(lines), "Sec-WebSocket-Protocol: %s\r\n", cases[i].value);
		feed_all_ways(request(lines), TOKEN);
		if (head_at(0)->creds != other || drive.notes_len != (cases[i].reason != 0))
			fail_msg("%s: %d credentials, %zu notes", cases[i].value, head_at(0)->creds, drive.notes_len);
		if (cases[i].reason)
			expect_note(0, cases[i].reason);
	}
	h1_setup(state);
	client(request(""));
	server("HTTP/1.1 101 Switching\r\nSec-WebSocket-Protocol: access_token, " TOKEN "\r\n\r\n");
	expect_counts(2, 0);
}

static void suffixes(void **state)
{
	static const struct {
		const char *name, *carrier;
	} cases[] = {
		{ "X-Acme-Api-Key", "*-api-key" }, { "acme-api-key", "*-api-key" }, { "x-acme-apikey", "*-apikey" },
		{ "X-ACME-TOKEN", "*-token" }, { "x-token", "*-token" }, { "Acme-Access-Token", "*-token" },
		{ "x-acme-auth-token", "*-token" }, { "1-api-key", "*-api-key" }, { "a-secret", "*-secret" },
		{ "x-acme-client-secret", "*-secret" }, { "x-very-long-name-of-a-header-1-secret", "*-secret" },
		{ "x-vault-token", "x-vault-token" },	/* listed names keep theirs */
	};
	static const char *const none[] = {
		"token", "-token", "x_token", "xtoken", "x-tokens", "x-token-id", "api_key", "-api-key", "-secret", "-apikey",
		"x-csrf-token", "X-XSRF-Token", "csrf-token", "xsrf-token", "anti-csrf-token", "Lock-Token",
		"x-amz-client-token", "x-continuation-token", "sec-websocket-key", "x-monkey", "x-secrets",
		"x-a-name-that-is-longer-than-any-that-somebody-would-give-a-field-token",
	};
	char lines[1024];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int pad = 0; pad < 9; pad++) {	/* the name at each place of a word */
			snprintf(lines, sizeof(lines), "%.*s-x: y\r\n%s: %s\r\n", 1 + pad, "aaaaaaaaa", cases[i].name,
				 TOKEN);
			feed_all_ways(request(lines), TOKEN);
			if (head_at(0)->creds != 1)
				fail_msg("%s: %d credentials", cases[i].name, head_at(0)->creds);
			expect_cred(0, 0, TOKEN, cases[i].carrier, NULL);
		}
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		snprintf(lines, sizeof(lines), "x-other-field: y\r\n%s: %s\r\n", none[i], TOKEN);
		feed_all_ways(request(lines), TOKEN);
		if (head_at(0)->creds)
			fail_msg("%s: %d credentials", none[i], head_at(0)->creds);
	}
	/* Every name of one letter more that ends so, whatever stands in front. */
	for (int len = 1; len <= 40; len++) {
		int at = sprintf(lines, "x: y\r\n");

		memset(lines + at, 'q', (size_t)len);
		sprintf(lines + at + len, "-token: %s\r\n", TOKEN);
		h1_setup(state);
		client(request(lines));
		assert_int_equal(head_at(0)->creds, 1);
		expect_cred(0, 0, TOKEN, "*-token", NULL);
	}
	h1_setup(state);
	client(request(""));
	server("HTTP/1.1 200 OK\r\nX-Acme-Token: " TOKEN "\r\nContent-Length: 0\r\n\r\n");
	expect_counts(2, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { H1_TEST(subprotocols), H1_TEST(no_subprotocols), H1_TEST(suffixes) };

	return cmocka_run_group_tests(tests, h1_group_setup, NULL);
}
