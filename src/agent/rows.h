/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Repeats that the kernel has added up (struct tt_row): what each row has more than at the last look is handed on
 * as uses, with their status where it is there. The sum of what is handed on is the sum of what was counted,
 * whatever becomes of statuses, rows and agents: what was taken is in `row_marks`, where the next agent goes on.
 *
 * The rows are the kernel's and are only read; programs write them meanwhile.
 */
#ifndef TT_AGENT_ROWS_H
#define TT_AGENT_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tokentrail/abi.h>

#include "tokens/use.h"

struct rows;

/* outcome->more + 1 equal requests; ev's time is the last one's. Valid during the call only. */
typedef void (*rows_done)(void *ctx, const struct tt_ev_use *ev, struct outcome outcome);

/* There is one mark more than rows, and they live as long as this. wait_ns: as of pair_new(). */
int rows_new(const struct tt_row *rows, struct tt_row_mark *marks, size_t count, uint64_t wait_ns, rows_done done,
	     void *ctx, struct rows **ret_rows);
/* The same of the maps with these descriptors, which stay the caller's; needs bpf(2), so before the sandbox. */
int rows_open(int rows_fd, int marks_fd, uint64_t wait_ns, rows_done done, void *ctx, struct rows **ret_rows);
void rows_free(struct rows *r);
void rows_set_wait(struct rows *r, uint64_t wait_ns);
/* What is handed on counts as taken there already. */
struct tt_ledger *rows_ledger(struct rows *r);

/* Looks at all rows; if there are very many, at the next ones of them. boot_ns: CLOCK_BOOTTIME. */
void rows_look(struct rows *r, uint64_t boot_ns);
/* A status with TT_STATUS_ROW: its row is looked at now. */
void rows_status(struct rows *r, const struct tt_ev_status *ev, uint64_t boot_ns);
/* The request that it answers, as far as the row knows; false: the row stands for others by now. */
bool rows_use(const struct rows *r, const struct tt_ev_status *ev, struct tt_ev_use *ret_use);
/* A row's end: the last of it. */
void rows_end(struct rows *r, const struct tt_ev_row *ev);
/* What still waits for a status is handed on without one. */
void rows_flush(struct rows *r, uint64_t boot_ns);

#endif
