/* SPDX-License-Identifier: Apache-2.0 */
#include "tokens/routes.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <readers/route.h>

#include "tokens/class.h"

#define ANY "{}"	/* the name of any segment, and the end of all others */

static bool is_any(const struct carrier *c)
{
	return strcmp(c->name, ANY) == 0;
}

/* The next place that is a rule; 0: that was the last. */
static uint16_t next_rule(uint16_t id)
{
	while ((id = carrier_next(id))) {
		const struct carrier *c = carrier_get(id);

		if (c->space == TT_NAME_PATH && !is_any(c))
			return id;
	}
	return 0;
}

static int put_words(const char *text, size_t len, __u64 words[TT_PATH_WORDS], __u64 masks[TT_PATH_WORDS])
{
	if (len > 8 * TT_PATH_WORDS)
		return -EINVAL;
	memcpy(words, text, len);
	memset(masks, 0xff, len);
	return 0;
}

/* Classes of the rows that name this place. */
static int put_classes(uint16_t id, struct tt_path_rule *rule)
{
	size_t n = 0;

	for (uint16_t row = 1; row <= class_count(); row++) {
		if (!class_is_at(row, carrier_get(id)->name))
			continue;
		if (n == TT_PATH_CLASSES)
			return -ENOSPC;
		rule->class_id[n++] = row;
	}
	return n ? 0 : -EINVAL;
}

/* A path's first "*" ends its prefix, behind its last one stands its suffix, in front of {} its lead. */
static int make_rule(uint16_t id, struct tt_path_rule *ret_rule)
{
	const char *name = carrier_get(id)->name, *star = strchr(name, '*'), *last = strrchr(name, '/');
	const char *end = name + strlen(name) - strlen(ANY), *after = strrchr(name, '*');
	struct tt_path_rule rule = {.carrier = id};
	size_t lead;
	int r;

	if (!last || end < last + 1 || strcmp(end, ANY) != 0)
		return -EINVAL;
	lead = (size_t)(end - last - 1);
	rule.prefix_len = (uint8_t)((star ? star : last + 1) - name);
	rule.suffix_len = (uint8_t)(after ? last - after : 0);
	if (lead > 7)
		return -EINVAL;
	rule.lead_len = (uint8_t)lead;
	memcpy(&rule.lead, last + 1, lead);
	memset(&rule.lead_mask, 0xff, lead);
	for (const char *p = name; p <= last; p++)
		rule.depth += *p == '/';
	r = put_words(name, rule.prefix_len, rule.prefix, rule.prefix_mask);
	if (r == 0 && after)
		r = put_words(after + 1, rule.suffix_len, rule.suffix, rule.suffix_mask);
	if (r == 0)
		r = put_classes(id, &rule);
	if (r == 0)
		*ret_rule = rule;
	return r;
}

/* As h1_route_key() has it; 0: it can't be told by that. */
static uint64_t key_of(uint16_t id)
{
	const char *name = carrier_get(id)->name;
	size_t len = strcspn(name, "*{");
	uint64_t key = 0;

	if (strchr(name + 1, '/')) {
		memcpy(&key, name, len < 8 ? 0 : 8);
		return key;
	}
	memcpy(&key, name, len < 4 ? 0 : 4);
	return key;
}

/* Keys in the order in which they come first. */
static uint16_t first_of(uint64_t key)
{
	uint16_t id = next_rule(0);

	while (id && key_of(id) != key)
		id = next_rule(id);
	return id;
}

static int each_of_key(uint64_t key, uint32_t *number,
		       int (*put)(uint32_t id, const struct tt_path_rule *rule, void *data), void *data)
{
	uint32_t first = *number;

	for (uint16_t id = first_of(key); id; id = next_rule(id)) {
		struct tt_path_rule rule;
		int r;

		if (key_of(id) != key)
			continue;
		if (*number == TT_PATH_RULES_MAX || *number - first == TT_PATH_RULES_SAME)
			return -ENOSPC;
		r = make_rule(id, &rule);
		if (r == 0 && put)
			r = put(*number, &rule, data);
		if (r < 0)
			return r;
		++*number;
	}
	return 0;
}

int routes_each(int (*put)(uint32_t id, const struct tt_path_rule *rule, void *data), void *data)
{
	struct tt_path_rule any = {0};
	uint32_t number = 1;
	int r;

	for (uint16_t id = carrier_next(0); id; id = carrier_next(id))
		if (carrier_get(id)->space == TT_NAME_PATH && is_any(carrier_get(id)))
			any.carrier = id;
	if (!any.carrier)
		return -EINVAL;
	r = put(0, &any, data);
	for (uint16_t id = next_rule(0); r >= 0 && id; id = next_rule(id)) {
		if (!key_of(id))
			return -EINVAL;
		if (first_of(key_of(id)) == id)
			r = each_of_key(key_of(id), &number, put, data);
	}
	return r < 0 ? r : 0;
}

int routes_keys(int (*put)(uint64_t key, uint32_t first, uint32_t count, void *data), void *data)
{
	uint32_t number = 1;
	int r = 0;

	for (uint16_t id = next_rule(0); r >= 0 && id; id = next_rule(id)) {
		uint32_t first = number;

		if (first_of(key_of(id)) != id)
			continue;
		r = each_of_key(key_of(id), &number, NULL, NULL);
		if (r >= 0)
			r = put(key_of(id), first, number - first, data);
	}
	return r < 0 ? r : 0;
}

static int add_bit(uint64_t key, uint32_t first, uint32_t count, void *data)
{
	uint64_t *bits = data;

	*bits |= h1_route_bit(key);
	return 0;
}

uint64_t routes_filter(void)
{
	uint64_t bits = 0;

	return routes_keys(add_bit, &bits) < 0 ? ~0ULL : bits;
}
