/* SPDX-License-Identifier: Apache-2.0 */
/* What a response said of a token: from a record's items to facts, and of which credential. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "agent/said.h"
#include "tokens/class.h"
#include "tokens/names.h"

static struct tt_ev_said ev;

static void add_bytes(uint8_t row, const void *text, size_t len)
{
	ev.text[ev.s.text_len++] = row;
	ev.text[ev.s.text_len++] = (uint8_t)len;
	memcpy(ev.text + ev.s.text_len, text, len);
	ev.s.text_len = (uint16_t)(ev.s.text_len + len);
}

static void add(uint8_t row, const char *text)
{
	add_bytes(row, text, strlen(text));
}

static int setup(void **state)
{
	memset(&ev, 0, sizeof(ev));
	return 0;
}

static void expect(enum fact which, const char *text)
{
	struct facts f = { 0 };

	assert_int_equal(said_facts(&ev.s, &f), 0);
	assert_string_equal(facts_text(&f, which), text);
	facts_done(&f);
}

static void expect_expiry(const char *text, uint64_t seconds)
{
	struct facts f = { 0 };

	setup(NULL);
	add(TT_SAID_EXPIRES, text);
	assert_int_equal(said_facts(&ev.s, &f), 0);
	assert_true(facts_number(&f, FACT_token_expires) == seconds * 1000000000);
	assert_string_equal(facts_text(&f, FACT_token_expiry_rule), seconds ? "header" : "");
	facts_done(&f);
}

static void lists(void **state)
{
	add(TT_SAID_SCOPES, "repo {...} read:org");
	add(TT_SAID_SCOPES, "gist repo");
	add(TT_SAID_NEEDED, "repo public_repo");
	add(TT_SAID_SCOPE, "admin:org");
	expect(FACT_token_scopes, "repo\nread:org\ngist");
	expect(FACT_token_needed_scopes, "repo\npublic_repo\nadmin:org");
	expect(FACT_token_answers, "");
}

static void answers(void **state)
{
	const uint8_t none[2] = { 0xff, 0xff };
	uint8_t cookie[2] = { 0 };

	for (uint16_t id = 1; id <= carrier_count(); id++)
		if (carrier_get(id)->space == TT_NAME_COOKIE && strcmp(carrier_get(id)->name, "JSESSIONID") == 0)
			cookie[0] = (uint8_t)id, cookie[1] = (uint8_t)(id >> 8);

	add(TT_SAID_SCHEME, "Bearer");
	add(TT_SAID_ERROR, "invalid_token");
	add(TT_SAID_RESOURCE, "https://a/b");
	add(TT_SAID_REQUIREMENT, "auth-token");
	add(TT_SAID_NONCE, "");
	add_bytes(TT_SAID_COOKIE, cookie, 2);
	add_bytes(TT_SAID_COOKIE, none, 2);
	ev.s.flags = TT_STATUS_SAID_CUT;
	expect(FACT_token_answers, "challenge=Bearer\nerror=invalid_token\nresource_metadata=https://a/b\n"
	       "requirement=auth-token\ndpop_nonce\nset_cookie=JSESSIONID\ncut");
	expect(FACT_token_scopes, "");
}

static void expiries(void **state)
{
	expect_expiry("2031-12-31 23:59:59 UTC", 1956527999);
	expect_expiry("2031-12-31 23:59:59 +0200", 1956527999 - 7200);
	expect_expiry("2031-12-31 23:59:59", 1956527999);
	expect_expiry("tomorrow", 0);
	expect_expiry("tomorrow at noon", 0);
	expect_expiry("{...} {...}", 0);
}

static void request_ids(void **state)
{
	struct outcome o = { .status = 200 };
	char longest[80];

	add(TT_SAID_SCOPES, "repo");
	said_request_id(&ev.s, &o);
	assert_null(o.request_id_field);
	add(TT_SAID_AMZ_ID, "{...}");
	said_request_id(&ev.s, &o);
	assert_string_equal(o.request_id, "");
	memset(longest, 'x', sizeof(longest));
	add_bytes(TT_SAID_AMZN_ID, longest, sizeof(o.request_id));
	said_request_id(&ev.s, &o);
	assert_string_equal(o.request_id, "");	/* half of one joins with nothing */
	add(TT_SAID_AUDIT_ID, "6f1e2a54-0d1c-4c57-8f6b-0a6a1f6c2b11");
	said_request_id(&ev.s, &o);
	assert_string_equal(o.request_id, "6f1e2a54-0d1c-4c57-8f6b-0a6a1f6c2b11");
	assert_string_equal(o.request_id_field, "audit-id");
}

static void checked(void **state)
{
	assert_true(said_ok(&ev.s));
	add(TT_SAID_SCOPES, "repo");
	add(TT_SAID_AMZ_ID, "X");
	assert_true(said_ok(&ev.s));
	ev.s.text_len--;
	assert_false(said_ok(&ev.s));
	setup(NULL);
	ev.s.text_len = 1;
	assert_false(said_ok(&ev.s));
	for (unsigned int row = 0; row < 256; row++) {
		bool known = (row >= 1 && row <= 10) || (row >= 16 && row <= 19);

		setup(NULL);
		add((uint8_t)row, "ab");
		assert_int_equal(said_ok(&ev.s), known);
	}
	setup(NULL);
	add(TT_SAID_COOKIE, "a");
	assert_false(said_ok(&ev.s));
}

static uint16_t carrier(const char *name)
{
	for (uint16_t id = 1; id <= carrier_count(); id++)
		if (carrier_get(id)->space == TT_NAME_HEADER && !strcmp(carrier_get(id)->name, name))
			return id;
	fail_msg("no carrier %s", name);
	return 0;
}

static void whom(void **state)
{
	struct tt_ev_use use = { .creds = 1, .cred = { { .carrier = carrier("x-api-key") } } };

	assert_int_equal(said_about(&use), 0);
	use.creds = 2;
	use.cred[1].carrier = carrier("private-token");
	assert_int_equal(said_about(&use), -1);
	use.cred[1].carrier = carrier("authorization");
	assert_int_equal(said_about(&use), 1);
	use.cred[0].carrier = carrier("authorization");
	assert_int_equal(said_about(&use), -1);
	use.creds = 0;
	assert_int_equal(said_about(&use), -1);
	use.creds = 1;
	use.cred[0] = (struct tt_cred){ .flags = TT_CRED_UNREADABLE };
	assert_int_equal(said_about(&use), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(lists, setup),	    cmocka_unit_test_setup(answers, setup),
		cmocka_unit_test_setup(expiries, setup),    cmocka_unit_test_setup(request_ids, setup),
		cmocka_unit_test_setup(checked, setup),	    cmocka_unit_test(whom),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
