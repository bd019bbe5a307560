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

/* Made up. */
#define HOOK24 "abcdefghijkl" "mnopqrstuvwx"
#define HEX32 "0123456789abcdef" "0123456789abcdef"
#define HOOK68 "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789" "AbCdEfGhIjKlMnOpQrStUvWxYz012345"
#define UUID "123e4567-e89b-12d3-a456-426614174000"
#define BOT "123456789:AAabcdefghijklm" "nopqrstuvwxyz0123456"
#define LONG_JWT "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0Iiwic3ViIjoiam9iLTcifQ." \
		 "c2lnbmF0dXJlLXNpZ25hdHVyZS1zaWduYXR1cmUtc2lnbmF0dXJl"

struct redaction {
	const char *target, *path;
	/* In a segment that looks like one: the credential, its class, and where it stood (NULL: anywhere). */
	const char *cred, *class, *place;
};

static const struct redaction redactions[] = {
	/* untouched */
	{ "/", "/", NULL, NULL, NULL },
	{ "/v1/items", "/v1/items", NULL, NULL, NULL },
	{ "/api/v2.1/users-and-groups/", "/api/v2.1/users-and-groups/", NULL, NULL, NULL },
	{ "//a//b/", "//a//b/", NULL, NULL, NULL },
	{ "/a:b/c,d;e=f/$x!", "/a:b/c,d;e=f/$x!", NULL, NULL, NULL },
	{ "/@scope/package", "/@scope/package", NULL, NULL, NULL },
	{ "/%40scope/package", "/%40scope/package", NULL, NULL, NULL },
	{ "/feedface/deadbeefcafe", "/feedface/deadbeefcafe", NULL, NULL, NULL },
	{ "/1a/x1", "/1a/x1", NULL, NULL, NULL },
	{ "/nineteen-characters", "/nineteen-characters", NULL, NULL, NULL },
	{ "/ghp_short", "/ghp_short", NULL, NULL, NULL },
	/* numbers */
	{ "/items/7/parts/0042", "/items/{...}/parts/{...}", NULL, NULL, NULL },
	{ "/7", "/{...}", NULL, NULL, NULL },
	{ "/7/", "/{...}/", NULL, NULL, NULL },
	{ "/20261123/x", "/{...}/x", NULL, NULL, NULL },
	/* hex of 16, token characters of 20, UUIDs */
	{ "/c/0123456789abcdeF/d", "/c/{...}/d", NULL, NULL, NULL },
	{ "/c/x123456789abcde", "/c/x123456789abcde", NULL, NULL, NULL },
	{ "/c/x,0123456789abcdef,y", "/c/{...}", NULL, NULL, NULL },
	{ "/twenty-characters-ab", "/{...}", NULL, NULL, NULL },
	{ "/u/123e4567-e89b-12d3-a456-426614174000", "/u/{...}", NULL, NULL, NULL },
	{ "/u/{123e4567-e89b-12d3-a456-426614174000}/x", "/u/{...}/x", NULL, NULL, NULL },
	{ "/a,bbbbbbbbbbbbbbbbbbbb,c/d", "/{...}/d", NULL, NULL, NULL },
	{ "/x;jsessionid=0123456789ABCDEF0123", "/{...}", NULL, NULL, NULL },
	/* where secrets are known to stand (webhooks, bots) */
	{ "/services/T01ABCDEF/B01ABCDEF/" HOOK24, "/services/T01ABCDEF/B01ABCDEF/{...}", HOOK24, "slack_webhook",
	  "/services/*/*/{}" },
	{ "http://u@h/services/T01ABCDEF/B01ABCDEF/" HOOK24 "?x=1", "/services/T01ABCDEF/B01ABCDEF/{...}", HOOK24,
	  "slack_webhook", "/services/*/*/{}" },
	{ "/workflows/T01ABCDEF/A01ABCDEF/123456789/" HOOK24, "/workflows/T01ABCDEF/A01ABCDEF/{...}/{...}", HOOK24,
	  "slack_webhook", "/workflows/*/*/*/{}" },
	{ "/triggers/E01ABCDEF/123456789/" HEX32, "/triggers/E01ABCDEF/{...}/{...}", HEX32, "slack_webhook",
	  "/triggers/*/*/{}" },
	{ "/api/webhooks/123456789012345678/" HOOK68, "/api/webhooks/{...}/{...}", HOOK68, "discord_webhook",
	  "/api/webhooks/*/{}" },
	{ "/api/v10/webhooks/123456789012345678/" HOOK68 "/messages/@original",
	  "/api/v10/webhooks/{...}/{...}/messages/@original", HOOK68, "discord_webhook", "/api/v10/webhooks/*/{}" },
	{ "/webhookb2/" UUID "@" UUID "/IncomingWebhook/" HEX32 "/" UUID,
	  "/webhookb2/{...}/IncomingWebhook/{...}/{...}", HEX32, "teams_webhook", "/webhookb2/*/IncomingWebhook/{}" },
	{ "/hooks/catch/1234567/ab12c/", "/hooks/catch/{...}/{...}/", "ab12c", "zapier_webhook", "/hooks/catch/*/{}" },
	{ "/webhook/" HEX32 "/" HEX32, "/webhook/{...}/{...}", HEX32, "tines_webhook", "/webhook/*/{}" },
	{ "/bot" BOT "/sendMessage", "/{...}/sendMessage", BOT, "telegram_bot", "/bot{}" },
	{ "/bot123456789%3AAAabcdefghijklmnopqrstuvwxyz0123456/getMe", "/{...}/getMe", BOT, "telegram_bot", "/bot{}" },
	{ "/file/bot" BOT "/photos/file_1.jpg", "/file/{...}/photos/file_1.jpg", BOT, "telegram_bot", "/file/bot{}" },
	{ "/v1/auth/token/renew/s.abcdefghijklmnopqrstuvwx", "/v1/auth/token/renew/{...}", "s.abcdefghijklmnopqrstuvwx",
	  "vault_in_path", "/v1/auth/token/renew/{}" },
	{ "/v1/auth/token/revoke-orphan/hvs.CAESIJ1234567890abcdefghijkl", "/v1/auth/token/revoke-orphan/{...}",
	  "hvs.CAESIJ1234567890abcdefghijkl", "vault_service", "/v1/auth/token/revoke-orphan/{}" },
	{ "/v1/auth/token/renew/hvs.CAESIJ1234567890abcdefgh", "/v1/auth/token/renew/{...}",
	  "hvs.CAESIJ1234567890abcdefgh", "vault_service", "/v1/auth/token/renew/{}" },
	/* nearly: another depth, length or character; names that only begin so */
	{ "/services/B01ABCDEF/" HOOK24, "/services/B01ABCDEF/{...}", NULL, NULL, NULL },
	{ "/services/T01ABCDEF/B01ABCDEF/x" HOOK24, "/services/T01ABCDEF/B01ABCDEF/{...}", NULL, NULL, NULL },
	{ "/services/T01ABCDEF/B01ABCDEF/abcdefghijklmnopqrst-vwx", "/services/T01ABCDEF/B01ABCDEF/{...}", NULL, NULL, NULL },
	{ "/services/T01ABCDEF/B01ABCDEF/list", "/services/T01ABCDEF/B01ABCDEF/list", NULL, NULL, NULL },
	{ "/servicesx/T/B/" HOOK24, "/servicesx/T/B/{...}", NULL, NULL, NULL },
	{ "/webhookb2/x/OtherWebhook/" HEX32, "/webhookb2/x/OtherWebhook/{...}", NULL, NULL, NULL },
	{ "/webhook/github/push", "/webhook/github/push", NULL, NULL, NULL },
	{ "/webhook/a/b/" HEX32, "/webhook/a/b/{...}", NULL, NULL, NULL },
	{ "/hooks/catch/", "/hooks/catch/", NULL, NULL, NULL },
	{ "/bot", "/bot", NULL, NULL, NULL }, { "/bots", "/bots", NULL, NULL, NULL }, { "/bot123456789:AA", "/bot123456789:AA", NULL, NULL, NULL },
	{ "/bot/" BOT, "/bot/{...}", NULL, NULL, NULL },
	{ "/v1/auth/token/renew-self", "/v1/auth/token/renew-self", NULL, NULL, NULL },
	{ "/v1/auth/token/lookup-accessor/abcdefghijklmnopqrstuvwx", "/v1/auth/token/lookup-accessor/{...}", NULL, NULL, NULL },
	/* what its bytes tell, anywhere; percent-decoded, short and long */
	{ "/verify/eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.", "/verify/{...}", "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.", "jwt", NULL },
	{ "/verify/" LONG_JWT "/now?a=b", "/verify/{...}/now", LONG_JWT, "jwt", NULL },
	{ "/verify/" LONG_JWT "~WyJzYWx0IiwiYSJd~", "/verify/{...}", LONG_JWT, "jwt", NULL },
	{ "/verify/%65yJhbGciOiJub25lIn0%2eeyJzdWIiOiIxIn0.", "/verify/{...}",
	  "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.", "jwt", NULL },
	{ "/t/xoxb-" "12345678901-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx/y", "/t/{...}/y",
	  "xoxb-" "12345678901-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx", "slack_bot", NULL },
	{ "/k/sk_live_0123456789/x", "/k/{...}/x", "sk_live_0123456789", "stripe_secret", NULL },
	{ "/k/sk_live_0123456789%/x", "/k/{...}/x", NULL, NULL, NULL },
	{ "/k/sk_live_,123456789/x", "/k/{...}/x", NULL, NULL, NULL },
	{ "/k/pk_live_0123456789/x", "/k/pk_live_0123456789/x", NULL, NULL, NULL },
	{ "/some-long-title-of-an-article-in-a-blog", "/{...}", NULL, NULL, NULL },
	/* addresses of people */
	{ "/users/a@example.com/mail", "/users/{...}/mail", NULL, NULL, NULL },
	{ "/users/a%40b.example", "/users/{...}", NULL, NULL, NULL },
	{ "/users/@", "/users/@", NULL, NULL, NULL },
	{ "/users/%4/0", "/users/%4/{...}", NULL, NULL, NULL },
	/* queries and fragments */
	{ "/a?b=c", "/a", NULL, NULL, NULL },
	{ "/a?", "/a", NULL, NULL, NULL },
	{ "/a?b/c?d#e", "/a", NULL, NULL, NULL },
	{ "/a#b", "/a", NULL, NULL, NULL },
	{ "/7?x", "/{...}", NULL, NULL, NULL },
	{ "/?/secret", "/", NULL, NULL, NULL },
	/* absolute form */
	{ "http://h", "", NULL, NULL, NULL },
	{ "http://h/", "/", NULL, NULL, NULL },
	{ "HTTPS://h?a=b/c", "", NULL, NULL, NULL },
	{ "http://h#secret", "", NULL, NULL, NULL },
	{ "http://h/7/a?x", "/{...}/a", NULL, NULL, NULL },
};

/* What is told of a head with this path: the path, and the credential in it. */
static void expect_redaction(const struct redaction *r)
{
	const struct drive_head *h = head_at(0);
	char place[64];

	expect_request(0, "GET", "h", r->path);
	assert_int_equal(h->use_flags, 0);
	if (h->creds != (r->cred != NULL))
		fail_msg("%s: %u credentials", r->target, h->creds);
	if (!r->cred)
		return;
	snprintf(place, sizeof(place), "path:%s", r->place ? r->place : "{}");
	expect_cred_placed(0, 0, r->cred, place);
	assert_string_equal(class_name(h->cred[0].class_id), r->class);
}

static void table(void **state)
{
	for (size_t i = 0; i < sizeof(redactions) / sizeof(redactions[0]); i++) {
		h1_setup(state);
		get(redactions[i].target);
		if (drive.heads_len != 1 || drive.notes_len)
			fail_msg("%s: %zu heads", redactions[i].target, drive.heads_len);
		expect_redaction(&redactions[i]);
	}
}

/* All of them again, cut at every byte. */
static void table_in_two_calls(void **state)
{
	char text[600];

	for (size_t i = 0; i < sizeof(redactions) / sizeof(redactions[0]); i++) {
		size_t len = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: h\r\n\r\n",
				      redactions[i].target);

		for (size_t cut = 1; cut < len; cut++) {
			h1_setup(state);
			drive.poison = cut & 1 ? '/' : '7';
			feed(&drive, DRIVE_CLIENT, text, cut);
			feed(&drive, DRIVE_CLIENT, text + cut, len - cut);
			expect_counts(1, 0);
			expect_redaction(&redactions[i]);
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

		if (c->min_len > 2000 || !class_row(id, &row) || !(row.flags & TT_CLASS_SURE) || c->prefix[0] == CLASS_PATH ||
		    strchr(c->prefix, '/'))
			continue;
		memcpy(target, "/hook/", 6);
		fake_of(id, c->min_len, target + 6);
		strcpy(target + 6 + c->min_len, "/end");
		h1_setup(state);
		get(target);
		expect_counts(1, 0);
		expect_request(0, "GET", "h", "/hook/{...}/end");
		target[6 + c->min_len] = '\0';
		assert_int_equal(head_at(0)->creds, 1);
		expect_cred_placed(0, 0, target + 6, "path:{}");
		assert_string_equal(class_name(head_at(0)->cred[0].class_id), c->name);
	}
}

/* Nothing of a secret, or of who somebody is, comes through: random ones, wherever they stand, however written. */
static void nothing_comes_through(void **state)
{
	static const char *const alphabets[] = {
		"0123456789", "0123456789abcdef", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789%+=",
	};
	static const char *const around[][2] = {
		{ "/", "" }, { "/a/", "/b" }, { "/v1/users/", "?x=1" }, { "/bot", "/x" }, { "/x;id=", "" }, { "/@", "" },
		{ "/services/T/B/", "" }, { "/webhookb2/", "/y/z" }, { "http://u:", "@h/a" },
	};
	char secret[80], target[200], decoy[80];

	srandom(20261126);
	for (int round = 0; round < 20000; round++) {
		const char *alphabet = alphabets[random() % 5], *const *frame = around[random() % 9];
		size_t len = 20 + random() % 50;

		for (size_t i = 0; i < len; i++)
			secret[i] = alphabet[random() % strlen(alphabet)];
		secret[len] = '\0';
		if (random() % 8 == 0)
			snprintf(secret, sizeof(secret), "%ld.name%s%ld.example", random(), random() & 1 ? "@" : "%40", random());
		snprintf(target, sizeof(target), "%s%s%s", frame[0], secret, frame[1]);
		h1_setup(state);
		get(target);
		expect_counts(1, 0);
		for (size_t i = 0; i + 8 <= strlen(secret); i++) {
			snprintf(decoy, sizeof(decoy), "%.8s", secret + i);
			if (strstr(head_at(0)->path, decoy))
				fail_msg("%s: %s", target, head_at(0)->path);
		}
		assert_string_equal(head_at(0)->host, "h");
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
		H1_TEST(nothing_comes_through),
		H1_TEST(no_mint_is_hidden),
		H1_TEST(long_paths_are_cut),
		H1_TEST(very_long_segments),
		H1_TEST(hosts),
		H1_TEST(loose_targets_are_refused),
	};

	return cmocka_run_group_tests(tests, h1_group_setup, NULL);
}
