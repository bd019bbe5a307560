/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small work on text: how alike two words are (for "did you mean"), numbers with units. Knows
 * nothing of tokentrail.
 */
#ifndef TT_BASE_TEXT_H
#define TT_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Changes that turn one into the other: a letter more, less, other, or two swapped. Words longer
 * than 127 bytes are as far away as can be: SIZE_MAX. */
size_t text_distance(const char *a, const char *b);

/* True when `distance` between a word of `len` bytes and a known one looks like a slip. */
bool text_is_slip(size_t distance, size_t len);

/* "4MiB", "4 KiB", "1048576". -EINVAL: not that; -ERANGE: more than 64 bits. */
int text_parse_bytes(const char *text, uint64_t *ret_bytes);

/* "250ms", "30s", "5min", "1h"; a plain number is milliseconds. Errors as above. */
int text_parse_ms(const char *text, uint64_t *ret_ms);

/* A plain number. Errors as above. */
int text_parse_u64(const char *text, uint64_t *ret_value);

/* The shortest exact form of the above: "4MiB", "30s". At least 32 bytes of room. */
void text_print_bytes(uint64_t bytes, char *to, size_t size);
void text_print_ms(uint64_t ms, char *to, size_t size);

#endif
