/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of TLS libraries by their names: dynsym and symtab. */
#ifndef TT_AGENT_ELF_SYMBOLS_H
#define TT_AGENT_ELF_SYMBOLS_H

#include "agent/elf_scan.h"

/* Adds the functions of each library whose OUT and IN are both there. 0, or -EBADMSG: the file is not
 * what it says. */
int elf_symbols(struct elf_file *file, struct elf_scan *scan);

#endif
