/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tokentrail report`: the five questions, answered from the store.
 */
#include "report/report.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "cmd/listing.h"
#include "sinks/store_report.h"

#define NAME "report"
#define ROWS 20
#define PAGE "tokentrail-report.html"

static const char help[] =
	"Usage: tokentrail report [OPTIONS]\n"
	"\n"
	"Answers five questions from what was seen on this node: how many tokens are active, which carry\n"
	"excessive privileges, which have not been used for months, which services mint tokens at unusual\n"
	"rates, which are used from unexpected places. Each answer says how sure it is and since when that\n"
	"is known; one that can't be given yet says from when it can.\n"
	"\n"
	"  --window DURATION  active is what was used within 24h (default), 7d, 30d\n"
	"  --unused DURATION  unused is what was silent for so long of watching (default 90d)\n"
	"  --limit N          no more than N rows of each list on the terminal (default 20)\n"
	"  --json             one JSON object\n"
	"  --html [FILE]      one page that needs no network (default " PAGE "; - is standard\n"
	"                     output)\n"
	"  --csv DIR          unused.csv, excessive.csv and places.csv, for access reviews\n"
	"  --now TIME         as if it were this time (2026-11-25T12:00:00Z), so that a report of a store\n"
	"                     can be made again\n"
	"  --store FILE       another store (default: store.db in the state directory)\n"
	"  --state-dir DIR    another state directory\n"
	"  --config FILE      another configuration file\n"
	"\n"
	"Examples:\n"
	"  sudo tokentrail report\n"
	"  sudo tokentrail report --html report.html\n"
	"  sudo tokentrail report --json | jq '.answers.unused.tokens[].id'\n"
	"  sudo tokentrail report --window 7d --csv review-november";

struct options {
	struct question_options question;
	uint64_t rows;
	bool json;
	const char *html, *csv, *config;
	char *store;
};

static int set_duration(const char *name, const char *text, uint64_t *to)
{
	if (listing_duration(text, to) < 0 || !*to)
		return cmd_usage_error(NAME, "--%s takes a duration: 24h, 7d or 90d", name);
	return -1;
}

/* RFC 3339, UTC, whole seconds or a part of them, which is dropped. */
static int set_now(struct options *o, const char *text)
{
	struct tm tm = { 0 };
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

	if (end && *end == '.')
		end += 1 + strspn(end + 1, "0123456789");
	if (!end || strcmp(end, "Z") != 0 || tm.tm_year < 70)
		return cmd_usage_error(NAME, "--now takes a time of UTC: 2026-11-25T12:00:00Z");
	o->question.now = (uint64_t)timegm(&tm) * HISTORY_S;
	return -1;
}

static int set_store(struct options *o, const char *path, const char *name)
{
	free(o->store);
	if (asprintf(&o->store, "%s%s", path, name) < 0)
		o->store = NULL;
	return o->store ? -1 : cmd_cant(NAME, "out of memory");
}

static int set_option(struct options *o, int option, char *value)
{
	switch (option) {
	case 'w':
		return set_duration("window", value, &o->question.window);
	case 'u':
		return set_duration("unused", value, &o->question.unused);
	case 'n':
		if (text_parse_u64(value, &o->rows) < 0 || !o->rows)
			return cmd_usage_error(NAME, "--limit takes a number, at least 1");
		return -1;
	case 'j':
		o->json = true;
		return -1;
	case 'c':
		o->csv = value;
		return -1;
	case 'N':
		return set_now(o, value);
	case 'S':
		return set_store(o, value, "");
	case 'd':
		return set_store(o, value, "/store.db");
	default:
		o->config = value;
		return -1;
	}
}

/* getopt has no optional value after a blank. */
static const char *optional_value(int argc, char **argv)
{
	if (optarg)
		return optarg;
	if (optind < argc && (argv[optind][0] != '-' || !argv[optind][1]))
		return argv[optind++];
	return PAGE;
}

static int read_options(struct options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{ "window", required_argument, NULL, 'w' },
		{ "unused", required_argument, NULL, 'u' },
		{ "limit", required_argument, NULL, 'n' },
		{ "json", no_argument, NULL, 'j' },
		{ "html", optional_argument, NULL, 'H' },
		{ "csv", required_argument, NULL, 'c' },
		{ "now", required_argument, NULL, 'N' },
		{ "store", required_argument, NULL, 'S' },
		{ "state-dir", required_argument, NULL, 'd' },
		{ "config", required_argument, NULL, 'C' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option, status = -1;

	opterr = 0;
	while (status < 0 && (option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (option == 'h') {
			puts(help);
			return cmd_finish_output(NAME, CMD_OK);
		}
		if (option == '?' || option == ':')
			return cmd_bad_option(NAME, option, argc, argv);
		if (option == 'H')
			o->html = optional_value(argc, argv);
		else
			status = set_option(o, option, optarg);
	}
	if (status < 0 && optind < argc)
		status = cmd_usage_error(NAME, "takes no arguments");
	if (status < 0 && o->json && o->html && !strcmp(o->html, "-"))
		status = cmd_usage_error(NAME, "--json and --html - both want standard output");
	return status;
}

static int default_store(struct options *o)
{
	struct config c = { 0 };
	int status;

	if (o->store)
		return CMD_OK;
	status = cmd_load_config(NAME, o->config, &c);
	if (status == CMD_OK && set_store(o, c.state_dir, "/store.db") >= 0)
		status = CMD_CANT;
	config_done(&c);
	return status;
}

static int write_html(const struct report *r, const char *path)
{
	_cleanup_fclose_ FILE *f = NULL;
	int fd, error;

	if (!strcmp(path, "-")) {
		error = report_html(r, stdout);
		return error ? cmd_cant(NAME, "%s", strerror(-error)) : CMD_OK;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	f = fd < 0 ? NULL : fdopen(fd, "w");
	if (!f)
		return cmd_cant(NAME, "can't write %s: %m", path);
	error = report_html(r, f);
	if (fflush(f) != 0 && error == 0)
		error = -errno;
	if (error)
		return cmd_cant(NAME, "can't write %s: %s", path, strerror(-error));
	fprintf(stderr, "tokentrail report: wrote %s\n", path);
	return CMD_OK;
}

static int write_csv(const struct report *r, const char *directory)
{
	char path[4096];
	int error = report_csv(r, directory, path, sizeof(path));

	if (error)
		return cmd_cant(NAME, "can't write %s: %s", path, strerror(-error));
	fprintf(stderr, "tokentrail report: wrote unused.csv, excessive.csv and places.csv in %s\n", directory);
	return CMD_OK;
}

static int write_report(const struct options *o, const struct report *r)
{
	int status = CMD_OK, error = 0;

	if (o->csv)
		status = write_csv(r, o->csv);
	if (status == CMD_OK && o->html)
		status = write_html(r, o->html);
	if (status == CMD_OK && o->json)
		error = report_json(r, stdout);
	else if (status == CMD_OK && !o->html && !o->csv)
		error = report_terminal(r, stdout, o->rows);
	if (error)
		status = cmd_cant(NAME, "%s", strerror(-error));
	return cmd_finish_output(NAME, status);
}

static int make_report(struct options *o)
{
	struct report r = { 0 };
	struct config_error error;
	int status;

	status = default_store(o);
	if (status != CMD_OK)
		return status;
	if (store_report_read(o->store, o->question.now, &r.h, &error) < 0)
		return cmd_cant(NAME, "%s", error.text);
	if (questions_answer(r.h, &o->question, &r.a) < 0)
		status = cmd_cant(NAME, "out of memory");
	else
		status = write_report(o, &r);
	questions_done(&r.a);
	history_free(r.h);
	return status;
}

int cmd_report(int argc, char **argv)
{
	struct options o = { .rows = ROWS, .question = { .window = HISTORY_DAY, .unused = 90 * HISTORY_DAY } };
	struct timespec t;
	int status;

	clock_gettime(CLOCK_REALTIME, &t);
	o.question.now = (uint64_t)t.tv_sec * HISTORY_S;
	status = read_options(&o, argc, argv);
	if (status < 0)
		status = make_report(&o);
	free(o.store);
	return status;
}
