/* SPDX-License-Identifier: Apache-2.0 */
/* The one-page server: answers, refusals, limits on what a stranger can take, in one thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "sinks/http.h"

static struct http *http;
static uint16_t port;
static int made, refuse;
static size_t page_len;
static char answer[1 << 20];

static int make(void *ctx, char **ret_text, size_t *ret_len)
{
	assert_ptr_equal(ctx, &made);
	made++;
	if (refuse)
		return -ENOMEM;
	*ret_text = malloc(page_len);
	assert_non_null(*ret_text);
	memset(*ret_text, 'x', page_len);
	*ret_len = page_len;
	return 0;
}

static int listen_somewhere(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	char text[32];
	int fd, probe = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(probe, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(probe, (struct sockaddr *)&a, &len), 0);
	port = ntohs(a.sin_port);
	close(probe);
	snprintf(text, sizeof(text), "127.0.0.1:%u", port);
	assert_int_equal(http_listen(text, &fd), 0);
	return fd;
}

static int setup(void **state)
{
	static const struct http_page page = { "/metrics", "text/plain; version=0.0.4", make, &made };

	made = refuse = 0;
	page_len = 5;
	return http_new(listen_somewhere(), &page, &http);
}

static int teardown(void **state)
{
	http_free(http);
	return 0;
}

static void serve(int ms)
{
	struct pollfd p = { .fd = http_fd(http), .events = POLLIN };

	if (poll(&p, 1, ms) >= 0)
		http_run(http);
}

static int dial(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

/* What comes until the server closes; false: it did not within the time. */
static bool read_all(int fd, int ms)
{
	size_t len = 0;

	for (int i = 0; i < ms / 10; i++) {
		ssize_t n;

		serve(10);
		while ((n = recv(fd, answer + len, sizeof(answer) - 1 - len, MSG_DONTWAIT)) > 0)
			len += (size_t)n;
		answer[len] = 0;
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return true;
	}
	return false;
}

static void ask(const char *request)
{
	int fd = dial();

	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	assert_true(read_all(fd, 5000));
	close(fd);
}

#define GET "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

static void the_page(void **state)
{
	ask(GET);
	assert_memory_equal(answer, "HTTP/1.1 200 ", 13);
	assert_non_null(strstr(answer, "Content-Type: text/plain; version=0.0.4\r\n"));
	assert_non_null(strstr(answer, "\r\n\r\nxxxxx"));
	ask("HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	assert_memory_equal(answer, "HTTP/1.1 200 ", 13);
	assert_string_equal(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
	/* A page that is larger than a connection's memory. */
	page_len = 300000;
	ask(GET);
	assert_int_equal(strlen(strstr(answer, "\r\n\r\n") + 4), page_len);
	assert_int_equal(made, 3);
}

static void refusals(void **state)
{
	ask("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	assert_memory_equal(answer, "HTTP/1.1 404 ", 13);
	ask("GET /metrics/../x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	assert_memory_equal(answer, "HTTP/1.1 404 ", 13);
	ask("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc");
	assert_memory_equal(answer, "HTTP/1.1 405 ", 13);
	assert_int_equal(made, 0);
	refuse = 1;
	ask(GET);
	assert_memory_equal(answer, "HTTP/1.1 500 ", 13);
}

/* A head without end, and bytes that are no request: the connection is closed. */
static void garbage(void **state)
{
	char junk[4096];
	int fd = dial();

	memset(junk, 'a', sizeof(junk));
	for (int i = 0; i < 64 && send(fd, junk, sizeof(junk), MSG_NOSIGNAL | MSG_DONTWAIT) > 0; i++)
		serve(1);
	assert_true(read_all(fd, 5000));
	close(fd);
	ask(GET);
	assert_memory_equal(answer, "HTTP/1.1 200 ", 13);
}

/* Those who say nothing hold the places for some seconds, not for ever. */
static void silent_connections(void **state)
{
	struct timespec began, now;
	int fds[20];

	for (size_t i = 0; i < 20; i++) {
		fds[i] = dial();
		serve(10);
	}
	clock_gettime(CLOCK_MONOTONIC, &began);
	assert_true(read_all(fds[0], 9000));
	clock_gettime(CLOCK_MONOTONIC, &now);
	assert_in_range(now.tv_sec - began.tv_sec, 3, 8);
	for (int i = 0; i < 200; i++)
		serve(10);
	for (size_t i = 0; i < 20; i++)
		close(fds[i]);
	ask(GET);
	assert_memory_equal(answer, "HTTP/1.1 200 ", 13);
}

static void a_taken_address(void **state)
{
	char text[32];
	int fd;

	snprintf(text, sizeof(text), "127.0.0.1:%u", port);
	assert_int_equal(http_listen(text, &fd), -EADDRINUSE);
	assert_int_equal(http_listen("nonsense", &fd), -EINVAL);
	assert_int_equal(http_listen("192.0.2.1:1", &fd), -EADDRNOTAVAIL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_page), TEST(refusals), TEST(garbage), TEST(silent_connections),
		TEST(a_taken_address),
	};

	return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
