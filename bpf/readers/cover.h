/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Coverage: by which bytes a TLS connection is recognised on its socket, and how much of it counts as
 * seen. Plain C: the kernel programs, the monitor and the tests compile this file.
 */
#ifndef TT_COVER_H
#define TT_COVER_H

#include <linux/types.h>

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

/* ---- recognising ---- */

enum { TLS_HANDSHAKE = 22, TLS_DATA = 23, TLS_CLIENT_HELLO = 1 };
#define TLS_HEADER 5		/* bytes of a record header (RFC 8446, 5.1) */
#define TLS_RECORD_MAX (16384 + 2048)	/* of a record after its header, TLS 1.2 (RFC 5246, 6.2.3) */
#define COVER_DATA_MIN 17	/* a byte of type and a tag: the shortest application data */
#define COVER_HELLO_MIN 38	/* version and random number, with the handshake header */
#define COVER_SIGNS 4		/* records in a row that make a TLS connection */

/* What is known of a direction whose connection may turn out to be TLS. */
struct cover_look {
	__u16 hello;		/* a header was received alone: its handshake record's length */
	__u16 left;		/* of the data record that was begun, bytes */
	__u8 signs;		/* data records in a row */
	__u8 pad_[3];
};

enum cover_is {
	COVER_IS_NOT,		/* nothing speaks for TLS any more */
	COVER_IS_OPEN,		/* it may be; what follows tells */
	COVER_IS_HELLO,		/* a ClientHello, or the rest of one */
	COVER_IS_MIDDLE,	/* a TLS connection that has been open for a while */
};

/* The n-th byte of the first 16 of a call: word[], first byte lowest. */
static __always_inline __u32 cover_byte(const __u64 word[2], __u32 n)
{
	return (n < 8 ? word[0] >> 8 * n : word[1] >> 8 * (n - 8)) & 0xff;
}

static __always_inline __u32 cover_length(const __u64 word[2])
{
	return cover_byte(word, 3) << 8 | cover_byte(word, 4);
}

/* A record header of this type; the version in it is 3.0 to 3.4 (TLS 1.3 writes 3.1 or 3.3). */
static __always_inline int cover_header(const __u64 word[2], __u32 type)
{
	return cover_byte(word, 0) == type && cover_byte(word, 1) == 3 && cover_byte(word, 2) <= 4 &&
	       cover_length(word) && cover_length(word) <= TLS_RECORD_MAX;
}

/* The beginning of a ClientHello in a record of `room` bytes, of which n are in w: type, a length of
 * three bytes, the version. A hello may be longer than its first record, never shorter: nothing follows
 * it. */
static __always_inline int cover_hello_begins(__u64 w, __u64 n, __u32 room)
{
	__u32 whole = ((w >> 16 & 0xff) << 8 | (w >> 24 & 0xff)) + 4;

	return n >= 6 && (w & 0xff) == TLS_CLIENT_HELLO && !(w >> 8 & 0xff) && room >= COVER_HELLO_MIN &&
	       whole >= room && (w >> 32 & 0xff) == 3 && (w >> 40 & 0xff) <= 4;
}

/* May a connection be recognised by a call that begins with this byte? */
static __always_inline int cover_may_begin(__u64 w)
{
	return (w & 0xff) == TLS_HANDSHAKE || (w & 0xff) == TLS_DATA;
}

/* A ClientHello in one piece: word[] has the first 16 of len bytes. */
static __always_inline int cover_is_hello(const __u64 word[2], __u64 len)
{
	__u64 body = word[0] >> 40 | word[1] << 24;

	return len > TLS_HEADER && cover_header(word, TLS_HANDSHAKE) &&
	       cover_hello_begins(body, len - TLS_HEADER, cover_length(word));
}

/* Inside a probed TLS call, one header is enough: a socket that TLS data goes over has its records. */
static __always_inline int cover_is_record(const __u64 word[2], __u64 len)
{
	return len >= TLS_HEADER && cover_byte(word, 0) >= 20 && cover_byte(word, 0) <= TLS_DATA &&
	       cover_header(word, cover_byte(word, 0));
}

static __always_inline int cover_reset(struct cover_look *l)
{
	l->hello = 0;
	l->left = 0;
	l->signs = 0;
	return COVER_IS_NOT;
}

/*
 * Data records that begin and end where calls do: several in a row are no accident (each has three
 * bytes that are always the same, and a length that the calls keep to). Calls with more than one record
 * tell nothing: only the first header is looked at.
 */
static __always_inline int cover_data(struct cover_look *l, const __u64 word[2], __u64 len)
{
	__u32 whole = TLS_HEADER + cover_length(word);

	if (l->left) {
		if (len > l->left)
			return cover_reset(l);
		l->left -= len;
		return COVER_IS_OPEN;
	}
	if (len < TLS_HEADER || !cover_header(word, TLS_DATA) || cover_byte(word, 2) != 3 ||
	    cover_length(word) < COVER_DATA_MIN || len > whole)
		return cover_reset(l);
	if (l->signs < COVER_SIGNS)
		l->signs++;
	l->left = whole - len;
	return l->signs >= COVER_SIGNS ? COVER_IS_MIDDLE : COVER_IS_OPEN;
}

/* One call of a direction, of len bytes, the first 16 of which are in word[]. */
static __always_inline int cover_step(struct cover_look *l, const __u64 word[2], __u64 len)
{
	__u32 hello = l->hello;

	l->hello = 0;
	if (cover_is_hello(word, len))
		return COVER_IS_HELLO;
	if (hello && len <= hello && cover_hello_begins(word[0], len, hello))
		return COVER_IS_HELLO;
	if (len == TLS_HEADER && cover_header(word, TLS_HANDSHAKE) && cover_length(word) >= COVER_HELLO_MIN) {
		cover_reset(l);
		l->hello = cover_length(word);
		return COVER_IS_OPEN;
	}
	return cover_data(l, word, len);
}

/* ---- counting ---- */

#define COVER_SLACK 16384	/* alerts, tickets, key updates; bytes under way */
#define COVER_HANDSHAKE_MAX 32768
#define COVER_CALL 32		/* around a short record: RFC 8446, 5.2 has 22, RFC 5288 has 29 */

/* One direction of a TLS connection. */
struct cover_flow {
	__u64 wire;		/* bytes on the socket */
	__u64 plain;		/* bytes of probed calls that went over it */
	__u64 covered;		/* of wire, as last reported */
	__u64 handshake;	/* of wire, before the first of plain in either direction */
	__u64 calls;		/* that moved plain */
};

/*
 * How much of `wire` was seen. Nothing, if no plaintext was. All of it, as long as it is no more than
 * what the plaintext becomes on the wire: its records, the handshake before it, and some more, so that
 * a short request behind a long chain of certificates counts whole. What goes beyond that was not seen.
 */
static __always_inline __u64 cover_of(const struct cover_flow *f)
{
	__u64 handshake = f->handshake < COVER_HANDSHAKE_MAX ? f->handshake : COVER_HANDSHAKE_MAX;

	if (!f->plain)
		return 0;
	if (f->wire <= f->plain + f->plain / 32 + f->calls * COVER_CALL + COVER_SLACK + handshake)
		return f->wire;
	return f->plain < f->wire ? f->plain : f->wire;
}

/*
 * Plaintext of a process whose socket isn't known: which of its sockets it went over is not known
 * either. It is credited, with what its records add, up to the bytes that are left when the sockets
 * that are known have theirs; its handshakes are not, since they may be another library's.
 */
static __always_inline __u64 cover_loose(__u64 wire, __u64 covered, __u64 loose)
{
	__u64 left = wire > covered ? wire - covered : 0;

	loose += loose / 32;
	return loose < left ? loose : left;
}

#endif
