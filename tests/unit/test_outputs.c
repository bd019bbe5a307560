/* SPDX-License-Identifier: Apache-2.0 */
/* Which sinks the settings open, and that each of them gets everything. The sinks here are made up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/outputs.h"
#include "tokens/facts.h"

#define METRICS_FD 1000	/* of nothing */

enum kind { JSON, TABLE, STORE, KAFKA, METRICS, KINDS };

struct fake {
	int opened, freed, use, token, mint, loss, coverage, recall, tick, finish;
	bool knows;
	int refuse_open, answer;
	uint64_t limit_ms, unwritten;
	char path[64];
};

static struct fake fakes[KINDS];
static char status_line[64];
static const struct coverage_totals *watched;
static uint32_t probes;
static int served;

static int fake_use(void *sink, const struct use *u)
{
	struct fake *f = sink;

	f->use++;
	return f->answer;
}

static int fake_token(void *sink, const struct token *t)
{
	((struct fake *)sink)->token++;
	return 0;
}

static int fake_loss(void *sink, const struct loss *l)
{
	((struct fake *)sink)->loss++;
	return 0;
}

static int fake_coverage(void *sink, const struct coverage *c)
{
	((struct fake *)sink)->coverage++;
	return 0;
}

static bool fake_recall(void *sink, struct token *t, struct facts *ret_facts)
{
	struct fake *f = sink;

	f->recall++;
	return f->knows;
}

static uint64_t fake_unwritten(const void *sink)
{
	return ((const struct fake *)sink)->unwritten;
}

static int fake_tick(void *sink, uint64_t now_ns)
{
	assert_int_equal(now_ns, 5);
	((struct fake *)sink)->tick++;
	return 0;
}

static int fake_finish(void *sink, uint64_t limit_ms)
{
	struct fake *f = sink;

	f->finish++;
	f->limit_ms = limit_ms;
	usleep(5000);
	return f->answer;
}

static void fake_free(void *sink)
{
	((struct fake *)sink)->freed++;
}

static int fake_mint(void *sink, const struct mint *m)
{
	((struct fake *)sink)->mint++;
	return 0;
}

static const struct sink_ops ops = { "fake",	fake_use,    fake_token,  fake_mint, fake_loss,
				     fake_coverage, fake_recall, fake_unwritten, fake_tick, fake_finish,
				     fake_free };
static const struct sink_ops forgetful = { "forgetful", fake_use, fake_token, fake_mint, fake_loss, fake_coverage,
					   NULL, NULL, fake_tick, fake_finish, fake_free };

static int open_fake(enum kind kind, const char *path, struct sink *ret_sink)
{
	struct fake *f = &fakes[kind];

	if (f->refuse_open)
		return f->refuse_open;
	f->opened++;
	snprintf(f->path, sizeof(f->path), "%s", path);
	*ret_sink = (struct sink){ kind == METRICS ? &forgetful : &ops, f };
	return 0;
}

int json_sink_new(int fd, const char *node, struct sink *ret_sink)
{
	assert_int_equal(fd, 1);
	assert_string_equal(node, "n");
	return open_fake(JSON, "", ret_sink);
}

int table_sink_new(int fd, const char *node, struct sink *ret_sink)
{
	return open_fake(TABLE, "", ret_sink);
}

void table_sink_status(struct sink *s, const char *line)
{
	assert_ptr_equal(s->self, &fakes[TABLE]);
	snprintf(status_line, sizeof(status_line), "%s", line);
}

int store_sink_new(const char *path, uint64_t max_bytes, const char *node, struct sink *ret_sink,
		   struct config_error *ret_error)
{
	return open_fake(STORE, path, ret_sink);
}

static uint64_t idle_s;

void store_sink_set_idle(struct sink *sink, uint64_t seconds)
{
	idle_s = seconds;
}

int kafka_sink_new(const struct config *c, const char *spool_dir, const char *node,
		   struct sink *ret_sink, struct config_error *ret_error)
{
	return open_fake(KAFKA, spool_dir, ret_sink);
}

int metrics_sink_new(int fd, struct sink *ret_sink)
{
	assert_int_equal(fd, METRICS_FD);
	return open_fake(METRICS, "", ret_sink);
}

void metrics_sink_watch(struct sink *s, const struct coverage_totals *totals,
			const struct sink *kafka)
{
	assert_ptr_equal(s->self, &fakes[METRICS]);
	assert_ptr_equal(kafka->self, &fakes[KAFKA]);
	watched = totals;
}

void metrics_sink_memory(struct sink *s, uint64_t limit, const struct budget *budget)
{
	assert_ptr_equal(s->self, &fakes[METRICS]);
}

void metrics_sink_counters(struct sink *s, const struct metrics_counters *c)
{
	assert_ptr_equal(s->self, &fakes[METRICS]);
	probes = c->probes;
}

int metrics_sink_fd(const struct sink *s)
{
	assert_ptr_equal(s->self, &fakes[METRICS]);
	return 8;
}

void metrics_sink_run(struct sink *s)
{
	assert_ptr_equal(s->self, &fakes[METRICS]);
	served++;
}

static int metrics_fd;
static struct config config;
static struct outputs o;

static int setup(void **state)
{
	memset(fakes, 0, sizeof(fakes));
	status_line[0] = 0;
	metrics_fd = METRICS_FD;
	config = (struct config){ .output = OUTPUT_JSON, .store = true, .kafka = true,
				  .state_dir = (char *)"/state" };
	return 0;
}

static void all_get_everything(void **state)
{
	const struct use u = { .count = 1 };
	const struct token t = { .uses = 1 };
	const struct loss l = { .count = 1 };
	const struct coverage c = { .pid = 1 };
	const struct mint m = { .method = "oauth" };

	assert_int_equal(outputs_open(&o, &config, "n", metrics_fd), 0);
	assert_int_equal(o.count, 4);
	assert_string_equal(fakes[STORE].path, "/state/store.db");
	assert_string_equal(fakes[KAFKA].path, "/state/spool");
	/* One that fails keeps nothing from the others. */
	fakes[JSON].answer = -EIO;
	outputs_use(&o, &u);
	outputs_token(&o, &t);
	outputs_loss(&o, &l);
	outputs_coverage(&o, &c);
	outputs_mint(&o, &m);
	outputs_tick(&o, 5);
	fakes[JSON].unwritten = 3;
	fakes[STORE].unwritten = 7;
	assert_int_equal(outputs_unwritten(&o), 7);
	/* The first error is told, and who comes later has what the others left of the time. */
	fakes[KAFKA].answer = -ENOSPC;
	assert_int_equal(outputs_finish(&o, 1000), -EIO);
	assert_true(fakes[METRICS].limit_ms <= 1000 - 15);
	outputs_done(&o);
	for (int i = 0; i < KINDS; i++) {
		int want = i == TABLE ? 0 : 1;

		assert_int_equal(fakes[i].use, want);
		assert_int_equal(fakes[i].token, want);
		assert_int_equal(fakes[i].loss, want);
		assert_int_equal(fakes[i].coverage, want);
		assert_int_equal(fakes[i].mint, want);
		assert_int_equal(fakes[i].tick, want);
		assert_int_equal(fakes[i].finish, want);
		assert_int_equal(fakes[i].freed, want);
		assert_true(!want || (fakes[i].limit_ms > 0 && fakes[i].limit_ms <= 1000));
	}
}

/* The first that knows it tells. */
static void recalling(void **state)
{
	struct token t = { .uses = 1 };
	struct facts facts = { 0 };

	assert_int_equal(outputs_open(&o, &config, "n", metrics_fd), 0);
	assert_false(outputs_recall(&o, &t, &facts));
	assert_int_equal(fakes[KAFKA].recall, 1);
	fakes[STORE].knows = true;
	assert_true(outputs_recall(&o, &t, &facts));
	assert_int_equal(fakes[STORE].recall, 2);
	assert_int_equal(fakes[KAFKA].recall, 1);
	outputs_done(&o);
}

static void settings_choose(void **state)
{
	config.store = config.kafka = false;
	metrics_fd = -EBADF;
	config.output = OUTPUT_NONE;
	assert_int_equal(outputs_open(&o, &config, "n", metrics_fd), 0);
	assert_int_equal(o.count, 0);
	assert_int_equal(outputs_finish(&o, 10), 0);
	outputs_done(&o);
	config.output = OUTPUT_TABLE;
	assert_int_equal(outputs_open(&o, &config, "n", metrics_fd), 0);
	assert_int_equal(o.count, 1);
	assert_int_equal(fakes[TABLE].opened, 1);
	outputs_status(&o, "fine");
	assert_string_equal(status_line, "fine");
	outputs_done(&o);
	assert_int_equal(fakes[STORE].opened + fakes[KAFKA].opened, 0);
}

static void status_without_table_goes_nowhere(void **state)
{
	assert_int_equal(outputs_open(&o, &config, "n", metrics_fd), 0);
	outputs_status(&o, "fine");
	assert_string_equal(status_line, "");
	outputs_done(&o);
}

static void metrics_are_told(void **state)
{
	const struct coverage_totals totals = { .limit = 1 };
	const struct metrics_counters counters = { .probes = 17 };

	assert_int_equal(outputs_open(&o, &config, "n", metrics_fd), 0);
	outputs_watch(&o, &totals);
	assert_ptr_equal(watched, &totals);
	outputs_counters(&o, &counters);
	assert_int_equal(probes, 17);
	assert_int_equal(outputs_fd(&o), 8);
	outputs_serve(&o);
	assert_int_equal(served, 1);
	outputs_done(&o);
	assert_true(outputs_fd(&o) < 0);
	/* Without metrics there is nobody to tell. */
	assert_int_equal(outputs_open(&o, &config, "n", -EBADF), 0);
	watched = NULL;
	outputs_watch(&o, &totals);
	outputs_counters(&o, &(struct metrics_counters){ .probes = 18 });
	outputs_serve(&o);
	assert_true(!watched && probes == 17 && served == 1);
	outputs_done(&o);
}

static void failed_open_leaves_nothing_open(void **state)
{
	const enum kind kinds[] = { JSON, STORE, KAFKA, METRICS };

	for (size_t i = 0; i < 4; i++) {
		setup(NULL);
		fakes[kinds[i]].refuse_open = -EACCES;
		assert_int_equal(outputs_open(&o, &config, "n", metrics_fd), -EACCES);
		assert_int_equal(o.count, 0);
		for (int k = 0; k < KINDS; k++)
			assert_int_equal(fakes[k].opened, fakes[k].freed);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, NULL)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_get_everything),
		TEST(recalling),
		TEST(settings_choose),
		TEST(status_without_table_goes_nowhere),
		TEST(metrics_are_told),
		TEST(failed_open_leaves_nothing_open),
	};

	return cmocka_run_group_tests_name("outputs", tests, NULL, NULL);
}
