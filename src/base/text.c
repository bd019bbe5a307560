/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See text.h. Plain C on NUL-terminated strings; no locale.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define WORD_MAX 127

struct unit {
	const char *name;
	uint64_t factor;
};

/* Largest first: printing takes the first that divides. */
static const struct unit byte_units[] = {
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{NULL, 0},
};
static const struct unit ms_units[] = {
	{"h", 3600000}, {"min", 60000}, {"s", 1000}, {"ms", 1}, {NULL, 0},
};

static size_t smallest(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;

	return least < c ? least : c;
}

/* Optimal string alignment: three rows are enough, since a swap looks back two. */
size_t text_distance(const char *a, const char *b)
{
	size_t rows[3][WORD_MAX + 1];
	size_t *before = rows[0], *above = rows[1], *row = rows[2], *spare;
	size_t a_len = strlen(a), b_len = strlen(b);

	if (a_len > WORD_MAX || b_len > WORD_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= b_len; j++)
		above[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			row[j] = smallest(above[j] + 1, row[j - 1] + 1,
					  above[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < row[j])
				row[j] = before[j - 2] + 1;
		}
		spare = before;
		before = above;
		above = row;
		row = spare;
	}
	return above[b_len];
}

bool text_is_slip(size_t distance, size_t len)
{
	return distance <= 2 || distance <= len / 3;
}

static int parse_digits(const char **text, uint64_t *ret_value)
{
	const char *p = *text;
	uint64_t value = 0;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			return -ERANGE;
	}
	*text = p;
	*ret_value = value;
	return 0;
}

static int parse_with_unit(const char *text, const struct unit *units, uint64_t *ret_value)
{
	uint64_t value;
	int r;

	r = parse_digits(&text, &value);
	if (r < 0)
		return r;
	while (*text == ' ')
		text++;
	if (*text) {
		while (units->name && strcmp(units->name, text) != 0)
			units++;
		if (!units->name)
			return -EINVAL;
		if (__builtin_mul_overflow(value, units->factor, &value))
			return -ERANGE;
	}
	*ret_value = value;
	return 0;
}

int text_parse_bytes(const char *text, uint64_t *ret_bytes)
{
	return parse_with_unit(text, byte_units, ret_bytes);
}

int text_parse_ms(const char *text, uint64_t *ret_ms)
{
	return parse_with_unit(text, ms_units, ret_ms);
}

int text_parse_u64(const char *text, uint64_t *ret_value)
{
	uint64_t value;
	int r;

	r = parse_digits(&text, &value);
	if (r < 0)
		return r;
	if (*text)
		return -EINVAL;
	*ret_value = value;
	return 0;
}

static void print_with_unit(uint64_t value, const struct unit *units, char *to, size_t size)
{
	while (units->name && (value == 0 || value % units->factor != 0))
		units++;
	if (units->name)
		snprintf(to, size, "%" PRIu64 "%s", value / units->factor, units->name);
	else
		snprintf(to, size, "%" PRIu64, value);
}

void text_print_bytes(uint64_t bytes, char *to, size_t size)
{
	print_with_unit(bytes, byte_units, to, size);
}

void text_print_ms(uint64_t ms, char *to, size_t size)
{
	print_with_unit(ms, ms_units, to, size);
}
