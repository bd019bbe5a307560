/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel events become uses: every member, both directions, and nothing where nothing is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/convert.h"
#include "jwt_make.h"
#include "tokens/class.h"

#define BOOT 5000000000ULL
#define REAL 1700000000000000000ULL

static const uint8_t publish[PUBLISH_KEY_LEN] = { 1, 2, 3 };
static struct convert *convert;

static int setup(void **state)
{
	int r = convert_new(publish, "00112233aabbccdd", &convert);

	if (r == 0)
		convert_set_clock(convert, BOOT, REAL);
	return r;
}

static int teardown(void **state)
{
	convert_free(convert);
	return 0;
}

static uint16_t carrier_id(enum tt_name_space space, const char *name)
{
	for (uint16_t i = 1; i <= carrier_count(); i++)
		if (carrier_get(i)->space == space && strcmp(carrier_get(i)->name, name) == 0)
			return i;
	fail_msg("no carrier %s", name);
	return 0;
}

static void put(uint8_t *to, uint8_t *len, const char *text)
{
	*len = (uint8_t)strlen(text);
	memcpy(to, text, *len);
}

static struct tt_ev_use event(enum tt_dir dir)
{
	struct tt_ev_use ev = {
		.h = {
			.type = TT_EV_USE, .abi = TT_ABI, .len = sizeof(ev),
			.time_ns = BOOT - 1000000000, .start_ns = 77, .conn = 1, .cgroup = 88,
			.tgid = 1234, .tid = 1235, .uid = 1000, .comm = "curl",
			.tuple = { .local = { 10, 0, 0, 1 }, .remote = { 192, 0, 2, 7 },
				   .local_port = 40000, .remote_port = 8443,
				   .family = TT_AF_INET },
		},
		.dir = dir, .tls = TT_TLS_OPENSSL, .version = 11, .creds = 2,
		.cred = { { .token = { 0x1122, 0x3344 }, .length = 40, .class_id = 1,
			    .scheme = 1 },
			  { .token = { 0x5566, 0x7788 }, .length = 20 } },
	};

	ev.cred[0].carrier = carrier_id(TT_NAME_HEADER, "authorization");
	ev.cred[1].carrier = carrier_id(TT_NAME_PARAM, "access_token");
	put(ev.method, &ev.method_len, "GET");
	put(ev.path, &ev.path_len, "/v1/{...}");
	put(ev.host, &ev.host_len, "API.example.com:8443");
	return ev;
}

static const struct process_info nobody;
static const struct outcome ok = { .status = 200 }, not_known;

static void every_member_of_an_egress_use(void **state)
{
	struct tt_ev_use ev = event(TT_DIR_EGRESS);
	struct process_info info = { .executable = "/usr/bin/curl", .container_id = "abc" };
	char id[TOKEN_ID_LEN];
	struct use u;

	assert_int_equal(convert_use(convert, &ev, 0, ok, &info, &u), 1);
	assert_int_equal(token_id(publish, (const uint64_t[]){ 0x1122, 0x3344 }, 40, id), 0);
	assert_string_equal(u.token_id, id);
	assert_string_equal(u.key_id, "00112233aabbccdd");
	assert_string_equal(u.class_name, class_get(1)->name);
	assert_string_equal(u.kind, class_get(1)->kind);
	assert_string_equal(u.scheme, scheme_get(1)->name);
	assert_string_equal(u.carrier, "authorization");
	assert_int_equal(u.length, 40);
	assert_int_equal(u.dir, TT_DIR_EGRESS);
	assert_int_equal(u.count, 1);
	assert_true(u.first_ns == REAL - 1000000000);
	assert_true(u.last_ns == u.first_ns);
	assert_string_equal(u.method, "GET");
	assert_string_equal(u.path, "/v1/{...}");
	assert_int_equal(u.version, 11);
	assert_int_equal(u.status, 200);
	assert_int_equal(u.pid, 1234);
	assert_int_equal(u.start_ns, 77);
	assert_string_equal(u.process_name, "curl");
	assert_string_equal(u.executable, "/usr/bin/curl");
	assert_int_equal(u.uid, 1000);
	assert_int_equal(u.cgroup, 88);
	assert_string_equal(u.container_id, "abc");
	assert_string_equal(u.server_address, "api.example.com");
	assert_int_equal(u.server_port, 8443);
	assert_string_equal(u.client_ip, "10.0.0.1");
	assert_int_equal(u.client_port, 40000);
	assert_string_equal(u.peer_ip, "192.0.2.7");
	assert_int_equal(u.peer_port, 8443);
	assert_int_equal(u.tls, TT_TLS_OPENSSL);
	assert_false(u.has_grpc);
	assert_false(u.unreadable);
	assert_int_equal(u.entry, 0);
	assert_string_equal(u.mcp_method, "");
	assert_string_equal(u.mcp_name, "");
}

static void grpc_over_http2(void **state)
{
	struct tt_ev_use ev = event(TT_DIR_EGRESS);
	const struct outcome refused = { .status = 200, .has_grpc = true, .grpc_status = 16 };
	const struct outcome nonsense = { .status = 200, .grpc_status = 16 };
	struct use u;

	ev.version = 20;
	assert_int_equal(convert_use(convert, &ev, 0, refused, &nobody, &u), 1);
	assert_int_equal(u.version, 20);
	assert_int_equal(u.status, 200);
	assert_true(u.has_grpc);
	assert_int_equal(u.grpc_status, 16);
	/* Uses that are equal have to look equal. */
	assert_int_equal(convert_use(convert, &ev, 0, nonsense, &nobody, &u), 1);
	assert_false(u.has_grpc);
	assert_int_equal(u.grpc_status, 0);
}

static void mcp_request(void **state)
{
	struct tt_ev_use ev = event(TT_DIR_EGRESS);
	struct use u;

	put(ev.mcp_method, &ev.mcp_method_len, "tools/call");
	put(ev.mcp_name, &ev.mcp_name_len, "sea\x1b[rch");
	assert_int_equal(convert_use(convert, &ev, 0, ok, &nobody, &u), 1);
	assert_string_equal(u.mcp_method, "tools/call");
	assert_string_equal(u.mcp_name, "sea?[rch");
	memset(ev.mcp_method, 'm', ev.mcp_method_len = TT_MCP_METHOD_LEN);
	memset(ev.mcp_name, 'n', ev.mcp_name_len = TT_MCP_NAME_LEN);
	assert_int_equal(convert_use(convert, &ev, 0, ok, &nobody, &u), 1);
	assert_int_equal(strlen(u.mcp_method), TT_MCP_METHOD_LEN);
	assert_int_equal(strlen(u.mcp_name), TT_MCP_NAME_LEN);
}

/* Its id is made like any other, and nothing is said of what nobody knows. */
static void unreadable_credential(void **state)
{
	struct tt_ev_use ev = event(TT_DIR_EGRESS);
	char id[TOKEN_ID_LEN];
	struct use u;

	ev.cred[1] = (struct tt_cred){ .token = { 0x5566, 0x7788 }, .flags = TT_CRED_UNREADABLE,
				       .entry = 3 };
	assert_int_equal(convert_use(convert, &ev, 1, ok, &nobody, &u), 1);
	assert_int_equal(token_id(publish, (const uint64_t[]){ 0x5566, 0x7788 }, 0, id), 0);
	assert_string_equal(u.token_id, id);
	assert_string_equal(u.key_id, "00112233aabbccdd");
	assert_true(u.unreadable);
	assert_int_equal(u.entry, 3);
	assert_int_equal(u.length, 0);
	assert_string_equal(u.class_name, "");
	assert_string_equal(u.kind, "");
	assert_string_equal(u.scheme, "");
	assert_string_equal(u.carrier, "");
	assert_string_equal(u.path, "/v1/{...}");
	/* The other one of the same request was read. */
	assert_int_equal(convert_use(convert, &ev, 0, ok, &nobody, &u), 1);
	assert_false(u.unreadable);
	assert_string_equal(u.carrier, "authorization");
}

static void second_credential_in_the_query(void **state)
{
	struct tt_ev_use ev = event(TT_DIR_EGRESS);
	char id[TOKEN_ID_LEN];
	struct use u;

	assert_int_equal(convert_use(convert, &ev, 1, not_known, &nobody, &u), 1);
	assert_int_equal(token_id(publish, (const uint64_t[]){ 0x5566, 0x7788 }, 20, id), 0);
	assert_string_equal(u.token_id, id);
	assert_string_equal(u.carrier, "query:access_token");
	assert_string_equal(u.class_name, "opaque");
	assert_string_equal(u.confidence, "low");
	assert_string_equal(u.kind, "");
	assert_string_equal(u.scheme, "");
	assert_int_equal(u.status, 0);
	assert_string_equal(u.executable, "");
}

static void ingress_turns_the_ends_round(void **state)
{
	struct tt_ev_use ev = event(TT_DIR_INGRESS);
	struct use u;

	assert_int_equal(convert_use(convert, &ev, 0, ok, &nobody, &u), 1);
	assert_int_equal(u.server_port, 40000);
	assert_string_equal(u.client_ip, "192.0.2.7");
	assert_int_equal(u.client_port, 8443);
	assert_string_equal(u.peer_ip, "192.0.2.7");
	assert_int_equal(u.peer_port, 8443);
	assert_string_equal(u.server_address, "api.example.com");
}

static void socket_that_is_not_known(void **state)
{
	const uint16_t families[] = { TT_AF_NONE, TT_AF_UNIX };

	for (size_t i = 0; i < 2; i++) {
		struct tt_ev_use ev = event(TT_DIR_EGRESS);
		struct use u;

		ev.h.tuple.family = families[i];
		assert_int_equal(convert_use(convert, &ev, 0, ok, &nobody, &u), 1);
		assert_int_equal(u.server_port, 0);
		assert_int_equal(u.client_port, 0);
		assert_int_equal(u.peer_port, 0);
		assert_string_equal(u.client_ip, "");
		assert_string_equal(u.peer_ip, "");
		assert_string_equal(u.server_address, "api.example.com");
	}
}

static void ipv6_and_mapped_ipv4(void **state)
{
	struct tt_ev_use ev = event(TT_DIR_EGRESS);
	const uint8_t v6[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 };
	const uint8_t mapped[16] = { [10] = 0xff, 0xff, 192, 0, 2, 9 };
	struct use u;

	ev.h.tuple.family = TT_AF_INET6;
	memcpy(ev.h.tuple.remote, v6, 16);
	memcpy(ev.h.tuple.local, mapped, 16);
	assert_int_equal(convert_use(convert, &ev, 0, ok, &nobody, &u), 1);
	assert_string_equal(u.peer_ip, "2001:db8::1");
	assert_string_equal(u.client_ip, "192.0.2.9");
}

static void hosts(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "example.com", "example.com" },
		{ "Example.COM:443", "example.com" },
		{ "192.0.2.1:80", "192.0.2.1" },
		{ "[::1]", "::1" },
		{ "[2001:DB8::1]:8443", "2001:db8::1" },
		{ "[2001:db8::1", "2001:db8::1" },
		{ "2001:db8::1", "2001:db8::1" },
		{ "", "" },
		{ ":80", "" },
		{ "[]:80", "" },
		{ "a\x01\x1b[2J", "a??[2j" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char to[TT_HOST_LEN + 1];

		convert_host((const uint8_t *)cases[i].in, strlen(cases[i].in), to, sizeof(to));
		assert_string_equal(to, cases[i].out);
	}
}

static void host_that_was_cut_is_not_known(void **state)
{
	struct tt_ev_use ev = event(TT_DIR_EGRESS);
	struct use u;

	ev.flags = TT_USE_HOST_CUT;
	assert_int_equal(convert_use(convert, &ev, 0, ok, &nobody, &u), 1);
	assert_string_equal(u.server_address, "");
}

static void full_fields_have_an_end(void **state)
{
	struct tt_ev_use ev = event(TT_DIR_EGRESS);
	struct process_info info;
	struct use u;

	memset(ev.path, 'p', TT_PATH_LEN);
	memset(ev.host, 'h', TT_HOST_LEN);
	memset(ev.method, 'M', TT_METHOD_LEN);
	memset(ev.h.comm, 'c', TT_COMM_LEN);
	memset(info.executable, 'e', sizeof(info.executable));
	memset(info.container_id, 0, sizeof(info.container_id));
	ev.path_len = TT_PATH_LEN;
	ev.host_len = TT_HOST_LEN;
	ev.method_len = TT_METHOD_LEN;
	assert_int_equal(convert_use(convert, &ev, 0, ok, &info, &u), 1);
	assert_int_equal(strlen(u.path), TT_PATH_LEN);
	assert_int_equal(strlen(u.server_address), TT_HOST_LEN);
	assert_int_equal(strlen(u.method), TT_METHOD_LEN);
	assert_int_equal(strlen(u.process_name), TT_COMM_LEN - 1);
	assert_int_equal(strlen(u.executable), sizeof(u.executable) - 1);
}

static void rows_that_no_table_has(void **state)
{
	struct tt_ev_use ev = event(TT_DIR_EGRESS);
	struct use u;

	ev.cred[0].class_id = ev.cred[0].carrier = UINT16_MAX;
	ev.cred[0].scheme = UINT8_MAX;
	assert_int_equal(convert_use(convert, &ev, 0, ok, &nobody, &u), 1);
	assert_string_equal(u.class_name, "opaque");
	assert_string_equal(u.carrier, "");
	assert_string_equal(u.scheme, "");
}

/* More tokens than the cache of ids holds, twice, some of them in the same row of it. */
static void ids_are_right_whatever_is_cached(void **state)
{
	struct tt_ev_use ev = event(TT_DIR_EGRESS);
	char id[TOKEN_ID_LEN];
	struct use u;

	for (uint64_t i = 0; i < 6000; i++) {
		const uint64_t token[] = { i % 3000, i % 7 };

		ev.cred[0].token[0] = token[0];
		ev.cred[0].token[1] = token[1];
		ev.cred[0].length = 40 + (i & 1);
		assert_int_equal(convert_use(convert, &ev, 0, ok, &nobody, &u), 1);
		assert_int_equal(token_id(publish, token, 40 + (i & 1), id), 0);
		assert_string_equal(u.token_id, id);
	}
}

static void carriers_fit(void **state)
{
	for (uint16_t i = 1; i <= carrier_count(); i++) {
		struct tt_ev_use ev = event(TT_DIR_EGRESS);
		const char *dot = strchr(carrier_get(i)->where, '.');
		char want[128];
		struct use u;

		ev.cred[0].carrier = i;
		if (dot)	/* one there only */
			ev.host_len = (uint8_t)sprintf((char *)ev.host, "x.%.*s", (int)strcspn(dot + 1, ","), dot + 1);
		assert_int_equal(convert_use(convert, &ev, 0, not_known, &nobody, &u), 1);
		snprintf(want, sizeof(want), "%s%s",
			 carrier_get(i)->space == TT_NAME_PARAM	 ? "query:" :
			 carrier_get(i)->space == TT_NAME_COOKIE ? "cookie:" :
			 carrier_get(i)->space == TT_NAME_SUFFIX ? "*" : "",
			 carrier_get(i)->space == TT_NAME_PATH ? "path" : carrier_get(i)->name);
		assert_string_equal(u.carrier, want);
	}
}

/* What claims say is of the same token as its uses. */
static void claims_are_of_their_token(void **state)
{
	static struct tt_ev_claims claims;
	struct tt_ev_use use = event(TT_DIR_EGRESS);
	struct process_info info = { 0 };
	struct facts f = { 0 };
	struct token about;
	char text[512];
	struct use u;
	size_t len;

	len = jwt_make(text, "{\"alg\":\"ES256\"}", "{\"iss\":\"i\",\"sub\":\"spiffe://d/x\"}", "");
	claims = (struct tt_ev_claims){ .token = { use.cred[0].token[0], use.cred[0].token[1] },
					.length = use.cred[0].length,
					.class_id = class_of(text, strlen(text), NULL),
					.header_len = (uint16_t)strcspn(text, ".") };
	claims.payload_len = (uint16_t)(len - claims.header_len - 1);
	memcpy(claims.text, text, len);
	assert_int_equal(convert_claims(convert, &claims, &about, &f), 0);
	assert_int_equal(convert_use(convert, &use, 0, (struct outcome){ 0 }, &info, &u), 1);
	assert_string_equal(about.token_id, u.token_id);
	assert_string_equal(about.key_id, u.key_id);
	assert_int_equal(about.length, u.length);
	assert_string_equal(about.class_name, "spiffe_jwt");
	assert_string_equal(about.kind, "service_account");
	assert_string_equal(facts_text(&f, FACT_token_issuer), "i");
	facts_done(&f);
	claims.header_len = claims.payload_len = 0;
	claims.flags = TT_CLAIMS_UNSIGNED;
	assert_int_equal(convert_claims(convert, &claims, &about, &f), 0);
	assert_string_equal(about.class_name, "jwt");
	assert_string_equal(facts_text(&f, FACT_token_notes), "unsigned");
	facts_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_member_of_an_egress_use),
		cmocka_unit_test(grpc_over_http2),
		cmocka_unit_test(mcp_request),
		cmocka_unit_test(unreadable_credential),
		cmocka_unit_test(second_credential_in_the_query),
		cmocka_unit_test(ingress_turns_the_ends_round),
		cmocka_unit_test(socket_that_is_not_known),
		cmocka_unit_test(ipv6_and_mapped_ipv4),
		cmocka_unit_test(hosts),
		cmocka_unit_test(host_that_was_cut_is_not_known),
		cmocka_unit_test(full_fields_have_an_end),
		cmocka_unit_test(rows_that_no_table_has),
		cmocka_unit_test(ids_are_right_whatever_is_cached),
		cmocka_unit_test(carriers_fit),
		cmocka_unit_test(claims_are_of_their_token),
	};

	return cmocka_run_group_tests_name("convert", tests, setup, teardown);
}
