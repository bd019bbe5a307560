/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf/readers/huffman.h against the code of RFC 7541, appendix B: every row of its tables, and every
 * way a string can end, both compared with a search through the list of codes. How the HPACK reader
 * uses them is in test_hpack.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <readers/huffman.h>

#include "huffman_codes.h"

/* Bits of a string, the first one highest. */
struct bits {
	uint64_t value;
	unsigned int len;
};

/* The bytes that lead to each of the 16 tables: whole groups of eight bits of long codes. */
static struct bits prefix[16];
static bool known[16];

static bool begins(struct bits b, unsigned int symbol)
{
	unsigned int n = huffman_codes[symbol].bits;

	return n <= b.len && b.value >> (b.len - n) == huffman_codes[symbol].code;
}

/* Is there a code that begins with all of these bits and goes on? */
static bool goes_on(struct bits b)
{
	for (unsigned int s = 0; s <= HUFFMAN_EOS; s++)
		if (huffman_codes[s].bits > b.len &&
		    huffman_codes[s].code >> (huffman_codes[s].bits - b.len) == b.value)
			return true;
	return false;
}

/* The symbol these bits begin with, or -1. */
static int symbol_of(struct bits b)
{
	for (int s = 0; s <= HUFFMAN_EOS; s++)
		if (begins(b, (unsigned int)s))
			return s;
	return -1;
}

static struct bits with(struct bits b, uint64_t more, unsigned int len)
{
	return (struct bits){ b.value << len | more, b.len + len };
}

static void check_row(unsigned int table, unsigned int byte)
{
	struct bits b = with(prefix[table], byte, 8);
	uint16_t row = huffman_row(table, byte);
	int symbol = symbol_of(b);

	if (symbol >= 0 && symbol < HUFFMAN_EOS) {
		assert_int_equal(row & 0xff, symbol);
		assert_int_equal(row >> 8, huffman_codes[symbol].bits - prefix[table].len);
	} else if (symbol == HUFFMAN_EOS || !goes_on(b)) {
		assert_int_equal(row, HUFFMAN_BAD);
	} else {
		unsigned int next = row & 0xff;

		assert_int_equal(row & 0xff00, HUFFMAN_JUMP);
		assert_in_range(next, 1, 15);
		assert_false(known[next]);
		known[next] = true;
		prefix[next] = b;
	}
}

/* A table is met before its own rows are: jumps go forward. */
static void every_row(void **state)
{
	known[0] = true;
	for (unsigned int table = 0; table < 16; table++) {
		if (!known[table]) {
			for (unsigned int byte = 0; byte < 256; byte++)
				assert_int_equal(huffman_row(table, byte), HUFFMAN_BAD);
			continue;
		}
		for (unsigned int byte = 0; byte < 256; byte++)
			check_row(table, byte);
	}
}

static void check_end(unsigned int table, unsigned int left, unsigned int len)
{
	struct huffman h = { .acc = 0xabcdef00ULL << len | left, .bits = len, .table = table };
	int symbol = symbol_of(with(prefix[table], left, len));
	uint8_t got = 0;
	int r = huffman_end(&h, &got);

	if (symbol >= 0 && symbol < HUFFMAN_EOS) {
		assert_int_equal(r, HUFFMAN_SYMBOL);
		assert_int_equal(got, symbol);
		assert_int_equal(h.bits, len - (huffman_codes[symbol].bits - prefix[table].len));
		assert_int_equal(h.table, 0);
	} else if (!table && left == (1u << len) - 1) {
		assert_int_equal(r, HUFFMAN_DONE);
	} else {
		assert_int_equal(r, HUFFMAN_BROKEN);
	}
}

/* 5.2: padding is less than eight bits, and ones; EOS and the rest of a code are errors. */
static void every_end(void **state)
{
	for (unsigned int table = 0; table < 16; table++)
		for (unsigned int len = 0; known[table] && len < 8; len++)
			for (unsigned int left = 0; left < 1u << len; left++)
				check_end(table, left, len);
}

/* The codes' own list is the RFC's: complete (Kraft's sum is one), and a few rows looked up there. */
static void the_list(void **state)
{
	uint64_t sum = 0;

	for (unsigned int s = 0; s <= HUFFMAN_EOS; s++)
		sum += 1ULL << (30 - huffman_codes[s].bits);
	assert_true(sum == 1ULL << 30);
	assert_int_equal(huffman_codes['0'].code, 0x0);
	assert_int_equal(huffman_codes['0'].bits, 5);
	assert_int_equal(huffman_codes['a'].code, 0x3);
	assert_int_equal(huffman_codes['~'].code, 0x1ffd);
	assert_int_equal(huffman_codes['\\'].bits, 19);
	assert_int_equal(huffman_codes[0].code, 0x1ff8);
	assert_int_equal(huffman_codes[255].code, 0x3ffffee);
	assert_int_equal(huffman_codes[HUFFMAN_EOS].code, 0x3fffffff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_list),
		cmocka_unit_test(every_row),
		cmocka_unit_test(every_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
