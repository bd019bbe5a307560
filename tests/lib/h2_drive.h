/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives the HTTP/2 reader (bpf/readers/http2.h) in user space under the contract of the kernel's
 * glue, with tables that never run full. One call is one slice of one direction, read through windows
 * of H2_WINDOW bytes; from call to call only struct h2 and, inside a header block, struct h2_block,
 * struct h1_head and the inner reader's state survive. Everything else is poisoned first. What the
 * reader decodes is taken down beside what it reports. Knows no test framework.
 */
#ifndef TT_TESTS_H2_DRIVE_H
#define TT_TESTS_H2_DRIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct h1_work;
struct h2_work;
static inline void h2_drive_chunk(const struct h1_work *w, const struct h2_work *x);
static inline void h2_drive_field(void);
#define HPACK_SEEN(w, x) h2_drive_chunk(w, x)
#define HPACK_SEEN_FIELD(w, x) h2_drive_field()
#include <readers/http2.h>

#include "h1_drive.h"
#include "hpack_static.h"

#define H2D_FACTS 256 /* kept; more are counted only */
#define H2D_SEEN_MAX (1024 * 1024)
#define H2D_SLOTS 4096 /* entries of a table, power of two; no table has more than 2048 */
#define H2D_PARTS (1 + TT_CREDS_MAX)
#define H2D_TEXT 256
#define H2D_MEMOS 256 /* power of two */

/* A name or value as it was decoded; grows. */
struct h2d_bytes {
	size_t len, room;
	uint8_t *p;
};

/* What was reported, in order. */
struct h2_fact {
	uint8_t what; /* H2_HEAD, H2_NOTE, H2_END, H2_GONE, H2_BAD */
	uint8_t dir, kind, bad, end_stream, grpc_type, grpc, use_flags, creds;
	uint32_t stream, reason;
	uint16_t status;
	char method[TT_METHOD_LEN + 1]; /* NUL-terminated, all five */
	char path[TT_PATH_LEN + 1];
	char host[TT_HOST_LEN + 1];
	char mcp_method[TT_MCP_METHOD_LEN + 1];
	char mcp_name[TT_MCP_NAME_LEN + 1];
	char public_id[TT_PUBLIC_LEN + 1];
	struct drive_said said;
	struct tt_cred cred[TT_CREDS_MAX];
	uint64_t seen_fields, seen_hash; /* decoded fields: of H2_HEAD, and of a bad_message */
	size_t seen_at, seen_len;
};

struct h2d_slot {
	uint64_t epoch;
	uint32_t seq;
	bool used, has[H2D_PARTS];
	struct hpack_entry part[H2D_PARTS];
	uint8_t text[H2D_TEXT];
	struct h2d_bytes name, value; /* as decoded */
};

struct h2d_memo {
	bool used;
	struct hpack_memo key;
	struct hpack_entry entry;
	struct h2d_bytes value;
};

struct h2d_side {
	bool begun;	 /* HTTP/2 from here on; before, a part of the preface may have been seen */
	bool lost;	 /* looks for a frame at the start of each call */
	bool any;	 /* bytes were seen */
	uint8_t matched; /* bytes of the preface's first four */
	struct h2 f;
	struct h2_block b;
	struct h1_head h;
	uint32_t limit; /* what the other side accepted of this one's encoder */
	uint32_t setting; /* sent by this side last, not acknowledged if `pending` */
	bool pending;
	struct h2d_bytes name, value; /* of the field under way: the other side may go on meanwhile */
	size_t slots_used; /* none beyond was ever used; the table is too large to wipe each time */
	struct h2d_slot slot[H2D_SLOTS];
};

struct h2_drive {
	const struct drive_tables *tables;
	uint64_t key[2], now;
	uint8_t poison;
	bool stop_at_bad; /* what follows a fault depends on where calls begin */
	bool stopped;
	bool says; /* each request had a credential */
	bool skim; /* as the kernel does it; else everything is decoded and checked */
	struct h2d_memo memo[H2D_MEMOS];
	struct h2_fact facts[H2D_FACTS];
	size_t facts_len;
	struct drive_told told;
	uint64_t steps, bytes, memo_hits;
	size_t seen_len, seen_from; /* the block under way began there */
	uint64_t seen_fields, seen_hash;
	struct h2d_bytes name, value;
	const char *broken;
	struct h1_work w;
	struct h2_work x;
	struct h2d_side side[2];
	uint8_t seen[H2D_SEEN_MAX]; /* u32 length, name, u32 length, value, ... */
};

static struct h2_drive *h2_driven; /* the hooks have no other way to know */

/* ---- what was decoded ---- */

static inline void h2d_append(struct h2d_bytes *b, const void *bytes, size_t len)
{
	if (b->len + len > b->room) {
		b->room = 2 * (b->len + len) + 64;
		b->p = realloc(b->p, b->room);
		if (!b->p)
			abort();
	}
	if (len)
		memcpy(b->p + b->len, bytes, len);
	b->len += len;
}

static inline void h2d_set(struct h2d_bytes *b, const void *bytes, size_t len)
{
	b->len = 0;
	h2d_append(b, bytes, len);
}

static inline void h2d_free(struct h2d_bytes *b)
{
	free(b->p);
	memset(b, 0, sizeof(*b));
}

static inline void h2_drive_chunk(const struct h1_work *w, const struct h2_work *x)
{
	struct h2d_bytes *b = x->b.value_part ? &h2_driven->value : &h2_driven->name;

	if (!x->b.len)
		b->len = 0;
	h2d_append(b, w->buf, w->fill);
}

#define H2D_HASH 14695981039346656037ULL

/* FNV-1a, of the length too */
static inline uint64_t h2d_hash(uint64_t hash, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ bytes[i]) * 1099511628211ULL;
	return (hash ^ len ^ 0x100) * 1099511628211ULL;
}

/* What there is no room for is in the hash only: a few bytes of input can stand for a lot. */
static inline void h2d_see(struct h2_drive *v, const struct h2d_bytes *b)
{
	uint32_t len = (uint32_t)b->len;

	v->seen_hash = h2d_hash(v->seen_hash, b->p, b->len);
	if (v->seen_len + 4 + len > sizeof(v->seen))
		return;
	memcpy(v->seen + v->seen_len, &len, 4);
	if (len)
		memcpy(v->seen + v->seen_len + 4, b->p, len);
	v->seen_len += 4 + len;
}

static inline void h2_drive_field(void)
{
	h2_driven->seen_fields++;
	h2d_see(h2_driven, &h2_driven->name);
	h2d_see(h2_driven, &h2_driven->value);
}

/* ---- tables ---- */

static inline void h2d_side_init(struct h2d_side *s)
{
	for (size_t i = 0; i < s->slots_used; i++) {
		h2d_free(&s->slot[i].name);
		h2d_free(&s->slot[i].value);
		memset(&s->slot[i], 0, sizeof(s->slot[i]));
	}
	h2d_free(&s->name);
	h2d_free(&s->value);
	memset(s, 0, offsetof(struct h2d_side, slot));
	s->limit = HPACK_TABLE_DEFAULT;
}

/* The driver has to be static: what it holds from before is freed. */
static inline void h2_drive_init(struct h2_drive *v, const struct drive_tables *t, uint64_t k0,
				 uint64_t k1)
{
	for (size_t i = 0; i < H2D_MEMOS; i++)
		h2d_free(&v->memo[i].value);
	h2d_free(&v->name);
	h2d_free(&v->value);
	memset(v, 0, offsetof(struct h2_drive, side));
	h2d_side_init(&v->side[DRIVE_CLIENT]);
	h2d_side_init(&v->side[DRIVE_SERVER]);
	v->tables = t;
	v->key[0] = k0;
	v->key[1] = k1;
	v->now = 1;
	v->poison = '\n';
	v->seen_hash = H2D_HASH;
}

static inline void h2d_ask(struct h2_drive *v)
{
	struct h1_work *w = &v->w;
	const struct drive_tables *t = v->tables;
	uint32_t i = v->x.b.value;

	memset(&w->answer, 0, sizeof(w->answer));
	switch (w->ask) {
	case H2_ASK_STATIC:
		if (i < 1 || i > HPACK_STATIC) {
			v->broken = "no index of the static table";
			break;
		}
		w->answer = drive_find_name(t, i, 0, TT_NAME_STATIC);
		h2d_set(&v->name, hpack_static[i].name, strlen(hpack_static[i].name));
		h2d_set(&v->value, hpack_static[i].value, strlen(hpack_static[i].value));
		if (w->answer.length != v->name.len)
			v->broken = "the length of a static name";
		break;
	default:
		v->broken = drive_answer(t, w);
	}
}

static inline struct h2d_slot *h2d_slot(struct h2_drive *v, int dir)
{
	struct h2d_slot *s = &v->side[dir].slot[v->x.seq & (H2D_SLOTS - 1)];

	if (v->x.part >= H2D_PARTS)
		v->broken = "a part that no entry has";
	return v->broken ? NULL : s;
}

static inline bool h2d_is(const struct h2d_slot *s, const struct h2_work *x)
{
	return s->used && s->seq == x->seq && s->epoch == x->f.table.epoch;
}

/* Where in the head the text of such a field stands. */
static inline uint8_t *h2d_text(struct h1_head *h, uint8_t field)
{
	switch (field) {
	case TT_CONTROL_METHOD:
		return h->method;
	case TT_CONTROL_PATH:
		return h->path;
	case TT_CONTROL_HOST:
	case TT_CONTROL_AUTHORITY:
		return h->host;
	case TT_CONTROL_MCP_METHOD:
		return h->mcp_method;
	case TT_CONTROL_MCP_NAME:
		return h->mcp_name;
	case TT_CONTROL_SAID:
		return h->said.text + h->said.field_at;
	default:
		return NULL;
	}
}

static inline void h2d_get(struct h2_drive *v, int dir)
{
	struct h2_work *x = &v->x;
	struct h2d_slot *s = h2d_slot(v, dir);
	uint8_t *text;

	memset(&x->entry, v->poison, sizeof(x->entry));
	x->found = s && h2d_is(s, x) && s->has[x->part];
	if (!x->found)
		return;
	x->entry = s->part[x->part];
	if (x->part)
		return;
	h2d_set(&v->name, s->name.p, s->name.len);
	h2d_set(&v->value, s->value.p, s->value.len);
	if (x->entry.field == TT_CONTROL_SAID) {
		if (x->b.how == HP_INDEXED && v->says && x->f.kind == H1_RESPONSES)
			said_load(&v->w.h, x->entry.carrier, s->text, x->entry.text_len);
		return;
	}
	text = h2d_text(&v->w.h, x->entry.field);
	if (!text || x->b.how != HP_INDEXED || (text == v->w.h.host && v->w.h.host_len))
		return;
	memcpy(text, s->text, x->entry.text_len);
}

static inline void h2d_put(struct h2_drive *v, int dir)
{
	struct h2_work *x = &v->x;
	struct h2d_slot *s = h2d_slot(v, dir);
	uint8_t *text = h2d_text(&v->w.h, x->entry.field);

	if (!s)
		return;
	if (x->part && !h2d_is(s, x))
		v->broken = "a part of an entry that is not there";
	if (!x->part) {
		size_t i = s - v->side[dir].slot;

		if (i >= v->side[dir].slots_used)
			v->side[dir].slots_used = i + 1;
		s->used = true;
		s->seq = x->seq;
		s->epoch = x->f.table.epoch;
		memset(s->has, 0, sizeof(s->has));
		memset(s->text, 0, sizeof(s->text));
		h2d_set(&s->name, v->name.p, v->name.len);
		h2d_set(&s->value, v->value.p, v->value.len);
		if (!v->skim && x->entry.field != HPACK_UNKNOWN &&
		    x->entry.size != v->name.len + v->value.len + 32)
			v->broken = "the size of an entry";
		if (text)
			memcpy(s->text, text, x->entry.text_len);
		else if (x->entry.text_len)
			v->broken = "a text of nothing";
	}
	s->has[x->part] = true;
	s->part[x->part] = x->entry;
}

static inline void h2d_oldest(struct h2_drive *v, int dir)
{
	struct h2_work *x = &v->x;
	struct h2d_slot *s = &v->side[dir].slot[x->seq & (H2D_SLOTS - 1)];

	x->found = h2d_is(s, x);
	x->gone = x->found ? s->part[0].size : 0xdeadbeef;
	if (x->found)
		s->used = false;
	else if (x->f.whole && !v->skim)
		v->broken = "an entry to evict that is not there";
}

static inline struct h2d_memo *h2d_memo_at(struct h2_drive *v)
{
	const struct hpack_memo *key = &v->x.memo;

	return &v->memo[(key->hash[0] + key->carrier) & (H2D_MEMOS - 1)];
}

static inline void h2d_get_memo(struct h2_drive *v)
{
	const struct h2d_memo *m = h2d_memo_at(v);

	v->x.found = m->used && !memcmp(&m->key, &v->x.memo, sizeof(m->key));
	memset(&v->x.entry, v->poison, sizeof(v->x.entry));
	if (!v->x.found)
		return;
	v->x.entry = m->entry;
	h2d_set(&v->value, m->value.p, m->value.len);
	v->memo_hits++;
}

static inline void h2d_put_memo(struct h2_drive *v)
{
	struct h2d_memo *m = h2d_memo_at(v);

	m->used = true;
	m->key = v->x.memo;
	m->entry = v->x.entry;
	h2d_set(&m->value, v->value.p, v->value.len);
}

/* ---- settings ---- */

/* This side sent SETTINGS_HEADER_TABLE_SIZE: the other's encoder is bound once it says so. */
static inline void h2d_settings(struct h2_drive *v, int dir)
{
	v->side[dir].setting = v->x.setting;
	v->side[dir].pending = true;
}

static inline void h2d_ack(struct h2_drive *v, int dir)
{
	struct h2d_side *from = &v->side[!dir], *s = &v->side[dir];

	if (!from->pending)
		return;
	from->pending = false;
	s->limit = from->setting;
	v->x.limit = s->limit;
}

/* ---- facts ---- */

static inline struct h2_fact *h2d_fact(struct h2_drive *v, int dir, uint8_t what)
{
	struct h2_fact *f = &v->facts[v->facts_len < H2D_FACTS ? v->facts_len : H2D_FACTS - 1];

	v->facts_len++;
	memset(f, 0, sizeof(*f));
	f->what = what;
	f->dir = dir;
	f->stream = v->x.f.stream;
	return f;
}

static inline void h2d_seen_new(struct h2_drive *v)
{
	v->seen_from = v->seen_len;
	v->seen_fields = 0;
	v->seen_hash = H2D_HASH;
}

/* The fields of the block that ended here belong to this fact. */
static inline void h2d_take_seen(struct h2_drive *v, struct h2_fact *f)
{
	f->seen_fields = v->seen_fields;
	f->seen_hash = v->seen_hash;
	f->seen_at = v->seen_from;
	f->seen_len = v->seen_len - v->seen_from;
	h2d_seen_new(v);
}

static inline void h2d_note(struct h2_drive *v, int dir, uint8_t what)
{
	struct h2_fact *f = h2d_fact(v, dir, what);

	f->reason = v->x.reason;
	if (what == H2_NOTE && f->reason == TT_DROP_bad_message)
		h2d_take_seen(v, f);
	else
		f->stream = 0;
	if (!f->reason || f->reason >= TT_DROP_MAX)
		v->broken = "a note without a reason";
}

/* How far a value was read before the fault was found depends on where calls begin: notes about the
 * block that was never finished don't count. */
static inline void h2d_drop_notes(struct h2_drive *v, int dir)
{
	size_t from = v->facts_len < H2D_FACTS ? v->facts_len : H2D_FACTS, to;

	for (size_t i = from; i > 0; i--)
		if (v->facts[i - 1].dir == dir) {
			if (v->facts[i - 1].what != H2_NOTE || v->facts[i - 1].reason == TT_DROP_bad_message)
				break;
			from = i - 1;
		}
	if (v->facts_len > H2D_FACTS)
		return;
	to = from;
	for (size_t i = from; i < v->facts_len; i++)
		if (v->facts[i].dir != dir)
			v->facts[to++] = v->facts[i];
	v->facts_len = to;
}

static inline void h2d_copy(struct h2_drive *v, char *to, const uint8_t *from, size_t len, size_t most)
{
	if (len > most)
		v->broken = "a text is longer than its limit";
	else
		memcpy(to, from, len);
}

static inline void h2d_head(struct h2_drive *v, int dir)
{
	const struct h1_head *h = &v->w.h;
	const struct h2_work *x = &v->x;
	struct h2_fact *f = h2d_fact(v, dir, H2_HEAD);

	f->kind = x->f.kind;
	f->bad = (x->b.flags & H2_B_BAD) != 0;
	f->end_stream = x->f.end_stream;
	f->grpc_type = (x->b.flags & H2_B_GRPC) != 0;
	f->grpc = x->b.grpc;
	f->status = x->b.status;
	h2d_take_seen(v, f);
	if (f->bad)
		v->broken = "a head that is none";
	if (f->kind == H1_RESPONSES && !v->broken)
		v->broken = drive_take_said(h, &f->said);
	if (f->kind != H1_REQUESTS && h->creds)
		v->broken = "credentials in a response";
	if (h->creds > TT_CREDS_MAX)
		v->broken = "more credentials than there is room for";
	if (f->kind != H1_REQUESTS || v->broken)
		return;
	f->use_flags = h->use_flags;
	f->creds = h->creds;
	h2d_copy(v, f->method, h->method, h->method_len, TT_METHOD_LEN);
	h2d_copy(v, f->path, h->path, h->path_len, TT_PATH_LEN);
	h2d_copy(v, f->host, h->host, h->host_len, TT_HOST_LEN);
	h2d_copy(v, f->mcp_method, h->mcp_method, h->mcp_method_len, TT_MCP_METHOD_LEN);
	h2d_copy(v, f->mcp_name, h->mcp_name, h->mcp_name_len, TT_MCP_NAME_LEN);
	h2d_copy(v, f->public_id, h->public_id, h->public_len, TT_PUBLIC_LEN);
	if (strchr(f->path, '?') || strchr(f->path, '#') || strchr(f->host, '@'))
		v->broken = "a query in the path, or userinfo in the host";
	for (uint32_t i = 0; i < h->creds; i++) {
		const struct tt_cred *c = &h->cred[i];

		f->cred[i] = *c;
		memset(f->cred[i].pad_, 0, sizeof(f->cred[i].pad_));
		if (c->flags & TT_CRED_UNREADABLE ? c->length || c->carrier : !c->length || !c->carrier)
			v->broken = "a credential of no length or from nowhere";
	}
}

/* ---- a call ---- */

static inline bool h2d_fill(struct h2_drive *v, const uint8_t *bytes)
{
	struct h2_work *x = &v->x;

	if (x->pos > x->total)
		v->broken = "the position ran past the input";
	if (x->pos >= x->total)
		return false;
	x->base = x->pos;
	x->fill = x->total - x->pos < H2_WINDOW ? x->total - x->pos : H2_WINDOW;
	memset(x->in, v->poison, sizeof(x->in));
	memcpy(x->in, bytes + x->base, x->fill);
	return true;
}

/* The HTTP/1 reader on a piece of a value. */
static inline void h2d_inner(struct h2_drive *v, int dir)
{
	struct h1_work *w = &v->w;
	int r = H1_NEXT;

	while (!v->broken && !h2_inner_over(w, &v->x)) {
		v->steps++;
		r = drive_step(w);
		if (r == H1_FILL || r == H1_BAD)
			break;
		if (r == H1_ASK) {
			h2d_ask(v);
		} else if (r == H1_NOTE) {
			v->x.reason = w->reason;
			h2d_note(v, dir, H2_NOTE);
		} else if (r == H1_CLAIMS) {
			v->broken = drive_tell(&v->told, &w->c);
		} else if (r != H1_NEXT) {
			v->broken = "an unknown result of the HTTP/1 reader";
		}
	}
	h2_inner_done(w, &v->x, r == H1_BAD);
}

/* Swaps the field under way with what the side keeps of it. */
static inline void h2d_swap_field(struct h2_drive *v, struct h2d_side *s)
{
	const struct h2d_bytes name = v->name, value = v->value;

	v->name = s->name;
	v->value = s->value;
	s->name = name;
	s->value = value;
}

static inline void h2d_unpark(struct h2_drive *v, int dir, size_t len)
{
	struct h2d_side *s = &v->side[dir];

	h2d_swap_field(v, s);
	memset(&v->w, v->poison, sizeof(v->w));
	memset(&v->x, v->poison, sizeof(v->x));
	v->w.key[0] = v->key[0];
	v->w.key[1] = v->key[1];
	v->w.heads = v->says;
	claims_restart(&v->w.c);
	v->w.routes = v->tables->routes;
	v->x.base = v->x.fill = v->x.pos = 0;
	v->x.total = (uint32_t)len;
	v->x.limit = s->limit;
	v->x.dir = dir;
	v->x.remember = 0;
	v->x.skim = v->skim;
	v->x.bodies = 0;
	v->x.f = s->f;
	if (!h2_in_block(&s->f))
		return;
	v->x.b = s->b;
	v->w.h = s->h;
	v->w.d.state = s->b.inner;
	v->w.d.kind = H1_REQUESTS;
	v->w.fill = 0;
}

static inline void h2d_park(struct h2_drive *v, int dir)
{
	struct h2d_side *s = &v->side[dir];

	h2d_swap_field(v, s);
	s->f = v->x.f;
	memset(&s->b, 0, sizeof(s->b));
	memset(&s->h, 0, sizeof(s->h));
	if (h2_in_block(&s->f)) {
		s->b = v->x.b;
		s->b.inner = v->w.d.state;
		s->h = v->w.h;
	}
	memset(&v->w, 0, sizeof(v->w));
	memset(&v->x, 0, sizeof(v->x));
}

/* Takes a result of h2_step(). false: the call is over. */
static inline bool h2d_result(struct h2_drive *v, int dir, int r, const uint8_t *bytes)
{
	switch (r) {
	case H2_NEXT:
	case H2_BLOCK:
		return true;
	case H2_FILL:
		return h2d_fill(v, bytes);
	case H2_INNER:
		h2d_inner(v, dir);
		return true;
	case H2_ASK:
		h2d_ask(v);
		return true;
	case H2_GET:
		h2d_get(v, dir);
		return true;
	case H2_PUT:
		h2d_put(v, dir);
		return true;
	case H2_OLDEST:
		h2d_oldest(v, dir);
		return true;
	case H2_GET_MEMO:
		h2d_get_memo(v);
		return true;
	case H2_PUT_MEMO:
		h2d_put_memo(v);
		return true;
	case H2_SETTINGS:
		h2d_settings(v, dir);
		return true;
	case H2_ACK:
		h2d_ack(v, dir);
		return true;
	case H2_NOTE:
		h2d_note(v, dir, H2_NOTE);
		return true;
	case H2_HEAD:
		h2d_head(v, dir);
		return true;
	case H2_END:
		h2d_fact(v, dir, H2_END);
		return true;
	case H2_GONE:
		h2d_fact(v, dir, H2_GONE)->stream = v->x.setting;
		v->x.found = 0;
		return true;
	case H2_BAD:
		h2d_drop_notes(v, dir);
		h2d_note(v, dir, H2_BAD);
		v->side[dir].lost = true;
		v->stopped = v->stop_at_bad;
		h2d_seen_new(v);
		v->x.f.block = 0;
		return false;
	default:
		v->broken = "an unknown result";
		return false;
	}
}

/* Does this call begin in front of a frame? Then a direction that is lost, or was never seen, goes on. */
static inline bool h2d_resume(struct h2_drive *v, int dir, const uint8_t *bytes, size_t len)
{
	__u64 word[2] = { 0, 0 };

	memcpy(word, bytes, len < 16 ? len : 16);
	if (!h2_may_begin(word, len))
		return false;
	v->x.f = v->side[dir].f;
	h2_begin(&v->x, H2_FROM_FRAME, ++v->now);
	v->side[dir].f = v->x.f;
	v->side[dir].begun = true;
	v->side[dir].lost = false;
	return true;
}

/* The client's preface is under way: both directions are seen from their first byte on. */
static inline void h2d_prefaced(struct h2_drive *v)
{
	struct h2d_side *server = &v->side[DRIVE_SERVER];

	memset(&v->x, 0, sizeof(v->x));
	h2_begin(&v->x, H2_FROM_PREFACE, ++v->now);
	v->side[DRIVE_CLIENT].f = v->x.f;
	v->side[DRIVE_CLIENT].begun = true;
	if (server->begun || server->any)
		return;
	memset(&v->x, 0, sizeof(v->x));
	h2_begin(&v->x, H2_FROM_FRAME, ++v->now);
	server->f = v->x.f;
	server->f.sure = 1;
	server->f.whole = 1;
	server->f.kind = H1_RESPONSES;
	server->f.table.max = HPACK_TABLE_DEFAULT;
	server->begun = true;
}

/* The four bytes of the preface that the HTTP/1 reader eats. Returns how many are in this call. */
static inline size_t h2d_preface(struct h2_drive *v, int dir, const uint8_t *bytes, size_t len)
{
	struct h2d_side *s = &v->side[dir];
	size_t n = 0;

	if (s->begun || s->any != (s->matched > 0) || dir != DRIVE_CLIENT)
		return 0;
	while (n < len && s->matched < 4 && bytes[n] == (uint8_t)"PRI "[s->matched]) {
		s->matched++;
		n++;
	}
	if (s->matched == 4)
		h2d_prefaced(v);
	return n;
}

/* One call: `len` bytes of one direction. */
static inline void h2_drive_feed(struct h2_drive *v, int dir, const void *data, size_t len)
{
	const uint8_t *bytes = data;
	struct h2d_side *s = &v->side[dir];
	size_t skip;

	h2_driven = v;
	v->bytes += len;
	if (v->stopped || v->broken || !len)
		return;
	skip = h2d_preface(v, dir, bytes, len);
	s->any = true;
	bytes += skip;
	len -= skip;
	if (!len || ((!s->begun || s->lost) && !h2d_resume(v, dir, bytes, len)))
		return;
	h2d_unpark(v, dir, len);
	/* A byte takes a few steps; one may decode to more, and refer to what has parts. */
	while (!v->broken && h2d_result(v, dir, h2_step(&v->w, &v->x), bytes))
		if (++v->steps > 64 * v->bytes + 1024)
			v->broken = "no end of steps";
	h2d_park(v, dir);
}

/* ---- comparing ---- */

/* Was the same reported? What was decoded beside it may differ. NULL, or what differs. */
static inline const char *h2_drive_differ_facts(const struct h2_drive *a, const struct h2_drive *b)
{
	size_t n = a->facts_len < H2D_FACTS ? a->facts_len : H2D_FACTS;

	if (a->broken || b->broken)
		return a->broken ? a->broken : b->broken;
	if (a->facts_len != b->facts_len)
		return "the number of facts";
	for (size_t i = 0; i < n; i++)
		if (memcmp(&a->facts[i], &b->facts[i], offsetof(struct h2_fact, seen_fields)))
			return "a fact";
	return NULL;
}

/* Did two ways of feeding the same bytes tell the same? NULL, or what differs. */
static inline const char *h2_drive_differ(const struct h2_drive *a, const struct h2_drive *b)
{
	size_t n = a->facts_len < H2D_FACTS ? a->facts_len : H2D_FACTS;
	const char *what = h2_drive_differ_facts(a, b);

	if (what)
		return what;
	for (size_t i = 0; i < n; i++)
		if (a->facts[i].seen_hash != b->facts[i].seen_hash)
			return "the fields of a block";
	for (int dir = 0; dir < 2; dir++) {
		const struct h2 *f = &a->side[dir].f, *g = &b->side[dir].f;

		if (a->side[dir].lost && b->side[dir].lost)
			continue;
		if (a->side[dir].lost != b->side[dir].lost ||
		    memcmp(&f->table, &g->table, sizeof(f->table)) || f->state != g->state ||
		    f->left != g->left || f->block != g->block || f->kind != g->kind)
			return "the state of a direction";
	}
	return NULL;
}

/* Is an 8-byte piece of a token left in what the kernel keeps between calls, its masked part apart? */
static inline bool h2_drive_residue(const struct h2_drive *v, const void *token, size_t len)
{
	for (int dir = 0; dir < 2; dir++) {
		const struct h2d_side *s = &v->side[dir];

		if (drive_has_piece(&s->f, sizeof(s->f), token, len) ||
		    drive_has_piece(&s->h, offsetof(struct h1_head, carry), token, len))
			return true;
		for (size_t i = 0; i < s->slots_used; i++)
			if (s->slot[i].used &&
			    (drive_has_piece(s->slot[i].part, sizeof(s->slot[i].part), token, len) ||
			     drive_has_piece(s->slot[i].text, sizeof(s->slot[i].text), token, len)))
				return true;
	}
	return false;
}

#endif
