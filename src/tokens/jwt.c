/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of what may be told. Names of claims are those of RFC 7519, 8693, 9068 and of the issuers
 * named; a claim that stands nowhere here stays here.
 */
#include "tokens/jwt.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "tokens/jwt_issuer.h"
#include "tokens/jwt_json.h"

#define GROUPS_MAX 20
#define ACTORS_MAX 4

static void object_free(json_t **o)
{
	json_decref(*o);
}

/* What it is made into; the first error sticks. */
struct making {
	struct facts *f;
	const uint8_t *publish;
	bool machine;	/* the subject */
	int r;
};

static void set(struct making *m, enum fact which, const char *text)
{
	if (text && m->r == 0)
		m->r = facts_set_text(m->f, which, text, strlen(text));
}

static void add(struct making *m, enum fact list, const char *text)
{
	if (text && m->r == 0)
		m->r = facts_add(m->f, list, text, strlen(text));
}

static void note(struct making *m, const char *name)
{
	add(m, FACT_token_notes, name);
}

/* name=value */
static void claim(struct making *m, const char *name, const char *value)
{
	char text[JWT_TEXT_MAX + 128];

	if (!value)
		return;
	snprintf(text, sizeof(text), "%s=%s", name, value);
	add(m, FACT_token_claims, text);
}

static const char *hashed(struct making *m, const char *text, char to[static TEXT_HASH_LEN])
{
	int r = m->r ?: text_hash(m->publish, text, strlen(text), to);

	if (r < 0) {
		m->r = r;
		return NULL;
	}
	return to;
}

/* A subject or actor: as it is only if it is a machine's. */
static const char *named(struct making *m, const char *name, bool machine, char to[static TEXT_HASH_LEN])
{
	if (!name || machine || jwt_is_machine_name(name))
		return name;
	return hashed(m, name, to);
}

/* ---- values ---- */

/* A string, a number or a truth value as text. */
static const char *scalar(const json_t *object, const char *name, char *to, size_t size)
{
	const json_t *v = jwt_member(object, name);

	if (json_is_string(v))
		return jwt_text(object, name);
	if (json_is_boolean(v))
		return json_is_true(v) ? "true" : "false";
	if (json_is_integer(v))
		snprintf(to, size, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	else if (json_is_real(v))
		snprintf(to, size, "%.17g", json_real_value(v));
	else
		return NULL;
	return to;
}

static void plain_claim(struct making *m, const json_t *object, const char *name, const char *as)
{
	char number[64];

	claim(m, as, scalar(object, name, number, sizeof(number)));
}

static void element(struct making *m, enum fact list, const char *prefix, const json_t *v)
{
	char text[JWT_TEXT_MAX + 128];

	if (!json_is_string(v) || !json_string_length(v) || json_string_length(v) > JWT_TEXT_MAX)
		return;
	snprintf(text, sizeof(text), "%s%s", prefix, json_string_value(v));
	add(m, list, text);
}

/* Strings of an array; or one that has blanks between them (scope: RFC 8693, 4.2), or is one. */
static void list_of(struct making *m, enum fact list, const char *prefix, const json_t *v, bool words)
{
	for (size_t i = 0; i < json_array_size(v); i++)
		element(m, list, prefix, json_array_get(v, i));
	if (!json_is_string(v))
		return;
	if (!words) {
		element(m, list, prefix, v);
		return;
	}
	for (const char *p = json_string_value(v); *p;) {
		size_t n = strcspn(p, " ");

		if (n && n <= JWT_TEXT_MAX && m->r == 0)
			m->r = facts_add(m->f, list, p, n);
		p += n + (p[n] == ' ');
	}
}

/* ---- header (RFC 7515, 4.1) ---- */

static void header_notes(struct making *m, const json_t *h)
{
	static const char *const keys[] = { "jku", "x5u", "jwk", "crit", "b64", "zip" };
	char name[32];

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (!jwt_member(h, keys[i]))
			continue;
		snprintf(name, sizeof(name), "%s_present", keys[i]);
		note(m, name);
	}
}

static void read_header(struct making *m, const json_t *h)
{
	set(m, FACT_jwt_alg, jwt_text(h, "alg"));
	set(m, FACT_jwt_kid, jwt_text(h, "kid"));
	set(m, FACT_jwt_type, jwt_text(h, "typ"));
	if (jwt_text(h, "enc"))
		claim(m, "enc", jwt_text(h, "enc"));
	header_notes(m, h);
}

/* ---- times ---- */

static void set_time(struct making *m, enum fact which, const json_t *v)
{
	uint64_t ns = 0;

	switch (jwt_time(v, &ns)) {
	case JWT_TIME_OK:
		facts_set_number(m->f, which, ns);
		break;
	case JWT_TIME_ODD:
		note(m, "odd_time");
		break;
	case JWT_TIME_NONE:
		break;
	}
}

/* Keycloak's offline tokens have no end, or 0 for it. */
static bool is_endless(const json_t *c, uint64_t exp_ns)
{
	const char *type = jwt_text(c, "typ");

	return !exp_ns && type && !strcmp(type, "Offline");
}

/*
 * The API server extends a token of 3607 s to a year, so that old clients go on, and says in warnafter
 * when it was meant to end (KEP-1205, "safe rollout").
 */
static void read_expiry(struct making *m, const json_t *c)
{
	const json_t *exp = jwt_member(c, "exp"), *warn = jwt_member(jwt_member(c, "kubernetes.io"), "warnafter");
	uint64_t exp_ns = 0, warn_ns = 0;
	enum jwt_time has_exp = jwt_time(exp, &exp_ns);

	if (has_exp == JWT_TIME_ODD) {
		note(m, "odd_time");
		return;
	}
	if (jwt_time(warn, &warn_ns) == JWT_TIME_OK && (has_exp == JWT_TIME_NONE || warn_ns < exp_ns)) {
		facts_set_number(m->f, FACT_token_expires, warn_ns);
		set(m, FACT_token_expiry_rule, "warnafter");
		plain_claim(m, c, "exp", "exp");
	} else if (has_exp == JWT_TIME_NONE || is_endless(c, exp_ns)) {
		set(m, FACT_token_expiry_rule, "never");
	} else {
		facts_set_number(m->f, FACT_token_expires, exp_ns);
		set(m, FACT_token_expiry_rule, "exp");
	}
}

/* ---- who ---- */

static void read_subject(struct making *m, const json_t *c)
{
	const char *kind = jwt_subject_kind(c);
	char hash[TEXT_HASH_LEN];

	m->machine = !strcmp(kind, "machine");
	set(m, FACT_token_subject_kind, *kind ? kind : NULL);
	set(m, FACT_token_subject, named(m, jwt_text(c, "sub"), m->machine && !strchr(jwt_text(c, "sub") ?: "", '@'), hash));
	set(m, FACT_token_client_id, jwt_client(c));
	set(m, FACT_token_tenant, jwt_text(c, "tid"));
}

/* RFC 8693, 4.1: who acts, and before that, within it, who acted earlier. */
static void read_actors(struct making *m, const json_t *c)
{
	const json_t *act = jwt_member(c, "act"), *may = jwt_member(c, "may_act");
	char hash[TEXT_HASH_LEN], name[64] = "act";

	set(m, FACT_token_actor, named(m, jwt_text(act, "sub"), false, hash));
	for (int i = 0; i < ACTORS_MAX && act; i++) {
		size_t len = strlen(name);

		snprintf(name + len, sizeof(name) - len, ".client_id");
		claim(m, name, jwt_text(act, "client_id"));
		snprintf(name + len, sizeof(name) - len, ".sub");
		if (i)
			claim(m, name, named(m, jwt_text(act, "sub"), false, hash));
		snprintf(name + len, sizeof(name) - len, ".act");
		act = jwt_member(act, "act");
	}
	claim(m, "may_act.sub", named(m, jwt_text(may, "sub"), false, hash));
	claim(m, "may_act.client_id", jwt_text(may, "client_id"));
	claim(m, "may_act.iss", jwt_text(may, "iss"));
	claim(m, "actor", named(m, jwt_text(c, "actor"), false, hash));
}

static void read_persons(struct making *m, const json_t *c)
{
	static const char *const names[] = {
		"email", "upn", "preferred_username", "unique_name", "name", "given_name", "family_name",
		"phone_number", "ipaddr", "login_hint",
	};
	char hash[TEXT_HASH_LEN];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (jwt_text(c, names[i]))
			claim(m, names[i], hashed(m, jwt_text(c, names[i]), hash));
}

/* One grant, whatever its bytes (RFC 7519, 4.1.7). */
static void read_lineage(struct making *m, const json_t *c)
{
	const char *iss = jwt_text(c, "iss"), *jti = jwt_text(c, "jti") ?: jwt_text(c, "uti");
	char text[2 * JWT_TEXT_MAX + 2], hash[TEXT_HASH_LEN];
	int r, n;

	set(m, FACT_token_jwt_id, jti);
	set(m, FACT_token_session_id, jwt_text(c, "sid"));
	if (!iss || !jti || m->r < 0)
		return;
	n = snprintf(text, sizeof(text), "%s%c%s", iss, 0, jti);
	r = text_hash(m->publish, text, (size_t)n, hash);
	if (r < 0)
		m->r = r;
	else
		set(m, FACT_token_lineage, hash);
}

/* ---- what for ---- */

static void read_rights(struct making *m, const json_t *c)
{
	static const char *const roles[] = { "roles", "wids", "permissions", "authorities" };
	json_t *resources = json_object_get(c, "resource_access"), *v;
	const json_t *array = jwt_member(c, "entitlements");
	const char *client;
	char prefix[128];

	list_of(m, FACT_token_scopes, "", jwt_member(c, "scope"), true);
	list_of(m, FACT_token_scopes, "", jwt_member(c, "scp"), true);
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		list_of(m, FACT_token_roles, "", jwt_member(c, roles[i]), false);
	list_of(m, FACT_token_roles, "", array, false);
	for (size_t i = 0; i < json_array_size(array); i++)
		element(m, FACT_token_roles, "", jwt_member(json_array_get(array, i), "name"));
	list_of(m, FACT_token_roles, "", jwt_member(jwt_member(c, "realm_access"), "roles"), false);
	json_object_foreach(resources, client, v) {
		snprintf(prefix, sizeof(prefix), "%.100s:", client);
		list_of(m, FACT_token_roles, prefix, jwt_member(v, "roles"), false);
	}
	array = jwt_member(c, "authorization_details");
	for (size_t i = 0; i < json_array_size(array); i++)
		claim(m, "authorization_details.type", jwt_text(json_array_get(array, i), "type"));
}

static bool is_uuid(const char *text)
{
	if (strlen(text) != 36)
		return false;
	for (int i = 0; i < 36; i++)
		if (i == 8 || i == 13 || i == 18 || i == 23 ? text[i] != '-' :
							       !isxdigit((unsigned char)text[i]))
			return false;
	return true;
}

/* Names of the first ones, and how many there are; ids say nothing. */
static void read_groups(struct making *m, const json_t *c)
{
	const json_t *groups = jwt_member(c, "groups");
	char count[32];

	if (!json_is_array(groups))
		return;
	snprintf(count, sizeof(count), "%zu", json_array_size(groups));
	claim(m, "groups", count);
	for (size_t i = 0; i < json_array_size(groups) && i < GROUPS_MAX; i++) {
		const char *name = json_string_value(json_array_get(groups, i));

		if (name && !is_uuid(name))
			element(m, FACT_token_groups, "", json_array_get(groups, i));
	}
}

/* Proof of possession (RFC 7800): RFC 9449, RFC 8705. */
static void read_bound(struct making *m, const json_t *c)
{
	json_t *cnf = json_object_get(c, "cnf"), *v;
	const char *name;

	if (jwt_text(cnf, "jkt"))
		set(m, FACT_token_bound, "dpop");
	else if (jwt_text(cnf, "x5t#S256"))
		set(m, FACT_token_bound, "mtls");
	else if (json_is_object(jwt_member(cnf, "jwk")))
		set(m, FACT_token_bound, "jwk");
	claim(m, "cnf.jkt", jwt_text(cnf, "jkt"));
	claim(m, "cnf.x5t#S256", jwt_text(cnf, "x5t#S256"));
	json_object_foreach(cnf, name, v)
		if (strlen(name) <= 32)
			claim(m, "cnf", name);
}

/* ---- issuers ---- */

static void read_kubernetes(struct making *m, const json_t *c)
{
	const json_t *k = jwt_member(c, "kubernetes.io");
	const json_t *account = jwt_member(k, "serviceaccount"), *pod = jwt_member(k, "pod");
	const json_t *node = jwt_member(k, "node");

	set(m, FACT_k8s_namespace, jwt_text(k, "namespace"));
	set(m, FACT_k8s_service_account, jwt_text(account, "name"));
	set(m, FACT_k8s_pod, jwt_text(pod, "name"));
	set(m, FACT_k8s_node, jwt_text(node, "name"));
	claim(m, "kubernetes.io.serviceaccount.uid", jwt_text(account, "uid"));
	claim(m, "kubernetes.io.pod.uid", jwt_text(pod, "uid"));
	claim(m, "kubernetes.io.node.uid", jwt_text(node, "uid"));
	claim(m, "kubernetes.io.secret.name", jwt_text(jwt_member(k, "secret"), "name"));
}

/* Tokens from secrets, of before 1.24: flat names, and no end. */
#define LEGACY "kubernetes.io/serviceaccount/"
static void read_legacy_kubernetes(struct making *m, const json_t *c)
{
	set(m, FACT_k8s_namespace, jwt_text(c, LEGACY "namespace"));
	set(m, FACT_k8s_service_account, jwt_text(c, LEGACY "service-account.name"));
	claim(m, LEGACY "service-account.uid", jwt_text(c, LEGACY "service-account.uid"));
	claim(m, LEGACY "secret.name", jwt_text(c, LEGACY "secret.name"));
}

static void read_clouds(struct making *m, const json_t *c)
{
	static const char *const google[] = { "project_id", "zone", "instance_id" };
	static const char *const aws[] = {
		"aws_account", "org_id", "source_region", "principal_id", "lambda_source_function_arn",
		"ec2_source_instance_arn",
	};
	const json_t *engine = jwt_member(jwt_member(c, "google"), "compute_engine");
	const json_t *sts = jwt_member(c, "https://sts.amazonaws.com/");
	char name[64];

	for (size_t i = 0; i < sizeof(google) / sizeof(google[0]); i++) {
		snprintf(name, sizeof(name), "google.compute_engine.%s", google[i]);
		plain_claim(m, engine, google[i], name);
	}
	for (size_t i = 0; i < sizeof(aws) / sizeof(aws[0]); i++)
		plain_claim(m, sts, aws[i], aws[i]);
}

/* Entra's continuous access evaluation: its tokens live up to 28 hours. */
static void read_capabilities(struct making *m, const json_t *c)
{
	const json_t *cc = jwt_member(c, "xms_cc");

	for (size_t i = 0; i < json_array_size(cc); i++) {
		const char *one = json_string_value(json_array_get(cc, i));

		if (one && !strcasecmp(one, "cp1"))
			note(m, "cae");
	}
}

static const char *const plain_names[] = {
	"auth_time", "typ", "ver", "azpacr", "appidacr", "idtyp", "oid", "deviceid", "acr", "req_wl",
	"purpose", "purp", "xms_mirid",
	/* GitHub Actions, GitLab CI */
	"repository", "ref", "workflow_ref", "job_workflow_ref", "environment", "run_id",
	"runner_environment", "event_name", "project_path", "ref_type", "pipeline_id", "job_id",
};

static void read_claims(struct making *m, const json_t *c)
{
	set(m, FACT_token_issuer, jwt_text(c, "iss"));
	read_subject(m, c);
	read_actors(m, c);
	read_lineage(m, c);
	list_of(m, FACT_token_audience, "", jwt_member(c, "aud"), false);
	set_time(m, FACT_token_issued, jwt_member(c, "iat"));
	set_time(m, FACT_token_not_before, jwt_member(c, "nbf"));
	read_expiry(m, c);
	read_rights(m, c);
	read_groups(m, c);
	read_bound(m, c);
	read_kubernetes(m, c);
	read_legacy_kubernetes(m, c);
	read_clouds(m, c);
	read_capabilities(m, c);
	for (size_t i = 0; i < sizeof(plain_names) / sizeof(plain_names[0]); i++)
		plain_claim(m, c, plain_names[i], plain_names[i]);
	list_of(m, FACT_token_claims, "amr=", jwt_member(c, "amr"), false);
	read_persons(m, c);
}

/* ---- the record ---- */

static void flag_notes(struct making *m, uint8_t flags)
{
	static const struct {
		uint8_t flag;
		const char *note;
	} notes[] = {
		{ TT_CLAIMS_ALG_NONE, "alg_none" }, { TT_CLAIMS_UNSIGNED, "unsigned" },
		{ TT_CLAIMS_UNSURE, "claims_withheld" }, { TT_CLAIMS_BAD, "not_base64url" },
		{ TT_CLAIMS_LONG, "too_long" }, { TT_CLAIMS_SD, "disclosures" },
	};

	for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]); i++)
		if (flags & notes[i].flag)
			note(m, notes[i].note);
	if (flags & TT_CLAIMS_ALG_NONE)
		set(m, FACT_jwt_alg, "none");
}

static void set_signed_id(struct making *m, const struct tt_ev_claims *ev)
{
	const uint64_t part[2] = { ev->signed_part[0], ev->signed_part[1] };
	char id[TOKEN_ID_LEN];
	int r;

	if (!(part[0] | part[1]) || m->r < 0)
		return;
	r = signed_id(m->publish, part, id);
	if (r < 0)
		m->r = r;
	else
		set(m, FACT_token_signed_id, id);
}

static struct jwt_class class_of(const struct tt_ev_claims *ev, const json_t *header, const json_t *claims)
{
	struct jwt_class class = jwt_class_of(jwt_text(header, "typ"), claims);

	if (ev->flags & TT_CLAIMS_JWE)
		return (struct jwt_class){ "jwe", "oauth_access" };
	if ((ev->flags & TT_CLAIMS_SD) && !*class.name)
		return (struct jwt_class){ "sd_jwt", "oauth_access" };
	return class;
}

int jwt_facts(const struct tt_ev_claims *ev, const uint8_t publish[static PUBLISH_KEY_LEN],
	      struct facts *f, struct jwt_class *ret_class)
{
	_cleanup_(object_free) json_t *header = NULL;
	_cleanup_(object_free) json_t *claims = NULL;
	struct making m = { .f = f, .publish = publish };

	flag_notes(&m, ev->flags);
	set_signed_id(&m, ev);
	if (ev->header_len)
		note(&m, jwt_json_read(ev->text, ev->header_len, &header));
	if (header)
		read_header(&m, header);
	if (ev->payload_len)
		note(&m, jwt_json_read(ev->text + ev->header_len + 1, ev->payload_len, &claims));
	if (claims)
		read_claims(&m, claims);
	*ret_class = class_of(ev, header, claims);
	return m.r;
}
