/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets over the socketpair. The receive side trusts nothing: type, size, version and the number
 * of descriptors have to be what its table says, and every descriptor that came along with
 * something else is closed.
 */
#include "ipc/chan.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

/* A peer may pass up to 253 (SCM_MAX_FD) in one packet; what does not fit here the kernel closes
 * and reports as MSG_CTRUNC. */
#define FDS_MAX 4

const struct chan_rule chan_to_agent[] = {
	{ TT_IPC_FILE, true, sizeof(struct tt_ipc_file) },
	{ TT_IPC_PROC, false, sizeof(struct tt_ipc_proc) },
	{ TT_IPC_COUNTERS, false, sizeof(struct tt_ipc_counters) },
	{ TT_IPC_STOP, false, sizeof(struct tt_ipc_hdr) },
	{ TT_IPC_ATTACHED, false, sizeof(struct tt_ipc_attached) },
	{ TT_IPC_RELOAD, true, sizeof(struct tt_ipc_hdr) },
	{ TT_IPC_COVER, false, sizeof(struct tt_ipc_cover) },
	{ TT_IPC_BUNDLE, true, sizeof(struct tt_ipc_bundle) },
	{ TT_IPC_PLACE, false, sizeof(struct tt_ipc_place) },
	{ 0, false, 0 },
};

const struct chan_rule chan_to_monitor[] = {
	{ TT_IPC_HELLO, false, sizeof(struct tt_ipc_hdr) },
	{ TT_IPC_ASK, false, sizeof(struct tt_ipc_ask) },
	{ TT_IPC_HOOK, false, sizeof(struct tt_ipc_hook) },
	{ TT_IPC_SCANNED, false, sizeof(struct tt_ipc_scanned) },
	{ TT_IPC_LOOK, false, sizeof(struct tt_ipc_look) },
	{ TT_IPC_RELOADED, false, sizeof(struct tt_ipc_hdr) },
	{ 0, false, 0 },
};

_Static_assert(sizeof(struct tt_ipc_file) <= CHAN_MSG_MAX, "raise CHAN_MSG_MAX");
_Static_assert(sizeof(struct tt_ipc_proc) <= CHAN_MSG_MAX, "raise CHAN_MSG_MAX");
_Static_assert(sizeof(struct tt_ipc_counters) <= CHAN_MSG_MAX, "raise CHAN_MSG_MAX");
_Static_assert(sizeof(struct tt_ipc_attached) <= CHAN_MSG_MAX, "raise CHAN_MSG_MAX");
_Static_assert(sizeof(struct tt_ipc_cover) <= CHAN_MSG_MAX, "raise CHAN_MSG_MAX");
_Static_assert(sizeof(struct tt_ipc_place) <= CHAN_MSG_MAX, "raise CHAN_MSG_MAX");

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

int chan_pair(int ret_fds[static 2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret_fds) < 0)
		return -errno;
	return 0;
}

void chan_stamp(struct tt_ipc_hdr *h, uint16_t type, uint32_t len)
{
	h->type = type;
	h->version = TT_IPC_VERSION;
	h->len = len;
}

int chan_send(int fd, const struct tt_ipc_hdr *h, int pass_fd)
{
	struct iovec iov = { .iov_base = (void *)h, .iov_len = h->len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control control = { .bytes = { 0 } };

	if (pass_fd >= 0) {
		struct cmsghdr *c = &control.align;

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &pass_fd, sizeof(int));
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int));
	}
	/* A packet is sent whole or not at all (unix(7), SOCK_SEQPACKET). */
	while (sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
		if (errno == EINTR)
			continue;
		/* Too many descriptors in flight: they are freed as the peer reads. */
		if (errno == ETOOMANYREFS)
			return -EAGAIN;
		return errno == ECONNRESET ? -EPIPE : -errno;
	}
	return 0;
}

int chan_send_wait(int fd, const struct tt_ipc_hdr *h, int pass_fd, int limit_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int r;

	r = chan_send(fd, h, pass_fd);
	if (r != -EAGAIN)
		return r;
	if (poll(&p, 1, limit_ms) < 0 && errno != EINTR)
		return -errno;
	return chan_send(fd, h, pass_fd);
}

/* Collects the packet's descriptors; returns how many there were. */
static size_t take_fds(struct msghdr *msg, int fds[static FDS_MAX])
{
	size_t n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t here;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		here = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < here && n < FDS_MAX; i++)
			memcpy(&fds[n++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
	}
	return n;
}

static const struct chan_rule *rule_of(const struct chan_rule *rules, uint16_t type)
{
	for (; rules->type; rules++)
		if (rules->type == type)
			return rules;
	return NULL;
}

/* The type of a packet that the rules allow, or -EBADMSG. */
static int judge(const struct chan_rule *rules, const void *buffer, size_t len, int flags,
		 size_t fds)
{
	struct tt_ipc_hdr h;
	const struct chan_rule *rule;

	if (flags & (MSG_TRUNC | MSG_CTRUNC) || len < sizeof(h))
		return -EBADMSG;
	memcpy(&h, buffer, sizeof(h));
	rule = rule_of(rules, h.type);
	if (!rule || h.version != TT_IPC_VERSION)
		return -EBADMSG;
	if (h.len != rule->len || len != rule->len || fds != (rule->has_fd ? 1 : 0))
		return -EBADMSG;
	return h.type;
}

int chan_recv(int fd, void *buffer, const struct chan_rule *rules, int *ret_fd)
{
	struct iovec iov = { .iov_base = buffer, .iov_len = CHAN_MSG_MAX };
	union control control;
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	int fds[FDS_MAX];
	size_t n;
	ssize_t len;
	int r;

	*ret_fd = -EBADF;
	do
		len = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (len < 0 && errno == EINTR);
	if (len < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;

	n = take_fds(&msg, fds);
	/* An empty packet looks like the end of the stream; no rule allows one, so both end it here. */
	r = len == 0 && n == 0 ? -EPIPE : judge(rules, buffer, (size_t)len, msg.msg_flags, n);
	if (r > 0 && n == 1) {
		*ret_fd = fds[0];
		return r;
	}
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
	return r;
}
