/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sinks' constructors. Each fills *ret_sink; on failure *ret_error has a sentence for the log.
 */
#ifndef TT_SINKS_SINKS_H
#define TT_SINKS_SINKS_H

#include "config/config.h"
#include "sinks/sink.h"

/* JSON lines to fd, one record a line (schemas/README.md names the fields). */
int json_sink_new(int fd, const char *node, struct sink *ret_sink);

/* A live table of tokens in use on the terminal fd. `status` lines (probed files, losses) come with
 * table_sink_status(). */
int table_sink_new(int fd, const char *node, struct sink *ret_sink);
void table_sink_status(struct sink *s, const char *line);

/* SQLite store, WAL, schema of schemas/store.sql. -ENOSPC is not an error at start: the store opens
 * read-write and stops growing. */
int store_sink_new(const char *path, uint64_t max_bytes, const char *node, struct sink *ret_sink,
		   struct config_error *ret_error);

/* Kafka through a spool on disk. Opens without a reachable broker. */
int kafka_sink_new(const struct config *c, const char *spool_dir, const char *node,
		   struct sink *ret_sink, struct config_error *ret_error);

/* For readers of the store: how long a token is unused until it is idle, seconds. */
void store_sink_set_idle(struct sink *sink, uint64_t idle_s);

#endif
