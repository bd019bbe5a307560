/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/sizes.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#define ELEMENT_BYTES 48	/* struct htab_elem */
#define BUCKET_BYTES 16		/* struct bucket; as many as rows, rounded up to a power of two */
#define TRIE_BYTES 40		/* struct lpm_trie_node */
#define ROWS_MIN 64		/* an LRU table gives each CPU a few rows at a time */
#define PER_CONNECTION 1
#define PER_PROCESS 2
#define PER_ROWS 3		/* per connection, but rounded down to a power of two: programs mask with it */
#define PER_MARKS 4		/* one more than of the former: bpf/maps.bpf.h */

/* Rows of each: by limit * of / in. */
static const struct size {
	const char *name;
	uint8_t what, of, in;
} sizes[] = {
	{"conns", PER_CONNECTION, 1, 1},
	{"links", PER_CONNECTION, 1, 1},
	{"threads", PER_CONNECTION, 1, 1},	/* a goroutine waits in a call on each */
	{"cover_socks", PER_CONNECTION, 2, 1},	/* those that are not seen, too */
	{"entries", PER_CONNECTION, 2, 1},
	{"texts", PER_CONNECTION, 1, 2},
	{"streams", PER_CONNECTION, 1, 1},
	{"knowns", PER_CONNECTION, 1, 2},
	{"repeats", PER_CONNECTION, 1, 2},
	{"block_repeats", PER_CONNECTION, 1, 4},
	{"encrypters", PER_CONNECTION, 1, 1},
	{"told", PER_CONNECTION, 1, 1},
	{"said_told", PER_CONNECTION, 1, 1},
	{"memos", PER_CONNECTION, 1, 4},
	{"object_socks", PER_CONNECTION, 1, 4},
	{"partials", PER_CONNECTION, 1, 8},
	{"begins", PER_CONNECTION, 1, 8},
	{"blocks", PER_CONNECTION, 1, 8},
	{"unsents", PER_CONNECTION, 1, 8},
	{"openings", PER_CONNECTION, 1, 8},
	{"mintings", PER_CONNECTION, 1, 8},
	{"bodies", PER_CONNECTION, 1, 32},
	{"mmsgs", PER_CONNECTION, 1, 32},
	{"use_rows", PER_ROWS, 1, 4},
	{"row_marks", PER_MARKS, 1, 4},
	{"cover_procs", PER_PROCESS, 1, 1},
	{"execs", PER_PROCESS, 2, 1},
	{"filter_procs", PER_PROCESS, 2, 1},
};

static const struct size *size_of(const struct bpf_map *map)
{
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		if (strcmp(sizes[i].name, bpf_map__name(map)) == 0)
			return &sizes[i];
	return NULL;
}

static bool is_slots(const struct bpf_map *map)
{
	return strcmp(bpf_map__name(map), "scratch") == 0 || strcmp(bpf_map__name(map), "cuts") == 0;
}

/* That of records; the other one, of a filter's questions, is of one size. */
static bool is_ring(const struct bpf_map *map)
{
	return strcmp(bpf_map__name(map), "rb_data") == 0;
}

static uint32_t rows_of(const struct bpf_map *map, const struct size *s, const struct config *config)
{
	uint64_t limit = s->what == PER_PROCESS ? config->coverage : config->connections;
	uint64_t rows = limit * s->of / s->in;

	if (rows < ROWS_MIN && bpf_map__type(map) == BPF_MAP_TYPE_LRU_HASH)
		rows = ROWS_MIN;
	while (s->what >= PER_ROWS && (rows & (rows - 1)))
		rows &= rows - 1;
	return (uint32_t)rows + (s->what == PER_MARKS);
}

int sizes_set(const struct bpf_object *object, const struct config *config, uint32_t slots)
{
	struct bpf_map *map;
	int r = 0;

	bpf_object__for_each_map(map, object) {
		const struct size *s = size_of(map);

		if (s)
			r = bpf_map__set_max_entries(map, rows_of(map, s, config));
		else if (is_slots(map))
			r = bpf_map__set_max_entries(map, slots);
		else if (is_ring(map))
			r = bpf_map__set_max_entries(map, (uint32_t)config->ring_bytes);
		if (r < 0)
			return r;
	}
	return 0;
}

static uint64_t row_bytes(const struct bpf_map *map, int cpus)
{
	uint64_t key = (bpf_map__key_size(map) + 7) & ~7U, value = (bpf_map__value_size(map) + 7) & ~7U;

	switch (bpf_map__type(map)) {
	case BPF_MAP_TYPE_HASH:
	case BPF_MAP_TYPE_LRU_HASH:
		return ELEMENT_BYTES + key + value + 2 * BUCKET_BYTES;
	case BPF_MAP_TYPE_LPM_TRIE:
		return TRIE_BYTES + key + value;
	case BPF_MAP_TYPE_PERCPU_ARRAY:
		return value * (uint64_t)cpus;
	case BPF_MAP_TYPE_RINGBUF:
		return !is_ring(map);	/* which is a part of its own */
	default:
		return value;
	}
}

void sizes_costs(const struct bpf_object *object, int cpus, uint32_t slots, struct budget_kernel *ret_costs)
{
	struct budget_kernel costs = {0};
	struct bpf_map *map;

	bpf_object__for_each_map(map, object) {
		const struct size *s = size_of(map);
		uint64_t bytes = row_bytes(map, cpus);

		if (!s)
			costs.fixed += bytes * (is_slots(map) ? slots : bpf_map__max_entries(map));
		else
			*(s->what == PER_PROCESS ? &costs.process : &costs.connection) += bytes * s->of / s->in;
	}
	*ret_costs = costs;
}
