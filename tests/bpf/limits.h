/* SPDX-License-Identifier: Apache-2.0 */
/* The limits that follow from limits.memory, as the monitor has them when it opens the sensor. */
#ifndef TT_TESTS_LIMITS_H
#define TT_TESTS_LIMITS_H

#include <string.h>

#include "config/budget.h"
#include "monitor/bpf.h"

static int give_limits(struct config *c, struct budget *ret_budget, struct bpf_error *ret_error)
{
	struct budget_kernel costs;
	int r = bpf_sensor_costs(&costs);

	memset(ret_error, 0, sizeof(*ret_error));
	return r < 0 ? r : config_budget(c, &costs, ret_budget, (struct config_error *)ret_error);
}

__attribute__((unused)) static int open_sensor(struct config *c, const uint8_t key[static KERNEL_KEY_LEN], struct bpf_sensor **ret_sensor,
		       struct bpf_error *ret_error)
{
	struct budget unused;
	int r = give_limits(c, &unused, ret_error);

	return r < 0 ? r : bpf_sensor_open(c, key, ret_sensor, ret_error);
}

#endif
