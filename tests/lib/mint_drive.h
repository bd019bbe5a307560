/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives the body reader (bpf/readers/mint.h) in user space under the contract of the kernel's glue: one
 * piece is read through windows of H1_WINDOW bytes; from piece to piece only struct mint_body, struct h1_head
 * and of a compressed one struct inflate survive. Everything else is poisoned first. Knows no test framework.
 */
#ifndef TT_TESTS_MINT_DRIVE_H
#define TT_TESTS_MINT_DRIVE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <readers/inflate.h>
#include <readers/mint.h>

#define MINT_DRIVE_MEMBERS 512

struct mint_drive_tables {
	struct {
		struct tt_mint_member_key key;
		struct tt_mint_member_val val;
	} members[MINT_DRIVE_MEMBERS];
	size_t count;
	const char *class_prefix;	/* what begins so is of class 1 */
};

struct mint_drive {
	const struct mint_drive_tables *tables;
	uint64_t key[2], set;
	uint8_t poison;
	uint64_t steps, bytes;
	const char *broken;		/* an invariant that did not hold */
	struct mint_body body;
	struct h1_head parked;
	struct h1_work w;
	struct inflate z;
};

static inline int mint_drive_put(const struct tt_mint_member_key *key, const struct tt_mint_member_val *val,
				 void *data)
{
	struct mint_drive_tables *t = data;

	for (size_t i = 0; i < t->count; i++)
		if (memcmp(&t->members[i].key, key, sizeof(*key)) == 0)
			return -EEXIST;
	if (t->count == MINT_DRIVE_MEMBERS)
		return -ENOSPC;
	t->members[t->count].key = *key;
	t->members[t->count++].val = *val;
	return 0;
}

static inline void mint_drive_member(struct mint_drive *v)
{
	v->w.answer = (struct h1_answer){ .id = 0 };
	for (size_t i = 0; i < v->tables->count; i++) {
		const struct tt_mint_member_key *key = &v->tables->members[i].key;

		if (key->hash == v->body.member_hash && key->set == v->set) {
			v->w.answer.id = v->tables->members[i].val.id;
			v->w.answer.unwrap = v->tables->members[i].val.what;
		}
	}
}

/* Length of a credential as the readers take it: of an SD-JWT that of the JWT in front of its disclosures. */
static inline size_t mint_drive_len(const char *token, size_t len)
{
	size_t dots = 0;

	if (len < 3 || (memcmp(token, "eyJ", 3) && memcmp(token, "ewo", 3) && memcmp(token, "eyA", 3)))
		return len;
	for (size_t i = 0; i < len; i++) {
		if (token[i] == '~' && dots == 2)
			return i;
		dots += token[i] == '.';
	}
	return len;
}

static inline void mint_drive_class(struct mint_drive *v)
{
	size_t len = v->tables->class_prefix ? strlen(v->tables->class_prefix) : 0;

	v->w.answer.id = len && v->w.ask_len >= len && memcmp(v->w.h.carry, v->tables->class_prefix, len) == 0;
}

static inline void mint_drive_fill(struct mint_drive *v, const uint8_t *bytes)
{
	uint32_t n = v->w.total - v->w.pos;

	if (n > H1_WINDOW)
		n = H1_WINDOW;
	v->w.base = v->w.pos;
	v->w.fill = n;
	memset(v->w.buf, v->poison, sizeof(v->w.buf));
	memcpy(v->w.buf, bytes + v->w.pos, n);
}

/* Until the input, w.total bytes of it, is used up, or nothing more is read. What the last step said. */
static inline int mint_drive_steps(struct mint_drive *v, const uint8_t *bytes)
{
	struct mint_body *m = &v->body;

	v->bytes += v->w.total - v->w.pos;
	for (;;) {
		int r = mint_step(&v->w, m);

		/* Two more for each value, name or element than bytes; of a number in protobuf twelve digits. */
		if (++v->steps > 8 * v->bytes + 64) {
			v->broken = "it takes too many steps";
			return M_STOP;
		}
		if (m->text_len > TT_MINT_TEXT_LEN || m->creds > TT_MINT_CREDS_MAX || m->depth > MINT_DEPTH_MAX)
			v->broken = "a limit is exceeded";
		if (r == M_STOP || r == M_PACKED)
			return r;
		if (r == M_MEMBER)
			mint_drive_member(v);
		if (r == M_CLASS)
			mint_drive_class(v);
		if (r != M_FILL)
			continue;
		if (v->w.pos >= v->w.total)
			return r;
		mint_drive_fill(v, bytes);
	}
}

/* What was decompressed is read. */
static inline void mint_drive_take(struct mint_drive *v)
{
	uint8_t chunk[INFLATE_CHUNK];
	uint32_t n = v->z.out - v->z.given;

	memcpy(chunk, v->z.window + v->z.given % INFLATE_WINDOW, n);
	v->z.given = v->z.out;
	if (v->body.state == M_OVER)
		return;
	v->w.base = v->w.fill = v->w.pos = 0;
	v->w.total = n;
	mint_drive_steps(v, chunk);
}

static inline void mint_drive_unpack(struct mint_drive *v, const uint8_t *bytes, size_t len)
{
	uint8_t ended = v->body.ended;
	size_t at = 0, n;

	v->body.ended = 0;
	v->z.at = v->z.fill = 0;
	while (v->body.packed == M_DEFLATED) {
		switch (inflate_step(&v->z)) {
		case INFLATE_NEXT:
			break;
		case INFLATE_FILL:
			n = len - at < INFLATE_INPUT ? len - at : INFLATE_INPUT;
			if (!n && !inflate_flush(&v->z) && !ended)
				return;
			if (!n && v->z.state != INFLATE_S_SUM)
				mint_failed(&v->body, TT_MINT_INCOMPLETE);
			if (n)
				memcpy(v->z.in, bytes + at, n);
			v->z.at = 0;
			v->z.fill = n;
			at += n;
			break;
		case INFLATE_OUT:
			mint_drive_take(v);
			break;
		case INFLATE_END:
			v->body.packed = M_UNPACKED;
			v->body.ended = 1;
			v->w.base = v->w.fill = v->w.pos = v->w.total = 0;
			mint_drive_steps(v, NULL);
			break;
		default:
			mint_failed(&v->body, TT_MINT_BAD);
		}
	}
}

static inline void mint_drive_run(struct mint_drive *v, const uint8_t *bytes, size_t len)
{
	if (v->body.state == M_OVER && v->body.packed != M_DEFLATED)
		return;
	memset(&v->w, v->poison, sizeof(v->w));
	memset(v->z.in, v->poison, sizeof(v->z.in));
	v->w.h = v->parked;
	v->w.key[0] = v->key[0];
	v->w.key[1] = v->key[1];
	v->w.base = v->w.fill = v->w.pos = 0;
	v->w.total = len;
	if (v->body.packed == M_DEFLATED) {
		mint_drive_unpack(v, bytes, len);
	} else if (mint_drive_steps(v, bytes) == M_PACKED) {
		inflate_begin(&v->z, v->body.bits, 1);
		mint_drive_unpack(v, bytes + v->w.pos, len - v->w.pos);
	}
	v->parked = v->w.h;
}

static inline void mint_drive_begin(struct mint_drive *v, const struct mint_drive_tables *t, uint64_t set,
				    uint8_t plain)
{
	memset(v, 0, sizeof(*v));
	v->tables = t;
	v->set = set;
	v->key[0] = 0x0706050403020100ULL;
	v->key[1] = 0x0f0e0d0c0b0a0908ULL;
	v->poison = '"';
	mint_begin(&v->body, TT_MINT_ANSWER, 1, plain, 200);
}

static inline void mint_drive_end(struct mint_drive *v)
{
	v->body.ended = 1;
	mint_drive_run(v, NULL, 0);
}

/* The bytes in pieces of `most` (0: at once), then the end. */
static inline void mint_drive_all(struct mint_drive *v, const void *bytes, size_t len, size_t most)
{
	for (size_t at = 0, n; at < len; at += n) {
		n = most && most < len - at ? most : len - at;
		/* The end is told with the last piece or, as chunks have it, after it. */
		v->body.ended = at + n == len && (most & 1) == 0;
		mint_drive_run(v, (const uint8_t *)bytes + at, n);
	}
	if (!v->body.ended || !len)
		mint_drive_end(v);
}

static inline void mint_drive_sip(const struct mint_drive *v, const void *bytes, size_t len, __u64 ret_id[2])
{
	struct siphash s;

	siphash_init(&s, v->key[0], v->key[1]);
	for (size_t i = 0; i < len; i++)
		siphash_put(&s, ((const uint8_t *)bytes)[i]);
	siphash_final(&s, ret_id);
}

/* The text of a member, or NULL. */
static inline const uint8_t *mint_drive_text(const struct mint_body *m, uint8_t member, size_t *ret_len)
{
	for (size_t at = 0; at + 2 <= m->text_len; at += 2 + m->text[at + 1]) {
		*ret_len = m->text[at + 1];
		if (m->text[at] == member)
			return m->text + at + 2;
	}
	return NULL;
}

#endif
