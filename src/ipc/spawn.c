/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fork and exec of the agent. The monitor may have threads, so between fork and exec only
 * async-signal-safe calls are made.
 */
#include "ipc/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

/* The child reports a failed exec here; close-on-exec, so success is an end of file. */
#define FD_REPORT 8
#define FD_FIRST_FREE 9
/* Sources are moved above the targets first, or one dup2() could overwrite another's source. */
#define FD_MOVED 16

/* The environment may hold settings (TOKENTRAIL_*) with passwords; the agent has the blob. */
static const char *const kept_env[] = {
	"TERM", "COLUMNS", "LINES", "NO_COLOR", "LANG", "LC_ALL", "LC_CTYPE", "TZ",
	"ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS",
};
#define KEPT_ENV (sizeof(kept_env) / sizeof(kept_env[0]))

struct child {
	struct spawn_fds fds;
	int report;
	pid_t parent;
	char *env[KEPT_ENV + 1];
};

extern char **environ;

static void env_keep(char *ret_env[static KEPT_ENV + 1])
{
	size_t n = 0;

	for (char **e = environ; e && *e; e++)
		for (size_t i = 0; i < KEPT_ENV && n < KEPT_ENV; i++) {
			size_t len = strlen(kept_env[i]);

			if (strncmp(*e, kept_env[i], len) == 0 && (*e)[len] == '=')
				ret_env[n++] = *e;
		}
	ret_env[n] = NULL;
}

static void close_from(int first)
{
	long limit;

	if (syscall(SYS_close_range, first, ~0U, 0) == 0)
		return;
	/* Old container runtimes refuse close_range (5.9) with EPERM. */
	limit = sysconf(_SC_OPEN_MAX);
	for (int fd = first; fd < limit && fd < 1 << 20; fd++)
		close(fd);
}

static int child_fds(struct child *c)
{
	int from[] = { -1, c->fds.channel, c->fds.blob, c->fds.ring, c->fds.rows, c->fds.marks, c->report };
	const int to[] = { 0, SPAWN_FD_CHANNEL, SPAWN_FD_BLOB, SPAWN_FD_RING, SPAWN_FD_ROWS, SPAWN_FD_MARKS,
			   FD_REPORT };

	from[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++) {
		from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, FD_MOVED);
		if (from[i] < 0)
			return -errno;
	}
	c->report = from[6];
	for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++)
		if (dup3(from[i], to[i], to[i] == FD_REPORT ? O_CLOEXEC : 0) < 0 &&
		    !(errno == EINVAL && from[i] == to[i]))
			return -errno;
	c->report = FD_REPORT;
	close_from(FD_FIRST_FREE);
	return 0;
}

static void child_signals(void)
{
	const struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, &dfl, NULL);	/* fails for SIGKILL, SIGSTOP and libc's own: fine */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static int child_exec(struct child *c)
{
	char *const argv[] = { (char *)"tokentrail", (char *)"agent", NULL };
	int r;

	child_signals();
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
		return -errno;
	/* The monitor may have died before the line above. */
	if (getppid() != c->parent)
		return -ESRCH;
	r = child_fds(c);
	if (r < 0)
		return r;
	execve("/proc/self/exe", argv, c->env);
	return -errno;
}

/* 0 once the child runs the new program, or what it reports. */
static int wait_exec(int report, pid_t pid)
{
	int error = 0;
	ssize_t n;

	do
		n = read(report, &error, sizeof(error));
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return 0;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return n == sizeof(error) && error < 0 ? error : -EIO;
}

int spawn_agent(const struct spawn_fds *fds, pid_t *ret_pid, int *ret_pidfd)
{
	_cleanup_close_ int report = -EBADF, report_child = -EBADF;
	struct child c = { .fds = *fds, .parent = getpid() };
	int pipe_fds[2], pidfd, r;
	pid_t pid;

	env_keep(c.env);
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -errno;
	report = pipe_fds[0];
	c.report = report_child = pipe_fds[1];

	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		r = child_exec(&c);
		if (write(c.report, &r, sizeof(r)) != sizeof(r))
			_exit(126);
		_exit(127);
	}
	close(TAKE_FD(report_child));
	r = wait_exec(report, pid);
	if (r < 0)
		return r;

	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) {
		r = -errno;
		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		return r;
	}
	*ret_pid = pid;
	*ret_pidfd = pidfd;
	return 0;
}
