/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds empty programs on one library until SIGTERM: the yardsticks of tests/bench/bench.py.
 *
 *   empty OBJECT symbols LIBRARY   entry and return of the TLS functions, as other tools place theirs
 *   empty OBJECT sites LIBRARY     where the sensor has its own, sockets' events too: by its search
 *                                  (elf_scan.h) and by its attaching (attach.h), which is given empty
 *                                  programs here
 *
 * Prints "ready N" with the number of probes.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/elf_scan.h"
#include "base/cleanup.h"
#include "monitor/attach.h"
#include "monitor/kernel.h"

static const char *const functions[] = { "SSL_read", "SSL_write", "SSL_read_ex", "SSL_write_ex" };

/* What monitor/attach.c asks of a sensor. */
struct bpf_sensor {
	struct bpf_program *in, *out;
	bool multi;
};

struct bpf_program *bpf_sensor_entry(const struct bpf_sensor *sensor, enum tt_hook hook)
{
	return sensor->in;
}

struct bpf_program *bpf_sensor_return(const struct bpf_sensor *sensor)
{
	return sensor->out;
}

bool bpf_sensor_has_multi(const struct bpf_sensor *sensor)
{
	return sensor->multi;
}

static int at_symbols(const struct bpf_sensor *sensor, const char *library)
{
	int probes = 0;

	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		LIBBPF_OPTS(bpf_uprobe_opts, in, .func_name = functions[i]);
		LIBBPF_OPTS(bpf_uprobe_opts, out, .func_name = functions[i], .retprobe = true);

		if (!bpf_program__attach_uprobe_opts(sensor->in, -1, library, 0, &in) ||
		    !bpf_program__attach_uprobe_opts(sensor->out, -1, library, 0, &out))
			return -errno;
		probes += 2;
	}
	return probes;
}

static int at_functions(struct bpf_sensor *sensor, const char *library)
{
	_cleanup_close_ int fd = open(library, O_RDONLY | O_CLOEXEC);
	struct attach_count count;
	struct attach *attach;
	struct elf_scan scan;
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (elf_scan(fd, &scan) != TT_SCAN_HOOKS)
		return -ENOENT;
	r = attach_new(&attach);
	for (size_t i = 0; r == 0 && i < scan.count; i++) {
		const struct elf_hook *hook = &scan.hooks[i];

		r = attach_add(attach, &(struct attach_function){.hook = hook->hook, .placed_as = hook->placed_as,
								 .offset = hook->offset, .placed = hook->placed, .cookie = hook->cookie,
								 .spare_as = hook->spare_as, .spare = hook->spare});
	}
	if (r == 0)
		r = attach_place(attach, sensor, fd, (uint64_t)st.st_size, &count);
	if (r == 0 && count.failed)
		r = -EINVAL;
	return r < 0 ? r : (int)count.probes;
}

static int at_event(struct bpf_object *object, const char *program, const char *event)
{
	return bpf_program__attach_raw_tracepoint(bpf_object__find_program_by_name(object, program), event) ? 0 : -errno;
}

static int at_sites(struct bpf_sensor *sensor, struct bpf_object *object, const char *library)
{
	int probes = at_functions(sensor, library);
	int r;

	if (probes < 0)
		return probes;
	/* As monitor/bpf.c chooses. */
	if (kernel_try_raw_tracepoint("sock_send_length") < 0)
		r = at_event(object, "empty_send", "sys_exit");
	else
		r = at_event(object, "empty_send", "sock_send_length") ?: at_event(object, "empty_recv", "sock_recv_length");
	return r < 0 ? r : probes;
}

static int load(struct bpf_sensor *sensor, struct bpf_object *object)
{
	sensor->in = bpf_object__find_program_by_name(object, "empty_in");
	sensor->out = bpf_object__find_program_by_name(object, "empty_out");
	if (sensor->multi) {
		bpf_program__set_expected_attach_type(sensor->in, (enum bpf_attach_type)KERNEL_UPROBE_MULTI);
		bpf_program__set_expected_attach_type(sensor->out, (enum bpf_attach_type)KERNEL_UPROBE_MULTI);
	}
	return bpf_object__load(object);
}

int main(int argc, char **argv)
{
	bool sites = argc == 4 && strcmp(argv[2], "sites") == 0;
	struct bpf_sensor sensor = {.multi = sites && kernel_try_uprobe_multi() == 0};
	struct bpf_object *object;
	sigset_t set;
	int probes, sig;

	if (argc != 4 || (!sites && strcmp(argv[2], "symbols") != 0)) {
		fputs("usage: empty OBJECT symbols|sites LIBRARY\n", stderr);
		return 2;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	object = bpf_object__open(argv[1]);
	if (!object || load(&sensor, object) < 0) {
		fputs("empty: the kernel does not load it\n", stderr);
		return 3;
	}
	probes = sites ? at_sites(&sensor, object, argv[3]) : at_symbols(&sensor, argv[3]);
	if (probes < 0) {
		fprintf(stderr, "empty: can't attach: %s\n", strerror(-probes));
		return 3;
	}
	printf("ready %d\n", probes);
	fflush(stdout);
	return sigwait(&set, &sig);
}
