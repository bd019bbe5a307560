/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions that begin as an assembler lengthens instructions, with prefixes that no probe can stand on:
 * they have s2n's names, and are the first instructions of the real s2n_recv() in awscrt 0.38.1. The
 * library itself is tested by e2e/matrix.py. All that the probes need is there (arguments, the stack,
 * the return), and nothing that the program does changes. And as nobody reads what a library does inside,
 * two calls can be made to return at the same instant.
 */
#include "sensor_rig.h"

#if defined(__x86_64__)

#include <pthread.h>
#include <stdatomic.h>

#define TOKEN "ghp" "_0123456789abcdefghijABCDEFGHIJ012345"
#define REQUEST "GET /v1/keys HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer " TOKEN "\r\n\r\n"
#define RESPONSE "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
#define ROUNDS 5
#define CALLERS 2
#define BODY "grant_type=client_credentials&scope=a"
#define POST "POST /token HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer " TOKEN "\r\nContent-Length: 37\r\n\r\n"
#define OVERHEAD 22			/* of a record */
#define CONNECTIONS 600

/* What one end of a connection does on its socket inside the next call, and for whom it waits then. */
struct wire {
	int fd;
	atomic_int *there;
	int late;			/* turns of a loop before it returns */
};

static struct rig rig;
static atomic_bool stop;
static _Thread_local const struct wire *wire;

ssize_t s2n_send(void *conn, const void *buf, ssize_t size, int *blocked);
ssize_t s2n_recv(void *conn, void *buf, ssize_t size, int *blocked);
ssize_t inner(void *conn, void *buf, ssize_t size, int *blocked);
ssize_t inner_send(void *conn, const void *buf, ssize_t size, int *blocked);

static void await_other(void)
{
	atomic_fetch_add(wire->there, 1);
	while (atomic_load(wire->there) < CALLERS)
		;
	for (int i = 0; i < wire->late; i++)
		__asm__ volatile("pause");
}

/* What conn points to comes in; of what goes out all is taken. */
__attribute__((noinline, used)) ssize_t inner(void *conn, void *buf, ssize_t size, int *blocked)
{
	size_t len = strlen(conn);
	char record[512];

	*blocked = 0;
	if (!buf || len > (size_t)size)
		return -1;
	if (wire) {
		if (recv(wire->fd, record, len + OVERHEAD, MSG_WAITALL) != (ssize_t)len + OVERHEAD)
			return -1;
		await_other();
	}
	memcpy(buf, conn, len);
	return (ssize_t)len;
}

__attribute__((noinline, used)) ssize_t inner_send(void *conn, const void *buf, ssize_t size, int *blocked)
{
	char record[512] = { 0 };

	*blocked = 0;
	if (wire) {
		if (send(wire->fd, record, (size_t)size + OVERHEAD, 0) != size + OVERHEAD)
			return -1;
		await_other();
	}
	return size;
}

__asm__(".text\n"
	".globl s2n_recv\n"
	".type s2n_recv, @function\n"
	"s2n_recv:\n"
	"	.byte 0x2e, 0x2e, 0x2e, 0x2e, 0x41, 0x54\n"	/* push %r12 */
	"	.byte 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x53\n"	/* push %rbx */
	"	sub $8, %rsp\n"
	"	mov %rdi, %rbx\n"
	"	mov %rsp, %r12\n"
	"	call inner\n"
	"	cmp %rsp, %r12\n"
	"	jne 1f\n"
	"	add $8, %rsp\n"
	"	pop %rbx\n"
	"	pop %r12\n"
	"	ret\n"
	"1:	ud2\n"
	".size s2n_recv, . - s2n_recv\n"
	".globl s2n_send\n"
	".type s2n_send, @function\n"
	"s2n_send:\n"
	"	.byte 0x2e, 0x48, 0x89, 0xd0\n"			/* mov %rdx, %rax */
	"	sub $8, %rsp\n"
	"	call inner_send\n"
	"	add $8, %rsp\n"
	"	ret\n"
	".size s2n_send, . - s2n_send\n");

static void attach(void)
{
	struct elf_scan scan;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	assert_int_equal(elf_scan(fd, &scan), TT_SCAN_HOOKS);
	assert_int_equal(scan.count, 2);
	assert_int_equal(scan.refused, 0);
	for (size_t i = 0; i < scan.count; i++)
		assert_int_equal(scan.hooks[i].tls, TT_TLS_S2N);
	rig_attach(&rig, fd, &scan);
	close(fd);
}

static void detach(void)
{
	attach_free(rig.attach);
	rig.attach = NULL;
}

static int setup(void **state)
{
	rig_start_with(&rig, false);
	return 0;
}

static int teardown(void **state)
{
	rig_stop(&rig);
	return 0;
}

static void call_and_return_are_seen(void **state)
{
	static char request[] = REQUEST;
	int blocked = 1;
	char buf[512];

	attach();
	rig_clear(&rig);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(s2n_recv(request, buf, sizeof(buf), &blocked), strlen(REQUEST));
		assert_int_equal(s2n_send(request, RESPONSE, strlen(RESPONSE), &blocked), strlen(RESPONSE));
	}
	assert_int_equal(s2n_recv(request, buf, 5, &blocked), -1);	/* what the buffer holds is old */
	rig_await(&rig, 3, 3);
	detach();
	assert_int_equal(rig.uses, 3);
	assert_int_equal(rig.statuses, 3);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(rig.use[i].dir, TT_DIR_INGRESS);
		assert_int_equal(rig.use[i].tls, TT_TLS_S2N);
		rig_assert_text(rig.use[i].path, rig.use[i].path_len, "/v1/keys");
		rig_assert_token(&rig.use[i], TOKEN);
		assert_int_equal(rig.status[i].status, 403);
	}
}

static void *call_all_the_time(void *arg)
{
	char bytes[] = "these bytes begin no message", buf[64];
	uint64_t *calls = arg;
	int blocked = 1;

	while (!stop) {
		memset(buf, 0, sizeof(buf));
		if (s2n_recv(bytes, buf, sizeof(buf), &blocked) != sizeof(bytes) - 1 || strcmp(buf, bytes) ||
		    blocked || s2n_send(bytes, buf, 7, &blocked) != 7)
			return NULL;
		++*calls;
	}
	return arg;
}

static void comes_and_goes_without_harm(void **state)
{
	uint64_t calls[CALLERS] = { 0 };
	pthread_t caller[CALLERS];

	stop = false;
	for (int i = 0; i < CALLERS; i++)
		assert_int_equal(pthread_create(&caller[i], NULL, call_all_the_time, &calls[i]), 0);
	for (int i = 0; i < ROUNDS; i++) {
		attach();
		usleep(50000);
		detach();
	}
	stop = true;
	for (int i = 0; i < CALLERS; i++) {
		void *right;

		assert_int_equal(pthread_join(caller[i], &right), 0);
		assert_non_null(right);
		assert_true(calls[i] > 1000);
	}
}

struct end {
	struct wire wire;
	char *conn;
};

static void *send_body(void *arg)
{
	struct end *e = arg;
	int blocked;

	wire = &e->wire;
	return s2n_send(e->conn, BODY, strlen(BODY), &blocked) == (ssize_t)strlen(BODY) ? arg : NULL;
}

static void *receive_answer(void *arg)
{
	struct end *e = arg;
	char buf[512];
	int blocked;

	wire = &e->wire;
	return s2n_recv(e->conn, buf, sizeof(buf), &blocked) == (ssize_t)strlen(RESPONSE) ? arg : NULL;
}

static void call_both(struct end *out, struct end *in, int peer)
{
	char record[512] = { 0 };
	pthread_t caller[CALLERS];

	assert_int_equal(pthread_create(&caller[0], NULL, send_body, out), 0);
	assert_int_equal(pthread_create(&caller[1], NULL, receive_answer, in), 0);
	assert_int_equal(recv(peer, record, strlen(BODY) + OVERHEAD, MSG_WAITALL), strlen(BODY) + OVERHEAD);
	assert_int_equal(send(peer, record, strlen(RESPONSE) + OVERHEAD, 0), strlen(RESPONSE) + OVERHEAD);
	for (int i = 0; i < CALLERS; i++) {
		void *right;

		assert_int_equal(pthread_join(caller[i], &right), 0);
		assert_non_null(right);
	}
}

/* Each tells the connection's socket: what is known of that stays, whoever is first. */
static void two_calls_return_at_once(void **state)
{
	static char conn[CONNECTIONS][sizeof(RESPONSE)];

	attach();
	for (int i = 0; i < CONNECTIONS; i++) {
		atomic_int there = 0;
		struct end out = { .conn = conn[i] }, in = { .conn = conn[i] };
		int fd[2], blocked;

		rig_clear(&rig);
		rig_tcp(fd);
		memcpy(conn[i], RESPONSE, sizeof(RESPONSE));
		assert_int_equal(s2n_send(conn[i], POST, strlen(POST), &blocked), strlen(POST));
		out.wire = (struct wire){ .fd = fd[0], .there = &there, .late = i % 16 };
		in.wire = (struct wire){ .fd = fd[0], .there = &there, .late = i / 16 % 16 };
		call_both(&out, &in, fd[1]);
		rig_await(&rig, 1, 1);
		assert_int_equal(rig.uses, 1);
		assert_int_equal(rig.statuses, 1);
		assert_int_equal(rig.status[0].h.conn, rig.use[0].h.conn);
		assert_int_equal(rig.status[0].status, 403);
		assert_int_equal(rig.status[0].h.tuple.local_port, rig_port(fd[0]));
		close(fd[0]);
		close(fd[1]);
	}
	detach();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(call_and_return_are_seen),
		cmocka_unit_test(comes_and_goes_without_harm),
		cmocka_unit_test(two_calls_return_at_once),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

#else

int main(void)
{
	print_message("x86 only\n");
	return 0;
}

#endif
