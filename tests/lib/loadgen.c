/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A load generator that counts exactly: N keep-alive connections, M requests, one token for each
 * connection, over TLS or plain. Requests are written on all connections, then the answers are
 * read, so N requests are in flight. A request whose answer does not arrive whole is a failure.
 *
 *   loadgen [-t] [-c CONNECTIONS] [-n REQUESTS] [-d SECONDS] [-r PER_SECOND] [-p PATH] PORT <TOKENS
 *   loadgen -e [-t] [-c CONNECTIONS] [-p PATH] PORT <TOKENS
 *
 * -t: TLS. Without -n and -d it runs until SIGTERM. -e: one request for each token, as they come; a
 * token "." ends a round early and prints how many requests are done. Tokens come on standard input, one
 * a line, and are never printed. Prints one JSON object.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "answer.h"

#define TOKENS_MAX 4096
#define ANSWER_MAX 65536

struct conn {
	int fd;
	SSL *ssl;
	char *request;
	size_t request_len;
	bool sent;
};

static struct {
	bool tls, each;
	unsigned int connections;
	unsigned long requests;	/* 0 = no limit */
	double seconds, rate;	/* 0 = no limit */
	const char *path;
	int port;
} opt = { .connections = 1, .path = "/" };

static char *tokens[TOKENS_MAX];
static unsigned int token_count;
static SSL_CTX *ctx;
static unsigned long done, failed, by_status[1000];
static sigset_t stop_signals;

/* SIGTERM is kept blocked and asked for: it must not break into a read, which would be a failure of
 * our own making. */
static bool stopping(void)
{
	static const struct timespec no_time;

	return sigtimedwait(&stop_signals, NULL, &no_time) > 0;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void read_tokens(void)
{
	char line[8192];

	while (token_count < TOKENS_MAX && fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\r\n")] = '\0';
		if (line[0])
			tokens[token_count++] = strdup(line);
	}
}

static int conn_open(struct conn *c)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(opt.port) };
	struct timeval limit = { .tv_sec = 20 };
	int one = 1;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return -errno;
	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return -errno;
	if (!opt.tls)
		return 0;
	c->ssl = SSL_new(ctx);
	if (!c->ssl || SSL_set_fd(c->ssl, c->fd) != 1 || SSL_connect(c->ssl) != 1)
		return -EPROTO;
	return 0;
}

static void conn_close(struct conn *c)
{
	if (c->ssl)
		SSL_free(c->ssl);
	if (c->fd >= 0)
		close(c->fd);
	c->ssl = NULL;
	c->fd = -1;
}

/* token NULL: none. */
static int conn_prepare(struct conn *c, const char *token)
{
	int n;

	free(c->request);
	if (token)
		n = asprintf(&c->request,
			     "GET %s HTTP/1.1\r\nHost: localhost:%d\r\nUser-Agent: loadgen\r\n"
			     "Authorization: Bearer %s\r\nAccept: */*\r\n\r\n",
			     opt.path, opt.port, token);
	else
		n = asprintf(&c->request, "GET %s HTTP/1.1\r\nHost: localhost:%d\r\n\r\n",
			     opt.path, opt.port);
	if (n < 0)
		return -ENOMEM;
	c->request_len = n;
	return 0;
}

static bool conn_send(struct conn *c)
{
	if (c->fd < 0 && conn_open(c) < 0) {
		conn_close(c);
		return false;
	}
	if (c->ssl)
		return SSL_write(c->ssl, c->request, c->request_len) == (int)c->request_len;
	return send(c->fd, c->request, c->request_len, MSG_NOSIGNAL) == (ssize_t)c->request_len;
}

/* The status of one whole answer; 0: it did not come. */
static int conn_receive(struct conn *c)
{
	static char buf[ANSWER_MAX];
	size_t len = 0;
	long left = -1;

	while (left != 0 && len < sizeof(buf) - 1) {
		ssize_t n = c->ssl ? SSL_read(c->ssl, buf + len, sizeof(buf) - 1 - len) :
				     recv(c->fd, buf + len, sizeof(buf) - 1 - len, 0);

		if (n <= 0)
			return 0;
		len += n;
		buf[len] = '\0';
		left = answer_missing(buf, len);
	}
	if (left != 0 || strncmp(buf, "HTTP/1.1 ", 9) != 0)
		return 0;
	left = strtol(buf + 9, NULL, 10);
	return left >= 100 && left < 1000 ? (int)left : 0;
}

static void round_of(struct conn *conns, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		conns[i].sent = conn_send(&conns[i]);
	for (unsigned int i = 0; i < count; i++) {
		int status = conns[i].sent ? conn_receive(&conns[i]) : 0;

		done++;
		if (status) {
			by_status[status]++;
		} else {
			failed++;
			conn_close(&conns[i]);
		}
	}
}

static void pace(double began)
{
	double wait = opt.rate > 0 ? began + done / opt.rate - now() : 0;

	if (wait > 0)
		usleep(wait * 1e6);
}

static void load(struct conn *conns)
{
	double began = now();

	while (!stopping() && (!opt.requests || done < opt.requests) &&
	       (opt.seconds <= 0 || now() - began < opt.seconds)) {
		unsigned int count = opt.connections;

		if (opt.requests && opt.requests - done < count)
			count = opt.requests - done;
		round_of(conns, count);
		pace(began);
	}
}

/* False: there are no more tokens. */
static bool fill_round(struct conn *conns, unsigned int *ret_count, bool *ret_tell)
{
	char line[8192];

	*ret_count = 0;
	*ret_tell = false;
	while (*ret_count < opt.connections) {
		if (!fgets(line, sizeof(line), stdin))
			return false;
		line[strcspn(line, "\r\n")] = '\0';
		if (!strcmp(line, ".")) {
			*ret_tell = true;
			break;
		}
		if (conn_prepare(&conns[*ret_count], line) < 0)
			return false;
		++*ret_count;
	}
	return true;
}

static void load_each(struct conn *conns)
{
	unsigned int count;
	bool more, tell;

	do {
		more = fill_round(conns, &count, &tell);
		round_of(conns, count);
		if (tell) {
			printf("%lu\n", done);
			fflush(stdout);
		}
	} while (more && !stopping());
}

static void report(double seconds)
{
	struct rusage u;
	const char *comma = "";

	getrusage(RUSAGE_SELF, &u);
	printf("{\"requests\":%lu,\"failed\":%lu,\"seconds\":%.6f,\"cpu_seconds\":%.6f,\"status\":{",
	       done, failed, seconds,
	       u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
	for (int s = 100; s < 1000; s++) {
		if (!by_status[s])
			continue;
		printf("%s\"%d\":%lu", comma, s, by_status[s]);
		comma = ",";
	}
	printf("}}\n");
}

static int parse(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "etc:n:d:r:p:")) != -1) {
		switch (c) {
		case 'e': opt.each = true; break;
		case 't': opt.tls = true; break;
		case 'c': opt.connections = strtoul(optarg, NULL, 10); break;
		case 'n': opt.requests = strtoul(optarg, NULL, 10); break;
		case 'd': opt.seconds = strtod(optarg, NULL); break;
		case 'r': opt.rate = strtod(optarg, NULL); break;
		case 'p': opt.path = optarg; break;
		default: return -EINVAL;
		}
	}
	if (optind != argc - 1 || !opt.connections)
		return -EINVAL;
	opt.port = atoi(argv[optind]);
	return 0;
}

int main(int argc, char **argv)
{
	struct conn *conns;
	double began;

	if (parse(argc, argv) < 0) {
		fputs("usage: loadgen [-e] [-t] [-c N] [-n N] [-d S] [-r RATE] [-p PATH] PORT <TOKENS\n", stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&stop_signals);
	sigaddset(&stop_signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &stop_signals, NULL);
	if (!opt.each)
		read_tokens();
	ctx = SSL_CTX_new(TLS_client_method());
	conns = calloc(opt.connections, sizeof(*conns));
	if (!ctx || !conns)
		return 3;
	for (unsigned int i = 0; i < opt.connections; i++) {
		conns[i].fd = -1;
		if (conn_prepare(&conns[i], token_count ? tokens[i % token_count] : NULL) < 0)
			return 3;
	}
	/* Handshakes are no part of what is measured. */
	for (unsigned int i = 0; i < opt.connections; i++)
		if (conn_open(&conns[i]) < 0)
			conn_close(&conns[i]);
	began = now();
	if (opt.each)
		load_each(conns);
	else
		load(conns);
	report(now() - began);
	return failed ? 1 : 0;
}
