/* SPDX-License-Identifier: Apache-2.0 */
/* Fills a plan (plan.c) with blocks of nghttp2's encoder: encode_nghttp2 <PLAN >BLOCKS */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nghttp2/nghttp2.h>

#define FIELDS_MAX 64
#define FIELD_MAX 16384
#define BLOCK_MAX (FIELDS_MAX * FIELD_MAX)
#define TABLE_MAX 65536

static uint8_t text[FIELDS_MAX * FIELD_MAX], block[BLOCK_MAX];
static nghttp2_nv field[FIELDS_MAX];

static void die(const char *what)
{
	fprintf(stderr, "encode_nghttp2: %s\n", what);
	exit(1);
}

static void get(void *to, size_t len)
{
	if (len && fread(to, 1, len, stdin) != len)
		die("the plan ends in the middle");
}

static uint32_t get_u32(void)
{
	uint8_t b[4];

	get(b, 4);
	return b[0] | b[1] << 8 | b[2] << 16 | (uint32_t)b[3] << 24;
}

static void put_u32(uint32_t n)
{
	uint8_t b[4] = { n, n >> 8, n >> 16, n >> 24 };

	fwrite(b, 1, 4, stdout);
}

static size_t get_text(uint8_t **at)
{
	uint32_t len = get_u32();

	if (len > FIELD_MAX || *at + len > text + sizeof(text))
		die("a text is too long");
	get(*at, len);
	*at += len;
	return len;
}

static size_t get_fields(void)
{
	uint8_t count[2], flags, *at = text;

	get(count, 2);
	if (count[0] > FIELDS_MAX || count[1])
		die("too many fields");
	for (size_t i = 0; i < count[0]; i++) {
		nghttp2_nv *f = &field[i];

		get(&flags, 1);
		f->flags = flags & 1 ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE;
		f->name = at;
		f->namelen = get_text(&at);
		f->value = at;
		f->valuelen = get_text(&at);
	}
	return count[0];
}

static void put_block(nghttp2_hd_deflater *d)
{
	size_t count, bound;
	ssize_t len;

	if (get_u32() != 0)
		die("this plan has blocks already");
	count = get_fields();
	bound = nghttp2_hd_deflate_bound(d, field, count);
	if (bound > sizeof(block))
		die("a block is too long");
	len = nghttp2_hd_deflate_hd(d, block, bound, field, count);
	if (len < 0)
		die(nghttp2_strerror((int)len));
	putchar('B');
	put_u32((uint32_t)len);
	fwrite(block, 1, (size_t)len, stdout);
	putchar((int)count);
	putchar(0);
	for (size_t i = 0; i < count; i++) {
		putchar(field[i].flags & NGHTTP2_NV_FLAG_NO_INDEX ? 1 : 0);
		put_u32((uint32_t)field[i].namelen);
		fwrite(field[i].name, 1, field[i].namelen, stdout);
		put_u32((uint32_t)field[i].valuelen);
		fwrite(field[i].value, 1, field[i].valuelen, stdout);
	}
}

int main(void)
{
	nghttp2_hd_deflater *d = NULL;
	char magic[6];
	uint32_t n;
	int c;

	get(magic, 6);
	if (memcmp(magic, "TTHB1\n", 6))
		die("not a plan");
	fwrite(magic, 1, 6, stdout);
	while ((c = getchar()) != EOF) {
		if (c == 'R') {
			if (d)
				nghttp2_hd_deflate_del(d);
			if (nghttp2_hd_deflate_new(&d, TABLE_MAX))
				die("no memory");
			putchar(c);
		} else if ((c == 'T' || c == 'S') && d) {
			n = get_u32();
			if (nghttp2_hd_deflate_change_table_size(d, n))
				die("no memory");
			if (c == 'T') {
				putchar(c);
				put_u32(n);
			}
		} else if (c == 'B' && d) {
			put_block(d);
		} else {
			die("an unknown record");
		}
	}
	if (d)
		nghttp2_hd_deflate_del(d);
	return fflush(stdout) || ferror(stdout);
}
