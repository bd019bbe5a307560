/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A segment's name and its index. Loading is tested through the spool (test_spool.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "sinks/spool_segment.h"

static void names_go_both_ways(void **state)
{
	static const uint64_t numbers[] = {1, 0xfff, 1ULL << 32, UINT64_MAX};
	char name[SEGMENT_NAME_LEN];
	uint64_t first;
	size_t i;

	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		segment_name(numbers[i], name);
		assert_int_equal(segment_name_parse(name, &first), 0);
		assert_true(first == numbers[i]);
	}
}

static void other_files_are_not_segments(void **state)
{
	static const char *const names[] = {
		"",
		".",
		"state",
		"refused",
		"0000000000000000.seg",
		"000000000000001.seg",
		"00000000000000001.seg",
		"000000000000000A.seg",
		"0000000000000001.sec",
		"0000000000000001.seg~",
		"-000000000000001.seg",
	};
	uint64_t first;
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(segment_name_parse(names[i], &first), -EINVAL);
}

static void index_seeks_what_waits(void **state)
{
	struct segment g = {.first = 100};
	uint64_t i;

	assert_int_equal(segment_seek(&g, 0), 0);
	for (i = 0; i < 200; i++) {
		assert_int_equal(segment_reserve(&g), 0);
		segment_note(&g, i == 3 ? 0 : (uint32_t)(16 + i)); /* 103 was lost */
	}
	assert_int_equal(g.waiting, 199);
	assert_int_equal(segment_seek(&g, 0), 100);
	assert_int_equal(segment_seek(&g, 103), 104);
	assert_int_equal(segment_seek(&g, 300), 0);
	segment_ack(&g, 99);
	segment_ack(&g, 300);
	segment_ack(&g, 103);
	assert_int_equal(g.waiting, 199);
	segment_ack(&g, 102);
	segment_ack(&g, 100);
	assert_int_equal(segment_seek(&g, 0), 101);
	segment_ack(&g, 101);
	segment_ack(&g, 101);
	assert_int_equal(g.waiting, 196);
	assert_int_equal(g.done, 4);
	assert_int_equal(segment_seek(&g, 0), 104);
	for (i = 299; i >= 104; i--)
		segment_ack(&g, i);
	assert_int_equal(g.waiting, 0);
	assert_int_equal(segment_seek(&g, 0), 0);
	segment_done(&g);
}

static void only_a_plain_file_is_loaded(void **state)
{
	char dir[] = "/tmp/tt-segment-XXXXXX";
	struct segment g;
	int at;

	assert_non_null(mkdtemp(dir));
	at = open(dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(segment_load(at, 1, 0, &g), -ENOENT);
	assert_int_equal(symlinkat("/etc/passwd", at, "0000000000000001.seg"), 0);
	assert_int_equal(segment_load(at, 1, 0, &g), -ELOOP);
	assert_int_equal(unlinkat(at, "0000000000000001.seg", 0), 0);
	assert_int_equal(mkfifoat(at, "0000000000000001.seg", 0600), 0);
	assert_int_equal(segment_load(at, 1, 0, &g), -EINVAL);
	assert_int_equal(unlinkat(at, "0000000000000001.seg", 0), 0);
	close(at);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_go_both_ways),
		cmocka_unit_test(other_files_are_not_segments),
		cmocka_unit_test(index_seeks_what_waits),
		cmocka_unit_test(only_a_plain_file_is_loaded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
