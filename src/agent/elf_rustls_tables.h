/* SPDX-License-Identifier: Apache-2.0 */
/* rustls' functions in stripped programs, and where it was inlined: those that are called through tables. */
#ifndef TT_AGENT_ELF_RUSTLS_TABLES_H
#define TT_AGENT_ELF_RUSTLS_TABLES_H

#include "agent/elf_file.h"
#include "agent/elf_returns.h"

#define RUSTLS_TABLES_MAX 4	/* of each: two for TLS 1.2, one or two for 1.3 */

struct rustls_tables {
	/* Where they begin, in the file. */
	uint64_t encrypt[RUSTLS_TABLES_MAX];
	uint64_t decrypt[RUSTLS_TABLES_MAX];
	uint64_t returns[RUSTLS_TABLES_MAX * ELF_RETURNS_MAX];	/* of decrypt */
	size_t encrypts;
	size_t decrypts;	/* 0: where they return was not found for sure */
	size_t return_count;
};

/*
 * MessageEncrypter::encrypt and MessageDecrypter::decrypt of rustls 0.23 with ring or aws-lc, of patch
 * versions up to this. Returns 0; -ENOENT: they are not there, or not where they should be; -E2BIG: more
 * places look like them than there can be; or another -errno.
 */
int elf_rustls_tables(const struct elf_file *file, unsigned int patch_max, struct rustls_tables *ret_tables);

#endif
