/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One framed record of a spool segment, as bytes in memory. Believes nothing it reads: a frame
 * counts only with its magic, sane lengths and the right CRC.
 */
#ifndef TT_SINKS_SPOOL_FRAME_H
#define TT_SINKS_SPOOL_FRAME_H

#include "sinks/spool.h"

#define FRAME_MAGIC 0x31465454U /* "TTF1" */

struct frame_head {
	uint32_t magic;
	uint32_t crc; /* of everything behind it: the rest of the head and the body */
	uint32_t body_len;
	uint16_t topic_len; /* with its NUL */
	uint16_t key_len;
	uint64_t seq;
	uint64_t time_ns;
};
_Static_assert(sizeof(struct frame_head) == 32, "a spool on disk has this layout");

/* Bytes of a frame whose head is h, or 0 when the lengths cannot be. */
size_t frame_len(const struct frame_head *h);

/* The frame at the beginning of bytes; returns its length, 0 when there is no whole, sound one. */
size_t frame_parse(const uint8_t *bytes, size_t len, struct spool_record *ret_record);

/* Length of the frame that frame_build() makes. -EMSGSIZE: too long. */
int frame_size(const char *topic, size_t key_len, size_t payload_len, size_t *ret_size);
void frame_build(uint8_t *to, uint64_t seq, uint64_t time_ns, const char *topic, const void *key,
		 size_t key_len, const void *payload, size_t payload_len);

#endif
