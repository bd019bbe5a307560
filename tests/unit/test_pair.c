/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and their statuses: each request comes out once, whatever happens to its response. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "agent/pair.h"
#include "sinks/sink.h"

#define LIMIT 8
#define WAIT 1000

static struct {
	uint64_t conn;
	uint32_t seq;
	struct outcome outcome;
	uint16_t family;
} out[2048];
static size_t outs;
static struct pair *pair;
static uint64_t drops_before[TT_DROP_MAX];

static void take(void *ctx, const struct tt_ev_use *ev, struct outcome outcome)
{
	assert_ptr_equal(ctx, &outs);
	assert_true(outs < 2048);
	out[outs].conn = ev->h.conn;
	out[outs].seq = ev->h.seq;
	out[outs].outcome = outcome;
	out[outs++].family = ev->h.tuple.family;
}

static int setup(void **state)
{
	outs = 0;
	memcpy(drops_before, agent_drops, sizeof(drops_before));
	return pair_new(LIMIT, WAIT, take, &outs, &pair);
}

static int teardown(void **state)
{
	pair_free(pair);
	return 0;
}

static uint64_t dropped(enum tt_drop reason)
{
	return agent_drops[reason] - drops_before[reason];
}

static void use(uint64_t conn, uint32_t seq, uint64_t now)
{
	struct tt_ev_use ev = { .h = { .conn = conn, .seq = seq } };

	pair_use(pair, &ev, now);
}

static void status(uint64_t conn, uint32_t seq, uint16_t code, uint16_t family)
{
	struct tt_ev_status ev = { .h = { .conn = conn, .seq = seq, .tuple.family = family },
				   .status = code };

	pair_status(pair, &ev);
}

static void close_conn(uint64_t conn)
{
	struct tt_ev_status ev = { .h = { .conn = conn, .tuple.family = TT_AF_INET6 } };

	pair_close(pair, &ev);
}

static void expect(size_t i, uint64_t conn, uint32_t seq, uint16_t code)
{
	assert_true(i < outs);
	assert_int_equal(out[i].conn, conn);
	assert_int_equal(out[i].seq, seq);
	assert_int_equal(out[i].outcome.status, code);
}

static void status_completes_its_request_only(void **state)
{
	use(1, 0, 0);
	use(1, 1, 0);
	use(2, 0, 0);
	status(1, 1, 404, TT_AF_NONE);
	assert_int_equal(outs, 1);
	expect(0, 1, 1, 404);
	status(1, 0, 200, TT_AF_NONE);
	status(2, 0, 500, TT_AF_NONE);
	expect(1, 1, 0, 200);
	expect(2, 2, 0, 500);
	assert_int_equal(pair_count(pair), 0);
}

static void status_without_request_is_nothing(void **state)
{
	status(1, 0, 200, TT_AF_NONE);
	use(1, 0, 0);
	status(1, 1, 200, TT_AF_NONE);
	status(2, 0, 200, TT_AF_NONE);
	assert_int_equal(outs, 0);
	status(1, 0, 200, TT_AF_NONE);
	status(1, 0, 200, TT_AF_NONE);
	assert_int_equal(outs, 1);
}

/* HTTP/2: streams are answered in any order, and the top bit of seq is part of the name. */
static void streams_of_one_connection(void **state)
{
	enum { STREAMS = 1000 };
	struct pair *wide;

	assert_int_equal(pair_new(STREAMS + 1, WAIT, take, &outs, &wide), 0);
	for (uint32_t i = 0; i < STREAMS; i++) {
		struct tt_ev_use ev = { .h = { .conn = 7, .seq = TT_SEQ_STREAM | (2 * i + 1) } };

		pair_use(wide, &ev, 0);
	}
	for (uint32_t i = 0; i < STREAMS; i++) {
		uint32_t seq = TT_SEQ_STREAM | (2 * (i * 7 % STREAMS) + 1);
		struct tt_ev_status ev = { .h = { .conn = 7, .seq = seq & ~TT_SEQ_STREAM },
					   .status = (uint16_t)(100 + i % 900) };

		pair_status(wide, &ev);
		assert_int_equal(outs, i);
		ev.h.seq = seq;
		pair_status(wide, &ev);
		expect(i, 7, seq, ev.status);
	}
	assert_int_equal(pair_count(wide), 0);
	pair_free(wide);
}

static void grpc_status_comes_along(void **state)
{
	struct tt_ev_status ev = { .h = { .conn = 1, .seq = TT_SEQ_STREAM | 1 }, .status = 200,
				   .flags = TT_STATUS_GRPC, .grpc = 16 };

	use(1, ev.h.seq, 0);
	use(1, 4, 0);
	pair_status(pair, &ev);
	expect(0, 1, ev.h.seq, 200);
	assert_true(out[0].outcome.has_grpc);
	assert_int_equal(out[0].outcome.grpc_status, 16);
	status(1, 4, 200, TT_AF_NONE);
	assert_false(out[1].outcome.has_grpc);
	assert_int_equal(out[1].outcome.grpc_status, 0);
}

/* It goes on at once, and is neither a time-out nor a loss. */
static void request_that_ends_without_a_response(void **state)
{
	use(1, TT_SEQ_STREAM | 1, 0);
	use(1, TT_SEQ_STREAM | 3, 0);
	status(1, TT_SEQ_STREAM | 1, 0, TT_AF_INET);
	assert_int_equal(outs, 1);
	expect(0, 1, TT_SEQ_STREAM | 1, 0);
	assert_false(out[0].outcome.has_grpc);
	assert_int_equal(out[0].family, TT_AF_INET);
	pair_tick(pair, WAIT - 1);
	assert_int_equal(pair_count(pair), 1);
	for (size_t i = 0; i < TT_DROP_MAX; i++)
		assert_int_equal(dropped(i), 0);
}

static void tuple_is_filled_in_but_never_replaced(void **state)
{
	struct tt_ev_use ev = { .h = { .conn = 5, .tuple.family = TT_AF_INET } };

	use(4, 0, 0);
	status(4, 0, 200, TT_AF_INET6);
	assert_int_equal(out[0].family, TT_AF_INET6);
	pair_use(pair, &ev, 0);
	status(5, 0, 200, TT_AF_INET6);
	assert_int_equal(out[1].family, TT_AF_INET);
}

static void close_completes_all_of_its_connection_in_order(void **state)
{
	use(1, 7, 0);
	use(2, 0, 0);
	use(1, 8, 0);
	use(1, 9, 0);
	close_conn(1);
	assert_int_equal(outs, 3);
	for (uint32_t i = 0; i < 3; i++) {
		expect(i, 1, 7 + i, 0);
		assert_int_equal(out[i].family, TT_AF_INET6);
	}
	assert_int_equal(pair_count(pair), 1);
	assert_int_equal(dropped(TT_DROP_status_timeout), 0);
	close_conn(1);
	close_conn(3);
	assert_int_equal(outs, 3);
}

static void time_out_is_counted_and_exact(void **state)
{
	use(1, 0, 100);
	use(2, 0, 101);
	pair_tick(pair, 100 + WAIT - 1);
	assert_int_equal(outs, 0);
	pair_tick(pair, 100 + WAIT);
	assert_int_equal(outs, 1);
	expect(0, 1, 0, 0);
	pair_tick(pair, 101 + WAIT);
	expect(1, 2, 0, 0);
	assert_int_equal(dropped(TT_DROP_status_timeout), 2);
	status(1, 0, 200, TT_AF_NONE);
	assert_int_equal(outs, 2);
}

static void shorter_wait_applies_to_those_waiting(void **state)
{
	use(1, 0, 0);
	pair_set_wait(pair, 10);
	pair_tick(pair, 10);
	assert_int_equal(outs, 1);
}

static void full_table_completes_the_oldest(void **state)
{
	for (uint32_t i = 0; i < LIMIT; i++)
		use(i, 0, i);
	assert_int_equal(outs, 0);
	use(100, 0, 50);
	assert_int_equal(outs, 1);
	expect(0, 0, 0, 0);
	assert_int_equal(dropped(TT_DROP_pending_full), 1);
	assert_int_equal(pair_count(pair), LIMIT);
	pair_flush(pair);
	assert_int_equal(outs, LIMIT + 1);
	expect(LIMIT, 100, 0, 0);
	assert_int_equal(pair_count(pair), 0);
	assert_int_equal(dropped(TT_DROP_status_timeout), 0);
}

/* A model of random length: all that goes in comes out once. */
static void nothing_is_lost_or_doubled(void **state)
{
	size_t in = 0, done = 0;

	srandom(7);
	for (uint64_t now = 0; now < 20000; now++) {
		uint64_t conn = (uint64_t)random() % 5;

		switch (random() % 5) {
		case 0:
		case 1:
			use(conn, (uint32_t)in++, now);
			break;
		case 2:
			status(conn, (uint32_t)((size_t)random() % (in + 1)), 200, TT_AF_NONE);
			break;
		case 3:
			if (random() % 8 == 0)
				close_conn(conn);
			break;
		case 4:
			pair_tick(pair, now);
			break;
		}
		done += outs;
		outs = 0;
		assert_int_equal(done + pair_count(pair), in);
		assert_true(pair_count(pair) <= LIMIT);
	}
	pair_flush(pair);
	assert_int_equal(done + outs, in);
}

static void unsent(uint64_t conn, uint32_t seq)
{
	struct tt_ev_status ev = { .h = { .conn = conn, .seq = seq }, .flags = TT_STATUS_UNSENT };

	pair_status(pair, &ev);
}

static void requests_that_were_not_sent_do_not_come_out(void **state)
{
	use(1, 5, 0);
	use(1, 6, 0);
	use(1, 7, 0);
	use(2, 7, 0);
	unsent(3, 0);
	unsent(1, 8);
	unsent(1, TT_SEQ_STREAM | 1);
	assert_int_equal(pair_count(pair), 4);
	unsent(1, 6);
	assert_int_equal(pair_count(pair), 2);
	close_conn(1);
	assert_int_equal(outs, 1);
	expect(0, 1, 5, 0);
	pair_flush(pair);
	expect(1, 2, 7, 0);
	outs = 0;
	use(4, TT_SEQ_STREAM | 3, 0);
	use(4, TT_SEQ_STREAM | 5, 0);
	unsent(4, TT_SEQ_STREAM | 4);
	unsent(4, 0);
	pair_flush(pair);
	assert_int_equal(outs, 1);
	expect(0, 4, TT_SEQ_STREAM | 3, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* The server's name for the request comes along; whoever wants more finds the request that waits. */
static void what_is_said_comes_along(void **state)
{
	struct tt_ev_said ev = { .s = { .h = { .conn = 1, .seq = 2 }, .status = 200, .text_len = 4 },
				 .text = { TT_SAID_AUDIT_ID, 2, 'i', 'd' } };

	use(1, 2, 0);
	assert_non_null(pair_waiting(pair, &ev.s.h));
	assert_int_equal(pair_waiting(pair, &ev.s.h)->h.seq, 2);
	pair_status(pair, &ev.s);
	assert_int_equal(outs, 1);
	assert_string_equal(out[0].outcome.request_id, "id");
	assert_string_equal(out[0].outcome.request_id_field, "audit-id");
	assert_null(pair_waiting(pair, &ev.s.h));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(status_completes_its_request_only),
		TEST(status_without_request_is_nothing),
		TEST(streams_of_one_connection),
		TEST(grpc_status_comes_along),
		TEST(request_that_ends_without_a_response),
		TEST(tuple_is_filled_in_but_never_replaced),
		TEST(close_completes_all_of_its_connection_in_order),
		TEST(time_out_is_counted_and_exact),
		TEST(shorter_wait_applies_to_those_waiting),
		TEST(full_table_completes_the_oldest),
		TEST(nothing_is_lost_or_doubled),
		TEST(requests_that_were_not_sent_do_not_come_out),
		TEST(what_is_said_comes_along),
	};

	return cmocka_run_group_tests_name("pair", tests, NULL, NULL);
}
