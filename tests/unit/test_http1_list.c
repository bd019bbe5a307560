/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf/readers/http1_list.h: cookies. What is listed becomes a fingerprint of the bare value, whatever
 * stands around it and wherever the head is cut; what is not listed is passed over.
 */
#include "h1_expect.h"

static const char *request(const char *target, const char *lines)
{
	static char text[8192];
	int len = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: h\r\n%s\r\n", target, lines);

	assert_in_range(len, 1, sizeof(text) - 1);
	return text;
}

static void cookies(void **state)
{
	static const struct {
		const char *lines, *value, *carrier;
	} cases[] = {
		{ "Cookie: sid=abc\r\n", "abc", "cookie:sid" },
		{ "cookie:SID=abc;\r\n", "abc", "cookie:sid" },
		{ "Cookie: a=b; sid=abc; c=d\r\n", "abc", "cookie:sid" },
		{ "Cookie: a=b;sid=abc\n", "abc", "cookie:sid" },
		{ "Cookie: sid = \"abc\" ; c\r\n", "abc", "cookie:sid" },
		{ "Cookie: ;;=x;sid;=;novalue; sid=a=b==;\r\n", "a=b==", "cookie:sid" },
		{ "Cookie: sid=two words  ;x=1\r\n", "two words", "cookie:sid" },
		{ "Cookie: long=0123456789012345678901234567890123456789012345678901234567890123456789"
		  "01234567890123456789; sid=0123456789012345678901234567890123456789012345678901234567"
		  "89012345678901234567890123456789\r\nX-Other: sid=no\r\n",
		  "0123456789012345678901234567890123456789012345678901234567"
		  "89012345678901234567890123456789", "cookie:sid" },
		{ "Cookie: a=b;\r\n sid=abc;\r\n\tc=d\r\n", "abc", "cookie:sid" },
		{ "Cookie: __Secure-next-auth.session-token=abc\r\n", "abc", "cookie:next-auth.session-token" },
		{ "Cookie: __Host-JSESSIONID=abc; xJSESSIONID=q; JSESSIONIDx=q\r\n", "abc", "cookie:JSESSIONID" },
		{ "Cookie: ASP.NET_SessionId=abc\r\n", "abc", "cookie:ASP.NET_SessionId" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		feed_all_ways(request("/", cases[i].lines), NULL);
		if (head_at(0)->creds != 1 || drive.notes_len)
			fail_msg("%s: %d credentials", cases[i].lines, head_at(0)->creds);
		expect_cred(0, 0, cases[i].value, cases[i].carrier, NULL);
	}
}

static void several_and_what_is_beside(void **state)
{
	feed_all_ways(request("/?token=query", "Cookie: token=first; lang=en; session=second\r\n"
					       "Authorization: Bearer third;x\r\nCookie: x=1\r\n"), NULL);
	assert_int_equal(head_at(0)->creds, 4);
	expect_cred(0, 0, "query", "query:token", NULL);
	expect_cred(0, 1, "first", "cookie:token", NULL);
	expect_cred(0, 2, "second", "cookie:session", NULL);
	expect_cred(0, 3, "third;x", "authorization", "bearer");	/* no list: it is the token's */
}

static void none(void **state)
{
	feed_all_ways(request("/", "Cookie: theme=sid=abc; sidx=abc; Authorization: Bearer abc\r\n"
				   "Set-Cookie: sid=abc\r\nX-Cookie: sid=abc\r\n"), NULL);
	assert_int_equal(head_at(0)->creds, 0);
	assert_int_equal(drive.notes_len, 0);
	h1_setup(state);
	client(request("/", "Cookie: sid=; token=\"\"; auth\r\n"));
	server("HTTP/1.1 200 OK\r\nCookie: sid=abc\r\nContent-Length: 0\r\n\r\n");
	expect_counts(2, 2);
	expect_note(0, TT_DROP_empty_cred);
	expect_note(1, TT_DROP_empty_cred);
	expect_status(1, 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		H1_TEST(cookies),
		H1_TEST(several_and_what_is_beside),
		H1_TEST(none),
	};

	return cmocka_run_group_tests(tests, h1_group_setup, NULL);
}
