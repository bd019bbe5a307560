/* SPDX-License-Identifier: Apache-2.0 */
/* bpf/fold.bpf.h: repeats are no records but counts, and no request is counted twice or not at all. */
#include "h2_rig.h"

#include "agent/rows.h"
#include "sinks/sink.h"

#include <pthread.h>
#include <stdatomic.h>

#define FEW_ROWS 256		/* a fourth of the connections: src/monitor/sizes.c */
#define WAIT_NS 1000000000ULL	/* ROW_IDLE_NS, bpf/fold.bpf.h */
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define DENIED "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
#define ENDS 2			/* of a connection: both are seen */

/* What the agent's reader of the rows hands on, of this process. */
static struct rows *rows;
static struct {
	uint64_t count, by_status[1000], ports[2];	/* uses whose client port is [0] not known, [1] known */
} got;

static void on_done(void *ctx, const struct tt_ev_use *ev, struct outcome outcome)
{
	uint64_t n = 1 + outcome.more;

	if (ev->h.tgid != (uint32_t)getpid())
		return;
	got.count += n;
	got.by_status[outcome.status] += n;
	got.ports[(ev->dir == TT_DIR_EGRESS ? ev->h.tuple.local_port : ev->h.tuple.remote_port) != 0] += n;
}

static void open_rows(void)
{
	assert_int_equal(rows_open(bpf_sensor_rows_fd(rig.sensor), bpf_sensor_marks_fd(rig.sensor), 30 * WAIT_NS,
				   on_done, NULL, &rows), 0);
}

/* One server for all connections of a file. */
static int listener = -1;

static void connect_pair(int pair[2])
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &len), 0);
	pair[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(pair[0], (struct sockaddr *)&a, sizeof(a)), 0);
	pair[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(pair[1] >= 0);
}

static int fold_setup(void **state)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(listener, 16), 0);
	rig_fold = true;
	setup(state);
	open_rows();
	return 0;
}

static int few_setup(void **state)
{
	rig_connections = 4 * FEW_ROWS;
	rig_ring = 1 << 20;	/* quickly full */
	return fold_setup(state);
}

static int fold_teardown(void **state)
{
	rows_free(rows);
	close(listener);
	return teardown(state);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

static void look_at_rows(void)
{
	for (size_t i = 0; i < rig.ends; i++)
		rows_end(rows, &rig.ended[i]);
	for (size_t i = 0; i < rig.told; i++)
		rows_status(rows, &rig.row_status[i], now_ns());
	rig.ends = rig.told = 0;
	rows_look(rows, now_ns());
}

/* So many records as the rig surely has room for; whether there may be more. */
static bool take_some(void)
{
	int n = ring_drain(rig.ring, RIG_ROWS);

	assert_true(n >= 0);
	return n == RIG_ROWS;
}

/* What records and rows say up to now. */
static void collect(void)
{
	bool more;

	do {
		more = take_some();
		look_at_rows();
	} while (more);
}

static int begin(void **state)
{
	connect_pair(fd);
	collect();
	rig_clear(&rig);
	memset(&got, 0, sizeof(got));
	return 0;
}

static void pass(int from, int to, const char *bytes)
{
	size_t len = strlen(bytes);
	char buf[8192];

	assert_int_equal(write(from, bytes, len), len);
	for (ssize_t n; len; len -= (size_t)n) {
		n = read(to, buf, len);
		assert_true(n > 0);
	}
}

static void request(const char *token, const char *path)
{
	char head[1024];

	snprintf(head, sizeof(head), "GET %s HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer %s\r\n\r\n", path, token);
	pass(fd[0], fd[1], head);
}

static void ask(const char *token, const char *path, const char *answer)
{
	request(token, path);
	pass(fd[1], fd[0], answer);
}

static void test_repeats(void **state)
{
	ask("repeats", "/a", OK);
	collect();
	assert_int_equal(rig.uses, ENDS);
	assert_int_equal(rig.statuses, ENDS);
	assert_int_equal(got.count, 0);
	for (int i = 0; i < 100; i++)
		ask("repeats", "/a", OK);
	collect();
	assert_int_equal(rig.uses, ENDS);
	assert_int_equal(rig.statuses, ENDS);
	assert_int_equal(got.count, 100 * ENDS);
	assert_int_equal(got.by_status[200], 100 * ENDS);
	assert_int_equal(got.ports[1], 100 * ENDS);
	collect();
	assert_int_equal(got.count, 100 * ENDS);
}

/* Each of these is another use: a record at once. */
static void test_distinct(void **state)
{
	static const char *const heads[] = {
		"GET /b HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer distinct\r\n\r\n",
		"PUT /b HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer distinct\r\n\r\n",
		"GET /c HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer distinct\r\n\r\n",
		"GET /b HTTP/1.1\r\nHost: other.test\r\nAuthorization: Bearer distinct\r\n\r\n",
		"GET /b HTTP/1.0\r\nHost: api.test\r\nAuthorization: Bearer distinct\r\n\r\n",
		"GET /b HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer distincT\r\n\r\n",
		"GET /b HTTP/1.1\r\nHost: api.test\r\nX-Api-Key: distinct\r\n\r\n",
		"GET /b HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer distinct\r\nX-Api-Key: another\r\n\r\n",
		"GET /b HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer distinct\r\nMcp-Method: tools/call\r\n\r\n",
		"GET /b HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer distinct\r\nMcp-Method: tools/list\r\n\r\n",
	};
	const size_t n = sizeof(heads) / sizeof(heads[0]);

	for (size_t i = 0; i < n; i++) {
		pass(fd[0], fd[1], heads[i]);
		pass(fd[1], fd[0], OK);
	}
	collect();
	assert_int_equal(rig.uses, n * ENDS);
	assert_int_equal(rig.statuses, n * ENDS);
	assert_int_equal(got.count, 0);
}

/* Another connection is the same use; the client's port is none then. */
static void test_connections(void **state)
{
	ask("connections", "/a", OK);
	for (int i = 0; i < 5; i++) {
		pair_down(state);
		connect_pair(fd);
		ask("connections", "/a", OK);
		ask("connections", "/a", OK);
	}
	collect();
	assert_int_equal(rig.uses, ENDS);
	assert_int_equal(got.count, 10 * ENDS);
	assert_int_equal(got.ports[0], 10 * ENDS);
	ask("connections", "/a", OK);
	collect();
	assert_int_equal(got.ports[1], ENDS);
}

static void test_status(void **state)
{
	ask("status", "/a", OK);
	ask("status", "/a", OK);
	collect();
	rig_clear(&rig);
	ask("status", "/a", DENIED);
	rig_collect(&rig);
	assert_int_equal(rig.told, ENDS);	/* at once, and not the agent's timer */
	for (size_t i = 0; i < rig.told; i++) {
		assert_int_equal(rig.row_status[i].status, 403);
		assert_int_equal(rig.row_status[i].flags, TT_STATUS_ROW);
		rows_status(rows, &rig.row_status[i], now_ns());
	}
	assert_int_equal(got.by_status[403], ENDS);
	rig_clear(&rig);
	ask("status", "/a", DENIED);
	rig_collect(&rig);
	assert_int_equal(rig.told + rig.uses + rig.statuses, 0);
	collect();
	assert_int_equal(got.by_status[403], 2 * ENDS);
	assert_int_equal(got.by_status[200], ENDS);
}

/* More statuses than a row has room for: the others come alone. */
static void test_many_statuses(void **state)
{
	char answer[128];

	ask("statuses", "/a", OK);
	for (int round = 0; round < 3; round++) {
		for (int status = 400; status < 400 + TT_ROW_STATUSES + 3; status++) {
			snprintf(answer, sizeof(answer), "HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n", status);
			ask("statuses", "/a", answer);
		}
		collect();
		assert_int_equal(got.count, (round + 1) * (TT_ROW_STATUSES + 3) * ENDS);
	}
	for (int status = 400; status < 400 + TT_ROW_STATUSES + 3; status++)
		assert_int_equal(got.by_status[status], 3 * ENDS);
	assert_int_equal(rig.uses, ENDS);
}

/* A connection's end is seen some time after it. */
static void collect_until(uint64_t count)
{
	collect();
	for (int i = 0; i < 200 && got.count < count; i++) {
		usleep(1000);
		collect();
	}
	assert_int_equal(got.count, count);
}

/* Pipelined ones, an answer that never comes, and interim ones. */
static void test_answers(void **state)
{
	ask("answers", "/a", OK);
	for (int i = 0; i < 7; i++)
		request("answers", "/a");
	pass(fd[1], fd[0], "HTTP/1.1 103 Early Hints\r\nLink: </s>\r\n\r\n");
	for (int i = 0; i < 5; i++)
		pass(fd[1], fd[0], i % 2 ? OK : DENIED);
	collect();
	rig_await(&rig, rig.uses, rig.statuses);
	/* Four wait in rows, the others as records. */
	assert_int_equal(rig.uses, (1 + 3) * ENDS);
	assert_int_equal(got.count, 4 * ENDS);
	assert_int_equal(got.by_status[403], 2 * ENDS);
	request("answers", "/a");
	pair_down(state);
	collect_until(5 * ENDS);
	assert_int_equal(got.by_status[0], ENDS);
	connect_pair(fd);
}

/* A server says why it ends a connection on which nothing waits: that answers no request, elsewhere neither. */
static void test_unasked_answer(void **state)
{
	const int n = 100;	/* more than a connection remembers */
	int other[2];

	for (int i = 0; i < 1 + n; i++)
		ask("unasked", "/a", OK);
	collect();
	assert_int_equal(got.count, n * ENDS);
	memcpy(other, fd, sizeof(other));
	connect_pair(fd);
	for (int i = 0; i < 4; i++)
		request("unasked", "/a");
	pass(other[1], other[0], "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
	close(other[0]);
	close(other[1]);
	usleep(100000);
	collect();
	for (int i = 0; i < 4; i++)
		pass(fd[1], fd[0], DENIED);
	collect();
	assert_int_equal(got.count, (n + 4) * ENDS);
	assert_int_equal(got.by_status[403], 4 * ENDS);
	assert_int_equal(got.by_status[0] + got.by_status[408], 0);
}

/* ---- HTTP/2 ---- */

static void h2_request(uint32_t id, const char *bearer)
{
	pseudo("/");
	h2w_value(&block, H2W_PLAIN, 23, bearer, true);
	pass_block(0, id, last);
}

/* Streams that are answered, reset, above the one that GOAWAY names, and open when the connection ends. */
static void test_streams(void **state)
{
	prefaces();
	for (uint32_t id = 1; id <= 13; id += 2)
		h2_request(id, "Bearer streams");
	answer_with(3, 8);
	h2w_rst(&out, 5, 8);
	carry(0);
	collect();
	assert_int_equal(rig.uses, ENDS);
	assert_int_equal(got.by_status[200], ENDS);
	assert_int_equal(got.by_status[0], ENDS);
	h2w_goaway(&out, 9, 0);
	carry(1);
	collect();
	assert_int_equal(got.count, 4 * ENDS);
	assert_int_equal(got.by_status[0], 3 * ENDS);
	answer_with(7, 8);
	pair_down(state);
	collect_until(6 * ENDS);
	assert_int_equal(got.by_status[200], 2 * ENDS);
	assert_int_equal(got.by_status[0], 4 * ENDS);
	connect_pair(fd);
	ask("streams", "/", OK);	/* HTTP/1: another use */
	collect();
	assert_int_equal(rig.uses, 2 * ENDS);
}

/* As many as most servers allow at once: what is not looked at when the connection ends waits for its time. Looked at
 * are the last ones, and those that the connection's row has (bpf/stream.bpf.h): the first ones, but one is answered. */
static void test_many_streams(void **state)
{
	const int n = 100, looked_at = 64 + 7;

	prefaces();
	for (int i = 0; i <= n; i++)
		h2_request((uint32_t)(1 + 2 * i), "Bearer many");
	answer_with(1, 8);
	collect();
	assert_int_equal(got.count, 0);
	pair_down(state);
	collect_until(looked_at * ENDS);
	rows_flush(rows, now_ns());
	assert_int_equal(got.count, n * ENDS);
	assert_int_equal(got.by_status[0], n * ENDS);
	connect_pair(fd);
}

/* Of tests with more records than the rig has room for: how many there were, and what was lost before. */
static struct { uint64_t uses, statuses, ends, lost; } told;

static void tally_begin(void)
{
	memset(&told, 0, sizeof(told));
	told.lost = rig_dropped(&rig, TT_DROP_ring_full);
}

static bool is_mine(const struct tt_ev_row *ended)
{
	return ended->was.use.h.tgid == (uint32_t)getpid();
}

static void tally(void)
{
	bool more;

	do {
		more = take_some();
		told.uses += rig.uses;
		told.statuses += rig.statuses;
		for (size_t i = 0; i < rig.ends; i++)
			told.ends += is_mine(&rig.ended[i]);
		rig.uses = rig.statuses = 0;
		look_at_rows();
	} while (more);
}

static uint64_t lost(void)
{
	return rig_dropped(&rig, TT_DROP_ring_full) - told.lost;
}

static uint64_t sum(void)
{
	return told.uses + got.count + told.statuses + got.by_status[200];
}

/*
 * All that was asked is in records and rows, but for what found no room in the ring, where a machine is too busy for
 * who empties it. A use that was lost has no status; those of other programs may be among the lost. The last
 * records may stand behind one that another program's call has begun to write.
 */
static void assert_told(uint64_t requests)
{
	const uint64_t all = requests * ENDS;

	tally();
	for (int quiet = 0; quiet < 2000 && sum() < 2 * all; quiet++) {
		uint64_t before = sum();

		usleep(1000);
		tally();
		if (sum() > before)
			quiet = 0;
	}
	assert_in_range(told.uses + got.count, 0, all);
	assert_true(told.uses + got.count + lost() >= all);
	assert_in_range(told.statuses + got.by_status[200], 0, all);
	assert_true(told.statuses + got.by_status[200] + lost() >= all);
}

/* The first ones of each use and its repeats. */
static void assert_uses(uint64_t requests)
{
	tally();
	for (int i = 0; i < 2000 && told.uses + got.count + lost() < requests * ENDS; i++) {
		usleep(1000);
		tally();
	}
	assert_in_range(told.uses + got.count, 0, requests * ENDS);
	assert_true(told.uses + got.count + lost() >= requests * ENDS);
}

/* A row that waits for an answer is nobody else's, however long nobody used it. */
static void test_waiting(void **state)
{
	char token[64];
	int waits[2];

	ask("waits", "/w", OK);
	request("waits", "/w");
	collect();
	usleep(WAIT_NS / 1000 + 100000);
	memcpy(waits, fd, sizeof(fd));
	connect_pair(fd);
	for (int i = 0; i < 4 * FEW_ROWS; i++) {
		snprintf(token, sizeof(token), "presses-%d", i);
		ask(token, "/w", OK);
		collect();
	}
	pass(waits[1], waits[0], DENIED);
	close(waits[0]);
	close(waits[1]);
	collect_until(ENDS);
	assert_int_equal(got.by_status[403], ENDS);
}

/* A row that another use needs is told of with its counts; one that was just used stays. */
static void test_pressure(void **state)
{
	uint64_t asked = 0;
	char token[64];

	tally_begin();
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 3 * FEW_ROWS; i++) {
			snprintf(token, sizeof(token), "pressure-%d-%d", round, i);
			for (int n = 0; n < 3; n++, asked++)
				ask(token, "/p", OK);
			tally();
		}
		usleep(WAIT_NS / 1000 + 100000);
	}
	assert_told(asked);
	assert_true(told.ends > FEW_ROWS / 2);
	assert_true(got.count > FEW_ROWS);	/* some were added up */
}

/* While the ring is full no row is taken that has counted something; what becomes no record is counted. */
static void test_full_ring(void **state)
{
	uint64_t before, lost, asked = 0, statuses = 0;
	char token[64];
	bool more;

	usleep(WAIT_NS / 1000 + 100000);
	tally_begin();
	for (int i = 0; i < FEW_ROWS / 4; i++) {
		snprintf(token, sizeof(token), "row-%d", i);
		ask(token, "/a", OK);
		ask(token, "/a", OK);
		tally();
	}
	assert_uses(FEW_ROWS / 2);
	memset(&got, 0, sizeof(got));
	rig_clear(&rig);
	before = rig_dropped(&rig, TT_DROP_ring_full);
	for (int i = 0; rig_dropped(&rig, TT_DROP_ring_full) < before + 50; i++, asked++) {
		snprintf(token, sizeof(token), "full-%d", i);
		ask(token, "/f", OK);
	}
	usleep(WAIT_NS / 1000 + 100000);
	for (int i = 0; i < 4 * FEW_ROWS; i++, asked++) {
		snprintf(token, sizeof(token), "fuller-%d", i);
		ask(token, "/f", OK);
	}
	lost = rig_dropped(&rig, TT_DROP_ring_full) - before;
	assert_true(lost > 4 * FEW_ROWS);
	do {
		more = take_some();
		statuses += rig.statuses;
		rig.uses = rig.statuses = 0;
	} while (more);
	/* A request that was not reported has no status to report. Other programs' requests may be among the lost. */
	assert_true(statuses < asked * ENDS);
	assert_true(statuses + lost >= asked * ENDS);
	for (size_t i = 0; i < rig.ends; i++)	/* those of the tests before were taken while there was room */
		assert_false(is_mine(&rig.ended[i]) && !memcmp(rig.ended[i].was.use.path, "/a", 2));
	/* Those that had repeats are there, and go on counting. */
	tally_begin();
	for (int i = 0; i < FEW_ROWS / 4; i++) {
		snprintf(token, sizeof(token), "row-%d", i);
		ask(token, "/a", OK);
	}
	assert_uses(FEW_ROWS / 4);
	assert_true(got.count > 0);
}

/* The next agent finds what the last one has taken, and its own. */
static void test_next_agent(void **state)
{
	ask("agent", "/a", OK);
	for (int i = 0; i < 10; i++)
		ask("agent", "/a", OK);
	collect();
	assert_int_equal(got.count, 10 * ENDS);
	rows_free(rows);
	for (int i = 0; i < 10; i++)
		ask("agent", "/a", OK);
	bpf_sensor_forget(rig.sensor);
	open_rows();
	for (int i = 0; i < 10; i++)
		ask("agent", "/a", OK);
	collect();
	assert_int_equal(got.count, 30 * ENDS);
	assert_int_equal(rig.uses, ENDS);
}

static void test_per_call(void **state)
{
	ask("call", "/a", OK);
	bpf_sensor_fold(rig.sensor, false);
	for (int i = 0; i < 5; i++)
		ask("call", "/a", OK);
	collect();
	bpf_sensor_fold(rig.sensor, true);
	assert_int_equal(rig.uses, 6 * ENDS);
	assert_int_equal(rig.statuses, 6 * ENDS);
	assert_int_equal(got.count, 0);
}

/* What a response says of the credential is told when it is news, of a repeat too. */
static void test_said(void **state)
{
	static const char first[] = "HTTP/1.1 200 OK\r\nX-OAuth-Scopes: repo\r\nContent-Length: 0\r\n\r\n";
	static const char second[] = "HTTP/1.1 200 OK\r\nX-OAuth-Scopes: repo, gist\r\nContent-Length: 0\r\n\r\n";

	ask("said", "/a", first);
	ask("said", "/a", first);
	collect();
	rig_clear(&rig);
	ask("said", "/a", second);
	rig_collect(&rig);
	assert_int_equal(rig.told, 1);	/* the other end was told of it by then */
	assert_true(rig.row_status[0].text_len > 0);
	assert_int_equal(rig.row_status[0].flags, TT_STATUS_ROW);
	ask("said", "/a", second);
	rig_collect(&rig);
	assert_int_equal(rig.told, 1);
	collect();
	assert_int_equal(got.count, 3 * ENDS);
}

/* ---- many CPUs ---- */

#define THREADS 4
#define ROUNDS 4000

static _Atomic uint64_t asked;

static void *race(void *arg)
{
	const int tokens = FEW_ROWS;	/* and each is a use at both ends */
	char head[256], buf[512];
	int pair[2];

	memcpy(pair, arg, sizeof(pair));
	for (int i = 0; i < ROUNDS; i++) {
		int len = snprintf(head, sizeof(head), "GET /r HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer race-%d\r\n\r\n",
				   i * 5 % tokens);

		if (write(pair[0], head, (size_t)len) != len || read(pair[1], buf, (size_t)len) != len ||
		    write(pair[1], OK, strlen(OK)) != (ssize_t)strlen(OK) ||
		    read(pair[0], buf, strlen(OK)) != (ssize_t)strlen(OK))
			break;
		atomic_fetch_add(&asked, 1);
		if (i % 1000 == 999)
			usleep(WAIT_NS / 1000 + 50000);	/* rows may be taken again */
	}
	close(pair[0]);
	close(pair[1]);
	return NULL;
}

/* Threads that share rows, take them from each other, and are read meanwhile. */
static void test_race(void **state)
{
	int pairs[THREADS][2];
	pthread_t thread[THREADS];

	tally_begin();
	atomic_store(&asked, 0);
	for (size_t i = 0; i < THREADS; i++) {
		connect_pair(pairs[i]);
		assert_int_equal(pthread_create(&thread[i], NULL, race, pairs[i]), 0);
	}
	for (int i = 0; i < THREADS; ) {
		tally();
		i += pthread_tryjoin_np(thread[i], NULL) == 0;
	}
	assert_int_equal(asked, THREADS * ROUNDS);
	assert_told(asked);
	assert_true(got.count > 0);
	print_message("%llu requests: %llu records, %llu ends of rows\n", (unsigned long long)asked,
		      (unsigned long long)told.uses, (unsigned long long)told.ends);
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, pair_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_repeats),	T(test_distinct),  T(test_connections), T(test_status),
		T(test_many_statuses), T(test_answers),   T(test_next_agent),
		T(test_per_call),	T(test_said),	   T(test_unasked_answer), T(test_streams),
		T(test_many_streams),
	};
	const struct CMUnitTest few[] = { T(test_waiting), T(test_pressure), T(test_race), T(test_full_ring) };

	return cmocka_run_group_tests_name("enough rows", tests, fold_setup, fold_teardown) +
	       cmocka_run_group_tests_name("too few", few, few_setup, fold_teardown);
}
