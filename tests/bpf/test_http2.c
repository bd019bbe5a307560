/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2 on plain sockets (bpf/http2.bpf.h and the readers), loaded for real: one token in every form,
 * joining in the middle, gaps, the upgrade, streams that end early. Header blocks of real encoders are
 * in test_http2_blocks.c.
 */
#include <sys/sendfile.h>

#include "h2_rig.h"

#define TOKEN "Zq7-first.Light_Token+0123456789/abcdefghijklmnop"
#define BEARER "Bearer " TOKEN

static const struct h2w_how plain;

/* Raw, coded, never indexed, by reference, in pieces; and HTTP/1: one id. */
static void test_one_token_in_every_form(void **state)
{
	static const char http1[] = "GET / HTTP/1.1\r\nHost: api.test\r\nAuthorization: " BEARER "\r\n\r\n";

	prefaces();
	pseudo("/");
	h2w_value(&block, H2W_ADD, 23, BEARER, false);
	pass_block(0, 1, last);
	pseudo("/");
	h2w_value(&block, H2W_NEVER, 23, BEARER, true);
	pass_block(0, 3, last);
	pseudo("/");
	h2w_indexed(&block, 62);
	pass_block(0, 5, last);
	pseudo("/");
	h2w_field(&block, H2W_PLAIN, "authorization", BEARER, true);
	pass_block(0, 7, (struct h2w_how){ .first = 9, .next = 11 });
	close(fd[0]);
	close(fd[1]);
	rig_tcp(fd);
	h2w_bytes(&out, http1, strlen(http1));
	carry(0);
	rig_await(&rig, 10, 0);
	assert_int_equal(rig.uses, 10);
	for (size_t i = 0; i < 10; i++) {
		rig_assert_token(&rig.use[i], TOKEN);
		rig_assert_text(rig.use[i].path, rig.use[i].path_len, "/");
		rig_assert_text(rig.use[i].host, rig.use[i].host_len, "api.test");
	}
}

/* As it is in every Go client: the token was in a request that nobody saw. */
static void test_join_in_the_middle(void **state)
{
	const struct tt_cred *c;

	assert_int_equal(bpf_sensor_skip(rig.sensor, (uint32_t)getpid(), true), 0);
	prefaces();
	pseudo("/");
	h2w_value(&block, H2W_ADD, 23, BEARER, true);
	h2w_field(&block, H2W_ADD, "x-other", "1", true);
	pass_block(0, 1, last);
	answer_with(1, 8);
	assert_int_equal(bpf_sensor_skip(rig.sensor, (uint32_t)getpid(), false), 0);
	for (uint32_t id = 3; id < 7; id += 2) {
		pseudo("/");
		h2w_indexed(&block, 63);
		pass_block(0, id, last);
		answer_with(id, 8);
	}
	pseudo("/");
	h2w_value(&block, H2W_ADD, 23, BEARER, true);	/* a literal makes it known */
	pass_block(0, 7, last);
	pseudo("/");
	h2w_indexed(&block, 62);
	pass_block(0, 9, last);
	rig_await(&rig, 8, 4);
	assert_int_equal(rig.uses, 8);
	for (size_t i = 0; i < 4; i++) {
		c = &rig.use[i].cred[0];
		assert_int_equal(rig.use[i].creds, 1);
		assert_int_equal(c->flags, TT_CRED_UNREADABLE);
		assert_int_equal(c->entry, 2);
		assert_int_equal(c->length, 0);
		assert_int_equal(c->carrier, 0);
		/* one unknown id for one entry of one end of the connection */
		assert_memory_equal(c->token, rig.use[i % 2].cred[0].token, sizeof(c->token));
	}
	for (size_t i = 4; i < 8; i++)
		rig_assert_token(&rig.use[i], TOKEN);
	for (size_t i = 0; i < rig.statuses; i++)
		assert_int_equal(rig.status[i].status, 200);
	assert_int_equal(rig.statuses, 4);
}

/* Bytes that can't be read: what the table had is unknown from there on, and nothing is guessed. */
static void test_gap(void **state)
{
	prefaces();
	pseudo("/");
	h2w_value(&block, H2W_ADD, 23, BEARER, true);
	pass_block(0, 1, last);
	pseudo("/");
	h2w_field(&block, H2W_ADD, "x-api-key", "a-key-that-nobody-saw", true);
	h2w_headers(&out, 3, block.p, block.len, last);
	carry_unseen(0);
	pseudo("/");
	h2w_indexed(&block, 63);	/* was the token, if the key in between was entered */
	pass_block(0, 5, last);
	rig_await(&rig, 5, 0);
	for (size_t i = 0; i < rig.uses; i++) {
		const struct tt_ev_use *u = &rig.use[i];

		if (u->h.seq == (TT_SEQ_STREAM | 5) && u->dir == TT_DIR_EGRESS) {
			assert_int_equal(u->creds, 1);
			assert_int_equal(u->cred[0].flags, TT_CRED_UNREADABLE);
		} else if (u->h.seq != (TT_SEQ_STREAM | 3)) {
			rig_assert_token(u, TOKEN);	/* the reading end missed nothing */
		}
	}
	assert_int_equal(rig.uses, 5);
}

static void test_upgrade(void **state)
{
	static const char ask1[] = "GET /first HTTP/1.1\r\nHost: api.test\r\nAuthorization: " BEARER
				   "\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
				   "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n";

	upgrade(ask1);
	answer_with(1, 9);
	pseudo("/");
	h2w_value(&block, H2W_ADD, 23, BEARER, true);
	pass_block(0, 3, last);
	answer_with(3, 13);
	rig_await(&rig, 4, 4);
	assert_int_equal(rig.uses, 4);
	for (size_t i = 0; i < 4; i++) {
		rig_assert_token(&rig.use[i], TOKEN);
		assert_int_equal(rig.use[i].version, i < 2 ? 11 : 20);
	}
	assert_int_equal(rig.statuses, 4);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(rig.status[i].h.seq, i < 2 ? 0 : TT_SEQ_STREAM | 3);
		assert_int_equal(rig.status[i].status, i < 2 ? 204 : 404);
	}
}

/* A stream that is reset has no status, and nobody waits for one. */
static void test_reset(void **state)
{
	prefaces();
	pseudo("/");
	h2w_value(&block, H2W_ADD, 23, BEARER, true);
	pass_block(0, 1, plain);
	h2w_rst(&out, 1, 8);
	carry(0);
	pseudo("/");
	h2w_indexed(&block, 62);
	pass_block(0, 3, last);
	h2w_rst(&out, 3, 7);
	carry(1);
	rig_await(&rig, 4, 4);
	assert_int_equal(rig.uses, 4);
	assert_int_equal(rig.statuses, 4);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(rig.status[i].h.seq, TT_SEQ_STREAM | (i < 2 ? 1 : 3));
		assert_int_equal(rig.status[i].status, 0);
		assert_int_equal(rig.status[i].flags, 0);
	}
}

/* A token that comes in two calls is not remembered as what another connection sent in between. */
static void test_memo_of_a_cut_string(void **state)
{
	static const char none[] = "consent=0123456789abcdef-0123456789abcdef-0123456789abcdef";
	int cut[2], between[2];
	uint8_t *rest;
	size_t len;

	prefaces();
	memcpy(between, fd, sizeof(fd));
	rig_tcp(fd);
	prefaces();
	memcpy(cut, fd, sizeof(fd));
	for (uint32_t id = 1; id < 41; id += 2) {
		pseudo("/");
		h2w_value(&block, H2W_PLAIN, 23, BEARER, true);
		h2w_headers(&out, id, block.p, block.len, last);
		len = out.len;
		rest = out.p + len - 20;
		assert_int_equal(send(cut[0], out.p, len - 20, MSG_NOSIGNAL), len - 20);
		assert_int_equal(recv(cut[1], out.p, len - 20, MSG_WAITALL), len - 20);
		memcpy(block.p, rest, 20);
		rest = block.p + 1000;
		memcpy(rest, block.p, 20);
		/* no credential, and long enough to be remembered */
		memcpy(fd, between, sizeof(fd));
		out.len = 0;
		pseudo("/");
		h2w_value(&block, H2W_PLAIN, 32, none, true);
		pass_block(0, id, last);
		assert_int_equal(send(cut[0], rest, 20, MSG_NOSIGNAL), 20);
		assert_int_equal(recv(cut[1], rest, 20, MSG_WAITALL), 20);
	}
	close(cut[0]);
	close(cut[1]);
	rig_await(&rig, 40, 0);
	assert_int_equal(rig.uses, 40);
	for (size_t i = 0; i < 40; i++)
		rig_assert_token(&rig.use[i], TOKEN);
}

/* GOAWAY: whoever waits on a stream above the one it names waits in vain. */
static void test_goaway(void **state)
{
	unsigned int seen[3] = { 0 };

	prefaces();
	for (uint32_t id = 1; id < 7; id += 2) {
		pseudo("/");
		h2w_value(&block, H2W_PLAIN, 23, BEARER, true);
		pass_block(0, id, last);
	}
	h2w_goaway(&out, 1, 0);
	carry(1);
	rig_await(&rig, 6, 4);
	assert_int_equal(rig.uses, 6);
	assert_int_equal(rig.statuses, 4);
	answer_with(1, 8);
	rig_await(&rig, 0, 6);
	assert_int_equal(rig.statuses, 6);
	for (size_t i = 0; i < 6; i++) {
		uint32_t id = rig.status[i].h.seq & ~TT_SEQ_STREAM;

		assert_in_range(id, 1, 5);
		assert_int_equal(rig.status[i].status, id == 1 ? 200 : 0);
		seen[id / 2]++;
	}
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(seen[i], 2);
}

/* Another protocol whose length and type look like a frame's (Kafka's answers do, now and then), and a
 * connection that was given up: what sendfile moves there is no loss of ours. */
static void test_sendfile_of_others(void **state)
{
	static const char like[] = "\0\0\004\010\0\0\0\007\0\0\0\0\0";	/* WINDOW_UPDATE, stream 1792 */
	static const char unlike[] = "\0\0\023\210\0\0\0\010 and whatever follows here";
	uint64_t unreadable = rig_dropped(&rig, TT_DROP_sock_unreadable);
	uint64_t gaps = rig_dropped(&rig, TT_DROP_gap);
	static uint8_t buf[8000];
	FILE *f = tmpfile();
	off_t at = 0;

	assert_non_null(f);
	assert_int_equal(ftruncate(fileno(f), 5000), 0);
	assert_int_equal(write(fd[1], like, sizeof(like) - 1), sizeof(like) - 1);
	assert_int_equal(sendfile(fd[1], fileno(f), &at, 5000), 5000);
	assert_int_equal(write(fd[1], unlike, sizeof(unlike)), sizeof(unlike));
	at = 0;
	assert_int_equal(sendfile(fd[1], fileno(f), &at, 5000), 5000);
	fclose(f);
	for (size_t left = sizeof(like) - 1 + sizeof(unlike) + 10000; left;) {
		ssize_t n = recv(fd[0], buf, left < sizeof(buf) ? left : sizeof(buf), 0);

		assert_true(n > 0);
		left -= (size_t)n;
	}
	assert_int_equal(rig_dropped(&rig, TT_DROP_sock_unreadable), unreadable);
	assert_int_equal(rig_dropped(&rig, TT_DROP_gap), gaps);
}

#define PINGS_MAX 131072
#define PING_LEN 17

/* One write of so many PINGs and a request, small ones, so that the reader's steps run out somewhere.
 * Whether the request was reported by its sender; then the token is the right one. */
static bool asked_behind(size_t pings, size_t others)
{
	static uint8_t whole[PINGS_MAX * PING_LEN + 4096], sink[1 << 20];
	const int room = 8 << 20;
	size_t len = pings * PING_LEN, sent = 0;

	pair_down(NULL);
	h2_up(NULL);
	assert_int_equal(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)), 0);
	assert_int_equal(setsockopt(fd[1], SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)), 0);
	prefaces();
	h2w_frame(&out, H2W_PING, 0, 0, "pingpong", 8);
	for (size_t i = 0; i < pings; i++)
		memcpy(whole + i * PING_LEN, out.p, PING_LEN);
	out.len = 0;
	for (size_t i = 0; i < others; i++)
		h2w_settings_ack(&out);
	pseudo("/");
	h2w_value(&block, H2W_NEVER, 23, BEARER, true);
	h2w_frame(&out, H2W_HEADERS, H2W_END_STREAM, 1, block.p, block.len);
	memcpy(whole + len, out.p, out.len);
	len += out.len;
	assert_int_equal(write(fd[0], whole, len), len);
	block.len = out.len = 0;
	h2w_indexed(&block, 16);
	h2w_frame(&out, H2W_CONTINUATION, H2W_END_HEADERS, 1, block.p, block.len);
	assert_int_equal(write(fd[0], out.p, out.len), out.len);
	len += out.len;
	while (sent < len) {
		ssize_t n = read(fd[1], sink, sizeof(sink));

		assert_true(n > 0);
		sent += (size_t)n;
	}
	rig_collect(&rig);
	for (size_t i = 0; i < rig.uses; i++) {
		rig_assert_token(&rig.use[i], TOKEN);
		if (rig.use[i].dir == TT_DIR_EGRESS)
			return true;
	}
	return false;
}

/* Steps that run out in the middle of a value make no value of its beginning: each way to end there is
 * met, since the frames in front take different numbers of steps. */
static void test_steps_run_out(void **state)
{
	uint64_t too_long = rig_dropped(&rig, TT_DROP_head_too_long);
	size_t seen = 0, unseen = PINGS_MAX;

	while (unseen - seen > 1) {
		size_t pings = (seen + unseen) / 2;

		*(asked_behind(pings, 0) ? &seen : &unseen) = pings;
	}
	assert_true(seen > 10000 && unseen < PINGS_MAX);
	assert_true(rig_dropped(&rig, TT_DROP_head_too_long) > too_long);
	for (size_t others = 0; others < 4; others++)
		for (size_t pings = seen - 12; pings < unseen + 4; pings++)
			asked_behind(pings, others);
}

/* The payload of DATA by sendfile, as servers do it: the next frame is found. */
static void test_sendfile_body(void **state)
{
	static uint8_t buf[8000];
	FILE *f = tmpfile();

	prefaces();
	assert_non_null(f);
	assert_int_equal(ftruncate(fileno(f), 5000), 0);
	for (uint32_t id = 1; id < 9; id += 2) {
		off_t at = 0;

		pseudo("/");
		if (id == 1)
			h2w_value(&block, H2W_ADD, 23, BEARER, true);
		else
			h2w_indexed(&block, 62);
		pass_block(0, id, last);
		block.len = 0;
		h2w_indexed(&block, 8);
		h2w_headers(&out, id, block.p, block.len, plain);
		h2w_frame_head(&out, 5000, H2W_DATA, H2W_END_STREAM, id);
		carry(1);
		assert_int_equal(sendfile(fd[1], fileno(f), &at, 5000), 5000);
		assert_int_equal(recv(fd[0], buf, 5000, MSG_WAITALL), 5000);
	}
	fclose(f);
	rig_await(&rig, 8, 8);
	assert_int_equal(rig.uses, 8);
	assert_int_equal(rig.statuses, 8);
	for (size_t i = 0; i < 8; i++) {
		rig_assert_token(&rig.use[i], TOKEN);
		assert_int_equal(rig.status[i].status, 200);
	}
}

/* The server's direction is known from its first byte, however small the first read. */
static void test_byte_by_byte(void **state)
{
	uint8_t c;

	for (int side = 0; side < 2; side++) {
		if (!side)
			h2w_preface(&out);
		h2w_settings(&out);
		pseudo("/");
		h2w_value(&block, H2W_ADD, 23, BEARER, true);
		if (side) {
			block.len = 0;
			h2w_indexed(&block, 12);
		}
		h2w_headers(&out, 1, block.p, block.len, last);
		for (size_t i = 0; i < out.len; i++) {
			assert_int_equal(send(fd[side], out.p + i, 1, MSG_NOSIGNAL), 1);
			assert_int_equal(recv(fd[!side], &c, 1, 0), 1);
		}
		out.len = 0;
	}
	rig_await(&rig, 2, 2);
	assert_int_equal(rig.uses, 2);
	assert_int_equal(rig.statuses, 2);
	for (size_t i = 0; i < 2; i++) {
		rig_assert_token(&rig.use[i], TOKEN);
		assert_int_equal(rig.status[i].status, 400);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, h2_up, pair_down)
		T(test_one_token_in_every_form),
		T(test_join_in_the_middle), T(test_gap), T(test_upgrade), T(test_reset),
		T(test_memo_of_a_cut_string), T(test_goaway), T(test_sendfile_body), T(test_sendfile_of_others),
		T(test_byte_by_byte), T(test_steps_run_out),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
