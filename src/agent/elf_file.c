/* SPDX-License-Identifier: Apache-2.0 */
/* libelf keeps the headers it has read, so what was checked here is what it goes by afterwards. */
#include "agent/elf_file.h"

#include "agent/elf_prologue.h"

#include <errno.h>
#include <libelf.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define FILE_MAX_BYTES (2ULL << 30)
#define SYMBOLS_MAX (4U << 20)	/* in one table */
#define WINDOW_BYTES (64U << 10)
#define FOUND_MAX 16384		/* names that match: a few dozens in files that are what they seem */
#define SECTIONS_KEEP 4096	/* libelf has some 200 bytes for each */
#define NOTES_MAX_BYTES 4096

#if defined(__x86_64__)
#define HOST_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define HOST_MACHINE EM_AARCH64
#else
#error "which e_machine is this?"
#endif

static int check_ehdr(const Elf64_Ehdr *e)
{
	const unsigned char *id = e->e_ident;

	/* Programs of another word size or machine run here too, but have no probes of ours. */
	if (id[EI_CLASS] != ELFCLASS64 || id[EI_DATA] != ELFDATA2LSB ||
	    e->e_machine != HOST_MACHINE)
		return -ENOEXEC;
	if (e->e_phnum > ELF_SEGMENTS_MAX || e->e_phentsize != sizeof(Elf64_Phdr))
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
static int open_elf(struct elf_file *f)
{
	struct stat st;
	GElf_Ehdr again;
	ssize_t n;
	int r;

	if (fstat(f->fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > FILE_MAX_BYTES)
		return -EBADMSG;
	f->size = (uint64_t)st.st_size;
	n = TEMP_FAILURE_RETRY(pread(f->fd, &f->ehdr, sizeof(f->ehdr), 0));
	if (n < 0)
		return -errno;
	/* .NET and Wine map files of another kind executable, Java its class data. */
	if (n < SELFMAG || memcmp(f->ehdr.e_ident, ELFMAG, SELFMAG) != 0)
		return -ENOEXEC;
	if (n != sizeof(f->ehdr))
		return -EBADMSG;
	r = check_ehdr(&f->ehdr);
	if (r < 0)
		return r;
	if (elf_version(EV_CURRENT) == EV_NONE)
		return -ENOSYS;
	f->elf = elf_begin(f->fd, ELF_C_READ, NULL);
	if (!gelf_getehdr(f->elf, &again) || memcmp(&again, &f->ehdr, sizeof(again)) != 0)
		return -EBADMSG;
	return 0;
}

static int read_segments(struct elf_file *f)
{
	for (int i = 0; i < f->ehdr.e_phnum; i++) {
		GElf_Phdr ph;

		if (!gelf_getphdr(f->elf, i, &ph))
			return -EBADMSG;
		if (ph.p_type == PT_GNU_EH_FRAME) {
			f->eh_frame_hdr = ph.p_vaddr;
			f->eh_frame_hdr_bytes = ph.p_filesz;
		}
		if (ph.p_type == PT_DYNAMIC) {
			f->dynamic = ph.p_offset;
			f->dynamic_bytes = ph.p_filesz;
		}
		if (ph.p_type != PT_LOAD)
			continue;
		if (ph.p_offset > f->size || ph.p_filesz > f->size - ph.p_offset)
			return -EBADMSG;
		f->segments[f->segment_count++] = (struct elf_segment){
			ph.p_vaddr, ph.p_offset, ph.p_filesz, ph.p_flags & PF_X, ph.p_flags & PF_W
		};
	}
	return 0;
}

int elf_file_open(struct elf_file *file, int fd)
{
	int r;

	memset(file, 0, sizeof(*file));
	file->fd = fd;
	r = open_elf(file);
	return r < 0 ? r : read_segments(file);
}

void elf_file_close(struct elf_file *file)
{
	elf_end(file->elf);
	file->elf = NULL;
	/* Or malloc keeps the room. */
	if (file->ehdr.e_shnum > SECTIONS_KEEP)
		malloc_trim(0);
}

bool elf_file_offset(const struct elf_file *file, uint64_t vaddr, bool exec, uint64_t *ret_offset)
{
	for (size_t i = 0; i < file->segment_count; i++) {
		const struct elf_segment *g = &file->segments[i];

		if (vaddr >= g->vaddr && vaddr - g->vaddr < g->bytes && (g->exec || !exec)) {
			*ret_offset = g->offset + (vaddr - g->vaddr);
			return true;
		}
	}
	return false;
}

int elf_file_read(const struct elf_file *file, uint64_t offset, void *buf, size_t len)
{
	char *to = buf;

	if (offset > file->size || len > file->size - offset)
		return -ERANGE;
	while (len) {
		ssize_t n = TEMP_FAILURE_RETRY(pread(file->fd, to, len, (off_t)offset));

		if (n <= 0)
			return n < 0 ? -errno : -ERANGE;
		to += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* Is the name at this place of the file, NUL and all? */
static bool is_named(const struct elf_file *file, uint64_t at, const char *name)
{
	char found[64];
	size_t len = strlen(name) + 1;

	return len <= sizeof(found) && elf_file_read(file, at, found, len) == 0 &&
	       memcmp(found, name, len) == 0;
}

int elf_file_section(const struct elf_file *file, const char *name, GElf_Shdr *ret_header)
{
	GElf_Shdr names, h;

	if (file->ehdr.e_shoff == 0 || file->ehdr.e_shstrndx == SHN_UNDEF)
		return -ENOENT;
	if (!gelf_getshdr(elf_getscn(file->elf, file->ehdr.e_shstrndx), &names))
		return -EBADMSG;
	for (size_t i = 1; i < file->ehdr.e_shnum; i++) {
		if (!gelf_getshdr(elf_getscn(file->elf, i), &h))
			return -EBADMSG;
		if (h.sh_name >= names.sh_size || !is_named(file, names.sh_offset + h.sh_name, name))
			continue;
		if (h.sh_offset > file->size || h.sh_size > file->size - h.sh_offset)
			return -EBADMSG;
		*ret_header = h;
		return 0;
	}
	return -ENOENT;
}

static bool is_within(const struct elf_file *file, const GElf_Shdr *h)
{
	return h->sh_offset <= file->size && h->sh_size <= file->size - h->sh_offset;
}

int elf_file_records(const struct elf_file *file, const GElf_Shdr *header, size_t record,
		     int (*each)(void *arg, const void *record), void *arg)
{
	_cleanup_free_ char *window = NULL;
	uint64_t left = header->sh_size / record * record;

	if (!is_within(file, header) || header->sh_size > ELF_TABLES_MAX_BYTES)
		return -EBADMSG;
	window = malloc(WINDOW_BYTES);
	if (!window)
		return -ENOMEM;
	for (uint64_t at = 0, step = WINDOW_BYTES / record * record; left; at += step, left -= step) {
		int r;

		if (step > left)
			step = left;
		if (elf_file_read(file, header->sh_offset + at, window, step) < 0)
			return -EBADMSG;
		for (size_t i = 0; i < step; i += record) {
			r = each(arg, window + i);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* The first GNU note of this type. NULL: there is none, or the notes are not what they say. */
static const void *find_note(const void *notes, size_t len, uint32_t type, size_t *ret_len)
{
	const char *p = notes;

	while (len >= sizeof(Elf64_Nhdr)) {
		size_t name, desc;
		Elf64_Nhdr h;

		memcpy(&h, p, sizeof(h));
		p += sizeof(h);
		len -= sizeof(h);
		name = ((size_t)h.n_namesz + 3) & ~(size_t)3;
		desc = ((size_t)h.n_descsz + 3) & ~(size_t)3;
		if (name > len || desc > len - name)
			return NULL;
		if (h.n_type == type && h.n_namesz == sizeof("GNU") && memcmp(p, "GNU", sizeof("GNU")) == 0) {
			*ret_len = h.n_descsz;
			return p + name;
		}
		p += name + desc;
		len -= name + desc;
	}
	return NULL;
}

void elf_note_build_id(const void *notes, size_t len, unsigned char ret_id[static ELF_BUILD_ID_MAX])
{
	size_t id_len = 0;
	const void *id = find_note(notes, len, NT_GNU_BUILD_ID, &id_len);

	if (id)
		memcpy(ret_id, id, id_len < ELF_BUILD_ID_MAX ? id_len : ELF_BUILD_ID_MAX);
}

/* The notes of a segment; 0: it has none. -EBADMSG: they are longer than these may be, or not in the file. */
static int read_notes(const struct elf_file *file, int segment, char notes[static NOTES_MAX_BYTES], size_t *ret_len)
{
	GElf_Phdr ph;

	*ret_len = 0;
	if (!gelf_getphdr(file->elf, segment, &ph) || ph.p_type != PT_NOTE)
		return 0;
	if (ph.p_filesz > NOTES_MAX_BYTES || elf_file_read(file, ph.p_offset, notes, ph.p_filesz) < 0)
		return -EBADMSG;
	*ret_len = ph.p_filesz;
	return 0;
}

void elf_file_build_id(const struct elf_file *file, unsigned char ret_id[static ELF_BUILD_ID_MAX])
{
	char notes[NOTES_MAX_BYTES];
	size_t len;

	for (int i = 0; i < file->ehdr.e_phnum; i++)
		if (read_notes(file, i, notes, &len) == 0)
			elf_note_build_id(notes, len, ret_id);
}

/* A list of properties: type, length and that many bytes, filled up to eight. */
static bool has_shadow_stack(const char *p, size_t len)
{
	while (len >= 8) {
		uint32_t head[2], features = 0;
		size_t bytes;

		memcpy(head, p, sizeof(head));
		bytes = ((size_t)head[1] + 7) & ~(size_t)7;
		if (bytes > len - sizeof(head))
			return false;
		if (head[0] == GNU_PROPERTY_X86_FEATURE_1_AND && head[1] >= sizeof(features))
			memcpy(&features, p + sizeof(head), sizeof(features));
		if (features & GNU_PROPERTY_X86_FEATURE_1_SHSTK)
			return true;
		p += sizeof(head) + bytes;
		len -= sizeof(head) + bytes;
	}
	return false;
}

bool elf_file_shadow_stack(const struct elf_file *file)
{
	char notes[NOTES_MAX_BYTES];
	const char *properties;
	size_t len, bytes = 0;

	for (int i = 0; i < file->ehdr.e_phnum; i++) {
		if (read_notes(file, i, notes, &len) < 0)
			return true;
		properties = find_note(notes, len, NT_GNU_PROPERTY_TYPE_0, &bytes);
		if (properties && has_shadow_stack(properties, bytes))
			return true;
	}
	return false;
}

enum tt_blind elf_file_site(const struct elf_file *file, uint64_t offset, uint64_t *ret_site)
{
	unsigned char bytes[ELF_PROLOGUE_BYTES];
	size_t len = sizeof(bytes), at = 0;
	enum tt_blind blind;

	if (offset >= file->size)
		return TT_BLIND_unexpected_bytes;
	if (len > file->size - offset)
		len = file->size - offset;
	if (elf_file_read(file, offset, bytes, len) < 0)
		return TT_BLIND_unexpected_bytes;
#if defined(__aarch64__)
	if (offset % 4)
		return TT_BLIND_unexpected_bytes;
#endif
	blind = elf_prologue(bytes, len, &at);
	*ret_site = offset + at;
	return blind;
}

bool elf_file_can_probe(const struct elf_file *file, uint64_t offset)
{
	uint64_t site;

	return elf_file_site(file, offset, &site) == TT_BLIND_NONE;
}

/* ---- symbols by their names ---- */

struct found {
	uint32_t at, which;	/* in the section of names */
};

struct search {
	const struct elf_names *names;
	void *arg;
	struct found *found;
	size_t count, room;
};

static unsigned int pair(const char *two)
{
	return (unsigned int)(unsigned char)two[0] << 8 | (unsigned char)two[1];
}

void elf_names_begin(struct elf_names *names, const char *two)
{
	names->begin[pair(two) / 8] |= (uint8_t)(1U << pair(two) % 8);
}

static int note(struct search *s, uint64_t at, uint32_t which)
{
	if (s->count == s->room) {
		size_t room = s->room ? 2 * s->room : 64;
		struct found *more = room > FOUND_MAX ? NULL : reallocarray(s->found, room, sizeof(*more));

		if (!more)
			return room > FOUND_MAX ? -EBADMSG : -ENOMEM;
		s->found = more;
		s->room = room;
	}
	s->found[s->count++] = (struct found){ (uint32_t)at, which };
	return 0;
}

/* In a part of the names, what begins before `end`. */
static int look_at_part(struct search *s, uint64_t at, const char *part, size_t end, size_t len)
{
	for (size_t i = 0; i < end && len - i >= 2; i++) {
		unsigned int two = pair(part + i);
		uint32_t which;
		int r;

		if (!(s->names->begin[two / 8] >> two % 8 & 1))
			continue;
		which = s->names->match(part + i, len - i < ELF_NAME_MAX ? len - i : ELF_NAME_MAX, s->arg);
		r = which ? note(s, at + i, which) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

/* Windows overlap by a name, so that each is whole where it begins. In the order of their places. */
static int find_names(const struct elf_file *file, const GElf_Shdr *header, struct search *s)
{
	_cleanup_free_ char *window = malloc(WINDOW_BYTES + ELF_NAME_MAX);
	uint64_t size = header->sh_size;

	if (!window)
		return -ENOMEM;
	for (uint64_t at = 0; at < size; at += WINDOW_BYTES) {
		size_t end = size - at < WINDOW_BYTES ? size - at : WINDOW_BYTES;
		size_t len = size - at < WINDOW_BYTES + ELF_NAME_MAX ? size - at : WINDOW_BYTES + ELF_NAME_MAX;
		int r;

		if (elf_file_read(file, header->sh_offset + at, window, len) < 0)
			return -EBADMSG;
		r = look_at_part(s, at, window, end, len);
		if (r < 0)
			return r;
	}
	return 0;
}

static int by_place(const void *a, const void *b)
{
	uint32_t x = ((const struct found *)a)->at, y = ((const struct found *)b)->at;

	return x < y ? -1 : x > y;
}

static int look_at_symbol(void *arg, const void *record)
{
	const struct search *s = arg;
	const struct found *found;
	GElf_Sym symbol;

	memcpy(&symbol, record, sizeof(symbol));
	found = bsearch(&(struct found){ symbol.st_name, 0 }, s->found, s->count, sizeof(*found), by_place);
	if (found)
		s->names->found(&symbol, found->which, s->arg);
	return 0;
}
_Static_assert(sizeof(GElf_Sym) == sizeof(Elf64_Sym), "look_at_symbol() copies one into the other");

int elf_file_symbols(const struct elf_file *file, const GElf_Shdr *header, const struct elf_names *names, void *arg)
{
	struct search s = { .names = names, .arg = arg };
	GElf_Shdr texts;
	int r;

	if (!gelf_getshdr(elf_getscn(file->elf, header->sh_link), &texts) || texts.sh_type != SHT_STRTAB ||
	    header->sh_size / sizeof(Elf64_Sym) > SYMBOLS_MAX || !is_within(file, header) || !is_within(file, &texts) ||
	    header->sh_size > ELF_TABLES_MAX_BYTES || texts.sh_size > ELF_TABLES_MAX_BYTES - header->sh_size)
		return -EBADMSG;
	r = find_names(file, &texts, &s);
	if (r == 0 && s.count)
		r = elf_file_records(file, header, sizeof(Elf64_Sym), look_at_symbol, &s);
	free(s.found);
	return r;
}
