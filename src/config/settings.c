/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.def as a table, and what can be said of one setting: its value from text, what it
 * expects, which other it was mistaken for. Knows neither files nor the environment.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "config/settings.h"

#define AT(m) offsetof(struct config, m)
const struct setting settings[] = {
#define TT_CONFIG_STR(m, path, def, help) {SETTING_STR, path, AT(m), def, 0, 0, 0, "", help},
#define TT_CONFIG_BOOL(m, path, def, help) {SETTING_BOOL, path, AT(m), NULL, def, 0, 1, "", help},
#define TT_CONFIG_U64(m, path, def, min, max, unit, help)                                          \
	{SETTING_U64, path, AT(m), NULL, def, min, max, unit, help},
#define TT_CONFIG_ENUM(m, path, def, choices, help)                                                \
	{SETTING_ENUM, path, AT(m), def, 0, 0, 0, choices, help},
#define TT_CONFIG_LIST(m, path, help) {SETTING_LIST, path, AT(m), NULL, 0, 0, 0, "", help},
#define TT_CONFIG_MAP(m, path, help) {SETTING_MAP, path, AT(m), NULL, 0, 0, 0, "", help},
#include <tokentrail/config.def>
#undef TT_CONFIG_STR
#undef TT_CONFIG_BOOL
#undef TT_CONFIG_U64
#undef TT_CONFIG_ENUM
#undef TT_CONFIG_LIST
#undef TT_CONFIG_MAP
};
const size_t settings_count = sizeof(settings) / sizeof(settings[0]);

const struct setting *setting_find(const char *path)
{
	for (size_t i = 0; i < settings_count; i++) {
		if (strcmp(settings[i].path, path) == 0)
			return &settings[i];
	}
	return NULL;
}

bool setting_is_section(const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < settings_count; i++) {
		if (strncmp(settings[i].path, path, len) == 0 && settings[i].path[len] == '.')
			return true;
	}
	return false;
}

/* A candidate for "did you mean". */
struct guess {
	char name[64];
	size_t distance;
};

static void guess_add(struct guess *g, const char *path, const char *known, size_t known_len)
{
	char name[sizeof(g->name)];
	size_t distance;

	if (known_len >= sizeof(name))
		return;
	memcpy(name, known, known_len);
	name[known_len] = '\0';
	distance = text_distance(path, name);
	if (distance < g->distance || !g->name[0]) {
		memcpy(g->name, name, sizeof(name));
		g->distance = distance;
	}
}

void setting_explain_unknown(const char *path, struct config_error *ret_error)
{
	struct guess g = {.distance = SIZE_MAX};

	for (size_t i = 0; i < settings_count; i++) {
		const char *known = settings[i].path, *dot = strchr(known, '.');

		guess_add(&g, path, known, strlen(known));
		if (strchr(path, '.'))
			continue;
		guess_add(&g, path, known, dot - known); /* "kafak" means the section */
		if (strcmp(path, dot + 1) == 0) {	 /* the section was forgotten */
			memset(&g, 0, sizeof(g));
			guess_add(&g, known, known, strlen(known));
			break;
		}
	}
	if (text_is_slip(g.distance, strlen(path)))
		snprintf(ret_error->text, sizeof(ret_error->text),
			 "unknown setting '%.100s'; did you mean '%s'?", path, g.name);
	else
		snprintf(ret_error->text, sizeof(ret_error->text),
			 "unknown setting '%.100s'; tokentrail.yaml(5) lists all, the nearest is "
			 "'%s'",
			 path, g.name);
}

size_t choice_get(const char *choices, unsigned int index, const char **ret_start)
{
	while (index-- > 0) {
		choices += strcspn(choices, "|");
		if (*choices)
			choices++;
	}
	*ret_start = choices;
	return strcspn(choices, "|");
}

int choice_find(const char *choices, const char *name)
{
	const char *start;
	size_t len;

	for (int i = 0; (len = choice_get(choices, i, &start)) > 0; i++) {
		if (strlen(name) == len && memcmp(start, name, len) == 0)
			return i;
	}
	return -EINVAL;
}

static void print_number(const struct setting *s, uint64_t value, char *to, size_t size)
{
	if (strcmp(s->unit, "bytes") == 0)
		text_print_bytes(value, to, size);
	else if (strcmp(s->unit, "ms") == 0)
		text_print_ms(value, to, size);
	else
		snprintf(to, size, "%" PRIu64, value);
}

const char *setting_expects(const struct setting *s, char *buffer, size_t size)
{
	char min[32], max[32], or[40] = "";

	switch (s->type) {
	case SETTING_STR:
		return "a text";
	case SETTING_BOOL:
		return "true or false";
	case SETTING_ENUM:
		snprintf(buffer, size, "one of %s", s->unit);
		return buffer;
	case SETTING_LIST:
		return "a list of texts";
	case SETTING_MAP:
		return "name: text pairs";
	case SETTING_U64:
		break;
	}
	print_number(s, s->min, min, sizeof(min));
	print_number(s, s->max, max, sizeof(max));
	if (s->number < s->min)
		snprintf(or, sizeof(or), ", or %" PRIu64, s->number);
	snprintf(buffer, size, "%s from %s to %s%s%s",
		 strcmp(s->unit, "bytes") == 0 ? "a size"
		 : strcmp(s->unit, "ms") == 0  ? "a duration"
					       : "a number",
		 min, max,
		 strcmp(s->unit, "bytes") == 0 ? " (bytes, KiB, MiB or GiB)"
		 : strcmp(s->unit, "ms") == 0  ? " (ms, s, min or h)"
					       : "",
		 or);
	return buffer;
}

static int parse_bool(const char *text, bool *ret_value)
{
	static const char *const yes[] = {"true", "yes", "on"}, *const no[] = {"false", "no",
									       "off"};

	for (size_t i = 0; i < 3; i++) {
		if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
			*ret_value = strcasecmp(text, yes[i]) == 0;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_number(const struct setting *s, const char *text, uint64_t *ret_value)
{
	uint64_t value;
	int r;

	if (strcmp(s->unit, "bytes") == 0)
		r = text_parse_bytes(text, &value);
	else if (strcmp(s->unit, "ms") == 0)
		r = text_parse_ms(text, &value);
	else
		r = text_parse_u64(text, &value);
	if (r < 0)
		return r;
	if (!setting_allows(s, value))
		return -ERANGE;
	*ret_value = value;
	return 0;
}

bool text_has_control(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	}
	return false;
}

static int parse_text(const char *text, char **member)
{
	char *copy;

	if (text_has_control(text))
		return -EINVAL;
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	free(*member);
	*member = copy;
	return 0;
}

int setting_parse(struct config *c, const struct setting *s, const char *text,
		  struct config_error *ret_error)
{
	void *member = setting_member(c, s);
	char expects[128];
	int r = -EINVAL;

	switch (s->type) {
	case SETTING_STR:
		r = parse_text(text, member);
		break;
	case SETTING_BOOL:
		r = parse_bool(text, member);
		break;
	case SETTING_U64:
		r = parse_number(s, text, member);
		break;
	case SETTING_ENUM:
		r = choice_find(s->unit, text);
		if (r >= 0) {
			*(unsigned int *)member = r;
			r = 0;
		}
		break;
	case SETTING_LIST:
	case SETTING_MAP:
		break;
	}
	if (r == 0)
		return 0;
	if (r == -ENOMEM)
		snprintf(ret_error->text, sizeof(ret_error->text), "out of memory");
	else
		snprintf(ret_error->text, sizeof(ret_error->text),
			 "'%s' is '%.80s'%s; it must be %s%s", s->path,
			 text_has_control(text) ? "(control characters)" : text,
			 r == -ERANGE ? ", out of range" : "",
			 setting_expects(s, expects, sizeof(expects)),
			 s->type == SETTING_STR ? " without control characters" : "");
	return r == -ENOMEM ? r : -EINVAL;
}
