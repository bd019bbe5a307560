/* SPDX-License-Identifier: Apache-2.0 */
#include "enrich/workload.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/container.h"
#include "enrich/members.h"
#include "tokens/class.h"
#include "tokens/use.h"

#define FIRST_PERSON 1000	/* user ids of people; systemd's and Debian's border */
#define LAST_PERSON 60000	/* above are dynamic users, nobody, user namespaces */

/* ---- names ---- */

static bool is_name(const char *text, size_t size)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
	size_t len = strlen(text);

	return len > 0 && len < size && strspn(text, letters) == len;
}

/* The first source that names it is believed: the surest is asked first. */
static void learn(char *to, size_t size, const char *name)
{
	if (is_name(name, size) && !to[0])
		snprintf(to, size, "%s", name);
}

/* Free text: whoever writes labels may write anything, even a token. */
static bool may_be_told(const char *text, size_t size)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.@/ ";
	size_t len = strlen(text);
	const struct token_class *class;

	if (len == 0 || len >= size || len >= 64 || strspn(text, letters) != len)
		return false;
	class = class_get(class_of(text, len, NULL));
	return !class || strcmp(class->kind, "placeholder") == 0;
}

/* ---- the bundle ---- */

static bool ends(const char *text, const char *end)
{
	size_t len = strlen(text), tail = strlen(end);

	return len >= tail && !strcmp(text + len - tail, end);
}

/* Which names may an annotation or label be told under? */
static const struct {
	const char *key;
	size_t offset, size;
} plain_keys[] = {
#define KEY(key, member) { key, offsetof(struct workload, member), sizeof(((struct workload *)0)->member) }
	KEY("io.kubernetes.cri.sandbox-name", pod),
	KEY("io.kubernetes.pod.name", pod),
	KEY("io.kubernetes.cri.sandbox-namespace", namespace),
	KEY("io.kubernetes.pod.namespace", namespace),
	KEY("io.kubernetes.cri.container-name", container_name),
	KEY("io.kubernetes.container.name", container_name),
	KEY("nerdctl/name", container_name),
};

/* Labels that the controllers of Kubernetes set on their pods. */
static void learn_controller(struct workload *w, const char *key, const char *text)
{
	size_t pod = strlen(w->pod), hash = strlen(text);
	char kind[16] = "", name[sizeof(w->name)] = "";

	if (!strcmp(key, "batch.kubernetes.io/job-name") || !strcmp(key, "job-name")) {
		snprintf(kind, sizeof(kind), "Job");
		snprintf(name, sizeof(name), "%s", text);
	} else if (!strcmp(key, "pod-template-hash") && hash > 4 && pod > hash + 7 &&
		   !strncmp(w->pod + pod - 6 - hash, text, hash) && w->pod[pod - 7 - hash] == '-') {
		snprintf(kind, sizeof(kind), "Deployment");
		snprintf(name, sizeof(name), "%.*s", (int)(pod - 7 - hash), w->pod);
	} else if (!strcmp(key, "statefulset.kubernetes.io/pod-name") && !strcmp(text, w->pod) &&
		   strrchr(text, '-')) {
		snprintf(kind, sizeof(kind), "StatefulSet");
		snprintf(name, sizeof(name), "%.*s", (int)(strrchr(text, '-') - text), text);
	}
	if (!kind[0] || !is_name(name, sizeof(name)))
		return;
	memcpy(w->kind, kind, sizeof(kind));
	memcpy(w->name, name, sizeof(name));
	w->confidence = CONFIDENCE_HIGH;
	workload_prove(w, "label %.80s", key);
}

static void learn_team(struct workload *w, const char *key, const char *text)
{
	const char *last = strrchr(key, '/') ? strrchr(key, '/') + 1 : key;
	bool part_of = !strcmp(key, "app.kubernetes.io/part-of");

	if ((strcmp(last, "owner") && strcmp(last, "team") && !part_of) ||
	    !may_be_told(text, sizeof(w->team)) || !is_name(last, sizeof(w->team_key)))
		return;
	/* Who owns it says more than what it is a part of. */
	if (w->team[0] && (part_of || strcmp(w->team_key, "app.kubernetes.io/part-of")))
		return;
	if (!may_be_told(key, sizeof(w->team_key)))
		return;
	snprintf(w->team, sizeof(w->team), "%s", text);
	snprintf(w->team_key, sizeof(w->team_key), "%s", key);
}

static int want_any(void *arg, const char *const *path, size_t depth)
{
	return depth == 1 && path[0][0];
}

static void take_label(void *arg, const char *const *path, size_t depth, const char *text)
{
	learn_controller(arg, path[0], text);
	learn_team(arg, path[0], text);
}

static void learn_key(struct workload *w, const char *key, const char *text)
{
	static const struct members_ops labels = { want_any, take_label };

	for (size_t i = 0; i < sizeof(plain_keys) / sizeof(plain_keys[0]); i++)
		if (!strcmp(key, plain_keys[i].key))
			learn((char *)w + plain_keys[i].offset, plain_keys[i].size, text);
	/* CRI-O keeps a pod's labels and annotations as JSON in a text. */
	if (!strcmp(key, "io.kubernetes.cri-o.Labels") || !strcmp(key, "io.kubernetes.cri-o.Annotations"))
		members_read_text(text, strlen(text), &labels, w);
	else
		take_label(w, &key, 1, text);
}

/* config.json: annotations. Docker's config.v2.json: Name, Config.Labels. runc's state.json: config.labels,
 * a list of KEY=VALUE. */
static int want(void *arg, const char *const *path, size_t depth)
{
	if (depth == 2 && !strcmp(path[0], "annotations"))
		return 1;
	if (depth == 1 && !strcmp(path[0], "Name"))
		return 1;
	return depth == 3 && ((!strcmp(path[0], "Config") && !strcmp(path[1], "Labels")) ||
			      (!strcmp(path[0], "config") && !strcmp(path[1], "labels")));
}

static void take(void *arg, const char *const *path, size_t depth, const char *text)
{
	struct workload *w = arg;
	const char *equals = strchr(text, '=');
	char key[MEMBERS_NAME_MAX + 1];

	if (depth == 1)
		learn(w->container_name, sizeof(w->container_name), text + (text[0] == '/'));
	else if (path[depth - 1][0])
		learn_key(w, path[depth - 1], text);
	else if (equals && equals - text < (int)sizeof(key)) {
		snprintf(key, sizeof(key), "%.*s", (int)(equals - text), text);
		learn_key(w, key, equals + 1);
	}
}

void workload_read_bundle(struct workload *w, int fd)
{
	static const struct members_ops ops = { want, take };

	/* Twice: a label's meaning may hang on the pod's name, which may come after it. */
	for (int i = 0; i < 2; i++) {
		w->evidence[0] = 0;
		members_read(fd, &ops, w);
	}
	if (w->pod[0])
		workload_prove(w, "the container's bundle names pod and namespace");
}

/* ---- Kubernetes ---- */

/* NAMESPACE_NAME_UID; neither of the first two can have a '_'. */
static void learn_pod_dir(struct workload *w, const char *dir)
{
	const char *first = strchr(dir, '_'), *second = first ? strchr(first + 1, '_') : NULL;
	char namespace[sizeof(w->namespace)], pod[sizeof(w->pod)];

	if (!second || (size_t)(first - dir) >= sizeof(namespace) ||
	    (size_t)(second - first) > sizeof(pod))
		return;
	snprintf(namespace, sizeof(namespace), "%.*s", (int)(first - dir), dir);
	snprintf(pod, sizeof(pod), "%.*s", (int)(second - first - 1), first + 1);
	if ((w->pod[0] && strcmp(w->pod, pod)) || (w->namespace[0] && strcmp(w->namespace, namespace))) {
		workload_prove(w, "but: the kubelet's log directory is another pod's");
		w->pod[0] = w->namespace[0] = w->kind[0] = 0;
		return;
	}
	learn(w->pod, sizeof(w->pod), pod);
	learn(w->namespace, sizeof(w->namespace), namespace);
	workload_prove(w, "the kubelet's log directory names pod and namespace");
}

/* POD_NAMESPACE_CONTAINER-ID.log */
static void learn_log_link(struct workload *w, const char *link)
{
	const char *first = strchr(link, '_'), *second = first ? strchr(first + 1, '_') : NULL;
	const char *dash = strrchr(link, '-');
	char container[sizeof(w->container_name)], pod[sizeof(w->pod)], namespace[sizeof(w->namespace)];

	if (!second || !dash || dash < second || (size_t)(first - link) >= sizeof(pod) ||
	    (size_t)(second - first) > sizeof(namespace) || (size_t)(dash - second) > sizeof(container))
		return;
	snprintf(pod, sizeof(pod), "%.*s", (int)(first - link), link);
	snprintf(namespace, sizeof(namespace), "%.*s", (int)(second - first - 1), first + 1);
	snprintf(container, sizeof(container), "%.*s", (int)(dash - second - 1), second + 1);
	if ((w->pod[0] && strcmp(w->pod, pod)) || (w->namespace[0] && strcmp(w->namespace, namespace)))
		return;		/* a bundle or a directory is the better source */
	learn(w->pod, sizeof(w->pod), pod);
	learn(w->namespace, sizeof(w->namespace), namespace);
	learn(w->container_name, sizeof(w->container_name), container);
	workload_prove(w, "the link to its log names container, pod and namespace");
}

/* What Kubernetes makes random parts of names of (apimachinery, util/rand). */
static bool is_random(const char *text, size_t len)
{
	return strspn(text, "bcdfghjklmnpqrstvwxz2456789") >= len;
}

/* NAME-HASH-RANDOM: a Deployment's; NAME-NUMBER: a StatefulSet's; NAME-RANDOM may be of several kinds. */
static void guess_controller(struct workload *w)
{
	size_t len = strlen(w->pod), hash;
	const char *last = strrchr(w->pod, '-'), *before = last;

	if (!last || last == w->pod || !last[1])
		return;
	if (strspn(last + 1, "0123456789") == strlen(last + 1) && strlen(last + 1) < 4) {
		snprintf(w->kind, sizeof(w->kind), "StatefulSet");
		snprintf(w->name, sizeof(w->name), "%.*s", (int)(last - w->pod), w->pod);
	} else if (w->pod + len - last == 6 && is_random(last + 1, 5)) {
		while (before > w->pod && before[-1] != '-')
			before--;
		hash = (size_t)(last - before);
		if (before - w->pod < 2 || hash < 8 || hash > 10 || !is_random(before, hash))
			return;
		snprintf(w->kind, sizeof(w->kind), "Deployment");
		snprintf(w->name, sizeof(w->name), "%.*s", (int)(before - 1 - w->pod), w->pod);
	} else {
		return;
	}
	w->confidence = CONFIDENCE_LOW;
	workload_prove(w, "the shape of the pod's name");
}

void workload_set_container(struct workload *w, const char *container_id, const char *pod,
			    const struct tt_ipc_place *place)
{
	snprintf(w->container_id, sizeof(w->container_id), "%s", container_id);
	/* Whoever starts a container writes its labels; pods are made by the kubelet. */
	if (!pod[0])
		w->pod[0] = w->namespace[0] = w->kind[0] = w->name[0] = w->evidence[0] = 0;
	if (place && pod[0]) {
		learn_pod_dir(w, place->pod_dir);
		learn_log_link(w, place->log_link);
		if (is_name(place->namespace, sizeof(w->namespace)) && !w->namespace[0]) {
			learn(w->namespace, sizeof(w->namespace), place->namespace);
			workload_prove(w, "the service account's volume names the namespace");
		}
	}
	if (w->pod[0] && !w->kind[0])
		guess_controller(w);
	if (w->kind[0])
		return;
	w->confidence = CONFIDENCE_HIGH;
	if (w->pod[0]) {
		snprintf(w->kind, sizeof(w->kind), "Pod");
		snprintf(w->name, sizeof(w->name), "%s", w->pod);
		return;
	}
	snprintf(w->kind, sizeof(w->kind), "container");
	snprintf(w->name, sizeof(w->name), "%s", w->container_name[0] ? w->container_name : container_id);
	workload_prove(w, pod[0] ? "cgroup of a pod that has no name here" : "cgroup of a container");
}

/* ---- no container ---- */

static bool is_session(const char *unit)
{
	return !strncmp(unit, "session-", 8) && ends(unit, ".scope");
}

void workload_set_process(struct workload *w, const char *cgroup, const char *executable, int64_t user,
			  bool terminal)
{
	char raw[sizeof(w->unit)], unit[sizeof(w->unit)] = "";
	bool person = user >= FIRST_PERSON && user <= LAST_PERSON;
	bool session;

	if (unit_of_cgroup(cgroup, raw, sizeof(raw)))
		use_set_text(unit, sizeof(unit), raw, strlen(raw));
	session = is_session(unit);
	w->user = user;
	use_set_text(w->executable, sizeof(w->executable), executable, strlen(executable));
	if (person && (session || terminal)) {
		snprintf(w->kind, sizeof(w->kind), "human");
		snprintf(w->name, sizeof(w->name), "user %lld", (long long)user);
		w->confidence = session ? CONFIDENCE_MEDIUM : CONFIDENCE_LOW;
		workload_prove(w, "user id of a person");
		if (session)
			workload_prove(w, "login session %s", unit);
		if (terminal)
			workload_prove(w, "controlling terminal");
		w->executable[0] = 0;	/* a person runs many */
	} else if (unit[0] && !session && strncmp(unit, "user@", 5)) {
		snprintf(w->kind, sizeof(w->kind), "unit");
		snprintf(w->name, sizeof(w->name), "%s", unit);
		snprintf(w->unit, sizeof(w->unit), "%s", unit);
		w->confidence = CONFIDENCE_HIGH;
		w->user = -1;
		w->executable[0] = 0;
		workload_prove(w, "cgroup of the unit %s", unit);
	} else if (executable[0]) {
		snprintf(w->kind, sizeof(w->kind), "executable");
		snprintf(w->name, sizeof(w->name), "%s", w->executable);
		w->confidence = CONFIDENCE_LOW;
		workload_prove(w, "executable, user id %lld", (long long)user);
	}
}
