/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has to be there before the sensor starts: keys, the agent's user, its directory, limits.
 * Errors are -EINVAL for the configuration and -ENOTSUP for the node, and have been logged.
 */
#ifndef TT_MONITOR_SETUP_H
#define TT_MONITOR_SETUP_H

#include "agent/blob.h"
#include "config/config.h"
#include "tokens/id.h"

/* Loads the fleet key, or makes one; the caller wipes *ret_keys. */
int setup_keys(const struct config *config, struct keys *ret_keys);

/* Who the agent is and what it is told; makes the state directory. */
int setup_agent(const struct config *config, const struct keys *keys,
		struct agent_params *ret_params);

void setup_file_limit(void);

#endif
