/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of the processes that use tokens: executable, container and workload. The agent can't look;
 * it asks the monitor once per process (and once more when the process took another name, as exec
 * does), and once per container; completed requests of that process wait a moment for the answer. Every request handed
 * in comes out exactly once, in the order of its process. Times are the caller's, of any clock that
 * only grows.
 */
#ifndef TT_ENRICH_PROCESS_H
#define TT_ENRICH_PROCESS_H

#include <stddef.h>
#include <stdint.h>

#include <tokentrail/ipc.h>

#include "base/container.h"
#include "tokens/coverage.h"
#include "tokens/workload.h"
#include "tokens/use.h"

#define PROCESS_HOLD_NS (250ULL * 1000000)

struct process_info {
	char executable[TT_IPC_PATH_LEN];	/* "" = not known; untrusted bytes */
	char container_id[CONTAINER_ID_LEN];	/* "" = none or not known */
	struct workload *work;	/* NULL = not known; whoever keeps it holds it */
	enum coverage_kind workload_kind;
	char workload[COVERAGE_WORKLOAD_LEN];	/* container, else unit, else cgroup that is not the
						 * root, else executable; "" = not known; untrusted */
};

struct process_ops {
	/* Sends the question; a negative errno means nobody will answer. */
	int (*ask)(void *ctx, const struct tt_ipc_ask *ask);
	/* A request goes on. */
	void (*done)(void *ctx, const struct tt_ev_use *ev, struct outcome outcome,
		     const struct process_info *info);
	/* Sends the question about a container; as ask(). NULL: there is nobody to ask. */
	int (*look)(void *ctx, const struct tt_ipc_look *look);
};

struct process_cache;

/* limit: processes remembered, least recently used forgotten; hold_limit: requests that wait. */
int process_new(size_t limit, size_t hold_limit, const struct process_ops *ops, void *ctx,
		struct process_cache **ret_cache);
void process_free(struct process_cache *c);	/* process_flush() before */

/* A request of this process was seen: asks if it is not known, so that the answer is there before
 * the response. */
void process_want(struct process_cache *c, const struct tt_ev_hdr *h, uint64_t now_ns);
/* What is known of this process now; false: the question is open, and will not be for long. */
bool process_know(struct process_cache *c, const struct tt_ev_hdr *h, uint64_t now_ns,
		  struct process_info *ret_info);
/* A completed request: goes on at once, or when the answer is there or late. */
void process_submit(struct process_cache *c, const struct tt_ev_use *ev,
		    struct outcome outcome, uint64_t now_ns);
void process_answer(struct process_cache *c, const struct tt_ipc_proc *answer);
/* What became of the question about a container: first its bundle, if there is one, then the rest. */
void process_bundle(struct process_cache *c, const struct tt_ipc_bundle *m, int fd);
void process_place(struct process_cache *c, const struct tt_ipc_place *place);
void process_tick(struct process_cache *c, uint64_t now_ns);
void process_flush(struct process_cache *c);	/* whatever waits goes on with what is known */
size_t process_held(const struct process_cache *c);

#endif
