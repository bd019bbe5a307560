/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who was that process? Executable and parent of each process, learned from events and from /proc
 * and kept for a while after the process ended, because the question often comes after that. A pid
 * alone names nobody: every answer is checked against the start time.
 *
 * Paths are as the process itself sees them, written by any user: never trust or print them raw.
 */
#ifndef TT_MONITOR_PROCS_H
#define TT_MONITOR_PROCS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <tokentrail/ipc.h>

#define PROCS_MAX 32768
#define PROCS_CGROUPS_MAX 8192
#define PROCS_KEEP_NS (60ULL * 1000000000) /* after exit */

struct procs;

/* max_procs and max_cgroups bound the memory; the oldest entries make room. */
int procs_new(uint32_t max_procs, uint32_t max_cgroups, struct procs **ret_procs);
void procs_free(struct procs *procs);

/* Events; now_ns is CLOCK_BOOTTIME. */
void procs_forked(struct procs *procs, uint32_t pid, uint32_t parent, uint64_t start_ns);
void procs_exec(struct procs *procs, uint32_t pid);
void procs_mapped(struct procs *procs, uint32_t pid,
		  const char *path); /* the first after exec counts */
void procs_exited(struct procs *procs, uint32_t pid, uint64_t now_ns);
void procs_cgroup_made(struct procs *procs, uint64_t cgroup, const char *path);

/* What a scan of /proc meets. Reads /proc/PID unless the process is known already. */
void procs_scanned(struct procs *procs, uint32_t pid);

/* Drops what ended more than PROCS_KEEP_NS ago. */
void procs_age(struct procs *procs, uint64_t now_ns);

/* When a process that lives began, to a tick. -ESRCH: it is gone, or a zombie without threads. */
int procs_alive(const struct procs *procs, uint32_t pid, uint64_t *ret_start_ns);

/* When the process of this id began, also one that ended a while ago; about, or to a tick. */
int procs_start(const struct procs *procs, uint32_t pid, uint64_t *ret_start_ns);

/* Who a process is, for those of which no event of the kernel programs told. */
struct procs_identity {
	uint64_t cgroup; /* 0: not known */
	uint32_t uid;
	char comm[TT_COMM_LEN];
};

int procs_identify(const struct procs *procs, uint32_t pid, struct procs_identity *ret_identity);

/* Whether cgroups' paths can be found here: cgroup2 is mounted. */
bool procs_has_cgroups(const struct procs *procs);

/* What a process runs, as it sees it, from /proc. Negative errno: it is gone, or runs nothing. */
int procs_executable(uint32_t pid, char *to, size_t size);

/* A cgroup's path below the mount of cgroup2. Negative errno: there is none with this id (any more). */
int procs_cgroup_path(struct procs *procs, uint64_t cgroup, char *to, size_t size);

/* Fills known and the strings for start_ns, cgroup and tgid of the answer. */
void procs_answer(struct procs *procs, struct tt_ipc_proc *answer);

/* The parent that was seen when the process began; 0: not known. */
uint32_t procs_parent(const struct procs *procs, uint32_t pid);
uint32_t procs_count(const struct procs *procs);

/* ---- pieces, for tests ---- */

/* Two start times of one process, one of them from a coarser clock: /proc/PID/stat counts ticks. */
bool procs_same_start(uint64_t a_ns, uint64_t b_ns);

/* Start time of /proc/PID/stat text in ns. The program's name in it may hold blanks and ')'. */
int procs_parse_stat(const char *text, long ticks_per_s, uint64_t *ret_start_ns);

/* State and number of threads of the same text: whether none is left that could do anything. */
bool procs_parse_dead(const char *text);

/* Whether the process has a controlling terminal, from the same text. */
bool procs_parse_terminal(const char *text);

/* Real user id of /proc/PID/status text. */
int procs_parse_uid(const char *text, uint32_t *ret_uid);

/* The cgroup v2 line ("0::/path") of /proc/PID/cgroup text. -ENOENT: there is none. */
int procs_parse_cgroup(const char *text, char *to, size_t size);

/* Where the cgroup2 file system is mounted, from /proc/self/mountinfo text. -ENOENT: nowhere. */
int procs_parse_mountinfo(const char *text, char *to, size_t size);

/* Takes the kernel's " (deleted)" off; `named_so` says that a file of the whole name exists. */
void procs_strip_deleted(char *path, bool named_so);

#endif
