/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends one request head in pieces, each of which the server has read before the next is sent.
 * The head comes on standard input. Client and server are two processes on one connection.
 *
 *   lockstep plain|tls|tls_ex two|bytes CERT KEY [READ_MAX] <HEAD
 *
 * two: the head once for each position at which it can be cut in two; bytes: once, byte by byte.
 * READ_MAX: bytes the server asks for in one read. tls_ex takes SSL_write_ex and SSL_read_ex.
 * Prints {"requests":N,"client":PID,"server":PID,"port":PORT}.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/ssl.h>

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
static char head[65536];
static size_t head_len, read_max = sizeof(head);
static bool tls, ex;

struct end {
	int fd;
	SSL *ssl;
};

static void die(const char *what)
{
	fprintf(stderr, "lockstep[%d]: %s failed\n", getpid(), what);
	exit(1);
}

static void write_all(struct end *e, const void *bytes, size_t len)
{
	size_t n = 0;

	if (!e->ssl)
		n = send(e->fd, bytes, len, MSG_NOSIGNAL);
	else if (ex && SSL_write_ex(e->ssl, bytes, len, &n) != 1)
		n = 0;
	else if (!ex)
		n = SSL_write(e->ssl, bytes, len);
	if (n != len)
		die("write");
}

static size_t read_some(struct end *e, void *bytes, size_t len)
{
	size_t n = 0;

	if (len > read_max)
		len = read_max;
	if (!e->ssl)
		n = recv(e->fd, bytes, len, 0);
	else if (ex && SSL_read_ex(e->ssl, bytes, len, &n) != 1)
		n = 0;
	else if (!ex)
		n = SSL_read(e->ssl, bytes, len);
	if (n == 0 || n > len)
		return 0;
	return n;
}

static void shake_hands(struct end *e, bool server, const char *cert, const char *key)
{
	SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	int one = 1;

	setsockopt(e->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (!tls)
		return;
	if (!ctx)
		die("SSL_CTX_new");
	if (server && (SSL_CTX_use_certificate_file(ctx, cert, SSL_FILETYPE_PEM) != 1 ||
		       SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1))
		die("certificate");
	e->ssl = SSL_new(ctx);
	if (!e->ssl || SSL_set_fd(e->ssl, e->fd) != 1)
		die("SSL_new");
	if ((server ? SSL_accept(e->ssl) : SSL_connect(e->ssl)) != 1)
		die("handshake");
}

/* Reads heads until the client leaves; tells the client how many bytes it has each time. */
static void serve(int listener, int ack, const char *cert, const char *key)
{
	struct end e = { .fd = accept(listener, NULL, NULL) };
	char buf[65536];
	size_t have = 0;
	unsigned int n;

	if (e.fd < 0)
		die("accept");
	shake_hands(&e, true, cert, key);
	while ((n = read_some(&e, buf, head_len - have)) > 0) {
		if (write(ack, &n, sizeof(n)) != sizeof(n))
			die("ack");
		have += n;
		if (have < head_len)
			continue;
		write_all(&e, answer, sizeof(answer) - 1);
		have = 0;
	}
	exit(0);
}

static void send_piece(struct end *e, int ack, const char *bytes, size_t len)
{
	unsigned int n;

	write_all(e, bytes, len);
	while (len > 0) {
		if (read(ack, &n, sizeof(n)) != sizeof(n) || n > len)
			die("acknowledgement");
		len -= n;
	}
}

static void take_answer(struct end *e)
{
	char buf[sizeof(answer)];
	size_t have = 0, n;

	while (have < sizeof(answer) - 1) {
		n = read_some(e, buf + have, sizeof(answer) - 1 - have);
		if (!n)
			die("answer");
		have += n;
	}
}

static unsigned int send_heads(struct end *e, int ack, bool two)
{
	unsigned int requests = 0;

	for (size_t cut = 1; two && cut < head_len; cut++) {
		send_piece(e, ack, head, cut);
		send_piece(e, ack, head + cut, head_len - cut);
		take_answer(e);
		requests++;
	}
	if (two)
		return requests;
	for (size_t i = 0; i < head_len; i++)
		send_piece(e, ack, head + i, 1);
	take_answer(e);
	return 1;
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t at_len = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM, 0), ack[2], status;
	struct end e = { 0 };
	unsigned int requests;
	pid_t server;

	if (argc < 5)
		die("usage: lockstep plain|tls|tls_ex two|bytes CERT KEY [READ_MAX] <HEAD");
	tls = strcmp(argv[1], "plain") != 0;
	ex = strcmp(argv[1], "tls_ex") == 0;
	if (argc > 5)
		read_max = strtoul(argv[5], NULL, 10);
	head_len = fread(head, 1, sizeof(head), stdin);
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&at, &at_len) < 0 || pipe(ack) < 0)
		die("listen");
	server = fork();
	if (server == 0)
		serve(listener, ack[1], argv[3], argv[4]);
	close(ack[1]);
	close(listener);
	e.fd = socket(AF_INET, SOCK_STREAM, 0);
	if (server < 0 || connect(e.fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		die("connect");
	shake_hands(&e, false, NULL, NULL);
	requests = send_heads(&e, ack[0], strcmp(argv[2], "two") == 0);
	if (e.ssl)
		SSL_free(e.ssl);
	close(e.fd);
	if (waitpid(server, &status, 0) != server || status != 0)
		die("server");
	printf("{\"requests\":%u,\"client\":%d,\"server\":%d,\"port\":%d}\n", requests, getpid(),
	       server, ntohs(at.sin_port));
	return 0;
}
