/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of /proc/PID/maps, and a walk that has to meet this very test. */
#include <dlfcn.h>
#include <errno.h>
#include <glob.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "monitor/scan.h"

static void executable_mapping(void **state)
{
	struct scan_map map;

	assert_int_equal(
		scan_parse_line(
			"7f00a000-7f00b000 r-xp 00002000 fd:01 131 /usr/lib/a b.so (deleted)",
			&map),
		0);
	assert_int_equal(map.start, 0x7f00a000);
	assert_int_equal(map.end, 0x7f00b000);
	assert_int_equal(map.major, 0xfd);
	assert_int_equal(map.minor, 1);
	assert_int_equal(map.ino, 131);
	assert_string_equal(map.path, "/usr/lib/a b.so (deleted)");
}

static void other_lines(void **state)
{
	static const char *const lines[] = {
		"7f00a000-7f00b000 r--p 00002000 fd:01 131                /usr/lib/a.so",
		"7f00a000-7f00b000 r-xp 00000000 00:00 0                  [vdso]",
		"7f00a000-7f00b000 r-xp 00000000 00:00 0 ",
		"7f00a000-7f00b000 r-xp 00000000 00:00 7                  anon_inode:[x]",
		"7f00a000-7f00b000",
		"",
		"nonsense",
	};
	struct scan_map map;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_int_equal(scan_parse_line(lines[i], &map), -ENOENT);
}

struct met {
	uint32_t self, child;
	unsigned int processes, own_program, own_uses, stray_uses;
	char path[4096];
};

static void on_process(uint32_t pid, void *arg)
{
	struct met *met = arg;

	met->processes++;
	met->self += pid == (uint32_t)getpid();
}

static uint64_t on_map(const struct scan_map *map, void *arg)
{
	struct met *met = arg;
	bool is_own = strcmp(map->path, met->path) == 0;

	met->own_program += is_own;
	return is_own ? 4711 : 0;
}

static void on_use(uint32_t pid, uint64_t file, void *arg)
{
	struct met *met = arg;

	if (file != 4711)
		met->stray_uses++;
	else if (pid == (uint32_t)getpid() || pid == met->child)
		met->own_uses |= pid == met->child ? 2 : 1;
}

static void walk_meets_this_test(void **state)
{
	struct met met = {0};
	const struct scan_calls calls = {on_process, on_map, on_use, &met};
	struct scan *scan;
	pid_t child;
	int r;

	child = fork(); /* has the same files: the scan tells of each, and who uses it */
	if (child == 0) {
		pause();
		_exit(0);
	}
	assert_true(child > 0);
	met.child = (uint32_t)child;
	assert_true(readlink("/proc/self/exe", met.path, sizeof(met.path) - 1) > 0);
	assert_int_equal(scan_new(&calls, &scan), 0);
	while ((r = scan_step(scan)) > 0)
		;
	assert_int_equal(r, 0);
	scan_free(scan);
	assert_int_equal(met.self, 1);
	assert_int_equal(met.own_program, 1); /* once, though it may be mapped more often */
	assert_int_equal(met.own_uses, 3);
	assert_int_equal(met.stray_uses, 0);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

static void count_path(const char *path, void *arg)
{
	unsigned int *count = arg;

	*count += strstr(path, "tt_test_scan") != NULL;
}

static void patterns_of_the_user(void **state)
{
	char dir[] = "/tmp/tt_test_scan_XXXXXX", pattern[64], path[64];
	char *patterns[] = {pattern};
	unsigned int count = 0;

	assert_non_null(mkdtemp(dir));
	snprintf(pattern, sizeof(pattern), "%s/*.so", dir);
	scan_known_files(patterns, 1, count_path, &count);
	assert_int_equal(count, 0);
	snprintf(path, sizeof(path), "%s/x.so", dir);
	fclose(fopen(path, "w"));
	scan_known_files(patterns, 1, count_path, &count);
	assert_int_equal(count, 1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void note_gnutls(const char *path, void *arg)
{
	if (strstr(path, "/libgnutls.so."))
		*(bool *)arg = true;
}

static void libraries_of_the_system(void **state)
{
	bool found = false;

	if (!dlopen("libgnutls.so.30", RTLD_NOW | RTLD_LOCAL)) {
		print_message("no libgnutls.so.30 on this machine: %s\n", dlerror());
		skip();
	}
	scan_known_files(NULL, 0, note_gnutls, &found);
	assert_true(found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(executable_mapping),
		cmocka_unit_test(other_lines),
		cmocka_unit_test(walk_meets_this_test),
		cmocka_unit_test(patterns_of_the_user),
		cmocka_unit_test(libraries_of_the_system),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
