/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where in a C function a probe costs least. The kernel emulates few instructions: push, nop, and jumps
 * that say where they lead (arch/x86/kernel/uprobes.c, branch_setup_xol_ops(), push_setup_xol_ops()).
 * All others are stepped over outside of the function, which takes a second trap and, in a virtual
 * machine, five times as long. Where a function begins with one of those, there is mostly one of the
 * others a few bytes later, with the arguments still in their registers.
 *
 * A call is emulated too and not taken here: kernels did not write its return address to the shadow stack
 * that a process may have (elf_record.c takes one in files that have none). Nor is a NOP of several bytes, which newer kernels make a call of.
 *
 * The bytes may be anything. x86-64 only; elsewhere nothing is found.
 */
#ifndef TT_AGENT_ELF_PLACE_H
#define TT_AGENT_ELF_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ELF_PLACE_BYTES 4096	/* of a function that is looked at */
#define ELF_PLACE_ARGS_MAX 5

/* Is the instruction one of these? */
bool elf_place_is_cheap(const unsigned char *code, size_t len);

/*
 * The first of these that each call goes through once, with its first `args` arguments as the caller gave
 * them and, if the probe has to see the return too, nothing on the stack above the return address.
 * `len`: bytes that are there from the function's first on, whatever follows it.
 */
bool elf_place_find(const unsigned char *code, size_t len, unsigned int args, bool returns,
		    uint32_t *ret_at);

/*
 * Does the function do nothing but call another with the same `args` arguments, and perhaps change what
 * that returned? *ret_target: where that one begins, counted from this one's first byte.
 */
bool elf_place_wraps(const unsigned char *code, size_t len, unsigned int args, int64_t *ret_target);

/* The function that this one calls first, unless it finds a number negative before. */
bool elf_place_calls(const unsigned char *code, size_t len, int64_t *ret_target);

#endif
