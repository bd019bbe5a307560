/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the tests of TLS libraries: both ends of a real TLS connection over a real socket in this
 * process, and what has to come out whichever library it is. A test defines the functions that are
 * declared here; END_CLIENT and END_SERVER are its two ends.
 */
#ifndef TT_TESTS_TLS_RIG_H
#define TT_TESTS_TLS_RIG_H

#include "sensor_rig.h"

#define TOKEN "ghp" "_0123456789abcdefghijABCDEFGHIJ012345"
#define REQUEST "POST /v1/orgs/1a2b3c4d5e6f7a8b9c0d/keys HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer " TOKEN "\r\nContent-Length: 0\r\n\r\n"
#define RESPONSE "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"
#define TRIES 20000
#define TRIES_AT_ONCE 100

enum { END_CLIENT, END_SERVER };

static struct rig rig;
static int fd[2] = { -1, -1 };
static char certificate[64], private_key[64];	/* PEM files */

static long put_some(int end, const char *bytes, size_t len);	/* how many; negative: not now */
static long get_some(int end, char *bytes, size_t len);
static void tls_begin(int end);		/* on fd[end] */
static int tls_shake_hands(int end);	/* 1: done; 0: not now */
static void tls_end(int end);		/* twice is fine */

/* Even on loopback bytes need another thread to be delivered when the machine is busy. */
static void wait_a_little(int tries)
{
	if (tries > TRIES_AT_ONCE)
		usleep(500);
}

static inline void tls_make_certificate(void)
{
	char dir[] = "/tmp/tt-tls-XXXXXX", command[512];

	assert_non_null(mkdtemp(dir));
	snprintf(certificate, sizeof(certificate), "%s/cert.pem", dir);
	snprintf(private_key, sizeof(private_key), "%s/key.pem", dir);
	snprintf(command, sizeof(command),
		 "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
		 "-subj /CN=api.test -keyout %s -out %s 2>/dev/null", private_key, certificate);
	assert_int_equal(system(command), 0);
}

static inline void tls_remove_certificate(void)
{
	unlink(certificate);
	unlink(private_key);
	*strrchr(certificate, '/') = '\0';
	rmdir(certificate);
}

/* TLS begins on the sockets there are. */
static void tls_start(void)
{
	int done[2] = { 0, 0 };

	for (int end = 0; end < 2; end++) {
		assert_int_equal(fcntl(fd[end], F_SETFL, O_NONBLOCK), 0);
		tls_begin(end);
	}
	for (int i = 0; i < TRIES && (!done[0] || !done[1]); i++) {
		for (int end = 0; end < 2; end++)
			done[end] = done[end] || tls_shake_hands(end);
		wait_a_little(i);
	}
	assert_true(done[0] && done[1]);
}

static void tls_connect(void)
{
	rig_tcp(fd);
	tls_start();
}

static int tls_open(void **state)
{
	rig_clear(&rig);
	tls_connect();
	return 0;
}

static void tls_close(void)
{
	for (int end = 0; end < 2; end++) {
		tls_end(end);
		if (fd[end] >= 0)
			close(fd[end]);
		fd[end] = -1;
	}
}

static int tls_shut(void **state)
{
	tls_close();
	return 0;
}

static void put_bytes(int end, const char *bytes, size_t len)
{
	for (int tries = 0; len && tries < TRIES; tries++) {
		long n = put_some(end, bytes, len);

		if (n <= 0) {
			wait_a_little(tries);
			continue;
		}
		bytes += n;
		len -= (size_t)n;
	}
	assert_int_equal(len, 0);
}

static void put(int end, const char *text)
{
	put_bytes(end, text, strlen(text));
}

static void get(int end, size_t len)
{
	char buf[65536];

	for (int tries = 0; len && tries < TRIES; tries++) {
		long n = get_some(end, buf, len < sizeof(buf) ? len : sizeof(buf));

		if (n > 0)
			len -= (size_t)n;
		else
			wait_a_little(tries);
	}
	assert_int_equal(len, 0);
}

static inline void answer(void)
{
	put(END_SERVER, RESPONSE);
	get(END_CLIENT, strlen(RESPONSE));
}

static void assert_use(const struct tt_ev_use *u, enum tt_tls tls, enum tt_dir dir)
{
	assert_int_equal(u->dir, dir);
	assert_int_equal(u->tls, tls);
	assert_int_equal(u->version, 11);
	rig_assert_text(u->method, u->method_len, "POST");
	rig_assert_text(u->path, u->path_len, "/v1/orgs/{...}/keys");
	rig_assert_text(u->host, u->host_len, "api.test");
	rig_assert_token(u, TOKEN);
	assert_true(u->cred[0].class_id != 0);
}

/* One request with its response, and nothing else, was seen at both ends. */
static void assert_exchange(enum tt_tls tls)
{
	rig_collect(&rig);
	assert_int_equal(rig.uses, 2);
	assert_use(&rig.use[0], tls, TT_DIR_EGRESS);
	assert_use(&rig.use[1], tls, TT_DIR_INGRESS);
	assert_int_equal(rig.statuses, 2);
	assert_int_equal(rig.status[0].status, 403);
	assert_int_equal(rig.status[1].status, 403);
	assert_int_equal(rig.status[0].h.conn, rig.use[1].h.conn);
	assert_int_equal(rig.status[1].h.conn, rig.use[0].h.conn);
}

static inline void assert_tuple(const struct tt_tuple *t, int end)
{
	assert_int_equal(t->family, TT_AF_INET);
	assert_int_equal(t->local_port, rig_port(fd[end]));
	assert_int_equal(t->remote_port, rig_port(fd[!end]));
}

static void assert_sockets(const struct tt_tuple *out, const struct tt_tuple *in)
{
	assert_tuple(out, END_CLIENT);
	assert_tuple(in, END_SERVER);
}

/* ---- what holds for every library ---- */

static inline void check_exchange(enum tt_tls tls)
{
	put(END_CLIENT, REQUEST);
	get(END_SERVER, strlen(REQUEST));
	answer();
	assert_exchange(tls);
	assert_sockets(&rig.use[0].h.tuple, &rig.use[1].h.tuple);
}

/* Every split of the head over two writes and reads gives the same use. */
static inline void check_splits(enum tt_tls tls)
{
	size_t len = strlen(REQUEST);

	for (size_t at = 1; at < len; at++) {
		put_bytes(END_CLIENT, REQUEST, at);
		get(END_SERVER, at);
		put_bytes(END_CLIENT, REQUEST + at, len - at);
		get(END_SERVER, len - at);
		answer();
		assert_exchange(tls);
		rig_clear(&rig);
	}
}

/* Bodies of many records: what a write took of its bytes is what counts. */
static inline void check_large_body(enum tt_tls tls)
{
	static const char head[] = "POST /upload HTTP/1.1\r\nHost: api.test\r\nContent-Length: 100000\r\n\r\n";
	static char body[100000];

	memset(body, 'x', sizeof(body));
	for (int i = 0; i < 3; i++) {
		put(END_CLIENT, head);
		get(END_SERVER, strlen(head));
		for (size_t sent = 0; sent < sizeof(body); sent += 50000) {
			put_bytes(END_CLIENT, body, 50000);
			get(END_SERVER, 50000);
		}
		answer();
	}
	put(END_CLIENT, REQUEST);
	get(END_SERVER, strlen(REQUEST));
	answer();
	assert_exchange(tls);
}

/* A read that fails leaves old bytes in the buffer: they are nobody's. */
static inline void check_failed_reads(void)
{
	char buf[] = REQUEST;

	assert_true(get_some(END_CLIENT, buf, sizeof(buf)) < 0);
	assert_true(get_some(END_SERVER, buf, sizeof(buf)) < 0);
	rig_collect(&rig);
	assert_int_equal(rig.uses, 0);
}

/* Ended in the middle of a message: whatever gets the same memory, or is made of the same object,
 * begins anew and has its own socket. */
static inline void check_object_again(enum tt_tls tls)
{
	put(END_CLIENT, "POST / HTTP/1.1\r\nX-API-Key: " TOKEN "\r\nContent-Length: 1000\r\n\r\n");
	tls_end(END_CLIENT);
	rig_collect(&rig);
	assert_int_equal(rig.uses, 1);
	assert_int_equal(rig.closes, 1);
	assert_int_equal(rig.closed[0].h.conn, rig.use[0].h.conn);
	tls_close();
	rig_clear(&rig);
	tls_connect();
	check_exchange(tls);
}

#endif
