/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks up classes, carriers and schemes by id, finds a class by prefix the way the kernel's LPM
 * trie does, and holds the carriers that the user's configuration adds. Knows nothing of keys.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "tokens/class.h"
#include "tokens/tables.h"

#define ADDED_MAX 64

/* Filled before the programs are loaded, by the one thread that reads the configuration. */
static struct carrier added[ADDED_MAX];
static char added_names[ADDED_MAX][CARRIER_NAME_MAX + 1];
static size_t added_count;

const struct token_class *class_get(uint16_t id)
{
	if (id == 0 || id > token_classes_count)
		return NULL;
	return &token_classes[id - 1];
}

size_t class_count(void)
{
	return token_classes_count;
}

uint16_t class_of(const void *bytes, size_t len)
{
	size_t best_len = 0;
	uint16_t best = 0;

	for (size_t i = 0; i < token_classes_count; i++) {
		size_t prefix_len = strlen(token_classes[i].prefix);

		if (prefix_len <= best_len || prefix_len > len)
			continue;
		if (memcmp(bytes, token_classes[i].prefix, prefix_len) != 0)
			continue;
		best_len = prefix_len;
		best = i + 1;
	}
	/* The kernel asks the trie once: a wrong length does not fall back to a shorter prefix. */
	if (best &&
	    (len < token_classes[best - 1].min_len || len > token_classes[best - 1].max_len))
		return 0;
	return best;
}

const struct carrier *carrier_get(uint16_t id)
{
	if (id == 0 || id > carrier_count())
		return NULL;
	if (id <= token_carriers_count)
		return &token_carriers[id - 1];
	return &added[id - 1 - token_carriers_count];
}

size_t carrier_count(void)
{
	return token_carriers_count + added_count;
}

/* RFC 9110, 5.6.2: tchar. */
static bool is_field_name(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = name[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
			continue;
		if (!strchr("!#$%&'*+-.^_`|~", c))
			return false;
	}
	return len > 0 && len <= CARRIER_NAME_MAX;
}

/* The head readers look at these themselves: they stand in the kernel's table already (names.c). */
static bool is_control_field(const char *name)
{
	static const char *const names[] = {
		"host", "content-length", "transfer-encoding", "upgrade", "content-type",
		"grpc-status", "mcp-method", "mcp-name",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return false;
}

int carrier_add(enum tt_name_space space, const char *name)
{
	size_t len = strnlen(name, CARRIER_NAME_MAX + 1);

	if ((space != TT_NAME_HEADER && space != TT_NAME_PARAM) || !is_field_name(name, len))
		return -EINVAL;
	if (space == TT_NAME_HEADER && is_control_field(name))
		return -EINVAL;
	for (size_t id = 1; id <= carrier_count(); id++) {
		const struct carrier *c = carrier_get(id);

		/* The kernel hashes names without regard to case: one hash, one row. */
		if (c->space == space && strcasecmp(c->name, name) == 0)
			return -EEXIST;
	}
	if (added_count == ADDED_MAX)
		return -ENOSPC;

	for (size_t i = 0; i <= len; i++) {
		char c = name[i];

		if (space == TT_NAME_HEADER && c >= 'A' && c <= 'Z')
			c += 'a' - 'A';
		added_names[added_count][i] = c;
	}
	added[added_count] = (struct carrier){
		.space = space,
		.name = added_names[added_count],
		.unwrap = space == TT_NAME_HEADER ? TT_UNWRAP_WHOLE : TT_UNWRAP_PERCENT,
	};
	added_count++;
	return 0;
}

const struct scheme *scheme_get(uint8_t id)
{
	if (id == 0 || id > token_schemes_count)
		return NULL;
	return &token_schemes[id - 1];
}

size_t scheme_count(void)
{
	return token_schemes_count;
}
