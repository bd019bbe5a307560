/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All wait equally long, so the order of arrival is the order of time-outs. A status finds its
 * request by hash: HTTP/2 answers streams in any order, and a connection may have thousands open.
 * Each connection has a queue of its requests, for its end.
 */
#include "agent/pair.h"

#include <errno.h>
#include <stdlib.h>

#include "agent/said.h"
#include "base/cleanup.h"
#include "base/lru.h"
#include "sinks/sink.h"

struct conn {
	struct lru_node node;
	uint64_t id;
	struct waiting *first, *last;
};

struct waiting {
	struct lru_node node;		/* by connection and seq, in the order of arrival */
	struct waiting *next, *prev;	/* on this connection */
	struct conn *conn;
	uint64_t since_ns;
	struct tt_ev_use ev;
};

struct pair {
	struct lru conns, requests;
	size_t limit;
	uint64_t wait_ns;
	pair_done done;
	void *ctx;
	uint64_t withdrawn;
};

DEFINE_CLEANUP(struct pair *, pair_free)

int pair_new(size_t limit, uint64_t wait_ns, pair_done done, void *ctx, struct pair **ret_pair)
{
	_cleanup_(pair_freep) struct pair *p = NULL;
	int r;

	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->limit = limit;
	p->wait_ns = wait_ns;
	p->done = done;
	p->ctx = ctx;
	r = lru_init(&p->conns);
	if (r == 0)
		r = lru_init(&p->requests);
	if (r < 0)
		return r;
	*ret_pair = TAKE_PTR(p);
	return 0;
}

static uint64_t hash_of(uint64_t conn)
{
	return lru_hash(0, &conn, sizeof(conn));
}

static uint64_t hash_of_request(uint64_t conn, uint32_t seq)
{
	const uint64_t key[] = { conn, seq };

	return lru_hash(0, key, sizeof(key));
}

static struct conn *conn_find(const struct pair *p, uint64_t id)
{
	for (struct lru_node *n = lru_first(&p->conns, hash_of(id)); n; n = lru_next(n)) {
		struct conn *c = lru_entry(n, struct conn, node);

		if (c->id == id)
			return c;
	}
	return NULL;
}

static struct conn *conn_get(struct pair *p, uint64_t id)
{
	struct conn *c = conn_find(p, id);

	if (c)
		return c;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->id = id;
	lru_add(&p->conns, &c->node, hash_of(id));
	return c;
}

static void conn_put(struct pair *p, struct conn *c)
{
	if (c->first)
		return;
	lru_remove(&p->conns, &c->node);
	free(c);
}

static struct waiting *oldest(const struct pair *p)
{
	return p->requests.oldest ? lru_entry(p->requests.oldest, struct waiting, node) : NULL;
}

static struct waiting *waiting_find(const struct pair *p, uint64_t conn, uint32_t seq)
{
	struct lru_node *n = lru_first(&p->requests, hash_of_request(conn, seq));

	for (; n; n = lru_next(n)) {
		struct waiting *w = lru_entry(n, struct waiting, node);

		if (w->ev.h.conn == conn && w->ev.h.seq == seq)
			return w;
	}
	return NULL;
}

static void enqueue(struct pair *p, struct waiting *w)
{
	struct conn *c = w->conn;

	w->prev = c->last;
	*(c->last ? &c->last->next : &c->first) = w;
	c->last = w;
	lru_add(&p->requests, &w->node, hash_of_request(w->ev.h.conn, w->ev.h.seq));
}

static void dequeue(struct pair *p, struct waiting *w)
{
	struct conn *c = w->conn;

	*(w->prev ? &w->prev->next : &c->first) = w->next;
	*(w->next ? &w->next->prev : &c->last) = w->prev;
	lru_remove(&p->requests, &w->node);
	conn_put(p, c);
}

static const struct outcome not_known;

static void complete(struct pair *p, struct waiting *w, struct outcome outcome)
{
	dequeue(p, w);
	p->done(p->ctx, &w->ev, outcome);
	free(w);
}

void pair_free(struct pair *p)
{
	if (!p)
		return;
	for (struct waiting *w; (w = oldest(p)); free(w))
		dequeue(p, w);
	lru_done(&p->requests);
	lru_done(&p->conns);
	free(p);
}

void pair_set_wait(struct pair *p, uint64_t wait_ns)
{
	p->wait_ns = wait_ns;
}

static struct waiting *waiting_new(struct pair *p, const struct tt_ev_use *ev, uint64_t now_ns)
{
	struct waiting *w;

	w = malloc(sizeof(*w));
	if (!w)
		return NULL;
	w->next = w->prev = NULL;
	w->conn = conn_get(p, ev->h.conn);
	if (!w->conn) {
		free(w);
		return NULL;
	}
	w->since_ns = now_ns;
	w->ev = *ev;
	return w;
}

void pair_use(struct pair *p, const struct tt_ev_use *ev, uint64_t now_ns)
{
	struct waiting *w;

	if (p->requests.count >= p->limit) {
		agent_drops[TT_DROP_pending_full]++;
		complete(p, oldest(p), not_known);
	}
	w = waiting_new(p, ev, now_ns);
	if (!w) {
		agent_drops[TT_DROP_pending_full]++;
		p->done(p->ctx, ev, not_known);
		return;
	}
	enqueue(p, w);
}

/* The socket may have become known after the request was seen. */
static void fill_tuple(struct waiting *w, const struct tt_ev_hdr *h)
{
	if (w->ev.h.tuple.family == TT_AF_NONE)
		w->ev.h.tuple = h->tuple;
}

/* The call that was to send them failed. */
static void forget_unsent(struct pair *p, const struct tt_ev_hdr *h)
{
	struct conn *c = conn_find(p, h->conn);
	struct waiting *next, *w = c ? c->first : NULL;

	for (; w; w = next) {
		next = w->next;
		if (((w->ev.h.seq ^ h->seq) & TT_SEQ_STREAM) ||
		    ((w->ev.h.seq - h->seq) & ~TT_SEQ_STREAM) > INT32_MAX / 2)
			continue;
		p->withdrawn += w->ev.creds;
		dequeue(p, w);
		free(w);
	}
}

void pair_status(struct pair *p, const struct tt_ev_status *ev)
{
	struct outcome outcome = {
		.status = ev->status,
		.has_grpc = ev->flags & TT_STATUS_GRPC,
		.grpc_status = ev->grpc,
	};
	struct waiting *w = waiting_find(p, ev->h.conn, ev->h.seq);

	if (ev->flags & TT_STATUS_UNSENT) {
		forget_unsent(p, &ev->h);
		return;
	}
	/* No request: its record was lost in the kernel, which has counted it, or it timed out. */
	if (!w)
		return;
	fill_tuple(w, &ev->h);
	if (ev->text_len)
		said_request_id(ev, &outcome);
	complete(p, w, outcome);
}

const struct tt_ev_use *pair_waiting(const struct pair *p, const struct tt_ev_hdr *h)
{
	const struct waiting *w = waiting_find(p, h->conn, h->seq);

	return w ? &w->ev : NULL;
}

void pair_close(struct pair *p, const struct tt_ev_status *ev)
{
	struct conn *c;

	/* Looked up each time: the last completion frees the connection's row. */
	while ((c = conn_find(p, ev->h.conn))) {
		fill_tuple(c->first, &ev->h);
		complete(p, c->first, not_known);
	}
}

void pair_tick(struct pair *p, uint64_t now_ns)
{
	for (struct waiting *w; (w = oldest(p)) && now_ns - w->since_ns >= p->wait_ns;) {
		agent_drops[TT_DROP_status_timeout]++;
		complete(p, w, not_known);
	}
}

void pair_flush(struct pair *p)
{
	for (struct waiting *w; (w = oldest(p));)
		complete(p, w, not_known);
}

uint64_t pair_withdrawn(const struct pair *p)
{
	return p->withdrawn;
}

size_t pair_count(const struct pair *p)
{
	return p->requests.count;
}
