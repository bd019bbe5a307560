/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Display widths without a locale: the ranges are those of Unicode 15 that terminals agree on
 * (East Asian Width W and F; general categories Mn, Me and Cf). Broken UTF-8 shows as '?'.
 */
#include "sinks/columns.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"

struct range {
	uint32_t first, last;
};

static const struct range wide[] = {
	{ 0x1100, 0x115f },   { 0x231a, 0x231b },   { 0x2329, 0x232a },	  { 0x23e9, 0x23ec },
	{ 0x2614, 0x2615 },   { 0x2648, 0x2653 },   { 0x26a1, 0x26a1 },	  { 0x2705, 0x2705 },
	{ 0x2728, 0x2728 },   { 0x274c, 0x274e },   { 0x2753, 0x2757 },	  { 0x2795, 0x2797 },
	{ 0x2b50, 0x2b55 },   { 0x2e80, 0x303e },   { 0x3041, 0xa4cf },	  { 0xa960, 0xa97c },
	{ 0xac00, 0xd7a3 },   { 0xf900, 0xfaff },   { 0xfe30, 0xfe6f },	  { 0xff01, 0xff60 },
	{ 0xffe0, 0xffe6 },   { 0x16fe0, 0x18cff }, { 0x1b000, 0x1b2ff }, { 0x1f18e, 0x1f19a },
	{ 0x1f200, 0x1f320 }, { 0x1f32d, 0x1f64f }, { 0x1f680, 0x1f6ff }, { 0x1f7e0, 0x1f7eb },
	{ 0x1f90c, 0x1faff }, { 0x20000, 0x3fffd },
};

static const struct range no_width[] = {
	{ 0x0300, 0x036f }, { 0x0483, 0x0489 }, { 0x0591, 0x05bd }, { 0x0610, 0x061a },
	{ 0x064b, 0x065f }, { 0x0900, 0x0902 }, { 0x093c, 0x093c }, { 0x0e31, 0x0e31 },
	{ 0x0e34, 0x0e3a }, { 0x1ab0, 0x1aff }, { 0x1dc0, 0x1dff }, { 0x200b, 0x200d },
	{ 0x20d0, 0x20ff }, { 0x302a, 0x302d }, { 0x3099, 0x309a }, { 0xfe00, 0xfe0f },
	{ 0xfe20, 0xfe2f }, { 0x1f3fb, 0x1f3ff }, { 0xe0100, 0xe01ef },
};

/* Controls, and what turns or hides the text around it. */
static const struct range unsafe[] = {
	{ 0x0000, 0x001f }, { 0x007f, 0x009f }, { 0x00ad, 0x00ad }, { 0x061c, 0x061c },
	{ 0x200e, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x206f }, { 0xd800, 0xdfff },
	{ 0xfeff, 0xfeff }, { 0xfff0, 0xfffb }, { 0xe0000, 0xe00ff },
};

static bool in(const struct range *r, size_t n, uint32_t c)
{
	for (size_t i = 0; i < n; i++)
		if (c >= r[i].first && c <= r[i].last)
			return true;
	return false;
}
#define IN(table, c) in(table, sizeof(table) / sizeof((table)[0]), c)

/* Bytes of the character that begins with b; 0: none does (RFC 3629). */
static size_t char_len(unsigned char b)
{
	if (b < 0x80)
		return 1;
	if (b < 0xc2 || b > 0xf4)
		return 0;
	return b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4;
}

/* The next character: its length in bytes and its width; *ret_show: may be shown as it is. */
static size_t next_char(const char *text, size_t *ret_width, bool *ret_show)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *t = (const unsigned char *)text;
	size_t len = char_len(t[0]);
	uint32_t c = len < 2 ? t[0] : t[0] & (0xffu >> (len + 1));

	for (size_t i = 1; i < len; i++) {
		if ((t[i] & 0xc0) != 0x80)
			len = 0;
		c = c << 6 | (t[i] & 0x3f);
	}
	*ret_width = 1;
	*ret_show = len && c >= least[len] && c <= 0x10ffff && !IN(unsafe, c);
	if (*ret_show && c >= 0x300)
		*ret_width = IN(no_width, c) ? 0 : IN(wide, c) ? 2 : 1;
	return len ? len : 1;
}

size_t columns_width(const char *text)
{
	size_t total = 0, w;
	bool show;

	while (*text) {
		text += next_char(text, &w, &show);
		total += w;
	}
	return total;
}

static void blanks(FILE *to, size_t n)
{
	while (n--)
		fputc(' ', to);
}

void columns_cell(FILE *to, const char *text, size_t width, bool right)
{
	size_t total = columns_width(text), used = 0, w, len;
	/* A cut text ends in '~': it must not look like a whole one. */
	size_t room = total > width && width ? width - 1 : width;
	bool show;

	if (right && total < width)
		blanks(to, width - total);
	for (; *text; text += len) {
		len = next_char(text, &w, &show);
		if (used + w > room)
			break;
		if (show)
			fwrite(text, 1, len, to);
		else
			fputc('?', to);
		used += w;
	}
	if (room < width)
		fputc('~', to);
	if (total > width)
		blanks(to, room - used);
	else if (!right)
		blanks(to, width - used);
}

bool columns_utf8(void)
{
	static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };
	const char *value;

	for (size_t i = 0; i < 3; i++) {
		value = getenv(names[i]);
		if (value && value[0])
			return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
	}
	return false;
}

struct columns {
	size_t width[16];
	bool right[16];
	size_t columns;
	char **cells;
	size_t count, size;
};

struct columns *columns_new(const char *right)
{
	struct columns *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	for (; right[c->columns] && c->columns < 16; c->columns++)
		c->right[c->columns] = right[c->columns] == '>';
	return c;
}

void columns_free(struct columns *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->count; i++)
		free(c->cells[i]);
	free(c->cells);
	free(c);
}

static int columns_grow(struct columns *c)
{
	size_t size = c->size ? 2 * c->size : 256;
	char **cells;

	if (c->count < c->size)
		return 0;
	cells = reallocarray(c->cells, size, sizeof(*cells));
	if (!cells)
		return -ENOMEM;
	c->cells = cells;
	c->size = size;
	return 0;
}

int columns_add(struct columns *c, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	size_t column = c->count % c->columns, w;
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (r < 0) {
		text = NULL;
		return -ENOMEM;
	}
	if (!text[0]) {
		free(text);
		text = strdup("-");
		if (!text)
			return -ENOMEM;
	}
	r = columns_grow(c);
	if (r < 0)
		return r;
	w = columns_width(text);
	if (w > c->width[column])
		c->width[column] = w;
	c->cells[c->count++] = TAKE_PTR(text);
	return 0;
}

void columns_print(const struct columns *c, FILE *to)
{
	for (size_t i = 0; i < c->count; i++) {
		size_t column = i % c->columns;
		bool last = column + 1 == c->columns;

		/* No blanks at the end of a line. */
		columns_cell(to, c->cells[i],
			     last && !c->right[column] ? columns_width(c->cells[i]) : c->width[column],
			     c->right[column]);
		fputs(last ? "\n" : "  ", to);
	}
}
