/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From "this file is mapped executable somewhere" to "its probes are in place": opens the file,
 * asks the agent where its functions are, sets the probes. The monitor never looks into a file.
 *
 * Each file is asked about once, whatever path or container it is met through. What was mapped
 * just now goes before what a scan found.
 */
#ifndef TT_MONITOR_TARGETS_H
#define TT_MONITOR_TARGETS_H

#include <stdbool.h>
#include <stdint.h>

#include <tokentrail/ipc.h>

#include "monitor/bpf.h"

struct targets;

struct target_map {
	uint32_t pid;
	uint64_t start, end;
	uint64_t ino;	   /* as the kernel showed it; 0: not known */
	uint64_t identity; /* any hash of what the event said of the file; 0: none */
	const char *path;  /* as the process sees it */
};

struct targets_count {
	uint32_t files_probed, probes;
	uint64_t attach_failed; /* functions that the kernel refused to probe */
	uint64_t files_skipped; /* left alone: they ended the agent, or the table is full */
	uint64_t messages_lost; /* the agent did not read */
};

struct targets_options {
	uint32_t libraries; /* which ones are watched, as config_libraries() says it */
	uint32_t rate;	    /* files a second that get probes, as many at once after a pause; 0: any */
	bool off;	    /* no probes until targets_switch() */
	bool at_symbols;    /* probes at the beginnings of functions only */
};

int targets_new(struct bpf_sensor *sensor, const struct targets_options *options,
		struct targets **ret_targets);
void targets_free(struct targets *targets); /* takes all probes out */

/* A mapping that an event told of, at CLOCK_BOOTTIME now_ns; or one that a scan found. The file's
 * number; 0: it could not be opened, or is no file. */
uint64_t targets_mapped(struct targets *targets, const struct target_map *map, uint64_t now_ns);
uint64_t targets_found(struct targets *targets, const struct target_map *map);

/* What is known of a file: 1: it has a TLS library in it; 0: the agent looks at it still; -ENOENT: it
 * has none, or is forgotten. */
int targets_has_finding(const struct targets *targets, uint64_t file);

/* A file of this file system, to be probed before anybody maps it. */
void targets_known(struct targets *targets, const char *path);

/* Takes all probes out at once, or lets them be set again: with the scan that has to follow. */
void targets_switch(struct targets *targets, bool on);

/* Sets the probes of files that waited for limits.attach_rate. Returns when, by CLOCK_BOOTTIME, to call
 * it again; 0: none waits. */
uint64_t targets_attach(struct targets *targets, uint64_t now_ns);

/* Around the scan that calls targets_found(): afterwards the probes of files that nobody has mapped
 * for a while and that are gone from this file system are taken out, because a probe keeps its
 * file, and the mount it was found on, in use. */
void targets_scan_begins(struct targets *targets);
void targets_scan_ended(struct targets *targets);

/* The agent's end of the channel: a descriptor, or -1 when it died. The file it was reading is
 * blamed; the others are asked again. */
void targets_set_agent(struct targets *targets, int channel);
void targets_send(struct targets *targets); /* as many questions as may be under way */

/* Messages of the agent. -EBADMSG: it broke the rules. */
int targets_hook(struct targets *targets, const struct tt_ipc_hook *hook);
int targets_scanned(struct targets *targets, const struct tt_ipc_scanned *scanned);

bool targets_busy(const struct targets *targets); /* questions wait or are under way */
void targets_counts(const struct targets *targets, struct targets_count *ret_count);

#endif
