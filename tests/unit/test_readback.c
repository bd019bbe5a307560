/* SPDX-License-Identifier: Apache-2.0 */
/* What a process has in memory against its file: this one, with a mapping that it changes itself. */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "monitor/readback.h"

#define SKIPPED 4096 /* bytes of the file in front of what is mapped */

static unsigned char *bytes;
static struct readback_map map;

static int begin(void **state)
{
	unsigned char content[3 * SKIPPED];
	FILE *f = tmpfile();
	struct stat st;

	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = (unsigned char)(i % 7);
	content[SKIPPED + 300] = 0x0f;
	if (!f || fwrite(content, 1, sizeof(content), f) != sizeof(content) || fflush(f) != 0 ||
	    fstat(fileno(f), &st) < 0)
		return -1;
	bytes = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE, fileno(f), SKIPPED);
	if (bytes == MAP_FAILED)
		return -1;
	bytes[100] = 0xcc;
	bytes[200] = 0x90; /* changed, but by no probe */
	bytes[300] = 0xe8;
	bytes[400] = 0xe8; /* a call, where no NOP was */
	map = (struct readback_map){(uint32_t)getpid(), (uintptr_t)bytes, st.st_ino};
	fclose(f);
	return 0;
}

static void changed_bytes_are_told_apart(void **state)
{
	struct readback_site sites[] = {
		{.offset = SKIPPED + 99, .byte = (SKIPPED + 99) % 7},
		{.offset = SKIPPED + 100, .byte = (SKIPPED + 100) % 7},
		{.offset = SKIPPED + 200, .byte = (SKIPPED + 200) % 7},
		{.offset = SKIPPED + 300, .byte = 0x0f},
		{.offset = SKIPPED + 400, .byte = (SKIPPED + 400) % 7},
	};

	assert_int_equal(readback(&map, sites, 5), 0);
	for (int i = 0; i < 5; i++)
		assert_true(sites[i].seen);
	assert_false(sites[0].probed);
	assert_true(sites[1].probed);
#if defined(__x86_64__)
	assert_false(sites[2].probed);
	assert_false(sites[4].probed);
#endif
	assert_true(sites[3].probed);
}

/* A breakpoint that is in the file is the program's own. */
static void same_as_in_the_file(void **state)
{
	assert_false(readback_is_probe(0xcc, 0xcc));
	assert_false(readback_is_probe(0x55, 0x55));
	assert_true(readback_is_probe(0x55, 0xcc));
}

static void what_is_not_mapped_is_not_known(void **state)
{
	struct readback_site sites[] = {
		{.offset = SKIPPED - 1}, {.offset = SKIPPED + 4096}, {.offset = UINT64_MAX}, {.offset = 0},
	};

	assert_int_equal(readback(&map, sites, 4), 0);
	for (int i = 0; i < 4; i++)
		assert_false(sites[i].seen || sites[i].probed);
}

/* The process has gone, or its number or the place in its memory belongs to another now. */
static void gone(void **state)
{
	struct readback_site site = {.offset = SKIPPED + 100, .seen = true, .probed = true};
	struct readback_map other = map;

	other.pid = 0;
	assert_int_equal(readback(&other, &site, 1), -ESRCH);
	assert_false(site.seen || site.probed);
	other.pid = 1 << 23; /* more than there can be */
	assert_int_equal(readback(&other, &site, 1), -ESRCH);
	other = map;
	other.ino++;
	assert_int_equal(readback(&other, &site, 1), -ESRCH);
	other = map;
	other.start += 4096;
	assert_int_equal(readback(&other, &site, 1), -ESRCH);
	assert_false(site.seen || site.probed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changed_bytes_are_told_apart),
		cmocka_unit_test(same_as_in_the_file),
		cmocka_unit_test(what_is_not_mapped_is_not_known),
		cmocka_unit_test(gone),
	};

	return cmocka_run_group_tests(tests, begin, NULL);
}
