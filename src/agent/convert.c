/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A member of struct use that the event does not know stays empty; nothing here guesses. Ids are
 * kept in a small direct-mapped cache, because an HMAC per request costs more than all the rest.
 */
#include "agent/convert.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "tokens/class.h"
#include "tokens/jwt.h"
#include "tokens/decide.h"
#include "tokens/public.h"

#define IDS 1024	/* a power of two */

struct id_row {
	uint64_t token[2];
	uint32_t length;
	char id[TOKEN_ID_LEN];	/* "" = unused */
};

struct convert {
	uint8_t publish[PUBLISH_KEY_LEN];
	char key_id[KEY_ID_LEN];
	uint64_t boot_to_real_ns;	/* to add, modulo 2^64 */
	struct id_row ids[IDS];
};

int convert_new(const uint8_t publish[static PUBLISH_KEY_LEN], const char *key_id,
		struct convert **ret_convert)
{
	const uint64_t none[2] = { 0 };
	char id[TOKEN_ID_LEN];
	struct convert *c;
	int r;

	/* libcrypto makes itself ready when it is first asked, reading its configuration; if it makes no ids, the
	 * start is the time to say so. */
	r = token_id(publish, none, 0, id);
	if (r < 0)
		return r;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	memcpy(c->publish, publish, PUBLISH_KEY_LEN);
	snprintf(c->key_id, sizeof(c->key_id), "%s", key_id);
	*ret_convert = c;
	return 0;
}

void convert_free(struct convert *c)
{
	if (!c)
		return;
	explicit_bzero(c, sizeof(*c));
	free(c);
}

void convert_set_clock(struct convert *c, uint64_t boot_ns, uint64_t real_ns)
{
	c->boot_to_real_ns = real_ns - boot_ns;
}

static int id_of(struct convert *c, const __u64 fingerprint[2], uint32_t length,
		 char ret_id[static TOKEN_ID_LEN])
{
	struct id_row *row = &c->ids[fingerprint[0] & (IDS - 1)];
	const uint64_t token[2] = { fingerprint[0], fingerprint[1] };
	int r;

	if (!row->id[0] || row->token[0] != token[0] || row->token[1] != token[1] ||
	    row->length != length) {
		row->id[0] = 0;
		r = token_id(c->publish, token, length, row->id);
		if (r < 0) {
			row->id[0] = 0;
			return r;
		}
		memcpy(row->token, token, sizeof(row->token));
		row->length = length;
	}
	memcpy(ret_id, row->id, TOKEN_ID_LEN);
	return 0;
}

static void set_carrier(char to[static sizeof(((struct use *)NULL)->carrier)], const struct carrier *carrier)
{
	const char *space = carrier_prefix(carrier->space);
	size_t before = strlen(space), len = carrier->space == TT_NAME_PATH ? 0 : strlen(carrier->name);
	const size_t room = sizeof(((struct use *)NULL)->carrier) - 1;

	if (before + len > room)
		len = room - before;
	memcpy(to, space, before);
	memcpy(to + before, carrier->name, len);
	to[before + len] = '\0';
}

/* After the host, which may tell one class from another. Whether it is a credential at all. */
static bool set_credential(struct use *u, const struct tt_cred *cred)
{
	const struct carrier *carrier = carrier_get(cred->carrier);
	const struct scheme *scheme = scheme_get(cred->scheme);
	struct verdict v;

	class_decide(cred, carrier, scheme, u->server_address, &v);
	u->class_name = v.class_name;
	u->kind = v.kind;
	u->confidence = confidence_name(v.confidence);
	u->placeholder = v.placeholder;
	u->checksum = cred->flags & TT_CRED_CHECKSUM_OK	 ? "ok" :
		      cred->flags & TT_CRED_CHECKSUM_BAD ? "bad" : "";
	u->scheme = scheme ? scheme->name : "";
	u->length = cred->length;
	u->unreadable = cred->flags & TT_CRED_UNREADABLE;
	u->entry = cred->entry;
	if (carrier)
		set_carrier(u->carrier, carrier);
	return !v.none;
}

static void set_public(struct use *u, const struct tt_ev_use *ev, size_t i)
{
	if (!ev->public_len || ev->public_cred != i)
		return;
	use_set_text(u->public_id, sizeof(u->public_id), ev->public_id, ev->public_len);
	public_aws_account(u->public_id, u->account);
}

/* As inet_ntop() has it, which takes as long as all the rest of a use together. */
static void ipv4_text(const uint8_t address[4], char to[static ADDR_TEXT_LEN])
{
	for (int i = 0; i < 4; i++) {
		uint8_t n = address[i];

		if (n >= 100)
			*to++ = (char)('0' + n / 100);
		if (n >= 10)
			*to++ = (char)('0' + n / 10 % 10);
		*to++ = (char)('0' + n % 10);
		*to++ = i < 3 ? '.' : '\0';
	}
}

/* IPv4-mapped addresses (RFC 4291, 2.5.5.2) are what a dual-stack server sees of IPv4 clients. */
static void address_text(uint16_t family, const uint8_t address[16], char to[ADDR_TEXT_LEN])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (family == TT_AF_INET)
		ipv4_text(address, to);
	else if (family == TT_AF_INET6 && memcmp(address, mapped, sizeof(mapped)) == 0)
		ipv4_text(address + sizeof(mapped), to);
	else if (family == TT_AF_INET6)
		inet_ntop(AF_INET6, address, to, ADDR_TEXT_LEN);
}

static void set_ends(struct use *u, const struct tt_tuple *t)
{
	if (t->family != TT_AF_INET && t->family != TT_AF_INET6)
		return;
	address_text(t->family, t->remote, u->peer_ip);
	u->peer_port = t->remote_port;
	if (u->dir == TT_DIR_EGRESS) {
		u->server_port = t->remote_port;
		address_text(t->family, t->local, u->client_ip);
		u->client_port = t->local_port;
	} else {
		u->server_port = t->local_port;
		address_text(t->family, t->remote, u->client_ip);
		u->client_port = t->remote_port;
	}
}

static void set_process(struct use *u, const struct tt_ev_hdr *h, const struct process_info *info)
{
	u->pid = h->tgid;
	u->start_ns = h->start_ns;
	u->uid = h->uid;
	u->cgroup = h->cgroup;
	use_set_text(u->process_name, sizeof(u->process_name), h->comm,
		     strnlen((const char *)h->comm, sizeof(h->comm)));
	use_set_text(u->executable, sizeof(u->executable), info->executable,
		     strnlen(info->executable, sizeof(info->executable)));
	memcpy(u->container_id, info->container_id, sizeof(u->container_id));
	u->work = info->work;
}

void convert_host(const uint8_t *host, size_t len, char *to, size_t size)
{
	const uint8_t *colon = memchr(host, ':', len);
	size_t from = 0, end = len;

	if (len && host[0] == '[') {
		const uint8_t *close = memchr(host, ']', len);

		from = 1;
		end = close ? (size_t)(close - host) : len;
	} else if (colon && !memchr(colon + 1, ':', len - (size_t)(colon - host) - 1)) {
		/* More than one colon and no brackets: a bare IPv6 address, no port. */
		end = (size_t)(colon - host);
	}
	use_set_text(to, size, host + from, end - from);
	for (char *p = to; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
}

int convert_id(struct convert *c, const uint64_t token[static 2], uint32_t length,
	       char ret_id[static TOKEN_ID_LEN])
{
	const __u64 words[2] = { token[0], token[1] };

	return id_of(c, words, length, ret_id);
}

uint64_t convert_time(const struct convert *c, uint64_t boot_ns)
{
	return boot_ns + c->boot_to_real_ns;
}

int convert_credential(struct convert *c, const struct tt_cred *cred, struct use *ret_use)
{
	int r;

	r = id_of(c, cred->token, cred->length, ret_use->token_id);
	if (r < 0)
		return r;
	ret_use->carrier[0] = 0;
	return set_credential(ret_use, cred);
}

int convert_use(struct convert *c, const struct tt_ev_use *ev, size_t i, struct outcome outcome,
		const struct process_info *info, struct use *ret_use)
{
	int r;

	r = convert_request(c, ev, outcome, info, ret_use);
	if (r == 0)
		r = convert_credential(c, &ev->cred[i], ret_use);
	if (r <= 0)
		return r;
	set_public(ret_use, ev, i);
	return 1;
}

int convert_request(struct convert *c, const struct tt_ev_use *ev, struct outcome outcome,
		    const struct process_info *info, struct use *ret_use)
{
	struct use *u = ret_use;

	*ret_use = (struct use){
		.class_name = "",
		.kind = "",
		.scheme = "",
		.confidence = "",
		.checksum = "",
		.dir = ev->dir,
		.tls = ev->tls,
		.version = ev->version,
		.status = outcome.status,
		.has_grpc = outcome.has_grpc,
		.grpc_status = outcome.has_grpc ? outcome.grpc_status : 0,
		.request_id_field = outcome.request_id_field,
		.count = 1 + outcome.more,
	};

	memcpy(u->key_id, c->key_id, sizeof(u->key_id));
	memcpy(u->request_id, outcome.request_id, sizeof(u->request_id));
	u->last_ns = ev->h.time_ns + c->boot_to_real_ns;
	u->first_ns = outcome.more ? outcome.first_ns + c->boot_to_real_ns : u->last_ns;
	use_set_text(u->method, sizeof(u->method), ev->method, ev->method_len);
	use_set_text(u->path, sizeof(u->path), ev->path, ev->path_len);
	use_set_text(u->mcp_method, sizeof(u->mcp_method), ev->mcp_method, ev->mcp_method_len);
	use_set_text(u->mcp_name, sizeof(u->mcp_name), ev->mcp_name, ev->mcp_name_len);
	set_process(u, &ev->h, info);
	/* A host that was cut is another host. */
	if (!(ev->flags & TT_USE_HOST_CUT))
		convert_host(ev->host, ev->host_len, u->server_address, sizeof(u->server_address));
	set_ends(u, &ev->h.tuple);
	return 0;
}

int convert_claims(struct convert *c, const struct tt_ev_claims *ev, struct token *ret_about,
		   struct facts *f)
{
	const struct token_class *by_prefix = class_get(ev->class_id);
	struct token t = { .length = ev->length, .class_name = "", .kind = "" };
	struct jwt_class class;
	int r;

	r = id_of(c, ev->token, ev->length, t.token_id);
	if (r < 0)
		return r;
	memcpy(t.key_id, c->key_id, sizeof(t.key_id));
	r = jwt_facts(ev, c->publish, f, &class);
	if (r < 0)
		return r;
	if (*class.name) {
		t.class_name = class.name;
		t.kind = class.kind;
	} else if (by_prefix) {
		t.class_name = by_prefix->name;
		t.kind = by_prefix->kind ? by_prefix->kind : "";
	}
	*ret_about = t;
	return 0;
}
