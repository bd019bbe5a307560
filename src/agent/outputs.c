/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/outputs.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

static int open_stdout(struct outputs *o, const struct config *c, const char *node)
{
	struct sink *to = &o->sinks[o->count];
	enum output_format format = c->output;
	int r;

	if (format == OUTPUT_AUTO)
		format = isatty(STDOUT_FILENO) ? OUTPUT_TABLE : OUTPUT_JSON;
	if (format == OUTPUT_NONE)
		return 0;
	r = format == OUTPUT_TABLE ? table_sink_new(STDOUT_FILENO, node, to) :
				     json_sink_new(STDOUT_FILENO, node, to);
	if (r < 0) {
		log_error("can't write to standard output error=\"%s\"", strerror(-r));
		return r;
	}
	o->table = format == OUTPUT_TABLE ? to : NULL;
	o->count++;
	return 0;
}

static int open_store(struct outputs *o, const struct config *c, const char *node)
{
	struct config_error error = { "" };
	char path[PATH_MAX];
	int r;

	if (!c->store)
		return 0;
	snprintf(path, sizeof(path), "%s/store.db", c->state_dir);
	r = store_sink_new(path, c->store_max_bytes, node, &o->sinks[o->count], &error);
	if (r < 0) {
		log_error("can't open the store: %s path=%s error=\"%s\"", error.text, path,
			  strerror(-r));
		return r;
	}
	store_sink_set_idle(&o->sinks[o->count], c->idle_ms / 1000);
	o->count++;
	return 0;
}

static int open_kafka(struct outputs *o, const struct config *c, const char *node)
{
	struct config_error error = { "" };
	char spool[PATH_MAX];
	int r;

	if (!c->kafka)
		return 0;
	snprintf(spool, sizeof(spool), "%s/spool", c->state_dir);
	r = kafka_sink_new(c, spool, node, &o->sinks[o->count], &error);
	if (r < 0) {
		log_error("can't set up Kafka: %s spool=%s error=\"%s\"", error.text, spool,
			  strerror(-r));
		return r;
	}
	o->kafka = &o->sinks[o->count];
	o->count++;
	return 0;
}

static int open_metrics(struct outputs *o, int fd)
{
	int r;

	if (fd < 0)
		return 0;
	r = metrics_sink_new(fd, &o->sinks[o->count]);
	if (r < 0) {
		log_error("can't serve metrics error=\"%s\"", strerror(-r));
		return r;
	}
	o->metrics = &o->sinks[o->count];
	o->count++;
	return 0;
}

int outputs_open(struct outputs *o, const struct config *c, const char *node, int metrics_fd)
{
	int r;

	*o = (struct outputs){ 0 };
	r = open_stdout(o, c, node);
	if (r == 0)
		r = open_store(o, c, node);
	if (r == 0)
		r = open_kafka(o, c, node);
	if (r == 0)
		r = open_metrics(o, metrics_fd);
	else if (metrics_fd >= 0)
		close(metrics_fd);
	if (r < 0)
		outputs_done(o);
	return r;
}

void outputs_done(struct outputs *o)
{
	while (o->count) {
		struct sink *s = &o->sinks[--o->count];

		s->ops->free(s->self);
	}
	o->table = o->kafka = o->metrics = NULL;
}

static void failed(const struct sink *s, const char *what, int r)
{
	log_limited(LOG_LEVEL_WARNING, "an output did not take a record; it counts what it loses "
		    "output=%s record=%s error=\"%s\"", s->ops->name, what, strerror(-r));
}

void outputs_use(struct outputs *o, const struct use *u)
{
	for (size_t i = 0; i < o->count; i++) {
		int r = o->sinks[i].ops->use(o->sinks[i].self, u);

		if (r < 0)
			failed(&o->sinks[i], "use", r);
	}
}

void outputs_token(struct outputs *o, const struct token *t)
{
	for (size_t i = 0; i < o->count; i++) {
		int r = o->sinks[i].ops->token(o->sinks[i].self, t);

		if (r < 0)
			failed(&o->sinks[i], "token", r);
	}
}

void outputs_mint(struct outputs *o, const struct mint *m)
{
	for (size_t i = 0; i < o->count; i++) {
		int r = o->sinks[i].ops->mint(o->sinks[i].self, m);

		if (r < 0)
			failed(&o->sinks[i], "mint", r);
	}
}

void outputs_loss(struct outputs *o, const struct loss *l)
{
	for (size_t i = 0; i < o->count; i++) {
		int r = o->sinks[i].ops->loss(o->sinks[i].self, l);

		if (r < 0)
			failed(&o->sinks[i], "loss", r);
	}
}

void outputs_coverage(struct outputs *o, const struct coverage *c)
{
	for (size_t i = 0; i < o->count; i++) {
		int r = o->sinks[i].ops->coverage(o->sinks[i].self, c);

		if (r < 0)
			failed(&o->sinks[i], "coverage", r);
	}
}

bool outputs_recall(struct outputs *o, struct token *t, struct facts *ret_facts)
{
	for (size_t i = 0; i < o->count; i++)
		if (o->sinks[i].ops->recall &&
		    o->sinks[i].ops->recall(o->sinks[i].self, t, ret_facts))
			return true;
	return false;
}

uint64_t outputs_unwritten(const struct outputs *o)
{
	uint64_t most = 0;

	for (size_t i = 0; i < o->count; i++) {
		const struct sink *s = &o->sinks[i];
		uint64_t n = s->ops->unwritten ? s->ops->unwritten(s->self) : 0;

		if (n > most)
			most = n;
	}
	return most;
}

void outputs_tick(struct outputs *o, uint64_t now_ns)
{
	for (size_t i = 0; i < o->count; i++) {
		int r = o->sinks[i].ops->tick(o->sinks[i].self, now_ns);

		if (r < 0)
			failed(&o->sinks[i], "tick", r);
	}
}

void outputs_status(struct outputs *o, const char *line)
{
	if (o->table)
		table_sink_status(o->table, line);
}

void outputs_watch(struct outputs *o, const struct coverage_totals *totals)
{
	if (o->metrics)
		metrics_sink_watch(o->metrics, totals, o->kafka);
}

void outputs_memory(struct outputs *o, uint64_t limit, const struct budget *budget)
{
	if (o->metrics)
		metrics_sink_memory(o->metrics, limit, budget);
}

void outputs_counters(struct outputs *o, const struct metrics_counters *c)
{
	if (o->metrics)
		metrics_sink_counters(o->metrics, c);
}

int outputs_fd(const struct outputs *o)
{
	return o->metrics ? metrics_sink_fd(o->metrics) : -1;
}

void outputs_serve(struct outputs *o)
{
	if (o->metrics)
		metrics_sink_run(o->metrics);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

int outputs_finish(struct outputs *o, uint64_t limit_ms)
{
	const uint64_t end = now_ms() + limit_ms;
	int first = 0;

	for (size_t i = 0; i < o->count; i++) {
		struct sink *s = &o->sinks[i];
		uint64_t now = now_ms();
		int r = s->ops->finish(s->self, now < end ? end - now : 0);

		if (r == 0)
			continue;
		log_error("an output could not write out everything output=%s error=\"%s\"",
			  s->ops->name, strerror(-r));
		first = first ? first : r;
	}
	return first;
}
