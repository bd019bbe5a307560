/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report as JSON. Members that are not known are absent.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "report/report.h"
#include "sinks/json.h"

const char *report_time(uint64_t ns, char to[static REPORT_TIME_LEN])
{
	char text[JSON_TIME_LEN];

	to[0] = '\0';
	if (!ns)
		return to;
	json_time(ns, text);
	snprintf(to, REPORT_TIME_LEN, "%.19sZ", text);
	return to;
}

/* ---- small setters; a failed one is found at the end, by json_dumps() of what is not there ---- */

static void set_text(json_t *o, const char *name, const char *text)
{
	if (text && text[0])
		json_object_set_new(o, name, json_string(text));
}

static void set_time(json_t *o, const char *name, uint64_t ns)
{
	char text[REPORT_TIME_LEN];

	set_text(o, name, report_time(ns, text));
}

static void set_number(json_t *o, const char *name, uint64_t n)
{
	json_object_set_new(o, name, json_integer((json_int_t)n));
}

static void set_real(json_t *o, const char *name, double x)
{
	json_object_set_new(o, name, json_real((double)(int64_t)(x * 1000 + (x < 0 ? -0.5 : 0.5)) / 1000));
}

/* A list with line feeds as an array; nothing of an empty one. */
static void set_list(json_t *o, const char *name, const char *list)
{
	json_t *array;

	if (!list[0])
		return;
	array = json_array();
	while (*list) {
		size_t len = strcspn(list, "\n");

		json_array_append_new(array, json_stringn(list, len));
		list += len + (list[len] == '\n');
	}
	json_object_set_new(o, name, array);
}

/* ---- what all answers have ---- */

static json_t *reasons(const struct finding *f)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < f->reasons; i++) {
		json_t *o = json_object();

		set_text(o, "rule", f->reason[i].rule);
		set_text(o, "text", f->reason[i].text);
		set_time(o, "since", f->reason[i].since);
		json_array_append_new(array, o);
	}
	return array;
}

static json_t *owner(const struct history_token *t)
{
	json_t *o = json_object();

	set_text(o, "name", t->owner);
	set_text(o, "kind", t->owner[0] ? t->owner_kind : "");
	set_text(o, "confidence", t->owner[0] ? t->owner_confidence : "");
	set_list(o, "evidence", t->owner[0] ? t->owner_evidence : "");
	return o;
}

static void set_object(json_t *o, const char *name, json_t *member)
{
	if (json_object_size(member))
		json_object_set_new(o, name, member);
	else
		json_decref(member);
}

/* Granted minus used, and from how much watching that is concluded. */
static json_t *rights(const struct history_token *t, const struct finding *f)
{
	json_t *o = json_object();

	if (!t->scopes[0] && !t->roles[0] && !f->used[0])
		return o;
	set_list(o, "granted", t->scopes);
	set_list(o, "roles", t->roles);
	set_list(o, "used", f->used);
	set_list(o, "unused", f->unused);
	set_number(o, "observed_days", f->observed / HISTORY_DAY);
	set_number(o, "uses", t->uses);
	return o;
}

static json_t *token_finding(const struct report *r, const struct finding *f, enum question q)
{
	const struct history_token *t = &r->h->token[f->token];
	json_t *o = json_object(), *privilege = json_object();

	set_text(o, "id", t->id);
	set_text(o, "name", t->listed_name);
	set_text(o, "class", t->class_name);
	set_text(o, "kind", t->kind);
	set_text(o, "public_id", t->public_id);
	set_object(o, "owner", owner(t));
	if (t->score)
		set_number(privilege, "score", t->score);
	set_list(privilege, "terms", t->terms);
	set_object(o, "privilege", privilege);
	set_list(o, "scopes", t->scopes);
	if (q == QUESTION_EXCESSIVE)
		set_object(o, "rights", rights(t, f));
	set_number(o, "uses", t->uses);
	set_time(o, "first", t->first);
	set_time(o, "last", t->last);
	set_time(o, "minted", t->minted);
	set_time(o, "expires", t->expires);
	set_text(o, "state", question_state(t, r->a.options.now, r->a.options.window));
	if (q == QUESTION_UNUSED) {
		json_object_set_new(o, "never_seen", json_boolean(f->never_seen));
		set_number(o, "silent_days", f->silent / HISTORY_DAY);
		if (f->ends_by_itself)
			json_object_set_new(o, "short_lived_kind", json_true());
	}
	json_object_set_new(o, "reasons", reasons(f));
	return o;
}

static json_t *service_finding(const struct finding *f)
{
	json_t *o = json_object();

	set_text(o, "workload", f->workload);
	set_text(o, "issuer", f->issuer);
	set_text(o, "method", f->method);
	set_text(o, "baseline", f->baseline);
	if (f->baseline) {
		set_number(o, "rate", f->rate);
		set_real(o, "usual", f->usual);
		set_real(o, "spread", f->spread);
		set_real(o, "score", f->score);
	}
	set_number(o, "minted", f->minted);
	set_number(o, "never_used", f->never_used);
	json_object_set_new(o, "reasons", reasons(f));
	return o;
}

static json_t *named(const struct named_counts *c)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < c->rows; i++) {
		json_t *o = json_object();

		set_text(o, "name", c->row[i].name);
		set_number(o, "count", c->row[i].count);
		json_array_append_new(array, o);
	}
	return array;
}

static void set_more(const struct report *r, enum question q, json_t *o)
{
	const struct answers *a = &r->a;

	if (q == QUESTION_ACTIVE) {
		set_number(o, "last_day", a->active_day);
		set_number(o, "last_week", a->active_week);
		set_number(o, "last_month", a->active_month);
		set_number(o, "lineages", a->active_lineages);
		set_number(o, "minted_unused", a->minted_unused);
		json_object_set_new(o, "by_class", named(&a->by_class));
		json_object_set_new(o, "by_kind", named(&a->by_kind));
		json_object_set_new(o, "by_owner", named(&a->by_owner));
	} else if (q == QUESTION_EXCESSIVE) {
		set_number(o, "rights_known", a->rights_known);
		set_number(o, "rights_unknown", a->rights_unknown);
	} else if (q == QUESTION_UNUSED) {
		set_number(o, "never_seen", a->never_seen);
		set_number(o, "idle", a->idle);
		set_number(o, "never_seen_so_far", a->never_seen_so_far);
		set_number(o, "expired", a->expired);
		set_number(o, "replaced", a->replaced);
	} else if (q == QUESTION_PLACES) {
		set_number(o, "learned", a->learned);
	}
}

static json_t *answer(const struct report *r, enum question q)
{
	const struct answer *a = &r->a.answer[q];
	json_t *o = json_object(), *because = json_array(), *list = json_array();

	set_text(o, "question", question_text(q));
	set_text(o, "answered", answered_name(a->answered));
	set_text(o, "why_not", a->why_not);
	set_time(o, "from", a->from);
	set_time(o, "known_since", a->since);
	set_text(o, "confidence", sureness_name(a->sure));
	for (uint32_t i = 0; i < a->becauses; i++)
		json_array_append_new(because, json_string(a->because[i]));
	json_object_set_new(o, "because", because);
	set_number(o, "count", a->count);
	set_number(o, "of", a->of);
	set_more(r, q, o);
	for (uint32_t i = 0; i < a->findings; i++)
		json_array_append_new(list, q == QUESTION_MINTING ? service_finding(&a->finding[i]) :
						token_finding(r, &a->finding[i], q));
	if (q == QUESTION_ACTIVE)
		json_decref(list);
	else
		json_object_set_new(o, q == QUESTION_MINTING ? "services" : "tokens", list);
	return o;
}

/* ---- coverage ---- */

static json_t *coverage(const struct report *r)
{
	json_t *o = json_object(), *blind = json_array(), *losses = json_array(), *processes = json_object();

	if (r->a.share >= 0)
		set_real(o, "share", r->a.share);
	set_number(o, "bytes", r->h->coverage.wire[0] + r->h->coverage.wire[1]);
	for (int i = 0; i < COVERAGE_STATUS_MAX; i++)
		if (r->h->coverage.processes[i])
			set_number(processes, coverage_status_name(i), r->h->coverage.processes[i]);
	json_object_set_new(o, "processes", processes);
	for (uint32_t i = 0; i < r->h->blinds; i++) {
		json_t *b = json_object();

		set_text(b, "executable", r->h->blind[i].program);
		set_text(b, "reason", r->h->blind[i].reason);
		set_number(b, "processes", r->h->blind[i].processes);
		set_number(b, "bytes", r->h->blind[i].bytes);
		json_array_append_new(blind, b);
	}
	json_object_set_new(o, "blind", blind);
	for (uint32_t i = 0; i < r->h->losses; i++) {
		json_t *l = json_object();

		set_text(l, "reason", r->h->loss[i].reason);
		set_number(l, "count", r->h->loss[i].count);
		set_time(l, "last", r->h->loss[i].last);
		json_array_append_new(losses, l);
	}
	json_object_set_new(o, "losses", losses);
	return o;
}

static json_t *watched(const struct answers *a)
{
	json_t *o = json_object();

	set_time(o, "since", a->since);
	set_time(o, "until", a->until);
	set_number(o, "hours", a->watched / HISTORY_HOUR);
	if (a->since && a->options.now > a->since)
		set_real(o, "share", (double)a->watched / (double)(a->options.now - a->since));
	return o;
}

/* ---- what only the page has ---- */

static uint64_t latest(const struct history_token *t)
{
	uint64_t last = t->last;

	last = t->minted > last ? t->minted : last;
	return t->listed > last ? t->listed : last;
}

static const struct history *sorting;	/* qsort() has no argument for it; one thread */

static int later_first(const void *a, const void *b)
{
	const struct history_token *x = &sorting->token[*(const uint32_t *)a];
	const struct history_token *y = &sorting->token[*(const uint32_t *)b];

	if (latest(x) != latest(y))
		return latest(x) < latest(y) ? 1 : -1;
	return x < y ? -1 : x > y;
}

static json_t *seconds(uint64_t ns)
{
	return json_integer((json_int_t)(ns / HISTORY_S));
}

/* The columns' names are in page.js: id, class, kind, name, owner, sureness of it, state, uses, first, last,
 * expires, score, issuer. */
static json_t *token_row(const struct report *r, const struct history_token *t)
{
	json_t *row = json_array();
	const char *const texts[] = { t->id, t->unreadable ? "unreadable" : t->class_name, t->kind,
				      t->listed_name, t->owner, t->owner[0] ? t->owner_confidence : "",
				      question_state(t, r->a.options.now, r->a.options.window) };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		json_array_append_new(row, json_string(texts[i]));
	json_array_append_new(row, json_integer((json_int_t)t->uses));
	json_array_append_new(row, seconds(t->first));
	json_array_append_new(row, seconds(t->last));
	json_array_append_new(row, seconds(t->expires));
	json_array_append_new(row, json_integer(t->score));
	json_array_append_new(row, json_string(t->issuer[0] ? t->issuer : t->minted_issuer));
	return row;
}

static int set_tokens(const struct report *r, json_t *o)
{
	uint32_t *order = calloc(r->h->tokens + 1, sizeof(*order));
	json_t *array = json_array();

	if (!order || !array) {
		free(order);
		json_decref(array);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < r->h->tokens; i++)
		order[i] = i;
	sorting = r->h;
	qsort(order, r->h->tokens, sizeof(*order), later_first);
	for (uint32_t i = 0; i < r->h->tokens && i < REPORT_TOKENS_MAX; i++)
		json_array_append_new(array, token_row(r, &r->h->token[order[i]]));
	free(order);
	json_object_set_new(o, "tokens", array);
	set_number(o, "tokens_all", r->h->tokens);
	return 0;
}

struct flow {
	const char *from, *to, *kind;
	uint32_t token;
	uint64_t count;
};

static int same_flow_first(const void *a, const void *b)
{
	const struct flow *x = a, *y = b;
	int r = (x->token > y->token) - (x->token < y->token);

	return r ?: strcmp(x->from, y->from) ?: strcmp(x->to, y->to);
}

static int largest_flow_first(const void *a, const void *b)
{
	const struct flow *x = a, *y = b;

	return x->count != y->count ? (x->count < y->count ? 1 : -1) : same_flow_first(a, b);
}

/* Who uses which token where. Of what comes in, who is the client's network and where is the workload. */
static uint32_t make_flows(const struct history *h, struct flow *flow)
{
	uint32_t n = 0, kept = 0;

	for (uint32_t i = 0; i < h->uses; i++) {
		const struct history_use *u = &h->use[i];
		const char *label = h->who[u->who].label;
		bool in = u->dir == TT_DIR_INGRESS;

		if (h->token[u->token].unreadable)
			continue;
		flow[n++] = (struct flow){ .from = !in ? label : u->network[0] ? u->network : "unknown",
					   .to = in ? label : u->server[0] ? u->server : "unknown",
					   .token = u->token, .count = u->count };
	}
	qsort(flow, n, sizeof(*flow), same_flow_first);
	for (uint32_t i = 0; i < n; i++) {
		if (kept && flow[kept - 1].token == flow[i].token && flow[kept - 1].from == flow[i].from &&
		    flow[kept - 1].to == flow[i].to)
			flow[kept - 1].count += flow[i].count;
		else
			flow[kept++] = flow[i];
	}
	qsort(flow, kept, sizeof(*flow), largest_flow_first);
	return kept;
}

static int set_flows(const struct report *r, json_t *o)
{
	struct flow *flow = calloc(r->h->uses + 1, sizeof(*flow));
	json_t *array = json_array();
	uint64_t rest = 0;
	uint32_t n;

	if (!flow || !array) {
		free(flow);
		json_decref(array);
		return -ENOMEM;
	}
	n = make_flows(r->h, flow);
	for (uint32_t i = 0; i < n; i++) {
		const struct history_token *t = &r->h->token[flow[i].token];

		if (i >= REPORT_FLOWS_MAX) {
			rest += flow[i].count;
			continue;
		}
		json_array_append_new(array, json_pack("[s, s, s, s, I]", flow[i].from, t->id,
						       t->listed_name[0] ? t->listed_name : t->class_name,
						       flow[i].to, (json_int_t)flow[i].count));
	}
	free(flow);
	json_object_set_new(o, "flows", array);
	set_number(o, "flows_rest", rest);
	return 0;
}

struct hour_sum {
	uint64_t hour, mints, failed;
};

static int by_hour(const void *a, const void *b)
{
	const struct hour_sum *x = a, *y = b;

	return (x->hour > y->hour) - (x->hour < y->hour);
}

/* Mints of an hour are in `rate` even where the row of the hour has none. */
static void add_rates(const struct history *h, struct hour_sum *sum, uint32_t hours)
{
	for (uint32_t i = 0; i < h->rates; i++) {
		struct hour_sum key = { .hour = h->rate[i].bucket / 12 };
		struct hour_sum *at = hours ? bsearch(&key, sum, hours, sizeof(*sum), by_hour) : NULL;

		if (at) {
			at->mints += h->rate[i].mints;
			at->failed += h->rate[i].failed;
		}
	}
}

static int set_hours(const struct report *r, json_t *o)
{
	uint32_t from = r->h->hours > 24 * 400 ? r->h->hours - 24 * 400 : 0, n = r->h->hours - from;
	struct hour_sum *sum = calloc(n + 1, sizeof(*sum));
	json_t *array = json_array();

	if (!sum || !array) {
		free(sum);
		json_decref(array);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < n; i++)
		sum[i].hour = r->h->hour[from + i].hour;
	add_rates(r->h, sum, n);
	for (uint32_t i = 0; i < n; i++) {
		const struct history_hour *hour = &r->h->hour[from + i];

		if (hour->mints > sum[i].mints)
			sum[i].mints = hour->mints;
		if (hour->failed > sum[i].failed)
			sum[i].failed = hour->failed;
		json_array_append_new(array, json_pack("[I, I, I, I]", (json_int_t)hour->hour,
						       (json_int_t)hour->uses, (json_int_t)sum[i].mints,
						       (json_int_t)sum[i].failed));
	}
	free(sum);
	json_object_set_new(o, "hours", array);
	return 0;
}

/* ---- the whole ---- */

static int fill(const struct report *r, bool page, json_t *o)
{
	json_t *answers = json_object(), *node = json_object();
	int error = 0;

	set_text(o, "type", "report");
	set_time(o, "@timestamp", r->a.options.now);
	set_text(node, "name", r->h->node);
	set_object(o, "node", node);
	set_number(o, "window_hours", r->a.options.window / HISTORY_HOUR);
	set_number(o, "unused_days", r->a.options.unused / HISTORY_DAY);
	json_object_set_new(o, "watched", watched(&r->a));
	json_object_set_new(o, "coverage", coverage(r));
	for (int q = 0; q < QUESTIONS; q++)
		json_object_set_new(answers, question_name(q), answer(r, q));
	json_object_set_new(o, "answers", answers);
	if (!page)
		return 0;
	error = set_tokens(r, o);
	error = error ?: set_flows(r, o);
	return error ?: set_hours(r, o);
}

int report_data(const struct report *r, bool page, char **ret_text)
{
	json_t *o = json_object();
	char *text = NULL;
	int error = o ? fill(r, page, o) : -ENOMEM;

	if (error == 0)
		text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(6));
	json_decref(o);
	if (!text)
		return -ENOMEM;
	*ret_text = text;
	return 0;
}

int report_json(const struct report *r, FILE *to)
{
	char *text = NULL;
	int error = report_data(r, false, &text);

	if (error == 0)
		fprintf(to, "%s\n", text);
	free(text);
	return error;
}
