/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls of the agent once it is at work; the list ends with call NULL. */
#ifndef TT_AGENT_PROFILE_H
#define TT_AGENT_PROFILE_H

#include "ipc/sandbox.h"

extern const struct sandbox_rule agent_profile[];

#endif
