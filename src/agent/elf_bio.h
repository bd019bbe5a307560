/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL's SSL BIO (BIO_new_ssl_connect() and the like): since 1.1.1 its BIO_write() and BIO_read() go
 * past SSL_write() and SSL_read(), through two functions of no name that the method table which
 * BIO_f_ssl() returns points to. They look like SSL_write_ex() and SSL_read_ex(), with the BIO in the
 * object's place. In older versions and in LibreSSL they call SSL_write() and SSL_read().
 */
#ifndef TT_AGENT_ELF_BIO_H
#define TT_AGENT_ELF_BIO_H

#include "agent/elf_scan.h"

/* `function`: the address of BIO_f_ssl(). What is not as expected adds nothing; -EBADMSG. */
int elf_bio(struct elf_file *file, struct elf_scan *scan, uint64_t function);

#endif
