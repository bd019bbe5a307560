/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/setup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "monitor/state.h"

/* A node that can't is -ENOTSUP, a wrong configuration -EINVAL; both have been said by then. */
static int cant(const char *what, int r)
{
	log_error("%s: %s", what, strerror(-r));
	return -ENOTSUP;
}

static int load_or_make(const char *path, uint8_t fleet[static FLEET_KEY_LEN])
{
	int r = fleet_key_load(path, fleet);

	if (r != -ENOENT)
		return r;
	r = fleet_key_new(path);
	if (r < 0)
		return r;
	log_info("made a new fleet key; nodes that shall agree on ids need the same file path=%s",
		 path);
	return fleet_key_load(path, fleet);
}

int setup_keys(const struct config *config, struct keys *ret_keys)
{
	uint8_t fleet[FLEET_KEY_LEN];
	const char *path = config->key_file;
	int r;

	r = load_or_make(path, fleet);
	if (r == 0)
		r = keys_derive(fleet, ret_keys);
	explicit_bzero(fleet, sizeof(fleet));
	if (r == -EPERM)
		log_error("%s: others may read or write the fleet key, or it is not root's; chown "
			  "root and chmod 600 it",
			  path);
	else if (r == -EINVAL)
		log_error("%s: not a fleet key; `tokentrail key new` makes one", path);
	else if (r < 0)
		log_error("%s: the fleet key can't be read or made: %s", path, strerror(-r));
	return r < 0 ? -ENOTSUP : 0;
}

static int find_user(const struct config *config, struct agent_params *params)
{
	uid_t uid;
	gid_t gid;
	int r;

	r = state_user(config->agent_user, &uid, &gid);
	if (r == -EPERM) {
		log_error("agent.user may not be root; name a user without privileges");
		return -EINVAL;
	}
	if (r < 0)
		return cant("no user for the agent: neither agent.user nor a free number", r);
	params->uid = uid;
	params->gid = gid;
	r = state_prepare(config->state_dir, uid, gid);
	if (r == -EEXIST) {
		log_error("%s: holds files of others; give state.directory a place of its own",
			  config->state_dir);
		return -ENOTSUP;
	}
	return r < 0 ? cant(config->state_dir, r) : 0;
}

int setup_agent(const struct config *config, const struct keys *keys,
		struct agent_params *ret_params)
{
	struct agent_params params = {0};
	int r;

	memcpy(params.publish, keys->publish, sizeof(params.publish));
	memcpy(params.key_id, keys->key_id, sizeof(params.key_id));
	if (config->node_name && config->node_name[0])
		snprintf(params.node, sizeof(params.node), "%s", config->node_name);
	else if (gethostname(params.node, sizeof(params.node) - 1) < 0)
		return cant("the host's name", -errno);
	r = find_user(config, &params);
	if (r == 0)
		*ret_params = params;
	explicit_bzero(&params, sizeof(params));
	return r;
}

/* Each probe is a descriptor where uprobe_multi is missing; files under way are too. */
void setup_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_debug("the limit of open files can't be raised");
}
