/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The places in paths where a secret stands (carriers.tsv, space `path`), as the kernel needs them: rules,
 * how to find them by a path's first bytes, and a filter that tells most paths to have none.
 */
#ifndef TT_TOKENS_ROUTES_H
#define TT_TOKENS_ROUTES_H

#include <stdint.h>

#include <tokentrail/abi.h>

/* Calls put() for row 0, any segment, and for each rule; stops at and returns its first negative result.
 * -EINVAL: a name that is no such place; -ENOSPC: too many, all or of one beginning, or classes for one. */
int routes_each(int (*put)(uint32_t id, const struct tt_path_rule *rule, void *data), void *data);
/* How such paths begin: rules of `key` are `first` and those behind it. */
int routes_keys(int (*put)(uint64_t key, uint32_t first, uint32_t count, void *data), void *data);
/* h1_work.routes */
uint64_t routes_filter(void);

#endif
