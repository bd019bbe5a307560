/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tokentrail key new` makes the fleet key, `tokentrail key show-id` says which one a node has. The
 * key itself is never printed.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/fleet.h"
#include "tokens/id.h"

static void print_help(void)
{
	puts("Usage: tokentrail key new [--key FILE] [--config FILE]\n"
	     "       tokentrail key show-id [--key FILE] [--config FILE] [--json]\n"
	     "\n"
	     "The fleet key turns tokens into ids. Nodes that share it give one token one id;\n"
	     "without it an id can't be compared with anything. Copy the file to the other nodes\n"
	     "the way you copy other secrets. 'run' makes a key when there is none.\n"
	     "\n"
	     "  new            write a new key, mode 0600; an existing one is never replaced\n"
	     "  show-id        the key's public id, as it stands in every record\n"
	     "  --key FILE     the key file (default: key.file of the configuration,\n"
	     "                 /etc/tokentrail/fleet.key)\n"
	     "  --config FILE  another configuration file\n"
	     "  --json         one JSON object\n"
	     "\n"
	     "Examples:\n"
	     "  sudo tokentrail key new\n"
	     "  sudo tokentrail key show-id\n"
	     "  tokentrail key new --key ./fleet.key   for a Kubernetes secret");
}

static int make_new(const char *path)
{
	struct keys keys;
	int r;

	r = fleet_key_new(path);
	if (r == -EEXIST)
		return cmd_cant("key",
				"%s exists already and is kept: ids would change; move it "
				"away first if that is what you want",
				path);
	if (r == -EACCES || r == -EPERM || r == -EROFS)
		return cmd_cant("key", "%s: %s; run as root or give another place with --key", path,
				strerror(-r));
	if (r < 0)
		return cmd_cant("key", "%s: %s", path, strerror(-r));
	r = fleet_load("key", path, &keys);
	if (r != CMD_OK)
		return r;
	printf("%s\n", keys.key_id);
	explicit_bzero(&keys, sizeof(keys));
	fprintf(stderr, "tokentrail key: wrote %s; the line above is its id, not the key\n", path);
	return cmd_finish_output("key", CMD_OK);
}

static int show_id(const char *path, bool json)
{
	struct keys keys;
	int r;

	r = fleet_load("key", path, &keys);
	if (r != CMD_OK)
		return r;
	printf(json ? "{\"key_id\":\"%s\"}\n" : "%s\n", keys.key_id);
	explicit_bzero(&keys, sizeof(keys));
	return cmd_finish_output("key", CMD_OK);
}

int cmd_key(int argc, char **argv)
{
	static const struct option options[] = {
		{"key", required_argument, NULL, 'k'},
		{"config", required_argument, NULL, 'c'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const char *config = NULL, *key = NULL;
	char path[FLEET_PATH_LEN];
	bool json = false;
	int option, r;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (option == 'h') {
			print_help();
			return cmd_finish_output("key", CMD_OK);
		} else if (option == 'k') {
			key = optarg;
		} else if (option == 'c') {
			config = optarg;
		} else if (option == 'j') {
			json = true;
		} else {
			return cmd_bad_option("key", option, argc, argv);
		}
	}
	if (optind + 1 != argc || (strcmp(argv[optind], "new") && strcmp(argv[optind], "show-id")))
		return cmd_usage_error("key", "say 'key new' or 'key show-id'");
	r = fleet_path("key", key, config, path);
	if (r != CMD_OK)
		return r;
	if (strcmp(argv[optind], "show-id") == 0)
		return show_id(path, json);
	if (json)
		return cmd_usage_error("key", "--json goes with show-id");
	return make_new(path);
}
