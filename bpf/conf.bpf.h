/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Settings: written by the monitor between open and load, constant for the verifier from then on. */
#ifndef TT_CONF_BPF_H
#define TT_CONF_BPF_H

#include <linux/types.h>
#include <bpf/bpf_helpers.h>
#include "readers/nh.h"

const volatile __u64 conf_kernel_key[2] __weak = {};	/* SipHash key of this fleet */
const volatile __u64 conf_mask[4] __weak = {};		/* random: hides parked heads from map dumps */
const volatile __u64 conf_nh[NH_KEYS + NH_STRIDE] __weak = {};	/* random: key of readers/nh.h */
const volatile __u32 conf_wake_bytes __weak = 0;	/* ring fill at which the agent is woken */
const volatile __u32 conf_scratch_mask __weak = 3;	/* working buffers, a power of two, minus 1 */
const volatile __u32 conf_rows_mask __weak = 0;	/* rows of `use_rows`, a power of two, minus 1 */
const volatile __u8 conf_plain __weak = 1;		/* watch unencrypted sockets */
const volatile __u64 conf_path_routes __weak = 0;	/* h1_work.routes */
const volatile __u64 conf_started_ns __weak = 0;	/* CLOCK_BOOTTIME when the sensor came */

#endif
