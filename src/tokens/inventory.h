/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A row per token. A token not seen before gives a record at once, as do facts that are news; one that was
 * used gives its next record when the interval since the change has passed, and at the end. When the table is full the
 * token longest unused is forgotten (its last state goes out before). Times are the caller's, of
 * any clock that only grows.
 */
#ifndef TT_TOKENS_INVENTORY_H
#define TT_TOKENS_INVENTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tokens/facts.h"
#include "tokens/use.h"

#define INVENTORY_INTERVAL_NS (60ULL * 1000000000)

struct inventory;

/* t->facts are those that are known, with owner and privilege as they follow from them now. */
typedef void (*inventory_emit)(void *ctx, const struct token *t);
/* What is kept elsewhere of the token with this id: fills first_ns, last_ns, uses, egress, ingress of *t
 * and the facts. False: nothing. */
typedef bool (*inventory_recall)(void *ctx, struct token *t, struct facts *ret_facts);

int inventory_new(size_t limit, uint64_t interval_ns, inventory_emit emit, void *ctx,
		  struct inventory **ret_inventory);
void inventory_free(struct inventory *inv);

/* Is asked for each token that has no row. NULL: nobody is. */
void inventory_set_recall(struct inventory *inv, inventory_recall recall);
/* Of token_state(). A row whose state changes by time alone gives a record with the next sweep. */
void inventory_set_idle(struct inventory *inv, uint64_t idle_ns);
/* CLOCK_REALTIME, for ends of tokens. 0, as at first: it is not known, nothing ends. */
void inventory_set_clock(struct inventory *inv, uint64_t real_ns);

/* Gives the use the class that its token is known to have (its claims tell more than its first bytes). */
void inventory_class(const struct inventory *inv, struct use *u);
/* Adds u->count uses. */
void inventory_use(struct inventory *inv, const struct use *u, uint64_t now_ns);
/*
 * Something became known of a token, be it used already or not: `about` says which (token_id, key_id,
 * class_name, kind and length; the rest is not looked at), `facts` what (copied; facts_merge()). If that is
 * news the row goes out at once, up to a limit; then with the interval. 0, or -ENOMEM: counted, and not all of it is kept.
 */
int inventory_facts(struct inventory *inv, const struct token *about, const struct facts *facts);
/* The service account of a token that is bound to this pod; false: it is not, or not known. */
bool inventory_account(const struct inventory *inv, const char *token_id, const char *namespace,
		       const char *pod, char *ret_account, size_t size);
void inventory_tick(struct inventory *inv, uint64_t now_ns);
void inventory_flush(struct inventory *inv);
size_t inventory_count(const struct inventory *inv);

#endif
