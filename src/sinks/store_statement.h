/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Binding values to a statement and running it, for the files that write the store. Each returns SQLITE_OK or
 * SQLite's code; results of binding may be or'ed together, since only their being SQLITE_OK counts.
 */
#ifndef TT_SINKS_STORE_STATEMENT_H
#define TT_SINKS_STORE_STATEMENT_H

#include <stdint.h>

struct sqlite3_stmt;

/* NULL is "". Not copied: the text has to live until the statement was run. */
int statement_text(struct sqlite3_stmt *st, int i, const char *text);
int statement_number(struct sqlite3_stmt *st, int i, uint64_t n);	/* too large a one is INT64_MAX */
int statement_user(struct sqlite3_stmt *st, int i, uint32_t uid);	/* UINT32_MAX, not known, is -1 */

/* Runs it if `bound` is SQLITE_OK, and makes it ready for the next row in any case. */
int statement_run(struct sqlite3_stmt *st, int bound);

#endif
