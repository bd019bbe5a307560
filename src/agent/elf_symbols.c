/* SPDX-License-Identifier: Apache-2.0 */
/* Looks for the names of functions in the file's symbol tables. */
#include "agent/elf_symbols.h"

#include <errno.h>
#include <libelf.h>
#include <string.h>

#include "agent/elf_bio.h"
#include "agent/elf_boringssl.h"

#define TABLES_MAX 2		/* dynsym, symtab; a file has one of each (gABI, sh_type) */

/* Names of what is no hook. */
#define MARK_LIBRESSL TT_HOOK_MAX
#define MARK_BIO (TT_HOOK_MAX + 1)

struct name {
	const char *text;
	size_t len;
	uint32_t hook;	/* enum tt_hook, or MARK_* */
};

static const struct name names[] = {
#define TT_SYMBOL(hook, name) { name, sizeof(name) - 1, TT_HOOK_##hook },
#include <tokentrail/hooks.def>
	/* Of the libraries with OpenSSL's names only LibreSSL has this, for its libtls. */
	{ "SSL_CTX_use_certificate_chain_mem", 33, MARK_LIBRESSL },
	{ "BIO_f_ssl", 9, MARK_BIO },
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
};

struct scan {
	struct elf_file *file;
	bool has[TT_TLS_MAX][IN + 1];
	bool libressl;
	uint64_t bio;				/* address of BIO_f_ssl(); 0 = not there */
	struct found found[ELF_SCAN_HOOKS_MAX];
	size_t found_count;
};

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
		s->found[s->found_count++] = (struct found){ offset, hook };
}

/* One of the names, ended by NUL or, as symtab has versioned ones, by '@'. */
static uint32_t find_name(const char *p, size_t left, void *arg)
{
	for (uint32_t i = 0; i < NAMES; i++) {
		size_t n = names[i].len;

		if (n < left && memcmp(p, names[i].text, n) == 0 && (p[n] == 0 || p[n] == '@'))
			return i + 1;
	}
	return 0;
}

static void take_symbol(const GElf_Sym *sym, uint32_t which, void *arg)
{
	const struct name *name = &names[which - 1];
	struct scan *s = arg;
	uint64_t offset;

	if (GELF_ST_TYPE(sym->st_info) != STT_FUNC || sym->st_value == 0 ||
	    sym->st_shndx == SHN_UNDEF || sym->st_shndx == SHN_ABS ||
	    !elf_file_offset(s->file, sym->st_value, true, &offset))
		return;
	if (name->hook == MARK_LIBRESSL)
		s->libressl = true;
	else if (name->hook == MARK_BIO)
		s->bio = sym->st_value;
	else
		take_hook(s, offset, name->hook);
}

static int scan_tables(struct scan *s)
{
	struct elf_names wanted = { .match = find_name, .found = take_symbol };
	unsigned int tables = 0;

	for (size_t i = 0; i < NAMES; i++)
		elf_names_begin(&wanted, names[i].text);
	if (s->file->ehdr.e_shoff == 0)
		return 0;
	for (size_t i = 0; i < s->file->ehdr.e_shnum && tables < TABLES_MAX; i++) {
		GElf_Shdr h;
		int r;

		if (!gelf_getshdr(elf_getscn(s->file->elf, i), &h))
			return -EBADMSG;
		if (h.sh_type != SHT_DYNSYM && h.sh_type != SHT_SYMTAB)
			continue;
		tables++;
		r = elf_file_symbols(s->file, &h, &wanted, s);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool is_whole(const struct scan *s, enum tt_tls tls)
{
	return s->has[tls][OUT] && s->has[tls][IN];
}

/* What a function of this name is in a library that has OpenSSL's names. */
static enum tt_hook hook_of(enum tt_tls library, enum tt_hook hook)
{
	static const struct {
		enum tt_hook libressl, boringssl;
	} same[TT_HOOK_MAX] = {
		[TT_HOOK_openssl_write] = { TT_HOOK_libressl_write, TT_HOOK_boringssl_write },
		[TT_HOOK_openssl_write_ex] = { TT_HOOK_libressl_write_ex, 0 },
		[TT_HOOK_openssl_read] = { TT_HOOK_libressl_read, TT_HOOK_boringssl_read },
		[TT_HOOK_openssl_read_ex] = { TT_HOOK_libressl_read_ex, 0 },
		[TT_HOOK_openssl_end] = { TT_HOOK_libressl_end, TT_HOOK_boringssl_end },
	};

	if (hooks[hook].tls != TT_TLS_OPENSSL || library == TT_TLS_OPENSSL)
		return hook;
	return library == TT_TLS_LIBRESSL ? same[hook].libressl : same[hook].boringssl;
}

/* Which of the libraries with OpenSSL's names this is. */
static int who_is_openssl(const struct scan *s, enum tt_tls *ret_tls)
{
	bool boringssl = false;
	int r = 0;

	if (is_whole(s, TT_TLS_OPENSSL) && !s->libressl)
		r = elf_boringssl_is_in(s->file, &boringssl);
	*ret_tls = s->libressl ? TT_TLS_LIBRESSL : boringssl ? TT_TLS_BORINGSSL : TT_TLS_OPENSSL;
	return r;
}

/* What was found of libraries that are there with both directions. */
static void give(const struct scan *s, enum tt_tls openssl, struct elf_scan *out)
{
	for (size_t i = 0; i < s->found_count; i++) {
		enum tt_hook hook = hook_of(openssl, s->found[i].hook);
		enum tt_tls tls = hooks[s->found[i].hook].tls;

		if (!is_whole(s, tls) || !hook)
			continue;
		elf_scan_found(out, tls == TT_TLS_OPENSSL ? openssl : tls, TT_HOW_symbols, NULL);
		elf_scan_take(out, s->file, s->found[i].offset, hook);
	}
}

int elf_symbols(struct elf_file *file, struct elf_scan *scan)
{
	struct scan s = { .file = file };
	enum tt_tls openssl = TT_TLS_OPENSSL;
	int r;

	r = scan_tables(&s);
	if (r == 0)
		r = who_is_openssl(&s, &openssl);
	if (r < 0)
		return r;
	give(&s, openssl, scan);
	return s.bio && elf_scan_has(scan, TT_TLS_OPENSSL) ? elf_bio(file, scan, s.bio) : 0;
}
