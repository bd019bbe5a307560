/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An error is raised by ERR_set_debug(file, line, function), the last being the C function's name: the
 * function that refers to "SSL_write" and to its source file is SSL_write(), or one it is inlined in.
 * In 1.1 it is ERR_put_error(library, function, reason, file, line) with a number for the function.
 */
#include "agent/elf_openssl.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/elf_xref.h"

enum string {
	WRITE, READ, NEW, WRITE_INTERNAL, READ_INTERNAL, NAMES, FILE_NAME = NAMES, SINCE_3_3, VERSION,
	LIBRESSL = VERSION + 3
};

static const struct elf_xref_string strings[] = {
	[WRITE] = { "SSL_write", ELF_XREF_WHOLE },
	[READ] = { "SSL_read", ELF_XREF_WHOLE },
	[NEW] = { "SSL_new", ELF_XREF_WHOLE },
	[WRITE_INTERNAL] = { "ssl_write_internal", ELF_XREF_WHOLE },
	[READ_INTERNAL] = { "ssl_read_internal", ELF_XREF_WHOLE },
	[FILE_NAME] = { "ssl/ssl_lib.c", ELF_XREF_TAIL },
	[SINCE_3_3] = { "SSL_set_value_uint", ELF_XREF_WHOLE },
	[VERSION] = { "OpenSSL 1.", ELF_XREF_PART },
	{ "OpenSSL 3.", ELF_XREF_PART },
	{ "OpenSSL 4.", ELF_XREF_PART },
	[LIBRESSL] = { "LibreSSL ", ELF_XREF_PART },
};
#define STRINGS (sizeof(strings) / sizeof(strings[0]))

/* openssl/sslerr.h of 1.1.1: SSL_F_SSL_WRITE and so on */
static const uint32_t codes[NAMES] = {
	[WRITE] = 208, [READ] = 223, [NEW] = 186, [WRITE_INTERNAL] = 524, [READ_INTERNAL] = 523,
};
#define BEFORE_BYTES 40		/* of a reference: where its function's number is loaded */
#define AFTER_BYTES 26

#define FUNCTIONS_MAX 512	/* that raise errors in ssl_lib.c; there are some 150 */
#define NEWS_MAX 4		/* SSL_new(), and what it is inlined in */
#define PROLOGUE_BYTES 160

struct function {
	uint64_t at;
	uint32_t strings;	/* a bit for each that it refers to */
};

struct search {
	struct elf_xref *xref;
	unsigned int major, minor;	/* 0 = not known */
	char version[TT_VERSION_LEN];
	bool libressl;		/* its version is in the file */
	struct function functions[FUNCTIONS_MAX];
	size_t count;
};

/* ---- the version: "OpenSSL 3.5.4 30 Sep 2025" ---- */

static bool read_version(const char *text, char version[static TT_VERSION_LEN])
{
	unsigned int day, year;
	char month[4];
	int end = 0;

	if (sscanf(text, "OpenSSL %31[0-9a-z.+-] %2u %3[A-Za-z] %4u%n", version, &day, month, &year, &end) != 4)
		return false;
	return text[end] == '\0' && year > 1998;
}
_Static_assert(TT_VERSION_LEN == 32, "the format above");

/* "LibreSSL 4.3.1", and no more; curl's "LibreSSL/%s" is none. */
static bool is_libressl(const char *text)
{
	unsigned int part;
	int end = 0;

	return sscanf(text, "LibreSSL %u.%u.%u%n", &part, &part, &part, &end) == 3 && text[end] == '\0';
}

/* Only if all such texts in the file say the same. */
static void find_version(struct search *s)
{
	const struct elf_xref *x = s->xref;
	char version[TT_VERSION_LEN];

	for (size_t i = 0; i < x->place_count; i++) {
		char text[64] = "";
		uint64_t left = x->file->size - x->place[i].offset;

		if (x->place[i].string < VERSION ||
		    elf_file_read(x->file, x->place[i].offset, text,
				  left < sizeof(text) - 1 ? left : sizeof(text) - 1) < 0)
			continue;
		s->libressl |= is_libressl(text);
		if (!read_version(text, version))
			continue;
		if (s->version[0] && strcmp(s->version, version) != 0) {
			s->version[0] = '\0';
			s->major = s->minor = 0;
			s->libressl = false;
			return;
		}
		memcpy(s->version, version, sizeof(version));
		if (sscanf(version, "%u.%u.", &s->major, &s->minor) != 2)
			s->major = s->minor = 0;
	}
}

/* ---- the functions ---- */

/* What a reference says of the function that it is in. */
static uint32_t strings_of(const struct search *s, const struct elf_ref *ref)
{
	uint32_t bits = 1U << ref->string, code;

	if (s->major != 1 || ref->string != FILE_NAME || ref->reg != ELF_XREF_ECX ||
	    elf_xref_values(s->xref, ref, ELF_XREF_ESI, BEFORE_BYTES, AFTER_BYTES, &code, 1) == 0)
		return bits;
	for (unsigned int i = 0; i < NAMES; i++)
		if (codes[i] == code)
			bits |= 1U << i;
	return bits;
}

/* References are sorted, so those of one function stand together. */
static int collect(struct search *s)
{
	const struct elf_xref *x = s->xref;

	for (size_t i = 0; i < x->ref_count; i++) {
		const struct elf_ref *ref = &x->refs[i];
		struct function *last = s->count ? &s->functions[s->count - 1] : NULL;

		if (!ref->function)
			continue;
		if (!last || last->at != ref->function) {
			if (s->count == FUNCTIONS_MAX)
				return -E2BIG;
			last = &s->functions[s->count++];
			*last = (struct function){ .at = ref->function };
		}
		last->strings |= strings_of(s, ref);
	}
	return 0;
}

/* The functions of ssl_lib.c with this name in them; how many there are, `max` of them. */
static size_t find(const struct search *s, enum string name, uint64_t *ret, size_t max)
{
	const uint32_t wanted = 1U << name | 1U << FILE_NAME;
	size_t n = 0;

	for (size_t i = 0; i < s->count; i++) {
		if ((s->functions[i].strings & wanted) != wanted)
			continue;
		if (n < max)
			ret[n] = s->functions[i].at;
		n++;
	}
	return n;
}

struct found {
	struct {
		uint64_t at;
		enum tt_hook hook;
	} function[4 + NEWS_MAX];
	size_t count;
};

static void add(struct found *found, uint64_t at, enum tt_hook hook)
{
	found->function[found->count].at = at;
	found->function[found->count++].hook = hook;
}

/* mov %rcx, ... (%r8, ...): does the function put this argument away when it begins? */
static bool keeps(const struct elf_xref *x, uint64_t function, bool r8)
{
	unsigned char code[PROLOGUE_BYTES], rex = r8 ? 0x4c : 0x48, reg = r8 ? 0 : 1;
	uint64_t offset;

	if (!elf_file_offset(x->file, function, true, &offset) ||
	    elf_file_read(x->file, offset, code, sizeof(code)) < 0)
		return false;
	for (size_t i = 0; i + 3 <= sizeof(code); i++)
		if ((code[i] & 0xfe) == rex && code[i + 1] == 0x89 && (code[i + 2] >> 3 & 7) == reg)
			return true;
	return false;
}

static bool has_place(const struct elf_xref *x, enum string string)
{
	for (size_t i = 0; i < x->place_count; i++)
		if (x->place[i].string == string)
			return true;
	return false;
}

/*
 * SSL_write_ex() and SSL_read_ex() raise no errors of their own: their callers (Python) are seen where
 * they end up, unless that is inlined. The arguments are those of SSL_write_ex2() since 3.3, before
 * those of SSL_write_ex(); SSL_read_ex()'s are the same in all. What the file says of the version and
 * what the code does with its arguments have to agree.
 */
static void find_internal(const struct search *s, struct found *found)
{
	bool since_3_3 = has_place(s->xref, SINCE_3_3), flags = since_3_3;
	uint64_t write = 0, read = 0;

	if (s->major)
		flags = s->major > 3 || (s->major == 3 && s->minor >= 3);
	if ((since_3_3 && !flags) || find(s, WRITE_INTERNAL, &write, 1) != 1 ||
	    find(s, READ_INTERNAL, &read, 1) != 1)
		return;
	if (keeps(s->xref, write, true) != flags || (!flags && !keeps(s->xref, write, false)) ||
	    !keeps(s->xref, read, false))
		return;
	add(found, write, flags ? TT_HOOK_openssl_write_ex2 : TT_HOOK_openssl_write_ex);
	add(found, read, TT_HOOK_openssl_read_ex);
}

/* SSL_free() raises no error. What SSL_new() returns is no connection that was known before. */
static enum tt_blind find_all(const struct search *s, struct found *found)
{
	uint64_t write = 0, read = 0, new[NEWS_MAX] = { 0 };
	size_t writes = find(s, WRITE, &write, 1), reads = find(s, READ, &read, 1);
	size_t news = find(s, NEW, new, NEWS_MAX);

	if (writes > 1 || reads > 1 || news > NEWS_MAX)
		return TT_BLIND_not_unique;
	if (!writes || !reads || !news || write == read)
		return TT_BLIND_not_found;
	add(found, write, TT_HOOK_openssl_write);
	add(found, read, TT_HOOK_openssl_read);
	for (size_t i = 0; i < news; i++)
		add(found, new[i], TT_HOOK_openssl_new);
	find_internal(s, found);
	return TT_BLIND_NONE;
}

static enum tt_blind take(const struct elf_xref *x, const struct found *found, struct elf_scan *scan)
{
	uint64_t offset[sizeof(found->function) / sizeof(found->function[0])];

	for (size_t i = 0; i < found->count; i++) {
		if (!elf_xref_is_entry(x, found->function[i].at) ||
		    !elf_file_offset(x->file, found->function[i].at, true, &offset[i]))
			return TT_BLIND_unexpected_bytes;
		if (!elf_file_can_probe(x->file, offset[i]))
			return TT_BLIND_unfit_instruction;
	}
	for (size_t i = 0; i < found->count; i++)
		elf_scan_take(scan, x->file, offset[i], found->function[i].hook);
	return TT_BLIND_NONE;
}

static int find_functions(struct search *s, struct elf_scan *scan)
{
	struct found found = { 0 };
	enum tt_blind blind;
	int r = elf_xref_refer(s->xref);

	if (r == 0)
		r = elf_xref_functions(s->xref);
	if (r == 0)
		r = collect(s);
	if (r < 0 && r != -E2BIG)
		return r;
	blind = r < 0 ? TT_BLIND_not_unique : find_all(s, &found);
	if (blind == TT_BLIND_NONE)
		blind = take(s->xref, &found, scan);
	if (blind == TT_BLIND_NONE)
		elf_scan_found(scan, TT_TLS_OPENSSL, TT_HOW_xref, s->version);
	else
		elf_scan_blind(scan, TT_TLS_OPENSSL, blind, s->version);
	return 0;
}

static int search(struct elf_xref *x, struct elf_scan *scan)
{
	struct search s = { .xref = x };
	int r = elf_xref_find(x, &strings[FILE_NAME], 1);

	if (r == 0 && !x->place_count)
		return 0;
	if (r == 0)
		r = elf_xref_find(x, strings, STRINGS);
	if (r < 0)
		return r == -E2BIG ? 0 : r;
	find_version(&s);
	if (!elf_scan_has(scan, TT_TLS_OPENSSL) && s.libressl && !s.version[0]) {
		elf_scan_blind(scan, TT_TLS_LIBRESSL, TT_BLIND_not_found, NULL);	/* its errors name no function */
		return 0;
	}
	if (!elf_scan_has(scan, TT_TLS_OPENSSL))
		return find_functions(&s, scan);
	elf_scan_found(scan, TT_TLS_OPENSSL, TT_HOW_symbols, s.version);
	return 0;
}

int elf_openssl(struct elf_file *file, struct elf_scan *scan)
{
	struct elf_xref *x;
	int r;

	if (elf_scan_has(scan, TT_TLS_LIBRESSL))
		return 0;
	r = elf_xref_new(file, &x);
	if (r < 0)
		return r;
	r = search(x, scan);
	elf_xref_free(x);
	return r;
}
