/* SPDX-License-Identifier: Apache-2.0 */
/* What is given back is less resident, and all of it is there again when it is looked at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/pages.h"

#define PAGE 4096U

static int written = 4711;
static const char *const relocated[] = { "one", "two" };

/* A sum over all that may only be read: program, libc and others. Makes it resident. */
static int add_up(struct dl_phdr_info *info, size_t size, void *arg)
{
	uint64_t *sum = arg;

	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];
		const unsigned char *p = (const unsigned char *)(info->dlpi_addr + h->p_vaddr);

		if (h->p_type == PT_LOAD && !(h->p_flags & PF_W) && (h->p_flags & PF_R))
			for (size_t at = 0; at < h->p_memsz; at += PAGE / 2)
				*sum = *sum * 31 + p[at];
	}
	return 0;
}

static uint64_t all(void)
{
	uint64_t sum = 0;

	dl_iterate_phdr(add_up, &sum);
	return sum;
}

/* Bytes that are resident, of file mappings and others: exact, where the counters of /proc/self/status may lag. */
static uint64_t resident_of(uint64_t *ret_anonymous)
{
	char *text = NULL, *line, *rest;
	size_t len = 0, room = 0;
	uint64_t rss, anonymous;
	int fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	assert_true(fd >= 0);
	do {
		text = realloc(text, room += 4096);
		n = read(fd, text + len, room - len - 1);
		assert_true(n >= 0);
		len += (size_t)n;
	} while (n);
	text[len] = 0;
	close(fd);
	line = strstr(text, "\nRss:");
	assert_non_null(line);
	rss = strtoull(line + 5, &rest, 10);
	line = strstr(text, "\nAnonymous:");
	assert_non_null(line);
	anonymous = strtoull(line + 11, &rest, 10);
	free(text);
	*ret_anonymous = anonymous << 10;
	return (rss - anonymous) << 10;
}

static uint64_t resident(void)
{
	uint64_t anonymous;

	return resident_of(&anonymous);
}

static void less_is_resident_and_nothing_is_lost(void **state)
{
	uint64_t before = all(), full = resident(), left;

	written++;
	pages_give_back();
	left = resident();
	assert_true(full > 1 << 20);	/* libc is among it */
	assert_true(left < full / 2);
	assert_int_equal(written, 4712);
	assert_string_equal(relocated[1], "two");
	assert_int_equal(all(), before);
	assert_true(resident() > left);
}

/* malloc keeps what is free below a block that is not. */
static void small_blocks_go_back(void **state)
{
#ifdef TT_SANITIZED
	skip();		/* that is another malloc */
#endif
	static void *block[4096];
	uint64_t full, left;

	for (size_t i = 0; i < 4096; i++) {
		block[i] = malloc(1024);
		assert_non_null(block[i]);
		memset(block[i], 1, 1024);
	}
	for (size_t i = 0; i < 4095; i++)
		free(block[i]);
	resident_of(&full);
	pages_give_back();
	resident_of(&left);
	assert_true(left + (3 << 20) < full);
	free(block[4095]);
}

static void large_blocks_go_back(void **state)
{
#ifdef TT_SANITIZED
	skip();		/* that is another malloc */
#endif
	void *volatile block;	/* or the compiler makes do without any */
	size_t blocks;

	pages_keep_blocks_apart();
	block = malloc(4 << 20);
	free(block);		/* would have raised the limit to its own size */
	blocks = mallinfo2().hblks;
	block = malloc(1 << 20);
	assert_int_equal(mallinfo2().hblks, blocks + 1);
	free(block);
	assert_int_equal(mallinfo2().hblks, blocks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(less_is_resident_and_nothing_is_lost),
		cmocka_unit_test(small_blocks_go_back),
		cmocka_unit_test(large_blocks_go_back),
	};

	return cmocka_run_group_tests_name("pages", tests, NULL, NULL);
}
