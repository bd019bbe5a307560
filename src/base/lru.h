/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash table whose members are also in order of their last use, for tables with a limit that
 * forget the oldest. Intrusive: the owner embeds struct lru_node, allocates and frees. The hash is
 * keyed with a random value per run, because names and paths in the keys are chosen by others.
 */
#ifndef TT_BASE_LRU_H
#define TT_BASE_LRU_H

#include <stddef.h>
#include <stdint.h>

struct lru_node {
	struct lru_node *chain;		/* same bucket */
	struct lru_node *newer, *older;
	uint64_t hash;
};

struct lru {
	struct lru_node **buckets;
	size_t size;			/* of buckets, a power of two */
	size_t count;
	struct lru_node *newest, *oldest;
};

#define lru_entry(node, type, member)                                                              \
	((type *)(void *)((char *)(node)-offsetof(type, member)))

int lru_init(struct lru *l);
void lru_done(struct lru *l);	/* frees the table, not its members */

/* Hash of len bytes, chained: begin with 0, pass the last result on for the next part. Keyed once there was a table;
 * in a process that never makes one others can find two texts with one hash. */
uint64_t lru_hash(uint64_t before, const void *bytes, size_t len);

/* The members with this hash, one after the other; NULL at the end. */
struct lru_node *lru_first(const struct lru *l, uint64_t hash);
struct lru_node *lru_next(const struct lru_node *n);

void lru_add(struct lru *l, struct lru_node *n, uint64_t hash);	/* as the newest */
void lru_touch(struct lru *l, struct lru_node *n);		/* makes it the newest */
void lru_remove(struct lru *l, struct lru_node *n);

#endif
