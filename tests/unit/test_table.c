/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live table on a real pseudo terminal: what a frame holds, its width, when it is drawn, and
 * that the terminal is given back.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "sinks/columns.h"
#include "sinks/sinks.h"

#define MS 1000000ull
#define ENTER "\033[?1049h"
#define LEAVE "\033[?1049l"

struct terminal {
	int master, slave;
	struct sink sink;
	char text[1 << 20];	/* as the terminal got it */
	char *lines[300];	/* of the last frame, without colours */
	size_t count;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static struct use make_use(int number)
{
	struct use u = { .class_name = "github_pat_classic", .kind = "api_key", .scheme = "bearer",
			 .carrier = "authorization", .dir = TT_DIR_EGRESS, .count = 1,
			 .method = "GET", .path = "/v1/items", .status = 200, .pid = 4242,
			 .process_name = "curl", .server_address = "api.example.com",
			 .server_port = 443 };

	snprintf(u.token_id, sizeof(u.token_id), "tt1_%08dqrstuvwxyz", number);
	u.first_ns = u.last_ns = now_ns();
	return u;
}

static void resize(struct terminal *t, unsigned short columns, unsigned short rows)
{
	struct winsize w = { .ws_col = columns, .ws_row = rows };

	assert_int_equal(ioctl(t->master, TIOCSWINSZ, &w), 0);
}

static int setup(void **state)
{
	static struct terminal t;
	struct termios raw;

	t = (struct terminal){ 0 };
	setenv("NO_COLOR", "1", 1);
	setenv("LC_ALL", "C.UTF-8", 1);
	assert_int_equal(openpty(&t.master, &t.slave, NULL, NULL, NULL), 0);
	assert_int_equal(tcgetattr(t.slave, &raw), 0);
	cfmakeraw(&raw);
	assert_int_equal(tcsetattr(t.slave, TCSANOW, &raw), 0);
	fcntl(t.master, F_SETFL, O_NONBLOCK);
	resize(&t, 80, 24);
	assert_int_equal(table_sink_new(t.slave, "node-1", &t.sink), 0);
	*state = &t;
	return 0;
}

static int teardown(void **state)
{
	struct terminal *t = *state;

	if (t->sink.ops)
		t->sink.ops->free(t->sink.self);
	close(t->master);
	close(t->slave);
	return 0;
}

/* Everything that was written since the last time. The kernel hands it over a little later. */
static size_t receive(struct terminal *t)
{
	struct pollfd p = { .fd = t->master, .events = POLLIN };
	size_t len = 0;
	ssize_t n;

	while (poll(&p, 1, 100) > 0) {
		n = read(t->master, t->text + len, sizeof(t->text) - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	t->text[len] = '\0';
	return len;
}

/* One tick at this time, and as many more as the terminal needs to take all of it. */
static size_t tick(struct terminal *t, uint64_t ns)
{
	char *all = NULL;
	size_t len = 0, more;

	do {
		assert_int_equal(t->sink.ops->tick(t->sink.self, ns), 0);
		more = receive(t);
		all = realloc(all, len + more + 1);
		assert_non_null(all);
		memcpy(all + len, t->text, more + 1);
		len += more;
	} while (more);
	assert_true(len < sizeof(t->text));
	memcpy(t->text, all, len + 1);
	free(all);
	return len;
}

/* Takes the frame apart: after the last "\033[H", escape sequences removed. */
static void parse(struct terminal *t)
{
	char *frame = t->text, *next, *to;

	while ((next = strstr(frame, "\033[H")))
		frame = next + 3;
	to = frame;
	for (char *p = frame; *p; p++) {
		if (p[0] != '\033') {
			*to++ = *p;
			continue;
		}
		while (!(*p >= 'a' && *p <= 'z') && !(*p >= 'A' && *p <= 'Z'))
			p++;
	}
	*to = '\0';
	t->count = 0;
	for (char *line = strtok(frame, "\r\n"); line; line = strtok(NULL, "\r\n"))
		t->lines[t->count++] = line;
}

static void started_again_is_one_row(void **state)
{
	struct terminal *t = *state;
	struct use u = make_use(1);

	for (u.pid = 100; u.pid < 110; u.pid++) {
		u.last_ns++;
		t->sink.ops->use(t->sink.self, &u);
	}
	u.uid = 1000;	/* another user's is another row */
	t->sink.ops->use(t->sink.self, &u);
	resize(t, 140, 24);
	assert_true(tick(t, 1000 * MS) > 0);
	parse(t);
	assert_int_equal(t->count, 5);
	assert_non_null(strstr(t->lines[3], "curl(1"));
	assert_true(strstr(t->lines[3], "curl(109)") || strstr(t->lines[4], "curl(109)"));
	assert_true(strstr(t->lines[3], "   10 ") || strstr(t->lines[4], "   10 "));
}

static void shows_what_is_in_use(void **state)
{
	struct terminal *t = *state;
	struct use u = make_use(1), in = make_use(2);
	struct loss l = { .reason = "ring_full", .count = 3, .added = 3 };
	char erased[8];

	in.dir = TT_DIR_INGRESS;
	in.last_ns = u.last_ns - 120000000000;
	in.server_address[0] = '\0';
	strcpy(in.peer_ip, "2001:db8::1");
	in.status = 0;
	in.count = 41;
	t->sink.ops->use(t->sink.self, &in);
	t->sink.ops->use(t->sink.self, &u);
	u.status = 401;
	t->sink.ops->use(t->sink.self, &u);
	t->sink.ops->loss(t->sink.self, &l);
	table_sink_status(&t->sink, "probed files 7");
	resize(t, 140, 24);
	assert_true(tick(t, 1000 * MS) > 0);
	assert_ptr_equal(strstr(t->text, ENTER), t->text);
	snprintf(erased, sizeof(erased), "%s", t->text + strlen(t->text) - 5);
	parse(t);
	assert_int_equal(t->count, 5);
	assert_string_equal(erased, "\r\n\033[J");	/* what log lines left below */
	assert_non_null(strstr(t->lines[0], "node-1  tokens 2  uses 43  losses 3"));
	assert_non_null(strstr(t->lines[1], "probed files 7"));
	assert_non_null(strstr(t->lines[2], "TOKEN"));
	assert_ptr_equal(strstr(t->lines[3], "tt1_00000001"), t->lines[3]);	/* newest first */
	assert_non_null(strstr(t->lines[3], "curl(4242)"));
	assert_non_null(strstr(t->lines[3], "\u2192 GET /v1/items "));
	assert_non_null(strstr(t->lines[3], " 401 "));
	assert_non_null(strstr(t->lines[3], "api.example.com:443"));
	assert_non_null(strstr(t->lines[3], "    2 "));
	assert_non_null(strstr(t->lines[4], "\u2190 GET"));
	assert_non_null(strstr(t->lines[4], " -   2001:db8::1 "));
	assert_non_null(strstr(t->lines[4], "   41 "));
	assert_non_null(strstr(t->lines[4], " 2m"));
}

static const char *line_with(const struct terminal *t, const char *text)
{
	for (size_t i = 3; i < t->count; i++)
		if (strstr(t->lines[i], text))
			return t->lines[i];
	fail_msg("no row with %s", text);
	return "";
}

/* Beside the tokens, not one of them: the head does not count it. */
static void unreadable_is_no_token(void **state)
{
	struct terminal *t = *state;
	struct use u = make_use(1), other = make_use(2);
	struct token row = { .unreadable = true };

	u.unreadable = true;
	u.entry = 3;
	u.class_name = u.kind = u.scheme = "";
	strcpy(row.token_id, u.token_id);
	t->sink.ops->use(t->sink.self, &u);
	t->sink.ops->token(t->sink.self, &row);
	t->sink.ops->use(t->sink.self, &other);
	assert_true(tick(t, 1000 * MS) > 0);
	parse(t);
	assert_int_equal(t->count, 5);
	assert_non_null(strstr(t->lines[0], "tokens 1  uses 2"));
	assert_non_null(line_with(t, "tt1_00000~ unreadable curl(4242)"));
	assert_non_null(line_with(t, "tt1_00000~ github_pa~ curl(4242)"));
}

static void grpc_status_and_mcp(void **state)
{
	static const struct {
		uint16_t http;
		bool has_grpc;
		uint8_t grpc;
		const char *shown;
	} cases[] = {
		{ 200, true, 0, " g0 " },    { 200, true, 16, " g16 " }, { 0, true, 5, " g5 " },
		{ 200, true, 255, " g? " },  { 503, true, 14, " 503 " }, { 200, false, 0, " 200 " },
		{ 0, false, 0, " - " },
	};
	struct terminal *t = *state;
	struct use u = make_use(1);

	resize(t, 140, 24);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		u.status = cases[i].http;
		u.has_grpc = cases[i].has_grpc;
		u.grpc_status = cases[i].grpc;
		t->sink.ops->use(t->sink.self, &u);
		assert_true(tick(t, (i + 1) * 1000 * MS) > 0);
		parse(t);
		assert_int_equal(t->count, 4);
		assert_non_null(line_with(t, cases[i].shown));
	}
	strcpy(u.mcp_method, "tools/call");
	strcpy(u.mcp_name, "search");
	strcpy(u.path, "/m");
	t->sink.ops->use(t->sink.self, &u);
	u.mcp_name[0] = 'S';	/* another tool is another row */
	t->sink.ops->use(t->sink.self, &u);
	assert_true(tick(t, 20000 * MS) > 0);
	parse(t);
	assert_int_equal(t->count, 6);
	assert_non_null(line_with(t, "GET /m tools/call search "));
	assert_non_null(line_with(t, "GET /m tools/call Search "));
}

/* All windows, also absurdly small ones: every line exactly as wide, never more lines than rows. */
static void fits_every_window(void **state)
{
	static const unsigned short sizes[][2] = { { 80, 24 }, { 20, 4 },  { 1, 1 },	{ 99, 10 },
						   { 100, 10 }, { 119, 50 }, { 250, 100 }, { 80, 3 } };
	struct terminal *t = *state;
	uint64_t time = 1000 * MS;

	for (int i = 0; i < 60; i++) {
		struct use u = make_use(i);

		snprintf(u.path, sizeof(u.path), "/%0*d/\u65e5\u672c\u8a9e\033[2J", i * 2, i);
		strcpy(u.process_name, i % 2 ? "\u65e5\u672c\u8a9e" : "long-process-x");
		snprintf(u.server_address, sizeof(u.server_address), "%0*d.example", 1 + i, i);
		u.count = UINT64_MAX / 100;
		t->sink.ops->use(t->sink.self, &u);
	}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++, time += 1000 * MS) {
		resize(t, sizes[i][0], sizes[i][1]);
		assert_true(tick(t, time) > 0);
		assert_null(strstr(t->text, "\033[2J"));
		parse(t);
		assert_int_equal(t->count, sizes[i][1] < 63 ? sizes[i][1] : 63);
		for (size_t n = 0; n < t->count; n++)
			assert_int_equal(columns_width(t->lines[n]), sizes[i][0]);
	}
}

static void everything_has_a_place_at_80(void **state)
{
	struct terminal *t = *state;
	struct use u = make_use(1);

	t->sink.ops->use(t->sink.self, &u);
	tick(t, 1000 * MS);
	parse(t);
	assert_int_equal(t->count, 4);
	assert_non_null(strstr(t->lines[3], "tt1_00000~ github_pa~ curl(4242)    \u2192 GET /v1/items"));
	assert_non_null(strstr(t->lines[3], " 200 api.examp~"));
	assert_non_null(strstr(t->lines[3], "    1 "));
	assert_non_null(strstr(t->lines[3], "   0s"));
}

static void draws_when_something_changed(void **state)
{
	struct terminal *t = *state;
	struct use u = make_use(1);

	u.last_ns += 3600 * 1000000000ull;	/* in the future: its age stays 0s */
	t->sink.ops->use(t->sink.self, &u);
	assert_true(tick(t, 1000 * MS) > 0);
	assert_int_equal(tick(t, 1100 * MS), 0);
	assert_int_equal(tick(t, 3000 * MS), 0);
	t->sink.ops->use(t->sink.self, &u);
	assert_true(tick(t, 3300 * MS) > 0);
	t->sink.ops->use(t->sink.self, &u);
	assert_int_equal(tick(t, 3400 * MS), 0);	/* at most five times a second */
	assert_int_equal(tick(t, 3499 * MS), 0);
	assert_true(tick(t, 3500 * MS) > 0);
	resize(t, 90, 24);
	assert_true(tick(t, 4500 * MS) > 0);
}

static void keeps_the_latest_rows(void **state)
{
	struct terminal *t = *state;
	uint64_t base = now_ns();
	struct use u;

	resize(t, 80, 300);
	for (int i = 0; i < 1000; i++) {
		u = make_use(i % 2 ? i : 0);	/* number 0 is used all the time */
		u.last_ns = base + (uint64_t)i;
		t->sink.ops->use(t->sink.self, &u);
	}
	tick(t, 1000 * MS);
	parse(t);
	assert_int_equal(t->count, 3 + 200);
	assert_non_null(strstr(t->lines[0], "tokens 501  uses 1000"));
	assert_ptr_equal(strstr(t->lines[3], "tt1_00000~"), t->lines[3]);
	assert_non_null(strstr(t->lines[4], "  500 "));	/* number 0, second to the last used */
}

static void gives_the_terminal_back(void **state)
{
	struct terminal *t = *state;
	struct use u = make_use(1);
	char *leave;

	t->sink.ops->use(t->sink.self, &u);
	tick(t, 1000 * MS);
	assert_int_equal(t->sink.ops->finish(t->sink.self, 1000), 0);
	assert_true(receive(t) > 0);
	leave = strstr(t->text, LEAVE);
	assert_non_null(leave);
	assert_non_null(strstr(t->text, "\033[?25h"));
	assert_non_null(strstr(t->text, "\033[?7h"));
	assert_non_null(strstr(leave, "GET /v1/items"));	/* the last frame stays to be read */
	assert_null(strchr(leave + strlen(LEAVE), '\033'));
	t->sink.ops->free(t->sink.self);
	t->sink.ops = NULL;
	assert_int_equal(receive(t), 0);	/* once is enough */
}

static void free_without_finish(void **state)
{
	struct terminal *t = *state;

	tick(t, 1000 * MS);
	t->sink.ops->free(t->sink.self);
	t->sink.ops = NULL;
	assert_true(receive(t) > 0);
	assert_non_null(strstr(t->text, LEAVE));
}

static void nothing_drawn_nothing_restored(void **state)
{
	struct terminal *t = *state;

	assert_int_equal(t->sink.ops->finish(t->sink.self, 1000), 0);
	assert_int_equal(receive(t), 0);
}

static void colours_unless_refused(void **state)
{
	struct terminal *t = *state;
	struct use u = make_use(1);

	u.status = 500;
	t->sink.ops->use(t->sink.self, &u);
	tick(t, 1000 * MS);
	assert_null(strstr(t->text, "\033[1m"));
	assert_null(strstr(t->text, "\033[31m"));
	t->sink.ops->free(t->sink.self);
	receive(t);
	unsetenv("NO_COLOR");
	assert_int_equal(table_sink_new(t->slave, "n", &t->sink), 0);
	t->sink.ops->use(t->sink.self, &u);
	tick(t, 1000 * MS);
	assert_non_null(strstr(t->text, "\033[31mtt1_"));
	u.status = 200;
	u.has_grpc = true;
	u.grpc_status = 14;
	t->sink.ops->use(t->sink.self, &u);
	tick(t, 2000 * MS);
	assert_non_null(strstr(t->text, "\033[31mtt1_"));
	u.grpc_status = 16;
	t->sink.ops->use(t->sink.self, &u);
	tick(t, 3000 * MS);
	assert_non_null(strstr(t->text, "\033[33mtt1_"));
	u.grpc_status = 0;
	t->sink.ops->use(t->sink.self, &u);
	tick(t, 4000 * MS);
	assert_null(strstr(t->text, "\033[33m"));
	assert_null(strstr(t->text, "\033[31m"));
	parse(t);
	assert_int_equal(columns_width(t->lines[3]), 80);
}

/* Nobody reads the terminal (stopped with Ctrl-S, or a dead connection): tick() does not wait. When
 * it reads again, the frame that was under way is finished before another one begins. */
static void terminal_that_does_not_read(void **state)
{
	struct terminal *t = *state;
	uint64_t time = 1000 * MS;
	char *begin, *end;
	struct use u;

	resize(t, 250, 300);
	for (int i = 0; i < 400; i++, time += 1000 * MS) {
		u = make_use(i);
		t->sink.ops->use(t->sink.self, &u);
		assert_int_equal(t->sink.ops->tick(t->sink.self, time), 0);
	}
	tick(t, time);	/* the rest of what was under way, perhaps one more */
	end = strrchr(t->text, '\033');
	assert_string_equal(end, "\033[J");
	for (begin = t->text; (begin = strstr(begin, "\033[H")); begin++) {
		end = strstr(begin, "\033[J");
		assert_non_null(end);
		assert_true(!strstr(begin + 1, "\033[H") || strstr(begin + 1, "\033[H") > end);
	}
	resize(t, 80, 10);
	assert_true(tick(t, time + 1000 * MS) > 0);
	parse(t);
	assert_int_equal(t->count, 10);
	for (size_t n = 0; n < t->count; n++)
		assert_int_equal(columns_width(t->lines[n]), 80);
}

/* Not a terminal: 80 columns, and no error. */
static void into_a_pipe(void **state)
{
	struct use u = make_use(1);
	char text[65536];
	struct sink s;
	ssize_t n;
	int p[2];

	assert_int_equal(pipe(p), 0);
	assert_int_equal(table_sink_new(p[1], "n", &s), 0);
	s.ops->use(s.self, &u);
	assert_int_equal(s.ops->tick(s.self, 1000 * MS), 0);
	s.ops->free(s.self);
	close(p[1]);
	n = read(p[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	assert_non_null(strstr(text, "curl(4242)"));
	close(p[0]);
}

int main(void)
{
#define ON_TERMINAL(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		ON_TERMINAL(started_again_is_one_row),
		ON_TERMINAL(shows_what_is_in_use),
		ON_TERMINAL(unreadable_is_no_token),
		ON_TERMINAL(grpc_status_and_mcp),
		ON_TERMINAL(fits_every_window),
		ON_TERMINAL(everything_has_a_place_at_80),
		ON_TERMINAL(draws_when_something_changed),
		ON_TERMINAL(keeps_the_latest_rows),
		ON_TERMINAL(gives_the_terminal_back),
		ON_TERMINAL(free_without_finish),
		ON_TERMINAL(nothing_drawn_nothing_restored),
		ON_TERMINAL(colours_unless_refused),
		ON_TERMINAL(terminal_that_does_not_read),
		cmocka_unit_test(into_a_pipe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
