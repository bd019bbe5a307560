/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The five questions on histories that are made here: what each counts, what it leaves out, where its
 * limits are, and what it says when it can't answer yet.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tokens/history.h"
#include "tokens/questions.h"

#define S HISTORY_S
#define MIN (60 * S)
#define HOUR HISTORY_HOUR
#define DAY HISTORY_DAY
#define NOW (20000 * DAY)	/* midnight */

static const struct question_options usual_options = { .now = NOW, .window = DAY, .unused = 90 * DAY };

static const char *text(struct history *h, const char *t)
{
	return pool_text(h->pool, t);
}

/* A node that was watched for so many days, without a gap. */
static struct history *make_history(unsigned int days)
{
	struct history *h = history_new();

	h->node = text(h, "n1");
	for (uint64_t hour = (NOW - days * DAY) / HOUR; hour < NOW / HOUR; hour++)
		HISTORY_ADD(h, hour, hours)->hour = hour;
	return h;
}

/* Tokens have to be added in order of their ids. */
static struct history_token *add_token(struct history *h, const char *id, const char *kind, uint64_t first,
				       uint64_t last, uint64_t uses)
{
	struct history_token *t = HISTORY_ADD(h, token, tokens);
	const char **texts[] = { &t->public_id, &t->issuer, &t->subject, &t->subject_kind, &t->owner,
				 &t->owner_kind, &t->owner_confidence, &t->owner_evidence, &t->scopes,
				 &t->roles, &t->terms, &t->minted_issuer, &t->minted_method, &t->parent,
				 &t->previous, &t->listed_name, &t->listed_owner, &t->listed_source,
				 &t->needed, &t->rights };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		*texts[i] = text(h, "");
	t->id = text(h, id);
	t->kind = text(h, kind);
	t->class_name = text(h, "github_pat");
	t->minter = HISTORY_NONE;
	t->first = first;
	t->last = last;
	t->uses = uses;
	return t;
}

static uint32_t add_who(struct history *h, const char *executable, const char *container, const char *space,
			const char *name)
{
	struct history_who *w = HISTORY_ADD(h, who, whos);

	*w = (struct history_who){ .executable = text(h, executable), .user = text(h, "0"),
				   .container = text(h, container),
				   .kind = text(h, name[0] ? "Deployment" : ""), .space = text(h, space),
				   .name = text(h, name), .unit = text(h, "") };
	assert_int_equal(history_name_who(h, w), 0);
	return h->whos - 1;
}

static void add_use(struct history *h, uint32_t who, const char *server, uint64_t first, uint64_t last)
{
	struct history_use *u = HISTORY_ADD(h, use, uses);

	*u = (struct history_use){ .token = h->tokens - 1, .who = who, .dir = TT_DIR_EGRESS,
				   .server = text(h, server), .network = text(h, ""), .port = 443,
				   .count = 1, .first = first, .last = last };
	assert_int_equal(history_domain(h, server, &u->domain), 0);
}

static void add_client(struct history *h, uint32_t who, const char *ip, uint64_t first, uint64_t last)
{
	struct history_use *u = HISTORY_ADD(h, use, uses);

	*u = (struct history_use){ .token = h->tokens - 1, .who = who, .dir = TT_DIR_INGRESS,
				   .server = text(h, "me"), .domain = text(h, "me"), .count = 1,
				   .first = first, .last = last };
	assert_int_equal(history_domain(h, ip, &u->network), 0);
}

static void add_day(struct history *h, uint64_t time, uint32_t uses)
{
	*HISTORY_ADD(h, day, days) = (struct history_day){ h->tokens - 1, (uint32_t)(time / DAY), uses };
}

static void add_rate(struct history *h, const char *issuer, uint32_t who, uint64_t time, uint32_t mints)
{
	*HISTORY_ADD(h, rate, rates) = (struct history_rate){ .issuer = text(h, issuer), .who = who,
							      .bucket = time / QUESTIONS_BUCKET_NS,
							      .mints = mints };
}

/* A token that is minted at that time, and the mint. */
static void add_mint(struct history *h, const char *issuer, uint32_t who, uint64_t time, uint64_t life,
		     uint32_t token)
{
	*HISTORY_ADD(h, mint, mints) = (struct history_mint){ .issuer = text(h, issuer), .who = who,
		.method = text(h, "oauth_token"), .grant = text(h, "client_credentials"), .time = time,
		.expires = life ? time + life : 0, .token = token };
}

static struct answers answers_with(struct history *h, struct question_options o)
{
	struct answers a;

	assert_int_equal(history_link(h), 0);
	assert_int_equal(questions_answer(h, &o, &a), 0);
	return a;
}

/* The ids of an answer's findings, in their order, with their rules. */
static void assert_found(struct history *h, struct answers *a, enum question q, const char *want)
{
	char seen[1024] = "";
	size_t n = 0;

	for (uint32_t i = 0; i < a->answer[q].findings; i++) {
		const struct finding *f = &a->answer[q].finding[i];

		n += (size_t)snprintf(seen + n, sizeof(seen) - n, "%s%s", i ? " " : "",
				      f->token == HISTORY_NONE ? f->workload : h->token[f->token].id);
		for (uint32_t j = 0; j < f->reasons; j++)
			n += (size_t)snprintf(seen + n, sizeof(seen) - n, ":%s", f->reason[j].rule);
	}
	assert_string_equal(seen, want);
	assert_int_equal(a->answer[q].count, a->answer[q].findings);
	questions_done(a);
	history_free(h);
}

#define ASSERT_FOUND(h, q, want)                                                                   \
	do {                                                                                       \
		struct answers a_ = answers_with(h, usual_options);                                \
		assert_found(h, &a_, q, want);                                                     \
	} while (0)

/* ---- active ---- */

static void active(void **state)
{
	struct history *h = make_history(100);
	struct question_options o = usual_options;
	struct answers a;

	add_token(h, "a", "api_key", NOW - 50 * DAY, NOW - DAY + 1, 9);
	add_token(h, "b", "api_key", NOW - 50 * DAY, NOW - DAY, 9);	/* just too long ago */
	add_token(h, "c", "session", NOW - 6 * DAY, NOW - 6 * DAY, 1);
	add_token(h, "d", "session", NOW - 29 * DAY, NOW - 29 * DAY, 1);
	add_token(h, "e", "session", NOW - 1, NOW - 1, 1)->unreadable = true;
	add_token(h, "f", "session", 0, 0, 0)->minted = NOW - HOUR;
	add_token(h, "g", "oauth_access", NOW - HOUR, NOW - HOUR, 1)->previous = text(h, "a");
	add_token(h, "h", "oauth_access", NOW, NOW + HOUR, 1);	/* a clock that was set back */
	a = answers_with(h, o);
	assert_int_equal(a.answer[QUESTION_ACTIVE].count, 3);
	assert_int_equal(a.answer[QUESTION_ACTIVE].of, 7);
	assert_int_equal(a.answer[QUESTION_ACTIVE].answered, ANSWERED_YES);
	assert_int_equal(a.active_day, 3);
	assert_int_equal(a.active_week, 5);
	assert_int_equal(a.active_month, 6);
	assert_int_equal(a.active_lineages, 2);	/* g is a, rotated */
	assert_int_equal(a.minted_unused, 1);
	assert_int_equal(a.by_kind.rows, 2);
	assert_string_equal(a.by_kind.row[0].name, "oauth_access");
	assert_int_equal(a.by_kind.row[0].count, 2);
	questions_done(&a);
	o.window = 30 * DAY;
	a = answers_with(h, o);
	assert_int_equal(a.answer[QUESTION_ACTIVE].count, 6);
	questions_done(&a);
	history_free(h);
}

static void many_classes_have_others(void **state)
{
	struct history *h = make_history(100);
	struct answers a;
	char name[16];

	for (int i = 0; i < 30; i++) {
		snprintf(name, sizeof(name), "c%02d", i);
		add_token(h, name, "api_key", NOW - HOUR, NOW - HOUR, 1)->class_name = text(h, name);
	}
	a = answers_with(h, usual_options);
	assert_int_equal(a.by_class.rows, NAMED_MAX);
	assert_string_equal(a.by_class.row[NAMED_MAX - 1].name, "others");
	assert_int_equal(a.by_class.row[NAMED_MAX - 1].count, 30 - (NAMED_MAX - 1));
	assert_string_equal(a.by_owner.row[0].name, "unknown");
	assert_int_equal(a.by_owner.row[0].count, 30);
	questions_done(&a);
	history_free(h);
}

static void nothing_watched(void **state)
{
	struct history *h = history_new();
	struct answers a;

	h->node = text(h, "");
	a = answers_with(h, usual_options);
	for (int q = 0; q < QUESTIONS; q++) {
		assert_int_equal(a.answer[q].answered, ANSWERED_NO);
		assert_non_null(a.answer[q].why_not);
	}
	questions_done(&a);
	history_free(h);
}

/* ---- excessive ---- */

static void excessive(void **state)
{
	struct history *h = make_history(100);
	struct history_token *t;

	add_token(h, "a", "api_key", NOW - HOUR, NOW - HOUR, 1)->score = 60;
	add_token(h, "b", "api_key", NOW - HOUR, NOW - HOUR, 1)->score = 59;
	add_token(h, "c", "api_key", NOW - HOUR, NOW - HOUR, 1)->score = 95;
	t = add_token(h, "d", "api_key", NOW - 9 * HOUR, NOW - 9 * HOUR, 1);	/* expired since */
	t->score = 90;
	t->expires = NOW - HOUR;
	t = add_token(h, "e", "api_key", NOW - 9 * HOUR, NOW - 1, 1);	/* expired and used all the same */
	t->score = 80;
	t->expires = NOW - HOUR;
	t = add_token(h, "f", "api_key", NOW - 9 * HOUR, NOW - 9 * HOUR, 1);
	t->score = 90;
	t->revoked = NOW - HOUR;
	ASSERT_FOUND(h, QUESTION_EXCESSIVE, "c:score e:score a:score");
}

static void granted_and_not_used(void **state)
{
	struct history *h = make_history(100);
	struct history_token *t;

	t = add_token(h, "a", "api_key", NOW - 14 * DAY, NOW - HOUR, 100);
	t->scopes = text(h, "read:user\nwrite:org");
	t = add_token(h, "b", "api_key", NOW - 14 * DAY, NOW - HOUR, 100);
	t->scopes = text(h, "write:org");
	t->writes = 1;
	t = add_token(h, "c", "api_key", NOW - 14 * DAY, NOW - HOUR, 99);	/* too few uses */
	t->scopes = text(h, "write:org");
	t = add_token(h, "d", "api_key", NOW - 14 * DAY + 1, NOW - HOUR, 100);	/* too young */
	t->scopes = text(h, "write:org");
	t = add_token(h, "e", "api_key", NOW - 14 * DAY, NOW - HOUR, 100);
	t->scopes = text(h, "read:user\npublic_repo");
	t = add_token(h, "f", "api_key", NOW - 14 * DAY, NOW - HOUR, 100);
	t->roles = text(h, "repo");
	ASSERT_FOUND(h, QUESTION_EXCESSIVE, "a:granted_not_used f:granted_not_used");
}

static const struct finding *found_of(const struct history *h, const struct answers *a, const char *id)
{
	for (uint32_t i = 0; i < a->answer[QUESTION_EXCESSIVE].findings; i++)
		if (!strcmp(h->token[a->answer[QUESTION_EXCESSIVE].finding[i].token].id, id))
			return &a->answer[QUESTION_EXCESSIVE].finding[i];
	return NULL;
}

/* Servers say what requests need: what is granted beyond that and allows changes. */
static void granted_minus_needed(void **state)
{
	struct history *h = make_history(100);
	const struct finding *f;
	struct history_token *t;
	struct answers a;

	t = add_token(h, "a", "api_key", NOW - 20 * DAY, NOW - HOUR, 100);
	t->scopes = text(h, "repo\nread:user\nwrite:org");
	t->needed = text(h, "repo\npublic_repo");
	t->writes = 5;	/* of the scope that it needs */
	t = add_token(h, "b", "api_key", NOW - 20 * DAY, NOW - HOUR, 100);	/* what is left only reads */
	t->scopes = text(h, "repo\nread:user");
	t->needed = text(h, "repo");
	t->writes = 1;
	t = add_token(h, "c", "api_key", NOW - 20 * DAY, NOW - HOUR, 99);	/* too few uses to say so */
	t->scopes = text(h, "repo\nwrite:org");
	t->needed = text(h, "repo");
	t->score = 90;
	t = add_token(h, "d", "api_key", NOW - 14 * DAY + 1, NOW - HOUR, 500);	/* too young */
	t->scopes = text(h, "repo\nwrite:org");
	t->needed = text(h, "repo");
	t = add_token(h, "e", "service_account", NOW - 20 * DAY, NOW - HOUR, 100);
	t->score = 60;
	t->rights = text(h, "list secrets\nget pods");
	t = add_token(h, "f", "api_key", NOW - 20 * DAY, NOW - HOUR, 100);	/* no server said anything */
	t->scopes = text(h, "repo\nwrite:org");
	t->writes = 1;
	a = answers_with(h, usual_options);
	assert_int_equal(a.answer[QUESTION_EXCESSIVE].findings, 3);
	f = found_of(h, &a, "a");
	assert_string_equal(f->reason[0].rule, "granted_not_used");
	assert_string_equal(f->reason[0].text, "2 of its 3 scopes were needed by no request in 20 days and 100 uses, "
			    "and 1 of them allows changes (write:org)");
	assert_string_equal(f->used, "repo");
	assert_string_equal(f->unused, "read:user\nwrite:org");
	assert_int_equal(f->observed, 20 * DAY);
	f = found_of(h, &a, "c");	/* for its score; what it did not use is not known yet */
	assert_int_equal(f->reasons, 1);
	assert_string_equal(f->used, "repo");
	assert_string_equal(f->unused, "");
	assert_string_equal(found_of(h, &a, "e")->used, "list secrets\nget pods");
	questions_done(&a);
	history_free(h);
}

static void opaque_rights(void **state)
{
	struct history *h = make_history(100);
	struct answers a;

	add_token(h, "a", "api_key", NOW - HOUR, NOW - HOUR, 1);
	a = answers_with(h, usual_options);
	assert_int_equal(a.answer[QUESTION_EXCESSIVE].answered, ANSWERED_NO);
	questions_done(&a);
	add_token(h, "b", "api_key", NOW - HOUR, NOW - HOUR, 1)->scopes = text(h, "read");
	a = answers_with(h, usual_options);
	assert_int_equal(a.answer[QUESTION_EXCESSIVE].answered, ANSWERED_YES);
	assert_int_equal(a.answer[QUESTION_EXCESSIVE].sure, SURE_MEDIUM);
	assert_int_equal(a.rights_unknown, 1);
	questions_done(&a);
	history_free(h);
}

/* ---- unused ---- */

static void unused(void **state)
{
	struct history *h = make_history(200);
	struct history_token *t;

	add_token(h, "a", "api_key", NOW - 150 * DAY, NOW - 90 * DAY, 5);
	add_token(h, "b", "api_key", NOW - 150 * DAY, NOW - 90 * DAY + 1, 5);	/* a moment too late */
	add_token(h, "c", "session", NOW - 150 * DAY, NOW - 120 * DAY, 5);	/* ends by itself: at the end */
	add_token(h, "d", "api_key", 0, 0, 0)->listed = NOW - DAY;		/* never, on a list of yesterday */
	t = add_token(h, "e", "api_key", 0, 0, 0);
	t->listed = NOW - DAY;
	t->created = NOW - 30 * DAY;						/* younger than that */
	add_token(h, "f", "api_key", 0, 0, 0)->minted = NOW - 100 * DAY;
	t = add_token(h, "g", "api_key", 0, 0, 0);				/* over */
	t->minted = NOW - 100 * DAY;
	t->expires = NOW - 99 * DAY;
	t = add_token(h, "h", "api_key", NOW - 150 * DAY, NOW - 120 * DAY, 5);
	t->revoked = NOW - 110 * DAY;
	add_token(h, "i", "api_key", NOW - 150 * DAY, NOW - 120 * DAY, 5);	/* replaced by j */
	add_token(h, "j", "api_key", NOW - 120 * DAY, NOW - HOUR, 5)->previous = text(h, "i");
	add_token(h, "k", "api_key", NOW - 150 * DAY, NOW - 120 * DAY, 5)->unreadable = true;
	ASSERT_FOUND(h, QUESTION_UNUSED, "d:R19 f:R19 a:R19 c:R19");
}

static void silence_counts_while_watched(void **state)
{
	struct history *h = make_history(200);
	struct answers a;

	add_token(h, "a", "api_key", NOW - 199 * DAY, NOW - 100 * DAY, 5);
	/* Twenty days of the hundred the sensor was away. */
	memmove(&h->hour[(200 - 50) * 24], &h->hour[(200 - 30) * 24], 30 * 24 * sizeof(h->hour[0]));
	h->hours -= 20 * 24;
	assert_int_equal(history_watched(h, NOW - 100 * DAY, NOW), 80 * DAY);
	assert_int_equal(history_watched(h, NOW - 31 * DAY, NOW - 30 * DAY), 0);
	assert_int_equal(history_watched(h, NOW - 51 * DAY + 7, NOW - 29 * DAY), 2 * DAY - 7);
	a = answers_with(h, usual_options);
	assert_int_equal(a.answer[QUESTION_UNUSED].count, 0);
	assert_int_equal(a.answer[QUESTION_UNUSED].answered, ANSWERED_YES);
	assert_int_equal(a.answer[QUESTION_UNUSED].sure, SURE_MEDIUM);
	questions_done(&a);
	history_free(h);
}

static void unused_not_yet(void **state)
{
	struct history *h = make_history(10);
	struct question_options o = usual_options;
	struct answers a;

	add_token(h, "a", "api_key", NOW - 9 * DAY - HOUR, NOW - 9 * DAY - HOUR, 5);
	add_token(h, "b", "api_key", 0, 0, 0)->listed = NOW - HOUR;
	a = answers_with(h, o);
	assert_int_equal(a.answer[QUESTION_UNUSED].answered, ANSWERED_NO);
	assert_int_equal(a.answer[QUESTION_UNUSED].from, NOW + 80 * DAY);
	assert_int_equal(a.never_seen_so_far, 1);
	assert_int_equal(a.answer[QUESTION_UNUSED].count, 0);
	questions_done(&a);
	o.unused = 9 * DAY;
	a = answers_with(h, o);
	assert_int_equal(a.answer[QUESTION_UNUSED].answered, ANSWERED_YES);
	assert_found(h, &a, QUESTION_UNUSED, "b:R19 a:R19");
}

/* ---- minting ---- */

/* Two mints every half hour for `days`, up to the last one. */
static void usual_minting(struct history *h, const char *issuer, uint32_t who, unsigned int days)
{
	for (uint64_t t = NOW - days * DAY; t < NOW - DAY; t += 30 * MIN)
		add_rate(h, issuer, who, t, 2);
}

static void assert_minting(struct history *h, const char *want, const char *baseline)
{
	struct answers a = answers_with(h, usual_options);

	if (baseline) {
		assert_int_equal(a.answer[QUESTION_MINTING].findings, 1);
		assert_string_equal(a.answer[QUESTION_MINTING].finding[0].baseline, baseline);
	}
	assert_found(h, &a, QUESTION_MINTING, want);
}

static void a_burst_stands_out(void **state)
{
	struct history *h = make_history(40);
	uint32_t who = add_who(h, "/app", "", "", "");

	usual_minting(h, "idp/token", who, 20);
	add_rate(h, "idp/token", who, NOW - 60 * MIN, 40);
	add_rate(h, "idp/token", who, NOW - 55 * MIN, 40);
	assert_minting(h, "/app (user 0):R01", "own");
}

static void one_bucket_is_not_enough(void **state)
{
	struct history *h = make_history(40);
	uint32_t who = add_who(h, "/app", "", "", "");

	usual_minting(h, "idp/token", who, 20);
	add_rate(h, "idp/token", who, NOW - 60 * MIN, 40);
	add_rate(h, "idp/token", who, NOW - 50 * MIN, 40);
	assert_minting(h, "", NULL);
}

static void busy_is_not_unusual(void **state)
{
	struct history *h = make_history(40);
	uint32_t who = add_who(h, "/app", "", "", "");

	for (uint64_t t = NOW - 20 * DAY; t < NOW; t += 5 * MIN)
		add_rate(h, "idp/token", who, t, 50 + (uint32_t)(t / MIN % 7));
	assert_minting(h, "", NULL);
}

/* Every Monday at nine it mints a lot: usual at that hour, not at another. */
static void hours_of_the_week(void **state)
{
	struct history *h = make_history(40);
	uint32_t who = add_who(h, "/app", "", "", ""), other = add_who(h, "/other", "", "", "");

	for (unsigned int week = 0; week < 5; week++) {
		uint64_t t = NOW - 12 * HOUR - week * 7 * DAY;

		for (int i = 0; i < 12; i++)
			add_rate(h, "idp/token", who, t + (uint64_t)i * 5 * MIN, 40);
	}
	for (uint64_t t = NOW - 30 * DAY; t < NOW; t += 6 * HOUR) {
		add_rate(h, "idp/token", who, t + 2 * HOUR, 1);
		add_rate(h, "idp/token", other, t + 2 * HOUR, 1);
	}
	for (int i = 0; i < 12; i++)
		add_rate(h, "idp/token", other, NOW - 12 * HOUR + (uint64_t)i * 5 * MIN, 40);
	assert_minting(h, "/other (user 0):R01", "own");
}

/* A burst that goes on may not make itself usual within a day. */
static void what_stands_out_teaches_nothing(void **state)
{
	struct history *h = make_history(40);
	uint32_t who = add_who(h, "/app", "", "", "");

	for (uint64_t t = NOW - 3 * DAY; t < NOW - 30 * HOUR; t += 30 * MIN)
		add_rate(h, "idp/token", who, t, 2);
	for (uint64_t t = NOW - 30 * HOUR; t < NOW; t += 5 * MIN)
		add_rate(h, "idp/token", who, t, 40);
	assert_minting(h, "/app (user 0):R01", "own");
}

static void cold_start_goes_by_caps(void **state)
{
	struct history *h = make_history(40);
	uint32_t who = add_who(h, "/app", "", "", ""), quiet = add_who(h, "/quiet", "", "", "");

	add_mint(h, "idp/token", who, NOW - 30 * MIN, 0, HISTORY_NONE);
	for (int i = 0; i < 12; i++) {
		add_rate(h, "idp/token", who, NOW - 60 * MIN + (uint64_t)i * 5 * MIN, i ? 5 : 6);
		add_rate(h, "idp/token", quiet, NOW - 60 * MIN + (uint64_t)i * 5 * MIN, 5);	/* 60: allowed */
	}
	assert_minting(h, "/app (user 0):R02", "cap");
}

static void cold_start_goes_by_peers(void **state)
{
	struct history *h = make_history(40);
	uint32_t who[4];

	for (int i = 0; i < 4; i++) {
		char name[8];

		snprintf(name, sizeof(name), "/p%d", i);
		who[i] = add_who(h, name, "", "", "");
	}
	/* Its peers mint as much: nothing stands out, though it is above the cap. */
	for (int i = 0; i < 3; i++)
		for (uint64_t t = NOW - 20 * DAY; t < NOW; t += 5 * MIN)
			add_rate(h, "idp/token", who[i], t, 20);
	for (uint64_t t = NOW - 60 * MIN; t < NOW; t += 5 * MIN)
		add_rate(h, "idp/token", who[3], t, 22);
	assert_minting(h, "", NULL);
}

static void above_its_peers(void **state)
{
	struct history *h = make_history(40);
	uint32_t peer = add_who(h, "/peer", "", "", ""), who = add_who(h, "/app", "", "", "");

	for (uint64_t t = NOW - 20 * DAY; t < NOW; t += 5 * MIN)
		add_rate(h, "idp/token", peer, t, 2);
	for (uint64_t t = NOW - 60 * MIN; t < NOW; t += 5 * MIN)
		add_rate(h, "idp/token", who, t, 30);
	assert_minting(h, "/app (user 0):R01", "peer");
}

static void caps(void **state)
{
	assert_int_equal(question_cap("aws_imds_role", "", "/app"), 20);
	assert_int_equal(question_cap("aws_sts", "AssumeRole", "/app"), 30);
	assert_int_equal(question_cap("oauth", "refresh_token", "/app"), 12);
	assert_int_equal(question_cap("oauth", "client_credentials", "/app"), 60);
	assert_int_equal(question_cap("kubernetes_token", "", "/app"), 0);
	assert_true(question_cap("kubernetes_token", "", "/usr/bin/kubelet") > 100);
	assert_int_equal(question_cap("vault_kubernetes", "", "/app"), 120);
	assert_int_equal(question_cap("", "", ""), 60);
}

/* `mints` tokens, one every `gap`, the last an hour and a half ago, the first `used` of them used. */
static void make_loop(struct history *h, uint32_t who, unsigned int mints, uint64_t gap, uint64_t life,
		      unsigned int used)
{
	char id[16];

	for (unsigned int i = 0; i < mints; i++) {
		uint64_t time = NOW - 90 * MIN - (mints - 1 - i) * gap;
		bool is_used = i < used;

		snprintf(id, sizeof(id), "m%05u", i);
		add_token(h, id, "oauth_access", is_used ? time : 0, is_used ? time : 0, is_used)->minted = time;
		if (is_used)
			add_use(h, who, "api.example.com", time, time);
		add_mint(h, "idp/token", who, time, life, h->tokens - 1);
		add_rate(h, "idp/token", who, time, 1);
	}
}

static void a_loop(void **state)
{
	struct history *h = make_history(40);

	make_loop(h, add_who(h, "/app", "", "", ""), 8, 600 * S, 3600 * S, 8);
	ASSERT_FOUND(h, QUESTION_MINTING, "/app (user 0):R03");
}

static void renewal_is_no_loop(void **state)
{
	struct history *h = make_history(40);

	make_loop(h, add_who(h, "/app", "", "", ""), 8, 3000 * S, 3600 * S, 8);
	ASSERT_FOUND(h, QUESTION_MINTING, "");
}

static void kubelet_is_no_loop(void **state)
{
	struct history *h = make_history(40);

	make_loop(h, add_who(h, "/usr/bin/kubelet", "", "", ""), 8, 600 * S, 3600 * S, 8);
	ASSERT_FOUND(h, QUESTION_MINTING, "");
}

static void a_loop_of_last_week_is_known(void **state)
{
	struct history *h = make_history(40);

	make_loop(h, add_who(h, "/app", "", "", ""), 144 * 3, 600 * S, 3600 * S, 144 * 3);
	ASSERT_FOUND(h, QUESTION_MINTING, "");
}

static void minted_and_never_used(void **state)
{
	struct history *h = make_history(40);
	uint32_t who = add_who(h, "/app", "", "", "");

	make_loop(h, who, 10, 3000 * S, 3600 * S, 2);	/* 80 %; alike, and nearly none used: a loop, too */
	ASSERT_FOUND(h, QUESTION_MINTING, "/app (user 0):R03:never_used");
	h = make_history(40);
	who = add_who(h, "/app", "", "", "");
	make_loop(h, who, 10, 3000 * S, 3600 * S, 3);
	ASSERT_FOUND(h, QUESTION_MINTING, "");
}

/* ---- places ---- */

/* A token whose usual places are known: 30 days old, 20 uses on its first day. */
static void learned_token(struct history *h, const char *id, const char *kind)
{
	add_token(h, id, kind, NOW - 30 * DAY, NOW - HOUR, 100);
	add_day(h, NOW - 30 * DAY, 20);
}

static void new_places(void **state)
{
	struct history *h = make_history(40);
	uint32_t app = add_who(h, "/app", "", "", ""), shell = add_who(h, "/bin/sh", "", "", "");

	learned_token(h, "a", "ci");	/* a new destination, and another host of a known domain */
	add_use(h, app, "api.example.com", NOW - 30 * DAY, NOW - HOUR);
	add_use(h, app, "uploads.example.com", NOW - DAY, NOW - HOUR);
	add_use(h, app, "evil.test", NOW - DAY, NOW - HOUR);
	learned_token(h, "b", "ci");	/* all of it known */
	add_use(h, app, "api.example.com", NOW - 30 * DAY, NOW - HOUR);
	add_use(h, app, "other.test", NOW - 24 * DAY, NOW - HOUR);
	learned_token(h, "c", "ci");	/* a new workload, long ago */
	add_use(h, app, "api.example.com", NOW - 30 * DAY, NOW - HOUR);
	add_use(h, shell, "api.example.com", NOW - 10 * DAY, NOW - 9 * DAY);
	add_token(h, "d", "ci", NOW - 6 * DAY, NOW, 100);	/* too young */
	add_day(h, NOW - 6 * DAY, 20);
	add_use(h, app, "api.example.com", NOW - 6 * DAY, NOW - HOUR);
	add_use(h, app, "evil.test", NOW - DAY, NOW - HOUR);
	add_token(h, "e", "ci", NOW - 30 * DAY, NOW, 19);	/* too few uses */
	add_day(h, NOW - 30 * DAY, 19);
	add_use(h, app, "api.example.com", NOW - 30 * DAY, NOW - HOUR);
	add_use(h, app, "evil.test", NOW - DAY, NOW - HOUR);
	learned_token(h, "f", "ci");	/* a client from another network */
	add_client(h, app, "192.0.2.7", NOW - 30 * DAY, NOW - HOUR);
	add_client(h, app, "192.0.2.8", NOW - DAY, NOW - HOUR);
	add_client(h, app, "198.51.100.1", NOW - HOUR, NOW - HOUR);
	ASSERT_FOUND(h, QUESTION_PLACES, "f:R09 a:R09 c:R09");
}

/* Pods that a roll-out moves to other nodes come from another network of the cluster's range. */
static void a_roll_out_is_no_new_place(void **state)
{
	struct history *h = make_history(40);
	uint32_t app = add_who(h, "/app", "", "", "");

	learned_token(h, "a", "ci");
	add_client(h, app, "10.1.2.7", NOW - 30 * DAY, NOW - HOUR);
	add_client(h, app, "10.1.7.3", NOW - HOUR, NOW - HOUR);
	learned_token(h, "b", "ci");	/* another range */
	add_client(h, app, "10.1.2.7", NOW - 30 * DAY, NOW - HOUR);
	add_client(h, app, "10.2.2.7", NOW - 2 * HOUR, NOW - HOUR);
	learned_token(h, "c", "ci");	/* not private */
	add_client(h, app, "192.0.2.7", NOW - 30 * DAY, NOW - HOUR);
	add_client(h, app, "192.0.3.7", NOW - HOUR, NOW - HOUR);
	learned_token(h, "d", "ci");	/* beside one that is new itself */
	add_client(h, app, "192.0.2.7", NOW - 30 * DAY, NOW - HOUR);
	add_client(h, app, "172.20.1.1", NOW - 3 * HOUR, NOW - HOUR);
	add_client(h, app, "172.20.2.1", NOW - 3 * HOUR, NOW - HOUR);
	learned_token(h, "e", "ci");
	add_client(h, app, "172.20.1.1", NOW - 30 * DAY, NOW - HOUR);
	add_client(h, app, "172.20.2.1", NOW - HOUR, NOW - HOUR);
	ASSERT_FOUND(h, QUESTION_PLACES, "c:R09 b:R09 d:R09:R09");
}

static void learning_ends_with_the_twentieth_use(void **state)
{
	struct history *h = make_history(40);
	uint32_t app = add_who(h, "/app", "", "", "");

	add_token(h, "a", "ci", NOW - 30 * DAY, NOW - HOUR, 20);
	add_day(h, NOW - 30 * DAY, 19);
	add_day(h, NOW - 10 * DAY, 1);
	add_use(h, app, "api.example.com", NOW - 30 * DAY, NOW - HOUR);
	add_use(h, app, "new.test", NOW - 10 * DAY, NOW - HOUR);	/* of the day that ended it */
	add_token(h, "b", "ci", NOW - 30 * DAY, NOW - HOUR, 20);
	add_day(h, NOW - 30 * DAY, 19);
	add_day(h, NOW - 10 * DAY, 1);
	add_use(h, app, "api.example.com", NOW - 30 * DAY, NOW - HOUR);
	add_use(h, app, "new.test", NOW - 8 * DAY, NOW - HOUR);
	/* The days before are gone from the store: what is left of the sum was then. */
	add_token(h, "c", "ci", NOW - 39 * DAY, NOW - HOUR, 40);
	add_day(h, NOW - 2 * DAY, 5);
	add_use(h, app, "api.example.com", NOW - 39 * DAY, NOW - HOUR);
	add_use(h, app, "new.test", NOW - DAY, NOW - HOUR);
	ASSERT_FOUND(h, QUESTION_PLACES, "c:R09 b:R09");
}

static void minted_elsewhere(void **state)
{
	struct history *h = make_history(40);
	uint32_t app = add_who(h, "/app", "c1", "", ""), side = add_who(h, "/envoy", "c1", "", "");
	uint32_t other = add_who(h, "/other", "c2", "", ""), kubelet = add_who(h, "/usr/bin/kubelet", "", "", "");

	add_token(h, "a", "oauth_access", NOW - HOUR, NOW - HOUR, 1)->minter = app;
	add_use(h, other, "api.example.com", NOW - HOUR, NOW - HOUR);
	add_token(h, "b", "oauth_access", NOW - HOUR, NOW - HOUR, 1)->minter = app;
	add_use(h, app, "api.example.com", NOW - HOUR, NOW - HOUR);
	add_token(h, "c", "oauth_access", NOW - HOUR, NOW - HOUR, 1)->minter = app;	/* its sidecar */
	add_use(h, side, "api.example.com", NOW - HOUR, NOW - HOUR);
	add_token(h, "d", "service_account", NOW - HOUR, NOW - HOUR, 1)->minter = kubelet;
	add_use(h, app, "api.example.com", NOW - HOUR, NOW - HOUR);
	add_token(h, "e", "oauth_access", NOW - HOUR, NOW - HOUR, 1)->minter = app;	/* seen by the server */
	add_client(h, other, "127.0.0.1", NOW - HOUR, NOW - HOUR);
	ASSERT_FOUND(h, QUESTION_PLACES, "a:R06");
}

static void shared_tokens(void **state)
{
	struct history *h = make_history(40);
	uint32_t a1 = add_who(h, "/a", "c1", "shop", "web"), a2 = add_who(h, "/a", "c2", "shop", "web");
	uint32_t b = add_who(h, "/b", "c3", "shop", "pay"), c = add_who(h, "/c", "c4", "shop", "mail");
	uint32_t d = add_who(h, "/d", "c5", "bank", "web");

	add_token(h, "a", "session", NOW - 9 * HOUR, NOW, 9);	/* two replicas of one Deployment */
	add_use(h, a1, "x.test", NOW - 9 * HOUR, NOW - HOUR);
	add_use(h, a2, "x.test", NOW - 9 * HOUR, NOW - HOUR);
	add_token(h, "b", "session", NOW - 9 * HOUR, NOW, 9);
	add_use(h, a1, "x.test", NOW - 9 * HOUR, NOW - HOUR);
	add_use(h, b, "x.test", NOW - 9 * HOUR, NOW - HOUR);
	add_token(h, "c", "session", NOW - 3 * DAY, NOW, 9);	/* not within one day */
	add_use(h, a1, "x.test", NOW - 3 * DAY, NOW - HOUR);
	add_use(h, b, "x.test", NOW - 3 * DAY, NOW - 25 * HOUR);
	add_token(h, "d", "api_key", NOW - 3 * DAY, NOW, 9);	/* two in one namespace may share a key */
	add_use(h, a1, "x.test", NOW - 3 * DAY, NOW - HOUR);
	add_use(h, b, "x.test", NOW - 3 * DAY, NOW - 25 * HOUR);
	add_token(h, "e", "api_key", NOW - 3 * DAY, NOW, 9);	/* three not */
	add_use(h, a1, "x.test", NOW - 3 * DAY, NOW - HOUR);
	add_use(h, b, "x.test", NOW - 3 * DAY, NOW - 25 * HOUR);
	add_use(h, c, "x.test", NOW - 3 * DAY, NOW - 25 * HOUR);
	add_token(h, "f", "api_key", NOW - 3 * DAY, NOW, 9);	/* nor two of two namespaces */
	add_use(h, a1, "x.test", NOW - 3 * DAY, NOW - HOUR);
	add_use(h, d, "x.test", NOW - 2 * DAY, NOW - 25 * HOUR);
	add_token(h, "g", "api_key", NOW - 30 * DAY, NOW, 9);	/* the other one is over a week away */
	add_use(h, a1, "x.test", NOW - 30 * DAY, NOW - HOUR);
	add_use(h, d, "x.test", NOW - 30 * DAY, NOW - 8 * DAY);
	ASSERT_FOUND(h, QUESTION_PLACES, "b:R07 f:R08 e:R08");
}

static void places_not_yet(void **state)
{
	struct history *h = make_history(3);
	struct answers a;

	add_token(h, "a", "ci", NOW - 2 * DAY, NOW - HOUR, 5);
	a = answers_with(h, usual_options);
	assert_int_equal(a.answer[QUESTION_PLACES].answered, ANSWERED_PARTLY);
	assert_int_equal(a.answer[QUESTION_PLACES].from, NOW + 4 * DAY);
	questions_done(&a);
	history_free(h);
}

/* ---- what they have in common ---- */

static void how_sure(void **state)
{
	struct history *h = make_history(100);
	struct answers a;

	add_token(h, "a", "ci", NOW - 2 * DAY, NOW - HOUR, 5);
	h->coverage.wire[0] = 1000;
	h->coverage.covered[0] = 1000;
	a = answers_with(h, usual_options);
	assert_int_equal(a.answer[QUESTION_ACTIVE].sure, SURE_HIGH);
	assert_int_equal(a.answer[QUESTION_ACTIVE].becauses, 0);
	questions_done(&a);
	h->coverage.processes[COVERAGE_BLIND] = 1;
	a = answers_with(h, usual_options);
	assert_int_equal(a.answer[QUESTION_ACTIVE].sure, SURE_MEDIUM);
	assert_string_equal(a.answer[QUESTION_ACTIVE].because[0], "1 process talks TLS that is not seen into");
	questions_done(&a);
	h->coverage.covered[0] = 690;
	a = answers_with(h, usual_options);
	assert_int_equal(a.answer[QUESTION_ACTIVE].sure, SURE_LOW);
	questions_done(&a);
	history_free(h);
}

static void states(void **state)
{
	struct history *h = history_new();
	struct history_token *t = add_token(h, "a", "ci", NOW - 2 * DAY, NOW - HOUR, 5);

	assert_string_equal(question_state(t, NOW, DAY), "used");
	assert_string_equal(question_state(t, NOW, MIN), "idle");
	t->replaced = true;
	assert_string_equal(question_state(t, NOW, MIN), "replaced");
	t->expires = NOW;
	assert_string_equal(question_state(t, NOW, DAY), "expired");
	t->revoked = NOW;
	assert_string_equal(question_state(t, NOW, DAY), "revoked");
	t = add_token(h, "b", "ci", 0, 0, 0);
	t->listed = NOW;
	assert_string_equal(question_state(t, NOW, DAY), "listed");
	t->minted = NOW;
	assert_string_equal(question_state(t, NOW, DAY), "minted");
	history_free(h);
}

static void domains(void **state)
{
	static const char *const both[][2] = {
		{ "api.example.com", "example.com" }, { "example.com", "example.com" },
		{ "a.b.example.co.uk", "example.co.uk" }, { "example.co.uk", "example.co.uk" },
		{ "api.example.de", "example.de" }, { "localhost", "localhost" }, { "", "" },
		{ "192.0.2.7", "192.0.2.0/24" }, { "127.0.0.9", "loopback" }, { "::1", "loopback" },
		{ "2001:db8:7:8::1", "2001:db8:7::/48" }, { "::ffff:192.0.2.7", "192.0.2.0/24" },
		{ "::ffff:127.0.0.1", "loopback" },
	};
	struct history *h = history_new();
	const char *domain;

	for (size_t i = 0; i < sizeof(both) / sizeof(both[0]); i++) {
		assert_int_equal(history_domain(h, both[i][0], &domain), 0);
		assert_string_equal(domain, both[i][1]);
	}
	history_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(active), cmocka_unit_test(many_classes_have_others),
		cmocka_unit_test(nothing_watched), cmocka_unit_test(excessive), cmocka_unit_test(granted_minus_needed),
		cmocka_unit_test(granted_and_not_used), cmocka_unit_test(opaque_rights),
		cmocka_unit_test(unused), cmocka_unit_test(silence_counts_while_watched),
		cmocka_unit_test(unused_not_yet), cmocka_unit_test(a_burst_stands_out),
		cmocka_unit_test(one_bucket_is_not_enough), cmocka_unit_test(busy_is_not_unusual),
		cmocka_unit_test(hours_of_the_week), cmocka_unit_test(what_stands_out_teaches_nothing),
		cmocka_unit_test(cold_start_goes_by_caps), cmocka_unit_test(cold_start_goes_by_peers),
		cmocka_unit_test(above_its_peers), cmocka_unit_test(caps), cmocka_unit_test(a_loop),
		cmocka_unit_test(renewal_is_no_loop), cmocka_unit_test(kubelet_is_no_loop),
		cmocka_unit_test(a_loop_of_last_week_is_known), cmocka_unit_test(minted_and_never_used),
		cmocka_unit_test(new_places), cmocka_unit_test(a_roll_out_is_no_new_place), cmocka_unit_test(learning_ends_with_the_twentieth_use),
		cmocka_unit_test(minted_elsewhere), cmocka_unit_test(shared_tokens),
		cmocka_unit_test(places_not_yet), cmocka_unit_test(how_sure), cmocka_unit_test(states),
		cmocka_unit_test(domains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
