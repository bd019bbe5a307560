/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a token is in its life, from what is known of it now. Pure.
 */
#ifndef TT_TOKENS_STATE_H
#define TT_TOKENS_STATE_H

#include <stdint.h>

#include "tokens/use.h"

/* CLOCK_REALTIME. idle_ns: a token that was not used for so long is idle; 0: none ever is. An end that
 * is known goes before what was seen of its use: revoked, expired, idle, used, minted. */
enum token_state token_state(const struct token *t, uint64_t now_ns, uint64_t idle_ns);

const char *token_state_name(enum token_state state);	/* "" = not known */

#endif
