/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A use: one credential of one request (or `count` equal ones, folded), enriched and ready for the
 * sinks. The agent makes it, sinks read it and keep nothing of it. A member that is not known is
 * empty, 0 or -1 as said; sinks then leave its field out, they never guess.
 *
 * Strings are valid UTF-8 without control characters (whoever fills a use sees to that with
 * use_set_text()).
 */
#ifndef TT_TOKENS_USE_H
#define TT_TOKENS_USE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tokentrail/abi.h>

#define TOKEN_ID_LEN 37		/* "tt1_" + 32 base32 characters + NUL */
#define KEY_ID_LEN 17		/* 16 hex digits + NUL */
#define ADDR_TEXT_LEN 46	/* INET6_ADDRSTRLEN */

#define REQUEST_ID_LEN 64

struct workload;

/* How a request ended. All 0: not known. */
struct outcome {
	uint16_t status;	/* of the HTTP response; 0 = not known */
	bool has_grpc;
	uint8_t grpc_status;	/* if has_grpc; 255 = a number that gRPC does not define */
	/* The server's name for the request, and the response's field that had it. */
	char request_id[REQUEST_ID_LEN];
	const char *request_id_field;	/* static; NULL = none */
	/* So many more requests that are equal and ended so, the first of them at first_ns (CLOCK_BOOTTIME) or
	 * later; the record's time is the last one's. */
	uint64_t more, first_ns;
};

struct use {
	/* token */
	char token_id[TOKEN_ID_LEN];
	char key_id[KEY_ID_LEN];	/* of the fleet key that made token_id */
	const char *class_name;		/* static; "" = none fits */
	const char *kind;		/* static; token-class kind, "" = not known */
	const char *scheme;		/* static; "bearer", "basic", ...; "" = none */
	char carrier[64];		/* "authorization", "x-api-key", "query:access_token" */
	uint32_t length;		/* bytes */
	/* The credential was sent by reference to something the sensor never saw: token_id names the
	 * table entry of that connection, and class, kind, scheme, carrier and length are not known. */
	bool unreadable;
	uint32_t entry;			/* if unreadable: which entry; 0 = not known */
	/* What its class says beyond that; goes to the token's facts. */
	const char *confidence;		/* static; "" = none */
	const char *checksum;		/* static; "ok", "bad"; "" = its class has none */
	char public_id[TT_PUBLIC_LEN + 1];	/* "" = none */
	char account[13];		/* AWS account that public_id names; "" = none */
	bool placeholder;		/* a place where somebody forgot to put a credential: no token */

	/* request */
	enum tt_dir dir;
	uint64_t count;			/* requests that this record stands for, at least 1 */
	uint64_t first_ns, last_ns;	/* CLOCK_REALTIME of the first and last of them */
	char method[TT_METHOD_LEN + 1];
	char path[TT_PATH_LEN + 1];	/* "" = none (CONNECT) */
	uint16_t version;		/* 10, 11, 20 */
	uint16_t status;		/* 0 = not known */
	bool has_grpc;
	uint8_t grpc_status;		/* as in struct outcome */
	char request_id[REQUEST_ID_LEN];	/* likewise; of several the last one's */
	const char *request_id_field;	/* static; NULL = none */
	char mcp_method[TT_MCP_METHOD_LEN + 1];	/* "tools/call"; "" = no MCP request, or not known */
	char mcp_name[TT_MCP_NAME_LEN + 1];	/* of the tool, resource or prompt; likewise */

	/* who */
	uint32_t pid;
	uint64_t start_ns;		/* process start, CLOCK_BOOTTIME; with pid: one process */
	char process_name[TT_COMM_LEN];
	char executable[256];		/* "" = not known */
	uint32_t uid;
	uint64_t cgroup;		/* cgroup v2 id */
	char container_id[65];		/* "" = not in a container, or not known */
	struct workload *work;		/* tokens/workload.h; NULL = not known. Who keeps the use holds it */

	/* where */
	char server_address[TT_HOST_LEN + 1];	/* host of the Host field, no port; "" = not known */
	uint16_t server_port;		/* 0 = not known */
	char client_ip[ADDR_TEXT_LEN];	/* "" = not known */
	uint16_t client_port;		/* 0 = not known, or several were folded */
	char peer_ip[ADDR_TEXT_LEN];	/* the other end of the socket; "" = not known */
	uint16_t peer_port;
	enum tt_tls tls;
};

struct facts;	/* tokens/facts.h */

/* Where a token is in its life: tokens/state.h. */
enum token_state {
	TOKEN_STATE_UNKNOWN, TOKEN_MINTED, TOKEN_USED, TOKEN_IDLE, TOKEN_EXPIRED, TOKEN_REVOKED
};

/* A token as the inventory knows it. */
struct token {
	char token_id[TOKEN_ID_LEN];
	char key_id[KEY_ID_LEN];
	const char *class_name, *kind;	/* static */
	uint32_t length;
	bool unreadable;		/* no token, but a table entry that stood for one: struct use */
	uint32_t entry;
	uint64_t first_ns, last_ns;	/* CLOCK_REALTIME of uses; 0 = no use was seen */
	uint64_t uses;			/* requests seen */
	uint64_t egress, ingress;	/* of them */
	enum token_state state;		/* when the row was handed out */
	const struct facts *facts;	/* NULL = none; lives as long as the call that hands it out */
};

/* What was not reported: totals of one reason since the sensor started. */
struct loss {
	const char *reason;	/* static; name in drops.def */
	uint64_t count;		/* total */
	uint64_t added;		/* since the last record of this reason */
	uint64_t time_ns;	/* CLOCK_REALTIME */
};

/* Copies len bytes as text: bytes that are not printable UTF-8 become '?'; cut to size - 1. */
void use_set_text(char *to, size_t size, const void *bytes, size_t len);

const char *use_tls_library(enum tt_tls tls);	/* "none", or as in tls.def */
const char *use_direction(enum tt_dir dir);	/* "egress", "ingress" */
const char *use_http_version(uint16_t version);	/* "1.0", "1.1", "2" */

/* What a listing shows for a class that is none: the credential was never read. */
#define USE_UNREADABLE "unreadable"

#endif
