/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report for a terminal: an answer, what it rests on, then its list.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "report/report.h"
#include "sinks/columns.h"

static const char *plural(uint64_t n, const char *one, const char *many)
{
	return n == 1 ? one : many;
}

/* Texts are of programs that others wrote: what could move the cursor is shown as '?'. */
static void put(FILE *to, const char *text)
{
	columns_cell(to, text, columns_width(text), false);
}

static void put_counts(FILE *to, const char *title, const struct named_counts *c)
{
	fprintf(to, "   %s: ", title);
	for (uint32_t i = 0; i < c->rows; i++) {
		fprintf(to, "%s", i ? ", " : "");
		put(to, c->row[i].name);
		fprintf(to, " %" PRIu64, c->row[i].count);
	}
	fputs(c->rows ? "\n" : "-\n", to);
}

static void put_head(const struct report *r, FILE *to)
{
	const struct answers *a = &r->a;
	char now[REPORT_TIME_LEN], since[REPORT_TIME_LEN], until[REPORT_TIME_LEN];

	fputs("tokentrail report of ", to);
	put(to, r->h->node[0] ? r->h->node : "this node");
	fprintf(to, ", %s\n", report_time(a->options.now, now));
	if (a->since)
		fprintf(to, "watched since %s, last sign %s, %" PRIu64 " h in all; ",
			report_time(a->since, since), report_time(a->until, until),
			a->watched / HISTORY_HOUR);
	if (a->share >= 0)
		fprintf(to, "%.1f %% of TLS bytes seen; ", (double)(int)(a->share * 1000) / 10);
	fprintf(to, "%" PRIu64 " %s blind, %" PRIu64 " records lost\n", a->blind,
		plural(a->blind, "process", "processes"), a->lost);
}

/* "12 of 90 tokens" */
static void put_count(const struct report *r, enum question q, FILE *to)
{
	const struct answers *all = &r->a;
	const struct answer *a = &all->answer[q];
	const char *what = q == QUESTION_MINTING ? "services" : "tokens";
	char since[REPORT_TIME_LEN], from[REPORT_TIME_LEN];

	if (a->answered == ANSWERED_NO)
		fputs("   can't be answered yet", to);
	else
		fprintf(to, "   %" PRIu64 " of %" PRIu64 " %s", a->count, a->of, what);
	if (q == QUESTION_ACTIVE && a->answered != ANSWERED_NO)
		fprintf(to, " in the last %" PRIu64 " h", all->options.window / HISTORY_HOUR);
	if (a->why_not)
		fprintf(to, "%s %s%s%s", a->answered == ANSWERED_NO ? ":" : "; only in part:", a->why_not,
			a->from ? "; from " : "", report_time(a->from, from));
	fprintf(to, "\n   confidence %s%s", sureness_name(a->sure), a->becauses ? ": " : "");
	for (uint32_t i = 0; i < a->becauses; i++) {
		fputs(i ? "; " : "", to);
		put(to, a->because[i]);
	}
	fprintf(to, "\n   known since %s\n", a->since ? report_time(a->since, since) : "never");
}

static void put_more(const struct report *r, enum question q, FILE *to)
{
	const struct answers *a = &r->a;

	if (q == QUESTION_ACTIVE) {
		fprintf(to, "   last day %" PRIu64 ", week %" PRIu64 ", month %" PRIu64 "; %" PRIu64
			" without their rotations; %" PRIu64 " minted and not used yet\n", a->active_day,
			a->active_week, a->active_month, a->active_lineages, a->minted_unused);
		put_counts(to, "by class", &a->by_class);
		put_counts(to, "by kind", &a->by_kind);
		put_counts(to, "by owner", &a->by_owner);
	} else if (q == QUESTION_EXCESSIVE) {
		fprintf(to, "   rights are known of %" PRIu64 ", unknown of %" PRIu64 "\n", a->rights_known,
			a->rights_unknown);
	} else if (q == QUESTION_UNUSED) {
		fprintf(to, "   %" PRIu64 " never used, %" PRIu64 " not for %" PRIu64 " days; left out: %" PRIu64
			" expired or revoked, %" PRIu64 " replaced; never used so far: %" PRIu64 "\n",
			a->never_seen, a->idle, a->options.unused / HISTORY_DAY, a->expired, a->replaced,
			a->never_seen_so_far);
	} else if (q == QUESTION_PLACES) {
		fprintf(to, "   usual places are known of %" PRIu64 "\n", a->learned);
	}
}

static int add_reasons(struct columns *c, const struct finding *f)
{
	char text[2048] = "";
	size_t n = 0;

	for (uint32_t i = 0; i < f->reasons && n < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i ? "; " : "", f->reason[i].text);
	return columns_add(c, "%s", text);
}

static int add_titles(struct columns *c, const char *const *titles)
{
	int error = 0;

	for (; *titles && error == 0; titles++)
		error = columns_add(c, "%s", *titles);
	return error;
}

static int add_token(const struct report *r, struct columns *c, const struct finding *f)
{
	const struct history_token *t = &r->h->token[f->token];
	char last[REPORT_TIME_LEN];
	int error;

	error = columns_add(c, "   %s", t->id);
	error = error ?: columns_add(c, "%s", t->class_name);
	error = error ?: columns_add(c, "%s", t->listed_name[0] ? t->listed_name : t->owner);
	error = error ?: columns_add(c, "%s", report_time(t->last, last));
	error = error ?: columns_add(c, "%" PRIu64, t->uses);
	return error ?: add_reasons(c, f);
}

static void put_rights(FILE *to, const char *title, const char *list)
{
	if (!list[0])
		return;
	fprintf(to, "      %s: ", title);
	while (*list) {
		char element[256];
		size_t len = strcspn(list, "\n");

		snprintf(element, sizeof(element), "%.*s", (int)len, list);
		put(to, element);
		list += len + (list[len] == '\n');
		fputs(*list ? ", " : "\n", to);
	}
}

/* Granted minus used, of those of the list whose servers say what requests need. */
static void put_granted_minus_used(const struct report *r, FILE *to, size_t rows)
{
	const struct answer *a = &r->a.answer[QUESTION_EXCESSIVE];

	for (uint32_t i = 0; i < a->findings && i < rows; i++) {
		const struct finding *f = &a->finding[i];
		const struct history_token *t = &r->h->token[f->token];

		if (!f->used[0] && !f->unused[0])
			continue;
		fprintf(to, "   %s, seen for %" PRIu64 " days and %" PRIu64 " uses\n", t->id,
			f->observed / HISTORY_DAY, t->uses);
		put_rights(to, "granted", t->scopes);
		put_rights(to, "roles", t->roles);
		put_rights(to, "used", f->used);
		put_rights(to, "not used", f->unused);
	}
}

static int add_service(struct columns *c, const struct finding *f)
{
	int error;

	error = columns_add(c, "   %s", f->workload);
	error = error ?: columns_add(c, "%s", f->issuer);
	error = error ?: columns_add(c, "%s", f->baseline ? f->baseline : "");
	return error ?: add_reasons(c, f);
}

static int put_list(const struct report *r, enum question q, FILE *to, size_t rows)
{
	static const char *const tokens[] = { "   TOKEN", "CLASS", "NAME OR OWNER", "LAST USE", "USES", "WHY",
					      NULL };
	static const char *const services[] = { "   WORKLOAD", "ISSUER", "BASELINE", "WHY", NULL };
	const struct answer *a = &r->a.answer[q];
	struct columns *c;
	int error;

	if (!a->findings)
		return 0;
	c = columns_new(q == QUESTION_MINTING ? "<<<<" : "<<<<><");
	if (!c)
		return -ENOMEM;
	error = add_titles(c, q == QUESTION_MINTING ? services : tokens);
	for (uint32_t i = 0; i < a->findings && i < rows && error == 0; i++)
		error = q == QUESTION_MINTING ? add_service(c, &a->finding[i]) :
						add_token(r, c, &a->finding[i]);
	if (error == 0)
		columns_print(c, to);
	columns_free(c);
	if (a->findings > rows)
		fprintf(to, "   ... and %" PRIu64 " more; --limit, --json, --csv and --html have them\n",
			(uint64_t)(a->findings - rows));
	return error;
}

static void put_coverage(const struct report *r, FILE *to)
{
	if (!r->h->blinds && !r->h->losses)
		return;
	fputs("\nWhat was not seen\n", to);
	for (uint32_t i = 0; i < r->h->blinds && i < 10; i++) {
		fputs("   ", to);
		put(to, r->h->blind[i].program);
		fprintf(to, ": %" PRIu64 " %s, ", r->h->blind[i].processes,
			plural(r->h->blind[i].processes, "process", "processes"));
		put(to, r->h->blind[i].reason);
		fputc('\n', to);
	}
	for (uint32_t i = 0; i < r->h->losses && i < 10; i++) {
		fputs("   lost: ", to);
		put(to, r->h->loss[i].reason);
		fprintf(to, " %" PRIu64 "\n", r->h->loss[i].count);
	}
	fputs("   'tokentrail coverage' says more.\n", to);
}

int report_terminal(const struct report *r, FILE *to, size_t rows)
{
	int error = 0;

	put_head(r, to);
	for (int q = 0; q < QUESTIONS && error == 0; q++) {
		fprintf(to, "\n%d. %s\n", q + 1, question_text(q));
		put_count(r, q, to);
		put_more(r, q, to);
		error = put_list(r, q, to, rows);
		if (q == QUESTION_EXCESSIVE)
			put_granted_minus_used(r, to, rows);
	}
	put_coverage(r, to);
	return error;
}
