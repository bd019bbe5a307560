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
#ifndef TT_MONITOR_COVER_H
#define TT_MONITOR_COVER_H

#include <stdbool.h>
#include <stdint.h>

#include <tokentrail/ipc.h>

#include "monitor/procs.h"

struct cover;

/* Where its answers come from. */
struct cover_calls {
	/* Calls cover_row() for each row of the kernel's table. Negative errno: it can't be read. */
	int (*each)(struct cover *cover, void *arg);
	/* The last of a row, which leaves the table. -ENOENT: there is none. */
	int (*take)(const struct tt_cover_key *key, struct tt_cover_row *ret_row, void *arg);
	/* When a process began to run its program. -ENOENT: not seen. */
	int (*exec)(uint32_t pid, struct tt_exec *ret_exec, void *arg);
	/* As targets_has_finding(). */
	int (*file)(uint64_t file, void *arg);
	void *arg;
};

/* max: processes with a row, and as many that only have a file. */
int cover_new(uint32_t max, const struct procs *procs, const struct cover_calls *calls,
	      struct cover **ret_cover);
void cover_free(struct cover *cover);

/* Events. Those that are read in one go may come in a wrong order: cover_batch() goes before. */
void cover_batch(struct cover *cover);
void cover_mapped(struct cover *cover, uint32_t pid, uint64_t file);
void cover_forked(struct cover *cover, uint32_t pid, uint32_t parent, uint64_t start_ns);
void cover_exec(struct cover *cover, uint32_t pid);
void cover_exited(struct cover *cover, uint32_t pid);

/* A scan looks at this process now: the files that it has are those told of until the next call of this,
 * or the next tick. */
void cover_scanned(struct cover *cover, uint32_t pid);

void cover_row(struct cover *cover, const struct tt_cover_key *key, const struct tt_cover_row *row);

/* Once a second: reads the kernel's table, finds out who is gone. Negative errno: can't be read. */
int cover_tick(struct cover *cover);

/* The agent's end of the channel, or -1. A new agent is told of all that live. */
void cover_set_agent(struct cover *cover, int channel);

/* Tells up to max changes. Whether there are more: the agent did not take them yet, or max was. */
bool cover_send(struct cover *cover, uint32_t max);

uint64_t cover_lost(const struct cover *cover); /* processes without room, so far */
uint32_t cover_count(const struct cover *cover);

#endif
