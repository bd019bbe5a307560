# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Prints the tables of readers/huffman.h from the code lengths of RFC 7541, appendix B. The code is
# canonical: codes of one length follow each other in the order of their symbols, so that the
# lengths are all there is to know.
#   16 tables of 256 rows, one for each group of eight bits along a code:
#   0x0Lss  symbol ss, of which L of these eight bits are part
#   0x800n  the code goes on in table n
#   0x4000  no code, or EOS, which must not appear (5.2)
BEGIN {
	split("13 23 28 28 28 28 28 28 28 24 30 28 28 30 28 28 28 28 28 28 28 28 30 28 28 28 28 28 28 28 28 28 " \
	      "6 10 10 12 13 6 8 11 10 10 8 11 8 6 6 6 5 5 5 6 6 6 6 6 6 6 7 8 15 6 12 10 " \
	      "13 6 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 8 7 8 13 19 13 14 6 " \
	      "15 5 6 5 6 5 6 6 6 5 7 7 6 6 6 5 6 7 6 5 5 6 7 7 7 7 7 15 11 14 13 28 " \
	      "20 22 20 20 22 22 22 23 22 23 23 23 23 23 24 23 24 24 22 23 24 23 23 23 23 21 22 23 22 23 23 24 " \
	      "22 21 20 22 22 23 23 21 23 22 22 24 21 22 23 23 21 21 22 21 23 22 23 23 20 22 22 22 23 22 22 23 " \
	      "26 26 20 19 22 23 22 25 26 26 26 27 27 26 24 25 19 21 26 27 27 26 27 24 21 21 26 26 28 27 27 27 " \
	      "20 24 20 21 22 21 21 23 22 22 25 25 24 24 26 23 26 27 26 26 27 27 27 27 27 28 27 27 27 27 27 26 30",
	      length_of, " ")
	tables = 1
	code = 0
	for (len = 1; len <= 30; len++) {
		for (symbol = 0; symbol <= 256; symbol++)
			if (length_of[symbol + 1] == len)
				enter(symbol, code++, len)
		code *= 2
	}
	for (i = 0; i < 16 * 256; i++)
		printf "%s%s", i in row ? row[i] : 16384, i % 16 == 15 ? ",\n" : ", "
}

function enter(symbol, code, len,    table, rest, bits, i) {
	table = 0
	for (rest = len; rest > 8; rest -= 8) {
		bits = table * 256 + int(code / 2 ^ (rest - 8)) % 256
		if (!(bits in row))
			row[bits] = 32768 + tables++
		table = row[bits] - 32768
	}
	bits = table * 256 + code % 2 ^ rest * 2 ^ (8 - rest)
	for (i = 0; i < 2 ^ (8 - rest); i++)
		row[bits + i] = symbol == 256 ? 16384 : rest * 256 + symbol
}
