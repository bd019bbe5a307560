/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent/elf_openssl.c on made-up files, and on a real static library; on more real ones, with their
 * symbols as judges: tests/e2e/boringssl.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/elf_scan.h"
#include "elf_make.h"

#define V3_5 "OpenSSL 3.5.4 30 Sep 2025"

static struct elf_made made;
static struct elf_made_openssl at;
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

static void assert_found(size_t hooks, const char *version)
{
	assert_int_equal(scan.findings, 1);
	assert_int_equal(scan.finding[0].tls, TT_TLS_OPENSSL);
	assert_int_equal(scan.finding[0].how, TT_HOW_xref);
	assert_string_equal(scan.finding[0].version, version);
	assert_int_equal(scan.count, hooks);
	assert_int_equal(hook(TT_HOOK_openssl_write), at.write);
	assert_int_equal(hook(TT_HOOK_openssl_read), at.read);
	assert_int_equal(hook(TT_HOOK_openssl_new), at.new);
}

static void assert_blind(enum tt_blind why)
{
	assert_int_equal(scan.findings, 1);
	assert_int_equal(scan.finding[0].tls, TT_TLS_OPENSSL);
	assert_int_equal(scan.finding[0].blind, why);
	assert_int_equal(scan.count, 0);
}

static void all_functions(void **state)
{
	elf_made_openssl(&made, V3_5, &at);
	look();
	assert_found(5, "3.5.4");
	assert_int_equal(hook(TT_HOOK_openssl_write_ex2), at.write_internal);
	assert_int_equal(hook(TT_HOOK_openssl_read_ex), at.read_internal);
}

/* Where the count stands depends on the version; if that is not known, or the function does not keep
 * the argument, it is not probed. */
static void internal_ones(void **state)
{
	elf_made_openssl(&made, "OpenSSL 3.2.1 30 Jan 2024", &at);
	look();
	assert_found(3, "3.2.1");	/* keeps %r8, not %rcx */
	made.bytes[at.write_internal - ELF_BASE + 1] = 0x49;
	made.bytes[at.write_internal - ELF_BASE + 3] = 0xcc;
	look();
	assert_found(5, "3.2.1");
	assert_int_equal(hook(TT_HOOK_openssl_write_ex), at.write_internal);
	elf_made_openssl(&made, V3_5, &at);
	made.bytes[at.read_internal - ELF_BASE + 3] = 0xd4;	/* %rdx */
	look();
	assert_found(3, "3.5.4");
	elf_made_openssl(&made, "none", &at);
	look();
	assert_found(3, "");	/* keeps %r8, and is not said to be since 3.3 */
	elf_made_string(&made, "SSL_set_value_uint");
	look();
	assert_found(5, "");
	assert_int_equal(hook(TT_HOOK_openssl_write_ex2), at.write_internal);
	made.bytes[at.write_internal - ELF_BASE + 1] = 0x49;
	made.bytes[at.write_internal - ELF_BASE + 3] = 0xcc;
	look();
	assert_found(3, "");
	elf_made_openssl(&made, "none", &at);
	made.bytes[at.write_internal - ELF_BASE + 1] = 0x49;
	made.bytes[at.write_internal - ELF_BASE + 3] = 0xcc;
	look();
	assert_found(5, "");
	assert_int_equal(hook(TT_HOOK_openssl_write_ex), at.write_internal);
	elf_made_openssl(&made, "OpenSSL 3.2.1 30 Jan 2024", &at);
	elf_made_string(&made, "SSL_set_value_uint");
	look();
	assert_found(3, "3.2.1");
}

/* Whose functions can't be found, since its errors do not name them; it is not called OpenSSL. */
static void libressl(void **state)
{
	elf_made_openssl(&made, "LibreSSL 4.3.1", &at);
	look();
	assert_int_equal(scan.count, 0);
	assert_int_equal(scan.findings, 1);
	assert_int_equal(scan.finding[0].tls, TT_TLS_LIBRESSL);
	assert_int_equal(scan.finding[0].blind, TT_BLIND_not_found);
	/* What only speaks of it is OpenSSL, and so is what has both. */
	elf_made_openssl(&made, "LibreSSL 4.3.1 or later", &at);
	look();
	assert_found(3, "");
	elf_made_openssl(&made, "LibreSSL/%s", &at);
	look();
	assert_found(3, "");
	elf_made_openssl(&made, V3_5, &at);
	elf_made_string(&made, "LibreSSL 4.3.1");
	look();
	assert_found(5, "3.5.4");
	elf_made_string(&made, "OpenSSL 3.5.5 1 Nov 2025");
	look();
	assert_found(3, "");
}

static void versions(void **state)
{
	static const struct {
		const char *text, *version;
	} texts[] = {
		{ "OpenSSL 3.0.15+quic 3 Sep 2024", "3.0.15+quic" },
		{ "OpenSSL 4.0.3 29 Sep 2026", "4.0.3" },
		{ "OpenSSL 3.5.0-beta1 25 Mar 2025", "3.5.0-beta1" },
		{ "OpenSSL 3.5.4 or later is needed", "" },
		{ "OpenSSL 3.5.4", "" },
		{ "OpenSSL 3.5.4 30 Sep 2025 (Library)", "" },
		{ "OpenSSL 3.5.4.5.6.7.8.9.0.1.2.3.4.5.6.7.8.9.0 30 Sep 2025", "" },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		elf_made_openssl(&made, texts[i].text, &at);
		look();
		assert_string_equal(scan.finding[0].version, texts[i].version);
		assert_int_equal(hook(TT_HOOK_openssl_write), at.write);
	}
	elf_made_openssl(&made, V3_5, &at);
	elf_made_string(&made, "OpenSSL 3.5.5 1 Nov 2025");
	look();
	assert_found(3, "");	/* which of the two? */
	elf_made_openssl(&made, V3_5, &at);
	elf_made_string(&made, V3_5);
	look();
	assert_found(5, "3.5.4");
}

/* A function that refers to a name, but not to the library's source file, is somebody else's. */
static void names_in_other_functions(void **state)
{
	uint64_t name, other;

	elf_made_openssl(&made, V3_5, &at);
	name = elf_made_string(&made, "SSL_write");
	other = elf_made_function(&made);
	elf_made_lea(&made, 6, name);
	elf_made_end(&made, other, 1);
	look();
	assert_found(5, "3.5.4");

	elf_made_openssl(&made, V3_5, &at);
	elf_made_named(&made, ELF_BASE + ELF_STRINGS + 1 + sizeof(V3_5), elf_made_string(&made, "SSL_write"),
		       &other, NULL);
	look();
	assert_blind(TT_BLIND_not_unique);
}

static void names_that_are_missing(void **state)
{
	static const char *const names[] = { "SSL_write", "SSL_read", "SSL_new" };

	for (size_t i = 0; i < 3; i++) {
		unsigned char *p;

		elf_made_openssl(&made, V3_5, &at);
		p = memmem(made.bytes, sizeof(made.bytes), names[i], strlen(names[i]) + 1);
		assert_non_null(p);
		*p = 'X';
		look();
		assert_blind(TT_BLIND_not_found);
	}
	elf_made_openssl(&made, V3_5, &at);
	made.bytes[ELF_STRINGS + 1 + sizeof(V3_5)] = 'X';	/* the source file's name */
	look();
	assert_int_equal(scan.findings, 0);
}

/* 1.1: ERR_put_error(20, function, reason, file, line) */
static void numbers_of_functions(void **state)
{
	static const uint32_t codes[] = { 186, 223, 208, 523, 524 };
	uint64_t *const places[] = { &at.new, &at.read, &at.write, &at.read_internal, &at.write_internal };
	uint64_t file;

	for (int number = 0; number < 2; number++) {
		elf_made_begin(&made, ET_DYN);
		elf_made_string(&made, number ? "OpenSSL 1.1.1w  11 Sep 2023" : "OpenSSL 3.0.1 14 Dec 2021");
		file = elf_made_string(&made, "ssl/ssl_lib.c");
		for (size_t i = 0; i < 5; i++) {
			*places[i] = elf_made_function(&made);
			elf_made_code(&made, "\x49\x89\xcc", 3);	/* mov %rcx,%r12 */
			elf_made_mov(&made, 6, codes[i]);
			elf_made_lea(&made, 1, file);
			elf_made_call(&made, ELF_BASE + ELF_CODE);
			elf_made_end(&made, *places[i], 1);
		}
		look();
		if (number)
			assert_found(5, "1.1.1w");
		else
			assert_blind(TT_BLIND_not_found);
	}
	elf_made_begin(&made, ET_DYN);
}

static void damaged(void **state)
{
	unsigned int found = 0;

	srandom(8);
	for (int i = 0; i < 3000; i++) {
		elf_made_openssl(&made, V3_5, &at);
		for (int n = 0; n < 3; n++)
			made.bytes[(uint32_t)random() % (i % 3 == 0 ? 512 : ELF_FDES + 512)] ^=
				(unsigned char)(1 << random() % 8);
		look();
		assert_true(scan.count <= ELF_SCAN_HOOKS_MAX);
		for (size_t k = 0; k < scan.count; k++)
			assert_true(scan.hooks[k].offset < sizeof(made.bytes));
		found += scan.count > 0;
	}
	assert_true(found > 500 && found < 3000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_functions),
		cmocka_unit_test(internal_ones),
		cmocka_unit_test(versions),
		cmocka_unit_test(libressl),
		cmocka_unit_test(names_in_other_functions),
		cmocka_unit_test(names_that_are_missing),
		cmocka_unit_test(numbers_of_functions),
		cmocka_unit_test(damaged),
	};

#if !defined(__x86_64__)
	print_message("x86-64 only\n");
	return 0;
#endif
	return cmocka_run_group_tests(tests, NULL, NULL);
}
