/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of a spool segment: what was built is read back, and whatever else stands there is no
 * frame and is not read beyond its end (the bytes lie against an unreadable page).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "sinks/spool_frame.h"

static uint8_t *page;
static size_t page_len;

static int setup(void **state)
{
	page_len = (size_t)sysconf(_SC_PAGESIZE);
	page = mmap(NULL, 2 * page_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return -1;
	return mprotect(page + page_len, page_len, PROT_NONE);
}

static int teardown(void **state)
{
	return munmap(page, 2 * page_len);
}

static uint8_t *against_the_wall(const uint8_t *bytes, size_t len)
{
	return memcpy(page + page_len - len, bytes, len);
}

static size_t build(uint8_t *to)
{
	size_t len = 0;

	assert_int_equal(frame_size("topic", 3, 7, &len), 0);
	frame_build(to, 42, 4711, "topic", "key", 3, "payload", 7);
	return len;
}

static void comes_back_whole(void **state)
{
	struct spool_record rec;
	uint8_t frame[256];
	size_t len = build(frame);

	assert_int_equal(frame_parse(against_the_wall(frame, len), len, &rec), len);
	assert_int_equal(rec.seq, 42);
	assert_int_equal(rec.time_ns, 4711);
	assert_string_equal(rec.topic, "topic");
	assert_int_equal(rec.key_len, 3);
	assert_memory_equal(rec.key, "key", 3);
	assert_int_equal(rec.payload_len, 7);
	assert_memory_equal(rec.payload, "payload", 7);
}

static void nothing_in_it_is_fine(void **state)
{
	struct spool_record rec;
	uint8_t frame[64];
	size_t len;

	assert_int_equal(frame_size("t", 0, 0, &len), 0);
	frame_build(frame, 1, 0, "t", NULL, 0, NULL, 0);
	assert_int_equal(frame_parse(against_the_wall(frame, len), len, &rec), len);
	assert_int_equal(rec.key_len + rec.payload_len, 0);
}

static void no_part_of_it_is_a_frame(void **state)
{
	struct spool_record rec;
	uint8_t frame[256];
	size_t len = build(frame), n;

	for (n = 0; n < len; n++)
		assert_int_equal(frame_parse(against_the_wall(frame, n), n, &rec), 0);
}

static void no_flipped_bit_goes_unseen(void **state)
{
	struct spool_record rec;
	uint8_t frame[256];
	size_t len = build(frame), bit;

	for (bit = 0; bit < len * 8; bit++) {
		frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(frame_parse(against_the_wall(frame, len), len, &rec), 0);
		frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void lengths_are_bounded(void **state)
{
	const struct frame_head too_long = {
		.magic = FRAME_MAGIC, .body_len = SPOOL_RECORD_MAX + 1, .topic_len = 1};
	const struct frame_head no_topic = {.magic = FRAME_MAGIC, .body_len = 9};
	const struct frame_head key_beyond = {
		.magic = FRAME_MAGIC, .body_len = 9, .topic_len = 5, .key_len = 5};
	char *topic = malloc(70000);
	size_t len = 7;

	memset(topic, 't', 69999);
	topic[69999] = 0;
	assert_int_equal(frame_len(&too_long), 0);
	assert_int_equal(frame_len(&no_topic), 0);
	assert_int_equal(frame_len(&key_beyond), 0);
	assert_int_equal(frame_size(topic, 0, 0, &len), -EMSGSIZE);
	assert_int_equal(frame_size("t", 65536, 0, &len), -EMSGSIZE);
	assert_int_equal(frame_size("t", 0, SPOOL_RECORD_MAX, &len), -EMSGSIZE);
	assert_int_equal(frame_size("t", 0, SIZE_MAX, &len), -EMSGSIZE);
	assert_int_equal(len, 7);
	free(topic);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_back_whole),
		cmocka_unit_test(nothing_in_it_is_fine),
		cmocka_unit_test(no_part_of_it_is_a_frame),
		cmocka_unit_test(no_flipped_bit_goes_unseen),
		cmocka_unit_test(lengths_are_bounded),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
