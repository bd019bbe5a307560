/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Process events of the whole machine, from a software dummy perf event on each CPU: executable
 * file mappings, exec, fork, exit and new cgroups. Each event wakes the reader at once, because a
 * library has to be probed before its program makes the first call.
 *
 * The records come from the kernel, the paths in them from any user. What the kernel could not
 * deliver is told as WATCH_LOST; a scan of /proc makes up for it.
 */
#ifndef TT_MONITOR_WATCH_H
#define TT_MONITOR_WATCH_H

#include <stddef.h>
#include <stdint.h>

enum watch_type {
	WATCH_OTHER,  /* of no interest (threads, comm changes, samples) */
	WATCH_MAP,    /* a file was mapped executable: pid, start, end, inode, path */
	WATCH_EXEC,   /* pid runs another program from here on */
	WATCH_FORK,   /* pid is a new process of parent */
	WATCH_EXIT,   /* the process pid is gone, all of its threads that matter */
	WATCH_CGROUP, /* a cgroup was made: cgroup, path */
	WATCH_LOST,   /* `lost` records are missing here */
};

struct watch_event {
	enum watch_type type;
	uint32_t pid, parent;
	uint64_t time_ns;    /* CLOCK_BOOTTIME; FORK only */
	uint64_t start, end; /* addresses of the mapping */
	uint64_t ino, generation;
	uint32_t major, minor;
	uint64_t cgroup;
	uint64_t lost;
	const char *path; /* into the record; NUL-terminated */
};

/* Reads one record as the kernel wrote it. -EBADMSG: it is shorter than its type needs, or its text
 * has no end. *ret_event points into the record. */
int watch_parse(const void *record, size_t len, struct watch_event *ret_event);

/* Copies the record at `tail` out of a ring of `size` bytes (a power of two) filled up to `head`.
 * Returns its length, 0 when there is none, -EBADMSG when its length can't be right. */
int watch_take(const void *ring, size_t size, uint64_t head, uint64_t tail, void *to,
	       size_t to_size);

struct watch;
typedef void (*watch_fn)(const struct watch_event *event, void *arg);

/* Opens the event on each CPU that is online. -EPERM/-EACCES: privileges; -ENOENT: no such event.
 */
int watch_new(watch_fn fn, void *arg, struct watch **ret_watch);
void watch_free(struct watch *watch);

int watch_fd(const struct watch *watch); /* an epoll descriptor: readable when there are events */
int watch_drain(struct watch *watch);	 /* calls fn for all that is there; number of events */
int watch_add_cpus(struct watch *watch); /* opens CPUs that came online since; number of them */

#endif
