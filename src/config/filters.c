/* SPDX-License-Identifier: Apache-2.0 */
#include "config/filters.h"

#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define PATTERN_MAX 512

uint32_t filters_by(const struct config *c)
{
	uint32_t by = 0;

	if (c->include_executables.count || c->exclude_executables.count)
		by |= TT_FILTER_BY_EXE;
	if (c->include_cgroups.count || c->exclude_cgroups.count || filters_by_namespace(c))
		by |= TT_FILTER_BY_CGROUP;
	return by;
}

bool filters_by_namespace(const struct config *c)
{
	return c->include_namespaces.count || c->exclude_namespaces.count;
}

bool filters_path_matches(const char *pattern, const char *path)
{
	char part[PATH_MAX];
	const char *end = path;

	/* Each directory on the way, and the path itself: "/" is above all. */
	while (*end) {
		end += 1 + strcspn(end + 1, "/");
		if ((size_t)(end - path) >= sizeof(part))
			return false;
		memcpy(part, path, (size_t)(end - path));
		part[end - path] = '\0';
		if (fnmatch(pattern, part, FNM_PATHNAME | FNM_NOESCAPE) == 0)
			return true;
	}
	return strcmp(pattern, "/") == 0;
}

static bool matches_name(const char *pattern, const char *name)
{
	return name[0] && fnmatch(pattern, name, FNM_NOESCAPE) == 0;
}

static bool any(const struct text_list *l, bool (*matches)(const char *, const char *), const char *text)
{
	for (size_t i = 0; i < l->count; i++)
		if (matches(l->items[i], text))
			return true;
	return false;
}

/* What one kind of thing says: exclude wins. */
static enum tt_filter_verdict judge(const struct text_list *include, const struct text_list *exclude,
				    bool (*matches)(const char *, const char *), const char *text)
{
	if (!include->count && !exclude->count)
		return TT_FILTER_WATCH;
	if (!text)
		return TT_FILTER_UNKNOWN;
	if (any(exclude, matches, text) || (include->count && !any(include, matches, text)))
		return TT_FILTER_LEAVE;
	return TT_FILTER_WATCH;
}

enum tt_filter_verdict filters_executable(const struct config *c, const char *path)
{
	return judge(&c->include_executables, &c->exclude_executables, filters_path_matches, path);
}

enum tt_filter_verdict filters_cgroup(const struct config *c, const char *path, const char *namespace)
{
	enum tt_filter_verdict a, b;

	a = judge(&c->include_cgroups, &c->exclude_cgroups, filters_path_matches, path);
	b = judge(&c->include_namespaces, &c->exclude_namespaces, matches_name, namespace);
	if (a == TT_FILTER_LEAVE || b == TT_FILTER_LEAVE)
		return TT_FILTER_LEAVE;
	return a == TT_FILTER_WATCH ? b : a;
}

/* ---- settings ---- */

static int fail(struct config_error *ret_error, const char *setting, const char *pattern, const char *why)
{
	snprintf(ret_error->text, sizeof(ret_error->text), "'%s': '%.100s' %s", setting, pattern, why);
	return -EINVAL;
}

static int check_paths(const struct text_list *l, const char *setting, struct config_error *ret_error)
{
	for (size_t i = 0; i < l->count; i++) {
		const char *pattern = l->items[i];
		size_t len = strlen(pattern);

		if (pattern[0] != '/')
			return fail(ret_error, setting, pattern, "is no path: it must begin with /");
		if (len > 1 && pattern[len - 1] == '/')
			return fail(ret_error, setting, pattern, "ends in /: what is below a path is meant anyway");
		if (strstr(pattern, "//") || strstr(pattern, "**"))
			return fail(ret_error, setting, pattern, "has // or ** in it; * stands for one name, and what "
				    "is below a path is meant anyway");
		if (len >= PATTERN_MAX)
			return fail(ret_error, setting, pattern, "is too long");
	}
	return 0;
}

static int check_names(const struct text_list *l, const char *setting, struct config_error *ret_error)
{
	for (size_t i = 0; i < l->count; i++) {
		const char *pattern = l->items[i];

		/* RFC 1123's labels, as Kubernetes has them. */
		if (!pattern[0] || strlen(pattern) > 63 ||
		    strspn(pattern, "abcdefghijklmnopqrstuvwxyz0123456789-*?[]!^") != strlen(pattern))
			return fail(ret_error, setting, pattern, "is no name of a namespace, or pattern for one (a-z, "
				    "0-9, -, *, ?, [...]; at most 63 characters)");
	}
	return 0;
}

int filters_check(const struct config *c, struct config_error *ret_error)
{
	int r;

	r = check_paths(&c->include_cgroups, "include.cgroups", ret_error);
	if (r == 0)
		r = check_paths(&c->exclude_cgroups, "exclude.cgroups", ret_error);
	if (r == 0)
		r = check_paths(&c->include_executables, "include.executables", ret_error);
	if (r == 0)
		r = check_paths(&c->exclude_executables, "exclude.executables", ret_error);
	if (r == 0)
		r = check_names(&c->include_namespaces, "include.namespaces", ret_error);
	return r < 0 ? r : check_names(&c->exclude_namespaces, "exclude.namespaces", ret_error);
}
