/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process really has in memory where a probe should be. The kernel may register a probe and
 * then refuse it, without a word, for each process that maps the file; and it is the inode below an
 * overlay that carries a probe, so what looks like another file may have it already.
 */
#ifndef TT_MONITOR_READBACK_H
#define TT_MONITOR_READBACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct readback_map {
	uint32_t pid; /* 0: no process is known to map the file */
	uint64_t start, ino;
};

struct readback_site {
	uint64_t offset; /* in the file */
	uint8_t byte;	 /* in the file, there */
	bool seen;	 /* the process has it mapped: `probed` is known */
	bool probed;
};

/*
 * Looks at each site through this mapping. -ESRCH: the process or the mapping is gone; -EACCES and the
 * like: it can't be read. Nothing is known then, and `seen` is false everywhere.
 */
int readback(const struct readback_map *map, struct readback_site *sites, size_t count);

/* Is this what the kernel writes over such a byte: int3, or the call that it makes of a 5-byte NOP? */
bool readback_is_probe(uint8_t in_file, uint8_t in_memory);

#endif
