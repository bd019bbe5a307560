/* SPDX-License-Identifier: Apache-2.0 */
/* A sensor for all tests of a file, and for each a connected pair of plain sockets. */
#ifndef TT_TESTS_PAIR_RIG_H
#define TT_TESTS_PAIR_RIG_H

#include "sensor_rig.h"

static struct rig rig;
static int fd[2];	/* client, server */

static inline int setup(void **state)
{
	rig_start(&rig);
	return 0;
}

static inline int teardown(void **state)
{
	rig_stop(&rig);
	return 0;
}

static inline int pair_up(void **state)
{
	rig_clear(&rig);
	rig_tcp(fd);
	return 0;
}

static inline int pair_down(void **state)
{
	close(fd[0]);
	close(fd[1]);
	return 0;
}

/* Writes so many bytes at one end and reads them at the other, up to 32 KiB in one call. */
static inline void pair_pass(int from, const char *bytes, size_t len)
{
	char buf[32768];

	assert_int_equal(write(fd[from], bytes, len), len);
	for (ssize_t n; len; len -= (size_t)n) {
		n = read(fd[!from], buf, len < sizeof(buf) ? len : sizeof(buf));
		assert_true(n > 0);
	}
}

#endif
