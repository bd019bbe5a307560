/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts that a use tells of its token: how sure its class is, its checksum, its public identifier. Made
 * once for a token and not for each request.
 */
#ifndef TT_AGENT_TOLD_H
#define TT_AGENT_TOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "tokens/facts.h"
#include "tokens/use.h"

#define TOLD_ROWS 4096	/* a power of two */

/* All zero to begin with. One of two tokens that fall on one row is told of again now and then. */
struct told {
	uint64_t row[TOLD_ROWS];
};

/* Was all of this told before? It is from now on. */
bool told_already(struct told *t, const struct use *u);
int told_facts(const struct use *u, struct facts *ret_facts);	/* adds to it; 0 or -ENOMEM */

#endif
