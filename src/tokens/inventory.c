/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changed rows are in a queue by the time of their first change after their last record; all wait
 * equally long, so the head is due first.
 */
#include "tokens/inventory.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/lru.h"
#include "sinks/sink.h"
#include "tokens/owner.h"
#include "tokens/privilege.h"
#include "tokens/state.h"
#include "tokens/workload.h"

#define NEWS_MAX 16	/* facts that are news make so many records of a row at once */

struct row {
	struct lru_node node;
	struct row *next, *prev;	/* queue of changed rows */
	bool changed;
	uint8_t news;			/* records since the last one of the queue */
	bool several;			/* other workloads than `user` sent it, too */
	uint64_t changed_ns;
	struct workload *user;		/* the first that sent it; NULL = none is known */
	struct facts *facts;		/* NULL = none that could not be made anew */
	struct token token;
};

struct inventory {
	struct lru rows;
	struct row *first, *last;
	size_t limit;
	uint64_t interval_ns;
	uint64_t real_ns, idle_ns;
	uint64_t swept_ns;		/* of the last sweep() */
	uint64_t now_ns;		/* the caller's, as it came last */
	inventory_emit emit;
	inventory_recall recall;	/* NULL: nothing is kept elsewhere */
	void *ctx;
};

DEFINE_CLEANUP(struct inventory *, inventory_free)

int inventory_new(size_t limit, uint64_t interval_ns, inventory_emit emit, void *ctx,
		  struct inventory **ret_inventory)
{
	_cleanup_(inventory_freep) struct inventory *inv = NULL;
	int r;

	inv = calloc(1, sizeof(*inv));
	if (!inv)
		return -ENOMEM;
	inv->limit = limit;
	inv->interval_ns = interval_ns;
	inv->emit = emit;
	inv->ctx = ctx;
	r = lru_init(&inv->rows);
	if (r < 0)
		return r;
	*ret_inventory = TAKE_PTR(inv);
	return 0;
}

void inventory_set_recall(struct inventory *inv, inventory_recall recall)
{
	inv->recall = recall;
}

void inventory_set_idle(struct inventory *inv, uint64_t idle_ns)
{
	inv->idle_ns = idle_ns;
}

void inventory_set_clock(struct inventory *inv, uint64_t real_ns)
{
	inv->real_ns = real_ns;
}

static void forget(struct inventory *inv, struct row *row)
{
	lru_remove(&inv->rows, &row->node);
	workload_drop(row->user);
	if (row->facts)
		facts_done(row->facts);
	free(row->facts);
	free(row);
}

void inventory_free(struct inventory *inv)
{
	if (!inv)
		return;
	while (inv->rows.oldest)
		forget(inv, lru_entry(inv->rows.oldest, struct row, node));
	lru_done(&inv->rows);
	free(inv);
}

static uint64_t hash_of(const char *token_id)
{
	return lru_hash(0, token_id, strlen(token_id));
}

static struct row *find(const struct inventory *inv, const char *token_id)
{
	struct lru_node *n = lru_first(&inv->rows, hash_of(token_id));

	for (; n; n = lru_next(n)) {
		struct row *row = lru_entry(n, struct row, node);

		if (strcmp(row->token.token_id, token_id) == 0)
			return row;
	}
	return NULL;
}

static void unqueue(struct inventory *inv, struct row *row)
{
	if (!row->changed)
		return;
	*(row->prev ? &row->prev->next : &inv->first) = row->next;
	*(row->next ? &row->next->prev : &inv->last) = row->prev;
	row->next = row->prev = NULL;
	row->changed = false;
}

/* Whose it is and what it may do follows from the rest, and is made anew for each record: most rows have
 * no other facts, and then none are kept. */
static int judge(struct inventory *inv, struct row *row, struct facts *f)
{
	const struct owner_sources sources = { row->user, row->several };
	int r;

	row->token.state = TOKEN_STATE_UNKNOWN;
	if (row->token.unreadable)
		return 0;
	r = owner_judge(&sources, f);
	if (r == 0)
		r = privilege_judge(&row->token, f, inv->real_ns);
	row->token.facts = f;
	row->token.state = token_state(&row->token, inv->real_ns, inv->idle_ns);
	return r;
}

static void write_out(struct inventory *inv, struct row *row)
{
	struct facts own = { 0 }, *f = row->facts ? row->facts : &own;

	unqueue(inv, row);
	if (judge(inv, row, f) < 0)
		agent_drops[TT_DROP_tokens_full]++;
	row->token.facts = facts_empty(f) ? NULL : f;
	inv->emit(inv->ctx, &row->token);
	row->token.facts = NULL;
	facts_done(&own);
}

static void mark_changed(struct inventory *inv, struct row *row, uint64_t now_ns)
{
	if (row->changed)
		return;
	row->changed = true;
	row->changed_ns = now_ns;
	row->prev = inv->last;
	*(inv->last ? &inv->last->next : &inv->first) = row;
	inv->last = row;
}

static void token_begin(struct token *t, const struct use *u)
{
	*t = (struct token){
		.class_name = u->class_name,
		.kind = u->kind,
		.length = u->length,
		.unreadable = u->unreadable,
		.entry = u->entry,
	};
	memcpy(t->token_id, u->token_id, sizeof(t->token_id));
	memcpy(t->key_id, u->key_id, sizeof(t->key_id));
}

static void token_add(struct token *t, const struct use *u)
{
	t->uses += u->count;
	*(u->dir == TT_DIR_INGRESS ? &t->ingress : &t->egress) += u->count;
	if (!t->first_ns || u->first_ns < t->first_ns)
		t->first_ns = u->first_ns;
	if (u->last_ns > t->last_ns)
		t->last_ns = u->last_ns;
}

static void make_room(struct inventory *inv)
{
	while (inv->rows.count >= inv->limit && inv->rows.oldest) {
		struct row *row = lru_entry(inv->rows.oldest, struct row, node);

		agent_drops[TT_DROP_tokens_full]++;
		if (row->changed)
			write_out(inv, row);
		forget(inv, row);
	}
}

static struct row *add_row(struct inventory *inv, const struct token *t)
{
	struct row *row;

	make_room(inv);
	row = calloc(1, sizeof(*row));
	if (!row) {
		agent_drops[TT_DROP_tokens_full]++;
		return NULL;
	}
	row->token = *t;
	lru_add(&inv->rows, &row->node, hash_of(t->token_id));
	return row;
}

/* A token that was forgotten here, or is of an earlier run, goes on where it was. */
static void recall(struct inventory *inv, struct row *row)
{
	struct facts f = { 0 };
	int r = 0;

	if (!inv->recall || row->token.unreadable || !inv->recall(inv->ctx, &row->token, &f))
		return;
	row->several = owner_had_several(&f);
	if (!facts_empty(&f)) {
		bool changed;

		row->facts = calloc(1, sizeof(*row->facts));
		r = row->facts ? facts_merge(row->facts, &f, &changed) : -ENOMEM;
	}
	if (r < 0)
		agent_drops[TT_DROP_tokens_full]++;
	facts_done(&f);
}

/* Who sends it, and which of its rights that shows. True: that is news. */
static bool note_user(struct row *row, const struct use *u)
{
	bool used = false;

	if (row->facts && privilege_use(u, row->facts, &used) < 0)
		agent_drops[TT_DROP_tokens_full]++;
	if (u->dir != TT_DIR_EGRESS || !u->work)
		return used;
	if (!row->user) {
		row->user = workload_hold(u->work);
		row->several = row->several ||
			       (row->facts && owner_was_other(row->facts, row->user));
		return true;
	}
	if (row->several || workload_same(row->user, u->work))
		return used;
	row->several = true;
	return true;
}

static void see_first(struct inventory *inv, const struct use *u)
{
	struct token t;
	struct row *row;

	token_begin(&t, u);
	row = add_row(inv, &t);
	if (!row) {
		token_add(&t, u);
		inv->emit(inv->ctx, &t);
		return;
	}
	recall(inv, row);
	note_user(row, u);
	token_add(&row->token, u);
	write_out(inv, row);
}

/* Whatever else is said of a token, now that the configuration has a class for it, is more. */
static bool says_little(const struct token *t)
{
	return !t->class_name || !*t->class_name || !strcmp(t->class_name, "opaque");
}

void inventory_class(const struct inventory *inv, struct use *u)
{
	const struct row *row = find(inv, u->token_id);

	if (!row || says_little(&row->token))
		return;
	u->class_name = row->token.class_name;
	u->kind = row->token.kind;
}

void inventory_use(struct inventory *inv, const struct use *u, uint64_t now_ns)
{
	struct row *row = find(inv, u->token_id);
	bool first;

	if (!row) {
		see_first(inv, u);
		return;
	}
	first = row->token.uses == 0;
	if (says_little(&row->token) && u->class_name && *u->class_name) {
		first = first || (row->token.class_name && strcmp(row->token.class_name, u->class_name) != 0);
		row->token.class_name = u->class_name;
		row->token.kind = u->kind;
	}
	lru_touch(&inv->rows, &row->node);
	token_add(&row->token, u);
	if (note_user(row, u) || first)
		write_out(inv, row);
	else
		mark_changed(inv, row, now_ns);
}

/* Who knows more of a token may know its class better than its first bytes tell: of a JWT no more than
 * that it is one. */
static void refine(struct token *t, const struct token *about)
{
	if (!about->class_name || !*about->class_name)
		return;
	if (!strcmp(about->class_name, "jwt") && t->class_name && *t->class_name &&
	    strcmp(t->class_name, "jwt"))
		return;
	t->class_name = about->class_name;
	t->kind = about->kind;
}

static int add_facts(struct row *row, const struct facts *facts, bool *ret_changed)
{
	*ret_changed = false;
	if (!row->facts)
		row->facts = calloc(1, sizeof(*row->facts));
	return row->facts ? facts_merge(row->facts, facts, ret_changed) : -ENOMEM;
}

int inventory_facts(struct inventory *inv, const struct token *about, const struct facts *facts)
{
	struct row *row = find(inv, about->token_id);
	bool changed;
	int r;

	if (facts_empty(facts))
		return 0;
	if (!row) {
		struct token t = { .class_name = about->class_name, .kind = about->kind,
				   .length = about->length };

		memcpy(t.token_id, about->token_id, sizeof(t.token_id));
		memcpy(t.key_id, about->key_id, sizeof(t.key_id));
		row = add_row(inv, &t);
		if (!row)
			return -ENOMEM;
		recall(inv, row);
	}
	refine(&row->token, about);
	r = add_facts(row, facts, &changed);
	if (r < 0)
		agent_drops[TT_DROP_tokens_full]++;
	/* A server may say something else with each response. */
	if (changed && row->news == NEWS_MAX) {
		mark_changed(inv, row, inv->now_ns);
	} else if (changed) {
		row->news++;
		write_out(inv, row);
	}
	return r;
}

bool inventory_account(const struct inventory *inv, const char *token_id, const char *namespace,
		       const char *pod, char *ret_account, size_t size)
{
	const struct row *row = find(inv, token_id);
	const char *account;

	if (!row || !row->facts || strcmp(facts_text(row->facts, FACT_k8s_namespace), namespace) ||
	    strcmp(facts_text(row->facts, FACT_k8s_pod), pod))
		return false;
	account = facts_text(row->facts, FACT_k8s_service_account);
	if (!*account || strlen(account) >= size)
		return false;
	memcpy(ret_account, account, strlen(account) + 1);
	return true;
}

/* An end comes by itself, and so does a score that depends on time. */
static void sweep(struct inventory *inv)
{
	for (struct lru_node *n = inv->rows.oldest; n; n = n->newer) {
		struct row *row = lru_entry(n, struct row, node);

		row->token.facts = row->facts;
		if (!row->token.unreadable &&
		    token_state(&row->token, inv->real_ns, inv->idle_ns) != row->token.state)
			write_out(inv, row);
		row->token.facts = NULL;
	}
}

void inventory_tick(struct inventory *inv, uint64_t now_ns)
{
	inv->now_ns = now_ns;
	if (inv->real_ns && now_ns - inv->swept_ns >= inv->interval_ns) {
		inv->swept_ns = now_ns;
		sweep(inv);
	}
	while (inv->first && now_ns - inv->first->changed_ns >= inv->interval_ns) {
		inv->first->news = 0;
		write_out(inv, inv->first);
	}
}

void inventory_flush(struct inventory *inv)
{
	while (inv->first)
		write_out(inv, inv->first);
}

size_t inventory_count(const struct inventory *inv)
{
	return inv->rows.count;
}
