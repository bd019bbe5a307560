/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An upgrade moves no rows: it adds tables and columns and makes the views anew, so that a large
 * store costs the agent's start no more than a small one. It happens whole or not at all.
 */
#include "sinks/store_schema.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

extern const char store_sql[];	/* made from schemas/store.sql by the build */

/* What a store of an older version needs before the part of store.sql that follows its mark. The
 * views before it stay, or are dropped here. The pages are so few that they may go beyond the store's limit: a store that is full has to go on as well. The
 * writer sets the limit again with its first transaction. */
static const char unlimited[] = "PRAGMA max_page_count = 4294967294";
#define COMMON "DROP VIEW tokens; DROP VIEW uses; UPDATE meta SET value = '5' WHERE name = 'schema';"
#define PLACED "ALTER TABLE cover_library ADD COLUMN placed INTEGER NOT NULL DEFAULT 0;"
static const struct {
	const char *mark, *before;
} upgrades[STORE_SCHEMA] = {
	[1] = { "\n-- [upgrade from 1]",
		"ALTER TABLE token ADD COLUMN readable INTEGER NOT NULL DEFAULT 1;"
		"ALTER TABLE token ADD COLUMN entry INTEGER NOT NULL DEFAULT 0;" COMMON },
	[2] = { "\n-- [upgrade from 2]", COMMON },
	[3] = { "\n-- [upgrade from 3]", PLACED COMMON },
	[4] = { "\n-- [upgrade from 4]",
		PLACED "ALTER TABLE fact ADD COLUMN token_answers TEXT NOT NULL DEFAULT '';"
		"UPDATE meta SET value = '5' WHERE name = 'schema';" },
};

int store_get_number(sqlite3 *db, const char *sql, int64_t *ret_value)
{
	sqlite3_stmt *st = NULL;
	int r;

	r = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
	if (r != SQLITE_OK)
		return r;
	r = sqlite3_step(st);
	if (r == SQLITE_ROW) {
		*ret_value = sqlite3_column_int64(st, 0);
		r = SQLITE_OK;
	}
	sqlite3_finalize(st);
	return r == SQLITE_DONE ? SQLITE_ERROR : r;
}

static int run_sql(sqlite3 *db, const char *sql)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

/* Both in one transaction. */
static int change(sqlite3 *db, const char *before, const char *sql)
{
	int r;

	r = run_sql(db, "BEGIN IMMEDIATE");
	if (r != SQLITE_OK)
		return r;
	r = run_sql(db, before);
	if (r == SQLITE_OK)
		r = run_sql(db, sql);
	if (r == SQLITE_OK)
		r = run_sql(db, "COMMIT");
	if (r != SQLITE_OK && !sqlite3_get_autocommit(db))
		run_sql(db, "ROLLBACK");	/* the failure that led here is the one to report */
	return r;
}

static int upgrade(sqlite3 *db, int64_t version)
{
	const char *rest = strstr(store_sql, upgrades[version].mark);
	int r;

	if (!rest)
		return SQLITE_INTERNAL;
	r = run_sql(db, unlimited);
	return r == SQLITE_OK ? change(db, upgrades[version].before, rest) : r;
}

int store_schema_set(sqlite3 *db, const char *path, struct config_error *ret_error)
{
	int64_t version = 0, tables = 0;
	int r;

	r = store_get_number(db, "PRAGMA user_version", &version);
	if (r == SQLITE_OK)
		r = store_get_number(db, "SELECT count(*) FROM sqlite_master", &tables);
	if (r != SQLITE_OK)
		return r;
	if (version == STORE_SCHEMA)
		return SQLITE_OK;
	if (version >= STORE_SCHEMA_OLDEST && version < STORE_SCHEMA)
		return upgrade(db, version);
	if (version == 0 && tables == 0)
		return change(db, "", store_sql);
	if (version > STORE_SCHEMA)
		snprintf(ret_error->text, sizeof(ret_error->text),
			 "the store %s was written by a newer tokentrail (schema %" PRId64
			 ", this one knows %d); use that version, or move the file away",
			 path, version, STORE_SCHEMA);
	else
		snprintf(ret_error->text, sizeof(ret_error->text),
			 "%s is an SQLite file of another program; move it away, or set "
			 "state.directory to another place", path);
	return SQLITE_MISMATCH;
}
