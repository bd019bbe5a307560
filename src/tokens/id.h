/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and ids.
 *
 *   fleet key (32 random bytes, /etc/tokentrail/fleet.key, mode 0600)
 *     HKDF-SHA-256 (RFC 5869), no salt, info "tokentrail kernel 1"  -> kernel key, 16 bytes (SipHash)
 *                                 info "tokentrail publish 1" -> publish key, 32 bytes (HMAC)
 *                                 info "tokentrail key id 1"  -> key id, 8 bytes, shown as 16 hex digits
 *   fingerprint = SipHash-2-4-128(kernel key, credential)     made in the kernel
 *   token.id    = "tt1_" + base32(first 20 bytes of HMAC-SHA-256(publish key, fingerprint || length))
 *                 lower-case RFC 4648 alphabet; fingerprint is its 16 bytes in SipHash's output order,
 *                 length a 4-byte little-endian number of bytes.
 *   token.signed_id = the same of "tokentrail signed 1" || 0 || fingerprint of a JWT's header.payload
 *   tth1_...    = the same of "tokentrail text 1" || 0 || text
 *
 * The fleet key never leaves the monitor; the agent gets the publish key and the key id.
 * The key file is text: comment lines that begin with '#', and one line of 64 hex digits.
 */
#ifndef TT_TOKENS_ID_H
#define TT_TOKENS_ID_H

#include <stddef.h>
#include <stdint.h>

#include "tokens/use.h"

#define FLEET_KEY_LEN 32
#define KERNEL_KEY_LEN 16
#define PUBLISH_KEY_LEN 32

struct keys {
	uint8_t kernel[KERNEL_KEY_LEN];
	uint8_t publish[PUBLISH_KEY_LEN];
	char key_id[KEY_ID_LEN];
};

/* Derives all keys of a fleet key. -EIO: libcrypto refused. */
int keys_derive(const uint8_t fleet[static FLEET_KEY_LEN], struct keys *ret_keys);

/* Reads a key file. -ENOENT: there is none; -EINVAL: not a key file; -EPERM: group or others may
 * read or write it (mode & 077), or it belongs to another user than root and the caller. */
int fleet_key_load(const char *path, uint8_t ret_fleet[static FLEET_KEY_LEN]);

/* Writes a new random key, mode 0600, creating missing parent directories (0755). Never overwrites:
 * -EEXIST. The file appears complete or not at all. */
int fleet_key_new(const char *path);

/* token.id of a fingerprint as struct tt_cred has it (two little-endian words). 0 or -EIO. */
int token_id(const uint8_t publish[static PUBLISH_KEY_LEN], const uint64_t fingerprint[static 2],
	     uint32_t length, char ret_id[static TOKEN_ID_LEN]);

/* token.signed_id of the fingerprint of a JWT's header and payload (tt_ev_claims.signed_part). */
int signed_id(const uint8_t publish[static PUBLISH_KEY_LEN], const uint64_t fingerprint[static 2],
	      char ret_id[static TOKEN_ID_LEN]);

/* What stands for a text that names a person. 0, -EIO, or -EINVAL: longer than TEXT_HASH_MAX. */
#define TEXT_HASH_LEN 38	/* "tth1_" + 32 base32 characters + NUL */
#define TEXT_HASH_MAX 2048
int text_hash(const uint8_t publish[static PUBLISH_KEY_LEN], const void *text, size_t len,
	      char ret_hash[static TEXT_HASH_LEN]);

#endif
