/* SPDX-License-Identifier: Apache-2.0 */
/* agent/elf_file.c: what it says of this very program, and its limits. Damaged files: test_elf_scan.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
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

/* ---- symbols by their names, in a file of no other use ---- */

#define NAMES_BYTES (200U << 10)
#define MADE_SYMBOLS 40000U

struct made {
	Elf64_Ehdr eh;
	Elf64_Shdr sh[3];	/* none, symbols, names */
	Elf64_Sym symbol[MADE_SYMBOLS];
	char names[NAMES_BYTES];
};

static struct made *make(void)
{
	struct made *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	m->eh = (Elf64_Ehdr){
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, 1 },
		.e_type = ET_DYN, .e_version = 1, .e_ehsize = sizeof(Elf64_Ehdr),
		.e_machine = file.ehdr.e_machine, .e_phentsize = sizeof(Elf64_Phdr),
		.e_shentsize = sizeof(Elf64_Shdr), .e_shnum = 3, .e_shoff = offsetof(struct made, sh),
	};
	m->sh[1] = (Elf64_Shdr){ .sh_type = SHT_SYMTAB, .sh_offset = offsetof(struct made, symbol),
				 .sh_size = sizeof(m->symbol), .sh_link = 2 };
	m->sh[2] = (Elf64_Shdr){ .sh_type = SHT_STRTAB, .sh_offset = offsetof(struct made, names),
				 .sh_size = sizeof(m->names) };
	memset(m->names, 'x', sizeof(m->names) - 1);
	return m;
}

static unsigned int asked, found[2];
static uint64_t last_value;

static uint32_t match(const char *name, size_t left, void *arg)
{
	asked++;
	if (left >= 5 && memcmp(name, "abcd", 5) == 0)
		return 1;
	return left >= 3 && memcmp(name, "ef", 3) == 0 ? 2 : 0;
}

static void on_found(const GElf_Sym *symbol, uint32_t which, void *arg)
{
	found[which - 1]++;
	last_value = symbol->st_value;
}

static int look(const struct made *m)
{
	struct elf_names names = { .match = match, .found = on_found };
	int made = memfd_create("made", MFD_CLOEXEC), r;
	struct elf_file f;
	GElf_Shdr h;

	asked = found[0] = found[1] = 0;
	elf_names_begin(&names, "ab");
	elf_names_begin(&names, "ef");
	assert_int_equal(write(made, m, sizeof(*m)), sizeof(*m));
	assert_int_equal(elf_file_open(&f, made), 0);
	assert_non_null(gelf_getshdr(elf_getscn(f.elf, 1), &h));
	r = elf_file_symbols(&f, &h, &names, NULL);
	elf_file_close(&f);
	close(made);
	return r;
}

struct walked {
	uint64_t count, sum;
	int r;
};

static int walk(void *arg, const void *record)
{
	const Elf64_Sym *symbol = record;
	struct walked *w = arg;

	w->count++;
	w->sum = w->sum * 31 + symbol->st_name;
	return w->r;
}

static void records_of_a_section(void **state)
{
	struct made *m = make();
	int made = memfd_create("made", MFD_CLOEXEC);
	struct walked w = { 0 }, want = { 0 };
	struct elf_file f;
	GElf_Shdr h;

	for (unsigned int i = 0; i < MADE_SYMBOLS; i++) {
		m->symbol[i].st_name = i * i;
		walk(&want, &m->symbol[i]);
	}
	m->sh[1].sh_size += 23;		/* less than another one */
	assert_int_equal(write(made, m, sizeof(*m)), sizeof(*m));
	assert_int_equal(elf_file_open(&f, made), 0);
	assert_non_null(gelf_getshdr(elf_getscn(f.elf, 1), &h));
	assert_int_equal(elf_file_records(&f, &h, sizeof(Elf64_Sym), walk, &w), 0);
	assert_int_equal(w.count, MADE_SYMBOLS);
	assert_int_equal(w.sum, want.sum);
	w = (struct walked){ .r = -ENOENT };
	assert_int_equal(elf_file_records(&f, &h, sizeof(Elf64_Sym), walk, &w), -ENOENT);
	assert_int_equal(w.count, 1);
	h.sh_offset = f.size - h.sh_size + 1;
	assert_int_equal(elf_file_records(&f, &h, sizeof(Elf64_Sym), walk, &w), -EBADMSG);
	elf_file_close(&f);
	close(made);
	free(m);
}

/* Wherever it stands: in a window, over its end, as the end of a longer name, last of all. */
static void names_anywhere(void **state)
{
	const unsigned int window = 64 << 10;
	struct made *m = make();

	for (unsigned int at = 1; at < NAMES_BYTES - 5; at += at + 8 < window || at > window + 8 ? 4099 : 1) {
		memcpy(m->names + at, "abcd", 5);
		m->symbol[MADE_SYMBOLS - 1] = (Elf64_Sym){ .st_name = at, .st_value = at };
		assert_int_equal(look(m), 0);
		assert_int_equal(found[0], 1);
		assert_int_equal(last_value, at);
		assert_int_equal(asked, 1);
		memset(m->names + at, 'x', 5);
	}
	memcpy(m->names + NAMES_BYTES - 5, "abcd", 5);
	m->symbol[0].st_name = NAMES_BYTES - 5;
	assert_int_equal(look(m), 0);
	assert_int_equal(found[0], 1);
	m->names[NAMES_BYTES - 1] = 'x';	/* not ended: nothing may be read behind it */
	assert_int_equal(look(m), 0);
	assert_int_equal(found[0], 0);
	free(m);
}

static void several_symbols_of_a_name(void **state)
{
	struct made *m = make();

	memcpy(m->names + 100, "ef\0abcd", 8);
	for (unsigned int i = 0; i < MADE_SYMBOLS; i++)
		m->symbol[i].st_name = i % 4 == 3 ? 103 : i % 4 == 1 ? 100 : i;
	for (unsigned int i = 100; i <= 103; i++)
		m->symbol[i].st_name = 0;
	assert_int_equal(look(m), 0);
	assert_int_equal(found[0], MADE_SYMBOLS / 4 - 1);
	assert_int_equal(found[1], MADE_SYMBOLS / 4 - 1);
	free(m);
}

static void names_have_a_limit(void **state)
{
	struct made *m = make();

	for (unsigned int i = 0; i < 16384; i++)
		memcpy(m->names + 5 * i, "abcd", 5);
	assert_int_equal(look(m), 0);
	memcpy(m->names + 5 * 16384, "abcd", 5);
	assert_int_equal(look(m), -EBADMSG);
	m->sh[2].sh_size = UINT64_MAX;
	assert_int_equal(look(m), -EBADMSG);
	m->sh[2].sh_size = 100;
	m->sh[1].sh_offset = sizeof(*m);
	assert_int_equal(look(m), -EBADMSG);
	free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, open_self, close_self)
		T(sections_by_name), T(addresses), T(bytes), T(cut_meanwhile), T(records_of_a_section),
		T(names_anywhere), T(several_symbols_of_a_name), T(names_have_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
