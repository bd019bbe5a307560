/* SPDX-License-Identifier: Apache-2.0 */
#include "tokens/jwt_json.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "readers/base64.h"

#define YEAR_2500 16725225600.0	/* seconds since 1970; in nanoseconds it fits 64 bits */

/* The decoded length, or -1. */
static ssize_t decode(const uint8_t *text, size_t len, uint8_t *to)
{
	uint32_t bits = 0;
	unsigned int have = 0;
	size_t out = 0;

	if (len % 4 == 1)
		return -1;
	for (size_t i = 0; i < len; i++) {
		int six = base64_value(text[i]);

		if (six < 0 || text[i] == '+' || text[i] == '/')
			return -1;
		bits = bits << 6 | (uint32_t)six;
		have += 6;
		if (have >= 8) {
			have -= 8;
			to[out++] = (uint8_t)(bits >> have);
		}
	}
	return (ssize_t)out;
}

/* jansson goes as deep as the text does: look before. A colon outside of a string is a member's. */
static bool within_limits(const uint8_t *text, size_t len)
{
	size_t depth = 0, members = 0;
	bool string = false;

	for (size_t i = 0; i < len; i++) {
		uint8_t c = text[i];

		if (string && c == '\\')
			i++;
		else if (c == '"')
			string = !string;
		else if (string)
			continue;
		else if (c == ':')
			members++;
		else if (c == '{' || c == '[')
			depth++;
		else if ((c == '}' || c == ']') && depth)
			depth--;
		if (depth > JWT_DEPTH_MAX || members > JWT_MEMBERS_MAX)
			return false;
	}
	return true;
}

static const char *parse(const char *text, size_t len, json_t **ret_object)
{
	json_error_t error;
	json_t *o = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);

	if (o && json_is_object(o)) {
		*ret_object = o;
		return NULL;
	}
	json_decref(o);
	return !o && json_error_code(&error) == json_error_duplicate_key ? "dup_claim" : "malformed";
}

const char *jwt_json_read(const uint8_t *text, size_t len, json_t **ret_object)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	ssize_t n;

	*ret_object = NULL;
	if (len > JWT_JSON_MAX / 3 * 4)
		return "too_large";
	bytes = malloc(len + 1);
	n = bytes ? decode(text, len, bytes) : -1;
	if (n < 0)
		return "malformed";
	if (!within_limits(bytes, (size_t)n))
		return "too_large";
	return parse((const char *)bytes, (size_t)n, ret_object);
}

const json_t *jwt_member(const json_t *object, const char *name)
{
	return object ? json_object_get(object, name) : NULL;
}

const char *jwt_text(const json_t *object, const char *name)
{
	const json_t *value = jwt_member(object, name);

	if (!json_is_string(value) || !json_string_length(value) ||
	    json_string_length(value) > JWT_TEXT_MAX)
		return NULL;
	return json_string_value(value);
}

/* Digits, at most one point among them: strtod() would take much more, and by the locale. */
static bool is_number(const char *text)
{
	size_t digits = strspn(text, "0123456789"), rest;

	if (!digits || digits > 15)
		return false;
	if (text[digits] == '.') {
		rest = strspn(text + digits + 1, "0123456789");
		digits += rest ? rest + 1 : 0;
	}
	return !text[digits];
}

static bool seconds_of(const json_t *value, double *ret_seconds)
{
	if (json_is_number(value))
		*ret_seconds = json_number_value(value);
	else if (json_is_string(value) && is_number(json_string_value(value)))
		*ret_seconds = strtod(json_string_value(value), NULL);
	else
		return false;
	return true;
}

enum jwt_time jwt_time(const json_t *value, uint64_t *ret_ns)
{
	double seconds;

	if (!value || json_is_null(value))
		return JWT_TIME_NONE;
	if (!seconds_of(value, &seconds) || !(seconds >= 0) || seconds >= YEAR_2500)
		return JWT_TIME_ODD;
	/* By parts: a double has no room for nanoseconds. */
	*ret_ns = (uint64_t)seconds * 1000000000 +
		  (uint64_t)((seconds - floor(seconds)) * 1e6) * 1000;
	return JWT_TIME_OK;
}
