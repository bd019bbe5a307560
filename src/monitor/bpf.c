/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/bpf.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "monitor/btf.h"
#include "monitor/kernel.h"
#include "monitor/sizes.h"
#include "tokens/class.h"
#include "tokens/mint_rules.h"
#include "tokens/names.h"
#include "tokens/routes.h"
#include "tokentrail.skel.h"

#define COVER_BATCH 256 /* rows; fewer than that hash to one bucket */
#define SLOTS_PER_CPU 4 /* working buffers: bpf/scratch.bpf.h */
#define SLOTS_MAX 512 /* of more than 128 CPUs some share theirs */
#define RANDOM_AT_ONCE 256	/* of getrandom(2): no signal interrupts so many bytes */
#define WAKE_PART 4 /* the agent is woken when this part of the ring is filled */

/* The keys that a table has: what is not among the new ones is taken out. */
struct key_list {
	uint8_t *bytes;
	size_t count, size;
};

struct table {
	int fd;
	struct key_list keys;
};

struct bpf_sensor {
	struct tokentrail *skel;
	bool multi, socket_events;
	int cpus;
	uint64_t *per_cpu; /* one value of `drops` per possible CPU */
	struct key_list classes, names, mint_keys;
	struct ring_buffer *asks;
	filter_ask_fn on_ask;
	void *on_ask_arg;
};

#define SAID_MAX 16384	/* bytes of what libbpf has to say at a time */

static int say(struct bpf_error *error, int r, const char *what)
{
	snprintf(error->text, sizeof(error->text),
		 "%s: %s; `--set log.level=debug` shows what the kernel said", what, strerror(-r));
	return r;
}

/* libbpf explains itself over many lines: only who asks for them gets them. */
__attribute__((format(printf, 2, 0))) static int print_libbpf(enum libbpf_print_level level,
							      const char *fmt, va_list args)
{
	char *text, *line, *rest;

	if (level == LIBBPF_DEBUG || vasprintf(&text, fmt, args) < 0)
		return 0;
	/* What a verifier says last tells why it refused; before it may stand megabytes. */
	rest = text + (strlen(text) > SAID_MAX ? strlen(text) - SAID_MAX : 0);
	while ((line = strsep(&rest, "\n")))
		if (*line)
			log_debug("%s", line);
	free(text);
	return 0;
}

static uint64_t boottime_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

/* Numbers of CPUs may have gaps: those beyond the last slot share. */
static uint32_t slots(const struct bpf_sensor *sensor)
{
	uint32_t n = SLOTS_PER_CPU;

	while (n < SLOTS_MAX && n < SLOTS_PER_CPU * (uint32_t)sensor->cpus)
		n *= 2;
	return n;
}

static int fill_random(void *to, size_t len)
{
	ssize_t n;

	for (uint8_t *at = to; len; at += n, len -= (size_t)n) {
		n = getrandom(at, len < RANDOM_AT_ONCE ? len : RANDOM_AT_ONCE, 0);
		if (n <= 0)
			return -EIO;
	}
	return 0;
}

static int fill_settings(struct bpf_sensor *sensor, const struct config *config,
			 const uint8_t key[static KERNEL_KEY_LEN])
{
	struct tokentrail__rodata *conf = sensor->skel->rodata;
	uint64_t words[2];

	memcpy(words, key, sizeof(words));
	conf->conf_kernel_key[0] = le64toh(words[0]);
	conf->conf_kernel_key[1] = le64toh(words[1]);
	explicit_bzero(words, sizeof(words));
	if (fill_random((void *)conf->conf_mask, sizeof(conf->conf_mask)) ||
	    fill_random((void *)conf->conf_nh, sizeof(conf->conf_nh)))
		return -EIO;
	conf->conf_scratch_mask = slots(sensor) - 1;
	conf->conf_rows_mask = bpf_map__max_entries(sensor->skel->maps.use_rows) - 1;
	sensor->skel->bss->fold_off = config->per_call;
	conf->conf_plain = config->plain;
	conf->conf_path_routes = routes_filter();
	conf->conf_started_ns = boottime_ns();
	conf->conf_wake_bytes = (uint32_t)(config->ring_bytes / WAKE_PART);
	return 0;
}

/* Not every number of a hook is taken. */
static void set_multi(struct bpf_program *program)
{
	if (program)
		bpf_program__set_expected_attach_type(program,
						      (enum bpf_attach_type)KERNEL_UPROBE_MULTI);
}

static void pick_variants(struct bpf_sensor *sensor)
{
	struct tokentrail *skel = sensor->skel;
	bool cookies;

	sensor->multi = kernel_try_uprobe_multi() == 0;
	if (sensor->multi) {
		for (enum tt_hook hook = 1; hook < TT_HOOK_MAX; hook++)
			set_multi(bpf_sensor_entry(sensor, hook));
		set_multi(bpf_sensor_return(sensor));
		set_multi(skel->progs.tls_read); /* as those that call it */
		set_multi(skel->progs.tls_bodies);
	}
	cookies = kernel_try_cookie() == 0;
	bpf_program__set_autoload(skel->progs.openssl_record_in, cookies);
	bpf_program__set_autoload(skel->progs.openssl_seal_in, cookies);	/* one not without the other: elf_record.c */
	sensor->socket_events = kernel_try_raw_tracepoint("sock_send_length") == 0;
	bpf_program__set_autoload(skel->progs.sock_send, sensor->socket_events);
	bpf_program__set_autoload(skel->progs.sock_recv, sensor->socket_events);
	bpf_program__set_autoload(skel->progs.sys_exit, !sensor->socket_events);
}

/* In the order of bpf/reader.bpf.h. */
static int fill_reader(struct bpf_map *array, const struct bpf_program *http, const struct bpf_program *bodies)
{
	int fds[] = {bpf_program__fd(http), bpf_program__fd(bodies)};

	for (uint32_t i = 0; i < 2; i++)
		if (bpf_map_update_elem(bpf_map__fd(array), &i, &fds[i], BPF_ANY) < 0)
			return -errno;
	return 0;
}

static int fill_readers(struct bpf_sensor *sensor)
{
	struct tokentrail *skel = sensor->skel;
	int r;

	r = fill_reader(skel->maps.tls_reader, skel->progs.tls_read, skel->progs.tls_bodies);
	if (r < 0)
		return r;
	return fill_reader(skel->maps.sock_reader, skel->progs.sock_read, skel->progs.sock_bodies);
}

static int keys_add(struct key_list *k, const void *key)
{
	uint8_t *more = reallocarray(k->bytes, k->count + 1, k->size);

	if (!more)
		return -ENOMEM;
	memcpy(more + k->count * k->size, key, k->size);
	k->bytes = more;
	k->count++;
	return 0;
}

static bool keys_have(const struct key_list *k, const void *key)
{
	for (size_t i = 0; i < k->count; i++)
		if (memcmp(k->bytes + i * k->size, key, k->size) == 0)
			return true;
	return false;
}

static int put(struct table *t, const void *key, const void *value)
{
	if (bpf_map_update_elem(t->fd, key, value, BPF_ANY) < 0)
		return -errno;
	return keys_add(&t->keys, key);
}

/* What the table had and has no more goes; what it has now is kept for the next time. */
static int table_end(struct table *t, struct key_list *had, int r)
{
	for (size_t i = 0; r >= 0 && i < had->count; i++) {
		const uint8_t *key = had->bytes + i * had->size;

		if (!keys_have(&t->keys, key) && bpf_map_delete_elem(t->fd, key) < 0 && errno != ENOENT)
			r = -errno;
	}
	if (r < 0) {	/* both, then: the next time takes out what should not be there */
		for (size_t i = 0; i < t->keys.count; i++)
			if (!keys_have(had, t->keys.bytes + i * had->size) &&
			    keys_add(had, t->keys.bytes + i * had->size) < 0)
				break;
		free(t->keys.bytes);
		return r;
	}
	free(had->bytes);
	*had = t->keys;
	return 0;
}

static struct table table_begin(const struct bpf_map *map, size_t key_size, struct key_list *had)
{
	had->size = key_size;
	return (struct table){.fd = bpf_map__fd(map), .keys.size = key_size};
}

static int put_class(const struct tt_class_key *key, const struct tt_class_val *val, void *data)
{
	return put(data, key, val);
}

/* Rows first: ids of rows that are not in force yet are in no other table. */
static int fill_classes(struct bpf_sensor *sensor)
{
	struct table t = table_begin(sensor->skel->maps.classes, sizeof(struct tt_class_key), &sensor->classes);
	int rows = bpf_map__fd(sensor->skel->maps.class_rows);

	for (uint32_t id = 1; id < TT_CLASSES_MAX; id++) {
		struct tt_class_row row;

		if (class_row((uint16_t)id, &row) && bpf_map_update_elem(rows, &id, &row, BPF_ANY) < 0)
			return -errno;
	}
	return table_end(&t, &sensor->classes, classes_each(put_class, &t));
}

static int put_name(const struct tt_name_key *key, const struct tt_name_val *val, void *data)
{
	return put(data, key, val);
}

static int fill_names(struct bpf_sensor *sensor)
{
	struct table t = table_begin(sensor->skel->maps.names, sizeof(struct tt_name_key), &sensor->names);

	return table_end(&t, &sensor->names, names_each(put_name, &t));
}

static int put_path_rule(uint32_t id, const struct tt_path_rule *rule, void *data)
{
	const struct tokentrail *skel = data;

	return bpf_map_update_elem(bpf_map__fd(skel->maps.path_rules), &id, rule, BPF_ANY) < 0 ? -errno : 0;
}

struct mint_fill {
	const struct tokentrail *skel;
	struct table keys;
};

static int put_mint_rule(uint32_t id, const struct tt_mint_rule *rule, void *data)
{
	const struct mint_fill *f = data;

	return bpf_map_update_elem(bpf_map__fd(f->skel->maps.mint_rules), &id, rule, BPF_ANY) < 0 ? -errno : 0;
}

static int put_mint_key(uint64_t key, const struct tt_mint_key_val *val, void *data)
{
	struct mint_fill *f = data;

	return put(&f->keys, &key, val);
}

static int put_mint_member(const struct tt_mint_member_key *key, const struct tt_mint_member_val *val, void *data)
{
	const struct mint_fill *f = data;

	return bpf_map_update_elem(bpf_map__fd(f->skel->maps.mint_members), key, val, BPF_ANY) < 0 ? -errno : 0;
}

static int fill_mints(struct bpf_sensor *sensor)
{
	struct mint_fill f = {sensor->skel, table_begin(sensor->skel->maps.mint_keys, sizeof(uint64_t),
							&sensor->mint_keys)};
	const struct mint_tables to = {put_mint_rule, put_mint_key, put_mint_member, &f};

	return table_end(&f.keys, &sensor->mint_keys, mint_tables_each(&to));
}

static int fill_tables(struct bpf_sensor *sensor)
{
	int r;

	r = routes_each(put_path_rule, sensor->skel);
	if (r >= 0)
		r = fill_classes(sensor);
	if (r >= 0)
		r = fill_names(sensor);
	return r < 0 ? r : fill_mints(sensor);
}

static void empty_map(const struct bpf_map *map)
{
	uint8_t key[64];

	if (bpf_map__key_size(map) > sizeof(key))
		return;
	/* Bounded, since programs enter new ones meanwhile. */
	for (uint32_t n = bpf_map__max_entries(map); n > 0; n--)
		if (bpf_map_get_next_key(bpf_map__fd(map), NULL, key) < 0 ||
		    bpf_map_delete_elem(bpf_map__fd(map), key) < 0)
			break;
}

void bpf_sensor_forget(struct bpf_sensor *sensor)
{
	sensor->skel->bss->known_epoch++;
	empty_map(sensor->skel->maps.memos);
	empty_map(sensor->skel->maps.told);
}

int bpf_sensor_tables(struct bpf_sensor *sensor)
{
	int r = fill_tables(sensor);

	bpf_sensor_forget(sensor);
	return r;
}

/* The kernel's types that the programs ask for, into the file that libbpf was told to read them from. */
static int fill_types(const struct bpf_sensor *sensor, int types)
{
	_cleanup_close_ int kernel = open(KERNEL_BTF, O_RDONLY | O_CLOEXEC);
	const struct btf *ours = bpf_object__btf(sensor->skel->obj);
	const void *raw;
	uint32_t len;

	if (kernel < 0)
		return -errno;
	raw = ours ? btf__raw_data(ours, &len) : NULL;
	return raw ? btf_extract(kernel, raw, len, types) : -ENOENT;
}

/* types: an empty file in memory; negative: libbpf holds all of the kernel's types while it loads. */
static int load(struct bpf_sensor *sensor, const struct config *config, const uint8_t key[static KERNEL_KEY_LEN],
		int types, struct bpf_error *error)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts);
	char path[32];
	int r;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", types);
	opts.btf_custom_path = types < 0 ? NULL : path;
	sensor->skel = tokentrail__open_opts(&opts);
	if (!sensor->skel)
		return say(error, errno ? -errno : -ENOMEM, "the BPF object can't be opened");
	r = types < 0 ? 0 : fill_types(sensor, types);
	if (r < 0)
		return say(error, r, "the kernel's types can't be read");
	r = sizes_set(sensor->skel->obj, config, slots(sensor));
	if (r == 0)
		r = fill_settings(sensor, config, key);
	if (r < 0)
		return say(error, r, "the BPF object can't be set up");
	pick_variants(sensor);
	/* Raises the locked-memory limit by itself where the kernel still counts maps against it.
	 */
	r = tokentrail__load(sensor->skel);
	return r < 0 ? say(error, r, "the kernel refused the BPF programs") : 0;
}

/* Should what was taken out of the kernel's types not do, all of them may. */
static int load_by_any(struct bpf_sensor *sensor, const struct config *config,
		       const uint8_t key[static KERNEL_KEY_LEN], struct bpf_error *error)
{
	_cleanup_close_ int types = memfd_create("btf", MFD_CLOEXEC);
	int r;

	r = types < 0 ? -errno : load(sensor, config, key, types, error);
	if (r == 0)
		return 0;
	log_debug("%s; trying with all of the kernel's types", error->text);
	tokentrail__destroy(sensor->skel);
	sensor->skel = NULL;
	return load(sensor, config, key, -1, error);
}

static int open_and_load(struct bpf_sensor *sensor, const struct config *config,
			 const uint8_t key[static KERNEL_KEY_LEN], struct bpf_error *error)
{
	int r;

	sensor->cpus = libbpf_num_possible_cpus();
	if (sensor->cpus < 0)
		return say(error, sensor->cpus, "the number of CPUs can't be found");
	sensor->per_cpu = calloc((size_t)sensor->cpus, sizeof(*sensor->per_cpu));
	if (!sensor->per_cpu)
		return say(error, -ENOMEM, "the BPF object can't be opened");
	r = load_by_any(sensor, config, key, error);
	if (r < 0)
		return r;
	r = fill_readers(sensor);
	if (r < 0)
		return say(error, r, "the reader can't be entered for those that call it");
	r = fill_tables(sensor);
	if (r < 0)
		return say(error, r, "the tables of classes and names can't be filled");
	r = bpf_sensor_skip(sensor, (uint32_t)getpid(), true);
	return r < 0 ? say(error, r, "the monitor can't exempt itself") : 0;
}

int bpf_sensor_open(const struct config *config, const uint8_t kernel_key[static KERNEL_KEY_LEN],
		    struct bpf_sensor **ret_sensor, struct bpf_error *ret_error)
{
	struct bpf_sensor *sensor;
	int r;

	sensor = calloc(1, sizeof(*sensor));
	if (!sensor)
		return say(ret_error, -ENOMEM, "the BPF object can't be opened");
	libbpf_set_print(print_libbpf);
	r = open_and_load(sensor, config, kernel_key, ret_error);
	if (r < 0) {
		bpf_sensor_close(sensor);
		return r;
	}
	*ret_sensor = sensor;
	return 0;
}

int bpf_sensor_costs(struct budget_kernel *ret_costs)
{
	struct bpf_sensor sensor = {.cpus = libbpf_num_possible_cpus()};
	struct tokentrail *skel;

	if (sensor.cpus < 0)
		return sensor.cpus;
	libbpf_set_print(print_libbpf);
	skel = tokentrail__open();
	if (!skel)
		return -errno;
	sizes_costs(skel->obj, sensor.cpus, slots(&sensor), ret_costs);
	tokentrail__destroy(skel);
	return 0;
}

void bpf_sensor_close(struct bpf_sensor *sensor)
{
	if (!sensor)
		return;
	ring_buffer__free(sensor->asks);
	tokentrail__destroy(sensor->skel);
	free(sensor->classes.bytes);
	free(sensor->names.bytes);
	free(sensor->mint_keys.bytes);
	free(sensor->per_cpu);
	free(sensor);
}

int bpf_sensor_start_execs(struct bpf_sensor *sensor, struct bpf_error *ret_error)
{
	struct tokentrail *skel = sensor->skel;

	skel->links.proc_exec = bpf_program__attach_raw_tracepoint(skel->progs.proc_exec, "sched_process_exec");
	return skel->links.proc_exec ? 0 : say(ret_error, -errno, "sched_process_exec");
}

int bpf_sensor_start(struct bpf_sensor *sensor, struct bpf_error *ret_error)
{
	struct tokentrail *skel = sensor->skel;
	const struct {
		struct bpf_program *program;
		struct bpf_link **link;
		const char *event;
		bool wanted;
	} events[] = {
		{skel->progs.sock_state, &skel->links.sock_state, "inet_sock_set_state", true},
		{skel->progs.proc_exec, &skel->links.proc_exec, "sched_process_exec", !skel->links.proc_exec},
		{skel->progs.sock_send, &skel->links.sock_send, "sock_send_length",
		 sensor->socket_events},
		{skel->progs.sock_recv, &skel->links.sock_recv, "sock_recv_length",
		 sensor->socket_events},
		{skel->progs.sys_exit, &skel->links.sys_exit, "sys_exit", !sensor->socket_events},
	};

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (!events[i].wanted)
			continue;
		*events[i].link =
			bpf_program__attach_raw_tracepoint(events[i].program, events[i].event);
		if (!*events[i].link)
			return say(ret_error, -errno, events[i].event);
	}
	return 0;
}

int bpf_sensor_ring_fd(const struct bpf_sensor *sensor)
{
	return bpf_map__fd(sensor->skel->maps.rb_data);
}

int bpf_sensor_rows_fd(const struct bpf_sensor *sensor)
{
	return bpf_map__fd(sensor->skel->maps.use_rows);
}

int bpf_sensor_marks_fd(const struct bpf_sensor *sensor)
{
	return bpf_map__fd(sensor->skel->maps.row_marks);
}

uint64_t bpf_sensor_take_lost(struct bpf_sensor *sensor)
{
	const uint32_t at = bpf_map__max_entries(sensor->skel->maps.row_marks) - 1;
	int fd = bpf_map__fd(sensor->skel->maps.row_marks);
	const struct tt_ledger empty = {0};
	struct tt_ledger ledger;

	if (bpf_map_lookup_elem(fd, &at, &ledger) < 0 || bpf_map_update_elem(fd, &at, &empty, BPF_ANY) < 0)
		return 0; /* an array's element is always there */
	return ledger.taken > ledger.settled ? ledger.taken - ledger.settled : 0;
}

void bpf_sensor_fold(struct bpf_sensor *sensor, bool fold)
{
	sensor->skel->bss->fold_off = !fold;
}

struct bpf_program *bpf_sensor_entry(const struct bpf_sensor *sensor, enum tt_hook hook)
{
	struct bpf_program *const programs[TT_HOOK_MAX] = {
#define TT_HOOK_CALL(number, hook, library, direction, result)                                     \
	[number] = sensor->skel->progs.hook##_in,
#define TT_HOOK_END(number, hook, library) [number] = sensor->skel->progs.hook##_in,
#define TT_HOOK_PLAIN(number, hook, library) [number] = sensor->skel->progs.hook##_in,
#include <tokentrail/hooks.def>
	};

	return programs[hook];
}

struct bpf_program *bpf_sensor_return(const struct bpf_sensor *sensor)
{
	return sensor->skel->progs.tls_out;
}

bool bpf_sensor_has_multi(const struct bpf_sensor *sensor)
{
	return sensor->multi;
}

bool bpf_sensor_has_socket_events(const struct bpf_sensor *sensor)
{
	return sensor->socket_events;
}

int bpf_sensor_skip(struct bpf_sensor *sensor, uint32_t tgid, bool skip)
{
	volatile uint32_t *own = sensor->skel->bss->own_tgids;
	size_t at = TT_OWN_MAX;

	for (size_t i = 0; i < TT_OWN_MAX; i++)
		if (own[i] == tgid || (skip && !own[i] && at == TT_OWN_MAX))
			at = i;
	if (at < TT_OWN_MAX)
		own[at] = skip ? tgid : 0;
	return skip && at == TT_OWN_MAX ? -ENOSPC : 0;
}

/* ---- filters ---- */

void bpf_sensor_filter_switch(struct bpf_sensor *sensor, uint32_t now)
{
	__atomic_store_n(&sensor->skel->bss->filter_now, now, __ATOMIC_RELEASE);
}

static int filter_table(const struct bpf_sensor *sensor, uint32_t kind)
{
	return bpf_map__fd(kind == TT_FILTER_ASK_EXE ? sensor->skel->maps.filter_exes :
						       sensor->skel->maps.filter_cgroups);
}

int bpf_sensor_filter_put(struct bpf_sensor *sensor, uint32_t kind, uint64_t id, uint32_t side,
			  enum tt_filter_verdict verdict)
{
	int fd = filter_table(sensor, kind);
	struct tt_filter_row row;

	/* The kernel only makes rows and notes when it asked: nothing of value is written over. */
	if (bpf_map_lookup_elem(fd, &id, &row) < 0)
		memset(&row, 0, sizeof(row));
	row.verdict[side & TT_FILTER_SIDE] = (uint8_t)verdict;
	return bpf_map_update_elem(fd, &id, &row, BPF_ANY) < 0 ? -errno : 0;
}

void bpf_sensor_filter_forget(struct bpf_sensor *sensor, uint32_t kind, uint64_t id)
{
	bpf_map_delete_elem(filter_table(sensor, kind), &id); /* it may have made room for others already */
}

int bpf_sensor_filter_enter(struct bpf_sensor *sensor, uint32_t tgid, const struct tt_filter_proc *proc)
{
	int fd = bpf_map__fd(sensor->skel->maps.filter_procs);

	return bpf_map_update_elem(fd, &tgid, proc, BPF_NOEXIST) < 0 ? -errno : 0;
}

int bpf_sensor_filter_proc(const struct bpf_sensor *sensor, uint32_t tgid, struct tt_filter_proc *ret_proc)
{
	int fd = bpf_map__fd(sensor->skel->maps.filter_procs);

	return bpf_map_lookup_elem(fd, &tgid, ret_proc) < 0 ? -errno : 0;
}

void bpf_sensor_filter_clear(struct bpf_sensor *sensor)
{
	empty_map(sensor->skel->maps.filter_procs);
}

static int on_ask(void *arg, void *record, size_t len)
{
	const struct bpf_sensor *sensor = arg;

	if (len == sizeof(struct tt_filter_ask))
		sensor->on_ask(record, sensor->on_ask_arg);
	return 0;
}

int bpf_sensor_filter_asks(struct bpf_sensor *sensor, filter_ask_fn fn, void *arg)
{
	sensor->on_ask = fn;
	sensor->on_ask_arg = arg;
	sensor->asks = ring_buffer__new(bpf_map__fd(sensor->skel->maps.filter_asks), on_ask, sensor, NULL);
	return sensor->asks ? 0 : -errno;
}

int bpf_sensor_filter_fd(const struct bpf_sensor *sensor)
{
	return ring_buffer__epoll_fd(sensor->asks);
}

int bpf_sensor_filter_serve(struct bpf_sensor *sensor)
{
	int n = ring_buffer__consume(sensor->asks);

	return n < 0 ? n : 0;
}

int bpf_sensor_filter_left(struct bpf_sensor *sensor, uint64_t *total)
{
	const uint32_t zero = 0;

	if (bpf_map_lookup_elem(bpf_map__fd(sensor->skel->maps.filter_left), &zero, sensor->per_cpu) < 0)
		return -errno;
	for (int cpu = 0; cpu < sensor->cpus; cpu++)
		*total += sensor->per_cpu[cpu];
	return 0;
}

int bpf_sensor_drops(struct bpf_sensor *sensor, uint64_t totals[static TT_DROP_MAX])
{
	int fd = bpf_map__fd(sensor->skel->maps.drops);

	for (uint32_t i = 0; i < TT_DROP_MAX; i++) {
		if (bpf_map_lookup_elem(fd, &i, sensor->per_cpu) < 0)
			return -errno;
		for (int cpu = 0; cpu < sensor->cpus; cpu++)
			totals[i] += sensor->per_cpu[cpu];
	}
	return 0;
}

int bpf_sensor_cover_each(struct bpf_sensor *sensor, cover_row_fn fn, void *arg)
{
	int fd = bpf_map__fd(sensor->skel->maps.cover_procs);
	struct tt_cover_key keys[COVER_BATCH];
	struct tt_cover_row rows[COVER_BATCH];
	uint32_t at = 0, count;
	void *from = NULL;
	int r;

	do {
		count = COVER_BATCH;
		r = bpf_map_lookup_batch(fd, from, &at, keys, rows, &count, NULL);
		if (r < 0 && errno != ENOENT)
			return -errno;
		for (uint32_t i = 0; i < count; i++)
			fn(&keys[i], &rows[i], arg);
		from = &at;
	} while (r == 0);
	return 0;
}

int bpf_sensor_cover_take(struct bpf_sensor *sensor, const struct tt_cover_key *key,
			  struct tt_cover_row *ret_row)
{
	int fd = bpf_map__fd(sensor->skel->maps.cover_procs);

	if (bpf_map_lookup_elem(fd, key, ret_row) < 0 || bpf_map_delete_elem(fd, key) < 0)
		return -errno;
	return 0;
}

int bpf_sensor_exec(struct bpf_sensor *sensor, uint32_t tgid, struct tt_exec *ret_exec)
{
	int fd = bpf_map__fd(sensor->skel->maps.execs);

	return bpf_map_lookup_elem(fd, &tgid, ret_exec) < 0 ? -errno : 0;
}
