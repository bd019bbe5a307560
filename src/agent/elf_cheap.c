/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/elf_cheap.h"

#include "agent/elf_place.h"
#include "agent/elf_record.h"

/* How many arguments a hook's program reads. */
enum { ARGS_INT = 3, ARGS_LONG = 3, ARGS_COUNT = 4, ARGS_COUNT5 = 5, ARGS_NONE = 3, ARGS_OBJECT = 3,
       ARGS_FLAGS = 4, ARGS_VECTOR = 3 };
enum { OUT = 1, IN = 2 };

static const struct {
	unsigned int args;	/* 0: written by hand, or none */
	unsigned int direction;	/* 0: no return probe */
} hooks[TT_HOOK_MAX] = {
#define TT_HOOK_CALL(number, hook, library, direction, result)                                     \
	[number] = { ARGS_##result, direction },
#define TT_HOOK_END(number, hook, library) [number] = { 1, 0 },
#include <tokentrail/hooks.def>
};

struct function {
	unsigned char code[ELF_PLACE_BYTES];
	size_t len;
};

/* What is there from an offset on. */
static bool read_function(const struct elf_file *file, uint64_t offset, struct function *f)
{
	uint64_t left = offset < file->size ? file->size - offset : 0;

	f->len = left < sizeof(f->code) ? (size_t)left : sizeof(f->code);
	return f->len && elf_file_read(file, offset, f->code, f->len) == 0;
}

/* Where in the file what lies so far from a function's first byte is; in the same segment only. */
static bool same_segment(const struct elf_file *file, uint64_t offset, int64_t distance, uint64_t *ret_offset)
{
	uint64_t target = offset + (uint64_t)distance;

	for (size_t i = 0; i < file->segment_count; i++) {
		const struct elf_segment *g = &file->segments[i];

		if (g->exec && offset >= g->offset && offset - g->offset < g->bytes &&
		    target >= g->offset && target - g->offset < g->bytes) {
			*ret_offset = target;
			return true;
		}
	}
	return false;
}

static void place(const struct elf_file *file, struct elf_hook *hook)
{
	unsigned int args = hooks[hook->hook].args;
	struct function f;
	uint32_t at = 0;

	if (!read_function(file, hook->offset, &f))
		return;
	if (args ? !elf_place_find(f.code, f.len, args, hooks[hook->hook].direction, &at) :
		   !elf_place_is_cheap(f.code, f.len))
		return;
	hook->placed = hook->offset + at;
	hook->placed_as = hook->hook;
}

/* ---- functions that only call another one ---- */

static bool is_inner_hook(enum tt_hook hook)
{
	return hook == TT_HOOK_openssl_write_ex || hook == TT_HOOK_openssl_write_ex2 ||
	       hook == TT_HOOK_openssl_read_ex;
}

/* Does this one call it, or what is a wrapper of it? */
static bool leads_to(const struct elf_file *file, const struct elf_hook *hook, uint64_t inner, uint64_t wrapper)
{
	struct function f;
	int64_t distance;
	uint64_t target;

	return read_function(file, hook->offset, &f) && elf_place_calls(f.code, f.len, &distance) &&
	       same_segment(file, hook->offset, distance, &target) && (target == inner || target == wrapper);
}

/*
 * SSL_read_ex(), or SSL_write_ex2(), which does nothing but call the inner function, or that one itself
 * where it was found. That this is what reads is believed when SSL_read() calls it too.
 */
static void share(const struct elf_file *file, struct elf_scan *scan, const struct elf_hook *wrapper)
{
	enum tt_hook as = wrapper->hook;
	enum tt_hook plain = hooks[as].direction == OUT ? TT_HOOK_openssl_write : TT_HOOK_openssl_read;
	uint64_t outer = wrapper->offset, inner;
	struct function f;
	bool agreed = false;
	int64_t distance;
	uint32_t at;

	if (!read_function(file, outer, &f))
		return;
	if (!elf_place_wraps(f.code, f.len, hooks[as].args, &distance))
		inner = outer;
	else if (!same_segment(file, outer, distance, &inner) || !read_function(file, inner, &f))
		return;
	if (!elf_place_find(f.code, f.len, hooks[as].args, true, &at))
		return;
	for (size_t i = 0; i < scan->count; i++)
		agreed |= scan->hooks[i].hook == plain && leads_to(file, &scan->hooks[i], inner, inner);
	for (size_t i = 0; agreed && i < scan->count; i++) {
		struct elf_hook *hook = &scan->hooks[i];

		if (hooks[hook->hook].direction != hooks[as].direction || hook->tls != TT_TLS_OPENSSL ||
		    (hook->offset != outer && !leads_to(file, hook, inner, outer)))
			continue;
		hook->placed = inner + at;
		hook->placed_as = as;
	}
}

int elf_cheap(const struct elf_file *file, struct elf_scan *scan)
{
	for (size_t i = 0; i < scan->count; i++)
		place(file, &scan->hooks[i]);
	for (size_t i = 0; i < scan->count; i++)
		if (is_inner_hook(scan->hooks[i].hook))
			share(file, scan, &scan->hooks[i]);
	return elf_record(file, scan);
}
