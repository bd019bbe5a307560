/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The executable files seen on this machine, each once, whatever path or container it was met
 * through. A file's number is what monitor and agent call it; numbers are never reused.
 *
 * Files without a known function are forgotten oldest first when the table is full; files with
 * probes in place never are.
 */
#ifndef TT_MONITOR_FILES_H
#define TT_MONITOR_FILES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include <tokentrail/ipc.h>

#include "monitor/attach.h"
#include "monitor/readback.h"

#define FILES_MAX 65536
#define FILES_DEATHS_MAX 2 /* agents that a file may take along before it is left alone */

enum file_state {
	FILE_NEW,      /* just entered: its scan has not been asked for */
	FILE_QUEUED,   /* open, waits for room on the way to the agent */
	FILE_SCANNING, /* the agent has its descriptor */
	FILE_WAITING,  /* its functions are known, its probes are not set yet: limits.attach_rate */
	FILE_NONE,     /* nothing to probe in it, or not ELF */
	FILE_HOOKED,   /* at least one probe in place */
	FILE_REFUSED,  /* the kernel or the scanner refused all its probes */
	FILE_OFF,      /* had probes, or would have: all were taken out (sources.probes) */
	FILE_SKIPPED,  /* reading it ended the agent FILES_DEATHS_MAX times */
};

struct file_key {
	uint64_t ino, size;
	struct timespec mtime, ctime;
	dev_t dev;
	bool overlay;
};

struct file {
	uint64_t number;
	struct file_key key;
	enum file_state state;
	unsigned int deaths;
	unsigned int idle_scans; /* full scans in a row that found it mapped by nobody */
	bool now;		 /* a program maps it just now: its probes go first */
	bool mapped;		 /* seen by the scan that runs now */
	int fd;			 /* open while QUEUED, SCANNING or WAITING, else -EBADF */
	struct attach *attach;	 /* its probes, or those the agent names just now; NULL: none */
	struct attach_count count;
	uint64_t since_ns;	     /* CLOCK_BOOTTIME when the probes were in place; 0: none are */
	struct readback_map where;   /* a process that has it mapped; pid 0: none was seen */
	struct attach_sites *unread; /* probes that were not read back yet; NULL: none */
	uint64_t twin;		     /* number of the file whose probes are this one's too; 0: none */
	struct tt_finding *finding;  /* TT_FINDINGS_MAX of them; NULL: no TLS library in it */
	struct file *next_in_line;  /* of those QUEUED, SCANNING or WAITING; monitor/targets.c */
	char path[TT_IPC_PATH_LEN]; /* as first met; for the log and for is_at_home() */

	struct file *next_by_inode, *next_by_number;
	struct file *older, *newer; /* all files, by when they were last met */
};

struct files;

enum file_is {
	FILE_IS_NEW, /* entered by this call */
	FILE_IS_KNOWN,
	FILE_IS_CHANGED, /* the same inode with other content: its probes must go, scan again */
};

int files_new(uint32_t max, struct files **ret_files);
void files_free(struct files *files);

/* The key of an open file. Reads fstat() and the kind of file system. */
int file_key_of(int fd, struct file_key *ret_key);

/*
 * Whether two keys name one inode. st_dev differs per overlayfs mount while the inode below is one,
 * so there number, size and both times have to agree instead; the time of the last inode change
 * tells a copied-up file from the one it was copied from.
 */
bool file_key_same(const struct file_key *a, const struct file_key *b);

/* Finds a file or enters it. -ENOSPC: full of files that can't be forgotten. */
int files_meet(struct files *files, const struct file_key *key, const char *path,
	       struct file **ret_file, enum file_is *ret_is);

struct file *files_get(struct files *files, uint64_t number); /* NULL: forgotten */
void files_forget(struct files *files, struct file *file);    /* closes fd, frees */

/* Oldest first; NULL starts and ends. The next one may be taken before the current is forgotten. */
struct file *files_next(const struct files *files, const struct file *file);
uint32_t files_count(const struct files *files, enum file_state state);

/* The agent died with this file in hand. True: it is now skipped for good. */
bool file_blame(struct file *file);

#endif
