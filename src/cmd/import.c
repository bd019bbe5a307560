/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tokentrail import`: a list of known tokens, so that one that is never used shows as unused, and an owner
 * that somebody wrote down goes before a guess. A cell may hold a token by mistake: what is wrong is told
 * by its line and column, and never repeated.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/csv.h"
#include "base/pool.h"
#include "cmd/cmd.h"
#include "sinks/store_list.h"
#include "tokens/class.h"
#include "tokens/use.h"

#define NAME "import"
#define INPUT_MAX (64 << 20)

static const char help[] =
	"Usage: tokentrail import [OPTIONS] FILE|-\n"
	"\n"
	"Reads a list of known tokens, for example of a secrets manager. A token stands in it as its id, which\n"
	"'tokentrail fingerprint' makes, or as its public identifier (an AWS access key id, a Twilio SID, a\n"
	"bootstrap token's id); a list with tokens themselves is refused. Known tokens that are never used show\n"
	"in 'tokentrail report'. A list may be imported again: its rows are replaced. One bad row, and nothing\n"
	"is imported.\n"
	"\n"
	"CSV has a line with the names of its columns, JSON is an array of objects or one object a line:\n"
	"id (needed), name, owner, class, kind, scopes (with blanks between), created, expires (2026-01-31 or\n"
	"2026-01-31T12:00:00Z).\n"
	"\n"
	"  --format FORMAT  csv or json (default: by the name of the file, else by its first byte)\n"
	"  --source NAME    what the list is called (default: the name of the file)\n"
	"  --store FILE     another store (default: store.db in the state directory)\n"
	"  --config FILE    another configuration file\n"
	"\n"
	"Examples:\n"
	"  sudo tokentrail import --source vault known.csv\n"
	"  jq -c '.[]' keys.json | sudo tokentrail import --format json -";

static const char *const names[] = { "id", "name", "owner", "class", "kind", "scopes", "created", "expires" };
enum column { ID, NAME_OF, OWNER, CLASS, KIND, SCOPES, CREATED, EXPIRES, COLUMNS };

struct import {
	const char *format, *source, *config;
	char *store;
	char *text;		/* the input, and a byte */
	size_t len;
	struct pool *pool;
	struct listed_token *row;
	size_t rows, room;
};

/* ---- rows ---- */

static bool is_of(const char *text, const char *chars, size_t len)
{
	return strspn(text, chars) == len && !text[len];
}

#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

static bool is_token_id(const char *text)
{
	return !strncmp(text, "tt1_", 4) && is_of(text + 4, LOWER "234567", TOKEN_ID_LEN - 5);
}

/* Identifiers that are no secret, each by its whole form. */
static bool is_public_id(const char *text)
{
	if (strlen(text) == 20 && text[0] == 'A' && is_of(text, UPPER DIGITS, 20))
		return true;	/* AWS access key id */
	if (!strncmp(text, "SK", 2) || !strncmp(text, "AC", 2))
		return is_of(text + 2, "abcdef" DIGITS, 32);	/* Twilio SID */
	if (!strncmp(text, "dt0", 3) && strlen(text) == 31 && text[6] == '.')
		return is_of(text + 7, UPPER DIGITS, 24);	/* Dynatrace */
	return is_of(text, LOWER DIGITS, 6);	/* Kubernetes bootstrap token */
}

static bool parse_time(const char *text, uint64_t *ret_ns)
{
	struct tm tm = { 0 };
	const char *end = strptime(text, "%Y-%m-%d", &tm);

	if (!*text) {
		*ret_ns = 0;
		return true;
	}
	if (end && *end == 'T') {
		end = strptime(end, "T%H:%M:%S", &tm);
		if (end && *end == '.')
			end += 1 + strspn(end + 1, DIGITS);
		end = end && *end == 'Z' ? end + 1 : NULL;
	}
	if (!end || *end || tm.tm_year < 70)
		return false;
	*ret_ns = (uint64_t)timegm(&tm) * UINT64_C(1000000000);
	return true;
}

static int bad_cell(unsigned long line, unsigned int column, const char *name, const char *why)
{
	if (column)
		return cmd_usage_error(NAME, "line %lu, column %u: %s %s; nothing was imported", line, column,
				       name, why);
	return cmd_usage_error(NAME, "line %lu: %s %s; nothing was imported", line, name, why);
}

/* A clean copy that lives as long as the pool; scopes become a list. */
static const char *keep(struct import *in, enum column c, const char *text)
{
	char clean[1024];

	use_set_text(clean, sizeof(clean), text, strlen(text));
	for (char *p = clean; c == SCOPES && *p; p++)
		if (*p == ' ' || *p == ',')
			*p = '\n';
	return pool_text(in->pool, clean);
}

static int check_cells(const char *const cell[COLUMNS], const unsigned int column[COLUMNS], unsigned long line)
{
	struct tt_class_row row;

	for (int c = NAME_OF; c < COLUMNS; c++) {
		if (strlen(cell[c]) > 1000)
			return bad_cell(line, column[c], names[c], "is longer than 1000 bytes");
		if (class_row(class_of(cell[c], strlen(cell[c]), NULL), &row) &&
		    (row.flags & (TT_CLASS_SURE | TT_CLASS_PUBLIC)))
			return bad_cell(line, column[c], names[c], "looks like a token, which may not be kept; "
					"leave it out");
	}
	return -1;
}

/* -1: it is in; else the exit status. */
static int add_row(struct import *in, const char *const cell[COLUMNS], const unsigned int column[COLUMNS],
		   unsigned long line)
{
	struct listed_token *t;
	int status;

	if (!is_token_id(cell[ID]) && !is_public_id(cell[ID]))
		return bad_cell(line, column[ID], "id", "is neither a token's id (tt1_..., 'tokentrail fingerprint' "
				"makes it) nor a public identifier");
	status = check_cells(cell, column, line);
	if (status >= 0)
		return status;
	if (in->rows == in->room) {
		size_t room = in->room ? 2 * in->room : 256;

		t = reallocarray(in->row, room, sizeof(*t));
		if (!t)
			return cmd_cant(NAME, "out of memory");
		in->row = t;
		in->room = room;
	}
	t = &in->row[in->rows];
	*t = (struct listed_token){ .id = keep(in, ID, cell[ID]), .is_public = !is_token_id(cell[ID]),
				    .name = keep(in, NAME_OF, cell[NAME_OF]), .owner = keep(in, OWNER, cell[OWNER]),
				    .class_name = keep(in, CLASS, cell[CLASS]), .kind = keep(in, KIND, cell[KIND]),
				    .scopes = keep(in, SCOPES, cell[SCOPES]) };
	if (!t->id || !t->name || !t->owner || !t->class_name || !t->kind || !t->scopes)
		return cmd_cant(NAME, "out of memory");
	for (int c = CREATED; c <= EXPIRES; c++)
		if (!parse_time(cell[c], c == CREATED ? &t->created : &t->expires))
			return bad_cell(line, column[c], names[c], "is no time: 2026-01-31 or 2026-01-31T12:00:00Z");
	in->rows++;
	return -1;
}

/* ---- CSV ---- */

static int find_column(const char *text, size_t len)
{
	for (int c = 0; c < COLUMNS; c++)
		if (strlen(names[c]) == len && !strncasecmp(names[c], text, len))
			return c;
	return -1;
}

static int bad_csv(const struct csv *c)
{
	return cmd_usage_error(NAME, "line %lu, column %u: %s; nothing was imported", c->line, c->why_column, c->why);
}

static int read_heads(struct csv *c, int which[CSV_CELLS_MAX])
{
	bool has_id = false;

	for (size_t i = 0; i < c->cells; i++) {
		const char *text = c->cell[i] + strspn(c->cell[i], " ");
		size_t len = strlen(text);

		while (len && text[len - 1] == ' ')
			len--;
		which[i] = find_column(text, len);
		/* It may be the first row of a list without names: nothing of it is repeated. */
		if (which[i] < 0)
			return bad_cell(c->line, c->column[i], "this", "is no name of a column; the first line has "
					"them: id, name, owner, class, kind, scopes, created, expires");
		has_id |= which[i] == ID;
	}
	return has_id ? -1 : bad_cell(c->line, 0, "id", "is no column of this list");
}

static int read_csv(struct import *in)
{
	int which[CSV_CELLS_MAX], status, r;
	struct csv c;

	csv_init(&c, in->text, in->len);
	r = csv_read(&c);
	if (r <= 0)
		return r < 0 ? bad_csv(&c) : cmd_usage_error(NAME, "the list is empty");
	status = read_heads(&c, which);
	size_t heads = c.cells;

	while (status < 0 && (r = csv_read(&c)) > 0) {
		const char *cell[COLUMNS] = { "", "", "", "", "", "", "", "" };
		unsigned int column[COLUMNS] = { 0 };

		if (c.cells != heads)
			return bad_cell(c.line, 0, "the row", "has more or fewer cells than the first line");
		for (size_t i = 0; i < c.cells; i++) {
			cell[which[i]] = c.cell[i];
			column[which[i]] = c.column[i];
		}
		status = add_row(in, cell, column, c.line);
	}
	return status < 0 && r < 0 ? bad_csv(&c) : status;
}

/* ---- JSON ---- */

static int add_object(struct import *in, json_t *o, unsigned long line)
{
	static const unsigned int no_column[COLUMNS];
	const char *cell[COLUMNS] = { "", "", "", "", "", "", "", "" }, *key;
	json_t *value;

	if (!json_is_object(o))
		return bad_cell(line, 0, "the row", "is no object");
	json_object_foreach(o, key, value) {
		int c = find_column(key, strlen(key));

		if (c < 0)
			return bad_cell(line, 0, "a member", "is none of id, name, owner, class, kind, scopes, "
					"created, expires");
		if (!json_is_string(value) && !json_is_null(value))
			return bad_cell(line, 0, names[c], "is no text");
		cell[c] = json_is_null(value) ? "" : json_string_value(value);
	}
	return add_row(in, cell, no_column, line);
}

static unsigned long lines_before(const struct import *in, size_t at)
{
	unsigned long n = 1;

	for (size_t i = 0; i < at; i++)
		n += in->text[i] == '\n';
	return n;
}

static int read_json(struct import *in)
{
	size_t at = 0;
	int status = -1;

	while (status < 0) {
		json_error_t e;
		json_t *o, *item;
		size_t i;

		at += strspn(in->text + at, " \t\r\n");
		if (at >= in->len)
			return in->rows ? -1 : cmd_usage_error(NAME, "the list is empty");
		o = json_loadb(in->text + at, in->len - at, JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES, &e);
		if (!o)	/* jansson's own words may repeat the text */
			return cmd_usage_error(NAME, "line %lu, column %d: this is no JSON; nothing was imported",
					       lines_before(in, at) + (unsigned long)(e.line > 0 ? e.line - 1 : 0),
					       e.column);
		if (json_is_array(o)) {
			json_array_foreach(o, i, item) {
				status = add_object(in, item, i + 1);
				if (status >= 0)
					break;
			}
		} else {
			status = add_object(in, o, lines_before(in, at));
		}
		at += (size_t)e.position;
		json_decref(o);
	}
	return status;
}

/* ---- input ---- */

static int read_input(struct import *in, const char *path)
{
	_cleanup_fclose_ FILE *f = strcmp(path, "-") ? fopen(path, "re") : fdopen(dup(STDIN_FILENO), "r");
	size_t room = 65536, n;

	if (!f)
		return cmd_cant(NAME, "can't read the list: %m");
	do {
		char *more = realloc(in->text, room + 1);

		if (!more)
			return cmd_cant(NAME, "out of memory");
		in->text = more;
		n = fread(in->text + in->len, 1, room - in->len, f);
		in->len += n;
		room *= in->len == room ? 2 : 1;
	} while (n && in->len <= INPUT_MAX);
	if (ferror(f))
		return cmd_cant(NAME, "can't read the list: %m");
	if (in->len > INPUT_MAX)
		return cmd_usage_error(NAME, "the list is larger than 64 MiB; import it in parts");
	in->text[in->len] = '\0';
	return -1;
}

static bool is_json(const struct import *in, const char *path)
{
	const char *dot = strrchr(path, '.');
	size_t at;

	if (in->format)
		return !strcmp(in->format, "json");
	if (dot && (!strcasecmp(dot, ".json") || !strcasecmp(dot, ".jsonl") || !strcasecmp(dot, ".csv")))
		return strcasecmp(dot, ".csv") != 0;
	at = strspn(in->text, " \t\r\n");
	return in->text[at] == '[' || in->text[at] == '{';
}

static int default_store(struct import *in)
{
	struct config c = { 0 };
	int status;

	if (in->store)
		return -1;
	status = cmd_load_config(NAME, in->config, &c);
	if (status == CMD_OK && asprintf(&in->store, "%s/store.db", c.state_dir) < 0) {
		in->store = NULL;
		status = cmd_cant(NAME, "out of memory");
	}
	config_done(&c);
	return status == CMD_OK ? -1 : status;
}

static int import(struct import *in, const char *path)
{
	struct config_error error;
	struct timespec t;
	const char *slash = strrchr(path, '/');
	char source[256];
	int status;

	status = default_store(in);
	if (status < 0)
		status = read_input(in, path);
	if (status < 0)
		status = is_json(in, path) ? read_json(in) : read_csv(in);
	if (status >= 0)
		return status;
	if (!in->source)
		in->source = !strcmp(path, "-") ? "standard input" : slash ? slash + 1 : path;
	use_set_text(source, sizeof(source), in->source, strlen(in->source));
	clock_gettime(CLOCK_REALTIME, &t);
	if (store_list_write(in->store, source, (uint64_t)t.tv_sec * UINT64_C(1000000000), in->row, in->rows,
			     &error) < 0)
		return cmd_cant(NAME, "%s", error.text);
	printf("%zu imported\n", in->rows);
	return cmd_finish_output(NAME, CMD_OK);
}

static int read_options(struct import *in, int argc, char **argv)
{
	static const struct option options[] = {
		{ "format", required_argument, NULL, 'f' }, { "source", required_argument, NULL, 's' },
		{ "store", required_argument, NULL, 'S' }, { "config", required_argument, NULL, 'C' },
		{ "help", no_argument, NULL, 'h' }, { 0 },
	};
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (option == 'h') {
			puts(help);
			return cmd_finish_output(NAME, CMD_OK);
		}
		if (option == '?' || option == ':')
			return cmd_bad_option(NAME, option, argc, argv);
		if (option == 'f' && strcmp(optarg, "csv") && strcmp(optarg, "json"))
			return cmd_usage_error(NAME, "--format takes csv or json");
		if (option == 'f')
			in->format = optarg;
		else if (option == 's')
			in->source = optarg;
		else if (option == 'C')
			in->config = optarg;
		else {
			free(in->store);
			in->store = strdup(optarg);
		}
	}
	if (optind + 1 != argc)
		return cmd_usage_error(NAME, "takes one list: a file, or - for standard input");
	return -1;
}

int cmd_import(int argc, char **argv)
{
	struct import in = { .pool = pool_new() };
	int status;

	status = in.pool ? read_options(&in, argc, argv) : cmd_cant(NAME, "out of memory");
	if (status < 0)
		status = import(&in, argv[optind]);
	free(in.store);
	free(in.text);
	free(in.row);
	pool_free(in.pool);
	return status;
}
