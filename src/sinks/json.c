/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON lines: the records' shapes, and the sink that writes them to a descriptor. Strings come
 * from other programs; they are valid text by contract (tokens/use.h) and escaped by jansson.
 *
 * A line reaches the descriptor whole or stands at its very end: what a short write left over is
 * written before anything else. A reader that is slow costs memory up to BUFFER_MAX, then lines,
 * which are counted; it never stops the agent.
 */
#include "sinks/json.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "sinks/sinks.h"
#include "tokens/facts.h"
#include "tokens/state.h"
#include "tokens/workload.h"

#define BUFFER_FLUSH (64 * 1024)	/* bytes that are written without waiting for the tick */
#define BUFFER_MAX (4 * 1024 * 1024)	/* bytes that may wait for a slow reader */
#define FILE_CHUNK (256 * 1024)
#define NS_PER_S UINT64_C(1000000000)

/* ---- shapes ---- */

static inline void json_free(json_t **o)
{
	json_decref(*o);
}
#define _cleanup_json_ _cleanup_(json_free)

void json_time(uint64_t realtime_ns, char ret_text[static JSON_TIME_LEN])
{
	time_t s = (time_t)(realtime_ns / NS_PER_S);
	struct tm tm;
	size_t n;

	gmtime_r(&s, &tm);	/* 64-bit nanoseconds end in 2554: it can't overflow */
	n = strftime(ret_text, JSON_TIME_LEN, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(ret_text + n, JSON_TIME_LEN - n, ".%09" PRIu64 "Z", realtime_ns % NS_PER_S);
}

static int put_text(json_t *o, const char *key, const char *text)
{
	char clean[512];
	json_t *value;

	if (!text || !text[0])
		return 0;
	value = json_string(text);
	if (!value) {	/* not UTF-8 after all; a record less would be worse than a '?' */
		use_set_text(clean, sizeof(clean), text, strlen(text));
		value = json_string(clean);
	}
	return json_object_set_new(o, key, value);
}

static int put_count(json_t *o, const char *key, uint64_t n)
{
	return json_object_set_new(o, key, json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n));
}

/* 0 stands for "not known". */
static int put_known(json_t *o, const char *key, uint64_t n)
{
	return n ? put_count(o, key, n) : 0;
}

static int put_time(json_t *o, const char *key, uint64_t ns)
{
	char text[JSON_TIME_LEN];

	if (!ns)
		return 0;
	json_time(ns, text);
	return put_text(o, key, text);
}

/* Takes the reference. An object with nothing known in it is left out. */
static int put_object(json_t *o, const char *key, json_t *child)
{
	if (child && !json_object_size(child)) {
		json_decref(child);
		return 0;
	}
	return json_object_set_new(o, key, child);
}

static int put_head(json_t *o, const char *type, uint64_t time_ns, const char *node)
{
	json_t *n = json_object();
	int r;

	r = put_text(o, "type", type);
	r |= put_time(o, "@timestamp", time_ns);
	r |= put_text(n, "name", node);
	r |= put_object(o, "node", n);
	return r;
}

/* Said only where it is false, so that a reader which does not know the field reads it rightly. */
static int put_unreadable(json_t *token, bool unreadable, uint32_t entry)
{
	if (!unreadable)
		return 0;
	return json_object_set_new(token, "readable", json_false()) |
	       put_known(token, "entry", entry);
}

static int put_use_token(json_t *o, const struct use *u)
{
	json_t *t = json_object();
	int r;

	r = put_text(t, "id", u->token_id);
	r |= put_unreadable(t, u->unreadable, u->entry);
	r |= put_text(t, "class", u->class_name);
	r |= put_text(t, "kind", u->kind);
	r |= put_text(t, "scheme", u->scheme);
	r |= put_text(t, "carrier", u->carrier);
	r |= put_known(t, "length", u->length);
	r |= put_text(t, "key_id", u->key_id);
	r |= put_object(o, "token", t);
	return r;
}

static int put_process(json_t *o, const struct use *u)
{
	json_t *p = json_object(), *user = json_object(), *container = json_object();
	int r;

	r = put_known(p, "pid", u->pid);
	r |= put_text(p, "name", u->process_name);
	r |= put_text(p, "executable", u->executable);
	if (u->uid != UINT32_MAX)	/* (uid_t)-1 is nobody's id; 0 is root's */
		r |= put_count(user, "id", u->uid);
	r |= put_object(p, "user", user);
	r |= put_object(o, "process", p);
	r |= put_text(container, "id", u->container_id);
	r |= put_text(container, "name", u->work ? u->work->container_name : "");
	r |= put_object(o, "container", container);
	return r;
}

static int put_http(json_t *o, const struct use *u)
{
	json_t *h = json_object(), *request = json_object();
	int r = 0;

	if (u->version)
		r = put_text(h, "version", use_http_version(u->version));
	r |= put_text(h, "method", u->method);
	r |= put_text(h, "path", u->path);
	r |= put_known(h, "status", u->status);
	r |= put_text(request, "id", u->request_id);
	if (u->request_id_field)
		r |= put_text(request, "id_header", u->request_id_field);
	r |= put_object(h, "request", request);
	r |= put_object(o, "http", h);
	return r;
}

/* Named as OpenTelemetry does: rpc.system, rpc.grpc.status_code. */
static int put_rpc(json_t *o, const struct use *u)
{
	json_t *rpc, *grpc;
	int r;

	if (!u->has_grpc)
		return 0;
	rpc = json_object();
	grpc = json_object();
	r = put_text(rpc, "system", "grpc");
	r |= put_count(grpc, "status_code", u->grpc_status);	/* 0 is OK, and known */
	r |= put_object(rpc, "grpc", grpc);
	r |= put_object(o, "rpc", rpc);
	return r;
}

static int put_mcp(json_t *o, const struct use *u)
{
	json_t *mcp = json_object(), *method = json_object();
	int r;

	r = put_text(method, "name", u->mcp_method);
	r |= put_object(mcp, "method", method);
	r |= put_text(mcp, "name", u->mcp_name);
	r |= put_object(o, "mcp", mcp);
	return r;
}

static int put_end(json_t *o, const char *key, const char *name, const char *address, uint16_t port)
{
	json_t *e = json_object();
	int r;

	r = put_text(e, name, address);
	r |= put_known(e, "port", port);
	r |= put_object(o, key, e);
	return r;
}

static int put_where(json_t *o, const struct use *u)
{
	json_t *tls = json_object();
	int r;

	r = put_end(o, "server", "address", u->server_address, u->server_port);
	r |= put_end(o, "client", "ip", u->client_ip, u->client_port);
	r |= put_end(o, "peer", "ip", u->peer_ip, u->peer_port);
	r |= put_text(tls, "library", use_tls_library(u->tls));
	r |= put_object(o, "tls", tls);
	return r;
}

/* ---- coverage ---- */

/* What is not so is not known not to be so, mostly; it is left out. */
static int put_if(json_t *o, const char *key, bool yes)
{
	return yes ? json_object_set_new(o, key, json_true()) : 0;
}

static int put_covered_process(json_t *o, const struct coverage *c)
{
	json_t *p = json_object(), *user = json_object(), *container = json_object();
	json_t *workload = json_object();
	int r;

	r = put_known(p, "pid", c->pid);
	r |= put_text(p, "name", c->process_name);
	r |= put_text(p, "executable", c->executable);
	r |= put_time(p, "start", c->started_ns);
	if (c->uid != UINT32_MAX)
		r |= put_count(user, "id", c->uid);
	r |= put_object(p, "user", user);
	r |= put_object(o, "process", p);
	r |= put_text(container, "id", c->container_id);
	r |= put_object(o, "container", container);
	r |= put_text(workload, "kind", coverage_kind_name(c->workload_kind));
	r |= put_text(workload, "name", c->workload);
	r |= put_object(o, "workload", workload);
	return r;
}

static int put_attached(json_t *o, const struct coverage_library *l)
{
	json_t *a = json_object();
	int r;

	r = put_text(a, "how", coverage_how(l->how));
	r |= put_time(a, "since", l->since_ns);
	r |= put_known(a, "probes", l->probes);
	r |= put_known(a, "placed", l->placed);
	r |= put_known(a, "refused", l->refused);
	r |= put_object(o, "attached", a);
	return r;
}

static int put_library(json_t *list, const struct coverage_library *l)
{
	json_t *o = json_object(), *file = json_object();
	int r;

	r = put_text(o, "name", use_tls_library(l->tls));
	r |= put_text(o, "version", l->version);
	r |= put_text(file, "path", l->path);
	r |= put_object(o, "file", file);
	r |= put_attached(o, l);
	r |= put_text(o, "reason", coverage_reason(coverage_library_reason(l)));
	r |= put_if(o, "used", l->used);
	r |= json_array_append_new(list, o);
	return r;
}

/* Of one direction, or both. */
static int put_bytes(json_t *o, const char *key, uint64_t wire, uint64_t covered, uint64_t plain)
{
	json_t *b = json_object();
	int r;

	r = put_count(b, "wire", wire);
	r |= put_count(b, "covered", covered);
	r |= put_count(b, "plaintext", plain);
	r |= put_object(o, key, b);
	return r;
}

static int put_libraries(json_t *o, const struct coverage *c)
{
	const struct coverage_library *one = coverage_main_library(c);
	json_t *list = json_array();
	int r = 0;

	if (one && one->tls) {
		r |= put_text(o, "library", use_tls_library(one->tls));
		r |= put_text(o, "version", one->version);
		r |= put_attached(o, one);
	}
	for (size_t i = 0; i < c->libraries; i++)
		if (c->library[i].tls)
			r |= put_library(list, &c->library[i]);
	if (list && !json_array_size(list)) {
		json_decref(list);
		return r;
	}
	return r | json_object_set_new(o, "libraries", list);
}

static int put_covered_tls(json_t *o, const struct coverage *c)
{
	json_t *t = json_object();
	int r;

	r = put_libraries(t, c);
	r |= put_if(t, "client", c->client);
	r |= put_if(t, "server", c->server);
	r |= put_if(t, "middle", c->middle);
	r |= put_count(t, "sockets", c->sockets);
	r |= put_count(t, "blind_sockets", c->blind_sockets);
	r |= put_bytes(t, "bytes", c->wire[0] + c->wire[1], c->covered[0] + c->covered[1],
		       c->plain[0] + c->plain[1]);
	r |= put_bytes(t, "sent", c->wire[0], c->covered[0], c->plain[0]);
	r |= put_bytes(t, "received", c->wire[1], c->covered[1], c->plain[1]);
	r |= put_time(t, "first", c->first_tls_ns);
	r |= put_time(t, "first_call", c->first_call_ns);
	r |= put_object(o, "tls", t);
	return r;
}

static int put_reason(json_t *o, enum tt_blind reason)
{
	json_t *w = json_object();
	int r;

	r = put_text(w, "name", coverage_reason(reason));
	r |= put_text(w, "text", coverage_reason_text(reason));
	if (strcmp(coverage_remedy(reason), "-"))
		r |= put_text(w, "remedy", coverage_remedy(reason));
	r |= put_object(o, "reason", w);
	return r;
}

static int put_share(json_t *o, double share)
{
	/* Rounded down: 1 is all of it. */
	return share < 0 ? 0 : json_object_set_new(o, "share",
						   json_real((double)(uint64_t)(share * 1e4) / 1e4));
}

static int put_verdict(json_t *o, const struct coverage *c)
{
	json_t *v = json_object();
	int r;

	r = put_text(v, "status", coverage_status_name(c->status));
	r |= put_share(v, coverage_share(c->wire, c->covered));
	if (c->reason)
		r |= put_reason(v, c->reason);
	if (c->exec_to_call_ns)
		r |= json_object_set_new(v, "exec_to_first_call_ms",
					 json_real((double)(c->exec_to_call_ns / 1000) / 1e3));
	r |= put_if(v, "io_uring", c->io_uring);
	r |= put_if(v, "ended", c->ended);
	r |= put_object(o, "coverage", v);
	return r;
}

/* jansson's setters fail on a NULL object or value: out of memory anywhere ends up in `failed`. */
static int dump(const json_t *o, int failed, char **ret_line)
{
	char *line;

	if (failed)
		return -ENOMEM;
	line = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(12));
	if (!line)
		return -ENOMEM;
	*ret_line = line;
	return 0;
}

static int put_work(json_t *o, const struct workload *w)
{
	json_t *k8s, *controller, *service;
	int r;

	if (!w)
		return 0;
	k8s = json_object();
	controller = json_object();
	service = json_object();
	r = put_text(k8s, "namespace", w->namespace);
	r |= put_text(k8s, "pod", w->pod);
	r |= put_text(k8s, "service_account", w->service_account);
	if (workload_has_controller(w)) {
		r |= put_text(controller, "kind", w->kind);
		r |= put_text(controller, "name", w->name);
	}
	r |= put_object(k8s, "workload", controller);
	r |= put_object(o, "k8s", k8s);
	r |= put_text(service, "name", w->unit);
	return r | put_object(o, "service", service);
}

int json_use(const char *node, const struct use *u, char **ret_line)
{
	_cleanup_json_ json_t *o = json_object();
	int r;

	r = put_head(o, "use", u->last_ns, node);
	r |= put_use_token(o, u);
	r |= put_text(o, "direction", use_direction(u->dir));
	r |= put_count(o, "count", u->count);
	r |= put_time(o, "first", u->first_ns);
	r |= put_time(o, "last", u->last_ns);
	r |= put_process(o, u);
	r |= put_work(o, u->work);
	r |= put_http(o, u);
	r |= put_rpc(o, u);
	r |= put_mcp(o, u);
	r |= put_where(o, u);
	return dump(o, r, ret_line);
}

/* A list's elements. */
static int put_list(json_t *o, const char *key, const char *list)
{
	json_t *to = json_array();
	int r = 0;

	while (*list) {
		size_t len = strcspn(list, (const char[]){ FACTS_LIST_SEPARATOR, 0 });

		r |= json_array_append_new(to, json_stringn(list, len));
		list += len + (list[len] != 0);
	}
	return json_object_set_new(o, key, to) | r;
}

static int put_fact(json_t *group, const struct facts *f, enum fact which)
{
	const struct fact_info *info = &fact_infos[which];

	switch (info->kind) {
	case FACT_KIND_TEXT:
		return put_text(group, info->name, facts_text(f, which));
	case FACT_KIND_LIST:
		return *facts_text(f, which) ? put_list(group, info->name, facts_text(f, which)) : 0;
	case FACT_KIND_TIME:
		return put_time(group, info->name, facts_number(f, which));
	default:
		return put_known(group, info->name, facts_number(f, which));
	}
}

/* Each into the object of its group; facts.def has a group's members together. */
static int put_facts(json_t *o, const struct facts *f)
{
	int r = 0;

	for (int i = 0; f && i < FACTS; i++) {
		json_t *group = json_object_get(o, fact_infos[i].group);

		if (!group) {
			group = json_object();
			r |= json_object_set_new(o, fact_infos[i].group, group);
		}
		r |= put_fact(group, f, i);
		if (group && !json_object_size(group) &&
		    (i + 1 == FACTS || strcmp(fact_infos[i].group, fact_infos[i + 1].group)))
			r |= json_object_del(o, fact_infos[i].group);
	}
	return r;
}

int json_token(const char *node, const struct token *t, char **ret_line)
{
	_cleanup_json_ json_t *o = json_object();
	json_t *token = json_object();
	int r;

	r = put_head(o, "token", token_time(t), node);
	r |= put_text(token, "id", t->token_id);
	r |= put_unreadable(token, t->unreadable, t->entry);
	r |= put_text(token, "class", t->class_name);
	r |= put_text(token, "kind", t->kind);
	r |= put_known(token, "length", t->length);
	r |= put_text(token, "key_id", t->key_id);
	r |= put_text(token, "state", token_state_name(t->state));
	r |= put_object(o, "token", token);
	r |= put_time(o, "first", t->first_ns);
	r |= put_time(o, "last", t->last_ns);
	r |= put_count(o, "uses", t->uses);
	r |= put_count(o, "egress", t->egress);
	r |= put_count(o, "ingress", t->ingress);
	r |= put_facts(o, t->facts);
	return dump(o, r, ret_line);
}

int json_loss(const char *node, const struct loss *l, char **ret_line)
{
	_cleanup_json_ json_t *o = json_object();
	int r;

	r = put_head(o, "loss", l->time_ns, node);
	r |= put_text(o, "reason", l->reason);
	r |= put_count(o, "count", l->count);
	r |= put_count(o, "added", l->added);
	return dump(o, r, ret_line);
}

int json_coverage(const char *node, const struct coverage *c, char **ret_line)
{
	_cleanup_json_ json_t *o = json_object();
	int r;

	r = put_head(o, "coverage", c->time_ns, node);
	r |= put_covered_process(o, c);
	r |= put_covered_tls(o, c);
	r |= put_verdict(o, c);
	return dump(o, r, ret_line);
}

int json_coverage_sum(const char *node, uint64_t time_ns, enum coverage_kind kind,
		      const char *workload, const struct coverage_sum *sum, char **ret_line)
{
	_cleanup_json_ json_t *o = json_object();
	json_t *w = json_object(), *t = json_object(), *p = json_object(), *v = json_object();
	int r;

	r = put_head(o, "coverage_sum", time_ns, node);
	r |= put_text(w, "kind", coverage_kind_name(kind));
	r |= put_text(w, "name", workload);
	r |= put_object(o, "workload", w);
	for (int i = 0; i < COVERAGE_STATUS_MAX; i++)
		r |= put_known(p, coverage_status_name(i), sum->processes[i]);
	r |= put_object(o, "processes", p);
	r |= put_count(t, "sockets", sum->sockets);
	r |= put_count(t, "blind_sockets", sum->blind_sockets);
	r |= put_bytes(t, "bytes", sum->wire[0] + sum->wire[1], sum->covered[0] + sum->covered[1],
		       sum->plain[0] + sum->plain[1]);
	r |= put_object(o, "tls", t);
	r |= put_share(v, coverage_share(sum->wire, sum->covered));
	r |= put_object(o, "coverage", v);
	return dump(o, r, ret_line);
}

/* ---- mints ---- */

static int put_words(json_t *o, const char *key, const char *text)
{
	json_t *list;
	int r = 0;

	if (!*text)
		return 0;
	list = json_array();
	while (*text) {
		size_t n = strcspn(text, " ");

		if (n)
			r |= json_array_append_new(list, json_stringn(text, n));
		text += n + (text[n] == ' ');
	}
	return r | json_object_set_new(o, key, list);
}

static int put_mint_token(json_t *list, const struct mint_token *t)
{
	json_t *o = json_object();
	int r;

	r = put_text(o, "id", t->id);
	r |= put_text(o, "class", t->class_name);
	r |= put_text(o, "kind", t->kind);
	r |= put_known(o, "length", t->length);
	r |= put_text(o, "part", mint_part(t->part));
	r |= put_text(o, "role", t->role);
	return r | json_array_append_new(list, o);
}

static int put_asked_and_granted(json_t *o, const struct mint *m)
{
	json_t *asked = json_object(), *granted = json_object();
	int r;

	r = put_words(asked, "scopes", m->requested_scopes);
	r |= put_text(asked, "audience", m->audience);
	r |= put_known(asked, "life", m->requested_s);
	r |= put_object(o, "requested", asked);
	r |= put_words(granted, "scopes", m->scopes);
	r |= put_time(granted, "expires", m->expires_ns);
	r |= put_text(granted, "token_type", m->token_type);
	r |= put_text(granted, "issued_token_type", m->issued_type);
	r |= put_text(granted, "key_id", m->key_id);
	r |= put_text(granted, "account", m->account);
	return r | put_object(o, "granted", granted);
}

int json_mint(const char *node, const struct mint *m, char **ret_line)
{
	_cleanup_json_ json_t *o = json_object();
	json_t *issuer = json_object(), *tokens = json_array();
	int r;

	r = put_head(o, "mint", m->time_ns, node);
	r |= put_text(o, "action", mint_action(m->action));
	r |= put_text(o, "method", m->method);
	r |= put_text(o, "outcome", mint_outcome(m));
	r |= put_text(issuer, "key", m->issuer);
	r |= put_object(o, "issuer", issuer);
	r |= put_text(o, "grant", m->grant);
	r |= put_text(o, "client_id", m->client_id);
	r |= put_text(o, "subject", m->subject);
	r |= put_asked_and_granted(o, m);
	r |= put_text(o, "error", m->error);
	r |= put_text(o, "note", m->note);
	for (size_t i = 0; i < m->tokens; i++)
		r |= put_mint_token(tokens, &m->token[i]);
	r |= json_object_set_new(o, "tokens", tokens);
	r |= put_text(o, "direction", use_direction(m->request.dir));
	r |= put_process(o, &m->request);
	r |= put_http(o, &m->request);
	r |= put_where(o, &m->request);
	return dump(o, r, ret_line);
}

/* ---- sink ---- */

struct json_sink {
	int fd;
	char *node;
	char *buf;	/* whole lines, but the first may lack what was written of it already */
	size_t len, size;
	uint64_t uses;	/* in it, or in what was there when it was empty last */
	size_t chunk;	/* bytes per write */
	bool broken;	/* nobody reads any more (EPIPE): nothing will ever be written again */
};

static uint64_t count_lines(const char *buf, size_t len)
{
	uint64_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += buf[i] == '\n';
	return n;
}

static void give_up(struct json_sink *s)
{
	agent_drops[TT_DROP_output_failed] += count_lines(s->buf, s->len);
	s->len = 0;
}

/* How much of the buffer one write takes: as many whole lines as fit, else a piece of one. */
static size_t next_write(const struct json_sink *s, size_t off)
{
	size_t left = s->len - off;
	const char *end;

	if (left <= s->chunk)
		return left;
	end = memrchr(s->buf + off, '\n', s->chunk);
	return end ? (size_t)(end + 1 - (s->buf + off)) : s->chunk;
}

/* 0: written, perhaps in part (*ret_written); -EAGAIN: not now; else why not. */
static int write_some(struct json_sink *s, size_t off, int wait_ms, size_t *ret_written)
{
	struct pollfd p = { .fd = s->fd, .events = POLLOUT };
	ssize_t n;

	/* The descriptor may be shared with a shell, so O_NONBLOCK is not ours to set; after POLLOUT
	 * a pipe takes PIPE_BUF bytes without blocking. */
	if (poll(&p, 1, wait_ms) <= 0)
		return -EAGAIN;
	n = write(s->fd, s->buf + off, next_write(s, off));
	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	*ret_written = (size_t)n;
	return 0;
}

/* What can't be written now stays. -EAGAIN when the reader is slow, else why not. */
static int flush(struct json_sink *s, int wait_ms)
{
	size_t off = 0, n = 0;
	int r = 0;

	while (off < s->len) {
		r = write_some(s, off, wait_ms, &n);
		if (r < 0)
			break;
		off += n;
	}
	memmove(s->buf, s->buf + off, s->len - off);
	s->len -= off;
	if (!s->len)
		s->uses = 0;
	if (r == -EPIPE || r == -EBADF) {
		s->broken = true;
		give_up(s);
	}
	return r;
}

static int reserve(struct json_sink *s, size_t add)
{
	size_t size = s->size ? s->size : 2 * BUFFER_FLUSH;
	char *buf;

	if (s->len + add > BUFFER_MAX)
		return -ENOBUFS;
	while (size < s->len + add)
		size *= 2;
	if (size == s->size)
		return 0;
	buf = realloc(s->buf, size);
	if (!buf)
		return -ENOMEM;
	s->buf = buf;
	s->size = size;
	return 0;
}

/* Queues a line and frees it. */
static int add_line(struct json_sink *s, int made, char *line)
{
	_cleanup_free_ char *owned = made < 0 ? NULL : line;
	size_t len = owned ? strlen(owned) : 0;
	int r = made;

	if (r == 0)
		r = s->broken ? -EPIPE : reserve(s, len + 1);
	if (r < 0) {
		agent_drops[TT_DROP_output_failed]++;
		return r;
	}
	memcpy(s->buf + s->len, owned, len);
	s->buf[s->len + len] = '\n';
	s->len += len + 1;
	if (s->len < BUFFER_FLUSH)
		return 0;
	r = flush(s, 0);
	return r == -EAGAIN ? 0 : r;
}

static uint64_t json_sink_unwritten(const void *sink)
{
	const struct json_sink *s = sink;

	return s->len ? s->uses : 0;
}

static int json_sink_use(void *sink, const struct use *u)
{
	struct json_sink *s = sink;
	char *line = NULL;
	int r = json_use(s->node, u, &line);

	s->uses += u->count;
	return add_line(s, r, line);
}

static int json_sink_token(void *sink, const struct token *t)
{
	struct json_sink *s = sink;
	char *line = NULL;
	int r = json_token(s->node, t, &line);

	return add_line(s, r, line);
}

static int json_sink_mint(void *sink, const struct mint *m)
{
	struct json_sink *s = sink;
	char *line = NULL;
	int r = json_mint(s->node, m, &line);

	return add_line(s, r, line);
}

static int json_sink_loss(void *sink, const struct loss *l)
{
	struct json_sink *s = sink;
	char *line = NULL;
	int r = json_loss(s->node, l, &line);

	return add_line(s, r, line);
}

static int json_sink_coverage(void *sink, const struct coverage *c)
{
	struct json_sink *s = sink;
	char *line = NULL;
	int r = json_coverage(s->node, c, &line);

	return add_line(s, r, line);
}

static int json_sink_tick(void *sink, uint64_t now_ns)
{
	int r = flush(sink, 0);

	return r == -EAGAIN ? 0 : r;
}

static uint64_t monotonic_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int json_sink_finish(void *sink, uint64_t limit_ms)
{
	struct json_sink *s = sink;
	uint64_t now = monotonic_ms(), end = now + limit_ms;
	int r;

	for (;;) {
		r = flush(s, end - now > INT_MAX ? INT_MAX : (int)(end - now));
		if (r != -EAGAIN)
			break;
		now = monotonic_ms();
		if (now >= end)
			break;
	}
	give_up(s);
	return r;
}

static void json_sink_free(void *sink)
{
	struct json_sink *s = sink;

	if (!s)
		return;
	give_up(s);
	free(s->buf);
	free(s->node);
	free(s);
}

static const struct sink_ops json_ops = {
	.name = "json",
	.use = json_sink_use,
	.token = json_sink_token,
	.mint = json_sink_mint,
	.loss = json_sink_loss,
	.coverage = json_sink_coverage,
	.unwritten = json_sink_unwritten,
	.tick = json_sink_tick,
	.finish = json_sink_finish,
	.free = json_sink_free,
};

int json_sink_new(int fd, const char *node, struct sink *ret_sink)
{
	struct json_sink *s;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	/* Now and not with the first object: it opens /dev/urandom, which a sandbox may refuse. */
	json_object_seed(0);
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->fd = fd;
	/* Up to PIPE_BUF bytes are written to a pipe at once or not at all: other writers' lines
	 * can't come in between. */
	s->chunk = S_ISREG(st.st_mode) ? FILE_CHUNK : PIPE_BUF;
	s->node = strdup(node);
	if (!s->node) {
		free(s);
		return -ENOMEM;
	}
	*ret_sink = (struct sink){ .ops = &json_ops, .self = s };
	return 0;
}
