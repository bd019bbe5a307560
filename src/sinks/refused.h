/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where records go that the other side refuses for good: one JSON object a line, the payload in
 * hexadecimal, so that an operator can read why and send it again by other means.
 *   {"time":"2026-01-01T00:00:00Z","topic":"...","key":"...","reason":"...","payload":"0a0b..."}
 * Bounded: a full file becomes FILE.1, the one before it goes.
 */
#ifndef TT_SINKS_REFUSED_H
#define TT_SINKS_REFUSED_H

#include <stddef.h>
#include <stdint.h>

struct refused {
	const char *topic, *reason;
	const void *key, *payload;
	size_t key_len, payload_len;
	uint64_t time_ns; /* CLOCK_REALTIME */
};

/* Appends a line to dir/refused (0600), which grows to max_bytes. 0 or a negative errno. */
int refused_add(const char *dir, const struct refused *r, uint64_t max_bytes);

#endif
