/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many entries hash maps have, without showing any.
 *
 *   mapfill MAP_ID...           prints {"NAME": {"entries": N, "max": N, "lru": 0 or 1}, ...}; other types are left out
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH 4096	/* more than a bucket holds: the kernel gives whole buckets */

static bool is_hash(__u32 type)
{
	return type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_LRU_HASH || type == BPF_MAP_TYPE_PERCPU_HASH ||
	       type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

/* Negative: it can't be read. */
static long entries(int fd, const struct bpf_map_info *info)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF), found = 0;
	bool percpu = info->type == BPF_MAP_TYPE_PERCPU_HASH || info->type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
	size_t value = percpu ? (info->value_size + 7) / 8 * 8 * (size_t)cpus : info->value_size;
	void *keys = calloc(BATCH, info->key_size), *values = calloc(BATCH, value);
	__u32 at = 0, count;
	bool first = true;
	int r = keys && values ? 0 : -ENOMEM;

	while (r == 0) {
		count = BATCH;
		r = bpf_map_lookup_batch(fd, first ? NULL : &at, &at, keys, values, &count, NULL);
		if (r == 0 || r == -ENOENT)
			found += count;
		first = false;
	}
	free(keys);
	free(values);
	return r == -ENOENT ? found : r;
}

static int show(__u32 id, bool *comma)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);
	int fd = bpf_map_get_fd_by_id(id), r;
	long n;

	if (fd == -ENOENT)
		return 0;	/* gone meanwhile */
	if (fd < 0)
		return fd;
	r = bpf_obj_get_info_by_fd(fd, &info, &len);
	if (r == 0 && is_hash(info.type)) {
		n = entries(fd, &info);
		r = n < 0 ? (int)n : 0;
		if (r == 0)
			printf("%s\"%s\": {\"entries\": %ld, \"max\": %u, \"lru\": %d}", *comma ? ", " : "", info.name, n,
			       info.max_entries,
			       info.type == BPF_MAP_TYPE_LRU_HASH || info.type == BPF_MAP_TYPE_LRU_PERCPU_HASH);
		*comma = true;
	}
	close(fd);
	return r;
}

int main(int argc, char **argv)
{
	bool comma = false;

	printf("{");
	for (int i = 1; i < argc; i++) {
		int r = show((__u32)strtoul(argv[i], NULL, 10), &comma);

		if (r < 0) {
			fprintf(stderr, "mapfill: map %s: %s\n", argv[i], strerror(-r));
			return 1;
		}
	}
	printf("}\n");
	return 0;
}
