/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded write-ahead spool on disk: records wait here from the moment they are made until the
 * other side has acknowledged them. Knows nothing of Kafka; one owner, one thread.
 *
 *   DIR/state                   which numbers were acknowledged and handed over (two slots, CRC)
 *   DIR/0000000000000001.seg    records from that number on:
 *        "TTSPOOL1" id u64 | frame | frame | ...
 *        frame: magic u32, CRC-32 u32 of what follows, body length u32, topic length u16,
 *               key length u16, number u64, time u64 (CLOCK_REALTIME ns) | topic NUL, key, payload
 *
 * Numbers grow by one from 1 and are never used twice with one `id`, not even when a power cut took
 * the newest records with it: after a reboot they go on 2^32 higher. Bytes are in the machine's own
 * order; a spool does not travel. A crash of the process loses nothing that spool_append() took; a
 * power cut loses what the kernel had not written yet.
 */
#ifndef TT_SINKS_SPOOL_H
#define TT_SINKS_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define SPOOL_RECORD_MAX (1U << 20) /* topic, key and payload of one record, bytes */
#define SPOOL_HELD_MAX (1U << 20)   /* kept in memory while the disk takes no writes, bytes */

struct spool;

/* Pointers are into the spool's own memory and good until the next call. */
struct spool_record {
	uint64_t seq;
	uint64_t time_ns;
	const char *topic;
	const void *key, *payload;
	size_t key_len, payload_len;
};

struct spool_stat {
	uint64_t id;	   /* of this directory's numbering, random */
	uint64_t low;	   /* everything below is acknowledged */
	uint64_t handed;   /* the highest number that may have been handed over */
	uint64_t next;	   /* number of the next record */
	uint64_t since_ms; /* the unacknowledged were handed over at this Unix time or later */
	uint64_t waiting;  /* records not acknowledged, those in memory included */
	uint64_t bytes;	   /* on disk */
	uint64_t held;	   /* records in memory because the disk took no write */
	uint64_t dropped;  /* records lost because neither disk nor memory had room */
	uint64_t corrupt;  /* records (at least) found damaged and skipped */
	int write_error;   /* errno of the last write when it failed, else 0 */
};

/* Opens or makes the directory (0700, files 0600), cuts torn ends, skips what is damaged. -EBUSY:
 * another process has it open. A full disk is no error here. */
int spool_open(const char *dir, uint64_t max_bytes, struct spool **ret_spool);
void spool_close(struct spool *s); /* saves the state; NULL is fine */
DEFINE_CLEANUP(struct spool *, spool_close)

/* Takes one record. While the disk takes no writes it waits in memory. Where the size is used up
 * the oldest records that were not handed over are dropped and counted. -EMSGSIZE: longer than
 * SPOOL_RECORD_MAX; -ENOSPC: no room in memory either, dropped and counted; -ENOMEM: the same. */
int spool_append(struct spool *s, const char *topic, const void *key, size_t key_len,
		 const void *payload, size_t payload_len, uint64_t time_ns);

/* The first unacknowledged record whose number is at least `from`. -ENOENT: there is none. */
int spool_next(struct spool *s, uint64_t from, struct spool_record *ret_record);

/* Not for numbers that spool_next() never gave; acknowledging twice is fine. */
void spool_ack(struct spool *s, uint64_t seq);

/* Writes down, before it happens, that numbers up to `upto` are handed over, none of the
 * unacknowledged before since_ms; or, with a lower number, that they are certain not to have been.
 */
int spool_hand(struct spool *s, uint64_t upto, uint64_t since_ms);

int spool_retry(struct spool *s); /* writes out what waits in memory; 0 or why not */
int spool_save(struct spool *s);  /* the low-water mark, if it moved */
void spool_stat(const struct spool *s, struct spool_stat *ret_stat);

#endif
