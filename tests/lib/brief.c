/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client that lives for some milliseconds: connects, and makes requests as fast as it is answered.
 *
 *   brief PORT REQUESTS TOKEN [MILLISECONDS]
 *
 * With MILLISECONDS it makes more requests behind these, one a millisecond, until it has lived so long.
 * Prints the nanoseconds of CLOCK_REALTIME when main() began and when each request was written, and
 * ends with 0 if each was answered with 200. The token is made up: it may stand in the arguments.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/ssl.h>

#define REQUESTS_MAX 20000

static unsigned long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (unsigned long long)t.tv_sec * 1000000000 + (unsigned long long)t.tv_nsec;
}

static int dial(int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 ? fd : -1;
}

/* nginx's answers end with the body "ok\n". */
static int ask(SSL *ssl, const char *head)
{
	char answer[4096];
	int len = (int)strlen(head), have = 0, n;

	if (SSL_write(ssl, head, len) != len)
		return -1;
	do {
		n = SSL_read(ssl, answer + have, (int)sizeof(answer) - 1 - have);
		have += n > 0 ? n : 0;
		answer[have] = '\0';
	} while (n > 0 && !strstr(answer, "\r\n\r\nok\n"));
	return strncmp(answer, "HTTP/1.1 200 ", 13);
}

int main(int argc, char **argv)
{
	unsigned long long times[REQUESTS_MAX + 1] = { now() };
	int requests = argc == 4 || argc == 5 ? atoi(argv[2]) : 0, made = 0;
	unsigned long long end = argc == 5 ? times[0] + strtoull(argv[4], NULL, 10) * 1000000 : 0;
	char head[1024];
	SSL *ssl;

	if (requests < 1 || requests > REQUESTS_MAX)
		return 2;
	snprintf(head, sizeof(head), "GET /brief HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n",
		 argv[3]);
	ssl = SSL_new(SSL_CTX_new(TLS_client_method()));
	if (!ssl || SSL_set_fd(ssl, dial(atoi(argv[1]))) != 1 || SSL_connect(ssl) != 1)
		return 1;
	while (made < requests || (made < REQUESTS_MAX && now() < end)) {
		if (made >= requests)
			usleep(1000);
		times[++made] = now();
		if (ask(ssl, head) != 0)
			return 1;
	}
	for (int i = 0; i <= made; i++)
		printf("%llu\n", times[i]);
	return 0;
}
