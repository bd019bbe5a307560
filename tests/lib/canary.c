/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks for pieces of secrets in files and in the memory of processes.
 *
 *   canary NEEDLES TARGET...     TARGET: a file, or mem:PID for every readable mapping of a process
 *
 * NEEDLES has one needle a line in hex, 8 bytes or more. Says what was searched and every find;
 * exit status 0: nothing found, 1: found, 2: a target could not be searched.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define SLOTS (1u << 20)
#define NEEDLE_MAX 64
#define BLOCK (1u << 20)

struct needle {
	uint8_t bytes[NEEDLE_MAX];
	size_t len;
	struct needle *next;
};

static struct needle *table[SLOTS];
static unsigned long found, searched, unreadable;

static uint32_t slot_of(const uint8_t *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return (uint32_t)((w * 0x9e3779b97f4a7c15ull) >> 44);
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int load(const char *path)
{
	FILE *f = fopen(path, "r");
	char line[4 * NEEDLE_MAX];

	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		struct needle *n = calloc(1, sizeof(*n));
		uint32_t slot;

		if (!n)
			return -ENOMEM;
		for (; n->len < NEEDLE_MAX && hex(line[2 * n->len]) >= 0; n->len++)
			n->bytes[n->len] = hex(line[2 * n->len]) << 4 | hex(line[2 * n->len + 1]);
		if (n->len < 8)
			return -EINVAL;
		slot = slot_of(n->bytes);
		n->next = table[slot];
		table[slot] = n;
	}
	fclose(f);
	return 0;
}

/* In hex: the Huffman code of a text is none. */
static void report(const char *target, uint64_t at, const struct needle *n)
{
	printf("found: %s at %#llx: ", target, (unsigned long long)at);
	for (size_t i = 0; i < n->len; i++)
		printf("%02x", n->bytes[i]);
	printf("\n");
}

/* Looks at each place in buf; `from` is where buf lies in the target, for the message. */
static void look(const char *target, uint64_t from, const uint8_t *buf, size_t len)
{
	for (size_t i = 0; i + 8 <= len; i++) {
		for (struct needle *n = table[slot_of(buf + i)]; n; n = n->next) {
			if (i + n->len > len || memcmp(buf + i, n->bytes, n->len) != 0)
				continue;
			if (found++ < 20)
				report(target, from + i, n);
			break;
		}
	}
}

/* Reads [at, end) in blocks that overlap by the longest needle. Returns false if nothing could be. */
static bool search(const char *target, int fd, uint64_t at, uint64_t end)
{
	static uint8_t buf[BLOCK];
	bool some = false;

	while (at < end) {
		size_t want = end - at < BLOCK ? end - at : BLOCK;
		ssize_t n = pread(fd, buf, want, (off_t)at);

		if (n <= 0)
			return some || (n == 0);
		some = true;
		searched += n;
		look(target, at, buf, n);
		if ((size_t)n < want || want < BLOCK)
			at += n;
		else
			at += n - NEEDLE_MAX;
	}
	return true;
}

static int search_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || !search(path, fd, 0, UINT64_MAX >> 1)) {
		fprintf(stderr, "canary: %s: %s\n", path, strerror(errno));
		return -errno;
	}
	close(fd);
	return 0;
}

static int search_memory(const char *target, const char *pid)
{
	char path[64], line[4400], perms[8];
	unsigned long long from, to;
	FILE *maps;
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/mem", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%s/maps", pid);
	maps = fopen(path, "r");
	if (fd < 0 || !maps) {
		fprintf(stderr, "canary: %s: %s\n", target, strerror(errno));
		return -EIO;
	}
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%llx-%llx %7s", &from, &to, perms) != 3 || perms[0] != 'r')
			continue;
		/* Not readable this way: the kernel's own pages in every process, and the kernel's
		 * queue of process events (fork, exec, mmap), which no program of ours writes. */
		if (strstr(line, "[vvar") || strstr(line, "[vsyscall]") || strstr(line, "[perf_event]"))
			continue;
		if (!search(target, fd, from, to)) {
			unreadable++;
			fprintf(stderr, "canary: not readable: %s", line);
		}
	}
	fclose(maps);
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	int bad = 0;

	if (argc < 3 || load(argv[1]) < 0) {
		fputs("usage: canary NEEDLES TARGET...\n", stderr);
		return 2;
	}
	for (int i = 2; i < argc; i++) {
		unsigned long before = searched;

		if (strncmp(argv[i], "mem:", 4) == 0)
			bad |= search_memory(argv[i], argv[i] + 4) < 0;
		else
			bad |= search_file(argv[i]) < 0;
		printf("searched: %s: %lu bytes\n", argv[i], searched - before);
	}
	if (found)
		return 1;
	return bad || unreadable ? 2 : 0;
}
