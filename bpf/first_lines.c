/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * For the build, on this machine: of a section .BTF.ext (Documentation/bpf/btf.rst) on standard input, the same with
 * the source line of each function's first instruction only. That is all the kernel asks for; of the 120,000 others
 * libbpf and the kernel would each keep a copy for every program that has the function, 2 MiB and more in the monitor.
 * The object .all next to it keeps all lines, for who reads the verifier's log.
 *
 *   header | func_info: record size, sections | line_info: likewise | relocations (the rest)
 *   a section: the offset of its name, count, count records; a record begins with the offset of its instruction
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC 0xeb9f
#define INPUT_MAX (64U << 20)

struct header {
	uint16_t magic;
	uint8_t version, flags;
	uint32_t len, func_off, func_len, line_off, line_len, core_off, core_len;
};

struct section {
	uint32_t name, count;
};

struct part {
	const uint8_t *p;
	uint32_t len, record;	/* record: bytes */
};

static void fail(const char *why)
{
	fprintf(stderr, "first_lines: %s\n", why);
	exit(1);
}

static uint32_t word(const uint8_t *p)
{
	uint32_t w;

	memcpy(&w, p, sizeof(w));
	return w;
}

/* The section at a place, and where the next one is. */
static struct section section_at(const struct part *part, uint32_t at, uint32_t *ret_next)
{
	struct section s;
	uint64_t next;

	if (part->len - at < sizeof(s))
		fail("a section is cut off");
	memcpy(&s, part->p + at, sizeof(s));
	next = at + sizeof(s) + (uint64_t)s.count * part->record;
	if (next > part->len)
		fail("a section is longer than its part");
	*ret_next = (uint32_t)next;
	return s;
}

static int begins_function(const struct part *functions, uint32_t name, uint32_t instruction)
{
	for (uint32_t at = sizeof(uint32_t), next; at < functions->len; at = next) {
		struct section s = section_at(functions, at, &next);

		for (uint32_t i = 0; s.name == name && i < s.count; i++)
			if (word(functions->p + at + sizeof(s) + i * functions->record) == instruction)
				return 1;
	}
	return 0;
}

/* Returns how long it is then. */
static uint32_t take_lines(const struct part *functions, const struct part *lines, uint8_t *to)
{
	uint32_t len = sizeof(uint32_t);

	memcpy(to, lines->p, len);
	for (uint32_t at = len, next; at < lines->len; at = next) {
		struct section s = section_at(lines, at, &next), kept = { s.name, 0 };
		uint32_t head = len;

		len += sizeof(s);
		for (uint32_t i = 0; i < s.count; i++) {
			const uint8_t *record = lines->p + at + sizeof(s) + i * lines->record;

			if (!begins_function(functions, s.name, word(record)))
				continue;
			memcpy(to + len, record, lines->record);
			len += lines->record;
			kept.count++;
		}
		if (!kept.count)
			fail("a section with code has no function");
		memcpy(to + head, &kept, sizeof(kept));
	}
	return len;
}

static struct part part_of(const uint8_t *all, size_t size, const struct header *h, uint32_t off, uint32_t len)
{
	struct part part = { all + h->len + off, len, 0 };

	if ((uint64_t)h->len + off + len > size || len < sizeof(uint32_t))
		fail("a part is missing or goes beyond the end");
	part.record = word(part.p);
	if (part.record < sizeof(uint32_t))
		fail("records without an instruction");
	return part;
}

static void put(const void *what, size_t len)
{
	if (fwrite(what, 1, len, stdout) != len)
		fail("can't write");
}

int main(void)
{
	uint8_t *all = malloc(INPUT_MAX), *kept;
	struct part functions, lines;
	struct header h, n;
	size_t size;

	size = all ? fread(all, 1, INPUT_MAX, stdin) : 0;
	if (size < sizeof(h) || size == INPUT_MAX)
		fail("no section, or none of a size that can be");
	memcpy(&h, all, sizeof(h));
	if (h.magic != MAGIC || h.len < sizeof(h) || (uint64_t)h.len + h.core_off + h.core_len > size)
		fail("not .BTF.ext as it is known");
	functions = part_of(all, size, &h, h.func_off, h.func_len);
	lines = part_of(all, size, &h, h.line_off, h.line_len);
	kept = malloc(lines.len);
	if (!kept)
		fail("no memory");
	n = h;
	n.len = sizeof(n);
	n.func_off = 0;
	n.line_off = n.func_len;
	n.line_len = take_lines(&functions, &lines, kept);
	n.core_off = n.line_off + n.line_len;
	put(&n, sizeof(n));
	put(functions.p, functions.len);
	put(kept, n.line_len);
	put(all + h.len + h.core_off, h.core_len);
	if (fflush(stdout))
		fail("can't write");
	return 0;
}
