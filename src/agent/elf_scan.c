/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For each symbol table: look through its string table for the names, then through the symbols for
 * those whose name is one of the found places. Memory use does not depend on the file.
 */
#include "agent/elf_scan.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX_BYTES (2ULL << 30)
#define SECTIONS_MAX 65536	/* Chromium with debug info has 80 */
#define SEGMENTS_MAX 256
#define TABLES_MAX 2		/* dynsym, symtab; a file has one of each (gABI, sh_type) */
#define STRINGS_MAX_BYTES (256ULL << 20)
#define SYMBOLS_MAX_BYTES (256ULL << 20)
#define PLACES_MAX 32		/* where names stand in one string table */
#define CHUNK_BYTES 65536

#if defined(__x86_64__)
#define HOST_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define HOST_MACHINE EM_AARCH64
#else
#error "which e_machine is this?"
#endif

struct name {
	const char *text;
	enum tt_hook hook;
};

static const struct name names[] = {
	{ "SSL_write", TT_HOOK_SSL_WRITE },	   { "SSL_write_ex", TT_HOOK_SSL_WRITE_EX },
	{ "SSL_write_ex2", TT_HOOK_SSL_WRITE_EX }, { "SSL_read", TT_HOOK_SSL_READ },
	{ "SSL_read_ex", TT_HOOK_SSL_READ_EX },	   { "SSL_free", TT_HOOK_SSL_FREE },
};
#define NAMES (sizeof(names) / sizeof(names[0]))
#define NAME_MAX_LEN 13		/* SSL_write_ex2 */

struct place {
	uint32_t at;		/* offset in the string table */
	enum tt_hook hook;
};

struct segment {
	uint64_t vaddr, offset, bytes;
};

struct scan {
	int fd;
	uint64_t size;
	Elf64_Ehdr ehdr;
	struct segment code[SEGMENTS_MAX];	/* executable PT_LOADs */
	size_t segments;
	struct place places[PLACES_MAX];
	size_t place_count;
	bool found[TT_HOOK_MAX];
	uint64_t refused[ELF_SCAN_HOOKS_MAX];	/* offsets, out->refused of them */
	struct elf_scan *out;
	_Alignas(8) char chunk[CHUNK_BYTES];
};

/* Reads exactly len bytes at offset; anything else is a file that is not what it says. */
static int read_at(const struct scan *s, void *to, size_t len, uint64_t from)
{
	char *p = to;

	if (from > s->size || len > s->size - from)
		return -EBADMSG;
	while (len) {
		ssize_t n = pread(s->fd, p, len, (off_t)from);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EBADMSG;
		p += n;
		from += (size_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static int read_ehdr(struct scan *s)
{
	const unsigned char *id = s->ehdr.e_ident;
	struct stat st;
	int r;

	if (fstat(s->fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > FILE_MAX_BYTES)
		return -EBADMSG;
	s->size = (uint64_t)st.st_size;
	r = read_at(s, &s->ehdr, sizeof(s->ehdr), 0);
	if (r < 0)
		return r;
	if (memcmp(id, ELFMAG, SELFMAG) != 0)
		return -EBADMSG;
	/* Programs of another word size or machine run here too, but have no probes of ours. */
	if (id[EI_CLASS] != ELFCLASS64 || id[EI_DATA] != ELFDATA2LSB ||
	    s->ehdr.e_machine != HOST_MACHINE)
		return -ENOEXEC;
	if (s->ehdr.e_phentsize != sizeof(Elf64_Phdr) || s->ehdr.e_phnum > SEGMENTS_MAX)
		return -EBADMSG;
	return 0;
}

static int read_segments(struct scan *s)
{
	for (size_t i = 0; i < s->ehdr.e_phnum; i++) {
		Elf64_Phdr ph;
		int r = read_at(s, &ph, sizeof(ph), s->ehdr.e_phoff + i * sizeof(ph));

		if (r < 0)
			return r;
		if (ph.p_type != PT_LOAD || !(ph.p_flags & PF_X))
			continue;
		if (ph.p_offset > s->size || ph.p_filesz > s->size - ph.p_offset)
			return -EBADMSG;
		s->code[s->segments++] =
			(struct segment){ ph.p_vaddr, ph.p_offset, ph.p_filesz };
	}
	return 0;
}

static bool file_offset(const struct scan *s, uint64_t vaddr, uint64_t *ret_offset)
{
	for (size_t i = 0; i < s->segments; i++) {
		const struct segment *g = &s->code[i];

		if (vaddr >= g->vaddr && vaddr - g->vaddr < g->bytes) {
			*ret_offset = g->offset + (vaddr - g->vaddr);
			return true;
		}
	}
	return false;
}

/*
 * The kernel registers a uprobe on an instruction with a segment or lock prefix when no process
 * maps the file yet, and refuses it, without a word, for each process that maps it later
 * (arch/x86/kernel/uprobes.c, is_prefix_bad()).
 */
static bool can_probe(const struct scan *s, uint64_t offset)
{
#if defined(__x86_64__)
	unsigned char first;

	if (read_at(s, &first, 1, offset) < 0)
		return false;
	return first != 0x26 && first != 0x2e && first != 0x36 && first != 0x3e && first != 0xf0;
#else
	return offset % 4 == 0 && offset + 4 <= s->size;
#endif
}

/* dynsym and symtab have the same functions, and one function may have two names. */
static bool is_known(const struct scan *s, uint64_t offset)
{
	for (size_t i = 0; i < s->out->count; i++)
		if (s->out->hooks[i].offset == offset)
			return true;
	for (size_t i = 0; i < s->out->refused; i++)
		if (s->refused[i] == offset)
			return true;
	return false;
}

static void take_hook(struct scan *s, uint64_t offset, enum tt_hook hook)
{
	struct elf_scan *out = s->out;

	s->found[hook] = true;
	if (is_known(s, offset))
		return;
	if (can_probe(s, offset)) {
		if (out->count < ELF_SCAN_HOOKS_MAX)
			out->hooks[out->count++] = (struct elf_hook){ offset, hook };
	} else if (out->refused < ELF_SCAN_HOOKS_MAX) {
		s->refused[out->refused++] = offset;
	}
}

/* One of the names, ended by NUL or, as symtab has versioned ones, by '@'. */
static void match_name(struct scan *s, const char *p, size_t len, uint64_t at)
{
	for (size_t i = 0; i < NAMES && s->place_count < PLACES_MAX; i++) {
		size_t n = strlen(names[i].text);

		if (n < len && memcmp(p, names[i].text, n) == 0 && (p[n] == 0 || p[n] == '@'))
			s->places[s->place_count++] =
				(struct place){ (uint32_t)at, names[i].hook };
	}
}

/* A linker may let a name be the end of a longer one, so the place before it is not looked at. */
static int find_names(struct scan *s, const Elf64_Shdr *strings)
{
	uint64_t at = 0;

	s->place_count = 0;
	while (at < strings->sh_size) {
		uint64_t left = strings->sh_size - at;
		size_t len = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES;
		const char *p = s->chunk, *end = s->chunk + len;
		int r;

		r = read_at(s, s->chunk, len, strings->sh_offset + at);
		if (r < 0)
			return r;
		while ((p = memmem(p, (size_t)(end - p), "SSL_", 4))) {
			/* One that this chunk may cut is seen whole in the next. */
			if (len == CHUNK_BYTES && end - p <= NAME_MAX_LEN)
				break;
			match_name(s, p, (size_t)(end - p), at + (uint64_t)(p - s->chunk));
			p++;
		}
		at += len == CHUNK_BYTES ? CHUNK_BYTES - NAME_MAX_LEN - 1 : len;
	}
	return 0;
}

static void check_symbol(struct scan *s, const Elf64_Sym *sym)
{
	uint64_t offset;

	if (ELF64_ST_TYPE(sym->st_info) != STT_FUNC || sym->st_value == 0 ||
	    sym->st_shndx == SHN_UNDEF || sym->st_shndx == SHN_ABS)
		return;
	for (size_t i = 0; i < s->place_count; i++)
		if (s->places[i].at == sym->st_name && file_offset(s, sym->st_value, &offset))
			take_hook(s, offset, s->places[i].hook);
}

static int find_symbols(struct scan *s, const Elf64_Shdr *symbols)
{
	const uint64_t whole = symbols->sh_size - symbols->sh_size % sizeof(Elf64_Sym);
	const size_t step = CHUNK_BYTES - CHUNK_BYTES % sizeof(Elf64_Sym);

	for (uint64_t at = 0; at < whole;) {
		size_t len = whole - at < step ? (size_t)(whole - at) : step;
		int r = read_at(s, s->chunk, len, symbols->sh_offset + at);

		if (r < 0)
			return r;
		for (size_t i = 0; i < len; i += sizeof(Elf64_Sym)) {
			Elf64_Sym sym;

			memcpy(&sym, s->chunk + i, sizeof(sym));
			check_symbol(s, &sym);
		}
		at += len;
	}
	return 0;
}

static int read_section(const struct scan *s, uint64_t i, Elf64_Shdr *ret_section)
{
	if (s->ehdr.e_shoff > s->size)
		return -EBADMSG;
	return read_at(s, ret_section, sizeof(*ret_section),
		       s->ehdr.e_shoff + i * sizeof(*ret_section));
}

/* More than 65280 sections are counted in the first one (gABI, e_shnum). */
static int count_sections(const struct scan *s, uint64_t *ret_count)
{
	Elf64_Shdr first;
	int r;

	*ret_count = s->ehdr.e_shnum;
	if (s->ehdr.e_shoff == 0) {
		*ret_count = 0;
		return 0;
	}
	if (s->ehdr.e_shentsize != sizeof(Elf64_Shdr))
		return -EBADMSG;
	if (s->ehdr.e_shnum == 0) {
		r = read_section(s, 0, &first);
		if (r < 0)
			return r;
		*ret_count = first.sh_size;
	}
	return *ret_count <= SECTIONS_MAX ? 0 : -EBADMSG;
}

static int scan_table(struct scan *s, const Elf64_Shdr *symbols, uint64_t sections)
{
	Elf64_Shdr strings;
	int r;

	if (symbols->sh_link >= sections)
		return -EBADMSG;
	r = read_section(s, symbols->sh_link, &strings);
	if (r < 0)
		return r;
	if (strings.sh_type != SHT_STRTAB || strings.sh_size > STRINGS_MAX_BYTES ||
	    symbols->sh_size > SYMBOLS_MAX_BYTES)
		return -EBADMSG;
	r = find_names(s, &strings);
	if (r < 0 || s->place_count == 0)
		return r;
	return find_symbols(s, symbols);
}

static int scan_tables(struct scan *s)
{
	uint64_t sections, tables = 0;
	int r;

	r = count_sections(s, &sections);
	if (r < 0)
		return r;
	for (uint64_t i = 0; i < sections && tables < TABLES_MAX; i++) {
		Elf64_Shdr h;

		r = read_section(s, i, &h);
		if (r < 0)
			return r;
		if (h.sh_type != SHT_DYNSYM && h.sh_type != SHT_SYMTAB)
			continue;
		tables++;
		r = scan_table(s, &h, sections);
		if (r < 0)
			return r;
	}
	return 0;
}

enum tt_scan elf_scan(int fd, struct elf_scan *ret_scan)
{
	/* 70 KiB; the agent scans one file at a time, in one thread. */
	static struct scan s;
	int r;

	memset(&s, 0, offsetof(struct scan, chunk));
	memset(ret_scan, 0, sizeof(*ret_scan));
	s.fd = fd;
	s.out = ret_scan;
	r = read_ehdr(&s);
	if (r == 0)
		r = read_segments(&s);
	if (r == 0)
		r = scan_tables(&s);
	/* NSS and others have some of these names; only OpenSSL's API has both. */
	if (r < 0 || !s.found[TT_HOOK_SSL_WRITE] || !s.found[TT_HOOK_SSL_READ])
		ret_scan->count = ret_scan->refused = 0;
	if (r < 0)
		return r == -ENOEXEC ? TT_SCAN_NONE : TT_SCAN_BAD;
	if (ret_scan->count)
		return TT_SCAN_HOOKS;
	return ret_scan->refused ? TT_SCAN_REFUSED : TT_SCAN_NONE;
}
