/* SPDX-License-Identifier: Apache-2.0 */
/* Whose a JWT is, by the habits of those who issue them: its class, machine or human. */
#ifndef TT_TOKENS_JWT_ISSUER_H
#define TT_TOKENS_JWT_ISSUER_H

#include <stdbool.h>

#include "tokens/jwt.h"
#include "tokens/jwt_json.h"

/* By `typ` of the header and the claims; either may be NULL. */
struct jwt_class jwt_class_of(const char *type, const json_t *claims);

/* "machine", "human", or "" where the claims don't tell. */
const char *jwt_subject_kind(const json_t *claims);

/* May this name be told as it is, whatever the other claims say? Names of persons may not. */
bool jwt_is_machine_name(const char *name);

/* OAuth's client: client_id, azp, appid, cid; NULL = none is named. */
const char *jwt_client(const json_t *claims);

#endif
