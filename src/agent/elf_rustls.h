/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of rustls in a program, by their names or by tables of them. */
#ifndef TT_AGENT_ELF_RUSTLS_H
#define TT_AGENT_ELF_RUSTLS_H

#include "agent/elf_scan.h"

/* 0 or -errno as elf_symbols() has it. */
int elf_rustls(struct elf_file *file, struct elf_scan *scan);

/* For the tests: what a symbol of this name is; 0 = nothing of interest. At most `max` bytes are read. */
enum tt_hook elf_rustls_hook(const char *name, size_t max);

#endif
