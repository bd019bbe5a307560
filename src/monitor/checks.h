/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sensor needs of a node, as a list: each check tries one thing and can say what is
 * missing and what to do about it. `run` stops at the first one that fails, `doctor` shows all.
 */
#ifndef TT_MONITOR_CHECKS_H
#define TT_MONITOR_CHECKS_H

#include <stddef.h>

enum check_level { CHECK_OK, CHECK_WARN, CHECK_FAIL };

struct check_result {
	enum check_level level;
	char what[160];	  /* what was found, one sentence without a full stop */
	char remedy[240]; /* what the operator can do; "" when all is well */
};

struct check {
	const char *name; /* stable, for --json */
	void (*run)(struct check_result *ret_result);
};

extern const struct check checks_node[]; /* ends with a NULL name */

/* The first check that fails, as "what; remedy". 0: none does. -ENOTSUP: *to was filled. */
int checks_first_failure(char *to, size_t size);

#endif
