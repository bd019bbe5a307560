/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of the SQLite store that holds what is known of tokens beyond their uses (tokens/facts.def):
 * one row each, of which the known columns are written over. sinks/store.c has the file and the
 * transactions.
 */
#ifndef TT_SINKS_STORE_FACTS_H
#define TT_SINKS_STORE_FACTS_H

#include <stddef.h>
#include <stdint.h>

#include "tokens/facts.h"
#include "tokens/use.h"

struct sqlite3;
struct sqlite3_stmt;
struct store_facts;

int store_facts_new(struct store_facts **ret_facts);	/* 0 or -ENOMEM */
void store_facts_free(struct store_facts *s);	/* NULL is fine */

/* SQLITE_OK or SQLite's code. Statements live until store_facts_finalize(). */
int store_facts_prepare(struct store_facts *s, struct sqlite3 *db);
void store_facts_finalize(struct store_facts *s);	/* NULL is fine */

/* Keeps a copy of t->facts until it is written. -ENOBUFS, -ENOMEM: given up, counted. */
int store_facts_add(struct store_facts *s, const struct token *t);
size_t store_facts_waiting(const struct store_facts *s);

/* In the caller's transaction. SQLITE_OK or SQLite's code. After the commit, store_facts_clear(). */
int store_facts_write(struct store_facts *s);
void store_facts_clear(struct store_facts *s);
void store_facts_give_up(struct store_facts *s);	/* counts what waits, and forgets it */

/* For those who read: "SELECT ... FROM table WHERE token = ?1", and its row; -ENOMEM. table: fact, or what stands
 * for it in an older store. */
int store_facts_select(struct sqlite3 *db, const char *table, struct sqlite3_stmt **ret_statement);
int store_facts_read(struct sqlite3_stmt *st, struct facts *ret_facts);

#endif
