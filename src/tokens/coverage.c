/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict on a process, from what is known of its libraries and sockets; and names. */
#include "tokens/coverage.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tokens/use.h"

static const char *const statuses[COVERAGE_STATUS_MAX] = {
	[COVERAGE_UNKNOWN] = "unknown", [COVERAGE_IDLE] = "idle",
	[COVERAGE_COVERED] = "covered", [COVERAGE_PARTIAL] = "partial",
	[COVERAGE_BLIND] = "blind",     [COVERAGE_EXCLUDED] = "excluded",
};

static const char *const kinds[COVERAGE_KIND_MAX] = {
	[COVERAGE_NO_WORKLOAD] = "", [COVERAGE_CONTAINER] = "container",
	[COVERAGE_UNIT] = "unit", [COVERAGE_CGROUP] = "cgroup",
	[COVERAGE_EXECUTABLE] = "executable",
};

static const char *const hows[TT_HOW_MAX] = {
	[TT_HOW_NONE] = "", [TT_HOW_symbols] = "symbols", [TT_HOW_pclntab] = "pclntab",
	[TT_HOW_xref] = "xref", [TT_HOW_pattern] = "pattern",
};

static const struct {
	const char *name, *text, *remedy;
} reasons[TT_BLIND_MAX] = {
#define TT_BLIND(number, name, reason, remedy) [number] = { #name, reason, remedy },
#include <tokentrail/blind.def>
};

const char *coverage_status_name(enum coverage_status status)
{
	return (unsigned int)status < COVERAGE_STATUS_MAX ? statuses[status] : "";
}

const char *coverage_kind_name(enum coverage_kind kind)
{
	return (unsigned int)kind < COVERAGE_KIND_MAX ? kinds[kind] : "";
}

const char *coverage_how(enum tt_how how)
{
	return (unsigned int)how < TT_HOW_MAX && hows[how] ? hows[how] : "";
}

static bool is_reason(enum tt_blind reason)
{
	return (unsigned int)reason < TT_BLIND_MAX && reasons[reason].name;
}

const char *coverage_reason(enum tt_blind reason)
{
	return is_reason(reason) ? reasons[reason].name : "";
}

const char *coverage_reason_text(enum tt_blind reason)
{
	return is_reason(reason) ? reasons[reason].text : "";
}

const char *coverage_remedy(enum tt_blind reason)
{
	return is_reason(reason) ? reasons[reason].remedy : "-";
}

enum tt_blind coverage_library_reason(const struct coverage_library *l)
{
	return l->blind ? l->blind : l->partly[0] ? l->partly[0] : l->partly[1];
}

enum tt_blind coverage_reason_number(const char *name)
{
	for (unsigned int i = 1; i < TT_BLIND_MAX; i++)
		if (reasons[i].name && !strcmp(reasons[i].name, name))
			return i;
	return TT_BLIND_NONE;
}

double coverage_share(const uint64_t wire[static 2], const uint64_t covered[static 2])
{
	double all = (double)wire[0] + (double)wire[1];
	double seen = (double)covered[0] + (double)covered[1];

	if (all <= 0)
		return -1;
	return seen < all ? seen / all : 1;
}

const struct coverage_library *coverage_main_library(const struct coverage *c)
{
	const struct coverage_library *used = NULL;

	for (size_t i = 0; i < c->libraries; i++) {
		if (!c->library[i].used)
			continue;
		if (used)
			return NULL;
		used = &c->library[i];
	}
	return used || c->libraries != 1 ? used : c->library;
}

/* ---- the verdict ---- */

static bool is_refused(const struct coverage_library *l)
{
	return l->how && !l->blind && !l->probes && l->refused;
}

static bool is_probed(const struct coverage_library *l)
{
	return l->how && !l->blind && l->probes;
}

/* Neither probed nor refused nor blind: it is being looked at. */
static bool is_open(const struct coverage_library *l)
{
	return !l->blind && !l->probes && !l->refused;
}

static bool any(const struct coverage *c, bool (*is)(const struct coverage_library *l))
{
	for (size_t i = 0; i < c->libraries; i++)
		if (is(&c->library[i]))
			return true;
	return false;
}

/* Where each direction of which bytes are missing has a function that is not probed: why. */
static enum tt_blind find_partly(const struct coverage *c)
{
	enum tt_blind reason = TT_BLIND_NONE, one;

	for (int i = 0; i < 2; i++) {
		if ((double)c->covered[i] >= COVERAGE_FULL * (double)c->wire[i])
			continue;
		one = TT_BLIND_NONE;
		for (size_t k = 0; k < c->libraries && !one; k++)
			one = c->library[k].partly[i];
		if (!one)
			return TT_BLIND_NONE;
		reason = one;
	}
	return reason;
}

/*
 * Why bytes went by unseen. A library that is there and can't be seen into is why, whatever other
 * libraries the process has; a JVM goes first, because native libraries in one are helpers.
 */
static enum tt_blind find_reason(const struct coverage *c)
{
	enum tt_blind reason = TT_BLIND_NONE;

	for (size_t i = 0; i < c->libraries; i++) {
		if (c->library[i].blind == TT_BLIND_jsse)
			return TT_BLIND_jsse;
		if (!reason)
			reason = c->library[i].blind;
	}
	if (reason)
		return reason;
	if (any(c, is_refused))
		return TT_BLIND_attach_refused;
	reason = find_partly(c);
	if (reason)
		return reason;
	if (any(c, is_open))
		return TT_BLIND_NONE;
	if (!c->libraries)
		return TT_BLIND_no_library;
	return c->blind_sockets ? TT_BLIND_not_used : TT_BLIND_NONE;
}

static bool is_one_way(const struct coverage *c)
{
	return (c->wire[0] && !c->covered[0]) || (c->wire[1] && !c->covered[1]);
}

static void judge_blind(struct coverage *c, uint64_t age_ns)
{
	enum tt_blind reason = find_reason(c);

	/* A library that is probed may be the one, and its handshake takes its time. */
	if (age_ns < (any(c, is_probed) ? COVERAGE_CALLED_NS : COVERAGE_FOUND_NS))
		reason = TT_BLIND_NONE;
	/* Calls that belong to none of the sockets: over which they went is not known. */
	if (reason == TT_BLIND_not_used && c->plain[0] + c->plain[1])
		reason = TT_BLIND_NONE;
	c->reason = reason;
	c->status = reason ? COVERAGE_BLIND : COVERAGE_UNKNOWN;
}

void coverage_judge(struct coverage *c, uint64_t age_ns)
{
	double share = coverage_share(c->wire, c->covered);

	c->reason = TT_BLIND_NONE;
	if (c->excluded) {
		c->status = COVERAGE_EXCLUDED;	/* whatever was seen of it before */
	} else if (share < 0) {
		c->status = c->sockets || c->first_call_ns || c->plain[0] + c->plain[1] ?
			    COVERAGE_UNKNOWN : COVERAGE_IDLE;
	} else if (share == 0) {
		judge_blind(c, age_ns);
	} else if (share >= COVERAGE_FULL && !is_one_way(c)) {
		c->status = COVERAGE_COVERED;
	} else {
		c->status = COVERAGE_PARTIAL;
		c->reason = find_reason(c);
	}
}

/* ---- sums ---- */

void coverage_add(struct coverage_sum *sum, const struct coverage *c)
{
	for (int i = 0; i < 2; i++) {
		sum->wire[i] += c->wire[i];
		sum->covered[i] += c->covered[i];
		sum->plain[i] += c->plain[i];
	}
	sum->sockets += c->sockets;
	sum->blind_sockets += c->blind_sockets;
	sum->processes[c->status]++;
}

void coverage_line(const struct coverage_sum *sum, char ret_line[static COVERAGE_LINE_LEN])
{
	double share = coverage_share(sum->wire, sum->covered);
	uint64_t blind = sum->processes[COVERAGE_BLIND];

	ret_line[0] = 0;
	if (share < 0)
		return;
	/* Rounded down: 100 % is all of it. */
	snprintf(ret_line, COVERAGE_LINE_LEN, "TLS bytes covered %d %%, %" PRIu64 " %s blind",
		 (int)(share * 100), blind, blind == 1 ? "process" : "processes");
}

static void sum_sums(struct coverage_sum *to, const struct coverage_sum *from)
{
	for (int i = 0; i < 2; i++) {
		to->wire[i] += from->wire[i];
		to->covered[i] += from->covered[i];
		to->plain[i] += from->plain[i];
	}
	to->sockets += from->sockets;
	to->blind_sockets += from->blind_sockets;
	for (int i = 0; i < COVERAGE_STATUS_MAX; i++)
		to->processes[i] += from->processes[i];
}

static struct coverage_workload *totals_make(struct coverage_totals *t)
{
	struct coverage_workload *w = t->workload;

	if (t->workloads < t->limit)
		return &t->workload[t->workloads++];
	for (size_t i = 1; i < t->workloads; i++)
		if (t->workload[i].used < w->used)
			w = &t->workload[i];
	sum_sums(&t->other, &w->sum);
	return w;
}

struct coverage_sum *coverage_totals_get(struct coverage_totals *t, enum coverage_kind kind,
					 const char *name)
{
	struct coverage_workload *w = NULL;

	if (!t->limit || !name[0])
		return &t->other;
	for (size_t i = 0; i < t->workloads && !w; i++)
		if (t->workload[i].kind == kind && !strncmp(t->workload[i].name, name, COVERAGE_WORKLOAD_LEN - 1))
			w = &t->workload[i];
	if (!w) {
		w = totals_make(t);
		memset(w, 0, sizeof(*w));
		w->kind = kind;
		use_set_text(w->name, sizeof(w->name), name, strlen(name));
	}
	w->used = ++t->uses;
	return &w->sum;
}
