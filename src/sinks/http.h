/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small HTTP server for one page, in the caller's loop: no thread, few connections, each with a
 * time limit. http.c is the door to libmicrohttpd.
 */
#ifndef TT_SINKS_HTTP_H
#define TT_SINKS_HTTP_H

#include <stddef.h>

struct http;

struct http_page {
	const char *path;		/* "/metrics" */
	const char *type;		/* Content-Type */
	/* The page, malloc'd. 0 or a negative errno: the client gets 500. */
	int (*make)(void *ctx, char **ret_text, size_t *ret_len);
	void *ctx;
};

/* A listening socket, close-on-exec: "127.0.0.1:9465". 0 or a negative errno. */
int http_listen(const char *address, int *ret_fd);

/* Takes the descriptor in any case. The page's strings live as long as the server. */
int http_new(int fd, const struct http_page *page, struct http **ret_http);
void http_free(struct http *h);	/* NULL is fine */

int http_fd(const struct http *h);	/* readable: call http_run() */
void http_run(struct http *h);		/* also now and then, for time limits */

#endif
