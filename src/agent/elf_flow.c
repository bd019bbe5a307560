/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths meet where a jump leads: there is kept what all that came there agree on, until nothing changes
 * any more. From one such place to the next the instructions are followed in a row.
 *
 * Opcode maps: Intel's Software Developer's Manual, volume 2, appendix A.
 */
#include "agent/elf_flow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/elf_prologue.h"
#include "base/cleanup.h"

#if defined(__x86_64__)
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15, REGISTERS };

static const unsigned char argument_register[ELF_FLOW_ARGS] = { RDI, RSI, RDX, RCX, R8, R9 };

#define FRAME_BYTES 2048	/* of the function's stack that are followed */
#define SLOTS (FRAME_BYTES / 4)
#define STEPS_MAX 400000	/* instructions that are followed: a real function takes some 5,000 */
#define LEADERS_MAX 2048

/* ---- what is known of a place ---- */

/* One byte: an argument's number, a kind, and whether half of it is there. */
enum { UNKNOWN = 0, ARGUMENT = 8, BEHIND = 16, ADDRESS = 24, KIND = 24, NUMBER = 7, HALF = 0x80, REST = 0xff };
/* ADDRESS: of the stack, so many bytes from the return address; REST: the upper half of what is in the slot before. */

struct state {
	int32_t address[REGISTERS];
	unsigned char reg[REGISTERS];
	unsigned char slot[SLOTS];	/* 4 bytes each, the last one before the return address */
	bool known;			/* something leads here */
	bool changed;			/* since it was followed */
};

static bool is_pointer(unsigned char value)
{
	return (value & (KIND | HALF)) == ARGUMENT || (value & (KIND | HALF)) == BEHIND;
}

static unsigned char behind(unsigned char value)
{
	return is_pointer(value) ? (unsigned char)(BEHIND | (value & NUMBER)) : UNKNOWN;
}

static unsigned char half_of(unsigned char value)
{
	return value != REST && (value & KIND) == ARGUMENT ? (unsigned char)(value | HALF) : UNKNOWN;
}

/* What two paths agree on. */
static unsigned char meet(unsigned char a, unsigned char b)
{
	if (a == b)
		return a;
	if (a == REST || b == REST)
		return UNKNOWN;
	if (is_pointer(a) && is_pointer(b) && (a & NUMBER) == (b & NUMBER))
		return behind(a);
	if ((a | HALF) == (b | HALF))
		return half_of(a);
	return UNKNOWN;
}

static bool meet_at(unsigned char *at, unsigned char other)
{
	unsigned char now = meet(*at, other);
	bool changed = now != *at;

	*at = now;
	return changed;
}

/* False: the stack is not as long on both. */
static bool meet_states(struct state *at, const struct state *s)
{
	if (!at->known) {
		*at = *s;
		at->known = at->changed = true;
		return true;
	}
	if (at->address[RSP] != s->address[RSP])
		return false;
	for (int r = 0; r < REGISTERS; r++) {
		unsigned char other = s->reg[r];

		if (other == ADDRESS && at->reg[r] == ADDRESS && at->address[r] != s->address[r])
			other = UNKNOWN;
		at->changed |= meet_at(&at->reg[r], other);
	}
	for (int i = 0; i < SLOTS; i++)
		at->changed |= meet_at(&at->slot[i], s->slot[i]);
	return true;
}

/* ---- the stack ---- */

/* The slot of an address; SLOTS: it is none that is followed. */
static size_t slot_at(int64_t address)
{
	return address >= -FRAME_BYTES && address < 0 ? (size_t)(address + FRAME_BYTES) / 4 : SLOTS;
}

static void forget(struct state *s, int64_t address, size_t bytes)
{
	for (int64_t a = address & ~3LL; a < address + (int64_t)bytes; a += 4) {
		size_t i = slot_at(a);

		if (i == SLOTS)
			continue;
		if (s->slot[i] == REST && i > 0)
			s->slot[i - 1] = half_of(s->slot[i - 1]);
		if (i + 1 < SLOTS && s->slot[i + 1] == REST)
			s->slot[i + 1] = UNKNOWN;
		s->slot[i] = UNKNOWN;
	}
}

static void store(struct state *s, int64_t address, size_t bytes, unsigned char value)
{
	size_t i = slot_at(address);

	forget(s, address, bytes);
	if (i == SLOTS || address % 4 || bytes < 4 || value == ADDRESS)
		return;
	s->slot[i] = bytes == 8 ? value : half_of(value);
	if (bytes == 8 && value && !(value & HALF) && i + 1 < SLOTS)
		s->slot[i + 1] = REST;
}

static unsigned char load(const struct state *s, int64_t address, size_t bytes)
{
	size_t i = slot_at(address);

	if (i == SLOTS || address % 4 || bytes < 4 || s->slot[i] == REST)
		return UNKNOWN;
	if (bytes == 8 && i + 1 < SLOTS && s->slot[i + 1] == REST)
		return s->slot[i];
	return half_of(s->slot[i]);
}

static void set(struct state *s, unsigned int reg, unsigned char value)
{
	s->reg[reg] = value;
}

static void set_address(struct state *s, unsigned int reg, int64_t address)
{
	s->reg[reg] = ADDRESS;
	s->address[reg] = (int32_t)address;
}

static void push(struct state *s, unsigned char value)
{
	s->address[RSP] -= 8;
	store(s, s->address[RSP], 8, value);
}

static unsigned char pop(struct state *s)
{
	unsigned char value = load(s, s->address[RSP], 8);

	s->address[RSP] += 8;
	return value;
}

/* ---- instructions ---- */

struct operand {
	struct elf_prologue_parts p;
	const unsigned char *bytes;
	size_t size;		/* of the operation: 1, 2, 4, 8 */
	unsigned int reg, rm;	/* rm: where it is a register */
	unsigned int what;	/* ModRM's middle, where it is more opcode */
	bool memory;
	bool on_stack;		/* the address is known */
	int64_t address;
	bool based;		/* one pointer and no more: for lea */
	unsigned char base;	/* its value */
	int32_t number;		/* the immediate */
};

static int32_t displacement(const unsigned char *p, unsigned int mod, bool none)
{
	if (mod == 1)
		return (signed char)*p;
	return mod == 2 || none ? s32_at(p) : 0;
}

/* Which memory it is, as far as the stack and pointers go. */
static void take_memory(const struct state *s, struct operand *o)
{
	const unsigned char *p = o->bytes + o->p.modrm;
	unsigned int mod = *p >> 6, rm = *p & 7, base = rm | (o->p.rex & 1U) << 3, index = RSP;
	bool no_base = mod == 0 && rm == RBP;
	int32_t moved;

	o->memory = true;
	p++;
	if (rm == RSP) {
		base = (*p & 7) | (o->p.rex & 1U) << 3;
		index = (*p >> 3 & 7) | (o->p.rex & 2U) << 2;
		no_base = mod == 0 && (*p & 7) == RBP;
		p++;
	}
	moved = displacement(p, mod, no_base);
	if (no_base)
		return;
	if (index == RSP && s->reg[base] == ADDRESS) {
		o->on_stack = true;
		o->address = (int64_t)s->address[base] + moved;
		return;
	}
	o->based = true;
	o->base = is_pointer(s->reg[base]) ? s->reg[base] : index != RSP ? s->reg[index] : UNKNOWN;
	if (index != RSP || moved)
		o->base = behind(o->base);
}

static bool is_byte(const struct elf_prologue_parts *p)
{
	if (p->two_bytes)
		return (p->op & 0xf0) == 0x90 || p->op == 0xb0 || p->op == 0xc0;
	if (p->op < 0x40)
		return !(p->op & 1);
	switch (p->op) {
	case 0x80:
	case 0x84:
	case 0x86:
	case 0x88:
	case 0x8a:
	case 0xc0:
	case 0xc6:
	case 0xd0:
	case 0xd2:
	case 0xf6:
	case 0xfe:
		return true;
	default:
		return (p->op & 0xf8) == 0xb0;
	}
}

static bool take_apart(const struct state *s, const unsigned char *code, size_t len, struct operand *o)
{
	*o = (struct operand){ .bytes = code };
	if (!elf_prologue_parts(code, len, &o->p))
		return false;
	o->size = is_byte(&o->p) ? 1 : o->p.rex & 8 ? 8 : o->p.word ? 2 : 4;
	if (o->p.immediate < o->p.len)
		o->number = o->p.len - o->p.immediate == 1 ? (signed char)code[o->p.immediate] :
			    o->p.len - o->p.immediate >= 4 ? s32_at(code + o->p.immediate) :
							     0;
	if (!o->p.modrm)
		return true;
	o->reg = (code[o->p.modrm] >> 3 & 7U) | (o->p.rex & 4U) << 1;
	o->what = o->reg & 7U;
	o->rm = (code[o->p.modrm] & 7U) | (o->p.rex & 1U) << 3;
	if (code[o->p.modrm] >> 6 != 3)
		take_memory(s, o);
	return true;
}

/* Without REX, a byte's registers 4 to 7 are the second bytes of 0 to 3. */
static unsigned int whole(const struct operand *o, unsigned int reg)
{
	return o->size == 1 && !o->p.rex && reg < 8 ? reg & 3 : reg;
}

/* What an operation of this size has of a register's value. */
static unsigned char sized(unsigned char value, size_t size)
{
	return size == 8 ? value : size == 4 ? half_of(value) : UNKNOWN;
}

static unsigned char get_rm(const struct state *s, const struct operand *o)
{
	if (!o->memory)
		return s->reg[o->rm];
	return o->on_stack ? load(s, o->address, o->size) : UNKNOWN;
}

/* Something that is not followed is written there. */
static bool spoil_reg(struct state *s, unsigned int reg)
{
	set(s, reg, UNKNOWN);
	return reg != RSP;
}

static bool spoil_rm(struct state *s, const struct operand *o, size_t bytes)
{
	if (!o->memory)
		return spoil_reg(s, whole(o, o->rm));
	if (o->on_stack)
		forget(s, o->address, bytes);
	return true;
}

static bool move(struct state *s, unsigned int to, unsigned int from, size_t size)
{
	if (size == 8 && s->reg[from] == ADDRESS)
		set_address(s, to, s->address[from]);
	else if (to == RSP)
		return false;
	else
		set(s, to, sized(s->reg[from], size));
	return true;
}

static bool move_to_rm(struct state *s, const struct operand *o)
{
	if (!o->memory)
		return o->size >= 4 ? move(s, o->rm, o->reg, o->size) : spoil_reg(s, whole(o, o->rm));
	if (o->on_stack)
		store(s, o->address, o->size, sized(s->reg[o->reg], o->size));
	return true;
}

static bool move_to_reg(struct state *s, const struct operand *o)
{
	if (!o->memory)
		return o->size >= 4 ? move(s, o->reg, o->rm, o->size) : spoil_reg(s, whole(o, o->reg));
	if (o->reg == RSP)
		return false;
	set(s, whole(o, o->reg), sized(get_rm(s, o), o->size));
	return true;
}

static bool load_address(struct state *s, const struct operand *o)
{
	if (o->on_stack && o->size == 8)
		set_address(s, o->reg, o->address);
	else if (o->reg == RSP)
		return false;
	else
		set(s, o->reg, o->based ? sized(o->base, o->size) : UNKNOWN);
	return true;
}

/* add and sub: a pointer stays one. */
static unsigned char moved(unsigned char to, unsigned char by, size_t size, bool sub)
{
	if (size != 8)
		return UNKNOWN;
	if (is_pointer(to))
		return behind(to);
	return sub ? UNKNOWN : behind(by);
}

/* add, or, adc, sbb, and, sub, xor, cmp: 0 to 7, the last one changes nothing. */
static bool arithmetic(struct state *s, const struct operand *o)
{
	unsigned int what = o->p.op >> 3;
	bool adds = what == 0 || what == 5, to_reg = o->p.op & 2;
	unsigned char value;

	if (what == 7)
		return true;
	if ((o->p.op & 7) >= 4)
		return spoil_reg(s, RAX);
	if (!adds || (!to_reg && o->memory))
		return to_reg ? spoil_reg(s, whole(o, o->reg)) : spoil_rm(s, o, o->size);
	value = to_reg ? moved(s->reg[o->reg], get_rm(s, o), o->size, what == 5) :
			 moved(s->reg[o->rm], s->reg[o->reg], o->size, what == 5);
	set(s, whole(o, to_reg ? o->reg : o->rm), value);
	return (to_reg ? o->reg : o->rm) != RSP;
}

static bool arithmetic_number(struct state *s, const struct operand *o)
{
	bool adds = o->what == 0 || o->what == 5;

	if (o->what == 7)
		return true;
	if (!adds || o->memory || o->size != 8)
		return spoil_rm(s, o, o->size);
	if (s->reg[o->rm] == ADDRESS)
		set_address(s, o->rm, s->address[o->rm] + (int64_t)(o->what == 5 ? -1 : 1) * o->number);
	else
		set(s, o->rm, behind(s->reg[o->rm]));
	return true;
}

/* test, not, neg, mul, imul, div, idiv */
static bool group_f6(struct state *s, const struct operand *o)
{
	if (o->what < 2)
		return true;
	if (o->what < 4)
		return spoil_rm(s, o, o->size);
	return spoil_reg(s, RAX) && spoil_reg(s, RDX);
}

/* inc, dec, (call, jmp: elsewhere,) push */
static bool group_ff(struct state *s, const struct operand *o)
{
	if (o->what == 6 && o->p.op == 0xff) {
		push(s, o->memory ? (o->on_stack ? load(s, o->address, 8) : UNKNOWN) : s->reg[o->rm]);
		return true;
	}
	if (o->what > 1)
		return false;
	if (!o->memory && o->size == 8 && is_pointer(s->reg[o->rm])) {
		set(s, o->rm, behind(s->reg[o->rm]));
		return true;
	}
	return spoil_rm(s, o, o->size);
}

static bool push_or_pop(struct state *s, const struct operand *o)
{
	unsigned int reg = (o->p.op & 7U) | (o->p.rex & 1U) << 3;

	if (o->p.word)
		return false;
	if (o->p.op < 0x58)
		push(s, s->reg[reg]);
	else if (reg == RSP)
		return false;
	else
		set(s, reg, pop(s));
	return true;
}

/* mov %rbp, %rsp; pop %rbp */
static bool leave(struct state *s)
{
	if (s->reg[RBP] != ADDRESS)
		return false;
	s->address[RSP] = s->address[RBP];
	set(s, RBP, pop(s));
	return true;
}

static bool cmov(struct state *s, const struct operand *o)
{
	if (o->reg == RSP)
		return false;
	set(s, o->reg, meet(sized(s->reg[o->reg], o->size), sized(get_rm(s, o), o->size)));
	if (s->reg[o->reg] == ADDRESS)
		set(s, o->reg, UNKNOWN);
	return true;
}

/* Those behind 0f. Of registers of vectors nothing is followed; what they store on the stack is forgotten. */
static bool two_bytes(struct state *s, const struct operand *o)
{
	unsigned char op = o->p.op;

	switch (op) {
	case 0x11:
	case 0x13:
	case 0x17:
	case 0x29:
	case 0x2b:
	case 0x7f:
	case 0xd6:
	case 0xe7:
		if (o->on_stack)
			forget(s, o->address, 16);
		return true;
	case 0x7e:		/* movd, movq: also the other way */
		return spoil_rm(s, o, 16);
	case 0x2c:
	case 0x2d:
	case 0x50:
	case 0xd7:
	case 0xc5:
	case 0xaf:
	case 0xb6 ... 0xb8:
	case 0xbc ... 0xbf:
		return spoil_reg(s, o->reg);
	case 0xa4:
	case 0xa5:
	case 0xab:
	case 0xac:
	case 0xad:
	case 0xb3:
	case 0xba:
	case 0xbb:
		return spoil_rm(s, o, 8);
	case 0xb0:
	case 0xb1:
	case 0xc0:
	case 0xc1:
		return spoil_rm(s, o, 8) && spoil_reg(s, whole(o, o->reg)) && spoil_reg(s, RAX);
	case 0xc8 ... 0xcf:
		return spoil_reg(s, (op & 7U) | (o->p.rex & 1U) << 3);
	default:
		if ((op & 0xf0) == 0x40)
			return cmov(s, o);
		if ((op & 0xf0) == 0x90)
			return spoil_rm(s, o, 1);
		return true;
	}
}

static bool one_byte(struct state *s, const struct operand *o)
{
	unsigned char op = o->p.op;

	if (op < 0x40)
		return arithmetic(s, o);
	if ((op & 0xf0) == 0x50)
		return push_or_pop(s, o);
	if (op > 0x90 && op < 0x98)
		return spoil_reg(s, RAX) && spoil_reg(s, (op & 7U) | (o->p.rex & 1U) << 3);
	if ((op & 0xf0) == 0xb0)
		return spoil_reg(s, whole(o, (op & 7U) | (o->p.rex & 1U) << 3));
	switch (op) {
	case 0x63:
		set(s, o->reg, half_of(o->memory && o->on_stack ? load(s, o->address, 4) : get_rm(s, o)));
		return o->reg != RSP;
	case 0x68:
	case 0x6a:
		push(s, UNKNOWN);
		return true;
	case 0x69:
	case 0x6b:
		return spoil_reg(s, o->reg);
	case 0x80:
	case 0x81:
	case 0x83:
		return arithmetic_number(s, o);
	case 0x86:
	case 0x87:
		return spoil_rm(s, o, o->size) && spoil_reg(s, whole(o, o->reg));
	case 0x88:
	case 0x89:
		return move_to_rm(s, o);
	case 0x8a:
	case 0x8b:
		return move_to_reg(s, o);
	case 0x8d:
		return load_address(s, o);
	case 0x98:
		return spoil_reg(s, RAX);
	case 0x99:
		return spoil_reg(s, RDX);
	case 0xa4:
	case 0xa5:
	case 0xaa:
	case 0xab:
		return spoil_reg(s, RSI) && spoil_reg(s, RDI) && spoil_reg(s, RCX);
	case 0xc0:
	case 0xc1:
	case 0xc6:
	case 0xc7:
	case 0xd0 ... 0xd3:
		return spoil_rm(s, o, o->size);
	case 0xc9:
		return leave(s);
	case 0xf6:
	case 0xf7:
		return group_f6(s, o);
	case 0xfe:
	case 0xff:
		return group_ff(s, o);
	default:
		return op == 0x84 || op == 0x85 || op == 0x90 || op == 0xa8 || op == 0xa9;
	}
}

/* ---- where it goes on ---- */

enum way { NEXT, IF, JUMP, CALL, END };

struct instruction {
	size_t len;
	enum way way;
	bool direct;
	int64_t target;		/* from the function's first byte; of jumps that say it, and of calls */
};

static bool look(const unsigned char *code, size_t len, size_t at, struct instruction *ret)
{
	const unsigned char *p = code + at;
	struct elf_prologue_parts parts;
	struct instruction i = { .direct = true };
	unsigned int what;

	if (*p == 0xcc || (len - at >= 2 && p[0] == 0x0f && p[1] == 0x0b)) {
		*ret = (struct instruction){ .len = *p == 0xcc ? 1 : 2, .way = END };
		return true;
	}
	if (!elf_prologue_parts(p, len - at, &parts))
		return false;
	i.len = parts.len;
	what = parts.modrm ? p[parts.modrm] >> 3 & 7U : 0;
	if (parts.two_bytes ? (parts.op & 0xf0) == 0x80 : (parts.op & 0xf0) == 0x70)
		i.way = IF;
	else if (!parts.two_bytes && (parts.op == 0xe9 || parts.op == 0xeb || parts.op == 0xe8))
		i.way = parts.op == 0xe8 ? CALL : JUMP;
	else if (!parts.two_bytes && parts.op == 0xff && what >= 2 && what <= 5)
		i.way = what < 4 ? CALL : JUMP, i.direct = false;
	else if (!parts.two_bytes && (parts.op == 0xc3 || parts.op == 0xc2))
		i.way = END;
	if (i.way != NEXT && i.way != END && i.direct)
		i.target = (int64_t)(at + i.len) +
			   (parts.len - parts.immediate == 1 ? (signed char)p[parts.immediate] : s32_at(p + parts.immediate));
	*ret = i;
	return true;
}

struct flow {
	const unsigned char *code;
	size_t len;
	unsigned char *leads;		/* by byte: 1 an instruction begins, 2 a jump leads there */
	uint32_t *leader;		/* those, in order; the first is the function's beginning */
	struct state *states;		/* of each */
	size_t leaders;
	unsigned int steps;
};

/* From the first byte to the last: where instructions begin, and where jumps lead. */
static bool mark(struct flow *f)
{
	struct instruction i;

	f->leads[0] = 2;
	for (size_t at = 0; at < f->len; at += i.len) {
		if (!look(f->code, f->len, at, &i))
			return false;
		f->leads[at] |= 1;
		if ((i.way == IF || i.way == JUMP) && i.direct && i.target >= 0 && i.target < (int64_t)f->len)
			f->leads[i.target] |= 2;
	}
	for (size_t at = 0; at < f->len; at++) {
		f->leaders += f->leads[at] == 3;
		if (f->leads[at] == 2)
			return false;	/* into the middle of one */
	}
	return f->leaders <= LEADERS_MAX;
}

static struct state *state_at(struct flow *f, size_t at)
{
	size_t low = 0, high = f->leaders;

	while (high - low > 1) {
		size_t middle = (low + high) / 2;

		*(f->leader[middle] <= at ? &low : &high) = middle;
	}
	return &f->states[low];
}

/* To another function: with nothing of this one's left on the stack. */
static bool leaves(const struct state *s)
{
	return s->address[RSP] == 0;
}

static bool jump(struct flow *f, const struct state *s, const struct instruction *i)
{
	if (!i->direct || i->target < 0 || i->target >= (int64_t)f->len)
		return leaves(s);
	return meet_states(state_at(f, (size_t)i->target), s);
}

static void called(struct state *s)
{
	static const unsigned char lost[] = { RAX, RCX, RDX, RSI, RDI, R8, R9, R10, R11 };

	for (size_t i = 0; i < sizeof(lost); i++)
		set(s, lost[i], UNKNOWN);
}

static bool follow(struct state *s, const unsigned char *code, size_t len)
{
	struct operand o;

	if (!take_apart(s, code, len, &o))
		return false;
	return (o.p.two_bytes ? two_bytes(s, &o) : one_byte(s, &o)) && s->reg[RSP] == ADDRESS &&
	       s->address[RSP] <= 0 && s->address[RSP] > -FRAME_BYTES;
}

typedef void each_call(void *arg, const struct elf_flow_call *call);

static struct elf_flow_value value_of(unsigned char value)
{
	unsigned char kind = value & KIND;

	if (kind == ADDRESS)
		return (struct elf_flow_value){ ELF_FLOW_OWN, 0, false };
	if (kind != ARGUMENT && kind != BEHIND)
		return (struct elf_flow_value){ ELF_FLOW_UNKNOWN, 0, false };
	return (struct elf_flow_value){ kind == ARGUMENT ? ELF_FLOW_ARGUMENT : ELF_FLOW_BEHIND, value & NUMBER, value & HALF };
}

/* A place that has all of it is better, and a register is better than the stack. */
static struct elf_flow_place place_of(const struct state *s, unsigned char argument)
{
	static const unsigned char kept[] = { RBX, RBP, R12, R13, R14, R15 };

	for (int half = 0; half < 2; half++) {
		unsigned char wanted = (unsigned char)(ARGUMENT | argument | (half ? HALF : 0));

		for (size_t i = 0; i < sizeof(kept); i++)
			if (s->reg[kept[i]] == wanted)
				return (struct elf_flow_place){ true, half, kept[i], 0 };
		for (size_t i = slot_at(s->address[RSP]); i < SLOTS; i++)
			if (s->slot[i] == wanted)
				return (struct elf_flow_place){
					true, half, ELF_FLOW_STACK,
					(uint16_t)((int64_t)i * 4 - FRAME_BYTES - s->address[RSP])
				};
	}
	return (struct elf_flow_place){ 0 };
}

static void tell(const struct state *s, size_t at, const struct instruction *i, each_call *each, void *arg)
{
	struct elf_flow_call call = { .at = (uint32_t)at, .target = i->direct ? i->target : ELF_FLOW_INDIRECT };

	for (unsigned char n = 0; n < ELF_FLOW_ARGS; n++) {
		call.given[n] = value_of(s->reg[argument_register[n]]);
		call.kept[n] = place_of(s, n);
	}
	each(arg, &call);
}

/* From one place where paths meet to the next. each: what is known is right now. */
static bool follow_from(struct flow *f, size_t leader, each_call *each, void *arg)
{
	struct state s = f->states[leader];
	size_t at = f->leader[leader];

	f->states[leader].changed = false;
	while (at < f->len && f->steps++ < STEPS_MAX) {
		struct instruction i;

		if (at != f->leader[leader] && f->leads[at] == 3)
			return each ? true : meet_states(state_at(f, at), &s);
		if (!look(f->code, f->len, at, &i))
			return false;
		if (i.way == CALL && each)
			tell(&s, at, &i, each, arg);
		if (i.way == CALL)
			called(&s);
		else if (i.way == NEXT && !follow(&s, f->code + at, f->len - at))
			return false;
		if ((i.way == IF || i.way == JUMP) && !each && !jump(f, &s, &i))
			return false;
		if (i.way == JUMP || i.way == END)
			return true;
		at += i.len;
	}
	return at >= f->len;	/* behind a call that does not return */
}

static void begin(struct flow *f)
{
	struct state *s = f->states;
	size_t n = 0;

	for (size_t at = 0; at < f->len; at++)
		if (f->leads[at] == 3)
			f->leader[n++] = (uint32_t)at;
	for (unsigned char i = 0; i < ELF_FLOW_ARGS; i++)
		set(s, argument_register[i], ARGUMENT | i);
	set_address(s, RSP, 0);
	s->known = s->changed = true;
}

static bool settle(struct flow *f)
{
	bool changed = true;

	while (changed) {
		changed = false;
		for (size_t i = 0; i < f->leaders; i++) {
			if (!f->states[i].changed)
				continue;
			changed = true;
			if (!follow_from(f, i, NULL, NULL))
				return false;
		}
	}
	return true;
}

int elf_flow(const unsigned char *code, size_t len, each_call *each, void *arg)
{
	_cleanup_free_ unsigned char *leads = len && len <= ELF_FLOW_BYTES ? calloc(len, 1) : NULL;
	_cleanup_free_ struct state *states = NULL;
	_cleanup_free_ uint32_t *leader = NULL;
	struct flow f = { .code = code, .len = len, .leads = leads };

	if (!leads)
		return len && len <= ELF_FLOW_BYTES ? -ENOMEM : -EBADMSG;
	if (!mark(&f))
		return -EBADMSG;
	f.states = states = calloc(f.leaders, sizeof(*states));
	f.leader = leader = calloc(f.leaders, sizeof(*leader));
	if (!states || !leader)
		return -ENOMEM;
	begin(&f);
	if (!settle(&f))
		return -EBADMSG;
	f.steps = 0;
	for (size_t i = 0; i < f.leaders; i++)
		if (states[i].known)
			follow_from(&f, i, each, arg);
	return 0;
}
#else
int elf_flow(const unsigned char *code, size_t len, void (*each)(void *arg, const struct elf_flow_call *call), void *arg)
{
	return -EBADMSG;
}
#endif
