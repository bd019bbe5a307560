/* SPDX-License-Identifier: Apache-2.0 */
/* agent/elf_returns.c; real functions are in tests/e2e/rustls.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "agent/elf_returns.h"

static unsigned char *page;	/* the one behind it can't be read */
static uint32_t at[ELF_RETURNS_MAX];

static int returns(const char *code, size_t len)
{
	unsigned char *p = page + 8192 - len;

	memcpy(p, code, len);
	return elf_returns(p, len, at);
}
#define RETURNS(code) returns(code, sizeof(code) - 1)

static void one_return(void **state)
{
	assert_int_equal(RETURNS("\x55\x5d\xc3"), 1);
	assert_int_equal(at[0], 2);
	assert_int_equal(RETURNS("\x55\xf3\xc3"), 1);
	assert_int_equal(at[0], 1);
	/* What follows is another function. */
	assert_int_equal(RETURNS("\x55\x5d\xc3\x55\x5d\xc3"), 1);
	assert_int_equal(RETURNS("\x55\x5d\xc3\xcc\x06"), 1);
}

/* A byte of c3 inside an instruction is none. */
static void whole_instructions(void **state)
{
	assert_int_equal(RETURNS("\xb8\xc3\xc3\xc3\xc3\x48\x89\xc3\xc3"), 1);
	assert_int_equal(at[0], 8);
}

static void jumps_lead_on(void **state)
{
	/* je to behind the first return */
	assert_int_equal(RETURNS("\x74\x02\x90\xc3\x31\xc0\xc3"), 2);
	assert_int_equal(at[0], 3);
	assert_int_equal(at[1], 6);
	/* So by a long one, over traps. */
	assert_int_equal(RETURNS("\x0f\x84\x04\0\0\0\xc3\xcc\x0f\x0b\xc3"), 2);
	assert_int_equal(at[1], 10);
	/* To and fro: jmp to the end, which jumps back to a return. */
	assert_int_equal(RETURNS("\xeb\x01\xc3\xeb\xfd"), 1);
	assert_int_equal(at[0], 2);
	/* By a table, jmp *%rcx and jmp *%r14: the return is behind. */
	assert_int_equal(RETURNS("\xff\xe1\x90\xc3"), 1);
	assert_int_equal(RETURNS("\x41\xff\xe6\x90\xc3"), 1);
	assert_int_equal(at[0], 4);
}

static void not_sure(void **state)
{
	assert_int_equal(RETURNS("\x90\xeb\xf0"), -EBADMSG);		/* into the function before */
	assert_int_equal(RETURNS("\x74\xf0\xc3"), -EBADMSG);
	assert_int_equal(RETURNS("\xe9\0\0\1\0\xc3"), -E2BIG);		/* far away */
	assert_int_equal(RETURNS("\x0f\x0b"), -EBADMSG);		/* none */
	assert_int_equal(RETURNS("\xc2\x08\0"), -EBADMSG);
	assert_int_equal(RETURNS("\xc5\xf8\x77\xc3"), -EBADMSG);	/* AVX is not understood */
	assert_int_equal(RETURNS("\x06\xc3"), -EBADMSG);
	assert_int_equal(RETURNS("\x74\x7f\xc3"), -E2BIG);		/* the file ends before */
	assert_int_equal(RETURNS("\x90"), -E2BIG);
	assert_int_equal(RETURNS("\x0f"), -EBADMSG);
	assert_int_equal(RETURNS(""), -E2BIG);
	assert_int_equal(RETURNS("\x74\x0a\xc3\xc3\xc3\xc3\xc3\xc3\xc3\xc3\xc3\xc3\xc3"), -E2BIG);
}

static void too_long(void **state)
{
	memset(page, 0x90, 8192);
	assert_int_equal(elf_returns(page, 8192, at), -E2BIG);
	page[ELF_RETURNS_BYTES - 1] = 0xc3;
	assert_int_equal(elf_returns(page, 8192, at), 1);
	assert_int_equal(at[0], ELF_RETURNS_BYTES - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_return),
		cmocka_unit_test(whole_instructions),
		cmocka_unit_test(jumps_lead_on),
		cmocka_unit_test(not_sure),
		cmocka_unit_test(too_long),
	};

	page = mmap(NULL, 12288, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED || mprotect(page + 8192, 4096, PROT_NONE) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
