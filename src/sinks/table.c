/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live table on a terminal: what is in use right now, newest first. It keeps ROWS_MAX rows and
 * forgets the one longest unused; counts are those since its row appeared. The store has it all.
 *
 * It owns the terminal's alternate screen from the first frame to finish() or free(), and never
 * waits for a terminal that reads slowly: the rest of a frame follows with the next ticks, and no
 * other is begun before.
 */
#include "sinks/sinks.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/lru.h"
#include "base/terminal.h"
#include "sinks/columns.h"

#define ROWS_MAX 200
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)
#define REDRAW_NS (200 * NS_PER_MS)	/* at most five times a second */
#define AGES_NS NS_PER_S		/* ages and rates grow old without news */
#define RATE_SPAN_S 5.0			/* time constant of the rate */
#define SEEN_MAX 65536			/* distinct tokens counted in the head line */
#define WRITE_CHUNK 1024

struct row {
	uint64_t key;		/* hash of what makes the row; 0 = free */
	uint64_t last_ns;
	uint64_t count;
	uint64_t rate_ns;	/* when `rate` was true */
	double rate;		/* per second */
	struct outcome outcome;
	char token[TOKEN_ID_LEN];
	char class_name[32];
	char process[TT_COMM_LEN + 16];
	char request[TT_METHOD_LEN + TT_PATH_LEN + TT_MCP_METHOD_LEN + TT_MCP_NAME_LEN + 4];
	char server[TT_HOST_LEN + 8];
	enum tt_dir dir;
};

struct table_sink {
	int fd;
	char *node;
	char status[256];
	struct row rows[ROWS_MAX];
	size_t count;
	uint64_t *seen;		/* open addressing, hashes of token ids */
	size_t tokens;
	uint64_t uses, losses;
	uint64_t drawn_ns;	/* tick's clock */
	bool dirty, on_screen, colour, utf8;
	char *frame;		/* as last shown */
	char *out;		/* what the terminal gets now */
	size_t out_len, out_at;
};

/* ---- rows ---- */

/* The NUL goes in too, so that neighbours don't run into each other. */
static uint64_t hash_text(uint64_t h, const char *text)
{
	return lru_hash(h, text, strlen(text) + 1);
}

/* Not the process: a program that is started again and again is one row, with its latest pid. */
static uint64_t row_key(const struct use *u)
{
	uint64_t h = hash_text(0, u->token_id);

	h = lru_hash(h, &u->dir, sizeof(u->dir));
	h = lru_hash(h, &u->uid, sizeof(u->uid));
	h = hash_text(h, u->process_name);
	h = hash_text(h, u->executable);
	h = hash_text(h, u->container_id);
	h = hash_text(h, u->method);
	h = hash_text(h, u->path);
	h = hash_text(h, u->mcp_method);
	h = hash_text(h, u->mcp_name);
	h = hash_text(h, u->server_address[0] ? u->server_address : u->peer_ip);
	return h ? h : 1;
}

static uint64_t realtime_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* An exponential decay in its cheapest form: right to a few percent between redraws. */
static double rate_at(const struct row *row, uint64_t now)
{
	double dt = now > row->rate_ns ? (double)(now - row->rate_ns) / 1e9 : 0;

	return row->rate * RATE_SPAN_S / (RATE_SPAN_S + dt);
}

static void set_server(struct row *row, const struct use *u)
{
	const char *address = u->server_address[0] ? u->server_address : u->peer_ip;
	uint16_t port = u->server_address[0] ? u->server_port : u->peer_port;
	bool v6 = strchr(address, ':');

	if (!address[0])
		row->server[0] = '\0';
	else if (!port || u->dir == TT_DIR_INGRESS)
		snprintf(row->server, sizeof(row->server), "%s", address);
	else
		snprintf(row->server, sizeof(row->server), v6 ? "[%s]:%u" : "%s:%u", address, port);
}

static void set_process(struct row *row, const struct use *u)
{
	snprintf(row->process, sizeof(row->process), "%s(%u)", u->process_name, u->pid);
}

static void set_request(struct row *row, const struct use *u)
{
	snprintf(row->request, sizeof(row->request), "%s%s%s%s%s%s%s", u->method,
		 u->path[0] ? " " : "", u->path, u->mcp_method[0] ? " " : "", u->mcp_method,
		 u->mcp_name[0] ? " " : "", u->mcp_name);
}

static void row_fill(struct row *row, const struct use *u, uint64_t key)
{
	memset(row, 0, sizeof(*row));
	row->key = key;
	row->dir = u->dir;
	snprintf(row->token, sizeof(row->token), "%s", u->token_id);
	snprintf(row->class_name, sizeof(row->class_name), "%s",
		 u->unreadable ? USE_UNREADABLE : u->class_name);
	set_request(row, u);
	set_server(row, u);
}

static struct row *row_get(struct table_sink *s, const struct use *u)
{
	uint64_t key = row_key(u);
	struct row *oldest = &s->rows[0];

	for (size_t i = 0; i < s->count; i++) {
		if (s->rows[i].key == key)
			return &s->rows[i];
		if (s->rows[i].last_ns < oldest->last_ns)
			oldest = &s->rows[i];
	}
	if (s->count < ROWS_MAX)
		oldest = &s->rows[s->count++];
	row_fill(oldest, u, key);
	return oldest;
}

static void see_token(struct table_sink *s, const char *id)
{
	uint64_t h = hash_text(0, id);
	size_t i;

	h = h ? h : 1;
	/* Half full at most, or a search would not end. */
	for (i = h % (2 * SEEN_MAX); s->seen[i]; i = (i + 1) % (2 * SEEN_MAX))
		if (s->seen[i] == h)
			return;
	if (s->tokens == SEEN_MAX)
		return;
	s->seen[i] = h;
	s->tokens++;
}

static int table_use(void *sink, const struct use *u)
{
	struct table_sink *s = sink;
	struct row *row = row_get(s, u);
	uint64_t now = realtime_ns();

	row->rate = rate_at(row, now) + (double)u->count / RATE_SPAN_S;
	row->rate_ns = now;
	row->count += u->count;
	if (u->last_ns >= row->last_ns) {
		row->last_ns = u->last_ns;
		row->outcome = (struct outcome){ .status = u->status, .has_grpc = u->has_grpc,
							 .grpc_status = u->grpc_status };
		set_process(row, u);
	}
	s->uses += u->count;
	if (!u->unreadable)
		see_token(s, u->token_id);
	s->dirty = true;
	return 0;
}

static int table_token(void *sink, const struct token *t)
{
	struct table_sink *s = sink;

	if (!t->unreadable)
		see_token(s, t->token_id);
	s->dirty = true;
	return 0;
}

static int table_loss(void *sink, const struct loss *l)
{
	struct table_sink *s = sink;

	s->losses += l->added;
	s->dirty = true;
	return 0;
}

/* What was minted shows when it is used. */
static int table_mint(void *sink, const struct mint *m)
{
	return 0;
}

/* The status line has its sum. */
static int table_coverage(void *sink, const struct coverage *c)
{
	return 0;
}

/* ---- a frame ---- */

struct layout {
	size_t token, class_name, process, request, server, rate;
	size_t width, height;
};

enum { DIR_W = 1, STATUS_W = 3, COUNT_W = 5, AGE_W = 4 };

static void layout_make(const struct table_sink *s, struct layout *ret_l)
{
	struct winsize w = { 0 };
	struct layout l = { .token = 10, .class_name = 10, .process = 13 };
	size_t fixed, rest;

	if (ioctl(s->fd, TIOCGWINSZ, &w) < 0 || !w.ws_col || !w.ws_row)
		w = (struct winsize){ .ws_col = 80, .ws_row = 24 };
	l.width = w.ws_col;
	l.height = w.ws_row;
	if (l.width >= 100)
		l.rate = 6;
	if (l.width >= 120) {
		l.token = 14;
		l.class_name = 18;
		l.process = 20;
	}
	/* One blank between columns. In a window too narrow for all of them the line is cut. */
	fixed = l.token + l.class_name + l.process + DIR_W + STATUS_W + COUNT_W + AGE_W + 8;
	if (l.rate)
		fixed += l.rate + 1;
	rest = l.width > fixed + 16 ? l.width - fixed : 16;
	l.server = rest * 2 / 5;
	l.request = rest - l.server;
	*ret_l = l;
}

static void format_count(uint64_t n, char *to, size_t size)
{
	static const char units[] = "kMGTPE";
	size_t i = 0;

	if (n < 100000) {
		snprintf(to, size, "%" PRIu64, n);
		return;
	}
	for (n /= 1000; n >= 1000; n /= 1000)
		i++;
	snprintf(to, size, "%" PRIu64 "%c", n, units[i]);
}

static void format_rate(double rate, char *to, size_t size)
{
	if (rate < 99.95)
		snprintf(to, size, "%.1f", rate);
	else
		format_count((uint64_t)rate, to, size);
}

static void format_age(uint64_t now, uint64_t then, char *to, size_t size)
{
	uint64_t s = now > then ? (now - then) / NS_PER_S : 0;

	if (s < 100)
		snprintf(to, size, "%" PRIu64 "s", s);
	else if (s < 6000)
		snprintf(to, size, "%" PRIu64 "m", s / 60);
	else if (s < 360000)
		snprintf(to, size, "%" PRIu64 "h", s / 3600);
	else
		snprintf(to, size, "%" PRIu64 "d", s / 86400);
}

static const char *arrow(const struct table_sink *s, enum tt_dir dir)
{
	if (dir == TT_DIR_INGRESS)
		return s->utf8 ? "\u2190" : "<";
	return s->utf8 ? "\u2192" : ">";
}

static void cell(FILE *f, const char *text, size_t width, bool right)
{
	columns_cell(f, text, width, right);
	fputc(' ', f);
}

static void write_titles(const struct layout *l, FILE *f)
{
	cell(f, "TOKEN", l->token, false);
	cell(f, "CLASS", l->class_name, false);
	cell(f, "PROCESS(PID)", l->process, false);
	cell(f, "", DIR_W, false);
	cell(f, "REQUEST", l->request, false);
	cell(f, "ST", STATUS_W, false);
	cell(f, "SERVER/PEER", l->server, false);
	cell(f, "COUNT", COUNT_W, true);
	if (l->rate)
		cell(f, "RATE/s", l->rate, true);
	columns_cell(f, "AGE", AGE_W, true);
}

/* Of a gRPC call its own status: under it there is hardly ever another than HTTP's 200. */
static void format_status(struct outcome o, char *to, size_t size)
{
	if (o.has_grpc && o.status < 400 && o.grpc_status == UINT8_MAX)
		snprintf(to, size, "g?");
	else if (o.has_grpc && o.status < 400)
		snprintf(to, size, "g%u", o.grpc_status);
	else if (o.status)
		snprintf(to, size, "%u", o.status);
	else
		snprintf(to, size, "-");
}

static void write_row(const struct table_sink *s, const struct row *row, const struct layout *l,
		      uint64_t now, FILE *f)
{
	char status[8], count[24], rate[24], age[24];

	format_status(row->outcome, status, sizeof(status));
	format_count(row->count, count, sizeof(count));
	format_rate(rate_at(row, now), rate, sizeof(rate));
	format_age(now, row->last_ns, age, sizeof(age));
	cell(f, row->token, l->token, false);
	cell(f, row->class_name[0] ? row->class_name : "-", l->class_name, false);
	cell(f, row->process, l->process, false);
	cell(f, arrow(s, row->dir), DIR_W, false);
	cell(f, row->request, l->request, false);
	cell(f, status, STATUS_W, false);
	cell(f, row->server[0] ? row->server : "-", l->server, false);
	cell(f, count, COUNT_W, true);
	if (l->rate)
		cell(f, rate, l->rate, true);
	columns_cell(f, age, AGE_W, true);
}

/* Puts a line into the frame: cut or filled to the window's width, coloured. */
static void put_line(FILE *frame, const char *line, size_t width, const char *sgr)
{
	if (sgr)
		fprintf(frame, "\033[%sm", sgr);
	columns_cell(frame, line, width, false);
	fputs(sgr ? "\033[0m\n" : "\n", frame);
}

/* As OpenTelemetry tells them apart for gRPC servers: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED,
 * INTERNAL, UNAVAILABLE and DATA_LOSS are the server's. */
static bool grpc_server_failed(uint8_t status)
{
	return status < 32 && (1u << status & (1u << 2 | 1u << 4 | 1u << 12 | 1u << 13 | 1u << 14 |
					       1u << 15));
}

static const char *row_colour(const struct table_sink *s, const struct row *row)
{
	const struct outcome *o = &row->outcome;
	bool failed = o->status >= 500 || (o->has_grpc && grpc_server_failed(o->grpc_status));

	if (!s->colour || (o->status < 400 && (!o->has_grpc || !o->grpc_status)))
		return NULL;
	return failed ? "31" : "33";	/* red: the server failed; yellow: refused */
}

static int by_last(const void *a, const void *b)
{
	const struct row *x = *(const struct row *const *)a, *y = *(const struct row *const *)b;

	if (x->last_ns != y->last_ns)
		return x->last_ns < y->last_ns ? 1 : -1;
	return x->key < y->key ? -1 : x->key > y->key;	/* equal rows don't dance */
}

enum head_line { HEAD_SUMS, HEAD_STATUS, HEAD_TITLES, HEAD_LINES };

static void write_head(const struct table_sink *s, enum head_line which, const struct layout *l,
		       FILE *f)
{
	if (which == HEAD_SUMS)
		fprintf(f, "tokentrail %s  tokens %zu%s  uses %" PRIu64 "  losses %" PRIu64,
			s->node, s->tokens, s->tokens == SEEN_MAX ? "+" : "", s->uses, s->losses);
	else if (which == HEAD_STATUS)
		fputs(s->status, f);
	else
		write_titles(l, f);
}

static const char *head_colour(const struct table_sink *s, enum head_line which)
{
	static const char *const colours[] = {
		[HEAD_SUMS] = "1",	/* bold */
		[HEAD_STATUS] = NULL,
		[HEAD_TITLES] = "7",	/* reverse */
	};

	return s->colour ? colours[which] : NULL;
}

/* One line of the frame: of the head, or row `i - HEAD_LINES`. */
static int frame_line(const struct table_sink *s, const struct row *const *rows, size_t i,
		      const struct layout *l, FILE *frame)
{
	_cleanup_free_ char *line = NULL;
	size_t len;
	FILE *f = open_memstream(&line, &len);

	if (!f)
		return -ENOMEM;
	if (i < HEAD_LINES)
		write_head(s, i, l, f);
	else
		write_row(s, rows[i - HEAD_LINES], l, realtime_ns(), f);
	if (fclose(f) != 0)
		return -ENOMEM;
	put_line(frame, line, l->width,
		 i < HEAD_LINES ? head_colour(s, i) : row_colour(s, rows[i - HEAD_LINES]));
	return 0;
}

/* The frame as lines of exactly the window's width, without cursor movements. */
static int frame_make(const struct table_sink *s, char **ret_frame)
{
	const struct row *rows[ROWS_MAX];
	_cleanup_free_ char *text = NULL;
	struct layout l;
	size_t len, lines;
	FILE *f;
	int r = 0;

	layout_make(s, &l);
	for (size_t i = 0; i < s->count; i++)
		rows[i] = &s->rows[i];
	qsort(rows, s->count, sizeof(rows[0]), by_last);

	f = open_memstream(&text, &len);
	if (!f)
		return -ENOMEM;
	lines = HEAD_LINES + s->count < l.height ? HEAD_LINES + s->count : l.height;
	for (size_t i = 0; i < lines && r == 0; i++)
		r = frame_line(s, rows, i, &l, f);
	if (fclose(f) != 0 && r == 0)
		r = -ENOMEM;
	if (r == 0)
		*ret_frame = TAKE_PTR(text);
	return r;
}

/* ---- the terminal ---- */

/* Writes on what is under way. -EAGAIN: the terminal does not take all of it now. */
static int terminal_push(struct table_sink *s, int wait_ms)
{
	struct pollfd p = { .fd = s->fd, .events = POLLOUT };
	ssize_t n;

	while (s->out_at < s->out_len) {
		size_t left = s->out_len - s->out_at;

		if (poll(&p, 1, wait_ms) <= 0)
			return -EAGAIN;
		n = write(s->fd, s->out + s->out_at, left < WRITE_CHUNK ? left : WRITE_CHUNK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		s->out_at += (size_t)n;
	}
	return 0;
}

/* Takes over `text`, malloc'd, after the one before was written or given up. */
static int terminal_start(struct table_sink *s, char *text, size_t len, int wait_ms)
{
	free(s->out);
	s->out = text;
	s->out_len = len;
	s->out_at = 0;
	return terminal_push(s, wait_ms);
}

/* The frame with what puts it in place. Lines fill the window's width, so nothing is left of older
 * ones; erasing to the end of the line would take the last character instead. Below the frame there
 * may be log lines. */
static int frame_show(struct table_sink *s, const char *frame)
{
	_cleanup_free_ char *text = NULL;
	size_t len, lines = 1;
	struct layout l;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return -ENOMEM;
	layout_make(s, &l);
	fputs(s->on_screen ? "\033[H" : "\033[?1049h\033[?25l\033[?7l\033[H", f);
	for (const char *p = frame; *p; p++) {
		if (*p != '\n') {
			fputc(*p, f);
		} else if (p[1]) {
			fputs("\r\n", f);
			lines++;
		}
	}
	if (lines < l.height)
		fputs("\r\n\033[J", f);
	if (fclose(f) != 0)
		return -ENOMEM;
	/* Set before: a part may arrive even if not all does, and restoring does no harm. */
	s->on_screen = true;
	return terminal_start(s, TAKE_PTR(text), len, 0);
}

static int draw(struct table_sink *s)
{
	_cleanup_free_ char *frame = NULL;
	int r;

	r = frame_make(s, &frame);
	if (r < 0)
		return r;
	s->dirty = false;
	if (s->frame && !strcmp(frame, s->frame))
		return 0;
	free(s->frame);
	s->frame = NULL;
	r = frame_show(s, frame);
	if (r < 0 && r != -EAGAIN)
		return r;
	s->frame = TAKE_PTR(frame);
	return 0;
}

static int table_tick(void *sink, uint64_t now_ns)
{
	struct table_sink *s = sink;
	uint64_t since = now_ns - s->drawn_ns;
	int r = terminal_push(s, 0);

	if (r < 0)
		return r == -EAGAIN ? 0 : r;
	if (s->drawn_ns && since < (s->dirty ? REDRAW_NS : AGES_NS))
		return 0;
	s->drawn_ns = now_ns;
	return draw(s);
}

/* Gives the terminal back as it was, and leaves the last frame on it as plain text. */
static int restore(struct table_sink *s, int wait_ms)
{
	_cleanup_free_ char *frame = NULL;
	char *text = NULL;
	int len, r;

	if (!s->on_screen)
		return 0;
	s->on_screen = false;
	r = frame_make(s, &frame);
	len = asprintf(&text, TERMINAL_LEAVE "%s", r == 0 ? frame : "");
	if (len < 0)
		return -ENOMEM;
	(void)terminal_push(s, wait_ms);	/* if the rest can't be written, the end still may */
	return terminal_start(s, text, (size_t)len, wait_ms);
}

static int table_finish(void *sink, uint64_t limit_ms)
{
	return restore(sink, limit_ms > 1000 ? 1000 : (int)limit_ms);
}

static void table_free(void *sink)
{
	struct table_sink *s = sink;

	if (!s)
		return;
	(void)restore(s, 100);	/* nobody left to tell */
	free(s->frame);
	free(s->out);
	free(s->seen);
	free(s->node);
	free(s);
}

static const struct sink_ops table_ops = {
	.name = "table",
	.use = table_use,
	.token = table_token,
	.mint = table_mint,
	.loss = table_loss,
	.coverage = table_coverage,
	.tick = table_tick,
	.finish = table_finish,
	.free = table_free,
};

int table_sink_new(int fd, const char *node, struct sink *ret_sink)
{
	struct table_sink *s = calloc(1, sizeof(*s));
	const char *no_color = getenv("NO_COLOR");

	if (!s)
		return -ENOMEM;
	s->fd = fd;
	s->colour = !no_color || !no_color[0];	/* no-color.org: set and not empty */
	s->utf8 = columns_utf8();
	s->dirty = true;
	s->node = strdup(node);
	s->seen = calloc(2 * SEEN_MAX, sizeof(*s->seen));
	if (!s->node || !s->seen) {
		table_free(s);
		return -ENOMEM;
	}
	*ret_sink = (struct sink){ .ops = &table_ops, .self = s };
	return 0;
}

void table_sink_status(struct sink *s, const char *line)
{
	struct table_sink *t = s->self;

	if (!strcmp(t->status, line))
		return;
	snprintf(t->status, sizeof(t->status), "%s", line);
	t->dirty = true;
}
