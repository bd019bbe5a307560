/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The token classes (classes.tsv) and the places where credentials are carried (carriers.tsv),
 * compiled in as tables by the build (build/gen/tokens_tables.c), plus the user's own carriers.
 * Row ids are what the kernel reports (struct tt_cred); 0 means none.
 */
#ifndef TT_TOKENS_CLASS_H
#define TT_TOKENS_CLASS_H

#include <stddef.h>
#include <stdint.h>

#include <tokentrail/abi.h>

struct token_class {
	const char *name;	/* github_pat_classic */
	const char *provider;
	const char *prefix;	/* at most TT_PREFIX_LEN bytes */
	uint32_t min_len, max_len;	/* of the whole credential, bytes */
	const char *kind;	/* api_key, oauth_access, ... */
};

/* Row of a class id; NULL for 0 and for ids that no row has. */
const struct token_class *class_get(uint16_t id);
size_t class_count(void);	/* ids are 1..class_count() */

/* The class of a credential by its longest prefix and its length, as the kernel finds it; 0 = none.
 * Only `tokentrail fingerprint`, which reads tokens that its user types in, has bytes to give. */
uint16_t class_of(const void *bytes, size_t len);

struct carrier {
	enum tt_name_space space;	/* TT_NAME_HEADER or TT_NAME_PARAM */
	const char *name;	/* lower case; as written for parameters */
	enum tt_unwrap unwrap;
};

const struct carrier *carrier_get(uint16_t id);
size_t carrier_count(void);	/* ids are 1..carrier_count() */

/* Adds a header or parameter of the user's configuration. -EEXIST: there is one of this name;
 * -EINVAL: not a field name (RFC 9110, 5.1) or longer than 48 bytes; -ENOSPC: more than 64 added. */
int carrier_add(enum tt_name_space space, const char *name);

struct scheme {
	const char *name;	/* lower case */
	enum tt_unwrap unwrap;
};
const struct scheme *scheme_get(uint8_t id);
size_t scheme_count(void);

#endif
