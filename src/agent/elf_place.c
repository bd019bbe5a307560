/* SPDX-License-Identifier: Apache-2.0 */
/* Opcode maps: Intel's Software Developer's Manual, volume 2, appendix A. Of an instruction that is not
 * known here nobody knows what it writes: there the search ends. */
#include "agent/elf_place.h"

#include <string.h>

#include "agent/elf_prologue.h"

#if defined(__x86_64__)
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 };	/* as instructions number them */

#define INSTRUCTIONS_MAX 24	/* before a place, or in a function that only calls another */

enum kind { UNKNOWN, PLAIN, PUSH, POP, NOP, IF, JUMP, CALL, RETURN };

struct instruction {
	enum kind kind;
	size_t len;
	uint32_t writes;	/* a bit for each register that it may change */
	int64_t pushed;		/* bytes that the stack has grown */
	int64_t jump;		/* from its first byte */
	bool if_negative, if_not_negative;
};

/* What its bytes are, without prefixes that change no register's number. */
struct parts {
	const unsigned char *op;
	bool prefixed;		/* more than REX is in front */
	bool rex;
	unsigned int r, b;	/* what REX adds to ModRM's registers */
};

static struct parts take_apart(const unsigned char *p)
{
	struct parts a = { .op = p };

	while (*a.op == 0x66 || *a.op == 0xf2 || *a.op == 0xf3 || *a.op == 0x64)
		a.op++;
	a.prefixed = a.op != p;
	if ((*a.op & 0xf0) == 0x40) {
		a.rex = true;
		a.r = (*a.op & 4U) << 1;
		a.b = (*a.op & 1U) << 3;
		a.op++;
	}
	return a;
}

static uint32_t bit(unsigned int reg)
{
	return 1U << reg;
}

/* 4 to 7 of one byte are the second bytes of 0 to 3 where there is no REX. */
static uint32_t bit8(const struct parts *a, unsigned int reg)
{
	return bit(reg) | (!a->rex && reg < 8 ? bit(reg & 3) : 0);
}

static uint32_t to_reg(const struct parts *a, unsigned char modrm, bool byte)
{
	unsigned int reg = (modrm >> 3 & 7U) + a->r;

	return byte ? bit8(a, reg) : bit(reg);
}

static uint32_t to_rm(const struct parts *a, unsigned char modrm, bool byte)
{
	unsigned int reg = (modrm & 7U) + a->b;

	if (modrm >> 6 != 3)
		return 0;	/* memory */
	return byte ? bit8(a, reg) : bit(reg);
}

static void plain(struct instruction *i, uint32_t writes)
{
	i->kind = PLAIN;
	i->writes = writes;
}

static void two_bytes(const struct parts *a, const unsigned char *p, struct instruction *i)
{
	unsigned char op = a->op[1];

	if ((op & 0xf0) == 0x80) {
		if (a->prefixed || a->rex)
			return;
		i->kind = IF;
		i->jump = (int64_t)i->len + s32_at(a->op + 2);
		i->if_negative = op == 0x88;
		i->if_not_negative = op == 0x89;
	} else if (op == 0x1e) {
		if (i->len == 4 && memcmp(p, "\xf3\x0f\x1e\xfa", 4) == 0)	/* endbr64 */
			plain(i, 0);
	} else if (op == 0x1f || (op >= 0x10 && op <= 0x17) || op == 0x28 || op == 0x29 ||
		   op == 0x57 || op == 0x6f || op == 0x7f || op == 0xd6 || op == 0xef) {
		plain(i, 0);	/* long nops; what is between memory and vectors */
	} else if ((op & 0xf0) == 0x40 || op == 0xb6 || op == 0xb7 || op == 0xbe || op == 0xbf) {
		plain(i, to_reg(a, a->op[2], false));
	} else if ((op & 0xf0) == 0x90) {
		plain(i, to_rm(a, a->op[2], true));
	}
}

/* add, or, adc, sbb, and, sub, xor, cmp: the last one changes nothing. */
static void arithmetic(const struct parts *a, struct instruction *i)
{
	unsigned char op = *a->op, modrm = a->op[1];

	if (op >= 0x38)
		plain(i, 0);
	else if ((op & 7) >= 4)
		plain(i, bit(RAX));
	else if (op & 2)
		plain(i, to_reg(a, modrm, !(op & 1)));
	else
		plain(i, to_rm(a, modrm, !(op & 1)));
}

/* The same with a number. The stack pointer is moved by so many bytes, or nobody knows where it is. */
static void arithmetic_number(const struct parts *a, const unsigned char *p, struct instruction *i)
{
	unsigned char op = *a->op, modrm = a->op[1], what = modrm >> 3 & 7;
	uint32_t writes = what == 7 ? 0 : to_rm(a, modrm, op == 0x80);
	int64_t number;

	if (!(writes & bit(RSP))) {
		plain(i, writes);
		return;
	}
	if (a->prefixed || *p != 0x48 || op == 0x80 || (what != 0 && what != 5))
		return;
	number = op == 0x83 ? (signed char)p[i->len - 1] : s32_at(p + i->len - 4);
	plain(i, 0);
	i->pushed = what == 5 ? number : -number;
}

static void jump(const struct parts *a, struct instruction *i)
{
	unsigned char op = *a->op;

	if (a->prefixed || a->rex)
		return;
	i->kind = op == 0xe8 ? CALL : op == 0xe9 || op == 0xeb ? JUMP : IF;
	i->jump = (int64_t)i->len + (op == 0xe8 || op == 0xe9 ? s32_at(a->op + 1) : (signed char)a->op[1]);
	i->if_negative = op == 0x78;
	i->if_not_negative = op == 0x79;
}

static void stack(const struct parts *a, struct instruction *i)
{
	unsigned char op = *a->op;

	if (a->prefixed || (a->rex && a->op[-1] != 0x41))
		return;		/* the kernel knows these forms only */
	i->kind = op < 0x58 ? PUSH : POP;
	i->pushed = op < 0x58 ? 8 : -8;
	if (op >= 0x58)
		i->writes = bit((op & 7U) + a->b);
}

static void one_byte(const struct parts *a, const unsigned char *p, struct instruction *i)
{
	unsigned char op = *a->op, modrm = i->len > (size_t)(a->op - p) + 1 ? a->op[1] : 0;

	if (op < 0x40 && (op & 7) <= 5)
		arithmetic(a, i);
	else if (op >= 0x50 && op <= 0x5f)
		stack(a, i);
	else if (op == 0x63 || op == 0x8b || op == 0x8d)
		plain(i, to_reg(a, modrm, false));
	else if (op == 0x80 || op == 0x81 || op == 0x83)
		arithmetic_number(a, p, i);
	else if ((op & 0xf0) == 0x70 || op == 0xe8 || op == 0xe9 || op == 0xeb)
		jump(a, i);
	else if (op == 0x84 || op == 0x85 || op == 0xa8 || op == 0xa9)
		plain(i, 0);		/* test */
	else if (op == 0x88 || op == 0x89)
		plain(i, to_rm(a, modrm, op == 0x88));
	else if (op == 0x8a)
		plain(i, to_reg(a, modrm, true));
	else if (op == 0x90)
		i->kind = a->prefixed || a->rex ? UNKNOWN : NOP;
	else if (op == 0x98 || op == 0x99)
		plain(i, bit(op == 0x98 ? RAX : RDX));
	else if ((op & 0xf0) == 0xb0)
		plain(i, op < 0xb8 ? bit8(a, (op & 7U) + a->b) : bit((op & 7U) + a->b));
	else if (op == 0xc6 || op == 0xc7)
		plain(i, to_rm(a, modrm, op == 0xc6));
	else if (op == 0xf6 || op == 0xf7)
		i->kind = (modrm >> 3 & 7) < 2 ? PLAIN : UNKNOWN;	/* test */
	else if (op == 0xc3)
		i->kind = RETURN;
}

static struct instruction look(const unsigned char *p, size_t len)
{
	struct instruction i = { .len = elf_prologue_length(p, len) };
	struct parts a;

	if (!i.len)
		return i;
	a = take_apart(p);
	if (*a.op == 0x0f)
		two_bytes(&a, p, &i);
	else
		one_byte(&a, p, &i);
	if (i.writes & bit(RSP))
		i.kind = UNKNOWN;
	return i;
}

static bool is_cheap(enum kind kind)
{
	return kind == PUSH || kind == NOP || kind == IF || kind == JUMP;
}

static uint32_t registers_of(unsigned int args)
{
	static const uint32_t order[ELF_PLACE_ARGS_MAX] = { RDI, RSI, RDX, RCX, R8 };
	uint32_t bits = 0;

	for (unsigned int i = 0; i < args && i < ELF_PLACE_ARGS_MAX; i++)
		bits |= bit(order[i]);
	return bits;
}

/* Where it does not go on to the next: a return, a jump, a trap. */
static bool ends(const unsigned char *p, const struct instruction *i, size_t len)
{
	if (i->kind == RETURN || i->kind == JUMP || p[0] == 0xcc || (len >= 2 && p[0] == 0x0f && p[1] == 0x0b))
		return true;
	while (len > 2 && (*p == 0x3e || *p == 0xf2 || *p == 0x41))
		p++, len--;
	return len >= 2 && *p == 0xff && (p[1] >> 3 & 7) == 4;
}

static size_t length(const unsigned char *p, size_t len, const struct instruction *i)
{
	if (p[0] == 0xcc)
		return 1;
	return len >= 2 && p[0] == 0x0f && p[1] == 0x0b ? 2 : i->len;
}

/* So too where a prefix that changes nothing stands before a jump. */
static struct instruction look_at_jump(const unsigned char *p, size_t len)
{
	struct instruction i = look(p, len), behind;
	size_t n = 0;

	while (n < i.len && (p[n] == 0x2e || p[n] == 0x3e || p[n] == 0xf2))
		n++;
	if (!n || n == i.len)
		return i;
	behind = look(p + n, len - n);
	if (behind.kind != IF && behind.kind != JUMP)
		return i;
	behind.len += n;
	behind.jump += (int64_t)n;
	return behind;
}

/* Does no jump of the function lead behind its first byte and no further than `site`? Where not all of it
 * is understood, nobody knows. */
static bool is_passed_once(const unsigned char *code, size_t len, size_t site)
{
	size_t at = 0, furthest = 0;

	while (at < len) {
		struct instruction i = look_at_jump(code + at, len - at);
		size_t n = length(code + at, len - at, &i);
		int64_t target = (int64_t)at + i.jump;

		if (!n)
			return false;
		if (i.kind == IF || i.kind == JUMP) {
			if (target > 0 && target <= (int64_t)site)
				return false;
			if (target > (int64_t)furthest && target < ELF_PLACE_BYTES)
				furthest = (size_t)target;
		}
		if (ends(code + at, &i, len - at) && at + n > furthest)
			return true;
		at += n;
	}
	return false;
}

/* endbr64 alone in front: nothing jumps behind it. */
static bool is_beginning(const unsigned char *code, size_t site)
{
	return site == 0 || (site == 4 && memcmp(code, "\xf3\x0f\x1e\xfa", 4) == 0);
}

bool elf_place_is_cheap(const unsigned char *code, size_t len)
{
	return is_cheap(look(code, len).kind);
}

bool elf_place_find(const unsigned char *code, size_t len, unsigned int args, bool returns,
		    uint32_t *ret_at)
{
	uint32_t wanted = registers_of(args);
	int64_t pushed = 0;
	size_t at = 0;

	if (len > ELF_PLACE_BYTES)
		len = ELF_PLACE_BYTES;
	for (int n = 0; n < INSTRUCTIONS_MAX && at < len; n++) {
		struct instruction i = look(code + at, len - at);

		if (is_cheap(i.kind)) {
			if ((returns && pushed) || !(is_beginning(code, at) || is_passed_once(code, len, at)))
				return false;
			*ret_at = (uint32_t)at;
			return true;
		}
		if (i.kind != PLAIN || i.writes & wanted)
			return false;
		pushed += i.pushed;
		at += i.len;
	}
	return false;
}

/* To the end, behind a call: nothing that goes elsewhere. */
static bool only_returns(const unsigned char *code, size_t len)
{
	size_t at = 0;

	for (int n = 0; n < INSTRUCTIONS_MAX && at < len; n++) {
		struct instruction i = look(code + at, len - at);

		if (i.kind != PLAIN && i.kind != POP && i.kind != NOP)
			return i.kind == RETURN;
		at += i.len;
	}
	return false;
}

bool elf_place_wraps(const unsigned char *code, size_t len, unsigned int args, int64_t *ret_target)
{
	uint32_t wanted = registers_of(args);
	size_t at = 0;

	for (int n = 0; n < INSTRUCTIONS_MAX && at < len; n++) {
		struct instruction i = look(code + at, len - at);

		if (i.kind == JUMP || i.kind == CALL) {
			*ret_target = (int64_t)at + i.jump;
			return i.kind == JUMP || only_returns(code + at + i.len, len - at - i.len);
		}
		if ((i.kind != PLAIN && i.kind != PUSH) || i.writes & wanted)
			return false;
		at += i.len;
	}
	return false;
}

bool elf_place_calls(const unsigned char *code, size_t len, int64_t *ret_target)
{
	bool asked = false;
	size_t at = 0;

	for (int n = 0; n < INSTRUCTIONS_MAX && at < len; n++) {
		struct instruction i = look(code + at, len - at);

		if (i.kind == JUMP || i.kind == CALL) {
			*ret_target = (int64_t)at + i.jump;
			return true;
		}
		if (i.kind == IF) {
			if (asked || !(i.if_negative || i.if_not_negative) || i.jump <= 0)
				return false;
			asked = true;
			at += i.if_not_negative ? (size_t)i.jump : i.len;
			continue;
		}
		if (i.kind != PLAIN && i.kind != PUSH)
			return false;
		at += i.len;
	}
	return false;
}
#else
bool elf_place_is_cheap(const unsigned char *code, size_t len)
{
	return false;
}

bool elf_place_find(const unsigned char *code, size_t len, unsigned int args, bool returns,
		    uint32_t *ret_at)
{
	return false;
}

bool elf_place_wraps(const unsigned char *code, size_t len, unsigned int args, int64_t *ret_target)
{
	return false;
}

bool elf_place_calls(const unsigned char *code, size_t len, int64_t *ret_target)
{
	return false;
}
#endif
