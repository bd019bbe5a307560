/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml.c: what a file may say, and every complaint with its line, column, setting and remedy.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/settings.h"

static char path[64];
static struct config c;
static struct config_error error;

static int setup(void **state)
{
	int fd;

	snprintf(path, sizeof(path), "/tmp/tt-test-yaml.XXXXXX");
	fd = mkstemp(path);
	if (fd < 0)
		return -1;
	close(fd);
	error.text[0] = '\0';
	return config_init(&c);
}

static int teardown(void **state)
{
	config_done(&c);
	return unlink(path);
}

static int load_bytes(const char *text, size_t len)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
	return config_load_file(&c, path, &error);
}

static int load(const char *text)
{
	return load_bytes(text, strlen(text));
}

/* The file is refused with exactly "PATH:where: what". */
static void refused(const char *text, const char *where, const char *what)
{
	char want[512];

	assert_int_equal(load(text), -EINVAL);
	snprintf(want, sizeof(want), "%s:%s: %s", path, where, what);
	assert_string_equal(error.text, want);
}

static void test_file(void **state)
{
	assert_int_equal(load("# comment\n"
			      "node: {name: \"n\\u00fc\"}\n"
			      "output:\n  format: json\n  per_call: yes\n  fold_interval: 5s\n"
			      "limits:\n  ring: 8 MiB\n  tokens: 5000\n"
			      "credentials:\n  headers: [X-One, x-two]\n  parameters:\n"
			      "sources:\n"
			      "kafka:\n  enabled: true\n  brokers: a:9092,b:9092\n"
			      "  settings:\n    ssl.ca.location: /x\n    acks: 1\n"),
			 0);
	assert_string_equal(c.node_name, "n\xc3\xbc");
	assert_int_equal(c.output, OUTPUT_JSON);
	assert_true(c.per_call);
	assert_int_equal(c.fold_ms, 5000);
	assert_int_equal(c.ring_bytes, 8 << 20);
	assert_int_equal(c.tokens, 5000);
	assert_int_equal(c.headers.count, 2);
	assert_string_equal(c.headers.items[1], "x-two");
	assert_int_equal(c.parameters.count, 0);
	assert_string_equal(c.kafka_brokers, "a:9092,b:9092");
	assert_int_equal(c.kafka_settings.count, 2);
	assert_string_equal(c.kafka_settings.names[0], "ssl.ca.location");
	assert_string_equal(c.kafka_settings.values[1], "1");
	assert_int_equal(config_check(&c, &error), 0);
}

static void test_empty(void **state)
{
	assert_int_equal(load(""), 0);
	assert_int_equal(load("# nothing\n"), 0);
	assert_int_equal(load("node:\n"), 0);
	assert_int_equal(load("node: {name: }\n"), 0);
	assert_string_equal(c.node_name, "");
	assert_int_equal(load("kafka.brokers: h:1\n"), 0); /* a path in one piece is fine too */
	assert_string_equal(c.kafka_brokers, "h:1");
}

static void test_unknown(void **state)
{
	refused("kafka:\n  brokrs: x\n", "2:3",
		"unknown setting 'kafka.brokrs'; did you mean 'kafka.brokers'?");
	refused("kafak:\n  brokers: x\n", "1:1", "unknown setting 'kafak'; did you mean 'kafka'?");
	refused("node:\n  name: x\nbrokers: x\n", "3:1",
		"unknown setting 'brokers'; did you mean 'kafka.brokers'?");
	refused("output: {zzzzzzzzzzzzzzzzzz: 1}\n", "1:10",
		"unknown setting 'output.zzzzzzzzzzzzzzzzzz'; tokentrail.yaml(5) lists all, "
		"the nearest is 'output.format'");
	refused("kafka: &a\n  kafka: *a\n", "2:3",
		"unknown setting 'kafka.kafka'; tokentrail.yaml(5) lists all, the nearest "
		"is 'kafka.enabled'");
	refused("<<: {}\n", "1:1",
		"unknown setting '<<'; tokentrail.yaml(5) lists all, the "
		"nearest is 'key'");
}

static void test_twice(void **state)
{
	refused("node:\n  name: a\n  name: b\n", "3:3",
		"'name' stands twice, first in line 2; join them");
	refused("log:\n  level: info\nlog:\n  level: info\n", "3:1",
		"'log' stands twice, first in line 1; join them");
	refused("node.name: a\nnode:\n  name: b\n", "3:3", "'node.name' stands twice; remove one");
	refused("kafka:\n  settings:\n    acks: 1\n    acks: 2\n", "4:5",
		"'kafka.settings': 'acks' stands twice; remove one");
}

static void test_types(void **state)
{
	refused("node:\n  name: [a]\n", "2:9", "'node.name' is a list; it must be a text");
	refused("node: x\n", "1:7", "'node' is a section; put its settings below it, indented");
	refused("- node\n", "1:1", "the file must be 'name: value' pairs");
	refused("sources:\n  plain: maybe\n", "2:10",
		"'sources.plain' is 'maybe'; it must be true or false");
	refused("sources:\n  plain:\n", "2:9",
		"'sources.plain' is empty; it must be true or false");
	refused("output:\n  format: xml\n", "2:11",
		"'output.format' is 'xml'; it must be one of auto|table|json|none");
	refused("limits:\n  ring: 4MB\n", "2:9",
		"'limits.ring' is '4MB'; it must be a size from 256KiB "
		"to 256MiB (bytes, KiB, MiB or GiB), or 0");
	refused("credentials:\n  headers: x\n", "2:12",
		"'credentials.headers' is a single value; it must be a list of texts");
	refused("credentials:\n  headers: [x, a b]\n", "2:16", "'credentials.headers': 'a b' is no name (letters, digits and !#$%&'*+-.^_`|~, at most 48)");
	refused("credentials:\n  classes:\n    acme: prefix=acme_ length=0\n", "3:11",
		"'credentials.classes': class 'acme': length must be a number or a range within 8-65535");
	refused("credentials:\n  classes:\n    acme: {prefix: acme_}\n", "3:11",
		"'credentials.classes': the value of 'acme' must be a text");
	refused("mints:\n  endpoints: [/token2, token]\n", "2:24", "'mints.endpoints': 'token' is no path: it must be /... or * and the path's end, of at least six "
		"characters, without '?'; at most 32 characters on either side of *");
	refused("credentials:\n  headers: [x, {}]\n", "2:16",
		"'credentials.headers' has an entry that "
		"is no text; each must be one line of text");
	refused("kafka:\n  settings: [x]\n", "2:13",
		"'kafka.settings' is a list; it must be name: text pairs");
	refused("kafka:\n  settings:\n    ssl: {ca: x}\n", "3:10",
		"'kafka.settings': the value of 'ssl' "
		"must be a text; write names with dots, such as ssl.ca.location");
	refused("node:\n  name: \"a\\nb\"\n", "2:9",
		"'node.name' is '(control characters)'; it must be "
		"a text without control characters");
	refused("node:\n  name: \"a\\0b\"\n", "2:9",
		"'node.name' is a single value; it must be a text");
}

static void test_range(void **state)
{
	refused("output:\n  fold_interval: 99ms\n", "2:18",
		"'output.fold_interval' is '99ms', out of "
		"range; it must be a duration from 100ms to 1h (ms, s, min or h)");
	refused("limits:\n  connections: 1048577\n", "2:16",
		"'limits.connections' is '1048577', out of "
		"range; it must be a number from 1024 to 1048576, or 0");
	refused("limits:\n  tokens: 99999999999999999999\n", "2:11",
		"'limits.tokens' is "
		"'99999999999999999999', out of range; it must be a number from 100 to 10000000, or 0");
	assert_int_equal(load("output: {fold_interval: 100ms}\nlimits: {connections: 1048576}\n"),
			 0);
}

static void test_syntax(void **state)
{
	char want[128];

	assert_int_equal(load("node:\n  name: \"x\n"), -EINVAL);
	snprintf(want, sizeof(want), "%s:3:1: not YAML: ", path);
	assert_memory_equal(error.text, want, strlen(want));
	assert_int_equal(load("node:\n\tname: x\n"), -EINVAL);
	snprintf(want, sizeof(want), "%s:2:1: not YAML: ", path);
	assert_memory_equal(error.text, want, strlen(want));
	refused("node: {name: a}\n---\nnode: {name: b}\n", "3:1",
		"a second document; only one is read");
	assert_int_equal(load_bytes("node: \xff\xfe", 8), -EINVAL);
	assert_non_null(strstr(error.text, "UTF-8"));
	assert_int_equal(config_load_file(&c, "/nonexistent/x.yaml", &error), -ENOENT);
	assert_string_equal(error.text, "/nonexistent/x.yaml: No such file or directory");
	assert_int_equal(config_load_file(&c, "/", &error), -EISDIR);
}

/* The first lines are right, and still nothing of the file counts. */
static void test_whole(void **state)
{
	assert_int_equal(
		load("node:\n  name: a\ncredentials:\n  headers: [h]\nlog:\n  level: loud\n"),
		-EINVAL);
	assert_string_equal(c.node_name, "");
	assert_int_equal(c.headers.count, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_file),
		TEST(test_empty),
		TEST(test_unknown),
		TEST(test_twice),
		TEST(test_types),
		TEST(test_range),
		TEST(test_syntax),
		TEST(test_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
