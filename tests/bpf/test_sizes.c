/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What config_budget() plans for the kernel's tables against what this kernel says that it allocated for them
 * (memlock in fdinfo), for several limits.memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "limits.h"
#include "monitor/bpf.h"

#define MIB (UINT64_C(1) << 20)

static const uint8_t key[KERNEL_KEY_LEN] = { 1 };

/* Of one descriptor's file; 0 if it is no map. */
static uint64_t map_bytes(const char *name)
{
	char path[300], line[256];
	uint64_t bytes = 0, type = UINT64_MAX;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%s", name);
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		(void)sscanf(line, "map_type: %" SCNu64, &type);
		(void)sscanf(line, "memlock: %" SCNu64, &bytes);
	}
	fclose(f);
	return type == UINT64_MAX ? 0 : bytes;
}

static uint64_t all_maps_bytes(void)
{
	DIR *d = opendir("/proc/self/fdinfo");
	uint64_t bytes = 0;
	struct dirent *e;

	assert_non_null(d);
	while ((e = readdir(d)))
		bytes += map_bytes(e->d_name);
	closedir(d);
	return bytes;
}

static void check(uint64_t memory)
{
	struct bpf_sensor *sensor = NULL;
	uint64_t planned, taken, before = all_maps_bytes();
	struct config config;
	struct bpf_error error;
	struct budget b;

	assert_int_equal(config_init(&config), 0);
	config.memory_bytes = memory;
	assert_int_equal(give_limits(&config, &b, &error), 0);
	planned = b.bytes[BUDGET_KERNEL] + b.bytes[BUDGET_RING] + b.bytes[BUDGET_CONNECTIONS] +
		  config.coverage * (b.bytes[BUDGET_COVERAGE] / config.coverage - BUDGET_PROCESS_BYTES);
	if (bpf_sensor_open(&config, key, &sensor, &error) < 0)
		fail_msg("the programs did not load: %s", error.text);
	taken = all_maps_bytes() - before;
	bpf_sensor_close(sensor);
	config_done(&config);
	print_message("limits.memory %" PRIu64 " MiB: planned %" PRIu64 " KiB, taken %" PRIu64 " KiB\n", memory / MIB,
		      planned / 1024, taken / 1024);
	assert_true(taken <= planned);
	assert_true(taken >= planned * 3 / 4);
}

static void test_sizes(void **state)
{
	check(64 * MIB);
	check(128 * MIB);
	check(512 * MIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_sizes) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
