/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program with a TLS library of its own, linked in and stripped: private_tls HOST PORT. One request,
 * prints how many bytes came back, and stays until its standard input ends.
 */
#include <stdio.h>
#include <string.h>

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>

static int fail(const char *what, int r)
{
	fprintf(stderr, "%s: -0x%x\n", what, (unsigned int)-r);
	return 1;
}

static int talk(mbedtls_ssl_context *ssl, const char *host)
{
	unsigned char buf[4096];
	int len, total = 0;

	len = snprintf((char *)buf, sizeof(buf), "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
		       host);
	len = mbedtls_ssl_write(ssl, buf, (size_t)len);
	if (len < 0)
		return fail("write", len);
	while ((len = mbedtls_ssl_read(ssl, buf, sizeof(buf))) > 0)
		total += len;
	printf("%d\n", total);
	fflush(stdout);
	return 0;
}

int main(int argc, char **argv)
{
	mbedtls_ctr_drbg_context random;
	mbedtls_entropy_context entropy;
	mbedtls_ssl_config config;
	mbedtls_ssl_context ssl;
	mbedtls_net_context net;
	int r;

	if (argc != 3)
		return 2;
	mbedtls_ctr_drbg_init(&random);
	mbedtls_entropy_init(&entropy);
	mbedtls_ssl_config_init(&config);
	mbedtls_ssl_init(&ssl);
	mbedtls_net_init(&net);
	r = mbedtls_ctr_drbg_seed(&random, mbedtls_entropy_func, &entropy, NULL, 0);
	if (r == 0)
		r = mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_CLIENT,
						MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
	if (r == 0)
		r = mbedtls_net_connect(&net, argv[1], argv[2], MBEDTLS_NET_PROTO_TCP);
	if (r)
		return fail("setup", r);
	mbedtls_ssl_conf_authmode(&config, MBEDTLS_SSL_VERIFY_NONE);
	mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &random);
	r = mbedtls_ssl_setup(&ssl, &config);
	if (r)
		return fail("setup", r);
	mbedtls_ssl_set_bio(&ssl, &net, mbedtls_net_send, mbedtls_net_recv, NULL);
	r = mbedtls_ssl_handshake(&ssl);
	if (r)
		return fail("handshake", r);
	r = talk(&ssl, argv[1]);
	getchar();
	return r;
}
