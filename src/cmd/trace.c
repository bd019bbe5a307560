/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tokentrail trace`: everything that the store knows of given tokens. An argument may be a token
 * by mistake instead of an id: it is refused and not repeated.
 */
#include <getopt.h>
#include <inttypes.h>
#include <string.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "cmd/listing.h"
#include "sinks/json.h"
#include "sinks/store_report.h"
#include "tokens/facts.h"

#define NAME "trace"

static const char help[] =
	"Usage: tokentrail trace [OPTIONS] ID...\n"
	"       tokentrail trace [OPTIONS] -\n"
	"\n"
	"Prints everything that is known of the tokens with these ids on this node: class and sums,\n"
	"then what happened to it in order of time, and every place of use. With - the ids come from\n"
	"standard input, one a line. The beginning of an id is enough, as the live table shows it; a\n"
	"signed_id finds all texts of a JWT that verify alike. Exit status 1: none was seen here.\n"
	"\n"
	"  --json            one JSON object a line: the token, its uses, its story\n"
	"  --limit N         no more than N uses of each token\n"
	"  --since DURATION  used within 30s, 5m, 2h, 7d\n"
	"  --class CLASS     only if of this class\n"
	"  --process NAME    only uses by this program: its name, or its executable's path\n"
	"  --store FILE      another store (default: store.db in the state directory)\n"
	"  --config FILE     another configuration file\n"
	"\n"
	"Examples:\n"
	"  sudo tokentrail trace tt1_c5xlq2wd\n"
	"  sudo tokentrail fingerprint <leaked.txt | sudo tokentrail trace -";

struct trace {
	struct listing l;
	uint64_t known;		/* tokens printed */
	/* Tokens that begin like the id in hand; uses are asked for after this query has ended. */
	char (*found)[TOKEN_ID_LEN];
	size_t count;
};

static int on_token(void *arg, const struct token *t)
{
	struct trace *tr = arg;
	char (*found)[TOKEN_ID_LEN] = reallocarray(tr->found, tr->count + 1, sizeof(*found));

	if (!found)
		return -ENOMEM;
	tr->found = found;
	memcpy(found[tr->count++], t->token_id, TOKEN_ID_LEN);
	return 0;
}

static void print_credential(FILE *to, const struct token *t)
{
	const char *key_id = t->key_id[0] ? t->key_id : "unknown";

	if (!t->unreadable) {
		fprintf(to, "%s\n  class %s, kind %s, %" PRIu32 " bytes, fleet key %s\n", t->token_id,
			t->class_name[0] ? t->class_name : "unknown",
			t->kind[0] ? t->kind : "unknown", t->length, key_id);
		return;
	}
	fprintf(to, "%s\n  unreadable: ", t->token_id);
	if (t->entry)
		fprintf(to, "entry %" PRIu32, t->entry);
	else
		fputs("an entry", to);
	fprintf(to, " of an HTTP/2 connection's table that was never seen, fleet key %s\n", key_id);
}

/* What the token says of itself, or who minted it. */
static void print_claims(FILE *to, const struct token *t)
{
	static const struct {
		enum fact fact;
		const char *label;
	} texts[] = {
		{ FACT_token_issuer, "issuer" }, { FACT_token_subject, "subject" },
		{ FACT_token_subject_kind, "subject is a" }, { FACT_token_client_id, "client" },
		{ FACT_token_actor, "actor" }, { FACT_token_audience, "audience" }, { FACT_token_scopes, "scopes" },
		{ FACT_token_needed_scopes, "scopes that its requests need" }, { FACT_token_roles, "roles" },
		{ FACT_privilege_used, "rights used" }, { FACT_privilege_unused, "scopes not used" },
		{ FACT_token_answers, "answers said" }, { FACT_minted_parent, "minted with" },
		{ FACT_minted_previous, "takes the place of" }, { FACT_token_signed_id, "signed id" }, { FACT_token_notes, "notes" },
	};
	char end[LISTING_TIME_LEN];
	const char *rule;

	if (!t->facts)
		return;
	rule = facts_text(t->facts, FACT_token_expiry_rule);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const char *text = facts_text(t->facts, texts[i].fact);

		if (!*text)
			continue;
		fprintf(to, "  %s ", texts[i].label);
		for (; *text; text++)
			fputc(*text == FACTS_LIST_SEPARATOR ? ' ' : *text, to);
		fputc('\n', to);
	}
	if (facts_number(t->facts, FACT_token_expires))
		fprintf(to, "  expires %s%s%s%s\n",
			listing_time(facts_number(t->facts, FACT_token_expires), end), *rule ? " (" : "",
			rule, *rule ? ")" : "");
}

static int print_token(void *arg, const struct token *t)
{
	struct listing *l = arg;
	char first[LISTING_TIME_LEN], last[LISTING_TIME_LEN];
	char *line = NULL;
	int made;

	if (l->json) {
		made = json_token(store_query_node(l->query), t, &line);
		return listing_json(l, made, line);
	}
	print_credential(l->out, t);
	print_claims(l->out, t);
	if (!t->uses) {
		fputs("  no use was seen\n", l->out);
		return 0;
	}
	fprintf(l->out, "  first %s, last %s, %" PRIu64 " uses: %" PRIu64 " egress, %" PRIu64
		" ingress\n", listing_time(t->first_ns, first), listing_time(t->last_ns, last),
		t->uses, t->egress, t->ingress);
	return 0;
}

static int on_use(void *arg, const struct use *u)
{
	struct listing *l = arg;
	char *line = NULL;
	int made;

	if (!l->json)
		return listing_use_row(l, u, false);
	made = json_use(store_query_node(l->query), u, &line);
	return listing_json(l, made, line);
}

/* ---- the story: what happened to it, in order of time ---- */

struct event {
	uint64_t time;
	const char *what;	/* static */
	char text[512], other[TOKEN_ID_LEN];
};

struct story {
	struct event *event;
	size_t count;
};

static int add_event(void *arg, const struct story_event *e)
{
	struct story *s = arg;
	struct event *more;

	if (!e->time)
		return 0;
	more = reallocarray(s->event, s->count + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	s->event = more;
	s->event[s->count] = (struct event){ .time = e->time, .what = e->what };
	snprintf(s->event[s->count].text, sizeof(more->text), "%s", e->text);
	snprintf(s->event[s->count++].other, sizeof(more->other), "%s", e->other);
	return 0;
}

static int add_times(void *arg, const struct token *t)
{
	static const struct {
		enum fact fact;
		const char *what, *text;
	} times[] = {
		{ FACT_token_issued, "issued", "issued, as it says itself" },
		{ FACT_listed_time, "listed", "imported with a list of known tokens" },
		{ FACT_revoked_time, "revoked", "revoked" },
		{ FACT_token_expires, "expires", "ends" },
	};
	int r;

	r = add_event(arg, &(struct story_event){ t->first_ns, "first_use", "used for the first time", "" });
	for (size_t i = 0; t->facts && i < sizeof(times) / sizeof(times[0]) && r == 0; i++)
		r = add_event(arg, &(struct story_event){ facts_number(t->facts, times[i].fact), times[i].what,
							  times[i].text, "" });
	return r ?: add_event(arg, &(struct story_event){ t->last_ns, "last_use", "used last", "" });
}

static int by_time(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	return (x->time > y->time) - (x->time < y->time) ?: strcmp(x->what, y->what);
}

static int print_event(struct listing *l, const char *id, const struct event *e)
{
	char time[LISTING_TIME_LEN], *line;
	json_t *o;

	if (!l->json) {
		fprintf(l->out, "  %s  %s%s%s\n", listing_time(e->time, time), e->text,
			e->other[0] ? ": " : "", e->other);
		return 0;
	}
	o = json_pack("{s:s, s:s, s:{s:s}, s:s, s:s}", "type", "story", "@timestamp",
		      listing_time(e->time, time), "token", "id", id, "event", e->what, "text", e->text);
	if (o && e->other[0])
		json_object_set_new(o, "other", json_pack("{s:s}", "id", e->other));
	line = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	return line ? listing_json(l, 0, line) : -ENOMEM;
}

/* A store that was not brought up to date yet has no mints: then it is the uses alone. */
static int tell_story(struct trace *tr, const char *id)
{
	struct store_filter whole = { .token = id };
	struct story s = { 0 };
	struct config_error error;
	int r;

	r = store_query_tokens(tr->l.query, &whole, add_times, &s);
	if (r == 0) {
		r = store_report_story(tr->l.store, id, add_event, &s, &error);
		r = r == -EPROTONOSUPPORT ? 0 : r;
	}
	if (s.count)
		qsort(s.event, s.count, sizeof(*s.event), by_time);
	for (size_t i = 0; i < s.count && r == 0; i++)
		r = print_event(&tr->l, id, &s.event[i]);
	free(s.event);
	return r;
}

/* The inventory row, the places of use and the story of one token, by its whole id. */
static int trace_token(struct trace *tr, const char *id)
{
	struct store_filter whole = { .token = id }, uses = tr->l.filter;
	int r;

	uses.token = id;
	r = store_query_tokens(tr->l.query, &whole, print_token, &tr->l);
	if (r == 0 && !tr->l.json)
		r = tell_story(tr, id);
	if (r == 0 && !tr->l.json)
		r = listing_use_titles(&tr->l, false);
	if (r == 0)
		r = store_query_uses(tr->l.query, &uses, on_use, &tr->l);
	if (r == 0 && tr->l.json)
		r = tell_story(tr, id);
	if (r < 0)
		return r;
	listing_end_table(&tr->l);
	tr->known++;
	return 0;
}

static int trace_id(struct trace *tr, const char *id)
{
	struct store_filter which = tr->l.filter;
	int r;

	which.token = id;
	which.limit = 0;
	tr->count = 0;
	r = store_query_tokens(tr->l.query, &which, on_token, tr);
	for (size_t i = 0; i < tr->count && r == 0; i++)
		r = trace_token(tr, tr->found[i]);
	if (r < 0)
		return listing_failed(&tr->l, r);
	if (!tr->count && !tr->l.json)
		fprintf(tr->l.out, "%s\n  not seen here\n", id);
	return CMD_OK;
}

static int trace_arguments(struct trace *tr, int count, char **ids)
{
	int status = CMD_OK;

	for (int i = 0; i < count; i++)
		if (!listing_is_id(ids[i]))
			return cmd_usage_error(NAME, "argument %d is not a token's id (tt1_...); "
					       "'tokentrail fingerprint' makes it", i + 1);
	for (int i = 0; i < count && status == CMD_OK; i++)
		status = trace_id(tr, ids[i]);
	return status;
}

static int trace_stdin(struct trace *tr)
{
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	unsigned long number = 0;
	int status = CMD_OK;

	while (status == CMD_OK && getline(&line, &size, stdin) >= 0) {
		number++;
		line[strcspn(line, " \t\r\n")] = '\0';
		if (!line[0])
			continue;
		if (!listing_is_id(line))
			return cmd_usage_error(NAME, "line %lu is not a token's id (tt1_...); "
					       "'tokentrail fingerprint' makes it", number);
		status = trace_id(tr, line);
	}
	if (status == CMD_OK && ferror(stdin))
		return cmd_cant(NAME, "can't read standard input: %m");
	return status;
}

static int trace(struct trace *tr, int count, char **ids)
{
	int status;

	status = listing_open(&tr->l);
	if (status != CMD_OK)
		return status;
	if (count == 1 && !strcmp(ids[0], "-"))
		status = trace_stdin(tr);
	else
		status = trace_arguments(tr, count, ids);
	if (status != CMD_OK)
		return status;
	return listing_print(&tr->l, tr->known ? CMD_OK : CMD_NO);
}

int cmd_trace(int argc, char **argv)
{
	struct trace tr = { 0 };
	int status;

	status = listing_options(&tr.l, NAME, help, LISTING_TRACE, argc, argv);
	if (status < 0 && optind == argc)
		status = cmd_usage_error(NAME, "needs the ids of tokens, or - to read them from "
					 "standard input");
	if (status < 0)
		status = trace(&tr, argc - optind, argv + optind);
	listing_done(&tr.l);
	free(tr.found);
	return status;
}
