/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives the head reader (bpf/readers/http1.h) in user space under the contract of the kernel's
 * glue: one call is one slice of one direction, read through windows of H1_WINDOW bytes; from call
 * to call only struct http1 and, inside a head, struct h1_head survive. Everything else is poisoned
 * first, so a reader that leans on anything more gives another result. Knows no test framework: the
 * unit tests and the fuzzers share it.
 */
#ifndef TT_TESTS_H1_DRIVE_H
#define TT_TESTS_H1_DRIVE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <readers/http1.h>

#define DRIVE_NAMES 1024 /* slots, power of two */
#define DRIVE_CLASSES 512
#define DRIVE_HEADS 64 /* kept; more are counted only */
#define DRIVE_NOTES 64
#define DRIVE_TOLD 8 /* records of claims */
#define DRIVE_PENDING 64 /* requests waiting for their response, power of two */

enum drive_dir { DRIVE_CLIENT, DRIVE_SERVER }; /* who sends; requests flow in DRIVE_CLIENT */

struct drive_class {
	struct tt_class_key key;
	struct tt_class_val val;
};

/* What the kernel has in its maps `names` and `classes`. */
struct drive_tables {
	struct {
		struct tt_name_key key;
		struct tt_name_val val;
		bool used;
	} names[DRIVE_NAMES];
	struct drive_class classes[DRIVE_CLASSES];
	size_t classes_len;
	struct tt_class_row rows[TT_CLASSES_MAX];
	struct tt_path_rule rules[TT_PATH_RULES_MAX];
	uint64_t routes;
};

/* What a response says of its request's credential: items, as in struct tt_ev_said. */
struct drive_said {
	bool any, cut;
	uint16_t len;
	uint8_t text[TT_SAID_LEN];
};

struct drive_head {
	uint8_t dir, kind, flags, use_flags, version, creds;
	uint16_t status;
	uint32_t method_len, path_len, host_len;
	char method[TT_METHOD_LEN + 1]; /* NUL-terminated, all three */
	char path[TT_PATH_LEN + 1];
	char host[TT_HOST_LEN + 1];
	char mcp_method[TT_MCP_METHOD_LEN + 1], mcp_name[TT_MCP_NAME_LEN + 1];
	char public_id[TT_PUBLIC_LEN + 1];
	struct drive_said said;
	struct tt_cred cred[TT_CREDS_MAX];
};

/* Records of claims that were sent, and of whom that need not be done again. */
struct drive_told {
	struct tt_ev_claims ev[DRIVE_TOLD];
	size_t len, asked;
	bool full; /* the ring is */
};

struct drive_note {
	uint32_t reason;
	uint8_t dir;
	bool bad;     /* H1_BAD: the direction was lost */
	bool counted; /* it was HTTP; what never had its shape is another protocol, not a fault */
};

struct drive {
	const struct drive_tables *tables;
	uint64_t key[2];
	bool says;	  /* each request had a credential */
	uint8_t poison;	  /* stands in all memory that the reader must not look at */
	bool stop_at_bad; /* what follows a fault depends on where calls begin */
	bool stopped;
	struct {
		struct http1 d;
		struct h1_head parked;
	} side[2];
	uint8_t pending[DRIVE_PENDING]; /* h1_head.flags of requests without a response */
	size_t pending_first, pending_end;
	struct drive_head heads[DRIVE_HEADS];
	size_t heads_len;
	struct drive_note notes[DRIVE_NOTES];
	size_t notes_len;
	struct drive_told told;
	uint64_t steps, bytes;
	const char *broken; /* an invariant that did not hold */
	struct h1_work w;
};

static inline size_t drive_slot(const struct tt_name_key *key)
{
	return (key->hash ^ key->space * 0x9e3779b9u ^ key->length) & (DRIVE_NAMES - 1);
}

/* Puts one name in; fits names_each(). -EEXIST: there is one with this key already. */
static inline int drive_put_name(const struct tt_name_key *key, const struct tt_name_val *val,
				 void *data)
{
	struct drive_tables *t = data;
	size_t slot = drive_slot(key);

	for (size_t i = 0; i < DRIVE_NAMES; i++, slot = (slot + 1) & (DRIVE_NAMES - 1)) {
		if (!t->names[slot].used) {
			t->names[slot].key = *key;
			t->names[slot].val = *val;
			t->names[slot].used = true;
			return 0;
		}
		if (!memcmp(&t->names[slot].key, key, sizeof(*key)))
			return -EEXIST;
	}
	return -ENOSPC;
}

/* The parameter that a scheme names. */
static inline int drive_put_param(struct drive_tables *t, const char *scheme, const char *param, uint16_t id)
{
	const struct tt_name_key key = {
		.hash = tt_name_mix(tt_name_hash(param, strlen(param)), tt_name_hash(scheme, strlen(scheme))),
		.space = TT_NAME_AUTH_PARAM,
		.length = strlen(param),
	};
	const struct tt_name_val val = {.id = id};

	return drive_put_name(&key, &val, t);
}

/* Fits classes_each(). */
static inline int drive_put_class(const struct tt_class_key *key, const struct tt_class_val *val,
				  void *data)
{
	struct drive_tables *t = data;

	if (t->classes_len == DRIVE_CLASSES)
		return -ENOSPC;
	t->classes[t->classes_len++] = (struct drive_class){*key, *val};
	return 0;
}

/* One of its own: a prefix, a length, and any characters. */
static inline int drive_add_class(struct drive_tables *t, uint16_t id, const char *prefix,
				  uint32_t min_len, uint32_t max_len)
{
	struct tt_class_key key = {.prefix_bits = (uint32_t)(8 * strlen(prefix))};
	const struct tt_class_val val = {.rows = 1, .sure = 1, .row = {id}};

	if (strlen(prefix) > TT_PREFIX_LEN)
		return -ENOSPC;
	memcpy(key.prefix, prefix, strlen(prefix));
	t->rows[id] = (struct tt_class_row){.allow = {~0ULL, ~0ULL},
					    .min_len = (uint16_t)min_len,
					    .max_len = (uint16_t)max_len,
					    .prefix_len = (uint8_t)strlen(prefix),
					    .flags = TT_CLASS_SURE};
	return drive_put_class(&key, &val, t);
}

/* Some of its own: the segment two behind "/services/", what follows "bot" in the first one, and any like a class. Row `class_id` is what stands there. */
static inline int drive_add_routes(struct drive_tables *t, uint16_t carrier, uint16_t class_id)
{
	static const char *const keys[] = {"/service", "/bot"};

	t->rules[0].carrier = carrier;
	for (uint16_t i = 1; i < 3; i++) {
		struct tt_path_rule *r = &t->rules[i];
		struct tt_name_key key = {.space = TT_NAME_ROUTE};
		const struct tt_name_val val = {.id = i, .length = 1};

		memcpy(&key.hash, keys[i - 1], strlen(keys[i - 1]));
		memcpy(r->prefix, i == 1 ? "/services/" : "/", i == 1 ? 10 : 1);
		memset(r->prefix_mask, 0xff, i == 1 ? 10 : 1);
		r->prefix_len = i == 1 ? 10 : 1;
		if (i == 1) {
			r->suffix[0] = '/';
			r->suffix_mask[0] = 0xff;
			r->suffix_len = 1;
		} else {
			memcpy(&r->lead, "bot", 3);
			memset(&r->lead_mask, 0xff, 3);
			r->lead_len = 3;
		}
		r->depth = i == 1 ? 4 : 1;
		r->carrier = carrier + i;
		r->class_id[0] = class_id;
		t->routes |= h1_route_bit(key.hash);
		if (drive_put_name(&key, &val, t) < 0)
			return -ENOSPC;
	}
	t->rows[class_id] = (struct tt_class_row){.allow = {~0ULL, ~0ULL}, .min_len = 5, .max_len = 60};
	return 0;
}

static inline void drive_init(struct drive *v, const struct drive_tables *t, uint64_t k0,
			      uint64_t k1)
{
	memset(v, 0, sizeof(*v));
	v->tables = t;
	v->key[0] = k0;
	v->key[1] = k1;
	v->poison = '\n'; /* ends lines, names and values: what reads it goes astray */
}

static inline struct h1_answer drive_find_name(const struct drive_tables *t, uint64_t hash,
					       uint32_t length, uint32_t space)
{
	const struct tt_name_key key = {.hash = hash, .space = space, .length = length};
	struct h1_answer none = {.id = 0};
	size_t slot = drive_slot(&key);

	for (size_t i = 0; i < DRIVE_NAMES && t->names[slot].used; i++) {
		if (!memcmp(&t->names[slot].key, &key, sizeof(key)))
			return (struct h1_answer){
				.id = t->names[slot].val.id,
				.unwrap = t->names[slot].val.unwrap,
				.length = t->names[slot].val.length,
			};
		slot = (slot + 1) & (DRIVE_NAMES - 1);
	}
	return none;
}

/* As the LPM trie does. */
static inline const struct tt_class_val *drive_longest(const struct drive_tables *t,
						       const uint8_t *prefix, uint32_t have)
{
	const struct drive_class *best = NULL;

	for (size_t i = 0; i < t->classes_len; i++) {
		const struct drive_class *c = &t->classes[i];
		uint32_t len = c->key.prefix_bits / 8;

		if (len <= have && !memcmp(c->key.prefix, prefix, len) &&
		    (!best || len > best->key.prefix_bits / 8))
			best = c;
	}
	return best ? &best->val : NULL;
}

static inline bool drive_try_class(const struct drive_tables *t, struct h1_work *w, uint16_t id)
{
	const struct tt_class_row *row = &t->rows[id];

	if (!h1_shape_may_fit(w, row))
		return false;
	h1_shape_scan(w, row->prefix_len);
	if (!h1_shape_fits(w, row))
		return false;
	h1_shape_take(w, id, row);
	return true;
}

/* As http_segment_rows(). */
static inline void drive_segment_rows(const struct drive_tables *t, struct h1_work *w, struct tt_class_val *tries)
{
	const struct tt_path_rule *r = &t->rules[w->h.route];

	w->h.carrier = r->carrier;
	tries->rows = tries->sure < TT_CLASS_TRIES - TT_PATH_CLASSES ? tries->sure : TT_CLASS_TRIES - TT_PATH_CLASSES;
	for (int i = 0; i < TT_PATH_CLASSES && r->class_id[i]; i++)
		tries->row[tries->rows++] = r->class_id[i];
}

/* As http_ask_class() in head.bpf.h. */
static inline void drive_find_class(const struct drive_tables *t, struct h1_work *w)
{
	uint32_t have = w->ask_len < TT_PREFIX_LEN ? w->ask_len : TT_PREFIX_LEN;
	const struct tt_class_val *val = drive_longest(t, w->h.carry, have);
	struct tt_class_val tries = {0};

	if (val)
		tries = *val;
	w->answer = (struct h1_answer){.id = 0};
	if (w->ask == H1_ASK_SEGMENT)
		drive_segment_rows(t, w, &tries);
	for (uint32_t i = 0; i < tries.rows; i++)
		if (drive_try_class(t, w, tries.row[i]))
			break;
	if (w->answer.checksum)
		w->answer.cred_flags = h1_crc32b62(&w->h, w->answer.length) ?
					       TT_CRED_CHECKSUM_OK :
					       TT_CRED_CHECKSUM_BAD;
}

/* As http_ask_route(). */
static inline void drive_find_route(const struct drive_tables *t, struct h1_work *w)
{
	struct h1_answer first = drive_find_name(t, w->h.name_hash, 0, TT_NAME_ROUTE);

	w->answer = (struct h1_answer){.id = 0};
	for (uint16_t id = first.id; id < first.id + first.length; id++) {
		if (!h1_route_fits(&w->h, &t->rules[id]))
			continue;
		w->answer.id = id;
		w->answer.length = t->rules[id].lead_len;
		return;
	}
}

/* As http_step() and h2_one() do: what is asked for, but for the static table. */
static inline const char *drive_answer(const struct drive_tables *t, struct h1_work *w)
{
	switch (w->ask) {
	case H1_ASK_HEADER:
	case H1_ASK_PARAM:
	case H1_ASK_SCHEME:
	case H1_ASK_COOKIE:
	case H1_ASK_SET_COOKIE:
	case H1_ASK_AUTH_PARAM:
	case H1_ASK_SUFFIX:
	case H1_ASK_SUBPROTOCOL:
		w->answer = drive_find_name(t, w->h.name_hash, w->h.name_len, w->ask);
		return NULL;
	case H1_ASK_ROUTE:
		drive_find_route(t, w);
		return NULL;
	case H1_ASK_CLASS:
	case H1_ASK_SEGMENT:
		drive_find_class(t, w);
		return NULL;
	default:
		return "an unknown question";
	}
}

static inline void drive_note(struct drive *v, int dir, bool bad)
{
	if (v->notes_len < DRIVE_NOTES)
		v->notes[v->notes_len] = (struct drive_note){
			.reason = v->w.reason,
			.dir = dir,
			.bad = bad,
			.counted = v->w.d.kind != H1_UNKNOWN || (v->w.h.flags & H1_F_STARTED),
		};
	v->notes_len++;
	if (!v->w.reason || v->w.reason >= TT_DROP_MAX)
		v->broken = "a note without a reason";
}

static inline const char *drive_check_claims(const struct tt_ev_claims *e, uint32_t size)
{
	size_t text = size - offsetof(struct tt_ev_claims, text);
	const uint8_t *dot = memchr(e->text, '.', text);

	if (text > TT_CLAIMS_TEXT_MAX)
		return "a text of claims beyond its room";
	if (text != (size_t)e->header_len + (e->payload_len ? e->payload_len + 1 : 0))
		return "a text of claims that is not header and payload";
	if ((e->flags & (TT_CLAIMS_UNSIGNED | TT_CLAIMS_UNSURE | TT_CLAIMS_BAD)) && text)
		return "the text of a token that may be unsigned";
	if (e->payload_len && (!dot || memchr(dot + 1, '.', text - (dot + 1 - e->text))))
		return "something behind the payload";
	if (!e->payload_len && dot)
		return "something behind the header";
	return NULL;
}

/* What the kernel's glue does about H1_CLAIMS. NULL, or an invariant that did not hold. */
static inline const char *drive_tell(struct drive_told *told, struct claims *c)
{
	int r = CLAIMS_NEXT;
	uint32_t size;

	told->asked++;
	for (size_t i = 0; i < told->len && i < DRIVE_TOLD; i++)
		if (!memcmp(told->ev[i].token, c->ev.token, sizeof(c->ev.token)))
			return NULL;
	for (int steps = 0; r == CLAIMS_NEXT; steps++) {
		if (steps > 2 * TT_CLAIMS_TEXT_MAX)
			return "no end of steps for claims";
		r = claims_step(c);
	}
	if (r == CLAIMS_NONE)
		return NULL;
	c->untold = told->full;
	if (told->full)
		return NULL;
	size = claims_size(c);
	if (told->len < DRIVE_TOLD) {
		memset(&told->ev[told->len], 0, sizeof(told->ev[0]));
		memcpy(&told->ev[told->len], &c->ev, size);
		memset(&told->ev[told->len].h, 0, sizeof(struct tt_ev_hdr));
	}
	told->len++;
	return drive_check_claims(&c->ev, size);
}

/* As said.bpf.h puts it together. NULL, or an invariant that did not hold. */
static inline const char *drive_take_said(const struct h1_head *h, struct drive_said *ret_said)
{
	const struct h1_said *s = &h->said;
	const uint16_t from[] = { 0, SAID_GRANTED, SAID_GATHERED };
	const uint16_t to[] = { s->ids_end, s->granted_end, s->gathered_end };
	const uint16_t limit[] = { SAID_GRANTED, SAID_GATHERED, SAID_LEN };

	memset(ret_said, 0, sizeof(*ret_said));
	if (!h->saying)
		return NULL;
	ret_said->any = true;
	ret_said->cut = s->cut != 0;
	for (int i = 0; i < 3; i++) {
		size_t at = from[i];

		if (to[i] < from[i] || to[i] > limit[i])
			return "a stretch of what is said beyond its room";
		while (at + 2 <= to[i])
			at += 2 + s->text[at + 1];
		if (at != to[i])
			return "an item of what is said that is not whole";
		memcpy(ret_said->text + ret_said->len, s->text + from[i], to[i] - from[i]);
		ret_said->len += to[i] - from[i];
	}
	return NULL;
}

static inline void drive_check_head(struct drive *v)
{
	const struct h1_head *h = &v->w.h;

	if (v->w.d.kind == H1_RESPONSES)
		return;
	if (h->saying)
		v->broken = "a request that says what only a response does";
	else if (h->path_len > TT_PATH_LEN || h->host_len > TT_HOST_LEN || h->method_len > TT_METHOD_LEN ||
	    h->mcp_method_len > TT_MCP_METHOD_LEN || h->mcp_name_len > TT_MCP_NAME_LEN ||
		 h->public_len > TT_PUBLIC_LEN)
		v->broken = "a text is longer than its limit";
	else if (h->creds > TT_CREDS_MAX)
		v->broken = "more credentials than there is room for";
	else if (memchr(h->path, '?', h->path_len) || memchr(h->path, '#', h->path_len))
		v->broken = "a query in the path";
	else if (memchr(h->host, '@', h->host_len))
		v->broken = "userinfo in the host";
	for (uint32_t i = 0; !v->broken && i < h->creds; i++)
		if (!h->cred[i].length || !h->cred[i].carrier)
			v->broken = "a credential of no length or from nowhere";
}

static inline void drive_keep_head(struct drive *v, int dir)
{
	const struct h1_head *h = &v->w.h;
	struct drive_head *to;

	drive_check_head(v);
	if (v->broken || v->heads_len++ >= DRIVE_HEADS)
		return;
	to = &v->heads[v->heads_len - 1];
	memset(to, 0, sizeof(*to));
	to->dir = dir;
	to->kind = v->w.d.kind;
	to->flags = h->flags;
	to->use_flags = h->use_flags;
	to->version = h->version;
	to->status = h->status;
	to->creds = h->creds;
	to->path_len = h->path_len;
	to->host_len = h->host_len;
	if (v->w.d.kind == H1_RESPONSES)
		v->broken = drive_take_said(h, &to->said);
	if (v->w.d.kind == H1_REQUESTS) {
		memcpy(to->path, h->path, h->path_len);
		memcpy(to->host, h->host, h->host_len);
		memcpy(to->mcp_method, h->mcp_method, h->mcp_method_len);
		memcpy(to->public_id, h->public_id, h->public_len);
		memcpy(to->mcp_name, h->mcp_name, h->mcp_name_len);
		memcpy(to->public_id, h->public_id, h->public_len);
		to->method_len = h->method_len;
		memcpy(to->method, h->method, h->method_len);
	}
	for (uint32_t i = 0; i < h->creds; i++) {
		to->cred[i] = h->cred[i];
		memset(to->cred[i].pad_, 0, sizeof(to->cred[i].pad_));
	}
}

static inline void drive_opaque(struct drive *v)
{
	v->w.d.state = H1_S_OPAQUE;
	v->side[DRIVE_CLIENT].d.state = H1_S_OPAQUE;
	v->side[DRIVE_SERVER].d.state = H1_S_OPAQUE;
}

/* RFC 9110, 6.4.1 and 9112, 6.3: which responses have no body. */
static inline void drive_response(struct drive *v)
{
	uint32_t status = v->w.h.status;
	uint8_t request = 0;
	bool tunnel;

	if (v->pending_first != v->pending_end) {
		request = v->pending[v->pending_first & (DRIVE_PENDING - 1)];
		if (status >= 200 || status == 101)
			v->pending_first++;
	}
	tunnel = (request & H1_F_CONNECT) && status / 100 == 2;
	h1_body(&v->w, (request & H1_F_METHOD_HEAD) || tunnel || status < 200 || status == 204 ||
			       status == 304);
	if (tunnel || status == 101)
		drive_opaque(v);
}

static inline void drive_take_head(struct drive *v, int dir)
{
	drive_keep_head(v, dir);
	if (v->w.d.kind == H1_RESPONSES) {
		drive_response(v);
		return;
	}
	if (v->pending_end - v->pending_first < DRIVE_PENDING)
		v->pending[v->pending_end++ & (DRIVE_PENDING - 1)] = v->w.h.flags;
	h1_body(&v->w, 0);
}

/* Loads the next window. false: the call has no more bytes. */
static inline bool drive_fill(struct drive *v, const uint8_t *bytes)
{
	struct h1_work *w = &v->w;

	if (w->pos > w->total)
		v->broken = "the position ran past the input";
	if (w->pos >= w->total)
		return false;
	w->base = w->pos;
	w->fill = w->total - w->pos < H1_WINDOW ? w->total - w->pos : H1_WINDOW;
	memset(w->buf, v->poison, sizeof(w->buf));
	memcpy(w->buf, bytes + w->base, w->fill);
	return true;
}

/* Only what the kernel's tables keep from call to call comes back. */
static inline void drive_unpark(struct drive *v, int dir, uint32_t len)
{
	struct h1_work *w = &v->w;

	memset(w, v->poison, sizeof(*w));
	w->key[0] = v->key[0];
	w->key[1] = v->key[1];
	w->base = 0;
	w->fill = 0;
	w->pos = 0;
	w->total = len;
	claims_restart(&w->c);
	w->d = v->side[dir].d;
	w->heads = v->says;
	w->routes = v->tables->routes;
	if (h1_in_head(&w->d))
		w->h = v->side[dir].parked;
}

/* `began`: where in this call the head that is being read began. */
static inline void drive_park(struct drive *v, int dir, uint32_t began)
{
	struct h1_work *w = &v->w;

	if (h1_in_head(&w->d)) {
		w->h.head_len += w->pos - began;
		if (w->h.head_len > H1_HEAD_MAX) {
			w->reason = TT_DROP_head_too_long;
			w->d.state = H1_S_LOST;
			drive_note(v, dir, true);
		}
	}
	v->side[dir].d = w->d;
	memset(&v->side[dir].parked, 0, sizeof(v->side[dir].parked));
	if (h1_in_head(&w->d))
		v->side[dir].parked = w->h;
	memset(w, 0, sizeof(*w));
}

/* A lost direction goes on where a call may begin a head. false: not with this one. */
static inline bool drive_resume(struct drive *v, int dir, const uint8_t *bytes, size_t len)
{
	uint64_t word = 0;

	if (v->side[dir].d.state != H1_S_LOST)
		return true;
	memcpy(&word, bytes, len < 8 ? len : 8);
	if (!h1_may_begin(word, len))
		return false;
	h1_resume(&v->side[dir].d);
	return true;
}

static inline int drive_step(struct h1_work *w)
{
	int r = h1_step(w);

	return r == H1_SAID ? said_step(w) : r;
}

/* One call: `len` bytes of one direction. */
static inline void drive_feed(struct drive *v, int dir, const void *data, size_t len)
{
	const uint8_t *bytes = data;
	struct h1_work *w = &v->w;
	uint32_t began = 0;
	bool more = true;

	v->bytes += len;
	if (v->stopped || v->broken || !len || !drive_resume(v, dir, bytes, len))
		return;
	drive_unpark(v, dir, len);
	while (more && !v->broken && !v->stopped) {
		if (w->d.state == H1_S_START)
			began = w->pos;
		/* A byte takes a few steps, a blank that is held back one more. */
		if (++v->steps > 8 * v->bytes + 64)
			v->broken = "no end of steps";
		switch (drive_step(w)) {
		case H1_NEXT:
		case H1_FIELDS:
			break;
		case H1_FILL:
			more = drive_fill(v, bytes);
			break;
		case H1_ASK:
			v->broken = drive_answer(v->tables, w);
			break;
		case H1_NOTE:
			drive_note(v, dir, false);
			break;
		case H1_CLAIMS:
			v->broken = drive_tell(&v->told, &w->c);
			break;
		case H1_HEAD:
			drive_take_head(v, dir);
			break;
		case H1_H2:
			w->d.state = H1_S_OPAQUE; /* h2_drive.h goes on there */
			break;
		case H1_BAD:
			drive_note(v, dir, true);
			v->stopped = v->stop_at_bad;
			break;
		default:
			v->broken = "an unknown result";
		}
	}
	drive_park(v, dir, began);
}

/* Did two ways of feeding the same bytes tell the same? NULL, or what differs. */
static inline const char *drive_differ(const struct drive *a, const struct drive *b)
{
	size_t heads = a->heads_len < DRIVE_HEADS ? a->heads_len : DRIVE_HEADS;
	size_t notes = a->notes_len < DRIVE_NOTES ? a->notes_len : DRIVE_NOTES;

	if (a->broken || b->broken)
		return a->broken ? a->broken : b->broken;
	if (a->heads_len != b->heads_len)
		return "the number of heads";
	if (a->notes_len != b->notes_len)
		return "the number of notes";
	if (heads && memcmp(a->heads, b->heads, heads * sizeof(a->heads[0])))
		return "a head";
	for (size_t i = 0; i < notes; i++)
		if (a->notes[i].reason != b->notes[i].reason ||
		    a->notes[i].bad != b->notes[i].bad || a->notes[i].dir != b->notes[i].dir ||
		    a->notes[i].counted != b->notes[i].counted)
			return "a note";
	for (int dir = 0; dir < 2; dir++)
		if (a->side[dir].d.state != b->side[dir].d.state ||
		    a->side[dir].d.left != b->side[dir].d.left ||
		    a->side[dir].d.kind != b->side[dir].d.kind)
			return "the state of a direction";
	return NULL;
}

/*
 * Is an 8-byte piece of a token left in what a direction keeps between calls? The kernel masks a
 * parked head from `carry` on; all before it has to be clean by itself.
 */
static inline bool drive_has_piece(const void *where, size_t size, const void *token, size_t len)
{
	for (size_t i = 0; i + 8 <= len; i++)
		if (memmem(where, size, (const uint8_t *)token + i, 8))
			return true;
	return false;
}

static inline bool drive_residue(const struct drive *v, const void *token, size_t len)
{
	for (int dir = 0; dir < 2; dir++)
		if (drive_has_piece(&v->side[dir].d, sizeof(struct http1), token, len) ||
		    drive_has_piece(&v->side[dir].parked, offsetof(struct h1_head, carry), token,
				    len))
			return true;
	return false;
}

#endif
