/* SPDX-License-Identifier: Apache-2.0 */
#include "tokens/jwt_issuer.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static bool begins(const char *text, const char *with)
{
	return text && !strncmp(text, with, strlen(with));
}

static bool ends(const char *text, const char *with)
{
	size_t len = text ? strlen(text) : 0, n = strlen(with);

	return len >= n && !strcmp(text + len - n, with);
}

static bool is(const char *text, const char *what)
{
	return text && !strcmp(text, what);
}

/* ---- class ---- */

static const struct {
	const char *type;
	struct jwt_class class;
} types[] = {
	{ "wit+jwt", { "wit", "service_account" } },
	{ "txntoken+jwt", { "txn_token", "service_account" } },
	{ "oauth-id-jag+jwt", { "id_jag", "oauth_access" } },
	{ "aa-agent+jwt", { "aauth_agent", "agent" } },
	{ "aa-auth+jwt", { "aauth_auth", "agent" } },
	{ "aa-person+jwt", { "aauth_person", "agent" } },
	{ "aa-resource+jwt", { "aauth_resource", "agent" } },
	{ "at+jwt", { "jwt", "oauth_access" } },
};

/* RFC 7515, 4.1.9: "application/" may be left out, and case does not count. */
static const struct jwt_class *class_of_type(const char *type)
{
	if (!type)
		return NULL;
	if (!strncasecmp(type, "application/", 12))
		type += 12;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (!strcasecmp(type, types[i].type))
			return &types[i].class;
	return NULL;
}

/* https://token.actions.githubusercontent.com, token.actions.SUBDOMAIN.ghe.com, HOST/_services/token */
static bool is_actions_issuer(const char *iss)
{
	return is(iss, "https://token.actions.githubusercontent.com") ||
	       begins(iss, "https://token.actions.githubusercontent.com/") ||
	       (begins(iss, "https://token.actions.") && ends(iss, ".ghe.com")) ||
	       ends(iss, "/_services/token");
}

static bool is_entra(const char *iss)
{
	return begins(iss, "https://sts.windows.net/") ||
	       (begins(iss, "https://login.microsoftonline.") && ends(iss, "/v2.0"));
}

static bool is_id_token(const json_t *c)
{
	return jwt_member(c, "nonce") || jwt_member(c, "at_hash") || jwt_member(c, "c_hash") ||
	       is(jwt_text(c, "token_use"), "id") || is(jwt_text(c, "typ"), "ID");
}

static bool is_refresh(const json_t *c)
{
	return is(jwt_text(c, "typ"), "Refresh") || is(jwt_text(c, "typ"), "Offline");
}

static bool is_bound_pod(const json_t *c)
{
	return json_is_object(jwt_member(c, "kubernetes.io"));
}

static bool is_legacy_pod(const json_t *c)
{
	return is(jwt_text(c, "iss"), "kubernetes/serviceaccount");
}

static bool is_aws_identity(const char *iss)
{
	return begins(iss, "https://") && ends(iss, ".tokens.sts.global.api.aws");
}

struct jwt_class jwt_class_of(const char *type, const json_t *c)
{
	const struct jwt_class *by_type = class_of_type(type);
	const char *iss = jwt_text(c, "iss"), *sub = jwt_text(c, "sub");

	if (by_type)
		return *by_type;
	if (is_bound_pod(c))
		return (struct jwt_class){ "k8s_sa_bound", "service_account" };
	if (is_legacy_pod(c))
		return (struct jwt_class){ "k8s_sa_legacy", "service_account" };
	if (begins(sub, "spiffe://"))
		return (struct jwt_class){ "spiffe_jwt", "service_account" };
	if (is_actions_issuer(iss))
		return (struct jwt_class){ "gh_actions_oidc", "ci" };
	if (begins(iss, "https://sts.windows.net/"))
		return (struct jwt_class){ "entra_access_v1", is_id_token(c) ? "id_token" : "oauth_access" };
	if (is_entra(iss))
		return (struct jwt_class){ "entra_access_v2", is_id_token(c) ? "id_token" : "oauth_access" };
	if (is(iss, "https://accounts.google.com") || is(iss, "accounts.google.com"))
		return (struct jwt_class){ "gcp_id_token", "id_token" };
	if (is_aws_identity(iss))
		return (struct jwt_class){ "aws_web_identity", "cloud_sts" };
	if (jwt_text(c, "project_path") && jwt_member(c, "pipeline_id"))
		return (struct jwt_class){ "jwt", "ci" };
	if (is_refresh(c))
		return (struct jwt_class){ "jwt", "oauth_refresh" };
	if (is_id_token(c))
		return (struct jwt_class){ "jwt", "id_token" };
	return (struct jwt_class){ "", "" };
}

/* ---- machine or human ---- */

const char *jwt_client(const json_t *c)
{
	static const char *const names[] = { "client_id", "azp", "appid", "cid" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (jwt_text(c, names[i]))
			return jwt_text(c, names[i]);
	return NULL;
}

/* A name that begins so is no person's; the next character has to be none of a word. */
static const char *const machine_words[] = {
	"agent", "bot", "ci", "cron", "daemon", "deploy", "job", "machine", "robot", "runner", "service",
	"service-account", "serviceaccount", "svc", "system", "workload", "worker",
};
static const char *const machine_prefixes[] = {
	"arn:", "spiffe://", "repo:", "project_path:", "system:serviceaccount:", "system:node:",
};
static const char *const machine_ends[] = { "gserviceaccount.com", "@clients", "[bot]" };

bool jwt_is_machine_name(const char *name)
{
	for (size_t i = 0; i < sizeof(machine_ends) / sizeof(machine_ends[0]); i++)
		if (ends(name, machine_ends[i]))
			return true;
	if (strchr(name, '@'))
		return begins(name, "repo:") && !strchr(name, ' ');
	for (size_t i = 0; i < sizeof(machine_prefixes) / sizeof(machine_prefixes[0]); i++)
		if (begins(name, machine_prefixes[i]))
			return true;
	for (size_t i = 0; i < sizeof(machine_words) / sizeof(machine_words[0]); i++)
		if (begins(name, machine_words[i]) && strchr("-_:/.", name[strlen(machine_words[i])]))
			return true;
	return false;
}

static bool has_element(const json_t *c, const char *list, const char *element)
{
	const json_t *array = jwt_member(c, list);

	for (size_t i = 0; i < json_array_size(array); i++)
		if (is(json_string_value(json_array_get(array, i)), element))
			return true;
	return false;
}

static bool is_machine(const json_t *c)
{
	const char *iss = jwt_text(c, "iss"), *sub = jwt_text(c, "sub"), *client = jwt_client(c);

	if (is_bound_pod(c) || is_legacy_pod(c) || is_actions_issuer(iss) || is_aws_identity(iss))
		return true;
	if (is(jwt_text(c, "idtyp"), "app") || is(jwt_text(c, "gty"), "client-credentials"))
		return true;
	if (is_entra(iss) && json_is_array(jwt_member(c, "roles")) && !jwt_member(c, "scp"))
		return true;
	if (ends(jwt_text(c, "email"), "gserviceaccount.com") ||
	    begins(jwt_text(c, "preferred_username"), "service-account-"))
		return true;
	if (client && jwt_text(c, "clientHost"))
		return true;
	if (is(jwt_text(c, "token_use"), "access") && client && !jwt_member(c, "username"))
		return true;
	return sub && ((client && is(sub, client)) || jwt_is_machine_name(sub));
}

static bool is_human(const json_t *c)
{
	static const char *const names[] = {
		"email", "upn", "preferred_username", "unique_name", "name", "given_name", "family_name",
		"phone_number", "username", "cognito:username",
	};

	if (is(jwt_text(c, "idtyp"), "user") || (is_entra(jwt_text(c, "iss")) && jwt_member(c, "scp")))
		return true;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (jwt_text(c, names[i]))
			return true;
	return has_element(c, "amr", "pwd") || has_element(c, "amr", "mfa");
}

const char *jwt_subject_kind(const json_t *c)
{
	if (is_machine(c))
		return "machine";
	return is_human(c) ? "human" : "";
}
