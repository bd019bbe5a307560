/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ELF file that may come from a hostile container and may change while it is read. libelf parses
 * its headers, and allocates what they ask for, so they are checked first; all else is read through windows
 * of a few pages. The file is never mapped.
 */
#ifndef TT_AGENT_ELF_FILE_H
#define TT_AGENT_ELF_FILE_H

#include <gelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tokentrail/ipc.h>

#define ELF_SEGMENTS_MAX 256
#define ELF_BUILD_ID_MAX 20
#define ELF_TABLES_MAX_BYTES (192ULL << 20)	/* of a table with its names: more is too much work */
#define ELF_NAME_MAX 512	/* bytes that a name which is looked for may have, with what ends it */

struct elf_segment {
	uint64_t vaddr, offset, bytes;	/* bytes: in the file */
	bool exec, write;
};

struct elf_file {
	Elf *elf;
	int fd;
	uint64_t size;
	Elf64_Ehdr ehdr;
	struct elf_segment segments[ELF_SEGMENTS_MAX];	/* PT_LOADs */
	size_t segment_count;
	uint64_t eh_frame_hdr;		/* PT_GNU_EH_FRAME's address; 0 = none */
	uint64_t eh_frame_hdr_bytes;
	uint64_t dynamic, dynamic_bytes;	/* PT_DYNAMIC, in the file; 0 bytes = none */
};

/*
 * Reads and checks the headers; fd stays the caller's, its position is neither used nor moved.
 * -ENOEXEC: no ELF file, or of another word size or machine; -EBADMSG: one that we can't read.
 * elf_file_close() is needed in any case.
 */
int elf_file_open(struct elf_file *file, int fd);
void elf_file_close(struct elf_file *file);

/* Where an address lies in the file; false: in no segment, or not in an executable one. */
bool elf_file_offset(const struct elf_file *file, uint64_t vaddr, bool exec, uint64_t *ret_offset);

/* Bytes of the file itself. -ERANGE: not all of them are there. */
int elf_file_read(const struct elf_file *file, uint64_t offset, void *buf, size_t len);

/* The first section of this name. -ENOENT: none (or the file has no names); -EBADMSG. */
int elf_file_section(const struct elf_file *file, const char *name, GElf_Shdr *ret_header);

/*
 * Calls each() for the records of `record` bytes that a section consists of, as they stand in the file, in order. A
 * negative result of each() ends it. -EBADMSG: the section is not within the file, or has more bytes than
 * this program wants to look at.
 */
int elf_file_records(const struct elf_file *file, const GElf_Shdr *header, size_t record,
		     int (*each)(void *arg, const void *record), void *arg);

/* The GNU build id, cut to this length; unchanged if there is none. Notes as they lie in a file or in
 * memory. */
void elf_file_build_id(const struct elf_file *file, unsigned char ret_id[static ELF_BUILD_ID_MAX]);
void elf_note_build_id(const void *notes, size_t len, unsigned char ret_id[static ELF_BUILD_ID_MAX]);

/* Does it say that it can run with a shadow stack (GNU_PROPERTY_X86_FEATURE_1_SHSTK)? Only programs all of whose files say
 * so get one. True too where nobody can tell. */
bool elf_file_shadow_stack(const struct elf_file *file);

/* Why the instruction at this offset can't carry a probe, or where it goes: agent/elf_prologue.h. */
enum tt_blind elf_file_site(const struct elf_file *file, uint64_t offset, uint64_t *ret_site);
bool elf_file_can_probe(const struct elf_file *file, uint64_t offset);

/* What is looked for in a table of symbols. */
struct elf_names {
	uint8_t begin[8192];	/* two bytes that a name begins with: bits, set by elf_names_begin() */
	/* Does a name begin here? `left` bytes may be read: ELF_NAME_MAX, or up to the end of all names. It need not be
	 * the beginning of a string: one may be the end of another. Not 0 = which one it is. */
	uint32_t (*match)(const char *name, size_t left, void *arg);
	/* Each symbol that has it. */
	void (*found)(const GElf_Sym *symbol, uint32_t which, void *arg);
};

void elf_names_begin(struct elf_names *names, const char *two);

/*
 * Looks for the names first, and at the symbols only if there are any. sh_entsize is of no
 * interest: the file's class says how long a symbol is. -EBADMSG: the file is not what it says, or has more
 * symbols, bytes or matching names than this program wants to look at.
 */
int elf_file_symbols(const struct elf_file *file, const GElf_Shdr *header, const struct elf_names *names, void *arg);

#endif
