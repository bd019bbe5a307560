/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/procs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define DELETED " (deleted)"
#define SAME_START_NS 30000000 /* a tick is 10 ms; the fork event comes a little after the start   \
				*/
#define CGROUP_HANDLE 0xfe     /* FILEID_KERNFS, include/linux/exportfs.h */

struct proc {
	uint32_t pid, parent;
	uint64_t start_ns; /* 0: not known */
	uint64_t exit_ns;  /* 0: alive */
	bool exec_pending; /* runs a new program, whose first mapping was not seen yet */
	char *path;	   /* NULL: not known */
	struct proc *next;
	struct proc *older, *newer;
};

struct cgroup {
	uint64_t id;
	char *path;
	struct cgroup *next;
	struct cgroup *newer; /* by when they were entered */
};

struct procs {
	uint32_t mask, count, max;
	struct proc **by_pid;
	struct proc *oldest, *newest;
	uint32_t cgroup_mask, cgroup_count, cgroup_max;
	struct cgroup **by_cgroup;
	struct cgroup *oldest_cgroup, *newest_cgroup;
	long ticks;
	int cgroup_fd; /* the cgroup2 mount, or -errno */
	char cgroup_mount[PATH_MAX];
};

/* ---- text ---- */

bool procs_same_start(uint64_t a_ns, uint64_t b_ns)
{
	return (a_ns > b_ns ? a_ns - b_ns : b_ns - a_ns) <= SAME_START_NS;
}

int procs_parse_stat(const char *text, long ticks_per_s, uint64_t *ret_start_ns)
{
	const char *p = strrchr(text, ')');
	unsigned long long ticks;
	char *end;

	if (!p || ticks_per_s <= 0)
		return -EINVAL;
	/* After the name comes field 3; the start is field 22 (proc_pid_stat(5)). */
	for (int field = 2; field < 22; field++) {
		p = strchr(p + 1, ' ');
		if (!p)
			return -EINVAL;
	}
	errno = 0;
	ticks = strtoull(p + 1, &end, 10);
	if (errno || end == p + 1)
		return -EINVAL;
	*ret_start_ns = ticks * (1000000000ULL / (unsigned long)ticks_per_s);
	return 0;
}

bool procs_parse_dead(const char *text)
{
	const char *p = strrchr(text, ')');

	if (!p || p[1] != ' ' || (p[2] != 'Z' && p[2] != 'X'))
		return false;
	/* Field 20 is the number of threads: a leader that ended alone is a zombie too. */
	for (int field = 2; p && field < 20; field++)
		p = strchr(p + 1, ' ');
	return p && strtol(p + 1, NULL, 10) <= 1;
}

bool procs_parse_terminal(const char *text)
{
	const char *p = strrchr(text, ')');

	/* Field 7 is the controlling terminal's device, 0 = none. */
	for (int field = 2; p && field < 7; field++)
		p = strchr(p + 1, ' ');
	return p && strtol(p + 1, NULL, 10) != 0;
}

int procs_parse_uid(const char *text, uint32_t *ret_uid)
{
	const char *line = strstr(text, "\nUid:\t");
	char *end;

	if (!line)
		return -EINVAL;
	*ret_uid = (uint32_t)strtoul(line + 6, &end, 10);
	return end == line + 6 ? -EINVAL : 0;
}

int procs_parse_cgroup(const char *text, char *to, size_t size)
{
	const char *line = text;

	while (line && strncmp(line, "0::/", 4) != 0) {
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	if (!line)
		return -ENOENT;
	line += 3;
	snprintf(to, size, "%.*s", (int)strcspn(line, "\n"), line);
	return 0;
}

/* mountinfo writes blanks and backslashes in paths as \ooo. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *p = text; *p; p++) {
		if (p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] && p[3]) {
			*to++ = (char)((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
			p += 3;
		} else {
			*to++ = *p;
		}
	}
	*to = '\0';
}

/* "36 35 98:0 /root /mnt rw,... optional - cgroup2 source options" */
int procs_parse_mountinfo(const char *text, char *to, size_t size)
{
	for (const char *line = text; line && *line;
	     line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		size_t len = strcspn(line, "\n");
		const char *type = memmem(line, len, " - cgroup2 ", 11);
		const char *p = line;

		if (!type)
			continue;
		for (int field = 1; p && field < 5; field++) {
			p = strchr(p, ' ');
			p = p ? p + 1 : NULL;
		}
		if (!p || p > type)
			continue;
		snprintf(to, size, "%.*s", (int)strcspn(p, " \n"), p);
		unescape(to);
		return 0;
	}
	return -ENOENT;
}

void procs_strip_deleted(char *path, bool named_so)
{
	size_t len = strlen(path), tail = sizeof(DELETED) - 1;

	if (!named_so && len > tail && strcmp(path + len - tail, DELETED) == 0)
		path[len - tail] = '\0';
}

/* ---- the table ---- */

static uint32_t bucket_of(uint64_t value, uint32_t mask)
{
	return (uint32_t)(value * 0x9e3779b97f4a7c15ULL >> 32) & mask;
}

static uint32_t power_of_two(uint32_t least)
{
	uint32_t n = 64;

	while (n < least)
		n *= 2;
	return n;
}

static int read_text(const char *path, char *to, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	while (len + 1 < size && (n = read(fd, to + len, size - 1 - len)) != 0) {
		if (n < 0)
			return -errno;
		len += (size_t)n;
	}
	to[len] = '\0';
	return 0;
}

static void open_cgroup_mount(struct procs *procs)
{
	size_t size = 1 << 20;
	_cleanup_free_ char *text = malloc(size);
	int r = -ENOMEM;

	if (text)
		r = read_text("/proc/self/mountinfo", text, size);
	if (r == 0)
		r = procs_parse_mountinfo(text, procs->cgroup_mount, sizeof(procs->cgroup_mount));
	if (r == 0) {
		procs->cgroup_fd = open(procs->cgroup_mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = procs->cgroup_fd < 0 ? -errno : 0;
	}
	if (r < 0)
		procs->cgroup_fd = r;
}

int procs_new(uint32_t max_procs, uint32_t max_cgroups, struct procs **ret_procs)
{
	struct procs *procs = calloc(1, sizeof(*procs));

	if (!procs)
		return -ENOMEM;
	procs->mask = power_of_two(max_procs) - 1;
	procs->max = max_procs;
	procs->by_pid = calloc(procs->mask + 1, sizeof(*procs->by_pid));
	procs->cgroup_mask = power_of_two(max_cgroups) - 1;
	procs->cgroup_max = max_cgroups;
	procs->by_cgroup = calloc(procs->cgroup_mask + 1, sizeof(*procs->by_cgroup));
	procs->ticks = sysconf(_SC_CLK_TCK);
	procs->cgroup_fd = -EBADF;
	if (!procs->by_pid || !procs->by_cgroup) {
		procs_free(procs);
		return -ENOMEM;
	}
	open_cgroup_mount(procs);
	*ret_procs = procs;
	return 0;
}

static void forget(struct procs *procs, struct proc *proc)
{
	struct proc **p = &procs->by_pid[bucket_of(proc->pid, procs->mask)];

	while (*p != proc)
		p = &(*p)->next;
	*p = proc->next;
	*(proc->older ? &proc->older->newer : &procs->oldest) = proc->newer;
	*(proc->newer ? &proc->newer->older : &procs->newest) = proc->older;
	free(proc->path);
	free(proc);
	procs->count--;
}

static void forget_oldest_cgroup(struct procs *procs)
{
	struct cgroup *cgroup = procs->oldest_cgroup;
	struct cgroup **p = &procs->by_cgroup[bucket_of(cgroup->id, procs->cgroup_mask)];

	while (*p != cgroup)
		p = &(*p)->next;
	*p = cgroup->next;
	procs->oldest_cgroup = cgroup->newer;
	if (!procs->oldest_cgroup)
		procs->newest_cgroup = NULL;
	free(cgroup->path);
	free(cgroup);
	procs->cgroup_count--;
}

void procs_free(struct procs *procs)
{
	if (!procs)
		return;
	while (procs->oldest)
		forget(procs, procs->oldest);
	while (procs->oldest_cgroup)
		forget_oldest_cgroup(procs);
	closep(&procs->cgroup_fd);
	free(procs->by_pid);
	free(procs->by_cgroup);
	free(procs);
}

static struct proc *find(const struct procs *procs, uint32_t pid)
{
	struct proc *proc = procs->by_pid[bucket_of(pid, procs->mask)];

	while (proc && proc->pid != pid)
		proc = proc->next;
	return proc;
}

/* A new entry for pid in place of any old one. NULL: no memory, which only costs an answer. */
static struct proc *enter(struct procs *procs, uint32_t pid)
{
	struct proc *proc = find(procs, pid), **bucket;

	if (proc)
		forget(procs, proc);
	else if (procs->count >= procs->max)
		forget(procs, procs->oldest);
	proc = calloc(1, sizeof(*proc));
	if (!proc)
		return NULL;
	proc->pid = pid;
	bucket = &procs->by_pid[bucket_of(pid, procs->mask)];
	proc->next = *bucket;
	*bucket = proc;
	proc->older = procs->newest;
	*(procs->newest ? &procs->newest->newer : &procs->oldest) = proc;
	procs->newest = proc;
	procs->count++;
	return proc;
}

static void set_path(struct proc *proc, const char *path)
{
	free(proc->path);
	proc->path = path ? strdup(path) : NULL;
}

/* ---- /proc ---- */

static int read_start(const struct procs *procs, uint32_t pid, uint64_t *ret_start_ns)
{
	char name[32], text[1024];
	int r;

	snprintf(name, sizeof(name), "/proc/%u/stat", pid);
	r = read_text(name, text, sizeof(text));
	return r < 0 ? r : procs_parse_stat(text, procs->ticks, ret_start_ns);
}

int procs_alive(const struct procs *procs, uint32_t pid, uint64_t *ret_start_ns)
{
	char name[32], text[1024];

	snprintf(name, sizeof(name), "/proc/%u/stat", pid);
	if (read_text(name, text, sizeof(text)) < 0 || procs_parse_dead(text))
		return -ESRCH;
	return procs_parse_stat(text, procs->ticks, ret_start_ns);
}

int procs_start(const struct procs *procs, uint32_t pid, uint64_t *ret_start_ns)
{
	const struct proc *proc = find(procs, pid);

	if (!proc || !proc->start_ns)
		return procs_alive(procs, pid, ret_start_ns);
	*ret_start_ns = proc->start_ns;
	return 0;
}

/* Whether `path`, as the process sees it, is the file that it runs. */
static bool is_own_file(uint32_t pid, const char *path)
{
	char seen[PATH_MAX + 32], exe[32];
	struct stat a, b;

	snprintf(exe, sizeof(exe), "/proc/%u/exe", pid);
	snprintf(seen, sizeof(seen), "/proc/%u/root%s", pid, path);
	return stat(exe, &a) == 0 && stat(seen, &b) == 0 && a.st_ino == b.st_ino &&
	       a.st_dev == b.st_dev;
}

int procs_executable(uint32_t pid, char *to, size_t size)
{
	char name[32];
	ssize_t len;

	snprintf(name, sizeof(name), "/proc/%u/exe", pid);
	len = readlink(name, to, size - 1);
	if (len < 0)
		return -errno;
	if (len == 0)
		return -ENOENT;
	to[len] = '\0';
	procs_strip_deleted(to, is_own_file(pid, to));
	return 0;
}

void procs_scanned(struct procs *procs, uint32_t pid)
{
	struct proc *proc = find(procs, pid);
	char path[PATH_MAX];
	uint64_t start_ns;

	if (read_start(procs, pid, &start_ns) < 0)
		return;
	if (proc && proc->path && proc->start_ns && !proc->exit_ns &&
	    procs_same_start(proc->start_ns, start_ns))
		return;
	if (procs_executable(pid, path, sizeof(path)) < 0)
		return; /* a kernel thread, or gone */
	proc = enter(procs, pid);
	if (!proc)
		return;
	proc->start_ns = start_ns;
	set_path(proc, path);
}

/* ---- events ---- */

/* The rings of the CPUs are read one after the other: what a child did on its CPU may be told before
 * the parent's CPU tells of the fork. Then the path is the child's own. */
static bool is_told(const struct proc *child, uint64_t start_ns)
{
	return child && (child->path || child->exec_pending) &&
	       (!child->start_ns || procs_same_start(child->start_ns, start_ns));
}

void procs_forked(struct procs *procs, uint32_t pid, uint32_t parent, uint64_t start_ns)
{
	struct proc *child = find(procs, pid), *from;

	if (is_told(child, start_ns)) {
		child->parent = parent;
		child->start_ns = start_ns;
		return;
	}
	if (!find(procs, parent))
		procs_scanned(procs, parent);
	child = enter(procs, pid);
	if (!child)
		return;
	from = find(procs, parent); /* after enter(), which may have dropped it */
	child->parent = parent;
	child->start_ns = start_ns;
	if (from)
		set_path(child, from->path);
}

void procs_exec(struct procs *procs, uint32_t pid)
{
	struct proc *proc = find(procs, pid);

	if (!proc || proc->exit_ns)	/* one that ended had this id before */
		proc = enter(procs, pid);
	if (!proc)
		return;
	proc->exec_pending = true;
	set_path(proc, NULL);
	if (!proc->start_ns && read_start(procs, pid, &proc->start_ns) < 0)
		proc->start_ns = 0;
}

void procs_mapped(struct procs *procs, uint32_t pid, const char *path)
{
	struct proc *proc = find(procs, pid);
	char copy[PATH_MAX];
	struct stat st;

	if (!proc || !proc->exec_pending || path[0] != '/')
		return;
	snprintf(copy, sizeof(copy), "%s", path);
	procs_strip_deleted(copy, stat(copy, &st) == 0);
	proc->exec_pending = false;
	set_path(proc, copy);
}

void procs_exited(struct procs *procs, uint32_t pid, uint64_t now_ns)
{
	struct proc *proc = find(procs, pid);

	if (proc && !proc->exit_ns)
		proc->exit_ns = now_ns;
}

void procs_age(struct procs *procs, uint64_t now_ns)
{
	struct proc *proc = procs->oldest, *newer;

	for (; proc; proc = newer) {
		newer = proc->newer;
		if (proc->exit_ns && now_ns > proc->exit_ns + PROCS_KEEP_NS)
			forget(procs, proc);
	}
}

uint32_t procs_parent(const struct procs *procs, uint32_t pid)
{
	const struct proc *proc = find(procs, pid);

	return proc ? proc->parent : 0;
}

uint32_t procs_count(const struct procs *procs)
{
	return procs->count;
}

/* ---- cgroups ---- */

static struct cgroup *find_cgroup(const struct procs *procs, uint64_t id)
{
	struct cgroup *cgroup = procs->by_cgroup[bucket_of(id, procs->cgroup_mask)];

	while (cgroup && cgroup->id != id)
		cgroup = cgroup->next;
	return cgroup;
}

void procs_cgroup_made(struct procs *procs, uint64_t id, const char *path)
{
	struct cgroup *cgroup = find_cgroup(procs, id), **bucket;
	char *copy = strdup(path);

	if (!copy)
		return;
	if (cgroup) {
		free(cgroup->path);
		cgroup->path = copy;
		return;
	}
	if (procs->cgroup_count >= procs->cgroup_max)
		forget_oldest_cgroup(procs);
	cgroup = calloc(1, sizeof(*cgroup));
	if (!cgroup) {
		free(copy);
		return;
	}
	*cgroup = (struct cgroup){.id = id, .path = copy};
	bucket = &procs->by_cgroup[bucket_of(id, procs->cgroup_mask)];
	cgroup->next = *bucket;
	*bucket = cgroup;
	*(procs->newest_cgroup ? &procs->newest_cgroup->newer : &procs->oldest_cgroup) = cgroup;
	procs->newest_cgroup = cgroup;
	procs->cgroup_count++;
}

/* The kernel finds a cgroup's directory by its id alone, whether or not its processes still live.
 */
static int resolve_by_handle(const struct procs *procs, uint64_t id, char *to, size_t size)
{
	struct {
		struct file_handle h;
		uint64_t id;
	} handle = {.h = {.handle_bytes = sizeof(id), .handle_type = CGROUP_HANDLE}};
	_cleanup_close_ int fd = -EBADF;
	char name[32], path[PATH_MAX];
	size_t skip = strlen(procs->cgroup_mount);
	ssize_t len;

	if (procs->cgroup_fd < 0)
		return procs->cgroup_fd;
	memcpy(handle.h.f_handle, &id, sizeof(id));
	fd = open_by_handle_at(procs->cgroup_fd, &handle.h, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	len = readlink(name, path, sizeof(path) - 1);
	if (len < 0)
		return -errno;
	path[len] = '\0';
	if (strncmp(path, procs->cgroup_mount, skip) != 0)
		return -ENOENT;
	snprintf(to, size, "%s", path[skip] ? path + skip : "/");
	return 0;
}

/* Only of use where the mount is out of reach: the id can't be compared then. */
static int read_cgroup(uint32_t pid, char *to, size_t size)
{
	char name[32], text[8192];
	int r;

	snprintf(name, sizeof(name), "/proc/%u/cgroup", pid);
	r = read_text(name, text, sizeof(text));
	return r < 0 ? r : procs_parse_cgroup(text, to, size);
}

static int resolve_cgroup(struct procs *procs, uint64_t id, uint32_t pid, bool alive, char *to,
			  size_t size)
{
	struct cgroup *cgroup = find_cgroup(procs, id);
	int r;

	if (id == 0)
		return -ENOENT;
	if (cgroup) {
		snprintf(to, size, "%s", cgroup->path);
		return 0;
	}
	r = resolve_by_handle(procs, id, to, size);
	if (r < 0 && alive)
		r = read_cgroup(pid, to, size);
	if (r == 0)
		procs_cgroup_made(procs, id, to);
	return r;
}

bool procs_has_cgroups(const struct procs *procs)
{
	return procs->cgroup_fd >= 0;
}

int procs_cgroup_path(struct procs *procs, uint64_t cgroup, char *to, size_t size)
{
	return resolve_cgroup(procs, cgroup, 0, false, to, size);
}

/* ---- who it is ---- */

/* The id of a cgroup is the inode of its directory. */
static uint64_t read_cgroup_id(const struct procs *procs, uint32_t pid)
{
	char path[PATH_MAX];
	struct stat st;

	if (procs->cgroup_fd < 0 || read_cgroup(pid, path, sizeof(path)) < 0)
		return 0;
	if (fstatat(procs->cgroup_fd, path[1] ? path + 1 : ".", &st, 0) < 0)
		return 0;
	return st.st_ino;
}

int procs_identify(const struct procs *procs, uint32_t pid, struct procs_identity *ret_identity)
{
	struct procs_identity identity = {.cgroup = read_cgroup_id(procs, pid)};
	char name[32], text[8192];
	int r;

	snprintf(name, sizeof(name), "/proc/%u/status", pid);
	r = read_text(name, text, sizeof(text));
	if (r == 0)
		r = procs_parse_uid(text, &identity.uid);
	snprintf(name, sizeof(name), "/proc/%u/comm", pid);
	if (r == 0)
		r = read_text(name, text, sizeof(text));
	if (r < 0)
		return r;
	text[strcspn(text, "\n")] = '\0';
	snprintf(identity.comm, sizeof(identity.comm), "%.15s", text);
	*ret_identity = identity;
	return 0;
}

/* ---- answers ---- */

static void cut_to_fit(char *to, size_t size, const char *from)
{
	size_t len = strnlen(from, size - 1);

	memcpy(to, from, len);
	to[len] = '\0';
}

static bool has_terminal(uint32_t pid)
{
	char name[32], text[1024];

	snprintf(name, sizeof(name), "/proc/%u/stat", pid);
	return read_text(name, text, sizeof(text)) == 0 && procs_parse_terminal(text);
}

static const char *known_path(const struct procs *procs, const struct tt_ipc_proc *answer)
{
	const struct proc *proc = find(procs, answer->tgid);

	return proc && procs_same_start(proc->start_ns, answer->start_ns) ? proc->path : NULL;
}

void procs_answer(struct procs *procs, struct tt_ipc_proc *answer)
{
	char read[PATH_MAX];
	const char *path = NULL;
	uint64_t start_ns;
	bool alive;

	answer->known = 0;
	alive = read_start(procs, answer->tgid, &start_ns) == 0 &&
		procs_same_start(start_ns, answer->start_ns);
	if (alive && has_terminal(answer->tgid))
		answer->known |= TT_PROC_TERMINAL;
	if (alive && procs_executable(answer->tgid, read, sizeof(read)) == 0)
		path = read;
	else
		path = known_path(procs, answer);
	if (path) {
		cut_to_fit(answer->executable, sizeof(answer->executable), path);
		answer->known |= TT_PROC_EXECUTABLE;
	}
	if (resolve_cgroup(procs, answer->cgroup, answer->tgid, alive, answer->cgroup_path,
			   sizeof(answer->cgroup_path)) == 0)
		answer->known |= TT_PROC_CGROUP;
}
