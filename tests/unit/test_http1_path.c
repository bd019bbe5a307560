/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf/readers/http1_start.h, the target: which path segments are hidden and which are not, that queries,
 * fragments and userinfo stay behind, and where long paths and hosts are cut.
 */
#include "h1_expect.h"
#include "tokens/mint_rules.h"

static void get(const char *target)
{
	static char text[8192];
	int len = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", target);

	assert_in_range(len, 1, sizeof(text) - 1);
	feed(&drive, DRIVE_CLIENT, text, len);
}

struct redaction {
	const char *target, *path;
};

static const struct redaction redactions[] = {
	/* untouched */
	{ "/", "/" },
	{ "/v1/items", "/v1/items" },
	{ "/api/v2.1/users-and-groups/", "/api/v2.1/users-and-groups/" },
	{ "//a//b/", "//a//b/" },
	{ "/a:b/c,d;e=f/$x!", "/a:b/c,d;e=f/$x!" },
	{ "/@scope/package", "/@scope/package" },
	{ "/%40scope/package", "/%40scope/package" },
	{ "/feedface/deadbeefcafe", "/feedface/deadbeefcafe" },
	{ "/1a/x1", "/1a/x1" },
	{ "/nineteen-characters", "/nineteen-characters" },
	{ "/ghp_short", "/ghp_short" },
	/* numbers */
	{ "/items/7/parts/0042", "/items/{...}/parts/{...}" },
	{ "/7", "/{...}" },
	{ "/7/", "/{...}/" },
	{ "/20261123/x", "/{...}/x" },
	/* hex of 16, token characters of 20, UUIDs */
	{ "/c/0123456789abcdeF/d", "/c/{...}/d" },
	{ "/c/x123456789abcde", "/c/x123456789abcde" },
	{ "/c/x,0123456789abcdef,y", "/c/{...}" },
	{ "/twenty-characters-ab", "/{...}" },
	{ "/u/123e4567-e89b-12d3-a456-426614174000", "/u/{...}" },
	{ "/u/{123e4567-e89b-12d3-a456-426614174000}/x", "/u/{...}/x" },
	{ "/a,bbbbbbbbbbbbbbbbbbbb,c/d", "/{...}/d" },
	{ "/x;jsessionid=0123456789ABCDEF0123", "/{...}" },
	/* where secrets are known to stand (webhooks, bots) */
	{ "/services/T01ABCDEF/B01ABCDEF/abcdefghijklmnopqrstuvwx", "/services/T01ABCDEF/B01ABCDEF/{...}" },
	{ "/api/webhooks/123456789012345678/AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGhIjKlMnOpQrStUvWxYz012345",
	  "/api/webhooks/{...}/{...}" },
	{ "/bot123456789:AAabcdefghijklmnopqrstuvwxyz0123456/sendMessage", "/{...}/sendMessage" },
	{ "/verify/eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.", "/verify/{...}" },
	{ "/v1/auth/token/renew/hvs.CAESIJ1234567890abcdefgh", "/v1/auth/token/renew/{...}" },
	/* a class of full length, though shorter than a run */
	{ "/k/sk_live_0123456789/x", "/k/{...}/x" },
	{ "/k/sk_live_,123456789/x", "/k/{...}/x" },
	/* addresses of people */
	{ "/users/a@example.com/mail", "/users/{...}/mail" },
	{ "/users/a%40b.example", "/users/{...}" },
	{ "/users/@", "/users/@" },
	{ "/users/%4/0", "/users/%4/{...}" },
	/* queries and fragments */
	{ "/a?b=c", "/a" },
	{ "/a?", "/a" },
	{ "/a?b/c?d#e", "/a" },
	{ "/a#b", "/a" },
	{ "/7?x", "/{...}" },
	{ "/?/secret", "/" },
	/* absolute form */
	{ "http://h", "" },
	{ "http://h/", "/" },
	{ "HTTPS://h?a=b/c", "" },
	{ "http://h#secret", "" },
	{ "http://h/7/a?x", "/{...}/a" },
};

static void table(void **state)
{
	for (size_t i = 0; i < sizeof(redactions) / sizeof(redactions[0]); i++) {
		h1_setup(state);
		get(redactions[i].target);
		if (drive.heads_len != 1 || drive.notes_len)
			fail_msg("%s: %zu heads", redactions[i].target, drive.heads_len);
		expect_request(0, "GET", "h", redactions[i].path);
		assert_int_equal(head_at(0)->use_flags, 0);
		assert_int_equal(head_at(0)->creds, 0);
	}
}

/* All of them again, cut at every byte. */
static void table_in_two_calls(void **state)
{
	char text[400];

	for (size_t i = 0; i < sizeof(redactions) / sizeof(redactions[0]); i++) {
		size_t len = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: h\r\n\r\n",
				      redactions[i].target);

		for (size_t cut = 1; cut < len; cut++) {
			h1_setup(state);
			drive.poison = cut & 1 ? '/' : '7';
			feed(&drive, DRIVE_CLIENT, text, cut);
			feed(&drive, DRIVE_CLIENT, text + cut, len - cut);
			expect_counts(1, 0);
			expect_request(0, "GET", "h", redactions[i].path);
		}
	}
}

/* What is left of the path of a request for a token is what its row says. */
static void no_mint_is_hidden(void **state)
{
	const struct mint_rule *rule;
	char target[160];

	for (uint8_t id = 1; (rule = mint_rule_get(id)); id++) {
		const char *star = strchr(rule->path, '*');
		int before = star ? star - rule->path : (int)strlen(rule->path);

		/* A row is of names that stand, or of a segment that is cut at its place. */
		snprintf(target, sizeof(target), "%.*s%s%s", before, rule->path, star == rule->path ? "/x" : star ? "x" : "",
			 star ? star + 1 : "");
		h1_setup(state);
		get(target);
		expect_counts(1, 0);
		expect_request(0, "GET", "h", target);
	}
}

/* Each class, alone in a segment at its shortest, is hidden; what reports it keeps no piece. */
static void every_class_is_hidden(void **state)
{
	static char target[2200];

	for (uint16_t id = 1; id <= class_count(); id++) {
		const struct token_class *c = class_get(id);

		struct tt_class_row row;

		if (c->min_len > 2000 || !class_row(id, &row) || !(row.flags & TT_CLASS_SURE) || c->prefix[0] == TT_CLASS_PATH ||
		    strchr(c->prefix, '/'))
			continue;
		memcpy(target, "/hook/", 6);
		fake_of(id, c->min_len, target + 6);
		strcpy(target + 6 + c->min_len, "/end");
		h1_setup(state);
		get(target);
		expect_counts(1, 0);
		expect_request(0, "GET", "h", "/hook/{...}/end");
	}
}

static void repeat(char *to, const char *piece, int times)
{
	*to = 0;
	while (times--)
		to = stpcpy(to, piece);
}

static void long_paths_are_cut(void **state)
{
	char target[1200], want[1200];

	repeat(target, "/abcdefg", 20);	/* exactly 160 */
	get(target);
	expect_request(0, "GET", "h", target);
	assert_int_equal(head_at(0)->use_flags, 0);
	repeat(want, "/abcdefg", 20);
	repeat(target, "/abcdefg", 100);
	get(target);
	expect_request(1, "GET", "h", want);
	assert_int_equal(head_at(1)->use_flags, TT_USE_PATH_CUT);

	/* a secret across the cut: hidden, and then all fits */
	repeat(target, "/abcdefg", 19);
	strcat(target, "/Abcdefghijklmnopqrstuvwxyz0123456789");
	repeat(want, "/abcdefg", 19);
	strcat(want, "/{...}");
	get(target);
	expect_request(2, "GET", "h", want);
	assert_int_equal(head_at(2)->use_flags, 0);

	/* a secret beyond the cut */
	repeat(target, "/abcdefg", 20);
	strcat(target, "/Abcdefghijklmnopqrstuvwxyz0123456789/x");
	repeat(want, "/abcdefg", 20);
	get(target);
	expect_request(3, "GET", "h", want);
	assert_int_equal(head_at(3)->use_flags, TT_USE_PATH_CUT);
}

static void very_long_segments(void **state)
{
	static char target[7000];

	target[0] = '/';
	memset(target + 1, 'a', 6000);
	strcpy(target + 6001, "/b");
	get(target);
	memset(target + 1, ',', 6000);
	get(target);
	memset(target + 1, '7', 6000);
	get(target);
	expect_counts(3, 0);
	expect_request(0, "GET", "h", "/{...}/b");
	assert_int_equal(head_at(1)->path_len, TT_PATH_LEN);
	expect_request(2, "GET", "h", "/{...}/b");
}

static void hosts(void **state)
{
	static const struct {
		const char *target, *host;
	} cases[] = {
		{ "http://user:pass@h.example/", "h.example" },
		{ "http://a@b@h.example:8080/", "h.example:8080" },
		{ "https://[2001:db8::1]:443/", "[2001:db8::1]:443" },
		{ "http:///", "h" },
		{ "http://user:123456789-123456789-123456789-123456789-123456789-123456789-123456789-"
		  "123456789-123456789-123456789-@h.example/", "h.example" },
	};
	char long_host[300] = "GET / HTTP/1.1\r\nHost: ";

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		h1_setup(state);
		get(cases[i].target);
		expect_counts(1, 0);
		expect_request(0, "GET", cases[i].host, "/");
		assert_int_equal(head_at(0)->use_flags, 0);
	}
	h1_setup(state);
	client("GET / HTTP/1.1\r\nHost: user:pass@h.example\r\nHost: second\r\n\r\n");
	expect_request(0, "GET", "h.example", "/");
	client("GET / HTTP/1.1\r\nHost: \t h.example:81 \r\n\r\n");
	expect_request(1, "GET", "h.example:81", "/");
	memset(long_host + strlen(long_host), 'h', 200);
	strcat(long_host, "\r\n\r\n");
	client(long_host);
	assert_int_equal(head_at(2)->host_len, TT_HOST_LEN);
	assert_int_equal(head_at(2)->use_flags, TT_USE_HOST_CUT);
}

/* A word with a slash in it is neither a path nor a host. */
static void loose_targets_are_refused(void **state)
{
	static const char *const targets[] = {
		"hooks/services/secret", "http:/h/secret", "http:h/a/secret", "http//h/", "h/a/secret",
		"http:// /", "http:\x01//h/", "ftp", "a", "*a",
	};

	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		h1_setup(state);
		get(targets[i]);
		if (drive.heads_len)
			fail_msg("%s: taken for a target, host %s, path %s", targets[i],
				 drive.heads[0].host, drive.heads[0].path);
		assert_int_equal(drive.side[DRIVE_CLIENT].d.state, H1_S_LOST);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		H1_TEST(table),
		H1_TEST(table_in_two_calls),
		H1_TEST(every_class_is_hidden),
		H1_TEST(no_mint_is_hidden),
		H1_TEST(long_paths_are_cut),
		H1_TEST(very_long_segments),
		H1_TEST(hosts),
		H1_TEST(loose_targets_are_refused),
	};

	return cmocka_run_group_tests(tests, h1_group_setup, NULL);
}
