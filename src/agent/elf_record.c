/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/elf_record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <tokentrail/cookie.h>

#include "agent/elf_flow.h"
#include "agent/elf_xref.h"
#include "base/cleanup.h"

/* int ssl3_read_bytes(SSL *s, int type, int *recvd_type, unsigned char *buf, size_t len, int peek, size_t *readbytes) */
enum { SSL_OBJECT = 0, TYPE = 1, BUFFER = 3, PEEK = 5 };

static const struct elf_xref_string name[] = { { "ssl3_read_bytes", ELF_XREF_WHOLE } };

struct found {
	unsigned int calls;	/* that are given the reader's buffer first */
	struct elf_flow_call call;
};

static void look_at_call(void *arg, const struct elf_flow_call *call)
{
	struct found *found = arg;
	const struct elf_flow_value *to = &call->given[0];

	if (to->kind == ELF_FLOW_UNKNOWN || to->half || to->argument != BUFFER)
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

/* All references to its name are in one function; whose bytes? */
static bool find_function(const struct elf_xref *x, uint64_t *ret_offset, size_t *ret_len)
{
	const struct elf_ref *ref = x->refs;

	if (!x->ref_count || !ref->function || ref->by_calls || ref->end <= ref->function ||
	    ref->end - ref->function > ELF_FLOW_BYTES)
		return false;
	for (size_t i = 1; i < x->ref_count; i++)
		if (ref[i].function != ref->function)
			return false;
	*ret_len = (size_t)(ref->end - ref->function);
	return elf_xref_is_entry(x, ref->function) && elf_file_offset(x->file, ref->function, true, ret_offset);
}

static int look_at_function(const struct elf_xref *x, uint64_t *ret_site, uint32_t *ret_cookie)
{
	_cleanup_free_ unsigned char *code = NULL;
	struct found found = { 0 };
	size_t len;
	uint64_t at;
	int r;

	if (!find_function(x, &at, &len))
		return -ENOENT;
	code = malloc(len);
	if (!code)
		return -ENOMEM;
	r = elf_file_read(x->file, at, code, len);
	if (r == 0)
		r = elf_flow(code, len, look_at_call, &found);
	if (r < 0)
		return r == -ENOMEM ? r : -ENOENT;
	if (found.calls != 1 || found.call.target == ELF_FLOW_INDIRECT || !make_cookie(&found.call, ret_cookie))
		return -ENOENT;
	*ret_site = at + found.call.at;
	return 0;
}

static int search(struct elf_xref *x, uint64_t *ret_site, uint32_t *ret_cookie)
{
	int r = elf_xref_find(x, name, 1);

	if (r == 0)
		r = elf_xref_refer(x);
	if (r == 0)
		r = elf_xref_functions(x);
	return r < 0 ? r : look_at_function(x, ret_site, ret_cookie);
}

/* The function that SSL_read() and SSL_read_ex() lead to, where its probe is; 0 = it is not known. Those of the SSL BIO
 * (elf_bio.h) are hooked as SSL_read_ex() too, and have another object and place. */
static uint64_t inner_place(const struct elf_scan *scan)
{
	for (size_t i = 0; i < scan->count; i++)
		if (scan->hooks[i].hook == TT_HOOK_openssl_read && scan->hooks[i].placed_as == TT_HOOK_openssl_read_ex)
			return scan->hooks[i].placed;
	return 0;
}

int elf_record(const struct elf_file *file, struct elf_scan *scan)
{
	uint64_t inner = inner_place(scan), site;
	struct elf_xref *x;
	uint32_t cookie;
	int r;

	/* The kernel does a probed call itself, and not all of them write what it returns to on a shadow stack. */
	if (!inner || elf_file_shadow_stack(file))
		return 0;
	r = elf_xref_new(file, &x);
	if (r < 0)
		return r;
	r = search(x, &site, &cookie);
	elf_xref_free(x);
	if (r < 0)
		return r == -ENOENT || r == -E2BIG ? 0 : r;
	for (size_t i = 0; i < scan->count; i++) {
		struct elf_hook *hook = &scan->hooks[i];

		if (hook->placed != inner)
			continue;
		hook->spare = hook->placed;
		hook->spare_as = hook->placed_as;
		hook->placed = site;
		hook->placed_as = TT_HOOK_openssl_record;
		hook->cookie = cookie;
	}
	return 0;
}
