/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A look at a row is believed if its generation was the same before and after it. Statuses are read before
 * uses, as they are counted after them: so there are never more statuses than uses, but for requests that were
 * given up (below) and are answered all the same.
 *
 * Which requests wait is not known, only how many: those that were there first are taken to be answered first.
 * Each mark remembers one look and how many uses there were. When so many were handed on, all others were made
 * after it; when they are not, and the wait is over, those that lack are handed on without a status. What is
 * answered later then has no use left to go with: `given` never exceeds the uses.
 *
 * When a row is given to another use, its end is a record (TT_EV_ROW), which may be read after the row is seen
 * with its next generation. So a mark that has taken anything stays with its generation until that record has
 * come; it is in the ring already.
 */
#include "agent/rows.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/ring.h"
#include "base/cleanup.h"
#include "sinks/sink.h"

#define ROWS_A_LOOK 32768	/* at a time; some milliseconds */

struct rows {
	const struct tt_row *rows;
	struct tt_row_mark *marks;
	size_t count;
	size_t next;	/* to be looked at */
	uint64_t wait_ns;
	rows_done done;
	void *ctx;
	size_t rows_bytes, marks_bytes;	/* mapped here; 0 = the caller's memory */
};

DEFINE_CLEANUP(struct rows *, rows_free)

int rows_new(const struct tt_row *rows, struct tt_row_mark *marks, size_t count, uint64_t wait_ns, rows_done done,
	     void *ctx, struct rows **ret_rows)
{
	struct rows *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	*r = (struct rows){ .rows = rows, .marks = marks, .count = count, .wait_ns = wait_ns, .done = done,
			    .ctx = ctx };
	*ret_rows = r;
	return 0;
}

/* The elements of an array that can be mapped lie one behind the other. */
static int map_array(int fd, size_t size, int prot, size_t *ret_count, size_t *ret_bytes, void **ret_at)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);
	size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes;
	void *at;

	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return -errno;
	if (info.value_size != size || size % 8)
		return -EINVAL;
	bytes = (info.max_entries * size + page - 1) / page * page;
	at = mmap(NULL, bytes, prot, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	*ret_count = info.max_entries;
	*ret_bytes = bytes;
	*ret_at = at;
	return 0;
}

int rows_open(int rows_fd, int marks_fd, uint64_t wait_ns, rows_done done, void *ctx, struct rows **ret_rows)
{
	_cleanup_(rows_freep) struct rows *r = NULL;
	size_t count;
	void *at;
	int ret;

	ret = rows_new(NULL, NULL, 0, wait_ns, done, ctx, &r);
	if (ret < 0)
		return ret;
	ret = map_array(rows_fd, sizeof(struct tt_row), PROT_READ, &r->count, &r->rows_bytes, &at);
	if (ret < 0)
		return ret;
	r->rows = at;
	ret = map_array(marks_fd, sizeof(struct tt_row_mark), PROT_READ | PROT_WRITE, &count, &r->marks_bytes, &at);
	if (ret < 0)
		return ret;
	r->marks = at;
	if (count != r->count + 1)
		return -EINVAL;
	*ret_rows = TAKE_PTR(r);
	return 0;
}

void rows_free(struct rows *r)
{
	if (!r)
		return;
	if (r->rows_bytes)
		munmap((void *)r->rows, r->rows_bytes);
	if (r->marks_bytes)
		munmap(r->marks, r->marks_bytes);
	free(r);
}

void rows_set_wait(struct rows *r, uint64_t wait_ns)
{
	r->wait_ns = wait_ns;
}

struct tt_ledger *rows_ledger(struct rows *r)
{
	return (struct tt_ledger *)&r->marks[r->count];
}

/* ---- a look ---- */

#define LOAD(x) __atomic_load_n(&(x), __ATOMIC_ACQUIRE)

/* All but the texts of a row. */
struct look {
	uint32_t gen;
	uint16_t port;
	uint64_t ports, last_ns, uses;	/* uses: those that were sent */
	struct tt_row_status status[TT_ROW_STATUSES];
};

static void look_counts(const struct tt_row *row, struct look *to)
{
	uint64_t unsent;

	for (size_t i = 0; i < TT_ROW_STATUSES; i++) {
		to->status[i].used = LOAD(row->status[i].used);
		to->status[i].count = LOAD(row->status[i].count);
		to->status[i].last_ns = LOAD(row->status[i].last_ns);
		to->status[i].status = LOAD(row->status[i].status);
		to->status[i].grpc = LOAD(row->status[i].grpc);
		if (!to->status[i].used)
			to->status[i].count = 0;
	}
	unsent = LOAD(row->unsent);
	to->uses = LOAD(row->uses) - unsent;
	to->last_ns = LOAD(row->last_ns);
	to->port = LOAD(row->port);
	to->ports = LOAD(row->ports);
}

/* False: it was given to another use meanwhile, or is free. */
static bool look_at(const struct tt_row *row, struct look *ret_look)
{
	uint32_t gen = LOAD(row->gen);

	if (!gen || (gen & 1))
		return false;
	look_counts(row, ret_look);
	ret_look->gen = gen;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return LOAD(row->gen) == gen;
}

/* What all its uses have in common. */
static bool copy_use(const struct tt_row *row, uint32_t gen, struct tt_ev_use *to)
{
	if (LOAD(row->gen) != gen)
		return false;
	memcpy(to, &row->use, sizeof(*to));
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return LOAD(row->gen) == gen;
}

/* ---- handing on ---- */

struct giving {
	struct rows *r;
	struct tt_row_mark *mark;
	const struct look *look;
	struct tt_ev_use *ev;
	bool same_port;		/* all of them have it */
};

static uint64_t at_most(uint64_t n, uint64_t limit)
{
	return n < limit ? n : limit;
}

/* What is not handed on. More than there is was, if a request was given up that was withdrawn later. */
static uint64_t left(const struct look *l, const struct tt_row_mark *m)
{
	return l->uses > m->given ? l->uses - m->given : 0;
}

static struct giving giving(struct rows *r, struct tt_row_mark *m, const struct look *l, struct tt_ev_use *ev)
{
	if (!m->after_ns)
		m->after_ns = ev->h.time_ns;
	return (struct giving){ r, m, l, ev, l->ports == m->ports || left(l, m) == 1 };
}

static void set_port(struct tt_ev_use *ev, uint16_t port)
{
	*(ev->dir == TT_DIR_EGRESS ? &ev->h.tuple.local_port : &ev->h.tuple.remote_port) = port;
}

static void give(const struct giving *g, uint64_t wanted, uint64_t last_ns, struct outcome outcome)
{
	uint64_t n = at_most(wanted, left(g->look, g->mark));

	if (!n)
		return;
	/* In this order: who dies in between has counted them twice, not never. */
	rows_ledger(g->r)->taken += n * g->ev->creds;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	g->mark->given += n;
	g->ev->h.time_ns = last_ns;
	set_port(g->ev, g->same_port ? g->look->port : 0);
	outcome.more = n - 1;
	outcome.first_ns = at_most(g->mark->after_ns, last_ns);
	g->r->done(g->r->ctx, g->ev, outcome);
}

static void give_statuses(const struct giving *g)
{
	for (size_t i = 0; i < TT_ROW_STATUSES; i++) {
		const struct tt_row_status *st = &g->look->status[i];
		struct outcome outcome = { .status = st->status };
		uint64_t n = st->count - g->mark->count[i];

		if (st->grpc) {
			outcome.has_grpc = true;
			outcome.grpc_status = st->grpc == UINT8_MAX ? UINT8_MAX : st->grpc - 1;
		}
		g->mark->count[i] = st->count;
		give(g, n, st->last_ns, outcome);
	}
}

static const struct outcome not_known;

/* Requests that have waited too long. */
static void give_overdue(const struct giving *g, uint64_t boot_ns)
{
	const struct tt_row_mark *m = g->mark;
	uint64_t n = m->look_uses > m->given ? at_most(m->look_uses - m->given, left(g->look, m)) : 0;

	if (!n || boot_ns - m->look_ns < g->r->wait_ns)
		return;
	agent_drops[TT_DROP_status_timeout] += n;
	give(g, n, g->look->last_ns, not_known);
}

/* The look of before is over when what was there then was handed on. */
static void remember(struct tt_row_mark *m, const struct look *l, uint64_t boot_ns)
{
	m->ports = l->ports;
	if (m->given < m->look_uses && left(l, m))	/* nothing is left, and less was handed on: it was withdrawn */
		return;
	m->after_ns = m->given < l->uses && m->look_ns ? m->look_ns : m->after_ns;
	if (m->given >= l->uses)
		m->after_ns = boot_ns;
	m->look_ns = boot_ns;
	m->look_uses = l->uses;
}

static bool has_news(const struct look *l, const struct tt_row_mark *m)
{
	for (size_t i = 0; i < TT_ROW_STATUSES; i++)
		if (l->status[i].count != m->count[i])
			return true;
	return left(l, m);
}

/* Is the mark the row's? It may have to wait for the end of what the row was before. */
static bool mark_fits(struct tt_row_mark *m, uint32_t gen)
{
	if (m->gen == gen)
		return true;
	if (!(m->gen & 1) && m->given)
		return false;
	*m = (struct tt_row_mark){ .gen = gen };
	return true;
}

static void give_news(struct rows *r, size_t i, const struct look *l, uint64_t boot_ns)
{
	struct tt_row_mark *m = &r->marks[i];
	struct tt_ev_use ev;
	struct giving g;

	if (!copy_use(&r->rows[i], l->gen, &ev))
		return;
	if (!ring_use_ok(&ev)) {
		agent_drops[TT_DROP_bad_record] += left(l, m);
		m->given += left(l, m);
		return;
	}
	g = giving(r, m, l, &ev);
	give_statuses(&g);
	give_overdue(&g, boot_ns);
}

static void look(struct rows *r, size_t i, uint64_t boot_ns)
{
	struct look l;

	if (!look_at(&r->rows[i], &l) || !mark_fits(&r->marks[i], l.gen))
		return;
	if (has_news(&l, &r->marks[i]))
		give_news(r, i, &l, boot_ns);
	remember(&r->marks[i], &l, boot_ns);
}

void rows_look(struct rows *r, uint64_t boot_ns)
{
	for (size_t n = 0; n < r->count && n < ROWS_A_LOOK; n++) {
		look(r, r->next, boot_ns);
		r->next = (r->next + 1) % r->count;
	}
}

/* What a row has of the request that this answers; false: it stands for others by now, or soon will. */
static bool look_for(struct rows *r, const struct tt_ev_status *ev, struct look *ret_look, struct tt_ev_use *ret_use)
{
	return look_at(&r->rows[ev->h.seq], ret_look) && ret_look->gen == ev->h.conn &&
	       r->marks[ev->h.seq].gen == ret_look->gen && rows_use(r, ev, ret_use);
}

/* A status that the row has no room for. */
static void give_alone(struct rows *r, const struct tt_ev_status *ev)
{
	const struct outcome outcome = { .status = ev->status, .has_grpc = ev->flags & TT_STATUS_GRPC,
					 .grpc_status = ev->grpc };
	struct tt_ev_use use;
	struct giving g;
	struct look l;

	if (!look_for(r, ev, &l, &use))
		return;
	g = giving(r, &r->marks[ev->h.seq], &l, &use);
	give(&g, 1, l.last_ns, outcome);
}

void rows_status(struct rows *r, const struct tt_ev_status *ev, uint64_t boot_ns)
{
	if (ev->h.seq >= r->count)
		return;
	look(r, ev->h.seq, boot_ns);
	if (ev->flags & TT_STATUS_ALONE)
		give_alone(r, ev);
}

bool rows_use(const struct rows *r, const struct tt_ev_status *ev, struct tt_ev_use *ret_use)
{
	return ev->h.seq < r->count && copy_use(&r->rows[ev->h.seq], (uint32_t)ev->h.conn, ret_use) &&
	       ring_use_ok(ret_use);
}

/* ---- ends ---- */

static void give_all(const struct giving *g)
{
	give_statuses(g);
	give(g, left(g->look, g->mark), g->look->last_ns, not_known);
}

void rows_end(struct rows *r, const struct tt_ev_row *ev)
{
	const uint32_t gen = ev->was.gen - 1;	/* it was made odd before the row was copied */
	struct tt_ev_use use = ev->was.use;
	struct tt_row_mark *m, unseen = { 0 };	/* nothing of it was taken */
	struct giving g;
	struct look l;

	if (ev->row >= r->count)
		return;
	m = &r->marks[ev->row];
	if (m->gen == ev->was.gen)
		return;		/* an earlier agent had read this record */
	look_counts(&ev->was, &l);
	g = giving(r, m->gen == gen ? m : &unseen, &l, &use);
	give_all(&g);
	if (m->gen == gen)
		*m = (struct tt_row_mark){ .gen = ev->was.gen };
}

void rows_flush(struct rows *r, uint64_t boot_ns)
{
	for (size_t i = 0; i < r->count; i++) {
		struct tt_ev_use ev;
		struct giving g;
		struct look l;

		look(r, i, boot_ns);
		if (!look_at(&r->rows[i], &l) || r->marks[i].gen != l.gen || !left(&l, &r->marks[i]) ||
		    !copy_use(&r->rows[i], l.gen, &ev) || !ring_use_ok(&ev))
			continue;
		g = giving(r, &r->marks[i], &l, &ev);
		give_all(&g);
	}
}
