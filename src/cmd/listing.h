/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `tokens`, `uses`, `mints`, `trace` and `coverage` share: options, opening the store, and output as aligned
 * columns or JSON lines. Output is gathered first and written after the store was closed, because
 * a reader that waits for a pager keeps the writer's log from being folded in.
 */
#ifndef TT_CMD_LISTING_H
#define TT_CMD_LISTING_H

#include "cmd/cmd.h"
#include "sinks/columns.h"
#include "sinks/store_query.h"

/* Which command it is, for the options that not all have. */
enum listing_kind {
	LISTING_PLAIN = 1,
	LISTING_TRACE = 2,	/* ids follow, so that --token is none of its options */
	LISTING_COVERAGE = 4,
};

enum listing_by { LISTING_BY_PROCESS, LISTING_BY_WORKLOAD, LISTING_BY_NODE };

struct listing {
	const char *name;	/* of the command */
	struct store_filter filter;
	bool json;
	enum listing_by by;	/* of coverage */
	char *store;		/* path */

	struct store_query *query;
	struct columns *columns;	/* rows of the plain table */
	char *text;		/* everything printed so far goes here */
	size_t len;
	FILE *out;
};

/* Reads the options. -1: go on; else the exit status (help was printed, or an option is wrong). optind
 * is at the first argument left. listing_done() either way. */
int listing_options(struct listing *l, const char *name, const char *help, enum listing_kind kind,
		    int argc, char **argv);
/* Opens the store. CMD_OK, or the exit status after the reason was said. */
int listing_open(struct listing *l);
/* What a failed query (a negative errno) means for the user. Returns the exit status. */
int listing_failed(struct listing *l, int error);
/* Closes the store and writes the output. Returns `status`, or CMD_CANT if it can't be written. */
int listing_print(struct listing *l, int status);
void listing_done(struct listing *l);

/* A whole command without arguments: options, store, list() (0 or a negative errno), output. Returns
 * the exit status. */
int listing_command(const char *name, const char *help, int (*list)(struct listing *l), int argc,
		    char **argv);
/* "30s", "5m", "2h", "7d" as nanoseconds. -EINVAL, -ERANGE. */
int listing_duration(const char *text, uint64_t *ret_ns);
/* "--since 1h" as it is when nobody says otherwise. */
void listing_default_since(struct listing *l, uint64_t seconds);

/* Is this a token.id, or the beginning of one that the live table shows? */
bool listing_is_id(const char *text);

/* The plain table of uses: titles, then one row per use. `id`: with the column TOKEN. */
int listing_use_titles(struct listing *l, bool id);
int listing_use_row(struct listing *l, const struct use *u, bool id);
/* Moves the table's rows into the output. */
void listing_end_table(struct listing *l);
/* One JSON line; frees it. `made` is what json_use() or json_token() returned. */
int listing_json(struct listing *l, int made, char *line);

/* UTC, seconds: 2026-11-23T23:14:54Z. */
#define LISTING_TIME_LEN 21
const char *listing_time(uint64_t ns, char to[static LISTING_TIME_LEN]);

#endif
