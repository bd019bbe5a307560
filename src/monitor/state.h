/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who the agent is, and the directory it may write to.
 */
#ifndef TT_MONITOR_STATE_H
#define TT_MONITOR_STATE_H

#include <sys/types.h>

/* The user `name`; where there is none, a number nobody has. -EPERM: that user is root; -ENOENT:
 * no number is free. */
int state_user(const char *name, uid_t *ret_uid, gid_t *ret_gid);

/*
 * Makes the directory (0700, owned by uid and gid) or takes over one that an agent under another
 * user left. -EEXIST: it belongs to others and holds something else; nothing was changed.
 */
int state_prepare(const char *path, uid_t uid, gid_t gid);

#endif
