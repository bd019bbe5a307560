/* SPDX-License-Identifier: Apache-2.0 */
/* First instructions: how long they are, cut off at each byte, and which of them carry no probe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/elf_prologue.h"

struct example {
	const char *hex;
	const char *says;	/* as a disassembler has it */
};

/* What functions of real libraries begin with. */
static const struct example known[] = {
	{ "55", "push %rbp" },
	{ "4154", "push %r12" },
	{ "90", "nop" },
	{ "c3", "ret" },
	{ "f3c3", "repz ret" },
	{ "f30f1efa", "endbr64" },
	{ "0f1f00", "nopl (%rax)" },
	{ "0f1f4000", "nopl 0(%rax)" },
	{ "660f1f440000", "nopw 0(%rax,%rax)" },
	{ "4883ec18", "sub $0x18,%rsp" },
	{ "4881ecd8000000", "sub $0xd8,%rsp" },
	{ "4889e5", "mov %rsp,%rbp" },
	{ "488b07", "mov (%rdi),%rax" },
	{ "488b4718", "mov 0x18(%rdi),%rax" },
	{ "488b8790000000", "mov 0x90(%rdi),%rax" },
	{ "488b0511223344", "mov 0x44332211(%rip),%rax" },
	{ "4c8d642408", "lea 8(%rsp),%r12" },
	{ "4c8da42478ffffff", "lea -0x88(%rsp),%r12" },
	{ "48c7c001000000", "mov $1,%rax" },
	{ "48b81122334455667788", "movabs $...,%rax" },
	{ "b801000000", "mov $1,%eax" },
	{ "66b80100", "mov $1,%ax" },
	{ "31c0", "xor %eax,%eax" },
	{ "4885ff", "test %rdi,%rdi" },
	{ "493b6610", "cmp 0x10(%r14),%rsp" },
	{ "4d3b6610", "cmp 0x10(%r14),%r12" },
	{ "83fa10", "cmp $0x10,%edx" },
	{ "81fa00100000", "cmp $0x1000,%edx" },
	{ "6681fa0010", "cmp $0x1000,%dx" },
	{ "803f00", "cmpb $0,(%rdi)" },
	{ "80bf9801000000", "cmpb $0,0x198(%rdi)" },
	{ "f6470801", "testb $1,8(%rdi)" },
	{ "f7470800000100", "testl $0x10000,8(%rdi)" },
	{ "f7df", "neg %edi" },
	{ "f6d8", "neg %al" },
	{ "7406", "je" },
	{ "0f8411223344", "je, far" },
	{ "e811223344", "call" },
	{ "e911223344", "jmp" },
	{ "eb10", "jmp, near" },
	{ "ff6018", "jmp *0x18(%rax)" },
	{ "ffa090000000", "jmp *0x90(%rax)" },
	{ "ff2511223344", "jmp *0x44332211(%rip)" },
	{ "64488b042528000000", "mov %fs:0x28,%rax" },
	{ "0fb64708", "movzbl 8(%rdi),%eax" },
	{ "4863d2", "movslq %edx,%rdx" },
	{ "f30f6f07", "movdqu (%rdi),%xmm0" },
	{ "660fefc0", "pxor %xmm0,%xmm0" },
	{ "0f57c0", "xorps %xmm0,%xmm0" },
	{ "f20f1007", "movsd (%rdi),%xmm0" },
	{ "69ff10270000", "imul $10000,%edi,%edi" },
	{ "486bff18", "imul $0x18,%rdi,%rdi" },
	{ "6800010000", "push $0x100" },
	{ "6a01", "push $1" },
	{ "488b04cd11223344", "mov 0x44332211(,%rcx,8),%rax" },
};

static const char *const unknown[] = {
	"cc",		/* int3: padding, or another's breakpoint */
	"06", "0e", "27", "60", "82c0", "9a", "d4", "d6", "ea",	/* none in 64-bit code */
	"0f05", "0f0b", "0fff", "0f01d0",
	"f4", "fa", "cd80", "6c", "ec",		/* privileged, or not how a function begins */
	"c5f877", "c4e27918", "62f17c48",	/* AVX is not decoded */
	"404048", "66666666666666666666666666666655",
};

/* As a rule no longer than this, and never read beyond its end: behind it comes nothing. */
static size_t from_hex(const char *hex, unsigned char **ret)
{
	size_t len = strlen(hex) / 2;
	unsigned char *bytes = malloc(len ? len : 1);

	assert_non_null(bytes);
	for (size_t i = 0; i < len; i++) {
		unsigned int byte;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		bytes[i] = (unsigned char)byte;
	}
	*ret = bytes;
	return len;
}

static void lengths(void **state)
{
	size_t site;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		unsigned char *bytes, more[ELF_PROLOGUE_BYTES + 4];
		size_t len = from_hex(known[i].hex, &bytes);

		if (elf_prologue_length(bytes, len) != len)
			fail_msg("%s (%s): not %zu bytes", known[i].says, known[i].hex, len);
		for (size_t cut = 0; cut < len; cut++) {
			unsigned char *part = malloc(cut ? cut : 1);

			assert_non_null(part);
			memcpy(part, bytes, cut);
			assert_int_equal(elf_prologue_length(part, cut), 0);
			free(part);
		}
		for (int fill = 0; fill < 256; fill++) {
			memset(more, fill, sizeof(more));
			memcpy(more, bytes, len);
			assert_int_equal(elf_prologue_length(more, sizeof(more)), len);
			site = 1;
			assert_int_equal(elf_prologue(more, sizeof(more), &site), TT_BLIND_NONE);
			assert_int_equal(site, 0);
		}
		free(bytes);
	}
}

static void no_instructions(void **state)
{
	size_t site;

	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		unsigned char *bytes;
		size_t len = from_hex(unknown[i], &bytes);

		if (elf_prologue(bytes, len, &site) != TT_BLIND_unexpected_bytes)
			fail_msg("%s was taken", unknown[i]);
		free(bytes);
	}
}

/* CS prefixes in front: the probe goes behind them. */
static void padded(void **state)
{
	static const struct {
		const char *hex;
		size_t site;
	} padded[] = {
		{ "2e4154", 1 }, { "2e2e2e2e4154", 4 }, { "2e2e2e2e2e53", 5 }, { "2e4883ec08", 1 },
		{ "2e2ef30f1efa", 2 }, { "2ee811223344", 1 }, { "2e660f1f840000000000", 1 }, { "2ec3", 1 },
		{ "2e2e2e2e2e2e2e2e2e2e2e2e2e4154", 13 },
	};

	for (size_t i = 0; i < sizeof(padded) / sizeof(padded[0]); i++) {
		unsigned char *bytes;
		size_t len = from_hex(padded[i].hex, &bytes), site = 77;

		assert_int_equal(elf_prologue(bytes, len, &site), TT_BLIND_NONE);
		assert_int_equal(site, padded[i].site);
		for (size_t cut = 0; cut < len; cut++)
			assert_int_equal(elf_prologue(bytes, cut, &site), TT_BLIND_unexpected_bytes);
		free(bytes);
	}
}

/* A segment or lock prefix anywhere else among the prefixes, and the NOP that the kernel makes a call of. */
static void harmful_sites(void **state)
{
	static const char *const harmful[] = {
		"3e4154", "2e3e4154", "3e2e4154", "3effe0", "2e3effe0", "26c3", "3655", "f0480fc107",
		"2ef0480fc107", "f02e480fc107", "662e0f1f840000000000", "643e488b07", "2e64488b07",
		"2e65488b07", "0f1f440000", "2e0f1f440000", "2e2e0f1f440000",
	};
	size_t site;

	for (size_t i = 0; i < sizeof(harmful) / sizeof(harmful[0]); i++) {
		unsigned char *bytes;
		size_t len = from_hex(harmful[i], &bytes);

		if (elf_prologue(bytes, len, &site) != TT_BLIND_unfit_instruction)
			fail_msg("%s was taken", harmful[i]);
		free(bytes);
	}
}

/* Behind endbr64 the harmful NOP is none: the probe stands in front of it. */
static void what_follows_does_not_matter(void **state)
{
	static const unsigned char cet[] = { 0xf3, 0x0f, 0x1e, 0xfa, 0x0f, 0x1f, 0x44, 0x00, 0x00 };

	size_t site = 1;

	assert_int_equal(elf_prologue(cet, sizeof(cet), &site), TT_BLIND_NONE);
	assert_int_equal(site, 0);
}

/* Against the disassembler: the first instructions of all functions of a real library. */
static void as_the_disassembler_says(void **state)
{
	static const char command[] =
		"objdump -d -w --insn-width=16 \"$(ls /usr/lib/*-linux-gnu/libcrypto.so.3 /usr/lib/*-linux-gnu/libcrypto.so.1.1 "
		"2>/dev/null | head -1)\" | awk '/^[0-9a-f]+ <.*>:$/ {getline; "
		"split($0, f, \"\\t\"); gsub(/ /, \"\", f[2]); print f[2], f[3]}'";
	char line[512], hex[64], name[256];
	size_t all = 0, taken = 0;
	FILE *f;

#if !defined(__x86_64__)
	skip();
#endif
	if (system("command -v objdump >/dev/null") != 0)
		skip();
	f = popen(command, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		unsigned char *bytes;
		size_t len, got;

		if (sscanf(line, "%63s %255[^\n]", hex, name) != 2)
			continue;
		len = from_hex(hex, &bytes);
		got = elf_prologue_length(bytes, len);
		if (got && got != len)
			fail_msg("%s (%s): %zu bytes, not %zu", name, hex, got, len);
		all++;
		taken += got != 0;
		free(bytes);
	}
	assert_int_equal(pclose(f), 0);
	assert_true(all > 5000);
	assert_true(taken * 100 >= all * 99);	/* the rest is AVX, in assembly */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lengths),
		cmocka_unit_test(no_instructions),
		cmocka_unit_test(padded),
		cmocka_unit_test(harmful_sites),
		cmocka_unit_test(what_follows_does_not_matter),
		cmocka_unit_test(as_the_disassembler_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
