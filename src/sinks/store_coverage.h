/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of the SQLite store that holds coverage: the last record of each process, and no more
 * processes than fit in a small part of the store. sinks/store.c has the file and the transactions.
 */
#ifndef TT_SINKS_STORE_COVERAGE_H
#define TT_SINKS_STORE_COVERAGE_H

#include <stddef.h>
#include <stdint.h>

#include "tokens/coverage.h"

struct sqlite3;
struct store_coverage;

/* max_bytes: of the whole store. 0 or -ENOMEM. */
int store_coverage_new(uint64_t max_bytes, struct store_coverage **ret_coverage);
void store_coverage_free(struct store_coverage *s);	/* NULL is fine */

/* SQLITE_OK or SQLite's code. Statements live until store_coverage_finalize(). */
int store_coverage_prepare(struct store_coverage *s, struct sqlite3 *db);
void store_coverage_finalize(struct store_coverage *s);	/* NULL is fine */

/* Keeps the newest record of each process until it is written. -ENOBUFS, -ENOMEM: given up, counted. */
int store_coverage_add(struct store_coverage *s, const struct coverage *c);
size_t store_coverage_waiting(const struct store_coverage *s);

/* In the caller's transaction: writes what waits, and deletes what is too much. SQLITE_OK or SQLite's
 * code. After the commit, store_coverage_clear(). */
int store_coverage_write(struct store_coverage *s);
void store_coverage_clear(struct store_coverage *s);
void store_coverage_give_up(struct store_coverage *s);	/* counts what waits, and forgets it */

#endif
