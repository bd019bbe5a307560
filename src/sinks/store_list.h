/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of known tokens (`tokentrail import`) into a store, beside a running agent: all rows or none.
 */
#ifndef TT_SINKS_STORE_LIST_H
#define TT_SINKS_STORE_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

/* Texts are valid UTF-8 without control characters; "" = not known. Times are nanoseconds, 0 likewise. */
struct listed_token {
	const char *id;		/* token.id, or a public identifier */
	bool is_public;		/* it is the latter */
	const char *name, *owner, *class_name, *kind;
	const char *scopes;	/* a line feed between elements */
	uint64_t created, expires;
};

/* A row that is there already is replaced. 0; -ENOENT, -EPROTONOSUPPORT, -EACCES, -EBUSY, -EIO with
 * *ret_error: a sentence with path and remedy. */
int store_list_write(const char *path, const char *source, uint64_t now, const struct listed_token *row,
		     size_t rows, struct config_error *ret_error);

#endif
