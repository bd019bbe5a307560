/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the unit tests of the HTTP/2 reader share (cmocka): a driver with the real tables, input that
 * ends at an unreadable page, and assertions.
 */
#ifndef TT_TESTS_H2_EXPECT_H
#define TT_TESTS_H2_EXPECT_H

#include "h2_drive.h"
#include "h1_expect.h"
#include "h2_write.h"

static struct h2_drive h2;

static inline void h2_init(void)
{
	h2_drive_init(&h2, &h1_tables, KEY0, KEY1);
}

static inline int h2_setup(void **state)
{
	h2_init();
	return 0;
}

/* One call of one side, its last byte right before the unreadable page. */
static inline void h2_feed(struct h2_drive *v, int dir, const void *bytes, size_t len)
{
	assert_in_range(len, 0, GUARDED_MAX);
	memcpy(guard_page - len, bytes, len);
	h2_drive_feed(v, dir, guard_page - len, len);
	if (v->broken)
		fail_msg("%s", v->broken);
}

/* Feeds what was written, and begins anew. */
static inline void h2_send(int dir, struct h2_buf *b)
{
	h2_feed(&h2, dir, b->p, b->len);
	b->len = 0;
}

/* Forgets the facts so far, not the connection. */
static inline void h2_forget(void)
{
	h2.facts_len = 0;
	h2.seen_len = h2.seen_from = 0;
}

static inline const struct h2_fact *h2_fact_at(size_t i)
{
	assert_in_range(i, 0, H2D_FACTS - 1);
	assert_true(i < h2.facts_len);
	return &h2.facts[i];
}

/* The n-th header block that was reported. */
static inline const struct h2_fact *h2_head_at(size_t n)
{
	for (size_t i = 0; i < h2.facts_len && i < H2D_FACTS; i++)
		if (h2.facts[i].what == H2_HEAD && n-- == 0)
			return &h2.facts[i];
	fail_msg("no such head");
	return NULL;
}

static inline size_t h2_count(enum h2_result what)
{
	size_t n = 0;

	for (size_t i = 0; i < h2.facts_len && i < H2D_FACTS; i++)
		n += h2.facts[i].what == what;
	return n;
}

static inline const struct h2_fact *h2_only_head(void)
{
	for (size_t i = 0; i < h2.facts_len && i < H2D_FACTS; i++)
		if (h2.facts[i].what == H2_BAD)
			fail_msg("lost: reason %u", h2.facts[i].reason);
	assert_int_equal(h2_count(H2_HEAD), 1);
	return h2_head_at(0);
}

/* Nothing else than these notes, of this reason, and no fault. */
static inline void h2_expect_notes(size_t count, enum tt_drop reason)
{
	assert_int_equal(h2_count(H2_NOTE), count);
	assert_int_equal(h2_count(H2_BAD), 0);
	for (size_t i = 0; i < h2.facts_len; i++)
		if (h2_fact_at(i)->what == H2_NOTE)
			assert_int_equal(h2_fact_at(i)->reason, reason);
}

/* The last fact: the direction was lost here. */
static inline void h2_expect_bad(enum tt_drop reason)
{
	const struct h2_fact *f;

	assert_true(h2.facts_len > 0);
	f = h2_fact_at(h2.facts_len - 1);
	assert_int_equal(f->what, H2_BAD);
	assert_int_equal(f->reason, reason);
}

static inline size_t h2_expect_text(const struct h2_fact *f, size_t at, const void *text, size_t len)
{
	const uint8_t *p = h2.seen + f->seen_at + at;
	uint32_t got;

	assert_true(at + 4 <= f->seen_len);
	memcpy(&got, p, 4);
	assert_int_equal(got, len);
	assert_memory_equal(p + 4, text, len);
	return at + 4 + len;
}

/* The field decoded at this place of a block's; returns the place of the next one. */
static inline size_t h2_expect_seen(const struct h2_fact *f, size_t at, const void *name, size_t name_len,
				    const void *value, size_t value_len)
{
	return h2_expect_text(f, h2_expect_text(f, at, name, name_len), value, value_len);
}

/* All fields of a block: name, value, name, value, ..., NULL. */
static inline void h2_expect_fields(const struct h2_fact *f, const char *const *texts)
{
	size_t at = 0;

	for (; *texts; texts++)
		at = h2_expect_text(f, at, *texts, strlen(*texts));
	assert_int_equal(at, f->seen_len);
}

#define H2_FIELDS(f, ...) h2_expect_fields(f, (const char *const[]){ __VA_ARGS__, NULL })

static inline void h2_expect_request(const struct h2_fact *f, const char *method, const char *host,
				     const char *path)
{
	assert_int_equal(f->kind, H1_REQUESTS);
	assert_string_equal(f->method, method);
	assert_string_equal(f->host, host);
	assert_string_equal(f->path, path);
}

/* Credential `k` is this token, from there, of that scheme (NULL: none) and class. */
static inline void h2_expect_cred(const struct h2_fact *f, size_t k, const char *token, const char *carrier,
				  const char *scheme)
{
	uint64_t id[2];

	assert_true(k < f->creds);
	fingerprint(token, strlen(token), id);
	assert_int_equal(f->cred[k].length, strlen(token));
	assert_int_equal(f->cred[k].carrier, carrier_id(carrier));
	assert_int_equal(f->cred[k].scheme, scheme_id(scheme));
	assert_string_equal(class_name(f->cred[k].class_id), class_name(class_of(token, strlen(token), NULL)));
	assert_true(f->cred[k].token[0] == id[0]);
	assert_true(f->cred[k].token[1] == id[1]);
	assert_int_equal(f->cred[k].entry, 0);
}

#define H2_TEST(f) cmocka_unit_test_setup(f, h2_setup)

#endif
