/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A segment of a JWT as JSON. Whoever made it may be hostile: what is too large, too deep or ambiguous
 * is refused, with the name of the note that says so.
 */
#ifndef TT_TOKENS_JWT_JSON_H
#define TT_TOKENS_JWT_JSON_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#define JWT_JSON_MAX 65536	/* decoded bytes */
#define JWT_DEPTH_MAX 8		/* objects and arrays */
#define JWT_MEMBERS_MAX 256	/* of all objects together */
#define JWT_TEXT_MAX 512	/* a longer string is not told */

/*
 * Decodes base64url without padding (RFC 7515, 2) and parses the object in it; *ret_object is the
 * caller's, NULL if there is none. NULL, or the note: "malformed", "too_large", or "dup_claim" (a member
 * twice: parsers disagree on which counts, RFC 8259, 4). Numbers beyond 64 bits are malformed.
 */
const char *jwt_json_read(const uint8_t *text, size_t len, json_t **ret_object);

/* Members of an object that may be missing (NULL, or of another type). */
const json_t *jwt_member(const json_t *object, const char *name);
const char *jwt_text(const json_t *object, const char *name);	/* NULL: no string of 1 to JWT_TEXT_MAX bytes */

enum jwt_time { JWT_TIME_NONE, JWT_TIME_ODD, JWT_TIME_OK };

/* A NumericDate (RFC 7519, 2): also with a fraction, also as a string of digits. Nanoseconds; from 1970
 * to 2500, or it is odd. */
enum jwt_time jwt_time(const json_t *value, uint64_t *ret_ns);

#endif
