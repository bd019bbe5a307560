/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the functions found in a file: instructions where their probes cost less (elf_place.h). Since 1.1.1
 * OpenSSL's SSL_read() and SSL_read_ex() are small, begin with an instruction of the dear kind, and both
 * call one inner function that has SSL_read_ex()'s arguments; so do those that write. One probe there
 * serves both.
 */
#ifndef TT_AGENT_ELF_CHEAP_H
#define TT_AGENT_ELF_CHEAP_H

#include "agent/elf_scan.h"

/* Fills hooks[].placed where something fits; what reads, elf_record.h before that. 0, or -errno: no memory, or the file
 * can't be read. */
int elf_cheap(const struct elf_file *file, struct elf_scan *scan);

#endif
