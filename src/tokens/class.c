/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks up classes, carriers and schemes by id, makes the tables that the kernel tells classes by, does
 * what the kernel does with them, and holds the classes and carriers that the user's configuration adds.
 * Knows nothing of keys.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <readers/shape.h>

#include "tokens/class.h"
#include "tokens/names.h"
#include "tokens/tables.h"

#define OWN_ROWS_MAX 8	/* of the configuration, for one prefix */

struct own_class {
	struct token_class class;
	char name[32], prefix[TT_PREFIX_LEN + 1], chars[96], kind[32], where[256];
	char spec[512];
};
struct own_carrier {
	struct carrier carrier;
	char name[CARRIER_NAME_MAX + 1];
};

/* What the configuration adds, and has added since the start: a row stays, since a record that is on its
 * way, an entry of an HPACK table or a row of the inventory may name it long after it is in force no more.
 * Filled by the one thread that reads the configuration. */
#define OWN_CLASSES (2 * CLASSES_ADDED_MAX)
#define OWN_CARRIERS (2 * CARRIERS_ADDED_MAX)
static struct own_class own[OWN_CLASSES];
static struct own_carrier added[OWN_CARRIERS];
struct row_state {
	bool in_force, was;
};
static struct row_state own_state[OWN_CLASSES], added_state[OWN_CARRIERS];
static size_t own_count, added_count, own_were, added_were;
static bool suffixes = true, suffixes_were = true;

static void rows_begin(struct row_state *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		rows[i] = (struct row_state){.was = rows[i].in_force};
}

static void rows_undo(struct row_state *rows, size_t *count, size_t were)
{
	for (size_t i = 0; i < *count; i++)
		rows[i] = (struct row_state){.in_force = i < were && rows[i].was};
	*count = were;
}

void class_begin(void)
{
	rows_begin(own_state, own_count);
	rows_begin(added_state, added_count);
	own_were = own_count;
	added_were = added_count;
	suffixes_were = suffixes;
	suffixes = true;
}

void class_undo(void)
{
	rows_undo(own_state, &own_count, own_were);
	rows_undo(added_state, &added_count, added_were);
	suffixes = suffixes_were;
}

const struct token_class *class_get(uint16_t id)
{
	size_t i = (size_t)id - 1 - token_classes_count;

	if (id > 0 && id <= token_classes_count)
		return &token_classes[id - 1];
	return id == 0 || i >= own_count ? NULL : &own[i].class;
}

size_t class_count(void)
{
	return token_classes_count;
}

const struct token_class *class_told(size_t i)
{
	return i < token_told_count ? &token_classes[token_told[i] - 1] : NULL;
}

static size_t ids_end(void)
{
	return token_classes_count + own_count;
}

static bool is_path(const struct token_class *c)
{
	return c->prefix[0] == CLASS_PATH;
}

bool class_is_at(uint16_t id, const char *place)
{
	const struct token_class *c = class_get(id);

	return c && is_path(c) && strcmp(c->prefix + 1, place) == 0;
}

/* The row, if it is one that the kernel compares credentials with now. */
static const struct token_class *pattern(size_t id)
{
	const struct token_class *c = class_get((uint16_t)id);

	if (!c || c->told_of)
		return NULL;
	if (is_path(c))	/* its place's rule has it */
		return NULL;
	if (id > token_classes_count && !own_state[id - 1 - token_classes_count].in_force)
		return NULL;
	return c;
}

/* ---- the kernel's tables ---- */

static void allow(__u64 bits[2], unsigned char c)
{
	bits[c >> 6 & 1] |= 1ULL << (c & 63);
}

/* "0-9a-f_-" to a bit per character. */
static void allow_chars(__u64 bits[2], const char *chars)
{
	for (const char *p = chars; *p; p++) {
		if (p[1] != '-' || !p[2]) {
			allow(bits, *p);
			continue;
		}
		for (int c = *p; c <= p[2]; c++)
			allow(bits, c);
		p += 2;
	}
}

static uint8_t class_flags(const struct token_class *c)
{
	uint8_t flags = 0;

	if (strcmp(c->kind, "key_id") == 0)
		flags |= TT_CLASS_PUBLIC;
	else if (!is_path(c) && strlen(c->prefix) > 2 && c->where[0] != '!' &&
		 (c->min_len >= 20 || strlen(c->prefix) > 5) && strcmp(c->kind, "placeholder") != 0 &&
		 strcmp(c->provider, "any") != 0)
		flags |= TT_CLASS_SURE;
	/* A JWT is one wherever it stands. */
	if (c->prefix[0] && c->dots && strcmp(c->provider, "any") == 0)
		flags |= TT_CLASS_SURE;
	return flags;
}

bool class_row(uint16_t id, struct tt_class_row *ret_row)
{
	const struct token_class *c = class_get(id);

	if (!c || c->told_of)
		return false;
	*ret_row = (struct tt_class_row){
		.min_len = (uint16_t)c->min_len,
		.max_len = (uint16_t)c->max_len,
		.prefix_len = is_path(c) ? 0 : (uint8_t)strlen(c->prefix),
		.dots = c->dots,
		.checksum = c->checksum,
		.flags = class_flags(c),
	};
	memcpy(ret_row->at, c->at, sizeof(c->at));
	memcpy(ret_row->is, c->is, sizeof(c->is));
	allow_chars(ret_row->allow, c->chars);
	for (int i = 0; i < TT_CLASS_MARKS; i++)
		if (c->at[i])
			allow(ret_row->allow, c->is[i]);
	return true;
}

static void add_rows_of(struct tt_class_val *val, const char *prefix, size_t len, bool added_ones)
{
	for (size_t id = 1; id <= ids_end() && val->rows < TT_CLASS_TRIES; id++) {
		const struct token_class *c = pattern(id);

		if (!c || (id > token_classes_count) != added_ones)
			continue;
		if (strlen(c->prefix) == len && memcmp(c->prefix, prefix, len) == 0)
			val->row[val->rows++] = (uint16_t)id;
	}
}

/* The longest prefix is asked first, then what fits of the shorter ones; of one prefix the user's rows come
 * first. */
static void rows_of(const char *prefix, struct tt_class_val *ret_val)
{
	*ret_val = (struct tt_class_val){0};
	for (size_t len = strlen(prefix) + 1; len-- > 0;) {
		add_rows_of(ret_val, prefix, len, true);
		add_rows_of(ret_val, prefix, len, false);
	}
	for (uint16_t i = 0; i < ret_val->rows; i++)
		if (class_flags(class_get(ret_val->row[i])) & TT_CLASS_SURE)
			ret_val->sure = i + 1;
}

/* Is this the first row of its prefix? */
static bool is_first(size_t id)
{
	const char *prefix = class_get((uint16_t)id)->prefix;

	for (size_t i = 1; i < id; i++) {
		const struct token_class *c = pattern(i);

		if (c && strcmp(c->prefix, prefix) == 0)
			return false;
	}
	return true;
}

int classes_each(int (*put)(const struct tt_class_key *key, const struct tt_class_val *val, void *data),
		 void *data)
{
	int r = 0;

	for (size_t id = 1; r >= 0 && id <= ids_end(); id++) {
		const struct token_class *c = pattern(id);
		struct tt_class_key key = {0};
		struct tt_class_val val;

		if (!c || !is_first(id))
			continue;
		key.prefix_bits = (uint32_t)(8 * strlen(c->prefix));
		memcpy(key.prefix, c->prefix, strlen(c->prefix));
		rows_of(c->prefix, &val);
		r = put(&key, &val, data);
	}
	return r < 0 ? r : 0;
}

/* ---- as the kernel does it ---- */

static const char *longest_prefix(const char *bytes, size_t len)
{
	const char *best = "";

	for (size_t id = 1; id <= ids_end(); id++) {
		const struct token_class *c = pattern(id);
		size_t prefix_len = c ? strlen(c->prefix) : 0;

		if (c && prefix_len <= len && prefix_len > strlen(best) &&
		    memcmp(bytes, c->prefix, prefix_len) == 0)
			best = c->prefix;
	}
	return best;
}

static bool fits(struct h1_work *w, uint16_t id)
{
	struct tt_class_row row;

	if (!class_row(id, &row) || !h1_shape_may_fit(w, &row))
		return false;
	h1_shape_scan(w, row.prefix_len);
	if (!h1_shape_fits(w, &row))
		return false;
	h1_shape_take(w, id, &row);
	return true;
}

uint16_t class_of(const void *bytes, size_t len, uint8_t *ret_flags)
{
	struct h1_work *w = calloc(1, sizeof(*w));
	struct tt_class_val val;
	uint16_t id = 0;

	if (ret_flags)
		*ret_flags = 0;
	if (!w || !len)
		goto out;
	memcpy(w->h.carry, bytes, len < TT_CARRY_LEN ? len : TT_CARRY_LEN);
	for (size_t i = 0; i < len; i++)
		w->h.dots += ((const char *)bytes)[i] == '.';
	w->ask_len = (uint32_t)len;
	rows_of(longest_prefix(bytes, len), &val);
	for (uint32_t i = 0; i < val.rows && !id; i++)
		if (fits(w, val.row[i]))
			id = val.row[i];
	if (id && ret_flags && w->answer.checksum == TT_CHECKSUM_CRC32B62)
		*ret_flags = h1_crc32b62(&w->h, w->answer.length) ? TT_CRED_CHECKSUM_OK :
								    TT_CRED_CHECKSUM_BAD;
out:
	if (w)
		explicit_bzero(w, sizeof(*w));
	free(w);
	return id;
}

/* ---- classes of the configuration ---- */

static const char *const kinds[] = {
	"api_key", "oauth_access", "oauth_refresh", "id_token", "session", "service_account", "agent",
	"cloud_sts", "ci", "webhook", "client_secret", "bootstrap", "signed_url", "key_id",
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static const struct {
	const char *name, *chars;
} charsets[] = {
	{"dec", "0-9"}, {"hex", "0-9a-f"}, {"Hex", "0-9A-Fa-f"}, {"b32", "A-Z2-7"}, {"b62", "0-9A-Za-z"},
	{"b64u", "0-9A-Za-z_-"}, {"b64", "0-9A-Za-z+/=_-"}, {"text", "!-~"},
};
#define CHARSETS (sizeof(charsets) / sizeof(charsets[0]))

static int wrong(const char **ret_why, const char *why)
{
	*ret_why = why;
	return -EINVAL;
}

static int copy(char *to, size_t size, const char *from, size_t len)
{
	if (len >= size)
		return -EINVAL;
	memcpy(to, from, len);
	to[len] = '\0';
	return 0;
}

static int parse_length(struct own_class *o, const char *text, const char **ret_why)
{
	unsigned int min = 0, max = 0;
	char rest;

	if (sscanf(text, "%5u-%5u%c", &min, &max, &rest) != 2) {
		if (sscanf(text, "%5u%c", &min, &rest) != 1)
			return wrong(ret_why, "length must be a number or a range such as 20-40");
		max = min;
	}
	if (min < 8 || max < min || max > UINT16_MAX)
		return wrong(ret_why, "length must be a number or a range within 8-65535");
	o->class.min_len = min;
	o->class.max_len = max;
	return 0;
}

static int parse_part(struct own_class *o, const char *name, size_t name_len, const char *value,
		      const char **ret_why)
{
	size_t len = strlen(value);
	size_t i;

#define IS(text) (name_len == sizeof(text) - 1 && memcmp(name, text, name_len) == 0)
	if (IS("prefix")) {
		if (len < 2 || copy(o->prefix, sizeof(o->prefix), value, len) < 0)
			return wrong(ret_why, "prefix must have 2 to 24 characters");
		for (i = 0; i < len; i++)
			if (value[i] <= ' ' || value[i] > '~')
				return wrong(ret_why, "prefix must consist of visible ASCII characters");
		return 0;
	}
	if (IS("length"))
		return parse_length(o, value, ret_why);
	if (IS("chars")) {
		for (i = 0; i < CHARSETS; i++)
			if (strcmp(charsets[i].name, value) == 0)
				value = charsets[i].chars;
		return copy(o->chars, sizeof(o->chars), value, strlen(value)) < 0 ?
			       wrong(ret_why, "chars is too long") : 0;
	}
	if (IS("kind")) {
		for (i = 0; i < KINDS; i++)
			if (strcmp(kinds[i], value) == 0)
				return copy(o->kind, sizeof(o->kind), value, len);
		return wrong(ret_why, "unknown kind; one of api_key, oauth_access, oauth_refresh, id_token, "
				      "session, service_account, agent, cloud_sts, ci, webhook, "
				      "client_secret, bootstrap, signed_url, key_id");
	}
	if (IS("host"))
		return copy(o->where, sizeof(o->where), value, len) < 0 ?
			       wrong(ret_why, "host is too long") : 0;
#undef IS
	return wrong(ret_why, "unknown part; it has prefix=, length=, chars=, kind= and host=");
}

static int parse_spec(struct own_class *o, const char *spec, const char **ret_why)
{
	char text[512], *save = NULL;

	if (copy(text, sizeof(text), spec, strlen(spec)) < 0 || strpbrk(spec, "\r\n"))
		return wrong(ret_why, "must be one line of at most 511 characters");
	memcpy(o->spec, text, strlen(text) + 1);
	for (char *part = strtok_r(text, " \t", &save); part; part = strtok_r(NULL, " \t", &save)) {
		char *equals = strchr(part, '=');
		int r;

		if (!equals || !equals[1])
			return wrong(ret_why, "must be parts such as prefix=acme_ length=40");
		r = parse_part(o, part, (size_t)(equals - part), equals + 1, ret_why);
		if (r < 0)
			return r;
	}
	if (!o->prefix[0])
		return wrong(ret_why, "has no prefix=");
	if (!o->class.max_len)
		return wrong(ret_why, "has no length=");
	if (o->class.min_len <= strlen(o->prefix))
		return wrong(ret_why, "length must be longer than the prefix");
	return 0;
}

static int parse_class(struct own_class *o, const char *name, const char *spec, const char **ret_why)
{
	size_t len = strlen(name);

	if (!len || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != len ||
	    copy(o->name, sizeof(o->name), name, len) < 0)
		return wrong(ret_why, "its name must be up to 31 lower-case letters, digits and _");
	snprintf(o->chars, sizeof(o->chars), "0-9A-Za-z_-");
	snprintf(o->kind, sizeof(o->kind), "api_key");
	o->class.name = o->name;
	o->class.provider = "configuration";
	o->class.kind = o->kind;
	o->class.prefix = o->prefix;
	o->class.chars = o->chars;
	o->class.where = o->where;
	o->class.expiry = o->class.source = "";
	return parse_spec(o, spec, ret_why);
}

/* Names are nobody else's, and one prefix has room for a few rows only. */
static int check_others(const struct own_class *o, const char **ret_why)
{
	size_t same = 0;

	for (size_t id = 1; id <= ids_end(); id++) {
		const struct token_class *c = id <= token_classes_count ? &token_classes[id - 1] : pattern(id);

		if (!c)
			continue;
		if (strcmp(c->name, o->name) == 0) {
			*ret_why = "there is a class of this name already";
			return -EEXIST;
		}
		same += id > token_classes_count && strcmp(c->prefix, o->prefix) == 0;
	}
	if (same < OWN_ROWS_MAX)
		return 0;
	*ret_why = "more than 8 classes have this prefix";
	return -ENOSPC;
}

int class_check(const char *name, const char *spec, const char **ret_why)
{
	struct own_class o = {0};

	return parse_class(&o, name, spec, ret_why);
}

/* Takes its old place, or a new one. -ENOSPC. */
static int place_class(struct own_class *o, const char **ret_why)
{
	size_t i = 0;

	while (i < own_count && (strcmp(own[i].name, o->name) != 0 || strcmp(own[i].spec, o->spec) != 0))
		i++;
	if (i == OWN_CLASSES) {
		*ret_why = "more than 128 different classes since the start; a restart makes room";
		return -ENOSPC;
	}
	if (i == own_count) {
		own[i] = *o;
		own[i].class.name = own[i].name;
		own[i].class.kind = own[i].kind;
		own[i].class.prefix = own[i].prefix;
		own[i].class.chars = own[i].chars;
		own[i].class.where = own[i].where;
		own_count++;
	}
	own_state[i].in_force = true;
	return 0;
}

int class_add(const char *name, const char *spec, const char **ret_why)
{
	struct own_class o = {0};
	size_t in_force = 0;
	int r;

	for (size_t i = 0; i < own_count; i++)
		in_force += own_state[i].in_force;
	if (in_force == CLASSES_ADDED_MAX) {
		*ret_why = "more than 64 classes";
		return -ENOSPC;
	}
	r = parse_class(&o, name, spec, ret_why);
	if (r == 0)
		r = check_others(&o, ret_why);
	return r < 0 ? r : place_class(&o, ret_why);
}

int class_learn(const char *name, const char *spec)
{
	struct own_class o = {0};
	const char *why;
	int r = parse_class(&o, name, spec, &why);

	return r < 0 ? r : place_class(&o, &why);
}

bool class_own(size_t i, const char **ret_name, const char **ret_spec)
{
	if (i >= own_count)
		return false;
	*ret_name = own[i].name;
	*ret_spec = own[i].spec;
	return true;
}

const char *carrier_prefix(enum tt_name_space space)
{
	return space == TT_NAME_PARAM ? "query:" : space == TT_NAME_COOKIE ? "cookie:" :
	       space == TT_NAME_PATH ? "path" : space == TT_NAME_SUFFIX ? "*" : "";
}

const struct carrier *carrier_get(uint16_t id)
{
	size_t i = (size_t)id - 1 - token_carriers_count;

	if (id > 0 && id <= token_carriers_count)
		return &token_carriers[id - 1];
	return id == 0 || i >= added_count ? NULL : &added[i].carrier;
}

size_t carrier_count(void)
{
	return token_carriers_count;
}

void carrier_suffixes(bool on)
{
	suffixes = on;
}

/* Has the user said otherwise of a name that is taken for none? */
static bool is_added(const struct carrier *c)
{
	for (size_t i = 0; i < added_count; i++)
		if (added_state[i].in_force && added[i].carrier.space == c->space && strcmp(added[i].name, c->name) == 0)
			return true;
	return false;
}

static bool is_in_force(size_t id)
{
	const struct carrier *c = carrier_get((uint16_t)id);

	if (id > token_carriers_count)
		return added_state[id - 1 - token_carriers_count].in_force;
	if (c->space == TT_NAME_SUFFIX)
		return suffixes;
	return c->unwrap != TT_UNWRAP_NONE || !is_added(c);
}

uint16_t carrier_next(uint16_t id)
{
	size_t next = (size_t)id + 1;

	while (next <= token_carriers_count + added_count && !is_in_force(next))
		next++;
	return next <= token_carriers_count + added_count ? (uint16_t)next : 0;
}

const struct carrier *carrier_own(size_t i)
{
	return i < added_count ? &added[i].carrier : NULL;
}

/* RFC 9110, 5.6.2: tchar. */
static bool is_field_name(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = name[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
			continue;
		if (!strchr("!#$%&'*+-.^_`|~", c))
			return false;
	}
	return len > 0 && len <= CARRIER_NAME_MAX;
}

/* Names of headers are kept in lower case; takes its old place, or a new one. */
static int place_carrier(enum tt_name_space space, const char *name)
{
	struct own_carrier new = {0};
	size_t i = 0;

	for (size_t k = 0; name[k]; k++) {
		char c = name[k];

		if (space == TT_NAME_HEADER && c >= 'A' && c <= 'Z')
			c += 'a' - 'A';
		new.name[k] = c;
	}
	while (i < added_count && (added[i].carrier.space != space || strcmp(added[i].name, new.name) != 0))
		i++;
	if (i == OWN_CARRIERS)
		return -ENOSPC;
	if (i == added_count) {
		new.carrier = (struct carrier){
			.space = space,
			.name = added[i].name,
			.unwrap = space == TT_NAME_HEADER ? TT_UNWRAP_WHOLE : TT_UNWRAP_PERCENT,
			.kind = "",
			.where = "",
		};
		added[i] = new;
		added_count++;
	}
	added_state[i].in_force = true;
	return 0;
}

int carrier_add(enum tt_name_space space, const char *name)
{
	size_t len = strnlen(name, CARRIER_NAME_MAX + 1), in_force = 0, i;

	if ((space != TT_NAME_HEADER && space != TT_NAME_PARAM) || !is_field_name(name, len))
		return -EINVAL;
	if (space == TT_NAME_HEADER && names_is_field(name))	/* in the kernel's table already */
		return -EINVAL;
	for (uint16_t id = carrier_next(0); id; id = carrier_next(id)) {
		const struct carrier *c = carrier_get(id);

		/* The kernel hashes names without regard to case: one hash, one row. */
		if (c->space == space && c->unwrap != TT_UNWRAP_NONE && strcasecmp(c->name, name) == 0)
			return -EEXIST;
	}
	for (i = 0; i < added_count; i++)
		in_force += added_state[i].in_force;
	if (in_force == CARRIERS_ADDED_MAX)
		return -ENOSPC;
	return place_carrier(space, name);
}

const struct scheme *scheme_get(uint8_t id)
{
	if (id == 0 || id > token_schemes_count)
		return NULL;
	return &token_schemes[id - 1];
}

bool scheme_is_signed(const struct scheme *s)
{
	return s->unwrap == TT_UNWRAP_KEY || s->unwrap == TT_UNWRAP_USER || s->unwrap == TT_UNWRAP_ACCOUNT;
}

size_t scheme_count(void)
{
	return token_schemes_count;
}
