/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor: the process of `tokentrail run` that has the privileges. Loads the programs, finds
 * the files to probe, keeps an agent running, answers its questions, ends without a trace.
 */
#ifndef TT_MONITOR_RUN_H
#define TT_MONITOR_RUN_H

#include <stdint.h>

#include "config/config.h"

struct run_options {
	/* Reads the configuration anew into *ret_config (initialised or zero). A negative errno:
	 * the reason has been written to standard error. */
	int (*load)(struct config *ret_config, void *arg);
	void *arg;
	uint64_t duration_ns; /* ends by itself this long after it was ready; 0 = never */
};

/* 0: ended as asked; -EINVAL: the configuration; -ENOTSUP: this node can't. Either has been said.
 */
int run_monitor(const struct run_options *options);

#endif
