/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding and loading the fleet key, for the subcommands that need it outside the sensor.
 */
#ifndef TT_CMD_FLEET_H
#define TT_CMD_FLEET_H

#include "tokens/id.h"

#define FLEET_PATH_LEN 4096

/* The key file: `key` if given, else key.file of the configuration, whose classes are in the table from then
 * on. An exit status. */
int fleet_path(const char *command, const char *key, const char *config,
	       char ret_path[static FLEET_PATH_LEN]);

/* Loads the file and derives its keys; the caller wipes them. An exit status, CMD_CANT after a line
 * that says what to do. */
int fleet_load(const char *command, const char *path, struct keys *ret_keys);

#endif
