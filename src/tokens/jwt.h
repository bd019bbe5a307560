/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a JWT (RFC 7519) says of itself: facts from its header and claims, by a list of what may be told.
 * Claims that name a person are told as a keyed hash, claims that are on no list not at all. Nothing
 * here verifies a signature: a claim is what the token says.
 */
#ifndef TT_TOKENS_JWT_H
#define TT_TOKENS_JWT_H

#include <stdint.h>

#include <tokentrail/abi.h>

#include "tokens/facts.h"
#include "tokens/id.h"

/* What its claims make of it; static. "" = the class of its first bytes stands. */
struct jwt_class {
	const char *name, *kind;
};

/*
 * Adds what a record tells to the facts (which the caller has empty). The record was checked
 * (agent/ring.h); its text is hostile all the same. 0; -ENOMEM, or -EIO if libcrypto refused: some
 * facts are there, some not.
 */
int jwt_facts(const struct tt_ev_claims *ev, const uint8_t publish[static PUBLISH_KEY_LEN],
	      struct facts *f, struct jwt_class *ret_class);

#endif
