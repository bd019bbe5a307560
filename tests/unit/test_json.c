/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON lines: the exact text of the records, and what reaches the descriptor when it is slow, full
 * or gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/cleanup.h"
#include "coverage_full.h"
#include "sinks/json.h"
#include "tokens/workload.h"
#include "tokens/facts.h"
#include "sinks/sinks.h"

#define ID "tt1_abcdefghijklmnopqrstuvwxyz234567"
#define KEY_ID "0123456789abcdef"

static struct use full_use(void)
{
	return (struct use){
		.token_id = ID, .key_id = KEY_ID, .class_name = "github_pat", .kind = "api_key",
		.scheme = "bearer", .carrier = "authorization", .length = 40,
		.dir = TT_DIR_EGRESS, .count = 17,
		.first_ns = 1700000000000000001, .last_ns = 1700000060999999999,
		.method = "GET", .path = "/v1/items/{...}", .version = 11, .status = 200,
		.pid = 321, .process_name = "curl", .executable = "/usr/bin/curl", .uid = 1000,
		.container_id = "c0ffee", .server_address = "api.example.com", .server_port = 443,
		.client_ip = "10.0.0.1", .client_port = 50000, .peer_ip = "192.0.2.7",
		.peer_port = 443, .tls = TT_TLS_OPENSSL,
	};
}

static struct use full_mcp_use(void)
{
	struct use u = full_use();

	strcpy(u.mcp_method, "tools/call");
	strcpy(u.mcp_name, "search");
	return u;
}

static struct use bare_use(void)
{
	return (struct use){ .token_id = ID, .class_name = "", .kind = "", .scheme = "",
			     .dir = TT_DIR_INGRESS, .count = 1, .first_ns = 1, .last_ns = 1,
			     .uid = UINT32_MAX };
}

static void assert_use(const struct use *u, const char *node, const char *want)
{
	char *line = NULL;

	assert_int_equal(json_use(node, u, &line), 0);
	assert_string_equal(line, want);
	free(line);
}

static void workloads(void **state)
{
	struct workload w = { .kind = "Deployment", .name = "cart", .namespace = "shop", .pod = "cart-1",
			      .service_account = "carts", .container_name = "app" };
	struct use u = full_use();
	char *line = NULL;

	u.work = &w;
	assert_int_equal(json_use("n1", &u, &line), 0);
	assert_non_null(strstr(line, "\"container\":{\"id\":\"c0ffee\",\"name\":\"app\"},"
			       "\"k8s\":{\"namespace\":\"shop\",\"pod\":\"cart-1\",\"service_account\":\"carts\","
			       "\"workload\":{\"kind\":\"Deployment\",\"name\":\"cart\"}}"));
	free(line);
	snprintf(w.kind, sizeof(w.kind), "Pod");
	assert_int_equal(json_use("n1", &u, &line), 0);
	assert_null(strstr(line, "\"workload\""));
	free(line);
	w = (struct workload){ .kind = "unit", .name = "a.service", .unit = "a.service" };
	assert_int_equal(json_use("n1", &u, &line), 0);
	assert_non_null(strstr(line, "\"service\":{\"name\":\"a.service\"}"));
	assert_null(strstr(line, "\"k8s\""));
	free(line);
}

static void every_field(void **state)
{
	struct use u = full_use();

	assert_use(&u, "n1",
		"{\"type\":\"use\",\"@timestamp\":\"2023-11-14T22:14:20.999999999Z\","
		"\"node\":{\"name\":\"n1\"},\"token\":{\"id\":\"" ID "\",\"class\":\"github_pat\","
		"\"kind\":\"api_key\",\"scheme\":\"bearer\",\"carrier\":\"authorization\","
		"\"length\":40,\"key_id\":\"" KEY_ID "\"},\"direction\":\"egress\",\"count\":17,"
		"\"first\":\"2023-11-14T22:13:20.000000001Z\","
		"\"last\":\"2023-11-14T22:14:20.999999999Z\","
		"\"process\":{\"pid\":321,\"name\":\"curl\",\"executable\":\"/usr/bin/curl\","
		"\"user\":{\"id\":1000}},\"container\":{\"id\":\"c0ffee\"},"
		"\"http\":{\"version\":\"1.1\",\"method\":\"GET\",\"path\":\"/v1/items/{...}\","
		"\"status\":200},\"server\":{\"address\":\"api.example.com\",\"port\":443},"
		"\"client\":{\"ip\":\"10.0.0.1\",\"port\":50000},"
		"\"peer\":{\"ip\":\"192.0.2.7\",\"port\":443},\"tls\":{\"library\":\"openssl\"}}");
}

static void nothing_known(void **state)
{
	struct use u = bare_use();

	assert_use(&u, NULL,
		"{\"type\":\"use\",\"@timestamp\":\"1970-01-01T00:00:00.000000001Z\","
		"\"token\":{\"id\":\"" ID "\"},\"direction\":\"ingress\",\"count\":1,"
		"\"first\":\"1970-01-01T00:00:00.000000001Z\","
		"\"last\":\"1970-01-01T00:00:00.000000001Z\",\"tls\":{\"library\":\"none\"}}");
}

static void assert_part(const struct use *u, const char *part, bool there)
{
	char *line = NULL;

	assert_int_equal(json_use("n1", u, &line), 0);
	if (!strstr(line, part) == there)
		fail_msg("%s%s in %s", part, there ? " not" : "", line);
	free(line);
}

static void grpc_and_mcp(void **state)
{
	struct use u = full_use();

	u.version = 20;
	u.has_grpc = true;
	u.grpc_status = 16;
	strcpy(u.mcp_method, "tools/call");
	strcpy(u.mcp_name, "search");
	assert_part(&u, "\"http\":{\"version\":\"2\",\"method\":\"GET\",\"path\":\"/v1/items/{...}\","
			"\"status\":200},\"rpc\":{\"system\":\"grpc\",\"grpc\":{\"status_code\":16}},"
			"\"mcp\":{\"method\":{\"name\":\"tools/call\"},\"name\":\"search\"},\"server\"", true);
	u.grpc_status = 0;	/* OK is known */
	assert_part(&u, "\"rpc\":{\"system\":\"grpc\",\"grpc\":{\"status_code\":0}},\"mcp\"", true);
	u.has_grpc = false;
	assert_part(&u, "\"status\":200},\"mcp\"", true);
	u.mcp_method[0] = '\0';
	assert_part(&u, "\"mcp\":{\"name\":\"search\"},", true);
	u.mcp_name[0] = '\0';
	assert_part(&u, "mcp", false);
	assert_part(&u, "rpc", false);
	assert_part(&u, "readable", false);
	assert_part(&u, "entry", false);
}

/* Nothing is said of it but that it is there. */
static void unreadable(void **state)
{
	struct use u = bare_use();
	struct token t = { .token_id = ID, .key_id = KEY_ID, .class_name = "", .kind = "",
			   .unreadable = true, .entry = 3, .first_ns = 1, .last_ns = 1, .uses = 1,
			   .ingress = 1 };
	char *line = NULL;

	u.unreadable = true;
	u.entry = 3;
	strcpy(u.key_id, KEY_ID);
	assert_part(&u, "\"token\":{\"id\":\"" ID "\",\"readable\":false,\"entry\":3,\"key_id\":\""
			KEY_ID "\"},\"direction\"", true);
	assert_int_equal(json_token("n1", &t, &line), 0);
	assert_non_null(strstr(line, "\"token\":{\"id\":\"" ID "\",\"readable\":false,\"entry\":3,"
				     "\"key_id\":\"" KEY_ID "\"},\"first\""));
	free(line);
	u.entry = 0;
	assert_part(&u, "\"readable\":false,\"key_id\"", true);
}

/* Each optional field alone: present with it, absent without, and nothing else comes along. */
static void each_field_alone(void **state)
{
	struct use bare = bare_use(), full = full_mcp_use();
	struct {
		size_t offset, size;
		const char *text;
	} fields[] = {
#define FIELD(m, text) { offsetof(struct use, m), sizeof(bare.m), text }
		FIELD(class_name, "\"class\":\"github_pat\""), FIELD(kind, "\"kind\":\"api_key\""),
		FIELD(scheme, "\"scheme\":\"bearer\""),
		FIELD(carrier, "\"carrier\":\"authorization\""), FIELD(length, "\"length\":40"),
		FIELD(key_id, "\"key_id\":\"" KEY_ID "\""),
		FIELD(pid, "\"process\":{\"pid\":321}"),
		FIELD(process_name, "\"process\":{\"name\":\"curl\"}"),
		FIELD(executable, "\"process\":{\"executable\":\"/usr/bin/curl\"}"),
		FIELD(uid, "\"process\":{\"user\":{\"id\":1000}}"),
		FIELD(container_id, "\"container\":{\"id\":\"c0ffee\"}"),
		FIELD(version, "\"http\":{\"version\":\"1.1\"}"),
		FIELD(method, "\"http\":{\"method\":\"GET\"}"),
		FIELD(path, "\"http\":{\"path\":\"/v1/items/{...}\"}"),
		FIELD(status, "\"http\":{\"status\":200}"),
		FIELD(mcp_method, "\"mcp\":{\"method\":{\"name\":\"tools/call\"}}"),
		FIELD(mcp_name, "\"mcp\":{\"name\":\"search\"}"),
		FIELD(server_address, "\"server\":{\"address\":\"api.example.com\"}"),
		FIELD(server_port, "\"server\":{\"port\":443}"),
		FIELD(client_ip, "\"client\":{\"ip\":\"10.0.0.1\"}"),
		FIELD(client_port, "\"client\":{\"port\":50000}"),
		FIELD(peer_ip, "\"peer\":{\"ip\":\"192.0.2.7\"}"),
		FIELD(peer_port, "\"peer\":{\"port\":443}"),
#undef FIELD
	};
	char *without = NULL;

	assert_int_equal(json_use("n", &bare, &without), 0);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		struct use u = bare;
		char *line = NULL;

		memcpy((char *)&u + fields[i].offset, (char *)&full + fields[i].offset,
		       fields[i].size);
		assert_int_equal(json_use("n", &u, &line), 0);
		assert_non_null(strstr(line, fields[i].text));
		assert_null(strstr(without, fields[i].text));
		/* the text and one comma more than without it */
		assert_int_equal(strlen(line), strlen(without) + strlen(fields[i].text) + 1);
		free(line);
	}
	free(without);
}

static void versions_and_root(void **state)
{
	struct use u = bare_use();
	char *line = NULL;

	u.version = 10;
	u.uid = 0;
	assert_int_equal(json_use("n", &u, &line), 0);
	assert_non_null(strstr(line, "\"http\":{\"version\":\"1.0\"}"));
	assert_non_null(strstr(line, "\"user\":{\"id\":0}"));
	free(line);
}

static void hostile_strings(void **state)
{
	struct use u = bare_use();
	json_t *o;
	char *line = NULL;

	strcpy(u.process_name, "a\"b\\\n\x1b[2J");
	strcpy(u.executable, "/bin/\xff\xfe{\"type\":\"x\"}");
	strcpy(u.path, "/\xc3\xa4/\xe6\x97\xa5\",\"status\":1");
	u.count = UINT64_MAX;
	assert_int_equal(json_use("no\"de", &u, &line), 0);
	assert_null(strchr(line, '\n'));
	assert_null(strchr(line, '\x1b'));
	o = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(o);
	assert_string_equal(json_string_value(json_object_get(json_object_get(o, "process"), "name")),
			    "a\"b\\\n\x1b[2J");
	assert_string_equal(json_string_value(json_object_get(json_object_get(o, "process"),
							      "executable")),
			    "/bin/\?\?{\"type\":\"x\"}");
	assert_string_equal(json_string_value(json_object_get(json_object_get(o, "http"), "path")),
			    u.path);
	assert_null(json_object_get(json_object_get(o, "http"), "status"));
	assert_true(json_integer_value(json_object_get(o, "count")) == INT64_MAX);
	json_decref(o);
	free(line);
}

static void token_with_facts(void **state)
{
	struct facts f = { 0 };
	struct token t = { .token_id = ID, .key_id = KEY_ID, .class_name = "jwt", .kind = "k",
			   .length = 9, .facts = &f };
	char *line = NULL;

	assert_int_equal(facts_set_text(&f, FACT_token_issuer, "i\"", 2), 0);
	assert_int_equal(facts_add(&f, FACT_token_scopes, "a", 1), 0);
	assert_int_equal(facts_add(&f, FACT_token_scopes, "b c", 3), 0);
	facts_set_number(&f, FACT_token_expires, 1700000000000000000);
	assert_int_equal(facts_set_text(&f, FACT_jwt_alg, "RS256", 5), 0);
	facts_set_number(&f, FACT_minted_time, 1600000000000000000);
	facts_set_number(&f, FACT_privilege_score, 60);
	assert_int_equal(json_token("n1", &t, &line), 0);
	assert_string_equal(line,
		"{\"type\":\"token\",\"@timestamp\":\"2020-09-13T12:26:40.000000000Z\","
		"\"node\":{\"name\":\"n1\"},\"token\":{\"id\":\"" ID "\",\"class\":\"jwt\","
		"\"kind\":\"k\",\"length\":9,\"key_id\":\"" KEY_ID "\",\"issuer\":\"i\\\"\","
		"\"scopes\":[\"a\",\"b c\"],\"expires\":\"2023-11-14T22:13:20.000000000Z\"},"
		"\"uses\":0,\"egress\":0,\"ingress\":0,\"jwt\":{\"alg\":\"RS256\"},"
		"\"minted\":{\"time\":\"2020-09-13T12:26:40.000000000Z\"},"
		"\"privilege\":{\"score\":60}}");
	free(line);
	facts_done(&f);
}

static void token_and_loss(void **state)
{
	struct token t = { .token_id = ID, .key_id = KEY_ID, .class_name = "github_pat",
			   .kind = "api_key", .length = 40, .first_ns = 1700000000000000000,
			   .last_ns = 1700000001000000000, .uses = 5, .egress = 5 };
	struct loss l = { .reason = "ring_full", .count = 12, .added = 2,
			  .time_ns = 1700000000123456789 };
	char *line = NULL;

	assert_int_equal(json_token("n1", &t, &line), 0);
	assert_string_equal(line,
		"{\"type\":\"token\",\"@timestamp\":\"2023-11-14T22:13:21.000000000Z\","
		"\"node\":{\"name\":\"n1\"},\"token\":{\"id\":\"" ID "\",\"class\":\"github_pat\","
		"\"kind\":\"api_key\",\"length\":40,\"key_id\":\"" KEY_ID "\"},"
		"\"first\":\"2023-11-14T22:13:20.000000000Z\","
		"\"last\":\"2023-11-14T22:13:21.000000000Z\",\"uses\":5,\"egress\":5,\"ingress\":0}");
	free(line);
	assert_int_equal(json_loss("n1", &l, &line), 0);
	assert_string_equal(line,
		"{\"type\":\"loss\",\"@timestamp\":\"2023-11-14T22:13:20.123456789Z\","
		"\"node\":{\"name\":\"n1\"},\"reason\":\"ring_full\",\"count\":12,"
		"\"added\":2}");
	free(line);
}

/* ---- the sink ---- */

/* Reads what is there; every line in it must be whole. Returns the number of lines. */
static size_t read_lines(int fd, char *rest, size_t *rest_len)
{
	char buf[65536];
	size_t lines = 0;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			json_t *o;

			assert_true(*rest_len < 8191);
			rest[(*rest_len)++] = buf[i];
			if (buf[i] != '\n')
				continue;
			o = json_loadb(rest, *rest_len, 0, NULL);
			assert_non_null(o);
			json_decref(o);
			*rest_len = 0;
			lines++;
		}
	}
	return lines;
}

static void coverage_record(void **state)
{
	struct coverage bare = { .uid = UINT32_MAX };
	char *line;

	assert_int_equal(json_coverage("n1", &coverage_full, &line), 0);
	assert_string_equal(line,
		"{\"type\":\"coverage\",\"@timestamp\":\"2026-01-01T00:00:00.123456789Z\","
		"\"node\":{\"name\":\"n1\"},\"process\":{\"pid\":4194304,\"name\":\"nginx\","
		"\"executable\":\"/usr/sbin/nginx\",\"start\":\"2025-12-31T23:59:50.000000001Z\","
		"\"user\":{\"id\":33}},\"container\":{\"id\":\"4fa6e0f0c678\"},"
		"\"workload\":{\"kind\":\"container\",\"name\":\"4fa6e0f0c678\"},"
		"\"tls\":{\"library\":\"openssl\",\"version\":\"3.0.22\","
		"\"attached\":{\"how\":\"symbols\",\"since\":\"2025-12-31T23:59:49.000000001Z\","
		"\"probes\":9,\"placed\":7,\"refused\":1},\"libraries\":[{\"name\":\"openssl\","
		"\"version\":\"3.0.22\",\"file\":{\"path\":\"/usr/lib/libssl.so.3\"},"
		"\"attached\":{\"how\":\"symbols\",\"since\":\"2025-12-31T23:59:49.000000001Z\","
		"\"probes\":9,\"placed\":7,\"refused\":1},\"used\":true},{\"name\":\"boringssl\","
		"\"file\":{\"path\":\"/opt/app/core.so\"},\"reason\":\"not_found\"}],"
		"\"client\":true,\"server\":true,\"middle\":true,\"sockets\":12,\"blind_sockets\":3,"
		"\"bytes\":{\"wire\":4000,\"covered\":3000,\"plaintext\":2800},"
		"\"sent\":{\"wire\":1000,\"covered\":900,\"plaintext\":800},"
		"\"received\":{\"wire\":3000,\"covered\":2100,\"plaintext\":2000},"
		"\"first\":\"2025-12-31T23:59:51.000000001Z\","
		"\"first_call\":\"2025-12-31T23:59:52.000000001Z\"},"
		"\"coverage\":{\"status\":\"partial\",\"share\":0.75,\"reason\":{"
		"\"name\":\"not_found\",\"text\":\"the library is in the file, but stripped, and its "
		"functions were not found for sure\",\"remedy\":\"use a build that keeps its "
		"symbols\"},\"exec_to_first_call_ms\":1.9,\"io_uring\":true,\"ended\":true}}");
	free(line);
	/* What is not known is absent: also which of several libraries it is, and a share of nothing. */
	assert_int_equal(json_coverage("", &bare, &line), 0);
	assert_string_equal(line,
		"{\"type\":\"coverage\",\"tls\":{\"sockets\":0,\"blind_sockets\":0,"
		"\"bytes\":{\"wire\":0,\"covered\":0,\"plaintext\":0},"
		"\"sent\":{\"wire\":0,\"covered\":0,\"plaintext\":0},"
		"\"received\":{\"wire\":0,\"covered\":0,\"plaintext\":0}},"
		"\"coverage\":{\"status\":\"unknown\"}}");
	free(line);
}

static void partly_probed_library_has_its_reason(void **state)
{
	struct coverage c = coverage_full;
	char *line;

	c.library[0].partly[1] = TT_BLIND_unfit_instruction;
	assert_int_equal(json_coverage("n1", &c, &line), 0);
	assert_non_null(strstr(line, "\"refused\":1},\"reason\":\"unfit_instruction\",\"used\":true}"));
	free(line);
}

static void coverage_is_not_rounded_up(void **state)
{
	struct coverage c = { .wire = { 1000000, 0 }, .covered = { 999999, 0 } };
	char *line;

	assert_int_equal(json_coverage("", &c, &line), 0);
	assert_non_null(strstr(line, "\"share\":0.9999"));
	free(line);
	c.covered[0]++;
	assert_int_equal(json_coverage("", &c, &line), 0);
	assert_non_null(strstr(line, "\"share\":1.0}"));
	free(line);
}

static void lines_reach_a_pipe(void **state)
{
	struct use u = full_use();
	struct token t = { .token_id = ID, .class_name = "", .kind = "", .first_ns = 1,
			   .last_ns = 1 };
	struct loss l = { .reason = "ring_full", .count = 1, .added = 1, .time_ns = 1 };
	char rest[8192];
	size_t rest_len = 0;
	struct sink s;
	int p[2];

	assert_int_equal(pipe2(p, O_NONBLOCK), 0);
	assert_int_equal(json_sink_new(p[1], "n1", &s), 0);
	assert_int_equal(s.ops->use(s.self, &u), 0);
	assert_int_equal(s.ops->token(s.self, &t), 0);
	assert_int_equal(s.ops->loss(s.self, &l), 0);
	assert_int_equal(read_lines(p[0], rest, &rest_len), 0);	/* not before the tick */
	assert_int_equal(s.ops->tick(s.self, 1), 0);
	assert_int_equal(read_lines(p[0], rest, &rest_len), 3);
	assert_int_equal(rest_len, 0);
	s.ops->free(s.self);
	close(p[0]);
	close(p[1]);
}

/* A blocking pipe that nobody reads for a while, as `tokentrail run | less` has it. */
static void slow_reader(void **state)
{
	uint64_t before = agent_drops[TT_DROP_output_failed], dropped;
	struct use u = full_use();
	size_t sent = 20000, got = 0, rest_len = 0;
	char rest[8192];
	struct sink s;
	int p[2];

	assert_int_equal(pipe(p), 0);
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	assert_int_equal(json_sink_new(p[1], "n1", &s), 0);
	for (size_t i = 0; i < sent; i++)
		s.ops->use(s.self, &u);
	assert_int_equal(s.ops->tick(s.self, 1), 0);
	dropped = agent_drops[TT_DROP_output_failed] - before;
	assert_in_range(dropped, 1, sent - 1);	/* more than the buffer holds */
	for (int i = 0; i < 1000; i++) {
		got += read_lines(p[0], rest, &rest_len);
		assert_int_equal(s.ops->tick(s.self, 1), 0);
	}
	assert_int_equal(s.ops->finish(s.self, 100), 0);
	got += read_lines(p[0], rest, &rest_len);
	assert_int_equal(rest_len, 0);
	assert_int_equal(got + dropped, sent);
	assert_int_equal(agent_drops[TT_DROP_output_failed] - before, dropped);
	s.ops->free(s.self);
	close(p[0]);
	close(p[1]);
}

/* The rest is counted when the time is over, and finish() ends. */
static void reader_that_never_reads(void **state)
{
	uint64_t before = agent_drops[TT_DROP_output_failed];
	struct use u = full_use();
	char rest[8192];
	size_t rest_len = 0, got;
	struct sink s;
	int p[2];

	assert_int_equal(pipe(p), 0);
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	assert_int_equal(json_sink_new(p[1], "n1", &s), 0);
	for (int i = 0; i < 1000; i++)
		s.ops->use(s.self, &u);
	assert_int_equal(s.ops->finish(s.self, 50), -EAGAIN);
	got = read_lines(p[0], rest, &rest_len);
	assert_int_equal(rest_len, 0);
	assert_true(got > 0);
	assert_int_equal(agent_drops[TT_DROP_output_failed] - before + got, 1000);
	s.ops->free(s.self);
	close(p[0]);
	close(p[1]);
}

static void reader_gone(void **state)
{
	uint64_t before = agent_drops[TT_DROP_output_failed];
	struct use u = full_use();
	struct sink s;
	int p[2];

	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe(p), 0);
	assert_int_equal(json_sink_new(p[1], "n1", &s), 0);
	close(p[0]);
	for (int i = 0; i < 5; i++)
		assert_int_equal(s.ops->use(s.self, &u), 0);
	assert_int_equal(s.ops->tick(s.self, 1), -EPIPE);
	assert_int_equal(agent_drops[TT_DROP_output_failed] - before, 5);
	assert_int_equal(s.ops->use(s.self, &u), -EPIPE);
	assert_int_equal(agent_drops[TT_DROP_output_failed] - before, 6);
	assert_int_equal(s.ops->finish(s.self, 100), 0);
	s.ops->free(s.self);
	assert_int_equal(agent_drops[TT_DROP_output_failed] - before, 6);
	close(p[1]);
}

static void full_device(void **state)
{
	uint64_t before = agent_drops[TT_DROP_output_failed];
	struct use u = full_use();
	struct sink s;
	int fd = open("/dev/full", O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(json_sink_new(fd, "n1", &s), 0);
	assert_int_equal(s.ops->use(s.self, &u), 0);
	assert_int_equal(s.ops->tick(s.self, 1), -ENOSPC);
	assert_int_equal(agent_drops[TT_DROP_output_failed], before);	/* it may come back */
	assert_int_equal(s.ops->finish(s.self, 100), -ENOSPC);
	assert_int_equal(agent_drops[TT_DROP_output_failed] - before, 1);
	s.ops->free(s.self);
	close(fd);
}

/* A file that ends in the middle of a line when its limit is reached: when there is room again,
 * the rest of that line comes first. */
static void short_write(void **state)
{
	uint64_t before = agent_drops[TT_DROP_output_failed];
	struct rlimit was, small;
	struct use u = full_use();
	char rest[8192], name[] = "/tmp/tokentrail-json-XXXXXX";
	size_t rest_len = 0;
	struct sink s;
	int fd = mkstemp(name);

	assert_true(fd >= 0);
	unlink(name);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	small = was;
	small.rlim_cur = 1000;
	assert_int_equal(json_sink_new(fd, "n1", &s), 0);
	for (int i = 0; i < 10; i++)
		s.ops->use(s.self, &u);
	setrlimit(RLIMIT_FSIZE, &small);
	assert_int_equal(s.ops->tick(s.self, 1), -EFBIG);
	setrlimit(RLIMIT_FSIZE, &was);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 1000);
	assert_int_equal(s.ops->use(s.self, &u), 0);
	assert_int_equal(s.ops->finish(s.self, 100), 0);
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(read_lines(fd, rest, &rest_len), 11);
	assert_int_equal(rest_len, 0);
	assert_int_equal(agent_drops[TT_DROP_output_failed], before);
	s.ops->free(s.self);
	close(fd);
}

static void bad_descriptor(void **state)
{
	struct sink s;

	assert_int_equal(json_sink_new(-1, "n1", &s), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field),
		cmocka_unit_test(workloads),
		cmocka_unit_test(nothing_known),
		cmocka_unit_test(grpc_and_mcp),
		cmocka_unit_test(unreadable),
		cmocka_unit_test(each_field_alone),
		cmocka_unit_test(versions_and_root),
		cmocka_unit_test(hostile_strings),
		cmocka_unit_test(token_with_facts),
		cmocka_unit_test(token_and_loss),
		cmocka_unit_test(coverage_record),
		cmocka_unit_test(partly_probed_library_has_its_reason),
		cmocka_unit_test(coverage_is_not_rounded_up),
		cmocka_unit_test(lines_reach_a_pipe),
		cmocka_unit_test(slow_reader),
		cmocka_unit_test(reader_that_never_reads),
		cmocka_unit_test(reader_gone),
		cmocka_unit_test(full_device),
		cmocka_unit_test(short_write),
		cmocka_unit_test(bad_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
