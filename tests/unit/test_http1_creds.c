/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf/readers/unwrap.h: whatever dress a token comes in, its fingerprint is SipHash
 * over the bare token (computed by OpenSSL here), and its class that of the bare token.
 */
#include "h1_expect.h"

/* In two pieces, as in all files here, so that no scanner takes it for a real one. */
#define TOKEN "ghp" "_0123456789abcdefghijABCDEFGHIJ012345"

static void request(const char *target, const char *lines)
{
	static char text[64 * 1024];
	int len = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: h\r\n%s\r\n", target, lines);

	assert_in_range(len, 1, sizeof(text) - 1);
	feed(&drive, DRIVE_CLIENT, text, len);
}

struct dress {
	const char *lines, *carrier, *scheme;
};

static void expect_dress(const struct dress *d, int flags)
{
	h1_setup(NULL);
	request("/", d->lines);
	if (drive.heads_len != 1 || drive.notes_len || head_at(0)->creds != 1)
		fail_msg("%s: %zu notes", d->lines, drive.notes_len);
	expect_cred(0, 0, TOKEN, d->carrier, d->scheme);
	assert_string_equal(class_name(head_at(0)->cred[0].class_id), "github_pat_classic");
	/* Its checksum is made up; of a user's part it is not told. */
	assert_int_equal(head_at(0)->cred[0].flags & ~TT_CRED_CHECKSUM_BAD, flags);
}

static void one_token_one_fingerprint(void **state)
{
	static const struct dress dresses[] = {
		{ "Authorization: Bearer " TOKEN "\r\n", "authorization", "bearer" },
		{ "AUTHORIZATION:bearer  " TOKEN "\r\n", "authorization", "bearer" },
		{ "authorization: BEARER\t" TOKEN " \t\r\n", "authorization", "bearer" },
		{ "Authorization: Bearer \"" TOKEN "\"\r\n", "authorization", "bearer" },
		{ "Authorization: Bearer \"" TOKEN "\" \n", "authorization", "bearer" },
		{ "Authorization: token " TOKEN "\r\n", "authorization", "token" },
		{ "Authorization: DPoP " TOKEN "\r\n", "authorization", "dpop" },
		{ "Authorization: ApiKey " TOKEN "\r\n", "authorization", "apikey" },
		{ "Authorization: GenieKey " TOKEN "\r\n", "authorization", "geniekey" },
		{ "Authorization: MyOwnScheme " TOKEN "\r\n", "authorization", "other" },
		{ "Authorization: " TOKEN "\r\n", "authorization", NULL },
		{ "Authorization: \"" TOKEN "\"\r\n", "authorization", NULL },
		{ "Authorization:\r\n Bearer\r\n " TOKEN "\r\n\t\r\n", "authorization", "bearer" },
		{ "Proxy-Authorization: Bearer " TOKEN "\r\n", "proxy-authorization", "bearer" },
		/* x-access-token:TOKEN, with padding and without, in both alphabets */
		{ "Authorization: Basic eC1hY2Nlc3MtdG9rZW46Z2hwXzAxMjM0NTY3ODlh"
		  "YmNkZWZnaGlqQUJDREVGR0hJSjAxMjM0NQ==\r\n",
		  "authorization", "basic" },
		{ "Authorization: basic  eC1hY2Nlc3MtdG9rZW46Z2hwXzAxMjM0NTY3ODlh"
		  "YmNkZWZnaGlqQUJDREVGR0hJSjAxMjM0NQ \r\n",
		  "authorization", "basic" },
		/* "TOKEN:", the key as the user; ":TOKEN"; "?>?>:TOKEN", whose user differs by alphabet */
		{ "Authorization: Basic Z2hwXzAxMjM0NTY3ODlhYmNkZWZnaGlq"
		  "QUJDREVGR0hJSjAxMjM0NTo=\r\n",
		  "authorization", "basic" },
		{ "Authorization: Basic OmdocF8wMTIzNDU2Nzg5YWJjZGVmZ2hp"
		  "akFCQ0RFRkdISUowMTIzNDU=\r\n",
		  "authorization", "basic" },
		{ "Authorization: Basic Pz4/PjpnaHBfMDEyMzQ1Njc4OWFiY2Rl"
		  "ZmdoaWpBQkNERUZHSElKMDEyMzQ1\r\n",
		  "authorization", "basic" },
		{ "Authorization: Basic Pz4_PjpnaHBfMDEyMzQ1Njc4OWFiY2Rl"
		  "ZmdoaWpBQkNERUZHSElKMDEyMzQ1\r\n",
		  "authorization", "basic" },
		{ "PRIVATE-TOKEN: " TOKEN "\r\n", "private-token", NULL },
		{ "X-Api-Key:\t" TOKEN "\t\r\n", "x-api-key", NULL },
		{ "x-vault-token:" TOKEN "\n", "x-vault-token", NULL },
		{ "X-Goog-Api-Key: \"" TOKEN "\"\r\n", "x-goog-api-key", NULL },
	};

	static const struct dress twice[] = {
		{ "Authorization: Bearer Bearer " TOKEN "\r\n", "authorization", "bearer" },
		{ "Authorization: Bearer bearer   \"" TOKEN "\"\r\n", "authorization", "bearer" },
		{ "Authorization: token\ttoken\r\n " TOKEN "\r\n", "authorization", "token" },
		{ "Authorization: foo Foo " TOKEN "\r\n", "authorization", "other" },
	};

	for (size_t i = 0; i < sizeof(dresses) / sizeof(dresses[0]); i++)
		expect_dress(&dresses[i], 0);
	for (size_t i = 0; i < sizeof(twice) / sizeof(twice[0]); i++)
		expect_dress(&twice[i], TT_CRED_DUP_SCHEME);
}

static void the_same_in_the_query(void **state)
{
	static const char *const targets[] = {
		"/a?access_token=" TOKEN,
		"/a?x=1&access_token=" TOKEN "&y=2",
		"/a?x;access_token=" TOKEN ";y",
		"/a?&&=&Access_Token=" TOKEN "#fragment",
		"/a?access_token=%67%68%70%5f0123456789abcdefghijABCDEFGHIJ%30%31%32%33%34%35",
		"/a?access_token=%67%68%70%5F0123456789abcdefghij%41BCDEFGHIJ012345&",
		"http://h/a?access_token=" TOKEN,
	};

	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		h1_setup(state);
		request(targets[i], "");
		expect_counts(1, 0);
		expect_request(0, "GET", "h", "/a");
		assert_int_equal(head_at(0)->creds, 1);
		expect_cred(0, 0, TOKEN, "query:access_token", NULL);
	}
	h1_setup(state);
	request("/?token=a%20b+c%25&secret=", "");	/* decoded once; a plus stays a plus */
	expect_counts(1, 1);
	expect_cred(0, 0, "a b+c%", "query:token", NULL);
	expect_note(0, TT_DROP_empty_cred);
}

/* Made up, in pieces. */
#define KEY_ID "AKIA" "QQQQQQQQQQQQQQQQ"
#define HEX64 "0123456789abcdef0123456789abcdef" "0123456789abcdef0123456789abcdef"
#define SAS "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789" "AbCdEf/="

static const struct {
	const char *target, *cred[3], *carrier[3], *public_id;
} queries[] = {
	/* URLs that are signed: what signs, and what it signs with; as S3, GCS, CloudFront, Azure have them */
	{ "/b/o?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" KEY_ID "%2F20261126%2Feu-west-1%2Fs3%2Faws4_request"
	  "&X-Amz-Date=20261126T080000Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Security-Token=IQoJ%2Bb3%3D"
	  "&X-Amz-Signature=" HEX64,
	  { KEY_ID, "IQoJ+b3=", HEX64 },
	  { "query:x-amz-credential", "query:x-amz-security-token", "query:x-amz-signature" }, KEY_ID },
	{ "/b/o?x-amz-credential=" KEY_ID "/20261126/eu-west-1/s3/aws4_request;x-amz-signature=" HEX64,
	  { KEY_ID, HEX64 }, { "query:x-amz-credential", "query:x-amz-signature" }, KEY_ID },
	{ "/b/o?X-Amz-Credential=" KEY_ID "#", { KEY_ID }, { "query:x-amz-credential" }, KEY_ID },
	{ "/b/o?X-Amz-Credential=" KEY_ID "%2", { NULL }, { NULL }, "" },
	{ "/b/o?X-Goog-Credential=sa%40p.iam.gserviceaccount.com%2F20261126&X-Goog-Signature=" HEX64,
	  { HEX64 }, { "query:x-goog-signature" }, "" },
	{ "/o?AWSAccessKeyId=" KEY_ID "&Signature=aB0%2Bc%2Fd%3D&Expires=1", { KEY_ID, "aB0+c/d=" },
	  { "query:awsaccesskeyid", "query:signature" }, KEY_ID },
	{ "/o?Expires=1&Signature=aB0-c~d__&Key-Pair-Id=K2ABCDEFGHIJKL", { "aB0-c~d__", "K2ABCDEFGHIJKL" },
	  { "query:signature", "query:key-pair-id" }, "" },
	{ "/c/o?sv=2024-11-04&se=2026-11-27&sr=b&sp=r&sig=AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEf%2F%3D",
	  { SAS }, { "query:sig" }, "" },
	/* a token that is a URL of its own is whole */
	{ "/?token=k8s-aws-v1.aHR0cHM6Ly9zdHMuZXhhbXBsZS8_QWN0aW9uPUdldENhbGxlcklkZW50aXR5JlgtQW16",
	  { "k8s-aws-v1.aHR0cHM6Ly9zdHMuZXhhbXBsZS8_QWN0aW9uPUdldENhbGxlcklkZW50aXR5JlgtQW16" },
	  { "query:token" }, "" },
};
#define QUERIES (sizeof(queries) / sizeof(queries[0]))

static void expect_query(size_t i)
{
	const struct drive_head *h = head_at(0);
	uint8_t creds = 0;

	for (size_t k = 0; k < 3 && queries[i].cred[k]; k++)
		creds++;
	if (h->creds != creds)
		fail_msg("%s: %u credentials", queries[i].target, h->creds);
	for (size_t k = 0; k < creds; k++)
		expect_cred(0, k, queries[i].cred[k], queries[i].carrier[k], NULL);
	assert_string_equal(h->public_id, queries[i].public_id);
}

/* Cut at every byte. */
static void signed_urls(void **state)
{
	char text[1024];

	for (size_t i = 0; i < QUERIES; i++) {
		size_t len = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", queries[i].target);

		for (size_t cut = 0; cut < len; cut++) {
			h1_setup(state);
			drive.poison = cut & 1 ? '/' : '&';
			feed(&drive, DRIVE_CLIENT, text, cut);
			feed(&drive, DRIVE_CLIENT, text + cut, len - cut);
			assert_int_equal(drive.heads_len, 1);
			expect_query(i);
		}
	}
}

static void words_quotes_and_blanks(void **state)
{
	static const struct {
		const char *line, *token, *scheme;
	} cases[] = {
		{ "Authorization: Bearer two words", "two words", "bearer" },
		{ "Authorization: Bearer a  b", "a  b", "bearer" },
		{ "Authorization: a b c", "b c", "other" },
		{ "Authorization: Bearer \"a b\"", "a b", "bearer" },
		{ "Authorization: Bearer a\"b", "a\"b", "bearer" },
		{ "Authorization: Bearer \"a\"b\"", "a\"b", "bearer" },
		{ "Authorization: Bearer \"a\" b", "a\" b", "bearer" },
		{ "Authorization: Bearer \"a\"\"", "a\"", "bearer" },
		{ "Authorization: Bearer \"a", "a", "bearer" },
		{ "Authorization: Bearer a\"", "a\"", "bearer" },
		{ "Authorization: Bearer Bearerx", "Bearerx", "bearer" },
		{ "Authorization: Bearer Bearer", "Bearer", "bearer" },
		{ "Authorization: Bearer token x", "token x", "bearer" },
		{ "Authorization: Bearer aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa \"b\" c",
		  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa \"b\" c", "bearer" },
		{ "Authorization: aaaaaaaaaaaaaaaaaaaaaaaaa-is-no-scheme b",
		  "aaaaaaaaaaaaaaaaaaaaaaaaa-is-no-scheme b", NULL },
		{ "Authorization: Basic Og==\r\nAuthorization: Basic dTpwOnE6", "p:q:", "basic" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char lines[200];

		h1_setup(state);
		snprintf(lines, sizeof(lines), "%s\r\n", cases[i].line);
		request("/", lines);
		if (head_at(0)->creds != 1)
			fail_msg("%s: %d credentials", cases[i].line, head_at(0)->creds);
		expect_cred(0, 0, cases[i].token, "authorization", cases[i].scheme);
	}
}

/* What is left out of a head, and why; the head itself is reported. */
static void notes(void **state)
{
	static const struct {
		const char *target, *lines;
		enum tt_drop reason;
	} cases[] = {
		{ "/", "Authorization: Basic !!!!\r\n", TT_DROP_bad_base64 },
		{ "/", "Authorization: Basic bm9jb2xvbg==\r\n", TT_DROP_bad_base64 },	/* "nocolon" */
		{ "/", "Authorization: Basic dTpw=dTpw\r\n", TT_DROP_bad_base64 },
		{ "/", "Authorization: Basic dTpwYXNzd29yZ\r\n", TT_DROP_bad_base64 },	/* cut */
		{ "/", "Authorization: Basic dTpw dTpw\r\n", TT_DROP_bad_base64 },
		{ "/", "Authorization: Basic Og==\r\n", TT_DROP_empty_cred },		/* ":" */
		{ "/", "Authorization: Basic\r\n", TT_DROP_empty_cred },
		{ "/", "Authorization: Bearer\r\n", TT_DROP_empty_cred },
		{ "/", "Authorization: Bearer   \r\n", TT_DROP_empty_cred },
		{ "/", "Authorization: Bearer \"\"\r\n", TT_DROP_empty_cred },
		{ "/", "Authorization:\r\n", TT_DROP_empty_cred },
		{ "/", "X-Api-Key:   \r\n", TT_DROP_empty_cred },
		{ "/", "X-Api-Key: \"\"\r\n", TT_DROP_empty_cred },
		{ "/?token=", "", TT_DROP_empty_cred },
		{ "/?token=%4", "", TT_DROP_bad_percent },
		{ "/?token=%zz", "", TT_DROP_bad_percent },
		{ "/?token=a%", "", TT_DROP_bad_percent },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		h1_setup(state);
		request(cases[i].target, cases[i].lines);
		if (drive.heads_len != 1 || drive.notes_len != 1 || head_at(0)->creds)
			fail_msg("%s %s: %zu heads, %zu notes", cases[i].target, cases[i].lines,
				 drive.heads_len, drive.notes_len);
		expect_note(0, cases[i].reason);
	}
}

static void more_than_four(void **state)
{
	request("/?token=q", "X-Api-Key: 1\r\nX-Auth-Token: 2\r\nX-Vault-Token: 3\r\nApi-Key: 4\r\n"
			     "Authorization: Bearer " TOKEN "\r\n");
	expect_counts(1, 2);
	expect_note(0, TT_DROP_more_creds);
	expect_note(1, TT_DROP_more_creds);
	assert_int_equal(head_at(0)->creds, 4);
	assert_int_equal(head_at(0)->use_flags, TT_USE_MORE_CREDS);
	expect_cred(0, 0, "q", "query:token", NULL);
	expect_cred(0, 3, "3", "x-vault-token", NULL);
	request("/", "Authorization: Bearer " TOKEN "\r\n");	/* nothing of it stays */
	assert_int_equal(head_at(1)->creds, 1);
	assert_int_equal(head_at(1)->use_flags, 0);
	expect_cred(1, 0, TOKEN, "authorization", "bearer");
}

/* Cookies and parameters of a query, of which there may be any number, leave a place for a field. */
static void the_last_place(void **state)
{
	request("/?token=1&access_token=2", "Cookie: sid=3; session=4; auth=5\r\nCookie: jwt=6\r\n"
		"Authorization: Bearer " TOKEN "\r\n");
	expect_counts(1, 3);
	for (int i = 0; i < 3; i++)
		expect_note(i, TT_DROP_more_creds);
	assert_int_equal(head_at(0)->creds, 4);
	expect_cred(0, 2, "3", "cookie:sid", NULL);
	expect_cred(0, 3, TOKEN, "authorization", "bearer");
	h1_setup(state);
	request("/?token=1&access_token=2&secret=3&jwt=4", "");
	expect_counts(1, 1);
	assert_int_equal(head_at(0)->creds, 3);
}

/* Names that are nearly one of ours, trailers, bodies and responses carry nothing. */
static void only_where_they_belong(void **state)
{
	request("/?access_tokens=" TOKEN "&xaccess_token=" TOKEN "&authorization=" TOKEN,
		"Authorizatio: Bearer " TOKEN "\r\nXAuthorization: " TOKEN "\r\nBearer: " TOKEN
		"\r\nAccess_Token: " TOKEN "\r\nCookie: Authorization: Bearer " TOKEN "\r\n");
	server("HTTP/1.1 200 OK\r\nAuthorization: Bearer " TOKEN "\r\nX-Api-Key: " TOKEN
	       "\r\nContent-Length: 0\r\n\r\n");
	expect_counts(2, 0);
	assert_int_equal(head_at(0)->creds, 0);
	expect_status(1, 200);
}

static void classes(void **state)
{
	static char text[2100];

	for (uint16_t id = 1; id <= class_count(); id++) {
		const struct token_class *c = class_get(id);
		int at = sprintf(text, "Authorization: Bearer ");
		struct tt_class_row row;

		/* Quotes are trimmed, and one word may be the scheme again. */
		if (c->min_len > 2000 || !class_row(id, &row) || c->prefix[0] == CLASS_PATH ||
		    strcasecmp(c->prefix, "bearer") == 0)
			continue;
		fake_of(id, c->min_len, text + at);
		strcpy(text + at + c->min_len, "\r\n");
		h1_setup(state);
		request("/", text);
		expect_cred_bytes(0, 0, text + at, c->min_len, "authorization", "bearer");
		assert_string_equal(class_name(head_at(0)->cred[0].class_id), c->name);
		if (c->checksum)
			assert_int_equal(head_at(0)->cred[0].flags, TT_CRED_CHECKSUM_OK);
	}
}

static void random_token(char *token, size_t len, const char *alphabet)
{
	for (size_t i = 0; i < len; i++)
		token[i] = alphabet[random() % strlen(alphabet)];
	token[len] = 0;
}

/* Random tokens of all lengths, their ends near the borders of windows and calls. */
static void lengths_and_borders(void **state)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				       "0123456789-._~+/=!#\"$%&'()*,:;<>?@[]^`{|}";
	static char text[8192], token[3001];

	srandom(20261123);
	for (size_t len = 1; len <= 3000; len += len < 80 ? 1 : 1 + random() % 13) {
		size_t pad = random() % 1100, cut, all;

		if (random() % 3 == 0)	/* its end near a border of windows */
			pad = (4 * H1_WINDOW - 50 - len + random() % 20) % H1_WINDOW;
		random_token(token, len, alphabet);
		if (token[0] == '"')
			token[0] = 'q';
		memset(text, 'p', sizeof(text));
		all = sprintf(text, "GET / HTTP/1.1\r\nX-Pad: ");
		all += pad + sprintf(text + all + pad, "\r\nX-Api-Key: %s\r\n\r\n", token);
		h1_setup(state);
		feed(&drive, DRIVE_CLIENT, text, all);
		expect_counts(1, 0);
		expect_cred(0, 0, token, "x-api-key", NULL);

		cut = 1 + random() % (all - 1);
		drive.poison = random();
		feed(&drive, DRIVE_CLIENT, text, cut);
		assert_false(drive_residue(&drive, token, len));
		feed(&drive, DRIVE_CLIENT, text + cut, all - cut);
		expect_counts(2, 0);
		expect_cred(1, 0, token, "x-api-key", NULL);
	}
}

static size_t encode64(const uint8_t *from, size_t len, char *to)
{
	return EVP_EncodeBlock((unsigned char *)to, from, len);
}

static void random_basic(void **state)
{
	static char text[8192], pair[4096], b64[6000];

	srandom(4);
	for (int round = 0; round < 400; round++) {
		size_t user = random() % 40, pass = 1 + random() % (round % 10 ? 60 : 2000);
		size_t cut, all;

		for (size_t i = 0; i < user + 1 + pass; i++)
			pair[i] = random();	/* a password may be any bytes */
		for (size_t i = 0; i < user; i++)
			if (pair[i] == ':')
				pair[i] = ';';
		pair[user] = ':';
		encode64((uint8_t *)pair, user + 1 + pass, b64);
		all = sprintf(text, "GET / HTTP/1.1\r\nAuthorization: Basic %s\r\n\r\n", b64);
		cut = 1 + random() % (all - 1);
		h1_setup(state);
		feed(&drive, DRIVE_CLIENT, text, cut);
		assert_false(drive_residue(&drive, pair + user + 1, pass));
		assert_false(drive_residue(&drive, b64, strlen(b64)));
		feed(&drive, DRIVE_CLIENT, text + cut, all - cut);
		expect_counts(1, 0);
		expect_cred_bytes(0, 0, pair + user + 1, pass, "authorization", "basic");
	}
}

/* Under another key the same token is another. */
static void the_key_matters(void **state)
{
	struct tt_cred first;

	request("/", "X-Api-Key: " TOKEN "\r\n");
	first = head_at(0)->cred[0];
	drive_init(&drive, &h1_tables, KEY0, KEY1 + 1);
	request("/", "X-Api-Key: " TOKEN "\r\n");
	assert_true(head_at(0)->cred[0].token[0] != first.token[0]);
	assert_true(head_at(0)->cred[0].token[1] != first.token[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		H1_TEST(one_token_one_fingerprint),
		H1_TEST(the_same_in_the_query),
		H1_TEST(signed_urls),
		H1_TEST(words_quotes_and_blanks),
		H1_TEST(notes),
		H1_TEST(more_than_four),
		H1_TEST(the_last_place),
		H1_TEST(only_where_they_belong),
		H1_TEST(classes),
		H1_TEST(lengths_and_borders),
		H1_TEST(random_basic),
		H1_TEST(the_key_matters),
	};

	return cmocka_run_group_tests(tests, h1_group_setup, NULL);
}
