/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names and classes that the fuzzers know: a small table of their own, so that a corpus stays
 * good when the product's tables grow. HPACK's static names are all there.
 */
#ifndef TT_FUZZ_NAMES_H
#define TT_FUZZ_NAMES_H

#include <stdlib.h>

#include "../lib/h1_drive.h"
#include "../lib/hpack_static.h"

static const struct {
	const char *name;
	uint32_t space;
	uint16_t id;
	uint8_t unwrap;
} fuzz_names[] = {
	{ "host", TT_NAME_HEADER, 0xffff, TT_CONTROL_HOST },
	{ "content-length", TT_NAME_HEADER, 0xffff, TT_CONTROL_LENGTH },
	{ "transfer-encoding", TT_NAME_HEADER, 0xffff, TT_CONTROL_CODING },
	{ "upgrade", TT_NAME_HEADER, 0xffff, TT_CONTROL_UPGRADE },
	{ ":method", TT_NAME_HEADER, 0xffff, TT_CONTROL_METHOD },
	{ ":path", TT_NAME_HEADER, 0xffff, TT_CONTROL_PATH },
	{ ":authority", TT_NAME_HEADER, 0xffff, TT_CONTROL_AUTHORITY },
	{ ":scheme", TT_NAME_HEADER, 0xffff, TT_CONTROL_URI_SCHEME },
	{ ":status", TT_NAME_HEADER, 0xffff, TT_CONTROL_STATUS },
	{ ":protocol", TT_NAME_HEADER, 0xffff, TT_CONTROL_PROTOCOL },
	{ "content-type", TT_NAME_HEADER, 0xffff, TT_CONTROL_TYPE },
	{ "grpc-status", TT_NAME_HEADER, 0xffff, TT_CONTROL_GRPC_STATUS },
	{ "mcp-method", TT_NAME_HEADER, 0xffff, TT_CONTROL_MCP_METHOD },
	{ "mcp-name", TT_NAME_HEADER, 0xffff, TT_CONTROL_MCP_NAME },
	{ "cookie", TT_NAME_HEADER, 0xffff, TT_CONTROL_COOKIE },
	{ "sid", TT_NAME_COOKIE, 6, TT_UNWRAP_WHOLE },
	{ "authorization", TT_NAME_HEADER, 1, TT_UNWRAP_SCHEME },
	{ "x-api-key", TT_NAME_HEADER, 2, TT_UNWRAP_WHOLE },
	{ "key", TT_NAME_HEADER, 3, TT_UNWRAP_WHOLE },
	{ "token", TT_NAME_PARAM, 4, TT_UNWRAP_PERCENT },
	{ "access_token", TT_NAME_PARAM, 5, TT_UNWRAP_PERCENT },
	{ "x-amz-credential", TT_NAME_PARAM, 7, TT_UNWRAP_KEY_ID },
	{ "bearer", TT_NAME_SCHEME, 1, TT_UNWRAP_WHOLE },
	{ "basic", TT_NAME_SCHEME, 2, TT_UNWRAP_BASIC },
	{ "digest", TT_NAME_SCHEME, 3, TT_UNWRAP_USER },
	{ "aws", TT_NAME_SCHEME, 4, TT_UNWRAP_ACCOUNT },
	{ "hawk", TT_NAME_SCHEME, 5, TT_UNWRAP_KEY },
	{ "sas", TT_NAME_SCHEME, 6, TT_UNWRAP_PARAM },
	{ "apikey", TT_NAME_SCHEME, 7, TT_UNWRAP_PAIR },
	{ "sec-websocket-protocol", TT_NAME_HEADER, 7, TT_UNWRAP_SUBPROTOCOL },
	{ "base64url.bearer.authorization.k8s.io.", TT_NAME_SUBPROTOCOL, 1, TT_UNWRAP_BASE64URL },
	{ "key.", TT_NAME_SUBPROTOCOL, 1, TT_UNWRAP_WHOLE },
	{ "access_token", TT_NAME_SUBPROTOCOL, 1, TT_UNWRAP_NEXT },
	{ "-token", TT_NAME_SUFFIX, 8, TT_UNWRAP_WHOLE },
};
#define FUZZ_NAMES (sizeof(fuzz_names) / sizeof(fuzz_names[0]))

static inline void put_name(struct drive_tables *t, const char *name, uint32_t space)
{
	struct tt_name_key key = { .hash = tt_name_hash(name, strlen(name)), .space = space,
				   .length = strlen(name) };
	struct tt_name_val val = { 0 };

	for (size_t i = 0; i < FUZZ_NAMES; i++)
		if (fuzz_names[i].space == space && !strcmp(fuzz_names[i].name, name)) {
			val.id = fuzz_names[i].id;
			val.unwrap = fuzz_names[i].unwrap;
		}
	if (drive_put_name(&key, &val, t) < 0)
		abort();
}

static inline void put_params(struct drive_tables *t)
{
	if (drive_put_param(t, "digest", "username", 3) < 0 || drive_put_param(t, "hawk", "id", 5) < 0 ||
	    drive_put_param(t, "sas", "sig", 6) < 0)
		abort();
}

static inline void put_static(struct drive_tables *t, uint32_t index)
{
	const char *name = hpack_static[index].name;
	struct tt_name_key key = { .hash = index, .space = TT_NAME_STATIC };
	struct tt_name_val val = { .length = strlen(name) };

	for (size_t i = 0; i < FUZZ_NAMES; i++)
		if (fuzz_names[i].space == TT_NAME_HEADER && !strcmp(fuzz_names[i].name, name)) {
			val.id = fuzz_names[i].id;
			val.unwrap = fuzz_names[i].unwrap;
		}
	if (drive_put_name(&key, &val, t) < 0)
		abort();
}

static inline void fill_tables(struct drive_tables *t)
{
	for (size_t i = 0; i < FUZZ_NAMES; i++)
		put_name(t, fuzz_names[i].name, fuzz_names[i].space);
	for (uint32_t i = 1; i < 62; i++)
		put_static(t, i);
	put_params(t);
	if (drive_add_class(t, 1, "ghp_", 12, 64) < 0 || drive_add_class(t, 2, "eyJ", 8, 4096) < 0 ||
	    drive_add_class(t, 3, "eyJhbGciOiJub25lIn0.eyJ", 24, 4096) < 0 || drive_add_routes(t, 8, 4) < 0)
		abort();
}

static inline uint32_t draw(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

#endif
