/* SPDX-License-Identifier: Apache-2.0 */
/* Opcode maps: Intel's Software Developer's Manual, volume 2, appendix A. */
#include "agent/elf_prologue.h"

#include <stdbool.h>
#include <string.h>

/* What follows an opcode. Zero: not taken for the beginning of a function. */
enum {
	NONE = 1,		/* nothing */
	IMM8,
	IMM16,
	IMM32,			/* two bytes with an operand-size prefix */
	FULL,			/* so too, and eight with REX.W: mov $imm64 */
	REL32,			/* four whatever the prefixes */
	RM,			/* ModRM, SIB, displacement */
	RM8,			/* these and an immediate of a byte */
	RM32,			/* these and one of four (two) */
	TEST8,			/* as RM8 if ModRM says `test`, else as RM */
	TEST32,
};

#define ALU(base)                                                                                  \
	[base] = RM, [base + 1] = RM, [base + 2] = RM, [base + 3] = RM, [base + 4] = IMM8,         \
	[base + 5] = IMM32

static const unsigned char one_byte[256] = {
	ALU(0x00), ALU(0x08), ALU(0x10), ALU(0x18), ALU(0x20), ALU(0x28), ALU(0x30), ALU(0x38),
	[0x50 ... 0x5f] = NONE,			/* push, pop */
	[0x63] = RM,				/* movslq */
	[0x68] = IMM32, [0x69] = RM32, [0x6a] = IMM8, [0x6b] = RM8,
	[0x70 ... 0x7f] = IMM8,			/* jcc */
	[0x80] = RM8, [0x81] = RM32, [0x83] = RM8,
	[0x84 ... 0x8b] = RM,			/* test, xchg, mov */
	[0x8d] = RM,				/* lea */
	[0x90 ... 0x99] = NONE,			/* nop, xchg, cltq, cqto */
	[0xa4] = NONE, [0xa5] = NONE, [0xa8] = IMM8, [0xa9] = IMM32, [0xaa] = NONE, [0xab] = NONE,
	[0xb0 ... 0xb7] = IMM8, [0xb8 ... 0xbf] = FULL,
	[0xc0] = RM8, [0xc1] = RM8,		/* shifts */
	[0xc2] = IMM16, [0xc3] = NONE,		/* ret */
	[0xc6] = RM8, [0xc7] = RM32, [0xc9] = NONE,
	[0xd0 ... 0xd3] = RM,
	[0xe8] = REL32, [0xe9] = REL32, [0xeb] = IMM8,
	[0xf6] = TEST8, [0xf7] = TEST32, [0xfe] = RM, [0xff] = RM,
};

static const unsigned char two_byte[256] = {	/* after 0f */
	[0x10 ... 0x17] = RM,			/* SSE moves */
	[0x18 ... 0x1f] = RM,			/* endbr64, long nops */
	[0x28 ... 0x2f] = RM,
	[0x40 ... 0x4f] = RM,			/* cmov */
	[0x50 ... 0x6f] = RM,
	[0x70 ... 0x73] = RM8, [0x74 ... 0x76] = RM, [0x7c ... 0x7f] = RM,
	[0x80 ... 0x8f] = REL32,		/* jcc */
	[0x90 ... 0x9f] = RM,			/* setcc */
	[0xa3] = RM, [0xa4] = RM8, [0xa5] = RM, [0xab] = RM, [0xac] = RM8, [0xad] = RM, [0xaf] = RM,
	[0xb0] = RM, [0xb1] = RM, [0xb3] = RM, [0xb6] = RM, [0xb7] = RM, [0xba] = RM8,
	[0xbb ... 0xbf] = RM,
	[0xc0] = RM, [0xc1] = RM, [0xc2] = RM8, [0xc6] = RM8, [0xc8 ... 0xcf] = NONE,
	[0xd0 ... 0xfe] = RM,
};

struct instruction {
	const unsigned char *bytes;
	size_t len, at;
	bool word;		/* operand-size prefix */
	unsigned char rex;
	bool bad_prefix;
	size_t op, modrm, immediate;	/* where they are */
};

static bool is_bad_prefix(unsigned char byte)
{
	return byte == 0x26 || byte == 0x2e || byte == 0x36 || byte == 0x3e || byte == 0xf0;
}

static void take_prefixes(struct instruction *i)
{
	for (; i->at < i->len; i->at++) {
		unsigned char byte = i->bytes[i->at];

		if (is_bad_prefix(byte))
			i->bad_prefix = true;
		else if (byte == 0x66)
			i->word = true;
		else if (byte != 0xf2 && byte != 0xf3 && byte != 0x64 && byte != 0x65 && byte != 0x67)
			break;
	}
	if (i->at < i->len && (i->bytes[i->at] & 0xf0) == 0x40)
		i->rex = i->bytes[i->at++];
}

/* ModRM and what it says follows it. 0: cut off. */
static size_t modrm_bytes(const struct instruction *i)
{
	unsigned char modrm, mod, rm;
	size_t n = 1;

	if (i->at >= i->len)
		return 0;
	modrm = i->bytes[i->at];
	mod = modrm >> 6;
	rm = modrm & 7;
	if (mod == 3)
		return n;
	if (rm == 4) {
		if (i->at + 1 >= i->len)
			return 0;
		n++;
		if (mod == 0 && (i->bytes[i->at + 1] & 7) == 5)
			n += 4;
	} else if (mod == 0 && rm == 5) {
		n += 4;
	}
	return n + (mod == 1 ? 1 : mod == 2 ? 4 : 0);
}

static size_t immediate_bytes(const struct instruction *i, unsigned char kind)
{
	bool is_test = i->at < i->len && (i->bytes[i->at] >> 3 & 7) < 2;

	switch (kind) {
	case IMM8:
	case RM8:
		return 1;
	case IMM16:
		return 2;
	case FULL:
		if (i->rex & 8)
			return 8;
		return i->word ? 2 : 4;
	case IMM32:
	case RM32:
		return i->word ? 2 : 4;
	case REL32:
		return 4;
	case TEST8:
		return is_test ? 1 : 0;
	case TEST32:
		return !is_test ? 0 : i->word ? 2 : 4;
	default:
		return 0;
	}
}

static size_t decode(struct instruction *i)
{
	size_t immediate, modrm = 0;
	unsigned char kind;

	take_prefixes(i);
	if (i->at >= i->len)
		return 0;
	kind = one_byte[i->bytes[i->at++]];
	if (i->bytes[i->at - 1] == 0x0f) {
		if (i->at >= i->len)
			return 0;
		kind = two_byte[i->bytes[i->at++]];
	}
	if (!kind)
		return 0;
	i->op = i->at - 1;
	immediate = immediate_bytes(i, kind);
	if (kind >= RM) {
		modrm = modrm_bytes(i);
		if (!modrm)
			return 0;
		i->modrm = i->at;
	}
	i->immediate = i->at + modrm;
	i->at += modrm + immediate;
	return i->at <= i->len && i->at <= ELF_PROLOGUE_BYTES ? i->at : 0;
}

size_t elf_prologue_length(const unsigned char *bytes, size_t len)
{
	struct instruction i = { .bytes = bytes, .len = len };

	return decode(&i);
}

bool elf_prologue_parts(const unsigned char *bytes, size_t len, struct elf_prologue_parts *ret)
{
	struct instruction i = { .bytes = bytes, .len = len };
	size_t n = decode(&i);

	if (!n)
		return false;
	*ret = (struct elf_prologue_parts){
		.len = n,
		.rex = i.rex,
		.word = i.word,
		.two_bytes = i.op > 0 && bytes[i.op - 1] == 0x0f,
		.op = bytes[i.op],
		.modrm = i.modrm,
		.immediate = i.immediate,
	};
	return true;
}

#if defined(__x86_64__)
/* CS prefixes in front. One in front of FS's or GS's is left alone: which of them counts is nowhere said. */
static size_t padding(const unsigned char *bytes, size_t len)
{
	size_t n = 0;

	while (n < len && bytes[n] == 0x2e)
		n++;
	return n < len && (bytes[n] == 0x64 || bytes[n] == 0x65) ? 0 : n;
}

enum tt_blind elf_prologue(const unsigned char *bytes, size_t len, size_t *ret_at)
{
	static const unsigned char nop5[] = { 0x0f, 0x1f, 0x44, 0x00, 0x00 };
	struct instruction i = { .bytes = bytes, .len = len };
	size_t at;

	if (!decode(&i))
		return TT_BLIND_unexpected_bytes;
	at = padding(bytes, i.at);
	i = (struct instruction){ .bytes = bytes + at, .len = len - at };
	if (!decode(&i) || i.bad_prefix ||
	    (i.len >= sizeof(nop5) && memcmp(i.bytes, nop5, sizeof(nop5)) == 0))
		return TT_BLIND_unfit_instruction;
	*ret_at = at;
	return TT_BLIND_NONE;
}
#else
/* Where an instruction has four bytes, any but the undefined one of zeroes. */
enum tt_blind elf_prologue(const unsigned char *bytes, size_t len, size_t *ret_at)
{
	static const unsigned char none[4];

	*ret_at = 0;
	return len < sizeof(none) || memcmp(bytes, none, sizeof(none)) == 0 ?
		       TT_BLIND_unexpected_bytes : TT_BLIND_NONE;
}
#endif
