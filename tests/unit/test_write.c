/* SPDX-License-Identifier: Apache-2.0 */
/* base/write.c: what the kernel takes in parts, what it refuses half-way, signals in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/write.h"

static void test_all(void **state)
{
	int fd = memfd_create("write", MFD_CLOEXEC);
	char read_back[8];

	assert_int_equal(write_all(fd, NULL, 0), 0);
	assert_int_equal(write_all(fd, "one", 3), 0);
	assert_int_equal(write_all(fd, "two!", 4), 0);
	assert_int_equal(pread(fd, read_back, sizeof(read_back), 0), 7);
	assert_memory_equal(read_back, "onetwo!", 7);
	close(fd);
}

static void test_refused(void **state)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	assert_int_equal(write_all(-1, "x", 1), -EBADF);
	assert_true(full >= 0);
	assert_int_equal(write_all(full, "x", 1), -ENOSPC);
	close(full);
}

/* The kernel takes what still fits, and refuses the rest at the next call. */
static void test_refused_half_way(void **state)
{
	int fd = memfd_create("write", MFD_CLOEXEC);
	static const char bytes[3000];
	struct rlimit had, limit;
	struct stat st;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &had), 0);
	limit = (struct rlimit){ .rlim_cur = 1000, .rlim_max = had.rlim_max };
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(write_all(fd, bytes, sizeof(bytes)), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &had), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 1000);
	close(fd);
}

static volatile sig_atomic_t alarms;

static void on_alarm(int signal_number)
{
	alarms++;
}

static uint8_t byte_at(size_t at)
{
	return (uint8_t)(at * 7 + at / 251);
}

/* Reads slowly until it was all of it, in order. Its exit status says so. */
static int read_slowly(int fd, size_t len)
{
	uint8_t got[4096];
	size_t at = 0;
	ssize_t n;

	while ((n = read(fd, got, sizeof(got))) > 0) {
		poll(NULL, 0, 1);
		for (ssize_t i = 0; i < n; i++)
			if (got[i] != byte_at(at++))
				return 1;
	}
	return n < 0 || at != len;
}

/* A full pipe makes the writer wait, and an alarm wakes it each time: with a part written, or with nothing. */
static void test_signals(void **state)
{
	static const struct itimerval each = { .it_interval.tv_usec = 300, .it_value.tv_usec = 300 }, never;
	const struct sigaction act = { .sa_handler = on_alarm };
	static uint8_t bytes[300000];
	int ends[2], status;
	pid_t reader;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = byte_at(i);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	reader = fork();
	assert_true(reader >= 0);
	if (reader == 0) {
		close(ends[1]);
		_exit(read_slowly(ends[0], sizeof(bytes)));
	}
	close(ends[0]);
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(sigaction(SIGALRM, &act, NULL), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &each, NULL), 0);
	assert_int_equal(write_all(ends[1], bytes, sizeof(bytes)), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
	close(ends[1]);
	assert_int_equal(waitpid(reader, &status, 0), reader);
	assert_int_equal(status, 0);
	assert_true(alarms > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_refused_half_way),
		cmocka_unit_test(test_signals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
