/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose token is it? Concluded from what is known of it, each conclusion with its evidence and with how
 * sure it is; where evidence contradicts, that is said and makes it less sure. Nothing known: no owner.
 * Pure.
 */
#ifndef TT_TOKENS_OWNER_H
#define TT_TOKENS_OWNER_H

#include <stdbool.h>

#include "tokens/facts.h"
#include "tokens/workload.h"

struct owner_sources {
	const struct workload *user;	/* the first workload that sent it; NULL = none is known */
	bool several;			/* others sent it, too */
};

/* Makes the facts owner.* anew from the other ones. 0 or -ENOMEM. */
int owner_judge(const struct owner_sources *s, struct facts *f);

/* Of facts that were judged before: did they know of several senders, or of another one than this? */
bool owner_had_several(const struct facts *f);
bool owner_was_other(const struct facts *f, const struct workload *user);

#endif
