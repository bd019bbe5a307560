/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much a token may do, and how much of that it does: a score from 1 to 100, the terms that add up to
 * it, and the rights that it was seen to use. The tables are privilege.def. Pure.
 *
 * Granted rights come from claims, minting answers and response heads (facts token.scopes, .roles,
 * .groups). Of an opaque token whose rights nobody told, nothing is concluded.
 */
#ifndef TT_TOKENS_PRIVILEGE_H
#define TT_TOKENS_PRIVILEGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tokens/facts.h"
#include "tokens/use.h"

#define PRIVILEGE_RIGHT_LEN 128

/* Makes privilege.score, .terms and .unused of t and its facts anew; `f` are the facts of `t`. 0 or -ENOMEM.
 * CLOCK_REALTIME. */
int privilege_judge(const struct token *t, struct facts *f, uint64_t now_ns);

/* Adds what this use of the token shows of the rights it needs to privilege.used: today the verb and
 * resource of a request to a Kubernetes API server. *ret_changed: that one is new. */
int privilege_use(const struct use *u, struct facts *f, bool *ret_changed);

/* "list secrets", "create serviceaccounts/token", "get deployments.apps": the right that a request to a
 * Kubernetes API server needs. False: it is none. A watch is a list here, as queries stay in the kernel. */
bool privilege_kubernetes(const char *method, const char *path, char ret_right[static PRIVILEGE_RIGHT_LEN]);

#endif
