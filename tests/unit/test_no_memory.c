/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's tables when the nth allocation fails, for every n: constructors say -ENOMEM and leave
 * nothing behind, and no request or count is lost on its way through.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cover.h"
#include "agent/fold.h"
#include "agent/pair.h"
#include "enrich/process.h"
#include "sinks/sink.h"
#include "tokens/inventory.h"

#ifndef TT_SANITIZED

#define STEPS 200	/* enough for a table to grow */

static long allocations_left = -1;	/* -1: memory is plenty; 0: the next one fails, and all after */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);

static int refused(void)
{
	if (allocations_left < 0)
		return 0;
	if (allocations_left == 0)
		return 1;
	allocations_left--;
	return 0;
}

void *malloc(size_t size)
{
	return refused() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return refused() ? NULL : __libc_calloc(n, size);
}

static uint64_t out;

static void on_pair(void *ctx, const struct tt_ev_use *ev, struct outcome outcome)
{
	out++;
}

static void on_fold(void *ctx, const struct use *u)
{
	out += u->count;
}

static void on_token(void *ctx, const struct token *t)
{
	out++;
}

static int on_ask(void *ctx, const struct tt_ipc_ask *ask)
{
	return 0;
}

static void on_process(void *ctx, const struct tt_ev_use *ev, struct outcome outcome,
		       const struct process_info *info)
{
	out++;
}

/* Each runs its table once and returns how many came out, or the constructor's error. */
static int run_pair(void)
{
	struct pair *p;
	int r = pair_new(1000, 1000, on_pair, NULL, &p);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < STEPS; i++) {
		const struct tt_ev_use ev = { .h = { .conn = i, .seq = i } };

		pair_use(p, &ev, i);
	}
	pair_flush(p);
	pair_free(p);
	return (int)out;
}

static int run_fold(void)
{
	struct use u = { .class_name = "", .kind = "", .scheme = "", .count = 1 };
	struct fold *f;
	int r = fold_new(1000, 1000, on_fold, NULL, &f);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < STEPS; i++) {
		u.pid = i / 2;
		fold_use(f, &u, i);
	}
	fold_flush(f);
	fold_free(f);
	return (int)out;
}

static int run_inventory(void)
{
	struct use u = { .class_name = "", .kind = "", .count = 1, .dir = TT_DIR_EGRESS };
	struct inventory *inv;
	int r = inventory_new(1000, 1000, on_token, NULL, &inv);

	if (r < 0)
		return r;
	for (int i = 0; i < STEPS; i++) {
		snprintf(u.token_id, sizeof(u.token_id), "tt1_%d", i);
		inventory_use(inv, &u, (uint64_t)i);
	}
	inventory_free(inv);
	return (int)out;
}

static int run_process(void)
{
	const struct process_ops ops = { on_ask, on_process, NULL };
	struct process_cache *c;
	int r = process_new(1000, 1000, &ops, NULL, &c);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < STEPS; i++) {
		const struct tt_ev_use ev = { .h = { .tgid = i / 2 } };

		process_submit(c, &ev, (struct outcome){ .status = 200 }, i);
	}
	process_flush(c);
	process_free(c);
	return (int)out;
}

static void on_coverage(void *ctx, const struct coverage *c)
{
	out++;
}

/* A process without a row is told of by the monitor's next message, and counted. */
static int run_cover(void)
{
	const struct process_ops ops = { on_ask, on_process, NULL };
	const struct cover_limits limits = { 1000, 10, 10 };
	uint64_t before = agent_drops[TT_DROP_cover_full];
	struct process_cache *who = NULL;
	struct cover *c = NULL;
	int r = process_new(1000, 1000, &ops, NULL, &who);

	if (r == 0)
		r = cover_new(&limits, who, on_coverage, NULL, &c);
	for (uint32_t i = 0; r == 0 && i < STEPS; i++) {
		const struct tt_ipc_cover m = { .tgid = i, .sockets = 1, .wire = { 1, 1 } };

		cover_process(c, &m, i);
	}
	if (r == 0)
		cover_flush(c, STEPS);
	cover_free(c);
	process_free(who);
	return r < 0 ? r : (int)(out + agent_drops[TT_DROP_cover_full] - before);
}

/* `made`: allocations of the constructor. */
static void every_allocation(int (*run)(void), int made)
{
	int failed = 0, whole = 0;

	for (long n = 0; n < 3 * STEPS; n++) {
		int r;

		out = 0;
		allocations_left = n;
		r = run();
		allocations_left = -1;
		if (r == -ENOMEM)
			failed++;
		else
			assert_int_equal(r, STEPS);
		whole += r == STEPS;
	}
	assert_int_equal(failed, made);
	assert_int_equal(whole, 3 * STEPS - made);
}

static void pair(void **state)
{
	uint64_t before = agent_drops[TT_DROP_pending_full];

	every_allocation(run_pair, 3);
	/* Those that went on without their status were counted. */
	assert_true(agent_drops[TT_DROP_pending_full] > before);
}

static void fold(void **state)
{
	every_allocation(run_fold, 2);
}

static void inventory(void **state)
{
	uint64_t before = agent_drops[TT_DROP_tokens_full];

	every_allocation(run_inventory, 2);
	assert_true(agent_drops[TT_DROP_tokens_full] > before);
}

static void process(void **state)
{
	every_allocation(run_process, 3);
}

static void cover(void **state)
{
	every_allocation(run_cover, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cover),
		cmocka_unit_test(pair),
		cmocka_unit_test(fold),
		cmocka_unit_test(inventory),
		cmocka_unit_test(process),
	};

	return cmocka_run_group_tests_name("no_memory", tests, NULL, NULL);
}

#else

static void allocator_belongs_to_the_sanitizer(void **state)
{
	print_message("a sanitizer has its own allocator; the plain build runs this\n");
	skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(allocator_belongs_to_the_sanitizer) };

	return cmocka_run_group_tests_name("no_memory", tests, NULL, NULL);
}

#endif
