/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/elf_record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <tokentrail/cookie.h>

#include "agent/elf_flow.h"
#include "agent/elf_place.h"
#include "agent/elf_xref.h"
#include "base/cleanup.h"

/*
 * int ssl3_read_bytes(SSL *s, int type, int *recvd_type, unsigned char *buf, size_t len, int peek, size_t *readbytes)
 * int ssl3_write_bytes(SSL *s, int type, const void *buf, size_t len, size_t *written)
 * int do_ssl3_write(SSL *s, int type, const unsigned char *buf, size_t *pipelens, size_t numpipes,
 *		     int create_empty_fragment, size_t *written)
 */
enum { SSL_OBJECT = 0, TYPE = 1, WRITE_BUFFER = 2, BUFFER = 3, LENGTHS = 3, PEEK = 5 };
#define DO_WRITE_ARGS 5		/* that its program reads */

enum name { READ_BYTES, WRITE_BYTES, DO_WRITE, NAMES };

static const struct elf_xref_string names[NAMES] = {
	[READ_BYTES] = { "ssl3_read_bytes", ELF_XREF_WHOLE },
	[WRITE_BYTES] = { "ssl3_write_bytes", ELF_XREF_WHOLE },
	[DO_WRITE] = { "do_ssl3_write", ELF_XREF_WHOLE },
};

struct function {
	uint64_t address, offset;	/* the latter in the file */
	size_t len;
};

/* All references to its name are in one function. */
static bool find_function(const struct elf_xref *x, enum name name, struct function *ret_function)
{
	const struct elf_ref *of = NULL;

	for (size_t i = 0; i < x->ref_count; i++) {
		const struct elf_ref *ref = &x->refs[i];

		if (ref->string != name)
			continue;
		if (of && ref->function != of->function)
			return false;
		of = ref;
	}
	if (!of || !of->function || of->by_calls || of->end <= of->function || of->end - of->function > ELF_FLOW_BYTES)
		return false;
	ret_function->address = of->function;
	ret_function->len = (size_t)(of->end - of->function);
	return elf_xref_is_entry(x, of->function) && elf_file_offset(x->file, of->function, true, &ret_function->offset);
}

/* 0, -errno: -ENOENT if it is not understood. */
static int follow(const struct elf_xref *x, const struct function *f,
		  void (*each)(void *arg, const struct elf_flow_call *call), void *arg)
{
	_cleanup_free_ unsigned char *code = malloc(f->len);
	int r;

	if (!code)
		return -ENOMEM;
	r = elf_file_read(x->file, f->offset, code, f->len);
	if (r == 0)
		r = elf_flow(code, f->len, each, arg);
	return r < 0 && r != -ENOMEM ? -ENOENT : r;
}

/* ---- where records are read ---- */

struct found {
	unsigned int calls;	/* that are given the reader's buffer first */
	struct elf_flow_call call;
};

static bool is_argument(const struct elf_flow_value *value, unsigned int argument)
{
	return value->kind == ELF_FLOW_ARGUMENT && value->argument == argument;
}

static bool leads_into(const struct elf_flow_value *value, unsigned int argument)
{
	return (value->kind == ELF_FLOW_ARGUMENT || value->kind == ELF_FLOW_BEHIND) && !value->half &&
	       value->argument == argument;
}

static void look_at_read(void *arg, const struct elf_flow_call *call)
{
	struct found *found = arg;

	if (!leads_into(&call->given[0], BUFFER))
		return;
	found->calls++;
	found->call = *call;
}

/* In words above the stack pointer. */
static bool in_words(const struct elf_flow_place *place, uint32_t *ret_word)
{
	*ret_word = place->stack / 4;
	return place->stack % 4 == 0;
}

static uint32_t where(const struct elf_flow_place *place, uint32_t from)
{
	static const unsigned char order[ELF_FLOW_STACK] = { [3] = 0, [5] = 1, [12] = 2, [13] = 3, [14] = 4, [15] = 5 };

	return place->reg == ELF_FLOW_STACK ? COOKIE_STACK + place->stack / 4 - from : 2U * order[place->reg];
}

/* False: they are too far from each other, or not known. */
static bool make_cookie(const struct elf_flow_call *call, uint32_t *ret_cookie)
{
	const struct elf_flow_place *places[] = { &call->kept[SSL_OBJECT], &call->kept[TYPE], &call->kept[PEEK] };
	uint32_t from = UINT32_MAX, to = 0, word;

	if (places[0]->half)
		return false;
	for (int i = 0; i < 3; i++) {
		if (!places[i]->known || !in_words(places[i], &word))
			return false;
		if (places[i]->reg != ELF_FLOW_STACK)
			continue;
		from = word < from ? word : from;
		to = word + (i == 0) > to ? word + (i == 0) : to;
	}
	if (from > to)
		from = to = 0;
	if (to - from >= COOKIE_WORDS || from > UINT8_MAX)
		return false;
	*ret_cookie = COOKIE(where(places[0], from), where(places[1], from), where(places[2], from), from);
	return true;
}

/* A place, and what is probed there. */
struct site {
	uint64_t at;		/* in the file; 0 = there is none */
	enum tt_hook hook;
	uint32_t cookie;
};

static int find_read(const struct elf_xref *x, struct site *ret_site)
{
	struct found found = { 0 };
	struct function f;
	int r;

	if (!find_function(x, READ_BYTES, &f))
		return -ENOENT;
	r = follow(x, &f, look_at_read, &found);
	if (r < 0)
		return r;
	if (found.calls != 1 || found.call.target == ELF_FLOW_INDIRECT || !make_cookie(&found.call, &ret_site->cookie))
		return -ENOENT;
	ret_site->at = f.offset + found.call.at;
	ret_site->hook = TT_HOOK_openssl_record;
	return 0;
}

/* ---- where records are written ---- */

struct writes {
	int64_t target;		/* do_ssl3_write(), from the function's first byte */
	unsigned int calls, others;	/* of it: with what it takes, and not */
};

static void look_at_write(void *arg, const struct elf_flow_call *call)
{
	struct writes *writes = arg;

	if (call->target != writes->target)
		return;
	if (is_argument(&call->given[0], SSL_OBJECT) && !call->given[0].half && is_argument(&call->given[1], TYPE) &&
	    leads_into(&call->given[2], WRITE_BUFFER) && call->given[LENGTHS].kind == ELF_FLOW_OWN)
		writes->calls++;
	else
		writes->others++;
}

/* do_ssl3_write(), if it is what ssl3_write_bytes() gives each record's data to. */
static int find_write(const struct elf_xref *x, struct site *ret_site)
{
	unsigned char code[ELF_PLACE_BYTES];
	struct function from, to;
	struct writes writes = { 0 };
	uint32_t at;
	int r;

	if (!find_function(x, WRITE_BYTES, &from) || !find_function(x, DO_WRITE, &to))
		return -ENOENT;
	writes.target = (int64_t)(to.address - from.address);
	r = follow(x, &from, look_at_write, &writes);
	if (r < 0)
		return r;
	if (to.len > sizeof(code))
		to.len = sizeof(code);
	if (!writes.calls || writes.others || elf_file_read(x->file, to.offset, code, to.len) < 0 ||
	    !elf_place_find(code, to.len, DO_WRITE_ARGS, false, &at))
		return -ENOENT;
	ret_site->at = to.offset + at;
	ret_site->hook = TT_HOOK_openssl_seal;
	return 0;
}

/* Those that write are seen there only where those that read are, too: who looks into a read's call finds writes inside. */
static int search(struct elf_xref *x, struct site *ret_read, struct site *ret_write)
{
	int r = elf_xref_find(x, names, NAMES);

	if (r == 0)
		r = elf_xref_refer(x);
	if (r == 0)
		r = elf_xref_functions(x);
	if (r == 0)
		r = find_read(x, ret_read);
	if (r == 0)
		r = find_write(x, ret_write);
	return r == -ENOENT || r == -E2BIG ? 0 : r;
}

/* The function that these two lead to, where their probe is; 0 = it is not known. Those of the SSL BIO
 * (elf_bio.h) are hooked as SSL_read_ex() and SSL_write_ex() too, and have another object and place. */
static uint64_t inner_place(const struct elf_scan *scan, enum tt_hook plain, enum tt_hook ex)
{
	for (size_t i = 0; i < scan->count; i++)
		if (scan->hooks[i].hook == plain && scan->hooks[i].placed_as == ex)
			return scan->hooks[i].placed;
	return 0;
}

static void put(struct elf_scan *scan, uint64_t inner, const struct site *site)
{
	for (size_t i = 0; i < scan->count; i++) {
		struct elf_hook *hook = &scan->hooks[i];

		if (!inner || !site->at || hook->placed != inner)
			continue;
		hook->spare = hook->placed;
		hook->spare_as = hook->placed_as;
		hook->placed = site->at;
		hook->placed_as = site->hook;
		hook->cookie = site->cookie;
	}
}

int elf_record(const struct elf_file *file, struct elf_scan *scan)
{
	uint64_t reads = inner_place(scan, TT_HOOK_openssl_read, TT_HOOK_openssl_read_ex);
	uint64_t writes = inner_place(scan, TT_HOOK_openssl_write, TT_HOOK_openssl_write_ex);
	struct site read = { 0 }, write = { 0 };
	struct elf_xref *x;
	int r;

	/* The kernel does a probed call itself, and not all of them write what it returns to on a shadow stack. */
	if (!reads || elf_file_shadow_stack(file))
		return 0;
	r = elf_xref_new(file, &x);
	if (r < 0)
		return r;
	r = search(x, &read, &write);
	elf_xref_free(x);
	if (r < 0)
		return r;
	put(scan, reads, &read);
	put(scan, writes, &write);
	return 0;
}
