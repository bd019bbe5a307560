/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each record packs to bytes that the generated unpack reads back, member by member; what is not
 * known is absent.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "coverage_full.h"
#include "sinks/record.h"
#include "tokens/facts.h"
#include "tokentrail/v1/coverage.pb-c.h"
#include "tokentrail/v1/loss.pb-c.h"
#include "tokentrail/v1/token.pb-c.h"
#include "tokentrail/v1/use.pb-c.h"

#define ID "tt1_mfrggzdfmztwq2lknnwg23tpobyxe43u"

static const struct use full = {
	.token_id = ID,
	.key_id = "0123456789abcdef",
	.class_name = "github_pat",
	.kind = "api_key",
	.scheme = "bearer",
	.carrier = "authorization",
	.length = 40,
	.dir = TT_DIR_INGRESS,
	.count = UINT64_MAX,
	.first_ns = 1767225599123456789,
	.last_ns = 1767225600123456789,
	.method = "PROPPATCH",
	.path = "/v1/items/{id}",
	.version = 11,
	.status = 207,
	.has_grpc = true,
	.grpc_status = 16,
	.mcp_method = "tools/call",
	.mcp_name = "search",
	.pid = 4194304,
	.process_name = "nginx",
	.executable = "/usr/sbin/nginx",
	.uid = 33,
	.container_id = "4fa6e0f0c678",
	.server_address = "api.example.com",
	.server_port = 8443,
	.client_ip = "2001:db8::7",
	.client_port = 51034,
	.peer_ip = "192.0.2.1",
	.peer_port = 65535,
	.tls = TT_TLS_OPENSSL,
};

static void use_comes_back_whole(void **state)
{
	uint8_t bytes[RECORD_MAX];
	Tokentrail__V1__Use *m;
	int len;

	len = record_use(&full, "worker-17", bytes, sizeof(bytes));
	assert_true(len > 0);
	m = tokentrail__v1__use__unpack(NULL, len, bytes);
	assert_non_null(m);
	assert_int_equal(m->timestamp, full.last_ns);
	assert_string_equal(m->node->name, "worker-17");
	assert_string_equal(m->token->id, ID);
	assert_string_equal(m->token->class_, "github_pat");
	assert_string_equal(m->token->kind, "api_key");
	assert_string_equal(m->token->scheme, "bearer");
	assert_string_equal(m->token->carrier, "authorization");
	assert_int_equal(m->token->length, 40);
	assert_string_equal(m->token->key_id, "0123456789abcdef");
	assert_string_equal(m->direction, "ingress");
	assert_true(m->count == UINT64_MAX);
	assert_true(m->first == full.first_ns && m->last == full.last_ns);
	assert_int_equal(m->process->pid, 4194304);
	assert_string_equal(m->process->name, "nginx");
	assert_string_equal(m->process->executable, "/usr/sbin/nginx");
	assert_int_equal(m->process->user->id, 33);
	assert_string_equal(m->container->id, "4fa6e0f0c678");
	assert_string_equal(m->http->version, "1.1");
	assert_string_equal(m->http->method, "PROPPATCH");
	assert_string_equal(m->http->path, "/v1/items/{id}");
	assert_int_equal(m->http->status, 207);
	assert_string_equal(m->rpc->system, "grpc");
	assert_int_equal(m->rpc->grpc->status_case, TOKENTRAIL__V1__GRPC__STATUS_STATUS_CODE);
	assert_int_equal(m->rpc->grpc->status_code, 16);
	assert_string_equal(m->mcp->method->name, "tools/call");
	assert_string_equal(m->mcp->name, "search");
	assert_int_equal(m->token->readability_case, 0);
	assert_int_equal(m->token->entry, 0);
	assert_string_equal(m->server->address, "api.example.com");
	assert_int_equal(m->server->port, 8443);
	assert_string_equal(m->client->ip, "2001:db8::7");
	assert_int_equal(m->client->port, 51034);
	assert_string_equal(m->peer->ip, "192.0.2.1");
	assert_int_equal(m->peer->port, 65535);
	assert_string_equal(m->tls->library, "openssl");
	tokentrail__v1__use__free_unpacked(m, NULL);
}

static void unknown_is_absent(void **state)
{
	struct use u = {.token_id = ID,
			.class_name = "",
			.kind = "",
			.scheme = NULL,
			.dir = TT_DIR_EGRESS,
			.count = 1,
			.version = 10,
			.tls = TT_TLS_NONE};
	uint8_t bytes[RECORD_MAX];
	Tokentrail__V1__Use *m;
	int len;

	len = record_use(&u, "n", bytes, sizeof(bytes));
	m = tokentrail__v1__use__unpack(NULL, len, bytes);
	assert_non_null(m);
	assert_null(m->container);
	assert_null(m->rpc);
	assert_null(m->mcp);
	assert_null(m->server);
	assert_null(m->client);
	assert_null(m->peer);
	assert_string_equal(m->token->class_, "");
	assert_string_equal(m->token->scheme, "");
	assert_int_equal(m->http->status, 0);
	/* root is known, not absent */
	assert_non_null(m->process->user);
	assert_int_equal(m->process->user->id, 0);
	assert_string_equal(m->tls->library, "none");
	tokentrail__v1__use__free_unpacked(m, NULL);
}

/* grpc-status 0 is OK, not absent; half of what is known of an MCP request is half a message. */
static void zero_and_half(void **state)
{
	struct use u = full;
	uint8_t bytes[RECORD_MAX];
	Tokentrail__V1__Use *m;
	int len;

	u.grpc_status = 0;
	u.mcp_method[0] = '\0';
	u.version = 20;
	len = record_use(&u, "n", bytes, sizeof(bytes));
	m = tokentrail__v1__use__unpack(NULL, len, bytes);
	assert_non_null(m);
	assert_string_equal(m->http->version, "2");
	assert_int_equal(m->rpc->grpc->status_case, TOKENTRAIL__V1__GRPC__STATUS_STATUS_CODE);
	assert_int_equal(m->rpc->grpc->status_code, 0);
	assert_null(m->mcp->method);
	assert_string_equal(m->mcp->name, "search");
	tokentrail__v1__use__free_unpacked(m, NULL);
}

static void assert_unreadable(const Tokentrail__V1__Credential *c, unsigned int entry)
{
	assert_string_equal(c->id, ID);
	assert_int_equal(c->readability_case, TOKENTRAIL__V1__CREDENTIAL__READABILITY_READABLE);
	assert_false(c->readable);
	assert_int_equal(c->entry, entry);
	assert_string_equal(c->key_id, "0123456789abcdef");
	assert_string_equal(c->class_, "");
	assert_string_equal(c->kind, "");
	assert_string_equal(c->scheme, "");
	assert_string_equal(c->carrier, "");
	assert_int_equal(c->length, 0);
}

static void unreadable_says_so(void **state)
{
	struct use u = {.token_id = ID, .key_id = "0123456789abcdef", .class_name = "", .kind = "",
			.dir = TT_DIR_EGRESS, .count = 1, .unreadable = true, .entry = 61};
	struct token t = {.token_id = ID, .key_id = "0123456789abcdef", .class_name = "",
			  .kind = "", .unreadable = true, .uses = 1};
	uint8_t bytes[RECORD_MAX];
	Tokentrail__V1__Use *use;
	Tokentrail__V1__Token *token;
	int len;

	len = record_use(&u, "n", bytes, sizeof(bytes));
	use = tokentrail__v1__use__unpack(NULL, len, bytes);
	assert_non_null(use);
	assert_unreadable(use->token, 61);
	tokentrail__v1__use__free_unpacked(use, NULL);
	len = record_token(&t, "n", bytes, sizeof(bytes));
	token = tokentrail__v1__token__unpack(NULL, len, bytes);
	assert_non_null(token);
	assert_unreadable(token->token, 0);
	tokentrail__v1__token__free_unpacked(token, NULL);
}

static void token_comes_back_whole(void **state)
{
	const struct token t = {.token_id = ID,
				.key_id = "0123456789abcdef",
				.class_name = "aws",
				.kind = "k",
				.length = 20,
				.first_ns = 5,
				.last_ns = 7,
				.uses = 9,
				.egress = 4,
				.ingress = 5};
	uint8_t bytes[RECORD_MAX];
	Tokentrail__V1__Token *m;
	int len;

	len = record_token(&t, "worker-17", bytes, sizeof(bytes));
	m = tokentrail__v1__token__unpack(NULL, len, bytes);
	assert_non_null(m);
	assert_int_equal(m->timestamp, 7);
	assert_string_equal(m->node->name, "worker-17");
	assert_string_equal(m->token->id, ID);
	assert_string_equal(m->token->key_id, "0123456789abcdef");
	assert_int_equal(m->token->readability_case, 0);
	assert_string_equal(m->token->class_, "aws");
	assert_string_equal(m->token->kind, "k");
	assert_int_equal(m->token->length, 20);
	assert_int_equal(m->first, 5);
	assert_int_equal(m->last, 7);
	assert_int_equal(m->uses, 9);
	assert_int_equal(m->egress, 4);
	assert_int_equal(m->ingress, 5);
	tokentrail__v1__token__free_unpacked(m, NULL);
}

static void facts_come_back_whole(void **state)
{
	struct facts f = {0};
	const struct token t = {.token_id = ID, .class_name = "jwt", .kind = "k", .facts = &f};
	uint8_t bytes[RECORD_MAX];
	Tokentrail__V1__Token *m;
	int len;

	for (int i = 0; i < FACTS; i++) {
		const char *name = fact_infos[i].column;

		if (fact_infos[i].kind == FACT_KIND_TEXT) {
			assert_int_equal(facts_set_text(&f, i, name, strlen(name)), 0);
		} else if (fact_infos[i].kind == FACT_KIND_LIST) {
			assert_int_equal(facts_add(&f, i, "x", 1), 0);
			assert_int_equal(facts_add(&f, i, name, strlen(name)), 0);
		} else {
			facts_set_number(&f, i, 100 + i);
		}
	}
	len = record_token(&t, "n", bytes, sizeof(bytes));
	m = tokentrail__v1__token__unpack(NULL, len, bytes);
	assert_non_null(m);
	const struct {
		const Tokentrail__V1__Credential *token;
		const Tokentrail__V1__Jwt *jwt;
		const Tokentrail__V1__KubernetesSubject *k8s;
		const Tokentrail__V1__Minted *minted;
		const Tokentrail__V1__Revoked *revoked;
		const Tokentrail__V1__Owner *owner;
		const Tokentrail__V1__Privilege *privilege;
		const Tokentrail__V1__Listed *listed;
	} g = {m->token, m->jwt, m->k8s, m->minted, m->revoked, m->owner, m->privilege, m->listed};
	int n = 0;

#define namespace namespace_
#define FACT_TEXT(group, name, meaning) assert_string_equal(g.group->name, fact_infos[n++].column);
#define FACT_LIST(group, name, meaning)                                                            \
	assert_int_equal(g.group->n_##name, 2);                                                      \
	assert_string_equal(g.group->name[0], "x");                                                  \
	assert_string_equal(g.group->name[1], fact_infos[n++].column);
#define FACT_TIME(group, name, meaning)                                                            \
	assert_int_equal(g.group->name, 100 + n);                                                    \
	n++;
#define FACT_NUMBER FACT_TIME
#include "tokens/facts.def"
#undef namespace
	assert_int_equal(n, FACTS);
	tokentrail__v1__token__free_unpacked(m, NULL);
	facts_done(&f);
	facts_set_number(&f, FACT_privilege_score, 3);
	len = record_token(&t, "n", bytes, sizeof(bytes));
	m = tokentrail__v1__token__unpack(NULL, len, bytes);
	assert_non_null(m);
	assert_null(m->jwt);
	assert_null(m->minted);
	assert_int_equal(m->privilege->score, 3);
	tokentrail__v1__token__free_unpacked(m, NULL);
}

static void loss_comes_back_whole(void **state)
{
	const struct loss l = {.reason = "ring_full", .count = 42, .added = 2, .time_ns = 11};
	uint8_t bytes[RECORD_MAX];
	Tokentrail__V1__Loss *m;
	int len;

	len = record_loss(&l, "worker-17", bytes, sizeof(bytes));
	m = tokentrail__v1__loss__unpack(NULL, len, bytes);
	assert_non_null(m);
	assert_int_equal(m->timestamp, 11);
	assert_string_equal(m->node->name, "worker-17");
	assert_string_equal(m->reason, "ring_full");
	assert_int_equal(m->count, 42);
	assert_int_equal(m->added, 2);
	tokentrail__v1__loss__free_unpacked(m, NULL);
}

static void never_writes_past_the_buffer(void **state)
{
	uint8_t bytes[RECORD_MAX];
	int len;

	len = record_use(&full, "worker-17", bytes, sizeof(bytes));
	memset(bytes, 0xa5, sizeof(bytes));
	assert_int_equal(record_use(&full, "worker-17", bytes, len - 1), -ENOBUFS);
	assert_int_equal(bytes[0], 0xa5);
	assert_int_equal(record_use(&full, "worker-17", bytes, len), len);
	assert_int_equal(bytes[len], 0xa5);
}

/* Every text of struct use at its full length still fits RECORD_MAX. */
static void longest_fits(void **state)
{
	struct use u = full;
	uint8_t bytes[RECORD_MAX];

	memset(u.carrier, 'c', sizeof(u.carrier) - 1);
	memset(u.path, 'p', sizeof(u.path) - 1);
	memset(u.mcp_method, 'm', sizeof(u.mcp_method) - 1);
	memset(u.mcp_name, 'n', sizeof(u.mcp_name) - 1);
	memset(u.executable, 'e', sizeof(u.executable) - 1);
	memset(u.container_id, 'a', sizeof(u.container_id) - 1);
	memset(u.server_address, 's', sizeof(u.server_address) - 1);
	assert_true(record_use(&u, "worker-17", bytes, sizeof(bytes)) > 800);
}

static void coverage_comes_back_whole(void **state)
{
	uint8_t bytes[RECORD_MAX];
	struct coverage c = coverage_full;
	Tokentrail__V1__Coverage *m;
	int len;

	c.library[0].partly[0] = TT_BLIND_unfit_instruction;
	len = record_coverage(&c, "worker-17", bytes, sizeof(bytes));
	assert_true(len > 0);
	m = tokentrail__v1__coverage__unpack(NULL, len, bytes);
	assert_non_null(m);
	assert_true(m->timestamp == coverage_full.time_ns);
	assert_string_equal(m->node->name, "worker-17");
	assert_int_equal(m->process->pid, 4194304);
	assert_string_equal(m->process->name, "nginx");
	assert_string_equal(m->process->executable, "/usr/sbin/nginx");
	assert_int_equal(m->process->user->id, 33);
	assert_true(m->process->start == coverage_full.started_ns);
	assert_string_equal(m->container->id, "4fa6e0f0c678");
	assert_string_equal(m->workload->kind, "container");
	assert_string_equal(m->workload->name, "4fa6e0f0c678");
	assert_string_equal(m->tls->library, "openssl");
	assert_string_equal(m->tls->version, "3.0.22");
	assert_string_equal(m->tls->attached->how, "symbols");
	assert_int_equal(m->tls->n_libraries, 2);
	assert_string_equal(m->tls->libraries[0]->file->path, "/usr/lib/libssl.so.3");
	assert_int_equal(m->tls->libraries[0]->attached->probes, 9);
	assert_int_equal(m->tls->libraries[0]->attached->placed, 7);
	assert_int_equal(m->tls->libraries[0]->attached->refused, 1);
	assert_true(m->tls->libraries[0]->attached->since == coverage_full.library[0].since_ns);
	assert_true(m->tls->libraries[0]->used && !m->tls->libraries[1]->used);
	assert_string_equal(m->tls->libraries[0]->reason, "unfit_instruction");
	assert_string_equal(m->tls->libraries[1]->name, "boringssl");
	assert_string_equal(m->tls->libraries[1]->reason, "not_found");
	assert_null(m->tls->libraries[1]->attached);
	assert_true(m->tls->client && m->tls->server && m->tls->middle);
	assert_int_equal(m->tls->sockets, 12);
	assert_int_equal(m->tls->blind_sockets, 3);
	assert_int_equal(m->tls->bytes->wire, 4000);
	assert_int_equal(m->tls->sent->covered, 900);
	assert_int_equal(m->tls->received->plaintext, 2000);
	assert_true(m->tls->first == coverage_full.first_tls_ns);
	assert_true(m->tls->first_call == coverage_full.first_call_ns);
	assert_string_equal(m->coverage->status, "partial");
	assert_int_equal(m->coverage->known_share_case,
			 TOKENTRAIL__V1__VERDICT__KNOWN_SHARE_SHARE);
	assert_true(m->coverage->share == 0.75);
	assert_string_equal(m->coverage->reason->name, "not_found");
	assert_true(m->coverage->reason->text[0] && m->coverage->reason->remedy[0]);
	assert_true(m->coverage->exec_to_first_call_ms == 1.9);
	assert_true(m->coverage->io_uring && m->coverage->ended);
	tokentrail__v1__coverage__free_unpacked(m, NULL);
}

static void coverage_that_nothing_is_known_of(void **state)
{
	const struct coverage bare = { .uid = UINT32_MAX };
	uint8_t bytes[RECORD_MAX];
	Tokentrail__V1__Coverage *m;
	int len;

	len = record_coverage(&bare, "", bytes, sizeof(bytes));
	assert_true(len > 0);
	m = tokentrail__v1__coverage__unpack(NULL, len, bytes);
	assert_non_null(m);
	assert_null(m->process->user);
	assert_null(m->container);
	assert_null(m->workload);
	assert_null(m->coverage->reason);
	assert_int_equal(m->coverage->known_share_case, 0);
	assert_int_equal(m->tls->n_libraries, 0);
	tokentrail__v1__coverage__free_unpacked(m, NULL);
	assert_int_equal(record_coverage(&coverage_full, "n", bytes, 100), -ENOBUFS);
}

/* Texts as long as they can be. */
static void the_longest_coverage_fits(void **state)
{
	struct coverage c = coverage_full;
	uint8_t bytes[RECORD_MAX];

	memset(c.executable, 'x', sizeof(c.executable) - 1);
	memset(c.workload, 'x', sizeof(c.workload) - 1);
	memset(c.container_id, 'x', sizeof(c.container_id) - 1);
	for (size_t i = 0; i < TT_COVER_FILES_MAX; i++) {
		c.library[i] = c.library[0];
		c.library[i].blind = TT_BLIND_unfit_instruction;
		memset(c.library[i].path, 'x', sizeof(c.library[i].path) - 1);
		memset(c.library[i].version, 'x', sizeof(c.library[i].version) - 1);
	}
	c.libraries = TT_COVER_FILES_MAX;
	assert_true(record_coverage(&c, "n", bytes, sizeof(bytes)) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(use_comes_back_whole),
		cmocka_unit_test(unknown_is_absent),
		cmocka_unit_test(zero_and_half),
		cmocka_unit_test(unreadable_says_so),
		cmocka_unit_test(token_comes_back_whole),
		cmocka_unit_test(facts_come_back_whole),
		cmocka_unit_test(loss_comes_back_whole),
		cmocka_unit_test(never_writes_past_the_buffer),
		cmocka_unit_test(longest_fits),
		cmocka_unit_test(coverage_comes_back_whole),
		cmocka_unit_test(coverage_that_nothing_is_known_of),
		cmocka_unit_test(the_longest_coverage_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
