/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whoever reaches the address may send anything: requests are read by libmicrohttpd within the
 * limits below, and what they say beyond method and path is not looked at.
 */
#include "sinks/http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include "base/address.h"
#include "base/cleanup.h"

#define CONNECTIONS 16
#define CONNECTION_BYTES (32U * 1024)	/* for a request's head and a response's */
#define IDLE_SECONDS 5U
#define BACKLOG 16

struct http {
	struct MHD_Daemon *daemon;
	struct http_page page;
	int fd;		/* of its epoll */
};

int http_listen(const char *address, int *ret_fd)
{
	_cleanup_close_ int fd = -EBADF;
	struct sockaddr_storage a;
	socklen_t len;
	int r, on = 1;

	r = address_parse(address, &a, &len);
	if (r < 0)
		return r;
	fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* An agent that is started again must not wait for its predecessor's connections. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&a, len) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static enum MHD_Result answer(struct MHD_Connection *c, unsigned int status, const char *type,
			      char *text, size_t len, enum MHD_ResponseMemoryMode mode)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(len, text, mode);
	enum MHD_Result r = MHD_NO;

	if (!response) {
		if (mode == MHD_RESPMEM_MUST_FREE)
			free(text);
		return MHD_NO;	/* closes the connection */
	}
	if (MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES)
		r = MHD_queue_response(c, status, response);
	MHD_destroy_response(response);
	return r;
}

static enum MHD_Result refuse(struct MHD_Connection *c, unsigned int status, const char *text)
{
	return answer(c, status, "text/plain", (char *)text, strlen(text), MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result serve(void *arg, struct MHD_Connection *c, const char *url,
			     const char *method, const char *version, const char *body,
			     size_t *body_len, void **state)
{
	const struct http *h = arg;
	static int seen;
	char *text = NULL;
	size_t len = 0;

	if (!*state) {	/* the head alone: asked again when the request is whole */
		*state = &seen;
		return MHD_YES;
	}
	if (*body_len) {
		*body_len = 0;	/* nobody needs it */
		return MHD_YES;
	}
	if (strcmp(method, "GET") && strcmp(method, "HEAD"))
		return refuse(c, MHD_HTTP_METHOD_NOT_ALLOWED, "GET and HEAD only\n");
	if (strcmp(url, h->page.path))
		return refuse(c, MHD_HTTP_NOT_FOUND, "not here\n");
	if (h->page.make(h->page.ctx, &text, &len) < 0)
		return refuse(c, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
	return answer(c, MHD_HTTP_OK, h->page.type, text, len, MHD_RESPMEM_MUST_FREE);
}

int http_new(int fd, const struct http_page *page, struct http **ret_http)
{
	struct http *h = calloc(1, sizeof(*h));
	const union MHD_DaemonInfo *info;

	if (!h) {
		close(fd);
		return -ENOMEM;
	}
	h->page = *page;
	/* SIGPIPE is ignored by the agent as a whole. */
	h->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, serve, h,
				     MHD_OPTION_LISTEN_SOCKET, fd,
				     MHD_OPTION_CONNECTION_LIMIT, (unsigned int)CONNECTIONS,
				     MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS,
				     MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
				     MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
	if (!h->daemon) {
		close(fd);
		free(h);
		return -ENOMEM;
	}
	info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	h->fd = info ? info->epoll_fd : -EBADF;
	if (h->fd < 0) {
		http_free(h);
		return -ENOTSUP;
	}
	*ret_http = h;
	return 0;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	MHD_stop_daemon(h->daemon);
	free(h);
}

int http_fd(const struct http *h)
{
	return h->fd;
}

void http_run(struct http *h)
{
	MHD_run(h->daemon);
}
