/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/tally.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <readers/cover.h>

#include "ipc/chan.h"

#define PENDING_MAX 256 /* files of a process, most of which turn out to have no library */
#define CHECKS 256	/* processes asked for at each tick, in case their end was not told */
#define EXECS_MAX 64	/* remembered within a batch */

struct mapped {
	uint64_t file;
	uint32_t batch; /* in which the process mapped it; 0: it was copied by a fork */
	bool seen;	/* by the scan that runs now */
};

struct entry {
	struct tt_cover_key key;
	struct tt_cover_row row; /* zero, but for who it is, until the kernel has one */
	bool exact;		 /* key.start_ns is the kernel's; else it may be a tick off */
	bool has_row;
	bool identified; /* the row says who it is */
	bool exiting;	 /* its end was told of */
	bool gone;
	bool ended; /* gone, and its row was read for the last time */
	bool left; /* include and exclude leave it alone */
	bool told;
	uint64_t told_start_ns; /* as whom */
	bool queued;
	bool pending; /* its files have to be looked at: some may be being scanned */
	bool execed;  /* since its files were looked at */
	uint32_t files, files_max;
	uint64_t findings; /* stands for which files had a library when they were looked at */
	struct mapped *file;
	struct entry *next;	   /* same bucket */
	struct entry *later;	   /* in the queue */
	struct entry *older, *newer; /* all */
};

struct tally {
	struct tally_calls calls;
	const struct procs *procs;
	int channel;
	uint32_t mask, count, max;
	uint32_t batch;
	uint32_t execs, exec[EXECS_MAX]; /* of this batch */
	uint32_t scanned;		 /* the process that the scan has just looked at; 0: none */
	uint64_t lost;
	struct entry **by_pid;
	struct entry *oldest, *newest;
	struct entry *first, *last; /* the queue */
	struct entry *check;	    /* where the next round of checks begins; NULL: at the oldest */
};

/* ---- the table ---- */

int tally_new(uint32_t max, const struct procs *procs, const struct tally_calls *calls,
	      struct tally **ret_tally)
{
	struct tally *tally = calloc(1, sizeof(*tally));
	uint32_t size = 64;

	if (!tally)
		return -ENOMEM;
	while (size < max)
		size *= 2;
	tally->calls = *calls;
	tally->procs = procs;
	tally->channel = -1;
	tally->mask = size - 1;
	tally->max = 2 * max;
	tally->by_pid = calloc(size, sizeof(*tally->by_pid));
	if (!tally->by_pid) {
		free(tally);
		return -ENOMEM;
	}
	*ret_tally = tally;
	return 0;
}

static struct entry **bucket_of(const struct tally *tally, uint32_t pid)
{
	return &tally->by_pid[(pid * 0x9e3779b1u >> 7) & tally->mask];
}

/* The process that has this id now; those that are gone have had it. */
static struct entry *find(const struct tally *tally, uint32_t pid)
{
	struct entry *e = *bucket_of(tally, pid);

	while (e && (e->key.tgid != pid || e->gone))
		e = e->next;
	return e;
}

static struct entry *enter(struct tally *tally, uint32_t pid, uint64_t start_ns)
{
	struct entry **bucket = bucket_of(tally, pid);
	struct entry *e = tally->count < tally->max ? calloc(1, sizeof(*e)) : NULL;

	if (!e) {
		tally->lost++;
		return NULL;
	}
	e->key.tgid = pid;
	e->key.start_ns = start_ns;
	e->next = *bucket;
	*bucket = e;
	e->older = tally->newest;
	*(tally->newest ? &tally->newest->newer : &tally->oldest) = e;
	tally->newest = e;
	tally->count++;
	return e;
}

static void unqueue(struct tally *tally, struct entry *e)
{
	struct entry **p = &tally->first, *before = NULL;

	if (!e->queued)
		return;
	while (*p != e) {
		before = *p;
		p = &(*p)->later;
	}
	*p = e->later;
	if (tally->last == e)
		tally->last = before;
	e->queued = false;
}

static void forget(struct tally *tally, struct entry *e)
{
	struct entry **p = bucket_of(tally, e->key.tgid);

	unqueue(tally, e);
	while (*p != e)
		p = &(*p)->next;
	*p = e->next;
	*(e->older ? &e->older->newer : &tally->oldest) = e->newer;
	*(e->newer ? &e->newer->older : &tally->newest) = e->older;
	if (tally->check == e)
		tally->check = e->newer;
	free(e->file);
	free(e);
	tally->count--;
}

void tally_free(struct tally *tally)
{
	if (!tally)
		return;
	while (tally->oldest)
		forget(tally, tally->oldest);
	free(tally->by_pid);
	free(tally);
}

static void queue(struct tally *tally, struct entry *e)
{
	if (e->queued)
		return;
	e->queued = true;
	e->later = NULL;
	*(tally->last ? &tally->last->later : &tally->first) = e;
	tally->last = e;
}

/* ---- files ---- */

static struct mapped *find_file(const struct entry *e, uint64_t file)
{
	for (uint32_t i = 0; i < e->files; i++)
		if (e->file[i].file == file)
			return &e->file[i];
	return NULL;
}

/* Without room or memory a scan tells of it again. */
static void add_file(struct entry *e, uint64_t file, uint32_t batch)
{
	struct mapped *bigger, *known = find_file(e, file);
	uint32_t max = e->files_max ? 2 * e->files_max : 4;

	if (known)
		*known = (struct mapped){file, batch, true};
	if (known || e->files >= PENDING_MAX)
		return;
	if (e->files == e->files_max) {
		bigger = realloc(e->file, max * sizeof(*bigger));
		if (!bigger)
			return;
		e->file = bigger;
		e->files_max = max;
	}
	e->file[e->files++] = (struct mapped){file, batch, true};
	e->pending = true;
}

/* Files without a library leave the list; what stands for those with one. */
static uint64_t settle_files(struct tally *tally, struct entry *e)
{
	uint32_t kept = 0;
	uint64_t findings = 0;

	e->pending = false;
	for (uint32_t i = 0; i < e->files; i++) {
		int r = tally->calls.file(e->file[i].file, tally->calls.arg);

		if (r < 0)
			continue;
		if (r > 0)
			findings += e->file[i].file * 0x9e3779b97f4a7c15ULL | 1;
		e->pending = e->pending || r == 0;
		e->file[kept++] = e->file[i];
	}
	e->files = kept;
	return findings;
}

static bool is_of_no_interest(const struct entry *e)
{
	return !e->has_row && !e->told && e->files == 0;
}

/* ---- events ---- */

void tally_batch(struct tally *tally)
{
	tally->batch++;
	tally->batch += tally->batch == 0;
	tally->execs = 0;
}

void tally_mapped(struct tally *tally, uint32_t pid, uint64_t file)
{
	struct entry *e = find(tally, pid);
	uint64_t start_ns;

	if (file == 0 || tally->calls.file(file, tally->calls.arg) < 0)
		return;
	if (!e) {
		if (procs_start(tally->procs, pid, &start_ns) < 0)
			return; /* if it talks TLS, the kernel tells */
		e = enter(tally, pid, start_ns);
	}
	if (e)
		add_file(e, file, tally->batch);
}

/* What a scan did not find in a process is mapped there no more. */
static void end_scanned(struct tally *tally)
{
	struct entry *e = tally->scanned ? find(tally, tally->scanned) : NULL;
	uint32_t kept = 0;

	tally->scanned = 0;
	for (uint32_t i = 0; e && i < e->files; i++)
		if (e->file[i].seen)
			e->file[kept++] = e->file[i];
	if (!e || kept == e->files)
		return;
	e->files = kept;
	e->pending = true;
}

void tally_scanned(struct tally *tally, uint32_t pid)
{
	struct entry *e = find(tally, pid);

	end_scanned(tally);
	tally->scanned = pid;
	for (uint32_t i = 0; e && i < e->files; i++)
		e->file[i].seen = false;
}

static bool has_execed(const struct tally *tally, uint32_t pid)
{
	for (uint32_t i = 0; i < tally->execs; i++)
		if (tally->exec[i] == pid)
			return true;
	return false;
}

void tally_forked(struct tally *tally, uint32_t pid, uint32_t parent, uint64_t start_ns)
{
	const struct entry *from = find(tally, parent);
	struct entry *e = find(tally, pid);

	if (e && !procs_same_start(e->key.start_ns, start_ns)) {
		e->exiting = true; /* another process had this id */
		e->gone = true;
		e = NULL;
	}
	/* One that is known has told of itself on another CPU, before its parent did. */
	if (e || !from || from->files == 0 || has_execed(tally, pid))
		return;
	e = enter(tally, pid, start_ns);
	for (uint32_t i = 0; e && i < from->files; i++)
		add_file(e, from->file[i].file, 0);
}

void tally_exec(struct tally *tally, uint32_t pid)
{
	struct entry *e = find(tally, pid);
	uint32_t kept = 0;

	if (tally->execs < EXECS_MAX)
		tally->exec[tally->execs++] = pid;
	if (!e)
		return;
	/* What was told of in this batch may be the new program's, seen on another CPU. */
	for (uint32_t i = 0; i < e->files; i++)
		if (e->file[i].batch == tally->batch)
			e->file[kept++] = e->file[i];
	e->files = kept;
	e->identified = e->has_row;
	if (is_of_no_interest(e))
		forget(tally, e);
	else
		e->pending = e->execed = true; /* told at the next tick */
}

void tally_exited(struct tally *tally, uint32_t pid)
{
	struct entry *e = find(tally, pid);

	if (e)
		e->exiting = true;
}

/* ---- rows ---- */

static bool is_same(const struct entry *e, const struct tt_cover_key *key)
{
	if (e->key.tgid != key->tgid)
		return false;
	return e->exact ? e->key.start_ns == key->start_ns
			: procs_same_start(e->key.start_ns, key->start_ns);
}

static struct entry *entry_of(struct tally *tally, const struct tt_cover_key *key)
{
	struct entry *e = *bucket_of(tally, key->tgid);

	while (e && !is_same(e, key))
		e = e->next;
	if (e) { /* gone or not */
		e->key = *key;
		e->exact = true;
		return e;
	}
	e = find(tally, key->tgid);
	if (e) { /* had this id before */
		e->exiting = true;
		e->gone = true;
	}
	return enter(tally, key->tgid, key->start_ns);
}

static void set_row(struct tally *tally, struct entry *e, const struct tt_cover_row *row)
{
	if (e->has_row && memcmp(&e->row, row, sizeof(*row)) == 0)
		return;
	e->row = *row;
	e->has_row = true;
	e->identified = true;
	e->exact = true;
	queue(tally, e);
}

void tally_row(struct tally *tally, const struct tt_cover_key *key, const struct tt_cover_row *row)
{
	struct entry *e = entry_of(tally, key);

	if (e)
		set_row(tally, e, row);
}

/* ---- the tick ---- */

static void check(const struct tally *tally, struct entry *e)
{
	uint64_t start_ns;

	if (procs_alive(tally->procs, e->key.tgid, &start_ns) < 0 ||
	    !procs_same_start(start_ns, e->key.start_ns))
		e->gone = true;
}

/* Those whose end was told of, and a few others in turn. */
static void check_some(struct tally *tally)
{
	for (struct entry *e = tally->oldest; e; e = e->newer)
		if (e->exiting && !e->gone)
			check(tally, e);
	if (!tally->check)
		tally->check = tally->oldest;
	for (int i = 0; i < CHECKS && tally->check; i++) {
		if (!tally->check->gone)
			check(tally, tally->check);
		tally->check = tally->check->newer;
	}
}

static void end_one(struct tally *tally, struct entry *e)
{
	struct tt_cover_row row;

	e->ended = true;
	if (e->exact && tally->calls.take(&e->key, &row, tally->calls.arg) == 0)
		set_row(tally, e, &row);
	if (e->has_row || e->told)
		queue(tally, e);
	else
		forget(tally, e);
}

/* Who a process is of which the kernel's table has no row. False: it is gone. */
static bool identify(struct tally *tally, struct entry *e)
{
	struct procs_identity identity;
	struct tt_exec exec;

	if (e->identified)
		return true;
	if (procs_identify(tally->procs, e->key.tgid, &identity) < 0)
		return false;
	e->row.cgroup = identity.cgroup;
	e->row.uid = identity.uid;
	memcpy(e->row.comm, identity.comm, sizeof(e->row.comm));
	if (tally->calls.exec(e->key.tgid, &exec, tally->calls.arg) == 0 &&
	    procs_same_start(exec.start_ns, e->key.start_ns)) {
		e->row.exec_ns = exec.exec_ns;
		e->key.start_ns = exec.start_ns;
		e->exact = true;
	}
	e->identified = true;
	return true;
}

static void look_at_files(struct tally *tally, struct entry *e)
{
	uint64_t findings = settle_files(tally, e);
	bool changed = e->execed || findings != e->findings;

	if (is_of_no_interest(e)) {
		forget(tally, e);
	} else if (changed && identify(tally, e)) {
		e->execed = false;
		e->findings = findings;
		queue(tally, e);
	}
}

int tally_tick(struct tally *tally)
{
	struct entry *e, *newer;
	int r;

	end_scanned(tally);
	/* First who is gone, then the rows: nothing is added to the row of one that is. */
	check_some(tally);
	r = tally->calls.each(tally, tally->calls.arg);
	for (e = tally->oldest; e; e = newer) {
		newer = e->newer;
		if (e->gone && !e->ended)
			end_one(tally, e);
		else if (e->pending && !e->gone)
			look_at_files(tally, e);
	}
	return r;
}

/* ---- telling ---- */

void tally_set_agent(struct tally *tally, int channel)
{
	tally->channel = channel;
	for (struct entry *e = tally->oldest; e && channel >= 0; e = e->newer) {
		if (e->has_row || e->told)
			queue(tally, e);
		e->told_start_ns = e->key.start_ns; /* it knows of no other */
	}
}

static void fill_counts(struct tt_ipc_cover *m, const struct tt_cover_row *row)
{
	for (int dir = 0; dir < 2; dir++) {
		uint64_t wire = row->wire[dir], covered = 0;
		/* Bytes on their way from one account to the other may be in none. */
		uint64_t loose = row->loose[dir] <= row->plain[dir] ? row->loose[dir] : 0;

		if (row->covered[dir] > 0)
			covered = (uint64_t)row->covered[dir] < wire ? (uint64_t)row->covered[dir]
								     : wire;
		m->wire[dir] = wire;
		m->plain[dir] = row->plain[dir];
		m->covered[dir] = covered + cover_loose(wire, covered, loose);
	}
}

static void fill(struct tally *tally, struct entry *e, struct tt_ipc_cover *m)
{
	const struct tt_cover_row *row = &e->row;
	int files = 0;

	if (!e->gone)
		e->left = tally->calls.left(e->key.tgid, row->cgroup, tally->calls.arg);

	*m = (struct tt_ipc_cover){
		.start_ns = e->key.start_ns,
		.tgid = e->key.tgid,
		.cgroup = row->cgroup,
		.exec_ns = row->exec_ns,
		.first_tls_ns = row->first_tls_ns,
		.first_call_ns = row->first_call_ns,
		.uid = row->uid,
		.sockets = row->sockets,
		.blind_sockets = row->blind_sockets,
		.called = row->called,
		.flags = row->flags | (e->ended ? TT_COVER_ENDED : 0) | (e->left ? TT_COVER_LEFT : 0),
	};
	chan_stamp(&m->h, TT_IPC_COVER, sizeof(*m));
	memcpy(m->comm, row->comm, sizeof(m->comm));
	fill_counts(m, row);
	for (uint32_t i = 0; i < e->files && files < TT_COVER_FILES_MAX; i++)
		if (tally->calls.file(e->file[i].file, tally->calls.arg) > 0)
			m->file[files++] = e->file[i].file;
}

/* The start of a process that was told to a tick is known now: the one that was told is no more. */
static int take_back(struct tally *tally, struct entry *e)
{
	struct tt_ipc_cover m = {
		.start_ns = e->told_start_ns,
		.tgid = e->key.tgid,
		.cgroup = e->row.cgroup,
		.uid = e->row.uid,
		.flags = TT_COVER_ENDED,
	};
	int r;

	chan_stamp(&m.h, TT_IPC_COVER, sizeof(m));
	memcpy(m.comm, e->row.comm, sizeof(m.comm));
	r = chan_send(tally->channel, &m.h, -1);
	e->told = r < 0;
	return r;
}

static int tell(struct tally *tally, struct entry *e)
{
	struct tt_ipc_cover m;
	int r;

	if (e->told && e->told_start_ns != e->key.start_ns)
		return take_back(tally, e);
	fill(tally, e, &m);
	r = chan_send(tally->channel, &m.h, -1);
	if (r < 0)
		return r;
	unqueue(tally, e);
	e->told = true;
	e->told_start_ns = e->key.start_ns;
	if (e->ended)
		forget(tally, e);
	return 0;
}

bool tally_send(struct tally *tally, uint32_t max)
{
	while (tally->channel >= 0 && tally->first && max-- > 0)
		if (tell(tally, tally->first) < 0)
			break;
	return tally->channel >= 0 && tally->first;
}

void tally_again(struct tally *tally)
{
	for (struct entry *e = tally->oldest; e; e = e->newer)
		if (e->has_row || e->told)
			queue(tally, e);
}

uint64_t tally_lost(const struct tally *tally)
{
	return tally->lost;
}

uint32_t tally_count(const struct tally *tally)
{
	return tally->count;
}
