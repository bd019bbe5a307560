/* SPDX-License-Identifier: Apache-2.0 */
#include "base/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

#include "base/text.h"

int address_parse(const char *text, struct sockaddr_storage *ret_address, socklen_t *ret_len)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	const char *colon = strrchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : 0;
	char host[INET6_ADDRSTRLEN + 2];
	uint64_t port;

	if (len == 0 || len >= sizeof(host) || text_parse_u64(colon + 1, &port) < 0 || port == 0 ||
	    port > UINT16_MAX)
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = 0;
	memset(ret_address, 0, sizeof(*ret_address));
	if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
		v4.sin_port = htons((uint16_t)port);
		memcpy(ret_address, &v4, sizeof(v4));
		*ret_len = sizeof(v4);
		return 0;
	}
	if (host[0] != '[' || host[len - 1] != ']')
		return -EINVAL;
	host[len - 1] = 0;
	if (inet_pton(AF_INET6, host + 1, &v6.sin6_addr) != 1)
		return -EINVAL;
	v6.sin6_port = htons((uint16_t)port);
	memcpy(ret_address, &v6, sizeof(v6));
	*ret_len = sizeof(v6);
	return 0;
}
