/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Can the instruction at a function's start carry a probe? The kernel answers that too late, without a
 * word, or not at all:
 *   - one with a segment or lock prefix is registered when no process maps the file yet, and refused
 *     for each process that maps it later (arch/x86/kernel/uprobes.c, is_prefix_bad())
 *   - a 5-byte NOP (what -fpatchable-function-entry leaves) becomes a call under Linux 6.18 and later,
 *     and a call writes below the stack pointer, where a leaf function may keep its variables
 *   - what is no instruction, or none that a compiler begins a function with, is not the function
 *
 * Nothing but the first instruction is looked at, and it is where the probe goes: the stack pointer and
 * the arguments are as the caller left them. The bytes may be anything.
 *
 * CS prefixes in front of an instruction mean nothing in 64-bit code: assemblers lengthen instructions
 * with them, to keep branches off boundaries of 32 bytes (gas -mbranches-within-32B-boundaries). The
 * probe goes behind them: the processor takes the breakpoint with whatever prefixes of that kind stand
 * in front, tells the address of the breakpoint itself, and the kernel goes on with the rest of the
 * instruction, which does the same without them. Of a lock prefix that would not be true.
 */
#ifndef TT_AGENT_ELF_PROLOGUE_H
#define TT_AGENT_ELF_PROLOGUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <tokentrail/ipc.h>

#define ELF_PROLOGUE_BYTES 15	/* an x86 instruction has no more */

/* TT_BLIND_NONE: it can, at *ret_at. TT_BLIND_unfit_instruction, TT_BLIND_unexpected_bytes. */
enum tt_blind elf_prologue(const unsigned char *bytes, size_t len, size_t *ret_at);

/* The length of an x86-64 instruction; 0: not one that is known here, or cut off. */
size_t elf_prologue_length(const unsigned char *bytes, size_t len);

/* Displacements and numbers in instructions, which stand anywhere. */
static inline int32_t s32_at(const unsigned char *p)
{
	int32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* What it consists of: where in its bytes. */
struct elf_prologue_parts {
	size_t len;
	unsigned char rex;	/* 0 = none */
	bool word;		/* operand-size prefix */
	bool two_bytes;		/* its opcode stands behind 0f */
	unsigned char op;
	size_t modrm;		/* 0 = it has none */
	size_t immediate;	/* == len: none */
};

/* False: as a length of 0. */
bool elf_prologue_parts(const unsigned char *bytes, size_t len, struct elf_prologue_parts *ret);

#endif
