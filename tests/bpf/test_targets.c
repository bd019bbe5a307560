/* SPDX-License-Identifier: Apache-2.0 */
/*
 * src/monitor/targets.c with real probes: read back where a process maps the file, not set twice on one
 * inode, and not too many at once. The agent's part is played here; the files are no ELF files, so that
 * another sensor on this machine leaves them alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "ipc/chan.h"
#include "limits.h"
#include "monitor/bpf.h"
#include "monitor/targets.h"

#define FILES 6
#define SIZE 8192
#define WRITE_AT 0x100
#define READ_AT 0x200

static const uint8_t key[KERNEL_KEY_LEN] = {1};
static struct config config;
static struct bpf_sensor *sensor;
static char dir[] = "/tmp/tt_test_bpf_targets_XXXXXX";
static struct targets *targets;
static int fds[2];
static struct tt_ipc_attached told; /* the last one */
static unsigned int tells;

static int start(void **state)
{
	struct bpf_error error;

	if (!mkdtemp(dir) || config_init(&config) < 0)
		return -1;
	if (open_sensor(&config, key, &sensor, &error) < 0) {
		print_error("%s\n", error.text);
		return -1;
	}
	return 0;
}

static int stop(void **state)
{
	char command[64];

	bpf_sensor_close(sensor);
	config_done(&config);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

/* Two functions, the first of them with these bytes in front. */
static void make_file(const char *name, const char *first, size_t len)
{
	char bytes[SIZE];
	int fd = open(path_of(name), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	assert_true(fd >= 0);
	memset(bytes, 0x90, sizeof(bytes));
	bytes[WRITE_AT + 16] = bytes[READ_AT + 16] = (char)0xc3;
	memcpy(bytes + WRITE_AT, first, len);
	assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	close(fd);
}

static void begin(uint32_t rate)
{
	const struct targets_options options = {.libraries = 1u << TT_TLS_OPENSSL, .rate = rate};

	assert_int_equal(targets_new(sensor, &options, &targets), 0);
	assert_int_equal(chan_pair(fds), 0);
	targets_set_agent(targets, fds[0]);
	tells = 0;
}

static void end(void)
{
	targets_free(targets);
	close(fds[0]);
	close(fds[1]);
}

/* Answers what the agent is asked, as if the file had OpenSSL's two functions; true: a question. */
static bool serve(void)
{
	_Alignas(8) char message[CHAN_MSG_MAX];
	_cleanup_close_ int fd = -EBADF;
	int type = chan_recv(fds[1], message, chan_to_agent, &fd);

	if (type == -EAGAIN)
		return false;
	if (type == TT_IPC_ATTACHED) {
		memcpy(&told, message, sizeof(told));
		tells++;
		return true;
	}
	assert_int_equal(type, TT_IPC_FILE);
	{
		const struct tt_ipc_file *question = (const void *)message;
		struct tt_ipc_hook hook = {.file = question->file, .tls = TT_TLS_OPENSSL};
		struct tt_ipc_scanned done = {.file = question->file, .result = TT_SCAN_HOOKS, .hooks = 2};

		hook.offset = WRITE_AT;
		hook.hook = TT_HOOK_openssl_write;
		assert_int_equal(targets_hook(targets, &hook), 0);
		hook.offset = READ_AT;
		hook.hook = TT_HOOK_openssl_read;
		assert_int_equal(targets_hook(targets, &hook), 0);
		done.finding[0] = (struct tt_finding){.tls = TT_TLS_OPENSSL, .how = TT_HOW_symbols};
		assert_int_equal(targets_scanned(targets, &done), 0);
	}
	return true;
}

static void serve_all(void)
{
	targets_send(targets);
	while (serve())
		;
}

static unsigned char *map_file(const char *path, struct target_map *ret_map)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned char *bytes;
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	bytes = mmap(NULL, SIZE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(bytes, MAP_FAILED);
	close(fd);
	*ret_map = (struct target_map){
		.pid = (uint32_t)getpid(),
		.start = (uintptr_t)bytes,
		.end = (uintptr_t)bytes + SIZE,
		.ino = st.st_ino,
		.path = path,
	};
	return bytes;
}

static struct targets_count counts(void)
{
	struct targets_count c;

	targets_counts(targets, &c);
	return c;
}

static void probes_that_are_there(void **state)
{
	struct target_map map;
	unsigned char *bytes;

	make_file("good", "", 0);
	begin(100);
	targets_known(targets, path_of("good"));
	serve_all();
	assert_int_equal(counts().probes, 4);
	assert_int_equal(told.hooks, 2);
	bytes = map_file(path_of("good"), &map);
	targets_mapped(targets, &map, 1);
	serve_all();
	assert_int_equal(bytes[WRITE_AT], 0xcc);
	assert_int_equal(counts().attach_failed, 0);
	assert_int_equal(counts().files_probed, 1);
	assert_int_equal(tells, 1);
	end();
	assert_int_equal(bytes[WRITE_AT], 0x90);
	munmap(bytes, SIZE);
}

/* Registered while no process maps the file, and refused without a word when one does. */
static void probe_that_is_not_there(void **state)
{
#if defined(__x86_64__)
	struct target_map map;
	unsigned char *bytes;

	make_file("prefixed", "\x2e\x41\x54", 3);
	begin(100);
	targets_known(targets, path_of("prefixed"));
	serve_all();
	assert_int_equal(told.hooks, 2); /* says the kernel */
	bytes = map_file(path_of("prefixed"), &map);
	assert_int_equal(bytes[WRITE_AT], 0x2e);
	targets_mapped(targets, &map, 1);
	serve_all();
	assert_int_equal(counts().attach_failed, 1);
	assert_int_equal(tells, 2);
	assert_int_equal(told.hooks, 1);
	assert_int_equal(told.failed, 1);
	assert_int_equal(told.finding[0].blind, TT_BLIND_NONE); /* it is seen reading */
	assert_int_equal(told.finding[0].partly[0], TT_BLIND_attach_refused);
	assert_int_equal(told.finding[0].partly[1], TT_BLIND_NONE);
	targets_mapped(targets, &map, 20000000000); /* once is enough */
	serve_all();
	assert_int_equal(counts().attach_failed, 1);
	end();
	munmap(bytes, SIZE);
#else
	skip();
#endif
}

static void one_refused_at_once(void **state)
{
#if defined(__x86_64__)
	struct target_map map;
	unsigned char *bytes;

	make_file("one", "\x3e\x41\x54", 3);
	begin(100);
	bytes = map_file(path_of("one"), &map);
	targets_mapped(targets, &map, 1);
	serve_all();
	assert_int_equal(told.hooks, 1);
	assert_int_equal(told.failed, 1);
	assert_int_equal(told.finding[0].blind, TT_BLIND_NONE);
	assert_int_equal(told.finding[0].partly[0], TT_BLIND_attach_refused);
	assert_int_equal(told.finding[0].partly[1], TT_BLIND_NONE);
	end();
	munmap(bytes, SIZE);
#else
	skip();
#endif
}

/* Mapped before: the kernel refuses at once. With no function left the library is blind. */
static void no_probe_at_all(void **state)
{
#if defined(__x86_64__)
	struct target_map map;
	unsigned char *bytes;
	char path[128];
	int fd;

	make_file("blind", "\x2e\x41\x54", 3);
	snprintf(path, sizeof(path), "%s", path_of("blind"));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "\x3e\x41\x54", 3, READ_AT), 3);
	close(fd);
	for (int mapped_before = 0; mapped_before < 2; mapped_before++) {
		begin(100);
		if (!mapped_before) {
			targets_known(targets, path);
			serve_all();
		}
		bytes = map_file(path, &map);
		targets_mapped(targets, &map, 1);
		serve_all();
		assert_int_equal(counts().attach_failed, 2);
		assert_int_equal(counts().files_probed, 0);
		assert_int_equal(counts().probes, 0);
		assert_int_equal(told.hooks, 0);
		assert_int_equal(told.since_ns, 0);
		assert_int_equal(told.finding[0].blind, TT_BLIND_attach_refused);
		end();
		munmap(bytes, SIZE);
	}
#else
	skip();
#endif
}

/* Two overlays above one file. The second shows it with its own times: metadata was copied up, the
 * content was not, and the kernel has one inode to probe. */
static void two_overlays_of_one_file(void **state)
{
	static const char *const dirs[] = {"low", "up1", "up2", "work1", "work2", "over1", "over2"};
	struct target_map map[2];
	unsigned char *bytes[2];
	char command[512], path[2][160];

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		assert_int_equal(mkdir(path_of(dirs[i]), 0755), 0);
	make_file("low/program", "", 0);
	for (int i = 0; i < 2; i++) {
		snprintf(command, sizeof(command),
			 "mount -t overlay -o lowerdir=%s/low,upperdir=%s/up%d,workdir=%s/work%d,metacopy=on "
			 "overlay %s/over%d", dir, dir, i + 1, dir, i + 1, dir, i + 1);
		if (system(command) != 0) {
			print_message("no overlay can be mounted here\n");
			skip();
		}
		snprintf(path[i], sizeof(path[i]), "%s/over%d/program", dir, i + 1);
	}
	assert_int_equal(chmod(path[1], 0700), 0);
	begin(100);
	for (int i = 0; i < 2; i++) {
		bytes[i] = map_file(path[i], &map[i]);
		targets_mapped(targets, &map[i], 1);
		serve_all();
	}
	assert_int_equal(bytes[0][WRITE_AT], 0xcc);
	assert_int_equal(bytes[1][WRITE_AT], 0xcc);
	assert_int_equal(counts().probes, 4);
	assert_int_equal(counts().attach_failed, 0);
	assert_int_equal(told.hooks, 2);
	assert_int_not_equal(told.since_ns, 0);
	/* All out and in again: whichever is met first has the probes. */
	targets_switch(targets, false);
	assert_int_equal(counts().probes, 0);
	assert_int_equal(counts().files_probed, 0);
	assert_int_equal(bytes[1][WRITE_AT], 0x90);
	targets_switch(targets, true);
	for (int i = 1; i >= 0; i--) {
		targets_mapped(targets, &map[i], 2);
		serve_all();
	}
	assert_int_equal(bytes[0][WRITE_AT], 0xcc);
	assert_int_equal(counts().probes, 4);
	end();
	for (int i = 0; i < 2; i++) {
		munmap(bytes[i], SIZE);
		snprintf(command, sizeof(command), "umount -l %s/over%d", dir, i + 1);
		assert_int_equal(system(command), 0);
	}
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

/* Three at once, then three a second; what a program maps meanwhile does not wait behind the others. */
static void not_too_many_at_once(void **state)
{
	uint64_t began = now_ns(), next;
	struct target_map map;
	unsigned char *bytes;
	char name[16];

	begin(3);
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "rate%d", i);
		make_file(name, "", 0);
		targets_known(targets, path_of(name));
	}
	serve_all();
	assert_in_range(counts().files_probed, 3, 4);
	assert_true(targets_busy(targets));
	bytes = map_file(path_of("rate5"), &map); /* waits as the last one */
	targets_mapped(targets, &map, 1);
	assert_int_equal(bytes[WRITE_AT], 0x90);
	while ((next = targets_attach(targets, now_ns())) && bytes[WRITE_AT] != 0xcc) {
		assert_true(next <= now_ns() + 1000000000ULL);
		usleep(10000);
	}
	assert_int_equal(bytes[WRITE_AT], 0xcc);
	assert_in_range(counts().files_probed, 4, 5);
	while (targets_attach(targets, now_ns()))
		usleep(10000);
	assert_int_equal(counts().files_probed, FILES);
	assert_true(now_ns() - began >= 700000000ULL);
	assert_false(targets_busy(targets));
	end();
	assert_int_equal(bytes[WRITE_AT], 0x90);
	munmap(bytes, SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(probes_that_are_there),
		cmocka_unit_test(probe_that_is_not_there),
		cmocka_unit_test(one_refused_at_once),
		cmocka_unit_test(no_probe_at_all),
		cmocka_unit_test(two_overlays_of_one_file),
		cmocka_unit_test(not_too_many_at_once),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
