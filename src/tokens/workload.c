/* SPDX-License-Identifier: Apache-2.0 */
#include "tokens/workload.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct workload *workload_new(void)
{
	struct workload *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->holders = 1;
	w->user = -1;
	return w;
}

struct workload *workload_hold(struct workload *w)
{
	if (w)
		w->holders++;
	return w;
}

void workload_drop(struct workload *w)
{
	if (w && --w->holders == 0)
		free(w);
}

bool workload_same(const struct workload *a, const struct workload *b)
{
	return a == b || (!strcmp(a->kind, b->kind) && !strcmp(a->name, b->name) &&
			  !strcmp(a->namespace, b->namespace) && a->user == b->user);
}

bool workload_has_controller(const struct workload *w)
{
	return w->pod[0] && w->kind[0] && strcmp(w->kind, "Pod");
}

void workload_prove(struct workload *w, const char *format, ...)
{
	size_t used = strlen(w->evidence), start = used;
	va_list ap;
	int len;

	if (used && used + 1 < sizeof(w->evidence))
		w->evidence[used++] = '\n';
	va_start(ap, format);
	len = vsnprintf(w->evidence + used, sizeof(w->evidence) - used, format, ap);
	va_end(ap);
	if (len < 0 || (size_t)len >= sizeof(w->evidence) - used)
		w->evidence[start] = 0;
}

const char *confidence_name(enum confidence c)
{
	static const char *const names[] = { "", "low", "medium", "high" };

	return (unsigned int)c < sizeof(names) / sizeof(names[0]) ? names[c] : "";
}
