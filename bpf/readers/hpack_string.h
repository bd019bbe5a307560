/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Strings of HPACK (RFC 7541, 5.2): decoded a chunk at a time into h1_work.buf, and given from there to
 * whoever reads this name or value. Values of credential, path and host fields go to the machine of
 * the HTTP/1 reader, so that one secret has one fingerprint whatever carried it.
 */
#ifndef TT_READERS_HPACK_STRING_H
#define TT_READERS_HPACK_STRING_H

#include "hpack_work.h"

#define HP_CHUNK_FULL (H1_WINDOW - 80)	/* room for one more step, and for what ends a value */
#define HP_EAT_BYTES 8

/* ---- decoding ---- */

static __always_inline int hp_broken(struct h2_work *x)
{
	return h2_bad(x, TT_DROP_bad_hpack);
}

/* Up to four bytes into the accumulator, then up to eight symbols out of it. */
static __always_inline int hp_huffman(struct h1_work *w, struct h2_work *x, __u32 have)
{
	struct huffman *h = &x->b.huffman;
	__u64 acc = h->acc, out = w->fill;
	__u32 bits = h->bits, table = h->table, take;
	__u16 row;

	if (bits <= 32 && have) {
		take = have < 4 ? have : 4;
		acc = acc << 32 | __builtin_bswap32((__u32)h2_word(x, 0));
		acc >>= (32 - 8 * take) & 63;
		bits += 8 * take;
		h2_take(x, take);
		x->b.left -= take;
	}
	for (int i = 0; i < HUFFMAN_SYMBOLS; i++) {
		if (bits < 8)
			break;
		row = huffman_row(table, acc >> ((bits - 8) & 63));
		if (row & HUFFMAN_BAD)
			return hp_broken(x);
		if (row & HUFFMAN_JUMP) {
			table = row & 15;
			bits -= 8;
			continue;
		}
		H1_MASK(out, H1_WINDOW - 1);
		w->buf[out] = row;
		out++;
		bits -= row >> 8;
		table = 0;
	}
	h->acc = acc;
	h->bits = bits;
	h->table = table;
	w->fill = out;
	return H2_NEXT;
}

/* All that is there at once: the buffer is empty. */
static __always_inline int hp_raw(struct h1_work *w, struct h2_work *x, __u32 have)
{
	__u64 n = have < HP_CHUNK_FULL ? have : HP_CHUNK_FULL, at = x->pos - x->base;

	H1_MASK(n, H1_WINDOW - 1);
	H1_MASK(at, H2_WINDOW - 1);
	H2_COPY(w->buf, x->in + at, n);
	h2_take(x, n);
	x->b.left -= n;
	x->b.last = !x->b.left;
	w->fill = n;
	return h2_to(x, HP_CHUNK);
}

/* Does the string wait for input? */
static __always_inline int hp_string_hungry(const struct h1_work *w, const struct h2_block *b)
{
	return b->left && !w->fill && !(b->coded && b->huffman.bits >= 8);
}

static __always_inline int hp_bytes(struct h1_work *w, struct h2_work *x)
{
	struct h2_block *b = &x->b;
	__u32 have = h2_have_payload(x);

	w->used = H1_WINDOW;
	if (have > b->left)
		have = b->left;
	if (w->fill > HP_CHUNK_FULL)
		return h2_to(x, HP_CHUNK);
	if (b->coded && (have || b->huffman.bits >= 8))
		return hp_huffman(w, x, have);
	if (have)
		return hp_raw(w, x, have);
	if (b->left)	/* what is decoded has to be used up before the call ends */
		return w->fill ? h2_to(x, HP_CHUNK) : H2_FILL;
	b->last = !b->coded;
	return h2_to(x, b->coded ? HP_TAIL : HP_CHUNK);
}

static __always_inline int hp_tail(struct h1_work *w, struct h2_work *x)
{
	__u64 out = w->fill;
	__u8 symbol = 0;
	int r = huffman_end(&x->b.huffman, &symbol);

	if (r == HUFFMAN_BROKEN)
		return hp_broken(x);
	if (r == HUFFMAN_DONE) {
		x->b.last = 1;
		return h2_to(x, HP_CHUNK);
	}
	H1_MASK(out, H1_WINDOW - 1);
	w->buf[out] = symbol;
	w->fill = out + 1;
	return H2_NEXT;
}

/* ---- who reads it ---- */

static __always_inline int hp_is_request(const struct h2_work *x)
{
	if (x->f.kind != H1_UNKNOWN)
		return x->f.kind == H1_REQUESTS;
	return !x->f.promise && !(x->b.seen & 1 << (TT_CONTROL_STATUS - TT_CONTROL_METHOD));
}

/* Fields whose value the HTTP/1 reader reads. */
static __always_inline int hp_for_inner(const struct h2_work *x)
{
	switch (x->b.field) {
	case TT_UNWRAP_WHOLE:
	case TT_UNWRAP_SCHEME:
	case TT_UNWRAP_SUBPROTOCOL:
	case TT_CONTROL_HOST:
	case TT_CONTROL_AUTHORITY:
	case TT_CONTROL_PATH:
	case TT_CONTROL_MCP_METHOD:
	case TT_CONTROL_MCP_NAME:
	case TT_CONTROL_SAID:
	case TT_CONTROL_COOKIE:
		return 1;
	default:
		return 0;
	}
}

static __always_inline int hp_for_eating(const struct h2_work *x)
{
	__u8 field = x->b.field;

	return !x->b.value_part || field == TT_CONTROL_METHOD || field == TT_CONTROL_STATUS ||
	       field == TT_CONTROL_TYPE || field == TT_CONTROL_GRPC_STATUS;
}

static __always_inline void hp_value_begin(struct h1_work *w, struct h2_work *x)
{
	struct h2_block *b = &x->b;

	w->d.kind = H1_REQUESTS;
	w->h.made.length = 0;
	w->h.items = 0;
	w->h.unwrap = 0;
	b->creds = w->h.creds;
	b->number = 0;
	if (b->field == TT_UNWRAP_WHOLE || b->field == TT_UNWRAP_SCHEME) {
		h1_value_start(w, H1_S_CRED);
		h1_cred_start(w, H1_V_LEAD | (b->field == TT_UNWRAP_SCHEME ? H1_V_SCHEME : 0));
		w->h.carrier = b->carrier;
	} else if (b->field == TT_UNWRAP_SUBPROTOCOL) {
		h1_subprotocol_start(w, b->carrier);
	} else if (b->field == TT_CONTROL_HOST || b->field == TT_CONTROL_AUTHORITY) {
		/* The first one counts, and userinfo in it goes. */
		h1_value_start(w, w->h.host_len ? H1_S_SKIP : H1_S_HOST);
	} else if (b->field == TT_CONTROL_PATH) {
		w->d.state = H1_S_TARGET;
	} else if (b->field == TT_CONTROL_METHOD) {
		w->h.method_len = 0;
	} else if (b->field == TT_CONTROL_MCP_METHOD || b->field == TT_CONTROL_MCP_NAME) {
		h1_value_start(w, H1_S_TEXT);
		h1_text_start(&w->h, b->field);
	} else if (b->field == TT_CONTROL_SAID) {
		said_field(w, b->carrier);
	} else if (b->field == TT_CONTROL_COOKIE) {
		h1_value_start(w, H1_S_LNAME);
	}
}

/* Such a value is no more than one credential, a list's mostly. */
static __always_inline int hp_one_cred(const struct h2_block *b)
{
	return b->field == TT_UNWRAP_WHOLE || b->field == TT_UNWRAP_SCHEME ||
	       b->field == TT_UNWRAP_SUBPROTOCOL || b->field == TT_CONTROL_COOKIE;
}

/* Enters one that was made earlier: nothing of its text is here. */
static __always_inline int hp_cred_add(struct h1_work *w, const struct h2_block *b)
{
	w->h.list = b->field == TT_CONTROL_COOKIE || b->field == TT_CONTROL_PATH;
	w->d.state = H1_S_LINE;		/* not of a start line, whatever was read last */
	w->answer.flags = 0;
	return h1_cred_add(w);
}

/* Does anybody need this value, or its length? */
static __always_inline int hp_needed(const struct h2_work *x)
{
	if (!x->skim || hp_for_eating(x))
		return 1;
	if (x->f.kind == H1_RESPONSES)
		return x->b.field == TT_CONTROL_SAID;
	return hp_for_inner(x) || x->b.how == HP_INSERTED;
}

static __always_inline int hp_skip(struct h2_work *x)
{
	__u32 n = x->total - x->pos;

	if (n > x->f.left)
		n = x->f.left;
	if (n > x->b.left)
		n = x->b.left;
	h2_take(x, n);
	x->b.left -= n;
	if (x->b.left)
		return H2_FILL;
	return h2_to(x, HP_FIELD);
}

static __always_inline int hp_string_begin(struct h1_work *w, struct h2_work *x)
{
	struct h2_block *b = &x->b;

	if (b->value > HPACK_STRING_MAX)
		return hp_broken(x);
	b->left = b->value;
	b->len = 0;
	b->last = 0;
	b->huffman.acc = 0;
	b->huffman.bits = 0;
	b->huffman.table = 0;
	w->fill = 0;
	x->remember = 0;
	if (!b->value_part) {
		h1_name_start(&w->h);
		return h2_to(x, HP_BYTES);
	}
	if (!hp_needed(x))
		return b->left ? h2_to(x, HP_SKIP) : h2_to(x, HP_FIELD);
	hp_value_begin(w, x);
	if (!hp_one_cred(b) || !b->coded ||
	    b->left < HPACK_MEMO_MIN || b->left > x->f.left || b->left > x->total - x->pos)
		return h2_to(x, HP_BYTES);
	siphash_init(&x->sip, w->key[0], w->key[1]);
	x->memo_at = x->pos;
	x->memo_left = b->left;
	return h2_to(x, HP_MEMO);
}

/* ---- a string that was met before ---- */

static __always_inline int hp_memo(struct h2_work *x)
{
	__u32 have = h2_have(x), done = 0;

	if (!x->memo_left) {
		siphash_final(&x->sip, x->memo.hash);
		x->memo.len = x->b.left;
		x->memo.carrier = x->b.carrier;
		x->memo.field = x->b.field;
		x->b.state = HP_MEMO_GOT;
		return H2_GET_MEMO;
	}
	if (!have)
		return H2_FILL;
	if (have > x->memo_left)
		have = x->memo_left;
	/* No loop: kernels before 6.3 refuse the shape that clang gives to this one. */
	if (have >= 64) {
		siphash_put8(&x->sip, h2_word(x, 0));
		siphash_put8(&x->sip, h2_word(x, 8));
		siphash_put8(&x->sip, h2_word(x, 16));
		siphash_put8(&x->sip, h2_word(x, 24));
		siphash_put8(&x->sip, h2_word(x, 32));
		siphash_put8(&x->sip, h2_word(x, 40));
		siphash_put8(&x->sip, h2_word(x, 48));
		siphash_put8(&x->sip, h2_word(x, 56));
		done = 64;
	} else if (have >= 16) {
		siphash_put8(&x->sip, h2_word(x, 0));
		siphash_put8(&x->sip, h2_word(x, 8));
		done = 16;
	} else if (have >= 8) {
		siphash_put8(&x->sip, h2_word(x, 0));
		done = 8;
	} else {
		siphash_put_some(&x->sip, h2_word(x, 0) & ((1ULL << (8 * have & 63)) - 1), have);
		done = have;
	}
	x->pos += done;
	x->memo_left -= done;
	return H2_NEXT;
}

static __always_inline int hp_memo_got(struct h1_work *w, struct h2_work *x)
{
	struct h2_block *b = &x->b;

	if (x->found) {
		x->f.left -= b->left;
		b->left = 0;
		b->len = x->entry.size;
		w->h.made = x->entry.cred;
		w->reason = 0;
		w->h.items = w->h.made.length != 0;
		if (w->h.items && hp_cred_add(w, b) == H1_NOTE) {
			b->state = HP_FIELD;
			return h2_note(x, w->reason);
		}
		return h2_to(x, HP_FIELD);
	}
	x->remember = 1;
	x->pos = x->memo_at;
	if (x->pos < x->base) {		/* the window has moved on: load it again */
		x->base = x->pos;
		x->fill = 0;
	}
	return h2_to(x, HP_BYTES);
}

/* ---- chunks ---- */

static __always_inline int hp_chunk(struct h1_work *w, struct h2_work *x)
{
	struct h2_block *b = &x->b;

	HPACK_SEEN(w, x);
	b->len += w->fill;
	x->at = 0;
	if (b->len > HPACK_STRING_MAX)
		return hp_broken(x);
	if (hp_for_eating(x))
		return h2_to(x, HP_EAT);
	if (hp_for_inner(x) && !(b->flags & H2_B_BAD_VALUE))
		return h2_to(x, HP_SCAN);
	w->fill = 0;
	return h2_to(x, b->last ? HP_STR_END : HP_BYTES);
}

#define HP_WORD_APPLICAT 0x746163696c707061ULL	/* "application/grpc", first byte lowest */
#define HP_WORD_ION_GRPC 0x637072672f6e6f69ULL

static __always_inline void hp_eat_value(struct h1_work *w, struct h2_work *x, __u8 c)
{
	struct h2_block *b = &x->b;
	struct h1_head *h = &w->h;
	__u64 i = h->method_len;
	__u32 n = b->number;

	if (b->field == TT_CONTROL_METHOD) {
		if (i >= TT_METHOD_LEN)
			return;
		if (!((c >= 'A' && c <= 'Z') || c == '-' || c == '_'))
			b->flags |= H2_B_BAD_VALUE | H2_B_BAD;
		H1_MASK(i, TT_METHOD_LEN - 1);
		h->method[i] = c;
		h->method_len++;
	} else if (b->field == TT_CONTROL_TYPE) {
		if (n < 16 && (c | 0x20) == (__u8)((n < 8 ? HP_WORD_APPLICAT : HP_WORD_ION_GRPC) >> (8 * (n & 7))))
			b->number++;
		else if (n < 16)
			b->number = 255;	/* something else */
	} else if (!h1_digit(c) || n > 999) {
		b->flags |= H2_B_BAD_VALUE;
	} else {
		b->number = n * 10 + (c - '0');
	}
}

static __always_inline int hp_eat(struct h1_work *w, struct h2_work *x)
{
	__u32 left = w->fill - x->at;
	__u64 at = x->at, word;

	if (!left || (x->b.value_part && x->b.field == TT_CONTROL_TYPE && x->b.number > 16)) {
		w->fill = 0;
		return h2_to(x, x->b.last ? HP_STR_END : HP_BYTES);
	}
	H1_MASK(at, H1_WINDOW - 1);
	if (x->b.value_part) {
		hp_eat_value(w, x, w->buf[at]);
		x->at++;
		return H2_NEXT;
	}
	word = load_word(w->buf + at);
	for (int i = 0; i < HP_EAT_BYTES && left; i++, left--, x->at++, word >>= 8) {
		if (w->h.name_len < 255)
			h1_name_put(&w->h, word);
	}
	return H2_NEXT;
}

/* Marks bytes below the limit (at most 128) other than TAB. */
static __always_inline __u64 hp_below(__u64 word, __u64 limit)
{
	__u64 low7 = 0x7f7f7f7f7f7f7f7fULL, tab = word ^ 0x0909090909090909ULL;
	__u64 not_below = ((word & low7) + (0x80 - limit) * 0x0101010101010101ULL) | word;
	__u64 not_tab = ((tab & low7) + low7) | tab;

	return ~not_below & not_tab & ~low7;
}

/* A line end in a value would end it for the HTTP/1 reader; no value may have one (RFC 9113, 8.2.1). */
static __always_inline int hp_scan(struct h1_work *w, struct h2_work *x)
{
	__u64 at = x->at, word, limit = x->b.field == TT_CONTROL_PATH ? 0x21 : 0x20, bad = 0;
	__u32 left = w->fill - x->at, done = 0;

	if (!x->at && left && x->b.field == TT_CONTROL_PATH && w->d.state == H1_S_TARGET)
		bad = w->buf[0] != '/' && w->buf[0] != '*';
	H1_MASK(at, H1_WINDOW - 1);
	for (int i = 0; i < H1_WORDS && left; i++) {
		word = load_word(w->buf + at);
		if (left < 8)
			word |= ~0ULL << (8 * left);
		bad |= hp_below(word, limit);
		left = left < 8 ? 0 : left - 8;
		done += 8;
		at += 8;
		H1_MASK(at, H1_WINDOW - 1);
	}
	x->at += done;
	if (bad) {
		x->b.flags |= H2_B_BAD | H2_B_BAD_VALUE;
		w->fill = 0;
		return h2_to(x, x->b.last ? HP_STR_END : HP_BYTES);
	}
	if (left)
		return H2_NEXT;
	if (x->b.last) {	/* what the HTTP/1 reader knows an end by */
		at = w->fill;
		H1_MASK(at, H1_WINDOW - 1);
		w->buf[at] = x->b.field == TT_CONTROL_PATH ? ' ' : '\n';
		w->buf[at + 1] = 'x';
		w->fill += x->b.field == TT_CONTROL_PATH ? 1 : 2;
	}
	w->base = 0;
	w->pos = 0;
	w->total = w->fill;
	return h2_to(x, HP_INNER);
}

/* ---- the HTTP/1 reader on the buffer ---- */

static __always_inline int h2_inner_over(const struct h1_work *w, const struct h2_work *x)
{
	if (x->b.field == TT_CONTROL_PATH)
		return w->d.state == H1_S_VERSION || w->d.state >= H1_S_OPAQUE;
	return w->d.state == H1_S_LINE && w->h.value_state == H1_S_SKIP;
}

/* The buffer is used up, or the value is over. failed: H1_BAD. */
static __always_inline void h2_inner_done(struct h1_work *w, struct h2_work *x, int failed)
{
	if (failed)
		x->b.flags |= H2_B_BAD | H2_B_BAD_VALUE;
	w->fill = 0;
	x->b.state = x->b.last ? HP_STR_END : HP_BYTES;
}

#endif
