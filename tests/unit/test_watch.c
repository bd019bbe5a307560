/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Perf records from byte buffers, whole and cut at every length against the end of a page that is
 * followed by one that can't be read; records that wrap round the ring.
 */
#include <errno.h>
#include <linux/perf_event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "monitor/watch.h"

static char *page_end; /* what follows can't be read */

static int make_guard(void **state)
{
	size_t page = (size_t)getpagesize();
	char *two =
		mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (two == MAP_FAILED || mprotect(two + page, page, PROT_NONE) < 0)
		return -1;
	page_end = two + page;
	return 0;
}

/* The record with its size field set to len, ending at the guard page. */
static int parse_at_guard(const void *record, size_t len, struct watch_event *event)
{
	const uint16_t size = (uint16_t)len;
	char *at = page_end - len;

	memcpy(at, record, len);
	if (len >= sizeof(struct perf_event_header))
		memcpy(at + offsetof(struct perf_event_header, size), &size, sizeof(size));
	return watch_parse(at, len, event);
}

struct mmap2 {
	struct perf_event_header h;
	uint32_t pid, tid;
	uint64_t addr, len, pgoff;
	uint32_t maj, min;
	uint64_t ino, gen;
	uint32_t prot, flags;
	char path[16];
};

static const struct mmap2 mapping = {
	.h = {PERF_RECORD_MMAP2, 0, sizeof(mapping)},
	.pid = 7,
	.tid = 8,
	.addr = 0x1000,
	.len = 0x200,
	.maj = 253,
	.min = 1,
	.ino = 99,
	.gen = 3,
	.path = "/lib/libssl.so",
};

static void mapping_is_read(void **state)
{
	struct watch_event e;

	assert_int_equal(parse_at_guard(&mapping, sizeof(mapping), &e), 0);
	assert_int_equal(e.type, WATCH_MAP);
	assert_int_equal(e.pid, 7);
	assert_int_equal(e.start, 0x1000);
	assert_int_equal(e.end, 0x1200);
	assert_int_equal(e.ino, 99);
	assert_int_equal(e.generation, 3);
	assert_int_equal(e.major, 253);
	assert_int_equal(e.minor, 1);
	assert_string_equal(e.path, "/lib/libssl.so");
}

static void cut_mapping_is_refused(void **state)
{
	struct watch_event e = {.type = WATCH_EXIT};
	size_t text_end = offsetof(struct mmap2, path) + strlen(mapping.path) + 1;

	for (size_t len = 0; len < text_end; len++)
		assert_int_equal(parse_at_guard(&mapping, len, &e), -EBADMSG);
	assert_int_equal(e.type, WATCH_EXIT); /* untouched on error */
	assert_int_equal(parse_at_guard(&mapping, text_end, &e), 0);
}

static void wrong_size_is_refused(void **state)
{
	struct mmap2 m = mapping;
	struct watch_event e;

	m.h.size = sizeof(m) - 8;
	assert_int_equal(watch_parse(&m, sizeof(m), &e), -EBADMSG);
}

struct task {
	struct perf_event_header h;
	uint32_t pid, ppid, tid, ptid;
	uint64_t time;
};

static void forks_and_exits_of_processes_only(void **state)
{
	struct task process = {{PERF_RECORD_FORK, 0, sizeof(process)}, 20, 10, 20, 10, 777};
	struct task thread = {{PERF_RECORD_FORK, 0, sizeof(thread)}, 10, 10, 11, 10, 778};
	struct task exit_leader = {{PERF_RECORD_EXIT, 0, sizeof(exit_leader)}, 20, 10, 20, 10, 779};
	struct task exit_thread = {{PERF_RECORD_EXIT, 0, sizeof(exit_thread)}, 20, 10, 21, 10, 780};
	struct watch_event e;

	assert_int_equal(parse_at_guard(&process, sizeof(process), &e), 0);
	assert_int_equal(e.type, WATCH_FORK);
	assert_int_equal(e.pid, 20);
	assert_int_equal(e.parent, 10);
	assert_int_equal(e.time_ns, 777);
	assert_int_equal(parse_at_guard(&thread, sizeof(thread), &e), 0);
	assert_int_equal(e.type, WATCH_OTHER);
	assert_int_equal(parse_at_guard(&exit_leader, sizeof(exit_leader), &e), 0);
	assert_int_equal(e.type, WATCH_EXIT);
	assert_int_equal(parse_at_guard(&exit_thread, sizeof(exit_thread), &e), 0);
	assert_int_equal(e.type, WATCH_OTHER);
	for (size_t len = 8; len < sizeof(process); len++)
		assert_int_equal(parse_at_guard(&process, len, &e), -EBADMSG);
}

static void exec_is_told_from_a_rename(void **state)
{
	struct {
		struct perf_event_header h;
		uint32_t pid, tid;
		char comm[8];
	} exec = {{PERF_RECORD_COMM, PERF_RECORD_MISC_COMM_EXEC, sizeof(exec)}, 5, 5, "curl"},
	  rename = {{PERF_RECORD_COMM, 0, sizeof(rename)}, 5, 5, "worker"};
	struct watch_event e;

	assert_int_equal(parse_at_guard(&exec, sizeof(exec), &e), 0);
	assert_int_equal(e.type, WATCH_EXEC);
	assert_int_equal(e.pid, 5);
	assert_int_equal(parse_at_guard(&rename, sizeof(rename), &e), 0);
	assert_int_equal(e.type, WATCH_OTHER);
	assert_int_equal(parse_at_guard(&exec, 12, &e), -EBADMSG);
}

static void cgroups_and_losses(void **state)
{
	struct {
		struct perf_event_header h;
		uint64_t id;
		char path[8];
	} cgroup = {{PERF_RECORD_CGROUP, 0, sizeof(cgroup)}, 4242, "/pod"};
	struct {
		struct perf_event_header h;
		uint64_t id, lost;
	} lost = {{PERF_RECORD_LOST, 0, sizeof(lost)}, 1, 17};
	struct perf_event_header unknown = {9999, 0, sizeof(unknown)};
	struct watch_event e;

	assert_int_equal(parse_at_guard(&cgroup, sizeof(cgroup), &e), 0);
	assert_int_equal(e.type, WATCH_CGROUP);
	assert_int_equal(e.cgroup, 4242);
	assert_string_equal(e.path, "/pod");
	assert_int_equal(parse_at_guard(&cgroup, 18, &e), -EBADMSG); /* the text has no end */
	assert_int_equal(parse_at_guard(&lost, sizeof(lost), &e), 0);
	assert_int_equal(e.type, WATCH_LOST);
	assert_int_equal(e.lost, 17);
	assert_int_equal(parse_at_guard(&lost, 16, &e), -EBADMSG);
	assert_int_equal(parse_at_guard(&unknown, sizeof(unknown), &e), 0);
	assert_int_equal(e.type, WATCH_OTHER);
}

/* The same record at every place of a small ring, so that it wraps at each of its bytes. */
static void record_wraps_anywhere(void **state)
{
	char ring[256], to[256];

	for (uint64_t at = 0; at < 2 * sizeof(ring); at++) {
		memset(ring, 0xee, sizeof(ring));
		for (size_t i = 0; i < sizeof(mapping); i++)
			ring[(at + i) % sizeof(ring)] = ((const char *)&mapping)[i];
		assert_int_equal(
			watch_take(ring, sizeof(ring), at + sizeof(mapping), at, to, sizeof(to)),
			sizeof(mapping));
		assert_memory_equal(to, &mapping, sizeof(mapping));
	}
}

static void broken_ring_is_refused(void **state)
{
	struct perf_event_header h = {PERF_RECORD_LOST, 0, 24};
	char ring[64] = {0}, to[64];

	memcpy(ring, &h, sizeof(h));
	assert_int_equal(watch_take(ring, 64, 0, 0, to, 64), 0);
	assert_int_equal(watch_take(ring, 64, 24, 0, to, 64), 24);
	assert_int_equal(watch_take(ring, 64, 23, 0, to, 64),
			 -EBADMSG); /* longer than what is there */
	assert_int_equal(watch_take(ring, 64, 4, 0, to, 64), -EBADMSG);
	assert_int_equal(watch_take(ring, 64, 65, 0, to, 64), -EBADMSG);
	assert_int_equal(watch_take(ring, 64, 24, 0, to, 16), -EBADMSG);
	h.size = 0;
	memcpy(ring, &h, sizeof(h));
	assert_int_equal(watch_take(ring, 64, 24, 0, to, 64), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mapping_is_read),
		cmocka_unit_test(cut_mapping_is_refused),
		cmocka_unit_test(wrong_size_is_refused),
		cmocka_unit_test(forks_and_exits_of_processes_only),
		cmocka_unit_test(exec_is_told_from_a_rename),
		cmocka_unit_test(cgroups_and_losses),
		cmocka_unit_test(record_wraps_anywhere),
		cmocka_unit_test(broken_ring_is_refused),
	};

	return cmocka_run_group_tests(tests, make_guard, NULL);
}
