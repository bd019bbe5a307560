/* SPDX-License-Identifier: Apache-2.0 */
#include "tokens/history.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct history *history_new(void)
{
	struct history *h = calloc(1, sizeof(*h));

	if (h)
		h->pool = pool_new();
	if (!h || !h->pool) {
		free(h);
		return NULL;
	}
	return h;
}

void history_free(struct history *h)
{
	if (!h)
		return;
	free(h->who);
	free(h->token);
	free(h->use);
	free(h->day);
	free(h->hour);
	free(h->mint);
	free(h->rate);
	free(h->blind);
	free(h->loss);
	pool_free(h->pool);
	free(h);
}

void *history_add(void **array, uint32_t *count, size_t size)
{
	/* Grows when the count is a power of two, from 16 on. */
	if (!*count || (*count >= 16 && !(*count & (*count - 1)))) {
		uint32_t room = *count ? 2 * *count : 16;
		void *more = *count > UINT32_MAX / 4 ? NULL : reallocarray(*array, room, size);

		if (!more)
			return NULL;
		*array = more;
	}
	return memset((char *)*array + (size_t)(*count)++ * size, 0, size);
}

static int by_id(const void *a, const void *b)
{
	const struct history_token *x = a, *y = b;

	return strcmp(x->id, y->id);
}

uint32_t history_find(const struct history *h, const char *id)
{
	const struct history_token key = { .id = id }, *t;

	if (!*id || !h->tokens)
		return HISTORY_NONE;
	t = bsearch(&key, h->token, h->tokens, sizeof(key), by_id);
	return t ? (uint32_t)(t - h->token) : HISTORY_NONE;
}

int history_link(struct history *h)
{
	for (uint32_t i = 0; i < h->tokens; i++) {
		uint32_t before = history_find(h, h->token[i].previous);

		if (before != HISTORY_NONE && before != i)
			h->token[before].replaced = true;
	}
	return 0;
}

/* ---- names ---- */

static const char *join(struct history *h, const char *a, const char *before_b, const char *b,
			const char *before_c, const char *c)
{
	char line[1024];

	snprintf(line, sizeof(line), "%s%s%s%s%s", a, before_b, b, before_c, c);
	return pool_text(h->pool, line);
}

int history_name_who(struct history *h, struct history_who *w)
{
	const char *program = w->executable[0] ? w->executable : "unknown program";
	char container[13];	/* as container tools show it */

	if (w->space[0] && w->name[0])
		w->label = w->kin = join(h, w->space, "/", w->kind, "/", w->name);
	else if (w->unit[0])
		w->label = w->kin = pool_text(h->pool, w->unit);
	else if (w->user[0])
		w->label = w->kin = join(h, program, " (user ", w->user, ")", "");
	else
		w->label = w->kin = pool_text(h->pool, program);
	/* Two containers that run the same interpreter as root are two workloads; the same container,
	 * made anew, is not a new one. */
	if (w->container[0] && !(w->space[0] && w->name[0])) {
		snprintf(container, sizeof(container), "%s", w->container);
		w->label = join(h, program, " in container ", container, "", "");
	}
	return w->label && w->kin ? 0 : -ENOMEM;
}

static const char *network_of(struct history *h, const char *address)
{
	unsigned char b[16];
	char line[64];

	if (inet_pton(AF_INET, address, b) == 1)
		snprintf(line, sizeof(line), b[0] == 127 ? "loopback" : "%u.%u.%u.0/24", b[0], b[1],
			 b[2]);
	else if (inet_pton(AF_INET6, address, b) == 1 && !memcmp(b, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12))
		snprintf(line, sizeof(line), b[12] == 127 ? "loopback" : "%u.%u.%u.0/24", b[12], b[13],
			 b[14]);
	else if (inet_pton(AF_INET6, address, b) == 1 && !strcmp(address, "::1"))
		snprintf(line, sizeof(line), "loopback");
	else if (inet_pton(AF_INET6, address, b) == 1)
		snprintf(line, sizeof(line), "%x:%x:%x::/48", b[0] << 8 | b[1], b[2] << 8 | b[3],
			 b[4] << 8 | b[5]);
	else
		return NULL;
	return pool_text(h->pool, line);
}

/* The last two labels, or three where the second is a short one below a country: co.uk, com.au. The
 * list of public suffixes would be exact, and old within a year. */
static const char *registered(const char *address)
{
	const char *dots[3] = { NULL, NULL, NULL };	/* from the end */
	size_t n = 0, len = strlen(address);

	for (size_t i = len; i-- > 0 && n < 3;)
		if (address[i] == '.')
			dots[n++] = address + i;
	if (n < 2)
		return address;
	if (len - (size_t)(dots[0] - address) == 3 && dots[0] - dots[1] <= 4)
		return n == 3 ? dots[2] + 1 : address;
	return dots[1] + 1;
}

int history_domain(struct history *h, const char *address, const char **ret_domain)
{
	const char *domain = network_of(h, address);

	if (!domain)
		domain = pool_text(h->pool, registered(address));
	if (!domain)
		return -ENOMEM;
	*ret_domain = domain;
	return 0;
}

/* ---- watching ---- */

static uint64_t first_use(const struct history *h)
{
	uint64_t first = 0;

	for (uint32_t i = 0; i < h->tokens; i++)
		if (h->token[i].first && (!first || h->token[i].first < first))
			first = h->token[i].first;
	return first;
}

uint64_t history_since(const struct history *h)
{
	uint64_t hour = h->hours ? h->hour[0].hour * HISTORY_HOUR : 0, use = first_use(h);

	/* In its first hour the sensor may have come late. */
	if (!hour || (use && use < hour + HISTORY_HOUR))
		return use;
	return hour;
}

uint64_t history_until(const struct history *h)
{
	uint64_t last = h->hours ? h->hour[h->hours - 1].hour * HISTORY_HOUR : 0;

	for (uint32_t i = 0; i < h->tokens; i++)
		if (h->token[i].last > last)
			last = h->token[i].last;
	return last;
}

/* The first row whose hour is not before this one. */
static uint32_t lower_hour(const struct history *h, uint64_t hour)
{
	uint32_t low = 0, high = h->hours;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (h->hour[middle].hour < hour)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_watched(const struct history *h, uint64_t hour)
{
	uint32_t i = lower_hour(h, hour);

	return i < h->hours && h->hour[i].hour == hour;
}

uint64_t history_watched(const struct history *h, uint64_t from, uint64_t to)
{
	uint64_t first = from / HISTORY_HOUR, last = to / HISTORY_HOUR, sum;

	if (from >= to)
		return 0;
	if (!h->hours)
		return to - from;
	if (first == last)
		return is_watched(h, first) ? to - from : 0;
	sum = (lower_hour(h, last) - lower_hour(h, first + 1)) * HISTORY_HOUR;
	sum += is_watched(h, first) ? (first + 1) * HISTORY_HOUR - from : 0;
	return sum + (is_watched(h, last) ? to - last * HISTORY_HOUR : 0);
}
