/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scale TOKENS LIMIT DIR: as many distinct tokens as said through the agent's own inventory, folding and
 * store, with the memory limit that is given; every tenth token comes back later, when it has been
 * forgotten in memory. Fails unless memory keeps within its bound, the store has them all with all their uses, those that came back
 * went on with their first use, and what was forgotten was counted. Prints one line with the peak of
 * resident memory.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#include "agent/fold.h"
#include "sinks/sinks.h"
#include "tokens/inventory.h"
#include "tokens/workload.h"

#define S UINT64_C(1000000000)
#define BOUND_MIB 36		/* of src/config/budget.c for 128 MiB: tokens, fold rows, the store; and the libraries */
#define PER_SECOND 2000		/* of the clock that the tables see */
#define FOLD_ROWS 7424		/* those of 128 MiB */
#define STORE_BYTES (UINT64_C(16) << 30)

static struct sink store;
static uint64_t restarted;	/* rows that said less than was known before */

static void fail(const char *what, int64_t got, int64_t want)
{
	printf("not ok scale: %s: %" PRId64 ", not %" PRId64 "\n", what, got, want);
	exit(1);
}

static void on_token(void *ctx, const struct token *t)
{
	const uint64_t *again = ctx;

	if (*again && t->first_ns >= *again)
		restarted++;
	store.ops->token(store.self, t);
}

static void on_use(void *ctx, const struct use *u)
{
	store.ops->use(store.self, u);
}

static bool on_recall(void *ctx, struct token *t, struct facts *ret_facts)
{
	return store.ops->recall(store.self, t, ret_facts);
}

static int64_t ask(const char *path, const char *sql)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;
	int64_t n = -1;

	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
	    sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
		n = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return n;
}

struct feed {
	struct inventory *inventory;
	struct fold *fold;
	struct workload *work;
	uint64_t now_ns, real_ns, fed;
};

static void feed_one(struct feed *f, uint64_t number)
{
	struct use u = { .key_id = "0123456789abcdef", .class_name = "jwt", .kind = "oauth_access",
			 .scheme = "bearer", .carrier = "authorization", .length = 900,
			 .dir = TT_DIR_EGRESS, .count = 1, .method = "GET", .path = "/v1/items",
			 .version = 11, .status = 200, .pid = 100, .process_name = "app",
			 .executable = "/usr/bin/app", .server_address = "api.example.com",
			 .server_port = 443, .peer_ip = "192.0.2.7", .peer_port = 443,
			 .tls = TT_TLS_OPENSSL, .work = f->work };

	snprintf(u.token_id, sizeof(u.token_id), "tt1_%032" PRIx64, number);
	u.first_ns = u.last_ns = f->real_ns + f->now_ns;
	inventory_use(f->inventory, &u, f->now_ns);
	fold_use(f->fold, &u, f->now_ns);
	if (++f->fed % (PER_SECOND / 10))
		return;
	f->now_ns += S / 10;
	inventory_set_clock(f->inventory, f->real_ns + f->now_ns);
	fold_tick(f->fold, f->now_ns);
	inventory_tick(f->inventory, f->now_ns);
	store.ops->tick(store.self, f->now_ns);
}

int main(int argc, char **argv)
{
	uint64_t tokens = argc == 4 ? strtoull(argv[1], NULL, 10) : 0, again_ns = 0, again = 0;
	struct feed f = { .now_ns = S, .real_ns = (uint64_t)time(NULL) * S, .work = workload_new() };
	size_t limit = argc == 4 ? strtoull(argv[2], NULL, 10) : 0;
	struct config_error error = { "" };
	struct rusage used;
	char path[512];
	int64_t got;

	if (!tokens || !limit || !f.work)
		return 2;
	snprintf(f.work->kind, sizeof(f.work->kind), "unit");
	snprintf(f.work->name, sizeof(f.work->name), "app.service");
	f.work->confidence = CONFIDENCE_HIGH;
	snprintf(path, sizeof(path), "%s/store.db", argv[3]);
	if (store_sink_new(path, STORE_BYTES, "scale", &store, &error) < 0 ||
	    inventory_new(limit, INVENTORY_INTERVAL_NS, on_token, &again_ns, &f.inventory) < 0 ||
	    fold_new(FOLD_ROWS, S, on_use, NULL, &f.fold) < 0)
		return 3;
	inventory_set_recall(f.inventory, on_recall);
	for (uint64_t i = 0; i < tokens; i++)
		feed_one(&f, i);
	again_ns = f.real_ns + f.now_ns;
	/* The newest have not been forgotten, and are left alone. */
	for (uint64_t i = 0; i + limit < tokens; i += 10, again++)
		feed_one(&f, i);
	fold_flush(f.fold);
	inventory_flush(f.inventory);
	if (store.ops->finish(store.self, 60000) < 0)
		fail("the store's end", 1, 0);
	getrusage(RUSAGE_SELF, &used);
	store.ops->free(store.self);

	got = ask(path, "SELECT count(*) FROM token");
	if (got != (int64_t)tokens)
		fail("tokens in the store", got, (int64_t)tokens);
	got = ask(path, "SELECT sum(uses) FROM token");
	if (got != (int64_t)f.fed)
		fail("uses in the store", got, (int64_t)f.fed);
	got = ask(path, "SELECT count(*) FROM fact WHERE owner_name = 'app.service'");
	if (got != (int64_t)tokens)
		fail("owners in the store", got, (int64_t)tokens);
	if (restarted)
		fail("tokens whose story began anew", (int64_t)restarted, 0);
	if (agent_drops[TT_DROP_tokens_full] != tokens + again - limit)
		fail("forgotten and counted", (int64_t)agent_drops[TT_DROP_tokens_full],
		     (int64_t)(tokens + again - limit));
	if (agent_drops[TT_DROP_store_failed])
		fail("lost on the way to the store", (int64_t)agent_drops[TT_DROP_store_failed], 0);
	if (used.ru_maxrss / 1024 > BOUND_MIB)
		fail("peak of resident memory, MiB", used.ru_maxrss / 1024, BOUND_MIB);
	printf("ok scale: %" PRIu64 " tokens, %" PRIu64 " again, %zu in memory, peak %ld MiB resident, "
	       "%.1f s of CPU\n", tokens, again, limit, used.ru_maxrss / 1024,
	       (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
	       (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
	inventory_free(f.inventory);
	fold_free(f.fold);
	workload_drop(f.work);
	return 0;
}
