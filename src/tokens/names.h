/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All names the head reader looks up: carriers, schemes, and the fields it needs for itself. The
 * monitor puts them into the kernel's table `names`, the tests and the fuzzer into one of their own.
 */
#ifndef TT_TOKENS_NAMES_H
#define TT_TOKENS_NAMES_H

#include <stdint.h>

#include <stdbool.h>

#include <tokentrail/abi.h>

/* Is it a field that the head readers need themselves, of requests or of responses? In any case of letters. */
bool names_is_field(const char *name);

/* Calls put() for each name; stops at and returns its first negative result. -EEXIST: two names of
 * one space fall on the same hash, which a build must never ship. */
int names_each(int (*put)(const struct tt_name_key *key, const struct tt_name_val *val, void *data),
	       void *data);

/* The names behind the numbers that an answer's texts have (enum tt_said): a header field, and the cookie of
 * TT_SAID_COOKIE; "" = none. */
const char *names_said(uint8_t said);
const char *names_cookie(uint16_t id);

#endif
