/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/*
 * What a probe's program is told of its place, in the probe's cookie: where a function keeps three of its
 * arguments there. Made by agent/elf_record.c, which finds them, and read by bpf/record.bpf.h.
 *
 * Four bytes: the object, the record's type, whether the reader only looks ahead, and where the window of
 * the stack begins that they are read from, in words of 4 bytes above the stack pointer. The first three
 * are words of the place: those of the registers that a called function has to leave alone, two each (RBX, RBP, R12 to
 * R15), then those of the window.
 */
#ifndef TOKENTRAIL_COOKIE_H
#define TOKENTRAIL_COOKIE_H

#define COOKIE_REGISTERS 6
#define COOKIE_STACK (2 * COOKIE_REGISTERS)	/* the window's first word */
#define COOKIE_PLACE_WORDS 32			/* a power of two that all of them fit in */
#define COOKIE_WORDS (COOKIE_PLACE_WORDS - COOKIE_STACK)	/* of the window */

#define COOKIE(object, type, peek, window) ((object) | (type) << 8 | (peek) << 16 | (window) << 24)
#define COOKIE_OBJECT(cookie) ((cookie) & 0xff)
#define COOKIE_TYPE(cookie) ((cookie) >> 8 & 0xff)
#define COOKIE_PEEK(cookie) ((cookie) >> 16 & 0xff)
#define COOKIE_WINDOW(cookie) ((cookie) >> 24 & 0xff)

#endif
