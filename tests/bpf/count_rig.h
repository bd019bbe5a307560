/* SPDX-License-Identifier: Apache-2.0 */
/* What the rows of repeats (bpf/fold.bpf.h) have counted, and what was a record instead. */
#ifndef TT_TESTS_COUNT_RIG_H
#define TT_TESTS_COUNT_RIG_H

#include "pair_rig.h"

#define FEW_ROWS 256		/* a fourth of the connections: src/monitor/sizes.c */
#define IDLE_NS 1000000000ULL	/* ROW_IDLE_NS, bpf/fold.bpf.h */

struct counted {
	uint64_t uses, by_status[1000], by_grpc[17];
};

/* Repeats of this token with this path, of both ends together. */
static inline struct counted rows_counted(const char *secret, const char *path)
{
	int map = rig_map("use_rows");
	struct counted c = { 0 };
	static struct tt_row r;
	uint64_t id[2];

	rig_fingerprint(secret, id);
	for (uint32_t i = 0; !bpf_map_lookup_elem(map, &i, &r); i++) {
		if (!r.gen || r.use.cred[0].token[0] != id[0] || r.use.path_len != strlen(path) ||
		    memcmp(r.use.path, path, strlen(path)))
			continue;
		c.uses += r.uses;
		for (int n = 0; n < TT_ROW_STATUSES; n++) {
			if (r.status[n].status < 1000)
				c.by_status[r.status[n].status] += r.status[n].count;
			if (r.status[n].grpc && r.status[n].grpc <= 17)
				c.by_grpc[r.status[n].grpc - 1] += r.status[n].count;
		}
	}
	return c;
}

/* Uses of this process that were records since rig_clear(). */
static inline size_t own_uses(void)
{
	size_t n = 0;

	rig_collect(&rig);
	for (size_t i = 0; i < rig.uses; i++)
		n += rig.use[i].h.tgid == (uint32_t)getpid();
	return n;
}

static inline int fold_setup(void **state)
{
	rig_fold = true;
	return setup(state);
}

static inline int few_setup(void **state)
{
	rig_connections = 4 * FEW_ROWS;
	return fold_setup(state);
}

#endif
