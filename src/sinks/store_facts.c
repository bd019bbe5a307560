/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A statement's text is put together from the names in facts.def, so that table and statement can't
 * go apart: a column that store.sql lacks is an error when the store is opened.
 */
#include "sinks/store_facts.h"
#include "sinks/store_statement.h"

#include <errno.h>
#include <stdio.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "base/cleanup.h"
#include "base/lru.h"
#include "sinks/sink.h"

#define PENDING_MAX 4096

struct pending {
	struct lru_node node;
	struct token t;
	char class_name[64], kind[64];
	struct facts facts;
};

enum statement { TOKEN, CLASS, FACT, STATEMENTS };

struct store_facts {
	sqlite3_stmt *statements[STATEMENTS];
	struct lru pending;
};

int store_facts_new(struct store_facts **ret_facts)
{
	struct store_facts *s = calloc(1, sizeof(*s));

	if (!s || lru_init(&s->pending) < 0) {
		free(s);
		return -ENOMEM;
	}
	*ret_facts = s;
	return 0;
}

void store_facts_free(struct store_facts *s)
{
	if (!s)
		return;
	store_facts_finalize(s);
	store_facts_clear(s);
	lru_done(&s->pending);
	free(s);
}

/* ---- statements ---- */

static bool is_text(enum fact which)
{
	return fact_infos[which].kind == FACT_KIND_TEXT || fact_infos[which].kind == FACT_KIND_LIST;
}

/* What is not known does not take the place of what was known before the agent started. */
static int make_upsert(char **ret_sql)
{
	size_t size;
	FILE *f = open_memstream(ret_sql, &size);

	if (!f)
		return -ENOMEM;
	fputs("INSERT INTO fact (token", f);
	for (int i = 0; i < FACTS; i++)
		fprintf(f, ", %s", fact_infos[i].column);
	fputs(") VALUES (?1", f);
	for (int i = 0; i < FACTS; i++)
		fprintf(f, ", ?%d", i + 2);
	fputs(") ON CONFLICT (token) DO UPDATE SET ", f);
	for (int i = 0; i < FACTS; i++)
		fprintf(f, "%s%s = iif(?%d = %s, %s, ?%d)", i ? ", " : "", fact_infos[i].column, i + 2,
			is_text(i) ? "''" : "0", fact_infos[i].column, i + 2);
	return fclose(f) ? -ENOMEM : 0;
}

static int prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret_statement)
{
	return sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret_statement, NULL);
}

int store_facts_prepare(struct store_facts *s, struct sqlite3 *db)
{
	_cleanup_free_ char *upsert = NULL;
	int r;

	if (make_upsert(&upsert) < 0)
		return SQLITE_NOMEM;
	r = prepare(db, "INSERT OR IGNORE INTO token (token, key_id, class, kind, length, first, "
		    "last, uses, egress, ingress) VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, 0, 0, 0)",
		    &s->statements[TOKEN]);
	if (r == SQLITE_OK)
		r = prepare(db, "UPDATE token SET class = ?2, kind = ?3 WHERE token = ?1 "
			    "AND ?2 <> '' AND (class <> ?2 OR kind <> ?3)", &s->statements[CLASS]);
	return r == SQLITE_OK ? prepare(db, upsert, &s->statements[FACT]) : r;
}

void store_facts_finalize(struct store_facts *s)
{
	for (int i = 0; s && i < STATEMENTS; i++) {
		sqlite3_finalize(s->statements[i]);
		s->statements[i] = NULL;
	}
}

int store_facts_select(struct sqlite3 *db, const char *table, struct sqlite3_stmt **ret_statement)
{
	_cleanup_free_ char *sql = NULL;
	size_t size;
	FILE *f = open_memstream(&sql, &size);

	if (!f)
		return SQLITE_NOMEM;
	for (int i = 0; i < FACTS; i++)
		fprintf(f, "%s%s", i ? ", " : "SELECT ", fact_infos[i].column);
	fprintf(f, " FROM %s WHERE token = ?1", table);
	if (fclose(f))
		return SQLITE_NOMEM;
	return sqlite3_prepare_v2(db, sql, -1, ret_statement, NULL);
}

/* The file may have been written by anybody: texts go through the setters. */
static int read_list(struct facts *f, enum fact which, const char *list)
{
	int r = 0;

	while (*list && r == 0) {
		size_t len = strcspn(list, (const char[]){ FACTS_LIST_SEPARATOR, 0 });

		r = facts_add(f, which, list, len);
		list += len + (list[len] != 0);
	}
	return r;
}

int store_facts_read(struct sqlite3_stmt *st, struct facts *ret_facts)
{
	int r = 0;

	for (int i = 0; i < FACTS && r == 0; i++) {
		const char *text = is_text(i) ? (const char *)sqlite3_column_text(st, i) : NULL;

		if (fact_infos[i].kind == FACT_KIND_LIST && text)
			r = read_list(ret_facts, i, text);
		else if (text)
			r = facts_set_text(ret_facts, i, text, strlen(text));
		else if (!is_text(i))
			facts_set_number(ret_facts, i, (uint64_t)sqlite3_column_int64(st, i));
	}
	return r;
}

/* ---- writing ---- */

static int bind_token(sqlite3_stmt *st, const struct pending *p)
{
	int r;

	r = statement_text(st, 1, p->t.token_id);
	r |= statement_text(st, 2, p->t.key_id);
	r |= statement_text(st, 3, p->class_name);
	r |= statement_text(st, 4, p->kind);
	r |= statement_number(st, 5, p->t.length);
	return r;
}

static int bind_class(sqlite3_stmt *st, const struct pending *p)
{
	int r;

	r = statement_text(st, 1, p->t.token_id);
	r |= statement_text(st, 2, p->class_name);
	r |= statement_text(st, 3, p->kind);
	return r;
}

static int bind_facts(sqlite3_stmt *st, const struct pending *p)
{
	int r = statement_text(st, 1, p->t.token_id);

	for (int i = 0; i < FACTS; i++)
		r |= is_text(i) ? statement_text(st, i + 2, facts_text(&p->facts, i)) :
				  statement_number(st, i + 2, facts_number(&p->facts, i));
	return r;
}

static int write_facts(struct store_facts *s, const struct pending *p)
{
	sqlite3_stmt **st = s->statements;
	int r;

	r = statement_run(st[TOKEN], bind_token(st[TOKEN], p));
	if (r == SQLITE_OK)
		r = statement_run(st[CLASS], bind_class(st[CLASS], p));
	return r == SQLITE_OK ? statement_run(st[FACT], bind_facts(st[FACT], p)) : r;
}

int store_facts_write(struct store_facts *s)
{
	int r = SQLITE_OK;

	for (struct lru_node *n = s->pending.oldest; n && r == SQLITE_OK; n = n->newer)
		r = write_facts(s, lru_entry(n, struct pending, node));
	return r;
}

/* ---- what waits ---- */

static void forget(struct store_facts *s, struct pending *p)
{
	lru_remove(&s->pending, &p->node);
	facts_done(&p->facts);
	free(p);
}

static struct pending *find(const struct store_facts *s, const char *id, uint64_t hash)
{
	for (struct lru_node *n = lru_first(&s->pending, hash); n; n = lru_next(n)) {
		struct pending *p = lru_entry(n, struct pending, node);

		if (!strcmp(p->t.token_id, id))
			return p;
	}
	return NULL;
}

static int give_up(int r)
{
	agent_drops[TT_DROP_store_failed]++;
	return r;
}

int store_facts_add(struct store_facts *s, const struct token *t)
{
	uint64_t hash = lru_hash(0, t->token_id, strlen(t->token_id));
	struct pending *p = find(s, t->token_id, hash);
	bool changed;
	int r;

	if (!p) {
		if (s->pending.count >= PENDING_MAX)
			return give_up(-ENOBUFS);
		p = calloc(1, sizeof(*p));
		if (!p)
			return give_up(-ENOMEM);
		lru_add(&s->pending, &p->node, hash);
	}
	p->t = *t;
	snprintf(p->class_name, sizeof(p->class_name), "%s", t->class_name ? t->class_name : "");
	snprintf(p->kind, sizeof(p->kind), "%s", t->kind ? t->kind : "");
	r = facts_merge(&p->facts, t->facts, &changed);
	return r < 0 ? give_up(r) : 0;
}

size_t store_facts_waiting(const struct store_facts *s)
{
	return s->pending.count;
}

void store_facts_clear(struct store_facts *s)
{
	while (s->pending.oldest)
		forget(s, lru_entry(s->pending.oldest, struct pending, node));
}

void store_facts_give_up(struct store_facts *s)
{
	if (!s)
		return;
	agent_drops[TT_DROP_store_failed] += s->pending.count;
	store_facts_clear(s);
}
