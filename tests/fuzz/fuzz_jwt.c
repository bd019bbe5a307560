/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer target for tokens/jwt.c. An input is a JSON text of a header, a line feed, and one of a
 * payload; with a first byte 1 the two as they are on the wire. Whatever they say: no more than 4 KiB of
 * facts beside the lists, only clean text, and the same text twice the same facts.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../lib/jwt_make.h"
#include "tokens/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t publish[PUBLISH_KEY_LEN] = { 1 };
static struct tt_ev_claims ev;

static void copy(char *to, uint16_t *ret_len, const uint8_t *from, size_t len, bool raw)
{
	if (raw)
		memcpy(to, from, len);
	else
		len = jwt_base64(to, from, len);
	*ret_len = (uint16_t)len;
}

static bool fill(const uint8_t *data, size_t size, bool raw)
{
	const uint8_t *line = memchr(data, '\n', size);
	static char text[TT_CLAIMS_TEXT_MAX + 8];

	if (size > TT_CLAIMS_TEXT_MAX / 2)
		return false;
	memset(&ev, 0, sizeof(ev));
	copy(text, &ev.header_len, data, line ? (size_t)(line - data) : size, raw);
	memcpy(ev.text, text, ev.header_len);
	if (!line)
		return true;
	copy(text, &ev.payload_len, line + 1, size - (size_t)(line + 1 - data), raw);
	ev.text[ev.header_len] = '.';
	memcpy(ev.text + ev.header_len + 1, text, ev.payload_len);
	return true;
}

static void check_text(const char *text, bool list)
{
	if (strlen(text) > (list ? FACTS_LIST_MAX : FACTS_TEXT_MAX))
		abort();
	for (; *text; text++)
		if ((unsigned char)*text < ' ' && !(list && *text == FACTS_LIST_SEPARATOR))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct facts a = { 0 }, b = { 0 };
	struct jwt_class class;
	bool raw = size && data[0] == 1, changed;

	if (!fill(data + raw, size - raw, raw))
		return 0;
	if (jwt_facts(&ev, publish, &a, &class) < 0 || jwt_facts(&ev, publish, &b, &class) < 0)
		abort();
	for (int i = 0; i < FACTS; i++) {
		bool list = fact_infos[i].kind == FACT_KIND_LIST;

		if (list || fact_infos[i].kind == FACT_KIND_TEXT)
			check_text(facts_text(&a, i), list);
	}
	if (facts_merge(&a, &b, &changed) < 0 || changed)
		abort();
	facts_done(&a);
	facts_done(&b);
	return 0;
}
