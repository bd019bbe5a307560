/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/lru.h"
#include "sinks/sink.h"

#define TICK_NS (200ULL * 1000000)
#define AGAIN_NS (1000ULL * 1000000)	/* a verdict that goes to and fro is told once per second */
#define WHO_NS (2 * PROCESS_HOLD_NS)	/* longer than anybody waits for the answer */

struct file {
	struct lru_node node;
	struct tt_ipc_attached m;
	uint64_t since_real_ns;
};

/* What the last record of a process said. */
struct told {
	uint64_t libraries;		/* hash of them; 0 = there was no record */
	uint64_t at_ns;
	enum coverage_status status;
	enum tt_blind reason;
	struct tt_ipc_cover m;
};

struct row {
	struct lru_node node;
	struct tt_ipc_cover m;		/* the newest */
	struct process_info info;
	bool known;			/* info is as good as it gets */
	bool dirty;			/* something came since the last record */
	uint64_t due_ns;		/* and need not be looked at before */
	bool judged;			/* `status` is counted in the totals */
	enum coverage_status status;
	uint64_t first_ns;		/* this clock */
	uint64_t tls_ns;		/* TLS was seen first, this clock; 0 = not yet */
	uint64_t end_ns;		/* likewise its end */
	uint64_t started_ns;		/* CLOCK_REALTIME; once, or slewing would move it */
	struct tt_ipc_cover summed;	/* what of it is in the workload's sum */
	struct told told;
};

struct cover {
	struct lru files, rows;
	struct cover_limits limits;
	struct process_cache *who;
	void (*emit)(void *ctx, const struct coverage *c);
	void *ctx;
	uint64_t interval_ns, tick_ns;
	uint64_t boot_ns, real_ns;	/* both now */
	size_t dirty;			/* rows */
	struct coverage_totals totals;
};

DEFINE_CLEANUP(struct cover *, cover_free)

int cover_new(const struct cover_limits *limits, struct process_cache *who,
	      void (*emit)(void *ctx, const struct coverage *c), void *ctx,
	      struct cover **ret_cover)
{
	_cleanup_(cover_freep) struct cover *c = NULL;
	int r;

	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->limits = *limits;
	c->who = who;
	c->emit = emit;
	c->ctx = ctx;
	c->totals.limit = limits->workloads;
	c->totals.workload = calloc(limits->workloads + 1, sizeof(*c->totals.workload));
	if (!c->totals.workload)
		return -ENOMEM;
	r = lru_init(&c->files);
	if (r == 0)
		r = lru_init(&c->rows);
	if (r < 0)
		return r;
	*ret_cover = TAKE_PTR(c);
	return 0;
}

void cover_free(struct cover *c)
{
	struct lru_node *n;

	if (!c)
		return;
	while ((n = c->files.oldest)) {
		lru_remove(&c->files, n);
		free(lru_entry(n, struct file, node));
	}
	while ((n = c->rows.oldest)) {
		lru_remove(&c->rows, n);
		free(lru_entry(n, struct row, node));
	}
	lru_done(&c->files);
	lru_done(&c->rows);
	free(c->totals.workload);
	free(c);
}

void cover_set_interval(struct cover *c, uint64_t interval_ns)
{
	c->interval_ns = interval_ns;
	for (struct lru_node *n = c->rows.oldest; n; n = n->newer)
		lru_entry(n, struct row, node)->due_ns = 0;
}

void cover_set_clock(struct cover *c, uint64_t boot_ns, uint64_t real_ns)
{
	c->boot_ns = boot_ns;
	c->real_ns = real_ns;
}

const struct coverage_totals *cover_totals(const struct cover *c)
{
	return &c->totals;
}

static uint64_t real_time(const struct cover *c, uint64_t boot_ns)
{
	return boot_ns ? boot_ns + (c->real_ns - c->boot_ns) : 0;
}

static void set_dirty(struct cover *c, struct row *row, bool dirty)
{
	row->due_ns = 0;
	if (row->dirty == dirty)
		return;
	row->dirty = dirty;
	c->dirty += dirty ? 1 : -1;
}

/* ---- files ---- */

static struct file *find_file(const struct cover *c, uint64_t number)
{
	struct lru_node *n = lru_first(&c->files, lru_hash(0, &number, sizeof(number)));

	for (; n; n = lru_next(n)) {
		struct file *f = lru_entry(n, struct file, node);

		if (f->m.file == number)
			return f;
	}
	return NULL;
}

static struct file *make_file(struct cover *c, uint64_t number)
{
	struct file *f;

	if (c->files.count >= c->limits.files) {
		f = lru_entry(c->files.oldest, struct file, node);
		lru_remove(&c->files, &f->node);
		memset(f, 0, sizeof(*f));
	} else {
		f = calloc(1, sizeof(*f));
	}
	if (f)
		lru_add(&c->files, &f->node, lru_hash(0, &number, sizeof(number)));
	return f;
}

static bool has_file(const struct row *row, uint64_t number)
{
	for (size_t i = 0; i < TT_COVER_FILES_MAX && row->m.file[i]; i++)
		if (row->m.file[i] == number)
			return true;
	return false;
}

void cover_file(struct cover *c, const struct tt_ipc_attached *m)
{
	struct file *f = find_file(c, m->file);

	if (!f)
		f = make_file(c, m->file);
	if (!f)
		return;		/* its processes are unknown then; the next message may find room */
	f->m = *m;
	f->since_real_ns = real_time(c, m->since_ns);
	for (struct lru_node *n = c->rows.oldest; n; n = n->newer) {
		struct row *row = lru_entry(n, struct row, node);

		if (has_file(row, m->file))
			set_dirty(c, row, true);
	}
}

/* ---- a record ---- */

static bool is_version(const struct tt_finding *finding)
{
	return !finding->how && !finding->blind;
}

static void add_version(struct coverage *to, const struct tt_finding *finding)
{
	for (size_t i = 0; i < to->libraries; i++) {
		struct coverage_library *l = &to->library[i];

		if (l->tls == finding->tls && !l->version[0])
			use_set_text(l->version, sizeof(l->version), finding->version,
				     strnlen(finding->version, sizeof(finding->version)));
	}
}

static void add_library(struct coverage *to, const struct row *row, const struct file *f,
			const struct tt_finding *finding)
{
	struct coverage_library *l = &to->library[to->libraries];

	if (to->libraries == TT_COVER_FILES_MAX)
		return;
	to->libraries++;
	memset(l, 0, sizeof(*l));
	l->tls = finding->tls;
	l->how = finding->how;
	l->blind = finding->blind;
	l->partly[0] = finding->partly[0];
	l->partly[1] = finding->partly[1];
	l->probes = f->m.hooks;
	l->refused = f->m.failed;
	l->placed = f->m.placed;
	l->since_ns = l->how && !l->blind && l->probes ? f->since_real_ns : 0;
	l->used = finding->tls < 32 && row->m.called & 1U << finding->tls;
	use_set_text(l->version, sizeof(l->version), finding->version,
		     strnlen(finding->version, sizeof(finding->version)));
	use_set_text(l->path, sizeof(l->path), f->m.path, strnlen(f->m.path, sizeof(f->m.path)));
}

static void add_libraries(struct cover *c, const struct row *row, struct coverage *to)
{
	for (size_t i = 0; i < TT_COVER_FILES_MAX && row->m.file[i]; i++) {
		struct file *f = find_file(c, row->m.file[i]);

		if (!f) {	/* its message is still to come: something is there */
			if (to->libraries < TT_COVER_FILES_MAX)
				memset(&to->library[to->libraries++], 0, sizeof(to->library[0]));
			continue;
		}
		lru_touch(&c->files, &f->node);
		for (size_t k = 0; k < TT_FINDINGS_MAX && f->m.finding[k].tls; k++)
			if (!is_version(&f->m.finding[k]))
				add_library(to, row, f, &f->m.finding[k]);
	}
}

/* Where the file with a library's functions does not have its version, and another one has. */
static void add_versions(const struct cover *c, const struct row *row, struct coverage *to)
{
	for (size_t i = 0; i < TT_COVER_FILES_MAX && row->m.file[i]; i++) {
		const struct file *f = find_file(c, row->m.file[i]);

		for (size_t k = 0; f && k < TT_FINDINGS_MAX && f->m.finding[k].tls; k++)
			if (is_version(&f->m.finding[k]))
				add_version(to, &f->m.finding[k]);
	}
}

static void set_text(char *to, size_t size, const char *from)
{
	use_set_text(to, size, from, strlen(from));
}

static void fill_who(const struct row *row, struct coverage *to)
{
	to->pid = row->m.tgid;
	to->start_ns = row->m.start_ns;
	to->started_ns = row->started_ns;
	to->uid = row->m.uid;
	use_set_text(to->process_name, sizeof(to->process_name), row->m.comm,
		     strnlen((const char *)row->m.comm, sizeof(row->m.comm)));
	set_text(to->executable, sizeof(to->executable), row->info.executable);
	set_text(to->container_id, sizeof(to->container_id), row->info.container_id);
	to->workload_kind = row->info.workload_kind;
	set_text(to->workload, sizeof(to->workload), row->info.workload);
	if (!to->workload[0] && to->process_name[0]) {
		to->workload_kind = COVERAGE_EXECUTABLE;
		set_text(to->workload, sizeof(to->workload), to->process_name);
	}
}

static void make(struct cover *c, const struct row *row, uint64_t now_ns, struct coverage *to)
{
	const struct tt_ipc_cover *m = &row->m;

	to->libraries = 0;
	fill_who(row, to);
	add_libraries(c, row, to);
	add_versions(c, row, to);
	to->client = m->flags & TT_COVER_CLIENT;
	to->server = m->flags & TT_COVER_SERVER;
	to->middle = m->flags & TT_COVER_MIDDLE;
	to->io_uring = m->flags & TT_COVER_IO_URING;
	to->ended = m->flags & TT_COVER_ENDED;
	to->excluded = m->flags & TT_COVER_LEFT;
	to->sockets = m->sockets;
	to->blind_sockets = m->blind_sockets;
	for (int i = 0; i < 2; i++) {
		to->wire[i] = m->wire[i];
		to->covered[i] = m->covered[i] < m->wire[i] ? m->covered[i] : m->wire[i];
		to->plain[i] = m->plain[i];
	}
	to->first_tls_ns = real_time(c, m->first_tls_ns);
	to->first_call_ns = real_time(c, m->first_call_ns);
	to->exec_to_call_ns = m->exec_ns && m->first_call_ns > m->exec_ns ?
			      m->first_call_ns - m->exec_ns : 0;
	/* Of a process that is gone nothing more will come. */
	coverage_judge(to, row->end_ns ? UINT64_MAX : row->tls_ns ? now_ns - row->tls_ns : 0);
}

static uint64_t hash_libraries(const struct coverage *c)
{
	uint64_t h = 1;

	for (size_t i = 0; i < c->libraries; i++) {
		const struct coverage_library *l = &c->library[i];
		const uint32_t parts[] = { l->tls, l->how, coverage_library_reason(l), l->probes,
					   l->refused, l->used };

		h = lru_hash(h, parts, sizeof(parts));
		h = lru_hash(h, l->version, strlen(l->version) + 1);
	}
	return h ? h : 1;
}

static bool counts_differ(const struct tt_ipc_cover *a, const struct tt_ipc_cover *b)
{
	return memcmp(a->wire, b->wire, sizeof(a->wire)) ||
	       memcmp(a->covered, b->covered, sizeof(a->covered)) ||
	       memcmp(a->plain, b->plain, sizeof(a->plain)) || a->sockets != b->sockets ||
	       a->blind_sockets != b->blind_sockets || a->flags != b->flags ||
	       a->exec_ns != b->exec_ns || a->first_tls_ns != b->first_tls_ns ||
	       a->first_call_ns != b->first_call_ns || memcmp(a->comm, b->comm, sizeof(a->comm));
}

/* ---- sums ---- */

static uint64_t grown(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

static void add_growth(struct coverage_sum *sum, const struct tt_ipc_cover *now,
		       const struct tt_ipc_cover *before)
{
	for (int i = 0; i < 2; i++) {
		sum->wire[i] += grown(now->wire[i], before->wire[i]);
		sum->covered[i] += grown(now->covered[i], before->covered[i]);
		sum->plain[i] += grown(now->plain[i], before->plain[i]);
	}
	sum->sockets += grown(now->sockets, before->sockets);
}

/* Once it is known whose they are. */
static void sum_workload(struct cover *c, struct row *row, const struct coverage *now)
{
	add_growth(coverage_totals_get(&c->totals, now->workload_kind, now->workload), &row->m,
		   &row->summed);
	row->summed = row->m;
}

static void set_status(struct cover *c, struct row *row, bool judged, enum coverage_status status)
{
	if (row->judged)
		c->totals.node.processes[row->status]--;
	row->judged = judged;
	row->status = status;
	if (row->judged)
		c->totals.node.processes[row->status]++;
}

/* ---- rows ---- */

static void forget(struct cover *c, struct row *row)
{
	c->totals.node.blind_sockets -= row->m.blind_sockets;
	set_status(c, row, false, COVERAGE_UNKNOWN);
	set_dirty(c, row, false);
	lru_remove(&c->rows, &row->node);
	free(row);
}

static void tell(struct cover *c, struct row *row, struct coverage *now, uint64_t now_ns)
{
	now->time_ns = c->real_ns;
	row->told = (struct told){ .libraries = hash_libraries(now), .at_ns = now_ns,
				   .status = now->status, .reason = now->reason, .m = row->m };
	set_dirty(c, row, false);
	c->emit(c->ctx, now);
}

/* Is what it says only so because too little time has passed? */
static bool is_early(const struct row *row, const struct coverage *now, uint64_t now_ns)
{
	if (row->end_ns)	/* the message on its library may still be under way */
		return (now->status == COVERAGE_UNKNOWN || now->reason == TT_BLIND_no_library) &&
		       now_ns - row->end_ns < COVERAGE_FOUND_NS;
	return now->status == COVERAGE_UNKNOWN && row->tls_ns &&
	       now_ns - row->tls_ns < COVERAGE_CALLED_NS;
}

/* When it is to be told. */
static uint64_t due_at(const struct cover *c, const struct row *row, const struct coverage *now)
{
	const struct told *t = &row->told;
	bool changed = t->libraries != hash_libraries(now) || t->status != now->status ||
		       t->reason != now->reason;

	if (!t->libraries)
		return now->status != COVERAGE_IDLE ? 0 : row->first_ns + c->interval_ns;
	return t->at_ns + (changed ? AGAIN_NS : c->interval_ns);
}

static bool is_news(const struct row *row, const struct coverage *now)
{
	if (!row->told.libraries)	/* neither TLS nor a library that could */
		return now->status != COVERAGE_IDLE || now->libraries;
	return counts_differ(&row->m, &row->told.m) || row->told.status != now->status ||
	       row->told.reason != now->reason || row->told.libraries != hash_libraries(now);
}

static struct tt_ev_hdr name_of(const struct row *row)
{
	struct tt_ev_hdr h = { .start_ns = row->m.start_ns, .tgid = row->m.tgid,
			       .cgroup = row->m.cgroup };

	memcpy(h.comm, row->m.comm, sizeof(h.comm));
	return h;
}

static bool know_who(struct cover *c, struct row *row, uint64_t now_ns)
{
	struct tt_ev_hdr h = name_of(row);

	if (row->known)
		return true;
	if (!process_know(c->who, &h, now_ns, &row->info))
		return now_ns - row->first_ns >= WHO_NS;
	row->known = row->info.executable[0];
	return true;
}

/* Nothing goes by there: it is told of only if it lives on. */
static bool is_quiet(enum coverage_status status)
{
	return status == COVERAGE_IDLE || status == COVERAGE_EXCLUDED;
}

/* Tells of the row what is to be told now; the row may be gone afterwards. */
static void look_at(struct cover *c, struct row *row, uint64_t now_ns, bool last)
{
	struct coverage now = { 0 };

	if (!know_who(c, row, now_ns) && !last)
		return;
	make(c, row, now_ns, &now);
	sum_workload(c, row, &now);
	set_status(c, row, true, now.status);
	if (!last && is_early(row, &now, now_ns))
		return;
	if (row->end_ns || last) {
		if (row->told.libraries || !is_quiet(now.status))
			tell(c, row, &now, now_ns);
		set_dirty(c, row, false);
	} else if (!is_news(row, &now)) {
		set_dirty(c, row, false);
	} else {
		row->due_ns = due_at(c, row, &now);
		if (now_ns >= row->due_ns)
			tell(c, row, &now, now_ns);
	}
	if (row->end_ns)
		forget(c, row);
}

static uint64_t hash_process(uint32_t tgid, uint64_t start_ns)
{
	const uint64_t key[] = { tgid, start_ns };

	return lru_hash(0, key, sizeof(key));
}

static struct row *find_row(const struct cover *c, uint32_t tgid, uint64_t start_ns)
{
	struct lru_node *n = lru_first(&c->rows, hash_process(tgid, start_ns));

	for (; n; n = lru_next(n)) {
		struct row *row = lru_entry(n, struct row, node);

		if (row->m.tgid == tgid && row->m.start_ns == start_ns)
			return row;
	}
	return NULL;
}

static struct row *make_row(struct cover *c, const struct tt_ipc_cover *m, uint64_t now_ns)
{
	struct row *row;

	while (c->rows.count >= c->limits.processes) {
		row = lru_entry(c->rows.oldest, struct row, node);
		if (row->dirty)
			look_at(c, row, now_ns, true);
		if (c->rows.oldest == &row->node)
			forget(c, row);
	}
	row = calloc(1, sizeof(*row));
	if (!row)
		return NULL;
	row->m.tgid = m->tgid;
	row->m.start_ns = m->start_ns;
	row->first_ns = now_ns;
	row->started_ns = real_time(c, m->start_ns);
	lru_add(&c->rows, &row->node, hash_process(m->tgid, m->start_ns));
	return row;
}

/* On this clock, from the kernel's. */
static uint64_t own_time(const struct cover *c, uint64_t boot_ns, uint64_t now_ns)
{
	uint64_t age = boot_ns && boot_ns < c->boot_ns ? c->boot_ns - boot_ns : 0;

	return age < now_ns ? now_ns - age : 1;
}

void cover_process(struct cover *c, const struct tt_ipc_cover *m, uint64_t now_ns)
{
	struct row *row = find_row(c, m->tgid, m->start_ns);
	bool made = !row;
	struct tt_ev_hdr h;

	if (!row)
		row = make_row(c, m, now_ns);
	if (!row) {	/* the next message tells the same totals */
		agent_drops[TT_DROP_cover_full]++;
		return;
	}
	/* execve(2) keeps the process and changes the program. */
	if (!made && (row->m.exec_ns != m->exec_ns ||
		      memcmp(row->m.comm, m->comm, sizeof(m->comm)) != 0))
		row->known = false;
	add_growth(&c->totals.node, m, &row->m);
	c->totals.node.blind_sockets += (uint64_t)m->blind_sockets - row->m.blind_sockets;
	row->m = *m;
	h = name_of(row);
	if (!row->known)	/* now, as it may not live much longer */
		process_want(c->who, &h, now_ns);
	if (!row->tls_ns && (m->first_tls_ns || m->sockets || m->wire[0] || m->wire[1]))
		row->tls_ns = own_time(c, m->first_tls_ns, now_ns);
	if (!row->end_ns && m->flags & TT_COVER_ENDED)
		row->end_ns = now_ns;
	lru_touch(&c->rows, &row->node);
	set_dirty(c, row, true);
}

static void look_at_all(struct cover *c, uint64_t now_ns, bool last)
{
	struct lru_node *n, *newer;

	for (n = c->rows.oldest; n && c->dirty; n = newer) {
		struct row *row = lru_entry(n, struct row, node);

		newer = n->newer;
		if (row->dirty && (last || now_ns >= row->due_ns))
			look_at(c, row, now_ns, last);
	}
}

void cover_tick(struct cover *c, uint64_t now_ns)
{
	if (now_ns - c->tick_ns < TICK_NS)
		return;
	c->tick_ns = now_ns;
	look_at_all(c, now_ns, false);
}

void cover_flush(struct cover *c, uint64_t now_ns)
{
	look_at_all(c, now_ns, true);
}
