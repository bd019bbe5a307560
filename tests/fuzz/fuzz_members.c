/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer target for enrich/members.c. Its oracle is itself: a file gives what a text gives, and nothing
 * is handed out that was not asked for or has a length that it may not have.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../src/enrich/members.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sum {
	uint64_t hash;
	size_t texts;
};

static int want(void *arg, const char *const *path, size_t depth)
{
	return depth == 2 || (depth && path[0][0] == 'w');
}

static void take_text(void *arg, const char *const *path, size_t depth, const char *text)
{
	struct sum *s = arg;

	if (!want(arg, path, depth) || strlen(text) > MEMBERS_TEXT_MAX)
		abort();
	for (size_t i = 0; i < depth; i++)
		if (strlen(path[i]) > MEMBERS_NAME_MAX)
			abort();
	for (; *text; text++)
		s->hash = s->hash * 31 + (uint8_t)*text;
	s->texts++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct members_ops ops = { want, take_text };
	static int fd = -1;
	struct sum a = { 0 }, b = { 0 };
	char *copy = malloc(size ? size : 1);
	int r;

	if (fd < 0)
		fd = memfd_create("members", MFD_CLOEXEC);
	if (!copy || fd < 0 || ftruncate(fd, 0) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
	memcpy(copy, data, size);
	r = members_read_text(copy, size, &ops, &a);
	if (r != members_read(fd, &ops, &b) || a.hash != b.hash || a.texts != b.texts)
		abort();
	free(copy);
	return 0;
}
