/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions about files and their answers, against a made-up agent at the other end of a real
 * channel. Nothing is probed here: tests/bpf/test_attach.c does that.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "ipc/chan.h"
#include "monitor/targets.h"

#define FILES 40

static char dir[] = "/tmp/tt_test_targets_XXXXXX";
static char paths[FILES][64];

static int make_files(void **state)
{
	if (!mkdtemp(dir))
		return -1;
	for (int i = 0; i < FILES; i++) {
		snprintf(paths[i], sizeof(paths[i]), "%s/file%02d", dir, i);
		_cleanup_fclose_ FILE *f = fopen(paths[i], "w");

		if (!f || fprintf(f, "content %-4000d", i) < 0)
			return -1;
	}
	return 0;
}

static int remove_files(void **state)
{
	for (int i = 0; i < FILES; i++)
		unlink(paths[i]);
	return rmdir(dir);
}

/* What the agent is asked next; 0: nothing. */
static uint64_t take_question(int fd, char *ret_path)
{
	_Alignas(8) char message[CHAN_MSG_MAX];
	_cleanup_close_ int file = -EBADF;
	const struct tt_ipc_file *m = (const void *)message;
	int type = chan_recv(fd, message, chan_to_agent, &file);

	if (type == -EAGAIN)
		return 0;
	assert_int_equal(type, TT_IPC_FILE);
	assert_true(file >= 0);
	if (ret_path)
		memcpy(ret_path, m->path, sizeof(m->path));
	return m->file;
}

static int answer(struct targets *targets, uint64_t file, enum tt_scan result)
{
	struct tt_ipc_scanned m = {.file = file, .result = result};

	return targets_scanned(targets, &m);
}

/* What the agent is told of a file; questions in between are passed over. */
static bool take_attached(int fd, struct tt_ipc_attached *ret_m)
{
	_Alignas(8) char message[CHAN_MSG_MAX];

	for (;;) {
		_cleanup_close_ int file = -EBADF;
		int type = chan_recv(fd, message, chan_to_agent, &file);

		if (type == -EAGAIN)
			return false;
		if (type == TT_IPC_ATTACHED) {
			memcpy(ret_m, message, sizeof(*ret_m));
			return true;
		}
	}
}

static struct targets *begin(int fds[2])
{
	const struct targets_options options = {.libraries = 1u << TT_TLS_OPENSSL};
	struct targets *targets;

	assert_int_equal(targets_new(NULL, &options, &targets), 0);
	assert_int_equal(chan_pair(fds), 0);
	targets_set_agent(targets, fds[0]);
	return targets;
}

static void end(struct targets *targets, int fds[2])
{
	targets_free(targets);
	close(fds[0]);
	close(fds[1]);
}

static void file_is_asked_about_once(void **state)
{
	int fds[2];
	struct targets *targets = begin(fds);
	char path[TT_IPC_PATH_LEN];
	uint64_t file;

	targets_known(targets, paths[0]);
	targets_known(targets, paths[0]);
	targets_send(targets);
	assert_true(targets_busy(targets));
	file = take_question(fds[1], path);
	assert_string_equal(path, paths[0]);
	assert_int_equal(take_question(fds[1], NULL), 0);
	assert_int_equal(answer(targets, file, TT_SCAN_NONE), 0);
	assert_false(targets_busy(targets));
	targets_known(targets, paths[0]);
	targets_send(targets);
	assert_int_equal(take_question(fds[1], NULL), 0);
	end(targets, fds);
}

static void rewritten_file_is_asked_about_again(void **state)
{
	const struct timespec times[2] = {{0, UTIME_NOW}, {1000, 5}};
	int fds[2];
	struct targets *targets = begin(fds);

	targets_known(targets, paths[0]);
	targets_send(targets);
	assert_int_equal(answer(targets, take_question(fds[1], NULL), TT_SCAN_NONE), 0);
	assert_int_equal(utimensat(AT_FDCWD, paths[0], times, 0), 0);
	targets_known(targets, paths[0]);
	targets_send(targets);
	assert_int_not_equal(take_question(fds[1], NULL), 0);
	end(targets, fds);
}

static void directories_devices_and_nothing(void **state)
{
	int fds[2];
	struct targets *targets = begin(fds);

	targets_known(targets, dir);
	targets_known(targets, "/dev/null");
	targets_known(targets, "/no/such/file");
	targets_send(targets);
	assert_false(targets_busy(targets));
	assert_int_equal(take_question(fds[1], NULL), 0);
	end(targets, fds);
}

/* This test's own program, by the mapping that /proc shows; a mapping made up shows nothing. */
static void mapped_file_is_opened(void **state)
{
	int fds[2];
	struct targets *targets = begin(fds);
	char exe[256] = "", path[TT_IPC_PATH_LEN];
	struct target_map map = {.pid = (uint32_t)getpid(), .path = exe, .identity = 5};
	struct stat st;
	uint64_t file;

	assert_true(readlink("/proc/self/exe", exe, sizeof(exe) - 1) > 0);
	assert_int_equal(stat(exe, &st), 0);
	map.ino = st.st_ino + 1;
	assert_int_equal(targets_mapped(targets, &map, 1), 0);
	assert_false(targets_busy(targets));
	map.ino = st.st_ino; /* it failed: not remembered as a recent one */
	file = targets_mapped(targets, &map, 2);
	assert_int_not_equal(file, 0);
	assert_int_equal(take_question(fds[1], path), file);
	assert_string_equal(path, exe);
	assert_int_equal(targets_mapped(targets, &map, 3), file); /* a recent one */
	assert_int_equal(targets_found(targets, &map), file);
	assert_int_equal(targets_has_finding(targets, file), 0);
	assert_int_equal(answer(targets, file, TT_SCAN_NONE), 0);
	assert_int_equal(targets_has_finding(targets, file), -ENOENT);
	assert_int_equal(targets_has_finding(targets, file + 1), -ENOENT);
	end(targets, fds);
}

static void questions_under_way_are_bounded(void **state)
{
	int fds[2];
	struct targets *targets = begin(fds);
	uint64_t asked[FILES];
	int first = 0, count;

	for (int i = 0; i < FILES; i++)
		targets_known(targets, paths[i]);
	targets_send(targets);
	while (first < FILES && (asked[first] = take_question(fds[1], NULL)))
		first++;
	assert_in_range(first, 1, FILES - 1);
	for (count = first; count < FILES; count++) {
		assert_int_equal(answer(targets, asked[count - first], TT_SCAN_NONE), 0);
		asked[count] = take_question(fds[1], NULL);
		assert_int_not_equal(asked[count], 0);
	}
	for (int i = FILES - first; i < FILES; i++)
		assert_int_equal(answer(targets, asked[i], TT_SCAN_NONE), 0);
	assert_false(targets_busy(targets));
	end(targets, fds);
}

static void answers_that_nobody_asked_for(void **state)
{
	struct tt_ipc_hook hook = {.file = 999, .hook = TT_HOOK_openssl_write};
	int fds[2];
	struct targets *targets = begin(fds);
	uint64_t file;

	assert_int_equal(answer(targets, 999, TT_SCAN_NONE), -EBADMSG);
	assert_int_equal(targets_hook(targets, &hook), -EBADMSG);
	targets_known(targets, paths[0]);
	targets_send(targets);
	file = take_question(fds[1], NULL);
	hook.file = file;
	hook.hook = TT_HOOK_MAX;
	assert_int_equal(targets_hook(targets, &hook), -EBADMSG);
	hook.hook = TT_HOOK_openssl_write;
	hook.offset = 1 << 20; /* beyond the end */
	assert_int_equal(targets_hook(targets, &hook), -EBADMSG);
	hook.offset = 0;
	hook.placed = 1 << 20;
	hook.placed_as = TT_HOOK_openssl_write;
	assert_int_equal(targets_hook(targets, &hook), -EBADMSG);
	hook.placed = 1;
	hook.placed_as = TT_HOOK_gnutls_write; /* another library's */
	assert_int_equal(targets_hook(targets, &hook), -EBADMSG);
	hook.placed_as = TT_HOOK_MAX;
	assert_int_equal(targets_hook(targets, &hook), -EBADMSG);
	assert_int_equal(answer(targets, file, TT_SCAN_NONE), 0);
	assert_int_equal(answer(targets, file, TT_SCAN_NONE), -EBADMSG);
	end(targets, fds);
}

static void hooks_are_bounded(void **state)
{
	struct tt_ipc_hook hook = {.hook = TT_HOOK_openssl_read};
	int fds[2];
	struct targets *targets = begin(fds);
	int r = 0;

	targets_known(targets, paths[0]);
	targets_send(targets);
	hook.file = take_question(fds[1], NULL);
	for (int i = 0; i < 1000 && r == 0; i++) {
		hook.offset++;
		r = targets_hook(targets, &hook);
	}
	assert_int_equal(r, -EBADMSG);
	end(targets, fds);
}

/* Nothing is asked about while all probes are switched off; what is mapped afterwards is. */
static void switched_off(void **state)
{
	int fds[2];
	struct targets *targets = begin(fds);
	uint64_t file;

	targets_known(targets, paths[0]);
	targets_send(targets);
	file = take_question(fds[1], NULL);
	assert_int_not_equal(file, 0);
	targets_switch(targets, false);
	targets_known(targets, paths[1]);
	assert_int_equal(answer(targets, file, TT_SCAN_NONE), 0);
	targets_send(targets);
	assert_int_equal(take_question(fds[1], NULL), 0);
	assert_false(targets_busy(targets));
	targets_switch(targets, true);
	targets_known(targets, paths[0]);
	targets_known(targets, paths[1]);
	targets_send(targets);
	assert_int_not_equal(take_question(fds[1], NULL), 0);
	assert_int_equal(take_question(fds[1], NULL), 0); /* paths[0] has nothing */
	end(targets, fds);
}

/* begin() watches OpenSSL only. */
static void library_that_is_off(void **state)
{
	struct tt_ipc_hook hook = {.hook = TT_HOOK_gnutls_read, .tls = TT_TLS_OPENSSL};
	struct targets_count count;
	int fds[2];
	struct targets *targets = begin(fds);

	targets_known(targets, paths[0]);
	targets_send(targets);
	hook.file = take_question(fds[1], NULL);
	hook.offset = 1 << 20; /* would be refused */
	assert_int_equal(targets_hook(targets, &hook), 0);
	assert_int_equal(answer(targets, hook.file, TT_SCAN_HOOKS), 0);
	targets_counts(targets, &count);
	assert_int_equal(count.files_probed, 0);
	assert_int_equal(count.attach_failed, 0);
	end(targets, fds);
}

/* The first of those in hand is blamed; the second death with it is its last. */
static void deadly_file_is_left_alone(void **state)
{
	struct targets_count count;
	int fds[2];
	struct targets *targets = begin(fds);
	uint64_t deadly, other;

	targets_known(targets, paths[0]);
	targets_known(targets, paths[1]);
	targets_send(targets);
	deadly = take_question(fds[1], NULL);
	other = take_question(fds[1], NULL);
	assert_int_not_equal(other, 0);
	targets_set_agent(targets, -1);
	targets_set_agent(targets, fds[0]);
	assert_int_equal(take_question(fds[1], NULL), deadly);
	assert_int_equal(take_question(fds[1], NULL), other);
	targets_set_agent(targets, -1);
	targets_set_agent(targets, fds[0]);
	assert_int_equal(take_question(fds[1], NULL), other);
	assert_int_equal(take_question(fds[1], NULL), 0);
	targets_counts(targets, &count);
	assert_int_equal(count.files_skipped, 1);
	targets_known(targets, paths[0]);
	targets_send(targets);
	assert_int_equal(take_question(fds[1], NULL), 0);
	assert_int_equal(answer(targets, other, TT_SCAN_NONE), 0);
	assert_false(targets_busy(targets));
	end(targets, fds);
}

static void refused_file_is_counted(void **state)
{
	struct targets_count count;
	int fds[2];
	struct targets *targets = begin(fds);

	targets_known(targets, paths[2]);
	targets_send(targets);
	assert_int_equal(answer(targets, take_question(fds[1], NULL), TT_SCAN_REFUSED), 0);
	targets_counts(targets, &count);
	assert_int_equal(count.attach_failed, 1);
	assert_int_equal(count.files_probed, 0);
	end(targets, fds);
}

/* Also to an agent that comes later; not what is without findings. */
static void findings_are_told(void **state)
{
	struct tt_ipc_scanned m = {.result = TT_SCAN_NONE};
	struct tt_ipc_attached told;
	int fds[2];
	struct targets *targets = begin(fds);

	targets_known(targets, paths[0]);
	targets_known(targets, paths[1]);
	targets_send(targets);
	assert_int_equal(answer(targets, take_question(fds[1], NULL), TT_SCAN_NONE), 0);
	assert_false(take_attached(fds[1], &told) && told.file == 1);
	m.file = 2;
	m.finding[0] = (struct tt_finding){TT_TLS_GO, TT_HOW_pclntab, 0, {0}, "go1.26"};
	m.finding[1] = (struct tt_finding){TT_TLS_JSSE, 0, TT_BLIND_jsse, {0}, ""};
	assert_int_equal(targets_scanned(targets, &m), 0);
	assert_int_equal(targets_has_finding(targets, 2), 1);
	for (int i = 0; i < 2; i++) {
		assert_true(take_attached(fds[1], &told));
		assert_int_equal(told.file, 2);
		assert_string_equal(told.path, paths[1]);
		assert_int_equal(told.since_ns, 0);
		assert_int_equal(told.finding[0].blind, TT_BLIND_turned_off);
		assert_string_equal(told.finding[0].version, "go1.26");
		assert_int_equal(told.finding[1].blind, TT_BLIND_jsse);
		assert_false(take_attached(fds[1], &told));
		targets_set_agent(targets, -1);
		targets_set_agent(targets, fds[0]);
	}
	end(targets, fds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(file_is_asked_about_once),
		cmocka_unit_test(rewritten_file_is_asked_about_again),
		cmocka_unit_test(directories_devices_and_nothing),
		cmocka_unit_test(mapped_file_is_opened),
		cmocka_unit_test(questions_under_way_are_bounded),
		cmocka_unit_test(answers_that_nobody_asked_for),
		cmocka_unit_test(hooks_are_bounded),
		cmocka_unit_test(library_that_is_off),
		cmocka_unit_test(switched_off),
		cmocka_unit_test(deadly_file_is_left_alone),
		cmocka_unit_test(refused_file_is_counted),
		cmocka_unit_test(findings_are_told),
	};

	log_init("test", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, make_files, remove_files);
}
