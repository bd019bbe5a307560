/* SPDX-License-Identifier: Apache-2.0 */
/* From rows of text to the words that bpf/readers/mint_route.h compares. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <readers/fields.h>

#include "tokens/mint_rules.h"

#define ADDED_MAX 16	/* in force at a time */
#define ADDED_EVER 24	/* different ones in a process's life: a request that waits names its rule */
#define BEGIN_LEN 8
#define END_LEN 6
#define PART_MAX 32	/* bytes on either side of a '*' */

/* Filled by the one thread that reads the configuration. */
static struct mint_rule added[ADDED_EVER];
static char added_paths[ADDED_EVER][2 * PART_MAX + 2];
static bool in_force[ADDED_EVER], was_in_force[ADDED_EVER];
static size_t added_count, added_were;

void mint_rules_begin(void)
{
	memcpy(was_in_force, in_force, sizeof(in_force));
	memset(in_force, 0, sizeof(in_force));
	added_were = added_count;
}

void mint_rules_undo(void)
{
	memcpy(in_force, was_in_force, sizeof(in_force));
	added_count = added_were;
}

const char *mint_rule_own(size_t i)
{
	return i < added_count ? added_paths[i] : NULL;
}

struct parts {
	const char *begin, *end;
	size_t begin_len, end_len;
	bool exact;
};

const struct mint_rule *mint_rule_get(uint8_t id)
{
	if (id == 0 || id > mint_rules_count + added_count)
		return NULL;
	return id <= mint_rules_count ? &mint_rules[id - 1] : &added[id - 1 - mint_rules_count];
}

const struct mint_member *mint_member_get(uint8_t id)
{
	return id == 0 || id > mint_members_count ? NULL : &mint_members[id - 1];
}

static void split(const char *path, struct parts *ret)
{
	const char *star = strchr(path, '*');

	ret->begin = path;
	ret->exact = !star;
	ret->begin_len = star ? (size_t)(star - path) : strlen(path);
	ret->end = path + ret->begin_len + (star != NULL);
	ret->end_len = strlen(ret->end);
	/* A long exact path is its two halves. */
	if (ret->exact && ret->begin_len > PART_MAX) {
		ret->end = path + PART_MAX;
		ret->end_len = ret->begin_len - PART_MAX;
		ret->begin_len = PART_MAX;
	}
}

/* The endpoint's members are those of this row. */
static const struct mint_rule *oauth_rule(void)
{
	for (size_t i = 0; i < mint_rules_count; i++)
		if (strcmp(mint_rules[i].name, "oauth") == 0)
			return &mint_rules[i];
	return NULL;
}

int mint_rule_check(const char *path)
{
	size_t len = strnlen(path, 2 * PART_MAX + 2);
	struct parts p;

	if (len > 2 * PART_MAX || (path[0] != '/' && path[0] != '*'))
		return -EINVAL;
	for (const char *c = path; *c; c++)
		if (*c <= ' ' || *c >= 127 || *c == '?' || (*c == '*' && strchr(c + 1, '*')))
			return -EINVAL;
	split(path, &p);
	if (p.begin_len > PART_MAX || p.end_len > PART_MAX)
		return -EINVAL;
	return !p.exact && p.end_len < END_LEN && p.begin_len < BEGIN_LEN ? -EINVAL : 0;
}

/* Is the rule asked for now? */
static bool is_in_force(uint8_t id)
{
	return id <= mint_rules_count || in_force[id - 1 - mint_rules_count];
}

static uint64_t key_of(const struct mint_rule *r);

/* Rules that share the bytes by which they are found. */
static size_t same_key(uint64_t key)
{
	size_t n = 0;

	for (uint8_t id = 1; mint_rule_get(id); id++)
		n += is_in_force(id) && key_of(mint_rule_get(id)) == key;
	return n;
}

int mint_rule_add(const char *path)
{
	const struct mint_rule *like = oauth_rule();
	size_t now = 0, i = 0;
	int r = like ? mint_rule_check(path) : -EINVAL;

	if (r < 0)
		return r;
	for (uint8_t id = 1; mint_rule_get(id); id++) {
		now += id > mint_rules_count && is_in_force(id);
		if (is_in_force(id) && strcmp(mint_rule_get(id)->path, path) == 0 &&
		    (mint_rule_get(id)->methods & TT_MINT_POST))
			return -EEXIST;
	}
	while (i < added_count && strcmp(added_paths[i], path) != 0)
		i++;
	if (now == ADDED_MAX || i == ADDED_EVER)
		return -ENOSPC;
	if (i == added_count) {
		memcpy(added_paths[i], path, strlen(path) + 1);
		added[i] = *like;
		added[i].sure = false;
		added[i].path = added_paths[i];
	}
	if (same_key(key_of(&added[i])) >= TT_MINT_KEY_RULES)
		return -E2BIG;
	added_count += i == added_count;
	in_force[i] = true;
	return 0;
}

static uint64_t word_of(const char *bytes, size_t len)
{
	uint64_t word = 0;

	for (size_t i = 0; i < len && i < 8; i++)
		word |= (uint64_t)(uint8_t)bytes[i] << (8 * i);
	return word;
}

static void words_of(const char *bytes, size_t len, size_t count, __u64 *words, __u64 *masks)
{
	static const char ones[8] = { -1, -1, -1, -1, -1, -1, -1, -1 };

	for (size_t i = 0; i < count; i++) {
		size_t n = len > 8 * i ? len - 8 * i : 0;

		words[i] = word_of(bytes + (n ? 8 * i : 0), n);
		masks[i] = word_of(ones, n);
	}
}

static void fill_rule(const struct mint_rule *r, struct tt_mint_rule *to)
{
	struct parts p;

	split(r->path, &p);
	memset(to, 0, sizeof(*to));
	words_of(p.begin, p.begin_len, 4, to->prefix, to->prefix_mask);
	words_of(p.end, p.end_len, 4, to->suffix, to->suffix_mask);
	words_of(r->host, strlen(r->host), 2, to->host, to->host_mask);
	for (size_t i = 0; i < 2; i++)	/* as mint_host_fits() makes letters lower case */
		to->host[i] |= TT_NAME_LOWER & to->host_mask[i];
	to->prefix_len = p.begin_len;
	to->suffix_len = p.end_len;
	to->host_len = strlen(r->host);
	to->methods = r->methods;
	to->exact = p.exact;
	to->plain = r->plain;
	to->request_set = r->request_set;
	to->answer_set = r->answer_set;
}

/* Under which bytes a rule is found: a long beginning, the whole path, or its end. */
static uint64_t key_of(const struct mint_rule *r)
{
	struct parts p;

	split(r->path, &p);
	if (p.exact || p.begin_len >= BEGIN_LEN)
		return word_of(p.begin, p.begin_len);
	return TT_MINT_KEY_END | word_of(p.end + p.end_len - END_LEN, END_LEN);
}

static int put_keys(const struct mint_tables *to)
{
	int r = 0;

	for (uint8_t id = 1; r >= 0 && mint_rule_get(id); id++) {
		uint64_t key = key_of(mint_rule_get(id));
		struct tt_mint_key_val val = { { 0 } };
		size_t n = 0;

		if (!is_in_force(id))
			continue;
		for (uint8_t other = 1; mint_rule_get(other); other++) {
			if (!is_in_force(other) || key_of(mint_rule_get(other)) != key)
				continue;
			if (n == TT_MINT_KEY_RULES)
				return -E2BIG;
			val.rule[n++] = other;
		}
		if (val.rule[0] == id)	/* once for all that share it */
			r = to->key(key, &val, to->data);
	}
	return r;
}

static int put_member(const struct mint_tables *to, uint8_t id)
{
	const struct mint_member *m = &mint_members[id - 1];
	struct tt_mint_member_key key = { .hash = TT_NAME_SEED, .set = m->set };
	struct tt_mint_member_val val = { .id = id, .what = m->what };
	const char *name = m->path;
	size_t len = strlen(name), end;

	for (; (end = strcspn(name, ".")) < len; name += end + 1, len -= end + 1)
		key.hash = tt_name_mix(key.hash, tt_name_hash(name, end));
	key.hash = tt_name_mix(key.hash, tt_name_hash(name, len));
	return to->member(&key, &val, to->data);
}

int mint_tables_each(const struct mint_tables *to)
{
	int r = 0;

	for (uint8_t id = 1; r >= 0 && mint_rule_get(id); id++) {
		struct tt_mint_rule rule;

		fill_rule(mint_rule_get(id), &rule);
		r = to->rule(id, &rule, to->data);
	}
	for (size_t id = 1; r >= 0 && id <= mint_members_count; id++)
		r = put_member(to, id);
	return r < 0 ? r : put_keys(to);
}
