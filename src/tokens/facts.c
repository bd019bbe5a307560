/* SPDX-License-Identifier: Apache-2.0 */
#include "tokens/facts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tokens/use.h"

_Static_assert(FACTS <= 64, "a bit for each");

const struct fact_info fact_infos[FACTS] = {
#define FACT(kind, group, name) [FACT_##group##_##name] = { kind, #group, #name, #group "_" #name },
#define FACT_TEXT(group, name, meaning) FACT(FACT_KIND_TEXT, group, name)
#define FACT_LIST(group, name, meaning) FACT(FACT_KIND_LIST, group, name)
#define FACT_TIME(group, name, meaning) FACT(FACT_KIND_TIME, group, name)
#define FACT_NUMBER(group, name, meaning) FACT(FACT_KIND_NUMBER, group, name)
#include "tokens/facts.def"
#undef FACT_TEXT
#undef FACT_LIST
#undef FACT_TIME
#undef FACT_NUMBER
};

static const uint8_t number_at[FACTS] = {
#define FACT_TEXT(group, name, meaning)
#define FACT_LIST(group, name, meaning)
#define FACT_TIME(group, name, meaning) [FACT_##group##_##name] = FACT_NUMBER_##group##_##name,
#define FACT_NUMBER(group, name, meaning) [FACT_##group##_##name] = FACT_NUMBER_##group##_##name,
#include "tokens/facts.def"
};

static bool has_text(enum fact which)
{
	return fact_infos[which].kind == FACT_KIND_TEXT || fact_infos[which].kind == FACT_KIND_LIST;
}

static uint64_t bit(enum fact which)
{
	return UINT64_C(1) << which;
}

/* Where in f->text its text is, or would be. */
static size_t text_at(const struct facts *f, enum fact which)
{
	return (size_t)__builtin_popcountll(f->texts & (bit(which) - 1));
}

static size_t text_count(const struct facts *f)
{
	return (size_t)__builtin_popcountll(f->texts);
}

void facts_done(struct facts *f)
{
	for (size_t i = 0; i < text_count(f); i++)
		free(f->text[i]);
	free(f->text);
	*f = (struct facts){ 0 };
}

static void forget(struct facts *f, enum fact which)
{
	size_t at = text_at(f, which);

	if (!(f->texts & bit(which)))
		return;
	free(f->text[at]);
	memmove(f->text + at, f->text + at + 1, (text_count(f) - at - 1) * sizeof(*f->text));
	f->texts &= ~bit(which);
}

/* Takes the text over. */
static int insert(struct facts *f, enum fact which, char *text)
{
	size_t at = text_at(f, which), count = text_count(f);
	char **more = realloc(f->text, (count + 1) * sizeof(*f->text));

	if (!more) {
		free(text);
		return -ENOMEM;
	}
	memmove(more + at + 1, more + at, (count - at) * sizeof(*more));
	more[at] = text;
	f->text = more;
	f->texts |= bit(which);
	return 0;
}

static int replace(struct facts *f, enum fact which, const char *text)
{
	char *copy;

	if (!*text) {
		forget(f, which);
		return 0;
	}
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	if (!(f->texts & bit(which)))
		return insert(f, which, copy);
	free(f->text[text_at(f, which)]);
	f->text[text_at(f, which)] = copy;
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
	f->number[number_at[which]] = number;
}

const char *facts_text(const struct facts *f, enum fact which)
{
	return f->texts & bit(which) ? f->text[text_at(f, which)] : "";
}

uint64_t facts_number(const struct facts *f, enum fact which)
{
	return f->number[number_at[which]];
}

static bool is_known(const struct facts *f, enum fact which)
{
	return has_text(which) ? (f->texts & bit(which)) != 0 : facts_number(f, which) != 0;
}

bool facts_empty(const struct facts *f)
{
	for (size_t i = 0; i < FACT_NUMBERS; i++)
		if (f->number[i])
			return false;
	return !f->texts;
}

static bool same(const struct facts *a, const struct facts *b, enum fact which)
{
	if (has_text(which))
		return !strcmp(facts_text(a, which), facts_text(b, which));
	return facts_number(a, which) == facts_number(b, which);
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
			r = add_all(to, i, facts_text(from, i), ret_changed);
			if (r < 0)
				return r;
			continue;
		}
		*ret_changed = true;
		if (has_text(i))
			r = replace(to, i, facts_text(from, i));
		else
			facts_set_number(to, i, facts_number(from, i));
		if (r < 0)
			return r;
	}
	return 0;
}

size_t facts_size(const struct facts *f)
{
	size_t size = sizeof(*f);

	for (size_t i = 0; i < text_count(f); i++)
		size += sizeof(*f->text) + strlen(f->text[i]) + 1;
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
