/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn_agent() runs /proc/self/exe, which here is this test: as `agent` it writes down what it was
 * born with and sends it back through its channel.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/spawn.h"

extern char **environ;

struct birth {
	int fds[64];
	int fd_count;
	int death_signal;
	int blocked, ignored;	/* signals */
	int secrets;		/* environment entries that should not be there */
	int term;		/* TERM is there */
	char stdin_path[64], blob[8], ring[8], rows[8], marks[8];
};

static void list_fds(struct birth *b)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;

	while (d && (e = readdir(d)) && b->fd_count < 64) {
		int fd = atoi(e->d_name);

		if (e->d_name[0] != '.' && fd != dirfd(d))
			b->fds[b->fd_count++] = fd;
	}
	closedir(d);
}

static int agent(void)
{
	struct birth b = { 0 };
	sigset_t mask;

	list_fds(&b);
	prctl(PR_GET_PDEATHSIG, &b.death_signal);
	sigprocmask(SIG_SETMASK, NULL, &mask);
	for (int sig = 1; sig < 32; sig++) {
		struct sigaction sa;

		b.blocked += sigismember(&mask, sig) == 1;
		b.ignored += sigaction(sig, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN;
	}
	for (char **e = environ; *e; e++) {
		b.secrets += strstr(*e, "TOKENTRAIL") != NULL || strstr(*e, "PASSWORD") != NULL;
		b.term += strcmp(*e, "TERM=tt-test") == 0;
	}
	if (readlink("/proc/self/fd/0", b.stdin_path, sizeof(b.stdin_path) - 1) < 0)
		return 9;
	if (pread(SPAWN_FD_BLOB, b.blob, 4, 0) != 4 || pread(SPAWN_FD_RING, b.ring, 4, 0) != 4 ||
	    pread(SPAWN_FD_ROWS, b.rows, 4, 0) != 4 || pread(SPAWN_FD_MARKS, b.marks, 5, 0) != 5)
		return 8;
	if (send(SPAWN_FD_CHANNEL, &b, sizeof(b), 0) != sizeof(b))
		return 7;
	/* Lives until the test says so. */
	(void)!read(SPAWN_FD_CHANNEL, &b, 1);
	return 42;
}

static int file_with(const char *text)
{
	int fd = memfd_create(text, MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

static void birth_of_an_agent(void **state)
{
	struct spawn_fds fds = { .blob = file_with("blob"), .ring = file_with("ring"), .rows = file_with("rows"),
				 .marks = file_with("marks") };
	struct sigaction was, ignore = { .sa_handler = SIG_IGN };
	int pair[2], pidfd = -1, status, stray = fcntl(2, F_DUPFD, 20);	/* where nothing is put */
	sigset_t set, old;
	struct birth b;
	pid_t pid = 0;

	setenv("TERM", "tt-test", 1);
	setenv("TOKENTRAIL_KAFKA_SETTINGS", "sasl.password=x", 1);
	setenv("KAFKA_PASSWORD", "x", 1);
	sigaction(SIGUSR1, &ignore, &was);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, &old);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	fds.channel = pair[1];

	assert_int_equal(spawn_agent(&fds, &pid, &pidfd), 0);
	close(pair[1]);
	assert_true(pid > 0 && pidfd >= 0);
	assert_int_equal(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(recv(pair[0], &b, sizeof(b), 0), sizeof(b));

	assert_int_equal(b.fd_count, 8);
	for (int i = 0; i < 8; i++)
		assert_int_equal(b.fds[i], i);
	assert_int_equal(b.death_signal, SIGTERM);
	assert_int_equal(b.blocked, 0);
	assert_int_equal(b.ignored, 0);
	assert_int_equal(b.secrets, 0);
	assert_int_equal(b.term, 1);
	assert_string_equal(b.stdin_path, "/dev/null");
	assert_string_equal(b.blob, "blob");
	assert_string_equal(b.ring, "ring");
	assert_string_equal(b.rows, "rows");
	assert_string_equal(b.marks, "marks");

	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	assert_int_equal(poll(&p, 1, 0), 0);
	close(pair[0]);
	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 42);
	sigprocmask(SIG_SETMASK, &old, NULL);
	sigaction(SIGUSR1, &was, NULL);
	close(pidfd);
	close(stray);
	close(fds.blob);
	close(fds.ring);
	close(fds.rows);
	close(fds.marks);
}

/* The descriptors to pass may stand on each other's future numbers. */
static void descriptors_in_each_others_place(void **state)
{
	int blob = file_with("blob"), ring = file_with("ring"), rows = file_with("rows"), marks = file_with("marks");
	int pair[2], pidfd, status;
	struct birth b;
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	pid_t child = fork();
	if (child == 0) {
		struct spawn_fds fds = { .channel = 5, .blob = 3, .ring = 4, .rows = 7, .marks = 6 };
		int from[5] = { fcntl(pair[1], F_DUPFD_CLOEXEC, 100),
				fcntl(blob, F_DUPFD_CLOEXEC, 100),
				fcntl(ring, F_DUPFD_CLOEXEC, 100),
				fcntl(rows, F_DUPFD_CLOEXEC, 100),
				fcntl(marks, F_DUPFD_CLOEXEC, 100) };
		int to = fcntl(pair[0], F_DUPFD_CLOEXEC, 100);

		if (dup2(from[0], 5) < 0 || dup2(from[1], 3) < 0 || dup2(from[2], 4) < 0 ||
		    dup2(from[3], 7) < 0 || dup2(from[4], 6) < 0 ||
		    spawn_agent(&fds, &pid, &pidfd) < 0)
			_exit(1);
		if (recv(to, &b, sizeof(b), 0) != sizeof(b) || strcmp(b.blob, "blob") != 0 ||
		    strcmp(b.ring, "ring") != 0 || strcmp(b.rows, "rows") != 0 ||
		    strcmp(b.marks, "marks") != 0 || b.fd_count != 8)
			_exit(2);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close(pair[0]);
	close(pair[1]);
	close(blob);
	close(ring);
	close(rows);
	close(marks);
}

static void agent_ends_with_its_monitor(void **state)
{
	int blob = file_with("blob"), ring = file_with("ring"), rows = file_with("rows"), marks = file_with("marks");
	int pair[2], pidfd, status;
	struct birth b;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	pid_t child = fork();
	if (child == 0) {
		struct spawn_fds fds = { .channel = pair[1], .blob = blob, .ring = ring, .rows = rows,
					 .marks = marks };
		pid_t pid;

		_exit(spawn_agent(&fds, &pid, &pidfd) < 0 ||
		      recv(pair[0], &b, sizeof(b), 0) != sizeof(b));
	}
	close(pair[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	/* The agent held the only other end: its death ends the channel, though nobody closed ours. */
	struct pollfd p = { .fd = pair[0], .events = POLLIN };
	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_int_equal(recv(pair[0], &b, sizeof(b), 0), 0);
	close(pair[0]);
	close(blob);
	close(ring);
	close(rows);
	close(marks);
}

static void failure_is_reported(void **state)
{
	struct spawn_fds fds = { .channel = -1, .blob = -1, .ring = -1, .rows = -1, .marks = -1 };
	int pidfd = -7;
	pid_t pid = -7;

	assert_int_equal(spawn_agent(&fds, &pid, &pidfd), -EBADF);
	assert_int_equal(pid, -7);
	assert_int_equal(pidfd, -7);
	/* Nothing is left to reap. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(birth_of_an_agent),
		cmocka_unit_test(descriptors_in_each_others_place),
		cmocka_unit_test(agent_ends_with_its_monitor),
		cmocka_unit_test(failure_is_reported),
	};

	if (argc > 1 && strcmp(argv[1], "agent") == 0)
		return agent();
	return cmocka_run_group_tests_name("spawn", tests, NULL, NULL);
}
