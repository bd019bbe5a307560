/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where tokens are minted, revoked and checked (mints.tsv), compiled in as tables by the build
 * (build/gen/tokens_mints.c), plus the token endpoints of the user's configuration. Ids are rows counted
 * from 1, as the kernel reports them (struct tt_ev_mint).
 */
#ifndef TT_TOKENS_MINT_RULES_H
#define TT_TOKENS_MINT_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tokentrail/abi.h>

enum mint_kind {
	MINT_KIND_MINT,		/* asks for a new token */
	MINT_KIND_REVOKE,	/* ends one */
	MINT_KIND_CHECK,	/* asks whether one is good: introspection, TokenReview */
};

/* What a member of a body tells. */
enum mint_meaning {
	/* credentials */
	MINT_PARENT,		/* what authorises the request, beside those of its head */
	MINT_SUBJECT_TOKEN,	/* what is revoked or checked */
	MINT_ACCESS,
	MINT_REFRESH,
	MINT_ID,
	MINT_SESSION,
	/* texts */
	MINT_GRANT,
	MINT_CLIENT,
	MINT_SCOPE,
	MINT_AUDIENCE,
	MINT_RESOURCE,
	MINT_EXPIRES_IN,	/* seconds */
	MINT_EXPIRES_AT,	/* Unix seconds or RFC 3339 */
	MINT_ISSUED_AT,
	MINT_REFRESH_EXPIRES_IN,
	MINT_TOKEN_TYPE,
	MINT_ISSUED_TYPE,
	MINT_REQUESTED_TYPE,
	MINT_SUBJECT,
	MINT_ISSUER,
	MINT_ROLE,
	MINT_ACTION,
	MINT_DURATION,
	MINT_ERROR,
	MINT_ACCOUNT,
	MINT_KEY_ID,
	MINT_ACTIVE,
	MINT_BOUND_KIND,
	MINT_BOUND_NAME,
	MINT_MEANINGS
};

struct mint_member {
	uint8_t set;		/* from 1 */
	const char *path;	/* "status.token" */
	enum tt_mint_what what;
	enum mint_meaning meaning;
};

struct mint_rule {
	const char *name;	/* "oauth", "aws_sts" */
	enum mint_kind kind;
	bool sure;		/* the head alone says it */
	uint8_t methods;	/* TT_MINT_GET, ... */
	const char *host;	/* the Host field begins so; "" = any */
	const char *path;	/* with at most one '*' */
	uint8_t plain;		/* member of a body that is nothing but a token; 0 = none */
	uint8_t request_set, answer_set;
};

/* Made by mints.awk; everybody but mint_rules.c asks by id. */
extern const struct mint_member mint_members[];
extern const size_t mint_members_count;
extern const struct mint_rule mint_rules[];
extern const size_t mint_rules_count;

const struct mint_rule *mint_rule_get(uint8_t id);	/* NULL: no such row */
const struct mint_member *mint_member_get(uint8_t id);

/* What is added from here on takes the place of what was added before, until mint_rules_undo(). Ids stay, as
 * those of classes do (tokens/class.h). */
void mint_rules_begin(void);
void mint_rules_undo(void);

/* Adds a token endpoint (RFC 6749) of the user's configuration: a path, or '*' and the path's end.
 * -EINVAL: neither, or too long, or fewer than six characters behind a '*'; -EEXIST; -ENOSPC: more than 16 in
 * force, or than 24 different ones since the start; -E2BIG: too many that begin or end alike. */
int mint_rule_add(const char *path);
int mint_rule_check(const char *path);	/* 0 or -EINVAL; nothing is added */
/* The i'th that was ever added, counted from 0; NULL: there are not so many. */
const char *mint_rule_own(size_t i);

struct mint_tables {
	int (*rule)(uint32_t id, const struct tt_mint_rule *rule, void *data);
	int (*key)(uint64_t key, const struct tt_mint_key_val *val, void *data);
	int (*member)(const struct tt_mint_member_key *key, const struct tt_mint_member_val *val, void *data);
	void *data;
};

/* The kernel's tables, row by row; stops at and returns the first negative result. -E2BIG: more rules
 * share eight bytes than a row of `mint_keys` has room for. */
int mint_tables_each(const struct mint_tables *to);

#endif
