/* SPDX-License-Identifier: Apache-2.0 */
/* What the load generators know of an HTTP/1 answer: servers of the tests say Content-Length. */
#ifndef TT_TESTS_ANSWER_H
#define TT_TESTS_ANSWER_H

#include <stdlib.h>
#include <string.h>

/* Bytes still missing of an answer, a text of which `len` are there; -1: its head is not complete. */
static inline long answer_missing(const char *buf, size_t len)
{
	const char *end = strstr(buf, "\r\n\r\n"), *field;
	long body = 0;

	if (!end)
		return -1;
	field = strcasestr(buf, "\r\nContent-Length:");
	if (field && field < end)
		body = strtol(field + 17, NULL, 10);
	return (end + 4 - buf) + body - (long)len;
}

#endif
