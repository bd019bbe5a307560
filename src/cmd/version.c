/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tokentrail version`: the release, and the two numbers that other parts refuse to differ in.
 */
#include <getopt.h>
#include <stdio.h>

#include <tokentrail/abi.h>
#include <tokentrail/ipc.h>

#include "cmd/cmd.h"

static void print_help(void)
{
	puts("Usage: tokentrail version [--json]\n"
	     "\n"
	     "  --json   one JSON object: version, abi (kernel to agent), ipc (monitor to agent)\n"
	     "\n"
	     "Example: tokentrail version");
}

int cmd_version(int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	bool json = false;
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (option == 'h') {
			print_help();
			return cmd_finish_output("version", CMD_OK);
		}
		if (option != 'j')
			return cmd_bad_option("version", option, argc, argv);
		json = true;
	}
	if (optind < argc)
		return cmd_usage_error("version", "takes no arguments");
	if (json)
		printf("{\"version\":\"%s\",\"abi\":%d,\"ipc\":%d}\n", TT_VERSION, TT_ABI,
		       TT_IPC_VERSION);
	else
		printf("tokentrail %s\n", TT_VERSION);
	return cmd_finish_output("version", CMD_OK);
}
