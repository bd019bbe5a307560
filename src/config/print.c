/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings as a YAML file, with every one explained if asked: deploy/tokentrail.yaml is this
 * for the defaults. What it prints, yaml.c reads back as the same settings.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "config/settings.h"

#define HELP_WIDTH 94

static const char head[] = "# tokentrail settings. Every setting is here with its default; remove "
			   "what you don't change.\n"
			   "# Sizes take KiB, MiB, GiB; durations ms, s, min, h. An environment "
			   "variable wins over this\n"
			   "# file (TOKENTRAIL_KAFKA_BROKERS for kafka.brokers), an option on the "
			   "command line over both.\n"
			   "# Check a changed file: tokentrail doctor --config FILE. SIGHUP makes "
			   "a running sensor read it\n"
			   "# again; a wrong file is refused and the settings in force stay.\n";

/* Double-quoted, the one style that can hold any text. */
static void print_text(FILE *f, const char *text)
{
	fputc('"', f);
	for (; *text; text++) {
		unsigned char c = *text;

		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c == '\n')
			fputs("\\n", f);
		else if (c < 0x20 || c == 0x7f)
			fprintf(f, "\\x%02x", c);
		else
			fputc(c, f);
	}
	fputc('"', f);
}

static void print_wrapped(FILE *f, const char *text)
{
	while (*text) {
		size_t len = strlen(text);

		if (len > HELP_WIDTH) {
			for (len = HELP_WIDTH; len > 0 && text[len] != ' ';)
				len--;
			if (len == 0)
				len = HELP_WIDTH;
		}
		fprintf(f, "  # %.*s\n", (int)len, text);
		text += len;
		text += strspn(text, " ");
	}
}

static void print_u64(FILE *f, const struct setting *s, uint64_t value)
{
	char text[32];

	if (strcmp(s->unit, "bytes") == 0)
		text_print_bytes(value, text, sizeof(text));
	else if (strcmp(s->unit, "ms") == 0)
		text_print_ms(value, text, sizeof(text));
	else
		snprintf(text, sizeof(text), "%" PRIu64, value);
	fputs(text, f);
}

static void print_default(FILE *f, const struct setting *s)
{
	switch (s->type) {
	case SETTING_STR:
		print_text(f, s->text);
		break;
	case SETTING_ENUM:
		fputs(s->text, f);
		break;
	case SETTING_BOOL:
		fputs(s->number ? "true" : "false", f);
		break;
	case SETTING_U64:
		print_u64(f, s, s->number);
		break;
	case SETTING_LIST:
	case SETTING_MAP:
		fputs("empty", f);
		break;
	}
}

static void print_help(FILE *f, const struct setting *s)
{
	char expects[128];

	print_wrapped(f, s->help);
	fprintf(f, "  # Default ");
	print_default(f, s);
	fprintf(f, "; %s.\n", setting_expects(s, expects, sizeof(expects)));
}

static void print_list(FILE *f, const struct text_list *l)
{
	if (l->count == 0)
		fputs(" []", f);
	for (size_t i = 0; i < l->count; i++) {
		fputs("\n    - ", f);
		print_text(f, l->items[i]);
	}
}

static void print_map(FILE *f, const struct text_map *m)
{
	if (m->count == 0)
		fputs(" {}", f);
	for (size_t i = 0; i < m->count; i++) {
		fputs("\n    ", f);
		print_text(f, m->names[i]);
		fputs(": ", f);
		print_text(f, m->values[i]);
	}
}

static void print_value(FILE *f, const struct config *c, const struct setting *s)
{
	const void *member = setting_member_const(c, s);
	const char *start;
	size_t len;

	switch (s->type) {
	case SETTING_STR:
		fputc(' ', f);
		print_text(f, *(char *const *)member);
		break;
	case SETTING_BOOL:
		fputs(*(const bool *)member ? " true" : " false", f);
		break;
	case SETTING_U64:
		fputc(' ', f);
		print_u64(f, s, *(const uint64_t *)member);
		break;
	case SETTING_ENUM:
		len = choice_get(s->unit, *(const unsigned int *)member, &start);
		fprintf(f, " %.*s", (int)len, start);
		break;
	case SETTING_LIST:
		print_list(f, member);
		break;
	case SETTING_MAP:
		print_map(f, member);
		break;
	}
	fputc('\n', f);
}

/* config.def keeps the settings of a section together, and no section within a section. */
static void print_all(FILE *f, const struct config *c, bool with_help)
{
	const char *section = "";
	size_t section_len = 0;

	if (with_help)
		fputs(head, f);
	for (size_t i = 0; i < settings_count; i++) {
		const struct setting *s = &settings[i];
		size_t len = strcspn(s->path, ".");

		if (len != section_len || strncmp(s->path, section, len) != 0)
			fprintf(f, "%s%.*s:\n", with_help ? "\n" : "", (int)len, s->path);
		section = s->path;
		section_len = len;
		if (with_help)
			print_help(f, s);
		fprintf(f, "  %s:", s->path + len + 1);
		print_value(f, c, s);
	}
}

int config_print(const struct config *c, bool with_help, char **ret_text)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	FILE *f;

	f = open_memstream(&text, &len);
	if (!f)
		return -ENOMEM;
	print_all(f, c, with_help);
	if (ferror(f)) {
		fclose(f);
		return -ENOMEM;
	}
	if (fclose(f) != 0)
		return -ENOMEM;
	*ret_text = TAKE_PTR(text);
	return 0;
}
