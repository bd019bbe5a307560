/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of subcommands and the global --help. Everything else is in cmd/.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cmd/cmd.h"

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help; /* NULL: internal, not shown */
};

static const struct command commands[] = {
	{"run", cmd_run, "watch this node and report the tokens in use"},
	{"report", cmd_report, "five questions answered: active, excessive, unused, minting, places"},
	{"import", cmd_import, "a list of known tokens, so that unused ones show"},
	{"tokens", cmd_tokens, "list the tokens seen, from the store"},
	{"uses", cmd_uses, "list who used which token, where and how often"},
	{"mints", cmd_mints, "list who asked whom for tokens, and what came of it"},
	{"trace", cmd_trace, "everything known of one token id"},
	{"coverage", cmd_coverage, "whose TLS is seen, and whose is not and why"},
	{"fingerprint", cmd_fingerprint, "the ids of tokens given on standard input"},
	{"key", cmd_key, "make the fleet key, or show its id"},
	{"doctor", cmd_doctor, "what this node allows, and what to do about the rest"},
	{"version", cmd_version, "print the version"},
	{"agent", cmd_agent, NULL},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *to)
{
	fputs("Usage: tokentrail COMMAND [OPTIONS]\n"
	      "\n"
	      "Shows which tokens are in use on this node: whose, by whom, where, how often.\n"
	      "No token ever leaves the kernel, only keyed fingerprints do.\n"
	      "\n"
	      "Commands:\n",
	      to);
	for (size_t i = 0; i < COMMANDS; i++) {
		if (commands[i].help)
			fprintf(to, "  %-12s %s\n", commands[i].name, commands[i].help);
	}
	fputs("\n"
	      "Examples:\n"
	      "  sudo tokentrail run                     a live table of tokens in use\n"
	      "  sudo tokentrail run --output json       one record a line\n"
	      "  sudo tokentrail report --html           the five answers as a page\n"
	      "  sudo tokentrail doctor                  can this node do it?\n"
	      "  sudo tokentrail fingerprint <leaked.txt | sudo tokentrail trace -\n"
	      "\n"
	      "Exit status: 0 done, 1 the answer is no, 2 wrong usage, 3 this node can't.\n"
	      "'tokentrail COMMAND --help' says more; so do tokentrail(1) and "
	      "tokentrail.yaml(5).\n",
	      to);
}

static const char *nearest_command(const char *name)
{
	const char *nearest = NULL;
	size_t best = SIZE_MAX;

	for (size_t i = 0; i < COMMANDS; i++) {
		size_t distance = text_distance(name, commands[i].name);

		if (commands[i].help && distance < best) {
			best = distance;
			nearest = commands[i].name;
		}
	}
	return text_is_slip(best, strlen(name)) ? nearest : NULL;
}

static int unknown_command(const char *name)
{
	const char *nearest = name[0] == '-' ? NULL : nearest_command(name);

	/* What is no command may be a token pasted into the wrong place: only a slip is repeated.
	 */
	if (nearest)
		fprintf(stderr, "tokentrail: unknown command '%s'; did you mean '%s'?\n", name,
			nearest);
	else
		fprintf(stderr, "tokentrail: unknown %s; 'tokentrail --help' lists what there is\n",
			name[0] == '-' ? "option" : "command");
	return CMD_USAGE;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL;

	/* A reader that goes away is an error of write(2), so that `run` can take its probes down.
	 */
	signal(SIGPIPE, SIG_IGN);

	if (!name) {
		fputs("tokentrail: which command? 'tokentrail --help' lists them\n", stderr);
		return CMD_USAGE;
	}
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
		print_help(stdout);
		return cmd_finish_output("", CMD_OK);
	}
	if (strcmp(name, "--version") == 0)
		name = "version";
	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(name, commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	}
	return unknown_command(name);
}
