/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A row is (process id, start time, name). The name is in it because exec keeps the other two: the
 * shell that becomes curl is asked for again. Rows with an open question are in a queue by the time
 * it was asked; each has its own queue of requests that wait for the answer.
 *
 * Workloads are shared, by container or by what else names them, so that ten thousand processes of one
 * are told apart by a pointer.
 */
#include "enrich/process.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/lru.h"
#include "enrich/workload.h"
#include "ipc/chan.h"

/* Open questions at a time. The monitor reads /proc for each, and a program that changes its name
 * all the time must not keep it busy: beyond this nobody is asked. */
#define ASKED_MAX 256
#define SHARED_MAX 1024		/* workloads remembered, about 3 KiB each */

struct shared {
	struct lru_node node;
	struct workload *work;
	char key[TT_IPC_PATH_LEN + 16];
};

struct held {
	struct held *next;
	struct outcome outcome;
	struct tt_ev_use ev;
};

struct process {
	struct lru_node node;
	struct process *next, *prev;	/* queue of open questions */
	struct held *first, *last;
	bool sent;			/* the question went out once */
	bool asked;			/* and is open */
	uint64_t asked_ns;
	uint64_t start_ns;
	uint32_t tgid, uid;
	uint8_t comm[TT_COMM_LEN];
	char pod[POD_UID_LEN];
	struct process_info info;
};

struct process_cache {
	struct lru table;
	struct process *first, *last;
	struct lru shared;
	struct workload *bundle;	/* of the answer that is under way; NULL */
	size_t asked, held;
	size_t limit, hold_limit;
	struct process_ops ops;
	void *ctx;
};

DEFINE_CLEANUP(struct process_cache *, process_free)

int process_new(size_t limit, size_t hold_limit, const struct process_ops *ops, void *ctx,
		struct process_cache **ret_cache)
{
	_cleanup_(process_freep) struct process_cache *c = NULL;
	int r;

	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->limit = limit;
	c->hold_limit = hold_limit;
	c->ops = *ops;
	c->ctx = ctx;
	r = lru_init(&c->table);
	if (r == 0)
		r = lru_init(&c->shared);
	if (r < 0)
		return r;
	*ret_cache = TAKE_PTR(c);
	return 0;
}

static uint64_t hash_of(uint32_t tgid, uint64_t start_ns)
{
	const uint64_t key[] = { tgid, start_ns };

	return lru_hash(0, key, sizeof(key));
}

static void close_question(struct process_cache *c, struct process *p)
{
	if (!p->asked)
		return;
	p->asked = false;
	*(p->prev ? &p->prev->next : &c->first) = p->next;
	*(p->next ? &p->next->prev : &c->last) = p->prev;
	p->next = p->prev = NULL;
	c->asked--;
}

/* The question is answered or given up: what waited goes on. */
static void release(struct process_cache *c, struct process *p)
{
	struct held *h;

	close_question(c, p);
	while ((h = p->first)) {
		p->first = h->next;
		c->held--;
		c->ops.done(c->ctx, &h->ev, h->outcome, &p->info);
		free(h);
	}
	p->last = NULL;
}

static void forget(struct process_cache *c, struct process *p)
{
	lru_remove(&c->table, &p->node);
	workload_drop(p->info.work);
	free(p);
}

static void forget_shared(struct process_cache *c, struct shared *s)
{
	lru_remove(&c->shared, &s->node);
	workload_drop(s->work);
	free(s);
}

void process_free(struct process_cache *c)
{
	if (!c)
		return;
	while (c->table.oldest) {
		struct process *p = lru_entry(c->table.oldest, struct process, node);

		while (p->first) {
			struct held *h = p->first;

			p->first = h->next;
			free(h);
		}
		forget(c, p);
	}
	while (c->shared.oldest)
		forget_shared(c, lru_entry(c->shared.oldest, struct shared, node));
	workload_drop(c->bundle);
	lru_done(&c->shared);
	lru_done(&c->table);
	free(c);
}

static struct process *find(const struct process_cache *c, const struct tt_ev_hdr *h)
{
	struct lru_node *n = lru_first(&c->table, hash_of(h->tgid, h->start_ns));

	for (; n; n = lru_next(n)) {
		struct process *p = lru_entry(n, struct process, node);

		if (p->tgid == h->tgid && p->start_ns == h->start_ns &&
		    memcmp(p->comm, h->comm, TT_COMM_LEN) == 0)
			return p;
	}
	return NULL;
}

static void ask(struct process_cache *c, struct process *p, uint64_t cgroup, uint64_t now_ns)
{
	struct tt_ipc_ask msg = { .start_ns = p->start_ns, .cgroup = cgroup, .tgid = p->tgid };

	if (p->sent || c->asked >= ASKED_MAX)
		return;
	chan_stamp(&msg.h, TT_IPC_ASK, sizeof(msg));
	if (c->ops.ask(c->ctx, &msg) < 0)
		return;
	p->sent = p->asked = true;
	p->asked_ns = now_ns;
	p->prev = c->last;
	*(c->last ? &c->last->next : &c->first) = p;
	c->last = p;
	c->asked++;
}

/* ---- workloads ---- */

static struct workload *shared_find(struct process_cache *c, const char *key)
{
	struct lru_node *n = lru_first(&c->shared, lru_hash(0, key, strlen(key)));

	for (; n; n = lru_next(n)) {
		struct shared *s = lru_entry(n, struct shared, node);

		if (strcmp(s->key, key) == 0) {
			lru_touch(&c->shared, n);
			return s->work;
		}
	}
	return NULL;
}

/* Takes w over. */
static void shared_add(struct process_cache *c, const char *key, struct workload *w)
{
	struct shared *s = calloc(1, sizeof(*s));

	if (!s) {
		workload_drop(w);
		return;
	}
	while (c->shared.count >= SHARED_MAX)
		forget_shared(c, lru_entry(c->shared.oldest, struct shared, node));
	s->work = w;
	snprintf(s->key, sizeof(s->key), "%s", key);
	lru_add(&c->shared, &s->node, lru_hash(0, key, strlen(key)));
}

static void container_key(const char *id, char to[static TT_IPC_PATH_LEN + 16])
{
	snprintf(to, TT_IPC_PATH_LEN + 16, "container %s", id);
}

static void set_work(struct process *p, struct workload *w)
{
	if (!w || p->info.work == w)
		return;
	workload_drop(p->info.work);
	p->info.work = workload_hold(w);
}

/* What another process of the same container was told of it. */
static bool adopt(struct process_cache *c, struct process *p)
{
	char key[TT_IPC_PATH_LEN + 16];

	if (p->info.container_id[0] && !p->info.work) {
		container_key(p->info.container_id, key);
		set_work(p, shared_find(c, key));
	}
	return p->info.work;
}

static void set_process_work(struct process_cache *c, struct process *p, const char *cgroup, bool terminal)
{
	char key[TT_IPC_PATH_LEN + 16];
	struct workload *w = workload_new(), *known;

	if (!w)
		return;
	workload_set_process(w, cgroup, p->info.executable, p->uid, terminal);
	if (!w->kind[0]) {
		workload_drop(w);
		return;
	}
	snprintf(key, sizeof(key), "%c%s %lld", w->kind[0], w->name, (long long)w->user);
	known = shared_find(c, key);
	set_work(p, known ? known : w);
	if (known)
		workload_drop(w);
	else
		shared_add(c, key, w);
}

/* False: nobody will answer. */
static bool look(struct process_cache *c, const struct process *p)
{
	struct tt_ipc_look msg = { .start_ns = p->start_ns, .tgid = p->tgid };

	if (!c->ops.look || strlen(p->info.container_id) >= sizeof(msg.container))
		return false;
	memcpy(msg.container, p->info.container_id, strlen(p->info.container_id));
	memcpy(msg.pod, p->pod, strlen(p->pod));
	chan_stamp(&msg.h, TT_IPC_LOOK, sizeof(msg));
	return c->ops.look(c->ctx, &msg) == 0;
}

static struct process *get(struct process_cache *c, const struct tt_ev_hdr *h, uint64_t now_ns)
{
	struct process *p = find(c, h);

	if (p) {
		lru_touch(&c->table, &p->node);
		adopt(c, p);
		ask(c, p, h->cgroup, now_ns);
		return p;
	}
	while (c->table.count >= c->limit && c->table.oldest) {
		struct process *old = lru_entry(c->table.oldest, struct process, node);

		release(c, old);
		forget(c, old);
	}
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->tgid = h->tgid;
	p->start_ns = h->start_ns;
	p->uid = h->uid;
	memcpy(p->comm, h->comm, TT_COMM_LEN);
	lru_add(&c->table, &p->node, hash_of(h->tgid, h->start_ns));
	ask(c, p, h->cgroup, now_ns);
	return p;
}

void process_want(struct process_cache *c, const struct tt_ev_hdr *h, uint64_t now_ns)
{
	get(c, h, now_ns);
}

bool process_know(struct process_cache *c, const struct tt_ev_hdr *h, uint64_t now_ns,
		  struct process_info *ret_info)
{
	struct process *p = get(c, h, now_ns);

	if (p && p->asked)
		return false;
	if (p)
		*ret_info = p->info;
	else
		memset(ret_info, 0, sizeof(*ret_info));
	ret_info->work = NULL;	/* the caller keeps the rest */
	return true;
}

static bool hold(struct process_cache *c, struct process *p, const struct tt_ev_use *ev,
		 struct outcome outcome)
{
	struct held *h;

	h = malloc(sizeof(*h));
	if (!h)
		return false;
	h->next = NULL;
	h->outcome = outcome;
	h->ev = *ev;
	*(p->last ? &p->last->next : &p->first) = h;
	p->last = h;
	c->held++;
	return true;
}

void process_submit(struct process_cache *c, const struct tt_ev_use *ev,
		    struct outcome outcome, uint64_t now_ns)
{
	static const struct process_info nothing;
	struct process *p = get(c, &ev->h, now_ns);

	if (p && p->asked) {
		/* Too many wait: the longest open question is given up. It may be this one. */
		if (c->held >= c->hold_limit)
			release(c, c->first);
		if (p->asked && hold(c, p, ev, outcome))
			return;
	}
	c->ops.done(c->ctx, ev, outcome, p ? &p->info : &nothing);
}

static void set_workload(struct process_info *info, enum coverage_kind kind, const char *name)
{
	size_t len = strlen(name);

	if (len >= sizeof(info->workload))
		len = sizeof(info->workload) - 1;
	info->workload_kind = kind;
	memcpy(info->workload, name, len);
	info->workload[len] = 0;
}

static void fill_workload(struct process_info *info, const char *cgroup)
{
	char unit[COVERAGE_WORKLOAD_LEN];

	info->workload[0] = 0;
	info->workload_kind = COVERAGE_NO_WORKLOAD;
	if (info->container_id[0])
		set_workload(info, COVERAGE_CONTAINER, info->container_id);
	else if (unit_of_cgroup(cgroup, unit, sizeof(unit)))
		set_workload(info, COVERAGE_UNIT, unit);
	else if (cgroup[0] && strcmp(cgroup, "/"))
		set_workload(info, COVERAGE_CGROUP, cgroup);
	else if (info->executable[0])
		set_workload(info, COVERAGE_EXECUTABLE, info->executable);
}

/* False: there is another question, about its container, to wait for. */
static bool fill(struct process_cache *c, struct process *p, const struct tt_ipc_proc *answer)
{
	struct process_info *info = &p->info;
	char path[TT_IPC_CGROUP_LEN] = "";

	if (answer->known & TT_PROC_EXECUTABLE) {
		memcpy(info->executable, answer->executable, sizeof(info->executable));
		info->executable[sizeof(info->executable) - 1] = 0;
	}
	if (answer->known & TT_PROC_CGROUP) {
		memcpy(path, answer->cgroup_path, sizeof(path));
		path[sizeof(path) - 1] = 0;
		container_of_cgroup(path, info->container_id);
		pod_of_cgroup(path, p->pod);
	}
	fill_workload(info, path);
	if (info->container_id[0])
		return adopt(c, p) || !look(c, p);
	set_process_work(c, p, path, answer->known & TT_PROC_TERMINAL);
	return true;
}

void process_answer(struct process_cache *c, const struct tt_ipc_proc *answer)
{
	struct lru_node *n = lru_first(&c->table, hash_of(answer->tgid, answer->start_ns));

	for (; n; n = lru_next(n)) {
		struct process *p = lru_entry(n, struct process, node);

		if (p->tgid != answer->tgid || p->start_ns != answer->start_ns)
			continue;
		/* A late answer is good for the requests to come; one that is known stays. */
		if ((!p->asked && p->info.executable[0]) || fill(c, p, answer))
			release(c, p);
	}
}

void process_bundle(struct process_cache *c, const struct tt_ipc_bundle *m, int fd)
{
	workload_drop(c->bundle);
	c->bundle = workload_new();
	if (c->bundle)
		workload_read_bundle(c->bundle, fd);
}

static struct process *find_place(const struct process_cache *c, const struct tt_ipc_place *place)
{
	struct lru_node *n = lru_first(&c->table, hash_of(place->tgid, place->start_ns));

	for (; n; n = lru_next(n)) {
		struct process *p = lru_entry(n, struct process, node);

		if (p->tgid == place->tgid && p->start_ns == place->start_ns &&
		    p->info.container_id[0])
			return p;
	}
	return NULL;
}

/* All that wait for this container go on. */
static void release_container(struct process_cache *c, const char *id)
{
	struct process *p = c->first, *next;

	for (; p; p = next) {
		next = p->next;
		if (strcmp(p->info.container_id, id) == 0 && adopt(c, p))
			release(c, p);
	}
}

void process_place(struct process_cache *c, const struct tt_ipc_place *given)
{
	struct tt_ipc_place place = *given;
	struct process *p = find_place(c, &place);
	struct workload *w = c->bundle ? TAKE_PTR(c->bundle) : workload_new();
	char key[TT_IPC_PATH_LEN + 16];

	if (!p || !w) {
		workload_drop(w);
		return;
	}
	place.pod_dir[sizeof(place.pod_dir) - 1] = 0;
	place.log_link[sizeof(place.log_link) - 1] = 0;
	place.namespace[sizeof(place.namespace) - 1] = 0;
	container_key(p->info.container_id, key);
	if (shared_find(c, key)) {
		workload_drop(w);
	} else {
		workload_set_container(w, p->info.container_id, p->pod, &place);
		shared_add(c, key, w);
	}
	release_container(c, p->info.container_id);
}

void process_tick(struct process_cache *c, uint64_t now_ns)
{
	while (c->first && now_ns - c->first->asked_ns >= PROCESS_HOLD_NS)
		release(c, c->first);
}

void process_flush(struct process_cache *c)
{
	while (c->first)
		release(c, c->first);
}

size_t process_held(const struct process_cache *c)
{
	return c->held;
}
