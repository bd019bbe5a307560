/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this node has of a container, without asking anybody: what its runtime wrote of it, and the names
 * that the kubelet gave its directories. Only directories of root are looked into, never the container's
 * own file system, whose owner could let a look hang; its environment is not read at all. Nothing is
 * parsed here: the agent gets names and a descriptor.
 */
#ifndef TT_MONITOR_PLACES_H
#define TT_MONITOR_PLACES_H

#include <stdbool.h>
#include <stddef.h>

#include <tokentrail/ipc.h>

#define PLACES_ENTRIES_MAX 16384	/* of a directory, that are looked at */
#define PLACES_BUNDLE_MAX (1 << 20)	/* bytes of a file that is handed out */

/* The node's root directory, also from within a container that shares the node's process ids. A
 * descriptor, or a negative errno. */
int places_root(void);

/* Fills the names of *ret for the question. *ret_bundle: a descriptor, the caller's; -EBADF: there is
 * none. -EINVAL: the question is not one (struct tt_ipc_look); nothing was looked at. */
int places_find(int root, const struct tt_ipc_look *look, struct tt_ipc_place *ret, int *ret_bundle);

/* The namespace of a pod, by its UID. -ENOENT: this node has not got it. */
int places_namespace(int root, const char *pod, char *to, size_t size);

/* Whether this node has what places_namespace() looks into at all. */
bool places_has_pods(int root);

#endif
