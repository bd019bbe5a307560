/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptor in, probe offsets out: finds the entry points of TLS libraries (<tokentrail/hooks.def>)
 * in a shared library or a program that has one linked in. The file is not trusted: elf_file.h.
 */
#ifndef TT_AGENT_ELF_SCAN_H
#define TT_AGENT_ELF_SCAN_H

#include <stddef.h>
#include <stdint.h>

#include <tokentrail/ipc.h>

#include "agent/elf_file.h"

#define ELF_SCAN_HOOKS_MAX 32

struct elf_hook {
	uint64_t offset;	/* in the file, of the instruction to be probed */
	enum tt_hook hook;
	enum tt_tls tls;
	uint64_t placed;	/* of one in its place that costs less (elf_cheap.h), and what it is probed
				 * as; 0 = there is none */
	enum tt_hook placed_as;
	uint32_t cookie;	/* what its program is told there: <tokentrail/cookie.h>; 0 = nothing */
	uint64_t spare;		/* so too, where the kernel has no cookies */
	enum tt_hook spare_as;
};

struct elf_scan {
	struct elf_hook hooks[ELF_SCAN_HOOKS_MAX];
	size_t count;
	size_t refused;		/* functions found that can't be probed there, or are too many */
	enum tt_blind why[TT_TLS_MAX];	/* of the last one refused */
	unsigned char partly[TT_TLS_MAX][2];	/* so too, of one that writes, and that reads */
	struct tt_finding finding[TT_FINDINGS_MAX];	/* in the order they were found */
	size_t findings;
};

/*
 * Returns enum tt_scan; *ret_scan is filled in any case. TT_SCAN_HOOKS: a library's functions for
 * writing and reading are both there, count > 0 (refused may be > 0 too). The file position is not
 * used or moved.
 */
enum tt_scan elf_scan(int fd, struct elf_scan *ret_scan);

/* For the searches: adds a hook unless that offset has one, or counts it as refused. */
void elf_scan_take(struct elf_scan *scan, const struct elf_file *file, uint64_t offset,
		   enum tt_hook hook);

/*
 * For the searches: this library is in the file. `found` says how its functions were found, `blind` why
 * they were not (unless an earlier search found them). `version`: as far as it is known, any text, not
 * trusted; "" or NULL changes nothing. Beyond TT_FINDINGS_MAX libraries a finding is not kept.
 */
void elf_scan_found(struct elf_scan *scan, enum tt_tls tls, enum tt_how how, const char *version);
void elf_scan_blind(struct elf_scan *scan, enum tt_tls tls, enum tt_blind blind, const char *version);
/* It was found, but nothing of it that reads. */
void elf_scan_no_reads(struct elf_scan *scan, enum tt_tls tls, enum tt_blind blind);
/* Only its version is known: no more than that, if it was neither found nor blind. */
void elf_scan_version(struct elf_scan *scan, enum tt_tls tls, const char *version);
bool elf_scan_has(const struct elf_scan *scan, enum tt_tls tls);	/* found, not blind */

#endif
