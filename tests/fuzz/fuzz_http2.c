/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer target for bpf/readers/http2.h. An input is one connection:
 *
 *     seed (1 byte; lowest bit: begins with the client's preface, else in the middle), then calls:
 *     direction (1 byte, lowest bit), length (2 bytes, little-endian), bytes
 *
 * Behind a preface the calls are read as they are, byte by byte, and cut at places drawn from the
 * seed by a reader that skims (as the kernel's does), with other rubbish in all memory the reader must
 * not look at: all three have to tell the same facts. Of faults the skimming one need not notice all;
 * then it has to tell what it tells of whole calls. In the middle of a connection it matters where
 * calls begin, so only what must always hold is checked there, and beyond a fault: that is done by the
 * driver.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../lib/h2_drive.h"
#include "../lib/h2_write.h"
#include "names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct drive_tables tables;
static struct h2_drive plain, other;

/* Portions of 1 to `most` bytes; 0: all at once. A copy of the exact size each, for the sanitizer. */
static void feed(struct h2_drive *v, int dir, const uint8_t *bytes, size_t len, size_t most,
		 uint32_t *seed)
{
	while (len) {
		size_t n = most ? 1 + draw(seed) % most : len;
		uint8_t *copy;

		if (n > len)
			n = len;
		copy = malloc(n);
		if (!copy)
			abort();
		memcpy(copy, bytes, n);
		h2_drive_feed(v, dir, copy, n);
		free(copy);
		bytes += n;
		len -= n;
	}
}

static void run(struct h2_drive *v, const uint8_t *data, size_t size, size_t most, uint8_t poison,
		bool stop, bool skim)
{
	uint32_t seed = data[0] * 2654435761u;

	h2_drive_init(v, &tables, 0x0706050403020100, 0x0f0e0d0c0b0a0908);
	v->skim = skim;
	v->says = data[0] & 8;
	v->poison = poison;
	v->stop_at_bad = stop;
	if (data[0] & 1)
		feed(v, DRIVE_CLIENT, (const uint8_t *)h2w_preface_text, 24, most, &seed);
	data++;
	size--;
	while (size > 3) {
		size_t len = data[1] | data[2] << 8;

		if (len > size - 3)
			len = size - 3;
		feed(v, data[0] & 1, data + 3, len, most, &seed);
		data += 3 + len;
		size -= 3 + len;
	}
}

static void need(const char *wrong, const char *how)
{
	if (!wrong)
		return;
	fprintf(stderr, "%s: %s\n", how, wrong);
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!tables.classes_len)
		fill_tables(&tables);
	if (size < 5)
		return 0;
	if (data[0] & 1) {
		run(&plain, data, size, 0, '\n', true, false);
		run(&other, data, size, 1, 0, true, false);
		need(h2_drive_differ(&plain, &other), "byte by byte");
		run(&other, data, size, 1 + data[0] % 61, data[0], true, true);
		need(plain.stopped ? other.broken : h2_drive_differ_facts(&plain, &other), "skimmed");
		run(&plain, data, size, 0, ' ', true, true);
		need(h2_drive_differ_facts(&plain, &other), "skimmed, whole and cut");
	}
	run(&other, data, size, 0, 0xff, false, data[0] & 2);
	need(other.broken, "after a fault");
	return 0;
}
