/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comma-separated values (RFC 4180). Reading: from memory that is the caller's and is written to; both
 * kinds of line ends, a byte order mark, quoted cells with commas, quotes and line feeds. Writing: so
 * that a spreadsheet takes no cell for a formula. Knows nothing of tokentrail.
 */
#ifndef TT_BASE_CSV_H
#define TT_BASE_CSV_H

#include <stddef.h>
#include <stdio.h>

#define CSV_CELLS_MAX 64

struct csv {
	char *p, *end;
	unsigned long line;		/* of the row read last, from 1 */
	unsigned long next_line;
	size_t cells;
	char *cell[CSV_CELLS_MAX];	/* without quotes; ends in NUL */
	unsigned int column[CSV_CELLS_MAX];	/* where it begins in its line, bytes, from 1 */
	/* of an error */
	const char *why;		/* static */
	unsigned int why_column;
};

/* The text is len bytes with room for one more, which is written to. */
void csv_init(struct csv *c, char *text, size_t len);

/* The next row that is not empty: 1; 0: there is none; -EBADMSG: c->why, at c->line, c->why_column. */
int csv_read(struct csv *c);

/* One cell, quoted where it must be. A text that a spreadsheet would take for a formula gets an
 * apostrophe before it (OWASP, CSV injection). */
void csv_write(FILE *to, const char *text, char after);

#endif
