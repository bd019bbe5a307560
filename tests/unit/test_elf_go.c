/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Go's crypto/tls: in made-up programs of each layout of Go's tables, whole and damaged, and in real
 * ones, of which the table must say what the symbols say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/elf_go_code.h"
#include "agent/elf_scan.h"

#define BASE 0x400000ULL
#define SPARE "main.main"

enum { TEXT = 0x1000, WRITE = 0x1100, READ = 0x1300, CLOSE = 0x1500, TEXT_END = 0x2000 };
enum { TABLE = 0x2000, NAMES = 0x100, LIST = 0x400, INFO = 0x3000, MODULE = 0x3800, RELA = 0x4000,
       SYMBOLS = 0x5000, STRINGS = 0x5800, SECTION_NAMES = 0x6000, SECTIONS = 0x6400, SIZE = 0x7000 };
enum { MAGIC_2 = 0xfffffffb, MAGIC_16 = 0xfffffffa, MAGIC_18 = 0xfffffff0, MAGIC_20 = 0xfffffff1 };
enum { SEC_NONE, SEC_TABLE, SEC_INFO, SEC_MODULE, SEC_RELA, SEC_SYMBOLS, SEC_STRINGS, SEC_NAMES, SECS };

static struct elf_scan scan;

struct image {
	unsigned char bytes[SIZE];
	size_t relas, names;
};

/* How it was built. */
struct build {
	uint32_t magic;
	const char *version;
	bool module;		/* the base is in .go.module, as with Go 1.26 */
	bool pie;		/* words are written by the loader */
	bool push;		/* the frame pointer is saved by a push, as from Go 1.21 on */
	bool symbols, no_sections;
	const char *names[4];	/* of the functions at TEXT, WRITE, READ, CLOSE */
};

static const struct build go1_20 = {
	.magic = MAGIC_20, .version = "go1.20.14",
	.names = { SPARE, "crypto/tls.(*Conn).Write", "crypto/tls.(*Conn).Read", "crypto/tls.(*Conn).Close" },
};
static const uint64_t starts[5] = { TEXT, WRITE, READ, CLOSE, TEXT_END };

static void put(struct image *m, size_t at, uint64_t value, size_t bytes)
{
	memcpy(m->bytes + at, &value, bytes);
}

/* A word that is an address: in a PIE the loader writes it. */
static void put_address(struct image *m, const struct build *b, size_t at, uint64_t address)
{
	Elf64_Rela r = { BASE + at, ELF64_R_INFO(0, R_X86_64_RELATIVE), (int64_t)address };

	if (b->pie)
		memcpy(m->bytes + RELA + sizeof(r) * m->relas++, &r, sizeof(r));
	else
		put(m, at, address, 8);
}

static size_t append(struct image *m, size_t at, const void *bytes, size_t len)
{
	memcpy(m->bytes + at, bytes, len);
	return at + len;
}
#define CODE(bytes) at = append(m, at, bytes, sizeof(bytes) - 1)

/* Two returns, the second behind a no-op; entry + 0x40 and + 0x81. */
static void put_code(struct image *m, const struct build *b, size_t at)
{
	const size_t start = at;

	CODE("\x49\x3b\x66\x10\x0f\x86\xa0\x00\x00\x00");
	if (b->push)
		CODE("\x55\x48\x89\xe5\x48\x83\xec\x58");
	else
		CODE("\x48\x83\xec\x58\x48\x89\x6c\x24\x50");
	for (int i = 0; i < 2; i++) {
		at = start + (i ? 0x80 : 0x40) - (b->push ? 5 : 9);
		if (b->push)
			CODE("\x48\x83\xc4\x58\x5d");
		else
			CODE("\x48\x8b\x6c\x24\x50\x48\x83\xc4\x58");
		if (i)
			CODE("\x90");
		CODE("\xc3");
	}
}

static void put_table(struct image *m, const struct build *b)
{
	const bool absolute = b->magic == MAGIC_16;
	const size_t row = absolute ? 16 : 8, word = absolute ? 3 : 4, list = TABLE + LIST;
	size_t name = 0;

	put(m, TABLE, b->magic | 8ULL << 56 | 1ULL << 48, 8);
	put(m, TABLE + 8, 4, 8);
	if (!absolute && !b->module)
		put_address(m, b, TABLE + 24, BASE + TEXT);
	put(m, TABLE + 8 * word, NAMES, 8);
	put(m, TABLE + 8 * (word + 1), LIST, 8);
	put(m, TABLE + 8 * (word + 4), LIST, 8);
	for (size_t i = 0; i < 5; i++) {
		const size_t about = 5 * row + 32 * i;

		if (absolute)
			put_address(m, b, list + i * row, BASE + starts[i]);
		else
			put(m, list + i * row, starts[i] - TEXT, row / 2);
		if (i == 4)
			break;
		put(m, list + i * row + row / 2, about, row / 2);
		put(m, list + about + row / 2, name, 4);
		memcpy(m->bytes + TABLE + NAMES + name, b->names[i], strlen(b->names[i]) + 1);
		name += strlen(b->names[i]) + 1;
	}
}

static void put_symbols(struct image *m, const struct build *b)
{
	size_t name = 1;

	for (size_t i = 0; i < 4; i++) {
		Elf64_Sym s = { .st_name = (uint32_t)name, .st_info = ELF64_ST_INFO(STB_LOCAL, STT_FUNC),
				.st_shndx = 1, .st_value = BASE + starts[i], .st_size = starts[i + 1] - starts[i] };

		memcpy(m->bytes + SYMBOLS + (i + 1) * sizeof(s), &s, sizeof(s));
		memcpy(m->bytes + STRINGS + name, b->names[i], strlen(b->names[i]) + 1);
		name += strlen(b->names[i]) + 1;
	}
}

static void put_section(struct image *m, size_t i, const char *name, uint32_t type, uint64_t at, uint64_t len)
{
	Elf64_Shdr h = { .sh_name = (uint32_t)m->names, .sh_type = type, .sh_addr = BASE + at, .sh_offset = at,
			 .sh_size = len, .sh_link = SEC_STRINGS };

	memcpy(m->bytes + SECTION_NAMES + m->names, name, strlen(name) + 1);
	m->names += strlen(name) + 1;
	memcpy(m->bytes + SECTIONS + i * sizeof(h), &h, sizeof(h));
}

static void put_sections(struct image *m, const struct build *b)
{
	m->names = 1;
	put_section(m, SEC_TABLE, b->pie ? ".data.rel.ro.gopclntab" : ".gopclntab", SHT_PROGBITS, TABLE, 0x1000);
	put_section(m, SEC_INFO, ".go.buildinfo", SHT_PROGBITS, INFO, 0x100);
	put_section(m, SEC_MODULE, b->module ? ".go.module" : ".data", SHT_PROGBITS, MODULE, 0x250);
	put_section(m, SEC_RELA, ".rela.dyn", SHT_RELA, RELA, m->relas * sizeof(Elf64_Rela));
	put_section(m, SEC_SYMBOLS, b->symbols ? ".symtab" : ".none", b->symbols ? SHT_SYMTAB : SHT_PROGBITS,
		    SYMBOLS, 5 * sizeof(Elf64_Sym));
	put_section(m, SEC_STRINGS, ".strtab", SHT_STRTAB, STRINGS, 0x400);
	put_section(m, SEC_NAMES, ".shstrtab", SHT_STRTAB, SECTION_NAMES, 0x400);
}

static void put_headers(struct image *m, const struct build *b)
{
	Elf64_Ehdr e = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = EV_CURRENT, .e_ehsize = sizeof(e),
		.e_phoff = sizeof(e), .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 2,
		.e_shoff = b->no_sections ? 0 : SECTIONS, .e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = b->no_sections ? 0 : SECS, .e_shstrndx = b->no_sections ? 0 : SEC_NAMES,
	};
	Elf64_Phdr p[2] = {
		{ PT_LOAD, PF_R | PF_X, TEXT, BASE + TEXT, 0, TEXT_END - TEXT, TEXT_END - TEXT, 0x1000 },
		{ PT_LOAD, PF_R | PF_W, TABLE, BASE + TABLE, 0, SIZE - TABLE, SIZE - TABLE, 0x1000 },
	};

	memcpy(m->bytes, &e, sizeof(e));
	memcpy(m->bytes + sizeof(e), p, sizeof(p));
}

static struct image make(const struct build *b)
{
	struct image m = { .relas = 0 };

	put_headers(&m, b);
	for (size_t i = 0; i < 4; i++)
		put_code(&m, b, starts[i]);
	put_table(&m, b);
	memcpy(m.bytes + INFO, "\xff Go buildinf:\x08\x02", 16);
	m.bytes[INFO + 32] = (unsigned char)strlen(b->version);
	memcpy(m.bytes + INFO + 33, b->version, strlen(b->version));
	if (b->module)
		put_address(&m, b, MODULE + 176, BASE + TEXT);
	if (b->symbols)
		put_symbols(&m, b);
	if (!b->no_sections)
		put_sections(&m, b);
	return m;
}

static enum tt_scan scan_bytes(const void *bytes, size_t len)
{
	int fd = memfd_create("elf", MFD_CLOEXEC);
	enum tt_scan r;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	r = elf_scan(fd, &scan);
	close(fd);
	return r;
}

static enum tt_scan scan_image(const struct image *m)
{
	return scan_bytes(m->bytes, SIZE);
}

static bool has(enum tt_hook hook, uint64_t offset)
{
	for (size_t i = 0; i < scan.count; i++)
		if (scan.hooks[i].hook == hook && scan.hooks[i].offset == offset)
			return true;
	return false;
}

static void assert_finding(enum tt_how how, enum tt_blind blind, const char *version)
{
	assert_int_equal(scan.findings, 1);
	assert_int_equal(scan.finding[0].tls, TT_TLS_GO);
	assert_int_equal(scan.finding[0].how, how);
	assert_int_equal(scan.finding[0].blind, blind);
	assert_string_equal(scan.finding[0].version, version);
}

static void assert_found(const struct image *m, enum tt_how how, const char *version)
{
	assert_int_equal(scan_image(m), TT_SCAN_HOOKS);
	assert_finding(how, TT_BLIND_NONE, version);
	assert_int_equal(scan.count, 7);
	assert_true(has(TT_HOOK_go_write, WRITE + 10) && has(TT_HOOK_go_read, READ + 10));
	assert_true(has(TT_HOOK_go_close, CLOSE + 10));
	for (size_t i = 1; i < 3; i++)
		assert_true(has(TT_HOOK_go_return, starts[i] + 0x40) && has(TT_HOOK_go_return, starts[i] + 0x81));
}

static void assert_blind(const struct image *m, enum tt_blind blind, const char *version)
{
	assert_int_equal(scan_image(m), TT_SCAN_NONE);
	assert_int_equal(scan.count, 0);
	assert_finding(TT_HOW_NONE, blind, version);
}

static void every_layout(void **state)
{
	static const struct {
		uint32_t magic;
		const char *version;
		bool module, push;
	} layouts[] = {
		{ MAGIC_16, "go1.17.13", false, false }, { MAGIC_18, "go1.18.10", false, false },
		{ MAGIC_20, "go1.20.14", false, false }, { MAGIC_20, "go1.25.0", false, true },
		{ MAGIC_20, "go1.26.8", true, true }, { MAGIC_20, "devel go1.27-0123456789", true, true },
	};

	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++)
		for (int pie = 0; pie < 2; pie++) {
			struct build b = go1_20;

			b.magic = layouts[i].magic;
			b.version = layouts[i].version;
			b.module = layouts[i].module;
			b.push = layouts[i].push;
			b.pie = pie;
			struct image m = make(&b);
			assert_found(&m, TT_HOW_pclntab, b.version);
		}
}

static void by_symbols_if_it_has_them(void **state)
{
	struct build b = go1_20;

	b.symbols = true;
	struct image m = make(&b);
	assert_found(&m, TT_HOW_symbols, b.version);
	put(&m, TABLE, 0x12345678, 4);	/* a table of a Go to come */
	assert_found(&m, TT_HOW_symbols, b.version);
	put(&m, SYMBOLS + sizeof(Elf64_Sym) * 2, 0, 4);	/* Write has no name there */
	assert_blind(&m, TT_BLIND_not_found, b.version);
}

static void without_sections(void **state)
{
	struct build b = go1_20;

	b.no_sections = true;
	struct image m = make(&b);
	assert_found(&m, TT_HOW_pclntab, b.version);
	b.module = true;	/* where is it then? */
	m = make(&b);
	assert_blind(&m, TT_BLIND_not_found, b.version);
}

static void programs_without_tls(void **state)
{
	static const char *const others[] = { "crypto/tls.(*Conn).WriteTo", "xcrypto/tls.(*Conn).Write",
					      "crypto/tls.(*Conn).", "crypto/tls.(*Conn).Writ" };

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct build b = go1_20;

		b.names[1] = others[i];
		b.names[2] = "main.read";
		struct image m = make(&b);
		assert_int_equal(scan_image(&m), TT_SCAN_NONE);
		assert_int_equal(scan.findings, 0);
	}
}

static void programs_of_old_compilers(void **state)
{
	struct build b = go1_20;

	b.magic = MAGIC_16;
	b.version = "go1.16.15";
	struct image m = make(&b);
	assert_blind(&m, TT_BLIND_old_go, b.version);

	b.magic = MAGIC_2;
	b.version = "";
	m = make(&b);
	assert_blind(&m, TT_BLIND_old_go, "");
	b.names[1] = b.names[2] = "main.other";
	m = make(&b);
	assert_int_equal(scan_image(&m), TT_SCAN_NONE);
	assert_int_equal(scan.findings, 0);

	b = go1_20;
	b.version = "";
	m = make(&b);
	for (size_t i = 1; i < 4; i++)
		memcpy(m.bytes + starts[i], "\x64\x48\x8b\x0c\x25\xf8\xff\xff\xff\x48\x3b\x61\x10", 13);
	assert_blind(&m, TT_BLIND_old_go, "");
}

/* A byte of the beginning or of an end is another one: that function is not probed at all. */
static void code_of_another_form(void **state)
{
	for (int push = 0; push < 2; push++) {
		struct build b = go1_20;

		b.push = push;
		const struct image good = make(&b);
		const size_t ends[] = { 0x40, 0x81 }, prologue = push ? 17 : 18;

		for (size_t i = 0; i < prologue; i++) {
			struct image m = good;

			if (i >= 6 && i < 10)	/* where the jump goes, which has to be behind it */
				put(&m, WRITE + 6, 0xffffffffffffffe0, 4);
			m.bytes[WRITE + i] ^= 0x81;
			assert_int_equal(scan_image(&m), TT_SCAN_HOOKS);
			assert_finding(TT_HOW_pclntab, TT_BLIND_NONE, b.version);
			assert_int_equal(scan.count, 4);
			assert_true(has(TT_HOOK_go_read, READ + 10) && !has(TT_HOOK_go_write, WRITE + 10));
			memcpy(m.bytes + READ, m.bytes + WRITE, 0x100);
			assert_blind(&m, TT_BLIND_unexpected_bytes, b.version);
		}
		for (size_t i = 0; i < 2; i++) {
			struct image m = good;

			m.bytes[READ + ends[i]] = 0xc2;
			assert_int_equal(scan_image(&m), TT_SCAN_HOOKS);
			assert_int_equal(scan.count, 4);
			assert_true(has(TT_HOOK_go_write, WRITE + 10) && !has(TT_HOOK_go_read, READ + 10));
		}
	}
}

/* What ends nowhere is not probed at its beginning. */
static void no_return(void **state)
{
	struct image m = make(&go1_20);

	memset(m.bytes + READ + 0x30, 0xcc, 0x60);
	assert_int_equal(scan_image(&m), TT_SCAN_HOOKS);
	assert_int_equal(scan.count, 4);
	assert_false(has(TT_HOOK_go_read, READ + 10));
	for (size_t i = 0; i <= GO_RETURNS_MAX; i++)
		memcpy(m.bytes + READ + 0x20 + 10 * i, "\x48\x8b\x6c\x24\x50\x48\x83\xc4\x58\xc3", 10);
	assert_int_equal(scan_image(&m), TT_SCAN_HOOKS);
	assert_false(has(TT_HOOK_go_read, READ + 10));
}

static void two_of_one_name(void **state)
{
	struct image m = make(&go1_20);
	const size_t about = TABLE + LIST + 5 * 8;

	memcpy(m.bytes + about + 4, m.bytes + about + 32 + 4, 4);	/* SPARE is named as Write is */
	memcpy(m.bytes + about + 3 * 32 + 4, m.bytes + about + 2 * 32 + 4, 4);
	assert_blind(&m, TT_BLIND_not_unique, go1_20.version);
}

/* Rows that point backwards, or anywhere. */
static void tables_that_lie(void **state)
{
	const struct {
		size_t at;
		uint64_t value;
		size_t bytes;
	} lies[] = {
		{ TABLE + 8, UINT64_MAX, 8 }, { TABLE + 8, 1 << 20, 8 }, { TABLE + 24, 0, 8 },
		{ TABLE + 32, UINT64_MAX, 8 }, { TABLE + 40, UINT64_MAX, 8 }, { TABLE + 40, 0, 8 },
		{ TABLE + 64, UINT64_MAX, 8 }, { TABLE + 64, 0x1000, 8 }, { TABLE + 7, 4, 1 },
		{ TABLE + LIST + 4, UINT32_MAX, 4 }, { TABLE + LIST + 12, 0, 4 }, { TABLE + LIST + 20, 0x10000, 4 },
	};

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct image m = make(&go1_20);

		put(&m, lies[i].at, lies[i].value, lies[i].bytes);
		assert_blind(&m, TT_BLIND_not_found, go1_20.version);
	}
	struct image m = make(&go1_20);
	put(&m, TABLE + 24, BASE + TEXT + 0x10, 8);
	assert_blind(&m, TT_BLIND_unexpected_bytes, go1_20.version);
	put(&m, TABLE + 24, UINT64_MAX, 8);
	assert_blind(&m, TT_BLIND_unexpected_bytes, go1_20.version);
}

static void check_sane(enum tt_scan r)
{
	assert_true(r <= TT_SCAN_REFUSED);
	assert_int_equal(scan.count > 0, r == TT_SCAN_HOOKS);
	for (size_t i = 0; i < scan.count; i++)
		assert_true(scan.hooks[i].offset >= TEXT && scan.hooks[i].offset < TEXT_END);
}

static void flipped_bits_and_cuts(void **state)
{
	static const struct { size_t from, to; } parts[] = {
		{ 0, sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr) }, { TABLE, TABLE + LIST + 0x100 },
		{ INFO, INFO + 48 }, { MODULE + 176, MODULE + 184 }, { RELA, RELA + 48 },
		{ SYMBOLS, SYMBOLS + 5 * sizeof(Elf64_Sym) }, { SECTIONS, SECTIONS + SECS * sizeof(Elf64_Shdr) },
	};
	struct build b = go1_20;

	b.module = b.pie = true;
	for (int symbols = 0; symbols < 2; symbols++) {
		b.symbols = symbols;
		struct image m = make(&b);

		for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
			for (size_t bit = 8 * parts[i].from; bit < 8 * parts[i].to; bit++) {
				m.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
				scan_image(&m);
				for (size_t k = 0; k < scan.count; k++)
					assert_true(scan.hooks[k].offset < SIZE);
				m.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
			}
		for (size_t len = 0; len < SIZE; len += 7)
			check_sane(scan_bytes(m.bytes, len));
	}
}

/* The first instructions of crypto/tls.(*Conn).Write and Read of Go 1.26.8, then a few and a return. */
static void arm64(void **state)
{
	static const uint32_t small[] = { 0xf9400b90, 0xeb3063ff, 0x54001909, 0xf8190ffe, 0xf81f83fd, 0xd65f03c0,
					  0xd503201f, 0xd65f03c0 };
	static const uint32_t large[] = { 0xf9400b90, 0xd10143f1, 0xeb10023f, 0x540033a9, 0xf8130ffe, 0xf81f83fd,
					  0xd65f03c0 };
	struct go_sites s;

	assert_int_equal(go_code_sites(EM_AARCH64, (const void *)small, sizeof(small), &s), 0);
	assert_int_equal(s.entry, 12);
	assert_int_equal(s.return_count, 2);
	assert_int_equal(s.returns[0], 20);
	assert_int_equal(s.returns[1], 28);
	assert_int_equal(go_code_sites(EM_AARCH64, (const void *)large, sizeof(large), &s), 0);
	assert_int_equal(s.entry, 16);
	assert_int_equal(s.return_count, 1);
	for (size_t i = 0; i < 4; i++) {
		uint32_t code[8];

		memcpy(code, small, sizeof(code));
		code[i] ^= 0x80000000;
		assert_int_equal(go_code_sites(EM_AARCH64, (const void *)code, sizeof(code), &s), -EBADMSG);
	}
	assert_int_equal(go_code_sites(EM_AARCH64, (const void *)small, 11, &s), -EBADMSG);
}

/* ---- real programs: tests/peers/build.sh ---- */

static const char *cache(void)
{
	static char path[PATH_MAX];
	const char *own = getenv("TOKENTRAIL_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");

	if (own)
		snprintf(path, sizeof(path), "%s/peers/go_std", own);
	else
		snprintf(path, sizeof(path), "%s%s/tokentrail/peers/go_std", xdg ? xdg : home ? home : "",
			 xdg ? "" : "/.cache");
	return path;
}

/* A program as bytes, or NULL. */
static unsigned char *load(const char *name, size_t *ret_len)
{
	char path[PATH_MAX + 64];
	unsigned char *bytes;
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", cache(), name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	assert_int_equal(fstat(fd, &st), 0);
	*ret_len = (size_t)st.st_size;
	bytes = malloc(*ret_len);
	assert_non_null(bytes);
	assert_int_equal(read(fd, bytes, *ret_len), *ret_len);
	close(fd);
	return bytes;
}

static void take_symbols_away(unsigned char *bytes)
{
	Elf64_Ehdr e;

	memcpy(&e, bytes, sizeof(e));
	for (size_t i = 0; i < e.e_shnum; i++) {
		Elf64_Shdr *h = (Elf64_Shdr *)(bytes + e.e_shoff) + i;

		if (h->sh_type == SHT_SYMTAB) {
			h->sh_type = SHT_NOBITS;
			h->sh_name = 0;
		}
	}
}

static void table_says_what_symbols_say(void **state)
{
	static const char *const names[] = { "plain", "pie", "cgo" };
	size_t tried = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct elf_scan before;
		unsigned char *bytes;
		size_t len;

		bytes = load(names[i], &len);
		if (!bytes)
			continue;
		tried++;
		assert_int_equal(scan_bytes(bytes, len), TT_SCAN_HOOKS);
		assert_int_equal(scan.finding[0].how, TT_HOW_symbols);
		before = scan;
		take_symbols_away(bytes);
		assert_int_equal(scan_bytes(bytes, len), TT_SCAN_HOOKS);
		assert_int_equal(scan.finding[0].how, TT_HOW_pclntab);
		assert_int_equal(scan.count, before.count);
		assert_memory_equal(scan.hooks, before.hooks, sizeof(scan.hooks));
		free(bytes);
	}
	if (!tried) {
		print_message("no programs in %s\n", cache());
		skip();
	}
}

static void every_compiler(void **state)
{
	static const char *const versions[] = { "1.16.15", "1.17.13", "1.18.10", "1.20.14", "1.21.13", "1.25.0" };
	size_t tried = 0;

	for (size_t i = 0; i < 2 * sizeof(versions) / sizeof(versions[0]); i++) {
		char name[32], version[32];
		unsigned char *bytes;
		size_t len;

		snprintf(name, sizeof(name), "%s-%s", versions[i / 2], i % 2 ? "pie" : "exe");
		snprintf(version, sizeof(version), "go%s", versions[i / 2]);
		bytes = load(name, &len);
		if (!bytes)
			continue;
		tried++;
		scan_bytes(bytes, len);
		if (i < 2) {
			assert_finding(TT_HOW_NONE, TT_BLIND_old_go, version);
			assert_int_equal(scan.count, 0);
		} else {
			assert_finding(TT_HOW_pclntab, TT_BLIND_NONE, version);
			assert_int_equal(scan.count, 18);
		}
		free(bytes);
	}
	if (!tried) {
		print_message("no programs in %s\n", cache());
		skip();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_layout),
		cmocka_unit_test(by_symbols_if_it_has_them),
		cmocka_unit_test(without_sections),
		cmocka_unit_test(programs_without_tls),
		cmocka_unit_test(programs_of_old_compilers),
		cmocka_unit_test(code_of_another_form),
		cmocka_unit_test(no_return),
		cmocka_unit_test(two_of_one_name),
		cmocka_unit_test(tables_that_lie),
		cmocka_unit_test(flipped_bits_and_cuts),
		cmocka_unit_test(arm64),
		cmocka_unit_test(table_says_what_symbols_say),
		cmocka_unit_test(every_compiler),
	};

	return cmocka_run_group_tests_name("elf_go", tests, NULL, NULL);
}
