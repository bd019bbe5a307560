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
};

struct targets {
	struct bpf_sensor *sensor;
	uint32_t libraries;
	struct files *files;
	int channel;		   /* -1: no agent */
	struct line urgent, later; /* QUEUED */
	struct line in_hand;	   /* SCANNING, in the order they were sent */
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

int targets_new(struct bpf_sensor *sensor, uint32_t libraries, struct targets **ret_targets)
{
	struct targets *targets = calloc(1, sizeof(*targets));
	int r;

	if (!targets)
		return -ENOMEM;
	targets->sensor = sensor;
	targets->libraries = libraries;
	targets->channel = -1;
	r = files_new(FILES_MAX, &targets->files);
	if (r < 0) {
		free(targets);
		return r;
	}
	*ret_targets = targets;
	return 0;
}

void targets_free(struct targets *targets)
{
	if (!targets)
		return;
	files_free(targets->files);
	free(targets);
}

static void detach(struct targets *targets, struct file *file)
{
	if (file->state == FILE_HOOKED) {
		targets->count.files_probed--;
		targets->count.probes -= file->count.probes;
	}
	attach_free(file->attach);
	file->attach = NULL;
	file->count = (struct attach_count){0};
	file->since_ns = 0;
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

static bool is_under_way(const struct file *file)
{
	return file->state == FILE_QUEUED || file->state == FILE_SCANNING;
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

static struct file *meet(struct targets *targets, int path_fd, const char *path, bool urgent)
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
	if (is == FILE_IS_KNOWN || is_under_way(file))
		return file;
	if (is == FILE_IS_CHANGED) {
		detach(targets, file);
		file->deaths = 0;
	}
	return queue(targets, file, path_fd, urgent || is_library(path));
}

static bool look(struct targets *targets, const struct target_map *map, bool urgent)
{
	_cleanup_close_ int fd = -EBADF;

	if (map->path[0] != '/' || map->path[1] == '/')
		return true; /* [vdso], //anon */
	fd = open_mapped(map);
	return fd >= 0 && meet(targets, fd, map->path, urgent);
}

void targets_mapped(struct targets *targets, const struct target_map *map, uint64_t now_ns)
{
	struct recent *recent = &targets->recent[map->identity % RECENT];

	if (map->identity && recent->identity == map->identity && now_ns < recent->until_ns)
		return;
	/* What could not be opened (its process is gone) is tried again with the next one. */
	if (look(targets, map, true)) {
		recent->identity = map->identity;
		recent->until_ns = now_ns + RECENT_NS;
	}
	targets_send(targets);
}

void targets_found(struct targets *targets, const struct target_map *map)
{
	look(targets, map, false);
}

void targets_known(struct targets *targets, const char *path)
{
	_cleanup_close_ int fd = open_path(path, 0, true);

	/* A pattern may well match a directory or a dangling link. */
	if (fd >= 0)
		meet(targets, fd, path, true);
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

static void settle(struct file *file, enum file_state state)
{
	closep(&file->fd);
	file->fd = -EBADF;
	file->state = state;
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

static bool is_watched(const struct targets *targets, uint32_t hook)
{
	static const uint8_t library_of[TT_HOOK_MAX] = {
#define TT_HOOK_CALL(number, hook, library, direction, result) [number] = TT_TLS_##library,
#define TT_HOOK_END(number, hook, library) [number] = TT_TLS_##library,
#define TT_HOOK_PLAIN(number, hook, library) [number] = TT_TLS_##library,
#include <tokentrail/hooks.def>
	};

	return targets->libraries >> library_of[hook] & 1;
}

int targets_hook(struct targets *targets, const struct tt_ipc_hook *hook)
{
	struct file *file = files_get(targets->files, hook->file);
	int r;

	if (!file || file->state != FILE_SCANNING || hook->hook >= TT_HOOK_MAX)
		return -EBADMSG;
	if (!is_watched(targets, hook->hook))
		return 0;
	if (!file->attach) {
		r = attach_new(&file->attach);
		if (r < 0)
			return r;
	}
	r = attach_add(file->attach, hook->hook, hook->offset);
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

static int place(struct targets *targets, struct file *file)
{
	int r;

	r = attach_place(file->attach, targets->sensor, file->fd, file->key.size, &file->count);
	if (r < 0) { /* an offset that is not in the file */
		settle(file, FILE_REFUSED);
		attach_free(file->attach);
		file->attach = NULL;
		return -EBADMSG;
	}
	targets->count.attach_failed += file->count.failed;
	settle(file, file->count.hooks ? FILE_HOOKED : FILE_REFUSED);
	if (file->count.hooks) {
		file->since_ns = boottime_ns();
		targets->count.files_probed++;
		targets->count.probes += file->count.probes;
	} else {
		attach_free(file->attach);
		file->attach = NULL;
	}
	log_debug("probes are in place file=%" PRIu64 " hooks=%u failed=%u", file->number,
		  file->count.hooks, file->count.failed);
	return 0;
}

int targets_scanned(struct targets *targets, const struct tt_ipc_scanned *scanned)
{
	struct file *file = files_get(targets->files, scanned->file);
	int r = 0;

	if (!file || file->state != FILE_SCANNING)
		return -EBADMSG;
	line_remove(&targets->in_hand, file);
	keep_findings(targets, file, scanned->finding);
	if (scanned->result == TT_SCAN_HOOKS && file->attach) {
		r = place(targets, file);
	} else {
		attach_free(file->attach);
		file->attach = NULL;
		targets->count.attach_failed += scanned->result == TT_SCAN_REFUSED;
		settle(file, scanned->result == TT_SCAN_REFUSED ? FILE_REFUSED : FILE_NONE);
	}
	tell_attached(targets, file);
	targets_send(targets);
	return r;
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
	return targets->urgent.length || targets->later.length || targets->in_hand.length;
}

void targets_counts(const struct targets *targets, struct targets_count *ret_count)
{
	*ret_count = targets->count;
}
