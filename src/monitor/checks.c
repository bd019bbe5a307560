/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/checks.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "monitor/kernel.h"

#define HOST_PID_NS 0xeffffffcU /* PROC_PID_INIT_INO, include/linux/proc_ns.h */
#define SEE_PRIVILEGES "run it as root; a container needs privileged: true and hostPID: true"

__attribute__((format(printf, 3, 4))) static void say(struct check_result *result,
						      enum check_level level, const char *fmt, ...)
{
	va_list args;

	result->level = level;
	va_start(args, fmt);
	vsnprintf(result->what, sizeof(result->what), fmt, args);
	va_end(args);
}

static void advise(struct check_result *result, const char *remedy)
{
	snprintf(result->remedy, sizeof(result->remedy), "%s", remedy);
}

static bool has_cap(cap_value_t cap)
{
	cap_flag_value_t value = CAP_CLEAR;
	cap_t caps = cap_get_proc();

	if (!caps)
		return false;
	if (cap_get_flag(caps, cap, CAP_EFFECTIVE, &value) < 0)
		value = CAP_CLEAR; /* the kernel has no such capability */
	cap_free(caps);
	return value == CAP_SET;
}

static void list_missing_caps(char *to, size_t size)
{
	static const struct {
		cap_value_t cap;
		const char *name;
	} needed[] = {
		{CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},   /* probes, other processes' mapped files */
		{CAP_SYS_PTRACE, "CAP_SYS_PTRACE"}, /* /proc/PID of other users */
		{CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH"}, /* their files; cgroups by id */
		{CAP_SETUID, "CAP_SETUID"},		      /* the agent's own user */
		{CAP_SETGID, "CAP_SETGID"},
		{CAP_CHOWN, "CAP_CHOWN"}, /* its state directory */
		{CAP_KILL, "CAP_KILL"},	  /* stops it */
	};
	size_t len = 0;

	to[0] = '\0';
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]) && len < size; i++)
		if (!has_cap(needed[i].cap))
			len += (size_t)snprintf(to + len, size - len, "%s%s", len ? ", " : "",
						needed[i].name);
}

static void check_privileges(struct check_result *result)
{
	char missing[120];

	if (geteuid() != 0) {
		say(result, CHECK_FAIL, "not root (user id %u)", geteuid());
		advise(result, SEE_PRIVILEGES);
		return;
	}
	list_missing_caps(missing, sizeof(missing));
	if (missing[0]) {
		say(result, CHECK_FAIL, "root without %s", missing);
		advise(result, "give the unit or container these capabilities");
		return;
	}
	say(result, CHECK_OK, "root with all capabilities that are needed");
}

static void check_pid_namespace(struct check_result *result)
{
	struct stat st;

	if (stat("/proc/self/ns/pid", &st) < 0) {
		say(result, CHECK_FAIL, "/proc is not mounted or hidden: %s", strerror(errno));
		advise(result, "mount /proc without hidepid for the sensor");
		return;
	}
	if (st.st_ino == HOST_PID_NS) {
		say(result, CHECK_OK, "in the host's pid namespace");
		return;
	}
	say(result, CHECK_FAIL, "in a pid namespace of its own: processes could not be told apart");
	advise(result, "run the container with hostPID: true (docker: --pid=host)");
}

static void check_lockdown(struct check_result *result)
{
	char mode[32];

	kernel_lockdown(mode, sizeof(mode));
	if (strcmp(mode, "confidentiality") == 0) {
		say(result, CHECK_FAIL,
		    "kernel lockdown is 'confidentiality', which forbids BPF programs to read "
		    "memory");
		advise(result, "boot with lockdown=integrity or lockdown=none");
		return;
	}
	say(result, CHECK_OK, "kernel lockdown: %s", mode[0] ? mode : "not in this kernel");
}

static void check_seccomp(struct check_result *result)
{
	int mode = prctl(PR_GET_SECCOMP);

	/* Only a hint for the lines that follow: a filter may well allow all that is needed. */
	if (mode > 0) {
		say(result, CHECK_WARN, "a seccomp filter is in force for this process");
		advise(result, "if a line below fails with 'Operation not permitted', run with "
			       "seccomp unconfined");
		return;
	}
	say(result, CHECK_OK, "no seccomp filter in the way");
}

static void refused(struct check_result *result, const char *what, int r)
{
	say(result, CHECK_FAIL, "%s: %s", what, strerror(-r));
	if (r != -EPERM && r != -EACCES)
		return;
	advise(result, geteuid() != 0 ? "run it as root"
				      : "allow it where it is forbidden: the container's "
					"capabilities, seccomp profile or LSM, "
					"kernel.perf_event_paranoid");
}

static void check_bpf(struct check_result *result)
{
	int r = kernel_try_bpf();

	if (r == 0) {
		say(result, CHECK_OK, "BPF programs can be loaded");
		return;
	}
	refused(result, "no BPF program can be loaded", r);
	if (r == -ENOSYS)
		advise(result, "use a kernel with CONFIG_BPF_SYSCALL=y");
}

static void check_ring(struct check_result *result)
{
	int r = kernel_try_ring();

	if (r == 0) {
		say(result, CHECK_OK, "BPF ring buffers can be made");
		return;
	}
	refused(result, "no BPF ring buffer can be made", r);
	if (r == -EINVAL)
		advise(result, "use a kernel that has BPF ring buffers (5.8 and later)");
}

static void check_btf(struct check_result *result)
{
	int r = kernel_try_btf();

	if (r == 0) {
		say(result, CHECK_OK, "the kernel describes its types (" KERNEL_BTF ")");
		return;
	}
	say(result, CHECK_FAIL, "the kernel does not describe its types (" KERNEL_BTF "): %s",
	    strerror(-r));
	advise(result,
	       "use a kernel with CONFIG_DEBUG_INFO_BTF=y, or mount /sys where it is missing");
}

static void check_uprobes(struct check_result *result)
{
	int r = kernel_try_uprobe();

	if (r == 0) {
		say(result, CHECK_OK, "probes can be set in programs");
		return;
	}
	refused(result, "no probe can be set in a program", r);
	if (r == -ENOENT)
		advise(result, "use a kernel with CONFIG_UPROBE_EVENTS=y, or mount /sys where it "
			       "is missing");
}

static void check_uprobe_multi(struct check_result *result)
{
	int r = kernel_try_uprobe_multi();

	if (r == 0) {
		say(result, CHECK_OK,
		    "many probes can be set and removed in one step (uprobe_multi)");
		return;
	}
	say(result, CHECK_WARN, "probes are set one by one (uprobe_multi: %s)", strerror(-r));
	advise(result, "nothing breaks; starting and stopping takes longer than with a kernel that "
		       "has it (6.6 and later)");
}

static void check_socket_tracepoints(struct check_result *result)
{
	int r = kernel_try_raw_tracepoint("sock_send_length");

	if (r == 0) {
		say(result, CHECK_OK,
		    "socket I/O is seen at sock_send_length and sock_recv_length");
		return;
	}
	r = kernel_try_raw_tracepoint("sys_exit");
	if (r == 0) {
		say(result, CHECK_WARN,
		    "socket I/O is seen at sys_exit, because this kernel has no sock_send_length");
		advise(result, "nothing breaks; a kernel that has it (6.3 and later) makes other "
			       "system calls cheaper");
		return;
	}
	refused(result, "neither sock_send_length nor sys_exit can be traced", r);
	if (r == -ENOENT)
		advise(result, "use a kernel with CONFIG_FTRACE_SYSCALLS=y");
}

static void check_socket_state(struct check_result *result)
{
	int r = kernel_try_raw_tracepoint("inet_sock_set_state");

	if (r == 0)
		say(result, CHECK_OK, "the end of connections is seen at inet_sock_set_state");
	else
		refused(result, "inet_sock_set_state can't be traced", r);
}

static void check_perf_events(struct check_result *result)
{
	int r = kernel_try_perf_events();

	if (r == 0) {
		say(result, CHECK_OK,
		    "new processes and libraries are seen at once (perf mmap2 events)");
		return;
	}
	refused(result, "new processes and libraries can't be seen (perf mmap2 events)", r);
	if (r == -ENOENT || r == -ENOSYS)
		advise(result, "use a kernel with CONFIG_PERF_EVENTS=y");
}

static void check_memlock(struct check_result *result)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0) {
		say(result, CHECK_WARN, "the locked-memory limit can't be read: %s",
		    strerror(errno));
		return;
	}
	if (limit.rlim_max == RLIM_INFINITY || has_cap(CAP_SYS_RESOURCE) || has_cap(CAP_IPC_LOCK)) {
		say(result, CHECK_OK, "locked memory is not limited, or the limit can be raised");
		return;
	}
	say(result, CHECK_WARN, "locked memory is limited to %ju KiB and the limit can't be raised",
	    (uintmax_t)limit.rlim_max / 1024);
	advise(result, "if loading fails, set LimitMEMLOCK=infinity or add CAP_SYS_RESOURCE "
		       "(kernels before 5.11 need it)");
}

static void check_cgroup2(struct check_result *result)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[4096];

	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, " - cgroup2 ")) {
			say(result, CHECK_OK, "a cgroup2 hierarchy is mounted");
			return;
		}
	say(result, CHECK_WARN, "no cgroup2 hierarchy is mounted: containers will not be named");
	advise(result, "mount -t cgroup2 none /sys/fs/cgroup/unified, or give the container the "
		       "host's /sys/fs/cgroup");
}

const struct check checks_node[] = {
	{"privileges", check_privileges},
	{"pid_namespace", check_pid_namespace},
	{"lockdown", check_lockdown},
	{"seccomp", check_seccomp},
	{"bpf", check_bpf},
	{"ring_buffer", check_ring},
	{"btf", check_btf},
	{"uprobes", check_uprobes},
	{"uprobe_multi", check_uprobe_multi},
	{"socket_io", check_socket_tracepoints},
	{"socket_state", check_socket_state},
	{"perf_events", check_perf_events},
	{"memlock", check_memlock},
	{"cgroup2", check_cgroup2},
	{NULL, NULL},
};

int checks_first_failure(char *to, size_t size)
{
	for (const struct check *c = checks_node; c->name; c++) {
		struct check_result result = {.level = CHECK_OK};

		c->run(&result);
		if (result.level != CHECK_FAIL)
			continue;
		snprintf(to, size, "%s%s%s", result.what, result.remedy[0] ? "; " : "",
			 result.remedy);
		return -ENOTSUP;
	}
	return 0;
}
