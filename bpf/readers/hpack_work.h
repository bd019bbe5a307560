/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the parts of the HTTP/2 reader share: its memory, and what it asks for. */
#ifndef TT_READERS_HPACK_WORK_H
#define TT_READERS_HPACK_WORK_H

#include "http1.h"
#include "huffman.h"

#define H2_WINDOW 1024		/* power of two: an index is masked to it */
#define HPACK_STATIC 61		/* entries of the static table (RFC 7541, appendix A) */
#define HPACK_TABLE_DEFAULT 4096	/* SETTINGS_HEADER_TABLE_SIZE (RFC 9113, 6.5.2) */
#define HPACK_KEEP_MAX 65536	/* bytes of a table (RFC 7541, 4.1) that are remembered */
#define HPACK_STRING_MAX 65536	/* of a name or a value, encoded or decoded */
#define HPACK_BACK_MAX (1 << 20)	/* no table has entries further back than this */
#define HPACK_FIRST (1 << 24)	/* number of a table's first entry: smaller ones were never seen */
#define HPACK_MEMO_MIN 16	/* shorter strings are decoded as quickly as looked up */
#define H2_UNKNOWN_MAX 8	/* unseen entries of one block that are told apart */
#define H2_BLOCK_MAX (256 * 1024)	/* bytes of one header block */

/* A name's use, beside enum tt_unwrap and enum tt_control in hpack_entry.field and h2_block.field. */
#define HPACK_UNKNOWN 255	/* neither name nor value known */

/* An entry of a dynamic table, as far as it matters; of a credential only what it became. */
struct hpack_entry {
	__u32 size;		/* of name and value, plus 32 (RFC 7541, 4.1) */
	__u32 name_len;
	__u16 carrier;		/* of a credential field */
	__u16 number;		/* :status, grpc-status + 1; content-type: is it gRPC's */
	__u8 field;		/* enum tt_unwrap, enum tt_control, 0 = of no interest, HPACK_UNKNOWN */
	__u8 flags;		/* TT_USE_* of a path or host */
	__u8 creds;		/* of a path or cookie field: its credentials, in parts 1 and following */
	__u8 text_len;		/* of a method, redacted path, host, MCP field: kept beside */
	struct tt_cred cred;	/* length 0 = none was in it */
};

/* A dynamic table (RFC 7541, 2.3.2). Its entries lie with the caller, by their numbers: an index
 * counts from the newest one, so what was there before we looked, or was lost, moves nothing. */
struct hpack {
	__u64 epoch;		/* tells this table from the one before a gap */
	__u32 inserted;		/* number of the next entry */
	__u32 oldest;		/* the oldest that is kept */
	__u32 base;		/* entries with smaller numbers were never seen */
	__u32 size;		/* of the kept entries */
	__u32 max;		/* what the encoder chose (4.2) */
	__u32 pad_;
};

/* What stays with a direction of a connection between two calls. */
struct h2 {
	struct hpack table;
	__u32 left;		/* bytes of the frame's payload still to come, without its padding */
	__u32 pad;		/* bytes of padding behind them */
	__u32 stream;
	__u32 block;		/* stream of the header block under way, 0 = none */
	__u8 state;		/* enum h2_state */
	__u8 type, flags;	/* of the frame */
	__u8 kind;		/* enum h1_kind */
	__u8 sure;		/* a whole header block was valid: this is HTTP/2 */
	__u8 whole;		/* seen from its first byte on: an unknown index is an error */
	__u8 upgraded;		/* follows a 101; if it is no HTTP/2, it is nothing we know */
	__u8 split;		/* a header block is parked */
	__u8 promise;		/* the block under way is of a PUSH_PROMISE */
	__u8 end_stream;	/* the block under way ends its stream */
	__u8 got, want;		/* bytes of a header or of the fields before a payload */
	__u8 bytes[11];
	__u8 spans;		/* the DATA frame under way is of interest: H2_SPAN */
};

enum h2_state {
	H2_S_PREFACE,		/* `got` bytes of it have been read */
	H2_S_UPGRADED,		/* after a 101: a preface or a frame */
	H2_S_HEADER,		/* nine bytes of a frame header */
	H2_S_PREFIX,		/* pad length, priority, promised stream: before a header block fragment */
	H2_S_BLOCK,
	H2_S_BLOCK_END,
	H2_S_UNKNOWN,		/* a use's unseen entries are entered as unreadable credentials */
	H2_S_SETTING,		/* six bytes */
	H2_S_GOAWAY,		/* the last stream that was or may be processed */
	H2_S_GONE,		/* those above it are ended, one by one */
	H2_S_SKIP,		/* a payload of no interest */
};

enum hpack_state {
	HP_START,		/* first byte of a field's representation (RFC 7541, 6) */
	HP_INT,			/* the rest of an integer */
	HP_REP,			/* index or size known */
	HP_GOT,			/* the entry asked for is there */
	HP_GOT_PART,		/* one more credential of a path or cookie field */
	HP_NAMED,		/* the name asked for is there */
	HP_STR,			/* first byte of a string's length */
	HP_STR_LEN,
	HP_MEMO,		/* hashing a string to see whether it was decoded before */
	HP_MEMO_GOT,
	HP_SKIP,		/* a value that nobody needs */
	HP_BYTES,		/* the string, a chunk at a time into h1_work.buf */
	HP_TAIL,		/* the last bits of a Huffman-coded one */
	HP_CHUNK,
	HP_EAT,			/* a name, or a value that the reader reads itself */
	HP_SCAN,		/* no control characters in it? */
	HP_INNER,		/* the HTTP/1 reader reads the value in h1_work.buf */
	HP_STR_END,
	HP_FIELD,		/* the field is whole */
	HP_INSERT,
	HP_EVICT,
	HP_EVICTED,
	HP_PUT,
	HP_PUT_PART,
};

/* A header block under way; parked beside struct h1_head if it is split over calls. */
struct h2_block {
	struct huffman huffman;
	__u64 value;		/* integer being read */
	__u32 left;		/* encoded bytes of the string still to come */
	__u32 len;		/* decoded bytes so far */
	__u32 name_len;
	__u32 size;		/* of the block's frames so far */
	__u32 need;		/* room to make in the table */
	__u16 carrier;
	__u16 number;
	__u16 status;		/* 0 = not known */
	__u16 seen;		/* pseudo-header fields, by 1 << (enum tt_control - TT_CONTROL_METHOD) */
	__u8 state;		/* enum hpack_state */
	__u8 then;
	__u8 shift;
	__u8 how;		/* HP_INDEXED, ... */
	__u8 coded;		/* the string is Huffman-coded */
	__u8 last;		/* its last chunk is in the buffer */
	__u8 value_part;	/* of the field's two strings this is the value */
	__u8 field;		/* see hpack_entry.field */
	__u8 flags;		/* H2_B_* */
	__u8 creds;		/* in the head before this field */
	__u8 part;		/* credentials of a path or cookie field still to get or put */
	__u8 unknown;		/* unseen entries that may be credentials */
	__u8 before;		/* unseen entries that can't be any */
	__u8 grpc;		/* grpc-status + 1, 0 = none */
	__u8 inner;		/* state of the HTTP/1 reader */
	__u8 dynamic;		/* HP_REFERRED, HP_RESIZED, 0 = no need of the dynamic table */
	__u32 unseen[H2_UNKNOWN_MAX];
};

/* h2_block.dynamic; the larger one stays */
enum { HP_REFERRED = 1, HP_RESIZED };

/* h2_block.how */
enum { HP_INDEXED = 1, HP_INSERTED, HP_PLAIN, HP_NEVER, HP_SIZE };

/* h2_block.flags */
#define H2_B_FIELDS 1		/* a field was read: no table size update may follow */
#define H2_B_REGULAR 2		/* a field was read that is no pseudo-header field */
#define H2_B_BAD 4		/* no valid message (RFC 9113, 8.1.1), but a valid block */
#define H2_B_BAD_VALUE 8	/* this field's value can't be one */
#define H2_B_GRPC 16		/* content-type: application/grpc */

enum h2_result {
	H2_NEXT,	/* nothing; call again */
	H2_FILL,	/* the window is used up: load the next bytes at x->pos, or stop */
	H2_INNER,	/* call h1_step() until h2_inner_over(), or H1_FILL or H1_BAD: then h2_inner_done() */
	H2_ASK,		/* a name, as after H1_ASK, w->ask may be H2_ASK_STATIC */
	H2_GET,		/* entry x->seq, part x->part, into x->entry; x->found. What text it has goes to the
			 * head, by h2_text() */
	H2_PUT,		/* x->entry as entry x->seq, part x->part, with its text */
	H2_OLDEST,	/* forget entry x->seq and put its size into x->gone; x->found */
	H2_GET_MEMO,	/* x->memo into x->entry; x->found */
	H2_PUT_MEMO,
	H2_NOTE,	/* something was not reported, the reason is in x->reason; call again */
	H2_BLOCK,	/* a header block lies whole at x->pos, x->f.left bytes; call again */
	H2_HEAD,	/* a header block is complete: take it, call again */
	H2_SETTINGS,	/* the other direction may make its table x->setting bytes large */
	H2_ACK,		/* this direction accepts what the other one's SETTINGS said */
	H2_END,		/* the frame's stream ends without a header block, or is reset */
	H2_GONE,	/* no stream above x->setting of the other direction will be answered: the x->part-th
			 * one of them; x->found = there was one */
	H2_BODY,	/* a DATA frame with x->span_len bytes begins (only if x->bodies): set x->f.spans if they are
			 * of interest and not 0; ends its stream as with H2_END if x->f.flags says so */
	H2_SPAN,	/* x->span_len bytes of such a frame lie at x->span_at; x->span_end: it was the last one */
	H2_BAD,		/* no HTTP/2, or not any more; the reason is in x->reason */
};
#define H2_ASK_STATIC 5		/* w->ask: the name at index x->block.value of the static table */

/* A string as it was on the wire, and the field that it stood in. */
struct hpack_memo {
	__u64 hash[2];		/* SipHash-2-4-128 */
	__u32 len;
	__u16 carrier;
	__u16 field;
};

struct h2_work {
	__u8 in[H2_WINDOW + 8];	/* the window of the input */
	__u32 base, fill, pos, total;	/* as in struct h1_work */
	__u32 reason;
	__u32 limit;		/* of the table's size: SETTINGS_HEADER_TABLE_SIZE of who decodes */
	__u32 setting;
	__u32 seq, part;
	__u32 gone;
	__u32 at;		/* in a chunk */
	__u32 memo_at, memo_left;
	__u32 span_at, span_len;
	__u8 span_end;
	__u8 bodies;		/* bodies of this connection may be of interest */
	__u8 found;
	__u8 dir;		/* which direction of the connection: tells their unseen entries apart */
	__u8 remember;		/* this string goes into the memo */
	__u8 skim;		/* decode and keep only what is reported: of what is not, faults are not
				 * noticed, and a response's table is not kept in size */
	struct hpack_memo memo;
	struct siphash sip;
	struct hpack_entry entry;
	struct h2 f;
	struct h2_block b;
};

/* For tests, which want to see what was decoded. */
#ifndef HPACK_SEEN
#define HPACK_SEEN(w, x) ((void)0)
#define HPACK_SEEN_FIELD(w, x) ((void)0)
#endif

/* ---- input ---- */

/* Bytes of the window that are left. */
static __always_inline __u32 h2_have(const struct h2_work *x)
{
	__u32 off = x->pos - x->base;

	return off < x->fill ? x->fill - off : 0;
}

/* Those of them that belong to the frame's payload. */
static __always_inline __u32 h2_have_payload(const struct h2_work *x)
{
	__u32 have = h2_have(x);

	return have < x->f.left ? have : x->f.left;
}

static __always_inline __u64 h2_word(const struct h2_work *x, __u32 offset)
{
	__u64 at = x->pos - x->base + offset;

	H1_MASK(at, H2_WINDOW - 1);
	return load_word(x->in + at);
}

static __always_inline void h2_take(struct h2_work *x, __u32 n)
{
	x->pos += n;
	x->f.left -= n;
}

static __always_inline int h2_bad(struct h2_work *x, __u32 reason)
{
	x->reason = reason;
	return H2_BAD;
}

static __always_inline int h2_note(struct h2_work *x, __u32 reason)
{
	x->reason = reason;
	return H2_NOTE;
}

static __always_inline int h2_to(struct h2_work *x, __u8 state)
{
	x->b.state = state;
	return H2_NEXT;
}

#endif
