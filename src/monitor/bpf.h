/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel side as the monitor holds it: opens the skeleton, picks the variant that this kernel
 * takes, fills settings and tables, loads. With monitor/attach.c the only user of libbpf in the
 * monitor. Nothing is pinned: when the process ends, all of it is gone.
 */
#ifndef TT_MONITOR_BPF_H
#define TT_MONITOR_BPF_H

#include <stdbool.h>
#include <stdint.h>

#include <tokentrail/ipc.h>

#include "config/budget.h"
#include "config/config.h"
#include "tokens/id.h"

struct bpf_sensor;
struct bpf_program;

struct bpf_error {
	char text[512]; /* one line: what is missing and what to do */
};

/* What the kernel's tables take here, for config_budget(). Needs no privileges. Negative errno. */
int bpf_sensor_costs(struct budget_kernel *ret_costs);

/* Opens, fills and loads; nothing runs yet. The node was found fit (checks_first_failure()). What
 * the configuration adds has to be in the tables (config_tables()), its limits be given (config_budget()). Negative errno:
 * *ret_error says why. */
int bpf_sensor_open(const struct config *config, const uint8_t kernel_key[static KERNEL_KEY_LEN],
		    struct bpf_sensor **ret_sensor, struct bpf_error *ret_error);
void bpf_sensor_close(struct bpf_sensor *sensor); /* NULL is fine */

/* Brings the tables of classes, names and token endpoints to what tokens/ holds now, while the programs run:
 * each key has its old row or its new one at any time, and what is no more goes last. Ends in bpf_sensor_forget(). */
int bpf_sensor_tables(struct bpf_sensor *sensor);

/* Attaches what notes that a process runs another program: before a filter's first verdicts (monitor/filter.h). */
int bpf_sensor_start_execs(struct bpf_sensor *sensor, struct bpf_error *ret_error);

/* Attaches what watches sockets, and the above if it is not there yet. */
int bpf_sensor_start(struct bpf_sensor *sensor, struct bpf_error *ret_error);

int bpf_sensor_ring_fd(const struct bpf_sensor *sensor);
/* For the agent to map: rows of repeats, and what agents have taken of them (struct tt_row, struct tt_row_mark). */
int bpf_sensor_rows_fd(const struct bpf_sensor *sensor);
int bpf_sensor_marks_fd(const struct bpf_sensor *sensor);

/* Uses that the last agent had and did not write out; none from then on. */
uint64_t bpf_sensor_take_lost(struct bpf_sensor *sensor);

/* Whether repeats are added up from now on, or each is a record. */
void bpf_sensor_fold(struct bpf_sensor *sensor, bool fold);

/* What runs when this function is entered; when any of those that are probed on return too returns. */
struct bpf_program *bpf_sensor_entry(const struct bpf_sensor *sensor, enum tt_hook hook);
struct bpf_program *bpf_sensor_return(const struct bpf_sensor *sensor);


bool bpf_sensor_has_multi(const struct bpf_sensor *sensor);
bool bpf_sensor_has_socket_events(const struct bpf_sensor *sensor);

/* Credentials that connections repeat are read anew, once: their classes have changed, or the agent has not
 * been told of them. */
void bpf_sensor_forget(struct bpf_sensor *sensor);

/* A process that is never watched, or (false) no longer exempt. -ENOSPC: there are TT_OWN_MAX already. */
int bpf_sensor_skip(struct bpf_sensor *sensor, uint32_t tgid, bool skip);

/* ---- filters: the tables of bpf/filter.bpf.h, for monitor/filter.c ---- */

/* The word that says which configuration is in force, and what is decided by. */
void bpf_sensor_filter_switch(struct bpf_sensor *sensor, uint32_t now);

/* A verdict of one side (TT_FILTER_SIDE). kind: TT_FILTER_ASK_*. */
int bpf_sensor_filter_put(struct bpf_sensor *sensor, uint32_t kind, uint64_t id, uint32_t side,
			  enum tt_filter_verdict verdict);
void bpf_sensor_filter_forget(struct bpf_sensor *sensor, uint32_t kind, uint64_t id);

/* What a process runs, unless the kernel knows. -EEXIST: it does. */
int bpf_sensor_filter_enter(struct bpf_sensor *sensor, uint32_t tgid, const struct tt_filter_proc *proc);
int bpf_sensor_filter_proc(const struct bpf_sensor *sensor, uint32_t tgid, struct tt_filter_proc *ret_proc);
void bpf_sensor_filter_clear(struct bpf_sensor *sensor); /* forgets what all processes run */

typedef void (*filter_ask_fn)(const struct tt_filter_ask *ask, void *arg);
int bpf_sensor_filter_asks(struct bpf_sensor *sensor, filter_ask_fn fn, void *arg); /* once, before the next two */
int bpf_sensor_filter_fd(const struct bpf_sensor *sensor); /* readable when something is asked */
int bpf_sensor_filter_serve(struct bpf_sensor *sensor);	   /* calls fn for all that is asked */

/* Adds the calls of processes that are left alone. */
int bpf_sensor_filter_left(struct bpf_sensor *sensor, uint64_t *total);

/* Adds the kernel's totals of what was not reported. */
int bpf_sensor_drops(struct bpf_sensor *sensor, uint64_t totals[static TT_DROP_MAX]);

/* The processes of the coverage table, each as it is now. */
typedef void (*cover_row_fn)(const struct tt_cover_key *key, const struct tt_cover_row *row, void *arg);
int bpf_sensor_cover_each(struct bpf_sensor *sensor, cover_row_fn fn, void *arg);

/* The last of a process: its row leaves the table. -ENOENT: it has none. */
int bpf_sensor_cover_take(struct bpf_sensor *sensor, const struct tt_cover_key *key,
			  struct tt_cover_row *ret_row);

/* When a process began to run its program. -ENOENT: not seen. */
int bpf_sensor_exec(struct bpf_sensor *sensor, uint32_t tgid, struct tt_exec *ret_exec);

#endif
