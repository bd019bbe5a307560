/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf/readers/http2.h: frames of every type, in any split; what begins in the middle of a connection,
 * what can't be followed any more, and what is no HTTP/2. Header blocks are in test_hpack.c.
 */
#include "h2_expect.h"

#define TOKEN "Zq7-first.Light_Token+0123456789/abcdefghijklmnop"
#define BEARER "Bearer " TOKEN
#define OTHER "second-token-of-this-connection"

static struct h2_buf out, block;
static struct h2_drive other;

static int setup(void **state)
{
	h2_init();
	out.len = block.len = 0;
	return 0;
}

static void begin(void)
{
	setup(NULL);
	h2w_preface(&out);
	h2w_settings(&out);
	h2_send(DRIVE_CLIENT, &out);
	h2w_settings(&out);
	h2w_settings_ack(&out);
	h2_send(DRIVE_SERVER, &out);
}

/* The block of a request with a token. */
static void a_request(const char *path, const char *value)
{
	block.len = 0;
	h2w_indexed(&block, 2);
	h2w_indexed(&block, 7);
	h2w_value(&block, H2W_PLAIN, 4, path, 1);
	h2w_value(&block, H2W_PLAIN, 1, "api.example.com", 1);
	h2w_value(&block, H2W_PLAIN, 23, value, 1);
}

static void a_response(const char *status)
{
	block.len = 0;
	h2w_value(&block, H2W_PLAIN, 8, status, 0);
	h2w_value(&block, H2W_PLAIN, 31, "application/json", 1);
}

static void put(uint32_t stream, struct h2w_how how)
{
	h2w_headers(&out, stream, block.p, block.len, how);
}

static const struct h2w_how plain;
static const struct h2w_how last = { .flags = H2W_END_STREAM };

static void expect_token(const struct h2_fact *f, uint32_t stream, const char *path)
{
	assert_int_equal(f->stream, stream);
	h2_expect_request(f, "GET", "api.example.com", path);
	assert_int_equal(f->creds, 1);
	h2_expect_cred(f, 0, TOKEN, "authorization", "bearer");
}

/* ---- frames around a block ---- */

/* All shapes of HEADERS and CONTINUATION, one after another on one connection. */
static void shapes(void **state)
{
	uint32_t stream = 1;

	begin();
	for (unsigned int padding = 0; padding < 256; padding += 51)
		for (unsigned int flags = 0; flags < 64; flags++) {
			struct h2w_how how = { .flags = flags & (H2W_END_STREAM | H2W_PADDED | H2W_WITH_PRIORITY),
					       .padding = padding };

			if (how.flags != flags)
				continue;
			for (how.first = 1; how.first < 40; how.first += 6) {
				how.next = how.first % 4;
				h2_forget();
				a_request("/a", BEARER);
				put(stream, how);
				h2_send(DRIVE_CLIENT, &out);
				expect_token(h2_only_head(), stream, "/a");
				assert_int_equal(h2_only_head()->end_stream, (flags & H2W_END_STREAM) != 0);
				stream += 2;
			}
		}
}

/* Empty frames of a block, and of everything that may be empty. */
static void empty_frames(void **state)
{
	begin();
	h2_forget();
	a_request("/", BEARER);
	h2w_frame(&out, H2W_HEADERS, 0, 1, NULL, 0);
	h2w_frame(&out, H2W_CONTINUATION, 0, 1, NULL, 0);
	h2w_frame(&out, H2W_CONTINUATION, 0, 1, block.p, block.len);
	h2w_frame(&out, H2W_CONTINUATION, H2W_END_HEADERS, 1, NULL, 0);
	h2w_data(&out, 1, 0, "");
	h2w_frame(&out, 0xfa, 0xff, 7, NULL, 0);	/* of an unknown type */
	h2w_frame(&out, 0xfa, 0xff, 0, "0123456789", 10);
	a_request("/two", BEARER);
	put(3, last);
	h2_send(DRIVE_CLIENT, &out);
	assert_int_equal(h2_count(H2_HEAD), 2);
	expect_token(h2_head_at(0), 1, "/");
	expect_token(h2_head_at(1), 3, "/two");
	h2_expect_notes(0, TT_DROP_NONE);
}

static void other_frames(void **state)
{
	begin();
	h2_forget();
	h2w_frame(&out, H2W_PRIORITY, 0, 3, "\0\0\0\0\20", 5);
	h2w_frame(&out, H2W_PING, 0, 0, "01234567", 8);
	h2w_frame(&out, H2W_WINDOW_UPDATE, 0, 0, "\0\0\1\0", 4);
	h2w_goaway(&out, 0, 0);
	h2w_settings_table(&out, 4096);
	a_request("/", BEARER);
	put(1, plain);
	h2w_data(&out, 1, H2W_END_STREAM, "\0\0\5\1\4\0\0\0\3\x82\x86\x84");
	h2w_rst(&out, 1, 8);
	h2_send(DRIVE_CLIENT, &out);
	assert_int_equal(h2.facts_len, 3);
	expect_token(h2_fact_at(0), 1, "/");
	for (size_t i = 1; i < 3; i++) {
		assert_int_equal(h2_fact_at(i)->what, H2_END);
		assert_int_equal(h2_fact_at(i)->stream, 1);
	}
}

/* Streams interleaved; interim responses; trailers; a gRPC call that fails at once. */
static void streams(void **state)
{
	static const char *const status[] = { "103", "200", "404" };
	static const uint32_t order[] = { 5, 1, 3 };

	begin();
	for (uint32_t id = 1; id < 7; id += 2) {
		a_request("/", BEARER);
		put(id, last);
	}
	h2_send(DRIVE_CLIENT, &out);
	h2_forget();
	for (size_t i = 0; i < 3; i++) {
		a_response(status[i]);
		put(order[i], plain);
		h2w_data(&out, order[i], 0, "body");
	}
	block.len = 0;
	h2w_field(&block, H2W_ADD, "grpc-status", "5", 1);
	put(1, last);
	block.len = 0;
	h2w_indexed(&block, 8);
	h2w_value(&block, H2W_PLAIN, 31, "application/grpc+proto", 1);
	h2w_indexed(&block, 62);
	put(3, last);
	h2_send(DRIVE_SERVER, &out);
	assert_int_equal(h2_count(H2_HEAD), 5);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(h2_head_at(i)->stream, order[i]);
		assert_int_equal(h2_head_at(i)->status, strtol(status[i], NULL, 10));
		assert_int_equal(h2_head_at(i)->grpc, 0);
		assert_false(h2_head_at(i)->grpc_type);
	}
	assert_int_equal(h2_head_at(3)->status, 0);
	assert_int_equal(h2_head_at(3)->grpc, 6);
	assert_true(h2_head_at(3)->end_stream);
	assert_int_equal(h2_head_at(4)->status, 200);
	assert_int_equal(h2_head_at(4)->grpc, 6);
	assert_true(h2_head_at(4)->grpc_type);
}

/* GOAWAY ends the streams above the one it names, in the direction that it answers; the frame may carry
 * a text of its own. */
static void goaway(void **state)
{
	begin();
	for (uint32_t id = 1; id < 7; id += 2) {
		a_request("/", BEARER);
		put(id, last);
	}
	h2w_goaway(&out, 0, 0);		/* of a client: says nothing about its requests */
	h2_send(DRIVE_CLIENT, &out);
	assert_int_equal(h2_count(H2_GONE), 0);
	h2_forget();
	h2w_frame(&out, H2W_GOAWAY, 0, 0, "\x80\0\0\3\0\0\0\2going away", 18);
	a_response("200");
	put(3, last);
	h2_send(DRIVE_SERVER, &out);
	assert_int_equal(h2.facts_len, 2);
	assert_int_equal(h2_fact_at(0)->what, H2_GONE);
	assert_int_equal(h2_fact_at(0)->stream, 3);
	assert_int_equal(h2_head_at(0)->status, 200);
}

/* A promise's block goes through the table and is no request of the client. */
static void push_promise(void **state)
{
	begin();
	a_response("200");
	put(1, plain);
	h2_send(DRIVE_SERVER, &out);
	h2_forget();
	block.len = 0;
	h2w_number(&block, 2, 4);
	h2w_indexed(&block, 2);
	h2w_indexed(&block, 7);
	h2w_indexed(&block, 4);
	h2w_value(&block, H2W_ADD, 1, "api.example.com", 1);
	h2w_value(&block, H2W_ADD, 23, BEARER, 1);
	h2w_frame(&out, H2W_PUSH_PROMISE, H2W_END_HEADERS, 1, block.p, block.len);
	block.len = 0;
	h2w_value(&block, H2W_ADD, 8, "206", 0);
	put(2, plain);
	block.len = 0;
	h2w_indexed(&block, 62);
	put(4, plain);
	h2_send(DRIVE_SERVER, &out);
	assert_int_equal(h2_count(H2_HEAD), 2);
	assert_int_equal(h2_count(H2_BAD), 0);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(h2_head_at(i)->status, 206);
		assert_int_equal(h2_head_at(i)->creds, 0);
	}
}

/* SETTINGS_HEADER_TABLE_SIZE binds the other side from its acknowledgement on. */
static void settings(void **state)
{
	for (uint32_t size = 0; size <= 8192; size += 4096) {
		begin();
		h2w_settings_table(&out, 1);
		h2w_settings_table(&out, size);
		h2_send(DRIVE_SERVER, &out);
		h2w_settings_ack(&out);
		h2w_settings_ack(&out);
		h2_send(DRIVE_CLIENT, &out);
		h2_forget();
		a_request("/", BEARER);
		memmove(block.p + 8, block.p, block.len);
		block.len += 8;
		for (int over = 0; over < 2; over++) {
			struct h2_buf *b = &block;
			size_t len = b->len;

			b->len = 0;
			h2w_table_size(b, size + (uint32_t)over);
			memmove(b->p + b->len, b->p + 8, len - 8);
			b->len += len - 8;
			put(1, plain);
			h2_send(DRIVE_CLIENT, &out);
			if (over)
				break;
			expect_token(h2_only_head(), 1, "/");
			a_request("/", BEARER);
			memmove(block.p + 8, block.p, block.len);
			block.len += 8;
		}
		h2_expect_bad(TT_DROP_bad_hpack);
	}
}

/* ---- any split ---- */

/* A connection with everything on it, both directions. */
static struct {
	int dir;
	struct h2_buf bytes;
} calls[4];

static void write_connection(void)
{
	setup(NULL);
	h2w_preface(&out);
	h2w_settings_table(&out, 8192);
	a_request("/v1/items?access_token=first-in-the-query", BEARER);
	put(1, (struct h2w_how){ .flags = H2W_PADDED | H2W_WITH_PRIORITY, .padding = 7, .first = 20, .next = 3 });
	h2w_data(&out, 1, H2W_END_STREAM, "a body");
	block.len = 0;
	h2w_value(&block, H2W_ADD, 2, "DELETE", 1);
	h2w_indexed(&block, 7);
	h2w_value(&block, H2W_ADD, 4, "/x/0123456789abcdef0123456789abcdef?token=%41b%42", 0);
	h2w_value(&block, H2W_ADD, 1, "user:secret@h.example", 1);
	h2w_field(&block, H2W_ADD, "x-api-key", "\"a quoted key\"", 0);
	h2w_value(&block, H2W_NEVER, 23, "Basic dXNlcjpnbHBhdC0wMTIzNDU2Nzg5", 1);
	h2w_field(&block, H2W_ADD, "mcp-method", "tools/call", 1);
	h2w_field(&block, H2W_PLAIN, "x-empty", "", 0);
	put(3, last);
	block.len = 0;
	h2w_indexed(&block, 66);
	h2w_indexed(&block, 7);
	h2w_indexed(&block, 65);
	h2w_indexed(&block, 64);
	h2w_indexed(&block, 63);
	h2w_indexed(&block, 62);
	h2w_value(&block, H2W_PLAIN, 23, BEARER, 1);
	put(5, (struct h2w_how){ .first = 2, .next = 1 });
	h2w_rst(&out, 5, 8);
	calls[0].dir = DRIVE_CLIENT;
	calls[0].bytes = out;
	out.len = 0;
	h2w_settings_table(&out, 4096);
	h2w_settings_ack(&out);
	block.len = 0;
	h2w_table_size(&block, 8192);
	h2w_value(&block, H2W_ADD, 8, "201", 1);
	h2w_value(&block, H2W_ADD, 31, "application/grpc", 1);
	put(1, plain);
	h2w_data(&out, 1, H2W_PADDED, "\2body\1\1");
	block.len = 0;
	h2w_field(&block, H2W_ADD, "grpc-status", "16", 1);
	put(1, last);
	calls[1].dir = DRIVE_SERVER;
	calls[1].bytes = out;
	out.len = 0;
	h2w_settings_ack(&out);
	h2w_frame(&out, H2W_PING, H2W_ACK, 0, "01234567", 8);
	calls[2].dir = DRIVE_CLIENT;
	calls[2].bytes = out;
	out.len = 0;
	block.len = 0;
	h2w_indexed(&block, 64);
	h2w_indexed(&block, 63);
	h2w_indexed(&block, 62);
	put(3, last);
	h2w_goaway(&out, 3, 0);
	calls[3].dir = DRIVE_SERVER;
	calls[3].bytes = out;
	out.len = 0;
}

static void feed_clean(struct h2_drive *v, int dir, const uint8_t *bytes, size_t len)
{
	h2_feed(v, dir, bytes, len);
	assert_false(h2_drive_residue(v, TOKEN, strlen(TOKEN)));
}

/* Call `which` in two at `cut`, the others whole; or (SIZE_MAX) all in portions of `cut` bytes. */
static void run(struct h2_drive *v, size_t which, size_t cut, bool skim)
{
	h2_drive_init(v, &h1_tables, KEY0, KEY1);
	v->skim = skim;
	v->poison = (uint8_t)cut;
	for (size_t i = 0; i < 4; i++) {
		const struct h2_buf *b = &calls[i].bytes;
		size_t n = which == SIZE_MAX ? cut : which == i ? cut : b->len;

		for (size_t at = 0; at < b->len; at += n) {
			if (which == i && at)
				n = b->len - at;
			feed_clean(v, calls[i].dir, b->p + at, n < b->len - at ? n : b->len - at);
		}
	}
}

static void same(const char *how, size_t which, size_t n)
{
	const char *what = other.skim ? h2_drive_differ_facts(&h2, &other) : h2_drive_differ(&h2, &other);

	if (what)
		fail_msg("%s %zu of call %zu%s: %s differs", how, n, which, other.skim ? ", skimmed" : "", what);
}

static void every_split_tells_the_same(void **state)
{
	const struct h2_fact *f;

	write_connection();
	run(&h2, 0, calls[0].bytes.len, false);
	assert_int_equal(h2_count(H2_HEAD), 6);
	assert_int_equal(h2_count(H2_GONE), 1);
	assert_int_equal(h2_count(H2_BAD), 0);
	f = h2_head_at(2);
	h2_expect_request(f, "DELETE", "h.example", "/x/{...}");
	assert_int_equal(f->creds, 3);
	h2_expect_cred(f, 0, "AbB", "query:token", NULL);
	h2_expect_cred(f, 1, "a quoted key", "x-api-key", NULL);
	h2_expect_cred(f, 2, TOKEN, "authorization", "bearer");
	for (int skim = 0; skim < 2; skim++)
		for (size_t i = 0; i < 4; i++)
			for (size_t cut = 1; cut < calls[i].bytes.len; cut++) {
				run(&other, i, cut, skim);
				same("cut at", i, cut);
			}
	for (size_t portion = 1; portion < 36; portion++) {
		run(&other, SIZE_MAX, portion / 2 + 1, portion % 2);
		same("portions of", 0, portion / 2 + 1);
	}
}

/* ---- beginning ---- */

static void no_preface(void **state)
{
	static const char *const bad[] = { "PRI * HTTP/2.0\r\n\r\nSM\r\n\rx", "PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n",
					   "PRI /index HTTP/1.1\r\n\r\n" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		setup(NULL);
		h2_feed(&h2, DRIVE_CLIENT, bad[i], strlen(bad[i]));
		h2_expect_bad(TT_DROP_bad_frame);
	}
}

/* Each frame of a connection may be the first one that is seen. */
static void join_at_every_frame(void **state)
{
	uint32_t stream = 101;

	for (int skip = 0; skip < 7; skip++) {
		setup(NULL);
		if (skip < 1)
			h2w_settings_ack(&out);
		if (skip < 2)
			h2w_frame(&out, H2W_PING, 0, 0, "01234567", 8);
		if (skip < 3)
			h2w_frame(&out, H2W_WINDOW_UPDATE, 0, 9, "\0\0\1\0", 4);
		if (skip < 4)
			h2w_rst(&out, 11, 8);
		if (skip < 5)
			h2w_frame(&out, H2W_PRIORITY, 0, 9, "\0\0\0\0\20", 5);
		if (skip < 6)
			h2w_goaway(&out, 7, 0);
		h2_send(DRIVE_CLIENT, &out);
		h2_forget();
		a_request("/", BEARER);
		put(stream, last);
		h2_send(DRIVE_CLIENT, &out);
		expect_token(h2_only_head(), stream, "/");
	}
}

/* A call that begins within a frame is passed by; the next one that begins with a frame is taken. */
static void join_within_a_frame(void **state)
{
	setup(NULL);
	a_request("/", BEARER);
	put(7, last);
	put(9, last);
	h2_feed(&h2, DRIVE_CLIENT, out.p + 5, out.len - 5);
	assert_int_equal(h2.facts_len, 0);
	h2_send(DRIVE_CLIENT, &out);
	assert_int_equal(h2_count(H2_HEAD), 2);
	expect_token(h2_head_at(0), 7, "/");
	expect_token(h2_head_at(1), 9, "/");
}

/* Bytes of other protocols, and random ones: nothing is reported. */
static void no_false_beginnings(void **state)
{
	static const char *const texts[] = {
		"GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer x\r\n\r\n", "220 mail ESMTP\r\n",
		"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n", "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}\n",
		"\x16\x03\x01\x02\x01\x01\x01\xfc\x03\x03 a hello of TLS",
		"\x17\x03\x03\x01\x02 a record of TLS that is longer than these",
	};
	uint64_t seed = 1;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		setup(NULL);
		h2_feed(&h2, DRIVE_CLIENT, texts[i], strlen(texts[i]));
		h2_feed(&h2, DRIVE_SERVER, texts[i], strlen(texts[i]));
		assert_int_equal(h2_count(H2_HEAD), 0);
	}
	for (int i = 0; i < 200000; i++) {
		uint64_t bytes[12];

		for (size_t k = 0; k < 12; k++) {
			seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
			bytes[k] = seed ^ seed >> 29;
		}
		h2_init();
		h2_feed(&h2, DRIVE_CLIENT, bytes, sizeof(bytes));
		assert_int_equal(h2_count(H2_HEAD), 0);
	}
}

/* A frame that looks right with a block that makes no message is no beginning. */
static void no_message_at_the_beginning(void **state)
{
	setup(NULL);
	h2w_field(&block, H2W_PLAIN, "authorization", BEARER, 0);
	put(1, last);
	h2_send(DRIVE_CLIENT, &out);
	assert_int_equal(h2_count(H2_HEAD), 0);
	assert_int_equal(h2_count(H2_BAD), 1);
}

/* ---- what can't be followed ---- */

struct fault {
	const char *name;
	size_t len;
	const char *bytes;
};

#define F(name, bytes) { name, sizeof(bytes) - 1, bytes }

static const struct fault faults[] = {
	F("DATA on stream 0", "\0\0\1\0\0\0\0\0\0x"),
	F("HEADERS on stream 0", "\0\0\1\1\4\0\0\0\0\x82"),
	F("PRIORITY of 4 bytes", "\0\0\4\2\0\0\0\0\1xxxx"),
	F("RST_STREAM of 5 bytes", "\0\0\5\3\0\0\0\0\1xxxxx"),
	F("RST_STREAM on stream 0", "\0\0\4\3\0\0\0\0\0xxxx"),
	F("SETTINGS on a stream", "\0\0\0\4\0\0\0\0\1"),
	F("SETTINGS of 5 bytes", "\0\0\5\4\0\0\0\0\0xxxxx"),
	F("SETTINGS that acknowledges and says something", "\0\0\6\4\1\0\0\0\0\0\1\0\0\0\0"),
	F("PING of 7 bytes", "\0\0\7\6\0\0\0\0\0xxxxxxx"),
	F("PING on a stream", "\0\0\10\6\0\0\0\0\1xxxxxxxx"),
	F("GOAWAY of 7 bytes", "\0\0\7\7\0\0\0\0\0xxxxxxx"),
	F("WINDOW_UPDATE of 3 bytes", "\0\0\3\x8\0\0\0\0\0xxx"),
	F("CONTINUATION of nothing", "\0\0\1\x9\4\0\0\0\1\x82"),
	F("PUSH_PROMISE of 3 bytes", "\0\0\3\5\4\0\0\0\1xxx"),
	F("padding longer than the frame", "\0\0\2\1\xc\0\0\0\1\x2\x82"),
	F("a priority that is cut off", "\0\0\4\1\x24\0\0\0\1xxxx"),
	F("another frame within a block", "\0\0\1\1\0\0\0\0\1\x82\0\0\10\6\0\0\0\0\0xxxxxxxx"),
	F("CONTINUATION of another stream", "\0\0\1\1\0\0\0\0\1\x82\0\0\1\x9\4\0\0\0\3\x84"),
};

/* Fail closed: after a fault nothing is believed until frames are found again, and of the table nothing. */
static void fail_closed(void **state)
{
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		begin();
		a_request("/before", BEARER);
		h2w_value(&block, H2W_ADD, 23, "Bearer " OTHER, 1);
		put(1, last);
		h2_send(DRIVE_CLIENT, &out);
		h2_forget();
		h2_feed(&h2, DRIVE_CLIENT, faults[i].bytes, faults[i].len);
		if (h2.facts_len != 1 || h2_fact_at(0)->reason != TT_DROP_bad_frame)
			fail_msg("%s: %zu facts", faults[i].name, h2.facts_len);
		h2_forget();
		a_request("/after", BEARER);
		put(3, last);
		block.len = 0;
		h2w_indexed(&block, 2);
		h2w_indexed(&block, 7);
		h2w_indexed(&block, 4);
		h2w_indexed(&block, 62);	/* was OTHER, and is not known any more */
		put(5, last);
		h2_send(DRIVE_CLIENT, &out);
		assert_int_equal(h2_count(H2_HEAD), 2);
		expect_token(h2_head_at(0), 3, "/after");
		assert_int_equal(h2_head_at(1)->creds, 1);
		assert_int_equal(h2_head_at(1)->cred[0].flags, TT_CRED_UNREADABLE);
		assert_int_equal(h2_head_at(1)->cred[0].length, 0);
	}
}

/* A block that is right and no message: counted, the table goes on. */
static void bad_messages(void **state)
{
	static const struct {
		uint64_t index[6];
	} bad[] = {
		{ { 2, 2, 7, 4 } },		/* a method twice */
		{ { 2, 7, 4, 32, 6 } },		/* a pseudo-header field behind another field */
		{ { 2, 7, 4, 8 } },		/* a status in a request */
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		begin();
		h2_forget();
		block.len = 0;
		for (size_t k = 0; bad[i].index[k]; k++)
			h2w_indexed(&block, bad[i].index[k]);
		h2w_value(&block, H2W_ADD, 23, BEARER, 1);
		put(1, last);
		h2_send(DRIVE_CLIENT, &out);
		h2_expect_notes(1, TT_DROP_bad_message);
		assert_int_equal(h2_count(H2_HEAD), 0);
		h2_forget();
		block.len = 0;
		h2w_indexed(&block, 2);
		h2w_indexed(&block, 7);
		h2w_indexed(&block, 4);
		h2w_value(&block, H2W_PLAIN, 1, "api.example.com", 1);
		h2w_indexed(&block, 62);
		put(3, last);
		h2_send(DRIVE_CLIENT, &out);
		expect_token(h2_only_head(), 3, "/");
	}
}

/* A line end in a value can't smuggle a field in, nor end up in a path. */
static void control_characters(void **state)
{
	begin();
	h2_forget();
	a_request("/", "Bearer x\r\nx-api-key: smuggled\r\n");
	put(1, last);
	a_request("/a\r\nx-api-key: smuggled", BEARER);
	put(3, last);
	a_request("/a b", BEARER);
	put(5, last);
	a_request("/", BEARER);
	put(7, last);
	h2_send(DRIVE_CLIENT, &out);
	assert_int_equal(h2_count(H2_HEAD), 1);
	expect_token(h2_head_at(0), 7, "/");
	h2_expect_notes(3, TT_DROP_bad_message);
}

/* 2,000 requests of long values, in one call and in 100-byte ones. */
static void long_connection(void **state)
{
	static char value[3000];
	uint32_t stream = 1;

	memset(value, 'c', sizeof(value) - 1);
	begin();
	for (int i = 0; i < 2000; i++) {
		h2_forget();
		a_request("/", BEARER);
		h2w_value(&block, i % 3 ? H2W_PLAIN : H2W_ADD, 32, value + i % 2900, i & 1);
		put(stream, last);
		for (size_t at = 0, n = i % 2 ? 100 : out.len; at < out.len; at += n)
			h2_feed(&h2, DRIVE_CLIENT, out.p + at, n < out.len - at ? n : out.len - at);
		out.len = 0;
		expect_token(h2_only_head(), stream, "/");
		stream += 2;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shapes), cmocka_unit_test(empty_frames), cmocka_unit_test(other_frames),
		cmocka_unit_test(streams), cmocka_unit_test(goaway),
		cmocka_unit_test(push_promise), cmocka_unit_test(settings),
		cmocka_unit_test(every_split_tells_the_same), cmocka_unit_test(no_preface),
		cmocka_unit_test(join_at_every_frame), cmocka_unit_test(join_within_a_frame),
		cmocka_unit_test(no_false_beginnings), cmocka_unit_test(no_message_at_the_beginning),
		cmocka_unit_test(fail_closed), cmocka_unit_test(bad_messages),
		cmocka_unit_test(control_characters), cmocka_unit_test(long_connection),
	};

	return cmocka_run_group_tests(tests, h1_group_setup, NULL);
}
