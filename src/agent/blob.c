/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memfd that the agent starts from: a header, struct agent_params, the packed settings. It is
 * sealed against writing, so that what was checked is what is used; it goes away with the last
 * descriptor. Copies in memory are wiped: they hold the publish key and, for Kafka, passwords.
 */
#include "agent/blob.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/write.h"
#include "tokens/class.h"
#include "tokens/mint_rules.h"

#define BLOB_MAGIC 0x31424c4254544b54ULL
#define BLOB_MAX_BYTES (16U << 20)
#define BLOB_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

struct blob_hdr {
	uint64_t magic;
	uint32_t params_len;
	uint32_t config_len, own_len;
	struct agent_params params;
};

static int params_check(const struct agent_params *p)
{
	if (p->uid == 0 || p->gid == 0 || p->uid == UINT32_MAX || p->gid == UINT32_MAX)
		return -EINVAL;
	if (!p->node[0] || !memchr(p->node, 0, sizeof(p->node)))
		return -EINVAL;
	if (!memchr(p->key_id, 0, sizeof(p->key_id)))
		return -EINVAL;
	return 0;
}

/* ---- what configurations have added, a line each ---- */

static int own_pack(char **ret_text, size_t *ret_len)
{
	const char *name, *spec, *path;
	const struct carrier *c;
	FILE *f;
	int r;

	f = open_memstream(ret_text, ret_len);
	if (!f)
		return -ENOMEM;
	for (size_t i = 0; class_own(i, &name, &spec); i++)
		fprintf(f, "class %s %s\n", name, spec);
	for (size_t i = 0; (c = carrier_own(i)); i++)
		fprintf(f, "%s %s\n", c->space == TT_NAME_HEADER ? "header" : "param", c->name);
	for (size_t i = 0; (path = mint_rule_own(i)); i++)
		fprintf(f, "endpoint %s\n", path);
	r = ferror(f) ? -ENOMEM : 0;
	if (fclose(f) != 0)
		r = -ENOMEM;
	if (r < 0) {
		free(*ret_text);
		*ret_text = NULL;
	}
	return r;
}

/* Which of them are in force does not matter here: only the kernel compares with them. */
static int own_learn(char *line)
{
	char *name = strchr(line, ' '), *spec;

	if (!name)
		return -EBADMSG;
	*name++ = '\0';
	class_begin();
	mint_rules_begin();
	if (strcmp(line, "header") == 0)
		return carrier_add(TT_NAME_HEADER, name);
	if (strcmp(line, "param") == 0)
		return carrier_add(TT_NAME_PARAM, name);
	if (strcmp(line, "endpoint") == 0)
		return mint_rule_add(name);
	spec = strchr(name, ' ');
	if (!spec || strcmp(line, "class") != 0)
		return -EBADMSG;
	*spec++ = '\0';
	return class_learn(name, spec);
}

static int own_unpack(char *text)
{
	char *line;
	int r = 0;

	while (r == 0 && (line = strsep(&text, "\n")))
		r = *line ? own_learn(line) : 0;
	return r;
}

static int write_sealed(const struct blob_hdr *h, const void *config, const char *own, int *ret_fd)
{
	_cleanup_close_ int fd = -EBADF;
	int r;

	fd = memfd_create("tokentrail-agent", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	r = write_all(fd, h, sizeof(*h));
	if (r < 0)
		return r;
	r = write_all(fd, config, h->config_len);
	if (r == 0)
		r = write_all(fd, own, h->own_len);
	if (r < 0)
		return r;
	if (fcntl(fd, F_ADD_SEALS, BLOB_SEALS) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int blob_write(const struct agent_params *params, const struct config *config, int *ret_fd)
{
	struct blob_hdr h = { .magic = BLOB_MAGIC, .params_len = sizeof(h.params) };
	_cleanup_free_ char *own = NULL;
	size_t len = 0, own_len = 0;
	void *packed = NULL;
	int r;

	r = params_check(params);
	if (r == 0)
		r = own_pack(&own, &own_len);
	if (r < 0)
		return r;
	r = config_pack(config, &packed, &len);
	if (r < 0)
		return r;
	h.config_len = (uint32_t)len;
	h.own_len = (uint32_t)own_len;
	h.params = *params;
	r = len > BLOB_MAX_BYTES ? -E2BIG : write_sealed(&h, packed, own, ret_fd);

	explicit_bzero(&h, sizeof(h));
	explicit_bzero(packed, len);
	free(packed);
	return r;
}

static int read_at(int fd, void *to, size_t len, off_t from)
{
	char *p = to;

	while (len) {
		ssize_t n = pread(fd, p, len, from);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EBADMSG;
		p += n;
		from += n;
		len -= (size_t)n;
	}
	return 0;
}

static int header_check(int fd, const struct blob_hdr *h)
{
	struct stat st;
	int seals;

	if (h->magic != BLOB_MAGIC || h->params_len != sizeof(h->params))
		return -EBADMSG;
	if (h->config_len > BLOB_MAX_BYTES || h->own_len > BLOB_MAX_BYTES || params_check(&h->params) < 0)
		return -EBADMSG;
	if (fstat(fd, &st) < 0)
		return -errno;
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & BLOB_SEALS) != BLOB_SEALS)
		return -EBADMSG;
	return (uint64_t)st.st_size == sizeof(*h) + (uint64_t)h->config_len + h->own_len ? 0 : -EBADMSG;
}

static int read_config(int fd, size_t len, struct config *ret_config)
{
	void *packed;
	int r;

	packed = malloc(len + 1);
	if (!packed)
		return -ENOMEM;
	r = read_at(fd, packed, len, sizeof(struct blob_hdr));
	if (r == 0)
		r = config_unpack(ret_config, packed, len);
	explicit_bzero(packed, len);
	free(packed);
	return r;
}

static int read_own(int fd, const struct blob_hdr *h)
{
	_cleanup_free_ char *text = calloc(1, (size_t)h->own_len + 1);
	int r;

	if (!text)
		return -ENOMEM;
	r = read_at(fd, text, h->own_len, (off_t)(sizeof(*h) + h->config_len));
	return r < 0 ? r : own_unpack(text);
}

int blob_read(int fd, struct agent_params *ret_params, struct config *ret_config)
{
	struct config config = { 0 };
	struct blob_hdr h;
	int r;

	r = read_at(fd, &h, sizeof(h), 0);
	if (r == 0)
		r = header_check(fd, &h);
	if (r == 0)
		r = config_init(&config);
	if (r == 0) {
		r = read_config(fd, h.config_len, &config);
		if (r == 0)
			r = read_own(fd, &h);
		if (r < 0)
			config_done(&config);
	}
	if (r == 0) {
		*ret_params = h.params;
		*ret_config = config;
	}
	explicit_bzero(&h, sizeof(h));
	return r;
}
