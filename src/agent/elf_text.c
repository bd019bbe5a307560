/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/elf_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define RODATA_MAX (128ULL << 20)	/* of a section; beyond it is not looked at */
#define CHUNK (256U << 10)

/* ---- exported names ---- */

struct exports {
	const char *const *names;
	size_t count;
	uint32_t bits;
};

static uint32_t match_export(const char *name, size_t left, void *arg)
{
	const struct exports *e = arg;

	for (uint32_t k = 0; k < e->count; k++) {
		size_t len = strlen(e->names[k]) + 1;

		if (len <= left && memcmp(name, e->names[k], len) == 0)
			return k + 1;
	}
	return 0;
}

static void note_export(const GElf_Sym *sym, uint32_t which, void *arg)
{
	struct exports *e = arg;

	if (sym->st_shndx != SHN_UNDEF && GELF_ST_TYPE(sym->st_info) == STT_FUNC)
		e->bits |= 1U << (which - 1);
}

int elf_exports(struct elf_file *file, const char *const *names, size_t count, uint32_t *ret_bits)
{
	struct elf_names wanted = { .match = match_export, .found = note_export };
	struct exports exports = { .names = names, .count = count };
	int r;

	*ret_bits = 0;
	for (size_t k = 0; k < count; k++)
		elf_names_begin(&wanted, names[k]);
	if (file->ehdr.e_shoff == 0)
		return 0;
	for (size_t i = 1; i < file->ehdr.e_shnum; i++) {
		GElf_Shdr h;

		if (!gelf_getshdr(elf_getscn(file->elf, i), &h))
			return -EBADMSG;
		if (h.sh_type != SHT_DYNSYM)	/* a file has one (gABI, sh_type) */
			continue;
		r = elf_file_symbols(file, &h, &wanted, &exports);
		*ret_bits = exports.bits;
		return r;
	}
	return 0;
}

/* ---- texts ---- */

/* The text around a place in the buffer; false: it is too long, or goes on beyond the buffer. */
static bool text_around(const char *buf, size_t len, size_t at, char to[static ELF_TEXT_LEN])
{
	size_t from = at, end = at;

	while (from > 0 && buf[from - 1] && at - from < ELF_TEXT_LEN)
		from--;
	while (end < len && buf[end] && end - from < ELF_TEXT_LEN)
		end++;
	if (end == len || end - from >= ELF_TEXT_LEN)
		return false;
	memcpy(to, buf + from, end - from);
	to[end - from] = 0;
	return true;
}

static bool look(const char *buf, size_t len, const char *part,
		 bool (*take)(void *arg, const char *text), void *arg)
{
	size_t part_len = strlen(part);
	char text[ELF_TEXT_LEN];
	const char *p = buf;

	while ((p = memmem(p, len - (size_t)(p - buf), part, part_len))) {
		if (text_around(buf, len, (size_t)(p - buf), text) && !take(arg, text))
			return false;
		p += part_len;
	}
	return true;
}

/* Chunks overlap by two texts, so that each text is whole, with the NUL before it, in one of them; some
 * are in both. */
void elf_texts(const struct elf_file *file, const char *part,
	       bool (*take)(void *arg, const char *text), void *arg)
{
	_cleanup_free_ char *buf = NULL;
	GElf_Shdr h;

	if (elf_file_section(file, ".rodata", &h) < 0 || h.sh_type != SHT_PROGBITS ||
	    h.sh_size > RODATA_MAX)
		return;
	buf = malloc(CHUNK);
	for (uint64_t at = 0; buf && at < h.sh_size; at += CHUNK - 2 * ELF_TEXT_LEN) {
		size_t len = h.sh_size - at < CHUNK ? h.sh_size - at : CHUNK;

		if (elf_file_read(file, h.sh_offset + at, buf, len) < 0 ||
		    !look(buf, len, part, take, arg))
			return;
		if (len < CHUNK)
			return;
	}
}
