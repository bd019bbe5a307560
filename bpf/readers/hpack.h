/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Header blocks (RFC 7541): representations of fields, and the dynamic table. Its entries lie with
 * the caller, who is asked for them by number. An index that leads to an entry which was never seen,
 * or is gone, makes the field unknown, and nothing else.
 */
#ifndef TT_READERS_HPACK_H
#define TT_READERS_HPACK_H

#include "hpack_string.h"

/* ---- integers (RFC 7541, 5.1) ---- */

static __always_inline int hp_prefix(struct h2_work *x, __u8 c, __u8 mask, __u8 then)
{
	struct h2_block *b = &x->b;

	h2_take(x, 1);
	b->value = c & mask;
	b->then = then;
	b->shift = 0;
	return h2_to(x, b->value == mask ? HP_INT : then);
}

/* Is the integer that began with the last byte known already? Then its use need not wait a step. */
static __always_inline int hp_prefix_done(const struct h2_work *x, __u8 then)
{
	return x->b.state == then;
}

static __always_inline int hp_int(struct h2_work *x, __u8 c)
{
	struct h2_block *b = &x->b;

	h2_take(x, 1);
	if (b->shift > 28)
		return hp_broken(x);
	b->value += (__u64)(c & 0x7f) << (b->shift & 31);
	b->shift += 7;
	if (b->value > 0xffffffffULL)
		return hp_broken(x);
	return c & 0x80 ? H2_NEXT : h2_to(x, b->then);
}

/* ---- what a field means for the message ---- */

/* A field whose name is known: is this its place (RFC 9113, 8.3)? */
static __always_inline void hp_mark(struct h2_work *x)
{
	struct h2_block *b = &x->b;
	__u16 bit;

	if (b->field < TT_CONTROL_METHOD || b->field > TT_CONTROL_PROTOCOL) {
		b->flags |= H2_B_REGULAR;
		return;
	}
	bit = 1 << ((b->field - TT_CONTROL_METHOD) & 15);
	if ((b->seen & bit) || (b->flags & H2_B_REGULAR) ||
	    (x->f.kind != H1_UNKNOWN &&
	     (b->field == TT_CONTROL_STATUS) != (x->f.kind == H1_RESPONSES && !x->f.promise)))
		b->flags |= H2_B_BAD;
	b->seen |= bit;
	b->before += b->unknown;	/* what came before is of the same kind: no credential */
	b->unknown = 0;
}

/* An entry was referred to that is not known. */
static __always_inline int hp_unseen(struct h2_work *x)
{
	struct h2_block *b = &x->b;
	__u64 i = b->unknown;

	b->field = HPACK_UNKNOWN;
	b->name_len = 0;
	if (i < 255) {	/* the last H2_UNKNOWN_MAX are kept */
		H1_MASK(i, H2_UNKNOWN_MAX - 1);
		b->unseen[i] = x->seq;
		b->unknown++;
	}
	if (b->how == HP_INDEXED)
		return h2_to(x, HP_START);
	b->value_part = 1;
	return h2_to(x, HP_STR);
}

/* Only these fields of a response matter. */
static __always_inline void hp_narrow(struct h2_work *x, __u32 heads)
{
	__u8 field = x->b.field;

	if (field == TT_CONTROL_SAID) {
		if (hp_is_request(x) || x->f.promise || !heads)
			x->b.field = 0;
		return;
	}
	if (!hp_is_request(x) && field != TT_CONTROL_STATUS && field != TT_CONTROL_TYPE &&
	    field != TT_CONTROL_GRPC_STATUS && field != HPACK_UNKNOWN)
		x->b.field = 0;
}

static __always_inline void hp_number(struct h2_work *x, __u16 number)
{
	struct h2_block *b = &x->b;

	if (b->field == TT_CONTROL_STATUS)
		b->status = number;
	else if (b->field == TT_CONTROL_GRPC_STATUS)
		b->grpc = number < 254 ? number + 1 : 255;
	else if (b->field == TT_CONTROL_TYPE && number == 16)
		b->flags |= H2_B_GRPC;
}

/* ---- representations (RFC 7541, 6) ---- */

static __always_inline int hp_start(struct h2_work *x, __u8 c)
{
	struct h2_block *b = &x->b;

	b->field = 0;
	b->carrier = 0;
	b->flags &= ~H2_B_BAD_VALUE;
	b->value_part = 0;
	b->len = 0;
	b->name_len = 0;
	if ((c & 0xe0) == 0x20) {
		if (b->flags & H2_B_FIELDS)	/* RFC 7541, 4.2 */
			return hp_broken(x);
		b->how = HP_SIZE;
		return hp_prefix(x, c, 0x1f, HP_REP);
	}
	b->flags |= H2_B_FIELDS;
	if (c & 0x80) {
		b->how = HP_INDEXED;
		return hp_prefix(x, c, 0x7f, HP_REP);
	}
	if (c & 0x40) {
		b->how = HP_INSERTED;
		return hp_prefix(x, c, 0x3f, HP_REP);
	}
	b->how = c & 0x10 ? HP_NEVER : HP_PLAIN;
	return hp_prefix(x, c, 0x0f, HP_REP);
}

/* An index into the dynamic table. */
static __always_inline int hp_dynamic(struct h2_work *x)
{
	struct hpack *t = &x->f.table;
	__u64 back = x->b.value - HPACK_STATIC - 1;

	if (back > HPACK_BACK_MAX)
		return hp_broken(x);
	x->seq = t->inserted - 1 - (__u32)back;
	if (!x->b.dynamic)
		x->b.dynamic = HP_REFERRED;
	if (x->seq < t->oldest) {
		if (x->f.whole && t->max <= HPACK_KEEP_MAX)
			return hp_broken(x);
		return hp_unseen(x);
	}
	x->part = 0;
	x->b.state = HP_GOT;
	return H2_GET;
}

static __always_inline int hp_rep(struct h1_work *w, struct h2_work *x)
{
	struct h2_block *b = &x->b;

	if (b->how == HP_SIZE) {
		if (b->value > x->limit && x->f.whole)
			return hp_broken(x);
		x->f.table.max = b->value;
		b->dynamic = HP_RESIZED;
		b->need = 0;
		b->then = HP_START;
		return h2_to(x, HP_EVICT);
	}
	if (!b->value) {
		if (b->how == HP_INDEXED)
			return hp_broken(x);
		return h2_to(x, HP_STR);
	}
	if (b->value > HPACK_STATIC)
		return hp_dynamic(x);
	w->ask = H2_ASK_STATIC;
	b->state = HP_NAMED;
	return H2_ASK;
}

/* Index 2 to 14: the only ones of the static table whose value matters. */
static __always_inline int hp_static(struct h1_work *w, struct h2_work *x)
{
	struct h1_head *h = &w->h;
	__u64 i = x->b.value;

	if (i == 2 || i == 3) {
		h->method[0] = i == 2 ? 'G' : 'P';
		h->method[1] = i == 2 ? 'E' : 'O';
		h->method[2] = i == 2 ? 'T' : 'S';
		h->method[3] = 'T';
		h->method_len = i == 2 ? 3 : 4;
	} else if (i == 4 || i == 5) {
		__builtin_memcpy(h->path, "/index.html", 11);
		h->path_len = i == 4 ? 1 : 11;
	} else if (i >= 8 && i <= 14) {
		x->b.number = i == 8 ? 200 : i == 9 ? 204 : i == 10 ? 206 : i == 11 ? 304 :
			      i == 12 ? 400 : i == 13 ? 404 : 500;
		hp_number(x, x->b.number);
	}
	HPACK_SEEN_FIELD(w, x);
	h2_to(x, HP_START);
	if (x->b.field == TT_UNWRAP_WHOLE || x->b.field == TT_UNWRAP_SCHEME)
		return h2_note(x, TT_DROP_empty_cred);
	return H2_NEXT;
}

static __always_inline int hp_named(struct h1_work *w, struct h2_work *x)
{
	struct h2_block *b = &x->b;

	if (!w->answer.unwrap && w->ask == H1_ASK_HEADER && hp_is_request(x) && h1_suffix(&w->h)) {
		w->ask = H1_ASK_SUFFIX;
		return H2_ASK;
	}
	b->field = w->answer.unwrap;
	b->carrier = w->answer.id;
	if (w->ask == H2_ASK_STATIC)
		b->name_len = w->answer.length;
	hp_mark(x);
	hp_narrow(x, w->heads);
	if (b->how == HP_INDEXED)
		return hp_static(w, x);
	b->value_part = 1;
	return h2_to(x, HP_STR);
}

/* ---- entries ---- */

/* A text that the caller has put into the head: method, path, host, MCP field. */
static __always_inline void hp_text(struct h1_work *w, struct h2_work *x)
{
	struct h1_head *h = &w->h;
	__u8 len = x->entry.text_len, flags = x->entry.flags;

	switch (x->b.field) {
	case TT_CONTROL_METHOD:
		h->method_len = len < TT_METHOD_LEN ? len : TT_METHOD_LEN;
		break;
	case TT_CONTROL_PATH:
		h->path_len = len < TT_PATH_LEN ? len : TT_PATH_LEN;
		h->use_flags |= flags;
		break;
	case TT_CONTROL_HOST:
	case TT_CONTROL_AUTHORITY:
		if (h->host_len)
			break;
		h->host_len = len < TT_HOST_LEN ? len : TT_HOST_LEN;
		h->use_flags |= flags;
		break;
	case TT_CONTROL_MCP_METHOD:
		h->mcp_method_len = len < TT_MCP_METHOD_LEN ? len : TT_MCP_METHOD_LEN;
		break;
	case TT_CONTROL_MCP_NAME:
		h->mcp_name_len = len < TT_MCP_NAME_LEN ? len : TT_MCP_NAME_LEN;
		break;
	}
}

static __always_inline int hp_got_cred(struct h1_work *w, struct h2_work *x)
{
	w->h.made = x->entry.cred;
	if (hp_cred_add(w, &x->b) == H1_NOTE)
		return h2_note(x, w->reason);
	return H2_NEXT;
}

static __always_inline int hp_got(struct h1_work *w, struct h2_work *x)
{
	struct h2_block *b = &x->b;

	if (!x->found || x->entry.field == HPACK_UNKNOWN)
		return hp_unseen(x);
	b->field = x->entry.field;
	b->carrier = x->entry.carrier;
	b->name_len = x->entry.name_len;
	hp_mark(x);
	hp_narrow(x, w->heads);
	if (b->how != HP_INDEXED) {
		b->value_part = 1;
		return h2_to(x, HP_STR);
	}
	HPACK_SEEN_FIELD(w, x);
	hp_text(w, x);
	hp_number(x, x->entry.number);
	b->part = x->entry.creds;
	h2_to(x, b->field && b->part ? HP_GOT_PART : HP_START);
	if (!x->entry.cred.length || !hp_one_cred(b))
		return H2_NEXT;
	return hp_got_cred(w, x);
}

/* The credentials of a path or cookie field, part by part. */
static __always_inline int hp_got_part(struct h1_work *w, struct h2_work *x)
{
	struct h2_block *b = &x->b;
	int got = x->part && x->found && x->entry.cred.length;

	x->part = 0;
	if (got && hp_got_cred(w, x) == H2_NOTE)
		return H2_NOTE;
	if (!b->part)
		return h2_to(x, HP_START);
	x->part = b->part--;
	return H2_GET;
}

/* Would a response's head that refers to this field tell anything? */
static __always_inline int hp_of_interest(const struct h2_work *x)
{
	return x->b.field == TT_CONTROL_STATUS || x->b.field == TT_CONTROL_GRPC_STATUS ||
	       x->b.field == TT_CONTROL_SAID ||
	       (x->b.field == TT_CONTROL_TYPE && x->b.number == 16);
}

static __always_inline int hp_field(struct h1_work *w, struct h2_work *x)
{
	struct h2_block *b = &x->b;
	struct h1_head *h = &w->h;

	HPACK_SEEN_FIELD(w, x);
	if (b->flags & H2_B_BAD_VALUE) {
		/* Nothing of it counts, for the table neither. */
		if (b->field == TT_CONTROL_METHOD)
			h->method_len = 0;
		if (b->field == TT_CONTROL_PATH)
			h->path_len = 0;
		h->creds = b->creds;
		h->made.length = 0;
		if (b->field == TT_CONTROL_STATUS)
			b->flags |= H2_B_BAD;
		if (b->field == TT_CONTROL_SAID)
			said_undo(&h->said);
		b->field = 0;
	} else {
		hp_number(x, b->number);
	}
	if (b->how == HP_INSERTED && x->skim && x->f.kind == H1_RESPONSES && !hp_of_interest(x)) {
		x->f.table.inserted++;
		return h2_to(x, HP_START);
	}
	h2_to(x, b->how == HP_INSERTED ? HP_INSERT : HP_START);
	/* A MAC, and with it the value, is another one next time. */
	if (h->unwrap >= TT_UNWRAP_KEY && h->unwrap <= TT_UNWRAP_ACCOUNT)
		return H2_NEXT;
	if (!x->remember || !b->field || w->c.untold || h->items > 1 ||
	    (!h->items && b->field != TT_CONTROL_COOKIE))
		return H2_NEXT;
	x->remember = 0;
	x->entry.cred = h->made;
	x->entry.size = b->len;
	return H2_PUT_MEMO;
}

/* ---- putting ---- */

static __always_inline void hp_entry_text(struct h1_work *w, struct h2_work *x)
{
	struct h1_head *h = &w->h;
	struct hpack_entry *e = &x->entry;
	__u32 len;

	switch (x->b.field) {
	case TT_CONTROL_METHOD:
		e->text_len = h->method_len;
		break;
	case TT_CONTROL_PATH:
		e->text_len = h->path_len;
		e->flags = h->use_flags & TT_USE_PATH_CUT;
		e->creds = h->creds - x->b.creds;
		break;
	case TT_CONTROL_COOKIE:
		e->creds = h->items > 1 ? h->creds - x->b.creds : 0;
		break;
	case TT_CONTROL_HOST:
	case TT_CONTROL_AUTHORITY:
		e->text_len = h->host_len;
		e->flags = h->use_flags & TT_USE_HOST_CUT;
		break;
	case TT_CONTROL_MCP_METHOD:
		e->text_len = h->mcp_method_len;
		break;
	case TT_CONTROL_MCP_NAME:
		e->text_len = h->mcp_name_len;
		break;
	case TT_CONTROL_SAID:
		len = said_field_len(&h->said);
		e->text_len = len <= TT_PATH_LEN ? len : 0;
		break;
	}
}

/* The field is to be entered: first make room for it. */
static __always_inline int hp_insert(struct h1_work *w, struct h2_work *x)
{
	struct h2_block *b = &x->b;
	struct hpack_entry *e = &x->entry;

	__builtin_memset(e, 0, sizeof(*e));
	e->size = b->name_len + b->len + 32;
	e->name_len = b->name_len;
	e->field = b->field;
	e->carrier = b->carrier;
	e->number = b->number;
	hp_entry_text(w, x);
	if (hp_one_cred(b) && w->h.items == 1)
		e->cred = w->h.made;
	else if (hp_one_cred(b) && w->h.items > e->creds)
		e->field = HPACK_UNKNOWN;	/* some found no room in this head, and would be missed in the next */
	if (!w->h.made.length)
		__builtin_memset(&e->cred, 0, sizeof(e->cred));
	b->part = e->creds;
	b->need = e->size;
	b->then = HP_PUT;
	return h2_to(x, x->skim && x->f.kind == H1_RESPONSES ? HP_PUT : HP_EVICT);
}

/* RFC 7541, 4.3 and 4.4 */
static __always_inline int hp_evict(struct h2_work *x)
{
	struct hpack *t = &x->f.table;
	struct h2_block *b = &x->b;
	__u32 max = t->max < HPACK_KEEP_MAX ? t->max : HPACK_KEEP_MAX;

	if (t->oldest == t->inserted)
		t->size = 0;
	if (t->size + b->need <= max)
		return h2_to(x, b->then);
	if (t->oldest == t->inserted) {
		/* Larger than the table: it stays empty. What is larger only than what is kept here
		 * has its number all the same, and is not known when it is referred to. */
		if (b->need && b->need <= t->max)
			t->oldest = ++t->inserted;
		return h2_to(x, HP_START);
	}
	x->seq = t->oldest;
	b->state = HP_EVICTED;
	return H2_OLDEST;
}

static __always_inline int hp_evicted(struct h2_work *x)
{
	struct hpack *t = &x->f.table;

	/* One that had been pushed out before has an unknown size: at least 32. */
	__u32 size = x->found ? x->gone : 32;

	t->size -= size < t->size ? size : t->size;
	t->oldest++;
	return h2_to(x, HP_EVICT);
}

static __always_inline int hp_put(struct h2_work *x)
{
	struct hpack *t = &x->f.table;

	x->seq = t->inserted++;
	x->part = 0;
	if (!x->skim || x->f.kind != H1_RESPONSES)
		t->size += x->entry.size;
	x->b.state = x->b.part ? HP_PUT_PART : HP_START;
	return H2_PUT;
}

/* The credentials of a path's query or of cookies, each in a part of its own. */
static __always_inline int hp_put_part(struct h1_work *w, struct h2_work *x)
{
	struct h2_block *b = &x->b;
	__u64 i = w->h.creds - b->part;

	if (!b->part)
		return h2_to(x, HP_START);
	x->part = b->part--;
	x->entry.text_len = 0;
	H1_MASK(i, TT_CREDS_MAX - 1);
	x->entry.cred = w->h.cred[i];
	return H2_PUT;
}

/* ---- the step ---- */

/* Can nothing be done without a byte of the block? */
static __always_inline int hp_hungry(const struct h1_work *w, const struct h2_block *b)
{
	return b->state == HP_START || b->state == HP_INT || b->state == HP_STR ||
	       (b->state == HP_SKIP && b->left) ||
	       (b->state == HP_BYTES && hp_string_hungry(w, b));
}

static __always_inline int hp_str(struct h2_work *x, __u8 c)
{
	x->b.coded = c >> 7;
	return hp_prefix(x, c, 0x7f, HP_STR_LEN);
}

static __always_inline int hp_str_end(struct h1_work *w, struct h2_work *x)
{
	struct h2_block *b = &x->b;

	if (b->value_part)
		return h2_to(x, HP_FIELD);
	b->name_len = b->len;
	h1_name_end(&w->h);
	b->state = HP_NAMED;
	w->ask = H1_ASK_HEADER;
	return H2_ASK;
}

static __always_inline int hp_step_string(struct h1_work *w, struct h2_work *x)
{
	switch (x->b.state) {
	case HP_STR_LEN:
		return hp_string_begin(w, x);
	case HP_MEMO:
		return hp_memo(x);
	case HP_MEMO_GOT:
		return hp_memo_got(w, x);
	case HP_SKIP:
		return hp_skip(x);
	case HP_BYTES:
		return hp_bytes(w, x);
	case HP_TAIL:
		return hp_tail(w, x);
	case HP_CHUNK:
		return hp_chunk(w, x);
	case HP_EAT:
		return hp_eat(w, x);
	case HP_SCAN:
		return hp_scan(w, x);
	case HP_INNER:
		return H2_INNER;
	default:
		return hp_str_end(w, x);
	}
}

static __always_inline int hp_step(struct h1_work *w, struct h2_work *x)
{
	__u8 c = h2_word(x, 0);
	int r;

	if (x->b.state >= HP_STR_LEN && x->b.state <= HP_STR_END)
		return hp_step_string(w, x);
	switch (x->b.state) {
	case HP_START:
		r = hp_start(x, c);
		return r == H2_NEXT && hp_prefix_done(x, HP_REP) ? hp_rep(w, x) : r;
	case HP_INT:
		return hp_int(x, c);
	case HP_REP:
		return hp_rep(w, x);
	case HP_GOT:
		return hp_got(w, x);
	case HP_GOT_PART:
		return hp_got_part(w, x);
	case HP_NAMED:
		return hp_named(w, x);
	case HP_STR:
		r = hp_str(x, c);
		return r == H2_NEXT && hp_prefix_done(x, HP_STR_LEN) ? hp_string_begin(w, x) : r;
	case HP_FIELD:
		return hp_field(w, x);
	case HP_INSERT:
		return hp_insert(w, x);
	case HP_EVICT:
		return hp_evict(x);
	case HP_EVICTED:
		return hp_evicted(x);
	case HP_PUT:
		return hp_put(x);
	default:
		return hp_put_part(w, x);
	}
}

#endif
