/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table behind struct config, for the files of this folder only: one row per line of
 * config.def, with the offset of its member.
 */
#ifndef TT_CONFIG_SETTINGS_H
#define TT_CONFIG_SETTINGS_H

#include "config/config.h"

enum setting_type {
	SETTING_STR,
	SETTING_BOOL,
	SETTING_U64,
	SETTING_ENUM,
	SETTING_LIST,
	SETTING_MAP
};

struct setting {
	enum setting_type type;
	const char *path; /* "section.key" */
	size_t offset;
	const char *text; /* default of STR and ENUM; choices "a|b|c" are in unit for ENUM */
	uint64_t number;  /* default of BOOL and U64 */
	uint64_t min, max;
	const char *unit;
	const char *help;
};

extern const struct setting settings[];
extern const size_t settings_count;

const struct setting *setting_find(const char *path);
bool setting_is_section(const char *path);
/* "unknown setting 'x'; ..." with the setting or section most like it. */
void setting_explain_unknown(const char *path, struct config_error *ret_error);

static inline void *setting_member(struct config *c, const struct setting *s)
{
	return (char *)c + s->offset;
}
static inline const void *setting_member_const(const struct config *c, const struct setting *s)
{
	return (const char *)c + s->offset;
}

/* Is the number one that a U64 may have? Its default always is: 0 stands for "not given" in some. */
static inline bool setting_allows(const struct setting *s, uint64_t value)
{
	return value == s->number || (value >= s->min && value <= s->max);
}

/* Gives a STR, BOOL, U64 or ENUM its value from text. -EINVAL with *ret_error a sentence without
 * place: "must be ...". */
int setting_parse(struct config *c, const struct setting *s, const char *text,
		  struct config_error *ret_error);
/* What a value of this setting looks like: "a size such as 4MiB". */
const char *setting_expects(const struct setting *s, char *buffer, size_t size);
/* Position of a choice in "a|b|c"; -EINVAL. The other way: length of the index'th, at *ret_start.
 */
int choice_find(const char *choices, const char *name);
size_t choice_get(const char *choices, unsigned int index, const char **ret_start);

/* Is this entry of a setting right? `text` is a list's entry or a pair's name, `value` the pair's. -EINVAL
 * with *ret_error a sentence without place. */
int own_check(const char *setting, const char *text, const char *value, struct config_error *ret_error);
int own_check_all(const struct config *c, struct config_error *ret_error);

int list_add(struct text_list *l, const char *text);
int map_put(struct text_map *m, const char *name, const char *value); /* replaces */
void list_clear(struct text_list *l);
void map_clear(struct text_map *m);
bool text_has_control(const char *text);

#endif
