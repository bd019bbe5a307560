/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions that begin as an assembler lengthens instructions, with prefixes that no probe can stand on:
 * they have s2n's names, and are the first instructions of the real s2n_recv() in awscrt 0.38.1. The
 * library itself is tested by e2e/matrix.py. All that the probes need is there (arguments, the stack,
 * the return), and nothing that the program does changes.
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

static struct rig rig;
static atomic_bool stop;

ssize_t s2n_send(void *conn, const void *buf, ssize_t size, int *blocked);
ssize_t s2n_recv(void *conn, void *buf, ssize_t size, int *blocked);
ssize_t inner(void *conn, void *buf, ssize_t size, int *blocked);

/* What conn points to comes in; of what goes out all is taken. */
__attribute__((noinline, used)) ssize_t inner(void *conn, void *buf, ssize_t size, int *blocked)
{
	size_t len = strlen(conn);

	*blocked = 0;
	if (!buf || len > (size_t)size)
		return -1;
	memcpy(buf, conn, len);
	return (ssize_t)len;
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
	"	movl $0, (%rcx)\n"
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(call_and_return_are_seen),
		cmocka_unit_test(comes_and_goes_without_harm),
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
