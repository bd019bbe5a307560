/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/reload.h"

#include <string.h>

static bool same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool same_list(const struct text_list *a, const struct text_list *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (!same_text(a->items[i], b->items[i]))
			return false;
	return true;
}

static bool same_map(const struct text_map *a, const struct text_map *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (!same_text(a->names[i], b->names[i]) || !same_text(a->values[i], b->values[i]))
			return false;
	return true;
}

bool reload_same_tables(const struct config *a, const struct config *b)
{
	return a->suffixes == b->suffixes && same_list(&a->headers, &b->headers) && same_list(&a->parameters, &b->parameters) &&
	       same_map(&a->classes, &b->classes) && same_list(&a->endpoints, &b->endpoints);
}

bool reload_same_filters(const struct config *a, const struct config *b)
{
	return same_list(&a->include_cgroups, &b->include_cgroups) &&
	       same_list(&a->include_namespaces, &b->include_namespaces) &&
	       same_list(&a->include_executables, &b->include_executables) &&
	       same_list(&a->exclude_cgroups, &b->exclude_cgroups) &&
	       same_list(&a->exclude_namespaces, &b->exclude_namespaces) &&
	       same_list(&a->exclude_executables, &b->exclude_executables);
}

void reload_compare(const struct config *a, const struct config *b,
		    void (*differs)(const char *path, void *arg), void *arg)
{
#define COMPARE(path, same)                                                                        \
	do {                                                                                       \
		if (!(same))                                                                       \
			differs(path, arg);                                                        \
	} while (0);
#define TT_CONFIG_STR(m, path, ...) COMPARE(path, same_text(a->m, b->m))
#define TT_CONFIG_BOOL(m, path, ...) COMPARE(path, a->m == b->m)
#define TT_CONFIG_U64(m, path, ...) COMPARE(path, a->m == b->m)
#define TT_CONFIG_ENUM(m, path, ...) COMPARE(path, a->m == b->m)
#define TT_CONFIG_LIST(m, path, ...) COMPARE(path, same_list(&a->m, &b->m))
#define TT_CONFIG_MAP(m, path, ...) COMPARE(path, same_map(&a->m, &b->m))
#include <tokentrail/config.def>
#undef TT_CONFIG_STR
#undef TT_CONFIG_BOOL
#undef TT_CONFIG_U64
#undef TT_CONFIG_ENUM
#undef TT_CONFIG_LIST
#undef TT_CONFIG_MAP
#undef COMPARE
}
