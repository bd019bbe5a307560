/* SPDX-License-Identifier: Apache-2.0 */
/* bpf/readers/cover.h: what is taken for TLS, and how much of it counts as seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <readers/cover.h>

/* As OpenSSL 3.0 begins: record of 512, hello of 508, TLS 1.2 in it. */
#define HELLO "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\xaa\xbb\xcc\xdd\xee" "random"
#define HELLO_LEN 517
#define DATA "\x17\x03\x03\x01\x00\xaa\xbb\xcc\xdd\xee\xff\x11\x22\x33\x44\x55"
#define DATA_LEN 261

static struct cover_look look;

static int step(const char bytes[static 16], size_t len)
{
	__u64 word[2] = {0};

	memcpy(word, bytes, len < 16 ? len : 16);
	return cover_step(&look, word, len);
}

static int alone(const char bytes[static 16], size_t len)
{
	look = (struct cover_look){0};
	return step(bytes, len);
}

static void hellos(void **state)
{
	assert_int_equal(alone(HELLO, HELLO_LEN), COVER_IS_HELLO);
	for (char minor = 0; minor <= 4; minor++) {
		char hello[] = HELLO;

		hello[2] = minor;
		assert_int_equal(alone(hello, HELLO_LEN), COVER_IS_HELLO);
	}
	/* What early OpenSSL servers receive first; less does not tell. */
	assert_int_equal(alone(HELLO, 11), COVER_IS_HELLO);
	for (size_t len = 1; len < 11; len++)
		assert_int_not_equal(alone(HELLO, len), COVER_IS_HELLO);
}

/* Every byte of the beginning but those that are lengths or random has to be what it is. */
static void hellos_that_are_none(void **state)
{
	static const int fixed[] = {0, 1, 5, 6, 9};

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		for (int other = 1; other < 256; other++) {
			char hello[] = HELLO;

			hello[fixed[i]] = (char)(hello[fixed[i]] ^ other);
			assert_int_not_equal(alone(hello, HELLO_LEN), COVER_IS_HELLO);
		}
	assert_int_not_equal(alone("\x16\x03\x05\x02\x00\x01\x00\x01\xfc\x03\x03\xaa\xbb\xcc\xdd\xee", 517),
			     COVER_IS_HELLO);
	/* Something follows in the record; a record that can't be; a hello that is too short. */
	assert_int_not_equal(alone("\x16\x03\x01\x02\x00\x01\x00\x01\xfb\x03\x03\xaa\xbb\xcc\xdd\xee", 517),
			     COVER_IS_HELLO);
	assert_int_not_equal(alone("\x16\x03\x01\x48\x01\x01\x00\xff\xfc\x03\x03\xaa\xbb\xcc\xdd\xee", 517),
			     COVER_IS_HELLO);
	assert_int_not_equal(alone("\x16\x03\x01\x00\x20\x01\x00\x00\x1c\x03\x03\xaa\xbb\xcc\xdd\xee", 37),
			     COVER_IS_HELLO);
}

static void header_first(void **state)
{
	assert_int_equal(alone(HELLO, 5), COVER_IS_OPEN);
	assert_int_equal(step(HELLO + 5, HELLO_LEN - 5), COVER_IS_HELLO);
	/* What comes next decides, and only that. */
	assert_int_equal(alone(HELLO, 5), COVER_IS_OPEN);
	assert_int_equal(step("xxxxxxxxxxxxxxxx", 100), COVER_IS_NOT);
	assert_int_equal(step(HELLO + 5, HELLO_LEN - 5), COVER_IS_NOT);
	/* More than the record has. */
	assert_int_equal(alone(HELLO, 5), COVER_IS_OPEN);
	assert_int_equal(step(HELLO + 5, HELLO_LEN), COVER_IS_NOT);
	assert_int_equal(alone(HELLO + 5, HELLO_LEN - 5), COVER_IS_NOT);
}

static void middle(void **state)
{
	look = (struct cover_look){0};
	for (int i = 1; i < COVER_SIGNS; i++)
		assert_int_equal(step(DATA, DATA_LEN), COVER_IS_OPEN);
	assert_int_equal(step(DATA, DATA_LEN), COVER_IS_MIDDLE);
}

/* Records that come in several calls: header first, the rest in pieces. */
static void middle_in_pieces(void **state)
{
	look = (struct cover_look){0};
	for (int i = 1; i < COVER_SIGNS; i++) {
		assert_int_equal(step(DATA, 5), COVER_IS_OPEN);
		assert_int_equal(step(DATA, 100), COVER_IS_OPEN); /* whatever is in them */
		assert_int_equal(step("xxxxxxxxxxxxxxxx", 156), COVER_IS_OPEN);
	}
	assert_int_equal(step(DATA, 5), COVER_IS_MIDDLE);
}

static void middle_out_of_step(void **state)
{
	look = (struct cover_look){0};
	for (int i = 0; i < 10 * COVER_SIGNS; i++) {
		int r = i % COVER_SIGNS == COVER_SIGNS - 1 ? step("xxxxxxxxxxxxxxxx", 50)
							   : step(DATA, DATA_LEN);

		assert_int_not_equal(r, COVER_IS_MIDDLE);
	}
	for (int i = 0; i < 10; i++) { /* the record's end and the call's don't agree */
		assert_int_equal(step(DATA, DATA_LEN + 1), COVER_IS_NOT);
		assert_int_equal(step(DATA, 100), COVER_IS_OPEN);
		assert_int_equal(step(DATA, 200), COVER_IS_NOT);
	}
	assert_int_equal(alone("\x17\x03\x03\x00\x10\xaa\xbb\xcc\xdd\xee\xff\x11\x22\x33\x44\x55", 21),
			 COVER_IS_NOT); /* too short for a tag */
	assert_int_equal(alone("\x17\x03\x01\x01\x00\xaa\xbb\xcc\xdd\xee\xff\x11\x22\x33\x44\x55", 261),
			 COVER_IS_NOT);
}

/* 50 million calls of bytes that aren't TLS; a quarter has the first bytes of it. */
static void random_bytes(void **state)
{
	uint64_t x = 88172645463325252ULL;
	__u64 word[2];

	look = (struct cover_look){0};
	for (int i = 0; i < 50000000; i++) {
		for (int j = 0; j < 2; j++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			word[j] = x;
		}
		if ((i & 7) == 0)
			word[0] = (word[0] & ~0xffffffULL) | 0x010316;
		if ((i & 7) == 1)
			word[0] = (word[0] & ~0xffffffULL) | 0x030317;
		assert_true(cover_step(&look, word, x >> 50) < COVER_IS_HELLO);
	}
}

static void records_in_a_call(void **state)
{
	__u64 word[2];

	for (int type = 0; type < 256; type++) {
		char bytes[] = DATA;

		bytes[0] = (char)type;
		memcpy(word, bytes, 16);
		assert_int_equal(cover_is_record(word, 100), type >= 20 && type <= 23);
		assert_int_equal(cover_is_record(word, 4), 0);
		assert_int_equal(cover_may_begin(word[0]), type == 22 || type == 23);
	}
}

/* ---- counting ---- */

static void nothing_seen(void **state)
{
	assert_int_equal(cover_of(&(struct cover_flow){.wire = 1 << 30}), 0);
	assert_int_equal(cover_of(&(struct cover_flow){.wire = 100, .handshake = 100}), 0);
	assert_int_equal(cover_of(&(struct cover_flow){0}), 0);
}

/* A short request, a long chain of certificates. */
static void small_and_whole(void **state)
{
	assert_int_equal(cover_of(&(struct cover_flow){.wire = 5000, .plain = 80, .calls = 1}), 5000);
	assert_int_equal(cover_of(&(struct cover_flow){
				 .wire = 40000, .plain = 80, .calls = 1, .handshake = 30000}),
			 40000);
	assert_int_equal(cover_of(&(struct cover_flow){.wire = 40000, .plain = 80, .calls = 1}), 80);
}

/* What TLS adds never makes a direction that was seen whole look partly seen. */
static void overhead(void **state)
{
	static const size_t records[] = {1, 10, 100, 1000, 16384};
	static const size_t adds[] = {22, 29};

	for (size_t i = 0; i < 5; i++)
		for (size_t j = 0; j < 2; j++)
			for (uint64_t n = 1; n < 1000000; n = n * 3 + 1) {
				struct cover_flow f = {.wire = n * (records[i] + adds[j]),
						       .plain = n * records[i],
						       .calls = n};

				assert_int_equal(cover_of(&f), f.wire);
			}
}

/* Bulk of which a part went by unseen is not covered by the part that was seen, however long the
 * connection was before: what is granted has a limit. */
static void half_seen(void **state)
{
	struct cover_flow f = {.wire = 2000000, .plain = 1000000, .calls = 61};

	assert_int_equal(cover_of(&f), 1000000);
	f.handshake = 1000000;
	assert_int_equal(cover_of(&f), 1000000);
	f.plain = 3000000; /* compressed, or counted twice: never more than there was */
	assert_int_equal(cover_of(&f), 2000000);
}

static void without_a_socket(void **state)
{
	assert_int_equal(cover_loose(1000, 0, 0), 0);
	assert_int_equal(cover_loose(1000, 0, 320), 330);
	assert_int_equal(cover_loose(1000, 900, 320), 100); /* the others are seen already */
	assert_int_equal(cover_loose(1000, 1000, 320), 0);
	assert_int_equal(cover_loose(1000, 2000, 320), 0);
	assert_int_equal(cover_loose(0, 0, 320), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hellos),	   cmocka_unit_test(hellos_that_are_none),
		cmocka_unit_test(header_first),	   cmocka_unit_test(middle),
		cmocka_unit_test(middle_in_pieces), cmocka_unit_test(middle_out_of_step),
		cmocka_unit_test(random_bytes),	   cmocka_unit_test(records_in_a_call),
		cmocka_unit_test(nothing_seen),	   cmocka_unit_test(small_and_whole),
		cmocka_unit_test(overhead),	   cmocka_unit_test(half_seen),
		cmocka_unit_test(without_a_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
