/* SPDX-License-Identifier: Apache-2.0 */
/* The table of names for the head readers: carriers.tsv, the control fields, HPACK's static names. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <readers/fields.h>

#include "tokens/class.h"
#include "tokens/names.h"
#include "tokens/routes.h"
#include "tokens/tables.h"

static const struct {
	const char *name;
	enum tt_control control;
} control_fields[] = {
	{ "host", TT_CONTROL_HOST },
	{ "content-length", TT_CONTROL_LENGTH },
	{ "transfer-encoding", TT_CONTROL_CODING },
	{ "upgrade", TT_CONTROL_UPGRADE },
	{ ":method", TT_CONTROL_METHOD },
	{ ":path", TT_CONTROL_PATH },
	{ ":authority", TT_CONTROL_AUTHORITY },
	{ ":scheme", TT_CONTROL_URI_SCHEME },
	{ ":status", TT_CONTROL_STATUS },
	{ ":protocol", TT_CONTROL_PROTOCOL },
	{ "content-type", TT_CONTROL_TYPE },
	{ "grpc-status", TT_CONTROL_GRPC_STATUS },
	{ "mcp-method", TT_CONTROL_MCP_METHOD },
	{ "mcp-name", TT_CONTROL_MCP_NAME },
	{ "cookie", TT_CONTROL_COOKIE },
};
#define CONTROL_FIELDS (sizeof(control_fields) / sizeof(control_fields[0]))

/* Of responses: what they say of a credential. */
static const struct {
	const char *name;
	enum tt_said said;
} said_fields[] = {
	/* A name of another length: H1_LENGTHS_SAID (readers/http1_fields.h). */
	{ "x-oauth-scopes", TT_SAID_SCOPES },
	{ "github-authentication-token-expiration", TT_SAID_EXPIRES },
	{ "x-accepted-oauth-scopes", TT_SAID_NEEDED },
	{ "www-authenticate", TT_SAID_SCHEME },
	{ "aauth-requirement", TT_SAID_REQUIREMENT },
	{ "dpop-nonce", TT_SAID_NONCE },
	{ "set-cookie", TT_SAID_COOKIE },
	{ "audit-id", TT_SAID_AUDIT_ID },
	{ "x-github-request-id", TT_SAID_GITHUB_ID },
	{ "x-amzn-requestid", TT_SAID_AMZN_ID },
	{ "x-amz-request-id", TT_SAID_AMZ_ID },
};
#define SAID_FIELDS (sizeof(said_fields) / sizeof(said_fields[0]))

/* WebSocket subprotocols: one that begins so has a credential behind its last dot, or the next one is one. */
static const struct {
	const char *name;
	enum tt_unwrap unwrap;
} subprotocols[] = {
	{ "base64url.bearer.authorization.k8s.io.", TT_UNWRAP_BASE64URL },	/* Kubernetes */
	{ "openai-insecure-api-key.", TT_UNWRAP_WHOLE },
	{ "access_token", TT_UNWRAP_NEXT },
	{ "bearer", TT_UNWRAP_NEXT },
};
#define SUBPROTOCOLS (sizeof(subprotocols) / sizeof(subprotocols[0]))

bool names_is_field(const char *name)
{
	for (size_t i = 0; i < CONTROL_FIELDS; i++)
		if (strcasecmp(name, control_fields[i].name) == 0)
			return true;
	for (size_t i = 0; i < SAID_FIELDS; i++)
		if (strcasecmp(name, said_fields[i].name) == 0)
			return true;
	return false;
}

/* RFC 7541, appendix A: the names at index 1 and following. */
static const char *const static_names[] = {
	":authority", ":method", ":method", ":path", ":path", ":scheme", ":scheme", ":status", ":status",
	":status", ":status", ":status", ":status", ":status", "accept-charset", "accept-encoding",
	"accept-language", "accept-ranges", "accept", "access-control-allow-origin", "age", "allow",
	"authorization", "cache-control", "content-disposition", "content-encoding", "content-language",
	"content-length", "content-location", "content-range", "content-type", "cookie", "date", "etag",
	"expect", "expires", "from", "host", "if-match", "if-modified-since", "if-none-match", "if-range",
	"if-unmodified-since", "last-modified", "link", "location", "max-forwards", "proxy-authenticate",
	"proxy-authorization", "range", "referer", "refresh", "retry-after", "server", "set-cookie",
	"strict-transport-security", "transfer-encoding", "user-agent", "vary", "via", "www-authenticate",
};
#define STATIC_NAMES (sizeof(static_names) / sizeof(static_names[0]))
_Static_assert(STATIC_NAMES == 61, "RFC 7541, appendix A");

const char *names_cookie(uint16_t id)
{
	const struct carrier *c = carrier_get(id);

	return c && c->space == TT_NAME_COOKIE ? c->name : "";
}

const char *names_said(uint8_t said)
{
	for (size_t i = 0; i < SAID_FIELDS; i++)
		if (said_fields[i].said == said)
			return said_fields[i].name;
	return "";
}

struct names_put {
	int (*put)(const struct tt_name_key *key, const struct tt_name_val *val, void *data);
	void *data;
};

/* Such a thing may be no credential at all, which only user space can tell. */
static bool depends_on_host(const struct carrier *c)
{
	return c->where[0] == '!' && strcmp(c->where, "!*") != 0;
}

static int names_one(const struct names_put *p, enum tt_name_space space, const char *name,
		     uint16_t id, uint8_t unwrap)
{
	struct tt_name_key key = { .space = space, .length = strlen(name) };
	struct tt_name_val val = { .id = id, .unwrap = unwrap };

	if (space == TT_NAME_PARAM || space == TT_NAME_COOKIE)
		val.length = depends_on_host(carrier_get(id));
	key.hash = tt_name_hash(name, key.length);
	return p->put(&key, &val, p->data);
}

/* In what a client sends and in what an answer sets; by itself, and with one of the prefixes in front that
 * change its scope only (RFC 6265bis, 4.1.3). */
static int names_cookies(const struct names_put *p, const char *name, uint16_t id)
{
	static const char *const scopes[] = { "", "__Secure-", "__Host-" };
	char whole[CARRIER_NAME_MAX + 16];
	int r = 0;

	for (size_t i = 0; r >= 0 && i < sizeof(scopes) / sizeof(scopes[0]); i++) {
		snprintf(whole, sizeof(whole), "%s%s", scopes[i], name);
		r = names_one(p, TT_NAME_COOKIE, whole, id, TT_UNWRAP_WHOLE);
		if (r >= 0)
			r = names_one(p, TT_NAME_SET_COOKIE, whole, id, 0);
	}
	return r;
}

/* The parameter that a scheme names is that of no other scheme. */
static int names_scheme(const struct names_put *p, const struct scheme *s, uint16_t id)
{
	struct tt_name_key key = { .space = TT_NAME_AUTH_PARAM, .length = strlen(s->param) };
	struct tt_name_val val = { .id = id };
	int r = names_one(p, TT_NAME_SCHEME, s->name, id, s->unwrap);

	if (r < 0 || !*s->param)
		return r;
	key.hash = tt_name_mix(tt_name_hash(s->param, key.length), tt_name_hash(s->name, strlen(s->name)));
	return p->put(&key, &val, p->data);
}

/* What the field of this name is for, if anything. */
static struct tt_name_val static_val(const char *name)
{
	struct tt_name_val val = { .length = strlen(name) };

	for (size_t i = 0; i < CONTROL_FIELDS; i++) {
		if (strcmp(control_fields[i].name, name) == 0) {
			val.id = 0xffff;
			val.unwrap = control_fields[i].control;
		}
	}
	for (size_t i = 0; i < SAID_FIELDS; i++) {
		if (strcmp(said_fields[i].name, name) == 0) {
			val.id = said_fields[i].said;
			val.unwrap = TT_CONTROL_SAID;
		}
	}
	for (uint16_t id = carrier_next(0); id; id = carrier_next(id)) {
		const struct carrier *c = carrier_get(id);

		if (c->space == TT_NAME_HEADER && strcmp(c->name, name) == 0) {
			val.id = id;
			val.unwrap = c->unwrap;
		}
	}
	return val;
}

static int names_static(const struct names_put *p)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < STATIC_NAMES; i++) {
		struct tt_name_key key = { .hash = i + 1, .space = TT_NAME_STATIC };
		struct tt_name_val val = static_val(static_names[i]);

		r = p->put(&key, &val, p->data);
	}
	return r;
}

/* How paths begin that have a secret in them. */
static int names_route(uint64_t key, uint32_t first, uint32_t count, void *data)
{
	const struct names_put *p = data;
	const struct tt_name_key name = { .space = TT_NAME_ROUTE, .hash = key };
	const struct tt_name_val val = { .id = (uint16_t)first, .length = (uint8_t)count };

	return p->put(&name, &val, p->data);
}

int names_each(int (*put)(const struct tt_name_key *key, const struct tt_name_val *val, void *data),
	       void *data)
{
	const struct names_put p = { put, data };
	int r = 0;

	for (size_t i = 0; r >= 0 && i < CONTROL_FIELDS; i++)
		r = names_one(&p, TT_NAME_HEADER, control_fields[i].name, 0xffff,
			      control_fields[i].control);
	for (size_t i = 0; r >= 0 && i < SAID_FIELDS; i++)
		r = names_one(&p, TT_NAME_HEADER, said_fields[i].name, said_fields[i].said,
			      TT_CONTROL_SAID);
	for (uint16_t id = carrier_next(0); r >= 0 && id; id = carrier_next(id)) {
		const struct carrier *c = carrier_get(id);

		if (c->space == TT_NAME_PATH)
			continue;
		r = c->space == TT_NAME_COOKIE ? names_cookies(&p, c->name, id) :
						 names_one(&p, c->space, c->name, id, c->unwrap);
	}
	if (r >= 0)
		r = routes_keys(names_route, (void *)&p);
	for (uint16_t id = 1; r >= 0 && id <= scheme_count(); id++)
		r = names_scheme(&p, scheme_get((uint8_t)id), id);
	for (size_t i = 0; r >= 0 && i < SUBPROTOCOLS; i++)
		r = names_one(&p, TT_NAME_SUBPROTOCOL, subprotocols[i].name, 1, subprotocols[i].unwrap);
	if (r >= 0)
		r = names_static(&p);
	return r < 0 ? r : 0;
}
