/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2 on the pair of sockets: a test writes a header block into `block` and passes it in frames, or writes frames
 * into `out` and carries them. The bytes of a call are one read of the other end.
 */
#ifndef TT_TESTS_H2_RIG_H
#define TT_TESTS_H2_RIG_H

#include <sys/sendfile.h>

#include "pair_rig.h"

#include "h2_write.h"

static struct h2_buf out, block;
static const struct h2w_how last = { .flags = H2W_END_STREAM };

/* What was written, from this side to the other one. */
static inline void carry(int side)
{
	static uint8_t buf[sizeof(out.p)];

	assert_int_equal(send(fd[side], out.p, out.len, MSG_NOSIGNAL), out.len);
	assert_int_equal(recv(fd[!side], buf, out.len, MSG_WAITALL), out.len);
	out.len = 0;
}

/* Likewise, but nobody sees it leave: sendfile's bytes pass through no program. */
static inline void carry_unseen(int side)
{
	static uint8_t buf[sizeof(out.p)];
	FILE *f = tmpfile();
	off_t at = 0;

	assert_non_null(f);
	assert_int_equal(fwrite(out.p, 1, out.len, f), out.len);
	assert_int_equal(fflush(f), 0);
	assert_int_equal(sendfile(fd[side], fileno(f), &at, out.len), out.len);
	fclose(f);
	assert_int_equal(recv(fd[!side], buf, out.len, MSG_WAITALL), out.len);
	out.len = 0;
}

static inline void prefaces(void)
{
	h2w_preface(&out);
	h2w_settings(&out);
	carry(0);
	h2w_settings(&out);
	h2w_settings_ack(&out);
	carry(1);
}

static inline void pass_block(int side, uint32_t id, struct h2w_how how)
{
	h2w_headers(&out, id, block.p, block.len, how);
	carry(side);
}

/* A new block: GET of the path from api.test. */
static inline void pseudo(const char *path)
{
	block.len = 0;
	h2w_indexed(&block, 2);
	h2w_indexed(&block, 7);
	if (strcmp(path, "/") == 0)
		h2w_indexed(&block, 4);
	else
		h2w_value(&block, H2W_PLAIN, 4, path, true);
	h2w_value(&block, H2W_PLAIN, 1, "api.test", true);
}

/* The status of this index of the static table: 8 is 200, 9 is 204, 12 is 400, 13 is 404. */
static inline void answer_with(uint32_t id, uint64_t index)
{
	block.len = 0;
	h2w_indexed(&block, index);
	pass_block(1, id, last);
}

/* HTTP/1.1 with "Upgrade: h2c" (RFC 7540, 3.2): this head asks for it, and the answer comes on stream 1. */
static inline void upgrade(const char *asks)
{
	static const char switching[] = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
					"Upgrade: h2c\r\n\r\n";

	h2w_bytes(&out, asks, strlen(asks));
	carry(0);
	h2w_bytes(&out, switching, strlen(switching));
	h2w_settings(&out);
	carry(1);
	h2w_preface(&out);
	h2w_settings(&out);
	carry(0);
}

/* A new pair of sockets, on which nothing was said. */
static inline int h2_up(void **state)
{
	out.len = block.len = 0;
	return pair_up(state);
}

#endif
