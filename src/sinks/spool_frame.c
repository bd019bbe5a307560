/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building and checking the frames of a spool segment (layout in spool.h).
 */
#include "sinks/spool_frame.h"

#include <errno.h>
#include <string.h>

#include <zlib.h>

#define CRC_FROM offsetof(struct frame_head, body_len)

static uint32_t frame_crc(const uint8_t *frame, size_t len)
{
	return (uint32_t)crc32(0, frame + CRC_FROM, (uInt)(len - CRC_FROM));
}

size_t frame_len(const struct frame_head *h)
{
	if (h->magic != FRAME_MAGIC || h->body_len > SPOOL_RECORD_MAX || !h->topic_len)
		return 0;
	if ((size_t)h->topic_len + h->key_len > h->body_len)
		return 0;
	return sizeof(*h) + h->body_len;
}

size_t frame_parse(const uint8_t *bytes, size_t len, struct spool_record *ret_record)
{
	struct frame_head h;
	const uint8_t *body = bytes + sizeof(h);
	size_t n;

	if (len < sizeof(h))
		return 0;
	memcpy(&h, bytes, sizeof(h));
	n = frame_len(&h);
	if (!n || n > len || frame_crc(bytes, n) != h.crc || body[h.topic_len - 1])
		return 0;

	*ret_record = (struct spool_record){
		.seq = h.seq,
		.time_ns = h.time_ns,
		.topic = (const char *)body,
		.key = body + h.topic_len,
		.key_len = h.key_len,
		.payload = body + h.topic_len + h.key_len,
		.payload_len = h.body_len - h.topic_len - h.key_len,
	};
	return n;
}

int frame_size(const char *topic, size_t key_len, size_t payload_len, size_t *ret_size)
{
	size_t topic_len = strlen(topic) + 1;

	if (topic_len > UINT16_MAX || key_len > UINT16_MAX || payload_len > SPOOL_RECORD_MAX ||
	    topic_len + key_len + payload_len > SPOOL_RECORD_MAX)
		return -EMSGSIZE;
	*ret_size = sizeof(struct frame_head) + topic_len + key_len + payload_len;
	return 0;
}

void frame_build(uint8_t *to, uint64_t seq, uint64_t time_ns, const char *topic, const void *key,
		 size_t key_len, const void *payload, size_t payload_len)
{
	size_t topic_len = strlen(topic) + 1;
	struct frame_head h = {
		.magic = FRAME_MAGIC,
		.body_len = (uint32_t)(topic_len + key_len + payload_len),
		.topic_len = (uint16_t)topic_len,
		.key_len = (uint16_t)key_len,
		.seq = seq,
		.time_ns = time_ns,
	};
	uint8_t *body = to + sizeof(h);

	memcpy(to, &h, sizeof(h));
	memcpy(body, topic, topic_len);
	if (key_len)
		memcpy(body + topic_len, key, key_len);
	if (payload_len)
		memcpy(body + topic_len + key_len, payload, payload_len);
	h.crc = frame_crc(to, sizeof(h) + h.body_len);
	memcpy(to, &h, sizeof(h));
}
