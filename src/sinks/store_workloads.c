/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/store_statement.h"
#include "sinks/store_workloads.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "base/lru.h"
#include "tokens/workload.h"

#define KNOWN_MAX 4096		/* rows remembered; one that is forgotten is only written again */
#define AGAIN_NS (60ULL * 1000000000)

struct row {
	struct lru_node node;
	struct row *next;		/* of those that wait */
	bool waits;
	struct workload *work;
	int64_t user;
	char executable[256], container[65];
	uint64_t written_ns, last_ns;
	unsigned int version;		/* of the workload, as written */
};

struct store_workloads {
	sqlite3_stmt *upsert;
	struct lru known;
	struct row *first;
	size_t waiting;
};

int store_workloads_new(struct store_workloads **ret_workloads)
{
	struct store_workloads *s = calloc(1, sizeof(*s));

	if (!s || lru_init(&s->known) < 0) {
		free(s);
		return -ENOMEM;
	}
	*ret_workloads = s;
	return 0;
}

static void forget(struct store_workloads *s, struct row *row)
{
	for (struct row **p = &s->first; row->waits && *p; p = &(*p)->next)
		if (*p == row) {
			*p = row->next;
			s->waiting--;
			break;
		}
	lru_remove(&s->known, &row->node);
	workload_drop(row->work);
	free(row);
}

void store_workloads_free(struct store_workloads *s)
{
	if (!s)
		return;
	store_workloads_finalize(s);
	while (s->known.oldest)
		forget(s, lru_entry(s->known.oldest, struct row, node));
	lru_done(&s->known);
	free(s);
}

int store_workloads_prepare(struct store_workloads *s, struct sqlite3 *db)
{
	return sqlite3_prepare_v3(db,
		"INSERT INTO workload (executable, user, container, kind, name, namespace, pod, "
		"service_account, unit, evidence, last) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, "
		"?10, ?11) ON CONFLICT DO UPDATE SET kind = ?4, name = ?5, namespace = ?6, pod = ?7, "
		"service_account = ?8, unit = ?9, evidence = ?10, last = max(last, ?11)",
		-1, SQLITE_PREPARE_PERSISTENT, &s->upsert, NULL);
}

void store_workloads_finalize(struct store_workloads *s)
{
	if (!s)
		return;
	sqlite3_finalize(s->upsert);
	s->upsert = NULL;
}

static int64_t user_of(const struct use *u)
{
	return u->uid == UINT32_MAX ? -1 : (int64_t)u->uid;
}

static uint64_t hash_of(const struct use *u)
{
	const int64_t user = user_of(u);
	uint64_t h = lru_hash(0, u->executable, strlen(u->executable) + 1);

	h = lru_hash(h, u->container_id, strlen(u->container_id));
	return lru_hash(h, &user, sizeof(user));
}

static struct row *find(const struct store_workloads *s, const struct use *u, uint64_t hash)
{
	for (struct lru_node *n = lru_first(&s->known, hash); n; n = lru_next(n)) {
		struct row *row = lru_entry(n, struct row, node);

		if (row->user == user_of(u) && !strcmp(row->executable, u->executable) &&
		    !strcmp(row->container, u->container_id))
			return row;
	}
	return NULL;
}

static struct row *add_row(struct store_workloads *s, const struct use *u, uint64_t hash)
{
	struct row *row;

	while (s->known.count >= KNOWN_MAX)
		forget(s, lru_entry(s->known.oldest, struct row, node));
	row = calloc(1, sizeof(*row));
	if (!row)
		return NULL;
	row->user = user_of(u);
	memcpy(row->executable, u->executable, sizeof(row->executable));
	memcpy(row->container, u->container_id, sizeof(row->container));
	lru_add(&s->known, &row->node, hash);
	return row;
}

void store_workloads_add(struct store_workloads *s, const struct use *u)
{
	uint64_t hash = hash_of(u);
	struct row *row = find(s, u, hash);

	if (!row)
		row = add_row(s, u, hash);
	if (!row)
		return;
	lru_touch(&s->known, &row->node);
	if (u->last_ns > row->last_ns)
		row->last_ns = u->last_ns;
	if (row->waits || (row->work == u->work && row->version == u->work->version &&
			   row->last_ns - row->written_ns < AGAIN_NS))
		return;
	if (row->work != u->work) {
		workload_drop(row->work);
		row->work = workload_hold(u->work);
	}
	row->waits = true;
	row->next = s->first;
	s->first = row;
	s->waiting++;
}

size_t store_workloads_waiting(const struct store_workloads *s)
{
	return s->waiting;
}

static int write_row(sqlite3_stmt *st, const struct row *row)
{
	const struct workload *w = row->work;
	int r;

	r = statement_text(st, 1, row->executable);
	r |= sqlite3_bind_int64(st, 2, row->user);
	r |= statement_text(st, 3, row->container);
	r |= statement_text(st, 4, w->kind);
	r |= statement_text(st, 5, w->name);
	r |= statement_text(st, 6, w->namespace);
	r |= statement_text(st, 7, w->pod);
	r |= statement_text(st, 8, w->service_account);
	r |= statement_text(st, 9, w->unit);
	r |= statement_text(st, 10, w->evidence);
	r |= sqlite3_bind_int64(st, 11, (sqlite3_int64)row->last_ns);
	return statement_run(st, r);
}

int store_workloads_write(struct store_workloads *s)
{
	int r = SQLITE_OK;

	for (struct row *row = s->first; row && r == SQLITE_OK; row = row->next)
		r = write_row(s->upsert, row);
	return r;
}

void store_workloads_clear(struct store_workloads *s)
{
	for (struct row *row = s->first; row; row = row->next) {
		row->waits = false;
		row->written_ns = row->last_ns;
		row->version = row->work->version;
	}
	s->first = NULL;
	s->waiting = 0;
}
