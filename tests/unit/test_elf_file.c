/* SPDX-License-Identifier: Apache-2.0 */
/* agent/elf_file.c: what it says of this very program, and its limits. Damaged files: test_elf_scan.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/elf_file.h"

static struct elf_file file;
static int fd;

static int open_self(void **state)
{
	fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(elf_file_open(&file, fd), 0);
	return 0;
}

static int close_self(void **state)
{
	elf_file_close(&file);
	assert_int_equal(close(fd), 0);
	return 0;
}

static const char readable[] = "bytes that stand in a read-only segment";

static void sections_by_name(void **state)
{
	GElf_Shdr h;

	assert_int_equal(elf_file_section(&file, ".text", &h), 0);
	assert_true(h.sh_flags & SHF_EXECINSTR);
	assert_true(h.sh_size > 0);
	assert_int_equal(elf_file_section(&file, ".tex", &h), -ENOENT);
	assert_int_equal(elf_file_section(&file, ".textt", &h), -ENOENT);
	assert_int_equal(elf_file_section(&file, "", &h), -ENOENT);
}

static void addresses(void **state)
{
	uint64_t offset, again;
	GElf_Shdr h;

	assert_int_equal(elf_file_section(&file, ".text", &h), 0);
	assert_true(elf_file_offset(&file, h.sh_addr, true, &offset));
	assert_int_equal(offset, h.sh_offset);
	assert_true(elf_file_offset(&file, h.sh_addr, false, &again));
	assert_int_equal(again, offset);
	assert_int_equal(elf_file_section(&file, ".rodata", &h), 0);
	assert_false(elf_file_offset(&file, h.sh_addr, true, &offset));
	assert_true(elf_file_offset(&file, h.sh_addr, false, &offset));
	assert_int_equal(offset, h.sh_offset);
	assert_false(elf_file_offset(&file, UINT64_MAX, false, &offset));
}

static void bytes(void **state)
{
	char buf[sizeof(readable)];
	uint64_t at, found = 0;
	GElf_Shdr h;

	assert_int_equal(elf_file_section(&file, ".rodata", &h), 0);
	for (at = h.sh_offset; at + sizeof(buf) <= h.sh_offset + h.sh_size; at++) {
		assert_int_equal(elf_file_read(&file, at, buf, sizeof(buf)), 0);
		found += memcmp(buf, readable, sizeof(readable)) == 0;
	}
	assert_int_equal(found, 1);
	assert_int_equal(elf_file_read(&file, file.size - 1, buf, 1), 0);
	assert_int_equal(elf_file_read(&file, file.size, buf, 0), 0);
	assert_int_equal(elf_file_read(&file, file.size, buf, 1), -ERANGE);
	assert_int_equal(elf_file_read(&file, file.size - 1, buf, 2), -ERANGE);
	assert_int_equal(elf_file_read(&file, UINT64_MAX, buf, 2), -ERANGE);
}

/* The file is shorter by now than it was when its headers were read. */
static void cut_meanwhile(void **state)
{
	int copy = memfd_create("elf", MFD_CLOEXEC);
	static char buf[1 << 16];
	struct elf_file cut;
	ssize_t n;

	for (off_t at = 0; (n = pread(fd, buf, sizeof(buf), at)) > 0; at += n)
		assert_int_equal(write(copy, buf, (size_t)n), n);
	assert_int_equal(elf_file_open(&cut, copy), 0);
	assert_int_equal(ftruncate(copy, (off_t)cut.size - 4), 0);
	assert_int_equal(elf_file_read(&cut, cut.size - 8, buf, 8), -ERANGE);
	assert_int_equal(elf_file_read(&cut, cut.size - 8, buf, 4), 0);
	elf_file_close(&cut);
	close(copy);
}

static void tables_have_a_limit(void **state)
{
	GElf_Shdr h;
	size_t i = 1;

	for (; i < file.ehdr.e_shnum; i++) {
		assert_non_null(gelf_getshdr(elf_getscn(file.elf, i), &h));
		if (h.sh_type == SHT_DYNSYM)
			break;
	}
	assert_true(i < file.ehdr.e_shnum);
	assert_non_null(elf_file_table(&file, elf_getscn(file.elf, i), &h));
	assert_int_equal(file.table_bytes, h.sh_size);
	assert_non_null(elf_file_table(&file, elf_getscn(file.elf, i), &h));
	assert_int_equal(file.table_bytes, h.sh_size);	/* another search may ask again */
	file.table_count = 0;
	file.table_bytes = ELF_TABLES_MAX_BYTES - h.sh_size + 1;
	file.table_count = 0;
	assert_null(elf_file_table(&file, elf_getscn(file.elf, i), &h));
	h.sh_offset = file.size;
	file.table_bytes = 0;
	assert_null(elf_file_table(&file, elf_getscn(file.elf, i), &h));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, open_self, close_self)
		T(sections_by_name), T(addresses), T(bytes), T(cut_meanwhile), T(tables_have_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
