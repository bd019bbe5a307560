/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attaches empty probes to entry and return of the TLS functions of one library, as other tools
 * place theirs, and holds them until SIGTERM. The yardstick of tests/bench/bench.py.
 *
 *   empty OBJECT LIBRARY        prints "ready N" with the number of probes
 */
#include <bpf/libbpf.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static const char *const functions[] = { "SSL_read", "SSL_write", "SSL_read_ex", "SSL_write_ex" };

static int attach(struct bpf_object *object, const char *library)
{
	struct bpf_program *program;
	int probes = 0;

	bpf_object__for_each_program(program, object) {
		for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
			LIBBPF_OPTS(bpf_uprobe_opts, opts, .func_name = functions[i],
				    .retprobe = bpf_program__type(program) == BPF_PROG_TYPE_KPROBE &&
						bpf_program__name(program)[6] == 'o');

			if (!bpf_program__attach_uprobe_opts(program, -1, library, 0, &opts))
				return -1;
			probes++;
		}
	}
	return probes;
}

int main(int argc, char **argv)
{
	struct bpf_object *object;
	sigset_t set;
	int probes, sig;

	if (argc != 3) {
		fputs("usage: empty OBJECT LIBRARY\n", stderr);
		return 2;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	object = bpf_object__open(argv[1]);
	if (!object || bpf_object__load(object) < 0) {
		fputs("empty: the kernel does not load it\n", stderr);
		return 3;
	}
	probes = attach(object, argv[2]);
	if (probes < 0) {
		fputs("empty: can't attach\n", stderr);
		return 3;
	}
	printf("ready %d\n", probes);
	fflush(stdout);
	return sigwait(&set, &sig);
}
