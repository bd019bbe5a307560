/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request that minted, revoked or checked a token, or was refused (mints.tsv): who asked whom, with what,
 * for what, and what came of it. The agent makes it, sinks read it and keep nothing of it. A member that is
 * not known is empty or 0; texts are as in struct use.
 */
#ifndef TT_TOKENS_MINT_H
#define TT_TOKENS_MINT_H

#include "tokens/mint_rules.h"
#include "tokens/use.h"

#define MINT_TOKENS_MAX (TT_CREDS_MAX + 2 * TT_MINT_CREDS_MAX)
#define MINT_TEXT_LEN 256	/* the longest text of a body, and NUL */
#define MINT_ISSUER_LEN (TT_HOST_LEN + 8 + TT_PATH_LEN)

enum mint_part {
	MINT_PART_MINTED,
	MINT_PART_PARENT,	/* authorised the request */
	MINT_PART_REVOKED,
	MINT_PART_CHECKED,
};

struct mint_token {
	char id[TOKEN_ID_LEN];
	const char *class_name, *kind;	/* static; "" = not known */
	uint32_t length;
	enum mint_part part;
	char role[64];		/* access, refresh, id, session; else where it stood: authorization, body:client_secret */
};

struct mint {
	uint64_t time_ns;	/* CLOCK_REALTIME, of the answer; of the request if none came */
	enum mint_kind action;
	const char *method;	/* static: the rule's name */
	char issuer[MINT_ISSUER_LEN];	/* host, port unless the usual one, and path of the endpoint */
	bool succeeded;		/* a status of 200 to 299, and of a check that the token is good */
	struct use request;	/* who, where and its outcome; no token */
	char grant[MINT_TEXT_LEN];	/* grant_type, Action */
	bool other;		/* the Action is one that mints nothing */
	char client_id[MINT_TEXT_LEN];
	char subject[MINT_TEXT_LEN];	/* whom it is for: subject, role, service account */
	char audience[MINT_TEXT_LEN];	/* requested audience or resource */
	char requested_scopes[MINT_TEXT_LEN], scopes[MINT_TEXT_LEN];	/* blanks between them */
	char token_type[MINT_TEXT_LEN];
	char issued_type[MINT_TEXT_LEN];	/* issued_token_type (RFC 8693, 2.2.1) */
	char account[MINT_TEXT_LEN], key_id[MINT_TEXT_LEN];	/* AWS */
	char error[MINT_TEXT_LEN];
	uint64_t requested_s;	/* life asked for, seconds */
	uint64_t expires_ns;	/* CLOCK_REALTIME, of what was minted */
	uint64_t refresh_expires_ns;
	bool expires_dated;	/* as a date, not as a span */
	const char *note;	/* static: why no token is known: "compressed", "incomplete", ...; "" */
	struct mint_token token[MINT_TOKENS_MAX];
	size_t tokens;
};

const char *mint_action(enum mint_kind action);	/* "mint", "revoke", "check" */
const char *mint_part(enum mint_part part);	/* "minted", ... */
const char *mint_outcome(const struct mint *m);	/* "ok", "failed", "unknown" */

/* The first token of this part and role (NULL: any), or NULL. */
const struct mint_token *mint_token_of(const struct mint *m, enum mint_part part, const char *role);

/* An expiry as issuers write it: seconds since 1970, or RFC 3339, to CLOCK_REALTIME nanoseconds; 0: neither. */
uint64_t mint_time(const char *text);

#endif
