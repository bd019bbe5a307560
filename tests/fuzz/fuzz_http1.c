/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer target for bpf/readers/http1.h. An input is one connection:
 *
 *     seed (1 byte), then calls: direction (1 byte, lowest bit), length (2 bytes, little-endian),
 * bytes
 *
 * The calls are read as they are, byte by byte, and cut at places drawn from the seed, with other
 * rubbish in all memory the reader must not look at: all three have to tell the same heads. What
 * must always hold is checked by the driver. Names and classes are a small table of its own, so
 * that a corpus stays good when the product's tables grow.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../lib/h1_drive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct drive_tables tables;
static struct drive plain, bytewise, cut;

static void add_name(const char *name, uint32_t space, uint16_t id, uint8_t unwrap)
{
	struct tt_name_key key = {.space = space, .length = strlen(name)};
	struct tt_name_val val = {.id = id, .unwrap = unwrap};

	key.hash = tt_name_hash(name, key.length);
	if (drive_put_name(&key, &val, &tables) < 0)
		abort();
}

static void fill_tables(void)
{
	add_name("host", TT_NAME_HEADER, 0xffff, TT_CONTROL_HOST);
	add_name("content-length", TT_NAME_HEADER, 0xffff, TT_CONTROL_LENGTH);
	add_name("transfer-encoding", TT_NAME_HEADER, 0xffff, TT_CONTROL_CODING);
	add_name("authorization", TT_NAME_HEADER, 1, TT_UNWRAP_SCHEME);
	add_name("x-api-key", TT_NAME_HEADER, 2, TT_UNWRAP_WHOLE);
	add_name("key", TT_NAME_HEADER, 3, TT_UNWRAP_WHOLE);
	add_name("token", TT_NAME_PARAM, 4, TT_UNWRAP_PERCENT);
	add_name("access_token", TT_NAME_PARAM, 5, TT_UNWRAP_PERCENT);
	add_name("x-amz-credential", TT_NAME_PARAM, 7, TT_UNWRAP_KEY_ID);
	add_name("cookie", TT_NAME_HEADER, 0xffff, TT_CONTROL_COOKIE);
	add_name("sid", TT_NAME_COOKIE, 6, TT_UNWRAP_WHOLE);
	add_name("bearer", TT_NAME_SCHEME, 1, TT_UNWRAP_WHOLE);
	add_name("basic", TT_NAME_SCHEME, 2, TT_UNWRAP_BASIC);
	add_name("digest", TT_NAME_SCHEME, 3, TT_UNWRAP_USER);
	add_name("aws", TT_NAME_SCHEME, 4, TT_UNWRAP_ACCOUNT);
	add_name("hawk", TT_NAME_SCHEME, 5, TT_UNWRAP_KEY);
	add_name("sas", TT_NAME_SCHEME, 6, TT_UNWRAP_PARAM);
	add_name("apikey", TT_NAME_SCHEME, 7, TT_UNWRAP_PAIR);
	add_name("sec-websocket-protocol", TT_NAME_HEADER, 7, TT_UNWRAP_SUBPROTOCOL);
	add_name("base64url.bearer.authorization.k8s.io.", TT_NAME_SUBPROTOCOL, 1, TT_UNWRAP_BASE64URL);
	add_name("key.", TT_NAME_SUBPROTOCOL, 1, TT_UNWRAP_WHOLE);
	add_name("access_token", TT_NAME_SUBPROTOCOL, 1, TT_UNWRAP_NEXT);
	add_name("-token", TT_NAME_SUFFIX, 8, TT_UNWRAP_WHOLE);
	if (drive_put_param(&tables, "digest", "username", 3) < 0 ||
	    drive_put_param(&tables, "hawk", "id", 5) < 0 || drive_put_param(&tables, "sas", "sig", 6) < 0 ||
	    drive_add_class(&tables, 1, "ghp_", 12, 64) < 0 ||
	    drive_add_class(&tables, 2, "eyJ", 8, 4096) < 0 ||
	    drive_add_class(&tables, 3, "eyJhbGciOiJub25lIn0.eyJ", 24, 4096) < 0 ||
	    drive_add_routes(&tables, 8, 4) < 0)
		abort();
}

static uint32_t draw(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* Portions of 1 to `most` bytes; 0: all at once. A copy of the exact size each, for the sanitizer.
 */
static void feed(struct drive *v, int dir, const uint8_t *bytes, size_t len, size_t most,
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
		drive_feed(v, dir, copy, n);
		free(copy);
		bytes += n;
		len -= n;
	}
}

static void connection(struct drive *v, const uint8_t *data, size_t size, size_t most,
		       uint32_t seed)
{
	while (size > 3) {
		size_t len = data[1] | data[2] << 8;

		if (len > size - 3)
			len = size - 3;
		feed(v, data[0] & 1, data + 3, len, most, &seed);
		data += 3 + len;
		size -= 3 + len;
	}
}

static void run(struct drive *v, const uint8_t *data, size_t size, size_t most, uint8_t poison)
{
	drive_init(v, &tables, 0x0706050403020100, 0x0f0e0d0c0b0a0908);
	v->poison = poison;
	v->says = data[0] & 2;
	v->stop_at_bad =
		true; /* where reading goes on after a fault depends on where calls begin */
	connection(v, data + 1, size - 1, most, data[0] * 2654435761u);
}

static void same(const struct drive *other, const char *how)
{
	const char *what = drive_differ(&plain, other);

	if (!what)
		return;
	fprintf(stderr, "%s: %s\n", how, what);
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!tables.classes_len)
		fill_tables();
	if (size < 5)
		return 0;
	run(&plain, data, size, 0, '\n');
	run(&bytewise, data, size, 1, 0);
	same(&bytewise, "byte by byte");
	run(&cut, data, size, 1 + data[0] % 61, data[0]);
	same(&cut, "cut");

	/* Beyond a fault only what always holds can be checked. */
	drive_init(&cut, &tables, 1, 2);
	connection(&cut, data + 1, size - 1, 0, 0);
	if (cut.broken) {
		fprintf(stderr, "after a fault: %s\n", cut.broken);
		abort();
	}
	return 0;
}
