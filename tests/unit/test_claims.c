/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf/readers/claims.h: header and payload of a signed JWT and nothing else, whatever carried it;
 * nothing at all of one that may be unsigned. Both fingerprints are OpenSSL's.
 */
#include "h2_expect.h"
#include "jwt_make.h"

#define HEADER "{\"alg\":\"RS256\",\"kid\":\"k1\",\"typ\":\"JWT\"}"
#define PAYLOAD "{\"iss\":\"https://issuer.test\",\"sub\":\"job-7\",\"exp\":1900000000}"
#define TEXT_MAX (64 * 1024)

static char token[TEXT_MAX], text[4 * TEXT_MAX];
static size_t signed_len;

static void make(const char *header, const char *payload, const char *signature)
{
	signed_len = jwt_make(token, header, payload, signature);
}

/* A request with this header line, in a call of its own. */
static void request(const char *before, const char *line, const char *after)
{
	int len = snprintf(text, sizeof(text), "GET /%s HTTP/1.1\r\nHost: h\r\n%s%s\r\n", before, line,
			   after);

	assert_in_range(len, 1, sizeof(text) - 1);
	feed(&drive, DRIVE_CLIENT, text, len);
}

static void bearer(void)
{
	static char line[TEXT_MAX + 64];

	snprintf(line, sizeof(line), "Authorization: Bearer %s\r\n", token);
	request("", line, "");
}

static void expect_ids(const struct tt_ev_claims *e, size_t len)
{
	uint64_t id[2];

	fingerprint(token, len, id);
	assert_memory_equal(e->token, id, 16);
	assert_int_equal(e->length, len);
	fingerprint(token, signed_len, id);
	assert_memory_equal(e->signed_part, id, 16);
}

static void expect_text(const struct tt_ev_claims *e, const char *want, size_t len)
{
	assert_int_equal(e->header_len + (e->payload_len ? e->payload_len + 1 : 0), len);
	assert_memory_equal(e->text, want, len);
	for (size_t i = len; i < sizeof(e->text); i++)
		assert_int_equal(e->text[i], 0);
}

/* The one record there is. */
static const struct tt_ev_claims *only(const struct drive_told *told)
{
	assert_int_equal(told->len, 1);
	return &told->ev[0];
}

static void expect_told(const struct drive_told *told)
{
	const struct tt_ev_claims *e = only(told);

	assert_int_equal(e->flags, 0);
	expect_ids(e, strlen(token));
	expect_text(e, token, signed_len);
}

/* ---- what is told ---- */

static void header_and_payload(void **state)
{
	make(HEADER, PAYLOAD, JWT_SIGNATURE);
	bearer();
	expect_told(&drive.told);
	assert_string_equal(class_name(drive.told.ev[0].class_id), "jwt");
	assert_int_equal(drive.told.ev[0].header_len, strchr(token, '.') - token);
	bearer();
	assert_int_equal(drive.told.len, 1);
	assert_int_equal(drive.told.asked, 2);
}

static void every_carrier(void **state)
{
	static char line[3 * TEXT_MAX], basic[2 * TEXT_MAX];
	static const struct {
		const char *before, *after;
	} dress[] = {
		{ "Authorization: Bearer ", "" }, { "Authorization: Bearer Bearer   ", " " },
		{ "Authorization: \"", "\"" }, { "Authorization: ", "" }, { "Proxy-Authorization: bearer \"", "\"" },
		{ "X-Api-Key: ", "" }, { "X-Vault-Token:\t", "\t" }, { "X-Amz-Security-Token:", "" },
	};

	make(HEADER, PAYLOAD, JWT_SIGNATURE);
	for (size_t i = 0; i < sizeof(dress) / sizeof(dress[0]); i++) {
		h1_setup(NULL);
		snprintf(line, sizeof(line), "%s%s%s\r\n", dress[i].before, token, dress[i].after);
		request("", line, "");
		expect_told(&drive.told);
	}
	h1_setup(NULL);
	snprintf(line, sizeof(line), "v1?a=1&access_token=%s&b=2", token);
	request(line, "", "");
	expect_told(&drive.told);
	h1_setup(NULL);
	snprintf(line, sizeof(line), "oauth2:%s", token);
	jwt_base64(basic, line, strlen(line));
	snprintf(line, sizeof(line), "Authorization: Basic %s\r\n", basic);
	request("", line, "");
	expect_told(&drive.told);
}

static void white_space_ahead(void **state)
{
	static const char *const headers[] = { "{\n\"alg\" : \"ES256\"}", "{ \"alg\"\t:\r\n \"ES256\"}" };

	for (size_t i = 0; i < 2; i++) {
		h1_setup(NULL);
		make(headers[i], PAYLOAD, JWT_SIGNATURE);
		bearer();
		expect_told(&drive.told);
	}
}

/* Nothing of what may stand behind the payload is in a record, wherever the windows cut. */
static void across_windows(void **state)
{
	static char line[3 * TEXT_MAX];

	make(HEADER, PAYLOAD, JWT_SIGNATURE);
	for (size_t i = 0; i < 2 * H1_WINDOW; i += 7) {
		h1_setup(NULL);
		snprintf(line, sizeof(line), "X-Filler: %0*d\r\nAuthorization: Bearer %s\r\n", (int)i + 1, 0,
			 token);
		request("", line, "");
		expect_told(&drive.told);
	}
}

/* What a call has only a part of is not told; the next whole one is. */
static void split_over_calls(void **state)
{
	size_t len, from;

	make(HEADER, PAYLOAD, JWT_SIGNATURE);
	bearer();
	len = strlen(text);
	from = strstr(text, token) - text;
	for (size_t at = from + 1; at < from + strlen(token); at++) {
		h1_setup(NULL);
		feed(&drive, DRIVE_CLIENT, text, at);
		assert_false(drive_residue(&drive, token, strlen(token)));
		feed(&drive, DRIVE_CLIENT, text + at, len - at);
		assert_int_equal(drive.told.len, 0);
		assert_int_equal(head_at(0)->creds, 1);
		feed(&drive, DRIVE_CLIENT, text, len);
		expect_told(&drive.told);
	}
}

static void several_in_one_head(void **state)
{
	static char other[TEXT_MAX], line[3 * TEXT_MAX];
	uint64_t id[2];
	size_t len;

	len = jwt_make(other, HEADER, "{\"iss\":\"x\"}", JWT_SIGNATURE);
	make(HEADER, PAYLOAD, JWT_SIGNATURE);
	snprintf(line, sizeof(line), "X-Api-Key: %s\r\nX-Vault-Token: hvs.short\r\nAuthorization: Bearer %s\r\n",
		 other, token);
	request("", line, "");
	assert_int_equal(drive.told.len, 2);
	expect_text(&drive.told.ev[0], other, len);
	fingerprint(other, len, id);
	assert_memory_equal(drive.told.ev[0].signed_part, id, 16);
	expect_ids(&drive.told.ev[1], strlen(token));
	expect_text(&drive.told.ev[1], token, signed_len);
}

/* The last character's unused bits: another token by its bytes, and the same by what was signed. */
static void malleable(void **state)
{
	struct tt_ev_claims first;

	make(HEADER, PAYLOAD, JWT_SIGNATURE);
	bearer();
	first = *only(&drive.told);
	token[strlen(token) - 1] = 'R';	/* from 'Q' */
	bearer();
	assert_int_equal(drive.told.len, 2);
	assert_memory_not_equal(drive.told.ev[1].token, first.token, 16);
	assert_memory_equal(drive.told.ev[1].signed_part, first.signed_part, 16);
}

/* ---- HTTP/2 ---- */

static void h2_request(bool huffman, bool indexed)
{
	static struct h2_buf out, block;
	static uint32_t stream;

	if (!h2.bytes) {
		stream = 1;
		h2w_preface(&out);
		h2w_settings(&out);
	}
	h2w_indexed(&block, 2);
	h2w_indexed(&block, 7);
	h2w_indexed(&block, 4);
	if (indexed)
		h2w_indexed(&block, 62);
	else
		h2w_value(&block, huffman ? H2W_PLAIN : H2W_ADD, 23, text, huffman);
	h2w_headers(&out, stream, block.p, block.len, (struct h2w_how){ .flags = H2W_END_STREAM });
	h2_send(DRIVE_CLIENT, &out);
	block.len = 0;
	stream += 2;
}

static void http2(void **state)
{
	make(HEADER, PAYLOAD, JWT_SIGNATURE);
	snprintf(text, sizeof(text), "Bearer %s", token);
	for (int huffman = 0; huffman < 2; huffman++) {
		h2_init();
		h2_request(huffman, false);
		expect_told(&h2.told);
		h2_request(huffman, !huffman);
		assert_int_equal(h2_count(H2_HEAD), 2);
		assert_int_equal(h2.told.len, 1);
		assert_int_equal(h2.told.asked, 1);	/* by its entry, or by the memo */
	}
}

/* What the ring did not take is not remembered: the next use tells. */
static void ring_full(void **state)
{
	make(HEADER, PAYLOAD, JWT_SIGNATURE);
	snprintf(text, sizeof(text), "Bearer %s", token);
	h2_init();
	h2.told.full = true;
	h2_request(true, false);
	assert_int_equal(h2.told.len, 0);
	assert_int_equal(h2.told.asked, 1);
	h2.told.full = false;
	h2_request(true, false);
	expect_told(&h2.told);
	h2_request(true, false);
	assert_int_equal(h2.told.asked, 2);
}

/* ---- what is not told ---- */

static void expect_withheld(int flags)
{
	const struct tt_ev_claims *e = only(&drive.told);

	if (e->flags != flags)
		fail_msg("flags %d, not %d: %s", e->flags, flags, token);
	expect_ids(e, flags & TT_CLAIMS_SD ? strcspn(token, "~") : strlen(token));
	expect_text(e, "", 0);
}

static void unsigned_ones(void **state)
{
	static const char *const headers[] = {
		"{\"alg\":\"none\"}", "{\"alg\":\"None\",\"typ\":\"JWT\"}", "{\"typ\":\"JWT\",\"alg\":\"NONE\"}",
		"{\"alg\" :\n\t\"nOnE\"}", "{\"alg\":\"RS256\",\"alg\":\"none\"}",
		"{\"alg\":\"none\",\"alg\":\"RS256\"}",
	};

	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		for (int j = 0; j < 2; j++) {
			h1_setup(NULL);
			make(headers[i], PAYLOAD, j ? JWT_SIGNATURE : "");
			bearer();
			expect_withheld(TT_CLAIMS_UNSIGNED | TT_CLAIMS_ALG_NONE);
		}
	}
	h1_setup(NULL);
	make(HEADER, PAYLOAD, "");
	bearer();
	expect_withheld(TT_CLAIMS_UNSIGNED);
	h1_setup(NULL);
	make(HEADER, PAYLOAD, "~ZGlzY2xvc3VyZQ~");
	bearer();
	expect_withheld(TT_CLAIMS_UNSIGNED | TT_CLAIMS_SD);
}

/* Whoever decodes JSON may read "none" out of these. */
static void unsure_ones(void **state)
{
	static const char *const headers[] = {
		"{\"alg\":\"RS256\",\"\\u0061lg\":\"n\\u006fne\"}", "{\"alg\":\"\\u006eone\"}",
		"{\"alg\":\"RS256\",'alg':'none'}", "{\"alg\":\"RS256\",\"alg\":/**/\"none\"}",
		"{\"alg\":\"RS256\",\"kid\":\"none\"}", "{\"alg\":\"RS256\",\"alg\":[\"NoNe\"]}",
		"{\"alg\":\"RS256\\u0000\"}", "{\"alg\":\"n\x01one\"}",
		"{\"alg\":\"RS256\",\"kid\":\"no\\ne\"}",
	};

	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		h1_setup(NULL);
		make(headers[i], PAYLOAD, JWT_SIGNATURE);
		bearer();
		expect_withheld(TT_CLAIMS_UNSURE);
	}
}

/* Characters that a lenient decoder skips or takes for others. */
static void not_base64url(void **state)
{
	static const char bad[] = "+/=,!%*~\\\x80";

	for (size_t i = 0; bad[i]; i++) {
		h1_setup(NULL);
		make(HEADER, PAYLOAD, JWT_SIGNATURE);
		token[signed_len - 3] = bad[i];
		bearer();
		expect_withheld(TT_CLAIMS_BAD);
	}
	h1_setup(NULL);
	make(HEADER, "1234", JWT_SIGNATURE);
	memmove(token + signed_len - 1, token + signed_len, strlen(token + signed_len) + 1);
	signed_len--;	/* five characters of base64 */
	bearer();
	expect_withheld(TT_CLAIMS_BAD);
}

/* No JWT: a session cookie of Flask has a JSON text of its own in front, Grafana's key one segment. */
static void other_things(void **state)
{
	static const char *const headers[] = {
		"{\"user_id\":7,\"csrf\":\"abc\"}", "{\"k\":\"abc\",\"n\":\"name\",\"id\":1}", "{\"Alg\":1}",
		"{\"alg\":null}", "{}",
	};
	char *dot;

	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		h1_setup(NULL);
		make(headers[i], PAYLOAD, JWT_SIGNATURE);
		bearer();
		assert_int_equal(drive.told.len, 0);
	}
	for (int dots = 0; dots < 7; dots++) {
		h1_setup(NULL);
		make(HEADER, PAYLOAD, "");
		dot = strchr(token, '.');
		*dot = '\0';
		for (int i = 0; i < dots; i++)
			strcat(token, ".YWJj");
		signed_len = dot - token + 5;
		bearer();
		assert_int_equal(drive.told.len, dots == 2 || dots == 4);
	}
	h1_setup(NULL);
	make(HEADER, PAYLOAD, JWT_SIGNATURE);
	memmove(token + 9, token, strlen(token) + 1);
	memcpy(token, "ghs" "_1234_", 9);
	bearer();
	assert_int_equal(drive.told.asked, 0);
}

static void encrypted(void **state)
{
	const struct tt_ev_claims *e;

	make("{\"alg\":\"RSA-OAEP\",\"enc\":\"A256GCM\",\"kid\":\"k\"}", "key", "aXY.Y2lwaGVydGV4dA.dGFn");
	bearer();
	e = only(&drive.told);
	assert_int_equal(e->flags, TT_CLAIMS_JWE);
	expect_text(e, token, strchr(token, '.') - token);
	assert_int_equal(e->signed_part[0] | e->signed_part[1], 0);
}

static void disclosures(void **state)
{
	const struct tt_ev_claims *e;

	make(HEADER, PAYLOAD, JWT_SIGNATURE "~WyJzYWx0IiwibmFtZSIsIngiXQ~.~");
	bearer();
	e = only(&drive.told);
	assert_int_equal(e->flags, TT_CLAIMS_SD);
	expect_ids(e, strchr(token, '~') - token);
	expect_text(e, token, signed_len);
}

/* What at some hosts only is a credential: of what may be none nothing is told. */
static void of_what_may_be_none(void **state)
{
	static const struct {
		const char *path, *after_path, *line, *after_line;
		size_t asked;
	} cases[] = {
		{ "?code=", "", NULL, NULL, 0 }, { "?key=", "&a", NULL, NULL, 0 }, { NULL, NULL, "Cookie: d=", "\r\n", 0 },
		{ "?assertion=", "", NULL, NULL, 1 }, { "?token=", "", NULL, NULL, 1 },
		{ NULL, NULL, "Cookie: sid=", "; a\r\n", 1 }, { "a/", "/b", NULL, NULL, 1 },
	};
	static char whole[3 * TEXT_MAX];

	make(HEADER, PAYLOAD, JWT_SIGNATURE);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool in_path = cases[i].path != NULL;

		h1_setup(NULL);
		snprintf(whole, sizeof(whole), "%s%s%s", in_path ? cases[i].path : cases[i].line, token,
			 in_path ? cases[i].after_path : cases[i].after_line);
		request(in_path ? whole : "", in_path ? "" : whole, "");
		assert_int_equal(head_at(0)->creds, 1);
		assert_int_equal(drive.told.asked, cases[i].asked);
	}
}

/* However much of it is shown, and with whatever proof that its holder has the key, it is one token. */
static void one_token_whatever_is_disclosed(void **state)
{
	static const char *const shown[] = {
		"~", "~WyJzYWx0IiwibmFtZSIsIngiXQ~", "~d1~d2~eyJ0eXAiOiJrYitqd3QifQ.eyJub25jZSI6IjEifQ.c2ln",
		"~WyJzYWx0LXdpdGgtbW9yZS10aGFuLXNpeHR5LWZvdXItYnl0ZXMiLCJuYW1lIiwieHh4eHh4eHh4eHh4eHh4eHh4eHh4In0~",
	};
	static char bare[TEXT_MAX], line[2 * TEXT_MAX];
	uint64_t id[2];

	make(HEADER, PAYLOAD, JWT_SIGNATURE);
	strcpy(bare, token);
	fingerprint(bare, strlen(bare), id);
	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
		size_t len = snprintf(line, sizeof(line), "GET /?token=%s%s HTTP/1.1\r\nHost: h\r\n"
				      "Authorization: DPoP \"%s%s\"\r\n\r\n", bare, shown[i], bare, shown[i]);

		for (size_t cut = 0; cut < len; cut++) {
			h1_setup(NULL);
			drive.poison = cut & 1 ? '~' : '.';
			feed(&drive, DRIVE_CLIENT, line, cut);
			feed(&drive, DRIVE_CLIENT, line + cut, len - cut);
			expect_counts(1, 0);
			assert_int_equal(head_at(0)->creds, 2);
			for (int k = 0; k < 2; k++) {
				assert_memory_equal(head_at(0)->cred[k].token, id, 16);
				assert_int_equal(head_at(0)->cred[k].length, strlen(bare));
				assert_string_equal(class_name(head_at(0)->cred[k].class_id), "jwt");
			}
		}
	}
	/* What only looks like one is whole. */
	h1_setup(NULL);
	snprintf(token, sizeof(token), "eyJhbGciOiJ9.a~b.c");
	bearer();
	expect_cred(0, 0, token, "authorization", "bearer");
	h1_setup(NULL);
	snprintf(token, sizeof(token), "a.b.c~d");
	bearer();
	expect_cred(0, 0, token, "authorization", "bearer");
}

/* ---- long ones ---- */

static void long_token(size_t payload_len, const char *signature)
{
	static char payload[TEXT_MAX / 2];

	h1_setup(NULL);
	memset(payload, 'x', payload_len);
	payload[payload_len] = '\0';
	make(HEADER, payload, signature);
	bearer();
}

static void longest(void **state)
{
	const struct tt_ev_claims *e;
	const size_t around = strlen(HEADER) * 4 / 3 + strlen(JWT_SIGNATURE) + 4;

	for (size_t n = (TT_CLAIMS_TEXT_MAX - around) * 3 / 4 - 24; n < TT_CLAIMS_TEXT_MAX; n++) {
		bool fits;

		if (n > TT_CLAIMS_TEXT_MAX * 3 / 4 + 24)
			n += 97;
		long_token(n, JWT_SIGNATURE);
		fits = strlen(token) <= TT_CLAIMS_TEXT_MAX;
		e = only(&drive.told);
		if (!(e->flags & TT_CLAIMS_BAD))
			assert_int_equal(e->flags, fits ? 0 : TT_CLAIMS_LONG);
		expect_text(e, token, fits ? signed_len : (size_t)(strchr(token, '.') - token));
		long_token(n, "");
		e = only(&drive.told);
		assert_true(e->flags & TT_CLAIMS_UNSIGNED);
		expect_text(e, "", 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(header_and_payload, h1_setup),
		cmocka_unit_test(every_carrier),
		cmocka_unit_test(white_space_ahead),
		cmocka_unit_test(across_windows),
		cmocka_unit_test(split_over_calls),
		cmocka_unit_test_setup(several_in_one_head, h1_setup),
		cmocka_unit_test_setup(malleable, h1_setup),
		cmocka_unit_test(http2),
		cmocka_unit_test(ring_full),
		cmocka_unit_test(unsigned_ones),
		cmocka_unit_test(unsure_ones),
		cmocka_unit_test(not_base64url),
		cmocka_unit_test(other_things),
		cmocka_unit_test_setup(encrypted, h1_setup),
		cmocka_unit_test_setup(disclosures, h1_setup),
		cmocka_unit_test_setup(one_token_whatever_is_disclosed, h1_setup),
		cmocka_unit_test_setup(of_what_may_be_none, h1_setup),
		cmocka_unit_test(longest),
	};

	return cmocka_run_group_tests(tests, h1_group_setup, NULL);
}
