/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text in columns of a terminal: display width of UTF-8, cutting and padding. Needs no locale, so
 * that the agent and the tests see the same widths everywhere.
 */
#ifndef TT_SINKS_COLUMNS_H
#define TT_SINKS_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Columns that a text takes on a terminal. What could move the cursor counts as the '?' that
 * columns_cell() shows for it. */
size_t columns_width(const char *text);

/* Writes text in exactly `width` columns: cut when longer, blanks around when shorter; anything
 * that could move the cursor or turn the writing direction becomes '?'. width 0 writes nothing. */
void columns_cell(FILE *to, const char *text, size_t width, bool right);

/* Does the environment's locale use UTF-8? */
bool columns_utf8(void);

/* A table that is written once all its rows are known, each column as wide as its widest cell. */
struct columns;

/* `right` has a '>' for every column that is aligned to the right, any other character for the
 * rest; its length is the number of columns. NULL: out of memory. */
struct columns *columns_new(const char *right);
void columns_free(struct columns *c);
/* The next cell, row by row, copied. An empty one is shown as "-". 0 or -ENOMEM. */
int columns_add(struct columns *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void columns_print(const struct columns *c, FILE *to);

#endif
