/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between the monitor (root) and the agent (no privileges), over one SOCK_SEQPACKET
 * socketpair: one message a packet, fixed size per type. A packet that is shorter or longer than
 * its type says, or of a type the sender may not send, ends the receiver's trust in the peer: the
 * agent exits, the monitor kills and restarts the agent.
 *
 * Strings are NUL-terminated, cut to fit, and untrusted (they come from file names and process
 * names of any user): whoever shows them escapes them.
 */
#ifndef TOKENTRAIL_IPC_H
#define TOKENTRAIL_IPC_H

#include <linux/types.h>
#include <tokentrail/abi.h>

#define TT_IPC_VERSION 1
#define TT_IPC_PATH_LEN 256
#define TT_IPC_CGROUP_LEN 512	/* nested (kind, Docker in Docker) paths pass 300 bytes */

enum tt_ipc_type {
	/* monitor -> agent: even */
	TT_IPC_FILE = 2,	/* look at this ELF file; carries its descriptor (SCM_RIGHTS) */
	TT_IPC_PROC = 4,	/* answer to ASK: what is known of a process */
	TT_IPC_COUNTERS = 6,	/* kernel and monitor counters, once a second */
	TT_IPC_STOP = 8,	/* write everything out and exit 0 */
	TT_IPC_ATTACHED = 10,	/* what a file has of TLS libraries, and what became of its probes */
	TT_IPC_RELOAD = 12,	/* a new configuration; carries a memfd with the blob (SCM_RIGHTS) */
	TT_IPC_COVER = 14,	/* what is known of one process's TLS; sent when it has changed */
	TT_IPC_BUNDLE = 16,	/* what a runtime wrote of a container; carries its descriptor (SCM_RIGHTS) */
	TT_IPC_PLACE = 18,	/* answer to LOOK, after BUNDLE where there is one */
	/* agent -> monitor: odd */
	TT_IPC_HELLO = 1,	/* the agent is sandboxed and reads the ring */
	TT_IPC_ASK = 3,		/* who is this process? */
	TT_IPC_HOOK = 5,	/* attach here */
	TT_IPC_SCANNED = 7,	/* done with a file: all its HOOKs were sent */
	TT_IPC_LOOK = 9,	/* what does this node have of a container? */
	TT_IPC_RELOADED = 11,	/* knows what RELOAD brought: records may name it from now on */
};

struct tt_ipc_hdr {
	__u16 type;
	__u16 version;		/* TT_IPC_VERSION */
	__u32 len;		/* whole message, bytes */
};

struct tt_ipc_file {
	struct tt_ipc_hdr h;
	__u64 file;		/* the monitor's number for this file */
	char path[TT_IPC_PATH_LEN];	/* for the log only */
};

enum tt_hook {
#define TT_HOOK_CALL(number, hook, library, direction, result) TT_HOOK_##hook = number,
#define TT_HOOK_END(number, hook, library) TT_HOOK_##hook = number,
#define TT_HOOK_PLAIN(number, hook, library) TT_HOOK_##hook = number,
#include "hooks.def"
	TT_HOOK_MAX = 64	/* not all numbers below are given */
};

struct tt_ipc_hook {
	struct tt_ipc_hdr h;
	__u64 file;
	__u64 offset;		/* of the instruction to be probed, in the file, bytes */
	__u64 placed;		/* of one that may be probed in its place and costs less; 0 = none */
	__u64 spare;		/* so too, where `placed` can't be told its cookie */
	__u32 hook;		/* enum tt_hook */
	__u32 placed_as;	/* enum tt_hook: what is there */
	__u32 tls;		/* enum tt_tls */
	__u32 cookie;		/* what the program at `placed` is told: cookie.h; 0 = nothing */
	__u32 spare_as;
	__u32 pad_;
};

enum tt_scan {
	TT_SCAN_NONE = 0,	/* an ELF file without a known TLS function */
	TT_SCAN_HOOKS = 1,	/* HOOK messages were sent */
	TT_SCAN_BAD = 2,	/* not an ELF file we can read; counted as elf_unreadable */
	TT_SCAN_REFUSED = 3,	/* has the function, but its first instruction can't carry a probe */
};

/* How a library's functions were found in a file. */
enum tt_how {
	TT_HOW_NONE = 0,	/* they were not */
	TT_HOW_symbols = 1,	/* by their names in a symbol table */
	TT_HOW_pclntab = 2,	/* in Go's table of functions */
	TT_HOW_xref = 3,	/* by the places that refer to the library's error strings */
	TT_HOW_pattern = 4,	/* by their instructions */
	TT_HOW_MAX
};

enum tt_blind {
	TT_BLIND_NONE = 0,
#define TT_BLIND(number, name, reason, remedy) TT_BLIND_##name = number,
#include "blind.def"
	TT_BLIND_MAX
};
_Static_assert(TT_BLIND_MAX <= 256, "tt_finding.partly has a byte for one");

#define TT_FINDINGS_MAX 4	/* libraries in one file */
#define TT_VERSION_LEN 32

/* One TLS library in one file. */
struct tt_finding {
	__u16 tls;		/* enum tt_tls; 0 = no more findings */
	__u16 how;		/* enum tt_how */
	__u16 blind;		/* enum tt_blind; 0 = its functions were found, or, without `how`, only its
				 * version is in this file (OpenSSL has it in libcrypto) */
	__u8 partly[2];		/* enum tt_blind: why a function of it that writes [0] or reads [1] is not
				 * probed, while others are */
	char version[TT_VERSION_LEN];	/* as the library calls it; "" = not known */
};

struct tt_ipc_scanned {
	struct tt_ipc_hdr h;
	__u64 file;
	__u32 result;		/* enum tt_scan */
	__u32 hooks;		/* how many HOOK messages came before */
	struct tt_finding finding[TT_FINDINGS_MAX];
};

/* Sent for files with findings only, and again to an agent that was started anew. */
struct tt_ipc_attached {
	struct tt_ipc_hdr h;
	__u64 file;
	__u64 since_ns;		/* CLOCK_BOOTTIME when the probes were in place; 0 = none are */
	__u32 hooks;		/* in place */
	__u32 failed;		/* refused by the kernel */
	__u32 placed;		/* of those in place: at the instruction that costs less */
	__u32 pad_;
	struct tt_finding finding[TT_FINDINGS_MAX];	/* as scanned; libraries that are turned off
							 * are TT_BLIND_turned_off */
	char path[TT_IPC_PATH_LEN];
};

#define TT_COVER_FILES_MAX 8

/* tt_ipc_cover.flags: TT_COVER_*, abi.h */

/*
 * A process that talks TLS, or has a file with findings mapped. Counts are totals since the process
 * was first seen; [0] sent, [1] received. Times are CLOCK_BOOTTIME, 0 = did not happen (yet) or not seen;
 * the first ones are those of the program that runs now. Of a process that was there before the sensor
 * and has not talked TLS, start_ns is known to a clock tick only: when it does, that one is ended, and
 * one with the exact time begins.
 */
struct tt_ipc_cover {
	struct tt_ipc_hdr h;
	__u64 start_ns;		/* as in tt_ev_hdr: with tgid it names the process */
	__u64 cgroup;
	__u64 exec_ns;		/* of the last execve(2); 0 = before the sensor came, or only a fork */
	__u64 first_tls_ns;	/* first byte of TLS on one of its sockets */
	__u64 first_call_ns;	/* first call of a TLS library that a probe saw */
	__u64 wire[2];		/* bytes on its TLS sockets, handshakes and headers too */
	__u64 covered[2];	/* of these, those whose plaintext was seen: readers/cover.h has the rules */
	__u64 plain[2];		/* bytes of plaintext that went through probed calls */
	__u64 file[TT_COVER_FILES_MAX];	/* mapped files with findings, the first ones; 0 = no more */
	__u32 tgid;
	__u32 uid;
	__u32 sockets;		/* TLS sockets so far */
	__u32 blind_sockets;	/* of these, without a probed call so far */
	__u32 flags;		/* TT_COVER_* */
	__u32 called;		/* libraries whose calls were seen: 1 << enum tt_tls */
	__u8 comm[TT_COMM_LEN];
};

struct tt_ipc_ask {
	struct tt_ipc_hdr h;
	__u64 start_ns;		/* of the process, as in tt_ev_hdr */
	__u64 cgroup;		/* its cgroup v2 id */
	__u32 tgid;
	__u32 pad_;
};

struct tt_ipc_proc {
	struct tt_ipc_hdr h;
	__u64 start_ns;		/* copied from the question */
	__u64 cgroup;		/* copied from the question */
	__u32 tgid;		/* copied from the question */
	__u32 known;		/* TT_PROC_* bits: which of the strings are known */
	char executable[TT_IPC_PATH_LEN];	/* as the process sees it (its mount namespace) */
	char cgroup_path[TT_IPC_CGROUP_LEN];	/* below the cgroup2 mount, begins with / */
};
#define TT_PROC_EXECUTABLE 1
#define TT_PROC_CGROUP 2
#define TT_PROC_TERMINAL 4	/* not a string: it has a controlling terminal */

#define TT_IPC_CONTAINER_LEN 68	/* of an id, with NUL */
#define TT_IPC_POD_LEN 40	/* of a pod's UID, likewise */
#define TT_IPC_NAME_LEN 256	/* of a directory's entry (NAME_MAX), likewise */

struct tt_ipc_look {
	struct tt_ipc_hdr h;
	__u64 start_ns;		/* of the process that is asked about, and its tgid */
	__u32 tgid;
	__u32 pad_;
	char container[TT_IPC_CONTAINER_LEN];	/* letters, digits, '_', '-', '.'; the first is no '.' */
	char pod[TT_IPC_POD_LEN];		/* hex digits and '-'; "" = in no pod */
	__u32 pad2_;
};

struct tt_ipc_bundle {
	struct tt_ipc_hdr h;
	__u64 start_ns;		/* copied from the question, as in PLACE */
	__u32 tgid;
	__u32 pad_;
};

/* Names of entries and contents as they are on the node; "" = not found. */
struct tt_ipc_place {
	struct tt_ipc_hdr h;
	__u64 start_ns;
	__u32 tgid;
	__u32 pad_;
	char pod_dir[TT_IPC_NAME_LEN];		/* of the kubelet's logs: NAMESPACE_NAME_UID */
	char log_link[TT_IPC_NAME_LEN];		/* POD_NAMESPACE_CONTAINER-ID.log */
	char namespace[64];			/* file of the pod's service account volume */
};

struct tt_ipc_counters {
	struct tt_ipc_hdr h;
	__u64 drops[TT_DROP_MAX];	/* totals since the sensor started, kernel and monitor */
	__u64 left;			/* calls of processes that include and exclude leave alone */
	__u32 files_probed;		/* files with at least one probe in place */
	__u32 probes;			/* probes in place */
	__u32 ready;			/* 1 once the first scan is done and `ready` was printed */
	__u32 pad_;
};

#endif
