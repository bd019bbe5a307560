/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The five questions, as functions of a node's history: how many tokens are active, which carry
 * excessive privileges, which have not been used for months, which services mint at unusual rates,
 * which are used from unexpected places. An answer says what it is concluded from, since when that is
 * known, and how sure it is; one that can't be given yet says from when it can.
 *
 * The definitions are the comments at each constant and in questions*.c; README and tokentrail(1)
 * repeat them for people.
 */
#ifndef TT_TOKENS_QUESTIONS_H
#define TT_TOKENS_QUESTIONS_H

#include "tokens/history.h"

/* Excessive from this privilege score on (0 to 100). */
#define QUESTIONS_EXCESSIVE 60
/* Granted but not used is told after so long and so many uses. */
#define QUESTIONS_RIGHTS_NS (14 * HISTORY_DAY)
#define QUESTIONS_RIGHTS_USES 100
/* A token's usual places are those of its first days, and of its first uses if those took longer. */
#define QUESTIONS_LEARN_NS (7 * HISTORY_DAY)
#define QUESTIONS_LEARN_USES 20
/* A new place is told of for so long after it was used last. */
#define QUESTIONS_PLACES_NS (30 * HISTORY_DAY)
/* Several workloads with one token: those that used it within this time. */
#define QUESTIONS_SHARED_SHORT_NS HISTORY_DAY
#define QUESTIONS_SHARED_KEY_NS (7 * HISTORY_DAY)
/* Rates of minting: buckets, history, and from when on a service has a baseline of its own. */
#define QUESTIONS_BUCKET_NS (300 * HISTORY_S)
#define QUESTIONS_DAY_BUCKETS 288
#define QUESTIONS_WEEK_BUCKETS 2016
#define QUESTIONS_BASE_BUCKETS (4 * QUESTIONS_WEEK_BUCKETS)
#define QUESTIONS_BASE_NONEMPTY 20

enum question { QUESTION_ACTIVE, QUESTION_EXCESSIVE, QUESTION_UNUSED, QUESTION_MINTING,
		QUESTION_PLACES, QUESTIONS };
enum answered { ANSWERED_NO, ANSWERED_PARTLY, ANSWERED_YES };
enum sureness { SURE_LOW, SURE_MEDIUM, SURE_HIGH };

struct question_options {
	uint64_t now;
	uint64_t window;	/* of active, and of minting; default a day */
	uint64_t unused;	/* default 90 days */
};

/* One reason for a token or a service to be in an answer. */
struct reason {
	const char *rule;	/* "R07", "score", ...: for programs */
	const char *text;	/* a sentence: in the history's pool */
	uint64_t since;		/* 0 = not a matter of time */
};

#define REASONS_MAX 6
struct finding {
	uint32_t token;		/* HISTORY_NONE of minting */
	/* of minting */
	const char *issuer, *workload, *method;
	const char *baseline;	/* "own", "peer", "cap"; NULL: no rate */
	double usual, spread, score;	/* median and MAD of a bucket, z */
	uint32_t rate;		/* mints in the bucket (of cap: the hour) that stands out */
	uint32_t minted, never_used;	/* within the window; of those whose token is known */
	/* of unused */
	bool never_seen;
	uint64_t silent;	/* nanoseconds of watching without a use */
	bool ends_by_itself;	/* of a kind that is short-lived: session, access token */
	/* of excessive: lists, "" = none, or not known */
	const char *used;	/* granted scopes that its requests needed, and rights seen in use */
	const char *unused;	/* granted scopes that no request needed, once that tells anything */
	uint64_t observed;	/* nanoseconds since its first use */

	struct reason reason[REASONS_MAX];
	uint32_t reasons;
	uint64_t rank;		/* the larger, the earlier in the list */
};

struct named_count {
	const char *name;
	uint64_t count;
};
#define NAMED_MAX 12
/* The largest first; the last may be "others". */
struct named_counts {
	struct named_count row[NAMED_MAX];
	uint32_t rows;
};

struct answer {
	enum answered answered;
	const char *why_not;	/* of NO and PARTLY: a sentence */
	uint64_t from;		/* of them: when it can be answered if the sensor goes on watching; 0 = not known */
	uint64_t since;		/* what it is concluded from is known since; 0 = nothing is */
	enum sureness sure;
	const char *because[6];	/* why not surer */
	uint32_t becauses;
	uint64_t count;		/* tokens; services of minting */
	uint64_t of;		/* of how many */
	struct finding *finding;
	uint32_t findings;
};

struct answers {
	struct question_options options;
	uint64_t since, until;	/* watching */
	uint64_t watched;	/* nanoseconds of it */
	double share;		/* of TLS bytes seen; -1 = no TLS */
	uint64_t blind;		/* processes */
	uint64_t lost;		/* records, of all reasons */
	struct answer answer[QUESTIONS];

	/* active, more of it */
	uint64_t active_day, active_week, active_month, active_lineages;
	uint64_t minted_unused;	/* minted here, not used yet, not expired */
	struct named_counts by_class, by_kind, by_owner;
	/* excessive */
	uint64_t rights_known, rights_unknown;	/* of those that are alive */
	/* unused */
	uint64_t never_seen, idle, never_seen_so_far, expired, replaced;
	/* places */
	uint64_t learned;	/* tokens whose usual places are known */
};

/* 0 or -ENOMEM; questions_done() either way. The history has to live as long, and gets texts added. */
int questions_answer(struct history *h, const struct question_options *options,
		     struct answers *ret_answers);
void questions_done(struct answers *a);

const char *question_name(enum question q);	/* "active", "excessive", "unused", "minting", "places" */
const char *question_text(enum question q);	/* "How many tokens are active?" */
const char *answered_name(enum answered a);	/* "no", "partly", "yes" */
const char *sureness_name(enum sureness s);	/* "low", ... */

/* "minted", "used", "idle", "expired", "revoked", "replaced", "listed" */
const char *question_state(const struct history_token *t, uint64_t now, uint64_t window);
/* Expired or revoked, and not used since: no risk any more. */
bool question_is_over(const struct history_token *t, uint64_t now);

/* ---- one each, for tests and questions_answer() ---- */

int question_excessive(struct history *h, struct answers *a);
int question_unused(struct history *h, struct answers *a);
int question_minting(struct history *h, struct answers *a);
int question_places(struct history *h, struct answers *a);

/* Adds a finding to an answer; NULL: out of memory. */
struct finding *answer_add(struct answer *a);
/* Adds a reason: 0 or -ENOMEM. More than REASONS_MAX are left out. */
int finding_reason(struct history *h, struct finding *f, const char *rule, uint64_t since,
		   const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Why not surer, and how much so. */
int answer_because(struct history *h, struct answer *a, enum sureness at_most, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void answer_sort(struct answer *a);	/* by rank */

/* Mints an hour that a service without history may do (per workload). */
uint32_t question_cap(const char *method, const char *grant, const char *executable);

#endif
