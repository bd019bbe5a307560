/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a function keeps its arguments when it calls another: followed from its first instruction along
 * all of its paths, through registers and its own part of the stack. What two paths to one instruction
 * don't agree on is not known there. A function that is not understood as a whole (an instruction that is
 * not known here, a jump through a table, a stack that grows by an unknown number) has no answer.
 *
 * What is stored through pointers is taken not to lie where a register was put aside: compilers keep
 * those places to themselves.
 *
 * The bytes may be anything. x86-64 and System V's calling convention only; elsewhere nothing is found.
 */
#ifndef TT_AGENT_ELF_FLOW_H
#define TT_AGENT_ELF_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ELF_FLOW_BYTES 16384	/* of a function */
#define ELF_FLOW_ARGS 6		/* arguments in registers, first to last: RDI, RSI, RDX, RCX, R8, R9 */

/* What is known to be in one place. */
enum elf_flow_kind {
	ELF_FLOW_UNKNOWN,
	ELF_FLOW_ARGUMENT,	/* as the function's caller gave it */
	ELF_FLOW_BEHIND,	/* a pointer argument, or one that was moved from there */
	ELF_FLOW_OWN,		/* an address in the function's part of the stack; `argument` says nothing */
};

struct elf_flow_value {
	unsigned char kind;	/* enum elf_flow_kind */
	unsigned char argument;	/* 0 = the first */
	bool half;		/* its lower 32 bits only */
};

/* Where a call leaves an argument of its caller: in a register, as instructions number them, that the called function
 * has to leave alone, or so many bytes above the stack pointer. */
struct elf_flow_place {
	bool known;
	bool half;		/* its lower 32 bits only */
	unsigned char reg;	/* ELF_FLOW_STACK: on the stack */
	uint16_t stack;
};
#define ELF_FLOW_STACK 16

struct elf_flow_call {
	uint32_t at;		/* the call instruction, from the function's first byte */
	int64_t target;		/* so too; ELF_FLOW_INDIRECT */
	struct elf_flow_value given[ELF_FLOW_ARGS];	/* to the called function */
	struct elf_flow_place kept[ELF_FLOW_ARGS];	/* this function's own */
};
#define ELF_FLOW_INDIRECT INT64_MIN

/*
 * Calls each() for every call that can be reached, in the order of their addresses. `len`: the function's
 * bytes. 0, -EBADMSG: it is not understood (each() was not called), -ENOMEM.
 */
int elf_flow(const unsigned char *code, size_t len, void (*each)(void *arg, const struct elf_flow_call *call), void *arg);

#endif
