/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where OpenSSL has the data of records. What it has received it hands out there: ssl3_read_bytes() copies a record's data to the reader's
 * buffer. A probe at that call sees each byte once, and only calls that have bytes; probes on SSL_read()'s
 * entry and return run twice for each call, and a server asks once more after each request to hear that
 * there is nothing.
 *
 * The function is known by its name in its own error calls (since 3.0), the call by what it is given: the
 * only one whose first argument is the reader's buffer, or a place further in it (elf_flow.h). Where the
 * function keeps its own arguments at that call is told to the program by its cookie.
 *
 * What is to be sent do_ssl3_write() encrypts, once for each record (3.0 and 3.1; later it is called through a table): a probe where
 * it begins sees what SSL_write()'s entry and return tell, in one. It is believed to be that function if it
 * has the name, and ssl3_write_bytes() gives it its own object, type and buffer, and lengths from its stack.
 */
#ifndef TT_AGENT_ELF_RECORD_H
#define TT_AGENT_ELF_RECORD_H

#include "agent/elf_scan.h"

/* Places the hooks that read and write there (after elf_cheap.c, which finds out which of them lead to one function), if all is as
 * it is expected. 0, or -errno: no memory, or the file
 * can't be read. */
int elf_record(const struct elf_file *file, struct elf_scan *scan);

#endif
