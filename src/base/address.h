/* SPDX-License-Identifier: Apache-2.0 */
/* Numeric addresses with a port, as settings have them. Nobody is asked: names are not addresses. */
#ifndef TT_BASE_ADDRESS_H
#define TT_BASE_ADDRESS_H

#include <sys/socket.h>

/* "127.0.0.1:9465", "[::1]:9465". -EINVAL: not that, or port 0. */
int address_parse(const char *text, struct sockaddr_storage *ret_address, socklen_t *ret_len);

#endif
