/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/files.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/vfs.h>

#include "base/cleanup.h"

struct files {
	struct file **by_inode, **by_number;
	uint32_t mask, count, max;
	uint64_t last_number;
	struct file *oldest, *newest;
};

int files_new(uint32_t max, struct files **ret_files)
{
	struct files *files = calloc(1, sizeof(*files));
	uint32_t buckets = 64;

	if (!files)
		return -ENOMEM;
	while (buckets < max)
		buckets *= 2;
	files->by_inode = calloc(buckets, sizeof(*files->by_inode));
	files->by_number = calloc(buckets, sizeof(*files->by_number));
	files->mask = buckets - 1;
	files->max = max;
	if (!files->by_inode || !files->by_number) {
		files_free(files);
		return -ENOMEM;
	}
	*ret_files = files;
	return 0;
}

void files_free(struct files *files)
{
	if (!files)
		return;
	while (files->oldest)
		files_forget(files, files->oldest);
	free(files->by_inode);
	free(files->by_number);
	free(files);
}

int file_key_of(int fd, struct file_key *ret_key)
{
	struct statfs fs;
	struct stat st;

	if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		return -errno;
	*ret_key = (struct file_key){
		.ino = st.st_ino,
		.size = (uint64_t)st.st_size,
		.mtime = st.st_mtim,
		.ctime = st.st_ctim,
		.dev = st.st_dev,
		.overlay = fs.f_type == OVERLAYFS_SUPER_MAGIC,
	};
	return 0;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same_content(const struct file_key *a, const struct file_key *b)
{
	return a->size == b->size && same_time(&a->mtime, &b->mtime);
}

bool file_key_same(const struct file_key *a, const struct file_key *b)
{
	if (a->ino != b->ino)
		return false;
	if (a->overlay || b->overlay)
		return same_content(a, b) && same_time(&a->ctime, &b->ctime);
	return a->dev == b->dev;
}

static uint32_t bucket_of(const struct files *files, uint64_t value)
{
	return (uint32_t)(value * 0x9e3779b97f4a7c15ULL >> 32) & files->mask;
}

static void unlink_age(struct files *files, struct file *file)
{
	*(file->older ? &file->older->newer : &files->oldest) = file->newer;
	*(file->newer ? &file->newer->older : &files->newest) = file->older;
}

static void append_age(struct files *files, struct file *file)
{
	file->newer = NULL;
	file->older = files->newest;
	*(files->newest ? &files->newest->newer : &files->oldest) = file;
	files->newest = file;
}

void files_forget(struct files *files, struct file *file)
{
	struct file **p;

	for (p = &files->by_inode[bucket_of(files, file->key.ino)]; *p != file;)
		p = &(*p)->next_by_inode;
	*p = file->next_by_inode;
	for (p = &files->by_number[bucket_of(files, file->number)]; *p != file;)
		p = &(*p)->next_by_number;
	*p = file->next_by_number;
	unlink_age(files, file);
	closep(&file->fd);
	attach_free(file->attach);
	free(file->unread);
	free(file->finding);
	free(file);
	files->count--;
}

static bool can_be_forgotten(const struct file *file)
{
	return file->state == FILE_NONE || file->state == FILE_REFUSED || file->state == FILE_OFF;
}

static int make_room(struct files *files)
{
	struct file *file = files->oldest;

	if (files->count < files->max)
		return 0;
	while (file && !can_be_forgotten(file))
		file = file->newer;
	if (!file)
		return -ENOSPC;
	files_forget(files, file);
	return 0;
}

static int enter(struct files *files, const struct file_key *key, const char *path,
		 struct file **ret_file)
{
	struct file *file;
	uint32_t bucket;
	int r;

	r = make_room(files);
	if (r < 0)
		return r;
	file = calloc(1, sizeof(*file));
	if (!file)
		return -ENOMEM;
	file->number = ++files->last_number;
	file->key = *key;
	file->fd = -EBADF;
	snprintf(file->path, sizeof(file->path), "%s", path);

	bucket = bucket_of(files, key->ino);
	file->next_by_inode = files->by_inode[bucket];
	files->by_inode[bucket] = file;
	bucket = bucket_of(files, file->number);
	file->next_by_number = files->by_number[bucket];
	files->by_number[bucket] = file;
	append_age(files, file);
	files->count++;
	*ret_file = file;
	return 0;
}

int files_meet(struct files *files, const struct file_key *key, const char *path,
	       struct file **ret_file, enum file_is *ret_is)
{
	struct file *file = files->by_inode[bucket_of(files, key->ino)];
	int r;

	while (file && !file_key_same(&file->key, key))
		file = file->next_by_inode;
	if (file) {
		*ret_is = same_content(&file->key, key) ? FILE_IS_KNOWN : FILE_IS_CHANGED;
		if (*ret_is == FILE_IS_CHANGED)
			file->key = *key;
		unlink_age(files, file);
		append_age(files, file);
		*ret_file = file;
		return 0;
	}
	r = enter(files, key, path, ret_file);
	if (r < 0)
		return r;
	*ret_is = FILE_IS_NEW;
	return 0;
}

struct file *files_get(struct files *files, uint64_t number)
{
	struct file *file = files->by_number[bucket_of(files, number)];

	while (file && file->number != number)
		file = file->next_by_number;
	return file;
}

struct file *files_next(const struct files *files, const struct file *file)
{
	return file ? file->newer : files->oldest;
}

uint32_t files_count(const struct files *files, enum file_state state)
{
	uint32_t count = 0;

	for (struct file *file = files->oldest; file; file = file->newer)
		count += file->state == state;
	return count;
}

bool file_blame(struct file *file)
{
	if (++file->deaths < FILES_DEATHS_MAX)
		return false;
	file->state = FILE_SKIPPED;
	closep(&file->fd);
	file->fd = -EBADF;
	return true;
}
