/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf/readers/inflate.h against zlib: every level, strategy, memory and kind of block, cut anywhere, cut
 * off, damaged, and with headers that zlib does not write.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "inflate_drive.h"

#define TEXT_MAX 200000

static struct inflate_drive d;
static uint8_t text[TEXT_MAX], packed[2 * TEXT_MAX], scratch[2 * TEXT_MAX];

static uint32_t next_random(void)
{
	static uint64_t x = 88172645463325252ULL;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x >> 16;
}

/* What answers look like: words, base64, a repeated stretch now and then; or bytes, or one byte only. */
static void make_text(int kind, size_t len)
{
	static const char words[] = "\",\"access_token\":\"Bearer expires_in 3600 scope read write {}[]";
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

	for (size_t i = 0; i < len;) {
		size_t n = 1 + next_random() % 40, from = i ? next_random() % i : 0;

		if (n > len - i)
			n = len - i;
		for (size_t k = 0; k < n; k++, i++) {
			if (kind == 0)
				text[i] = words[(from + k) % (sizeof(words) - 1)];
			else if (kind == 1 && n % 4 == 0 && from + k < i)
				text[i] = text[from + k];
			else if (kind == 1)
				text[i] = letters[next_random() % 64];
			else
				text[i] = kind == 2 ? next_random() : 'a';
		}
	}
}

/* Each byte half as often as the one before, and once some that come only there: their codes are long. */
static void make_skewed(size_t len)
{
	for (size_t i = 0; i < len; i++)
		text[i] = i / 20 == 1000 ? 40 + i % 20 : (size_t)__builtin_ctz(next_random() | 1U << 20);
}

static size_t pack(size_t len, int level, int strategy, int window, int memory, size_t flush_each)
{
	z_stream s = { .next_in = text, .next_out = packed, .avail_out = sizeof(packed) };
	int r = Z_OK;

	assert_int_equal(deflateInit2(&s, level, Z_DEFLATED, window, memory, strategy), Z_OK);
	while (r == Z_OK) {
		size_t rest = len - s.total_in, n = flush_each && flush_each < rest ? flush_each : rest;

		s.avail_in = n;
		r = deflate(&s, n == rest ? Z_FINISH : s.total_in % 3 ? Z_FULL_FLUSH : Z_PARTIAL_FLUSH);
	}
	assert_int_equal(r, Z_STREAM_END);
	deflateEnd(&s);
	return s.total_out;
}

static void check(const uint8_t *bytes, size_t len, size_t most, uint8_t poison)
{
	const char *wrong;

	inflate_drive_all(&d, bytes, len, most, poison);
	wrong = inflate_drive_compare(&d, bytes, len);
	if (wrong)
		fail_msg("%s: %zu bytes in pieces of %zu", wrong, len, most);
}

static void test_all_that_zlib_makes(void **state)
{
	static const size_t lengths[] = { 0, 1, 3, 100, 1023, 1024, 1025, 5000, 40000, 150000 };

	for (int run = 0; run < 4 * 10 * 10; run++) {
		size_t len = lengths[run % 10];
		int level = run / 10 % 10;

		make_text(run / 100, len);
		for (int strategy = Z_DEFAULT_STRATEGY; strategy <= Z_FIXED; strategy++) {
			int window = (run + strategy) % 2 ? 15 + 16 : 9 + run % 7;
			size_t n = pack(len, level, strategy, window, 1 + run % 9, run % 5 ? 0 : 777);

			check(packed, n, 0, 0xff);
			assert_int_equal(d.result, INFLATE_END);
			assert_int_equal(d.len, len);
			assert_memory_equal(d.out, text, len);
		}
	}
}

/* More symbols of 15 bits than there are bits at hand. */
static void test_long_codes(void **state)
{
	for (int run = 0; run < 200; run++) {
		size_t len = 30000 + next_random() % 2000, n;

		make_skewed(len);
		n = pack(len, 9, Z_HUFFMAN_ONLY, 31, 9, 0);
		check(packed, n, run, run);
		assert_int_equal(d.result, INFLATE_END);
		assert_memory_equal(d.out, text, len);
	}
}

static void test_cut_anywhere(void **state)
{
	size_t n;

	make_text(1, 3000);
	for (int strategy = Z_DEFAULT_STRATEGY; strategy <= Z_FIXED; strategy++) {
		n = pack(3000, strategy == Z_RLE ? 0 : 6, strategy, strategy % 2 ? 15 : 31, 8, 900);
		for (size_t most = 1; most < 40; most++)
			check(packed, n, most, most);
		for (size_t cut = 1; cut < n; cut++) {	/* two pieces */
			inflate_drive_begin(&d, 0);
			assert_true(inflate_drive_run(&d, packed, cut));
			memset(d.z.in, 0xff, sizeof(d.z.in));
			inflate_drive_run(&d, packed + cut, n - cut);
			assert_null(inflate_drive_compare(&d, packed, n));
			assert_int_equal(d.result, INFLATE_END);
		}
	}
}

static void test_cut_off(void **state)
{
	size_t n;

	make_text(0, 1500);
	for (int strategy = Z_DEFAULT_STRATEGY; strategy <= Z_FIXED; strategy++) {
		n = pack(1500, 9, strategy, strategy % 2 ? 15 : 31, 8, 400);
		for (size_t len = 0; len < n; len++) {
			check(packed, len, len % 7, 0xaa);
			assert_int_equal(d.result, INFLATE_FILL);
		}
	}
}

/* One byte is another: what zlib takes is taken, and nothing else. */
static void test_damaged(void **state)
{
	unsigned int taken = 0;

	for (int run = 0; run < 60; run++) {
		size_t len = 200 + next_random() % 3000, n;

		make_text(run % 3, len);
		n = pack(len, run % 10, run % 5, run % 2 ? 15 : 31, 8, run % 3 ? 0 : 500);
		for (size_t i = 0; i < n; i += 1 + n / 400) {
			memcpy(scratch, packed, n);
			scratch[i] ^= 1 + next_random() % 255;
			check(scratch, n, i % 5 ? 0 : 1 + i % 50, i);
			taken += d.result == INFLATE_END;
		}
	}
	/* Only what stands in a gzip header is not covered by a checksum. */
	assert_true(taken < 400);
}

/* Random blocks: mostly refused, now and then a code that zlib never writes. */
static void test_random_blocks(void **state)
{
	static const uint8_t head[] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3 };
	unsigned int made = 0;

	memcpy(scratch, head, sizeof(head));
	for (int run = 0; run < 60000; run++) {
		size_t n = sizeof(head) + 20 + next_random() % 150;

		for (size_t i = sizeof(head); i < n; i++)
			scratch[i] = next_random();
		scratch[sizeof(head)] = (scratch[sizeof(head)] & ~7) | (run % 4 ? 5 : 3);
		check(scratch, n, run % 3, run);
		made += d.len > 4;
	}
	assert_true(made > 1000);
}

/* Bits, as they follow each other in a stream. */
struct bits {
	uint8_t *to;
	size_t at;
};

static void put(struct bits *b, uint32_t value, int n)
{
	for (int i = 0; i < n; i++, b->at++) {
		if (b->at % 8 == 0)
			b->to[b->at / 8] = 0;
		b->to[b->at / 8] |= (value >> i & 1) << b->at % 8;
	}
}

/* A dynamic block whose lengths (of 0, 1, 8 only) are given; then bits of data. */
static size_t dynamic(const uint8_t *lengths, int literals, int distances, uint32_t data, int bits)
{
	static const uint8_t head[] = { 0x78, 0x9c };
	struct bits b = { scratch + 2, 0 };

	memcpy(scratch, head, 2);
	put(&b, 5, 3);
	put(&b, literals - 257, 5);
	put(&b, distances - 1, 5);
	put(&b, 18 - 4, 4);	/* up to 1 */
	for (int i = 0; i < 18; i++)	/* codes of 2 bits for 0, 8, 1; order 16 17 18 0 8 ... 14 1 */
		put(&b, i == 3 || i == 4 || i == 17 || i == 0 ? 2 : 0, 3);
	for (int i = 0; i < literals + distances; i++)	/* codes: 0 00, 1 01, 8 10, 16 11; first bit first */
		put(&b, lengths[i] == 0 ? 0 : lengths[i] == 1 ? 2 : 1, 2);
	put(&b, data, bits);
	put(&b, 0, -b.at & 7);
	put(&b, 1U << 24, 32);	/* Adler-32 of nothing */
	return 2 + (b.at + 7) / 8;
}

/* Codes with gaps, without codes, with too many; no end; repeats of nothing. */
static void test_odd_codes(void **state)
{
	uint8_t lengths[320];
	unsigned int taken = 0;

	for (int kind = 0; kind < 64; kind++) {
		memset(lengths, 0, sizeof(lengths));
		lengths['a'] = kind & 1;
		lengths[256] = kind & 2 ? 1 : 0;
		lengths[257] = kind & 4 ? 8 : 0;
		lengths[258 + 0] = kind & 8 ? 1 : 0;	/* distances */
		lengths[258 + 1] = kind & 16 ? 1 : 0;
		lengths[258 + 2] = kind & 32 ? 1 : 0;
		for (uint32_t data = 0; data < 512; data++) {
			check(scratch, dynamic(lengths, 258, 3, data, 1 + data % 9), kind % 5, data);
			taken += d.result == INFLATE_END;
		}
	}
	assert_true(taken > 100);
	/* The only code has one bit, and the other value of the bit is none. */
	memset(lengths, 0, sizeof(lengths));
	lengths[256] = 1;
	check(scratch, dynamic(lengths, 257, 1, 0, 1), 0, 0);
	assert_int_equal(d.result, INFLATE_END);
	check(scratch, dynamic(lengths, 257, 1, 1, 1), 0, 0);
	assert_int_equal(d.result, INFLATE_BAD);
}

static size_t with_header(uint8_t flags, bool right_sum, const uint8_t *deflated, size_t n)
{
	uint8_t *p = scratch;

	memcpy(p, "\x1f\x8b\x08", 3);
	p[3] = flags;
	memcpy(p + 4, "\1\2\3\4\0\3", 6);
	p += 10;
	if (flags & INFLATE_F_EXTRA) {
		memcpy(p, "\x04\x01", 2);
		memset(p + 2, 'x', 0x104);
		p += 2 + 0x104;
	}
	if (flags & INFLATE_F_NAME) {
		memcpy(p, "name", 5);
		p += 5;
	}
	if (flags & INFLATE_F_COMMENT)
		*p++ = 0;
	if (flags & INFLATE_F_HEADER_SUM) {
		uint32_t sum = crc32(0, scratch, p - scratch) ^ !right_sum;

		*p++ = sum;
		*p++ = sum >> 8;
	}
	memcpy(p, deflated + 10, n - 10);
	return p - scratch + n - 10;
}

static void test_headers(void **state)
{
	size_t n, len;

	make_text(0, 300);
	n = pack(300, 6, 0, 31, 8, 0);
	for (int flags = 0; flags < 256; flags++) {
		for (size_t most = 0; most < 4; most++) {
			len = with_header(flags, true, packed, n);
			check(scratch, len, most, 9);
			assert_int_equal(d.result, flags & INFLATE_F_RESERVED ? INFLATE_BAD : INFLATE_END);
			for (size_t cut = most; cut < len; cut += 29)
				check(scratch, cut, most, 9);
		}
		len = with_header(flags, false, packed, n);
		check(scratch, len, 0, 9);
		assert_int_equal(d.result == INFLATE_END, !(flags & (INFLATE_F_RESERVED | INFLATE_F_HEADER_SUM)));
	}
	for (int first = 0; first < 65536; first++) {
		memcpy(scratch, packed, n);
		scratch[0] = first;
		scratch[1] = first >> 8;
		check(scratch, n, 0, 0);
	}
}

/* What comes behind the end is not read. */
static void test_behind(void **state)
{
	size_t n;

	make_text(0, 300);
	n = pack(300, 6, 0, 31, 8, 0);
	memcpy(packed + n, packed, n);
	check(packed, 2 * n, 0, 0);
	assert_int_equal(d.result, INFLATE_END);
	assert_int_equal(d.len, 300);
	assert_int_equal(inflate_step(&d.z), INFLATE_END);
	assert_false(inflate_flush(&d.z));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_that_zlib_makes),
		cmocka_unit_test(test_long_codes),
		cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_cut_off),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_random_blocks),
		cmocka_unit_test(test_odd_codes),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
