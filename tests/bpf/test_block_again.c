/* SPDX-License-Identifier: Apache-2.0 */
/* bpf/block.bpf.h: a request whose header block comes again is counted where the last one was, and its response with it. */
#include "count_rig.h"
#include "h2_rig.h"

#include <sys/prctl.h>
#include <sys/wait.h>

#define LEARNED 4		/* requests until one is counted without its head: read, hashed, recognised, and a repeat */
#define OK 8			/* places of the static table: 200 */
#define NOT_FOUND 13		/* 404 */

static char secret[256];	/* of the test that runs, and no other */
static uint32_t stream;

/* As it begins in bpf/scratch.bpf.h; behind it lies what the block's head said, with a check as its last word. */
struct row {
	uint64_t hash[2], epoch;
	uint32_t inserted, inserts;
	uint16_t status, seen;
	uint8_t dynamic, grpc, flags, whole, came_to, pad_[7];
	uint64_t who[2], token;
	uint32_t row, gen;
	uint8_t rest[512];
};

struct row_key {
	uint64_t conn;
	uint32_t dir, len, epoch, pad_;
};
#define BLOCK_ROW 2		/* row.came_to */
#define BLOCKS_MAX 8192

static struct row_key keys[BLOCKS_MAX];

/* ---- requests ---- */

static void block_of(const char *path, const char *credential)
{
	char value[512];

	pseudo(path);
	snprintf(value, sizeof(value), "Bearer %s", credential);
	if (credential)
		h2w_value(&block, H2W_NEVER, 23, value, true);
	else
		h2w_field(&block, H2W_PLAIN, "x-pad", "long enough to be kept", true);
}

/* Returns its stream. */
static uint32_t ask(const char *path)
{
	block_of(path, secret);
	pass_block(0, stream, last);
	stream += 2;
	return stream - 2;
}

static void ask_and_answer(const char *path, uint64_t index)
{
	answer_with(ask(path), index);
}

static void learn(const char *path)
{
	for (int i = 0; i < LEARNED; i++)
		ask_and_answer(path, OK);
}

static struct counted counted(const char *path)
{
	return rows_counted(secret, path);
}

static void assert_counted(const char *path, uint64_t requests)
{
	assert_int_equal(counted(path).uses, 2 * requests);
}

static int begin(void **state)
{
	static unsigned int number;

	h2_up(state);
	stream = 1;
	prefaces();
	snprintf(secret, sizeof(secret), "again-%06u-%0140d", ++number, 0);
	rig_clear(&rig);
	return 0;
}

/* ---- was the head looked at? ---- */

static size_t row_size(void)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(rig_map("block_repeats"), &info, &len), 0);
	assert_true(info.value_size <= sizeof(struct row));
	return info.value_size;
}

/* Returns how many rows there are, for keys[]. Who writes them does it afterwards: a row that is written lies elsewhere. */
static int find_rows(void)
{
	int map = rig_map("block_repeats"), n = 0;

	while (n < BLOCKS_MAX && !bpf_map_get_next_key(map, n ? &keys[n - 1] : NULL, &keys[n]))
		n++;
	return n;
}

/* Of all blocks what the head said does not fit its check any more: who needs it has to read the block. */
static void spoil_heads(void)
{
	int map = rig_map("block_repeats"), n = find_rows();
	size_t size = row_size();
	struct row row;

	for (int i = 0; i < n; i++) {
		if (bpf_map_lookup_elem(map, &keys[i], &row))
			continue;	/* another program's */
		memset((uint8_t *)&row + size - 8, 0, 8);
		bpf_map_update_elem(map, &keys[i], &row, BPF_EXIST);
	}
}

/* How many requests' blocks were read since then? Those have good heads again. */
static int heads_read(void)
{
	static const uint8_t spoilt[8];
	int map = rig_map("block_repeats"), rows = find_rows(), n = 0;
	size_t size = row_size();
	struct row row;

	for (int i = 0; i < rows; i++) {
		if (bpf_map_lookup_elem(map, &keys[i], &row))
			continue;
		n += row.seen & 1 && row.whole && memcmp((uint8_t *)&row + size - 8, spoilt, 8) != 0;
	}
	return n;
}

/* ---- tests ---- */

static void test_hit(void **state)
{
	struct counted c;

	learn("/hit");
	assert_counted("/hit", LEARNED - 1);
	assert_int_equal(own_uses(), 2);
	rig_clear(&rig);
	spoil_heads();
	for (int i = 0; i < 50; i++)
		ask_and_answer("/hit", OK);
	assert_int_equal(heads_read(), 0);
	c = counted("/hit");
	assert_int_equal(c.uses, 2 * (LEARNED - 1 + 50));
	assert_int_equal(c.by_status[200], c.uses);
	assert_int_equal(own_uses(), 0);
	assert_int_equal(rig.statuses, 0);
}

/* Several in one call, and what stands around their frames. */
static void test_frames(void **state)
{
	static const struct h2w_how hows[] = {
		{ .flags = H2W_END_STREAM }, { .flags = H2W_END_STREAM | H2W_PADDED, .padding = 9 },
		{ .flags = H2W_END_STREAM | H2W_WITH_PRIORITY }, { .flags = 0 },
	};
	const size_t n = sizeof(hows) / sizeof(hows[0]);

	learn("/frames");
	spoil_heads();
	for (int round = 0; round < 5; round++) {
		block_of("/frames", secret);
		for (size_t i = 0; i < n; i++)
			h2w_headers(&out, stream + 2 * (uint32_t)i, block.p, block.len, hows[i]);
		h2w_data(&out, stream + 2 * (uint32_t)(n - 1), H2W_END_STREAM, "a body");
		carry(0);
		for (size_t i = 0; i < n; i++, stream += 2)
			answer_with(stream, OK);
	}
	assert_int_equal(heads_read(), 0);
	assert_counted("/frames", LEARNED - 1 + 5 * n);
	assert_int_equal(counted("/frames").by_status[200], 2 * (LEARNED - 1 + 5 * n));
}

/* A response is its own stream's, in whatever order they come. */
static void test_statuses(void **state)
{
	uint32_t a[8], b[8];

	learn("/status/a");
	learn("/status/of/b");
	spoil_heads();
	for (int i = 0; i < 8; i++) {
		a[i] = ask("/status/a");
		b[i] = ask("/status/of/b");
	}
	for (int i = 7; i >= 0; i--) {
		answer_with(a[i], NOT_FOUND);
		answer_with(b[7 - i], OK);
	}
	assert_int_equal(heads_read(), 0);
	assert_int_equal(counted("/status/a").by_status[404], 2 * 8);
	assert_int_equal(counted("/status/a").by_status[200], 2 * (LEARNED - 1));
	assert_int_equal(counted("/status/of/b").by_status[404], 0);
	assert_int_equal(counted("/status/of/b").by_status[200], 2 * (LEARNED - 1 + 8));
}

/* It does not matter whether others wait for their responses. */
static void test_nobody_waits(void **state)
{
	for (int i = 0; i < LEARNED; i++)
		ask("/waits");
	for (uint32_t id = 1; id < stream; id += 2)
		answer_with(id, OK);
	spoil_heads();
	ask("/waits");
	ask("/waits");
	assert_int_equal(heads_read(), 0);
	assert_counted("/waits", LEARNED + 1);
}

/* The response was here first. */
static void test_overtaken(void **state)
{
	learn("/early");
	spoil_heads();
	for (int i = 0; i < 3; i++) {
		answer_with(stream, NOT_FOUND);
		ask("/early");
	}
	assert_int_equal(heads_read(), 0);
	assert_counted("/early", LEARNED - 1 + 3);
	assert_int_equal(counted("/early").by_status[404], 2 * 3);
}

/* Requests without a credential are nothing to be told, whose and whenever they are. */
static void test_without(void **state)
{
	for (int i = 0; i < LEARNED; i++) {
		block_of("/none", NULL);
		pass_block(0, stream, last);
		answer_with(stream, NOT_FOUND);
		stream += 2;
	}
	learn("/with");
	rig_clear(&rig);
	spoil_heads();
	for (int i = 0; i < 5; i++) {
		uint32_t with = ask("/with");

		block_of("/none", NULL);
		pass_block(0, stream, last);
		answer_with(stream, NOT_FOUND);
		answer_with(with, OK);
		stream += 2;
	}
	assert_int_equal(heads_read(), 0);
	assert_int_equal(own_uses(), 0);
	assert_counted("/with", LEARNED - 1 + 5);
	assert_int_equal(counted("/with").by_status[200], 2 * (LEARNED - 1 + 5));
	assert_int_equal(counted("/with").by_status[404], 0);
}

/* The process has another name: its uses are others. */
static void test_name(void **state)
{
	char name[TT_COMM_LEN];

	learn("/name");
	assert_int_equal(prctl(PR_GET_NAME, name), 0);
	assert_int_equal(prctl(PR_SET_NAME, "again-other"), 0);
	rig_clear(&rig);
	ask_and_answer("/name", OK);
	assert_int_equal(prctl(PR_SET_NAME, name), 0);
	assert_int_equal(own_uses(), 2);
	assert_string_equal((const char *)rig.use[0].h.comm, "again-other");
	assert_counted("/name", LEARNED - 1);
	ask_and_answer("/name", OK);
	assert_counted("/name", LEARNED);
}

/* Another process on the same connection. */
static void test_process(void **state)
{
	pid_t child;
	int status;

	learn("/process");
	rig_clear(&rig);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		ask_and_answer("/process", OK);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	stream += 2;
	assert_counted("/process", LEARNED - 1);
	ask_and_answer("/process", OK);
	assert_int_equal(own_uses(), 0);
	assert_counted("/process", LEARNED);
}

/* Two connections with the same blocks and streams. */
static void test_connections(void **state)
{
	int first[2], second[2];

	learn("/two");
	memcpy(first, fd, sizeof(first));
	rig_tcp(second);
	memcpy(fd, second, sizeof(fd));
	stream = 1;
	prefaces();
	learn("/two");
	spoil_heads();
	for (int i = 0; i < 4; i++) {
		uint32_t id = ask("/two");

		memcpy(fd, first, sizeof(fd));
		block_of("/two", secret);
		pass_block(0, id, last);
		answer_with(id, NOT_FOUND);
		memcpy(fd, second, sizeof(fd));
		answer_with(id, OK);
	}
	assert_int_equal(heads_read(), 0);
	assert_counted("/two", 2 * (LEARNED - 1 + 4));	/* the servers' ports differ: of each the first was a record */
	assert_int_equal(counted("/two").by_status[404], 2 * 4);
	assert_int_equal(counted("/two").by_status[200], 2 * (2 * (LEARNED - 1) + 4));
	close(first[0]);
	close(first[1]);
}

/* Streams that end without a response. */
static void test_reset(void **state)
{
	uint32_t id;

	learn("/reset");
	spoil_heads();
	id = ask("/reset");
	h2w_rst(&out, id, 8);
	carry(0);
	id = ask("/reset");
	ask("/reset");
	ask("/reset");
	h2w_goaway(&out, id, 0);
	carry(1);
	answer_with(id, NOT_FOUND);
	assert_int_equal(heads_read(), 0);
	assert_counted("/reset", LEARNED - 1 + 4);
	assert_int_equal(counted("/reset").by_status[0], 2 * 3);
	assert_int_equal(counted("/reset").by_status[404], 2);
}

/* The status of a gRPC call is in its trailers. */
static void test_grpc(void **state)
{
	uint32_t id[3];

	for (int i = 0; i < LEARNED + 3; i++) {
		if (i == LEARNED)
			spoil_heads();
		block_of("/grpc.S/Call", secret);
		h2w_value(&block, H2W_PLAIN, 31, "application/grpc", true);
		pass_block(0, stream, last);
		if (i < LEARNED)
			answer_with(stream, OK);
		else
			id[i - LEARNED] = stream;
		stream += 2;
	}
	for (int i = 0; i < 3; i++) {
		block.len = 0;
		h2w_indexed(&block, OK);
		pass_block(1, id[i], (struct h2w_how){ 0 });
	}
	assert_int_equal(counted("/grpc.S/Call").by_grpc[7], 0);
	for (int i = 0; i < 3; i++) {
		block.len = 0;
		h2w_field(&block, H2W_PLAIN, "grpc-status", "7", true);
		pass_block(1, id[i], last);
	}
	assert_int_equal(heads_read(), 0);
	assert_counted("/grpc.S/Call", LEARNED - 1 + 3);
	assert_int_equal(counted("/grpc.S/Call").by_grpc[7], 2 * 3);
}

/* Times that something was told of this test's credential by a response to a repeat. */
static int told(void)
{
	int map = rig_map("use_rows"), n = 0;
	static struct tt_row r;
	uint64_t id[2];

	rig_fingerprint(secret, id);
	rig_collect(&rig);
	for (size_t i = 0; i < rig.told; i++) {
		uint32_t row = rig.row_status[i].h.seq;

		assert_int_equal(bpf_map_lookup_elem(map, &row, &r), 0);
		n += rig.row_status[i].text_len && r.use.cred[0].token[0] == id[0];
	}
	return n;
}

/* What a response says of the credential is news once. */
static void test_said(void **state)
{
	learn("/said");
	rig_clear(&rig);
	spoil_heads();
	for (int i = 0; i < 3; i++) {
		uint32_t id = ask("/said");

		block.len = 0;
		h2w_value(&block, H2W_PLAIN, 8, "401", true);
		h2w_value(&block, H2W_PLAIN, 61, "Bearer error=\"insufficient_scope\", scope=\"c d\"", true);
		pass_block(1, id, last);
	}
	assert_int_equal(heads_read(), 0);
	assert_int_equal(counted("/said").by_status[401], 2 * 3);
	assert_int_equal(told(), 1);
}

/* The same bytes mean another credential when the table has changed. */
static void test_table(void **state)
{
	char a[256];

	for (int round = 0; round < 2; round++) {
		memcpy(a, secret, sizeof(a));
		secret[0] = (char)('A' + round);
		pseudo("/table");
		h2w_value(&block, H2W_ADD, 23, secret, true);
		pass_block(0, stream, last);
		stream += 2;
		for (int i = 0; i < LEARNED + 1; i++, stream += 2) {
			pseudo("/table");
			h2w_indexed(&block, 62);
			h2w_field(&block, H2W_PLAIN, "x-pad", "as long as a block has to be", true);
			pass_block(0, stream, last);
		}
		assert_counted("/table", LEARNED + 1);
	}
	assert_int_equal(rows_counted(a, "/table").uses, 2 * (LEARNED + 1));
}

/* A record for each call is wanted, and then not any more. */
static void test_per_call(void **state)
{
	learn("/each");
	bpf_sensor_fold(rig.sensor, false);
	rig_clear(&rig);
	for (int i = 0; i < 3; i++)
		ask_and_answer("/each", NOT_FOUND);
	assert_int_equal(own_uses(), 2 * 3);
	assert_int_equal(rig.statuses, 2 * 3);
	rig_assert_token(&rig.use[5], secret);
	rig_assert_text(rig.use[5].path, rig.use[5].path_len, "/each");
	rig_assert_text(rig.use[5].host, rig.use[5].host_len, "api.test");
	rig_assert_text(rig.use[5].method, rig.use[5].method_len, "GET");
	bpf_sensor_fold(rig.sensor, true);
	rig_clear(&rig);
	ask_and_answer("/each", OK);
	assert_int_equal(own_uses(), 0);
	assert_counted("/each", LEARNED);
}

/* Heads that are needed and not known any more are read. */
static void test_spoilt(void **state)
{
	learn("/spoilt");
	spoil_heads();
	bpf_sensor_fold(rig.sensor, false);
	rig_clear(&rig);
	ask_and_answer("/spoilt", OK);
	bpf_sensor_fold(rig.sensor, true);
	assert_int_equal(heads_read(), 2);
	assert_int_equal(own_uses(), 2);
	rig_assert_token(&rig.use[0], secret);
	rig_assert_text(rig.use[0].path, rig.use[0].path_len, "/spoilt");
}

/* A row that was half read while it was given to another is none: nothing is counted where it says. */
static void test_torn(void **state)
{
	int map = rig_map("block_repeats"), rows, n = 0;
	struct row_key found[2];
	struct row row, torn[2];
	uint64_t id[2];

	learn("/torn");
	learn("/torn/other");
	rig_fingerprint(secret, id);
	rows = find_rows();
	for (int i = 0; i < rows && n < 2; i++) {
		if (!bpf_map_lookup_elem(map, &keys[i], &row) && row.came_to == BLOCK_ROW && row.token == id[0] &&
		    !keys[i].dir) {
			found[n] = keys[i];
			torn[n++] = row;
		}
	}
	assert_int_equal(n, 2);
	for (int i = 0; i < 2; i++) {
		row = torn[i];
		row.row = torn[!i].row;
		row.gen = torn[!i].gen;
		assert_int_equal(bpf_map_update_elem(map, &found[i], &row, BPF_EXIST), 0);
	}
	for (int i = 0; i < LEARNED; i++)
		ask_and_answer("/torn", OK);
	assert_counted("/torn", 2 * LEARNED - 1);
	assert_counted("/torn/other", LEARNED - 1);
	spoil_heads();
	ask_and_answer("/torn", OK);
	assert_int_equal(heads_read(), 0);
}

/* A request for a token is told each time. */
static void test_mint(void **state)
{
	static const char path[] = "/v1/credentials";

	for (int i = 0; i < 2 * LEARNED; i++) {
		rig_clear(&rig);
		ask(path);
		assert_int_equal(own_uses(), 2);
		assert_true(rig.use[0].mint);
	}
	for (int i = 0; i < 2 * LEARNED; i++, stream += 2) {
		rig_clear(&rig);
		block_of(path, NULL);
		pass_block(0, stream, last);
		assert_int_equal(own_uses(), 2);
		assert_int_equal(rig.use[0].creds, 0);
	}
}

/* Other classes, or another agent: all is read once more. */
static void test_forget(void **state)
{
	learn("/forget");
	spoil_heads();
	bpf_sensor_forget(rig.sensor);
	for (int i = 0; i < LEARNED; i++)
		ask_and_answer("/forget", OK);
	assert_int_equal(heads_read(), 2);
	assert_counted("/forget", 2 * LEARNED - 1);
}

/* The row was given to others meanwhile: the next use begins anew, and is not counted among theirs. */
static void test_row_gone(void **state)
{
	char path[64];
	int known[2];
	uint32_t next;

	learn("/gone");
	memcpy(known, fd, sizeof(known));
	next = stream;
	rig_tcp(fd);
	stream = 1;
	prefaces();
	usleep(IDLE_NS / 1000 + 100000);
	for (int i = 0; i < 8 * FEW_ROWS && counted("/gone").uses; i++) {
		snprintf(path, sizeof(path), "/other%d", i);
		ask_and_answer(path, OK);
		rig_clear(&rig);
	}
	assert_counted("/gone", 0);
	pair_down(state);
	memcpy(fd, known, sizeof(known));
	stream = next;
	ask_and_answer("/gone", OK);
	assert_int_equal(own_uses(), 2);
	rig_assert_text(rig.use[0].path, rig.use[0].path_len, "/gone");
	rig_assert_token(&rig.use[0], secret);
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, pair_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_hit),	    T(test_frames),  T(test_statuses), T(test_nobody_waits), T(test_overtaken),
		T(test_without),    T(test_name), T(test_process), T(test_connections),
		T(test_reset),	    T(test_grpc),    T(test_said),   T(test_table),    T(test_per_call), T(test_spoilt),
		T(test_torn),	    T(test_mint),    T(test_forget),
	};
	const struct CMUnitTest few[] = { T(test_row_gone) };

	return cmocka_run_group_tests(tests, fold_setup, teardown) + cmocka_run_group_tests(few, few_setup, teardown);
}
