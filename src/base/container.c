/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks at the path's segments from the innermost outwards, because containers hold containers
 * (kind, Docker in Docker) and services (systemd as a container's init).
 *
 *   /docker/ID                                                    Docker, cgroupfs
 *   /system.slice/docker-ID.scope                                 Docker, systemd
 *   /kubepods/burstable/podUID/ID                                 Kubernetes, cgroupfs
 *   /kubepods.slice/kubepods-burstable.slice/
 *       kubepods-burstable-podUID.slice/cri-containerd-ID.scope   Kubernetes, systemd; also crio-ID
 *   /machine.slice/libpod-ID.scope/container                      Podman
 *   /ecs/TASK/ID, /ecs/TASK/HEX32-NUMBER                          ECS, Fargate
 *
 * Outside a pod an id is 64 hex digits. Below a pod anything that a container runtime lets its user
 * choose (containerd: 76 characters of [A-Za-z0-9_.-]; longer than 64 is not taken).
 */
#include "base/container.h"

#include <stddef.h>
#include <string.h>

#define HEX_ID 64

struct part {
	const char *p;
	size_t len;
};

static const char *const scope_prefixes[] = {
	"docker-", "cri-containerd-", "containerd-", "crio-", "libpod-", "nerdctl-",
};

/* conmon, the monitor of a container, has a cgroup beside it: crio-conmon-ID, libpod-conmon-ID. */
static const char *const monitor_prefixes[] = { "crio-conmon-", "libpod-conmon-" };

static bool starts(struct part s, const char *prefix)
{
	size_t len = strlen(prefix);

	return s.len >= len && memcmp(s.p, prefix, len) == 0;
}

static bool ends(struct part s, const char *suffix)
{
	size_t len = strlen(suffix);

	return s.len >= len && memcmp(s.p + s.len - len, suffix, len) == 0;
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_name(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	       c == '.' || c == '-';
}

static bool all(struct part s, bool (*is)(char))
{
	for (size_t i = 0; i < s.len; i++)
		if (!is(s.p[i]))
			return false;
	return s.len > 0;
}

static bool is_full_id(struct part s)
{
	return s.len == HEX_ID && all(s, is_hex);
}

/* Fargate: 32 hex digits, '-', a number. */
static bool is_fargate_id(struct part s)
{
	struct part hex = { s.p, 32 }, number = { s.p + 33, s.len - 33 };

	return s.len > 33 && s.len < CONTAINER_ID_LEN && s.p[32] == '-' && all(hex, is_hex) &&
	       all(number, is_digit);
}

/* podUID (cgroupfs) or [kubelet-]kubepods[-qos]-podUID.slice (systemd). */
static bool is_pod(struct part s, bool below_kubepods)
{
	if (ends(s, ".slice")) {
		for (size_t i = 0; i + 4 < s.len; i++)
			if (memcmp(s.p + i, "-pod", 4) == 0 && i >= 8 &&
			    memmem(s.p, i + 1, "kubepods", 8))
				return true;
		return false;
	}
	return below_kubepods && s.len > 3 && starts(s, "pod");
}

/* Takes the wrapping off: docker-ID.scope -> ID; ret_wrapped says whether there was one. */
static struct part unwrap(struct part s, bool *ret_wrapped)
{
	*ret_wrapped = false;
	if (ends(s, ".scope"))
		s.len -= strlen(".scope");
	for (size_t i = 0; i < sizeof(scope_prefixes) / sizeof(scope_prefixes[0]); i++)
		if (starts(s, scope_prefixes[i])) {
			size_t len = strlen(scope_prefixes[i]);

			*ret_wrapped = true;
			return (struct part){ s.p + len, s.len - len };
		}
	return s;
}

static bool is_monitor(struct part s)
{
	for (size_t i = 0; i < sizeof(monitor_prefixes) / sizeof(monitor_prefixes[0]); i++)
		if (starts(s, monitor_prefixes[i]))
			return true;
	return false;
}

/* The last segment of a path that ends before `end`; empty at the root. */
static struct part last_part(const char *path, const char *end)
{
	const char *p = end;

	while (p > path && p[-1] != '/')
		p--;
	return (struct part){ p, (size_t)(end - p) };
}

static const char *parent_end(const char *path, struct part s)
{
	return s.p > path ? s.p - 1 : path;
}

/* Is this the cgroup of a container, with this parent? */
static bool is_container(struct part s, struct part parent, bool below_kubepods,
			 struct part *ret_id)
{
	bool wrapped;
	struct part id = unwrap(s, &wrapped);

	*ret_id = id;
	if (is_monitor(s))
		return false;
	if (is_full_id(id) || is_fargate_id(id))
		return true;
	if (!is_pod(parent, below_kubepods) || id.len >= CONTAINER_ID_LEN || !all(id, is_name))
		return false;
	/* Under systemd only the scopes of a runtime; a name without one was cut or is a slice. */
	return ends(parent, ".slice") ? wrapped && ends(s, ".scope") : true;
}

bool container_of_cgroup(const char *path, char ret_id[static CONTAINER_ID_LEN])
{
	const char *end = path + strlen(path);

	ret_id[0] = 0;
	while (end > path) {
		struct part s = last_part(path, end), id;
		const char *up = parent_end(path, s);
		struct part parent = last_part(path, up);
		bool below = memmem(path, (size_t)(up - path), "kubepods", 8) != NULL;

		if (is_container(s, parent, below, &id)) {
			memcpy(ret_id, id.p, id.len);
			ret_id[id.len] = 0;
			return true;
		}
		end = up;
	}
	return false;
}

/* podUID, or kubepods-burstable-podUID.slice, where systemd's driver writes '_' for '-'. */
static bool uid_of(struct part s, bool below_kubepods, char ret_uid[static POD_UID_LEN])
{
	static const char before[] = "pod";
	const char *pod = s.p, *end = s.p + s.len;

	if (!is_pod(s, below_kubepods))
		return false;
	if (ends(s, ".slice")) {
		end -= strlen(".slice");
		while (end - pod > 4 && memcmp(pod, "-pod", 4))
			pod++;
		pod++;
	}
	pod += strlen(before);
	if (end - pod < 32 || end - pod >= POD_UID_LEN)
		return false;
	for (size_t i = 0; pod + i < end; i++) {
		char c = pod[i] == '_' ? '-' : pod[i];

		if (!is_hex(c) && c != '-')
			return false;
		ret_uid[i] = c;
		ret_uid[i + 1] = 0;
	}
	return true;
}

bool pod_of_cgroup(const char *path, char ret_uid[static POD_UID_LEN])
{
	const char *end = path + strlen(path);

	while (end > path) {
		struct part s = last_part(path, end);
		const char *up = parent_end(path, s);

		if (uid_of(s, memmem(path, (size_t)(up - path), "kubepods", 8) != NULL, ret_uid))
			return true;
		end = up;
	}
	ret_uid[0] = 0;
	return false;
}

bool unit_of_cgroup(const char *path, char *ret_unit, size_t size)
{
	const char *end = path + strlen(path);

	ret_unit[0] = 0;
	while (end > path) {
		struct part s = last_part(path, end);

		if (ends(s, ".service") || ends(s, ".scope")) {
			size_t len = s.len < size ? s.len : size - 1;

			memcpy(ret_unit, s.p, len);
			ret_unit[len] = 0;
			return true;
		}
		end = parent_end(path, s);
	}
	return false;
}
