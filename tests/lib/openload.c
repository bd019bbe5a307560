/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A load generator that measures latencies by an open schedule: request k is due at k / rate, is sent on the
 * connection that was idle for longest, and its latency counts from when it was due, whether a
 * connection was free then or not. So a slow server can't slow down what is asked of it (no
 * coordinated omission). Without a rate each answer makes room for the next request, and latency counts from
 * its writing. One thread; connections are kept between runs.
 *
 *   openload [-t] [-2] [-c CONNECTIONS] [-m STREAMS] [-k REQUESTS] [-p PATH] [-g SEED] [-l LENGTH] PORT
 *
 * -t TLS; -2 HTTP/2, -m its streams at a time; -k a connection is closed after so many requests; -g makes
 * tokens by their number from SEED, of LENGTH characters. Standard input: tokens, one a line, up to an
 * empty line (the connections take them in turn; they are never printed), then a command on each line:
 *
 *   run SECONDS RATE REQUESTS [FIRST COUNT]     0: no such limit; token numbers FIRST.. in turn, with -g
 *
 * Prints "ready CONNECTIONS" when all are open, then one JSON object for each run.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>

#include "answer.h"

#define TOKENS_MAX 4096
#define TOKEN_MAX 8000
#define BUFFER 65536
#define PER_ADDRESS 20000	/* connections from one loopback address: it has some 28,000 ports */
#define OPENING_MAX 64		/* handshakes at a time: a listener's backlog is short */
#define GRACE 20		/* seconds that answers may take after the last request */
#define EVENTS 256
#define STEPS 64		/* of the histogram, for each power of two: 1.6 % */
#define POWERS 40

/* One request at a time; HTTP/2 has several for each connection. */
struct slot {
	struct conn *conn;
	double due;
	int status;
	bool busy;
};

struct conn {
	int fd;
	bool greeted, writing;	/* TLS is up; the socket was full */
	SSL *ssl;
	nghttp2_session *h2;
	char *out, *in;		/* only while a part is missing */
	size_t out_len, in_len;
	unsigned int number;
	unsigned long served;
	struct slot *first;	/* waits for the handshake (HTTP/1.1) */
};

static struct {
	bool tls, http2;
	unsigned int connections, streams;
	unsigned long per_connection;	/* 0 = no limit */
	const char *path;
	bool made_up;
	uint64_t seed;
	size_t length;
	int port;
} opt = { .connections = 1, .streams = 1, .path = "/", .length = 40 };

static struct {
	double seconds, rate, began;
	unsigned long limit, first, count;	/* requests; token numbers */
	unsigned long issued, done, failed, busy;
	unsigned long by_status[1000];
	unsigned long histogram[POWERS * STEPS];
	double sum, max;
} run;

static char *tokens[TOKENS_MAX];
static unsigned int token_count;
static struct conn *conns;
static struct slot *slots, **idle;	/* a ring of those that are free, the longest idle first */
static unsigned long slot_count, idle_from, idle_count;
static SSL_CTX *ctx;
static nghttp2_session_callbacks *callbacks;
static int poller;
static char authority[32];

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* ---- what was measured ---- */

static void note_latency(double seconds)
{
	uint64_t ns = seconds > 0 ? seconds * 1e9 : 0;
	unsigned int power = 0;

	for (uint64_t n = ns / STEPS; n; n >>= 1)
		power++;
	/* Below STEPS each nanosecond has its own; above, 2^power of them share one. */
	if (power >= POWERS - 1)
		power = POWERS - 2;
	run.histogram[power ? power * STEPS + (ns >> (power - 1)) % STEPS : ns]++;
	run.sum += seconds;
	if (seconds > run.max)
		run.max = seconds;
}

/* The middle of the step that has it, microseconds. */
static double percentile(double share)
{
	unsigned long left = (run.done - run.failed) * share;

	for (unsigned int i = 0; i < POWERS * STEPS; i++) {
		if (run.histogram[i] > left) {
			unsigned int power = i / STEPS;
			double low = power ? (double)((uint64_t)(STEPS + i % STEPS) << (power - 1)) : i;

			return (low + (power ? (double)(1ull << (power - 1)) / 2 : 0)) / 1e3;
		}
		left -= run.histogram[i];
	}
	return run.max * 1e6;
}

static void report(double seconds, double cpu, unsigned long target)
{
	const char *comma = "";

	printf("{\"requests\":%lu,\"failed\":%lu,\"unsent\":%lu,\"seconds\":%.6f,\"cpu_seconds\":%.6f,", run.done,
	       run.failed, target > run.issued ? target - run.issued : 0, seconds, cpu);
	printf("\"us\":{\"mean\":%.1f,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f},\"status\":{",
	       run.done > run.failed ? run.sum / (run.done - run.failed) * 1e6 : 0, percentile(0.5), percentile(0.9), percentile(0.99),
	       percentile(0.999), run.max * 1e6);
	for (int s = 100; s < 1000; s++) {
		if (!run.by_status[s])
			continue;
		printf("%s\"%d\":%lu", comma, s, run.by_status[s]);
		comma = ",";
	}
	printf("}}\n");
	fflush(stdout);
}

/* ---- requests ---- */

static void slot_free(struct slot *s)
{
	s->busy = false;
	idle[(idle_from + idle_count++) % slot_count] = s;
}

static void slot_done(struct slot *s)
{
	run.done++;
	run.busy--;
	if (s->status) {
		run.by_status[s->status]++;
		note_latency(now() - s->due);
	} else {
		run.failed++;
	}
	slot_free(s);
}

/* splitmix64: a token is the same whenever its number comes again. */
static void make_token(uint64_t number, char *ret_token)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint64_t state = opt.seed + number * 0xd1342543de82ef95ull, bits = 0;

	for (size_t i = 0; i < opt.length; i++) {
		if (i % 10 == 0) {
			bits = state += 0x9e3779b97f4a7c15ull;
			bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9ull;
			bits = (bits ^ bits >> 27) * 0x94d049bb133111ebull;
			bits ^= bits >> 31;
		}
		ret_token[i] = digits[bits & 63];
		bits >>= 6;
	}
	ret_token[opt.length] = '\0';
}

/* NULL: the request has none. */
static const char *token_for(const struct conn *c)
{
	static char made[TOKEN_MAX + 1];

	if (!opt.made_up)
		return token_count ? tokens[c->number % token_count] : NULL;
	make_token(run.first + (run.count ? run.issued % run.count : run.issued), made);
	return made;
}

/* ---- connections ---- */

static void conn_watch(struct conn *c, int op, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = c };

	if (epoll_ctl(poller, op, c->fd, &e) < 0) {
		perror("openload: epoll_ctl");
		exit(3);
	}
}

static void conn_close(struct conn *c)
{
	if (c->ssl) {
		if (c->greeted)
			SSL_shutdown(c->ssl);
		SSL_free(c->ssl);
	}
	nghttp2_session_del(c->h2);
	if (c->fd >= 0)
		close(c->fd);
	free(c->out);
	free(c->in);
	*c = (struct conn){ .fd = -1, .number = c->number };
}

/* What was in flight has failed. The next request opens it again. */
static void conn_fail(struct conn *c)
{
	conn_close(c);
	for (unsigned int i = 0; i < opt.streams; i++) {
		struct slot *s = &slots[c->number + (unsigned long)i * opt.connections];

		if (!s->busy)
			continue;
		s->status = 0;
		slot_done(s);
	}
}

static int conn_connect(struct conn *c)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(opt.port) }, from = { .sin_family = AF_INET };
	int one = 1;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + c->number / PER_ADDRESS);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return -errno;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	if (bind(c->fd, (struct sockaddr *)&from, sizeof(from)) < 0 ||
	    connect(c->fd, (struct sockaddr *)&to, sizeof(to)) < 0 || fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	conn_watch(c, EPOLL_CTL_ADD, EPOLLIN);
	return 0;
}

static int conn_open(struct conn *c)
{
	int r = conn_connect(c);

	if (r < 0)
		return r;
	if (opt.tls) {
		c->ssl = SSL_new(ctx);
		if (!c->ssl || SSL_set_fd(c->ssl, c->fd) != 1)
			return -ENOMEM;
		SSL_set_connect_state(c->ssl);
	}
	if (opt.http2 && (nghttp2_session_client_new(&c->h2, callbacks, c) != 0 ||
			  nghttp2_submit_settings(c->h2, NGHTTP2_FLAG_NONE, NULL, 0) != 0))
		return -ENOMEM;
	return 0;
}

/* Bytes written; 0: the socket is full; negative: it is broken. */
static ssize_t conn_write(struct conn *c, const char *buf, size_t len)
{
	ssize_t n;

	if (c->ssl) {
		int r = SSL_write(c->ssl, buf, len);

		if (r > 0)
			return r;
		r = SSL_get_error(c->ssl, r);
		return r == SSL_ERROR_WANT_WRITE || r == SSL_ERROR_WANT_READ ? 0 : -1;
	}
	n = send(c->fd, buf, len, MSG_NOSIGNAL);
	return n < 0 && errno == EAGAIN ? 0 : n;
}

static ssize_t conn_read(struct conn *c, char *buf, size_t len)
{
	ssize_t n;

	if (c->ssl) {
		int r = SSL_read(c->ssl, buf, len);

		if (r > 0)
			return r;
		return SSL_get_error(c->ssl, r) == SSL_ERROR_WANT_READ ? 0 : -1;
	}
	n = recv(c->fd, buf, len, 0);
	return n < 0 && errno == EAGAIN ? 0 : n > 0 ? n : -1;
}

/* Writes what is left over, then these bytes; keeps what the socket has no room for. */
static int conn_send(struct conn *c, const char *buf, size_t len)
{
	size_t at = 0;
	ssize_t n = 1;
	char *all;

	if (c->out) {
		all = realloc(c->out, c->out_len + len);
		if (!all)
			return -ENOMEM;
		memcpy(all + c->out_len, buf, len);
		c->out = all;
		c->out_len += len;
		buf = all;
		len = c->out_len;
	}
	while (at < len && (n = conn_write(c, buf + at, len - at)) > 0)
		at += n;
	if (n < 0)
		return -EPIPE;
	all = NULL;
	if (at < len) {
		all = malloc(len - at);
		if (!all)
			return -ENOMEM;
		memcpy(all, buf + at, len - at);
	}
	free(c->out);
	c->out = all;
	c->out_len = len - at;
	if (c->writing != (all != NULL)) {
		c->writing = all != NULL;
		conn_watch(c, EPOLL_CTL_MOD, EPOLLIN | (c->writing ? EPOLLOUT : 0));
	}
	return 0;
}

/* ---- HTTP/1.1 ---- */

static int h1_ask(struct conn *c)
{
	static char head[TOKEN_MAX + 1024];
	const char *token = token_for(c);
	int n = snprintf(head, sizeof(head),
			 "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: openload\r\n%s%s%sAccept: */*\r\n\r\n", opt.path,
			 authority, token ? "Authorization: Bearer " : "", token ? token : "", token ? "\r\n" : "");

	return n < 0 || (size_t)n >= sizeof(head) ? -EMSGSIZE : conn_send(c, head, n);
}

/* 1: the answer is whole; 0: not yet. It is read no further than it goes: nothing else can come. */
static int h1_receive(struct conn *c, struct slot *s)
{
	static char buf[BUFFER];
	size_t len = c->in_len;
	long left = -1;

	if (len)
		memcpy(buf, c->in, len);
	while (left != 0) {
		ssize_t n = conn_read(c, buf + len, sizeof(buf) - 1 - len);

		if (n < 0 || len + n >= sizeof(buf) - 1)
			return -EPROTO;
		if (n == 0)
			break;
		len += n;
		buf[len] = '\0';
		left = answer_missing(buf, len);
	}
	free(c->in);
	c->in = NULL;
	c->in_len = 0;
	if (left == 0) {
		if (strncmp(buf, "HTTP/1.1 ", 9) != 0)
			return -EPROTO;
		left = strtol(buf + 9, NULL, 10);
		s->status = left >= 100 && left < 1000 ? (int)left : 0;
		return 1;
	}
	if (len) {
		c->in = malloc(len);
		if (!c->in)
			return -ENOMEM;
		memcpy(c->in, buf, len);
		c->in_len = len;
	}
	return 0;
}

/* ---- HTTP/2 ---- */

static int h2_flush(struct conn *c)
{
	static char buf[BUFFER];
	size_t len = 0;
	const uint8_t *frame;
	ssize_t n;

	/* Several frames go in one write, as other clients have it. */
	while ((n = nghttp2_session_mem_send(c->h2, &frame)) > 0) {
		if (len + n > sizeof(buf)) {
			if (conn_send(c, buf, len) < 0)
				return -EPIPE;
			len = 0;
		}
		memcpy(buf + len, frame, n);
		len += n;
	}
	if (n < 0)
		return -EPROTO;
	return len ? conn_send(c, buf, len) : 0;
}

static nghttp2_nv h2_field(const char *name, const char *value)
{
	return (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE };
}

static int h2_ask(struct conn *c, struct slot *s)
{
	static char bearer[TOKEN_MAX + 16];
	const char *token = token_for(c);
	nghttp2_nv fields[] = { h2_field(":method", "GET"), h2_field(":scheme", opt.tls ? "https" : "http"),
				h2_field(":authority", authority), h2_field(":path", opt.path),
				h2_field("user-agent", "openload"), h2_field("accept", "*/*"), h2_field("", "") };
	size_t count = sizeof(fields) / sizeof(fields[0]);

	/* nghttp2 sends this field as a literal that is never indexed. */
	if (token) {
		snprintf(bearer, sizeof(bearer), "Bearer %s", token);
		fields[count - 1] = h2_field("authorization", bearer);
	} else {
		count--;
	}
	if (nghttp2_submit_request(c->h2, NULL, fields, count, NULL, s) < 0)
		return -EPROTO;
	return c->greeted ? h2_flush(c) : 0;	/* until then the session keeps it */
}

static int h2_on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
			const uint8_t *value, size_t len, uint8_t flags, void *data)
{
	struct slot *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	if (s && name_len == 7 && !memcmp(name, ":status", 7) && len == 3)
		s->status = (int)strtol((const char *)value, NULL, 10) % 1000;
	return 0;
}

static int h2_on_close(nghttp2_session *session, int32_t stream, uint32_t error, void *data)
{
	struct slot *s = nghttp2_session_get_stream_user_data(session, stream);

	if (!s)
		return 0;
	if (error)
		s->status = 0;
	s->conn->served++;
	slot_done(s);
	return 0;
}

static int h2_receive(struct conn *c)
{
	static char buf[BUFFER];

	do {
		ssize_t n = conn_read(c, buf, sizeof(buf));

		if (n < 0 || (n && nghttp2_session_mem_recv(c->h2, (uint8_t *)buf, n) != n))
			return -EPROTO;
	} while (c->ssl && SSL_pending(c->ssl) > 0);
	if (!nghttp2_session_want_read(c->h2))
		return -EPIPE;
	return h2_flush(c);
}

/* ---- what happens ---- */

/* What waited for the handshake goes out. */
static int conn_greeted(struct conn *c)
{
	struct slot *s = c->first;

	c->greeted = true;
	c->first = NULL;
	if (c->h2)
		return h2_flush(c);
	return s ? h1_ask(c) : 0;
}

/* A quick server may be through with it at the first try. */
static int conn_greet(struct conn *c)
{
	const unsigned char *name;
	unsigned int len;
	int r;

	if (!c->ssl)
		return conn_greeted(c);
	r = SSL_do_handshake(c->ssl);
	if (r != 1) {
		r = SSL_get_error(c->ssl, r);
		return r == SSL_ERROR_WANT_READ || r == SSL_ERROR_WANT_WRITE ? 0 : -EPROTO;
	}
	SSL_get0_alpn_selected(c->ssl, &name, &len);
	if (opt.http2 && (len != 2 || memcmp(name, "h2", 2) != 0))
		return -EPROTO;
	return conn_greeted(c);
}

static int conn_ready(struct conn *c, uint32_t events)
{
	struct slot *s = &slots[c->number];
	int r;

	if (!c->greeted)
		return conn_greet(c);
	if (events & EPOLLOUT && conn_send(c, "", 0) < 0)
		return -EPIPE;
	if (!(events & ~EPOLLOUT))
		return 0;
	if (c->h2)
		return h2_receive(c);
	r = h1_receive(c, s);
	if (r == 1 && s->busy) {
		c->served++;
		slot_done(s);
	} else if (r == 1) {
		return -EPROTO;
	}
	return r < 0 ? r : 0;
}

static int start(struct slot *s)
{
	struct conn *c = s->conn;

	if (opt.per_connection && c->served >= opt.per_connection)
		conn_close(c);
	if (c->fd >= 0)
		return c->h2 ? h2_ask(c, s) : h1_ask(c);
	if (conn_open(c) < 0)
		return -EPIPE;
	if (!c->h2)
		c->first = s;
	else if (h2_ask(c, s) < 0)
		return -EPROTO;
	return conn_greet(c);
}

static void issue(struct slot *s, double due)
{
	s->due = due;
	s->status = 0;
	s->busy = true;
	run.busy++;
	if (start(s) < 0)
		conn_fail(s->conn);
	run.issued++;
}

static void issue_due(unsigned long target, double t)
{
	/* Those that fail at once are free again: they get their turn after the others'. */
	for (unsigned long left = idle_count; left > 0 && (!target || run.issued < target); left--) {
		double due = run.rate > 0 ? run.began + run.issued / run.rate : t;
		struct slot *s = idle[idle_from];

		if (due > t)
			break;
		idle_from = (idle_from + 1) % slot_count;
		idle_count--;
		issue(s, due);
	}
}

static void wait_events(double seconds)
{
	struct timespec limit = { .tv_sec = seconds, .tv_nsec = (seconds - (time_t)seconds) * 1e9 };
	struct epoll_event events[EVENTS];
	int n = epoll_pwait2(poller, events, EVENTS, &limit, NULL);

	if (n < 0 && errno != EINTR) {
		perror("openload: epoll_pwait2");
		exit(3);
	}
	for (int i = 0; i < n; i++) {
		struct conn *c = events[i].data.ptr;

		if (c->fd >= 0 && conn_ready(c, events[i].events) < 0)
			conn_fail(c);
	}
}

/* With a rate, what was due within the time is asked for, however long that takes: it is late, not left out. */
static void load(void)
{
	unsigned long target = run.limit;
	double cpu = cpu_seconds(), wait;

	if (!target && run.rate > 0)
		target = run.rate * run.seconds;
	run.began = now();
	for (;;) {
		double t = now();
		bool enough = (target && run.issued >= target) ||
			      (run.seconds > 0 && t - run.began >= run.seconds + (run.rate > 0 ? GRACE : 0));

		if (!enough)
			issue_due(target, t);
		if (enough && (!run.busy || (run.seconds > 0 && t - run.began > run.seconds + 2 * GRACE)))
			break;
		wait = 0.05;
		if (run.rate > 0 && idle_count && !enough)
			wait = run.began + run.issued / run.rate - now();
		wait_events(wait < 0 ? 0 : wait > 0.05 ? 0.05 : wait);
	}
	/* What is in flight now never comes: none of it may answer into the next run. */
	for (unsigned int i = 0; run.busy && i < opt.connections; i++)
		if (slots[i].busy || opt.http2)
			conn_fail(&conns[i]);
	report(now() - run.began, cpu_seconds() - cpu, target);
}

/* All connections are up before anything is measured. */
static bool open_all(void)
{
	unsigned int at = 0, up = 0;
	double limit = now() + 600;

	while (up < opt.connections && now() < limit) {
		while (at < opt.connections && at - up < OPENING_MAX) {
			struct conn *c = &conns[at++];

			if (conn_open(c) < 0 || conn_greet(c) < 0)
				return false;
		}
		wait_events(opt.tls ? 0.05 : 0);
		while (up < at && conns[up].greeted)
			up++;
		if (up < at && conns[up].fd < 0)
			return false;
	}
	return up == opt.connections;
}

static void read_tokens(void)
{
	char line[TOKEN_MAX + 2];

	while (token_count < TOKENS_MAX && fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\r\n")] = '\0';
		if (!line[0])
			return;
		tokens[token_count++] = strdup(line);
	}
}

/* Beyond the hard limit only the privileged get. */
static void allow_files(rlim_t count)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur >= count)
		return;
	files.rlim_cur = count;
	if (files.rlim_max < count)
		files.rlim_max = count;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		perror("openload: RLIMIT_NOFILE");
}

static int set_up(void)
{
	allow_files(opt.connections + 64);
	prctl(PR_SET_TIMERSLACK, 1000);
	poller = epoll_create1(EPOLL_CLOEXEC);
	ctx = SSL_CTX_new(TLS_client_method());
	slot_count = (unsigned long)opt.connections * opt.streams;
	conns = calloc(opt.connections, sizeof(*conns));
	slots = calloc(slot_count, sizeof(*slots));
	idle = calloc(slot_count, sizeof(*idle));
	if (poller < 0 || !ctx || !conns || !slots || !idle || nghttp2_session_callbacks_new(&callbacks) != 0)
		return -ENOMEM;
	/* A retry may come from another buffer; idle connections hold no buffers. */
	SSL_CTX_set_mode(ctx, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS);
	if (opt.http2)
		SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)"\x02h2", 3);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, h2_on_header);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, h2_on_close);
	for (unsigned int i = 0; i < opt.connections; i++)
		conns[i] = (struct conn){ .fd = -1, .number = i };
	for (unsigned long i = 0; i < slot_count; i++) {
		slots[i].conn = &conns[i % opt.connections];
		slot_free(&slots[i]);
	}
	snprintf(authority, sizeof(authority), "localhost:%d", opt.port);
	return 0;
}

static int parse(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "t2c:m:k:p:g:l:")) != -1) {
		switch (c) {
		case 't': opt.tls = true; break;
		case '2': opt.http2 = true; break;
		case 'c': opt.connections = strtoul(optarg, NULL, 10); break;
		case 'm': opt.streams = strtoul(optarg, NULL, 10); break;
		case 'k': opt.per_connection = strtoul(optarg, NULL, 10); break;
		case 'p': opt.path = optarg; break;
		case 'g': opt.made_up = true; opt.seed = strtoull(optarg, NULL, 10); break;
		case 'l': opt.length = strtoul(optarg, NULL, 10); break;
		default: return -EINVAL;
		}
	}
	/* With HTTP/2 a connection that closes has other streams on it. */
	if (optind != argc - 1 || !opt.connections || !opt.streams || (opt.streams > 1 && !opt.http2) ||
	    (opt.per_connection && opt.http2) || !opt.length || opt.length > TOKEN_MAX)
		return -EINVAL;
	opt.port = (int)strtol(argv[optind], NULL, 10);
	return 0;
}

int main(int argc, char **argv)
{
	char line[256];

	if (parse(argc, argv) < 0) {
		fputs("usage: openload [-t] [-2] [-c N] [-m N] [-k N] [-p PATH] [-g SEED] [-l LENGTH] PORT\n", stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	if (set_up() < 0)
		return 3;
	read_tokens();
	if (!open_all()) {
		fputs("openload: not all connections can be opened\n", stderr);
		return 1;
	}
	printf("ready %u\n", opt.connections);
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		memset(&run, 0, sizeof(run));
		if (sscanf(line, "run %lf %lf %lu %lu %lu", &run.seconds, &run.rate, &run.limit, &run.first, &run.count) < 3) {
			fputs("openload: not a command\n", stderr);
			return 2;
		}
		load();
	}
	return 0;
}
