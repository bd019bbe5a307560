/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From instruction to instruction. The function has ended where one does not go on to the next (a
 * return, a jump, a trap) and no jump before leads beyond it. Where a table says where a jump leads, what
 * follows the jump belongs to the function too; what only such a table leads to, behind all else, is not
 * found.
 */
#include "agent/elf_returns.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "agent/elf_prologue.h"

struct walk {
	const unsigned char *code;
	size_t len, at;
	size_t furthest;	/* that a jump leads to */
	uint32_t *returns;
	int count;
};

/* Of a jump whose next instruction is at `next`. */
static int jump(struct walk *w, size_t next, int32_t distance)
{
	int64_t target = (int64_t)next + distance;

	if (target < 0)
		return -EBADMSG;	/* it goes on in another function, which returns */
	if (target >= ELF_RETURNS_BYTES)
		return -E2BIG;
	if ((size_t)target > w->furthest)
		w->furthest = (size_t)target;
	return 0;
}

/* Bytes of the instruction; 0: not known. Of traps, which no function begins with, there are two. */
static size_t length(const unsigned char *p, size_t len)
{
	if (p[0] == 0xcc)
		return 1;
	if (len >= 2 && p[0] == 0x0f && p[1] == 0x0b)
		return 2;
	return elf_prologue_length(p, len);
}

/* Returns 1 where it does not go on to the next instruction. */
static int step(struct walk *w)
{
	const unsigned char *p = w->code + w->at;
	size_t n = length(p, w->len - w->at), next = w->at + n;

	if (n == 0)
		return -EBADMSG;
	if ((p[0] & 0xf0) == 0x70)
		return jump(w, next, (int8_t)p[1]);
	if (p[0] == 0x0f && (p[1] & 0xf0) == 0x80)
		return jump(w, next, s32_at(p + 2));
	if (p[0] == 0xeb || p[0] == 0xe9)
		return jump(w, next, p[0] == 0xeb ? (int8_t)p[1] : s32_at(p + 1)) ?: 1;
	if (p[0] == 0xc2)
		return -EBADMSG;	/* gives arguments back: not in this calling convention */
	if (p[0] == 0xc3 || (n == 2 && p[0] == 0xf3 && p[1] == 0xc3)) {
		if (w->count == ELF_RETURNS_MAX)
			return -E2BIG;
		w->returns[w->count++] = (uint32_t)w->at;
		return 1;
	}
	if (p[0] == 0xcc || (p[0] == 0x0f && p[1] == 0x0b))
		return 1;
	return 0;
}

int elf_returns(const unsigned char *code, size_t len, uint32_t ret_at[static ELF_RETURNS_MAX])
{
	struct walk w = { .code = code, .len = len, .returns = ret_at };

#if !defined(__x86_64__)
	return -EBADMSG;
#endif
	while (w.at < len && w.at < ELF_RETURNS_BYTES) {
		int r = step(&w);

		if (r < 0)
			return r;
		w.at += length(code + w.at, len - w.at);
		if (r && w.at > w.furthest)
			return w.count ? w.count : -EBADMSG;
	}
	return -E2BIG;
}
