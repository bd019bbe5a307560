/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/said.h"

#include <stdio.h>
#include <string.h>

#include "tokens/class.h"
#include "tokens/mint.h"
#include "tokens/names.h"

#define HIDDEN "{...}"

struct item {
	uint8_t row;
	const char *text;
	size_t len;
};

/* The item at *at, which moves behind it; false: there is no whole one. */
static bool next(const struct tt_ev_status *ev, size_t *at, struct item *ret_item)
{
	const uint8_t *text = (const uint8_t *)(ev + 1);
	size_t len;

	if (*at + 2 > ev->text_len)
		return false;
	len = text[*at + 1];
	if (*at + 2 + len > ev->text_len)
		return false;
	*ret_item = (struct item){ text[*at], (const char *)text + *at + 2, len };
	*at += 2 + len;
	return true;
}

static bool is_row(uint8_t row)
{
	return (row >= TT_SAID_SCOPES && row <= TT_SAID_COOKIE) ||
	       (row >= TT_SAID_IDS && row <= TT_SAID_AMZ_ID);
}

bool said_ok(const struct tt_ev_status *ev)
{
	struct item i;
	size_t at = 0;

	while (next(ev, &at, &i))
		if (!is_row(i.row) || (i.row == TT_SAID_COOKIE && i.len != 2))
			return false;
	return at == ev->text_len;
}

static bool is_hidden(const char *text, size_t len)
{
	return len == strlen(HIDDEN) && memcmp(text, HIDDEN, len) == 0;
}

void said_request_id(const struct tt_ev_status *ev, struct outcome *o)
{
	struct item i;
	size_t at = 0;

	while (next(ev, &at, &i)) {
		if (i.row < TT_SAID_IDS || is_hidden(i.text, i.len) || i.len >= sizeof(o->request_id))
			continue;
		use_set_text(o->request_id, sizeof(o->request_id), i.text, i.len);
		o->request_id_field = names_said(i.row);
	}
}

static int add_words(struct facts *f, enum fact list, const struct item *i)
{
	int r = 0;

	for (size_t at = 0, n; at < i->len && r == 0; at += n + 1) {
		const char *end = memchr(i->text + at, ' ', i->len - at);

		n = end ? (size_t)(end - i->text) - at : i->len - at;
		if (n && !is_hidden(i->text + at, n))
			r = facts_add(f, list, i->text + at, n);
	}
	return r;
}

static int add_answer(struct facts *f, const char *name, const char *text, size_t len)
{
	char line[FACTS_TEXT_MAX + 1];
	int n = snprintf(line, sizeof(line), "%s%s%.*s", name, len ? "=" : "", (int)len, text);

	return facts_add(f, FACT_token_answers, line, n < (int)sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

/* "2026-12-31 23:59:59 UTC", or with an offset like +0200. */
static int set_expiry(struct facts *f, const struct item *i)
{
	char date[32] = "", time[32] = "", zone[32] = "Z", text[96], copy[64];
	uint64_t ns;

	snprintf(copy, sizeof(copy), "%.*s", (int)i->len, i->text);
	if (sscanf(copy, "%31s %31s %31s", date, time, zone) < 2)
		return 0;
	if (!strcmp(zone, "UTC") || !strcmp(zone, "GMT"))
		memcpy(zone, "Z", sizeof("Z"));
	if (strlen(zone) == strlen("+0200"))
		snprintf(text, sizeof(text), "%sT%s%.3s:%s", date, time, zone, zone + 3);
	else
		snprintf(text, sizeof(text), "%sT%s%s", date, time, zone);
	ns = mint_time(text);
	if (!ns)
		return 0;
	facts_set_number(f, FACT_token_expires, ns);
	return facts_set_text(f, FACT_token_expiry_rule, "header", strlen("header"));
}

static int add_item(struct facts *f, const struct item *i)
{
	const uint8_t *id = (const uint8_t *)i->text;
	const char *cookie;

	switch (i->row) {
	case TT_SAID_SCOPES:
		return add_words(f, FACT_token_scopes, i);
	case TT_SAID_NEEDED:
	case TT_SAID_SCOPE:
		return add_words(f, FACT_token_needed_scopes, i);
	case TT_SAID_EXPIRES:
		return set_expiry(f, i);
	case TT_SAID_SCHEME:
		return add_answer(f, "challenge", i->text, i->len);
	case TT_SAID_ERROR:
		return add_answer(f, "error", i->text, i->len);
	case TT_SAID_RESOURCE:
		return add_answer(f, "resource_metadata", i->text, i->len);
	case TT_SAID_REQUIREMENT:
		return add_answer(f, "requirement", i->text, i->len);
	case TT_SAID_NONCE:
		return add_answer(f, "dpop_nonce", "", 0);
	case TT_SAID_COOKIE:
		cookie = names_cookie((uint16_t)(id[0] | id[1] << 8));
		return *cookie ? add_answer(f, "set_cookie", cookie, strlen(cookie)) : 0;
	default:
		return 0;
	}
}

int said_facts(const struct tt_ev_status *ev, struct facts *f)
{
	struct item i;
	size_t at = 0;
	int r = 0;

	while (r == 0 && next(ev, &at, &i))
		r = add_item(f, &i);
	if (r == 0 && (ev->flags & TT_STATUS_SAID_CUT))
		r = add_answer(f, "cut", "", 0);
	return r;
}

static bool is_authorization(const struct tt_cred *c)
{
	const struct carrier *carrier = carrier_get(c->carrier);

	return carrier && carrier->space == TT_NAME_HEADER && strcmp(carrier->name, "authorization") == 0;
}

int said_about(const struct tt_ev_use *ev)
{
	int found = -1;

	if (ev->creds == 1)
		return ev->cred[0].flags & TT_CRED_UNREADABLE ? -1 : 0;
	for (int i = 0; i < ev->creds; i++) {
		if (!is_authorization(&ev->cred[i]))
			continue;
		if (found >= 0)
			return -1;
		found = i;
	}
	return found;
}
