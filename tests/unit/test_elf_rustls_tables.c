/* SPDX-License-Identifier: Apache-2.0 */
/* agent/elf_rustls_tables.c on made-up files: all that it looks for has to be there. Real programs are in
 * tests/e2e/rustls.py and matrix.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/elf_rustls_tables.h"
#include "agent/elf_scan.h"
#include "elf_make.h"

#define ROOT "/crates/x"
#define RUSTLS ROOT "/rustls-0.23.46/src/crypto/"
#define PATCH 46

static struct elf_made made;
static struct elf_made_rustls at[6];
static struct rustls_tables found;

static void make(unsigned int type)
{
	elf_made_rustls_begin(&made, type);
	elf_made_rustls(&made, 0, RUSTLS "aws_lc_rs/tls13.rs", 17, &at[0]);
	elf_made_rustls(&made, 1, RUSTLS "aws_lc_rs/tls12.rs", 24, &at[1]);
}

static int look_to(size_t len)
{
	int fd = elf_made_fd(made.bytes, len), r;
	struct elf_file file;

	assert_true(fd >= 0);
	memset(&found, 0, sizeof(found));
	r = elf_file_open(&file, fd);
	if (r == 0)
		r = elf_rustls_tables(&file, PATCH, &found);
	elf_file_close(&file);
	close(fd);
	return r;
}

static int look(void)
{
	return look_to(sizeof(made.bytes));
}

static void assert_both(void)
{
	assert_int_equal(look(), 0);
	assert_int_equal(found.encrypts, 2);
	assert_int_equal(found.decrypts, 2);
	assert_int_equal(found.return_count, 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(found.encrypt[i] + ELF_BASE, at[i].encrypt);
		assert_int_equal(found.decrypt[i] + ELF_BASE, at[i].decrypt);
		assert_int_equal(found.returns[i] + ELF_BASE, at[i].returns);
	}
}

static void by_relocations(void **state)
{
	make(ET_DYN);
	assert_both();
}

static void in_place(void **state)
{
	make(ET_EXEC);
	assert_both();
}

static void ring(void **state)
{
	elf_made_rustls_begin(&made, ET_DYN);
	elf_made_rustls(&made, 0, RUSTLS "ring/tls13.rs", 17, &at[0]);
	assert_int_equal(look(), 0);
	assert_int_equal(found.encrypts, 1);
}

/* With a frame: push %rbp; mov %rsp,%rbp; lea; pop %rbp; ret */
static void with_frame_pointers(void **state)
{
	make(ET_DYN);
	memcpy(made.bytes + (at[0].adds - ELF_BASE), "\x55\x48\x89\xe5\x48\x8d\x46\x11\x5d\xc3", 10);
	assert_both();
	memcpy(made.bytes + (at[0].adds - ELF_BASE), "\x55\x48\x89\xe5\x48\x8d\x46\x11\x90\xc3", 10);
	assert_int_equal(look(), -ENOENT);
}

static void no_tables(void)
{
	assert_int_equal(look(), -ENOENT);
	assert_int_equal(found.encrypts, 0);
}

/* Each word of the four that matters, changed. */
static void one_word_wrong(void **state)
{
	static const struct {
		unsigned int word;
		uint64_t value;
	} wrong[] = {
		{ 1, 5 },			/* the first place is in another file */
		{ 4, 0 }, { 4, 1 << 20 },	/* size */
		{ 5, 0 }, { 5, 3 }, { 5, 128 },	/* alignment */
		{ 8, 5 },
		{ 11, 0 }, { 12, 6 },
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		make(ET_DYN);
		elf_made_number(&made, at[0].words + wrong[i].word * 8, wrong[i].value);
		no_tables();
	}
}

/* The relocations, in their order: path, drop, decrypt, path, drop, encrypt, adds. */
static void one_address_wrong(void **state)
{
	for (unsigned int i = 0; i < 7; i++) {
		Elf64_Rela *rela = (Elf64_Rela *)(void *)(made.bytes + ELF_RUSTLS_RELA) + i;

		make(ET_DYN);
		rela->r_addend = ELF_BASE + ELF_STRINGS + 1 + (i == 0);	/* no code */
		if (i == 3)
			rela->r_addend++;
		no_tables();
		make(ET_DYN);
		rela->r_info = ELF64_R_INFO(0, R_X86_64_64);
		if (i != 1 && i != 4)	/* nothing need be dropped */
			no_tables();
		make(ET_DYN);
		rela->r_offset += 4;
		if (i != 1 && i != 4)
			no_tables();
	}
}

/* A size that is an address is none. */
static void addresses_for_numbers(void **state)
{
	for (unsigned int word = 4; word <= 12; word++) {
		if (word > 5 && word < 11)
			continue;
		make(ET_DYN);
		elf_made_address(&made, at[0].words + word * 8, 8);
		no_tables();
	}
}

static void other_overhead(void **state)
{
	static const unsigned char adds[] = { 0, 16, 18, 24, 0x91 };

	for (size_t i = 0; i < sizeof(adds); i++) {
		make(ET_DYN);
		made.bytes[at[0].adds - ELF_BASE + 3] = adds[i];
		no_tables();
	}
	make(ET_DYN);
	made.bytes[at[0].adds - ELF_BASE + 4] = 0x90;
	no_tables();
	/* Without TLS 1.2 there is still 1.3. */
	make(ET_DYN);
	made.bytes[at[1].adds - ELF_BASE + 3] = 17;
	assert_int_equal(look(), 0);
	assert_int_equal(found.encrypts, 1);
	made.bytes[at[1].adds - ELF_BASE + 3] = 16;
	assert_both();
}

static void other_paths(void **state)
{
	static const char *const paths[] = {
		ROOT "/rustls-0.23.47/src/crypto/ring/tls13.rs", ROOT "/rustls-0.22.4/src/crypto/ring/tls13.rs",
		ROOT "/rustls-0.23.4x/src/crypto/ring/tls13.rs", ROOT "/rustls-0.23./src/crypto/ring/tls13.rs",
		ROOT "/rustls-0.23.123/src/crypto/ring/tls13.rs", ROOT "/hyper-rustls-0.23.4/src/crypto/ring/tls13.rs",
		ROOT "/rustls-0.23.46/src/crypto/ring/tls13.rs ", ROOT "/rustls-0.23.46/src/crypto/other/tls13.rs",
		"/src/crypto/ring/tls13.rs", "",
	};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		elf_made_rustls_begin(&made, ET_DYN);
		elf_made_rustls(&made, 0, paths[i], 17, &at[0]);
		no_tables();
	}
	elf_made_rustls_begin(&made, ET_DYN);
	elf_made_rustls(&made, 0, ROOT "/rustls-0.23.5/src/crypto/ring/tls13.rs", 17, &at[0]);
	assert_int_equal(look(), 0);
}

/* More than rustls has: which of them are its own is not known. */
static void too_many(void **state)
{
	elf_made_rustls_begin(&made, ET_DYN);
	for (unsigned int i = 0; i <= RUSTLS_TABLES_MAX; i++)
		elf_made_rustls(&made, i, RUSTLS "ring/tls13.rs", 17, &at[i]);
	assert_int_equal(look(), -E2BIG);
}

/* Two tables for the same methods are one. */
static void same_methods(void **state)
{
	make(ET_DYN);
	elf_made_rustls(&made, 2, RUSTLS "aws_lc_rs/tls13.rs", 17, &at[2]);
	for (Elf64_Rela *r = (Elf64_Rela *)(void *)(made.bytes + ELF_RUSTLS_RELA); r->r_offset; r++) {
		if (r->r_addend == (int64_t)at[2].decrypt)
			r->r_addend = (int64_t)at[0].decrypt;
		if (r->r_addend == (int64_t)at[2].encrypt)
			r->r_addend = (int64_t)at[0].encrypt;
	}
	assert_both();
}

static void returns_not_sure(void **state)
{
	make(ET_DYN);
	made.bytes[at[1].decrypt - ELF_BASE + 1] = 0x06;
	assert_int_equal(look(), 0);
	assert_int_equal(found.encrypts, 2);
	assert_int_equal(found.decrypts, 0);
	assert_int_equal(found.return_count, 0);
}

static void damaged_dynamic(void **state)
{
	Elf64_Dyn *d = (Elf64_Dyn *)(void *)(made.bytes + ELF_TABLE);

	make(ET_DYN);
	d[0].d_un.d_ptr = 1;
	assert_int_equal(look(), -EBADMSG);
	make(ET_DYN);
	d[1].d_un.d_val = UINT64_MAX;
	assert_int_equal(look(), -E2BIG);
	make(ET_DYN);
	d[1].d_un.d_val = ELF_BYTES - 24;
	assert_true(look() < 0);
	make(ET_DYN);
	elf_made_phdr(&made, 3)->p_offset = UINT64_MAX - 8;
	assert_true(look() < 0);
	for (size_t len = sizeof(Elf64_Ehdr); len < ELF_BYTES; len += 512) {
		make(ET_DYN);
		assert_true(look_to(len) < 0);
	}
}

/* ---- as part of a search ---- */

static struct elf_scan scan;

static void scan_made(void)
{
	int fd = elf_made_fd(made.bytes, sizeof(made.bytes));

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, ELF_RUSTLS_LEAST), 0);
	elf_scan(fd, &scan);
	close(fd);
	assert_int_equal(scan.findings, 1);
	assert_int_equal(scan.finding[0].tls, TT_TLS_RUSTLS);
	assert_string_equal(scan.finding[0].version, "0.23.46");
}

static void count_hooks(size_t want[static TT_HOOK_MAX])
{
	for (size_t i = 0; i < scan.count; i++)
		want[scan.hooks[i].hook]--;
	for (size_t i = 0; i < TT_HOOK_MAX; i++)
		assert_int_equal(want[i], 0);
}

static void hooks(void **state)
{
	size_t want[TT_HOOK_MAX] = {
		[TT_HOOK_rustls_encrypt] = 2, [TT_HOOK_rustls_decrypt] = 2, [TT_HOOK_rustls_return] = 2,
	};

	make(ET_DYN);
	scan_made();
	assert_int_equal(scan.finding[0].how, TT_HOW_xref);
	assert_int_equal(scan.finding[0].blind, TT_BLIND_NONE);
	assert_int_equal(scan.finding[0].partly[1], TT_BLIND_NONE);
	count_hooks(want);
}

static void hooks_of_one_direction(void **state)
{
	size_t want[TT_HOOK_MAX] = { [TT_HOOK_rustls_encrypt] = 2 };

	make(ET_DYN);
	made.bytes[at[0].decrypt - ELF_BASE + 1] = 0x06;
	scan_made();
	assert_int_equal(scan.finding[0].how, TT_HOW_xref);
	assert_int_equal(scan.finding[0].partly[0], TT_BLIND_NONE);
	assert_int_equal(scan.finding[0].partly[1], TT_BLIND_sent_only);
	count_hooks(want);
}

static void reasons(void **state)
{
	make(ET_DYN);
	made.bytes[at[0].adds - ELF_BASE + 3] = 0;
	scan_made();
	assert_int_equal(scan.finding[0].blind, TT_BLIND_not_found);
	elf_made_rustls_begin(&made, ET_DYN);
	for (unsigned int i = 0; i <= RUSTLS_TABLES_MAX; i++)
		elf_made_rustls(&made, i, RUSTLS "ring/tls13.rs", 17, &at[i]);
	scan_made();
	assert_int_equal(scan.finding[0].blind, TT_BLIND_not_unique);
	assert_int_equal(scan.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_relocations),
		cmocka_unit_test(in_place),
		cmocka_unit_test(ring),
		cmocka_unit_test(with_frame_pointers),
		cmocka_unit_test(one_word_wrong),
		cmocka_unit_test(one_address_wrong),
		cmocka_unit_test(addresses_for_numbers),
		cmocka_unit_test(other_overhead),
		cmocka_unit_test(other_paths),
		cmocka_unit_test(too_many),
		cmocka_unit_test(same_methods),
		cmocka_unit_test(returns_not_sure),
		cmocka_unit_test(damaged_dynamic),
		cmocka_unit_test(hooks),
		cmocka_unit_test(hooks_of_one_direction),
		cmocka_unit_test(reasons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
