/* SPDX-License-Identifier: Apache-2.0 */
/* Java virtual machines, whose own TLS (JSSE) is compiled at run time. */
#ifndef TT_AGENT_ELF_JAVA_H
#define TT_AGENT_ELF_JAVA_H

#include "agent/elf_scan.h"

/* Says that JSSE is in a file that exports what a JVM exports. 0, or -EBADMSG: the file is not what it
 * says. */
int elf_java(struct elf_file *file, struct elf_scan *scan);

#endif
