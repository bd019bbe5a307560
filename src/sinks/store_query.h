/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a store (schemas/store.sql), also while an agent writes it. Rows come newest use first.
 */
#ifndef TT_SINKS_STORE_QUERY_H
#define TT_SINKS_STORE_QUERY_H

#include <stdint.h>

#include "config/config.h"
#include "tokens/coverage.h"
#include "tokens/mint.h"
#include "tokens/use.h"

/* All of them hold for a row; NULL or 0: any. */
struct store_filter {
	const char *token;	/* token.id, or how it begins; of tokens also signed_id */
	const char *class_name;
	const char *process;	/* name or executable */
	uint64_t since_ns;	/* used at this time or later, CLOCK_REALTIME */
	uint64_t limit;		/* rows */
};

struct store_query;

/* Opens read-only. -ENOENT: no such file; -EPROTONOSUPPORT: not a store, or a newer one; -EACCES,
 * -EIO; *ret_error has a sentence with path and remedy. */
int store_query_open(const char *path, struct store_query **ret_query,
		     struct config_error *ret_error);
void store_query_free(struct store_query *q);

/* The node whose store this is; "" when not known. Lives as long as q. */
const char *store_query_node(const struct store_query *q);

/* Each calls row() per row until it returns non-zero, which is then the result. What row() is given
 * lives until it returns. -EIO: SQLite failed; store_query_error() says how. */
int store_query_tokens(struct store_query *q, const struct store_filter *f,
		       int (*row)(void *arg, const struct token *t), void *arg);
int store_query_uses(struct store_query *q, const struct store_filter *f,
		     int (*row)(void *arg, const struct use *u), void *arg);
/* The last record of each process, by `process` and `since_ns` of the filter, the newest first. A store
 * from before schema 3 has none. since_ns: with news at this time or later, or still running. */
int store_query_coverage(struct store_query *q, const struct store_filter *f,
			 int (*row)(void *arg, const struct coverage *c), void *arg);

/* Requests that minted, revoked or checked a token, by `token` (any of theirs), `process`, `since_ns` and
 * `class_name` (of any of their tokens), the newest first. Of a check succeeded is only that it was answered.
 * A store from before schema 4 has none. */
int store_query_mints(struct store_query *q, const struct store_filter *f,
		      int (*row)(void *arg, const struct mint *m), void *arg);

const char *store_query_error(const struct store_query *q);

#endif
