/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file may have been written by anybody: every text passes use_set_text(), and becomes one of the
 * pool.
 */
#include "sinks/store_report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/cleanup.h"
#include "sinks/store_schema.h"
#include "tokens/questions.h"
#include "tokens/use.h"

#define BUSY_MS 5000
#define TEXT_MAX 1024

struct reader {
	sqlite3 *db;
	sqlite3_stmt *st;
	struct history *h;
	int error;	/* -ENOMEM */
};

/* ---- opening ---- */

static int get_number(sqlite3 *db, const char *sql, int64_t *ret_value)
{
	return store_get_number(db, sql, ret_value);
}

static int say(struct config_error *ret_error, const char *path, int code)
{
	const char *what = "try again, and check the disk";
	bool denied = (code & 0xff) == SQLITE_CANTOPEN;

	if ((code & 0xff) == SQLITE_NOTADB || (code & 0xff) == SQLITE_CORRUPT)
		what = "it is damaged or not a store; give another with --store";
	else if (denied || (code & 0xff) == SQLITE_READONLY)
		what = "run this as root or as the agent's user";
	snprintf(ret_error->text, sizeof(ret_error->text), "can't read the store %s: %s; %s", path,
		 sqlite3_errstr(code), what);
	return denied ? -EACCES : -EIO;
}

static int check_version(const char *path, int64_t version, struct config_error *ret_error)
{
	if (version == STORE_SCHEMA)
		return 0;
	snprintf(ret_error->text, sizeof(ret_error->text),
		 version > STORE_SCHEMA ?
			 "the store %s was written by a newer tokentrail; use that version" :
		 version >= STORE_SCHEMA_OLDEST ?
			 "the store %s is of an older tokentrail; start 'tokentrail run' once, which brings "
			 "it up to date" :
			 "%s is not a store of tokentrail; give another with --store", path);
	return -EPROTONOSUPPORT;
}

static int open_store(const char *path, sqlite3 **ret_db, struct config_error *ret_error)
{
	int64_t version = 0;
	int r;

	if (access(path, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR)) {
		snprintf(ret_error->text, sizeof(ret_error->text), "there is no store %s; start "
			 "'tokentrail run' first, or name one with --store", path);
		return -ENOENT;
	}
	r = sqlite3_open_v2(path, ret_db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
	if (r == SQLITE_OK) {
		sqlite3_busy_timeout(*ret_db, BUSY_MS);
		r = get_number(*ret_db, "PRAGMA user_version", &version);
	}
	return r == SQLITE_OK ? check_version(path, version, ret_error) : say(ret_error, path, r);
}

/* ---- columns ---- */

static const char *text(struct reader *r, int i)
{
	const unsigned char *bytes = sqlite3_column_text(r->st, i);
	char clean[TEXT_MAX + 1];
	const char *kept;

	/* Lists have line feeds between their elements, which are no text of one. */
	use_set_text(clean, sizeof(clean), bytes ? bytes : (const unsigned char *)"",
		     (size_t)sqlite3_column_bytes(r->st, i));
	for (size_t at = 0; bytes && clean[at]; at++)
		if (bytes[at] == '\n')
			clean[at] = '\n';
	kept = pool_text(r->h->pool, clean);
	if (!kept)
		r->error = -ENOMEM;
	return kept ? kept : "";
}

static uint64_t number(struct reader *r, int i)
{
	sqlite3_int64 n = sqlite3_column_int64(r->st, i);

	return n > 0 ? (uint64_t)n : 0;
}

static void *oom(struct reader *r, void *p)
{
	if (!p)
		r->error = -ENOMEM;
	return p;
}

/* Runs a query; row() per row. */
static int each(struct reader *r, const char *sql, int64_t parameter, void (*row)(struct reader *r))
{
	int code = sqlite3_prepare_v2(r->db, sql, -1, &r->st, NULL);

	if (code == SQLITE_OK && sqlite3_bind_parameter_count(r->st))
		code = sqlite3_bind_int64(r->st, 1, parameter);
	while (code == SQLITE_OK || code == SQLITE_ROW) {
		code = sqlite3_step(r->st);
		if (code == SQLITE_ROW && !r->error)
			row(r);
		if (r->error)
			break;
	}
	sqlite3_finalize(r->st);
	r->st = NULL;
	return code == SQLITE_DONE || r->error ? SQLITE_OK : code;
}

/* ---- rows ---- */

#define WHO "executable, user, container"
#define WORKLOAD "LEFT JOIN workload w USING (executable, user, container)"

static int by_who(const void *a, const void *b)
{
	const struct history_who *x = a, *y = b;

	return strcmp(x->executable, y->executable) ?: strcmp(x->user, y->user) ?:
	       strcmp(x->container, y->container);
}

static const char *user_text(struct reader *r, int i)
{
	char line[24] = "";
	const char *kept;

	if (sqlite3_column_int64(r->st, i) >= 0)
		snprintf(line, sizeof(line), "%lld", (long long)sqlite3_column_int64(r->st, i));
	kept = pool_text(r->h->pool, line);
	if (!kept)
		r->error = -ENOMEM;
	return kept ? kept : "";
}

static uint32_t find_who(struct reader *r, int i)
{
	const struct history_who key = { .executable = text(r, i), .user = user_text(r, i + 1),
					 .container = text(r, i + 2) };
	const struct history *h = r->h;
	const struct history_who *w = h->whos ? bsearch(&key, h->who, h->whos, sizeof(key), by_who) : NULL;

	return w ? (uint32_t)(w - h->who) : HISTORY_NONE;
}

/* Everybody who did anything, with the workload that is known for them. */
static void on_who(struct reader *r)
{
	struct history_who *w = oom(r, HISTORY_ADD(r->h, who, whos));

	if (!w)
		return;
	*w = (struct history_who){ .executable = text(r, 0), .user = user_text(r, 1),
				   .container = text(r, 2), .kind = text(r, 3), .space = text(r, 4),
				   .name = text(r, 5), .unit = text(r, 6) };
	if (r->error || history_name_who(r->h, w) < 0)
		r->error = -ENOMEM;
}

static void on_token(struct reader *r)
{
	struct history_token *t = oom(r, HISTORY_ADD(r->h, token, tokens));

	if (!t)
		return;
	t->id = text(r, 0);
	t->class_name = text(r, 1);
	t->kind = text(r, 2);
	t->length = (uint32_t)number(r, 3);
	t->first = number(r, 4);
	t->last = number(r, 5);
	t->uses = number(r, 6);
	t->egress = number(r, 7);
	t->ingress = number(r, 8);
	t->unreadable = !sqlite3_column_int(r->st, 9);
	t->public_id = text(r, 10);
	t->issuer = text(r, 11);
	t->subject = text(r, 12);
	t->subject_kind = text(r, 13);
	t->scopes = text(r, 14);
	t->roles = text(r, 15);
	t->issued = number(r, 16);
	t->expires = number(r, 17);
	t->minted = number(r, 18);
	t->minted_issuer = text(r, 19);
	t->minted_method = text(r, 20);
	t->parent = text(r, 21);
	t->previous = text(r, 22);
	t->revoked = number(r, 23);
	t->owner = text(r, 24);
	t->owner_kind = text(r, 25);
	t->owner_confidence = text(r, 26);
	t->owner_evidence = text(r, 27);
	t->score = (uint32_t)number(r, 28);
	t->terms = text(r, 29);
	t->listed_name = text(r, 30);
	t->listed_owner = text(r, 31);
	t->listed_source = text(r, 32);
	t->listed = number(r, 33);
	t->created = number(r, 34);
	t->public_only = sqlite3_column_int(r->st, 35);
	t->needed = text(r, 36);
	t->rights = text(r, 37);
	t->minter = HISTORY_NONE;
}

/* A row of a list is of the token with its id, or of those with its public identifier. What is known by
 * itself goes before what a list says; an owner that somebody wrote down is surer than a guess. */
#define LISTED(column)                                                                             \
	"coalesce((SELECT " column " FROM listed WHERE is_public = 0 AND id = t.token), "          \
	"(SELECT " column " FROM listed WHERE is_public = 1 AND id = f.token_public_id), "
static const char token_sql[] =
	"SELECT t.token, iif(t.class = '', " LISTED("class") "''), t.class), "
	"iif(t.kind = '', " LISTED("kind") "''), t.kind), "
	"t.length, t.first, t.last, t.uses, t.egress, t.ingress, t.readable, "
	"f.token_public_id, f.token_issuer, f.token_subject, f.token_subject_kind, "
	"iif(ifnull(f.token_scopes, '') = '', " LISTED("scopes") "''), f.token_scopes), f.token_roles, "
	"f.token_issued, iif(ifnull(f.token_expires, 0) = 0, " LISTED("expires") "0), f.token_expires), "
	"f.minted_time, f.minted_issuer, f.minted_method, "
	"f.minted_parent, f.minted_previous, f.revoked_time, "
	LISTED("nullif(owner, '')") "f.owner_name), "
	"iif(" LISTED("owner") "'') <> '', 'listed', f.owner_kind), "
	"iif(" LISTED("owner") "'') <> '', 'high', f.owner_confidence), "
	"iif(" LISTED("owner") "'') <> '', 'on the list ' || " LISTED("source") "''), f.owner_evidence), "
	"f.privilege_score, f.privilege_terms, " LISTED("name") "f.listed_name), "
	LISTED("owner") "f.listed_owner), " LISTED("source") "f.listed_source), "
	LISTED("time") "f.listed_time), " LISTED("created") "0), 0, "
	/* A list with gaps would make what is missing look unused. */
	"iif(f.token_notes LIKE '%cut_needed_scopes%' OR f.token_answers || char(10) LIKE '%cut' || char(10) || '%', "
	"'', f.token_needed_scopes), f.privilege_used "
	"FROM token t LEFT JOIN fact f ON f.token = t.token WHERE t.class IS NOT 'placeholder' "
	/* On a list by its public identifier, and seen nowhere. */
	"UNION ALL SELECT id, class, kind, 0, 0, 0, 0, 0, 0, 1, id, '', '', '', scopes, '', 0, expires, 0, '', "
	"'', '', '', 0, owner, 'listed', iif(owner <> '', 'high', ''), "
	"iif(owner <> '', 'on the list ' || source, ''), 0, '', name, owner, source, time, created, 1, '', '' "
	"FROM listed WHERE is_public AND id NOT IN (SELECT token_public_id FROM fact) ORDER BY 1";

static void on_use(struct reader *r)
{
	uint32_t token = history_find(r->h, text(r, 0)), who = find_who(r, 2);
	struct history_use *u;
	struct history *h = r->h;
	bool ingress = !strcmp(text(r, 1), "ingress");
	const char *server = text(r, 5), *peer = text(r, 7);

	if (token == HISTORY_NONE || who == HISTORY_NONE)
		return;
	u = oom(r, HISTORY_ADD(h, use, uses));
	if (!u)
		return;
	*u = (struct history_use){ .token = token, .who = who, .server = server[0] || ingress ? server : peer,
				   .dir = ingress ? TT_DIR_INGRESS : TT_DIR_EGRESS,
				   .port = (uint16_t)number(r, 6), .count = number(r, 8),
				   .first = number(r, 9), .last = number(r, 10) };
	h->token[token].writes += number(r, 11);
	if (history_domain(h, u->server, &u->domain) < 0 ||
	    history_domain(h, ingress ? peer : "", &u->network) < 0)
		r->error = -ENOMEM;
}

static void on_day(struct reader *r)
{
	uint32_t token = history_find(r->h, text(r, 0));
	struct history_day *d;

	if (token == HISTORY_NONE)
		return;
	d = oom(r, HISTORY_ADD(r->h, day, days));
	if (d)
		*d = (struct history_day){ token, (uint32_t)number(r, 1), (uint32_t)number(r, 2) };
}

static void on_hour(struct reader *r)
{
	struct history_hour *h = oom(r, HISTORY_ADD(r->h, hour, hours));

	if (h)
		*h = (struct history_hour){ number(r, 0), number(r, 1), number(r, 2), number(r, 3) };
}

static void on_mint(struct reader *r)
{
	uint32_t who = find_who(r, 4);
	struct history_mint *m = who == HISTORY_NONE ? NULL : oom(r, HISTORY_ADD(r->h, mint, mints));

	if (!m)
		return;
	*m = (struct history_mint){ .time = number(r, 0), .issuer = text(r, 1), .method = text(r, 2),
				    .grant = text(r, 3), .who = who, .expires = number(r, 7),
				    .token = history_find(r->h, text(r, 8)) };
	if (m->token != HISTORY_NONE && r->h->token[m->token].minter == HISTORY_NONE)
		r->h->token[m->token].minter = who;
}

static void on_rate(struct reader *r)
{
	uint32_t who = find_who(r, 1);
	struct history_rate *rate = who == HISTORY_NONE ? NULL : oom(r, HISTORY_ADD(r->h, rate, rates));

	if (rate)
		*rate = (struct history_rate){ .issuer = text(r, 0), .who = who, .bucket = number(r, 4),
					       .mints = (uint32_t)number(r, 5),
					       .failed = (uint32_t)number(r, 6) };
}

static void on_cover(struct reader *r)
{
	struct history_blind *b;
	const char *status = text(r, 3);

	for (int i = 0; i < COVERAGE_STATUS_MAX; i++)
		if (!strcmp(coverage_status_name(i), status))
			r->h->coverage.processes[i]++;
	r->h->coverage.wire[0] += number(r, 0);
	r->h->coverage.covered[0] += number(r, 1);
	if (strcmp(status, "blind") != 0)
		return;
	for (uint32_t i = 0; i < r->h->blinds; i++) {
		b = &r->h->blind[i];
		if (b->program == text(r, 2) && b->reason == text(r, 4)) {
			b->processes++;
			b->bytes += number(r, 0);
			return;
		}
	}
	b = r->h->blinds < 100 ? oom(r, HISTORY_ADD(r->h, blind, blinds)) : NULL;
	if (b)
		*b = (struct history_blind){ text(r, 2), text(r, 4), 1, number(r, 0) };
}

static void on_loss(struct reader *r)
{
	struct history_loss *l = oom(r, HISTORY_ADD(r->h, loss, losses));

	if (l)
		*l = (struct history_loss){ text(r, 0), number(r, 1), number(r, 2) };
}

static void on_node(struct reader *r)
{
	r->h->node = text(r, 0);
}

/* A process that ended counts with its bytes for so long. */
#define COVERED_NS (7 * HISTORY_DAY)

static int read_all(struct reader *r, uint64_t now)
{
	uint64_t old = (uint64_t)2 * QUESTIONS_BASE_BUCKETS;
	uint64_t bucket = now / QUESTIONS_BUCKET_NS;
	int code;

	r->h->node = "";
	code = each(r, "SELECT value FROM meta WHERE name = 'node'", 0, on_node);
	if (code == SQLITE_OK)
		code = each(r, "SELECT a.executable, a.user, a.container, ifnull(w.kind, ''), "
			    "ifnull(w.namespace, ''), ifnull(w.name, ''), ifnull(w.unit, '') FROM "
			    "(SELECT " WHO " FROM use UNION SELECT " WHO " FROM call UNION SELECT " WHO
			    " FROM mint UNION SELECT " WHO " FROM mint_rate) a " WORKLOAD
			    "", 0, on_who);
	/* Before anything refers to them by their number. */
	if (r->h->whos)
		qsort(r->h->who, r->h->whos, sizeof(r->h->who[0]), by_who);
	if (code == SQLITE_OK)
		code = each(r, token_sql, 0, on_token);
	if (code == SQLITE_OK)
		code = each(r, "SELECT token, direction, " WHO ", server_address, server_port, peer_ip, "
			    "sum(count), min(first), max(last), "
			    "sum(iif(method IN ('GET', 'HEAD', 'OPTIONS'), 0, count)) FROM every_use "
			    "GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 ORDER BY 1", 0, on_use);
	if (code == SQLITE_OK)
		code = each(r, "SELECT token, day, uses FROM use_day ORDER BY token, day", 0, on_day);
	if (code == SQLITE_OK)
		code = each(r, "SELECT hour, uses, mints, failed_mints FROM hour ORDER BY hour", 0, on_hour);
	if (code == SQLITE_OK)
		code = each(r, "SELECT m.time, m.issuer, m.method, m.mint_grant, " WHO ", m.expires, "
			    "ifnull(k.token, '') FROM mint m LEFT JOIN mint_token k ON k.number = m.number "
			    "AND k.part = 'minted' WHERE m.action = 'mint' AND m.direction = 'egress' "
			    "ORDER BY m.time, m.number", 0, on_mint);
	if (code == SQLITE_OK)
		code = each(r, "SELECT issuer, " WHO ", bucket, mints, failed FROM mint_rate "
			    "WHERE bucket >= ?1 ORDER BY 1, 2, 3, 4, 5",
			    (int64_t)(bucket > old ? bucket - old : 0), on_rate);
	if (code == SQLITE_OK)
		code = each(r, "SELECT wire_sent + wire_received, covered_sent + covered_received, "
			    "iif(executable = '', process, executable), status, reason FROM cover "
			    "WHERE (NOT ended OR last >= ?1) ORDER BY 1 DESC, 3",
			    (int64_t)(now > COVERED_NS ? now - COVERED_NS : 0), on_cover);
	if (code == SQLITE_OK)
		code = each(r, "SELECT reason, count, last FROM loss WHERE count > 0 ORDER BY count DESC, "
			    "reason", 0, on_loss);
	return code;
}

static void closep_db(sqlite3 **db)
{
	sqlite3_close(*db);
}

int store_report_read(const char *path, uint64_t now, struct history **ret_history,
		      struct config_error *ret_error)
{
	_cleanup_(closep_db) sqlite3 *db = NULL;
	struct reader r = { 0 };
	int code, error;

	error = open_store(path, &db, ret_error);
	if (error < 0)
		return error;
	r.db = db;
	r.h = history_new();
	if (!r.h) {
		snprintf(ret_error->text, sizeof(ret_error->text), "out of memory");
		return -ENOMEM;
	}
	code = sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
	if (code == SQLITE_OK)
		code = read_all(&r, now);
	if (code == SQLITE_OK && !r.error)
		r.error = history_link(r.h);
	if (code == SQLITE_OK && !r.error) {
		*ret_history = r.h;
		return 0;
	}
	history_free(r.h);
	if (code != SQLITE_OK)
		return say(ret_error, path, code);
	snprintf(ret_error->text, sizeof(ret_error->text), "out of memory");
	return r.error;
}

/* ---- stories ---- */

/* Mint m gave access token a; its refresh token r, of m's answer or its request, gave b in the later mint n. */
#define RENEWED                                                                                    \
	"FROM mint_token a JOIN mint m ON m.number = a.number "                                    \
	"JOIN mint_token r ON r.number = a.number AND ((r.part = 'minted' AND r.role = 'refresh') " \
	"OR (r.part = 'parent' AND r.role = 'body:refresh_token')) "                               \
	"JOIN mint_token q ON q.token = r.token AND q.part = 'parent' "                            \
	"AND q.role = 'body:refresh_token' AND q.number > a.number "                               \
	"JOIN mint n ON n.number = q.number AND n.direction = m.direction "                        \
	"JOIN mint_token b ON b.number = q.number AND b.part = 'minted' AND b.role = 'access' "    \
	"WHERE a.part = 'minted' AND a.role = 'access' AND "

static const char story_sql[] =
	/* what the token itself was minted, revoked and checked by */
	"SELECT m.time, iif(k.part = 'minted', 'minted', iif(k.part = 'parent', 'minted_with', m.action)), "
	"iif(m.executable = '', m.process, m.executable), m.issuer, m.method, m.mint_grant, m.status, "
	"ifnull((SELECT token FROM mint_token o WHERE o.number = m.number "
	"AND o.part = iif(k.part = 'minted', 'parent', 'minted') AND o.token <> k.token LIMIT 1), ''), k.role "
	"FROM mint_token k JOIN mint m ON m.number = k.number WHERE k.token = ?1 "
	/* and the tokens that came before and after it */
	"UNION ALL SELECT f.minted_time, 'replaced', f.minted_executable, f.minted_issuer, f.minted_method, "
	"f.minted_grant, 0, f.token, '' FROM fact f WHERE f.minted_previous = ?1 AND f.minted_previous <> '' "
	"UNION ALL SELECT minted_time, 'replaces', minted_executable, minted_issuer, minted_method, minted_grant, 0, "
	"minted_previous, '' FROM fact WHERE token = ?1 AND minted_previous <> '' "
	/* Access tokens that one refresh token, or the one that took its place, gave one after the other. */
	"UNION ALL SELECT n.time, 'renewed', '', n.issuer, n.method, n.mint_grant, 0, b.token, '' " RENEWED
	"a.token = ?1 AND b.token <> ?1 GROUP BY a.token HAVING n.number = min(n.number) "
	"UNION ALL SELECT n.time, 'renews', '', n.issuer, n.method, n.mint_grant, 0, a.token, '' " RENEWED
	"b.token = ?1 AND a.token <> ?1 GROUP BY b.token HAVING m.number = max(m.number) "
	"UNION ALL SELECT t.first, 'same_grant', '', '', '', '', 0, f.token, '' FROM fact f JOIN token t "
	"ON t.token = f.token, fact me WHERE me.token = ?1 AND me.token_lineage <> '' "
	"AND f.token_lineage = me.token_lineage AND f.token <> ?1 "
	"UNION ALL SELECT t.first, 'same_signed', '', '', '', '', 0, f.token, '' FROM fact f JOIN token t "
	"ON t.token = f.token, fact me WHERE me.token = ?1 AND me.token_signed_id <> '' "
	"AND f.token_signed_id = me.token_signed_id AND f.token <> ?1 ORDER BY 1 LIMIT 10000";

static const char *event_name(const char *name)
{
	static const char *const names[] = { "minted", "minted_with", "mint", "revoke", "check", "replaced",
					     "replaces", "renewed", "renews", "same_grant", "same_signed" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(names[i], name))
			return names[i];
	return "mint";
}

static void tell(const char *what, struct reader *r, char *to, size_t size)
{
	const char *who = text(r, 2), *issuer = text(r, 3), *method = text(r, 4), *grant = text(r, 5);
	int status = sqlite3_column_int(r->st, 6);
	char how[256], code[32] = "";

	snprintf(how, sizeof(how), " (%s%s%s)", method, grant[0] ? ", " : "", grant);
	if (status)
		snprintf(code, sizeof(code), ", answered %d", status);
	if (!strcmp(what, "minted"))
		snprintf(to, size, "minted for %s by %s%s%s", who, issuer, how, code);
	else if (!strcmp(what, "minted_with"))
		snprintf(to, size, "%s asked %s for a token with it%s%s", who, issuer, how, code);
	else if (!strcmp(what, "revoke"))
		snprintf(to, size, "%s asked %s to revoke it%s%s", who, issuer, how, code);
	else if (!strcmp(what, "check"))
		snprintf(to, size, "%s asked %s whether it is good%s%s", who, issuer, how, code);
	else if (!strcmp(what, "replaced"))
		snprintf(to, size, "replaced by another token%s%s", issuer[0] ? " of " : "", issuer);
	else if (!strcmp(what, "replaces"))
		snprintf(to, size, "takes the place of another token%s%s", issuer[0] ? " of " : "", issuer);
	else if (!strcmp(what, "renewed"))
		snprintf(to, size, "its refresh token gave the next one%s%s", issuer[0] ? " of " : "", issuer);
	else if (!strcmp(what, "renews"))
		snprintf(to, size, "follows the one that the same refresh token, or the one before it, gave last");
	else if (!strcmp(what, "same_grant"))
		snprintf(to, size, "a token of the same grant (iss, jti) came up");
	else
		snprintf(to, size, "a token of the same signed content came up");
}

int store_report_story(const char *path, const char *token,
		       int (*event)(void *arg, const struct story_event *e), void *arg,
		       struct config_error *ret_error)
{
	_cleanup_(closep_db) sqlite3 *db = NULL;
	struct reader r = { 0 };
	int code, error;

	error = open_store(path, &db, ret_error);
	if (error < 0)
		return error;
	r.h = history_new();
	code = sqlite3_prepare_v2(db, story_sql, -1, &r.st, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_bind_text(r.st, 1, token, -1, SQLITE_STATIC);
	while (r.h && code == SQLITE_OK && !error && (code = sqlite3_step(r.st)) == SQLITE_ROW) {
		const char *what = event_name(text(&r, 1));
		char line[1024];

		tell(what, &r, line, sizeof(line));
		error = event(arg, &(struct story_event){ number(&r, 0), what, line, text(&r, 7) });
		error = error ?: r.error;
		code = SQLITE_OK;
	}
	if (!r.h)
		error = -ENOMEM;
	sqlite3_finalize(r.st);
	history_free(r.h);
	if (error == -ENOMEM)
		snprintf(ret_error->text, sizeof(ret_error->text), "out of memory");
	if (error)
		return error;
	return code == SQLITE_DONE || code == SQLITE_OK ? 0 : say(ret_error, path, code);
}
