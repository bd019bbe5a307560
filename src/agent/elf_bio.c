/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/elf_bio.h"

#include <errno.h>
#include <libelf.h>
#include <string.h>

/* struct bio_method_st (crypto/bio/bio_local.h, 1.1.1 and 3.x), in words of the machine. */
enum { TYPE, NAME, WRITE, WRITE_OLD, READ, READ_OLD, PUTS, GETS, CTRL, CREATE, DESTROY, WORDS };
#define BIO_TYPE_SSL 0x0207	/* openssl/bio.h */
#define WORD sizeof(uint64_t)

struct table {
	uint64_t vaddr;
	uint64_t word[WORDS];
};

#if defined(__x86_64__)
static size_t skip(const unsigned char *code, size_t at, const char *bytes, size_t len)
{
	return memcmp(code + at, bytes, len) == 0 ? at + len : at;
}

/* "return &table;" and nothing else: lea or mov, with or without the marks that compilers put around. */
static int read_function(const struct elf_file *file, uint64_t function, uint64_t *ret_table)
{
	unsigned char code[24];
	uint64_t offset;
	size_t at = 0;
	int32_t value;

	if (!elf_file_offset(file, function, true, &offset) ||
	    elf_file_read(file, offset, code, sizeof(code)) < 0)
		return -ENOENT;
	at = skip(code, at, "\xf3\x0f\x1e\xfa", 4);	/* endbr64 */
	at = skip(code, at, "\x55\x48\x89\xe5", 4);	/* push %rbp; mov %rsp,%rbp */
	if (memcmp(code + at, "\x48\x8d\x05", 3) == 0) {	/* lea value(%rip),%rax */
		memcpy(&value, code + at + 3, sizeof(value));
		at += 7;
		*ret_table = function + at + (uint64_t)value;
	} else if (code[at] == 0xb8) {			/* mov $value,%eax */
		memcpy(&value, code + at + 1, sizeof(value));
		at += 5;
		*ret_table = (uint32_t)value;
	} else {
		return -ENOENT;
	}
	at = skip(code, at, "\x5d", 1);			/* pop %rbp */
	return code[at] == 0xc3 ? 0 : -ENOENT;		/* ret */
}
#define RELATIVE R_X86_64_RELATIVE
#else
static int read_function(const struct elf_file *file, uint64_t function, uint64_t *ret_table)
{
	return -ENOENT;
}
#define RELATIVE R_AARCH64_RELATIVE
#endif

static int take_relocation(void *arg, const void *record)
{
	struct table *t = arg;
	uint64_t at;
	GElf_Rela r;

	memcpy(&r, record, sizeof(r));
	at = r.r_offset - t->vaddr;
	if (GELF_R_TYPE(r.r_info) == RELATIVE && at < sizeof(t->word) && at % WORD == 0)
		t->word[at / WORD] = (uint64_t)r.r_addend;
	return 0;
}
_Static_assert(sizeof(GElf_Rela) == sizeof(Elf64_Rela), "take_relocation() copies one into the other");

/* The pointers of a file that can lie at any address stand in its relocations. */
static int relocate(const struct elf_file *file, struct table *t)
{
	for (size_t i = 0; i < file->ehdr.e_shnum; i++) {
		GElf_Shdr h;
		int r;

		if (!gelf_getshdr(elf_getscn(file->elf, i), &h))
			return -EBADMSG;
		if (h.sh_type != SHT_RELA || !(h.sh_flags & SHF_ALLOC))
			continue;
		r = elf_file_records(file, &h, sizeof(Elf64_Rela), take_relocation, t);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_table(struct elf_file *file, uint64_t vaddr, struct table *t)
{
	uint64_t offset;

	t->vaddr = vaddr;
	if (!elf_file_offset(file, vaddr, false, &offset) ||
	    elf_file_read(file, offset, t->word, sizeof(t->word)) < 0)
		return -ENOENT;
	return relocate(file, t);
}

static void take(struct elf_scan *scan, const struct elf_file *file, uint64_t vaddr, enum tt_hook hook)
{
	uint64_t offset;

	if (elf_file_offset(file, vaddr, true, &offset))
		elf_scan_take(scan, file, offset, hook);
}

int elf_bio(struct elf_file *file, struct elf_scan *scan, uint64_t function)
{
	uint64_t vaddr;
	struct table t;
	int r;

	r = read_function(file, function, &vaddr);
	if (r == 0)
		r = read_table(file, vaddr, &t);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	/* The type is an int. Before 1.1.1 the table had no functions for old programs. */
	if ((uint32_t)t.word[TYPE] != BIO_TYPE_SSL || t.word[WRITE_OLD] || t.word[READ_OLD])
		return 0;
	take(scan, file, t.word[WRITE], TT_HOOK_openssl_write_ex);
	take(scan, file, t.word[READ], TT_HOOK_openssl_read_ex);
	take(scan, file, t.word[DESTROY], TT_HOOK_openssl_end);
	return 0;
}
