/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/store_mints.h"
#include "sinks/store_statement.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "sinks/sink.h"

#define PENDING_MAX 512
#define ROW_BYTES 1024		/* of the file, with its tokens and the indexes, mostly less */
#define STORE_PART 8		/* rows take no more than this part of the store */
#define ROWS_MAX 200000
#define HOUR_NS (3600 * UINT64_C(1000000000))
#define BUCKET_NS (300 * UINT64_C(1000000000))

struct pending {
	struct pending *next;
	struct mint m;
};

enum statement { ROW, TOKEN, ABOUT, RATE, HOUR, OLD_TOKENS, OLD, STATEMENTS };

struct store_mints {
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENTS];
	struct pending *first, **last;
	size_t waiting;
	int64_t rows_max;
};

static const char *const statement_sql[STATEMENTS] = {
	[ROW] = "INSERT INTO mint (time, action, method, issuer, mint_grant, status, direction, process, "
		"executable, user, container, pid, http_method, path, server_address, server_port, peer_ip, "
		"peer_port, client_ip, tls, http_version, client_id, subject, audience, requested_scopes, "
		"scopes, expires, note) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, "
		"?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28)",
	[TOKEN] = "INSERT OR IGNORE INTO mint_token (number, token, part, role) VALUES (?1, ?2, ?3, ?4)",
	/* A token that was minted and not used yet. */
	[ABOUT] = "INSERT OR IGNORE INTO token (token, key_id, class, kind, length, first, last, uses, egress, "
		  "ingress) VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, 0, 0, 0)",
	[RATE] = "INSERT INTO mint_rate (issuer, executable, user, container, bucket, mints, failed) "
		 "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO UPDATE SET "
		 "mints = mints + excluded.mints, failed = failed + excluded.failed",
	[HOUR] = "INSERT INTO hour (hour, uses, mints, failed_mints) VALUES (?1, 0, ?2, ?3) ON CONFLICT DO "
		 "UPDATE SET mints = mints + excluded.mints, failed_mints = failed_mints + excluded.failed_mints",
	[OLD_TOKENS] = "DELETE FROM mint_token WHERE number <= (SELECT max(number) FROM mint) - ?1",
	[OLD] = "DELETE FROM mint WHERE number <= (SELECT max(number) FROM mint) - ?1",
};

int store_mints_new(uint64_t max_bytes, struct store_mints **ret_mints)
{
	struct store_mints *s = calloc(1, sizeof(*s));
	uint64_t rows = max_bytes / STORE_PART / ROW_BYTES;

	if (!s)
		return -ENOMEM;
	s->rows_max = rows < ROWS_MAX ? (int64_t)rows : ROWS_MAX;
	s->last = &s->first;
	*ret_mints = s;
	return 0;
}

void store_mints_free(struct store_mints *s)
{
	if (!s)
		return;
	store_mints_finalize(s);
	store_mints_clear(s);
	free(s);
}

int store_mints_prepare(struct store_mints *s, struct sqlite3 *db)
{
	s->db = db;
	for (int i = 0; i < STATEMENTS; i++) {
		int r = sqlite3_prepare_v3(db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
					   &s->statements[i], NULL);

		if (r != SQLITE_OK)
			return r;
	}
	return SQLITE_OK;
}

void store_mints_finalize(struct store_mints *s)
{
	for (int i = 0; s && i < STATEMENTS; i++) {
		sqlite3_finalize(s->statements[i]);
		s->statements[i] = NULL;
	}
}

/* ---- writing ---- */

static int bind_request(sqlite3_stmt *st, const struct use *u)
{
	int r = statement_number(st, 6, u->status);

	r |= statement_text(st, 7, use_direction(u->dir));
	r |= statement_text(st, 8, u->process_name);
	r |= statement_text(st, 9, u->executable);
	r |= statement_user(st, 10, u->uid);
	r |= statement_text(st, 11, u->container_id);
	r |= statement_number(st, 12, u->pid);
	r |= statement_text(st, 13, u->method);
	r |= statement_text(st, 14, u->path);
	r |= statement_text(st, 15, u->server_address);
	r |= statement_number(st, 16, u->server_port);
	r |= statement_text(st, 17, u->peer_ip);
	r |= statement_number(st, 18, u->peer_port);
	r |= statement_text(st, 19, u->client_ip);
	r |= statement_number(st, 20, u->tls);
	r |= statement_number(st, 21, u->version);
	return r;
}

static int write_row(struct store_mints *s, const struct mint *m)
{
	sqlite3_stmt *st = s->statements[ROW];
	int r = statement_number(st, 1, m->time_ns);

	r |= statement_text(st, 2, mint_action(m->action));
	r |= statement_text(st, 3, m->method);
	r |= statement_text(st, 4, m->issuer);
	r |= statement_text(st, 5, m->grant);
	r |= bind_request(st, &m->request);
	r |= statement_text(st, 22, m->client_id);
	r |= statement_text(st, 23, m->subject);
	r |= statement_text(st, 24, m->audience);
	r |= statement_text(st, 25, m->requested_scopes);
	r |= statement_text(st, 26, m->scopes);
	r |= statement_number(st, 27, m->expires_ns);
	r |= statement_text(st, 28, *m->note ? m->note : m->error);
	return statement_run(st, r);
}

static int write_token(struct store_mints *s, const struct mint *m, const struct mint_token *t, int64_t number)
{
	sqlite3_stmt *st = s->statements[TOKEN];
	int r;

	r = statement_run(st, sqlite3_bind_int64(st, 1, number) | statement_text(st, 2, t->id) |
			    statement_text(st, 3, mint_part(t->part)) | statement_text(st, 4, t->role));
	if (r != SQLITE_OK)
		return r;
	st = s->statements[ABOUT];
	return statement_run(st, statement_text(st, 1, t->id) | statement_text(st, 2, m->request.key_id) |
			       statement_text(st, 3, t->class_name) | statement_text(st, 4, t->kind) |
			       statement_number(st, 5, t->length));
}

/* Only of who asks: the issuer that answers is no service that mints, and with both on one node each mint
 * would count twice. */
static int write_sums(struct store_mints *s, const struct mint *m)
{
	sqlite3_stmt *st = s->statements[RATE];
	int r;

	if (m->action != MINT_KIND_MINT || m->request.dir != TT_DIR_EGRESS)
		return SQLITE_OK;
	r = statement_run(st, statement_text(st, 1, m->issuer) | statement_text(st, 2, m->request.executable) |
			    statement_user(st, 3, m->request.uid) | statement_text(st, 4, m->request.container_id) |
			    statement_number(st, 5, m->time_ns / BUCKET_NS) | sqlite3_bind_int(st, 6, m->succeeded) |
			    sqlite3_bind_int(st, 7, !m->succeeded));
	if (r != SQLITE_OK)
		return r;
	st = s->statements[HOUR];
	return statement_run(st, statement_number(st, 1, m->time_ns / HOUR_NS) | sqlite3_bind_int(st, 2, m->succeeded) |
			       sqlite3_bind_int(st, 3, !m->succeeded));
}

static int write_one(struct store_mints *s, const struct mint *m)
{
	int r = write_row(s, m);
	int64_t number = sqlite3_last_insert_rowid(s->db);

	for (size_t i = 0; i < m->tokens && r == SQLITE_OK; i++)
		r = write_token(s, m, &m->token[i], number);
	return r == SQLITE_OK ? write_sums(s, m) : r;
}

int store_mints_write(struct store_mints *s)
{
	int r = SQLITE_OK;

	for (struct pending *p = s->first; p && r == SQLITE_OK; p = p->next)
		r = write_one(s, &p->m);
	if (r == SQLITE_OK)
		r = statement_run(s->statements[OLD_TOKENS], sqlite3_bind_int64(s->statements[OLD_TOKENS], 1, s->rows_max));
	if (r == SQLITE_OK)
		r = statement_run(s->statements[OLD], sqlite3_bind_int64(s->statements[OLD], 1, s->rows_max));
	return r;
}

/* ---- waiting ---- */

int store_mints_add(struct store_mints *s, const struct mint *m)
{
	struct pending *p = s->waiting < PENDING_MAX ? malloc(sizeof(*p)) : NULL;

	if (!p) {
		agent_drops[TT_DROP_store_failed]++;
		return s->waiting < PENDING_MAX ? -ENOMEM : -ENOBUFS;
	}
	p->next = NULL;
	p->m = *m;
	*s->last = p;
	s->last = &p->next;
	s->waiting++;
	return 0;
}

size_t store_mints_waiting(const struct store_mints *s)
{
	return s->waiting;
}

void store_mints_clear(struct store_mints *s)
{
	struct pending *p;

	while ((p = s->first)) {
		s->first = p->next;
		free(p);
	}
	s->last = &s->first;
	s->waiting = 0;
}

void store_mints_give_up(struct store_mints *s)
{
	agent_drops[TT_DROP_store_failed] += s->waiting;
	store_mints_clear(s);
}
