/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf/mint.bpf.h, body.bpf.h and inflate.bpf.h, loaded for real: what the two bodies of a request for a token
 * say, cut anywhere, as they are and compressed; what has no room is told of without a token, and counted.
 */
#include "sensor_rig.h"

#include <zlib.h>

#define HELD 64		/* bodies at once, at both ends: more than the rows of `inflates` */

static struct rig rig;
static char token[201], text[1000];
static uint8_t packed[1000], answer[4096];

static int setup(void **state)
{
	for (size_t i = 0; i < sizeof(token) - 1; i++)
		token[i] = 'A' + (i * 7 + getpid()) % 26;
	snprintf(text, sizeof(text), "{\"access_token\":\"%s\",\"expires_in\":60}", token);
	rig_start(&rig);
	return 0;
}

static int teardown(void **state)
{
	rig_stop(&rig);
	return 0;
}

static void carry(const int fd[2], int from, const void *bytes, size_t len)
{
	static uint8_t buf[sizeof(answer)];

	assert_int_equal(write(fd[from], bytes, len), len);
	assert_int_equal(recv(fd[!from], buf, len, MSG_WAITALL), len);
}

static void ask(int fd[2])
{
	static const char request[] = "POST /oauth/token HTTP/1.1\r\nHost: h\r\nContent-Length: 29\r\n\r\n"
				      "grant_type=client_credentials";

	rig_tcp(fd);
	carry(fd, 0, request, strlen(request));
}

static void await_mints(size_t n)
{
	for (int i = 0; i < 500 && rig.mints < n; i++) {
		rig_collect(&rig);
		usleep(10000);
	}
	assert_int_equal(rig.mints, n);
}

static size_t make_answer(bool gzip)
{
	z_stream s = { .next_in = (Bytef *)text, .avail_in = strlen(text), .next_out = packed, .avail_out = sizeof(packed) };
	size_t n;

	assert_int_equal(deflateInit2(&s, 9, Z_DEFLATED, 31, 9, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&s, Z_FINISH), Z_STREAM_END);
	deflateEnd(&s);
	n = snprintf((char *)answer, sizeof(answer), "HTTP/1.1 201 Made\r\nContent-Length: %zu\r\n\r\n",
		     gzip ? s.total_out : strlen(text));
	memcpy(answer + n, gzip ? (void *)packed : (void *)text, gzip ? s.total_out : strlen(text));
	return n + (gzip ? s.total_out : strlen(text));
}

static void assert_answer(const struct tt_ev_mint *e)
{
	uint64_t id[2];

	assert_int_equal(e->part, TT_MINT_ANSWER);
	assert_int_equal(e->flags, TT_MINT_WHOLE);
	assert_int_equal(e->status, 201);
	assert_int_equal(e->creds, 1);
	rig_fingerprint(token, id);
	assert_memory_equal(e->cred[0].token, id, 16);
	assert_int_equal(e->cred[0].length, strlen(token));
	assert_int_equal(e->text_len, 4);
	assert_memory_equal(e->text + 2, "60", 2);
}

/* Both ends are this process: two records of each body. */
static void test_cut(void **state)
{
	static const size_t pieces[] = { 4096, 1, 7, 64, 300 };
	int fd[2];

	for (size_t run = 0; run < 2 * sizeof(pieces) / sizeof(pieces[0]); run++) {
		size_t len = make_answer(run % 2), most = pieces[run / 2];

		rig_clear(&rig);
		rig.mints = 0;
		ask(fd);
		for (size_t at = 0; at < len; at += most)
			carry(fd, 1, answer + at, most < len - at ? most : len - at);
		await_mints(4);
		for (size_t i = 0; i < 2; i++) {
			assert_int_equal(rig.mint[i].part, TT_MINT_REQUEST);
			assert_memory_equal(rig.mint[i].text + 2, "client_credentials", 18);
		}
		assert_answer(&rig.mint[2]);
		assert_answer(&rig.mint[3]);
		assert_int_not_equal(rig.mint[2].dir, rig.mint[3].dir);
		close(fd[0]);
		close(fd[1]);
	}
}

/* More compressed bodies at once than there are rows: each is told of, with its token or counted. */
static void test_no_room(void **state)
{
	uint64_t before = rig_dropped(&rig, TT_DROP_mint_no_room);
	size_t len = make_answer(true), told = 0;
	static int fd[HELD][2];

	rig_clear(&rig);
	rig.mints = 0;
	for (int i = 0; i < HELD; i++) {
		ask(fd[i]);
		carry(fd[i], 1, answer, len - 4);
	}
	for (int i = 0; i < HELD; i++) {
		carry(fd[i], 1, answer + len - 4, 4);
		close(fd[i][0]);
		close(fd[i][1]);
	}
	await_mints(4 * HELD);
	for (size_t i = 0; i < rig.mints; i++) {
		if (rig.mint[i].part != TT_MINT_ANSWER)
			continue;
		if (rig.mint[i].creds) {
			assert_answer(&rig.mint[i]);
			told++;
		} else {
			assert_int_equal(rig.mint[i].flags, TT_MINT_INCOMPLETE);
		}
	}
	assert_in_range(told, 1, 32);
	assert_int_equal(rig_dropped(&rig, TT_DROP_mint_no_room) - before, 2 * HELD - told);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_no_room),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
