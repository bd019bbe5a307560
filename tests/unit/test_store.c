/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SQLite store: sums, a full store, a full disk, a kill in the middle, files that are not ours.
 * What it wrote is read with SQLite itself, not with our own queries.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "sinks/sinks.h"
#include "tokens/workload.h"
#include "tokens/facts.h"
#include "coverage_full.h"
#include "store_v1.h"

#define S 1000000000ull
#define MIB (1024ull * 1024)
#define T0 (1700000000 * S)

struct place {
	char dir[64], path[96], log[96];
	int stderr_fd;
	uint64_t dropped;	/* store_failed when the test began */
};

static int setup(void **state)
{
	static struct place p;
	int fd;

	snprintf(p.dir, sizeof(p.dir), "/tmp/tokentrail-store-XXXXXX");
	assert_non_null(mkdtemp(p.dir));
	snprintf(p.path, sizeof(p.path), "%s/store.db", p.dir);
	snprintf(p.log, sizeof(p.log), "%s/log", p.dir);
	p.stderr_fd = dup(STDERR_FILENO);
	fd = open(p.log, O_CREAT | O_RDWR | O_APPEND, 0600);
	assert_true(fd >= 0);
	dup2(fd, STDERR_FILENO);
	close(fd);
	p.dropped = agent_drops[TT_DROP_store_failed];
	*state = &p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	static const char *const names[] = { "", "-wal", "-shm" };
	char name[128];

	dup2(p->stderr_fd, STDERR_FILENO);
	close(p->stderr_fd);
	for (size_t i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "%s%s", p->path, names[i]);
		unlink(name);
	}
	unlink(p->log);
	return rmdir(p->dir);
}

/* How often the log has this text; the log is then empty. */
static int logged(struct place *p, const char *text)
{
	char buf[8192] = "";
	int fd = open(p->log, O_RDWR), n = 0;

	assert_true(fd >= 0);
	assert_true(read(fd, buf, sizeof(buf) - 1) >= 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	close(fd);
	for (char *at = buf; (at = strstr(at, text)); at++)
		n++;
	return n;
}

static struct use make_use(int token, int path)
{
	struct use u = { .key_id = "0123456789abcdef", .class_name = "github_pat",
			 .kind = "api_key", .scheme = "bearer", .carrier = "authorization",
			 .length = 40, .dir = TT_DIR_EGRESS, .count = 1, .first_ns = T0,
			 .last_ns = T0, .method = "GET", .version = 11, .status = 200, .pid = 100,
			 .process_name = "curl", .executable = "/usr/bin/curl", .uid = 1000,
			 .container_id = "c0ffee", .server_address = "api.example.com",
			 .server_port = 443, .client_ip = "10.0.0.1", .client_port = 50000,
			 .peer_ip = "192.0.2.7", .peer_port = 443, .tls = TT_TLS_OPENSSL };

	snprintf(u.token_id, sizeof(u.token_id), "tt1_%08uabcdefghijklmnopqrstuv",
		 (unsigned int)token % 100000000);
	snprintf(u.path, sizeof(u.path), "/v1/%d", path);
	return u;
}

static struct sink open_store(struct place *p, uint64_t max)
{
	struct config_error error = { "" };
	struct sink s = { 0 };
	int r = store_sink_new(p->path, max, "n1", &s, &error);

	if (r < 0)
		fail_msg("%d %s", r, error.text);
	return s;
}

static void close_store(struct sink *s, int want)
{
	assert_int_equal(s->ops->finish(s->self, 1000), want);
	s->ops->free(s->self);
}

/* The first column of the first row. */
static int64_t get(struct place *p, const char *sql, char text[static 256])
{
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;
	int64_t n;

	assert_int_equal(sqlite3_open_v2(p->path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	n = sqlite3_column_int64(st, 0);
	snprintf(text, 256, "%s", sqlite3_column_type(st, 0) == SQLITE_NULL ? "NULL" :
		 (const char *)sqlite3_column_text(st, 0));
	sqlite3_finalize(st);
	sqlite3_close(db);
	return n;
}

static int64_t number(struct place *p, const char *sql)
{
	char text[256];

	return get(p, sql, text);
}

static void assert_text(struct place *p, const char *sql, const char *want)
{
	char text[256];

	get(p, sql, text);
	assert_string_equal(text, want);
}

static void run_sql(struct place *p, const char *sql)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(p->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void sums(void **state)
{
	struct place *p = *state;
	struct sink s = open_store(p, 64 * MIB);
	struct use u = make_use(1, 1);

	u.count = 5;
	s.ops->use(s.self, &u);
	s.ops->tick(s.self, S);
	u.count = 2;	/* into a row of the file */
	u.pid = 200;
	u.last_ns = T0 + S;
	s.ops->use(s.self, &u);
	u.count = 10;	/* and once more before that is written; older than both */
	u.pid = 300;
	u.first_ns = u.last_ns = T0 - S;
	u.client_port = 1;
	s.ops->use(s.self, &u);
	s.ops->tick(s.self, 2 * S);
	u = make_use(1, 2);	/* another row of the same token */
	u.dir = TT_DIR_INGRESS;
	u.peer_port = 50001;
	s.ops->use(s.self, &u);
	u.peer_port = 50002;	/* the client's port makes no other row */
	s.ops->use(s.self, &u);
	u = make_use(2, 1);
	s.ops->use(s.self, &u);
	close_store(&s, 0);

	assert_int_equal(number(p, "SELECT count(*) FROM use"), 3);
	assert_int_equal(number(p, "SELECT count(*) FROM token"), 2);
	assert_int_equal(number(p, "SELECT count FROM use WHERE path = '/v1/1' AND token LIKE "
				   "'tt1_00000001%'"), 17);
	assert_int_equal(number(p, "SELECT pid FROM use WHERE count = 17"), 200);
	assert_int_equal(number(p, "SELECT first FROM use WHERE count = 17"), T0 - S);
	assert_int_equal(number(p, "SELECT last FROM use WHERE count = 17"), T0 + S);
	assert_int_equal(number(p, "SELECT peer_port FROM use WHERE direction = 'ingress'"), 0);
	assert_int_equal(number(p, "SELECT count FROM use WHERE direction = 'ingress'"), 2);
	assert_text(p, "SELECT uses || ' ' || egress || ' ' || ingress || ' ' || (last - first) FROM "
		       "token WHERE token LIKE 'tt1_00000001%'", "19 17 2 2000000000");
	assert_int_equal(number(p, "SELECT sum(uses) FROM token"),
			 number(p, "SELECT sum(count) FROM use"));
	assert_text(p, "PRAGMA integrity_check", "ok");
	assert_text(p, "PRAGMA journal_mode", "wal");
	assert_int_equal(number(p, "PRAGMA user_version"), 5);
	assert_text(p, "SELECT value FROM meta WHERE name = 'schema'", "5");
	assert_text(p, "SELECT value FROM meta WHERE name = 'node'", "n1");
}

/* gRPC calls and MCP requests: what they have more is part of the key, and they add up as any. */
static void calls(void **state)
{
	struct place *p = *state;
	struct sink s = open_store(p, 64 * MIB);
	struct use plain = make_use(1, 1), call = plain, u;
	int rows = 1;

	call.has_grpc = true;
	call.version = 20;
	s.ops->use(s.self, &plain);
	s.ops->use(s.self, &call);
#define CALL(change)                                                                               \
	(u = call, change, s.ops->use(s.self, &u), s.ops->tick(s.self, (uint64_t)++rows * S))
	CALL(u.grpc_status = 16);
	CALL(u.grpc_status = 255);
	CALL(strcpy(u.mcp_method, "tools/call"));
	CALL(strcpy(u.mcp_name, "search"));
	CALL((u.has_grpc = false, strcpy(u.mcp_method, "tools/call")));
	CALL((u.has_grpc = false, strcpy(u.mcp_name, "search")));
	CALL(u.status = 0);
	CALL(u.path[0] = 'x');
	assert_int_equal(number(p, "SELECT count(*) FROM use"), 1);
	assert_int_equal(number(p, "SELECT count(*) FROM call"), rows);
	for (int i = 0; i < 2; i++) {	/* once in memory, once in the file */
		call.count = 10;
		call.pid = 7;
		call.last_ns++;
		s.ops->use(s.self, &call);
		s.ops->use(s.self, &call);
		s.ops->tick(s.self, (uint64_t)(100 + i) * S);
	}
	close_store(&s, 0);
	assert_int_equal(number(p, "SELECT count(*) FROM call"), rows);
	assert_text(p, "SELECT count || ' ' || pid || ' ' || (last - first) || ' ' || http_version FROM "
		       "call WHERE grpc_status = 0 AND mcp_method = '' AND mcp_name = '' AND status = "
		       "200 AND path = '/v1/1'", "41 7 2 20");
	assert_int_equal(number(p, "SELECT uses FROM token"), rows + 1 + 40);
	assert_int_equal(number(p, "SELECT sum(count) FROM uses"), rows + 1 + 40);
	assert_text(p, "SELECT http_version || ' ' || grpc_status || coalesce(mcp_method, ' -') FROM "
		       "uses WHERE grpc_status = 16", "2 16 -");
	assert_text(p, "SELECT mcp_method || mcp_name FROM (SELECT max(mcp_method) AS mcp_method, "
		       "max(mcp_name) AS mcp_name FROM uses)", "tools/callsearch");
	assert_text(p, "SELECT coalesce(grpc_status, mcp_method, mcp_name) FROM uses WHERE "
		       "http_version = '1.1'", "NULL");
}

static void unreadable(void **state)
{
	struct place *p = *state;
	struct sink s = open_store(p, 64 * MIB);
	struct use u = make_use(1, 1);

	s.ops->use(s.self, &u);
	u = make_use(2, 1);
	u.unreadable = true;
	u.entry = 61;
	u.length = 0;
	u.class_name = u.kind = u.scheme = "";
	u.carrier[0] = '\0';
	s.ops->use(s.self, &u);
	s.ops->tick(s.self, S);
	s.ops->use(s.self, &u);
	close_store(&s, 0);
	assert_int_equal(number(p, "SELECT count(*) FROM tokens WHERE readable"), 1);
	assert_text(p, "SELECT uses || ' ' || entry || coalesce(class, kind, length, ' -') FROM tokens "
		       "WHERE NOT readable", "2 61 -");
	assert_text(p, "SELECT count || ' ' || entry || path || coalesce(class, carrier, scheme, ' -') "
		       "FROM uses WHERE NOT readable", "2 61/v1/1 -");
	assert_text(p, "SELECT coalesce(entry, '-') FROM uses WHERE readable", "-");
}

/* A store as version 1 left it, with a row that goes on being counted. */
static void make_v1(struct place *p, const struct use *u)
{
	char sql[2048];

	run_sql(p, store_v1);
	snprintf(sql, sizeof(sql),
		 "PRAGMA journal_mode = WAL; BEGIN;"
		 "INSERT INTO meta VALUES ('node', 'before');"
		 "INSERT INTO loss VALUES ('ring_full', 5, 1, 2);"
		 "INSERT INTO token VALUES ('%s', '%s', '%s', '%s', 40, %llu, %llu, 7, 7, 0);"
		 "INSERT INTO use VALUES ('%s', 'egress', '%s', '%s', 1000, '%s', '%s', '%s', '%s', "
		 "'%s', 200, '%s', 443, '%s', 443, 1, 7, %llu, %llu, 100, '%s', 11); COMMIT",
		 u->token_id, u->key_id, u->class_name, u->kind, T0 - S, T0 - S, u->token_id,
		 u->process_name, u->executable, u->container_id, u->carrier, u->scheme, u->method,
		 u->path, u->server_address, u->peer_ip, T0 - S, T0 - S, u->client_ip);
	run_sql(p, sql);
}

static void upgrades_in_place(void **state)
{
	struct place *p = *state;
	struct use u = make_use(1, 1);
	struct sink s;

	make_v1(p, &u);
	for (int i = 0; i < 2; i++) {	/* the second time there is nothing left to do */
		s = open_store(p, 64 * MIB);
		close_store(&s, 0);
		assert_int_equal(number(p, "PRAGMA user_version"), 5);
	}
	s = open_store(p, 64 * MIB);
	u.count = 10;
	s.ops->use(s.self, &u);
	u.has_grpc = true;
	u.grpc_status = 16;
	u.count = 100;
	s.ops->use(s.self, &u);
	close_store(&s, 0);
	assert_text(p, "SELECT group_concat(value, ' ') FROM (SELECT value FROM meta ORDER BY name)",
		    "n1 5");
	assert_text(p, "PRAGMA integrity_check", "ok");
	assert_int_equal(number(p, "SELECT count FROM use"), 17);
	assert_int_equal(number(p, "SELECT first FROM use"), T0 - S);
	assert_int_equal(number(p, "SELECT uses FROM tokens WHERE readable"), 117);
	assert_int_equal(number(p, "SELECT count FROM losses"), 5);
	assert_int_equal(number(p, "SELECT count FROM uses WHERE grpc_status = 16"), 100);
	assert_int_equal(number(p, "SELECT sum(count) FROM uses WHERE readable"), 117);
}

/* Every column of the key makes another row, nothing else does. */
static void what_makes_a_row(void **state)
{
	struct place *p = *state;
	struct sink s = open_store(p, 64 * MIB);
	struct use base = make_use(1, 1), u;
	int rows = 1;

	s.ops->use(s.self, &base);
#define OTHER(change)                                                                              \
	(u = base, change, s.ops->use(s.self, &u), s.ops->tick(s.self, (uint64_t)++rows * S))
	OTHER(u.dir = TT_DIR_INGRESS);
	OTHER(u.process_name[0] = 'x');
	OTHER(u.executable[0] = 'x');
	OTHER(u.uid = 0);
	OTHER(u.uid = UINT32_MAX);
	OTHER(u.container_id[0] = '\0');
	OTHER(u.carrier[0] = 'x');
	OTHER(u.scheme = "");
	OTHER(u.method[0] = 'x');
	OTHER(u.path[0] = 'x');
	OTHER(u.status = 0);
	OTHER(u.server_address[0] = 'x');
	OTHER(u.server_port = 0);
	OTHER(u.peer_ip[0] = 'x');
	OTHER(u.peer_port = 0);
	OTHER(u.tls = TT_TLS_NONE);
	assert_int_equal(number(p, "SELECT count(*) FROM use"), rows);
	u = base;
	u.pid = 1;
	u.client_ip[0] = 'x';
	u.client_port = 1;
	u.version = 10;
	u.start_ns = u.cgroup = 7;
	s.ops->use(s.self, &u);
	close_store(&s, 0);
	assert_int_equal(number(p, "SELECT count(*) FROM use"), rows);
}

static void once_a_second_or_1000_rows(void **state)
{
	struct place *p = *state;
	struct sink s = open_store(p, 64 * MIB);
	struct use u = make_use(1, 1);

	s.ops->tick(s.self, S);
	s.ops->use(s.self, &u);
	s.ops->tick(s.self, S + S / 2);
	assert_int_equal(number(p, "SELECT count(*) FROM use"), 0);
	s.ops->tick(s.self, 2 * S);
	assert_int_equal(number(p, "SELECT count(*) FROM use"), 1);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(number(p, "SELECT count(*) FROM use"), 1);
		u = make_use(2, i);
		s.ops->use(s.self, &u);
		if (i < 990)	/* reading each time would take long */
			i += 9;
	}
	for (int i = 0; i < 1000; i++) {
		u = make_use(2, i);
		s.ops->use(s.self, &u);
	}
	assert_int_equal(number(p, "SELECT count(*) FROM use"), 1001);
	close_store(&s, 0);
}

static void losses(void **state)
{
	struct place *p = *state;
	struct loss l = { .reason = "ring_full", .count = 5, .added = 5, .time_ns = T0 };
	struct sink s = open_store(p, 64 * MIB);

	s.ops->loss(s.self, &l);
	l.added = 2;
	l.time_ns += S;
	s.ops->loss(s.self, &l);
	s.ops->tick(s.self, S);
	close_store(&s, 0);
	s = open_store(p, 64 * MIB);	/* the agent's totals begin anew, the store's don't */
	l.added = 1;
	l.time_ns += S;
	s.ops->loss(s.self, &l);
	close_store(&s, 0);
	assert_int_equal(number(p, "SELECT count FROM loss WHERE reason = 'ring_full'"), 8);
	assert_text(p, "SELECT first || ' ' || last FROM losses",
		    "2023-11-14T22:13:20.000000000Z 2023-11-14T22:13:22.000000000Z");
}

static void views(void **state)
{
	struct place *p = *state;
	struct sink s = open_store(p, 64 * MIB);
	struct use u = make_use(1, 1);

	u.first_ns = T0 + 1;
	u.last_ns = T0 + 123456789;
	s.ops->use(s.self, &u);
	u = make_use(2, 2);
	u = (struct use){ .class_name = "", .kind = "", .scheme = "", .dir = TT_DIR_EGRESS,
			  .count = 1, .first_ns = T0, .last_ns = T0, .uid = UINT32_MAX };
	strcpy(u.token_id, "tt1_bare");
	s.ops->use(s.self, &u);
	close_store(&s, 0);

	assert_text(p, "SELECT class || ' ' || kind || ' ' || length || ' ' || uses || ' ' || first || "
		       "' ' || last FROM tokens WHERE token <> 'tt1_bare'",
		    "github_pat api_key 40 1 2023-11-14T22:13:20.000000001Z "
		    "2023-11-14T22:13:20.123456789Z");
	assert_text(p, "SELECT class || ' ' || direction || ' ' || count || ' ' || process || "
		       "last_pid || executable || user_id || container_id || carrier || scheme || "
		       "method || path || status || server_address || server_port || peer_ip || "
		       "peer_port || last_client_ip || http_version || tls_library || last FROM uses "
		       "WHERE token <> 'tt1_bare'",
		    "github_pat egress 1 curl100/usr/bin/curl1000c0ffeeauthorizationbearerGET/v1/1200"
		    "api.example.com443192.0.2.744310.0.0.11.1openssl2023-11-14T22:13:20.123456789Z");
	for (enum tt_tls tls = TT_TLS_NONE; tls < TT_TLS_MAX; tls++) {
		char sql[128];

		s = open_store(p, 64 * MIB);
		u = make_use(1, 1);
		u.tls = tls;
		snprintf(u.method, sizeof(u.method), "TLS%d", tls);
		s.ops->use(s.self, &u);
		close_store(&s, 0);
		snprintf(sql, sizeof(sql), "SELECT tls_library FROM uses WHERE method = 'TLS%d'", tls);
		assert_text(p, sql, use_tls_library(tls));
	}
	/* what is not known is NULL */
	assert_text(p, "SELECT coalesce(class, process, last_pid, executable, user_id, container_id, "
		       "carrier, scheme, method, path, status, server_address, server_port, peer_ip, "
		       "peer_port, last_client_ip, http_version) FROM uses WHERE token = 'tt1_bare'",
		    "NULL");
	assert_text(p, "SELECT coalesce(class, kind, length, key_id) FROM tokens WHERE token = "
		       "'tt1_bare'", "NULL");
}

/* The bound of the file itself: known uses go on, new ones wait, what has no room is counted. */
static void full_store(void **state)
{
	struct place *p = *state;
	struct sink s = open_store(p, MIB);
	struct use known = make_use(1, 1), u;
	uint64_t sent = 0, time = S;
	int64_t rows, before;
	struct stat st;

	s.ops->use(s.self, &known);
	sent++;
	for (int i = 0; i < 20000; i++, sent++) {
		u = make_use(2 + i % 10, i);
		s.ops->use(s.self, &u);
		if (i % 500 == 0)
			s.ops->tick(s.self, time += S);
	}
	assert_int_equal(logged(p, "the store is full"), 1);
	rows = number(p, "SELECT count(*) FROM use");
	assert_in_range(rows, 500, 8000);
	assert_in_range(number(p, "PRAGMA page_count"), 230, 250);	/* of 256: some are kept back */
	assert_true(agent_drops[TT_DROP_store_failed] > p->dropped);
	assert_int_equal(agent_drops[TT_DROP_store_failed] - p->dropped + (uint64_t)rows + 4096,
			 sent);

	/* A known row is counted on, though the table of what waits is full: it is not new. */
	s.ops->tick(s.self, time += 11 * S);
	s.ops->finish(s.self, 1000);	/* gives up what waits */
	known.count = 1000;
	s.ops->use(s.self, &known);
	sent += 1000;
	for (int i = 0; i < 40; i++) {	/* new ones beside it */
		u = make_use(1, 100000 + i);
		s.ops->use(s.self, &u);
		sent++;
	}
	s.ops->tick(s.self, time += 11 * S);
	assert_int_equal(number(p, "SELECT count FROM use WHERE token LIKE 'tt1_00000001%' AND path "
				   "= '/v1/1'"), 1001);

	/* What gets longer needs pages. Those kept back go first, then each row is on its own: a
	 * good part of them is counted. */
	before = number(p, "SELECT sum(count) FROM use");
	for (int64_t i = 0; i < rows; i++) {
		u = make_use(2 + (int)i % 10, (int)i);
		u.count = (uint64_t)1 << 40;
		u.last_ns++;
		memset(u.client_ip, 'f', sizeof(u.client_ip) - 1);
		s.ops->use(s.self, &u);
		sent += u.count;
	}
	s.ops->tick(s.self, time += 11 * S);
	assert_in_range((uint64_t)(number(p, "SELECT sum(count) FROM use") - before) >> 40, rows / 4,
			rows - 1);
	close_store(&s, -EIO);
	assert_int_equal(stat(p->path, &st), 0);
	assert_true((uint64_t)st.st_size <= MIB);
	assert_text(p, "PRAGMA integrity_check", "ok");
	assert_int_equal((uint64_t)number(p, "SELECT sum(count) FROM use") +
			 agent_drops[TT_DROP_store_failed] - p->dropped, sent);
	assert_int_equal(number(p, "SELECT sum(count) FROM use"),
			 number(p, "SELECT sum(uses) FROM token"));
	assert_int_equal(logged(p, "the store is full"), 0);	/* said once was enough */

	/* With a larger bound it goes on. */
	s = open_store(p, 64 * MIB);
	u = make_use(77, 1);
	s.ops->use(s.self, &u);
	close_store(&s, 0);
	assert_int_equal(number(p, "SELECT count(*) FROM token WHERE token LIKE 'tt1_00000077%'"), 1);
}

/* A full disk, without a disk: files can't grow. Nothing is given up, and all of it is there when
 * there is room again. */
static void disk_full_for_a_while(void **state)
{
	struct place *p = *state;
	struct sink s = open_store(p, 64 * MIB);
	struct rlimit was, small;
	uint64_t time = S;
	struct use u;

	signal(SIGXFSZ, SIG_IGN);
	u = make_use(1, 1);
	s.ops->use(s.self, &u);
	s.ops->tick(s.self, time);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	small = was;
	small.rlim_cur = 64 * 1024;
	setrlimit(RLIMIT_FSIZE, &small);
	for (int i = 0; i < 3000; i++) {
		u = make_use(i, i);
		s.ops->use(s.self, &u);
		if (i % 100 == 0)
			s.ops->tick(s.self, time += 2 * S);
	}
	s.ops->tick(s.self, time += 11 * S);
	setrlimit(RLIMIT_FSIZE, &was);
	assert_true(number(p, "SELECT sum(count) FROM use") < 3001);
	s.ops->tick(s.self, time += 11 * S);
	assert_int_equal(number(p, "SELECT sum(count) FROM use"), 3001);
	assert_int_equal(agent_drops[TT_DROP_store_failed], p->dropped);
	close_store(&s, 0);
	assert_text(p, "PRAGMA integrity_check", "ok");
}

/* Fills the file system that holds `path`, or gives the space back. */
static void fill(const char *dir, bool full)
{
	static const char zeros[4096];
	char name[128];
	int fd;

	snprintf(name, sizeof(name), "%s/ballast", dir);
	if (!full) {
		assert_int_equal(unlink(name), 0);
		return;
	}
	fd = open(name, O_CREAT | O_WRONLY | O_APPEND, 0600);
	assert_true(fd >= 0);
	while (write(fd, zeros, sizeof(zeros)) > 0)
		;
	assert_int_equal(errno, ENOSPC);
	close(fd);
}

/* A real one. It opens on a full disk, goes on when there is room, and again. */
static void disk_full_at_start(void **state)
{
	struct place *p = *state, at = *p;
	struct use u = make_use(1, 1);
	uint64_t time = S;
	struct sink s;

	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", p->dir, "tmpfs", 0, "size=16m") < 0) {
		print_message("no privilege to mount a small file system: %s\n", strerror(errno));
		skip();
	}
	fill(p->dir, true);
	s = open_store(&at, 64 * MIB);
	s.ops->use(s.self, &u);
	s.ops->tick(s.self, time += 11 * S);
	fill(p->dir, false);
	s.ops->tick(s.self, time += 11 * S);
	assert_int_equal(number(&at, "SELECT sum(count) FROM use"), 1);
	fill(p->dir, true);
	for (int i = 0; i < 3000; i++) {
		u = make_use(i, i);
		s.ops->use(s.self, &u);
	}
	s.ops->tick(s.self, time += 11 * S);
	assert_true(number(&at, "SELECT sum(count) FROM use") < 3001);
	fill(p->dir, false);
	s.ops->tick(s.self, time += 11 * S);
	assert_int_equal(number(&at, "SELECT sum(count) FROM use"), 3001);
	assert_int_equal(agent_drops[TT_DROP_store_failed], p->dropped);
	close_store(&s, 0);
	assert_text(&at, "PRAGMA integrity_check", "ok");
	assert_int_equal(umount(p->dir), 0);
	assert_int_equal(logged(p, "disk of the store is full"), 2);
}

/* Another program's transaction: ours waits for its turn and loses nothing. */
static void locked_by_another(void **state)
{
	struct place *p = *state;
	struct sink s = open_store(p, 64 * MIB);
	struct use u = make_use(1, 1);
	sqlite3 *other = NULL;

	assert_int_equal(sqlite3_open(p->path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	s.ops->use(s.self, &u);
	s.ops->tick(s.self, S);
	assert_int_equal(number(p, "SELECT count(*) FROM use"), 0);
	assert_int_equal(logged(p, "can't write to the store"), 1);
	sqlite3_exec(other, "COMMIT", NULL, NULL, NULL);
	s.ops->use(s.self, &u);
	s.ops->tick(s.self, 12 * S);
	assert_int_equal(number(p, "SELECT count FROM use"), 2);
	assert_int_equal(logged(p, "takes new uses again"), 1);
	sqlite3_close(other);
	close_store(&s, 0);
}

/* Writes until it is killed; says on the pipe how many uses are committed. */
static void write_until_killed(struct place *p, int fd)
{
	struct sink s = open_store(p, 64 * MIB);
	uint64_t time = S;

	for (uint64_t n = 1;; n++) {
		struct use u = make_use((int)(n % 50), (int)(n % 700));

		s.ops->use(s.self, &u);
		if (n % 10)
			continue;
		s.ops->tick(s.self, time += S);
		if (write(fd, &n, sizeof(n)) != sizeof(n))
			_exit(1);
	}
}

static void killed(void **state)
{
	struct place *p = *state;
	uint64_t committed = 0, n, base = 0;

	for (int round = 0; round < 5; round++) {
		int pipe_fd[2], status;
		struct sink s;
		pid_t pid;

		assert_int_equal(pipe(pipe_fd), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			close(pipe_fd[0]);
			write_until_killed(p, pipe_fd[1]);
		}
		close(pipe_fd[1]);
		for (int i = 0; i < 100 + round * 37; i++)
			assert_int_equal(read(pipe_fd[0], &committed, sizeof(committed)),
					 sizeof(committed));
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		while (read(pipe_fd[0], &n, sizeof(n)) == sizeof(n))
			committed = n;
		close(pipe_fd[0]);

		s = open_store(p, 64 * MIB);
		assert_text(p, "PRAGMA integrity_check", "ok");
		n = (uint64_t)number(p, "SELECT sum(count) FROM use") - base;
		/* a transaction may have been committed and not been said */
		assert_in_range(n, committed, committed + 10);
		assert_int_equal(number(p, "SELECT sum(uses) FROM token"), n + base);
		base += n;
		close_store(&s, 0);
	}
}

static void assert_refused(struct place *p, int want, const char *text)
{
	struct config_error error = { "" };
	struct sink s = { 0 };

	assert_int_equal(store_sink_new(p->path, 64 * MIB, "n1", &s, &error), want);
	if (!strstr(error.text, text) || !strstr(error.text, p->path))
		fail_msg("%s", error.text);
	assert_null(s.ops);
}

static void newer_version(void **state)
{
	struct place *p = *state;
	struct sink s = open_store(p, 64 * MIB);

	close_store(&s, 0);
	run_sql(p, "PRAGMA user_version = 6");
	assert_refused(p, -EPROTONOSUPPORT, "newer tokentrail (schema 6, this one knows 5)");
	assert_int_equal(number(p, "PRAGMA user_version"), 6);
}

static void not_a_store(void **state)
{
	struct place *p = *state;
	int fd;

	run_sql(p, "CREATE TABLE mine (x)");
	assert_refused(p, -EPROTONOSUPPORT, "another program");
	assert_int_equal(number(p, "SELECT count(*) FROM sqlite_master"), 1);
	fd = open(p->path, O_WRONLY | O_TRUNC);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(write(fd, "not a database\n", 15), 15);
	close(fd);
	assert_refused(p, -EIO, "move it away");
}

static void no_directory(void **state)
{
	struct place *p = *state, elsewhere = *p;

	snprintf(elsewhere.path, sizeof(elsewhere.path), "%s/none/store.db", p->dir);
	assert_refused(&elsewhere, -EIO, "No such file or directory");
}

static void mode_of_the_files(void **state)
{
	struct place *p = *state;
	mode_t before = umask(0);
	struct sink s = open_store(p, 64 * MIB);
	struct use u = make_use(1, 1);
	char wal[128];
	struct stat st;

	s.ops->use(s.self, &u);
	s.ops->tick(s.self, S);
	assert_int_equal(stat(p->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	snprintf(wal, sizeof(wal), "%s-wal", p->path);
	assert_int_equal(stat(wal, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	close_store(&s, 0);
	umask(before);
}

/* A row per process, with its last record. */
static void coverage_of_a_process(void **state)
{
	struct place *p = *state;
	struct sink s = open_store(p, 64 * MIB);
	struct coverage c = coverage_full;

	c.ended = false;
	c.library[0].partly[1] = TT_BLIND_unfit_instruction;
	s.ops->coverage(s.self, &c);
	s.ops->tick(s.self, S);
	assert_text(p, "SELECT reason FROM cover_library WHERE position = 0", "unfit_instruction");
	assert_text(p, "SELECT process || ' ' || status || ' ' || reason || ' ' || share || ' ' || "
		    "tls_libraries FROM coverage",
		    "nginx partial not_found 0.75 openssl 3.0.22, boringssl");
	assert_int_equal(number(p, "SELECT ended FROM coverage"), 0);
	c.wire[1] = c.covered[1] = 9000;
	c.libraries = 1;
	s.ops->coverage(s.self, &c);
	c.wire[0] = c.covered[0] = 1000;
	c.status = COVERAGE_COVERED;
	c.reason = 0;
	s.ops->coverage(s.self, &c);
	s.ops->tick(s.self, 3 * S);
	assert_text(p, "SELECT count(*) || status || share || tls_libraries || coalesce(reason, '-') "
		    "FROM coverage", "1covered1.0openssl 3.0.22-");
	assert_int_equal(number(p, "SELECT count(*) FROM cover_library"), 1);
	close_store(&s, 0);
	/* The next agent can't know what became of it, until it is told of it anew. */
	s = open_store(p, 64 * MIB);
	assert_int_equal(number(p, "SELECT ended FROM coverage"), 1);
	s.ops->coverage(s.self, &c);
	close_store(&s, 0);
	assert_int_equal(number(p, "SELECT ended FROM coverage"), 0);
}

/* Processes come and go without end; their rows do not. */
static void coverage_is_bounded(void **state)
{
	struct place *p = *state;
	struct sink s = open_store(p, 4 * MIB);
	struct coverage c = coverage_full;

	for (unsigned int i = 0; i < 2000; i++) {
		c.pid = i;
		c.time_ns++;
		assert_int_equal(s.ops->coverage(s.self, &c), 0);
		if (i % 100 == 0)
			s.ops->tick(s.self, (i + 2) * S);
	}
	close_store(&s, 0);
	assert_int_equal(number(p, "SELECT count(*) FROM coverage"), 256);
	assert_int_equal(number(p, "SELECT min(pid) FROM coverage"), 2000 - 256);
	assert_int_equal(number(p, "SELECT count(*) FROM cover_library"), 2 * 256);
	assert_int_equal(agent_drops[TT_DROP_store_failed], p->dropped);
	assert_true(number(p, "PRAGMA page_count") * 4096 < (int64_t)MIB);
}

static void coverage_waits_and_is_counted(void **state)
{
	struct place *p = *state;
	struct sink s = open_store(p, 64 * MIB);
	struct coverage c = coverage_full;
	int refused = 0;

	for (unsigned int i = 0; i < 3000; i++) {
		c.pid = i;
		refused += s.ops->coverage(s.self, &c) < 0;
	}
	assert_int_equal(refused, 3000 - 2048);
	assert_int_equal(agent_drops[TT_DROP_store_failed] - p->dropped, refused);
	close_store(&s, 0);
	assert_int_equal(number(p, "SELECT count(*) FROM coverage"), 2048);
	assert_int_equal(agent_drops[TT_DROP_store_failed] - p->dropped, refused);
}

/* Requests of each token a day, of all an hour; hours without any; what is old goes. */
static void days_and_hours(void **state)
{
	struct place *p = *state;
	struct sink s = open_store(p, 64 * MIB);
	const uint64_t hour = 3600 * S, day = 24 * hour, d0 = T0 / day;
	struct use u = make_use(1, 1);
	time_t before, after;
	char sql[256];

	u.count = 3;
	s.ops->use(s.self, &u);
	u.last_ns = T0 + hour;
	u.count = 4;	/* the same row of `use`: its requests are of the last one's hour */
	s.ops->tick(s.self, S);
	s.ops->use(s.self, &u);
	u = make_use(2, 1);
	u.count = 5;
	s.ops->use(s.self, &u);
	s.ops->tick(s.self, 2 * S);
	u = make_use(1, 1);
	for (int i = 1; i <= 100; i++) {
		u.first_ns = u.last_ns = T0 + (uint64_t)i * day;
		u.count = 1;
		s.ops->use(s.self, &u);
		s.ops->tick(s.self, (uint64_t)(i + 3) * S);
	}
	before = time(NULL);
	close_store(&s, 0);
	after = time(NULL);

	snprintf(sql, sizeof(sql), "SELECT uses FROM hour WHERE hour = %" PRIu64, (uint64_t)(T0 / hour));
	assert_int_equal(number(p, sql), 8);
	snprintf(sql, sizeof(sql), "SELECT uses FROM hour WHERE hour = %" PRIu64, (uint64_t)(T0 / hour + 1));
	assert_int_equal(number(p, sql), 4);
	assert_int_equal(number(p, "SELECT sum(uses) FROM hour"), 112);
	snprintf(sql, sizeof(sql), "SELECT uses FROM use_day WHERE day = %" PRIu64 " AND token LIKE "
		 "'tt1_00000002%%'", (uint64_t)d0);
	assert_int_equal(number(p, sql), 5);
	assert_int_equal(number(p, "SELECT count(*) FROM use_day WHERE token LIKE 'tt1_00000001%'"), 93);
	snprintf(sql, sizeof(sql), "SELECT max(day) - %" PRIu64 " FROM use_day", (uint64_t)d0);
	assert_int_equal(number(p, sql), 100);
	/* It was there in this hour, without a use. */
	snprintf(sql, sizeof(sql), "SELECT count(*) FROM hour WHERE uses = 0 AND hour BETWEEN %lld AND %lld",
		 (long long)before / 3600, (long long)after / 3600);
	assert_true(number(p, sql) >= 1);
}

/* What stands behind a use's executable, user and container: once, and again when more is known. */
static void workloads(void **state)
{
	struct place *p = *state;
	struct sink s = open_store(p, 64 * MIB);
	struct workload w = { .holders = 1, .kind = "Deployment", .name = "cart", .namespace = "shop",
			      .pod = "cart-1", .evidence = "label x" };
	struct use u = make_use(1, 1);
	char text[256];

	u.work = &w;
	assert_int_equal(s.ops->use(s.self, &u), 0);
	assert_int_equal(s.ops->use(s.self, &u), 0);
	assert_int_equal(s.ops->tick(s.self, S), 0);
	assert_int_equal(get(p, "SELECT count(*) FROM workload", text), 1);
	get(p, "SELECT kind || ' ' || namespace || '/' || name || ' ' || pod || ' ' || evidence "
	       "FROM workload WHERE executable = '/usr/bin/curl' AND user = 1000 AND container = 'c0ffee'", text);
	assert_string_equal(text, "Deployment shop/cart cart-1 label x");
	snprintf(w.service_account, sizeof(w.service_account), "cart");
	w.version++;
	assert_int_equal(s.ops->use(s.self, &u), 0);
	assert_int_equal(s.ops->tick(s.self, 3 * S), 0);
	get(p, "SELECT service_account FROM workload", text);
	assert_string_equal(text, "cart");
	close_store(&s, 0);
	assert_int_equal(w.holders, 1);
}

static void a_token_is_recalled_with_what_is_known(void **state)
{
	struct place *p = *state;
	struct sink s = open_store(p, 64 * MIB);
	struct use u = make_use(1, 1);
	struct facts f = { 0 }, back = { 0 };
	struct token t = { .class_name = "x", .kind = "y", .facts = &f }, known = { 0 };

	memcpy(known.token_id, u.token_id, sizeof(known.token_id));
	assert_false(s.ops->recall(s.self, &known, &back));
	u.count = 3;
	memcpy(t.token_id, u.token_id, sizeof(t.token_id));
	assert_int_equal(s.ops->use(s.self, &u), 0);
	facts_set_text(&f, FACT_token_issuer, "me", 2);
	assert_int_equal(s.ops->token(s.self, &t), 0);
	assert_int_equal(s.ops->tick(s.self, S), 0);
	assert_true(s.ops->recall(s.self, &known, &back));
	assert_int_equal(known.first_ns, T0);
	assert_int_equal(known.uses, 3);
	assert_int_equal(known.egress, 3);
	assert_string_equal(facts_text(&back, FACT_token_issuer), "me");
	facts_done(&f);
	facts_done(&back);
	close_store(&s, 0);
}

/* The view says what state.c says. */
static void states(void **state)
{
	struct place *p = *state;
	struct sink s = open_store(p, 64 * MIB);
	static const struct { uint64_t ago, minted, expires, revoked; const char *want; } rows[] = {
		{ 7200, 0, 0, 0, "idle" }, { 0, 0, 0, 0, "used" }, { 0, 0, 1, 0, "expired" },
		{ 0, 0, 1, 1, "revoked" }, { UINT64_MAX, 1, 0, 0, "minted" }, { UINT64_MAX, 0, 0, 0, "NULL" },
	};
	uint64_t now = (uint64_t)time(NULL) * S;
	char text[256], sql[128];

	store_sink_set_idle(&s, 3600);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct use u = make_use((int)i, 1);
		struct facts f = { 0 };
		struct token t = { .class_name = "", .kind = "", .facts = &f };

		memcpy(t.token_id, u.token_id, sizeof(t.token_id));
		u.first_ns = u.last_ns = now - rows[i].ago * S;
		if (rows[i].ago != UINT64_MAX)
			assert_int_equal(s.ops->use(s.self, &u), 0);
		facts_set_text(&f, FACT_token_issuer, "me", 2);
		facts_set_number(&f, FACT_minted_time, rows[i].minted * S);
		facts_set_number(&f, FACT_token_expires, rows[i].expires * S);
		facts_set_number(&f, FACT_revoked_time, rows[i].revoked * S);
		assert_int_equal(s.ops->token(s.self, &t), 0);
		facts_done(&f);
	}
	assert_int_equal(s.ops->tick(s.self, S), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct use u = make_use((int)i, 1);

		snprintf(sql, sizeof(sql), "SELECT state FROM tokens WHERE token = '%s'", u.token_id);
		get(p, sql, text);
		assert_string_equal(text, rows[i].want);
	}
	close_store(&s, 0);
}

int main(void)
{
#define WITH_PLACE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_PLACE(sums),
		WITH_PLACE(what_makes_a_row),
		WITH_PLACE(once_a_second_or_1000_rows),
		WITH_PLACE(losses),
		WITH_PLACE(days_and_hours),
		WITH_PLACE(views),
		WITH_PLACE(full_store),
		WITH_PLACE(disk_full_for_a_while),
		WITH_PLACE(locked_by_another),
		WITH_PLACE(killed),
		WITH_PLACE(calls),
		WITH_PLACE(unreadable),
		WITH_PLACE(coverage_of_a_process),
		WITH_PLACE(coverage_is_bounded),
		WITH_PLACE(coverage_waits_and_is_counted),
		WITH_PLACE(workloads),
		WITH_PLACE(a_token_is_recalled_with_what_is_known),
		WITH_PLACE(states),
		WITH_PLACE(upgrades_in_place),
		WITH_PLACE(newer_version),
		WITH_PLACE(not_a_store),
		WITH_PLACE(no_directory),
		WITH_PLACE(mode_of_the_files),
		WITH_PLACE(disk_full_at_start),	/* leaves the mount namespace: the last one */
	};

	log_init("test", LOG_LEVEL_INFO);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
