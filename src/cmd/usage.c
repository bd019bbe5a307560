/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all subcommands say in the same way: wrong usage, a node that can't, a configuration that
 * is wrong, output that nobody takes.
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"

static void print_prefix(const char *command)
{
	fprintf(stderr, "tokentrail%s%s: ", command[0] ? " " : "", command);
}

int cmd_usage_error(const char *command, const char *fmt, ...)
{
	va_list ap;

	print_prefix(command);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "; see 'tokentrail %s --help'\n", command);
	return CMD_USAGE;
}

int cmd_cant(const char *command, const char *fmt, ...)
{
	va_list ap;

	print_prefix(command);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return CMD_CANT;
}

int cmd_bad_option(const char *command, int result, int argc, char **argv)
{
	const char *option = optind > 0 && optind <= argc ? argv[optind - 1] : "";
	int len = strcspn(option, "=");

	if (result == ':')
		return cmd_usage_error(command, "option '%s' needs a value", option);
	if (strncmp(option, "--", 2) == 0 && len <= 32)
		return cmd_usage_error(command,
				       "unknown option '%.*s', or one that is not "
				       "complete or takes no value",
				       len, option);
	if (optopt > ' ' && optopt < 0x7f)
		return cmd_usage_error(command, "unknown option '-%c'", optopt);
	return cmd_usage_error(command, "unknown option");
}

int cmd_load_config(const char *command, const char *path, struct config *c)
{
	struct config_error error = {""};
	int r;

	r = config_init(c);
	if (r < 0)
		return cmd_cant(command, "out of memory");
	if (path || access(CMD_CONFIG_FILE, F_OK) == 0)
		r = config_load_file(c, path ? path : CMD_CONFIG_FILE, &error);
	if (r == 0)
		r = config_load_env(c, environ, &error);
	if (r == 0)
		return CMD_OK;
	print_prefix(command);
	fprintf(stderr, "%s\n", error.text);
	/* Without the right to read it, nobody can say whether it is wrong. */
	return r == -EACCES || r == -EPERM || r == -ENOMEM || r == -EIO ? CMD_CANT : CMD_USAGE;
}

int cmd_finish_output(const char *command, int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	return cmd_cant(command, "standard output: %s", strerror(errno));
}
