/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text for the members of struct use: bytes that came from another program become valid UTF-8
 * without control characters here, once, so that no sink has to look again.
 */
#include <stdbool.h>
#include <string.h>

#include "tokens/use.h"

/* Length of the well-formed UTF-8 sequence at p (Unicode, table 3-7), its code point in *ret_code;
 * 0: none begins here. */
static size_t utf8_step(const unsigned char *p, size_t len, uint32_t *ret_code)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t code;
	size_t need;

	if (p[0] < 0x80) {
		*ret_code = p[0];
		return 1;
	}
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	need = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (need > len)
		return 0;
	code = p[0] & (0x7f >> need);
	for (size_t i = 1; i < need; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3f);
	}
	if (code < smallest[need] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	*ret_code = code;
	return need;
}

/* Control characters, and those that reorder or hide text on a terminal (a process name is chosen
 * by whoever runs it). */
static bool is_printable(uint32_t code)
{
	if (code < 0x20 || (code >= 0x7f && code < 0xa0))
		return false;
	if (code >= 0x200b && code <= 0x200f)
		return false;
	if (code >= 0x2028 && code <= 0x202e)
		return false;
	if (code >= 0x2060 && code <= 0x206f)
		return false;
	return code != 0xfeff && (code & 0xfffe) != 0xfffe;
}

void use_set_text(char *to, size_t size, const void *bytes, size_t len)
{
	const unsigned char *from = bytes;
	size_t out = 0;

	if (size == 0)
		return;
	/* Most texts have nothing to look at closer. */
	while (out < len && out < size - 1 && from[out] >= 0x20 && from[out] < 0x7f) {
		to[out] = (char)from[out];
		out++;
	}
	for (size_t in = out; in < len;) {
		uint32_t code = 0;
		size_t step = utf8_step(from + in, len - in, &code);
		bool keep = step > 0 && is_printable(code);
		size_t width = keep ? step : 1;

		if (width > size - 1 - out)
			break;
		if (keep)
			memcpy(to + out, from + in, step);
		else
			to[out] = '?';
		out += width;
		in += step ? step : 1;
	}
	to[out] = '\0';
}

const char *use_tls_library(enum tt_tls tls)
{
	switch (tls) {
	case TT_TLS_NONE:
		return "none";
#define TT_TLS(number, name, NAME, file) case TT_TLS_##NAME: return #name;
#define TT_TLS_BLIND(number, name, NAME) TT_TLS(number, name, NAME, "")
#include <tokentrail/tls.def>
#undef TT_TLS
	case TT_TLS_MAX:
		break;
	}
	return "";
}

const char *use_direction(enum tt_dir dir)
{
	switch (dir) {
	case TT_DIR_EGRESS:
		return "egress";
	case TT_DIR_INGRESS:
		return "ingress";
	}
	return "";
}

const char *use_http_version(uint16_t version)
{
	switch (version) {
	case 10:
		return "1.0";
	case 11:
		return "1.1";
	case 20:
		return "2";
	}
	return "";
}
