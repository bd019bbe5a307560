/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See fleet.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/fleet.h"

int fleet_path(const char *command, const char *key, const char *config,
	       char ret_path[static FLEET_PATH_LEN])
{
	struct config_error error;
	struct config c = {0};
	int r = CMD_OK;

	if (!key || config) {
		r = cmd_load_config(command, config, &c);
		if (r == CMD_OK && config_tables(&c, &error) < 0)
			r = cmd_usage_error(command, "%s", error.text);
		key = r != CMD_OK ? "" : key ? key : c.key_file;
	}
	if (r == CMD_OK && (!*key || strlen(key) >= FLEET_PATH_LEN))
		r = cmd_usage_error(command, "the key file's name is empty or too long");
	if (r == CMD_OK)
		memcpy(ret_path, key, strlen(key) + 1);
	config_done(&c);
	return r;
}

int fleet_load(const char *command, const char *path, struct keys *ret_keys)
{
	uint8_t fleet[FLEET_KEY_LEN];
	int r;

	r = fleet_key_load(path, fleet);
	switch (r) {
	case 0:
		break;
	case -ENOENT:
		return cmd_cant(command, "no key at %s; 'tokentrail key new' makes one", path);
	case -EACCES:
		return cmd_cant(command, "%s: no right to read it; run as root", path);
	case -EPERM:
		return cmd_cant(command,
				"%s is readable by others or not root's; chown it to root "
				"and chmod it to 0600 (and consider it known to them)",
				path);
	case -EINVAL:
		return cmd_cant(command,
				"%s is no key file: it must have one line of 64 hex digits", path);
	default:
		return cmd_cant(command, "%s: %s", path, strerror(-r));
	}
	r = keys_derive(fleet, ret_keys);
	explicit_bzero(fleet, sizeof(fleet));
	if (r < 0)
		return cmd_cant(command,
				"libcrypto refused HKDF or SHA-256; see its configuration");
	return CMD_OK;
}
