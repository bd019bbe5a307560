/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf/readers/fields.h: a name's hash is the same by bytes and by words, with no regard to case,
 * and no two names that the monitor puts into the kernel's table fall together.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <readers/fields.h>

#include "h1_drive.h"
#include "tokens/class.h"
#include "tokens/names.h"

static uint64_t load(const char *p, size_t len)
{
	uint64_t w = 0;

	memcpy(&w, p, len);
	return w;
}

/* As the reader's fast way does it. */
static uint64_t hash_by_words(const char *name, size_t len)
{
	uint64_t hash = TT_NAME_SEED;
	size_t i;

	for (i = 0; i + 8 <= len; i += 8)
		hash = tt_name_mix(hash, load(name + i, 8) | TT_NAME_LOWER);
	if (i == len)
		return hash;
	return tt_name_mix(hash, load(name + i, len - i) | TT_NAME_LOWER >> (64 - 8 * (len - i)));
}

/* As the reader's slow way does it. */
static uint64_t hash_by_bytes(const char *name, size_t len)
{
	struct h1_head h;

	h1_name_start(&h);
	for (size_t i = 0; i < len; i++)
		h1_name_put(&h, name[i]);
	h1_name_end(&h);
	assert_int_equal(h.name_len, len);
	return h.name_hash;
}

static void words_equal_bytes(void **state)
{
	static const char tchars[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!";
	char name[255];

	srandom(20261123);
	for (size_t len = 0; len <= sizeof(name); len++)
		for (int round = 0; round < 20; round++) {
			for (size_t i = 0; i < len; i++)
				name[i] = tchars[random() % (sizeof(tchars) - 1)];
			assert_int_equal(tt_name_hash(name, len), hash_by_words(name, len));
			assert_int_equal(tt_name_hash(name, len), hash_by_bytes(name, len));
		}
}

static void case_is_no_matter(void **state)
{
	assert_int_equal(tt_name_hash("Proxy-Authorization", 19),
			 tt_name_hash("proxy-authorization", 19));
	assert_int_equal(tt_name_hash("X-API-KEY", 9), tt_name_hash("x-api-key", 9));
	assert_int_not_equal(tt_name_hash("x-api-key", 9), tt_name_hash("x-api-kez", 9));
	assert_int_not_equal(tt_name_hash("x-api-key", 9), tt_name_hash("x-api-ke", 8));
}

/* Longer names with the same beginning, and every single changed byte, are others. */
static void near_names_differ(void **state)
{
	static const char name[] = "x-goog-iam-authorization-token";
	size_t len = sizeof(name) - 1;
	uint64_t hash = tt_name_hash(name, len);
	char other[sizeof(name)];

	for (size_t i = 0; i < len; i++) {
		assert_int_not_equal(tt_name_hash(name, i), hash);
		memcpy(other, name, sizeof(name));
		other[i] ^= 1;
		assert_int_not_equal(tt_name_hash(other, len), hash);
	}
}

static struct drive_tables tables;

struct count {
	size_t all, control, space[TT_NAME_SUBPROTOCOL + 1];
	struct tt_name_val statics[62];
};

/* A row for each index of HPACK's static table, also for names that are nobody's business. */
static void check_static(const struct tt_name_key *key, const struct tt_name_val *val,
			 struct count *n)
{
	assert_in_range(key->hash, 1, 61);
	assert_int_equal(key->length, 0);
	assert_in_range(val->length, 3, 27);
	assert_int_equal(!val->id, !val->unwrap);
	n->statics[key->hash] = *val;
}

static int put_and_count(const struct tt_name_key *key, const struct tt_name_val *val, void *data)
{
	struct count *n = data;

	assert_in_range(key->space, TT_NAME_HEADER, TT_NAME_SUBPROTOCOL);
	if (key->space == TT_NAME_STATIC) {
		check_static(key, val, n);
	} else if (key->space == TT_NAME_ROUTE) {
		assert_int_equal(key->length, 0);
		assert_in_range(val->length, 1, TT_PATH_RULES_SAME);
		assert_in_range(val->id, 1, TT_PATH_RULES_MAX - 1);
	} else {
		assert_in_range(key->length, 1, 64);
		assert_int_not_equal(val->id, 0);
		assert_int_equal(!val->unwrap,
				 key->space == TT_NAME_SET_COOKIE || key->space == TT_NAME_AUTH_PARAM);
	}
	n->all++;
	n->control += key->space == TT_NAME_HEADER && val->id == 0xffff;
	n->space[key->space]++;
	return drive_put_name(key, val, &tables);
}

static void no_two_names_collide(void **state)
{
	struct count n = {0};

	memset(&tables, 0, sizeof(tables));
	assert_int_equal(names_each(put_and_count, &n), 0); /* -EEXIST if two had one key */
	assert_true(n.space[TT_NAME_HEADER] >= 50);
	assert_true(n.space[TT_NAME_PARAM] >= 10);
	assert_true(n.space[TT_NAME_SCHEME] >= 10);
	assert_true(n.space[TT_NAME_COOKIE] >= 90);
	assert_int_equal(n.space[TT_NAME_SET_COOKIE], n.space[TT_NAME_COOKIE]);
	assert_true(n.space[TT_NAME_AUTH_PARAM] >= 10);
	assert_int_equal(n.space[TT_NAME_SUFFIX], 4);
	assert_int_equal(n.space[TT_NAME_SUBPROTOCOL], 4);
	assert_int_equal(n.space[TT_NAME_STATIC], 61);
	assert_true(n.space[TT_NAME_ROUTE] >= 8);
	assert_in_range(n.all, 1, 1024 - CARRIERS_ADDED_MAX);	/* the kernel's table has room for so many */
}

static struct h1_answer find_header(const char *name)
{
	return drive_find_name(&tables, tt_name_hash(name, strlen(name)), strlen(name),
			       TT_NAME_HEADER);
}

/* What the readers look at themselves can be no credential of the user's as well: two rows of one
 * key. Who adds a name to names.c finds here that class.c and config.c have to refuse it. */
static void control_fields_are_refused(void **state)
{
	static const char *const names[] = {
		"host", "content-length", "transfer-encoding", "upgrade", "content-type",
		"grpc-status", "mcp-method", "mcp-name", "cookie", ":method", ":path", ":authority",
		":scheme", ":status", ":protocol",
	};
	struct count n = {0};

	memset(&tables, 0, sizeof(tables));
	assert_int_equal(names_each(put_and_count, &n), 0);
	assert_int_equal(n.control, sizeof(names) / sizeof(names[0]));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(find_header(names[i]).id, 0xffff);
		assert_int_equal(carrier_add(TT_NAME_HEADER, names[i]), -EINVAL);
	}
	for (uint8_t said = 1; said < 64; said++) {
		const char *name = names_said(said);

		if (!*name)
			continue;
		assert_int_equal(find_header(name).id, said);
		assert_int_equal(find_header(name).unwrap, TT_CONTROL_SAID);
		assert_int_equal(carrier_add(TT_NAME_HEADER, name), -EINVAL);
	}
}

/* RFC 7541, appendix A: an index says the same as the name that it stands for. */
static void static_names_are_the_names(void **state)
{
	static const struct {
		int index;
		const char *name;
	} rows[] = {
		{ 1, ":authority" }, { 2, ":method" }, { 3, ":method" }, { 4, ":path" },
		{ 5, ":path" }, { 6, ":scheme" }, { 8, ":status" }, { 14, ":status" },
		{ 23, "authorization" }, { 28, "content-length" }, { 31, "content-type" },
		{ 38, "host" }, { 49, "proxy-authorization" }, { 57, "transfer-encoding" },
		{ 55, "set-cookie" }, { 61, "www-authenticate" },
	};
	struct count n = {0};

	memset(&tables, 0, sizeof(tables));
	assert_int_equal(names_each(put_and_count, &n), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct tt_name_val *val = &n.statics[rows[i].index];
		struct h1_answer named = find_header(rows[i].name);

		assert_int_not_equal(named.id, 0);
		assert_int_equal(val->id, named.id);
		assert_int_equal(val->unwrap, named.unwrap);
		assert_int_equal(val->length, strlen(rows[i].name));
	}
	assert_int_equal(n.statics[15].id, 0);	/* accept-charset */
	assert_int_equal(n.statics[15].length, 14);
	assert_int_equal(n.statics[61].length, 16);	/* www-authenticate */
}

/* The kernel's key has space and length too, but the hash alone should do. */
static uint64_t seen[DRIVE_NAMES];
static size_t seen_len;

static int put_hash(const struct tt_name_key *key, const struct tt_name_val *val, void *data)
{
	for (size_t i = 0; i < seen_len; i++)
		if (seen[i] == (key->hash ^ key->space))
			return -EEXIST;
	assert_in_range(seen_len, 0, DRIVE_NAMES - 1);
	seen[seen_len++] = key->hash ^ key->space;
	return 0;
}

static void hashes_differ_within_a_space(void **state)
{
	seen_len = 0;
	assert_int_equal(names_each(put_hash, NULL), 0);
}

static int refuse(const struct tt_name_key *key, const struct tt_name_val *val, void *data)
{
	++*(int *)data;
	return -EEXIST;
}

static void first_refusal_ends_it(void **state)
{
	int calls = 0;

	assert_int_equal(names_each(refuse, &calls), -EEXIST);
	assert_int_equal(calls, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_equal_bytes),
		cmocka_unit_test(case_is_no_matter),
		cmocka_unit_test(near_names_differ),
		cmocka_unit_test(no_two_names_collide),
		cmocka_unit_test(static_names_are_the_names),
		cmocka_unit_test(control_fields_are_refused),
		cmocka_unit_test(hashes_differ_within_a_space),
		cmocka_unit_test(first_refusal_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
