/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a response's head said of the credential of its request (enum tt_said): facts of the token, and the
 * server's name for the request. Records have been checked (ring.h).
 */
#ifndef TT_AGENT_SAID_H
#define TT_AGENT_SAID_H

#include <stdbool.h>

#include <tokentrail/abi.h>

#include "tokens/facts.h"
#include "tokens/use.h"

/* Texts lie behind the record: text_len bytes. Do they fill their place exactly, and make sense? */
bool said_ok(const struct tt_ev_status *ev);

/* Sets request_id and request_id_field. */
void said_request_id(const struct tt_ev_status *ev, struct outcome *o);

/* Adds what is known of the token to its facts; none if there is nothing. 0 or -ENOMEM. */
int said_facts(const struct tt_ev_status *ev, struct facts *f);

/* Whom that is about: the only credential that was read, or of several the one in Authorization; -1: nobody
 * can tell. */
int said_about(const struct tt_ev_use *ev);

#endif
