/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's system calls, each with its caller. What is not here fails with EPERM; what only an
 * attacker would try ends the process. Memory is never executable, no program is ever started, no
 * other process is ever touched. Files are guarded by the agent's user id.
 */
#include "agent/profile.h"

#include <stddef.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define ALLOW(name, who) { name, SANDBOX_ALLOW, { 0 }, who }
#define ALLOW_ARG(name, i, m, v, who) { name, SANDBOX_ALLOW, { true, i, m, v }, who }
#define KILL(name) { name, SANDBOX_KILL, { 0 }, "nobody" }
#define NOSYS(name, who) { name, SANDBOX_NOSYS, { 0 }, who }
#define LOW32 0xffffffffULL

const struct sandbox_rule agent_profile[] = {
	/* the loop, the channel, standard output */
	ALLOW("epoll_wait", "agent/run.c (epoll_wait), libmicrohttpd; librdkafka's OpenSSL never"),
	ALLOW("epoll_pwait", "agent/run.c on arm64"),
	ALLOW("epoll_ctl", "agent/run.c: the channel at its end of file; libmicrohttpd: connections"),
	ALLOW("sendmsg", "ipc/chan.c; librdkafka; getaddrinfo; libmicrohttpd"),
	ALLOW("recvmsg", "ipc/chan.c; librdkafka; getaddrinfo (netlink)"),
	ALLOW("poll", "ipc/chan.c; librdkafka; getaddrinfo"),
	ALLOW("ppoll", "the same on arm64"),
	ALLOW("read", "signalfd; SQLite; stdio; /etc/resolv.conf; librdkafka's wake-up pipe"),
	ALLOW("write", "log lines; JSON and table; SQLite; spool"),
	ALLOW("writev", "stdio; assert() messages of libc"),
	ALLOW("readv", "librdkafka"),
	ALLOW("close", "descriptors of scanned files; SQLite; sockets"),
	ALLOW("fcntl", "SQLite's locks; blob seals; O_NONBLOCK of sockets; libelf"),
	ALLOW("clock_gettime", "where the vDSO can't answer"),
	ALLOW("gettimeofday", "librdkafka; the same"),
	ALLOW("time", "OpenSSL; the same"),
	ALLOW("clock_nanosleep", "usleep() of librdkafka and SQLite's busy wait"),
	ALLOW("nanosleep", "the same on older libc"),
	ALLOW_ARG("ioctl", 1, LOW32, TCGETS, "isatty() of stdio and the table"),
	ALLOW_ARG("ioctl", 1, LOW32, TIOCGWINSZ, "the table: size of the terminal"),
	ALLOW_ARG("ioctl", 1, LOW32, FIONREAD, "getaddrinfo: answer of a name server"),
	ALLOW_ARG("ioctl", 1, LOW32, FIONBIO, "librdkafka: non-blocking sockets"),

	/* files: scanned ELF descriptors, store, spool, name service */
	ALLOW("pread64", "agent/elf_scan.c, findings.c; SQLite; blob of a reload; spool"),
	ALLOW("pwrite64", "SQLite; spool"),
	ALLOW("preadv", "spool"),
	ALLOW("pwritev", "spool"),
	ALLOW("lseek", "SQLite; stdio; spool"),
	ALLOW("openat", "SQLite (-wal, -shm); spool segments; /etc/resolv.conf, /etc/hosts; "
			"librdkafka ssl.ca.location"),
	ALLOW("open", "libc before 2.26"),
	ALLOW("stat", "SQLite"),
	ALLOW("fstat", "agent/elf_scan.c; SQLite; stdio"),
	ALLOW("lstat", "SQLite: symbolic links in the store's path"),
	ALLOW("newfstatat", "the three above as libc 2.33 makes them"),
	ALLOW("statx", "the same on newer libc"),
	ALLOW("fstatfs", "SQLite: kind of file system"),
	ALLOW("statfs", "store: room on the disk"),
	ALLOW("statvfs", "the same"),
	ALLOW("access", "SQLite"),
	ALLOW("faccessat", "SQLite on arm64"),
	ALLOW("faccessat2", "the same on newer libc"),
	ALLOW("readlink", "SQLite: symbolic links in the store's path"),
	ALLOW("readlinkat", "the same on arm64"),
	ALLOW("getcwd", "SQLite: relative paths"),
	ALLOW("ftruncate", "SQLite; spool"),
	ALLOW("fallocate", "SQLite (-shm); spool"),
	ALLOW("fsync", "SQLite; spool; agent/findings.c"),
	ALLOW("fdatasync", "SQLite; spool"),
	ALLOW("unlink", "SQLite (-wal at the end); spool segments; agent/findings.c"),
	ALLOW("unlinkat", "the same on arm64"),
	ALLOW("rename", "spool: segments and the refused file; agent/findings.c"),
	ALLOW("renameat", "the same on arm64"),
	ALLOW("renameat2", "the same"),
	ALLOW("mkdir", "spool"),
	ALLOW("mkdirat", "the same on arm64"),
	ALLOW("getdents64", "spool: segments of an earlier run; OpenSSL's CA directory"),
	ALLOW("fadvise64", "spool"),
	ALLOW("flock", "spool: one agent at a time"),
	ALLOW("fchmod", "SQLite: -wal and -shm get the store's mode"),
	ALLOW("umask", "spool"),
	ALLOW("geteuid", "SQLite: owner of new files; OpenSSL"),
	ALLOW("getuid", "OpenSSL: secure_getenv"),
	ALLOW("getgid", "the same"),
	ALLOW("getegid", "the same"),

	/* memory and threads */
	ALLOW("brk", "malloc"),
	ALLOW_ARG("mmap", 2, PROT_EXEC, 0, "malloc; thread stacks; SQLite (-shm)"),
	ALLOW_ARG("mprotect", 2, PROT_EXEC, 0, "malloc arenas; thread stacks"),
	ALLOW("munmap", "malloc; SQLite"),
	ALLOW("mremap", "realloc; SQLite"),
	ALLOW("madvise", "malloc; ends of threads"),
	ALLOW("mlock", "OpenSSL's secure heap"),
	ALLOW("munlock", "the same"),
	ALLOW("futex", "librdkafka's locks and conditions"),
	ALLOW_ARG("clone", 0, CLONE_THREAD, CLONE_THREAD,
		  "librdkafka: a thread per broker; never a process"),
	NOSYS("clone3", "pthread_create() then takes clone, whose flags can be looked at"),
	ALLOW("set_robust_list", "new threads"),
	ALLOW("rseq", "new threads"),
	ALLOW("set_tid_address", "new threads"),
	ALLOW("gettid", "librdkafka; raise()"),
	ALLOW("getpid", "SQLite; OpenSSL; librdkafka"),
	ALLOW("sched_yield", "librdkafka"),
	ALLOW("sched_getaffinity", "malloc: number of arenas"),
	ALLOW("sigaltstack", "new threads"),
	ALLOW_ARG("prctl", 0, LOW32, PR_SET_NAME, "librdkafka: names of its threads"),
	ALLOW("getrandom", "OpenSSL; SQLite; librdkafka; agent/findings.c"),
	ALLOW("sysinfo", "SQLite, qsort(): amount of memory"),
	ALLOW("uname", "OpenSSL; getaddrinfo"),
	ALLOW("getrusage", "OpenSSL's entropy; the table"),
	ALLOW("prlimit64", "malloc; pthread_create(): size of stacks"),
	ALLOW("rt_sigprocmask", "pthread_create(); librdkafka"),
	ALLOW("rt_sigaction", "abort()"),
	ALLOW("rt_sigreturn", "return from a signal handler"),
	ALLOW("restart_syscall", "the kernel, after a stop signal"),
	ALLOW("tgkill", "abort(), raise()"),
	ALLOW("exit", "ends of threads"),
	ALLOW("exit_group", "exit()"),

	/* network: librdkafka to its brokers, getaddrinfo to name servers */
	ALLOW_ARG("socket", 0, LOW32, AF_INET, "librdkafka; getaddrinfo"),
	ALLOW_ARG("socket", 0, LOW32, AF_INET6, "librdkafka; getaddrinfo"),
	ALLOW_ARG("socket", 0, LOW32, AF_UNIX, "getaddrinfo: nscd and its like"),
	ALLOW_ARG("socket", 0, LOW32, AF_NETLINK, "getaddrinfo: own addresses"),
	ALLOW("connect", "librdkafka; getaddrinfo"),
	ALLOW("bind", "getaddrinfo (netlink)"),
	ALLOW("getsockname", "getaddrinfo: which source address would be taken"),
	ALLOW("getpeername", "librdkafka: connection test"),
	ALLOW("getsockopt", "librdkafka: result of connect"),
	ALLOW("setsockopt", "librdkafka: keep-alive, buffer sizes; libmicrohttpd: TCP_NODELAY, TCP_CORK"),
	ALLOW("sendto", "OpenSSL under librdkafka; getaddrinfo; libmicrohttpd"),
	ALLOW("recvfrom", "the same"),
	ALLOW("sendmmsg", "getaddrinfo: A and AAAA questions at once"),
	ALLOW("recvmmsg", "the same"),
	ALLOW("shutdown", "librdkafka; libmicrohttpd"),
	ALLOW("pipe", "librdkafka: wake-up pipe of a broker's thread"),
	ALLOW("pipe2", "the same"),
	ALLOW("eventfd2", "librdkafka"),

	ALLOW("accept4", "sinks/http.c: who asks for metrics"),

	/* nobody's: whoever calls these is not the agent any more */
	KILL("ptrace"), KILL("process_vm_readv"), KILL("process_vm_writev"), KILL("process_madvise"),
	KILL("pidfd_getfd"), KILL("kcmp"), KILL("bpf"), KILL("perf_event_open"), KILL("execve"),
	KILL("execveat"), KILL("fork"), KILL("vfork"), KILL("mount"), KILL("umount2"),
	KILL("move_mount"), KILL("open_tree"), KILL("fsopen"), KILL("pivot_root"), KILL("chroot"),
	KILL("unshare"), KILL("setns"), KILL("kexec_load"), KILL("kexec_file_load"), KILL("reboot"),
	KILL("init_module"), KILL("finit_module"), KILL("delete_module"), KILL("keyctl"),
	KILL("add_key"), KILL("request_key"), KILL("userfaultfd"), KILL("io_uring_setup"),
	KILL("io_uring_enter"), KILL("io_uring_register"), KILL("setuid"), KILL("setgid"),
	KILL("setresuid"), KILL("setresgid"), KILL("setreuid"), KILL("setregid"),
	KILL("setgroups"), KILL("capset"), KILL("personality"), KILL("swapon"), KILL("swapoff"),
	KILL("iopl"), KILL("ioperm"), KILL("memfd_secret"), KILL("open_by_handle_at"),
	{ NULL, SANDBOX_ALLOW, { 0 }, NULL },
};
