/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A row stays after it was written out, with count 0: that is how a repeat is told from a first
 * use. Rows with a count are also in a queue by the time of their first repeat, which, as all wait
 * equally long, is the order in which they are due.
 */
#include "agent/fold.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/lru.h"
#include "sinks/sink.h"
#include "tokens/workload.h"

struct row {
	struct lru_node node;
	struct row *next, *prev;	/* queue of rows with a count */
	uint64_t since_ns;
	struct use use;			/* use.count 0 = nothing to write out */
};

struct fold {
	struct lru rows;
	struct row *first, *last;
	size_t limit;
	uint64_t interval_ns;
	fold_emit emit;
	void *ctx;
};

DEFINE_CLEANUP(struct fold *, fold_free)

int fold_new(size_t limit, uint64_t interval_ns, fold_emit emit, void *ctx, struct fold **ret_fold)
{
	_cleanup_(fold_freep) struct fold *f = NULL;
	int r;

	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->limit = limit;
	f->interval_ns = interval_ns;
	f->emit = emit;
	f->ctx = ctx;
	r = lru_init(&f->rows);
	if (r < 0)
		return r;
	*ret_fold = TAKE_PTR(f);
	return 0;
}

static void forget(struct fold *f, struct row *row)
{
	lru_remove(&f->rows, &row->node);
	workload_drop(row->use.work);
	free(row);
}

void fold_free(struct fold *f)
{
	if (!f)
		return;
	while (f->rows.oldest)
		forget(f, lru_entry(f->rows.oldest, struct row, node));
	lru_done(&f->rows);
	free(f);
}

static uint16_t key_peer_port(const struct use *u)
{
	return u->dir == TT_DIR_INGRESS ? 0 : u->peer_port;
}

static uint64_t hash_text(uint64_t h, const char *text)
{
	return lru_hash(h, text, strlen(text));
}

static uint64_t hash_of(const struct use *u)
{
	const uint64_t numbers[] = {
		u->length, (uint64_t)u->dir, u->version, u->status, u->pid, u->start_ns,
		u->uid, u->cgroup, u->server_port, key_peer_port(u), (uint64_t)u->tls,
		u->has_grpc, u->grpc_status,
	};
	uint64_t h = lru_hash(0, numbers, sizeof(numbers));

	h = hash_text(h, u->token_id);
	h = hash_text(h, u->carrier);
	h = hash_text(h, u->method);
	h = hash_text(h, u->path);
	h = hash_text(h, u->mcp_method);
	h = hash_text(h, u->mcp_name);
	h = hash_text(h, u->server_address);
	return hash_text(h, u->peer_ip);
}

static bool same_numbers(const struct use *a, const struct use *b)
{
	return a->length == b->length && a->dir == b->dir && a->version == b->version &&
	       a->status == b->status && a->pid == b->pid && a->start_ns == b->start_ns &&
	       a->uid == b->uid && a->cgroup == b->cgroup && a->server_port == b->server_port &&
	       key_peer_port(a) == key_peer_port(b) && a->tls == b->tls &&
	       a->has_grpc == b->has_grpc && a->grpc_status == b->grpc_status &&
	       a->unreadable == b->unreadable && a->entry == b->entry;
}

static bool same_use(const struct use *a, const struct use *b)
{
	return same_numbers(a, b) && strcmp(a->token_id, b->token_id) == 0 &&
	       strcmp(a->key_id, b->key_id) == 0 && strcmp(a->class_name, b->class_name) == 0 &&
	       strcmp(a->kind, b->kind) == 0 && strcmp(a->scheme, b->scheme) == 0 &&
	       strcmp(a->carrier, b->carrier) == 0 && strcmp(a->method, b->method) == 0 &&
	       strcmp(a->path, b->path) == 0 && strcmp(a->mcp_method, b->mcp_method) == 0 &&
	       strcmp(a->mcp_name, b->mcp_name) == 0 &&
	       strcmp(a->process_name, b->process_name) == 0 &&
	       strcmp(a->executable, b->executable) == 0 &&
	       strcmp(a->container_id, b->container_id) == 0 &&
	       strcmp(a->server_address, b->server_address) == 0 &&
	       strcmp(a->client_ip, b->client_ip) == 0 && strcmp(a->peer_ip, b->peer_ip) == 0;
}

static struct row *find(const struct fold *f, const struct use *u, uint64_t hash)
{
	for (struct lru_node *n = lru_first(&f->rows, hash); n; n = lru_next(n)) {
		struct row *row = lru_entry(n, struct row, node);

		if (same_use(&row->use, u))
			return row;
	}
	return NULL;
}

/* Leaves the queue and goes out. */
static void write_out(struct fold *f, struct row *row)
{
	*(row->prev ? &row->prev->next : &f->first) = row->next;
	*(row->next ? &row->next->prev : &f->last) = row->prev;
	row->next = row->prev = NULL;
	f->emit(f->ctx, &row->use);
	row->use.count = 0;
}

/* What was known of its workload is not forgotten: only later uses may know it. */
static void copy_use(struct row *row, const struct use *u)
{
	struct workload *before = row->use.work;

	row->use = *u;
	row->use.work = u->work ? workload_hold(u->work) : before;
	if (u->work)
		workload_drop(before);
}

static void add_first(struct fold *f, struct row *row, const struct use *u, uint64_t now_ns)
{
	copy_use(row, u);
	row->since_ns = now_ns;
	row->prev = f->last;
	*(f->last ? &f->last->next : &f->first) = row;
	f->last = row;
}

static void add_more(struct row *row, const struct use *u)
{
	struct use *to = &row->use;

	to->count += u->count;
	if (u->first_ns < to->first_ns)
		to->first_ns = u->first_ns;
	if (u->last_ns > to->last_ns)
		to->last_ns = u->last_ns;
	if (u->request_id[0]) {
		memcpy(to->request_id, u->request_id, sizeof(to->request_id));
		to->request_id_field = u->request_id_field;
	}
	if (to->client_port != u->client_port)
		to->client_port = 0;
	if (to->peer_port != u->peer_port)
		to->peer_port = 0;
}

static void make_room(struct fold *f)
{
	while (f->rows.count >= f->limit && f->rows.oldest) {
		struct row *row = lru_entry(f->rows.oldest, struct row, node);

		if (row->use.count) {
			agent_drops[TT_DROP_fold_full]++;
			write_out(f, row);
		}
		forget(f, row);
	}
}

/* First of its kind: it goes out now. Without memory for a row it is only not remembered. */
static void see_first(struct fold *f, const struct use *u, uint64_t hash)
{
	struct row *row;

	make_room(f);
	row = calloc(1, sizeof(*row));
	if (row) {
		copy_use(row, u);
		row->use.count = 0;
		lru_add(&f->rows, &row->node, hash);
	}
	f->emit(f->ctx, u);
}

void fold_use(struct fold *f, const struct use *u, uint64_t now_ns)
{
	uint64_t hash;
	struct row *row;

	if (!f->interval_ns) {
		f->emit(f->ctx, u);
		return;
	}
	hash = hash_of(u);
	row = find(f, u, hash);
	if (!row) {
		see_first(f, u, hash);
		return;
	}
	lru_touch(&f->rows, &row->node);
	if (row->use.count)
		add_more(row, u);
	else
		add_first(f, row, u, now_ns);
}

void fold_set_interval(struct fold *f, uint64_t interval_ns)
{
	if (!interval_ns)
		fold_flush(f);
	f->interval_ns = interval_ns;
}

void fold_tick(struct fold *f, uint64_t now_ns)
{
	while (f->first && now_ns - f->first->since_ns >= f->interval_ns)
		write_out(f, f->first);
}

void fold_flush(struct fold *f)
{
	while (f->first)
		write_out(f, f->first);
}

size_t fold_count(const struct fold *f)
{
	return f->rows.count;
}
