/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channel between monitor and agent: one SOCK_SEQPACKET socketpair, one message of
 * <tokentrail/ipc.h> a packet, at most one descriptor with it. Neither side trusts the other: what
 * does not fit the receiver's table of messages is refused whole.
 */
#ifndef TT_IPC_CHAN_H
#define TT_IPC_CHAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tokentrail/ipc.h>

/* The longest message of either direction; receive buffers have this size. */
#define CHAN_MSG_MAX 1024

/* A message that the receiver takes. */
struct chan_rule {
	uint16_t type;		/* enum tt_ipc_type */
	bool has_fd;		/* comes with exactly one descriptor; else with none */
	uint32_t len;		/* exact size, bytes */
};

/* The tables of the two sides, ending with type 0. */
extern const struct chan_rule chan_to_agent[];
extern const struct chan_rule chan_to_monitor[];

/* Both ends non-blocking and close-on-exec. */
int chan_pair(int ret_fds[static 2]);

/* Fills version and len of a header: chan_stamp(&msg.h, TT_IPC_HELLO, sizeof(msg)). */
void chan_stamp(struct tt_ipc_hdr *h, uint16_t type, uint32_t len);

/* Sends the stamped message that begins with *h; pass_fd -1 = no descriptor (the caller keeps its
 * own). Never blocks. -EAGAIN: the peer does not read; -EPIPE: it is gone. */
int chan_send(int fd, const struct tt_ipc_hdr *h, int pass_fd);

/* The same, but waits up to limit_ms for room. */
int chan_send_wait(int fd, const struct tt_ipc_hdr *h, int pass_fd, int limit_ms);

/* Receives one message that `rules` allow into buffer (CHAN_MSG_MAX bytes, aligned for 8).
 * Returns its type (> 0) and, for a message with a descriptor, *ret_fd, which the caller then owns
 * (otherwise -EBADF). -EAGAIN: nothing there; -EPIPE: the peer is gone; -EBADMSG: the peer broke
 * the rules and is not to be listened to any more. No stray descriptor is ever left open. */
int chan_recv(int fd, void *buffer, const struct chan_rule *rules, int *ret_fd);

#endif
