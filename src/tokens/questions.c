/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Active, excessive and unused; what all five have in common. questions_mint.c and questions_places.c
 * have the others.
 */
#include "tokens/questions.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- names ---- */

const char *question_name(enum question q)
{
	static const char *const names[] = { "active", "excessive", "unused", "minting", "places" };

	return names[q];
}

const char *question_text(enum question q)
{
	static const char *const texts[] = {
		"How many tokens are active?",
		"Which tokens carry excessive privileges?",
		"Which tokens have not been used for months?",
		"Which services mint tokens at unusual rates?",
		"Which tokens are used from unexpected places?",
	};

	return texts[q];
}

const char *answered_name(enum answered a)
{
	return a == ANSWERED_YES ? "yes" : a == ANSWERED_PARTLY ? "partly" : "no";
}

const char *sureness_name(enum sureness s)
{
	return s == SURE_HIGH ? "high" : s == SURE_MEDIUM ? "medium" : "low";
}

/* ---- findings ---- */

struct finding *answer_add(struct answer *a)
{
	struct finding *f = history_add((void **)&a->finding, &a->findings, sizeof(*f));

	if (f) {
		f->token = HISTORY_NONE;
		f->issuer = f->workload = f->method = f->used = f->unused = "";
	}
	return f;
}

static const char *format_text(struct history *h, const char *format, va_list ap)
{
	char line[1024];

	vsnprintf(line, sizeof(line), format, ap);
	return pool_text(h->pool, line);
}

int finding_reason(struct history *h, struct finding *f, const char *rule, uint64_t since,
		   const char *format, ...)
{
	const char *text;
	va_list ap;

	if (f->reasons == REASONS_MAX)
		return 0;
	va_start(ap, format);
	text = format_text(h, format, ap);
	va_end(ap);
	if (!text)
		return -ENOMEM;
	f->reason[f->reasons++] = (struct reason){ .rule = rule, .text = text, .since = since };
	return 0;
}

int answer_because(struct history *h, struct answer *a, enum sureness at_most, const char *format, ...)
{
	const char *text;
	va_list ap;

	if (a->sure > at_most)
		a->sure = at_most;
	if (a->becauses == sizeof(a->because) / sizeof(a->because[0]))
		return 0;
	va_start(ap, format);
	text = format_text(h, format, ap);
	va_end(ap);
	if (!text)
		return -ENOMEM;
	a->because[a->becauses++] = text;
	return 0;
}

static int by_rank(const void *a, const void *b)
{
	const struct finding *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? 1 : -1;
	if (x->token != y->token)	/* sorted by id: reports of a store are the same */
		return x->token < y->token ? -1 : 1;
	return strcmp(x->workload, y->workload) ?: strcmp(x->issuer, y->issuer);
}

void answer_sort(struct answer *a)
{
	if (a->findings)
		qsort(a->finding, a->findings, sizeof(a->finding[0]), by_rank);
}

void questions_done(struct answers *a)
{
	for (int i = 0; i < QUESTIONS; i++)
		free(a->answer[i].finding);
	*a = (struct answers){ 0 };
}

/* ---- tokens ---- */

bool question_is_over(const struct history_token *t, uint64_t now)
{
	return (t->expires && t->expires <= now && t->last < t->expires) ||
	       (t->revoked && t->revoked <= now && t->last < t->revoked);
}

/* Used within `length` before now; a clock that was set back makes no token inactive. */
static bool used_within(const struct history_token *t, uint64_t now, uint64_t length)
{
	return t->last && (t->last > now || now - t->last < length);
}

const char *question_state(const struct history_token *t, uint64_t now, uint64_t window)
{
	if (t->revoked && t->revoked <= now)
		return "revoked";
	if (t->expires && t->expires <= now)
		return "expired";
	if (used_within(t, now, window))
		return "used";
	if (t->replaced)
		return "replaced";
	if (t->last)
		return "idle";
	return t->minted ? "minted" : "listed";
}

/* ---- how sure ---- */

static int sure_of_coverage(struct history *h, const struct answers *all, struct answer *a)
{
	int r = 0;

	if (all->share < 0)
		r = answer_because(h, a, SURE_MEDIUM, "no TLS was measured yet, so it is not known "
				   "what share of it is seen");
	else if (all->share < 0.7)
		r = answer_because(h, a, SURE_LOW, "only %.0f %% of the TLS bytes were seen into",
				   100 * all->share);
	else if (all->share < 0.95)
		r = answer_because(h, a, SURE_MEDIUM, "%.0f %% of the TLS bytes were seen into",
				   100 * all->share);
	if (r == 0 && all->blind)
		r = answer_because(h, a, SURE_MEDIUM, "%" PRIu64 " %s TLS that is not seen into",
				   all->blind, all->blind == 1 ? "process talks" : "processes talk");
	if (r == 0 && all->lost)
		r = answer_because(h, a, SURE_MEDIUM, "%" PRIu64 " records were lost", all->lost);
	return r;
}

/* A day of `need` that was not watched is an hour or more of each day that may be missing. */
static int sure_of_time(struct history *h, const struct answers *all, struct answer *a)
{
	uint64_t now = all->options.now, past = all->since < now ? now - all->since : 0;

	if (all->watched + past / 20 >= past)
		return 0;
	return answer_because(h, a, SURE_MEDIUM, "the sensor watched only %.0f %% of the time since "
			      "it came", 100.0 * (double)all->watched / (double)past);
}

static int begin_answer(struct history *h, struct answers *all, enum question q)
{
	struct answer *a = &all->answer[q];
	int r;

	*a = (struct answer){ .answered = ANSWERED_YES, .sure = SURE_HIGH, .since = all->since };
	if (!all->since) {
		a->answered = ANSWERED_NO;
		a->sure = SURE_LOW;
		a->why_not = "nothing was watched yet; start 'tokentrail run'";
		return 0;
	}
	r = sure_of_coverage(h, all, a);
	return r ?: sure_of_time(h, all, a);
}

/* ---- active ---- */

static int larger_count(const void *a, const void *b)
{
	const struct named_count *x = a, *y = b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return strcmp(x->name, y->name);
}

static int smaller_address(const void *a, const void *b)
{
	const char *x = *(const char *const *)a, *y = *(const char *const *)b;

	return x < y ? -1 : x > y;
}

/* Counts equal names: n of them, of the pool, in any order. */
static int count_names(const char **names, size_t n, struct named_counts *ret_counts)
{
	struct named_count *all = calloc(n ? n : 1, sizeof(*all));
	size_t rows = 0;

	if (!all)
		return -ENOMEM;
	qsort(names, n, sizeof(*names), smaller_address);
	for (size_t i = 0; i < n; i++) {
		if (!rows || all[rows - 1].name != names[i])
			all[rows++] = (struct named_count){ .name = names[i] };
		all[rows - 1].count++;
	}
	qsort(all, rows, sizeof(*all), larger_count);
	*ret_counts = (struct named_counts){ 0 };
	for (size_t i = 0; i < rows; i++) {
		struct named_counts *c = ret_counts;

		if (c->rows < NAMED_MAX - 1 || (c->rows < NAMED_MAX && i + 1 == rows))
			c->row[c->rows++] = all[i];
		else if (c->rows == NAMED_MAX)
			c->row[NAMED_MAX - 1].count += all[i].count;
		else
			c->row[c->rows++] = (struct named_count){ "others", all[i].count };
	}
	free(all);
	return 0;
}

/* The first of a chain of rotations. A circle, which only a damaged store has, ends. */
static uint32_t root_of(const struct history *h, uint32_t i)
{
	for (int hops = 0; hops < 64; hops++) {
		uint32_t before = history_find(h, h->token[i].previous);

		if (before == HISTORY_NONE)
			break;
		i = before;
	}
	return i;
}

static int count_active(struct history *h, struct answers *all, const char **names, uint8_t *is_root)
{
	static const char *const unknown = "unknown";
	struct named_counts *counts[] = { &all->by_class, &all->by_kind, &all->by_owner };
	const struct question_options *o = &all->options;
	int r = 0;

	for (int by = 0; by < 3 && r == 0; by++) {
		size_t n = 0;

		for (uint32_t i = 0; i < h->tokens; i++) {
			const struct history_token *t = &h->token[i];
			const char *name = by == 0 ? t->class_name : by == 1 ? t->kind : t->owner;

			if (t->unreadable || !used_within(t, o->now, o->window))
				continue;
			is_root[root_of(h, i)] = 1;
			names[n++] = name[0] ? name : unknown;
		}
		r = count_names(names, n, counts[by]);
		all->answer[QUESTION_ACTIVE].count = n;
	}
	return r;
}

static int question_active(struct history *h, struct answers *all)
{
	struct answer *a = &all->answer[QUESTION_ACTIVE];
	const struct question_options *o = &all->options;
	const char **names = calloc(h->tokens + 1, sizeof(*names));
	uint8_t *is_root = calloc(h->tokens + 1, 1);
	int r = names && is_root ? count_active(h, all, names, is_root) : -ENOMEM;

	for (uint32_t i = 0; i < h->tokens && r == 0; i++) {
		const struct history_token *t = &h->token[i];

		a->of += !t->unreadable;
		all->active_lineages += is_root[i];
		all->minted_unused += t->minted && !t->uses && !question_is_over(t, o->now);
		if (t->unreadable)
			continue;
		all->active_day += used_within(t, o->now, HISTORY_DAY);
		all->active_week += used_within(t, o->now, 7 * HISTORY_DAY);
		all->active_month += used_within(t, o->now, 30 * HISTORY_DAY);
	}
	free(names);
	free(is_root);
	if (r == 0 && o->now > all->since && o->now - all->since < o->window) {
		a->answered = a->answered == ANSWERED_NO ? ANSWERED_NO : ANSWERED_PARTLY;
		a->why_not = "the sensor has not watched for the whole window yet";
		a->from = all->since + o->window;
	}
	return r;
}

/* ---- excessive ---- */

/* A right that changes something; scopes as providers write them. */
static bool is_write_right(const char *right, size_t len)
{
	static const char *const words[] = { "write", "admin", "manage", "delete", "create", "update",
					     "owner", "full", "maintain", "modify", "edit" };
	char text[256];

	if (len == 0 || len >= sizeof(text))
		return false;
	memcpy(text, right, len);
	text[len] = '\0';
	if (strchr(text, '*') || !strcmp(text, "repo") || !strcmp(text, "api"))
		return true;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasestr(text, words[i]))
			return true;
	return false;
}

/* Elements of a list that allow changes; the first of them. */
static unsigned int write_rights(const char *list, const char **ret_first, size_t *ret_len)
{
	unsigned int n = 0;

	while (*list) {
		size_t len = strcspn(list, "\n");

		if (is_write_right(list, len) && !n++) {
			*ret_first = list;
			*ret_len = len;
		}
		list += len + (list[len] == '\n');
	}
	return n;
}

/* Has it been watched for so long and at so many uses that what was not used tells anything? */
static bool is_observed(const struct answers *all, const struct history_token *t)
{
	return t->uses >= QUESTIONS_RIGHTS_USES && all->options.now >= t->first &&
	       all->options.now - t->first >= QUESTIONS_RIGHTS_NS;
}

static bool has_element(const char *list, const char *element, size_t len)
{
	while (*list) {
		size_t n = strcspn(list, "\n");

		if (n == len && !memcmp(list, element, len))
			return true;
		list += n + (list[n] == '\n');
	}
	return false;
}

struct rights {
	char used[2048], unused[2048];
	unsigned int granted, left;	/* scopes; of them unused */
	unsigned int writes;		/* unused ones that allow changes */
};

static void add_element(char *list, size_t size, const char *element, size_t len)
{
	size_t used = strlen(list);

	if (used + len + 2 <= size)
		snprintf(list + used, size - used, "%s%.*s", used ? "\n" : "", (int)len, element);
}

/* Granted minus needed, as far as servers say what a request needs; a scope that is one of several that would
 * do counts as used. */
static void compare_rights(const struct answers *all, const struct history_token *t, struct rights *ret_rights)
{
	*ret_rights = (struct rights){ .granted = 0 };
	for (const char *p = t->scopes; *p;) {
		size_t len = strcspn(p, "\n");

		ret_rights->granted++;
		if (has_element(t->needed, p, len)) {
			add_element(ret_rights->used, sizeof(ret_rights->used), p, len);
		} else if (t->needed[0] && is_observed(all, t)) {
			add_element(ret_rights->unused, sizeof(ret_rights->unused), p, len);
			ret_rights->left++;
			ret_rights->writes += is_write_right(p, len);
		}
		p += len + (p[len] == '\n');
	}
	for (const char *p = t->rights; *p;) {
		size_t len = strcspn(p, "\n");

		add_element(ret_rights->used, sizeof(ret_rights->used), p, len);
		p += len + (p[len] == '\n');
	}
}

/* Granted more than used: scopes that allow changes and that no request needed; or it may change things,
 * and for long enough it has only read. */
static int check_rights(struct history *h, const struct answers *all, const struct history_token *t,
			struct finding *f)
{
	uint64_t now = all->options.now;
	const char *right = "";
	struct rights rights;
	size_t len = 0;
	unsigned int n;

	compare_rights(all, t, &rights);
	f->observed = t->first && now > t->first ? now - t->first : 0;
	f->used = pool_text(h->pool, rights.used);
	f->unused = pool_text(h->pool, rights.unused);
	if (!f->used || !f->unused)
		return -ENOMEM;
	if (!is_observed(all, t))
		return 0;
	if (rights.writes) {
		n = write_rights(f->unused, &right, &len);
		return finding_reason(h, f, "granted_not_used", 0, "%u of its %u scopes were needed by no request in "
				      "%" PRIu64 " days and %" PRIu64 " uses, and %u of them %s changes (%.*s%s)",
				      rights.left, rights.granted, f->observed / HISTORY_DAY, t->uses, n,
				      n == 1 ? "allows" : "allow", (int)len, right, n > 1 ? ", ..." : "");
	}
	if (t->writes)
		return 0;
	n = write_rights(t->scopes, &right, &len);
	n += write_rights(t->roles, &right, &len);
	if (!n)
		return 0;
	return finding_reason(h, f, "granted_not_used", 0, "%u of its rights allow changes (%.*s%s), and "
			      "all of its %" PRIu64 " uses in %" PRIu64 " days only read", n, (int)len,
			      right, n > 1 ? ", ..." : "", t->uses, (now - t->first) / HISTORY_DAY);
}

static int check_score(struct history *h, const struct history_token *t, struct finding *f)
{
	char terms[512];

	if (t->score < QUESTIONS_EXCESSIVE)
		return 0;
	snprintf(terms, sizeof(terms), "%s", t->terms);
	for (char *p = terms; *p; p++)
		if (*p == '\n')
			*p = ' ';
	return finding_reason(h, f, "score", 0, "privilege score %u of 100%s%s", t->score,
			      terms[0] ? ": " : "", terms);
}

int question_excessive(struct history *h, struct answers *all)
{
	struct answer *a = &all->answer[QUESTION_EXCESSIVE];
	int r = 0;

	for (uint32_t i = 0; i < h->tokens && r == 0; i++) {
		const struct history_token *t = &h->token[i];
		struct finding found = { .token = i, .issuer = "", .workload = "", .method = "",
					 .used = "", .unused = "", .rank = t->score }, *f;

		if (t->unreadable || question_is_over(t, all->options.now))
			continue;
		a->of++;
		if (t->score || t->scopes[0] || t->roles[0] || t->rights[0])
			all->rights_known++;
		else
			all->rights_unknown++;
		r = check_score(h, t, &found);
		r = r ?: check_rights(h, all, t, &found);
		if (r < 0 || !found.reasons)
			continue;
		f = answer_add(a);
		if (!f)
			return -ENOMEM;
		*f = found;
	}
	a->count = a->findings;
	if (r == 0 && a->of && !all->rights_known && a->answered == ANSWERED_YES) {
		a->answered = ANSWERED_NO;
		a->why_not = "of no token anything is known about its rights: they are opaque; import a "
			     "list with scopes, or use tokens that say theirs";
	}
	if (r == 0 && all->rights_unknown && all->rights_known)
		r = answer_because(h, a, SURE_MEDIUM, "of %" PRIu64 " of %" PRIu64 " tokens the rights "
				   "are not known", all->rights_unknown, a->of);
	answer_sort(a);
	return r;
}

/* ---- unused ---- */

static bool ends_by_itself(const char *kind)
{
	return !strcmp(kind, "session") || !strcmp(kind, "oauth_access") || !strcmp(kind, "cloud_sts");
}

/* Since when a use could have been seen: its last one, or the later of its making and of watching. */
static uint64_t silent_since(const struct answers *all, const struct history_token *t)
{
	uint64_t made = t->minted ? t->minted : t->created;

	if (t->last)
		return t->last;
	return made > all->since ? made : all->since;
}

static int add_unused(struct history *h, struct answers *all, uint32_t i, uint64_t silent)
{
	const struct history_token *t = &h->token[i];
	struct finding *f = answer_add(&all->answer[QUESTION_UNUSED]);
	uint64_t days = silent / HISTORY_DAY;

	if (!f)
		return -ENOMEM;
	f->token = i;
	f->never_seen = !t->last;
	f->silent = silent;
	f->ends_by_itself = !t->expires && ends_by_itself(t->kind);
	/* First what ends only when somebody ends it; of that what was never used. */
	f->rank = (f->ends_by_itself ? 0 : UINT64_C(1) << 62) + (silent >> 2) +
		  (f->never_seen ? UINT64_C(1) << 61 : 0);
	all->never_seen += f->never_seen;
	all->idle += !f->never_seen;
	if (f->never_seen)
		return finding_reason(h, f, "R19", silent_since(all, t), "never used in %" PRIu64
				      " days of watching%s", days, t->minted ? " since it was minted" : "");
	return finding_reason(h, f, "R19", t->last, "not used in %" PRIu64 " days of watching; %" PRIu64
			      " uses before", days, t->uses);
}

int question_unused(struct history *h, struct answers *all)
{
	struct answer *a = &all->answer[QUESTION_UNUSED];
	const struct question_options *o = &all->options;
	int r = 0;

	for (uint32_t i = 0; i < h->tokens && r == 0; i++) {
		const struct history_token *t = &h->token[i];
		uint64_t silent;

		if (t->unreadable)
			continue;
		a->of++;
		silent = history_watched(h, silent_since(all, t), o->now);
		if (question_is_over(t, o->now)) {
			all->expired++;
			continue;
		}
		if (t->replaced) {
			all->replaced++;
			continue;
		}
		all->never_seen_so_far += !t->last;
		if (all->since && silent >= o->unused)
			r = add_unused(h, all, i, silent);
	}
	a->count = a->findings;
	if (a->answered == ANSWERED_YES && all->watched < o->unused) {
		a->answered = ANSWERED_NO;
		a->why_not = "the sensor has not watched for so long yet";
		a->from = o->now + o->unused - all->watched;
	}
	answer_sort(a);
	return r;
}

/* ---- all ---- */

static void sum_up(const struct history *h, struct answers *all)
{
	all->since = history_since(h);
	all->until = history_until(h);
	all->watched = all->since ? history_watched(h, all->since, all->options.now) : 0;
	all->share = coverage_share(h->coverage.wire, h->coverage.covered);
	all->blind = h->coverage.processes[COVERAGE_BLIND];
	for (uint32_t i = 0; i < h->losses; i++)
		all->lost += h->loss[i].count;
}

int questions_answer(struct history *h, const struct question_options *options,
		     struct answers *ret_answers)
{
	int r = 0;

	*ret_answers = (struct answers){ .options = *options };
	sum_up(h, ret_answers);
	for (int q = 0; q < QUESTIONS && r == 0; q++)
		r = begin_answer(h, ret_answers, q);
	r = r ?: question_active(h, ret_answers);
	r = r ?: question_excessive(h, ret_answers);
	r = r ?: question_unused(h, ret_answers);
	r = r ?: question_minting(h, ret_answers);
	return r ?: question_places(h, ret_answers);
}
