/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL linked into a stripped file: its functions are known by their names in its own error calls, or
 * in 1.1 by their numbers. And its version, where the whole library is in the file.
 */
#ifndef TT_AGENT_ELF_OPENSSL_H
#define TT_AGENT_ELF_OPENSSL_H

#include "agent/elf_scan.h"

/* Looks for the functions unless they were found before. 0, or -errno: the file can't be read, or there
 * is no memory. */
int elf_openssl(struct elf_file *file, struct elf_scan *scan);

#endif
