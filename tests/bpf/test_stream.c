/* SPDX-License-Identifier: Apache-2.0 */
/* bpf/stream.bpf.h: requests wait for their responses in their connection's row or beside it, and each gets its own. */
#include "h2_rig.h"

#define BEARER "Bearer a-token-of-test-stream-0123456789"
#define HELD 8			/* STREAMS_HELD, bpf/maps.bpf.h */
#define FIRST 0x5a01		/* no other program's streams have such numbers */
#define STREAMS_MAX 64		/* of a test */
#define ENDS 2

static const struct h2w_how open_ended;

/* Places in the static table of statuses. */
static const struct { uint8_t index; uint16_t status; } answers[] = {
	{ 8, 200 }, { 9, 204 }, { 10, 206 }, { 11, 304 }, { 12, 400 }, { 13, 404 }, { 14, 500 },
};
#define ANSWERS (sizeof(answers) / sizeof(answers[0]))

static uint32_t stream(int i)
{
	return FIRST + 2 * (uint32_t)i;
}

static int before;		/* responses that nobody asked for stay until others need the room */

/* Requests of this file's tests that wait in the table, of both ends. */
static int in_table(void)
{
	struct { uint64_t conn, stream; } key, next;
	int map = rig_map("streams"), n = 0;
	bool more = !bpf_map_get_next_key(map, NULL, &next);

	while (more) {
		n += next.stream >= FIRST && next.stream < FIRST + 2 * STREAMS_MAX;
		key = next;
		more = !bpf_map_get_next_key(map, &key, &next);
	}
	return n;
}

static int beside(void)
{
	return in_table() - before;
}

static void ask_with(int i, const char *type)
{
	pseudo("/");
	h2w_value(&block, H2W_NEVER, 23, BEARER, true);
	if (type)
		h2w_value(&block, H2W_PLAIN, 31, type, true);
	pass_block(0, stream(i), last);
}

static void ask(int i)
{
	ask_with(i, NULL);
}

static void answer(int i)
{
	answer_with(stream(i), answers[(size_t)i % ANSWERS].index);
}

/* How many ends of this stream were told a status, and which. */
static int told(int i, int status[ENDS])
{
	int n = 0;

	rig_collect(&rig);
	for (size_t k = 0; k < rig.statuses; k++) {
		if (rig.status[k].h.seq != (TT_SEQ_STREAM | stream(i)))
			continue;
		assert_in_range(n, 0, ENDS - 1);
		status[n++] = rig.status[k].status;
	}
	return n;
}

static void assert_waits(int i)
{
	int status[ENDS];

	assert_int_equal(told(i, status), 0);
}

static void await_told(int i, int status[ENDS])
{
	for (int n = 0; n < 2000 && told(i, status) < ENDS; n++)
		usleep(1000);
	assert_int_equal(told(i, status), ENDS);
}

/* The status that this stream's request got, the same at both ends. */
static int status_of(int i)
{
	int status[ENDS];

	await_told(i, status);
	assert_int_equal(status[0], status[1]);
	return status[0];
}

static void assert_answered(int i)
{
	assert_int_equal(status_of(i), answers[(size_t)i % ANSWERS].status);
}

static int begin(void **state)
{
	h2_up(state);
	prefaces();
	rig_clear(&rig);
	before = in_table();
	return 0;
}

/* ---- tests ---- */

/* As many as the row has places for are nowhere else, in whatever order they are answered, again and again. */
static void test_held(void **state)
{
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < HELD; i++)
			ask(HELD * round + i);
		assert_int_equal(beside(), 0);
		for (int i = 0; i < HELD; i++)
			answer(HELD * round + 5 * i % HELD);
	}
	for (int i = 0; i < 3 * HELD; i++)
		assert_answered(i);
	assert_int_equal(rig.uses, 3 * HELD * ENDS);
}

/* Those that find no place, and those after them. */
static void test_beside(void **state)
{
	for (int i = 0; i < HELD + 4; i++)
		ask(i);
	assert_int_equal(beside(), 4 * ENDS);
	for (int i = 1; i < HELD + 4; i += 2)
		answer(i);
	assert_int_equal(beside(), 2 * ENDS);
	ask(HELD + 5);	/* its place was given back by an answer */
	assert_int_equal(beside(), 2 * ENDS);
	for (int i = 0; i < HELD + 4; i += 2)
		answer(i);
	answer(HELD + 5);
	assert_int_equal(beside(), 0);
	for (int i = 0; i < HELD + 4; i++)
		assert_answered(i);
	assert_answered(HELD + 5);
}

/* A response overtakes its request: both wait where one of them is first, and so do all after them. */
static void test_overtaken(void **state)
{
	ask(0);
	assert_int_equal(beside(), 0);
	answer(1);
	assert_int_equal(beside(), ENDS);
	ask(1);
	assert_int_equal(beside(), 0);
	ask(2);
	assert_int_equal(beside(), ENDS);
	answer(0);
	answer(2);
	for (int i = 0; i < 3; i++)
		assert_answered(i);
}

/* Whose place it is its number tells, not where it lies. */
static void test_another_one_s(void **state)
{
	ask(0);
	answer(HELD);	/* nobody asked: it waits for its request */
	answer(2 * HELD);
	assert_waits(0);
	answer(0);
	assert_answered(0);
	assert_int_equal(rig.statuses, ENDS);
}

/* Requests without a credential are not waited for, and in nobody's way. */
static void test_without(void **state)
{
	for (int i = 0; i < 3 * HELD; i++) {
		pseudo("/");
		pass_block(0, stream(i), last);
	}
	assert_int_equal(beside(), 0);
	ask(3 * HELD);
	assert_int_equal(beside(), 0);
	for (int i = 0; i <= 3 * HELD; i++)
		answer(i);
	assert_answered(3 * HELD);
	assert_int_equal(rig.statuses, ENDS);
}

/* After HTTP/1 the row has what that needs. */
static void test_upgraded(void **state)
{
	static const char asks[] = "GET / HTTP/1.1\r\nHost: api.test\r\nConnection: Upgrade, HTTP2-Settings\r\n"
				   "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n";

	pair_down(state);
	h2_up(state);
	upgrade(asks);
	for (int i = 0; i < 3; i++)
		ask(i);
	assert_int_equal(beside(), 3 * ENDS);
	for (int i = 2; i >= 0; i--)
		answer(i);
	for (int i = 0; i < 3; i++)
		assert_answered(i);
}

/* Most responses are over with their head, whatever follows; some are not. */
static void test_ends(void **state)
{
	/* its head is all */
	ask(0);
	block.len = 0;
	h2w_indexed(&block, 8);
	h2w_headers(&out, stream(0), block.p, block.len, open_ended);
	h2w_data(&out, stream(0), H2W_END_STREAM, "body");
	carry(1);
	assert_int_equal(status_of(0), 200);
	/* gRPC's should have trailers; without them its status is that of its head */
	ask_with(1, "application/grpc");
	block.len = 0;
	h2w_indexed(&block, 8);
	pass_block(1, stream(1), open_ended);
	assert_waits(1);
	h2w_data(&out, stream(1), H2W_END_STREAM, "body");
	carry(1);
	assert_int_equal(status_of(1), 200);
	/* neither, but reset */
	ask(2);
	h2w_rst(&out, stream(2), 8);
	carry(1);
	assert_int_equal(status_of(2), 0);
	assert_int_equal(rig.statuses, 3 * ENDS);
}

/* A response whose head its sender's end did not see: that it has ended is told all the same. */
static void test_head_missed(void **state)
{
	int status[ENDS];

	ask(0);
	ask(1);
	block.len = 0;
	h2w_indexed(&block, 8);
	h2w_headers(&out, stream(0), block.p, block.len, open_ended);
	carry_unseen(1);
	answer(1);
	assert_answered(1);
	h2w_data(&out, stream(0), H2W_END_STREAM, "body");
	carry(1);
	await_told(0, status);
	assert_int_equal(status[0] + status[1], 200 + 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, pair_down)
	const struct CMUnitTest tests[] = {
		T(test_held),	  T(test_beside),   T(test_overtaken), T(test_another_one_s),
		T(test_without),  T(test_upgraded), T(test_ends),      T(test_head_missed),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
