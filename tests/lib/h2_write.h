/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes HTTP/2 frames (RFC 9113) and header fields (RFC 7541) byte by byte as the tests ask, right
 * ones and wrong ones. No table is kept: whoever writes an index knows what it stands for.
 */
#ifndef TT_TESTS_H2_WRITE_H
#define TT_TESTS_H2_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "huffman_codes.h"

#define H2_WRITE_MAX (1024 * 1024)

struct h2_buf {
	size_t len;
	uint8_t p[H2_WRITE_MAX];
};

static inline void h2w_bytes(struct h2_buf *b, const void *bytes, size_t len)
{
	if (len > sizeof(b->p) - b->len) {
		fprintf(stderr, "a test writes too much\n");
		abort();
	}
	if (len)
		memcpy(b->p + b->len, bytes, len);
	b->len += len;
}

static inline void h2w_byte(struct h2_buf *b, unsigned int byte)
{
	uint8_t c = (uint8_t)byte;

	h2w_bytes(b, &c, 1);
}

static inline void h2w_number(struct h2_buf *b, uint64_t n, unsigned int bytes)
{
	while (bytes--)
		h2w_byte(b, n >> (8 * bytes));
}

/* ---- header fields ---- */

#define H2W_ADD 0x40	/* with incremental indexing */
#define H2W_PLAIN 0x00	/* without indexing */
#define H2W_NEVER 0x10	/* never indexed */

/* An integer behind the high bits of `first` (RFC 7541, 5.1). */
static inline void h2w_int(struct h2_buf *b, unsigned int first, unsigned int prefix, uint64_t n)
{
	uint64_t most = (1u << prefix) - 1;

	if (n < most) {
		h2w_byte(b, first | (unsigned int)n);
		return;
	}
	h2w_byte(b, first | (unsigned int)most);
	for (n -= most; n >= 128; n >>= 7)
		h2w_byte(b, 0x80 | (n & 0x7f));
	h2w_byte(b, (unsigned int)n);
}

/* The same value in a longer form: `more` bytes of zero behind it. */
static inline void h2w_int_long(struct h2_buf *b, unsigned int first, unsigned int prefix, uint64_t n,
				unsigned int more)
{
	h2w_int(b, first, prefix, n);
	if (n < (1u << prefix) - 1) {
		fprintf(stderr, "a number this small has one form only\n");
		abort();
	}
	for (; more; more--) {
		b->p[b->len - 1] |= 0x80;
		h2w_byte(b, 0);
	}
}

static inline size_t h2w_huffman_len(const void *bytes, size_t len)
{
	size_t bits = 0;

	for (size_t i = 0; i < len; i++)
		bits += huffman_codes[((const uint8_t *)bytes)[i]].bits;
	return (bits + 7) / 8;
}

/* The coded bytes alone, padded with ones. */
static inline void h2w_huffman(struct h2_buf *b, const void *bytes, size_t len)
{
	unsigned int bits = 0;
	uint64_t acc = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned int c = ((const uint8_t *)bytes)[i];

		acc = acc << huffman_codes[c].bits | huffman_codes[c].code;
		bits += huffman_codes[c].bits;
		for (; bits >= 8; bits -= 8)
			h2w_byte(b, (unsigned int)(acc >> (bits - 8)) & 0xff);
	}
	if (bits)
		h2w_byte(b, (unsigned int)(acc << (8 - bits) | 0xff >> bits) & 0xff);
}

static inline void h2w_string(struct h2_buf *b, const void *bytes, size_t len, bool huffman)
{
	if (!huffman) {
		h2w_int(b, 0, 7, len);
		h2w_bytes(b, bytes, len);
		return;
	}
	h2w_int(b, 0x80, 7, h2w_huffman_len(bytes, len));
	h2w_huffman(b, bytes, len);
}

static inline void h2w_indexed(struct h2_buf *b, uint64_t index)
{
	h2w_int(b, 0x80, 7, index);
}

/* A literal whose name is at an index. */
static inline void h2w_value(struct h2_buf *b, unsigned int kind, uint64_t index, const char *value,
			     bool huffman)
{
	h2w_int(b, kind, kind == H2W_ADD ? 6 : 4, index);
	h2w_string(b, value, strlen(value), huffman);
}

/* A literal with its name. */
static inline void h2w_field(struct h2_buf *b, unsigned int kind, const char *name, const char *value,
			     bool huffman)
{
	h2w_byte(b, kind);
	h2w_string(b, name, strlen(name), huffman);
	h2w_string(b, value, strlen(value), huffman);
}

static inline void h2w_table_size(struct h2_buf *b, uint64_t size)
{
	h2w_int(b, 0x20, 5, size);
}

/* ---- frames ---- */

enum { H2W_DATA, H2W_HEADERS, H2W_PRIORITY, H2W_RST_STREAM, H2W_SETTINGS, H2W_PUSH_PROMISE, H2W_PING,
       H2W_GOAWAY, H2W_WINDOW_UPDATE, H2W_CONTINUATION };

#define H2W_END_STREAM 1
#define H2W_ACK 1
#define H2W_END_HEADERS 4
#define H2W_PADDED 8
#define H2W_WITH_PRIORITY 0x20

static const char h2w_preface_text[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

static inline void h2w_preface(struct h2_buf *b)
{
	h2w_bytes(b, h2w_preface_text, 24);
}

static inline void h2w_frame_head(struct h2_buf *b, size_t len, unsigned int type, unsigned int flags,
				  uint32_t stream)
{
	h2w_number(b, len, 3);
	h2w_byte(b, type);
	h2w_byte(b, flags);
	h2w_number(b, stream, 4);
}

static inline void h2w_frame(struct h2_buf *b, unsigned int type, unsigned int flags, uint32_t stream,
			     const void *bytes, size_t len)
{
	h2w_frame_head(b, len, type, flags, stream);
	h2w_bytes(b, bytes, len);
}

static inline void h2w_settings(struct h2_buf *b)
{
	h2w_frame(b, H2W_SETTINGS, 0, 0, NULL, 0);
}

static inline void h2w_settings_ack(struct h2_buf *b)
{
	h2w_frame(b, H2W_SETTINGS, H2W_ACK, 0, NULL, 0);
}

/* SETTINGS_HEADER_TABLE_SIZE among two others. */
static inline void h2w_settings_table(struct h2_buf *b, uint32_t size)
{
	h2w_frame_head(b, 18, H2W_SETTINGS, 0, 0);
	h2w_number(b, 0x3, 2);	/* SETTINGS_MAX_CONCURRENT_STREAMS */
	h2w_number(b, 100, 4);
	h2w_number(b, 0x1, 2);
	h2w_number(b, size, 4);
	h2w_number(b, 0x4, 2);	/* SETTINGS_INITIAL_WINDOW_SIZE */
	h2w_number(b, 65535, 4);
}

static inline void h2w_data(struct h2_buf *b, uint32_t stream, unsigned int flags, const char *text)
{
	h2w_frame(b, H2W_DATA, flags, stream, text, strlen(text));
}

static inline void h2w_rst(struct h2_buf *b, uint32_t stream, uint32_t code)
{
	h2w_frame_head(b, 4, H2W_RST_STREAM, 0, stream);
	h2w_number(b, code, 4);
}

static inline void h2w_goaway(struct h2_buf *b, uint32_t last, uint32_t code)
{
	h2w_frame_head(b, 8, H2W_GOAWAY, 0, 0);
	h2w_number(b, last, 4);
	h2w_number(b, code, 4);
}

/* How a block is put into frames. */
struct h2w_how {
	unsigned int flags;	/* H2W_END_STREAM, H2W_PADDED, H2W_WITH_PRIORITY */
	unsigned int padding;	/* bytes, with H2W_PADDED */
	size_t first;		/* bytes of the block in HEADERS, the rest in CONTINUATION; 0 = all */
	size_t next;		/* bytes in each CONTINUATION; 0 = all */
};

static inline void h2w_headers(struct h2_buf *b, uint32_t stream, const void *block, size_t len,
			       struct h2w_how how)
{
	size_t most = 16384 - 256, at = how.first && how.first < len ? how.first : len;
	size_t extra = (how.flags & H2W_PADDED ? 1 + how.padding : 0) +
		       (how.flags & H2W_WITH_PRIORITY ? 5 : 0);

	if (at > most)
		at = most;
	h2w_frame_head(b, at + extra, H2W_HEADERS, how.flags | (at == len ? H2W_END_HEADERS : 0), stream);
	if (how.flags & H2W_PADDED)
		h2w_byte(b, how.padding);
	if (how.flags & H2W_WITH_PRIORITY)
		h2w_number(b, 0x8000000310, 5);
	h2w_bytes(b, block, at);
	for (unsigned int i = 0; (how.flags & H2W_PADDED) && i < how.padding; i++)
		h2w_byte(b, 0);
	while (at < len) {
		size_t n = how.next && how.next < len - at ? how.next : len - at;

		n = n < most ? n : most;
		h2w_frame(b, H2W_CONTINUATION, at + n == len ? H2W_END_HEADERS : 0, stream,
			  (const uint8_t *)block + at, n);
		at += n;
	}
}

#endif
