/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tokentrail coverage`: whose TLS the sensor sees into, from the store, and what to do about the
 * rest.
 */
#include <getopt.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "cmd/listing.h"
#include "sinks/json.h"

#define NAME "coverage"
#define LATELY_S 3600
#define WORKLOADS_MAX 10000

static const char help[] =
	"Usage: tokentrail coverage [OPTIONS]\n"
	"\n"
	"Lists the processes of this node that talk TLS or have a TLS library: how much of their TLS is\n"
	"seen, by which probes, and where not, why and what to do. Processes that still run, and those\n"
	"of the last hour. A share is covered bytes of all bytes on TLS sockets.\n"
	"\n"
	"  --by WHAT         process (default), workload (container, unit, cgroup or executable), node\n"
	"  --json            one JSON object a line, as `tokentrail run --output json` prints them\n"
	"  --limit N         no more than N processes\n"
	"  --since DURATION  running, or with news within 30s, 5m, 2h, 7d\n"
	"  --process NAME    of this program: its name, or its executable's path\n"
	"  --state-dir DIR   another state directory\n"
	"  --store FILE      another store (default: store.db in the state directory)\n"
	"  --config FILE     another configuration file\n"
	"\n"
	"Examples:\n"
	"  sudo tokentrail coverage\n"
	"  sudo tokentrail coverage --by workload\n"
	"  sudo tokentrail coverage --json | jq -r 'select(.coverage.status == \"blind\")'\n"
	"\n"
	"Exit status: 0, 1 when no process is known.";

struct listed {
	struct listing l;
	struct coverage_totals totals;
	uint64_t processes, time_ns;
};

/* ---- cells ---- */

static const char *show_bytes(uint64_t n, char to[static 16])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double x = (double)n;
	size_t i = 0;

	while (x >= 1024 && i < 6) {
		x /= 1024;
		i++;
	}
	snprintf(to, 16, i ? "%.1f %s" : "%.0f %s", x, units[i]);
	return to;
}

/* Rounded down: 100 % is all of it. */
static const char *show_share(const uint64_t wire[2], const uint64_t covered[2], char to[static 16])
{
	double share = coverage_share(wire, covered);
	int tenths = (int)(share * 1000);

	if (share < 0)
		to[0] = 0;
	else if (tenths == 1000)
		snprintf(to, 16, "100 %%");
	else
		snprintf(to, 16, "%d.%d %%", tenths / 10, tenths % 10);
	return to;
}

static int add_libraries(struct columns *c, const struct coverage *v)
{
	const struct coverage_library *one = coverage_main_library(v);
	char text[256] = "";
	size_t n = 0;

	for (size_t i = 0; i < v->libraries && n < sizeof(text); i++) {
		const struct coverage_library *l = &v->library[i];

		if (!l->tls || (one && l != one))
			continue;
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s%s%s", n ? ", " : "",
				      use_tls_library(l->tls), l->version[0] ? " " : "", l->version);
	}
	return columns_add(c, "%s", text);
}

/* How, and since when, the probes are there: of the library in use, or the first that has some. */
static int add_attached(struct columns *c, const struct coverage *v)
{
	const struct coverage_library *l = coverage_main_library(v);
	char since[LISTING_TIME_LEN];
	int r;

	for (size_t i = 0; i < v->libraries && !l; i++)
		if (v->library[i].since_ns)
			l = &v->library[i];
	r = columns_add(c, "%s", l && l->since_ns ? coverage_how(l->how) : "");
	return r ?: columns_add(c, "%s", l && l->since_ns ? listing_time(l->since_ns, since) : "");
}

static int add_why(struct columns *c, const struct coverage *v)
{
	const char *remedy = coverage_remedy(v->reason);

	if (v->reason)
		return columns_add(c, "%s: %s%s%s", coverage_reason(v->reason),
				   coverage_reason_text(v->reason), strcmp(remedy, "-") ? "; " : "",
				   strcmp(remedy, "-") ? remedy : "");
	return columns_add(c, "%s", v->io_uring ? "uses io_uring" : "");
}

/* ---- rows ---- */

static int add_titles(struct listed *d)
{
	static const char *const process[] = { "PROCESS", "WORKLOAD", "STATUS", "LIBRARY", "ATTACHED",
					       "SINCE", "FIRST CALL", "SOCKETS", "BYTES", "COVERED",
					       "WHY, AND WHAT TO DO" };
	static const char *const workload[] = { "WORKLOAD", "KIND", "PROCESSES", "BLIND", "SOCKETS",
						"BYTES", "COVERED" };
	bool by_process = d->l.by == LISTING_BY_PROCESS;
	const char *const *titles = by_process ? process : workload;
	size_t n = by_process ? 11 : 7;
	int r = 0;

	d->l.columns = columns_new(by_process ? "<<<<<<>>>><" : "<<>>>>>");
	if (!d->l.columns)
		return -ENOMEM;
	for (size_t i = 0; i < n && r == 0; i++)
		r = columns_add(d->l.columns, "%s", titles[i]);
	return r;
}

static int add_workload(struct columns *c, enum coverage_kind kind, const char *name)
{
	return kind == COVERAGE_CONTAINER ? columns_add(c, "%.12s", name) : columns_add(c, "%s", name);
}

static int add_row(struct listed *d, const struct coverage *v)
{
	struct columns *c = d->l.columns;
	char bytes[16], share[16];
	int r;

	r = columns_add(c, "%s(%" PRIu32 ")%s", v->executable[0] ? v->executable : v->process_name,
			v->pid, v->ended ? " ended" : "");
	r = r ?: add_workload(c, v->workload_kind, v->workload);
	r = r ?: columns_add(c, "%s", coverage_status_name(v->status));
	r = r ?: add_libraries(c, v);
	r = r ?: add_attached(c, v);
	r = r ?: v->exec_to_call_ns ? columns_add(c, "%.1f ms", (double)v->exec_to_call_ns / 1e6) :
				      columns_add(c, "%s", "");
	r = r ?: columns_add(c, "%" PRIu32, v->sockets);
	r = r ?: columns_add(c, "%s", show_bytes(v->wire[0] + v->wire[1], bytes));
	r = r ?: columns_add(c, "%s", show_share(v->wire, v->covered, share));
	return r ?: add_why(c, v);
}

static int on_coverage(void *arg, const struct coverage *v)
{
	struct listed *d = arg;
	char *line = NULL;
	int made;

	if (v->ended && v->status == COVERAGE_IDLE)
		return 0;	/* it never talked TLS, and never will */
	d->processes++;
	if (v->time_ns > d->time_ns)
		d->time_ns = v->time_ns;
	coverage_add(&d->totals.node, v);
	coverage_add(coverage_totals_get(&d->totals, v->workload_kind, v->workload), v);
	if (d->l.by != LISTING_BY_PROCESS)
		return 0;
	if (!d->l.json)
		return add_row(d, v);
	made = json_coverage(store_query_node(d->l.query), v, &line);
	return listing_json(&d->l, made, line);
}

/* ---- sums ---- */

static uint64_t sum_processes(const struct coverage_sum *s)
{
	uint64_t n = 0;

	for (int i = 0; i < COVERAGE_STATUS_MAX; i++)
		n += s->processes[i];
	return n;
}

static int sum_json(struct listed *d, enum coverage_kind kind, const char *name,
		    const struct coverage_sum *sum)
{
	char *line = NULL;
	int made = json_coverage_sum(store_query_node(d->l.query), d->time_ns, kind, name, sum, &line);

	return listing_json(&d->l, made, line);
}

static int by_bytes(const void *a, const void *b)
{
	const struct coverage_workload *x = a, *y = b;
	uint64_t m = x->sum.wire[0] + x->sum.wire[1], n = y->sum.wire[0] + y->sum.wire[1];

	return m < n ? 1 : m > n ? -1 : strcmp(x->name, y->name);
}

static int add_sum(struct listed *d, const struct coverage_workload *w)
{
	struct columns *c = d->l.columns;
	char bytes[16], share[16];
	int r;

	r = add_workload(c, w->kind, w->name);
	r = r ?: columns_add(c, "%s", coverage_kind_name(w->kind));
	r = r ?: columns_add(c, "%" PRIu64, sum_processes(&w->sum));
	r = r ?: columns_add(c, "%" PRIu64, w->sum.processes[COVERAGE_BLIND]);
	r = r ?: columns_add(c, "%" PRIu64, w->sum.sockets);
	r = r ?: columns_add(c, "%s", show_bytes(w->sum.wire[0] + w->sum.wire[1], bytes));
	return r ?: columns_add(c, "%s", show_share(w->sum.wire, w->sum.covered, share));
}

static int list_workloads(struct listed *d)
{
	struct coverage_totals *t = &d->totals;
	int r = 0;

	qsort(t->workload, t->workloads, sizeof(t->workload[0]), by_bytes);
	for (size_t i = 0; i < t->workloads && r == 0; i++) {
		const struct coverage_workload *w = &t->workload[i];

		r = d->l.json ? sum_json(d, w->kind, w->name, &w->sum) : add_sum(d, w);
	}
	return r;
}

static void print_node(struct listed *d)
{
	const struct coverage_sum *s = &d->totals.node;
	const char *node = store_query_node(d->l.query), *before = ": ";
	char bytes[16], share[16];

	fprintf(d->l.out, "%s%s: ", d->l.by == LISTING_BY_NODE ? "" : "\n", node[0] ? node : "node");
	if (coverage_share(s->wire, s->covered) < 0)
		fputs("no TLS seen", d->l.out);
	else
		fprintf(d->l.out, "%s of %s on TLS sockets covered",
			show_share(s->wire, s->covered, share),
			show_bytes(s->wire[0] + s->wire[1], bytes));
	fprintf(d->l.out, "; %" PRIu64 " %s", d->processes, d->processes == 1 ? "process" : "processes");
	for (int i = COVERAGE_STATUS_MAX - 1; i >= 0; i--) {
		if (!s->processes[i])
			continue;
		fprintf(d->l.out, "%s%" PRIu64 " %s", before, s->processes[i], coverage_status_name(i));
		before = ", ";
	}
	fputc('\n', d->l.out);
}

static int list(struct listed *d)
{
	int r = 0;

	d->totals.limit = WORKLOADS_MAX;
	d->totals.workload = calloc(WORKLOADS_MAX, sizeof(*d->totals.workload));
	if (!d->totals.workload)
		return -ENOMEM;
	if (!d->l.json && d->l.by != LISTING_BY_NODE)
		r = add_titles(d);
	r = r ?: store_query_coverage(d->l.query, &d->l.filter, on_coverage, d);
	if (r == 0 && d->l.by == LISTING_BY_WORKLOAD)
		r = list_workloads(d);
	if (r == 0 && d->l.by == LISTING_BY_NODE && d->l.json && d->processes)
		r = sum_json(d, COVERAGE_NO_WORKLOAD, "", &d->totals.node);
	return r;
}

static int coverage(struct listed *d)
{
	int status, r;

	listing_default_since(&d->l, LATELY_S);
	status = listing_open(&d->l);
	if (status != CMD_OK)
		return status;
	r = list(d);
	if (r < 0)
		return listing_failed(&d->l, r);
	listing_end_table(&d->l);
	if (!d->l.json)
		print_node(d);
	return listing_print(&d->l, d->processes ? CMD_OK : CMD_NO);
}

int cmd_coverage(int argc, char **argv)
{
	struct listed d = { 0 };
	int status;

	status = listing_options(&d.l, NAME, help, LISTING_COVERAGE, argc, argv);
	if (status < 0 && optind < argc)
		status = cmd_usage_error(NAME, "takes no arguments; one program is --process NAME");
	if (status < 0)
		status = coverage(&d);
	listing_done(&d.l);
	free(d.totals.workload);
	return status;
}
