/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the parts of the HTTP/1 reader share: its memory, the answers of a step, words of eight bytes. */
#ifndef TT_READERS_HTTP1_WORK_H
#define TT_READERS_HTTP1_WORK_H

#include <linux/types.h>
#include <tokentrail/abi.h>
#include "claims.h"
#include "fields.h"

#define H1_WINDOW 1024		/* power of two: an index is masked to it */
#define H1_PATH_BUF 256		/* >= TT_PATH_LEN, power of two */
#define H1_HOST_BUF 128		/* >= TT_HOST_LEN, power of two */
#define H1_CARRY_BUF 64		/* >= TT_CARRY_LEN, power of two */
#define H1_WORDS 8		/* words that a step takes of a long stretch */
#define H1_SCHEME_MAX 24	/* longest word that can be an authorization scheme */
#define H1_HEAD_MAX (256 * 1024)	/* bytes of one head; servers allow 8 to 64 KiB */
#define H1_RUN_MAX 20		/* so many token characters in a row are taken for a secret */
#define H1_HEX_MAX 16

enum h1_result { H1_NEXT, H1_FILL, H1_ASK, H1_NOTE, H1_HEAD, H1_BAD, H1_H2, H1_CLAIMS, H1_SPAN, H1_SAID,
		 H1_FIELDS };

/* How HTTP/2 begins; with H1_H2 in http1.digits. */
enum h2_beginning {
	H2_FROM_FRAME,		/* in the middle, in front of a frame header */
	H2_FROM_PREFACE,	/* behind the first four bytes of the preface, which the HTTP/1 reader ate */
	H2_FROM_UPGRADE,	/* behind a 101 response */
	H2_PROVED,		/* as the first, and what followed was HTTP/2 for sure */
};

enum h1_kind { H1_UNKNOWN, H1_REQUESTS, H1_RESPONSES };

enum h1_state {
	H1_S_START,		/* before a message; empty lines are skipped (RFC 9112, 2.2) */
	H1_S_METHOD,
	H1_S_TARGET,
	H1_S_TARGET_END,	/* after "*" */
	H1_S_ABSOLUTE,		/* "http://" */
	H1_S_AUTHORITY,
	H1_S_PATH,
	H1_S_ROUTE_ASKED,
	H1_S_SEGMENT_ASKED,
	H1_S_SEGMENT_HASH,	/* what is kept of the segment is a credential, or too long to be kept whole */
	H1_S_SEGMENT_CRED,
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
	H1_S_UPGRADE,
	H1_S_TEXT,		/* a value that is reported as it is */
	H1_S_SAID,		/* a field of a response that says something of a credential: said.h */
	H1_S_SAID_ASKED,
	H1_S_SAID_END,
	H1_S_LNAME,		/* a name in a list of names and values: http1_list.h */
	H1_S_LNAME_ASKED,
	H1_S_LSKIP,		/* its value is of no interest */
	H1_S_LVALUE_ASKED,	/* it was a credential */
	H1_S_PNAME,		/* parameters behind a scheme: http1_params.h */
	H1_S_PNAME_ASKED,
	H1_S_PSKIP,		/* of no interest */
	H1_S_PVALUE,
	H1_S_PVALUE_ASKED,
	H1_S_PAIR,		/* base64(id:key) is whole: decoding it */
	H1_S_SNAME,		/* WebSocket subprotocols: http1_subprotocol.h */
	H1_S_SNAME_ASKED,
	H1_S_SVALUE,
	H1_S_SVALUE_ASKED,
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
	H1_S_UPGRADED,		/* after 101 with "Upgrade: h2c" */
	H1_S_H2,		/* HTTP/2 from here on: readers/http2.h */
	H1_S_OPAQUE,		/* tunnel or upgraded protocol: never HTTP/1 again */
	H1_S_LOST,		/* out of step; looks for a head at the start of each call */
};

/* What stays with a direction of a connection between two calls. */
struct http1 {
	__u64 left;		/* bytes of body, chunk or HTTP/2 frame still to come that nobody reads */
	__u8 state;		/* enum h1_state */
	__u8 kind;		/* enum h1_kind */
	__u8 digits;		/* of a chunk size; enum h2_beginning */
	__u8 split;		/* a head is parked */
	__u8 spans;		/* the body under way is of interest: H1_SPAN, H2_SPAN */
	__u8 resumed;		/* HTTP/1: messages may have gone by unseen before this one */
	__u8 moved;		/* and what may have been one since the other direction's last */
	__u8 pad_;
};

/* Of a word of a public text: words.h. */
struct word {
	__u8 run, run_digits, hex, wide, wide_digits, wide_letters;
};

/* What a response says of its request's credential: said.h has the meaning. */
#define SAID_GRANTED 112	/* where stretches of the text begin */
#define SAID_GATHERED 408
#define SAID_LEN TT_SAID_LEN
struct h1_said {
	__u8 text[SAID_LEN];
	__u16 ids_end, granted_end, gathered_end;
	__u16 at, limit;	/* of the item being written */
	__u16 item_at, word_at;
	__u16 field_at;		/* where the field's items begin */
	__u16 bytes;		/* of the field's value */
	struct word word;
	__u8 field, row;	/* enum tt_said */
	__u8 part;		/* enum said_part */
	__u8 quote;
	__u8 open;		/* an item is being written */
	__u8 gap;		/* a blank stands before the next word */
	__u8 hidden;		/* the word was replaced */
	__u8 over;		/* the item does not fit */
	__u8 cut;		/* one did not */
	__u8 requires;		/* the field is AAuth-Requirement */
	__u8 scheme_next;	/* the next word may be a scheme */
	__u8 next;		/* row of the item to begin */
	__u8 dots;		/* bytes of "{...}" still to come */
	__u8 pad_[3];
};

/* What is known of a head while it is read. */
struct h1_head {
	__u64 user[2];		/* Basic: fingerprint of the part before the colon */
	__u64 method_word;	/* first eight bytes of the method */
	__u64 length;		/* Content-Length */
	__u32 name_len;
	__u32 user_len;
	__u32 head_len;		/* bytes of this head in earlier calls */
	__u32 segment_len;	/* of the path segment being read, decoded */
	__u32 dots;		/* in the credential or path segment being read */
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
	__u8 public_len;
	__u8 mcp_method_len, mcp_name_len;
	__u8 public_cred;	/* index in cred[] of what public_id belongs to */
	__u8 saying;		/* of a response: `said` has begun */
	__u8 list;		/* the credential being read is an item of a list */
	__u8 items;		/* credentials of this value, those for which there was no room too */
	__u8 cut;		/* the credential being read is over, what follows is none of it */
	__u8 until;		/* of a query value: it is over at this character; 0 = at none */
	__u8 depth;		/* slashes of the path so far */
	__u8 route;		/* row of `path_rules` that the segment fits */
	__u8 unsure;		/* the credential being read may be none: no claims of it */
	__u8 unwrap;		/* enum tt_unwrap of the scheme */
	__u8 pair;		/* H1_PAIR_* of the value so far */
	__u8 pair_len;
	struct tt_cred made;		/* the credential made last */
	struct tt_cred cred[TT_CREDS_MAX];
	/* From here on lie bytes of the message, or what they can be computed back from (a name's
	 * hash can be inverted): masked while the head is parked. */
	__u8 carry[H1_CARRY_BUF + 8];	/* first bytes of the credential or path segment, for its class */
	struct siphash sip;	/* of the credential being read */
	__u64 name_hash, name_word;	/* of the name or word being read */
	__u64 name_prev;	/* the last whole word before name_word */
	__u64 scheme_hash;
	__u32 base64_bits;
	__u32 pad2_;
	union {
		struct {	/* of a request */
			__u8 method[TT_METHOD_LEN];
			__u8 mcp_method[TT_MCP_METHOD_LEN];
			__u8 mcp_name[TT_MCP_NAME_LEN];
			__u8 public_id[TT_PUBLIC_LEN];	/* of a credential that is none: an access key id */
			__u8 host[H1_HOST_BUF + 8];	/* a word may be stored at any index */
			__u8 path[H1_PATH_BUF];
		};
		struct h1_said said;	/* of a response */
	};
};

/* h1_head.flags: framing of the message */
#define H1_F_CHUNKED 1
#define H1_F_LENGTH 2
#define H1_F_CODING 4		/* Transfer-Encoding without a final "chunked" */
#define H1_F_CONNECT 8
#define H1_F_METHOD_HEAD 16
#define H1_F_H2C 64		/* "Upgrade: h2c" */
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

/* h1_head.pair: is it base64(id:key)? */
#define H1_PAIR_NOT 1
#define H1_PAIR_ID 2
#define H1_PAIR_COLON 4
#define H1_PAIR_KEY 8
#define H1_PAIR_PADDED 16

/* h1_head.segment */
#define H1_P_SECRET 1
#define H1_P_OTHER 2		/* something that is not a digit */
#define H1_P_WORD 4		/* something that neither a number in hex nor a UUID has */
#define H1_P_HASHED 8		/* its hash is under way */
#define H1_P_BAD 16		/* its percent-encoding is no such */
#define H1_P_CRED 32		/* it is a credential */

struct h1_answer {
	__u16 id;		/* 0 = not known */
	__u8 unwrap;		/* enum tt_unwrap or enum tt_control */
	__u8 length;		/* of a name that was asked for by its index; of a class's prefix */
	__u8 flags;		/* TT_CLASS_* */
	__u8 checksum;		/* enum tt_checksum */
	__u8 cred_flags;	/* TT_CRED_CHECKSUM_* */
	__u8 pad_[1];
};

enum h1_ask {
	H1_ASK_HEADER = 1, H1_ASK_PARAM, H1_ASK_SCHEME, H1_ASK_CLASS,
	H1_ASK_COOKIE = TT_NAME_COOKIE, H1_ASK_SET_COOKIE = TT_NAME_SET_COOKIE,
	H1_ASK_ROUTE = TT_NAME_ROUTE,	/* which row of `path_rules` the segment fits, and the length of its lead */
	H1_ASK_SEGMENT = 16,		/* as H1_ASK_CLASS, of a path segment: the carrier is the caller's to set */
	H1_ASK_AUTH_PARAM = TT_NAME_AUTH_PARAM, H1_ASK_SUFFIX = TT_NAME_SUFFIX,
	H1_ASK_SUBPROTOCOL = TT_NAME_SUBPROTOCOL,
};

struct h1_work {
	__u8 buf[H1_WINDOW + 8];	/* the window; 8 more so that a word may be loaded anywhere */
	__u64 key[2];		/* SipHash key */
	__u32 base;		/* where the window begins in the input */
	__u32 fill;		/* bytes in the window */
	__u32 used;		/* at most so many bytes of buf were written since its owner set this to 0 */
	__u32 pos;		/* next byte of the input; may lie beyond the window when a body is skipped */
	__u32 total;		/* bytes of the input */
	__u32 ask;		/* enum h1_ask, with H1_ASK; name in head.name_hash and .name_len, prefix in head.carry, its length in ask_len */
	__u32 ask_len;
	__u32 reason;		/* enum tt_drop, with H1_NOTE and H1_BAD */
	__u32 head_at;		/* where in the input the head began; 0 = in an earlier one */
	__u32 span_at, span_len;	/* with H1_SPAN: of the input */
	__u64 routes;		/* h1_route_bit() of how paths begin that may have a secret in them */
	struct h1_answer answer;
	__u64 seen[2];		/* shape.h: characters of the credential */
	__u32 seen_from;	/* from where on, plus 1; 0 = not looked at */
	__u32 heads;		/* the next response is to a request with a credential: said.h */
	struct http1 d;
	struct h1_head h;
	struct claims c;	/* of the credential being read */
};

#define H1_MASK(i, m) SIP_MASK(i, m)

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
		h->name_prev = word;
		word = 0;
	}
	h->name_word = word;
}

static __always_inline void h1_name_end(struct h1_head *h)
{
	if (h->name_len & 7)
		h->name_hash = tt_name_mix(h->name_hash, h->name_word);
}

static __always_inline void h1_value_start(struct h1_work *w, __u8 state)
{
	w->h.value_state = state;
	w->h.blanks = 0;
	h1_name_start(&w->h);
	w->d.state = state;
}

/* Copies within the work memory. In the kernel a helper does it: a loop would be verified byte by byte. */
#ifdef __bpf__
#define H2_COPY(to, from, n) bpf_probe_read_kernel(to, n, from)
#else
#define H2_COPY(to, from, n) __builtin_memcpy(to, from, n)
#endif

/* The eight bytes of the window at w->pos + 8 * i. */
static __always_inline __u64 h1_word(const struct h1_work *w, __u32 i)
{
	__u64 at = w->pos - w->base + 8 * i;

	H1_MASK(at, H1_WINDOW - 1);
	return load_word(w->buf + at);
}

#endif
