/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reads HTTP/1.x messages (RFC 9112) of one direction of a connection, byte by byte, over any
 * number of calls, and turns the credentials in request heads into fingerprints on the way.
 *
 * Plain C for two worlds: clang compiles it for the kernel, the tests, the fuzzer and the tools
 * compile it for user space. It calls nobody and knows no table. It trusts no byte it reads.
 *
 *   h1_step() takes one step and says what it needs:
 *
 *     H1_NEXT    nothing; call again
 *     H1_FILL    the window is used up: load the next bytes at w->pos (or stop: no more input)
 *     H1_ASK     a name or a prefix has to be looked up: put the answer into w->answer
 *     H1_NOTE    something was not reported, the reason is in w->reason; call again
 *     H1_HEAD    a head is complete: take it, then call h1_body()
 *     H1_BAD     not HTTP/1, or a head that can't be followed; the reason is in w->reason.
 *                The direction is H1_S_LOST until h1_resume()
 *
 * Why a state machine with all state in memory: as a step of a BPF program (a global function with
 * a scalar argument) it is verified once, whatever the input's length, on kernels from 5.10 on.
 * The long stretches (lines of no interest, token bodies) take eight bytes a step.
 *
 *   struct h1_work = window of the input + struct http1 (kept per direction) + struct h1_head
 *   (exists from the first to the last byte of a head; parked between calls if a head is split)
 */
#ifndef TT_READERS_HTTP1_H
#define TT_READERS_HTTP1_H

#include <linux/types.h>
#include <tokentrail/abi.h>
#include "base64.h"
#include "fields.h"
#include "siphash.h"

#define H1_WINDOW 1024		/* power of two: an index is masked to it */
#define H1_PATH_BUF 256		/* >= TT_PATH_LEN, power of two */
#define H1_HOST_BUF 128		/* >= TT_HOST_LEN, power of two */
#define H1_CARRY_BUF 32		/* >= TT_PREFIX_LEN, power of two */
#define H1_WORDS 8		/* words that a step takes of a long stretch */
#define H1_SCHEME_MAX 24	/* longest word that can be an authorization scheme */
#define H1_HEAD_MAX (256 * 1024)	/* bytes of one head; servers allow 8 to 64 KiB */
#define H1_RUN_MAX 20		/* so many token characters in a row are taken for a secret */
#define H1_HEX_MAX 16

enum h1_result { H1_NEXT, H1_FILL, H1_ASK, H1_NOTE, H1_HEAD, H1_BAD };

enum h1_kind { H1_UNKNOWN, H1_REQUESTS, H1_RESPONSES };

enum h1_state {
	H1_S_START,		/* before a message; empty lines are skipped (RFC 9112, 2.2) */
	H1_S_METHOD,
	H1_S_TARGET,
	H1_S_TARGET_END,	/* after "*" */
	H1_S_ABSOLUTE,		/* "http://" */
	H1_S_AUTHORITY,
	H1_S_PATH,
	H1_S_SEGMENT_ASKED,
	H1_S_QNAME,
	H1_S_QNAME_ASKED,
	H1_S_QSKIP,
	H1_S_QVALUE,
	H1_S_QVALUE_ASKED,
	H1_S_VERSION,
	H1_S_LINE_END,		/* rest of a start line: CR LF */
	H1_S_RVERSION,
	H1_S_RSTATUS,
	H1_S_LINE,		/* first byte of a header line, of a continuation, or of the empty line */
	H1_S_NAME,
	H1_S_NAME_ASKED,
	H1_S_SKIP,		/* a value of no interest */
	H1_S_HOST,
	H1_S_LENGTH,
	H1_S_CODING,
	H1_S_CRED,
	H1_S_SCHEME_ASKED,
	H1_S_USER_ASKED,
	H1_S_WORD_ASKED,
	H1_S_CRED_ASKED,
	H1_S_HEAD_END,		/* LF of the empty line seen; h1_body() goes on from here */
	H1_S_BODY,
	H1_S_UNTIL_CLOSE,
	H1_S_CHUNK_SIZE,
	H1_S_CHUNK_EXT,
	H1_S_CHUNK_DATA,
	H1_S_CHUNK_END,
	H1_S_TRAILER,
	H1_S_TRAILER_LINE,
	H1_S_OPAQUE,		/* tunnel or upgraded protocol: never HTTP/1 again */
	H1_S_LOST,		/* out of step; looks for a head at the start of each call */
};

/* What stays with a direction of a connection between two calls. */
struct http1 {
	__u64 left;		/* bytes of body or chunk still to come */
	__u8 state;		/* enum h1_state */
	__u8 kind;		/* enum h1_kind */
	__u8 digits;		/* of a chunk size */
	__u8 split;		/* a head is parked */
	__u8 pad_[4];
};

/* What is known of a head while it is read. */
struct h1_head {
	__u64 user[2];		/* Basic: fingerprint of the part before the colon */
	__u64 method_word;	/* first eight bytes of the method */
	__u64 length;		/* Content-Length */
	__u32 name_len;
	__u32 user_len;
	__u32 head_len;		/* bytes of this head in earlier calls */
	__u32 segment_len;	/* of the path segment being read */
	__u16 status;
	__u16 user_class;
	__u16 carrier;		/* of the credential being read */
	__u8 value_state;	/* state that goes on when a header line is continued */
	__u8 creds;
	__u8 flags;		/* H1_F_* */
	__u8 value;		/* H1_V_* of the credential being read */
	__u8 scheme;
	__u8 words;		/* 0 = in the first word, 1 = behind the scheme, 2 = further */
	__u8 blanks;		/* blanks held back: they count only if something follows */
	__u8 idx;		/* position in a literal; slashes of "://"; hex digits of an escape */
	__u8 nbits;
	__u8 escape;
	__u8 version;
	__u8 method_len, path_len, host_len;
	__u8 segment_start;
	__u8 segment_run, segment_hex;
	__u8 segment;		/* H1_P_* */
	__u8 use_flags;		/* TT_USE_* */
	__u8 cred_flags;	/* TT_CRED_* */
	__u8 pad_[1];
	struct tt_cred cred[TT_CREDS_MAX];
	/* From here on lie bytes of the message, or what they can be computed back from (a name's
	 * hash can be inverted): masked while the head is parked. */
	__u8 carry[H1_CARRY_BUF];	/* first bytes of the credential or path segment, for its class */
	struct siphash sip;	/* of the credential being read */
	__u64 name_hash, name_word;	/* of the name or word being read */
	__u64 scheme_hash;
	__u32 base64_bits;
	__u32 pad2_;
	__u8 method[TT_METHOD_LEN];
	__u8 host[H1_HOST_BUF];
	__u8 path[H1_PATH_BUF];
};

/* h1_head.flags: framing of the message */
#define H1_F_CHUNKED 1
#define H1_F_LENGTH 2
#define H1_F_CODING 4		/* Transfer-Encoding without a final "chunked" */
#define H1_F_CONNECT 8
#define H1_F_METHOD_HEAD 16
#define H1_F_STARTED 32		/* the start line had the shape of HTTP: a fault from here on is counted */

/* h1_head.value */
#define H1_V_QUOTED 1
#define H1_V_QUOTE_HELD 2	/* a closing quote, unless something follows */
#define H1_V_BASIC 4
#define H1_V_COLON 8		/* Basic: the user part is over */
#define H1_V_PADDED 16		/* base64: '=' seen */
#define H1_V_BAD 32
#define H1_V_SCHEME 64		/* the value may begin with a scheme */
#define H1_V_LEAD 128		/* before the first byte of the value */

/* h1_head.segment */
#define H1_P_SECRET 1
#define H1_P_OTHER 2		/* something that is not a digit */

struct h1_answer {
	__u16 id;		/* 0 = not known */
	__u8 unwrap;		/* enum tt_unwrap or enum tt_control */
	__u8 pad_[5];
};

enum h1_ask { H1_ASK_HEADER = 1, H1_ASK_PARAM, H1_ASK_SCHEME, H1_ASK_CLASS };

struct h1_work {
	__u8 buf[H1_WINDOW + 8];	/* the window; 8 more so that a word may be loaded anywhere */
	__u64 key[2];		/* SipHash key */
	__u32 base;		/* where the window begins in the input */
	__u32 fill;		/* bytes in the window */
	__u32 pos;		/* next byte of the input; may lie beyond the window when a body is skipped */
	__u32 total;		/* bytes of the input */
	__u32 ask;		/* enum h1_ask, with H1_ASK; name in head.name_hash and .name_len, prefix in head.carry, its length in ask_len */
	__u32 ask_len;
	__u32 reason;		/* enum tt_drop, with H1_NOTE and H1_BAD */
	__u32 head_at;		/* where in the input the head began; 0 = in an earlier one */
	struct h1_answer answer;
	struct http1 d;
	struct h1_head h;
};

/* Index masks that the compiler can't prove away and older verifiers can't do without. */
#ifdef __bpf__
#define H1_MASK(i, m) asm volatile("%0 &= %1" : "+r"(i) : "i"(m))
#else
#define H1_MASK(i, m) ((i) &= (m))
#endif

static __always_inline int h1_digit(__u8 c)
{
	return c >= '0' && c <= '9';
}

static __always_inline int h1_hex(__u8 c)
{
	if (h1_digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A zero byte's high bit, and false ones only above the first: good for finding the first. */
static __always_inline __u64 h1_zero_bytes(__u64 w)
{
	return (w - 0x0101010101010101ULL) & ~w & 0x8080808080808080ULL;
}

/* How many bytes lie below the lowest mark of h1_zero_bytes(). */
static __always_inline __u32 h1_first_mark(__u64 marks)
{
	__u64 below = ((marks & -marks) - 1) & 0x0101010101010101ULL;

	return (below * 0x0101010101010101ULL >> 56) - 1;
}

static __always_inline int h1_bad(struct h1_work *w, __u32 reason)
{
	w->reason = reason;
	w->d.state = H1_S_LOST;
	return H1_BAD;
}

static __always_inline int h1_note(struct h1_work *w, __u32 reason)
{
	w->reason = reason;
	return H1_NOTE;
}

static __always_inline int h1_ask(struct h1_work *w, __u32 what, __u8 then)
{
	w->ask = what;
	w->d.state = then;
	return H1_ASK;
}

static __always_inline void h1_name_start(struct h1_head *h)
{
	h->name_hash = TT_NAME_SEED;
	h->name_word = 0;
	h->name_len = 0;
}

static __always_inline void h1_name_put(struct h1_head *h, __u8 c)
{
	__u32 at = h->name_len & 7;
	__u64 word = h->name_word | (__u64)(c | 0x20) << (8 * at);

	h->name_len++;
	if (at == 7) {
		h->name_hash = tt_name_mix(h->name_hash, word);
		word = 0;
	}
	h->name_word = word;
}

static __always_inline void h1_name_end(struct h1_head *h)
{
	if (h->name_len & 7)
		h->name_hash = tt_name_mix(h->name_hash, h->name_word);
}

/* ---- start line ---- */

static __always_inline void h1_head_init(struct h1_head *h)
{
	/* Byte buffers are not cleared: only their first *_len bytes are ever used. */
	h->name_len = 0;
	h->method_word = 0;
	h->length = 0;
	h->head_len = 0;
	h->status = 0;
	h->creds = 0;
	h->flags = 0;
	h->use_flags = 0;
	h->version = 0;
	h->method_len = 0;
	h->path_len = 0;
	h->host_len = 0;
	h->value_state = H1_S_SKIP;
	h->idx = 0;
}

static __always_inline int h1_start(struct h1_work *w, __u8 c)
{
	if (c == '\r' || c == '\n') {
		w->pos++;
		return H1_NEXT;
	}
	h1_head_init(&w->h);
	w->head_at = w->pos;
	w->d.state = H1_S_METHOD;
	return H1_NEXT;
}

#define H1_WORD_HTTP 0x50545448ULL		/* "HTTP", first byte lowest */
#define H1_WORD_HEAD 0x44414548ULL		/* "HEAD" */
#define H1_WORD_CONNECT 0x5443454e4e4f43ULL	/* "CONNECT" */

/* The first word is not what this direction's messages begin with. */
static __always_inline int h1_bad_start(struct h1_work *w)
{
	return h1_bad(w, w->d.kind == H1_RESPONSES ? TT_DROP_bad_status_line :
						     TT_DROP_bad_request_line);
}

static __always_inline int h1_method_end(struct h1_work *w)
{
	struct h1_head *h = &w->h;

	if (!h->method_len || w->d.kind == H1_RESPONSES)
		return h1_bad_start(w);
	if (h->method_word == H1_WORD_HEAD && h->method_len == 4)
		h->flags |= H1_F_METHOD_HEAD;
	if (h->method_word == H1_WORD_CONNECT && h->method_len == 7)
		h->flags |= H1_F_CONNECT;
	w->d.state = h->flags & H1_F_CONNECT ? H1_S_AUTHORITY : H1_S_TARGET;
	return H1_NEXT;
}

static __always_inline int h1_method(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;
	__u64 i = h->method_len;

	w->pos++;
	if (c == ' ')
		return h1_method_end(w);
	if (c == '/' && h->method_word == H1_WORD_HTTP && i == 4) {
		if (w->d.kind == H1_REQUESTS)
			return h1_bad(w, TT_DROP_bad_request_line);
		h->idx = 5;
		w->d.state = H1_S_RVERSION;
		return H1_NEXT;
	}
	/* Methods in use are upper case (RFC 9110, 9.1); anything else is another protocol. */
	if (i >= TT_METHOD_LEN || !((c >= 'A' && c <= 'Z') || c == '-' || c == '_'))
		return h1_bad_start(w);
	if (i < 8)
		h->method_word |= (__u64)c << (8 * i);
	H1_MASK(i, TT_METHOD_LEN - 1);
	h->method[i] = c;
	h->method_len++;
	return H1_NEXT;
}

static __always_inline void h1_segment_start(struct h1_head *h)
{
	h->segment_start = h->path_len;
	h->segment_len = 0;
	h->segment_run = 0;
	h->segment_hex = 0;
	h->segment = 0;
	h->idx = 0;
}

static __always_inline void h1_path_put(struct h1_head *h, __u8 c)
{
	__u64 i = h->path_len;

	if (i >= TT_PATH_LEN) {
		h->use_flags |= TT_USE_PATH_CUT;
		return;
	}
	H1_MASK(i, H1_PATH_BUF - 1);
	h->path[i] = c;
	h->path_len++;
}

static __always_inline int h1_target(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;

	if (c == '/') {
		h->flags |= H1_F_STARTED;
		h->segment_len = 0;
		h1_segment_start(h);
		w->d.state = H1_S_PATH;
		return H1_NEXT;
	}
	w->pos++;
	if (c == '*') {
		w->d.state = H1_S_TARGET_END;
		return H1_NEXT;
	}
	if ((c | 0x20) != 'h')	/* http:// or https://, the only absolute forms in use */
		return h1_bad(w, TT_DROP_bad_request_line);
	h->idx = 0;
	w->d.state = H1_S_ABSOLUTE;
	return H1_NEXT;
}

static __always_inline int h1_target_end(struct h1_work *w, __u8 c)
{
	w->pos++;
	if (c != ' ')
		return h1_bad(w, TT_DROP_bad_request_line);
	w->h.idx = 0;
	w->d.state = H1_S_VERSION;
	return H1_NEXT;
}

static __always_inline int h1_absolute(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;
	__u8 lower = c | 0x20;

	/* idx: 0 in the scheme, 1 behind its colon, 2 behind a slash. Anything looser could take a
	 * segment of a path without its first slash for the host. */
	w->pos++;
	if (h->idx == 0 && lower >= 'a' && lower <= 'z')
		return H1_NEXT;
	if (c != (h->idx ? '/' : ':'))
		return h1_bad(w, TT_DROP_bad_request_line);
	if (++h->idx == 3) {
		h->flags |= H1_F_STARTED;
		w->d.state = H1_S_AUTHORITY;
	}
	return H1_NEXT;
}

static __always_inline void h1_host_put(struct h1_head *h, __u8 c)
{
	__u64 i = h->host_len;

	if (c == '@') {	/* userinfo may be a secret; it never leaves */
		h->host_len = 0;
		h->use_flags &= ~TT_USE_HOST_CUT;
		return;
	}
	if (i >= TT_HOST_LEN) {
		h->use_flags |= TT_USE_HOST_CUT;
		return;
	}
	H1_MASK(i, H1_HOST_BUF - 1);
	h->host[i] = c;
	h->host_len++;
}

static __always_inline int h1_authority(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;

	if (c == '/' || c == '?' || c == '#') {
		if (h->flags & H1_F_CONNECT)
			return h1_bad(w, TT_DROP_bad_request_line);
		h1_segment_start(h);
		w->d.state = H1_S_PATH;
		return H1_NEXT;
	}
	w->pos++;
	if (c == ' ') {
		if (!h->host_len)
			return h1_bad(w, TT_DROP_bad_request_line);
		h->idx = 0;
		w->d.state = H1_S_VERSION;
		return H1_NEXT;
	}
	if (c < ' ' || c >= 127)
		return h1_bad(w, TT_DROP_bad_request_line);
	h1_host_put(h, c);
	return H1_NEXT;
}

/* The segment's last byte was read: is it one that has to be hidden? */
static __always_inline int h1_segment_end(struct h1_work *w)
{
	struct h1_head *h = &w->h;

	if (h->segment_len && !(h->segment & H1_P_OTHER))
		h->segment |= H1_P_SECRET;	/* a number */
	w->answer.id = 0;
	w->d.state = H1_S_SEGMENT_ASKED;
	/* The shortest class is longer than 8; asking costs a trie lookup. */
	if ((h->segment & H1_P_SECRET) || h->segment_len < 8)
		return H1_NEXT;
	w->ask_len = h->segment_len;
	return h1_ask(w, H1_ASK_CLASS, H1_S_SEGMENT_ASKED);
}

static __always_inline int h1_segment_asked(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;

	if (w->answer.id || (h->segment & H1_P_SECRET)) {
		h->path_len = h->segment_start;
		if (h->path_len < TT_PATH_LEN)	/* it was this segment that did not fit */
			h->use_flags &= ~TT_USE_PATH_CUT;
		h1_path_put(h, '{');
		h1_path_put(h, '.');
		h1_path_put(h, '.');
		h1_path_put(h, '.');
		h1_path_put(h, '}');
	}
	w->pos++;
	if (c == '/') {
		h1_path_put(h, c);
		h1_segment_start(h);
		w->d.state = H1_S_PATH;
	} else if (c == ' ') {
		h->idx = 0;
		w->d.state = H1_S_VERSION;
	} else {	/* '?' or '#': what follows is dropped, but for credentials in the query */
		h1_name_start(h);
		w->d.state = H1_S_QNAME;
	}
	return H1_NEXT;
}

/* Characters that secrets in paths are made of. */
static __always_inline int h1_token_char(__u8 c)
{
	__u8 lower = c | 0x20;

	return h1_digit(c) || (lower >= 'a' && lower <= 'z') || c == '-' || c == '_' || c == '.' ||
	       c == '~' || c == '%' || c == '=' || c == '+';
}

static __always_inline int h1_path(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;
	__u64 i = h->segment_len;

	if (c == '/' || c == '?' || c == ' ' || c == '#')
		return h1_segment_end(w);
	if (c < ' ' || c == 127)
		return h1_bad(w, TT_DROP_bad_request_line);
	w->pos++;
	if (i < TT_PREFIX_LEN) {
		H1_MASK(i, H1_CARRY_BUF - 1);
		h->carry[i] = c;
	}
	if (h->segment_len < H1_HEAD_MAX)
		h->segment_len++;
	if (!h1_digit(c))
		h->segment |= H1_P_OTHER;
	if (!h1_token_char(c))
		h->segment_run = 0;
	else if (++h->segment_run >= H1_RUN_MAX)
		h->segment |= H1_P_SECRET;
	if (h1_hex(c) < 0)
		h->segment_hex = 0;
	else if (++h->segment_hex >= H1_HEX_MAX)
		h->segment |= H1_P_SECRET;
	if (c == '@' && h->segment_len > 1)	/* an address of somebody; "@scope" is none */
		h->segment |= H1_P_SECRET;
	if (c == '0' && h->idx == 2 && h->segment_len > 3)	/* "%40" is '@' too */
		h->segment |= H1_P_SECRET;
	h->idx = c == '%' ? 1 : c == '4' && h->idx == 1 ? 2 : 0;
	if (h->segment & H1_P_SECRET) {		/* also stops the counters from wrapping */
		h->segment_run = 0;
		h->segment_hex = 0;
	} else {
		h1_path_put(h, c);
	}
	return H1_NEXT;
}

/* ---- credentials ---- */

static __always_inline void h1_cred_start(struct h1_work *w, __u8 value)
{
	struct h1_head *h = &w->h;

	siphash_init(&h->sip, w->key[0], w->key[1]);
	h->value = value;
	h->scheme = 0;
	h->scheme_hash = 0;
	h->words = 0;
	h->blanks = 0;
	h->escape = 0;
	h->nbits = 0;
	h->base64_bits = 0;
	h->user_len = 0;
	h->cred_flags = 0;
	h1_name_start(h);
}

/* One byte of the credential proper. */
static __always_inline void h1_cred_put(struct h1_head *h, __u8 c)
{
	__u64 i = h->sip.len;

	if (i < TT_PREFIX_LEN) {
		H1_MASK(i, H1_CARRY_BUF - 1);
		h->carry[i] = c;
	}
	siphash_put(&h->sip, c);
}

/* Its end: what class is it? The answer is awaited in H1_S_*CRED_ASKED. */
static __always_inline int h1_cred_end(struct h1_work *w, __u8 then)
{
	struct h1_head *h = &w->h;

	w->ask_len = h->sip.len;
	if ((h->value & H1_V_COLON) && !h->sip.len && h->user_len) {
		w->answer.id = h->user_class;	/* "key:" with nothing behind: the key is the user */
		w->d.state = then;
		return H1_NEXT;
	}
	return h1_ask(w, H1_ASK_CLASS, then);
}

static __always_inline void h1_cred_store(struct h1_work *w, const __u64 id[2], __u32 len)
{
	struct h1_head *h = &w->h;
	__u64 i = h->creds;
	struct tt_cred *c;

	H1_MASK(i, TT_CREDS_MAX - 1);
	c = &h->cred[i];
	c->token[0] = id[0];
	c->token[1] = id[1];
	c->length = len;
	c->class_id = w->answer.id;
	c->carrier = h->carrier;
	c->scheme = h->scheme;
	c->flags = h->cred_flags;
	h->creds++;
}

/* Enters the finished credential. */
static __always_inline int h1_cred_done(struct h1_work *w)
{
	struct h1_head *h = &w->h;
	__u64 id[2];
	__u32 len = h->sip.len;

	if (h->value & H1_V_BAD)
		return h1_note(w, h->value & H1_V_BASIC ? TT_DROP_bad_base64 : TT_DROP_bad_percent);
	/* Six bits left over: one character too many, or the value was cut. */
	if ((h->value & H1_V_BASIC) && (!(h->value & H1_V_COLON) || h->nbits == 6))
		return h1_note(w, TT_DROP_bad_base64);
	siphash_final(&h->sip, id);
	if (!len && h->user_len) {
		id[0] = h->user[0];
		id[1] = h->user[1];
		len = h->user_len;
	}
	if (!len)
		return h1_note(w, TT_DROP_empty_cred);
	if (h->creds >= TT_CREDS_MAX) {
		h->use_flags |= TT_USE_MORE_CREDS;
		return h1_note(w, TT_DROP_more_creds);
	}
	h1_cred_store(w, id, len);
	return H1_NEXT;
}

/* ---- query ---- */

static __always_inline int h1_query_end(struct h1_work *w, __u8 c)
{
	w->pos++;
	if (c == ' ') {
		w->h.idx = 0;
		w->d.state = H1_S_VERSION;
	} else {
		h1_name_start(&w->h);
		w->d.state = H1_S_QNAME;
	}
	return H1_NEXT;
}

static __always_inline int h1_query_bad(__u8 c)
{
	return c < ' ' || c == 127;
}

static __always_inline int h1_qname(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;

	if (h1_query_bad(c))
		return h1_bad(w, TT_DROP_bad_request_line);
	if (c == '&' || c == ';' || c == ' ')
		return h1_query_end(w, c);
	if (c != '=') {
		w->pos++;
		if (h->name_len < 255)
			h1_name_put(h, c);
		return H1_NEXT;
	}
	h1_name_end(h);
	return h1_ask(w, H1_ASK_PARAM, H1_S_QNAME_ASKED);	/* '=' is left, as in h1_name() */
}

static __always_inline int h1_qname_asked(struct h1_work *w)
{
	w->pos++;
	w->d.state = H1_S_QSKIP;
	if (w->answer.id) {
		h1_cred_start(w, 0);
		w->h.carrier = w->answer.id;
		w->d.state = H1_S_QVALUE;
	}
	return H1_NEXT;
}

static __always_inline int h1_qskip(struct h1_work *w, __u8 c)
{
	if (h1_query_bad(c))
		return h1_bad(w, TT_DROP_bad_request_line);
	if (c == '&' || c == ';' || c == ' ')
		return h1_query_end(w, c);
	w->pos++;
	return H1_NEXT;
}

static __always_inline int h1_qvalue(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;
	int digit;

	if (h1_query_bad(c))
		return h1_bad(w, TT_DROP_bad_request_line);
	if (c == '&' || c == ';' || c == ' ' || c == '#') {
		if (h->escape)
			h->value |= H1_V_BAD;
		return h1_cred_end(w, H1_S_QVALUE_ASKED);
	}
	w->pos++;
	if (h->escape) {
		digit = h1_hex(c);
		if (digit < 0)
			h->value |= H1_V_BAD;
		h->base64_bits = h->base64_bits << 4 | (digit & 15);
		if (--h->escape == 0)
			h1_cred_put(h, h->base64_bits);
	} else if (c == '%') {
		h->escape = 2;
	} else {
		h1_cred_put(h, c);
	}
	return H1_NEXT;
}

static __always_inline int h1_qvalue_asked(struct h1_work *w, __u8 c)
{
	int r = h1_cred_done(w);

	h1_query_end(w, c);
	return r;
}

/* ---- version, status ---- */

static __always_inline __u8 h1_version_char(__u32 i)
{
	return 0x2e312f50545448ULL >> (8 * (i & 7));	/* "HTTP/1." */
}

static __always_inline int h1_line_end(struct h1_work *w, __u8 c)
{
	w->pos++;
	if (c == '\n') {
		w->h.value_state = H1_S_SKIP;
		w->d.state = H1_S_LINE;
		return H1_NEXT;
	}
	return c == '\r' || c == ' ' ? H1_NEXT : h1_bad(w, TT_DROP_bad_request_line);
}

static __always_inline int h1_version(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;

	w->pos++;
	if (h->idx < 7)
		return c == h1_version_char(h->idx++) ? H1_NEXT : h1_bad(w, TT_DROP_bad_request_line);
	if (!h1_digit(c))
		return h1_bad(w, TT_DROP_bad_request_line);
	h->version = 10 + (c - '0');
	h->flags |= H1_F_STARTED;
	w->d.kind = H1_REQUESTS;
	w->d.state = H1_S_LINE_END;
	return H1_NEXT;
}

static __always_inline int h1_rversion(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;
	__u32 i = h->idx++;

	w->pos++;
	if (i < 7)
		return c == h1_version_char(i) ? H1_NEXT : h1_bad(w, TT_DROP_bad_status_line);
	if (i == 7 && h1_digit(c)) {
		h->version = 10 + (c - '0');
		return H1_NEXT;
	}
	if (i != 8 || c != ' ')
		return h1_bad(w, TT_DROP_bad_status_line);
	h->idx = 0;
	h->flags |= H1_F_STARTED;
	w->d.state = H1_S_RSTATUS;
	return H1_NEXT;
}

static __always_inline int h1_rstatus(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;

	w->pos++;
	if (!h1_digit(c))
		return h1_bad(w, TT_DROP_bad_status_line);
	h->status = h->status * 10 + (c - '0');
	if (++h->idx < 3)
		return H1_NEXT;
	if (h->status < 100)
		return h1_bad(w, TT_DROP_bad_status_line);
	w->d.kind = H1_RESPONSES;
	h->value_state = H1_S_SKIP;
	w->d.state = H1_S_SKIP;	/* the reason phrase */
	return H1_NEXT;
}

/* ---- header lines ---- */

/* A field is over once the next line does not begin with a blank (obs-fold, RFC 9112, 5.2). */
static __always_inline int h1_field_end(struct h1_work *w)
{
	struct h1_head *h = &w->h;
	__u8 state = h->value_state;

	h->value_state = H1_S_SKIP;
	if (state == H1_S_LENGTH && (h->blanks == 1 || !h->name_len))
		return h1_bad(w, TT_DROP_bad_length);
	if (state == H1_S_CODING) {
		/* "chunked", lower case, first byte lowest */
		if (h->name_len == 7 && h->name_word == 0x64656b6e756863ULL)
			h->flags = (h->flags | H1_F_CHUNKED) & ~H1_F_CODING;
		else
			h->flags = (h->flags | H1_F_CODING) & ~H1_F_CHUNKED;
	}
	if (state != H1_S_CRED)
		return H1_NEXT;
	if ((h->value & H1_V_SCHEME) && !h->words && h->name_len <= H1_SCHEME_MAX &&
	    !(h->value & H1_V_QUOTED)) {
		h1_name_end(h);	/* one word: a credential, or a scheme with nothing behind? */
		return h1_ask(w, H1_ASK_SCHEME, H1_S_WORD_ASKED);
	}
	return h1_cred_end(w, H1_S_CRED_ASKED);
}

static __always_inline int h1_line(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;

	if (c == ' ' || c == '\t') {
		w->d.state = h->value_state;
		return H1_NEXT;	/* the blank is the value's own */
	}
	if (h->value_state != H1_S_SKIP)
		return h1_field_end(w);
	if (c == '\r') {
		w->pos++;
		return H1_NEXT;
	}
	if (c == '\n') {
		w->pos++;
		w->d.state = H1_S_HEAD_END;
		return H1_HEAD;
	}
	h1_name_start(h);
	w->d.state = H1_S_NAME;
	return H1_NEXT;
}

/* Eight bytes of a name at once, if none of them ends it. */
static __always_inline int h1_name_word(struct h1_work *w, __u64 word)
{
	struct h1_head *h = &w->h;
	__u64 colon = h1_zero_bytes(word ^ 0x3a3a3a3a3a3a3a3aULL);
	/* Blanks, controls and bytes above 127 are left to the slow way, which tells the reason. */
	__u64 odd = ((word - 0x2121212121212121ULL) | word) & 0x8080808080808080ULL;

	if (colon || odd)
		return 0;
	h->name_hash = tt_name_mix(h->name_hash, word | TT_NAME_LOWER);
	h->name_len += 8;
	w->pos += 8;
	return 1;
}

static __always_inline int h1_name(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;

	/* Not all of these are tchar (RFC 9110, 5.6.2), but the fast way doesn't tell them apart. */
	if (c <= ' ' || c >= 128)
		return h1_bad(w, TT_DROP_bad_header);
	if (c != ':') {
		w->pos++;
		if (h->name_len < 255)
			h1_name_put(h, c);
		return H1_NEXT;
	}
	if (!h->name_len)
		return h1_bad(w, TT_DROP_bad_header);
	h1_name_end(h);
	/* The colon is left for the next step: an answer must not have to outlive a call. */
	return h1_ask(w, H1_ASK_HEADER, H1_S_NAME_ASKED);
}

static __always_inline void h1_value_start(struct h1_work *w, __u8 state)
{
	w->h.value_state = state;
	w->h.blanks = 0;
	h1_name_start(&w->h);
	w->d.state = state;
}

static __always_inline int h1_name_asked(struct h1_work *w)
{
	struct h1_head *h = &w->h;
	__u8 unwrap = w->answer.unwrap;

	w->pos++;
	if (unwrap == TT_CONTROL_LENGTH) {
		/* Twice may be an attack on whoever frames differently (RFC 9112, 6.3). */
		if (h->flags & H1_F_LENGTH)
			return h1_bad(w, TT_DROP_bad_length);
		h->flags |= H1_F_LENGTH;
		h1_value_start(w, H1_S_LENGTH);
	} else if (unwrap == TT_CONTROL_CODING) {
		h1_value_start(w, H1_S_CODING);
	} else if (unwrap == TT_CONTROL_HOST && w->d.kind == H1_REQUESTS && !h->host_len) {
		h1_value_start(w, H1_S_HOST);
	} else if ((unwrap == TT_UNWRAP_WHOLE || unwrap == TT_UNWRAP_SCHEME) &&
		   w->d.kind == H1_REQUESTS) {
		h1_value_start(w, H1_S_CRED);
		h1_cred_start(w, H1_V_LEAD | (unwrap == TT_UNWRAP_SCHEME ? H1_V_SCHEME : 0));
		h->carrier = w->answer.id;
	} else {
		h1_value_start(w, H1_S_SKIP);
	}
	return H1_NEXT;
}

/* The eight bytes of the window at w->pos + 8 * i. */
static __always_inline __u64 h1_word(const struct h1_work *w, __u32 i)
{
	__u64 at = w->pos - w->base + 8 * i, word;

	H1_MASK(at, H1_WINDOW - 1);
	__builtin_memcpy(&word, w->buf + at, 8);
	return word;
}

/* To the end of the line, up to H1_WORDS times eight bytes a step. */
static __always_inline int h1_skip(struct h1_work *w, __u8 c, __u32 have)
{
	__u32 i;

	for (i = 0; i < H1_WORDS && have >= 8; i++, have -= 8) {
		__u64 marks = h1_zero_bytes(h1_word(w, i) ^ 0x0a0a0a0a0a0a0a0aULL);

		if (marks) {
			w->pos += 8 * i + h1_first_mark(marks) + 1;
			w->d.state = H1_S_LINE;
			return H1_NEXT;
		}
	}
	w->pos += i ? 8 * i : 1;
	if (!i && c == '\n')
		w->d.state = H1_S_LINE;
	return H1_NEXT;
}

static __always_inline int h1_host(struct h1_work *w, __u8 c)
{
	w->pos++;
	if (c == '\n')
		w->d.state = H1_S_LINE;
	else if (c > ' ')	/* a host has no blanks (RFC 9110, 7.2): all there are lie around it */
		h1_host_put(&w->h, c);
	return H1_NEXT;
}

static __always_inline int h1_length(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;

	/* blanks: 1 = not a number, h1_field_end() will refuse it; 2 = the number is over */
	w->pos++;
	if (c == '\n') {
		w->d.state = H1_S_LINE;
	} else if (h1_digit(c) && !h->blanks && h->name_len < 18) {
		h->length = h->length * 10 + (c - '0');
		h->name_len++;	/* digits */
	} else if (c != ' ' && c != '\t' && c != '\r') {
		h->blanks = 1;
	} else if (h->name_len && !h->blanks) {
		h->blanks = 2;
	}
	return H1_NEXT;
}

static __always_inline int h1_coding(struct h1_work *w, __u8 c)
{
	w->pos++;
	if (c == '\n')
		w->d.state = H1_S_LINE;
	else if (c == ',')
		h1_name_start(&w->h);	/* the last one counts (RFC 9112, 6.3) */
	else if (c > ' ' && w->h.name_len < 255)
		h1_name_put(&w->h, c);
	return H1_NEXT;
}

/* ---- the value of a credential field ---- */

/* One byte of the value after blanks and quotes were told apart. */
static __always_inline int h1_value_put(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;
	int bits;

	if (!(h->value & H1_V_BASIC)) {
		if (h->words < 2 && h->name_len <= H1_SCHEME_MAX)
			h1_name_put(h, c);
		h1_cred_put(h, c);
		return H1_NEXT;
	}
	if (c == '=') {
		h->value |= H1_V_PADDED;
		return H1_NEXT;
	}
	bits = base64_value(c);
	if (bits < 0 || (h->value & H1_V_PADDED)) {
		h->value |= H1_V_BAD;
		return H1_NEXT;
	}
	h->base64_bits = h->base64_bits << 6 | bits;
	h->nbits += 6;
	if (h->nbits < 8)
		return H1_NEXT;
	h->nbits -= 8;
	c = h->base64_bits >> (h->nbits & 7);
	if (c != ':' || (h->value & H1_V_COLON)) {
		h1_cred_put(h, c);
		return H1_NEXT;
	}
	h->value |= H1_V_COLON;
	w->pos--;	/* left for the next step, as in h1_name() */
	return h1_cred_end(w, H1_S_USER_ASKED);
}

/* The user part of Basic is kept only as a fingerprint, for "key:" with an empty password. */
static __always_inline int h1_user_asked(struct h1_work *w)
{
	struct h1_head *h = &w->h;

	w->pos++;
	h->user_class = w->answer.id;
	h->user_len = h->sip.len;
	siphash_final(&h->sip, h->user);
	siphash_init(&h->sip, w->key[0], w->key[1]);
	w->d.state = H1_S_CRED;
	return H1_NEXT;
}

/* Something follows a word and a blank: was the word a scheme? */
static __always_inline int h1_word_end(struct h1_work *w)
{
	struct h1_head *h = &w->h;

	h1_name_end(h);
	if (h->words == 0 && h->name_len <= H1_SCHEME_MAX)
		return h1_ask(w, H1_ASK_SCHEME, H1_S_SCHEME_ASKED);
	if (h->words == 1 && h->scheme_hash && h->name_hash == h->scheme_hash) {
		h->cred_flags |= TT_CRED_DUP_SCHEME;	/* "Bearer Bearer x" */
		siphash_init(&h->sip, w->key[0], w->key[1]);
		h->value |= H1_V_LEAD;	/* quotes around the rest */
		h->blanks = 0;
	}
	h->words = 2;
	return H1_NEXT;
}

static __always_inline int h1_scheme_asked(struct h1_work *w)
{
	struct h1_head *h = &w->h;

	w->d.state = H1_S_CRED;
	h->words = 1;
	h->blanks = 0;
	h->scheme = w->answer.id ? w->answer.id : TT_SCHEME_OTHER;
	h->scheme_hash = h->name_hash;
	h->value |= H1_V_LEAD;
	siphash_init(&h->sip, w->key[0], w->key[1]);
	h1_name_start(h);
	if (w->answer.unwrap == TT_UNWRAP_NONE)
		h1_value_start(w, H1_S_SKIP);	/* a MAC of this one request identifies nobody */
	else if (w->answer.unwrap == TT_UNWRAP_BASIC)
		h->value |= H1_V_BASIC;
	return H1_NEXT;
}

/* The value was one word: a scheme alone ("Bearer") is no credential. */
static __always_inline int h1_word_asked(struct h1_work *w)
{
	w->d.state = H1_S_LINE;
	if (w->answer.id)
		return h1_note(w, TT_DROP_empty_cred);
	return h1_cred_end(w, H1_S_CRED_ASKED);
}

/* Up to H1_WORDS times eight bytes of a credential, where nothing needs to be told apart any more.
 * Whether any could be taken. */
static __always_inline int h1_cred_words(struct h1_work *w, __u32 have)
{
	struct h1_head *h = &w->h;
	__u32 i;

	if (h->sip.len < TT_PREFIX_LEN || h->blanks ||
	    (h->value & (H1_V_BASIC | H1_V_QUOTE_HELD | H1_V_LEAD)) ||
	    (h->words < 2 && h->name_len <= H1_SCHEME_MAX))
		return 0;
	for (i = 0; i < H1_WORDS && have >= 8; i++, have -= 8) {
		__u64 word = h1_word(w, i);

		/* a byte below '#': blank, line end, quote */
		if ((word - 0x2323232323232323ULL) & ~word & 0x8080808080808080ULL)
			break;
		siphash_put8(&h->sip, word);
	}
	w->pos += 8 * i;
	return i != 0;
}

static __always_inline int h1_cred(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;

	if (c == '\n' || c == '\r' || c == ' ' || c == '\t') {
		w->pos++;
		if (c == '\n')
			w->d.state = H1_S_LINE;
		else if (c != '\r' && !(h->value & H1_V_LEAD) && h->blanks < 255)
			h->blanks++;
		return H1_NEXT;
	}
	if (h->blanks) {
		if ((h->value & H1_V_SCHEME) && !(h->value & H1_V_QUOTED) && h->words < 2)
			return h1_word_end(w);	/* comes back for this byte */
		h->words = 2;
		h->blanks--;
		if (h->value & H1_V_QUOTE_HELD) {	/* it stood inside after all */
			h->value &= ~H1_V_QUOTE_HELD;
			h->blanks++;
			return h1_value_put(w, '"');
		}
		return h1_value_put(w, ' ');
	}
	if (h->value & H1_V_QUOTE_HELD) {
		h->value &= ~H1_V_QUOTE_HELD;
		return h1_value_put(w, '"');
	}
	w->pos++;
	if (c == '"' && (h->value & H1_V_LEAD)) {
		h->value = (h->value | H1_V_QUOTED) & ~H1_V_LEAD;
		return H1_NEXT;
	}
	h->value &= ~H1_V_LEAD;
	if (c == '"' && (h->value & H1_V_QUOTED)) {
		h->value |= H1_V_QUOTE_HELD;
		return H1_NEXT;
	}
	return h1_value_put(w, c);
}

static __always_inline int h1_cred_asked(struct h1_work *w)
{
	w->d.state = H1_S_LINE;
	return h1_cred_done(w);
}

/* ---- bodies ---- */

/* Skips what is left of a body or chunk without looking at it. */
static __always_inline void h1_skip_left(struct h1_work *w)
{
	__u64 have = w->total - w->pos;
	__u64 take = w->d.left < have ? w->d.left : have;

	w->pos += take;
	w->d.left -= take;
	if (!w->d.left)
		w->d.state = w->d.state == H1_S_BODY ? H1_S_START : H1_S_CHUNK_END;
}

static __always_inline int h1_chunk_size(struct h1_work *w, __u8 c)
{
	int digit = h1_hex(c);

	if (digit >= 0) {
		w->pos++;
		if (++w->d.digits > 15)
			return h1_bad(w, TT_DROP_bad_chunk);
		w->d.left = w->d.left << 4 | digit;
		return H1_NEXT;
	}
	if (!w->d.digits || (c != '\r' && c != '\n' && c != ';' && c != ' ' && c != '\t'))
		return h1_bad(w, TT_DROP_bad_chunk);
	w->d.state = H1_S_CHUNK_EXT;
	return H1_NEXT;
}

static __always_inline int h1_chunk_ext(struct h1_work *w, __u8 c)
{
	w->pos++;
	if (c == '\n')
		w->d.state = w->d.left ? H1_S_CHUNK_DATA : H1_S_TRAILER;
	return H1_NEXT;
}

static __always_inline void h1_chunk_start(struct http1 *d)
{
	d->left = 0;
	d->digits = 0;
	d->state = H1_S_CHUNK_SIZE;
}

static __always_inline int h1_chunk_end(struct h1_work *w, __u8 c)
{
	w->pos++;
	if (c == '\n')
		h1_chunk_start(&w->d);
	else if (c != '\r')
		return h1_bad(w, TT_DROP_bad_chunk);
	return H1_NEXT;
}

static __always_inline int h1_trailer(struct h1_work *w, __u8 c)
{
	w->pos++;
	if (c == '\n')
		w->d.state = H1_S_START;
	else if (c != '\r')
		w->d.state = H1_S_TRAILER_LINE;
	return H1_NEXT;
}

static __always_inline int h1_trailer_line(struct h1_work *w, __u8 c)
{
	w->pos++;
	if (c == '\n')
		w->d.state = H1_S_TRAILER;
	return H1_NEXT;
}

/*
 * After H1_HEAD was taken: what follows it (RFC 9112, 6.3)? no_body: a response to HEAD, or one
 * with status 1xx, 204 or 304, or a 2xx one to CONNECT.
 */
static __always_inline void h1_body(struct h1_work *w, int no_body)
{
	struct h1_head *h = &w->h;

	w->d.state = H1_S_START;
	if (no_body || (h->flags & H1_F_CONNECT))
		return;
	if (h->flags & H1_F_CHUNKED) {
		h1_chunk_start(&w->d);
	} else if (h->flags & H1_F_CODING) {
		w->d.state = H1_S_UNTIL_CLOSE;
	} else if (h->flags & H1_F_LENGTH) {
		w->d.left = h->length;
		if (h->length)
			w->d.state = H1_S_BODY;
	} else if (w->d.kind == H1_RESPONSES) {
		w->d.state = H1_S_UNTIL_CLOSE;
	}
}

/* Is a head being read, so that struct h1_head has to be kept to the next call? */
static __always_inline int h1_in_head(const struct http1 *d)
{
	return d->state > H1_S_START && d->state < H1_S_HEAD_END;
}

/*
 * May these first bytes of a call begin a message? Cheap, and wrong only in saying yes. `word` has
 * the first bytes, first byte lowest, zero beyond `len`.
 */
static __always_inline int h1_may_begin(__u64 word, __u64 len)
{
	__u8 a = word, b = word >> 8, c = word >> 16;

	if (a < 'A' || a > 'Z')
		return 0;
	if (len > 1 && (b < 'A' || b > 'Z'))
		return 0;
	return len <= 2 || (c >= 'A' && c <= 'Z') || c == ' ' || c == '-';
}

/* A direction that is out of step and sees the start of a call that may be a head. */
static __always_inline void h1_resume(struct http1 *d)
{
	d->state = H1_S_START;
	d->left = 0;
}

/* ---- the step ---- */

static __always_inline int h1_step_start_line(struct h1_work *w, __u8 c)
{
	switch (w->d.state) {
	case H1_S_START:
		return h1_start(w, c);
	case H1_S_METHOD:
		return h1_method(w, c);
	case H1_S_TARGET:
		return h1_target(w, c);
	case H1_S_TARGET_END:
		return h1_target_end(w, c);
	case H1_S_ABSOLUTE:
		return h1_absolute(w, c);
	case H1_S_AUTHORITY:
		return h1_authority(w, c);
	case H1_S_PATH:
		return h1_path(w, c);
	case H1_S_SEGMENT_ASKED:
		return h1_segment_asked(w, c);
	case H1_S_QNAME:
		return h1_qname(w, c);
	case H1_S_QNAME_ASKED:
		return h1_qname_asked(w);
	case H1_S_QSKIP:
		return h1_qskip(w, c);
	case H1_S_QVALUE:
		return h1_qvalue(w, c);
	case H1_S_QVALUE_ASKED:
		return h1_qvalue_asked(w, c);
	case H1_S_VERSION:
		return h1_version(w, c);
	case H1_S_RVERSION:
		return h1_rversion(w, c);
	case H1_S_RSTATUS:
		return h1_rstatus(w, c);
	default:
		return h1_line_end(w, c);
	}
}

static __always_inline int h1_step_field(struct h1_work *w, __u8 c, __u64 word, __u32 have)
{
	switch (w->d.state) {
	case H1_S_LINE:
		return h1_line(w, c);
	case H1_S_NAME:
		if (have >= 8 && !(w->h.name_len & 7) && w->h.name_len < 128 && h1_name_word(w, word))
			return H1_NEXT;
		return h1_name(w, c);
	case H1_S_NAME_ASKED:
		return h1_name_asked(w);
	case H1_S_SKIP:
		return h1_skip(w, c, have);
	case H1_S_HOST:
		return h1_host(w, c);
	case H1_S_LENGTH:
		return h1_length(w, c);
	case H1_S_CODING:
		return h1_coding(w, c);
	case H1_S_SCHEME_ASKED:
		return h1_scheme_asked(w);
	case H1_S_USER_ASKED:
		return h1_user_asked(w);
	case H1_S_WORD_ASKED:
		return h1_word_asked(w);
	case H1_S_CRED_ASKED:
		return h1_cred_asked(w);
	default:
		if (h1_cred_words(w, have))
			return H1_NEXT;
		return h1_cred(w, c);
	}
}

static __always_inline int h1_step_body(struct h1_work *w, __u8 c)
{
	switch (w->d.state) {
	case H1_S_CHUNK_SIZE:
		return h1_chunk_size(w, c);
	case H1_S_CHUNK_EXT:
		return h1_chunk_ext(w, c);
	case H1_S_CHUNK_END:
		return h1_chunk_end(w, c);
	case H1_S_TRAILER:
		return h1_trailer(w, c);
	default:
		return h1_trailer_line(w, c);
	}
}

static __always_inline int h1_step(struct h1_work *w)
{
	__u32 off = w->pos - w->base, have = w->fill - off;
	__u64 word;

	if (w->d.state == H1_S_BODY || w->d.state == H1_S_CHUNK_DATA) {
		h1_skip_left(w);
		return w->pos < w->total ? H1_NEXT : H1_FILL;
	}
	if (w->d.state == H1_S_UNTIL_CLOSE || w->d.state >= H1_S_OPAQUE) {
		w->pos = w->total;
		return H1_FILL;
	}
	if (off >= w->fill)
		return H1_FILL;
	word = h1_word(w, 0);
	if (w->d.state < H1_S_LINE)
		return h1_step_start_line(w, word);
	if (w->d.state < H1_S_HEAD_END)
		return h1_step_field(w, word, word, have);
	return h1_step_body(w, word);
}

#endif
