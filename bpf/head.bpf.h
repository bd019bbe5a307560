/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the heads of both HTTP versions need: looking names and classes up, and the record of a use. */
#ifndef TT_HEAD_BPF_H
#define TT_HEAD_BPF_H

#include "emit.bpf.h"
#include "readers/route.h"
#include "readers/shape.h"

enum { RUN_ON, RUN_STOP };

/* ---- input ---- */

#define RUN_FAULT 2	/* the program's bytes can't be read */

_Static_assert(H1_WINDOW == H2_WINDOW, "window_read() is for both");

/* Reads what comes next, or as much as fits, into a window. *used: at most so many bytes of that were ever written. */
static __always_inline int window_read(__u8 *window, __u64 from, __u32 left, __u32 *ret_fill, __u32 *used)
{
	__u32 n = left;

	if (n > H1_WINDOW)
		n = H1_WINDOW;
	*ret_fill = n;
	if (*used < n)
		*used = n;
	H1_MASK(n, 2 * H1_WINDOW - 1);
	if (n > H1_WINDOW)
		return RUN_STOP;
	if (!bpf_probe_read_user(window, n, (void *)from))
		return RUN_ON;
	drop(TT_DROP_user_fault);
	return RUN_FAULT;
}

/* Loads the next window, of a head or a body. */
static __always_inline int http_load(struct scratch *s)
{
	if (s->w.pos >= s->w.total)
		return RUN_STOP;
	s->w.base = s->w.pos;
	return window_read(s->w.buf, s->addr + s->w.pos, s->w.total - s->w.pos, &s->w.fill, &s->w.used);
}

/* The same of HTTP/2. */
__weak __noinline int h2_fill(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	int r;

	if (!s || s->x.pos >= s->x.total)
		return RUN_STOP;
	s->x.base = s->x.pos;
	r = window_read(s->x.in, s->addr + s->x.pos, s->x.total - s->x.pos, &s->x.fill, &s->used_h2);
	if (r != RUN_FAULT)
		return r;
	s->w.d.state = H1_S_LOST;
	return RUN_STOP;
}

/* ---- looking up ---- */

__weak __noinline int http_ask_name(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct tt_name_key key = {};
	struct tt_name_val *val;

	if (!s)
		return 0;
	if (s->w.ask == H2_ASK_STATIC) {
		key.hash = s->x.b.value;
		key.space = TT_NAME_STATIC;
	} else {
		key.hash = s->w.h.name_hash;
		key.length = s->w.h.name_len;
		key.space = s->w.ask;	/* the two enums agree */
	}
	val = bpf_map_lookup_elem(&names, &key);
	s->w.answer.id = val ? val->id : 0;
	s->w.answer.unwrap = val ? val->unwrap : 0;
	s->w.answer.length = val ? val->length : 0;
	return 0;
}
_Static_assert((int)H1_ASK_HEADER == TT_NAME_HEADER && (int)H1_ASK_PARAM == TT_NAME_PARAM &&
		       (int)H1_ASK_SCHEME == TT_NAME_SCHEME && (int)H1_ASK_COOKIE == TT_NAME_COOKIE &&
		       (int)H1_ASK_SET_COOKIE == TT_NAME_SET_COOKIE && (int)H1_ASK_ROUTE == TT_NAME_ROUTE &&
		       (int)H1_ASK_AUTH_PARAM == TT_NAME_AUTH_PARAM && (int)H1_ASK_SUFFIX == TT_NAME_SUFFIX &&
		       (int)H1_ASK_SUBPROTOCOL == TT_NAME_SUBPROTOCOL,
	       "http_ask_name() takes one for the other");

__weak __noinline int http_route_try(__u32 slot, __u32 id)
{
	struct tt_path_rule *r = bpf_map_lookup_elem(&path_rules, &id);
	struct scratch *s = scratch_get(slot);

	if (!r || !s || !h1_route_fits(&s->w.h, r))
		return 0;
	s->w.answer.id = id;
	s->w.answer.length = r->lead_len;
	return 1;
}

/* Is the segment one that stands where a secret stands? */
__weak __noinline int http_ask_route(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	__u32 first, rules;

	if (!s)
		return RUN_STOP;
	http_ask_name(slot);
	first = s->w.answer.id;
	rules = s->w.answer.length;
	s->w.answer.id = 0;
	s->w.answer.length = 0;
	for (__u32 i = 0; i < TT_PATH_RULES_SAME && i < rules; i++) {
		if (http_route_try(slot, first + i))
			break;
	}
	return RUN_ON;
}

/* Of a path segment: rows that are credentials wherever they stand, then those that may stand here. */
__weak __noinline int http_segment_rows(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct tt_path_rule *r;
	__u32 id;
	__u64 n;

	if (!s)
		return 0;
	id = s->w.h.route;
	r = bpf_map_lookup_elem(&path_rules, &id);
	if (!r)
		return 0;
	s->w.h.carrier = r->carrier;
	n = s->tries.sure < TT_CLASS_TRIES - TT_PATH_CLASSES ? s->tries.sure : TT_CLASS_TRIES - TT_PATH_CLASSES;
	for (int i = 0; i < TT_PATH_CLASSES; i++) {
		__u64 at = n;

		if (!r->class_id[i])
			break;
		H1_MASK(at, TT_CLASS_TRIES - 1);
		s->tries.row[at] = r->class_id[i];
		n++;
	}
	s->tries.rows = n;
	return 0;
}

/* Characters of what is asked for, from its `start`th on. */
__weak __noinline int http_scan(__u32 slot, __u32 start)
{
	struct scratch *s = scratch_get(slot);

	if (s)
		h1_shape_scan(&s->w, start);
	return 0;
}

__weak __noinline int http_checksum(__u32 slot)
{
	struct scratch *s = scratch_get(slot);

	if (!s)
		return 0;
	s->w.answer.cred_flags = h1_crc32b62(&s->w.h, s->w.answer.length) ? TT_CRED_CHECKSUM_OK :
									    TT_CRED_CHECKSUM_BAD;
	return 0;
}

/* Which rows are to be tried; http_class_one() does, one a step. */
__weak __noinline int http_ask_class(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct tt_class_val *val;
	__u32 len;

	if (!s)
		return 0;
	len = s->w.ask_len;
	s->w.answer.id = 0;
	s->w.answer.flags = 0;
	s->w.answer.cred_flags = 0;
	s->w.answer.checksum = 0;
	s->w.seen_from = 0;
	s->prefix.prefix_bits = 8 * (len < TT_PREFIX_LEN ? len : TT_PREFIX_LEN);
	__builtin_memcpy(s->prefix.prefix, s->w.h.carry, TT_PREFIX_LEN);
	val = bpf_map_lookup_elem(&classes, &s->prefix);
	if (!val)
		return 0;	/* never: the empty prefix has rows */
	__builtin_memcpy(&s->tries, val, sizeof(s->tries));
	if (s->w.ask == H1_ASK_SEGMENT)
		http_segment_rows(slot);
	if (!s->tries.rows)
		return 0;
	s->tried = 0;
	s->asker = s->reader;
	s->reader = READ_CLASS;
	return 0;
}

/* Is the next row the class? Not within http_ask_class(): chains of calls are short on stack and depth. */
__weak __noinline int http_class_one(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct tt_class_row *row;
	__u32 id;
	__u64 i;

	if (!s)
		return RUN_STOP;
	i = s->tried;
	if (i >= s->tries.rows || i >= TT_CLASS_TRIES) {
		if (s->w.answer.checksum)
			http_checksum(slot);
		s->reader = s->asker;
		return RUN_ON;
	}
	s->tried++;
	H1_MASK(i, TT_CLASS_TRIES - 1);
	id = s->tries.row[i];
	row = bpf_map_lookup_elem(&class_rows, &id);
	if (!row || !h1_shape_may_fit(&s->w, row))
		return RUN_ON;
	if (s->w.seen_from != row->prefix_len + 1)
		http_scan(slot, row->prefix_len);
	if (!h1_shape_fits(&s->w, row))
		return RUN_ON;
	h1_shape_take(&s->w, id, row);
	s->tried = TT_CLASS_TRIES;
	return RUN_ON;
}

/* ---- a use ---- */

static __always_inline void http_fill_use(struct scratch *s, struct conn *c, __u32 seq)
{
	struct tt_ev_use *e = &s->use;
	struct h1_head *h = &s->w.h;
	__u32 n;

	__builtin_memset(e, 0, sizeof(*e) - sizeof(e->cred));
	emit_header(&e->h, TT_EV_USE, sizeof(*e));
	emit_conn(&e->h, c, seq);
	e->dir = s->dir == OUT ? TT_DIR_EGRESS : TT_DIR_INGRESS;
	e->tls = c->tls;
	e->version = h->version;
	e->flags = h->use_flags;
	e->creds = h->creds;
	e->method_len = h->method_len;
	e->path_len = h->path_len;
	e->host_len = h->host_len;
	e->mcp_method_len = h->mcp_method_len;
	e->mcp_name_len = h->mcp_name_len;
	/* Only the valid bytes are copied: behind them may lie those of a hidden segment. */
	n = h->method_len;
	bpf_probe_read_kernel(e->method, n < TT_METHOD_LEN ? n : TT_METHOD_LEN, h->method);
	n = h->path_len;
	bpf_probe_read_kernel(e->path, n < TT_PATH_LEN ? n : TT_PATH_LEN, h->path);
	n = h->host_len;
	bpf_probe_read_kernel(e->host, n < TT_HOST_LEN ? n : TT_HOST_LEN, h->host);
	n = h->mcp_method_len;
	if (n)
		bpf_probe_read_kernel(e->mcp_method, n < TT_MCP_METHOD_LEN ? n : TT_MCP_METHOD_LEN, h->mcp_method);
	n = h->mcp_name_len;
	if (n)
		bpf_probe_read_kernel(e->mcp_name, n < TT_MCP_NAME_LEN ? n : TT_MCP_NAME_LEN, h->mcp_name);
	n = h->public_len;
	e->public_len = n;
	e->public_cred = h->public_cred;
	if (n)
		bpf_probe_read_kernel(e->public_id, n < TT_PUBLIC_LEN ? n : TT_PUBLIC_LEN, h->public_id);
	__builtin_memcpy(e->cred, h->cred, sizeof(e->cred));
	for (int i = 0; i < TT_CREDS_MAX; i++) {
		if (i >= h->creds)
			__builtin_memset(&e->cred[i], 0, sizeof(e->cred[i]));
	}
}

#endif
