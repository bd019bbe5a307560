/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the tests of bpf/: the real programs, loaded and attached, with a known key, and what they
 * reported about this process. Other processes' events are left out: probes belong to files.
 */
#ifndef TT_TESTS_SENSOR_RIG_H
#define TT_TESTS_SENSOR_RIG_H

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <readers/siphash.h>
#include <tokentrail/abi.h>

#include "agent/elf_scan.h"
#include "agent/ring.h"
#include "limits.h"
#include "monitor/attach.h"
#include "monitor/bpf.h"

#define RIG_EVENTS 4096
#define RIG_CLAIMS 64
#define RIG_ROWS 2048

struct rig {
	struct config config;
	struct bpf_sensor *sensor;
	struct attach *attach;
	struct ring *ring;
	size_t uses, statuses, closes, claims, mints, ends, told;
	struct tt_ev_use use[RIG_EVENTS];
	struct tt_ev_status status[RIG_EVENTS], closed[RIG_EVENTS];
	struct tt_ev_claims claim[RIG_CLAIMS];
	struct tt_ev_mint mint[RIG_EVENTS];
	struct tt_ev_row ended[RIG_ROWS];
	struct tt_ev_status row_status[RIG_ROWS];
};

static bool rig_fold;		/* repeats are added up in rows */
static uint64_t rig_connections, rig_ring;	/* limits.connections, limits.ring; 0 = the default */
static uint64_t rig_processes;	/* limits.coverage of the next sensor; 0 = the default */

static const uint8_t rig_key[KERNEL_KEY_LEN] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };

static void rig_on_use(void *ctx, const struct tt_ev_use *ev)
{
	struct rig *r = ctx;

	if (ev->h.tgid == (uint32_t)getpid() && r->uses < RIG_EVENTS)
		r->use[r->uses++] = *ev;
}

static void rig_on_status(void *ctx, const struct tt_ev_status *ev)
{
	struct rig *r = ctx;

	if ((ev->flags & TT_STATUS_ROW) && r->told < RIG_ROWS)
		r->row_status[r->told++] = *ev;	/* whose row it is its header does not say */
	else if (ev->h.tgid == (uint32_t)getpid() && r->statuses < RIG_EVENTS)
		r->status[r->statuses++] = *ev;
}

static void rig_on_mint(void *ctx, const struct tt_ev_mint *ev)
{
	struct rig *r = ctx;

	if (ev->h.tgid == (uint32_t)getpid() && r->mints < RIG_EVENTS)
		r->mint[r->mints++] = *ev;
}

/* Of all processes: who reads the rows waits for the end of what stood in one before. */
static void rig_on_row(void *ctx, const struct tt_ev_row *ev)
{
	struct rig *r = ctx;

	if (r->ends < RIG_ROWS)
		r->ended[r->ends++] = *ev;
}

static void rig_on_close(void *ctx, const struct tt_ev_status *ev)
{
	struct rig *r = ctx;

	if (r->closes < RIG_EVENTS)	/* a socket may end in another task's context */
		r->closed[r->closes++] = *ev;
}

static void rig_on_claims(void *ctx, const struct tt_ev_claims *ev)
{
	struct rig *r = ctx;

	if (ev->h.tgid != (uint32_t)getpid() || r->claims == RIG_CLAIMS)
		return;
	memset(&r->claim[r->claims], 0, sizeof(*ev));
	memcpy(&r->claim[r->claims++], ev, ev->h.len);
}

/*
 * What tests send is in this program's file, too, and a page of a file that the kernel has just read may be gone when a
 * kernel program looks at it: where memory is short, or taken back ahead of that. That is a loss, rightly counted
 * (user_fault), and no test's subject but of those that make it happen (vanish_rig.h).
 */
static int rig_lock_constants(struct dl_phdr_info *info, size_t size, void *data)
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type == PT_LOAD && !(p->p_flags & (PF_W | PF_X)))
			assert_int_equal(mlock((void *)(info->dlpi_addr + p->p_vaddr), p->p_memsz), 0);
	}
	return 1;	/* the program itself is the first one */
}

/* Without plain sockets, those of everything else on this machine don't fill the ring. */
static void rig_start_with(struct rig *r, bool plain)
{
	static const struct ring_ops ops = { rig_on_use, rig_on_status, rig_on_close, rig_on_claims, rig_on_mint,
					     rig_on_row };
	struct bpf_error e;
	int ret;

	dl_iterate_phdr(rig_lock_constants, NULL);
	memset(r, 0, sizeof(*r));
	assert_int_equal(config_init(&r->config), 0);
	r->config.plain = plain;
	r->config.per_call = !rig_fold;
	if (rig_connections)
		r->config.connections = rig_connections;
	if (rig_ring)
		r->config.ring_bytes = rig_ring;
	if (rig_processes)
		r->config.coverage = rig_processes;
	ret = open_sensor(&r->config, rig_key, &r->sensor, &e);
	if (ret < 0)
		fail_msg("the programs did not load: %s", e.text);
	/* Whoever opens the sensor is the monitor and not watched; here it is the one to watch. */
	assert_int_equal(bpf_sensor_skip(r->sensor, (uint32_t)getpid(), false), 0);
	assert_int_equal(ring_open(bpf_sensor_ring_fd(r->sensor), &ops, r, &r->ring), 0);
	assert_int_equal(bpf_sensor_start(r->sensor, &e), 0);
}

/* A function of a library, where the sensor would probe it; with TT_SYMBOLS in the environment at its first
 * instruction. */
static inline void rig_add(struct rig *r, const struct elf_hook *hook)
{
	const struct attach_function function = {
		.hook = hook->hook,
		.offset = hook->offset,
		.placed_as = hook->placed_as,
		.placed = getenv("TT_SYMBOLS") ? 0 : hook->placed,
		.cookie = hook->cookie,
		.spare_as = hook->spare_as,
		.spare = getenv("TT_SYMBOLS") ? 0 : hook->spare,
	};

	assert_int_equal(attach_add(r->attach, &function), 0);
}

/* All that was found in the file. */
static inline void rig_attach(struct rig *r, int file, const struct elf_scan *scan)
{
	struct attach_count count;
	struct stat st;

	assert_int_equal(fstat(file, &st), 0);
	assert_int_equal(attach_new(&r->attach), 0);
	for (size_t i = 0; i < scan->count; i++)
		rig_add(r, &scan->hooks[i]);
	assert_int_equal(attach_place(r->attach, r->sensor, file, (uint64_t)st.st_size, &count), 0);
	assert_int_equal(count.hooks, scan->count);
	assert_int_equal(count.failed, 0);
}

static inline int rig_find(struct dl_phdr_info *info, size_t size, void *data)
{
	char *path = data;

	if (!strstr(info->dlpi_name, path))
		return 0;
	snprintf(path, 256, "%s", info->dlpi_name);
	return 1;
}

/* The library as it is mapped here, or this program if it has the library inside; all of it is of this kind. */
static inline void rig_attach_library(struct rig *r, const char *library, enum tt_tls tls)
{
	struct elf_scan scan;
	char path[256];
	int file;

	snprintf(path, sizeof(path), "%s", library);
	if (!dl_iterate_phdr(rig_find, path))
		snprintf(path, sizeof(path), "/proc/self/exe");
	file = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(file >= 0);
	assert_int_equal(elf_scan(file, &scan), TT_SCAN_HOOKS);
	for (size_t i = 0; i < scan.count; i++)
		assert_int_equal(scan.hooks[i].tls, tls);
	rig_attach(r, file, &scan);
	close(file);
}

/* With the probes at both places: all that is seen has to be the same. The environment is changed in between: in one sum
 * with the two runs it was changed before either. */
#define rig_run_twice(tests, setup, teardown)                                                      \
	({                                                                                         \
		int failed_ = cmocka_run_group_tests_name("placed", tests, setup, teardown);       \
                                                                                                   \
		setenv("TT_SYMBOLS", "1", 1);                                                      \
		failed_ + cmocka_run_group_tests_name("at symbols", tests, setup, teardown);       \
	})

static inline void rig_start(struct rig *r)
{
	rig_start_with(r, true);
}

static void rig_stop(struct rig *r)
{
	attach_free(r->attach);
	ring_free(r->ring);
	bpf_sensor_close(r->sensor);
	config_done(&r->config);
}

/* Everything up to now; on a busy machine most of it is of other processes. */
static void rig_collect(struct rig *r)
{
	int n;

	do {
		n = ring_drain(r->ring, RIG_EVENTS);
		assert_true(n >= 0);
	} while (n == RIG_EVENTS);
}

/* Until so many were reported, and what else is there then. A record that another process's call has
 * begun to write holds up those behind it. */
static inline void rig_await(struct rig *r, size_t uses, size_t statuses)
{
	rig_collect(r);
	for (int i = 0; i < 2000 && (r->uses < uses || r->statuses < statuses); i++) {
		usleep(1000);
		rig_collect(r);
	}
}

/* Forgets what was reported so far. */
static void rig_clear(struct rig *r)
{
	rig_collect(r);
	r->uses = r->statuses = r->closes = r->claims = r->ends = r->told = 0;
}

static inline uint64_t rig_dropped(struct rig *r, enum tt_drop reason)
{
	uint64_t totals[TT_DROP_MAX] = { 0 };

	assert_int_equal(bpf_sensor_drops(r->sensor, totals), 0);
	return totals[reason];
}

static void rig_fingerprint(const char *token, uint64_t ret_id[2])
{
	uint64_t key[2];
	__u64 id[2];
	struct siphash s;

	memcpy(key, rig_key, sizeof(key));
	siphash_init(&s, key[0], key[1]);
	for (const char *c = token; *c; c++)
		siphash_put(&s, (uint8_t)*c);
	siphash_final(&s, id);
	ret_id[0] = id[0];
	ret_id[1] = id[1];
}

/* The use carries this token and no other. */
static inline void rig_assert_token(const struct tt_ev_use *use, const char *token)
{
	uint64_t id[2];

	rig_fingerprint(token, id);
	assert_int_equal(use->creds, 1);
	assert_int_equal(use->cred[0].token[0], id[0]);
	assert_int_equal(use->cred[0].token[1], id[1]);
	assert_int_equal(use->cred[0].length, strlen(token));
}

static inline void rig_assert_text(const uint8_t *bytes, size_t len, const char *want)
{
	assert_int_equal(len, strlen(want));
	assert_memory_equal(bytes, want, len);
}

/* A map of this process's sensor: others may be on the machine. */
static inline int rig_map(const char *name)
{
	struct bpf_map_info info;
	uint32_t len;

	for (int map = 3; map < 1024; map++) {
		memset(&info, 0, sizeof(info));
		len = sizeof(info);
		if (!bpf_obj_get_info_by_fd(map, &info, &len) && !strcmp(info.name, name))
			return map;
	}
	fail_msg("there is no map %s", name);
	return -1;
}

/* Takes the reader away from the programs that call it; returns its descriptor. */
static inline int rig_take_reader(const char *array)
{
	uint32_t first = 0, id = 0;
	int program;

	assert_int_equal(bpf_map_lookup_elem(rig_map(array), &first, &id), 0);
	program = bpf_prog_get_fd_by_id(id);
	assert_true(program >= 0);
	assert_int_equal(bpf_map_delete_elem(rig_map(array), &first), 0);
	return program;
}

static inline void rig_put_reader(const char *array, int program)
{
	uint32_t first = 0;

	assert_int_equal(bpf_map_update_elem(rig_map(array), &first, &program, BPF_ANY), 0);
	close(program);
}

#define RIG_SLOTS 4		/* SLOTS_PER_CPU, bpf/scratch.bpf.h */

/* A connected pair of TCP sockets on loopback. */
static inline void rig_tcp(int fd[2])
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(listener >= 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &len), 0);
	fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd[0], (struct sockaddr *)&a, sizeof(a)), 0);
	fd[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd[1] >= 0);
	close(listener);
}

static inline uint16_t rig_port(int fd)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	return ntohs(a.sin_port);
}

#endif
