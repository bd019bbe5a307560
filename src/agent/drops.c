/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/drops.h"

#include <string.h>

#define REPORT_EVERY_NS 1000000000ULL

uint64_t agent_drops[TT_DROP_MAX];

static const char *const names[TT_DROP_MAX] = {
#define TT_DROP(id, name, help) [id] = #name,
#include <tokentrail/drops.def>
#undef TT_DROP
};

const char *drops_name(enum tt_drop reason)
{
	return (unsigned int)reason < TT_DROP_MAX ? names[reason] : NULL;
}

void drops_init(struct drops *d, const uint64_t reported[static TT_DROP_MAX])
{
	*d = (struct drops){ 0 };
	memcpy(d->others, reported, sizeof(d->others));
	memcpy(d->reported, reported, sizeof(d->reported));
}

void drops_update(struct drops *d, const __u64 others[static TT_DROP_MAX])
{
	/* Totals only grow; a smaller one is an older message, or a monitor that forgot. */
	for (size_t i = 0; i < TT_DROP_MAX; i++)
		if (others[i] > d->others[i])
			d->others[i] = others[i];
}

uint64_t drops_total(const struct drops *d)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < TT_DROP_MAX; i++)
		sum += d->others[i] + agent_drops[i];
	return sum;
}

int drops_report(struct drops *d, uint64_t now_ns, uint64_t real_ns, int force, drops_emit emit,
		 void *ctx)
{
	int first = 0;

	for (size_t i = 0; i < TT_DROP_MAX; i++) {
		uint64_t total = d->others[i] + agent_drops[i];
		struct loss l = { .reason = names[i], .count = total, .time_ns = real_ns };
		int r;

		if (!names[i] || total <= d->reported[i])
			continue;
		if (!force && d->report_ns[i] && now_ns - d->report_ns[i] < REPORT_EVERY_NS)
			continue;
		l.added = total - d->reported[i];
		r = emit(ctx, &l);
		d->report_ns[i] = now_ns;
		if (r < 0) {
			first = first ? first : r;
			continue;
		}
		d->reported[i] = total;
	}
	return first;
}
