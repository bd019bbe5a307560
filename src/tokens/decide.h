/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last word on a credential's class: what the kernel said of its bytes, together with what carried it
 * and whom it was sent to. Sees no byte of it.
 */
#ifndef TT_TOKENS_DECIDE_H
#define TT_TOKENS_DECIDE_H

#include <stdbool.h>

#include "tokens/class.h"
#include "tokens/workload.h"

/* enum confidence here: none = no class; low = its place or its shape alone; medium = prefix, length and
 * characters; high = and checksum, or sent where such tokens are taken. */
struct verdict {
	const char *class_name, *kind;	/* static; "" = not known */
	enum confidence confidence;
	bool placeholder;		/* somebody forgot to fill it in: no token */
	bool none;			/* no credential after all: a cookie or a parameter that is one elsewhere */
};

/* `host` without port, lower case, "" = not known. carrier and scheme may be NULL. */
void class_decide(const struct tt_cred *cred, const struct carrier *carrier, const struct scheme *scheme,
		  const char *host, struct verdict *ret_verdict);

#endif
