/* SPDX-License-Identifier: Apache-2.0 */
#include "tokens/decide.h"

#include <string.h>

struct seen {
	const struct tt_cred *cred;
	const struct carrier *carrier;
	const struct scheme *scheme;
	const char *host;
};

/* "*.example.com" stands for all below it, "*" for any, known or not. */
static bool host_fits(const char *host, const char *pattern, size_t len)
{
	size_t host_len = strlen(host);

	if (len == 1 && pattern[0] == '*')
		return true;
	if (len > 2 && pattern[0] == '*') {
		pattern++;
		len--;
		return host_len > len && memcmp(host + host_len - len, pattern, len) == 0;
	}
	return host_len == len && memcmp(host, pattern, len) == 0;
}

static bool carrier_fits(const struct carrier *c, const char *name, size_t len)
{
	const char *before = c ? carrier_prefix(c->space) : "";
	size_t skip = strlen(before);

	return c && len >= skip && memcmp(before, name, skip) == 0 && strlen(c->name) == len - skip &&
	       memcmp(c->name, name + skip, len - skip) == 0;
}

/* Does one of the places of "a,@b,$c" fit? */
static bool where_fits(const struct seen *s, const char *where)
{
	if (*where == '!')
		where++;
	while (*where) {
		size_t len = strcspn(where, ",");

		if (*where == '@' ? carrier_fits(s->carrier, where + 1, len - 1) :
		    *where == '$' ? s->scheme && strlen(s->scheme->name) == len - 1 &&
					    memcmp(s->scheme->name, where + 1, len - 1) == 0 :
				    host_fits(s->host, where, len))
			return true;
		where += len;
		where += *where == ',';
	}
	return false;
}

static bool length_fits(const struct seen *s, const struct token_class *c)
{
	return s->cred->length >= c->min_len && s->cred->length <= c->max_len;
}

static bool has_prefix(const struct token_class *c)
{
	return c && c->prefix[0];
}

/* What the kernel said is among those that the row is about. */
static bool is_told_of(const struct token_class *row, const struct token_class *said)
{
	const char *list = row->told_of;

	if (strcmp(list, "*") == 0)
		return !has_prefix(said) || strcmp(said->name, "generic_sk") == 0;
	while (said && *list) {
		size_t len = strcspn(list, ",");

		if (strlen(said->name) == len && memcmp(said->name, list, len) == 0)
			return true;
		list += len;
		list += *list == ',';
	}
	return false;
}

/* A class that place and shape tell together. */
static const struct token_class *find_told(const struct seen *s, const struct token_class *said)
{
	const struct token_class *c;

	if (has_prefix(said) && strcmp(said->provider, "any") != 0)
		return NULL;
	for (size_t i = 0; (c = class_told(i)); i++)
		if (length_fits(s, c) && is_told_of(c, said) && where_fits(s, c->where))
			return c;
	return NULL;
}

/* Every character of `a` is one of `b`: both are lists of ranges as in "0-9a-f_-". */
static bool has_chars(const char *chars, unsigned char c)
{
	for (; *chars; chars++) {
		bool range = chars[1] == '-' && chars[2];

		if (c >= (unsigned char)chars[0] && c <= (unsigned char)chars[range ? 2 : 0])
			return true;
		chars += range ? 2 : 0;
	}
	return false;
}

static bool has_mark(const struct token_class *c, uint8_t at, char is)
{
	for (int i = 0; at && i < TT_CLASS_MARKS; i++)
		if (c->at[i] == at && c->is[i] == is)
			return true;
	return false;
}

/* Whatever fits row `a` fits row `b` of the same prefix, but for its length. */
static bool is_within(const struct token_class *a, const struct token_class *b)
{
	if (b->dots && b->dots != a->dots)
		return false;
	for (int i = 0; i < TT_CLASS_MARKS; i++) {
		if (b->at[i] && !has_mark(a, b->at[i], b->is[i]))
			return false;
		if (a->at[i] && !has_chars(b->chars, (unsigned char)a->is[i]) &&
		    !has_mark(b, a->at[i], a->is[i]))
			return false;
	}
	for (int c = ' '; c < 127; c++)
		if (has_chars(a->chars, (unsigned char)c) && !has_chars(b->chars, (unsigned char)c))
			return false;
	return true;
}

/* The kernel's row needs a place that this is not: another one of the same prefix may do, if it surely
 * fits. Nothing but the kernel saw the bytes. */
static const struct token_class *find_other(const struct seen *s, const struct token_class *said)
{
	const struct token_class *plain = NULL;

	for (uint16_t id = 1; id <= class_count(); id++) {
		const struct token_class *c = class_get(id);

		if (c->told_of || !length_fits(s, c) || strcmp(c->prefix, said->prefix) != 0 ||
		    !is_within(said, c))
			continue;
		if (c->where[0] == '!' && where_fits(s, c->where))
			return c;
		if (c->where[0] != '!' && !plain)
			plain = c;
	}
	return plain;
}

/* What stands for a key that signs requests: is the class one of such ids? Else all that is known is that. */
static const struct token_class *key_class(const struct seen *s, const struct token_class *c)
{
	const struct token_class *told;

	if (c && (strcmp(c->kind, "key_id") == 0 || strcmp(c->kind, "placeholder") == 0))
		return c;
	for (size_t i = 0; (told = class_told(i)); i++)
		if (strcmp(told->kind, "key_id") == 0 && where_fits(s, told->where))
			return told;
	return NULL;
}

static enum confidence how_sure(const struct seen *s, const struct token_class *c)
{
	if (c->told_of || (!has_prefix(c) && strcmp(c->provider, "any") == 0) ||
	    strcmp(c->name, "generic_sk") == 0)
		return CONFIDENCE_LOW;
	if ((s->cred->flags & TT_CRED_CHECKSUM_OK) || where_fits(s, c->where))
		return CONFIDENCE_HIGH;
	return CONFIDENCE_MEDIUM;
}

static const char *kind_of(const struct seen *s, const struct token_class *c)
{
	if (c && c->kind[0])
		return c->kind;
	return s->carrier ? s->carrier->kind : "";
}

/* Where only the ending of a name says that it may be a credential, a word or a number is none. */
#define SUFFIX_LENGTH_MIN 8

static bool is_suffix(const struct carrier *c)
{
	return c && c->space == TT_NAME_SUFFIX;
}

/* What stands where a credential may stand: is it one? A path that has a webhook's shape at another host has none;
 * a parameter that is one at some hosts only is of a class
 * that is known there, or of a provider's by its bytes; nothing is concluded from a name like "key" alone. */
static bool is_one(const struct seen *s, const struct token_class *c)
{
	const struct carrier *carrier = s->carrier;

	if (!carrier || carrier->space == TT_NAME_HEADER)
		return true;
	if (is_suffix(carrier))
		return c || s->cred->length >= SUFFIX_LENGTH_MIN;
	if (carrier->space == TT_NAME_PATH)
		return c;
	if (carrier->where[0] != '!')
		return true;
	if (carrier->space == TT_NAME_COOKIE)
		return c || where_fits(s, carrier->where);
	if (!c)
		return false;
	if (has_prefix(c) && strcmp(c->provider, "any") != 0)
		return true;
	return where_fits(s, c->where) && where_fits(s, carrier->where);
}

void class_decide(const struct tt_cred *cred, const struct carrier *carrier, const struct scheme *scheme,
		  const char *host, struct verdict *ret_verdict)
{
	const struct seen s = { cred, carrier, scheme, host };
	const struct token_class *said = class_get(cred->class_id), *c, *told;

	*ret_verdict = (struct verdict){ .class_name = "", .kind = "" };
	if (cred->flags & TT_CRED_UNREADABLE)
		return;
	c = said;
	if (c && c->where[0] == '!' && !where_fits(&s, c->where))
		c = find_other(&s, c);
	/* In a path it is one of those that stand there, or none. */
	told = carrier && carrier->space == TT_NAME_PATH ? NULL :
	       scheme && scheme_is_signed(scheme) ? key_class(&s, c) : find_told(&s, c);
	if (told)
		c = told;
	ret_verdict->kind = kind_of(&s, c);
	ret_verdict->none = !is_one(&s, c);
	if (!c) {
		ret_verdict->class_name = is_suffix(carrier) ? "generic_header" :
					  carrier && carrier->where[0] && !where_fits(&s, carrier->where) ?
						  "generic_param" : "opaque";
		ret_verdict->confidence = CONFIDENCE_LOW;
		return;
	}
	ret_verdict->class_name = c->name;
	ret_verdict->placeholder = strcmp(c->kind, "placeholder") == 0;
	ret_verdict->confidence = how_sure(&s, c);
}
