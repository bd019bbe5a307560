/* SPDX-License-Identifier: Apache-2.0 */
/* Where a compiled function returns, for probes there where no return probe may be: Rust unwinds its stack. */
#ifndef TT_AGENT_ELF_RETURNS_H
#define TT_AGENT_ELF_RETURNS_H

#include <stddef.h>
#include <stdint.h>

#define ELF_RETURNS_MAX 4
#define ELF_RETURNS_BYTES 4096	/* of a function that is looked at */

/*
 * The offsets of its return instructions, from its first byte on; at most ELF_RETURNS_MAX. `len`: bytes
 * that are there, of whatever follows the function too, since nobody knows where it ends. Returns how
 * many; -EBADMSG: not all of it is understood, or it may go on in another function instead; -E2BIG:
 * there are more, or it is longer. The bytes are not trusted. x86-64 only.
 */
int elf_returns(const unsigned char *code, size_t len, uint32_t ret_at[static ELF_RETURNS_MAX]);

#endif
