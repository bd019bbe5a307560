/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the settings from a YAML file through libyaml and says exactly where one is wrong. The
 * file belongs to root but may hold anything: a wrong one changes nothing.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <yaml.h>

#include "base/cleanup.h"
#include "config/settings.h"

#define PATH_LEN 128
#define FILE_MAX (1024 * 1024)

struct loader {
	struct config *c;
	yaml_document_t *doc;
	const char *file;
	struct config_error *error;
	bool *seen; /* one per setting: dotted and nested spelling are the same setting */
};

static int fail_at(struct loader *l, const yaml_mark_t *mark, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail_at(struct loader *l, const yaml_mark_t *mark, const char *fmt, ...)
{
	char text[sizeof(l->error->text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(l->error->text, sizeof(l->error->text), "%.200s:%zu:%zu: %.290s", l->file,
		 mark->line + 1, mark->column + 1, text);
	return -EINVAL;
}

static int fail_memory(struct loader *l)
{
	snprintf(l->error->text, sizeof(l->error->text), "%.200s: out of memory", l->file);
	return -ENOMEM;
}

static bool is_null(const yaml_node_t *n)
{
	const char *text = (const char *)n->data.scalar.value;

	return n->type == YAML_SCALAR_NODE && n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       (!*text || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
}

/* A scalar's text; NULL for lists and mappings and for text with a NUL inside. */
static const char *scalar_text(const yaml_node_t *n)
{
	if (n->type != YAML_SCALAR_NODE ||
	    memchr(n->data.scalar.value, '\0', n->data.scalar.length))
		return NULL;
	return (const char *)n->data.scalar.value;
}

static int fail_expected(struct loader *l, const struct setting *s, const yaml_node_t *n)
{
	static const char *const found[] = {
		[YAML_SCALAR_NODE] = "a single value",
		[YAML_SEQUENCE_NODE] = "a list",
		[YAML_MAPPING_NODE] = "a section",
	};
	char expects[128];

	return fail_at(l, &n->start_mark, "'%s' is %s; it must be %s", s->path,
		       is_null(n)		      ? "empty"
		       : n->type <= YAML_MAPPING_NODE ? found[n->type]
						      : "nothing",
		       setting_expects(s, expects, sizeof(expects)));
}

static int apply_list(struct loader *l, const struct setting *s, const yaml_node_t *n)
{
	struct text_list *list = setting_member(l->c, s);
	struct config_error why;

	list_clear(list);
	if (is_null(n))
		return 0;
	if (n->type != YAML_SEQUENCE_NODE)
		return fail_expected(l, s, n);
	for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top;
	     i++) {
		const yaml_node_t *item = yaml_document_get_node(l->doc, *i);
		const char *text = scalar_text(item);

		if (!text || !*text || text_has_control(text))
			return fail_at(l, &item->start_mark,
				       "'%s' has an entry that is no text; "
				       "each must be one line of text",
				       s->path);
		if (own_check(s->path, text, NULL, &why) < 0)
			return fail_at(l, &item->start_mark, "%s", why.text);
		if (list_add(list, text) < 0)
			return fail_memory(l);
	}
	return 0;
}

static int apply_map(struct loader *l, const struct setting *s, const yaml_node_t *n)
{
	struct text_map *map = setting_member(l->c, s);
	struct config_error why;

	map_clear(map);
	if (is_null(n))
		return 0;
	if (n->type != YAML_MAPPING_NODE)
		return fail_expected(l, s, n);
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top;
	     p++) {
		const yaml_node_t *key = yaml_document_get_node(l->doc, p->key);
		const yaml_node_t *value = yaml_document_get_node(l->doc, p->value);
		const char *name = scalar_text(key), *text = scalar_text(value);
		size_t before = map->count;

		if (!name || !*name || text_has_control(name))
			return fail_at(l, &key->start_mark, "'%s' has a name that is no text",
				       s->path);
		if (!text)
			return fail_at(l, &value->start_mark,
				       "'%s': the value of '%.60s' must be a text%s",
				       s->path, name, strcmp(s->path, "kafka.settings") == 0 ?
				       "; write names with dots, such as ssl.ca.location" : "");
		if (own_check(s->path, name, text, &why) < 0)
			return fail_at(l, &value->start_mark, "%s", why.text);
		if (map_put(map, name, text) < 0)
			return fail_memory(l);
		if (map->count == before)
			return fail_at(l, &key->start_mark,
				       "'%s': '%.60s' stands twice; remove one", s->path, name);
	}
	return 0;
}

static int apply_setting(struct loader *l, const struct setting *s, const yaml_node_t *key,
			 const yaml_node_t *value)
{
	struct config_error why;
	const char *text;
	int r;

	if (l->seen[s - settings])
		return fail_at(l, &key->start_mark, "'%s' stands twice; remove one", s->path);
	l->seen[s - settings] = true;

	if (s->type == SETTING_LIST)
		return apply_list(l, s, value);
	if (s->type == SETTING_MAP)
		return apply_map(l, s, value);
	text = scalar_text(value);
	if (!text || (is_null(value) && s->type != SETTING_STR))
		return fail_expected(l, s, value);
	r = setting_parse(l->c, s, is_null(value) ? "" : text, &why);
	if (r == -ENOMEM)
		return fail_memory(l);
	return r < 0 ? fail_at(l, &value->start_mark, "%s", why.text) : 0;
}

static int fail_unknown(struct loader *l, const char *path, const yaml_node_t *key)
{
	struct config_error why;

	setting_explain_unknown(path, &why);
	return fail_at(l, &key->start_mark, "%s", why.text);
}

static int check_twice(struct loader *l, const yaml_node_t *mapping, const yaml_node_pair_t *pair)
{
	const yaml_node_t *key = yaml_document_get_node(l->doc, pair->key);

	for (yaml_node_pair_t *p = mapping->data.mapping.pairs.start; p < pair; p++) {
		const yaml_node_t *other = yaml_document_get_node(l->doc, p->key);

		if (strcmp(scalar_text(other), scalar_text(key)) == 0)
			return fail_at(l, &key->start_mark,
				       "'%.60s' stands twice, first in line %zu; join them",
				       scalar_text(key), other->start_mark.line + 1);
	}
	return 0;
}

/* Recursion ends with the paths of config.def: what no path begins with is an error, so aliases
 * that point back up can't make it endless. */
static int apply_section(struct loader *l, const yaml_node_t *n, const char *prefix)
{
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top;
	     p++) {
		const yaml_node_t *key = yaml_document_get_node(l->doc, p->key);
		const yaml_node_t *value = yaml_document_get_node(l->doc, p->value);
		const char *name = scalar_text(key);
		const struct setting *s;
		char path[PATH_LEN];
		int r;

		if (!name || !*name || text_has_control(name))
			return fail_at(l, &key->start_mark,
				       "a setting's name must be a plain text");
		r = check_twice(l, n, p);
		if (r < 0)
			return r;
		snprintf(path, sizeof(path), "%s%s%.80s", prefix, *prefix ? "." : "", name);
		s = setting_find(path);
		if (s)
			r = apply_setting(l, s, key, value);
		else if (!setting_is_section(path))
			r = fail_unknown(l, path, key);
		else if (value->type == YAML_MAPPING_NODE)
			r = apply_section(l, value, path);
		else if (!is_null(value))
			r = fail_at(l, &value->start_mark,
				    "'%s' is a section; put its settings below it, indented", path);
		if (r < 0)
			return r;
	}
	return 0;
}

static int apply_document(struct loader *l)
{
	const yaml_node_t *root = yaml_document_get_root_node(l->doc);

	if (!root || is_null(root))
		return 0; /* an empty file changes nothing */
	if (root->type != YAML_MAPPING_NODE)
		return fail_at(l, &root->start_mark, "the file must be 'name: value' pairs");
	memset(l->seen, 0, settings_count * sizeof(*l->seen));
	return apply_section(l, root, "");
}

/* Tries the whole document on a configuration of its own first: a wrong file is refused whole. */
static int apply_whole(struct loader *l)
{
	struct config *wanted = l->c, trial;
	_cleanup_free_ bool *seen = calloc(settings_count, sizeof(*seen));
	int r;

	if (!seen || config_init(&trial) < 0)
		return fail_memory(l);
	l->seen = seen;
	l->c = &trial;
	r = apply_document(l);
	config_done(&trial);
	l->c = wanted;
	return r < 0 ? r : apply_document(l);
}

static int fail_syntax(struct loader *l, const yaml_parser_t *parser)
{
	if (parser->error == YAML_MEMORY_ERROR)
		return fail_memory(l);
	if (parser->error == YAML_READER_ERROR) {
		snprintf(l->error->text, sizeof(l->error->text),
			 "%.200s: byte %zu: %s; the file must be UTF-8 text", l->file,
			 parser->problem_offset, parser->problem ? parser->problem : "unreadable");
		return -EINVAL;
	}
	return fail_at(l, &parser->problem_mark, "not YAML: %s%s%s",
		       parser->problem ? parser->problem : "unreadable", parser->context ? " " : "",
		       parser->context ? parser->context : "");
}

static int load_documents(struct loader *l, yaml_parser_t *parser)
{
	yaml_document_t doc, more;
	const yaml_node_t *root;
	int r;

	if (!yaml_parser_load(parser, &doc))
		return fail_syntax(l, parser);
	l->doc = &doc;
	if (!yaml_parser_load(parser, &more)) {
		r = fail_syntax(l, parser);
	} else {
		root = yaml_document_get_root_node(&more);
		if (root)
			r = fail_at(l, &root->start_mark, "a second document; only one is read");
		else
			r = apply_whole(l);
		yaml_document_delete(&more);
	}
	yaml_document_delete(&doc);
	return r;
}

static int open_file(struct loader *l, FILE **ret_file)
{
	_cleanup_fclose_ FILE *f = fopen(l->file, "re");
	struct stat st;
	int r = 0;

	if (!f || fstat(fileno(f), &st) < 0)
		r = -errno;
	else if (S_ISDIR(st.st_mode))
		r = -EISDIR;
	else if (st.st_size > FILE_MAX)
		r = -EFBIG;
	if (r < 0) {
		snprintf(l->error->text, sizeof(l->error->text), "%.200s: %s", l->file,
			 strerror(-r));
		return r;
	}
	*ret_file = TAKE_PTR(f);
	return 0;
}

int config_load_file(struct config *c, const char *path, struct config_error *ret_error)
{
	struct loader l = {.c = c, .file = path, .error = ret_error};
	_cleanup_fclose_ FILE *f = NULL;
	yaml_parser_t parser;
	int r;

	r = open_file(&l, &f);
	if (r < 0)
		return r;
	if (!yaml_parser_initialize(&parser))
		return fail_memory(&l);
	yaml_parser_set_input_file(&parser, f);
	r = load_documents(&l, &parser);
	yaml_parser_delete(&parser);
	return r;
}
