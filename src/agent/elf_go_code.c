/* SPDX-License-Identifier: Apache-2.0 */
/* The compiler writes beginnings and ends of functions in one form for each size of the frame
 * (cmd/internal/obj/x86/obj6.go and arm64/obj7.go, preprocess()): nothing else is taken. */
#include "agent/elf_go_code.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

struct code {
	const unsigned char *bytes;
	size_t len, at;
	bool bad;
};

/* Steps over these bytes if they are next. */
static bool next_is(struct code *c, const void *bytes, size_t n)
{
	if (c->bad || n > c->len - c->at || memcmp(c->bytes + c->at, bytes, n) != 0)
		return false;
	c->at += n;
	return true;
}

static int32_t number(struct code *c, size_t bytes)
{
	int32_t n = 0;

	if (c->bad || bytes > c->len - c->at) {
		c->bad = true;
		return 0;
	}
	memcpy(&n, c->bytes + c->at, bytes);
	c->at += bytes;
	return bytes == 1 ? (int8_t)n : n;
}

static int take_return(struct go_sites *s, size_t at)
{
	if (s->return_count == GO_RETURNS_MAX)
		return -E2BIG;
	s->returns[s->return_count++] = at;
	return 0;
}

/* ---- x86-64 ---- */

/* An instruction whose last part is a number of one byte or four, little endian. */
struct form {
	unsigned char one[4], four[4];
	size_t len;
};
static const struct form lea_r12 = { { 0x4c, 0x8d, 0x64, 0x24 }, { 0x4c, 0x8d, 0xa4, 0x24 }, 4 };
static const struct form sub_rsp = { { 0x48, 0x83, 0xec }, { 0x48, 0x81, 0xec }, 3 };
static const struct form add_rsp = { { 0x48, 0x83, 0xc4 }, { 0x48, 0x81, 0xc4 }, 3 };
static const struct form save_rbp = { { 0x48, 0x89, 0x6c, 0x24 }, { 0x48, 0x89, 0xac, 0x24 }, 4 };
static const struct form load_rbp = { { 0x48, 0x8b, 0x6c, 0x24 }, { 0x48, 0x8b, 0xac, 0x24 }, 4 };

static bool next_has(struct code *c, const struct form *f, int32_t *ret_number)
{
	if (next_is(c, f->one, f->len))
		*ret_number = number(c, 1);
	else if (next_is(c, f->four, f->len))
		*ret_number = number(c, 4);
	else
		return false;
	return !c->bad;
}

static size_t put(unsigned char *to, const struct form *f, int32_t n)
{
	bool small = n >= -128 && n < 128;

	memcpy(to, small ? f->one : f->four, f->len);
	memcpy(to + f->len, &n, small ? 1 : 4);
	return f->len + (small ? 1 : 4);
}

/* [lea -n(%rsp),%r12]; cmp 0x10(%r14),%rsp or %r12; jbe to where the stack is made larger. */
static bool x86_check(struct code *c)
{
	size_t jump, target;
	int32_t n;

	if (next_has(c, &lea_r12, &n)) {
		if (!next_is(c, "\x4d\x3b\x66\x10", 4))
			return false;
	} else if (!next_is(c, "\x49\x3b\x66\x10", 4)) {
		return false;
	}
	if (next_is(c, "\x76", 1))
		jump = (size_t)number(c, 1);
	else if (next_is(c, "\x0f\x86", 2))
		jump = (size_t)number(c, 4);
	else
		return false;
	target = c->at + jump;
	return !c->bad && target > c->at && target < c->len;
}

/* What gives the frame back, in front of a return. Go 1.21 and later save the frame pointer by a push,
 * earlier ones inside the frame. */
static size_t x86_epilogue(struct code *c, unsigned char *to)
{
	int32_t frame, saved;
	size_t n = 0;

	if (next_is(c, "\x55\x48\x89\xe5", 4)) {
		if (!next_has(c, &sub_rsp, &frame) || frame <= 0)
			return 0;
		n += put(to, &add_rsp, frame);
		to[n++] = 0x5d;
	} else {
		if (!next_has(c, &sub_rsp, &frame) || !next_has(c, &save_rbp, &saved) ||
		    frame < 8 || saved != frame - 8)
			return 0;
		n += put(to, &load_rbp, saved);
		n += put(to + n, &add_rsp, frame);
	}
	return n;
}

/* A return does not end at a boundary of 32 bytes: a no-op is in front of it then (asm6.go, the
 * assembler's answer to an erratum of Intel's). Anything else is not what was looked for. */
static int x86_returns(const struct code *c, const unsigned char *epilogue, size_t n, struct go_sites *s)
{
	for (size_t at = c->at; at + n < c->len; at++) {
		size_t end = at + n;
		int r;

		if (memcmp(c->bytes + at, epilogue, n) != 0)
			continue;
		end += c->bytes[end] == 0x90;
		if (end == c->len || c->bytes[end] != 0xc3)
			return -EBADMSG;
		r = take_return(s, end);
		if (r < 0)
			return r;
	}
	return 0;
}

static int x86_sites(struct code *c, struct go_sites *s)
{
	/* mov %fs:0xfffffffffffffff8,%rcx: the goroutine is not in a register yet */
	static const unsigned char old[] = { 0x64, 0x48, 0x8b, 0x0c, 0x25, 0xf8, 0xff, 0xff, 0xff };
	unsigned char epilogue[32];
	size_t n;

	if (next_is(c, old, sizeof(old)))
		return -ENOTSUP;
	if (!x86_check(c))
		return -EBADMSG;
	s->entry = c->at;
	n = x86_epilogue(c, epilogue);
	return n ? x86_returns(c, epilogue, n, s) : -EBADMSG;
}

/* ---- arm64 ---- */

static uint32_t word(struct code *c)
{
	return (uint32_t)number(c, 4);
}

/* ldr x16,[x28,#16]; [sub x17,sp,#n]; cmp sp or x17,x16; b.ls; str x30,[sp,#-n]! or sub x20,sp,#n */
static bool arm64_check(struct code *c, struct go_sites *s)
{
	uint32_t w;

	if (word(c) != 0xf9400b90)
		return false;
	w = word(c);
	if ((w & 0xffc003ff) == 0xd10003f1 || (w & 0xffc003ff) == 0xd14003f1)
		w = word(c) == 0xeb10023f ? 0xeb3063ff : 0;
	if (w != 0xeb3063ff || (word(c) & 0xff00001f) != 0x54000009)
		return false;
	s->entry = c->at;
	w = word(c);
	return !c->bad && ((w & 0xffe00fff) == 0xf8000ffe || (w & 0xff8003ff) == 0xd10003f4);
}

static int arm64_sites(struct code *c, struct go_sites *s)
{
	int r;

	if (!arm64_check(c, s))
		return -EBADMSG;
	while (c->at + 4 <= c->len) {
		if (word(c) != 0xd65f03c0)
			continue;
		r = take_return(s, c->at - 4);
		if (r < 0)
			return r;
	}
	return 0;
}

int go_code_sites(unsigned int machine, const unsigned char *code, size_t len,
		  struct go_sites *ret_sites)
{
	struct code c = { code, len, 0, false };
	struct go_sites s = { 0 };
	int r;

	r = machine == EM_X86_64 ? x86_sites(&c, &s) : arm64_sites(&c, &s);
	if (r == 0)
		*ret_sites = s;
	return r;
}
