/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store that the store sink wrote and SQL filled up, read as a history, and the four shapes of a report.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>
#include <sqlite3.h>

#include "report/report.h"
#include "sinks/sinks.h"
#include "sinks/store_report.h"

#define S HISTORY_S
#define NOW (20000 * HISTORY_DAY)
#define EVIL "</script><script>x&y"

struct place {
	char dir[64], path[96];
};

static void run_sql(struct place *p, const char *sql)
{
	sqlite3 *db = NULL;
	char *error = NULL;

	assert_int_equal(sqlite3_open(p->path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
		fail_msg("%s: %s", error, sql);
	sqlite3_close(db);
}

static void put(struct sink *sink, const char *token, const char *process, enum tt_dir dir, uint64_t at)
{
	struct use u = { .key_id = "0123456789abcdef", .class_name = "github_pat", .kind = "api_key",
			 .scheme = "bearer", .carrier = "authorization", .length = 40, .dir = dir, .count = 3,
			 .first_ns = at, .last_ns = at, .method = "POST", .path = "/v1/x", .version = 11,
			 .status = 200, .uid = 1000, .server_address = "api.example.com", .server_port = 443,
			 .peer_ip = "192.0.2.7", .peer_port = 443, .tls = TT_TLS_OPENSSL };

	snprintf(u.token_id, sizeof(u.token_id), "tt1_%s", token);
	snprintf(u.process_name, sizeof(u.process_name), "%.15s", process);
	snprintf(u.executable, sizeof(u.executable), "/usr/bin/%s", process);
	assert_int_equal(sink->ops->use(sink->self, &u), 0);
}

static int setup(void **state)
{
	static struct place p;
	struct config_error error;
	struct sink sink;

	snprintf(p.dir, sizeof(p.dir), "/tmp/tokentrail-report-XXXXXX");
	assert_non_null(mkdtemp(p.dir));
	snprintf(p.path, sizeof(p.path), "%s/store.db", p.dir);
	assert_int_equal(store_sink_new(p.path, 64 << 20, "n1", &sink, &error), 0);
	put(&sink, "aaaa2222", "curl", TT_DIR_EGRESS, NOW - HISTORY_HOUR);
	put(&sink, "aaaa2222", "nginx", TT_DIR_INGRESS, NOW - HISTORY_HOUR);
	put(&sink, "bbbb3333", EVIL, TT_DIR_EGRESS, NOW - 2 * HISTORY_DAY);
	assert_int_equal(sink.ops->finish(sink.self, 1000), 0);
	sink.ops->free(sink.self);
	run_sql(&p, "DELETE FROM hour WHERE hour > 480000");	/* the test's own time */
	*state = &p;
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = { "store.db", "store.db-wal", "store.db-shm", "csv/unused.csv",
					     "csv/excessive.csv", "csv/places.csv" };
	struct place *p = *state;
	char name[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(name, sizeof(name), "%s/%s", p->dir, names[i]);
		unlink(name);
	}
	snprintf(name, sizeof(name), "%s/csv", p->dir);
	rmdir(name);
	return rmdir(p->dir);
}

static struct report read_report(struct place *p)
{
	struct question_options o = { .now = NOW, .window = HISTORY_DAY, .unused = 90 * HISTORY_DAY };
	struct config_error error = { "" };
	struct report r = { 0 };

	if (store_report_read(p->path, NOW, &r.h, &error) < 0)
		fail_msg("%s", error.text);
	assert_int_equal(questions_answer(r.h, &o, &r.a), 0);
	return r;
}

static void done(struct report *r)
{
	questions_done(&r->a);
	history_free(r->h);
}

static json_t *answers_of(struct place *p)
{
	struct report r = read_report(p);
	char *text = NULL;
	json_t *o;

	assert_int_equal(report_data(&r, false, &text), 0);
	o = json_loads(text, 0, NULL);
	assert_non_null(o);
	assert_string_equal(json_string_value(json_object_get(json_object_get(o, "node"), "name")), "n1");
	free(text);
	done(&r);
	return o;
}

static json_t *token_of(json_t *report, const char *answer, size_t i)
{
	return json_array_get(json_object_get(json_object_get(json_object_get(report, "answers"), answer), "tokens"), i);
}

static const char *member(json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));

	return text ? text : "";
}

static void what_is_read(void **state)
{
	struct report r = read_report(*state);
	const struct history *h = r.h;

	assert_int_equal(h->tokens, 2);
	assert_string_equal(h->token[0].id, "tt1_aaaa2222");
	assert_int_equal(h->token[0].uses, 6);
	assert_int_equal(h->token[0].writes, 6);
	assert_int_equal(h->uses, 3);
	assert_int_equal(h->whos, 3);
	for (uint32_t i = 0; i < h->uses; i++) {
		const struct history_use *u = &h->use[i];

		assert_string_equal(u->server, "api.example.com");
		assert_string_equal(u->domain, "example.com");
		assert_string_equal(u->network, u->dir == TT_DIR_INGRESS ? "192.0.2.0/24" : "");
		assert_int_equal(u->token, i < 2 ? 0 : 1);
	}
	assert_int_equal(h->days, 2);
	assert_int_equal(h->day[0].uses, 6);
	assert_int_equal(h->hours, 2);
	assert_int_equal(r.a.answer[QUESTION_ACTIVE].count, 1);
	done(&r);
}

static void workloads(void **state)
{
	struct place *p = *state;
	struct report r;

	run_sql(p, "INSERT INTO workload (executable, user, container, kind, name, namespace, pod, "
		   "service_account, unit, evidence, last) VALUES "
		   "('/usr/bin/curl', 1000, '', 'Deployment', 'web', 'shop', '', '', '', '', 0), "
		   "('/usr/bin/nginx', 1000, '', 'unit', 'nginx.service', '', '', '', 'nginx.service', '', 0)");
	r = read_report(p);
	assert_string_equal(r.h->who[r.h->use[0].who].label, "shop/Deployment/web");
	assert_string_equal(r.h->who[r.h->use[1].who].label, "nginx.service");
	done(&r);
}

static void facts_and_lists(void **state)
{
	struct place *p = *state;
	json_t *o, *t;
	char sql[1024];

	snprintf(sql, sizeof(sql), "INSERT INTO fact (token, token_scopes, privilege_score, privilege_terms, "
		 "owner_name, owner_confidence) VALUES ('tt1_aaaa2222', 'repo' || char(10) || 'gist', 75, 'a=60' "
		 "|| char(10) || 'b=15', 'guessed', 'low');"
		 "INSERT INTO listed (id, is_public, name, owner, source, class, kind, scopes, created, expires, "
		 "time) VALUES ('tt1_aaaa2222', 0, 'deploy key', 'ann', 'vault', '', '', '', 0, 0, %" PRIu64 "), "
		 "('AKIAXXXX', 1, 'old key', 'bob', 'aws', 'aws_access_key', 'key_id', '', 0, 0, %" PRIu64 ")",
		 (uint64_t)NOW, (uint64_t)NOW);
	run_sql(p, sql);
	o = answers_of(p);
	t = token_of(o, "excessive", 0);
	assert_string_equal(member(t, "id"), "tt1_aaaa2222");
	assert_string_equal(member(t, "name"), "deploy key");
	assert_string_equal(member(json_object_get(t, "owner"), "name"), "ann");
	assert_string_equal(member(json_object_get(t, "owner"), "confidence"), "high");
	assert_int_equal(json_array_size(json_object_get(t, "scopes")), 2);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(json_object_get(o, "answers"), "unused"),
							    "never_seen_so_far")), 1);
	json_decref(o);
	/* Once it is seen under its id, the row of the list is that token's. */
	run_sql(p, "UPDATE fact SET token_public_id = 'AKIAXXXX'; DELETE FROM listed WHERE is_public = 0");
	o = answers_of(p);
	t = token_of(o, "excessive", 0);
	assert_string_equal(member(t, "name"), "old key");
	json_decref(o);
}

static void minting(void **state)
{
	struct place *p = *state;
	struct report r;

	run_sql(p, "INSERT INTO mint VALUES (1, 1727999000000000000, 'mint', 'oauth', 'idp/token', "
		   "'client_credentials', 200, 'egress', 'curl', '/usr/bin/curl', 1000, '', 1, 'POST', '/token', "
		   "'idp', 443, '', 0, '', 1, 11, '', '', '', '', '', 0, '');"
		   "INSERT INTO mint_token VALUES (1, 'tt1_bbbb3333', 'minted', 'access');"
		   "INSERT INTO mint_rate VALUES ('idp/token', '/usr/bin/curl', 1000, '', 5759996, 70, 0)");
	r = read_report(p);
	assert_int_equal(r.h->mints, 1);
	assert_string_equal(r.h->mint[0].method, "oauth");
	assert_string_equal(r.h->who[r.h->token[1].minter].executable, "/usr/bin/curl");
	assert_int_equal(r.a.answer[QUESTION_MINTING].count, 1);	/* R02 */
	assert_int_equal(r.a.answer[QUESTION_PLACES].count, 1);		/* R06 */
	done(&r);
}

static char *page_of(struct place *p)
{
	struct report r = read_report(p);
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_int_equal(report_html(&r, f), 0);
	fclose(f);
	done(&r);
	return text;
}

static int count(const char *text, const char *what)
{
	int n = 0;

	for (; (text = strstr(text, what)); text++)
		n++;
	return n;
}

static void page(void **state)
{
	char *text = page_of(*state), *data, *end;
	json_t *o;

	assert_int_equal(count(text, "{{"), 0);
	/* The data, the script, and what is told of them; nothing from the data ends one. */
	assert_int_equal(count(text, "</script>"), 2);
	assert_null(strstr(text, EVIL));
	assert_non_null(strstr(text, report_page_js_hash));
	data = strstr(text, "id=\"data\">") + strlen("id=\"data\">");
	end = strstr(data, "</script>");
	o = json_loadb(data, (size_t)(end - data), 0, NULL);
	assert_non_null(o);
	assert_int_equal(json_array_size(json_object_get(o, "tokens")), 2);
	assert_string_equal(json_string_value(json_array_get(json_array_get(json_object_get(o, "flows"), 2), 0)),
			    "/usr/bin/" EVIL " (user 1000)");
	json_decref(o);
	free(text);
}

static void terminal(void **state)
{
	struct report r = read_report(*state);
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_int_equal(report_terminal(&r, f, 10), 0);
	fclose(f);
	for (int q = 0; q < QUESTIONS; q++)
		assert_non_null(strstr(text, question_text(q)));
	assert_non_null(strstr(text, "1 of 2 tokens in the last 24 h"));
	assert_non_null(strstr(text, "can't be answered yet"));
	free(text);
	done(&r);
}

static void csv(void **state)
{
	struct place *p = *state;
	struct report r;
	char dir[96], path[4096], line[4096] = "";
	struct stat st;
	FILE *f;

	run_sql(p, "INSERT INTO fact (token, privilege_score, owner_name, token_scopes) VALUES "
		   "('tt1_aaaa2222', 90, '=1+1', 'a' || char(10) || 'b')");
	r = read_report(p);
	snprintf(dir, sizeof(dir), "%s/csv", p->dir);
	assert_int_equal(report_csv(&r, dir, path, sizeof(path)), 0);
	snprintf(path, sizeof(path), "%s/excessive.csv", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	f = fopen(path, "r");
	assert_non_null(fgets(line, sizeof(line), f));
	assert_non_null(strstr(line, "token,name,class"));
	assert_non_null(fgets(line, sizeof(line), f));
	assert_non_null(strstr(line, "tt1_aaaa2222,,github_pat,api_key,\"'=1+1\","));
	assert_non_null(strstr(line, ",90,a b,,,0,privilege score 90 of 100,,\r\n"));
	assert_null(fgets(line, sizeof(line), f));
	fclose(f);
	done(&r);
}

static void not_a_place(void **state)
{
	struct report r = read_report(*state);
	char path[4096];

	assert_int_equal(report_csv(&r, "/proc/no/such", path, sizeof(path)), -ENOENT);
	assert_string_equal(path, "/proc/no/such");
	done(&r);
}

static void story(void *arg, const char *what)
{
	strcat(arg, what);
	strcat(arg, " ");
}

static int on_event(void *arg, const struct story_event *e)
{
	story(arg, e->what);
	return 0;
}

static void stories(void **state)
{
	struct place *p = *state;
	struct config_error error;
	char seen[256] = "";

	run_sql(p, "INSERT INTO mint VALUES (1, 10, 'mint', 'oauth', 'idp', 'x', 200, 'egress', 'curl', '/c', 0, '', "
		   "1, 'POST', '/', 'idp', 443, '', 0, '', 1, 11, '', '', '', '', '', 0, ''), "
		   "(2, 30, 'revoke', 'oauth_revoke', 'idp', '', 200, 'egress', 'curl', '/c', 0, '', "
		   "1, 'POST', '/', 'idp', 443, '', 0, '', 1, 11, '', '', '', '', '', 0, '');"
		   "INSERT INTO mint_token VALUES (1, 'tt1_aaaa2222', 'minted', 'access'), "
		   "(1, 'tt1_bbbb3333', 'parent', 'authorization'), (2, 'tt1_aaaa2222', 'revoked', '');"
		   "INSERT INTO fact (token, minted_time, minted_previous) VALUES ('tt1_bbbb3333', 20, 'tt1_aaaa2222')");
	assert_int_equal(store_report_story(p->path, "tt1_aaaa2222", on_event, seen, &error), 0);
	assert_string_equal(seen, "minted replaced revoke ");
	seen[0] = '\0';
	assert_int_equal(store_report_story(p->path, "tt1_bbbb3333", on_event, seen, &error), 0);
	assert_string_equal(seen, "minted_with replaces ");
}

/* Access tokens that a refresh token gave one after the other, itself new each time or not. */
static void renewed(void **state)
{
#define MINT_AT(number, time) "INSERT INTO mint VALUES (" number ", " time ", 'mint', 'oauth', 'idp', 'x', 200, 'egress', " \
	"'curl', '/c', 0, '', 1, 'POST', '/', 'idp', 443, '', 0, '', 1, 11, '', '', '', '', '', 0, '');"
	static const struct {
		const char *token, *want;
	} cases[] = {
		{ "tt1_a1", "minted renewed " }, { "tt1_a2", "minted renews renewed " },
		{ "tt1_a3", "minted renews renewed " }, { "tt1_a4", "minted renews " }, { "tt1_other", "minted " },
	};
	struct place *p = *state;
	struct config_error error;

	run_sql(p, MINT_AT("1", "10") MINT_AT("2", "20") MINT_AT("3", "30") MINT_AT("4", "40") MINT_AT("5", "50")
		   "INSERT INTO mint_token VALUES (1, 'tt1_a1', 'minted', 'access'), (1, 'tt1_r1', 'minted', 'refresh'), "
		   "(2, 'tt1_r1', 'parent', 'body:refresh_token'), (2, 'tt1_a2', 'minted', 'access'), "
		   "(2, 'tt1_r2', 'minted', 'refresh'), (3, 'tt1_r2', 'parent', 'body:refresh_token'), "
		   "(3, 'tt1_a3', 'minted', 'access'), (4, 'tt1_r2', 'parent', 'body:refresh_token'), "
		   "(4, 'tt1_a4', 'minted', 'access'), (5, 'tt1_other', 'minted', 'access')");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char seen[256] = "";

		assert_int_equal(store_report_story(p->path, cases[i].token, on_event, seen, &error), 0);
		assert_string_equal(seen, cases[i].want);
	}
}

static void stores_that_are_none(void **state)
{
	struct place *p = *state;
	struct config_error error;
	struct history *h = NULL;

	run_sql(p, "PRAGMA user_version = 3");
	assert_int_equal(store_report_read(p->path, NOW, &h, &error), -EPROTONOSUPPORT);
	assert_non_null(strstr(error.text, "older tokentrail"));
	run_sql(p, "PRAGMA user_version = 99");
	assert_int_equal(store_report_read(p->path, NOW, &h, &error), -EPROTONOSUPPORT);
	assert_non_null(strstr(error.text, "newer tokentrail"));
	assert_int_equal(store_report_read("/proc/no/store.db", NOW, &h, &error), -ENOENT);
	assert_non_null(strstr(error.text, "there is no store"));
}

int main(void)
{
#define WITH_PLACE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_PLACE(what_is_read), WITH_PLACE(workloads), WITH_PLACE(facts_and_lists), WITH_PLACE(minting),
		WITH_PLACE(page), WITH_PLACE(terminal), WITH_PLACE(csv), WITH_PLACE(not_a_place),
		WITH_PLACE(stories), WITH_PLACE(renewed), WITH_PLACE(stores_that_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
