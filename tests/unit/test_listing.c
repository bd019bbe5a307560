/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tokens`, `uses` and `trace` as a user runs them: output, errors and exit status, each in a
 * process of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/cleanup.h"
#include "cmd/cmd.h"
#include "cmd/listing.h"
#include "sinks/json.h"
#include "coverage_full.h"
#include "sinks/sinks.h"
#include "tokens/facts.h"

#define S 1000000000ull
#define T0 (1700000000 * S)
#define ID_OLD "tt1_oldaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_SIGNED "tt1_signedaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_NEW "tt1_newaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_NONE "tt1_noneaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static char dir[64], store[96], out[65536], err[65536];
static struct use old_use, new_use;

typedef int (*command)(int argc, char **argv);

static void slurp(const char *name, char *to)
{
	char path[96];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	n = read(fd, to, 65535);
	assert_true(n >= 0);
	to[n] = '\0';
	close(fd);
}

static void redirect(const char *name, int to, int flags)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, flags, 0600);
	if (fd < 0 || dup2(fd, to) < 0)
		_exit(99);
}

/* Arguments up to NULL. Returns the exit status; `out` and `err` have what was printed. */
static int run(command c, const char *input, const char *const *argv)
{
	int argc = 0, status;
	char path[96];
	FILE *f;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/in", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(input, f);
	fclose(f);
	while (argv[argc])
		argc++;
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		redirect("in", 0, O_RDONLY);
		redirect("out", 1, O_CREAT | O_TRUNC | O_WRONLY);
		redirect("err", 2, O_CREAT | O_TRUNC | O_WRONLY);
		optind = 1;
		status = c(argc, (char **)argv);
		fflush(NULL);
		_exit(status);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	slurp("out", out);
	slurp("err", err);
	return WEXITSTATUS(status);
}
#define RUN(c, input, ...) run(cmd_##c, input, (const char *const[]){ #c, __VA_ARGS__, NULL })

/* What the old token says of itself. */
static struct facts old_facts;

static void add_facts(struct sink *s)
{
	struct token t = { .token_id = ID_OLD, .class_name = "github_pat", .kind = "api_key", .length = 40,
			   .facts = &old_facts };

	facts_set_text(&old_facts, FACT_token_issuer, "https://i.test", 14);
	facts_set_text(&old_facts, FACT_token_subject, "svc-a", 5);
	facts_add(&old_facts, FACT_token_audience, "one", 3);
	facts_add(&old_facts, FACT_token_audience, "two", 3);
	facts_set_text(&old_facts, FACT_token_signed_id, ID_SIGNED, strlen(ID_SIGNED));
	facts_set_text(&old_facts, FACT_token_expiry_rule, "exp", 3);
	facts_set_number(&old_facts, FACT_token_expires, T0 + 3600 * S);
	assert_int_equal(s->ops->token(s->self, &t), 0);
}

static int setup(void **state)
{
	struct config_error error;
	struct timespec now;
	struct coverage c;
	struct sink s;

	snprintf(dir, sizeof(dir), "/tmp/tokentrail-listing-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(store, sizeof(store), "%s/store.db", dir);
	old_use = (struct use){
		.token_id = ID_OLD, .key_id = "0123456789abcdef", .class_name = "github_pat",
		.kind = "api_key", .scheme = "bearer", .carrier = "authorization", .length = 40,
		.dir = TT_DIR_EGRESS, .count = 17, .first_ns = T0, .last_ns = T0 + 60 * S,
		.method = "GET", .path = "/v1/items", .version = 11, .status = 200, .pid = 321,
		.process_name = "curl", .executable = "/usr/bin/curl", .uid = 1000,
		.container_id = "c0ffee00c0ffee00", .server_address = "api.example.com",
		.server_port = 443, .client_ip = "10.0.0.1", .peer_ip = "192.0.2.7",
		.peer_port = 443, .tls = TT_TLS_OPENSSL,
	};
	new_use = (struct use){ .token_id = ID_NEW, .class_name = "", .kind = "", .scheme = "",
				.dir = TT_DIR_INGRESS, .count = 1, .uid = UINT32_MAX,
				.process_name = "evil\033[2J" };
	clock_gettime(CLOCK_REALTIME, &now);
	new_use.first_ns = new_use.last_ns = (uint64_t)now.tv_sec * S;
	assert_int_equal(store_sink_new(store, 64 << 20, "n1", &s, &error), 0);
	s.ops->use(s.self, &old_use);
	s.ops->use(s.self, &new_use);
	add_facts(&s);
	c = coverage_full;
	s.ops->coverage(s.self, &c);
	c = (struct coverage){ .pid = 7, .start_ns = 7, .process_name = "java", .uid = 0,
			       .workload_kind = COVERAGE_UNIT, .workload = "app.service",
			       .library = { { .tls = TT_TLS_JSSE, .blind = TT_BLIND_jsse } },
			       .libraries = 1, .sockets = 2, .blind_sockets = 2, .wire = { 6000, 0 },
			       .status = COVERAGE_BLIND, .reason = TT_BLIND_jsse,
			       .time_ns = (uint64_t)now.tv_sec * S };
	s.ops->coverage(s.self, &c);
	assert_int_equal(s.ops->finish(s.self, 1000), 0);
	s.ops->free(s.self);
	unsetenv("TOKENTRAIL_STATE_DIRECTORY");
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = { "store.db", "store.db-wal", "store.db-shm", "in", "out",
					     "err" };
	char path[128];

	facts_done(&old_facts);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	return rmdir(dir);
}

static size_t lines(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static void tokens_plain(void **state)
{
	assert_int_equal(RUN(tokens, "", "--store", store), CMD_OK);
	assert_string_equal(err, "");
	assert_int_equal(lines(out), 3);
	assert_ptr_equal(strstr(out, "TOKEN                                 CLASS       KIND     "
				     "LENGTH  USES  EGRESS  INGRESS  FIRST                 "
				     "LAST                  EXPIRES               SUBJECT  ISSUER\n"),
			 out);
	assert_non_null(strstr(out, "\n" ID_NEW "  -           -             0     1       0        1"));
	assert_non_null(strstr(out, "\n" ID_OLD "  github_pat  api_key      40    17      17        0  "
				    "2023-11-14T22:13:20Z  2023-11-14T22:14:20Z  2023-11-14T23:13:20Z  svc-a    "
				    "https://i.test\n"));
	assert_true(strstr(out, ID_NEW) < strstr(out, ID_OLD));
}

static void uses_plain(void **state)
{
	assert_int_equal(RUN(uses, "", "--store", store, "--token", "tt1_olda"), CMD_OK);
	assert_string_equal(out,
		"TOKEN                                 CLASS       LAST                  "
		"FIRST                 COUNT  DIRECTION  PROCESS             USER  CONTAINER     "
		"CARRIER               REQUEST        STATUS  SERVER               PEER           TLS\n"
		ID_OLD "  github_pat  2023-11-14T22:14:20Z  2023-11-14T22:13:20Z     17  egress     "
		"/usr/bin/curl(321)  1000  c0ffee00c0ff  authorization bearer  GET /v1/items     200  "
		"api.example.com:443  192.0.2.7:443  openssl\n");
	assert_int_equal(RUN(uses, "", "--store", store), CMD_OK);
	assert_int_equal(lines(out), 3);
	assert_null(strchr(out, '\033'));
}

/* A store of its own: rows of a gRPC call, an MCP request and a credential that was not read. */
static void make_calls(char path[static 96])
{
	struct use u = old_use;
	struct config_error error;
	struct sink s;

	snprintf(path, 96, "%s/calls.db", dir);
	assert_int_equal(store_sink_new(path, 64 << 20, "n1", &s, &error), 0);
	u.version = 20;
	u.has_grpc = true;
	u.grpc_status = 16;
	s.ops->use(s.self, &u);
	u.status = 0;
	u.grpc_status = 0;
	s.ops->use(s.self, &u);
	u.has_grpc = false;
	u.status = 202;
	strcpy(u.mcp_method, "tools/call");
	strcpy(u.mcp_name, "search");
	s.ops->use(s.self, &u);
	u = new_use;
	u.unreadable = true;
	u.entry = 61;
	u.version = 20;
	s.ops->use(s.self, &u);
	assert_int_equal(s.ops->finish(s.self, 1000), 0);
	s.ops->free(s.self);
}

static void calls_and_unreadable(void **state)
{
	char path[96], name[128];

	make_calls(path);
	assert_int_equal(RUN(tokens, "", "--store", path), CMD_OK);
	assert_int_equal(lines(out), 3);
	assert_non_null(strstr(out, "\n" ID_NEW "  unreadable  unreadable       -     1       0  "));
	assert_non_null(strstr(out, "\n" ID_OLD "  github_pat  api_key         40    51      51  "));
	assert_int_equal(RUN(tokens, "", "--store", path, "--class", "unreadable", "--json"), CMD_OK);
	assert_int_equal(lines(out), 1);
	assert_non_null(strstr(out, "\"token\":{\"id\":\"" ID_NEW "\",\"readable\":false,"
				    "\"entry\":61},\"first\""));
	assert_int_equal(RUN(uses, "", "--store", path), CMD_OK);
	assert_int_equal(lines(out), 5);
	assert_non_null(strstr(out, "\n" ID_NEW "  unreadable  "));
	assert_non_null(strstr(out, "  GET /v1/items                    200 grpc 16  "));
	assert_non_null(strstr(out, "  GET /v1/items                         grpc 0  "));
	assert_non_null(strstr(out, "  GET /v1/items tools/call search          202  "));
	assert_int_equal(RUN(trace, "", "--store", path, ID_NEW), CMD_OK);
	assert_ptr_equal(strstr(out, ID_NEW "\n  unreadable: entry 61 of an HTTP/2 connection's table "
				     "that was never seen, fleet key unknown\n  first "), out);
	assert_null(strstr(out, "class"));
	assert_int_equal(RUN(trace, "", "--store", path, ID_OLD, "--json"), CMD_OK);
	assert_int_equal(lines(out), 6);	/* the token, three uses, and its first and last in the story */
	assert_non_null(strstr(out, "\"rpc\":{\"system\":\"grpc\",\"grpc\":{\"status_code\":16}}"));
	assert_non_null(strstr(out, "\"rpc\":{\"system\":\"grpc\",\"grpc\":{\"status_code\":0}}"));
	assert_non_null(strstr(out, "\"mcp\":{\"method\":{\"name\":\"tools/call\"},\"name\":\"search\"}"));
	for (size_t i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "%s%s", path, (const char *[]){ "", "-wal", "-shm" }[i]);
		unlink(name);
	}
}

/* The same line as the JSON sink prints for the same use. */
static void json_is_the_records(void **state)
{
	struct use want = old_use;
	struct token token = { .token_id = ID_OLD, .facts = &old_facts, .state = TOKEN_EXPIRED, .key_id = "0123456789abcdef",
			       .class_name = "github_pat", .kind = "api_key", .length = 40,
			       .first_ns = T0, .last_ns = T0 + 60 * S, .uses = 17, .egress = 17 };
	char *use_line = NULL, *token_line = NULL, both[4096];

	assert_int_equal(json_use("n1", &want, &use_line), 0);
	assert_int_equal(json_token("n1", &token, &token_line), 0);
	assert_int_equal(RUN(uses, "", "--store", store, "--json", "--class", "github_pat"), CMD_OK);
	snprintf(both, sizeof(both), "%s\n", use_line);
	assert_string_equal(out, both);
	assert_int_equal(RUN(tokens, "", "--json", "--store", store, "--process", "curl"), CMD_OK);
	snprintf(both, sizeof(both), "%s\n", token_line);
	assert_string_equal(out, both);
	assert_int_equal(RUN(trace, "", "--json", "--store", store, ID_OLD), CMD_OK);
	snprintf(both, sizeof(both), "%s\n%s\n", token_line, use_line);
	assert_int_equal(strncmp(out, both, strlen(both)), 0);
	assert_int_equal(lines(out), 2 + 3);	/* and its story: the first use, the last, its end */
	assert_non_null(strstr(out, "\n{\"type\":\"story\",\"@timestamp\":\"2023-11-14T22:13:20Z\",\"token\":"
				    "{\"id\":\"" ID_OLD "\"},\"event\":\"first_use\","));
	free(use_line);
	free(token_line);
}

static void filters(void **state)
{
	assert_int_equal(RUN(tokens, "", "--store", store, "--since", "1h"), CMD_OK);
	assert_int_equal(lines(out), 2);
	assert_non_null(strstr(out, ID_NEW));
	assert_int_equal(RUN(uses, "", "--store", store, "--since=36500d"), CMD_OK);
	assert_int_equal(lines(out), 3);
	assert_int_equal(RUN(uses, "", "--store", store, "--limit", "1", "--json"), CMD_OK);
	assert_int_equal(lines(out), 1);
	assert_int_equal(RUN(uses, "", "--store", store, "--process", "nobody", "--json"), CMD_OK);
	assert_string_equal(out, "");
}

static void coverage_plain(void **state)
{
	/* The ended one is older than an hour. */
	assert_int_equal(RUN(coverage, "", "--store", store), CMD_OK);
	assert_string_equal(err, "");
	assert_int_equal(lines(out), 4);
	assert_non_null(strstr(out, "java(7)"));
	assert_non_null(strstr(out, "app.service"));
	assert_non_null(strstr(out, "jsse: Java's own TLS is compiled at run time"));
	assert_non_null(strstr(out, "; run the program on netty-tcnative"));
	assert_non_null(strstr(out, "\nn1: 0.0 % of 5.9 KiB on TLS sockets covered; 1 process: "
				    "1 blind\n"));
	assert_int_equal(RUN(coverage, "", "--store", store, "--since", "20000d"), CMD_OK);
	assert_int_equal(lines(out), 5);
	assert_non_null(strstr(out, "/usr/sbin/nginx(4194304) ended  4fa6e0f0c678"));
	assert_non_null(strstr(out, "openssl 3.0.22  symbols   2025-12-31T23:59:49Z      1.9 ms"));
	assert_non_null(strstr(out, "75.0 %  not_found: "));
	assert_non_null(strstr(out, "30.0 % of 9.8 KiB on TLS sockets covered; 2 processes: 1 blind, "
				    "1 partial\n"));
	assert_int_equal(RUN(coverage, "", "--store", store, "--process", "none"), CMD_NO);
	assert_non_null(strstr(out, "no TLS seen; 0 processes\n"));
}

static void coverage_sums(void **state)
{
	json_t *o;

	assert_int_equal(RUN(coverage, "", "--store", store, "--since", "20000d", "--by", "workload"),
			 CMD_OK);
	assert_int_equal(lines(out), 5);
	assert_non_null(strstr(out, "app.service   unit "));
	assert_true(strstr(out, "app.service") < strstr(out, "4fa6e0f0c678"));	/* more bytes first */
	assert_int_equal(RUN(coverage, "", "--store", store, "--by", "node"), CMD_OK);
	assert_int_equal(lines(out), 1);
	assert_int_equal(RUN(coverage, "", "--store", store, "--since", "20000d", "--by", "node",
			     "--json"), CMD_OK);
	o = json_loads(out, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(o, "type")), "coverage_sum");
	assert_true(json_real_value(json_object_get(json_object_get(o, "coverage"), "share")) == 0.3);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(o, "processes"), "blind")),
			 1);
	json_decref(o);
	assert_int_equal(RUN(coverage, "", "--state-dir", dir, "--json"), CMD_OK);
	assert_int_equal(lines(out), 1);
	o = json_loads(out, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(o, "type")), "coverage");
	json_decref(o);
	assert_int_equal(RUN(coverage, "", "--store", store, "--by", "moon"), CMD_USAGE);
	assert_int_equal(RUN(coverage, "", "--store", store, "--token", ID_OLD), CMD_USAGE);
	assert_int_equal(RUN(uses, "", "--store", store, "--by", "node"), CMD_USAGE);
}

static void trace_plain(void **state)
{
	sqlite3 *db;

	assert_int_equal(RUN(trace, "", "--store", store, ID_NONE, ID_OLD), CMD_OK);
	assert_non_null(strstr(out, ID_NONE "\n  not seen here\n"));
	assert_non_null(strstr(out, ID_OLD "\n  class github_pat, kind api_key, 40 bytes, fleet key "
				    "0123456789abcdef\n  issuer https://i.test\n  subject svc-a\n  audience one two\n"
				    "  signed id " ID_SIGNED "\n  expires 2023-11-14T23:13:20Z (exp)\n  first 2023-11-14T22:13:20Z, last "
				    "2023-11-14T22:14:20Z, 17 uses: 17 egress, 0 ingress\n"
				    "  2023-11-14T22:13:20Z  used for the first time\n"
				    "  2023-11-14T22:14:20Z  used last\n  2023-11-14T23:13:20Z  ends\nLAST "));
	assert_non_null(strstr(out, "/usr/bin/curl(321)"));
	assert_null(strstr(out, ID_NEW));
	assert_int_equal(RUN(trace, "", "--store", store, ID_SIGNED), CMD_OK);	/* by what was signed */
	assert_non_null(strstr(out, ID_OLD "\n  class github_pat"));
	assert_int_equal(RUN(trace, "", "--store", store, "tt1_newa"), CMD_OK);
	assert_non_null(strstr(out, ID_NEW "\n"));
	/* An end of which nobody knows the rule. */
	assert_int_equal(sqlite3_open(store, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "UPDATE fact SET token_expiry_rule = ''", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(RUN(trace, "", "--store", store, ID_OLD), CMD_OK);
	assert_non_null(strstr(out, "\n  expires 2023-11-14T23:13:20Z\n"));
}

static void trace_from_standard_input(void **state)
{
	assert_int_equal(RUN(trace, ID_NEW "\n\n" ID_OLD "\r\n" ID_NONE, "--store", store, "-"),
			 CMD_OK);
	assert_true(strstr(out, ID_NEW) < strstr(out, ID_OLD));
	assert_non_null(strstr(out, ID_NONE "\n  not seen here\n"));
	assert_int_equal(RUN(trace, ID_NONE "\n", "--store", store, "-"), CMD_NO);
	assert_int_equal(RUN(trace, "", "--store", store, "-"), CMD_NO);
	assert_int_equal(RUN(trace, "", "--store", store, "--json", ID_NONE), CMD_NO);
	assert_string_equal(out, "");
}

/* What should be an id may be the token itself: refused, and never repeated. */
static void never_repeats_a_token(void **state)
{
#define SECRET "ghp" "_16C7e42F292c6912E7710c838347Ae178B4a"
	assert_int_equal(RUN(trace, "", "--store", store, SECRET), CMD_USAGE);
	assert_null(strstr(err, "16C7"));
	assert_non_null(strstr(err, "argument 1 is not a token's id"));
	assert_string_equal(out, "");
	assert_int_equal(RUN(trace, ID_OLD "\n" SECRET "\n", "--store", store, "-"), CMD_USAGE);
	assert_null(strstr(err, "16C7"));
	assert_non_null(strstr(err, "line 2 is not"));
	assert_int_equal(RUN(uses, "", "--store", store, "--token", SECRET), CMD_USAGE);
	assert_null(strstr(err, "16C7"));
	assert_int_equal(RUN(tokens, "", "--store", store, SECRET), CMD_USAGE);
	assert_null(strstr(err, "16C7"));
}

static void wrong_usage(void **state)
{
	assert_int_equal(RUN(trace, "", "--store", store), CMD_USAGE);
	assert_int_equal(RUN(trace, "", "--store", store, "--token", ID_OLD), CMD_USAGE);
	assert_int_equal(RUN(tokens, "", "--nonsense"), CMD_USAGE);
	assert_non_null(strstr(err, "--nonsense"));
	assert_int_equal(RUN(tokens, "", "--limit"), CMD_USAGE);
	assert_int_equal(RUN(tokens, "", "--limit", "0"), CMD_USAGE);
	assert_int_equal(RUN(tokens, "", "--limit", "-1"), CMD_USAGE);
	assert_int_equal(RUN(uses, "", "--since", "5"), CMD_USAGE);
	assert_int_equal(RUN(uses, "", "--since", "h"), CMD_USAGE);
	assert_int_equal(RUN(uses, "", "--since", "5 weeks"), CMD_USAGE);
	assert_int_equal(RUN(uses, "", "--since", "99999999999999999999s"), CMD_USAGE);
	assert_int_equal(RUN(uses, "", "--token", "tt1_"), CMD_USAGE);
	assert_string_equal(out, "");
}

static void help_has_examples(void **state)
{
	assert_int_equal(RUN(tokens, "", "--help"), CMD_OK);
	assert_non_null(strstr(out, "Examples:"));
	assert_int_equal(RUN(uses, "", "-h"), CMD_OK);
	assert_non_null(strstr(out, "Examples:"));
	assert_int_equal(RUN(trace, "", "--help"), CMD_OK);
	assert_non_null(strstr(out, "Examples:"));
}

static void no_store(void **state)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/none.db", dir);
	assert_int_equal(RUN(tokens, "", "--store", path), CMD_CANT);
	assert_non_null(strstr(err, path));
	assert_non_null(strstr(err, "tokentrail run"));
	assert_int_equal(RUN(uses, "", "--store", path), CMD_CANT);
	assert_int_equal(RUN(trace, "", "--store", path, ID_OLD), CMD_CANT);
	assert_string_equal(out, "");
}

static void store_of_the_configuration(void **state)
{
	setenv("TOKENTRAIL_STATE_DIRECTORY", dir, 1);
	assert_int_equal(RUN(tokens, "", "--json"), CMD_OK);
	assert_int_equal(lines(out), 2);
	assert_int_equal(RUN(tokens, "", "--config", "/nonexistent.yaml"), CMD_USAGE);
	assert_non_null(strstr(err, "/nonexistent.yaml"));
}

static int cmd_tokens_full(int argc, char **argv)
{
	int fd = open("/dev/full", O_WRONLY);

	if (fd < 0 || dup2(fd, 1) < 0)
		return 99;
	return cmd_tokens(argc, argv);
}

static void output_that_fails(void **state)
{
	const char *const argv[] = { "tokens", "--store", store, NULL };

	assert_int_equal(run(cmd_tokens_full, "", argv), CMD_CANT);
	assert_non_null(strstr(err, "tokens"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tokens_plain),
		cmocka_unit_test(uses_plain),
		cmocka_unit_test(calls_and_unreadable),
		cmocka_unit_test(json_is_the_records),
		cmocka_unit_test(filters),
		cmocka_unit_test(coverage_plain),
		cmocka_unit_test(coverage_sums),
		cmocka_unit_test(trace_plain),
		cmocka_unit_test(trace_from_standard_input),
		cmocka_unit_test(never_repeats_a_token),
		cmocka_unit_test(wrong_usage),
		cmocka_unit_test(help_has_examples),
		cmocka_unit_test(no_store),
		cmocka_unit_test(store_of_the_configuration),
		cmocka_unit_test(output_that_fails),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
