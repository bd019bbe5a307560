/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an HTTP/2 request has to be reported as: what the HTTP/1 reader, which has tests of its own,
 * says of a request with the same method, path, host and fields.
 */
#ifndef TT_TESTS_H2_ORACLE_H
#define TT_TESTS_H2_ORACLE_H

#include <stdlib.h>

#include "fake_class.h"
#include "h1_drive.h"
#include "hpack_blocks.h"
#include "tokens/class.h"
#include "tokens/names.h"

struct oracle {
	struct drive_tables tables;
	uint64_t key[2];
	struct drive drive;
	size_t len;
	char text[HPACK_BYTES_MAX];
	struct drive_head head; /* of the last request */
};

static inline int oracle_init(struct oracle *o, uint64_t key0, uint64_t key1)
{
	memset(o, 0, sizeof(*o));
	o->key[0] = key0;
	o->key[1] = key1;
	return fake_tables(&o->tables);
}

static inline void oracle_put(struct oracle *o, const void *bytes, size_t len)
{
	if (len > sizeof(o->text) - o->len)
		abort();
	memcpy(o->text + o->len, bytes, len);
	o->len += len;
}

static inline void oracle_field(struct oracle *o, const struct hpack_record *r, const char *name,
				const char *before, const char *after)
{
	const struct hpack_field *f = hpack_find(r, name);

	oracle_put(o, before, strlen(before));
	if (f)
		oracle_put(o, f->value, f->value_len);
	oracle_put(o, after, strlen(after));
}

/* Asks about one request; the answer is in o->head. -EBADMSG: HTTP/1 has no such request. */
static inline int oracle_request(struct oracle *o, const struct hpack_record *r)
{
	o->len = 0;
	oracle_field(o, r, ":method", "", " ");
	oracle_field(o, r, ":path", "", " HTTP/1.1\r\n");
	oracle_field(o, r, ":authority", "Host: ", "\r\n");
	for (size_t i = 0; i < r->fields_len; i++) {
		const struct hpack_field *f = &r->field[i];

		if (f->name_len && f->name[0] == ':')
			continue;
		oracle_put(o, f->name, f->name_len);
		oracle_put(o, ": ", 2);
		oracle_put(o, f->value, f->value_len);
		oracle_put(o, "\r\n", 2);
	}
	oracle_put(o, "\r\n", 2);
	drive_init(&o->drive, &o->tables, o->key[0], o->key[1]);
	drive_feed(&o->drive, DRIVE_CLIENT, o->text, o->len);
	if (o->drive.broken || o->drive.heads_len != 1)
		return -EBADMSG;
	o->head = o->drive.heads[0];
	return 0;
}

#endif
