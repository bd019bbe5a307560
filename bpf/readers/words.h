/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Words of public texts: could one be a secret? Then it is told as "{...}". */
#ifndef TT_READERS_WORDS_H
#define TT_READERS_WORDS_H

#include "http1_work.h"

#define WORD_RUN_MAX 20		/* so many letters and digits in a row are taken for a secret, */
#define WORD_LETTERS_MAX 32	/* without a digit so many, */
#define WORD_WIDE_MAX 32	/* with what tokens have between them so many */
#define WORD_KEY_MAX 24

static __always_inline void word_start(struct word *k)
{
	__builtin_memset(k, 0, sizeof(*k));
}

static __always_inline void word_count(__u8 *n, int on)
{
	*n = !on ? 0 : *n < 250 ? *n + 1 : *n;
}

/* With this byte in it? Names of scopes, URIs, UUIDs and dates are none. */
static __always_inline int word_suspect(struct word *k, __u8 c)
{
	__u8 lower = c | 0x20;
	int letter = lower >= 'a' && lower <= 'z', digit = h1_digit(c);
	int other = c == '-' || c == '_' || c == '.' || c == '~' || c == '+' || c == '=';

	word_count(&k->run, letter || digit || c == '=');
	word_count(&k->hex, h1_hex(c) >= 0);
	word_count(&k->wide, letter || digit || other);
	if (!k->run)
		k->run_digits = 0;
	if (!k->wide)
		k->wide_digits = k->wide_letters = 0;
	k->run_digits |= digit;
	if (digit && k->wide_digits < 250)
		k->wide_digits++;
	k->wide_letters |= letter && lower > 'f';
	return k->hex >= H1_HEX_MAX || k->run >= (k->run_digits ? WORD_RUN_MAX : WORD_LETTERS_MAX) ||
	       (k->wide >= WORD_WIDE_MAX && k->wide_digits >= 3 && k->wide_letters);
}

/* May this be the byte behind `len` others of a public key identifier? */
static __always_inline int word_is_key(__u8 c, __u32 len)
{
	return (h1_digit(c) || (c >= 'A' && c <= 'Z')) && len < WORD_KEY_MAX;
}

#endif
