/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one JSON shape of a record: the JSON sink and the commands' --json print the same lines.
 * Names and order are those of schemas/tokentrail/v1; a field that is not known is absent. `@timestamp` is when the
 * record was last true: the last use, or the time of the loss.
 *
 *   use    {"type":"use","@timestamp","node":{},"token":{},"direction","count","first","last",
 *           "process":{},"container":{},"http":{},"rpc":{},"mcp":{},"server":{},"client":{},
 *           "peer":{},"tls":{}}
 *   token  {"type":"token","@timestamp","node":{},"token":{},"first","last","uses","egress",
 *           "ingress","jwt":{},"k8s":{},"minted":{},"revoked":{},"owner":{},"privilege":{},
 *           "listed":{}}	(tokens/facts.def; those of the group `token` are in "token")
 *   mint   {"type":"mint","@timestamp","node":{},"action","method","outcome","issuer":{},"grant",
 *           "client_id","subject","requested":{},"granted":{},"error","note","tokens":[],"direction",
 *           "process":{},"container":{},"http":{},"server":{},"client":{},"peer":{},"tls":{}}
 *   loss   {"type":"loss","@timestamp","node":{},"reason","count","added"}
 *   coverage {"type":"coverage","@timestamp","node":{},"process":{},"container":{},"workload":{},
 *           "tls":{},"coverage":{}}
 */
#ifndef TT_SINKS_JSON_H
#define TT_SINKS_JSON_H

#include <stdint.h>

#include "tokens/coverage.h"
#include "tokens/mint.h"
#include "tokens/use.h"

#define JSON_TIME_LEN 31	/* 2026-11-23T23:14:54.000000001Z + NUL */

/* Each makes one line without its newline, malloc'd. node "" or NULL: not known. 0 or -ENOMEM. */
int json_use(const char *node, const struct use *u, char **ret_line);
int json_token(const char *node, const struct token *t, char **ret_line);
int json_mint(const char *node, const struct mint *m, char **ret_line);
int json_loss(const char *node, const struct loss *l, char **ret_line);
int json_coverage(const char *node, const struct coverage *c, char **ret_line);
/* A sum over processes, which is no record: `tokentrail coverage --by` prints it. workload "": the
 * node's. */
int json_coverage_sum(const char *node, uint64_t time_ns, enum coverage_kind kind,
		      const char *workload, const struct coverage_sum *sum, char **ret_line);

/* RFC 3339, UTC, nanoseconds. */
void json_time(uint64_t realtime_ns, char ret_text[static JSON_TIME_LEN]);

#endif
