/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of the SQLite store that holds requests for tokens (tables mint, mint_token, mint_rate and the sums
 * in `hour`); the oldest rows go when there are too many, the sums stay. sinks/store.c has the file and
 * the transactions.
 */
#ifndef TT_SINKS_STORE_MINTS_H
#define TT_SINKS_STORE_MINTS_H

#include <stddef.h>
#include <stdint.h>

#include "tokens/mint.h"

struct sqlite3;
struct store_mints;

int store_mints_new(uint64_t max_bytes, struct store_mints **ret_mints);	/* 0 or -ENOMEM */
void store_mints_free(struct store_mints *s);	/* NULL is fine */

/* SQLITE_OK or SQLite's code. Statements live until store_mints_finalize(). */
int store_mints_prepare(struct store_mints *s, struct sqlite3 *db);
void store_mints_finalize(struct store_mints *s);	/* NULL is fine */

/* Keeps a copy until it is written. -ENOBUFS, -ENOMEM: given up, counted. */
int store_mints_add(struct store_mints *s, const struct mint *m);
size_t store_mints_waiting(const struct store_mints *s);

/* In the caller's transaction. SQLITE_OK or SQLite's code. After the commit, store_mints_clear(). */
int store_mints_write(struct store_mints *s);
void store_mints_clear(struct store_mints *s);
void store_mints_give_up(struct store_mints *s);	/* counts what waits, and forgets it */

#endif
