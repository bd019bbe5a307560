/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/prctl.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define DATA_MAX (4ULL << 30) /* bytes */

/* CAP_SETPCAP is needed for this, so it comes before the change of user. */
static int drop_bounding(void)
{
	for (cap_value_t c = 0; cap_get_bound(c) >= 0; c++)
		if (cap_drop_bound(c) < 0)
			return -errno;
	return 0;
}

static int drop_caps(void)
{
	cap_t none;
	int r = 0;

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -errno;
	none = cap_init();
	if (!none)
		return -ENOMEM;
	if (cap_set_proc(none) < 0)
		r = -errno;
	cap_free(none);
	return r;
}

static int drop_ids(uid_t uid, gid_t gid)
{
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return -errno;
	/* No way back: the kernel must refuse it. */
	if (setuid(0) == 0 || setgid(0) == 0)
		return -ENOTRECOVERABLE;
	return 0;
}

static int limit_cores(void)
{
	const struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

/* libelf allocates what a file's header asks for, and a file can change after it was checked: then
 * the allocation fails instead of taking the node's memory. The largest tables that the settings
 * permit fit in. */
static int limit_memory(void)
{
	const struct rlimit data = { DATA_MAX, DATA_MAX };

#ifdef TT_SANITIZED
	return 0;	/* the sanitizers' shadow memory is larger than any limit */
#endif
	return setrlimit(RLIMIT_DATA, &data) < 0 ? -errno : 0;
}

/* A change of user clears the death signal (prctl(2)). */
static int follow_parent(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) < 0)
		return -errno;
	return getppid() == parent ? 0 : -ESRCH;
}

int sandbox_drop(uid_t uid, gid_t gid)
{
	pid_t parent = getppid();
	int r;

	if (uid == 0 || gid == 0)
		return -EINVAL;
	r = drop_bounding();
	if (r < 0)
		return r;
	r = drop_ids(uid, gid);
	if (r < 0)
		return r;
	r = drop_caps();
	if (r < 0)
		return r;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	r = limit_cores();
	if (r < 0)
		return r;
	r = limit_memory();
	if (r < 0)
		return r;
	return follow_parent(parent);
}

static uint32_t action_of(enum sandbox_action a)
{
	switch (a) {
	case SANDBOX_ALLOW:
		return SCMP_ACT_ALLOW;
	case SANDBOX_NOSYS:
		return SCMP_ACT_ERRNO(ENOSYS);
	case SANDBOX_KILL:
		break;
	}
	return SCMP_ACT_KILL_PROCESS;
}

static int add_rule(scmp_filter_ctx ctx, const struct sandbox_rule *rule)
{
	int nr = seccomp_syscall_resolve_name(rule->call);
	struct scmp_arg_cmp arg;

	/* Too new for this libseccomp, or not of this machine: the default refuses it. */
	if (nr == __NR_SCMP_ERROR)
		return 0;
	if (!rule->arg.used)
		return seccomp_rule_add_array(ctx, action_of(rule->action), nr, 0, NULL);
	arg = (struct scmp_arg_cmp){
		.arg = rule->arg.index,
		.op = SCMP_CMP_MASKED_EQ,
		.datum_a = rule->arg.mask,
		.datum_b = rule->arg.value,
	};
	return seccomp_rule_add_array(ctx, action_of(rule->action), nr, 1, &arg);
}

static int load(scmp_filter_ctx ctx, const struct sandbox_rule *rules, bool log_refused)
{
	int r;

	/* Threads that librdkafka has started already get the filter too. */
	r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (r < 0)
		return r;
	/* Kernels before 4.14 can't log; the filter is the same without. */
	if (log_refused)
		(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_LOG, 1);
	for (; rules->call; rules++) {
		r = add_rule(ctx, rules);
		if (r < 0)
			return r;
	}
	return seccomp_load(ctx);
}

int sandbox_filter(const struct sandbox_rule *rules, bool log_refused)
{
	scmp_filter_ctx ctx;
	int r;

#ifdef TT_SANITIZED
	return 0;
#endif
	ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!ctx)
		return -ENOMEM;
	r = load(ctx, rules, log_refused);
	seccomp_release(ctx);
	return r;
}
