/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/readback.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "monitor/scan.h"

bool readback_is_probe(uint8_t in_file, uint8_t in_memory)
{
	if (in_memory == in_file)
		return false;
#if defined(__x86_64__)
	return in_memory == 0xcc || (in_memory == 0xe8 && in_file == 0x0f);
#else
	return true;
#endif
}

/* The mapping as it is now: its process's number may be another's by this time. */
static int find(const struct readback_map *map, struct scan_map *ret_now)
{
	_cleanup_fclose_ FILE *f = NULL;
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	char name[32];
	ssize_t len;

	snprintf(name, sizeof(name), "/proc/%u/maps", map->pid);
	f = fopen(name, "re");
	if (!f)
		return errno == ENOENT ? -ESRCH : -errno;
	while ((len = getline(&line, &size, f)) > 0) {
		line[len - 1] = '\0';
		if (scan_parse_line(line, ret_now) == 0 && ret_now->start == map->start)
			return ret_now->ino == map->ino ? 0 : -ESRCH;
	}
	return -ESRCH;
}

static void look(int memory, const struct scan_map *now, struct readback_site *site)
{
	uint64_t at = site->offset - now->offset;
	uint8_t byte;

	if (site->offset < now->offset || at >= now->end - now->start ||
	    pread(memory, &byte, 1, (off_t)(now->start + at)) != 1)
		return;
	site->seen = true;
	site->probed = readback_is_probe(site->byte, byte);
}

int readback(const struct readback_map *map, struct readback_site *sites, size_t count)
{
	_cleanup_close_ int memory = -EBADF;
	struct scan_map now;
	char name[32];
	int r;

	for (size_t i = 0; i < count; i++)
		sites[i].seen = sites[i].probed = false;
	if (map->pid == 0)
		return -ESRCH;
	snprintf(name, sizeof(name), "/proc/%u/mem", map->pid);
	memory = open(name, O_RDONLY | O_CLOEXEC);
	if (memory < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	r = find(map, &now);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		look(memory, &now, &sites[i]);
	return 0;
}
