/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All of it, or an error: write(2) may take less than it was given, and a signal may end it. For files and
 * descriptors that block; whoever must not wait keeps account of what is left himself. Knows nothing of tokentrail.
 */
#ifndef TT_BASE_WRITE_H
#define TT_BASE_WRITE_H

#include <stddef.h>

/*
 * Writes the bytes at the descriptor's position; 0, also for none. A negative errno as write(2) has it: a part may have
 * been written then. It does not sync, and SIGPIPE and SIGXFSZ are the caller's to ignore.
 */
int write_all(int fd, const void *bytes, size_t len);

#endif
