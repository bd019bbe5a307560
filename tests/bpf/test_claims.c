/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf/claims.bpf.h, loaded for real: a JWT is told once, in whatever HTTP it comes, with header and
 * payload and both fingerprints; nothing of an unsigned one; and no table keeps a byte of either.
 */
#include "pair_rig.h"

#include <bpf/bpf.h>
#include <stdlib.h>

#include "h2_write.h"
#include "jwt_make.h"

#define HEADER "{\"alg\":\"ES256\",\"kid\":\"k1\"}"
#define SIGNATURE "U2lnbmF0dXJlT2ZOb2JvZHlBdEFsbC0tLS0"

static char token[16384], request[3 * 16384];
static size_t signed_len;
static unsigned int number;

/* Another one each time, since each is told once. */
static void make(const char *header, size_t payload_len, const char *signature)
{
	char payload[9000];
	int n = snprintf(payload, sizeof(payload), "{\"jti\":\"%d-%u\",\"x\":\"", getpid(), ++number);

	assert_in_range(payload_len, (size_t)n + 2, sizeof(payload) - 1);
	memset(payload + n, 'x', payload_len - (size_t)n - 2);
	strcpy(payload + payload_len - 2, "\"}");
	signed_len = jwt_make(token, header, payload, signature);
}

/* Both ends are this process: each call is seen twice, and told once. */
static void carry(int from, const char *bytes, size_t len)
{
	static char buf[sizeof(request)];

	assert_int_equal(write(fd[from], bytes, len), len);
	assert_int_equal(recv(fd[!from], buf, len, MSG_WAITALL), len);
}

static void make_request(void)
{
	int len = snprintf(request, sizeof(request), "GET /%u HTTP/1.1\r\nHost: h\r\nAuthorization: "
			   "Bearer %s\r\n\r\n", number, token);

	assert_in_range(len, 1, sizeof(request) - 1);
}

static void send_request(void)
{
	make_request();
	carry(0, request, strlen(request));
	rig_await(&rig, rig.uses + 2, 0);
}

static void assert_claims(size_t i, int flags, size_t text_len)
{
	const struct tt_ev_claims *e = &rig.claim[i];
	char part[sizeof(token)];
	uint64_t id[2];

	assert_true(i < rig.claims);
	assert_int_equal(e->h.type, TT_EV_CLAIMS);
	assert_int_equal(e->h.tgid, getpid());
	assert_string_equal((const char *)e->h.comm, "test_claims");
	assert_true(e->h.time_ns && e->h.start_ns);
	assert_int_equal(e->h.conn, 0);
	assert_int_equal(e->h.tuple.family, TT_AF_NONE);
	assert_int_equal(e->flags, flags);
	rig_fingerprint(token, id);
	assert_memory_equal(e->token, id, 16);
	assert_int_equal(e->length, strlen(token));
	memcpy(part, token, signed_len);
	part[signed_len] = '\0';
	rig_fingerprint(part, id);
	if (!(flags & TT_CLAIMS_LONG))
		assert_memory_equal(e->signed_part, id, 16);
	assert_int_equal(e->h.len, offsetof(struct tt_ev_claims, text) + text_len);
	assert_memory_equal(e->text, token, text_len);
}

static void test_told_once(void **state)
{
	make(HEADER, 700, SIGNATURE);
	for (int i = 0; i < 3; i++)
		send_request();
	assert_int_equal(rig.claims, 1);
	assert_claims(0, 0, signed_len);
	assert_int_equal(rig.claim[0].token[0], rig.use[0].cred[0].token[0]);
	assert_int_equal(rig.claim[0].class_id, rig.use[0].cred[0].class_id);
}

static void test_sizes(void **state)
{
	uint64_t before = rig_dropped(&rig, TT_DROP_claims_long);
	size_t max = 5900;

	for (size_t n = 80; n < max; n += 613) {
		make(HEADER, n, SIGNATURE);
		send_request();
		assert_int_equal(rig.claims, 1);
		if ((signed_len - strcspn(token, ".") - 1) % 4 != 1)
			assert_claims(0, 0, signed_len);
		rig_clear(&rig);
	}
	assert_int_equal(rig_dropped(&rig, TT_DROP_claims_long), before);
	make(HEADER, 8000, SIGNATURE);
	send_request();
	send_request();
	assert_int_equal(rig.claims, 1);
	assert_claims(0, TT_CLAIMS_LONG, strcspn(token, "."));
	assert_int_equal(rig_dropped(&rig, TT_DROP_claims_long), before + 1);
}

/* To an agent that was started again. */
static void test_told_anew(void **state)
{
	make(HEADER, 700, SIGNATURE);
	send_request();
	assert_int_equal(rig.claims, 1);
	bpf_sensor_forget(rig.sensor);
	for (int i = 0; i < 2; i++)
		send_request();
	assert_int_equal(rig.claims, 2);
	assert_claims(1, 0, signed_len);
}

/* What came in parts is told when it comes whole. */
static void test_split(void **state)
{
	size_t len, cut;

	make(HEADER, 300, SIGNATURE);
	make_request();
	len = strlen(request);
	cut = (size_t)(strstr(request, token) - request) + 100;
	carry(0, request, cut);
	carry(0, request + cut, len - cut);
	rig_await(&rig, 2, 0);
	assert_int_equal(rig.uses, 2);
	assert_int_equal(rig.claims, 0);
	send_request();
	assert_int_equal(rig.claims, 1);
	assert_claims(0, 0, signed_len);
}

static void test_unsigned(void **state)
{
	static const char *const headers[] = { "{\"alg\":\"nOne\"}", HEADER, "{\"alg\":\"\\u006eone\"}" };
	const int flags[] = { TT_CLAIMS_UNSIGNED | TT_CLAIMS_ALG_NONE, TT_CLAIMS_UNSIGNED, TT_CLAIMS_UNSURE };

	for (size_t i = 0; i < 3; i++) {
		rig_clear(&rig);
		make(headers[i], 300, i == 1 ? "" : SIGNATURE);
		send_request();
		assert_int_equal(rig.uses, 2);
		assert_int_equal(rig.claims, 1);
		assert_claims(0, flags[i], 0);
	}
}

static void test_no_jwt(void **state)
{
	make("{\"user\":1,\"data\":\"abc\"}", 300, SIGNATURE);
	send_request();
	send_request();
	assert_int_equal(rig.uses, 4);
	assert_int_equal(rig.claims, 0);
}

static void test_http2(void **state)
{
	static struct h2_buf out, block;

	for (int huffman = 0; huffman < 2; huffman++) {
		rig_clear(&rig);
		make(HEADER, 900, SIGNATURE);
		snprintf(request, sizeof(request), "Bearer %s", token);
		close(fd[0]);
		close(fd[1]);
		rig_tcp(fd);
		h2w_preface(&out);
		h2w_settings(&out);
		for (uint32_t stream = 1; stream < 7; stream += 2) {
			h2w_indexed(&block, 2);
			h2w_indexed(&block, 7);
			h2w_indexed(&block, 4);
			h2w_value(&block, H2W_PLAIN, 23, request, huffman);
			h2w_headers(&out, stream, block.p, block.len,
				    (struct h2w_how){ .flags = H2W_END_STREAM });
			block.len = 0;
		}
		carry(0, (char *)out.p, out.len);
		out.len = 0;
		rig_await(&rig, 6, 0);
		assert_int_equal(rig.uses, 6);
		assert_int_equal(rig.claims, 1);
		assert_claims(0, 0, signed_len);
	}
}

/* ---- what stays ---- */

static bool has_piece(const uint8_t *bytes, size_t size, const char *text)
{
	for (size_t i = 0; i + 8 <= strlen(text); i++)
		if (memmem(bytes, size, text + i, 8))
			return true;
	return false;
}

/* Rows of a table by this name in any sensor that runs, that have a piece of the token. */
static size_t rows_with_token(const char *name, size_t *ret_rows)
{
	static uint8_t key[64], value[65536];
	size_t found = 0;
	uint32_t id = 0;

	while (bpf_map_get_next_id(id, &id) == 0) {
		struct bpf_map_info info = { 0 };
		uint32_t len = sizeof(info);
		int map = bpf_map_get_fd_by_id(id);

		if (map < 0)
			continue;
		if (!bpf_obj_get_info_by_fd(map, &info, &len) && !strcmp(info.name, name)) {
			assert_true(info.key_size <= sizeof(key) && info.value_size <= sizeof(value));
			for (void *from = NULL; !bpf_map_get_next_key(map, from, key); from = key) {
				if (bpf_map_lookup_elem(map, key, value))
					continue;
				++*ret_rows;
				found += has_piece(value, info.value_size, token);
			}
		}
		close(map);
	}
	return found;
}

static void test_no_residue(void **state)
{
	static const char *const names[] = { "scratch", "told", "partials", "entries", "memos", "conns" };
	size_t rows = 0, len;

	for (int i = 0; i < 2; i++) {
		make(i ? "{\"alg\":\"none\"}" : HEADER, 2000, SIGNATURE);
		send_request();
		/* One that is left in the middle. */
		make_request();
		len = strlen(request) - 40;
		carry(0, request, len);
		rig_collect(&rig);
		for (size_t j = 0; j < sizeof(names) / sizeof(names[0]); j++)
			if (rows_with_token(names[j], &rows))
				fail_msg("a piece of a token in %s", names[j]);
		carry(0, request + len, 40);
	}
	assert_true(rows > 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, pair_up, pair_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_told_once), TEST(test_told_anew), TEST(test_sizes), TEST(test_split), TEST(test_unsigned),
		TEST(test_no_jwt),    TEST(test_http2), TEST(test_no_residue),
	};

	return cmocka_run_group_tests_name("claims", tests, setup, teardown);
}
