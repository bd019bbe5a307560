/* SPDX-License-Identifier: Apache-2.0 */
/* Fake credentials of every row of the class table, put together at run time; and the kernel's tables. */
#ifndef TT_TESTS_FAKE_CLASS_H
#define TT_TESTS_FAKE_CLASS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "h1_drive.h"
#include "tokens/class.h"
#include "tokens/names.h"
#include "tokens/routes.h"

static inline int fake_put_rule(uint32_t id, const struct tt_path_rule *rule, void *data)
{
	struct drive_tables *t = data;

	t->rules[id] = *rule;
	return 0;
}

static inline int fake_tables(struct drive_tables *t)
{
	int r = routes_each(fake_put_rule, t);

	if (r < 0)
		return r;
	t->routes = routes_filter();
	for (uint32_t id = 1; id < TT_CLASSES_MAX; id++)
		if (!class_row((uint16_t)id, &t->rows[id]))
			t->rows[id] = (struct tt_class_row){0};
	r = classes_each(drive_put_class, t);
	return r < 0 ? r : names_each(drive_put_name, t);
}

static inline bool fake_allows(const struct tt_class_row *row, unsigned char c)
{
	return c < 128 && (row->allow[c >> 6] >> (c & 63) & 1);
}

/* The right last six of 30 characters. */
static inline void fake_crc(const char *body, char to[6])
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	uint32_t crc = ~0u;

	for (int i = 0; i < 30; i++) {
		crc ^= (uint8_t)body[i];
		for (int k = 0; k < 8; k++)
			crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
	}
	crc = ~crc;
	for (int i = 5; i >= 0; i--, crc /= 62)
		to[i] = digits[crc % 62];
}

/* `len` bytes that look like class `id`, which has to have a row. NUL-terminated. */
static inline void fake_of(uint16_t id, size_t len, char *to)
{
	static const char filler[] = "7Fa3Xk9Qz2Bm5Rw8Yc4Dt6Hn";
	const struct token_class *c = class_get(id);
	char pool[128];
	size_t n = 0, prefix = strlen(c->prefix), dots = c->dots ? c->dots - 1u : 0;
	struct tt_class_row row;

	if (!class_row(id, &row))
		abort();
	prefix = row.prefix_len;
	for (const char *p = filler; *p; p++)
		if (fake_allows(&row, (unsigned char)*p) && !memchr(c->prefix, *p, prefix))
			pool[n++] = *p;
	for (int ch = '!'; ch < 127 && !n; ch++)
		if (fake_allows(&row, (unsigned char)ch))
			pool[n++] = (char)ch;
	for (size_t i = 0; i < len; i++)
		to[i] = pool[(i * 5 + i / 7) % n];
	memcpy(to, c->prefix, prefix);
	for (int i = 0; i < TT_CLASS_MARKS; i++) {
		if (!c->at[i])
			continue;
		to[c->at[i]] = c->is[i];
		dots -= c->is[i] == '.' && dots;
	}
	for (size_t i = 1; i <= dots; i++)
		to[prefix + 6 + 2 * i] = '.';
	if (c->checksum == TT_CHECKSUM_CRC32B62)
		fake_crc(to + prefix, to + len - 6);
	to[len] = '\0';
}

#endif
