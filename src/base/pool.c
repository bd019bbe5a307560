/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pool.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/lru.h"

#define BLOCK_BYTES 65536

struct block {
	struct block *next;
	size_t used, size;
	char bytes[];
};

struct pool {
	struct block *blocks;
	const char **slots;	/* open addressing */
	uint64_t *hashes;
	size_t size, count;	/* size is a power of two, at least twice the count */
	struct lru keyed;	/* empty: lru_hash() has a random key once there was one */
};

static int set_size(struct pool *p, size_t size)
{
	const char **slots = calloc(size, sizeof(*slots));
	uint64_t *hashes = calloc(size, sizeof(*hashes));

	if (!slots || !hashes) {
		free(slots);
		free(hashes);
		return -1;
	}
	for (size_t i = 0; i < p->size; i++) {
		size_t at = p->hashes[i] & (size - 1);

		if (!p->slots[i])
			continue;
		while (slots[at])
			at = (at + 1) & (size - 1);
		slots[at] = p->slots[i];
		hashes[at] = p->hashes[i];
	}
	free(p->slots);
	free(p->hashes);
	p->slots = slots;
	p->hashes = hashes;
	p->size = size;
	return 0;
}

struct pool *pool_new(void)
{
	struct pool *p = calloc(1, sizeof(*p));

	if (p && (lru_init(&p->keyed) < 0 || set_size(p, 1024) < 0)) {
		lru_done(&p->keyed);
		free(p);
		return NULL;
	}
	return p;
}

void pool_free(struct pool *p)
{
	struct block *b, *next;

	if (!p)
		return;
	for (b = p->blocks; b; b = next) {
		next = b->next;
		free(b);
	}
	lru_done(&p->keyed);
	free(p->slots);
	free(p->hashes);
	free(p);
}

static const char *copy(struct pool *p, const char *text, size_t size)
{
	struct block *b = p->blocks;
	char *to;

	if (!b || b->size - b->used < size) {
		size_t room = size > BLOCK_BYTES ? size : BLOCK_BYTES;

		b = malloc(sizeof(*b) + room);
		if (!b)
			return NULL;
		*b = (struct block){ .next = p->blocks, .size = room };
		p->blocks = b;
	}
	to = b->bytes + b->used;
	memcpy(to, text, size);
	b->used += size;
	return to;
}

const char *pool_text(struct pool *p, const char *text)
{
	size_t size = strlen(text) + 1, at;
	uint64_t hash = lru_hash(0, text, size);
	const char *kept;

	if (2 * p->count >= p->size && set_size(p, 2 * p->size) < 0)
		return NULL;
	for (at = hash & (p->size - 1); p->slots[at]; at = (at + 1) & (p->size - 1))
		if (p->hashes[at] == hash && !strcmp(p->slots[at], text))
			return p->slots[at];
	kept = copy(p, text, size);
	if (!kept)
		return NULL;
	p->slots[at] = kept;
	p->hashes[at] = hash;
	p->count++;
	return kept;
}

size_t pool_count(const struct pool *p)
{
	return p->count;
}
