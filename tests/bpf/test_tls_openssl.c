/* SPDX-License-Identifier: Apache-2.0 */
/* bpf/tls_openssl.bpf.c: a real libssl, over sockets and over memory buffers. */
#include "sensor_rig.h"

#include <openssl/err.h>

#include "libssl_rig.h"
#include "vanish_rig.h"

#define TOKEN "ghp" "_0123456789abcdefghijABCDEFGHIJ012345"
#define REQUEST "POST /v1/orgs/1a2b3c4d5e6f7a8b9c0d/keys HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer " TOKEN "\r\nContent-Length: 0\r\n\r\n"
#define RESPONSE "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"

static struct rig rig;
static SSL_CTX *client_ctx, *server_ctx;
static SSL *client, *server;
static int fd[2] = { -1, -1 };

static int setup(void **state)
{
	rig_start_with(&rig, false);
	rig_attach_library(&rig, "libssl.so", TT_TLS_OPENSSL);
	client_ctx = SSL_CTX_new(TLS_client_method());
	server_ctx = SSL_CTX_new(TLS_server_method());
	libssl_certify(server_ctx);
	return 0;
}

static int teardown(void **state)
{
	SSL_CTX_free(client_ctx);
	SSL_CTX_free(server_ctx);
	rig_stop(&rig);
	return 0;
}

static void shake_hands(void (*carry)(void))
{
	int a = 0, b = 0;

	SSL_set_connect_state(client);
	SSL_set_accept_state(server);
	for (int i = 0; i < 100 && (a != 1 || b != 1); i++) {
		a = SSL_do_handshake(client);
		if (carry)
			carry();
		b = SSL_do_handshake(server);
		if (carry)
			carry();
	}
	assert_int_equal(a, 1);
	assert_int_equal(b, 1);
}

static void make_on_sockets(void)
{
	client = SSL_new(client_ctx);
	server = SSL_new(server_ctx);
	SSL_set_fd(client, fd[0]);
	SSL_set_fd(server, fd[1]);
	shake_hands(NULL);
}

static void connect_both(void)
{
	rig_tcp(fd);
	for (int i = 0; i < 2; i++)
		assert_int_equal(fcntl(fd[i], F_SETFL, O_NONBLOCK), 0);
	make_on_sockets();
}

static int over_sockets(void **state)
{
	rig_clear(&rig);
	connect_both();
	return 0;
}

static int shut(void **state)
{
	SSL_free(client);
	SSL_free(server);
	client = server = NULL;
	for (int i = 0; i < 2; i++) {
		if (fd[i] >= 0)
			close(fd[i]);
		fd[i] = -1;
	}
	return 0;
}

static void put(SSL *s, const char *text)
{
	assert_int_equal(SSL_write(s, text, (int)strlen(text)), strlen(text));
}

static void get(SSL *s, size_t len)
{
	char buf[65536];
	int n;

	for (int tries = 0; len && tries < 10000; tries++) {
		n = SSL_read(s, buf, (int)(len < sizeof(buf) ? len : sizeof(buf)));
		if (n > 0)
			len -= (size_t)n;
		else
			assert_int_equal(SSL_get_error(s, n), SSL_ERROR_WANT_READ);
		if (tries > 100)
			usleep(100);	/* a busy machine has not brought them yet */
	}
	assert_int_equal(len, 0);
}

static void assert_use(const struct tt_ev_use *u, enum tt_dir dir)
{
	assert_int_equal(u->dir, dir);
	assert_int_equal(u->tls, TT_TLS_OPENSSL);
	assert_int_equal(u->version, 11);
	rig_assert_text(u->method, u->method_len, "POST");
	rig_assert_text(u->path, u->path_len, "/v1/orgs/{...}/keys");
	rig_assert_text(u->host, u->host_len, "api.test");
	rig_assert_token(u, TOKEN);
	assert_true(u->cred[0].class_id != 0);
}

static void assert_exchange(void)
{
	rig_collect(&rig);
	assert_int_equal(rig.uses, 2);
	assert_use(&rig.use[0], TT_DIR_EGRESS);
	assert_use(&rig.use[1], TT_DIR_INGRESS);
	assert_int_equal(rig.statuses, 2);
	assert_int_equal(rig.status[0].status, 403);
	assert_int_equal(rig.status[1].status, 403);
	assert_int_equal(rig.status[0].h.conn, rig.use[1].h.conn);
	assert_int_equal(rig.status[1].h.conn, rig.use[0].h.conn);
}

static void assert_sockets(const struct tt_tuple *out, const struct tt_tuple *in)
{
	assert_int_equal(out->family, TT_AF_INET);
	assert_int_equal(out->local_port, rig_port(fd[0]));
	assert_int_equal(out->remote_port, rig_port(fd[1]));
	assert_int_equal(in->local_port, rig_port(fd[1]));
	assert_int_equal(in->remote_port, rig_port(fd[0]));
}

static void exchange(const char *request)
{
	put(client, request);
	get(server, strlen(REQUEST));
	put(server, RESPONSE);
	get(client, strlen(RESPONSE));
}

static void test_exchange(void **state)
{
	exchange(REQUEST);
	assert_exchange();
	assert_sockets(&rig.use[0].h.tuple, &rig.use[1].h.tuple);
}

static void test_ex_forms(void **state)
{
	char buf[1000];
	size_t n = 0;

	assert_int_equal(SSL_write_ex(client, REQUEST, strlen(REQUEST), &n), 1);
	assert_int_equal(n, strlen(REQUEST));
	while (!SSL_read_ex(server, buf, sizeof(buf), &n))
		;
	assert_int_equal(n, strlen(REQUEST));
	assert_int_equal(SSL_write_ex(server, RESPONSE, strlen(RESPONSE), &n), 1);
	while (!SSL_read_ex(client, buf, sizeof(buf), &n))
		;
	assert_int_equal(n, strlen(RESPONSE));
	assert_exchange();
}

/* Every split of the head over two writes and reads gives the same use. */
static void test_split_everywhere(void **state)
{
	size_t len = strlen(REQUEST);

	for (size_t at = 1; at < len; at++) {
		assert_int_equal(SSL_write(client, REQUEST, (int)at), at);
		get(server, at);
		assert_int_equal(SSL_write(client, REQUEST + at, (int)(len - at)), len - at);
		get(server, len - at);
		put(server, RESPONSE);
		get(client, strlen(RESPONSE));
		assert_exchange();
		rig_clear(&rig);
	}
}

/* A read that fails leaves old bytes in the buffer: they are nobody's. */
static void test_failed_calls(void **state)
{
	char buf[] = REQUEST;

	assert_true(SSL_read(client, buf, sizeof(buf)) < 0);
	assert_true(SSL_read(server, buf, sizeof(buf)) < 0);
	rig_collect(&rig);
	assert_int_equal(rig.uses, 0);
}

/* Looking ahead does not count. */
static void test_peek(void **state)
{
	char buf[1000];

	put(client, REQUEST);
	while (SSL_peek(server, buf, sizeof(buf)) < 0)
		;
	assert_int_equal(SSL_peek(server, buf, sizeof(buf)), strlen(REQUEST));
	get(server, strlen(REQUEST));
	put(server, RESPONSE);
	get(client, strlen(RESPONSE));
	assert_exchange();
}

/* Freed in the middle of a message: whatever gets the same memory begins anew. */
static void test_freed_object(void **state)
{
	put(client, "POST / HTTP/1.1\r\nX-API-Key: " TOKEN "\r\nContent-Length: 1000\r\n\r\n");
	SSL_free(client);
	client = NULL;
	rig_collect(&rig);
	assert_int_equal(rig.uses, 1);
	assert_int_equal(rig.closes, 1);
	assert_int_equal(rig.closed[0].h.conn, rig.use[0].h.conn);
}

/* A call whose bytes don't get to the reader is counted, keeps no slot, and the next message is read. */
static void test_no_reader(void **state)
{
	uint64_t before = rig_dropped(&rig, TT_DROP_call_lost);
	int reader = rig_take_reader("tls_reader");

	for (int i = 0; i < 2 * RIG_SLOTS; i++) {
		put(client, REQUEST);
		get(server, strlen(REQUEST));
	}
	assert_true(rig_dropped(&rig, TT_DROP_call_lost) >= before + 4 * RIG_SLOTS);
	rig_collect(&rig);
	assert_int_equal(rig.uses, 0);
	rig_put_reader("tls_reader", reader);
	test_exchange(state);
}

/* ---- memory buffers: the program itself carries the records (Node, asyncio, netty) ---- */

static BIO *client_in, *client_out, *server_in, *server_out;

static void carry_one(BIO *from, int out, int in, BIO *to)
{
	static char buf[65536];
	int n = BIO_read(from, buf, sizeof(buf));
	ssize_t got;

	if (n <= 0)
		return;
	assert_int_equal(send(out, buf, (size_t)n, 0), n);
	for (int left = n; left > 0; left -= (int)got) {
		got = recv(in, buf, (size_t)left, 0);
		assert_true(got > 0);
		assert_int_equal(BIO_write(to, buf, (int)got), got);
	}
}

static void carry(void)
{
	carry_one(client_out, fd[0], fd[1], server_in);
	carry_one(server_out, fd[1], fd[0], client_in);
}

static void answer_carried(void)
{
	put(server, RESPONSE);
	carry();
	get(client, strlen(RESPONSE));
}

static void exchange_carried(void)
{
	put(client, REQUEST);
	carry();
	get(server, strlen(REQUEST));
	answer_carried();
}

static void make_over_memory(void)
{
	rig_clear(&rig);
	rig_tcp(fd);
	client = SSL_new(client_ctx);
	server = SSL_new(server_ctx);
	client_in = BIO_new(BIO_s_mem());
	client_out = BIO_new(BIO_s_mem());
	server_in = BIO_new(BIO_s_mem());
	server_out = BIO_new(BIO_s_mem());
	SSL_set_bio(client, client_in, client_out);
	SSL_set_bio(server, server_in, server_out);
}

static int over_memory(void **state)
{
	make_over_memory();
	shake_hands(carry);
	carry();
	return 0;
}

static void forget(const char *name)
{
	struct { uint64_t object; uint32_t tgid, tls; } key;
	int map = rig_map(name);

	while (bpf_map_get_next_key(map, NULL, &key) == 0)
		bpf_map_delete_elem(map, &key);
}

/* As if the sensor had come after the handshake, which tells whose socket it is. */
static int over_memory_unmet(void **state)
{
	over_memory(state);
	forget("object_socks");
	return 0;
}

/* And without writes of tests before that may still be waited for (UNSENT_NS). */
static int over_memory_rested(void **state)
{
	usleep(1100000);
	return over_memory_unmet(state);
}

/* The address is not known when the request is written, but is proven by the send that follows: the
 * status carries it. Never is it another socket's. */
static void test_memory_buffers(void **state)
{
	exchange_carried();
	assert_exchange();
	assert_int_equal(rig.use[0].h.tuple.family, TT_AF_NONE);
	assert_int_equal(rig.status[1].h.tuple.family, TT_AF_INET);
	assert_int_equal(rig.status[1].h.tuple.local_port, rig_port(fd[0]));
	assert_int_equal(rig.status[1].h.tuple.remote_port, rig_port(fd[1]));
	rig_clear(&rig);
	put(client, REQUEST);
	carry();
	get(server, strlen(REQUEST));
	rig_collect(&rig);
	assert_int_equal(rig.uses, 2);
	assert_sockets(&rig.use[0].h.tuple, &rig.use[1].h.tuple);
}

/* A send that does not have the size of a record that waits proves nothing, nor does one of two records
 * joined; one of the size does. */
static void test_unrelated_send(void **state)
{
	char other[2000] = "x";
	int pair[2];

	rig_tcp(pair);
	put(client, REQUEST);
	assert_int_equal(send(pair[0], other, sizeof(other), 0), sizeof(other));
	put(client, REQUEST);
	carry();
	put(client, REQUEST);
	rig_collect(&rig);
	assert_int_equal(rig.uses, 3);
	assert_int_equal(rig.use[1].h.tuple.family, TT_AF_NONE);
	assert_int_equal(rig.use[2].h.tuple.family, TT_AF_NONE);
	carry();
	put(client, REQUEST);
	rig_collect(&rig);
	assert_int_equal(rig.uses, 4);
	assert_int_equal(rig.use[3].h.tuple.local_port, rig_port(fd[0]));
	close(pair[0]);
	close(pair[1]);
}

/* Two objects write the same number of bytes before either is sent: whose is the send? */
static void test_two_of_one_size(void **state)
{
	put(client, REQUEST);
	put(server, REQUEST);
	carry_one(client_out, fd[0], fd[1], server_in);
	put(server, REQUEST);
	carry_one(server_out, fd[1], fd[0], client_in);
	put(client, REQUEST);
	rig_collect(&rig);
	assert_int_equal(rig.uses, 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(rig.use[i].h.tuple.family, TT_AF_NONE);
}

/* A write of several records, which one send has all of. */
static void test_long_write(void **state)
{
	static char text[40000];
	int head = snprintf(text, sizeof(text), "POST /v1/keys HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer " TOKEN
			    "\r\nContent-Length: 39000\r\n\r\n");

	memset(text + head, 'x', 39000);
	put(client, text);
	carry();
	get(server, strlen(text));
	put(client, REQUEST);
	rig_collect(&rig);
	assert_int_equal(rig.uses, 3);
	assert_int_equal(rig.use[0].h.tuple.family, TT_AF_NONE);
	assert_int_equal(rig.use[2].h.tuple.local_port, rig_port(fd[0]));
	assert_int_equal(rig.use[2].h.tuple.remote_port, rig_port(fd[1]));
}

/* ---- which receive a record came with (bpf/sealed.bpf.h): known where records are seen, which calls don't tell ---- */

static bool records_are_seen(void)
{
	return !getenv("TT_SYMBOLS");
}

static void assert_ingress(const struct tt_ev_use *u, const int pair[2])
{
	assert_int_equal(u->dir, TT_DIR_INGRESS);
	assert_int_equal(u->h.tuple.family, TT_AF_INET);
	assert_int_equal(u->h.tuple.local_port, rig_port(pair[1]));
	assert_int_equal(u->h.tuple.remote_port, rig_port(pair[0]));
}

/* A server over memory buffers knows its peer with the first request. */
static void test_sealed(void **state)
{
	put(client, REQUEST);
	carry();
	get(server, strlen(REQUEST));
	rig_collect(&rig);
	assert_int_equal(rig.uses, 2);
	if (records_are_seen())
		assert_ingress(&rig.use[1], fd);
	else
		assert_int_equal(rig.use[1].h.tuple.family, TT_AF_NONE);
}

/* Both were received before either is read: only the last one's is known, and never is it the other's. */
static void test_sealed_is_never_anothers(void **state)
{
	SSL *other_client = client, *other_server = server;
	int other_fd[2] = { fd[0], fd[1] };

	put(client, REQUEST);
	carry();
	over_memory_unmet(state);
	put(client, REQUEST);
	carry();
	rig_clear(&rig);
	get(other_server, strlen(REQUEST));
	get(server, strlen(REQUEST));
	rig_collect(&rig);
	assert_int_equal(rig.uses, 2);
	assert_int_equal(rig.use[0].h.tuple.family, TT_AF_NONE);
	if (records_are_seen())
		assert_ingress(&rig.use[1], fd);
	SSL_free(other_client);
	SSL_free(other_server);
	close(other_fd[0]);
	close(other_fd[1]);
}

/* ---- the handshake's records tell before there is a request ---- */

static void test_met(void **state)
{
	put(client, REQUEST);
	put(server, REQUEST);
	rig_collect(&rig);
	assert_int_equal(rig.uses, 2);
	if (records_are_seen())
		assert_sockets(&rig.use[0].h.tuple, &rig.use[1].h.tuple);
	else
		assert_int_equal(rig.use[0].h.tuple.family, TT_AF_NONE);
}

/* Records of a handshake that are encrypted, but say what they are. */
static int over_memory_of_1_2(void **state)
{
	assert_int_equal(SSL_CTX_set_max_proto_version(client_ctx, TLS1_2_VERSION), 1);
	assert_int_equal(SSL_CTX_set_cipher_list(client_ctx, "ECDHE+AESGCM"), 1);
	over_memory(state);
	assert_int_equal(SSL_CTX_set_max_proto_version(client_ctx, 0), 1);
	return 0;
}

struct pair {
	SSL *client, *server;
	BIO *client_in, *client_out, *server_in, *server_out;
	int fd[2];
};

static struct pair take_pair(void)
{
	return (struct pair){ client, server, client_in, client_out, server_in, server_out, { fd[0], fd[1] } };
}

static void use_pair(const struct pair *p)
{
	client = p->client;
	server = p->server;
	client_in = p->client_in;
	client_out = p->client_out;
	server_in = p->server_in;
	server_out = p->server_out;
	fd[0] = p->fd[0];
	fd[1] = p->fd[1];
}

static void assert_own_or_none(const struct tt_ev_use *u, const int pair[2])
{
	if (u->h.tuple.family == TT_AF_NONE)
		return;
	assert_int_equal(u->h.tuple.local_port, rig_port(pair[0]));
	assert_int_equal(u->h.tuple.remote_port, rig_port(pair[1]));
}

/* What both send is received before either is read, at each step. Hellos of TLS 1.2 end in the same bytes: a record that is
 * not encrypted is not known by these. */
static void test_met_is_never_anothers(void **state)
{
	struct pair pair[2];

	assert_int_equal(SSL_CTX_set_max_proto_version(client_ctx, TLS1_2_VERSION), 1);
	for (int i = 0; i < 2; i++) {
		make_over_memory();
		SSL_set_connect_state(client);
		SSL_set_accept_state(server);
		pair[i] = take_pair();
	}
	assert_int_equal(SSL_CTX_set_max_proto_version(client_ctx, 0), 1);
	for (int step = 0; step < 8; step++) {
		for (int i = 0; i < 2; i++)
			SSL_do_handshake(step % 2 ? pair[i].server : pair[i].client);
		for (int i = 0; i < 2; i++) {
			use_pair(&pair[i]);
			carry();
		}
	}
	for (int i = 0; i < 2; i++) {
		use_pair(&pair[i]);
		put(client, REQUEST);
		put(server, REQUEST);
	}
	rig_collect(&rig);
	assert_int_equal(rig.uses, 4);
	for (int i = 0; i < 4; i++)
		assert_own_or_none(&rig.use[i], i % 2 ? (int[]){ pair[i / 2].fd[1], pair[i / 2].fd[0] } : pair[i / 2].fd);
	use_pair(&pair[0]);
	shut(state);
	use_pair(&pair[1]);
}

/* A write that can't be sent at once, and is made again until it can: its records are encrypted once. */
static void test_waiting_write(void **state)
{
	enum { BODY = 8 << 20 };
	char *text = malloc(BODY + 512), buf[65536];
	int len, n, waited = 0;
	size_t left;

	assert_non_null(text);
	len = snprintf(text, 512, "POST /v1/keys HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer " TOKEN
		       "\r\nContent-Length: %d\r\n\r\n", BODY);
	memset(text + len, 'x', BODY);
	left = (size_t)(len += BODY);
	while ((n = SSL_write(client, text, len)) <= 0) {
		assert_int_equal(SSL_get_error(client, n), SSL_ERROR_WANT_WRITE);
		waited++;
		while ((n = SSL_read(server, buf, sizeof(buf))) > 0)
			left -= (size_t)n;
	}
	free(text);
	assert_true(waited > 0);
	get(server, left);
	put(server, RESPONSE);
	get(client, strlen(RESPONSE));
	rig_collect(&rig);
	assert_int_equal(rig.uses, 2);
	assert_int_equal(rig.statuses, 2);
	rig_clear(&rig);
	test_exchange(state);
}

/* A byte at a time: only with the first one it can be told, which is enough. */
static void test_read_by_the_byte(void **state)
{
	char byte;

	put(client, REQUEST);
	for (size_t i = 0; i < strlen(REQUEST);)
		i += SSL_read(server, &byte, 1) == 1;
	rig_collect(&rig);
	assert_int_equal(rig.uses, 2);
	assert_ingress(&rig.use[1], fd);
}

static void exchange_with(const char *ciphers, int version)
{
	shut(NULL);
	assert_int_equal(SSL_CTX_set_cipher_list(client_ctx, ciphers), 1);
	assert_int_equal(SSL_CTX_set_max_proto_version(client_ctx, version), 1);
	over_sockets(NULL);
	test_exchange(NULL);
	assert_int_equal(SSL_CTX_set_max_proto_version(client_ctx, 0), 1);
}

/* Records of other forms: with a number in front of the data, with none, and without a tag behind it. */
static void test_ciphers(void **state)
{
	static const char *const ciphers[] = { "ECDHE+AESGCM", "ECDHE+CHACHA20", "ECDHE+AES128+SHA256:!AESGCM:!AESCCM" };

	for (size_t i = 0; i < sizeof(ciphers) / sizeof(ciphers[0]); i++)
		exchange_with(ciphers[i], TLS1_2_VERSION);
	/* What is behind the data of the last one's is decrypted, too, if the MAC is within. */
	SSL_CTX_set_options(client_ctx, SSL_OP_NO_ENCRYPT_THEN_MAC);
	exchange_with(ciphers[2], TLS1_2_VERSION);
	SSL_CTX_clear_options(client_ctx, SSL_OP_NO_ENCRYPT_THEN_MAC);
}

static uint64_t dropped(void)
{
	uint64_t sum = 0;

	for (enum tt_drop reason = 0; reason < TT_DROP_MAX; reason++)
		sum += rig_dropped(&rig, reason);
	return sum;
}

/* ---- what nobody has touched yet: a program can't wait for its page ---- */

#define PAGE 4096

/* Where a text is, `at` bytes of it on a page that is there, and all others on one that is not. */
static char *fresh(const char *text, size_t len, size_t at)
{
	int file = memfd_create("fresh", MFD_CLOEXEC);
	char *pages;

	assert_true(file >= 0);
	assert_int_equal(ftruncate(file, 8 * PAGE), 0);
	assert_int_equal(pwrite(file, text, len, (off_t)(PAGE - at)), len);
	pages = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	assert_true(pages != MAP_FAILED);
	close(file);
	if (at)
		assert_int_equal(((volatile char *)pages)[0], 0);
	assert_int_equal(madvise(pages + PAGE, 7 * PAGE, MADV_DONTNEED), 0);
	return pages + PAGE - at;
}

static void forget_fresh(const char *text, size_t at)
{
	assert_int_equal(munmap((char *)text - (PAGE - at), 8 * PAGE), 0);
}

static void put_fresh(SSL *s, const char *text, size_t at)
{
	size_t len = strlen(text);
	char *there = fresh(text, len, at);

	assert_int_equal(SSL_write(s, there, (int)len), len);
	forget_fresh(there, at);
}

static void exchange_fresh(size_t at)
{
	put_fresh(client, REQUEST, at);
	get(server, strlen(REQUEST));
	put_fresh(server, RESPONSE, at);
	get(client, strlen(RESPONSE));
	assert_exchange();
	assert_sockets(&rig.use[0].h.tuple, &rig.use[1].h.tuple);
	rig_clear(&rig);
}

/* A connection's first messages, and later ones, in front of which and within which the pages end. */
static void test_fresh_pages(void **state)
{
	static const size_t at[] = { 0, 1, 20, 40 };
	uint64_t before = dropped();

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		for (int n = 0; n < 3; n++)
			exchange_fresh(at[i]);
		test_exchange(state);
		shut(state);
		over_sockets(state);
	}
	assert_int_equal(dropped(), before);
}

/* Whose socket it is the send tells, before it is read. */
static void test_fresh_and_unmet(void **state)
{
	usleep(1100000);	/* UNSENT_NS */
	forget("object_socks");
	forget("conns");
	put_fresh(client, REQUEST, 0);
	rig_collect(&rig);
	assert_int_equal(rig.uses, 1);
	assert_int_equal(rig.use[0].h.tuple.local_port, rig_port(fd[0]));
	assert_int_equal(rig.use[0].h.tuple.remote_port, rig_port(fd[1]));
}

/* A record of the same write is read with the one before it. */
static void test_fresh_records(void **state)
{
	static char text[20000];
	int head = snprintf(text, sizeof(text), "POST /v1/keys HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer " TOKEN
			    "\r\nContent-Length: 19000\r\n\r\n");

	memset(text + head, 'x', 19000);
	put_fresh(client, text, 0);
	carry();
	get(server, strlen(text));
	answer_carried();
	rig_collect(&rig);
	assert_int_equal(rig.uses, 2);
	assert_int_equal(rig.statuses, 2);
	rig_clear(&rig);
	put(client, REQUEST);
	rig_collect(&rig);
	assert_int_equal(rig.uses, 1);
}

static int elsewhere[2];

/* Nothing is called in between that would leave anything else on the stack. */
static void send_at_once(void)
{
	assert_int_equal(send(elsewhere[0], "x", 1, 0), 1);
}

/* From further down the stack than the write was. */
static __attribute__((noinline)) void carry_below(void)
{
	volatile char room[12000];

	for (size_t i = 0; i < sizeof(room); i++)
		room[i] = 1;
	carry();
	assert_int_equal(room[5], 1);
}

/* Over memory buffers the write is over when something is sent, and what was written may be another text by then: it is not read,
 * and counted. What comes then is. */
static void test_fresh_and_changed(void **state)
{
	static const char other[] = "GET /never-sent HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer " TOKEN "\r\n\r\n";
	static void (*const then[])(void) = { carry, send_at_once, carry_below };
	uint64_t before = rig_dropped(&rig, TT_DROP_user_fault);

	rig_tcp(elsewhere);
	for (size_t n = 0; n < sizeof(then) / sizeof(then[0]); n++) {
		char *there = fresh(REQUEST, strlen(REQUEST), 0);

		rig_clear(&rig);
		assert_int_equal(SSL_write(client, there, (int)strlen(REQUEST)), strlen(REQUEST));
		memcpy(there, other, sizeof(other));
		then[n]();
		carry();
		get(server, strlen(REQUEST));
		rig_collect(&rig);
		assert_int_equal(rig.uses, records_are_seen() ? 1 : 2);
		for (size_t i = 0; i < rig.uses; i++)
			assert_use(&rig.use[i], rig.uses == 1 || i == 1 ? TT_DIR_INGRESS : TT_DIR_EGRESS);
		forget_fresh(there, 0);
		assert_int_equal(rig_dropped(&rig, TT_DROP_user_fault), before + (records_are_seen() ? n + 1 : 0));
		answer_carried();
		usleep(10000);	/* or the response might be the next request's: LATE_NS */
		rig_clear(&rig);
		exchange_carried();
		assert_exchange();
	}
	close(elsewhere[0]);
	close(elsewhere[1]);
}

/* New keys in the middle of a body: their record has no data of the program's. */
static void test_key_update(void **state)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345";
	uint64_t before = dropped();

	put(client, REQUEST);
	get(server, strlen(REQUEST));
	put(server, head);
	get(client, strlen(head));
	assert_int_equal(SSL_key_update(server, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
	put(server, "67890");
	get(client, 5);
	rig_clear(&rig);
	test_exchange(state);
	assert_int_equal(dropped(), before);
}

/* Objects that are used for another connection, without being freed, while the last one is open still. */
static void test_objects_used_again(void **state)
{
	int old[2] = { fd[0], fd[1] };

	test_exchange(state);
	rig_clear(&rig);
	rig_tcp(fd);
	for (int i = 0; i < 2; i++)
		assert_int_equal(fcntl(fd[i], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(SSL_clear(client), 1);
	assert_int_equal(SSL_clear(server), 1);
	SSL_set_fd(client, fd[0]);
	SSL_set_fd(server, fd[1]);
	shake_hands(NULL);
	test_exchange(state);
	close(old[0]);
	close(old[1]);
}

/* New objects on these sockets, whose last ones go. */
static void ask_with_others(void)
{
	SSL_free(client);
	SSL_free(server);
	make_on_sockets();
	put(client, REQUEST);
	get(server, strlen(REQUEST));
	rig_collect(&rig);
	assert_int_equal(rig.uses, 2);
	if (records_are_seen())
		assert_sockets(&rig.use[0].h.tuple, &rig.use[1].h.tuple);
}

static void test_sockets_used_again(void **state)
{
	test_exchange(state);
	rig_clear(&rig);
	ask_with_others();
}

/* A connection's row was evicted. Its socket is met anew, with a record, after some time at the latest. */
static void test_evicted(void **state)
{
	test_exchange(state);
	forget("conns");
	for (int i = 0; i < 24; i++) {
		rig_clear(&rig);
		exchange(REQUEST);
	}
	assert_exchange();
	assert_sockets(&rig.use[0].h.tuple, &rig.use[1].h.tuple);
}

/* Not HTTP, so that there is no connection that ends with the objects. */
static void test_sockets_used_for_else(void **state)
{
	for (int i = 0; i < 2; i++) {
		put(client, "EHLO");
		get(server, 4);
		put(server, "250 OK");
		get(client, 6);
	}
	ask_with_others();
}

/* ---- a write from within a read ---- */

static int wrote_back;

/* As Node's callback, in which fetch() writes its request. */
static void on_info(const SSL *ssl, int where, int ret)
{
	if ((where & SSL_CB_HANDSHAKE_DONE) && ssl == client && !wrote_back)
		wrote_back = SSL_write(client, REQUEST, (int)strlen(REQUEST)) == (int)strlen(REQUEST);
}

static int over_memory_and_called_back(void **state)
{
	char byte;

	make_over_memory();
	SSL_set_connect_state(client);
	SSL_set_accept_state(server);
	SSL_set_info_callback(client, on_info);
	wrote_back = 0;
	for (int i = 0; i < 10 && !wrote_back; i++) {
		SSL_read(client, &byte, 1);	/* shakes hands */
		SSL_read(server, &byte, 0);
		carry();
	}
	return wrote_back ? 0 : -1;
}

static void test_write_inside_read(void **state)
{
	carry();
	get(server, strlen(REQUEST));
	answer_carried();
	assert_exchange();
}

static void connect_anew(void)
{
	shut(NULL);
	connect_both();
}

static void test_vanishing(void **state)
{
	vanish_test(&rig, REQUEST, connect_anew, exchange);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f, how) cmocka_unit_test_setup_teardown(f, how, shut)
		T(test_exchange, over_sockets),
		T(test_ex_forms, over_sockets),
		T(test_split_everywhere, over_sockets),
		T(test_failed_calls, over_sockets),
		T(test_peek, over_sockets),
		T(test_freed_object, over_sockets),
		T(test_no_reader, over_sockets),
		T(test_vanishing, over_sockets),
		T(test_memory_buffers, over_memory_unmet),
		T(test_unrelated_send, over_memory_unmet),
		T(test_two_of_one_size, over_memory_unmet),
		T(test_long_write, over_memory_rested),
		T(test_met, over_memory),
		T(test_met, over_memory_of_1_2),
		T(test_met_is_never_anothers, NULL),
		T(test_waiting_write, over_sockets),
		T(test_sealed, over_memory_unmet),
		T(test_sealed_is_never_anothers, over_memory_unmet),
		T(test_read_by_the_byte, over_sockets),
		T(test_ciphers, over_sockets),
		T(test_key_update, over_sockets),
		T(test_fresh_pages, over_sockets),
		T(test_fresh_and_unmet, over_sockets),
		T(test_fresh_records, over_memory),
		T(test_fresh_and_changed, over_memory),
		T(test_objects_used_again, over_sockets),
		T(test_sockets_used_again, over_sockets),
		T(test_sockets_used_for_else, over_sockets),
		T(test_evicted, over_sockets),
		T(test_write_inside_read, over_memory_and_called_back),
	};

	return rig_run_twice(tests, setup, teardown);
}
