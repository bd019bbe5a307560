/* SPDX-License-Identifier: Apache-2.0 */
#include "base/csv.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

void csv_init(struct csv *c, char *text, size_t len)
{
	*c = (struct csv){ .p = text, .end = text + len, .next_line = 1 };
	*c->end = '\0';
	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		c->p += 3;
}

static int bad(struct csv *c, const char *why, unsigned int column)
{
	c->why = why;
	c->why_column = column;
	return -EBADMSG;
}

/* Takes a cell's quotes away in place. The character after the closing quote is left for the caller. */
static int read_quoted(struct csv *c, char **ret_end, unsigned int column)
{
	char *to = c->p;

	for (c->p++; c->p < c->end; c->p++) {
		if (*c->p == '"' && c->p[1] != '"')
			break;
		if (*c->p == '"')
			c->p++;
		if (!*c->p)
			return bad(c, "a NUL byte", column);
		c->next_line += *c->p == '\n';
		*to++ = *c->p;
	}
	if (c->p >= c->end)
		return bad(c, "a quote is opened and not closed", column);
	c->p++;
	if (*c->p != ',' && *c->p != '\r' && *c->p != '\n' && c->p < c->end)
		return bad(c, "text after a closing quote", column);
	*ret_end = to;
	return 0;
}

static int read_plain(struct csv *c, char **ret_end, unsigned int column)
{
	c->p += strcspn(c->p, ",\r\n\"");
	if (*c->p == '"')
		return bad(c, "a quote inside of a cell that has none around it", column);
	if (!*c->p && c->p < c->end)
		return bad(c, "a NUL byte", column);
	*ret_end = c->p;
	return 0;
}

/* Goes over the end of a line. False: there is something else. */
static bool end_of_line(struct csv *c)
{
	if (c->p < c->end && *c->p == '\r' && (c->p[1] == '\n' || c->p + 1 == c->end))
		c->p++;
	if (c->p < c->end && *c->p == '\n') {
		c->p++;
		c->next_line++;
		return true;
	}
	return c->p >= c->end;
}

int csv_read(struct csv *c)
{
	char *begin, *line, *end = NULL;
	unsigned int column;
	bool last;
	int r;

	while (c->p < c->end && (*c->p == '\n' || *c->p == '\r')) {
		if (!end_of_line(c)) {
			c->line = c->next_line;
			return bad(c, "a carriage return that ends no line", 1);
		}
	}
	c->cells = 0;
	c->line = c->next_line;
	if (c->p >= c->end)
		return 0;
	for (line = c->p;; c->p++) {
		begin = c->p;
		column = (unsigned int)(begin - line) + 1;
		if (c->cells == CSV_CELLS_MAX)
			return bad(c, "too many cells", column);
		r = *begin == '"' ? read_quoted(c, &end, column) : read_plain(c, &end, column);
		if (r < 0)
			return r;
		c->cell[c->cells] = begin;
		c->column[c->cells++] = column;
		if (*c->p == ',' && c->p < c->end) {
			*end = '\0';
			continue;
		}
		/* The end of the cell may be where the line ends: look before it is written to. */
		last = end_of_line(c);
		*end = '\0';
		return last ? 1 : bad(c, "a carriage return that ends no line", column);
	}
}

void csv_write(FILE *to, const char *text, char after)
{
	bool formula = *text && strchr("=+-@\t\r", *text);
	bool quote = formula || text[strcspn(text, ",\"\r\n")] || *text == ' ';

	if (quote)
		fputc('"', to);
	if (formula)
		fputc('\'', to);
	for (; *text; text++) {
		if (*text == '"')
			fputc('"', to);
		fputc(*text, to);
	}
	if (quote)
		fputc('"', to);
	fputc(after, to);
}
