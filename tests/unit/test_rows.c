/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of repeats as the agent reads them: what is handed on is what was counted, and nothing twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "agent/rows.h"
#include "sinks/sink.h"

#define ROWS 4
#define WAIT 1000
#define OUTS 256

static struct tt_row row[ROWS];
static struct tt_row_mark mark[ROWS + 1];
static struct rows *rows;
static struct {
	struct tt_ev_use ev;
	struct outcome outcome;
} out[OUTS];
static size_t outs;
static uint64_t handed_on, expected_taken, drops_before[TT_DROP_MAX];

static void take(void *ctx, const struct tt_ev_use *ev, struct outcome outcome)
{
	assert_ptr_equal(ctx, &outs);
	assert_true(outs < OUTS);
	if (expected_taken)
		assert_int_equal(rows_ledger(rows)->taken, expected_taken);
	out[outs].ev = *ev;
	out[outs++].outcome = outcome;
	handed_on += 1 + outcome.more;
}

static void open_rows(void)
{
	assert_int_equal(rows_new(row, mark, ROWS, WAIT, take, &outs, &rows), 0);
}

/* Another use in row i, which begins at `now`. */
static void begin(size_t i, uint32_t gen, uint64_t now)
{
	memset(&row[i], 0, sizeof(row[i]));
	row[i].gen = gen;
	row[i].last_ns = now;
	row[i].port = 5000;
	row[i].use = (struct tt_ev_use){
		.h = { .time_ns = now, .tgid = 7, .tuple = { .family = TT_AF_INET, .local_port = 5000 } },
		.dir = TT_DIR_EGRESS, .version = 11, .creds = 1, .cred = { { .carrier = 1, .length = 40 } },
	};
	row[i].use.cred[0].token[0] = gen;
}

static int setup(void **state)
{
	memset(mark, 0, sizeof(mark));
	memset(row, 0, sizeof(row));
	outs = handed_on = expected_taken = 0;
	memcpy(drops_before, agent_drops, sizeof(drops_before));
	open_rows();
	begin(1, 2, 100);
	return 0;
}

static int teardown(void **state)
{
	rows_free(rows);
	return 0;
}

static uint64_t dropped(enum tt_drop reason)
{
	return agent_drops[reason] - drops_before[reason];
}

static void use(size_t i, uint64_t now)
{
	row[i].uses++;
	row[i].last_ns = now;
}

static void answer(size_t i, size_t at, uint16_t status)
{
	struct tt_row_status *st = &row[i].status[at];

	st->used = 1;
	st->status = status;
	st->count++;
	st->last_ns = row[i].last_ns;
}

/* The same row's end, as the kernel tells it. */
static void end(size_t i, uint32_t next_gen, uint64_t now)
{
	struct tt_ev_row ev = { .row = (uint32_t)i, .was = row[i] };

	ev.was.gen = row[i].gen + 1;
	begin(i, next_gen, now);
	rows_end(rows, &ev);
}

static void expect(size_t i, uint64_t count, uint16_t status, uint64_t first, uint64_t last)
{
	assert_true(i < outs);
	assert_int_equal(1 + out[i].outcome.more, count);
	assert_int_equal(out[i].outcome.status, status);
	assert_int_equal(out[i].outcome.more ? out[i].outcome.first_ns : out[i].ev.h.time_ns, first);
	assert_int_equal(out[i].ev.h.time_ns, last);
}

static void free_rows_and_first_uses_are_nothing(void **state)
{
	begin(2, 3, 100);	/* being given to another use */
	use(2, 150);
	rows_look(rows, 200);
	assert_int_equal(outs, 0);
}

static void repeats_come_with_their_status(void **state)
{
	rows_look(rows, 200);
	use(1, 210);
	use(1, 220);
	answer(1, 0, 200);
	rows_look(rows, 300);
	assert_int_equal(outs, 1);
	expect(0, 1, 200, 220, 220);
	assert_int_equal(out[0].ev.h.tuple.local_port, 5000);
	answer(1, 1, 404);
	use(1, 310);
	use(1, 320);
	answer(1, 0, 200);
	answer(1, 0, 200);
	rows_look(rows, 400);
	assert_int_equal(outs, 3);
	expect(1, 2, 200, 200, 320);	/* one of them may be of before the look at 300 */
	expect(2, 1, 404, 220, 220);
	rows_look(rows, 500);
	use(1, 510);
	use(1, 520);
	answer(1, 0, 200);
	answer(1, 0, 200);
	rows_look(rows, 600);
	expect(3, 2, 200, 500, 520);
	rows_look(rows, 700);
	assert_int_equal(outs, 4);
	assert_int_equal(handed_on, 6);
}

static void grpc_statuses_are_told_apart(void **state)
{
	for (int i = 0; i < 3; i++) {
		use(1, 200);
		answer(1, (size_t)i, 200);
	}
	row[1].status[1].grpc = 1;
	row[1].status[2].grpc = 255;
	rows_look(rows, 300);
	assert_int_equal(outs, 3);
	assert_false(out[0].outcome.has_grpc);
	assert_true(out[1].outcome.has_grpc && out[1].outcome.grpc_status == 0);
	assert_true(out[2].outcome.has_grpc && out[2].outcome.grpc_status == 255);
}

static void a_port_that_changes_is_none(void **state)
{
	use(1, 200);
	use(1, 210);
	answer(1, 0, 200);
	answer(1, 0, 200);
	row[1].port = 5001;
	row[1].ports = 1;
	rows_look(rows, 300);
	assert_int_equal(out[0].ev.h.tuple.local_port, 0);
	use(1, 310);
	answer(1, 0, 200);
	rows_look(rows, 400);
	assert_int_equal(out[1].ev.h.tuple.local_port, 5001);
	row[1].port = 5002;
	row[1].ports = 2;
	use(1, 410);
	answer(1, 0, 200);
	rows_look(rows, 500);
	assert_int_equal(out[2].ev.h.tuple.local_port, 5002);
}

static void what_is_not_answered_comes_without_a_status(void **state)
{
	for (uint64_t t = 200; t < 210; t++)
		use(1, t);
	for (int i = 0; i < 7; i++)
		answer(1, 0, 200);
	rows_look(rows, 300);
	assert_int_equal(handed_on, 7);
	use(1, 310);
	rows_look(rows, 300 + WAIT - 1);
	assert_int_equal(handed_on, 7);
	rows_look(rows, 300 + WAIT);
	assert_int_equal(handed_on, 10);	/* not the one that came later */
	assert_int_equal(dropped(TT_DROP_status_timeout), 3);
	assert_int_equal(out[outs - 1].outcome.status, 0);
	answer(1, 0, 200);	/* of one that was given up, or of the last: nobody knows */
	rows_look(rows, 310 + WAIT);
	assert_int_equal(handed_on, 11);
	answer(1, 0, 200);
	answer(1, 0, 200);
	answer(1, 0, 200);
	rows_look(rows, 320 + WAIT);
	assert_int_equal(handed_on, 11);
}

static void withdrawn_requests_are_no_uses(void **state)
{
	use(1, 200);
	use(1, 210);
	rows_look(rows, 300);
	row[1].unsent = 1;
	answer(1, 0, 200);
	rows_look(rows, 310);
	rows_look(rows, 310 + 3 * WAIT);
	assert_int_equal(handed_on, 1);
	/* Given up, and withdrawn then: it can't be taken back, and costs no other one. */
	use(1, 5000);
	rows_look(rows, 5000);
	rows_look(rows, 5000 + WAIT);
	assert_int_equal(handed_on, 2);
	row[1].unsent = 2;
	rows_look(rows, 5000 + 3 * WAIT);
	assert_int_equal(handed_on, 2);
}

/* The one after it is not older for it: it gets all its time. */
static void withdrawn_requests_cost_the_next_ones_no_time(void **state)
{
	use(1, 200);
	rows_look(rows, 300);
	row[1].unsent = 1;
	rows_look(rows, 310);
	use(1, 5000);
	rows_look(rows, 5010);
	assert_int_equal(outs, 0);
	answer(1, 0, 403);
	rows_look(rows, 5020);
	assert_int_equal(outs, 1);
	expect(0, 1, 403, 5000, 5000);
	assert_int_equal(dropped(TT_DROP_status_timeout), 0);
}

/* One use a credential, and before it is handed on: who does that may die of it. */
static void taken_uses_are_in_the_ledger(void **state)
{
	row[1].use.creds = 2;
	row[1].use.cred[1] = row[1].use.cred[0];
	for (int i = 0; i < 5; i++) {
		use(1, 200);
		answer(1, 0, 200);
	}
	expected_taken = 2 * 5;
	rows_look(rows, 300);
	assert_int_equal(handed_on, 5);
	use(1, 310);
	expected_taken = 2 * 6;
	end(1, 4, 320);
	assert_int_equal(handed_on, 6);
	assert_int_equal(rows_ledger(rows)->taken, 2 * 6);
}

/* The loop has other things to do, so very many rows take more than one look. */
static void very_many_rows_have_their_turn(void **state)
{
	const size_t many = 40000, last = many - 1;
	struct tt_row *r = calloc(many, sizeof(*r));
	struct tt_row_mark *m = calloc(many + 1, sizeof(*m));
	struct rows *a;

	assert_true(r && m);
	begin(1, 2, 100);
	use(1, 200);
	answer(1, 0, 200);
	r[0] = r[last] = row[1];
	assert_int_equal(rows_new(r, m, many, WAIT, take, &outs, &a), 0);
	for (size_t round = 1; round < 4; round++) {
		rows_look(a, 300);
		rows_look(a, 310);
		assert_int_equal(handed_on, 2 * round);
		r[0].uses++, r[0].status[0].count++;
		r[last].uses++, r[last].status[0].count++;
	}
	rows_flush(a, 320);
	assert_int_equal(handed_on, 8);
	rows_free(a);
	free(m);
	free(r);
}

static void a_status_without_room_counts_by_its_record(void **state)
{
	struct tt_ev_status ev = { .h = { .conn = 2, .seq = 1 }, .status = 418,
				   .flags = TT_STATUS_ROW | TT_STATUS_ALONE };

	use(1, 200);
	rows_status(rows, &ev, 300);
	assert_int_equal(outs, 1);
	expect(0, 1, 418, 200, 200);
	rows_status(rows, &ev, 310);	/* there is no use for it */
	ev.h.conn = 4;
	use(1, 320);
	rows_status(rows, &ev, 330);	/* another generation */
	ev.h.seq = ROWS;
	rows_status(rows, &ev, 330);	/* no row */
	assert_int_equal(outs, 1);
}

static void a_new_status_is_looked_at_at_once(void **state)
{
	struct tt_ev_status ev = { .h = { .conn = 2, .seq = 1 }, .status = 401, .flags = TT_STATUS_ROW };
	struct tt_ev_use request;

	use(1, 200);
	answer(1, 0, 401);
	rows_status(rows, &ev, 300);
	assert_int_equal(outs, 1);
	expect(0, 1, 401, 200, 200);
	assert_true(rows_use(rows, &ev, &request));
	assert_int_equal(request.cred[0].token[0], 2);
	ev.h.conn = 4;
	assert_false(rows_use(rows, &ev, &request));
	ev.h.seq = ROWS;
	assert_false(rows_use(rows, &ev, &request));
}

static void the_end_of_a_row_brings_the_rest(void **state)
{
	use(1, 200);
	answer(1, 0, 200);
	rows_look(rows, 300);
	use(1, 310);
	use(1, 320);
	answer(1, 0, 200);
	end(1, 4, 400);
	assert_int_equal(handed_on, 3);
	expect(1, 1, 200, 320, 320);
	assert_int_equal(out[2].outcome.status, 0);
	use(1, 410);
	answer(1, 0, 200);
	rows_look(rows, 500);
	assert_int_equal(handed_on, 4);
	assert_int_equal(out[3].ev.cred[0].token[0], 4);
}

/* The ring is read before or after the rows are: in both cases each use once. */
static void a_row_seen_with_its_next_use_before_its_end(void **state)
{
	struct tt_ev_row ev, unseen;

	use(1, 200);
	answer(1, 0, 200);
	rows_look(rows, 300);
	use(1, 310);
	ev = (struct tt_ev_row){ .row = 1, .was = row[1] };
	ev.was.gen = 3;
	begin(1, 4, 400);
	use(1, 410);
	answer(1, 0, 200);
	rows_look(rows, 500);
	assert_int_equal(handed_on, 1);
	unseen = (struct tt_ev_row){ .row = 1, .was = row[1] };
	unseen.was.gen = 5;
	begin(1, 6, 600);
	use(1, 610);
	rows_look(rows, 620);
	rows_end(rows, &ev);
	assert_int_equal(handed_on, 2);
	rows_end(rows, &ev);	/* its record is read again: the agent before had died upon it */
	assert_int_equal(handed_on, 2);
	rows_look(rows, 630);	/* the second one was never looked at; the third one is */
	answer(1, 0, 200);
	rows_end(rows, &unseen);
	assert_int_equal(handed_on, 3);
	rows_look(rows, 640);
	assert_int_equal(handed_on, 4);
	assert_int_equal(out[3].ev.cred[0].token[0], 6);
}

/* With its marks the next agent goes on where the last one was. */
static void another_agent(void **state)
{
	use(1, 200);
	use(1, 210);
	answer(1, 0, 200);
	rows_look(rows, 300);
	rows_free(rows);
	use(1, 310);
	answer(1, 0, 200);
	answer(1, 0, 200);
	open_rows();
	rows_look(rows, 400);
	assert_int_equal(handed_on, 3);
}

static void at_the_end_nothing_waits(void **state)
{
	use(1, 200);
	use(1, 210);
	answer(1, 0, 200);
	rows_flush(rows, 300);
	assert_int_equal(handed_on, 2);
	assert_int_equal(out[1].outcome.status, 0);
	answer(1, 0, 200);
	rows_look(rows, 400);
	assert_int_equal(handed_on, 2);
}

static void what_makes_no_sense_is_counted(void **state)
{
	row[1].use.creds = 0;
	use(1, 200);
	use(1, 200);
	rows_look(rows, 300);
	rows_look(rows, 400);
	assert_int_equal(outs, 0);
	assert_int_equal(dropped(TT_DROP_bad_record), 2);
}

/* Whatever order things come in, each request is handed on once. */
static void any_order(void **state)
{
	uint64_t seed = 1, counted = 0, waiting[ROWS] = { 0 };
	uint32_t gen = 4;

	for (size_t i = 0; i < ROWS; i++)
		begin(i, 2, 1);
	for (uint64_t now = 2; now < 200000; now++) {
		size_t i;

		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		i = seed >> 60 & (ROWS - 1);
		outs = 0;
		switch (seed >> 40 & 15) {
		case 0:
			rows_look(rows, now);
			break;
		case 1:
			if (row[i].uses && seed >> 50 & 1) {
				end(i, gen += 2, now);
				waiting[i] = 0;
			}
			break;
		case 2: case 3: case 4: case 5: case 6:
			if (waiting[i]) {
				waiting[i]--;
				answer(i, seed >> 35 & 3, (uint16_t)(200 + (seed >> 35 & 3)));
			}
			break;
		case 7:
			if (waiting[i] && row[i].uses - row[i].unsent > mark[i].given) {
				waiting[i]--;
				row[i].unsent++;
				counted--;
			}
			break;
		case 8:
			rows_free(rows);
			open_rows();
			break;
		default:
			use(i, now);
			waiting[i]++;
			counted++;
		}
		assert_true(handed_on <= counted);
	}
	outs = 0;
	rows_flush(rows, 200000);
	assert_int_equal(handed_on, counted);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(free_rows_and_first_uses_are_nothing),
		T(repeats_come_with_their_status),
		T(grpc_statuses_are_told_apart),
		T(a_port_that_changes_is_none),
		T(what_is_not_answered_comes_without_a_status),
		T(withdrawn_requests_are_no_uses),
		T(withdrawn_requests_cost_the_next_ones_no_time), T(very_many_rows_have_their_turn),
		T(taken_uses_are_in_the_ledger),
		T(a_status_without_room_counts_by_its_record),
		T(a_new_status_is_looked_at_at_once),
		T(the_end_of_a_row_brings_the_rest),
		T(a_row_seen_with_its_next_use_before_its_end),
		T(another_agent),
		T(at_the_end_nothing_waits),
		T(what_makes_no_sense_is_counted),
		T(any_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
