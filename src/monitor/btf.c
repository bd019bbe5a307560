/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/btf.h"

#include <errno.h>
#include <linux/btf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/write.h"

/* Newer than some systems' linux/btf.h. */
#define KIND_FLOAT 16
#define KIND_DECL_TAG 17
#define KIND_TYPE_TAG 18
#define KIND_ENUM64 19
#define ENUM64_BYTES 12
#define DECL_TAG_BYTES 4

#define WINDOW_BYTES (32U << 10)
#define STRING_MAX 512	/* kernel/bpf/btf.c: KSYM_NAME_LEN */
#define OUTPUT_MAX (1U << 20)

/* Bytes in memory, or of a file through a window. */
struct source {
	const uint8_t *bytes;	/* or NULL */
	int fd;
	uint64_t types, types_len, strings, strings_len;
	uint64_t window_at;
	size_t window_len;
	uint8_t window[WINDOW_BYTES];
};

struct name {
	const char *text;	/* in ours, not ended by NUL */
	size_t len;
	uint32_t at;		/* among the kernel's strings; 0 = it has none such */
};

struct bytes {
	uint8_t *p;
	size_t len, room;
};

struct extract {
	struct source *kernel, *ours;
	struct name *names;
	size_t name_count;
	uint64_t lengths[256];	/* of names, by their first character */
	struct bytes places;	/* of each of the kernel's types, uint32_t */
	struct bytes wanted;	/* their ids, uint32_t; where they stand here plus one is their new id */
	struct bytes types, strings;
};

static int append(struct bytes *b, const void *what, size_t len)
{
	if (b->len + len > b->room) {
		size_t room = 2 * (b->len + len);
		uint8_t *p = realloc(b->p, room);

		if (!p)
			return -ENOMEM;
		b->p = p;
		b->room = room;
	}
	memcpy(b->p + b->len, what, len);
	b->len += len;
	return 0;
}

/* ---- reading ---- */

static int move_window(struct source *s, uint64_t at)
{
	s->window_at = at;
	s->window_len = 0;
	while (s->window_len < WINDOW_BYTES) {	/* sysfs gives a page at a time */
		ssize_t n = pread(s->fd, s->window + s->window_len, WINDOW_BYTES - s->window_len,
				  (off_t)(at + s->window_len));

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			break;
		s->window_len += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* Good until the next look. NULL: not there. */
static const void *look(struct source *s, uint64_t at, size_t len)
{
	if (s->bytes)
		return s->bytes + at;
	if (at < s->window_at || at + len > s->window_at + s->window_len)
		if (move_window(s, at) < 0 || len > s->window_len)
			return NULL;
	return s->window + (at - s->window_at);
}

static const void *look_type(struct source *s, uint64_t at, size_t len)
{
	return at <= s->types_len && len <= s->types_len - at ? look(s, s->types + at, len) : NULL;
}

/* As many bytes as there are, but a string's most. */
static const char *look_string(struct source *s, uint64_t at, size_t *ret_len)
{
	size_t len = STRING_MAX;
	const char *p, *end;

	if (at >= s->strings_len)
		return NULL;
	if (len > s->strings_len - at)
		len = s->strings_len - at;
	p = look(s, s->strings + at, len);
	end = p ? memchr(p, 0, len) : NULL;
	if (!end)
		return NULL;
	*ret_len = (size_t)(end - p);
	return p;
}

static int read_header(struct source *s, uint64_t size)
{
	struct btf_header h;
	const void *p = size < sizeof(h) ? NULL : look(s, 0, sizeof(h));

	if (!p)
		return -EBADMSG;
	memcpy(&h, p, sizeof(h));
	if (h.magic != BTF_MAGIC || h.version != BTF_VERSION || h.hdr_len < sizeof(h) || h.type_off % 4 ||
	    (uint64_t)h.hdr_len + h.type_off + h.type_len > size || (uint64_t)h.hdr_len + h.str_off + h.str_len > size)
		return -EBADMSG;
	s->types = (uint64_t)h.hdr_len + h.type_off;
	s->types_len = h.type_len;
	s->strings = (uint64_t)h.hdr_len + h.str_off;
	s->strings_len = h.str_len;
	return 0;
}

/* What follows a type: this many parts of this size. -EBADMSG: a kind that nobody knew yet. */
static int parts_of(const struct btf_type *t, size_t *ret_count, size_t *ret_bytes)
{
	*ret_count = 1;
	*ret_bytes = 0;
	switch (BTF_INFO_KIND(t->info)) {
	case BTF_KIND_INT:
		*ret_bytes = sizeof(uint32_t);
		return 0;
	case BTF_KIND_ARRAY:
		*ret_bytes = sizeof(struct btf_array);
		return 0;
	case BTF_KIND_VAR:
		*ret_bytes = sizeof(struct btf_var);
		return 0;
	case KIND_DECL_TAG:
		*ret_bytes = DECL_TAG_BYTES;
		return 0;
	case BTF_KIND_PTR:
	case BTF_KIND_FWD:
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_FUNC:
	case KIND_FLOAT:
	case KIND_TYPE_TAG:
		return 0;
	}
	*ret_count = BTF_INFO_VLEN(t->info);
	switch (BTF_INFO_KIND(t->info)) {
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		*ret_bytes = sizeof(struct btf_member);
		return 0;
	case BTF_KIND_ENUM:
		*ret_bytes = sizeof(struct btf_enum);
		return 0;
	case KIND_ENUM64:
		*ret_bytes = ENUM64_BYTES;
		return 0;
	case BTF_KIND_FUNC_PROTO:
		*ret_bytes = sizeof(struct btf_param);
		return 0;
	case BTF_KIND_DATASEC:
		*ret_bytes = sizeof(struct btf_var_secinfo);
		return 0;
	}
	return -EBADMSG;
}

/* Calls each() for all types, by their ids, from 1 on. */
static int walk(struct source *s, struct extract *e,
		int (*each)(struct extract *e, uint32_t id, uint64_t at, const struct btf_type *t))
{
	uint64_t at = 0;

	for (uint32_t id = 1; at < s->types_len; id++) {
		const void *p = look_type(s, at, sizeof(struct btf_type));
		size_t count, bytes;
		struct btf_type t;
		int r;

		if (!p)
			return -EBADMSG;
		memcpy(&t, p, sizeof(t));
		r = parts_of(&t, &count, &bytes);
		if (r == 0)
			r = each(e, id, at, &t);
		if (r < 0)
			return r;
		at += sizeof(t) + count * bytes;
	}
	return 0;
}

static bool has_members(const struct btf_type *t)
{
	return BTF_INFO_KIND(t->info) == BTF_KIND_STRUCT || BTF_INFO_KIND(t->info) == BTF_KIND_UNION;
}

static bool has_enumerators(const struct btf_type *t)
{
	return BTF_INFO_KIND(t->info) == BTF_KIND_ENUM || BTF_INFO_KIND(t->info) == KIND_ENUM64;
}

/* ---- the names that our programs use ---- */

/* "task_struct___old" is task_struct with another layout: libbpf looks for what is before the mark. */
static int add_name(struct extract *e, uint32_t at)
{
	const char *text, *flavor;
	struct name *more;
	size_t len;

	text = look_string(e->ours, at, &len);
	if (!text)
		return -EBADMSG;
	if (!len)
		return 0;
	flavor = strstr(text + 1, "___");
	more = reallocarray(e->names, e->name_count + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	e->names = more;
	e->names[e->name_count++] = (struct name){ text, flavor ? (size_t)(flavor - text) : len, 0 };
	return 0;
}

static int add_names(struct extract *e, uint32_t id, uint64_t at, const struct btf_type *t)
{
	size_t count, bytes;
	int r;

	if (!has_members(t) && !has_enumerators(t) && BTF_INFO_KIND(t->info) != BTF_KIND_TYPEDEF)
		return 0;
	parts_of(t, &count, &bytes);
	r = add_name(e, t->name_off);
	for (size_t i = 0; r == 0 && bytes && i < count; i++) {
		const void *part = look_type(e->ours, at + sizeof(*t) + i * bytes, bytes);
		uint32_t name;	/* each part begins with it */

		if (!part)
			return -EBADMSG;
		memcpy(&name, part, sizeof(name));
		r = add_name(e, name);
	}
	return r;
}

static int by_text(const void *a, const void *b)
{
	const struct name *x = a, *y = b;
	int r = memcmp(x->text, y->text, x->len < y->len ? x->len : y->len);

	return r ? r : x->len < y->len ? -1 : x->len > y->len;
}

static int by_place(const void *a, const void *b)
{
	uint32_t x = ((const struct name *)a)->at, y = ((const struct name *)b)->at;

	return x < y ? -1 : x > y;
}

static void sort_names(struct extract *e)
{
	size_t count = 0;

	qsort(e->names, e->name_count, sizeof(*e->names), by_text);
	for (size_t i = 0; i < e->name_count; i++)
		if (!count || by_text(&e->names[i], &e->names[count - 1]))
			e->names[count++] = e->names[i];
	e->name_count = count;
	for (size_t i = 0; i < count; i++)
		e->lengths[(uint8_t)e->names[i].text[0]] |= 1ULL << e->names[i].len % 64;
}

/* Each string stands in BTF once. */
static int place_names(struct extract *e)
{
	uint64_t at = 1;

	while (at < e->kernel->strings_len) {
		size_t len;
		const char *text = look_string(e->kernel, at, &len);
		struct name *found;

		if (!text)
			return -EBADMSG;
		if (e->lengths[(uint8_t)text[0]] >> len % 64 & 1) {
			found = bsearch(&(struct name){ text, len, 0 }, e->names, e->name_count, sizeof(*found), by_text);
			if (found)
				found->at = (uint32_t)at;
		}
		at += len + 1;
	}
	qsort(e->names, e->name_count, sizeof(*e->names), by_place);
	return 0;
}

static const struct name *name_at(const struct extract *e, uint32_t at)
{
	const struct name key = { .at = at };

	return at ? bsearch(&key, e->names, e->name_count, sizeof(key), by_place) : NULL;
}

/* ---- the types that have them ---- */

/* The new id of one of the kernel's types; 0 is void for both. */
static int want(struct extract *e, uint32_t id, uint32_t *ret_id)
{
	const uint32_t *wanted = (const uint32_t *)e->wanted.p;
	size_t count = e->wanted.len / sizeof(id), i = 0;

	while (i < count && id && wanted[i] != id)
		i++;
	*ret_id = id ? (uint32_t)i + 1 : 0;
	return id && i == count ? append(&e->wanted, &id, sizeof(id)) : 0;
}

static int find_type(struct extract *e, uint32_t id, uint64_t at, const struct btf_type *t)
{
	uint32_t place = (uint32_t)at, new_id;
	int r = append(&e->places, &place, sizeof(place));

	if (r < 0 || (!has_members(t) && !has_enumerators(t) && BTF_INFO_KIND(t->info) != BTF_KIND_TYPEDEF))
		return r;
	return name_at(e, t->name_off) ? want(e, id, &new_id) : 0;
}

/* ---- writing ---- */

static int put_string(struct extract *e, uint32_t at, uint32_t *ret_at)
{
	const struct name *known = name_at(e, at);
	const char *text = known ? known->text : NULL;
	size_t len = known ? known->len : 0;

	*ret_at = 0;
	if (at && !text)
		text = look_string(e->kernel, at, &len);
	if (!text)
		return at ? -EBADMSG : 0;
	if (!len)
		return 0;
	*ret_at = (uint32_t)e->strings.len;
	if (append(&e->strings, text, len) < 0)
		return -ENOMEM;
	return append(&e->strings, "", 1);
}

static int put_member(struct extract *e, const struct btf_member *member, uint32_t *count)
{
	struct btf_member m = *member;
	int r;

	if (m.name_off && !name_at(e, m.name_off))
		return 0;
	r = want(e, m.type, &m.type);
	if (r == 0)
		r = put_string(e, m.name_off, &m.name_off);
	if (r == 0)
		r = append(&e->types, &m, sizeof(m));
	++*count;
	return r;
}

/* What follows a type, in the words of the new file. */
static int put_part(struct extract *e, const struct btf_type *t, const void *part, size_t bytes, uint32_t *count)
{
	uint32_t words[ENUM64_BYTES / 4];
	struct btf_array array;
	int r;

	++*count;
	switch (BTF_INFO_KIND(t->info)) {
	case BTF_KIND_ENUM:
	case KIND_ENUM64:
		memcpy(words, part, bytes);
		r = put_string(e, words[0], &words[0]);
		return r < 0 ? r : append(&e->types, words, bytes);
	case BTF_KIND_ARRAY:
		memcpy(&array, part, sizeof(array));
		r = want(e, array.type, &array.type);
		if (r == 0)
			r = want(e, array.index_type, &array.index_type);
		return r < 0 ? r : append(&e->types, &array, sizeof(array));
	default:
		return append(&e->types, part, bytes);
	}
}

/* For those that refer to another type and have no size. */
static int put_reference(struct extract *e, struct btf_type *t)
{
	switch (BTF_INFO_KIND(t->info)) {
	case BTF_KIND_PTR:
		t->type = 0;	/* void */
		return 0;
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case KIND_TYPE_TAG:
		return want(e, t->type, &t->type);
	case BTF_KIND_FUNC:
	case BTF_KIND_FUNC_PROTO:
	case BTF_KIND_VAR:
	case BTF_KIND_DATASEC:
	case KIND_DECL_TAG:
		return -EBADMSG;	/* nothing consists of these */
	default:
		return 0;
	}
}

static int put_type(struct extract *e, uint32_t id)
{
	size_t count, bytes, place = e->types.len;
	struct btf_type t, n;
	uint32_t at, kept = 0;
	const void *p;
	int r;

	if ((size_t)id * sizeof(at) > e->places.len)
		return -EBADMSG;
	at = ((const uint32_t *)e->places.p)[id - 1];
	p = look_type(e->kernel, at, sizeof(t));
	if (!p)
		return -EBADMSG;
	memcpy(&t, p, sizeof(t));
	n = t;
	r = put_reference(e, &n);
	if (r == 0)
		r = put_string(e, t.name_off, &n.name_off);
	if (r == 0)
		r = append(&e->types, &n, sizeof(n));
	parts_of(&t, &count, &bytes);
	for (size_t i = 0; r == 0 && bytes && i < count; i++) {
		uint8_t part[sizeof(struct btf_array)] __attribute__((aligned(4)));

		p = look_type(e->kernel, at + sizeof(t) + i * bytes, bytes);
		if (!p)
			return -EBADMSG;
		memcpy(part, p, bytes);
		r = has_members(&t) ? put_member(e, (const struct btf_member *)part, &kept)
				    : put_part(e, &t, part, bytes, &kept);
	}
	if (r == 0 && has_members(&t)) {
		n.info = (t.info & ~0xffffU) | kept;
		memcpy(e->types.p + place, &n, sizeof(n));
	}
	return r;
}

static int put_types(struct extract *e)
{
	int r = append(&e->strings, "", 1);

	/* What a type consists of is wanted too, and so gets its turn. */
	for (size_t i = 0; r == 0 && i < e->wanted.len / sizeof(uint32_t); i++)
		r = e->types.len + e->strings.len > OUTPUT_MAX ? -E2BIG
							       : put_type(e, ((const uint32_t *)e->wanted.p)[i]);
	return r;
}

static int write_out(const struct extract *e, int to)
{
	const struct btf_header h = {
		.magic = BTF_MAGIC,
		.version = BTF_VERSION,
		.hdr_len = sizeof(h),
		.type_len = (uint32_t)e->types.len,
		.str_off = (uint32_t)e->types.len,
		.str_len = (uint32_t)e->strings.len,
	};
	int r;

	r = write_all(to, &h, sizeof(h));
	if (r == 0)
		r = write_all(to, e->types.p, e->types.len);
	return r < 0 ? r : write_all(to, e->strings.p, e->strings.len);
}

static int extract(struct extract *e, uint64_t size, size_t our_size, int to)
{
	int r;

	r = read_header(e->kernel, size);
	if (r == 0)
		r = read_header(e->ours, our_size);
	if (r < 0 || !e->ours->strings_len || e->ours->bytes[e->ours->strings + e->ours->strings_len - 1])
		return r < 0 ? r : -EBADMSG;
	r = walk(e->ours, e, add_names);
	if (r < 0 || !e->name_count)
		return r < 0 ? r : -EBADMSG;	/* or nobody would ask */
	sort_names(e);
	r = place_names(e);
	if (r == 0)
		r = walk(e->kernel, e, find_type);
	if (r == 0)
		r = put_types(e);
	return r < 0 ? r : write_out(e, to);
}

int btf_extract(int from, const void *ours, size_t len, int to)
{
	_cleanup_free_ struct source *kernel = calloc(1, sizeof(*kernel)), *own = calloc(1, sizeof(*own));
	struct extract e = { .kernel = kernel, .ours = own };
	struct stat st;
	int r;

	if (!kernel || !own)
		return -ENOMEM;
	if (fstat(from, &st) < 0)
		return -errno;
	kernel->fd = from;
	own->bytes = ours;
	r = extract(&e, (uint64_t)st.st_size, len, to);
	free(e.names);
	free(e.places.p);
	free(e.wanted.p);
	free(e.types.p);
	free(e.strings.p);
	return r;
}
