/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor's start, its one loop and its end. Whatever ends this process, even SIGKILL, closes
 * its descriptors, and with them go the probes; the agent sees the end of the channel and goes too.
 */
#include "monitor/run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "agent/blob.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/pages.h"
#include "base/terminal.h"
#include "ipc/chan.h"
#include "monitor/bpf.h"
#include "monitor/checks.h"
#include "monitor/child.h"
#include "monitor/filter.h"
#include "monitor/tally.h"
#include "monitor/places.h"
#include "monitor/procs.h"
#include "monitor/reload.h"
#include "monitor/scan.h"
#include "monitor/setup.h"
#include "monitor/targets.h"
#include "monitor/watch.h"
#include "tokens/id.h"

#define SECOND_NS 1000000000ULL
#define RESCAN_NS (60 * SECOND_NS)
#define RESCAN_SOON_NS SECOND_NS /* after lost events */
#define SCAN_SLICE_NS 5000000ULL /* of a scan, before events are served again */
#define STOP_LIMIT_NS (8 * SECOND_NS)
#define TALLY_SEND_NS (SECOND_NS / 20)
#define TALLY_SEND_MAX 50 /* changes of coverage told at once: 1000 a second */
#define MESSAGES_MAX 256 /* of the agent, before events are served again */

enum source { SOURCE_SIGNAL, SOURCE_WATCH, SOURCE_CHANNEL, SOURCE_AGENT, SOURCE_FILTER };

struct monitor {
	const struct run_options *options;
	struct config config;
	struct budget_kernel costs;
	struct budget budget;
	struct agent_params params;
	struct bpf_sensor *sensor;
	struct targets *targets;
	struct procs *procs;
	struct tally *tally;
	struct filter *filter;
	struct watch *watch;
	struct scan *scan; /* NULL: none under way */
	struct child child;
	int epoll, signals;
	int root; /* the node's root directory, for places.h; negative: out of reach */

	bool scanned_once, ready, stopping, done;
	bool tables_wait; /* what the configuration adds has changed, and the kernel does not know yet */
	unsigned int reloads; /* that the agent was told of and has not read yet */
	uint64_t forget_ns; /* when classes of before are forgotten a second time; 0 = not wanted */
	bool on_terminal; /* standard output was one at the start */
	int status;				      /* of run_monitor() */
	uint64_t now_ns;			      /* CLOCK_BOOTTIME */
	uint64_t tick_ns, rescan_ns, stop_ns, end_ns, attach_ns; /* deadlines; 0 = none */
	uint64_t tally_ns;
	uint64_t perf_lost, messages_lost;
	uint64_t kernel_totals[TT_DROP_MAX]; /* as last read */
};

static uint64_t read_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

/* A node that can't is -ENOTSUP, a wrong configuration -EINVAL; both have been said by then. */
static int cant(const char *what, int r)
{
	log_error("%s: %s", what, strerror(-r));
	return -ENOTSUP;
}

/* ---- events ---- */

static uint64_t identity_of(const struct watch_event *e)
{
	uint64_t hash = e->ino * 0x9e3779b97f4a7c15ULL;

	hash ^= ((uint64_t)e->major << 32 | e->minor) * 0xff51afd7ed558ccdULL;
	hash ^= e->generation << 17;
	return e->ino ? (hash ^ hash >> 29) | 1 : 0;
}

static bool is_own(const struct monitor *m, uint32_t pid)
{
	return pid == (uint32_t)getpid() || (m->child.pid > 0 && pid == (uint32_t)m->child.pid);
}

static void on_mapping(struct monitor *m, const struct watch_event *e)
{
	const struct target_map map = {e->pid, e->start, e->end, e->ino, identity_of(e), e->path};
	uint64_t file;

	procs_mapped(m->procs, e->pid, e->path);
	if (!m->targets || e->pid == (uint32_t)getpid())
		return;
	file = targets_mapped(m->targets, &map, m->now_ns);
	if (!is_own(m, e->pid))
		tally_mapped(m->tally, e->pid, file);
}

static void on_event(const struct watch_event *e, void *arg)
{
	struct monitor *m = arg;

	switch (e->type) {
	case WATCH_MAP:
		on_mapping(m, e);
		break;
	case WATCH_EXEC:
		procs_exec(m->procs, e->pid);
		tally_exec(m->tally, e->pid);
		break;
	case WATCH_FORK:
		procs_forked(m->procs, e->pid, e->parent, e->time_ns);
		tally_forked(m->tally, e->pid, e->parent, e->time_ns);
		filter_forked(m->filter, e->pid, e->parent, e->time_ns);
		break;
	case WATCH_EXIT:
		procs_exited(m->procs, e->pid, m->now_ns);
		tally_exited(m->tally, e->pid);
		break;
	case WATCH_CGROUP:
		procs_cgroup_made(m->procs, e->cgroup, e->path);
		filter_cgroup_made(m->filter, e->cgroup, e->path);
		break;
	case WATCH_LOST:
		m->perf_lost += e->lost;
		if (m->rescan_ns > m->now_ns + RESCAN_SOON_NS)
			m->rescan_ns = m->now_ns + RESCAN_SOON_NS;
		break;
	case WATCH_OTHER:
		break;
	}
}

/* ---- scans ---- */

static void on_process(uint32_t pid, void *arg)
{
	struct monitor *m = arg;

	procs_scanned(m->procs, pid);
	tally_scanned(m->tally, pid);
}

static uint64_t on_scan_map(const struct scan_map *map, void *arg)
{
	struct monitor *m = arg;
	const struct target_map target = {map->pid, map->start, map->end, map->ino, 0, map->path};

	return m->targets ? targets_found(m->targets, &target) : 0;
}

static void on_scan_use(uint32_t pid, uint64_t file, void *arg)
{
	struct monitor *m = arg;

	if (!is_own(m, pid))
		tally_mapped(m->tally, pid, file);
}

static void on_known_file(const char *path, void *arg)
{
	struct monitor *m = arg;

	targets_known(m->targets, path);
	filter_serve(m->filter); /* who asks waits with all its calls */
}

static void begin_scan(struct monitor *m)
{
	const struct scan_calls calls = {on_process, on_scan_map, on_scan_use, m};
	int r;

	m->rescan_ns = m->now_ns + RESCAN_NS;
	if (m->scan)
		return;
	r = scan_new(&calls, &m->scan);
	if (r < 0) {
		log_error("can't look for running programs; trying again in a minute error=\"%s\"",
			  strerror(-r));
		return;
	}
	if (m->targets)
		targets_scan_begins(m->targets);
}

static void end_scan(struct monitor *m, int r)
{
	scan_free(m->scan);
	m->scan = NULL;
	if (r < 0)
		log_error("can't look for running programs; trying again in a minute error=\"%s\"",
			  strerror(-r));
	else if (m->targets)
		targets_scan_ended(m->targets);
	m->scanned_once = m->scanned_once || r == 0;
}

static void go_on_scanning(struct monitor *m)
{
	uint64_t until = read_clock() + SCAN_SLICE_NS;
	int r;

	do
		r = scan_step(m->scan);
	while (r > 0 && read_clock() < until);
	if (m->targets)
		targets_send(m->targets);
	if (r <= 0)
		end_scan(m, r);
}

/* ---- the agent ---- */

static int listen_to(struct monitor *m, int fd, enum source source)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = source};

	return epoll_ctl(m->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int start_agent(struct monitor *m)
{
	int r;

	bpf_sensor_forget(m->sensor);
	r = child_start(&m->child, m->sensor, &m->params, &m->config, m->now_ns);
	if (r == 0)
		r = listen_to(m, m->child.channel, SOURCE_CHANNEL);
	if (r == 0)
		r = listen_to(m, m->child.pidfd, SOURCE_AGENT);
	return r;
}

static void restart_agent(struct monitor *m)
{
	int r = start_agent(m);

	if (r == 0 || m->child.pid)
		return; /* a child that can't be listened to is stuck in a while */
	m->child.restart_ns = m->now_ns + 10 * SECOND_NS;
	log_error("can't start the agent; trying again in 10 s error=\"%s\"", strerror(-r));
}

static void answer(struct monitor *m, const struct tt_ipc_ask *ask)
{
	struct tt_ipc_proc reply = {
		.start_ns = ask->start_ns,
		.cgroup = ask->cgroup,
		.tgid = ask->tgid,
	};

	procs_answer(m->procs, &reply);
	chan_stamp(&reply.h, TT_IPC_PROC, sizeof(reply));
	if (chan_send(m->child.channel, &reply.h, -1) < 0)
		m->messages_lost++;
}

static int look(struct monitor *m, const struct tt_ipc_look *question)
{
	struct tt_ipc_place place = {.start_ns = question->start_ns, .tgid = question->tgid};
	struct tt_ipc_bundle bundle = {.start_ns = question->start_ns, .tgid = question->tgid};
	_cleanup_close_ int fd = -EBADF;

	if (places_find(m->root, question, &place, &fd) < 0)
		return -EBADMSG;
	chan_stamp(&bundle.h, TT_IPC_BUNDLE, sizeof(bundle));
	chan_stamp(&place.h, TT_IPC_PLACE, sizeof(place));
	if ((fd >= 0 && chan_send(m->child.channel, &bundle.h, fd) < 0) ||
	    chan_send(m->child.channel, &place.h, -1) < 0)
		m->messages_lost++;
	return 0;
}

/* The agent knows the new rows, so the kernel may name them. Until here the tables of before were in force;
 * nothing is between them: a name or a prefix is in the old table or in the new one. */
static void fill_tables(struct monitor *m)
{
	int r;

	if (!m->tables_wait || m->reloads)
		return;
	m->tables_wait = false;
	r = bpf_sensor_tables(m->sensor);
	if (r < 0) {
		log_error("the kernel did not take all classes, fields and endpoints of the new configuration; restart "
			  "tokentrail error=\"%s\"", strerror(-r));
		return;
	}
	m->forget_ns = m->now_ns + SECOND_NS;
	log_info("classes, credential fields and token endpoints of the configuration are in force");
}

static int on_hello(struct monitor *m)
{
	if (m->child.hello)
		return -EBADMSG;
	m->child.hello = true;
	m->reloads = 0; /* it was started with the last */
	fill_tables(m);
	if (m->targets)
		targets_set_agent(m->targets, m->child.channel);
	tally_set_agent(m->tally, m->child.channel);
	return 0;
}

static int on_message(struct monitor *m, int type, const void *message)
{
	if (type == TT_IPC_HELLO)
		return on_hello(m);
	if (!m->child.hello)
		return -EBADMSG;
	if (type == TT_IPC_ASK) {
		answer(m, message);
		return 0;
	}
	if (type == TT_IPC_LOOK)
		return look(m, message);
	if (type == TT_IPC_RELOADED) {
		if (!m->reloads)
			return -EBADMSG;
		m->reloads--;
		fill_tables(m);
		return 0;
	}
	if (!m->targets)
		return -EBADMSG;
	return type == TT_IPC_HOOK ? targets_hook(m->targets, message)
				   : targets_scanned(m->targets, message);
}

static void on_channel(struct monitor *m)
{
	_Alignas(8) char message[CHAN_MSG_MAX];
	int type, fd, r = 0;

	for (int i = 0; i < MESSAGES_MAX && m->child.channel >= 0; i++) {
		type = chan_recv(m->child.channel, message, chan_to_monitor, &fd);
		if (type == -EAGAIN)
			return;
		r = type > 0 ? on_message(m, type, message) : type;
		filter_serve(m->filter);
		if (r < 0)
			break;
	}
	if (r == 0)
		return;
	/* Nothing it says counts any more; that it ended is told by its pidfd. */
	epoll_ctl(m->epoll, EPOLL_CTL_DEL, m->child.channel, NULL);
	m->child.lost_ns = m->now_ns;
	if (r == -EBADMSG)
		child_kill(&m->child, "the agent sent what it may not send");
	else if (r != -EPIPE)
		child_kill(&m->child, strerror(-r));
}

/* An agent that showed the table and was killed could not give the terminal back. */
static void free_terminal(const struct monitor *m)
{
	if ((m->config.output != OUTPUT_AUTO && m->config.output != OUTPUT_TABLE) ||
	    !m->on_terminal)
		return;
	if (write(STDOUT_FILENO, TERMINAL_LEAVE, sizeof(TERMINAL_LEAVE) - 1) < 0)
		log_debug("the terminal can't be written to");
}

static void on_agent_end(struct monitor *m)
{
	free_terminal(m);
	if (m->targets)
		targets_set_agent(m->targets, -1);
	tally_set_agent(m->tally, -1);
	if (child_ended(&m->child, m->sensor, m->stopping, m->now_ns) == CHILD_END_CANT &&
	    !m->stopping) {
		m->status = -ENOTSUP;
		m->done = true;
	}
	m->done = m->done || m->stopping;
}

/* ---- counters ---- */

static void count_all(struct monitor *m, struct tt_ipc_counters *counters)
{
	struct targets_count count = {0};
	uint64_t left = 0;
	int r;

	memset(m->kernel_totals, 0, sizeof(m->kernel_totals));
	r = bpf_sensor_drops(m->sensor, m->kernel_totals);
	if (r < 0)
		log_limited(LOG_LEVEL_ERROR, "can't read the kernel's counters error=\"%s\"",
			    strerror(-r));
	if (m->targets)
		targets_counts(m->targets, &count);
	memcpy(counters->drops, m->kernel_totals, sizeof(counters->drops));
	r = bpf_sensor_filter_left(m->sensor, &left);
	counters->left = left;
	if (r < 0)
		log_limited(LOG_LEVEL_ERROR, "can't read how many calls were left alone error=\"%s\"", strerror(-r));
	counters->drops[TT_DROP_cover_full] += tally_lost(m->tally);
	counters->drops[TT_DROP_perf_lost] += m->perf_lost;
	counters->drops[TT_DROP_attach_failed] += count.attach_failed;
	counters->drops[TT_DROP_elf_unreadable] += count.files_skipped;
	counters->drops[TT_DROP_agent_died] += m->child.deaths;
	counters->drops[TT_DROP_agent_lost] += m->child.lost_uses;
	counters->drops[TT_DROP_ipc_full] += m->messages_lost + count.messages_lost;
	counters->files_probed = count.files_probed;
	counters->probes = count.probes;
	counters->ready = m->ready;
}

static void send_counters(struct monitor *m)
{
	struct tt_ipc_counters counters = {0};

	if (!m->child.hello)
		return;
	count_all(m, &counters);
	chan_stamp(&counters.h, TT_IPC_COUNTERS, sizeof(counters));
	if (chan_send(m->child.channel, &counters.h, -1) < 0)
		m->messages_lost++;
	else
		memcpy(m->params.reported, counters.drops, sizeof(m->params.reported));
}

/* ---- coverage ---- */

static void on_row(const struct tt_cover_key *key, const struct tt_cover_row *row, void *arg)
{
	tally_row(arg, key, row);
}

static int read_rows(struct tally *tally, void *arg)
{
	const struct monitor *m = arg;

	return bpf_sensor_cover_each(m->sensor, on_row, tally);
}

static int take_row(const struct tt_cover_key *key, struct tt_cover_row *ret_row, void *arg)
{
	struct monitor *m = arg;

	return bpf_sensor_cover_take(m->sensor, key, ret_row);
}

static int exec_of(uint32_t pid, struct tt_exec *ret_exec, void *arg)
{
	struct monitor *m = arg;

	return bpf_sensor_exec(m->sensor, pid, ret_exec);
}

static int finding_of(uint64_t file, void *arg)
{
	struct monitor *m = arg;

	return m->targets ? targets_has_finding(m->targets, file) : -ENOENT;
}

static bool is_left(uint32_t pid, uint64_t cgroup, void *arg)
{
	struct monitor *m = arg;

	return filter_leaves(m->filter, pid, cgroup);
}

static int new_tally(struct monitor *m)
{
	const struct tally_calls calls = {read_rows, take_row, exec_of, finding_of, is_left, m};

	return tally_new((uint32_t)m->config.coverage, m->procs, &calls, &m->tally);
}

static void send_tally(struct monitor *m)
{
	m->tally_ns = tally_send(m->tally, TALLY_SEND_MAX) ? m->now_ns + TALLY_SEND_NS : 0;
}

static void tick_tally(struct monitor *m)
{
	int r = tally_tick(m->tally);

	if (r < 0)
		log_limited(LOG_LEVEL_ERROR, "can't read what processes' TLS carried error=\"%s\"",
			    strerror(-r));
	send_tally(m);
}

/* ---- configuration ---- */

static const char *const live_settings[] = {
	"log.level",
	"output.per_call",
	"output.fold_interval",
	"http.status_wait",
	"inventory.idle_after",
	"sources.probes",
	"credentials.headers",
	"credentials.parameters",
	"credentials.classes",
	"credentials.suffixes",
	"mints.endpoints",
	"include.cgroups",
	"include.namespaces",
	"include.executables",
	"exclude.cgroups",
	"exclude.namespaces",
	"exclude.executables",
};

static void on_difference(const char *path, void *arg)
{
	for (size_t i = 0; i < sizeof(live_settings) / sizeof(live_settings[0]); i++)
		if (strcmp(path, live_settings[i]) == 0) {
			log_info("the new value is in force setting=%s", path);
			return;
		}
	log_warning("the new value takes effect at the next start setting=%s", path);
}

static void tell_settings(struct monitor *m)
{
	_cleanup_close_ int blob = -EBADF;
	struct tt_ipc_hdr h;
	int r;

	if (!m->child.hello)
		return; /* the one that starts next gets them anyway */
	chan_stamp(&h, TT_IPC_RELOAD, sizeof(h));
	r = blob_write(&m->params, &m->config, &blob);
	if (r == 0)
		r = chan_send_wait(m->child.channel, &h, blob, 1000);
	m->reloads += r == 0;
	if (r < 0)
		log_error("the agent could not be told of the new settings error=\"%s\"",
			  strerror(-r));
}

static void switch_probes(struct monitor *m, bool on)
{
	uint64_t began = read_clock();

	if (on == m->config.probes)
		return;
	m->config.probes = on;
	if (!m->targets)
		return;
	targets_switch(m->targets, on);
	if (!on) {
		log_info("all probes are out took_ms=%u",
			 (unsigned int)((read_clock() - began) / 1000000));
		return;
	}
	end_scan(m, 0); /* one under way has passed files by */
	scan_known_files(m->config.preattach.items, m->config.preattach.count, on_known_file, m);
	begin_scan(m);
}

static void swap_lists(struct text_list *a, struct text_list *b)
{
	struct text_list was = *a;

	*a = *b;
	*b = was;
}

/* Enters its classes, credential fields and token endpoints, unless they are what they were. */
static int check_tables(struct monitor *m, const struct config *fresh)
{
	struct config_error error = {""};

	if (reload_same_tables(&m->config, fresh))
		return 0;
	if (config_tables(fresh, &error) < 0) {
		log_error("%s", error.text);
		return -EINVAL;
	}
	m->tables_wait = true;
	return 0;
}

static void take_tables(struct monitor *m, struct config *fresh)
{
	struct text_map was = m->config.classes;

	m->config.suffixes = fresh->suffixes;
	m->config.classes = fresh->classes;
	fresh->classes = was;
	swap_lists(&m->config.headers, &fresh->headers);
	swap_lists(&m->config.parameters, &fresh->parameters);
	swap_lists(&m->config.endpoints, &fresh->endpoints);
}

/* Puts include and exclude in force. */
static int set_filters(struct monitor *m)
{
	int r = filter_set(m->filter, &m->config);

	if (r < 0)
		log_error("include and exclude may not know of all that runs; its first calls are not read error=\"%s\"",
			  strerror(-r));
	tally_again(m->tally);
	return r;
}

static void take_filters(struct monitor *m, struct config *fresh)
{
	if (reload_same_filters(&m->config, fresh))
		return;
	swap_lists(&m->config.include_cgroups, &fresh->include_cgroups);
	swap_lists(&m->config.include_namespaces, &fresh->include_namespaces);
	swap_lists(&m->config.include_executables, &fresh->include_executables);
	swap_lists(&m->config.exclude_cgroups, &fresh->exclude_cgroups);
	swap_lists(&m->config.exclude_namespaces, &fresh->exclude_namespaces);
	swap_lists(&m->config.exclude_executables, &fresh->exclude_executables);
	set_filters(m);
}

/* Gives the limits that the settings leave open. */
static int share_memory(const struct monitor *m, struct config *c, struct budget *ret_budget)
{
	struct config_error error = {""};
	int r;

	r = config_budget(c, &m->costs, ret_budget, &error);
	if (r < 0)
		log_error("%s", error.text);
	return r;
}

static void reload(struct monitor *m)
{
	struct config fresh = {0};
	struct budget unused;	/* tables keep their sizes until the next start */

	if (m->options->load(&fresh, m->options->arg) < 0 || share_memory(m, &fresh, &unused) < 0 ||
	    check_tables(m, &fresh) < 0) {
		log_error("the new configuration was refused; the old one stays in force");
		config_done(&fresh);
		return;
	}
	log_set_level(fresh.log_level);
	reload_compare(&m->config, &fresh, on_difference, NULL);
	m->config.log_level = fresh.log_level;
	m->config.per_call = fresh.per_call;
	bpf_sensor_fold(m->sensor, !fresh.per_call);
	m->config.fold_ms = fresh.fold_ms;
	m->config.status_wait_ms = fresh.status_wait_ms;
	m->config.idle_ms = fresh.idle_ms;
	switch_probes(m, fresh.probes);
	take_tables(m, &fresh);
	take_filters(m, &fresh);
	config_done(&fresh);
	tell_settings(m);
}

/* ---- the end ---- */

static void stop(struct monitor *m)
{
	if (m->stopping) { /* asked twice: it is in a hurry */
		child_kill(&m->child, "asked to stop again");
		return;
	}
	m->stopping = true;
	m->stop_ns = m->now_ns + STOP_LIMIT_NS;
	tick_tally(m);
	send_counters(m);
	if (m->child.pid == 0)
		m->done = true;
	else if (!m->child.hello || child_stop(&m->child) < 0)
		child_kill(&m->child, "the agent can't be asked to stop");
}

static void on_signal(struct monitor *m)
{
	struct signalfd_siginfo info;

	while (read(m->signals, &info, sizeof(info)) == sizeof(info)) {
		/* Shown on a terminal, it means that the terminal is gone. */
		if (info.ssi_signo == SIGHUP && !m->on_terminal)
			reload(m);
		else
			stop(m);
	}
}

/* ---- the loop ---- */

static void on_second(struct monitor *m)
{
	m->tick_ns = m->now_ns + SECOND_NS;
	procs_age(m->procs, m->now_ns);
	if (m->forget_ns && m->now_ns >= m->forget_ns) {
		/* One that was under way at the change may have come in behind it. */
		bpf_sensor_forget(m->sensor);
		m->forget_ns = 0;
	}
	if (m->targets)
		targets_send(m->targets);
	tick_tally(m);
	send_counters(m);
}

static void rescan(struct monitor *m)
{
	int r = watch_add_cpus(m->watch);

	if (r < 0)
		log_limited(LOG_LEVEL_WARNING,
			    "a CPU came online whose events can't be read; scans make up for it "
			    "error=\"%s\"",
			    strerror(-r));
	begin_scan(m);
}

static void serve_deadlines(struct monitor *m)
{
	if (m->now_ns >= m->tick_ns)
		on_second(m);
	if (m->tally_ns && m->now_ns >= m->tally_ns && !m->stopping)
		send_tally(m);
	if (m->targets)
		m->attach_ns = targets_attach(m->targets, m->now_ns);
	if (m->now_ns >= m->rescan_ns && !m->stopping)
		rescan(m);
	if (m->child.restart_ns && m->now_ns >= m->child.restart_ns && !m->stopping)
		restart_agent(m);
	if (child_is_stuck(&m->child, m->now_ns))
		child_kill(&m->child, "the agent does not answer");
	if (m->end_ns && m->now_ns >= m->end_ns && !m->stopping)
		stop(m);
	if (m->stop_ns && m->now_ns >= m->stop_ns)
		child_kill(&m->child, "the agent did not finish in time");
}

static void earlier(uint64_t *deadline, uint64_t other)
{
	if (other && other < *deadline)
		*deadline = other;
}

static int wait_ms(const struct monitor *m)
{
	uint64_t deadline = m->tick_ns;

	if (m->scan)
		return 0;
	earlier(&deadline, m->tally_ns);
	earlier(&deadline, m->rescan_ns);
	earlier(&deadline, m->attach_ns);
	earlier(&deadline, m->child.restart_ns);
	earlier(&deadline, m->end_ns);
	earlier(&deadline, m->stop_ns);
	return deadline <= m->now_ns ? 0 : (int)((deadline - m->now_ns) / 1000000 + 1);
}

static void look_if_ready(struct monitor *m)
{
	struct targets_count count = {0};

	if (m->ready || m->stopping || !m->child.hello || !m->scanned_once ||
	    (m->targets && targets_busy(m->targets)))
		return;
	m->ready = true;
	if (m->targets)
		targets_counts(m->targets, &count);
	log_info("watching files=%u probes=%u", count.files_probed, count.probes);
	fputs("ready\n", stderr);
	if (m->options->duration_ns)
		m->end_ns = read_clock() + m->options->duration_ns;
	send_counters(m);
}

static void serve(struct monitor *m, const struct epoll_event *events, int count)
{
	bool ended = false;

	for (int i = 0; i < count; i++)
		switch (events[i].data.u32) {
		case SOURCE_SIGNAL:
			on_signal(m);
			break;
		case SOURCE_CHANNEL:
			on_channel(m);
			break;
		case SOURCE_FILTER:
			break;	/* served already */
		case SOURCE_AGENT:
			ended = true; /* after its last words */
			break;
		default:
			break;
		}
	if (ended)
		on_agent_end(m);
}

static void loop(struct monitor *m)
{
	struct epoll_event events[8];
	int count;

	while (!m->done) {
		count = epoll_wait(m->epoll, events, 8, wait_ms(m));
		m->now_ns = read_clock();
		/* Before anything else: a question may be about a process that began just now. */
		tally_batch(m->tally);
		watch_drain(m->watch);
		filter_serve(m->filter);
		serve(m, events, count);
		if (m->scan && !m->done)
			go_on_scanning(m);
		serve_deadlines(m);
		look_if_ready(m);
	}
}

/* ---- the start ---- */

static int find_costs(struct monitor *m)
{
	int r = bpf_sensor_costs(&m->costs);

	if (r == 0)
		return 0;
	log_error("the sizes of the kernel's tables can't be found error=\"%s\"", strerror(-r));
	return -ENOTSUP;
}

static int prepare_sensor(struct monitor *m, const struct keys *keys)
{
	struct config_error wrong = {""};
	struct bpf_error error = {""};
	int r;

	if (config_tables(&m->config, &wrong) < 0) {
		log_error("%s", wrong.text);
		return -EINVAL;
	}
	pages_give_back();	/* before the largest thing that this process does ... */
	r = bpf_sensor_open(&m->config, keys->kernel, &m->sensor, &error);
	pages_give_back();	/* ... and what that took */
	if (r < 0) {
		log_error("%s", error.text);
		return -ENOTSUP;
	}
	return 0;
}

static int open_signals(struct monitor *m)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	m->on_terminal = isatty(STDOUT_FILENO);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	m->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return m->signals < 0 ? -errno : 0;
}

static int open_loop(struct monitor *m)
{
	int r;

	m->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (m->epoll < 0)
		return cant("epoll", -errno);
	r = open_signals(m);
	if (r == 0)
		r = listen_to(m, m->signals, SOURCE_SIGNAL);
	if (r == 0)
		r = procs_new(PROCS_MAX, PROCS_CGROUPS_MAX, &m->procs);
	if (r == 0)
		r = new_tally(m);
	m->root = places_root(); /* without it containers keep their ids for names */
	if (r == 0)
		r = filter_new(m->sensor, m->procs, m->root, &m->filter);
	if (r == 0)
		r = listen_to(m, filter_fd(m->filter), SOURCE_FILTER);
	if (r < 0)
		return cant("the monitor's tables", r);
	if (config_libraries(&m->config)) {
		const struct targets_options options = {
			.libraries = config_libraries(&m->config),
			.rate = (uint32_t)m->config.attach_rate,
			.off = !m->config.probes,
			.at_symbols = m->config.placement == PLACEMENT_SYMBOL,
		};

		r = targets_new(m->sensor, &options, &m->targets);
	}
	if (r == 0)
		r = watch_new(on_event, m, &m->watch);
	if (r == 0)
		r = listen_to(m, watch_fd(m->watch), SOURCE_WATCH);
	return r < 0 ? cant("events of new processes can't be read", r) : 0;
}

static int begin(struct monitor *m)
{
	struct bpf_error error = {""};
	int r;

	r = bpf_sensor_start_execs(m->sensor, &error);
	if (r == 0) {
		set_filters(m); /* before anything is read */
		r = bpf_sensor_start(m->sensor, &error);
	}
	if (r < 0) {
		log_error("%s", error.text);
		return -ENOTSUP;
	}
	m->now_ns = read_clock();
	r = start_agent(m);
	if (r < 0)
		return cant("the agent can't be started", r);
	if (m->targets)
		scan_known_files(m->config.preattach.items, m->config.preattach.count,
				 on_known_file, m);
	m->tick_ns = m->now_ns + SECOND_NS;
	begin_scan(m);
	return 0;
}

/* The checks come first: a node that can't run the sensor is left as it was, without a key file. */
static int prepare(struct monitor *m)
{
	char reason[512];
	struct keys keys;
	int r;

	if (checks_first_failure(reason, sizeof(reason)) < 0) {
		log_error("%s", reason);
		return -ENOTSUP;
	}
	setup_file_limit();
	r = setup_keys(&m->config, &keys);
	if (r == 0)
		r = setup_agent(&m->config, &keys, &m->params);
	m->params.budget = m->budget;
	if (r == 0)
		r = prepare_sensor(m, &keys);
	explicit_bzero(&keys, sizeof(keys));
	if (r == 0)
		r = open_loop(m);
	return r == 0 ? begin(m) : r;
}

static void end(struct monitor *m)
{
	if (m->child.pid) { /* the start went wrong after it was made */
		kill(m->child.pid, SIGKILL);
		child_ended(&m->child, m->sensor, true, m->now_ns);
	}
	scan_free(m->scan);
	watch_free(m->watch);
	targets_free(m->targets);
	tally_free(m->tally);
	filter_free(m->filter);
	bpf_sensor_close(m->sensor);
	procs_free(m->procs);
	closep(&m->root);
	closep(&m->signals);
	closep(&m->epoll);
	config_done(&m->config);
	explicit_bzero(&m->params, sizeof(m->params));
}

int run_monitor(const struct run_options *options)
{
	struct monitor m = {
		.options = options,
		.child = CHILD_NONE,
		.epoll = -EBADF,
		.signals = -EBADF,
		.root = -EBADF,
	};

	pages_keep_blocks_apart();
	m.status = options->load(&m.config, options->arg);
	if (m.status == 0) {
		log_init("monitor", m.config.log_level);
		m.status = find_costs(&m);
	}
	if (m.status == 0)
		m.status = share_memory(&m, &m.config, &m.budget);
	if (m.status == 0)
		m.status = prepare(&m);
	if (m.status == 0)
		loop(&m);
	end(&m);
	return m.status;
}
