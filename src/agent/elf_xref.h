/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions of files without symbols, found by the strings that their code refers to: the names in a
 * library's error calls stay when everything else is stripped.
 *
 *	struct elf_xref *x;
 *	static const struct elf_xref_string strings[] = { { "crypto/aead.c", ELF_XREF_TAIL } };
 *
 *	r = elf_xref_new(file, &x);
 *	r = elf_xref_find(x, strings, 1);	where strings[] stand; look at x->place_count
 *	r = elf_xref_refer(x);			which instructions load one's address: x->refs, by address
 *	r = elf_xref_functions(x);		the function of each
 *	n = elf_xref_values(x, &x->refs[i], ELF_XREF_EDX, 26, 26, values, 8);
 *	elf_xref_free(x);
 *
 * All of them return 0 or -errno: -E2BIG when the file has more of something than is kept, or makes
 * more work than a real one; then nothing is known. The file is not trusted: it is read in windows,
 * a bounded number of times, and what is found in it is a guess until its caller has made sure.
 * x86-64 only: elsewhere no instruction is ever found.
 */
#ifndef TT_AGENT_ELF_XREF_H
#define TT_AGENT_ELF_XREF_H

#include "agent/elf_file.h"

#define ELF_XREF_STRINGS_MAX 16
#define ELF_XREF_PLACES_MAX 64
#define ELF_XREF_PARTS_MAX 8
#define ELF_XREF_REFS_MAX 4096

enum elf_xref_kind {
	ELF_XREF_WHOLE,		/* a NUL follows; references are to its first byte (whatever precedes:
				 * linkers let a string be the end of a longer one) */
	ELF_XREF_TAIL,		/* a NUL follows; it is the end of a text, and references are to any byte
				 * of this up to where the string begins: a path that begins otherwise in
				 * each build */
	ELF_XREF_PART,		/* anything may follow: a mark, or Rust's strings. Of these only the first
				 * ELF_XREF_PARTS_MAX places are kept, and the rest is no error */
};

struct elf_xref_string {
	const char *text;	/* 4 to 63 characters */
	enum elf_xref_kind kind;
};

struct elf_xref_place {
	uint64_t from, to;	/* addresses that a reference may have, both included; to: the string's */
	uint64_t offset;	/* of the string in the file */
	unsigned int string;	/* its number in strings[] */
};

/* Numbers of registers in x86's instructions. */
enum elf_xref_register {
	ELF_XREF_EAX, ELF_XREF_ECX, ELF_XREF_EDX, ELF_XREF_EBX, ELF_XREF_ESP, ELF_XREF_EBP, ELF_XREF_ESI,
	ELF_XREF_EDI, ELF_XREF_R8D, ELF_XREF_R9D,
};

struct elf_ref {
	uint64_t at;		/* the instruction's address */
	uint64_t function;	/* where its function begins; 0 = not known */
	uint64_t end;		/* where it ends, or the next one begins */
	bool by_calls;		/* known from calls, not from a table */
	unsigned int string;
	unsigned int reg;	/* that it loads */
};

struct elf_xref {
	const struct elf_file *file;
	unsigned char *window;
	struct elf_xref_place place[ELF_XREF_PLACES_MAX];
	size_t place_count;
	struct elf_ref *refs;	/* in the order of their addresses */
	size_t ref_count;
};

int elf_xref_new(const struct elf_file *file, struct elf_xref **ret_xref);
void elf_xref_free(struct elf_xref *xref);

/* In all segments that can't be written. Each call begins anew, and forgets the references too. */
int elf_xref_find(struct elf_xref *xref, const struct elf_xref_string *strings, size_t count);

/* In all executable segments: lea DISP(%rip), REG, and in programs at a fixed address mov $ADDR, REG. */
int elf_xref_refer(struct elf_xref *xref);

/*
 * From the sorted table in .eh_frame_hdr, which says where functions end too; where it has none for a
 * reference, from the calls in the file: a function is then what lies between two 16-byte-aligned
 * places that are called and stand after a return, a jump or padding, or that stand after traps.
 */
int elf_xref_functions(struct elf_xref *xref);

/*
 * Is this where a function begins, as far as its bytes and those before it tell? Ask before a place is
 * probed: a table has rows for parts of functions too (.cold), and a loop may be aligned as they are.
 */
bool elf_xref_is_entry(const struct elf_xref *xref, uint64_t function);

/*
 * What is loaded into a register by mov $VALUE, REG near the reference, inside its function: the nearest
 * first, at most `max`. Returns how many.
 */
size_t elf_xref_values(const struct elf_xref *xref, const struct elf_ref *ref,
		       enum elf_xref_register reg, uint64_t before, uint64_t after, uint32_t *values,
		       size_t max);

#endif
