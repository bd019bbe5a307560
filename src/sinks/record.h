/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Uses, inventory rows, mints, coverage and losses as the protobuf messages of schemas/tokentrail/v1, which are the
 * contract on Kafka. record.c is the only file that knows protobuf-c.
 */
#ifndef TT_SINKS_RECORD_H
#define TT_SINKS_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "tokens/coverage.h"
#include "tokens/mint.h"
#include "tokens/use.h"

#define RECORD_SCHEMA "1.4" /* schemas/VERSION; tests/lint/proto-compat.sh holds them together */
#define RECORD_MAX 24576	    /* no record of today's members is longer, bytes */

/* Each packs one record into `to` and returns its length in bytes; -ENOBUFS: longer than size. */
int record_use(const struct use *u, const char *node, uint8_t *to, size_t size);
int record_token(const struct token *t, const char *node, uint8_t *to, size_t size);
int record_coverage(const struct coverage *c, const char *node, uint8_t *to, size_t size);
int record_mint(const struct mint *m, const char *node, uint8_t *to, size_t size);
int record_loss(const struct loss *l, const char *node, uint8_t *to, size_t size);

#endif
