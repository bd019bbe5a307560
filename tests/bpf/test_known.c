/* SPDX-License-Identifier: Apache-2.0 */
/* bpf/known.bpf.h: a credential that a connection repeats is recognised, and none is taken for another. */
#include "pair_rig.h"

#define LONG 200
#define FOLDED 60

static const char *token(char *to, size_t len, char seed)
{
	for (size_t i = 0; i < len; i++)
		to[i] = (char)('a' + (i * 7 + i / 26 + (size_t)seed) % 26);
	to[len] = '\0';
	return to;
}

/* One request with these lines; both ends must have reported `want` of it, and nothing else. */
static void ask(const char *lines, const char *want)
{
	char head[32768];
	static int n;	/* other fields each time: nothing for bpf/repeat.bpf.h */
	int len = snprintf(head, sizeof(head), "GET /a HTTP/1.1\r\nHost: api.test\r\nX-N: %08d\r\n%s\r\n\r\n", n++, lines);

	rig_clear(&rig);
	pair_pass(0, head, (size_t)len);
	rig_collect(&rig);
	assert_int_equal(rig.uses, 2);
	for (size_t i = 0; i < 2; i++)
		rig_assert_token(&rig.use[i], want);
}

static void ask_bearer(const char *want)
{
	char line[20480];

	snprintf(line, sizeof(line), "Authorization: Bearer %s", want);
	ask(line, want);
}

/* As in bpf/scratch.bpf.h. */
struct known {
	uint64_t lane[2];
	struct tt_cred cred;
	uint32_t len, misses;
	uint64_t check;
};

struct known_key {
	uint64_t conn;
	uint32_t dir;
	uint16_t carrier, epoch;
};

/* The row of the client's end; its key is given, too. */
static struct known row(struct known_key *key)
{
	struct known_key *at = NULL;
	struct known k = { 0 };
	int map = rig_map("knowns");

	for (; !bpf_map_get_next_key(map, at, key); at = key) {
		if (key->conn != rig.use[0].h.conn)
			continue;
		assert_int_equal(bpf_map_lookup_elem(map, key, &k), 0);
		return k;
	}
	fail_msg("no row");
	return k;
}

static void test_hit(void **state)
{
	char a[LONG + 1], b[LONG + 1];
	struct known_key key;

	token(a, LONG, 0);
	token(b, LONG, 1);
	ask_bearer(a);
	assert_int_equal(row(&key).cred.length, 0);
	ask_bearer(a);
	assert_int_equal(row(&key).cred.length, LONG);
	ask_bearer(b);
	assert_int_equal(row(&key).misses, 1);
	ask_bearer(b);	/* only what is recognised sets that back */
	assert_int_equal(row(&key).misses, 0);
	ask_bearer(a);
	ask_bearer(a);
}

/* Of the same length, other in one byte, wherever it is. */
static void test_one_byte(void **state)
{
	char a[LONG + 1], b[LONG + 1];

	token(a, LONG, 0);
	for (size_t i = 0; i < LONG; i += 13) {
		pair_down(state);
		pair_up(state);
		ask_bearer(a);
		ask_bearer(a);
		ask_bearer(a);
		memcpy(b, a, sizeof(b));
		b[i] = 'Z';
		ask_bearer(b);
		ask_bearer(a);
	}
}

/* What stands behind the value that was kept: more of it, another line's end, a continuation. */
static void test_longer(void **state)
{
	char a[LONG + 1], line[3 * LONG], more[LONG + FOLDED];

	token(a, LONG, 0);
	for (int i = 0; i < 3; i++)
		ask_bearer(a);
	snprintf(more, sizeof(more), "%sx", a);
	ask_bearer(more);
	snprintf(line, sizeof(line), "Authorization: Bearer %s\nX-Other: 1", a);
	for (int i = 0; i < 3; i++)
		ask(line, a);
	for (int i = 0; i < 3; i++)
		ask_bearer(a);
	snprintf(line, sizeof(line), "Authorization: Bearer %s\r\n more", a);
	snprintf(more, sizeof(more), "%s more", a);
	ask(line, more);
	ask_bearer(a);
}

/* One value under another name, and two credentials in one head. */
static void test_other_field(void **state)
{
	char a[LONG + 1], line[3 * LONG];
	uint64_t id[2];

	token(a, LONG, 0);
	for (int i = 0; i < 3; i++)
		ask_bearer(a);
	snprintf(line, sizeof(line), "X-Api-Key: Bearer %s", a);
	ask(line, line + 11);
	ask(line, line + 11);
	ask(line, line + 11);
	ask_bearer(a);
	rig_fingerprint(a, id);
	snprintf(line, sizeof(line), "GET / HTTP/1.1\r\nAuthorization: Bearer %s\r\nX-Api-Key: abc\r\n\r\n", a);
	rig_clear(&rig);
	pair_pass(0, line, strlen(line));
	rig_collect(&rig);
	assert_int_equal(rig.uses, 2);
	assert_int_equal(rig.use[0].creds, 2);
	assert_int_equal(rig.use[0].cred[0].token[0], id[0]);
	assert_int_equal(rig.use[0].cred[1].length, 3);
}

/* Longer than the reader's window, with its end at each place in it; and a head that comes in two calls. */
static void test_windows(void **state)
{
	static char a[16384];
	char head[16384];
	int len;

	for (size_t n = 960; n < 1100; n += 3) {
		token(a, n, (char)n);
		for (int i = 0; i < 3; i++)
			ask_bearer(a);
	}
	token(a, 9000, 0);
	for (int i = 0; i < 3; i++)
		ask_bearer(a);
	a[8999] = 'Z';
	ask_bearer(a);
	token(a, LONG, 0);
	for (int i = 0; i < 3; i++)
		ask_bearer(a);
	len = snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nAuthorization: Bearer %s\r\n\r\n", a);
	for (int cut = 15; cut < len; cut += 7) {
		rig_clear(&rig);
		pair_pass(0, head, (size_t)cut);
		pair_pass(0, head + cut, (size_t)(len - cut));
		rig_collect(&rig);
		assert_int_equal(rig.uses, 2);
		rig_assert_token(&rig.use[0], a);
		rig_assert_token(&rig.use[1], a);
	}
}

/* A field that has another value each time is not tried for ever. */
static void test_changing(void **state)
{
	char a[LONG + 1];
	struct known_key key;

	for (char i = 0; i < 12; i++)
		ask_bearer(token(a, LONG, i));
	assert_int_equal(row(&key).misses, 4);
	for (int i = 0; i < 3; i++)
		ask_bearer(a);
	assert_int_equal(row(&key).misses, 4);
}

/* A row that was half read while it was given to another is none. */
static void test_torn(void **state)
{
	char a[LONG + 1];
	struct known_key key;
	struct known k;

	token(a, LONG, 0);
	ask_bearer(a);
	ask_bearer(a);
	k = row(&key);
	k.cred.token[0]++;
	assert_int_equal(bpf_map_update_elem(rig_map("knowns"), &key, &k, BPF_EXIST), 0);
	ask_bearer(a);
	assert_int_not_equal(row(&key).cred.token[0], k.cred.token[0]);
	ask_bearer(a);
}

#define T(f) cmocka_unit_test_setup_teardown(f, pair_up, pair_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_hit),	     T(test_one_byte), T(test_longer), T(test_other_field),
		T(test_windows), T(test_changing), T(test_torn),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
