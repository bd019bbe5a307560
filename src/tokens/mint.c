/* SPDX-License-Identifier: Apache-2.0 */
#include "tokens/mint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS_PER_S UINT64_C(1000000000)
#define SECONDS_MAX (UINT64_MAX / NS_PER_S / 2)	/* the year 2262 */

const char *mint_action(enum mint_kind action)
{
	switch (action) {
	case MINT_KIND_REVOKE:
		return "revoke";
	case MINT_KIND_CHECK:
		return "check";
	default:
		return "mint";
	}
}

const char *mint_part(enum mint_part part)
{
	switch (part) {
	case MINT_PART_PARENT:
		return "parent";
	case MINT_PART_REVOKED:
		return "revoked";
	case MINT_PART_CHECKED:
		return "checked";
	default:
		return "minted";
	}
}

const char *mint_outcome(const struct mint *m)
{
	return m->succeeded ? "ok" : m->request.status ? "failed" : "unknown";
}

const struct mint_token *mint_token_of(const struct mint *m, enum mint_part part, const char *role)
{
	for (size_t i = 0; i < m->tokens; i++)
		if (m->token[i].part == part && (!role || strcmp(m->token[i].role, role) == 0))
			return &m->token[i];
	return NULL;
}

/* RFC 3339: 2026-01-31T23:59:59[.999](Z|+01:00); a blank for the T is in use, too. */
static uint64_t rfc3339(const char *text)
{
	struct tm tm = { 0 };
	int n = 0, hours = 0, minutes = 0;
	char sign = 'Z', between;
	time_t t;

	if (sscanf(text, "%4d-%2d-%2d%c%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &between,
		   &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &n) != 7 || (between != 'T' && between != ' '))
		return 0;
	text += n;
	if (*text == '.')
		text += 1 + strspn(text + 1, "0123456789");
	if (*text != 'Z' && sscanf(text, "%c%2d:%2d", &sign, &hours, &minutes) != 3)
		return 0;
	if (sign != 'Z' && sign != '+' && sign != '-')
		return 0;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	t = timegm(&tm);
	t -= (sign == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
	return t > 0 && (uint64_t)t < SECONDS_MAX ? (uint64_t)t * NS_PER_S : 0;
}

uint64_t mint_time(const char *text)
{
	size_t digits = strspn(text, "0123456789");
	uint64_t seconds;

	if (!digits || text[digits])
		return rfc3339(text);
	seconds = strtoull(text, NULL, 10);
	return seconds < SECONDS_MAX ? seconds * NS_PER_S : 0;
}
