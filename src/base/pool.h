/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts that are kept once each: equal texts have the same address, so that they are compared by it.
 * All of them live as long as the pool. Knows nothing of tokentrail.
 */
#ifndef TT_BASE_POOL_H
#define TT_BASE_POOL_H

#include <stddef.h>

struct pool;

struct pool *pool_new(void);	/* NULL: out of memory */
void pool_free(struct pool *p);

/* The pool's copy; NULL: out of memory. */
const char *pool_text(struct pool *p, const char *text);
size_t pool_count(const struct pool *p);

#endif
