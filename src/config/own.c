/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the settings add to the tables of classes, carriers and token endpoints: each entry by itself, so
 * that a fault has its place in the file, and all of them together.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config/settings.h"
#include "tokens/class.h"
#include "tokens/mint_rules.h"
#include "tokens/names.h"

#define FIELD_NAME_MAX 48

static bool is_field_name(const char *name)
{
	size_t len = strspn(name, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
				  "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

	return len > 0 && len <= FIELD_NAME_MAX && name[len] == '\0' && !names_is_field(name);
}

static int fail_class(const char *name, const char *why, struct config_error *ret_error)
{
	snprintf(ret_error->text, sizeof(ret_error->text), "'credentials.classes': class '%.40s': %s", name, why);
	return -EINVAL;
}

static int fail_name(const char *path, const char *name, const char *why, struct config_error *ret_error)
{
	snprintf(ret_error->text, sizeof(ret_error->text), "'%s': '%.60s' %s", path, name, why);
	return -EINVAL;
}

static int check_endpoint(const char *path, struct config_error *ret_error)
{
	if (mint_rule_check(path) == 0)
		return 0;
	return fail_name("mints.endpoints", path, "is no path: it must be /... or * and the path's end, of at least "
			 "six characters, without '?'; at most 32 characters on either side of *", ret_error);
}

int own_check(const char *setting, const char *text, const char *value, struct config_error *ret_error)
{
	const char *why;

	if (strcmp(setting, "credentials.headers") == 0 || strcmp(setting, "credentials.parameters") == 0)
		return is_field_name(text) ? 0 :
			fail_name(setting, text, "is no name (letters, digits and !#$%&'*+-.^_`|~, at most 48)",
				  ret_error);
	if (strcmp(setting, "mints.endpoints") == 0)
		return check_endpoint(text, ret_error);
	if (strcmp(setting, "credentials.classes") == 0 && class_check(text, value, &why) < 0)
		return fail_class(text, why, ret_error);
	return 0;
}

static int check_list(const struct text_list *l, const char *path, size_t most, struct config_error *ret_error)
{
	int r = 0;

	if (l->count > most) {
		snprintf(ret_error->text, sizeof(ret_error->text), "'%s' has %zu entries; at most %zu fit", path,
			 l->count, most);
		return -EINVAL;
	}
	for (size_t i = 0; i < l->count && r == 0; i++)
		r = own_check(path, l->items[i], NULL, ret_error);
	return r;
}

int own_check_all(const struct config *c, struct config_error *ret_error)
{
	int r = check_list(&c->headers, "credentials.headers", CARRIERS_ADDED_MAX, ret_error);

	if (r == 0)
		r = check_list(&c->parameters, "credentials.parameters", CARRIERS_ADDED_MAX, ret_error);
	if (r == 0)
		r = check_list(&c->endpoints, "mints.endpoints", 16, ret_error);
	for (size_t i = 0; i < c->classes.count && r == 0; i++)
		r = own_check("credentials.classes", c->classes.names[i], c->classes.values[i], ret_error);
	return r;
}

/* A name that is in the table already is watched already. */
static int add_names(enum tt_name_space space, const struct text_list *names, const char *path,
		     struct config_error *ret_error)
{
	for (size_t i = 0; i < names->count; i++) {
		int r = carrier_add(space, names->items[i]);

		if (r == -ENOSPC)
			return fail_name(path, names->items[i], "is one too many: 64 fields and parameters fit, and 128 "
					 "different ones since the start (a restart makes room)", ret_error);
		if (r < 0 && r != -EEXIST)
			return fail_name(path, names->items[i], "is no name", ret_error);
	}
	return 0;
}

static int add_classes(const struct text_map *classes, struct config_error *ret_error)
{
	for (size_t i = 0; i < classes->count; i++) {
		const char *why = "";

		if (class_add(classes->names[i], classes->values[i], &why) < 0)
			return fail_class(classes->names[i], why, ret_error);
	}
	return 0;
}

static int add_endpoints(const struct text_list *paths, struct config_error *ret_error)
{
	for (size_t i = 0; i < paths->count; i++) {
		int r = mint_rule_add(paths->items[i]);

		if (r == -ENOSPC)
			return fail_name("mints.endpoints", paths->items[i], "is one too many: 16 fit, and 24 different "
					 "ones since the start (a restart makes room)", ret_error);
		if (r == -E2BIG)
			return fail_name("mints.endpoints", paths->items[i], "is one too many that begin or end alike; "
					 "eight fit", ret_error);
		if (r < 0 && r != -EEXIST)
			return check_endpoint(paths->items[i], ret_error);
	}
	return 0;
}

int config_tables(const struct config *c, struct config_error *ret_error)
{
	int r;

	class_begin();
	mint_rules_begin();
	carrier_suffixes(c->suffixes);
	r = add_names(TT_NAME_HEADER, &c->headers, "credentials.headers", ret_error);
	if (r == 0)
		r = add_names(TT_NAME_PARAM, &c->parameters, "credentials.parameters", ret_error);
	if (r == 0)
		r = add_classes(&c->classes, ret_error);
	if (r == 0)
		r = add_endpoints(&c->endpoints, ret_error);
	if (r < 0)
		config_tables_undo();
	return r;
}

void config_tables_undo(void)
{
	class_undo();
	mint_rules_undo();
}
