/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent/elf_boringssl.c on made-up files; on real ones, with their symbols as judges: tests/e2e/boringssl.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

#include "agent/elf_scan.h"
#include "elf_make.h"

static struct elf_made made;
static struct elf_made_library at;
static struct elf_scan scan;

static void look(void)
{
	int fd = elf_made_fd(made.bytes, sizeof(made.bytes));

	assert_true(fd >= 0);
	elf_scan(fd, &scan);
	close(fd);
}

static uint64_t hook(enum tt_hook wanted)
{
	for (size_t i = 0; i < scan.count; i++)
		if (scan.hooks[i].hook == wanted)
			return scan.hooks[i].offset + ELF_BASE;
	return 0;
}

static void assert_found(void)
{
	assert_int_equal(scan.findings, 1);
	assert_int_equal(scan.finding[0].tls, TT_TLS_BORINGSSL);
	assert_int_equal(scan.finding[0].how, TT_HOW_xref);
	assert_int_equal(scan.count, 3);
	assert_int_equal(hook(TT_HOOK_boringssl_write), at.write);
	assert_int_equal(hook(TT_HOOK_boringssl_read), at.read);
	assert_int_equal(hook(TT_HOOK_boringssl_new), at.new);
}

static void assert_blind(enum tt_blind why)
{
	assert_int_equal(scan.findings, 1);
	assert_int_equal(scan.finding[0].tls, TT_TLS_BORINGSSL);
	assert_int_equal(scan.finding[0].how, TT_HOW_NONE);
	assert_int_equal(scan.finding[0].blind, why);
	assert_int_equal(scan.count, 0);
}

/* The value that the code loads with this mov, whose first one it is from `from` on. */
static void change(uint64_t from, unsigned char op, uint32_t value, uint32_t to)
{
	for (unsigned char *p = made.bytes + (from - ELF_BASE); p < made.bytes + ELF_TABLE; p++)
		if (*p == op && memcmp(p + 1, &value, sizeof(value)) == 0) {
			memcpy(p + 1, &to, sizeof(to));
			return;
		}
	fail();
}
#define EDX 0xba
#define R8D 0xb8

static void with_and_without_a_table(void **state)
{
	for (int rows = 0; rows < 2; rows++)
		for (unsigned int type = ET_EXEC; type <= ET_DYN; type++) {
			elf_made_boringssl(&made, type, rows, &at);
			look();
			assert_found();
		}
}

static void no_library(void **state)
{
	elf_made_boringssl(&made, ET_DYN, 1, &at);
	made.bytes[ELF_STRINGS + 6] = 'x';
	look();
	assert_int_equal(scan.findings, 0);
	assert_int_equal(scan.count, 0);
}

static void reasons_that_are_missing(void **state)
{
	const uint32_t reasons[] = { 66, 226, 215 };

	for (size_t i = 0; i < 3; i++) {
		elf_made_boringssl(&made, ET_DYN, 1, &at);
		change(at.write, EDX, reasons[i], 99);
		look();
		assert_blind(TT_BLIND_not_found);
	}
	elf_made_boringssl(&made, ET_DYN, 1, &at);
	change(at.new, EDX, 185, 99);
	look();
	assert_blind(TT_BLIND_not_found);
}

static void functions_that_are_there_twice(void **state)
{
	elf_made_boringssl(&made, ET_DYN, 1, &at);
	change(at.write + 16, EDX, 246, 99);	/* SSL_key_update() looks like SSL_write() now */
	look();
	assert_blind(TT_BLIND_not_unique);
	elf_made_boringssl(&made, ET_DYN, 1, &at);
	change(at.write + 16, EDX, 246, 185);
	look();
	assert_blind(TT_BLIND_not_unique);
}

/* The lines say which of the functions with that error is near SSL_write(). */
static void lines(void **state)
{
	for (uint32_t above = 19; above < 25; above++) {
		elf_made_boringssl(&made, ET_DYN, 1, &at);
		change(at.read, R8D, 940, 962 - above);
		change(at.peek, R8D, 940, 962 - above);
		look();
		if (above == 21 || above == 22)
			assert_found();
		else
			assert_blind(TT_BLIND_not_found);
	}
	/* One of them alone is enough: SSL_peek() may not be linked in. */
	elf_made_boringssl(&made, ET_DYN, 1, &at);
	change(at.peek, R8D, 940, 800);
	look();
	assert_found();
}

/* Neither is longer: which of them is SSL_read()? */
static void as_long_as_each_other(void **state)
{
	uint32_t bytes = (uint32_t)(at.write - at.peek), row = 0;

	elf_made_boringssl(&made, ET_DYN, 1, &at);
	for (uint32_t i = 0; i < made.rows; i++) {
		unsigned char *fde = made.bytes + ELF_FDES + i * 16;

		if (i != 1 && i != 2)
			continue;
		bytes = 90;
		memcpy(fde + 12, &bytes, sizeof(bytes));
		row++;
	}
	assert_int_equal(row, 2);
	look();
	assert_blind(TT_BLIND_not_unique);
}

/* What begins at the found place has to look like a function of this machine. */
static void places_that_are_no_entries(void **state)
{
	elf_made_boringssl(&made, ET_DYN, 1, &at);
	made.bytes[at.write - ELF_BASE] = 0xe9;
	look();
	assert_blind(TT_BLIND_unexpected_bytes);
	elf_made_boringssl(&made, ET_DYN, 1, &at);
	memcpy(made.bytes + at.read - ELF_BASE - 5, "\x48\x89\xc7\x31\xc0", 5);	/* falls into it */
	look();
	assert_blind(TT_BLIND_unexpected_bytes);
}

static void same_names_as_openssl(void **state)
{
	static const char names[] = "\0SSL_write\0SSL_read\0SSL_free\0SSL_write_ex";
	static const uint32_t name_at[] = { 1, 11, 20, 29 };
	struct {
		struct elf_made made;
		char strings[64];
		Elf64_Sym syms[4];
		Elf64_Shdr sh[3];
	} f = { 0 };
	Elf64_Ehdr *eh = (void *)f.made.bytes;
	int fd;

	for (int boringssl = 0; boringssl < 2; boringssl++) {
		elf_made_boringssl(&f.made, ET_DYN, 1, &at);
		if (!boringssl)
			f.made.bytes[ELF_STRINGS + 6] = 'x';
		memcpy(f.strings, names, sizeof(names));
		for (size_t i = 0; i < 4; i++)
			f.syms[i] = (Elf64_Sym){
				.st_name = name_at[i], .st_info = ELF64_ST_INFO(STB_LOCAL, STT_FUNC),
				.st_shndx = 1, .st_value = (&at.write)[i],
			};
		f.sh[1] = (Elf64_Shdr){ .sh_type = SHT_SYMTAB, .sh_offset = offsetof(typeof(f), syms),
					.sh_size = sizeof(f.syms), .sh_link = 2 };
		f.sh[2] = (Elf64_Shdr){ .sh_type = SHT_STRTAB, .sh_offset = offsetof(typeof(f), strings),
					.sh_size = sizeof(f.strings) };
		eh->e_shoff = offsetof(typeof(f), sh);
		eh->e_shnum = 3;
		eh->e_shentsize = sizeof(Elf64_Shdr);
		fd = elf_made_fd(&f, sizeof(f));
		assert_int_equal(elf_scan(fd, &scan), TT_SCAN_HOOKS);
		close(fd);
		assert_int_equal(scan.finding[0].tls, boringssl ? TT_TLS_BORINGSSL : TT_TLS_OPENSSL);
		assert_int_equal(scan.finding[0].how, TT_HOW_symbols);
		assert_int_equal(hook(boringssl ? TT_HOOK_boringssl_write : TT_HOOK_openssl_write), at.write);
		assert_int_equal(hook(boringssl ? TT_HOOK_boringssl_read : TT_HOOK_openssl_read), at.read);
		assert_int_equal(hook(boringssl ? TT_HOOK_boringssl_end : TT_HOOK_openssl_end), at.peek);
		assert_int_equal(scan.count, boringssl ? 3 : 4);
	}
}

static void assert_sane(size_t size)
{
	assert_true(scan.count <= ELF_SCAN_HOOKS_MAX);
	for (size_t i = 0; i < scan.count; i++)
		assert_true(scan.hooks[i].offset < size);
}

static void damaged(void **state)
{
	unsigned int found = 0;

	srandom(7);
	for (int i = 0; i < 3000; i++) {
		elf_made_boringssl(&made, ET_EXEC + (unsigned int)i % 2, i / 2 % 2, &at);
		for (int n = 0; n < 3; n++) {
			uint32_t place = (uint32_t)random() % (i % 3 == 0 ? 512 : ELF_FDES + 512);

			made.bytes[place] ^= (unsigned char)(1 << random() % 8);
		}
		look();
		assert_sane(sizeof(made.bytes));
		found += scan.count > 0;
	}
	assert_true(found > 500 && found < 3000);
}

static void cut_anywhere(void **state)
{
	elf_made_boringssl(&made, ET_DYN, 1, &at);
	for (size_t len = 0; len < sizeof(made.bytes); len += len < 512 ? 1 : 97) {
		int fd = elf_made_fd(made.bytes, len);

		assert_int_equal(elf_scan(fd, &scan), len < SELFMAG ? TT_SCAN_NONE : TT_SCAN_BAD);
		assert_int_equal(scan.count, 0);
		close(fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_and_without_a_table),
		cmocka_unit_test(no_library),
		cmocka_unit_test(reasons_that_are_missing),
		cmocka_unit_test(functions_that_are_there_twice),
		cmocka_unit_test(lines),
		cmocka_unit_test(as_long_as_each_other),
		cmocka_unit_test(places_that_are_no_entries),
		cmocka_unit_test(same_names_as_openssl),
		cmocka_unit_test(damaged),
		cmocka_unit_test(cut_anywhere),
	};

#if !defined(__x86_64__)
	print_message("x86-64 only\n");
	return 0;
#endif
	return cmocka_run_group_tests(tests, NULL, NULL);
}
