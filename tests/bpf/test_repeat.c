/* SPDX-License-Identifier: Apache-2.0 */
/* bpf/repeat.bpf.h: fields of a head that come again are not read again, and say the same; others are read. */
#include "pair_rig.h"

#define LONG 200
#define HEAD_MAX 32768

static const char *token(char *to, size_t len, char seed)
{
	for (size_t i = 0; i < len; i++)
		to[i] = (char)('a' + (i * 7 + i / 26 + (size_t)seed) % 26);
	to[len] = '\0';
	return to;
}

/* A request: both ends have to report it as a use of `want` (NULL: not at all). */
static void ask(const char *line, const char *fields, const char *path, const char *want)
{
	char head[HEAD_MAX];
	int len = snprintf(head, sizeof(head), "%s HTTP/1.1\r\n%s", line, fields);

	rig_clear(&rig);
	pair_pass(0, head, (size_t)len);
	rig_collect(&rig);
	assert_int_equal(rig.uses, want ? 2 : 0);
	for (size_t i = 0; i < rig.uses; i++) {
		rig_assert_token(&rig.use[i], want);
		rig_assert_text(rig.use[i].path, rig.use[i].path_len, path);
		rig_assert_text(rig.use[i].host, rig.use[i].host_len, "api.test");
	}
}

static const char *fields_of(char *to, const char *secret)
{
	snprintf(to, HEAD_MAX, "Host: api.test\r\nAccept: */*\r\nAuthorization: Bearer %s\r\nUser-Agent: t\r\n\r\n", secret);
	return to;
}

static void ask_bearer(const char *secret)
{
	char fields[HEAD_MAX];

	ask("GET /a", fields_of(fields, secret), "/a", secret);
}

/* An answer: both ends have to report its status. */
static void tell(const char *head, uint16_t status)
{
	rig_clear(&rig);
	pair_pass(1, head, strlen(head));
	rig_collect(&rig);
	assert_int_equal(rig.statuses, 2);
	assert_int_equal(rig.status[0].status, status);
	assert_int_equal(rig.status[1].status, status);
}

/* ---- the rows ---- */

/* As in bpf/scratch.bpf.h. */
struct repeat {
	uint64_t hash[2], length;
	uint32_t len;
	uint8_t whole, flags, use_flags, creds, host_len, pad_[7];
	struct tt_cred cred[TT_CREDS_MAX];
	uint8_t host[TT_HOST_LEN];
	uint64_t check, misses;
};

/* Two tables' keys begin so: a connection, a direction. */
struct row_key {
	uint64_t conn;
	uint32_t dir, rest;
};

static uint64_t client;		/* its connection */

static bool next_row(int map, struct row_key *key, struct row_key *at, bool first)
{
	while (!bpf_map_get_next_key(map, first ? NULL : at, key)) {
		if (key->conn == client)
			return true;
		*at = *key;
		first = false;
	}
	return false;
}

static struct repeat row(uint32_t dir, struct row_key *key)
{
	struct row_key at = { 0 };
	struct repeat r = { 0 };
	int map = rig_map("repeats");

	for (bool found = next_row(map, key, &at, true); found; found = next_row(map, key, &at, false)) {
		if (key->dir == dir) {
			assert_int_equal(bpf_map_lookup_elem(map, key, &r), 0);
			return r;
		}
		at = *key;
	}
	fail_msg("no row");
	return r;
}

/* A field that is read leaves a row there: bpf/known.bpf.h. Was one read since the last question? */
static bool was_read(void)
{
	struct row_key key, at = { 0 };
	int map = rig_map("knowns");

	if (!next_row(map, &key, &at, true))
		return false;
	assert_int_equal(bpf_map_delete_elem(map, &key), 0);
	return true;
}

static void learn(const char *secret)
{
	for (int i = 0; i < 3; i++)
		ask_bearer(secret);
	client = rig.use[0].h.conn;
	was_read();
	ask_bearer(secret);
	assert_false(was_read());
}

/* ---- tests ---- */

static void test_hit(void **state)
{
	char a[LONG + 1], b[LONG + 1], fields[HEAD_MAX];
	struct row_key key;

	learn(token(a, LONG, 0));
	assert_true(row(0, &key).whole);
	ask("GET /b/c?x=1", fields_of(fields, a), "/b/c", a);
	ask("DELETE /d", fields_of(fields, a), "/d", a);
	assert_false(was_read());
	ask_bearer(token(b, LONG, 1));
	assert_true(was_read());
	ask_bearer(b);
	assert_false(was_read());
	ask_bearer(a);
	assert_true(was_read());
}

/* Another byte anywhere is seen. */
static void test_one_byte(void **state)
{
	char a[LONG + 1], b[LONG + 1], fields[HEAD_MAX];

	token(a, LONG, 0);
	for (size_t i = 0; i < LONG; i += 13) {
		pair_down(state);
		pair_up(state);
		learn(a);
		memcpy(b, a, sizeof(b));
		b[i] = 'Z';
		ask_bearer(b);
		ask_bearer(a);
	}
	pair_down(state);
	pair_up(state);
	learn(a);
	fields_of(fields, a);
	memcpy(strstr(fields, "t\r\n\r\n"), "u", 1);
	ask("GET /a", fields, "/a", a);
	assert_true(was_read());
	/* the same length, but it is not a credential's field any more */
	fields_of(fields, a);
	memcpy(strstr(fields, "Auth"), "Autj", 4);
	ask("GET /a", fields, "/a", NULL);
	fields_of(fields, a);
	memcpy(strstr(fields, "api.test"), "api.tesu", 8);
	rig_clear(&rig);
	pair_pass(0, "GET /a HTTP/1.1\r\n", 17);
	pair_pass(0, fields, strlen(fields));
	rig_collect(&rig);
	rig_assert_text(rig.use[0].host, rig.use[0].host_len, "api.tesu");
}

/* The body is as long as the fields say, those that are read and those that are not. */
static void test_bodies(void **state)
{
	static const char *const framing[] = {
		"Content-Length: 5\r\n", "Content-Length: 5\r\n", "Content-Length: 5\r\n", "Content-Length: 5\r\n",
		"Content-Length: 7\r\n", "Content-Length: 7\r\n", "Content-Length: 5\r\n", "Content-Lengti: 5\r\n",
	};
	char a[LONG + 1], fields[HEAD_MAX];

	token(a, LONG, 0);
	for (size_t i = 0; i < sizeof(framing) / sizeof(framing[0]); i++) {
		snprintf(fields, sizeof(fields), "Host: api.test\r\nX-API-Key: %s\r\n%s\r\n", a, framing[i]);
		ask("POST /a", fields, "/a", a);
		if (!strncmp(framing[i], "Content-Length", 14))
			pair_pass(0, "GET /x?api_key=1", (size_t)(framing[i][16] - '0'));
	}
}

/* Answers with the same fields: the status is their own, and so is what follows. */
static void test_answers(void **state)
{
	static const char same[] = "Server: nginx\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 4\r\n"
				   "Connection: keep-alive\r\n\r\n";
	char a[LONG + 1], fields[HEAD_MAX], head[HEAD_MAX];
	static const uint16_t status[] = { 200, 200, 200, 200, 403, 404, 200 };
	struct row_key key;

	learn(token(a, LONG, 0));
	fields_of(fields, a);
	for (size_t i = 0; i < 4; i++) {	/* of those that were asked so far */
		snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\n%sbody", same);
		tell(head, 200);
	}
	assert_true(row(1, &key).whole);
	assert_int_equal(row(1, &key).length, 4);
	for (size_t i = 0; i < sizeof(status) / sizeof(status[0]); i++) {
		ask("GET /a", fields, "/a", a);
		snprintf(head, sizeof(head), "HTTP/1.1 %u Of This\r\n%sbody", status[i], same);
		tell(head, status[i]);
	}
	/* these have no body, whatever they say */
	ask("HEAD /a", fields, "/a", a);
	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\n%s", same);
	tell(head, 200);
	ask("GET /a", fields, "/a", a);
	snprintf(head, sizeof(head), "HTTP/1.1 304 OK\r\n%s", same);
	tell(head, 304);
	ask("GET /a", fields, "/a", a);
	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\n%sbody", same);
	tell(head, 200);
}

/* A field that says something of the credential says it each time. */
static void test_saying(void **state)
{
	static const char head[] = "HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer error=\"invalid_token\", scope=\"a b\"\r\n"
				   "Content-Length: 0\r\n\r\n";
	char a[LONG + 1];
	struct row_key key;

	learn(token(a, LONG, 0));
	for (int i = 0; i < 4; i++)
		tell(head, 401);
	for (struct row_key k, at = { 0 }; next_row(rig_map("repeats"), &k, &at, !at.conn); at = k)
		assert_true(k.dir == 0);
	assert_true(row(0, &key).whole);
}

/* Longer than the reader's window, with their end at each place in it; and cut over two calls. */
static void test_windows(void **state)
{
	static char a[16384];
	char fields[HEAD_MAX], head[HEAD_MAX];
	int len;

	for (size_t n = 900; n < 1100; n += 3) {
		pair_down(state);
		pair_up(state);
		learn(token(a, n, (char)n));
	}
	pair_down(state);
	pair_up(state);
	learn(token(a, 9000, 0));
	a[8999] = 'Z';
	ask_bearer(a);
	token(a, LONG, 0);
	for (int i = 0; i < 3; i++)
		ask_bearer(a);
	len = snprintf(head, sizeof(head), "GET /a HTTP/1.1\r\n%s", fields_of(fields, a));
	for (int cut = 1; cut < len; cut += 5) {
		rig_clear(&rig);
		pair_pass(0, head, (size_t)cut);
		pair_pass(0, head + cut, (size_t)(len - cut));
		rig_collect(&rig);
		assert_int_equal(rig.uses, 2);
		rig_assert_token(&rig.use[0], a);
		rig_assert_token(&rig.use[1], a);
	}
	ask_bearer(a);
}

/* Several heads in one call, the last one cut off behind what was as long before. */
static void test_pipelined(void **state)
{
	char a[LONG + 1], fields[HEAD_MAX], heads[4 * HEAD_MAX];
	size_t len;

	learn(token(a, LONG, 0));
	fields_of(fields, a);
	snprintf(heads, sizeof(heads), "GET /a HTTP/1.1\r\n%sGET /b HTTP/1.1\r\n%sGET /c HTTP/1.1\r\n%s", fields, fields,
		 fields);
	len = strlen(heads);
	rig_clear(&rig);
	pair_pass(0, heads, len - 2);
	pair_pass(0, heads + len - 2, 2);
	rig_collect(&rig);
	assert_int_equal(rig.uses, 6);
	for (size_t i = 0; i < 6; i++)
		rig_assert_token(&rig.use[i], a);
}

/* What is not the same each time is not tried for ever, but once in a while. */
static void test_changing(void **state)
{
	char a[LONG + 1];
	struct row_key key;

	for (char i = 0; i < 8; i++)
		ask_bearer(token(a, LONG, i));
	client = rig.use[0].h.conn;
	assert_true(row(0, &key).misses >= 4);
	for (int i = 0; i < 64; i++)
		ask_bearer(a);
	assert_int_equal(row(0, &key).misses, 0);
	was_read();
	ask_bearer(a);
	assert_false(was_read());
}

/* Other classes, or another agent: all is read once more. */
static void test_forget(void **state)
{
	char a[LONG + 1];

	learn(token(a, LONG, 0));
	bpf_sensor_forget(rig.sensor);
	ask_bearer(a);
	assert_true(was_read());
	ask_bearer(a);
	ask_bearer(a);
	was_read();
	ask_bearer(a);
	assert_false(was_read());
}

/* A row that was half read while it was given to another is none. */
static void test_torn(void **state)
{
	char a[LONG + 1];
	struct row_key key;
	struct repeat r;

	learn(token(a, LONG, 0));
	r = row(0, &key);
	r.cred[0].token[0]++;
	assert_int_equal(bpf_map_update_elem(rig_map("repeats"), &key, &r, BPF_EXIST), 0);
	ask_bearer(a);
	assert_true(was_read());
	ask_bearer(a);		/* as after the first one: of that only the length was kept */
	assert_true(was_read());
	ask_bearer(a);
	assert_false(was_read());
}

#define T(f) cmocka_unit_test_setup_teardown(f, pair_up, pair_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_hit),	   T(test_one_byte),  T(test_bodies),   T(test_answers), T(test_saying),
		T(test_windows), T(test_pipelined), T(test_changing), T(test_forget),  T(test_torn),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
