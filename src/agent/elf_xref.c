/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/elf_xref.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/elf_prologue.h"

#define WINDOW_BYTES (256U << 10)
#define BEFORE_BYTES 256		/* of a window, that the one before had too */
#define AFTER_BYTES 64
#define PASS_BYTES_MAX (1ULL << 30)	/* read in one pass; the largest browsers have a quarter */
#define FUNCTION_BYTES_MAX 65536
#define ALIGNMENT 16			/* of functions, where they are known from calls */
#define EXEC_SEGMENTS_MAX 8
#define CHECKS_MAX 100000		/* places looked at that may be a function's beginning */
#define LEA_BYTES 7
#define CALL_BYTES 5
#define MOV_BYTES 5

struct window {
	const unsigned char *bytes;
	size_t len;
	size_t from, to;		/* what begins there is this window's */
	uint64_t vaddr, offset;		/* of bytes[0] */
};

typedef int window_look(struct elf_xref *x, const struct window *w, void *arg);

int elf_xref_new(const struct elf_file *file, struct elf_xref **ret_xref)
{
	struct elf_xref *x = calloc(1, sizeof(*x));

	if (!x)
		return -ENOMEM;
	x->file = file;
	x->window = malloc(BEFORE_BYTES + WINDOW_BYTES + AFTER_BYTES);
	x->refs = calloc(ELF_XREF_REFS_MAX, sizeof(*x->refs));
	if (!x->window || !x->refs) {
		elf_xref_free(x);
		return -ENOMEM;
	}
	*ret_xref = x;
	return 0;
}

void elf_xref_free(struct elf_xref *xref)
{
	if (!xref)
		return;
	free(xref->window);
	free(xref->refs);
	free(xref);
}

static bool is_wanted(const struct elf_segment *g, bool exec)
{
	return exec ? g->exec : !g->write;
}

/* Real segments don't overlap. */
static int check_work(const struct elf_file *file, bool exec)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < file->segment_count; i++)
		if (is_wanted(&file->segments[i], exec))
			bytes += file->segments[i].bytes;
	return bytes > PASS_BYTES_MAX || bytes > file->size ? -E2BIG : 0;
}

static int look_at_segment(struct elf_xref *x, const struct elf_segment *g, window_look *look, void *arg)
{
	for (uint64_t at = 0; at < g->bytes; at += WINDOW_BYTES) {
		uint64_t before = at < BEFORE_BYTES ? at : BEFORE_BYTES, left = g->bytes - at;
		size_t step = left < WINDOW_BYTES ? (size_t)left : WINDOW_BYTES;
		size_t after = left - step < AFTER_BYTES ? (size_t)(left - step) : AFTER_BYTES;
		struct window w = {
			.bytes = x->window,
			.len = before + step + after,
			.from = before,
			.to = before + step,
			.vaddr = g->vaddr + at - before,
			.offset = g->offset + at - before,
		};
		int r = elf_file_read(x->file, w.offset, x->window, w.len);

		if (r == 0)
			r = look(x, &w, arg);
		if (r < 0)
			return r;
	}
	return 0;
}

static int pass(struct elf_xref *x, bool exec, window_look *look, void *arg)
{
	int r = check_work(x->file, exec);

	for (size_t i = 0; r == 0 && i < x->file->segment_count; i++)
		if (is_wanted(&x->file->segments[i], exec))
			r = look_at_segment(x, &x->file->segments[i], look, arg);
	return r;
}

/* ---- strings ---- */

struct wanted {
	const struct elf_xref_string *strings;
	size_t count;
	size_t places[ELF_XREF_STRINGS_MAX];
};

static bool is_printable(unsigned char c)
{
	return c >= 0x20 && c < 0x7f;
}

static int take_place(struct elf_xref *x, const struct window *w, size_t at, struct wanted *wanted,
		      unsigned int string)
{
	size_t first = at;

	if (wanted->strings[string].kind == ELF_XREF_PART &&
	    wanted->places[string] == ELF_XREF_PARTS_MAX)
		return 0;
	if (x->place_count == ELF_XREF_PLACES_MAX)
		return -E2BIG;
	if (wanted->strings[string].kind == ELF_XREF_TAIL)
		while (first > 0 && is_printable(w->bytes[first - 1]))
			first--;
	wanted->places[string]++;
	x->place[x->place_count++] = (struct elf_xref_place){ w->vaddr + first, w->vaddr + at,
							      w->offset + at, string };
	return 0;
}

static int find_string(struct elf_xref *x, const struct window *w, struct wanted *wanted,
		       unsigned int string)
{
	const struct elf_xref_string *s = &wanted->strings[string];
	size_t len = strlen(s->text) + (s->kind != ELF_XREF_PART), at = w->from;

	while (at < w->to) {
		const unsigned char *p = memmem(w->bytes + at, w->len - at, s->text, len);
		int r;

		if (!p || (size_t)(p - w->bytes) >= w->to)
			return 0;
		at = (size_t)(p - w->bytes);
		r = take_place(x, w, at, wanted, string);
		if (r < 0)
			return r;
		at++;
	}
	return 0;
}

static int find_strings(struct elf_xref *x, const struct window *w, void *arg)
{
	struct wanted *wanted = arg;
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < wanted->count; i++)
		r = find_string(x, w, wanted, i);
	return r;
}

int elf_xref_find(struct elf_xref *xref, const struct elf_xref_string *strings, size_t count)
{
	struct wanted wanted = { .strings = strings, .count = count };

	xref->place_count = 0;
	xref->ref_count = 0;
	if (count > ELF_XREF_STRINGS_MAX)
		return -EINVAL;
	return pass(xref, false, find_strings, &wanted);
}

#if defined(__x86_64__)

/* ---- references ---- */

static uint32_t u32_at(const unsigned char *p)
{
	return (uint32_t)s32_at(p);
}

struct bounds {
	uint64_t low, span;	/* of all places */
};

static int take_ref(struct elf_xref *x, uint64_t target, uint64_t at, unsigned int reg)
{
	for (size_t i = 0; i < x->place_count; i++) {
		if (target < x->place[i].from || target > x->place[i].to)
			continue;
		if (x->ref_count == ELF_XREF_REFS_MAX)
			return -E2BIG;
		x->refs[x->ref_count++] =
			(struct elf_ref){ .at = at, .string = x->place[i].string, .reg = reg };
		return 0;
	}
	return 0;
}

/* REX.W 8d /r with the modrm byte of a RIP-relative operand */
static int refer_by_lea(struct elf_xref *x, const struct window *w, void *arg)
{
	const struct bounds *b = arg;
	const unsigned char *p = w->bytes + w->from, *end = w->bytes + w->len;

	while ((p = memchr(p, 0x8d, (size_t)(end - p)))) {
		const unsigned char *lea = p++ - 1;
		uint64_t target;
		int r;

		if (lea < w->bytes + w->from || (lea[0] & 0xfb) != 0x48 || end - lea < LEA_BYTES)
			continue;
		if (lea >= w->bytes + w->to)
			return 0;
		if ((lea[2] & 0xc7) != 0x05)
			continue;
		target = w->vaddr + (uint64_t)(lea - w->bytes) + LEA_BYTES + (uint64_t)(int64_t)s32_at(lea + 3);
		if (target - b->low > b->span)
			continue;
		r = take_ref(x, target, w->vaddr + (uint64_t)(lea - w->bytes),
			     (lea[0] & 4U) << 1 | (lea[2] >> 3 & 7U));
		if (r < 0)
			return r;
	}
	return 0;
}

/* [REX.B] b8+r imm32; with REX.W it would be another instruction. */
static int refer_by_mov(struct elf_xref *x, const struct window *w, void *arg)
{
	const struct bounds *b = arg;

	for (size_t i = w->from; i < w->to && w->len - i >= MOV_BYTES; i++) {
		const unsigned char *p = w->bytes + i;
		unsigned char rex = i > 0 ? p[-1] : 0;
		unsigned int high = rex == 0x41;
		uint64_t target;
		int r;

		if ((p[0] & 0xf8) != 0xb8)
			continue;
		target = u32_at(p + 1);
		if (target - b->low > b->span || (rex & 0xf8) == 0x48)
			continue;
		r = take_ref(x, target, w->vaddr + i - high, high << 3 | (p[0] & 7));
		if (r < 0)
			return r;
	}
	return 0;
}

static int by_address(const void *a, const void *b)
{
	const struct elf_ref *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

int elf_xref_refer(struct elf_xref *xref)
{
	struct bounds b = { UINT64_MAX, 0 };
	uint64_t high = 0;
	int r;

	xref->ref_count = 0;
	if (!xref->place_count)
		return 0;
	for (size_t i = 0; i < xref->place_count; i++) {
		if (xref->place[i].from < b.low)
			b.low = xref->place[i].from;
		if (xref->place[i].to > high)
			high = xref->place[i].to;
	}
	b.span = high - b.low;
	r = pass(xref, true, refer_by_lea, &b);
	if (r == 0 && xref->file->ehdr.e_type == ET_EXEC)
		r = pass(xref, true, refer_by_mov, &b);
	qsort(xref->refs, xref->ref_count, sizeof(*xref->refs), by_address);
	return r;
}

/* ---- functions: .eh_frame_hdr ---- */

/* LSB core specification, 10.6.2: encodings of the header's fields that linkers write. */
struct eh_frame_hdr {
	uint8_t version, frame_encoding, count_encoding, table_encoding;
	int32_t frame;
	uint32_t count;
};
#define EH_PCREL_SDATA4 0x1b
#define EH_UDATA4 0x03
#define EH_DATAREL_SDATA4 0x3b

struct eh_row {
	int32_t function, fde;		/* from the header's address on */
};

struct fde {
	uint32_t bytes, cie;
	int32_t function;		/* from this field's own address on */
	uint32_t range;
};

struct eh_table {
	uint64_t vaddr, rows_at;	/* rows_at: in the file */
	uint32_t count;
};

static bool read_at(const struct elf_file *file, uint64_t vaddr, void *buf, size_t len)
{
	uint64_t offset;

	return elf_file_offset(file, vaddr, false, &offset) &&
	       elf_file_read(file, offset, buf, len) == 0;
}

static bool table_open(const struct elf_file *file, struct eh_table *t)
{
	struct eh_frame_hdr h;

	t->vaddr = file->eh_frame_hdr;
	if (!t->vaddr || file->eh_frame_hdr_bytes < sizeof(h) ||
	    !elf_file_offset(file, t->vaddr, false, &t->rows_at) ||
	    elf_file_read(file, t->rows_at, &h, sizeof(h)) < 0)
		return false;
	t->rows_at += sizeof(h);
	t->count = h.count;
	return h.version == 1 && h.frame_encoding == EH_PCREL_SDATA4 && h.count_encoding == EH_UDATA4 &&
	       h.table_encoding == EH_DATAREL_SDATA4 &&
	       h.count <= (file->eh_frame_hdr_bytes - sizeof(h)) / sizeof(struct eh_row);
}

/* The last row that is not above the address. */
static bool table_row(const struct elf_file *file, const struct eh_table *t, uint64_t at,
		      struct eh_row *ret_row)
{
	uint32_t low = 0, high = t->count;
	struct eh_row row;
	bool found = false;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (elf_file_read(file, t->rows_at + (uint64_t)middle * sizeof(row), &row, sizeof(row)) < 0)
			return false;
		if (row.function <= (int64_t)(at - t->vaddr)) {
			*ret_row = row;
			found = true;
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return found;
}

/* The row's own description has to agree with it, and to cover the reference. */
static void function_from_table(const struct elf_file *file, const struct eh_table *t, struct elf_ref *ref)
{
	uint64_t at, function;
	struct eh_row row;
	struct fde fde;

	if (!table_row(file, t, ref->at, &row))
		return;
	function = t->vaddr + (uint64_t)(int64_t)row.function;
	at = t->vaddr + (uint64_t)(int64_t)row.fde;
	if (!read_at(file, at, &fde, sizeof(fde)) || fde.bytes < sizeof(fde) - sizeof(fde.bytes) ||
	    fde.bytes == UINT32_MAX || fde.cie == 0 ||
	    at + offsetof(struct fde, function) + (uint64_t)(int64_t)fde.function != function ||
	    ref->at - function >= fde.range)
		return;
	ref->function = function;
	ref->end = function + fde.range;
}

/* ---- functions: calls ---- */

struct calls {
	struct {
		uint64_t vaddr, bytes;
		uint64_t first;		/* bit */
	} segment[EXEC_SEGMENTS_MAX];
	size_t segments;
	unsigned char *bits;		/* one for each place that is aligned: something calls it */
	unsigned int checks;
};

static int calls_open(struct calls *c, const struct elf_file *file)
{
	uint64_t bits = 0;

	for (size_t i = 0; i < file->segment_count; i++) {
		const struct elf_segment *g = &file->segments[i];

		if (!g->exec)
			continue;
		if (c->segments == EXEC_SEGMENTS_MAX)
			return -E2BIG;
		c->segment[c->segments].vaddr = g->vaddr & ~(uint64_t)(ALIGNMENT - 1);
		c->segment[c->segments].bytes = g->bytes;
		c->segment[c->segments++].first = bits;
		bits += g->bytes / ALIGNMENT + 2;
	}
	c->bits = calloc(1, bits / 8 + 1);
	return c->bits ? 0 : -ENOMEM;
}

static bool calls_bit(const struct calls *c, uint64_t vaddr, uint64_t *ret_bit)
{
	for (size_t i = 0; i < c->segments; i++) {
		uint64_t from = vaddr - c->segment[i].vaddr;

		if (from >= c->segment[i].bytes)
			continue;
		*ret_bit = c->segment[i].first + from / ALIGNMENT;
		return true;
	}
	return false;
}

static int note_calls(struct elf_xref *x, const struct window *w, void *arg)
{
	const unsigned char *p = w->bytes + w->from, *end = w->bytes + w->len;
	struct calls *c = arg;

	while ((p = memchr(p, 0xe8, (size_t)(end - p))) && p < w->bytes + w->to && end - p >= CALL_BYTES) {
		uint64_t next = w->vaddr + (uint64_t)(p - w->bytes) + CALL_BYTES, bit;
		uint64_t target = next + (uint64_t)(int64_t)s32_at(p + 1);

		p++;
		if (target % ALIGNMENT == 0 && calls_bit(c, target, &bit))
			c->bits[bit / 8] |= (unsigned char)(1U << bit % 8);
	}
	return 0;
}

/* What stands before a function: a return, a trap, padding, or a jump or call that does not come back. */
static bool ends_code(const unsigned char before[static 5])
{
	unsigned char last = before[4];

	return last == 0xc3 || last == 0xcc || last == 0x90 || last == 0x00 || before[3] == 0xeb ||
	       before[0] == 0xe9 || before[0] == 0xe8 || (before[3] == 0x0f && last == 0x0b);
}

static bool is_start(const struct elf_xref *x, uint64_t vaddr)
{
	unsigned char before[5];

	return read_at(x->file, vaddr - sizeof(before), before, sizeof(before)) && ends_code(before);
}

/* Called, or behind traps, which no compiler puts inside a function to align a loop. */
static bool is_boundary(const struct elf_xref *x, struct calls *c, uint64_t vaddr)
{
	unsigned char before[2];
	uint64_t bit;

	if (c->checks++ >= CHECKS_MAX || !calls_bit(c, vaddr, &bit))
		return false;
	if (c->bits[bit / 8] & 1U << bit % 8 && is_start(x, vaddr))
		return true;
	return read_at(x->file, vaddr - sizeof(before), before, sizeof(before)) && before[0] == 0xcc &&
	       before[1] == 0xcc;
}

static void function_from_calls(const struct elf_xref *x, struct calls *c, struct elf_ref *ref)
{
	uint64_t start = ref->at & ~(uint64_t)(ALIGNMENT - 1), end = start + ALIGNMENT, steps = 0;

	while (!is_boundary(x, c, start)) {
		if (++steps > FUNCTION_BYTES_MAX / ALIGNMENT)
			return;
		start -= ALIGNMENT;
	}
	for (steps = 0; steps < FUNCTION_BYTES_MAX / ALIGNMENT && !is_boundary(x, c, end); steps++)
		end += ALIGNMENT;
	ref->function = start;
	ref->end = end;
	ref->by_calls = true;
}

static int functions_from_calls(struct elf_xref *x)
{
	struct calls c = { 0 };
	int r = calls_open(&c, x->file);

	if (r == 0)
		r = pass(x, true, note_calls, &c);
	for (size_t i = 0; r == 0 && i < x->ref_count; i++)
		if (!x->refs[i].function)
			function_from_calls(x, &c, &x->refs[i]);
	free(c.bits);
	return r == 0 && c.checks >= CHECKS_MAX ? -E2BIG : r;
}

int elf_xref_functions(struct elf_xref *xref)
{
	struct eh_table table;
	size_t missing = 0;
	bool has_table = table_open(xref->file, &table);

	for (size_t i = 0; i < xref->ref_count; i++) {
		if (has_table)
			function_from_table(xref->file, &table, &xref->refs[i]);
		missing += !xref->refs[i].function;
	}
	return missing ? functions_from_calls(xref) : 0;
}

/* [endbr64], then a push, or room made on the stack, or a test of an argument. */
bool elf_xref_is_entry(const struct elf_xref *xref, uint64_t function)
{
	static const unsigned char endbr64[] = { 0xf3, 0x0f, 0x1e, 0xfa };
	unsigned char code[8], *p = code;

	if (function % ALIGNMENT || !is_start(xref, function) ||
	    !read_at(xref->file, function, code, sizeof(code)))
		return false;
	if (memcmp(p, endbr64, sizeof(endbr64)) == 0)
		p += sizeof(endbr64);
	if ((p[0] & 0xf8) == 0x50 || (p[0] == 0x41 && (p[1] & 0xf8) == 0x50))
		return true;
	if (p[0] == 0x48 && (p[1] == 0x83 || p[1] == 0x81) && p[2] == 0xec)
		return true;
	return p[0] == 0x85 || (p[0] == 0x48 && p[1] == 0x85);
}

/* ---- values ---- */

static bool loads(const unsigned char *p, bool has_before, enum elf_xref_register reg)
{
	bool high = has_before && p[-1] == 0x41;

	if (p[0] != (0xb8 | (reg & 7)))
		return false;
	return high == (reg >= 8) && !(has_before && (p[-1] & 0xf8) == 0x48);
}

static uint64_t distance(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

size_t elf_xref_values(const struct elf_xref *xref, const struct elf_ref *ref,
		       enum elf_xref_register reg, uint64_t before, uint64_t after, uint32_t *values,
		       size_t max)
{
	unsigned char code[2 * BEFORE_BYTES];
	uint64_t away[2 * BEFORE_BYTES], from, to;
	size_t count = 0;

	if (!ref->function || before > BEFORE_BYTES || after > BEFORE_BYTES)
		return 0;
	from = ref->at - ref->function < before ? ref->function : ref->at - before;
	to = ref->end - ref->at < after ? ref->end : ref->at + after;
	if (!read_at(xref->file, from, code, to - from))
		return 0;
	for (size_t i = 0; i + MOV_BYTES <= to - from; i++) {
		uint64_t here = distance(from + i, ref->at);
		size_t at = count;

		if (!loads(code + i, i > 0, reg))
			continue;
		while (at > 0 && away[at - 1] > here)
			at--;
		if (at == max)
			continue;
		count += count < max;
		memmove(&away[at + 1], &away[at], (count - at - 1) * sizeof(*away));
		memmove(&values[at + 1], &values[at], (count - at - 1) * sizeof(*values));
		away[at] = here;
		values[at] = u32_at(code + i + 1);
	}
	return count;
}

#else

int elf_xref_refer(struct elf_xref *xref)
{
	xref->ref_count = 0;
	return 0;
}

int elf_xref_functions(struct elf_xref *xref)
{
	return 0;
}

bool elf_xref_is_entry(const struct elf_xref *xref, uint64_t function)
{
	return false;
}

size_t elf_xref_values(const struct elf_xref *xref, const struct elf_ref *ref,
		       enum elf_xref_register reg, uint64_t before, uint64_t after, uint32_t *values,
		       size_t max)
{
	return 0;
}

#endif
