/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much of a process's TLS the sensor sees into, and why not the rest. The agent makes it
 * (agent/coverage.c), sinks read it and keep nothing of it. As in tokens/use.h, strings are valid
 * text, and a member that is not known is empty or 0.
 */
#ifndef TT_TOKENS_COVERAGE_H
#define TT_TOKENS_COVERAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tokentrail/ipc.h>

#define COVERAGE_WORKLOAD_LEN 256
/* From this share on a process counts as covered: what little is missing are connections that ended
 * with their handshake, and the last bytes of those that were under way when it was asked. */
#define COVERAGE_FULL 0.99

/* Numbers are kept in stores: never reused. */
enum coverage_status {
	COVERAGE_UNKNOWN = 0,	/* there is TLS, and nothing says for sure how it is made */
	COVERAGE_IDLE = 1,	/* a TLS library is mapped, no TLS was seen */
	COVERAGE_COVERED = 2,
	COVERAGE_PARTIAL = 3,
	COVERAGE_BLIND = 4,
	COVERAGE_EXCLUDED = 5,	/* by include and exclude: nothing of it is read, nor counted */
	COVERAGE_STATUS_MAX
};

/* What stands for the place a process belongs to. */
enum coverage_kind {
	COVERAGE_NO_WORKLOAD = 0,
	COVERAGE_CONTAINER = 1,		/* its id */
	COVERAGE_UNIT = 2,		/* of systemd: "nginx.service" */
	COVERAGE_CGROUP = 3,		/* path */
	COVERAGE_EXECUTABLE = 4,	/* path, or the name of the process */
	COVERAGE_KIND_MAX
};

/* A library in one of the process's files. */
struct coverage_library {
	enum tt_tls tls;
	enum tt_how how;
	enum tt_blind blind;		/* why it is not probed; 0 = it is, or nothing is known yet */
	enum tt_blind partly[2];	/* why some of its functions, that write or that read, are not */
	char version[TT_VERSION_LEN];
	uint64_t since_ns;		/* probes are in place since, CLOCK_REALTIME; 0 = none are */
	uint32_t probes, refused;	/* of the file: functions */
	uint32_t placed;		/* of these, probed where it costs less than at their first byte */
	bool used;			/* one of its calls was seen */
	char path[TT_IPC_PATH_LEN];
};

/* Counts are totals of the process; [0] sent, [1] received. Dates are CLOCK_REALTIME. */
struct coverage {
	uint64_t time_ns;		/* when this was true */

	/* who */
	uint32_t pid;
	uint64_t start_ns;		/* CLOCK_BOOTTIME; with pid: one process */
	uint64_t started_ns;		/* the same as a date */
	char process_name[TT_COMM_LEN];
	char executable[TT_IPC_PATH_LEN];
	uint32_t uid;			/* UINT32_MAX = not known */
	char container_id[65];
	enum coverage_kind workload_kind;
	char workload[COVERAGE_WORKLOAD_LEN];

	/* what */
	struct coverage_library library[TT_COVER_FILES_MAX];
	size_t libraries;
	bool client, server, middle, io_uring, ended;
	bool excluded;			/* include and exclude leave it alone */
	uint32_t sockets, blind_sockets;
	uint64_t wire[2], covered[2], plain[2];
	uint64_t first_tls_ns, first_call_ns;
	uint64_t exec_to_call_ns;	/* from execve(2) to the first call seen; 0 = not known */

	/* so */
	enum coverage_status status;
	enum tt_blind reason;		/* of partial and blind; 0 = not known */
};

const char *coverage_status_name(enum coverage_status status);	/* "covered", ... */
const char *coverage_kind_name(enum coverage_kind kind);	/* "container", ...; "" */
const char *coverage_how(enum tt_how how);			/* "symbols", ...; "" */
const char *coverage_reason(enum tt_blind reason);		/* name in blind.def; "" */
const char *coverage_reason_text(enum tt_blind reason);
const char *coverage_remedy(enum tt_blind reason);		/* "-" = there is none */

/* Why not all that a library has is seen; 0 = it is, or nothing is known yet. */
enum tt_blind coverage_library_reason(const struct coverage_library *l);

/* The number of a name, 0 = no such name. */
enum tt_blind coverage_reason_number(const char *name);

/* Covered bytes of bytes on the wire, 0 to 1; -1 = there were none. */
double coverage_share(const uint64_t wire[static 2], const uint64_t covered[static 2]);

/* The one library that makes the calls: the only one that was seen in use, or the only one there is.
 * NULL = not known. */
const struct coverage_library *coverage_main_library(const struct coverage *c);

/* So long after its first TLS a library which is going to be found has been found, and a call which
 * is going to be made has been made. Before, what would be blind is unknown. */
#define COVERAGE_FOUND_NS (500ULL * 1000000)
#define COVERAGE_CALLED_NS (3000ULL * 1000000)

/* Fills status and reason from the rest; age_ns: since TLS was seen first. */
void coverage_judge(struct coverage *c, uint64_t age_ns);

/* ---- sums ---- */

struct coverage_sum {
	uint64_t wire[2], covered[2], plain[2];
	uint64_t sockets, blind_sockets;
	uint64_t processes[COVERAGE_STATUS_MAX];
};

/* Adds a process whole. */
void coverage_add(struct coverage_sum *sum, const struct coverage *c);

/* "TLS bytes covered 97 %, 3 processes blind"; "" while there is no TLS. */
#define COVERAGE_LINE_LEN 80
void coverage_line(const struct coverage_sum *sum, char ret_line[static COVERAGE_LINE_LEN]);

struct coverage_workload {
	enum coverage_kind kind;
	char name[COVERAGE_WORKLOAD_LEN];
	uint64_t used;			/* the larger, the later */
	struct coverage_sum sum;
};

/* Bytes since the agent started, and processes that live. The workloads that had no news for the
 * longest time go into `other` when there are more than `limit`. */
struct coverage_totals {
	struct coverage_sum node, other;
	struct coverage_workload *workload;
	size_t workloads, limit;
	uint64_t uses;
};

/* The row of a workload, made if need be; &other when limit is 0. Good until the next call. */
struct coverage_sum *coverage_totals_get(struct coverage_totals *t, enum coverage_kind kind,
					 const char *name);

#endif
