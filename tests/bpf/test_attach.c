/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real programs in a private copy of the system's libssl: breakpoints appear where they should,
 * and none is left behind, however the probes end. The copy is mapped by this test, so that what
 * the kernel changed can be compared with the file.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/elf_scan.h"
#include "base/cleanup.h"
#include "limits.h"
#include "monitor/attach.h"
#include "monitor/bpf.h"
#include "monitor/kernel.h"

static const uint8_t key[KERNEL_KEY_LEN] = {1};

struct library {
	char path[64];
	int fd;
	size_t size;
	char *bytes; /* as mapped by a program */
	struct elf_scan scan;
};

static struct library lib;
static struct config config;
static struct bpf_sensor *sensor;

static int find_libssl(char *to, size_t size)
{
	static const char *const patterns[] = {
		"/usr/lib/*-linux-gnu/libssl.so.[13]*",
		"/usr/lib64/libssl.so.[13]*",
		"/usr/lib/libssl.so.[13]*",
	};
	glob_t g;

	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		if (glob(patterns[i], 0, NULL, &g) != 0)
			continue;
		snprintf(to, size, "%s", g.gl_pathv[0]);
		globfree(&g);
		return 0;
	}
	return -ENOENT;
}

static int copy_libssl(struct library *l)
{
	char from[256];
	struct stat st;
	_cleanup_close_ int in = -EBADF;

	if (find_libssl(from, sizeof(from)) < 0)
		return -1;
	in = open(from, O_RDONLY | O_CLOEXEC);
	if (in < 0 || fstat(in, &st) < 0)
		return -1;
	snprintf(l->path, sizeof(l->path), "/tmp/tt_test_attach_XXXXXX");
	l->fd = mkstemp(l->path);
	l->size = (size_t)st.st_size;
	if (l->fd < 0 || sendfile(l->fd, in, NULL, l->size) != st.st_size)
		return -1;
	if (elf_scan(l->fd, &l->scan) != TT_SCAN_HOOKS)
		return -1;
	/* No ELF file any more: a sensor that runs on this machine is not to probe it too. */
	return pwrite(l->fd, "copy", 4, 0) == 4 ? 0 : -1;
}

static int map_library(struct library *l)
{
	l->bytes = mmap(NULL, l->size, PROT_READ | PROT_EXEC, MAP_PRIVATE, l->fd, 0);
	return l->bytes == MAP_FAILED ? -1 : 0;
}

static int start(void **state)
{
	struct bpf_error error;

	if (copy_libssl(&lib) < 0 || map_library(&lib) < 0 || config_init(&config) < 0)
		return -1;
	if (open_sensor(&config, key, &sensor, &error) < 0) {
		print_error("%s\n", error.text);
		return -1;
	}
	return 0;
}

static int stop(void **state)
{
	bpf_sensor_close(sensor);
	config_done(&config);
	munmap(lib.bytes, lib.size);
	close(lib.fd);
	return unlink(lib.path);
}

/* Places where the mapping differs from the file. Few are possible: an int3 or a call each. */
static size_t changed_bytes(const struct library *l)
{
	_cleanup_free_ char *file = malloc(l->size);
	size_t count = 0;

	assert_non_null(file);
	assert_int_equal(pread(l->fd, file, l->size, 0), l->size);
	for (size_t i = 0; i < l->size; i++)
		count += file[i] != l->bytes[i];
	return count;
}

static bool is_probed(const struct library *l, uint64_t offset)
{
	char byte;

	assert_int_equal(pread(l->fd, &byte, 1, (off_t)offset), 1);
	return byte != l->bytes[offset];
}

static size_t open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static int add(struct attach *attach, uint32_t hook, uint64_t offset)
{
	return attach_add(attach, &(struct attach_function){.hook = hook, .offset = offset});
}

static struct attach *note_all(const struct library *l)
{
	struct attach *attach;

	assert_int_equal(attach_new(&attach), 0);
	for (size_t i = 0; i < l->scan.count; i++)
		assert_int_equal(add(attach, l->scan.hooks[i].hook, l->scan.hooks[i].offset), 0);
	return attach;
}

static void probes_come_and_go(void **state)
{
	struct attach_count count;
	size_t files = open_files();

	assert_in_range(lib.scan.count, 5, ELF_SCAN_HOOKS_MAX);
	for (int round = 0; round < 3; round++) {
		struct attach *attach = note_all(&lib);

		assert_int_equal(changed_bytes(&lib), 0);
		assert_int_equal(attach_place(attach, sensor, lib.fd, lib.size, &count), 0);
		assert_int_equal(count.hooks, lib.scan.count);
		assert_int_equal(count.failed, 0);
		assert_true(count.probes > count.hooks); /* the returns too */
		for (size_t i = 0; i < lib.scan.count; i++)
			assert_true(is_probed(&lib, lib.scan.hooks[i].offset));
		attach_free(attach);
		assert_int_equal(changed_bytes(&lib), 0);
		assert_int_equal(open_files(), files);
	}
}

/* One after the other they would take some 40 ms each: 10 s here. */
static void all_go_at_once(void **state)
{
	struct attach *attach[40];
	struct attach_count count;
	struct timespec began, ended;
	size_t before = open_files();

	for (int i = 0; i < 40; i++) {
		attach[i] = note_all(&lib);
		assert_int_equal(attach_place(attach[i], sensor, lib.fd, lib.size, &count), 0);
		assert_int_equal(count.failed, 0);
	}
	assert_int_not_equal(changed_bytes(&lib), 0);
	clock_gettime(CLOCK_MONOTONIC, &began);
	attach_free_many(attach, 40);
	clock_gettime(CLOCK_MONOTONIC, &ended);
	assert_int_equal(changed_bytes(&lib), 0);
	assert_int_equal(open_files(), before);
	assert_true(ended.tv_sec - began.tv_sec < 4);
}

static void same_function_twice_is_one_probe(void **state)
{
	struct attach *attach = note_all(&lib);
	struct attach_count count;

	for (size_t i = 0; i < lib.scan.count; i++)
		assert_int_equal(add(attach, lib.scan.hooks[i].hook, lib.scan.hooks[i].offset), 0);
	assert_int_equal(attach_place(attach, sensor, lib.fd, lib.size, &count), 0);
	assert_int_equal(count.hooks, lib.scan.count);
	attach_free(attach);
}

static void offset_beyond_the_file_sets_nothing(void **state)
{
	struct attach *attach = note_all(&lib);
	struct attach_count count;

	assert_int_equal(add(attach, TT_HOOK_openssl_read, lib.size), 0);
	assert_int_equal(attach_place(attach, sensor, lib.fd, lib.size, &count), -ERANGE);
	assert_int_equal(changed_bytes(&lib), 0);
	attach_free(attach);
}

static void unknown_hooks_are_refused(void **state)
{
	struct attach *attach = note_all(&lib);

	assert_int_equal(add(attach, 0, 64), -EBADMSG);
	assert_int_equal(add(attach, TT_HOOK_MAX, 64), -EBADMSG);
	attach_free(attach);
}

#ifdef __x86_64__
static const char bad[] = {0x06}; /* push %es: not an instruction in 64-bit mode */
#else
static const char bad[] = {0, 0, 0, 0}; /* udf */
#endif

/* One function whose first instruction no probe can stand on: it is counted, the others are probed.
 */
static void one_refusal_does_not_stop_the_others(void **state)
{
	struct library l = {.fd = -EBADF};
	struct attach_count count;
	struct attach *attach;
	uint64_t victim;

	assert_int_equal(copy_libssl(&l), 0);
	victim = l.scan.hooks[0].offset;
	assert_int_equal(pwrite(l.fd, bad, sizeof(bad), (off_t)victim), sizeof(bad));
	assert_int_equal(map_library(&l), 0);
	attach = note_all(&l);
	assert_int_equal(attach_place(attach, sensor, l.fd, l.size, &count), 0);
	assert_int_equal(count.failed, 1);
	assert_int_equal(count.hooks, l.scan.count - 1);
	assert_false(is_probed(&l, victim));
	assert_true(is_probed(&l, l.scan.hooks[1].offset));
	attach_free(attach);
	assert_int_equal(changed_bytes(&l), 0);
	munmap(l.bytes, l.size);
	close(l.fd);
	assert_int_equal(unlink(l.path), 0);
}

#ifdef __x86_64__
static struct attach *note_placed(const struct library *l)
{
	struct attach *attach;

	assert_int_equal(attach_new(&attach), 0);
	for (size_t i = 0; i < l->scan.count; i++) {
		const struct elf_hook *h = &l->scan.hooks[i];
		const struct attach_function f = {.hook = h->hook, .offset = h->offset,
						  .placed_as = h->placed_as, .placed = h->placed,
						  .cookie = h->cookie, .spare_as = h->spare_as, .spare = h->spare};

		assert_int_equal(attach_add(attach, &f), 0);
	}
	return attach;
}

static const struct elf_hook *hook_of(const struct library *l, enum tt_hook hook)
{
	for (size_t i = 0; i < l->scan.count; i++)
		if (l->scan.hooks[i].hook == hook)
			return &l->scan.hooks[i];
	fail();
	return NULL;
}

/* Functions that lead to one place have one probe there, and none of their own. */
static void placed_probes_are_fewer(void **state)
{
	const struct elf_hook *read = hook_of(&lib, TT_HOOK_openssl_read);
	struct attach_count at_symbols, placed;
	struct attach *attach = note_all(&lib);

	assert_int_equal(attach_place(attach, sensor, lib.fd, lib.size, &at_symbols), 0);
	assert_int_equal(at_symbols.placed, 0);
	attach_free(attach);
	attach = note_placed(&lib);
	assert_int_equal(attach_place(attach, sensor, lib.fd, lib.size, &placed), 0);
	assert_int_equal(placed.hooks, lib.scan.count);
	assert_int_equal(placed.failed, 0);
	for (size_t i = 0; i < lib.scan.count; i++)
		assert_true(is_probed(&lib, lib.scan.hooks[i].placed ?: lib.scan.hooks[i].offset));
	if (read->placed_as == TT_HOOK_openssl_read_ex || read->spare) {	/* OpenSSL 1.1.1 and later */
		assert_int_equal(read->placed, hook_of(&lib, TT_HOOK_openssl_read_ex)->placed);
		assert_false(is_probed(&lib, read->offset));
		assert_true(placed.probes < at_symbols.probes);
		assert_true(placed.placed >= 5);
	}
	attach_free(attach);
	assert_int_equal(changed_bytes(&lib), 0);
}

/* Where the kernel refuses the cheaper place, the functions that lead there have the probe of the spare one, or their own. */
static void refused_places_fall_back(void **state)
{
	struct library l = {.fd = -EBADF};
	struct attach_count count;
	struct attach *attach;
	uint64_t victim;
	uint32_t homeless = 0;

	assert_int_equal(copy_libssl(&l), 0);
	victim = hook_of(&l, TT_HOOK_openssl_read)->placed;
	if (!victim || victim == hook_of(&l, TT_HOOK_openssl_read)->offset)
		skip();
	for (size_t i = 0; i < l.scan.count; i++)
		homeless += l.scan.hooks[i].placed == victim && !l.scan.hooks[i].spare;
	assert_int_equal(pwrite(l.fd, bad, sizeof(bad), (off_t)victim), sizeof(bad));
	assert_int_equal(map_library(&l), 0);
	attach = note_placed(&l);
	assert_int_equal(attach_place(attach, sensor, l.fd, l.size, &count), 0);
	assert_int_equal(count.failed, 0);
	assert_int_equal(count.hooks, l.scan.count);
	assert_int_equal(count.placed, l.scan.count - homeless);
	assert_false(is_probed(&l, victim));
	for (size_t i = 0; i < l.scan.count; i++)
		if (l.scan.hooks[i].placed == victim)
			assert_true(is_probed(&l, l.scan.hooks[i].spare ?: l.scan.hooks[i].offset));
	attach_free(attach);
	assert_int_equal(changed_bytes(&l), 0);
	munmap(l.bytes, l.size);
	close(l.fd);
	assert_int_equal(unlink(l.path), 0);
}

/* And where it refuses both, at its own beginning. */
static void refused_spares_fall_back(void **state)
{
	struct library l = {.fd = -EBADF};
	const struct elf_hook *read;
	struct attach_count count;
	struct attach *attach;

	assert_int_equal(copy_libssl(&l), 0);
	read = hook_of(&l, TT_HOOK_openssl_read);
	if (!read->spare)
		skip();
	assert_int_equal(pwrite(l.fd, bad, sizeof(bad), (off_t)read->placed), sizeof(bad));
	assert_int_equal(pwrite(l.fd, bad, sizeof(bad), (off_t)read->spare), sizeof(bad));
	assert_int_equal(map_library(&l), 0);
	attach = note_placed(&l);
	assert_int_equal(attach_place(attach, sensor, l.fd, l.size, &count), 0);
	assert_int_equal(count.failed, 0);
	assert_true(is_probed(&l, read->offset) && is_probed(&l, hook_of(&l, TT_HOOK_openssl_read_ex)->offset));
	assert_false(is_probed(&l, read->placed) || is_probed(&l, read->spare));
	attach_free(attach);
	assert_int_equal(changed_bytes(&l), 0);
	munmap(l.bytes, l.size);
	close(l.fd);
	assert_int_equal(unlink(l.path), 0);
}
#endif

static const enum tt_hook go_hooks[] = {TT_HOOK_go_write, TT_HOOK_go_read, TT_HOOK_go_close,
					TT_HOOK_go_return, TT_HOOK_go_return};
#define GO_HOOKS (sizeof(go_hooks) / sizeof(go_hooks[0]))

static struct attach *note_go(const struct library *l)
{
	struct attach *attach;

	assert_true(l->scan.count >= GO_HOOKS);
	assert_int_equal(attach_new(&attach), 0);
	for (size_t i = 0; i < GO_HOOKS; i++)
		assert_int_equal(add(attach, go_hooks[i], l->scan.hooks[i].offset), 0);
	return attach;
}

/* A return probe would be one more for a hook, and ends a Go program. */
static void go_has_one_probe_for_a_hook(void **state)
{
	struct attach *attach = note_go(&lib);
	struct attach_count count;

	assert_int_equal(attach_place(attach, sensor, lib.fd, lib.size, &count), 0);
	assert_int_equal(count.hooks, GO_HOOKS);
	assert_int_equal(count.probes, GO_HOOKS);
	attach_free(attach);
	assert_int_equal(changed_bytes(&lib), 0);
}

/* Of calls that may end unseen, the beginnings are not probed either. */
static void go_needs_all_returns(void **state)
{
	struct library l = {.fd = -EBADF};
	struct attach_count count;
	struct attach *attach;

	assert_int_equal(copy_libssl(&l), 0);
	assert_int_equal(pwrite(l.fd, bad, sizeof(bad), (off_t)l.scan.hooks[3].offset),
			 sizeof(bad));
	assert_int_equal(map_library(&l), 0);
	attach = note_go(&l);
	assert_int_equal(attach_place(attach, sensor, l.fd, l.size, &count), 0);
	assert_int_equal(count.failed, 3);
	assert_false(is_probed(&l, l.scan.hooks[0].offset));
	assert_false(is_probed(&l, l.scan.hooks[1].offset));
	assert_true(is_probed(&l, l.scan.hooks[2].offset));
	attach_free(attach);
	munmap(l.bytes, l.size);
	close(l.fd);
	assert_int_equal(unlink(l.path), 0);
}

/* Breakpoints go with the descriptors, which the kernel closes a moment after the death is told. */
static void killed_monitor_leaves_nothing(void **state)
{
	struct attach_count count;
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		struct bpf_sensor *own;
		struct bpf_error error;

		bpf_sensor_close(sensor);
		if (open_sensor(&config, key, &own, &error) < 0 ||
		    bpf_sensor_start(own, &error) < 0 ||
		    attach_place(note_all(&lib), own, lib.fd, lib.size, &count) < 0 ||
		    write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	assert_true(is_probed(&lib, lib.scan.hooks[0].offset));
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	for (int i = 0; i < 100 && changed_bytes(&lib); i++)
		usleep(100000);
	assert_int_equal(changed_bytes(&lib), 0);
}

/* A new process of a probed file has its probes from the first instruction on. */
static void later_mapping_is_probed_too(void **state)
{
	struct attach *attach = note_all(&lib);
	struct library later = lib;
	struct attach_count count;

	assert_int_equal(attach_place(attach, sensor, lib.fd, lib.size, &count), 0);
	later.bytes = mmap(NULL, lib.size, PROT_READ | PROT_EXEC, MAP_PRIVATE, lib.fd, 0);
	assert_ptr_not_equal(later.bytes, MAP_FAILED);
	assert_true(is_probed(&later, lib.scan.hooks[0].offset));
	attach_free(attach);
	assert_false(is_probed(&later, lib.scan.hooks[0].offset));
	munmap(later.bytes, later.size);
}

static void features_are_found_by_trying(void **state)
{
	assert_int_equal(kernel_try_bpf(), 0);
	assert_int_equal(kernel_try_ring(), 0);
	assert_int_equal(kernel_try_btf(), 0);
	assert_int_equal(kernel_try_uprobe(), 0);
	assert_int_equal(kernel_try_perf_events(), 0);
	assert_int_equal(kernel_try_raw_tracepoint("sys_exit"), 0);
	assert_int_equal(kernel_try_raw_tracepoint("no_such_tracepoint"), -ENOENT);
	assert_int_equal(bpf_sensor_has_multi(sensor), kernel_try_uprobe_multi() == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(features_are_found_by_trying),
		cmocka_unit_test(probes_come_and_go),
		cmocka_unit_test(all_go_at_once),
		cmocka_unit_test(same_function_twice_is_one_probe),
		cmocka_unit_test(offset_beyond_the_file_sets_nothing),
		cmocka_unit_test(unknown_hooks_are_refused),
		cmocka_unit_test(one_refusal_does_not_stop_the_others),
#ifdef __x86_64__
		cmocka_unit_test(placed_probes_are_fewer),
		cmocka_unit_test(refused_places_fall_back),
		cmocka_unit_test(refused_spares_fall_back),
#endif
		cmocka_unit_test(go_has_one_probe_for_a_hook),
		cmocka_unit_test(go_needs_all_returns),
		cmocka_unit_test(killed_monitor_leaves_nothing),
		cmocka_unit_test(later_mapping_is_probed_too),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
