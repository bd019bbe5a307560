/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists for access reviews: who owns it, what may it do, when was it used, why is it here; two empty
 * columns for the decision.
 */
#include "base/csv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "report/report.h"

/* A list with line feeds in one cell. */
static void write_list(FILE *to, const char *list)
{
	char text[1024];

	snprintf(text, sizeof(text), "%s", list);
	for (char *p = text; *p; p++)
		if (*p == '\n')
			*p = ' ';
	csv_write(to, text, ',');
}

static void write_time(FILE *to, uint64_t ns)
{
	char text[REPORT_TIME_LEN];

	csv_write(to, report_time(ns, text), ',');
}

static void write_reasons(FILE *to, const struct finding *f)
{
	char text[2048] = "";
	size_t n = 0;

	for (uint32_t i = 0; i < f->reasons && n < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i ? "; " : "", f->reason[i].text);
	csv_write(to, text, ',');
}

static void write_row(const struct report *r, const struct finding *f, FILE *to)
{
	const struct history_token *t = &r->h->token[f->token];

	csv_write(to, t->id, ',');
	csv_write(to, t->listed_name, ',');
	csv_write(to, t->class_name, ',');
	csv_write(to, t->kind, ',');
	csv_write(to, t->owner, ',');
	csv_write(to, t->owner[0] ? t->owner_confidence : "", ',');
	csv_write(to, question_state(t, r->a.options.now, r->a.options.window), ',');
	fprintf(to, "%" PRIu64 ",", t->uses);
	write_time(to, t->first);
	write_time(to, t->last);
	write_time(to, t->minted);
	write_time(to, t->expires);
	fprintf(to, "%" PRIu32 ",", t->score);
	write_list(to, t->scopes);
	write_list(to, f->used);
	write_list(to, f->unused);
	if (f->observed)
		fprintf(to, "%" PRIu64, f->observed / HISTORY_DAY);
	fputc(',', to);
	write_reasons(to, f);
	fputs(",\r\n", to);
}

int report_csv_list(const struct report *r, enum question q, FILE *to)
{
	const struct answer *a = &r->a.answer[q];

	fputs("token,name,class,kind,owner,owner_confidence,state,uses,first_use,last_use,minted,expires,"
	      "privilege_score,scopes,used_rights,unused_rights,observed_days,why,decision,reviewer\r\n", to);
	for (uint32_t i = 0; i < a->findings; i++)
		write_row(r, &a->finding[i], to);
	return ferror(to) ? -EIO : 0;
}

/* For the owner's eyes: it says which tokens are worth having. */
static int write_file(const struct report *r, enum question q, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
	int error;

	if (!f) {
		error = -errno;
		if (fd >= 0)
			close(fd);
		return error;
	}
	error = report_csv_list(r, q, f);
	if (fclose(f) != 0 && error == 0)
		error = -errno;
	return error;
}

int report_csv(const struct report *r, const char *directory, char *ret_path, size_t size)
{
	static const enum question lists[] = { QUESTION_UNUSED, QUESTION_EXCESSIVE, QUESTION_PLACES };
	int error = 0;

	snprintf(ret_path, size, "%s", directory);
	if (mkdir(directory, 0700) < 0 && errno != EEXIST)
		return -errno;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]) && error == 0; i++) {
		snprintf(ret_path, size, "%s/%s.csv", directory, question_name(lists[i]));
		error = write_file(r, lists[i], ret_path);
	}
	return error;
}
