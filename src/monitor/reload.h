/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new configuration for a running sensor: which settings differ, and which of them can change
 * now.
 */
#ifndef TT_MONITOR_RELOAD_H
#define TT_MONITOR_RELOAD_H

#include "config/config.h"

/* Calls differs() with the yaml.path of each setting that is not the same in both. */
void reload_compare(const struct config *a, const struct config *b,
		    void (*differs)(const char *path, void *arg), void *arg);

/* Whether both add the same to the tables of classes, credential fields and token endpoints. */
bool reload_same_tables(const struct config *a, const struct config *b);

/* Whether both leave the same alone: include and exclude. */
bool reload_same_filters(const struct config *a, const struct config *b);

#endif
