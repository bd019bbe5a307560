/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many processes that map one library and do nothing, for tests/bench/tables/processes.py.
 *
 *   idle LIBRARY COUNT          prints "ready COUNT"; SIGTERM ends it, and them
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int start(unsigned long count)
{
	pid_t parent = getpid();

	for (unsigned long i = 0; i < count; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return -1;
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (getppid() != parent)
				_exit(1);
			for (;;)
				pause();
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	unsigned long count = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	sigset_t set;
	int sig;

	if (!count) {
		fputs("usage: idle LIBRARY COUNT\n", stderr);
		return 2;
	}
	if (!dlopen(argv[1], RTLD_NOW)) {
		fprintf(stderr, "idle: %s\n", dlerror());
		return 3;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	if (start(count) < 0) {
		perror("idle: fork");
		return 3;
	}
	sigprocmask(SIG_BLOCK, &set, NULL);
	printf("ready %lu\n", count);
	fflush(stdout);
	sigwait(&set, &sig);
	return 0;
}
