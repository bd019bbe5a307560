/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects whose end nobody tells of, as in stripped files: a real libssl whose SSL_write(), SSL_read()
 * and SSL_new() are probed as BoringSSL's would be, and SSL_free() is not. And a function that has its
 * count at the fifth argument.
 */
#include "sensor_rig.h"

#include <dlfcn.h>

#include "libssl_rig.h"

#define TOKEN "ghp" "_0123456789abcdefghijABCDEFGHIJ012345"
#define HALF "GET /v1/first HTTP/1.1\r\nHost: first.test\r\nX-Rest: "
#define REQUEST "GET /v1/keys HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer " TOKEN "\r\n\r\n"
#define OBJECTS_MAX 16

static struct rig rig;
static SSL_CTX *client_ctx, *server_ctx;

struct end {
	SSL *ssl;
	BIO *in, *out;
	int fd;
};

struct link {
	struct end client, server;
};

int write_five(SSL *s, const void *buf, size_t num, uint64_t flags, size_t *written);

__attribute__((noinline)) int write_five(SSL *s, const void *buf, size_t num, uint64_t flags,
					 size_t *written)
{
	return flags ? 0 : SSL_write_ex(s, buf, num, written);
}

static void attach(const char *path, const void *base, const void *const *functions,
		   const enum tt_hook *hooks, size_t count)
{
	struct attach_count placed;
	struct elf_file file;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(elf_file_open(&file, fd), 0);
	assert_int_equal(attach_new(&rig.attach), 0);
	for (size_t i = 0; i < count; i++) {
		uint64_t offset;

		assert_true(elf_file_offset(&file, (uint64_t)((const char *)functions[i] - (const char *)base),
					    true, &offset));
		assert_int_equal(attach_add(rig.attach, &(struct attach_function){.hook = hooks[i], .offset = offset}), 0);
	}
	assert_int_equal(attach_place(rig.attach, rig.sensor, fd, file.size, &placed), 0);
	assert_int_equal(placed.hooks, count);
	elf_file_close(&file);
	close(fd);
}

static int setup(void **state)
{
	rig_start_with(&rig, false);
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

static int attach_as_boringssl(void **state)
{
	const void *const functions[] = { dlsym(RTLD_DEFAULT, "SSL_write"), dlsym(RTLD_DEFAULT, "SSL_read"),
					  dlsym(RTLD_DEFAULT, "SSL_new") };
	const enum tt_hook hooks[] = { TT_HOOK_boringssl_write, TT_HOOK_boringssl_read,
				       TT_HOOK_boringssl_new };
	Dl_info info;

	assert_true(dladdr(functions[0], &info) != 0);
	attach(info.dli_fname, info.dli_fbase, functions, hooks, 3);
	rig_clear(&rig);
	return 0;
}

static int attach_to_write_five(void **state)
{
	const void *const function = (const void *)(uintptr_t)write_five;
	const enum tt_hook hook = TT_HOOK_openssl_write_ex2;
	Dl_info info;

	assert_true(dladdr(function, &info) != 0);
	attach("/proc/self/exe", info.dli_fbase, &function, &hook, 1);
	rig_clear(&rig);
	return 0;
}

static int detach(void **state)
{
	attach_free(rig.attach);
	rig.attach = NULL;
	return 0;
}

/* ---- the program itself carries the records ---- */

static void end_begin(struct end *e, SSL *ssl, int fd)
{
	*e = (struct end){ .ssl = ssl, .in = BIO_new(BIO_s_mem()), .out = BIO_new(BIO_s_mem()), .fd = fd };
	SSL_set_bio(e->ssl, e->in, e->out);
}

static void carry(struct end *from, struct end *to)
{
	static char buf[65536];
	int n = BIO_read(from->out, buf, sizeof(buf));
	ssize_t got;

	if (n <= 0)
		return;
	assert_int_equal(send(from->fd, buf, (size_t)n, 0), n);
	for (int left = n; left > 0; left -= (int)got) {
		got = recv(to->fd, buf, (size_t)left, 0);
		assert_true(got > 0);
		assert_int_equal(BIO_write(to->in, buf, (int)got), got);
	}
}

static void link_begin(struct link *l, SSL *client)
{
	int fd[2], a = 0, b = 0;

	rig_tcp(fd);
	end_begin(&l->client, client, fd[0]);
	end_begin(&l->server, SSL_new(server_ctx), fd[1]);
	SSL_set_connect_state(l->client.ssl);
	SSL_set_accept_state(l->server.ssl);
	for (int i = 0; i < 100 && (a != 1 || b != 1); i++) {
		a = SSL_do_handshake(l->client.ssl);
		carry(&l->client, &l->server);
		b = SSL_do_handshake(l->server.ssl);
		carry(&l->server, &l->client);
	}
	assert_int_equal(a, 1);
	assert_int_equal(b, 1);
}

static void link_end(struct link *l)
{
	SSL_free(l->client.ssl);
	SSL_free(l->server.ssl);
	close(l->client.fd);
	close(l->server.fd);
}

static void put(struct link *l, const char *text)
{
	char buf[4096];

	assert_int_equal(SSL_write(l->client.ssl, text, (int)strlen(text)), strlen(text));
	carry(&l->client, &l->server);
	assert_int_equal(SSL_read(l->server.ssl, buf, sizeof(buf)), strlen(text));
}

/* A new object where one was freed. */
static SSL *new_at(const SSL *old)
{
	SSL *other[OBJECTS_MAX], *found = NULL;
	size_t n = 0;

	while (!found && n < OBJECTS_MAX) {
		other[n] = SSL_new(client_ctx);
		assert_non_null(other[n]);
		if (other[n] == old)
			found = other[n];
		else
			n++;
	}
	while (n)
		SSL_free(other[--n]);
	assert_non_null(found);
	return found;
}

/*
 * The second connection's object lies where the first one's was, whose socket is still open and known:
 * neither the socket nor what was half sent is the second one's.
 */
static void object_at_the_same_address(void **state)
{
	struct link first, second;
	uint64_t conn;
	SSL *old;
	int fd;

	link_begin(&first, SSL_new(client_ctx));
	put(&first, REQUEST);
	put(&first, REQUEST);
	put(&first, HALF);
	rig_collect(&rig);
	assert_int_equal(rig.uses, 4);
	assert_int_equal(rig.use[2].tls, TT_TLS_BORINGSSL);
	assert_int_equal(rig.use[2].h.tuple.local_port, rig_port(first.client.fd));
	old = first.client.ssl;
	fd = first.client.fd;
	SSL_free(old);
	rig_clear(&rig);

	link_begin(&second, new_at(old));
	put(&second, REQUEST);
	rig_collect(&rig);
	assert_int_equal(rig.uses, 2);
	rig_assert_text(rig.use[0].path, rig.use[0].path_len, "/v1/keys");
	rig_assert_text(rig.use[0].host, rig.use[0].host_len, "api.test");
	assert_int_equal(rig.use[0].h.tuple.family, TT_AF_NONE);
	rig_clear(&rig);
	put(&second, REQUEST);
	rig_collect(&rig);
	assert_int_equal(rig.use[0].h.tuple.local_port, rig_port(second.client.fd));

	/* The end of the first one's socket is not the second one's. */
	conn = rig.use[0].h.conn;
	SSL_free(first.server.ssl);
	close(first.server.fd);
	close(fd);
	rig_clear(&rig);
	put(&second, REQUEST);
	rig_collect(&rig);
	assert_int_equal(rig.use[0].h.conn, conn);
	link_end(&second);
}

static void count_at_the_fifth_argument(void **state)
{
	struct link l;
	size_t n = 0;

	link_begin(&l, SSL_new(client_ctx));
	assert_int_equal(write_five(l.client.ssl, REQUEST, strlen(REQUEST), 0, &n), 1);
	assert_int_equal(n, strlen(REQUEST));
	rig_collect(&rig);
	assert_int_equal(rig.uses, 1);
	assert_int_equal(rig.use[0].tls, TT_TLS_OPENSSL);
	rig_assert_token(&rig.use[0], TOKEN);
	assert_int_equal(rig_dropped(&rig, TT_DROP_user_fault), 0);
	link_end(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(object_at_the_same_address, attach_as_boringssl, detach),
		cmocka_unit_test_setup_teardown(count_at_the_fifth_argument, attach_to_write_five, detach),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
