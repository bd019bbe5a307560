/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the unit tests of the HTTP/1 reader share (cmocka): a driver filled with the real tables,
 * input that ends at an unreadable page, fingerprints computed by OpenSSL, and assertions that name
 * what they expect by the names of the tables.
 */
#ifndef TT_TESTS_H1_EXPECT_H
#define TT_TESTS_H1_EXPECT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "fake_class.h"
#include "h1_drive.h"
#include "tokens/class.h"
#include "tokens/names.h"

#define GUARDED_MAX (1024 * 1024)
#define KEY0 0x0706050403020100ULL
#define KEY1 0x0f0e0d0c0b0a0908ULL

static struct drive_tables h1_tables;
static struct drive drive;
static uint8_t *guard_page; /* GUARDED_MAX bytes lie before it */

static inline int h1_group_setup(void **state)
{
	uint8_t *p = mmap(NULL, GUARDED_MAX + 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || mprotect(p + GUARDED_MAX, 4096, PROT_NONE) < 0)
		return -1;
	guard_page = p + GUARDED_MAX;
	return fake_tables(&h1_tables);
}

static inline int h1_setup(void **state)
{
	drive_init(&drive, &h1_tables, KEY0, KEY1);
	return 0;
}

/* One call of one side, its last byte right before the unreadable page. */
static inline void feed(struct drive *v, int dir, const void *bytes, size_t len)
{
	assert_in_range(len, 0, GUARDED_MAX);
	memcpy(guard_page - len, bytes, len);
	drive_feed(v, dir, guard_page - len, len);
	assert_null(v->broken);
}

static inline void client(const char *text)
{
	feed(&drive, DRIVE_CLIENT, text, strlen(text));
}

static inline void server(const char *text)
{
	feed(&drive, DRIVE_SERVER, text, strlen(text));
}

/* A request, whole and cut in two at every byte: the same head each time, and at no cut is the secret kept
 * (NULL: none is looked for). */
static inline void feed_all_ways(const char *text, const char *secret)
{
	size_t len = strlen(text), notes;
	struct drive_head first;

	h1_setup(NULL);
	feed(&drive, DRIVE_CLIENT, text, len);
	assert_int_equal(drive.heads_len, 1);
	first = drive.heads[0];
	notes = drive.notes_len;
	for (size_t cut = 1; cut < len; cut++) {
		h1_setup(NULL);
		feed(&drive, DRIVE_CLIENT, text, cut);
		assert_false(secret && drive_residue(&drive, secret, strlen(secret)));
		feed(&drive, DRIVE_CLIENT, text + cut, len - cut);
		assert_int_equal(drive.heads_len, 1);
		assert_int_equal(drive.notes_len, notes);
		assert_memory_equal(&first, &drive.heads[0], sizeof(first));
	}
}

static inline void fingerprint(const void *token, size_t len, uint64_t ret_id[2])
{
	static const uint8_t key[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
	uint8_t out[16];
	size_t size = 16, got = 0;
	OSSL_PARAM params[] = {OSSL_PARAM_construct_size_t("size", &size),
			       OSSL_PARAM_construct_end()};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
	EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);

	assert_non_null(ctx);
	assert_int_equal(EVP_MAC_init(ctx, key, sizeof(key), params), 1);
	assert_int_equal(EVP_MAC_update(ctx, token, len), 1);
	assert_int_equal(EVP_MAC_final(ctx, out, &got, sizeof(out)), 1);
	EVP_MAC_CTX_free(ctx);
	EVP_MAC_free(mac);
	memcpy(ret_id, out, 16); /* little-endian, as everything we run on */
}

/* Names of headers, parameters, cookies, places in paths and suffixes: "authorization", "query:access_token",
 * "cookie:sid", "path:/bot{}", "*-token". */
static inline uint16_t carrier_id(const char *name)
{
	enum tt_name_space space = TT_NAME_HEADER;

	if (!strncmp(name, "query:", 6)) {
		space = TT_NAME_PARAM;
		name += 6;
	} else if (!strncmp(name, "cookie:", 7)) {
		space = TT_NAME_COOKIE;
		name += 7;
	} else if (!strncmp(name, "path:", 5)) {
		space = TT_NAME_PATH;
		name += 5;
	} else if (*name == '*') {
		space = TT_NAME_SUFFIX;
		name++;
	}
	for (uint16_t id = 1; id <= carrier_count(); id++)
		if (carrier_get(id)->space == space && !strcmp(carrier_get(id)->name, name))
			return id;
	fail_msg("no carrier %s", name);
	return 0;
}

static inline uint8_t scheme_id(const char *name)
{
	if (!name)
		return 0;
	if (!strcmp(name, "other"))
		return TT_SCHEME_OTHER;
	for (uint8_t id = 1; id <= scheme_count(); id++)
		if (!strcmp(scheme_get(id)->name, name))
			return id;
	fail_msg("no scheme %s", name);
	return 0;
}

static inline const char *class_name(uint16_t id)
{
	return class_get(id) ? class_get(id)->name : "";
}

static inline const struct drive_head *head_at(size_t i)
{
	assert_in_range(i, 0, DRIVE_HEADS - 1);
	assert_true(i < drive.heads_len);
	return &drive.heads[i];
}

static inline void expect_request(size_t i, const char *method, const char *host, const char *path)
{
	const struct drive_head *h = head_at(i);

	assert_int_equal(h->kind, H1_REQUESTS);
	assert_string_equal(h->method, method);
	assert_string_equal(h->host, host);
	assert_string_equal(h->path, path);
}

static inline void expect_status(size_t i, int status)
{
	assert_int_equal(head_at(i)->kind, H1_RESPONSES);
	assert_int_equal(head_at(i)->status, status);
	assert_int_equal(head_at(i)->creds, 0);
}

/* Credential `k` of head `i` is this token, from there, of that scheme (NULL: none) and class. */
static inline void expect_cred_bytes(size_t i, size_t k, const void *token, size_t len,
				     const char *carrier, const char *scheme)
{
	const struct drive_head *h = head_at(i);
	uint64_t id[2];

	assert_true(k < h->creds);
	fingerprint(token, len, id);
	assert_int_equal(h->cred[k].length, len);
	assert_int_equal(h->cred[k].carrier, carrier_id(carrier));
	assert_int_equal(h->cred[k].scheme, scheme_id(scheme));
	assert_string_equal(class_name(h->cred[k].class_id), class_name(class_of(token, len, NULL)));
	assert_true(h->cred[k].token[0] == id[0]);
	assert_true(h->cred[k].token[1] == id[1]);
}

/* The same, but for its class: that depends on where it stood. */
static inline void expect_cred_placed(size_t i, size_t k, const char *token, const char *carrier)
{
	const struct drive_head *h = head_at(i);
	uint64_t id[2];

	assert_true(k < h->creds);
	fingerprint(token, strlen(token), id);
	assert_int_equal(h->cred[k].length, strlen(token));
	assert_int_equal(h->cred[k].carrier, carrier_id(carrier));
	assert_int_equal(h->cred[k].scheme, 0);
	assert_memory_equal(h->cred[k].token, id, 16);
}

static inline void expect_cred(size_t i, size_t k, const char *token, const char *carrier,
			       const char *scheme)
{
	expect_cred_bytes(i, k, token, strlen(token), carrier, scheme);
}

static inline void expect_counts(size_t heads, size_t notes)
{
	assert_int_equal(drive.heads_len, heads);
	assert_int_equal(drive.notes_len, notes);
}

/* Note `i`: something was left out of a head that goes on. */
static inline void expect_note(size_t i, enum tt_drop reason)
{
	assert_true(i < drive.notes_len);
	assert_int_equal(drive.notes[i].reason, reason);
	assert_false(drive.notes[i].bad);
}

/* Note `i`: the direction was lost here. */
static inline void expect_bad(size_t i, enum tt_drop reason, bool counted)
{
	assert_true(i < drive.notes_len);
	assert_int_equal(drive.notes[i].reason, reason);
	assert_true(drive.notes[i].bad);
	assert_int_equal(drive.notes[i].counted, counted);
}

#define H1_TEST(f) cmocka_unit_test_setup(f, h1_setup)

#endif
