/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf/cover*.bpf.h: what TLS sockets carried and how much of it was seen, with a real libssl that is
 * probed and a real mbedTLS in this program that is not.
 */
#include "tls_rig.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <linux/tcp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>
#include <openssl/ssl.h>

enum { OUT, IN };

static SSL_CTX *ctx[2];
static SSL *ssl[2];

static long put_some(int end, const char *bytes, size_t len)
{
	return SSL_write(ssl[end], bytes, (int)len);
}

static long get_some(int end, char *bytes, size_t len)
{
	return SSL_read(ssl[end], bytes, (int)len);
}

static void tls_begin(int end)
{
	ssl[end] = SSL_new(ctx[end]);
	SSL_set_fd(ssl[end], fd[end]);
	if (end == END_CLIENT)
		SSL_set_connect_state(ssl[end]);
	else
		SSL_set_accept_state(ssl[end]);
}

static int tls_shake_hands(int end)
{
	return SSL_do_handshake(ssl[end]) == 1;
}

static void tls_end(int end)
{
	SSL_free(ssl[end]);
	ssl[end] = NULL;
}

/* ---- mbedTLS ---- */

static mbedtls_entropy_context entropy;
static mbedtls_ctr_drbg_context drbg;
static mbedtls_ssl_config own_config[2];
static mbedtls_x509_crt chain;
static mbedtls_pk_context key;
static mbedtls_ssl_context own[2];

static int own_send(void *at, const unsigned char *bytes, size_t len)
{
	ssize_t n = send(*(int *)at, bytes, len, 0);

	return n < 0 ? MBEDTLS_ERR_SSL_WANT_WRITE : (int)n;
}

static int own_receive(void *at, unsigned char *bytes, size_t len)
{
	ssize_t n = recv(*(int *)at, bytes, len, 0);

	return n < 0 ? MBEDTLS_ERR_SSL_WANT_READ : (int)n;
}

static void own_configure(void)
{
	mbedtls_entropy_init(&entropy);
	mbedtls_ctr_drbg_init(&drbg);
	mbedtls_x509_crt_init(&chain);
	mbedtls_pk_init(&key);
	assert_int_equal(mbedtls_ctr_drbg_seed(&drbg, mbedtls_entropy_func, &entropy, NULL, 0), 0);
	assert_int_equal(mbedtls_x509_crt_parse_file(&chain, certificate), 0);
	assert_int_equal(mbedtls_pk_parse_keyfile(&key, private_key, NULL), 0);
	for (int end = 0; end < 2; end++) {
		mbedtls_ssl_config_init(&own_config[end]);
		assert_int_equal(mbedtls_ssl_config_defaults(&own_config[end],
							     end == END_CLIENT ? MBEDTLS_SSL_IS_CLIENT :
										 MBEDTLS_SSL_IS_SERVER,
							     MBEDTLS_SSL_TRANSPORT_STREAM,
							     MBEDTLS_SSL_PRESET_DEFAULT), 0);
		mbedtls_ssl_conf_rng(&own_config[end], mbedtls_ctr_drbg_random, &drbg);
		mbedtls_ssl_conf_authmode(&own_config[end], MBEDTLS_SSL_VERIFY_NONE);
	}
	assert_int_equal(mbedtls_ssl_conf_own_cert(&own_config[END_SERVER], &chain, &key), 0);
}

static void own_connect(int pair[2])
{
	int done[2] = { 0, 0 };

	for (int end = 0; end < 2; end++) {
		assert_int_equal(fcntl(pair[end], F_SETFL, O_NONBLOCK), 0);
		mbedtls_ssl_init(&own[end]);
		assert_int_equal(mbedtls_ssl_setup(&own[end], &own_config[end]), 0);
		mbedtls_ssl_set_bio(&own[end], &pair[end], own_send, own_receive, NULL);
	}
	for (int i = 0; i < TRIES && (!done[0] || !done[1]); i++) {
		for (int end = 0; end < 2; end++)
			done[end] = done[end] || mbedtls_ssl_handshake(&own[end]) == 0;
		wait_a_little(i);
	}
	assert_true(done[0] && done[1]);
}

static void own_say(int from, size_t len)
{
	static unsigned char text[16384];
	size_t left = len;
	int n;

	assert_int_equal(mbedtls_ssl_write(&own[from], text, len), len);
	for (int i = 0; left && i < TRIES; i++) {
		n = mbedtls_ssl_read(&own[!from], text, left);
		if (n > 0)
			left -= (size_t)n;
		else
			wait_a_little(i);
	}
	assert_int_equal(left, 0);
}

/* ---- what was counted ---- */

static struct tt_cover_row row;

static void keep_mine(const struct tt_cover_key *k, const struct tt_cover_row *r, void *arg)
{
	if (k->tgid == *(uint32_t *)arg)
		row = *r;
}

static const struct tt_cover_row *row_of(pid_t pid)
{
	uint32_t tgid = (uint32_t)pid;

	memset(&row, 0, sizeof(row));
	assert_int_equal(bpf_sensor_cover_each(rig.sensor, keep_mine, &tgid), 0);
	return &row;
}

static const struct tt_cover_row *mine(void)
{
	return row_of(getpid());
}

static void take_mine(const struct tt_cover_key *k, const struct tt_cover_row *r, void *arg)
{
	if (k->tgid == *(uint32_t *)arg)
		*(struct tt_cover_key *)&row = *k;
}

/* Counts begin with 0 again. */
static void forget_mine(void)
{
	uint32_t tgid = (uint32_t)getpid();
	struct tt_cover_key k;
	struct tt_cover_row last;

	memset(&row, 0, sizeof(row));
	assert_int_equal(bpf_sensor_cover_each(rig.sensor, take_mine, &tgid), 0);
	memcpy(&k, &row, sizeof(k));
	if (k.tgid)
		assert_int_equal(bpf_sensor_cover_take(rig.sensor, &k, &last), 0);
}

static uint64_t boot_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

/* What TCP itself says of a socket: bytes sent and acknowledged, bytes received. */
static void tcp_count(int s, uint64_t count[2])
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	for (int i = 0; i < TRIES; i++) {
		assert_int_equal(getsockopt(s, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
		if (!info.tcpi_unacked && !info.tcpi_notsent_bytes)
			break;
		wait_a_little(i);
	}
	count[OUT] = info.tcpi_bytes_sent - info.tcpi_bytes_retrans;
	count[IN] = info.tcpi_bytes_received;
	/* The number of the SYN of the side that connected is acknowledged too. */
	assert_true(info.tcpi_bytes_acked - count[OUT] <= 1);
}

static void assert_wire(int s[2], uint64_t before[2])
{
	uint64_t a[2], b[2];

	tcp_count(s[0], a);
	tcp_count(s[1], b);
	assert_int_equal(mine()->wire[OUT], a[OUT] + b[OUT] - before[OUT]);
	assert_int_equal(row.wire[IN], a[IN] + b[IN] - before[IN]);
}

static uint64_t nothing[2];

/* ---- set up ---- */

static int early[2];	/* an mbedTLS connection from before the sensor */
static int early_fd[2];	/* a libssl one */
static SSL *early_ssl[2];

static int setup(void **state)
{
	tls_make_certificate();
	own_configure();
	ctx[END_CLIENT] = SSL_CTX_new(TLS_client_method());
	ctx[END_SERVER] = SSL_CTX_new(TLS_server_method());
	SSL_CTX_use_certificate_file(ctx[END_SERVER], certificate, SSL_FILETYPE_PEM);
	SSL_CTX_use_PrivateKey_file(ctx[END_SERVER], private_key, SSL_FILETYPE_PEM);
	for (int i = 0; i < 2; i++)
		SSL_CTX_set_mode(ctx[i], SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_ENABLE_PARTIAL_WRITE);
	rig_tcp(early);
	own_connect(early);
	tls_connect();
	memcpy(early_fd, fd, sizeof(fd));
	memcpy(early_ssl, ssl, sizeof(ssl));
	ssl[0] = ssl[1] = NULL;
	rig_start_with(&rig, false);
	rig_attach_library(&rig, "libssl.so", TT_TLS_OPENSSL);
	return 0;
}

static int teardown(void **state)
{
	rig_stop(&rig);
	tls_remove_certificate();
	return 0;
}

static int fresh(void **state)
{
	forget_mine();
	return tls_open(state);
}

static int bare(void **state)
{
	forget_mine();
	rig_tcp(fd);
	return 0;
}

/* ---- tests ---- */

static void test_both_ends(void **state)
{
	uint64_t now = boot_ns();
	struct tt_exec exec;

	assert_int_equal(mine()->sockets, 2);
	assert_int_equal(row.blind_sockets, 2);
	assert_int_equal(row.flags, TT_COVER_CLIENT | TT_COVER_SERVER);
	assert_true(row.first_tls_ns <= now && row.first_tls_ns + 1000000000 > now);
	assert_int_equal(row.first_call_ns, 0);
	assert_int_equal(row.covered[OUT] + row.covered[IN], 0);
	assert_int_equal(row.uid, getuid());
	assert_string_equal((const char *)row.comm, "test_cover");
	assert_true(row.cgroup != 0);
	assert_int_equal(row.exec_ns, 0);	/* before the sensor came */
	assert_int_equal(bpf_sensor_exec(rig.sensor, (uint32_t)getpid(), &exec), -ENOENT);
	put(END_CLIENT, REQUEST);
	get(END_SERVER, strlen(REQUEST));
	answer();
	assert_wire(fd, nothing);
	assert_true(row.first_call_ns >= now);
	assert_int_equal(row.sockets, 2);
	assert_int_equal(row.blind_sockets, 0);
	for (int dir = 0; dir < 2; dir++) {
		assert_int_equal(row.plain[dir], strlen(REQUEST) + strlen(RESPONSE));
		assert_int_equal(row.loose[dir], 0);
		assert_int_equal(row.covered[dir], row.wire[dir]);
	}
}

/* What the server sends after the handshake is read with the first answer; here there is none. */
static void take_tickets(void)
{
	char c;

	for (int i = 0; i < 20; i++) {
		assert_true(get_some(END_CLIENT, &c, 1) < 0);
		usleep(500);
	}
}

/*
 * Records on a socket whose connection is known: what is received waits for its record, what is encrypted for its send. Where
 * these don't come (here the program reads the socket itself, as if the probes were gone), no more than the last
 * waits, until the socket ends.
 */
static void test_waiting_for_records(void **state)
{
	uint64_t a[2], b[2], seen;
	char buf[4096];

	for (int i = 0; i < 2; i++) {
		put(END_CLIENT, REQUEST);
		get(END_SERVER, strlen(REQUEST));
		answer();
	}
	assert_wire(fd, nothing);
	for (int i = 0; i < 3; i++) {
		put(END_CLIENT, REQUEST);
		for (int tries = 0; tries < TRIES && recv(fd[END_SERVER], buf, sizeof(buf), 0) < 0; tries++)
			wait_a_little(tries);
	}
	tcp_count(fd[0], a);
	tcp_count(fd[1], b);
	seen = mine()->wire[IN];
	assert_true(a[IN] + b[IN] - seen <= strlen(REQUEST) + 22);
	assert_int_equal(row.wire[OUT], a[OUT] + b[OUT]);
	assert_int_equal(row.plain[OUT], 5 * strlen(REQUEST) + 2 * strlen(RESPONSE));
	assert_int_equal(row.plain[IN], 2 * (strlen(REQUEST) + strlen(RESPONSE)));
	close(fd[END_SERVER]);
	fd[END_SERVER] = -1;
	for (int tries = 0; tries < TRIES && mine()->wire[IN] != a[IN] + b[IN]; tries++)
		wait_a_little(tries);
	assert_int_equal(row.wire[IN], a[IN] + b[IN]);
}

/* What could not be sent any more was encrypted, and counts when the socket ends. */
static void test_waiting_for_sends(void **state)
{
	static char text[16384];	/* of one record */
	uint64_t given = 0, before;
	int n;

	put(END_CLIENT, REQUEST);
	get(END_SERVER, strlen(REQUEST));
	answer();
	before = mine()->plain[OUT];
	while ((n = SSL_write(ssl[END_CLIENT], text, sizeof(text))) > 0)
		given += (uint64_t)n;
	assert_int_equal(SSL_get_error(ssl[END_CLIENT], n), SSL_ERROR_WANT_WRITE);
	given += sizeof(text);	/* encrypted, and perhaps sent in part */
	assert_true(mine()->plain[OUT] - before == given || mine()->plain[OUT] - before == given - sizeof(text));
	close(fd[END_SERVER]);	/* with bytes that nobody has read: the other end is reset */
	fd[END_SERVER] = -1;
	close(fd[END_CLIENT]);
	fd[END_CLIENT] = -1;
	for (int tries = 0; tries < TRIES && mine()->plain[OUT] - before != given; tries++)
		wait_a_little(tries);
	assert_int_equal(row.plain[OUT] - before, given);
	assert_true(row.covered[OUT] > 0 && (uint64_t)row.covered[OUT] <= row.wire[OUT]);
}

/* One direction only: nothing of the other one's is seen. */
static void test_one_direction(void **state)
{
	char c;

	put(END_CLIENT, "hello");
	take_tickets();
	get(END_SERVER, 0);
	assert_int_equal(SSL_peek(ssl[END_SERVER], &c, 1), 1);	/* has no probe */
	assert_wire(fd, nothing);
	assert_int_equal(row.plain[OUT], 5);
	assert_true(row.covered[OUT] > 0 && (uint64_t)row.covered[OUT] < row.wire[OUT]);
	assert_int_equal(row.covered[IN], 0);
	assert_int_equal(row.blind_sockets, 1);
}

static void bulk(int from, size_t len)
{
	static char text[65536];
	size_t sent = 0, got = 0;
	int n;

	for (int i = 0; got < len && i < 100 * TRIES; i++) {
		size_t left = len - sent < sizeof(text) ? len - sent : sizeof(text);

		n = left ? SSL_write(ssl[from], text, (int)left) : 0;
		sent += n > 0 ? (size_t)n : 0;
		while ((n = SSL_read(ssl[!from], text, sizeof(text))) > 0)
			got += (size_t)n;
	}
	assert_int_equal(got, len);
}

static void test_bulk(void **state)
{
	const size_t len = 40 << 20;

	bulk(END_SERVER, len);
	assert_wire(fd, nothing);
	assert_int_equal(row.plain[OUT], len);
	assert_true(row.wire[OUT] > len);
	assert_true((uint64_t)row.covered[OUT] <= row.wire[OUT]);
	assert_true((uint64_t)row.covered[OUT] >= row.wire[OUT] / 100 * 99);
	assert_true((uint64_t)row.covered[IN] >= row.wire[IN] / 100 * 99);
}

/* Half of it went by the probes: that half does not count. */
static void test_half_of_a_bulk(void **state)
{
	const size_t half = 8 << 20;

	bulk(END_SERVER, half);
	attach_free(rig.attach);
	rig.attach = NULL;
	bulk(END_SERVER, half);
	assert_wire(fd, nothing);
	for (int dir = 0; dir < 2; dir++) {
		assert_int_equal(row.plain[dir], half);
		assert_int_equal(row.covered[dir], half);
	}
	rig_attach_library(&rig, "libssl.so", TT_TLS_OPENSSL);
}

/* Many short messages are mostly overhead, and covered all the same. */
static void test_short_messages(void **state)
{
	for (int i = 0; i < 3000; i++) {
		put(i & 1, "0123456789");
		get(!(i & 1), 10);
	}
	assert_wire(fd, nothing);
	for (int dir = 0; dir < 2; dir++)
		assert_int_equal(row.covered[dir], row.wire[dir]);
}

/* Records that are read in small pieces: most reads do no socket I/O. */
static void test_small_reads(void **state)
{
	static char text[12000];

	memset(text, 1, sizeof(text));
	put_bytes(END_CLIENT, text, sizeof(text));
	for (size_t n = 0; n < sizeof(text); n += 100)
		get(END_SERVER, 100);
	take_tickets();
	assert_wire(fd, nothing);
	assert_int_equal(row.plain[IN], sizeof(text));
	assert_int_equal(row.loose[IN], 0);
	assert_true(row.covered[IN] > 12000);
}

static size_t make_hello(char *to, size_t size)
{
	SSL *s = SSL_new(ctx[END_CLIENT]);
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	int n;

	SSL_set_bio(s, in, out);
	SSL_set_connect_state(s);
	SSL_do_handshake(s);
	n = BIO_read(out, to, (int)size);
	assert_true(n > 100);
	SSL_free(s);
	return (size_t)n;
}

/* Header first, the rest with the next receive; looked at before, too. */
static void test_split_hello(void **state)
{
	char hello[2048];
	size_t len = make_hello(hello, sizeof(hello));

	assert_int_equal(send(fd[0], hello, len, 0), len);
	assert_int_equal(mine()->flags, TT_COVER_CLIENT);
	assert_int_equal(row.sockets, 1);
	assert_int_equal(recv(fd[1], hello, 1, MSG_PEEK), 1);
	assert_int_equal(recv(fd[1], hello, len, MSG_PEEK), len);
	assert_int_equal(mine()->flags, TT_COVER_CLIENT);
	assert_int_equal(recv(fd[1], hello, 5, 0), 5);
	assert_int_equal(mine()->flags, TT_COVER_CLIENT);
	assert_int_equal(recv(fd[1], hello + 5, len - 5, 0), len - 5);
	assert_int_equal(mine()->flags, TT_COVER_CLIENT | TT_COVER_SERVER);
	assert_wire(fd, nothing);
}

/* A header, and then something else. */
static void test_split_no_hello(void **state)
{
	char hello[2048];
	size_t len = make_hello(hello, sizeof(hello));

	assert_int_equal(send(fd[1], "x", 1, 0), 1);
	hello[5] = 2;
	assert_int_equal(send(fd[0], hello, 5, 0), 5);
	assert_int_equal(send(fd[0], hello + 5, len - 5, 0), len - 5);
	get(END_SERVER, 0);
	assert_int_equal(recv(fd[1], hello, 5, MSG_WAITALL), 5);
	assert_int_equal(recv(fd[1], hello + 5, len - 5, MSG_WAITALL), len - 5);
	assert_int_equal(mine()->sockets, 0);
}

/* In two buffers of one call. */
static void test_vectors(void **state)
{
	char hello[2048];
	size_t len = make_hello(hello, sizeof(hello));
	struct iovec v[3] = { { hello, 0 }, { hello, 100 }, { hello + 100, len - 100 } };

	assert_int_equal(writev(fd[0], v, 3), len);
	assert_int_equal(readv(fd[1], v, 3), len);
	assert_int_equal(mine()->flags, TT_COVER_CLIENT | TT_COVER_SERVER);
	assert_wire(fd, nothing);
}

/* The connection begins with plaintext, as SMTP, PostgreSQL and proxies have it: not counted. */
static void test_starttls(void **state)
{
	static const char *const talk[] = { "220 mail.test ESMTP\r\n", "EHLO x\r\n", "250 STARTTLS\r\n",
					    "STARTTLS\r\n", "220 go ahead\r\n" };
	uint64_t before[2] = { 0, 0 };
	char buf[64];

	rig_stop(&rig);
	rig_start(&rig);	/* plain sockets too: they are read for HTTP at the same time */
	rig_attach_library(&rig, "libssl.so", TT_TLS_OPENSSL);
	for (size_t i = 0; i < sizeof(talk) / sizeof(talk[0]); i++) {
		size_t len = strlen(talk[i]);

		assert_int_equal(send(fd[!(i & 1)], talk[i], len, 0), len);
		assert_int_equal(recv(fd[i & 1], buf, sizeof(buf), 0), len);
		before[OUT] += len;
		before[IN] += len;
	}
	assert_int_equal(mine()->sockets, 0);
	tls_start();
	put(END_CLIENT, REQUEST);
	get(END_SERVER, strlen(REQUEST));
	answer();
	assert_wire(fd, before);
	assert_int_equal(row.flags, TT_COVER_CLIENT | TT_COVER_SERVER);
	assert_int_equal(row.covered[OUT], row.wire[OUT]);
}

/* A tunnel through a proxy. */
static void test_connect(void **state)
{
	static const char ask[] = "CONNECT db.test:443 HTTP/1.1\r\nHost: db.test:443\r\n\r\n";
	static const char yes[] = "HTTP/1.1 200 Connection established\r\n\r\n";
	uint64_t before[2] = { sizeof(ask) + sizeof(yes) - 2, sizeof(ask) + sizeof(yes) - 2 };
	char buf[256];

	assert_int_equal(send(fd[0], ask, sizeof(ask) - 1, 0), sizeof(ask) - 1);
	assert_int_equal(recv(fd[1], buf, sizeof(buf), 0), sizeof(ask) - 1);
	assert_int_equal(send(fd[1], yes, sizeof(yes) - 1, 0), sizeof(yes) - 1);
	assert_int_equal(recv(fd[0], buf, sizeof(buf), 0), sizeof(yes) - 1);
	own_connect(fd);
	assert_wire(fd, before);
	assert_int_equal(row.flags, TT_COVER_CLIENT | TT_COVER_SERVER);
}

/* A TLS library that nobody knows: blind, and seen as such from its first byte. */
static void test_private_library(void **state)
{
	uint64_t begun = boot_ns();

	own_connect(fd);
	assert_true(mine()->first_tls_ns >= begun && row.first_tls_ns < boot_ns());
	for (int i = 0; i < 20; i++)
		own_say(i & 1, 5000);
	assert_wire(fd, nothing);
	assert_true(row.wire[OUT] > 100000);
	assert_int_equal(row.sockets, 2);
	assert_int_equal(row.blind_sockets, 2);
	assert_int_equal(row.plain[OUT] + row.plain[IN], 0);
	assert_int_equal(row.covered[OUT] + row.covered[IN], 0);
	assert_int_equal(row.first_call_ns, 0);
}

/* Open before the sensor came: known by its records, or by the probed call around them. */
static void test_middle(void **state)
{
	uint64_t now[2], before[2];

	own_say(END_CLIENT, 100);
	assert_int_equal(mine()->sockets, 0);	/* not for sure */
	for (int i = 0; i < 6; i++)
		own_say(END_CLIENT, 100);
	assert_int_equal(mine()->flags, TT_COVER_MIDDLE);
	assert_int_equal(row.sockets, 2);
	assert_int_equal(row.blind_sockets, 2);
	tcp_count(early[0], before);
	forget_mine();
	own_say(END_CLIENT, 100);
	tcp_count(early[0], now);
	assert_int_equal(mine()->wire[OUT], now[OUT] - before[OUT]);
}

static void test_middle_of_a_call(void **state)
{
	memcpy(fd, early_fd, sizeof(fd));
	memcpy(ssl, early_ssl, sizeof(ssl));
	put(END_CLIENT, REQUEST);
	get(END_SERVER, strlen(REQUEST));
	assert_int_equal(mine()->flags, TT_COVER_MIDDLE);
	assert_int_equal(row.sockets, 2);
	assert_int_equal(row.blind_sockets, 0);
	assert_int_equal(row.covered[OUT], row.wire[OUT]);
	assert_int_equal(row.wire[OUT], strlen(REQUEST) + 22);
	/* The header that was read before the socket was known is within the first record. */
	assert_true(row.covered[IN] > 0);
}

/* Bytes that aren't TLS, some of which look like it for a moment. */
static void test_random_bytes(void **state)
{
	static const char *const begins[] = { "", "\x16\x03\x01", "\x16\x03\x01\x02\x00\x01", "\x17\x03\x03",
					      "\x17\x03\x03\x01\x00", "\x16\x03\x03\x00\x40\x01\x00\x00\x3b\x03",
					      "\x16", "\x17" };
	static const uint8_t len_of[] = { 0, 3, 6, 3, 5, 10, 1, 1 };
	char buf[600];

	for (int i = 0; i < 20000; i++) {
		size_t len = 1 + (size_t)(rand() % 600);
		int b = rand() % 8;

		assert_int_equal(getrandom(buf, len, 0), len);
		memcpy(buf, begins[b], len_of[b]);
		assert_int_equal(send(fd[i & 1], buf, len, 0), len);
		assert_int_equal(recv(fd[!(i & 1)], buf, len, MSG_WAITALL), len);
	}
	assert_int_equal(mine()->sockets, 0);
	assert_int_equal(row.flags, 0);
}

/* Over memory buffers: the calls do no I/O, the program's own sends and receives around them do. */
static BIO *to[2], *from[2];

static void carry(int end)
{
	char buf[65536];
	int n = BIO_read(from[end], buf, sizeof(buf));
	ssize_t got;

	if (n > 0)
		assert_int_equal(send(fd[end], buf, (size_t)n, 0), n);
	got = recv(fd[!end], buf, sizeof(buf), MSG_DONTWAIT);
	if (got > 0)
		assert_int_equal(BIO_write(to[!end], buf, (int)got), got);
}

static void over_memory(void)
{
	int done[2] = { 0, 0 };

	for (int end = 0; end < 2; end++) {
		to[end] = BIO_new(BIO_s_mem());
		from[end] = BIO_new(BIO_s_mem());
		ssl[end] = SSL_new(ctx[end]);
		SSL_set_bio(ssl[end], to[end], from[end]);
		if (end == END_CLIENT)
			SSL_set_connect_state(ssl[end]);
		else
			SSL_set_accept_state(ssl[end]);
	}
	for (int i = 0; i < TRIES && (!done[0] || !done[1]); i++)
		for (int end = 0; end < 2; end++) {
			done[end] = done[end] || SSL_do_handshake(ssl[end]) == 1;
			carry(end);
			wait_a_little(i);
		}
	assert_true(done[0] && done[1]);
}

static void test_memory_buffers(void **state)
{
	over_memory();
	/* No HTTP: no connection is entered for it. */
	for (int i = 0; i < 50; i++) {
		static char text[3000];

		put_bytes(i & 1, text, sizeof(text));
		for (int j = 0, n; j < 1000; j++) {
			carry(i & 1);
			n = SSL_read(ssl[!(i & 1)], text, sizeof(text));
			if (n == sizeof(text))
				break;
		}
	}
	assert_wire(fd, nothing);
	assert_int_equal(row.plain[OUT], 150000);
	assert_int_equal(row.plain[IN], 150000);
	assert_int_equal(row.blind_sockets, 0);
	assert_int_equal(row.loose[OUT], 0);
	assert_int_equal(row.covered[OUT], row.wire[OUT]);
	assert_true((uint64_t)row.covered[IN] >= row.wire[IN] / 100 * 95);
}

/* A process that got the socket by fork: each counts what it moved itself. */
static void test_fork(void **state)
{
	uint64_t parent, child, sums[2], a[2], b[2];
	int status, go[2];
	pid_t pid;
	char c;

	put(END_CLIENT, REQUEST);
	get(END_SERVER, strlen(REQUEST));
	parent = mine()->wire[OUT];
	assert_int_equal(pipe(go), 0);
	pid = fork();
	if (pid == 0) {
		put(END_SERVER, RESPONSE);
		_exit(read(go[0], &c, 1) != 1);
	}
	get(END_CLIENT, strlen(RESPONSE));
	child = row_of(pid)->wire[OUT];
	assert_int_equal(row.wire[OUT], strlen(RESPONSE) + 22);
	assert_int_equal(row.covered[OUT], row.wire[OUT]);
	assert_int_equal(row.sockets, 1);
	assert_int_equal(row.blind_sockets, 0);
	assert_int_equal(mine()->wire[OUT], parent);
	tcp_count(fd[0], a);
	tcp_count(fd[1], b);
	sums[OUT] = a[OUT] + b[OUT];
	assert_int_equal(parent + child, sums[OUT]);
	assert_int_equal(write(go[1], "x", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(go[0]);
	close(go[1]);
}

static void test_exec(void **state)
{
	uint64_t before = boot_ns();
	struct tt_exec exec;
	pid_t pid = fork();
	int r = -ENOENT;

	if (pid == 0) {
		execlp("sleep", "sleep", "30", NULL);
		_exit(1);
	}
	for (int i = 0; i < TRIES && r; i++) {
		r = bpf_sensor_exec(rig.sensor, (uint32_t)pid, &exec);
		usleep(100);
	}
	assert_int_equal(r, 0);
	assert_true(exec.start_ns > before - 20000000 && exec.start_ns < exec.exec_ns);
	assert_true(exec.exec_ns > before && exec.exec_ns < boot_ns());
	kill(pid, SIGKILL);
	waitpid(pid, &r, 0);
}

/* The sensor's own processes. */
static void test_not_watched(void **state)
{
	assert_int_equal(bpf_sensor_skip(rig.sensor, (uint32_t)getpid(), true), 0);
	tls_connect();
	put(END_CLIENT, REQUEST);
	get(END_SERVER, strlen(REQUEST));
	assert_int_equal(mine()->sockets, 0);
	assert_int_equal(row.plain[OUT], 0);
	assert_int_equal(bpf_sensor_skip(rig.sensor, (uint32_t)getpid(), false), 0);
}

static void test_unix_socket(void **state)
{
	char hello[2048], buf[2048];
	size_t len = make_hello(hello, sizeof(hello));
	int un[2];

	for (int i = 0; i < 3; i++) {
		forget_mine();
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, un), 0);
		assert_int_equal(write(un[0], hello, len), len);
		assert_int_equal(recv(un[1], buf, sizeof(buf), MSG_PEEK), len);
		assert_int_equal(recv(un[1], buf, sizeof(buf), 0), len);
		assert_int_equal(write(un[1], buf, 7), 7);
		assert_int_equal(mine()->sockets, 2);
		assert_int_equal(row.wire[OUT], len + 7);
		assert_int_equal(row.wire[IN], len);
		close(un[0]);
		close(un[1]);
		/* Another one at the same place. */
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, un), 0);
		assert_int_equal(write(un[0], "plain", 5), 5);
		assert_int_equal(mine()->wire[OUT], len + 7);
		close(un[0]);
		close(un[1]);
	}
}

/* What is read after the connection was closed at both sides still counts. */
static void test_read_after_close(void **state)
{
	uint64_t before;
	char text[4000] = "";

	put_bytes(END_SERVER, text, sizeof(text));
	assert_int_equal(shutdown(fd[END_CLIENT], SHUT_WR), 0);
	assert_int_equal(shutdown(fd[END_SERVER], SHUT_WR), 0);
	usleep(10000);
	before = mine()->wire[IN];
	get(END_CLIENT, sizeof(text));
	assert_true(mine()->wire[IN] - before >= sizeof(text));
	assert_int_equal(row.wire[OUT], row.wire[IN]);
}

/* ---- io_uring ---- */

struct ring_map {
	int fd;
	struct io_uring_params p;
	char *sq, *cq;
	struct io_uring_sqe *sqes;
};

static int uring_open(struct ring_map *r)
{
	memset(r, 0, sizeof(*r));
	r->fd = (int)syscall(SYS_io_uring_setup, 8, &r->p);
	if (r->fd < 0)
		return -errno;
	r->sq = mmap(NULL, r->p.sq_off.array + r->p.sq_entries * sizeof(uint32_t), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQ_RING);
	r->cq = mmap(NULL, r->p.cq_off.cqes + r->p.cq_entries * sizeof(struct io_uring_cqe),
		     PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_CQ_RING);
	r->sqes = mmap(NULL, r->p.sq_entries * sizeof(*r->sqes), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQES);
	assert_true(r->sq != MAP_FAILED && r->cq != MAP_FAILED && r->sqes != MAP_FAILED);
	return 0;
}

static void uring_send(struct ring_map *r, int s, const void *bytes, size_t len, unsigned int flags)
{
	uint32_t *tail = (uint32_t *)(r->sq + r->p.sq_off.tail), at = *tail;
	uint32_t mask = *(uint32_t *)(r->sq + r->p.sq_off.ring_mask);
	uint32_t *head = (uint32_t *)(r->cq + r->p.cq_off.head);
	uint32_t cq_mask = *(uint32_t *)(r->cq + r->p.cq_off.ring_mask);
	struct io_uring_cqe *cqes = (struct io_uring_cqe *)(r->cq + r->p.cq_off.cqes);

	r->sqes[at & mask] = (struct io_uring_sqe){ .opcode = IORING_OP_SEND, .flags = (uint8_t)flags, .fd = s,
						    .addr = (uint64_t)(uintptr_t)bytes, .len = (uint32_t)len };
	((uint32_t *)(r->sq + r->p.sq_off.array))[at & mask] = at & mask;
	__atomic_store_n(tail, at + 1, __ATOMIC_RELEASE);
	assert_int_equal(syscall(SYS_io_uring_enter, r->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0), 1);
	assert_int_equal(cqes[*head & cq_mask].res, len);
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
}

/* flags: in the call that submits it, or by a thread of the kernel. */
static void check_io_uring(unsigned int flags)
{
	struct ring_map ring;
	char buf[65536];
	int n, r = uring_open(&ring);

	if (r < 0) {
		print_message("io_uring is not permitted here: %s\n", strerror(-r));
		skip();
	}
	over_memory();
	assert_int_equal(mine()->flags & TT_COVER_IO_URING, 0);
	for (int i = 0; i < 5; i++) {
		put(END_CLIENT, REQUEST);
		n = BIO_read(from[END_CLIENT], buf, sizeof(buf));
		uring_send(&ring, fd[END_CLIENT], buf, (size_t)n, flags);
		n = (int)recv(fd[END_SERVER], buf, sizeof(buf), 0);
		assert_int_equal(BIO_write(to[END_SERVER], buf, n), n);
		get(END_SERVER, strlen(REQUEST));
	}
	assert_true(mine()->flags & TT_COVER_IO_URING);
	assert_wire(fd, nothing);
	close(ring.fd);
}

static void test_io_uring(void **state)
{
	check_io_uring(0);
}

static void test_io_uring_worker(void **state)
{
	check_io_uring(IOSQE_ASYNC);
}

/* ---- no room ---- */

static void test_full(void **state)
{
	char hello[2048], buf[2048];
	size_t len = make_hello(hello, sizeof(hello));
	uint64_t before;
	int status;
	pid_t pid;

	rig_stop(&rig);
	rig_processes = 1;
	rig_start_with(&rig, false);
	rig_processes = 0;
	assert_int_equal(send(fd[0], hello, len, 0), len);
	before = rig_dropped(&rig, TT_DROP_cover_full);
	pid = fork();
	if (pid == 0)
		_exit(recv(fd[1], buf, sizeof(buf), 0) != (ssize_t)len);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(rig_dropped(&rig, TT_DROP_cover_full) > before);
	rig_stop(&rig);
	rig_start_with(&rig, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f, how) cmocka_unit_test_setup_teardown(f, how, tls_shut)
		T(test_middle, bare),		/* first: it has connections of before the sensor */
		T(test_middle_of_a_call, bare),
		T(test_both_ends, fresh),
		T(test_waiting_for_records, fresh),
		T(test_waiting_for_sends, fresh),
		T(test_one_direction, fresh),
		T(test_bulk, fresh),
		T(test_half_of_a_bulk, fresh),
		T(test_short_messages, fresh),
		T(test_small_reads, fresh),
		T(test_fork, fresh),
		T(test_read_after_close, fresh),
		T(test_split_hello, bare),
		T(test_split_no_hello, bare),
		T(test_vectors, bare),
		T(test_private_library, bare),
		T(test_connect, bare),
		T(test_random_bytes, bare),
		T(test_memory_buffers, bare),
		T(test_exec, bare),
		T(test_not_watched, bare),
		T(test_unix_socket, bare),
		T(test_io_uring, bare),
		T(test_io_uring_worker, bare),
		T(test_starttls, bare),
		T(test_full, bare),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
