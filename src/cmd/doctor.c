/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tokentrail doctor`: what this node allows and what it lacks, each line with its remedy. Changes
 * nothing.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "cmd/cmd.h"
#include "config/budget.h"
#include "config/filters.h"
#include "monitor/bpf.h"
#include "monitor/checks.h"
#include "monitor/places.h"
#include "monitor/procs.h"
#include "monitor/state.h"
#include "tokens/id.h"

#define NAME "doctor"

struct report {
	bool json;
	bool failed;
};

static void print_help(void)
{
	puts("Usage: tokentrail doctor [--config FILE] [--json]\n"
	     "\n"
	     "Tries what 'tokentrail run' needs of this node and says what is missing and what to\n"
	     "do about it. Changes nothing. Run it as the user that runs the sensor (root).\n"
	     "\n"
	     "  --config FILE  also check this file (default: /etc/tokentrail/tokentrail.yaml\n"
	     "                 if it exists)\n"
	     "  --json         one JSON object per check: name, level, what, remedy\n"
	     "\n"
	     "Exit status: 0 all is well or only warnings, 2 wrong usage or configuration, 3 the\n"
	     "sensor can't run here.\n"
	     "\n"
	     "Examples:\n"
	     "  sudo tokentrail doctor\n"
	     "  sudo tokentrail doctor --config ./tokentrail.yaml\n"
	     "  sudo tokentrail doctor --json | jq -r 'select(.level!=\"ok\") | .remedy'");
}

/* Paths in the texts come from root's own configuration; control characters are shown as '?'. */
static void print_plain(const char *text)
{
	for (; *text; text++)
		putchar((unsigned char)*text < ' ' || *text == 127 ? '?' : *text);
}

static void show(struct report *report, const char *name, const struct check_result *result)
{
	static const char *const levels[] = {"ok", "warn", "fail"};

	report->failed = report->failed || result->level == CHECK_FAIL;
	if (report->json) {
		json_t *line = json_pack("{s:s, s:s, s:s}", "name", name, "level",
					 levels[result->level], "what", result->what);

		if (line && result->remedy[0])
			json_object_set_new(line, "remedy", json_string(result->remedy));
		if (!line || json_dumpf(line, stdout, JSON_COMPACT) < 0)
			fprintf(stderr, "tokentrail doctor: a line could not be written\n");
		putchar('\n');
		json_decref(line);
		return;
	}
	printf("%-5s ", levels[result->level]);
	print_plain(result->what);
	if (result->remedy[0]) {
		printf("\n      -> ");
		print_plain(result->remedy);
	}
	putchar('\n');
}

__attribute__((format(printf, 3, 4))) static void say(struct check_result *result,
						      enum check_level level, const char *fmt, ...)
{
	va_list args;

	*result = (struct check_result){.level = level};
	va_start(args, fmt);
	vsnprintf(result->what, sizeof(result->what), fmt, args);
	va_end(args);
}

__attribute__((format(printf, 2, 3))) static void advise(struct check_result *result,
							 const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(result->remedy, sizeof(result->remedy), fmt, args);
	va_end(args);
}

static void check_node(struct report *report)
{
	for (const struct check *c = checks_node; c->name; c++) {
		struct check_result result = {.level = CHECK_OK};

		c->run(&result);
		show(report, c->name, &result);
	}
}

static void check_tracefs(struct report *report)
{
	struct check_result result;

	if (access("/sys/kernel/tracing/events", F_OK) == 0 ||
	    access("/sys/kernel/debug/tracing/events", F_OK) == 0)
		say(&result, CHECK_OK, "tracefs is mounted (not needed, useful for a second look)");
	else
		say(&result, CHECK_OK, "tracefs is not mounted (not needed)");
	show(report, "tracefs", &result);
}

static void check_user(struct report *report, const struct config *config)
{
	struct check_result result;
	uid_t uid;
	gid_t gid;
	int r = state_user(config->agent_user, &uid, &gid);

	if (r == -EPERM) {
		say(&result, CHECK_FAIL, "agent.user is root");
		advise(&result, "name a user without privileges");
	} else if (r < 0) {
		say(&result, CHECK_FAIL, "no user for the agent: no such user and no free number");
		advise(&result, "useradd --system tokentrail");
	} else if (!getpwuid(uid)) {
		say(&result, CHECK_WARN,
		    "the agent will run as user id %u, because there is no user '%s'", uid,
		    config->agent_user);
		advise(&result, "useradd --system --no-create-home --shell /usr/sbin/nologin %s",
		       config->agent_user);
	} else {
		say(&result, CHECK_OK, "the agent will run as user '%s'", config->agent_user);
	}
	show(report, "agent_user", &result);
}

static void check_key(struct report *report, const struct config *config)
{
	const char *path = config->key_file;
	uint8_t fleet[FLEET_KEY_LEN];
	struct check_result result;
	int r = fleet_key_load(path, fleet);

	explicit_bzero(fleet, sizeof(fleet));
	if (r == 0) {
		say(&result, CHECK_OK, "the fleet key is in %s and only its owner can read it",
		    path);
	} else if (r == -ENOENT) {
		say(&result, CHECK_WARN, "there is no fleet key in %s; the first run makes one",
		    path);
		advise(&result,
		       "to share ids with other nodes, copy their key there first (mode 0600)");
	} else if (r == -EPERM) {
		say(&result, CHECK_FAIL, "%s can be read or written by others, or is not root's",
		    path);
		advise(&result, "chown root:root %s && chmod 600 %s", path, path);
	} else if (r == -EINVAL) {
		say(&result, CHECK_FAIL, "%s is not a fleet key", path);
		advise(&result, "restore it from another node, or move it away and run `tokentrail "
				"key new`");
	} else {
		say(&result, CHECK_FAIL, "%s: %s", path, strerror(-r));
		advise(&result, "run doctor as root, or fix key.file in the configuration");
	}
	show(report, "fleet_key", &result);
}

static void check_state(struct report *report, const struct config *config)
{
	const char *path = config->state_dir;
	struct check_result result;
	struct stat st;

	if (stat(path, &st) < 0 && errno == ENOENT) {
		say(&result, CHECK_OK, "%s does not exist yet; the first run makes it", path);
	} else if (access(path, W_OK | X_OK) < 0) {
		say(&result, CHECK_FAIL, "%s: %s", path, strerror(errno));
		advise(&result,
		       "run doctor as root, or give state.directory a place that can be written");
	} else if (!S_ISDIR(st.st_mode)) {
		say(&result, CHECK_FAIL, "%s is not a directory", path);
		advise(&result, "give state.directory a directory");
	} else if (st.st_mode & 077) {
		say(&result, CHECK_WARN, "%s can be read by others", path);
		advise(&result, "the next run sets its mode to 0700");
	} else {
		say(&result, CHECK_OK, "%s is there and private", path);
	}
	show(report, "state_directory", &result);
}

static void check_limits(struct report *report, const struct config *c)
{
	struct check_result result;

	say(&result, CHECK_OK, "room for %" PRIu64 " connections, %" PRIu64 " processes, %" PRIu64 " tokens, %" PRIu64
	    " waiting requests, %" PRIu64 " folded uses", c->connections, c->coverage, c->tokens, c->pending,
	    c->fold_rows);
	show(report, "limits", &result);
}

static bool have_cgroups(void)
{
	struct procs *procs;
	bool have;

	if (procs_new(1, 1, &procs) < 0)
		return false;
	have = procs_has_cgroups(procs);
	procs_free(procs);
	return have;
}

static bool have_pods(void)
{
	_cleanup_close_ int root = places_root();

	return root >= 0 && places_has_pods(root);
}

/* Whether what include and exclude ask for can be known here. */
static void check_filters(struct report *report, const struct config *c)
{
	struct check_result result;
	uint32_t by = filters_by(c);
	bool by_namespace = filters_by_namespace(c);

	if (!by)
		say(&result, CHECK_OK, "include and exclude are empty: every program is watched");
	else
		say(&result, CHECK_OK, "include and exclude decide by%s%s%s", by & TT_FILTER_BY_EXE ? " executables" : "",
		    c->include_cgroups.count || c->exclude_cgroups.count ? " cgroups" : "", by_namespace ? " namespaces" : "");
	if (by & TT_FILTER_BY_CGROUP && !have_cgroups()) {
		say(&result, CHECK_WARN, "include and exclude name cgroups or namespaces, and cgroup2 is not mounted here");
		advise(&result, "mount cgroup2; until then nothing is read of any program");
	} else if (by_namespace && !have_pods()) {
		say(&result, CHECK_WARN, "include and exclude name namespaces, and no pods' directories are here");
		advise(&result, "share the node's process ids, so that its /var/log/pods can be seen; nothing is read of pods "
				"whose namespace is not known");
	}
	show(report, "filters", &result);
}

/* False: the limits do not fit into limits.memory. */
static bool check_memory(struct report *report, struct config *config)
{
	char limit[32], total[32], kernel[32];
	struct config_error error = {""};
	struct check_result result;
	struct budget_kernel costs;
	struct budget b;
	int r = bpf_sensor_costs(&costs);

	if (r < 0) {
		say(&result, CHECK_FAIL, "the sizes of the kernel's tables can't be found: %s", strerror(-r));
	} else if (config_budget(config, &costs, &b, &error) < 0) {
		say(&result, CHECK_FAIL, "%s", error.text);
	} else {
		text_print_bytes(config->memory_bytes, limit, sizeof(limit));
		text_print_bytes(b.total >> 20 << 20, total, sizeof(total));
		text_print_bytes((b.bytes[BUDGET_KERNEL] + b.bytes[BUDGET_CONNECTIONS] + b.bytes[BUDGET_RING]) >> 20 << 20,
				 kernel, sizeof(kernel));
		say(&result, CHECK_OK, "limits.memory is %s: %s when all tables are full, some %s of it in the kernel",
		    limit, total, kernel);
	}
	show(report, "memory", &result);
	if (result.level == CHECK_OK)
		check_limits(report, config);
	return !error.text[0];
}

static int examine(struct report *report, const char *config_path)
{
	struct config config = {0};
	struct config_error error = {""};
	struct check_result result;
	bool fits;
	int r;

	check_node(report);
	check_tracefs(report);
	r = cmd_load_config(NAME, config_path, &config);
	if (r != CMD_OK) {
		say(&result, CHECK_FAIL,
		    "the configuration was refused (see the line above or on standard error)");
		show(report, "configuration", &result);
		config_done(&config);
		return r;
	}
	if (config_check(&config, &error) < 0 || config_tables(&config, &error) < 0) {
		say(&result, CHECK_FAIL, "%s", error.text);
		show(report, "configuration", &result);
		config_done(&config);
		return CMD_USAGE;
	}
	say(&result, CHECK_OK, "the configuration is right");
	show(report, "configuration", &result);
	check_user(report, &config);
	check_key(report, &config);
	check_state(report, &config);
	check_filters(report, &config);
	fits = check_memory(report, &config);
	config_done(&config);
	return !fits ? CMD_USAGE : report->failed ? CMD_CANT : CMD_OK;
}

int cmd_doctor(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct report report = {0};
	const char *config = NULL;
	int option, status;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (option == 'h') {
			print_help();
			return cmd_finish_output(NAME, CMD_OK);
		} else if (option == 'c') {
			config = optarg;
		} else if (option == 'j') {
			report.json = true;
		} else {
			return cmd_bad_option(NAME, option, argc, argv);
		}
	}
	if (optind != argc)
		return cmd_usage_error(NAME, "no argument is expected here");
	status = examine(&report, config);
	return cmd_finish_output(NAME, status);
}
