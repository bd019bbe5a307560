/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2 on plain sockets, with the programs of the kernel loaded for real: 10,000 header blocks of
 * three encoders as requests and responses of many connections, in frames of all shapes, cut anywhere,
 * every field of every record asserted. The blocks come from the encoders themselves, or, on machines
 * without them, from the files nghttp2, go and python in the folder HPACK_BLOCKS.
 */
#include "sensor_rig.h"

#include "h2_oracle.h"
#include "h2_write.h"

#define TOOLS "build/tests/tools/hpack/"
#define ITEMS_MAX 2048
#define BATCH_MAX 16

/* A record of one direction of a connection, with what it has to be reported as. */
struct item {
	char kind;		/* as in struct hpack_record; 0 ends the list */
	uint32_t limit;
	uint32_t block_len;
	uint8_t *block;
	struct drive_head head;		/* of a request */
	bool mcp;
	unsigned int status;	/* of a response; 0 = trailers */
	int grpc_status;	/* -1 = none */
};

struct flow {
	size_t len, next;
	struct item item[ITEMS_MAX];
};

/* What has to be reported for a stream, and how often it was, by enum tt_dir. */
struct stream {
	const struct item *request;
	unsigned int status;
	int grpc_status;
	unsigned int uses[3], statuses[3];
};

static struct rig rig;
static struct oracle oracle;
static struct hpack_blocks blocks;
static struct flow requests, responses;
static struct stream stream[ITEMS_MAX];
static struct h2_buf out;
static int fd[2];	/* client, server */
static uint64_t seed;

static uint64_t draw(uint64_t below)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (seed >> 33) % below;
}

static int setup(void **state)
{
	uint64_t key[2];

	rig_start(&rig);
	memcpy(key, rig_key, sizeof(key));
	return oracle_init(&oracle, key[0], key[1]);
}

static int teardown(void **state)
{
	rig_stop(&rig);
	return 0;
}

/* ---- one connection's blocks ---- */

static int field_number(const struct hpack_record *r, const char *name)
{
	const struct hpack_field *f = hpack_find(r, name);
	char text[16] = "";

	if (!f)
		return -1;
	assert_in_range(f->value_len, 1, sizeof(text) - 1);
	memcpy(text, f->value, f->value_len);
	return (int)strtol(text, NULL, 10);
}

static void keep_item(struct flow *f)
{
	const struct hpack_record *r = &blocks.r;
	struct item *item = &f->item[f->len++];

	assert_in_range(f->len, 1, ITEMS_MAX - 1);
	memset(item, 0, sizeof(*item));
	item->kind = r->kind;
	item->limit = r->limit;
	if (r->kind != 'B')
		return;
	item->block_len = r->block_len;
	item->block = malloc(r->block_len ? r->block_len : 1);
	assert_non_null(item->block);
	memcpy(item->block, r->block, r->block_len);
	item->status = hpack_find(r, ":status") ? (unsigned int)field_number(r, ":status") : 0;
	item->grpc_status = field_number(r, "grpc-status");
	item->mcp = hpack_find(r, "mcp-method") != NULL;
	if (hpack_find(r, ":method")) {
		assert_int_equal(oracle_request(&oracle, r), 0);
		item->head = oracle.head;
	}
}

/* Records up to the next connection. false: there was none. */
static bool take_flow(struct flow *f, int *ret_more)
{
	for (size_t i = 0; i < f->len; i++)
		free(f->item[i].block);
	f->len = f->next = 0;
	while ((*ret_more = hpack_next(&blocks)) > 0 && blocks.r.kind != 'R')
		keep_item(f);
	assert_true(*ret_more >= 0);
	memset(&f->item[f->len], 0, sizeof(f->item[0]));
	return f->len > 0;
}

/* ---- onto the wire ---- */

/* All of it through one socket pair, cut otherwise by the writer than by the reader. */
static void carry(int from, int to, const uint8_t *bytes, size_t len)
{
	static uint8_t buf[65536];

	while (len) {
		size_t n = draw(4) ? len : 1 + draw(len), left;

		n = n < 100000 ? n : 100000;
		assert_int_equal(send(from, bytes, n, MSG_NOSIGNAL), n);
		for (left = n; left;) {
			size_t most = draw(4) ? sizeof(buf) : 1 + draw(200);
			ssize_t got = recv(to, buf, most < left ? most : left, 0);

			assert_true(got > 0);
			left -= (size_t)got;
		}
		bytes += n;
		len -= n;
	}
}

static void flush(int from, int to)
{
	carry(from, to, out.p, out.len);
	out.len = 0;
}

static void put_headers(uint32_t id, const struct item *item, bool end)
{
	struct h2w_how how = { .flags = end ? H2W_END_STREAM : 0 };

	if (!draw(4)) {
		how.flags |= H2W_PADDED;
		how.padding = (unsigned int)draw(256);
	}
	if (!draw(4))
		how.flags |= H2W_WITH_PRIORITY;
	if (!draw(3)) {
		how.first = 1 + draw(item->block_len + 1);
		how.next = 1 + draw(item->block_len + 1);
	}
	h2w_headers(&out, id, item->block, item->block_len, how);
}

/* The limits that the other side sets for this flow, each acknowledged, up to its next block. */
static void take_limits(struct flow *f, int side)
{
	for (; f->item[f->next].kind == 'T'; f->next++) {
		flush(fd[side], fd[!side]);
		h2w_settings_table(&out, f->item[f->next].limit);
		flush(fd[!side], fd[side]);
		h2w_settings_ack(&out);
	}
}

static void ask(uint32_t i)
{
	bool body = !draw(4);

	take_limits(&requests, 0);
	stream[i].request = &requests.item[requests.next];
	put_headers(2 * i + 1, &requests.item[requests.next++], !body);
	if (body)
		h2w_data(&out, 2 * i + 1, H2W_END_STREAM, "PRI * \0\0\4\1\5\0\0\0\1 body");
	if (!draw(10))
		h2w_frame(&out, H2W_PING, 0, 0, "01234567", 8);
}

/* Is this block, the last one taken, the end of its stream? Trailers have no :status. */
static bool ends_answer(const struct item *item)
{
	size_t next = responses.next;

	while (responses.item[next].kind == 'T')
		next++;
	if (!item->status)
		return true;
	return item->status >= 200 && (!responses.item[next].kind || responses.item[next].status);
}

/* Interim responses, the response, trailers: all blocks up to the next answer. */
static void answer(uint32_t i)
{
	bool end = false;

	stream[i].grpc_status = -1;
	while (!end) {
		struct item *item;

		take_limits(&responses, 1);
		item = &responses.item[responses.next++];
		assert_int_equal(item->kind, 'B');
		if (item->status >= 200)
			stream[i].status = item->status;
		if (item->grpc_status >= 0)
			stream[i].grpc_status = item->grpc_status > 16 ? 255 : item->grpc_status;
		end = ends_answer(item);
		put_headers(2 * i + 1, item, end);
		if (!end && item->status >= 200)
			h2w_data(&out, 2 * i + 1, 0, "part of a body");
	}
}

static void shuffle(uint32_t *list, size_t len)
{
	for (size_t i = len; i > 1; i--) {
		size_t k = draw(i);
		uint32_t at = list[i - 1];

		list[i - 1] = list[k];
		list[k] = at;
	}
}

/* Requests in batches; the answers of each in any order. Returns the number of streams. */
static uint32_t play(void)
{
	uint32_t streams = 0, list[BATCH_MAX];

	memset(stream, 0, sizeof(stream));
	h2w_preface(&out);
	h2w_settings(&out);
	flush(fd[0], fd[1]);
	h2w_settings(&out);
	h2w_settings_ack(&out);
	flush(fd[1], fd[0]);
	while (requests.item[requests.next].kind) {
		size_t n, batch = 1 + draw(BATCH_MAX);

		for (n = 0; n < batch && requests.item[requests.next].kind; n++) {
			list[n] = streams;
			ask(streams++);
		}
		flush(fd[0], fd[1]);
		shuffle(list, n);
		for (size_t i = 0; i < n; i++)
			answer(list[i]);
		flush(fd[1], fd[0]);
	}
	return streams;
}

/* ---- what was reported ---- */

static struct stream *stream_of(const struct tt_ev_hdr *h, uint32_t streams)
{
	uint32_t id = h->seq & ~TT_SEQ_STREAM;

	assert_true(h->seq & TT_SEQ_STREAM);
	assert_int_equal(id % 2, 1);
	assert_in_range(id / 2, 0, streams - 1);
	return &stream[id / 2];
}

static void check_use(const struct tt_ev_use *u, uint32_t streams)
{
	struct stream *s = stream_of(&u->h, streams);
	const struct drive_head *want = &s->request->head;

	assert_in_range(u->dir, TT_DIR_EGRESS, TT_DIR_INGRESS);
	s->uses[u->dir]++;
	assert_int_equal(u->tls, TT_TLS_NONE);
	assert_int_equal(u->version, 20);
	assert_int_equal(u->flags, want->use_flags);
	rig_assert_text(u->method, u->method_len, want->method);
	rig_assert_text(u->path, u->path_len, want->path);
	rig_assert_text(u->host, u->host_len, want->host);
	rig_assert_text(u->mcp_method, u->mcp_method_len, s->request->mcp ? "tools/call" : "");
	rig_assert_text(u->mcp_name, u->mcp_name_len, s->request->mcp ? "get_weather" : "");
	assert_int_equal(u->creds, want->creds);
	assert_memory_equal(u->cred, want->cred, u->creds * sizeof(u->cred[0]));
}

static void check_status(const struct tt_ev_status *ev, uint64_t client, uint32_t streams)
{
	struct stream *s = stream_of(&ev->h, streams);

	s->statuses[ev->h.conn == client ? TT_DIR_EGRESS : TT_DIR_INGRESS]++;
	assert_int_equal(ev->status, s->status);
	assert_int_equal(ev->flags & TT_STATUS_GRPC, s->grpc_status >= 0 ? TT_STATUS_GRPC : 0);
	if (s->grpc_status >= 0)
		assert_int_equal(ev->grpc, s->grpc_status);
}

static void check_connection(uint32_t streams)
{
	size_t want = 0;
	uint64_t client = 0;

	for (uint32_t i = 0; i < streams; i++)
		want += stream[i].request->head.creds ? 2 : 0;
	rig_await(&rig, want, want);
	for (size_t i = 0; i < rig.uses; i++) {
		check_use(&rig.use[i], streams);
		if (rig.use[i].dir == TT_DIR_EGRESS)
			client = rig.use[i].h.conn;
	}
	for (size_t i = 0; i < rig.statuses; i++)
		check_status(&rig.status[i], client, streams);
	for (uint32_t i = 0; i < streams; i++)
		for (int dir = TT_DIR_EGRESS; dir <= TT_DIR_INGRESS; dir++) {
			unsigned int once = stream[i].request->head.creds != 0;

			if (stream[i].uses[dir] != once || stream[i].statuses[dir] != once)
				fail_msg("stream %u, direction %d: %u uses and %u statuses, not %u", 2 * i + 1,
					 dir, stream[i].uses[dir], stream[i].statuses[dir], once);
		}
}

/* ---- the tests ---- */

static FILE *open_blocks(const char *encoder, const char *command)
{
	const char *folder = getenv("HPACK_BLOCKS");
	char name[512];
	FILE *f;

	snprintf(name, sizeof(name), folder ? "%s/%s" : "%s%s", folder ? folder : command,
		 folder ? encoder : "");
	f = folder ? fopen(name, "re") : popen(name, "re");
	assert_non_null(f);
	assert_int_equal(hpack_open(&blocks, f), 0);
	return f;
}

/* Everything was read. These are counted for all processes: in a guest there are no others. */
static void expect_no_drops(const uint64_t before[TT_DROP_MAX])
{
	static const enum tt_drop none[] = { TT_DROP_bad_frame, TT_DROP_bad_hpack, TT_DROP_bad_message,
					     TT_DROP_gap, TT_DROP_hpack_unknown, TT_DROP_hpack_evicted,
					     TT_DROP_ring_full, TT_DROP_scratch_busy,
					     TT_DROP_head_too_long, TT_DROP_partial_lost, TT_DROP_user_fault };
	uint64_t now[TT_DROP_MAX] = { 0 };

	assert_int_equal(bpf_sensor_drops(rig.sensor, now), 0);
	for (int i = 1; i < TT_DROP_MAX; i++)
		if (now[i] != before[i])
			print_message("reason %d: %lu\n", i, (unsigned long)(now[i] - before[i]));
	if (!getenv("HPACK_BLOCKS"))
		return;
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		if (now[none[i]] != before[none[i]])
			fail_msg("reason %d was counted", none[i]);
}

static void one_connection(void)
{
	uint64_t before[TT_DROP_MAX] = { 0 };
	int size = 1 << 20;
	uint32_t streams;

	assert_int_equal(bpf_sensor_drops(rig.sensor, before), 0);
	rig_clear(&rig);
	rig_tcp(fd);
	for (int i = 0; i < 2; i++)
		assert_int_equal(setsockopt(fd[i], SOL_SOCKET, i ? SO_RCVBUFFORCE : SO_SNDBUFFORCE, &size,
					    sizeof(size)), 0);
	streams = play();
	expect_no_drops(before);
	check_connection(streams);
	close(fd[0]);
	close(fd[1]);
}

static void connections(const char *encoder, const char *command)
{
	FILE *f = open_blocks(encoder, command);
	size_t heads = 0;
	int more = 1;

	seed = 1;
	assert_int_equal(hpack_next(&blocks), 1);
	while (more > 0) {
		assert_true(take_flow(&requests, &more));
		assert_int_equal(more, 1);
		assert_true(take_flow(&responses, &more));
		one_connection();
		heads += requests.len + responses.len;
	}
	assert_true(heads >= 3400);
	assert_int_equal(getenv("HPACK_BLOCKS") ? fclose(f) : pclose(f), 0);
}

static void test_blocks_of_nghttp2(void **state)
{
	connections("nghttp2", TOOLS "plan 11 3400 | " TOOLS "encode_nghttp2");
}

static void test_blocks_of_go(void **state)
{
	connections("go", TOOLS "plan 12 3400 | " TOOLS "encode_go");
}

static void test_blocks_of_python(void **state)
{
	connections("python", TOOLS "plan 13 3400 | tests/lib/hpack/encode_python.py");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks_of_nghttp2),
		cmocka_unit_test(test_blocks_of_go),
		cmocka_unit_test(test_blocks_of_python),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
