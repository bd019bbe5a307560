/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/watch.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Under 8 MiB for any number of CPUs: what an unprivileged locked-memory limit often is. */
#define TOTAL_BYTES (6u << 20)
#define RING_BYTES_MAX (128u << 10)
#define RECORD_MAX 65536 /* perf_event_header.size is 16 bits wide */

/* linux/perf_event.h since 5.7 */
#ifndef PERF_RECORD_MISC_COMM_EXEC
#define PERF_RECORD_MISC_COMM_EXEC (1 << 13)
#endif

struct ring {
	int fd;
	void *map; /* NULL: this CPU is not open */
};

struct watch {
	watch_fn fn;
	void *arg;
	int epoll;
	long cpus;
	size_t ring_bytes; /* data only, a power of two */
	size_t page;
	char record[RECORD_MAX];
	struct ring rings[];
};

/* ---- records ---- */

struct map_record {
	struct perf_event_header h;
	uint32_t pid, tid;
	uint64_t addr, len, pgoff;
	uint32_t major, minor;
	uint64_t ino, generation;
	uint32_t prot, flags;
	/* path */
};

struct task_record {
	struct perf_event_header h;
	uint32_t pid, ppid, tid, ptid;
	uint64_t time;
};

struct comm_record {
	struct perf_event_header h;
	uint32_t pid, tid;
};

struct cgroup_record {
	struct perf_event_header h;
	uint64_t id;
	/* path */
};

struct lost_record {
	struct perf_event_header h;
	uint64_t id, lost;
};

static bool text_ends(const void *record, size_t len, size_t at)
{
	return len > at && memchr((const char *)record + at, '\0', len - at);
}

static int parse_map(const void *record, size_t len, struct watch_event *event)
{
	struct map_record m;

	if (!text_ends(record, len, sizeof(m)))
		return -EBADMSG;
	memcpy(&m, record, sizeof(m));
	event->type = WATCH_MAP;
	event->pid = m.pid;
	event->start = m.addr;
	event->end = m.addr + m.len;
	event->ino = m.ino;
	event->generation = m.generation;
	event->major = m.major;
	event->minor = m.minor;
	event->path = (const char *)record + sizeof(m);
	return 0;
}

static int parse_task(const void *record, size_t len, struct watch_event *event)
{
	struct task_record t;
	bool is_fork;

	if (len < sizeof(t))
		return -EBADMSG;
	memcpy(&t, record, sizeof(t));
	is_fork = t.h.type == PERF_RECORD_FORK;
	/* A new thread has its creator's pid; a thread that ends is not the leader. */
	if (is_fork ? t.pid == t.ppid : t.pid != t.tid)
		return 0;
	event->type = is_fork ? WATCH_FORK : WATCH_EXIT;
	event->pid = t.pid;
	event->parent = t.ppid;
	event->time_ns = t.time;
	return 0;
}

static int parse_comm(const void *record, size_t len, struct watch_event *event)
{
	struct comm_record c;

	if (len < sizeof(c))
		return -EBADMSG;
	memcpy(&c, record, sizeof(c));
	if (c.h.misc & PERF_RECORD_MISC_COMM_EXEC)
		event->type = WATCH_EXEC;
	event->pid = c.pid;
	return 0;
}

static int parse_cgroup(const void *record, size_t len, struct watch_event *event)
{
	struct cgroup_record c;

	if (!text_ends(record, len, sizeof(c)))
		return -EBADMSG;
	memcpy(&c, record, sizeof(c));
	event->type = WATCH_CGROUP;
	event->cgroup = c.id;
	event->path = (const char *)record + sizeof(c);
	return 0;
}

static int parse_lost(const void *record, size_t len, struct watch_event *event)
{
	struct lost_record l;

	if (len < sizeof(l))
		return -EBADMSG;
	memcpy(&l, record, sizeof(l));
	event->type = WATCH_LOST;
	event->lost = l.lost;
	return 0;
}

int watch_parse(const void *record, size_t len, struct watch_event *ret_event)
{
	struct watch_event event = {.type = WATCH_OTHER};
	struct perf_event_header h;
	int r = 0;

	if (len < sizeof(h))
		return -EBADMSG;
	memcpy(&h, record, sizeof(h));
	if (h.size != len)
		return -EBADMSG;
	switch (h.type) {
	case PERF_RECORD_MMAP2:
		r = parse_map(record, len, &event);
		break;
	case PERF_RECORD_FORK:
	case PERF_RECORD_EXIT:
		r = parse_task(record, len, &event);
		break;
	case PERF_RECORD_COMM:
		r = parse_comm(record, len, &event);
		break;
	case PERF_RECORD_CGROUP:
		r = parse_cgroup(record, len, &event);
		break;
	case PERF_RECORD_LOST:
		r = parse_lost(record, len, &event);
		break;
	default:
		break;
	}
	if (r < 0)
		return r;
	*ret_event = event;
	return 0;
}

static void copy_wrapped(const char *ring, size_t size, uint64_t at, char *to, size_t len)
{
	size_t offset = at & (size - 1);
	size_t first = len < size - offset ? len : size - offset;

	memcpy(to, ring + offset, first);
	memcpy(to + first, ring, len - first);
}

int watch_take(const void *ring, size_t size, uint64_t head, uint64_t tail, void *to,
	       size_t to_size)
{
	struct perf_event_header h;

	if (head == tail)
		return 0;
	if (head - tail < sizeof(h) || head - tail > size)
		return -EBADMSG;
	copy_wrapped(ring, size, tail, (char *)&h, sizeof(h));
	if (h.size < sizeof(h) || h.size > head - tail || h.size > to_size)
		return -EBADMSG;
	copy_wrapped(ring, size, tail, to, h.size);
	return h.size;
}

/* ---- rings ---- */

static int open_event(int cpu, bool cgroups)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_DUMMY,
		.sample_period = 1,
		.mmap = 1, /* executable mappings only: mmap_data is for the others */
		.mmap2 = 1,
		.comm = 1,
		.comm_exec = 1,
		.task = 1,
		.cgroup = cgroups,
		.use_clockid = 1,
		.clockid = CLOCK_BOOTTIME,
		.watermark = 1,
		.wakeup_watermark = 1,
	};
	long fd = syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : (int)fd;
}

/* More bytes than the locked-memory limit allows are refused: try with less. */
static int map_ring(struct watch *watch, int fd, void **ret_map)
{
	size_t bytes = watch->ring_bytes;
	void *map;

	for (;; bytes /= 2) {
		map = mmap(NULL, watch->page + bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (map != MAP_FAILED)
			break;
		if (bytes <= watch->page)
			return -errno;
	}
	*ret_map = map;
	return 0;
}

static size_t ring_bytes(const struct ring *ring)
{
	const struct perf_event_mmap_page *page = ring->map;

	return page->data_size;
}

static void close_ring(struct watch *watch, struct ring *ring)
{
	if (ring->map)
		munmap(ring->map, watch->page + ring_bytes(ring));
	closep(&ring->fd);
	*ring = (struct ring){.fd = -EBADF};
}

static int open_ring(struct watch *watch, long cpu)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)cpu};
	struct ring *ring = &watch->rings[cpu];
	int r;

	ring->fd = open_event((int)cpu, true);
	if (ring->fd == -EINVAL || ring->fd == -E2BIG)
		ring->fd = open_event((int)cpu, false);
	if (ring->fd < 0)
		return ring->fd;
	r = map_ring(watch, ring->fd, &ring->map);
	if (r == 0 && epoll_ctl(watch->epoll, EPOLL_CTL_ADD, ring->fd, &event) < 0)
		r = -errno;
	if (r < 0)
		close_ring(watch, ring);
	return r;
}

int watch_add_cpus(struct watch *watch)
{
	int added = 0, r;

	for (long cpu = 0; cpu < watch->cpus; cpu++) {
		if (watch->rings[cpu].map)
			continue;
		r = open_ring(watch, cpu);
		if (r == -ENODEV)
			continue; /* offline; a process that moves to it comes with a later scan */
		if (r < 0)
			return r;
		added++;
	}
	return added;
}

static size_t choose_ring_bytes(long cpus, size_t page)
{
	size_t bytes = RING_BYTES_MAX;

	while (bytes > page && bytes * (size_t)cpus > TOTAL_BYTES)
		bytes /= 2;
	return bytes;
}

int watch_new(watch_fn fn, void *arg, struct watch **ret_watch)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	struct watch *watch;
	int r;

	watch = calloc(1, sizeof(*watch) + (size_t)cpus * sizeof(watch->rings[0]));
	if (!watch)
		return -ENOMEM;
	watch->fn = fn;
	watch->arg = arg;
	watch->cpus = cpus;
	watch->page = (size_t)getpagesize();
	watch->ring_bytes = choose_ring_bytes(cpus, watch->page);
	for (long cpu = 0; cpu < cpus; cpu++)
		watch->rings[cpu].fd = -EBADF;
	watch->epoll = epoll_create1(EPOLL_CLOEXEC);
	r = watch->epoll < 0 ? -errno : watch_add_cpus(watch);
	if (r < 0) {
		watch_free(watch);
		return r;
	}
	*ret_watch = watch;
	return 0;
}

void watch_free(struct watch *watch)
{
	if (!watch)
		return;
	for (long cpu = 0; cpu < watch->cpus; cpu++)
		close_ring(watch, &watch->rings[cpu]);
	closep(&watch->epoll);
	free(watch);
}

int watch_fd(const struct watch *watch)
{
	return watch->epoll;
}

static int drain_ring(struct watch *watch, struct ring *ring)
{
	struct perf_event_mmap_page *page = ring->map;
	const char *data = (const char *)ring->map + watch->page;
	uint64_t head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);
	uint64_t tail = page->data_tail;
	struct watch_event event;
	int len, count = 0;

	while ((len = watch_take(data, ring_bytes(ring), head, tail, watch->record,
				 sizeof(watch->record))) > 0) {
		tail += (uint64_t)len;
		__atomic_store_n(&page->data_tail, tail, __ATOMIC_RELEASE);
		if (watch_parse(watch->record, (size_t)len, &event) < 0)
			event = (struct watch_event){.type = WATCH_LOST, .lost = 1};
		watch->fn(&event, watch->arg);
		count++;
	}
	if (len < 0) { /* nothing after it can be read: go on with what comes next */
		event = (struct watch_event){.type = WATCH_LOST, .lost = 1};
		__atomic_store_n(&page->data_tail, head, __ATOMIC_RELEASE);
		watch->fn(&event, watch->arg);
	}
	return count;
}

int watch_drain(struct watch *watch)
{
	int count = 0;

	for (long cpu = 0; cpu < watch->cpus; cpu++)
		if (watch->rings[cpu].map)
			count += drain_ring(watch, &watch->rings[cpu]);
	return count;
}
