/* SPDX-License-Identifier: Apache-2.0 */
/* The table under all the agent's tables: against a plain array as its model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/lru.h"

#define ITEMS 300

struct item {
	struct lru_node node;
	uint64_t key;
	bool in;
	uint64_t used;
};

static struct item items[ITEMS];

static struct item *find(struct lru *l, uint64_t key, uint64_t hash)
{
	for (struct lru_node *n = lru_first(l, hash); n; n = lru_next(n))
		if (lru_entry(n, struct item, node)->key == key)
			return lru_entry(n, struct item, node);
	return NULL;
}

/* All members in order, both ways, and no other. */
static void check(struct lru *l)
{
	size_t n = 0;
	uint64_t last = 0;

	for (struct lru_node *p = l->oldest; p; p = p->newer, n++) {
		struct item *it = lru_entry(p, struct item, node);

		assert_true(it->in);
		assert_true(it->used > last);
		last = it->used;
		assert_ptr_equal(p->newer ? p->newer->older : l->newest, p);
	}
	assert_int_equal(n, l->count);
}

static void run_model(uint64_t hash_mask)
{
	struct lru l;
	size_t in = 0;

	memset(items, 0, sizeof(items));
	assert_int_equal(lru_init(&l), 0);
	srandom(1);
	for (uint64_t t = 1; t < 20000; t++) {
		struct item *it = &items[random() % ITEMS];
		uint64_t key = (uint64_t)(it - items);
		uint64_t hash = lru_hash(0, &key, sizeof(key)) & hash_mask;
		struct item *found = find(&l, key, hash);

		assert_ptr_equal(found, it->in ? it : NULL);
		if (!found) {
			it->key = key;
			it->in = true;
			it->used = t;
			lru_add(&l, &it->node, hash);
			in++;
		} else if (random() % 3) {
			it->used = t;
			lru_touch(&l, &it->node);
		} else {
			it->in = false;
			lru_remove(&l, &it->node);
			in--;
		}
		assert_int_equal(l.count, in);
		if (t % 500 == 0)
			check(&l);
	}
	lru_done(&l);
}

static void model(void **state)
{
	run_model(UINT64_MAX);
}

static void model_with_collisions(void **state)
{
	run_model(3);
}

static void hash_depends_on_every_byte_and_on_what_came_before(void **state)
{
	struct lru l;
	char a[40];
	uint64_t h;

	assert_int_equal(lru_init(&l), 0);
	memset(a, 'x', sizeof(a));
	for (size_t len = 0; len <= sizeof(a); len++) {
		h = lru_hash(7, a, len);
		assert_true(h == lru_hash(7, a, len));
		assert_true(h != lru_hash(8, a, len));
		for (size_t i = 0; i < len; i++) {
			a[i] ^= 1;
			assert_true(h != lru_hash(7, a, len));
			a[i] ^= 1;
		}
	}
	/* Parts are kept apart: "ab" + "c" is not "a" + "bc". */
	assert_true(lru_hash(lru_hash(0, "ab", 2), "c", 1) != lru_hash(lru_hash(0, "a", 1), "bc", 2));
	lru_done(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(model),
		cmocka_unit_test(model_with_collisions),
		cmocka_unit_test(hash_depends_on_every_byte_and_on_what_came_before),
	};

	return cmocka_run_group_tests_name("lru", tests, NULL, NULL);
}
