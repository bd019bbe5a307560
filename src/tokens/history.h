/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node's store knows, in memory, for the questions of a report (tokens/questions.h): tokens,
 * who used them where, who minted, when the sensor watched. sinks/store_report.c fills it.
 *
 * Texts are kept in one pool, so that equal ones have the same address; "" is not known. Times are
 * CLOCK_REALTIME in nanoseconds, 0 not known.
 */
#ifndef TT_TOKENS_HISTORY_H
#define TT_TOKENS_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tokentrail/abi.h>

#include "base/pool.h"
#include "tokens/coverage.h"

#define HISTORY_NONE UINT32_MAX
#define HISTORY_S UINT64_C(1000000000)
#define HISTORY_HOUR (3600 * HISTORY_S)
#define HISTORY_DAY (24 * HISTORY_HOUR)

/* Who: a program of a user in a container, and the workload that stands for it. */
struct history_who {
	const char *executable, *user, *container;
	const char *kind, *space, *name, *unit;	/* of the workload */
	const char *label;	/* of the workload: the same for all that are the same one */
	const char *kin;	/* what stays when a container is made anew */
};

struct history_token {
	const char *id, *class_name, *kind;
	const char *public_id, *issuer, *subject, *subject_kind;
	const char *owner, *owner_kind, *owner_confidence, *owner_evidence;
	const char *scopes, *roles, *terms;	/* lists, a line feed between elements */
	const char *needed;		/* scopes that servers said its requests need; "" too if some may be missing */
	const char *rights;		/* seen in use: "list secrets" */
	const char *minted_issuer, *minted_method, *parent, *previous;
	const char *listed_name, *listed_owner, *listed_source;
	uint32_t minter;		/* who; HISTORY_NONE */
	uint32_t score, length;
	uint64_t first, last, uses, egress, ingress;
	uint64_t issued, expires, minted, revoked, listed, created;
	uint64_t writes;		/* uses with another method than GET, HEAD and OPTIONS */
	bool unreadable;
	bool public_only;		/* on a list by its public identifier, and never seen */
	/* made by history_link() */
	bool replaced;			/* another token's `previous` */
};

/* Uses of one token by one who at one place. Sorted by token. */
struct history_use {
	uint32_t token, who;
	enum tt_dir dir;
	const char *server;		/* address, else the peer's */
	const char *domain;		/* of the server, or its network */
	const char *network;		/* of the client; "" of egress */
	uint16_t port;
	uint64_t count, first, last;
};

struct history_day {
	uint32_t token, day, uses;	/* day since 1970; sorted by token and day */
};

struct history_hour {
	uint64_t hour;			/* since 1970; the sensor watched in it */
	uint64_t uses, mints, failed;
};

/* A token that was minted. By time. */
struct history_mint {
	uint64_t time, expires;
	const char *issuer, *method, *grant;
	uint32_t who, token;		/* HISTORY_NONE: could not be read */
};

struct history_rate {
	const char *issuer;
	uint32_t who;
	uint64_t bucket;		/* of five minutes since 1970 */
	uint32_t mints, failed;
};

struct history_blind {
	const char *program, *reason;
	uint64_t processes, bytes;
};

struct history_loss {
	const char *reason;
	uint64_t count;
	uint64_t last;
};

struct history {
	struct pool *pool;
	const char *node;
	struct history_who *who;
	struct history_token *token;	/* sorted by id */
	struct history_use *use;
	struct history_day *day;
	struct history_hour *hour;	/* by hour */
	struct history_mint *mint;
	struct history_rate *rate;
	struct history_blind *blind;
	struct history_loss *loss;
	uint32_t whos, tokens, uses, days, hours, mints, rates, blinds, losses;
	struct coverage_sum coverage;
};

/* NULL: out of memory. history_free(NULL) is nothing. */
struct history *history_new(void);
void history_free(struct history *h);

/* Room for one more element of an array of `size` bytes each; NULL: out of memory. The element is all
 * zero, *count is one more. */
void *history_add(void **array, uint32_t *count, size_t size);
#define HISTORY_ADD(h, array, count) \
	((__typeof__((h)->array))history_add((void **)&(h)->array, &(h)->count, sizeof(*(h)->array)))

/* Fills what follows from the rest, when everything is in: label and kin of who is given before. */
int history_link(struct history *h);

uint32_t history_find(const struct history *h, const char *id);	/* a token; HISTORY_NONE */

/* label and kin from the other members. 0 or -ENOMEM. */
int history_name_who(struct history *h, struct history_who *w);

/* "api.example.co.uk" -> "example.co.uk"; an address -> its /24 or /48. "" of "". */
int history_domain(struct history *h, const char *address, const char **ret_domain);

/* Nanoseconds between two times in which the sensor watched. Where nothing is known of that (an older
 * store), all of it. */
uint64_t history_watched(const struct history *h, uint64_t from, uint64_t to);
/* When watching began, and until when it is known to have gone on; 0: never. */
uint64_t history_since(const struct history *h);
uint64_t history_until(const struct history *h);

#endif
