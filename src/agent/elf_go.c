/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables are read through a window, forwards only, and all that is read is counted: a file of any
 * content takes a bounded time. What is found is believed only if the code there begins and ends as
 * the compiler would have it.
 */
#include "agent/elf_go.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/elf_go_code.h"
#include "base/cleanup.h"

#define WINDOW (64U << 10)
#define READ_MAX_BYTES (1ULL << 30)	/* in one file */
#define CODE_MAX (32U << 10)		/* of one function; real ones have some 2 KiB */
#define INFO_MAGIC "\xff Go buildinf:"

enum { WRITE, READ, CLOSE, WANTED };
#define PREFIX "crypto/tls.(*Conn)."
static const char *const wanted[WANTED] = { "Write", "Read", "Close" };
static const enum tt_hook hook_of[WANTED] = { TT_HOOK_go_write, TT_HOOK_go_read, TT_HOOK_go_close };

struct window {
	uint64_t at;
	size_t have;
	unsigned char bytes[WINDOW];
};

struct function {
	uint64_t start, end;	/* virtual addresses */
	unsigned int count;	/* that have this name */
};

struct search {
	const struct elf_file *file;
	struct elf_scan *scan;
	uint64_t read_bytes;
	struct window a, b;
	uint64_t name_at[WANTED];	/* in a table of names; NOWHERE */
	struct function found[WANTED];
	char version[TT_VERSION_LEN];
	unsigned char code[CODE_MAX];
};

#define NOWHERE UINT64_MAX

/* ---- reading ---- */

static int read_at(struct search *s, uint64_t offset, void *to, size_t len)
{
	if (len > READ_MAX_BYTES - s->read_bytes)
		return -E2BIG;
	s->read_bytes += len;
	return elf_file_read(s->file, offset, to, len);
}

/* n bytes of the file, WINDOW at most; NULL where there are none. */
static const unsigned char *look_at(struct search *s, struct window *w, uint64_t offset, size_t n)
{
	size_t have;

	if (offset >= w->at && offset - w->at <= w->have && n <= w->have - (offset - w->at))
		return w->bytes + (offset - w->at);
	if (offset > s->file->size || n > s->file->size - offset)
		return NULL;
	have = s->file->size - offset < WINDOW ? (size_t)(s->file->size - offset) : WINDOW;
	w->have = 0;
	if (read_at(s, offset, w->bytes, have) < 0)
		return NULL;
	w->at = offset;
	w->have = have;
	return w->bytes;
}

static uint32_t u32(const unsigned char *p)
{
	uint32_t n;

	memcpy(&n, p, sizeof(n));
	return n;
}

static uint64_t u64(const unsigned char *p)
{
	uint64_t n;

	memcpy(&n, p, sizeof(n));
	return n;
}

/* ---- words that the loader writes ---- */

#if defined(__x86_64__)
#define RELATIVE R_X86_64_RELATIVE
#else
#define RELATIVE R_AARCH64_RELATIVE
#endif

static bool addend_in(struct search *s, const GElf_Shdr *h, uint64_t vaddr, uint64_t *ret_word)
{
	for (uint64_t i = 0; i < h->sh_size / sizeof(Elf64_Rela); i++) {
		const unsigned char *p = look_at(s, &s->b, h->sh_offset + i * sizeof(Elf64_Rela),
						 sizeof(Elf64_Rela));
		Elf64_Rela rela;

		if (!p)
			return false;
		memcpy(&rela, p, sizeof(rela));
		if (rela.r_offset != vaddr || ELF64_R_TYPE(rela.r_info) != RELATIVE)
			continue;
		*ret_word = (uint64_t)rela.r_addend;
		return true;
	}
	return false;
}

static bool relocated(struct search *s, uint64_t vaddr, uint64_t *ret_word)
{
	for (size_t i = 1; i < s->file->ehdr.e_shnum && s->file->ehdr.e_shoff; i++) {
		GElf_Shdr h;

		if (gelf_getshdr(elf_getscn(s->file->elf, i), &h) && h.sh_type == SHT_RELA &&
		    h.sh_offset <= s->file->size && h.sh_size <= s->file->size - h.sh_offset &&
		    addend_in(s, &h, vaddr, ret_word))
			return true;
	}
	return false;
}

/* The word at this address as the running program has it, but for where it is loaded; 0 = none. */
static uint64_t word_at(struct search *s, uint64_t vaddr)
{
	unsigned char bytes[8];
	uint64_t offset, word;

	if (!elf_file_offset(s->file, vaddr, false, &offset) ||
	    read_at(s, offset, bytes, sizeof(bytes)) < 0)
		return 0;
	if (u64(bytes) == 0 && relocated(s, vaddr, &word))
		return word;
	return u64(bytes);
}

/* ---- is it Go, and which? ---- */

static bool section(struct search *s, const char *name, GElf_Shdr *ret_header)
{
	return elf_file_section(s->file, name, ret_header) == 0 && ret_header->sh_type != SHT_NOBITS;
}

static void set_version(struct search *s, const unsigned char *text, size_t len)
{
	if (len < 6 || len >= TT_VERSION_LEN ||
	    (memcmp(text, "go", 2) != 0 && memcmp(text, "devel", 5) != 0))
		return;
	memcpy(s->version, text, len);
	s->version[len] = '\0';
}

/*
 * debug/buildinfo: magic, size of a pointer, flags. Since 1.18 the version follows as a length and a
 * text at 32; before, a pointer to a Go string stands at 16.
 */
static void read_version(struct search *s, uint64_t offset)
{
	unsigned char info[32 + 1 + TT_VERSION_LEN], text[TT_VERSION_LEN] = { 0 };
	uint64_t string, at, len;

	if (read_at(s, offset, info, sizeof(info)) < 0)
		return;
	if (info[15] & 2) {
		if (info[32] < TT_VERSION_LEN)
			set_version(s, info + 33, info[32]);
		return;
	}
	string = u64(info + 16);
	len = word_at(s, string + 8);
	if (len < TT_VERSION_LEN && elf_file_offset(s->file, word_at(s, string), false, &at) &&
	    read_at(s, at, text, len) == 0)
		set_version(s, text, len);
}

/* Built by a Go whose functions take their arguments on the stack; 1.17 began with x86-64. */
static bool is_old(const struct search *s)
{
	const char *minor = strstr(s->version, "go1.");

	return minor && strtoul(minor + 4, NULL, 10) <
				(s->file->ehdr.e_machine == EM_X86_64 ? 17u : 18u);
}

/* Something at a multiple of `step` in what is loaded and not code; for files without sections. */
static bool find_mark(struct search *s, bool (*is_mark)(const unsigned char *), uint64_t step,
		      uint64_t *ret_vaddr)
{
	for (size_t i = 0; i < s->file->segment_count; i++) {
		const struct elf_segment *g = &s->file->segments[i];

		for (uint64_t at = 0; !g->exec && at < g->bytes; at += step) {
			const unsigned char *p = look_at(s, &s->a, g->offset + at, step);

			if (!p)
				break;
			if (!is_mark(p))
				continue;
			*ret_vaddr = g->vaddr + at;
			return true;
		}
	}
	return false;
}

static bool is_info(const unsigned char *p)
{
	return memcmp(p, INFO_MAGIC, sizeof(INFO_MAGIC) - 1) == 0;
}

/* Whether it is Go; then its version, as far as it says. */
static bool is_go(struct search *s)
{
	unsigned char magic[16];
	uint64_t vaddr, offset;
	GElf_Shdr h;

	if (section(s, ".go.buildinfo", &h) && read_at(s, h.sh_offset, magic, sizeof(magic)) == 0 &&
	    is_info(magic)) {
		read_version(s, h.sh_offset);
		return true;
	}
	if (section(s, ".gopclntab", &h) || section(s, ".data.rel.ro.gopclntab", &h))
		return true;
	if (s->file->ehdr.e_shoff || !find_mark(s, is_info, 16, &vaddr) ||
	    !elf_file_offset(s->file, vaddr, false, &offset))
		return false;
	read_version(s, offset);
	return true;
}

/* ---- names ---- */

static void take_name(struct search *s, const unsigned char *text, size_t left, uint64_t at)
{
	for (int i = 0; i < WANTED; i++) {
		size_t n = strlen(wanted[i]) + 1;

		if (n <= left && memcmp(text, wanted[i], n) == 0 && s->name_at[i] == NOWHERE)
			s->name_at[i] = at;
	}
}

/* Looks for the wanted names between NULs. Whether there is one. */
static bool find_names(struct search *s, uint64_t offset, uint64_t len)
{
	const size_t prefix = sizeof(PREFIX) - 1, overlap = prefix + 16;
	const uint64_t end = offset + len;

	for (int i = 0; i < WANTED; i++)
		s->name_at[i] = NOWHERE;
	for (uint64_t at = offset; at < end; at += WINDOW - overlap) {
		size_t n = end - at < WINDOW ? (size_t)(end - at) : WINDOW;
		const unsigned char *p = look_at(s, &s->a, at, n), *hit = p;

		while (p && (hit = memmem(hit, n - (size_t)(hit - p), PREFIX, prefix))) {
			size_t i = (size_t)(hit - p);

			hit += prefix;
			if (i ? p[i - 1] == 0 : at == offset)
				take_name(s, hit, n - i - prefix, at - offset + i);
		}
		if (!p || n < WINDOW)
			break;
	}
	return s->name_at[WRITE] != NOWHERE || s->name_at[READ] != NOWHERE;
}

static void take_function(struct search *s, uint64_t name, uint64_t start, uint64_t end)
{
	for (int i = 0; i < WANTED; i++)
		if (s->name_at[i] == name)
			s->found[i] = (struct function){ start, end, s->found[i].count + 1 };
}

/* ---- the symbol table ---- */

static bool find_symbols(struct search *s)
{
	GElf_Shdr h, names;

	if (!section(s, ".symtab", &h) || !gelf_getshdr(elf_getscn(s->file->elf, h.sh_link), &names) ||
	    names.sh_offset > s->file->size || names.sh_size > s->file->size - names.sh_offset ||
	    !find_names(s, names.sh_offset, names.sh_size))
		return false;
	for (uint64_t i = 0; i < h.sh_size / sizeof(Elf64_Sym); i++) {
		const unsigned char *p = look_at(s, &s->a, h.sh_offset + i * sizeof(Elf64_Sym),
						 sizeof(Elf64_Sym));
		Elf64_Sym sym;

		if (!p)
			return false;
		memcpy(&sym, p, sizeof(sym));
		if (ELF64_ST_TYPE(sym.st_info) == STT_FUNC && sym.st_shndx != SHN_UNDEF)
			take_function(s, sym.st_name, sym.st_value, sym.st_value + sym.st_size);
	}
	return s->found[WRITE].count && s->found[READ].count;
}

/* ---- pclntab ---- */

/* debug/gosym/pclntab.go, runtime/symtab.go. */
struct table {
	uint64_t vaddr, at, len;	/* at: in the file */
	uint64_t functions, names, names_end, list;	/* from its beginning */
	uint64_t base;			/* what entries count from */
	bool absolute;			/* entries are addresses */
};

enum { MAGIC_2 = 0xfffffffb, MAGIC_16 = 0xfffffffa, MAGIC_18 = 0xfffffff0, MAGIC_20 = 0xfffffff1 };
#define MODULE_TEXT (22 * 8)	/* moduledata.text, Go 1.26 */

static bool is_table(const unsigned char *p)
{
	uint32_t magic = u32(p);

	return (magic == MAGIC_2 || magic == MAGIC_16 || magic == MAGIC_18 || magic == MAGIC_20) &&
	       !p[4] && !p[5] && (p[6] == 1 || p[6] == 4) && p[7] == 8;
}

static bool find_table(struct search *s, struct table *t)
{
	GElf_Shdr h;

	if (section(s, ".gopclntab", &h) || section(s, ".data.rel.ro.gopclntab", &h)) {
		*t = (struct table){ .vaddr = h.sh_addr, .at = h.sh_offset, .len = h.sh_size };
		return true;
	}
	*t = (struct table){ 0 };
	if (s->file->ehdr.e_shoff || !find_mark(s, is_table, 16, &t->vaddr) ||
	    !elf_file_offset(s->file, t->vaddr, false, &t->at))
		return false;
	t->len = s->file->size - t->at;
	return true;
}

/* Go 1.26 no longer has the base in the table. */
static uint64_t module_text(struct search *s)
{
	GElf_Shdr h;

	return section(s, ".go.module", &h) && h.sh_size > MODULE_TEXT ?
		       word_at(s, h.sh_addr + MODULE_TEXT) : 0;
}

static bool read_header(struct search *s, struct table *t, uint32_t magic)
{
	const size_t words = magic == MAGIC_16 ? 7 : 8;
	unsigned char h[8 + 8 * 8];
	uint64_t names, end, list;

	if (t->len < sizeof(h) || read_at(s, t->at, h, sizeof(h)) < 0)
		return false;
	t->functions = u64(h + 8);
	names = u64(h + 8 * (words - 4));
	end = u64(h + 8 * (words - 3));
	list = u64(h + 8 * words);
	t->absolute = magic == MAGIC_16;
	if (names > end || end > t->len || list > t->len ||
	    t->functions >= (t->len - list) / (t->absolute ? 16 : 8))
		return false;
	t->names = names;
	t->names_end = end;
	t->list = list;
	if (t->absolute)
		return true;
	t->base = word_at(s, t->vaddr + 24);
	if (!t->base)
		t->base = module_text(s);
	return t->base != 0;
}

static uint64_t entry_of(struct search *s, const struct table *t, uint64_t i)
{
	const uint64_t place = t->list + i * (t->absolute ? 16 : 8);
	const unsigned char *p;

	if (t->absolute)
		return word_at(s, t->vaddr + place);
	p = look_at(s, &s->a, t->at + place, 4);
	return p ? t->base + u32(p) : 0;
}

/* Each function's row names where its description is, behind all rows and in the same order. */
static bool find_functions(struct search *s, const struct table *t)
{
	const size_t row = t->absolute ? 16 : 8;
	uint64_t before = 0;

	for (uint64_t i = 0; i < t->functions; i++) {
		const unsigned char *p = look_at(s, &s->a, t->at + t->list + i * row, row);
		uint64_t at;
		uint32_t name;

		if (!p)
			return false;
		at = t->absolute ? u64(p + 8) : u32(p + 4);
		if (at < before || at > t->len - t->list)
			return false;
		before = at;
		p = look_at(s, &s->b, t->at + t->list + at, row / 2 + 4);
		if (!p)
			return false;
		name = u32(p + row / 2);
		if (name == s->name_at[WRITE] || name == s->name_at[READ] || name == s->name_at[CLOSE])
			take_function(s, name, entry_of(s, t, i), entry_of(s, t, i + 1));
	}
	return true;
}

/* NONE: the functions are found. */
static enum tt_blind find_in_table(struct search *s, bool *ret_has_tls)
{
	unsigned char magic[8];
	struct table t;

	*ret_has_tls = true;
	memset(s->found, 0, sizeof(s->found));
	if (!find_table(s, &t) || read_at(s, t.at, magic, sizeof(magic)) < 0 || !is_table(magic))
		return TT_BLIND_not_found;
	if (u32(magic) == MAGIC_2) {
		*ret_has_tls = find_names(s, t.at, t.len);
		return TT_BLIND_old_go;
	}
	if (!read_header(s, &t, u32(magic)))
		return TT_BLIND_not_found;
	*ret_has_tls = find_names(s, t.at + t.names, t.names_end - t.names);
	return *ret_has_tls && find_functions(s, &t) ? TT_BLIND_NONE : TT_BLIND_not_found;
}

/* ---- the code ---- */

struct places {
	uint64_t at;	/* of the function, in the file */
	struct go_sites sites;
};

static enum tt_blind read_code(struct search *s, const struct function *f, struct places *p)
{
	int r;

	if (f->count != 1)
		return f->count ? TT_BLIND_not_unique : TT_BLIND_not_found;
	if (f->end <= f->start || f->end - f->start > CODE_MAX ||
	    !elf_file_offset(s->file, f->start, true, &p->at) ||
	    read_at(s, p->at, s->code, f->end - f->start) < 0)
		return TT_BLIND_unexpected_bytes;
	r = go_code_sites(s->file->ehdr.e_machine, s->code, f->end - f->start, &p->sites);
	if (r < 0)
		return r == -ENOTSUP ? TT_BLIND_old_go : TT_BLIND_unexpected_bytes;
	return TT_BLIND_NONE;
}

static void take(struct search *s, const struct places *p, int which)
{
	for (size_t i = 0; which != CLOSE && i < p->sites.return_count; i++)
		elf_scan_take(s->scan, s->file, p->at + p->sites.returns[i], TT_HOOK_go_return);
	elf_scan_take(s->scan, s->file, p->at + p->sites.entry, hook_of[which]);
}

/* A call whose end can't be seen is not probed at its beginning either. Without Read the answers of a
 * client are unknown, without Write a server's. */
static enum tt_blind take_functions(struct search *s)
{
	struct places p[WANTED];
	enum tt_blind blind[WANTED];

	for (int i = 0; i < WANTED; i++) {
		blind[i] = read_code(s, &s->found[i], &p[i]);
		if (!blind[i] && i != CLOSE && !p[i].sites.return_count)
			blind[i] = TT_BLIND_unexpected_bytes;
	}
	if (blind[WRITE] && blind[READ])
		return blind[WRITE];
	for (int i = 0; i < WANTED; i++)
		if (!blind[i])
			take(s, &p[i], i);
	return TT_BLIND_NONE;
}

static void search(struct search *s)
{
	enum tt_how how = TT_HOW_symbols;
	enum tt_blind blind = TT_BLIND_NONE;
	bool has_tls = true;

	if (!is_go(s))
		return;
	if (!find_symbols(s)) {
		how = TT_HOW_pclntab;
		blind = find_in_table(s, &has_tls);
	}
	if (!has_tls)
		return;
	if (is_old(s))
		blind = TT_BLIND_old_go;
	if (!blind)
		blind = take_functions(s);
	if (blind)
		elf_scan_blind(s->scan, TT_TLS_GO, blind, s->version);
	else
		elf_scan_found(s->scan, TT_TLS_GO, how, s->version);
}

int elf_go(struct elf_file *file, struct elf_scan *scan)
{
	_cleanup_free_ struct search *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->file = file;
	s->scan = scan;
	search(s);
	return 0;
}
