/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads header blocks with the fields they stand for, in the format of tests/lib/hpack/plan.c: from
 * a file or from the encoders as they write. A record stays valid until the next one is read.
 */
#ifndef TT_TESTS_HPACK_BLOCKS_H
#define TT_TESTS_HPACK_BLOCKS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define HPACK_FIELDS_MAX 256
#define HPACK_BYTES_MAX (1024 * 1024) /* of one record: block, names and values */

struct hpack_field {
	bool never; /* is never to be indexed */
	uint32_t name_len, value_len;
	const uint8_t *name, *value;
};

struct hpack_record {
	char kind;	/* 'R' new connection, 'T' limit, 'B' block */
	uint32_t limit; /* of 'T': SETTINGS_HEADER_TABLE_SIZE from now on */
	uint32_t block_len;
	const uint8_t *block;
	size_t fields_len;
	struct hpack_field field[HPACK_FIELDS_MAX];
};

struct hpack_blocks {
	FILE *from;
	size_t used;
	bool bad; /* sticks: the input ends in the middle, or is too large */
	struct hpack_record r;
	uint8_t bytes[HPACK_BYTES_MAX];
};

static inline const uint8_t *hpack_take(struct hpack_blocks *b, uint32_t len)
{
	uint8_t *to = b->bytes + b->used;

	if (b->bad || len > sizeof(b->bytes) - b->used || fread(to, 1, len, b->from) != len) {
		b->bad = true;
		return NULL;
	}
	b->used += len;
	return to;
}

static inline uint32_t hpack_number(struct hpack_blocks *b, uint32_t len)
{
	const uint8_t *p = hpack_take(b, len);
	uint32_t n = 0;

	for (uint32_t i = 0; p && i < len; i++)
		n |= (uint32_t)p[i] << (8 * i);
	return n;
}

static inline int hpack_open(struct hpack_blocks *b, FILE *from)
{
	const uint8_t *magic;

	memset(b, 0, offsetof(struct hpack_blocks, bytes));
	b->from = from;
	magic = hpack_take(b, 6);
	return magic && !memcmp(magic, "TTHB1\n", 6) ? 0 : -EINVAL;
}

static inline void hpack_take_block(struct hpack_blocks *b)
{
	struct hpack_record *r = &b->r;

	r->block_len = hpack_number(b, 4);
	r->block = hpack_take(b, r->block_len);
	r->fields_len = hpack_number(b, 2);
	if (r->fields_len > HPACK_FIELDS_MAX)
		b->bad = true;
	for (size_t i = 0; !b->bad && i < r->fields_len; i++) {
		struct hpack_field *f = &r->field[i];

		f->never = hpack_number(b, 1) & 1;
		f->name_len = hpack_number(b, 4);
		f->name = hpack_take(b, f->name_len);
		f->value_len = hpack_number(b, 4);
		f->value = hpack_take(b, f->value_len);
	}
}

/* 1: b->r holds the next record; 0: there is no more. */
static inline int hpack_next(struct hpack_blocks *b)
{
	int kind = fgetc(b->from);

	if (kind == EOF)
		return ferror(b->from) ? -EIO : 0;
	b->used = 0;
	b->r.kind = (char)kind;
	if (kind == 'T')
		b->r.limit = hpack_number(b, 4);
	else if (kind == 'B')
		hpack_take_block(b);
	else if (kind != 'R')
		return -EINVAL;
	return b->bad ? -EINVAL : 1;
}

static inline bool hpack_is(const uint8_t *bytes, size_t len, const char *text)
{
	return len == strlen(text) && !memcmp(bytes, text, len);
}

static inline const struct hpack_field *hpack_find(const struct hpack_record *r, const char *name)
{
	for (size_t i = 0; i < r->fields_len; i++)
		if (hpack_is(r->field[i].name, r->field[i].name_len, name))
			return &r->field[i];
	return NULL;
}

#endif
