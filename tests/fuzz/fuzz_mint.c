/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer target for bpf/readers/mint.h. The first byte says how the rest, a body, is cut. The body is
 * read at once, byte by byte and so cut, and all must tell the same; and what jansson says of a JSON body
 * is the truth: the same tokens at the same paths, no more and no less.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "../lib/mint_drive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const paths[][4] = {
	{ "token" }, { "access_token" }, { "a", "b" }, { "a", "b", "c" },
	{ "k", "1" }, { "k", "2", "1" },	/* of protobuf, of kind "k" */
	{ "scope" }, { "list" }, { "k", "2", "3" }, { "k", "4" },
	{ "k", "2" },
};
#define TOKENS 6	/* the first of them */
#define MESSAGES 1	/* the last */
#define PATHS (sizeof(paths) / sizeof(paths[0]))

static struct mint_drive_tables tables;
static struct mint_drive once, bytewise, cut;

static void fail(const char *what)
{
	fprintf(stderr, "%s\n", what);
	abort();
}

static void fill_tables(void)
{
	for (size_t i = 0; i < PATHS; i++) {
		struct tt_mint_member_key key = { .hash = TT_NAME_SEED, .set = 1 };
		struct tt_mint_member_val val = { .id = i + 1, .what = i < TOKENS		? TT_MINT_TOKEN
									: i < PATHS - MESSAGES ? TT_MINT_TEXT
											       : TT_MINT_MESSAGE };

		for (size_t k = 0; paths[i][k]; k++)
			key.hash = tt_name_mix(key.hash, tt_name_hash(paths[i][k], strlen(paths[i][k])));
		if (mint_drive_put(&key, &val, &tables) < 0)
			fail("the table");
	}
	tables.class_prefix = "eyJ";
}

/* As the reader's hash takes names: with this bit set. */
static int same_name(const char *a, const char *b)
{
	for (; *a && *b; a++, b++)
		if ((*a | 0x20) != (*b | 0x20))
			return 0;
	return *a == *b;
}

static int odd_bytes(const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((uint8_t)bytes[i] >= 128 || !bytes[i])
			return 1;
	return 0;
}

/* The tokens jansson sees below `value`, in any order; -1: more than fit, or one that the reader may refuse. */
static int truth(const json_t *value, const char *const *path, size_t row, struct tt_mint_cred *cred, int n)
{
	const char *name;
	json_t *member;

	if (!*path) {
		struct tt_mint_cred *c = &cred[n];

		if (!json_is_string(value) || !json_string_length(value))
			return n;
		if (n == TT_MINT_CREDS_MAX || odd_bytes(json_string_value(value), json_string_length(value)))
			return -1;
		c->length = mint_drive_len(json_string_value(value), json_string_length(value));
		mint_drive_sip(&once, json_string_value(value), c->length, c->token);
		c->member = row + 1;
		return n + 1;
	}
	json_object_foreach((json_t *)value, name, member) {
		if (odd_bytes(name, strlen(name)))
			return -1;
		if (n >= 0 && same_name(name, *path))
			n = truth(member, path + 1, row, cred, n);
	}
	return n;
}

static void compare_json(const uint8_t *bytes, size_t size)
{
	struct tt_mint_cred want[TT_MINT_CREDS_MAX + 1];
	json_t *root = json_loadb((const char *)bytes, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	int n = 0;

	/* jansson passes over a NUL that follows a number. */
	if (!root || memchr(bytes, 0, size)) {
		json_decref(root);
		return;
	}
	if (!(once.body.flags & TT_MINT_WHOLE) && once.body.depth < MINT_DEPTH_MAX)
		fail("valid JSON was not read to its end");
	if (!(once.body.flags & TT_MINT_WHOLE))
		n = -1;
	for (size_t i = 0; i < TOKENS && n >= 0; i++)
		n = truth(root, paths[i], i, want, n);
	json_decref(root);
	if (n < 0)
		return;
	if (n != once.body.creds)
		fail("jansson sees another number of tokens");
	for (int i = 0; i < n; i++) {
		int found = 0;

		for (int k = 0; k < n; k++)
			found |= once.body.cred[k].token[0] == want[i].token[0] &&
				 once.body.cred[k].token[1] == want[i].token[1] &&
				 once.body.cred[k].length == want[i].length && once.body.cred[k].member == want[i].member;
		if (!found)
			fail("jansson sees another token");
	}
}

static void compare(const struct mint_drive *a, const struct mint_drive *b)
{
	if (a->body.flags != b->body.flags || a->body.creds != b->body.creds || a->body.text_len != b->body.text_len)
		fail("cut otherwise it tells another thing");
	if (memcmp(a->body.cred, b->body.cred, a->body.creds * sizeof(a->body.cred[0])) ||
	    memcmp(a->body.text, b->body.text, a->body.text_len))
		fail("cut otherwise it tells other tokens or texts");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t plain, most;

	if (!tables.count)
		fill_tables();
	if (size < 1 || size > 16384)
		return 0;
	plain = data[0] & 1;
	most = 2 + (data[0] >> 1);
	mint_drive_begin(&once, &tables, 1, plain);
	mint_drive_all(&once, data + 1, size - 1, 0);
	mint_drive_begin(&bytewise, &tables, 1, plain);
	bytewise.poison = '\n';
	mint_drive_all(&bytewise, data + 1, size - 1, 1);
	mint_drive_begin(&cut, &tables, 1, plain);
	cut.poison = '}';
	mint_drive_all(&cut, data + 1, size - 1, most);
	if (once.broken || bytewise.broken || cut.broken)
		fail("an invariant did not hold");
	compare(&once, &bytewise);
	compare(&once, &cut);
	compare_json(data + 1, size - 1);
	return 0;
}
