/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request waits for its answer's record, which comes after its status; a short while only, since there
 * may be none (bytes were missed). What is whole waits for the monitor to say who asked.
 */
#include "agent/minting.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/lru.h"
#include "sinks/sink.h"
#include "tokens/class.h"
#include "tokens/facts.h"

#define ANSWER_WAIT_NS (3 * UINT64_C(1000000000))	/* from the status to the answer's last byte */
#define NS_PER_S UINT64_C(1000000000)

struct waiting {
	struct lru_node node;		/* by connection and seq, in the order of arrival */
	struct waiting *next;		/* whole, the process is not known yet */
	uint64_t since_ns, status_ns;
	uint16_t status;
	bool has_request, has_answer;
	struct tt_ev_use ev;
	struct tt_ev_mint request, answer;
};

struct minting {
	struct lru requests;
	struct waiting *first, **last;	/* whole */
	size_t limit, whole;
	uint64_t wait_ns;
	struct convert *convert;
	struct process_cache *processes;
	minting_done done;
	void *ctx;
};

DEFINE_CLEANUP(struct minting *, minting_free)

int minting_new(size_t limit, uint64_t wait_ns, struct convert *convert, struct process_cache *processes,
		minting_done done, void *ctx, struct minting **ret_minting)
{
	_cleanup_(minting_freep) struct minting *m = NULL;
	int r;

	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->limit = limit;
	m->wait_ns = wait_ns;
	m->convert = convert;
	m->processes = processes;
	m->done = done;
	m->ctx = ctx;
	m->last = &m->first;
	r = lru_init(&m->requests);
	if (r < 0)
		return r;
	*ret_minting = TAKE_PTR(m);
	return 0;
}

static struct waiting *oldest(const struct minting *m)
{
	return m->requests.oldest ? lru_entry(m->requests.oldest, struct waiting, node) : NULL;
}

void minting_free(struct minting *m)
{
	if (!m)
		return;
	for (struct waiting *w; (w = oldest(m)); free(w))
		lru_remove(&m->requests, &w->node);
	for (struct waiting *w; (w = m->first); free(w))
		m->first = w->next;
	lru_done(&m->requests);
	free(m);
}

static uint64_t hash_of(uint64_t conn, uint32_t seq)
{
	const uint64_t key[] = { conn, seq };

	return lru_hash(0, key, sizeof(key));
}

static struct waiting *find(const struct minting *m, const struct tt_ev_hdr *h)
{
	if (!m->requests.count)	/* as for most statuses */
		return NULL;
	for (struct lru_node *n = lru_first(&m->requests, hash_of(h->conn, h->seq)); n; n = lru_next(n)) {
		struct waiting *w = lru_entry(n, struct waiting, node);

		if (w->ev.h.conn == h->conn && w->ev.h.seq == h->seq)
			return w;
	}
	return NULL;
}

/* ---- from records to a mint ---- */

static const struct token_class *add_token(struct minting *m, struct mint *to, enum mint_part part,
					   const uint64_t token[2], uint32_t length, uint16_t class_id,
					   const char *role, const char *where)
{
	const struct token_class *class = class_get(class_id);
	struct mint_token *t = &to->token[to->tokens];

	if (to->tokens == MINT_TOKENS_MAX || convert_id(m->convert, token, length, t->id) < 0)
		return NULL;
	t->class_name = class ? class->name : "";
	t->kind = class && class->kind ? class->kind : "";
	t->length = length;
	t->part = part;
	snprintf(t->role, sizeof(t->role), "%s%s", where, role);
	to->tokens++;
	return class;
}

/* What the credential of the head is when no other token is named: "end the one that I show". */
static bool ends_itself(const struct mint_rule *rule, const char *path)
{
	const char *end = strrchr(path, '/');

	return rule->kind == MINT_KIND_REVOKE &&
	       ((end && strcmp(end, "/revoke-self") == 0) || (rule->methods & TT_MINT_DELETE));
}

static void add_head(struct minting *m, struct mint *to, const struct mint_rule *rule, const struct tt_ev_use *ev)
{
	for (size_t i = 0; i < ev->creds; i++) {
		const uint64_t token[2] = { ev->cred[i].token[0], ev->cred[i].token[1] };
		struct use u = to->request;

		if ((ev->cred[i].flags & TT_CRED_UNREADABLE) ||
		    convert_credential(m->convert, &ev->cred[i], &u) <= 0)
			continue;
		add_token(m, to, ends_itself(rule, to->request.path) ? MINT_PART_REVOKED : MINT_PART_PARENT,
			  token, ev->cred[i].length, ev->cred[i].class_id, u.carrier, "");
	}
}

static const char *role_of(enum mint_meaning meaning)
{
	switch (meaning) {
	case MINT_REFRESH:
		return "refresh";
	case MINT_ID:
		return "id";
	case MINT_SESSION:
		return "session";
	default:
		return "access";
	}
}

static void add_bodies_token(struct minting *m, struct mint *to, const struct mint_rule *rule,
			     const struct tt_mint_cred *c, bool answer)
{
	const struct mint_member *member = mint_member_get(c->member);
	const uint64_t token[2] = { c->token[0], c->token[1] };
	enum mint_part part = MINT_PART_PARENT;

	if (!member)
		return;
	if (answer) {
		/* What an error says, or a check, is no new token. */
		if (rule->kind == MINT_KIND_MINT && to->succeeded)
			add_token(m, to, MINT_PART_MINTED, token, c->length, c->class_id,
				  role_of(member->meaning), "");
		return;
	}
	if (member->meaning == MINT_SUBJECT_TOKEN && rule->kind == MINT_KIND_REVOKE)
		part = MINT_PART_REVOKED;
	else if (member->meaning == MINT_SUBJECT_TOKEN && rule->kind == MINT_KIND_CHECK)
		part = MINT_PART_CHECKED;
	add_token(m, to, part, token, c->length, c->class_id, member->path, "body:");
}

static void set_once(char to[static MINT_TEXT_LEN], const uint8_t *text, size_t len)
{
	if (!to[0])
		use_set_text(to, MINT_TEXT_LEN, text, len);
}

/* Seconds: "3600", "3600s", "24h". */
static uint64_t seconds_of(const uint8_t *text, size_t len)
{
	uint64_t n = 0;
	size_t i = 0;

	for (; i < len && text[i] >= '0' && text[i] <= '9' && n < UINT32_MAX; i++)
		n = n * 10 + (text[i] - '0');
	if (i == len || text[i] == 's' || text[i] == '.')
		return n;
	return text[i] == 'm' ? n * 60 : text[i] == 'h' ? n * 3600 : 0;
}

/* Of what AWS STS does: AssumeRole and its like, GetSessionToken, GetFederationToken, GetWebIdentityToken,
 * GetDelegatedAccessToken; not GetCallerIdentity and the others that only tell something. */
static bool action_mints(const uint8_t *action, size_t len)
{
	static const char assume[] = "Assume", get[] = "Get", token[] = "Token";

	if (len >= strlen(assume) && !memcmp(action, assume, strlen(assume)))
		return true;
	return len >= strlen(get) + strlen(token) && !memcmp(action, get, strlen(get)) &&
	       !memcmp(action + len - strlen(token), token, strlen(token));
}

static void set_asked(struct mint *to, enum mint_meaning meaning, const uint8_t *text, size_t len)
{
	switch (meaning) {
	case MINT_ACTION:
		to->other = !action_mints(text, len);
		set_once(to->grant, text, len);
		break;
	case MINT_GRANT:
		set_once(to->grant, text, len);
		break;
	case MINT_CLIENT:
		set_once(to->client_id, text, len);
		break;
	case MINT_SCOPE:
		set_once(to->requested_scopes, text, len);
		break;
	case MINT_AUDIENCE:
	case MINT_RESOURCE:
		set_once(to->audience, text, len);
		break;
	case MINT_ROLE:
		set_once(to->subject, text, len);
		break;
	case MINT_DURATION:
		to->requested_s = seconds_of(text, len);
		break;
	default:
		break;
	}
}

static void set_expiry(struct mint *to, enum mint_meaning meaning, const uint8_t *text, size_t len)
{
	char copy[MINT_TEXT_LEN];

	use_set_text(copy, sizeof(copy), text, len);
	if (meaning == MINT_EXPIRES_AT && !to->expires_ns) {
		to->expires_ns = mint_time(copy);
		to->expires_dated = true;
	} else if (meaning == MINT_EXPIRES_IN && seconds_of(text, len)) {
		to->expires_ns = to->time_ns + seconds_of(text, len) * NS_PER_S;
		to->expires_dated = false;
	} else if (meaning == MINT_REFRESH_EXPIRES_IN && seconds_of(text, len)) {
		to->refresh_expires_ns = to->time_ns + seconds_of(text, len) * NS_PER_S;
	}
}

static void set_answered(struct mint *to, enum mint_meaning meaning, const uint8_t *text, size_t len)
{
	switch (meaning) {
	case MINT_SCOPE:
		set_once(to->scopes, text, len);
		break;
	case MINT_CLIENT:
		set_once(to->client_id, text, len);
		break;
	case MINT_SUBJECT:
	case MINT_ROLE:
		set_once(to->subject, text, len);
		break;
	case MINT_AUDIENCE:
	case MINT_RESOURCE:
		set_once(to->audience, text, len);
		break;
	case MINT_TOKEN_TYPE:
		set_once(to->token_type, text, len);
		break;
	case MINT_ISSUED_TYPE:
		set_once(to->issued_type, text, len);
		break;
	case MINT_ACCOUNT:
		set_once(to->account, text, len);
		break;
	case MINT_KEY_ID:
		set_once(to->key_id, text, len);
		break;
	case MINT_ERROR:
		if (!to->succeeded)
			set_once(to->error, text, len);
		break;
	case MINT_ACTIVE:
		if (to->action == MINT_KIND_CHECK)
			to->succeeded &= (len == 4 && memcmp(text, "true", 4) == 0) || (len == 1 && *text == '1');	/* protobuf's bool */
		break;
	default:
		set_expiry(to, meaning, text, len);
	}
}

static void add_body(struct minting *m, struct mint *to, const struct mint_rule *rule, const struct tt_ev_mint *ev)
{
	bool answer = ev->part == TT_MINT_ANSWER;

	for (size_t i = 0; i < ev->creds; i++)
		add_bodies_token(m, to, rule, &ev->cred[i], answer);
	for (size_t at = 0; at + 2 <= ev->text_len; at += 2 + ev->text[at + 1]) {
		const struct mint_member *member = mint_member_get(ev->text[at]);

		if (!member || at + 2 + ev->text[at + 1] > ev->text_len)
			continue;
		(answer ? set_answered : set_asked)(to, member->meaning, ev->text + at + 2, ev->text[at + 1]);
	}
}

static void set_issuer(struct mint *to)
{
	const struct use *u = &to->request;
	char port[8] = "";
	const char *host = u->server_address[0] ? u->server_address :
			   u->dir == TT_DIR_EGRESS ? u->peer_ip : "";

	if (u->server_port && u->server_port != 443 && u->server_port != 80)
		snprintf(port, sizeof(port), ":%u", u->server_port);
	snprintf(to->issuer, sizeof(to->issuer), "%s%s%s", host, port, u->path);
}

/* Whom the path says it is for. */
static void set_path_subject(struct mint *to, const struct mint_rule *rule)
{
	char namespace[TT_PATH_LEN + 1], account[TT_PATH_LEN + 1];
	const char *path = to->request.path, *last = strrchr(path, '/');

	if (sscanf(path, "/api/v1/namespaces/%160[^/]/serviceaccounts/%160[^/]/token", namespace, account) == 2)
		snprintf(to->subject, sizeof(to->subject), "system:serviceaccount:%.63s:%.160s", namespace, account);
	else if (!to->subject[0] && strcmp(rule->name, "aws_imds_role") == 0 && last && last[1] != '{')
		snprintf(to->subject, sizeof(to->subject), "%s", last + 1);
}

static const char *note_of(const struct mint *to, const struct waiting *w)
{
	if (to->action != MINT_KIND_MINT || !to->succeeded || mint_token_of(to, MINT_PART_MINTED, NULL))
		return "";
	if (!w->has_answer)
		return "answer_not_seen";
	if (w->answer.flags & TT_MINT_COMPRESSED)
		return "compressed";
	return w->answer.flags & TT_MINT_INCOMPLETE ? "incomplete" : "unreadable";
}

/* The head alone does not always say that this is what it looks like. */
static bool believed(const struct mint *to, const struct mint_rule *rule)
{
	if (to->other)
		return false;
	if (rule->sure || mint_token_of(to, MINT_PART_MINTED, NULL) || to->grant[0])
		return true;
	if (mint_token_of(to, MINT_PART_REVOKED, NULL) || mint_token_of(to, MINT_PART_CHECKED, NULL))
		return true;
	return to->request.status >= 400 && to->error[0];
}

static void make(struct minting *m, const struct waiting *w, const struct process_info *info)
{
	const struct mint_rule *rule = mint_rule_get(w->ev.mint);
	struct mint to = { .note = "" };
	struct outcome outcome = { .status = w->status };

	if (!rule || convert_request(m->convert, &w->ev, outcome, info, &to.request) < 0)
		return;
	to.action = rule->kind;
	to.method = rule->name;
	to.succeeded = w->status >= 200 && w->status < 300;
	to.time_ns = w->has_answer ? convert_time(m->convert, w->answer.h.time_ns) : to.request.last_ns;
	set_issuer(&to);
	add_head(m, &to, rule, &w->ev);
	if (w->has_request)
		add_body(m, &to, rule, &w->request);
	if (w->has_answer)
		add_body(m, &to, rule, &w->answer);
	set_path_subject(&to, rule);
	to.note = note_of(&to, w);
	if (!believed(&to, rule))
		return;
	if (!strcmp(to.note, "answer_not_seen"))
		agent_drops[TT_DROP_mint_lost]++;
	m->done(m->ctx, &to);
}

/* ---- waiting ---- */

static void settle(struct minting *m, struct waiting *w, uint64_t now_ns)
{
	struct process_info info;

	lru_remove(&m->requests, &w->node);
	if (process_know(m->processes, &w->ev.h, now_ns, &info)) {
		make(m, w, &info);
		free(w);
		return;
	}
	w->next = NULL;
	*m->last = w;
	m->last = &w->next;
	m->whole++;
}

/* Those whose process is known by now, or when `all`. */
static void settle_whole(struct minting *m, uint64_t now_ns, bool all)
{
	struct waiting *w = m->first, *next;

	m->first = NULL;
	m->last = &m->first;
	m->whole = 0;
	for (; w; w = next) {
		struct process_info info = { .executable = "" };

		next = w->next;
		if (process_know(m->processes, &w->ev.h, now_ns, &info) || all) {
			make(m, w, &info);
			free(w);
			continue;
		}
		w->next = NULL;
		*m->last = w;
		m->last = &w->next;
		m->whole++;
	}
}

void minting_use(struct minting *m, const struct tt_ev_use *ev, uint64_t now_ns)
{
	struct waiting *w = calloc(1, sizeof(*w));

	if (w)
		m->requests.count >= m->limit ? settle(m, oldest(m), now_ns) : (void)0;
	if (!w || m->whole >= m->limit) {
		agent_drops[TT_DROP_pending_full]++;
		free(w);
		return;
	}
	w->ev = *ev;
	w->since_ns = now_ns;
	lru_add(&m->requests, &w->node, hash_of(ev->h.conn, ev->h.seq));
}

void minting_body(struct minting *m, const struct tt_ev_mint *ev, uint64_t now_ns)
{
	struct waiting *w = find(m, &ev->h);

	/* Its head's record was lost in the kernel, which has counted it. */
	if (!w)
		return;
	if (w->ev.h.tuple.family == TT_AF_NONE)
		w->ev.h.tuple = ev->h.tuple;
	if (ev->part == TT_MINT_REQUEST) {
		w->request = *ev;
		w->has_request = true;
		return;
	}
	w->answer = *ev;
	w->has_answer = true;
	w->status = ev->status;
	settle(m, w, now_ns);
}

void minting_status(struct minting *m, const struct tt_ev_status *ev, uint64_t now_ns)
{
	struct waiting *w = find(m, &ev->h);

	if (!w)
		return;
	if (ev->flags & TT_STATUS_UNSENT) {
		lru_remove(&m->requests, &w->node);
		free(w);
		return;
	}
	w->status = ev->status;
	w->status_ns = now_ns;
}

void minting_close(struct minting *m, const struct tt_ev_status *ev, uint64_t now_ns)
{
	for (struct lru_node *n = m->requests.oldest, *newer; n; n = newer) {
		struct waiting *w = lru_entry(n, struct waiting, node);

		newer = n->newer;
		if (w->ev.h.conn == ev->h.conn)
			settle(m, w, now_ns);
	}
}

void minting_tick(struct minting *m, uint64_t now_ns)
{
	settle_whole(m, now_ns, false);
	for (struct lru_node *n = m->requests.oldest, *newer; n; n = newer) {
		struct waiting *w = lru_entry(n, struct waiting, node);

		newer = n->newer;
		if (now_ns - w->since_ns >= m->wait_ns ||
		    (w->status_ns && now_ns - w->status_ns >= ANSWER_WAIT_NS))
			settle(m, w, now_ns);
	}
}

void minting_flush(struct minting *m, uint64_t now_ns)
{
	for (struct waiting *w; (w = oldest(m));)
		settle(m, w, now_ns);
	settle_whole(m, now_ns, true);
}

size_t minting_count(const struct minting *m)
{
	return m->requests.count + m->whole;
}

/* ---- facts ---- */

static int set(struct facts *f, enum fact which, const char *text)
{
	return *text ? facts_set_text(f, which, text, strlen(text)) : 0;
}

static int add_words(struct facts *f, enum fact list, const char *text)
{
	int r = 0;

	while (r == 0 && *text) {
		size_t n = strcspn(text, " ");

		if (n)
			r = facts_add(f, list, text, n);
		text += n + (text[n] == ' ');
	}
	return r;
}

/* Which credential a token was made from: that of the body says more than the client's own. */
static const struct mint_token *parent_of(const struct mint *m)
{
	static const char *const first[] = { "body:refresh_token", "body:subject_token", "body:code",
					     "body:assertion", "body:device_code", "body:jwt",
					     "body:WebIdentityToken" };
	const struct mint_token *t = NULL;

	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]) && !t; i++)
		t = mint_token_of(m, MINT_PART_PARENT, first[i]);
	return t ? t : mint_token_of(m, MINT_PART_PARENT, NULL);
}

static const char *kind_of(const struct mint_token *t)
{
	if (*t->kind)
		return t->kind;
	if (strcmp(t->role, "refresh") == 0)
		return "oauth_refresh";
	if (strcmp(t->role, "id") == 0)
		return "id_token";
	return strcmp(t->role, "session") == 0 ? "cloud_sts" : "oauth_access";
}

/*
 * What an answer says of its access token holds for the refresh token but for the end, and not for an ID token
 * beside it (OpenID Connect Core, 3.1.3.3): that is for the client, and says of itself when it ends.
 */
static bool answer_is_of(const struct mint *m, const struct mint_token *t)
{
	return strcmp(t->role, "id") != 0 || !mint_token_of(m, MINT_PART_MINTED, "access");
}

static int set_granted(struct facts *f, const struct mint *m, const struct mint_token *t)
{
	bool refresh = strcmp(t->role, "refresh") == 0;
	uint64_t expires = refresh ? m->refresh_expires_ns : m->expires_ns;
	int r;

	r = set(f, FACT_token_subject, m->subject);
	r |= add_words(f, FACT_token_audience, m->audience);
	r |= add_words(f, FACT_token_scopes, *m->scopes ? m->scopes : m->requested_scopes);
	r |= set(f, FACT_token_public_id, m->key_id);
	r |= set(f, FACT_token_account, m->account);
	if (expires) {
		facts_set_number(f, FACT_token_expires, expires);
		r |= set(f, FACT_token_expiry_rule, m->expires_dated && !refresh ? "expires_at" : "expires_in");
	}
	return r;
}

static int set_minted(struct facts *f, const struct mint *m, const struct mint_token *t)
{
	const struct mint_token *parent = parent_of(m), *previous = mint_token_of(m, MINT_PART_PARENT,
										   "body:refresh_token");
	bool refresh = strcmp(t->role, "refresh") == 0;
	int r;

	facts_set_number(f, FACT_minted_time, m->time_ns);
	r = set(f, FACT_minted_issuer, m->issuer);
	r |= set(f, FACT_minted_method, m->method);
	r |= set(f, FACT_minted_grant, m->grant);
	r |= set(f, FACT_minted_executable, m->request.executable);
	r |= set(f, FACT_minted_container, m->request.container_id);
	r |= set(f, FACT_minted_parent, parent ? parent->id : "");
	r |= set(f, FACT_minted_previous, refresh && previous && strcmp(previous->id, t->id) ? previous->id : "");
	r |= set(f, FACT_token_client_id, m->client_id);
	if (answer_is_of(m, t))
		r |= set_granted(f, m, t);
	return r < 0 ? -ENOMEM : 0;
}

int mint_facts(const struct mint *m, int (*take)(void *ctx, const struct token *about, const struct facts *f),
	       void *ctx)
{
	int r = 0;

	for (size_t i = 0; i < m->tokens && m->succeeded; i++) {
		const struct mint_token *t = &m->token[i];
		struct token about = { .class_name = t->class_name, .kind = t->kind, .length = t->length };
		struct facts f = { 0 };
		int told = 0;

		if (t->part != MINT_PART_MINTED && t->part != MINT_PART_REVOKED)
			continue;
		memcpy(about.token_id, t->id, sizeof(about.token_id));
		memcpy(about.key_id, m->request.key_id, sizeof(about.key_id));
		if (t->part == MINT_PART_MINTED) {
			about.kind = kind_of(t);
			told = set_minted(&f, m, t);
		} else {
			facts_set_number(&f, FACT_revoked_time, m->time_ns);
			told = set(&f, FACT_revoked_method, m->method);
		}
		if (told == 0)
			told = take(ctx, &about, &f);
		facts_done(&f);
		r = r < 0 ? r : told;
	}
	return r;
}
