/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tries each kernel feature with the smallest thing that needs it. libbpf 1.1 has no helper for
 * uprobe_multi and the distribution's linux/bpf.h no layout, so both are spelled out here.
 */
#include "monitor/kernel.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/* r0 = 0; exit */
static const struct bpf_insn nothing[] = {
	{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
	{.code = BPF_JMP | BPF_EXIT},
};

/* linux/bpf.h of 6.6 and later: union bpf_attr, link_create.uprobe_multi */
struct uprobe_multi_attr {
	__u32 prog_fd;
	__u32 target_fd;
	__u32 attach_type;
	__u32 flags;
	__u64 path;
	__u64 offsets;
	__u64 ref_ctr_offsets;
	__u64 cookies;
	__u32 cnt;
	__u32 multi_flags; /* BPF_F_UPROBE_MULTI_RETURN = 1 */
	__u32 pid;
	__u32 pad_;
};
_Static_assert(sizeof(struct uprobe_multi_attr) == 64, "layout of linux/bpf.h");

static int load_nothing(enum bpf_prog_type type, enum bpf_attach_type attach)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = attach);
	int fd;

	fd = bpf_prog_load(type, "tt_try", "GPL", nothing, 2, &opts);
	return fd < 0 ? -errno : fd;
}

int kernel_try_bpf(void)
{
	_cleanup_close_ int fd = load_nothing(BPF_PROG_TYPE_RAW_TRACEPOINT, 0);

	return fd < 0 ? fd : 0;
}

int kernel_try_ring(void)
{
	_cleanup_close_ int fd = -EBADF;

	fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "tt_try", 0, 0, (uint32_t)getpagesize(), NULL);
	return fd < 0 ? -errno : 0;
}

int kernel_try_btf(void)
{
	_cleanup_close_ int fd = open(KERNEL_BTF, O_RDONLY | O_CLOEXEC);
	char magic[2];

	if (fd < 0)
		return -errno;
	return read(fd, magic, sizeof(magic)) == sizeof(magic) ? 0 : -EIO;
}

static void *close_it(void *fd)
{
	close((int)(intptr_t)fd);
	return NULL;
}

/* The kernel waits for all that may still look when what was attached goes, some 50 ms each: a thread waits, while this
 * one goes on. No signal is for it. */
static void close_aside(int fd)
{
	sigset_t all, before;
	pthread_t thread;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&thread, NULL, close_it, (void *)(intptr_t)fd) == 0)
		pthread_detach(thread);
	else
		close(fd);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* What an attempt to attach gave: a descriptor, or why not. */
static int tried(int fd)
{
	if (fd < 0)
		return fd;
	close_aside(fd);
	return 0;
}

int kernel_try_raw_tracepoint(const char *name)
{
	_cleanup_close_ int prog = load_nothing(BPF_PROG_TYPE_RAW_TRACEPOINT, 0);
	int link;

	if (prog < 0)
		return prog;
	link = bpf_raw_tracepoint_open(name, prog);
	return tried(link < 0 ? -errno : link);
}

/* Nobody calls it: a probe on it costs nothing and harms nobody. */
__attribute__((noinline, used)) static void probe_target(void)
{
	__asm__ volatile("" ::: "memory");
}

struct own_code {
	uintptr_t address;
	uint64_t offset;
};

/* The first object that dl_iterate_phdr shows is the program itself. */
static int find_offset(struct dl_phdr_info *info, size_t size, void *data)
{
	struct own_code *code = data;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + ph->p_vaddr;

		if (ph->p_type == PT_LOAD && code->address >= start &&
		    code->address < start + ph->p_filesz)
			code->offset = code->address - start + ph->p_offset;
	}
	return 1;
}

static uint64_t own_offset(void)
{
	struct own_code code = {.address = (uintptr_t)probe_target};

	dl_iterate_phdr(find_offset, &code);
	return code.offset;
}

static int uprobe_pmu_type(uint32_t *ret_type)
{
	_cleanup_fclose_ FILE *f = fopen("/sys/bus/event_source/devices/uprobe/type", "re");

	if (!f)
		return -errno;
	return fscanf(f, "%u", ret_type) == 1 ? 0 : -EIO;
}

static int perf_open(struct perf_event_attr *attr, int pid, int cpu)
{
	long fd = syscall(SYS_perf_event_open, attr, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : (int)fd;
}

int kernel_try_uprobe(void)
{
	struct perf_event_attr attr = {.size = sizeof(attr), .sample_period = 1};
	uint32_t type;
	int r;

	r = uprobe_pmu_type(&type);
	if (r < 0)
		return r;
	attr.type = type;
	attr.uprobe_path = (uintptr_t) "/proc/self/exe";
	attr.probe_offset = own_offset();
	return tried(perf_open(&attr, -1, 0));
}

int kernel_uprobe_multi(int program, int fd, const uint64_t *offsets, const uint64_t *cookies, uint32_t count,
			bool on_return)
{
	char path[32];
	struct uprobe_multi_attr attr = {
		.prog_fd = (uint32_t)program,
		.attach_type = KERNEL_UPROBE_MULTI,
		.path = (uintptr_t)path,
		.offsets = (uintptr_t)offsets,
		.cookies = (uintptr_t)cookies,
		.cnt = count,
		.multi_flags = on_return ? 1 : 0,
	};
	long link;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	link = syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
	return link < 0 ? -errno : (int)link;
}

int kernel_try_uprobe_multi(void)
{
	_cleanup_close_ int prog = load_nothing(BPF_PROG_TYPE_KPROBE, KERNEL_UPROBE_MULTI);
	_cleanup_close_ int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	uint64_t offset = own_offset();

	if (prog < 0)
		return prog;
	if (self < 0)
		return -errno;
	return tried(kernel_uprobe_multi(prog, self, &offset, NULL, 1, false));
}

int kernel_try_cookie(void)
{
	/* bpf_get_attach_cookie(ctx), with the register that it is given in; exit */
	static const struct bpf_insn asks[] = {
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_attach_cookie},
		{.code = BPF_JMP | BPF_EXIT},
	};
	_cleanup_close_ int fd = bpf_prog_load(BPF_PROG_TYPE_KPROBE, "tt_try", "GPL", asks, 2, NULL);

	return fd < 0 ? -errno : 0;
}

int kernel_try_perf_events(void)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_DUMMY,
		.mmap = 1,
		.mmap2 = 1,
		.comm = 1,
		.comm_exec = 1,
		.task = 1,
	};
	_cleanup_close_ int fd = perf_open(&attr, -1, 0);

	return fd < 0 ? fd : 0;
}

void kernel_lockdown(char *to, unsigned int size)
{
	_cleanup_fclose_ FILE *f = fopen("/sys/kernel/security/lockdown", "re");
	char line[128], *open, *shut;

	to[0] = '\0';
	if (!f || !fgets(line, sizeof(line), f))
		return;
	open = strchr(line, '[');
	shut = open ? strchr(open, ']') : NULL;
	if (!shut)
		return;
	*shut = '\0';
	snprintf(to, size, "%s", open + 1);
}
