/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tokentrail uses`: who used which token where, from the store.
 */
#include <getopt.h>

#include "base/cleanup.h"
#include "cmd/listing.h"
#include "sinks/json.h"

#define NAME "uses"

static const char help[] =
	"Usage: tokentrail uses [OPTIONS]\n"
	"\n"
	"Lists every distinct use of a token on this node, the latest first: which program of which\n"
	"user and container, to which place, with which outcome, how often. The process id in\n"
	"brackets is that of the last one.\n"
	"\n"
	"  --json            one JSON object a line, as `tokentrail run --output json` prints them\n"
	"  --limit N         no more than N of them\n"
	"  --since DURATION  used within 30s, 5m, 2h, 7d\n"
	"  --class CLASS     of tokens of this class, for example github_pat_classic\n"
	"  --token ID        of this token; the beginning of an id is enough\n"
	"  --process NAME    by this program: its name, or its executable's path\n"
	"  --store FILE      another store (default: store.db in the state directory)\n"
	"  --config FILE     another configuration file\n"
	"\n"
	"Examples:\n"
	"  sudo tokentrail uses --since 5m\n"
	"  sudo tokentrail uses --process /usr/bin/curl --limit 20\n"
	"  sudo tokentrail uses --json | jq 'select(.http.status == 401)'";

static int on_use(void *arg, const struct use *u)
{
	struct listing *l = arg;
	char *line = NULL;
	int made;

	if (!l->json)
		return listing_use_row(l, u, true);
	made = json_use(store_query_node(l->query), u, &line);
	return listing_json(l, made, line);
}

static int list(struct listing *l)
{
	int r = l->json ? 0 : listing_use_titles(l, true);

	return r < 0 ? r : store_query_uses(l->query, &l->filter, on_use, l);
}

int cmd_uses(int argc, char **argv)
{
	return listing_command(NAME, help, list, argc, argv);
}
