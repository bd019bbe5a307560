/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf/readers/said.h: what heads of responses say of a credential, of HTTP/1 and HTTP/2, cut at every byte;
 * and what of them is never told.
 */
#include "h2_expect.h"
#include "h2_write.h"

#define HEX16 "0123456789" "abcdef"
#define UUID "6f1e2a54-0d1c-4c57-8f6b-0a6a1f6c2b11"

static const struct {
	const char *name, *value, *told;
} fields[] = {
	{ "X-OAuth-Scopes", "repo, read:org,user", "1:repo read:org user" },
	{ "x-oauth-scopes", "", "" },
	{ "x-oauth-scopes", "  admin:org  ", "1:admin:org" },
	{ "x-oauth-scopes", "repo, " HEX16 ", user", "1:repo {...} user" },
	{ "X-Accepted-OAuth-Scopes", "repo, public_repo", "3:repo public_repo" },
	{ "github-authentication-token-expiration", "2026-12-31 23:59:59 UTC", "2:2026-12-31 23:59:59 UTC" },
	{ "Audit-ID", UUID, "16:" UUID },
	{ "X-GitHub-Request-Id", "E1F2:3A4B:1234567:89ABCDE:65A1B2C3", "17:E1F2:3A4B:1234567:89ABCDE:65A1B2C3" },
	{ "x-amzn-RequestId", UUID, "18:" UUID },
	{ "x-amz-request-id", "4442587FB7D0A2F9", "19:4442587FB7D0A2F9" },
	{ "x-amz-request-id", "4442587fB7D0A2F9", "19:{...}" },
	{ "x-amz-request-id", "4442587FB7D0A2F94442587FB", "19:{...}" },
	{ "DPoP-Nonce", "eyJ7S_zG.eyJH0-Z.HX4w-7v", "9:" },
	{ "WWW-Authenticate", "Bearer", "4:Bearer" },
	{ "WWW-Authenticate",
	  "Bearer realm=\"secret-realm\", error=\"insufficient_scope\", scope=\"a:read b:write\", "
	  "resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource?x=1\"",
	  "4:Bearer|5:insufficient_scope|6:a:read b:write|"
	  "7:https://mcp.example.com/.well-known/oauth-protected-resource" },
	{ "WWW-Authenticate", "Basic realm=x, Bearer error=invalid_token", "4:Basic|4:Bearer|5:invalid_token" },
	{ "WWW-Authenticate", "Negotiate YIIabcd==, Bearer", "4:Negotiate|4:Bearer" },
	{ "WWW-Authenticate", "Negotiate shortSecret", "4:Negotiate" },
	{ "WWW-Authenticate", "Bearer error_description=\"a \\\"b\\\", scope=c\", error=\"x\\\"y\"",
	  "4:Bearer|5:x?y" },
	{ "WWW-Authenticate", "aVeryLongWordThatNoSchemeIs error=e", "5:e" },
	{ "WWW-Authenticate", "Bearer error=\"\", scope=\" \"", "4:Bearer" },
	{ "AAuth-Requirement", "requirement=auth-token; resource-token=\"eyJhbGciOi\"; scope=\"s\"", "8:auth-token" },
	{ "AAuth-Requirement", "agent-token", "" },
	{ "Set-Cookie", "JSESSIONID=0123; Path=/", "10:JSESSIONID" },
	{ "Set-Cookie", "__Host-sid=0123", "10:sid" },
	{ "Set-Cookie", "theme=dark; sid=1", "" },
	{ "Set-Cookie", "sid", "" },
	{ "X-Other-Scopes", "repo", "" },
};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

static int setup(void **state)
{
	drive.says = h2.says = true;
	return 0;
}

static int setup_h1(void **state)
{
	return h1_setup(state) ?: setup(state);
}

static int setup_h2(void **state)
{
	return h2_setup(state) ?: setup(state);
}

/* "4:Bearer|5:invalid_token" */
static const char *shown(const struct drive_said *s)
{
	static char line[2048];
	size_t len = 0;

	line[0] = 0;
	for (size_t at = 0; at < s->len; at += 2 + s->text[at + 1]) {
		const uint8_t *text = s->text + at + 2;
		const char *cookie = s->text[at] == TT_SAID_COOKIE ? names_cookie((uint16_t)(text[0] | text[1] << 8)) : NULL;

		len += (size_t)snprintf(line + len, sizeof(line) - len, "%s%u:%.*s", at ? "|" : "", s->text[at],
					cookie ? (int)strlen(cookie) : s->text[at + 1],
					cookie ? cookie : (const char *)text);
	}
	return line;
}

static void hashes(void **state)
{
	assert_true(SAID_NAME_ERROR == tt_name_hash("error", 5));
	assert_true(SAID_NAME_SCOPE == tt_name_hash("scope", 5));
	assert_true(SAID_NAME_RESOURCE == tt_name_hash("resource_metadata", 17));
	assert_true(SAID_NAME_REQUIREMENT == tt_name_hash("requirement", 11));
	/* A name that is added has its length in the mask. */
	for (int row = 1; row <= TT_SAID_AMZ_ID; row++)
		if (*names_said((uint8_t)row))
			assert_true(H1_LENGTHS_SAID >> strlen(names_said((uint8_t)row)) & 1);
}

static void one(const char *name, const char *value, const char *told, size_t cut)
{
	char text[4096];
	int len = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n%s: %s\r\nServer: x\r\n\r\n", name, value);

	h1_setup(NULL);
	drive.says = true;
	if (cut >= (size_t)len)
		cut = (size_t)len;
	feed(&drive, DRIVE_SERVER, text, cut);
	feed(&drive, DRIVE_SERVER, text + cut, (size_t)len - cut);
	expect_counts(1, 0);
	expect_status(0, 200);
	assert_string_equal(shown(&drive.heads[0].said), told);
	assert_false(drive.heads[0].said.cut);
}

static void http1(void **state)
{
	for (size_t i = 0; i < FIELDS; i++)
		for (size_t cut = 0; cut < 60 + strlen(fields[i].name) + strlen(fields[i].value); cut++)
			one(fields[i].name, fields[i].value, fields[i].told, cut);
}

static void bytewise(void **state)
{
	char text[16384];
	size_t len = (size_t)snprintf(text, sizeof(text), "HTTP/1.1 401 Unauthorized\r\n");
	static struct drive whole;

	for (size_t i = 0; i < FIELDS; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s: %s\r\n", fields[i].name,
					fields[i].value);
	len += (size_t)snprintf(text + len, sizeof(text) - len, "Content-Length: 0\r\n\r\n");
	feed(&drive, DRIVE_SERVER, text, len);
	expect_counts(1, 0);
	assert_true(drive.heads[0].said.cut);	/* more than its room */
	whole = drive;
	setup_h1(NULL);
	for (size_t i = 0; i < len; i++)
		feed(&drive, DRIVE_SERVER, text + i, 1);
	assert_null(drive_differ(&whole, &drive));
}

/* Nothing is read of a response to a request without a credential, nor of what a request says. */
static void not_asked(void **state)
{
	drive.says = false;
	server("HTTP/1.1 200 OK\r\nx-oauth-scopes: repo\r\naudit-id: " UUID "\r\nContent-Length: 0\r\n\r\n");
	drive.says = true;
	client("GET / HTTP/1.1\r\nHost: h\r\nx-oauth-scopes: repo\r\nset-cookie: sid=1\r\n\r\n");
	expect_counts(2, 0);
	assert_false(drive.heads[0].said.any);
	assert_false(drive.heads[1].said.any);
	expect_request(1, "GET", "h", "/");
}

static void continued(void **state)
{
	server("HTTP/1.1 200 OK\r\nx-oauth-scopes: repo,\r\n\tuser\r\nContent-Length: 0\r\n\r\n");
	assert_string_equal(shown(&head_at(0)->said), "1:repo user");
}

/* A long list goes on in further items; what has no room leaves whole words; nothing else is harmed. */
static void long_lists(void **state)
{
	char text[4096] = "HTTP/1.1 200 OK\r\nx-oauth-scopes: ";
	const struct drive_said *s;

	for (int i = 0; i < 18; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "scope:no%02d, ", i);
	snprintf(text + strlen(text), sizeof(text) - strlen(text), "last\r\nContent-Length: 3\r\n\r\nabc");
	server(text);
	s = &head_at(0)->said;
	assert_false(s->cut);
	assert_non_null(strstr(shown(s), "|1:scope:no12"));
	assert_non_null(strstr(shown(s), "scope:no17 last"));

	strcpy(text, "HTTP/1.1 200 OK\r\nx-oauth-scopes: ");
	for (int i = 0; i < 100; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "scope:no%02d, ", i);
	snprintf(text + strlen(text), sizeof(text) - strlen(text), "\r\naudit-id: " UUID
		 "\r\nContent-Length: 3\r\n\r\nabc");
	server(text);
	s = &head_at(1)->said;
	assert_true(s->cut);
	assert_non_null(strstr(shown(s), "16:" UUID "|1:scope:no00"));
	assert_null(strstr(shown(s), "scope:no99"));
	for (size_t at = 0; at < s->len; at += 2 + s->text[at + 1])	/* whole words only */
		assert_int_equal((s->text[at + 1] + 1) % (s->text[at] == 1 ? 11 : 37), 0);
	server("HTTP/1.1 204 No Content\r\n\r\n");
	expect_counts(3, 0);
}

static void a_huge_field(void **state)
{
	static char text[8192];

	strcpy(text, "HTTP/1.1 401 U\r\nwww-authenticate: Bearer error=\"e\", realm=\"");
	memset(text + strlen(text), 'x', 5000);
	strcat(text, "\", scope=\"never\"\r\nx-oauth-scopes: repo\r\nContent-Length: 0\r\n\r\n");
	server(text);
	assert_string_equal(shown(&head_at(0)->said), "1:repo|4:Bearer|5:e");
	assert_true(head_at(0)->said.cut);
}

/* A secret in any field of interest leaves nothing of its own. */
static void no_secret(void **state)
{
	static const char *const names[] = { "x-oauth-scopes", "x-accepted-oauth-scopes", "www-authenticate",
					     "github-authentication-token-expiration", "audit-id", "dpop-nonce",
					     "x-github-request-id", "x-amzn-requestid", "x-amz-request-id",
					     "set-cookie", "aauth-requirement" };
	static const struct {
		const char *before, *after;
	} forms[] = { { "", "" }, { "Bearer ", "" }, { "Bearer error=", "" }, { "Bearer scope=\"a ", " b\"" },
		      { "requirement=", "" }, { "sid=", "" }, { "", "=x" } };
	char token[41] = "ghp_", text[512];

	for (int i = 4; i < 40; i++)
		token[i] = "aB3dE6gH9jKl"[i % 12];
	for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++)
		for (size_t f = 0; f < sizeof(forms) / sizeof(forms[0]); f++) {
			setup_h1(NULL);
			snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n%s: %s%s%s\r\n\r\n", names[n],
				 forms[f].before, token, forms[f].after);
			server(text);
			expect_status(0, 200);
			for (size_t at = 0; at + 8 <= strlen(token); at++)
				assert_null(memmem(head_at(0)->said.text, head_at(0)->said.len, token + at, 8));
		}
}

/* ---- HTTP/2 ---- */

static struct h2_buf block, out;

/* Sends the block as a response, in calls of `cut` bytes; what it said. */
static const char *response(uint32_t stream, size_t cut)
{
	out.len = 0;
	h2w_headers(&out, stream, block.p, block.len, (struct h2w_how){ 0 });
	block.len = 0;
	for (size_t at = 0; at < out.len; at += cut)
		h2_feed(&h2, DRIVE_SERVER, out.p + at, at + cut < out.len ? cut : out.len - at);
	h2_expect_notes(0, 0);
	assert_int_equal(h2_head_at(stream / 2)->status, 200);
	return shown(&h2_head_at(stream / 2)->said);
}

static void begin(int skim)
{
	setup_h2(NULL);
	h2.skim = skim;
	out.len = block.len = 0;
	h2w_preface(&out);
	h2_send(DRIVE_CLIENT, &out);
}

static void lower(char *to, const char *from)
{
	do
		*to++ = (char)(*from >= 'A' && *from <= 'Z' ? *from | 0x20 : *from);
	while (*from++);
}

static void one_in_a_table(size_t i, size_t cut)
{
	const char *told = fields[i].told;
	char name[64];

	lower(name, fields[i].name);
	h2w_indexed(&block, 8);
	h2w_field(&block, H2W_ADD, name, fields[i].value, cut & 1);
	assert_string_equal(response(1, cut), told);
	h2w_indexed(&block, 8);
	h2w_indexed(&block, 62);
	assert_string_equal(response(3, cut), told);
	h2w_indexed(&block, 8);
	h2w_value(&block, H2W_PLAIN, 62, fields[i].value, cut & 1);
	assert_string_equal(response(5, cut), told);
}

/* Each field: literal, then by its entry, then only its name by that; in calls of every length. */
static void http2(void **state)
{
	for (size_t i = 0; i < FIELDS; i++)
		for (size_t cut = 1; cut < 200; cut += cut < 20 ? 1 : 30)
			for (int skim = 0; skim < 2; skim++) {
				if (skim && !strcmp(fields[i].name, "X-Other-Scopes"))
					continue;	/* an entry that nobody keeps */
				begin(skim);
				one_in_a_table(i, cut);
			}
}

/* An entry from before there was a credential, or too long to be kept, tells nothing. */
static void http2_not_kept(void **state)
{
	char value[400] = "";

	begin(1);
	h2.says = false;
	h2w_indexed(&block, 8);
	h2w_field(&block, H2W_ADD, "x-oauth-scopes", "repo", false);
	assert_string_equal(response(1, 1000), "");
	h2.says = true;
	h2w_indexed(&block, 8);
	h2w_indexed(&block, 62);
	out.len = 0;
	h2w_headers(&out, 3, block.p, block.len, (struct h2w_how){ 0 });
	h2_send(DRIVE_SERVER, &out);
	assert_string_equal(shown(&h2_head_at(1)->said), "");

	begin(1);
	for (int i = 0; i < 18; i++)
		snprintf(value + strlen(value), sizeof(value) - strlen(value), "scope:no%02d, ", i);
	h2w_indexed(&block, 8);
	h2w_field(&block, H2W_ADD, "x-oauth-scopes", value, false);
	assert_non_null(strstr(response(1, 1000), "scope:no17"));
	h2w_indexed(&block, 8);
	h2w_indexed(&block, 62);
	h2w_value(&block, H2W_ADD, 62, "repo", false);
	assert_string_equal(response(3, 1000), "1:repo");
}

/* Pseudo-header fields of requests in a response write nothing into what it says; nor a broken value. */
static void http2_hostile(void **state)
{
	begin(1);
	h2w_indexed(&block, 8);
	h2w_field(&block, H2W_PLAIN, "x-oauth-scopes", "repo", false);
	h2w_indexed(&block, 2);
	h2w_indexed(&block, 5);
	out.len = 0;
	h2w_headers(&out, 1, block.p, block.len, (struct h2w_how){ 0 });
	h2_send(DRIVE_SERVER, &out);	/* the driver checks that all items are whole */
	block.len = 0;
	begin(1);
	h2w_indexed(&block, 8);
	h2w_field(&block, H2W_PLAIN, "x-oauth-scopes", "repo\nuser", false);
	out.len = 0;
	h2w_headers(&out, 1, block.p, block.len, (struct h2w_how){ 0 });
	h2_send(DRIVE_SERVER, &out);
	assert_int_equal(h2_count(H2_HEAD), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hashes),
		cmocka_unit_test_setup(http1, setup_h1),
		cmocka_unit_test_setup(bytewise, setup_h1),
		cmocka_unit_test_setup(not_asked, setup_h1),
		cmocka_unit_test_setup(continued, setup_h1),
		cmocka_unit_test_setup(long_lists, setup_h1),
		cmocka_unit_test_setup(a_huge_field, setup_h1),
		cmocka_unit_test_setup(no_secret, setup_h1),
		cmocka_unit_test_setup(http2, setup_h2),
		cmocka_unit_test_setup(http2_not_kept, setup_h2),
		cmocka_unit_test_setup(http2_hostile, setup_h2),
	};

	return cmocka_run_group_tests(tests, h1_group_setup, NULL);
}
