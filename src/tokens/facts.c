/* SPDX-License-Identifier: Apache-2.0 */
#include "tokens/facts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tokens/use.h"

const struct fact_info fact_infos[FACTS] = {
#define FACT(kind, group, name) [FACT_##group##_##name] = { kind, #group, #name, #group "_" #name },
#define FACT_TEXT(group, name, meaning) FACT(FACT_KIND_TEXT, group, name)
#define FACT_LIST(group, name, meaning) FACT(FACT_KIND_LIST, group, name)
#define FACT_TIME(group, name, meaning) FACT(FACT_KIND_TIME, group, name)
#define FACT_NUMBER(group, name, meaning) FACT(FACT_KIND_NUMBER, group, name)
#include "tokens/facts.def"
};

static bool has_text(enum fact which)
{
	return fact_infos[which].kind == FACT_KIND_TEXT || fact_infos[which].kind == FACT_KIND_LIST;
}

void facts_done(struct facts *f)
{
	for (int i = 0; i < FACTS; i++)
		if (has_text(i))
			free(f->value[i].text);
	*f = (struct facts){ 0 };
}

static int replace(struct facts *f, enum fact which, const char *text)
{
	char *copy = NULL;

	if (*text) {
		copy = strdup(text);
		if (!copy)
			return -ENOMEM;
	}
	free(f->value[which].text);
	f->value[which].text = copy;
	return 0;
}

int facts_set_text(struct facts *f, enum fact which, const void *bytes, size_t len)
{
	char text[FACTS_TEXT_MAX + 1];

	use_set_text(text, sizeof(text), bytes, len);
	return replace(f, which, text);
}

/* Is the element in the list already? */
static bool has_element(const char *list, const char *element)
{
	size_t len = strlen(element);

	for (const char *p = list; p; p = strchr(p, FACTS_LIST_SEPARATOR)) {
		if (*p == FACTS_LIST_SEPARATOR)
			p++;
		if (!strncmp(p, element, len) && (!p[len] || p[len] == FACTS_LIST_SEPARATOR))
			return true;
	}
	return false;
}

/* What a list had no room for is told by its name, so that nobody takes the rest for all of it. */
static int note_cut(struct facts *f, enum fact list)
{
	char note[64];

	if (list == FACT_token_notes)
		return 0;
	snprintf(note, sizeof(note), "cut_%s", fact_infos[list].name);
	return facts_add(f, FACT_token_notes, note, strlen(note));
}

int facts_add(struct facts *f, enum fact list, const void *bytes, size_t len)
{
	char element[FACTS_TEXT_MAX + 1], all[FACTS_LIST_MAX + 1];
	const char *old = facts_text(f, list);
	size_t used = strlen(old), size;

	use_set_text(element, sizeof(element), bytes, len);
	size = strlen(element);
	if (!size || has_element(old, element))
		return 0;
	if (used + size + 1 > FACTS_LIST_MAX)
		return note_cut(f, list);
	memcpy(all, old, used);
	if (used)
		all[used++] = FACTS_LIST_SEPARATOR;
	memcpy(all + used, element, size + 1);
	return replace(f, list, all);
}

void facts_set_number(struct facts *f, enum fact which, uint64_t number)
{
	f->value[which].number = number;
}

const char *facts_text(const struct facts *f, enum fact which)
{
	return f->value[which].text ? f->value[which].text : "";
}

uint64_t facts_number(const struct facts *f, enum fact which)
{
	return f->value[which].number;
}

static bool is_known(const struct facts *f, enum fact which)
{
	return has_text(which) ? *facts_text(f, which) : f->value[which].number != 0;
}

bool facts_empty(const struct facts *f)
{
	for (int i = 0; i < FACTS; i++)
		if (is_known(f, i))
			return false;
	return true;
}

static bool same(const struct facts *a, const struct facts *b, enum fact which)
{
	if (has_text(which))
		return !strcmp(facts_text(a, which), facts_text(b, which));
	return a->value[which].number == b->value[which].number;
}

/* Elements of these come one by one, from one response and another. */
static bool adds_up(enum fact which)
{
	return which == FACT_token_needed_scopes || which == FACT_token_answers;
}

static int add_all(struct facts *to, enum fact list, const char *from, bool *ret_changed)
{
	size_t before = strlen(facts_text(to, list));
	int r = 0;

	for (size_t n; *from && r == 0; from += n + (from[n] == FACTS_LIST_SEPARATOR)) {
		n = strcspn(from, (char[]){ FACTS_LIST_SEPARATOR, 0 });
		r = facts_add(to, list, from, n);
	}
	*ret_changed |= strlen(facts_text(to, list)) != before;
	return r;
}

int facts_merge(struct facts *to, const struct facts *from, bool *ret_changed)
{
	*ret_changed = false;
	for (int i = 0; i < FACTS; i++) {
		int r = 0;

		if (!is_known(from, i) || same(to, from, i))
			continue;
		if (adds_up(i)) {
			r = add_all(to, i, from->value[i].text, ret_changed);
			if (r < 0)
				return r;
			continue;
		}
		*ret_changed = true;
		if (has_text(i))
			r = replace(to, i, from->value[i].text);
		else
			to->value[i].number = from->value[i].number;
		if (r < 0)
			return r;
	}
	return 0;
}

size_t facts_size(const struct facts *f)
{
	size_t size = sizeof(*f);

	for (int i = 0; i < FACTS; i++)
		if (has_text(i) && f->value[i].text)
			size += strlen(f->value[i].text) + 1;
	return size;
}

uint64_t token_time(const struct token *t)
{
	static const enum fact times[] = { FACT_minted_time, FACT_revoked_time, FACT_listed_time };
	uint64_t last = t->last_ns;

	for (size_t i = 0; t->facts && i < sizeof(times) / sizeof(times[0]); i++)
		if (facts_number(t->facts, times[i]) > last)
			last = facts_number(t->facts, times[i]);
	return last;
}
