/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the monitor's messages to coverage records: when there is one, what is in it, and that sums
 * lose nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "agent/cover.h"

#define MS 1000000ull
#define S (1000 * MS)
#define INTERVAL (60 * S)
#define BOOT (1000 * S)		/* of this clock's 0 */
#define REAL (1767225600 * S)	/* likewise */
#define LIMIT 4

static struct coverage told[64];
static size_t tells;
static struct cover *cover;
static struct process_cache *who;
static uint64_t now;
static int asks;

static int take_ask(void *ctx, const struct tt_ipc_ask *ask)
{
	asks++;
	return 0;
}

static void take_use(void *ctx, const struct tt_ev_use *ev, struct outcome outcome,
		     const struct process_info *info)
{
}

static void take(void *ctx, const struct coverage *c)
{
	assert_true(tells < 64);
	told[tells++] = *c;
}

static const struct process_ops ops = { take_ask, take_use, NULL };

static int setup(void **state)
{
	const struct cover_limits limits = { LIMIT, 4, 2 };

	tells = 0;
	asks = 0;
	now = S;
	assert_int_equal(process_new(16, 16, &ops, NULL, &who), 0);
	assert_int_equal(cover_new(&limits, who, take, NULL, &cover), 0);
	cover_set_interval(cover, INTERVAL);
	cover_set_clock(cover, BOOT + now, REAL + now);
	return 0;
}

static int teardown(void **state)
{
	cover_free(cover);
	process_free(who);
	return 0;
}

/* Time goes by, in steps that a loop would make. */
static void pass(uint64_t ns)
{
	for (uint64_t end = now + ns; now < end;) {
		now += end - now < 100 * MS ? end - now : 100 * MS;
		cover_set_clock(cover, BOOT + now, REAL + now);
		process_tick(who, now);
		cover_tick(cover, now);
	}
}

static struct tt_ipc_cover process(uint32_t tgid)
{
	struct tt_ipc_cover m = { .tgid = tgid, .start_ns = tgid * S, .uid = 33, .comm = "curl",
				  .file = { 7 } };

	return m;
}

static void talk(struct tt_ipc_cover *m, uint64_t wire, uint64_t covered)
{
	if (!m->first_tls_ns)
		m->first_tls_ns = BOOT + now;
	m->sockets = 1;
	m->flags |= TT_COVER_CLIENT;
	m->wire[0] += wire / 2;
	m->wire[1] += wire - wire / 2;
	m->covered[0] += covered / 2;
	m->covered[1] += covered - covered / 2;
}

static void send_file(uint64_t number, uint16_t tls, uint16_t how, uint16_t blind, uint32_t hooks)
{
	struct tt_ipc_attached m = { .file = number, .since_ns = hooks ? BOOT + 5 : 0, .hooks = hooks,
				     .placed = hooks ? hooks - 3 : 0,
				     .finding = { { .tls = tls, .how = how, .blind = blind,
						    .version = "3.0.22" } },
				     .path = "/usr/lib/libssl.so.3" };

	cover_file(cover, &m);
}

static void send_process(const struct tt_ipc_cover *m)
{
	cover_process(cover, m, now);
}

static void answer(uint32_t tgid, const char *executable, const char *cgroup)
{
	struct tt_ipc_proc m = { .tgid = tgid, .start_ns = tgid * S,
				 .known = TT_PROC_EXECUTABLE | TT_PROC_CGROUP };

	snprintf(m.executable, sizeof(m.executable), "%s", executable);
	snprintf(m.cgroup_path, sizeof(m.cgroup_path), "%s", cgroup);
	process_answer(who, &m);
}

static const struct coverage *last(void)
{
	assert_true(tells > 0);
	return &told[tells - 1];
}

static void covered_process(void **state)
{
	struct tt_ipc_cover m = process(100);

	send_file(7, TT_TLS_OPENSSL, TT_HOW_symbols, 0, 9);
	m.exec_ns = BOOT + now - 2 * MS;
	m.first_call_ns = BOOT + now;
	talk(&m, 5000, 5000);
	m.plain[0] = 100;
	m.plain[1] = 200;
	send_process(&m);
	pass(200 * MS);
	assert_int_equal(tells, 0);	/* it is asked who that is */
	assert_int_equal(asks, 1);
	answer(100, "/usr/bin/curl", "/system.slice/web.service");
	pass(200 * MS);
	assert_int_equal(tells, 1);
	assert_int_equal(last()->status, COVERAGE_COVERED);
	assert_int_equal(last()->reason, 0);
	assert_int_equal(last()->pid, 100);
	assert_in_range(last()->time_ns, REAL + now - 100 * MS, REAL + now);
	assert_true(last()->started_ns == REAL - BOOT + 100 * S);
	assert_string_equal(last()->process_name, "curl");
	assert_string_equal(last()->executable, "/usr/bin/curl");
	assert_int_equal(last()->workload_kind, COVERAGE_UNIT);
	assert_string_equal(last()->workload, "web.service");
	assert_int_equal(last()->uid, 33);
	assert_int_equal(last()->libraries, 1);
	assert_int_equal(last()->library[0].tls, TT_TLS_OPENSSL);
	assert_string_equal(last()->library[0].version, "3.0.22");
	assert_string_equal(last()->library[0].path, "/usr/lib/libssl.so.3");
	assert_true(last()->library[0].since_ns == REAL + 5);
	assert_int_equal(last()->library[0].probes, 9);
	assert_int_equal(last()->library[0].placed, 6);
	assert_true(last()->client && !last()->server && !last()->ended);
	assert_int_equal(last()->wire[0] + last()->wire[1], 5000);
	assert_int_equal(last()->plain[1], 200);
	assert_true(last()->exec_to_call_ns == 2 * MS);
	/* Nothing new, no record. */
	send_process(&m);
	pass(2 * INTERVAL);
	assert_int_equal(tells, 1);
	/* More of the same: once per interval. */
	talk(&m, 1000, 1000);
	send_process(&m);
	pass(S);
	talk(&m, 1000, 1000);
	send_process(&m);
	pass(S);
	assert_int_equal(tells, 2);
	pass(INTERVAL);
	assert_int_equal(tells, 3);
	assert_int_equal(last()->wire[0] + last()->wire[1], 7000);
}

static void private_library_is_blind_within_a_second(void **state)
{
	struct tt_ipc_cover m = process(100);

	m.file[0] = 0;
	talk(&m, 500, 0);
	send_process(&m);
	answer(100, "/opt/app", "/");
	pass(300 * MS);
	assert_int_equal(tells, 0);
	pass(600 * MS);
	assert_int_equal(tells, 1);
	assert_int_equal(last()->status, COVERAGE_BLIND);
	assert_int_equal(last()->reason, TT_BLIND_no_library);
	assert_int_equal(last()->workload_kind, COVERAGE_EXECUTABLE);
	assert_string_equal(last()->workload, "/opt/app");
	assert_int_equal(cover_totals(cover)->node.processes[COVERAGE_BLIND], 1);
	/* A verdict that changes is told. */
	talk(&m, 500, 900);
	m.file[0] = 7;
	send_process(&m);
	send_file(7, TT_TLS_OPENSSL, TT_HOW_symbols, 0, 9);
	pass(2 * S);
	assert_int_equal(tells, 2);
	assert_int_equal(last()->status, COVERAGE_PARTIAL);
	assert_int_equal(cover_totals(cover)->node.processes[COVERAGE_BLIND], 0);
	assert_int_equal(cover_totals(cover)->node.processes[COVERAGE_PARTIAL], 1);
}

static void partly_probed_library_says_so(void **state)
{
	struct tt_ipc_attached file = { .file = 7, .since_ns = BOOT + 5, .hooks = 3, .failed = 0,
					.finding = { { .tls = TT_TLS_S2N, .how = TT_HOW_symbols } } };
	struct tt_ipc_cover m = process(100);

	file.finding[0].partly[1] = TT_BLIND_unfit_instruction;
	talk(&m, 1000, 1000);
	m.covered[1] = 0;
	send_process(&m);
	answer(100, "/usr/bin/python3", "/");
	cover_file(cover, &file);
	pass(2 * S);
	assert_int_equal(last()->status, COVERAGE_PARTIAL);
	assert_int_equal(last()->reason, TT_BLIND_unfit_instruction);
	assert_int_equal(last()->library[0].partly[1], TT_BLIND_unfit_instruction);
	assert_int_equal(last()->library[0].blind, TT_BLIND_NONE);
	assert_true(last()->library[0].since_ns != 0);
	/* What changes of it is told. */
	tells = 0;
	file.finding[0].partly[1] = TT_BLIND_attach_refused;
	cover_file(cover, &file);
	pass(2 * S);
	assert_int_equal(tells, 1);
	assert_int_equal(last()->reason, TT_BLIND_attach_refused);
}

static void file_message_may_come_late(void **state)
{
	struct tt_ipc_cover m = process(100);

	talk(&m, 500, 0);
	send_process(&m);
	answer(100, "/usr/bin/java", "/");
	pass(2 * S);
	assert_int_equal(tells, 0);	/* there is a file; what is in it will be told */
	send_file(7, TT_TLS_JSSE, 0, TT_BLIND_jsse, 0);
	pass(S);
	assert_int_equal(tells, 1);
	assert_int_equal(last()->reason, TT_BLIND_jsse);
	assert_true(last()->library[0].since_ns == 0);
}

static void never_told_of_a_file_is_unknown(void **state)
{
	struct tt_ipc_cover m = process(100);

	talk(&m, 500, 0);
	send_process(&m);
	pass(2 * COVERAGE_CALLED_NS);
	assert_int_equal(tells, 1);
	assert_int_equal(last()->status, COVERAGE_UNKNOWN);
	assert_string_equal(last()->executable, "");
	assert_string_equal(last()->workload, "curl");
}

/* A program that only has a library leaves no record; one that goes on running does. */
static void idle_processes(void **state)
{
	struct tt_ipc_cover m = process(100), n = process(101);

	send_file(7, TT_TLS_OPENSSL, TT_HOW_symbols, 0, 9);
	send_process(&m);
	send_process(&n);
	pass(2 * S);
	m.flags |= TT_COVER_ENDED;
	send_process(&m);
	pass(S);
	assert_int_equal(tells, 0);
	assert_int_equal(cover_totals(cover)->node.processes[COVERAGE_IDLE], 1);
	pass(INTERVAL);
	assert_int_equal(tells, 1);
	assert_int_equal(last()->pid, 101);
	assert_int_equal(last()->status, COVERAGE_IDLE);
	n.flags |= TT_COVER_ENDED;
	send_process(&n);
	pass(S);
	assert_int_equal(tells, 2);
	assert_true(last()->ended);
	assert_int_equal(cover_totals(cover)->node.processes[COVERAGE_IDLE], 0);
}

/* One that lives is told of at once; one that ended before that never. */
static void excluded_processes(void **state)
{
	struct tt_ipc_cover m = process(100), n = process(101);

	send_file(7, TT_TLS_OPENSSL, TT_HOW_symbols, 0, 9);
	m.flags |= TT_COVER_LEFT;
	n.flags |= TT_COVER_LEFT | TT_COVER_ENDED;
	send_process(&m);
	send_process(&n);
	pass(S);
	assert_int_equal(tells, 1);
	assert_int_equal(last()->pid, 100);
	assert_int_equal(last()->status, COVERAGE_EXCLUDED);
	assert_int_equal(cover_totals(cover)->node.processes[COVERAGE_EXCLUDED], 1);
	m.flags &= ~(uint32_t)TT_COVER_LEFT;
	send_process(&m);
	pass(2 * S);
	assert_int_equal(tells, 2);
	assert_int_equal(last()->status, COVERAGE_IDLE);
	assert_int_equal(cover_totals(cover)->node.processes[COVERAGE_EXCLUDED], 0);
}

static void short_lived(void **state)
{
	struct tt_ipc_cover m = process(100);

	talk(&m, 500, 500);
	m.flags |= TT_COVER_ENDED;
	send_process(&m);
	send_file(7, TT_TLS_OPENSSL, TT_HOW_symbols, 0, 9);
	answer(100, "/usr/bin/curl", "/");
	pass(S);
	assert_int_equal(tells, 1);
	assert_true(last()->ended);
	assert_int_equal(last()->status, COVERAGE_COVERED);
	/* Without a library: the message on it may still come. */
	m = process(101);
	m.file[0] = 0;
	talk(&m, 500, 0);
	m.flags |= TT_COVER_ENDED;
	send_process(&m);
	answer(101, "/usr/bin/curl", "/");
	pass(200 * MS);
	assert_int_equal(tells, 1);
	pass(S);
	assert_int_equal(tells, 2);
	assert_int_equal(last()->reason, TT_BLIND_no_library);
	pass(2 * INTERVAL);
	assert_int_equal(tells, 2);
}

static void to_and_fro_once_a_second(void **state)
{
	struct tt_ipc_cover m = process(100);

	send_file(7, TT_TLS_OPENSSL, TT_HOW_symbols, 0, 9);
	talk(&m, 1000, 1000);
	for (int i = 0; i < 50; i++) {
		talk(&m, 5000, i % 4 == 2 ? 20000 : 0);
		send_process(&m);
		pass(100 * MS);
	}
	assert_in_range(tells, 2, 6);
}

static void the_library_in_use(void **state)
{
	struct tt_ipc_cover m = process(100);

	send_file(7, TT_TLS_OPENSSL, TT_HOW_symbols, 0, 9);
	send_file(8, TT_TLS_GNUTLS, TT_HOW_symbols, 0, 9);
	m.file[1] = 8;
	m.called = 1U << TT_TLS_OPENSSL;
	talk(&m, 1000, 1000);
	send_process(&m);
	pass(2 * S);
	assert_int_equal(last()->libraries, 2);
	assert_int_equal(coverage_main_library(last())->tls, TT_TLS_OPENSSL);
	m.called |= 1U << TT_TLS_GNUTLS;
	send_process(&m);
	pass(2 * S);
	assert_int_equal(tells, 2);
	assert_null(coverage_main_library(last()));
}

/* libssl has the functions, libcrypto the version. */
static void version_from_another_file(void **state)
{
	struct tt_ipc_cover m = process(100);
	struct tt_ipc_attached ssl = { .file = 8, .hooks = 5, .since_ns = 1,
				       .finding = { { .tls = TT_TLS_OPENSSL, .how = TT_HOW_symbols } } };

	send_file(7, TT_TLS_OPENSSL, 0, 0, 0);
	cover_file(cover, &ssl);
	m.file[1] = 8;
	talk(&m, 1000, 1000);
	send_process(&m);
	pass(S);
	assert_int_equal(last()->libraries, 1);
	assert_string_equal(last()->library[0].version, "3.0.22");
	assert_int_equal(last()->library[0].probes, 5);
	/* Without libssl it is no TLS library, and a process that has no more than that no news. */
	m = process(101);
	send_process(&m);
	pass(2 * INTERVAL);
	assert_int_equal(tells, 1);
	talk(&m, 1000, 0);
	send_process(&m);
	pass(S);
	assert_int_equal(last()->libraries, 0);
	assert_int_equal(last()->reason, TT_BLIND_no_library);
}

static void exec_is_another_program(void **state)
{
	struct tt_ipc_cover m = process(100);

	send_file(7, TT_TLS_OPENSSL, TT_HOW_symbols, 0, 9);
	talk(&m, 1000, 1000);
	send_process(&m);
	answer(100, "/bin/sh", "/");
	pass(S);
	assert_string_equal(last()->executable, "/bin/sh");
	m.exec_ns = BOOT + now;
	memcpy(m.comm, "wget", 5);
	send_process(&m);
	answer(100, "/usr/bin/wget", "/");
	talk(&m, 1000, 0);
	send_process(&m);
	pass(3 * S);
	assert_string_equal(last()->executable, "/usr/bin/wget");
	assert_string_equal(last()->process_name, "wget");
}

static uint64_t sum_of_workloads(void)
{
	const struct coverage_totals *t = cover_totals(cover);
	uint64_t n = t->other.wire[0] + t->other.wire[1];

	for (size_t i = 0; i < t->workloads; i++)
		n += t->workload[i].sum.wire[0] + t->workload[i].sum.wire[1];
	return n;
}

static void sums_and_limits(void **state)
{
	const struct coverage_sum *node = &cover_totals(cover)->node;
	char unit[32];

	send_file(7, TT_TLS_OPENSSL, TT_HOW_symbols, 0, 9);
	for (uint32_t i = 0; i < 20; i++) {
		struct tt_ipc_cover m = process(100 + i);

		for (int k = 0; k < 3; k++) {
			talk(&m, 1000, 600);
			send_process(&m);
		}
		snprintf(unit, sizeof(unit), "/a/%u.service", i % 5);
		answer(100 + i, "/usr/bin/x", unit);
		pass(300 * MS);
	}
	assert_int_equal(node->wire[0] + node->wire[1], 60000);
	assert_int_equal(node->covered[0] + node->covered[1], 36000);
	assert_int_equal(node->sockets, 20);
	assert_int_equal(sum_of_workloads(), 60000);
	assert_int_equal(node->processes[COVERAGE_PARTIAL], LIMIT);
	/* Those that had to go were told of. */
	assert_int_equal(tells, 20);
	cover_flush(cover, now);
	assert_int_equal(tells, 20);
}

/* Each byte once, however often it is looked at. */
static void sums_grow(void **state)
{
	struct tt_ipc_cover m = process(100);

	send_file(7, TT_TLS_OPENSSL, TT_HOW_symbols, 0, 9);
	for (uint64_t i = 1; i <= 3; i++) {
		talk(&m, 1000, 600);
		send_process(&m);
		answer(100, "/usr/bin/x", "/a/b.service");
		pass(S);
		assert_int_equal(sum_of_workloads(), 1000 * i);
	}
}

static void flush_tells_what_waits(void **state)
{
	struct tt_ipc_cover m = process(100);

	talk(&m, 1000, 600);
	send_process(&m);
	cover_flush(cover, now);
	assert_int_equal(tells, 1);
	assert_int_equal(last()->wire[0], 500);
}

static void hostile_text(void **state)
{
	struct tt_ipc_cover m = process(100);
	struct tt_ipc_attached f = { .file = 7, .hooks = 1,
				     .finding = { { .tls = TT_TLS_OPENSSL, .how = 1 } } };

	memset(f.path, 0x1b, sizeof(f.path));
	memset(f.finding[0].version, 0xff, sizeof(f.finding[0].version));
	cover_file(cover, &f);
	memset(m.comm, '\n', sizeof(m.comm));
	talk(&m, 1000, 9999);
	send_process(&m);
	pass(2 * S);
	assert_int_equal(strspn(last()->process_name, "?"), TT_COMM_LEN - 1);
	assert_int_equal(strspn(last()->library[0].path, "?"), TT_IPC_PATH_LEN - 1);
	assert_int_equal(strspn(last()->library[0].version, "?"), TT_VERSION_LEN - 1);
	/* More covered than there is: not more than all. */
	assert_int_equal(last()->covered[0] + last()->covered[1], 1000);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(covered_process),
		TEST(private_library_is_blind_within_a_second),
		TEST(partly_probed_library_says_so),
		TEST(file_message_may_come_late),
		TEST(never_told_of_a_file_is_unknown),
		TEST(idle_processes),
		TEST(excluded_processes),
		TEST(short_lived),
		TEST(to_and_fro_once_a_second),
		TEST(the_library_in_use),
		TEST(version_from_another_file),
		TEST(exec_is_another_program),
		TEST(sums_and_limits),
		TEST(sums_grow),
		TEST(flush_tells_what_waits),
		TEST(hostile_text),
	};

	return cmocka_run_group_tests_name("cover", tests, NULL, NULL);
}
