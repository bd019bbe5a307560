/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what the kernel tells to what the sinks take: struct tt_ev_use and one of its credentials
 * become a struct use. Gives the token its published id, the time its date, addresses their text.
 */
#ifndef TT_AGENT_CONVERT_H
#define TT_AGENT_CONVERT_H

#include <stddef.h>
#include <stdint.h>

#include <tokentrail/abi.h>

#include "enrich/process.h"
#include "tokens/facts.h"
#include "tokens/id.h"
#include "tokens/use.h"

struct convert;

int convert_new(const uint8_t publish[static PUBLISH_KEY_LEN], const char *key_id,
		struct convert **ret_convert);
void convert_free(struct convert *c);	/* wipes the key */

/* Both clocks read at one moment; again now and then, because CLOCK_REALTIME is set and slewed. */
void convert_set_clock(struct convert *c, uint64_t boot_ns, uint64_t real_ns);

/* Credential `i` < ev->creds of a checked event (ring_record()). 1; 0: it is no credential after all, such as
 * a path segment that is one on other hosts only; -EIO: libcrypto refused. In both cases *ret_use is of no use. */
int convert_use(struct convert *c, const struct tt_ev_use *ev, size_t i, struct outcome outcome,
		const struct process_info *info, struct use *ret_use);

/* A checked record of a JWT's claims: which token (for inventory_facts()), and what is known of it; the
 * facts, empty so far, are the caller's to end. 0, -ENOMEM or -EIO. */
int convert_claims(struct convert *c, const struct tt_ev_claims *ev, struct token *ret_about,
		   struct facts *f);
/* The same without a credential: who, where, when. */
int convert_request(struct convert *c, const struct tt_ev_use *ev, struct outcome outcome,
		    const struct process_info *info, struct use *ret_use);
/* Adds a credential's members to what convert_request() made; the host tells one class from another. 1, 0 and
 * -EIO as of convert_use(). */
int convert_credential(struct convert *c, const struct tt_cred *cred, struct use *ret_use);
/* token.id of a fingerprint. 0 or -EIO. */
int convert_id(struct convert *c, const uint64_t token[static 2], uint32_t length,
	       char ret_id[static TOKEN_ID_LEN]);
uint64_t convert_time(const struct convert *c, uint64_t boot_ns);	/* CLOCK_REALTIME */

/* The host of a Host field value: no port, no brackets, lower case. */
void convert_host(const uint8_t *host, size_t len, char *to, size_t size);

#endif
