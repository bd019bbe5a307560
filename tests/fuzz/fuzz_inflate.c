/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer target for bpf/readers/inflate.h. The first byte says how the rest, a stream, is cut and
 * whether it is given a gzip or a zlib head. zlib is the truth; and cut otherwise it comes out the same.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../lib/inflate_drive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct inflate_drive once, cut;

static void fail(const char *what)
{
	fprintf(stderr, "%s\n", what);
	abort();
}

/* With the checksum that a whole stream would have, so that the fuzzer gets as far as the end. */
static size_t close_gzip(uint8_t *bytes, size_t size)
{
	uint32_t sum;

	inflate_drive_all(&once, bytes, size, 0, 0);
	if (once.z.state != INFLATE_S_CHECK || once.z.zlib || once.result == INFLATE_OUT)
		return size;
	sum = crc32(0, once.out, once.len);
	size -= once.z.bits / 8;
	memcpy(bytes + size, &sum, 4);
	memcpy(bytes + size + 4, &(uint32_t){ once.len }, 4);
	return size + 8;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t gzip[] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3 }, zlib_head[] = { 0x78, 0x9c };
	static uint8_t bytes[16384 + 32];
	size_t n = 0;
	const char *wrong;

	if (size < 1 || size > 16384)
		return 0;
	if (data[0] & 1)
		memcpy(bytes, data[0] & 2 ? zlib_head : gzip, n = data[0] & 2 ? sizeof(zlib_head) : sizeof(gzip));
	memcpy(bytes + n, data + 1, size - 1);
	n += size - 1;
	if ((data[0] & 3) == 1)
		n = close_gzip(bytes, n);
	inflate_drive_all(&once, bytes, n, 0, 0xff);
	wrong = inflate_drive_compare(&once, bytes, n);
	if (wrong)
		fail(wrong);
	inflate_drive_all(&cut, bytes, n, 1 + (data[0] >> 2), 0);
	wrong = inflate_drive_compare(&cut, bytes, n);
	if (wrong)
		fail(wrong);
	if (once.result != cut.result)	/* how far it got before it was refused is another matter */
		fail("cut otherwise it ends otherwise");
	return 0;
}
