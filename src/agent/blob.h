/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the monitor hands the agent at its start and with TT_IPC_RELOAD: the settings and the few
 * values that only root can find out, in a sealed memfd, and all classes, credential fields and token endpoints
 * of the configurations so far in the order of their ids. Written by the monitor, read once by the
 * agent; the only secret in it is the publish key, which cannot make or check a fingerprint.
 */
#ifndef TT_AGENT_BLOB_H
#define TT_AGENT_BLOB_H

#include <stdint.h>

#include "config/budget.h"
#include "config/config.h"
#include "tokens/id.h"

#define BLOB_NODE_LEN 256

struct agent_params {
	uint8_t publish[PUBLISH_KEY_LEN];
	char key_id[KEY_ID_LEN];
	char node[BLOB_NODE_LEN];	/* config node.name or the host's name; never empty */
	uint32_t uid, gid;		/* who the agent becomes; resolved by the monitor, never 0.
					 * state.directory exists and belongs to them. */
	/* Totals of TT_IPC_COUNTERS that an agent before this one already reported; zero at first. */
	uint64_t reported[TT_DROP_MAX];
	struct budget budget;		/* of the limits that are in force */
};

/* -EINVAL: params that no agent would accept (uid 0, no node name). The descriptor is
 * close-on-exec and sealed; the caller closes it after spawn_agent() or chan_send(). */
int blob_write(const struct agent_params *params, const struct config *config, int *ret_fd);

/* Reads a blob, and numbers the configuration's classes, carriers and token endpoints as the process that
 * wrote it has numbered them; wipes every copy it made but *ret_params. *ret_config is initialised by the call
 * and freed with config_done(). -EBADMSG: not a blob of this version. */
int blob_read(int fd, struct agent_params *ret_params, struct config *ret_config);

#endif
