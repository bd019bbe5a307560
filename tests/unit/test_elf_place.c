/* SPDX-License-Identifier: Apache-2.0 */
/* agent/elf_place.c, with functions of real libraries and ones that are made to mislead it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "agent/elf_place.h"

#define NOWHERE UINT32_MAX

static unsigned char *page; /* the one behind it can't be read */

static size_t put(const char *hex)
{
	size_t len = strlen(hex) / 2;

	for (size_t i = 0; i < len; i++) {
		unsigned int byte;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		page[8192 - len + i] = (unsigned char)byte;
	}
	return len;
}

static uint32_t find(const char *hex, unsigned int args, bool returns)
{
	size_t len = put(hex);
	uint32_t at = 7777;

	return elf_place_find(page + 8192 - len, len, args, returns, &at) ? at : NOWHERE;
}

static int64_t wraps(const char *hex, unsigned int args)
{
	size_t len = put(hex);
	int64_t target = 0;

	return elf_place_wraps(page + 8192 - len, len, args, &target) ? target : 0;
}

static int64_t calls(const char *hex)
{
	size_t len = put(hex);
	int64_t target = 0;

	return elf_place_calls(page + 8192 - len, len, &target) ? target : 0;
}

/* Debian 12: libssl3 3.0, libgnutls30 3.7, libwolfssl35, libmbedtls14, libnspr4; libssl1.1 of Alpine and
 * libssl 3.6 of the wheel pycurl. */
static const char ssl_read[] = "4883ec1864488b042528000000488944240831c085d2782f4889e14863d2e83dfeffff85c07e03"
	"8b0424488b54240864482b14252800000075444883c41831d231c931f631ffc3e8449ffeff488d1505d50400be4c070000488d3d62cc"
	"0400e82ca6feff31c031d2be0f010000bf14000000e849a4feffb8ffffffffebace83db1feff0f0b";	/* (ud2: what follows) */
static const char ssl_read_ex[] = "4883ec08e8c7fdffff31d285c00f48c24883c40831d231c931f631ffc3";
static const char ssl_free[] = "4885ff0f84970300004155b8ffffffff415455534889fbc3";
static const char musl_read[] = "4883ec1864488b042528000000488944240831c085d2792641b8f5060000ba0f010000bedf000000"
	"bf14000000488d0d14120300e816b1feff83c8ffeb124889e14863d2e87dfeffff85c07e038b0424488b4c24086448330c2528000000"
	"7405e85aa8feff4883c418c3";
static const char musl_read_ex[] = "50e856feffffba0000000085c00f48c25ac3";
static const char wheel_write[] = "4883ec1885d2781c31c94863d24c8d442408e8e9fcffff85c07e048b4424084883c418c3";
static const char wheel_write_ex[] = "4989c831c9e9d6ffffff";
static const char wheel_write_ex2[] = "4883ec08e897fcffff31d285c00f48c24883c408c3";
static const char gnutls_send[] = "4531c031c9e9869cffff";
static const char gnutls_send2[] = "415741564989ce415541544989f4554889d5534889fb4883ec08c3";
static const char gnutls_recv[] = "4883ec0880bfb8060000004889d17440f687681100000174174889f2be17000000e85a7305004898"
	"4883c408c3";
static const char gnutls_recv_seq[] = "448b8f700700004989c84889d14889f2be17000000e9b6edffff";
static const char wolf_read[] = "4885ff744341544189d4554889f553488b87a01400004889fb4885c07416ba01000000be0400000"
	"0ffd0c783a8140000040000004489e24889ee4889df31c95b5d415ce95859ffffb853ffffffc3";
static const char wolf_write[] = "4885f641544189d40f94c0c1ea1f5508d053755c4889fb4885ff74544889f5c3";
static const char mbed_reset[] = "31f6e9996ffeff";
static const char pr_read[] = "488b07ff6010";
static const char pr_writev[] = "83fa107f06488b07ff60584883ec0831f6bfb6e8ffffe875e0ffffb8ffffffff4883c408c3";

static void real_functions(void **state)
{
	/* Its js is below 24 bytes of stack: fit for who needs no return. */
	assert_int_equal(find(ssl_read, 3, true), NOWHERE);
	assert_int_equal(find(ssl_read, 3, false), 0x16);
	assert_int_equal(find(ssl_read_ex, 4, true), NOWHERE);
	assert_int_equal(find(ssl_read_ex, 1, false), NOWHERE);	/* a call is none */
	assert_int_equal(find(wheel_write, 3, true), NOWHERE);
	assert_int_equal(find(musl_read_ex, 4, true), 0);
	assert_int_equal(find(gnutls_send, 3, true), 5);
	assert_int_equal(find(gnutls_send, 4, true), NOWHERE);	/* %ecx is another's by then */
	assert_int_equal(find(gnutls_send2, 3, true), 0);
	assert_int_equal(find(gnutls_recv, 3, true), NOWHERE);
	assert_int_equal(find(gnutls_recv_seq, 3, true), NOWHERE);
	assert_int_equal(find(wolf_read, 3, true), 3);
	assert_int_equal(find(mbed_reset, 1, false), 2);
	assert_int_equal(find(pr_read, 3, true), NOWHERE);
	assert_int_equal(find(pr_writev, 3, true), 3);
}

static void longer_functions_are_walked_through(void **state)
{
	/* Its far je leads beyond what is here: the rest is not understood, so it may lead back. */
	assert_int_equal(find(ssl_free, 1, false), NOWHERE);
	/* With where it leads to: Go's and others' functions may be as long as that. */
	assert_int_equal(find("4885ff0f8401000000c3c3", 1, false), 3);
	assert_int_equal(find(wolf_write, 3, true), NOWHERE);	/* its jne does, too */
}

static void wrappers(void **state)
{
	assert_int_equal(wraps(ssl_read_ex, 4), 0x35290 - 0x354c0);
	assert_int_equal(calls(ssl_read), 0x35290 - 0x35430);
	assert_int_equal(calls(ssl_read_ex), 0x35290 - 0x354c0);
	assert_int_equal(wraps(musl_read_ex, 4), 0x320e7 - 0x3228b);
	assert_int_equal(calls(musl_read), 0x320e7 - 0x32221);
	assert_int_equal(wraps(wheel_write_ex2, 5), 0x3c100 - 0x3c460);
	assert_int_equal(calls(wheel_write), 0x3c100 - 0x3c400);
	assert_int_equal(calls(wheel_write_ex), 0x3c460 - 0x3c480);
	assert_int_equal(wraps(wheel_write_ex, 4), 0);	/* gives other arguments */
	assert_int_equal(wraps(ssl_read, 3), 0);	/* asks first */
	assert_int_equal(wraps(gnutls_recv, 3), 0);
	assert_int_equal(wraps(gnutls_send2, 3), 0);	/* calls nothing */
	assert_int_equal(calls(gnutls_send2), 0);
	assert_int_equal(wraps(pr_read, 3), 0);		/* what it jumps to is nowhere said */
	assert_int_equal(calls(pr_read), 0);
	assert_int_equal(calls(gnutls_recv), 0);	/* asks what is no sign */
}

static void cheap_instructions(void **state)
{
	static const char *const cheap[] = { "55", "53", "4154", "4157", "90", "7405", "7f80", "0f8411223344",
					     "eb00", "e911223344" };
	static const char *const dear[] = {
		"5d", "415c", "4883ec18", "4889e5", "f30f1efa", "85d2", "c3", "f3c3", "488b07", "e811223344",
		"0f1f00", "0f1f4000", "0f1f440000", "660f1f440000", "6690", "f390", "4190", "ff6018", "6a01",
		"6800010000", "668b07", "31c0",
		"4855", "4055", "667405", "2e7405", "3e4154", "2e4154", "f2e911223344", "66e911223344", "48e911223344", "6655",
		"cc", "06", "c5f877", "0f", "e9112233", "41", "",
	};

	for (size_t i = 0; i < sizeof(cheap) / sizeof(cheap[0]); i++) {
		size_t len = put(cheap[i]);

		if (!elf_place_is_cheap(page + 8192 - len, len))
			fail_msg("%s is cheap", cheap[i]);
	}
	for (size_t i = 0; i < sizeof(dear) / sizeof(dear[0]); i++) {
		size_t len = put(dear[i]);

		if (elf_place_is_cheap(page + 8192 - len, len))
			fail_msg("%s is not", dear[i]);
	}
}

/* Each writes a register that an argument is in, or nobody knows what, in front of a push. */
static void arguments_are_untouched(void **state)
{
	static const char *const spoilt[] = {
		"488b7f08", "8b7f08", "4889c7", "488d3f", "31ff", "bf01000000", "40b701", "40887f", "5f", "b601",
		"0fb6ff", "4863fa", "480f44f8", "400f94c7", "4883c708", "4883e7f0", "48c7c701000000", "48ffc7",
		"4887f8", "48d1e7", "48c1e704", "f7df", "0fc8", "f00fc107", "0fa2", "c9", "9d", "488b27", "4889c4",
		"4883e4f0", "4801c4", "66488b3f",
		"660f6fc7c5f877", "06", "cd80", "0f0b", "cc",
	};
	static const char *const fine[] = {
		"4889fb", "488b5f08", "4c8b37", "31c0", "4189fc", "4839f7", "83ff01", "4883ff01", "85ff", "4084ff",
		"40f6c701", "f7c700010000", "c70701000000", "48893f", "0fb607",
	};
	char hex[64];

	for (size_t i = 0; i < sizeof(spoilt) / sizeof(spoilt[0]); i++) {
		snprintf(hex, sizeof(hex), "%s55c3", spoilt[i]);
		if (find(hex, 2, true) != NOWHERE)
			fail_msg("%s", spoilt[i]);
	}
	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
		snprintf(hex, sizeof(hex), "%s55c3", fine[i]);
		if (find(hex, 2, true) != strlen(fine[i]) / 2)
			fail_msg("%s", fine[i]);
	}
	/* Second bytes of registers: %dh is one of %rdx's. */
	assert_int_equal(find("b60155c3", 2, true), NOWHERE);
	assert_int_equal(find("b60155c3", 3, true), NOWHERE);
	assert_int_equal(find("40b60155c3", 1, true), 3);
}

static void the_stack_is_known(void **state)
{
	assert_int_equal(find("4883ec0855c3", 1, true), NOWHERE);
	assert_int_equal(find("4883ec0855c3", 1, false), 4);
	assert_int_equal(find("4883ec084883c40855c3", 1, true), 8);
	assert_int_equal(find("4881ec000100004881c40001000055c3", 1, true), 14);
	assert_int_equal(find("4881ec000100004883c47f55c3", 1, true), NOWHERE);
}

static void passed_once(void **state)
{
	assert_int_equal(find("4885ff7401c3c3", 1, true), 3);
	assert_int_equal(find("f30f1efa55ebfac3", 1, true), 4);		/* to the function's first: a call anew */
	assert_int_equal(find("31c04885ff7401c3ebf8c3", 1, true), NOWHERE);	/* jmp to the test, */
	assert_int_equal(find("4885ff7401c3ebf8c3", 1, true), 3);	/* (to the first: a call anew) */
	assert_int_equal(find("4885ff7401c3ebfbc3", 1, true), NOWHERE);	/* to the je, */
	assert_int_equal(find("4885ff7403c375f9c3", 1, true), NOWHERE);	/* or into it, if so, */
	assert_int_equal(find("4885ff7401c32eebf9c3", 1, true), NOWHERE);	/* with a prefix, */
	assert_int_equal(find("4885ff7401c30f85f5ffffffc3", 1, true), NOWHERE);	/* or a long one */
	assert_int_equal(find("4885ff7401c3c5f877c3", 1, true), NOWHERE);	/* not understood, and led to */
	assert_int_equal(find("4885ff7405c3", 1, true), NOWHERE);	/* it goes on beyond the bytes */
	assert_int_equal(find("4885ff7401", 1, true), NOWHERE);
	assert_int_equal(find("4885ff74", 1, true), NOWHERE);
	assert_int_equal(find("", 1, true), NOWHERE);
	assert_int_equal(find("4885ff90ffe0", 1, true), 3);
	assert_int_equal(find("4885ff900f0b", 1, true), 3);
}

static void bounds(void **state)
{
	uint32_t at;

	memset(page, 0x31, 8192);	/* xor %esi,(%rcx) */
	assert_false(elf_place_find(page, 8192, 1, true, &at));
	memset(page, 0x90, 8192);
	assert_true(elf_place_find(page, 8192, 1, true, &at));
	assert_int_equal(at, 0);
	memcpy(page, "\x85\xff", 2);	/* no end within 4,096 bytes */
	assert_false(elf_place_find(page, 8192, 1, true, &at));
	page[ELF_PLACE_BYTES - 1] = 0xc3;
	assert_true(elf_place_find(page, 8192, 1, true, &at));
	assert_int_equal(at, 2);
}

static void hostile_wrappers(void **state)
{
	assert_int_equal(wraps("e800000000c3", 5), 5);
	assert_int_equal(wraps("e800000000e800000000c3", 3), 0);	/* one more call */
	assert_int_equal(wraps("e8000000007401c3c3", 3), 0);
	assert_int_equal(wraps("e800000000", 3), 0);
	assert_int_equal(wraps("e800000000ffe0", 3), 0);
	assert_int_equal(wraps("31ffe800000000c3", 3), 0);
	assert_int_equal(calls("85d2" "7800" "7800" "e800000000"), 0);
	assert_int_equal(calls("85d2" "78fc" "e800000000"), 0);
	assert_int_equal(calls("85d2" "797f" "e800000000"), 0);
	assert_int_equal(calls("85d2" "7900" "e800000000"), 9);
	assert_int_equal(calls("c3e800000000"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(real_functions),
		cmocka_unit_test(longer_functions_are_walked_through),
		cmocka_unit_test(wrappers),
		cmocka_unit_test(cheap_instructions),
		cmocka_unit_test(arguments_are_untouched),
		cmocka_unit_test(the_stack_is_known),
		cmocka_unit_test(passed_once),
		cmocka_unit_test(bounds),
		cmocka_unit_test(hostile_wrappers),
	};

#if !defined(__x86_64__)
	print_message("skipped: only x86-64's instructions are known\n");
	return 0;
#endif
	page = mmap(NULL, 12288, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED || mprotect(page + 8192, 4096, PROT_NONE) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
