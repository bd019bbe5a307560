/* SPDX-License-Identifier: Apache-2.0 */
#include "tokens/privilege.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DAY_NS (86400ULL * 1000000000)
#define UNUSED_POINTS 30
#define UNUSED_AFTER_NS (14 * DAY_NS)
#define UNUSED_USES 100
#define ACCESS_LIFE_NS DAY_NS		/* longer is long, for what is no API key */
#define KEY_LIFE_NS (90 * DAY_NS)
#define LONG_LIFE_NS (30 * DAY_NS)

enum how { IS, WORD, GLOB, ROOT };

static const struct rule {
	const char *term, *platform, *pattern;
	unsigned int points;
	enum how how;
} rules[] = {
#define PRIVILEGE(term, points, platform, how, pattern) { #term, platform, pattern, points, how },
#define PRIVILEGE_ISSUER(platform, part)
#define PRIVILEGE_RIGHT(verbs, resource)
#define PRIVILEGE_AUDIENCE(pattern)
#include "tokens/privilege.def"
#undef PRIVILEGE
#undef PRIVILEGE_ISSUER
};

static const struct { const char *platform, *part; } issuers[] = {
#define PRIVILEGE(term, points, platform, how, pattern)
#define PRIVILEGE_ISSUER(platform, part) { platform, part },
#include "tokens/privilege.def"
#undef PRIVILEGE_ISSUER
#undef PRIVILEGE_RIGHT
#define PRIVILEGE_ISSUER(platform, part)
};

static const struct { const char *verbs, *resource; } rights[] = {
#define PRIVILEGE_RIGHT(verbs, resource) { verbs, resource },
#include "tokens/privilege.def"
#undef PRIVILEGE_RIGHT
#undef PRIVILEGE_AUDIENCE
#define PRIVILEGE_RIGHT(verbs, resource)
};

static const char *const audiences[] = {
#define PRIVILEGE_AUDIENCE(pattern) pattern,
#include "tokens/privilege.def"
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct part {
	const char *p;
	size_t len;
};

static bool is(struct part s, const char *text)
{
	return strlen(text) == s.len && memcmp(s.p, text, s.len) == 0;
}

/* '*' is any text. Linear: only the last '*' is ever gone back to. */
static bool fits(struct part s, const char *pattern)
{
	const char *star = NULL;
	size_t i = 0, from = 0;

	while (i < s.len) {
		if (*pattern == '*') {
			star = ++pattern;
			from = i;
		} else if (*pattern == s.p[i]) {
			pattern++;
			i++;
		} else if (star) {
			pattern = star;
			i = ++from;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool has_word(struct part s, const char *word)
{
	size_t len = strlen(word);

	for (size_t i = 0; i + len <= s.len; i++)
		if (!strncasecmp(s.p + i, word, len) && (i == 0 || !is_word(s.p[i - 1])) &&
		    (i + len == s.len || !is_word(s.p[i + len])))
			return true;
	return false;
}

/* NAME:*, NAME.* or NAME and a slash and *, where NAME has none of these itself. */
static bool is_root(struct part s)
{
	if (s.len < 3 || s.p[s.len - 1] != '*' || !memchr(":./", s.p[s.len - 2], 3))
		return false;
	for (size_t i = 0; i + 2 < s.len; i++)
		if (memchr(":./*", s.p[i], 4))
			return false;
	return true;
}

static bool rule_fits(const struct rule *r, struct part s)
{
	switch (r->how) {
	case IS:
		return is(s, r->pattern);
	case WORD:
		return has_word(s, r->pattern);
	case GLOB:
		return fits(s, r->pattern);
	default:
		return is_root(s);
	}
}

static bool is_of(const struct token *t, const struct facts *f, const char *platform)
{
	const char *class_name = t->class_name ? t->class_name : "";

	if (!*platform || !strncmp(class_name, platform, strlen(platform)))
		return true;
	for (size_t i = 0; i < COUNT(issuers); i++)
		if (!strcmp(issuers[i].platform, platform) &&
		    strstr(facts_text(f, FACT_token_issuer), issuers[i].part))
			return true;
	return false;
}

/* ---- lists ---- */

/* The element at *list, which moves on; false: there is none. */
static bool next(const char **list, struct part *ret_element)
{
	if (**list == FACTS_LIST_SEPARATOR)
		(*list)++;
	*ret_element = (struct part){ *list, strcspn(*list, (const char[]){ FACTS_LIST_SEPARATOR, 0 }) };
	*list += ret_element->len;
	return ret_element->len > 0;
}

static size_t count(const char *list)
{
	struct part e;
	size_t n = 0;

	while (next(&list, &e))
		n++;
	return n;
}

static bool has(const char *list, struct part element)
{
	struct part e;

	while (next(&list, &e))
		if (e.len == element.len && !memcmp(e.p, element.p, e.len))
			return true;
	return false;
}

/* ---- the score ---- */

struct sum {
	struct facts *f;
	unsigned int points;
	int error;
};

static void add(struct sum *s, const char *term, struct part what, unsigned int points)
{
	char text[FACTS_TEXT_MAX + 1];
	int len = what.len ? snprintf(text, sizeof(text), "%s:%.*s=%u", term,
				      (int)(what.len < 160 ? what.len : 160), what.p, points) :
			     snprintf(text, sizeof(text), "%s=%u", term, points);

	s->points += points;
	if (s->error == 0)
		s->error = facts_add(s->f, FACT_privilege_terms, text, (size_t)len);
}

static const enum fact granted[] = { FACT_token_scopes, FACT_token_roles, FACT_token_groups };

/* The first element, of whatever list, that fits a rule of this term. */
static bool find(const struct token *t, const struct facts *f, const struct rule *r,
		 struct part *ret_element)
{
	for (size_t i = 0; i < COUNT(granted); i++) {
		const char *list = facts_text(f, granted[i]);

		while (next(&list, ret_element))
			if (rule_fits(r, *ret_element) && is_of(t, f, r->platform))
				return true;
	}
	return false;
}

static void add_granted(struct sum *s, const struct token *t)
{
	const char *done = "";

	for (size_t i = 0; i < COUNT(rules); i++) {
		struct part element;

		if (!strcmp(rules[i].term, done) || !find(t, s->f, &rules[i], &element))
			continue;
		add(s, rules[i].term, element, rules[i].points);
		done = rules[i].term;
	}
}

static bool kind_has(const struct token *t, const char *word)
{
	return t->kind && strstr(t->kind, word);
}

static void add_offline(struct sum *s, const struct token *t)
{
	static const struct part keycloak = { "typ=Offline", 11 };

	if (has(facts_text(s->f, FACT_token_scopes), (struct part){ "offline_access", 14 }))
		return;		/* counted with the scopes */
	if (kind_has(t, "refresh"))
		add(s, "offline", (struct part){ "refresh", 7 }, 15);
	else if (has(facts_text(s->f, FACT_token_claims), keycloak))
		add(s, "offline", keycloak, 15);
}

/* Of a token of which nobody told its end, nothing; of a JWT that has none it is told. */
static void add_life(struct sum *s, const struct token *t)
{
	uint64_t from = facts_number(s->f, FACT_token_issued), to = facts_number(s->f, FACT_token_expires);
	bool never = !strcmp(facts_text(s->f, FACT_token_expiry_rule), "never");
	uint64_t life;

	if (!from)
		from = facts_number(s->f, FACT_minted_time);
	if (!to && (never || *facts_text(s->f, FACT_jwt_alg)))
		add(s, "no_end", (struct part){ 0 }, 30);
	if (!from || to <= from)
		return;
	life = to - from;
	if (life > LONG_LIFE_NS)
		add(s, "long_life", (struct part){ 0 }, 20);
	else if (life > (kind_has(t, "api_key") ? KEY_LIFE_NS : ACCESS_LIFE_NS))
		add(s, "long_life", (struct part){ 0 }, 10);
}

static void add_audience(struct sum *s)
{
	const char *list = facts_text(s->f, FACT_token_audience);
	bool bound = *facts_text(s->f, FACT_token_bound);
	struct part e;

	if (count(list) > 1)
		add(s, "many_audiences", (struct part){ 0 }, 10);
	while (!bound && next(&list, &e))
		for (size_t i = 0; i < COUNT(audiences); i++)
			if (fits(e, audiences[i])) {
				add(s, "unbound", e, 10);
				return;
			}
}

static bool is_tier0(struct part right)
{
	const char *blank = memchr(right.p, ' ', right.len);
	struct part verb, resource;

	if (!blank)
		return false;
	verb = (struct part){ right.p, (size_t)(blank - right.p) };
	resource = (struct part){ blank + 1, right.len - verb.len - 1 };
	for (size_t i = 0; i < COUNT(rights); i++) {
		const char *group = memchr(resource.p, '.', resource.len);
		struct part plain = resource;

		if (group)
			plain.len = (size_t)(group - resource.p);
		for (const char *v = rights[i].verbs; is(plain, rights[i].resource) && *v;) {
			size_t len = strcspn(v, " ");

			if (len == verb.len && !memcmp(v, verb.p, len))
				return true;
			v += len + (v[len] == ' ');
		}
	}
	return false;
}

static void add_used(struct sum *s)
{
	const char *list = facts_text(s->f, FACT_privilege_used);
	struct part e;

	while (next(&list, &e))
		if (is_tier0(e)) {
			add(s, "used", e, 60);
			return;
		}
}

/* Granted minus used, where the server says which scope a request needs; it takes a while until what was
 * not used tells anything. */
static void add_unused(struct sum *s, const struct token *t, uint64_t now_ns)
{
	const char *list = facts_text(s->f, FACT_token_scopes);
	const char *needed = facts_text(s->f, FACT_token_needed_scopes);
	size_t all = count(list), unused = 0;
	struct part e;

	/* A list with gaps would make what is missing look unused. */
	if (has(facts_text(s->f, FACT_token_notes), (struct part){ "cut_needed_scopes", 17 }) ||
	    has(facts_text(s->f, FACT_token_answers), (struct part){ "cut", 3 }))
		return;
	if (!all || !*needed || !t->first_ns || now_ns < t->first_ns ||
	    now_ns - t->first_ns < UNUSED_AFTER_NS || t->uses < UNUSED_USES)
		return;
	while (next(&list, &e)) {
		if (has(needed, e))
			continue;
		unused++;
		if (s->error == 0)
			s->error = facts_add(s->f, FACT_privilege_unused, e.p, e.len);
	}
	if (unused && all > 0)
		add(s, "unused", (struct part){ 0 }, (unsigned int)(UNUSED_POINTS * unused / all));
}

int privilege_judge(const struct token *t, struct facts *f, uint64_t now_ns)
{
	struct sum s = { .f = f };

	if (t->unreadable)
		return 0;
	s.error = facts_set_text(f, FACT_privilege_terms, "", 0);
	if (s.error == 0)
		s.error = facts_set_text(f, FACT_privilege_unused, "", 0);
	add_granted(&s, t);
	add_offline(&s, t);
	add_life(&s, t);
	add_audience(&s);
	add_used(&s);
	add_unused(&s, t, now_ns);
	facts_set_number(f, FACT_privilege_score, s.points < 100 ? s.points : 100);
	return s.error;
}

/* ---- Kubernetes ---- */

/* The path's segment at *path, which moves behind it. */
static struct part segment(const char **path)
{
	struct part s;

	if (**path == '/')
		(*path)++;
	s = (struct part){ *path, strcspn(*path, "/") };
	*path += s.len;
	return s;
}

static const char *verb_of(const char *method, bool named)
{
	if (!strcmp(method, "GET") || !strcmp(method, "HEAD"))
		return named ? "get" : "list";
	if (!strcmp(method, "POST"))
		return "create";
	if (!strcmp(method, "PUT"))
		return "update";
	if (!strcmp(method, "PATCH"))
		return "patch";
	if (!strcmp(method, "DELETE"))
		return named ? "delete" : "deletecollection";
	return NULL;
}

static bool is_plain(struct part s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!is_word(s.p[i]) && !memchr("-.", s.p[i], 2))
			return false;
	return s.len > 0 && s.len <= 63;
}

bool privilege_kubernetes(const char *method, const char *path, char ret_right[static PRIVILEGE_RIGHT_LEN])
{
	struct part root = segment(&path), group = { 0 }, version, resource, name, sub;
	const char *verb, *at;
	int len;

	if (is(root, "apis"))
		group = segment(&path);
	else if (!is(root, "api"))
		return false;
	version = segment(&path);
	at = path;
	/* /namespaces/NAME alone is the namespace itself. */
	if (is(segment(&at), "namespaces") && segment(&at).len && *at == '/')
		path = at;
	resource = segment(&path);
	name = segment(&path);
	sub = segment(&path);
	verb = verb_of(method, name.len > 0);
	if (!verb || version.len < 2 || version.p[0] != 'v' || !is_plain(resource) ||
	    (is(root, "apis") && !is_plain(group)) || (sub.len && !is_plain(sub)))
		return false;
	len = snprintf(ret_right, PRIVILEGE_RIGHT_LEN, "%s %.*s%s%.*s%s%.*s", verb, (int)resource.len,
		       resource.p, sub.len ? "/" : "", (int)sub.len, sub.p, group.len ? "." : "",
		       (int)group.len, group.p);
	return len > 0 && len < PRIVILEGE_RIGHT_LEN;
}

/* Many servers have paths that begin with /api/v1: only of a token that is Kubernetes' own. */
static bool is_kubernetes(const struct facts *f)
{
	return *facts_text(f, FACT_k8s_service_account) ||
	       !strncmp(facts_text(f, FACT_token_subject), "system:", 7);
}

int privilege_use(const struct use *u, struct facts *f, bool *ret_changed)
{
	char right[PRIVILEGE_RIGHT_LEN];
	struct part e = { right, 0 };

	*ret_changed = false;
	if (!is_kubernetes(f) || !privilege_kubernetes(u->method, u->path, right))
		return 0;
	e.len = strlen(right);
	if (u->status == 401 || u->status == 403 || has(facts_text(f, FACT_privilege_used), e))
		return 0;
	if (facts_add(f, FACT_privilege_used, right, e.len) < 0)
		return -ENOMEM;
	*ret_changed = has(facts_text(f, FACT_privilege_used), e);	/* else the list is full */
	return 0;
}
