/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer target for base/csv.c. Its oracle is itself: rows that were read, written with quotes around
 * every cell, are read as the same; what csv_write() makes of a cell begins no formula.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/base/csv.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *copy_of(const void *data, size_t size)
{
	char *copy = malloc(size + 1);

	if (!copy)
		abort();
	memcpy(copy, data, size);
	return copy;
}

static void quote(FILE *to, const char *cell, char after)
{
	fputc('"', to);
	for (; *cell; cell++) {
		if (*cell == '"')
			fputc('"', to);
		fputc(*cell, to);
	}
	fputc('"', to);
	fputc(after, to);
}

static void check_written(const char *cell)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	struct csv c;

	if (!f)
		abort();
	csv_write(f, "x", ',');
	csv_write(f, cell, '\n');
	fclose(f);
	csv_init(&c, text, len);
	if (csv_read(&c) != 1 || c.cells != 2 || (*cell && strchr("=+-@\t\r", c.cell[1][0])))
		abort();
	if (strcmp(c.cell[1] + (c.cell[1][0] == '\'' && *cell != '\''), cell) != 0)
		abort();
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *given = copy_of(data, size), *text = NULL;
	struct csv a, b;
	size_t len, rows = 0;
	FILE *f = open_memstream(&text, &len);
	int r;

	if (!f)
		abort();
	csv_init(&a, given, size);
	while ((r = csv_read(&a)) > 0) {
		for (size_t i = 0; i < a.cells; i++) {
			quote(f, a.cell[i], i + 1 < a.cells ? ',' : '\n');
			check_written(a.cell[i]);
		}
		rows++;
	}
	if (r < 0 && (!a.why || !a.line))
		abort();
	fclose(f);
	free(given);

	given = copy_of(data, size);
	csv_init(&a, given, size);
	csv_init(&b, text, len);
	while (rows--) {
		if (csv_read(&a) != 1 || csv_read(&b) != 1 || a.cells != b.cells)
			abort();
		for (size_t i = 0; i < a.cells; i++)
			if (strcmp(a.cell[i], b.cell[i]) != 0)
				abort();
	}
	if (csv_read(&b) != 0)
		abort();
	free(given);
	free(text);
	return 0;
}
