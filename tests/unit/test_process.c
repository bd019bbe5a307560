/* SPDX-License-Identifier: Apache-2.0 */
/* Who a process is: asked once, waited for a moment, and no request lost over it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "enrich/process.h"

#define LIMIT 4
#define HOLD 3
#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct {
	uint32_t tgid, seq;
	struct outcome outcome;
	struct process_info info;
} out[1024];
static size_t outs;
static struct tt_ipc_ask asked[1024];
static size_t asks;
static int ask_answer;
static struct process_cache *cache;

static int take_ask(void *ctx, const struct tt_ipc_ask *ask)
{
	assert_int_equal(ask->h.type, TT_IPC_ASK);
	assert_int_equal(ask->h.len, sizeof(*ask));
	asked[asks++ % 1024] = *ask;
	return ask_answer;
}

static void take(void *ctx, const struct tt_ev_use *ev, struct outcome outcome,
		 const struct process_info *info)
{
	assert_true(outs < 1024);
	out[outs].tgid = ev->h.tgid;
	out[outs].seq = ev->h.seq;
	out[outs].outcome = outcome;
	out[outs++].info = *info;
}

static struct tt_ipc_look looked[16];
static size_t looks;

static int take_look(void *ctx, const struct tt_ipc_look *look)
{
	assert_int_equal(look->h.type, TT_IPC_LOOK);
	assert_true(looks < 16);
	looked[looks++] = *look;
	return 0;
}

static const struct process_ops ops = { take_ask, take, NULL };
static const struct process_ops ops_look = { take_ask, take, take_look };

static int setup(void **state)
{
	outs = asks = 0;
	ask_answer = 0;
	return process_new(LIMIT, HOLD, &ops, NULL, &cache);
}

static int teardown(void **state)
{
	process_free(cache);
	return 0;
}

static struct tt_ev_use event(uint32_t tgid, uint32_t seq, const char *comm)
{
	struct tt_ev_use ev = { .h = { .tgid = tgid, .start_ns = tgid * 10, .cgroup = 77,
				       .seq = seq } };

	memcpy(ev.h.comm, comm, strlen(comm));
	return ev;
}

static void submit(uint32_t tgid, uint32_t seq, uint64_t now)
{
	struct tt_ev_use ev = event(tgid, seq, "curl");

	process_submit(cache, &ev, (struct outcome){ .status = 200, .has_grpc = true, .grpc_status = 7 }, now);
}

static void answer(uint32_t tgid, const char *executable, const char *cgroup)
{
	struct tt_ipc_proc m = { .tgid = tgid, .start_ns = tgid * 10 };

	if (executable) {
		m.known |= TT_PROC_EXECUTABLE;
		snprintf(m.executable, sizeof(m.executable), "%s", executable);
	}
	if (cgroup) {
		m.known |= TT_PROC_CGROUP;
		snprintf(m.cgroup_path, sizeof(m.cgroup_path), "%s", cgroup);
	}
	process_answer(cache, &m);
}

static void unknown_is_asked_once_and_waited_for(void **state)
{
	struct tt_ev_use ev = event(1, 0, "curl");

	process_want(cache, &ev.h, 0);
	assert_int_equal(asks, 1);
	assert_int_equal(asked[0].tgid, 1);
	assert_int_equal(asked[0].start_ns, 10);
	assert_int_equal(asked[0].cgroup, 77);
	submit(1, 0, 1);
	submit(1, 1, 2);
	assert_int_equal(asks, 1);
	assert_int_equal(outs, 0);
	assert_int_equal(process_held(cache), 2);
	answer(1, "/usr/bin/curl", "/docker/" ID);
	assert_int_equal(outs, 2);
	assert_int_equal(process_held(cache), 0);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(out[i].seq, i);
		assert_int_equal(out[i].outcome.status, 200);
		assert_true(out[i].outcome.has_grpc);
		assert_int_equal(out[i].outcome.grpc_status, 7);
		assert_string_equal(out[i].info.executable, "/usr/bin/curl");
		assert_string_equal(out[i].info.container_id, ID);
	}
	submit(1, 2, 3);
	assert_int_equal(outs, 3);
	assert_int_equal(asks, 1);
}

static void late_answer_is_not_waited_for_but_kept(void **state)
{
	submit(1, 0, 100);
	process_tick(cache, 100 + PROCESS_HOLD_NS - 1);
	assert_int_equal(outs, 0);
	process_tick(cache, 100 + PROCESS_HOLD_NS);
	assert_int_equal(outs, 1);
	assert_string_equal(out[0].info.executable, "");
	submit(1, 1, 100 + PROCESS_HOLD_NS);
	assert_int_equal(outs, 2);
	answer(1, "/bin/a", NULL);
	submit(1, 2, 100 + PROCESS_HOLD_NS);
	assert_string_equal(out[2].info.executable, "/bin/a");
	assert_string_equal(out[2].info.container_id, "");
	assert_int_equal(asks, 1);
}

static void answer_that_knows_nothing_ends_the_wait(void **state)
{
	submit(1, 0, 0);
	answer(1, NULL, NULL);
	assert_int_equal(outs, 1);
	submit(1, 1, 0);
	assert_int_equal(outs, 2);
	assert_int_equal(asks, 1);
}

static void answers_go_to_their_process_only(void **state)
{
	submit(1, 0, 0);
	submit(2, 0, 0);
	answer(3, "/bin/c", NULL);
	assert_int_equal(outs, 0);
	answer(2, "/bin/b", NULL);
	assert_int_equal(outs, 1);
	assert_int_equal(out[0].tgid, 2);
	answer(1, "/bin/a", NULL);
	assert_string_equal(out[1].info.executable, "/bin/a");
}

static void another_name_is_another_program(void **state)
{
	struct tt_ev_use ev = event(1, 5, "sh");

	submit(1, 0, 0);
	answer(1, "/usr/bin/curl", NULL);
	process_submit(cache, &ev, (struct outcome){ .status = 200 }, 1);
	assert_int_equal(asks, 2);
	answer(1, "/bin/sh", NULL);
	assert_int_equal(outs, 2);
	assert_string_equal(out[1].info.executable, "/bin/sh");
	submit(1, 6, 2);
	assert_string_equal(out[2].info.executable, "/usr/bin/curl");
}

static void nobody_to_ask_holds_nothing_and_asks_again(void **state)
{
	ask_answer = -EAGAIN;
	submit(1, 0, 0);
	assert_int_equal(outs, 1);
	ask_answer = 0;
	submit(1, 1, 0);
	assert_int_equal(outs, 1);
	assert_int_equal(asks, 2);
	answer(1, "/bin/a", NULL);
	assert_int_equal(outs, 2);
}

static void bounded_in_what_waits(void **state)
{
	for (uint32_t i = 0; i < 10; i++)
		submit(1 + i % 2, i, 0);
	assert_true(process_held(cache) <= HOLD);
	process_flush(cache);
	assert_int_equal(outs, 10);
}

static void bounded_in_processes(void **state)
{
	for (uint32_t i = 1; i <= LIMIT; i++) {
		submit(i, i, 0);
		answer(i, "/bin/x", NULL);
	}
	submit(1, 100, 1);
	submit(50, 50, 1);
	assert_int_equal(asks, LIMIT + 1);
	answer(50, "/bin/y", NULL);
	/* 2 was the longest unused: asked again; 1 was not. */
	submit(1, 101, 2);
	assert_int_equal(asks, LIMIT + 1);
	submit(2, 102, 2);
	assert_int_equal(asks, LIMIT + 2);
}

static void forgotten_while_waiting_still_comes_out(void **state)
{
	for (uint32_t i = 1; i <= 3; i++)
		submit(i, i, 0);
	for (uint32_t i = 4; i <= 20; i++) {
		struct tt_ev_use ev = event(i, 0, "x");

		process_want(cache, &ev.h, 1);
	}
	assert_int_equal(outs, 3);
}

static void paths_without_an_end_are_cut(void **state)
{
	struct tt_ipc_proc m = { .tgid = 1, .start_ns = 10,
				 .known = TT_PROC_EXECUTABLE | TT_PROC_CGROUP };

	memset(m.executable, 'a', sizeof(m.executable));
	memset(m.cgroup_path, '/', sizeof(m.cgroup_path));
	submit(1, 0, 0);
	process_answer(cache, &m);
	assert_int_equal(strlen(out[0].info.executable), sizeof(m.executable) - 1);
	assert_string_equal(out[0].info.container_id, "");
}

static void open_questions_are_bounded(void **state)
{
	struct process_cache *big;

	assert_int_equal(process_new(10000, 10, &ops, NULL, &big), 0);
	for (uint32_t i = 1; i <= 1000; i++) {
		struct tt_ev_use ev = event(i, 0, "x");

		process_want(big, &ev.h, 0);
	}
	assert_int_equal(asks, 256);
	process_tick(big, PROCESS_HOLD_NS);
	submit(1, 0, 0);
	process_free(big);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static void known_when_asked(void **state)
{
	struct tt_ev_use ev = event(1, 0, "curl"), other = event(2, 0, "curl");
	struct process_info info;

	assert_false(process_know(cache, &ev.h, 0, &info));
	assert_int_equal(asks, 1);
	answer(1, "/usr/bin/curl", "/system.slice/web.service");
	assert_true(process_know(cache, &ev.h, 1, &info));
	assert_string_equal(info.executable, "/usr/bin/curl");
	assert_int_equal(info.workload_kind, COVERAGE_UNIT);
	assert_string_equal(info.workload, "web.service");
	assert_int_equal(asks, 1);
	/* Nobody answers: known as far as can be. */
	assert_false(process_know(cache, &other.h, 1, &info));
	process_tick(cache, 1 + PROCESS_HOLD_NS);
	assert_true(process_know(cache, &other.h, 1 + PROCESS_HOLD_NS, &info));
	assert_string_equal(info.executable, "");
	assert_string_equal(info.workload, "");
}

static void workloads(void **state)
{
	static const struct {
		const char *executable, *cgroup;
		enum coverage_kind kind;
		const char *name;
	} rows[] = {
		{ "/bin/x", "/system.slice/docker-" ID ".scope", COVERAGE_CONTAINER, ID },
		{ "/bin/x", "/system.slice/x.service", COVERAGE_UNIT, "x.service" },
		{ "/bin/x", "/jobs/7", COVERAGE_CGROUP, "/jobs/7" },
		{ "/bin/x", "/", COVERAGE_EXECUTABLE, "/bin/x" },
		{ "/bin/x", NULL, COVERAGE_EXECUTABLE, "/bin/x" },
		{ NULL, "/", COVERAGE_NO_WORKLOAD, "" },
	};

	for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tt_ev_use ev = event(10 + i, 0, "x");
		struct process_info info;

		process_want(cache, &ev.h, 0);
		answer(10 + i, rows[i].executable, rows[i].cgroup);
		assert_true(process_know(cache, &ev.h, 0, &info));
		assert_int_equal(info.workload_kind, rows[i].kind);
		assert_string_equal(info.workload, rows[i].name);
	}
}

#define UID "2f3a7c1e-8f7e-4a39-9d55-5be0f3f7a111"
#define POD_PATH "/kubepods/burstable/pod" UID "/" ID

static void place(uint32_t tgid, const char *pod_dir)
{
	struct tt_ipc_place m = { .tgid = tgid, .start_ns = tgid * 10 };

	snprintf(m.pod_dir, sizeof(m.pod_dir), "%s", pod_dir);
	process_place(cache, &m);
}

/* One question for all processes of a container; what waits for its answer is not lost either. */
static void containers_are_looked_at_once(void **state)
{
	process_free(cache);
	looks = 0;
	assert_int_equal(process_new(LIMIT, 16, &ops_look, NULL, &cache), 0);
	submit(1, 0, 0);
	submit(2, 0, 0);
	answer(1, "/bin/app", POD_PATH);
	assert_int_equal(looks, 1);
	assert_string_equal(looked[0].container, ID);
	assert_string_equal(looked[0].pod, UID);
	assert_int_equal(outs, 0);
	answer(2, "/bin/app", POD_PATH);
	place(1, "shop_cart-0_" UID);
	assert_int_equal(outs, 2);
	for (int i = 0; i < 2; i++) {
		assert_non_null(out[i].info.work);
		assert_string_equal(out[i].info.work->pod, "cart-0");
		assert_string_equal(out[i].info.work->namespace, "shop");
	}
	assert_ptr_equal(out[0].info.work, out[1].info.work);
	submit(3, 0, 1);
	answer(3, "/bin/app", POD_PATH);
	assert_int_equal(outs, 3);
	assert_ptr_equal(out[2].info.work, out[0].info.work);
	assert_true(looks <= 2);
	assert_int_equal(process_held(cache), 0);
}

static void an_answer_that_never_comes_holds_nobody(void **state)
{
	process_free(cache);
	looks = 0;
	assert_int_equal(process_new(LIMIT, 16, &ops_look, NULL, &cache), 0);
	submit(1, 0, 0);
	answer(1, "/bin/app", POD_PATH);
	process_tick(cache, PROCESS_HOLD_NS - 1);
	assert_int_equal(outs, 0);
	process_tick(cache, PROCESS_HOLD_NS);
	assert_int_equal(outs, 1);
	assert_null(out[0].info.work);
	place(1, "shop_cart-0_" UID);	/* late: good for the next ones */
	submit(1, 1, PROCESS_HOLD_NS + 1);
	assert_int_equal(outs, 2);
	assert_string_equal(out[1].info.work->pod, "cart-0");
	place(77, "shop_cart-0_" UID);	/* of nobody */
}

static void processes_of_a_unit_share_it(void **state)
{
	submit(1, 0, 0);
	submit(2, 0, 0);
	answer(1, "/bin/a", "/system.slice/web.service");
	answer(2, "/bin/b", "/system.slice/web.service");
	assert_int_equal(outs, 2);
	assert_string_equal(out[0].info.work->kind, "unit");
	assert_ptr_equal(out[0].info.work, out[1].info.work);
	assert_int_equal(out[0].info.work->holders, 3);	/* two processes and the table */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(unknown_is_asked_once_and_waited_for),
		TEST(late_answer_is_not_waited_for_but_kept),
		TEST(answer_that_knows_nothing_ends_the_wait),
		TEST(answers_go_to_their_process_only),
		TEST(another_name_is_another_program),
		TEST(nobody_to_ask_holds_nothing_and_asks_again),
		TEST(bounded_in_what_waits),
		TEST(bounded_in_processes),
		TEST(forgotten_while_waiting_still_comes_out),
		TEST(paths_without_an_end_are_cut),
		TEST(open_questions_are_bounded),
		TEST(known_when_asked),
		TEST(workloads),
		TEST(containers_are_looked_at_once),
		TEST(an_answer_that_never_comes_holds_nobody),
		TEST(processes_of_a_unit_share_it),
	};

	return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
