/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/store_coverage.h"
#include "sinks/store_statement.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "base/lru.h"
#include "sinks/sink.h"

#define PENDING_MAX 2048
#define ROW_BYTES 1024		/* of the file, with its libraries and the index, at most */
#define STORE_PART 16		/* rows take no more than this part of the store */
#define ROWS_MAX 10000

struct pending {
	struct lru_node node;
	struct coverage c;
};

enum statement { ROW, NO_LIBRARIES, LIBRARY, OLD_LIBRARIES, OLD, STATEMENTS };

struct store_coverage {
	sqlite3_stmt *statements[STATEMENTS];
	struct lru pending;
	int64_t rows_max;
};

/* The rows beyond the newest ?1. */
#define OLDEST "SELECT pid, start FROM cover ORDER BY last DESC LIMIT -1 OFFSET ?1"

static const char *const statement_sql[STATEMENTS] = {
	[ROW] = "INSERT OR REPLACE INTO cover (pid, start, started, process, executable, user, "
		"container, workload_kind, workload, client, server, middle, io_uring, ended, "
		"sockets, blind_sockets, wire_sent, wire_received, covered_sent, covered_received, "
		"plain_sent, plain_received, first_tls, first_call, exec_to_call, status, reason, "
		"last) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, "
		"?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28)",
	[NO_LIBRARIES] = "DELETE FROM cover_library WHERE pid = ?1 AND start = ?2",
	[LIBRARY] = "INSERT INTO cover_library (pid, start, position, library, version, path, how, "
		    "since, probes, refused, reason, used, placed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, "
		    "?8, ?9, ?10, ?11, ?12, ?13)",
	[OLD_LIBRARIES] = "DELETE FROM cover_library WHERE (pid, start) IN (" OLDEST ")",
	[OLD] = "DELETE FROM cover WHERE (pid, start) IN (" OLDEST ")",
};

int store_coverage_new(uint64_t max_bytes, struct store_coverage **ret_coverage)
{
	struct store_coverage *s = calloc(1, sizeof(*s));
	uint64_t rows = max_bytes / STORE_PART / ROW_BYTES;

	if (!s)
		return -ENOMEM;
	s->rows_max = rows < ROWS_MAX ? (int64_t)rows : ROWS_MAX;
	if (lru_init(&s->pending) < 0) {
		free(s);
		return -ENOMEM;
	}
	*ret_coverage = s;
	return 0;
}

void store_coverage_free(struct store_coverage *s)
{
	if (!s)
		return;
	store_coverage_finalize(s);
	store_coverage_clear(s);
	lru_done(&s->pending);
	free(s);
}

int store_coverage_prepare(struct store_coverage *s, struct sqlite3 *db)
{
	for (int i = 0; i < STATEMENTS; i++) {
		int r = sqlite3_prepare_v3(db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
					   &s->statements[i], NULL);

		if (r != SQLITE_OK)
			return r;
	}
	return SQLITE_OK;
}

void store_coverage_finalize(struct store_coverage *s)
{
	for (int i = 0; s && i < STATEMENTS; i++) {
		sqlite3_finalize(s->statements[i]);
		s->statements[i] = NULL;
	}
}

/* ---- writing ---- */

static int bind_process(sqlite3_stmt *st, const struct coverage *c)
{
	int r;

	r = statement_number(st, 1, c->pid);
	r |= statement_number(st, 2, c->start_ns);
	return r;
}

static int bind_who(sqlite3_stmt *st, const struct coverage *c)
{
	int r = bind_process(st, c);

	r |= statement_number(st, 3, c->started_ns);
	r |= statement_text(st, 4, c->process_name);
	r |= statement_text(st, 5, c->executable);
	r |= statement_user(st, 6, c->uid);
	r |= statement_text(st, 7, c->container_id);
	r |= statement_text(st, 8, coverage_kind_name(c->workload_kind));
	r |= statement_text(st, 9, c->workload);
	return r;
}

static int bind_row(sqlite3_stmt *st, const struct coverage *c)
{
	const uint64_t numbers[] = {
		c->client, c->server, c->middle, c->io_uring, c->ended, c->sockets,
		c->blind_sockets, c->wire[0], c->wire[1], c->covered[0], c->covered[1], c->plain[0],
		c->plain[1], c->first_tls_ns, c->first_call_ns, c->exec_to_call_ns,
	};
	int r = bind_who(st, c);

	for (int i = 0; i < 16; i++)
		r |= statement_number(st, 10 + i, numbers[i]);
	r |= statement_text(st, 26, coverage_status_name(c->status));
	r |= statement_text(st, 27, coverage_reason(c->reason));
	r |= statement_number(st, 28, c->time_ns);
	return r;
}

static int bind_library(sqlite3_stmt *st, const struct coverage *c, size_t i)
{
	const struct coverage_library *l = &c->library[i];
	int r = bind_process(st, c);

	r |= statement_number(st, 3, i);
	r |= statement_text(st, 4, use_tls_library(l->tls));
	r |= statement_text(st, 5, l->version);
	r |= statement_text(st, 6, l->path);
	r |= statement_text(st, 7, coverage_how(l->how));
	r |= statement_number(st, 8, l->since_ns);
	r |= statement_number(st, 9, l->probes);
	r |= statement_number(st, 10, l->refused);
	r |= statement_text(st, 11, coverage_reason(coverage_library_reason(l)));
	r |= statement_number(st, 12, l->used);
	r |= statement_number(st, 13, l->placed);
	return r;
}

static int write_process(struct store_coverage *s, const struct coverage *c)
{
	sqlite3_stmt **st = s->statements;
	int r;

	r = statement_run(st[ROW], bind_row(st[ROW], c));
	if (r == SQLITE_OK)
		r = statement_run(st[NO_LIBRARIES], bind_process(st[NO_LIBRARIES], c));
	for (size_t i = 0; i < c->libraries && r == SQLITE_OK; i++)
		if (c->library[i].tls)
			r = statement_run(st[LIBRARY], bind_library(st[LIBRARY], c, i));
	return r;
}

int store_coverage_write(struct store_coverage *s)
{
	sqlite3_stmt **st = s->statements;
	int r = SQLITE_OK;

	for (struct lru_node *n = s->pending.oldest; n && r == SQLITE_OK; n = n->newer)
		r = write_process(s, &lru_entry(n, struct pending, node)->c);
	if (r == SQLITE_OK)
		r = statement_run(st[OLD_LIBRARIES], sqlite3_bind_int64(st[OLD_LIBRARIES], 1, s->rows_max));
	if (r == SQLITE_OK)
		r = statement_run(st[OLD], sqlite3_bind_int64(st[OLD], 1, s->rows_max));
	return r;
}

/* ---- what waits ---- */

int store_coverage_add(struct store_coverage *s, const struct coverage *c)
{
	uint64_t key[] = { c->pid, c->start_ns }, hash = lru_hash(0, key, sizeof(key));
	struct pending *p;

	for (struct lru_node *n = lru_first(&s->pending, hash); n; n = lru_next(n)) {
		p = lru_entry(n, struct pending, node);
		if (p->c.pid != c->pid || p->c.start_ns != c->start_ns)
			continue;
		p->c = *c;
		return 0;
	}
	p = s->pending.count < PENDING_MAX ? malloc(sizeof(*p)) : NULL;
	if (!p) {
		agent_drops[TT_DROP_store_failed]++;
		return s->pending.count < PENDING_MAX ? -ENOMEM : -ENOBUFS;
	}
	p->c = *c;
	lru_add(&s->pending, &p->node, hash);
	return 0;
}

size_t store_coverage_waiting(const struct store_coverage *s)
{
	return s->pending.count;
}

void store_coverage_clear(struct store_coverage *s)
{
	struct lru_node *n;

	while ((n = s->pending.oldest)) {
		lru_remove(&s->pending, n);
		free(lru_entry(n, struct pending, node));
	}
}

void store_coverage_give_up(struct store_coverage *s)
{
	if (!s)
		return;
	agent_drops[TT_DROP_store_failed] += s->pending.count;
	store_coverage_clear(s);
}
