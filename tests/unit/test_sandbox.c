/* SPDX-License-Identifier: Apache-2.0 */
/* What is left to a process in the sandbox. Each test runs in a child; the first half needs root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/profile.h"
#include "ipc/sandbox.h"

#define NOBODY 65534

/* Runs f in a child; its wait status. f's result is the exit status. */
static int in_child(int (*f)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(f());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* A failed check ends the child with its line. */
#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #what,             \
				strerror(errno));                                                  \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

static bool status_says(const char *line)
{
	FILE *f = fopen("/proc/self/status", "r");
	char buffer[256];
	bool found = false;

	while (f && fgets(buffer, sizeof(buffer), f))
		found |= strcmp(buffer, line) == 0;
	if (f)
		fclose(f);
	return found;
}

static int drop(void)
{
	struct rlimit core;
	int death = 0;

	CHECK(sandbox_drop(NOBODY, NOBODY) == 0);
	CHECK(status_says("Uid:\t65534\t65534\t65534\t65534\n"));
	CHECK(status_says("Gid:\t65534\t65534\t65534\t65534\n"));
	CHECK(getgroups(0, NULL) == 0);
	CHECK(status_says("CapPrm:\t0000000000000000\n"));
	CHECK(status_says("CapEff:\t0000000000000000\n"));
	CHECK(status_says("CapInh:\t0000000000000000\n"));
	CHECK(status_says("CapBnd:\t0000000000000000\n"));
	CHECK(status_says("CapAmb:\t0000000000000000\n"));
	CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	CHECK(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
	CHECK(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0 && core.rlim_max == 0);
	CHECK(prctl(PR_GET_PDEATHSIG, &death) == 0 && death == SIGTERM);
	CHECK(setuid(0) < 0 && setgid(0) < 0);
	CHECK(open("/etc/shadow", O_RDONLY) < 0 && errno == EACCES);
	return 0;
}

static int drop_to_root(void)
{
	CHECK(sandbox_drop(0, NOBODY) == -EINVAL);
	CHECK(sandbox_drop(NOBODY, 0) == -EINVAL);
	CHECK(getuid() == 0);
	return 0;
}

static void privileges_are_gone(void **state)
{
	if (getuid() != 0) {
		print_message("needs root\n");
		skip();
	}
	assert_int_equal(in_child(drop), 0);
	assert_int_equal(in_child(drop_to_root), 0);
}

#ifndef TT_SANITIZED

static void *in_thread(void *arg)
{
	/* Even a thread that was there before the filter has it. */
	*(int *)arg = socket(AF_PACKET, SOCK_RAW, 0) < 0 && errno == EPERM ? 1 : 0;
	return NULL;
}

static void *waits_then_tries(void *arg)
{
	volatile int *go = arg;

	while (!*go)
		usleep(1000);
	in_thread(arg);
	return NULL;
}

static int filtered(void)
{
	char dir[] = "/tmp/tt-box-XXXXXX", path[64];
	struct addrinfo hints = { .ai_family = AF_UNSPEC }, *found = NULL;
	pthread_t before, after;
	int go = 0, seen = 0, fd, pair[2];

	CHECK(mkdtemp(dir) != NULL);
	CHECK(pthread_create(&before, NULL, waits_then_tries, &go) == 0);
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(sandbox_filter(agent_profile, false) == 0);

	/* what the agent needs */
	snprintf(path, sizeof(path), "%s/file", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	CHECK(pwrite(fd, "x", 1, 0) == 1 && fsync(fd) == 0 && ftruncate(fd, 0) == 0);
	CHECK(fcntl(fd, F_SETLK, &(struct flock){ .l_type = F_WRLCK }) == 0);
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
	      MAP_FAILED);
	CHECK(unlink(path) == 0);
	CHECK(pthread_create(&after, NULL, in_thread, &seen) == 0);
	CHECK(pthread_join(after, NULL) == 0 && seen == 1);
	CHECK(socket(AF_INET, SOCK_STREAM, 0) >= 0);
	CHECK(getaddrinfo("localhost", "9092", &hints, &found) == 0);
	freeaddrinfo(found);

	/* what it does not */
	go = 2;
	CHECK(pthread_join(before, NULL) == 0 && go == 1);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 && errno == EPERM);
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
	      MAP_FAILED && errno == EPERM);
	CHECK(ioctl(0, TIOCSTI, "x") < 0 && errno == EPERM);
	CHECK(kill(getppid(), 0) < 0 && errno == EPERM);
	CHECK(syscall(SYS_clone3, NULL, 0) < 0 && errno == ENOSYS);
	CHECK(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) < 0 && errno == EPERM);
	return 0;
}

static int forbidden_call;

static int forbidden(void)
{
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(sandbox_filter(agent_profile, false) == 0);
	syscall(forbidden_call, 0, 0, 0, 0, 0, 0);
	return 1;
}

static void calls_are_filtered(void **state)
{
	assert_int_equal(in_child(filtered), 0);
}

static void calls_that_end_the_process(void **state)
{
	const int calls[] = { SYS_ptrace,  SYS_process_vm_readv, SYS_process_vm_writev, SYS_bpf,
			      SYS_execve,  SYS_execveat,	 SYS_perf_event_open,	SYS_mount,
			      SYS_keyctl,  SYS_userfaultfd,	 SYS_init_module,	SYS_setuid,
			      SYS_unshare, SYS_kexec_load,	 SYS_io_uring_setup };

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		int status;

		forbidden_call = calls[i];
		status = in_child(forbidden);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGSYS);
	}
}

#endif

static void every_rule_names_its_caller(void **state)
{
	for (const struct sandbox_rule *r = agent_profile; r->call; r++) {
		assert_non_null(r->caller);
		assert_true(strlen(r->caller) > 3);
		if (r->arg.used)
			assert_int_equal(r->arg.value & ~r->arg.mask, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(privileges_are_gone),
#ifndef TT_SANITIZED
		cmocka_unit_test(calls_are_filtered),
		cmocka_unit_test(calls_that_end_the_process),
#endif
		cmocka_unit_test(every_rule_names_its_caller),
	};

	return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
