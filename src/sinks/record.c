/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct use, token, coverage, loss -> packed protobuf. Messages live on the stack and point into what they
 * are made of; protobuf-c leaves empty strings, zeros and unset messages out, which is what "not
 * known is absent" asks for.
 */
#include "sinks/record.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "tokentrail/v1/coverage.pb-c.h"
#include "tokentrail/v1/loss.pb-c.h"
#include "tokentrail/v1/mint.pb-c.h"
#include "tokentrail/v1/token.pb-c.h"
#include "tokentrail/v1/use.pb-c.h"
#include "tokens/facts.h"
#include "tokens/state.h"
#include "tokens/workload.h"

/* protobuf-c's members are not const, but packing only reads them. */
static char *text(const char *s)
{
	return s ? (char *)s : (char *)protobuf_c_empty_string;
}

static int pack(const ProtobufCMessage *m, uint8_t *to, size_t size)
{
	if (protobuf_c_message_get_packed_size(m) > size)
		return -ENOBUFS;
	return (int)protobuf_c_message_pack(m, to);
}

static void set_unreadable(Tokentrail__V1__Credential *token, bool unreadable, uint32_t entry)
{
	if (!unreadable)
		return;
	token->readability_case = TOKENTRAIL__V1__CREDENTIAL__READABILITY_READABLE;
	token->readable = false;
	token->entry = entry;
}

struct work_messages {
	Tokentrail__V1__Kubernetes k8s;
	Tokentrail__V1__KubernetesWorkload controller;
	Tokentrail__V1__Service service;
};

static void set_work(Tokentrail__V1__Use *use, struct work_messages *m, const struct workload *w)
{
	*m = (struct work_messages){ TOKENTRAIL__V1__KUBERNETES__INIT,
				     TOKENTRAIL__V1__KUBERNETES_WORKLOAD__INIT,
				     TOKENTRAIL__V1__SERVICE__INIT };
	if (!w)
		return;
	m->k8s.namespace_ = text(w->namespace);
	m->k8s.pod = text(w->pod);
	m->k8s.service_account = text(w->service_account);
	m->controller.kind = text(w->kind);
	m->controller.name = text(w->name);
	m->k8s.workload = workload_has_controller(w) ? &m->controller : NULL;
	m->service.name = text(w->unit);
	use->k8s = *w->pod || *w->namespace ? &m->k8s : NULL;
	use->service = *w->unit ? &m->service : NULL;
	if (use->container)
		use->container->name = text(w->container_name);
}

int record_use(const struct use *u, const char *node, uint8_t *to, size_t size)
{
	Tokentrail__V1__Use use = TOKENTRAIL__V1__USE__INIT;
	Tokentrail__V1__Node on = TOKENTRAIL__V1__NODE__INIT;
	Tokentrail__V1__Credential token = TOKENTRAIL__V1__CREDENTIAL__INIT;
	Tokentrail__V1__User user = TOKENTRAIL__V1__USER__INIT;
	Tokentrail__V1__Process process = TOKENTRAIL__V1__PROCESS__INIT;
	Tokentrail__V1__Container container = TOKENTRAIL__V1__CONTAINER__INIT;
	Tokentrail__V1__Http http = TOKENTRAIL__V1__HTTP__INIT;
	Tokentrail__V1__HttpRequest request = TOKENTRAIL__V1__HTTP_REQUEST__INIT;
	Tokentrail__V1__Rpc rpc = TOKENTRAIL__V1__RPC__INIT;
	Tokentrail__V1__Grpc grpc = TOKENTRAIL__V1__GRPC__INIT;
	Tokentrail__V1__Mcp mcp = TOKENTRAIL__V1__MCP__INIT;
	Tokentrail__V1__McpMethod mcp_method = TOKENTRAIL__V1__MCP_METHOD__INIT;
	Tokentrail__V1__Server server = TOKENTRAIL__V1__SERVER__INIT;
	Tokentrail__V1__Client client = TOKENTRAIL__V1__CLIENT__INIT;
	Tokentrail__V1__Peer peer = TOKENTRAIL__V1__PEER__INIT;
	Tokentrail__V1__Tls tls = TOKENTRAIL__V1__TLS__INIT;
	struct work_messages work;

	on.name = text(node);
	token.id = text(u->token_id);
	token.class_ = text(u->class_name);
	token.kind = text(u->kind);
	token.scheme = text(u->scheme);
	token.carrier = text(u->carrier);
	token.length = u->length;
	token.key_id = text(u->key_id);
	set_unreadable(&token, u->unreadable, u->entry);
	user.id = u->uid;
	process.pid = u->pid;
	process.name = text(u->process_name);
	process.executable = text(u->executable);
	process.user = &user;
	container.id = text(u->container_id);
	http.version = text(use_http_version(u->version));
	http.method = text(u->method);
	http.path = text(u->path);
	http.status = u->status;
	request.id = text(u->request_id);
	request.id_header = text(u->request_id_field ? u->request_id_field : "");
	http.request = *u->request_id ? &request : NULL;
	rpc.system = text("grpc");
	rpc.grpc = &grpc;
	grpc.status_case = TOKENTRAIL__V1__GRPC__STATUS_STATUS_CODE;
	grpc.status_code = u->grpc_status;
	mcp_method.name = text(u->mcp_method);
	mcp.method = *u->mcp_method ? &mcp_method : NULL;
	mcp.name = text(u->mcp_name);
	server.address = text(u->server_address);
	server.port = u->server_port;
	client.ip = text(u->client_ip);
	client.port = u->client_port;
	peer.ip = text(u->peer_ip);
	peer.port = u->peer_port;
	tls.library = text(use_tls_library(u->tls));

	use.timestamp = u->last_ns;
	use.node = &on;
	use.token = &token;
	use.direction = text(use_direction(u->dir));
	use.count = u->count;
	use.first = u->first_ns;
	use.last = u->last_ns;
	use.process = &process;
	use.container = *u->container_id ? &container : NULL;
	set_work(&use, &work, u->work);
	use.http = &http;
	use.rpc = u->has_grpc ? &rpc : NULL;
	use.mcp = *u->mcp_method || *u->mcp_name ? &mcp : NULL;
	use.server = *u->server_address || u->server_port ? &server : NULL;
	use.client = *u->client_ip || u->client_port ? &client : NULL;
	use.peer = *u->peer_ip || u->peer_port ? &peer : NULL;
	use.tls = &tls;
	return pack(&use.base, to, size);
}

/* A list's elements, in a copy of their own. */
#define LIST_PARTS 128
struct list {
	char text[FACTS_LIST_MAX + 1];
	char *part[LIST_PARTS];
	size_t parts;
};

static char **split_at(struct list *l, const char *list, char separator, size_t *ret_parts)
{
	char *rest = l->text, *end;

	l->parts = 0;
	snprintf(l->text, sizeof(l->text), "%s", list);
	while (*rest && l->parts < LIST_PARTS) {
		end = strchr(rest, separator);
		l->part[l->parts++] = rest;
		if (!end)
			break;
		*end = 0;
		rest = end + 1;
	}
	*ret_parts = l->parts;
	return l->part;
}

static char **split(struct list *l, const char *list, size_t *ret_parts)
{
	return split_at(l, list, FACTS_LIST_SEPARATOR, ret_parts);
}

enum {
	FACT_LISTS = 0
#define FACT_TEXT(group, name, meaning)
#define FACT_LIST(group, name, meaning) +1
#define FACT_TIME FACT_TEXT
#define FACT_NUMBER FACT_TEXT
#include "tokens/facts.def"
#undef FACT_TEXT
#undef FACT_LIST
#undef FACT_TIME
#undef FACT_NUMBER
};

struct token_messages {
	Tokentrail__V1__Credential token;
	Tokentrail__V1__Jwt jwt;
	Tokentrail__V1__KubernetesSubject k8s;
	Tokentrail__V1__Minted minted;
	Tokentrail__V1__Revoked revoked;
	Tokentrail__V1__Owner owner;
	Tokentrail__V1__Privilege privilege;
	Tokentrail__V1__Listed listed;
	struct {	/* of which a message is to be set; the first one always is */
		bool token, jwt, k8s, minted, revoked, owner, privilege, listed;
	} known;
	struct list lists[FACT_LISTS];
};

static void set_facts(struct token_messages *m, const struct facts *f)
{
	size_t lists = 0;

#define namespace namespace_	/* protobuf-c keeps clear of the words of C++ */
#define FACT_TEXT(group, name, meaning)                                                            \
	m->group.name = text(facts_text(f, FACT_##group##_##name));                                \
	m->known.group |= *m->group.name != 0;
#define FACT_LIST(group, name, meaning)                                                            \
	m->group.name = split(&m->lists[lists++], facts_text(f, FACT_##group##_##name),            \
			      &m->group.n_##name);                                                 \
	m->known.group |= m->group.n_##name != 0;
#define FACT_TIME(group, name, meaning)                                                            \
	m->group.name = facts_number(f, FACT_##group##_##name);                                    \
	m->known.group |= m->group.name != 0;
#define FACT_NUMBER FACT_TIME
#include "tokens/facts.def"
#undef namespace
}

int record_token(const struct token *t, const char *node, uint8_t *to, size_t size)
{
	Tokentrail__V1__Token row = TOKENTRAIL__V1__TOKEN__INIT;
	Tokentrail__V1__Node on = TOKENTRAIL__V1__NODE__INIT;
	struct token_messages m = {
		.token = TOKENTRAIL__V1__CREDENTIAL__INIT,
		.jwt = TOKENTRAIL__V1__JWT__INIT,
		.k8s = TOKENTRAIL__V1__KUBERNETES_SUBJECT__INIT,
		.minted = TOKENTRAIL__V1__MINTED__INIT,
		.revoked = TOKENTRAIL__V1__REVOKED__INIT,
		.owner = TOKENTRAIL__V1__OWNER__INIT,
		.privilege = TOKENTRAIL__V1__PRIVILEGE__INIT,
		.listed = TOKENTRAIL__V1__LISTED__INIT,
	};

	on.name = text(node);
	m.token.id = text(t->token_id);
	m.token.class_ = text(t->class_name);
	m.token.kind = text(t->kind);
	m.token.length = t->length;
	m.token.key_id = text(t->key_id);
	m.token.state = text(token_state_name(t->state));
	set_unreadable(&m.token, t->unreadable, t->entry);
	if (t->facts)
		set_facts(&m, t->facts);
	row.timestamp = token_time(t);
	row.node = &on;
	row.token = &m.token;
	row.first = t->first_ns;
	row.last = t->last_ns;
	row.uses = t->uses;
	row.egress = t->egress;
	row.ingress = t->ingress;
	row.jwt = m.known.jwt ? &m.jwt : NULL;
	row.k8s = m.known.k8s ? &m.k8s : NULL;
	row.minted = m.known.minted ? &m.minted : NULL;
	row.revoked = m.known.revoked ? &m.revoked : NULL;
	row.owner = m.known.owner ? &m.owner : NULL;
	row.privilege = m.known.privilege ? &m.privilege : NULL;
	row.listed = m.known.listed ? &m.listed : NULL;
	return pack(&row.base, to, size);
}

static void set_mint_tokens(Tokentrail__V1__Mint *mint, const struct mint *m, Tokentrail__V1__MintToken *to,
			    Tokentrail__V1__MintToken **list)
{
	for (size_t i = 0; i < m->tokens; i++) {
		tokentrail__v1__mint_token__init(&to[i]);
		to[i].id = text(m->token[i].id);
		to[i].class_ = text(m->token[i].class_name);
		to[i].kind = text(m->token[i].kind);
		to[i].length = m->token[i].length;
		to[i].part = text(mint_part(m->token[i].part));
		to[i].role = text(m->token[i].role);
		list[i] = &to[i];
	}
	mint->n_tokens = m->tokens;
	mint->tokens = list;
}

int record_mint(const struct mint *m, const char *node, uint8_t *to, size_t size)
{
	const struct use *u = &m->request;
	Tokentrail__V1__Mint mint = TOKENTRAIL__V1__MINT__INIT;
	Tokentrail__V1__Node on = TOKENTRAIL__V1__NODE__INIT;
	Tokentrail__V1__MintIssuer issuer = TOKENTRAIL__V1__MINT_ISSUER__INIT;
	Tokentrail__V1__MintRequested requested = TOKENTRAIL__V1__MINT_REQUESTED__INIT;
	Tokentrail__V1__MintGranted granted = TOKENTRAIL__V1__MINT_GRANTED__INIT;
	Tokentrail__V1__User user = TOKENTRAIL__V1__USER__INIT;
	Tokentrail__V1__Process process = TOKENTRAIL__V1__PROCESS__INIT;
	Tokentrail__V1__Container container = TOKENTRAIL__V1__CONTAINER__INIT;
	Tokentrail__V1__Http http = TOKENTRAIL__V1__HTTP__INIT;
	Tokentrail__V1__Server server = TOKENTRAIL__V1__SERVER__INIT;
	Tokentrail__V1__Client client = TOKENTRAIL__V1__CLIENT__INIT;
	Tokentrail__V1__Peer peer = TOKENTRAIL__V1__PEER__INIT;
	Tokentrail__V1__Tls tls = TOKENTRAIL__V1__TLS__INIT;
	Tokentrail__V1__MintToken tokens[MINT_TOKENS_MAX], *list[MINT_TOKENS_MAX];
	struct list asked, got;

	on.name = text(node);
	issuer.key = text(m->issuer);
	requested.scopes = split_at(&asked, m->requested_scopes, ' ', &requested.n_scopes);
	requested.audience = text(m->audience);
	requested.life = m->requested_s;
	granted.scopes = split_at(&got, m->scopes, ' ', &granted.n_scopes);
	granted.expires = m->expires_ns;
	granted.token_type = text(m->token_type);
	granted.issued_token_type = text(m->issued_type);
	granted.key_id = text(m->key_id);
	granted.account = text(m->account);
	user.id = u->uid;
	process.pid = u->pid;
	process.name = text(u->process_name);
	process.executable = text(u->executable);
	process.user = &user;
	container.id = text(u->container_id);
	http.version = text(use_http_version(u->version));
	http.method = text(u->method);
	http.path = text(u->path);
	http.status = u->status;
	server.address = text(u->server_address);
	server.port = u->server_port;
	client.ip = text(u->client_ip);
	client.port = u->client_port;
	peer.ip = text(u->peer_ip);
	peer.port = u->peer_port;
	tls.library = text(use_tls_library(u->tls));

	mint.timestamp = m->time_ns;
	mint.node = &on;
	mint.action = text(mint_action(m->action));
	mint.method = text(m->method);
	mint.outcome = text(mint_outcome(m));
	mint.issuer = &issuer;
	mint.grant = text(m->grant);
	mint.client_id = text(m->client_id);
	mint.subject = text(m->subject);
	mint.requested = requested.n_scopes || *m->audience || m->requested_s ? &requested : NULL;
	mint.granted = m->succeeded && m->action == MINT_KIND_MINT ? &granted : NULL;
	mint.error = text(m->error);
	mint.note = text(m->note);
	set_mint_tokens(&mint, m, tokens, list);
	mint.direction = text(use_direction(u->dir));
	mint.process = &process;
	mint.container = *u->container_id ? &container : NULL;
	mint.http = &http;
	mint.server = *u->server_address || u->server_port ? &server : NULL;
	mint.client = *u->client_ip || u->client_port ? &client : NULL;
	mint.peer = *u->peer_ip || u->peer_port ? &peer : NULL;
	mint.tls = &tls;
	return pack(&mint.base, to, size);
}

int record_loss(const struct loss *l, const char *node, uint8_t *to, size_t size)
{
	Tokentrail__V1__Loss loss = TOKENTRAIL__V1__LOSS__INIT;
	Tokentrail__V1__Node on = TOKENTRAIL__V1__NODE__INIT;

	on.name = text(node);
	loss.timestamp = l->time_ns;
	loss.node = &on;
	loss.reason = text(l->reason);
	loss.count = l->count;
	loss.added = l->added;
	return pack(&loss.base, to, size);
}

/* ---- coverage ---- */

struct library {
	Tokentrail__V1__TlsLibrary m;
	Tokentrail__V1__File file;
	Tokentrail__V1__Attached attached;
};

static Tokentrail__V1__Attached *set_attached(Tokentrail__V1__Attached *to,
					      const struct coverage_library *l)
{
	tokentrail__v1__attached__init(to);
	to->how = text(coverage_how(l->how));
	to->since = l->since_ns;
	to->probes = l->probes;
	to->refused = l->refused;
	to->placed = l->placed;
	return l->how ? to : NULL;
}

static size_t set_libraries(struct library *to, Tokentrail__V1__TlsLibrary **list,
			    const struct coverage *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->libraries; i++) {
		const struct coverage_library *l = &c->library[i];

		if (!l->tls)
			continue;
		tokentrail__v1__tls_library__init(&to[n].m);
		tokentrail__v1__file__init(&to[n].file);
		to[n].file.path = text(l->path);
		to[n].m.name = text(use_tls_library(l->tls));
		to[n].m.version = text(l->version);
		to[n].m.file = *l->path ? &to[n].file : NULL;
		to[n].m.attached = set_attached(&to[n].attached, l);
		to[n].m.reason = text(coverage_reason(coverage_library_reason(l)));
		to[n].m.used = l->used;
		list[n] = &to[n].m;
		n++;
	}
	return n;
}

static Tokentrail__V1__TlsBytes bytes_of(uint64_t wire, uint64_t covered, uint64_t plain)
{
	Tokentrail__V1__TlsBytes b = TOKENTRAIL__V1__TLS_BYTES__INIT;

	b.wire = wire;
	b.covered = covered;
	b.plaintext = plain;
	return b;
}

static void set_verdict(Tokentrail__V1__Verdict *to, Tokentrail__V1__BlindReason *reason,
			const struct coverage *c)
{
	double share = coverage_share(c->wire, c->covered);

	to->status = text(coverage_status_name(c->status));
	if (share >= 0) {
		to->known_share_case = TOKENTRAIL__V1__VERDICT__KNOWN_SHARE_SHARE;
		to->share = share;
	}
	reason->name = text(coverage_reason(c->reason));
	reason->text = text(coverage_reason_text(c->reason));
	reason->remedy = text(*coverage_remedy(c->reason) == '-' ? "" : coverage_remedy(c->reason));
	to->reason = c->reason ? reason : NULL;
	to->exec_to_first_call_ms = (double)c->exec_to_call_ns / 1e6;
	to->io_uring = c->io_uring;
	to->ended = c->ended;
}

static void set_tls(Tokentrail__V1__CoverageTls *to, Tokentrail__V1__Attached *attached,
		    const struct coverage *c)
{
	const struct coverage_library *one = coverage_main_library(c);

	if (one && one->tls) {
		to->library = text(use_tls_library(one->tls));
		to->version = text(one->version);
		to->attached = set_attached(attached, one);
	}
	to->client = c->client;
	to->server = c->server;
	to->middle = c->middle;
	to->sockets = c->sockets;
	to->blind_sockets = c->blind_sockets;
	to->first = c->first_tls_ns;
	to->first_call = c->first_call_ns;
}

int record_coverage(const struct coverage *c, const char *node, uint8_t *to, size_t size)
{
	Tokentrail__V1__Coverage record = TOKENTRAIL__V1__COVERAGE__INIT;
	Tokentrail__V1__Node on = TOKENTRAIL__V1__NODE__INIT;
	Tokentrail__V1__User user = TOKENTRAIL__V1__USER__INIT;
	Tokentrail__V1__Process process = TOKENTRAIL__V1__PROCESS__INIT;
	Tokentrail__V1__Container container = TOKENTRAIL__V1__CONTAINER__INIT;
	Tokentrail__V1__Workload workload = TOKENTRAIL__V1__WORKLOAD__INIT;
	Tokentrail__V1__CoverageTls tls = TOKENTRAIL__V1__COVERAGE_TLS__INIT;
	Tokentrail__V1__Verdict verdict = TOKENTRAIL__V1__VERDICT__INIT;
	Tokentrail__V1__BlindReason reason = TOKENTRAIL__V1__BLIND_REASON__INIT;
	Tokentrail__V1__Attached attached;
	Tokentrail__V1__TlsBytes both = bytes_of(c->wire[0] + c->wire[1],
						 c->covered[0] + c->covered[1],
						 c->plain[0] + c->plain[1]);
	Tokentrail__V1__TlsBytes sent = bytes_of(c->wire[0], c->covered[0], c->plain[0]);
	Tokentrail__V1__TlsBytes received = bytes_of(c->wire[1], c->covered[1], c->plain[1]);
	Tokentrail__V1__TlsLibrary *list[TT_COVER_FILES_MAX];
	struct library libraries[TT_COVER_FILES_MAX];

	on.name = text(node);
	user.id = c->uid;
	process.pid = c->pid;
	process.name = text(c->process_name);
	process.executable = text(c->executable);
	process.user = c->uid != UINT32_MAX ? &user : NULL;
	process.start = c->started_ns;
	container.id = text(c->container_id);
	workload.kind = text(coverage_kind_name(c->workload_kind));
	workload.name = text(c->workload);
	set_tls(&tls, &attached, c);
	tls.n_libraries = set_libraries(libraries, list, c);
	tls.libraries = list;
	tls.bytes = &both;
	tls.sent = &sent;
	tls.received = &received;
	set_verdict(&verdict, &reason, c);

	record.timestamp = c->time_ns;
	record.node = &on;
	record.process = &process;
	record.container = *c->container_id ? &container : NULL;
	record.workload = *c->workload ? &workload : NULL;
	record.tls = &tls;
	record.coverage = &verdict;
	return pack(&record.base, to, size);
}
