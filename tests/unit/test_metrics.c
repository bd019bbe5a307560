/* SPDX-License-Identifier: Apache-2.0 */
/* The page of metrics: every metric of metrics.def once, its numbers, labels of hostile names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sinks/http.h"
#include "sinks/kafka.h"
#include "sinks/metrics.h"

static struct sink sink;
static struct coverage_workload rows[2];
static struct coverage_totals totals;
static char *page;

int http_new(int fd, const struct http_page *p, struct http **ret_http)
{
	assert_int_equal(fd, 5);
	assert_string_equal(p->path, "/metrics");
	*ret_http = (struct http *)rows;
	return 0;
}

void http_free(struct http *h)
{
}

int http_fd(const struct http *h)
{
	return 6;
}

void http_run(struct http *h)
{
}

void kafka_sink_status(const struct sink *s, struct kafka_status *ret_status)
{
	*ret_status = (struct kafka_status){ .waiting = 3, .acked = 4, .spool_bytes = 5 };
}

static int setup(void **state)
{
	memset(&totals, 0, sizeof(totals));
	totals.workload = rows;
	totals.limit = 2;
	return metrics_sink_new(5, &sink);
}

static int teardown(void **state)
{
	sink.ops->free(sink.self);
	free(page);
	page = NULL;
	return 0;
}

static void get_page(void)
{
	size_t len;

	free(page);
	page = NULL;
	assert_int_equal(metrics_sink_page(sink.self, &page, &len), 0);
	assert_int_equal(strlen(page), len);
	assert_int_equal(page[len - 1], '\n');
}

static bool has_line(const char *line)
{
	char text[512];

	snprintf(text, sizeof(text), "\n%s\n", line);
	return strstr(page, text);
}

static void assert_line(const char *line)
{
	if (!has_line(line))
		fail_msg("no line %s in\n%s", line, page);
}

static void every_metric_once(void **state)
{
	static const char *const names[] = {
#define TT_METRIC(member, type, name, unit, labels, help) "# TYPE " name " " #type "\n",
#include <tokentrail/metrics.def>
	};

	metrics_sink_watch(&sink, &totals, &sink);
	get_page();
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *at = strstr(page, names[i]);

		if (!at || strstr(at + 1, names[i]))
			fail_msg("not once: %s", names[i]);
	}
	assert_line("tokentrail_kafka_waiting 3");
	assert_line("tokentrail_kafka_acknowledged_total 4");
	assert_line("tokentrail_kafka_spool_bytes 5");
	/* A share of nothing is none. */
	assert_null(strstr(page, "\ntokentrail_coverage_ratio"));
	metrics_sink_watch(&sink, NULL, NULL);
	get_page();
	assert_null(strstr(page, "kafka_waiting"));
	assert_null(strstr(page, "tls_bytes"));
	assert_int_equal(metrics_sink_fd(&sink), 6);
}

static void numbers(void **state)
{
	struct coverage c = { .wire = { 100, 300 }, .covered = { 100, 200 }, .plain = { 50, 60 },
			      .sockets = 7, .blind_sockets = 2, .status = COVERAGE_PARTIAL };
	struct use u = { .dir = TT_DIR_EGRESS, .tls = TT_TLS_GO, .count = 3 };
	struct metrics_counters counters = { .files_probed = 8, .probes = 9, .ready = true };

	struct budget budget = { .bytes = { [BUDGET_RING] = 4096 }, .total = 4096 };

	metrics_sink_memory(&sink, 8192, &budget);
	counters.drops[TT_DROP_ring_full] = UINT64_MAX;
	metrics_sink_counters(&sink, &counters);
	metrics_sink_watch(&sink, &totals, NULL);
	coverage_add(&totals.node, &c);
	coverage_add(coverage_totals_get(&totals, COVERAGE_UNIT, "a\"b\\c\nd"), &c);
	coverage_add(&totals.other, &c);
	assert_int_equal(sink.ops->use(sink.self, &u), 0);
	u.dir = TT_DIR_INGRESS;
	u.tls = TT_TLS_NONE;
	assert_int_equal(sink.ops->use(sink.self, &u), 0);
	assert_int_equal(sink.ops->use(sink.self, &u), 0);
	u.tls = 999;	/* of a kernel that is newer: not counted, no harm */
	assert_int_equal(sink.ops->use(sink.self, &u), 0);
	get_page();
	assert_line("tokentrail_build_info{version=\"" TT_VERSION "\"} 1");
	assert_line("tokentrail_ready 1");
	assert_line("tokentrail_memory_limit_bytes 8192");
	assert_line("tokentrail_memory_planned_bytes{part=\"ring\"} 4096");
	assert_line("tokentrail_memory_planned_bytes{part=\"tokens\"} 0");
	assert_line("tokentrail_files_probed 8");
	assert_line("tokentrail_probes 9");
	assert_line("tokentrail_not_reported_total{reason=\"ring_full\"} 18446744073709551615");
	assert_line("tokentrail_not_reported_total{reason=\"agent_died\"} 0");
	assert_line("tokentrail_uses_total{direction=\"egress\",tls_library=\"go\"} 3");
	assert_line("tokentrail_uses_total{direction=\"ingress\",tls_library=\"none\"} 6");
	assert_line("tokentrail_uses_total{direction=\"ingress\",tls_library=\"go\"} 0");
	assert_line("tokentrail_tls_bytes_total{direction=\"sent\"} 100");
	assert_line("tokentrail_tls_bytes_total{direction=\"received\"} 300");
	assert_line("tokentrail_tls_covered_bytes_total{direction=\"received\"} 200");
	assert_line("tokentrail_tls_plaintext_bytes_total{direction=\"sent\"} 50");
	assert_line("tokentrail_tls_sockets_total 7");
	assert_line("tokentrail_tls_blind_sockets 2");
	assert_line("tokentrail_tls_processes{status=\"partial\"} 1");
	assert_line("tokentrail_tls_processes{status=\"blind\"} 0");
	assert_line("tokentrail_coverage_ratio{scope=\"node\"} 0.75");
	assert_line("tokentrail_workload_tls_bytes_total{kind=\"other\",workload=\"\"} 400");
}

static void names_are_escaped(void **state)
{
	struct coverage c = { .wire = { 1, 1 }, .covered = { 1, 1 } };

	metrics_sink_watch(&sink, &totals, NULL);
	coverage_add(coverage_totals_get(&totals, COVERAGE_UNIT, "a\"b\\c"), &c);
	get_page();
	assert_line("tokentrail_workload_tls_covered_bytes_total{kind=\"unit\",workload=\"a\\\"b\\\\c\"} 2");
	assert_line("tokentrail_coverage_ratio{scope=\"workload\",kind=\"unit\","
		    "workload=\"a\\\"b\\\\c\"} 1");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_metric_once),
		TEST(numbers),
		TEST(names_are_escaped),
	};

	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
