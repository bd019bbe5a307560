/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf/readers/mint.h: what bodies of requests for tokens and of their answers become, in every split.
 * Wanted texts are "meaning=text"; wanted tokens are given by what they are, and compared by fingerprint.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <zlib.h>

#include <cmocka.h>

#include "mint_drive.h"
#include "tokens/mint_rules.h"

#define T1 "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl-abcdefgh_ijklmnopqrstuvw"
#define T2 "r1.short"
#define HEX40 "0123456789abcdef" "0123456789abcdef" "01234567"

static struct mint_drive_tables tables;

static int no_rule(uint32_t id, const struct tt_mint_rule *rule, void *data)
{
	return 0;
}

static int no_key(uint64_t key, const struct tt_mint_key_val *val, void *data)
{
	return 0;
}

static uint8_t set_of(const char *rule, bool request)
{
	for (uint8_t id = 1; mint_rule_get(id); id++)
		if (strcmp(mint_rule_get(id)->name, rule) == 0)
			return request ? mint_rule_get(id)->request_set : mint_rule_get(id)->answer_set;
	fail_msg("no rule %s", rule);
	return 0;
}

static uint8_t member_of(uint8_t set, const char *path)
{
	for (size_t id = 1; id <= mint_members_count; id++)
		if (mint_members[id - 1].set == set && strcmp(mint_members[id - 1].path, path) == 0)
			return id;
	fail_msg("no member %s", path);
	return 0;
}

struct want {
	const char *member, *value;
};

struct body {
	const char *name, *rule;
	bool request;
	uint8_t flags;
	const char *bytes;
	struct want tokens[4], texts[6];
};

static const struct body bodies[] = {
	{ "oauth", "oauth", false, TT_MINT_WHOLE,
	  "{\"access_token\":\"" T1 "\",\"token_type\":\"Bearer\",\"expires_in\":3600,\r\n \"scope\" : \"read write\","
	  "\"refresh_token\":\"" T2 "\"}\n",
	  { { "access_token", T1 }, { "refresh_token", T2 } },
	  { { "token_type", "Bearer" }, { "expires_in", "3600" }, { "scope", "read write" } } },
	{ "azure: digits as text", "oauth", false, TT_MINT_WHOLE,
	  "{\"expires_in\":\"86399\",\"expires_on\":\"1506484173\",\"resource\":\"https://management.azure.com/\","
	  "\"access_token\":\"" T1 "\",\"nothing\":null,\"scope\":null}",
	  { { "access_token", T1 } },
	  { { "expires_in", "86399" }, { "expires_on", "1506484173" },
	    { "resource", "https://management.azure.com/" } } },
	{ "an SD-JWT is the JWT in front of its disclosures", "oauth", false, TT_MINT_WHOLE,
	  "{\"access_token\":\"" T1 "~WyJzYWx0IiwibmFtZSIsIkRvZSJd~WyJzYWx0IiwiYWdlIiw0Ml0~\"}",
	  { { "access_token", T1 } }, { { NULL } } },
	{ "escapes", "oauth", false, TT_MINT_WHOLE,
	  "{\"acc\\u0065ss_token\":\"a\\/b\\u002Bc\\\\\\\"d\\u003d\",\"scope\":\"\\u0061 \\u00e9\"}",
	  { { "access_token", "a/b+c\\\"d=" } }, { { NULL } } },
	{ "a token with a character that none has", "oauth", false, TT_MINT_WHOLE | TT_MINT_BAD_VALUE,
	  "{\"access_token\":\"a\\u1234b\"}", { { NULL } }, { { NULL } } },
	{ "only by the whole path", "kubernetes_token", false, TT_MINT_WHOLE,
	  "{\"kind\":\"TokenRequest\",\"token\":\"no\",\"spec\":{\"token\":\"no\",\"x\":[{\"status\":{\"token\":\"no\"}}]},"
	  "\"status\":{\"deep\":{\"token\":\"no\"},\"list\":[[],{},[1,true,null]],\"token\":\"" T1 "\","
	  "\"expirationTimestamp\":\"2026-01-01T00:00:00Z\"},\"metadata\":{\"a\":{\"b\":{\"c\":{\"d\":{}}}}}}",
	  { { "status.token", T1 } }, { { "status.expirationTimestamp", "2026-01-01T00:00:00Z" } } },
	{ "a list is one text", "kubernetes_token", true, TT_MINT_WHOLE,
	  "{\"spec\":{\"audiences\":[\"vault\" , \"https://kubernetes.default.svc\"],\"expirationSeconds\":600}}",
	  { { NULL } },
	  { { "spec.audiences", "vault https://kubernetes.default.svc" }, { "spec.expirationSeconds", "600" } } },
	{ "vault", "vault_auth", false, TT_MINT_WHOLE,
	  "{\"request_id\":\"1\",\"data\":null,\"auth\":{\"client_token\":\"" T2 "\",\"accessor\":\"hidden\","
	  "\"policies\":[\"default\",\"dev\"],\"metadata\":{\"role\":\"web\"},\"lease_duration\":2764800}}",
	  { { "auth.client_token", T2 } },
	  { { "auth.policies", "default dev" }, { "auth.metadata.role", "web" }, { "auth.lease_duration", "2764800" } } },
	{ "a form", "oauth", true, TT_MINT_WHOLE,
	  "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&client_secret=s%2Bp+c%25&x=y&&z&"
	  "scope=a+b&subject_token=" T1,
	  { { "client_secret", "s+p c%" }, { "subject_token", T1 } },
	  { { "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange" }, { "scope", "a b" } } },
	{ "a broken escape", "oauth", true, TT_MINT_WHOLE | TT_MINT_BAD_VALUE, "client_secret=a%2&code=%41%zz",
	  { { NULL } }, { { NULL } } },
	{ "a secret in a text", "oauth", true, TT_MINT_WHOLE,
	  "client_id=" HEX40 "&scope=read+" HEX40 "+write&grant_type=client_credentials",
	  { { NULL } },
	  { { "client_id", "{...}" }, { "scope", "read {...} write" }, { "grant_type", "client_credentials" } } },
	{ "sts", "aws_sts", false, TT_MINT_WHOLE,
	  "<?xml version=\"1.0\"?>\n<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
	  "<AssumeRoleResult><Credentials><AccessKeyId>ASIAABCDEFGHIJKLMNOP</AccessKeyId>"
	  "<SecretAccessKey>never/it</SecretAccessKey><SessionToken>\n  F/wo+&amp;x=\n </SessionToken><Empty/>"
	  "<Expiration>2026-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>",
	  { { "SessionToken", "F/wo+&x=" } },
	  { { "AccessKeyId", "ASIAABCDEFGHIJKLMNOP" }, { "Expiration", "2026-01-01T00:00:00Z" } } },
	{ "xml: what is no value", "aws_sts", false, TT_MINT_WHOLE | TT_MINT_BAD_VALUE,
	  "<a><SessionToken>x<b>y</b></SessionToken><SessionToken a='>'>x&#65;</SessionToken>"
	  "<AccessKeyId>lower-case</AccessKeyId></a>",
	  { { NULL } }, { { "AccessKeyId", "{...}" } } },
	{ "xml with a comment", "aws_sts", false, TT_MINT_BAD,
	  "<a><!-- > <SessionToken>x</SessionToken> --></a>", { { NULL } }, { { NULL } } },
	{ "no gzip", "oauth", false, TT_MINT_BAD, "\x1f\x8b\x08{\"access_token\":\"x\"}", { { NULL } }, { { NULL } } },
	{ "a head of gzip", "oauth", false, TT_MINT_INCOMPLETE, "\x1f\x8b\x08", { { NULL } }, { { NULL } } },
	{ "no zlib", "oauth", false, TT_MINT_COMPRESSED, "x\x7f=access_token=x", { { NULL } }, { { NULL } } },
	{ "zstd", "oauth", false, TT_MINT_COMPRESSED, "(\xb5/\xfd\"access_token\":\"x\"", { { NULL } }, { { NULL } } },
	{ "brotli", "oauth", false, TT_MINT_COMPRESSED, "\x1b\x7f\"access_token\":\"x\"", { { NULL } }, { { NULL } } },
	{ "gzip behind a blank is none", "oauth", false, TT_MINT_COMPRESSED, " \x1f\x8b\x08", { { NULL } }, { { NULL } } },
	{ "a form that begins with x", "oauth", false, TT_MINT_WHOLE, "x=1&access_token=" T2,
	  { { "access_token", T2 } }, { { NULL } } },
	{ "x", "oauth", false, TT_MINT_WHOLE, "x", { { NULL } }, { { NULL } } },
	{ "no JSON", "oauth", false, TT_MINT_BAD, "{\"a\" \"access_token\":\"x\"}", { { NULL } }, { { NULL } } },
	{ "a form's answer", "oauth", false, TT_MINT_WHOLE, "access_token=" T2 "&scope=repo%2Cgist&token_type=bearer",
	  { { "access_token", T2 } }, { { "scope", "repo,gist" }, { "token_type", "bearer" } } },
	{ "nothing", "oauth", false, TT_MINT_WHOLE, "", { { NULL } }, { { NULL } } },
};

static void expect(const struct body *b, const struct mint_drive *v, uint8_t set, size_t most)
{
	size_t n = 0, texts = 0, len = 0;

	if (v->broken)
		fail_msg("%s, pieces of %zu: %s", b->name, most, v->broken);
	if (v->body.flags != b->flags)
		fail_msg("%s, pieces of %zu: flags %#x", b->name, most, v->body.flags);
	for (; n < 4 && b->tokens[n].member; n++) {
		const struct tt_mint_cred *c = &v->body.cred[n];
		__u64 id[2];

		mint_drive_sip(v, b->tokens[n].value, strlen(b->tokens[n].value), id);
		if (v->body.creds <= n || c->token[0] != id[0] || c->token[1] != id[1] ||
		    c->length != strlen(b->tokens[n].value) || c->member != member_of(set, b->tokens[n].member) ||
		    c->class_id != (strncmp(b->tokens[n].value, "eyJ", 3) == 0))
			fail_msg("%s, pieces of %zu: %s", b->name, most, b->tokens[n].member);
	}
	assert_int_equal(v->body.creds, n);
	for (size_t i = 0; i < 6 && b->texts[i].member; i++) {
		const uint8_t *text = mint_drive_text(&v->body, member_of(set, b->texts[i].member), &len);

		if (!text || len != strlen(b->texts[i].value) || memcmp(text, b->texts[i].value, len) != 0)
			fail_msg("%s, pieces of %zu: %s is '%.*s'", b->name, most, b->texts[i].member, (int)len,
				 text ? (const char *)text : "");
		texts += 2 + len;
	}
	assert_int_equal(v->body.text_len, texts);
}

static void test_bodies(void **state)
{
	static struct mint_drive v;

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		const struct body *b = &bodies[i];
		uint8_t set = set_of(b->rule, b->request);

		for (size_t most = 0; most < 40; most++) {
			mint_drive_begin(&v, &tables, set, 0);
			mint_drive_all(&v, b->bytes, strlen(b->bytes), most);
			expect(b, &v, set, most);
		}
	}
}

static size_t pack(const void *bytes, size_t len, int window, uint8_t *packed, size_t room)
{
	z_stream s = { .next_in = (Bytef *)bytes, .avail_in = len, .next_out = packed, .avail_out = room };

	assert_int_equal(deflateInit2(&s, 9, Z_DEFLATED, window, 9, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&s, Z_FINISH), Z_STREAM_END);
	deflateEnd(&s);
	return s.total_out;
}

/* Compressed, a body tells the same; but nothing when its end is missing or its checksum is wrong. */
static void test_packed(void **state)
{
	static struct mint_drive v;
	uint8_t packed[2000];

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		const struct body *b = &bodies[i];
		uint8_t set = set_of(b->rule, b->request);
		struct body twice = *b;

		if (b->bytes[0] == '\x1f')	/* what is compressed twice is not read */
			twice.flags = TT_MINT_COMPRESSED;
		for (size_t most = 0; most < 80; most++) {
			size_t n = pack(b->bytes, strlen(b->bytes), most % 3 ? 31 : 15, packed, sizeof(packed));
			size_t cut = n - 1 - most % 8;

			mint_drive_begin(&v, &tables, set, 0);
			mint_drive_all(&v, packed, n, most / 2);
			expect(&twice, &v, set, most);
			mint_drive_begin(&v, &tables, set, 0);
			mint_drive_all(&v, packed, cut, most / 2);
			assert_int_equal(v.body.flags, cut < 2 ? TT_MINT_WHOLE : TT_MINT_INCOMPLETE);	/* "", "x" */
			assert_int_equal(v.body.creds + v.body.text_len, 0);
			packed[n - 1 - most % 4] ^= 0x10;
			mint_drive_begin(&v, &tables, set, 0);
			mint_drive_all(&v, packed, n, most / 2);
			assert_int_equal(v.body.flags, TT_MINT_BAD);
			assert_int_equal(v.body.creds + v.body.text_len, 0);
		}
	}
}

/* ---- Kubernetes' protobuf ---- */

struct proto {
	char bytes[2048];
	size_t len;
};

static void put_varint(struct proto *p, uint64_t value)
{
	for (; value > 127; value >>= 7)
		p->bytes[p->len++] = (char)(value | 128);
	p->bytes[p->len++] = (char)value;
}

static void put_number(struct proto *p, unsigned int field, uint64_t value)
{
	put_varint(p, field << 3);
	put_varint(p, value);
}

static void put_bytes(struct proto *p, unsigned int field, const void *bytes, size_t len)
{
	put_varint(p, field << 3 | 2);
	put_varint(p, len);
	memcpy(p->bytes + p->len, bytes, len);
	p->len += len;
}

static void put_text(struct proto *p, unsigned int field, const char *text)
{
	put_bytes(p, field, text, strlen(text));
}

static void put_message(struct proto *p, unsigned int field, const struct proto *message)
{
	put_bytes(p, field, message->bytes, message->len);
}

static struct proto envelope(const char *kind, const struct proto *raw)
{
	struct proto type = { .len = 0 }, p = { .bytes = "k8s", .len = 4 };

	put_text(&type, 1, "authentication.k8s.io/v1");
	put_text(&type, 2, kind);
	put_message(&p, 1, &type);
	put_message(&p, 2, raw);
	put_text(&p, 3, "");
	put_text(&p, 4, "");
	return p;
}

/* As an API server of 1.34 answers: metadata, spec, status; with what a later one may add. */
static struct proto token_request(const char *token)
{
	struct proto meta = { .len = 0 }, ref = { .len = 0 }, spec = { .len = 0 }, time = { .len = 0 }, status = { .len = 0 };
	struct proto p = { .len = 0 };

	put_text(&meta, 1, "builder");
	put_number(&meta, 7, 1);
	put_message(&p, 1, &meta);
	put_text(&spec, 1, "vault");
	put_text(&spec, 1, "https://kubernetes.default.svc");
	put_text(&ref, 1, "Pod");
	put_text(&ref, 2, "v1");
	put_text(&ref, 3, "builder-7f6d5");
	put_text(&ref, 4, "8a7c0e4e-0000-4000-8000-000000000000");
	put_message(&spec, 3, &ref);
	put_number(&spec, 4, 3607);
	put_message(&p, 2, &spec);
	put_varint(&p, 90 << 3 | 1);	/* a field of eight bytes, one of four, one with a large number */
	memcpy(p.bytes + p.len, "01234567", 8);
	p.len += 8;
	put_varint(&p, 91 << 3 | 5);
	memcpy(p.bytes + p.len, "0123", 4);
	p.len += 4;
	put_text(&p, 4000, "later");
	put_text(&status, 1, token);
	put_number(&time, 1, 1767225600);
	put_number(&time, 2, 0);
	put_message(&status, 2, &time);
	put_message(&p, 3, &status);
	return envelope("TokenRequest", &p);
}

static const struct body proto_request = { "TokenRequest", "kubernetes_token", true, TT_MINT_WHOLE, NULL, { { NULL } },
	{ { "TokenRequest.2.1", "vault https://kubernetes.default.svc" }, { "TokenRequest.2.3.1", "Pod" },
	  { "TokenRequest.2.3.3", "builder-7f6d5" }, { "TokenRequest.2.4", "3607" } } };
static const struct body proto_answer = { "TokenRequest", "kubernetes_token", false, TT_MINT_WHOLE, NULL,
	{ { "TokenRequest.3.1", T1 } }, { { "TokenRequest.3.2.1", "1767225600" } } };
static const struct body proto_bad_token = { "TokenRequest", "kubernetes_token", false,
	TT_MINT_WHOLE | TT_MINT_BAD_VALUE, NULL, { { NULL } }, { { "TokenRequest.3.2.1", "1767225600" } } };
static const struct body proto_nothing = { "another kind", "kubernetes_token", false, TT_MINT_WHOLE, NULL, { { NULL } },
	{ { NULL } } };
static const struct body proto_status = { "Status", "kubernetes_token", false, TT_MINT_WHOLE, NULL, { { NULL } },
	{ { "Status.4", "Forbidden" } } };
static const struct body proto_review = { "TokenReview", "kubernetes_review", false, TT_MINT_WHOLE, NULL, { { NULL } },
	{ { "TokenReview.3.1", "1" }, { "TokenReview.3.2.1", "system:serviceaccount:shop:cart" },
	  { "TokenReview.3.4", "api" } } };
static const struct body proto_reviewed = { "TokenReview", "kubernetes_review", true, TT_MINT_WHOLE, NULL,
	{ { "TokenReview.2.1", T2 } }, { { NULL } } };

static void check_proto(const struct body *b, const struct proto *p)
{
	uint8_t set = set_of(b->rule, b->request);
	static struct mint_drive v;

	for (size_t most = 0; most < p->len; most++) {
		mint_drive_begin(&v, &tables, set, 0);
		mint_drive_all(&v, p->bytes, p->len, most);
		expect(b, &v, set, most);
	}
}

static void test_protobuf(void **state)
{
	struct proto raw = { .len = 0 }, spec = { .len = 0 }, status = { .len = 0 }, user = { .len = 0 };
	struct proto p = token_request(T1);

	check_proto(&proto_answer, &p);
	check_proto(&proto_request, &p);
	p = token_request(T1 "~WyJzYWx0IiwibmFtZSIsIkRvZSJd~");
	check_proto(&proto_answer, &p);
	p = token_request("two words");
	check_proto(&proto_bad_token, &p);

	put_text(&raw, 2, "Failure");
	put_text(&raw, 3, "\x0a" T2);	/* read as a status, this text would have a field 1 */
	put_text(&raw, 4, "Forbidden");
	put_number(&raw, 6, 403);
	p = envelope("Status", &raw);
	check_proto(&proto_status, &p);
	p = envelope("Tokenrequests", &raw);
	check_proto(&proto_nothing, &p);
	p = envelope("", &spec);
	check_proto(&(struct body){ "no kind", "kubernetes_token", false, TT_MINT_BAD, NULL, { { NULL } }, { { NULL } } }, &p);

	raw.len = 0;
	put_text(&spec, 1, T2);
	put_message(&raw, 2, &spec);
	put_number(&status, 1, 1);
	put_text(&user, 1, "system:serviceaccount:shop:cart");
	put_text(&user, 2, "8a7c0e4e");
	put_message(&status, 2, &user);
	put_text(&status, 3, "");
	put_text(&status, 4, "api");
	put_message(&raw, 3, &status);
	p = envelope("TokenReview", &raw);
	check_proto(&proto_review, &p);
	check_proto(&proto_reviewed, &p);
}

/* Cut off anywhere, or with any byte changed: it ends, and nothing is believed that is not there. */
static void test_protobuf_damaged(void **state)
{
	struct proto whole = token_request(T1), p;
	uint8_t set = set_of("kubernetes_token", false);
	static struct mint_drive v;

	for (size_t len = 4; len < whole.len; len++) {
		mint_drive_begin(&v, &tables, set, 0);
		mint_drive_all(&v, whole.bytes, len, len % 7);
		assert_null(v.broken);
		/* The envelope has no length: whole fields of it are a whole body. */
		assert_true(v.body.flags == TT_MINT_INCOMPLETE || v.body.flags == TT_MINT_WHOLE);
		assert_true(v.body.flags != TT_MINT_WHOLE || len == 4 || v.body.creds == 1 || len < 50);
	}
	for (size_t at = 4; at < whole.len; at++) {
		for (int bit = 0; bit < 8; bit++) {
			p = whole;
			p.bytes[at] ^= (char)(1 << bit);
			mint_drive_begin(&v, &tables, set, 0);
			mint_drive_all(&v, p.bytes, p.len, at % 5);
			assert_null(v.broken);
			assert_true(v.body.flags != 0);
		}
	}
}

static void plain(const char *bytes, size_t most, uint8_t flags, const char *token)
{
	static struct mint_drive v;
	__u64 id[2];

	mint_drive_begin(&v, &tables, 0, 7);
	mint_drive_all(&v, bytes, strlen(bytes), most);
	assert_null(v.broken);
	assert_int_equal(v.body.flags, flags);
	assert_int_equal(v.body.creds, token != NULL);
	if (!token)
		return;
	mint_drive_sip(&v, token, strlen(token), id);
	assert_memory_equal(v.body.cred[0].token, id, sizeof(id));
	assert_int_equal(v.body.cred[0].member, 7);
}

static void test_plain(void **state)
{
	for (size_t most = 0; most < 9; most++) {
		plain("AQAEAJ-token==", most, TT_MINT_WHOLE, "AQAEAJ-token==");
		plain("xyz-token", most, TT_MINT_WHOLE, "xyz-token");
		plain("x", most, TT_MINT_WHOLE, "x");
		plain("\r\n" T1 "\n", most, TT_MINT_WHOLE, T1);
		plain("two words", most, TT_MINT_WHOLE | TT_MINT_BAD_VALUE, NULL);
		plain("<?xml version=\"1.0\"?><html><title>401</title></html>", most, TT_MINT_WHOLE, NULL);
	}
}

/* Longer than a window, and than a text may be. */
static void test_long(void **state)
{
	static struct mint_drive v;
	static char token[5001], text[301], bytes[6000];
	uint8_t set = set_of("oauth", false);
	__u64 id[2];

	memset(token, 'k', 5000);
	for (size_t i = 0; i < 300; i++)
		text[i] = i % 10 == 9 ? ' ' : 's';
	snprintf(bytes, sizeof(bytes), "{\"scope\":\"%s\",\"access_token\":\"%s\",\"expires_in\":5}", text, token);
	for (size_t most = 0; most < 3000; most += 700) {
		size_t len;

		mint_drive_begin(&v, &tables, set, 0);
		mint_drive_all(&v, bytes, strlen(bytes), most);
		assert_null(v.broken);
		assert_int_equal(v.body.flags, TT_MINT_WHOLE | TT_MINT_TEXT_CUT);
		mint_drive_sip(&v, token, 5000, id);
		assert_int_equal(v.body.creds, 1);
		assert_memory_equal(v.body.cred[0].token, id, sizeof(id));
		assert_non_null(mint_drive_text(&v.body, member_of(set, "expires_in"), &len));
		assert_null(mint_drive_text(&v.body, member_of(set, "scope"), &len));
	}
	mint_drive_begin(&v, &tables, set, 0);
	mint_drive_all(&v, bytes, strlen(bytes) - 40, 0);
	assert_int_equal(v.body.flags & (TT_MINT_WHOLE | TT_MINT_INCOMPLETE), TT_MINT_INCOMPLETE);
	assert_int_equal(v.body.creds, 0);
}

/* A body that ends anywhere: the texts that are told are whole, one behind the other. */
static void test_cut_texts(void **state)
{
	static const char bytes[] = "{\"token_type\":\"Bearer\",\"access_token\":\"" T1 "\",\"scope\":\"read write\","
				    "\"expires_in\":\"3600\"}";
	static struct mint_drive v;
	uint8_t set = set_of("oauth", false);

	for (size_t len = 0; len < sizeof(bytes); len++) {
		size_t at = 0, end;

		mint_drive_begin(&v, &tables, set, 0);
		mint_drive_all(&v, bytes, len, 0);
		end = mint_texts_len(&v.body);
		assert_true(end <= v.body.text_len);
		while (at + 2 <= end) {
			assert_true(v.body.text[at + 1] > 0);
			at += 2 + v.body.text[at + 1];
		}
		assert_int_equal(at, end);
	}
	assert_int_equal(v.body.flags, TT_MINT_WHOLE);
}

/* Which words of public texts go out as they are. */
static void test_words(void **state)
{
	static const char *const shown[] = {
		"authorization_code", "urn:ietf:params:oauth:token-type:access_token",
		"https://www.googleapis.com/auth/cloud-platform", "UserAuthenticationMethod.ReadWrite.All",
		"3f2504e0-4f89-41d3-9a0c-0305e82c3301", "arn:aws:iam::123456789012:role/reader",
		"system:serviceaccount:default:web", "2026-01-01T00:00:00.123456789Z",
	};
	static const char *const hidden[] = {
		HEX40, "ghp_" HEX40, "q7" "WmK3nPz" "8RtY2vXc5" "BdFg", "aaaa-bbbb_cccc" "-ghij-klmn-opq7r8s9" "-tttt",
		"QWERTYUIOPasdfghjk" "lZXCVBNMqwertyuiop",
	};
	static struct mint_drive v;
	uint8_t set = set_of("oauth", false);
	char bytes[200];
	size_t len;

	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
		snprintf(bytes, sizeof(bytes), "{\"scope\":\"%s\"}", shown[i]);
		mint_drive_begin(&v, &tables, set, 0);
		mint_drive_all(&v, bytes, strlen(bytes), 0);
		assert_memory_equal(mint_drive_text(&v.body, member_of(set, "scope"), &len), shown[i], strlen(shown[i]));
		assert_int_equal(len, strlen(shown[i]));
	}
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
		snprintf(bytes, sizeof(bytes), "{\"scope\":\"%s\"}", hidden[i]);
		mint_drive_begin(&v, &tables, set, 0);
		mint_drive_all(&v, bytes, strlen(bytes), 0);
		assert_memory_equal(mint_drive_text(&v.body, member_of(set, "scope"), &len), "{...}", 5);
		assert_int_equal(len, 5);
	}
}

static int setup(void **state)
{
	const struct mint_tables to = { no_rule, no_key, mint_drive_put, &tables };

	tables.class_prefix = "eyJ";
	return mint_tables_each(&to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_packed),
		cmocka_unit_test(test_protobuf),
		cmocka_unit_test(test_protobuf_damaged),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_cut_texts),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
