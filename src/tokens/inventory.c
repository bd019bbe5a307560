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

struct row {
	struct lru_node node;
	struct row *next, *prev;	/* queue of changed rows */
	bool changed;
	uint64_t changed_ns;
	struct facts *facts;		/* NULL = none */
	struct token token;
};

struct inventory {
	struct lru rows;
	struct row *first, *last;
	size_t limit;
	uint64_t interval_ns;
	inventory_emit emit;
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

static void forget(struct inventory *inv, struct row *row)
{
	lru_remove(&inv->rows, &row->node);
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

static void write_out(struct inventory *inv, struct row *row)
{
	unqueue(inv, row);
	row->token.facts = row->facts;
	inv->emit(inv->ctx, &row->token);
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

static void see_first(struct inventory *inv, const struct use *u)
{
	struct token t;

	token_begin(&t, u);
	token_add(&t, u);
	add_row(inv, &t);
	inv->emit(inv->ctx, &t);
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
	if (!row->token.class_name || !*row->token.class_name) {
		row->token.class_name = u->class_name;
		row->token.kind = u->kind;
	}
	lru_touch(&inv->rows, &row->node);
	token_add(&row->token, u);
	if (first)
		write_out(inv, row);
	else
		mark_changed(inv, row, now_ns);
}

/* Who knows more of a token may know its class better than its first bytes tell. */
static void refine(struct token *t, const struct token *about)
{
	if (about->class_name && *about->class_name) {
		t->class_name = about->class_name;
		t->kind = about->kind;
	}
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
	}
	refine(&row->token, about);
	r = add_facts(row, facts, &changed);
	if (r < 0)
		agent_drops[TT_DROP_tokens_full]++;
	if (changed)
		write_out(inv, row);
	return r;
}

void inventory_tick(struct inventory *inv, uint64_t now_ns)
{
	while (inv->first && now_ns - inv->first->changed_ns >= inv->interval_ns)
		write_out(inv, inv->first);
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
