/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf/readers/http1_fields.h: fields that are reported as they are (MCP's method and name), what of them
 * is hidden, and the upgrade to HTTP/2.
 */
#include "h1_expect.h"

static void post(const char *fields)
{
	static char text[4096];
	int len = snprintf(text, sizeof(text), "POST /mcp HTTP/1.1\r\nHost: h\r\n%s\r\n", fields);

	assert_in_range(len, 1, sizeof(text) - 1);
	feed(&drive, DRIVE_CLIENT, text, len);
}

static void mcp_fields(void **state)
{
	post("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: search_items\r\n");
	post("mcp-name:\t get.weather \t\r\nMCP-METHOD:resources/read\r\n");
	post("X-Other: 1\r\n");
	assert_int_equal(drive.heads_len, 3);
	assert_string_equal(drive.heads[0].mcp_method, "tools/call");
	assert_string_equal(drive.heads[0].mcp_name, "search_items");
	assert_string_equal(drive.heads[1].mcp_method, "resources/read");
	assert_string_equal(drive.heads[1].mcp_name, "get.weather");
	assert_string_equal(drive.heads[2].mcp_method, "");
	assert_string_equal(drive.heads[2].mcp_name, "");
}

static void secrets_in_names(void **state)
{
	static const struct {
		const char *value, *told;
	} names[] = {
		{ "nineteenCharacters1", "nineteenCharacters1" },
		{ "twentyCharactersLong", "{...}" },
		{ "a_b-0123456789abcdefABCD-z", "{...}" },
		{ "file:///srv/docs/notes.txt", "file:///srv/docs/notes.txt" },
		{ "=?base64?SGVsbG8sIHdvcmxkIQ==?=", "{...}" },
		{ "=?base64?SGk=?=", "=?base64?SGk=?=" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char field[128];

		snprintf(field, sizeof(field), "Mcp-Name: %s\r\n", names[i].value);
		h1_setup(state);
		post(field);
		assert_string_equal(drive.heads[0].mcp_name, names[i].told);
	}
}

/* Long ones are cut, also where the call is. */
static void long_text(void **state)
{
	static char field[400], text[600];
	int len;

	memset(field, '_', sizeof(field) - 1);
	len = snprintf(text, sizeof(text), "POST / HTTP/1.1\r\nMcp-Method: %s\r\nHost: h\r\n\r\n", field);
	for (int cut = 0; cut <= len; cut += 7) {
		h1_setup(state);
		feed(&drive, DRIVE_CLIENT, text, cut);
		feed(&drive, DRIVE_CLIENT, text + cut, len - cut);
		assert_int_equal(drive.heads_len, 1);
		assert_int_equal(strlen(drive.heads[0].mcp_method), TT_MCP_METHOD_LEN);
		assert_string_equal(drive.heads[0].host, "h");
	}
}

/* Only of requests: a response's fields are its server's. */
static void not_of_responses(void **state)
{
	server("HTTP/1.1 200 OK\r\nMcp-Method: tools/call\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(drive.heads_len, 1);
	assert_string_equal(drive.heads[0].mcp_method, "");
}

/* "Upgrade: h2c" is remembered, another protocol is not. */
static void upgrade(void **state)
{
	server("HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n");
	server("HTTP/1.1 200 OK\r\nUpgrade: H2C \r\nContent-Length: 0\r\n\r\n");
	server("HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n");
	server("HTTP/1.1 200 OK\r\nUpgrade: h2\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(drive.heads_len, 4);
	assert_true(drive.heads[0].flags & H1_F_H2C);
	assert_true(drive.heads[1].flags & H1_F_H2C);
	assert_false(drive.heads[2].flags & H1_F_H2C);
	assert_false(drive.heads[3].flags & H1_F_H2C);
}

/* The preface is HTTP/2's, wherever it is cut; behind a request it is none. */
static void preface(void **state)
{
	static const char text[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

	for (size_t cut = 0; cut < 5; cut++) {
		h1_setup(state);
		feed(&drive, DRIVE_CLIENT, text, cut);
		feed(&drive, DRIVE_CLIENT, text + cut, sizeof(text) - 1 - cut);
		assert_int_equal(drive.side[DRIVE_CLIENT].d.digits, H2_FROM_PREFACE);
		assert_int_equal(drive.notes_len, 0);
	}
	h1_setup(state);
	post("");
	client(text);
	assert_int_equal(drive.heads_len, 1);
	expect_bad(0, TT_DROP_bad_request_line, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(mcp_fields, h1_setup),
		cmocka_unit_test_setup(secrets_in_names, h1_setup),
		cmocka_unit_test_setup(long_text, h1_setup),
		cmocka_unit_test_setup(not_of_responses, h1_setup),
		cmocka_unit_test_setup(upgrade, h1_setup),
		cmocka_unit_test_setup(preface, h1_setup),
	};

	return cmocka_run_group_tests(tests, h1_group_setup, NULL);
}
