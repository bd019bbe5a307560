/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf/readers/http2.h over header blocks of real encoders, and over the stories of the hpack-test-case
 * collection where they are at hand: every block, in frames of all shapes and cut anywhere, decodes to
 * exactly its fields; what is reported of a request is what the HTTP/1 reader says of the same one. A
 * second reader skims, as the kernel's does, is cut otherwise, and has to report the same.
 */
#include <sys/wait.h>

#include "h2_expect.h"
#include "h2_oracle.h"
#include "h2_write.h"

#define TOOLS "build/tests/tools/hpack/"
#ifdef TT_SANITIZED
#define BLOCKS "100000"
#else
#define BLOCKS "10000"	/* `make check` takes ten times as many, under sanitizers */
#endif

static struct oracle oracle;
static struct hpack_blocks blocks;
static struct h2_drive skim;
static struct h2_buf out;
static uint64_t seed;

static uint64_t draw(uint64_t below)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (seed >> 33) % below;
}

static int setup(void **state)
{
	return h1_group_setup(state) < 0 || oracle_init(&oracle, KEY0, KEY1) < 0 ? -1 : 0;
}

static struct h2w_how a_shape(size_t len)
{
	struct h2w_how how = { .flags = draw(2) ? H2W_END_STREAM : 0 };

	if (!draw(4)) {
		how.flags |= H2W_PADDED;
		how.padding = (unsigned int)draw(256);
	}
	if (!draw(4))
		how.flags |= H2W_WITH_PRIORITY;
	if (!draw(3)) {
		how.first = 1 + draw(len + 1);
		how.next = 1 + draw(len + 1);
	}
	return how;
}

/* In one call, in calls of any size, or (seldom) byte by byte. */
static void feed_one(struct h2_drive *v, int dir)
{
	uint64_t way = draw(100);

	for (size_t at = 0; at < out.len;) {
		size_t left = out.len - at;
		size_t n = way < 40 ? left : way < 98 ? 1 + draw(left) : 1;

		h2_feed(v, dir, out.p + at, n);
		at += n;
	}
}

static void feed_cut(int dir)
{
	feed_one(&h2, dir);
	feed_one(&skim, dir);
	out.len = 0;
}

static void begin_connection(void)
{
	h2_init();
	h2_drive_init(&skim, &h1_tables, KEY0, KEY1);
	skim.skim = true;
	h2w_preface(&out);
	h2w_settings(&out);
	feed_cut(DRIVE_CLIENT);
	h2w_settings(&out);
	h2w_settings_ack(&out);
	feed_cut(DRIVE_SERVER);
}

static void set_limit(int dir, uint32_t limit)
{
	h2w_settings_table(&out, limit);
	feed_cut(!dir);
	h2w_settings_ack(&out);
	feed_cut(dir);
}

static void check_request(const struct h2_fact *f)
{
	assert_int_equal(oracle_request(&oracle, &blocks.r), 0);
	assert_int_equal(f->kind, H1_REQUESTS);
	assert_string_equal(f->method, oracle.head.method);
	assert_string_equal(f->path, oracle.head.path);
	assert_string_equal(f->host, oracle.head.host);
	assert_int_equal(f->use_flags, oracle.head.use_flags);
	assert_int_equal(f->creds, oracle.head.creds);
	assert_memory_equal(f->cred, oracle.head.cred, f->creds * sizeof(f->cred[0]));
}

static void check_response(const struct h2_fact *f)
{
	const struct hpack_field *status = hpack_find(&blocks.r, ":status");
	const struct hpack_field *grpc = hpack_find(&blocks.r, "grpc-status");
	char want[8] = "", got[8] = "";
	int number;

	assert_int_equal(f->kind, H1_RESPONSES);
	assert_int_equal(f->creds, 0);
	if (status)
		memcpy(want, status->value, status->value_len < 4 ? status->value_len : 4);
	if (f->status)
		snprintf(got, sizeof(got), "%u", f->status);
	assert_string_equal(got, want);
	memset(want, 0, sizeof(want));
	if (grpc)
		memcpy(want, grpc->value, grpc->value_len < 4 ? grpc->value_len : 4);
	number = grpc ? (int)strtol(want, NULL, 10) : -1;
	assert_int_equal(f->grpc, number + 1);
}

/* The fact that ended the block: a head, or the note that it is no message of HTTP/2. */
static const struct h2_fact *the_block(bool valid)
{
	const struct h2_fact *last;

	if (valid)
		return h2_only_head();
	assert_true(h2.facts_len > 0);
	last = h2_fact_at(h2.facts_len - 1);
	if (last->what != H2_HEAD && last->reason != TT_DROP_bad_message)
		fail_msg("lost: reason %u", last->reason);
	return last;
}

/* The block has exactly its fields. `valid`: it is a message that has to be reported. */
static void check_block(int dir, uint32_t stream, bool valid)
{
	const struct h2_fact *f = the_block(valid);
	size_t at = 0;

	assert_int_equal(f->dir, dir);
	assert_int_equal(f->stream, stream);
	for (size_t i = 0; i < blocks.r.fields_len; i++) {
		const struct hpack_field *want = &blocks.r.field[i];

		at = h2_expect_seen(f, at, want->name, want->name_len, want->value, want->value_len);
	}
	assert_int_equal(at, f->seen_len);
	if (!valid)
		return;
	assert_false(f->bad);
	if (dir == DRIVE_CLIENT)
		check_request(f);
	else
		check_response(f);
}

static void one_block(int *dir, uint32_t *stream, bool valid)
{
	struct h2w_how how = a_shape(blocks.r.block_len);
	const char *what;

	if (*dir < 0)
		*dir = hpack_find(&blocks.r, ":status") ? DRIVE_SERVER : DRIVE_CLIENT;
	if (hpack_find(&blocks.r, ":method") || hpack_find(&blocks.r, ":status"))
		*stream += 2;
	h2w_headers(&out, *stream, blocks.r.block, blocks.r.block_len, how);
	if (!draw(8))
		h2w_data(&out, *stream, 0, "\0\0\1\1\4\0\0\0\1 no frame");
	h2_forget();
	skim.facts_len = 0;
	feed_cut(*dir);
	check_block(*dir, *stream, valid);
	what = h2_drive_differ_facts(&h2, &skim);
	if (what)
		fail_msg("skimmed: %s differs", what);
}

static size_t all_blocks(FILE *from, bool valid)
{
	uint32_t stream = 1, limits[64];
	size_t count = 0, limits_len = 0;
	int dir = -1, r;

	seed = 1;
	assert_int_equal(hpack_open(&blocks, from), 0);
	while ((r = hpack_next(&blocks)) > 0) {
		if (blocks.r.kind == 'R') {
			begin_connection();
			dir = -1;
			stream = (uint32_t)-1;
			limits_len = 0;
		} else if (blocks.r.kind == 'T') {
			assert_true(limits_len < 64);
			limits[limits_len++] = blocks.r.limit;
		} else {
			/* which side they bind is known by the first block */
			int to = hpack_find(&blocks.r, ":status") ? DRIVE_SERVER : DRIVE_CLIENT;

			for (size_t i = 0; i < limits_len; i++)
				set_limit(dir < 0 ? to : dir, limits[i]);
			limits_len = 0;
			one_block(&dir, &stream, valid);
			count++;
		}
	}
	assert_int_equal(r, 0);
	return count;
}

/* All blocks that a command writes. It ends with status 77 where its input or a package is missing. */
static void run(const char *command, bool valid, size_t least, const char *missing)
{
	FILE *f = popen(command, "re");
	int first;

	assert_non_null(f);
	first = fgetc(f);
	if (first == EOF) {
		assert_int_equal(WEXITSTATUS(pclose(f)), 77);
		print_message("skip: %s\n", missing);
		skip();
	}
	assert_int_equal(ungetc(first, f), first);
	assert_true(all_blocks(f, valid) >= least);
	assert_int_equal(pclose(f), 0);
}

#define ENCODER(seed, path) \
	"test -x " TOOLS "plan -a -x " path " || exit 77; " TOOLS "plan " seed " " BLOCKS " | " path

static void encoder(const char *command)
{
	run(command, true, strtoul(BLOCKS, NULL, 10), "`make tools` has not built this encoder");
}

static void blocks_of_nghttp2(void **state)
{
	encoder(ENCODER("1", TOOLS "encode_nghttp2"));
}

static void blocks_of_go(void **state)
{
	encoder(ENCODER("2", TOOLS "encode_go"));
}

static void blocks_of_python(void **state)
{
	encoder(ENCODER("3", "tests/lib/hpack/encode_python.py"));
}

static void stories(void **state)
{
	run("tests/lib/hpack/stories.py", false, 10000, "hpack-stories.tar.xz is not beside the checkout");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_of_nghttp2),
		cmocka_unit_test(blocks_of_go),
		cmocka_unit_test(blocks_of_python),
		cmocka_unit_test(stories),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
