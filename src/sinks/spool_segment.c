/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading and indexing one segment file. What is damaged is stepped over to the next sound frame,
 * counted, and never believed.
 */
#include "sinks/spool_segment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sinks/spool_frame.h"

#define SEGMENT_FILE_MAX (64U << 20) /* spool.c makes none beyond 9 MiB */
#define SEGMENT_GAP_MAX (SEGMENT_FILE_MAX / sizeof(struct frame_head))

void segment_name(uint64_t first, char ret_name[static SEGMENT_NAME_LEN])
{
	snprintf(ret_name, SEGMENT_NAME_LEN, "%016" PRIx64 ".seg", first);
}

int segment_name_parse(const char *name, uint64_t *ret_first)
{
	uint64_t first = 0;

	if (strlen(name) != SEGMENT_NAME_LEN - 1 || strspn(name, "0123456789abcdef") != 16 ||
	    strcmp(name + 16, ".seg") != 0)
		return -EINVAL;
	first = strtoull(name, NULL, 16);
	if (!first)
		return -EINVAL;
	*ret_first = first;
	return 0;
}

static int read_all(int fd, size_t len, uint8_t **ret_bytes)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	size_t got = 0;
	ssize_t n;

	bytes = malloc(len ? len : 1);
	if (!bytes)
		return -ENOMEM;
	while (got < len) {
		n = pread(fd, bytes + got, len - got, (off_t)got);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		got += (size_t)n;
	}
	*ret_bytes = TAKE_PTR(bytes);
	return 0;
}

int segment_reserve(struct segment *g)
{
	size_t max = g->at_max ? g->at_max * 2 : 64;
	uint32_t *at;

	if (g->count < g->at_max)
		return 0;
	at = realloc(g->at, max * sizeof(*at));
	if (!at)
		return -ENOMEM;
	g->at = at;
	g->at_max = max;
	return 0;
}

void segment_note(struct segment *g, uint32_t offset)
{
	g->done += !offset && g->done == g->count;
	g->at[g->count++] = offset;
	g->waiting += offset != 0;
}

/* Enters a sound frame; numbers before it that are missing can only have been damaged. */
static int enter(struct segment *g, uint64_t seq, uint32_t offset, uint64_t low)
{
	int r;

	while (g->first + g->count < seq) {
		r = segment_reserve(g);
		if (r < 0)
			return r;
		g->lost += g->first + g->count >= low;
		segment_note(g, 0);
	}
	r = segment_reserve(g);
	if (r < 0)
		return r;
	segment_note(g, seq < low ? 0 : offset);
	return 0;
}

static int index_frames(struct segment *g, const uint8_t *bytes, size_t len, uint64_t low)
{
	size_t off = sizeof(struct segment_head), n;
	struct spool_record rec;
	uint64_t next;
	int r;

	while (off < len) {
		next = g->first + g->count;
		n = frame_parse(bytes + off, len - off, &rec);
		if (!n || rec.seq < next || rec.seq - next > SEGMENT_GAP_MAX) {
			off++;
			continue;
		}
		r = enter(g, rec.seq, (uint32_t)off, low);
		if (r < 0)
			return r;
		off += n;
		g->bytes = off;
	}
	/* What follows the last sound frame is a torn write or worse: one record, as far as we
	 * know. */
	g->lost += g->bytes < len;
	return 0;
}

int segment_load(int dir, uint64_t first, uint64_t low, struct segment *ret_segment)
{
	struct segment g = {.first = first, .bytes = sizeof(struct segment_head)};
	_cleanup_free_ uint8_t *bytes = NULL;
	char name[SEGMENT_NAME_LEN];
	_cleanup_close_ int fd = -EBADF;
	struct segment_head h;
	struct stat st;
	int r;

	segment_name(first, name);
	fd = openat(dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size > SEGMENT_FILE_MAX)
		return -EINVAL;
	r = read_all(fd, (size_t)st.st_size, &bytes);
	if (r < 0)
		return r;
	if ((size_t)st.st_size >= sizeof(h)) {
		memcpy(&h, bytes, sizeof(h));
		g.id = memcmp(h.magic, SEGMENT_MAGIC, sizeof(h.magic)) ? 0 : h.id;
	}
	r = index_frames(&g, bytes, (size_t)st.st_size, low);
	if (r == 0 && g.bytes < (uint64_t)st.st_size && ftruncate(fd, (off_t)g.bytes) < 0)
		r = -errno;
	if (r < 0) {
		segment_done(&g);
		return r;
	}
	*ret_segment = g;
	return 0;
}

void segment_done(struct segment *g)
{
	free(g->at);
	*g = (struct segment){0};
}

void segment_ack(struct segment *g, uint64_t seq)
{
	if (seq < g->first || seq - g->first >= g->count || !g->at[seq - g->first])
		return;
	g->at[seq - g->first] = 0;
	g->waiting--;
	while (g->done < g->count && !g->at[g->done])
		g->done++;
}

uint64_t segment_seek(const struct segment *g, uint64_t from)
{
	uint64_t i = from > g->first ? from - g->first : 0;

	if (!g->waiting)
		return 0;
	for (i = i > g->done ? i : g->done; i < g->count; i++)
		if (g->at[i])
			return g->first + i;
	return 0;
}
