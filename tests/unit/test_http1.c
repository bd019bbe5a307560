/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf/readers/http1.h, the framing: where heads begin and end, over any number of calls, in both
 * directions, and what happens with bytes that are no HTTP/1. What is made of credentials and paths
 * is in test_http1_creds.c and test_http1_path.c.
 */
#include "h1_expect.h"

#define TOKEN "Zq7-first.Light_Token+0123456789/abcdefghijklmnop"
#define AUTH "Authorization: Bearer " TOKEN "\r\n"

struct part {
	int dir;
	const char *bytes;
};

/* One connection, call by call. */
struct talk {
	const char *name;
	size_t heads, notes;
	struct part parts[8];
};

#define C(text) { DRIVE_CLIENT, text }
#define S(text) { DRIVE_SERVER, text }

static const struct talk talks[] = {
	{ "get", 2, 0,
	  { C("GET /v1/items HTTP/1.1\r\nHost: api.example.com\r\n" AUTH "\r\n"),
	    S("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello") } },
	{ "bare line feeds, empty lines first", 1, 0,
	  { C("\r\n\nGET / HTTP/1.0\nHost: h\n" "Authorization: Bearer x\n\n") } },
	{ "pipelined", 6, 0,
	  { C("GET /a HTTP/1.1\r\nHost: h\r\n" AUTH "\r\nPOST /b HTTP/1.1\r\nContent-Length: 3\r\n"
	      AUTH "Host: h\r\n\r\nxyzDELETE /c HTTP/1.1\r\nHost: h\r\n" AUTH "\r\n"),
	    S("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 201 Created\r\n"
	      "Content-Length: 0\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n") } },
	{ "body that looks like a head", 2, 0,
	  { C("PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 39\r\n\r\n"
	      "GET /evil HTTP/1.1\r\nX-Api-Key: evil!\r\n\r\n"
	      "GET /b HTTP/1.1\r\nHost: h\r\n" AUTH "\r\n") } },
	{ "chunked body that looks like a head, extension, trailers", 2, 0,
	  { C("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
	      "13;name=\"value\"\r\nGET / HTTP/1.1\r\n\r\n\n\r\n"
	      "00A\r\n0\r\n\r\n0\r\n\r\n\r\n0\r\n"
	      "Authorization: Bearer not-in-a-trailer\r\nGET /x HTTP/1.1: y\r\n\r\n"
	      "GET /b HTTP/1.1\r\nHost: h\r\n" AUTH "\r\n") } },
	{ "expect 100-continue", 4, 0,
	  { C("PUT /up HTTP/1.1\r\nHost: h\r\n" AUTH "Expect: 100-continue\r\n"
	      "Content-Length: 4\r\n\r\n"),
	    S("HTTP/1.1 100 Continue\r\n\r\n"), C("data"),
	    S("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), C("GET /next HTTP/1.1\r\n\r\n") } },
	{ "websocket", 2, 0,
	  { C("GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
	      AUTH "\r\n"),
	    S("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
	      "HTTP/1.1 200 OK\r\n\r\n"),
	    C("GET /evil HTTP/1.1\r\nX-Api-Key: evil\r\n\r\n"), S("HTTP/1.1 200 OK\r\n\r\n") } },
	{ "connect: 407, then 200 and a tunnel", 4, 0,
	  { C("CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\n\r\n"),
	    S("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 6\r\n\r\ndenied"),
	    C("CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\n"
	      "Proxy-Authorization: Basic dXNlcjpzM2NyZXRwYXNzd29yZA==\r\n\r\n"),
	    S("HTTP/1.1 200 Connection established\r\n\r\n"),
	    C("GET /evil HTTP/1.1\r\nX-Api-Key: evil\r\n\r\n"), S("HTTP/1.1 200 OK\r\n\r\n") } },
	{ "head, 204, 304: no body in spite of a length", 8, 0,
	  { C("HEAD /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n"
	      "GET /c HTTP/1.1\r\n\r\nGET /d HTTP/1.1\r\n\r\n"),
	    S("HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"
	      "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"
	      "HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n"
	      "HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx") } },
	{ "response until the connection ends", 2, 0,
	  { C("GET / HTTP/1.0\r\n\r\n"),
	    S("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
	    S("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") } },
	{ "chunked response, early hints", 4, 0,
	  { C("GET / HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n"),
	    S("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n"
	      "Transfer-Encoding: Chunked\r\n\r\n5\r\nHTTP/\r\n0\r\n\r\n") } },
	{ "absolute form, query, several credentials", 1, 0,
	  { C("GET http://user:secretword@h.example:8080/a?x=1&access_token=abc%2Ddef%2d12345678"
	      "&y=2 HTTP/1.1\r\nX-Api-Key:   \"quoted key\"  \r\nPrivate-Token: " TOKEN "\r\n"
	      "Host: other\r\n" AUTH "\r\n") } },
	{ "obs-fold", 1, 0,
	  { C("GET / HTTP/1.1\r\nHost:\r\n folded.example\r\nX-Note: a\r\n\tb\r\n"
	      "Authorization:\r\n Bearer\r\n\t " TOKEN "\r\n \r\nX-Api-Key: two\r\n words of a key\r\nContent-Length:\r\n 0\r\n\r\n") } },
	{ "Basic", 1, 0,
	  { C("GET /repo HTTP/1.1\r\nHost: h\r\nAuthorization: basic "
	      "eC1hY2Nlc3MtdG9rZW46Z2hwXzAxMjM0NTY3ODlhYmNkZWZnaGlqMDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n") } },
	{ "notes: empty, bad escape, bad base64, too many", 1, 5,
	  { C("GET /?token=%4&api_key= HTTP/1.1\r\nAuthorization: Bearer \r\n"
	      "Authorization: Basic !!!!\r\nX-Api-Key: 1\r\nX-Auth-Token: 2\r\n"
	      "X-Vault-Token: 3\r\nApi-Key: 4\r\nApikey: 5\r\n\r\n") } },
	{ "options *", 2, 0,
	  { C("OPTIONS * HTTP/1.1\r\nHost: h\r\n" AUTH "\r\n"),
	    S("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") } },
	{ "malformed in the second head", 1, 1,
	  { C("GET / HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nBad Header: x\r\n\r\n") } },
};


static struct drive whole, other;

static void talk_begin(struct drive *v, uint8_t poison)
{
	drive_init(v, &h1_tables, KEY0, KEY1);
	v->stop_at_bad = true;	/* where reading goes on after a fault depends on where calls begin */
	v->poison = poison;
}

static void feed_clean(struct drive *v, int dir, const char *bytes, size_t len)
{
	feed(v, dir, bytes, len);
	assert_false(drive_residue(v, TOKEN, strlen(TOKEN)));
}

/* Part `part` in two calls, cut at `cut`; all others whole. */
static void run_cut(struct drive *v, const struct talk *t, size_t part, size_t cut)
{
	talk_begin(v, cut);
	for (size_t i = 0; i < 8 && t->parts[i].bytes; i++) {
		size_t at = i == part ? cut : 0;

		feed_clean(v, t->parts[i].dir, t->parts[i].bytes, at);
		feed_clean(v, t->parts[i].dir, t->parts[i].bytes + at,
			   strlen(t->parts[i].bytes) - at);
	}
}

static void run_portions(struct drive *v, const struct talk *t, size_t portion)
{
	talk_begin(v, 'a');
	for (size_t i = 0; i < 8 && t->parts[i].bytes; i++)
		for (size_t at = 0, len = strlen(t->parts[i].bytes); at < len; at += portion)
			feed_clean(v, t->parts[i].dir, t->parts[i].bytes + at,
				   len - at < portion ? len - at : portion);
}

static void same(const struct talk *t, const char *how, size_t part, size_t n)
{
	const char *what = drive_differ(&whole, &other);

	if (what)
		fail_msg("%s, %s %zu of part %zu: %s differs", t->name, how, n, part, what);
}

/* Every talk: in whole calls, cut in two at every byte, and in portions of 1 to 17 bytes. */
static void every_split_tells_the_same(void **state)
{
	for (size_t i = 0; i < sizeof(talks) / sizeof(talks[0]); i++) {
		const struct talk *t = &talks[i];

		run_cut(&whole, t, SIZE_MAX, 0);
		if (whole.heads_len != t->heads || whole.notes_len != t->notes)
			fail_msg("%s: %zu heads and %zu notes", t->name, whole.heads_len,
				 whole.notes_len);
		for (size_t part = 0; part < 8 && t->parts[part].bytes; part++)
			for (size_t cut = 1; cut < strlen(t->parts[part].bytes); cut++) {
				run_cut(&other, t, part, cut);
				same(t, "cut at", part, cut);
			}
		for (size_t portion = 1; portion < 18; portion++) {
			run_portions(&other, t, portion);
			same(t, "portions of", 0, portion);
		}
	}
}

static const struct talk *talk(const char *name)
{
	for (size_t i = 0; i < sizeof(talks) / sizeof(talks[0]); i++)
		if (!strcmp(talks[i].name, name))
			return &talks[i];
	fail_msg("no talk %s", name);
	return NULL;
}

static void hold(const char *name)
{
	run_cut(&drive, talk(name), SIZE_MAX, 0);
}

static void request_and_response(void **state)
{
	hold("get");
	expect_request(0, "GET", "api.example.com", "/v1/items");
	assert_int_equal(head_at(0)->version, 11);
	expect_cred(0, 0, TOKEN, "authorization", "bearer");
	expect_status(1, 200);
	hold("bare line feeds, empty lines first");
	expect_request(0, "GET", "h", "/");
	assert_int_equal(head_at(0)->version, 10);
	expect_cred(0, 0, "x", "authorization", "bearer");
}

static void pipelining(void **state)
{
	hold("pipelined");
	expect_request(0, "GET", "h", "/a");
	expect_request(1, "POST", "h", "/b");
	expect_request(2, "DELETE", "h", "/c");
	for (size_t i = 0; i < 3; i++)
		expect_cred(i, 0, TOKEN, "authorization", "bearer");
	expect_status(3, 200);
	expect_status(4, 201);
	expect_status(5, 204);
}

static void bodies_are_not_read(void **state)
{
	hold("body that looks like a head");
	expect_request(0, "PUT", "h", "/a");
	assert_int_equal(head_at(0)->creds, 0);
	expect_request(1, "GET", "h", "/b");
	hold("chunked body that looks like a head, extension, trailers");
	expect_request(0, "POST", "h", "/a");
	assert_int_equal(head_at(0)->creds, 0);
	expect_request(1, "GET", "h", "/b");
	hold("chunked response, early hints");
	expect_status(2, 103);
	expect_status(3, 200);
}

static void expect_continue(void **state)
{
	hold("expect 100-continue");
	expect_request(0, "PUT", "h", "/up");
	expect_status(1, 100);
	expect_status(2, 200);
	expect_request(3, "GET", "", "/next");
	assert_int_equal(drive.pending_end - drive.pending_first, 1);
}

static void upgrade_ends_http(void **state)
{
	hold("websocket");
	expect_request(0, "GET", "h", "/ws");
	expect_status(1, 101);
	assert_int_equal(drive.side[DRIVE_CLIENT].d.state, H1_S_OPAQUE);
	assert_int_equal(drive.side[DRIVE_SERVER].d.state, H1_S_OPAQUE);
}

static void connect_makes_a_tunnel(void **state)
{
	hold("connect: 407, then 200 and a tunnel");
	expect_request(0, "CONNECT", "api.example.com:443", "");
	expect_status(1, 407);
	expect_request(2, "CONNECT", "api.example.com:443", "");
	expect_cred(2, 0, "s3cretpassword", "proxy-authorization", "basic");
	expect_status(3, 200);
	assert_int_equal(drive.side[DRIVE_CLIENT].d.state, H1_S_OPAQUE);
	assert_int_equal(drive.side[DRIVE_SERVER].d.state, H1_S_OPAQUE);
}

static void responses_without_body(void **state)
{
	hold("head, 204, 304: no body in spite of a length");
	expect_status(4, 200);
	expect_status(5, 204);
	expect_status(6, 304);
	expect_status(7, 200);
	assert_int_equal(drive.side[DRIVE_SERVER].d.state, H1_S_START);
	hold("response until the connection ends");
	expect_status(1, 200);
	assert_int_equal(drive.side[DRIVE_SERVER].d.state, H1_S_UNTIL_CLOSE);
}

static void obs_fold(void **state)
{
	hold("obs-fold");
	expect_request(0, "GET", "folded.example", "/");
	expect_cred(0, 0, TOKEN, "authorization", "bearer");
	expect_cred(0, 1, "two words of a key", "x-api-key", NULL);
	assert_int_equal(drive.side[DRIVE_CLIENT].d.state, H1_S_START);
}

static void other_targets(void **state)
{
	hold("options *");
	expect_request(0, "OPTIONS", "h", "");
	expect_cred(0, 0, TOKEN, "authorization", "bearer");
	hold("absolute form, query, several credentials");
	expect_request(0, "GET", "h.example:8080", "/a");
	expect_cred(0, 0, "abc-def-12345678", "query:access_token", NULL);
	expect_cred(0, 1, "quoted key", "x-api-key", NULL);
	expect_cred(0, 2, TOKEN, "private-token", NULL);
	expect_cred(0, 3, TOKEN, "authorization", "bearer");
}

/* One line of 20 KiB: longer than any window, and than a TLS record with the rest of the head. */
static void long_cookie(void **state)
{
	static char head[32 * 1024];
	size_t len = sprintf(head, "GET /long HTTP/1.1\r\nCookie: c=");

	memset(head + len, 'C', 20 * 1024);
	len += 20 * 1024;
	len += sprintf(head + len, "\r\n" AUTH "Host: h\r\n\r\n");
	feed(&drive, DRIVE_CLIENT, head, len);
	for (size_t portion = 1000; portion < 1050; portion++)
		for (size_t at = 0; at < len; at += portion)
			feed(&drive, DRIVE_CLIENT, head + at,
			     len - at < portion ? len - at : portion);
	expect_counts(51, 0);
	for (size_t i = 0; i < 51; i++) {
		expect_request(i, "GET", "h", "/long");
		expect_cred(i, 0, TOKEN, "authorization", "bearer");
	}
	/* whole: the long line costs a step for eight bytes */
	h1_setup(state);
	feed(&drive, DRIVE_CLIENT, head, len);
	assert_in_range(drive.steps, 1, len / 8 + 400);
}

static void four_hundred_headers(void **state)
{
	static char head[64 * 1024];
	size_t len = sprintf(head, "GET /many HTTP/1.1\r\n");

	for (int i = 0; i < 400; i++)
		len += sprintf(head + len, "X-Header-Number-%d: a value of more than %d bytes\r\n", i,
			       i);
	len += sprintf(head + len, AUTH "Host: h\r\n\r\n");
	assert_true(len > 16 * 1024);
	feed(&drive, DRIVE_CLIENT, head, len);
	for (size_t at = 0; at < len; at += 1460)
		feed(&drive, DRIVE_CLIENT, head + at, len - at < 1460 ? len - at : 1460);
	expect_counts(2, 0);
	expect_request(1, "GET", "h", "/many");
	expect_cred(0, 0, TOKEN, "authorization", "bearer");
	expect_cred(1, 0, TOKEN, "authorization", "bearer");
}

static void names_and_methods_have_limits(void **state)
{
	static char head[4096];
	int len;

	/* 1000 bytes of name, then one that would match if the first bytes were all that counts */
	len = sprintf(head, "ABCDEFGHIJKLMNOP / HTTP/1.1\r\n%01000d: x\r\n"
			    "Authorization%0300d: y\r\n\r\n", 0, 0);
	feed(&drive, DRIVE_CLIENT, head, len);
	expect_counts(1, 0);
	expect_request(0, "ABCDEFGHIJKLMNOP", "", "/");
	assert_int_equal(head_at(0)->creds, 0);
	client("ABCDEFGHIJKLMNOPQ / HTTP/1.1\r\n\r\n");
	expect_counts(1, 1);
	expect_bad(0, TT_DROP_bad_request_line, true);
}

static void too_long_a_head_is_given_up(void **state)
{
	static char line[8192];
	size_t sent = 0;

	client("GET / HTTP/1.1\r\nCookie: ");
	memset(line, 'x', sizeof(line));
	while (sent <= H1_HEAD_MAX) {
		feed(&drive, DRIVE_CLIENT, line, sizeof(line));
		sent += sizeof(line);
	}
	expect_counts(0, 1);
	expect_bad(0, TT_DROP_head_too_long, true);
	client("\r\n\r\n");	/* the rest of it is no head */
	client("GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
	expect_counts(1, 1);
	expect_request(0, "GET", "h", "/next");
}

/* A body is skipped by its length, wherever calls and windows end. */
static void long_bodies(void **state)
{
	static char body[100000];

	memset(body, '\n', sizeof(body));
	client("POST /a HTTP/1.1\r\nContent-Length: 300000\r\n\r\n");
	for (int i = 0; i < 3; i++)
		feed(&drive, DRIVE_CLIENT, body, sizeof(body));
	client("POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n30D40\r\n");
	feed(&drive, DRIVE_CLIENT, body, sizeof(body));
	feed(&drive, DRIVE_CLIENT, body, sizeof(body));
	client("\r\n0\r\n\r\nGET /c HTTP/1.1\r\n\r\n");
	expect_counts(3, 0);
	expect_request(2, "GET", "", "/c");
	assert_in_range(drive.steps, 1, 1000);
}

struct fault {
	int dir;
	const char *bytes;
	enum tt_drop reason;
};

/* Each fault of a head that is one: counted, and reading goes on at the next head. */
static void malformed_heads(void **state)
{
	static const struct fault faults[] = {
		{ DRIVE_CLIENT, "GET /a b HTTP/1.1\r\n\r\n", TT_DROP_bad_request_line },
		{ DRIVE_CLIENT, "GET /a\x01 HTTP/1.1\r\n\r\n", TT_DROP_bad_request_line },
		{ DRIVE_CLIENT, "GET /a?b\x7f HTTP/1.1\r\n\r\n", TT_DROP_bad_request_line },
		{ DRIVE_CLIENT, "GET /a?token=b\x7f HTTP/1.1\r\n\r\n", TT_DROP_bad_request_line },
		{ DRIVE_CLIENT, "GET /a?token\x7f HTTP/1.1\r\n\r\n", TT_DROP_bad_request_line },
		{ DRIVE_CLIENT, "GET /a\r\n\r\n", TT_DROP_bad_request_line },
		{ DRIVE_CLIENT, "GET / HTTP/2.0\r\n\r\n", TT_DROP_bad_request_line },
		{ DRIVE_CLIENT, "GET / HTTP/1.x\r\n\r\n", TT_DROP_bad_request_line },
		{ DRIVE_CLIENT, "GET / HTTP/1.1x\r\n\r\n", TT_DROP_bad_request_line },
		{ DRIVE_CLIENT, "GET http://h\x80/ HTTP/1.1\r\n\r\n", TT_DROP_bad_request_line },
		{ DRIVE_CLIENT, "GET http:// HTTP/1.1\r\n\r\n", TT_DROP_bad_request_line },
		{ DRIVE_CLIENT, "GET / HTTP/1.1\r\nBad Header: x\r\n\r\n", TT_DROP_bad_header },
		{ DRIVE_CLIENT, "GET / HTTP/1.1\r\nHost : x\r\n\r\n", TT_DROP_bad_header },
		{ DRIVE_CLIENT, "GET / HTTP/1.1\r\n: x\r\n\r\n", TT_DROP_bad_header },
		{ DRIVE_CLIENT, "GET / HTTP/1.1\r\nNoColon\r\n\r\n", TT_DROP_bad_header },
		{ DRIVE_CLIENT, "GET / HTTP/1.1\r\nH\xc3\xb6st: x\r\n\r\n", TT_DROP_bad_header },
		{ DRIVE_CLIENT, "OPTIONS * HTTP/1.1\r\nBad Header: x\r\n\r\n", TT_DROP_bad_header },
		{ DRIVE_CLIENT, "CONNECT h:1 HTTP/1.1\r\nBad Header: x\r\n\r\n", TT_DROP_bad_header },
		{ DRIVE_CLIENT, "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", TT_DROP_bad_length },
		{ DRIVE_CLIENT, "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", TT_DROP_bad_length },
		{ DRIVE_CLIENT, "GET / HTTP/1.1\r\nContent-Length: 1 2\r\n\r\n", TT_DROP_bad_length },
		{ DRIVE_CLIENT, "GET / HTTP/1.1\r\nContent-Length: 1\r\n 2\r\n\r\n", TT_DROP_bad_length },
		{ DRIVE_CLIENT, "GET / HTTP/1.1\r\nContent-Length:\r\n\r\n", TT_DROP_bad_length },
		{ DRIVE_CLIENT, "GET / HTTP/1.1\r\nContent-Length: 1000000000000000000\r\n\r\n",
		  TT_DROP_bad_length },
		{ DRIVE_CLIENT, "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-length: 1\r\n\r\n",
		  TT_DROP_bad_length },
		{ DRIVE_CLIENT, "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		  TT_DROP_bad_chunk },
		{ DRIVE_CLIENT, "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
		  TT_DROP_bad_chunk },
		{ DRIVE_CLIENT, "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
		  TT_DROP_bad_chunk },
		{ DRIVE_CLIENT, "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1234567890abcdef\r\n",
		  TT_DROP_bad_chunk },
		{ DRIVE_SERVER, "HTTP/1.1 2x0 OK\r\n\r\n", TT_DROP_bad_status_line },
		{ DRIVE_SERVER, "HTTP/1.1 099 Low\r\n\r\n", TT_DROP_bad_status_line },
		{ DRIVE_SERVER, "HTTP/1.1 200 OK\r\nBad Header: x\r\n\r\n", TT_DROP_bad_header },
	};

	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		const char *next = faults[i].dir == DRIVE_CLIENT ? "GET /next HTTP/1.1\r\n\r\n" :
								   "HTTP/1.1 204 No\r\n\r\n";

		h1_setup(state);
		feed(&drive, faults[i].dir, faults[i].bytes, strlen(faults[i].bytes));
		if (drive.notes_len != 1 || drive.notes[0].reason != faults[i].reason ||
		    !drive.notes[0].counted)
			fail_msg("%s: %zu notes, reason %u, counted %d", faults[i].bytes,
				 drive.notes_len, drive.notes[0].reason, drive.notes[0].counted);
		expect_bad(0, faults[i].reason, true);
		assert_int_equal(drive.side[faults[i].dir].d.state, H1_S_LOST);
		feed(&drive, faults[i].dir, "\x17\x03 rest", 7);
		assert_int_equal(drive.side[faults[i].dir].d.state, H1_S_LOST);
		feed(&drive, faults[i].dir, next, strlen(next));
		assert_int_equal(drive.notes_len, 1);
		assert_int_equal(head_at(drive.heads_len - 1)->status,
				 faults[i].dir == DRIVE_CLIENT ? 0 : 204);
	}
}

/* A direction is of one kind for good. */
static void requests_and_responses_do_not_mix(void **state)
{
	client("GET / HTTP/1.1\r\n\r\n");
	client("HTTP/1.1 200 OK\r\n\r\n");
	expect_counts(1, 1);
	expect_bad(0, TT_DROP_bad_request_line, true);
	server("HTTP/1.1 204 OK\r\n\r\n");
	server("GET / HTTP/1.1\r\n\r\n");
	expect_counts(2, 2);
	expect_bad(1, TT_DROP_bad_status_line, true);
	server("what\r\n");
	expect_counts(2, 2);
	server("WHAT?");
	expect_counts(2, 3);
	expect_bad(2, TT_DROP_bad_status_line, true);
}

/* Other protocols: lost at once, not counted as a broken head, and nothing reported. */
static void not_http(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} others[] = {
#define BYTES(s) { s, sizeof(s) - 1 }
		BYTES("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
		BYTES("\x17\x03\x03\x00\x45 GET\0/ HTTP/1.1\r\n\r\n"),
		BYTES("EHLO mail.example.com\r\n"),
		BYTES("HELO host/a/b\r\n"),
		BYTES("MAIL FROM:<a@example.com>\r\n"),
		BYTES("220 mail.example.com ESMTP\r\n"),
		BYTES("*2\r\n$4\r\nAUTH\r\n$8\r\npassword\r\n"),
		BYTES("AUTH password\r\n"),
		BYTES("SSH-2.0-OpenSSH_9.2\r\n"),
		BYTES("HTTP/2 200\r\n"),
		BYTES("HTTP/1.1\r\n"),
		BYTES("GET\r\n"),
		BYTES("GET  / HTTP/1.1\r\n"),
		BYTES("get / HTTP/1.1\r\n"),
		BYTES("GET * HTTP/2.0\r\n"),
		BYTES("GET hooks/services/T0000/secret HTTP/1.1\r\n"),
		BYTES("\0\0\0\x12\x04\0\0\0\0\0"),
		BYTES("{\"a\":1}\n"),
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		for (size_t cut = 0; cut < others[i].len; cut++) {
			h1_setup(state);
			feed(&drive, DRIVE_CLIENT, others[i].bytes, cut);
			feed(&drive, DRIVE_CLIENT, others[i].bytes + cut, others[i].len - cut);
			assert_int_equal(drive.side[DRIVE_CLIENT].d.state, H1_S_LOST);
			assert_int_equal(drive.heads_len, 0);
			for (size_t n = 0; n < drive.notes_len; n++)
				if (drive.notes[n].counted)
					fail_msg("%s: cut at %zu: taken for HTTP", others[i].bytes,
						 cut);
		}
}

static void may_begin(void **state)
{
	static const char *const yes[] = { "GET /", "HTTP/1.1 200", "M", "PU", "OPTIONS" };
	static const char *const no[] = { "get", "G\r", "\x16\x03", "GE\x01", "200", "GeT", "\r\n" };
	uint64_t word;

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		word = 0;
		memcpy(&word, yes[i], strnlen(yes[i], 8));
		assert_true(h1_may_begin(word, strlen(yes[i])));
	}
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		word = 0;
		memcpy(&word, no[i], strnlen(no[i], 8));
		assert_false(h1_may_begin(word, strlen(no[i])));
	}
}

/* A head whose first call is all there ever is costs nothing later. */
static void nothing_is_no_call(void **state)
{
	client("GET / HT");
	client("");
	client("TP/1.1\r\n\r\n");
	expect_counts(1, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		H1_TEST(every_split_tells_the_same),
		H1_TEST(request_and_response),
		H1_TEST(pipelining),
		H1_TEST(bodies_are_not_read),
		H1_TEST(expect_continue),
		H1_TEST(upgrade_ends_http),
		H1_TEST(connect_makes_a_tunnel),
		H1_TEST(responses_without_body),
		H1_TEST(obs_fold),
		H1_TEST(other_targets),
		H1_TEST(long_cookie),
		H1_TEST(four_hundred_headers),
		H1_TEST(names_and_methods_have_limits),
		H1_TEST(too_long_a_head_is_given_up),
		H1_TEST(long_bodies),
		H1_TEST(malformed_heads),
		H1_TEST(requests_and_responses_do_not_mix),
		H1_TEST(not_http),
		H1_TEST(may_begin),
		H1_TEST(nothing_is_no_call),
	};

	return cmocka_run_group_tests(tests, h1_group_setup, NULL);
}
