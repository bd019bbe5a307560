/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of a token beyond its uses (facts.def). Facts come one after the other, from a
 * JWT's claims, from the answer that minted it, from response heads, from who uses it; a later one
 * takes the place of an earlier one of the same name. One that is not known is "" or 0.
 *
 * Texts are valid UTF-8 without control characters: the setters see to that. One that is too long
 * is cut; a list drops what does not fit any more (token.notes then has "cut_" and the list's name), elements
 * it has already, and empty ones.
 */
#ifndef TT_TOKENS_FACTS_H
#define TT_TOKENS_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FACTS_TEXT_MAX 255
#define FACTS_LIST_MAX 1023
#define FACTS_LIST_SEPARATOR '\n'

enum fact {
#define FACT_TEXT(group, name, meaning) FACT_##group##_##name,
#define FACT_LIST(group, name, meaning) FACT_##group##_##name,
#define FACT_TIME(group, name, meaning) FACT_##group##_##name,
#define FACT_NUMBER(group, name, meaning) FACT_##group##_##name,
#include "tokens/facts.def"
#undef FACT_TEXT
#undef FACT_LIST
#undef FACT_TIME
#undef FACT_NUMBER
	FACTS
};

enum fact_kind { FACT_KIND_TEXT, FACT_KIND_LIST, FACT_KIND_TIME, FACT_KIND_NUMBER };

struct fact_info {
	enum fact_kind kind;
	const char *group, *name;
	const char *column;	/* group_name */
};
extern const struct fact_info fact_infos[FACTS];

/* Times and numbers in the order of facts.def. */
enum fact_number {
#define FACT_TEXT(group, name, meaning)
#define FACT_LIST(group, name, meaning)
#define FACT_TIME(group, name, meaning) FACT_NUMBER_##group##_##name,
#define FACT_NUMBER(group, name, meaning) FACT_NUMBER_##group##_##name,
#include "tokens/facts.def"
#undef FACT_TEXT
#undef FACT_LIST
#undef FACT_TIME
#undef FACT_NUMBER
	FACT_NUMBERS
};

/* All zero: nothing is known. The texts belong to it: facts_done(). Of most tokens little is known, so there
 * is room for the texts that are. */
struct facts {
	uint64_t texts;		/* bit per fact: its text is known */
	char **text;		/* of these, in their order */
	uint64_t number[FACT_NUMBERS];
};

void facts_done(struct facts *f);

/* 0 or -ENOMEM; then the fact is as it was. */
int facts_set_text(struct facts *f, enum fact which, const void *bytes, size_t len);
int facts_add(struct facts *f, enum fact list, const void *bytes, size_t len);	/* one element */
void facts_set_number(struct facts *f, enum fact which, uint64_t number);	/* times too */

const char *facts_text(const struct facts *f, enum fact which);	/* a list with its separators; "" */
uint64_t facts_number(const struct facts *f, enum fact which);
bool facts_empty(const struct facts *f);	/* nothing is known */

/* Every fact of `from` into `to`; a list is replaced as a whole, but for those that responses add to
 * (token.needed_scopes, token.answers). *ret_changed: `to` says something
 * else now. -ENOMEM: some are in it, some not. */
int facts_merge(struct facts *to, const struct facts *from, bool *ret_changed);

struct token;
/* When anything of the token was seen last: a use, its minting, its revocation, a list's row; 0. */
uint64_t token_time(const struct token *t);

/* Approximate bytes that its texts take. */
size_t facts_size(const struct facts *f);

#endif
