/* SPDX-License-Identifier: Apache-2.0 */
/* Numeric addresses with ports, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

#include "base/address.h"

static void addresses(void **state)
{
	struct sockaddr_storage a;
	const struct sockaddr_in *v4 = (const void *)&a;
	const struct sockaddr_in6 *v6 = (const void *)&a;
	socklen_t len;

	assert_int_equal(address_parse("127.0.0.1:9465", &a, &len), 0);
	assert_int_equal(len, sizeof(*v4));
	assert_int_equal(v4->sin_family, AF_INET);
	assert_int_equal(ntohs(v4->sin_port), 9465);
	assert_int_equal(ntohl(v4->sin_addr.s_addr), INADDR_LOOPBACK);
	assert_int_equal(address_parse("[2001:db8::1]:65535", &a, &len), 0);
	assert_int_equal(len, sizeof(*v6));
	assert_int_equal(v6->sin6_family, AF_INET6);
	assert_int_equal(ntohs(v6->sin6_port), 65535);
	assert_int_equal(v6->sin6_addr.s6_addr[15], 1);
}

static void no_addresses(void **state)
{
	static const char *const texts[] = {
		"", ":", ":1", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536",
		"127.0.0.1:9465x", "127.0.0.1:-1", "localhost:1", "::1:1", "[::1]", "[::1:1", "::1]:1",
		"[]:1", "[", "]:1", "[127.0.0.1]:1", "1.2.3:1", "1.2.3.4.5:1", " 1.2.3.4:1",
		"[::1%lo]:1", "99999999999999999999999999999999999999999999999999999999999999:1",
	};
	struct sockaddr_storage a;
	socklen_t len;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (address_parse(texts[i], &a, &len) != -EINVAL)
			fail_msg("taken: '%s'", texts[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),
		cmocka_unit_test(no_addresses),
	};

	return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
