/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/targets.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "ipc/chan.h"
#include "monitor/files.h"
#include "monitor/readback.h"
#include "tokens/use.h"

#define IN_HAND_MAX 16 /* questions under way */
#define IDLE_SCANS_MAX 2
#define TELL_LIMIT_MS 100
#define RECENT 1024
#define RECENT_NS 5000000000ULL /* a file rewritten in place is noticed after this */

struct line {
	struct file *first, *last;
	uint32_t length;
};

/* Mappings of the last seconds: most execs map the same few files. */
struct recent {
	uint64_t identity;
	uint64_t until_ns;
	uint64_t file;
};

struct targets {
	struct bpf_sensor *sensor;
	uint32_t libraries;
	bool at_symbols;
	struct files *files;
	int channel;		   /* -1: no agent */
	struct line urgent, later; /* QUEUED */
	struct line in_hand;	   /* SCANNING, in the order they were sent */
	struct line now, soon;	   /* WAITING */
	uint32_t rate;
	uint64_t full_ns; /* when a pause for rate is over */
	bool off;
	struct targets_count count;
	struct recent recent[RECENT];
};

/* ---- lines of files ---- */

static void line_append(struct line *line, struct file *file)
{
	file->next_in_line = NULL;
	*(line->last ? &line->last->next_in_line : &line->first) = file;
	line->last = file;
	line->length++;
}

static struct file *line_take(struct line *line)
{
	struct file *file = line->first;

	line->first = file->next_in_line;
	if (!line->first)
		line->last = NULL;
	line->length--;
	return file;
}

static void line_remove(struct line *line, struct file *file)
{
	struct file **p = &line->first, *before = NULL;

	while (*p != file) {
		before = *p;
		p = &(*p)->next_in_line;
	}
	*p = file->next_in_line;
	if (line->last == file)
		line->last = before;
	line->length--;
}

/* ---- files ---- */

int targets_new(struct bpf_sensor *sensor, const struct targets_options *options,
		struct targets **ret_targets)
{
	struct targets *targets = calloc(1, sizeof(*targets));
	int r;

	if (!targets)
		return -ENOMEM;
	targets->sensor = sensor;
	targets->libraries = options->libraries;
	targets->rate = options->rate;
	targets->at_symbols = options->at_symbols;
	targets->off = options->off;
	targets->channel = -1;
	r = files_new(FILES_MAX, &targets->files);
	if (r < 0) {
		free(targets);
		return r;
	}
	*ret_targets = targets;
	return 0;
}

/* All probes go, before the files that they are in. */
static void detach_all(struct targets *targets)
{
	uint32_t max = files_count(targets->files, FILE_HOOKED), count = 0;
	_cleanup_free_ struct attach **attaches = calloc(max ? max : 1, sizeof(struct attach *));

	if (!attaches)
		return; /* then they go one by one */
	for (struct file *f = files_next(targets->files, NULL); f;
	     f = files_next(targets->files, f))
		if (f->state == FILE_HOOKED)
			attaches[count++] = TAKE_PTR(f->attach);
	attach_free_many(attaches, count);
}

void targets_free(struct targets *targets)
{
	if (!targets)
		return;
	detach_all(targets);
	files_free(targets->files);
	free(targets);
}

/* Files that the kernel knows as the same inode have no probes any more either. */
static void leave_twins(struct targets *targets, uint64_t number)
{
	for (struct file *f = files_next(targets->files, NULL); f;
	     f = files_next(targets->files, f))
		if (f->twin == number) {
			f->twin = 0;
			targets->count.files_probed -= f->state == FILE_HOOKED;
			f->count = (struct attach_count){0};
			f->state = FILE_OFF; /* the next one who maps it has it probed */
		}
}

static void detach(struct targets *targets, struct file *file)
{
	if (file->attach)
		leave_twins(targets, file->number);
	if (file->state == FILE_HOOKED) {
		targets->count.files_probed--;
		targets->count.probes -= file->count.probes;
	}
	attach_free(file->attach);
	file->attach = NULL;
	file->count = (struct attach_count){0};
	file->since_ns = 0;
	file->twin = 0;
	free(file->unread);
	file->unread = NULL;
	free(file->finding);
	file->finding = NULL;
}

/* The descriptor names the file without opening it: it may be a device or a pipe still. */
static int open_path(const char *path, uint64_t ino, bool any_inode)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (!any_inode && st.st_ino != ino))
		return -ENOENT;
	return TAKE_FD(fd);
}

/*
 * map_files names what is really mapped, deleted or not. The others are for when that is refused
 * or the process is gone already; they have to show the same inode.
 */
static int open_mapped(const struct target_map *map)
{
	char path[PATH_MAX + 32];
	int fd;

	snprintf(path, sizeof(path), "/proc/%u/map_files/%" PRIx64 "-%" PRIx64, map->pid,
		 map->start, map->end);
	fd = open_path(path, 0, true);
	if (fd >= 0)
		return fd;
	snprintf(path, sizeof(path), "/proc/%u/exe", map->pid);
	fd = open_path(path, map->ino, false);
	if (fd >= 0)
		return fd;
	snprintf(path, sizeof(path), "/proc/%u/root%s", map->pid, map->path);
	fd = open_path(path, map->ino, false);
	return fd >= 0 ? fd : open_path(map->path, map->ino, false);
}

/* linux/mount.h since 5.2; the C library has a name for it since 2.36 */
#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif

static int open_tree_of(int path_fd)
{
#ifdef SYS_open_tree
	return (int)syscall(SYS_open_tree, path_fd, "",
			    OPEN_TREE_CLONE | O_CLOEXEC | AT_EMPTY_PATH);
#else
	return -1;
#endif
}

/*
 * A probe holds the mount that its file was opened through, and nobody could unmount it. So it is
 * opened through a mount of its own, which is in nobody's way. A mount of another namespace can't be
 * cloned: then its copy here is, if there is one (the systemd unit has a namespace of its own).
 * -1: not to be had; a container's mounts go with their namespace.
 */
static int clone_mount(int path_fd, const char *path)
{
	_cleanup_close_ int here = -EBADF;
	struct stat there_st, here_st;
	int fd = open_tree_of(path_fd);

	if (fd >= 0 || fstat(path_fd, &there_st) < 0)
		return fd;
	here = open_path(path, there_st.st_ino, false);
	if (here < 0 || fstat(here, &here_st) < 0 || here_st.st_dev != there_st.st_dev)
		return -1;
	return open_tree_of(here);
}

static int reopen(int path_fd, const char *name)
{
	_cleanup_close_ int mount_fd = clone_mount(path_fd, name);
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", mount_fd < 0 ? path_fd : mount_fd);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

static struct file *queue(struct targets *targets, struct file *file, int path_fd, bool urgent)
{
	int fd = reopen(path_fd, file->path);

	if (fd < 0) {
		/* Not now (too many open files, say): the next scan meets it as new. */
		log_limited(LOG_LEVEL_WARNING,
			    "a mapped file can't be read; the next scan tries again error=\"%s\"",
			    strerror(-fd));
		files_forget(targets->files, file);
		return NULL;
	}
	file->fd = fd;
	file->state = FILE_QUEUED;
	line_append(urgent ? &targets->urgent : &targets->later, file);
	return file;
}

static void settle(struct file *file, enum file_state state)
{
	closep(&file->fd);
	file->fd = -EBADF;
	file->state = state;
}

static bool is_under_way(const struct file *file)
{
	return file->state == FILE_QUEUED || file->state == FILE_SCANNING ||
	       file->state == FILE_WAITING;
}

static bool is_library(const char *path)
{
	static const char *const names[] = {
#define TT_TLS(number, name, NAME, file) file,
#define TT_TLS_INSIDE(number, name, NAME)
#include <tokentrail/tls.def>
#undef TT_TLS
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strstr(path, names[i]))
			return true;
	return false;
}

static void confirm(struct targets *targets, struct file *file);

/* Who has it mapped: there its probes can be read back. */
static void note_mapping(struct targets *targets, struct file *file, const struct target_map *map,
			 bool now)
{
	if (!map)
		return;
	file->where = (struct readback_map){map->pid, map->start, map->ino};
	if (file->state == FILE_WAITING && now && !file->now) {
		line_remove(&targets->soon, file);
		line_append(&targets->now, file);
	}
	file->now = file->now || now;
	if (file->state == FILE_HOOKED)
		confirm(targets, file);
}

static struct file *meet(struct targets *targets, int path_fd, const char *path,
			 const struct target_map *map, bool urgent)
{
	struct file_key key;
	struct file *file;
	enum file_is is;
	int r;

	r = file_key_of(path_fd, &key);
	if (r == 0)
		r = files_meet(targets->files, &key, path, &file, &is);
	if (r < 0) {
		targets->count.files_skipped++;
		log_limited(LOG_LEVEL_WARNING,
			    "a mapped file can't be remembered; it is not probed error=\"%s\"",
			    strerror(-r));
		return NULL;
	}
	file->mapped = true;
	file->idle_scans = 0;
	if (targets->off && is == FILE_IS_NEW)
		file->state = FILE_OFF;
	if (is == FILE_IS_CHANGED && file->state == FILE_WAITING) {
		line_remove(file->now ? &targets->now : &targets->soon, file);
		settle(file, FILE_NONE);
	}
	if (is != FILE_IS_CHANGED)
		note_mapping(targets, file, map, urgent);
	if (is_under_way(file) || (is == FILE_IS_KNOWN && file->state != FILE_OFF) || targets->off)
		return file;
	if (is == FILE_IS_CHANGED) {
		detach(targets, file);
		file->deaths = 0;
		note_mapping(targets, file, map, urgent);
	}
	return queue(targets, file, path_fd, urgent || is_library(path));
}

/* The file's number; 0: it can't be opened or kept. */
static uint64_t look(struct targets *targets, const struct target_map *map, bool urgent)
{
	_cleanup_close_ int fd = open_mapped(map);
	const struct file *file = fd >= 0 ? meet(targets, fd, map->path, map, urgent) : NULL;

	return file ? file->number : 0;
}

static bool is_file(const struct target_map *map)
{
	return map->path[0] == '/' && map->path[1] != '/'; /* not [vdso], not //anon */
}

uint64_t targets_mapped(struct targets *targets, const struct target_map *map, uint64_t now_ns)
{
	struct recent *recent = &targets->recent[map->identity % RECENT];
	uint64_t file;

	if (!is_file(map))
		return 0;
	if (map->identity && recent->identity == map->identity && now_ns < recent->until_ns)
		return recent->file;
	/* What could not be opened (its process is gone) is tried again with the next one. */
	file = look(targets, map, true);
	if (file) {
		recent->identity = map->identity;
		recent->until_ns = now_ns + RECENT_NS;
		recent->file = file;
	}
	targets_send(targets);
	return file;
}

uint64_t targets_found(struct targets *targets, const struct target_map *map)
{
	return is_file(map) ? look(targets, map, false) : 0;
}

int targets_has_finding(const struct targets *targets, uint64_t number)
{
	const struct file *file = files_get(targets->files, number);

	if (file && (file->finding || is_under_way(file)))
		return file->finding != NULL;
	return -ENOENT;
}

void targets_known(struct targets *targets, const char *path)
{
	_cleanup_close_ int fd = open_path(path, 0, true);

	/* A pattern may well match a directory or a dangling link. */
	if (fd >= 0)
		meet(targets, fd, path, NULL, true);
}

/* ---- the agent ---- */

static uint64_t boottime_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

static int ask(struct targets *targets, struct file *file)
{
	struct tt_ipc_file m = {.file = file->number};

	chan_stamp(&m.h, TT_IPC_FILE, sizeof(m));
	memcpy(m.path, file->path, sizeof(m.path));
	return chan_send(targets->channel, &m.h, file->fd);
}

void targets_send(struct targets *targets)
{
	while (targets->channel >= 0 && targets->in_hand.length < IN_HAND_MAX) {
		struct line *line = targets->urgent.first ? &targets->urgent : &targets->later;
		struct file *file = line->first;

		/* No room, or gone: what is in hand is answered first, or the loop sees the end. */
		if (!file || ask(targets, file) < 0)
			return;
		line_take(line);
		file->state = FILE_SCANNING;
		line_append(&targets->in_hand, file);
	}
}

static void take_back(struct targets *targets)
{
	while (targets->in_hand.first) {
		struct file *file = line_take(&targets->in_hand);

		attach_free(file->attach);
		file->attach = NULL;
		if (file->state != FILE_SCANNING)
			continue;
		file->state = FILE_QUEUED;
		line_append(&targets->urgent, file);
	}
}

static void tell_attached(struct targets *targets, const struct file *file)
{
	struct tt_ipc_attached m = {
		.file = file->number,
		.since_ns = file->since_ns,
		.hooks = file->count.hooks,
		.failed = file->count.failed,
		.placed = file->count.placed,
	};

	if (!file->finding)
		return;
	chan_stamp(&m.h, TT_IPC_ATTACHED, sizeof(m));
	memcpy(m.finding, file->finding, sizeof(m.finding));
	memcpy(m.path, file->path, sizeof(m.path));
	if (targets->channel < 0 ||
	    chan_send_wait(targets->channel, &m.h, -1, TELL_LIMIT_MS) < 0)
		targets->count.messages_lost++;
}

/* A new agent knows nothing of what the one before it had found. */
static void tell_all(struct targets *targets)
{
	for (struct file *f = files_next(targets->files, NULL); f;
	     f = files_next(targets->files, f))
		tell_attached(targets, f);
}

void targets_set_agent(struct targets *targets, int channel)
{
	struct file *oldest = targets->in_hand.first;

	targets->channel = channel;
	if (channel < 0 && oldest && file_blame(oldest)) {
		char path[TT_IPC_PATH_LEN];

		targets->count.files_skipped++;
		use_set_text(path, sizeof(path), oldest->path, strlen(oldest->path));
		log_warning("reading this file ended the agent twice; it is not probed path=\"%s\"",
			    path);
	}
	if (channel >= 0)
		tell_all(targets);
	take_back(targets);
	targets_send(targets);
}

static const uint8_t library_of[TT_HOOK_MAX] = {
#define TT_HOOK_CALL(number, hook, library, direction, result) [number] = TT_TLS_##library,
#define TT_HOOK_END(number, hook, library) [number] = TT_TLS_##library,
#define TT_HOOK_PLAIN(number, hook, library) [number] = TT_TLS_##library,
#include <tokentrail/hooks.def>
};

static bool is_watched(const struct targets *targets, uint32_t hook)
{
	return targets->libraries >> library_of[hook] & 1;
}

/* Another place for a function, if there is one: in the file, and as what belongs to the same library. */
static bool is_place(const struct file *file, const struct tt_ipc_hook *hook, uint64_t offset, uint32_t as)
{
	return !offset || (offset < file->key.size && as < TT_HOOK_MAX && library_of[as] == library_of[hook->hook]);
}

int targets_hook(struct targets *targets, const struct tt_ipc_hook *hook)
{
	struct file *file = files_get(targets->files, hook->file);
	const struct attach_function function = {
		.hook = hook->hook,
		.offset = hook->offset,
		.placed_as = hook->placed_as,
		.placed = targets->at_symbols ? 0 : hook->placed,
		.cookie = hook->cookie,
		.spare_as = hook->spare_as,
		.spare = targets->at_symbols ? 0 : hook->spare,
	};
	int r;

	if (!file || file->state != FILE_SCANNING || hook->hook >= TT_HOOK_MAX)
		return -EBADMSG;
	if (!is_watched(targets, hook->hook))
		return 0;
	if (hook->offset >= file->key.size || !is_place(file, hook, hook->placed, hook->placed_as) ||
	    !is_place(file, hook, hook->spare, hook->spare_as))
		return -EBADMSG;
	if (!file->attach) {
		r = attach_new(&file->attach);
		if (r < 0)
			return r;
	}
	r = attach_add(file->attach, &function);
	return r == -E2BIG ? -EBADMSG : r;
}

/* What the agent found, with the libraries that are turned off marked. Without memory it is not told. */
static void keep_findings(struct targets *targets, struct file *file,
			  const struct tt_finding findings[static TT_FINDINGS_MAX])
{
	free(file->finding);
	file->finding = findings[0].tls ? calloc(TT_FINDINGS_MAX, sizeof(*findings)) : NULL;
	if (!file->finding)
		return;
	for (int i = 0; i < TT_FINDINGS_MAX && findings[i].tls; i++) {
		struct tt_finding *f = &file->finding[i];

		*f = findings[i];
		f->version[TT_VERSION_LEN - 1] = '\0';
		if (f->tls < TT_TLS_MAX && !f->blind && !(targets->libraries >> f->tls & 1))
			f->blind = TT_BLIND_turned_off;
	}
}

enum { OUT = 1, IN = 2 };

static const uint8_t hides[TT_HOOK_MAX] = {	/* which bytes are not seen without it */
#define TT_HOOK_CALL(number, hook, library, direction, result) [number] = direction,
#define TT_HOOK_PLAIN(number, hook, library) [number] = OUT | IN,
#include <tokentrail/hooks.def>
};

/* Of a function whose probe is not there. */
static void tell_missing(struct file *file, enum tt_hook hook)
{
	for (int i = 0; file->finding && i < TT_FINDINGS_MAX && file->finding[i].tls; i++) {
		struct tt_finding *f = &file->finding[i];

		if (f->tls != library_of[hook])
			continue;
		for (int k = 0; k < 2; k++)
			if (hides[hook] & (k ? IN : OUT))
				f->partly[k] = TT_BLIND_attach_refused;
	}
}

/* Of a library none of whose functions has its probe. */
static void tell_refused(struct file *file, const bool has[static TT_TLS_MAX])
{
	for (int i = 0; file->finding && i < TT_FINDINGS_MAX && file->finding[i].tls; i++) {
		struct tt_finding *f = &file->finding[i];

		if (!f->blind && f->tls < TT_TLS_MAX && !has[f->tls])
			f->blind = TT_BLIND_attach_refused;
	}
}

static void unprobe(struct targets *targets, struct file *file)
{
	targets->count.files_probed--;
	targets->count.probes -= file->count.probes;
	attach_free(file->attach);
	file->attach = NULL;
	file->count.probes = 0;
	file->since_ns = 0;
	file->state = FILE_REFUSED;
}

/* Are the probes really there? Known as soon as a process maps the file; asked once. */
static void confirm(struct targets *targets, struct file *file)
{
	_cleanup_free_ struct attach_sites *s = file->unread;
	bool has[TT_TLS_MAX] = {false};
	uint32_t seen = 0, missing = 0;

	if (!s)
		return;
	file->unread = NULL;
	if (readback(&file->where, s->site, s->count) == 0)
		for (uint32_t i = 0; i < s->count; i++) {
			seen += s->site[i].seen;
			missing += s->site[i].seen && !s->site[i].probed;
			if (!s->site[i].seen || s->site[i].probed)
				has[library_of[s->hook[i]]] = true;
			else
				tell_missing(file, s->hook[i]);
		}
	if (!seen) {
		file->unread = TAKE_PTR(s);
		return;
	}
	if (!missing)
		return;
	log_limited(LOG_LEVEL_WARNING,
		    "the kernel took probes that are not there; what they would see is not seen "
		    "file=%" PRIu64 " missing=%u",
		    file->number, missing);
	targets->count.attach_failed += missing;
	file->count.hooks -= missing;
	file->count.failed += missing;
	if (file->count.placed > file->count.hooks)
		file->count.placed = file->count.hooks;
	tell_refused(file, has);
	if (file->count.hooks == 0)
		unprobe(targets, file);
	tell_attached(targets, file);
}

/*
 * The file whose probes this one has already: what looks like two files may be one inode for the kernel,
 * through two overlays whose copies of its times differ. A second probe would tell each call twice.
 */
static struct file *find_twin(struct targets *targets, const struct file *file)
{
	struct attach_sites s;

	attach_sites(file->attach, file->fd, &s);
	if (s.count == 0 || readback(&file->where, s.site, s.count) < 0)
		return NULL;
	for (uint32_t i = 0; i < s.count; i++)
		if (!s.site[i].probed)
			return NULL;
	for (struct file *f = files_next(targets->files, NULL); f;
	     f = files_next(targets->files, f)) {
		uint32_t same = 0;

		if (f == file || f->state != FILE_HOOKED || f->key.size != file->key.size ||
		    f->key.ino != file->key.ino)
			continue;
		while (same < s.count && attach_has(f->attach, s.site[same].offset))
			same++;
		if (same == s.count)
			return f;
	}
	return NULL;
}

static void join_twin(struct targets *targets, struct file *file, const struct file *twin)
{
	log_debug("these probes are in place already file=%" PRIu64 " as=%" PRIu64, file->number,
		  twin->number);
	attach_free(file->attach);
	file->attach = NULL;
	file->twin = twin->number;
	file->since_ns = twin->since_ns;
	file->count = (struct attach_count){.hooks = twin->count.hooks, .placed = twin->count.placed};
	targets->count.files_probed++;
	settle(file, FILE_HOOKED);
}

static void placed(struct targets *targets, struct file *file)
{
	bool has[TT_TLS_MAX] = {false};
	struct attach_sites *s = malloc(sizeof(*s));

	file->since_ns = boottime_ns();
	targets->count.files_probed++;
	targets->count.probes += file->count.probes;
	if (!s)
		return; /* it is not read back */
	attach_sites(file->attach, file->fd, s);
	for (uint32_t i = 0; i < s->count; i++)
		has[library_of[s->hook[i]]] = true;
	for (uint32_t i = 0; i < s->refused; i++)
		tell_missing(file, s->refused_hook[i]);
	tell_refused(file, has);
	file->unread = s;
}

static void place(struct targets *targets, struct file *file)
{
	struct file *twin = find_twin(targets, file);
	int r;

	if (twin) {
		join_twin(targets, file, twin);
		return;
	}
	r = attach_place(file->attach, targets->sensor, file->fd, file->key.size, &file->count);
	targets->count.attach_failed += file->count.failed;
	if (r == 0 && file->count.hooks) {
		placed(targets, file);
		settle(file, FILE_HOOKED);
		log_debug("probes are in place file=%" PRIu64 " hooks=%u failed=%u", file->number,
			  file->count.hooks, file->count.failed);
		confirm(targets, file);
		return;
	}
	settle(file, FILE_REFUSED);
	attach_free(file->attach);
	file->attach = NULL;
	tell_refused(file, (bool[TT_TLS_MAX]){false});
}

/* ---- not too many at once ---- */

/* When the next file may have its probes: each takes its part of a second, and a second's worth of them
 * may be taken in advance. */
static uint64_t next_turn(struct targets *targets, uint64_t now_ns)
{
	uint64_t each = targets->rate ? 1000000000ULL / targets->rate : 0;
	uint64_t advance = targets->rate ? (targets->rate - 1) * each : 0;

	if (targets->full_ns < now_ns)
		targets->full_ns = now_ns;
	if (targets->full_ns > now_ns + advance)
		return targets->full_ns - advance;
	targets->full_ns += each;
	return now_ns;
}

static void wait_for_turn(struct targets *targets, struct file *file)
{
	file->state = FILE_WAITING;
	line_append(file->now ? &targets->now : &targets->soon, file);
}

uint64_t targets_attach(struct targets *targets, uint64_t now_ns)
{
	while (targets->now.first || targets->soon.first) {
		struct line *line = targets->now.first ? &targets->now : &targets->soon;
		struct file *file = line->first;
		uint64_t turn;

		turn = next_turn(targets, now_ns);
		if (turn > now_ns)
			return turn;
		line_take(line);
		file->now = false;
		place(targets, file);
		tell_attached(targets, file);
	}
	return 0;
}

/* ---- the switch ---- */

static void switch_off(struct targets *targets, struct file *file)
{
	struct tt_finding *finding;

	if (file->state == FILE_WAITING) {
		line_remove(file->now ? &targets->now : &targets->soon, file);
		settle(file, FILE_OFF);
	}
	if (file->state != FILE_HOOKED)
		return;
	finding = TAKE_PTR(file->finding);
	detach(targets, file);
	file->finding = finding;
	file->state = FILE_OFF;
	tell_attached(targets, file);
}

void targets_switch(struct targets *targets, bool on)
{
	targets->off = !on;
	memset(targets->recent, 0, sizeof(targets->recent));
	if (!on)
		detach_all(targets);
	for (struct file *f = on ? NULL : files_next(targets->files, NULL); f;
	     f = files_next(targets->files, f))
		switch_off(targets, f);
}

int targets_scanned(struct targets *targets, const struct tt_ipc_scanned *scanned)
{
	struct file *file = files_get(targets->files, scanned->file);

	if (!file || file->state != FILE_SCANNING)
		return -EBADMSG;
	line_remove(&targets->in_hand, file);
	keep_findings(targets, file, scanned->finding);
	if (scanned->result == TT_SCAN_HOOKS && file->attach && !targets->off) {
		wait_for_turn(targets, file);
		targets_attach(targets, boottime_ns());
		targets_send(targets);
		return 0;
	}
	if (file->attach && targets->off) {
		attach_free(file->attach);
		file->attach = NULL;
		settle(file, FILE_OFF);
	} else {
		attach_free(file->attach);
		file->attach = NULL;
		targets->count.attach_failed += scanned->result == TT_SCAN_REFUSED;
		settle(file, scanned->result == TT_SCAN_REFUSED ? FILE_REFUSED : FILE_NONE);
	}
	tell_attached(targets, file);
	targets_send(targets);
	return 0;
}

/* ---- letting go ---- */

void targets_scan_begins(struct targets *targets)
{
	for (struct file *f = files_next(targets->files, NULL); f;
	     f = files_next(targets->files, f))
		f->mapped = false;
}

/* Whether the file can still be found where the next program would look for it. */
static bool is_at_home(const struct file *file)
{
	_cleanup_close_ int fd = open_path(file->path, file->key.ino, false);
	struct file_key key;

	return fd >= 0 && file_key_of(fd, &key) == 0 && file_key_same(&key, &file->key);
}

void targets_scan_ended(struct targets *targets)
{
	struct file *file = files_next(targets->files, NULL), *next;

	for (; file; file = next) {
		next = files_next(targets->files, file);
		if (file->state != FILE_HOOKED || file->mapped ||
		    ++file->idle_scans < IDLE_SCANS_MAX)
			continue;
		if (is_at_home(file))
			continue;
		log_debug("nobody uses this file any more; its probes go file=%" PRIu64,
			  file->number);
		detach(targets, file);
		files_forget(targets->files, file);
	}
}

bool targets_busy(const struct targets *targets)
{
	return targets->urgent.length || targets->later.length || targets->in_hand.length ||
	       targets->now.length || targets->soon.length;
}

void targets_counts(const struct targets *targets, struct targets_count *ret_count)
{
	*ret_count = targets->count;
}
