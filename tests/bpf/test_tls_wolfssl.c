/* SPDX-License-Identifier: Apache-2.0 */
/* bpf/tls_c.bpf.c with a real libwolfssl. */
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#include "tls_rig.h"

static WOLFSSL_CTX *context[2];
static WOLFSSL *ssl[2];
static int refusals;	/* of the next sends of the client */
static unsigned int round_robin;

static int send_bytes(WOLFSSL *s, char *bytes, int len, void *data)
{
	if (s == ssl[END_CLIENT] && refusals > 0) {
		refusals--;
		return WOLFSSL_CBIO_ERR_WANT_WRITE;
	}
	return (int)send(fd[s == ssl[END_SERVER]], bytes, (size_t)len, 0);
}

static void tls_begin(int end)
{
	if (!ssl[end])
		ssl[end] = wolfSSL_new(context[end]);
	assert_non_null(ssl[end]);
	assert_int_equal(wolfSSL_set_fd(ssl[end], fd[end]), WOLFSSL_SUCCESS);
	wolfSSL_SSLSetIOSend(ssl[end], send_bytes);
}

static int tls_shake_hands(int end)
{
	int r = end == END_CLIENT ? wolfSSL_connect(ssl[end]) : wolfSSL_accept(ssl[end]);

	return r == WOLFSSL_SUCCESS;
}

static void tls_end(int end)
{
	if (ssl[end])
		wolfSSL_free(ssl[end]);
	ssl[end] = NULL;
}

/* wolfSSL_send() and wolfSSL_recv() are wrappers. */
static long put_some(int end, const char *bytes, size_t len)
{
	return round_robin++ % 2 ? wolfSSL_write(ssl[end], bytes, (int)len) :
				   wolfSSL_send(ssl[end], bytes, (int)len, 0);
}

static long get_some(int end, char *bytes, size_t len)
{
	return round_robin % 3 ? wolfSSL_read(ssl[end], bytes, (int)len) :
				 wolfSSL_recv(ssl[end], bytes, (int)len, 0);
}

static int setup(void **state)
{
	rig_start_with(&rig, false);
	rig_attach_library(&rig, "libwolfssl.so", TT_TLS_WOLFSSL);
	tls_make_certificate();
	assert_int_equal(wolfSSL_Init(), WOLFSSL_SUCCESS);
	context[END_CLIENT] = wolfSSL_CTX_new(wolfSSLv23_client_method());
	context[END_SERVER] = wolfSSL_CTX_new(wolfSSLv23_server_method());
	wolfSSL_CTX_set_verify(context[END_CLIENT], WOLFSSL_VERIFY_NONE, NULL);
	assert_int_equal(wolfSSL_CTX_use_certificate_file(context[END_SERVER], certificate,
							  WOLFSSL_FILETYPE_PEM), WOLFSSL_SUCCESS);
	assert_int_equal(wolfSSL_CTX_use_PrivateKey_file(context[END_SERVER], private_key,
							 WOLFSSL_FILETYPE_PEM), WOLFSSL_SUCCESS);
	return 0;
}

static int teardown(void **state)
{
	for (int i = 0; i < 2; i++)
		wolfSSL_CTX_free(context[i]);
	wolfSSL_Cleanup();
	tls_remove_certificate();
	rig_stop(&rig);
	return 0;
}

static void test_exchange(void **state)
{
	check_exchange(TT_TLS_WOLFSSL);
}

static void test_splits(void **state)
{
	check_splits(TT_TLS_WOLFSSL);
}

static void test_large_body(void **state)
{
	check_large_body(TT_TLS_WOLFSSL);
}

static void test_failed_reads(void **state)
{
	check_failed_reads();
}

static void test_object_again(void **state)
{
	check_object_again(TT_TLS_WOLFSSL);
}

/* Made ready for the next connection without being freed. */
static void test_cleared_object(void **state)
{
	WOLFSSL *before = ssl[END_CLIENT];
	uint64_t first;

	check_exchange(TT_TLS_WOLFSSL);
	first = rig.use[0].h.conn;
	assert_int_equal(wolfSSL_clear(ssl[END_CLIENT]), WOLFSSL_SUCCESS);
	tls_end(END_SERVER);
	for (int i = 0; i < 2; i++)
		close(fd[i]);
	rig_clear(&rig);
	tls_connect();
	assert_ptr_equal(ssl[END_CLIENT], before);
	check_exchange(TT_TLS_WOLFSSL);
	assert_true(rig.use[0].h.conn != first);
}

/* Offered until it succeeds: one request. */
static void test_again(void **state)
{
	for (int times = 1; times < 4; times++) {
		refusals = times;
		for (int i = 0; i < times; i++) {
			assert_true(wolfSSL_write(ssl[END_CLIENT], REQUEST, (int)strlen(REQUEST)) < 0);
			rig_collect(&rig);
			assert_int_equal(rig.uses, 0);
		}
		assert_int_equal(wolfSSL_write(ssl[END_CLIENT], REQUEST, (int)strlen(REQUEST)),
				 strlen(REQUEST));
		get(END_SERVER, strlen(REQUEST));
		answer();
		assert_exchange(TT_TLS_WOLFSSL);
		assert_sockets(&rig.use[0].h.tuple, &rig.use[1].h.tuple);
		rig_clear(&rig);
	}
}

/* Looking ahead does not count. */
static void test_peek(void **state)
{
	char buf[1000];

	put(END_CLIENT, REQUEST);
	while (wolfSSL_peek(ssl[END_SERVER], buf, sizeof(buf)) < 0)
		;
	get(END_SERVER, strlen(REQUEST));
	answer();
	assert_exchange(TT_TLS_WOLFSSL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, tls_open, tls_shut)
		T(test_exchange),
		T(test_splits),
		T(test_large_body),
		T(test_failed_reads),
		T(test_object_again),
		T(test_cleared_object),
		T(test_again),
		T(test_peek),
	};

	return rig_run_twice(tests, setup, teardown);
}
