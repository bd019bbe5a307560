/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a store that the store sink wrote: every field comes back, every filter alone and
 * together, also while the sink writes.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/cleanup.h"
#include "sinks/sinks.h"
#include "sinks/store_query.h"
#include "coverage_full.h"
#include "store_v1.h"
#include "store_v2.h"
#include "store_v3.h"
#include "store_v4.h"

#define S 1000000000ull
#define T0 (1700000000 * S)

struct place {
	char dir[64], path[96];
	struct sink sink;
	uint64_t time;
};

static struct use make_use(const char *token, const char *process, uint64_t at)
{
	struct use u = { .key_id = "0123456789abcdef", .class_name = "github_pat",
			 .kind = "api_key", .scheme = "bearer", .carrier = "authorization",
			 .length = 40, .dir = TT_DIR_EGRESS, .count = 3, .first_ns = T0,
			 .last_ns = T0 + at * S, .method = "GET", .path = "/v1/x", .version = 11,
			 .status = 200, .pid = 100, .uid = 1000, .container_id = "c0ffee",
			 .server_address = "api.example.com", .server_port = 443,
			 .client_ip = "10.0.0.1", .peer_ip = "192.0.2.7", .peer_port = 443,
			 .tls = TT_TLS_OPENSSL };

	snprintf(u.token_id, sizeof(u.token_id), "tt1_%s", token);
	snprintf(u.process_name, sizeof(u.process_name), "%s", process);
	snprintf(u.executable, sizeof(u.executable), "/usr/bin/%s", process);
	return u;
}

static void put(struct place *p, const struct use *u)
{
	assert_int_equal(p->sink.ops->use(p->sink.self, u), 0);
	assert_int_equal(p->sink.ops->tick(p->sink.self, p->time += S), 0);
}

static int setup(void **state)
{
	static struct place p;
	struct config_error error;
	struct use u;

	p = (struct place){ 0 };
	snprintf(p.dir, sizeof(p.dir), "/tmp/tokentrail-query-XXXXXX");
	assert_non_null(mkdtemp(p.dir));
	snprintf(p.path, sizeof(p.path), "%s/store.db", p.dir);
	assert_int_equal(store_sink_new(p.path, 64 << 20, "n1", &p.sink, &error), 0);
	u = make_use("aaaa2222", "curl", 10);
	put(&p, &u);
	u = make_use("aaaa3333", "nginx", 30);
	u.dir = TT_DIR_INGRESS;
	u.class_name = "jwt";
	put(&p, &u);
	u = make_use("bbbb4444", "curl", 20);
	put(&p, &u);
	u = make_use("aaaa2222", "wget", 5);
	put(&p, &u);
	*state = &p;
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = { "", "-wal", "-shm" };
	struct place *p = *state;
	char name[128];

	if (p->sink.ops)
		p->sink.ops->free(p->sink.self);
	for (size_t i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "%s%s", p->path, names[i]);
		unlink(name);
	}
	return rmdir(p->dir);
}

static struct store_query *open_query(struct place *p)
{
	struct store_query *q = NULL;
	struct config_error error = { "" };

	if (store_query_open(p->path, &q, &error) < 0)
		fail_msg("%s", error.text);
	return q;
}

struct seen {
	char text[1024];
	int stop_after;
	struct use use;
	struct token token;
	char scheme[64], class_name[64];
};

static int on_token(void *arg, const struct token *t)
{
	struct seen *s = arg;

	s->token = *t;
	snprintf(s->class_name, sizeof(s->class_name), "%s", t->class_name);
	strcat(s->text, t->token_id + 4);
	strcat(s->text, " ");
	return s->stop_after && !--s->stop_after ? -ECANCELED : 0;
}

static int on_use(void *arg, const struct use *u)
{
	struct seen *s = arg;

	s->use = *u;
	snprintf(s->class_name, sizeof(s->class_name), "%s", u->class_name);
	snprintf(s->scheme, sizeof(s->scheme), "%s", u->scheme);
	strcat(s->text, u->process_name);
	strcat(s->text, " ");
	return s->stop_after && !--s->stop_after ? -ECANCELED : 0;
}

static void assert_tokens(struct place *p, struct store_filter f, const char *want)
{
	struct store_query *q = open_query(p);
	struct seen s = { 0 };

	assert_int_equal(store_query_tokens(q, &f, on_token, &s), 0);
	assert_string_equal(s.text, want);
	store_query_free(q);
}

static void assert_uses(struct place *p, struct store_filter f, const char *want)
{
	struct store_query *q = open_query(p);
	struct seen s = { 0 };

	assert_int_equal(store_query_uses(q, &f, on_use, &s), 0);
	assert_string_equal(s.text, want);
	store_query_free(q);
}

static void filters(void **state)
{
	struct place *p = *state;

	assert_tokens(p, (struct store_filter){ 0 }, "aaaa3333 bbbb4444 aaaa2222 ");
	assert_tokens(p, (struct store_filter){ .token = "tt1_aaaa" }, "aaaa3333 aaaa2222 ");
	assert_tokens(p, (struct store_filter){ .token = "tt1_aaaa2222" }, "aaaa2222 ");
	assert_tokens(p, (struct store_filter){ .token = "tt1_zzzz" }, "");
	assert_tokens(p, (struct store_filter){ .token = "' OR 1 --" }, "");
	assert_tokens(p, (struct store_filter){ .class_name = "jwt" }, "aaaa3333 ");
	assert_tokens(p, (struct store_filter){ .process = "curl" }, "bbbb4444 aaaa2222 ");
	assert_tokens(p, (struct store_filter){ .process = "/usr/bin/wget" }, "aaaa2222 ");
	assert_tokens(p, (struct store_filter){ .since_ns = T0 + 20 * S }, "aaaa3333 bbbb4444 ");
	assert_tokens(p, (struct store_filter){ .limit = 1 }, "aaaa3333 ");
	assert_tokens(p, (struct store_filter){ .token = "tt1_aaaa", .class_name = "github_pat",
						.process = "wget", .since_ns = T0 + 10 * S,
						.limit = 5 }, "aaaa2222 ");

	assert_uses(p, (struct store_filter){ 0 }, "nginx curl curl wget ");
	assert_uses(p, (struct store_filter){ .token = "tt1_aaaa2222" }, "curl wget ");
	assert_uses(p, (struct store_filter){ .class_name = "github_pat" }, "curl curl wget ");
	assert_uses(p, (struct store_filter){ .process = "/usr/bin/nginx" }, "nginx ");
	assert_uses(p, (struct store_filter){ .since_ns = T0 + 10 * S + 1 }, "nginx curl ");
	assert_uses(p, (struct store_filter){ .since_ns = T0 + 20 * S }, "nginx curl ");
	assert_uses(p, (struct store_filter){ .limit = 3 }, "nginx curl curl ");
	assert_uses(p, (struct store_filter){ .token = "tt1_aaaa", .class_name = "github_pat",
					      .process = "wget", .since_ns = T0, .limit = 5 },
		    "wget ");
}

static void every_field_of_a_use(void **state)
{
	struct place *p = *state;
	struct use want = make_use("cccc5555", "java", 40);
	struct store_query *q;
	struct seen s = { 0 };

	want.start_ns = want.cgroup = 0;	/* not kept */
	put(p, &want);
	q = open_query(p);
	assert_string_equal(store_query_node(q), "n1");
	assert_int_equal(store_query_uses(q, &(struct store_filter){ .limit = 1 }, on_use, &s), 0);
	assert_string_equal(s.class_name, want.class_name);
	assert_string_equal(s.scheme, want.scheme);
	/* The pointers are the query's own; all else is equal to the last byte. */
	s.use.class_name = want.class_name;
	s.use.kind = want.kind;
	s.use.scheme = want.scheme;
	assert_memory_equal(&s.use, &want, sizeof(want));

	memset(&s, 0, sizeof(s));
	assert_int_equal(store_query_tokens(q, &(struct store_filter){ .limit = 1 }, on_token, &s),
			 0);
	assert_string_equal(s.token.token_id, want.token_id);
	assert_string_equal(s.token.key_id, want.key_id);
	assert_string_equal(s.class_name, want.class_name);
	assert_int_equal(s.token.length, 40);
	assert_int_equal(s.token.first_ns, T0);
	assert_int_equal(s.token.last_ns, T0 + 40 * S);
	assert_int_equal(s.token.uses, 3);
	assert_int_equal(s.token.egress, 3);
	assert_int_equal(s.token.ingress, 0);
	store_query_free(q);
}

static void assert_comes_back(struct place *p, const struct use *want)
{
	struct store_query *q = open_query(p);
	struct seen s = { 0 };

	assert_int_equal(store_query_uses(q, &(struct store_filter){ .limit = 1 }, on_use, &s), 0);
	s.use.class_name = want->class_name;
	s.use.kind = want->kind;
	s.use.scheme = want->scheme;
	assert_memory_equal(&s.use, want, sizeof(*want));
	store_query_free(q);
}

static void calls_come_back(void **state)
{
	struct place *p = *state;
	struct use want = make_use("cccc5555", "java", 40);

	want.version = 20;
	want.has_grpc = true;
	put(p, &want);
	assert_comes_back(p, &want);
	want.last_ns += S;
	want.grpc_status = 255;
	put(p, &want);
	assert_comes_back(p, &want);
	want.last_ns += S;
	want.has_grpc = false;
	want.grpc_status = 0;
	memset(want.mcp_method, 'm', sizeof(want.mcp_method) - 1);
	memset(want.mcp_name, 'n', sizeof(want.mcp_name) - 1);
	put(p, &want);
	assert_comes_back(p, &want);
	/* Both tables are searched. */
	assert_uses(p, (struct store_filter){ .token = "tt1_cccc" }, "java java java ");
	assert_tokens(p, (struct store_filter){ .process = "java" }, "cccc5555 ");
	assert_uses(p, (struct store_filter){ 0 }, "java java java nginx curl curl wget ");
}

static void unreadable_comes_back(void **state)
{
	struct place *p = *state;
	struct use want = make_use("ffff7777", "node", 40);
	struct store_query *q;
	struct seen s = { 0 };

	want.unreadable = true;
	want.entry = UINT32_MAX;
	want.length = 0;
	want.class_name = want.kind = want.scheme = "";
	memset(want.carrier, 0, sizeof(want.carrier));
	put(p, &want);
	assert_comes_back(p, &want);
	q = open_query(p);
	assert_int_equal(store_query_tokens(q, &(struct store_filter){ .limit = 1 }, on_token, &s),
			 0);
	assert_true(s.token.unreadable);
	assert_int_equal(s.token.entry, UINT32_MAX);
	store_query_free(q);
	assert_tokens(p, (struct store_filter){ .class_name = "unreadable" }, "ffff7777 ");
	assert_uses(p, (struct store_filter){ .class_name = "unreadable" }, "node ");
	assert_tokens(p, (struct store_filter){ .class_name = "" }, "");
}

/* A store that no agent has upgraded yet, from a read-only place perhaps: read as it is. */
static void version_1_is_read(void **state)
{
	static const struct store_filter all = { .token = "tt1_aaaa", .class_name = "github_pat",
						 .process = "wget", .since_ns = 1, .limit = 5 };
	struct place *p = *state;
	struct store_query *q;
	struct seen s = { 0 };
	sqlite3 *db = NULL;
	char file[128];

	snprintf(file, sizeof(file), "%s/v1.db", p->dir);
	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, store_v1, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "INSERT INTO token VALUES ('tt1_aaaa2222', 'k', 'github_pat', "
				      "'api_key', 40, 1, 2, 7, 7, 0); INSERT INTO use VALUES ("
				      "'tt1_aaaa2222', 'egress', 'wget', '', 0, '', 'x', '', 'GET', '/', "
				      "200, '', 0, '', 0, 0, 7, 1, 2, 3, '', 11)", NULL, NULL, NULL),
			 SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(store_query_open(file, &q, &(struct config_error){ "" }), 0);
	for (int i = 0; i < 2; i++) {
		const struct store_filter *f = i ? &all : &(struct store_filter){ 0 };

		memset(&s, 0, sizeof(s));
		assert_int_equal(store_query_tokens(q, f, on_token, &s), 0);
		assert_string_equal(s.text, "aaaa2222 ");
		assert_int_equal(s.token.uses, 7);
		assert_false(s.token.unreadable);
		assert_int_equal(store_query_uses(q, f, on_use, &s), 0);
		assert_string_equal(s.text, "aaaa2222 wget ");
		assert_int_equal(s.use.count, 7);
		assert_false(s.use.has_grpc);
		assert_false(s.use.unreadable);
		assert_string_equal(s.use.mcp_name, "");
	}
	store_query_free(q);
	assert_int_equal(unlink(file), 0);
}

struct covered {
	struct coverage c;
	int rows;
};

static int on_coverage(void *arg, const struct coverage *c)
{
	struct covered *s = arg;

	s->c = *c;
	s->rows++;
	return 0;
}

static void put_coverage(struct place *p, const struct coverage *c)
{
	assert_int_equal(p->sink.ops->coverage(p->sink.self, c), 0);
	assert_int_equal(p->sink.ops->tick(p->sink.self, p->time += S), 0);
}

static int count_coverage(struct store_query *q, struct store_filter f)
{
	struct covered s = { .rows = 0 };

	assert_int_equal(store_query_coverage(q, &f, on_coverage, &s), 0);
	return s.rows;
}

static void coverage_comes_back(void **state)
{
	struct place *p = *state;
	struct coverage bare = { .pid = 7, .start_ns = 8, .uid = UINT32_MAX, .time_ns = 1 };
	struct covered s = { .rows = 0 };
	struct store_query *q;

	put_coverage(p, &coverage_full);
	put_coverage(p, &bare);
	q = open_query(p);
	assert_int_equal(store_query_coverage(q, &(struct store_filter){ .process = "nginx" },
					      on_coverage, &s), 0);
	assert_int_equal(s.rows, 1);
	assert_memory_equal(&s.c, &coverage_full, sizeof(s.c));
	s.rows = 0;
	assert_int_equal(store_query_coverage(q, &(struct store_filter){ .process = "" },
					      on_coverage, &s), 0);
	assert_int_equal(s.rows, 1);
	assert_memory_equal(&s.c, &bare, sizeof(s.c));
	/* It has not ended, so it is there however old; the other has. */
	assert_int_equal(count_coverage(q, (struct store_filter){ .since_ns = 5 }), 2);
	assert_int_equal(count_coverage(q, (struct store_filter){
				.since_ns = coverage_full.time_ns + 1 }), 1);
	assert_int_equal(count_coverage(q, (struct store_filter){ .limit = 1 }), 1);
	store_query_free(q);
}

/* What their tables lack is not there, and the rest is. */
static void versions_3_and_4_are_read(void **state)
{
	static const char *const made[] = { store_v3, store_v4 };
	struct place *p = *state;

	for (int i = 0; i < 2; i++) {
		struct covered c = { .rows = 0 };
		struct store_query *q = NULL;
		struct seen s = { 0 };
		sqlite3 *db = NULL;
		char file[128];

		snprintf(file, sizeof(file), "%s/v%d.db", p->dir, i + 3);
		assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
		assert_int_equal(sqlite3_exec(db, made[i], NULL, NULL, NULL), SQLITE_OK);
		assert_int_equal(sqlite3_exec(db, "INSERT INTO token VALUES ('tt1_aaaa2222', 'k', 'jwt', 'jwt', "
					      "40, 1, 2, 7, 7, 0, 1, 0); INSERT INTO cover VALUES (7, 8, 1, 'nginx', "
					      "'/x', 0, '', '', '', 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, "
					      "'covered', '', 5); INSERT INTO cover_library VALUES (7, 8, 0, 'openssl', "
					      "'3.0', '/l', 'symbols', 1, 9, 0, '', 1)", NULL, NULL, NULL), SQLITE_OK);
		if (i == 1)
			assert_int_equal(sqlite3_exec(db, "INSERT INTO fact (token, token_issuer) VALUES "
						      "('tt1_aaaa2222', 'me')", NULL, NULL, NULL), SQLITE_OK);
		sqlite3_close(db);
		assert_int_equal(store_query_open(file, &q, &(struct config_error){ "" }), 0);
		assert_int_equal(store_query_tokens(q, &(struct store_filter){ 0 }, on_token, &s), 0);
		assert_string_equal(s.text, "aaaa2222 ");
		assert_int_equal(store_query_coverage(q, &(struct store_filter){ 0 }, on_coverage, &c), 0);
		assert_int_equal(c.rows, 1);
		assert_int_equal(c.c.library[0].probes, 9);
		assert_int_equal(c.c.library[0].placed, 0);
		store_query_free(q);
		assert_int_equal(unlink(file), 0);
	}
}

static void version_2_is_read(void **state)
{
	struct place *p = *state;
	struct store_query *q = NULL;
	struct seen s = { 0 };
	char file[128];
	sqlite3 *db;

	snprintf(file, sizeof(file), "%s/v2.db", p->dir);
	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, store_v2, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "INSERT INTO token VALUES ('tt1_aaaa2222', 'k', 'jwt', 'jwt', "
				      "40, 1, 2, 7, 7, 0, 1, 0)", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(store_query_open(file, &q, &(struct config_error){ "" }), 0);
	assert_int_equal(store_query_tokens(q, &(struct store_filter){ 0 }, on_token, &s), 0);
	assert_string_equal(s.text, "aaaa2222 ");
	assert_int_equal(count_coverage(q, (struct store_filter){ 0 }), 0);
	store_query_free(q);
	assert_int_equal(unlink(file), 0);
}

static void nothing_known_comes_back_so(void **state)
{
	struct place *p = *state;
	struct use want = { .token_id = "tt1_dddd6666", .class_name = "", .kind = "", .scheme = "",
			    .dir = TT_DIR_INGRESS, .count = 1, .first_ns = T0 + 50 * S,
			    .last_ns = T0 + 50 * S, .uid = UINT32_MAX };
	struct store_query *q;
	struct seen s = { 0 };

	put(p, &want);
	q = open_query(p);
	assert_int_equal(store_query_uses(q, &(struct store_filter){ .limit = 1 }, on_use, &s), 0);
	assert_string_equal(s.class_name, "");
	s.use.class_name = want.class_name;
	s.use.kind = want.kind;
	s.use.scheme = want.scheme;
	assert_memory_equal(&s.use, &want, sizeof(want));
	store_query_free(q);
}

static void stops_when_told(void **state)
{
	struct store_query *q = open_query(*state);
	struct seen s = { .stop_after = 2 };

	assert_int_equal(store_query_uses(q, &(struct store_filter){ 0 }, on_use, &s), -ECANCELED);
	assert_string_equal(s.text, "nginx curl ");
	s = (struct seen){ .stop_after = 1 };
	assert_int_equal(store_query_tokens(q, &(struct store_filter){ 0 }, on_token, &s),
			 -ECANCELED);
	assert_string_equal(s.text, "aaaa3333 ");
	store_query_free(q);
}

/* The writer goes on while a reader is in the middle of its rows, and the reader sees one state. */
struct writing {
	struct place *p;
	int rows;
};

static int write_meanwhile(void *arg, const struct use *u)
{
	struct writing *w = arg;
	char token[16];
	struct use other;

	snprintf(token, sizeof(token), "eeee%d", w->rows++);
	other = make_use(token, "cron", 60);
	put(w->p, &other);
	return 0;
}

static void while_the_sink_writes(void **state)
{
	struct place *p = *state;
	struct store_query *q = open_query(p);
	struct writing w = { .p = p };
	struct seen s = { 0 };

	assert_int_equal(store_query_uses(q, &(struct store_filter){ 0 }, write_meanwhile, &w), 0);
	assert_int_equal(w.rows, 4);
	assert_int_equal(store_query_uses(q, &(struct store_filter){ .process = "cron" }, on_use, &s),
			 0);
	assert_string_equal(s.text, "cron cron cron cron ");
	store_query_free(q);
}

static void changes_nothing(void **state)
{
	struct place *p = *state;
	struct store_query *q;
	struct stat before, after;

	p->sink.ops->free(p->sink.self);
	p->sink.ops = NULL;
	assert_int_equal(stat(p->path, &before), 0);
	q = open_query(p);
	store_query_free(q);
	assert_int_equal(stat(p->path, &after), 0);
	assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
	assert_int_equal(before.st_size, after.st_size);
}

static void assert_refused(const char *path, int want, const char *text)
{
	struct config_error error = { "" };
	struct store_query *q = NULL;

	assert_int_equal(store_query_open(path, &q, &error), want);
	if (!strstr(error.text, text) || !strstr(error.text, path))
		fail_msg("%s", error.text);
	assert_null(q);
}

static void refused(void **state)
{
	struct place *p = *state;
	char path[128];
	sqlite3 *db = NULL;
	FILE *f;

	snprintf(path, sizeof(path), "%s/none.db", p->dir);
	assert_refused(path, -ENOENT, "start 'tokentrail run' first");
	assert_int_equal(access(path, F_OK), -1);	/* and not made */
	f = fopen(path, "w");
	for (int i = 0; i < 1000; i++)
		fputs("not a database\n", f);
	fclose(f);
	assert_refused(path, -EIO, "damaged or not a store");
	assert_int_equal(truncate(path, 0), 0);
	assert_refused(path, -EPROTONOSUPPORT, "is not a store of tokentrail");
	unlink(path);
	assert_int_equal(sqlite3_open(p->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 7", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_refused(p->path, -EPROTONOSUPPORT, "newer tokentrail (schema 7, this one knows 5)");
}

int main(void)
{
#define WITH_STORE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_STORE(filters),
		WITH_STORE(every_field_of_a_use),
		WITH_STORE(calls_come_back),
		WITH_STORE(unreadable_comes_back),
		WITH_STORE(version_1_is_read),
		WITH_STORE(version_2_is_read),
		WITH_STORE(versions_3_and_4_are_read),
		WITH_STORE(coverage_comes_back),
		WITH_STORE(nothing_known_comes_back_so),
		WITH_STORE(stops_when_told),
		WITH_STORE(while_the_sink_writes),
		WITH_STORE(changes_nothing),
		WITH_STORE(refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
