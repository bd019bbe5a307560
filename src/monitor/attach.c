/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Return probes go in first and come out last: a call whose entry was seen and whose return was not
 * would stay open in the kernel's table of calls.
 *
 * To take a probe out the kernel waits until nobody can be in it any more, some 40 ms, and it does so
 * for each link by itself: they are closed by many threads at once.
 */
#include "monitor/attach.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monitor/kernel.h"

struct link {
	bool on_return;
	int fd;		       /* uprobe_multi */
	struct bpf_link *perf; /* else */
};

struct hook {
	struct attach_function function;
	uint64_t offset;	/* where its probe goes, and as what */
	enum tt_hook hook;
	bool ok;		/* what was set so far is in place */
	bool shared;		/* another one's probe is there */
	bool settled;		/* its turn is over */
};

struct attach {
	struct hook hooks[ATTACH_HOOKS_MAX];
	uint32_t hook_count;
	struct link links[6 * ATTACH_HOOKS_MAX];	/* entry and return, and both twice more */
	uint32_t link_count;
};

#define ON_RETURN TT_HOOK_MAX /* all hooks that have a return probe */

/* A return probe breaks a Go program: its runtime moves stacks, and meets an address it does not know. */
#define TT_HOOK_CALL(number, hook, library, direction, result)                                     \
	_Static_assert(TT_TLS_##library != TT_TLS_GO, "no return probe in Go code");
#include <tokentrail/hooks.def>

static const bool has_return[TT_HOOK_MAX] = {
#define TT_HOOK_CALL(number, hook, library, direction, result) [number] = true,
#include <tokentrail/hooks.def>
};

static const bool is_hook[TT_HOOK_MAX] = {
#define TT_HOOK_CALL(number, hook, library, direction, result) [number] = true,
#define TT_HOOK_END(number, hook, library) [number] = true,
#define TT_HOOK_PLAIN(number, hook, library) [number] = true,
#include <tokentrail/hooks.def>
};

int attach_new(struct attach **ret_attach)
{
	*ret_attach = calloc(1, sizeof(**ret_attach));
	return *ret_attach ? 0 : -ENOMEM;
}

#define CLOSERS_MAX 32

struct closing {
	struct attach *const *attaches;
	size_t count;
	bool on_return;
	atomic_uint next; /* of their links, all counted through */
};

static struct link *next_link(struct closing *c)
{
	for (;;) {
		unsigned int at = atomic_fetch_add(&c->next, 1);
		size_t i = 0;

		while (i < c->count && (!c->attaches[i] || at >= c->attaches[i]->link_count))
			at -= c->attaches[i] ? c->attaches[i]->link_count : 0, i++;
		if (i == c->count)
			return NULL;
		if (c->attaches[i]->links[at].on_return == c->on_return)
			return &c->attaches[i]->links[at];
	}
}

static void *close_links(void *arg)
{
	struct link *link;

	while ((link = next_link(arg))) {
		if (link->perf)
			bpf_link__destroy(link->perf);
		else
			close(link->fd);
	}
	return NULL;
}

static void close_all(struct closing *c, size_t links)
{
	pthread_t threads[CLOSERS_MAX];
	size_t count = 0;

	/* Where no thread is to be had, this one does it all. */
	while (count < CLOSERS_MAX && count + 1 < links &&
	       pthread_create(&threads[count], NULL, close_links, c) == 0)
		count++;
	close_links(c);
	while (count)
		pthread_join(threads[--count], NULL);
}

void attach_free_many(struct attach *const *attaches, size_t count)
{
	struct closing entries = {.attaches = attaches, .count = count};
	struct closing returns = {.attaches = attaches, .count = count, .on_return = true};
	size_t links = 0;

	for (size_t i = 0; i < count; i++)
		links += attaches[i] ? attaches[i]->link_count : 0;
	close_all(&entries, links);
	close_all(&returns, links);
	for (size_t i = 0; i < count; i++)
		free(attaches[i]);
}

void attach_free(struct attach *attach)
{
	attach_free_many(&attach, 1);
}

int attach_add(struct attach *attach, const struct attach_function *function)
{
	const struct attach_function *f = function;

	if (f->hook >= TT_HOOK_MAX || !is_hook[f->hook])
		return -EBADMSG;
	if (f->placed && (f->placed_as >= TT_HOOK_MAX || !is_hook[f->placed_as]))
		return -EBADMSG;
	if (f->spare && (f->spare_as >= TT_HOOK_MAX || !is_hook[f->spare_as]))
		return -EBADMSG;
	/* Aliases of one function must not count a call twice. */
	for (uint32_t i = 0; i < attach->hook_count; i++)
		if (attach->hooks[i].function.offset == f->offset)
			return 0;
	if (attach->hook_count == ATTACH_HOOKS_MAX)
		return -E2BIG;
	attach->hooks[attach->hook_count++] = (struct hook){.function = *f,
							    .offset = f->placed ?: f->offset,
							    .hook = f->placed ? f->placed_as : f->hook,
							    .ok = true};
	return 0;
}

void attach_sites(const struct attach *attach, int fd, struct attach_sites *ret_sites)
{
	ret_sites->count = ret_sites->refused = 0;
	for (uint32_t i = 0; i < attach->hook_count; i++) {
		struct readback_site site = {.offset = attach->hooks[i].offset};

		if (!attach->hooks[i].ok)
			ret_sites->refused_hook[ret_sites->refused++] = attach->hooks[i].function.hook;
		if (!attach->hooks[i].ok || pread(fd, &site.byte, 1, (off_t)site.offset) != 1)
			continue;
		ret_sites->hook[ret_sites->count] = attach->hooks[i].function.hook;
		ret_sites->site[ret_sites->count++] = site;
	}
}

bool attach_has(const struct attach *attach, uint64_t offset)
{
	for (uint32_t i = 0; attach && i < attach->hook_count; i++)
		if (attach->hooks[i].offset == offset)
			return attach->hooks[i].ok;
	return false;
}

static int link_perf(struct bpf_program *program, bool on_return, int fd, uint64_t offset, uint64_t cookie,
		     struct link *ret_link)
{
	LIBBPF_OPTS(bpf_uprobe_opts, opts, .retprobe = on_return, .bpf_cookie = cookie);
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ret_link->perf = bpf_program__attach_uprobe_opts(program, -1, path, offset, &opts);
	return ret_link->perf ? 0 : -errno;
}

struct placing {
	struct attach *attach;
	struct bpf_sensor *sensor;
	int fd;
};

/* One link for all offsets; where that is not to be had, `count` has to be 1. */
static int set_link(struct placing *p, enum tt_hook group, const uint64_t *offsets, const uint64_t *cookies,
		    uint32_t count)
{
	bool on_return = group == ON_RETURN;
	struct bpf_program *program = on_return ? bpf_sensor_return(p->sensor)
						: bpf_sensor_entry(p->sensor, group);
	struct link link = {.fd = -EBADF, .on_return = on_return};
	int r = 0;

	if (!program)
		return -ENOENT; /* a number that no hook has */
	if (bpf_sensor_has_multi(p->sensor)) {
		link.fd = kernel_uprobe_multi(bpf_program__fd(program), p->fd, offsets, cookies, count,
					      on_return);
		r = link.fd < 0 ? link.fd : 0;
	} else {
		r = link_perf(program, on_return, p->fd, offsets[0], cookies[0], &link);
	}
	if (r == 0)
		p->attach->links[p->attach->link_count++] = link;
	return r;
}

static bool in_group(const struct hook *hook, enum tt_hook group)
{
	if (!hook->ok || hook->shared || hook->settled)
		return false;
	return group == ON_RETURN ? has_return[hook->hook] : hook->hook == group;
}

static bool is_first_choice(const struct hook *hook)
{
	return hook->function.placed && hook->offset == hook->function.placed;
}

static bool is_placed(const struct hook *hook)
{
	return is_first_choice(hook) || (hook->function.spare && hook->offset == hook->function.spare);
}

/* What one program serves. Returns how many probes are in place now. */
static uint32_t place_group(struct placing *p, enum tt_hook group)
{
	uint64_t offsets[ATTACH_HOOKS_MAX], cookies[ATTACH_HOOKS_MAX];
	struct hook *hooks[ATTACH_HOOKS_MAX];
	uint32_t count = 0, placed = 0;

	for (uint32_t i = 0; i < p->attach->hook_count; i++) {
		if (!in_group(&p->attach->hooks[i], group))
			continue;
		hooks[count] = &p->attach->hooks[i];
		cookies[count] = is_first_choice(hooks[count]) ? hooks[count]->function.cookie : 0;
		offsets[count++] = p->attach->hooks[i].offset;
	}
	if (count > 1 && bpf_sensor_has_multi(p->sensor) &&
	    set_link(p, group, offsets, cookies, count) == 0)
		return count;
	/* One by one: a single bad offset makes the kernel refuse them all. */
	for (uint32_t i = 0; i < count; i++) {
		hooks[i]->ok = set_link(p, group, &offsets[i], &cookies[i], 1) == 0;
		placed += hooks[i]->ok;
	}
	return placed;
}

/* Where returns are probed like entries, it is before those: a call whose end may not be seen is not to
 * be noted. */
static enum tt_hook return_of(enum tt_hook hook)
{
	switch (hook) {
	case TT_HOOK_go_write:
	case TT_HOOK_go_read:
		return TT_HOOK_go_return;
	case TT_HOOK_rustls_decrypt:
		return TT_HOOK_rustls_return;
	default:
		return 0;
	}
}
_Static_assert(TT_HOOK_go_return < TT_HOOK_go_write && TT_HOOK_go_return < TT_HOOK_go_read &&
	       TT_HOOK_rustls_return < TT_HOOK_rustls_decrypt,
	       "hooks are set in the order of their numbers");

static void without_returns(struct attach *attach, enum tt_hook returns)
{
	bool refused = false;

	for (uint32_t i = 0; i < attach->hook_count; i++)
		refused |= attach->hooks[i].hook == returns && !attach->hooks[i].ok;
	for (uint32_t i = 0; i < attach->hook_count; i++)
		if (return_of(attach->hooks[i].hook) == returns)
			attach->hooks[i].ok &= !refused;
}

/* Several functions may lead to one place: the first has its probe, the others share it. */
static struct hook *first_at(struct attach *attach, const struct hook *hook)
{
	struct hook *first = attach->hooks;

	while (first->offset != hook->offset || first->settled != hook->settled)
		first++;
	return first;
}

static uint32_t place_all(struct placing *p)
{
	struct attach *attach = p->attach;
	uint32_t probes;

	for (uint32_t i = 0; i < attach->hook_count; i++)
		attach->hooks[i].shared = first_at(attach, &attach->hooks[i]) != &attach->hooks[i];
	probes = place_group(p, ON_RETURN);
	for (enum tt_hook hook = 1; hook < TT_HOOK_MAX; hook++) {
		probes += place_group(p, hook);
		if (hook == TT_HOOK_go_return || hook == TT_HOOK_rustls_return)
			without_returns(attach, hook);
	}
	for (uint32_t i = 0; i < attach->hook_count; i++)
		if (attach->hooks[i].shared)
			attach->hooks[i].ok = first_at(attach, &attach->hooks[i])->ok;
	return probes;
}

/* Those that were refused at the cheaper place begin anew at the spare one or at their functions' beginnings. */
static bool take_back(struct attach *attach)
{
	bool any = false;

	for (uint32_t i = 0; i < attach->hook_count; i++) {
		struct hook *hook = &attach->hooks[i];

		hook->settled = hook->ok || !is_placed(hook) || hook->offset == hook->function.offset;
		if (hook->settled)
			continue;
		if (is_first_choice(hook) && hook->function.spare && hook->function.spare != hook->offset) {
			hook->offset = hook->function.spare;
			hook->hook = hook->function.spare_as;
		} else {
			hook->offset = hook->function.offset;
			hook->hook = hook->function.hook;
		}
		hook->ok = true;
		any = true;
	}
	return any;
}

int attach_place(struct attach *attach, struct bpf_sensor *sensor, int fd, uint64_t file_size,
		 struct attach_count *ret_count)
{
	struct placing p = {.attach = attach, .sensor = sensor, .fd = fd};
	struct attach_count count = {0};

	for (uint32_t i = 0; i < attach->hook_count; i++)
		if (attach->hooks[i].function.offset >= file_size || attach->hooks[i].offset >= file_size)
			return -ERANGE;
	count.probes = place_all(&p);
	while (take_back(attach))
		count.probes += place_all(&p);
	for (uint32_t i = 0; i < attach->hook_count; i++) {
		const struct hook *hook = &attach->hooks[i];

		*(hook->ok ? &count.hooks : &count.failed) += 1;
		count.placed += hook->ok && is_placed(hook);
	}
	*ret_count = count;
	return 0;
}
