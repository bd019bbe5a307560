/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store's table `workload`: what stands behind an executable, its user and its container, which the
 * rows of uses name. Written when it is new or says something else, and once in a while for `last`.
 */
#ifndef TT_SINKS_STORE_WORKLOADS_H
#define TT_SINKS_STORE_WORKLOADS_H

#include <stddef.h>

#include "tokens/use.h"

struct sqlite3;
struct store_workloads;

int store_workloads_new(struct store_workloads **ret_workloads);
void store_workloads_free(struct store_workloads *s);
int store_workloads_prepare(struct store_workloads *s, struct sqlite3 *db);	/* SQLite's codes, as in write */
void store_workloads_finalize(struct store_workloads *s);

/* u->work is set. What there is no memory for is tried again with the next use. */
void store_workloads_add(struct store_workloads *s, const struct use *u);
size_t store_workloads_waiting(const struct store_workloads *s);
/* Within the caller's transaction; clear once that was committed. */
int store_workloads_write(struct store_workloads *s);
void store_workloads_clear(struct store_workloads *s);

#endif
