/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table of rules, the surest first. The first that has an answer names the owner; what the later ones
 * find supports it or contradicts it.
 */
#include "tokens/owner.h"

#include <stdio.h>
#include <string.h>

#define SEVERAL "several workloads send it"
#define ONLY "the only one that sends it: "

struct claimed {
	char name[FACTS_TEXT_MAX + 81], kind[32];
	char namespace[64];		/* of Kubernetes; "" = none, or not known */
	char evidence[512];
	enum confidence confidence;
	bool human, machine;		/* it is one of them for sure */
};

static void say(char *to, size_t size, const char *a, const char *b, const char *c)
{
	snprintf(to, size, "%s%s%s", a, b, c);
}

/* ---- rules: false = nothing to say ---- */

static bool by_list(const struct owner_sources *s, const struct facts *f, struct claimed *c)
{
	const char *owner = facts_text(f, FACT_listed_owner);

	say(c->name, sizeof(c->name), owner, "", "");
	say(c->kind, sizeof(c->kind), "listed", "", "");
	say(c->evidence, sizeof(c->evidence), "imported list ", facts_text(f, FACT_listed_source), "");
	c->confidence = CONFIDENCE_HIGH;
	return *owner;
}

#define SUBJECT "system:serviceaccount:"

static bool account_of_subject(const char *subject, struct claimed *c)
{
	const char *colon;

	if (strncmp(subject, SUBJECT, strlen(SUBJECT)))
		return false;
	subject += strlen(SUBJECT);
	colon = strchr(subject, ':');
	if (!colon || colon == subject || !colon[1] || colon - subject >= (int)sizeof(c->namespace))
		return false;
	snprintf(c->namespace, sizeof(c->namespace), "%.*s", (int)(colon - subject), subject);
	say(c->name, sizeof(c->name), c->namespace, "/", colon + 1);
	return true;
}

static bool by_service_account(const struct owner_sources *s, const struct facts *f, struct claimed *c)
{
	const char *account = facts_text(f, FACT_k8s_service_account);
	const char *namespace = facts_text(f, FACT_k8s_namespace);

	if (*account && *namespace) {
		snprintf(c->namespace, sizeof(c->namespace), "%s", namespace);
		say(c->name, sizeof(c->name), namespace, "/", account);
		say(c->evidence, sizeof(c->evidence), "claim kubernetes.io: service account ", c->name, "");
	} else if (account_of_subject(facts_text(f, FACT_token_subject), c)) {
		say(c->evidence, sizeof(c->evidence), "claim sub: service account ", c->name, "");
	} else {
		return false;
	}
	say(c->kind, sizeof(c->kind), "ServiceAccount", "", "");
	c->confidence = CONFIDENCE_HIGH;
	c->machine = true;
	return true;
}

static bool by_subject(const struct owner_sources *s, const struct facts *f, struct claimed *c)
{
	const char *subject = facts_text(f, FACT_token_subject);
	const char *kind = facts_text(f, FACT_token_subject_kind);

	c->human = !strcmp(kind, "human");
	c->machine = !strcmp(kind, "machine");
	if (!*subject || (!c->human && !c->machine))
		return false;
	say(c->name, sizeof(c->name), subject, "", "");
	say(c->kind, sizeof(c->kind), c->human ? "human" : "client", "", "");
	say(c->evidence, sizeof(c->evidence), "claim sub, of a ", kind, "");
	c->confidence = CONFIDENCE_HIGH;
	return true;
}

static bool by_client(const struct owner_sources *s, const struct facts *f, struct claimed *c)
{
	const char *client = facts_text(f, FACT_token_client_id);

	/* A client may act for people: whose the token is then, nobody said. */
	if (!*client || strcmp(facts_text(f, FACT_token_subject_kind), "machine"))
		return false;
	say(c->name, sizeof(c->name), client, "", "");
	say(c->kind, sizeof(c->kind), "client", "", "");
	say(c->evidence, sizeof(c->evidence), "claim of the OAuth client ", client, "");
	c->confidence = CONFIDENCE_MEDIUM;
	c->machine = true;
	return true;
}

static bool by_team(const struct owner_sources *s, const struct facts *f, struct claimed *c)
{
	if (!s->user || s->several || !s->user->team[0])
		return false;
	say(c->name, sizeof(c->name), s->user->team, "", "");
	say(c->kind, sizeof(c->kind), "team", "", "");
	snprintf(c->namespace, sizeof(c->namespace), "%s", s->user->namespace);
	say(c->evidence, sizeof(c->evidence), "its one user has the label or annotation ",
	    s->user->team_key, "");
	c->confidence = CONFIDENCE_MEDIUM;
	return true;
}

static bool by_user(const struct owner_sources *s, const struct facts *f, struct claimed *c)
{
	const struct workload *w = s->user;

	if (!w || s->several || !w->kind[0])
		return false;
	say(c->name, sizeof(c->name), w->namespace, w->namespace[0] ? "/" : "", w->name);
	say(c->kind, sizeof(c->kind), w->kind, "", "");
	snprintf(c->namespace, sizeof(c->namespace), "%s", w->namespace);
	snprintf(c->evidence, sizeof(c->evidence), ONLY "%s %.256s", c->kind, c->name);
	/* That only one was seen with it is an indication, however well that one is known. */
	c->confidence = w->confidence > CONFIDENCE_MEDIUM ? CONFIDENCE_MEDIUM : w->confidence;
	c->human = !strcmp(w->kind, "human");
	return true;
}

static bool by_minter(const struct owner_sources *s, const struct facts *f, struct claimed *c)
{
	const char *executable = facts_text(f, FACT_minted_executable);
	const char *container = facts_text(f, FACT_minted_container);

	if (!*executable && !*container)
		return false;
	say(c->name, sizeof(c->name), *container ? container : executable, "", "");
	say(c->kind, sizeof(c->kind), *container ? "container" : "executable", "", "");
	say(c->evidence, sizeof(c->evidence), "had it minted: ", executable, *container ? ", in a container" : "");
	c->confidence = CONFIDENCE_LOW;
	return true;
}

static bool (*const rules[])(const struct owner_sources *, const struct facts *, struct claimed *) = {
	by_list, by_service_account, by_subject, by_client, by_team, by_user, by_minter,
};

/* ---- together ---- */

/* Who had it minted is another one than who uses it. The kubelet does that for all pods. */
static bool minted_elsewhere(const struct owner_sources *s, const struct facts *f)
{
	const char *container = facts_text(f, FACT_minted_container);
	const char *executable = facts_text(f, FACT_minted_executable);

	if (!s->user || *facts_text(f, FACT_k8s_pod) || (!*container && !*executable))
		return false;
	if (*container || s->user->container_id[0])
		return strcmp(container, s->user->container_id) != 0;
	/* In a unit or a session many programs work together. */
	return s->user->executable[0] && !strcmp(s->user->kind, "executable") &&
	       strcmp(executable, s->user->executable) != 0;
}

static bool contradicts(const struct claimed *owner, const struct claimed *other)
{
	if (owner->namespace[0] && other->namespace[0] && strcmp(owner->namespace, other->namespace))
		return true;
	return (owner->human && other->machine) || (owner->machine && other->human);
}

static int add(struct facts *f, const char *before, const char *evidence)
{
	char text[FACTS_TEXT_MAX + 1];

	snprintf(text, sizeof(text), "%s%.*s", before, (int)(sizeof(text) - strlen(before) - 1), evidence);
	return facts_add(f, FACT_owner_evidence, text, strlen(text));
}

static int set(struct facts *f, enum fact which, const char *text)
{
	return facts_set_text(f, which, text, strlen(text));
}

static int weigh(const struct owner_sources *s, struct facts *f, const struct claimed *owner, size_t rule)
{
	int confidence = owner->confidence, r;

	r = add(f, "", owner->evidence);
	for (size_t i = rule + 1; r == 0 && i < sizeof(rules) / sizeof(rules[0]); i++) {
		struct claimed other = { .confidence = CONFIDENCE_NONE };
		bool against;

		if (!rules[i](s, f, &other))
			continue;
		against = contradicts(owner, &other) || (rules[i] == by_minter && minted_elsewhere(s, f));
		confidence -= against;
		r = add(f, against ? "but: " : "", other.evidence);
	}
	if (r == 0 && s->several) {
		confidence--;
		r = add(f, "but: ", SEVERAL);
	}
	if (r == 0)
		r = set(f, FACT_owner_confidence,
			confidence_name(confidence < CONFIDENCE_LOW ? CONFIDENCE_LOW : confidence));
	return r;
}

int owner_judge(const struct owner_sources *s, struct facts *f)
{
	struct claimed owner = { .confidence = CONFIDENCE_NONE };
	size_t rule = 0;
	int r;

	r = set(f, FACT_owner_evidence, "");
	while (rule < sizeof(rules) / sizeof(rules[0]) && !rules[rule](s, f, &owner)) {
		owner = (struct claimed){ .confidence = CONFIDENCE_NONE };
		rule++;
	}
	if (rule == sizeof(rules) / sizeof(rules[0])) {
		r |= set(f, FACT_owner_name, "") | set(f, FACT_owner_kind, "");
		return r | set(f, FACT_owner_confidence, "");
	}
	if (r == 0)
		r = set(f, FACT_owner_name, owner.name);
	if (r == 0)
		r = set(f, FACT_owner_kind, owner.kind);
	return r < 0 ? r : weigh(s, f, &owner, rule);
}

bool owner_had_several(const struct facts *f)
{
	return strstr(facts_text(f, FACT_owner_evidence), SEVERAL);
}

bool owner_was_other(const struct facts *f, const struct workload *user)
{
	const struct owner_sources s = { .user = user };
	const char *before = strstr(facts_text(f, FACT_owner_evidence), ONLY);
	struct claimed now = { .confidence = CONFIDENCE_NONE };
	size_t len;

	if (!before || !by_user(&s, f, &now))
		return false;
	/* As it was kept: lists cut their elements. */
	len = strnlen(now.evidence, FACTS_TEXT_MAX);
	if (!strncmp(before, now.evidence, len))
		return before[len] && before[len] != FACTS_LIST_SEPARATOR;
	return true;
}
