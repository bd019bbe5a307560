/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unexpected places. Four reasons, by the numbers of the rules:
 *   R09  a workload, a destination or a client network that is new for a token whose usual ones are known
 *   R06  minted by one workload of this node, used by another
 *   R07  a session, service account or access token that several workloads use within a day
 *   R08  any other token that several workloads use within a week; within one namespace three or more
 */
#include "tokens/questions.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DISTINCT_MAX 1024	/* of one kind of one token; what comes then is not looked at */

enum dimension { PLACE_WORKLOAD, PLACE_DESTINATION, PLACE_CLIENT, DIMENSIONS };

struct place {
	const char *name;
	uint64_t first, last;
};

struct places {
	struct place *place;	/* DISTINCT_MAX */
	uint32_t count;
};

/* The rows of `use` of one token. */
struct token_uses {
	const struct history_token *token;
	uint32_t index;
	const struct history_use *use;
	uint32_t uses;
};

static void places_add(struct places *p, const char *name, uint64_t first, uint64_t last)
{
	uint32_t i;

	for (i = 0; i < p->count && p->place[i].name != name; i++)
		;
	if (i == DISTINCT_MAX)
		return;
	if (i == p->count)
		p->place[p->count++] = (struct place){ name, first, last };
	if (first < p->place[i].first)
		p->place[i].first = first;
	if (last > p->place[i].last)
		p->place[i].last = last;
}

static const char *place_of(const struct history *h, const struct history_use *u, enum dimension d)
{
	if (d == PLACE_WORKLOAD)
		return u->dir == TT_DIR_EGRESS ? h->who[u->who].kin : "";
	if (d == PLACE_DESTINATION)
		return u->dir == TT_DIR_EGRESS ? u->domain : "";
	return u->dir == TT_DIR_INGRESS ? u->network : "";
}

/* ---- R09 ---- */

/* The end of the learning time: when both the first days and the first uses are over; 0: not yet. The
 * store keeps the uses a day for a while only: what is missing in their sum came before them. */
static uint64_t learned_until(const struct history *h, uint32_t token, uint64_t first, uint64_t now)
{
	uint64_t end = first + QUESTIONS_LEARN_NS, uses = h->token[token].uses;
	uint32_t low = 0, high = h->days;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (h->day[middle].token < token)
			low = middle + 1;
		else
			high = middle;
	}
	for (high = low; high < h->days && h->day[high].token == token; high++)
		uses -= h->day[high].uses < uses ? h->day[high].uses : uses;
	if (uses >= QUESTIONS_LEARN_USES)
		return end <= now ? end : 0;
	for (; low < high; low++) {
		uses += h->day[low].uses;
		if (uses < QUESTIONS_LEARN_USES)
			continue;
		if (h->day[low].day * HISTORY_DAY > end)
			end = (h->day[low].day + UINT64_C(1)) * HISTORY_DAY;
		return end <= now ? end : 0;
	}
	return 0;
}

/*
 * Pods of a cluster come from a network of its node: when a roll-out moves them, from another one of the
 * same range. So a private network beside a known one (the same /16, of IPv6 the same /48, which is what a
 * network is there) is no new place. 10.1.2.0/24 and 10.1.7.0/24 lie so.
 */
static bool is_beside(const char *network, const char *known)
{
	unsigned int a[2], b[2];

	if (sscanf(network, "%3u.%3u.", &a[0], &a[1]) != 2 || sscanf(known, "%3u.%3u.", &b[0], &b[1]) != 2)
		return false;
	if (a[0] != 10 && !(a[0] == 172 && a[1] >= 16 && a[1] < 32) && !(a[0] == 192 && a[1] == 168))
		return false;
	return a[0] == b[0] && a[1] == b[1];
}

static bool is_moved(const struct places *p, const char *network, uint64_t learned)
{
	for (uint32_t i = 0; i < p->count; i++)
		if (p->place[i].first <= learned && is_beside(network, p->place[i].name))
			return true;
	return false;
}

static int new_places(struct history *h, const struct answers *all, const struct token_uses *t,
		      struct places *p, uint64_t learned, struct finding *f)
{
	static const char *const what[] = { "workload", "destination", "client network" };
	uint64_t now = all->options.now;
	int r = 0;

	for (int d = 0; d < DIMENSIONS; d++) {
		uint32_t known = 0;

		p->count = 0;
		for (uint32_t i = 0; i < t->uses; i++) {
			const char *name = place_of(h, &t->use[i], d);

			if (name[0])
				places_add(p, name, t->use[i].first, t->use[i].last);
		}
		for (uint32_t i = 0; i < p->count; i++)
			known += p->place[i].first <= learned;
		for (uint32_t i = 0; i < p->count && known && r == 0; i++) {
			const struct place *at = &p->place[i];

			if (at->first <= learned || at->last + QUESTIONS_PLACES_NS <= now)
				continue;
			if (d == PLACE_CLIENT && is_moved(p, at->name, learned))
				continue;
			r = finding_reason(h, f, "R09", at->first, "new %s %s; %" PRIu32 " %s known from "
					   "the first %" PRIu64 " days", what[d], at->name, known,
					   known == 1 ? "was" : "were",
					   (learned - t->token->first) / HISTORY_DAY);
		}
	}
	return r;
}

/* ---- R06 ---- */

/* Whose work it is to fetch tokens for others on the node. */
static bool mints_for_others(const char *executable)
{
	static const char *const names[] = { "kubelet", "k3s", "spire-agent", "vault", "consul-template",
					     "eks-pod-identity-agent", "gke-metadata-server", "nmi",
					     "ecs-agent", "azure-workload-identity" };
	const char *name = strrchr(executable, '/') ? strrchr(executable, '/') + 1 : executable;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

/* The same workload, or at least the same container or pod. */
static bool same_place(const struct history_who *a, const struct history_who *b)
{
	return a->label == b->label || (a->container[0] && a->container == b->container);
}

static int minted_elsewhere(struct history *h, const struct token_uses *t, struct finding *f)
{
	const struct history_who *minter;
	const struct history_use *found = NULL;

	if (t->token->minter == HISTORY_NONE)
		return 0;
	minter = &h->who[t->token->minter];
	if (!minter->executable[0] || mints_for_others(minter->executable))
		return 0;
	for (uint32_t i = 0; i < t->uses; i++) {
		const struct history_use *u = &t->use[i];

		if (u->dir != TT_DIR_EGRESS || same_place(minter, &h->who[u->who]))
			continue;
		if (!found || u->first < found->first)
			found = u;
	}
	if (!found)
		return 0;
	return finding_reason(h, f, "R06", found->first, "minted by %s, used by %s", minter->label,
			      h->who[found->who].label);
}

/* ---- R07, R08 ---- */

static bool is_personal(const char *kind)
{
	return !strcmp(kind, "session") || !strcmp(kind, "service_account") || !strcmp(kind, "oauth_access");
}

/* Workloads that used it lately; two that share a container or pod are one. */
static uint32_t count_workloads(const struct history *h, const struct token_uses *t, uint64_t since,
				const struct history_who **ret_who, uint32_t max, uint64_t *ret_first)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < t->uses; i++) {
		const struct history_who *w = &h->who[t->use[i].who];
		uint32_t j;

		if (t->use[i].dir != TT_DIR_EGRESS || t->use[i].last < since)
			continue;
		for (j = 0; j < n && !same_place(ret_who[j], w); j++)
			;
		if (j == n && n < max)
			ret_who[n++] = w;
		if (!*ret_first || t->use[i].first > *ret_first)
			*ret_first = t->use[i].first;
	}
	return n;
}

static bool one_namespace(const struct history_who **who, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (!who[i]->space[0] || who[i]->space != who[0]->space)
			return false;
	return true;
}

static int shared(struct history *h, const struct answers *all, const struct token_uses *t,
		  struct finding *f)
{
	bool personal = is_personal(t->token->kind);
	uint64_t window = personal ? QUESTIONS_SHARED_SHORT_NS : QUESTIONS_SHARED_KEY_NS, first = 0;
	uint64_t since = all->options.now > window ? all->options.now - window : 0;
	const struct history_who *who[64];
	uint32_t n = count_workloads(h, t, since, who, 64, &first);

	if (n < 2 || (!personal && n < 3 && one_namespace(who, n)))
		return 0;
	return finding_reason(h, f, personal ? "R07" : "R08", first, "%" PRIu32 " workloads used it within "
			      "%s: %s, %s%s%s%s", n, personal ? "a day" : "a week", who[0]->label,
			      who[1]->label, n > 2 ? ", " : "", n > 2 ? who[2]->label : "",
			      n > 3 ? ", ..." : "");
}

/* ---- all ---- */

static int look_at(struct history *h, struct answers *all, const struct token_uses *t, struct places *p)
{
	struct answer *a = &all->answer[QUESTION_PLACES];
	uint64_t learned = learned_until(h, t->index, t->token->first, all->options.now);
	struct finding found = { .token = t->index, .issuer = "", .workload = "", .method = "",
				 .used = "", .unused = "" }, *f;
	int r;

	a->of++;
	all->learned += learned != 0;
	r = minted_elsewhere(h, t, &found);
	r = r ?: shared(h, all, t, &found);
	if (r == 0 && learned)
		r = new_places(h, all, t, p, learned, &found);
	if (r < 0 || !found.reasons)
		return r;
	for (uint32_t i = 0; i < found.reasons; i++)
		if (found.reason[i].since > found.rank)
			found.rank = found.reason[i].since;
	f = answer_add(a);
	if (!f)
		return -ENOMEM;
	*f = found;
	return 0;
}

int question_places(struct history *h, struct answers *all)
{
	struct answer *a = &all->answer[QUESTION_PLACES];
	struct places p = { .place = calloc(DISTINCT_MAX, sizeof(*p.place)) };
	int r = p.place ? 0 : -ENOMEM;

	for (uint32_t i = 0, end; i < h->uses && r == 0; i = end) {
		struct token_uses t = { .index = h->use[i].token, .use = &h->use[i] };

		for (end = i; end < h->uses && h->use[end].token == t.index; end++)
			;
		t.uses = end - i;
		t.token = &h->token[t.index];
		if (!t.token->unreadable)
			r = look_at(h, all, &t, &p);
	}
	free(p.place);
	a->count = a->findings;
	if (a->answered == ANSWERED_YES && all->watched < QUESTIONS_LEARN_NS) {
		a->answered = ANSWERED_PARTLY;
		a->why_not = "usual places are learned for 7 days; until then only sharing between "
			     "workloads and use by another than the minter are told";
		a->from = all->options.now + QUESTIONS_LEARN_NS - all->watched;
	}
	answer_sort(a);
	return r;
}
