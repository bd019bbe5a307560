/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tokentrail mints`: who asked whom for tokens, from the store.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cmd/listing.h"
#include "sinks/json.h"

#define NAME "mints"

static const char help[] =
	"Usage: tokentrail mints [OPTIONS]\n"
	"\n"
	"Lists the requests on this node that minted, revoked or checked a token, the latest first: who\n"
	"asked whom, with which credential, what came of it. Ids are those of the tokens' uses. Where both\n"
	"ends run here a request stands twice, by its direction.\n"
	"\n"
	"  --json            one JSON object a line, as `tokentrail run --output json` prints them, with what\n"
	"                    the store keeps of it\n"
	"  --limit N         no more than N of them\n"
	"  --since DURATION  within 30s, 5m, 2h, 7d\n"
	"  --class CLASS     with a token of this class, for example oauth_opaque\n"
	"  --token ID        that minted, used, revoked or checked this token; the beginning is enough\n"
	"  --process NAME    asked by this program: its name, or its executable's path\n"
	"  --store FILE      another store (default: store.db in the state directory)\n"
	"  --config FILE     another configuration file\n"
	"\n"
	"Examples:\n"
	"  sudo tokentrail mints --since 1h\n"
	"  sudo tokentrail mints --token tt1_c5xlq2wd\n"
	"  sudo tokentrail mints --json | jq 'select(.outcome == \"failed\")'";

static int titles(struct listing *l)
{
	static const char *const names[] = { "TIME", "ACTION", "OUTCOME", "ISSUER", "HOW", "DIRECTION", "PROCESS",
					     "USER", "CONTAINER", "WITH", "TOKENS", "NOTE" };
	int r = 0;

	l->columns = columns_new("<<<<<<<><<<<");
	if (!l->columns)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && r == 0; i++)
		r = columns_add(l->columns, "%s", names[i]);
	return r;
}

/* Ids of the tokens that the request was made with, or of those that it was about. */
static int add_tokens(struct columns *c, const struct mint *m, bool parents)
{
	char text[MINT_TOKENS_MAX * (TOKEN_ID_LEN + 64)] = "";
	size_t n = 0;

	for (size_t i = 0; i < m->tokens; i++) {
		const struct mint_token *t = &m->token[i];

		if ((t->part == MINT_PART_PARENT) != parents)
			continue;
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s%s%s", n ? " " : "", t->id,
				      parents ? "" : " ", parents ? "" : t->role);
	}
	return columns_add(c, "%s", text);
}

static int add_row(struct listing *l, const struct mint *m)
{
	const struct use *u = &m->request;
	struct columns *c = l->columns;
	char time[LISTING_TIME_LEN];
	int r;

	r = columns_add(c, "%s", listing_time(m->time_ns, time));
	r = r ?: columns_add(c, "%s", mint_action(m->action));
	r = r ?: columns_add(c, "%s", mint_outcome(m));
	r = r ?: columns_add(c, "%s", m->issuer);
	r = r ?: columns_add(c, "%s%s%s", m->method, m->grant[0] ? " " : "", m->grant);
	r = r ?: columns_add(c, "%s", use_direction(u->dir));
	r = r ?: columns_add(c, "%s(%u)", u->executable[0] ? u->executable : u->process_name, u->pid);
	r = r ?: u->uid == UINT32_MAX ? columns_add(c, "%s", "") : columns_add(c, "%u", u->uid);
	r = r ?: columns_add(c, "%.12s", u->container_id);
	r = r ?: add_tokens(c, m, true);
	r = r ?: add_tokens(c, m, false);
	return r ?: columns_add(c, "%s", m->note[0] ? m->note : m->error);
}

static int on_mint(void *arg, const struct mint *m)
{
	struct listing *l = arg;
	char *line = NULL;
	int made;

	if (!l->json)
		return add_row(l, m);
	made = json_mint(store_query_node(l->query), m, &line);
	return listing_json(l, made, line);
}

static int list(struct listing *l)
{
	int r = l->json ? 0 : titles(l);

	return r < 0 ? r : store_query_mints(l->query, &l->filter, on_mint, l);
}

int cmd_mints(int argc, char **argv)
{
	return listing_command(NAME, help, list, argc, argv);
}
