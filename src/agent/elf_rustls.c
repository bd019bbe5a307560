/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rustls is compiled into each program anew, and none of its functions is an interface. What makes it
 * safe to read their arguments:
 *   the writing side    is checked by the kernel program at each record (bpf/tls_rustls.bpf.c)
 *   the reading side    has the same function in the versions named below, and the kernel program follows
 *                       nothing but the two orders of words that compilers from 1.63 on give it; of other
 *                       versions, and where the version is not to be seen, the function has to begin by
 *                       loading the three words that it is expected to be given
 * Where names are missing, functions that are called through tables do (elf_rustls_tables.h).
 */
#include "agent/elf_rustls.h"

#include <errno.h>
#include <libelf.h>
#include <stdio.h>
#include <string.h>

#include "agent/elf_rustls_tables.h"
#include "agent/elf_xref.h"

#define NAME_MAX_BYTES ELF_NAME_MAX
#define FILE_MIN_BYTES (256U << 10)	/* less than any program with rustls and its cryptography has */
#define FOUND_MAX 24
#define HASH "17h"			/* an element of 17 characters: what follows is h and 16 digits */
#define BEGINNING_BYTES 96

/* Looked at: the newest of each minor version, and those where something changed. */
#define MINOR_MIN 21
#define MINOR_MAX 23
#define PATCH_MAX 46			/* of MINOR_MAX */

struct found {
	uint64_t offset;
	enum tt_hook hook;
};

struct scan {
	struct elf_file *file;
	struct found found[FOUND_MAX];
	size_t found_count;
	bool has[TT_HOOK_MAX];
	char version[TT_VERSION_LEN];
	bool known;	/* the version is one of those above */
	bool marked;	/* the file has a path of rustls' sources */
};

/* ---- names ---- */

struct text {
	const char *p;
	size_t len;
};

static bool begins(struct text t, const char *with)
{
	size_t n = strlen(with);

	return n <= t.len && memcmp(t.p, with, n) == 0;
}

static bool ends(struct text t, const char *with)
{
	size_t n = strlen(with);

	return n <= t.len && memcmp(t.p + t.len - n, with, n) == 0;
}

static bool contains(struct text t, const char *what)
{
	return memmem(t.p, t.len, what, strlen(what)) != NULL;
}

static const struct {
	const char *name;
	enum tt_hook hook;
} methods[] = {
	{ "CommonState16buffer_plaintext", TT_HOOK_rustls_write },
	{ "CommonState19send_some_plaintext", TT_HOOK_rustls_slice },
	{ "CommonState23take_received_plaintext", TT_HOOK_rustls_read },
	{ "CommonState8send_msg", TT_HOOK_rustls_message },
};

/* The older mangling: _ZN, the path's elements each after its length, a hash, E. */
static enum tt_hook legacy(struct text t)
{
	static const char common[] = "_ZN6rustls12common_state11";
	size_t hash = strlen(HASH) + 16 + 1;	/* with the E */

	if (t.len < hash || t.p[t.len - 1] != 'E')
		return 0;
	t.len -= hash;
	if (memcmp(t.p + t.len, HASH, strlen(HASH)) != 0)
		return 0;
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (begins(t, common) && t.len == strlen(common) + strlen(methods[i].name) &&
		    ends(t, methods[i].name))
			return methods[i].hook;
	if (begins(t, "_ZN4core3ptr54drop_in_place$LT$rustls..common_state..CommonState$GT$"))
		return TT_HOOK_rustls_end;
	if (contains(t, "$LT$rustls..cipher..InvalidMessage") ||
	    contains(t, "$LT$rustls..crypto..cipher..InvalidMessage"))
		return 0;
	if (ends(t, "$u20$as$u20$rustls..cipher..MessageEncrypter$GT$7encrypt") ||
	    ends(t, "$u20$as$u20$rustls..crypto..cipher..MessageEncrypter$GT$7encrypt"))
		return TT_HOOK_rustls_record;
	return 0;
}

/* The newer one, RFC 2603: what was named before is referred to, so only the tail is the same. */
static enum tt_hook v0(struct text t)
{
	if (!contains(t, "_6rustls"))
		return 0;
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (begins(t, "_RNvM") && contains(t, "_6rustls12common_state") &&
		    ends(t, methods[i].name))
			return methods[i].hook;
	if (begins(t, "_RINvNtC") && contains(t, "_4core3ptr13drop_in_placeNtNtC") &&
	    contains(t, "_6rustls12common_state11CommonStateE"))
		return TT_HOOK_rustls_end;
	if (begins(t, "_RNvX") && ends(t, "6cipher16MessageEncrypter7encrypt") &&
	    !contains(t, "23InvalidMessageEncrypter"))
		return TT_HOOK_rustls_record;
	return 0;
}

enum tt_hook elf_rustls_hook(const char *name, size_t max)
{
	struct text t = { name, strnlen(name, max < NAME_MAX_BYTES ? max : NAME_MAX_BYTES) };
	const char *dot;

	if (t.len < 4 || name[0] != '_' || (name[1] != 'Z' && name[1] != 'R') || t.len == max ||
	    t.len == NAME_MAX_BYTES)
		return 0;
	/* What LLVM appends to make a local name unique. A .cold or .part is no function of its own. */
	dot = memmem(t.p, t.len, ".llvm.", 6);
	if (dot)
		t.len = (size_t)(dot - t.p);
	return name[1] == 'Z' ? legacy(t) : v0(t);
}

static uint32_t match(const char *name, size_t left, void *arg)
{
	return elf_rustls_hook(name, left);
}

static void take_symbol(const GElf_Sym *sym, uint32_t hook, void *arg)
{
	struct scan *s = arg;
	uint64_t offset;

	if (GELF_ST_TYPE(sym->st_info) != STT_FUNC || sym->st_value == 0 ||
	    sym->st_shndx == SHN_UNDEF || sym->st_shndx == SHN_ABS ||
	    !elf_file_offset(s->file, sym->st_value, true, &offset))
		return;
	s->has[hook] = true;
	for (size_t i = 0; i < s->found_count; i++)
		if (s->found[i].offset == offset)
			return;
	if (s->found_count < FOUND_MAX)
		s->found[s->found_count++] = (struct found){ offset, hook };
}

/* Rust's functions are in no dynsym. */
static int scan_symtab(struct scan *s)
{
	struct elf_names names = { .match = match, .found = take_symbol };

	elf_names_begin(&names, "_Z");
	elf_names_begin(&names, "_R");
	for (size_t i = 0; s->file->ehdr.e_shoff && i < s->file->ehdr.e_shnum; i++) {
		GElf_Shdr h;

		if (!gelf_getshdr(elf_getscn(s->file->elf, i), &h))
			return -EBADMSG;
		if (h.sh_type == SHT_SYMTAB)
			return elf_file_symbols(s->file, &h, &names, s);
	}
	return 0;
}

/* ---- version ---- */

/* Where a panic would tell its place: ".../rustls-0.23.46/src/conn.rs". */
static bool read_version(struct scan *s, uint64_t offset)
{
	unsigned int minor, patch;
	char text[32] = "", rest[6] = "";

	if (elf_file_read(s->file, offset, text, sizeof(text) - 1) < 0 ||
	    sscanf(text, "/rustls-0.%3u.%3u%5s", &minor, &patch, rest) != 3 ||
	    strncmp(rest, "/src/", 5) != 0)
		return false;
	/* Of several versions in one program all have to be known. */
	s->known = (!s->marked || s->known) && minor >= MINOR_MIN &&
		   (minor < MINOR_MAX || (minor == MINOR_MAX && patch <= PATCH_MAX));
	s->marked = true;
	if (!s->version[0])
		snprintf(s->version, sizeof(s->version), "0.%u.%u", minor, patch);
	return true;
}

static int find_version(struct scan *s)
{
	static const struct elf_xref_string mark[] = { { "/rustls-0.", ELF_XREF_PART } };
	struct elf_xref *x;
	int r;

	r = elf_xref_new(s->file, &x);
	if (r < 0)
		return r;
	r = elf_xref_find(x, mark, 1);
	for (size_t i = 0; r == 0 && i < x->place_count; i++)
		read_version(s, x->place[i].offset);
	elf_xref_free(x);
	return r == -ENOMEM ? r : 0;
}

/* ---- what the functions do ---- */

/* Among the first instructions: mov DISP(%rsi), REG for 0, 8 and 16. */
static bool loads_three_words(const struct scan *s, uint64_t offset)
{
	unsigned char b[BEGINNING_BYTES];
	bool word[3] = { false };

	if (elf_file_read(s->file, offset, b, sizeof(b)) < 0)
		return false;
	for (size_t i = 0; i + 4 <= sizeof(b); i++) {
		if ((b[i] & 0xfb) != 0x48 || b[i + 1] != 0x8b)
			continue;
		if ((b[i + 2] & 0xc7) == 0x06)
			word[0] = true;
		else if ((b[i + 2] & 0xc7) == 0x46 && (b[i + 3] == 8 || b[i + 3] == 16))
			word[b[i + 3] / 8] = true;
	}
	return word[0] && word[1] && word[2];
}

static bool is_safe(const struct scan *s, const struct found *f)
{
	return f->hook != TT_HOOK_rustls_read || s->known || loads_three_words(s, f->offset);
}

static bool has_writes(const struct scan *s)
{
	return (s->has[TT_HOOK_rustls_write] || s->has[TT_HOOK_rustls_slice]) &&
	       s->has[TT_HOOK_rustls_record] && s->found_count < FOUND_MAX;
}

static void give(struct scan *s, struct elf_scan *out)
{
	for (size_t i = 0; i < s->found_count; i++) {
		if (is_safe(s, &s->found[i]))
			continue;
		elf_scan_blind(out, TT_TLS_RUSTLS, TT_BLIND_unexpected_bytes, s->version);
		return;
	}
	elf_scan_found(out, TT_TLS_RUSTLS, TT_HOW_symbols, s->version);
	if (!s->has[TT_HOOK_rustls_read])
		elf_scan_no_reads(out, TT_TLS_RUSTLS, TT_BLIND_sent_only);
	for (size_t i = 0; i < s->found_count; i++)
		elf_scan_take(out, s->file, s->found[i].offset, s->found[i].hook);
}

static void give_tables(const struct scan *s, const struct rustls_tables *t, struct elf_scan *out)
{
	elf_scan_found(out, TT_TLS_RUSTLS, TT_HOW_xref, s->version);
	if (!t->decrypts)
		elf_scan_no_reads(out, TT_TLS_RUSTLS, TT_BLIND_sent_only);
	for (size_t i = 0; i < t->encrypts; i++)
		elf_scan_take(out, s->file, t->encrypt[i], TT_HOOK_rustls_encrypt);
	for (size_t i = 0; i < t->decrypts; i++)
		elf_scan_take(out, s->file, t->decrypt[i], TT_HOOK_rustls_decrypt);
	for (size_t i = 0; i < t->return_count; i++)
		elf_scan_take(out, s->file, t->returns[i], TT_HOOK_rustls_return);
}

/* By names, if they are all there, else by tables, else what the names show. */
static int search(struct scan *s, struct elf_scan *out)
{
	struct rustls_tables tables;
	int r = -ENOENT;

	if (s->marked && s->known && !(has_writes(s) && s->has[TT_HOOK_rustls_read]))
		r = elf_rustls_tables(s->file, PATCH_MAX, &tables);
	if (r == -ENOMEM)
		return r;
	if (r == 0)
		give_tables(s, &tables, out);
	else if (has_writes(s))
		give(s, out);
	else
		elf_scan_blind(out, TT_TLS_RUSTLS, r == -E2BIG ? TT_BLIND_not_unique : TT_BLIND_not_found,
			       s->version);
	return 0;
}

int elf_rustls(struct elf_file *file, struct elf_scan *scan)
{
	struct scan s = { .file = file };
	int r;

#if !defined(__x86_64__)
	return 0;	/* the registers that hold the arguments were looked at on x86-64 only */
#endif
	if (file->size < FILE_MIN_BYTES)
		return 0;
	r = scan_symtab(&s);
	if (r == 0)
		r = find_version(&s);
	if (r < 0 || (!s.found_count && !s.marked))
		return r;
	return search(&s, scan);
}
