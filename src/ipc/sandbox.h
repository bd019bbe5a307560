/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes from this process what it does not need: the identity of root first, system calls later.
 * Which calls stay is the caller's list (agent/profile.h); this file is the only one that knows
 * libseccomp and libcap.
 */
#ifndef TT_IPC_SANDBOX_H
#define TT_IPC_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum sandbox_action {
	SANDBOX_ALLOW,
	SANDBOX_KILL,	/* the whole process, at once: only an attacker calls this */
	SANDBOX_NOSYS,	/* ENOSYS, so that libc takes its older way */
};

/* One argument has to fit: (arg & mask) == value. */
struct sandbox_arg {
	bool used;
	unsigned int index;
	uint64_t mask, value;
};

struct sandbox_rule {
	const char *call;	/* its name; names that this machine lacks are skipped */
	enum sandbox_action action;
	struct sandbox_arg arg;
	const char *caller;	/* who makes this call, and what for */
};

/*
 * Becomes uid and gid with no other group, gives up every capability in every set for good, and
 * forbids new privileges, core files and ptrace. Gets SIGTERM when the parent ends, as before.
 * Call while there is one thread. 0 or a negative errno; after an error, exit.
 */
int sandbox_drop(uid_t uid, gid_t gid);

/*
 * Allows the calls of the list (ended by call NULL) in all threads; any other fails with EPERM.
 * `log_refused` has the kernel's audit log name those. Sanitizers need calls of their own, so a
 * build with TT_SANITIZED applies nothing.
 */
int sandbox_filter(const struct sandbox_rule *rules, bool log_refused);

#endif
