/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The questions of the commands, as SQL. Values are always bound; the text of a query is put
 * together from fixed pieces only. A row's texts pass use_set_text(): the file may have been
 * written by anybody.
 */
#include "sinks/store_query.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include <sqlite3.h>

#include "base/cleanup.h"
#include "sinks/store_facts.h"
#include "sinks/store_schema.h"
#include "tokens/state.h"

#define BUSY_MS 5000

#define NOT_PLACED "(SELECT *, 0 AS placed FROM cover_library)"

/* Where the rows are. Reading changes nothing, so a store that no agent has upgraded yet is read as
 * it is. */
static const struct dialect {
	const char *tokens, *uses;
	const char *libraries, *facts;	/* NULL: there are none */
} dialects[STORE_SCHEMA + 1] = {
	[1] = { "(SELECT *, 1 AS readable, 0 AS entry FROM token)",
		"(SELECT *, -1 AS grpc_status, '' AS mcp_method, '' AS mcp_name FROM use)" },
	[2] = { "token", "every_use" },
	[3] = { "token", "every_use", NOT_PLACED },
	[4] = { "token", "every_use", NOT_PLACED, "(SELECT *, '' AS token_answers FROM fact)" },
	[5] = { "token", "every_use", "cover_library", "fact" },
};

struct store_query {
	sqlite3 *db;
	const struct dialect *dialect;
	uint64_t idle_ns;	/* as the agent that writes it was told; 0: nobody said */
	char node[256];
};

DEFINE_CLEANUP(struct store_query *, store_query_free)

static inline void finalizep(sqlite3_stmt **st)
{
	sqlite3_finalize(*st);
}

/* ---- opening ---- */

static const char *remedy(int code)
{
	switch (code & 0xff) {
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
		return "it is damaged or not a store; give another with --store";
	case SQLITE_CANTOPEN:
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return "run this as root or as the agent's user";
	default:
		return "try again, and check the disk";
	}
}

static int set_error(struct config_error *ret_error, const char *path, int code)
{
	snprintf(ret_error->text, sizeof(ret_error->text), "can't read the store %s: %s; %s", path,
		 sqlite3_errstr(code), remedy(code));
	return (code & 0xff) == SQLITE_CANTOPEN ? -EACCES : -EIO;
}

/* SQLite says no more than "unable to open database file". */
static int check_file(const char *path, struct config_error *ret_error)
{
	int e;

	if (access(path, R_OK) == 0)
		return 0;
	e = errno;
	if (e == ENOENT || e == ENOTDIR)
		snprintf(ret_error->text, sizeof(ret_error->text),
			 "there is no store %s; start 'tokentrail run' first, or name one with --store",
			 path);
	else
		snprintf(ret_error->text, sizeof(ret_error->text),
			 "can't read the store %s: %s; run this as root or as the agent's user", path,
			 strerror(e));
	return e == ENOTDIR ? -ENOENT : -e;
}

static int read_version(struct store_query *q, int *ret_version)
{
	_cleanup_(finalizep) sqlite3_stmt *st = NULL;
	int r;

	r = sqlite3_prepare_v2(q->db, "PRAGMA user_version", -1, &st, NULL);
	if (r == SQLITE_OK)
		r = sqlite3_step(st);
	if (r != SQLITE_ROW)
		return r == SQLITE_DONE ? SQLITE_ERROR : r;
	*ret_version = sqlite3_column_int(st, 0);
	return SQLITE_OK;
}

static void column_text(sqlite3_stmt *st, int i, char *to, size_t size)
{
	const unsigned char *text = sqlite3_column_text(st, i);

	use_set_text(to, size, text ? text : (const unsigned char *)"",
		     (size_t)sqlite3_column_bytes(st, i));
}

static int read_node(struct store_query *q)
{
	_cleanup_(finalizep) sqlite3_stmt *st = NULL;
	int r;

	r = sqlite3_prepare_v2(q->db, "SELECT value FROM meta WHERE name = 'node'", -1, &st, NULL);
	if (r == SQLITE_OK)
		r = sqlite3_step(st);
	if (r == SQLITE_ROW)
		column_text(st, 0, q->node, sizeof(q->node));
	return r == SQLITE_ROW || r == SQLITE_DONE ? SQLITE_OK : r;
}

static int read_idle(struct store_query *q)
{
	_cleanup_(finalizep) sqlite3_stmt *st = NULL;
	int r;

	r = sqlite3_prepare_v2(q->db, "SELECT value FROM meta WHERE name = 'idle'", -1, &st, NULL);
	if (r == SQLITE_OK)
		r = sqlite3_step(st);
	if (r == SQLITE_ROW)
		q->idle_ns = (uint64_t)sqlite3_column_int64(st, 0) * 1000000000;
	return r == SQLITE_ROW || r == SQLITE_DONE ? SQLITE_OK : r;
}

static int check_version(const char *path, int version, struct config_error *ret_error)
{
	if (version >= STORE_SCHEMA_OLDEST && version <= STORE_SCHEMA)
		return 0;
	if (version > STORE_SCHEMA)
		snprintf(ret_error->text, sizeof(ret_error->text),
			 "the store %s was written by a newer tokentrail (schema %d, this one knows "
			 "%d); use that version", path, version, STORE_SCHEMA);
	else
		snprintf(ret_error->text, sizeof(ret_error->text),
			 "%s is not a store of tokentrail; give another with --store", path);
	return -EPROTONOSUPPORT;
}

int store_query_open(const char *path, struct store_query **ret_query,
		     struct config_error *ret_error)
{
	_cleanup_(store_query_freep) struct store_query *q = NULL;
	int version = 0, r;

	r = check_file(path, ret_error);
	if (r < 0)
		return r;
	q = calloc(1, sizeof(*q));
	if (!q) {
		snprintf(ret_error->text, sizeof(ret_error->text), "out of memory");
		return -ENOMEM;
	}
	r = sqlite3_open_v2(path, &q->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
	if (r == SQLITE_OK) {
		sqlite3_busy_timeout(q->db, BUSY_MS);
		r = read_version(q, &version);
	}
	if (r != SQLITE_OK)
		return set_error(ret_error, path, r);
	r = check_version(path, version, ret_error);
	if (r < 0)
		return r;
	q->dialect = &dialects[version];
	r = read_node(q);
	if (r == SQLITE_OK)
		r = read_idle(q);
	if (r != SQLITE_OK)
		return set_error(ret_error, path, r);
	*ret_query = TAKE_PTR(q);
	return 0;
}

void store_query_free(struct store_query *q)
{
	if (!q)
		return;
	sqlite3_close(q->db);
	free(q);
}

const char *store_query_node(const struct store_query *q)
{
	return q->node;
}

const char *store_query_error(const struct store_query *q)
{
	return sqlite3_errmsg(q->db);
}

/* ---- queries ---- */

enum parameter { P_TOKEN = 1, P_CLASS, P_PROCESS, P_SINCE, P_LIMIT };

static const char token_columns[] =
	"SELECT t.token, t.key_id, t.class, t.kind, t.length, t.first, t.last, t.uses, t.egress, "
	"t.ingress, t.readable, t.entry FROM";
static const char use_columns[] =
	"SELECT u.token, t.key_id, t.class, t.kind, t.length, u.first, u.last, u.count, u.direction, "
	"u.process, u.executable, u.user, u.container, u.carrier, u.scheme, u.method, u.path, "
	"u.status, u.server_address, u.server_port, u.peer_ip, u.peer_port, u.tls, u.pid, "
	"u.client_ip, u.http_version, u.grpc_status, u.mcp_method, u.mcp_name, t.readable, t.entry "
	"FROM";

/* Every id is lower-case letters, digits and '_': '~' comes after all that begin alike. */
#define WHERE_TOKEN(t) " AND " t ".token >= ?1 AND " t ".token < ?1 || '~'"
/* A token is also found by what was signed of it. */
#define WHERE_TOKEN_OR_SIGNED " AND ((t.token >= ?1 AND t.token < ?1 || '~') OR t.token IN (SELECT token " \
	"FROM fact WHERE token_signed_id >= ?1 AND token_signed_id < ?1 || '~'))"
#define WHERE_CLASS " AND iif(t.readable = 0, '" USE_UNREADABLE "', t.class) = ?2"
#define WHERE_PROCESS "(u.process = ?3 OR u.executable = ?3)"

static int bind_filter(sqlite3_stmt *st, const struct store_filter *f)
{
	sqlite3_int64 limit = f->limit && f->limit <= INT64_MAX ? (sqlite3_int64)f->limit : -1;
	int r;

	r = sqlite3_bind_int64(st, P_LIMIT, limit);
	if (f->token)
		r |= sqlite3_bind_text(st, P_TOKEN, f->token, -1, SQLITE_STATIC);
	if (f->class_name)
		r |= sqlite3_bind_text(st, P_CLASS, f->class_name, -1, SQLITE_STATIC);
	if (f->process)
		r |= sqlite3_bind_text(st, P_PROCESS, f->process, -1, SQLITE_STATIC);
	if (f->since_ns)
		r |= sqlite3_bind_int64(st, P_SINCE, (sqlite3_int64)f->since_ns);
	return r;
}

static int prepare(struct store_query *q, const char *sql, const struct store_filter *f,
		   sqlite3_stmt **ret_st)
{
	if (sqlite3_prepare_v2(q->db, sql, -1, ret_st, NULL) != SQLITE_OK)
		return -EIO;
	return bind_filter(*ret_st, f) == SQLITE_OK ? 0 : -EIO;
}

/* NULL, of a use whose token has no row, is not it. */
static bool is_unreadable(sqlite3_stmt *st, int i)
{
	return sqlite3_column_type(st, i) == SQLITE_INTEGER && sqlite3_column_int(st, i) == 0;
}

static void read_token(sqlite3_stmt *st, struct token *t, char *class_name, char *kind, size_t size)
{
	memset(t, 0, sizeof(*t));
	column_text(st, 0, t->token_id, sizeof(t->token_id));
	column_text(st, 1, t->key_id, sizeof(t->key_id));
	column_text(st, 2, class_name, size);
	column_text(st, 3, kind, size);
	t->class_name = class_name;
	t->kind = kind;
	t->length = (uint32_t)sqlite3_column_int64(st, 4);
	t->first_ns = (uint64_t)sqlite3_column_int64(st, 5);
	t->last_ns = (uint64_t)sqlite3_column_int64(st, 6);
	t->uses = (uint64_t)sqlite3_column_int64(st, 7);
	t->egress = (uint64_t)sqlite3_column_int64(st, 8);
	t->ingress = (uint64_t)sqlite3_column_int64(st, 9);
	t->unreadable = is_unreadable(st, 10);
	t->entry = (uint32_t)sqlite3_column_int64(st, 11);
}

/* One token, with what is known of it. `facts` may be NULL. */
static int give_token(const struct store_query *q, sqlite3_stmt *st, sqlite3_stmt *facts,
		      int (*row)(void *arg, const struct token *t), void *arg)
{
	char class_name[64], kind[64];
	struct facts known = { 0 };
	struct token t;
	int code, r = 0;

	read_token(st, &t, class_name, kind, sizeof(kind));
	if (facts) {
		code = sqlite3_bind_text(facts, 1, t.token_id, -1, SQLITE_STATIC);
		if (code == SQLITE_OK)
			code = sqlite3_step(facts);
		if (code == SQLITE_ROW)
			r = store_facts_read(facts, &known);
		else if (code != SQLITE_DONE)
			r = -EIO;
		sqlite3_reset(facts);
		sqlite3_clear_bindings(facts);
		t.facts = facts_empty(&known) ? NULL : &known;
	}
	t.state = token_state(&t, (uint64_t)time(NULL) * 1000000000, q->idle_ns);
	if (r == 0)
		r = row(arg, &t);
	facts_done(&known);
	return r;
}

int store_query_tokens(struct store_query *q, const struct store_filter *f,
		       int (*row)(void *arg, const struct token *t), void *arg)
{
	_cleanup_(finalizep) sqlite3_stmt *st = NULL, *facts = NULL;
	const char *which = q->dialect->facts ? WHERE_TOKEN_OR_SIGNED : WHERE_TOKEN("t");
	char sql[1024], used_by[256];
	int r, code;

	snprintf(used_by, sizeof(used_by), " AND EXISTS (SELECT 1 FROM %s u WHERE u.token = t.token "
		 "AND " WHERE_PROCESS ")", q->dialect->uses);
	snprintf(sql, sizeof(sql), "%s %s t WHERE t.class IS NOT 'placeholder'%s%s%s%s ORDER BY t.last DESC, t.token LIMIT ?5",
		 token_columns, q->dialect->tokens, f->token ? which : "",
		 f->class_name ? WHERE_CLASS : "", f->process ? used_by : "",
		 f->since_ns ? " AND t.last >= ?4" : "");
	r = prepare(q, sql, f, &st);
	if (r == 0 && q->dialect->facts && store_facts_select(q->db, q->dialect->facts, &facts) != SQLITE_OK)
		return -EIO;
	while (r == 0 && (code = sqlite3_step(st)) != SQLITE_DONE) {
		if (code != SQLITE_ROW)
			return -EIO;
		r = give_token(q, st, facts, row, arg);
	}
	return r;
}

/* Texts that struct use only points to. */
struct use_texts {
	char class_name[64], kind[64], scheme[64];
};

static enum tt_dir read_direction(sqlite3_stmt *st, int i)
{
	char text[16];

	column_text(st, i, text, sizeof(text));
	return !strcmp(text, "ingress") ? TT_DIR_INGRESS : TT_DIR_EGRESS;
}

static void read_who(sqlite3_stmt *st, struct use *u)
{
	u->dir = read_direction(st, 8);
	column_text(st, 9, u->process_name, sizeof(u->process_name));
	column_text(st, 10, u->executable, sizeof(u->executable));
	u->uid = (uint32_t)sqlite3_column_int64(st, 11);	/* -1: not known */
	column_text(st, 12, u->container_id, sizeof(u->container_id));
	u->pid = (uint32_t)sqlite3_column_int64(st, 23);
}

static void read_request(sqlite3_stmt *st, struct use *u)
{
	column_text(st, 13, u->carrier, sizeof(u->carrier));
	column_text(st, 15, u->method, sizeof(u->method));
	column_text(st, 16, u->path, sizeof(u->path));
	u->status = (uint16_t)sqlite3_column_int(st, 17);
	column_text(st, 18, u->server_address, sizeof(u->server_address));
	u->server_port = (uint16_t)sqlite3_column_int(st, 19);
	column_text(st, 20, u->peer_ip, sizeof(u->peer_ip));
	u->peer_port = (uint16_t)sqlite3_column_int(st, 21);
	u->tls = (enum tt_tls)sqlite3_column_int(st, 22);
	column_text(st, 24, u->client_ip, sizeof(u->client_ip));
	u->version = (uint16_t)sqlite3_column_int(st, 25);
}

static void read_call(sqlite3_stmt *st, struct use *u)
{
	int grpc = sqlite3_column_int(st, 26);

	u->has_grpc = grpc >= 0;
	u->grpc_status = grpc >= 0 ? (uint8_t)grpc : 0;
	column_text(st, 27, u->mcp_method, sizeof(u->mcp_method));
	column_text(st, 28, u->mcp_name, sizeof(u->mcp_name));
}

static void read_use(sqlite3_stmt *st, struct use *u, struct use_texts *t)
{
	memset(u, 0, sizeof(*u));
	column_text(st, 0, u->token_id, sizeof(u->token_id));
	column_text(st, 1, u->key_id, sizeof(u->key_id));
	column_text(st, 2, t->class_name, sizeof(t->class_name));
	column_text(st, 3, t->kind, sizeof(t->kind));
	column_text(st, 14, t->scheme, sizeof(t->scheme));
	u->class_name = t->class_name;
	u->kind = t->kind;
	u->scheme = t->scheme;
	u->length = (uint32_t)sqlite3_column_int64(st, 4);
	u->first_ns = (uint64_t)sqlite3_column_int64(st, 5);
	u->last_ns = (uint64_t)sqlite3_column_int64(st, 6);
	u->count = (uint64_t)sqlite3_column_int64(st, 7);
	read_who(st, u);
	u->unreadable = is_unreadable(st, 29);
	u->entry = (uint32_t)sqlite3_column_int64(st, 30);
	read_request(st, u);
	read_call(st, u);
}

int store_query_uses(struct store_query *q, const struct store_filter *f,
		     int (*row)(void *arg, const struct use *u), void *arg)
{
	_cleanup_(finalizep) sqlite3_stmt *st = NULL;
	struct use_texts texts;
	char sql[1024];
	struct use u;
	int r, code;

	snprintf(sql, sizeof(sql), "%s %s u LEFT JOIN %s t ON t.token = u.token WHERE 1%s%s%s%s "
		 "ORDER BY u.last DESC, u.token LIMIT ?5", use_columns, q->dialect->uses,
		 q->dialect->tokens, f->token ? WHERE_TOKEN("u") : "", f->class_name ? WHERE_CLASS : "",
		 f->process ? " AND " WHERE_PROCESS : "", f->since_ns ? " AND u.last >= ?4" : "");
	r = prepare(q, sql, f, &st);
	while (r == 0 && (code = sqlite3_step(st)) != SQLITE_DONE) {
		if (code != SQLITE_ROW)
			return -EIO;
		read_use(st, &u, &texts);
		r = row(arg, &u);
	}
	return r;
}

/* ---- coverage ---- */

static const char cover_columns[] =
	"SELECT u.pid, u.start, u.started, u.process, u.executable, u.user, u.container, "
	"u.workload_kind, u.workload, u.client, u.server, u.middle, u.io_uring, u.ended, u.sockets, "
	"u.blind_sockets, u.wire_sent, u.wire_received, u.covered_sent, u.covered_received, "
	"u.plain_sent, u.plain_received, u.first_tls, u.first_call, u.exec_to_call, u.status, "
	"u.reason, u.last FROM cover u";
#define LIBRARIES "SELECT library, version, path, how, since, probes, refused, reason, used, placed " \
		  "FROM %s WHERE pid = ?1 AND start = ?2 ORDER BY position"

/* The number whose name is `text`; 0 when there is none. */
static unsigned int number_of(const char *text, unsigned int max, const char *(*name)(unsigned int))
{
	for (unsigned int i = 1; i < max; i++)
		if (!strcmp(name(i), text))
			return i;
	return 0;
}

static const char *status_name(unsigned int i)
{
	return coverage_status_name(i);
}

static const char *kind_name(unsigned int i)
{
	return coverage_kind_name(i);
}

static const char *how_name(unsigned int i)
{
	return coverage_how(i);
}

static const char *library_name(unsigned int i)
{
	return use_tls_library(i);
}

static unsigned int column_name(sqlite3_stmt *st, int i, unsigned int max,
				const char *(*name)(unsigned int))
{
	char text[64];

	column_text(st, i, text, sizeof(text));
	return text[0] ? number_of(text, max, name) : 0;
}

static enum tt_blind column_reason(sqlite3_stmt *st, int i)
{
	char text[64];

	column_text(st, i, text, sizeof(text));
	return coverage_reason_number(text);
}

static uint64_t column_u64(sqlite3_stmt *st, int i)
{
	return (uint64_t)sqlite3_column_int64(st, i);
}

static void read_covered_process(sqlite3_stmt *st, struct coverage *c)
{
	c->pid = (uint32_t)column_u64(st, 0);
	c->start_ns = column_u64(st, 1);
	c->started_ns = column_u64(st, 2);
	column_text(st, 3, c->process_name, sizeof(c->process_name));
	column_text(st, 4, c->executable, sizeof(c->executable));
	c->uid = (uint32_t)sqlite3_column_int64(st, 5);	/* -1: not known */
	column_text(st, 6, c->container_id, sizeof(c->container_id));
	c->workload_kind = column_name(st, 7, COVERAGE_KIND_MAX, kind_name);
	column_text(st, 8, c->workload, sizeof(c->workload));
}

static void read_coverage(sqlite3_stmt *st, struct coverage *c)
{
	memset(c, 0, sizeof(*c));
	read_covered_process(st, c);
	c->client = column_u64(st, 9);
	c->server = column_u64(st, 10);
	c->middle = column_u64(st, 11);
	c->io_uring = column_u64(st, 12);
	c->ended = column_u64(st, 13);
	c->sockets = (uint32_t)column_u64(st, 14);
	c->blind_sockets = (uint32_t)column_u64(st, 15);
	for (int i = 0; i < 2; i++) {
		c->wire[i] = column_u64(st, 16 + i);
		c->covered[i] = column_u64(st, 18 + i);
		c->plain[i] = column_u64(st, 20 + i);
	}
	c->first_tls_ns = column_u64(st, 22);
	c->first_call_ns = column_u64(st, 23);
	c->exec_to_call_ns = column_u64(st, 24);
	c->status = column_name(st, 25, COVERAGE_STATUS_MAX, status_name);
	c->reason = column_reason(st, 26);
	c->time_ns = column_u64(st, 27);
}

static void read_library(sqlite3_stmt *st, struct coverage_library *l)
{
	l->tls = column_name(st, 0, TT_TLS_MAX, library_name);
	column_text(st, 1, l->version, sizeof(l->version));
	column_text(st, 2, l->path, sizeof(l->path));
	l->how = column_name(st, 3, TT_HOW_MAX, how_name);
	l->since_ns = column_u64(st, 4);
	l->probes = (uint32_t)column_u64(st, 5);
	l->refused = (uint32_t)column_u64(st, 6);
	l->blind = column_reason(st, 7);
	l->used = column_u64(st, 8);
	l->placed = (uint32_t)column_u64(st, 9);
}

static int read_libraries(sqlite3_stmt *st, struct coverage *c)
{
	int code = SQLITE_DONE;

	sqlite3_reset(st);
	if (sqlite3_bind_int64(st, 1, c->pid) != SQLITE_OK ||
	    sqlite3_bind_int64(st, 2, (sqlite3_int64)c->start_ns) != SQLITE_OK)
		return -EIO;
	while (c->libraries < TT_COVER_FILES_MAX && (code = sqlite3_step(st)) == SQLITE_ROW)
		read_library(st, &c->library[c->libraries++]);
	return code == SQLITE_DONE || code == SQLITE_ROW ? 0 : -EIO;
}

int store_query_coverage(struct store_query *q, const struct store_filter *f,
			 int (*row)(void *arg, const struct coverage *c), void *arg)
{
	_cleanup_(finalizep) sqlite3_stmt *st = NULL, *libraries = NULL;
	struct coverage c;
	char sql[1024];
	int r, code;

	if (!q->dialect->libraries)
		return 0;
	snprintf(sql, sizeof(sql), "%s WHERE 1%s%s ORDER BY u.last DESC, u.pid LIMIT ?5",
		 cover_columns, f->process ? " AND " WHERE_PROCESS : "",
		 f->since_ns ? " AND (u.last >= ?4 OR NOT u.ended)" : "");
	r = prepare(q, sql, f, &st);
	snprintf(sql, sizeof(sql), LIBRARIES, q->dialect->libraries);
	if (r == 0 && sqlite3_prepare_v2(q->db, sql, -1, &libraries, NULL) != SQLITE_OK)
		r = -EIO;
	while (r == 0 && (code = sqlite3_step(st)) != SQLITE_DONE) {
		if (code != SQLITE_ROW)
			return -EIO;
		read_coverage(st, &c);
		r = read_libraries(libraries, &c);
		r = r ?: row(arg, &c);
	}
	return r;
}

/* ---- mints ---- */

static const char mint_columns[] =
	"SELECT u.number, u.time, u.action, u.method, u.issuer, u.mint_grant, u.status, u.direction, u.process, "
	"u.executable, u.user, u.container, u.pid, u.http_method, u.path, u.server_address, u.server_port, u.peer_ip, "
	"u.peer_port, u.client_ip, u.tls, u.http_version, u.client_id, u.subject, u.audience, u.requested_scopes, "
	"u.scopes, u.expires, u.note FROM mint u";
static const char mint_token_columns[] =
	"SELECT k.token, k.part, k.role, ifnull(t.class, ''), ifnull(t.kind, ''), ifnull(t.length, 0) "
	"FROM mint_token k LEFT JOIN token t ON t.token = k.token WHERE k.number = ?1 ORDER BY k.part, k.role, k.token";

/* What `struct mint` points to. */
struct mint_texts {
	char method[64], note[MINT_TEXT_LEN];
	char class_name[MINT_TOKENS_MAX][64], kind[MINT_TOKENS_MAX][64];
};

static enum mint_kind read_action(sqlite3_stmt *st, int i)
{
	static const enum mint_kind kinds[] = { MINT_KIND_MINT, MINT_KIND_REVOKE, MINT_KIND_CHECK };
	char text[16];

	column_text(st, i, text, sizeof(text));
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
		if (!strcmp(mint_action(kinds[k]), text))
			return kinds[k];
	return MINT_KIND_MINT;
}

static enum mint_part read_part(sqlite3_stmt *st, int i)
{
	char text[16];

	column_text(st, i, text, sizeof(text));
	for (enum mint_part part = MINT_PART_MINTED; part <= MINT_PART_CHECKED; part++)
		if (!strcmp(mint_part(part), text))
			return part;
	return MINT_PART_PARENT;
}

static void read_mint_request(sqlite3_stmt *st, struct use *u)
{
	u->class_name = u->kind = u->scheme = "";
	u->status = (uint16_t)sqlite3_column_int(st, 6);
	u->dir = read_direction(st, 7);
	column_text(st, 8, u->process_name, sizeof(u->process_name));
	column_text(st, 9, u->executable, sizeof(u->executable));
	u->uid = (uint32_t)sqlite3_column_int64(st, 10);	/* -1: not known */
	column_text(st, 11, u->container_id, sizeof(u->container_id));
	u->pid = (uint32_t)sqlite3_column_int64(st, 12);
	column_text(st, 13, u->method, sizeof(u->method));
	column_text(st, 14, u->path, sizeof(u->path));
	column_text(st, 15, u->server_address, sizeof(u->server_address));
	u->server_port = (uint16_t)sqlite3_column_int(st, 16);
	column_text(st, 17, u->peer_ip, sizeof(u->peer_ip));
	u->peer_port = (uint16_t)sqlite3_column_int(st, 18);
	column_text(st, 19, u->client_ip, sizeof(u->client_ip));
	u->tls = (enum tt_tls)sqlite3_column_int(st, 20);
	u->version = (uint16_t)sqlite3_column_int(st, 21);
}

static void read_mint(sqlite3_stmt *st, struct mint *m, struct mint_texts *t)
{
	memset(m, 0, sizeof(*m));
	m->time_ns = (uint64_t)sqlite3_column_int64(st, 1);
	m->action = read_action(st, 2);
	column_text(st, 3, t->method, sizeof(t->method));
	column_text(st, 4, m->issuer, sizeof(m->issuer));
	column_text(st, 5, m->grant, sizeof(m->grant));
	read_mint_request(st, &m->request);
	column_text(st, 22, m->client_id, sizeof(m->client_id));
	column_text(st, 23, m->subject, sizeof(m->subject));
	column_text(st, 24, m->audience, sizeof(m->audience));
	column_text(st, 25, m->requested_scopes, sizeof(m->requested_scopes));
	column_text(st, 26, m->scopes, sizeof(m->scopes));
	m->expires_ns = (uint64_t)sqlite3_column_int64(st, 27);
	column_text(st, 28, t->note, sizeof(t->note));
	m->succeeded = m->request.status >= 200 && m->request.status < 300;
	m->method = t->method;
	m->note = m->succeeded ? t->note : "";
	if (!m->succeeded)	/* the store has one column for both */
		memcpy(m->error, t->note, sizeof(m->error));
}

static int read_mint_tokens(sqlite3_stmt *st, int64_t number, struct mint *m, struct mint_texts *t)
{
	int code;

	sqlite3_reset(st);
	if (sqlite3_bind_int64(st, 1, number) != SQLITE_OK)
		return -EIO;
	while ((code = sqlite3_step(st)) == SQLITE_ROW && m->tokens < MINT_TOKENS_MAX) {
		struct mint_token *to = &m->token[m->tokens];

		column_text(st, 0, to->id, sizeof(to->id));
		to->part = read_part(st, 1);
		column_text(st, 2, to->role, sizeof(to->role));
		column_text(st, 3, t->class_name[m->tokens], sizeof(t->class_name[0]));
		column_text(st, 4, t->kind[m->tokens], sizeof(t->kind[0]));
		to->class_name = t->class_name[m->tokens];
		to->kind = t->kind[m->tokens];
		to->length = (uint32_t)sqlite3_column_int64(st, 5);
		m->tokens++;
	}
	return code == SQLITE_DONE || code == SQLITE_ROW ? 0 : -EIO;
}

int store_query_mints(struct store_query *q, const struct store_filter *f,
		      int (*row)(void *arg, const struct mint *m), void *arg)
{
	_cleanup_(finalizep) sqlite3_stmt *st = NULL, *tokens = NULL;
	struct mint_texts texts;
	struct mint m;
	char sql[2048];
	int r, code;

	if (!q->dialect->facts)
		return 0;
	snprintf(sql, sizeof(sql), "%s WHERE 1%s%s%s%s ORDER BY u.time DESC, u.number DESC LIMIT ?5", mint_columns,
		 f->token ? " AND u.number IN (SELECT k.number FROM mint_token k WHERE 1" WHERE_TOKEN("k") ")" : "",
		 f->class_name ? " AND u.number IN (SELECT k.number FROM mint_token k JOIN token t ON "
				 "t.token = k.token WHERE 1" WHERE_CLASS ")" : "",
		 f->process ? " AND " WHERE_PROCESS : "", f->since_ns ? " AND u.time >= ?4" : "");
	r = prepare(q, sql, f, &st);
	if (r == 0 && sqlite3_prepare_v2(q->db, mint_token_columns, -1, &tokens, NULL) != SQLITE_OK)
		r = -EIO;
	while (r == 0 && (code = sqlite3_step(st)) != SQLITE_DONE) {
		if (code != SQLITE_ROW)
			return -EIO;
		read_mint(st, &m, &texts);
		r = read_mint_tokens(tokens, sqlite3_column_int64(st, 0), &m, &texts);
		r = r ?: row(arg, &m);
	}
	return r;
}
