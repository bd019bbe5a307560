/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread, one loop (librdkafka has threads of its own inside its sink):
 *
 *   ring -> pair (request with its status) -> process (who) -> convert -> inventory
 *   rows of repeats -----------------------/     -> fold -> outputs
 *   channel -> cover (what is seen of each process's TLS) -> outputs
 *
 * The kernel wakes the agent for little; the ring is drained on a timer, more slowly when nothing
 * comes. The channel is served in between, a few messages at a time.
 */
#include "agent/run.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/blob.h"
#include "agent/convert.h"
#include "agent/cover.h"
#include "agent/drops.h"
#include "agent/elf_scan.h"
#include "agent/findings.h"
#include "agent/fold.h"
#include "agent/outputs.h"
#include "agent/minting.h"
#include "agent/pair.h"
#include "agent/profile.h"
#include "agent/ring.h"
#include "agent/rows.h"
#include "agent/said.h"
#include "agent/told.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/pages.h"
#include "enrich/process.h"
#include "ipc/chan.h"
#include "ipc/sandbox.h"
#include "ipc/spawn.h"
#include "sinks/http.h"
#include "tokens/inventory.h"
#include "tokens/workload.h"

#define NS_PER_MS 1000000ULL
#define DRAIN_MS 20
#define DRAIN_IDLE_MS 100
#define IDLE_AFTER_NS (1000 * NS_PER_MS)
#define ROWS_TICK_NS (200 * NS_PER_MS)	/* repeats are no news */
#define OUTPUT_TICK_NS (100 * NS_PER_MS)
#define FINDINGS_TICK_NS (5000 * NS_PER_MS)
#define DRAIN_RECORDS 4096	/* at a time, so that the channel gets its turn */
#define CHANNEL_MESSAGES 16	/* likewise */
#define SEND_LIMIT_MS 1000	/* for what must not be lost: hooks */
#define FINISH_LIMIT_MS 5000
#define MINTING_PART 8	/* of limits.pending: requests for tokens are few */
#define COVER_FILES_MAX 4096
#define EXIT_BROKEN 1
#define EXIT_CANT 3

struct agent {
	struct agent_params params;
	struct told told;
	struct config config;
	struct ring *ring;
	struct rows *rows;
	struct pair *pair;
	struct minting *minting;
	struct process_cache *processes;
	struct convert *convert;
	struct cover *cover;
	struct inventory *inventory;
	struct fold *fold;
	struct drops drops;
	struct outputs outputs;
	struct findings *findings;	/* NULL: no memory for them */
	int epoll_fd, signal_fd, metrics_fd;
	uint64_t now_ns;		/* CLOCK_MONOTONIC, once per turn of the loop */
	uint64_t boot_ns;		/* CLOCK_BOOTTIME, likewise */
	uint64_t real_ns;		/* CLOCK_REALTIME, likewise */
	uint64_t rows_ns;		/* of the last rows_look() */
	uint64_t handed_on, not_uses;	/* uses that reached the outputs; that turned out to be none */
	uint64_t output_ns;		/* of the last outputs_tick() */
	uint64_t record_ns;		/* of the last ring record */
	uint64_t saved_ns;		/* of the last save_findings() */
	bool stop, broken, alone;	/* alone: the monitor is gone */
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ---- the way of a record, from the ring on ---- */

static void on_use(void *ctx, const struct tt_ev_use *ev)
{
	struct agent *a = ctx;

	process_want(a->processes, &ev->h, a->now_ns);
	if (ev->mint)
		minting_use(a->minting, ev, a->now_ns);
	rows_ledger(a->rows)->taken += ev->creds;
	if (ev->creds)
		pair_use(a->pair, ev, a->now_ns);
}

/* What the response says of its request's credential. */
static void take_said(struct agent *a, const struct tt_ev_status *ev)
{
	static const struct process_info nobody;
	const struct tt_ev_use *request;
	struct facts facts = { 0 };
	struct tt_ev_use repeat;
	struct use u;
	int i;
	int r;

	if (ev->flags & TT_STATUS_ROW)
		request = rows_use(a->rows, ev, &repeat) ? &repeat : NULL;
	else
		request = pair_waiting(a->pair, &ev->h);
	i = request ? said_about(request) : -1;
	r = i < 0 ? 0 : said_facts(ev, &facts);
	if (r < 0)
		agent_drops[TT_DROP_tokens_full]++;
	/* The class that the credential has on this host. */
	if (!facts_empty(&facts) && convert_use(a->convert, request, (size_t)i, (struct outcome){ 0 },
						&nobody, &u) > 0 && !u.placeholder) {
		struct token about = { .class_name = u.class_name, .kind = u.kind, .length = u.length };

		memcpy(about.token_id, u.token_id, sizeof(about.token_id));
		memcpy(about.key_id, u.key_id, sizeof(about.key_id));
		(void)inventory_facts(a->inventory, &about, &facts);	/* counts by itself */
	}
	facts_done(&facts);
}

static void on_status(void *ctx, const struct tt_ev_status *ev)
{
	struct agent *a = ctx;

	if (ev->text_len)
		take_said(a, ev);
	if (ev->flags & TT_STATUS_ROW) {
		rows_status(a->rows, ev, a->boot_ns);
		return;
	}
	pair_status(a->pair, ev);
	minting_status(a->minting, ev, a->now_ns);
}

static void on_close(void *ctx, const struct tt_ev_status *ev)
{
	struct agent *a = ctx;

	pair_close(a->pair, ev);
	minting_close(a->minting, ev, a->now_ns);
}

static void on_row(void *ctx, const struct tt_ev_row *ev)
{
	rows_end(((struct agent *)ctx)->rows, ev);
}

static void on_body(void *ctx, const struct tt_ev_mint *ev)
{
	struct agent *a = ctx;

	minting_body(a->minting, ev, a->now_ns);
}

static int on_mint_facts(void *ctx, const struct token *about, const struct facts *f)
{
	return inventory_facts(((struct agent *)ctx)->inventory, about, f);
}

static void on_mint(void *ctx, const struct mint *m)
{
	struct agent *a = ctx;

	if (mint_facts(m, on_mint_facts, a) < 0)
		log_limited(LOG_LEVEL_WARNING, "no memory for what is known of a minted token");
	outputs_mint(&a->outputs, m);
}

static void on_claims(void *ctx, const struct tt_ev_claims *ev)
{
	struct agent *a = ctx;
	struct facts facts = { 0 };
	struct token about;
	int r;

	r = convert_claims(a->convert, ev, &about, &facts);
	if (r == 0)
		inventory_facts(a->inventory, &about, &facts);	/* counts what it can't keep */
	else
		agent_drops[TT_DROP_claims_lost]++;
	facts_done(&facts);
}

/* A use, or repeats of one, with the status or with none to come. */
static void on_paired(void *ctx, const struct tt_ev_use *ev, struct outcome outcome)
{
	struct agent *a = ctx;

	process_submit(a->processes, ev, outcome, a->now_ns);
}

static int on_ask(void *ctx, const struct tt_ipc_ask *ask)
{
	int r = chan_send(SPAWN_FD_CHANNEL, &ask->h, -1);

	if (r == -EAGAIN)
		agent_drops[TT_DROP_ipc_full]++;
	return r;
}

/* A token that is bound to the very pod that sends it tells that pod's service account. */
static void learn_account(struct agent *a, const struct use *u)
{
	struct workload *w = u->work;
	char account[sizeof(w->service_account)];

	if (!w || !w->pod[0] || w->service_account[0] || u->dir != TT_DIR_EGRESS ||
	    !inventory_account(a->inventory, u->token_id, w->namespace, w->pod, account, sizeof(account)))
		return;
	memcpy(w->service_account, account, sizeof(account));
	w->version++;
	workload_prove(w, "a token that is bound to this pod names its service account");
}

/* What the class says of the token, when it is news. */
static void tell_facts(struct agent *a, const struct use *u)
{
	struct facts facts = { 0 };

	if (told_already(&a->told, u))
		return;
	if (told_facts(u, &facts) < 0) {
		agent_drops[TT_DROP_tokens_full]++;
	} else {
		struct token about = { .class_name = u->class_name, .kind = u->kind, .length = u->length };

		memcpy(about.token_id, u->token_id, sizeof(about.token_id));
		memcpy(about.key_id, u->key_id, sizeof(about.key_id));
		(void)inventory_facts(a->inventory, &about, &facts);	/* counts by itself */
	}
	facts_done(&facts);
}

static void on_known(void *ctx, const struct tt_ev_use *ev, struct outcome outcome,
		     const struct process_info *info)
{
	struct agent *a = ctx;

	for (size_t i = 0; i < ev->creds; i++) {
		struct use u;
		int r = convert_use(a->convert, ev, i, outcome, info, &u);

		if (r <= 0)
			a->not_uses += 1 + outcome.more;
		if (r < 0) {
			agent_drops[TT_DROP_bad_record]++;
			log_limited(LOG_LEVEL_ERROR, "libcrypto made no token id error=\"%s\"",
				    strerror(-r));
			continue;
		}
		if (r == 0)
			continue;
		if (!u.placeholder) {
			inventory_class(a->inventory, &u);
			learn_account(a, &u);
			tell_facts(a, &u);
			inventory_use(a->inventory, &u, a->now_ns);
		}
		fold_use(a->fold, &u, a->now_ns);
	}
}

static void on_token(void *ctx, const struct token *t)
{
	outputs_token(&((struct agent *)ctx)->outputs, t);
}

static bool on_recall(void *ctx, struct token *t, struct facts *ret_facts)
{
	return outputs_recall(&((struct agent *)ctx)->outputs, t, ret_facts);
}

static int on_look(void *ctx, const struct tt_ipc_look *look)
{
	int r = chan_send(SPAWN_FD_CHANNEL, &look->h, -1);

	if (r == -EAGAIN)
		agent_drops[TT_DROP_ipc_full]++;
	return r;
}

static void on_folded(void *ctx, const struct use *u)
{
	struct agent *a = ctx;

	outputs_use(&a->outputs, u);
	a->handed_on += u->count;
}

static void on_coverage(void *ctx, const struct coverage *c)
{
	outputs_coverage(&((struct agent *)ctx)->outputs, c);
}

static int on_loss(void *ctx, const struct loss *l)
{
	outputs_loss(&((struct agent *)ctx)->outputs, l);
	return 0;
}

/* ---- the channel ---- */

static void send_hook(const struct tt_ipc_hdr *h)
{
	int r = chan_send_wait(SPAWN_FD_CHANNEL, h, -1, SEND_LIMIT_MS);

	if (r == 0)
		return;
	agent_drops[TT_DROP_ipc_full]++;
	log_limited(LOG_LEVEL_WARNING, "the monitor does not take scan results error=\"%s\"",
		    strerror(-r));
}

static void send_scan(uint64_t file, enum tt_scan result, const struct elf_scan *scan)
{
	struct tt_ipc_scanned scanned = { .file = file, .result = result,
					  .hooks = (uint32_t)scan->count };

	memcpy(scanned.finding, scan->finding, sizeof(scanned.finding));
	for (size_t i = 0; i < scan->count; i++) {
		struct tt_ipc_hook hook = { .file = file, .offset = scan->hooks[i].offset,
					    .hook = scan->hooks[i].hook,
					    .placed = scan->hooks[i].placed,
					    .placed_as = scan->hooks[i].placed_as,
					    .cookie = scan->hooks[i].cookie,
					    .spare = scan->hooks[i].spare,
					    .spare_as = scan->hooks[i].spare_as,
					    .tls = scan->hooks[i].tls };

		chan_stamp(&hook.h, TT_IPC_HOOK, sizeof(hook));
		send_hook(&hook.h);
	}
	chan_stamp(&scanned.h, TT_IPC_SCANNED, sizeof(scanned));
	send_hook(&scanned.h);
}

/* A path from a message, fit for a log line. */
static const char *shown(const char path[static TT_IPC_PATH_LEN], char to[static TT_IPC_PATH_LEN])
{
	use_set_text(to, TT_IPC_PATH_LEN, path, strnlen(path, TT_IPC_PATH_LEN));
	return to;
}

static void open_findings(struct agent *a)
{
	char path[PATH_MAX];
	int r;

	snprintf(path, sizeof(path), "%s/findings", a->config.state_dir);
	r = findings_open(path, &a->findings);
	if (r == -ESTALE)
		log_info("what was found in files was kept by another build; they are searched again");
	else if (r < 0 && r != -ENOENT)
		log_warning("what was found in files can't be read; they are searched again "
			    "path=\"%s\" error=\"%s\"", path, strerror(-r));
}

static void save_findings(struct agent *a)
{
	int r = a->findings ? findings_save(a->findings) : 0;

	if (r < 0)
		log_limited(LOG_LEVEL_WARNING, "what was found in files can't be kept for the next "
			    "start error=\"%s\"", strerror(-r));
}

/* Or the findings of this very file at an earlier start. */
static enum tt_scan search_file(struct agent *a, int fd, struct elf_scan *scan)
{
	struct findings_key key;
	enum tt_scan result;
	int r = a->findings ? findings_key(a->findings, fd, &key) : -ENOENT;

	if (r == 0 && findings_take(a->findings, &key, fd, scan, &result))
		return result;
	result = elf_scan(fd, scan);
	if (r == 0)
		findings_keep(a->findings, &key, fd, scan, result);
	return result;
}

static void scan_file(struct agent *a, const struct tt_ipc_file *m, int fd)
{
	char path[TT_IPC_PATH_LEN];
	struct elf_scan scan;
	enum tt_scan result;

	result = search_file(a, fd, &scan);
	if (result == TT_SCAN_BAD)
		agent_drops[TT_DROP_elf_unreadable]++;
	if (scan.refused)
		log_warning("functions begin with an instruction that can't carry a probe; skipping "
			    "them functions=%zu path=\"%s\"", scan.refused, shown(m->path, path));
	log_debug("looked at a file result=%d hooks=%zu path=\"%s\"", (int)result, scan.count,
		  shown(m->path, path));
	send_scan(m->file, result, &scan);
}

static void apply_settings(struct agent *a)
{
	const struct config *c = &a->config;

	log_set_level(c->log_level);
	pair_set_wait(a->pair, c->status_wait_ms * NS_PER_MS);
	rows_set_wait(a->rows, c->status_wait_ms * NS_PER_MS);
	cover_set_interval(a->cover, c->coverage_ms * NS_PER_MS);
	inventory_set_idle(a->inventory, c->idle_ms * NS_PER_MS);
	fold_set_interval(a->fold, c->per_call ? 0 : c->fold_ms * NS_PER_MS);
}

/* Sinks and table sizes keep what they were started with. */
static void reload(struct agent *a, int fd)
{
	struct agent_params params;
	struct tt_ipc_hdr done;
	struct config config;
	int r;

	r = blob_read(fd, &params, &config);
	if (r < 0) {
		log_error("can't read the new settings; the old ones stay error=\"%s\"",
			  strerror(-r));
		return;
	}
	explicit_bzero(&params, sizeof(params));
	config_done(&a->config);
	a->config = config;
	apply_settings(a);
	chan_stamp(&done, TT_IPC_RELOADED, sizeof(done));
	r = chan_send_wait(SPAWN_FD_CHANNEL, &done, -1, 1000);
	if (r < 0)
		log_error("the monitor does not know that the new settings were read error=\"%s\"", strerror(-r));
}

static void tell_metrics(struct agent *a, const struct tt_ipc_counters *m)
{
	struct metrics_counters c = { .files_probed = m->files_probed, .probes = m->probes, .left = m->left,
				      .ready = m->ready };

	for (size_t i = 0; i < TT_DROP_MAX; i++)
		c.drops[i] = a->drops.others[i] + agent_drops[i];
	outputs_counters(&a->outputs, &c);
}

static void take_counters(struct agent *a, const struct tt_ipc_counters *m)
{
	char line[256], coverage[COVERAGE_LINE_LEN];

	drops_update(&a->drops, m->drops);
	coverage_line(&cover_totals(a->cover)->node, coverage);
	snprintf(line, sizeof(line), "%s · %u files probed · %llu not reported%s%s",
		 m->ready ? "ready" : "looking for programs", m->files_probed,
		 (unsigned long long)drops_total(&a->drops), coverage[0] ? " · " : "", coverage);
	outputs_status(&a->outputs, line);
	tell_metrics(a, m);
}

static void note_attached(struct agent *a, const struct tt_ipc_attached *m)
{
	char path[TT_IPC_PATH_LEN];

	cover_file(a->cover, m);
	log_debug("probes in place probes=%u placed=%u refused=%u path=\"%s\"", m->hooks, m->placed,
		  m->failed, shown(m->path, path));
}

static void take_message(struct agent *a, int type, const void *m, int fd)
{
	switch (type) {
	case TT_IPC_FILE:
		scan_file(a, m, fd);
		break;
	case TT_IPC_PROC:
		process_answer(a->processes, m);
		break;
	case TT_IPC_BUNDLE:
		process_bundle(a->processes, m, fd);
		break;
	case TT_IPC_PLACE:
		process_place(a->processes, m);
		break;
	case TT_IPC_COUNTERS:
		take_counters(a, m);
		break;
	case TT_IPC_ATTACHED:
		note_attached(a, m);
		break;
	case TT_IPC_COVER:
		cover_process(a->cover, m, a->now_ns);
		break;
	case TT_IPC_RELOAD:
		reload(a, fd);
		break;
	case TT_IPC_STOP:
		a->stop = true;
		break;
	}
}

static void serve_channel(struct agent *a)
{
	_Alignas(8) char message[CHAN_MSG_MAX];

	for (int i = 0; i < CHANNEL_MESSAGES; i++) {
		_cleanup_close_ int fd = -EBADF;
		int type = chan_recv(SPAWN_FD_CHANNEL, message, chan_to_agent, &fd);

		if (type == -EAGAIN)
			return;
		if (type < 0) {
			a->stop = a->alone = true;
			a->broken = type != -EPIPE;
			log_error(a->broken ? "the monitor sent what it may not send; ending" :
					      "the monitor is gone; writing out and ending");
			return;
		}
		take_message(a, type, message, fd);
	}
}

/* ---- the loop ---- */

static void look_at_clocks(struct agent *a)
{
	a->now_ns = clock_ns(CLOCK_MONOTONIC);
	a->boot_ns = clock_ns(CLOCK_BOOTTIME);
	a->real_ns = clock_ns(CLOCK_REALTIME);
	convert_set_clock(a->convert, a->boot_ns, a->real_ns);
	inventory_set_clock(a->inventory, a->real_ns);
	cover_set_clock(a->cover, a->boot_ns, a->real_ns);
}

static int drain(struct agent *a)
{
	int n = ring_drain(a->ring, DRAIN_RECORDS);

	if (n > 0)
		a->record_ns = a->now_ns;
	if (n < 0)
		log_limited(LOG_LEVEL_ERROR, "can't read the ring error=\"%s\"", strerror(-n));
	return n;
}

static void look_at_rows(struct agent *a)
{
	if (a->now_ns - a->rows_ns < ROWS_TICK_NS)
		return;
	a->rows_ns = a->now_ns;
	rows_look(a->rows, a->boot_ns);
}

/* What is lost if this process dies now, the monitor counts. */
static void settle(struct agent *a)
{
	rows_ledger(a->rows)->settled = a->handed_on + a->not_uses + pair_withdrawn(a->pair) -
					outputs_unwritten(&a->outputs);
}

static void tick(struct agent *a)
{
	look_at_rows(a);
	pair_tick(a->pair, a->now_ns);
	minting_tick(a->minting, a->now_ns);
	process_tick(a->processes, a->now_ns);
	fold_tick(a->fold, a->now_ns);
	inventory_tick(a->inventory, a->now_ns);
	cover_tick(a->cover, a->now_ns);
	if (a->now_ns - a->output_ns < OUTPUT_TICK_NS)
		return;
	a->output_ns = a->now_ns;
	drops_report(&a->drops, a->now_ns, a->real_ns, 0, on_loss, a);
	outputs_tick(&a->outputs, a->now_ns);
	if (a->now_ns - a->saved_ns < FINDINGS_TICK_NS)
		return;
	a->saved_ns = a->now_ns;
	save_findings(a);
}

static void take_signal(struct agent *a)
{
	struct signalfd_siginfo si;

	if (read(a->signal_fd, &si, sizeof(si)) == (ssize_t)sizeof(si))
		a->stop = true;
}

static void loop(struct agent *a)
{
	while (!a->stop) {
		struct epoll_event events[4];
		bool idle = a->now_ns - a->record_ns > IDLE_AFTER_NS;
		int n;

		/* What the last drain left behind needs no wait. */
		n = epoll_wait(a->epoll_fd, events, 4,
			       drain(a) >= DRAIN_RECORDS ? 0 : idle ? DRAIN_IDLE_MS : DRAIN_MS);
		look_at_clocks(a);
		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == SPAWN_FD_CHANNEL)
				serve_channel(a);
			else if (events[i].data.fd == a->signal_fd)
				take_signal(a);
			else if (events[i].data.fd == outputs_fd(&a->outputs))
				outputs_serve(&a->outputs);
		}
		tick(a);
		settle(a);
	}
}

/* The monitor still answers after TT_IPC_STOP: the last requests are worth a moment. */
static void await_answers(struct agent *a)
{
	const uint64_t end = clock_ns(CLOCK_MONOTONIC) + PROCESS_HOLD_NS;
	struct pollfd p = { .fd = SPAWN_FD_CHANNEL, .events = POLLIN };

	while (!a->alone && process_held(a->processes)) {
		uint64_t now = clock_ns(CLOCK_MONOTONIC);

		if (now >= end || poll(&p, 1, (int)((end - now) / NS_PER_MS) + 1) <= 0)
			return;
		serve_channel(a);
	}
}

static int finish(struct agent *a)
{
	int r;

	look_at_clocks(a);
	/* A row that is given away between the two has its last uses in the ring. */
	for (int i = 0; i < 2; i++) {
		while (drain(a) >= DRAIN_RECORDS)
			;
		rows_flush(a->rows, a->boot_ns);
	}
	pair_flush(a->pair);
	await_answers(a);
	process_flush(a->processes);
	minting_flush(a->minting, a->now_ns);
	fold_flush(a->fold);
	inventory_flush(a->inventory);
	cover_flush(a->cover, a->now_ns);
	drops_report(&a->drops, a->now_ns, a->real_ns, 1, on_loss, a);
	save_findings(a);
	r = outputs_finish(&a->outputs, FINISH_LIMIT_MS);
	settle(a);
	return r;
}

/* ---- the start ---- */

static int cant(const char *what, int r)
{
	log_error("the agent can't start: %s error=\"%s\"", what, strerror(-r));
	return r;
}

static int make_tables(struct agent *a)
{
	static const struct process_ops process_ops = { .ask = on_ask, .done = on_known,
							  .look = on_look };
	const struct config *c = &a->config;
	/* The monitor follows as many again that only have a file; none must be forgotten before it is,
	 * or what it is told of anew would be added up twice. */
	const struct cover_limits limits = { 2 * c->coverage, COVER_FILES_MAX,
					     c->metrics_workloads };
	int r;

	r = pair_new(c->pending, c->status_wait_ms * NS_PER_MS, on_paired, a, &a->pair);
	if (r == 0)
		r = process_new(c->coverage, c->pending, &process_ops, a, &a->processes);
	if (r == 0)
		r = convert_new(a->params.publish, a->params.key_id, &a->convert);
	if (r == 0)
		r = inventory_new(c->tokens, INVENTORY_INTERVAL_NS, on_token, a, &a->inventory);
	if (r == 0)
		r = minting_new(c->pending / MINTING_PART, c->status_wait_ms * NS_PER_MS, a->convert, a->processes, on_mint,
				a, &a->minting);
	if (r == 0)
		r = fold_new(c->fold_rows, 0, on_folded, a, &a->fold);
	if (r == 0)
		r = cover_new(&limits, a->processes, on_coverage, a, &a->cover);
	if (r < 0)
		return cant("no memory for its tables", r);
	explicit_bzero(a->params.publish, sizeof(a->params.publish));
	drops_init(&a->drops, a->params.reported);
	apply_settings(a);
	return 0;
}

static int watch(int epoll_fd, int fd)
{
	struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
}

/* SIGINT and SIGHUP reach the terminal's whole process group; the monitor decides on them. */
static int open_signals(void)
{
	sigset_t set;
	int fd;

	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

static int open_loop(struct agent *a)
{
	int r;

	a->signal_fd = open_signals();
	if (a->signal_fd < 0)
		return cant("signalfd", a->signal_fd);
	a->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (a->epoll_fd < 0)
		return cant("epoll", -errno);
	r = watch(a->epoll_fd, SPAWN_FD_CHANNEL);
	if (r == 0)
		r = watch(a->epoll_fd, a->signal_fd);
	if (r == 0)
		r = watch(a->epoll_fd, ring_poll_fd(a->ring));
	return r < 0 ? cant("epoll", r) : 0;
}

/* Root's last moments: the blob is the monitor's own, the ring needs bpf(2). */
static int start_as_root(struct agent *a)
{
	static const struct ring_ops ring_ops = { on_use, on_status, on_close, on_claims, on_body, on_row };
	int r;

	r = blob_read(SPAWN_FD_BLOB, &a->params, &a->config);
	close(SPAWN_FD_BLOB);
	if (r < 0)
		return cant("its settings are not readable", r);
	log_set_level(a->config.log_level);
	r = ring_open(SPAWN_FD_RING, &ring_ops, a, &a->ring);
	if (r < 0)
		return cant("the ring can't be mapped", r);
	r = rows_open(SPAWN_FD_ROWS, SPAWN_FD_MARKS, a->config.status_wait_ms * NS_PER_MS, on_paired, a, &a->rows);
	close(SPAWN_FD_ROWS);
	close(SPAWN_FD_MARKS);
	if (r < 0)
		return cant("the kernel's rows of repeats can't be mapped", r);
	r = a->config.metrics ? http_listen(a->config.metrics_listen, &a->metrics_fd) : 0;
	if (r < 0) {
		log_error("can't serve metrics; set metrics.listen to a free address of this node "
			  "address=%s", a->config.metrics_listen);
		return cant("metrics.listen", r);
	}
	r = sandbox_drop(a->params.uid, a->params.gid);
	return r < 0 ? cant("privileges could not be dropped", r) : 0;
}

static int start(struct agent *a)
{
	struct tt_ipc_hdr hello;
	int r;

	r = start_as_root(a);
	if (r < 0)
		return r;
	umask(077);
	r = open_loop(a);
	if (r < 0)
		return r;
	r = make_tables(a);
	if (r < 0)
		return r;
	r = outputs_open(&a->outputs, &a->config, a->params.node, TAKE_FD(a->metrics_fd));
	if (r < 0)
		return r;
	outputs_watch(&a->outputs, cover_totals(a->cover));
	outputs_memory(&a->outputs, a->config.memory_bytes, &a->params.budget);
	inventory_set_recall(a->inventory, on_recall);
	r = outputs_fd(&a->outputs) < 0 ? 0 : watch(a->epoll_fd, outputs_fd(&a->outputs));
	if (r < 0)
		return cant("epoll", r);
	open_findings(a);
	r = sandbox_filter(agent_profile, a->config.log_level >= LOG_LEVEL_DEBUG);
	if (r < 0)
		return cant("the system call filter was refused", r);
	pages_give_back();	/* of sinks and name service, as they made themselves ready */
	look_at_clocks(a);
	a->record_ns = a->output_ns = a->saved_ns = a->now_ns;
	chan_stamp(&hello, TT_IPC_HELLO, sizeof(hello));
	r = chan_send(SPAWN_FD_CHANNEL, &hello, -1);
	return r < 0 ? cant("the monitor does not listen", r) : 0;
}

static void done(struct agent *a)
{
	outputs_done(&a->outputs);
	findings_free(a->findings);
	fold_free(a->fold);
	inventory_free(a->inventory);
	minting_free(a->minting);
	convert_free(a->convert);
	cover_free(a->cover);
	process_free(a->processes);
	rows_free(a->rows);
	pair_free(a->pair);
	ring_free(a->ring);
	config_done(&a->config);
	closep(&a->metrics_fd);
	closep(&a->signal_fd);
	closep(&a->epoll_fd);
	explicit_bzero(&a->params, sizeof(a->params));
}

int agent_main(void)
{
	static struct agent a = { .epoll_fd = -EBADF, .signal_fd = -EBADF, .metrics_fd = -EBADF };
	int r;

	log_init("agent", LOG_LEVEL_INFO);
	pages_keep_blocks_apart();
	pages_give_back();	/* before the ring comes in */
	/* Or ps and top show "exe", as it was started through /proc/self/exe. */
	prctl(PR_SET_NAME, "tokentrail", 0, 0, 0);
	if (start(&a) < 0) {
		done(&a);
		return EXIT_CANT;
	}
	loop(&a);
	r = finish(&a);
	done(&a);
	return a.broken || r < 0 ? EXIT_BROKEN : 0;
}
