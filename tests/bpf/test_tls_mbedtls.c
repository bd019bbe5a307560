/* SPDX-License-Identifier: Apache-2.0 */
/* bpf/tls_c.bpf.c with a real mbedTLS, linked into this program. */
#include "tls_rig.h"

#include <errno.h>

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>

static mbedtls_entropy_context entropy;
static mbedtls_ctr_drbg_context drbg;
static mbedtls_ssl_config config[2];
static mbedtls_x509_crt chain;
static mbedtls_pk_context key;
static mbedtls_ssl_context ssl[2];	/* the same objects for every connection */
static bool is_open[2];
static int refusals;			/* of the next sends of the client */

static int send_bytes(void *end, const unsigned char *bytes, size_t len)
{
	ssize_t n;

	if ((intptr_t)end == END_CLIENT && refusals > 0) {
		refusals--;
		return MBEDTLS_ERR_SSL_WANT_WRITE;
	}
	n = send(fd[(intptr_t)end], bytes, len, 0);
	return n < 0 ? MBEDTLS_ERR_SSL_WANT_WRITE : (int)n;
}

static int receive_bytes(void *end, unsigned char *bytes, size_t len)
{
	ssize_t n = recv(fd[(intptr_t)end], bytes, len, 0);

	return n < 0 ? MBEDTLS_ERR_SSL_WANT_READ : (int)n;
}

static void tls_begin(int end)
{
	if (!is_open[end])
		assert_int_equal(mbedtls_ssl_setup(&ssl[end], &config[end]), 0);
	is_open[end] = true;
	mbedtls_ssl_set_bio(&ssl[end], (void *)(intptr_t)end, send_bytes, receive_bytes, NULL);
}

static int tls_shake_hands(int end)
{
	int r = mbedtls_ssl_handshake(&ssl[end]);

	assert_true(r == 0 || r == MBEDTLS_ERR_SSL_WANT_READ || r == MBEDTLS_ERR_SSL_WANT_WRITE);
	return r == 0;
}

static void tls_end(int end)
{
	if (is_open[end])
		mbedtls_ssl_free(&ssl[end]);
	is_open[end] = false;
}

static long put_some(int end, const char *bytes, size_t len)
{
	return mbedtls_ssl_write(&ssl[end], (const unsigned char *)bytes, len);
}

static long get_some(int end, char *bytes, size_t len)
{
	return mbedtls_ssl_read(&ssl[end], (unsigned char *)bytes, len);
}

static void configure(int end)
{
	int role = end == END_CLIENT ? MBEDTLS_SSL_IS_CLIENT : MBEDTLS_SSL_IS_SERVER;

	mbedtls_ssl_config_init(&config[end]);
	assert_int_equal(mbedtls_ssl_config_defaults(&config[end], role, MBEDTLS_SSL_TRANSPORT_STREAM,
						     MBEDTLS_SSL_PRESET_DEFAULT), 0);
	mbedtls_ssl_conf_authmode(&config[end], MBEDTLS_SSL_VERIFY_NONE);
	mbedtls_ssl_conf_rng(&config[end], mbedtls_ctr_drbg_random, &drbg);
	mbedtls_ssl_init(&ssl[end]);
}

static int setup(void **state)
{
	rig_start_with(&rig, false);
	rig_attach_library(&rig, "no libmbedtls.so here", TT_TLS_MBEDTLS);
	tls_make_certificate();
	mbedtls_entropy_init(&entropy);
	mbedtls_ctr_drbg_init(&drbg);
	mbedtls_x509_crt_init(&chain);
	mbedtls_pk_init(&key);
	assert_int_equal(mbedtls_ctr_drbg_seed(&drbg, mbedtls_entropy_func, &entropy, NULL, 0), 0);
	assert_int_equal(mbedtls_x509_crt_parse_file(&chain, certificate), 0);
	assert_int_equal(mbedtls_pk_parse_keyfile(&key, private_key, NULL), 0);
	configure(END_CLIENT);
	configure(END_SERVER);
	return mbedtls_ssl_conf_own_cert(&config[END_SERVER], &chain, &key);
}

static int teardown(void **state)
{
	for (int i = 0; i < 2; i++)
		mbedtls_ssl_config_free(&config[i]);
	mbedtls_pk_free(&key);
	mbedtls_x509_crt_free(&chain);
	mbedtls_ctr_drbg_free(&drbg);
	mbedtls_entropy_free(&entropy);
	tls_remove_certificate();
	rig_stop(&rig);
	return 0;
}

static void test_exchange(void **state)
{
	check_exchange(TT_TLS_MBEDTLS);
}

static void test_splits(void **state)
{
	check_splits(TT_TLS_MBEDTLS);
}

static void test_large_body(void **state)
{
	check_large_body(TT_TLS_MBEDTLS);
}

static void test_failed_reads(void **state)
{
	check_failed_reads();
}

static void test_object_again(void **state)
{
	check_object_again(TT_TLS_MBEDTLS);
}

/* Made ready for the next connection in the middle of a message. */
static void test_session_reset(void **state)
{
	put(END_CLIENT, "POST / HTTP/1.1\r\nX-API-Key: " TOKEN "\r\nContent-Length: 1000\r\n\r\n");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(mbedtls_ssl_session_reset(&ssl[i]), 0);
		close(fd[i]);
	}
	rig_collect(&rig);
	assert_int_equal(rig.uses, 1);
	assert_int_equal(rig.closes, 1);
	rig_clear(&rig);
	tls_connect();
	check_exchange(TT_TLS_MBEDTLS);
}

/* Offered until it succeeds: one request. */
static void test_again(void **state)
{
	for (int times = 1; times < 4; times++) {
		refusals = times;
		for (int i = 0; i < times; i++) {
			assert_int_equal(put_some(END_CLIENT, REQUEST, strlen(REQUEST)),
					 MBEDTLS_ERR_SSL_WANT_WRITE);
			rig_collect(&rig);
			assert_int_equal(rig.uses, 0);
		}
		assert_int_equal(put_some(END_CLIENT, REQUEST, strlen(REQUEST)), strlen(REQUEST));
		get(END_SERVER, strlen(REQUEST));
		answer();
		assert_exchange(TT_TLS_MBEDTLS);
		assert_sockets(&rig.use[0].h.tuple, &rig.use[1].h.tuple);
		rig_clear(&rig);
	}
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
		T(test_session_reset),
		T(test_again),
	};

	return rig_run_twice(tests, setup, teardown);
}
