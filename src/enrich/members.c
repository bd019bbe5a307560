/* SPDX-License-Identifier: Apache-2.0 */
#include "enrich/members.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define WINDOW 4096
#define PATH 4			/* levels whose names are kept: nothing deeper is ever asked for */

struct reader {
	const struct members_ops *ops;
	void *arg;
	int fd;			/* negative: a text, all of it in `at` */
	const char *at, *end;	/* not read yet, of the window or text */
	size_t taken;		/* bytes of the document so far */
	int error;
	size_t depth;
	bool array[MEMBERS_DEPTH];
	char names[PATH][MEMBERS_NAME_MAX + 1];
	char text[MEMBERS_TEXT_MAX + 1];
	char window[WINDOW];
};

static bool refill(struct reader *r)
{
	ssize_t n;

	if (r->fd < 0 || r->error)
		return false;
	n = pread(r->fd, r->window, sizeof(r->window), (off_t)r->taken);
	if (n < 0)
		r->error = -errno;
	if (n <= 0)
		return false;
	r->at = r->window;
	r->end = r->window + n;
	return true;
}

/* The next byte without taking it; -1 at the end. */
static int peek(struct reader *r)
{
	if (r->at == r->end && !refill(r))
		return -1;
	if (r->taken >= MEMBERS_BYTES)
		return -1;
	return (unsigned char)*r->at;
}

static int take(struct reader *r)
{
	int c = peek(r);

	if (c >= 0) {
		r->at++;
		r->taken++;
	}
	return c;
}

static int bad(struct reader *r)
{
	return r->error ? r->error : -EBADMSG;
}

static int blanks(struct reader *r)
{
	int c = peek(r);

	while (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
		take(r);
		c = peek(r);
	}
	return c;
}

static int hex4(struct reader *r)
{
	int value = 0;

	for (int i = 0; i < 4; i++) {
		int c = take(r);

		if (c >= '0' && c <= '9')
			c -= '0';
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			c = (c | 0x20) - 'a' + 10;
		else
			return -1;
		value = value << 4 | c;
	}
	return value;
}

static int unescape(struct reader *r)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	int c = take(r);
	const char *p;

	if (c == 'u') {
		c = hex4(r);
		return c > 0x7e || c == 0 ? '?' : c;
	}
	p = c > 0 ? strchr(from, c) : NULL;
	return p ? to[p - from] : -1;
}

/* A string behind its first quote; to NULL: nobody wants it. *ret_fits: all of it is in `to`. */
static int string(struct reader *r, char *to, size_t max, bool *ret_fits)
{
	size_t len = 0;

	*ret_fits = true;
	for (;;) {
		int c = take(r);

		if (c == '"')
			break;
		if (c == '\\')
			c = unescape(r);
		if (c < 0)
			return bad(r);
		if (to && len < max)
			to[len++] = (char)c;
		else
			*ret_fits = false;
	}
	if (to)
		to[len] = 0;
	return 0;
}

static int scalar_text(struct reader *r)
{
	const char *path[PATH];
	size_t depth = r->depth;
	bool wanted, fits;
	int e;

	for (size_t i = 0; i < depth && i < PATH; i++)
		path[i] = r->names[i];
	wanted = depth <= PATH && r->ops->want(r->arg, path, depth);
	e = string(r, wanted ? r->text : NULL, MEMBERS_TEXT_MAX, &fits);
	if (e == 0 && wanted && fits)
		r->ops->take(r->arg, path, depth, r->text);
	return e;
}

/* Numbers, true, false, null. */
static int scalar_word(struct reader *r)
{
	int c = peek(r);
	size_t len = 0;

	for (; c > ' ' && c != ',' && c != ']' && c != '}' && c != '"'; c = peek(r), len++)
		take(r);
	return len ? 0 : bad(r);
}

/* The name in front of an object's value. */
static int name(struct reader *r)
{
	char unused[1];
	bool kept = r->depth <= PATH, fits;
	char *to = kept ? r->names[r->depth - 1] : unused;
	int e;

	if (blanks(r) != '"')
		return bad(r);
	take(r);
	e = string(r, to, kept ? MEMBERS_NAME_MAX : 0, &fits);
	if (e < 0)
		return e;
	if (!fits)
		to[0] = 0;
	if (blanks(r) != ':')
		return bad(r);
	take(r);
	return 0;
}

static int open_level(struct reader *r, bool array)
{
	if (r->depth == MEMBERS_DEPTH)
		return -EBADMSG;
	r->array[r->depth++] = array;
	if (r->depth <= PATH)
		r->names[r->depth - 1][0] = 0;
	return 0;
}

/* Behind a value: out of what ends here, up to where the next value begins. 1: the document is done. */
static int next(struct reader *r)
{
	while (r->depth) {
		bool array = r->array[r->depth - 1];
		int c = blanks(r);

		if (c == ',') {
			take(r);
			return array ? 0 : name(r);
		}
		if (c != (array ? ']' : '}'))
			return bad(r);
		take(r);
		r->depth--;
	}
	return 1;
}

/* An object or array whose bracket was taken; in an empty one there is no value. */
static int enter(struct reader *r, bool array)
{
	int e = open_level(r, array);

	if (e < 0)
		return e;
	if (blanks(r) == (array ? ']' : '}'))
		return next(r);
	return array ? 0 : name(r);
}

/* One value, or the beginning of one. 0: another one follows; 1: the document is done. */
static int value(struct reader *r)
{
	int c = blanks(r), e;

	if (c == '{' || c == '[') {
		take(r);
		return enter(r, c == '[');
	}
	if (c == '"') {
		take(r);
		e = scalar_text(r);
	} else {
		e = scalar_word(r);
	}
	return e < 0 ? e : next(r);
}

static int read_all(struct reader *r)
{
	int e;

	do
		e = value(r);
	while (e == 0);
	explicit_bzero(r, sizeof(*r));
	return e < 0 ? e : 0;
}

int members_read(int fd, const struct members_ops *ops, void *arg)
{
	struct reader r = { .ops = ops, .arg = arg, .fd = fd };

	return read_all(&r);
}

int members_read_text(const char *json, size_t len, const struct members_ops *ops, void *arg)
{
	struct reader r = { .ops = ops, .arg = arg, .fd = -1, .at = json, .end = json + len };

	return read_all(&r);
}
