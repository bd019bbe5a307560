/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BoringSSL, which is always a part of another file and mostly stripped: its functions are known by the
 * errors they raise.
 */
#ifndef TT_AGENT_ELF_BORINGSSL_H
#define TT_AGENT_ELF_BORINGSSL_H

#include "agent/elf_scan.h"

/* Unless it was found before. 0, or -errno: the file can't be read, or there is no memory. */
int elf_boringssl(struct elf_file *file, struct elf_scan *scan);

/* Is it in the file? For elf_symbols(): its functions have the names of OpenSSL's. 0, or as above. */
int elf_boringssl_is_in(const struct elf_file *file, bool *ret_is_in);

#endif
