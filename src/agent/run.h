/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent process: takes what spawn_agent() left it, gives up its privileges, and then moves
 * records from the ring to the sinks until the monitor stops it or is gone.
 */
#ifndef TT_AGENT_RUN_H
#define TT_AGENT_RUN_H

/* Never returns before the end of the agent. The exit status: 0 done; 1 the monitor sent what it
 * may not send, or a sink could not write out everything; 3 could not start (and said why). */
int agent_main(void);

#endif
