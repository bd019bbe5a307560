/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings to bytes and back, from the monitor to the agent of the same binary: in the order of
 * config.def, each with its type, numbers as 8 bytes and texts with a length before them, in the
 * machine's own byte order. The agent checks all the same: its input is never trusted.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "config/settings.h"

#define PACK_MAGIC 0x314743544b544bull
#define SECRET_FILE_MAX 65536

struct reader {
	const char *p;
	size_t left;
	bool bad; /* sticks: past the end everything reads as 0 */
};

static void put(FILE *f, const void *bytes, size_t len)
{
	fwrite(bytes, 1, len, f);
}

static void put_u64(FILE *f, uint64_t value)
{
	put(f, &value, sizeof(value));
}

static void put_text(FILE *f, const char *text)
{
	put_u64(f, strlen(text));
	put(f, text, strlen(text));
}

/* A secret's file without the line end that editors leave; malloc'd. */
static int read_secret(const char *path, char **ret_text)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	_cleanup_free_ char *text = calloc(1, SECRET_FILE_MAX + 1);
	size_t len = 0;
	ssize_t n = 1;

	if (fd < 0)
		return -errno;
	if (!text)
		return -ENOMEM;
	while (n > 0 && len <= SECRET_FILE_MAX) {
		n = read(fd, text + len, SECRET_FILE_MAX + 1 - len);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n < 0)
			break;
		else
			len += n;
	}
	if (n < 0 || len > SECRET_FILE_MAX || memchr(text, '\0', len)) {
		int r = n < 0 ? -errno : len > SECRET_FILE_MAX ? -EFBIG : -EINVAL;

		explicit_bzero(text, SECRET_FILE_MAX + 1);
		return r;
	}
	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		text[--len] = '\0';
	*ret_text = TAKE_PTR(text);
	return 0;
}

static int put_map(FILE *f, const struct text_map *m, bool with_secrets)
{
	put_u64(f, m->count);
	for (size_t i = 0; i < m->count; i++) {
		_cleanup_free_ char *secret = NULL;
		int r;

		put_text(f, m->names[i]);
		if (!with_secrets || strncmp(m->values[i], "file:", 5) != 0) {
			put_text(f, m->values[i]);
			continue;
		}
		r = read_secret(m->values[i] + 5, &secret);
		if (r < 0)
			return r;
		put_text(f, secret);
		explicit_bzero(secret, strlen(secret));
	}
	return 0;
}

static int put_setting(FILE *f, const struct config *c, const struct setting *s)
{
	const void *member = setting_member_const(c, s);
	const struct text_list *list = member;

	put_u64(f, s->type);
	switch (s->type) {
	case SETTING_STR:
		put_text(f, *(char *const *)member);
		break;
	case SETTING_BOOL:
		put_u64(f, *(const bool *)member);
		break;
	case SETTING_U64:
		put_u64(f, *(const uint64_t *)member);
		break;
	case SETTING_ENUM:
		put_u64(f, *(const unsigned int *)member);
		break;
	case SETTING_LIST:
		put_u64(f, list->count);
		for (size_t i = 0; i < list->count; i++)
			put_text(f, list->items[i]);
		break;
	case SETTING_MAP:
		/* Nobody needs the broker's password while nothing is published. */
		return put_map(f, member, c->kafka);
	}
	return 0;
}

int config_pack(const struct config *c, void **ret_bytes, size_t *ret_len)
{
	_cleanup_free_ char *bytes = NULL;
	size_t len = 0;
	FILE *f;
	int r = 0;

	f = open_memstream(&bytes, &len);
	if (!f)
		return -ENOMEM;
	put_u64(f, PACK_MAGIC);
	put_u64(f, settings_count);
	for (size_t i = 0; i < settings_count && r == 0; i++)
		r = put_setting(f, c, &settings[i]);
	if (r == 0 && ferror(f))
		r = -ENOMEM;
	if (fclose(f) != 0 && r == 0)
		r = -ENOMEM;
	if (r < 0) {
		if (bytes)
			explicit_bzero(bytes, len);
		return r;
	}
	*ret_bytes = TAKE_PTR(bytes);
	*ret_len = len;
	return 0;
}

static uint64_t get_u64(struct reader *rd)
{
	uint64_t value;

	if (rd->bad || rd->left < sizeof(value)) {
		rd->bad = true;
		return 0;
	}
	memcpy(&value, rd->p, sizeof(value));
	rd->p += sizeof(value);
	rd->left -= sizeof(value);
	return value;
}

/* Malloc'd; NULL when the input is bad or memory is out. */
static char *get_text(struct reader *rd)
{
	uint64_t len = get_u64(rd);
	char *text;

	if (rd->bad || len > rd->left || memchr(rd->p, '\0', len)) {
		rd->bad = true;
		return NULL;
	}
	text = strndup(rd->p, len);
	rd->p += len;
	rd->left -= len;
	return text;
}

static int get_list(struct reader *rd, struct text_list *l)
{
	for (uint64_t n = get_u64(rd); n > 0 && !rd->bad; n--) {
		_cleanup_free_ char *text = get_text(rd);

		if (!rd->bad && (!text || list_add(l, text) < 0))
			return -ENOMEM;
	}
	return 0;
}

static int get_map(struct reader *rd, struct text_map *m)
{
	for (uint64_t n = get_u64(rd); n > 0 && !rd->bad; n--) {
		_cleanup_free_ char *name = get_text(rd), *value = get_text(rd);
		int r = 0;

		if (!rd->bad)
			r = name && value ? map_put(m, name, value) : -ENOMEM;
		if (value)
			explicit_bzero(value, strlen(value));
		if (r < 0)
			return r;
	}
	return 0;
}

static void get_number(struct reader *rd, const struct setting *s, void *member)
{
	uint64_t value = get_u64(rd);
	const char *start;

	switch (s->type) {
	case SETTING_BOOL:
		rd->bad |= value > 1;
		*(bool *)member = value == 1;
		break;
	case SETTING_ENUM:
		rd->bad |= value > 63 || choice_get(s->unit, value, &start) == 0;
		*(unsigned int *)member = value;
		break;
	default:
		rd->bad |= !setting_allows(s, value);
		*(uint64_t *)member = value;
		break;
	}
}

static int get_setting(struct reader *rd, struct config *c, const struct setting *s)
{
	void *member = setting_member(c, s);

	if (get_u64(rd) != s->type) {
		rd->bad = true;
		return 0;
	}
	if (s->type == SETTING_LIST)
		return get_list(rd, member);
	if (s->type == SETTING_MAP)
		return get_map(rd, member);
	if (s->type != SETTING_STR) {
		get_number(rd, s, member);
		return 0;
	}
	*(char **)member = get_text(rd);
	return *(char **)member || rd->bad ? 0 : -ENOMEM;
}

/* *c must be zeroed or have been through config_init(); what it owned is freed on success. */
int config_unpack(struct config *c, const void *bytes, size_t len)
{
	struct reader rd = {.p = bytes, .left = len};
	struct config fresh = {0};
	int r = 0;

	if (get_u64(&rd) != PACK_MAGIC || get_u64(&rd) != settings_count)
		rd.bad = true;
	for (size_t i = 0; i < settings_count && r == 0 && !rd.bad; i++)
		r = get_setting(&rd, &fresh, &settings[i]);
	if (r == 0 && (rd.bad || rd.left != 0))
		r = -EINVAL;
	if (r < 0) {
		config_done(&fresh);
		return r;
	}
	config_done(c);
	*c = fresh;
	return 0;
}
