/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How names (header fields, query parameters, authorization schemes) are recognised: by a hash that
 * can be built a byte or a word at a time, so that a name may be split over any number of calls.
 * The hash is not secret and need not resist an attacker: a program that forges a name can only
 * report a credential of its own that is none.
 *
 * Also here: the fields the head reader itself needs, which go into the same table.
 */
#ifndef TT_READERS_FIELDS_H
#define TT_READERS_FIELDS_H

#include <linux/types.h>
#include <tokentrail/abi.h>

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

#define TT_NAME_SEED 0x9e3779b97f4a7c15ULL
/* Sets the bit that makes ASCII letters lower case. Other bytes may fall together ('_' and DEL):
 * none of the names in use differs in only that. */
#define TT_NAME_LOWER 0x2020202020202020ULL

/* What a control field is for; stands in tt_name_val.unwrap beside enum tt_unwrap. */
enum tt_control {
	TT_CONTROL_HOST = 16,
	TT_CONTROL_LENGTH = 17,
	TT_CONTROL_CODING = 18,
	TT_CONTROL_METHOD = 19,		/* from here on: HTTP/2 pseudo-header fields (RFC 9113, 8.3) */
	TT_CONTROL_PATH = 20,
	TT_CONTROL_AUTHORITY = 21,
	TT_CONTROL_URI_SCHEME = 22,
	TT_CONTROL_STATUS = 23,
	TT_CONTROL_PROTOCOL = 24,
	TT_CONTROL_TYPE = 25,		/* content-type */
	TT_CONTROL_GRPC_STATUS = 26,
	TT_CONTROL_MCP_METHOD = 27,
	TT_CONTROL_MCP_NAME = 28,
	TT_CONTROL_UPGRADE = 29,
	TT_CONTROL_SAID = 30,		/* in a response: tt_name_val.id is of enum tt_said */
	TT_CONTROL_COOKIE = 31,
};

static __always_inline __u64 tt_name_mix(__u64 hash, __u64 word)
{
	hash = (hash ^ word) * 0xff51afd7ed558ccdULL;
	return hash ^ hash >> 32;
}

/* The hash of a whole name; len at most 255. */
static __always_inline __u64 tt_name_hash(const char *name, __u32 len)
{
	__u64 hash = TT_NAME_SEED, word = 0;
	__u32 i;

	for (i = 0; i < len; i++) {
		word |= (__u64)((__u8)name[i] | 0x20) << (8 * (i & 7));
		if ((i & 7) == 7) {
			hash = tt_name_mix(hash, word);
			word = 0;
		}
	}
	return len & 7 ? tt_name_mix(hash, word) : hash;
}

#endif
