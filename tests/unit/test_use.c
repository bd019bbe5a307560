/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokens/use.c: what may stand in a record's text, at every cut; names of enums.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tokens/use.h"

/* The input stands at the end of a heap block of its own size: reading past it is found by ASan. */
static const char *set(size_t size, const char *bytes, size_t len)
{
	static char to[256];
	char *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	memset(to, 'Z', sizeof(to));
	use_set_text(to, size, copy, len);
	free(copy);
	assert_int_equal(to[size], 'Z');
	return to;
}

#define TEXT(bytes) set(200, bytes, sizeof(bytes) - 1)

static void test_good(void **state)
{
	assert_string_equal(TEXT(""), "");
	assert_string_equal(TEXT("curl"), "curl");
	assert_string_equal(TEXT("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"),
			    "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
	assert_string_equal(TEXT("\xed\x9f\xbf \xef\xbf\xbd"), "\xed\x9f\xbf \xef\xbf\xbd");
}

static void test_control(void **state)
{
	assert_string_equal(TEXT("a\nb\tc\x1b[m\x7f"), "a?b?c?[m?");
	assert_string_equal(TEXT("a\0b"), "a?b");
	assert_string_equal(TEXT("\xc2\x85"), "?");	    /* C1 control NEL */
	assert_string_equal(TEXT("a\xe2\x80\xaeX"), "a?X"); /* right-to-left override */
	assert_string_equal(TEXT("a\xef\xbb\xbfX"), "a?X"); /* byte order mark */
}

static void test_malformed(void **state)
{
	assert_string_equal(TEXT("\x80"), "?");
	assert_string_equal(TEXT("a\xc0\xafz"), "a??z"); /* overlong / */
	assert_string_equal(TEXT("\xe0\x80\xaf"), "???");
	assert_string_equal(TEXT("\xed\xa0\x80"), "???");      /* surrogate */
	assert_string_equal(TEXT("\xf4\x90\x80\x80"), "????"); /* above U+10FFFF */
	assert_string_equal(TEXT("\xf5\xff\xfe"), "???");
	assert_string_equal(TEXT("\xe2\x82"), "??"); /* ends too early */
	assert_string_equal(TEXT("\xe2\x82z"), "??z");
	assert_string_equal(TEXT("\xc3"), "?");
}

static void test_cut(void **state)
{
	static const char euro[] = "a\xe2\x82\xac";

	assert_string_equal(set(1, "abc", 3), "");
	assert_string_equal(set(3, "abc", 3), "ab");
	assert_string_equal(set(4, "abc", 3), "abc");
	/* never half a character */
	assert_string_equal(set(2, euro, 4), "a");
	assert_string_equal(set(3, euro, 4), "a");
	assert_string_equal(set(4, euro, 4), "a");
	assert_string_equal(set(5, euro, 4), "a\xe2\x82\xac");
	set(0, "abc", 3);
}

static void test_names(void **state)
{
	assert_string_equal(use_tls_library(TT_TLS_NONE), "none");
	assert_string_equal(use_tls_library(TT_TLS_OPENSSL), "openssl");
	assert_string_equal(use_tls_library(TT_TLS_GNUTLS), "gnutls");
	assert_string_equal(use_tls_library(TT_TLS_WOLFSSL), "wolfssl");
	assert_string_equal(use_tls_library(TT_TLS_MBEDTLS), "mbedtls");
	assert_string_equal(use_tls_library(TT_TLS_S2N), "s2n");
	assert_string_equal(use_tls_library(TT_TLS_LIBRESSL), "libressl");
	assert_string_equal(use_tls_library(TT_TLS_BORINGSSL), "boringssl");
	assert_string_equal(use_tls_library(TT_TLS_GO), "go");
	assert_string_equal(use_tls_library(TT_TLS_RUSTLS), "rustls");
	assert_string_equal(use_tls_library(TT_TLS_NSS), "nss");
	assert_string_equal(use_tls_library(TT_TLS_JSSE), "jsse");
	assert_string_equal(use_tls_library(TT_TLS_MAX), "");
	assert_string_equal(use_tls_library(99), "");
	assert_string_equal(use_direction(TT_DIR_EGRESS), "egress");
	assert_string_equal(use_direction(TT_DIR_INGRESS), "ingress");
	assert_string_equal(use_direction(0), "");
	assert_string_equal(use_http_version(10), "1.0");
	assert_string_equal(use_http_version(11), "1.1");
	assert_string_equal(use_http_version(20), "2");
	assert_string_equal(use_http_version(0), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),	  cmocka_unit_test(test_control),
		cmocka_unit_test(test_malformed), cmocka_unit_test(test_cut),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
