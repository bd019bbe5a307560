/* SPDX-License-Identifier: Apache-2.0 */
/*
 * include and exclude: which processes the settings leave alone, from what is known of them. Pure; paths are
 * untrusted.
 *
 * A process is watched if each list of `include` that is given has a pattern for it, and no list of `exclude`
 * has one. What is not known (NULL) decides nothing: the answer is TT_FILTER_UNKNOWN, unless something else
 * says that it is left alone.
 */
#ifndef TT_CONFIG_FILTERS_H
#define TT_CONFIG_FILTERS_H

#include <stdbool.h>

#include <tokentrail/abi.h>

#include "config/config.h"

/* What is decided by: TT_FILTER_BY_EXE, TT_FILTER_BY_CGROUP (namespaces too); 0 = nobody is left alone. */
uint32_t filters_by(const struct config *c);

/* Whether they ask for Kubernetes' namespaces. */
bool filters_by_namespace(const struct config *c);

enum tt_filter_verdict filters_executable(const struct config *c, const char *path);

/* path: the cgroup's, below the mount of cgroup2. namespace: of Kubernetes; "" = it is in no pod. */
enum tt_filter_verdict filters_cgroup(const struct config *c, const char *path, const char *namespace);

/* Does the pattern (glob(7), where * and ? match no '/') stand for this path, or one that it is below? */
bool filters_path_matches(const char *pattern, const char *path);

/* Patterns that could never match are refused: -EINVAL. */
int filters_check(const struct config *c, struct config_error *ret_error);

#endif
