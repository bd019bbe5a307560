/* SPDX-License-Identifier: Apache-2.0 */
/* A coverage record with every member known, for the tests of what reads and writes them. */
#ifndef COVERAGE_FULL_H
#define COVERAGE_FULL_H

#include "tokens/coverage.h"

static const struct coverage coverage_full = {
	.time_ns = 1767225600123456789,
	.pid = 4194304,
	.start_ns = 12345678901,
	.started_ns = 1767225590000000001,
	.process_name = "nginx",
	.executable = "/usr/sbin/nginx",
	.uid = 33,
	.container_id = "4fa6e0f0c678",
	.workload_kind = COVERAGE_CONTAINER,
	.workload = "4fa6e0f0c678",
	.library = {
		{ .tls = TT_TLS_OPENSSL, .how = TT_HOW_symbols, .version = "3.0.22",
		  .since_ns = 1767225589000000001, .probes = 9, .placed = 7, .refused = 1, .used = true,
		  .path = "/usr/lib/libssl.so.3" },
		{ .tls = TT_TLS_BORINGSSL, .blind = TT_BLIND_not_found, .path = "/opt/app/core.so" },
	},
	.libraries = 2,
	.client = true,
	.server = true,
	.middle = true,
	.io_uring = true,
	.ended = true,
	.sockets = 12,
	.blind_sockets = 3,
	.wire = { 1000, 3000 },
	.covered = { 900, 2100 },
	.plain = { 800, 2000 },
	.first_tls_ns = 1767225591000000001,
	.first_call_ns = 1767225592000000001,
	.exec_to_call_ns = 1900000,
	.status = COVERAGE_PARTIAL,
	.reason = TT_BLIND_not_found,
};

#endif
