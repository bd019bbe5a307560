/* SPDX-License-Identifier: Apache-2.0 */
/* Go's crypto/tls in a Go program: by the symbol table, else by the table of functions that the
 * runtime needs (pclntab) and that no strip takes away. */
#ifndef TT_AGENT_ELF_GO_H
#define TT_AGENT_ELF_GO_H

#include "agent/elf_scan.h"

/* A search of elf_scan(). 0, also for what is no Go program or has no crypto/tls; -ENOMEM. */
int elf_go(struct elf_file *file, struct elf_scan *scan);

#endif
