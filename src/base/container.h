/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container id in a cgroup path, as Docker, containerd, CRI-O, Podman, Kubernetes and ECS lay
 * their cgroups out, with the cgroupfs and with the systemd driver; and systemd's units. Pure; the
 * path is untrusted.
 */
#ifndef TT_BASE_CONTAINER_H
#define TT_BASE_CONTAINER_H

#include <stdbool.h>
#include <stddef.h>

#define CONTAINER_ID_LEN 65	/* 64 hex digits + NUL */

/* The innermost container's id; false and "" when the path names none. */
bool container_of_cgroup(const char *path, char ret_id[static CONTAINER_ID_LEN]);

#define POD_UID_LEN 37		/* as a UUID is written + NUL */

/* The UID of the innermost pod; false and "" when the path names none. A static pod's, which is 32 hex
 * digits, is given as these. */
bool pod_of_cgroup(const char *path, char ret_uid[static POD_UID_LEN]);

/* The innermost service or scope of systemd in the path, "nginx.service"; false and "" when there is
 * none. Cut to the size. */
bool unit_of_cgroup(const char *path, char *ret_unit, size_t size);

#endif
