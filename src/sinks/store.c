/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SQLite store: every distinct use once, with its sums (schemas/store.sql). Uses are added up
 * in memory first and written in one transaction about once a second, so that a kill loses at most
 * that second and a reader never sees half of it.
 *
 * When the store is full, or the disk is, what is new waits in memory (PENDING_MAX rows) and is
 * tried again every RETRY_NS; rows that exist go on being updated in the pages kept back for that.
 * Only what finds no room in memory either is given up, and counted.
 */
#include "sinks/sinks.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include <sqlite3.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/lru.h"
#include "sinks/store_coverage.h"
#include "sinks/store_facts.h"
#include "sinks/store_mints.h"
#include "sinks/store_schema.h"
#include "sinks/store_statement.h"
#include "sinks/store_workloads.h"
#include "tokens/workload.h"

#define PAGE_BYTES 4096
#define FLUSH_ROWS 1000
#define FLUSH_NS UINT64_C(1000000000)
#define RETRY_NS (10 * FLUSH_NS)
#define PENDING_MAX 4096	/* rows, about 1.25 KiB each */
#define FULL_BATCH 16		/* rows per transaction in a full store: one that fits shouldn't wait
				 * for those that don't */
#define FULL_PAGES 64		/* more than FULL_BATCH rows can take */
#define BUSY_MS 250
#define HOUR_NS (3600 * FLUSH_NS)
#define DAY_NS (24 * HOUR_NS)
#define DAYS_KEPT 92		/* of a token's requests a day */

/* Uses that are not written yet, added up; `u` is as its row will be. */
struct pending {
	struct lru_node node;
	struct use u;
	bool written;	/* in the open transaction */
};

struct pending_loss {
	const char *reason;
	uint64_t added, first_ns, last_ns;
};

enum statement {
	USE_UPDATE, USE_INSERT, CALL_UPDATE, CALL_INSERT, TOKEN_UPDATE, TOKEN_INSERT, LOSS_UPSERT,
	DAY_UPDATE, DAY_INSERT, DAY_OLD, HOUR_UPDATE, HOUR_INSERT, STATEMENTS
};

struct store_sink {
	sqlite3 *db;		/* NULL: not open yet, the disk was full */
	sqlite3_stmt *statements[STATEMENTS];
	char *path, *node;
	uint64_t max_bytes;
	struct lru pending;
	uint64_t waiting;	/* uses in it */
	struct pending_loss losses[TT_DROP_MAX];
	size_t loss_count;
	struct store_coverage *coverage;
	struct store_facts *facts;
	struct store_workloads *workloads;
	struct store_mints *mints;
	uint64_t tried_ns;	/* tick's clock */
	uint64_t hour;		/* since 1970; that it was there in it is written */
	uint64_t idle_s;	/* UINT64_MAX: nobody said */
	sqlite3_stmt *known, *known_facts;	/* of recall */
	int trouble;		/* SQLite's code of the last failure; 0 = all is well */
};

#define UPDATE(table)                                                                              \
	"UPDATE " table " SET count = count + ?17, first = min(first, ?18), "                      \
	"last = max(last, ?19), pid = iif(?19 >= last, ?20, pid), "                                \
	"client_ip = iif(?19 >= last, ?21, client_ip), "                                           \
	"http_version = iif(?19 >= last, ?22, http_version) "                                      \
	"WHERE token = ?1 AND direction = ?2 AND process = ?3 AND executable = ?4 AND user = ?5 "  \
	"AND container = ?6 AND carrier = ?7 AND scheme = ?8 AND method = ?9 AND path = ?10 "      \
	"AND status = ?11 AND server_address = ?12 AND server_port = ?13 AND peer_ip = ?14 "       \
	"AND peer_port = ?15 AND tls = ?16"
#define COLUMNS                                                                                    \
	"token, direction, process, executable, user, container, carrier, scheme, method, path, "  \
	"status, server_address, server_port, peer_ip, peer_port, tls, count, first, last, pid, "  \
	"client_ip, http_version"
#define VALUES                                                                                     \
	"?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, "   \
	"?20, ?21, ?22"

static const char *const statement_sql[STATEMENTS] = {
	[USE_UPDATE] = UPDATE("use"),
	[USE_INSERT] = "INSERT INTO use (" COLUMNS ") VALUES (" VALUES ")",
	[CALL_UPDATE] = UPDATE("call") " AND grpc_status = ?23 AND mcp_method = ?24 "
				       "AND mcp_name = ?25",
	[CALL_INSERT] = "INSERT INTO call (" COLUMNS ", grpc_status, mcp_method, mcp_name) "
			"VALUES (" VALUES ", ?23, ?24, ?25)",
	[TOKEN_UPDATE] =
		"UPDATE token SET key_id = ?2, class = iif(?3 = '', class, ?3), "
		"kind = iif(?4 = '', kind, ?4), length = ?5, "
		"first = iif(first = 0, ?6, min(first, ?6)), "
		"last = max(last, ?7), uses = uses + ?8, egress = egress + ?9, "
		"ingress = ingress + ?10 WHERE token = ?1",
	[TOKEN_INSERT] =
		"INSERT INTO token (token, key_id, class, kind, length, first, last, uses, egress, "
		"ingress, readable, entry) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, "
		"?12)",
	[LOSS_UPSERT] =
		"INSERT INTO loss (reason, count, first, last) VALUES (?1, ?2, ?3, ?4) "
		"ON CONFLICT (reason) DO UPDATE SET count = count + excluded.count, "
		"first = min(first, excluded.first), last = max(last, excluded.last)",
	[DAY_UPDATE] = "UPDATE use_day SET uses = uses + ?3 WHERE token = ?1 AND day = ?2",
	[DAY_INSERT] = "INSERT INTO use_day (token, day, uses) VALUES (?1, ?2, ?3)",
	[DAY_OLD] = "DELETE FROM use_day WHERE token = ?1 AND day < ?2",
	[HOUR_UPDATE] = "UPDATE hour SET uses = uses + ?2 WHERE hour = ?1",
	[HOUR_INSERT] = "INSERT OR IGNORE INTO hour (hour, uses, mints, failed_mints) VALUES (?1, ?2, 0, 0)",
};

/* ---- binding and running ---- */

static int bind_use_key(sqlite3_stmt *st, const struct use *u)
{
	int r;

	r = statement_text(st, 1, u->token_id);
	r |= statement_text(st, 2, use_direction(u->dir));
	r |= statement_text(st, 3, u->process_name);
	r |= statement_text(st, 4, u->executable);
	r |= statement_user(st, 5, u->uid);
	r |= statement_text(st, 6, u->container_id);
	r |= statement_text(st, 7, u->carrier);
	r |= statement_text(st, 8, u->scheme);
	r |= statement_text(st, 9, u->method);
	r |= statement_text(st, 10, u->path);
	r |= statement_number(st, 11, u->status);
	r |= statement_text(st, 12, u->server_address);
	r |= statement_number(st, 13, u->server_port);
	r |= statement_text(st, 14, u->peer_ip);
	r |= statement_number(st, 15, u->peer_port);
	r |= statement_number(st, 16, u->tls);
	return r;
}

static int bind_use(sqlite3_stmt *st, const struct use *u)
{
	int r = bind_use_key(st, u);

	r |= statement_number(st, 17, u->count);
	r |= statement_number(st, 18, u->first_ns);
	r |= statement_number(st, 19, u->last_ns);
	r |= statement_number(st, 20, u->pid);
	r |= statement_text(st, 21, u->client_ip);
	r |= statement_number(st, 22, u->version);
	return r;
}

static int bind_call(sqlite3_stmt *st, const struct use *u)
{
	int r = bind_use(st, u);

	r |= sqlite3_bind_int(st, 23, u->has_grpc ? u->grpc_status : -1);
	r |= statement_text(st, 24, u->mcp_method);
	r |= statement_text(st, 25, u->mcp_name);
	return r;
}

static int bind_token(sqlite3_stmt *st, const struct use *u)
{
	int r;

	r = statement_text(st, 1, u->token_id);
	r |= statement_text(st, 2, u->key_id);
	r |= statement_text(st, 3, u->class_name);
	r |= statement_text(st, 4, u->kind);
	r |= statement_number(st, 5, u->length);
	r |= statement_number(st, 6, u->first_ns);
	r |= statement_number(st, 7, u->last_ns);
	r |= statement_number(st, 8, u->count);
	r |= statement_number(st, 9, u->dir == TT_DIR_EGRESS ? u->count : 0);
	r |= statement_number(st, 10, u->dir == TT_DIR_INGRESS ? u->count : 0);
	return r;
}

static int bind_new_token(sqlite3_stmt *st, const struct use *u)
{
	int r = bind_token(st, u);

	r |= sqlite3_bind_int(st, 11, !u->unreadable);
	r |= statement_number(st, 12, u->entry);
	return r;
}

static int run_sql(sqlite3 *db, const char *sql)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

/* ---- opening ---- */

/* Pages that only updates may use: a sum that gets longer may need one. */
static int64_t max_pages(const struct store_sink *s, bool grow)
{
	int64_t pages = (int64_t)(s->max_bytes / PAGE_BYTES);

	return grow ? pages - pages / 32 - 4 : pages;
}

static int limit_pages(struct store_sink *s, bool grow)
{
	char sql[64];

	snprintf(sql, sizeof(sql), "PRAGMA max_page_count = %" PRId64, max_pages(s, grow));
	return run_sql(s->db, sql);
}

static int set_pragmas(struct store_sink *s)
{
	int64_t wal = max_pages(s, true) / 8;
	char sql[512];
	int r;

	/* The write-ahead log stays small beside the store itself. Nothing goes to temporary files:
	 * the agent may open none. */
	snprintf(sql, sizeof(sql),
		 "PRAGMA page_size = %d; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; "
		 "PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF; "
		 "PRAGMA wal_autocheckpoint = %" PRId64 "; PRAGMA journal_size_limit = %" PRId64,
		 PAGE_BYTES, wal < 1000 ? wal : 1000, (wal < 1000 ? wal : 1000) * PAGE_BYTES);
	r = run_sql(s->db, sql);
	return r == SQLITE_OK ? limit_pages(s, true) : r;
}

static int set_node(struct store_sink *s)
{
	sqlite3_stmt *st = NULL;
	int r;

	/* The agent before may have died; the processes that live are told of again. */
	r = run_sql(s->db, "UPDATE cover SET ended = 1 WHERE NOT ended");
	if (r != SQLITE_OK)
		return r;
	r = sqlite3_prepare_v2(s->db,
			       "INSERT INTO meta (name, value) VALUES ('node', ?1) "
			       "ON CONFLICT (name) DO UPDATE SET value = ?1 WHERE value <> ?1",
			       -1, &st, NULL);
	if (r == SQLITE_OK)
		r = statement_run(st, statement_text(st, 1, s->node));
	sqlite3_finalize(st);
	return r;
}

static int set_idle(struct store_sink *s)
{
	sqlite3_stmt *st = NULL;
	int r;

	if (s->idle_s == UINT64_MAX)
		return SQLITE_OK;
	r = sqlite3_prepare_v2(s->db, "INSERT OR REPLACE INTO meta VALUES ('idle', ?1)", -1, &st, NULL);
	if (r == SQLITE_OK)
		r = statement_run(st, statement_number(st, 1, s->idle_s));
	sqlite3_finalize(st);
	return r;
}

static int prepare_recall(struct store_sink *s)
{
	int r = sqlite3_prepare_v3(s->db, "SELECT first, last, uses, egress, ingress FROM token "
				   "WHERE token = ?1", -1, SQLITE_PREPARE_PERSISTENT, &s->known, NULL);

	return r == SQLITE_OK ? store_facts_select(s->db, "fact", &s->known_facts) : r;
}

static int prepare(struct store_sink *s)
{
	int r;

	for (int i = 0; i < STATEMENTS; i++) {
		r = sqlite3_prepare_v3(s->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
				       &s->statements[i], NULL);
		if (r != SQLITE_OK)
			return r;
	}
	r = store_coverage_prepare(s->coverage, s->db);
	if (r == SQLITE_OK)
		r = prepare_recall(s);
	if (r == SQLITE_OK)
		r = store_facts_prepare(s->facts, s->db);
	if (r == SQLITE_OK)
		r = store_mints_prepare(s->mints, s->db);
	return r == SQLITE_OK ? store_workloads_prepare(s->workloads, s->db) : r;
}

static void store_close(struct store_sink *s)
{
	for (int i = 0; i < STATEMENTS; i++) {
		sqlite3_finalize(s->statements[i]);
		s->statements[i] = NULL;
	}
	store_coverage_finalize(s->coverage);
	store_facts_finalize(s->facts);
	store_workloads_finalize(s->workloads);
	sqlite3_finalize(s->known);
	sqlite3_finalize(s->known_facts);
	s->known = s->known_facts = NULL;
	store_mints_finalize(s->mints);
	sqlite3_close(s->db);
	s->db = NULL;
}

/* What can go away by itself or by an operator's hand while the agent runs on. */
static bool is_disk_full(sqlite3 *db, int code)
{
	int e = sqlite3_system_errno(db);

	if ((code & 0xff) == SQLITE_FULL)
		return true;
	return (code & 0xff) == SQLITE_IOERR && (e == ENOSPC || e == EDQUOT || e == EFBIG);
}

static const char *open_remedy(int code)
{
	switch (code & 0xff) {
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
		return "it is damaged or not a store; move it away and a new one is made";
	case SQLITE_CANTOPEN:
	case SQLITE_READONLY:
	case SQLITE_PERM:
		return "give the directory and its files to the agent's user";
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return "another program holds it locked; end that one";
	default:
		return "check the disk and the file's permissions";
	}
}

static int open_db(struct store_sink *s, struct config_error *ret_error)
{
	int r, prepared;

	r = sqlite3_open_v2(s->path, &s->db,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	if (r != SQLITE_OK)
		return r;
	sqlite3_extended_result_codes(s->db, 1);
	sqlite3_busy_timeout(s->db, BUSY_MS);
	r = set_pragmas(s);
	if (r == SQLITE_OK)
		r = store_schema_set(s->db, s->path, ret_error);
	if (r == SQLITE_OK)
		r = set_node(s);
	if (r == SQLITE_OK)
		r = set_idle(s);
	if (r != SQLITE_OK && !is_disk_full(s->db, r))
		return r;
	/* On a full disk a store that has its tables is opened all the same. */
	prepared = prepare(s);
	return prepared == SQLITE_OK || r == SQLITE_OK ? prepared : r;
}

/* SQLITE_OK, or why not with *ret_error filled; then s->db is NULL. */
static int store_open(struct store_sink *s, struct config_error *ret_error)
{
	int fd, r;

	/* Made here for its mode: SQLite gives its side files that of the store. */
	fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
	if (fd < 0) {
		snprintf(ret_error->text, sizeof(ret_error->text),
			 "can't open the store %s: %s; %s", s->path, strerror(errno),
			 errno == ENOSPC || errno == EDQUOT ? "free some space"
							    : open_remedy(SQLITE_CANTOPEN));
		return errno == ENOSPC || errno == EDQUOT ? SQLITE_FULL : SQLITE_CANTOPEN;
	}
	close(fd);

	ret_error->text[0] = '\0';
	r = open_db(s, ret_error);
	if (r == SQLITE_OK)
		return r;
	if (!ret_error->text[0])
		snprintf(ret_error->text, sizeof(ret_error->text), "can't open the store %s: %s; %s",
			 s->path, sqlite3_errstr(r), open_remedy(r));
	if (is_disk_full(s->db, r))
		r = SQLITE_FULL;
	store_close(s);
	return r;
}

/* ---- writing ---- */

/* Which of the two tables of uses. */
static bool is_call(const struct use *u)
{
	return u->has_grpc || u->mcp_method[0] || u->mcp_name[0];
}

/* Requests of the token's day and of the hour. A full store has no room for new days: the uses themselves
 * are counted all the same. */
static int write_times(struct store_sink *s, const struct use *u, bool grow)
{
	sqlite3_stmt **st = s->statements;
	uint64_t day = u->last_ns / DAY_NS, hour = u->last_ns / HOUR_NS;
	int r;

	r = statement_run(st[DAY_UPDATE], statement_text(st[DAY_UPDATE], 1, u->token_id) |
		statement_number(st[DAY_UPDATE], 2, day) | statement_number(st[DAY_UPDATE], 3, u->count));
	if (r == SQLITE_OK && grow && sqlite3_changes(s->db) == 0) {
		r = statement_run(st[DAY_INSERT], statement_text(st[DAY_INSERT], 1, u->token_id) |
			statement_number(st[DAY_INSERT], 2, day) | statement_number(st[DAY_INSERT], 3, u->count));
		if (r == SQLITE_OK && day > DAYS_KEPT)
			r = statement_run(st[DAY_OLD], statement_text(st[DAY_OLD], 1, u->token_id) |
				statement_number(st[DAY_OLD], 2, day - DAYS_KEPT));
	}
	if (r == SQLITE_OK)
		r = statement_run(st[HOUR_UPDATE], statement_number(st[HOUR_UPDATE], 1, hour) |
			statement_number(st[HOUR_UPDATE], 2, u->count));
	if (r == SQLITE_OK && grow && sqlite3_changes(s->db) == 0)
		r = statement_run(st[HOUR_INSERT], statement_number(st[HOUR_INSERT], 1, hour) |
			statement_number(st[HOUR_INSERT], 2, u->count));
	return r;
}

/* Updates the row, or makes it if `grow`. *ret_done: there is such a row now. */
static int write_row(struct store_sink *s, struct pending *p, bool grow)
{
	sqlite3_stmt **st = s->statements;
	bool call = is_call(&p->u), insert = false;
	int (*bind)(sqlite3_stmt *, const struct use *) = call ? bind_call : bind_use;
	sqlite3_stmt *update = st[call ? CALL_UPDATE : USE_UPDATE];
	sqlite3_stmt *make = st[call ? CALL_INSERT : USE_INSERT];
	int r;

	r = statement_run(update, bind(update, &p->u));
	if (r == SQLITE_OK && sqlite3_changes(s->db) == 0) {
		if (!grow)
			return SQLITE_OK;
		insert = true;
		r = statement_run(make, bind(make, &p->u));
	}
	if (r == SQLITE_OK)
		r = statement_run(st[TOKEN_UPDATE], bind_token(st[TOKEN_UPDATE], &p->u));
	/* A token with uses has a row; only a new use can belong to a new token. */
	if (r == SQLITE_OK && insert && sqlite3_changes(s->db) == 0)
		r = statement_run(st[TOKEN_INSERT], bind_new_token(st[TOKEN_INSERT], &p->u));
	if (r == SQLITE_OK)
		r = write_times(s, &p->u, grow);
	p->written = r == SQLITE_OK;
	return r;
}

static int write_losses(struct store_sink *s)
{
	sqlite3_stmt *st = s->statements[LOSS_UPSERT];
	int r = SQLITE_OK;

	for (size_t i = 0; i < s->loss_count && r == SQLITE_OK; i++) {
		const struct pending_loss *l = &s->losses[i];
		int bound = statement_text(st, 1, l->reason);

		bound |= statement_number(st, 2, l->added);
		bound |= statement_number(st, 3, l->first_ns);
		bound |= statement_number(st, 4, l->last_ns);
		r = statement_run(st, bound);
	}
	return r;
}

static void pending_forget(struct store_sink *s, struct pending *p)
{
	s->waiting -= p->u.count;
	lru_remove(&s->pending, &p->node);
	free(p);
}

/* Forgets what the transaction wrote, or takes it back. */
static void settle(struct store_sink *s, bool committed)
{
	struct lru_node *n, *newer;

	for (n = s->pending.oldest; n; n = newer) {
		struct pending *p = lru_entry(n, struct pending, node);

		newer = n->newer;
		if (!p->written)
			continue;
		p->written = false;
		if (committed)
			pending_forget(s, p);
	}
}

/* grow: rows may be added, not only updated. */
static int begin_transaction(struct store_sink *s, bool grow)
{
	int r = limit_pages(s, grow);

	return r == SQLITE_OK ? run_sql(s->db, "BEGIN IMMEDIATE") : r;
}

/* SQLite ends the transaction by itself after some errors, not after others. */
static int end_transaction(struct store_sink *s, int r)
{
	if (r == SQLITE_OK)
		r = run_sql(s->db, "COMMIT");
	if (r != SQLITE_OK && !sqlite3_get_autocommit(s->db))
		run_sql(s->db, "ROLLBACK");
	return r;
}

/* One transaction of at most `rows` rows, oldest first, and the losses, which are few. */
static int write_batch(struct store_sink *s, bool grow, size_t rows)
{
	struct lru_node *n;
	int r;

	r = begin_transaction(s, grow);
	if (r != SQLITE_OK)
		return r;
	for (n = s->pending.oldest; n && rows && r == SQLITE_OK; n = n->newer, rows--)
		r = write_row(s, lru_entry(n, struct pending, node), grow);
	if (r == SQLITE_OK)
		r = write_losses(s);
	r = end_transaction(s, r);
	settle(s, r == SQLITE_OK);
	if (r == SQLITE_OK)
		s->loss_count = 0;
	return r;
}

/* Updates row by row, each in a transaction of its own: one that needs a page which is not to be
 * had keeps no other from being counted. */
static int update_each(struct store_sink *s)
{
	struct lru_node *n, *newer;
	int r = SQLITE_OK;

	for (n = s->pending.oldest; n && (r == SQLITE_OK || (r & 0xff) == SQLITE_FULL); n = newer) {
		struct pending *p = lru_entry(n, struct pending, node);

		newer = n->newer;
		r = run_sql(s->db, "BEGIN IMMEDIATE");
		if (r == SQLITE_OK)
			r = end_transaction(s, write_row(s, p, false));
		if (r == SQLITE_OK && p->written)
			pending_forget(s, p);
		else
			p->written = false;
	}
	return r;
}

static void say_trouble(struct store_sink *s, int code)
{
	int64_t pages = 0;
	bool at_limit = s->db && (code & 0xff) == SQLITE_FULL &&
			store_get_number(s->db, "PRAGMA page_count", &pages) == SQLITE_OK &&
			pages + FULL_PAGES >= max_pages(s, true);

	if (at_limit)
		log_warning("the store is full and stops growing: known uses are still counted, new "
			    "ones wait in memory; raise store.max_size or move the file away and "
			    "start again path=%s bytes=%" PRIu64, s->path, s->max_bytes);
	else if ((code & 0xff) == SQLITE_FULL)
		log_warning("the disk of the store is full: uses wait in memory and are tried again "
			    "every 10 s; free some space path=%s", s->path);
	else
		log_warning("can't write to the store: uses wait in memory and are tried again every "
			    "10 s; check the disk and the file's permissions path=%s reason=\"%s\"",
			    s->path, sqlite3_errstr(code));
}

static void set_trouble(struct store_sink *s, int code)
{
	if (code != SQLITE_OK && (code & 0xff) != (s->trouble & 0xff))
		say_trouble(s, code);
	if (code == SQLITE_OK && s->trouble != SQLITE_OK)
		log_info("the store takes new uses again path=%s", s->path);
	s->trouble = code;
}

static int store_try_open(struct store_sink *s)
{
	struct config_error error;

	return s->db ? SQLITE_OK : store_open(s, &error);
}

static int write_coverage(struct store_sink *s)
{
	int r;

	r = begin_transaction(s, true);
	if (r != SQLITE_OK)
		return r;
	r = end_transaction(s, store_coverage_write(s->coverage));
	if (r == SQLITE_OK)
		store_coverage_clear(s->coverage);
	return r;
}

static int write_facts(struct store_sink *s)
{
	int r;

	r = begin_transaction(s, true);
	if (r != SQLITE_OK)
		return r;
	r = store_facts_write(s->facts);
	if (r == SQLITE_OK)
		r = store_workloads_write(s->workloads);
	r = end_transaction(s, r);
	if (r != SQLITE_OK)
		return r;
	store_facts_clear(s->facts);
	store_workloads_clear(s->workloads);
	return r;
}

/* An hour without a use is one that was watched all the same: `report` tells silence from absence by it. */
static int write_watched(struct store_sink *s)
{
	sqlite3_stmt *st = s->statements[HOUR_INSERT];
	struct timespec t;
	uint64_t hour;
	int r;

	clock_gettime(CLOCK_REALTIME, &t);
	hour = (uint64_t)t.tv_sec * FLUSH_NS / HOUR_NS;
	if (hour == s->hour)
		return SQLITE_OK;
	r = limit_pages(s, true);
	if (r == SQLITE_OK)
		r = statement_run(st, statement_number(st, 1, hour) | statement_number(st, 2, 0));
	if (r == SQLITE_OK)
		s->hour = hour;
	return r;
}

static int write_mints(struct store_sink *s)
{
	int r;

	r = begin_transaction(s, true);
	if (r != SQLITE_OK)
		return r;
	r = end_transaction(s, store_mints_write(s->mints));
	if (r == SQLITE_OK)
		store_mints_clear(s->mints);
	return r;
}

/* Writes what waits; what can't be written goes on waiting. */
static void store_flush(struct store_sink *s)
{
	size_t batch = s->trouble ? FULL_BATCH : FLUSH_ROWS;
	int r, updated;

	r = store_try_open(s);
	while (r == SQLITE_OK && (s->pending.count || s->loss_count)) {
		r = write_batch(s, true, batch);
		if ((r & 0xff) == SQLITE_FULL && batch > FULL_BATCH) {
			batch = FULL_BATCH;
			r = SQLITE_OK;
		}
	}
	if (r == SQLITE_OK)
		r = write_watched(s);
	if (r == SQLITE_OK && (store_facts_waiting(s->facts) || store_workloads_waiting(s->workloads)))
		r = write_facts(s);
	if (r == SQLITE_OK && store_mints_waiting(s->mints))
		r = write_mints(s);
	/* Uses first: where there is no room for them, there is none for this. */
	if (r == SQLITE_OK && store_coverage_waiting(s->coverage))
		r = write_coverage(s);
	if ((r & 0xff) == SQLITE_FULL && s->db) {
		updated = write_batch(s, false, PENDING_MAX);
		if ((updated & 0xff) == SQLITE_FULL)
			updated = update_each(s);
		if ((updated & 0xff) != SQLITE_FULL && updated != SQLITE_OK)
			r = updated;
	}
	set_trouble(s, r);
}

/* ---- the sink ---- */

static uint64_t hash_text(uint64_t h, const char *text)
{
	return lru_hash(h, text, strlen(text) + 1);
}

/* Of what names the row, enough to tell most apart; same_row() has the last word. */
static uint64_t use_hash(const struct use *u)
{
	uint64_t h = hash_text(0, u->token_id);

	h = hash_text(h, u->process_name);
	h = hash_text(h, u->container_id);
	h = hash_text(h, u->method);
	h = hash_text(h, u->path);
	h = hash_text(h, u->server_address);
	h = hash_text(h, u->peer_ip);
	h = hash_text(h, u->mcp_name);
	return lru_hash(h, (uint16_t[]){ u->status, u->grpc_status }, 2 * sizeof(uint16_t));
}

static bool same_row(const struct use *a, const struct use *b)
{
	return !strcmp(a->token_id, b->token_id) && a->dir == b->dir &&
	       !strcmp(a->process_name, b->process_name) && !strcmp(a->executable, b->executable) &&
	       a->uid == b->uid && !strcmp(a->container_id, b->container_id) &&
	       !strcmp(a->carrier, b->carrier) && !strcmp(a->scheme, b->scheme) &&
	       !strcmp(a->method, b->method) && !strcmp(a->path, b->path) &&
	       a->status == b->status && !strcmp(a->server_address, b->server_address) &&
	       a->server_port == b->server_port && !strcmp(a->peer_ip, b->peer_ip) &&
	       a->peer_port == b->peer_port && a->tls == b->tls &&
	       a->has_grpc == b->has_grpc && a->grpc_status == b->grpc_status &&
	       !strcmp(a->mcp_method, b->mcp_method) && !strcmp(a->mcp_name, b->mcp_name);
}

static struct pending *pending_find(struct store_sink *s, const struct use *u, uint64_t hash)
{
	for (struct lru_node *n = lru_first(&s->pending, hash); n; n = lru_next(n)) {
		struct pending *p = lru_entry(n, struct pending, node);

		if (same_row(&p->u, u))
			return p;
	}
	return NULL;
}

static void pending_merge(struct pending *p, const struct use *u)
{
	uint64_t count = p->u.count + u->count;
	uint64_t first = p->u.first_ns < u->first_ns ? p->u.first_ns : u->first_ns;

	if (u->last_ns >= p->u.last_ns)
		p->u = *u;
	p->u.count = count;
	p->u.first_ns = first;
}

static int pending_add(struct store_sink *s, const struct use *u, uint64_t hash)
{
	struct pending *p;

	if (s->pending.count >= PENDING_MAX)
		return -ENOBUFS;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->u = *u;
	lru_add(&s->pending, &p->node, hash);
	return 0;
}

static int store_use(void *sink, const struct use *given)
{
	struct store_sink *s = sink;
	struct use u = *given;
	struct pending *p;
	uint64_t hash;
	int r = 0;

	if (u.work)
		store_workloads_add(s->workloads, &u);
	u.work = NULL;	/* kept once, by executable, user and container */
	if (u.dir == TT_DIR_INGRESS)
		u.peer_port = 0;	/* the client's; see store.sql */
	hash = use_hash(&u);
	p = pending_find(s, &u, hash);
	if (p)
		pending_merge(p, &u);
	else
		r = pending_add(s, &u, hash);
	if (r < 0)
		agent_drops[TT_DROP_store_failed] += u.count;
	else
		s->waiting += u.count;
	if (!s->trouble && s->pending.count >= FLUSH_ROWS)
		store_flush(s);
	return r;
}

/* Sums of `token` are made from the uses themselves: the inventory's begin anew with each start of the
 * agent, the store's do not. */
static int store_token(void *sink, const struct token *t)
{
	struct store_sink *s = sink;
	int r;

	if (!t->facts)
		return 0;
	r = store_facts_add(s->facts, t);
	if (!s->trouble && store_facts_waiting(s->facts) >= FLUSH_ROWS)
		store_flush(s);
	return r;
}

static int store_loss(void *sink, const struct loss *l)
{
	struct store_sink *s = sink;
	struct pending_loss *p = NULL;

	for (size_t i = 0; i < s->loss_count && !p; i++)
		if (!strcmp(s->losses[i].reason, l->reason))
			p = &s->losses[i];
	if (!p && s->loss_count == TT_DROP_MAX)
		return -ENOBUFS;
	if (!p) {
		p = &s->losses[s->loss_count++];
		*p = (struct pending_loss){ .reason = l->reason, .first_ns = l->time_ns };
	}
	p->added += l->added;
	p->last_ns = l->time_ns;
	return 0;
}

static int store_mint(void *sink, const struct mint *m)
{
	return store_mints_add(((struct store_sink *)sink)->mints, m);
}

static int store_coverage(void *sink, const struct coverage *c)
{
	return store_coverage_add(((struct store_sink *)sink)->coverage, c);
}

static void recall_facts(struct store_sink *s, const char *id, struct facts *ret_facts)
{
	if (sqlite3_bind_text(s->known_facts, 1, id, -1, SQLITE_STATIC) == SQLITE_OK &&
	    sqlite3_step(s->known_facts) == SQLITE_ROW &&
	    store_facts_read(s->known_facts, ret_facts) < 0)
		agent_drops[TT_DROP_store_failed]++;
	sqlite3_reset(s->known_facts);
	sqlite3_clear_bindings(s->known_facts);
}

/* As far as it was written: what waits, here or to be folded, is a second or two of uses. */
static bool store_recall(void *sink, struct token *t, struct facts *ret_facts)
{
	struct store_sink *s = sink;
	bool known = false;

	if (!s->db || sqlite3_bind_text(s->known, 1, t->token_id, -1, SQLITE_STATIC) != SQLITE_OK)
		return false;
	if (sqlite3_step(s->known) == SQLITE_ROW) {
		known = true;
		t->first_ns = (uint64_t)sqlite3_column_int64(s->known, 0);
		t->last_ns = (uint64_t)sqlite3_column_int64(s->known, 1);
		t->uses = (uint64_t)sqlite3_column_int64(s->known, 2);
		t->egress = (uint64_t)sqlite3_column_int64(s->known, 3);
		t->ingress = (uint64_t)sqlite3_column_int64(s->known, 4);
	}
	sqlite3_reset(s->known);
	sqlite3_clear_bindings(s->known);
	if (known)
		recall_facts(s, t->token_id, ret_facts);
	return known;
}

static uint64_t store_unwritten(const void *sink)
{
	return ((const struct store_sink *)sink)->waiting;
}

static int store_tick(void *sink, uint64_t now_ns)
{
	struct store_sink *s = sink;

	if (s->tried_ns && now_ns - s->tried_ns < (s->trouble ? RETRY_NS : FLUSH_NS))
		return 0;
	s->tried_ns = now_ns;
	store_flush(s);
	return 0;
}

static void give_up(struct store_sink *s)
{
	struct lru_node *n;

	while ((n = s->pending.oldest)) {
		struct pending *p = lru_entry(n, struct pending, node);

		agent_drops[TT_DROP_store_failed] += p->u.count;
		pending_forget(s, p);
	}
	store_coverage_give_up(s->coverage);
	store_facts_give_up(s->facts);
	store_mints_give_up(s->mints);
}

static int store_finish(void *sink, uint64_t limit_ms)
{
	struct store_sink *s = sink;

	store_flush(s);
	give_up(s);
	return s->trouble ? -EIO : 0;
}

static void store_free(void *sink)
{
	struct store_sink *s = sink;

	if (!s)
		return;
	give_up(s);
	lru_done(&s->pending);
	store_close(s);
	store_coverage_free(s->coverage);
	store_facts_free(s->facts);
	store_workloads_free(s->workloads);
	store_mints_free(s->mints);
	free(s->path);
	free(s->node);
	free(s);
}

static const struct sink_ops store_ops = {
	.name = "store",
	.use = store_use,
	.token = store_token,
	.mint = store_mint,
	.loss = store_loss,
	.coverage = store_coverage,
	.recall = store_recall,
	.unwritten = store_unwritten,
	.tick = store_tick,
	.finish = store_finish,
	.free = store_free,
};

static int store_new(const char *path, uint64_t max_bytes, const char *node,
		     struct store_sink **ret_store)
{
	struct store_sink *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->max_bytes = max_bytes;
	s->idle_s = UINT64_MAX;
	s->path = strdup(path);
	s->node = strdup(node);
	if (!s->path || !s->node || lru_init(&s->pending) < 0 ||
	    store_coverage_new(max_bytes, &s->coverage) < 0 || store_facts_new(&s->facts) < 0 ||
	    store_workloads_new(&s->workloads) < 0 ||
	    store_mints_new(max_bytes, &s->mints) < 0) {
		store_free(s);
		return -ENOMEM;
	}
	*ret_store = s;
	return 0;
}

int store_sink_new(const char *path, uint64_t max_bytes, const char *node, struct sink *ret_sink,
		   struct config_error *ret_error)
{
	struct store_sink *s = NULL;
	int r;

	r = store_new(path, max_bytes, node, &s);
	if (r < 0) {
		snprintf(ret_error->text, sizeof(ret_error->text), "out of memory");
		return r;
	}
	r = store_open(s, ret_error);
	if (r != SQLITE_OK && r != SQLITE_FULL) {
		store_free(s);
		return r == SQLITE_MISMATCH ? -EPROTONOSUPPORT : -EIO;
	}
	if (r == SQLITE_FULL)	/* opened again with the first try that finds room */
		set_trouble(s, r);
	*ret_sink = (struct sink){ .ops = &store_ops, .self = s };
	return 0;
}

void store_sink_set_idle(struct sink *sink, uint64_t idle_s)
{
	struct store_sink *s = sink->self;

	s->idle_s = idle_s;
	if (s->db && set_idle(s) != SQLITE_OK)
		log_warning("the store's idle time can't be set; its view of states is without it path=%s",
			    s->path);
}
