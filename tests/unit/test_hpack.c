/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf/readers/hpack.h and hpack_string.h: integers, representations, the two tables, size updates and
 * eviction, what is not known after joining in the middle, the memo, and blocks that can't be. Blocks
 * of real encoders are in test_hpack_blocks.c, frames in test_http2.c.
 */
#include "h2_expect.h"

#define TOKEN "Zq7-first.Light_Token+0123456789/abcdefghijklmnop"
#define BEARER "Bearer " TOKEN
#define H 1	/* Huffman-coded */

static struct h2_buf out, block;
static uint32_t stream;

static int setup(void **state)
{
	h2_init();
	h2w_preface(&out);
	h2w_settings(&out);
	h2_send(DRIVE_CLIENT, &out);
	h2w_settings(&out);
	h2_send(DRIVE_SERVER, &out);
	stream = 1;
	block.len = 0;
	return 0;
}

/* ":method GET, :scheme https, :path /" by the static table, then ":authority h". */
static void pseudo(void)
{
	h2w_indexed(&block, 2);
	h2w_indexed(&block, 7);
	h2w_indexed(&block, 4);
	h2w_value(&block, H2W_PLAIN, 1, "h", 0);
}

/* Sends the block as the next request; what was reported before is forgotten. */
static void request(void)
{
	h2_forget();
	h2w_headers(&out, stream, block.p, block.len, (struct h2w_how){ .flags = H2W_END_STREAM });
	h2_send(DRIVE_CLIENT, &out);
	stream += 2;
	block.len = 0;
}

static void response(void)
{
	h2_forget();
	h2w_headers(&out, stream, block.p, block.len, (struct h2w_how){ 0 });
	h2_send(DRIVE_SERVER, &out);
	stream += 2;
	block.len = 0;
}

/* The server's limit for the client's table. */
static void limit(uint32_t size)
{
	h2w_settings_table(&out, size);
	h2_send(DRIVE_SERVER, &out);
	h2w_settings_ack(&out);
	h2_send(DRIVE_CLIENT, &out);
}

#define PSEUDO ":method", "GET", ":scheme", "https", ":path", "/", ":authority", "h"

/* ---- the examples of RFC 7541, appendix C ---- */

static void hex(const char *text)
{
	for (; *text; text++) {
		unsigned int byte;

		if (*text == ' ')
			continue;
		assert_int_equal(sscanf(text, "%2x", &byte), 1);
		h2w_byte(&block, byte);
		text++;
	}
}

/* C.3: no Huffman; C.4: the same with it. */
static void example_requests(const char *first, const char *second, const char *third)
{
	setup(NULL);
	hex(first);
	request();
	H2_FIELDS(h2_only_head(), ":method", "GET", ":scheme", "http", ":path", "/", ":authority",
		  "www.example.com");
	h2_expect_request(h2_only_head(), "GET", "www.example.com", "/");
	hex(second);
	request();
	H2_FIELDS(h2_only_head(), ":method", "GET", ":scheme", "http", ":path", "/", ":authority",
		  "www.example.com", "cache-control", "no-cache");
	h2_expect_request(h2_only_head(), "GET", "www.example.com", "/");
	hex(third);
	request();
	H2_FIELDS(h2_only_head(), ":method", "GET", ":scheme", "https", ":path", "/index.html",
		  ":authority", "www.example.com", "custom-key", "custom-value");
	h2_expect_request(h2_only_head(), "GET", "www.example.com", "/index.html");
	assert_int_equal(h2.side[DRIVE_CLIENT].f.table.size, 164);
}

static void rfc_examples(void **state)
{
	example_requests("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
			 "8286 84be 5808 6e6f 2d63 6163 6865",
			 "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65");
	example_requests("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", "8286 84be 5886 a8eb 1064 9cbf",
			 "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf");
}

/* C.5 and C.6: responses in a table of 256 bytes, with eviction. */
static void rfc_example_responses(void **state)
{
	h2w_settings_table(&out, 256);
	h2_send(DRIVE_CLIENT, &out);
	h2w_settings_ack(&out);
	h2_send(DRIVE_SERVER, &out);
	hex("3fe101");	/* the table is 256 bytes large */
	hex("4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d "
	    "29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3");
	response();
	H2_FIELDS(h2_only_head(), ":status", "302", "cache-control", "private", "date",
		  "Mon, 21 Oct 2013 20:13:21 GMT", "location", "https://www.example.com");
	assert_int_equal(h2_only_head()->status, 302);
	hex("4883 640e ffc1 c0bf");
	response();
	H2_FIELDS(h2_only_head(), ":status", "307", "cache-control", "private", "date",
		  "Mon, 21 Oct 2013 20:13:21 GMT", "location", "https://www.example.com");
	assert_int_equal(h2_only_head()->status, 307);
	hex("88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d "
	    "d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 "
	    "3d50 07");
	response();
	assert_int_equal(h2_only_head()->status, 200);
	assert_int_equal(h2.side[DRIVE_SERVER].f.table.size, 215);
}

/* ---- integers ---- */

static void integers(void **state)
{
	char value[400];

	/* 127 - 1, 127, 127 + 1, and one that takes three bytes */
	for (size_t len = 126; len < 400; len += len < 128 ? 1 : 271) {
		memset(value, 'v', len);
		value[len] = 0;
		pseudo();
		h2w_field(&block, H2W_PLAIN, "x-long", value, 0);
		request();
		H2_FIELDS(h2_only_head(), PSEUDO, "x-long", value);
	}
	/* longer than needed: 4 more bytes at most fit in what RFC 7541, 5.1, wants implemented */
	for (unsigned int more = 0; more < 5; more++) {
		pseudo();
		h2w_int_long(&block, 0x00, 4, 32, more);	/* cookie */
		h2w_int_long(&block, 0x00, 7, 127, more);
		memset(value, 'w', 127);
		value[127] = 0;
		h2w_bytes(&block, value, 127);
		request();
		H2_FIELDS(h2_only_head(), PSEUDO, "cookie", value);
	}
}

static void expect_broken(void)
{
	request();
	h2_expect_bad(TT_DROP_bad_hpack);
	assert_int_equal(h2_count(H2_HEAD), 0);
}

static void integers_that_are_none(void **state)
{
	static const char *const bad[] = {
		"ff ffff ffff ff7f",		/* above 32 bits */
		"ff 8080 8080 8080 8080 01",	/* without end */
		"80",				/* index 0 */
		"bf",				/* an entry that is not there */
		"ff 8080 80ff 0f",		/* one far away */
		"3fe1 ff03",			/* a table larger than allowed */
		"00 ff8080 8010",		/* a name of 4 GiB */
		"40 81",			/* ends in a name's length */
		"82 20",			/* a size update behind a field */
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		setup(NULL);
		hex(bad[i]);
		expect_broken();
	}
}

/* ---- strings ---- */

static void huffman_that_is_none(void **state)
{
	static const char *const bad[] = {
		"00 0161 8106",			/* '0', and padding that is not all ones */
		"00 0161 821f ff",		/* padding of more than seven bits */
		"00 0161 84ff ffff ff",		/* EOS */
		"00 0161 82ff ff",		/* the beginning of a long code */
		"00 8100 0161",			/* a name whose padding is zeros */
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		setup(NULL);
		pseudo();
		hex(bad[i]);
		expect_broken();
	}
	setup(NULL);
	pseudo();
	hex("00 0161 8107");	/* '0', and three ones: this is right */
	request();
	H2_FIELDS(h2_only_head(), PSEUDO, "a", "0");
}

/* Every byte but NUL, CR and LF, raw and coded, in lengths around the steps of the decoder. */
static void every_byte(void **state)
{
	char value[300];

	for (size_t len = 1; len < 290; len += len < 20 ? 1 : 41)
		for (int huffman = 0; huffman < 2; huffman++) {
			for (size_t i = 0; i < len; i++)
				value[i] = (char)(33 + (i * 7 + len) % 223);
			value[len] = 0;
			pseudo();
			h2w_field(&block, H2W_ADD, "x-bytes", value, huffman);
			h2w_indexed(&block, 62);
			request();
			H2_FIELDS(h2_only_head(), PSEUDO, "x-bytes", value, "x-bytes", value);
		}
}

static void long_strings(void **state)
{
	static char value[40001];

	for (int huffman = 0; huffman < 2; huffman++) {
		for (size_t i = 0; i < 40000; i++)
			value[i] = "abcdefghij0123456789-_"[i % 22];
		memcpy(value, "Bearer ", 7);
		pseudo();
		h2w_field(&block, H2W_PLAIN, "authorization", value, huffman);
		request();
		H2_FIELDS(h2_only_head(), PSEUDO, "authorization", value);
		h2_expect_cred(h2_only_head(), 0, value + 7, "authorization", "bearer");
	}
}

/* ---- representations ---- */

static void each_representation_is_one_token(void **state)
{
	static const unsigned int kinds[] = { H2W_ADD, H2W_PLAIN, H2W_NEVER };

	for (int huffman = 0; huffman < 2; huffman++)
		for (size_t i = 0; i < 3; i++)
			for (int named = 0; named < 2; named++) {
				pseudo();
				if (named)
					h2w_field(&block, kinds[i], "authorization", BEARER, huffman);
				else
					h2w_value(&block, kinds[i], 23, BEARER, huffman);
				request();
				H2_FIELDS(h2_only_head(), PSEUDO, "authorization", BEARER);
				assert_int_equal(h2_only_head()->creds, 1);
				h2_expect_cred(h2_only_head(), 0, TOKEN, "authorization", "bearer");
			}
	pseudo();
	h2w_indexed(&block, 62);
	request();
	h2_expect_cred(h2_only_head(), 0, TOKEN, "authorization", "bearer");
	assert_false(h2_drive_residue(&h2, TOKEN, strlen(TOKEN)));
}

/* What an entry keeps: a method, a path with its credentials, a host, MCP's fields, a status. */
static void entries_of_every_kind(void **state)
{
	static const char path[] = "/v1/items/12?access_token=first-one&x=1&token=second-one";

	h2w_value(&block, H2W_ADD, 2, "PROPFIND", H);			/* 66 in the end */
	h2w_indexed(&block, 7);
	h2w_value(&block, H2W_ADD, 4, path, H);				/* 65 */
	h2w_value(&block, H2W_ADD, 1, "user@api.example.com:8443", H);	/* 64 */
	h2w_field(&block, H2W_ADD, "mcp-method", "tools/call", H);	/* 63 */
	h2w_field(&block, H2W_ADD, "mcp-name", "get_weather", H);	/* 62 */
	for (int again = 0; again < 2; again++) {
		const struct h2_fact *f;

		request();
		f = h2_only_head();
		h2_expect_request(f, "PROPFIND", "api.example.com:8443", "/v1/items/{...}");
		assert_string_equal(f->mcp_method, "tools/call");
		assert_string_equal(f->mcp_name, "get_weather");
		assert_int_equal(f->creds, 2);
		h2_expect_cred(f, 0, "first-one", "query:access_token", NULL);
		h2_expect_cred(f, 1, "second-one", "query:token", NULL);
		for (uint64_t i = 66; i >= 62; i--) {
			h2w_indexed(&block, i);
			if (i == 66)
				h2w_indexed(&block, 7);
		}
	}
	block.len = 0;
	h2w_value(&block, H2W_ADD, 8, "429", H);
	response();
	h2w_indexed(&block, 62);
	response();
	assert_int_equal(h2_only_head()->status, 429);
}

/* A literal that takes only its name from an entry takes nothing else. */
static void name_of_an_entry(void **state)
{
	pseudo();
	h2w_field(&block, H2W_ADD, "x-api-key", "first-key", H);
	request();
	h2_expect_cred(h2_only_head(), 0, "first-key", "x-api-key", NULL);
	pseudo();
	h2w_value(&block, H2W_ADD, 62, "second-key", 0);
	h2w_indexed(&block, 63);
	request();
	assert_int_equal(h2_only_head()->creds, 2);
	h2_expect_cred(h2_only_head(), 0, "second-key", "x-api-key", NULL);
	h2_expect_cred(h2_only_head(), 1, "first-key", "x-api-key", NULL);
	h2w_indexed(&block, 2);
	h2w_indexed(&block, 7);
	h2w_indexed(&block, 4);
	h2w_value(&block, H2W_ADD, 1, "one.example", H);
	h2w_value(&block, H2W_ADD, 38, "host.example", H);
	request();
	h2w_indexed(&block, 2);
	h2w_indexed(&block, 7);
	h2w_value(&block, H2W_PLAIN, 4, "/other", H);
	h2w_value(&block, H2W_PLAIN, 63, "two.example", H);
	h2w_indexed(&block, 62);	/* host: does not count beside :authority */
	request();
	h2_expect_request(h2_only_head(), "GET", "two.example", "/other");
}

/* ---- the dynamic table ---- */

static void add(const char *name, const char *value)
{
	h2w_field(&block, H2W_ADD, name, value, H);
}

/* Entries leave when their room is needed, oldest first (RFC 7541, 4.4). */
static void eviction(void **state)
{
	limit(100);
	h2w_table_size(&block, 100);
	pseudo();
	add("x-a", "1");	/* 36 bytes each */
	add("x-b", "2");
	add("x-c", "3");	/* the first one leaves */
	h2w_indexed(&block, 62);
	h2w_indexed(&block, 63);
	request();
	H2_FIELDS(h2_only_head(), PSEUDO, "x-a", "1", "x-b", "2", "x-c", "3", "x-c", "3", "x-b", "2");
	pseudo();
	h2w_indexed(&block, 64);
	expect_broken();
}

/* What fits exactly stays. */
static void exact_fit(void **state)
{
	limit(72);
	h2w_table_size(&block, 72);
	pseudo();
	add("x-a", "1");
	add("x-b", "2");
	h2w_indexed(&block, 63);
	request();
	H2_FIELDS(h2_only_head(), PSEUDO, "x-a", "1", "x-b", "2", "x-a", "1");
	h2w_table_size(&block, 71);
	pseudo();
	h2w_indexed(&block, 62);
	request();
	H2_FIELDS(h2_only_head(), PSEUDO, "x-b", "2");
	pseudo();
	h2w_indexed(&block, 63);
	expect_broken();
}

/* An entry larger than the table empties it and is not entered. */
static void entry_larger_than_the_table(void **state)
{
	char value[5000];

	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = 0;
	pseudo();
	add("x-a", "1");
	add("x-long", value);
	add("x-b", "2");
	h2w_indexed(&block, 62);
	request();
	H2_FIELDS(h2_only_head(), PSEUDO, "x-a", "1", "x-long", value, "x-b", "2", "x-b", "2");
	pseudo();
	h2w_indexed(&block, 63);
	expect_broken();
}

/* A new entry may refer to the name of the one that it pushes out (RFC 7541, 4.4). */
static void name_of_the_evicted(void **state)
{
	limit(60);
	h2w_table_size(&block, 60);
	pseudo();
	add("x-api-key", "first-key");
	h2w_value(&block, H2W_ADD, 62, "second-key", H);
	h2w_indexed(&block, 62);
	request();
	H2_FIELDS(h2_only_head(), PSEUDO, "x-api-key", "first-key", "x-api-key", "second-key", "x-api-key",
		  "second-key");
	h2_expect_cred(h2_only_head(), 2, "second-key", "x-api-key", NULL);
	assert_int_equal(h2.side[DRIVE_CLIENT].f.table.size, 32 + 9 + 10);
}

static void size_updates(void **state)
{
	pseudo();
	add("x-a", "1");
	add("x-b", "2");
	request();
	h2w_table_size(&block, 40);	/* keeps the newest */
	h2w_table_size(&block, 4096);
	pseudo();
	h2w_indexed(&block, 62);
	request();
	H2_FIELDS(h2_only_head(), PSEUDO, "x-b", "2");
	h2w_table_size(&block, 0);
	pseudo();
	add("x-c", "3");
	request();
	assert_int_equal(h2.side[DRIVE_CLIENT].f.table.size, 0);
	limit(65536);
	h2w_table_size(&block, 65536);
	pseudo();
	for (int i = 0; i < 300; i++)
		add("x-many", "0123456789012345678901234567890123456789");
	h2w_indexed(&block, 62 + 299);
	request();
	assert_int_equal(h2.side[DRIVE_CLIENT].f.table.size, 300 * 78);
	h2w_table_size(&block, 65537);
	expect_broken();
}

/* GET of a path, which is entered, or (again) is the entry made last. */
static void request_for(const char *host, const char *path, int again, int huffman)
{
	h2w_indexed(&block, 2);
	h2w_indexed(&block, 7);
	if (again)
		h2w_indexed(&block, 62);
	else
		h2w_value(&block, H2W_ADD, 4, path, huffman);
	h2w_value(&block, H2W_PLAIN, 1, host, huffman);
	request();
}

/* What signs a URL and what it signs with: read, by its entry, and in pieces. */
static void signed_urls(void **state)
{
	static const char key[] = "AKIA" "QQQQQQQQQQQQQQQQ", mac[] = "0123456789abcdef0123456789abcdef"
				  "0123456789abcdef0123456789abcdef";
	static const char path[] = "/b/o?X-Amz-Credential=AKIA" "QQQQQQQQQQQQQQQQ%2F20261126%2Feu-west-1%2Fs3%2Faws4_request"
				   "&X-Amz-Signature=0123456789abcdef0123456789abcdef" "0123456789abcdef0123456789abcdef";

	for (int huffman = 0; huffman < 2; huffman++) {
		setup(state);
		for (int again = 0; again < 2; again++) {
			request_for("b.s3.amazonaws.com", path, again, huffman);
			assert_string_equal(h2_only_head()->path, "/b/o");
			assert_int_equal(h2_only_head()->creds, 2);
			h2_expect_cred(h2_only_head(), 0, key, "query:x-amz-credential", NULL);
			h2_expect_cred(h2_only_head(), 1, mac, "query:x-amz-signature", NULL);
		}
	}
}

/* Segments of a path: read, by their entry, and in pieces. */
static void tokens_in_paths(void **state)
{
	static const char hook[] = "abcdefghijkl" "mnopqrstuvwx", jwt[] = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci50"
				   "ZXN0Iiwic3ViIjoiam9iLTcifQ." "c2lnbmF0dXJlLXNpZ25hdHVyZQ";
	char path[400];

	snprintf(path, sizeof(path), "/services/T01/B01/%s/%s?token=third", hook, jwt);
	for (int huffman = 0; huffman < 2; huffman++) {
		setup(state);
		for (int again = 0; again < 2; again++) {
			request_for("hooks.slack.com", path, again, huffman);
			assert_string_equal(h2_only_head()->path, "/services/T01/B01/{...}/{...}");
			assert_int_equal(h2_only_head()->creds, 3);
			assert_string_equal(class_name(h2_only_head()->cred[0].class_id), "slack_webhook");
			assert_int_equal(h2_only_head()->cred[0].carrier, carrier_id("path:/services/*/*/{}"));
			h2_expect_cred(h2_only_head(), 1, jwt, "path:{}", NULL);
			h2_expect_cred(h2_only_head(), 2, "third", "query:token", NULL);
		}
		assert_false(h2_drive_residue(&h2, hook, strlen(hook)));
		assert_false(h2_drive_residue(&h2, jwt, strlen(jwt)));
	}
}

/* ---- cookies ---- */

#define COOKIE 32	/* in the static table */
#define SID "Zq7-first-cookie-0123456789"

/* Each crumb of a cookie field is a field of its own (RFC 9113, 8.2.3); both may have several cookies. */
static void cookies(void **state)
{
	for (int huffman = 0; huffman < 2; huffman++) {
		setup(state);
		pseudo();
		h2w_value(&block, H2W_ADD, COOKIE, "theme=dark; sid=" SID "; JSESSIONID=\"second\"", huffman);
		h2w_value(&block, H2W_ADD, COOKIE, "unlisted=1", huffman);
		h2w_value(&block, H2W_NEVER, COOKIE, "__Host-token=third", huffman);
		request();
		for (int again = 0; again < 2; again++) {
			assert_int_equal(h2_only_head()->creds, 3);
			h2_expect_cred(h2_only_head(), 0, SID, "cookie:sid", NULL);
			h2_expect_cred(h2_only_head(), 1, "second", "cookie:JSESSIONID", NULL);
			h2_expect_cred(h2_only_head(), 2, "third", "cookie:token", NULL);
			if (again)
				break;
			pseudo();	/* the same by the dynamic table */
			h2w_indexed(&block, 63);
			h2w_indexed(&block, 62);
			h2w_value(&block, H2W_PLAIN, 63, "token=third", huffman);
			request();
		}
	}
}

/* More than there is room for: the table knows them all the same, or knows that it does not. */
static void many_cookies(void **state)
{
	pseudo();
	h2w_value(&block, H2W_PLAIN, COOKIE, "a=1; sid=1; auth=2; jwt=3", H);
	h2w_value(&block, H2W_ADD, COOKIE, "token=fourth; id_token=fifth", 0);
	h2w_value(&block, H2W_ADD, COOKIE, "sid=" SID, H);
	h2w_value(&block, H2W_NEVER, 23, BEARER, H);	/* cookies leave it a place */
	request();
	assert_int_equal(h2_only_head()->creds, 4);
	h2_expect_cred(h2_only_head(), 3, TOKEN, "authorization", "bearer");
	assert_int_equal(h2_only_head()->use_flags, TT_USE_MORE_CREDS);
	pseudo();
	h2w_indexed(&block, 62);
	request();
	assert_int_equal(h2_only_head()->creds, 1);
	h2_expect_cred(h2_only_head(), 0, SID, "cookie:sid", NULL);
	pseudo();
	h2w_indexed(&block, 63);
	request();
	assert_int_equal(h2_only_head()->creds, 1);
	assert_int_equal(h2_only_head()->cred[0].flags, TT_CRED_UNREADABLE);
}

/* A signed request: the key's id each time, as text too; the value is another one next time, and is not kept. */
static void signed_request(void **state)
{
	static const char akid[] = "AKIA" "IOSFODNN7EXAMPLE";
	char value[200];

	for (int i = 0; i < 4; i++) {
		snprintf(value, sizeof(value), "AWS4-HMAC-SHA256 Credential=%s/20261123/us-east-1/s3/aws4_request, "
			 "SignedHeaders=host, Signature=0123456789abcdef%d", akid, i / 2);
		pseudo();
		h2w_value(&block, i & 1 ? H2W_NEVER : H2W_ADD, 23, value, i < 2 ? H : 0);
		request();
		assert_int_equal(h2_only_head()->creds, 1);
		h2_expect_cred(h2_only_head(), 0, akid, "authorization", "aws4-hmac-sha256");
		assert_string_equal(h2_only_head()->public_id, akid);
	}
	assert_int_equal(h2.memo_hits, 0);
	pseudo();
	h2w_indexed(&block, 62);	/* what the table knows of it */
	request();
	h2_expect_cred(h2_only_head(), 0, akid, "authorization", "aws4-hmac-sha256");
	pseudo();
	h2w_value(&block, H2W_NEVER, 23, "Digest username=\"Mufasa\", response=\"0123456789abcdef\"", H);
	h2w_value(&block, H2W_NEVER, 49, "ApiKey VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHAyYXhUTm1zeWFrdzl0dk5udw==", H);
	request();
	assert_int_equal(h2_only_head()->creds, 2);
	h2_expect_cred(h2_only_head(), 0, "Mufasa", "authorization", "digest");
	h2_expect_cred(h2_only_head(), 1, "ui2lp2axTNmsyakw9tvNnw", "proxy-authorization", "apikey");
	assert_string_equal(h2_only_head()->public_id, "");
}

/* Names known by their ending, and a subprotocol: as in HTTP/1, anew and by the table. */
static void endings_and_subprotocol(void **state)
{
	for (int i = 0; i < 4; i++) {
		pseudo();
		h2w_field(&block, i & 1 ? H2W_NEVER : H2W_ADD, "x-acme-api-key", TOKEN, i & 2);
		h2w_field(&block, i & 1 ? H2W_NEVER : H2W_ADD, "sec-websocket-protocol",
			  "access_token, second, chat", !(i & 2));
		h2w_field(&block, H2W_NEVER, "x-csrf-token", "no", H);
		h2w_field(&block, H2W_NEVER, "lock-token", "no", H);
		request();
		assert_int_equal(h2_only_head()->creds, 2);
		h2_expect_cred(h2_only_head(), 0, TOKEN, "*-api-key", NULL);
		h2_expect_cred(h2_only_head(), 1, "second", "sec-websocket-protocol", NULL);
	}
	pseudo();
	h2w_indexed(&block, 63);
	h2w_indexed(&block, 62);
	request();
	assert_int_equal(h2_only_head()->creds, 2);
	h2_expect_cred(h2_only_head(), 0, TOKEN, "*-api-key", NULL);
	h2_expect_cred(h2_only_head(), 1, "second", "sec-websocket-protocol", NULL);
}

static void cut_cookies(void **state)
{
	size_t len = 2;

	for (size_t cut = 1; cut < len; cut++) {
		setup(state);
		pseudo();
		h2w_value(&block, H2W_ADD, COOKIE, "sid=" SID, H);
		h2w_value(&block, H2W_ADD, COOKIE, "theme=dark; token=\"second\" ;lang=en", cut & 1);
		h2w_headers(&out, stream, block.p, block.len, (struct h2w_how){ 0 });
		len = out.len;
		h2_feed(&h2, DRIVE_CLIENT, out.p, cut);
		h2_feed(&h2, DRIVE_CLIENT, out.p + cut, len - cut);
		out.len = block.len = 0;
		assert_int_equal(h2_only_head()->creds, 2);
		h2_expect_cred(h2_only_head(), 0, SID, "cookie:sid", NULL);
		h2_expect_cred(h2_only_head(), 1, "second", "cookie:token", NULL);
	}
}

/* A coded cookie field that was read before is not decoded again, whether it had a credential or not. */
static void memo_of_cookies(void **state)
{
	for (int i = 0; i < 3; i++) {
		pseudo();
		h2w_value(&block, H2W_PLAIN, COOKIE, "consent=0123456789-0123456789", H);
		h2w_value(&block, H2W_PLAIN, COOKIE, "sid=" SID "; lang=en", H);
		h2w_value(&block, H2W_PLAIN, COOKIE, "token=first-of-two; auth=second-of-two", H);
		request();
		assert_int_equal(h2_only_head()->creds, 3);
		h2_expect_cred(h2_only_head(), 0, SID, "cookie:sid", NULL);
		h2_expect_cred(h2_only_head(), 1, "first-of-two", "cookie:token", NULL);
		h2_expect_cred(h2_only_head(), 2, "second-of-two", "cookie:auth", NULL);
	}
	assert_int_equal(h2.memo_hits, 4);
}

/* ---- the memo ---- */

static void memo(void **state)
{
	for (int i = 0; i < 4; i++) {
		pseudo();
		h2w_value(&block, H2W_PLAIN, 23, BEARER, H);
		h2w_field(&block, H2W_NEVER, "x-api-key", BEARER, H);	/* the same bytes, another field */
		request();
		H2_FIELDS(h2_only_head(), PSEUDO, "authorization", BEARER, "x-api-key", BEARER);
		assert_int_equal(h2_only_head()->creds, 2);
		h2_expect_cred(h2_only_head(), 0, TOKEN, "authorization", "bearer");
		h2_expect_cred(h2_only_head(), 1, BEARER, "x-api-key", NULL);
	}
	assert_int_equal(h2.memo_hits, 6);
}

/* What was remembered is entered in the table with its right size. */
static void memo_into_the_table(void **state)
{
	pseudo();
	h2w_value(&block, H2W_PLAIN, 23, BEARER, H);
	request();
	pseudo();
	h2w_value(&block, H2W_ADD, 23, BEARER, H);
	request();
	assert_int_equal(h2.memo_hits, 1);
	assert_int_equal(h2.side[DRIVE_CLIENT].f.table.size, 32 + 13 + strlen(BEARER));
	pseudo();
	h2w_indexed(&block, 62);
	request();
	h2_expect_cred(h2_only_head(), 0, TOKEN, "authorization", "bearer");
}

/* Nothing of a string is remembered under another one's wire form, wherever calls are cut. */
static void memo_of_a_cut_string(void **state)
{
	size_t len;

	for (size_t cut = 1; cut < 100; cut++) {
		setup(NULL);
		pseudo();
		h2w_value(&block, H2W_PLAIN, 23, "Bearer", H);	/* no credential: nothing to remember */
		h2w_value(&block, H2W_PLAIN, 23, BEARER, H);
		h2w_field(&block, H2W_PLAIN, "x-api-key", "another-key-of-this-one", H);
		h2w_headers(&out, stream, block.p, block.len, (struct h2w_how){ 0 });
		len = out.len;
		h2_feed(&h2, DRIVE_CLIENT, out.p, cut < len ? cut : len);
		h2_feed(&h2, DRIVE_CLIENT, out.p + cut, cut < len ? len - cut : 0);
		out.len = block.len = 0;
		stream += 2;
		for (int again = 0; again < 2; again++) {
			pseudo();
			h2w_field(&block, H2W_PLAIN, "x-api-key", "another-key-of-this-one", H);
			h2w_value(&block, H2W_PLAIN, 23, BEARER, H);
			request();
			h2_expect_cred(h2_only_head(), 0, "another-key-of-this-one", "x-api-key", NULL);
			h2_expect_cred(h2_only_head(), 1, TOKEN, "authorization", "bearer");
		}
	}
}

/* ---- joining in the middle ---- */

static void join(void)
{
	h2_init();
	out.len = block.len = 0;
	stream = 101;
}

/* The entry and its id, with nothing made up. */
static void expect_unreadable(const struct h2_fact *f, size_t k, uint32_t entry)
{
	const struct tt_cred *c = &f->cred[k];

	assert_true(k < f->creds);
	assert_int_equal(c->flags, TT_CRED_UNREADABLE);
	assert_int_equal(c->entry, entry);
	assert_int_equal(c->length, 0);
	assert_int_equal(c->carrier, 0);
	assert_int_equal(c->scheme, 0);
	assert_int_equal(c->class_id, 0);
}

/* As Go's client does it: the token was in the first request, which nobody saw. */
static void unseen_entries(void **state)
{
	struct tt_cred first, other;

	join();
	pseudo();
	h2w_indexed(&block, 62);
	request();
	expect_unreadable(h2_only_head(), 0, 1);
	h2_expect_request(h2_only_head(), "GET", "h", "/");
	h2_expect_notes(1, TT_DROP_hpack_unknown);
	first = h2_only_head()->cred[0];
	pseudo();
	h2w_indexed(&block, 65);
	add("x-new", "1");		/* everything moves on by one */
	h2w_indexed(&block, 63);	/* the same entry */
	request();
	assert_int_equal(h2_only_head()->creds, 2);
	expect_unreadable(h2_only_head(), 0, 4);
	expect_unreadable(h2_only_head(), 1, 1);
	other = h2_only_head()->cred[0];
	assert_memory_equal(&h2_only_head()->cred[1], &first, sizeof(first));
	assert_memory_not_equal(first.token, other.token, 16);
	/* a literal makes the rest known */
	pseudo();
	h2w_value(&block, H2W_ADD, 23, BEARER, H);
	request();
	pseudo();
	h2w_indexed(&block, 62);
	request();
	assert_int_equal(h2_only_head()->creds, 1);
	h2_expect_cred(h2_only_head(), 0, TOKEN, "authorization", "bearer");
	h2_expect_notes(0, TT_DROP_hpack_unknown);
}

/* Two connections' unseen entries are two unknown credentials. */
static void unseen_entries_of_two_connections(void **state)
{
	struct tt_cred first;

	join();
	pseudo();
	h2w_indexed(&block, 62);
	request();
	first = h2_only_head()->cred[0];
	join();
	h2.now = 77;
	pseudo();
	h2w_indexed(&block, 62);
	request();
	assert_memory_not_equal(first.token, h2_only_head()->cred[0].token, 16);
}

/* Unseen entries that must be pseudo-header fields are no credentials. */
static void unseen_pseudo_fields(void **state)
{
	join();
	h2w_indexed(&block, 2);
	h2w_indexed(&block, 7);
	h2w_indexed(&block, 64);	/* :path, as a request has one */
	h2w_indexed(&block, 63);	/* :authority, which it need not have */
	h2w_indexed(&block, 62);
	request();
	assert_int_equal(h2_only_head()->creds, 2);
	expect_unreadable(h2_only_head(), 0, 2);
	expect_unreadable(h2_only_head(), 1, 1);
	assert_string_equal(h2_only_head()->path, "");
}

/* Where a credential was read, the unseen entries are most likely none: they are only counted. */
static void unseen_beside_a_credential(void **state)
{
	join();
	pseudo();
	h2w_indexed(&block, 63);
	h2w_value(&block, H2W_NEVER, 23, BEARER, H);
	h2w_indexed(&block, 62);
	request();
	assert_int_equal(h2_only_head()->creds, 1);
	h2_expect_cred(h2_only_head(), 0, TOKEN, "authorization", "bearer");
	h2_expect_notes(2, TT_DROP_hpack_unknown);
}

/* Of more than a record holds the last ones: clients put credentials late. */
static void many_unseen(void **state)
{
	for (uint32_t count = 5; count < 14; count++) {
		join();
		pseudo();
		for (uint32_t i = count; i > 0; i--)
			h2w_indexed(&block, 61 + i);
		request();
		assert_int_equal(h2_only_head()->creds, 4);
		for (uint32_t k = 0; k < 4; k++)
			expect_unreadable(h2_only_head(), k, 4 - k);
		assert_int_equal(h2_only_head()->use_flags, TT_USE_MORE_CREDS);
		h2_expect_notes(count, TT_DROP_hpack_unknown);
	}
}

/* A literal whose name is at an unseen entry: its value can't be a credential of a known field. */
static void unseen_name(void **state)
{
	join();
	pseudo();
	h2w_value(&block, H2W_ADD, 70, "value of an unknown name", H);
	h2w_indexed(&block, 62);
	request();
	for (size_t i = 0; i < h2_only_head()->creds; i++)
		assert_int_equal(h2_only_head()->cred[i].flags, TT_CRED_UNREADABLE);
	assert_true(h2_only_head()->creds > 0);
	assert_false(h2_drive_residue(&h2, "value of an unknown name", 24));
}

/* Responses with unseen entries report no credential and no made-up status. */
static void unseen_in_responses(void **state)
{
	join();
	h2w_indexed(&block, 8);
	h2w_indexed(&block, 62);
	h2_forget();
	h2w_headers(&out, stream, block.p, block.len, (struct h2w_how){ 0 });
	h2w_headers(&out, stream + 2, block.p, block.len, (struct h2w_how){ 0 });
	h2_send(DRIVE_SERVER, &out);
	assert_int_equal(h2_count(H2_HEAD), 2);
	assert_int_equal(h2_head_at(0)->status, 200);
	assert_int_equal(h2_head_at(0)->creds, 0);
}

#define T(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(rfc_examples), T(rfc_example_responses), T(integers), T(integers_that_are_none),
		T(huffman_that_is_none), T(every_byte), T(long_strings),
		T(each_representation_is_one_token), T(entries_of_every_kind), T(name_of_an_entry), T(signed_urls), T(tokens_in_paths),
		T(eviction), T(exact_fit), T(entry_larger_than_the_table), T(name_of_the_evicted), T(size_updates),
		T(cookies), T(many_cookies), T(signed_request), T(endings_and_subprotocol), T(cut_cookies), T(memo_of_cookies), T(memo), T(memo_into_the_table), T(memo_of_a_cut_string), T(unseen_entries),
		T(unseen_entries_of_two_connections), T(unseen_pseudo_fields),
		T(unseen_beside_a_credential), T(many_unseen), T(unseen_name),
		T(unseen_in_responses),
	};

	return cmocka_run_group_tests(tests, h1_group_setup, NULL);
}
