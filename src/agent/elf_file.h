/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ELF file that may come from a hostile container and may change while it is read. libelf parses
 * it, but allocates what the file's headers ask for, so each size is checked before libelf is asked
 * for the data; the file is never mapped.
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
#define ELF_TABLES_MAX_BYTES (192ULL << 20)	/* of sections read whole: all in memory at once */
#define ELF_TABLES_MAX 16

struct elf_segment {
	uint64_t vaddr, offset, bytes;	/* bytes: in the file */
	bool exec, write;
};

struct elf_file {
	Elf *elf;
	int fd;
	uint64_t size;
	uint64_t table_bytes;		/* that libelf was asked to read */
	size_t table[ELF_TABLES_MAX];	/* the sections they are in, by number */
	size_t table_count;
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
 * A section whole, as it stands in the file: one that says it is compressed stays so. It belongs to
 * the file. NULL: the file is not what it says, or more than this program wants to hold.
 */
Elf_Data *elf_file_table(struct elf_file *file, Elf_Scn *section, const GElf_Shdr *header);

/* The GNU build id, cut to this length; unchanged if there is none. Notes as they lie in a file or in
 * memory. */
void elf_file_build_id(const struct elf_file *file, unsigned char ret_id[static ELF_BUILD_ID_MAX]);
void elf_note_build_id(const void *notes, size_t len, unsigned char ret_id[static ELF_BUILD_ID_MAX]);

/* Why the instruction at this offset can't carry a probe, or where it goes: agent/elf_prologue.h. */
enum tt_blind elf_file_site(const struct elf_file *file, uint64_t offset, uint64_t *ret_site);
bool elf_file_can_probe(const struct elf_file *file, uint64_t offset);

/*
 * Calls each() for the symbols of a table, with the section that their names are in. sh_entsize is of no
 * interest: libelf knows how long a symbol is. -EBADMSG: the file is not what it says, or has more
 * symbols or bytes of them than this program wants to hold.
 */
int elf_file_symbols(struct elf_file *file, Elf_Scn *section, const GElf_Shdr *header,
		     void (*each)(const GElf_Sym *symbol, const Elf_Data *names, void *arg), void *arg);

#endif
