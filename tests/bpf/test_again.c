/* SPDX-License-Identifier: Apache-2.0 */
/* bpf/again.bpf.h: a head that comes again whole is counted where the last one was, and any other one is read. */
#include "count_rig.h"

#include <inttypes.h>
#include <sys/prctl.h>

#define HEAD_MAX 4096
#define LONG 1500		/* more than a window */
#define LEARNED 3		/* heads until one is kept: the first shows that it is HTTP, then its length is known, then its hash */
#define OK "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 0\r\n\r\n"
#define MADE "HTTP/1.1 201 OK\r\nServer: nginx\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 0\r\n\r\n"

static char secret[LONG + 1];	/* of the test that runs, and no other */

static const char *head_of(char *to, const char *line, const char *more)
{
	snprintf(to, HEAD_MAX, "%s HTTP/1.1\r\nHost: api.test\r\nAccept: */*\r\nAuthorization: Bearer %s\r\n%s\r\n", line, secret,
		 more);
	return to;
}

static void ask_head(const char *head, const char *answer)
{
	pair_pass(0, head, strlen(head));
	pair_pass(1, answer, strlen(answer));
}

static void ask(const char *line, const char *answer)
{
	char head[HEAD_MAX];

	ask_head(head_of(head, line, ""), answer);
}

/* ---- what was counted ---- */

/* Of this test's token. */
static struct counted counted(const char *path)
{
	return rows_counted(secret, path);
}

static void assert_counted(const char *path, uint64_t requests)
{
	assert_int_equal(counted(path).uses, 2 * requests);
}

static uint64_t ends[2];	/* the pair's two connections */

/* Makes a first request, which tells both connections. */
static void meet(const char *line)
{
	size_t n = 0;

	rig_clear(&rig);
	ask(line, OK);
	for (int i = 0; i < 2000 && own_uses() < 2; i++)
		usleep(1000);
	for (size_t i = 0; i < rig.uses && n < 2; i++)
		if (rig.use[i].h.tgid == (uint32_t)getpid())
			ends[n++] = rig.use[i].h.conn;
	assert_int_equal(n, 2);
}

/* Fields that are read leave a row there: bpf/repeat.bpf.h. In how many directions were some read since the last
 * question? A request has two, and so has its answer. */
static int was_read(void)
{
	struct { uint64_t conn; uint32_t dir, epoch; } key, at;
	int map = rig_map("repeats"), n = 0;
	bool first = true;

	while (!bpf_map_get_next_key(map, first ? NULL : &at, &key)) {
		if (key.conn == ends[0] || key.conn == ends[1])
			n += !bpf_map_delete_elem(map, &key);
		else
			at = key, first = false;
	}
	return n;
}

/* From here on heads like these are known, whatever had to leave the table of fields meanwhile. */
static void learn(const char *line)
{
	meet(line);
	for (int i = 1; i < LEARNED; i++) {
		was_read();
		ask(line, OK);
	}
	was_read();
}

/* Losses that none of these tests is about: a test that fails for want of what was lost says so. */
static const struct { enum tt_drop reason; const char *name; } losses[] = {
#define L(name) { TT_DROP_##name, #name }
	L(ring_full), L(scratch_busy), L(user_fault), L(partial_lost), L(conn_table_full), L(call_lost), L(gap),
};
static uint64_t lost[sizeof(losses) / sizeof(losses[0])];	/* before the test */

static int end(void **state)
{
	int ret = 0;

	pair_down(state);
	for (size_t i = 0; i < sizeof(losses) / sizeof(losses[0]); i++) {
		uint64_t now = rig_dropped(&rig, losses[i].reason);

		if (now == lost[i])
			continue;
		print_error("lost: %s %" PRIu64 "\n", losses[i].name, now - lost[i]);
		ret = -1;
	}
	return ret;
}

static int begin(void **state)
{
	static unsigned int number, seed = 1;

	pair_up(state);
	/* None that was there before: another connection's port may be, and then its first use would be a repeat. */
	for (size_t i = 0; i < LONG; i++) {
		seed = seed * 1103515245 + 12345;
		secret[i] = (char)('a' + (seed >> 16) % 26);
	}
	secret[900 + number++ % 100] = '\0';
	for (size_t i = 0; i < sizeof(losses) / sizeof(losses[0]); i++)
		lost[i] = rig_dropped(&rig, losses[i].reason);
	return 0;
}

/* ---- tests ---- */

static void test_hit(void **state)
{
	struct counted c;

	learn("GET /hit");
	assert_counted("/hit", LEARNED - 1);
	rig_clear(&rig);
	for (int i = 0; i < 50; i++)
		ask("GET /hit", OK);
	assert_int_equal(was_read(), 0);
	c = counted("/hit");
	assert_int_equal(c.uses, 2 * (LEARNED - 1 + 50));
	assert_int_equal(c.by_status[200], c.uses);
	assert_int_equal(own_uses(), 0);
}

/* A head of a window and more; pieces of less than eight bytes at its end. */
static void test_long(void **state)
{
	for (size_t len = 1480; len < 1490; len++) {
		assert_int_equal(end(state), 0);
		begin(state);
		for (size_t i = strlen(secret); i < len; i++)
			secret[i] = (char)('a' + i % 26);
		secret[len] = '\0';
		learn("GET /long");
		ask("GET /long", OK);
		assert_int_equal(was_read(), 0);
		assert_counted("/long", LEARNED);
	}
}

/* Another byte anywhere is seen. */
static void test_one_byte(void **state)
{
	char head[HEAD_MAX], other[HEAD_MAX];

	head_of(head, "GET /byte", "");
	for (size_t i = 0; i < strlen(head) - 4; i += i < 60 ? 1 : 37) {
		assert_int_equal(end(state), 0);
		begin(state);
		secret[900] = '\0';
		head_of(head, "GET /byte", "");
		learn("GET /byte");
		memcpy(other, head, sizeof(other));
		if (!strchr("\r\n :", other[i]) && i >= 4)
			other[i] = other[i] == 'Z' ? 'Y' : 'Z';
		else
			continue;
		ask_head(other, OK);
		assert_true(was_read() >= 2);
	}
	/* So many uses may leave the next test's no row, which are then counted otherwise: until these are idle. */
	usleep(IDLE_NS / 1000 + 100000);
}

static void test_paths(void **state)
{
	learn("GET /paths");
	ask("GET /pathS", OK);
	ask("GET /pathS", OK);
	ask("GET /paths", OK);
	assert_counted("/paths", LEARNED);
	assert_counted("/pathS", 1);
	/* what is kept is the last one's again */
	for (int i = 0; i < LEARNED; i++)
		ask("GET /pathS", OK);
	was_read();
	ask("GET /pathS", OK);
	assert_int_equal(was_read(), 0);
	assert_counted("/pathS", 2 + LEARNED);
}

static void test_statuses(void **state)
{
	struct counted c;

	learn("GET /status");
	ask("GET /status", MADE);
	assert_int_equal(was_read(), 2);
	ask("GET /status", OK);
	ask("GET /status", MADE);
	c = counted("/status");
	assert_int_equal(c.by_status[200], 2 * LEARNED);
	assert_int_equal(c.by_status[201], 2 * 2);
}

/* The bodies are passed over as the heads say, and what comes behind them is a head again. */
static void test_bodies(void **state)
{
	static const char body[] = "GET /no HTTP/1.1\r\n", answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: nginx\r\n"
								      "Content-Type: text/plain; charset=utf-8\r\n\r\nHTTP/";
	char head[HEAD_MAX];

	meet("GET /meet");
	head_of(head, "POST /body", "Content-Length: 18\r\n");
	for (int i = 0; i < 20; i++) {
		if (i == 10)
			was_read();
		pair_pass(0, head, strlen(head));
		pair_pass(0, body, strlen(body));
		pair_pass(1, answer, strlen(answer));
	}
	assert_int_equal(was_read(), 0);
	assert_counted("/body", 19);
	assert_counted("/no", 0);
	assert_int_equal(counted("/body").by_status[200], 2 * 19);
}

/* Answers to HEAD have no body whatever they say. */
static void test_head(void **state)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\nServer: nginx\r\n"
				     "Content-Type: text/plain; charset=utf-8\r\n\r\n";

	meet("GET /meet");
	for (int i = 0; i < 10; i++)
		ask("HEAD /head", answer);
	was_read();
	ask("HEAD /head", answer);
	assert_int_equal(was_read(), 0);
	assert_int_equal(counted("/head").by_status[200], 2 * (11 - 1));
}

/* Several in one write, cut in the middle, and more than are followed in rows. */
static void test_stretches(void **state)
{
	char head[HEAD_MAX], three[3 * HEAD_MAX];
	size_t len;

	learn("GET /stretch");
	head_of(head, "GET /stretch", "");
	len = strlen(head);
	snprintf(three, sizeof(three), "%s%s%s", head, head, head);
	pair_pass(0, three, 3 * len);
	for (int i = 0; i < 3; i++)
		pair_pass(1, OK, strlen(OK));
	assert_counted("/stretch", LEARNED - 1 + 3);
	pair_pass(0, head, len / 2);
	pair_pass(0, head + len / 2, len - len / 2);
	pair_pass(1, OK, strlen(OK));
	assert_counted("/stretch", LEARNED - 1 + 4);
	rig_clear(&rig);
	for (int i = 0; i < 6; i++)
		pair_pass(0, head, len);
	for (int i = 0; i < 6; i++)
		pair_pass(1, OK, strlen(OK));
	assert_int_equal(own_uses(), 2 * 2);	/* four wait in rows, the others as records */
	assert_counted("/stretch", LEARNED - 1 + 8);
	assert_int_equal(counted("/stretch").by_status[200], 2 * (LEARNED - 1 + 8));
}

/* Heads without a credential are known, too, and leave the others' answers alone. */
static void test_without(void **state)
{
	static const char none[] = "GET /none HTTP/1.1\r\nHost: api.test\r\nAccept: */*\r\nUser-Agent: without any credential\r\n\r\n";
	char head[HEAD_MAX];

	meet("GET /meet");
	for (int i = 0; i < LEARNED; i++)
		ask_head(none, OK);
	was_read();
	ask_head(none, OK);
	assert_int_equal(was_read(), 0);
	rig_clear(&rig);
	head_of(head, "GET /with", "");
	for (int i = 0; i < 3; i++) {
		pair_pass(0, none, strlen(none));
		pair_pass(0, head, strlen(head));
		pair_pass(1, OK, strlen(OK));
		pair_pass(1, MADE, strlen(MADE));
	}
	assert_counted("/with", 2);
	assert_int_equal(counted("/with").by_status[201], 2 * 2);
	assert_int_equal(counted("/with").by_status[200], 0);
}

/* The process has another name: its uses are others. */
static void test_who(void **state)
{
	char name[TT_COMM_LEN];

	learn("GET /who");
	assert_int_equal(prctl(PR_GET_NAME, name), 0);
	assert_int_equal(prctl(PR_SET_NAME, "again-other"), 0);
	rig_clear(&rig);
	ask("GET /who", OK);
	assert_int_equal(prctl(PR_SET_NAME, name), 0);
	assert_int_equal(own_uses(), 2);
	assert_string_equal((const char *)rig.use[0].h.comm, "again-other");
	assert_counted("/who", LEARNED - 1);
}

/* Other classes, or another agent: all is read once more. */
static void test_forget(void **state)
{
	learn("GET /forget");
	bpf_sensor_forget(rig.sensor);
	ask("GET /forget", OK);
	assert_int_equal(was_read(), 4);
	for (int i = 0; i < LEARNED; i++)
		ask("GET /forget", OK);
	was_read();
	ask("GET /forget", OK);
	assert_int_equal(was_read(), 0);
	assert_counted("/forget", 2 * LEARNED + 1);
}

/* Heads that change all the time are not compared each time, and are counted all the same. */
static void test_changing(void **state)
{
	learn("GET /c0");
	for (int i = 0; i < 200; i++)
		ask(i % 2 ? "GET /c0" : "GET /c1", OK);
	assert_counted("/c0", LEARNED - 1 + 100);
	assert_counted("/c1", 99);
	for (int i = 0; i < 100; i++)
		ask("GET /c0", OK);
	was_read();
	ask("GET /c0", OK);
	assert_int_equal(was_read(), 0);
	assert_counted("/c0", LEARNED - 1 + 201);
}

/* What could not be reported of a head is counted each time. */
static void test_losses(void **state)
{
	uint64_t before;

	meet("GET /loss?access_token=");
	before = rig_dropped(&rig, TT_DROP_empty_cred);
	for (int i = 0; i < 10; i++)
		ask("GET /loss?access_token=", OK);
	assert_true(rig_dropped(&rig, TT_DROP_empty_cred) >= before + 2 * 10);
	assert_counted("/loss", 10);
}

/* After some heads that were others, a while passes until one is compared again. */
static void test_pause(void **state)
{
	learn("GET /p0");
	for (int i = 0; i < 10; i++)
		ask(i % 2 ? "GET /p0" : "GET /p1", OK);
	ask("GET /p1", OK);
	was_read();
	for (int i = 0; i < 20; i++)
		ask("GET /p1", OK);
	assert_int_equal(was_read(), 2);
	assert_counted("/p1", 5 - 1 + 21);
}

/* The row was given to others meanwhile: the next use begins anew, and is not counted among theirs. */
static void test_row_gone(void **state)
{
	char line[64];
	int known[2];

	learn("GET /gone");
	memcpy(known, fd, sizeof(known));
	rig_tcp(fd);
	usleep(IDLE_NS / 1000 + 100000);
	for (int i = 0; i < 8 * FEW_ROWS && counted("/gone").uses; i++) {
		snprintf(line, sizeof(line), "GET /other%d", i);
		ask(line, OK);
		rig_clear(&rig);
	}
	assert_counted("/gone", 0);
	pair_down(state);
	memcpy(fd, known, sizeof(known));
	ask("GET /gone", OK);
	assert_int_equal(own_uses(), 2);
	rig_assert_text(rig.use[0].path, rig.use[0].path_len, "/gone");
}

/* ---- heads that their reader takes in two calls ---- */

#define SPLIT 512	/* bytes of the first */
#define SPLIT_LEARNED 4	/* heads until one is kept: of the first that is split only the lengths are known */

static void pass_split(const char *head, size_t first)
{
	char buf[HEAD_MAX];
	size_t len = strlen(head);

	assert_int_equal(write(fd[0], head, len), len);
	assert_int_equal(read(fd[1], buf, first), first);
	assert_int_equal(read(fd[1], buf, len - first), len - first);
}

static void ask_split_head(const char *head, size_t first)
{
	pass_split(head, first);
	pair_pass(1, OK, strlen(OK));
}

static void ask_split(const char *line)
{
	char head[HEAD_MAX];

	ask_split_head(head_of(head, line, ""), SPLIT);
}

static void learn_split(const char *line)
{
	meet(line);
	for (int i = 1; i < SPLIT_LEARNED; i++)
		ask_split(line);
}

/* What is parked of the server's requests. */
struct parked {
	struct { uint64_t conn, dir; } key;
	int map;
	unsigned char row[4096];
	struct bpf_map_info info;
};

static struct parked parked_in(const char *name)
{
	struct parked p = { .key = { ends[1], 1 }, .map = rig_map(name) };
	uint32_t len = sizeof(p.info);

	assert_int_equal(bpf_obj_get_info_by_fd(p.map, &p.info, &len), 0);
	assert_true(p.info.value_size <= sizeof(p.row));
	return p;
}

static bool parked_there(struct parked *p)
{
	return !bpf_map_lookup_elem(p->map, &p->key, p->row);
}

/* With nothing in place of what is parked, whoever went on from that would know nothing of the request. */
static void parked_blank(void)
{
	struct parked p = parked_in("partials");

	assert_true(parked_there(&p));
	memset(p.row, 0, sizeof(p.row));
	assert_int_equal(bpf_map_update_elem(p.map, &p.key, p.row, BPF_EXIST), 0);
}

static bool parked_is_blank(void)
{
	struct parked p = parked_in("partials");

	assert_true(parked_there(&p));
	for (size_t i = 0; i < p.info.value_size; i++)
		if (p.row[i])
			return false;
	return true;
}

static void test_split(void **state)
{
	struct counted c;

	learn_split("GET /split");
	assert_counted("/split", SPLIT_LEARNED - 1);
	rig_clear(&rig);
	parked_blank();
	for (int i = 0; i < 50; i++)
		ask_split("GET /split");
	assert_true(parked_is_blank());
	c = counted("/split");
	assert_int_equal(c.uses, 2 * (SPLIT_LEARNED - 1 + 50));
	assert_int_equal(c.by_status[200], c.uses);
	assert_int_equal(own_uses(), 0);
}

/* Another byte of the path or of the token is seen, in either call. */
static void test_split_one_byte(void **state)
{
	static const size_t at[] = { 5, 9, 72, 73, 100, 400, SPLIT - 2, SPLIT - 1, SPLIT, SPLIT + 1, 600, 960 };
	char head[HEAD_MAX], other[HEAD_MAX];

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		assert_int_equal(end(state), 0);
		begin(state);
		learn_split("GET /split");
		head_of(head, "GET /split", "");
		memcpy(other, head, sizeof(other));
		other[at[i]] = 'Z';
		ask_split_head(other, SPLIT);
		ask_split_head(other, SPLIT);
		assert_counted("/split", SPLIT_LEARNED - 1);
		ask_split_head(head, SPLIT);
		assert_counted("/split", SPLIT_LEARNED);
	}
}

/* The same behind another beginning is another head. */
static void test_split_beginnings(void **state)
{
	learn_split("GET /one1");
	for (int i = 0; i < 3; i++) {
		ask_split("GET /two2");
		ask_split("GET /one1");
	}
	assert_counted("/one1", SPLIT_LEARNED - 1 + 3);
	assert_counted("/two2", 2);
	for (int i = 0; i < 2 * SPLIT_LEARNED; i++)
		ask_split("GET /two2");
	parked_blank();
	ask_split("GET /two2");
	assert_true(parked_is_blank());
	assert_counted("/two2", 2 + 2 * SPLIT_LEARNED + 1);
}

/* Also when the head that made the beginning known was not kept itself, as something had to be told of it. */
static void test_split_counted(void **state)
{
	char plain[HEAD_MAX], empty[HEAD_MAX];
	uint64_t before = rig_dropped(&rig, TT_DROP_empty_cred);

	learn_split("GET /one1");
	head_of(plain, "GET /two2", "");
	head_of(empty, "GET /two2", "X-Api-Key: \r\n");
	ask_split_head(empty, SPLIT);
	ask_split_head(empty, SPLIT);
	assert_int_equal(rig_dropped(&rig, TT_DROP_empty_cred) - before, 2 * 2);
	assert_counted("/two2", 1);
	ask_split_head(plain, SPLIT);
	ask_split_head(plain, SPLIT);
	assert_counted("/two2", 3);
	assert_counted("/one1", SPLIT_LEARNED - 1);
	/* in the beginning: each time */
	before = rig_dropped(&rig, TT_DROP_empty_cred);
	head_of(empty, "GET /two2?access_token=", "");
	for (int i = 0; i < 10; i++)
		ask_split_head(empty, SPLIT);
	assert_int_equal(rig_dropped(&rig, TT_DROP_empty_cred) - before, 2 * 10);
	assert_counted("/two2", 13);
}

/* Wherever it is split, and where it is not. */
static void test_split_elsewhere(void **state)
{
	static const size_t firsts[] = { 1, 63, 64, 511, 512, 700 };
	char head[HEAD_MAX], two[2 * HEAD_MAX], buf[HEAD_MAX];
	uint64_t asked = 1;
	size_t len;

	meet("GET /where");
	len = strlen(head_of(head, "GET /where", ""));
	for (int times = 1; times < 7; times++) {
		for (size_t i = 0; i < sizeof(firsts) / sizeof(firsts[0]); i++) {
			for (int n = 0; n < times; n++, asked += 2) {
				ask_split_head(head, firsts[i]);
				ask_split_head(head, len - firsts[i]);
			}
			ask("GET /where", OK);
			asked++;
		}
		assert_counted("/where", asked - 1);
	}
	/* in three calls */
	for (int n = 0; n < 10; n++, asked++) {
		assert_int_equal(write(fd[0], head, len), len);
		assert_int_equal(read(fd[1], buf, 200), 200);
		assert_int_equal(read(fd[1], buf, 200), 200);
		assert_int_equal(read(fd[1], buf, len - 400), len - 400);
		pair_pass(1, OK, strlen(OK));
	}
	/* and the end of one with the next */
	for (int n = 0; n < 10; n++, asked += 2) {
		snprintf(two, sizeof(two), "%s%s", head, head);
		assert_int_equal(write(fd[0], two, 2 * len), 2 * len);
		assert_int_equal(read(fd[1], buf, SPLIT), SPLIT);
		assert_int_equal(read(fd[1], buf, 2 * len - SPLIT), 2 * len - SPLIT);
		pair_pass(1, OK, strlen(OK));
		pair_pass(1, OK, strlen(OK));
	}
	assert_counted("/where", asked - 1);
}

/* What was kept had to make room: all is read once more. */
static void test_split_evicted(void **state)
{
	static const char *const names[] = { "partials", "begins" };
	uint64_t asked = SPLIT_LEARNED;

	learn_split("GET /room");
	for (size_t i = 0; i < 2; i++) {
		struct parked p = parked_in(names[i]);

		assert_int_equal(bpf_map_delete_elem(p.map, &p.key), 0);
		for (int n = 0; n < SPLIT_LEARNED; n++, asked++)
			ask_split("GET /room");
		parked_blank();
		ask_split("GET /room");
		asked++;
		assert_true(parked_is_blank());
		ask("GET /room", OK);		/* it is not kept any more, blank as it is */
		asked++;
		assert_false(parked_there(&p));
		for (int n = 0; n < SPLIT_LEARNED; n++, asked++)
			ask_split("GET /room");
		assert_true(parked_there(&p));
	}
	assert_counted("/room", asked - 1);
}

/* Nothing of it is left when its connection has ended. */
static void test_split_end(void **state)
{
	struct parked partials, begins;

	learn_split("GET /end");
	partials = parked_in("partials");
	begins = parked_in("begins");
	assert_true(parked_there(&partials) && parked_there(&begins));
	pair_down(state);
	for (int i = 0; i < 1000 && (parked_there(&partials) || parked_there(&begins)); i++)
		usleep(1000);
	assert_false(parked_there(&partials) || parked_there(&begins));
	rig_tcp(fd);
}

/* Other classes, or another agent: all is read once more. */
static void test_split_forget(void **state)
{
	learn_split("GET /new");
	parked_blank();
	bpf_sensor_forget(rig.sensor);
	ask_split("GET /new");
	assert_false(parked_is_blank());
	assert_counted("/new", SPLIT_LEARNED);
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_hit),	   T(test_long),    T(test_one_byte), T(test_paths),  T(test_statuses), T(test_bodies),
		T(test_head),	   T(test_stretches), T(test_without), T(test_who),   T(test_forget),   T(test_changing),
		T(test_losses),	   T(test_pause),	   T(test_split),     T(test_split_one_byte),
		T(test_split_beginnings), T(test_split_counted), T(test_split_elsewhere), T(test_split_evicted),
		T(test_split_end), T(test_split_forget),
	};
	const struct CMUnitTest few[] = { T(test_row_gone) };

	return cmocka_run_group_tests(tests, fold_setup, teardown) + cmocka_run_group_tests(few, few_setup, teardown);
}
