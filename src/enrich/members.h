/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts out of a JSON document that a container runtime wrote (a bundle's config.json, a state file) and
 * that has the container's environment in it, too, where people keep secrets: it is read through one
 * small window, which is wiped, and only what the caller asks for is ever copied out of that. A parser
 * that makes a tree of it would keep all of it in memory.
 */
#ifndef TT_ENRICH_MEMBERS_H
#define TT_ENRICH_MEMBERS_H

#include <stddef.h>

#define MEMBERS_DEPTH 32
#define MEMBERS_BYTES (1 << 20)		/* of the document */
#define MEMBERS_NAME_MAX 127		/* of a member's name; a longer one is none that is asked for */
#define MEMBERS_TEXT_MAX 4095		/* of a text; a longer one is left out */

struct members_ops {
	/* Is the text wanted that `path` leads to ("annotations", "Config" "Labels" ..., depth of them)? Elements
	 * of arrays have the name "". */
	int (*want)(void *arg, const char *const *path, size_t depth);
	/* Here it is, NUL-terminated, escapes undone ('?' for what is not ASCII). */
	void (*take)(void *arg, const char *const *path, size_t depth, const char *text);
};

/* From a descriptor, at offset 0 with pread(). 0; -EBADMSG: not JSON, or deeper or longer than the limits
 * (what came before was handed out); else what pread() says. */
int members_read(int fd, const struct members_ops *ops, void *arg);
int members_read_text(const char *json, size_t len, const struct members_ops *ops, void *arg);

#endif
