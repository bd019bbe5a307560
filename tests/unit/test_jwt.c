/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokens/jwt.c, jwt_json.c, jwt_issuer.c: what is told of tokens as issuers make them, nothing that is
 * on no list, persons as hashes; and texts that somebody made to break a reader.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jwt_make.h"
#include "tokens/jwt.h"

#define SECOND 1000000000ULL
#define HEADER "{\"alg\":\"RS256\",\"kid\":\"key-1\",\"typ\":\"JWT\"}"

static const uint8_t publish[PUBLISH_KEY_LEN] = { 1, 2, 3 };
static struct tt_ev_claims ev;
static struct facts facts;
static struct jwt_class class;

static int teardown(void **state)
{
	facts_done(&facts);
	return 0;
}

static void take(uint8_t flags)
{
	facts_done(&facts);
	ev.flags = flags;
	ev.signed_part[0] = 7;
	assert_int_equal(jwt_facts(&ev, publish, &facts, &class), 0);
}

static void read_flagged(const char *header, const char *payload, uint8_t flags)
{
	static char text[256 * 1024];
	size_t len = jwt_base64(text, header, strlen(header));

	memset(&ev, 0, sizeof(ev));
	ev.header_len = (uint16_t)len;
	if (payload) {
		text[len] = '.';
		ev.payload_len = (uint16_t)jwt_base64(text + len + 1, payload, strlen(payload));
		len += 1 + ev.payload_len;
	}
	assert_in_range(len, 1, TT_CLAIMS_TEXT_MAX);
	memcpy(ev.text, text, len);
	take(flags);
}

/* With ' for ", which is easier to read here. */
static void read_token(const char *header, const char *payload)
{
	char *h = strdup(header), *p = strdup(payload);

	for (char *c = h; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	for (char *c = p; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	read_flagged(h, p, 0);
	free(h);
	free(p);
}

static void claims(const char *payload)
{
	read_token(HEADER, payload);
}

static bool in_list(const char *list, const char *element)
{
	size_t len = strlen(element);

	for (const char *p = list; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (!strncmp(p, element, len) && (!p[len] || p[len] == '\n'))
			return true;
	}
	return false;
}

#define HAS(list, element)                                                                         \
	do {                                                                                       \
		if (!in_list(facts_text(&facts, FACT_##list), element))                            \
			fail_msg("no %s in: %s", element, facts_text(&facts, FACT_##list));        \
	} while (0)
#define HAS_NOT(list, element) assert_false(in_list(facts_text(&facts, FACT_##list), element))
#define TEXT(fact, want) assert_string_equal(facts_text(&facts, FACT_##fact), want)
#define TIME(fact, want) assert_int_equal(facts_number(&facts, FACT_##fact), want)
#define CLASS(want, want_kind)                                                                     \
	do {                                                                                       \
		assert_string_equal(class.name, want);                                             \
		assert_string_equal(class.kind, want_kind);                                        \
	} while (0)

/* Nowhere in what is told of the token. */
static void expect_silence(const char *secret)
{
	for (int i = 0; i < FACTS; i++) {
		bool text = fact_infos[i].kind == FACT_KIND_TEXT || fact_infos[i].kind == FACT_KIND_LIST;

		if (text && strstr(facts_text(&facts, i), secret))
			fail_msg("%s in %s: %s", secret, fact_infos[i].column, facts_text(&facts, i));
	}
}

static const char *hash_of(const char *text)
{
	static char hash[TEXT_HASH_LEN];

	assert_int_equal(text_hash(publish, text, strlen(text), hash), 0);
	assert_memory_equal(hash, "tth1_", 5);
	return hash;
}

/* ---- the registered claims ---- */

static void registered(void **state)
{
	char id[TOKEN_ID_LEN];
	const uint64_t part[2] = { 7, 0 };

	claims("{'iss':'https://i.test','sub':'svc-billing','aud':['a','b'],'exp':1900000000,'nbf':1800000000,"
	       "'iat':1800000001,'jti':'j1','client_id':'billing','scope':'read  write','azp':'other'}");
	TEXT(jwt_alg, "RS256");
	TEXT(jwt_kid, "key-1");
	TEXT(jwt_type, "JWT");
	TEXT(token_issuer, "https://i.test");
	TEXT(token_subject, "svc-billing");
	TEXT(token_subject_kind, "machine");
	TEXT(token_client_id, "billing");
	TEXT(token_audience, "a\nb");
	TEXT(token_scopes, "read\nwrite");
	TEXT(token_jwt_id, "j1");
	TIME(token_expires, 1900000000 * SECOND);
	TIME(token_not_before, 1800000000 * SECOND);
	TIME(token_issued, 1800000001 * SECOND);
	TEXT(token_expiry_rule, "exp");
	TEXT(token_notes, "");
	CLASS("", "");
	assert_int_equal(signed_id(publish, part, id), 0);
	TEXT(token_signed_id, id);
}

static void lineage_is_issuer_and_id(void **state)
{
	char first[TEXT_HASH_LEN];

	claims("{'iss':'https://i.test','jti':'j1','sub':'a'}");
	snprintf(first, sizeof(first), "%s", facts_text(&facts, FACT_token_lineage));
	assert_memory_equal(first, "tth1_", 5);
	claims("{'iss':'https://i.test','jti':'j1','sub':'b','x':1}");
	TEXT(token_lineage, first);
	claims("{'iss':'https://i.test','jti':'j2'}");
	assert_string_not_equal(facts_text(&facts, FACT_token_lineage), first);
	claims("{'iss':'https://i.test/','jti':'j1'}");
	assert_string_not_equal(facts_text(&facts, FACT_token_lineage), first);
	claims("{'jti':'j1'}");
	TEXT(token_lineage, "");
}

static void times_in_every_form(void **state)
{
	claims("{'exp':1900000000.5,'iat':'1800000000','nbf':'1800000000.25'}");
	TIME(token_expires, 1900000000 * SECOND + SECOND / 2);
	TIME(token_issued, 1800000000 * SECOND);
	TIME(token_not_before, 1800000000 * SECOND + SECOND / 4);
	claims("{'exp':1.9e9}");
	TIME(token_expires, 1900000000 * SECOND);
	claims("{'iat':1}");
	TEXT(token_expiry_rule, "never");
	TIME(token_expires, 0);
	claims("{'exp':null}");
	TEXT(token_expiry_rule, "never");
}

static void odd_times(void **state)
{
	static const char *const values[] = {
		"-1", "1900000000000", "'soon'", "'1e9'", "'0x10'", "''", "' 1'", "true", "[1]", "{}", "1e300",
		"-0.5", "'inf'", "'nan'", "'1.2.3'", "'9999999999999999'", "9223372036854775807",
	};
	char payload[128];

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		snprintf(payload, sizeof(payload), "{'exp':%s,'iat':%s}", values[i], values[i]);
		claims(payload);
		HAS(token_notes, "odd_time");
		TEXT(token_expiry_rule, "");
		TIME(token_expires, 0);
		TIME(token_issued, 0);
	}
}

/* ---- Kubernetes ---- */

#define POD "'kubernetes.io':{'namespace':'shop','node':{'name':'n1','uid':'u1'},'pod':{'name':'cart-7d','uid':" \
	"'u2'},'serviceaccount':{'name':'cart','uid':'u3'},'warnafter':1800003607}"

/* The API server makes a year of an hour; the hour counts. */
static void a_pod_token_lives_an_hour(void **state)
{
	claims("{'aud':['https://kubernetes.default.svc'],'exp':1831536000,'iat':1800000000,'iss':"
	       "'https://kubernetes.default.svc','jti':'5f5b5a5e-0000-4000-8000-000000000001'," POD
	       ",'nbf':1800000000,'sub':'system:serviceaccount:shop:cart'}");
	CLASS("k8s_sa_bound", "service_account");
	TIME(token_expires, 1800003607 * SECOND);
	TEXT(token_expiry_rule, "warnafter");
	HAS(token_claims, "exp=1831536000");
	TEXT(k8s_namespace, "shop");
	TEXT(k8s_service_account, "cart");
	TEXT(k8s_pod, "cart-7d");
	TEXT(k8s_node, "n1");
	TEXT(token_subject, "system:serviceaccount:shop:cart");
	TEXT(token_subject_kind, "machine");
	HAS(token_claims, "kubernetes.io.pod.uid=u2");
	/* One that is meant to live longer than it says. */
	claims("{'exp':1800000600," POD "}");
	TIME(token_expires, 1800000600 * SECOND);
	TEXT(token_expiry_rule, "exp");
}

static void a_secret_token_never_ends(void **state)
{
	claims("{'iss':'kubernetes/serviceaccount','kubernetes.io/serviceaccount/namespace':'shop',"
	       "'kubernetes.io/serviceaccount/secret.name':'cart-token','kubernetes.io/serviceaccount/service-account"
	       ".name':'cart','kubernetes.io/serviceaccount/service-account.uid':'u','sub':"
	       "'system:serviceaccount:shop:cart'}");
	CLASS("k8s_sa_legacy", "service_account");
	TEXT(token_expiry_rule, "never");
	TEXT(k8s_namespace, "shop");
	TEXT(k8s_service_account, "cart");
	HAS(token_claims, "kubernetes.io/serviceaccount/secret.name=cart-token");
}

/* ---- other issuers ---- */

struct issuer {
	const char *header, *payload, *class, *kind, *subject_kind;
};

#define TENANT "11111111-2222-4333-8444-555555555555"
static const struct issuer issuers[] = {
	{ HEADER, "{'iss':'https://login.microsoftonline.com/" TENANT "/v2.0','tid':'" TENANT "','oid':'o','ver':"
	  "'2.0','roles':['Mail.Read'],'azp':'x','uti':'u'}", "entra_access_v2", "oauth_access", "machine" },
	{ HEADER, "{'iss':'https://sts.windows.net/" TENANT "/','scp':'User.Read','appid':'x','ver':'1.0'}",
	  "entra_access_v1", "oauth_access", "human" },
	{ HEADER, "{'iss':'https://login.microsoftonline.com/" TENANT "/v2.0','roles':['r'],'scp':'s'}",
	  "entra_access_v2", "oauth_access", "human" },
	{ HEADER, "{'iss':'https://login.microsoftonline.com/" TENANT "/v2.0','idtyp':'app','nonce':'n'}",
	  "entra_access_v2", "id_token", "machine" },
	{ HEADER, "{'iss':'https://accounts.google.com','email':'x@p.iam.gserviceaccount.com'}", "gcp_id_token",
	  "id_token", "machine" },
	{ HEADER, "{'iss':'https://accounts.google.com','email':'x@y.test'}", "gcp_id_token", "id_token", "human" },
	{ HEADER, "{'iss':'https://a.okta.com/oauth2/d','cid':'0oa1','sub':'0oa1','scp':['s']}", "", "", "machine" },
	{ HEADER, "{'iss':'https://a.okta.com/oauth2/d','cid':'0oa1','sub':'00u1','scp':['s']}", "", "", "" },
	{ HEADER, "{'iss':'https://t.auth0.com/','sub':'abc@clients','azp':'abc','gty':'client-credentials'}", "", "",
	  "machine" },
	{ HEADER, "{'iss':'https://k/realms/r','typ':'Bearer','azp':'a','preferred_username':'service-account-a'}",
	  "", "", "machine" },
	{ HEADER, "{'iss':'https://k/realms/r','typ':'Offline','exp':0,'sub':'x'}", "jwt", "oauth_refresh", "" },
	{ HEADER, "{'iss':'https://cognito-idp.x','token_use':'access','client_id':'c'}", "", "", "machine" },
	{ HEADER, "{'iss':'https://cognito-idp.x','token_use':'access','client_id':'c','username':'u'}", "", "",
	  "human" },
	{ HEADER, "{'iss':'https://cognito-idp.x','token_use':'id'}", "jwt", "id_token", "" },
	{ "{'alg':'ES256','typ':'application/AT+JWT'}", "{'sub':'c','client_id':'c'}", "jwt", "oauth_access",
	  "machine" },
	{ HEADER, "{'iss':'https://token.actions.githubusercontent.com','sub':'repo:o@1/r@2:ref:refs/heads/main',"
	  "'actor':'someone','repository':'o/r'}", "gh_actions_oidc", "ci", "machine" },
	{ HEADER, "{'iss':'https://ghes.test/_services/token','sub':'repo:o/r:ref:refs/heads/main'}",
	  "gh_actions_oidc", "ci", "machine" },
	{ HEADER, "{'iss':'https://token.actions.sub.ghe.com'}", "gh_actions_oidc", "ci", "machine" },
	{ HEADER, "{'iss':'https://token.actions.githubusercontent.com.evil.test'}", "", "", "" },
	{ HEADER, "{'iss':'https://gitlab.test','project_path':'g/p','pipeline_id':'1','sub':'project_path:g/p'}",
	  "jwt", "ci", "machine" },
	{ HEADER, "{'sub':'spiffe://d/ns/x','aud':['y']}", "spiffe_jwt", "service_account", "machine" },
	{ HEADER, "{'iss':'https://abc.tokens.sts.global.api.aws','https://sts.amazonaws.com/':{'aws_account':"
	  "'123456789012','principal_id':'arn:aws:iam::1:role/r'}}", "aws_web_identity", "cloud_sts", "machine" },
	{ "{'alg':'ES256','typ':'wit+jwt'}", "{'sub':'spiffe://d/x','cnf':{'jwk':{'kty':'EC'}}}", "wit",
	  "service_account", "machine" },
	{ "{'alg':'ES256','typ':'txntoken+jwt'}", "{'aud':'d','req_wl':'w'}", "txn_token", "service_account", "" },
	{ "{'alg':'ES256','typ':'oauth-id-jag+jwt'}", "{}", "id_jag", "oauth_access", "" },
	{ "{'alg':'EdDSA','typ':'aa-agent+jwt'}", "{}", "aauth_agent", "agent", "" },
	{ "{'alg':'EdDSA','typ':'aa-auth+jwt'}", "{}", "aauth_auth", "agent", "" },
	{ "{'alg':'EdDSA','typ':'aa-person+jwt'}", "{}", "aauth_person", "agent", "" },
	{ "{'alg':'EdDSA','typ':'aa-resource+jwt'}", "{}", "aauth_resource", "agent", "" },
};

static void usual_issuers(void **state)
{
	for (size_t i = 0; i < sizeof(issuers) / sizeof(issuers[0]); i++) {
		const struct issuer *t = &issuers[i];

		read_token(t->header, t->payload);
		if (strcmp(class.name, t->class) || strcmp(class.kind, t->kind) ||
		    strcmp(facts_text(&facts, FACT_token_subject_kind), t->subject_kind))
			fail_msg("%s: %s %s %s", t->payload, class.name, class.kind,
				 facts_text(&facts, FACT_token_subject_kind));
	}
}

static void what_issuers_say(void **state)
{
	claims(issuers[0].payload);
	TEXT(token_tenant, TENANT);
	TEXT(token_jwt_id, "u");
	TEXT(token_roles, "Mail.Read");
	HAS(token_claims, "oid=o");
	claims("{'iss':'https://k/realms/r','typ':'Offline','exp':0,'realm_access':{'roles':['a']},"
	       "'resource_access':{'account':{'roles':['view','manage']}},'permissions':['p:1']}");
	TEXT(token_expiry_rule, "never");
	TEXT(token_roles, "p:1\na\naccount:view\naccount:manage");
	claims("{'exp':0}");
	TEXT(token_expiry_rule, "exp");
	claims("{'https://sts.amazonaws.com/':{'aws_account':'123456789012','secret':'s3cr3t'},'google':"
	       "{'compute_engine':{'zone':'z','instance_id':'77'}},'xms_cc':['cp1'],'authorization_details':[{'type':"
	       "'payment','amount':'s3cr3t'}]}");
	HAS(token_claims, "aws_account=123456789012");
	HAS(token_claims, "google.compute_engine.zone=z");
	HAS(token_claims, "authorization_details.type=payment");
	HAS(token_notes, "cae");
	expect_silence("s3cr3t");
}

static void groups_by_name(void **state)
{
	char payload[4096] = "{'groups':['" TENANT "','admins'";
	size_t len = strlen(payload);

	for (int i = 0; i < 60; i++)
		len += (size_t)snprintf(payload + len, sizeof(payload) - len, ",'g%d'", i);
	strcpy(payload + len, "]}");
	claims(payload);
	HAS(token_claims, "groups=62");
	HAS(token_groups, "admins");
	HAS(token_groups, "g17");
	HAS_NOT(token_groups, "g18");
	HAS_NOT(token_groups, TENANT);
}

static void proof_of_possession(void **state)
{
	claims("{'cnf':{'jkt':'t'}}");
	TEXT(token_bound, "dpop");
	HAS(token_claims, "cnf.jkt=t");
	claims("{'cnf':{'x5t#S256':'t'}}");
	TEXT(token_bound, "mtls");
	claims("{'cnf':{'jwk':{'kty':'EC','x':'xx'}}}");
	TEXT(token_bound, "jwk");
	HAS(token_claims, "cnf=jwk");
	claims("{'cnf':'t'}");
	TEXT(token_bound, "");
}

static void delegation(void **state)
{
	claims("{'sub':'someone','act':{'sub':'agent:planner','client_id':'c1','act':{'sub':'svc-a','act':{'sub':"
	       "'Jane Doe'}}},'may_act':{'sub':'bot-x','client_id':'c2'}}");
	TEXT(token_actor, "agent:planner");
	HAS(token_claims, "act.client_id=c1");
	HAS(token_claims, "act.act.sub=svc-a");
	HAS(token_claims, "may_act.sub=bot-x");
	HAS(token_claims, "may_act.client_id=c2");
	expect_silence("Jane");
	expect_silence("someone");
}

/* ---- persons ---- */

static void persons_are_hashes(void **state)
{
	char want[128];

	claims("{'iss':'https://i.test','sub':'jane.doe','email':'jane@p.test','upn':'jane@p.test','name':'Jane Doe',"
	       "'preferred_username':'jane','unique_name':'jane','given_name':'Jane','family_name':'Doe',"
	       "'phone_number':'+1 555 0100','ipaddr':'192.0.2.77','login_hint':'jane','client_id':'web'}");
	TEXT(token_subject, hash_of("jane.doe"));
	TEXT(token_subject_kind, "human");
	TEXT(token_client_id, "web");
	snprintf(want, sizeof(want), "email=%s", hash_of("jane@p.test"));
	HAS(token_claims, want);
	expect_silence("jane");
	expect_silence("Jane");
	expect_silence("555");
	expect_silence("192.0.2");
	claims("{'sub':'auth0|5f7c8ec7c33c6c004bbafe82'}");
	TEXT(token_subject, hash_of("auth0|5f7c8ec7c33c6c004bbafe82"));
	claims("{'sub':'jane@p.test','client_id':'jane@p.test'}");
	TEXT(token_subject, hash_of("jane@p.test"));
	claims("{'sub':'service-7@p.test'}");
	TEXT(token_subject, hash_of("service-7@p.test"));
	claims("{'iss':'https://token.actions.githubusercontent.com','actor':'jane','sub':'repo:a/b:x'}");
	expect_silence("jane");
	claims("{'actor':'renovate[bot]'}");
	HAS(token_claims, "actor=renovate[bot]");
}

/* What stands on no list is not told, nor what is too long or of another type. */
static void nothing_else(void **state)
{
	char payload[2048];

	claims("{'nonce':'s3cr3t','at_hash':'s3cr3t','c_hash':'s3cr3t','s_hash':'s3cr3t','rh':'s3cr3t','aio':'s3cr3t',"
	       "'events':{'a':'s3cr3t'},'address':{'street':'s3cr3t'},'password':'s3cr3t','x':{'iss':'s3cr3t'},"
	       "'iss':['s3cr3t'],'sub':{'a':'s3cr3t'},'jti':7,'roles':[{'a':'s3cr3t'}],'scope':{'s3cr3t':1},"
	       "'kubernetes.io':'s3cr3t','cnf':['s3cr3t'],'ref':{'x':'s3cr3t'}}");
	expect_silence("s3cr3t");
	TEXT(token_issuer, "");
	TEXT(token_subject, "");
	snprintf(payload, sizeof(payload), "{'iss':'%0*d','roles':['%0*d']}", 512 + 1, 0,
		 512 + 1, 0);
	claims(payload);
	TEXT(token_issuer, "");
	TEXT(token_roles, "");
}

/* ---- headers ---- */

static void odd_headers(void **state)
{
	read_token("{'alg':'RS256','jku':'https://evil.test/k','x5u':'u','jwk':{},'crit':['b64'],'b64':false,"
		   "'zip':'DEF'}", "{}");
	HAS(token_notes, "jku_present");
	HAS(token_notes, "x5u_present");
	HAS(token_notes, "jwk_present");
	HAS(token_notes, "crit_present");
	HAS(token_notes, "b64_present");
	HAS(token_notes, "zip_present");
	expect_silence("evil.test");
	read_token("{'alg':7,'kid':['x'],'typ':{}}", "{'iss':'i'}");
	TEXT(jwt_alg, "");
	TEXT(jwt_kid, "");
	TEXT(token_issuer, "i");
	read_token("{'alg':'RS256','kid':'a\\u001b[31mb\\u202ec'}", "{}");
	TEXT(jwt_kid, "a?[31mb?c");
}

static void header_only(void **state)
{
	read_flagged("{\"alg\":\"RSA-OAEP\",\"enc\":\"A256GCM\",\"kid\":\"k\"}", NULL, TT_CLAIMS_JWE);
	CLASS("jwe", "oauth_access");
	TEXT(jwt_alg, "RSA-OAEP");
	TEXT(jwt_kid, "k");
	HAS(token_claims, "enc=A256GCM");
	TEXT(token_expiry_rule, "");
	read_flagged("{\"alg\":\"RS256\"}", NULL, TT_CLAIMS_LONG);
	HAS(token_notes, "too_long");
	TEXT(token_expiry_rule, "");
	CLASS("", "");
	read_flagged("{\"alg\":\"ES256\"}", "{\"iss\":\"i\"}", TT_CLAIMS_SD);
	CLASS("sd_jwt", "oauth_access");
	HAS(token_notes, "disclosures");
}

static void withheld(void **state)
{
	static const struct {
		uint8_t flags;
		const char *notes, *alg;
	} rows[] = {
		{ TT_CLAIMS_UNSIGNED | TT_CLAIMS_ALG_NONE, "alg_none\nunsigned", "none" },
		{ TT_CLAIMS_UNSIGNED, "unsigned", "" },
		{ TT_CLAIMS_UNSURE, "claims_withheld", "" },
		{ TT_CLAIMS_BAD | TT_CLAIMS_UNSURE, "claims_withheld\nnot_base64url", "" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(&ev, 0, sizeof(ev));
		take(rows[i].flags);
		TEXT(token_notes, rows[i].notes);
		TEXT(jwt_alg, rows[i].alg);
		CLASS("", "");
		assert_true(*facts_text(&facts, FACT_token_signed_id));
	}
}

/* ---- texts made to break a reader ---- */

static void expect_note(const char *payload, const char *want)
{
	read_flagged("{\"alg\":\"RS256\"}", payload, 0);
	if (!in_list(facts_text(&facts, FACT_token_notes), want))
		fail_msg("%.80s: %s, not %s", payload, facts_text(&facts, FACT_token_notes), want);
	TEXT(token_issuer, "");
	TEXT(token_expiry_rule, "");
	TEXT(jwt_alg, "RS256");
}

static void duplicate_members(void **state)
{
	expect_note("{\"iss\":\"a\",\"iss\":\"b\"}", "dup_claim");
	expect_note("{\"iss\":\"a\",\"\\u0069ss\":\"b\"}", "dup_claim");
	expect_note("{\"iss\":\"a\",\"x\":{\"y\":1,\"y\":2}}", "dup_claim");
	read_flagged("{\"alg\":\"RS256\",\"alg\":\"ES256\"}", "{\"iss\":\"i\"}", 0);
	HAS(token_notes, "dup_claim");
	TEXT(jwt_alg, "");
	TEXT(token_issuer, "i");
}

static void not_json(void **state)
{
	static const char *const texts[] = {
		"{", "[]", "7", "\"iss\"", "null", "{\"iss\":\"i\"}x", "{\"iss\":\"i\",}", "{\"iss\":\"i", "{'iss':'i'}",
		"{\"iss\":\"\xff\"}", "{\"iss\":\"\xc0\xaf\"}", "{\"iss\":\"\\ud800\"}", "{\"iss\":\"a\\u0000b\"}",
		"{\"exp\":1e999,\"iss\":\"i\"}", "{\"exp\":99999999999999999999,\"iss\":\"i\"}", "{\"exp\":01}",
		"{\"exp\":NaN}", "\xef\xbb\xbf{\"iss\":\"i\"}", "{\"iss\":\"i\"}{\"iss\":\"j\"}", "{\"a\":\"\n\"}",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		expect_note(texts[i], "malformed");
}

static void too_deep_or_many(void **state)
{
	char text[6000], *p = text;

	p += sprintf(p, "{\"iss\":\"i\",\"a\":");
	for (int i = 0; i < 2000; i++)
		p += sprintf(p, "[");
	expect_note(text, "too_large");
	p = text + sprintf(text, "{\"iss\":\"i\"");
	for (int i = 0; i < 255; i++)
		p += sprintf(p, ",\"%d\":1", i);
	strcpy(p, "}");
	read_flagged("{\"alg\":\"RS256\"}", text, 0);
	TEXT(token_issuer, "i");
	strcpy(p, ",\"one\":1}");
	expect_note(text, "too_large");
	claims("{'a':[[[[[[[1]]]]]]],'iss':'i'}");
	TEXT(token_issuer, "i");
	read_token(HEADER, "{'a':'[[[[[[[[[[[[{{{{{{{:::\\\\','iss':'i'}");
	TEXT(token_issuer, "i");
	expect_note("{\"a\":[[[[[[[[1]]]]]]]],\"iss\":\"i\"}", "too_large");
}

static void not_base64(void **state)
{
	static const char *const texts[] = { "eyJ9", "e", "eyJh=", "ey+/", "e.J9", "eyJ\xff" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		memset(&ev, 0, sizeof(ev));
		ev.header_len = (uint16_t)strlen(texts[i]);
		memcpy(ev.text, texts[i], strlen(texts[i]));
		take(TT_CLAIMS_JWE);
		HAS(token_notes, "malformed");
	}
}

static void text_is_clean(void **state)
{
	claims("{'iss':'a\\nb\\u001b]0;x','aud':['one\\ntwo'],'ref':'r\\nref=forged'}");
	TEXT(token_issuer, "a?b?]0;x");
	TEXT(token_audience, "one?two");
	HAS(token_claims, "ref=r?ref=forged");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registered), cmocka_unit_test(lineage_is_issuer_and_id),
		cmocka_unit_test(times_in_every_form), cmocka_unit_test(odd_times),
		cmocka_unit_test(a_pod_token_lives_an_hour), cmocka_unit_test(a_secret_token_never_ends),
		cmocka_unit_test(usual_issuers), cmocka_unit_test(what_issuers_say),
		cmocka_unit_test(groups_by_name), cmocka_unit_test(proof_of_possession),
		cmocka_unit_test(delegation), cmocka_unit_test(persons_are_hashes),
		cmocka_unit_test(nothing_else), cmocka_unit_test(odd_headers), cmocka_unit_test(header_only),
		cmocka_unit_test(withheld), cmocka_unit_test(duplicate_members), cmocka_unit_test(not_json),
		cmocka_unit_test(too_deep_or_many), cmocka_unit_test(not_base64),
		cmocka_unit_test(text_is_clean),
	};

	return cmocka_run_group_tests_name("jwt", tests, NULL, teardown);
}
