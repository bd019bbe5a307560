/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent is told of processes: real ones, with files and rows that the test makes up, at the
 * other end of a real channel.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ipc/chan.h"
#include "monitor/tally.h"

#define ROWS 64
#define GONE 0x7f000000u /* above every pid there is */
enum { FILE_LIBSSL = 7, FILE_SCANNING = 8, FILE_LIBC = 9, FILE_GNUTLS = 10 };

static struct kernel {
	struct tt_cover_key key[ROWS];
	struct tt_cover_row row[ROWS], last[ROWS]; /* what a later look finds */
	bool used[ROWS], has_last[ROWS];
	struct tt_exec exec;
	uint32_t exec_pid;
	int scanning; /* what FILE_SCANNING is */
	int broken;
} kernel;

static int each(struct tally *tally, void *arg)
{
	for (int i = 0; i < ROWS; i++)
		if (kernel.used[i])
			tally_row(tally, &kernel.key[i], &kernel.row[i]);
	return kernel.broken;
}

static int take(const struct tt_cover_key *key, struct tt_cover_row *ret_row, void *arg)
{
	for (int i = 0; i < ROWS; i++)
		if (kernel.used[i] && memcmp(key, &kernel.key[i], sizeof(*key)) == 0) {
			*ret_row = kernel.has_last[i] ? kernel.last[i] : kernel.row[i];
			kernel.used[i] = false;
			return 0;
		}
	return -ENOENT;
}

static int exec_of(uint32_t pid, struct tt_exec *ret_exec, void *arg)
{
	if (pid != kernel.exec_pid)
		return -ENOENT;
	*ret_exec = kernel.exec;
	return 0;
}

static int file_of(uint64_t file, void *arg)
{
	return file == FILE_LIBSSL || file == FILE_GNUTLS ? 1
	       : file == FILE_SCANNING			   ? kernel.scanning
							   : -ENOENT;
}

static bool is_left;

static bool left_of(uint32_t pid, uint64_t cgroup, void *arg)
{
	return is_left;
}

static const struct tally_calls calls = {each, take, exec_of, file_of, left_of, NULL};
static struct procs *procs;
static struct tally *tally;
static int fds[2];
static uint64_t own_start;
static uint32_t own;

static int begin(void **state)
{
	memset(&kernel, 0, sizeof(kernel));
	own = (uint32_t)getpid();
	return procs_new(64, 64, &procs) || tally_new(16, procs, &calls, &tally) || chan_pair(fds) ||
	       procs_alive(procs, own, &own_start);
}

static int end(void **state)
{
	tally_free(tally);
	procs_free(procs);
	close(fds[0]);
	close(fds[1]);
	return 0;
}

static void set_row(int i, uint32_t pid, uint64_t start_ns, uint64_t wire)
{
	kernel.used[i] = true;
	kernel.key[i] = (struct tt_cover_key){start_ns, pid, 0};
	kernel.row[i] = (struct tt_cover_row){
		.cgroup = 5, .exec_ns = 6, .first_tls_ns = 7, .first_call_ns = 8, .uid = 1000,
		.wire = {wire, 2 * wire}, .plain = {wire / 2, 0}, .covered = {(int64_t)wire / 2, 0},
		.sockets = 2, .blind_sockets = 1, .flags = TT_COVER_CLIENT, .comm = "curl",
	};
}

static bool told(struct tt_ipc_cover *ret_m)
{
	_Alignas(8) char message[CHAN_MSG_MAX];
	int fd, type = chan_recv(fds[1], message, chan_to_agent, &fd);

	if (type == -EAGAIN)
		return false;
	assert_int_equal(type, TT_IPC_COVER);
	memcpy(ret_m, message, sizeof(*ret_m));
	return true;
}

static bool tick(struct tt_ipc_cover *ret_m)
{
	assert_int_equal(tally_tick(tally), 0);
	tally_send(tally, 1000);
	return told(ret_m);
}

static void assert_nothing(void)
{
	struct tt_ipc_cover m;

	assert_false(told(&m));
}

static pid_t child_begin(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);	/* a test that fails leaves none behind */
		pause();
		_exit(0);
	}
	assert_true(pid > 0);
	return pid;
}

static void child_end(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* ---- tests ---- */

static void every_field(void **state)
{
	struct tt_ipc_cover m;

	tally_set_agent(tally, fds[0]);
	tally_mapped(tally, own, FILE_LIBSSL);
	tally_mapped(tally, own, FILE_LIBC);
	set_row(0, own, own_start + 123, 1000);
	kernel.row[0].loose[1] = 100;
	kernel.row[0].plain[1] = 100;
	assert_true(tick(&m));
	assert_int_equal(m.tgid, own);
	assert_int_equal(m.start_ns, own_start + 123);
	assert_int_equal(m.cgroup, 5);
	assert_int_equal(m.exec_ns, 6);
	assert_int_equal(m.first_tls_ns, 7);
	assert_int_equal(m.first_call_ns, 8);
	assert_int_equal(m.uid, 1000);
	assert_int_equal(m.sockets, 2);
	assert_int_equal(m.blind_sockets, 1);
	assert_int_equal(m.flags, TT_COVER_CLIENT);
	assert_string_equal((char *)m.comm, "curl");
	assert_int_equal(m.wire[0], 1000);
	assert_int_equal(m.wire[1], 2000);
	assert_int_equal(m.plain[0], 500);
	assert_int_equal(m.covered[0], 500);
	assert_int_equal(m.covered[1], 103); /* whose socket isn't known */
	assert_int_equal(m.file[0], FILE_LIBSSL);
	assert_int_equal(m.file[1], 0);
	assert_nothing();
	assert_false(tick(&m)); /* nothing has changed */
	kernel.row[0].wire[0]++;
	assert_true(tick(&m));
	assert_int_equal(m.wire[0], 1001);
	assert_false(tick(&m));
}

/* Accounts that are out of step for a moment show nothing that can't be. */
static void covered_is_within_wire(void **state)
{
	struct tt_ipc_cover m;

	tally_set_agent(tally, fds[0]);
	set_row(0, own, own_start, 1000);
	kernel.row[0].covered[0] = 5000;
	kernel.row[0].covered[1] = -7;
	kernel.row[0].loose[1] = (uint64_t)-50;
	assert_true(tick(&m));
	assert_int_equal(m.covered[0], 1000);
	assert_int_equal(m.covered[1], 0);
}

/* Gone before anybody looked: told whole, with what it had mapped, once. */
static void short_life(void **state)
{
	struct tt_ipc_cover m;

	tally_set_agent(tally, fds[0]);
	procs_forked(procs, GONE, 1, 5000000000);
	tally_mapped(tally, GONE, FILE_LIBSSL);
	tally_exited(tally, GONE);
	set_row(0, GONE, 5000000000 - 100, 1000);
	kernel.has_last[0] = true;
	kernel.last[0] = kernel.row[0];
	kernel.last[0].wire[0] = 1500; /* moved after the table was read */
	assert_true(tick(&m));
	assert_int_equal(m.start_ns, 5000000000 - 100);
	assert_int_equal(m.flags, TT_COVER_CLIENT | TT_COVER_ENDED);
	assert_int_equal(m.wire[0], 1500);
	assert_int_equal(m.file[0], FILE_LIBSSL);
	assert_nothing();
	assert_false(kernel.used[0]);
	assert_false(tick(&m));
	assert_int_equal(tally_count(tally), 0);
}

/* Whose end was never told: asked for in turn. */
static void lost_end(void **state)
{
	struct tt_ipc_cover m;
	pid_t pid = child_begin();
	uint64_t start_ns;

	tally_set_agent(tally, fds[0]);
	assert_int_equal(procs_alive(procs, (uint32_t)pid, &start_ns), 0);
	set_row(0, (uint32_t)pid, start_ns, 10);
	assert_true(tick(&m));
	assert_int_equal(m.flags & TT_COVER_ENDED, 0);
	tally_exited(tally, (uint32_t)pid); /* of its leader only, say: it still lives */
	assert_false(tick(&m));
	child_end(pid);
	assert_true(tick(&m));
	assert_int_equal(m.flags & TT_COVER_ENDED, TT_COVER_ENDED);
	assert_int_equal(m.wire[0], 10);
	assert_int_equal(tally_count(tally), 0);
}

/* A library that is never used: who it is comes from /proc, and it is told once. */
static void file_without_tls(void **state)
{
	pid_t pid = child_begin();
	struct tt_ipc_cover m;
	uint64_t start_ns;

	tally_set_agent(tally, fds[0]);
	assert_int_equal(procs_alive(procs, (uint32_t)pid, &start_ns), 0);
	kernel.exec_pid = (uint32_t)pid;
	kernel.exec = (struct tt_exec){start_ns + 777, 9999};
	tally_mapped(tally, (uint32_t)pid, FILE_SCANNING);
	assert_false(tick(&m)); /* not known yet */
	kernel.scanning = 1;
	assert_true(tick(&m));
	assert_int_equal(m.tgid, pid);
	assert_int_equal(m.start_ns, start_ns + 777);
	assert_int_equal(m.exec_ns, 9999);
	assert_int_equal(m.uid, getuid());
	assert_string_equal((char *)m.comm, "test_tally");
	assert_int_equal(m.file[0], FILE_SCANNING);
	assert_int_equal(m.wire[0] + m.wire[1] + m.sockets, 0);
	assert_false(tick(&m));
	child_end(pid);
	tally_exited(tally, (uint32_t)pid);
	assert_true(tick(&m));
	assert_int_equal(m.flags, TT_COVER_ENDED);
	assert_int_equal(tally_count(tally), 0);
}

static void file_without_library(void **state)
{
	struct tt_ipc_cover m;

	tally_set_agent(tally, fds[0]);
	tally_mapped(tally, own, FILE_SCANNING);
	assert_int_equal(tally_count(tally), 1);
	kernel.scanning = -ENOENT;
	assert_false(tick(&m));
	assert_int_equal(tally_count(tally), 0);
	tally_mapped(tally, own, FILE_LIBC);
	tally_mapped(tally, own, 0);
	assert_int_equal(tally_count(tally), 0);
}

/* Known to a tick, told so, and then exactly: one at a time. */
static void start_becomes_exact(void **state)
{
	struct tt_ipc_cover m;

	tally_set_agent(tally, fds[0]);
	tally_mapped(tally, own, FILE_LIBSSL);
	assert_true(tick(&m));
	assert_int_equal(m.start_ns, own_start);
	set_row(0, own, own_start + 4000000, 10);
	assert_true(tick(&m));
	assert_int_equal(m.start_ns, own_start);
	assert_int_equal(m.flags, TT_COVER_ENDED);
	assert_true(told(&m));
	assert_int_equal(m.start_ns, own_start + 4000000);
	assert_int_equal(m.flags, TT_COVER_CLIENT);
	assert_int_equal(m.file[0], FILE_LIBSSL);
	assert_nothing();
	assert_int_equal(tally_count(tally), 1);
}

static void fork_copies_exec_clears(void **state)
{
	pid_t pid = child_begin();
	struct tt_ipc_cover m;
	uint64_t start_ns;

	tally_set_agent(tally, fds[0]);
	assert_int_equal(procs_alive(procs, (uint32_t)pid, &start_ns), 0);
	tally_mapped(tally, own, FILE_LIBSSL);
	assert_true(tick(&m));
	tally_batch(tally);
	tally_forked(tally, (uint32_t)pid, own, start_ns);
	assert_true(tick(&m));
	assert_int_equal(m.tgid, pid);
	assert_int_equal(m.file[0], FILE_LIBSSL);
	/* The new program's file, seen before the exec on another CPU, stays. */
	tally_batch(tally);
	tally_mapped(tally, (uint32_t)pid, FILE_GNUTLS);
	tally_exec(tally, (uint32_t)pid);
	assert_true(tick(&m));
	assert_int_equal(m.tgid, pid);
	assert_int_equal(m.file[0], FILE_GNUTLS);
	assert_int_equal(m.file[1], 0);
	tally_batch(tally);
	tally_exec(tally, (uint32_t)pid);
	assert_true(tick(&m));
	assert_int_equal(m.file[0], 0);
	assert_nothing();
	child_end(pid);
}

/* The exec is read before the fork that made the process. */
static void exec_before_fork(void **state)
{
	struct tt_ipc_cover m;
	pid_t pid = child_begin();

	tally_set_agent(tally, fds[0]);
	tally_mapped(tally, own, FILE_LIBSSL);
	assert_true(tick(&m));
	tally_batch(tally);
	tally_exec(tally, (uint32_t)pid);
	tally_forked(tally, (uint32_t)pid, own, 1);
	assert_int_equal(tally_count(tally), 1);
	child_end(pid);
}

static void scan_finds_what_is_mapped(void **state)
{
	struct tt_ipc_cover m;

	tally_set_agent(tally, fds[0]);
	tally_mapped(tally, own, FILE_LIBSSL);
	tally_mapped(tally, own, FILE_GNUTLS);
	assert_true(tick(&m));
	assert_int_equal(m.file[1], FILE_GNUTLS);
	tally_scanned(tally, own);
	tally_mapped(tally, own, FILE_GNUTLS);
	tally_scanned(tally, 1);
	assert_true(tick(&m));
	assert_int_equal(m.file[0], FILE_GNUTLS);
	assert_int_equal(m.file[1], 0);
	tally_scanned(tally, own);
	tally_mapped(tally, own, FILE_GNUTLS);
	assert_false(tick(&m));
}

static void reused_pid(void **state)
{
	struct tt_ipc_cover m;

	tally_set_agent(tally, fds[0]);
	set_row(0, own, own_start - 90000000000, 10);
	assert_true(tick(&m));
	set_row(1, own, own_start, 20);
	assert_true(tick(&m));
	assert_int_equal(m.start_ns, own_start);
	assert_int_equal(m.flags & TT_COVER_ENDED, 0);
	assert_true(told(&m));
	assert_int_equal(m.start_ns, own_start - 90000000000);
	assert_int_equal(m.flags & TT_COVER_ENDED, TT_COVER_ENDED);
	assert_nothing();
	assert_int_equal(tally_count(tally), 1);
}

/* Nothing is lost while there is no agent; a new one is told of all that live. */
static void agents_come_and_go(void **state)
{
	struct tt_ipc_cover m;

	set_row(0, own, own_start, 10);
	set_row(1, GONE, 5000000000, 20);
	assert_false(tick(&m));
	assert_false(tick(&m));
	assert_int_equal(tally_count(tally), 2);
	tally_set_agent(tally, fds[0]);
	assert_false(tally_send(tally, 1000));
	assert_true(told(&m));
	assert_true(told(&m));
	assert_nothing();
	assert_int_equal(tally_count(tally), 1);
	tally_set_agent(tally, -1);
	tally_set_agent(tally, fds[0]);
	assert_false(tally_send(tally, 1000));
	assert_true(told(&m));
	assert_int_equal(m.tgid, own);
	assert_nothing();
}

/* More changes than may be told at once, and an agent that does not read. */
static void the_rest_waits(void **state)
{
	struct tt_ipc_cover m;
	uint64_t seen = 0;

	tally_set_agent(tally, fds[0]);
	for (int i = 0; i < 32; i++)
		set_row(i, GONE + (uint32_t)i, 5000000000, 10);
	assert_int_equal(tally_tick(tally), 0);
	assert_true(tally_send(tally, 20));
	for (int i = 0; i < 20; i++) {
		assert_true(told(&m));
		seen |= 1ULL << (m.tgid - GONE);
	}
	assert_nothing();
	assert_false(tally_send(tally, 20));
	while (told(&m))
		seen |= 1ULL << (m.tgid - GONE);
	assert_int_equal(seen, 0xffffffff);
	set_row(0, own, own_start, 0);
	for (int i = 1; i < 3000; i++) { /* until the channel is full, and beyond */
		kernel.row[0].wire[0] = (uint64_t)i;
		assert_int_equal(tally_tick(tally), 0);
		tally_send(tally, 1000);
	}
	while (told(&m))
		;
	tally_send(tally, 1000);
	assert_true(told(&m));
	assert_int_equal(m.wire[0], 2999);
}

static void no_room(void **state)
{
	struct tt_ipc_cover m;
	uint64_t ended = 0;

	for (int i = 0; i < 40; i++)
		set_row(i, GONE + (uint32_t)i, 5000000000, 10);
	assert_int_equal(tally_tick(tally), 0);
	assert_int_equal(tally_count(tally), 32); /* 16 with a row and 16 with a file */
	assert_int_equal(tally_lost(tally), 8);
	tally_set_agent(tally, fds[0]);
	for (int i = 0; i < 4; i++) { /* the others have room when these have ended */
		assert_int_equal(tally_tick(tally), 0);
		assert_false(tally_send(tally, 1000));
		while (told(&m))
			if (m.flags & TT_COVER_ENDED)
				ended |= 1ULL << (m.tgid - GONE);
	}
	assert_int_equal(ended, (1ULL << 40) - 1);
	assert_int_equal(tally_count(tally), 0);
}

/* As the settings say; of one that is gone, as they last did. */
static void who_is_left_alone(void **state)
{
	struct tt_ipc_cover m;

	tally_set_agent(tally, fds[0]);
	is_left = true;
	set_row(0, own, own_start, 10);
	assert_int_equal(tally_tick(tally), 0);
	tally_send(tally, 10);
	assert_true(told(&m));
	assert_int_equal(m.flags & TT_COVER_LEFT, TT_COVER_LEFT);
	is_left = false;
	assert_int_equal(tally_tick(tally), 0);
	assert_false(tally_send(tally, 10));
	assert_false(told(&m)); /* nothing has changed that it knows of */
	tally_again(tally);
	tally_send(tally, 10);
	assert_true(told(&m));
	assert_int_equal(m.flags & TT_COVER_LEFT, 0);
}

static void unreadable_table(void **state)
{
	kernel.broken = -EPERM;
	assert_int_equal(tally_tick(tally), -EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
		T(every_field),		T(covered_is_within_wire),   T(short_life),
		T(lost_end),		T(file_without_tls),	     T(file_without_library),
		T(start_becomes_exact), T(fork_copies_exec_clears),  T(exec_before_fork),
		T(reused_pid),		T(scan_finds_what_is_mapped), T(agents_come_and_go),
		T(the_rest_waits),	T(no_room),		     T(unreadable_table),
		T(who_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
