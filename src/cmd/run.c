/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tokentrail run`: flags into a configuration, then the monitor (monitor/run.h).
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cmd/cmd.h"
#include "monitor/run.h"

#define NAME "run"
#define FLAGS_MAX 64

/* A setting given as a flag: in force over file and environment, also after a reload. */
struct flag {
	const char *path, *value;
};

struct flags {
	const char *config;
	struct flag set[FLAGS_MAX];
	size_t count;
	int status; /* of the last load() */
};

static void print_help(void)
{
	puts("Usage: tokentrail run [OPTION]...\n"
	     "\n"
	     "Watches this machine until it is stopped: which tokens are used, by whom, where. "
	     "Needs\n"
	     "root. Prints 'ready' on standard error once every probe it can set is set.\n"
	     "\n"
	     "  --output auto|table|json|none  what standard output shows (default: auto, the "
	     "live\n"
	     "                      table on a terminal, JSON lines elsewhere)\n"
	     "  --per-call          one record per request instead of folded counts\n"
	     "  --duration S        end by itself after S seconds (or 250ms, 5min, 1h)\n"
	     "  --config FILE       another file than /etc/tokentrail/tokentrail.yaml\n"
	     "  --state-dir DIR     where the store and the spool live\n"
	     "  --key FILE          the fleet key; made if missing\n"
	     "  --set PATH=VALUE    any setting of the configuration file; repeatable\n"
	     "\n"
	     "SIGHUP reads the configuration again; SIGINT and SIGTERM end it.\n"
	     "Exit status: 0 ended as asked, 2 wrong usage or configuration, 3 this node can't run "
	     "it\n"
	     "('tokentrail doctor' says why).\n"
	     "\n"
	     "Examples:\n"
	     "  sudo tokentrail run\n"
	     "  sudo tokentrail run --output json --per-call >uses.jsonl\n"
	     "  sudo tokentrail run --duration 10min --set kafka.enabled=true \\\n"
	     "      --set kafka.brokers=kafka-1:9092");
}

static int load_all(const struct flags *flags, struct config *ret_config)
{
	struct config_error error;
	int r;

	r = cmd_load_config(NAME, flags->config, ret_config);
	if (r != CMD_OK)
		return r;
	for (size_t i = 0; i < flags->count; i++)
		if (config_set(ret_config, flags->set[i].path, flags->set[i].value, &error) < 0)
			return cmd_usage_error(NAME, "%s", error.text);
	if (config_check(ret_config, &error) < 0)
		return cmd_usage_error(NAME, "%s", error.text);
	return CMD_OK;
}

static int load(struct config *ret_config, void *arg)
{
	struct flags *flags = arg;

	flags->status = load_all(flags, ret_config);
	return flags->status == CMD_OK ? 0 : -EINVAL;
}

static int add_flag(struct flags *flags, const char *path, const char *value)
{
	if (flags->count == FLAGS_MAX)
		return cmd_usage_error(NAME, "more than %d settings; write them to a file",
				       FLAGS_MAX);
	flags->set[flags->count++] = (struct flag){path, value};
	return CMD_OK;
}

static int add_assignment(struct flags *flags, char *text)
{
	char *equals = strchr(text, '=');

	if (!equals)
		return cmd_usage_error(NAME, "--set wants PATH=VALUE, as in log.level=debug");
	*equals = '\0';
	return add_flag(flags, text, equals + 1);
}

/* A plain number is seconds here, and milliseconds in text_parse_ms(). */
static int parse_duration(const char *text, uint64_t *ret_ns)
{
	uint64_t seconds, ms;

	if (text_parse_u64(text, &seconds) == 0 && seconds <= UINT64_MAX / 1000)
		ms = seconds * 1000;
	else if (text_parse_ms(text, &ms) < 0)
		ms = 0;
	if (ms == 0 || ms > UINT64_MAX / 1000000 / 2)
		return cmd_usage_error(NAME,
				       "--duration wants a time above zero, as in 30 or 10min");
	*ret_ns = ms * 1000000;
	return CMD_OK;
}

static int take_option(int option, struct flags *flags, struct run_options *options)
{
	switch (option) {
	case 'c':
		flags->config = optarg;
		return CMD_OK;
	case 'o':
		return add_flag(flags, "output.format", optarg);
	case 'p':
		return add_flag(flags, "output.per_call", "true");
	case 'd':
		return parse_duration(optarg, &options->duration_ns);
	case 'D':
		return add_flag(flags, "state.directory", optarg);
	case 'k':
		return add_flag(flags, "key.file", optarg);
	default:
		return add_assignment(flags, optarg);
	}
}

int cmd_run(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"config", required_argument, NULL, 'c'},
		{"output", required_argument, NULL, 'o'},
		{"per-call", no_argument, NULL, 'p'},
		{"duration", required_argument, NULL, 'd'},
		{"state-dir", required_argument, NULL, 'D'},
		{"key", required_argument, NULL, 'k'},
		{"set", required_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct flags flags = {0};
	struct run_options options = {.load = load, .arg = &flags};
	int option, r;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":h", long_options, NULL)) != -1) {
		if (option == 'h') {
			print_help();
			return cmd_finish_output(NAME, CMD_OK);
		}
		if (option == '?' || option == ':')
			return cmd_bad_option(NAME, option, argc, argv);
		r = take_option(option, &flags, &options);
		if (r != CMD_OK)
			return r;
	}
	if (optind != argc)
		return cmd_usage_error(NAME, "no argument is expected here");
	r = run_monitor(&options);
	if (r == -EINVAL && flags.status != CMD_OK)
		return flags.status;
	return r == 0 ? CMD_OK : r == -EINVAL ? CMD_USAGE : CMD_CANT;
}
