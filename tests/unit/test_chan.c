/* SPDX-License-Identifier: Apache-2.0 */
/* The channel: what its rules allow gets through, anything else is refused and leaves nothing open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/chan.h"

static int fds[2];
static _Alignas(8) char buffer[CHAN_MSG_MAX];

static size_t open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static int setup(void **state)
{
	return chan_pair(fds);
}

static int teardown(void **state)
{
	close(fds[0]);
	close(fds[1]);
	return 0;
}

/* Raw packet, around chan_send()'s care. */
static void send_raw(const void *bytes, size_t len, const int *pass, size_t count)
{
	struct iovec iov = { (void *)bytes, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	union {
		struct cmsghdr c;
		char bytes[CMSG_SPACE(16 * sizeof(int))];
	} control = { .bytes = { 0 } };

	if (count) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.c.cmsg_level = SOL_SOCKET;
		control.c.cmsg_type = SCM_RIGHTS;
		control.c.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.c), pass, count * sizeof(int));
	}
	assert_int_equal(sendmsg(fds[0], &msg, 0), len);
}

static int receive(int *ret_fd)
{
	return chan_recv(fds[1], buffer, chan_to_agent, ret_fd);
}

static void refuses(const void *bytes, size_t len, const int *pass, size_t count)
{
	size_t before = open_fds();
	int fd = 7;

	send_raw(bytes, len, pass, count);
	assert_int_equal(receive(&fd), -EBADMSG);
	assert_int_equal(fd, -EBADF);
	assert_int_equal(open_fds(), before);
}

static void message_arrives_whole(void **state)
{
	struct tt_ipc_proc m = { .tgid = 42, .known = TT_PROC_EXECUTABLE, .executable = "/bin/true" };
	int fd;

	chan_stamp(&m.h, TT_IPC_PROC, sizeof(m));
	assert_int_equal(chan_send(fds[0], &m.h, -1), 0);
	assert_int_equal(receive(&fd), TT_IPC_PROC);
	assert_int_equal(fd, -EBADF);
	assert_memory_equal(buffer, &m, sizeof(m));
	assert_int_equal(receive(&fd), -EAGAIN);
}

static void descriptor_arrives_close_on_exec(void **state)
{
	struct tt_ipc_file m = { .file = 3 };
	int file = open("/dev/zero", O_RDONLY), fd;
	struct stat a, b;

	chan_stamp(&m.h, TT_IPC_FILE, sizeof(m));
	assert_int_equal(chan_send(fds[0], &m.h, file), 0);
	assert_int_equal(receive(&fd), TT_IPC_FILE);
	assert_true(fd >= 0 && fd != file);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fstat(file, &a), 0);
	assert_int_equal(fstat(fd, &b), 0);
	assert_int_equal(a.st_rdev, b.st_rdev);
	close(fd);
	close(file);
}

static void each_rule_checks_its_size(void **state)
{
	for (const struct chan_rule *rule = chan_to_agent; rule->type; rule++) {
		struct tt_ipc_hdr h;
		char m[CHAN_MSG_MAX + 8] = { 0 };
		const int pass[] = { 0 };

		chan_stamp(&h, rule->type, rule->len);
		memcpy(m, &h, sizeof(h));
		refuses(m, rule->len - 1, pass, rule->has_fd);
		refuses(m, rule->len + 1, pass, rule->has_fd);
		chan_stamp(&h, rule->type, rule->len + 1);
		memcpy(m, &h, sizeof(h));
		refuses(m, rule->len, pass, rule->has_fd);
		refuses(m, rule->len + 1, pass, rule->has_fd);
	}
}

static void wrong_type_version_or_direction(void **state)
{
	struct tt_ipc_hdr h;

	chan_stamp(&h, TT_IPC_HELLO, sizeof(h));
	refuses(&h, sizeof(h), NULL, 0);
	chan_stamp(&h, 0, sizeof(h));
	refuses(&h, sizeof(h), NULL, 0);
	chan_stamp(&h, 999, sizeof(h));
	refuses(&h, sizeof(h), NULL, 0);
	chan_stamp(&h, TT_IPC_STOP, sizeof(h));
	h.version++;
	refuses(&h, sizeof(h), NULL, 0);
	refuses("abc", 3, NULL, 0);
}

static void too_long_for_any_rule(void **state)
{
	char m[4 * CHAN_MSG_MAX] = { 0 };
	struct tt_ipc_hdr h;

	chan_stamp(&h, TT_IPC_STOP, sizeof(h));
	memcpy(m, &h, sizeof(h));
	refuses(m, sizeof(m), NULL, 0);
}

static void descriptors_where_none_or_one_belongs(void **state)
{
	const int pass[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
	struct tt_ipc_file file = { .file = 1 };
	struct tt_ipc_hdr stop;

	chan_stamp(&stop, TT_IPC_STOP, sizeof(stop));
	refuses(&stop, sizeof(stop), pass, 1);
	chan_stamp(&file.h, TT_IPC_FILE, sizeof(file));
	refuses(&file, sizeof(file), pass, 0);
	refuses(&file, sizeof(file), pass, 2);
	refuses(&file, sizeof(file), pass, 16);
}

static void full_channel_says_so_and_keeps_packets_whole(void **state)
{
	struct tt_ipc_hook m = { .file = 0 };
	uint64_t sent = 0, got = 0;
	int r, fd;

	chan_stamp(&m.h, TT_IPC_HOOK, sizeof(m));
	while ((r = chan_send(fds[0], &m.h, -1)) == 0)
		m.file = ++sent;
	assert_int_equal(r, -EAGAIN);
	assert_true(sent > 10);
	assert_int_equal(chan_send_wait(fds[0], &m.h, -1, 20), -EAGAIN);
	while (chan_recv(fds[1], buffer, chan_to_monitor, &fd) == TT_IPC_HOOK) {
		struct tt_ipc_hook out;

		memcpy(&out, buffer, sizeof(out));
		assert_int_equal(out.file, got++);
	}
	assert_int_equal(got, sent);
	assert_int_equal(chan_send_wait(fds[0], &m.h, -1, 20), 0);
}

static void end_of_the_peer(void **state)
{
	struct tt_ipc_hdr h;
	int fd;

	chan_stamp(&h, TT_IPC_STOP, sizeof(h));
	assert_int_equal(chan_send(fds[0], &h, -1), 0);
	close(fds[0]);
	assert_int_equal(receive(&fd), TT_IPC_STOP);
	assert_int_equal(receive(&fd), -EPIPE);
	assert_int_equal(chan_send(fds[1], &h, -1), -EPIPE);
	assert_int_equal(chan_pair(fds), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(message_arrives_whole),
		TEST(descriptor_arrives_close_on_exec),
		TEST(each_rule_checks_its_size),
		TEST(wrong_type_version_or_direction),
		TEST(too_long_for_any_rule),
		TEST(descriptors_where_none_or_one_belongs),
		TEST(full_channel_says_so_and_keeps_packets_whole),
		TEST(end_of_the_peer),
	};

	return cmocka_run_group_tests_name("chan", tests, NULL, NULL);
}
