/* SPDX-License-Identifier: Apache-2.0 */
/* agent/elf_flow.c, with functions that are made for one question each, and with any bytes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "agent/elf_flow.h"

enum { RBX = 3, R12 = 12 };
#define CALLS_MAX 8

static unsigned char *page; /* the one behind it can't be read */
static struct elf_flow_call call[CALLS_MAX];
static size_t calls;

static void take(void *arg, const struct elf_flow_call *c)
{
	assert_ptr_equal(arg, call);
	assert_true(calls < CALLS_MAX);
	call[calls++] = *c;
}

static int flow(const char *hex)
{
	size_t len = strlen(hex) / 2;

	for (size_t i = 0; i < len; i++) {
		unsigned int byte;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		page[65536 - len + i] = (unsigned char)byte;
	}
	calls = 0;
	return elf_flow(page + 65536 - len, len, take, call);
}

static void assert_given(size_t n, unsigned int to, enum elf_flow_kind kind, unsigned char argument)
{
	assert_int_equal(call[n].given[to].kind, kind);
	if (kind)
		assert_int_equal(call[n].given[to].argument, argument);
}

static void assert_in_register(size_t n, unsigned int argument, unsigned char reg)
{
	const struct elf_flow_place *p = &call[n].kept[argument];

	assert_true(p->known && !p->half);
	assert_int_equal(p->reg, reg);
}

static void assert_on_stack(size_t n, unsigned int argument, unsigned int at, bool half)
{
	const struct elf_flow_place *p = &call[n].kept[argument];

	assert_true(p->known);
	assert_int_equal(p->half, half);
	assert_int_equal(p->reg, ELF_FLOW_STACK);
	assert_int_equal(p->stack, at);
}

/* push %rbx; sub $0x20, %rsp; mov %rdi, %rbx; mov %esi, 4(%rsp); mov %r9d, (%rsp); mov %rcx, %rdi; call */
static void arguments_are_followed(void **state)
{
	assert_int_equal(flow("534883ec204889fb8974240444890c244889cfe8000100004883c4205bc3"), 0);
	assert_int_equal(calls, 1);
	assert_int_equal(call[0].at, 19);
	assert_int_equal(call[0].target, 19 + 5 + 0x100);
	assert_given(0, 0, ELF_FLOW_ARGUMENT, 3);
	assert_given(0, 1, ELF_FLOW_ARGUMENT, 1);
	assert_given(0, 3, ELF_FLOW_ARGUMENT, 3);
	assert_in_register(0, 0, RBX);
	assert_on_stack(0, 1, 4, true);
	assert_on_stack(0, 5, 0, true);
	assert_false(call[0].kept[2].known);	/* only where the called function may change it */
}

/* sub $0x18, %rsp; lea 8(%rsp), %rcx; call; call */
static void its_own_stack_is_known(void **state)
{
	assert_int_equal(flow("4883ec18488d4c2408e800010000e8000100004883c418c3"), 0);
	assert_int_equal(calls, 2);
	assert_given(0, 3, ELF_FLOW_OWN, 0);
	assert_given(0, 0, ELF_FLOW_ARGUMENT, 0);
	assert_given(1, 3, ELF_FLOW_UNKNOWN, 0);
}

/* for (;;) f(p, n), p += f's result: in the second round it is somewhere behind. */
static void pointers_move(void **state)
{
	assert_int_equal(flow("415453504889fb4989cc4c89e74889c2e8000100004901c485c075ee585b415cc3"), 0);
	assert_int_equal(calls, 1);
	assert_given(0, 0, ELF_FLOW_BEHIND, 3);
	assert_given(0, 2, ELF_FLOW_UNKNOWN, 0);
	assert_in_register(0, 0, RBX);
	assert_false(call[0].kept[3].known);
}

static void paths_have_to_agree(void **state)
{
	/* RBX is the first argument on one path, the third on the other. */
	assert_int_equal(flow("5385f674054889fbeb034889d3e8000100005bc3"), 0);
	assert_int_equal(calls, 1);
	assert_false(call[0].kept[0].known);
	assert_false(call[0].kept[2].known);
	/* So too where there is no jump: cmove %rdx, %rbx */
	assert_int_equal(flow("534889fb85f6480f44dae8000100005bc3"), 0);
	assert_false(call[0].kept[0].known);
}

/* push %rbp; mov %rsp, %rbp; the arguments are below it, and so many bytes are pushed for a call */
static void the_frame_pointer_is_followed(void **state)
{
	assert_int_equal(flow("554889e54883ec3048897de88975e450ff75e8e8000100004883c410488b7de8e800010000c9c3"), 0);
	assert_int_equal(calls, 2);
	assert_on_stack(0, 0, 0, false);	/* pushed again */
	assert_on_stack(0, 1, 0x30 - 0x1c + 16, true);
	assert_on_stack(1, 0, 0x30 - 0x18, false);
	assert_given(1, 0, ELF_FLOW_ARGUMENT, 0);
}

/* Half of one is overwritten, and another one by a vector that reaches into it. */
static void what_is_overwritten_is_forgotten(void **state)
{
	assert_int_equal(flow("4883ec2848897c24084889542410c744240c000000000f11442414e8000100004883c428c3"), 0);
	assert_int_equal(calls, 1);
	assert_on_stack(0, 0, 8, true);
	assert_on_stack(0, 2, 0x10, true);
}

static void calls_through_pointers(void **state)
{
	assert_int_equal(flow("4883ec084889f8ff50384883c408c3"), 0);
	assert_int_equal(calls, 1);
	assert_true(call[0].target == ELF_FLOW_INDIRECT);
	assert_given(0, 0, ELF_FLOW_ARGUMENT, 0);
}

/* With nothing of its own on the stack a function may end in a jump to anywhere, or in a trap. */
static void functions_end(void **state)
{
	assert_int_equal(flow("4889f885f67502ffe0e900020000"), 0);
	assert_int_equal(calls, 0);
	assert_int_equal(flow("4883ec0885f67405e8000100000f0b"), 0);
	assert_int_equal(calls, 1);
}

static void what_is_not_understood_has_no_answer(void **state)
{
	static const char *const bad[] = {
		"534889fbffe0e8000100005bc3",	/* jmp *%rax, and something on the stack */
		"85f6740157e800010000c3",	/* a push on one path only */
		"530fa2e8000100005bc3",		/* cpuid */
		"eb0148e800010000c3",		/* jumps into what is no instruction's first byte, as read from the start */
		"4829fce800010000c3",		/* sub %rdi, %rsp */
		"4883e4e0e800010000c3",		/* and $-32, %rsp */
		"58e800010000c3",		/* pops its return address */
		"4881ec00100000e800010000c3",	/* a stack that is not followed that far */
		"53e8000100",			/* cut off */
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (flow(bad[i]) != -EBADMSG)
			fail_msg("understood: %s", bad[i]);
		assert_int_equal(calls, 0);
	}
	assert_int_equal(elf_flow(page, 0, take, call), -EBADMSG);
	assert_int_equal(elf_flow(page, ELF_FLOW_BYTES + 1, take, call), -EBADMSG);
}

static void ignore(void *arg, const struct elf_flow_call *c)
{
	assert_true(c->at < ELF_FLOW_BYTES);
	for (int i = 0; i < ELF_FLOW_ARGS; i++)
		assert_true(c->kept[i].reg <= ELF_FLOW_STACK && c->given[i].argument < ELF_FLOW_ARGS);
}

/* Pieces of code in any order: nothing is read behind them, and it comes to an end. */
static void any_bytes_will_do(void **state)
{
	static const char *const pieces[] = {
		"\x53", "\x5b", "\x57", "\x48\x89\xfb", "\x48\x89\x7c\x24\x08", "\x48\x8b\x7c\x24\x08", "\xe8\x01\x01\x01\x01",
		"\x75\xfe", "\x74\xf0", "\x74\x05", "\xeb\x03", "\x48\x83\xec\x18", "\x48\x83\xc4\x18", "\xc3", "\xc9",
		"\x48\x8d\x6c\x24\x10", "\x48\x01\xf7", "\xff\xd0", "\x0f\x11\x44\x24\x04", "\x48\x89\xe5", "\x90", "\x0f\x84\xf0\xff\xff\xff",
	};
	unsigned int understood = 0;

	srand(7);
	for (int round = 0; round < 20000; round++) {
		size_t len = 0, wanted = (size_t)rand() % 200 + 1;
		unsigned char code[256];

		while (len < wanted) {
			const char *p = pieces[(size_t)rand() % (sizeof(pieces) / sizeof(pieces[0]))];

			memcpy(code + len, p, strlen(p));
			len += strlen(p);
		}
		if (round % 2)
			code[(size_t)rand() % len] = (unsigned char)rand();
		len -= (size_t)rand() % 2 && len > 1;
		memcpy(page + 65536 - len, code, len);
		understood += elf_flow(page + 65536 - len, len, ignore, NULL) == 0;
	}
	assert_true(understood > 20);
}

static int setup(void **state)
{
	page = mmap(NULL, 65536 + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return page == MAP_FAILED ? -1 : mprotect(page + 65536, 4096, PROT_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arguments_are_followed),
		cmocka_unit_test(its_own_stack_is_known), cmocka_unit_test(pointers_move),
		cmocka_unit_test(paths_have_to_agree),
		cmocka_unit_test(the_frame_pointer_is_followed),
		cmocka_unit_test(what_is_overwritten_is_forgotten),
		cmocka_unit_test(calls_through_pointers),
		cmocka_unit_test(functions_end),
		cmocka_unit_test(what_is_not_understood_has_no_answer),
		cmocka_unit_test(any_bytes_will_do),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
