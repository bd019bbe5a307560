/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scope-bound ownership: _cleanup_(f) calls f(&variable) when the variable leaves its scope.
 * Takes after the habit of systemd's basic library; knows nothing of tokentrail.
 */
#ifndef TT_BASE_CLEANUP_H
#define TT_BASE_CLEANUP_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

/* Defines f##p(), which frees *p with f() unless it is NULL. */
#define DEFINE_CLEANUP(type, f)                                                                    \
	static inline void f##p(type *p)                                                           \
	{                                                                                          \
		if (*p)                                                                            \
			f(*p);                                                                     \
	}

#define TAKE_PTR(p)                                                                                \
	({                                                                                         \
		__typeof__(p) *pp_ = &(p), v_ = *pp_;                                              \
		*pp_ = NULL;                                                                       \
		v_;                                                                                \
	})
#define TAKE_FD(fd)                                                                                \
	({                                                                                         \
		int *pfd_ = &(fd), v_ = *pfd_;                                                     \
		*pfd_ = -EBADF;                                                                    \
		v_;                                                                                \
	})

static inline void freep(void *p)
{
	free(*(void **)p);
}

/* Keeps errno, so that a cleanup on an error path does not change the error. */
static inline void closep(const int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

static inline void fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define _cleanup_free_ _cleanup_(freep)
#define _cleanup_close_ _cleanup_(closep)
#define _cleanup_fclose_ _cleanup_(fclosep)

#endif
