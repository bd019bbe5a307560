/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A row stays after it was written out, with count 0: that is how a repeat is told from a first
 * use. Rows with a count are also in a queue by the time of their first repeat, which, as all wait
 * equally long, is the order in which they are due.
 *
 * There may be many rows, and the texts of a use leave most of their room empty: a row keeps what
 * makes the use distinct packed, numbers first, then one text behind the other. So rows are compared
 * and hashed as bytes.
 */
#include "agent/fold.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/lru.h"
#include "sinks/sink.h"
#include "tokens/workload.h"

/* All of a use that are compared, and nothing between them: see pack(). */
struct numbers {
	uint64_t start_ns, cgroup;
	uint32_t length, entry, pid, uid;
	uint16_t version, status, server_port, peer_port;
	uint8_t dir, tls, unreadable, has_grpc, grpc_status, placeholder;
	uint8_t pad_[2];
};
_Static_assert(sizeof(struct numbers) == 48, "bytes that nobody sets would be compared");

#define STATIC_TEXT_MAX 64	/* of the names of classes, kinds and schemes */

struct packed {
	size_t size;
	char bytes[sizeof(struct numbers) + 3 * STATIC_TEXT_MAX + sizeof(struct use)];
};

struct row {
	struct lru_node node;
	struct row *next, *prev;	/* queue of rows with a count */
	uint64_t since_ns;
	uint64_t count;			/* 0 = nothing to write out */
	uint64_t first_ns, last_ns;
	struct workload *work;
	const char *class_name, *kind, *scheme, *confidence, *checksum;	/* static */
	const char *request_id_field;	/* likewise */
	char *request_id;		/* NULL = none; few have one */
	uint16_t client_port, peer_port;
	uint32_t size;
	char bytes[];
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
	workload_drop(row->work);
	free(row->request_id);
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

/* ---- packing ---- */

#define TEXT(member) { offsetof(struct use, member), sizeof(((struct use *)NULL)->member) }
static const struct {
	size_t at, size;
} texts[] = {
	TEXT(token_id), TEXT(key_id), TEXT(carrier), TEXT(public_id), TEXT(account), TEXT(method), TEXT(path),
	TEXT(mcp_method), TEXT(mcp_name), TEXT(process_name), TEXT(executable), TEXT(container_id),
	TEXT(server_address), TEXT(client_ip), TEXT(peer_ip),
};
#undef TEXT
#define TEXTS (sizeof(texts) / sizeof(texts[0]))

static void add_text(struct packed *to, const char *text, size_t size)
{
	size_t len = strnlen(text, size - 1);

	memcpy(to->bytes + to->size, text, len);
	to->bytes[to->size + len] = '\0';
	to->size += len + 1;
}

static void pack(const struct use *u, struct packed *to)
{
	const struct numbers n = {
		u->start_ns, u->cgroup, u->length, u->entry, u->pid, u->uid, u->version, u->status, u->server_port,
		u->dir == TT_DIR_INGRESS ? 0 : u->peer_port, (uint8_t)u->dir, (uint8_t)u->tls, u->unreadable,
		u->has_grpc, u->grpc_status, u->placeholder, { 0 },
	};

	memcpy(to->bytes, &n, sizeof(n));
	to->size = sizeof(n);
	add_text(to, u->class_name, STATIC_TEXT_MAX);
	add_text(to, u->kind, STATIC_TEXT_MAX);
	add_text(to, u->scheme, STATIC_TEXT_MAX);
	for (size_t i = 0; i < TEXTS; i++)
		add_text(to, (const char *)u + texts[i].at, texts[i].size);
}

static void unpack(const struct row *row, struct use *u)
{
	const char *text = row->bytes + sizeof(struct numbers);
	struct numbers n;

	memcpy(&n, row->bytes, sizeof(n));
	*u = (struct use){
		.class_name = row->class_name, .kind = row->kind, .scheme = row->scheme,
		.confidence = row->confidence, .checksum = row->checksum, .length = n.length,
		.unreadable = n.unreadable, .entry = n.entry, .placeholder = n.placeholder, .dir = n.dir,
		.count = row->count, .first_ns = row->first_ns, .last_ns = row->last_ns,
		.version = n.version, .status = n.status, .has_grpc = n.has_grpc, .grpc_status = n.grpc_status,
		.pid = n.pid, .start_ns = n.start_ns, .uid = n.uid, .cgroup = n.cgroup, .work = row->work,
		.server_port = n.server_port, .client_port = row->client_port, .peer_port = row->peer_port,
		.tls = n.tls,
	};
	if (row->request_id) {
		memcpy(u->request_id, row->request_id, strlen(row->request_id) + 1);
		u->request_id_field = row->request_id_field;
	}
	for (int i = 0; i < 3; i++)	/* class, kind, scheme */
		text += strlen(text) + 1;
	for (size_t i = 0; i < TEXTS; i++) {
		size_t size = strlen(text) + 1;

		memcpy((char *)u + texts[i].at, text, size);
		text += size;
	}
}

static struct row *find(const struct fold *f, const struct packed *p, uint64_t hash)
{
	for (struct lru_node *n = lru_first(&f->rows, hash); n; n = lru_next(n)) {
		struct row *row = lru_entry(n, struct row, node);

		if (row->size == p->size && memcmp(row->bytes, p->bytes, p->size) == 0)
			return row;
	}
	return NULL;
}

/* Leaves the queue and goes out. */
static void write_out(struct fold *f, struct row *row)
{
	struct use u;

	*(row->prev ? &row->prev->next : &f->first) = row->next;
	*(row->next ? &row->next->prev : &f->last) = row->prev;
	row->next = row->prev = NULL;
	unpack(row, &u);
	row->count = 0;
	free(row->request_id);
	row->request_id = NULL;
	f->emit(f->ctx, &u);
}

/* What was known of its workload is not forgotten: only later uses may know it. */
static void set_work(struct row *row, const struct use *u)
{
	struct workload *before = row->work;

	if (!u->work || u->work == before)
		return;
	row->work = workload_hold(u->work);
	workload_drop(before);
}

/* Of several the last one's; without memory for it there is none. */
static void set_request_id(struct row *row, const struct use *u)
{
	if (!u->request_id[0])
		return;
	free(row->request_id);
	row->request_id = strdup(u->request_id);
	row->request_id_field = u->request_id_field;
}

static void add_first(struct fold *f, struct row *row, const struct use *u, uint64_t now_ns)
{
	set_work(row, u);
	set_request_id(row, u);
	row->count = u->count;
	row->first_ns = u->first_ns;
	row->last_ns = u->last_ns;
	row->client_port = u->client_port;
	row->peer_port = u->peer_port;
	row->since_ns = now_ns;
	row->prev = f->last;
	*(f->last ? &f->last->next : &f->first) = row;
	f->last = row;
}

static void add_more(struct row *row, const struct use *u)
{
	row->count += u->count;
	if (u->first_ns < row->first_ns)
		row->first_ns = u->first_ns;
	if (u->last_ns > row->last_ns)
		row->last_ns = u->last_ns;
	set_request_id(row, u);
	if (row->client_port != u->client_port)
		row->client_port = 0;
	if (row->peer_port != u->peer_port)
		row->peer_port = 0;
}

static void make_room(struct fold *f)
{
	while (f->rows.count >= f->limit && f->rows.oldest) {
		struct row *row = lru_entry(f->rows.oldest, struct row, node);

		if (row->count) {
			agent_drops[TT_DROP_fold_full]++;
			write_out(f, row);
		}
		forget(f, row);
	}
}

static struct row *row_new(const struct use *u, const struct packed *p)
{
	struct row *row = calloc(1, sizeof(*row) + p->size);

	if (!row)
		return NULL;
	row->class_name = u->class_name;
	row->kind = u->kind;
	row->scheme = u->scheme;
	row->confidence = u->confidence;
	row->checksum = u->checksum;
	row->size = (uint32_t)p->size;
	memcpy(row->bytes, p->bytes, p->size);
	set_work(row, u);
	return row;
}

/* First of its kind: it goes out now. Without memory for a row it is only not remembered. */
static void see_first(struct fold *f, const struct use *u, const struct packed *p, uint64_t hash)
{
	struct row *row;

	make_room(f);
	row = row_new(u, p);
	if (row)
		lru_add(&f->rows, &row->node, hash);
	f->emit(f->ctx, u);
}

void fold_use(struct fold *f, const struct use *u, uint64_t now_ns)
{
	struct packed p;
	uint64_t hash;
	struct row *row;

	if (!f->interval_ns) {
		f->emit(f->ctx, u);
		return;
	}
	pack(u, &p);
	hash = lru_hash(0, p.bytes, p.size);
	row = find(f, &p, hash);
	if (!row) {
		see_first(f, u, &p, hash);
		return;
	}
	lru_touch(&f->rows, &row->node);
	if (row->count)
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
