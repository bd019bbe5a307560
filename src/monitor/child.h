/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent as the monitor's child: started, listened to, stopped, and started again when it dies,
 * with growing pauses. The probes stay in place meanwhile and the ring holds what it can.
 */
#ifndef TT_MONITOR_CHILD_H
#define TT_MONITOR_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/blob.h"
#include "monitor/bpf.h"

struct child {
	pid_t pid;	    /* 0: none runs */
	int pidfd, channel; /* -EBADF: none */
	bool hello;	    /* it reads the ring */
	bool killed;	    /* by us: it broke the rules or did not get ready */
	uint64_t started_ns;
	uint64_t lost_ns;    /* it closed the channel; 0: open */
	uint64_t restart_ns; /* when to start the next; 0: not planned */
	uint64_t pause_ns;
	uint64_t deaths;
	uint64_t lost_uses; /* that they had not written out */
};

enum child_end {
	CHILD_END_DIED, /* start another one at restart_ns */
	CHILD_END_CANT, /* it could not start and has said why: no other one could */
};

#define CHILD_NONE                                                                                 \
	{                                                                                          \
		.pidfd = -EBADF, .channel = -EBADF                                                 \
	}

/* Times are CLOCK_BOOTTIME. */
int child_start(struct child *child, struct bpf_sensor *sensor, const struct agent_params *params,
		const struct config *config, uint64_t now_ns);

/* Its pidfd became readable: reaps it, closes everything, plans the next. */
enum child_end child_ended(struct child *child, struct bpf_sensor *sensor, bool expected,
			   uint64_t now_ns);

void child_kill(struct child *child, const char *why); /* logs why; child_ended() follows */
int child_stop(struct child *child);		       /* asks it to write everything out and end */

/* Too long without a HELLO, or still there long after it closed the channel. */
bool child_is_stuck(const struct child *child, uint64_t now_ns);

#endif
