/* SPDX-License-Identifier: Apache-2.0 */
/* For tests with servers of libssl in this process. */
#ifndef TT_TESTS_LIBSSL_RIG_H
#define TT_TESTS_LIBSSL_RIG_H

#include <openssl/ssl.h>
#include <openssl/x509.h>

/* A certificate with its key, made for this run; nobody checks who signed it. */
static void libssl_certify(SSL_CTX *ctx)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();

	assert_non_null(key);
	X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	assert_int_equal(SSL_CTX_use_certificate(ctx, cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
	X509_free(cert);
	EVP_PKEY_free(key);
}

#endif
