/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/scan.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

struct seen {
	uint64_t ino;
	uint64_t dev;
	uint64_t file; /* what map() called it */
};

struct scan {
	struct scan_calls calls;
	DIR *proc;
	struct seen *seen; /* open addressing; ino 0 = free */
	size_t size, used;
	char *line;
	size_t line_size;
};

int scan_new(const struct scan_calls *calls, struct scan **ret_scan)
{
	struct scan *scan = calloc(1, sizeof(*scan));

	if (!scan)
		return -ENOMEM;
	scan->calls = *calls;
	scan->size = 1024;
	scan->seen = calloc(scan->size, sizeof(*scan->seen));
	scan->proc = scan->seen ? opendir("/proc") : NULL;
	if (!scan->proc) {
		int r = scan->seen ? -errno : -ENOMEM;

		scan_free(scan);
		return r;
	}
	*ret_scan = scan;
	return 0;
}

void scan_free(struct scan *scan)
{
	if (!scan)
		return;
	if (scan->proc)
		closedir(scan->proc);
	free(scan->seen);
	free(scan->line);
	free(scan);
}

static struct seen *slot(struct seen *seen, size_t size, const struct seen *key)
{
	size_t i = (key->ino * 0x9e3779b97f4a7c15ULL ^ key->dev * 0xff51afd7ed558ccdULL) >> 20;

	for (;; i++) {
		struct seen *s = &seen[i & (size - 1)];

		if (s->ino == 0 || (s->ino == key->ino && s->dev == key->dev))
			return s;
	}
}

static void grow(struct scan *scan)
{
	struct seen *bigger = calloc(scan->size * 2, sizeof(*bigger));

	if (!bigger)
		return;
	for (size_t i = 0; i < scan->size; i++)
		if (scan->seen[i].ino)
			*slot(bigger, scan->size * 2, &scan->seen[i]) = scan->seen[i];
	free(scan->seen);
	scan->seen = bigger;
	scan->size *= 2;
}

/* Tells of a file that is met for the first time; its number. Without memory a file may be told twice,
 * which costs time and nothing else. */
static uint64_t number_of(struct scan *scan, const struct scan_map *map)
{
	struct seen key = {map->ino, (uint64_t)map->major << 32 | map->minor, 0};
	struct seen *s;

	if (scan->used * 2 >= scan->size)
		grow(scan);
	s = slot(scan->seen, scan->size, &key);
	if (s->ino)
		return s->file;
	key.file = scan->calls.map(map, scan->calls.arg);
	if (scan->used + 1 < scan->size) {
		*s = key;
		scan->used++;
	}
	return key.file;
}

/* "55d0c0-55d0f0 r-xp 00002000 fd:01 131          /usr/bin/cat" */
int scan_parse_line(const char *line, struct scan_map *ret_map)
{
	struct scan_map map = {0};
	char perms[8];
	int at = 0;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64 " %x:%x %" SCNu64 " %n",
		   &map.start, &map.end, perms, &map.offset, &map.major, &map.minor, &map.ino,
		   &at) != 7 ||
	    at == 0)
		return -ENOENT;
	map.path = line + at;
	if (strlen(perms) < 3 || perms[2] != 'x' || map.ino == 0 || map.path[0] != '/')
		return -ENOENT;
	*ret_map = map;
	return 0;
}

static void scan_process(struct scan *scan, uint32_t pid)
{
	_cleanup_fclose_ FILE *f = NULL;
	struct scan_map map;
	char name[32];
	uint64_t file;
	ssize_t len;

	scan->calls.process(pid, scan->calls.arg);
	snprintf(name, sizeof(name), "/proc/%u/maps", pid);
	f = fopen(name, "re");
	if (!f)
		return; /* gone */
	while ((len = getline(&scan->line, &scan->line_size, f)) > 0) {
		scan->line[len - 1] = '\0';
		if (scan_parse_line(scan->line, &map) < 0)
			continue;
		map.pid = pid;
		file = number_of(scan, &map);
		if (file)
			scan->calls.uses(pid, file, scan->calls.arg);
	}
}

int scan_step(struct scan *scan)
{
	struct dirent *d;
	char *end;
	unsigned long pid;

	for (;;) {
		errno = 0;
		d = readdir(scan->proc);
		if (!d)
			return -errno;
		pid = strtoul(d->d_name, &end, 10);
		if (*end == '\0' && pid > 0 && pid <= UINT32_MAX)
			break;
	}
	scan_process(scan, (uint32_t)pid);
	return 1;
}

/* ---- files known by name ---- */

static const char *const library_dirs[] = {
	"/lib",		  "/lib64",	      "/usr/lib",
	"/usr/lib64",	  "/lib/*-linux-*",   "/usr/lib/*-linux-*",
	"/usr/local/lib", "/usr/local/lib64", "/usr/local/lib/*-linux-*",
	"/opt/*/lib",
};
static const char *const libraries[] = {
#define TT_TLS(number, name, NAME, file) file ".so*", file "-*.so*", /* as in Python's wheels */
#define TT_TLS_INSIDE(number, name, NAME)
#include <tokentrail/tls.def>
#undef TT_TLS
};
static const char *const programs[] = {"node", "nginx", "openssl"};
static const char usual_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

static void find(const char *pattern, void (*found)(const char *path, void *arg), void *arg)
{
	glob_t g;

	if (glob(pattern, 0, NULL, &g) != 0)
		return; /* none, or a directory that can't be read */
	for (size_t i = 0; i < g.gl_pathc; i++)
		found(g.gl_pathv[i], arg);
	globfree(&g);
}

static void find_programs(const char *dirs, void (*found)(const char *path, void *arg), void *arg)
{
	char path[PATH_MAX];

	while (dirs && *dirs) {
		int len = (int)strcspn(dirs, ":");

		for (size_t i = 0; *dirs == '/' && i < sizeof(programs) / sizeof(programs[0]);
		     i++) {
			snprintf(path, sizeof(path), "%.*s/%s", len, dirs, programs[i]);
			if (access(path, X_OK) == 0)
				found(path, arg);
		}
		dirs += len;
		dirs += *dirs == ':';
	}
}

void scan_known_files(char *const patterns[], size_t count,
		      void (*found)(const char *path, void *arg), void *arg)
{
	char pattern[128];

	for (size_t i = 0; i < sizeof(library_dirs) / sizeof(library_dirs[0]); i++)
		for (size_t j = 0; j < sizeof(libraries) / sizeof(libraries[0]); j++) {
			snprintf(pattern, sizeof(pattern), "%s/%s", library_dirs[i], libraries[j]);
			find(pattern, found, arg);
		}
	find_programs(usual_path, found, arg);
	find_programs(getenv("PATH"), found, arg);
	for (size_t i = 0; i < count; i++)
		find(patterns[i], found, arg);
}
