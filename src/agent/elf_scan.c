/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks at the name of each function in the file's symbol tables. libelf reads the tables whole;
 * it keeps the headers it has read, so what was checked here is what it goes by afterwards.
 */
#include "agent/elf_scan.h"

#include <errno.h>
#include <gelf.h>
#include <libelf.h>
#include <malloc.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX_BYTES (2ULL << 30)
#define SEGMENTS_MAX 256
#define TABLES_MAX 2		/* dynsym, symtab; a file has one of each (gABI, sh_type) */
#define TABLES_MAX_BYTES (192ULL << 20)	/* both, with their strings: all in memory at once */
#define SYMBOLS_MAX (4U << 20)	/* in one table */
#define KEEP_BYTES (1U << 20)

#if defined(__x86_64__)
#define HOST_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define HOST_MACHINE EM_AARCH64
#else
#error "which e_machine is this?"
#endif

struct name {
	const char *text;
	size_t len;
	enum tt_hook hook;	/* 0: LibreSSL's mark */
};

static const struct name names[] = {
#define TT_SYMBOL(hook, name) { name, sizeof(name) - 1, TT_HOOK_##hook },
#include <tokentrail/hooks.def>
	/* Of the libraries with OpenSSL's names only LibreSSL has this, for its libtls. */
	{ "SSL_CTX_use_certificate_chain_mem", 33, 0 },
};
#define NAMES (sizeof(names) / sizeof(names[0]))

enum direction { END, OUT, IN };

static const struct hook {
	enum tt_tls tls;
	enum direction direction;
} hooks[TT_HOOK_MAX] = {
#define TT_HOOK_CALL(number, hook, library, direction, result)                                     \
	[number] = { TT_TLS_##library, direction },
#define TT_HOOK_END(number, hook, library) [number] = { TT_TLS_##library, END },
#include <tokentrail/hooks.def>
};

struct found {
	uint64_t offset;
	enum tt_hook hook;
	bool probed;		/* its first instruction can carry a probe */
};

struct segment {
	uint64_t vaddr, offset, bytes;
};

struct scan {
	Elf *elf;
	uint64_t size;
	uint64_t table_bytes;	/* that libelf was asked to read */
	Elf64_Ehdr ehdr;
	struct segment code[SEGMENTS_MAX];	/* executable PT_LOADs */
	size_t segments;
	bool has[TT_TLS_MAX][IN + 1];
	bool libressl;
	bool first[256];			/* characters that a name begins with */
	struct found found[ELF_SCAN_HOOKS_MAX];
	size_t found_count;
};

static int check_ehdr(const Elf64_Ehdr *e)
{
	const unsigned char *id = e->e_ident;

	if (memcmp(id, ELFMAG, SELFMAG) != 0)
		return -EBADMSG;
	/* Programs of another word size or machine run here too, but have no probes of ours. */
	if (id[EI_CLASS] != ELFCLASS64 || id[EI_DATA] != ELFDATA2LSB ||
	    e->e_machine != HOST_MACHINE)
		return -ENOEXEC;
	if (e->e_phnum > SEGMENTS_MAX || e->e_phentsize != sizeof(Elf64_Phdr))
		return -EBADMSG;
	if (e->e_shoff == 0)
		return 0;
	/*
	 * For e_shnum 0 libelf takes the number of sections from the first of them (gABI), and
	 * allocates some 200 bytes for each before anybody can look at it. Only object files with
	 * more than 65280 sections need that.
	 */
	return e->e_shnum && e->e_shentsize == sizeof(Elf64_Shdr) ? 0 : -EBADMSG;
}

/*
 * libelf gets to see no header that wasn't looked at, unless the file changes in between: then
 * elf_begin() can still take some three times the file's size, and only a limit on this process's
 * memory (RLIMIT_DATA) stops it. The result is thrown away in any case.
 */
static int open_elf(struct scan *s, int fd)
{
	struct stat st;
	GElf_Ehdr again;
	ssize_t n;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > FILE_MAX_BYTES)
		return -EBADMSG;
	s->size = (uint64_t)st.st_size;
	n = TEMP_FAILURE_RETRY(pread(fd, &s->ehdr, sizeof(s->ehdr), 0));
	if (n != sizeof(s->ehdr))
		return n < 0 ? -errno : -EBADMSG;
	r = check_ehdr(&s->ehdr);
	if (r < 0)
		return r;
	if (elf_version(EV_CURRENT) == EV_NONE)
		return -ENOSYS;
	s->elf = elf_begin(fd, ELF_C_READ, NULL);
	if (!gelf_getehdr(s->elf, &again) || memcmp(&again, &s->ehdr, sizeof(again)) != 0)
		return -EBADMSG;
	return 0;
}

static int read_segments(struct scan *s)
{
	for (int i = 0; i < s->ehdr.e_phnum; i++) {
		GElf_Phdr ph;

		if (!gelf_getphdr(s->elf, i, &ph))
			return -EBADMSG;
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
	const Elf_Data *d = elf_getdata_rawchunk(s->elf, (int64_t)offset, 1, ELF_T_BYTE);
	unsigned char first;

	if (!d)
		return false;
	first = *(const unsigned char *)d->d_buf;
	return first != 0x26 && first != 0x2e && first != 0x36 && first != 0x3e && first != 0xf0;
#else
	return offset % 4 == 0 && offset + 4 <= s->size;
#endif
}

/* dynsym and symtab have the same functions, and one function may have two names. */
static bool is_known(const struct scan *s, uint64_t offset)
{
	for (size_t i = 0; i < s->found_count; i++)
		if (s->found[i].offset == offset)
			return true;
	return false;
}

static void take_hook(struct scan *s, uint64_t offset, enum tt_hook hook)
{
	s->has[hooks[hook].tls][hooks[hook].direction] = true;
	if (s->found_count < ELF_SCAN_HOOKS_MAX && !is_known(s, offset))
		s->found[s->found_count++] = (struct found){ offset, hook, can_probe(s, offset) };
}

/* One of the names, ended by NUL or, as symtab has versioned ones, by '@'. */
static const struct name *find_name(const struct scan *s, const Elf_Data *strings, size_t at)
{
	const char *p = (const char *)strings->d_buf + at;
	size_t left = strings->d_size - at;

	if (!left || !s->first[(unsigned char)*p])
		return NULL;
	for (size_t i = 0; i < NAMES; i++) {
		size_t n = names[i].len;

		if (n < left && memcmp(p, names[i].text, n) == 0 && (p[n] == 0 || p[n] == '@'))
			return &names[i];
	}
	return NULL;
}

static void check_symbol(struct scan *s, const GElf_Sym *sym, const Elf_Data *strings)
{
	const struct name *name;
	uint64_t offset;

	if (GELF_ST_TYPE(sym->st_info) != STT_FUNC || sym->st_value == 0 ||
	    sym->st_shndx == SHN_UNDEF || sym->st_shndx == SHN_ABS ||
	    sym->st_name >= strings->d_size)
		return;
	name = find_name(s, strings, sym->st_name);
	if (!name || !file_offset(s, sym->st_value, &offset))
		return;
	if (name->hook)
		take_hook(s, offset, name->hook);
	else
		s->libressl = true;
}

/*
 * Bytes as they stand in the file: a section that says it is compressed stays so. NULL: the file
 * is not what it says, or more than this program wants to hold.
 */
static Elf_Data *read_section(struct scan *s, Elf_Scn *section, const GElf_Shdr *h)
{
	if (h->sh_offset > s->size || h->sh_size > s->size - h->sh_offset ||
	    h->sh_size > TABLES_MAX_BYTES - s->table_bytes)
		return NULL;
	s->table_bytes += h->sh_size;
	return elf_rawdata(section, NULL);
}

/* sh_entsize is of no interest: libelf knows how long a symbol is. */
static int scan_table(struct scan *s, Elf_Scn *section, const GElf_Shdr *h)
{
	Elf_Scn *link = elf_getscn(s->elf, h->sh_link);
	Elf_Data *symbols, *strings;
	GElf_Shdr link_h;
	GElf_Sym sym;

	if (!gelf_getshdr(link, &link_h) || link_h.sh_type != SHT_STRTAB ||
	    h->sh_size / sizeof(Elf64_Sym) > SYMBOLS_MAX)
		return -EBADMSG;
	strings = read_section(s, link, &link_h);
	symbols = read_section(s, section, h);
	if (!strings || !symbols)
		return -EBADMSG;
	for (size_t i = 0; i < symbols->d_size / sizeof(Elf64_Sym); i++) {
		if (!gelf_getsym(symbols, (int)i, &sym))
			return -EBADMSG;
		check_symbol(s, &sym, strings);
	}
	return 0;
}

static int scan_tables(struct scan *s)
{
	unsigned int tables = 0;

	if (s->ehdr.e_shoff == 0)
		return 0;
	for (size_t i = 0; i < s->ehdr.e_shnum && tables < TABLES_MAX; i++) {
		Elf_Scn *section = elf_getscn(s->elf, i);
		GElf_Shdr h;
		int r;

		if (!gelf_getshdr(section, &h))
			return -EBADMSG;
		if (h.sh_type != SHT_DYNSYM && h.sh_type != SHT_SYMTAB)
			continue;
		tables++;
		r = scan_table(s, section, &h);
		if (r < 0)
			return r;
	}
	return 0;
}

static enum tt_hook libressl_hook(enum tt_hook hook)
{
	return hook - TT_HOOK_openssl_write + TT_HOOK_libressl_write;
}
_Static_assert(TT_HOOK_openssl_end - TT_HOOK_openssl_write ==
		       TT_HOOK_libressl_end - TT_HOOK_libressl_write, "the same hooks in one order");

/* What was found of libraries that are there with both directions. */
static void give(const struct scan *s, struct elf_scan *out)
{
	for (size_t i = 0; i < s->found_count; i++) {
		enum tt_hook hook = s->found[i].hook;
		enum tt_tls tls = hooks[hook].tls;

		if (!s->has[tls][OUT] || !s->has[tls][IN])
			continue;
		if (tls == TT_TLS_OPENSSL && s->libressl)
			hook = libressl_hook(hook);
		if (s->found[i].probed)
			out->hooks[out->count++] = (struct elf_hook){ s->found[i].offset, hook,
								      hooks[hook].tls };
		else
			out->refused++;
	}
}

enum tt_scan elf_scan(int fd, struct elf_scan *ret_scan)
{
	struct scan s = { 0 };
	int r;

	memset(ret_scan, 0, sizeof(*ret_scan));
	for (size_t i = 0; i < NAMES; i++)
		s.first[(unsigned char)names[i].text[0]] = true;
	r = open_elf(&s, fd);
	if (r == 0)
		r = read_segments(&s);
	if (r == 0)
		r = scan_tables(&s);
	elf_end(s.elf);
	/* Or malloc keeps room for the largest tables it ever saw, up to 64 MiB. */
	if (s.table_bytes > KEEP_BYTES)
		malloc_trim(0);
	if (r < 0)
		return r == -ENOEXEC ? TT_SCAN_NONE : TT_SCAN_BAD;
	give(&s, ret_scan);
	if (ret_scan->count)
		return TT_SCAN_HOOKS;
	return ret_scan->refused ? TT_SCAN_REFUSED : TT_SCAN_NONE;
}
