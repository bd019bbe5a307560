/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tokentrail tokens`: the inventory of this node, from the store.
 */
#include <getopt.h>
#include <inttypes.h>

#include "base/cleanup.h"
#include "cmd/listing.h"
#include "sinks/json.h"
#include "tokens/facts.h"

#define NAME "tokens"

static const char help[] =
	"Usage: tokentrail tokens [OPTIONS]\n"
	"\n"
	"Lists the tokens that were seen on this node, the one used last first. A row of the class\n"
	"'unreadable' is no token: a header field was sent by reference to an entry of an HTTP/2\n"
	"connection's table from before the sensor looked, and may have been one.\n"
	"\n"
	"  --json            one JSON object a line, as `tokentrail run --output json` prints them\n"
	"  --limit N         no more than N of them\n"
	"  --since DURATION  used within 30s, 5m, 2h, 7d\n"
	"  --class CLASS     of this class, for example github_pat_classic; also 'unreadable'\n"
	"  --token ID        this one; the beginning of an id is enough\n"
	"  --process NAME    used by this program: its name, or its executable's path\n"
	"  --store FILE      another store (default: store.db in the state directory)\n"
	"  --config FILE     another configuration file\n"
	"\n"
	"Examples:\n"
	"  sudo tokentrail tokens\n"
	"  sudo tokentrail tokens --since 1h --process curl\n"
	"  sudo tokentrail tokens --json | jq -r .token.id";

static int add_titles(struct listing *l)
{
	static const char *const titles[] = { "TOKEN", "CLASS", "KIND", "LENGTH", "USES",
					      "EGRESS", "INGRESS", "FIRST", "LAST", "EXPIRES", "SUBJECT",
					      "ISSUER" };
	int r = 0;

	l->columns = columns_new("<<<>>>><<<<<");
	if (!l->columns)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]) && r == 0; i++)
		r = columns_add(l->columns, "%s", titles[i]);
	return r;
}

/* What it says of itself; empty where that is not known. */
static int add_claims(struct columns *c, const struct facts *f)
{
	uint64_t end = f ? facts_number(f, FACT_token_expires) : 0;
	char time[LISTING_TIME_LEN] = "";
	int r;

	r = columns_add(c, "%s", end ? listing_time(end, time) : "");
	r = r ?: columns_add(c, "%s", f ? facts_text(f, FACT_token_subject) : "");
	return r ?: columns_add(c, "%s", f ? facts_text(f, FACT_token_issuer) : "");
}

static int add_row(struct listing *l, const struct token *t)
{
	char time[LISTING_TIME_LEN];
	struct columns *c = l->columns;
	int r;

	r = columns_add(c, "%s", t->token_id);
	if (t->unreadable) {
		r = r ?: columns_add(c, "%s", USE_UNREADABLE);
		r = r ?: columns_add(c, "%s", USE_UNREADABLE);
		r = r ?: columns_add(c, "%s", "");
	} else {
		r = r ?: columns_add(c, "%s", t->class_name);
		r = r ?: columns_add(c, "%s", t->kind);
		r = r ?: columns_add(c, "%" PRIu32, t->length);
	}
	r = r ?: columns_add(c, "%" PRIu64, t->uses);
	r = r ?: columns_add(c, "%" PRIu64, t->egress);
	r = r ?: columns_add(c, "%" PRIu64, t->ingress);
	r = r ?: columns_add(c, "%s", listing_time(t->first_ns, time));
	r = r ?: columns_add(c, "%s", listing_time(t->last_ns, time));
	return r ?: add_claims(c, t->facts);
}

static int on_token(void *arg, const struct token *t)
{
	struct listing *l = arg;
	char *line = NULL;
	int made;

	if (!l->json)
		return add_row(l, t);
	made = json_token(store_query_node(l->query), t, &line);
	return listing_json(l, made, line);
}

static int list(struct listing *l)
{
	int r = l->json ? 0 : add_titles(l);

	return r < 0 ? r : store_query_tokens(l->query, &l->filter, on_token, l);
}

int cmd_tokens(int argc, char **argv)
{
	return listing_command(NAME, help, list, argc, argv);
}
