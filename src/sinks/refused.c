/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file of refused records. Opened for each: it is rare, and nothing has to be kept in step.
 */
#include "sinks/refused.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/cleanup.h"

static void put_text(FILE *f, const char *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)p[i];

		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			fprintf(f, "\\u%04x", c);
		else
			fputc(c, f);
	}
}

static void put_hex(FILE *f, const uint8_t *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		fprintf(f, "%02x", p[i]);
}

static int make_line(const struct refused *r, char **ret_line, size_t *ret_len)
{
	time_t sec = (time_t)(r->time_ns / 1000000000);
	char when[32] = "";
	struct tm tm;
	FILE *f;

	f = open_memstream(ret_line, ret_len);
	if (!f)
		return -errno;
	if (gmtime_r(&sec, &tm))
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	fprintf(f, "{\"time\":\"%s\",\"topic\":\"", when);
	put_text(f, r->topic, strlen(r->topic));
	fputs("\",\"key\":\"", f);
	put_text(f, r->key, r->key_len);
	fputs("\",\"reason\":\"", f);
	put_text(f, r->reason, strlen(r->reason));
	fputs("\",\"payload\":\"", f);
	put_hex(f, r->payload, r->payload_len);
	fputs("\"}\n", f);
	return fclose(f) ? -errno : 0;
}

int refused_add(const char *dir, const struct refused *r, uint64_t max_bytes)
{
	_cleanup_close_ int at = -EBADF, fd = -EBADF;
	_cleanup_free_ char *line = NULL;
	struct stat st;
	size_t len;
	ssize_t n;
	int e;

	at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (at < 0)
		return -errno;
	e = make_line(r, &line, &len);
	if (e < 0)
		return e;
	if (fstatat(at, "refused", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    (uint64_t)st.st_size + len > max_bytes && renameat(at, "refused", at, "refused.1") < 0)
		return -errno;
	fd = openat(at, "refused", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	n = write(fd, line, len);
	if (n == (ssize_t)len)
		return 0;
	e = n < 0 ? -errno : -ENOSPC;
	/* Half a line would make the next one unreadable, too. */
	return ftruncate(fd, st.st_size) < 0 ? -errno : e;
}
