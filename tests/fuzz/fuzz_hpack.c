/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer target for bpf/readers/hpack.h, with nghttp2's decoder as the oracle. An input is the
 * header blocks of one connection:
 *
 *     seed (1 byte; lowest bit: a table of 64 KiB is allowed), then blocks: length (2 bytes,
 *     little-endian), bytes
 *
 * The blocks go into frames of a shape drawn from the seed, whole and cut anywhere. Both decode the
 * same fields from each block, or both refuse the same block; what comes after that is nobody's.
 */
#include <stdio.h>
#include <stdlib.h>

#include <nghttp2/nghttp2.h>

#include "../lib/h2_drive.h"
#include "../lib/h2_write.h"
#include "names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct drive_tables tables;
static struct h2_drive whole, cut;
static struct h2_buf frames;

/* What nghttp2 says of a block. */
struct answer {
	bool refused;
	uint64_t fields, hash;
};

static struct answer ask(nghttp2_hd_inflater *inflater, const uint8_t *block, size_t len)
{
	struct answer a = { .hash = H2D_HASH };
	nghttp2_nv nv;
	int flags = 0;

	do {
		ssize_t n = nghttp2_hd_inflate_hd2(inflater, &nv, &flags, block, len, 1);

		if (n < 0) {
			a.refused = true;
			return a;
		}
		block += n;
		len -= (size_t)n;
		if (!(flags & NGHTTP2_HD_INFLATE_EMIT))
			continue;
		a.fields++;
		a.hash = h2d_hash(a.hash, nv.name, nv.namelen);
		a.hash = h2d_hash(a.hash, nv.value, nv.valuelen);
	} while (!(flags & NGHTTP2_HD_INFLATE_FINAL) && (len || (flags & NGHTTP2_HD_INFLATE_EMIT)));
	nghttp2_hd_inflate_end_headers(inflater);
	return a;
}

/* Portions of 1 to `most` bytes; 0: all at once. A copy of the exact size each, for the sanitizer. */
static void feed(struct h2_drive *v, int dir, size_t most, uint32_t *seed)
{
	for (size_t at = 0; at < frames.len;) {
		size_t n = most ? 1 + draw(seed) % most : frames.len;
		uint8_t *copy;

		if (n > frames.len - at)
			n = frames.len - at;
		copy = malloc(n);
		if (!copy)
			abort();
		memcpy(copy, frames.p + at, n);
		h2_drive_feed(v, dir, copy, n);
		free(copy);
		at += n;
	}
}

static void begin(struct h2_drive *v, bool large)
{
	uint32_t seed = 0;

	h2_drive_init(v, &tables, 0x0706050403020100, 0x0f0e0d0c0b0a0908);
	v->stop_at_bad = true;
	frames.len = 0;
	h2w_preface(&frames);
	h2w_settings(&frames);
	feed(v, DRIVE_CLIENT, 0, &seed);
	if (!large)
		return;
	frames.len = 0;
	h2w_settings_table(&frames, 65536);
	feed(v, DRIVE_SERVER, 0, &seed);
	frames.len = 0;
	h2w_settings_ack(&frames);
	feed(v, DRIVE_CLIENT, 0, &seed);
}

static void fail(const char *how, const char *why)
{
	fprintf(stderr, "%s: %s\n", how, why);
	abort();
}

/* The last fact of the block against the oracle's answer. Whether both went on. */
static bool same(const struct h2_drive *v, const struct answer *want, const char *how)
{
	size_t last = v->facts_len < H2D_FACTS ? v->facts_len : H2D_FACTS;
	const struct h2_fact *f = last ? &v->facts[last - 1] : NULL;

	if (v->broken)
		fail(how, v->broken);
	if (!f)
		fail(how, "nothing was said of a block");
	if (f->what == H2_BAD) {
		if (f->reason != TT_DROP_bad_hpack)
			fail(how, "the frames are right");
		if (!want->refused)
			fail(how, "refused alone");
		return false;
	}
	if (want->refused)
		fail(how, "taken alone");
	if (f->what != H2_HEAD && f->reason != TT_DROP_bad_message)
		fail(how, "the block did not end");
	if (f->seen_fields != want->fields)
		fail(how, "the number of fields");
	if (f->seen_hash != want->hash)
		fail(how, "the fields");
	return true;
}

static void forget(struct h2_drive *v)
{
	v->facts_len = 0;
	v->seen_len = v->seen_from = 0;
}

static bool block(nghttp2_hd_inflater *inflater, const uint8_t *bytes, size_t len, uint32_t stream,
		  uint32_t *seed)
{
	struct h2w_how how = { .flags = draw(seed) & (H2W_PADDED | H2W_WITH_PRIORITY) };
	struct answer want = ask(inflater, bytes, len);
	size_t most = 1 + draw(seed) % 61;

	how.padding = draw(seed) & 15;
	if (draw(seed) & 1)
		how.first = how.next = 1 + draw(seed) % (len + 1);
	frames.len = 0;
	h2w_headers(&frames, stream, bytes, len, how);
	forget(&whole);
	forget(&cut);
	feed(&whole, DRIVE_CLIENT, 0, seed);
	feed(&cut, DRIVE_CLIENT, most, seed);
	return same(&whole, &want, "whole") && same(&cut, &want, "cut");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	nghttp2_hd_inflater *inflater;
	uint32_t seed, stream = 1;
	bool on = true;

	if (!tables.classes_len)
		fill_tables(&tables);
	if (size < 4 || nghttp2_hd_inflate_new(&inflater))
		return 0;
	seed = data[0] * 2654435761u;
	begin(&whole, data[0] & 1);
	begin(&cut, data[0] & 1);
	if ((data[0] & 1) && nghttp2_hd_inflate_change_table_size(inflater, 65536))
		abort();
	data++;
	size--;
	while (on && size > 2) {
		size_t len = data[0] | data[1] << 8;

		if (len > size - 2)
			len = size - 2;
		on = block(inflater, data + 2, len, stream, &seed);
		stream += 2;
		data += 2 + len;
		size -= 2 + len;
	}
	nghttp2_hd_inflate_del(inflater);
	return 0;
}
