/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An error is raised by ERR_put_error(16, 0, reason, file, line), whose file is one string in all of
 * ssl_lib.cc. The reasons' numbers don't change; of the lines only the distance between two functions
 * that stand next to each other is looked at.
 */
#include "agent/elf_boringssl.h"

#include <errno.h>
#include <string.h>

#include "agent/elf_xref.h"

#define BEFORE_BYTES 40		/* of a reference; errors may share a call, and then lie further away */
#define AFTER_BYTES 60
#define VALUES_MAX 8
#define FUNCTIONS_MAX 512	/* that raise errors in ssl_lib.cc; there are some 60 */
#define LINE_MAX 100000

/* The reasons that matter, openssl/ssl.h and openssl/err.h; a set of them is a number of these bits. */
static const struct {
	uint32_t reason, bit;
} reasons[] = {
#define NOT_FOR_QUIC 1U
	{ 66, NOT_FOR_QUIC },	/* ERR_R_SHOULD_NOT_HAVE_BEEN_CALLED */
#define NO_HANDSHAKE 2U
	{ 215, NO_HANDSHAKE },	/* SSL_R_SSL_HANDSHAKE_FAILURE */
#define UNINITIALIZED 4U
	{ 226, UNINITIALIZED },
#define KEY_UPDATE 8U
	{ 246, KEY_UPDATE },	/* what SSL_key_update() raises besides */
	{ 284, KEY_UPDATE },
#define NO_CTX 16U
	{ 185, NO_CTX },	/* SSL_R_NULL_SSL_CTX */
};
#define WRITES (NOT_FOR_QUIC | NO_HANDSHAKE | UNINITIALIZED)

static const struct elf_xref_string mark = { "ssl/ssl_lib.cc", ELF_XREF_TAIL };

struct function {
	uint64_t at, end;
	uint32_t reasons;
	uint32_t line;		/* of its first NOT_FOR_QUIC; 0 = none */
};

struct search {
	struct elf_xref *xref;
	struct function functions[FUNCTIONS_MAX];
	size_t count;
};

static uint32_t bit_of(uint32_t reason)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].reason == reason)
			return reasons[i].bit;
	return 0;
}

static void add_reference(struct search *s, struct function *f, const struct elf_ref *ref)
{
	uint32_t values[VALUES_MAX], line[1];
	size_t n = elf_xref_values(s->xref, ref, ELF_XREF_EDX, BEFORE_BYTES, AFTER_BYTES, values,
				   VALUES_MAX);

	for (size_t i = 0; i < n; i++)
		f->reasons |= bit_of(values[i]);
	if (n == 0 || bit_of(values[0]) != NOT_FOR_QUIC ||
	    elf_xref_values(s->xref, ref, ELF_XREF_R8D, BEFORE_BYTES, AFTER_BYTES, line, 1) == 0)
		return;
	if (line[0] < LINE_MAX && (!f->line || line[0] < f->line))
		f->line = line[0];
}

/* References are sorted, so those of one function stand together. */
static int collect(struct search *s)
{
	const struct elf_xref *x = s->xref;

	for (size_t i = 0; i < x->ref_count; i++) {
		const struct elf_ref *ref = &x->refs[i];
		struct function *last = s->count ? &s->functions[s->count - 1] : NULL;

		if (ref->reg != ELF_XREF_ECX || !ref->function)
			continue;
		if (!last || last->at != ref->function) {
			if (s->count == FUNCTIONS_MAX)
				return -E2BIG;
			last = &s->functions[s->count++];
			*last = (struct function){ .at = ref->function, .end = ref->end };
		}
		add_reference(s, last, ref);
	}
	return 0;
}

/* How many functions raise all of these errors and none of those. */
static size_t find(const struct search *s, uint32_t all, uint32_t none, const struct function **ret)
{
	size_t n = 0;

	for (size_t i = 0; i < s->count; i++) {
		const struct function *f = &s->functions[i];

		if ((f->reasons & all) != all || f->reasons & none)
			continue;
		*ret = f;
		n++;
	}
	return n;
}

/*
 * SSL_read() calls SSL_peek(), or has its code in it, which raises its one error: so both have that, with
 * its line, which is 21 or 22 above the same error's in SSL_write(). SSL_read() is the longer one.
 */
static size_t find_read(const struct search *s, const struct function *write,
			const struct function **ret)
{
	uint64_t longest = 0;
	size_t same = 0, n = 0;

	for (size_t i = 0; i < s->count; i++) {
		const struct function *f = &s->functions[i];
		uint32_t above = write->line - f->line;

		if (f->reasons != NOT_FOR_QUIC || !f->line || (above != 21 && above != 22))
			continue;
		n++;
		same = f->end - f->at == longest ? same + 1 : same;
		if (f->end - f->at <= longest)
			continue;
		longest = f->end - f->at;
		same = 1;
		*ret = f;
	}
	return n > 2 ? n : same;
}

struct found {
	const struct function *write, *read, *new;
};

static enum tt_blind find_all(const struct search *s, struct found *ret)
{
	size_t write = find(s, WRITES, KEY_UPDATE, &ret->write), read = 0, new;

	if (write == 1 && ret->write->line)
		read = find_read(s, ret->write, &ret->read);
	new = find(s, NO_CTX, 0, &ret->new);
	if (write > 1 || read > 1 || new > 1)
		return TT_BLIND_not_unique;
	return write && read && new ? TT_BLIND_NONE : TT_BLIND_not_found;
}

/*
 * SSL_free() raises no error. SSL_new() does: what it returns is no connection that was known before, or
 * one of a memory-BIO user would take over the address of the one whose memory it has.
 */
static enum tt_blind take(struct elf_xref *x, const struct found *found, struct elf_scan *scan)
{
	const struct {
		const struct function *function;
		enum tt_hook hook;
	} hooks[] = {
		{ found->write, TT_HOOK_boringssl_write },
		{ found->read, TT_HOOK_boringssl_read },
		{ found->new, TT_HOOK_boringssl_new },
	};
	uint64_t offset[sizeof(hooks) / sizeof(hooks[0])];

	for (size_t i = 0; i < sizeof(hooks) / sizeof(hooks[0]); i++) {
		if (!elf_xref_is_entry(x, hooks[i].function->at) ||
		    !elf_file_offset(x->file, hooks[i].function->at, true, &offset[i]))
			return TT_BLIND_unexpected_bytes;
		if (!elf_file_can_probe(x->file, offset[i]))
			return TT_BLIND_unfit_instruction;
	}
	for (size_t i = 0; i < sizeof(hooks) / sizeof(hooks[0]); i++)
		elf_scan_take(scan, x->file, offset[i], hooks[i].hook);
	return TT_BLIND_NONE;
}

static int search(struct elf_xref *x, struct elf_scan *scan)
{
	struct search s = { .xref = x };
	struct found found = { 0 };
	enum tt_blind blind;
	int r = elf_xref_refer(x);

	if (r == 0)
		r = elf_xref_functions(x);
	if (r == 0)
		r = collect(&s);
	if (r < 0 && r != -E2BIG)
		return r;
	blind = r < 0 ? TT_BLIND_not_unique : find_all(&s, &found);
	if (blind == TT_BLIND_NONE)
		blind = take(x, &found, scan);
	if (blind == TT_BLIND_NONE)
		elf_scan_found(scan, TT_TLS_BORINGSSL, TT_HOW_xref, NULL);
	else
		elf_scan_blind(scan, TT_TLS_BORINGSSL, blind, NULL);
	return 0;
}

int elf_boringssl(struct elf_file *file, struct elf_scan *scan)
{
	struct elf_xref *x;
	int r;

	if (elf_scan_has(scan, TT_TLS_BORINGSSL))
		return 0;
	r = elf_xref_new(file, &x);
	if (r < 0)
		return r;
	r = elf_xref_find(x, &mark, 1);
	if (r == 0 && x->place_count)
		r = search(x, scan);
	elf_xref_free(x);
	return r == -E2BIG ? 0 : r;
}

int elf_boringssl_is_in(const struct elf_file *file, bool *ret_is_in)
{
	struct elf_xref *x;
	int r = elf_xref_new(file, &x);

	if (r < 0)
		return r;
	r = elf_xref_find(x, &mark, 1);
	*ret_is_in = r == 0 && x->place_count;
	elf_xref_free(x);
	return r == -E2BIG ? 0 : r;
}
