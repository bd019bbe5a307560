/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf/tls_c.bpf.c and bpf/nspr.bpf.h with a real NSS. NSPR's functions serve files and clear sockets
 * too: what is no TLS must not be taken for it, and what is TLS must be known without its beginning.
 */
#include "tls_rig.h"

#include <pthread.h>

#include <cert.h>
#include <keyhi.h>
#include <nspr.h>
#include <nss.h>
#include <pk11pub.h>
#include <private/pprio.h>
#include <ssl.h>
#include <sslproto.h>

static PRFileDesc *pr[2];
static CERTCertificate *own_certificate;
static SECKEYPrivateKey *own_key;
static char database[] = "/tmp/tt-nss-XXXXXX";
static PRUint16 newest = SSL_LIBRARY_VERSION_TLS_1_3;
static unsigned int round_robin;

static SECStatus trust(void *arg, PRFileDesc *desc, PRBool check, PRBool server)
{
	return SECSuccess;
}

static void dont_block(PRFileDesc *desc)
{
	const PRSocketOptionData option = { PR_SockOpt_Nonblocking, { .non_blocking = PR_TRUE } };

	assert_int_equal(PR_SetSocketOption(desc, &option), PR_SUCCESS);
}

static void be_tls(PRFileDesc *desc, int end)
{
	const SSLVersionRange versions = { SSL_LIBRARY_VERSION_TLS_1_2, newest };
	PRFileDesc *same = SSL_ImportFD(NULL, desc);

	assert_ptr_equal(same, desc);
	assert_int_equal(SSL_VersionRangeSet(desc, &versions), SECSuccess);
	assert_int_equal(SSL_OptionSet(desc, SSL_SECURITY, PR_TRUE), SECSuccess);
	assert_int_equal(SSL_OptionSet(desc, SSL_HANDSHAKE_AS_CLIENT, end == END_CLIENT), SECSuccess);
	assert_int_equal(SSL_OptionSet(desc, SSL_HANDSHAKE_AS_SERVER, end == END_SERVER), SECSuccess);
	assert_int_equal(SSL_AuthCertificateHook(desc, trust, NULL), SECSuccess);
	if (end == END_SERVER)
		assert_int_equal(SSL_ConfigServerCert(desc, own_certificate, own_key, NULL, 0), SECSuccess);
	else
		assert_int_equal(SSL_SetURL(desc, "api.test"), SECSuccess);
	assert_int_equal(SSL_ResetHandshake(desc, end == END_SERVER), SECSuccess);
}

static void tls_begin(int end)
{
	pr[end] = PR_ImportTCPSocket(fd[end]);
	assert_non_null(pr[end]);
	dont_block(pr[end]);
	be_tls(pr[end], end);
}

static int tls_shake_hands(int end)
{
	if (SSL_ForceHandshake(pr[end]) == SECSuccess)
		return 1;
	assert_int_equal(PR_GetError(), PR_WOULD_BLOCK_ERROR);
	return 0;
}

/* Closes the socket too. */
static void tls_end(int end)
{
	if (pr[end]) {
		PR_Close(pr[end]);
		fd[end] = -1;
	}
	pr[end] = NULL;
}

/* In up to 16 buffers, some of them empty. */
static long put_vector(int end, const char *bytes, size_t len)
{
	static const size_t sizes[] = { 0, 1, 7, 0, 40, 3, 1000, 5 };
	PRIOVec v[PR_MAX_IOVECTOR_SIZE];
	int n = 0;

	for (size_t at = 0; at < len; n++) {
		size_t size = n == PR_MAX_IOVECTOR_SIZE - 1 ? len - at : sizes[n % 8];

		if (size > len - at)
			size = len - at;
		v[n] = (PRIOVec){ (char *)bytes + at, (int)size };
		at += size;
	}
	return PR_Writev(pr[end], v, n, PR_INTERVAL_NO_TIMEOUT);
}

static long put_some(int end, const char *bytes, size_t len)
{
	switch (round_robin++ % 3) {
	case 0:
		return PR_Write(pr[end], bytes, (PRInt32)len);
	case 1:
		return PR_Send(pr[end], bytes, (PRInt32)len, 0, PR_INTERVAL_NO_TIMEOUT);
	default:
		return put_vector(end, bytes, len);
	}
}

/* Every other read is looked at first: what was only looked at is not read twice. */
static long get_some(int end, char *bytes, size_t len)
{
	if (round_robin++ % 2)
		return PR_Read(pr[end], bytes, (PRInt32)len);
	PR_Recv(pr[end], bytes, (PRInt32)len, PR_MSG_PEEK, PR_INTERVAL_NO_TIMEOUT);
	return PR_Recv(pr[end], bytes, (PRInt32)len, 0, PR_INTERVAL_NO_TIMEOUT);
}

static void make_database(void)
{
	char command[512];

	assert_non_null(mkdtemp(database));
	snprintf(command, sizeof(command),
		 "cd %s && head -c 64 /dev/urandom >noise && certutil -N -d sql:. --empty-password && "
		 "certutil -S -d sql:. -n api -s CN=api.test -x -t CT,C,C -k rsa -g 2048 -v 1 -z noise "
		 ">/dev/null 2>&1", database);
	assert_int_equal(system(command), 0);
	assert_int_equal(NSS_Init(database), SECSuccess);
	own_certificate = PK11_FindCertFromNickname("api", NULL);
	assert_non_null(own_certificate);
	own_key = PK11_FindKeyByAnyCert(own_certificate, NULL);
	assert_non_null(own_key);
	assert_int_equal(SSL_ConfigServerSessionIDCache(0, 0, 0, database), SECSuccess);
}

static int setup(void **state)
{
	rig_start(&rig);
	rig_attach_library(&rig, "libnspr4.so", TT_TLS_NSS);
	make_database();
	return 0;
}

static int teardown(void **state)
{
	char command[64];

	SECKEY_DestroyPrivateKey(own_key);
	CERT_DestroyCertificate(own_certificate);
	SSL_ShutdownServerSessionIDCache();
	snprintf(command, sizeof(command), "rm -r %s", database);
	assert_int_equal(system(command), 0);
	rig_stop(&rig);
	return 0;
}

static int shut(void **state)
{
	newest = SSL_LIBRARY_VERSION_TLS_1_3;
	SSL_ClearSessionCache();
	return tls_shut(state);
}

static int clear(void **state)
{
	rig_clear(&rig);
	return 0;
}

static int open_tls12(void **state)
{
	newest = SSL_LIBRARY_VERSION_TLS_1_2;
	return tls_open(state);
}

static void test_exchange(void **state)
{
	check_exchange(TT_TLS_NSS);
}

static void test_splits(void **state)
{
	check_splits(TT_TLS_NSS);
}

static void test_large_body(void **state)
{
	check_large_body(TT_TLS_NSS);
}

static void test_failed_reads(void **state)
{
	check_failed_reads();
}

static void test_object_again(void **state)
{
	check_object_again(TT_TLS_NSS);
}

/* The handshake happens inside the first calls for writing and reading. */
static void test_no_handshake_call(void **state)
{
	size_t len = strlen(REQUEST), sent = 0, got = 0;
	char buf[4096];

	rig_tcp(fd);
	for (int end = 0; end < 2; end++)
		tls_begin(end);
	for (int i = 0; i < TRIES && got < len; i++) {
		PRInt32 n = sent < len ? PR_Write(pr[END_CLIENT], REQUEST + sent, (PRInt32)(len - sent)) :
					 PR_Read(pr[END_CLIENT], buf, sizeof(buf));

		if (n > 0)
			sent += (size_t)n;
		n = PR_Read(pr[END_SERVER], buf, sizeof(buf));
		if (n > 0)
			got += (size_t)n;
		wait_a_little(i);
	}
	assert_int_equal(got, len);
	answer();
	assert_exchange(TT_TLS_NSS);
	assert_sockets(&rig.use[0].h.tuple, &rig.use[1].h.tuple);
}

/* A server's connection: PR_Accept() on a listener that is TLS never calls SSL_ImportFD(). Both ends
 * block, as in a program with a thread for each connection. */
static PRFileDesc *listener;

static void *serve(void *arg)
{
	char buf[4096];
	PRInt32 n = 0;

	pr[END_SERVER] = PR_Accept(listener, NULL, PR_INTERVAL_NO_TIMEOUT);
	while (pr[END_SERVER] && n < (PRInt32)strlen(REQUEST)) {
		PRInt32 got = PR_Read(pr[END_SERVER], buf, sizeof(buf));

		if (got <= 0)
			return NULL;
		n += got;
	}
	return PR_Write(pr[END_SERVER], RESPONSE, (PRInt32)strlen(RESPONSE)) > 0 ? listener : NULL;
}

static void test_accepted(void **state)
{
	PRNetAddr address;
	pthread_t server;
	char buf[4096];
	void *served;

	listener = PR_OpenTCPSocket(PR_AF_INET);
	assert_int_equal(PR_InitializeNetAddr(PR_IpAddrLoopback, 0, &address), PR_SUCCESS);
	assert_int_equal(PR_Bind(listener, &address), PR_SUCCESS);
	assert_int_equal(PR_Listen(listener, 1), PR_SUCCESS);
	assert_int_equal(PR_GetSockName(listener, &address), PR_SUCCESS);
	be_tls(listener, END_SERVER);
	pr[END_CLIENT] = PR_OpenTCPSocket(PR_AF_INET);
	be_tls(pr[END_CLIENT], END_CLIENT);
	assert_int_equal(pthread_create(&server, NULL, serve, NULL), 0);
	assert_int_equal(PR_Connect(pr[END_CLIENT], &address, PR_INTERVAL_NO_TIMEOUT), PR_SUCCESS);
	fd[END_CLIENT] = PR_FileDesc2NativeHandle(pr[END_CLIENT]);
	assert_int_equal(PR_Write(pr[END_CLIENT], REQUEST, (PRInt32)strlen(REQUEST)), strlen(REQUEST));
	assert_true(PR_Read(pr[END_CLIENT], buf, sizeof(buf)) > 0);
	assert_int_equal(pthread_join(server, &served), 0);
	assert_non_null(served);
	fd[END_SERVER] = PR_FileDesc2NativeHandle(pr[END_SERVER]);
	PR_Close(listener);
	rig_await(&rig, 2, 2);
	assert_int_equal(rig.uses, 2);
	assert_int_equal(rig.statuses, 2);
	for (int i = 0; i < 2; i++) {	/* of two threads: in any order */
		bool out = rig.use[i].dir == TT_DIR_EGRESS;

		assert_use(&rig.use[i], TT_TLS_NSS, out ? TT_DIR_EGRESS : TT_DIR_INGRESS);
		assert_tuple(&rig.use[i].h.tuple, out ? END_CLIENT : END_SERVER);
		assert_int_equal(rig.status[i].status, 403);
	}
	assert_true(rig.use[0].dir != rig.use[1].dir);
}

/* Connections that were open, and used, before the sensor came. */
static void test_open_before(void **state)
{
	attach_free(rig.attach);
	rig.attach = NULL;
	tls_open(state);
	put(END_CLIENT, REQUEST);
	get(END_SERVER, strlen(REQUEST));
	answer();
	rig_clear(&rig);
	rig_attach_library(&rig, "libnspr4.so", TT_TLS_NSS);
	check_exchange(TT_TLS_NSS);
}

static void use_file(const char *path)
{
	PRFileDesc *file = PR_Open(path, PR_RDWR | PR_CREATE_FILE | PR_TRUNCATE, 0600);
	char buf[4096];

	assert_non_null(file);
	assert_int_equal(PR_Write(file, REQUEST, (PRInt32)strlen(REQUEST)), strlen(REQUEST));
	assert_int_equal(PR_Seek(file, 0, PR_SEEK_SET), 0);
	assert_int_equal(PR_Read(file, buf, sizeof(buf)), strlen(REQUEST));
	PR_Close(file);
}

/* A plain file's bytes are nobody's use, also when its PRFileDesc was a TLS connection's before. */
static void test_file(void **state)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/request", database);
	use_file(path);
	tls_connect();
	check_exchange(TT_TLS_NSS);
	tls_close();
	rig_clear(&rig);
	for (int i = 0; i < 20; i++)
		use_file(path);
	rig_collect(&rig);
	assert_int_equal(rig.uses, 0);
}

static void clear_pair(PRFileDesc *pair[2])
{
	rig_tcp(fd);
	for (int end = 0; end < 2; end++) {
		pair[end] = PR_ImportTCPSocket(fd[end]);
		assert_non_null(pair[end]);
	}
}

static void assert_plain_exchange(void)
{
	rig_collect(&rig);
	assert_int_equal(rig.uses, 2);
	assert_use(&rig.use[0], TT_TLS_NONE, TT_DIR_EGRESS);
	assert_use(&rig.use[1], TT_TLS_NONE, TT_DIR_INGRESS);
	assert_sockets(&rig.use[0].h.tuple, &rig.use[1].h.tuple);
	assert_int_equal(rig.statuses, 2);
}

/* A clear socket's bytes are seen at the socket, once. */
static void test_clear_socket(void **state)
{
	for (round_robin = 0; round_robin < 3;) {
		clear_pair(pr);
		put(END_CLIENT, REQUEST);	/* moves round_robin on */
		assert_int_equal(PR_Recv(pr[END_SERVER], (char[4096]){ 0 }, 4096, 0, PR_INTERVAL_NO_TIMEOUT),
				 strlen(REQUEST));
		assert_int_equal(PR_Send(pr[END_SERVER], RESPONSE, strlen(RESPONSE), 0, PR_INTERVAL_NO_TIMEOUT),
				 strlen(RESPONSE));
		assert_int_equal(PR_Read(pr[END_CLIENT], (char[4096]){ 0 }, 4096), strlen(RESPONSE));
		assert_plain_exchange();
		tls_close();
		rig_clear(&rig);
	}
}

/* A clear connection on which TLS begins: through a proxy. Each of its halves is what it is. */
static void test_clear_then_tls(void **state)
{
	int done[2] = { 0, 0 };

	clear_pair(pr);
	put(END_CLIENT, REQUEST);
	assert_int_equal(PR_Read(pr[END_SERVER], (char[4096]){ 0 }, 4096), strlen(REQUEST));
	put(END_SERVER, RESPONSE);
	assert_int_equal(PR_Read(pr[END_CLIENT], (char[4096]){ 0 }, 4096), strlen(RESPONSE));
	assert_plain_exchange();
	rig_clear(&rig);
	for (int end = 0; end < 2; end++) {
		dont_block(pr[end]);
		be_tls(pr[end], end);
	}
	for (int i = 0; i < TRIES && (!done[0] || !done[1]); i++)
		for (int end = 0; end < 2; end++)
			done[end] = done[end] || tls_shake_hands(end);
	check_exchange(TT_TLS_NSS);
}

/* The socket takes no more: NSS keeps a record and asks for its last byte again. */
static void test_full_socket(void **state)
{
	static const char head[] = "POST /upload HTTP/1.1\r\nHost: api.test\r\nContent-Length: 3000000\r\n\r\n";
	static char body[50000];
	size_t sent = 0, got = 0;
	int small = 4096;

	assert_int_equal(setsockopt(fd[END_CLIENT], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	put(END_CLIENT, head);
	get(END_SERVER, strlen(head));
	while (got < 3000000) {
		size_t len = 3000000 - sent < sizeof(body) ? 3000000 - sent : sizeof(body);
		long n = len ? put_some(END_CLIENT, body, len) : 0;

		if (n > 0)
			sent += (size_t)n;
		n = get_some(END_SERVER, (char[4096]){ 0 }, 4096);
		if (n > 0)
			got += (size_t)n;
	}
	assert_int_equal(sent, got);
	answer();
	check_exchange(TT_TLS_NSS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, tls_open, shut)
#define UNOPENED(f) cmocka_unit_test_setup_teardown(f, clear, shut)
		T(test_exchange),
		cmocka_unit_test_setup_teardown(test_exchange, open_tls12, shut),
		T(test_splits),
		T(test_large_body),
		T(test_failed_reads),
		T(test_object_again),
		UNOPENED(test_no_handshake_call),
		UNOPENED(test_accepted),
		UNOPENED(test_open_before),
		UNOPENED(test_file),
		UNOPENED(test_clear_socket),
		UNOPENED(test_clear_then_tls),
		T(test_full_socket),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
