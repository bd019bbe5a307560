/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One segment file of a spool: what is in it, where, and what of it is still waiting. The index is
 * in memory (four bytes a record) and is made by reading the file once at open.
 */
#ifndef TT_SINKS_SPOOL_SEGMENT_H
#define TT_SINKS_SPOOL_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

#define SEGMENT_MAGIC "TTSPOOL1"
#define SEGMENT_NAME_LEN 21 /* 16 hex digits + ".seg" + NUL */

struct segment_head {
	char magic[8];
	uint64_t id;
};

struct segment {
	uint64_t first;	  /* number of its first record, and its file's name */
	uint64_t count;	  /* it has the numbers first .. first + count - 1 */
	uint64_t waiting; /* of them not acknowledged */
	uint64_t bytes;	  /* of the file, up to the end of its last whole frame */
	uint64_t lost;	  /* records (at least) that were damaged when it was loaded */
	uint64_t id;	  /* of the spool; 0 = its head is damaged */
	uint32_t *at;	  /* offset of each record; 0 = acknowledged or lost */
	uint64_t done;	  /* the first so many of them are 0 */
	size_t at_max;
};

void segment_name(uint64_t first, char ret_name[static SEGMENT_NAME_LEN]);
int segment_name_parse(const char *name, uint64_t *ret_first); /* -EINVAL: another file */

/* Reads a segment and cuts what follows its last sound frame. Numbers below `low` are acknowledged.
 */
int segment_load(int dir, uint64_t first, uint64_t low, struct segment *ret_segment);
void segment_done(struct segment *g);

/* Makes room in the index for one more record, so that segment_note() can't fail. */
int segment_reserve(struct segment *g);
void segment_note(struct segment *g, uint32_t offset);

void segment_ack(struct segment *g, uint64_t seq);
/* First number at or after `from` that waits; 0 = none. */
uint64_t segment_seek(const struct segment *g, uint64_t from);

#endif
