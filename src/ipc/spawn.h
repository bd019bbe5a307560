/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts the agent: fork and exec of this same binary as `tokentrail agent` with exactly the
 * descriptors named here, an almost empty environment, default signals and an empty signal mask.
 * It still runs as root then; it drops everything itself (ipc/sandbox.h) before it reads a byte
 * that others wrote.
 */
#ifndef TT_IPC_SPAWN_H
#define TT_IPC_SPAWN_H

#include <sys/types.h>

/* Descriptor numbers in the agent; 0 is /dev/null, 1 and 2 are inherited. */
enum { SPAWN_FD_CHANNEL = 3, SPAWN_FD_BLOB = 4, SPAWN_FD_RING = 5, SPAWN_FD_ROWS = 6, SPAWN_FD_MARKS = 7 };

struct spawn_fds {
	int channel;		/* the agent's end of chan_pair() */
	int blob;		/* of blob_write() */
	int ring;		/* the map `rb_data` */
	int rows, marks;	/* `use_rows` and `row_marks` */
};

/*
 * The agent gets SIGTERM when the calling thread ends (prctl(2), PR_SET_PDEATHSIG: call it from a
 * thread that lives as long as the monitor, i.e. the main one). The caller keeps its own copies of
 * *fds and closes them; it must close the agent's end of the channel, or it never sees an end of it.
 * ret_pidfd is close-on-exec and readable once the agent has ended; reap with waitpid(*ret_pid).
 * An agent that ends before it said TT_IPC_HELLO could not start and has logged why (exit status 2
 * or 3): starting it again will not help.
 * 0 or the negative errno of what failed, the exec in the child included.
 */
int spawn_agent(const struct spawn_fds *fds, pid_t *ret_pid, int *ret_pidfd);

#endif
