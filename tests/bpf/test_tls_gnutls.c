/* SPDX-License-Identifier: Apache-2.0 */
/* bpf/tls_c.bpf.c with a real libgnutls: writes that go out later, corked ones, wrappers. */
#include "tls_rig.h"

#include <errno.h>

#include <gnutls/gnutls.h>

static gnutls_certificate_credentials_t credentials[2];
static gnutls_session_t session[2];
static const char *priority = "NORMAL";
static int refusals, refusal = EAGAIN;	/* of the next pushes */
static int halves;			/* pushes that take half of the bytes */
static unsigned int round_robin;

static ssize_t push(gnutls_transport_ptr_t end, const void *bytes, size_t len)
{
	if (refusals > 0) {
		refusals--;
		gnutls_transport_set_errno(session[END_CLIENT], refusal);
		return -1;
	}
	if (halves > 0 && len > 1) {
		halves--;
		refusals = 1;
		len /= 2;
	}
	return send((int)(intptr_t)end, bytes, len, 0);
}

static void tls_begin(int end)
{
	unsigned int role = end == END_CLIENT ? GNUTLS_CLIENT : GNUTLS_SERVER;

	assert_int_equal(gnutls_init(&session[end], role | GNUTLS_NONBLOCK), 0);
	assert_int_equal(gnutls_priority_set_direct(session[end], priority, NULL), 0);
	assert_int_equal(gnutls_credentials_set(session[end], GNUTLS_CRD_CERTIFICATE,
						credentials[end]), 0);
	gnutls_transport_set_int(session[end], fd[end]);
	if (end == END_CLIENT)
		gnutls_transport_set_push_function(session[end], push);
}

static int tls_shake_hands(int end)
{
	int r = gnutls_handshake(session[end]);

	assert_true(r == 0 || !gnutls_error_is_fatal(r));
	return r == 0;
}

static void tls_end(int end)
{
	if (session[end])
		gnutls_deinit(session[end]);
	session[end] = NULL;
}

/* The wrapper and the function behind it take turns. */
static long put_some(int end, const char *bytes, size_t len)
{
	if (round_robin++ % 2)
		return gnutls_record_send(session[end], bytes, len);
	return gnutls_record_send2(session[end], bytes, len, 0, 0);
}

static long get_some(int end, char *bytes, size_t len)
{
	unsigned char number[8];

	if (round_robin % 3)
		return gnutls_record_recv(session[end], bytes, len);
	return gnutls_record_recv_seq(session[end], bytes, len, number);
}

static int setup(void **state)
{
	rig_start_with(&rig, false);
	rig_attach_library(&rig, "libgnutls.so", TT_TLS_GNUTLS);
	tls_make_certificate();
	for (int i = 0; i < 2; i++)
		assert_int_equal(gnutls_certificate_allocate_credentials(&credentials[i]), 0);
	assert_int_equal(gnutls_certificate_set_x509_key_file(credentials[END_SERVER], certificate,
							      private_key, GNUTLS_X509_FMT_PEM), 0);
	return 0;
}

static int teardown(void **state)
{
	for (int i = 0; i < 2; i++)
		gnutls_certificate_free_credentials(credentials[i]);
	tls_remove_certificate();
	rig_stop(&rig);
	return 0;
}

static int shut(void **state)
{
	assert_int_equal(refusals, 0);
	priority = "NORMAL";
	refusal = EAGAIN;
	return tls_shut(state);
}

static int open_tls12(void **state)
{
	priority = "NORMAL:-VERS-ALL:+VERS-TLS1.2";
	return tls_open(state);
}

static void test_exchange(void **state)
{
	check_exchange(TT_TLS_GNUTLS);
}

static void test_splits(void **state)
{
	check_splits(TT_TLS_GNUTLS);
}

static void test_large_body(void **state)
{
	check_large_body(TT_TLS_GNUTLS);
}

static void test_failed_reads(void **state)
{
	check_failed_reads();
}

static void test_object_again(void **state)
{
	check_object_again(TT_TLS_GNUTLS);
}

/* The request can't go out at once. Then it is sent from the library's own memory: the program's is
 * another's by then. */
static void held_back(int times, bool same_arguments)
{
	char request[] = REQUEST;
	ssize_t n;

	refusals = times;
	n = gnutls_record_send(session[END_CLIENT], request, strlen(REQUEST));
	assert_int_equal(n, refusal == EINTR ? GNUTLS_E_INTERRUPTED : GNUTLS_E_AGAIN);
	if (!same_arguments)
		memset(request, '#', sizeof(request));
	while (n < 0) {
		assert_false(gnutls_error_is_fatal((int)n));
		n = same_arguments ? gnutls_record_send(session[END_CLIENT], request, strlen(REQUEST)) :
				     gnutls_record_send(session[END_CLIENT], NULL, 0);
	}
	assert_int_equal(n, strlen(REQUEST));
	get(END_SERVER, strlen(REQUEST));
	answer();
	assert_exchange(TT_TLS_GNUTLS);
	assert_tuple(&rig.use[1].h.tuple, END_SERVER);
	assert_tuple(&rig.status[1].h.tuple, END_CLIENT);
	rig_clear(&rig);
}

static void test_again(void **state)
{
	for (int times = 1; times < 4; times++) {
		held_back(times, false);
		held_back(times, true);
	}
	refusal = EINTR;
	held_back(1, false);
	held_back(1, true);
}

static void test_half_a_record(void **state)
{
	halves = 1;
	held_back(0, false);
	halves = 1;
	held_back(0, true);
	check_exchange(TT_TLS_GNUTLS);
}

/* A send on another socket, of exactly the size of the record, while a write is held back. */
static void test_again_and_another_socket(void **state)
{
	char other[4096] = "x";
	int pair[2];

	rig_tcp(pair);
	refusals = 1;
	assert_int_equal(gnutls_record_send(session[END_CLIENT], REQUEST, strlen(REQUEST)),
			 GNUTLS_E_AGAIN);
	assert_int_equal(send(pair[0], other, strlen(REQUEST) + 22, 0), strlen(REQUEST) + 22);
	assert_int_equal(gnutls_record_send(session[END_CLIENT], NULL, 0), strlen(REQUEST));
	get(END_SERVER, strlen(REQUEST));
	answer();
	assert_exchange(TT_TLS_GNUTLS);
	assert_int_equal(rig.use[0].h.tuple.family, TT_AF_NONE);
	assert_tuple(&rig.status[1].h.tuple, END_CLIENT);
	close(pair[0]);
	close(pair[1]);
}

/* A record that GnuTLS cuts shorter than the sensor thought: what was read too early is no message. */
static void test_again_with_short_records(void **state)
{
	static char rest[3000] = REQUEST;

	assert_int_equal(gnutls_record_set_max_size(session[END_CLIENT], 512), 0);
	refusals = 1;
	assert_int_equal(gnutls_record_send(session[END_CLIENT], rest, sizeof(rest)), GNUTLS_E_AGAIN);
	assert_int_equal(gnutls_record_send(session[END_CLIENT], NULL, 0), 512);
	get(END_SERVER, 512);
	rig_collect(&rig);
	assert_in_range(rig.uses, 1, 2);
}

/* Corked: given to the library twice, by the program and again by gnutls_record_uncork(). */
static void test_corked(void **state)
{
	for (size_t at = 1; at < strlen(REQUEST); at += 7) {
		gnutls_record_cork(session[END_CLIENT]);
		put_bytes(END_CLIENT, REQUEST, at);
		put_bytes(END_CLIENT, REQUEST + at, strlen(REQUEST) - at);
		refusals = at % 2;
		assert_int_equal(gnutls_record_uncork(session[END_CLIENT], GNUTLS_RECORD_WAIT),
				 strlen(REQUEST));
		get(END_SERVER, strlen(REQUEST));
		answer();
		assert_exchange(TT_TLS_GNUTLS);
		assert_tuple(&rig.status[1].h.tuple, END_CLIENT);
		rig_clear(&rig);
	}
	check_exchange(TT_TLS_GNUTLS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, tls_open, shut)
		T(test_exchange),
		cmocka_unit_test_setup_teardown(test_exchange, open_tls12, shut),
		T(test_splits),
		T(test_large_body),
		T(test_failed_reads),
		T(test_object_again),
		T(test_again),
		cmocka_unit_test_setup_teardown(test_again, open_tls12, shut),
		T(test_half_a_record),
		T(test_again_and_another_socket),
		T(test_again_with_short_records),
		T(test_corked),
	};

	return rig_run_twice(tests, setup, teardown);
}
