/* SPDX-License-Identifier: Apache-2.0 */
/* The hidden subcommand that `run` starts with spawn_agent(); by hand there is nothing to do for it. */
#include <sys/socket.h>

#include "agent/run.h"
#include "cmd/cmd.h"
#include "ipc/spawn.h"

static bool has_channel(void)
{
	int type = 0;
	socklen_t len = sizeof(type);

	return getsockopt(SPAWN_FD_CHANNEL, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	       type == SOCK_SEQPACKET;
}

int cmd_agent(int argc, char **argv)
{
	if (argc > 1 || !has_channel())
		return cmd_usage_error("agent", "only `tokentrail run` starts the agent");
	return agent_main();
}
