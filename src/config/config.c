/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a struct config, and settings one by one: from flags and the environment. The YAML
 * side is yaml.c and print.c, the bytes for the agent pack.c.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/address.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "config/filters.h"
#include "config/settings.h"

#define ENV_PREFIX "TOKENTRAIL_"

static int fail(struct config_error *ret_error, int error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct config_error *ret_error, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(ret_error->text, sizeof(ret_error->text), fmt, ap);
	va_end(ap);
	return error;
}

void list_clear(struct text_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->items[i]);
	free(l->items);
	*l = (struct text_list){0};
}

void map_clear(struct text_map *m)
{
	for (size_t i = 0; i < m->count; i++) {
		free(m->names[i]);
		/* sasl.password is one of these */
		explicit_bzero(m->values[i], strlen(m->values[i]));
		free(m->values[i]);
	}
	free(m->names);
	free(m->values);
	*m = (struct text_map){0};
}

static int grow(char ***array, size_t count)
{
	char **more = reallocarray(*array, count + 1, sizeof(char *));

	if (!more)
		return -ENOMEM;
	*array = more;
	return 0;
}

int list_add(struct text_list *l, const char *text)
{
	char *copy;

	if (grow(&l->items, l->count) < 0)
		return -ENOMEM;
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	l->items[l->count++] = copy;
	return 0;
}

int map_put(struct text_map *m, const char *name, const char *value)
{
	_cleanup_free_ char *new_name = strdup(name), *new_value = strdup(value);

	if (!new_name || !new_value)
		return -ENOMEM;
	for (size_t i = 0; i < m->count; i++) {
		if (strcmp(m->names[i], name) != 0)
			continue;
		explicit_bzero(m->values[i], strlen(m->values[i]));
		free(m->values[i]);
		m->values[i] = TAKE_PTR(new_value);
		return 0;
	}
	if (grow(&m->names, m->count) < 0 || grow(&m->values, m->count) < 0)
		return -ENOMEM;
	m->names[m->count] = TAKE_PTR(new_name);
	m->values[m->count++] = TAKE_PTR(new_value);
	return 0;
}

int config_init(struct config *c)
{
	memset(c, 0, sizeof(*c));
	for (size_t i = 0; i < settings_count; i++) {
		const struct setting *s = &settings[i];
		void *member = setting_member(c, s);

		if (s->type == SETTING_BOOL)
			*(bool *)member = s->number;
		else if (s->type == SETTING_U64)
			*(uint64_t *)member = s->number;
		else if (s->type == SETTING_ENUM)
			*(unsigned int *)member = choice_find(s->unit, s->text);
		else if (s->type == SETTING_STR)
			*(char **)member = strdup(s->text);
		if (s->type == SETTING_STR && !*(char **)member) {
			config_done(c);
			return -ENOMEM;
		}
	}
	return 0;
}

void config_done(struct config *c)
{
	for (size_t i = 0; i < settings_count; i++) {
		void *member = setting_member(c, &settings[i]);

		if (settings[i].type == SETTING_STR)
			free(*(char **)member);
		else if (settings[i].type == SETTING_LIST)
			list_clear(member);
		else if (settings[i].type == SETTING_MAP)
			map_clear(member);
	}
	memset(c, 0, sizeof(*c));
}

static int set_list(struct text_list *list, const char *value)
{
	_cleanup_free_ char *copy = strdup(value);
	struct text_list fresh = {0};
	char *rest = copy, *item;

	if (!copy)
		return -ENOMEM;
	while ((item = strsep(&rest, ","))) {
		item += strspn(item, " ");
		if (*item && list_add(&fresh, item) < 0) {
			list_clear(&fresh);
			return -ENOMEM;
		}
	}
	list_clear(list);
	*list = fresh;
	return 0;
}

static int set_map(struct text_map *map, const char *value)
{
	_cleanup_free_ char *copy = strdup(value);
	struct text_map fresh = {0};
	char *rest = copy, *name;
	int r = copy ? 0 : -ENOMEM;

	while (r == 0 && (name = strsep(&rest, ","))) {
		char *text = name;

		name = strsep(&text, "=");
		if (!text || !*name)
			r = *name || text ? -EINVAL : 0;
		else
			r = map_put(&fresh, name, text);
	}
	if (r < 0) {
		map_clear(&fresh);
		return r;
	}
	map_clear(map);
	*map = fresh;
	return 0;
}

/* "kafka.settings.ssl.ca.location": one pair of the map kafka.settings. */
static const struct setting *find_map(const char *path, const char **ret_name)
{
	for (size_t i = 0; i < settings_count; i++) {
		size_t len = strlen(settings[i].path);

		if (settings[i].type == SETTING_MAP && strncmp(settings[i].path, path, len) == 0 &&
		    path[len] == '.' && path[len + 1]) {
			*ret_name = path + len + 1;
			return &settings[i];
		}
	}
	return NULL;
}

int config_set(struct config *c, const char *path, const char *value,
	       struct config_error *ret_error)
{
	const struct setting *s = setting_find(path);
	const char *name = NULL;
	int r;

	if (!s && strnlen(path, 256) < 256)
		s = find_map(path, &name);
	if (!s) {
		setting_explain_unknown(path, ret_error);
		return -EINVAL;
	}
	if (s->type != SETTING_LIST && s->type != SETTING_MAP)
		return setting_parse(c, s, value, ret_error);

	if (s->type == SETTING_LIST)
		r = set_list(setting_member(c, s), value);
	else if (name)
		r = map_put(setting_member(c, s), name, value);
	else
		r = set_map(setting_member(c, s), value);
	if (r == -EINVAL)
		fail(ret_error, r, "'%s' must be NAME=TEXT,NAME=TEXT; use '%s.NAME' for one pair",
		     path, path);
	else if (r < 0)
		fail(ret_error, r, "out of memory");
	return r;
}

/* kafka.topic_prefix <-> KAFKA_TOPIC_PREFIX */
static void env_name(const char *path, char *to, size_t size)
{
	size_t i;

	for (i = 0; path[i] && i < size - 1; i++)
		to[i] = path[i] == '.' ? '_' : toupper((unsigned char)path[i]);
	to[i] = '\0';
}

static const struct setting *find_env(const char *name)
{
	char known[64];

	for (size_t i = 0; i < settings_count; i++) {
		env_name(settings[i].path, known, sizeof(known));
		if (strcmp(known, name) == 0)
			return &settings[i];
	}
	return NULL;
}

/* Other programs own names of this kind too (Kubernetes sets TOKENTRAIL_PORT for a service called
 * tokentrail), so only what looks like a slip of the pen is an error. */
static int check_unknown_env(const char *name, struct config_error *ret_error)
{
	char known[64];

	for (size_t i = 0; i < settings_count; i++) {
		env_name(settings[i].path, known, sizeof(known));
		if (text_distance(known, name) <= 2)
			return fail(ret_error, -EINVAL,
				    "environment: unknown variable %s%.100s; did you mean %s%s?",
				    ENV_PREFIX, name, ENV_PREFIX, known);
	}
	return 0;
}

static int load_variable(struct config *c, const char *variable, struct config_error *ret_error)
{
	const char *equals = strchr(variable, '=');
	struct config_error why;
	const struct setting *s;
	char name[128];
	size_t len;
	int r;

	if (!equals || strncmp(variable, ENV_PREFIX, strlen(ENV_PREFIX)) != 0)
		return 0;
	variable += strlen(ENV_PREFIX);
	len = equals > variable ? equals - variable : 0;
	if (len == 0 || len >= sizeof(name))
		return 0;
	memcpy(name, variable, len);
	name[len] = '\0';
	s = find_env(name);
	if (!s)
		return check_unknown_env(name, ret_error);
	r = config_set(c, s->path, equals + 1, &why);
	if (r < 0)
		fail(ret_error, r, "environment: %s%s: %.400s", ENV_PREFIX, name, why.text);
	return r;
}

int config_load_env(struct config *c, char *const env[], struct config_error *ret_error)
{
	int r = 0;

	for (size_t i = 0; env[i] && r == 0; i++)
		r = load_variable(c, env[i], ret_error);
	return r;
}

static int check_kafka(const struct config *c, struct config_error *ret_error)
{
	if (!c->kafka)
		return 0;
	if (!c->kafka_brokers[0])
		return fail(ret_error, -EINVAL,
			    "'kafka.enabled' is true but 'kafka.brokers' is empty; set it to "
			    "host:port");
	for (size_t i = 0; i < c->kafka_settings.count; i++) {
		const char *value = c->kafka_settings.values[i];

		if (strncmp(value, "file:", 5) == 0 && value[5] != '/')
			return fail(
				ret_error, -EINVAL,
				"'kafka.settings': %s: a value with file: needs an absolute path",
				c->kafka_settings.names[i]);
		if (strcmp(c->kafka_settings.names[i], "bootstrap.servers") == 0 ||
		    strcmp(c->kafka_settings.names[i], "metadata.broker.list") == 0)
			return fail(ret_error, -EINVAL,
				    "'kafka.settings': %s belongs into 'kafka.brokers'",
				    c->kafka_settings.names[i]);
	}
	return 0;
}

static int check_metrics(const struct config *c, struct config_error *ret_error)
{
	struct sockaddr_storage address;
	socklen_t len;

	if (address_parse(c->metrics_listen, &address, &len) == 0)
		return 0;
	return fail(ret_error, -EINVAL,
		    "'metrics.listen': '%.60s' is no address and port, such as 127.0.0.1:9465 or "
		    "[::1]:9465", c->metrics_listen);
}

uint32_t config_libraries(const struct config *c)
{
	return 0
#define TT_TLS(number, name, NAME, file) | (uint32_t)c->name << (number)
#include <tokentrail/tls.def>
#undef TT_TLS
		;
}

int config_check(const struct config *c, struct config_error *ret_error)
{
	int r;

	if (c->state_dir[0] != '/')
		return fail(ret_error, -EINVAL, "'state.directory' must be an absolute path");
	if (c->key_file[0] != '/')
		return fail(ret_error, -EINVAL, "'key.file' must be an absolute path");
	if (!c->agent_user[0])
		return fail(ret_error, -EINVAL, "'agent.user' is empty; the agent needs a user");
	if (strcmp(c->agent_user, "root") == 0 || strcmp(c->agent_user, "0") == 0)
		return fail(ret_error, -EINVAL, "'agent.user' is root; name an unprivileged user");
	if (c->ring_bytes & (c->ring_bytes - 1))
		return fail(ret_error, -EINVAL,
			    "'limits.ring' must be a power of two, such as 4MiB");
	if (!c->plain && !config_libraries(c))
		return fail(ret_error, -EINVAL,
			    "'sources.plain' and all libraries are false: nothing to watch");
	for (size_t i = 0; i < c->preattach.count; i++) {
		if (c->preattach.items[i][0] != '/')
			return fail(ret_error, -EINVAL,
				    "'sources.preattach': '%.100s' is no absolute path",
				    c->preattach.items[i]);
	}
	r = own_check_all(c, ret_error);
	if (r == 0)
		r = filters_check(c, ret_error);
	if (r == 0)
		r = check_metrics(c, ret_error);
	return r < 0 ? r : check_kafka(c, ret_error);
}
