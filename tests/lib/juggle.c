/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread with several TLS connections to two ports, mixed up in one of these ways:
 *
 *   alternate  in turn
 *   swap       in turn, and their descriptors' numbers are exchanged before each request (dup2)
 *   reopen     each for five requests, the next one on the same descriptor number
 *   clear      the same with one SSL object (SSL_clear)
 *   set_fd     the same SSL object given a new socket (SSL_clear, SSL_set_fd)
 *   fork       begun here, used on by a child
 *   pass       connected here, used by another process that got the descriptor over a UNIX socket
 *   memory     SSL on memory BIOs, what is written is sent at once
 *   batch      the same, all write, then all send, then all receive, then all read
 *   random     the same, in any order that a connection's own steps allow
 *   bio        through OpenSSL's SSL BIO
 *
 *   juggle MODE REQUESTS PORT PORT <TOKENS
 *
 * Every connection has the next one of the tokens. Prints a line for each: the token's number, the
 * local port, the peer's port, requests, pid. Server certificates are not looked at.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/ssl.h>

#define CONNS 4
#define TOKENS_MAX 16384
#define LIFE 5	/* requests of a connection that is opened anew */

enum step { IDLE, WRITTEN, SENT, RECEIVED };

struct conn {
	int fd, port;
	SSL *ssl;
	BIO *in, *out;	/* memory, or NULL */
	BIO *bio;	/* an SSL BIO, or NULL */
	unsigned int token, local, count;
	enum step step;
	size_t have;		/* bytes of an answer that is not complete */
	char answer[4096];
};

static char *tokens[TOKENS_MAX];
static unsigned int token_count, next_token;
static SSL_CTX *ctx;
static int ports[2];
static uint32_t seed = 12345;

static void die(const char *what)
{
	fprintf(stderr, "juggle[%d]: %s failed\n", getpid(), what);
	exit(1);
}

static void need(bool truth, const char *what)
{
	if (!truth)
		die(what);
}

static uint32_t random_below(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

static void read_tokens(void)
{
	char line[1024];

	while (token_count < TOKENS_MAX && fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		tokens[token_count++] = strdup(line);
	}
}

/* ---- sockets ---- */

static void conn_dial(struct conn *c, int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	socklen_t len = sizeof(a);
	int one = 1;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->port = port;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	need(c->fd >= 0 && connect(c->fd, (struct sockaddr *)&a, sizeof(a)) == 0, "connect");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	need(getsockname(c->fd, (struct sockaddr *)&a, &len) == 0, "getsockname");
	c->local = ntohs(a.sin_port);
	c->count = 0;
	c->step = IDLE;
	c->have = 0;
	need(next_token < token_count, "finding another token");
	c->token = next_token++;
}

static void conn_told(const struct conn *c)
{
	printf("%u %u %d %u %d\n", c->token, c->local, c->port, c->count, getpid());
}

static void flush_out(struct conn *c)
{
	char bytes[65536];
	int len;

	while ((len = BIO_read(c->out, bytes, sizeof(bytes))) > 0)
		need(send(c->fd, bytes, (size_t)len, MSG_NOSIGNAL) == len, "send");
}

static void fill_in(struct conn *c)
{
	char bytes[65536];
	ssize_t len = recv(c->fd, bytes, sizeof(bytes), 0);

	need(len > 0 && BIO_write(c->in, bytes, (int)len) == len, "recv");
}

/* ---- TLS ---- */

static void shake_hands(struct conn *c)
{
	int r;

	while ((r = SSL_connect(c->ssl)) != 1) {
		need(c->in && SSL_get_error(c->ssl, r) == SSL_ERROR_WANT_READ, "SSL_connect");
		flush_out(c);
		fill_in(c);
	}
	if (c->out)
		flush_out(c);
}

static void conn_tls(struct conn *c, bool memory)
{
	c->in = c->out = c->bio = NULL;
	c->ssl = SSL_new(ctx);
	need(c->ssl, "SSL_new");
	if (memory) {
		c->in = BIO_new(BIO_s_mem());
		c->out = BIO_new(BIO_s_mem());
		SSL_set_bio(c->ssl, c->in, c->out);
	} else {
		need(SSL_set_fd(c->ssl, c->fd) == 1, "SSL_set_fd");
	}
	shake_hands(c);
}

static void conn_open(struct conn *c, int port, bool memory)
{
	conn_dial(c, port);
	conn_tls(c, memory);
}

static void conn_close(struct conn *c)
{
	conn_told(c);
	SSL_free(c->ssl);
	close(c->fd);
}

/* ---- requests ---- */

static void put(struct conn *c)
{
	char head[1024];
	int len = snprintf(head, sizeof(head),
			   "GET /items/%05u HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n",
			   c->count, tokens[c->token]);

	need((c->bio ? BIO_write(c->bio, head, len) : SSL_write(c->ssl, head, len)) == len, "write");
	c->count++;
}

/* An answer of nginx's is one record of TLS, or a head and a body; -1: the rest is still to come. */
static int take(struct conn *c)
{
	char *at;
	int len, room;

	do {
		at = c->answer + c->have;
		room = (int)(sizeof(c->answer) - 1 - c->have);
		len = c->bio ? BIO_read(c->bio, at, room) : SSL_read(c->ssl, at, room);
		if (len <= 0 && c->in)
			return -1;
		need(len > 0, "read");
		at[len] = '\0';
		c->have += (size_t)len;
	} while (!strstr(c->answer, "\r\n\r\nok\n"));
	need(strncmp(c->answer, "HTTP/1.1 200 ", 13) == 0, "being answered with 200");
	c->have = 0;
	return 0;
}

static void request(struct conn *c)
{
	put(c);
	if (c->out)
		flush_out(c);
	while (c->in) {
		fill_in(c);
		if (take(c) == 0)
			return;
	}
	take(c);
}

static void advance(struct conn *c)
{
	switch (c->step) {
	case IDLE:
		put(c);
		c->step = WRITTEN;
		break;
	case WRITTEN:
		flush_out(c);
		c->step = SENT;
		break;
	case SENT:
		fill_in(c);
		c->step = RECEIVED;
		break;
	case RECEIVED:
		c->step = take(c) == 0 ? IDLE : SENT;
		break;
	}
}

/* ---- the ways ---- */

static void swap(struct conn *a, struct conn *b)
{
	int spare = dup(a->fd), number = a->fd;

	need(spare >= 0 && dup2(b->fd, a->fd) == a->fd && dup2(spare, b->fd) == b->fd, "dup2");
	close(spare);
	a->fd = b->fd;
	b->fd = number;
	need(SSL_set_fd(a->ssl, a->fd) == 1 && SSL_set_fd(b->ssl, b->fd) == 1, "SSL_set_fd");
}

static void in_turn(unsigned int requests, bool memory, bool swapped)
{
	struct conn c[2];

	for (int i = 0; i < 2; i++)
		conn_open(&c[i], ports[i], memory);
	for (unsigned int n = 0; n < requests; n++) {
		if (swapped)
			swap(&c[0], &c[1]);
		request(&c[n % 2]);
		if (n % 100 == 99) {
			conn_close(&c[n / 100 % 2]);
			conn_open(&c[n / 100 % 2], ports[n / 100 % 2], memory);
		}
	}
	conn_close(&c[0]);
	conn_close(&c[1]);
}

static void reopen(unsigned int requests)
{
	struct conn c;
	int number = -1;

	for (unsigned int n = 0; n < requests; n += LIFE) {
		conn_open(&c, ports[n / LIFE % 2], false);
		need(number < 0 || c.fd == number, "getting the same descriptor number");
		number = c.fd;
		for (int i = 0; i < LIFE; i++)
			request(&c);
		conn_close(&c);
	}
}

static void clear(unsigned int requests, bool set_fd)
{
	struct conn c;
	int spare = -1;

	conn_open(&c, ports[0], false);
	for (unsigned int n = 0; n < requests; n++) {
		request(&c);
		if (n % LIFE != LIFE - 1)
			continue;
		conn_told(&c);
		SSL_set_shutdown(c.ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
		need(SSL_clear(c.ssl) == 1, "SSL_clear");
		if (set_fd)
			spare = dup(STDERR_FILENO);	/* takes another number next time */
		close(c.fd);
		conn_dial(&c, ports[n / LIFE % 2]);
		if (set_fd)
			need(SSL_set_fd(c.ssl, c.fd) == 1, "SSL_set_fd");
		shake_hands(&c);
		if (set_fd)
			close(spare);
	}
	conn_close(&c);
}

static void goes_on_in_child(unsigned int requests)
{
	struct conn c;
	int status;
	pid_t pid;

	for (unsigned int n = 0; n < requests; n += LIFE + 1) {
		conn_open(&c, ports[n % 2], false);
		request(&c);
		conn_told(&c);
		fflush(stdout);
		pid = fork();
		need(pid >= 0, "fork");
		if (pid == 0) {
			c.count = 0;
			for (int i = 0; i < LIFE; i++)
				request(&c);
			conn_told(&c);
			exit(0);
		}
		close(c.fd);
		SSL_set_quiet_shutdown(c.ssl, 1);
		SSL_free(c.ssl);
		need(waitpid(pid, &status, 0) == pid && status == 0, "the child");
	}
}

static void send_conn(int to, const struct conn *c)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (void *)c, sizeof(*c) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			    .msg_controllen = sizeof(control) };

	control.h = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET,
				      .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(&control.h), &c->fd, sizeof(int));
	need(sendmsg(to, &m, 0) == sizeof(*c), "sendmsg");
}

static bool take_conn(int from, struct conn *c)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { c, sizeof(*c) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			    .msg_controllen = sizeof(control) };

	if (recvmsg(from, &m, MSG_CMSG_CLOEXEC) != sizeof(*c))
		return false;
	memcpy(&c->fd, CMSG_DATA(&control.h), sizeof(int));
	return true;
}

static void use_passed(int from)
{
	struct conn c;
	bool memory = false;

	while (take_conn(from, &c)) {
		conn_tls(&c, memory);
		memory = !memory;
		for (int i = 0; i < LIFE; i++)
			request(&c);
		conn_close(&c);
		need(write(from, "", 1) == 1, "answer");
	}
}

static void pass(unsigned int requests)
{
	struct conn c;
	int pair[2], status;
	char byte;
	pid_t pid;

	need(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0, "socketpair");
	pid = fork();
	need(pid >= 0, "fork");
	if (pid == 0) {
		close(pair[0]);
		use_passed(pair[1]);
		exit(0);
	}
	close(pair[1]);
	for (unsigned int n = 0; n < requests; n += LIFE) {
		conn_dial(&c, ports[n / LIFE % 2]);
		send_conn(pair[0], &c);
		close(c.fd);
		need(read(pair[0], &byte, 1) == 1, "the other process");
	}
	close(pair[0]);
	need(waitpid(pid, &status, 0) == pid && status == 0, "the other process");
}

static void batch(unsigned int requests, bool any_order)
{
	struct conn c[CONNS];

	for (int i = 0; i < CONNS; i++)
		conn_open(&c[i], ports[i % 2], true);
	for (unsigned int n = 0; n < 4 * requests;) {
		unsigned int first = any_order ? random_below(CONNS) : 0;
		unsigned int end = any_order ? first + 1 : CONNS;

		for (unsigned int i = first; i < end; i++, n++)
			advance(&c[i]);
		if (c[first].step == IDLE && c[first].count == 2 * LIFE) {
			conn_close(&c[first]);
			conn_open(&c[first], ports[first % 2], true);
		}
	}
	for (int i = 0; i < CONNS; i++) {
		while (c[i].step != IDLE)
			advance(&c[i]);
		conn_close(&c[i]);
	}
}

static void ssl_bio(unsigned int requests)
{
	struct conn c = { 0 };

	for (unsigned int n = 0; n < requests; n += LIFE) {
		conn_open(&c, ports[n / LIFE % 2], false);
		c.bio = BIO_new(BIO_f_ssl());
		need(c.bio && BIO_set_ssl(c.bio, c.ssl, BIO_NOCLOSE) == 1, "BIO_set_ssl");
		for (int i = 0; i < LIFE; i++)
			request(&c);
		BIO_free(c.bio);
		conn_close(&c);
	}
}

int main(int argc, char **argv)
{
	unsigned int requests;
	const char *mode;

	need(argc == 5, "juggle MODE REQUESTS PORT PORT");
	mode = argv[1];
	requests = (unsigned int)atoi(argv[2]);
	ports[0] = atoi(argv[3]);
	ports[1] = atoi(argv[4]);
	read_tokens();
	ctx = SSL_CTX_new(TLS_client_method());
	need(ctx, "SSL_CTX_new");
	if (strcmp(mode, "alternate") == 0 || strcmp(mode, "swap") == 0)
		in_turn(requests, false, mode[0] == 's');
	else if (strcmp(mode, "reopen") == 0)
		reopen(requests);
	else if (strcmp(mode, "clear") == 0 || strcmp(mode, "set_fd") == 0)
		clear(requests, mode[0] == 's');
	else if (strcmp(mode, "fork") == 0)
		goes_on_in_child(requests);
	else if (strcmp(mode, "pass") == 0)
		pass(requests);
	else if (strcmp(mode, "memory") == 0)
		in_turn(requests, true, false);
	else if (strcmp(mode, "batch") == 0 || strcmp(mode, "random") == 0)
		batch(requests, mode[0] == 'r');
	else if (strcmp(mode, "bio") == 0)
		ssl_bio(requests);
	else
		die("juggle MODE");
	return 0;
}
