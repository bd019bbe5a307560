/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How large each table of the kernel side is: which grow with limits.connections and limits.coverage, and what a
 * row of each takes. The one place that says so; the numbers in bpf/ stand for tables of fixed size.
 */
#ifndef TT_MONITOR_SIZES_H
#define TT_MONITOR_SIZES_H

#include <stdint.h>

#include "config/budget.h"
#include "config/config.h"

struct bpf_object;

/* Before it is loaded. `slots` working buffers (bpf/scratch.bpf.h). 0 or a negative errno. */
int sizes_set(const struct bpf_object *object, const struct config *config, uint32_t slots);

/* As kernel/bpf/hashtab.c, arraymap.c and ringbuf.c allocate them; but for the ring. */
void sizes_costs(const struct bpf_object *object, int cpus, uint32_t slots, struct budget_kernel *ret_costs);

#endif
