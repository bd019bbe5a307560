/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens for tests, put together at run time: JSON texts in, a JWT in its compact form out. */
#ifndef TT_TESTS_JWT_MAKE_H
#define TT_TESTS_JWT_MAKE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define JWT_SIGNATURE "c2lnbmF0dXJlLW9mLW5vYm9keQ" /* 19 bytes: two characters, four bits unused */

/* base64url without padding (RFC 4648, 5); NUL-terminated. */
static inline size_t jwt_base64(char *to, const void *bytes, size_t len)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const uint8_t *p = bytes;
	size_t out = 0;

	for (size_t i = 0; i < len; i += 3) {
		uint32_t left = len - i, bits = (uint32_t)p[i] << 16;

		if (left > 1)
			bits |= (uint32_t)p[i + 1] << 8;
		if (left > 2)
			bits |= p[i + 2];
		for (uint32_t j = 0; j < (left < 3 ? left : 3) + 1; j++)
			to[out++] = alphabet[bits >> (18 - 6 * j) & 63];
	}
	to[out] = '\0';
	return out;
}

/* header.payload.signature; the signature as it stands. Returns the length of header.payload. */
static inline size_t jwt_make(char *to, const char *header, const char *payload, const char *signature)
{
	size_t len = jwt_base64(to, header, strlen(header));

	to[len++] = '.';
	len += jwt_base64(to + len, payload, strlen(payload));
	to[len] = '.';
	strcpy(to + len + 1, signature);
	return len;
}

#endif
