/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks /proc for the executable files that processes have mapped, a process at a time so that
 * events are served in between. Finds at start what was there before, and every minute what events
 * missed. Each file is told once per walk, however many processes map it.
 */
#ifndef TT_MONITOR_SCAN_H
#define TT_MONITOR_SCAN_H

#include <stddef.h>
#include <stdint.h>

struct scan_map {
	uint32_t pid;
	uint64_t start, end; /* addresses */
	uint64_t offset; /* of the mapping, in the file */
	uint64_t ino;
	uint32_t major, minor;
	const char *path; /* as /proc/PID/maps shows it; begins with / */
};

struct scan;

/* Called for each process, then for each file that is mapped executable. */
struct scan_calls {
	void (*process)(uint32_t pid, void *arg);
	uint64_t (*map)(const struct scan_map *map, void *arg); /* its number; 0: of no interest */
	void (*uses)(uint32_t pid, uint64_t file, void *arg);	/* each process, each such file */
	void *arg;
};

int scan_new(const struct scan_calls *calls, struct scan **ret_scan);
void scan_free(struct scan *scan);

/* Does one process. 1: go on; 0: that was the last; negative errno: /proc can't be read. */
int scan_step(struct scan *scan);

/* One line of /proc/PID/maps. 0: an executable mapping of a file; -ENOENT: something else. The path
 * points into the line, whose newline must be gone. */
int scan_parse_line(const char *line, struct scan_map *ret_map);

/* Calls found() for the system's TLS libraries, for programs that have one built in, and for the
 * files that match `patterns` (count of them, glob(7)). */
void scan_known_files(char *const patterns[], size_t count,
		      void (*found)(const char *path, void *arg), void *arg);

#endif
