/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf/readers/http1_params.h: of a scheme that signs one request the key's id is reported, of one that carries
 * a signed token that; never the MAC, and nothing where the parameter is missing or cut.
 */
#include "h1_expect.h"

#define AKID "AKIA" "IOSFODNN7EXAMPLE"
#define MAC "fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024"

static const char *request(const char *lines)
{
	static char text[8192];
	int len = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n", lines);

	assert_in_range(len, 1, sizeof(text) - 1);
	return text;
}

static void key_ids(void **state)
{
	static const struct {
		const char *value, *id, *scheme;
	} cases[] = {
		{ "AWS4-HMAC-SHA256 Credential=" AKID "/20261123/us-east-1/s3/aws4_request, "
		  "SignedHeaders=host;x-amz-date, Signature=" MAC, AKID, "aws4-hmac-sha256" },
		{ "aws4-hmac-sha256  SignedHeaders=host;credential, Signature=" MAC ",Credential=" AKID,
		  AKID, "aws4-hmac-sha256" },
		{ "AWS4-ECDSA-P256-SHA256 Credential=" AKID "/20261123/s3/aws4_request, Signature=" MAC,
		  AKID, "aws4-ecdsa-p256-sha256" },
		{ "GOOG4-HMAC-SHA256 Credential=GOOG1EXAMPLE/20261123/auto/storage/goog4_request,Signature=" MAC,
		  "GOOG1EXAMPLE", "goog4-hmac-sha256" },
		{ "HMAC-SHA256 Credential=0-l9-s0:abc&SignedHeaders=host&Signature=" MAC "=", "0-l9-s0:abc",
		  "hmac-sha256" },
		{ "AWS " AKID ":" MAC "=", AKID, "aws" },
		{ "SharedKey myaccount:" MAC "=", "myaccount", "sharedkey" },
		{ "SharedKeyLite\tmyaccount:" MAC ":x", "myaccount", "sharedkeylite" },
		{ "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/a,username=b\", "
		  "algorithm=SHA-256, nc=00000001, qop=auth, response=\"" MAC "\"", "Mufasa", "digest" },
		{ "DIGEST realm=\"a, username=\\\"no\\\", x\",qop=auth , UserName = \"a \\\"q\\\" \\\\b\","
		  "response=\"" MAC "\"", "a \"q\" \\b", "digest" },
		{ "Digest qop=auth,response=\"" MAC "\",\r\n username=\"folded\"", "folded", "digest" },
		{ "Digest qop=auth,\r\n\tusername=bare", "bare", "digest" },
		{ "Hawk id=\"dh37fgj492je\", ts=\"1353832234\", nonce=\"j4h3g2\", ext=\"id=x\", mac=\"" MAC "=\"",
		  "dh37fgj492je", "hawk" },
		{ "Hawk mac=\"" MAC "=\", ext=\"a, id=\\\"no\\\"\", id=\"late/one\"", "late/one", "hawk" },
		{ "MAC id=\"h480djs93hd8\",nonce=\"1336363200:dj83hs9s\",mac=\"" MAC "=\"", "h480djs93hd8", "mac" },
		{ "Signature keyId=\"https://a.example/users/b#main-key\",algorithm=\"rsa-sha256\","
		  "headers=\"(request-target) host\",signature=\"" MAC "==\"",
		  "https://a.example/users/b#main-key", "signature" },
		{ "Signature version=\"1\",headers=\"date, keyId\",keyId=\"ocid1/ocid2/20:3b\",signature=\"" MAC "\"",
		  "ocid1/ocid2/20:3b", "signature" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char lines[1024];

		snprintf(lines, sizeof(lines), "Authorization: %s\r\nX-Next: %s\r\n", cases[i].value, MAC);
		feed_all_ways(request(lines), MAC);
		if (head_at(0)->creds != 1 || drive.notes_len)
			fail_msg("%s: %d credentials", cases[i].value, head_at(0)->creds);
		expect_cred(0, 0, cases[i].id, "authorization", cases[i].scheme);
	}
}

/* A signed token is one that whoever has it may use: here as in a URL's "sig". */
static void signed_tokens(void **state)
{
	static const char *const cases[] = {
		"SharedAccessSignature sr=sb%3a%2f%2fa.example%2f&sig=ab%2Bcd%2fEF%3D&se=1438205742&skn=Root",
		"SharedAccessSignature sig=ab+cd/EF=&se=1&sr=a/sig",
		"sharedaccesssignature sr=a&skn=sig,sig=ab%2bcd/EF%3d",
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char lines[1024];

		snprintf(lines, sizeof(lines), "Authorization: %s\r\n", cases[i]);
		feed_all_ways(request(lines), MAC);
		assert_int_equal(head_at(0)->creds, 1);
		expect_cred(0, 0, "ab+cd/EF=", "authorization", "sharedaccesssignature");
	}
}

/* What is missing or cut is noted, and the rest of the head goes on. */
static void nothing_told(void **state)
{
	static const struct {
		const char *value;
		enum tt_drop reason;
	} cases[] = {
		{ "AWS4-HMAC-SHA256 Credential=, Signature=" MAC, TT_DROP_empty_cred },
		{ "AWS4-HMAC-SHA256 Credential=/x, Signature=" MAC, TT_DROP_empty_cred },
		{ "AWS4-HMAC-SHA256 " MAC, TT_DROP_empty_cred },
		{ "AWS4-HMAC-SHA256", TT_DROP_empty_cred },
		{ "Digest realm=\"username=x\", response=\"" MAC "\"", TT_DROP_empty_cred },
		{ "Digest username*=UTF-8''J%C3%A4s, userhash=true, response=\"" MAC "\"", TT_DROP_empty_cred },
		{ "Digest username=\"cut, response=" MAC, TT_DROP_empty_cred },
		{ "Digest username=\"\", response=" MAC, TT_DROP_empty_cred },
		{ "Hawk credential=x, keyid=y, username=z, mac=\"" MAC "\"", TT_DROP_empty_cred },
		{ "SharedKey " MAC, TT_DROP_empty_cred },
		{ "SharedKey :" MAC, TT_DROP_empty_cred },
		{ "SharedAccessSignature sr=a&se=1", TT_DROP_empty_cred },
		{ "SharedAccessSignature sig=%zz&se=1", TT_DROP_bad_percent },
		{ "SharedAccessSignature se=1&sig=a%2", TT_DROP_bad_percent },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char lines[1024];

		snprintf(lines, sizeof(lines), "Authorization: %s\r\nX-Api-Key: next\r\n", cases[i].value);
		feed_all_ways(request(lines), MAC);
		if (head_at(0)->creds != 1 || drive.notes_len != 1)
			fail_msg("%s: %d credentials, %zu notes", cases[i].value, head_at(0)->creds,
				 drive.notes_len);
		expect_note(0, cases[i].reason);
		expect_cred(0, 0, "next", "x-api-key", NULL);
	}
}

/* What is no secret by its class is told as text, but not a name of a person; beside it the session's token. */
static void public_ids(void **state)
{
	static const struct {
		const char *lines, *text;
	} cases[] = {
		{ "Authorization: AWS4-HMAC-SHA256 Credential=" AKID "/x, Signature=" MAC "\r\n", AKID },
		{ "Authorization: AWS " AKID ":" MAC "\r\n", AKID },
		{ "Authorization: Digest username=\"" AKID "\", response=\"" MAC "\"\r\n", "" },
		{ "Authorization: Hawk id=\"Mufasa\", mac=\"" MAC "\"\r\n", "" },
		{ "Authorization: Hawk id=\"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln\", mac=\"" MAC "\"\r\n", "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		h1_setup(state);
		client(request(cases[i].lines));
		expect_counts(1, 0);
		assert_string_equal(head_at(0)->public_id, cases[i].text);
		assert_int_equal(drive.told.asked, 0);	/* no claims of what is no token */
	}
	feed_all_ways(request("Authorization: AWS4-HMAC-SHA256 Credential=" AKID "/20261123/r/s/aws4_request, "
			      "SignedHeaders=host, Signature=" MAC "\r\nX-Amz-Security-Token: session-token\r\n"), MAC);
	assert_int_equal(head_at(0)->creds, 2);
	assert_string_equal(class_name(head_at(0)->cred[0].class_id), "aws_key_long");
	expect_cred(0, 1, "session-token", "x-amz-security-token", NULL);
}

/* ApiKey: the key's own id, however the pair of id and key is spelt; what is no such pair is whole. */
static void pairs(void **state)
{
	static const struct {
		const char *value, *token;
	} cases[] = {
		/* VuaCfGcBCdbkQm-e5aOx:ui2lp2axTNmsyakw9tvNnw, as Elastic's documentation has it */
		{ "VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHAyYXhUTm1zeWFrdzl0dk5udw==", "ui2lp2axTNmsyakw9tvNnw" },
		{ "VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHAyYXhUTm1zeWFrdzl0dk5udw", "ui2lp2axTNmsyakw9tvNnw" },
		{ "\"VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHAyYXhUTm1zeWFrdzl0dk5udw==\"", "ui2lp2axTNmsyakw9tvNnw" },
		{ "aWQ6a2V5OmE=", "key:a" },
		{ "aTo_Pz8=", "???" }, { "aTo/Pz8=", "???" },	/* both alphabets */
		{ "OmtleQ==", "OmtleQ==" },			/* ":key", */
		{ "aWQ6", "aWQ6" },				/* "id:", */
		{ "aWRrZXk=", "aWRrZXk=" },			/* "idkey" */
		{ "aWQ6a2V5A", "aWQ6a2V5A" },			/* a character too many */
		{ "aWQ6a2V5=a", "aWQ6a2V5=a" },
		{ "aWQ6a2V5 a", "aWQ6a2V5 a" },
		{ "aWQ6AAAA", "aWQ6AAAA" },			/* not visible */
		{ "essu_aWQ6a2V5aWQ6a2V5aWQ6a2V5", "essu_aWQ6a2V5aWQ6a2V5aWQ6a2V5" },
		/* 64 characters, and 65 */
		{ "aWQ6YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh",
		  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" },
		{ "aWQ6YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYQ==",
		  "aWQ6YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYQ==" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char lines[1024];

		snprintf(lines, sizeof(lines), "Authorization: ApiKey %s\r\n", cases[i].value);
		feed_all_ways(request(lines), MAC);
		if (head_at(0)->creds != 1 || drive.notes_len)
			fail_msg("%s: %d credentials", cases[i].value, head_at(0)->creds);
		expect_cred(0, 0, cases[i].token, "authorization", "apikey");
	}
	/* Of another scheme it is no pair. */
	h1_setup(state);
	client(request("Authorization: Api-Key aWQ6a2V5OmE=\r\n"));
	expect_cred(0, 0, "aWQ6a2V5OmE=", "authorization", "api-key");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		H1_TEST(key_ids), H1_TEST(signed_tokens), H1_TEST(nothing_told), H1_TEST(public_ids), H1_TEST(pairs),
	};

	return cmocka_run_group_tests(tests, h1_group_setup, NULL);
}
