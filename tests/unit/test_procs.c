/* SPDX-License-Identifier: Apache-2.0 */
/* Who was that process: start times, paths of deleted files, /proc texts, what is kept how long. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "monitor/procs.h"

#define MS 1000000ULL
/* Above every pid there is: /proc has nothing to say about these. */
#define GONE 0x7f000000u

static void start_times_of_two_clocks(void **state)
{
	assert_true(procs_same_start(1000 * MS, 1000 * MS));
	assert_true(procs_same_start(1000 * MS, 1009 * MS)); /* ticks are cut down */
	assert_true(procs_same_start(1009 * MS, 1000 * MS));
	assert_false(procs_same_start(1000 * MS, 1100 * MS));
	assert_false(procs_same_start(0, 1000 * MS));
}

static void stat_with_a_hostile_name(void **state)
{
	uint64_t ns = 0;

	assert_int_equal(
		procs_parse_stat(
			"7 (a) b (1 2 3) R 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 12345 1 1", 100,
			&ns),
		0);
	assert_int_equal(ns, 123450 * MS);
	assert_int_equal(procs_parse_stat("7 (x) R 1 7 7", 100, &ns), -EINVAL);
	assert_int_equal(procs_parse_stat("", 100, &ns), -EINVAL);
	assert_int_equal(
		procs_parse_stat("7 (x) R 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 x", 100, &ns),
		-EINVAL);
}

static void who_is_dead(void **state)
{
	assert_false(procs_parse_dead("7 (a) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 1 1"));
	assert_true(procs_parse_dead("7 (a) Z 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 1 1"));
	/* The leader has ended, another thread has not. */
	assert_false(procs_parse_dead("7 (a) Z 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 2 0 5 1 1"));
	assert_false(procs_parse_dead("7 (a) Z) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 1 1"));
	assert_false(procs_parse_dead("7 (a) Z"));
	assert_false(procs_parse_dead(""));
}

static void uid_line(void **state)
{
	uint32_t uid = 7;

	assert_int_equal(procs_parse_uid("Name:\tUid:\nUid:\t1000\t0\t0\t0\n", &uid), 0);
	assert_int_equal(uid, 1000);
	assert_int_equal(procs_parse_uid("Name:\tx\n", &uid), -EINVAL);
	assert_int_equal(procs_parse_uid("Name:\tx\nUid:\t", &uid), -EINVAL);
}

static void dead_and_alive(void **state)
{
	struct procs_identity who;
	struct procs *procs;
	uint64_t start_ns, again_ns;
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	assert_int_equal(procs_new(64, 64, &procs), 0);
	assert_int_equal(procs_alive(procs, (uint32_t)pid, &start_ns), 0);
	assert_int_equal(procs_start(procs, (uint32_t)pid, &again_ns), 0);
	assert_int_equal(again_ns, start_ns);
	assert_int_equal(procs_identify(procs, (uint32_t)pid, &who), 0);
	assert_string_equal(who.comm, "test_procs");
	assert_int_equal(who.uid, getuid());
	procs_forked(procs, (uint32_t)pid, (uint32_t)getpid(), start_ns + 5);
	kill(pid, SIGKILL);
	for (int i = 0; i < 1000 && procs_alive(procs, (uint32_t)pid, &again_ns) == 0; i++)
		usleep(1000);
	assert_int_equal(procs_alive(procs, (uint32_t)pid, &again_ns), -ESRCH); /* a zombie */
	waitpid(pid, NULL, 0);
	assert_int_equal(procs_alive(procs, (uint32_t)pid, &again_ns), -ESRCH);
	assert_int_not_equal(procs_identify(procs, (uint32_t)pid, &who), 0);
	assert_int_equal(procs_start(procs, (uint32_t)pid, &again_ns), 0); /* remembered */
	assert_int_equal(again_ns, start_ns + 5);
	procs_free(procs);
}

static void cgroup_line(void **state)
{
	char path[32];

	assert_int_equal(procs_parse_cgroup("12:cpu:/a\n0::/kube/pod1\n", path, sizeof(path)), 0);
	assert_string_equal(path, "/kube/pod1");
	assert_int_equal(procs_parse_cgroup("0::/", path, sizeof(path)), 0);
	assert_string_equal(path, "/");
	assert_int_equal(procs_parse_cgroup("1:name=systemd:/0::/x\n", path, sizeof(path)),
			 -ENOENT);
	assert_int_equal(procs_parse_cgroup("0::/a-name-that-is-longer-than-the-buffer\n", path,
					    sizeof(path)),
			 0);
	assert_int_equal(strlen(path), sizeof(path) - 1);
}

static void mountinfo_line(void **state)
{
	char path[64];

	assert_int_equal(procs_parse_mountinfo("22 27 0:21 / /proc rw,relatime - proc proc rw\n"
					       "35 27 0:30 / /sys/fs/cgroup/uni\\040fied rw,nosuid "
					       "shared:9 - cgroup2 cgroup2 rw\n",
					       path, sizeof(path)),
			 0);
	assert_string_equal(path, "/sys/fs/cgroup/uni fied");
	assert_int_equal(
		procs_parse_mountinfo("22 27 0:21 / /proc rw - proc proc rw\n", path, sizeof(path)),
		-ENOENT);
	assert_int_equal(procs_parse_mountinfo("", path, sizeof(path)), -ENOENT);
}

static void only_the_kernels_suffix_goes(void **state)
{
	char gone[] = "/opt/app (deleted)", named[] = "/opt/app (deleted)", other[] = "/opt/app";
	char bare[] = " (deleted)";

	procs_strip_deleted(gone, false);
	assert_string_equal(gone, "/opt/app");
	procs_strip_deleted(named, true);
	assert_string_equal(named, "/opt/app (deleted)");
	procs_strip_deleted(other, false);
	assert_string_equal(other, "/opt/app");
	procs_strip_deleted(bare, false);
	assert_string_equal(bare, " (deleted)");
}

static struct tt_ipc_proc ask(struct procs *procs, uint32_t pid, uint64_t start_ns)
{
	struct tt_ipc_proc answer = {.tgid = pid, .start_ns = start_ns};

	procs_answer(procs, &answer);
	return answer;
}

static void short_lived_process_is_remembered(void **state)
{
	struct procs *procs;
	struct tt_ipc_proc answer;

	assert_int_equal(procs_new(64, 64, &procs), 0);
	procs_forked(procs, GONE + 1, GONE, 5000 * MS);
	procs_exec(procs, GONE + 1);
	procs_mapped(procs, GONE + 1, "/usr/bin/curl");
	procs_mapped(procs, GONE + 1, "/lib/ld.so"); /* not the first after exec */
	procs_exited(procs, GONE + 1, 6000 * MS);
	answer = ask(procs, GONE + 1, 5000 * MS);
	assert_int_equal(answer.known, TT_PROC_EXECUTABLE);
	assert_string_equal(answer.executable, "/usr/bin/curl");
	assert_int_equal(procs_parent(procs, GONE + 1), GONE);

	/* The pid alone is not enough: this is another process of the same number. */
	answer = ask(procs, GONE + 1, 9000 * MS);
	assert_int_equal(answer.known, 0);

	procs_age(procs, 6000 * MS + PROCS_KEEP_NS);
	assert_int_equal(procs_count(procs), 1);
	procs_age(procs, 6000 * MS + PROCS_KEEP_NS + 1);
	assert_int_equal(procs_count(procs), 0);
	procs_free(procs);
}

static void worker_inherits_the_program(void **state)
{
	struct procs *procs;

	assert_int_equal(procs_new(64, 64, &procs), 0);
	procs_forked(procs, GONE + 1, GONE, 1000 * MS);
	procs_exec(procs, GONE + 1);
	procs_mapped(procs, GONE + 1, "/usr/sbin/nginx");
	procs_forked(procs, GONE + 2, GONE + 1, 2000 * MS);
	procs_mapped(procs, GONE + 2, "/usr/lib/module.so");
	assert_string_equal(ask(procs, GONE + 2, 2000 * MS).executable, "/usr/sbin/nginx");
	procs_free(procs);
}

static void reused_pid_starts_afresh(void **state)
{
	struct procs *procs;

	assert_int_equal(procs_new(64, 64, &procs), 0);
	procs_forked(procs, GONE + 1, GONE, 1000 * MS);
	procs_exec(procs, GONE + 1);
	procs_mapped(procs, GONE + 1, "/usr/bin/first");
	procs_forked(procs, GONE + 1, GONE, 8000 * MS);
	assert_int_equal(ask(procs, GONE + 1, 1000 * MS).known, 0);
	assert_int_equal(ask(procs, GONE + 1, 8000 * MS).known, 0);
	assert_int_equal(procs_count(procs), 1);
	procs_free(procs);
}

static void full_table_forgets_the_oldest(void **state)
{
	struct procs *procs;

	assert_int_equal(procs_new(3, 64, &procs), 0);
	for (uint32_t i = 1; i <= 5; i++) {
		procs_forked(procs, GONE + i, GONE, i * 1000 * MS);
		procs_exec(procs, GONE + i);
		procs_mapped(procs, GONE + i, "/bin/x");
	}
	assert_int_equal(procs_count(procs), 3);
	assert_int_equal(ask(procs, GONE + 2, 2000 * MS).known, 0);
	assert_int_equal(ask(procs, GONE + 3, 3000 * MS).known, TT_PROC_EXECUTABLE);
	procs_free(procs);
}

static void cgroups_by_event(void **state)
{
	struct tt_ipc_proc answer = {.tgid = GONE, .cgroup = ~1ULL};
	struct procs *procs;

	assert_int_equal(procs_new(8, 2, &procs), 0);
	procs_cgroup_made(procs, ~1ULL, "/kube/pod1/c1");
	procs_answer(procs, &answer);
	assert_int_equal(answer.known, TT_PROC_CGROUP);
	assert_string_equal(answer.cgroup_path, "/kube/pod1/c1");
	procs_cgroup_made(procs, ~2ULL, "/b");
	procs_cgroup_made(procs, ~3ULL, "/c"); /* the first makes room */
	procs_answer(procs, &answer);
	assert_int_equal(answer.known, 0);
	procs_free(procs);
}

/* This test's own child: found in /proc with its real start time, and its deleted program named. */
static void living_process_is_read(void **state)
{
	char dir[] = "/tmp/tt_test_procs_XXXXXX", path[64], command[160], name[32], text[512];
	struct tt_ipc_proc answer;
	struct procs *procs;
	uint64_t start_ns;
	pid_t pid;
	FILE *f;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/sleeper", dir);
	snprintf(command, sizeof(command), "cp /bin/sleep %s", path);
	assert_int_equal(system(command), 0);
	pid = fork();
	if (pid == 0) {
		execl(path, "sleeper", "30", (char *)NULL);
		_exit(1);
	}
	assert_int_equal(procs_new(8, 8, &procs), 0);
	snprintf(name, sizeof(name), "/proc/%d/stat", pid);
	for (int i = 0; i < 200; i++) { /* until it runs the new program */
		f = fopen(name, "r");
		assert_non_null(f);
		assert_non_null(fgets(text, sizeof(text), f));
		fclose(f);
		if (strstr(text, "(sleeper)"))
			break;
		usleep(10000);
	}
	assert_int_equal(procs_parse_stat(text, sysconf(_SC_CLK_TCK), &start_ns), 0);
	answer = ask(procs, (uint32_t)pid, start_ns + 5 * MS);
	assert_string_equal(answer.executable, path);
	assert_int_equal(ask(procs, (uint32_t)pid, start_ns + 5000 * MS).known & TT_PROC_EXECUTABLE,
			 0);

	assert_int_equal(unlink(path), 0);
	assert_string_equal(ask(procs, (uint32_t)pid, start_ns).executable, path);

	procs_scanned(procs, (uint32_t)pid);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_string_equal(ask(procs, (uint32_t)pid, start_ns).executable, path);
	procs_free(procs);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(start_times_of_two_clocks),
		cmocka_unit_test(stat_with_a_hostile_name),
		cmocka_unit_test(who_is_dead),
		cmocka_unit_test(uid_line),
		cmocka_unit_test(dead_and_alive),
		cmocka_unit_test(cgroup_line),
		cmocka_unit_test(mountinfo_line),
		cmocka_unit_test(only_the_kernels_suffix_goes),
		cmocka_unit_test(short_lived_process_is_remembered),
		cmocka_unit_test(worker_inherits_the_program),
		cmocka_unit_test(reused_pid_starts_afresh),
		cmocka_unit_test(full_table_forgets_the_oldest),
		cmocka_unit_test(cgroups_by_event),
		cmocka_unit_test(living_process_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
