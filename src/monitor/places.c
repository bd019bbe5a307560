/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/places.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/* What says most comes first; the container's id stands between the two. */
static const struct { const char *before, *after; } bundles[] = {
	{ "run/containerd/io.containerd.runtime.v2.task/k8s.io/", "/config.json" },
	{ "run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/", "/config.json" },
	{ "var/lib/docker/containers/", "/config.v2.json" },
	{ "run/containerd/io.containerd.runtime.v2.task/default/", "/config.json" },
	{ "run/containers/storage/overlay-containers/", "/userdata/config.json" },	/* CRI-O, Podman */
	{ "var/lib/containers/storage/overlay-containers/", "/userdata/config.json" },
	{ "run/crun/", "/config.json" },
	{ "run/runc/", "/state.json" },
};

int places_root(void)
{
	int fd = open("/proc/1/root", O_PATH | O_DIRECTORY | O_CLOEXEC);

	/* Where that one is out of reach, our own has to do. */
	if (fd < 0)
		fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Absolute links count from the node's root, not from ours. */
static int open_in(int root, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK),
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

static int open_file(int root, const char *path)
{
	struct stat st;
	int fd = open_in(root, path, O_RDONLY | O_NOFOLLOW);

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= PLACES_BUNDLE_MAX)
		return fd;
	close(fd);
	return -EINVAL;
}

static int open_bundle(int root, const char *container)
{
	char path[256];
	int fd;

	for (size_t i = 0; i < sizeof(bundles) / sizeof(bundles[0]); i++) {
		snprintf(path, sizeof(path), "%s%s%s", bundles[i].before, container, bundles[i].after);
		fd = open_file(root, path);
		if (fd >= 0)
			return fd;
	}
	return -EBADF;
}

static bool ends(const char *name, const char *end)
{
	size_t len = strlen(name), tail = strlen(end);

	return len > tail && strcmp(name + len - tail, end) == 0;
}

static inline void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

static DIR *open_dir(int root, const char *path)
{
	int fd = open_in(root, path, O_RDONLY | O_DIRECTORY);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d && fd >= 0)
		close(fd);
	return d;
}

/* The first entry that ends so; to "" when there is none. */
static void find_entry(int root, const char *path, const char *end, char to[static TT_IPC_NAME_LEN])
{
	_cleanup_(closedirp) DIR *d = open_dir(root, path);
	const struct dirent *e;

	to[0] = 0;
	for (int i = 0; d && i < PLACES_ENTRIES_MAX && (e = readdir(d)); i++)
		if (e->d_name[0] != '.' && ends(e->d_name, end)) {
			snprintf(to, TT_IPC_NAME_LEN, "%s", e->d_name);
			return;
		}
}

/* The token lies in the same directory, and is not opened. */
static void read_namespace(int root, const char *volumes, const char *volume, char *to, size_t size)
{
	_cleanup_close_ int fd = -EBADF;
	char path[TT_IPC_NAME_LEN + 256];
	ssize_t n;

	/* The kubelet's volumes have their files behind two links of their own. */
	snprintf(path, sizeof(path), "%s/%s/..data/namespace", volumes, volume);
	fd = open_file(root, path);
	if (fd < 0)
		return;
	n = read(fd, to, size - 1);
	to[n > 0 ? n : 0] = 0;
	to[strcspn(to, "\n")] = 0;
}

static void find_namespace(int root, const char *pod, char *to, size_t size)
{
	_cleanup_(closedirp) DIR *d = NULL;
	const struct dirent *e;
	char path[160];

	snprintf(path, sizeof(path), "var/lib/kubelet/pods/%s/volumes/kubernetes.io~projected", pod);
	d = open_dir(root, path);
	to[0] = 0;
	for (int i = 0; d && !to[0] && i < PLACES_ENTRIES_MAX && (e = readdir(d)); i++)
		if (e->d_name[0] != '.')
			read_namespace(root, path, e->d_name, to, size);
}

static bool is_pod_uid(const char *pod)
{
	return strspn(pod, "0123456789abcdef-") == strlen(pod);
}

int places_namespace(int root, const char *pod, char *to, size_t size)
{
	char end[TT_IPC_POD_LEN + 1], name[TT_IPC_NAME_LEN];
	size_t len;

	if (!pod[0] || strlen(pod) >= TT_IPC_POD_LEN || !is_pod_uid(pod))
		return -EINVAL;
	/* NAMESPACE_NAME_UID; a namespace's name has no '_' in it. */
	snprintf(end, sizeof(end), "_%s", pod);
	find_entry(root, "var/log/pods", end, name);
	len = strcspn(name, "_");
	if (len > 0 && name[len] && len < size) {
		memcpy(to, name, len);
		to[len] = '\0';
		return 0;
	}
	find_namespace(root, pod, to, size);
	return to[0] ? 0 : -ENOENT;
}

bool places_has_pods(int root)
{
	_cleanup_close_ int logs = open_in(root, "var/log/pods", O_RDONLY | O_DIRECTORY);
	_cleanup_close_ int pods = open_in(root, "var/lib/kubelet/pods", O_RDONLY | O_DIRECTORY);

	return logs >= 0 || pods >= 0;
}

/* Both become parts of paths. */
static bool is_question(const struct tt_ipc_look *look)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";

	return memchr(look->container, 0, sizeof(look->container)) &&
	       memchr(look->pod, 0, sizeof(look->pod)) && look->container[0] &&
	       look->container[0] != '.' &&
	       strspn(look->container, letters) == strlen(look->container) &&
	       is_pod_uid(look->pod);
}

int places_find(int root, const struct tt_ipc_look *look, struct tt_ipc_place *ret, int *ret_bundle)
{
	char end[TT_IPC_CONTAINER_LEN + 8];

	*ret_bundle = -EBADF;
	if (!is_question(look))
		return -EINVAL;
	*ret_bundle = open_bundle(root, look->container);
	if (!look->pod[0])
		return 0;
	snprintf(end, sizeof(end), "_%s", look->pod);
	find_entry(root, "var/log/pods", end, ret->pod_dir);
	snprintf(end, sizeof(end), "-%s.log", look->container);
	find_entry(root, "var/log/containers", end, ret->log_link);
	find_namespace(root, look->pod, ret->namespace, sizeof(ret->namespace));
	return 0;
}
