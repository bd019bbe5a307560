/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unusual minting, by issuer and workload:
 *   R01  a rate far from the usual one: counts x of five minutes against the median m and the MAD d of
 *        the same hour of the week in the last four weeks (of all earlier buckets while there is less
 *        than a week): z = (x - m) / max(1.4826 d, 0.1 m, 1), z >= 6, x >= m + 5 and x >= 3 m; or, where
 *        m < 5, Poisson's P(X >= x) < 1e-6 at the moving mean; twice in a row. What stood out does not
 *        change the usual for a day.
 *   R02  more than a service without history may do in an hour. No baseline of its own before a day and
 *        20 buckets with mints; until then that of its peers with the same issuer, else this cap.
 *   R03  a loop: the last six or more gaps are alike, and it mints twice as often as the tokens live, or
 *        nearly nothing of it is used by who minted it; not if it went on like this a day before.
 *   never_used   ten or more minted, and at least 80 % of them never used.
 */
#include "tokens/questions.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define Z_MIN 6.0
#define P_MAX 1e-6
#define MEAN_LEAST 0.2
#define GAPS_MIN 6
#define GAPS_ALIKE 0.25
#define MINTED_MIN 10
#define UNUSED_SHARE 0.8
#define GRACE_NS HISTORY_HOUR	/* a token that was minted later than this may be used yet */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

uint32_t question_cap(const char *method, const char *grant, const char *executable)
{
	static const struct {
		const char *word;	/* in method or grant */
		uint32_t an_hour;
	} caps[] = {
		{ "vault", 120 }, { "imds", 20 }, { "metadata", 20 }, { "aws_ecs", 20 }, { "aws_eks", 20 },
		{ "sts", 30 }, { "github_app", 12 }, { "registry", 600 }, { "spire", 60 },
		{ "device_code", 5 }, { "refresh_token", 12 }, { "client_credentials", 60 },
	};

	/* The kubelet's are three an hour for each of at most 110 pods; a pod asks for none by itself. */
	if (!strcmp(method, "kubernetes_token"))
		return !strcmp(base_name(executable), "kubelet") ? 330 : 0;
	for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++)
		if (strcasestr(method, caps[i].word) || strcasestr(grant, caps[i].word))
			return caps[i].an_hour;
	return 60;
}

/* ---- series ---- */

/* Mints of one workload at one issuer. Buckets from `begin` on. */
struct series {
	const char *issuer, *label, *executable, *method, *grant, *kind;
	uint64_t begin;			/* first bucket that is looked at */
	uint64_t born;			/* first bucket with a mint */
	uint32_t *x;			/* one each up to now */
	uint8_t *hot;			/* stands out */
	uint32_t length, nonempty;
	double m, d;			/* over everything that is not hot: what peers go by */
	const char *baseline;		/* of the bucket looked at last */
};

struct all_series {
	struct series *series;
	uint32_t count;
};

static struct series *series_of(struct all_series *s, const char *issuer, const char *label)
{
	/* Rates are sorted by issuer and label. */
	struct series *last = s->count ? &s->series[s->count - 1] : NULL;

	if (last && last->issuer == issuer && last->label == label)
		return last;
	last = history_add((void **)&s->series, &s->count, sizeof(*last));
	if (last) {
		last->issuer = issuer;
		last->label = label;
		last->method = last->grant = last->executable = last->kind = "";
	}
	return last;
}

static const struct history *sorting;	/* qsort() has no argument for it; one thread */

static int by_series(const void *a, const void *b)
{
	const struct history_rate *x = a, *y = b;
	int r = strcmp(x->issuer, y->issuer);

	r = r ?: strcmp(sorting->who[x->who].label, sorting->who[y->who].label);
	return r ?: (x->bucket > y->bucket) - (x->bucket < y->bucket);
}

static int series_fill(struct history *h, struct all_series *all, uint64_t now)
{
	uint64_t end = now / QUESTIONS_BUCKET_NS + 1, oldest = end - 2 * QUESTIONS_BASE_BUCKETS;

	sorting = h;
	if (h->rates)
		qsort(h->rate, h->rates, sizeof(h->rate[0]), by_series);
	for (uint32_t i = 0; i < h->rates; i++) {
		const struct history_rate *rate = &h->rate[i];
		struct series *s = series_of(all, rate->issuer, h->who[rate->who].label);

		if (!s)
			return -ENOMEM;
		if (!s->born) {
			s->born = rate->bucket;
			s->executable = h->who[rate->who].executable;
			s->kind = h->who[rate->who].kind;
		}
		if (rate->bucket < oldest || rate->bucket >= end)
			continue;
		if (!s->x) {
			s->begin = rate->bucket;
			s->length = (uint32_t)(end - s->begin);
			s->x = calloc(s->length, sizeof(*s->x));
			s->hot = calloc(s->length, 1);
		}
		if (!s->x || !s->hot)
			return -ENOMEM;
		s->nonempty += !s->x[rate->bucket - s->begin];
		s->x[rate->bucket - s->begin] += rate->mints + rate->failed;
	}
	return 0;
}

static void series_done(struct all_series *all)
{
	for (uint32_t i = 0; i < all->count; i++) {
		free(all->series[i].x);
		free(all->series[i].hot);
	}
	free(all->series);
}

/* ---- baseline ---- */

static int by_number(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, size_t n)
{
	if (!n)
		return 0;
	qsort(values, n, sizeof(*values), by_number);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static void spread(double *values, size_t n, double *ret_m, double *ret_d)
{
	*ret_m = median(values, n);
	for (size_t i = 0; i < n; i++)
		values[i] = fabs(values[i] - *ret_m);
	*ret_d = median(values, n);
}

/* What stood out teaches nothing for a day; if it goes on, it is the new usual. */
static bool teaches(const struct series *s, uint32_t i, uint32_t at)
{
	return !s->hot[i] || at - i > QUESTIONS_DAY_BUCKETS;
}

/* The usual count before bucket `at`: of the same hour of the week, else of all there is. */
static void usual(const struct series *s, uint32_t at, double *values, double *ret_m, double *ret_d)
{
	uint64_t hour = (s->begin + at) / 12 % 168;
	uint32_t from = at > QUESTIONS_BASE_BUCKETS ? at - QUESTIONS_BASE_BUCKETS : 0;
	bool weekly = at > QUESTIONS_WEEK_BUCKETS;
	size_t n = 0;

	for (uint32_t i = from; i < at; i++) {
		if (weekly && (s->begin + i) / 12 % 168 != hour)
			continue;
		if (teaches(s, i, at))
			values[n++] = s->x[i];
	}
	spread(values, n, ret_m, ret_d);
}

static bool has_own(const struct series *s, uint32_t at, uint32_t nonempty)
{
	return s->begin + at - s->born >= QUESTIONS_DAY_BUCKETS && nonempty >= QUESTIONS_BASE_NONEMPTY;
}

/* P(X >= x) where X is Poisson's with this mean. */
static double poisson_tail(uint32_t x, double mean)
{
	double log_term = -mean, below = 0;

	for (uint32_t k = 0; k < x; k++) {
		below += exp(log_term);
		log_term += log(mean) - log(k + 1.0);
	}
	if (below < 1 - 1e-9)
		return 1 - below;
	/* Where 1 - below says nothing any more: the first terms of the tail itself. */
	below = 0;
	for (uint32_t k = x; k < x + 50; k++) {
		below += exp(log_term);
		log_term += log(mean) - log(k + 1.0);
	}
	return below;
}

static double z_of(uint32_t x, double m, double d)
{
	double unit = 1.4826 * d;

	unit = unit > 0.1 * m ? unit : 0.1 * m;
	return (x - m) / (unit > 1 ? unit : 1);
}

static bool stands_out(uint32_t x, double m, double d, double mean)
{
	if (z_of(x, m, d) >= Z_MIN && x >= m + 5 && x >= 3 * m)
		return true;
	return m < 5 && x > mean && poisson_tail(x, mean > MEAN_LEAST ? mean : MEAN_LEAST) < P_MAX;
}

/* The median of the peers' usual counts: same issuer, same kind of workload, a history of their own. */
static bool peers(const struct all_series *all, const struct series *s, double *values, double *ret_m,
		  double *ret_d)
{
	size_t n = 0;

	for (int what = 0; what < 2; what++) {
		n = 0;
		for (uint32_t i = 0; i < all->count && n < QUESTIONS_BASE_BUCKETS; i++) {
			const struct series *p = &all->series[i];

			if (p != s && p->x && p->issuer == s->issuer && p->kind == s->kind &&
			    has_own(p, p->length, p->nonempty))
				values[n++] = what ? p->d : p->m;
		}
		*(what ? ret_d : ret_m) = median(values, n);
	}
	return n > 0;
}

static uint32_t last_hour(const struct series *s, uint32_t at)
{
	uint32_t sum = 0;

	for (uint32_t i = at >= 11 ? at - 11 : 0; i <= at; i++)
		sum += s->x[i];
	return sum;
}

/* ---- R01, R02 ---- */

struct rate_found {
	uint32_t times, x;
	uint64_t first, last;		/* buckets */
	double m, d, z;
	const char *baseline;
	uint32_t cap;
};

static void found_at(struct rate_found *f, const struct series *s, uint32_t at, const char *baseline,
		     uint32_t x, double m, double d)
{
	if (!f->times++)
		f->first = s->begin + at;
	f->last = s->begin + at;
	if (f->times > 1 && x < f->x)
		return;		/* the highest one is shown */
	f->x = x;
	f->m = m;
	f->d = d;
	f->z = z_of(x, m, d);
	f->baseline = baseline;
}

/* Goes through time, so that what stood out is known when the next bucket is judged. */
static void judge(const struct all_series *all, struct series *s, uint64_t from, double *values,
		  struct rate_found *f)
{
	uint32_t nonempty = 0, cap = question_cap(s->method, s->grant, s->executable);
	double mean = s->x[0], m = 0, d = 0;

	for (uint32_t at = 0; at < s->length; at++) {
		uint32_t x = s->x[at];
		bool in = s->begin + at >= from;
		const char *baseline = has_own(s, at, nonempty) ? "own" : "cap";

		nonempty += x > 0;
		if (x >= 5 && !strcmp(baseline, "own"))
			usual(s, at, values, &m, &d);
		else if (x >= 5 && in && peers(all, s, values, &m, &d))
			baseline = "peer";
		if (strcmp(baseline, "cap") != 0) {
			s->hot[at] = x >= 5 && stands_out(x, m, d, !strcmp(baseline, "own") ? mean : m);
			if (in && at && s->hot[at] && s->hot[at - 1])
				found_at(f, s, at, baseline, x, m, d);
		} else if (in && x && last_hour(s, at) > cap) {
			f->cap = cap;
			found_at(f, s, at, "cap", last_hour(s, at), cap, 0);
		}
		if (!s->hot[at])
			mean += 2.0 / (QUESTIONS_DAY_BUCKETS + 1) * (x - mean);
		s->baseline = baseline;
	}
}

static void level(struct series *s, double *values)
{
	size_t n = 0;

	for (uint32_t i = s->length > QUESTIONS_BASE_BUCKETS ? s->length - QUESTIONS_BASE_BUCKETS : 0;
	     i < s->length; i++)
		values[n++] = s->x[i];
	spread(values, n, &s->m, &s->d);
}

static int tell_rate(struct history *h, const struct rate_found *r, struct finding *f)
{
	uint64_t since = r->first * QUESTIONS_BUCKET_NS;

	f->baseline = r->baseline;
	f->usual = r->m;
	f->spread = r->d;
	f->score = r->z;
	f->rate = r->x;
	if (!strcmp(r->baseline, "cap"))
		return finding_reason(h, f, "R02", since, "%" PRIu32 " mints in an hour; without a history of "
				      "its own %" PRIu32 " are taken as usual", r->x, r->cap);
	return finding_reason(h, f, "R01", since, "%" PRIu32 " mints in five minutes, usual are %.1f (z %.1f, "
			      "%s baseline); in %" PRIu32 " of the last buckets", r->x, r->m, r->z,
			      !strcmp(r->baseline, "own") ? "its own" : "its peers'", r->times);
}

/* ---- R03 and never used ---- */

struct loop {
	double gap, spread;	/* mean and relative deviation of the last gaps */
	double life;		/* median granted, seconds; 0 = not known */
	uint32_t gaps;
};

/* Mints of the series between two times; indexes into h->mint. */
static uint32_t mints_between(const struct history *h, const struct series *s, uint64_t from, uint64_t to,
			      uint32_t *ret_index, uint32_t max)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < h->mints; i++) {
		const struct history_mint *m = &h->mint[i];

		if (m->time < from || m->time >= to || m->issuer != s->issuer ||
		    h->who[m->who].label != s->label)
			continue;
		if (n == max) {		/* the newest ones */
			memmove(ret_index, ret_index + 1, (max - 1) * sizeof(*ret_index));
			n--;
		}
		ret_index[n++] = i;
	}
	return n;
}

static bool is_loop(const struct history *h, const uint32_t *index, uint32_t n, struct loop *ret_loop)
{
	double sum = 0, squares = 0, lives[256];
	uint32_t gaps = 0, lived = 0;
	uint64_t before = 0;

	for (uint32_t i = 0; i < n; i++) {
		const struct history_mint *m = &h->mint[index[i]];
		double gap = (double)(m->time - before) / (double)HISTORY_S;

		if (m->expires > m->time && lived < 256)
			lives[lived++] = (double)(m->expires - m->time) / (double)HISTORY_S;
		/* One answer may hold several tokens. */
		if (before && gap > 0.001) {
			sum += gap;
			squares += gap * gap;
			gaps++;
		}
		before = m->time;
	}
	if (gaps < GAPS_MIN)
		return false;
	ret_loop->gaps = gaps;
	ret_loop->gap = sum / gaps;
	ret_loop->spread = sqrt(fmax(0, squares / gaps - ret_loop->gap * ret_loop->gap)) / ret_loop->gap;
	ret_loop->life = median(lives, lived);
	return ret_loop->spread <= GAPS_ALIKE;
}

/* Was it used by the workload that minted it? */
static bool used_by_minter(const struct history *h, const struct history_mint *m)
{
	uint32_t low = 0, high = h->uses;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (h->use[middle].token < m->token)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < h->uses && h->use[low].token == m->token; low++)
		if (h->who[h->use[low].who].label == h->who[m->who].label)
			return true;
	return false;
}

/* Minted, and of them never used, and not used by the minter; a token that is young doesn't count. */
static void count_unused(const struct history *h, const uint32_t *index, uint32_t n, uint64_t now,
			 struct finding *f, uint32_t *ret_not_own)
{
	*ret_not_own = 0;
	for (uint32_t i = 0; i < n; i++) {
		const struct history_mint *m = &h->mint[index[i]];

		if (m->token == HISTORY_NONE || m->time + GRACE_NS > now)
			continue;
		f->minted++;
		f->never_used += !h->token[m->token].uses;
		*ret_not_own += !used_by_minter(h, m);
	}
}

#define MINTS_MAX 4096

static int tell_loop(struct history *h, const struct series *s, uint64_t now, uint32_t *index, uint32_t n,
		     uint32_t not_own, struct finding *f)
{
	uint32_t *earlier = index + MINTS_MAX, seven = n > 7 ? n - 7 : 0;
	struct loop loop = { 0 }, old = { 0 };
	bool unused = f->minted >= GAPS_MIN && not_own >= UNUSED_SHARE * f->minted;

	if (!strcmp(base_name(s->executable), "kubelet") || !is_loop(h, index + seven, n - seven, &loop))
		return 0;
	if (!(loop.life > 0 && loop.gap < 0.5 * loop.life) && !unused)
		return 0;
	/* It did so in the week before: known. */
	n = mints_between(h, s, now - HISTORY_DAY - QUESTIONS_LEARN_NS, now - HISTORY_DAY, earlier, MINTS_MAX);
	seven = n > 7 ? n - 7 : 0;
	if (is_loop(h, earlier + seven, n - seven, &old) && old.gap < 2 * loop.gap)
		return 0;
	return finding_reason(h, f, "R03", h->mint[index[0]].time, "a loop: a mint every %.0f s (deviation "
			      "%.0f %%)%s; %" PRIu32 " of %" PRIu32 " were not used by the one that minted them",
			      loop.gap, 100 * loop.spread,
			      loop.life > 0 && loop.gap < 0.5 * loop.life ? ", less than half of a token's life"
									  : "", not_own, f->minted);
}

static int tell_never_used(struct history *h, struct finding *f)
{
	if (f->minted < MINTED_MIN || f->never_used < UNUSED_SHARE * f->minted)
		return 0;
	return finding_reason(h, f, "never_used", 0, "%" PRIu32 " of %" PRIu32 " minted tokens were never used",
			      f->never_used, f->minted);
}

/* ---- all ---- */

/* Method and grant are those of the latest mint. */
static void series_methods(const struct history *h, struct all_series *all)
{
	for (uint32_t i = 0; i < h->mints; i++) {
		for (uint32_t j = 0; j < all->count; j++) {
			struct series *s = &all->series[j];

			if (s->issuer == h->mint[i].issuer && s->label == h->who[h->mint[i].who].label) {
				s->method = h->mint[i].method;
				s->grant = h->mint[i].grant;
			}
		}
	}
}

static int look_at(struct history *h, struct answers *all, struct all_series *series, struct series *s,
		   double *values, uint32_t *index)
{
	const struct question_options *o = &all->options;
	uint64_t from = o->now > o->window ? o->now - o->window : 0;
	struct finding found = { .token = HISTORY_NONE, .issuer = s->issuer, .workload = s->label,
				 .method = s->method }, *f;
	struct rate_found rate = { 0 };
	uint32_t n, not_own;
	int r = 0;

	judge(series, s, from / QUESTIONS_BUCKET_NS, values, &rate);
	if (rate.times)
		r = tell_rate(h, &rate, &found);
	n = mints_between(h, s, o->now - HISTORY_DAY, o->now + 1, index, MINTS_MAX);
	count_unused(h, index, n, o->now, &found, &not_own);
	r = r ?: tell_loop(h, s, o->now, index, n, not_own, &found);
	r = r ?: tell_never_used(h, &found);
	if (r < 0 || !found.reasons)
		return r;
	found.rank = rate.times ? (uint64_t)(rate.z * 1000) + 1000000 : found.minted;
	f = answer_add(&all->answer[QUESTION_MINTING]);
	if (!f)
		return -ENOMEM;
	*f = found;
	return 0;
}

static int how_sure(struct history *h, struct answers *all, const struct all_series *s)
{
	struct answer *a = &all->answer[QUESTION_MINTING];
	uint32_t cold = 0;

	if (a->answered == ANSWERED_NO)
		return 0;
	for (uint32_t i = 0; i < s->count; i++) {
		cold += s->series[i].x && strcmp(s->series[i].baseline, "own") != 0;
		if (s->series[i].born * QUESTIONS_BUCKET_NS > a->since)
			continue;
	}
	if (!s->count)
		return answer_because(h, a, SURE_MEDIUM, "no minting was seen on this node; issuers that are "
				      "not known, and those elsewhere, are not counted");
	if (!cold)
		return 0;
	if (all->options.now - all->since < HISTORY_DAY) {
		a->answered = ANSWERED_PARTLY;
		a->why_not = "usual rates are learned for a day; until then fixed limits stand for them";
		a->from = all->since + HISTORY_DAY;
	}
	return answer_because(h, a, SURE_MEDIUM, "%" PRIu32 " of %" PRIu32 " services have no history of their "
			      "own yet: peers or fixed limits stand for it", cold, s->count);
}

int question_minting(struct history *h, struct answers *all)
{
	struct answer *a = &all->answer[QUESTION_MINTING];
	double *values = calloc(2 * QUESTIONS_BASE_BUCKETS + 1, sizeof(*values));
	uint32_t *index = calloc(2 * MINTS_MAX, sizeof(*index));
	struct all_series series = { 0 };
	int r = values && index ? series_fill(h, &series, all->options.now) : -ENOMEM;

	if (r == 0)
		series_methods(h, &series);
	for (uint32_t i = 0; i < series.count && r == 0; i++)
		if (series.series[i].x)
			level(&series.series[i], values);
	for (uint32_t i = 0; i < series.count && r == 0; i++)
		if (series.series[i].x)
			r = look_at(h, all, &series, &series.series[i], values, index);
	a->count = a->findings;
	a->of = series.count;
	r = r ?: how_sure(h, all, &series);
	answer_sort(a);
	series_done(&series);
	free(values);
	free(index);
	return r;
}
