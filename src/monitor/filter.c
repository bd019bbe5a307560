/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/filter.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/container.h"
#include "base/log.h"
#include "base/lru.h"
#include "config/filters.h"
#include "monitor/places.h"

/* What the kernel's table has, as far as there is room: the oldest leaves both. */
struct known {
	uint64_t id;
	char *path; /* of an executable; NULL: it is not known. Cgroups' are found by their ids */
};

struct table {
	uint32_t kind; /* TT_FILTER_ASK_* */
	uint32_t count, max, next;
	struct known *known;
};

struct filter {
	struct bpf_sensor *sensor;
	struct procs *procs;
	int root;
	const struct config *config; /* NULL: nothing was ever set */
	uint32_t number, now;	     /* of the configuration; the word that is in force */
	uint32_t side;		     /* of the verdicts that are written just now */
	struct table exes, cgroups;
};

/* ---- tables ---- */

static int table_init(struct table *t, uint32_t kind, uint32_t max)
{
	t->kind = kind;
	t->max = max;
	t->known = calloc(max, sizeof(*t->known));
	return t->known ? 0 : -ENOMEM;
}

static void table_done(struct table *t)
{
	for (uint32_t i = 0; t->known && i < t->count; i++)
		free(t->known[i].path);
	free(t->known);
}

static struct known *table_find(const struct table *t, uint64_t id)
{
	for (uint32_t i = 0; i < t->count; i++)
		if (t->known[i].id == id)
			return &t->known[i];
	return NULL;
}

static struct known *table_enter(struct filter *f, struct table *t, uint64_t id)
{
	struct known *k = table_find(t, id);

	if (k)
		return k;
	k = &t->known[t->next];
	t->next = (t->next + 1) % t->max;
	if (t->count < t->max)
		t->count++;
	else
		bpf_sensor_filter_forget(f->sensor, t->kind, k->id);
	free(k->path);
	*k = (struct known){.id = id};
	return k;
}

/* ---- verdicts ---- */

static void say_undecided(const char *what, const char *why)
{
	log_limited(LOG_LEVEL_WARNING,
		    "include and exclude can't decide about a process; nothing of it is read what=\"%s\" why=\"%s\"", what,
		    why);
}

static void put(struct filter *f, const struct table *t, uint64_t id, enum tt_filter_verdict verdict)
{
	int r = bpf_sensor_filter_put(f->sensor, t->kind, id, f->side, verdict);

	if (r < 0)
		log_limited(LOG_LEVEL_ERROR,
			    "a verdict of include and exclude can't be given to the kernel; the processes that it is on "
			    "are not read error=\"%s\"", strerror(-r));
}

static void decide_exe(struct filter *f, const struct known *k)
{
	enum tt_filter_verdict verdict = filters_executable(f->config, k->path);

	if (verdict == TT_FILTER_UNKNOWN)
		say_undecided("executable", "its path is too long");
	put(f, &f->exes, k->id, verdict);
}

/* NULL: it is in a pod of which this node does not know the namespace (yet). */
static const char *find_namespace(const struct filter *f, const char *path, char name[static 64])
{
	char pod[POD_UID_LEN];

	name[0] = '\0';
	if (!filters_by_namespace(f->config) || !pod_of_cgroup(path, pod))
		return name;
	return places_namespace(f->root, pod, name, 64) == 0 ? name : NULL;
}

static enum tt_filter_verdict judge_cgroup(const struct filter *f, const char *path)
{
	char name[64];

	return filters_cgroup(f->config, path, find_namespace(f, path, name));
}

static void decide_cgroup(struct filter *f, uint64_t id)
{
	enum tt_filter_verdict verdict = TT_FILTER_UNKNOWN;
	char path[PATH_MAX];

	if (procs_cgroup_path(f->procs, id, path, sizeof(path)) < 0)
		say_undecided("cgroup", "its path can't be found");
	else if ((verdict = judge_cgroup(f, path)) == TT_FILTER_UNKNOWN)
		say_undecided("pod", "its namespace is not known here");
	put(f, &f->cgroups, id, verdict);
}

/* ---- questions ---- */

/* The kernel gives the names from the last to the first. */
static void join_path(const struct tt_filter_ask *ask, char *to, size_t size)
{
	size_t len = 0;

	to[0] = '\0';
	for (int i = ask->parts; i-- > 0;) {
		const char *part = (const char *)ask->part[i];
		size_t n = strnlen(part, TT_FILTER_NAME_LEN);

		if (n == 0 || len + n + 2 > size)
			continue;
		to[len++] = '/';
		memcpy(to + len, part, n);
		len += n;
		to[len] = '\0';
	}
}

static void answer(const struct tt_filter_ask *ask, void *arg)
{
	char path[TT_FILTER_PARTS * (TT_FILTER_NAME_LEN + 1) + 1];
	struct filter *f = arg;
	struct known *k;

	if (!f->config)
		return;
	f->side = f->now & TT_FILTER_SIDE;
	if (ask->kind == TT_FILTER_ASK_CGROUP) {
		table_enter(f, &f->cgroups, ask->id);
		decide_cgroup(f, ask->id);
		return;
	}
	k = table_enter(f, &f->exes, ask->id);
	if (!k->path && !ask->cut && ask->parts <= TT_FILTER_PARTS) {
		join_path(ask, path, sizeof(path));
		k->path = strdup(path);
	}
	decide_exe(f, k);
}

int filter_fd(const struct filter *f)
{
	return bpf_sensor_filter_fd(f->sensor);
}

int filter_serve(struct filter *f)
{
	return bpf_sensor_filter_serve(f->sensor);
}

/* ---- ahead of the questions ---- */

static void tell_process(struct filter *f, uint32_t pid)
{
	struct tt_filter_proc proc = {0};
	char path[PATH_MAX];
	uint64_t start_ns;
	struct known *k;

	if (procs_alive(f->procs, pid, &start_ns) < 0 || procs_executable(pid, path, sizeof(path)) < 0)
		return;
	proc.start_ns = start_ns;
	proc.exe = lru_hash(0, path, strlen(path)) | TT_FILTER_TOLD;
	k = table_enter(f, &f->exes, proc.exe);
	if (!k->path)
		k->path = strdup(path);
	if (!k->path || strcmp(k->path, path) != 0)
		return; /* the kernel asks */
	decide_exe(f, k);
	/* What it began to run since is known in the kernel already. */
	bpf_sensor_filter_enter(f->sensor, pid, &proc);
}

static void tell_cgroup(struct filter *f, uint32_t pid)
{
	struct procs_identity identity;

	if (procs_identify(f->procs, pid, &identity) < 0 || !identity.cgroup)
		return;
	if (table_find(&f->cgroups, identity.cgroup))
		return;
	table_enter(f, &f->cgroups, identity.cgroup);
	decide_cgroup(f, identity.cgroup);
}

/* All that runs now. */
static int tell_all(struct filter *f, uint32_t by)
{
	DIR *proc = opendir("/proc");
	const struct dirent *e;

	if (!proc)
		return -errno;
	while ((e = readdir(proc))) {
		uint32_t pid = (uint32_t)strtoul(e->d_name, NULL, 10);

		if (pid && (by & TT_FILTER_BY_EXE))
			tell_process(f, pid);
		if (pid && (by & TT_FILTER_BY_CGROUP))
			tell_cgroup(f, pid);
	}
	closedir(proc);
	return 0;
}

void filter_forked(struct filter *f, uint32_t pid, uint32_t parent, uint64_t start_ns)
{
	struct tt_filter_proc proc;

	if (!(f->now & TT_FILTER_BY_EXE) || bpf_sensor_filter_proc(f->sensor, parent, &proc) < 0)
		return;
	/* What the kernel knows of the parent it finds for the child, too. */
	if (!(proc.exe & TT_FILTER_TOLD))
		return;
	proc.start_ns = start_ns;
	proc.known = 0;
	bpf_sensor_filter_enter(f->sensor, pid, &proc);
}

void filter_cgroup_made(struct filter *f, uint64_t cgroup, const char *path)
{
	enum tt_filter_verdict verdict;

	if (!(f->now & TT_FILTER_BY_CGROUP))
		return;
	/* A pod's namespace may not be known yet; then the kernel asks when somebody is in it. */
	verdict = judge_cgroup(f, path);
	if (verdict == TT_FILTER_UNKNOWN)
		return;
	f->side = f->now & TT_FILTER_SIDE;
	table_enter(f, &f->cgroups, cgroup);
	put(f, &f->cgroups, cgroup, verdict);
}

/* ---- the settings ---- */

static void decide_all(struct filter *f, uint32_t by)
{
	for (uint32_t i = 0; (by & TT_FILTER_BY_EXE) && i < f->exes.count; i++)
		decide_exe(f, &f->exes.known[i]);
	for (uint32_t i = 0; (by & TT_FILTER_BY_CGROUP) && i < f->cgroups.count; i++)
		decide_cgroup(f, f->cgroups.known[i].id);
}

static void turn_to(struct filter *f, uint32_t now)
{
	bpf_sensor_filter_switch(f->sensor, now);
	f->now = now;
}

int filter_set(struct filter *f, const struct config *config)
{
	uint32_t by = filters_by(config), more = by & ~f->now, next;
	int r = 0;

	f->config = config;
	if (!by) {
		turn_to(f, 0);
		return 0;
	}
	f->number = (f->number + 1) & 0xffffff;
	next = TT_FILTER_NUMBER(f->number);
	if (more & TT_FILTER_BY_EXE) {
		/* From here on the kernel notes who runs what; what it noted before may be long over. */
		turn_to(f, (f->now ? f->now : next) | TT_FILTER_LEARN);
		bpf_sensor_filter_clear(f->sensor);
	}
	f->side = next & TT_FILTER_SIDE;
	decide_all(f, by);
	if (more)
		r = tell_all(f, more);
	turn_to(f, next | by);
	return r;
}

bool filter_leaves(struct filter *f, uint32_t pid, uint64_t cgroup)
{
	enum tt_filter_verdict exe = TT_FILTER_WATCH, group = TT_FILTER_WATCH;
	char path[PATH_MAX];

	if (!f->now)
		return false;
	if (f->now & TT_FILTER_BY_EXE && procs_executable(pid, path, sizeof(path)) == 0)
		exe = filters_executable(f->config, path);
	if (f->now & TT_FILTER_BY_CGROUP && procs_cgroup_path(f->procs, cgroup, path, sizeof(path)) == 0)
		group = judge_cgroup(f, path);
	return exe == TT_FILTER_LEAVE || group == TT_FILTER_LEAVE;
}

int filter_new(struct bpf_sensor *sensor, struct procs *procs, int root, struct filter **ret_filter)
{
	struct filter *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->sensor = sensor;
	f->procs = procs;
	f->root = root;
	r = table_init(&f->exes, TT_FILTER_ASK_EXE, TT_FILTER_EXES);
	if (r == 0)
		r = table_init(&f->cgroups, TT_FILTER_ASK_CGROUP, TT_FILTER_CGROUPS);
	if (r == 0)
		r = bpf_sensor_filter_asks(sensor, answer, f);
	if (r < 0) {
		filter_free(f);
		return r;
	}
	*ret_filter = f;
	return 0;
}

void filter_free(struct filter *f)
{
	if (!f)
		return;
	table_done(&f->exes);
	table_done(&f->cgroups);
	free(f);
}
