/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Methods that encrypt and decrypt records are called through tables (`dyn MessageEncrypter`), so they
 * are functions of their own however a program was optimised. The compiler has put side by side, for each
 * of rustls' sources .../rustls-0.23.46/src/crypto/ring/tls13.rs and the like,
 *
 *	place of a panic     path, its length, line and column
 *	table                drop, size, alignment, decrypt
 *	place of a panic     in the same source
 *	table                drop, size, alignment, encrypt, encrypted_payload_len
 *
 * and encrypted_payload_len() is one addition, of what TLS makes a record longer by: 17 in TLS 1.3, 16 or
 * 24 in 1.2. All of that has to be there, or nothing is taken.
 *
 * Addresses are in the file's relocations, or, in programs at a fixed address and in packed relocations,
 * in place.
 */
#include "agent/elf_rustls_tables.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/elf_xref.h"

#define WORDS 15		/* the four, in the order above */
#define FIRST_TABLE 3
#define SECOND_PLACE 7
#define SECOND_TABLE 10
#define PATH_MAX_BYTES 1024	/* of a source */
#define PLACES_MAX 256		/* of panics in those sources; there are some 40 */
#define CHUNK 4096		/* entries or words that are read at a time */
#define RELOCATIONS_MAX (2U << 20)	/* a browser of 300 MB has half a million */
#define DYNAMIC_MAX 256
#define OBJECT_MAX_BYTES 65536
#define MARK "/rustls-0.23."

static const struct elf_xref_string sources[] = {
	{ "/src/crypto/ring/tls13.rs", ELF_XREF_PART },
	{ "/src/crypto/aws_lc_rs/tls13.rs", ELF_XREF_PART },
	{ "/src/crypto/ring/tls12.rs", ELF_XREF_PART },
	{ "/src/crypto/aws_lc_rs/tls12.rs", ELF_XREF_PART },
};
#define SOURCES (sizeof(sources) / sizeof(sources[0]))
#define SOURCES_OF_13 2		/* the first ones */

struct path {
	uint64_t end;		/* its address */
	bool is_13;
};

struct place {
	uint64_t at;		/* of word[0] */
	uint64_t word[WORDS];
	bool is_address[WORDS];	/* by a relocation */
	bool is_13;
};

struct search {
	const struct elf_file *file;
	struct path path[SOURCES * ELF_XREF_PARTS_MAX];
	size_t paths;
	struct place *place;
	size_t places;
	uint64_t rela, rela_bytes;	/* in the file */
	bool in_place;
};

typedef int visit(struct search *s, uint64_t at, uint64_t value);

/* ---- the sources' paths ---- */

/* What stands before it: "/rustls-0.23.46" of a version that is known. */
static bool is_known(const struct elf_file *file, uint64_t offset, unsigned int patch_max)
{
	char before[sizeof(MARK) + 3] = "", end;

	for (unsigned int digits = 1; digits <= 2; digits++) {
		uint64_t len = sizeof(MARK) - 1 + digits;
		unsigned int patch;

		if (len > offset || elf_file_read(file, offset - len, before, len) < 0)
			return false;
		before[len] = 0;
		if (sscanf(before, MARK "%2u%c", &patch, &end) == 1 && patch <= patch_max)
			return true;
	}
	return false;
}

static int find_paths(struct search *s, unsigned int patch_max)
{
	struct elf_xref *x;
	int r = elf_xref_new(s->file, &x);

	if (r < 0)
		return r;
	r = elf_xref_find(x, sources, SOURCES);
	for (size_t i = 0; r == 0 && i < x->place_count; i++) {
		const struct elf_xref_place *p = &x->place[i];

		if (is_known(s->file, p->offset, patch_max))
			s->path[s->paths++] = (struct path){ p->to + strlen(sources[p->string].text),
							     p->string < SOURCES_OF_13 };
	}
	elf_xref_free(x);
	return r;
}

/* ---- addresses in the file ---- */

static int find_relocations(struct search *s)
{
	uint64_t vaddr = 0, bytes = 0;
	bool packed = false;

	for (size_t i = 0; i < DYNAMIC_MAX && (i + 1) * sizeof(Elf64_Dyn) <= s->file->dynamic_bytes; i++) {
		Elf64_Dyn d;

		if (elf_file_read(s->file, s->file->dynamic + i * sizeof(d), &d, sizeof(d)) < 0)
			return -EBADMSG;
		if (d.d_tag == DT_NULL)
			break;
		if (d.d_tag == DT_RELA)
			vaddr = d.d_un.d_ptr;
		else if (d.d_tag == DT_RELASZ)
			bytes = d.d_un.d_val;
		else if (d.d_tag == DT_RELR)
			packed = true;
	}
	s->in_place = packed || !bytes || s->file->ehdr.e_type == ET_EXEC;
	if (bytes / sizeof(Elf64_Rela) > RELOCATIONS_MAX || bytes > s->file->size)
		return -E2BIG;
	if (bytes && !elf_file_offset(s->file, vaddr, false, &s->rela))
		return -EBADMSG;
	s->rela_bytes = bytes;
	return 0;
}

static int each_relocation(struct search *s, visit *each)
{
	Elf64_Rela *chunk = malloc(CHUNK * sizeof(*chunk));
	uint64_t left = s->rela_bytes / sizeof(*chunk), offset = s->rela;
	int r = chunk ? 0 : -ENOMEM;

	while (r == 0 && left) {
		size_t n = left < CHUNK ? (size_t)left : CHUNK;

		r = elf_file_read(s->file, offset, chunk, n * sizeof(*chunk));
		for (size_t i = 0; r == 0 && i < n; i++)
			if (ELF64_R_TYPE(chunk[i].r_info) == R_X86_64_RELATIVE)
				r = each(s, chunk[i].r_offset, (uint64_t)chunk[i].r_addend);
		offset += n * sizeof(*chunk);
		left -= n;
	}
	free(chunk);
	return r;
}

static int each_word_of(struct search *s, const struct elf_segment *g, uint64_t *chunk, visit *each)
{
	uint64_t skip = -g->vaddr & 7, at = g->vaddr + skip, offset = g->offset + skip;
	uint64_t left = g->bytes < skip ? 0 : (g->bytes - skip) / sizeof(*chunk);
	int r = 0;

	while (r == 0 && left) {
		size_t n = left < CHUNK ? (size_t)left : CHUNK;

		r = elf_file_read(s->file, offset, chunk, n * sizeof(*chunk));
		for (size_t i = 0; r == 0 && i < n; i++)
			r = each(s, at + i * sizeof(*chunk), chunk[i]);
		at += n * sizeof(*chunk);
		offset += n * sizeof(*chunk);
		left -= n;
	}
	return r;
}

/* Constants are in segments that aren't executable; before they are relocated, some can be written. */
static int each_word(struct search *s, visit *each)
{
	uint64_t *chunk = malloc(CHUNK * sizeof(*chunk)), bytes = 0;
	int r = chunk ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < s->file->segment_count; i++) {
		const struct elf_segment *g = &s->file->segments[i];

		if (g->exec)
			continue;
		bytes += g->bytes;
		r = bytes > s->file->size ? -E2BIG : each_word_of(s, g, chunk, each);
	}
	free(chunk);
	return r;
}

/* ---- places of panics in these sources, and what is around them ---- */

static const struct path *path_of(const struct search *s, uint64_t at, uint64_t value)
{
	uint64_t offset, len;

	for (size_t i = 0; i < s->paths; i++) {
		const struct path *p = &s->path[i];

		if (p->end - value >= PATH_MAX_BYTES || p->end == value)
			continue;
		if (elf_file_offset(s->file, at + 8, false, &offset) &&
		    elf_file_read(s->file, offset, &len, sizeof(len)) == 0 && value + len == p->end)
			return p;
	}
	return NULL;
}

static int note_place(struct search *s, uint64_t at, uint64_t value)
{
	const struct path *p = path_of(s, at, value);
	uint64_t offset;
	struct place *place;

	if (!p || at < SECOND_PLACE * 8 || !elf_file_offset(s->file, at - SECOND_PLACE * 8, false, &offset))
		return 0;
	if (s->places == PLACES_MAX)
		return -E2BIG;
	place = &s->place[s->places];
	*place = (struct place){ .at = at - SECOND_PLACE * 8, .is_13 = p->is_13 };
	if (elf_file_read(s->file, offset, place->word, sizeof(place->word)) == 0)
		s->places++;
	return 0;
}

static int fill_place(struct search *s, uint64_t at, uint64_t value)
{
	for (size_t i = 0; i < s->places; i++) {
		struct place *p = &s->place[i];

		if (at - p->at >= sizeof(p->word) || at % 8 != p->at % 8)
			continue;
		p->word[(at - p->at) / 8] = value;
		p->is_address[(at - p->at) / 8] = true;
	}
	return 0;
}

static int find_places(struct search *s)
{
	int r = find_relocations(s);

	if (r == 0)
		r = each_relocation(s, note_place);
	if (r == 0 && s->in_place)
		r = each_word(s, note_place);
	return r < 0 ? r : each_relocation(s, fill_place);
}

/* ---- tables ---- */

static bool is_code(const struct elf_file *file, uint64_t vaddr, uint64_t *ret_offset)
{
	return elf_file_offset(file, vaddr, true, ret_offset);
}

/* Drop may be nothing; then size, alignment, and the first method. */
static bool is_table(const struct elf_file *file, const struct place *p, size_t i, uint64_t *ret_method)
{
	uint64_t align = p->word[i + 2], drop;

	return (!p->word[i] || is_code(file, p->word[i], &drop)) &&
	       !p->is_address[i + 1] && !p->is_address[i + 2] &&
	       p->word[i + 1] && p->word[i + 1] < OBJECT_MAX_BYTES &&
	       align && align <= 64 && !(align & (align - 1)) &&
	       is_code(file, p->word[i + 3], ret_method);
}

/* encrypted_payload_len(&self, payload_len): [push %rbp; mov %rsp,%rbp]; lea BYTES(%rsi),%rax; [pop %rbp]; ret */
static bool adds_overhead(const struct elf_file *file, const struct place *p)
{
	static const unsigned char frame[] = { 0x55, 0x48, 0x89, 0xe5 }, lea[] = { 0x48, 0x8d, 0x46 };
	unsigned char code[10], *at = code;
	uint64_t offset;

	if (!is_code(file, p->word[SECOND_TABLE + 4], &offset) ||
	    elf_file_read(file, offset, code, sizeof(code)) < 0)
		return false;
	if (memcmp(code, frame, sizeof(frame)) == 0)
		at += sizeof(frame);
	if (memcmp(at, lea, sizeof(lea)) != 0 || (at == code ? at[4] != 0xc3 : at[4] != 0x5d || at[5] != 0xc3))
		return false;
	return p->is_13 ? at[3] == 17 : at[3] == 16 || at[3] == 24;
}

static bool is_ours(const struct elf_file *file, const struct place *p, uint64_t *ret_encrypt,
		    uint64_t *ret_decrypt)
{
	return p->word[0] == p->word[SECOND_PLACE] && p->word[1] == p->word[SECOND_PLACE + 1] &&
	       is_table(file, p, FIRST_TABLE, ret_decrypt) && is_table(file, p, SECOND_TABLE, ret_encrypt) &&
	       adds_overhead(file, p) && *ret_encrypt != *ret_decrypt;
}

static int take_one(uint64_t *list, size_t *count, uint64_t offset)
{
	for (size_t i = 0; i < *count; i++)
		if (list[i] == offset)
			return 0;
	if (*count == RUSTLS_TABLES_MAX)
		return -E2BIG;
	list[(*count)++] = offset;
	return 0;
}

static int find_tables(const struct search *s, struct rustls_tables *t)
{
	bool has_13 = false;

	for (size_t i = 0; i < s->places; i++) {
		uint64_t encrypt, decrypt;
		int r;

		if (!is_ours(s->file, &s->place[i], &encrypt, &decrypt))
			continue;
		has_13 |= s->place[i].is_13;
		r = take_one(t->encrypt, &t->encrypts, encrypt);
		if (r == 0)
			r = take_one(t->decrypt, &t->decrypts, decrypt);
		if (r < 0)
			return r;
	}
	return has_13 ? 0 : -ENOENT;
}

/* ---- what is decrypted is there when it returns ---- */

static bool take_returns(const struct elf_file *file, uint64_t offset, struct rustls_tables *t)
{
	unsigned char code[ELF_RETURNS_BYTES];
	uint64_t left = file->size - offset;
	size_t len = left < sizeof(code) ? (size_t)left : sizeof(code);
	uint32_t at[ELF_RETURNS_MAX];
	int n;

	if (offset >= file->size || elf_file_read(file, offset, code, len) < 0)
		return false;
	n = elf_returns(code, len, at);
	for (int i = 0; i < n; i++)
		t->returns[t->return_count++] = offset + at[i];
	return n > 0;
}

static void find_returns(const struct elf_file *file, struct rustls_tables *t)
{
	for (size_t i = 0; i < t->decrypts; i++) {
		if (take_returns(file, t->decrypt[i], t))
			continue;
		t->decrypts = 0;
		t->return_count = 0;
		return;
	}
}

int elf_rustls_tables(const struct elf_file *file, unsigned int patch_max, struct rustls_tables *ret_tables)
{
	struct search s = { .file = file, .place = calloc(PLACES_MAX, sizeof(struct place)) };
	struct rustls_tables t = { 0 };
	int r = s.place ? 0 : -ENOMEM;

	if (r == 0)
		r = find_paths(&s, patch_max);
	if (r == 0 && s.paths)
		r = find_places(&s);
	if (r == 0)
		r = find_tables(&s, &t);
	free(s.place);
	if (r < 0)
		return r;
	find_returns(file, &t);
	*ret_tables = t;
	return 0;
}
