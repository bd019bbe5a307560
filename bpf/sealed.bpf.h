/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The third rule of conn.bpf.h: sealed. Which receive has brought the record whose data is handed out? OpenSSL decrypts
 * a record where it lies, and leaves what is around its data as it was: in front the header, behind it the
 * authentication tag, 16 bytes that are like no others (RFC 8446, 5.2; RFC 5288, 3). So it is the last receive's
 *   - if both end in the same bytes, whoever has copied them in between (memory buffers),
 *   - or if it lies where the receive has put its bytes, all of them and nothing else (ciphers that leave no tag).
 * Of the bytes a keyed hash is kept: those of a socket that does not speak TLS are a message's.
 */
#ifndef TT_SEALED_BPF_H
#define TT_SEALED_BPF_H

#include "cover.bpf.h"

#define SEAL_BYTES 16
#define RECORD_NONCE 8		/* in front of the data: TLS 1.2 with AES-GCM (RFC 5288, 3) */
#define RECORD_IV 16		/* so too: TLS 1.1 and 1.2 with AES-CBC (RFC 5246, 6.2.3.2) */
#define RECORD_HANDSHAKE 0x16
#define RECORD_DATA 0x17	/* application_data */
#define RECORD_BEGINS (0x03 << 8 | RECORD_DATA)	/* its first two bytes, of any version since SSL 3 */

/* What ends at this address; 0: it can't be read. */
static __always_inline __u64 seal_at(__u64 end)
{
	__u64 word[2];

	if (bpf_probe_read_user(word, sizeof(word), (void *)(end - SEAL_BYTES)))
		return 0;
	return tt_name_mix(tt_name_mix(conf_mask[3], word[0]), word[1]) | 1;
}

/* A record's header, by itself in a buffer. */
static __always_inline __attribute__((unused)) int record_header_at(__u64 addr)
{
	__u32 word;

	return !bpf_probe_read_user(&word, sizeof(word), (void *)addr) && (word & 0xffff) == RECORD_BEGINS;
}

/* Where a record is that has brought data. */
struct record {
	__u64 start, end;	/* end 0: it is not known */
	__u32 clear;		/* a handshake's that may not be encrypted: what it ends in may be like another's */
};

/* If its header stands so far in front of its data. type: RECORD_*, the latter may be what the former is sent as (RFC 8446, 5.2) */
static __always_inline void record_find(struct record *r, __u64 data, __u64 bytes, __u32 before, __u32 type)
{
	__u64 header, start = data - before, len;

	/* The header's five bytes are the last of eight. */
	if (r->end || bpf_probe_read_user(&header, sizeof(header), (void *)(start + TLS_HEADER - sizeof(header))))
		return;
	header >>= 24;
	len = (header >> 24 & 0xff) << 8 | (header >> 32 & 0xff);
	if ((header & 0xffff) == RECORD_BEGINS)
		type = RECORD_DATA;
	if ((header & 0xffff) != (0x03 << 8 | type) || (header >> 16 & 0xff) > 3 || len < before - TLS_HEADER + bytes)
		return;
	r->clear = type == RECORD_HANDSHAKE && before == TLS_HEADER;
	r->start = start;
	r->end = start + TLS_HEADER + len;
}

enum { RECORD_UNKNOWN, RECORD_RECEIVED, RECORD_OTHER };

/* Data of a record is here: is that what this thread has received last? Unknown where these are not its first bytes. */
static __noinline __attribute__((unused)) int record_received(const struct thread *t, __u64 data, __u64 bytes, __u32 type)
{
	struct record r = {};
	__u64 put = t->received_at, put_end = put + t->received_bytes;

	record_find(&r, data, bytes, TLS_HEADER, type);
	record_find(&r, data, bytes, TLS_HEADER + RECORD_NONCE, type);
	record_find(&r, data, bytes, TLS_HEADER + RECORD_IV, type);
	if (!r.end || !put)
		return RECORD_UNKNOWN;
	if (put_end == r.end && (put == r.start || put == r.start + TLS_HEADER))
		return RECORD_RECEIVED;
	return t->received_seal && !r.clear && seal_at(r.end) == t->received_seal ? RECORD_RECEIVED : RECORD_OTHER;
}

#endif
