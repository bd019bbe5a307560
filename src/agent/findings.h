/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was found in files, kept across restarts in state.directory/findings, so that a large program
 * is not searched at every start. Rows are for files that took a while or have something to probe.
 *
 * A hit must be the same file, since files come from hostile containers: whoever could make a file of
 * his own pass for another one would hide that one from the sensor. A build id proves nothing, and a
 * file may show one content to whoever hashes it and another to whoever searches it. So a row's key is
 * the build id and the size, and a hash, under a key that is random in each table and readable by the
 * agent only, of
 *   - the inode: device, number, times. The kernel sets the time of the last change, and nobody has
 *     another's inode. This holds on a file system with a device of its own; those without (overlayfs,
 *     FUSE, tmpfs) may show any number and time, and their files are not kept
 *   - blocks of the content at places that follow from that key, should a file have been changed
 *     without the kernel's knowledge
 * And the instructions at each place to be probed are compared with those kept in the row.
 *
 * A table that is damaged or was written by another build of tokentrail is thrown away.
 */
#ifndef TT_AGENT_FINDINGS_H
#define TT_AGENT_FINDINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/elf_scan.h"

#define FINDINGS_MAX 1024		/* rows; the one that was of use longest ago makes room */
#define FINDINGS_SEARCHED_BYTES (1U << 20)	/* files without a finding are kept from this size on */

struct findings;

struct findings_key {
	unsigned char build_id[ELF_BUILD_ID_MAX];	/* zeroes: none */
	uint64_t size;
	uint64_t content[2];
};

/* -EBADMSG, -ESTALE: damaged, of another build; -ENOENT: none yet; others: it can't be read. *ret is set
 * in all these cases, to a table that begins anew; it is NULL for -ENOMEM only. */
int findings_open(const char *path, struct findings **ret_findings);
void findings_free(struct findings *findings);

/* Negative: not a file to be kept: no ELF file (-ENOEXEC, -EBADMSG), on no device (-EXDEV). */
int findings_key(const struct findings *findings, int fd, struct findings_key *ret_key);

/* Is it known? Then *ret_scan and *ret_result are what a search would say. */
bool findings_take(struct findings *findings, const struct findings_key *key, int fd,
		   struct elf_scan *ret_scan, enum tt_scan *ret_result);
void findings_keep(struct findings *findings, const struct findings_key *key, int fd,
		   const struct elf_scan *scan, enum tt_scan result);

/* Writes the table if it has changed, all or nothing. */
int findings_save(struct findings *findings);
size_t findings_count(const struct findings *findings);

#endif
