/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which process talks TLS, through which files, and how much of it is seen: joins what the kernel
 * programs count with the files that processes have mapped, and tells the agent what has changed.
 *
 * A process is followed from its first row in the kernel's table, or from the first mapping of a file
 * with a TLS library. Of one that ended the last row is read before it is told, so that the shortest
 * life is counted whole; but those that had a library and never used it are told only if they live
 * long enough to be asked who they are.
 */
#ifndef TT_MONITOR_TALLY_H
#define TT_MONITOR_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#include <tokentrail/ipc.h>

#include "monitor/procs.h"

struct tally;

/* Where its answers come from. */
struct tally_calls {
	/* Calls tally_row() for each row of the kernel's table. Negative errno: it can't be read. */
	int (*each)(struct tally *tally, void *arg);
	/* The last of a row, which leaves the table. -ENOENT: there is none. */
	int (*take)(const struct tt_cover_key *key, struct tt_cover_row *ret_row, void *arg);
	/* When a process began to run its program. -ENOENT: not seen. */
	int (*exec)(uint32_t pid, struct tt_exec *ret_exec, void *arg);
	/* As targets_has_finding(). */
	int (*file)(uint64_t file, void *arg);
	/* As filter_leaves(). */
	bool (*left)(uint32_t pid, uint64_t cgroup, void *arg);
	void *arg;
};

/* max: processes with a row, and as many that only have a file. */
int tally_new(uint32_t max, const struct procs *procs, const struct tally_calls *calls,
	      struct tally **ret_tally);
void tally_free(struct tally *tally);

/* Events. Those that are read in one go may come in a wrong order: tally_batch() goes before. */
void tally_batch(struct tally *tally);
void tally_mapped(struct tally *tally, uint32_t pid, uint64_t file);
void tally_forked(struct tally *tally, uint32_t pid, uint32_t parent, uint64_t start_ns);
void tally_exec(struct tally *tally, uint32_t pid);
void tally_exited(struct tally *tally, uint32_t pid);

/* A scan looks at this process now: the files that it has are those told of until the next call of this,
 * or the next tick. */
void tally_scanned(struct tally *tally, uint32_t pid);

void tally_row(struct tally *tally, const struct tt_cover_key *key, const struct tt_cover_row *row);

/* Who is left alone has changed: all are told of again. */
void tally_again(struct tally *tally);

/* Once a second: reads the kernel's table, finds out who is gone. Negative errno: can't be read. */
int tally_tick(struct tally *tally);

/* The agent's end of the channel, or -1. A new agent is told of all that live. */
void tally_set_agent(struct tally *tally, int channel);

/* Tells up to max changes. Whether there are more: the agent did not take them yet, or max was. */
bool tally_send(struct tally *tally, uint32_t max);

uint64_t tally_lost(const struct tally *tally); /* processes without room, so far */
uint32_t tally_count(const struct tally *tally);

#endif
