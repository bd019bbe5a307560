/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/store_list.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/cleanup.h"
#include "sinks/store_schema.h"

#define BUSY_MS 10000

enum statement { LISTED, TOKEN, FACT, STATEMENTS };

/* A token that is on a list and was never seen has a row, too, with no uses. */
static const char *const statement_sql[STATEMENTS] = {
	[LISTED] = "INSERT OR REPLACE INTO listed (id, is_public, name, owner, source, class, kind, scopes, "
		   "created, expires, time) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
	[TOKEN] = "INSERT OR IGNORE INTO token (token, key_id, class, kind, length, first, last, uses, egress, "
		  "ingress) VALUES (?1, '', ?6, ?7, 0, 0, 0, 0, 0, 0)",
	[FACT] = "INSERT INTO fact (token, listed_name, listed_owner, listed_source, listed_time) "
		 "VALUES (?1, ?3, ?4, ?5, ?11) ON CONFLICT (token) DO UPDATE SET "
		 "listed_name = excluded.listed_name, listed_owner = excluded.listed_owner, "
		 "listed_source = excluded.listed_source, listed_time = excluded.listed_time",
};

static int say(struct config_error *ret_error, const char *path, int code)
{
	const char *remedy = "check the disk and the file's permissions";

	if ((code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED)
		remedy = "another program holds it locked; try again";
	else if ((code & 0xff) == SQLITE_CANTOPEN || (code & 0xff) == SQLITE_READONLY)
		remedy = "run this as root or as the agent's user";
	else if ((code & 0xff) == SQLITE_NOTADB || (code & 0xff) == SQLITE_CORRUPT)
		remedy = "it is damaged or not a store; give another with --store";
	snprintf(ret_error->text, sizeof(ret_error->text), "can't write to the store %s: %s; %s", path,
		 sqlite3_errstr(code), remedy);
	return (code & 0xff) == SQLITE_BUSY ? -EBUSY : (code & 0xff) == SQLITE_CANTOPEN ? -EACCES : -EIO;
}

static int bind(sqlite3_stmt *st, int i, const char *text)
{
	return i > sqlite3_bind_parameter_count(st) ? SQLITE_OK :
						       sqlite3_bind_text(st, i, text, -1, SQLITE_STATIC);
}

static int bind_number(sqlite3_stmt *st, int i, uint64_t n)
{
	return i > sqlite3_bind_parameter_count(st) ? SQLITE_OK :
						       sqlite3_bind_int64(st, i, (sqlite3_int64)n);
}

static int run(sqlite3_stmt *st, const struct listed_token *t, const char *source, uint64_t now)
{
	int r;

	r = bind(st, 1, t->id);
	r |= bind_number(st, 2, t->is_public);
	r |= bind(st, 3, t->name);
	r |= bind(st, 4, t->owner);
	r |= bind(st, 5, source);
	r |= bind(st, 6, t->class_name);
	r |= bind(st, 7, t->kind);
	r |= bind(st, 8, t->scopes);
	r |= bind_number(st, 9, t->created);
	r |= bind_number(st, 10, t->expires);
	r |= bind_number(st, 11, now);
	if (r == SQLITE_OK)
		r = sqlite3_step(st);
	sqlite3_reset(st);
	return r == SQLITE_DONE ? SQLITE_OK : r;
}

static int write_rows(sqlite3 *db, const char *source, uint64_t now, const struct listed_token *row, size_t rows)
{
	sqlite3_stmt *st[STATEMENTS] = { NULL };
	int r = SQLITE_OK;

	for (int i = 0; i < STATEMENTS && r == SQLITE_OK; i++)
		r = sqlite3_prepare_v2(db, statement_sql[i], -1, &st[i], NULL);
	if (r == SQLITE_OK)
		r = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	for (size_t n = 0; n < rows && r == SQLITE_OK; n++)
		for (int i = 0; i < (row[n].is_public ? 1 : STATEMENTS) && r == SQLITE_OK; i++)
			r = run(st[i], &row[n], source, now);
	if (r == SQLITE_OK)
		r = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	if (r != SQLITE_OK && !sqlite3_get_autocommit(db))
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);	/* the failure before is the one to tell */
	for (int i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(st[i]);
	return r;
}

static void closep_db(sqlite3 **db)
{
	sqlite3_close(*db);
}

int store_list_write(const char *path, const char *source, uint64_t now, const struct listed_token *row,
		     size_t rows, struct config_error *ret_error)
{
	_cleanup_(closep_db) sqlite3 *db = NULL;
	int64_t version = 0;
	int r;

	if (access(path, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR)) {
		snprintf(ret_error->text, sizeof(ret_error->text), "there is no store %s; start "
			 "'tokentrail run' first, or name one with --store", path);
		return -ENOENT;
	}
	r = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (r == SQLITE_OK) {
		sqlite3_busy_timeout(db, BUSY_MS);
		r = store_get_number(db, "PRAGMA user_version", &version);
	}
	if (r == SQLITE_OK && version != STORE_SCHEMA) {
		snprintf(ret_error->text, sizeof(ret_error->text), "%s is no store of this version of tokentrail; "
			 "start 'tokentrail run' once, which makes or upgrades it", path);
		return -EPROTONOSUPPORT;
	}
	if (r == SQLITE_OK)
		r = write_rows(db, source, now, row, rows);
	return r == SQLITE_OK ? 0 : say(ret_error, path, r);
}
