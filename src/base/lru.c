/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table grows with its members; when memory for a larger one is short it stays as it is, which
 * costs time and nothing else.
 */
#include "base/lru.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define FIRST_SIZE 64

static uint64_t hash_key[2];

static inline uint64_t rotl(uint64_t v, int bits)
{
	return v << bits | v >> (64 - bits);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] = rotl(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] = rotl(v[2], 32);
}

/* SipHash-1-3 (Aumasson, Bernstein), little-endian words, with `before` as the first one. */
uint64_t lru_hash(uint64_t before, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	uint64_t v[4] = {
		hash_key[0] ^ 0x736f6d6570736575ULL,
		hash_key[1] ^ 0x646f72616e646f6dULL,
		hash_key[0] ^ 0x6c7967656e657261ULL,
		hash_key[1] ^ 0x7465646279746573ULL,
	};
	uint64_t m = before;

	for (size_t left = len;; left -= 8, p += 8) {
		v[3] ^= m;
		sip_round(v);
		v[0] ^= m;
		m = 0;
		memcpy(&m, p, left < 8 ? left : 8);
		if (left < 8)
			break;
	}
	m |= (uint64_t)len << 56;
	v[3] ^= m;
	sip_round(v);
	v[0] ^= m;
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

int lru_init(struct lru *l)
{
	if (!hash_key[0] && getrandom(hash_key, sizeof(hash_key), 0) != (ssize_t)sizeof(hash_key))
		return -errno;
	*l = (struct lru){ .size = FIRST_SIZE };
	l->buckets = calloc(l->size, sizeof(struct lru_node *));
	return l->buckets ? 0 : -ENOMEM;
}

void lru_done(struct lru *l)
{
	free(l->buckets);
	*l = (struct lru){ 0 };
}

static struct lru_node **bucket(const struct lru *l, uint64_t hash)
{
	return &l->buckets[hash & (l->size - 1)];
}

static void grow(struct lru *l)
{
	struct lru_node **bigger;

	bigger = calloc(l->size * 2, sizeof(struct lru_node *));
	if (!bigger)
		return;
	free(l->buckets);
	l->buckets = bigger;
	l->size *= 2;
	for (struct lru_node *n = l->oldest; n; n = n->newer) {
		n->chain = *bucket(l, n->hash);
		*bucket(l, n->hash) = n;
	}
}

static struct lru_node *same_hash(struct lru_node *n, uint64_t hash)
{
	while (n && n->hash != hash)
		n = n->chain;
	return n;
}

struct lru_node *lru_first(const struct lru *l, uint64_t hash)
{
	return same_hash(*bucket(l, hash), hash);
}

struct lru_node *lru_next(const struct lru_node *n)
{
	return same_hash(n->chain, n->hash);
}

static void link_newest(struct lru *l, struct lru_node *n)
{
	n->newer = NULL;
	n->older = l->newest;
	if (l->newest)
		l->newest->newer = n;
	else
		l->oldest = n;
	l->newest = n;
}

static void unlink_order(struct lru *l, struct lru_node *n)
{
	if (n->newer)
		n->newer->older = n->older;
	else
		l->newest = n->older;
	if (n->older)
		n->older->newer = n->newer;
	else
		l->oldest = n->newer;
}

void lru_add(struct lru *l, struct lru_node *n, uint64_t hash)
{
	if (l->count >= l->size)
		grow(l);
	n->hash = hash;
	n->chain = *bucket(l, hash);
	*bucket(l, hash) = n;
	link_newest(l, n);
	l->count++;
}

void lru_touch(struct lru *l, struct lru_node *n)
{
	if (l->newest == n)
		return;
	unlink_order(l, n);
	link_newest(l, n);
}

void lru_remove(struct lru *l, struct lru_node *n)
{
	struct lru_node **at = bucket(l, n->hash);

	while (*at != n)
		at = &(*at)->chain;
	*at = n->chain;
	unlink_order(l, n);
	l->count--;
}
