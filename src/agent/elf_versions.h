/* SPDX-License-Identifier: Apache-2.0 */
/* Versions of libraries that have theirs as a text. */
#ifndef TT_AGENT_ELF_VERSIONS_H
#define TT_AGENT_ELF_VERSIONS_H

#include "agent/elf_scan.h"

/*
 * Adds versions to what was found in the file. OpenSSL has its own in another file than its TLS
 * functions, libcrypto: that one gets a finding of its own that is neither found nor blind, a version
 * and nothing else. 0, or -EBADMSG: the file is not what it says.
 */
int elf_versions(struct elf_file *file, struct elf_scan *scan);

#endif
