/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The version of a store's tables (schemas/store.sql): makes them in a new file, brings those of an
 * older version up to date in place.
 */
#ifndef TT_SINKS_STORE_SCHEMA_H
#define TT_SINKS_STORE_SCHEMA_H

#include <stdint.h>

#include "config/config.h"

#define STORE_SCHEMA 5		/* PRAGMA user_version */
#define STORE_SCHEMA_OLDEST 1	/* that is still read, and upgraded */

struct sqlite3;

/* SQLITE_OK: the tables are ours and of this version. SQLITE_MISMATCH with *ret_error: they are
 * another program's, or a newer tokentrail's. Else SQLite's code, and the file is as it was. */
int store_schema_set(struct sqlite3 *db, const char *path, struct config_error *ret_error);

/* The first column of the only row of a query. SQLITE_OK or SQLite's code. */
int store_get_number(struct sqlite3 *db, const char *sql, int64_t *ret_value);

#endif
