/* SPDX-License-Identifier: Apache-2.0 */
#include "config/budget.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "config/settings.h"

/* Monitor and agent, what both map of libraries counted once: measured with all of the programs' pages resident; those that
 * base/pages.h gives back, half of them, may all come again. The ring is a part of its own. */
#define PROGRAMS_BYTES (24ULL << 20)
/* The store's rows that wait: 4,096 uses, as many tokens, 2,048 of coverage, 512 mints; 1,024 workloads, 4,096 files. */
#define BUFFERS_BYTES (23ULL << 20)
/* librdkafka: its queue (queue.buffering.max.kbytes in sinks/kafka_conf.c) and its threads. */
#define KAFKA_BYTES (24ULL << 20)

/* What a row takes in the agent and the monitor, allocator and hash buckets included. */
#define TOKEN_BYTES 768	    /* a row of the inventory with its facts */
#define PENDING_BYTES 1920  /* struct waiting of pair.c, struct held of process.c; every eighth one may mint */
#define FOLD_BYTES 512	    /* struct row of fold.c with a path of middle length */
#define RING_PART 32	    /* of limits.memory */
#define RING_DEFAULT_MAX (64ULL << 20)
#define ROWS_STEP 256

struct share {
	enum budget_part part;
	const struct setting *setting;	/* the limit */
	uint64_t row;			/* bytes */
	unsigned int weight;		/* of what is left */
	bool given;
};

#define SHARES 5

static uint64_t *limit(struct config *c, const struct share *s)
{
	return setting_member(c, s->setting);
}

/* Connections are what most of the kernel's memory is for. */
static void make_shares(struct config *c, const struct budget_kernel *k, struct share shares[static SHARES])
{
	const struct share all[SHARES] = {
		{BUDGET_CONNECTIONS, setting_find("limits.connections"), k->connection, 10, false},
		{BUDGET_COVERAGE, setting_find("limits.coverage"), BUDGET_PROCESS_BYTES + k->process, 4, false},
		{BUDGET_TOKENS, setting_find("limits.tokens"), TOKEN_BYTES, 3, false},
		{BUDGET_PENDING, setting_find("limits.pending"), PENDING_BYTES, 2, false},
		{BUDGET_FOLD_ROWS, setting_find("limits.fold_rows"), FOLD_BYTES, 1, false},
	};

	memcpy(shares, all, sizeof(all));
	for (size_t i = 0; i < SHARES; i++)
		shares[i].given = *limit(c, &shares[i]) != 0;
}

static uint64_t ring_share(uint64_t memory)
{
	uint64_t ring = setting_find("limits.ring")->min;

	while (ring * 2 <= memory / RING_PART && ring < RING_DEFAULT_MAX)
		ring *= 2;
	return ring;
}

/* In whole steps, so that the numbers are ones to read. */
static uint64_t rows_for(const struct share *s, uint64_t bytes)
{
	uint64_t rows = bytes / s->row / ROWS_STEP * ROWS_STEP;

	if (rows < s->setting->min)
		return s->setting->min;
	return rows > s->setting->max ? s->setting->max : rows;
}

static void divide(struct config *c, const struct share shares[static SHARES], uint64_t left)
{
	unsigned int weights = 0;

	for (size_t i = 0; i < SHARES; i++)
		weights += shares[i].given ? 0 : shares[i].weight;
	for (size_t i = 0; i < SHARES; i++)
		if (!shares[i].given)
			*limit(c, &shares[i]) = rows_for(&shares[i], left / weights * shares[i].weight);
}

static void add_up(struct budget *b)
{
	b->total = 0;
	for (size_t i = 0; i < BUDGET_MAX; i++)
		b->total += b->bytes[i];
}

static void enter(struct config *c, const struct share shares[static SHARES], bool given_only, struct budget *b)
{
	for (size_t i = 0; i < SHARES; i++)
		if (shares[i].given || !given_only)
			b->bytes[shares[i].part] = *limit(c, &shares[i]) * shares[i].row;
	add_up(b);
}

int config_budget(struct config *c, const struct budget_kernel *kernel, struct budget *ret_budget,
		  struct config_error *ret_error)
{
	struct share shares[SHARES];
	struct budget b = {.bytes = {[BUDGET_PROGRAMS] = PROGRAMS_BYTES,
				     [BUDGET_BUFFERS] = BUFFERS_BYTES + (c->kafka ? KAFKA_BYTES : 0),
				     [BUDGET_KERNEL] = kernel->fixed}};
	char has[32], needs[32];

	make_shares(c, kernel, shares);
	if (!c->ring_bytes)
		c->ring_bytes = ring_share(c->memory_bytes);
	b.bytes[BUDGET_RING] = c->ring_bytes;
	enter(c, shares, true, &b);
	divide(c, shares, b.total < c->memory_bytes ? c->memory_bytes - b.total : 0);
	enter(c, shares, false, &b);
	*ret_budget = b;
	if (b.total <= c->memory_bytes)
		return 0;
	text_print_bytes(c->memory_bytes, has, sizeof(has));
	text_print_bytes((b.total + (1 << 20) - 1) >> 20 << 20, needs, sizeof(needs));
	snprintf(ret_error->text, sizeof(ret_error->text),
		 "'limits.memory' is %s, but the other limits need %s with what is fixed; raise it to that, or leave "
		 "limits out", has, needs);
	return -EINVAL;
}

const char *budget_part_name(enum budget_part part)
{
	static const char *const names[BUDGET_MAX] = {
		[BUDGET_PROGRAMS] = "programs",	      [BUDGET_BUFFERS] = "buffers",
		[BUDGET_KERNEL] = "kernel",	      [BUDGET_RING] = "ring",
		[BUDGET_CONNECTIONS] = "connections", [BUDGET_COVERAGE] = "coverage",
		[BUDGET_TOKENS] = "tokens",	      [BUDGET_PENDING] = "pending",
		[BUDGET_FOLD_ROWS] = "fold_rows",
	};

	return names[part];
}
