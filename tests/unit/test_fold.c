/* SPDX-License-Identifier: Apache-2.0 */
/* Folding: first uses at once, repeats after the interval, and the counts always add up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/fold.h"
#include "sinks/sink.h"
#include "tokens/workload.h"

#define LIMIT 4
#define INTERVAL 1000

static struct use out[64];
static size_t outs;
static uint64_t total;
static struct fold *fold;
static uint64_t full_before;

static void take(void *ctx, const struct use *u)
{
	assert_ptr_equal(ctx, &outs);
	assert_true(u->count > 0);
	total += u->count;
	out[outs++ % 64] = *u;
}

static int setup(void **state)
{
	outs = 0;
	total = 0;
	full_before = agent_drops[TT_DROP_fold_full];
	return fold_new(LIMIT, INTERVAL, take, &outs, &fold);
}

static int teardown(void **state)
{
	fold_free(fold);
	return 0;
}

static struct use make(const char *path, uint16_t port, uint64_t at)
{
	struct use u = {
		.token_id = "tt1_a", .class_name = "", .kind = "", .scheme = "bearer",
		.carrier = "authorization", .length = 40, .dir = TT_DIR_EGRESS, .count = 1,
		.first_ns = at, .last_ns = at, .method = "GET", .version = 11, .status = 200,
		.pid = 10, .start_ns = 5, .peer_ip = "192.0.2.1", .peer_port = 443,
		.client_ip = "192.0.2.9", .client_port = port, .server_port = 443,
	};

	snprintf(u.path, sizeof(u.path), "%s", path);
	return u;
}

static void use(const char *path, uint16_t port, uint64_t now)
{
	struct use u = make(path, port, now);

	fold_use(fold, &u, now);
}

static void first_goes_out_at_once_repeats_wait(void **state)
{
	use("/a", 1000, 10);
	assert_int_equal(outs, 1);
	assert_int_equal(out[0].count, 1);
	assert_int_equal(out[0].client_port, 1000);
	use("/a", 1000, 20);
	use("/a", 1000, 30);
	fold_tick(fold, 20 + INTERVAL - 1);
	assert_int_equal(outs, 1);
	fold_tick(fold, 20 + INTERVAL);
	assert_int_equal(outs, 2);
	assert_int_equal(out[1].count, 2);
	assert_int_equal(out[1].first_ns, 20);
	assert_int_equal(out[1].last_ns, 30);
	assert_int_equal(out[1].client_port, 1000);
	fold_tick(fold, 100 * INTERVAL);
	assert_int_equal(outs, 2);
	use("/a", 1000, 200 * INTERVAL);
	assert_int_equal(outs, 2);
	fold_flush(fold);
	assert_int_equal(outs, 3);
	assert_int_equal(out[2].count, 1);
	assert_int_equal(out[2].first_ns, 200 * INTERVAL);
}

static void differing_client_ports_become_none(void **state)
{
	use("/a", 1000, 0);
	use("/a", 1001, 1);
	use("/a", 1001, 2);
	fold_flush(fold);
	assert_int_equal(out[1].client_port, 1001);
	use("/a", 1002, 3);
	use("/a", 1003, 4);
	fold_flush(fold);
	assert_int_equal(out[2].client_port, 0);
	assert_int_equal(out[2].peer_port, 443);
	assert_int_equal(total, 5);
}

static void ingress_peer_port_is_the_client_port(void **state)
{
	for (uint16_t port = 1; port <= 3; port++) {
		struct use u = make("/a", port, port);

		u.dir = TT_DIR_INGRESS;
		u.peer_port = port;
		fold_use(fold, &u, port);
	}
	assert_int_equal(outs, 1);
	fold_flush(fold);
	assert_int_equal(outs, 2);
	assert_int_equal(out[1].count, 2);
	assert_int_equal(out[1].peer_port, 0);
	assert_int_equal(out[1].client_port, 0);
}

static void any_other_difference_is_another_use(void **state)
{
	const struct use base = make("/a", 1, 0);
	struct use u[24];
	size_t n = sizeof(u) / sizeof(u[0]);
	struct fold *wide;

	for (size_t i = 0; i < n; i++)
		u[i] = base;
	u[0].token_id[4] = 'b';
	u[1].carrier[0] = 'x';
	u[2].length++;
	u[3].dir = TT_DIR_INGRESS;
	u[4].method[0] = 'P';
	u[5].path[1] = 'b';
	u[6].version = 10;
	u[7].status = 401;
	u[8].pid++;
	u[9].start_ns++;
	u[10].uid++;
	u[11].cgroup++;
	u[12].server_address[0] = 'h';
	u[13].server_port++;
	u[14].peer_ip[0] = '2';
	u[15].tls = TT_TLS_OPENSSL;
	u[16].executable[0] = '/';
	u[17].scheme = "token";
	u[18].has_grpc = true;
	u[19].has_grpc = true;
	u[19].grpc_status = 16;
	u[20].mcp_method[0] = 't';
	u[21].mcp_name[0] = 's';
	u[22].unreadable = true;
	u[23].unreadable = true;
	u[23].entry = 2;
	assert_int_equal(fold_new(100, INTERVAL, take, &outs, &wide), 0);
	fold_use(wide, &base, 0);
	for (size_t i = 0; i < n; i++) {
		fold_use(wide, &u[i], 0);
		assert_int_equal(outs, i + 2);
	}
	for (size_t i = 0; i < n; i++)
		fold_use(wide, &u[i], 0);
	assert_int_equal(outs, n + 1);
	fold_free(wide);
}

static void equal_text_at_other_addresses_is_equal(void **state)
{
	struct use u = make("/a", 1, 0);
	char scheme[] = "bearer";

	fold_use(fold, &u, 0);
	u.scheme = scheme;
	/* What stands behind the end of a text does not count. */
	memset(u.path + 3, 'x', sizeof(u.path) - 3);
	fold_use(fold, &u, 0);
	assert_int_equal(outs, 1);
}

/* Rows are packed: every member comes out as it went in, texts that fill their room too. */
static void a_repeat_says_all_that_the_first_said(void **state)
{
	struct use u = make("/a", 1, 5);
	const struct use *o = &out[1];

#define FILL(member) memset(u.member, 'a' + __COUNTER__ % 26, sizeof(u.member) - 1)
	FILL(token_id); FILL(key_id); FILL(carrier); FILL(public_id); FILL(account); FILL(method); FILL(path);
	FILL(mcp_method); FILL(mcp_name); FILL(process_name); FILL(executable); FILL(container_id);
	FILL(server_address); FILL(client_ip); FILL(peer_ip);
	u.class_name = "a_class_with_a_name_that_is_as_long";
	u.kind = "a kind";
	u.confidence = "high";
	u.checksum = "ok";
	u.unreadable = u.placeholder = u.has_grpc = true;
	u.entry = u.grpc_status = 3;
	u.uid = 4;
	u.cgroup = UINT64_MAX;
	u.tls = TT_TLS_GO;
	u.work = workload_new();
	fold_use(fold, &u, 0);
	fold_use(fold, &u, 0);
	fold_flush(fold);
	assert_int_equal(outs, 2);
#define SAME(member) assert_string_equal(o->member, u.member)
	SAME(token_id); SAME(key_id); SAME(carrier); SAME(public_id); SAME(account); SAME(method); SAME(path);
	SAME(mcp_method); SAME(mcp_name); SAME(process_name); SAME(executable); SAME(container_id);
	SAME(server_address); SAME(client_ip); SAME(peer_ip); SAME(class_name); SAME(kind); SAME(scheme);
	SAME(confidence); SAME(checksum);
#define EQUAL(member) assert_true(o->member == u.member)
	EQUAL(length); EQUAL(unreadable); EQUAL(entry); EQUAL(placeholder); EQUAL(dir); EQUAL(count); EQUAL(first_ns);
	EQUAL(last_ns); EQUAL(version); EQUAL(status); EQUAL(has_grpc); EQUAL(grpc_status); EQUAL(pid); EQUAL(start_ns);
	EQUAL(uid); EQUAL(cgroup); EQUAL(work); EQUAL(server_port); EQUAL(client_port); EQUAL(peer_port); EQUAL(tls);
	workload_drop(u.work);
}

static void full_table_writes_the_oldest_early(void **state)
{
	use("/0", 1, 0);
	use("/1", 1, 0);
	use("/2", 1, 0);
	use("/3", 1, 0);
	use("/0", 1, 1);
	use("/1", 1, 2);
	use("/2", 1, 3);
	use("/3", 1, 4);
	assert_int_equal(outs, 4);
	assert_int_equal(fold_count(fold), LIMIT);
	use("/4", 1, 5);
	assert_int_equal(outs, 6);
	assert_string_equal(out[4].path, "/0");
	assert_string_equal(out[5].path, "/4");
	assert_int_equal(agent_drops[TT_DROP_fold_full] - full_before, 1);
	assert_int_equal(fold_count(fold), LIMIT);
	fold_flush(fold);
	assert_int_equal(total, 9);
	/* Rows without a count make room without a loss. */
	use("/5", 1, 6);
	assert_int_equal(agent_drops[TT_DROP_fold_full] - full_before, 1);
	/* The one forgotten is new again. */
	use("/0", 1, 7);
	assert_int_equal(total, 11);
}

static void without_interval_each_goes_out(void **state)
{
	use("/a", 1, 0);
	use("/a", 1, 0);
	fold_set_interval(fold, 0);
	assert_int_equal(outs, 2);
	use("/a", 2, 0);
	use("/a", 3, 0);
	assert_int_equal(outs, 4);
	assert_int_equal(out[3].client_port, 3);
	assert_int_equal(total, 4);
}

static void counts_add_up(void **state)
{
	uint64_t in = 0;

	srandom(3);
	for (uint64_t now = 0; now < 50000; now++) {
		char path[16];

		snprintf(path, sizeof(path), "/%ld", random() % 7);
		use(path, (uint16_t)(random() % 3 + 1), now);
		in++;
		if (random() % 10 == 0)
			fold_tick(fold, now);
		assert_true(fold_count(fold) <= LIMIT);
	}
	assert_true(total < in);
	fold_flush(fold);
	assert_int_equal(total, in);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* Of several requests in one record the last one's name is told. */
static void the_last_request_id_stays(void **state)
{
	struct use u = make("/a", 1000, 10);

	fold_use(fold, &u, 10);
	for (int i = 1; i <= 3; i++) {
		snprintf(u.request_id, sizeof(u.request_id), "id-%d", i);
		if (i == 3)
			u.request_id[0] = 0;
		u.request_id_field = i < 3 ? "audit-id" : NULL;
		fold_use(fold, &u, 10);
	}
	fold_flush(fold);
	assert_int_equal(outs, 2);
	assert_string_equal(out[0].request_id, "");
	assert_int_equal(out[1].count, 3);
	assert_string_equal(out[1].request_id, "id-2");
	assert_string_equal(out[1].request_id_field, "audit-id");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_last_request_id_stays),
		TEST(first_goes_out_at_once_repeats_wait),
		TEST(differing_client_ports_become_none),
		TEST(ingress_peer_port_is_the_client_port),
		TEST(any_other_difference_is_another_use),
		TEST(equal_text_at_other_addresses_is_equal),
		TEST(a_repeat_says_all_that_the_first_said),
		TEST(full_table_writes_the_oldest_early),
		TEST(without_interval_each_goes_out),
		TEST(counts_add_up),
	};

	return cmocka_run_group_tests_name("fold", tests, NULL, NULL);
}
