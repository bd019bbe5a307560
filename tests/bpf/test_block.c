/* SPDX-License-Identifier: Apache-2.0 */
/* bpf/block.bpf.h: header blocks that come again are not read again, and say the same; others are read. */
#include "h2_rig.h"

#define LONG 200
#define REQUESTS 15

static const char alike[] = "aceiost012";	/* whose codes are of one length: so are the blocks */

static uint32_t stream;

static const char *token(char *to, char seed)
{
	for (size_t i = 0; i < LONG; i++)
		to[i] = alike[(i * 3 + i / 7 + (size_t)seed) % (sizeof(alike) - 1)];
	to[LONG] = '\0';
	return to;
}

static int begin(void **state)
{
	h2_up(state);
	stream = 1;
	prefaces();
	return 0;
}

/* The table's size comes first in a block, the smallest of those in between and the last (RFC 7541, 4.2). */
static void pseudo_resized(uint64_t smallest, uint64_t size)
{
	block.len = 0;
	h2w_int(&block, 0x20, 5, smallest);
	h2w_int(&block, 0x20, 5, size);
	h2w_indexed(&block, 2);
	h2w_indexed(&block, 7);
	h2w_indexed(&block, 4);
	h2w_value(&block, H2W_PLAIN, 1, "api.test", true);
}

static void bearer(unsigned int how, const char *secret)
{
	char value[LONG + 8];

	snprintf(value, sizeof(value), "Bearer %s", secret);
	h2w_value(&block, how, 23, value, true);
}

/* The block that was written, as a request that both ends report, of the secret (NULL: not at all). */
static void ask_with(struct h2w_how how, const char *path, const char *secret)
{
	rig_clear(&rig);
	pass_block(0, stream, how);
	stream += 2;
	rig_collect(&rig);
	assert_int_equal(rig.uses, secret ? 2 : 0);
	for (size_t i = 0; i < rig.uses; i++) {
		rig_assert_token(&rig.use[i], secret);
		rig_assert_text(rig.use[i].path, rig.use[i].path_len, path);
		rig_assert_text(rig.use[i].host, rig.use[i].host_len, "api.test");
		rig_assert_text(rig.use[i].method, rig.use[i].method_len, "GET");
	}
}

static void ask(const char *path, const char *secret)
{
	pseudo(path);
	bearer(H2W_NEVER, secret);
	ask_with(last, path, secret);
}

/* A coded credential that is read leaves a row there. Was one read since the last question? */
static bool was_read(void)
{
	int map = rig_map("memos");
	struct { uint64_t words[3]; } key;
	bool read = false;

	while (!bpf_map_get_next_key(map, NULL, &key)) {
		assert_int_equal(bpf_map_delete_elem(map, &key), 0);
		read = true;
	}
	return read;
}

/* As it begins in bpf/scratch.bpf.h. */
struct row {
	uint64_t hash[2], epoch;
	uint32_t inserted, inserts;
	uint16_t status;
	uint8_t rest[1024];
};

/* Rows of blocks that say this status. */
static int kept(uint16_t status)
{
	int map = rig_map("block_repeats"), rows = 0;
	struct { uint64_t words[3]; } key, at;
	struct row row;

	for (int r = bpf_map_get_next_key(map, NULL, &key); !r; r = bpf_map_get_next_key(map, &at, &key)) {
		assert_int_equal(bpf_map_lookup_elem(map, &key, &row), 0);
		rows += row.status == status;
		at = key;
	}
	return rows;
}

static void learn(const char *path, const char *secret)
{
	for (int i = 0; i < 3; i++)
		ask(path, secret);
	was_read();
	ask(path, secret);
	assert_false(was_read());
}

/* The block that was written, as the answer to what was asked last. */
static void tell(uint16_t status)
{
	rig_clear(&rig);
	pass_block(1, stream - 2, last);
	rig_collect(&rig);
	assert_int_equal(rig.statuses, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(rig.status[i].status, status);
		assert_int_equal(rig.status[i].h.seq & 0xffffff, stream - 2);
	}
}

static void server_fields(void)
{
	h2w_value(&block, H2W_ADD, 54, "nginx/1.22.1", true);
	h2w_value(&block, H2W_ADD, 33, "Thu, 26 Nov 2026 12:00:00 GMT", true);
}

static void indexed_answer(uint64_t index)
{
	block.len = 0;
	h2w_indexed(&block, index);
	server_fields();
}

static void answer_that_says(const char *status, uint64_t name, const char *value)
{
	block.len = 0;
	h2w_value(&block, H2W_PLAIN, 8, status, true);
	h2w_value(&block, H2W_PLAIN, name, value, true);
}

/* ---- tests ---- */

static void test_hit(void **state)
{
	char a[LONG + 1], b[LONG + 1];

	learn("/a", token(a, 0));
	ask("/a", token(b, 1));
	assert_true(was_read());
	ask("/a", a);
	assert_true(was_read());
	/* one of another length has a row of its own */
	ask("/a", a);
	learn("/a/longer", b);
	ask("/a", a);
	assert_false(was_read());
	ask("/a/longer", b);
	assert_false(was_read());
}

/* Another byte anywhere is seen. */
static void test_one_byte(void **state)
{
	char a[LONG + 1], b[LONG + 1];

	token(a, 0);
	for (size_t i = 0; i < LONG; i += 13) {
		learn("/a", a);
		memcpy(b, a, sizeof(b));
		b[i] = a[i] == 'a' ? 'c' : 'a';
		ask("/a", b);
		ask("/a", a);
	}
	ask("/b", a);
	ask("/a", a);
}

/* The last bits of a block, however many of its bytes are left for the last word. */
static void test_last_byte(void **state)
{
	char a[LONG + 1], b[LONG + 1], path[] = "/a/a/a/a/a/a/a/a";

	token(a, 0);
	memcpy(b, a, sizeof(b));
	b[LONG - 1] = a[LONG - 1] == 'a' ? 'c' : 'a';
	for (size_t len = sizeof(path) - 1; len > 1; len--) {
		path[len] = '\0';
		learn(path, a);
		ask(path, b);
	}
}

/* A table whose size changes: what is entered later has its room. */
static void test_size(void **state)
{
	static const uint64_t size[] = { 4096, 4096, 4096, 64, 4096 };
	char a[LONG + 1];

	token(a, 0);
	for (size_t i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
		pseudo_resized(size[i], size[i]);
		bearer(H2W_NEVER, a);
		ask_with(last, "/", a);
	}
	pseudo("/");
	bearer(H2W_ADD, a);
	ask_with(last, "/", a);
	pseudo("/");
	h2w_indexed(&block, 62);
	ask_with(last, "/", a);
}

/* The same bytes mean another thing when the table has changed. */
static void test_table(void **state)
{
	char a[LONG + 1], b[LONG + 1], pad[80];

	token(a, 0);
	token(b, 1);
	memset(pad, 'p', sizeof(pad) - 1);
	pad[sizeof(pad) - 1] = '\0';
	pseudo("/a");
	bearer(H2W_ADD, a);
	ask_with(last, "/a", a);
	for (int i = 0; i < 4; i++) {	/* index 62: what was entered last */
		pseudo("/a");
		h2w_indexed(&block, 62);
		h2w_field(&block, H2W_PLAIN, "x-pad", pad, true);
		ask_with(last, "/a", a);
	}
	pseudo("/a");
	bearer(H2W_ADD, b);
	ask_with(last, "/a", b);
	for (int i = 0; i < 4; i++) {
		pseudo("/a");
		h2w_indexed(&block, 62);
		h2w_field(&block, H2W_PLAIN, "x-pad", pad, true);
		ask_with(last, "/a", b);
	}
	/* A block that enters something does so each time: the index of what was there grows. */
	for (uint64_t i = 0; i < 5; i++) {
		pseudo("/a");
		h2w_indexed(&block, 62 + i);
		ask_with(last, "/a", b);
		pseudo("/a");
		h2w_field(&block, H2W_ADD, "x-pad", pad, true);
		ask_with(last, "/a", NULL);
	}
	/* A table that was emptied has none. */
	pseudo_resized(0, 4096);
	bearer(H2W_ADD, a);
	ask_with(last, "/", a);
	pseudo("/a");
	h2w_indexed(&block, 62);
	h2w_field(&block, H2W_PLAIN, "x-pad", pad, true);
	ask_with(last, "/a", a);
}

/* Streams, padding and priorities are the frame's, not the block's. */
static void test_frames(void **state)
{
	static const struct h2w_how hows[] = {
		{ .flags = H2W_END_STREAM }, { .flags = H2W_END_STREAM | H2W_PADDED, .padding = 9 },
		{ .flags = H2W_END_STREAM | H2W_WITH_PRIORITY }, { .first = 9 }, { .first = 9, .next = 40 },
	};
	char a[LONG + 1];

	learn("/a", token(a, 0));
	for (size_t i = 0; i < sizeof(hows) / sizeof(hows[0]); i++) {
		pseudo("/a");
		bearer(H2W_NEVER, a);
		ask_with(hows[i], "/a", a);
		if (i < 3)	/* one in pieces is read */
			assert_false(was_read());
	}
	was_read();
	ask("/a", a);
	assert_false(was_read());
}

/* Cut over two calls, at each place. */
static void test_cut(void **state)
{
	static uint8_t buf[4096];
	char a[LONG + 1];

	learn("/a", token(a, 0));
	for (size_t cut = 1; cut < 150; cut += 4) {
		pseudo("/a");
		bearer(H2W_NEVER, a);
		h2w_headers(&out, stream, block.p, block.len, last);
		stream += 2;
		rig_clear(&rig);
		assert_int_equal(send(fd[0], out.p, cut, 0), cut);
		assert_int_equal(recv(fd[1], buf, cut, MSG_WAITALL), cut);
		assert_int_equal(send(fd[0], out.p + cut, out.len - cut, 0), out.len - cut);
		assert_int_equal(recv(fd[1], buf, out.len - cut, MSG_WAITALL), out.len - cut);
		out.len = 0;
		rig_collect(&rig);
		assert_int_equal(rig.uses, 2);
		rig_assert_token(&rig.use[0], a);
		rig_assert_token(&rig.use[1], a);
	}
	ask("/a", a);
}

/* Several in one call, longer than the window together. */
static void test_many(void **state)
{
	static uint8_t buf[65536];
	char a[LONG + 1];

	learn("/a", token(a, 0));
	rig_clear(&rig);
	for (int i = 0; i < REQUESTS; i++) {
		pseudo("/a");
		bearer(H2W_NEVER, a);
		h2w_headers(&out, stream, block.p, block.len, last);
		stream += 2;
	}
	assert_true(out.len > 2 * 1024);
	assert_int_equal(send(fd[0], out.p, out.len, 0), out.len);
	assert_int_equal(recv(fd[1], buf, out.len, MSG_WAITALL), out.len);
	out.len = 0;
	rig_collect(&rig);
	assert_int_equal(rig.uses, 2 * REQUESTS);
	for (size_t i = 0; i < 2 * REQUESTS; i++)
		rig_assert_token(&rig.use[i], a);
	assert_false(was_read());
}

/* Answers: the stream's own, whatever block says it. */
static void test_answers(void **state)
{
	static const uint16_t index[] = { 8, 8, 8, 8, 13, 8, 14, 8, 8 };
	static const uint16_t status[] = { 200, 200, 200, 200, 404, 200, 500, 200, 200 };
	char a[LONG + 1];

	token(a, 0);
	for (size_t i = 0; i < sizeof(index) / sizeof(index[0]); i++) {
		ask("/a", a);
		indexed_answer(index[i]);
		tell(status[i]);
	}
}

/* Entries of a server that nobody refers to count, also those of a block that is not read: what was entered
 * before moves back. */
static void test_numbers(void **state)
{
	char a[LONG + 1];

	token(a, 0);
	for (int i = 0; i < 3; i++) {
		ask("/a", a);
		indexed_answer(8);
		tell(200);
	}
	ask("/a", a);
	block.len = 0;
	h2w_value(&block, H2W_ADD, 8, "201", true);
	tell(201);
	for (uint64_t i = 0; i < 4; i++) {
		ask("/a", a);
		indexed_answer(8);
		tell(200);
		ask("/a", a);
		block.len = 0;
		h2w_indexed(&block, 64 + 2 * i);
		tell(201);
	}
	assert_int_equal(kept(200), 2);
}

/* A status that is entered each time is the one at the newest place. */
static void test_entered_status(void **state)
{
	char a[LONG + 1];

	token(a, 0);
	for (int i = 0; i < 5; i++) {
		ask("/a", a);
		block.len = 0;
		h2w_value(&block, H2W_ADD, 8, "201", true);
		server_fields();
		tell(201);
		ask("/a", a);
		block.len = 0;
		h2w_indexed(&block, 64);
		tell(201);
	}
}

/* A field that says something of the credential says it each time. */
static void test_saying(void **state)
{
	char a[LONG + 1];

	token(a, 0);
	for (int i = 0; i < 5; i++) {
		ask("/a", a);
		answer_that_says("401", 61, "Bearer error=\"invalid_token\", scope=\"a b\"");
		tell(401);
	}
	assert_int_equal(kept(401), 0);
	for (int i = 0; i < 3; i++) {
		ask("/a", a);
		answer_that_says("403", 54, "nginx/1.22.1, somewhere");
		tell(403);
	}
	assert_int_equal(kept(403), 2);
}

/* It is not looked at where nobody waits for it, but is when somebody does. */
static void test_saying_to_nobody(void **state)
{
	char a[LONG + 1];

	for (int i = 0; i < 3; i++) {
		pseudo("/a");
		ask_with(last, "/a", NULL);
		answer_that_says("401", 61, "Bearer error=\"insufficient_scope\", scope=\"c d\"");
		pass_block(1, stream - 2, last);
	}
	assert_int_equal(kept(401), 2);
	ask("/a", token(a, 0));
	answer_that_says("401", 61, "Bearer error=\"insufficient_scope\", scope=\"c d\"");
	tell(401);
	assert_true(rig.status[0].text_len > 0);	/* the other end has no news then */
}

/* What is not reported is counted each time. */
static void test_losses(void **state)
{
	for (int coded = 0; coded < 2; coded++) {
		for (int i = 0; i < 5; i++) {
			uint64_t before = rig_dropped(&rig, TT_DROP_empty_cred);

			pseudo("/a");
			if (coded)
				h2w_value(&block, H2W_PLAIN, 23, "Bearer ", true);
			else
				h2w_indexed(&block, 23);
			h2w_field(&block, H2W_PLAIN, "x-pad", "long enough to be kept", true);
			ask_with(last, "/a", NULL);
			assert_true(rig_dropped(&rig, TT_DROP_empty_cred) >= before + 2);
		}
	}
}

/* What is not the same each time is not tried for ever, but once in a while. */
static void test_changing(void **state)
{
	char a[LONG + 1];

	for (char i = 0; i < 8; i++)
		ask("/a", token(a, (char)(i % 2 ? i : 7 - i)));
	for (int i = 0; i < 70; i++)
		ask("/a", a);
	was_read();
	ask("/a", a);
	assert_false(was_read());
}

/* Other classes, or another agent: all is read once more. */
static void test_forget(void **state)
{
	char a[LONG + 1];

	learn("/a", token(a, 0));
	bpf_sensor_forget(rig.sensor);
	ask("/a", a);
	assert_true(was_read());
	learn("/a", a);
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, pair_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_hit),	 T(test_one_byte), T(test_last_byte), T(test_size), T(test_table), T(test_frames),
		T(test_cut),	 T(test_many),	   T(test_answers), T(test_numbers), T(test_entered_status),
		T(test_saying),	 T(test_saying_to_nobody), T(test_losses), T(test_changing), T(test_forget),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
