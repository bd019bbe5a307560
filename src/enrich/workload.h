/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which workload is that process? From its cgroup, and for a container from what this node has of it: the
 * runtime's bundle (untrusted: members.h), the names of the kubelet's directories. What sources do not
 * agree on is not taken. A controller that is only told from the shape of a pod's name has low confidence.
 */
#ifndef TT_ENRICH_WORKLOAD_H
#define TT_ENRICH_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include <tokentrail/ipc.h>

#include "tokens/workload.h"

/* The runtime's file of a container, into a workload that is nothing else yet. Silent on errors: what
 * could be read counts. */
void workload_read_bundle(struct workload *w, int fd);

/* The workload of a container: `w` has what the bundle said, if anything. `pod`: UID from the cgroup; "".
 * `place` may be NULL. */
void workload_set_container(struct workload *w, const char *container_id, const char *pod,
			    const struct tt_ipc_place *place);

/* The workload of what is in no container. */
void workload_set_process(struct workload *w, const char *cgroup, const char *executable, int64_t user,
			  bool terminal);

#endif
