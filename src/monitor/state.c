/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent is not trusted, and this runs as root on what earlier agents wrote: no link is followed
 * below the directory, and a file that has other names is left alone.
 */
#include "monitor/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

#define ID_FIRST 61990 /* between what distributions give to people and to containers */
#define ID_LAST 62089
#define DEPTH_MAX 4

int state_user(const char *name, uid_t *ret_uid, gid_t *ret_gid)
{
	const struct passwd *user = getpwnam(name);

	if (user) {
		if (user->pw_uid == 0 || user->pw_gid == 0)
			return -EPERM;
		*ret_uid = user->pw_uid;
		*ret_gid = user->pw_gid;
		return 0;
	}
	for (uid_t id = ID_FIRST; id <= ID_LAST; id++)
		if (!getpwuid(id) && !getgrgid(id)) {
			*ret_uid = id;
			*ret_gid = id;
			return 0;
		}
	return -ENOENT;
}

static int make_parents(const char *path)
{
	char part[4096];

	if (snprintf(part, sizeof(part), "%s", path) >= (int)sizeof(part))
		return -ENAMETOOLONG;
	for (char *p = strchr(part + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return 0;
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Empty, or with something in it that only an agent makes. */
static int may_be_taken(int fd)
{
	static const char *const ours[] = {"store.db", "spool"};
	bool empty = true, known = false;
	struct dirent *d;
	DIR *dir;
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	dir = copy < 0 ? NULL : fdopendir(copy);
	if (!dir) {
		closep(&copy);
		return -errno;
	}
	while ((d = readdir(dir))) {
		if (is_dots(d->d_name) || strcmp(d->d_name, "lost+found") == 0)
			continue;
		empty = false;
		for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
			known = known || strcmp(d->d_name, ours[i]) == 0;
	}
	closedir(dir);
	return empty || known ? 0 : -EEXIST;
}

static int give(int fd, uid_t uid, gid_t gid, int depth);

static int give_entry(int parent, const char *name, uid_t before, uid_t uid, gid_t gid, int depth)
{
	_cleanup_close_ int fd = -EBADF;
	struct stat st;

	fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ELOOP || errno == ENOENT || errno == ENXIO ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid != before)
		return 0;
	if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
		return give(fd, uid, gid, depth + 1);
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
		return 0;
	return fchown(fd, uid, gid) < 0 ? -errno : 0;
}

/* A directory and what its owner has below it. The directory comes last, so that a run that was
 * cut off begins anew. */
static int give(int fd, uid_t uid, gid_t gid, int depth)
{
	struct dirent *d;
	struct stat st;
	DIR *dir;
	int copy, r = 0;

	if (fstat(fd, &st) < 0)
		return -errno;
	copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = copy < 0 ? NULL : fdopendir(copy);
	if (!dir) {
		closep(&copy);
		return -errno;
	}
	while (r == 0 && (d = readdir(dir)))
		if (!is_dots(d->d_name))
			r = give_entry(fd, d->d_name, st.st_uid, uid, gid, depth);
	closedir(dir);
	if (r == 0 && fchown(fd, uid, gid) < 0)
		r = -errno;
	return r;
}

int state_prepare(const char *path, uid_t uid, gid_t gid)
{
	_cleanup_close_ int fd = -EBADF;
	struct stat st;
	int r;

	r = make_parents(path);
	if (r < 0)
		return r;
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid != uid || st.st_gid != gid) {
		r = may_be_taken(fd);
		if (r == 0)
			r = give(fd, uid, gid, 0);
		if (r < 0)
			return r;
	}
	return fchmod(fd, 0700) < 0 ? -errno : 0;
}
