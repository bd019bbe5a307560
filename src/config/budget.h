/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.memory, and what each table gets of it. It counts what tokentrail adds to a machine: its tables in the
 * kernel, the ring once (two mappings of it are the same pages), and what both processes hold when all their tables
 * are full. A limit that the configuration gives is taken as it is; the others share what is left. The figures
 * are upper bounds: most tables are never full at once.
 */
#ifndef TT_CONFIG_BUDGET_H
#define TT_CONFIG_BUDGET_H

#include <stdint.h>

#include "config/config.h"

/* Bytes that kernel tables take: a row of a connection and of a process in all tables that grow with
 * these, and the tables that do not. Of bpf_sensor_costs(). */
struct budget_kernel {
	uint64_t connection, process, fixed;
};

#define BUDGET_PROCESS_BYTES 3904	/* of a process in both of ours: cover.c two rows, process.c, tally.c */

enum budget_part {
	BUDGET_PROGRAMS,	/* both processes without their tables; the libraries that they share once */
	BUDGET_BUFFERS,		/* the store's rows that wait, workloads, files: of fixed size */
	BUDGET_KERNEL,		/* tables in the kernel of fixed size */
	BUDGET_RING,
	BUDGET_CONNECTIONS,
	BUDGET_COVERAGE,
	BUDGET_TOKENS,
	BUDGET_PENDING,
	BUDGET_FOLD_ROWS,
	BUDGET_MAX
};

struct budget {
	uint64_t bytes[BUDGET_MAX];
	uint64_t total;		/* <= limits.memory */
};

/* Gives each limit that is 0 its share. -EINVAL with *ret_error: what the configuration gives does not
 * fit into limits.memory; says how much would. */
int config_budget(struct config *c, const struct budget_kernel *kernel, struct budget *ret_budget,
		  struct config_error *ret_error);

const char *budget_part_name(enum budget_part part); /* "connections": as the setting, where it is one's */

#endif
