/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store as a history (tokens/history.h), for `report` and `trace`. All of it is read in one
 * transaction, so that it fits together also while an agent writes.
 */
#ifndef TT_SINKS_STORE_REPORT_H
#define TT_SINKS_STORE_REPORT_H

#include "config/config.h"
#include "tokens/history.h"

/* 0; -ENOENT: no such file; -EPROTONOSUPPORT: not a store, or one of an older schema, which the agent
 * upgrades when it starts; -EACCES, -EIO, -ENOMEM; *ret_error has a sentence with path and remedy. now:
 * what minting is looked at from. */
int store_report_read(const char *path, uint64_t now, struct history **ret_history,
		      struct config_error *ret_error);

/* Something that happened to a token. */
struct story_event {
	uint64_t time;
	const char *what;	/* static: "minted", "first_use", "mint", "revoke", "check", "listed" ... */
	const char *text;	/* a sentence */
	const char *other;	/* the other token's id; "" */
};

/* Mints, revocations and checks that have to do with a token. Calls event() in order of time. */
int store_report_story(const char *path, const char *token,
		       int (*event)(void *arg, const struct story_event *e), void *arg,
		       struct config_error *ret_error);

#endif
