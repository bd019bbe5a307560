/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/store_statement.h"

#include <sqlite3.h>

int statement_text(struct sqlite3_stmt *st, int i, const char *text)
{
	return sqlite3_bind_text(st, i, text ? text : "", -1, SQLITE_STATIC);
}

int statement_number(struct sqlite3_stmt *st, int i, uint64_t n)
{
	return sqlite3_bind_int64(st, i, n > INT64_MAX ? INT64_MAX : (sqlite3_int64)n);
}

int statement_user(struct sqlite3_stmt *st, int i, uint32_t uid)
{
	return sqlite3_bind_int64(st, i, uid == UINT32_MAX ? -1 : (sqlite3_int64)uid);
}

int statement_run(struct sqlite3_stmt *st, int bound)
{
	int r = bound == SQLITE_OK ? sqlite3_step(st) : SQLITE_NOMEM;

	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return r == SQLITE_DONE ? SQLITE_OK : r;
}
