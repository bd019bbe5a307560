/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf/filter.bpf.h: nothing of a process is read that is left alone or not decided about, nothing is lost of
 * one that is watched, and what is asked of user space says what the process runs. This process stands for all.
 */
#include "pair_rig.h"

#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>

#include "libssl_rig.h"
#include "monitor/filter.h"

#define TOKEN "ghp" "_0123456789abcdefghijABCDEFGHIJ012345"
#define REQUEST "GET /v1/a HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer " TOKEN "\r\n\r\n"

static uint32_t number;
static uint32_t asker;	/* whose questions count; 0 = this process */
static struct { size_t exes, cgroups; struct tt_filter_ask exe, cgroup; } asked;

static void on_ask(const struct tt_filter_ask *ask, void *arg)
{
	if (ask->tgid != (asker ? asker : (uint32_t)getpid()))
		return;
	if (ask->kind == TT_FILTER_ASK_EXE) {
		asked.exes++;
		asked.exe = *ask;
	} else {
		asked.cgroups++;
		asked.cgroup = *ask;
	}
}

static void serve(void)
{
	assert_int_equal(bpf_sensor_filter_serve(rig.sensor), 0);
}

/* The next configuration. */
static uint32_t next_side(void)
{
	return (number + 1) & 1;
}

static void turn_to(uint32_t by)
{
	number++;
	bpf_sensor_filter_switch(rig.sensor, by ? TT_FILTER_NUMBER(number) | by : 0);
}

static void pass(const char *bytes)
{
	size_t len = strlen(bytes);
	char buf[4096];

	assert_int_equal(write(fd[0], bytes, len), len);
	for (ssize_t n; len; len -= (size_t)n) {
		n = read(fd[1], buf, sizeof(buf));
		assert_true(n > 0);
	}
}

static size_t uses(void)
{
	rig_collect(&rig);
	return rig.uses;
}

static uint64_t left(void)
{
	uint64_t total = 0;

	assert_int_equal(bpf_sensor_filter_left(rig.sensor, &total), 0);
	return total;
}

static int filter_setup(void **state)
{
	setup(state);
	return bpf_sensor_filter_asks(rig.sensor, on_ask, NULL);
}

static int begin(void **state)
{
	turn_to(0);
	serve();
	bpf_sensor_filter_forget(rig.sensor, TT_FILTER_ASK_EXE, asked.exe.id);
	bpf_sensor_filter_clear(rig.sensor);
	asked.exes = asked.cgroups = asker = 0;
	return pair_up(state);
}

static int end(void **state)
{
	turn_to(0);
	return pair_down(state);
}

/* ---- executables ---- */

static void join(const struct tt_filter_ask *ask, char *to, size_t size)
{
	size_t len = 0;

	for (int i = ask->parts; i-- > 0;)
		if (ask->part[i][0])
			len += (size_t)snprintf(to + len, size - len, "/%s", (const char *)ask->part[i]);
}

static void test_asked_once(void **state)
{
	char want[4096] = "", got[8192] = "";

	turn_to(TT_FILTER_BY_EXE);
	for (int i = 0; i < 5; i++)
		pass(REQUEST);
	assert_int_equal(uses(), 0);
	assert_true(rig_dropped(&rig, TT_DROP_filter_undecided) >= 10);
	serve();
	assert_int_equal(asked.exes, 1);
	assert_int_equal(asked.cgroups, 0);
	assert_false(asked.exe.cut);
	assert_true(readlink("/proc/self/exe", want, sizeof(want) - 1) > 0);
	join(&asked.exe, got, sizeof(got));
	assert_string_equal(got, want);
	assert_int_equal(bpf_sensor_filter_put(rig.sensor, TT_FILTER_ASK_EXE, asked.exe.id, number, TT_FILTER_WATCH), 0);
	pass(REQUEST);
	assert_int_equal(uses(), 2);
	assert_int_equal(rig.use[0].h.tgid, getpid());
}

/* A child runs the same without anybody being asked again: it is known what that is. */
static void test_forked(void **state)
{
	struct tt_filter_proc proc;
	int status;
	pid_t child;

	turn_to(TT_FILTER_BY_EXE);
	pass(REQUEST);
	serve();
	assert_int_equal(asked.exes, 1);
	assert_int_equal(bpf_sensor_filter_put(rig.sensor, TT_FILTER_ASK_EXE, asked.exe.id, number,
					       TT_FILTER_LEAVE), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		pass(REQUEST);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(bpf_sensor_filter_proc(rig.sensor, (uint32_t)child, &proc), 0);
	assert_int_equal(proc.exe, asked.exe.id);
	assert_int_equal((uint32_t)proc.known, TT_FILTER_LEAVE);
}

/* What is kept of a process by this id that began at another time was another one. */
static void test_id_again(void **state)
{
	const struct tt_filter_proc before = { .exe = 8, .start_ns = 1 };

	assert_int_equal(bpf_sensor_filter_enter(rig.sensor, (uint32_t)getpid(), &before), 0);
	assert_int_equal(bpf_sensor_filter_put(rig.sensor, TT_FILTER_ASK_EXE, before.exe, next_side(), TT_FILTER_WATCH), 0);
	turn_to(TT_FILTER_BY_EXE);
	pass(REQUEST);
	assert_int_equal(uses(), 0);
	serve();
	assert_int_equal(asked.exes, 1);
	assert_int_not_equal(asked.exe.id, before.exe);
	bpf_sensor_filter_forget(rig.sensor, TT_FILTER_ASK_EXE, before.exe);
}

/* Asked for when a program begins; a name that is too long is said to be. */
static void test_names(void **state)
{
	static const struct { int len; bool cut; } names[] = { { 1, false }, { 126, false }, { 127, true }, { 255, true } };
	char dir[] = "/tmp/tt_test_filter_XXXXXX", command[400], path[300], got[8192];
	pid_t child;

	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		begin(state);
		snprintf(path, sizeof(path), "%s/%0*d", dir, names[i].len, 0);
		snprintf(command, sizeof(command), "cp /bin/true %s", path);
		assert_int_equal(system(command), 0);
		turn_to(TT_FILTER_BY_EXE);
		child = fork();
		assert_true(child >= 0);
		if (child == 0)
			_exit(execl(path, path, NULL));
		asker = (uint32_t)child;
		assert_int_equal(waitpid(child, NULL, 0), child);
		serve();
		assert_int_equal(asked.exes, 1);
		assert_int_equal(asked.exe.cut, names[i].cut);
		join(&asked.exe, got, sizeof(got));
		if (!names[i].cut)
			assert_string_equal(got, path);
		unlink(path);
		pair_down(state);
	}
	rmdir(dir);
	pair_up(state);
}

/* The reader of messages is not even called: without it, each call that it would be is a loss. */
static void test_nothing_is_read(void **state)
{
	struct tt_filter_proc me = { .exe = TT_FILTER_TOLD | 7 };
	uint64_t lost, before;
	int reader;
	struct procs *procs;
	uint64_t start_ns;

	assert_int_equal(procs_new(8, 8, &procs), 0);
	assert_int_equal(procs_alive(procs, (uint32_t)getpid(), &start_ns), 0);	/* to a tick */
	procs_free(procs);
	me.start_ns = start_ns;
	bpf_sensor_filter_clear(rig.sensor);
	assert_int_equal(bpf_sensor_filter_enter(rig.sensor, (uint32_t)getpid(), &me), 0);
	assert_int_equal(bpf_sensor_filter_enter(rig.sensor, (uint32_t)getpid(), &me), -EEXIST);
	assert_int_equal(bpf_sensor_filter_put(rig.sensor, TT_FILTER_ASK_EXE, me.exe, next_side(), TT_FILTER_LEAVE), 0);
	turn_to(TT_FILTER_BY_EXE);
	reader = rig_take_reader("sock_reader");
	lost = rig_dropped(&rig, TT_DROP_call_lost);
	before = left();
	for (int i = 0; i < 10; i++)
		pass(REQUEST);
	assert_int_equal(left(), before + 20);
	assert_int_equal(rig_dropped(&rig, TT_DROP_call_lost), lost);
	assert_int_equal(bpf_sensor_filter_put(rig.sensor, TT_FILTER_ASK_EXE, me.exe, next_side(), TT_FILTER_WATCH), 0);
	turn_to(TT_FILTER_BY_EXE);
	pass(REQUEST);
	assert_true(rig_dropped(&rig, TT_DROP_call_lost) >= lost + 2);	/* so it would have been */
	rig_put_reader("sock_reader", reader);
	serve();
	assert_int_equal(asked.exes, 0);
	assert_int_equal(uses(), 0);
}

/* Between two configurations nobody who stays watched is out of sight. */
static void test_change_over(void **state)
{
	turn_to(TT_FILTER_BY_EXE);
	pass(REQUEST);
	serve();
	assert_int_equal(asked.exes, 1);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(bpf_sensor_filter_put(rig.sensor, TT_FILTER_ASK_EXE, asked.exe.id, next_side(),
						       TT_FILTER_WATCH), 0);
		turn_to(TT_FILTER_BY_EXE);
		pass(REQUEST);
	}
	assert_int_equal(uses(), 40);
}

/* Left alone in the middle of a message, and watched again in the middle of another: neither is garbled. */
static void test_in_the_middle(void **state)
{
	turn_to(TT_FILTER_BY_EXE);
	pass("x");
	serve();
	assert_int_equal(bpf_sensor_filter_put(rig.sensor, TT_FILTER_ASK_EXE, asked.exe.id, number, TT_FILTER_WATCH), 0);
	pass(REQUEST "GET /half HTTP/1.1\r\nAuthori");
	assert_int_equal(uses(), 2);
	assert_int_equal(bpf_sensor_filter_put(rig.sensor, TT_FILTER_ASK_EXE, asked.exe.id, next_side(), TT_FILTER_LEAVE), 0);
	turn_to(TT_FILTER_BY_EXE);
	pass("zation: Bearer " TOKEN "\r\n\r\nGET /other HTTP/1.1\r\nAuthorization: Bearer " TOKEN "0\r\n\r\nGET /third HT");
	assert_int_equal(bpf_sensor_filter_put(rig.sensor, TT_FILTER_ASK_EXE, asked.exe.id, next_side(), TT_FILTER_WATCH), 0);
	turn_to(TT_FILTER_BY_EXE);
	pass("TP/1.1\r\nAuthorization: Bearer " TOKEN "1\r\n\r\n");
	pass(REQUEST);
	assert_int_equal(uses(), 4);
	rig_assert_token(&rig.use[2], TOKEN);
	rig_assert_text(rig.use[2].path, rig.use[2].path_len, "/v1/a");
	rig_assert_token(&rig.use[3], TOKEN);
}

/* ---- cgroups ---- */

static void test_cgroup(void **state)
{
	struct procs_identity me;
	struct procs *procs;
	uint64_t before;

	assert_int_equal(procs_new(8, 8, &procs), 0);
	assert_int_equal(procs_identify(procs, (uint32_t)getpid(), &me), 0);
	procs_free(procs);
	turn_to(TT_FILTER_BY_CGROUP);
	bpf_sensor_filter_forget(rig.sensor, TT_FILTER_ASK_CGROUP, me.cgroup);
	pass(REQUEST);
	for (int i = 0; i < 5; i++)
		pass(REQUEST);
	assert_int_equal(uses(), 0);
	serve();
	assert_int_equal(asked.exes, 0);
	assert_true(asked.cgroups <= 1);	/* another process of this cgroup may have been faster */
	if (asked.cgroups)
		assert_int_equal(asked.cgroup.id, me.cgroup);
	assert_int_equal(bpf_sensor_filter_put(rig.sensor, TT_FILTER_ASK_CGROUP, me.cgroup, number, TT_FILTER_WATCH), 0);
	pass(REQUEST);
	assert_int_equal(uses(), 2);
	assert_int_equal(bpf_sensor_filter_put(rig.sensor, TT_FILTER_ASK_CGROUP, me.cgroup, next_side(), TT_FILTER_LEAVE), 0);
	turn_to(TT_FILTER_BY_CGROUP);
	before = left();
	pass(REQUEST);
	assert_true(left() >= before + 2);
	assert_int_equal(uses(), 2);
}

/* What is left alone by one of the two is, whatever the other says. */
static void test_both(void **state)
{
	static const struct { uint8_t exe, cgroup; size_t uses; } cases[] = {
		{ TT_FILTER_WATCH, TT_FILTER_WATCH, 2 }, { TT_FILTER_LEAVE, TT_FILTER_WATCH, 0 },
		{ TT_FILTER_WATCH, TT_FILTER_LEAVE, 0 }, { TT_FILTER_UNKNOWN, TT_FILTER_LEAVE, 0 },
		{ TT_FILTER_LEAVE, TT_FILTER_UNKNOWN, 0 }, { TT_FILTER_UNKNOWN, TT_FILTER_WATCH, 0 },
		{ TT_FILTER_WATCH, TT_FILTER_UNKNOWN, 0 },
	};
	struct procs_identity me;
	struct procs *procs;

	assert_int_equal(procs_new(8, 8, &procs), 0);
	assert_int_equal(procs_identify(procs, (uint32_t)getpid(), &me), 0);
	procs_free(procs);
	turn_to(TT_FILTER_BY_EXE);
	pass("x");
	serve();
	assert_int_equal(asked.exes, 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t undecided = rig_dropped(&rig, TT_DROP_filter_undecided);
		bool leaves = cases[i].exe == TT_FILTER_LEAVE || cases[i].cgroup == TT_FILTER_LEAVE;

		rig_clear(&rig);
		assert_int_equal(bpf_sensor_filter_put(rig.sensor, TT_FILTER_ASK_EXE, asked.exe.id, next_side(), cases[i].exe),
				 0);
		assert_int_equal(bpf_sensor_filter_put(rig.sensor, TT_FILTER_ASK_CGROUP, me.cgroup, next_side(),
						       cases[i].cgroup), 0);
		turn_to(TT_FILTER_BY_EXE | TT_FILTER_BY_CGROUP);
		pass(REQUEST);
		assert_int_equal(uses(), cases[i].uses);
		/* Others are undecided, too: they may be counted at any time. */
		if (!leaves && !cases[i].uses)
			assert_true(rig_dropped(&rig, TT_DROP_filter_undecided) >= undecided + 2);
	}
}

/* ---- a call under way ---- */

static SSL *server;
static volatile int got;

static void *serve_tls(void *arg)
{
	char buf[4096];

	if (SSL_accept(server) == 1)
		for (int n; (n = SSL_read(server, buf, sizeof(buf))) > 0;)
			got += n;
	return NULL;
}

static void await_got(int n)
{
	for (int i = 0; i < 5000 && got < n; i++)
		usleep(1000);
	assert_int_equal(got, n);
	usleep(50000);	/* the next SSL_read() waits */
}

/* A read that waits when its process is left alone gets its bytes later: they are not read. */
static void test_call_under_way(void **state)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method()), *server_ctx = SSL_CTX_new(TLS_server_method());
	SSL *client = SSL_new(ctx);
	int len = strlen(REQUEST), sent = 0, other[2];
	pthread_t thread;

	got = 0;
	libssl_certify(server_ctx);
	rig_attach_library(&rig, "libssl.so", TT_TLS_OPENSSL);
	server = SSL_new(server_ctx);
	SSL_set_fd(server, fd[1]);
	SSL_set_fd(client, fd[0]);
	turn_to(TT_FILTER_BY_EXE);
	/* Before there are two threads, which might ask both at once. */
	rig_tcp(other);
	assert_int_equal(write(other[0], "?", 1), 1);
	serve();
	assert_int_equal(asked.exes, 1);
	close(other[0]);
	close(other[1]);
	assert_int_equal(pthread_create(&thread, NULL, serve_tls, NULL), 0);
	assert_int_equal(SSL_connect(client), 1);
	await_got(0);
	for (int round = 0; round < 3; round++) {
		rig_clear(&rig);
		assert_int_equal(bpf_sensor_filter_put(rig.sensor, TT_FILTER_ASK_EXE, asked.exe.id, next_side(),
						       TT_FILTER_WATCH), 0);
		turn_to(TT_FILTER_BY_EXE);
		for (int i = 0; i < 3; i++) {	/* what decides is the end of a call: its bytes are there then */
			assert_int_equal(SSL_write(client, REQUEST, len), len);
			await_got(sent += len);
		}
		rig_collect(&rig);
		assert_int_equal(rig.uses, 6);
		assert_int_equal(bpf_sensor_filter_put(rig.sensor, TT_FILTER_ASK_EXE, asked.exe.id, next_side(),
						       TT_FILTER_LEAVE), 0);
		turn_to(TT_FILTER_BY_EXE);
		rig_clear(&rig);
		for (int i = 0; i < 2; i++) {
			assert_int_equal(SSL_write(client, REQUEST, len), len);
			await_got(sent += len);
		}
		assert_int_equal(uses(), 0);
	}
	SSL_shutdown(client);
	shutdown(fd[0], SHUT_RDWR);
	pthread_join(thread, NULL);
	SSL_free(client);
	SSL_free(server);
	SSL_CTX_free(ctx);
	SSL_CTX_free(server_ctx);
}

/* ---- monitor/filter.c, which answers ---- */

static struct filter *filter;
static struct procs *procs;
static struct config settings;

static void set(const char *path, const char *value)
{
	struct config_error error;

	assert_int_equal(config_set(&settings, path, value, &error), 0);
	assert_int_equal(filter_set(filter, &settings), 0);
}

static int monitor_setup(void **state)
{
	setup(state);
	if (config_init(&settings) < 0 || procs_new(64, 64, &procs) < 0)
		return -1;
	return filter_new(rig.sensor, procs, -1, &filter);
}

static int monitor_teardown(void **state)
{
	filter_free(filter);
	procs_free(procs);
	config_done(&settings);
	return teardown(state);
}

static int monitor_end(void **state)
{
	set("exclude.executables", "");
	set("exclude.cgroups", "");
	set("exclude.namespaces", "");
	return pair_down(state);
}

static const char *own_path(void)
{
	static char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	assert_true(n > 0);
	path[n] = '\0';
	return path;
}

static void own_cgroup(struct procs_identity *me, char *path, size_t size)
{
	assert_int_equal(procs_identify(procs, (uint32_t)getpid(), me), 0);
	assert_int_equal(procs_cgroup_path(procs, me->cgroup, path, size), 0);
}

/* What runs when the settings change is decided about before they are in force. */
static void test_settings(void **state)
{
	uint64_t before;

	for (int i = 0; i < 5; i++) {
		rig_clear(&rig);
		before = left();
		set("exclude.executables", own_path());
		assert_true(filter_leaves(filter, (uint32_t)getpid(), 0));
		pass(REQUEST);
		assert_int_equal(uses(), 0);
		assert_true(left() >= before + 2);
		set("exclude.executables", i % 2 ? "" : "/nowhere");	/* one filter after the other, or none between */
		assert_false(filter_leaves(filter, (uint32_t)getpid(), 0));
		pass(REQUEST);
		assert_int_equal(uses(), 2);
	}
}

static void test_settings_cgroup(void **state)
{
	struct procs_identity me;
	char path[4096];

	own_cgroup(&me, path, sizeof(path));
	set("exclude.cgroups", "/nowhere");
	pass(REQUEST);
	assert_int_equal(uses(), 2);
	set("exclude.cgroups", path);
	assert_true(filter_leaves(filter, (uint32_t)getpid(), me.cgroup));
	pass(REQUEST);
	assert_int_equal(uses(), 2);
	set("exclude.cgroups", "");
	/* In no pod, so it is known to be in no namespace, although nothing of this node can be looked into. */
	set("exclude.namespaces", "kube-*");
	pass(REQUEST);
	assert_int_equal(uses(), 4);
}

/* A child of what ran before is known by its parent; and nobody is lost from one path to the next. */
static void test_paths(void **state)
{
	struct tt_filter_proc proc, child = { 0 };
	char path[64];

	set("exclude.executables", own_path());
	assert_int_equal(bpf_sensor_filter_proc(rig.sensor, (uint32_t)getpid(), &proc), 0);
	assert_true(proc.exe & TT_FILTER_TOLD);
	filter_forked(filter, 0x7ffffff0, (uint32_t)getpid(), 77);
	assert_int_equal(bpf_sensor_filter_proc(rig.sensor, 0x7ffffff0, &child), 0);
	assert_int_equal(child.exe, proc.exe);
	assert_int_equal(child.start_ns, 77);
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "/nowhere/%d", i);
		set("exclude.executables", path);
		pass(REQUEST);
		assert_int_equal(uses(), 2 * ((size_t)i + 1));
	}
}

int main(void)
{
	const struct CMUnitTest monitor_tests[] = {
#define M(f) cmocka_unit_test_setup_teardown(f, pair_up, monitor_end)
		M(test_settings), M(test_settings_cgroup), M(test_paths),
	};
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
		T(test_asked_once), T(test_forked), T(test_id_again), T(test_names), T(test_nothing_is_read), T(test_change_over), T(test_in_the_middle),
		T(test_cgroup), T(test_both), T(test_call_under_way),
	};

	return cmocka_run_group_tests_name("kernel", tests, filter_setup, teardown) +
	       cmocka_run_group_tests_name("monitor", monitor_tests, monitor_setup, monitor_teardown);
}
