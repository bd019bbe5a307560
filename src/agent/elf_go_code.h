/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where probes go in a function that Go's compiler made. Go's functions can't bear a return probe, and
 * begin a second time when their stack was too small; so the entry is the first instruction after the
 * check of the stack, and the returns are the return instructions.
 */
#ifndef TT_AGENT_ELF_GO_CODE_H
#define TT_AGENT_ELF_GO_CODE_H

#include <stddef.h>
#include <stdint.h>

#define GO_RETURNS_MAX 12	/* of one function */

struct go_sites {
	size_t entry;		/* from the function's first byte */
	size_t returns[GO_RETURNS_MAX];
	size_t return_count;
};

/*
 * machine: e_machine of the file. 0: the function begins and ends as Go's functions do, and *ret_sites
 * has all its returns; -ENOTSUP: it takes its arguments on the stack, as before Go 1.17; -EBADMSG: it
 * is something else; -E2BIG: more returns than anybody wants to probe.
 */
int go_code_sites(unsigned int machine, const unsigned char *code, size_t len,
		  struct go_sites *ret_sites);

#endif
