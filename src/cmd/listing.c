/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options and output of the commands that read the store. An argument that should be an id may be
 * a token by mistake: it is never repeated in a message.
 */
#include "cmd/listing.h"

#include <getopt.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "sinks/json.h"

#define NS_PER_S UINT64_C(1000000000)
#define ID_MIN 8	/* "tt1_" and four characters */

/* ---- options ---- */

int listing_duration(const char *text, uint64_t *ret_ns)
{
	static const struct {
		const char *unit;
		uint64_t seconds;
	} units[] = { { "s", 1 }, { "m", 60 }, { "min", 60 }, { "h", 3600 }, { "d", 86400 } };
	uint64_t n = 0;
	const char *p;

	for (p = text; *p >= '0' && *p <= '9'; p++) {
		n = n * 10 + (uint64_t)(*p - '0');
		if (n > 1000000000)
			return -ERANGE;
	}
	if (p == text)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(p, units[i].unit) != 0)
			continue;
		if (n * units[i].seconds > UINT64_MAX / NS_PER_S)
			return -ERANGE;
		*ret_ns = n * units[i].seconds * NS_PER_S;
		return 0;
	}
	return -EINVAL;
}

static int set_since(struct listing *l, const char *text)
{
	struct timespec t;
	uint64_t ns, now;

	if (listing_duration(text, &ns) < 0)
		return cmd_usage_error(l->name, "--since takes a duration: 30s, 5m, 2h or 7d");
	clock_gettime(CLOCK_REALTIME, &t);
	now = (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
	l->filter.since_ns = ns < now ? now - ns : 0;
	return -1;
}

static int set_limit(struct listing *l, const char *text)
{
	if (text_parse_u64(text, &l->filter.limit) < 0 || !l->filter.limit)
		return cmd_usage_error(l->name, "--limit takes a number, at least 1");
	return -1;
}

bool listing_is_id(const char *text)
{
	size_t len = strlen(text);

	return !strncmp(text, "tt1_", 4) && len >= ID_MIN && len < TOKEN_ID_LEN &&
	       strspn(text + 4, "abcdefghijklmnopqrstuvwxyz234567") == len - 4;
}

static int set_token(struct listing *l, const char *text)
{
	if (!listing_is_id(text))
		return cmd_usage_error(l->name, "--token takes an id (tt1_...) or how it begins; "
				       "'tokentrail fingerprint' makes the id of a token");
	l->filter.token = text;
	return -1;
}

static int set_store(struct listing *l, const char *path)
{
	free(l->store);
	l->store = strdup(path);
	return l->store ? -1 : cmd_cant(l->name, "out of memory");
}

static int set_state(struct listing *l, const char *directory)
{
	free(l->store);
	if (asprintf(&l->store, "%s/store.db", directory) < 0)
		l->store = NULL;
	return l->store ? -1 : cmd_cant(l->name, "out of memory");
}

static int set_by(struct listing *l, const char *text)
{
	static const char *const names[] = { "process", "workload", "node" };

	for (int i = 0; i < 3; i++) {
		if (!strcmp(text, names[i])) {
			l->by = i;
			return -1;
		}
	}
	return cmd_usage_error(l->name, "--by takes process, workload or node");
}

void listing_default_since(struct listing *l, uint64_t seconds)
{
	struct timespec t;

	if (l->filter.since_ns)
		return;
	clock_gettime(CLOCK_REALTIME, &t);
	l->filter.since_ns = ((uint64_t)t.tv_sec - seconds) * NS_PER_S;
}

static int set_option(struct listing *l, int option, const char *value)
{
	switch (option) {
	case 'b':
		return set_by(l, value);
	case 'd':
		return set_state(l, value);
	case 'j':
		l->json = true;
		return -1;
	case 'n':
		return set_limit(l, value);
	case 's':
		return set_since(l, value);
	case 'c':
		l->filter.class_name = value;
		return -1;
	case 't':
		return set_token(l, value);
	case 'p':
		l->filter.process = value;
		return -1;
	default:
		return set_store(l, value);
	}
}

/* Where the store is when --store does not say. */
static int default_store(struct listing *l, const char *config_path)
{
	struct config c = { 0 };
	int status;

	if (l->store)
		return -1;
	status = cmd_load_config(l->name, config_path, &c);
	if (status == CMD_OK && asprintf(&l->store, "%s/store.db", c.state_dir) < 0) {
		l->store = NULL;
		status = cmd_cant(l->name, "out of memory");
	}
	config_done(&c);
	return status == CMD_OK ? -1 : status;
}

#define LISTING_ANY (LISTING_PLAIN | LISTING_TRACE | LISTING_COVERAGE)

static const struct {
	unsigned int kinds;
	struct option option;
} all_options[] = {
	{ LISTING_PLAIN, { "token", required_argument, NULL, 't' } },
	{ LISTING_PLAIN | LISTING_TRACE, { "class", required_argument, NULL, 'c' } },
	{ LISTING_COVERAGE, { "by", required_argument, NULL, 'b' } },
	{ LISTING_COVERAGE, { "state-dir", required_argument, NULL, 'd' } },
	{ LISTING_ANY, { "json", no_argument, NULL, 'j' } },
	{ LISTING_ANY, { "limit", required_argument, NULL, 'n' } },
	{ LISTING_ANY, { "since", required_argument, NULL, 's' } },
	{ LISTING_ANY, { "process", required_argument, NULL, 'p' } },
	{ LISTING_ANY, { "store", required_argument, NULL, 'S' } },
	{ LISTING_ANY, { "config", required_argument, NULL, 'C' } },
	{ LISTING_ANY, { "help", no_argument, NULL, 'h' } },
};
#define ALL_OPTIONS (sizeof(all_options) / sizeof(all_options[0]))

static void options_of(enum listing_kind kind, struct option to[static ALL_OPTIONS + 1])
{
	size_t n = 0;

	for (size_t i = 0; i < ALL_OPTIONS; i++)
		if (all_options[i].kinds & kind)
			to[n++] = all_options[i].option;
	to[n] = (struct option){ 0 };
}

int listing_options(struct listing *l, const char *name, const char *help, enum listing_kind kind,
		    int argc, char **argv)
{
	struct option options[ALL_OPTIONS + 1];
	const char *config = NULL;
	int option, status = -1;

	options_of(kind, options);
	*l = (struct listing){ .name = name };
	l->out = open_memstream(&l->text, &l->len);
	if (!l->out)
		return cmd_cant(name, "out of memory");
	opterr = 0;
	while (status < 0 && (option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (option == 'h') {
			puts(help);
			return cmd_finish_output(name, CMD_OK);
		}
		if (option == '?' || option == ':')
			return cmd_bad_option(name, option, argc, argv);
		if (option == 'C')
			config = optarg;
		else
			status = set_option(l, option, optarg);
	}
	return status < 0 ? default_store(l, config) : status;
}

/* ---- the store ---- */

int listing_open(struct listing *l)
{
	struct config_error error;

	if (store_query_open(l->store, &l->query, &error) < 0)
		return cmd_cant(l->name, "%s", error.text);
	return CMD_OK;
}

int listing_failed(struct listing *l, int error)
{
	if (error == -EIO)
		return cmd_cant(l->name, "can't read the store %s: %s; try again, and check the disk",
				l->store, store_query_error(l->query));
	return cmd_cant(l->name, "%s", strerror(-error));
}

int listing_print(struct listing *l, int status)
{
	store_query_free(l->query);
	l->query = NULL;
	if (fclose(l->out) != 0) {
		l->out = NULL;
		return cmd_cant(l->name, "out of memory");
	}
	l->out = NULL;
	fwrite(l->text, 1, l->len, stdout);	/* cmd_finish_output() looks for errors */
	return cmd_finish_output(l->name, status);
}

void listing_done(struct listing *l)
{
	store_query_free(l->query);
	columns_free(l->columns);
	if (l->out)
		fclose(l->out);
	free(l->text);
	free(l->store);
	*l = (struct listing){ 0 };
}

/* ---- output ---- */

const char *listing_time(uint64_t ns, char to[static LISTING_TIME_LEN])
{
	char text[JSON_TIME_LEN];

	json_time(ns, text);
	snprintf(to, LISTING_TIME_LEN, "%.19sZ", text);
	return to;
}

int listing_json(struct listing *l, int made, char *line)
{
	if (made < 0)
		return made;
	fprintf(l->out, "%s\n", line);
	free(line);
	return 0;
}

void listing_end_table(struct listing *l)
{
	if (l->columns)
		columns_print(l->columns, l->out);
	columns_free(l->columns);
	l->columns = NULL;
}

int listing_use_titles(struct listing *l, bool id)
{
	static const char *const titles[] = { "TOKEN", "CLASS", "LAST", "FIRST", "COUNT", "DIRECTION",
					      "PROCESS", "USER", "CONTAINER", "CARRIER", "REQUEST",
					      "STATUS", "SERVER", "PEER", "TLS" };
	int r = 0;

	l->columns = columns_new(id ? "<<<<><<><<<><<<" : "<<><<><<<><<<");
	if (!l->columns)
		return -ENOMEM;
	for (size_t i = id ? 0 : 2; i < sizeof(titles) / sizeof(titles[0]) && r == 0; i++)
		r = columns_add(l->columns, "%s", titles[i]);
	return r;
}

static int add_request(struct columns *c, const struct use *u)
{
	return columns_add(c, "%s%s%s%s%s%s%s", u->method, u->path[0] ? " " : "", u->path,
			   u->mcp_method[0] ? " " : "", u->mcp_method, u->mcp_name[0] ? " " : "",
			   u->mcp_name);
}

/* "200", "200 grpc 16", "grpc 16" */
static int add_status(struct columns *c, const struct use *u)
{
	char http[8] = "";

	if (u->status)
		snprintf(http, sizeof(http), "%u", u->status);
	if (!u->has_grpc)
		return columns_add(c, "%s", http);
	return columns_add(c, "%s%sgrpc %u", http, http[0] ? " " : "", u->grpc_status);
}

static int add_end(struct columns *c, const char *address, uint16_t port)
{
	if (!address[0] || !port)
		return columns_add(c, "%s", address);
	if (strchr(address, ':'))
		return columns_add(c, "[%s]:%u", address, port);
	return columns_add(c, "%s:%u", address, port);
}

static int add_who(struct columns *c, const struct use *u)
{
	const char *name = u->executable[0] ? u->executable : u->process_name;
	int r;

	r = u->pid ? columns_add(c, "%s(%u)", name, u->pid) : columns_add(c, "%s", name);
	r = r ?: u->uid == UINT32_MAX ? columns_add(c, "%s", "") : columns_add(c, "%u", u->uid);
	return r ?: columns_add(c, "%.12s", u->container_id);	/* as container tools show it */
}

int listing_use_row(struct listing *l, const struct use *u, bool id)
{
	struct columns *c = l->columns;
	char last[LISTING_TIME_LEN], first[LISTING_TIME_LEN];
	int r = 0;

	if (id) {
		r = columns_add(c, "%s", u->token_id);
		r = r ?: columns_add(c, "%s", u->unreadable ? USE_UNREADABLE : u->class_name);
	}
	r = r ?: columns_add(c, "%s", listing_time(u->last_ns, last));
	r = r ?: columns_add(c, "%s", listing_time(u->first_ns, first));
	r = r ?: columns_add(c, "%" PRIu64, u->count);
	r = r ?: columns_add(c, "%s", use_direction(u->dir));
	r = r ?: add_who(c, u);
	r = r ?: columns_add(c, "%s%s%s", u->carrier, u->scheme[0] ? " " : "", u->scheme);
	r = r ?: add_request(c, u);
	r = r ?: add_status(c, u);
	r = r ?: add_end(c, u->server_address, u->server_port);
	r = r ?: add_end(c, u->peer_ip, u->peer_port);
	return r ?: columns_add(c, "%s", use_tls_library(u->tls));
}

int listing_command(const char *name, const char *help, int (*list)(struct listing *l), int argc,
		    char **argv)
{
	_cleanup_(listing_done) struct listing l;
	int status, r;

	status = listing_options(&l, name, help, LISTING_PLAIN, argc, argv);
	if (status >= 0)
		return status;
	if (optind < argc)
		return cmd_usage_error(name, "takes no arguments; one token is --token ID");
	status = listing_open(&l);
	if (status != CMD_OK)
		return status;
	r = list(&l);
	if (r < 0)
		return listing_failed(&l, r);
	listing_end_table(&l);
	return listing_print(&l, CMD_OK);
}
