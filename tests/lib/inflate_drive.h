/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives the decompressor (bpf/readers/inflate.h) in user space under the contract of the kernel's glue:
 * one piece is read through inputs of INFLATE_INPUT bytes, what is ready is taken at its end; from piece to
 * piece everything but the input survives. Beside it zlib, which is the truth. Knows no test framework.
 */
#ifndef TT_TESTS_INFLATE_DRIVE_H
#define TT_TESTS_INFLATE_DRIVE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <zlib.h>

#include <readers/inflate.h>

#define INFLATE_DRIVE_MAX (1 << 18)	/* bytes that are kept; where more come it ends with INFLATE_OUT */

struct inflate_drive {
	int result;			/* INFLATE_FILL: it ended early */
	size_t len;
	uint64_t steps, fed;
	const char *broken;		/* an invariant that did not hold */
	struct inflate z;
	uint8_t out[INFLATE_DRIVE_MAX];
};

static inline void inflate_drive_begin(struct inflate_drive *d, uint8_t poison)
{
	memset(&d->z, poison, sizeof(d->z));
	d->len = d->steps = d->fed = 0;
	d->broken = NULL;
	d->result = INFLATE_FILL;
	inflate_begin(&d->z, 0, 0);
}

static inline void inflate_drive_take(struct inflate_drive *d)
{
	struct inflate *z = &d->z;
	size_t n = z->out - z->given, at = z->given % INFLATE_WINDOW;

	if (!n || n > INFLATE_CHUNK || at + n > INFLATE_WINDOW || z->summed != z->out)
		d->broken = "what is given away is not as it should be";
	else if (d->len + n <= sizeof(d->out))
		memcpy(d->out + d->len, z->window + at, n);
	d->len += n;
	z->given = z->out;
}

/* Whether the stream can go on. */
static inline int inflate_drive_run(struct inflate_drive *d, const uint8_t *bytes, size_t len)
{
	struct inflate *z = &d->z;
	size_t at = 0;

	d->fed += len;
	z->at = z->fill = 0;
	while (!d->broken) {
		size_t n = len - at < INFLATE_INPUT ? len - at : INFLATE_INPUT;

		d->result = inflate_step(z);
		/* A step makes a byte, or uses some bits, or some of the 320 lengths that make codes. */
		if (++d->steps > 2 * z->out + 400 * (d->fed + 8))
			d->broken = "it takes too many steps";
		if (z->bits > 63 || z->at > z->fill)
			d->broken = "bits are not as they should be";
		if (d->result == INFLATE_OUT)
			inflate_drive_take(d);
		if (d->len > INFLATE_DRIVE_MAX)
			return 0;
		if (d->result == INFLATE_NEXT || d->result == INFLATE_OUT)
			continue;
		if (d->result != INFLATE_FILL)
			return 0;
		if (!n && !inflate_flush(z))
			return 1;
		if (n)
			memcpy(z->in, bytes + at, n);
		z->at = 0;
		z->fill = n;
		at += n;
	}
	return 0;
}

/* In pieces of `most` (0: at once). */
static inline void inflate_drive_all(struct inflate_drive *d, const uint8_t *bytes, size_t len, size_t most,
				     uint8_t poison)
{
	inflate_drive_begin(d, poison);
	for (size_t at = 0, n; at < len; at += n) {
		n = most && most < len - at ? most : len - at;
		if (!inflate_drive_run(d, bytes + at, n))
			return;
		memset(d->z.in, poison, sizeof(d->z.in));
	}
}

/* What zlib says of it, gzip or zlib by its head: Z_STREAM_END or an error; Z_BUF_ERROR: it ended early. */
static inline int inflate_drive_truth(const uint8_t *bytes, size_t len, uint8_t *out, size_t room, size_t *ret_len)
{
	z_stream s = { .next_in = (Bytef *)bytes, .avail_in = len, .next_out = out, .avail_out = room };
	int r;

	*ret_len = 0;
	if (inflateInit2(&s, 15 + 32) != Z_OK)
		return Z_MEM_ERROR;
	r = inflate(&s, Z_SYNC_FLUSH);
	*ret_len = s.total_out;
	inflateEnd(&s);
	return r == Z_OK ? Z_BUF_ERROR : r;
}

/* What differs, or NULL. Of a stream of which too much comes the beginning is compared. */
static inline const char *inflate_drive_compare(const struct inflate_drive *d, const uint8_t *bytes, size_t len)
{
	static uint8_t out[INFLATE_DRIVE_MAX];
	size_t n;
	int r = inflate_drive_truth(bytes, len, out, sizeof(out), &n);

	if (d->broken)
		return d->broken;
	if (d->len > sizeof(out) || n == sizeof(out))
		return memcmp(out, d->out, n < sizeof(out) - INFLATE_CHUNK ? n : sizeof(out) - INFLATE_CHUNK) ?
		       "zlib gets other bytes at first" : NULL;
	if ((r == Z_STREAM_END) != (d->result == INFLATE_END))
		return r == Z_STREAM_END ? "zlib reads it to its end" : "zlib does not take it";
	if (memcmp(out, d->out, n < d->len ? n : d->len))
		return "zlib gets other bytes";
	if (r == Z_STREAM_END && n != d->len)
		return "zlib gets another number of bytes";
	return r == Z_BUF_ERROR && d->result == INFLATE_FILL && n < d->len ? "more than zlib gets" : NULL;
}

#endif
