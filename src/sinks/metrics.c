/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page in Prometheus's text format, version 0.0.4. Label values come from other programs (names of
 * workloads); they are valid text by contract and escaped here.
 */
#include "sinks/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "sinks/http.h"
#include "sinks/kafka.h"

struct metrics {
	uint64_t uses[TT_DIR_INGRESS + 1][TT_TLS_MAX];
	uint64_t mints[MINT_KIND_CHECK + 1][3];	/* ok, failed, unknown */
	struct metrics_counters counters;
	const struct coverage_totals *totals;
	const struct sink *kafka;
	struct budget budget;
	uint64_t memory_limit;
	struct http *http;
};

enum metric {
#define TT_METRIC(member, type, name, unit, labels, help) METRIC_##member,
#include <tokentrail/metrics.def>
};

static const struct {
	const char *name, *type, *help;
} metrics[] = {
#define TT_METRIC(member, type, name, unit, labels, help) { name, #type, help },
#include <tokentrail/metrics.def>
};

static const char *const directions[2] = { "sent", "received" };

static const char *const drop_names[TT_DROP_MAX] = {
#define TT_DROP(id, name, help) [id] = #name,
#include <tokentrail/drops.def>
#undef TT_DROP
};

/* ---- the format ---- */

static void head(FILE *f, enum metric m)
{
	fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", metrics[m].name, metrics[m].help, metrics[m].name,
		metrics[m].type);
}

static void label(FILE *f, char before, const char *name, const char *value)
{
	fprintf(f, "%c%s=\"", before, name);
	for (; *value; value++) {
		if (*value == '\n')
			fputs("\\n", f);
		else if (*value == '\\' || *value == '"')
			fprintf(f, "\\%c", *value);
		else
			fputc(*value, f);
	}
	fputc('"', f);
}

static void put(FILE *f, enum metric m, uint64_t value)
{
	fprintf(f, "%s %" PRIu64 "\n", metrics[m].name, value);
}

static void put_one(FILE *f, enum metric m, uint64_t value)
{
	head(f, m);
	put(f, m, value);
}

static void put_labelled(FILE *f, enum metric m, const char *name, const char *value, uint64_t n)
{
	fputs(metrics[m].name, f);
	label(f, '{', name, value);
	fprintf(f, "} %" PRIu64 "\n", n);
}

/* ---- the page ---- */

static void put_sensor(FILE *f, const struct metrics *s)
{
	head(f, METRIC_build_info);
	put_labelled(f, METRIC_build_info, "version", TT_VERSION, 1);
	put_one(f, METRIC_ready, s->counters.ready);
	put_one(f, METRIC_files_probed, s->counters.files_probed);
	put_one(f, METRIC_probes, s->counters.probes);
	put_one(f, METRIC_left_calls, s->counters.left);
	put_one(f, METRIC_memory_limit, s->memory_limit);
	head(f, METRIC_memory_planned);
	for (enum budget_part i = 0; i < BUDGET_MAX; i++)
		put_labelled(f, METRIC_memory_planned, "part", budget_part_name(i), s->budget.bytes[i]);
	head(f, METRIC_not_reported);
	for (size_t i = 0; i < TT_DROP_MAX; i++)
		if (drop_names[i])
			put_labelled(f, METRIC_not_reported, "reason", drop_names[i],
				     s->counters.drops[i]);
}

static void put_uses(FILE *f, const struct metrics *s)
{
	static const enum tt_dir both[] = { TT_DIR_EGRESS, TT_DIR_INGRESS };

	head(f, METRIC_uses);
	for (size_t d = 0; d < 2; d++) {
		for (size_t i = 0; i < TT_TLS_MAX; i++) {
			if (!use_tls_library(i)[0] || i == TT_TLS_JSSE)
				continue;
			fputs(metrics[METRIC_uses].name, f);
			label(f, '{', "direction", use_direction(both[d]));
			label(f, ',', "tls_library", use_tls_library(i));
			fprintf(f, "} %" PRIu64 "\n", s->uses[both[d]][i]);
		}
	}
}

static void put_mints(FILE *f, const struct metrics *s)
{
	static const char *const outcomes[] = { "ok", "failed", "unknown" };

	head(f, METRIC_mints);
	for (int action = 0; action <= MINT_KIND_CHECK; action++) {
		for (int i = 0; i < 3; i++) {
			fputs(metrics[METRIC_mints].name, f);
			label(f, '{', "action", mint_action(action));
			label(f, ',', "outcome", outcomes[i]);
			fprintf(f, "} %" PRIu64 "\n", s->mints[action][i]);
		}
	}
}

static void put_directions(FILE *f, enum metric m, const uint64_t bytes[2])
{
	head(f, m);
	for (int i = 0; i < 2; i++)
		put_labelled(f, m, "direction", directions[i], bytes[i]);
}

static void put_node(FILE *f, const struct coverage_sum *node)
{
	put_directions(f, METRIC_tls_bytes, node->wire);
	put_directions(f, METRIC_tls_covered_bytes, node->covered);
	put_directions(f, METRIC_tls_plaintext_bytes, node->plain);
	put_one(f, METRIC_tls_sockets, node->sockets);
	put_one(f, METRIC_tls_blind_sockets, node->blind_sockets);
	head(f, METRIC_tls_processes);
	for (int i = 0; i < COVERAGE_STATUS_MAX; i++)
		put_labelled(f, METRIC_tls_processes, "status", coverage_status_name(i),
			     node->processes[i]);
}

/* Workload by workload, and what has none of its own: name NULL. */
struct series {
	const char *kind, *name;
	const struct coverage_sum *sum;
};

static struct series series_at(const struct coverage_totals *t, size_t i)
{
	if (i < t->workloads)
		return (struct series){ coverage_kind_name(t->workload[i].kind), t->workload[i].name,
					&t->workload[i].sum };
	return (struct series){ "other", "", &t->other };
}

static void put_ratio(FILE *f, const char *scope, const struct series *s)
{
	double share = coverage_share(s->sum->wire, s->sum->covered);

	if (share < 0)
		return;
	fputs(metrics[METRIC_coverage_ratio].name, f);
	label(f, '{', "scope", scope);
	if (s->name) {
		label(f, ',', "kind", s->kind);
		label(f, ',', "workload", s->name);
	}
	fprintf(f, "} %.6g\n", share);
}

static void put_workload_bytes(FILE *f, enum metric m, const struct series *s,
			       const uint64_t bytes[2])
{
	fputs(metrics[m].name, f);
	label(f, '{', "kind", s->kind);
	label(f, ',', "workload", s->name);
	fprintf(f, "} %" PRIu64 "\n", bytes[0] + bytes[1]);
}

static void put_workloads(FILE *f, const struct coverage_totals *t)
{
	const struct series node = { NULL, NULL, &t->node };
	struct series s;

	head(f, METRIC_coverage_ratio);
	put_ratio(f, "node", &node);
	for (size_t i = 0; i <= t->workloads; i++) {
		s = series_at(t, i);
		put_ratio(f, "workload", &s);
	}
	head(f, METRIC_workload_tls_bytes);
	for (size_t i = 0; i <= t->workloads; i++) {
		s = series_at(t, i);
		put_workload_bytes(f, METRIC_workload_tls_bytes, &s, s.sum->wire);
	}
	head(f, METRIC_workload_tls_covered_bytes);
	for (size_t i = 0; i <= t->workloads; i++) {
		s = series_at(t, i);
		put_workload_bytes(f, METRIC_workload_tls_covered_bytes, &s, s.sum->covered);
	}
}

static void put_kafka(FILE *f, const struct sink *kafka)
{
	struct kafka_status st;

	kafka_sink_status(kafka, &st);
	put_one(f, METRIC_kafka_waiting, st.waiting);
	put_one(f, METRIC_kafka_acknowledged, st.acked);
	put_one(f, METRIC_kafka_spool_bytes, st.spool_bytes);
}

int metrics_sink_page(void *sink, char **ret_text, size_t *ret_len)
{
	const struct metrics *s = sink;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return -ENOMEM;
	put_sensor(f, s);
	put_uses(f, s);
	put_mints(f, s);
	if (s->totals) {
		put_node(f, &s->totals->node);
		put_workloads(f, s->totals);
	}
	if (s->kafka)
		put_kafka(f, s->kafka);
	if (fclose(f) != 0) {
		free(text);
		return -ENOMEM;
	}
	*ret_text = text;
	*ret_len = len;
	return 0;
}

/* ---- the sink ---- */

static int metrics_use(void *sink, const struct use *u)
{
	struct metrics *s = sink;

	if ((unsigned int)u->dir <= TT_DIR_INGRESS && (unsigned int)u->tls < TT_TLS_MAX)
		s->uses[u->dir][u->tls] += u->count;
	return 0;
}

static int metrics_mint(void *sink, const struct mint *m)
{
	struct metrics *s = sink;
	int outcome = m->succeeded ? 0 : m->request.status ? 1 : 2;

	s->mints[m->action][outcome]++;
	return 0;
}

/* Of these it shows totals, which it is told. */
static int metrics_token(void *sink, const struct token *t)
{
	return 0;
}

static int metrics_loss(void *sink, const struct loss *l)
{
	return 0;
}

static int metrics_coverage(void *sink, const struct coverage *c)
{
	return 0;
}

static int metrics_tick(void *sink, uint64_t now_ns)
{
	http_run(((struct metrics *)sink)->http);
	return 0;
}

static int metrics_finish(void *sink, uint64_t limit_ms)
{
	return 0;
}

static void metrics_free(void *sink)
{
	struct metrics *s = sink;

	if (!s)
		return;
	http_free(s->http);
	free(s);
}

static const struct sink_ops metrics_ops = {
	.name = "metrics",
	.use = metrics_use,
	.token = metrics_token,
	.mint = metrics_mint,
	.loss = metrics_loss,
	.coverage = metrics_coverage,
	.tick = metrics_tick,
	.finish = metrics_finish,
	.free = metrics_free,
};

int metrics_sink_new(int fd, struct sink *ret_sink)
{
	struct metrics *s = calloc(1, sizeof(*s));
	struct http_page page = { "/metrics", "text/plain; version=0.0.4; charset=utf-8",
				  metrics_sink_page, s };
	int r;

	if (!s) {
		close(fd);
		return -ENOMEM;
	}
	r = http_new(fd, &page, &s->http);
	if (r < 0) {
		free(s);
		return r;
	}
	*ret_sink = (struct sink){ .ops = &metrics_ops, .self = s };
	return 0;
}

void metrics_sink_watch(struct sink *s, const struct coverage_totals *totals,
			const struct sink *kafka)
{
	struct metrics *m = s->self;

	m->totals = totals;
	m->kafka = kafka;
}

void metrics_sink_memory(struct sink *s, uint64_t limit, const struct budget *budget)
{
	struct metrics *m = s->self;

	m->memory_limit = limit;
	m->budget = *budget;
}

void metrics_sink_counters(struct sink *s, const struct metrics_counters *c)
{
	((struct metrics *)s->self)->counters = *c;
}

int metrics_sink_fd(const struct sink *s)
{
	return http_fd(((const struct metrics *)s->self)->http);
}

void metrics_sink_run(struct sink *s)
{
	http_run(((struct metrics *)s->self)->http);
}
