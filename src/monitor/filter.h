/* SPDX-License-Identifier: Apache-2.0 */
/*
 * include and exclude, on the monitor's side: matches the paths of executables and cgroups once each and gives
 * the kernel programs the verdicts, by which they decide before they read anything (bpf/filter.bpf.h). The
 * patterns are in config/filters.h.
 *
 * What runs at the start, or at a change of the settings, gets its verdict ahead of it; what begins later is
 * asked for by the kernel when it begins. A new configuration's verdicts are all there before it comes into
 * force, by one word: nobody who stays watched is out of sight for a moment.
 */
#ifndef TT_MONITOR_FILTER_H
#define TT_MONITOR_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "monitor/bpf.h"
#include "monitor/procs.h"

struct filter;

/* root: of places_root(). Puts no filter in force. */
int filter_new(struct bpf_sensor *sensor, struct procs *procs, int root, struct filter **ret_filter);
void filter_free(struct filter *filter); /* NULL is fine */

/* Puts the settings' include and exclude in force, whose lists have to stay until the next call. Calls of
 * exec have to be noted already (bpf_sensor_start_execs()). */
int filter_set(struct filter *filter, const struct config *config);

int filter_fd(const struct filter *filter);	 /* readable when the kernel asks */
int filter_serve(struct filter *filter);	 /* answers */

/* Events of processes, where there is something to be known ahead. */
void filter_forked(struct filter *filter, uint32_t pid, uint32_t parent, uint64_t start_ns);
void filter_cgroup_made(struct filter *filter, uint64_t cgroup, const char *path);

/* Whether a process that lives is left alone; one that can't be decided about is not. */
bool filter_leaves(struct filter *filter, uint32_t pid, uint64_t cgroup);

#endif
