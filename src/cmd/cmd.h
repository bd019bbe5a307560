/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The subcommands. Each gets its own name as argv[0] and the arguments after it, parses them with
 * getopt_long, and returns an exit status of enum cmd_status. What it prints for programs goes to
 * standard output, everything else to standard error.
 */
#ifndef TT_CMD_CMD_H
#define TT_CMD_CMD_H

#include <stdbool.h>

#include "config/config.h"

#define CMD_CONFIG_FILE "/etc/tokentrail/tokentrail.yaml"

enum cmd_status {
	CMD_OK = 0,
	CMD_NO = 1,    /* the answer is no: nothing found, a check failed */
	CMD_USAGE = 2, /* wrong arguments or a wrong configuration */
	CMD_CANT = 3,  /* this node can't: privileges, kernel, files */
};

int cmd_run(int argc, char **argv);
int cmd_agent(int argc, char **argv); /* started by `run` only; not in --help */
int cmd_report(int argc, char **argv);
int cmd_import(int argc, char **argv);
int cmd_tokens(int argc, char **argv);
int cmd_uses(int argc, char **argv);
int cmd_mints(int argc, char **argv);
int cmd_coverage(int argc, char **argv);
int cmd_trace(int argc, char **argv);
int cmd_fingerprint(int argc, char **argv);
int cmd_key(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_version(int argc, char **argv);

/* One line "tokentrail COMMAND: text; see 'tokentrail COMMAND --help'" on standard error. Returns
 * CMD_USAGE. Never give it an argument that could be a credential. */
int cmd_usage_error(const char *command, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* The same without the pointer to --help, for a node that can't. Returns CMD_CANT. */
int cmd_cant(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* What to say after getopt_long() returned '?' or ':' (opterr = 0, option string begins with ':').
 * Names the option and, for an unknown long one, says no more than that. Returns CMD_USAGE. */
int cmd_bad_option(const char *command, int result, int argc, char **argv);

/* Defaults, then the file `path` (NULL: CMD_CONFIG_FILE if it exists), then the environment.
 * 0, or an exit status after the reason went to standard error; c needs config_done() either way.
 */
int cmd_load_config(const char *command, const char *path, struct config *c);

/* Flushes standard output; a reader that is gone or a full disk is CMD_CANT and said. */
int cmd_finish_output(const char *command, int status);

#endif
